//! Each keyword with texts that its grammar takes and texts that it refuses.

use mneme::grammar::schema::{Error, Options, Whitespace, compile};
use serde_json::{Value, json};

use super::{accepts, compiler, grammar_of, options, validator};

/// Holds the grammar of `schema` to texts in template white space; what it takes must be valid.
pub(super) fn check(schema: &Value, accepted: &[&str], refused: &[&str]) {
    let grammar = grammar_of(&compiler(), schema, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let validator = validator(schema);
    for text in accepted {
        assert!(
            accepts(&grammar, text),
            "{schema} does not take {text}\n{}",
            compile(schema, &Options::default()).unwrap()
        );
        let value: Value = serde_json::from_str(text).unwrap();
        assert!(validator.is_valid(&value), "{schema}: {text} is not valid");
    }
    for text in refused {
        assert!(!accepts(&grammar, text), "{schema} takes {text}\n{}", compile(schema, &Options::default()).unwrap());
    }
}

/// The error of a schema.
pub(super) fn refusal(schema: &Value) -> Error {
    let error = compile(schema, &Options::default()).expect_err(&schema.to_string());
    assert!(!error.hint().is_empty());
    error
}

#[test]
fn types_alone_or_in_lists() {
    check(&json!({"type": "null"}), &["null"], &["0", "\"null\"", " null"]);
    check(&json!({"type": "boolean"}), &["true", "false"], &["null", "tru"]);
    check(&json!({"type": ["string", "null"]}), &["null", "\"\"", "\"a\""], &["1", "[]"]);
    check(&json!({"type": ["integer", "number"]}), &["1", "1.5"], &["\"1\""]);
    check(&json!({"type": ["array", "object"]}), &["[]", "{}", "[1, {\"a\": []}]"], &["1"]);
    for any in [json!({}), json!(true), json!({"description": "x", "default": 3, "title": "t"})] {
        check(&any, &["null", "[1, \"a\", {}]", "{\"a\": -1.5e3, \"b\": false}"], &["", "[1,2]", "{\"a\"}", "nul"]);
    }
}

#[test]
fn strings_take_every_escape_of_json_and_only_paired_surrogates() {
    check(
        &json!({"type": "string"}),
        &[
            "\"\"",
            "\"é日😀\"",
            r#""\"\\\/\b\f\n\r\t""#,
            r#""\u00e9\uFFFF\uD7ff\uE000""#,
            r#""\uD83D\uDE00""#,
            "\"\u{7f}\"",
        ],
        &[
            "\"\n\"",
            "\"\u{0}\"",
            r#""\x""#,
            r#""\uD83D""#,
            r#""\uDE00""#,
            r#""\uD83Dx""#,
            r#""\uD83D\u0041""#,
            "\"",
            "a",
        ],
    );
}

#[test]
fn lengths_count_characters() {
    check(
        &json!({"type": "string", "minLength": 2, "maxLength": 3}),
        &["\"ab\"", "\"日本語\"", r#""\uD83D\uDE00\n""#, "\"😀😀😀\""],
        &["\"a\"", "\"abcd\"", r#""\uD83D\uDE00""#, "\"😀\""],
    );
}

#[test]
fn patterns_search_unless_they_are_anchored() {
    check(&json!({"type": "string", "pattern": "b+"}), &["\"b\"", "\"abbc\""], &["\"\"", "\"ac\"", "b"]);
    check(&json!({"type": "string", "pattern": "^[a-z]{2}$"}), &["\"ab\""], &["\"a\"", "\"abc\"", "\"aB\""]);
    check(
        &json!({"type": "string", "pattern": "^[^a]\\\\?$"}),
        &[r#""b""#, r#""\"\\""#, r#""\n""#, r#""\u0001""#, "\"😀\""],
        &["\"a\"", "\"\"\"", r#""\u0062""#, "\"bb\""],
    );
    check(
        &json!({"type": "string", "pattern": "^(ab|c)+$", "minLength": 2, "maxLength": 3}),
        &["\"ab\"", "\"cc\"", "\"cab\"", "\"ccc\""],
        &["\"c\"", "\"abab\"", "\"\""],
    );
    check(
        &json!({"allOf": [{"pattern": "a"}, {"pattern": "^.{2}$"}], "type": "string"}),
        &["\"ab\"", "\"xa\""],
        &["\"a\"", "\"bb\"", "\"aab\""],
    );
    check(&json!({"type": "string", "pattern": "^a*$", "maxLength": 2}), &["\"\"", "\"aa\""], &["\"aaa\"", "\"b\""]);
}

#[test]
fn formats_are_exact() {
    let format = |name: &str| json!({"type": "string", "format": name});
    check(
        &format("date"),
        &["\"2024-02-29\"", "\"2000-02-29\"", "\"2023-12-31\"", "\"0000-02-29\""],
        &["\"2023-02-29\"", "\"1900-02-29\"", "\"2023-04-31\"", "\"2023-13-01\"", "\"2023-1-01\"", "\"2023-00-10\""],
    );
    check(
        &format("time"),
        &["\"23:59:59Z\"", "\"00:00:00.123-05:30\""],
        &["\"24:00:00Z\"", "\"12:00:00\"", "\"1:00:00Z\""],
    );
    check(&format("date-time"), &["\"2024-02-29T10:00:00+01:00\""], &["\"2024-02-29 10:00:00Z\"", "\"2024-02-29\""]);
    check(
        &format("uuid"),
        &["\"123e4567-e89b-12d3-A456-426614174000\""],
        &["\"123e4567e89b12d3a456426614174000\"", "\"123e4567-e89b-12d3-a456-42661417400\""],
    );
    check(&format("ipv4"), &["\"0.0.0.0\"", "\"255.249.99.1\""], &["\"256.1.1.1\"", "\"01.1.1.1\"", "\"1.1.1\""]);
    check(
        &format("email"),
        &["\"a@b\"", "\"first.last+x@mail.example-site.org\""],
        &["\"a\"", "\"a@\"", "\"a..b@c\"", "\".a@c\"", "\"a@-b\"", "\"a@b.\"", "\"a b@c\""],
    );
    check(
        &format("uri"),
        &["\"https://u@example.org:80/a/b;c?q=1&r#f\"", "\"mailto:a@b\"", "\"urn:x:y\"", "\"file:///a%20b\""],
        &["\"//a\"", "\"a\"", "\"http://a b\"", "\"http://a/%zz\"", "\"1a:b\"", "\"http://[\""],
    );
    check(&json!({"type": "number", "format": "float"}), &["1.5", "3"], &["\"1\""]);
    check(
        &json!({"type": "integer", "format": "int32"}),
        &["2147483647", "-2147483648"],
        &["2147483648", "-2147483649"],
    );
    assert_eq!(refusal(&json!({"properties": {"a": {"format": "hostname"}}})).pointer(), "/properties/a/format");
}

#[test]
fn integers_keep_their_bounds() {
    check(&json!({"type": "integer"}), &["0", "-1", "123456789012345678"], &["-0", "01", "1.0", "1e3", "+1", ""]);
    for (low, high) in [(0, 9), (5, 123), (-17, 1205), (-300, -20), (7, 7), (99, 1000), (-5, 0)] {
        let schema = json!({"type": "integer", "minimum": low, "maximum": high});
        let grammar = grammar_of(&compiler(), &schema, &Options::default()).unwrap();
        for value in -1500..1500 {
            assert_eq!(accepts(&grammar, &value.to_string()), (low..=high).contains(&value), "{schema} {value}");
        }
    }
    check(&json!({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5}), &["4"], &["3", "5"]);
    check(&json!({"type": "integer", "minimum": 0.5, "maximum": 2.5}), &["1", "2"], &["0", "3"]);
    check(&json!({"type": "integer", "minimum": -2.5, "exclusiveMaximum": -0.5}), &["-2", "-1"], &["-3", "0"]);
    check(
        &json!({"type": "integer", "minimum": 18446744073709551615_u64}),
        &["18446744073709551615"],
        &["18446744073709551614"],
    );
    check(&json!({"minimum": 10, "type": "integer"}), &["10", "99", "100"], &["9", "-10"]);
}

#[test]
fn multiples_are_counted_digit_by_digit() {
    for (step, low, high) in
        [(7, -2000, 3000), (5, 0, 100_000), (100, -5000, 5000), (12, 1, 999_999), (1000, 0, 9_000_000)]
    {
        let schema = json!({"type": "integer", "multipleOf": step, "minimum": low, "maximum": high});
        let grammar = grammar_of(&compiler(), &schema, &Options::default()).unwrap();
        for value in (-2500..3500).chain([99_995, 100_000, 100_005, 999_996, 1_000_000, 9_000_000, 9_001_000]) {
            let holds = value % step == 0 && (low..=high).contains(&value);
            assert_eq!(accepts(&grammar, &value.to_string()), holds, "{schema} {value}");
        }
    }
    check(
        &json!({"type": "integer", "multipleOf": 25}),
        &["0", "-75", "1000000000025"],
        &["10", "1000000000026", "-0"],
    );
    check(&json!({"type": "number", "multipleOf": 0.01}), &["1", "-2.5", "0.25"], &["0.255", "1e2"]);
    check(&json!({"type": "number", "multipleOf": 3}), &["9", "-3"], &["4", "4.5"]);
    check(
        &json!({"allOf": [{"multipleOf": 4}, {"multipleOf": 6}], "type": "integer"}),
        &["12", "0", "-24"],
        &["6", "8"],
    );
    assert_eq!(refusal(&json!({"multipleOf": 0.3})).pointer(), "/multipleOf");
}

#[test]
fn numbers_keep_fractional_bounds() {
    check(&json!({"type": "number"}), &["0", "-0.5", "1e10", "1.25E-7"], &["01", ".5", "1.", "1e", "1e123", "NaN"]);
    for (low, high, open) in
        [("0.25", "12.75", false), ("-3.141", "2.5", true), ("1", "1.05", true), ("-10", "-9.9", false)]
    {
        let (keys, ends) = if open {
            (["exclusiveMinimum", "exclusiveMaximum"], (false, false))
        } else {
            (["minimum", "maximum"], (true, true))
        };
        let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let schema = json!({"type": "number", keys[0]: number(low), keys[1]: number(high)});
        let grammar = grammar_of(&compiler(), &schema, &Options::default()).unwrap();
        let thousandths = |text: &str| (text.parse::<f64>().unwrap() * 1000.0).round() as i64;
        let (low, high) = (thousandths(low), thousandths(high));
        for value in -12_000..14_000_i64 {
            let holds = low < value && value < high || (value == low && ends.0) || (value == high && ends.1);
            let sign = if value < 0 { "-" } else { "" };
            let mut text = format!("{sign}{}.{:03}", value.abs() / 1000, value.abs() % 1000);
            assert_eq!(accepts(&grammar, &text), holds, "{schema} {text}");
            while text.ends_with('0') {
                text.pop();
            }
            let text = text.trim_end_matches('.');
            assert_eq!(accepts(&grammar, text), holds, "{schema} {text}");
        }
    }
    check(&json!({"type": "number", "minimum": 0}), &["0", "0.0", "123456.789"], &["-0.1", "-1"]);
    check(&json!({"type": "number", "exclusiveMinimum": 0}), &["0.001", "1"], &["0", "0.0", "-0.0"]);
    check(&json!({"type": "number", "maximum": 1e-7}), &["0.0000001", "0", "-5"], &["0.0000002", "1"]);
}

#[test]
fn listed_values_are_written_as_the_schema_writes_them() {
    check(
        &json!({"enum": ["a\"b", 1, 2.5, null, true, [1, {"x": []}], {}]}),
        &[r#""a\"b""#, "1", "2.5", "null", "true", r#"[1, {"x": []}]"#, "{}"],
        &["\"a\"", "2", "false", "[]", "[1,{\"x\":[]}]"],
    );
    check(&json!({"const": {"a": 1, "b": [true]}}), &[r#"{"a": 1, "b": [true]}"#], &[r#"{"b": [true], "a": 1}"#]);
    check(
        &json!({"enum": ["x", "xyz", 3, 30, [1], [1, 2]], "minLength": 2, "maximum": 10, "maxItems": 1}),
        &["\"xyz\"", "3", "[1]"],
        &["\"x\"", "30", "[1, 2]"],
    );
    check(&json!({"type": "string", "enum": ["a", 1, "b"], "const": "b"}), &["\"b\""], &["\"a\"", "1"]);
    check(&json!({"enum": ["2024-02-29", "2023-02-29"], "format": "date"}), &["\"2024-02-29\""], &["\"2023-02-29\""]);
    check(
        &json!({"enum": [{"a": 1}, {"a": "x"}, {}], "properties": {"a": {"type": "integer"}}, "required": ["a"]}),
        &["{\"a\": 1}"],
        &["{\"a\": \"x\"}", "{}"],
    );
}

#[test]
fn properties_come_in_declared_order_and_optional_ones_may_be_left_out() {
    let schema = json!({
        "type": "object",
        "properties": {"z": {"type": "integer"}, "a": {"type": "string"}, "m": {"type": "null"}},
        "required": ["a"],
        "additionalProperties": false,
    });
    check(
        &schema,
        &[r#"{"a": ""}"#, r#"{"z": 1, "a": ""}"#, r#"{"a": "", "m": null}"#, r#"{"z": 1, "a": "", "m": null}"#],
        &["{}", r#"{"a": "", "z": 1}"#, r#"{"z": 1}"#, r#"{"a": "", "b": 1}"#, r#"{"a": "", }"#, r#"{, "a": ""}"#],
    );
    let optional = json!({
        "type": "object",
        "properties": {"a": true, "b": true, "c": true},
        "additionalProperties": false,
    });
    check(
        &optional,
        &["{}", r#"{"a": 1}"#, r#"{"b": 1}"#, r#"{"a": 1, "c": 1}"#, r#"{"a": 1, "b": 1, "c": 1}"#],
        &[r#"{"b": 1, "a": 1}"#, r#"{"a": 1, "a": 1}"#, r#"{"a": 1,}"#],
    );
}

#[test]
fn many_optional_properties_cost_a_rule_each() {
    let properties: serde_json::Map<String, Value> =
        (0..300).map(|n| (format!("p{n}"), json!({"type": "null"}))).collect();
    let schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    let ir = compile(&schema, &Options::default()).unwrap();
    assert!(ir.rules.len() < 700, "{}", ir.rules.len());
    assert!(ir.to_string().len() < 60_000, "{}", ir.to_string().len());
}

#[test]
fn other_properties_never_repeat_a_declared_name() {
    let schema = json!({"type": "object", "properties": {"ab": {"type": "integer"}, "abc": true, "é": true}});
    check(
        &schema,
        &[
            "{}",
            r#"{"ab": 1, "x": "y"}"#,
            r#"{"a": 1}"#,
            r#"{"abcd": 1}"#,
            r#"{"b": 1, "": 2, "\n": 3, "\"": 4}"#,
            r#"{"è": 1}"#,
        ],
        &[
            r#"{"x": 1, "ab": 1}"#,
            r#"{"ab": "s"}"#,
            r#"{"x": 1, "abc": 1}"#,
            r#"{"x": 1, "é": 1}"#,
            r#"{"\u0061b": "s"}"#,
            r#"{"a\u0062": "s"}"#,
        ],
    );
    check(
        &json!({"properties": {"a": true}, "additionalProperties": {"type": "integer"}, "type": "object"}),
        &[r#"{"a": "s", "b": 1}"#, r#"{"b": 1, "c": 2}"#],
        &[r#"{"b": "s"}"#],
    );
    check(
        &json!({"type": "object", "required": ["k"]}),
        &[r#"{"k": 1}"#, r#"{"k": 1, "l": 2}"#],
        &["{}", r#"{"l": 2}"#],
    );
    check(
        &json!({"type": "object", "properties": {"a": false, "b": true}}),
        &[r#"{"b": 1, "c": 1}"#, "{}"],
        &[r#"{"a": 1}"#, r#"{"b": 1, "a": 1}"#],
    );
}

#[test]
fn undeclared_properties_can_be_switched_off() {
    let closed = Options { undeclared_properties: false, ..Options::default() };
    let schema = json!({"type": "object", "properties": {"a": {"type": "object"}}});
    let grammar = grammar_of(&compiler(), &schema, &closed).unwrap();
    assert!(accepts(&grammar, r#"{"a": {"free": 1}}"#));
    assert!(!accepts(&grammar, r#"{"b": 1}"#));
    let open = json!({"type": "object", "properties": {"a": true}, "additionalProperties": true});
    assert!(accepts(&grammar_of(&compiler(), &open, &closed).unwrap(), r#"{"b": 1}"#));
}

#[test]
fn pattern_properties_hold_for_declared_and_other_names() {
    let schema = json!({
        "type": "object",
        "properties": {"n_a": {"minimum": 5}, "s": true},
        "patternProperties": {"^n_": {"type": "integer"}, "x$": {"maximum": 9}},
        "additionalProperties": {"type": "boolean"},
    });
    check(
        &schema,
        &[r#"{"n_a": 7, "s": "any", "n_b": 70, "n_x": 7, "other": true}"#, r#"{"x": 1.5, "y": false}"#, "{}"],
        &[r#"{"n_a": 3}"#, r#"{"n_a": "7"}"#, r#"{"n_x": 70}"#, r#"{"n_b": "s"}"#, r#"{"x": 10}"#, r#"{"y": 1}"#],
    );
}

#[test]
fn numbers_of_properties_are_counted() {
    let properties = json!({"a": true, "b": true, "c": true});
    check(
        &json!({"type": "object", "properties": properties, "additionalProperties": false, "minProperties": 2, "maxProperties": 2}),
        &[r#"{"a": 1, "b": 1}"#, r#"{"a": 1, "c": 1}"#, r#"{"b": 1, "c": 1}"#],
        &["{}", r#"{"a": 1}"#, r#"{"a": 1, "b": 1, "c": 1}"#],
    );
    check(&json!({"type": "object", "minProperties": 1}), &[r#"{"a": 1}"#], &["{}"]);
    check(
        &json!({"type": "object", "properties": {"a": true}, "maxProperties": 2}),
        &["{}", r#"{"a": 1, "x": 1}"#, r#"{"x": 1, "y": 1}"#],
        &[r#"{"a": 1, "x": 1, "y": 1}"#, r#"{"x": 1, "y": 1, "z": 1}"#],
    );
    assert!(matches!(refusal(&json!({"type": "object", "minProperties": 2})), Error::Unsupported { .. }));
}

#[test]
fn arrays_count_items_and_may_begin_with_others() {
    check(
        &json!({"type": "array", "items": {"type": "integer"}}),
        &["[]", "[1]", "[1, 2]"],
        &["[1,2]", "[\"a\"]", "[1, ]"],
    );
    check(
        &json!({"type": "array", "items": {"type": "null"}, "minItems": 2, "maxItems": 3}),
        &["[null, null]", "[null, null, null]"],
        &["[]", "[null]", "[null, null, null, null]"],
    );
    check(&json!({"type": "array", "maxItems": 0}), &["[]"], &["[1]"]);
    check(
        &json!({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}, {"type": "null"}], "items": false}),
        &["[]", "[1]", "[1, \"a\"]", "[1, \"a\", null]"],
        &["[\"a\"]", "[1, 2]", "[1, \"a\", null, 4]"],
    );
    check(
        &json!({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "maxItems": 4}),
        &["[1, \"a\"]", "[1, \"a\", {}]", "[1, \"a\", [], null]"],
        &["[1]", "[1, \"a\", 1, 2, 3]", "[]"],
    );
    check(&json!({"type": "array", "items": false}), &["[]"], &["[1]"]);
    check(&json!({"type": "array", "prefixItems": [true, false, true]}), &["[]", "[1]"], &["[1, 2]"]);
    check(&json!({"type": "array", "uniqueItems": true, "maxItems": 1}), &["[]", "[1]"], &["[1, 1]"]);
    assert_eq!(refusal(&json!({"uniqueItems": true})).pointer(), "/uniqueItems");
    assert!(matches!(refusal(&json!({"items": [{}]})), Error::Invalid { .. }));
}

#[test]
fn any_of_holds_beside_other_keywords() {
    check(
        &json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"],
                "anyOf": [{"properties": {"b": {"const": 1}}, "required": ["b"]}, {"required": ["c"]}]}),
        &[r#"{"a": 1, "b": 1}"#, r#"{"a": 1, "c": 5}"#, r#"{"a": 1, "c": 5, "b": 2}"#],
        &[r#"{"a": 1}"#, r#"{"b": 1}"#, r#"{"a": "x", "c": 5}"#, r#"{"a": 1, "b": 2}"#],
    );
    check(&json!({"type": "integer", "anyOf": [{"minimum": 10}, {"maximum": -10}]}), &["10", "-10"], &["0", "10.5"]);
    check(
        &json!({"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 1}]}),
        &["null", "\"a\""],
        &["\"ab\"", "1"],
    );
    check(&json!({"type": "string", "anyOf": [{"type": "integer"}, {"minLength": 1}]}), &["\"a\""], &["1", "\"\""]);
}

#[test]
fn one_of_needs_branches_that_are_provably_apart() {
    check(&json!({"oneOf": [{"type": "integer"}, {"type": "string"}]}), &["1", "\"a\""], &["null"]);
    check(
        &json!({"oneOf": [
            {"properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}, "required": ["kind"]},
            {"properties": {"kind": {"enum": ["b", "c"]}}, "required": ["kind", "n"]},
        ], "type": "object"}),
        &[r#"{"kind": "a"}"#, r#"{"kind": "b", "n": "x"}"#],
        &[r#"{"kind": "a", "n": "x"}"#, r#"{"kind": "b"}"#, "{}"],
    );
    check(
        &json!({"oneOf": [{"type": "number", "maximum": 1}, {"type": "number", "exclusiveMinimum": 1}]}),
        &["1", "1.5"],
        &["null"],
    );
    check(
        &json!({"type": "string", "oneOf": [{"pattern": "^a"}, {"pattern": "^[b-d]"}]}),
        &["\"ax\"", "\"d\""],
        &["\"e\"", "\"\""],
    );
    check(&json!({"type": "array", "oneOf": [{"maxItems": 1}, {"minItems": 3}]}), &["[]", "[1, 2, 3]"], &["[1, 2]"]);
    check(
        &json!({"type": "object", "oneOf": [
            {"required": ["a"], "properties": {"a": true}, "additionalProperties": false},
            {"required": ["b"], "properties": {"b": true}, "additionalProperties": false},
        ]}),
        &[r#"{"a": 1}"#, r#"{"b": 1}"#],
        &[r#"{"a": 1, "b": 1}"#, "{}"],
    );
    for (schema, first, second) in [
        (json!({"oneOf": [{"type": "null"}, {"type": "integer"}, {"type": "number"}]}), 1, 2),
        (json!({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}), 0, 1),
        (json!({"oneOf": [{"type": "string", "pattern": "a"}, {"type": "string", "pattern": "b"}]}), 0, 1),
        (json!({"oneOf": [{"enum": [1, 2]}, {"enum": [2.0, 3]}]}), 0, 1),
    ] {
        assert_eq!(refusal(&schema), Error::Overlap { pointer: "/oneOf".into(), first, second });
    }
}

#[test]
fn all_of_and_keywords_beside_a_reference_intersect() {
    check(
        &json!({
            "$defs": {"base": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}},
            "allOf": [
                {"$ref": "#/$defs/base"},
                {"properties": {"id": {"minimum": 3}, "name": {"type": "string"}}, "required": ["name"]},
            ],
        }),
        &[r#"{"id": 3, "name": "x"}"#, r#"{"id": 3, "name": "x", "y": 1}"#],
        &[r#"{"id": 2, "name": "x"}"#, r#"{"id": 3}"#, r#"{"name": "x"}"#],
    );
    check(
        &json!({"$defs": {"s": {"type": "string", "maxLength": 3}}, "$ref": "#/$defs/s", "minLength": 2}),
        &["\"ab\"", "\"abc\""],
        &["\"a\"", "\"abcd\""],
    );
    check(&json!({"allOf": [{"enum": [1, 2, 3]}, {"enum": [2, 3, 4]}, {"minimum": 3}]}), &["3"], &["2", "4"]);
    check(
        &json!({"allOf": [{"properties": {"a": true}, "additionalProperties": false}, {"properties": {"a": {"type": "null"}, "b": true}}], "type": "object"}),
        &["{}", r#"{"a": null}"#],
        &[r#"{"a": 1}"#, r#"{"b": 1}"#],
    );
    check(
        &json!({"allOf": [{"prefixItems": [{"type": "integer"}], "items": {"type": "string"}}, {"items": {"minLength": 1, "minimum": 2}}], "type": "array"}),
        &["[2, \"a\"]", "[]"],
        &["[1]", "[2, \"\"]", "[2, 2]"],
    );
}

#[test]
fn references_may_be_recursive() {
    check(
        &json!({
            "type": "object",
            "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
            "required": ["value", "next"],
            "additionalProperties": false,
        }),
        &[r#"{"value": 1, "next": null}"#, r#"{"value": 1, "next": {"value": 2, "next": null}}"#],
        &[r#"{"value": 1}"#, r#"{"value": 1, "next": {}}"#],
    );
    check(
        &json!({"$defs": {"tree/~": {"$anchor": "t", "type": "array", "items": {"$ref": "#t"}}}, "$ref": "#/$defs/tree~1~0"}),
        &["[]", "[[], [[]]]"],
        &["[1]", "{}"],
    );
    check(
        &json!({"$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n"}}, "type": "object", "maxProperties": 1}},
                "allOf": [{"$ref": "#/$defs/n"}, {"properties": {"n": {"required": ["n"]}}}]}),
        &["{}", r#"{"n": {"n": {}}}"#],
        &[r#"{"n": {}}"#],
    );
}

#[test]
fn white_space_is_compact_as_in_templates_or_flexible() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "array"}, "b": {"const": [1, {}]}}, "required": ["a"], "additionalProperties": false});
    let texts = [
        r#"{"a":[1,2],"b":[1,{}]}"#,
        r#"{"a": [1, 2], "b": [1, {}]}"#,
        "{\n\t\"a\" : [ 1 ,2 ] ,\r\n \"b\": [1, { } ]\n}",
        "{\"a\":[\n]}",
    ];
    for (whitespace, expected) in [
        (Whitespace::Compact, [true, false, false, false]),
        (Whitespace::Template, [false, true, false, false]),
        (Whitespace::Flexible, [true, true, true, true]),
    ] {
        let grammar = grammar_of(&compiler(), &schema, &options(whitespace)).unwrap();
        for (text, expected) in texts.iter().zip(expected) {
            assert_eq!(accepts(&grammar, text), expected, "{whitespace:?} {text:?}");
        }
        assert!(!accepts(&grammar, " {\"a\":[]}") && !accepts(&grammar, "{\"a\":[]} "));
    }
    let grammar = grammar_of(&compiler(), &schema, &options(Whitespace::Flexible)).unwrap();
    assert!(!accepts(&grammar, &format!("{{{}\"a\":[]}}", " ".repeat(33))));
}
