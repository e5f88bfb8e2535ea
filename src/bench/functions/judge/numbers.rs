//! Numbers as Python's `int` and `float` read them from a text.
//!
//! White space around them is allowed, and single underscores between digits. Digits are those of ASCII: Python also
//! reads those of other scripts.

use super::value::Value;

/// A text without white space at its ends, as `str.strip` leaves it.
pub(super) fn stripped(text: &str) -> &str {
    text.trim_matches(|one: char| one.is_whitespace() || ('\x1c'..='\x1f').contains(&one))
}

/// A whole number or else a number; none where the text is neither.
pub(super) fn number(text: &str) -> Option<Value> {
    whole(text).or_else(|| float(text))
}

/// As `int` reads it.
pub(super) fn whole(text: &str) -> Option<Value> {
    let text = stripped(text);
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let groups: Vec<&str> = digits.split('_').collect();
    if groups.iter().any(|group| group.is_empty() || !group.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    let whole = groups.concat().parse::<i128>().unwrap_or(i128::MAX);
    Some(Value::Integer(if is_negative { -whole } else { whole }))
}

/// As `float` reads it.
pub(super) fn float(text: &str) -> Option<Value> {
    let text = stripped(text);
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let separates = |(at, _): (usize, _)| is_digit(at.checked_sub(1)) && is_digit(at.checked_add(1));
    if !text.match_indices('_').all(separates) {
        return None;
    }
    text.replace('_', "").parse().ok().map(Value::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        for (text, expected) in [
            (" -12\n", Some(Value::Integer(-12))),
            ("+1_000", Some(Value::Integer(1000))),
            ("007", Some(Value::Integer(7))),
            ("1_000.5", Some(Value::Float(1000.5))),
            (".5", Some(Value::Float(0.5))),
            ("5.", Some(Value::Float(5.0))),
            ("1e3", Some(Value::Float(1000.0))),
            ("-Infinity", Some(Value::Float(f64::NEG_INFINITY))),
            ("1__0", None),
            ("_1", None),
            ("1_.5", None),
            ("- 1", None),
            ("1f", None),
            ("", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }
}
