//! Building blocks with which a dialect spells a step's policy as GBNF text.
//!
//! Each function adds rules to a [`RuleSet`] and gives back the name of the one to call; a rule that two calls share is
//! written once. The dialect writes `root` around them. Rule names that begin with `json-`, `text`, `date` or the
//! prefix that the caller chose are taken.

mod arguments;
mod json;
mod schema;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

pub use arguments::{LastMember, Separators, arguments_rules, date_rule, integer_expression};
pub use json::json_string_rule;
pub use schema::schema_rules;
pub use text::{TextGuard, text_rule};

use super::ir::Expr;

/// White space beyond ASCII, as the inside of a class.
const SPACES: &str = r"\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000";

/// Rules of a grammar in the order of their definition.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    source: String,
    names: HashSet<String>,
    /// Names of the rules that leave the guarded beginning of a line, by their bodies.
    leaves: HashMap<String, String>,
}

impl RuleSet {
    /// A set without rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Defines `name` as `body` (GBNF text on one line). A name that is defined already keeps its first body: equal
    /// names stand for equal bodies.
    pub fn define(&mut self, name: &str, body: &str) {
        if self.names.insert(name.to_owned()) {
            // Writing to a string cannot fail.
            let _ = writeln!(self.source, "{name} ::= {body}");
        }
    }

    /// Whether `name` is defined.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The grammar's text.
    #[must_use]
    pub fn into_gbnf(self) -> String {
        self.source
    }
}

/// `text` as a GBNF literal, quotes included.
#[must_use]
pub fn literal(text: &str) -> String {
    Expr::Literal(text.to_owned()).to_item()
}
