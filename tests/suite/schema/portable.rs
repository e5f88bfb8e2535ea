//! Schemas whose counts llama.cpp would refuse: printed so that it takes them, with the same language.

use mneme::grammar::schema::{Options, Whitespace, compile};
use mneme::grammar::{Expr, Grammar, Ir, Limits, parse};
use serde_json::{Value, json};

use super::{accepts, compiler, options, vocab};

/// Schemas with counts beyond what llama.cpp writes out, and texts at their ends.
pub fn large_counts() -> Vec<(Value, Vec<String>)> {
    let text = |count: usize| format!("\"{}\"", "x".repeat(count));
    let list = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    let labels = |count: usize| format!("\"{}\"", "abc.".repeat(count));
    let ends = |counts: &[usize], of: &dyn Fn(usize) -> String| counts.iter().map(|count| of(*count)).collect();
    vec![
        (
            json!({"type": "array", "items": {"const": 1}, "minItems": 2500}),
            ends(&[0, 2000, 2499, 2500, 2501, 4600], &list),
        ),
        (json!({"type": "string", "minLength": 2001}), ends(&[0, 2000, 2001, 2002, 4001], &text)),
        (json!({"type": "string", "maxLength": 2001}), ends(&[0, 1, 1999, 2000, 2001, 2002, 3999], &text)),
        (
            json!({"type": "string", "minLength": 2100, "maxLength": 6200}),
            ends(&[2000, 2099, 2100, 4100, 6199, 6200, 6201, 8000], &text),
        ),
        (json!({"type": "array", "items": {"const": 1}, "maxItems": 1100}), ends(&[0, 1, 1099, 1100, 1101], &list)),
        (json!({"type": "string", "pattern": r"^([a-z]{1,63}\.){1,100}$"}), ends(&[0, 1, 99, 100, 101], &labels)),
        (
            json!({"type": "array", "maxItems": 60, "items": {"anyOf": [
                {"type": "array", "items": {"const": 1}, "maxItems": 1500},
                {"type": "array", "items": {"const": 2}, "maxItems": 1500},
            ]}}),
            vec![format!("[{}]", list(1500)), format!("[{}]", list(1501)), format!("[{},[2,2]]", list(3))],
        ),
    ]
}

/// The highest count, and the highest product of the counts of repetitions within one another in one rule.
fn highest(expr: &Expr) -> (u64, u64) {
    match expr {
        Expr::Sequence(items) | Expr::Alternatives(items) => {
            items.iter().map(highest).fold((0, 0), |all, one| (all.0.max(one.0), all.1.max(one.1)))
        }
        Expr::Repeat { item, min, max } => {
            let (count, product) = highest(item);
            let times = u64::from(max.unwrap_or(*min).max(1));
            (count.max(times), product.max(1) * times)
        }
        _ => (0, 1),
    }
}

fn read_back(ir: &Ir) -> (Ir, Grammar) {
    let limits = Limits::default();
    let again = parse(&ir.to_string(), &vocab(), &limits).unwrap();
    let grammar = compiler().compile_ir(&again).unwrap();
    (again, grammar)
}

#[test]
fn printed_counts_stay_within_what_llama_cpp_takes_and_mean_the_same() {
    for whitespace in [Whitespace::Compact, Whitespace::Flexible] {
        for (schema, texts) in large_counts() {
            let ir = compile(&schema, &options(whitespace)).unwrap();
            let grammar = compiler().compile_ir(&ir).unwrap();
            let (again, printed) = read_back(&ir);
            for rule in &again.rules {
                let (count, product) = highest(&rule.body);
                assert!(count <= 2000 && product <= 2000, "{schema} {}: {count} {product}", rule.name);
            }
            let mut taken = 0;
            for text in &texts {
                let is_taken = accepts(&grammar, text);
                assert_eq!(accepts(&printed, text), is_taken, "{schema} of {} bytes", text.len());
                taken += usize::from(is_taken);
            }
            assert!(taken > 0 && taken < texts.len(), "{schema}: {taken} of {}", texts.len());
        }
    }
    // Nothing changes where nothing has to.
    let small = compile(&json!({"type": "string", "maxLength": 2000}), &Options::default()).unwrap();
    assert_eq!(read_back(&small).0, small);
}
