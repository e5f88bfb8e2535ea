//! What a set of schema places says of one value, without alternatives: the conjunction of all their keywords.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use serde_json::Value;

use super::numbers::Numbers;
use super::pattern::Re;
use super::source::Loc;

pub(super) const NULL: u8 = 1;
pub(super) const BOOLEAN: u8 = 2;
pub(super) const NUMBER: u8 = 4;
pub(super) const STRING: u8 = 8;
pub(super) const ARRAY: u8 = 16;
pub(super) const OBJECT: u8 = 32;
pub(super) const ALL: u8 = 63;

/// A conjunction of keywords. What is said of a type whose bit in `types` is not set says nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Shape<'a> {
    pub(super) types: u8,
    pub(super) numbers: Numbers,
    pub(super) strings: Strings,
    pub(super) arrays: Arrays,
    pub(super) objects: Objects<'a>,
    /// The only values, if they are listed; they must fit everything else as well.
    pub(super) values: Option<Vec<&'a Value>>,
}

/// A pattern or format with the pointer of its keyword.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pattern {
    pub(super) re: Rc<Re>,
    pub(super) pointer: Rc<str>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Strings {
    /// In characters.
    pub(super) min: u64,
    pub(super) max: Option<u64>,
    pub(super) patterns: Vec<Pattern>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Arrays {
    pub(super) min: u64,
    pub(super) max: Option<u64>,
    /// One for each schema that says something of items.
    pub(super) parts: Vec<Rc<ArrayPart>>,
}

/// `prefixItems` and `items` of one schema.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ArrayPart {
    pub(super) prefix: Vec<Loc>,
    pub(super) rest: Option<Loc>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Objects<'a> {
    pub(super) min: u64,
    pub(super) max: Option<u64>,
    pub(super) required: Vec<&'a str>,
    /// One for each schema that says something of properties.
    pub(super) parts: Vec<Rc<ObjectPart<'a>>>,
}

/// `properties`, `patternProperties` and `additionalProperties` of one schema.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ObjectPart<'a> {
    /// In the order of the schema.
    pub(super) declared: Vec<&'a str>,
    pub(super) by_name: HashMap<&'a str, Loc>,
    pub(super) patterns: Vec<(Pattern, Loc)>,
    pub(super) rest: Option<Loc>,
}

impl<'a> Shape<'a> {
    /// Any value.
    pub(super) fn any() -> Self {
        Self { types: ALL, ..Self::default() }
    }

    /// Steps that [`Shape::and`] takes, about.
    pub(super) fn cost_beside(&self, other: &Self) -> usize {
        let values = |shape: &Self| shape.values.as_ref().map_or(0, Vec::len);
        let parts = |shape: &Self| shape.strings.patterns.len() + shape.arrays.parts.len() + shape.objects.parts.len();
        let required = self.objects.required.len() + other.objects.required.len();
        8 + required + values(self) + values(other) + values(self) * values(other) + parts(self) * parts(other)
    }

    /// Both; or what contradicts what.
    pub(super) fn and(mut self, other: &Self) -> Result<Self, String> {
        let types = self.types & other.types;
        if types == 0 && self.types != 0 && other.types != 0 {
            return Err(format!(
                "it would have to be {} and {}",
                types_in_words(self.types),
                types_in_words(other.types)
            ));
        }
        self.types = types;
        self.numbers.intersect(&other.numbers);
        let (mine, others) = (&mut self.strings, &other.strings);
        narrow(&mut mine.min, &mut mine.max, others.min, others.max);
        extend(&mut mine.patterns, &others.patterns, |one, other| Rc::ptr_eq(&one.re, &other.re));
        let (mine, others) = (&mut self.arrays, &other.arrays);
        narrow(&mut mine.min, &mut mine.max, others.min, others.max);
        extend(&mut mine.parts, &others.parts, Rc::ptr_eq);
        let (mine, others) = (&mut self.objects, &other.objects);
        narrow(&mut mine.min, &mut mine.max, others.min, others.max);
        let known: HashSet<&str> = mine.required.iter().copied().collect();
        mine.required.extend(others.required.iter().filter(|name| !known.contains(*name)));
        extend(&mut mine.parts, &others.parts, Rc::ptr_eq);
        self.values = match (self.values.take(), &other.values) {
            (Some(mine), Some(others)) => {
                let both = mine.into_iter().filter(|value| others.iter().any(|other| equal(value, other)));
                let both: Vec<&Value> = both.collect();
                if both.is_empty() {
                    return Err("no value is in both lists of allowed values".into());
                }
                Some(both)
            }
            (mine, others) => mine.or_else(|| others.clone()),
        };
        self.settled()
    }

    /// Takes out the types that no value of is left; an error where that leaves none.
    pub(super) fn settled(mut self) -> Result<Self, String> {
        let mut problem = None;
        let mut check = |bit: u8, found: Option<String>| {
            if self.types & bit != 0
                && let Some(found) = found
            {
                self.types &= !bit;
                problem = Some(found);
            }
        };
        check(NUMBER, self.numbers.contradiction());
        check(STRING, crossed("length", self.strings.min, self.strings.max));
        check(ARRAY, crossed("number of items", self.arrays.min, self.arrays.max));
        let needed = self.objects.min.max(self.objects.required.len() as u64);
        check(OBJECT, crossed("number of properties", needed, self.objects.max));
        if self.types == 0 {
            return Err(problem.unwrap_or_else(|| "it has no type".into()));
        }
        Ok(self)
    }

    /// Whether nothing is said at all.
    pub(super) fn is_any(&self) -> bool {
        *self == Self::any()
    }
}

fn crossed(what: &str, min: u64, max: Option<u64>) -> Option<String> {
    let max = max.filter(|max| *max < min)?;
    Some(format!("the {what} would have to be at least {min} and at most {max}"))
}

fn narrow(min: &mut u64, max: &mut Option<u64>, other_min: u64, other_max: Option<u64>) {
    *min = (*min).max(other_min);
    *max = max.map_or(other_max, |max| Some(other_max.map_or(max, |other| max.min(other))));
}

/// Adds what is not there yet. The parts of one schema are the same wherever it is taken in.
fn extend<T: Clone>(mine: &mut Vec<T>, others: &[T], is_same: impl Fn(&T, &T) -> bool) {
    for other in others {
        if !mine.iter().any(|known| is_same(known, other)) {
            mine.push(other.clone());
        }
    }
}

/// The types of a set, for messages.
pub(super) fn types_in_words(types: u8) -> String {
    let names = [
        (NULL, "null"),
        (BOOLEAN, "boolean"),
        (NUMBER, "number"),
        (STRING, "string"),
        (ARRAY, "array"),
        (OBJECT, "object"),
    ];
    let found: Vec<&str> = names.iter().filter(|(bit, _)| types & bit != 0).map(|(_, name)| *name).collect();
    found.join(" or ")
}

/// The bit of a value's type.
pub(super) const fn type_of(value: &Value) -> u8 {
    match value {
        Value::Null => NULL,
        Value::Bool(_) => BOOLEAN,
        Value::Number(_) => NUMBER,
        Value::String(_) => STRING,
        Value::Array(_) => ARRAY,
        Value::Object(_) => OBJECT,
    }
}

/// Equality of JSON Schema: numbers by value, objects in any order.
pub(super) fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => super::numbers::equal(one, other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let same = |(key, value): (&String, &Value)| other.get(key).is_some_and(|other| equal(value, other));
            one.len() == other.len() && one.iter().all(same)
        }
        _ => one == other,
    }
}
