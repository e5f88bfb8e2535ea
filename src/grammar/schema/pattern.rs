//! Patterns: regular expressions of ECMA-262 as trees over characters.
//!
//! `regex-syntax` reads the text; what the letters mean follows ECMA-262 with the `u` flag (`\d` and `\w` are ASCII, `.`
//! is no line end, `\s` is its white space), and what the two read differently is refused.

use regex_syntax::ast::{self, Ast, parse::ParserBuilder};

use crate::grammar::ir::CharSet;

/// Groups within one another that a pattern may have: the tree is walked recursively.
const NESTING: u32 = 60;

/// A regular expression over characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Re {
    /// One character of the set.
    Class(CharSet),
    /// One after the other; the empty text where there are none.
    Concat(Vec<Re>),
    /// One of them; nothing where there are none.
    Alt(Vec<Re>),
    /// Again and again.
    Repeat { item: Box<Re>, min: u32, max: Option<u32> },
    /// The beginning of the text.
    Start,
    /// The end of the text.
    End,
}

const LINE_ENDS: [(u32, u32); 3] = [(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)];
const DIGITS: [(u32, u32); 1] = [(0x30, 0x39)];
const WORD: [(u32, u32); 4] = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)];
const SPACE: [(u32, u32); 9] = [
    (0x09, 0x0D),
    (0x20, 0x20),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x2000, 0x200A),
    (0x2028, 0x2029),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
];
const BYTE_ORDER_MARK: (u32, u32) = (0xFEFF, 0xFEFF);

impl Re {
    pub(super) const fn empty() -> Self {
        Self::Concat(Vec::new())
    }

    /// Any text.
    pub(super) fn any() -> Self {
        Self::repeat(Self::Class(CharSet::all()), 0, None)
    }

    /// Any text of `min` to `max` characters.
    pub(super) fn length(min: u32, max: Option<u32>) -> Self {
        Self::repeat(Self::Class(CharSet::all()), min, max)
    }

    /// Exactly this text.
    pub(super) fn text(text: &str) -> Self {
        Self::Concat(text.chars().map(|c| Self::Class(CharSet::from_ranges(vec![(c.into(), c.into())]))).collect())
    }

    fn repeat(item: Self, min: u32, max: Option<u32>) -> Self {
        Self::Repeat { item: Box::new(item), min, max }
    }

    /// Reads a pattern and makes what it says of a whole text explicit: a pattern may match anywhere.
    ///
    /// # Errors
    /// What is wrong with the pattern, or not supported in it.
    pub(super) fn parse(pattern: &str) -> Result<Self, String> {
        let mut rest = pattern.chars();
        while let Some(character) = rest.next() {
            if character == '\\'
                && rest.next() == Some('0')
                && rest.as_str().starts_with(|next: char| next.is_ascii_digit())
            {
                return Err("`\\0` is NUL in patterns and no digit may follow it".into());
            }
        }
        // Octal escapes are read so that `\0` is; all others are refused below.
        let ast = ParserBuilder::new().nest_limit(NESTING).octal(true).build().parse(pattern).map_err(|error| {
            use ast::ErrorKind::{UnsupportedBackreference, UnsupportedLookAround};
            match error.kind() {
                UnsupportedLookAround => "look-around is not supported in patterns".to_owned(),
                UnsupportedBackreference => "back references are not supported in patterns".to_owned(),
                kind => format!("the pattern cannot be read: {kind}"),
            }
        })?;
        anchored(&translate(&ast)?)
    }

    /// Whether it matches nothing but texts of exactly one character set: `set`, lowest and highest count.
    pub(super) fn as_run(&self) -> Option<(&CharSet, u32, Option<u32>)> {
        match self {
            Self::Class(set) => Some((set, 1, Some(1))),
            Self::Repeat { item, min, max } => match item.as_ref() {
                Self::Class(set) => Some((set, *min, *max)),
                _ => None,
            },
            Self::Concat(items) => match items.as_slice() {
                [only] => only.as_run(),
                _ => None,
            },
            _ => None,
        }
    }

    /// Fewest and most characters of a text.
    pub(super) fn bounds(&self) -> (u64, Option<u64>) {
        match self {
            Self::Class(_) => (1, Some(1)),
            Self::Start | Self::End => (0, Some(0)),
            Self::Concat(items) => items.iter().map(Self::bounds).fold((0, Some(0)), |(min, max), (low, high)| {
                (min.saturating_add(low), max.zip(high).map(|(a, b)| a.saturating_add(b)))
            }),
            Self::Alt(items) => {
                let all: Vec<_> = items.iter().map(Self::bounds).collect();
                let min = all.iter().map(|bounds| bounds.0).min().unwrap_or(0);
                let max = all.iter().map(|bounds| bounds.1).try_fold(0, |max, high| Some(max.max(high?)));
                (min, max)
            }
            Self::Repeat { item, min, max } => {
                let (low, high) = item.bounds();
                let most = match (high, max) {
                    (Some(0), _) => Some(0),
                    (Some(high), Some(max)) => Some(high.saturating_mul(u64::from(*max))),
                    _ => None,
                };
                (low.saturating_mul(u64::from(*min)), most)
            }
        }
    }
}

fn translate(ast: &Ast) -> Result<Re, String> {
    Ok(match ast {
        Ast::Empty(_) => Re::empty(),
        Ast::Flags(_) => return Err("flags are not supported in patterns".into()),
        Ast::Literal(literal) => Re::Class(single(literal)?),
        Ast::Dot(_) => Re::Class(CharSet::from_ranges(LINE_ENDS.to_vec()).complement()),
        Ast::Assertion(assertion) => match assertion.kind {
            ast::AssertionKind::StartLine => Re::Start,
            ast::AssertionKind::EndLine => Re::End,
            _ => return Err("of the assertions, only ^ and $ are supported in patterns".into()),
        },
        Ast::ClassUnicode(_) => return Err("Unicode properties (\\p) are not supported in patterns".into()),
        Ast::ClassPerl(class) => Re::Class(perl(class)),
        Ast::ClassBracketed(class) => Re::Class(bracketed(class)?),
        Ast::Repetition(repetition) => {
            let (min, max) = match repetition.op.kind {
                ast::RepetitionKind::ZeroOrOne => (0, Some(1)),
                ast::RepetitionKind::ZeroOrMore => (0, None),
                ast::RepetitionKind::OneOrMore => (1, None),
                ast::RepetitionKind::Range(ast::RepetitionRange::Exactly(count)) => (count, Some(count)),
                ast::RepetitionKind::Range(ast::RepetitionRange::AtLeast(min)) => (min, None),
                ast::RepetitionKind::Range(ast::RepetitionRange::Bounded(min, max)) => (min, Some(max)),
            };
            if matches!(*repetition.ast, Ast::Repetition(_)) {
                return Err("a repetition of a repetition needs a group, as in `(a{2})+`".into());
            }
            match translate(&repetition.ast)? {
                Re::Start | Re::End => return Err("an anchor cannot be repeated".into()),
                item => Re::repeat(item, min, max),
            }
        }
        Ast::Group(group) => {
            if group.flags().is_some_and(|flags| !flags.items.is_empty()) {
                return Err("flags are not supported in patterns".into());
            }
            translate(&group.ast)?
        }
        Ast::Alternation(items) => Re::Alt(items.asts.iter().map(translate).collect::<Result<_, _>>()?),
        Ast::Concat(items) => Re::Concat(items.asts.iter().map(translate).collect::<Result<_, _>>()?),
    })
}

fn single(literal: &ast::Literal) -> Result<CharSet, String> {
    use ast::{HexLiteralKind, LiteralKind, SpecialLiteralKind};
    match literal.kind {
        LiteralKind::Octal if literal.c != '\0' => {
            return Err("back references are not supported in patterns".into());
        }
        LiteralKind::HexFixed(HexLiteralKind::UnicodeLong) => {}
        LiteralKind::HexBrace(HexLiteralKind::X | HexLiteralKind::UnicodeLong) => {}
        LiteralKind::Special(SpecialLiteralKind::Bell) => {}
        _ => return Ok(CharSet::from_ranges(vec![(literal.c.into(), literal.c.into())])),
    }
    Err(format!("the escape for {:?} is not one of ECMA-262", literal.c))
}

fn perl(class: &ast::ClassPerl) -> CharSet {
    let set = CharSet::from_ranges(match class.kind {
        ast::ClassPerlKind::Digit => DIGITS.to_vec(),
        ast::ClassPerlKind::Word => WORD.to_vec(),
        ast::ClassPerlKind::Space => SPACE.into_iter().chain([BYTE_ORDER_MARK]).collect(),
    });
    if class.negated { set.complement() } else { set }
}

fn bracketed(class: &ast::ClassBracketed) -> Result<CharSet, String> {
    let ast::ClassSet::Item(item) = &class.kind else {
        return Err("set operations (&&, --, ~~) in a class are not those of ECMA-262; escape the characters".into());
    };
    let mut ranges = Vec::new();
    class_item(item, &mut ranges)?;
    let set = CharSet::from_ranges(ranges);
    let set = if class.negated { set.complement() } else { set };
    if set.ranges().is_empty() { Err("a class of the pattern leaves no character".into()) } else { Ok(set) }
}

fn class_item(item: &ast::ClassSetItem, ranges: &mut Vec<(u32, u32)>) -> Result<(), String> {
    match item {
        ast::ClassSetItem::Empty(_) => {}
        ast::ClassSetItem::Literal(literal) => {
            if literal.c == ']' && literal.kind == ast::LiteralKind::Verbatim {
                return Err("`]` at the beginning of a class must be escaped".into());
            }
            ranges.extend(single(literal)?.ranges());
        }
        ast::ClassSetItem::Range(range) => {
            single(&range.start)?;
            single(&range.end)?;
            ranges.push((range.start.c.into(), range.end.c.into()));
        }
        ast::ClassSetItem::Perl(class) => ranges.extend(perl(class).ranges()),
        ast::ClassSetItem::Union(union) => {
            for item in &union.items {
                class_item(item, ranges)?;
            }
        }
        ast::ClassSetItem::Unicode(_) => return Err("Unicode properties (\\p) are not supported in patterns".into()),
        ast::ClassSetItem::Ascii(_) | ast::ClassSetItem::Bracketed(_) => {
            return Err("`[` in a class must be escaped".into());
        }
    }
    Ok(())
}

/// One side of a pattern: whether the text must begin (or end) there, and the rest.
type Sided = Vec<(bool, Re)>;

/// The whole texts in which `re` matches somewhere.
fn anchored(re: &Re) -> Result<Re, String> {
    let mut forms = Vec::new();
    for (at_start, rest) in split(re, Side::Start) {
        for (at_end, body) in split(&rest, Side::End) {
            if has_anchor(&body) {
                return Err("anchors are supported only at the beginning and the end of a pattern".into());
            }
            let mut parts = Vec::with_capacity(3);
            if !at_start {
                parts.push(Re::any());
            }
            if body != Re::empty() {
                parts.push(body);
            }
            if !at_end {
                parts.push(Re::any());
            }
            // What may be anything before and anything behind is anything.
            parts.dedup();
            forms.push(match parts.pop() {
                Some(only) if parts.is_empty() => only,
                Some(last) => {
                    parts.push(last);
                    Re::Concat(parts)
                }
                None => Re::empty(),
            });
        }
    }
    let last = forms.pop();
    Ok(match last {
        Some(only) if forms.is_empty() => only,
        last => {
            forms.extend(last);
            Re::Alt(forms)
        }
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Start,
    End,
}

/// Takes the anchors off one side.
fn split(re: &Re, side: Side) -> Sided {
    match re {
        Re::Start if side == Side::Start => vec![(true, Re::empty())],
        Re::End if side == Side::End => vec![(true, Re::empty())],
        Re::Alt(items) if has_anchor(re) => items.iter().flat_map(|item| split(item, side)).collect(),
        Re::Concat(items) if has_anchor(re) => {
            let outer = if side == Side::Start { items.split_first() } else { items.split_last() };
            let Some((outer, others)) = outer else { return vec![(false, re.clone())] };
            let mut found = Vec::new();
            for (anchored, kept) in split(outer, side) {
                if kept == Re::empty() {
                    // Nothing is left of the outermost part: the next one stands at the border now.
                    let inner = split(&Re::Concat(others.to_vec()), side);
                    found.extend(inner.into_iter().map(|(again, rest)| (anchored || again, rest)));
                    continue;
                }
                let mut parts = others.to_vec();
                parts.insert(if side == Side::Start { 0 } else { parts.len() }, kept);
                found.push((anchored, Re::Concat(parts)));
            }
            found
        }
        _ => vec![(false, re.clone())],
    }
}

fn has_anchor(re: &Re) -> bool {
    match re {
        Re::Start | Re::End => true,
        Re::Class(_) => false,
        Re::Concat(items) | Re::Alt(items) => items.iter().any(has_anchor),
        Re::Repeat { item, .. } => has_anchor(item),
    }
}

#[cfg(test)]
mod tests {
    use super::super::dfa::matches;
    use super::*;

    #[test]
    fn patterns_match_as_in_ecma_script() {
        for (pattern, accepted, rejected) in [
            ("^a+$", &["a", "aaa"][..], &["", "ba", "ab", "a\n"][..]),
            ("b", &["b", "abc", "\nb\n"], &["", "ac"]),
            ("^(?:a|b$)", &["a", "ax", "b"], &["bx", "xa"]),
            ("^a|b$", &["ax", "xb"], &["xax", "bx"]),
            ("^\\d{2,3}$", &["12", "123"], &["1", "1234", "\u{661}\u{662}"]),
            ("^\\w\\W$", &["a-", "_é"], &["é-", "aa"]),
            ("^.$", &["a", "😀"], &["\n", "\u{2028}", "ab"]),
            ("^[^\\s/]\\/\\x41\\u00e9$", &["b/Aé"], &["\u{feff}/Aé", "//Aé"]),
            ("^[a-c\\-\\]]*?$", &["", "a-]"], &["d"]),
            ("^a\\0[\\0b]$", &["a\0\0", "a\0b"], &["a0b", "a00"]),
            ("^(a{1,2})+b+?c??d{1,2}?$", &["aaabbd", "abcdd"], &["", "bd"]),
            ("", &["", "x"], &[]),
            ("^$", &[""], &["x"]),
            ("^(ab){2}(?<name>c)?$", &["abab", "ababc"], &["ab", "ababcc"]),
        ] {
            let re = Re::parse(pattern).unwrap();
            for text in accepted {
                assert!(matches(&re, text, 10_000).unwrap().0, "{pattern} {text:?}");
            }
            for text in rejected {
                assert!(!matches(&re, text, 10_000).unwrap().0, "{pattern} {text:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_held_exactly_is_refused() {
        for (pattern, problem) in [
            ("(?=a)b", "look-around"),
            ("(a)\\1", "back references"),
            ("a\\bb", "assertions"),
            ("a^b", "anchors"),
            ("(^a)*", "anchors"),
            ("^*", "repeated"),
            ("(?i)a", "flags"),
            ("\\p{L}", "Unicode"),
            ("[[:alpha:]]", "escaped"),
            ("[]a]", "escaped"),
            ("[a&&b]", "set operations"),
            ("a(", "cannot be read"),
            ("\\a", "ECMA"),
            ("(a)\\7", "back references"),
            ("\\012", "NUL"),
            ("\\08", "NUL"),
            ("a{1,2}+", "needs a group"),
            ("a**", "needs a group"),
            ("a+*", "needs a group"),
            ("a+??", "needs a group"),
        ] {
            let error = Re::parse(pattern).unwrap_err();
            assert!(error.contains(problem), "{pattern}: {error}");
        }
    }

    #[test]
    fn bounds_count_characters() {
        for (pattern, bounds) in
            [("^a{2,5}(b|cde)$", (3, Some(8))), ("^a*$", (0, None)), ("x", (1, None)), ("^é?😀$", (1, Some(2)))]
        {
            assert_eq!(Re::parse(pattern).unwrap().bounds(), bounds, "{pattern}");
        }
    }
}
