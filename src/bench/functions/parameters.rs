//! The data set's words for parameters as JSON Schema: what the model is shown, and what its calls are held to.
//!
//! Types have other names in the data set (`dict`, `float`, `tuple`, `any`, those of Java and JavaScript), and its judge
//! takes each for one JSON type: `any` is a text. As in the official pipeline, names are shown with `_` for `.`, each
//! description ends with the language, and all parameters of Java and JavaScript functions are texts that hold an
//! expression, which the description says. What is no JSON Schema is left out.
//!
//! Some schemas of the data set contradict themselves: a list, or a number, with an `enum` of texts. They are shown as
//! they are, and calls are held to what was meant: the `enum` is one of a list's items, or a text beside the numbers, and a
//! default may be given, whatever the type says.
//!
//! Source: `convert_to_tool` and `_func_doc_language_specific_pre_processing` of the wheel `bfcl-eval` 2026.3.23.

use serde_json::{Map, Value, json};

use super::data::{Function, Language};
use crate::types::FunctionDefinition;

/// Keywords that are kept as they are.
const KEPT: [&str; 7] = ["description", "default", "enum", "format", "maximum", "minItems", "maxItems"];

/// A function as the model sees it.
pub(super) fn shown(function: &Function, language: Language) -> FunctionDefinition {
    let properties = function.parameters.properties.iter().map(|(name, parameter)| {
        let parameter = match language {
            Language::Python => schema(parameter),
            Language::Java => expression(parameter, "Java"),
            Language::Javascript => expression(parameter, "JavaScript"),
        };
        (name.clone(), parameter)
    });
    let properties: Map<String, Value> = properties.collect();
    let required: Vec<&String> =
        function.parameters.required.iter().filter(|name| properties.contains_key(*name)).collect();
    let parameters = json!({"type": "object", "properties": properties, "required": required});
    let syntax = match language {
        Language::Python => "Python 3",
        Language::Java => "Java 8 SDK",
        Language::Javascript => "JavaScript",
    };
    FunctionDefinition {
        name: shown_name(&function.name),
        description: format!("{} Note that the provided function is in {syntax} syntax.", function.description),
        parameters,
    }
}

/// A function's name as it is shown and called.
pub(super) fn shown_name(name: &str) -> String {
    name.replace('.', "_")
}

/// The JSON type for a type of the data set; a text where it is not known.
fn json_type(kind: Option<&str>) -> &'static str {
    match kind.unwrap_or_default() {
        "integer" | "byte" | "short" | "long" | "Bigint" => "integer",
        "number" | "float" | "double" => "number",
        "boolean" | "bool" | "Boolean" => "boolean",
        "array" | "list" | "tuple" | "ArrayList" | "Array" | "Queue" | "Stack" => "array",
        "dict" | "object" | "HashMap" | "Hashtable" => "object",
        _ => "string",
    }
}

fn kind(parameter: &Value) -> Option<&str> {
    parameter.get("type").and_then(Value::as_str)
}

fn schema(parameter: &Value) -> Value {
    let json_type = json_type(kind(parameter));
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json_type.into());
    for (keyword, value) in parameter.as_object().into_iter().flatten() {
        match (keyword.as_str(), value) {
            (kept, _) if KEPT.contains(&kept) => _ = schema.insert(keyword.clone(), value.clone()),
            ("items", _) if json_type == "array" => _ = schema.insert(keyword.clone(), self::schema(value)),
            ("properties", Value::Object(properties)) if json_type == "object" => {
                let properties = properties.iter().map(|(name, property)| (name.clone(), self::schema(property)));
                schema.insert(keyword.clone(), properties.collect::<Map<_, _>>().into());
            }
            ("required", Value::Array(_)) if json_type == "object" => {
                schema.insert(keyword.clone(), value.clone());
            }
            _ => {}
        }
    }
    schema.into()
}

/// A parameter that is a text with an expression of `language` in it.
fn expression(parameter: &Value, language: &str) -> Value {
    let kind = kind(parameter).unwrap_or_default();
    let mut description = parameter.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    if kind == "any" {
        let object = format!(" This parameter can be of any type of {language} object in string representation.");
        description.push_str(&object);
    } else {
        description.push_str(&format!(" This is {language} {kind} type parameter in string representation."));
    }
    if let ("ArrayList" | "Array" | "array", Some(item)) = (kind, parameter.get("items").and_then(self::kind)) {
        let items = format!(" The list elements are of type {item}; they are not in string representation.");
        description.push_str(&items);
    }
    if let ("dict", Some(properties)) = (kind, parameter.get("properties")) {
        let entries = format!(
            " The dictionary entries have the following schema; they are not in string representation. {properties}"
        );
        description.push_str(&entries);
    }
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "string".into());
    schema.insert("description".to_owned(), description.into());
    if let Some(default) = parameter.get("default") {
        schema.insert("default".to_owned(), default.clone());
    }
    schema.into()
}

/// What calls are held to where `shown` is shown.
pub(super) fn held(shown: &Value) -> Value {
    let held = held_without_default(shown);
    match shown.get("default") {
        Some(default) if mismatch(default, &held, "").is_some() => json!({"anyOf": [held, {"enum": [default]}]}),
        _ => held,
    }
}

fn held_without_default(shown: &Value) -> Value {
    let Value::Object(members) = shown else { return shown.clone() };
    let mut held = Map::new();
    for (keyword, value) in members {
        let value = match (keyword.as_str(), value) {
            ("description" | "default", _) => continue,
            ("items", _) => self::held(value),
            ("properties", Value::Object(properties)) => properties
                .iter()
                .map(|(name, property)| (name.clone(), self::held(property)))
                .collect::<Map<_, _>>()
                .into(),
            _ => value.clone(),
        };
        held.insert(keyword.clone(), value);
    }
    if members.get("type").and_then(Value::as_str) == Some("object") {
        let declared = members.get("properties").and_then(Value::as_object);
        // An object without declared properties takes any; a required one that is not declared could never be given.
        match declared {
            Some(declared) if !declared.is_empty() || held.contains_key("required") => {
                if let Some(Value::Array(required)) = held.get_mut("required") {
                    required.retain(|name| name.as_str().is_some_and(|name| declared.contains_key(name)));
                }
                held.insert("additionalProperties".to_owned(), false.into());
            }
            _ => {
                held.remove("required");
            }
        }
    }
    match (held.get("type").and_then(Value::as_str), held.get("enum").and_then(Value::as_array)) {
        (Some("array"), Some(choices)) if choices.iter().all(|choice| !choice.is_array()) => {
            let items = json!({"enum": choices});
            held.remove("enum");
            held.insert("items".to_owned(), items);
        }
        (Some(kind), Some(choices)) if choices.iter().any(|choice| !is_of_type(choice, kind)) => {
            return json!({"anyOf": [{"type": kind}, {"enum": choices}]});
        }
        _ => {}
    }
    held.into()
}

/// Why a value does not match a schema that [`held`] has made; none where it does.
pub(super) fn mismatch(value: &Value, schema: &Value, place: &str) -> Option<String> {
    if let Some(ways) = schema.get("anyOf").and_then(Value::as_array) {
        let fits = ways.iter().any(|way| mismatch(value, way, place).is_none());
        return (!fits).then(|| format!("{place} is none of what is allowed"));
    }
    if let Some(kind) = schema.get("type").and_then(Value::as_str)
        && !is_of_type(value, kind)
    {
        return Some(format!("{place} is not of type {kind}"));
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array)
        && !choices.contains(value)
    {
        return Some(format!("{place} is none of the allowed values"));
    }
    if let (Some(maximum), Some(number)) = (schema.get("maximum").and_then(Value::as_f64), value.as_f64())
        && number > maximum
    {
        return Some(format!("{place} is above {maximum}"));
    }
    match value {
        Value::Array(items) => {
            let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
            let count = items.len() as u64;
            if bound("minItems").is_some_and(|least| count < least)
                || bound("maxItems").is_some_and(|most| count > most)
            {
                return Some(format!("{place} has {count} items"));
            }
            let of_items = schema.get("items")?;
            items.iter().enumerate().find_map(|(at, item)| mismatch(item, of_items, &format!("{place}[{at}]")))
        }
        Value::Object(members) => {
            let required = schema.get("required").and_then(Value::as_array);
            let missing =
                required.into_iter().flatten().filter_map(Value::as_str).find(|name| !members.contains_key(*name));
            if let Some(name) = missing {
                return Some(format!("{place} lacks {name}"));
            }
            let declared = schema.get("properties").and_then(Value::as_object);
            let is_open = schema.get("additionalProperties") != Some(&Value::Bool(false));
            members.iter().find_map(|(name, member)| match declared.and_then(|declared| declared.get(name)) {
                Some(schema) => mismatch(member, schema, name),
                None => (!is_open).then(|| format!("{place} has no {name}")),
            })
        }
        _ => None,
    }
}

fn is_of_type(value: &Value, kind: &str) -> bool {
    match kind {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => value.is_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(properties: Value, required: &[&str]) -> Function {
        let parameters = json!({"type": "dict", "properties": properties, "required": required});
        serde_json::from_value(json!({"name": "a.b.c", "description": "Does.", "parameters": parameters})).unwrap()
    }

    #[test]
    fn types_become_those_of_json() {
        let properties = json!({
            "a": {"type": "dict", "properties": {"x": {"type": "float", "optional": true}}, "required": ["x"]},
            "b": {"type": "tuple", "items": {"type": "any"}, "description": "B"},
            "c": {"type": "integer", "default": 3, "enum": [1, 3]},
        });
        let shown = shown(&function(properties, &["a", "missing"]), Language::Python);
        assert_eq!(shown.name, "a_b_c");
        assert_eq!(shown.description, "Does. Note that the provided function is in Python 3 syntax.");
        let expected = json!({
            "type": "object",
            "properties": {
                "a": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
                "b": {"type": "array", "items": {"type": "string"}, "description": "B"},
                "c": {"type": "integer", "default": 3, "enum": [1, 3]},
            },
            "required": ["a"],
        });
        assert_eq!(shown.parameters, expected);
    }

    #[test]
    fn parameters_of_java_and_javascript_are_texts() {
        let properties = json!({"list": {"type": "ArrayList", "description": "A list.", "items": {"type": "String"}}});
        let java = shown(&function(properties, &[]), Language::Java);
        let description = "A list. This is Java ArrayList type parameter in string representation. The list elements are \
                           of type String; they are not in string representation.";
        assert_eq!(java.parameters["properties"]["list"], json!({"type": "string", "description": description}));
        let properties = json!({"dict": {"type": "dict", "description": "D.", "properties": {"a": {"type": "any"}}}});
        let javascript = shown(&function(properties, &[]), Language::Javascript);
        let description = javascript.parameters["properties"]["dict"]["description"].as_str().unwrap();
        assert!(description.ends_with("string representation. {\"a\":{\"type\":\"any\"}}"), "{description}");
    }

    #[test]
    fn contradictions_are_resolved_as_they_were_meant() {
        let texts = json!({"type": "array", "items": {"type": "string"}, "enum": ["a", "b"], "description": "D"});
        assert_eq!(held(&texts), json!({"type": "array", "items": {"enum": ["a", "b"]}}));
        let unit = held(&json!({"type": "string", "enum": ["C", "F"], "default": null}));
        assert!(mismatch(&json!(null), &unit, "u").is_none() && mismatch(&json!("K"), &unit, "u").is_some());
        let count = held(&json!({"type": "integer", "enum": ["1", "dontcare"]}));
        assert!(mismatch(&json!(4), &count, "n").is_none() && mismatch(&json!("dontcare"), &count, "n").is_none());
        assert_eq!(mismatch(&json!("x"), &count, "n").unwrap(), "n is none of what is allowed");
    }

    #[test]
    fn what_does_not_match_is_named() {
        let properties = json!({"a": {"type": "array", "items": {"type": "integer"}}, "b": {"type": "dict"}});
        let schema = held(&shown(&function(properties, &["a"]), Language::Python).parameters);
        for (value, expected) in [
            (json!({"a": [1, 2], "b": {"any": 1}}), None),
            (json!({"a": [1, 2.0]}), Some("a[1] is not of type integer")),
            (json!({"b": {}}), Some("the call lacks a")),
            (json!({"a": [], "c": 1}), Some("the call has no c")),
        ] {
            assert_eq!(mismatch(&value, &schema, "the call").as_deref(), expected, "{value}");
        }
    }
}
