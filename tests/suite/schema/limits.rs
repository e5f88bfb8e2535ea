//! What is refused: unknown keywords, contradictions, endless schemas, and schemas that would cost too much.

use mneme::grammar::schema::{Error, Limits, Options, compile};
use serde_json::{Value, json};

use super::keywords::refusal;
use super::{accepts, compiler, grammar_of};

#[test]
fn unknown_keywords_are_named_by_their_pointer() {
    for keyword in [
        "not",
        "if",
        "contains",
        "dependentRequired",
        "propertyNames",
        "unevaluatedProperties",
        "$dynamicRef",
        "optional",
    ] {
        let error = refusal(&json!({"properties": {"a/b": {"items": {keyword: {}}}}}));
        assert_eq!(error.pointer(), format!("/properties/a~1b/items/{keyword}"));
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    }
}

#[test]
fn malformed_keywords_are_refused() {
    for (schema, pointer) in [
        (json!({"type": "text"}), "/type"),
        (json!({"type": 5}), "/type"),
        (json!({"enum": "a"}), "/enum"),
        (json!({"minLength": -1}), "/minLength"),
        (json!({"minLength": 1.5}), "/minLength"),
        (json!({"exclusiveMinimum": true}), "/exclusiveMinimum"),
        (json!({"properties": []}), "/properties"),
        (json!({"properties": {"a": 1}}), "/properties/a"),
        (json!({"required": "a"}), "/required"),
        (json!({"anyOf": []}), "/anyOf"),
        (json!({"multipleOf": 0}), "/multipleOf"),
        (json!({"pattern": "("}), "/pattern"),
        (json!({"$ref": "#/nowhere"}), "/$ref"),
        (json!({"$ref": "http://example.org/x"}), "/$ref"),
        (json!({"items": {"$id": "x", "items": {"$ref": "#"}}}), "/items/items/$ref"),
    ] {
        assert_eq!(refusal(&schema).pointer(), pointer, "{schema}");
    }
    assert!(matches!(refusal(&json!([])), Error::Invalid { .. }));
}

#[test]
fn contradictions_say_what_contradicts_what() {
    for (schema, pointer) in [
        (json!(false), ""),
        (json!({"enum": []}), "/enum"),
        (json!({"type": "integer", "minimum": 5, "maximum": 4}), ""),
        (json!({"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 6}), ""),
        (json!({"type": "integer", "multipleOf": 10, "minimum": 1, "maximum": 9}), ""),
        (json!({"properties": {"a": {"type": "string", "minLength": 3, "maxLength": 2}}}), "/properties/a"),
        (json!({"type": "array", "minItems": 3, "maxItems": 2}), ""),
        (json!({"type": "object", "required": ["a", "b"], "maxProperties": 1}), ""),
        (json!({"type": "string", "const": 1}), ""),
        (json!({"type": "object", "properties": {"a": false}, "required": ["a"]}), "/properties/a"),
        (json!({"allOf": [{"type": "string"}, {"type": "integer"}]}), ""),
        (json!({"allOf": [{"const": 1}, {"const": 2}]}), ""),
        (json!({"type": "string", "pattern": "^a$", "allOf": [{"pattern": "^b$"}]}), ""),
        (json!({"type": "array", "minItems": 1, "items": false}), "/items"),
        (json!({"type": "object", "additionalProperties": false, "minProperties": 1}), ""),
        (json!({"type": "number", "multipleOf": 0.1, "minimum": 0.01, "maximum": 0.09}), ""),
    ] {
        let error = refusal(&schema);
        assert!(matches!(error, Error::Unsatisfiable { .. }), "{schema}: {error}");
        assert_eq!(error.pointer(), pointer, "{schema}: {error}");
    }
}

#[test]
fn recursion_without_a_base_case_is_refused() {
    for (schema, pointer) in [
        (json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}), ""),
        (json!({"type": "array", "items": {"$ref": "#"}, "minItems": 1}), ""),
        (
            json!({"properties": {"p": {"$defs": {"n": {"type": "array", "items": {"$ref": "#/properties/p/$defs/n"}, "minItems": 1}}, "$ref": "#/properties/p/$defs/n"}}}),
            "/properties/p",
        ),
    ] {
        let error = refusal(&schema);
        assert!(matches!(error, Error::NeverEnds { .. }), "{schema}: {error}");
        assert_eq!(error.pointer(), pointer, "{schema}: {error}");
    }
}

#[test]
fn a_schema_that_leads_back_to_itself_is_compiled_where_that_adds_nothing() {
    for schema in [
        json!({"anyOf": [{"type": "null"}, {"$ref": "#"}]}),
        json!({"anyOf": [{"allOf": [{"$ref": "#/$defs/a"}], "type": "null"}, {"type": "null"}], "$defs": {"a": {"$ref": "#"}}}),
    ] {
        let grammar = grammar_of(&compiler(), &schema, &Options::default()).unwrap();
        assert!(accepts(&grammar, "null") && !accepts(&grammar, "1"), "{schema}");
    }
    let list = json!({"type": ["array", "null"], "items": {"anyOf": [{"$ref": "#"}, {"type": "integer"}]},
        "anyOf": [{"maxItems": 1}, {"$ref": "#", "minItems": 1}]});
    let grammar = grammar_of(&compiler(), &list, &Options::default()).unwrap();
    assert!(accepts(&grammar, "[[[1]]]") && !accepts(&grammar, "[1, 2]"));
    for (schema, pointer) in [
        (json!({"$ref": "#"}), ""),
        (json!({"allOf": [{"$ref": "#"}]}), ""),
        (json!({"oneOf": [{"type": "null"}, {"$ref": "#"}]}), ""),
        // The second branch of each adds what the other schema has.
        (
            json!({"$defs": {"a": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/b"}]}, "b": {"anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}),
            "/$defs/a",
        ),
    ] {
        let error = refusal(&schema);
        assert!(matches!(error, Error::Circular { .. }), "{schema}: {error}");
        assert_eq!(error.pointer(), pointer, "{schema}: {error}");
    }
    let nothing = refusal(&json!({"anyOf": [{"$ref": "#"}]}));
    assert!(matches!(nothing, Error::Unsatisfiable { .. }), "{nothing}");
}

#[test]
fn a_schema_nested_a_hundred_thousand_deep_is_refused() {
    for nested in [
        (|inner: Value| json!({"items": inner})) as fn(Value) -> Value,
        |inner| json!({"anyOf": [inner]}),
        |inner| json!({"const": [inner]}),
    ] {
        // `json!` would copy the inner value; it is moved instead.
        let mut schema = Value::Bool(true);
        let template = nested(Value::Null);
        let key = template.as_object().unwrap().keys().next().unwrap().clone();
        let is_list = template[&key].is_array();
        for _ in 0..100_000 {
            let inner = if is_list { Value::Array(vec![schema]) } else { schema };
            schema = Value::Object([(key.clone(), inner)].into_iter().collect());
        }
        let error = compile(&schema, &Options::default()).unwrap_err();
        assert!(matches!(error, Error::Limit { what: "nesting", .. }), "{error}");
        dismantle(schema);
    }
}

/// Drops a deep value without recursion.
fn dismantle(value: Value) {
    let mut pending = vec![value];
    while let Some(value) = pending.pop() {
        match value {
            Value::Array(items) => pending.extend(items),
            Value::Object(members) => pending.extend(members.into_iter().map(|(_, member)| member)),
            _ => {}
        }
    }
}

#[test]
fn lists_and_branches_that_lead_back_to_themselves_end() {
    let listed = json!({"enum": [{"a": {"a": {}}}, {}], "properties": {"a": {"$ref": "#"}}});
    let grammar = grammar_of(&compiler(), &listed, &Options::default()).unwrap();
    assert!(accepts(&grammar, "{}") && !accepts(&grammar, r#"{"a": {"a": {}}}"#));
    let back = json!({"oneOf": [
        {"type": "object", "properties": {"k": {"$ref": "#"}}, "required": ["k"]},
        {"type": "object", "properties": {"k": {"type": "null"}}, "required": ["k"]},
    ]});
    assert!(matches!(refusal(&back), Error::Overlap { .. }));
    let apart = json!({"oneOf": [
        {"type": "object", "properties": {"k": {"$ref": "#"}, "is": {"const": 1}}, "required": ["k", "is"]},
        {"type": "object", "properties": {"k": {"type": "null"}, "is": {"const": 2}}, "required": ["k", "is"]},
    ]});
    let grammar = grammar_of(&compiler(), &apart, &Options::default()).unwrap();
    assert!(accepts(&grammar, r#"{"k": {"k": null, "is": 2}, "is": 1}"#));
}

/// Schemas that grow out of proportion to what is written. Each must be refused or compiled, soon.
#[test]
fn schemas_that_blow_up_end_in_a_limit() {
    let chain = |count: usize, link: &dyn Fn(usize) -> Value| {
        let mut defs: serde_json::Map<String, Value> = (0..count).map(|n| (format!("d{n}"), link(n + 1))).collect();
        defs.insert(format!("d{count}"), json!({"type": "null"}));
        json!({"$defs": defs, "$ref": "#/$defs/d0"})
    };
    let reference = |n: usize| json!({"$ref": format!("#/$defs/d{n}")});
    let long = chain(5000, &|n| reference(n));
    assert!(matches!(refusal(&long), Error::Limit { .. }));
    let doubled = chain(60, &|n| json!({"allOf": [reference(n), reference(n)]}));
    assert!(compile(&doubled, &Options::default()).is_ok());
    let proofs = chain(300, &|n| {
        let branch = |k: Value| json!({"type": "object", "properties": {"k": k}, "required": ["k"]});
        json!({"oneOf": [branch(reference(n)), branch(json!({"type": "boolean"}))]})
    });
    assert!(matches!(refusal(&proofs), Error::Limit { .. }));
    let multiplied = json!({"allOf": (0..40).map(|n| json!({"anyOf": [
        {"required": [format!("a{n}")]}, {"required": [format!("b{n}")]},
    ]})).collect::<Vec<_>>()});
    assert!(matches!(refusal(&multiplied), Error::Limit { what: "number of alternatives", .. }));
    let counted = json!({"type": "object", "minProperties": 150, "additionalProperties": false,
        "properties": (0..300).map(|n| (format!("p{n}"), json!(true))).collect::<serde_json::Map<_, _>>()});
    assert!(matches!(refusal(&counted), Error::Limit { what: "number of rules", .. }));
    let automaton = json!({"type": "string", "allOf": [{"pattern": "a.{20}$"}, {"pattern": "b.{20}$"}]});
    assert!(matches!(refusal(&automaton), Error::Limit { .. }));
    let primes = json!({"type": "integer", "multipleOf": 999_983});
    assert!(matches!(refusal(&primes), Error::Limit { what: "number of rules", .. }));
    let lists = |first: usize| json!({"enum": (first..first + 20_000).collect::<Vec<_>>()});
    assert!(matches!(refusal(&json!({"allOf": [lists(0), lists(1)]})), Error::Limit { .. }));
    assert!(matches!(refusal(&json!({"type": "string", "minLength": 200_000})), Error::Limit { .. }));
    assert!(compile(&json!({"type": "string", "maxLength": 2_000_000_000}), &Options::default()).is_ok());
    let values = Value::Array((0..300_000).map(Value::from).collect());
    assert!(matches!(refusal(&json!({"enum": values})), Error::Limit { what: "number of values", .. }));
}

/// Each of these took more than six seconds in a release build while it was charged for a fraction of its work.
#[test]
fn work_is_charged_for_what_it_costs() {
    let names = |letter: &str| (0..20_000).map(|n| format!("{letter}{n}")).collect::<Vec<_>>();
    let required = json!({"type": "object", "allOf": [{"required": names("a")}, {"required": names("b")}]});
    assert!(compile(&required, &Options::default()).is_ok());
    // With a tenth of the default, so that a build without optimisation takes no second either.
    let options = Options { limits: Limits { work: 1_000_000, ..Limits::default() }, ..Options::default() };
    let is_too_much = |schema: &Value| {
        let error = compile(schema, &options).map(|ir| ir.rules.len()).expect_err("is refused");
        matches!(error, Error::Limit { what: "number of steps to combine its keywords", .. })
    };
    assert!(is_too_much(&json!({"enum": ["a".repeat(5000)], "pattern": "^(a?){8000}$"})));
    let named = json!({"type": "object", "patternProperties": {"^(a?){8000}$": {"type": "null"}},
        "properties": {"a".repeat(5000): true}});
    assert!(is_too_much(&named));
    let tuple = json!({"type": "array", "prefixItems": vec![json!(true); 95_000], "minItems": 95_000});
    let ir = compile(&tuple, &Options::default()).unwrap();
    assert_eq!(ir.to_string().matches("value").count(), 95_000 + 5);
    let apart = (0..200).map(|n| json!({"pattern": format!("^.{{0,60}}{n:03}$")})).collect::<Vec<_>>();
    let proofs = json!({"type": "string", "oneOf": apart});
    assert!(is_too_much(&proofs));
}
