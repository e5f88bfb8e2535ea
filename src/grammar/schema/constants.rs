//! Values that the schema lists: whether they fit the other keywords, and how they are written.

use serde_json::Value;

use super::compiler::Compiler;
use super::dfa::{TooLarge, matches};
use super::error::Error;
use super::shape::{Pattern, Shape, equal, type_of};
use super::source::Loc;
use super::terms::{literal, sequence};
use crate::grammar::ir::Expr;

impl<'a> Compiler<'a> {
    /// Whether `value` fits everything that the shape says.
    pub(super) fn fits(&mut self, shape: &Shape<'a>, value: &Value) -> Result<bool, Error> {
        self.charge(1 + shape.values.as_ref().map_or(0, Vec::len), |_| String::new())?;
        if shape.types & type_of(value) == 0 {
            return Ok(false);
        }
        if let Some(values) = &shape.values
            && !values.iter().any(|listed| equal(listed, value))
        {
            return Ok(false);
        }
        let within = |count: usize, min: u64, max: Option<u64>| {
            let count = count as u64;
            min <= count && max.is_none_or(|max| count <= max)
        };
        match value {
            Value::Null | Value::Bool(_) => Ok(true),
            Value::Number(number) => Ok(shape.numbers.admits(number)),
            Value::String(text) => {
                let strings = &shape.strings;
                if !within(text.chars().count(), strings.min, strings.max) {
                    return Ok(false);
                }
                for pattern in &strings.patterns {
                    if !self.matches(pattern, text)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Value::Array(items) => {
                if !within(items.len(), shape.arrays.min, shape.arrays.max) {
                    return Ok(false);
                }
                for (index, item) in items.iter().enumerate() {
                    self.charge(shape.arrays.parts.len(), |_| String::new())?;
                    let places = item_places(shape, index);
                    if !self.all_hold(&places, item)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Value::Object(members) => {
                let objects = &shape.objects;
                self.charge(objects.required.len(), |_| String::new())?;
                let has_required = objects.required.iter().all(|name| members.contains_key(*name));
                if !has_required || !within(members.len(), objects.min, objects.max) {
                    return Ok(false);
                }
                for (name, member) in members {
                    let places = self.member_places(shape, name)?;
                    if !self.all_hold(&places, member)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    /// Whether the whole of `text` matches.
    fn matches(&mut self, pattern: &Pattern, text: &str) -> Result<bool, Error> {
        let pointer = || pattern.pointer.to_string();
        match matches(&pattern.re, text, self.work_left()) {
            Ok((holds, work)) => {
                self.charge(work, |_| pointer())?;
                Ok(holds)
            }
            Err(TooLarge { work }) => {
                self.charge(work, |_| pointer())?;
                let problem = "the pattern is too large to check names and listed values with".into();
                Err(Error::Unsupported { pointer: pointer(), problem })
            }
        }
    }

    /// Whether `value` fits all schemas of `places`.
    fn all_hold(&mut self, places: &[Loc], value: &Value) -> Result<bool, Error> {
        if places.is_empty() {
            return Ok(true);
        }
        for shape in self.combined(places)? {
            if self.fits(&shape, value)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is said of the property `name`.
    pub(super) fn member_places(&mut self, shape: &Shape<'a>, name: &str) -> Result<Vec<Loc>, Error> {
        self.charge(shape.objects.parts.len(), |_| String::new())?;
        let mut found = Vec::new();
        for part in &shape.objects.parts {
            let before = found.len();
            found.extend(part.by_name.get(name));
            for (pattern, loc) in &part.patterns {
                if self.matches(pattern, name)? {
                    found.push(*loc);
                }
            }
            if found.len() == before {
                found.extend(part.rest);
            }
        }
        Ok(found)
    }

    /// A value as the schema writes it.
    pub(super) fn constant(&mut self, value: &Value) -> Result<Expr, Error> {
        Ok(match value {
            Value::Array(items) => {
                let mut parts = Vec::with_capacity(items.len() * 2);
                for item in items {
                    if !parts.is_empty() {
                        parts.push(self.comma()?);
                    }
                    parts.push(self.constant(item)?);
                }
                let (open, close) = ("[", "]");
                if items.is_empty() { self.hollow(open, close)? } else { self.filled(open, parts, close)? }
            }
            Value::Object(members) => {
                let mut parts = Vec::with_capacity(members.len() * 4);
                for (name, member) in members {
                    if !parts.is_empty() {
                        parts.push(self.comma()?);
                    }
                    parts.extend([quoted(name), self.colon()?, self.constant(member)?]);
                }
                let (open, close) = ("{", "}");
                if members.is_empty() { self.hollow(open, close)? } else { self.filled(open, parts, close)? }
            }
            scalar => literal(scalar.to_string()),
        })
    }

    fn hollow(&mut self, open: &str, close: &str) -> Result<Expr, Error> {
        Ok(sequence([literal(open), self.space()?, literal(close)]))
    }

    fn filled(&mut self, open: &str, parts: Vec<Expr>, close: &str) -> Result<Expr, Error> {
        self.bracketed((open, close), sequence(parts), false)
    }
}

/// What is said of the item at `index`.
pub(super) fn item_places(shape: &Shape<'_>, index: usize) -> Vec<Loc> {
    let parts = shape.arrays.parts.iter();
    parts.filter_map(|part| part.prefix.get(index).copied().or(part.rest)).collect()
}

/// A property's name with its quotes.
pub(super) fn quoted(name: &str) -> Expr {
    literal(serde_json::Value::from(name).to_string())
}
