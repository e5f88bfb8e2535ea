//! The arguments object of a call, spelled exactly as Python's `json.dumps` spells it.

use super::json::json_string_rule;
use super::{RuleSet, literal};
use crate::grammar::Error;
use crate::grammar::schema::unsigned_range;
use crate::types::{AllowedCall, ArgumentRule, NamedRule};

/// What stands between the parts of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Separators<'a> {
    /// Between two members.
    pub item: &'a str,
    /// Between a key and its value.
    pub key: &'a str,
}

impl Separators<'_> {
    /// As Python's `json.dumps` and chat templates' `tojson` write them.
    pub const PYTHON: Separators<'static> = Separators { item: ", ", key: ": " };
    /// Without white space.
    pub const COMPACT: Separators<'static> = Separators { item: ",", key: ":" };
}

/// A member that a dialect writes behind a call's own arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastMember<'a> {
    /// Its key.
    pub key: &'a str,
    /// GBNF of its value: one item, such as a group in brackets.
    pub value: &'a str,
}

/// Rules for the arguments object of `call`: one alternative a variant, keys in the declared order, `last` behind
/// them, also where a variant has no arguments. The rule is named `prefix`. A variant that has an argument without any
/// legal value is left out.
///
/// # Errors
/// No variant is left.
pub fn arguments_rules(
    rules: &mut RuleSet,
    prefix: &str,
    call: &AllowedCall,
    separators: Separators<'_>,
    last: Option<LastMember<'_>>,
) -> Result<String, Error> {
    let mut forms = Vec::new();
    let mut problem = "it has no variant".to_owned();
    for variant in &call.variants {
        match object(rules, variant, separators, last) {
            Ok(form) => forms.push(form),
            Err(error) => problem = error.to_string(),
        }
    }
    if forms.is_empty() {
        return Err(Error::Policy { what: format!("a call of {}", call.name), problem });
    }
    rules.define(prefix, &forms.join(" | "));
    Ok(prefix.to_owned())
}

/// GBNF items and the literal text that goes before the next of them.
#[derive(Default)]
struct Items {
    source: String,
    text: String,
}

impl Items {
    fn push(&mut self, item: &str) {
        if !self.text.is_empty() {
            self.source.push_str(&literal(&std::mem::take(&mut self.text)));
            self.source.push(' ');
        }
        self.source.push_str(item);
        self.source.push(' ');
    }

    fn key(&mut self, is_first: bool, key: &str, separators: Separators<'_>) {
        if !is_first {
            self.text.push_str(separators.item);
        }
        self.text.push_str(&json(key));
        self.text.push_str(separators.key);
    }
}

fn object(
    rules: &mut RuleSet,
    variant: &[NamedRule],
    separators: Separators<'_>,
    last: Option<LastMember<'_>>,
) -> Result<String, Error> {
    let mut items = Items::default();
    items.text.push('{');
    for (index, NamedRule { name, rule }) in variant.iter().enumerate() {
        items.key(index == 0, name, separators);
        match rule {
            ArgumentRule::OneOf(values) => match values.as_slice() {
                [] => return Err(Error::Policy { what: name.clone(), problem: "there is no value to choose".into() }),
                [only] => items.text.push_str(&json(only)),
                several => {
                    let values: Vec<String> = several.iter().map(|value| literal(&json(value))).collect();
                    items.push(&format!("({})", values.join(" | ")));
                }
            },
            ArgumentRule::Text { min_chars, max_chars } => {
                let name = json_string_rule(rules, *min_chars, *max_chars)?;
                items.push(&name);
            }
            ArgumentRule::Date => {
                items.text.push('"');
                let date = date_rule(rules);
                items.push(&date);
                items.text.push('"');
            }
            ArgumentRule::Integer { min, max } => items.push(&integer_expression(*min, *max)?),
        }
    }
    if let Some(LastMember { key, value }) = last {
        items.key(variant.is_empty(), key, separators);
        items.push(value);
    }
    items.text.push('}');
    let text = std::mem::take(&mut items.text);
    items.push(&literal(&text));
    Ok(items.source.trim_end().to_owned())
}

/// A string as JSON spells it: characters beyond ASCII as they are.
fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Rules for the days of the Gregorian calendar from 1900-01-01 to 2099-12-31, `YYYY-MM-DD`, without quotes.
pub fn date_rule(rules: &mut RuleSet) -> String {
    rules.define("date-year", r#"("19" | "20") [0-9] [0-9]"#);
    rules.define("date-leap-digits", r#""0" [48] | [2468] [048] | [13579] [26]"#);
    rules.define("date-leap-year", r#""19" date-leap-digits | "20" ("00" | date-leap-digits)"#);
    rules.define("date-28", r#""0" [1-9] | "1" [0-9] | "2" [0-8]"#);
    rules.define("date-30", r#""0" [1-9] | [12] [0-9] | "30""#);
    rules.define("date-31", r#""0" [1-9] | [12] [0-9] | "3" [01]"#);
    rules.define(
        "date",
        concat!(
            r#"date-year "-" (("0" [13578] | "10" | "12") "-" date-31 | ("0" [469] | "11") "-" date-30"#,
            r#" | "02-" date-28) | date-leap-year "-02-29""#
        ),
    );
    "date".to_owned()
}

/// A GBNF expression (one item) for the whole numbers from `min` to `max` without leading zeros.
///
/// # Errors
/// `max` is below `min`.
pub fn integer_expression(min: u32, max: u32) -> Result<String, Error> {
    if max < min {
        let problem = format!("at least {min} and at most {max} is asked for");
        return Err(Error::Policy { what: "a number".into(), problem });
    }
    Ok(unsigned_range(min.into(), max.into()).to_item())
}
