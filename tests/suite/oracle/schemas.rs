//! Masks of compiled JSON Schemas against llguidance's own compiler, on what both hold in the same way.

use llguidance::api::TopLevelGrammar;
use mneme::grammar::schema::{Options, Whitespace, compile};
use mneme::grammar::{Compiler, Limits};
use serde_json::{Value, json};

use super::World;
use super::llguidance::{Plan, compare, peer};

/// Schemas that hold one thing each.
fn small() -> Vec<Value> {
    vec![
        json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"type": "null"}},
            "required": ["b"], "additionalProperties": false}),
        json!({"enum": ["red", "green", "greenish", 7, 70, null, true]}),
        json!({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 4}),
        json!({"type": "array", "prefixItems": [{"type": "integer"}, {"const": "x"}], "items": false}),
        json!({"anyOf": [{"type": "string", "maxLength": 5}, {"type": "integer", "minimum": -20, "maximum": 300}]}),
        json!({"type": "string", "minLength": 2, "maxLength": 12}),
        json!({"type": "string", "pattern": "^[a-z]{2,5}(-[0-9]+)?$"}),
        json!({"type": "object", "properties": {"value": {"type": "number"}, "next": {"$ref": "#"}},
            "required": ["value"], "additionalProperties": false}),
        json!({"type": "object", "additionalProperties": {"type": "array", "items": {"type": "integer"}}}),
    ]
}

/// Every eighth schema of the collection, with its objects closed as calls want them.
pub fn collected() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tool_schemas.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .step_by(8)
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["parameters"].take())
        .map(|mut schema| {
            close(&mut schema);
            schema
        })
        .collect()
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            if fields.get("properties").is_some_and(Value::is_object) && fields.contains_key("type") {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// Whether the engines may disagree on `token` behind `text`: on escapes (here surrogates come in pairs only), on
/// `-0`, which is no spelling of an integer here, and on the control character DEL, which llguidance never writes.
fn may_differ(text: &[u8], token: &[u8]) -> bool {
    let joined = [&text[text.len().saturating_sub(1)..], token].concat();
    token.contains(&b'\\') || token.contains(&0x7F) || joined.windows(2).any(|pair| pair == b"-0")
}

/// Keeps walks away from escapes and from numbers of more digits than are written here.
fn avoided(text: &[u8], token: &[u8]) -> bool {
    let is_number = |byte: &u8| byte.is_ascii_digit() || b"+-.".contains(byte);
    let digits = text.iter().rev().take_while(|byte| is_number(byte)).count();
    let exponent = digits > 0 && token.first().is_some_and(|first| b"eE".contains(first));
    may_differ(text, token) || (digits + token.len() > 8 && token.iter().any(is_number)) || exponent
}

#[test]
fn masks_of_schemas_agree_with_llguidance() {
    let vocab = &World::small().vocab;
    let compiler = Compiler::new(vocab.clone(), Limits::default());
    let options = Options { whitespace: Whitespace::Compact, ..Options::default() };
    let (mut decisions, mut compared) = (0, 0);
    for schema in small().into_iter().chain(collected()) {
        let name = schema.to_string();
        let grammar = compiler.compile_ir(&compile(&schema, &options).unwrap()).unwrap();
        let mut theirs = schema.clone();
        theirs["x-guidance"] = json!({"whitespace_flexible": false});
        let start = || peer(TopLevelGrammar::from_json_schema(theirs.clone()));
        let plan = Plan { prefixes: 40, once: false, seed: 17, may_differ, avoided };
        decisions += compare(&name, &grammar, start, &plan).unwrap_or_else(|error| panic!("{name}: {error}"));
        compared += 1;
    }
    assert!(compared >= 35 && decisions > 50_000_000, "{compared} schemas, {decisions} decisions");
}
