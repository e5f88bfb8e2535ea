//! JSON as Python's `json.dumps(.., ensure_ascii=False)` writes it, which is how chat templates and the texts that
//! models were trained on spell it: `", "` and `": "` between, no HTML escapes, floats as Python prints them.

use std::fmt::Write as _;

use serde_json::Value;

/// Writes `value` on one line.
pub(super) fn to_python_json(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => write_float(out, float),
            _ => out.push_str(&number.to_string()),
        },
        Value::String(text) => write_string(out, text, false),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (index, (key, item)) in map.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_string(out, key, false);
                out.push_str(": ");
                write_value(out, item);
            }
            out.push('}');
        }
    }
}

/// A string with its quotes.
pub(super) fn write_string(out: &mut String, text: &str, ensure_ascii: bool) {
    out.push('"');
    escape_into(out, text, ensure_ascii);
    out.push('"');
}

/// What stands between the quotes of a JSON string.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape_into(&mut out, text, false);
    out
}

fn escape_into(out: &mut String, text: &str, ensure_ascii: bool) {
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            _ if character < ' ' || (ensure_ascii && character > '~') => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            _ => out.push(character),
        }
    }
}

/// Python's `repr` of a float: the shortest digits that read back, an exponent below 1e-4 and from 1e16.
pub(super) fn write_float(out: &mut String, value: f64) {
    if !value.is_finite() {
        out.push_str(match value {
            _ if value.is_nan() => "NaN",
            _ if value > 0.0 => "Infinity",
            _ => "-Infinity",
        });
        return;
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 || (-4..16).contains(&exponent) {
        let plain = value.to_string();
        let point = if plain.contains('.') { "" } else { ".0" };
        let _ = write!(out, "{plain}{point}");
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{digits}e{sign}{:02}", exponent.abs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_strings_are_spelled_as_python_spells_them() {
        let value: Value = serde_json::from_str(
            r#"{"a":[1,-2,1.0,0.1,1e-05,0.0001,1e16,123456789012345680.0,1.5e300,-0.0,12345678901234567890],"b":{},"c":[],"d":null,"e":true,"f":"it's <b> & é 😀 / \u0001\u007f\u2028 \"\\\n\t\r\b\f"}"#,
        )
        .unwrap();
        assert_eq!(
            to_python_json(&value),
            "{\"a\": [1, -2, 1.0, 0.1, 1e-05, 0.0001, 1e+16, 1.2345678901234568e+17, 1.5e+300, -0.0, 12345678901234567890], \
             \"b\": {}, \"c\": [], \"d\": null, \"e\": true, \"f\": \"it's <b> & é 😀 / \\u0001\u{7f}\u{2028} \\\"\\\\\\n\\t\\r\\b\\f\"}"
        );
    }

    #[test]
    fn numbers_that_json_lacks_are_spelled_as_python_spells_them() {
        let mut out = String::new();
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 9_999_999_999_999_998.0] {
            write_float(&mut out, value);
            out.push(' ');
        }
        assert_eq!(out, "NaN Infinity -Infinity 9999999999999998.0 ");
    }

    #[test]
    fn ascii_mode_writes_surrogate_pairs() {
        let mut out = String::new();
        write_string(&mut out, "é😀\u{7f}", true);
        assert_eq!(out, "\"\\u00e9\\ud83d\\ude00\\u007f\"");
    }
}
