//! Values of a JSON Schema as rules of a step's grammar.

use serde_json::Value;

use super::RuleSet;
use crate::grammar::Error;
use crate::grammar::schema::{Limits, Options, Whitespace, compile};

/// Most characters of a text whose schema does not say: a model that repeats itself comes to an end, and no argument of
/// a function that was looked at is a third as long.
const MAX_TEXT_CHARS: u32 = 1000;

/// Rules for the values of `schema`, with white space as `whitespace` says; gives back the name of the one to call. The
/// names of all begin with `prefix` and a dash. Objects whose properties are declared take no others, and no text has more
/// than 1000 characters.
///
/// # Errors
/// [`Error::Policy`] where the schema has no grammar.
pub fn schema_rules(
    rules: &mut RuleSet,
    prefix: &str,
    schema: &Value,
    whitespace: Whitespace,
) -> Result<String, Error> {
    let limits = Limits { repetition: MAX_TEXT_CHARS, ..Limits::default() };
    let options = Options { whitespace, undeclared_properties: false, limits, ..Options::default() };
    let mut ir = compile(schema, &options)
        .map_err(|source| Error::Policy { what: "arguments".to_owned(), problem: source.to_string() })?;
    for rule in &mut ir.rules {
        rule.name = format!("{prefix}-{}", rule.name);
    }
    let root = ir.rules.get(ir.root.index()).map(|rule| rule.name.clone()).unwrap_or_default();
    for line in ir.to_string().lines() {
        if let Some((name, body)) = line.split_once(" ::= ") {
            rules.define(name, body);
        }
    }
    Ok(root)
}
