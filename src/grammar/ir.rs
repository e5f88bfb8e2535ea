//! A grammar as data: what every front end produces and the compiler takes. Prints itself as GBNF.

use std::fmt::{self, Write as _};

use super::error::Error;
use super::portable::portable;
use crate::inference::{TokenKind, Vocab};
use crate::types::TokenId;

const SURROGATES: (u32, u32) = (0xD800, 0xDFFF);
const LAST: u32 = 0x10_FFFF;

/// A set of Unicode scalar values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct CharSet {
    ranges: Vec<(u32, u32)>,
}

impl CharSet {
    /// Every character.
    #[must_use]
    pub fn all() -> Self {
        Self::from_ranges(vec![(0, LAST)])
    }

    /// The characters of `ranges`, ends included; what is no scalar value is left out.
    #[must_use]
    pub fn from_ranges(mut ranges: Vec<(u32, u32)>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (low, high) in ranges {
            match merged.last_mut() {
                Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        let mut ranges = Vec::with_capacity(merged.len() + 1);
        for (low, high) in merged {
            for (from, to) in [(low, high.min(SURROGATES.0 - 1)), (low.max(SURROGATES.1 + 1), high.min(LAST))] {
                if from <= to {
                    ranges.push((from, to));
                }
            }
        }
        Self { ranges }
    }

    /// Every character that is not in this set.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut gaps = Vec::with_capacity(self.ranges.len() + 1);
        let mut next = 0;
        for &(low, high) in &self.ranges {
            if next < low {
                gaps.push((next, low - 1));
            }
            next = high + 1;
        }
        if next <= LAST {
            gaps.push((next, LAST));
        }
        Self::from_ranges(gaps)
    }

    /// Ascending ranges that do not touch, ends included.
    #[must_use]
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    /// Whether `character` is in the set.
    #[must_use]
    pub fn contains(&self, character: char) -> bool {
        let point = u32::from(character);
        self.ranges.iter().any(|&(low, high)| (low..=high).contains(&point))
    }
}

/// Index of a rule in [`Ir::rules`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u32);

impl RuleId {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a rule matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// These characters. The parser writes the empty text as an empty sequence; an empty literal is the same.
    Literal(String),
    /// One character of the set.
    Class(CharSet),
    /// One token with this id, or one text token with any other id.
    Token {
        /// The id.
        id: TokenId,
        /// Whether it is the one that may not come.
        negated: bool,
    },
    /// What another rule matches.
    Rule(RuleId),
    /// One after the other.
    Sequence(Vec<Expr>),
    /// One of them; there is at least one.
    Alternatives(Vec<Expr>),
    /// `item` at least `min` and at most `max` times.
    Repeat {
        /// What is repeated.
        item: Box<Expr>,
        /// Fewest times.
        min: u32,
        /// Most times; none for no bound.
        max: Option<u32>,
    },
}

impl Expr {
    /// As GBNF text that may stand between others, in brackets where it has to. It may call no rules: they have no names
    /// here.
    pub(super) fn to_item(&self) -> String {
        Item(self).to_string()
    }

    /// Calls `visit` with every rule that is named, in the order of the text.
    pub(super) fn each_call(&self, visit: &mut impl FnMut(RuleId)) {
        self.walk(&mut |expr| {
            if let Self::Rule(id) = expr {
                visit(*id);
            }
        });
    }

    /// As [`Expr::each_call`], to exchange the rules.
    pub(super) fn each_call_mut(&mut self, visit: &mut impl FnMut(&mut RuleId)) {
        match self {
            Self::Literal(_) | Self::Class(_) | Self::Token { .. } => {}
            Self::Rule(id) => visit(id),
            Self::Sequence(items) | Self::Alternatives(items) => {
                items.iter_mut().for_each(|item| item.each_call_mut(visit));
            }
            Self::Repeat { item, .. } => item.each_call_mut(visit),
        }
    }

    /// The expressions that this one is made of, in order; none of a literal, a class, a token or a rule.
    #[must_use]
    pub fn children(&self) -> &[Self] {
        match self {
            Self::Literal(_) | Self::Class(_) | Self::Token { .. } | Self::Rule(_) => &[],
            Self::Sequence(items) | Self::Alternatives(items) => items,
            Self::Repeat { item, .. } => std::slice::from_ref(item),
        }
    }

    /// Shows `see` this expression and all within it, each before those that it is made of; rules are not followed.
    pub fn walk<'a>(&'a self, see: &mut impl FnMut(&'a Self)) {
        see(self);
        self.children().iter().for_each(|child| child.walk(see));
    }
}

/// A named rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What it matches.
    pub body: Expr,
    /// Byte offset of its name in the source, for errors; not part of its identity.
    pub(crate) offset: usize,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.body == other.body
    }
}

impl Eq for Rule {}

/// A whole grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ir {
    /// All rules.
    pub rules: Vec<Rule>,
    /// Where matching begins.
    pub root: RuleId,
}

impl Ir {
    /// Refuses what the parser would not have made: rules and tokens that do not exist, classes without a character,
    /// no alternatives at all, counts the wrong way round, bodies that are nested deeper than `nesting` (what follows
    /// recurses over them).
    pub(crate) fn validate(&self, nesting: usize, vocab: &Vocab) -> Result<(), Error> {
        let expect = |holds: bool, problem: &str| {
            if holds { Ok(()) } else { Err(Error::Invalid { problem: problem.to_owned() }) }
        };
        expect(self.root.index() < self.rules.len(), "its root does not exist")?;
        let mut left: Vec<(&Expr, usize)> = self.rules.iter().map(|rule| (&rule.body, 1)).collect();
        while let Some((expr, depth)) = left.pop() {
            if depth > nesting {
                return Err(Error::Limit { what: "nesting", found: depth, limit: nesting });
            }
            match expr {
                Expr::Literal(_) | Expr::Sequence(_) => {}
                Expr::Class(set) => expect(!set.ranges.is_empty(), "a class has no character")?,
                Expr::Token { id, .. } => expect(vocab.kind(*id) != TokenKind::Unused, "a token does not exist")?,
                Expr::Rule(id) => expect(id.index() < self.rules.len(), "a rule does not exist")?,
                Expr::Alternatives(items) => expect(!items.is_empty(), "there are no alternatives to choose from")?,
                Expr::Repeat { min, max, .. } => {
                    expect(max.is_none_or(|max| *min <= max && max < u32::MAX), "counts are the wrong way round")?;
                }
            }
            left.extend(expr.children().iter().map(|child| (child, depth + 1)));
        }
        Ok(())
    }
}

impl fmt::Display for Ir {
    /// The grammar as GBNF text that llama.cpp takes as well: large counts are written as rules of their own.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ir = portable(self);
        for rule in &ir.rules {
            write!(formatter, "{} ::= ", rule.name)?;
            ir.print(formatter, &rule.body, Level::Rule)?;
            formatter.write_char('\n')?;
        }
        Ok(())
    }
}

struct Item<'a>(&'a Expr);

impl fmt::Display for Item<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ir { rules: Vec::new(), root: RuleId(0) }.print(formatter, self.0, Level::Item)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Rule,
    Alternative,
    Item,
}

impl Ir {
    fn print(&self, out: &mut fmt::Formatter<'_>, expr: &Expr, level: Level) -> fmt::Result {
        let needed = match expr {
            Expr::Alternatives(_) => Level::Rule,
            Expr::Sequence(items) if !items.is_empty() => Level::Alternative,
            _ => Level::Item,
        };
        if needed < level {
            out.write_char('(')?;
            self.print(out, expr, Level::Rule)?;
            return out.write_char(')');
        }
        match expr {
            Expr::Literal(text) => {
                out.write_char('"')?;
                for character in text.chars() {
                    print_char(out, character, "\"\\")?;
                }
                out.write_char('"')
            }
            Expr::Class(set) => print_class(out, set),
            Expr::Token { id, negated } => write!(out, "{}<[{}]>", if *negated { "!" } else { "" }, id.0),
            Expr::Rule(id) => out.write_str(self.rules.get(id.index()).map_or("", |rule| &rule.name)),
            Expr::Sequence(items) if items.is_empty() => out.write_str("\"\""),
            Expr::Sequence(items) => self.print_list(out, items, " ", Level::Item),
            Expr::Alternatives(items) => self.print_list(out, items, " | ", Level::Alternative),
            Expr::Repeat { item, min, max } => {
                self.print(out, item, Level::Item)?;
                match (min, max) {
                    (0, None) => out.write_char('*'),
                    (1, None) => out.write_char('+'),
                    (0, Some(1)) => out.write_char('?'),
                    (min, None) => write!(out, "{{{min},}}"),
                    (min, Some(max)) if min == max => write!(out, "{{{min}}}"),
                    (min, Some(max)) => write!(out, "{{{min},{max}}}"),
                }
            }
        }
    }

    fn print_list(&self, out: &mut fmt::Formatter<'_>, items: &[Expr], between: &str, level: Level) -> fmt::Result {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.write_str(between)?;
            }
            self.print(out, item, level)?;
        }
        Ok(())
    }
}

impl fmt::Display for CharSet {
    /// The set as a GBNF class.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        print_class(formatter, self)
    }
}

fn print_class(out: &mut fmt::Formatter<'_>, set: &CharSet) -> fmt::Result {
    if *set == CharSet::all() {
        return out.write_char('.');
    }
    let negated = set.ranges.last().is_some_and(|range| range.1 == LAST);
    let ranges = if negated { set.complement().ranges } else { set.ranges.clone() };
    out.write_str(if negated { "[^" } else { "[" })?;
    for (low, high) in ranges {
        for (index, point) in [low, high].into_iter().take(if low == high { 1 } else { 2 }).enumerate() {
            if index > 0 {
                out.write_char('-')?;
            }
            match char::from_u32(point) {
                Some('^') => out.write_str("\\x5E")?,
                Some(character) => print_char(out, character, "[]-\\")?,
                None => write!(out, "\\u{point:04X}")?,
            }
        }
    }
    out.write_char(']')
}

fn print_char(out: &mut fmt::Formatter<'_>, character: char, escaped: &str) -> fmt::Result {
    match character {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        _ if escaped.contains(character) => write!(out, "\\{character}"),
        ' '..='~' => out.write_char(character),
        _ if u32::from(character) <= 0xFF => write!(out, "\\x{:02X}", u32::from(character)),
        _ if u32::from(character) <= 0xFFFF => write!(out, "\\u{:04X}", u32::from(character)),
        _ => write!(out, "\\U{:08X}", u32::from(character)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_merged_and_hold_no_surrogates() {
        let set = CharSet::from_ranges(vec![(0x62, 0x63), (0x61, 0x61), (0xD000, 0xE001)]);
        assert_eq!(set.ranges(), [(0x61, 0x63), (0xD000, 0xD7FF), (0xE000, 0xE001)]);
        assert_eq!(set.complement().complement(), set);
        assert!(CharSet::all().complement().ranges().is_empty());
    }
}
