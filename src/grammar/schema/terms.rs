//! Expressions put together in the form in which the GBNF parser gives them back.

use crate::grammar::ir::{CharSet, Expr};

/// Only the empty text.
pub(super) const fn empty() -> Expr {
    Expr::Sequence(Vec::new())
}

/// No text at all; taken out when the grammar is finished.
pub(super) const fn nothing() -> Expr {
    Expr::Alternatives(Vec::new())
}

pub(super) fn is_nothing(expr: &Expr) -> bool {
    matches!(expr, Expr::Alternatives(items) if items.is_empty())
}

pub(super) fn literal(text: impl Into<String>) -> Expr {
    let text = text.into();
    if text.is_empty() { empty() } else { Expr::Literal(text) }
}

/// One character of `set`.
pub(super) fn class(set: CharSet) -> Expr {
    match set.ranges() {
        [] => nothing(),
        [(low, high)] if low == high => literal(char::from_u32(*low).map(String::from).unwrap_or_default()),
        _ => Expr::Class(set),
    }
}

/// One character of these ranges.
pub(super) fn chars(ranges: &[(char, char)]) -> Expr {
    class(CharSet::from_ranges(ranges.iter().map(|(low, high)| (u32::from(*low), u32::from(*high))).collect()))
}

/// One after the other.
pub(super) fn sequence(items: impl IntoIterator<Item = Expr>) -> Expr {
    let mut joined: Vec<Expr> = Vec::new();
    let mut pending: Vec<Expr> = Vec::new();
    for item in items {
        match item {
            Expr::Sequence(inner) => pending.extend(inner),
            other => pending.push(other),
        }
    }
    for item in pending {
        if is_nothing(&item) {
            return nothing();
        }
        match (joined.last_mut(), item) {
            (Some(Expr::Literal(before)), Expr::Literal(text)) => before.push_str(&text),
            (_, item) => joined.push(item),
        }
    }
    if joined.len() == 1 { joined.pop().unwrap_or_else(empty) } else { Expr::Sequence(joined) }
}

/// One of `items`.
pub(super) fn either(items: impl IntoIterator<Item = Expr>) -> Expr {
    let mut flat: Vec<Expr> = Vec::new();
    for item in items {
        match item {
            Expr::Alternatives(inner) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    // The number of alternatives of an enumeration is large, and they are distinct as values already.
    if flat.len() <= 64 {
        let mut kept: Vec<Expr> = Vec::with_capacity(flat.len());
        for item in flat {
            if !kept.contains(&item) {
                kept.push(item);
            }
        }
        flat = kept;
    }
    if flat.len() == 1 { flat.pop().unwrap_or_else(nothing) } else { Expr::Alternatives(flat) }
}

/// `item` at least `min` and at most `max` times.
pub(super) fn repeat(item: Expr, min: u32, max: Option<u32>) -> Expr {
    if max == Some(0) || (min == 0 && is_nothing(&item)) || item == empty() {
        return empty();
    }
    if max.is_some_and(|max| max < min) || is_nothing(&item) {
        return nothing();
    }
    if min == 1 && max == Some(1) {
        return item;
    }
    Expr::Repeat { item: Box::new(item), min, max }
}

pub(super) fn optional(item: Expr) -> Expr {
    repeat(item, 0, Some(1))
}

/// One digit from `low` to `high`.
pub(super) fn digit(low: u8, high: u8) -> Expr {
    if low > high {
        return nothing();
    }
    chars(&[(char::from(b'0' + low), char::from(b'0' + high))])
}

/// Between `min` and `max` digits.
pub(super) fn digits(min: u32, max: u32) -> Expr {
    repeat(digit(0, 9), min, Some(max))
}
