//! Java expressions as the official judge reads them.
//!
//! It reads what the parameter's type asks for and leaves anything else a text: `5L` is a long, `5` is not.
//!
//! Source: `bfcl_eval/eval_checker/ast_eval/type_convertor/java_type_converter.py` of the wheel `bfcl-eval` 2026.3.23,
//! whose regular expressions stand here; in Python `$` also stands before a line end that is the last character.

use fancy_regex::Regex;

use super::numbers::{float, number, stripped, whole};
use super::value::{Kind, Value};
use super::{Fault, captured, compiled, unquoted};
use crate::bench::functions::Error;

/// The type in Python of values of a Java type.
pub(super) fn kind(name: &str) -> Result<Kind, Fault> {
    Ok(match name {
        "byte" | "short" | "integer" | "long" => Kind::Integer,
        "float" | "double" => Kind::Float,
        "boolean" => Kind::Boolean,
        "char" | "String" | "any" => Kind::Text,
        "Array" | "ArrayList" | "Queue" | "Stack" => Kind::List,
        "HashMap" | "Hashtable" => Kind::Dict,
        _ => return Err(Fault::raises(format!("the type {name:?} is not known in Java"))),
    })
}

/// Reads expressions.
#[derive(Debug, Clone)]
pub(super) struct Java {
    whole: Regex,
    long: Regex,
    float: Regex,
    double: Regex,
    as_list: Regex,
    add_block: Regex,
    add: Regex,
    empty_list: Regex,
    array: Regex,
    map: Regex,
    put: Regex,
    empty_map: Regex,
}

impl Java {
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Self {
            whole: compiled(r"\A-?[0-9]+\n?\z")?,
            long: compiled(r"\A(-?[0-9]+)[lL]\n?\z")?,
            float: compiled(r"\A(-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)[fF]\n?\z")?,
            double: compiled(r"\A-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\n?\z")?,
            as_list: compiled(r"new\s+ArrayList<\w*>\(Arrays\.asList\((.+?)\)\)")?,
            add_block: compiled(r"(?s)new\s+ArrayList<\w*>\(\)\s*\{\{\s*(.+?)\s*\}\}")?,
            add: compiled(r"add\((.+?)\)")?,
            empty_list: compiled(r"new\s+ArrayList<\w*>\(\)")?,
            array: compiled(r"new\s+\w+\[\]\s*\{(.*?)\}")?,
            map: compiled(r"(?s)new\s+HashMap<.*?>\s*\(\)\s*\{\s*\{?\s*(.*?)\s*\}?\s*\}")?,
            put: compiled(r#"put\("(.*?)",\s*(.*?)\)"#)?,
            empty_map: compiled(r"(?s)new\s+HashMap<.*?>\s*\(\)")?,
        })
    }

    /// The value of an expression of a type, with the type of its items where it is a list.
    ///
    /// # Errors
    /// [`Fault::Raises`] where the type cannot be read.
    pub(super) fn value(&self, text: &str, name: &str, items: Option<&str>) -> Result<Value, Fault> {
        let value = match name {
            "byte" | "short" | "integer" => self.whole.is_match(text).unwrap_or(false).then(|| whole(text)).flatten(),
            "long" => captured(&self.long, text).and_then(whole),
            "float" => captured(&self.float, text).and_then(float),
            "double" => self.double.is_match(text).unwrap_or(false).then(|| float(text)).flatten(),
            "boolean" => match text {
                "true" => Some(Value::Boolean(true)),
                "false" => Some(Value::Boolean(false)),
                _ => None,
            },
            "ArrayList" => self.list(text, items)?,
            "Array" => self.array(text, items)?,
            "HashMap" => self.map(text),
            "char" | "String" | "any" => None,
            _ => return Err(Fault::raises(format!("values of the type {name:?} cannot be read"))),
        };
        Ok(value.unwrap_or_else(|| Value::Text(text.to_owned())))
    }

    fn item(&self, text: &str, items: Option<&str>) -> Result<Value, Fault> {
        match items {
            Some(name) if !name.is_empty() => self.value(text, name, None),
            _ => Ok(self.untyped(text)),
        }
    }

    fn list(&self, text: &str, items: Option<&str>) -> Result<Option<Value>, Fault> {
        let item = |text: &str| match items {
            Some("char" | "String") => Ok(Value::Text(unquoted(stripped(text)))),
            _ => self.item(stripped(text), items),
        };
        if let Some(listed) = captured(&self.as_list, text) {
            return listed.split(',').map(item).collect::<Result<_, _>>().map(|items| Some(Value::List(items)));
        }
        if let Some(block) = captured(&self.add_block, text) {
            let added =
                self.add.captures_iter(block).flatten().filter_map(|found| found.get(1).map(|one| one.as_str()));
            return added.map(item).collect::<Result<_, _>>().map(|items| Some(Value::List(items)));
        }
        let is_empty = self.empty_list.is_match(text).unwrap_or(false);
        Ok(is_empty.then(|| Value::List(Vec::new())))
    }

    fn array(&self, text: &str, items: Option<&str>) -> Result<Option<Value>, Fault> {
        let Some(listed) = captured(&self.array, text) else { return Ok(None) };
        let listed = listed.split(',').map(stripped).filter(|one| !one.is_empty());
        listed.map(|one| self.item(one, items)).collect::<Result<_, _>>().map(|items| Some(Value::List(items)))
    }

    fn map(&self, text: &str) -> Option<Value> {
        let Some(block) = captured(&self.map, text) else {
            return self.empty_map.is_match(text).unwrap_or(false).then(|| Value::Dict(Vec::new()));
        };
        let mut members: Vec<(String, Value)> = Vec::new();
        for found in self.put.captures_iter(block).flatten() {
            let (Some(key), Some(value)) = (found.get(1), found.get(2)) else { continue };
            members.retain(|(other, _)| other != key.as_str());
            members.push((key.as_str().to_owned(), self.untyped(stripped(value.as_str()))));
        }
        Some(Value::Dict(members))
    }

    /// The value of an expression whose type is not known.
    fn untyped(&self, text: &str) -> Value {
        let read = match text {
            "true" => Some(Value::Boolean(true)),
            "false" => Some(Value::Boolean(false)),
            _ if text.starts_with('"') && text.ends_with('"') => Some(Value::Text(unquoted(text))),
            _ => None,
        };
        let read = read.or_else(|| captured(&self.long, text).and_then(whole));
        let read = read.or_else(|| captured(&self.float, text).and_then(float));
        read.or_else(|| number(text)).unwrap_or_else(|| Value::Text(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_their_types_ask() {
        let java = Java::new().unwrap();
        let read = |text: &str, name: &str, items: Option<&str>| java.value(text, name, items).unwrap();
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(read("-5", "integer", None), Value::Integer(-5));
        assert_eq!((read("5L", "long", None), read("5", "long", None)), (Value::Integer(5), text("5")));
        assert_eq!((read("1.5f", "float", None), read("1.5", "float", None)), (Value::Float(1.5), text("1.5")));
        assert_eq!((read("3e2", "double", None), read("TRUE", "boolean", None)), (Value::Float(300.0), text("TRUE")));
        let words = Value::List(vec![text("a"), text("b c")]);
        assert_eq!(read("new ArrayList<String>(Arrays.asList(\"a\", \"b c\"))", "ArrayList", Some("String")), words);
        assert_eq!(read("new ArrayList<>() {{ add(\"a\"); add(\"b c\"); }}", "ArrayList", Some("String")), words);
        assert_eq!(read("new ArrayList<>()", "ArrayList", Some("String")), Value::List(Vec::new()));
        let numbers = Value::List(vec![Value::Integer(1), text("2L")]);
        assert_eq!(read("new int[]{1, 2L, }", "Array", Some("integer")), numbers);
        let map = Value::Dict(vec![("k".to_owned(), Value::Integer(2)), ("l".to_owned(), text("v"))]);
        assert_eq!(
            read("new HashMap<String, Object>() {{ put(\"k\", 2L); put(\"l\", \"v\"); }}", "HashMap", None),
            map
        );
        assert_eq!(read("someMap", "HashMap", None), text("someMap"));
        assert!(matches!(java.value("x", "Set", None), Err(Fault::Raises { .. })));
    }
}
