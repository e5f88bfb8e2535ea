//! Numbers that are large, small, or written with many digits.

use mneme::grammar::schema::{Error, Options, compile};
use serde_json::{Value, json};

use super::keywords::{check, refusal};
use super::{accepts, compiler, grammar_of};

#[test]
fn numbers_of_any_size_are_compared_by_value() {
    for number in ["1e40", "1e30", "-1e300", "1e-40", "5e-324", "1.7976931348623157e308", "1e22"] {
        let value: Value = serde_json::from_str(number).unwrap();
        let one_of = json!({"oneOf": [{"const": value}, {"type": "number"}]});
        assert_eq!(refusal(&one_of), Error::Overlap { pointer: "/oneOf".into(), first: 0, second: 1 }, "{number}");
        let text = value.to_string();
        check(&json!({"type": "number", "const": value}), &[&text], &["1", "0"]);
        check(&json!({"type": "number", "enum": [1, value]}), &["1", &text], &["2"]);
        check(&json!({"oneOf": [{"const": value}, {"const": 7}]}), &[&text, "7"], &["1"]);
    }
    check(&json!({"oneOf": [{"enum": ["a", 1e31]}, {"type": "string", "minLength": 2}]}), &["\"a\"", "1e+31"], &["1"]);
    assert!(matches!(refusal(&json!({"oneOf": [{"enum": ["a", 1e31]}, {"type": "number"}]})), Error::Overlap { .. }));
    check(&json!({"type": "integer", "enum": [1e40, 1.5]}), &["1e+40"], &["1.5"]);
    check(
        &json!({"enum": [1e40, 1e-40, -1e40, 5], "minimum": 0, "maximum": 10}),
        &["1e-40", "5"],
        &["1e+40", "-1e+40"],
    );
    check(&json!({"enum": [1e40, 1e-40, 0.125], "multipleOf": 0.01}), &["1e+40"], &["1e-40", "0.125"]);
}

#[test]
fn common_multiples_above_64_bits_are_exact() {
    let branch = |step: u64| {
        json!({"type": "integer", "multipleOf": step,
        "minimum": 999_999_866_000_004_000_u64, "maximum": 999_999_866_000_005_000_u64})
    };
    let (one, other) = (branch(999_999_937), branch(999_999_929));
    let overlap = refusal(&json!({"oneOf": [one, other]}));
    assert_eq!(overlap, Error::Overlap { pointer: "/oneOf".into(), first: 0, second: 1 });
    check(&json!({"allOf": [one, other]}), &["999999866000004473"], &["999999866000004472", "0"]);
    check(&json!({"anyOf": [{"allOf": [one, other]}, {"const": 3}]}), &["999999866000004473", "3"], &["0"]);
    // The common multiple has 45 digits: 0 is the only one within any bounds.
    let primes = [999_999_937, 999_999_929, 999_999_893, 999_999_883, 999_999_797];
    let all = |least: i64| {
        json!({"type": "integer", "minimum": least, "maximum": 1e29,
        "allOf": primes.iter().map(|step| json!({"multipleOf": step})).collect::<Vec<_>>()})
    };
    check(&all(-5), &["0"], &["1", "999999937"]);
    let error = refusal(&all(1));
    assert!(error.to_string().contains("no multiple of 999999883 and 999999893 and"), "{error}");
    let unbounded = json!({"allOf": [{"multipleOf": 999_999_937}, {"multipleOf": 999_999_929}], "type": "integer"});
    assert!(matches!(refusal(&unbounded), Error::Unsupported { .. }));
    check(&json!({"enum": [999_999_937, 1e40, 0], "multipleOf": 999_999_937}), &["999999937", "0"], &["1e+40"]);
}

/// What a reader that keeps numbers with a point as 64-bit floats, and others exactly, finds.
fn is_within(text: &str, low: i128, high: i128) -> bool {
    match text.parse::<i128>() {
        Ok(whole) => low <= whole && whole <= high,
        Err(_) => {
            let float: f64 = text.parse().unwrap();
            assert!(float.abs() < 1e30);
            let floor = float.floor() as i128;
            low <= floor && (floor < high || (floor == high && float.fract() == 0.0))
        }
    }
}

#[test]
fn no_fraction_next_to_a_bound_is_read_as_a_number_beyond_it() {
    let compiler = compiler();
    for bound in
        [9_007_199_254_740_993_i128, 9_223_372_036_854_775_807, 18_446_744_073_709_551_615, 1_000_000_000_000_001]
    {
        let value: Value = serde_json::from_str(&bound.to_string()).unwrap();
        let above = grammar_of(&compiler, &json!({"type": "number", "minimum": value}), &Options::default()).unwrap();
        let below = grammar_of(&compiler, &json!({"type": "number", "maximum": value}), &Options::default()).unwrap();
        let mut written = 0;
        for near in bound - 1100..=bound + 1100 {
            for fraction in ["", ".0", ".5", ".9", ".99", ".00001"] {
                let text = format!("{near}{fraction}");
                for (grammar, low, high) in [(&above, bound, i128::MAX), (&below, i128::MIN, bound)] {
                    let is_taken = accepts(grammar, &text);
                    assert!(!is_taken || is_within(&text, low, high), "{text} next to {bound}");
                    assert!(is_taken || !fraction.is_empty() || !is_within(&text, low, high), "{text} next to {bound}");
                    written += u32::from(is_taken);
                }
            }
        }
        assert!(written > 2000, "{written}");
        for small in ["0", "0.5", "-12.25", "123456789.125"] {
            assert!(accepts(&below, small), "{small} below {bound}");
        }
    }
}

/// Bounds with as many digits as a float has: what is written is on the right side when it is read as one.
#[test]
fn neighbours_of_exclusive_bounds_stay_apart_as_floats() {
    let compiler = compiler();
    let mut taken = 0;
    for bound in
        ["0.1234567890123456", "99.99999999999999", "100", "999999999999999.5", "1e-20", "0.3", "1234567.1234567"]
    {
        let value: Value = serde_json::from_str(bound).unwrap();
        let float: f64 = bound.parse().unwrap();
        for (keyword, is_right) in [
            ("exclusiveMinimum", (|read, bound| read > bound) as fn(f64, f64) -> bool),
            ("exclusiveMaximum", |read, bound| read < bound),
            ("minimum", |read, bound| read >= bound),
            ("maximum", |read, bound| read <= bound),
        ] {
            let schema = json!({"type": "number", keyword: value});
            let grammar = grammar_of(&compiler, &schema, &Options::default()).unwrap();
            for places in 1..24_usize {
                let decimal = format!("{float:.places$}");
                for last in 0..10 {
                    let text = format!("{}{last}", &decimal[..decimal.len() - 1]);
                    if accepts(&grammar, &text) {
                        assert!(is_right(text.parse().unwrap(), float), "{schema} takes {text}");
                        taken += 1;
                    }
                }
            }
        }
    }
    assert!(taken > 200, "{taken}");
    assert!(compile(&json!({"type": "number", "minimum": 0.1, "maximum": 0.1}), &Options::default()).is_ok());
    check(
        &json!({"type": "number", "minimum": 1e-20, "exclusiveMaximum": 0.5}),
        &["0.00000000000000000001", "0.4"],
        &["0.49999999999999999999", "0.5"],
    );
}
