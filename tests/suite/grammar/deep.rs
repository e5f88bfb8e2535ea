//! Grammars with many groups and repetitions within one another, most of which can be empty, against the naive recogniser.

use mneme::grammar::Expr;
use proptest::prelude::*;

use super::{compare_random, compare_texts, grammar_of, random_grammar};

/// An expression around `inner` and something else, which mostly can be empty.
fn layer(inner: Expr, shape: u8, other: Expr) -> Expr {
    let repeat = |item: Expr, min: u32, max: Option<u32>| Expr::Repeat { item: Box::new(item), min, max };
    let optional = repeat(other.clone(), 0, Some(1));
    match shape {
        0 => repeat(Expr::Sequence(vec![optional, inner]), 0, Some(1)),
        1 => repeat(Expr::Sequence(vec![inner, optional]), 0, Some(1)),
        2 => repeat(Expr::Sequence(vec![optional, inner]), 0, None),
        3 => repeat(Expr::Sequence(vec![inner, optional]), 0, Some(2)),
        4 => Expr::Sequence(vec![optional.clone(), inner, optional]),
        5 => Expr::Alternatives(vec![Expr::Sequence(Vec::new()), inner, other]),
        _ => Expr::Alternatives(vec![inner, Expr::Sequence(vec![other, optional])]),
    }
}

/// Expressions with up to 30 groups and repetitions within one another.
fn deep_expression() -> impl Strategy<Value = Expr> {
    let other = prop::sample::select(vec!["a", "b", "ab", "é"]).prop_map(|text| Expr::Literal(text.into()));
    let layers = prop::collection::vec((0_u8..7, other), 1..=30);
    layers.prop_map(|layers| {
        layers.into_iter().fold(Expr::Literal("b".into()), |inner, (shape, other)| layer(inner, shape, other))
    })
}

#[test]
fn what_is_nested_deep_agrees_with_a_naive_recogniser_and_stays_small() {
    compare_random(100, deep_expression(), 100 * 40, |body| {
        let mut expressions = 0;
        body.walk(&mut |_| expressions += 1);
        let source = grammar_of(vec![body]);
        let grammar = random_grammar(&source)?.ok_or_else(|| TestCaseError::fail(source.clone()))?;
        let positions = grammar.position_count().unwrap();
        prop_assert!(
            positions <= 4 * expressions,
            "{} positions of {} expressions: {}",
            positions,
            expressions,
            source
        );
        compare_texts(&source, &grammar, 3)
    });
}
