//! Reads the keywords of one schema.

use std::collections::HashSet;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::Options;
use super::error::Error;
use super::formats::{self, Format};
use super::numbers::{Bound, Decimal};
use super::pattern::Re;
use super::shape::{ALL, ARRAY, ArrayPart, BOOLEAN, NULL, NUMBER, OBJECT, ObjectPart, Pattern, STRING, Shape};
use super::source::{Loc, Source, below};

/// Says nothing of values.
const ANNOTATIONS: [&str; 17] = [
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "$schema",
    "$id",
    "$comment",
    "$anchor",
    "$defs",
    "definitions",
    "$vocabulary",
];

/// What one schema says, its alternatives apart.
pub(super) struct Keywords<'a> {
    pub(super) shape: Shape<'a>,
    /// Schemas that must hold as well: `$ref` and `allOf`.
    pub(super) all: Vec<Loc>,
    /// `anyOf`: one of these must hold.
    pub(super) any: Vec<Loc>,
    /// `oneOf`: exactly one of these must hold.
    pub(super) one: Vec<Loc>,
}

struct Reader<'s, 'a> {
    source: &'s mut Source<'a>,
    options: &'s Options,
    loc: Loc,
    pointer: String,
    members: &'a Map<String, Value>,
}

/// Reads the schema at `loc`, an object.
pub(super) fn read<'a>(
    source: &mut Source<'a>,
    options: &Options,
    loc: Loc,
    members: &'a Map<String, Value>,
) -> Result<Keywords<'a>, Error> {
    let pointer = source.pointer(loc).to_owned();
    Reader { source, options, loc, pointer, members }.read()
}

impl<'a> Reader<'_, 'a> {
    fn read(&mut self) -> Result<Keywords<'a>, Error> {
        let mut found = Keywords { shape: Shape::any(), all: Vec::new(), any: Vec::new(), one: Vec::new() };
        let mut items = ArrayPart::default();
        let mut properties = ObjectPart::default();
        let shape = &mut found.shape;
        let members = self.members;
        for (keyword, value) in members {
            match keyword.as_str() {
                annotation if ANNOTATIONS.contains(&annotation) => {}
                "type" => self.types(value, shape)?,
                "enum" => {
                    let values: Vec<&Value> = self.array(keyword, value)?.iter().collect();
                    if values.is_empty() {
                        let problem = "the list of allowed values is empty".into();
                        return Err(Error::Unsatisfiable { pointer: self.at(keyword), problem });
                    }
                    self.restrict(shape, values, keyword)?;
                }
                "const" => self.restrict(shape, vec![value], keyword)?,
                "minLength" => shape.strings.min = self.count(keyword, value)?,
                "maxLength" => shape.strings.max = Some(self.count(keyword, value)?),
                "pattern" => {
                    let pattern = self.pattern(self.at(keyword), self.string(keyword, value)?)?;
                    shape.strings.patterns.push(pattern);
                }
                "format" => self.format(value, shape)?,
                "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum" | "multipleOf" => {
                    self.number(keyword, value, shape)?;
                }
                "minItems" => shape.arrays.min = self.count(keyword, value)?,
                "maxItems" => shape.arrays.max = Some(self.count(keyword, value)?),
                "uniqueItems" => self.unique_items(value)?,
                "items" => items.rest = Some(self.schema(keyword, value)?),
                "prefixItems" => items.prefix = self.schemas(keyword, value)?,
                "minProperties" => shape.objects.min = self.count(keyword, value)?,
                "maxProperties" => shape.objects.max = Some(self.count(keyword, value)?),
                "required" => {
                    let mut seen = HashSet::new();
                    for name in self.array(keyword, value)? {
                        let name = self.string(keyword, name)?;
                        if seen.insert(name) {
                            shape.objects.required.push(name);
                        }
                    }
                }
                "properties" => {
                    let pointer = self.at(keyword);
                    for (name, schema) in self.object(keyword, value)? {
                        let loc = self.place(schema, below(&pointer, name))?;
                        properties.declared.push(name);
                        properties.by_name.insert(name, loc);
                    }
                }
                "patternProperties" => {
                    let pointer = self.at(keyword);
                    for (pattern, schema) in self.object(keyword, value)? {
                        let pointer = below(&pointer, pattern);
                        let loc = self.place(schema, pointer.clone())?;
                        properties.patterns.push((self.pattern(pointer, pattern)?, loc));
                    }
                }
                "additionalProperties" => properties.rest = Some(self.schema(keyword, value)?),
                "$ref" => {
                    let reference = self.string(keyword, value)?;
                    found.all.push(self.source.resolve(self.loc, reference)?);
                }
                "allOf" => found.all.extend(self.some_schemas(keyword, value)?),
                "anyOf" => found.any = self.some_schemas(keyword, value)?,
                "oneOf" => found.one = self.some_schemas(keyword, value)?,
                _ => return Err(self.unsupported(keyword)),
            }
        }
        if properties.rest.is_none() && !self.options.undeclared_properties && members.contains_key("properties") {
            properties.rest = Some(self.source.place(&Value::Bool(false), || below(&self.pointer, "properties")));
        }
        if items != ArrayPart::default() {
            shape.arrays.parts.push(Rc::new(items));
        }
        if properties != ObjectPart::default() {
            shape.objects.parts.push(Rc::new(properties));
        }
        let settled = std::mem::take(shape).settled();
        found.shape = settled.map_err(|problem| Error::Unsatisfiable { pointer: self.pointer.clone(), problem })?;
        Ok(found)
    }

    fn at(&self, keyword: &str) -> String {
        below(&self.pointer, keyword)
    }

    fn unsupported(&self, keyword: &str) -> Error {
        let problem = format!("the keyword `{keyword}` is not supported");
        Error::Unsupported { pointer: self.at(keyword), problem }
    }

    fn invalid<T>(&self, keyword: &str, wanted: &str) -> Result<T, Error> {
        Err(Error::Invalid { pointer: self.at(keyword), problem: format!("`{keyword}` must be {wanted}") })
    }

    fn array(&self, keyword: &str, value: &'a Value) -> Result<&'a Vec<Value>, Error> {
        value.as_array().map_or_else(|| self.invalid(keyword, "an array"), Ok)
    }

    fn object(&self, keyword: &str, value: &'a Value) -> Result<&'a Map<String, Value>, Error> {
        value.as_object().map_or_else(|| self.invalid(keyword, "an object"), Ok)
    }

    fn string(&self, keyword: &str, value: &'a Value) -> Result<&'a str, Error> {
        value.as_str().map_or_else(|| self.invalid(keyword, "made of strings"), Ok)
    }

    fn count(&self, keyword: &str, value: &Value) -> Result<u64, Error> {
        let whole = value.as_f64().filter(|count| count.fract() == 0.0 && (0.0..1e15).contains(count));
        // Whole and below 10^15: exact.
        let count = value.as_u64().or_else(|| whole.map(|count| count as u64));
        count.map_or_else(|| self.invalid(keyword, "a whole number from 0"), Ok)
    }

    fn place(&mut self, schema: &'a Value, pointer: String) -> Result<Loc, Error> {
        if !schema.is_object() && !schema.is_boolean() {
            return Err(Error::Invalid { pointer, problem: "a schema must be an object, true or false".into() });
        }
        Ok(self.source.place(schema, || pointer))
    }

    fn schema(&mut self, keyword: &str, schema: &'a Value) -> Result<Loc, Error> {
        if keyword == "items" && schema.is_array() {
            let problem = "`items` must be one schema; a list of them is called `prefixItems`".into();
            return Err(Error::Invalid { pointer: self.at(keyword), problem });
        }
        self.place(schema, self.at(keyword))
    }

    fn schemas(&mut self, keyword: &str, value: &'a Value) -> Result<Vec<Loc>, Error> {
        let pointer = self.at(keyword);
        let all = self.array(keyword, value)?.iter().enumerate();
        all.map(|(index, schema)| self.place(schema, below(&pointer, &index.to_string()))).collect()
    }

    fn some_schemas(&mut self, keyword: &str, value: &'a Value) -> Result<Vec<Loc>, Error> {
        let found = self.schemas(keyword, value)?;
        if found.is_empty() { self.invalid(keyword, "a list of at least one schema") } else { Ok(found) }
    }

    fn types(&self, value: &'a Value, shape: &mut Shape<'a>) -> Result<(), Error> {
        let names = match value {
            Value::Array(names) => names.as_slice(),
            name => std::slice::from_ref(name),
        };
        let (mut types, mut has_number, mut has_integer) = (0, false, false);
        for name in names {
            types |= match name.as_str() {
                Some("null") => NULL,
                Some("boolean") => BOOLEAN,
                Some("string") => STRING,
                Some("array") => ARRAY,
                Some("object") => OBJECT,
                Some("number") => {
                    has_number = true;
                    NUMBER
                }
                Some("integer") => {
                    has_integer = true;
                    NUMBER
                }
                _ => {
                    let problem = format!("{name} is no type of JSON Schema");
                    return Err(Error::Invalid { pointer: self.at("type"), problem });
                }
            };
        }
        if names.is_empty() {
            let problem = "the list of types is empty".into();
            return Err(Error::Unsatisfiable { pointer: self.at("type"), problem });
        }
        shape.types = types & ALL;
        shape.numbers.is_integer |= has_integer && !has_number;
        Ok(())
    }

    fn restrict(&self, shape: &mut Shape<'a>, values: Vec<&'a Value>, keyword: &str) -> Result<(), Error> {
        // Words that come twice would only make the grammar larger.
        let mut seen = HashSet::new();
        let distinct = values.into_iter().filter(|value| value.as_str().is_none_or(|text| seen.insert(text))).collect();
        let listed = Shape { values: Some(distinct), ..Shape::any() };
        let both = std::mem::take(shape).and(&listed);
        *shape = both.map_err(|problem| Error::Unsatisfiable { pointer: self.at(keyword), problem })?;
        Ok(())
    }

    fn pattern(&self, pointer: String, pattern: &str) -> Result<Pattern, Error> {
        match Re::parse(pattern) {
            Ok(re) => Ok(Pattern { re: Rc::new(re), pointer: pointer.into() }),
            Err(problem) => Err(Error::Unsupported { pointer, problem }),
        }
    }

    fn format(&self, value: &'a Value, shape: &mut Shape<'a>) -> Result<(), Error> {
        let pointer = self.at("format");
        match formats::find(self.string("format", value)?) {
            Some(Format::Annotation) => {}
            Some(Format::Text(pattern)) => shape.strings.patterns.push(self.pattern(pointer, pattern)?),
            Some(Format::Range(min, max)) => {
                Bound::at(Decimal::from_integer(min), true).into_iter().for_each(|min| shape.numbers.raise(min));
                Bound::at(Decimal::from_integer(max), true).into_iter().for_each(|max| shape.numbers.lower(max));
            }
            None => {
                let problem = format!("the format {value} is not supported; supported are {}", formats::NAMES);
                return Err(Error::Unsupported { pointer, problem });
            }
        }
        Ok(())
    }

    fn number(&self, keyword: &str, value: &Value, shape: &mut Shape<'a>) -> Result<(), Error> {
        let Value::Number(number) = value else { return self.invalid(keyword, "a number") };
        let decimal = Decimal::from_number(number);
        let numbers = &mut shape.numbers;
        if keyword == "multipleOf" {
            if !decimal.is_positive() {
                return self.invalid(keyword, "above 0");
            }
            let divided = numbers.divide(&decimal);
            return divided.map_err(|problem| Error::Unsupported { pointer: self.at(keyword), problem });
        }
        let Some(bound) = Bound::at(decimal, !keyword.starts_with("exclusive")) else {
            let problem = format!("{number} has more digits than the compiler takes");
            return Err(Error::Unsupported { pointer: self.at(keyword), problem });
        };
        if keyword.ends_with("inimum") {
            numbers.raise(bound)
        } else {
            numbers.lower(bound)
        }
        Ok(())
    }

    fn unique_items(&self, value: &Value) -> Result<(), Error> {
        let short = self.members.get("maxItems").and_then(Value::as_u64).is_some_and(|max| max <= 1);
        match value {
            Value::Bool(false) => Ok(()),
            Value::Bool(true) if short => Ok(()),
            Value::Bool(true) => {
                let problem = "`uniqueItems` is supported only with a `maxItems` of at most 1".into();
                Err(Error::Unsupported { pointer: self.at("uniqueItems"), problem })
            }
            _ => self.invalid("uniqueItems", "true or false"),
        }
    }
}
