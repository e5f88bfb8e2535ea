//! A value that a schema of a function's parameters admits, made without a grammar.
//!
//! Only what such schemas use is looked at. Whether the value is admitted is not decided here: the walk finds out.

use serde_json::ser::Formatter;
use serde_json::{Map, Number, Value, json};

use super::documents::prose;

/// Properties that are not required are left out below this depth, so that schemas that name themselves end.
const DEEPEST: usize = 6;

/// A value of `schema`: all properties in declared order, the second of several choices.
pub(super) fn instance(schema: &Value) -> Value {
    build(schema, schema, 0)
}

/// `value` with one space behind `:` and `,`.
pub(super) fn written(value: &Value) -> String {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Spaced);
    // Values made here have no keys but strings, and writing to memory cannot fail.
    let _ = serde::Serialize::serialize(value, &mut serializer);
    String::from_utf8(out).unwrap_or_default()
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W) -> std::io::Result<()> {
        out.write_all(b": ")
    }
}

fn build(schema: &Value, root: &Value, depth: usize) -> Value {
    let list = |key: &str| schema.get(key).and_then(Value::as_array).filter(|list| !list.is_empty());
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(value) = list("enum").and_then(|values| values.get(1).or(values.first())) {
        return value.clone();
    }
    if let Some(target) =
        schema.get("$ref").and_then(Value::as_str).and_then(|path| root.pointer(path.strip_prefix('#')?))
    {
        return build(target, root, depth + 1);
    }
    if let Some(choice) = ["anyOf", "oneOf", "allOf"].iter().find_map(|key| list(key)?.first()) {
        return build(choice, root, depth + 1);
    }
    let named = schema.get("type");
    let name = named.and_then(Value::as_str).or_else(|| named?.as_array()?.first()?.as_str());
    match name {
        Some("object") => object(schema, root, depth),
        Some("array") => array(schema, root, depth),
        Some("integer") => integer(schema),
        Some("number") => number(schema),
        Some("boolean") => Value::Bool(true),
        Some("null") => Value::Null,
        _ => text(schema),
    }
}

fn object(schema: &Value, root: &Value, depth: usize) -> Value {
    let required = |name: &str| {
        let list = schema.get("required").and_then(Value::as_array);
        list.is_some_and(|list| list.iter().any(|listed| listed == name))
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    let built: Map<String, Value> = properties
        .into_iter()
        .flatten()
        .filter(|(name, _)| depth < DEEPEST || required(name))
        .map(|(name, schema)| (name.clone(), build(schema, root, depth + 1)))
        .collect();
    Value::Object(built)
}

fn array(schema: &Value, root: &Value, depth: usize) -> Value {
    let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
    let count = 2.clamp(bound("minItems").unwrap_or(0), bound("maxItems").unwrap_or(u64::MAX));
    let count = if depth < DEEPEST { count } else { bound("minItems").unwrap_or(0) };
    let prefix = schema.get("prefixItems").and_then(Value::as_array);
    let any = json!({"type": "string"});
    (0..usize::try_from(count).unwrap_or(0))
        .map(|place| {
            let item = prefix.and_then(|prefix| prefix.get(place)).or_else(|| schema.get("items")).unwrap_or(&any);
            build(item, root, depth + 1)
        })
        .collect()
}

fn integer(schema: &Value) -> Value {
    let bound = |key: &str| schema.get(key).and_then(Value::as_i64);
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum")?.checked_add(1)).unwrap_or(i64::MIN);
    let most = bound("maximum").or_else(|| bound("exclusiveMaximum")?.checked_sub(1)).unwrap_or(i64::MAX);
    json!(42.max(least).min(most))
}

fn number(schema: &Value) -> Value {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let least = bound("minimum").or_else(|| Some(bound("exclusiveMinimum")? + 0.5)).unwrap_or(f64::MIN);
    let most = bound("maximum").or_else(|| Some(bound("exclusiveMaximum")? - 0.5)).unwrap_or(f64::MAX);
    Number::from_f64(12.5_f64.max(least).min(most)).map_or(Value::Null, Value::Number)
}

fn text(schema: &Value) -> Value {
    let bound = |key: &str| schema.get(key).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok());
    let length = 30.max(bound("minLength").unwrap_or(0)).min(bound("maxLength").unwrap_or(usize::MAX));
    let formatted = match schema.get("format").and_then(Value::as_str) {
        Some("date") => "2031-05-17",
        Some("time") => "08:30:00Z",
        Some("date-time") => "2031-05-17T08:30:00Z",
        Some("email") => "keeper@harbour.example",
        Some("uri") => "https://harbour.example/lantern",
        Some("uuid") => "0b6f8a52-7d0e-4c7e-9d3a-5a1f0c2b7e64",
        Some("ipv4") => "192.0.2.17",
        _ => return Value::String(prose(length + 40, 9).chars().take(length).collect()),
    };
    Value::String(formatted.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_follow_the_schema() {
        let schema = json!({"type": "object", "properties": {
            "city": {"enum": ["Cork", "Bergen"]},
            "days": {"type": "integer", "maximum": 7},
            "legs": {"type": "array", "minItems": 1, "maxItems": 1, "items": {"$ref": "#/$defs/leg"}},
            "code": {"type": "string", "maxLength": 3},
        }, "$defs": {"leg": {"type": "object", "properties": {"rate": {"type": "number"}}}}});
        let value = written(&instance(&schema));
        assert!(value.starts_with(r#"{"city": "Bergen", "days": 7, "legs": [{"rate": 12.5}], "code": ""#), "{value}");
        assert_eq!(instance(&schema)["code"].as_str().unwrap().len(), 3);
    }
}
