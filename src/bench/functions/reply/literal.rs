//! Values and calls as Python writes them, which JSON values are too, nearly: models mix both.
//!
//! A value is a text in either kind of quotes, a number, `True`, `False`, `None` (or as JSON spells them), a list, a tuple
//! or a dictionary; a call is a name with dots and keyword arguments. Positional arguments are not read: which parameter
//! they mean would be a guess.

use serde_json::{Map, Value};

use crate::types::Call;

/// Deepest nesting that is read: what a model writes stays below ten, and a run of brackets must not end the stack.
const MAX_DEPTH: usize = 64;

/// Reads from the front of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a str {
        self.rest.trim_start()
    }

    /// Takes `token` if it comes next, behind white space.
    fn takes(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes a value.
    pub(super) fn value(&mut self, depth: usize) -> Option<Value> {
        if depth >= MAX_DEPTH {
            return None;
        }
        let start = self.rest.trim_start();
        match start.chars().next()? {
            '{' => self.members(depth).map(Value::Object),
            '[' => {
                self.takes("[");
                self.items("]", depth)
            }
            '(' => {
                self.takes("(");
                self.items(")", depth)
            }
            '"' | '\'' => self.text().map(Value::String),
            '-' | '+' | '.' | '0'..='9' => self.number(),
            _ => {
                let words = [("true", true), ("True", true), ("false", false), ("False", false)];
                let word = self.word();
                match word {
                    "null" | "None" => Some(Value::Null),
                    _ => words.iter().find(|(name, _)| *name == word).map(|(_, flag)| Value::Bool(*flag)),
                }
            }
        }
    }

    fn items(&mut self, close: &str, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        while !self.takes(close) {
            if !items.is_empty() && !self.takes(",") {
                return None;
            }
            // A comma may stand behind the last item.
            if self.takes(close) {
                break;
            }
            items.push(self.value(depth + 1)?);
        }
        Some(items.into())
    }

    fn members(&mut self, depth: usize) -> Option<Map<String, Value>> {
        self.takes("{");
        let mut members = Map::new();
        let mut is_first = true;
        while !self.takes("}") {
            if !is_first && !self.takes(",") {
                return None;
            }
            is_first = false;
            if self.takes("}") {
                break;
            }
            let key = self.text()?;
            if !self.takes(":") {
                return None;
            }
            members.insert(key, self.value(depth + 1)?);
        }
        Some(members)
    }

    /// Takes letters, digits, underscores and dots.
    fn word(&mut self) -> &'a str {
        let rest = self.rest.trim_start();
        let end = rest.find(|one: char| !one.is_alphanumeric() && one != '_' && one != '.').unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        word
    }

    fn number(&mut self) -> Option<Value> {
        let rest = self.rest.trim_start();
        let end = rest.find(|one: char| !one.is_ascii_alphanumeric() && !"+-._".contains(one)).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        let digits = word.trim_start_matches('+').replace('_', "");
        if let Ok(whole) = digits.parse::<i64>() {
            return Some(whole.into());
        }
        if let Ok(whole) = digits.parse::<u64>() {
            return Some(whole.into());
        }
        // Words such as `-inf` are numbers in Python, but not in JSON.
        let float = digits.parse::<f64>().ok().filter(|float| float.is_finite())?;
        serde_json::Number::from_f64(float).map(Value::Number)
    }

    fn text(&mut self) -> Option<String> {
        let rest = self.rest.trim_start();
        let quote = rest.chars().next().filter(|one| matches!(one, '"' | '\''))?;
        let body = rest.get(1..)?;
        let mut text = String::new();
        let mut characters = body.char_indices();
        while let Some((at, one)) = characters.next() {
            match one {
                _ if one == quote => {
                    self.rest = body.get(at + 1..)?;
                    return Some(text);
                }
                '\\' => match characters.next()?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    'b' => text.push('\u{8}'),
                    'f' => text.push('\u{c}'),
                    'u' => {
                        let digits = body.get(at + 2..at + 6)?;
                        text.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                        characters.nth(3)?;
                    }
                    '\n' => {}
                    same @ ('"' | '\'' | '\\' | '/') => text.push(same),
                    other => text.extend(['\\', other]),
                },
                _ => text.push(one),
            }
        }
        None
    }

    /// Takes a call of one of `names`.
    pub(super) fn call(&mut self, names: &[String]) -> Option<Call> {
        let word = self.word();
        let name = names.iter().find(|name| *name == word || *name == &word.replace('.', "_"))?;
        if !self.takes("(") {
            return None;
        }
        let mut arguments = Map::new();
        while !self.takes(")") {
            if !arguments.is_empty() && !self.takes(",") {
                return None;
            }
            if self.takes(")") {
                break;
            }
            let key = self.word();
            if key.is_empty() || !self.takes("=") {
                return None;
            }
            arguments.insert(key.to_owned(), self.value(0)?);
        }
        Some(Call { name: name.clone(), arguments })
    }

    /// Takes all calls of one of `names`: in a list or one below the other.
    pub(super) fn calls(&mut self, names: &[String]) -> Vec<Call> {
        let mut calls = Vec::new();
        self.takes("[");
        loop {
            let before = *self;
            match self.call(names) {
                Some(call) => calls.push(call),
                None => {
                    *self = before;
                    break;
                }
            }
            if !self.takes(",") {
                self.takes(";");
            }
        }
        self.takes("]");
        calls
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Option<Value> {
        Reader::new(text).value(0)
    }

    #[test]
    fn values_of_python_and_json_are_read() {
        for (text, expected) in [
            ("{'a': True, \"b\": [1, -2.5, (3,)], 'c': None,}", json!({"a": true, "b": [1, -2.5, [3]], "c": null})),
            (r#"'it\'s "a" \u00e9\n'"#, json!("it's \"a\" é\n")),
            ("1_000", json!(1000)),
            ("1e3 rest", json!(1000.0)),
            ("[]", json!([])),
        ] {
            assert_eq!(value(text), Some(expected), "{text}");
        }
        for text in ["{'a' 1}", "[1 2]", "'open", "name", "-inf", r"'\u12'", "{1: 2}", &"[".repeat(10_000)] {
            assert_eq!(value(text), None, "{}", text.chars().take(20).collect::<String>());
        }
    }

    #[test]
    fn calls_of_known_functions_are_read() {
        let names = ["math_add".to_owned(), "now".to_owned()];
        let calls = Reader::new("[math.add(a=1, b='x'), now()] rest").calls(&names);
        assert_eq!(
            calls[0],
            Call {
                name: "math_add".to_owned(),
                arguments: Map::from_iter([("a".to_owned(), json!(1)), ("b".to_owned(), json!("x")),])
            }
        );
        assert_eq!((calls.len(), calls[1].name.as_str()), (2, "now"));
        assert!(Reader::new("other(a=1)").calls(&names).is_empty());
        assert!(Reader::new("math_add(1, 2)").calls(&names).is_empty(), "which parameters are meant is not told");
    }
}
