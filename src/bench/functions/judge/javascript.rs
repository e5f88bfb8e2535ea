//! JavaScript expressions as the official judge reads them.
//!
//! Source: `bfcl_eval/eval_checker/ast_eval/type_convertor/js_type_converter.py` of the wheel `bfcl-eval` 2026.3.23,
//! whose regular expressions stand here.

use fancy_regex::Regex;

use super::numbers::{float, number, stripped, whole};
use super::value::{Kind, Value};
use super::{Fault, captured, compiled, unquoted};
use crate::bench::functions::Error;

/// The type in Python of values of a JavaScript type.
pub(super) fn kind(name: &str) -> Result<Kind, Fault> {
    Ok(match name {
        "integer" | "Bigint" => Kind::Integer,
        "float" => Kind::Float,
        "Boolean" => Kind::Boolean,
        "String" | "any" => Kind::Text,
        "array" => Kind::List,
        "dict" => Kind::Dict,
        _ => return Err(Fault::raises(format!("the type {name:?} is not known in JavaScript"))),
    })
}

/// Reads expressions.
#[derive(Debug, Clone)]
pub(super) struct Javascript {
    whole: Regex,
    big: Regex,
    float: Regex,
    table: Regex,
    row: Regex,
    array: Regex,
    object: Regex,
    pair: Regex,
}

impl Javascript {
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Self {
            whole: compiled(r"\A-?[0-9]+\n?\z")?,
            big: compiled(r"\A-?[0-9]+n\n?\z")?,
            float: compiled(r"\A-?[0-9]+(?:\.[0-9]+)?\n?\z")?,
            table: compiled(
                r"\A(?:\[\s*\[.*?\]\s*(?:,\s*\[.*?\]\s*)*\]|\bnew\s+Array\(\s*\[.*?\]\s*(?:,\s*\[.*?\]\s*)*\))",
            )?,
            row: compiled(r"\[(.*?)\]")?,
            array: compiled(r"\A(?:\[(.*?)\]|\bnew\s+Array\((.*?)\))")?,
            object: compiled(r"\A\{(.*?)\}")?,
            pair: compiled(r"([^:]+):\s*(.*?)(?:,\s*(?=[^,]+:)|\n?\z)")?,
        })
    }

    /// The value of an expression of a type, with the type of its items where it is a list.
    ///
    /// # Errors
    /// [`Fault::Raises`] where the type is not known.
    pub(super) fn value(&self, text: &str, name: &str, items: Option<&str>) -> Result<Value, Fault> {
        kind(name)?;
        let value = match name {
            "String" => quoted(text).map(Value::Text),
            "integer" => self.whole.is_match(text).unwrap_or(false).then(|| whole(text)).flatten(),
            "float" => self.float.is_match(text).unwrap_or(false).then(|| float(text)).flatten(),
            // Python cuts the last character off, which may be a line end: the rest is then no number.
            "Bigint" => match self.big.is_match(text).unwrap_or(false) {
                true if text.ends_with('\n') => {
                    return Err(Fault::raises("a number before a line end cannot be read".to_owned()));
                }
                true => text.strip_suffix('n').and_then(whole),
                false => None,
            },
            "Boolean" => match text {
                "true" => Some(Value::Boolean(true)),
                "false" => Some(Value::Boolean(false)),
                _ => None,
            },
            "dict" => return Ok(self.object(stripped(text))),
            "array" => return Ok(self.array(stripped(text), items)),
            _ => None,
        };
        Ok(value.unwrap_or_else(|| Value::Text(text.to_owned())))
    }

    /// A list; what cannot be read stays a text.
    fn array(&self, text: &str, items: Option<&str>) -> Value {
        if let Ok(Some(table)) = self.table.find(text) {
            let rows = self.row.captures_iter(table.as_str()).flatten();
            let rows = rows.filter_map(|found| found.get(1).map(|row| row.as_str())).enumerate().map(|(at, row)| {
                let row = stripped(row);
                let row = if at == 0 { row.strip_prefix('[').unwrap_or(row) } else { row };
                Value::List(row.split(',').map(untyped).collect())
            });
            return Value::List(rows.collect());
        }
        let Ok(Some(found)) = self.array.captures(text) else { return Value::Text(text.to_owned()) };
        let inside = found.get(1).or_else(|| found.get(2)).map_or("", |inside| stripped(inside.as_str()));
        if inside.is_empty() {
            return Value::List(Vec::new());
        }
        let item = |item: &str| match items {
            Some(name) if !name.is_empty() => {
                let item = stripped(item);
                let of_items = item.starts_with(['\'', '"']).then_some("String");
                self.value(item, name, of_items)
            }
            _ => Ok(untyped(item)),
        };
        match inside.split(',').map(item).collect() {
            Ok(items) => Value::List(items),
            Err(_) => Value::Text(text.to_owned()),
        }
    }

    /// An object; what cannot be read stays a text.
    fn object(&self, text: &str) -> Value {
        if text == "{}" {
            return Value::Dict(Vec::new());
        }
        let Some(inside) = captured(&self.object, text) else { return Value::Text(text.to_owned()) };
        let mut members: Vec<(String, Value)> = Vec::new();
        for found in self.pair.captures_iter(inside).flatten() {
            let (Some(key), Some(value)) = (found.get(1), found.get(2)) else { continue };
            let key = stripped(key.as_str()).trim_matches(['\'', '"']).to_owned();
            let text = stripped(value.as_str());
            let value = if text.starts_with('[') && text.ends_with(']') {
                self.array(text, None)
            } else if text.starts_with('{') && text.ends_with('}') {
                self.object(text)
            } else {
                untyped(text.trim_matches(['\'', '"']))
            };
            match members.iter_mut().find(|(other, _)| *other == key) {
                Some(member) => member.1 = value,
                None => members.push((key, value)),
            }
        }
        Value::Dict(members)
    }
}

/// What stands between quotes of one kind.
fn quoted(text: &str) -> Option<String> {
    let is_quoted = |quote| text.starts_with(quote) && text.ends_with(quote);
    (is_quoted('"') || is_quoted('\'')).then(|| unquoted(text))
}

/// The value of an expression whose type is not known.
fn untyped(text: &str) -> Value {
    let text = stripped(text);
    match text {
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        _ => match quoted(text) {
            Some(inside) => Value::Text(inside),
            None => number(text).unwrap_or_else(|| Value::Text(text.to_owned())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_their_types_ask() {
        let javascript = Javascript::new().unwrap();
        let read = |text: &str, name: &str, items: Option<&str>| javascript.value(text, name, items).unwrap();
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!((read("'a b'", "String", None), read("a", "String", None)), (text("a b"), text("a")));
        assert_eq!((read("5n", "Bigint", None), read("5", "Bigint", None)), (Value::Integer(5), text("5")));
        assert_eq!((read("5", "float", None), read("5.", "float", None)), (Value::Float(5.0), text("5.")));
        let numbers = Value::List(vec![Value::Integer(1), Value::Integer(2)]);
        assert_eq!(read("[1, 2]", "array", Some("integer")), numbers);
        assert_eq!(read("new Array(1, 2)", "array", Some("integer")), numbers);
        let table = Value::List(vec![numbers.clone(), Value::List(vec![text("x")])]);
        assert_eq!(read(" [[1, 2], ['x']]", "array", Some("array")), table);
        assert_eq!(read("[1, 2]", "array", Some("unheard")), text("[1, 2]"), "items that cannot be read");
        let members = vec![("a".to_owned(), text("b, c")), ("d".to_owned(), Value::List(vec![Value::Integer(1)]))];
        assert_eq!(read("{'a': 'b, c', d: [1]}", "dict", None), Value::Dict(members));
        assert_eq!((read("{}", "dict", None), read("x", "dict", None)), (Value::Dict(Vec::new()), text("x")));
    }
}
