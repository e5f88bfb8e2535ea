//! The GBNF parser: text to [`Ir`], with every error placed in the source.
//!
//! The language is llama.cpp's, and these differ on purpose.
//! - Added: `_` in rule names, `|` at the beginning of a line.
//! - Refused instead of guessed at: a second definition of a rule (there, the last wins silently), `{3,2}`, ranges that
//!   run backwards, and `[]` or `[^]` (the empty text there, any character in other engines).
//! - `<text>` is a control token by its name. There, it is whatever one token the tokenizer makes of the characters, a
//!   text token as well; such a one is written `<[id]>` here.
//! - A token that ends the generation is refused; there, it is read and then never let through inside a grammar.
//! - Counts are kept up to [`Limits::repetition`], for they cost nothing. There, a lower count above 2,000 is refused, an
//!   upper one is read as no bound, and `(a{100}){100}` is refused because it is written out.
//!
//! Source: `src/llama-grammar.cpp` of llama.cpp as vendored by llama-cpp-sys-2 0.1.161.

use std::collections::HashMap;

use super::error::{Error, LINE_ENDS, Place};
use super::hash::FastHash;
use super::ir::{CharSet, Expr, Ir, Rule, RuleId};
use super::limits::Limits;
use crate::inference::{TokenKind, Vocab};
use crate::types::TokenId;

const ROOT: &str = "root";

/// Reads a grammar. Token items are looked up in `vocab`.
///
/// # Errors
/// The text is not GBNF, a rule is missing or defined twice, a token does not exist, or a limit was hit. Recursion is
/// not looked at here.
pub fn parse(source: &str, vocab: &Vocab, limits: &Limits) -> Result<Ir, Error> {
    if source.len() > limits.source_bytes {
        let limit = limits.source_bytes;
        let place = Box::new(Place::new(source, limit, limit));
        return Err(Error::SourceLimit { place, what: "source bytes", found: source.len(), limit });
    }
    let mut parser =
        Parser { source, bytes: source.as_bytes(), at: 0, vocab, limits, names: HashMap::default(), rules: Vec::new() };
    parser.skip_blank(true);
    while parser.at < source.len() {
        parser.rule()?;
        parser.skip_blank(true);
    }
    parser.finish()
}

struct Draft<'a> {
    name: &'a str,
    first_use: usize,
    definition: Option<(usize, Expr)>,
}

/// An expression with its height: how many groups and repetitions are within one another in it. A group and the
/// repetition right behind it count once.
type Measured = (Expr, usize);

struct Parser<'a> {
    source: &'a str,
    bytes: &'a [u8],
    at: usize,
    vocab: &'a Vocab,
    limits: &'a Limits,
    names: HashMap<&'a str, u32, FastHash>,
    rules: Vec<Draft<'a>>,
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

impl<'a> Parser<'a> {
    fn finish(self) -> Result<Ir, Error> {
        let mut rules = Vec::with_capacity(self.rules.len());
        for draft in self.rules {
            let Some((offset, body)) = draft.definition else {
                let place = Place::new(self.source, draft.first_use, draft.first_use + draft.name.len());
                return Err(Error::UndefinedRule { place, name: draft.name.into() });
            };
            rules.push(Rule { name: draft.name.into(), body, offset });
        }
        let root = self.names.get(ROOT).ok_or(Error::NoRoot)?;
        Ok(Ir { rules, root: RuleId(*root) })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn syntax<T>(&self, start: usize, end: usize, problem: impl Into<String>) -> Result<T, Error> {
        Err(Error::Syntax { place: Place::new(self.source, start, end), problem: problem.into() })
    }

    fn over_limit<T>(&self, start: usize, what: &'static str, found: usize, limit: usize) -> Result<T, Error> {
        Err(Error::SourceLimit { place: Box::new(Place::new(self.source, start, self.at)), what, found, limit })
    }

    /// An error about the character that stands here.
    fn unexpected<T>(&self, wanted: &str) -> Result<T, Error> {
        let next = self.source.get(self.at..).and_then(|rest| rest.chars().next());
        let problem = match next {
            None => format!("{wanted} expected, but the grammar ends"),
            Some('\n' | '\r') => format!("{wanted} expected, but the line ends"),
            Some(character) => format!("{wanted} expected, not {character:?}"),
        };
        self.syntax(self.at, self.at + next.map_or(0, char::len_utf8), problem)
    }

    fn skip_blank(&mut self, lines: bool) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' => self.at += 1,
                b'\n' | b'\r' if lines => self.at += 1,
                b'#' => {
                    let rest = self.bytes.get(self.at..).unwrap_or_default();
                    self.at += rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
                }
                _ => break,
            }
        }
    }

    fn name(&mut self) -> Option<&'a str> {
        let rest = self.bytes.get(self.at..)?;
        let length = rest.iter().position(|byte| !is_name_byte(*byte)).unwrap_or(rest.len());
        let name = self.source.get(self.at..self.at + length).filter(|name| !name.is_empty())?;
        self.at += length;
        Some(name)
    }

    fn rule_id(&mut self, name: &'a str, offset: usize) -> Result<RuleId, Error> {
        if let Some(id) = self.names.get(name) {
            return Ok(RuleId(*id));
        }
        let limit = self.limits.rules;
        let id = u32::try_from(self.rules.len()).unwrap_or(u32::MAX);
        if self.rules.len() >= limit {
            let place = Box::new(Place::new(self.source, offset, offset + name.len()));
            return Err(Error::SourceLimit { place, what: "rules", found: self.rules.len() + 1, limit });
        }
        self.rules.push(Draft { name, first_use: offset, definition: None });
        self.names.insert(name, id);
        Ok(RuleId(id))
    }

    fn rule(&mut self) -> Result<(), Error> {
        let start = self.at;
        let Some(name) = self.name() else { return self.unexpected("a rule name") };
        self.skip_blank(false);
        if !self.source.get(self.at..).is_some_and(|rest| rest.starts_with("::=")) {
            return self.unexpected("`::=`");
        }
        self.at += 3;
        self.skip_blank(true);
        let id = self.rule_id(name, start)?;
        let earlier = self.rules.get(id.index()).and_then(|draft| draft.definition.as_ref()).map(|(offset, _)| *offset);
        if let Some(earlier) = earlier {
            let first_line = Place::new(self.source, earlier, earlier).line;
            let place = Place::new(self.source, start, start + name.len());
            return Err(Error::DuplicateRule { place, name: name.into(), first_line });
        }
        let (body, _) = self.alternatives(0)?;
        match self.peek() {
            None | Some(b'\n' | b'\r') => {}
            Some(b')') => return self.syntax(self.at, self.at + 1, "`)` closes nothing"),
            Some(b'*' | b'+' | b'?' | b'{') => return self.syntax(self.at, self.at + 1, "nothing stands before this"),
            Some(_) => return self.unexpected("the next item, `|` or the end of the line"),
        }
        if let Some(draft) = self.rules.get_mut(id.index()) {
            draft.definition = Some((start, body));
        }
        Ok(())
    }

    /// What stands in a rule or, `depth` groups deep, in a group.
    fn alternatives(&mut self, depth: usize) -> Result<Measured, Error> {
        let (first, mut height) = self.sequence(depth)?;
        let mut all = Vec::new();
        loop {
            let before = self.at;
            self.skip_blank(true);
            if !self.take(b'|') {
                if depth == 0 {
                    self.at = before;
                }
                break;
            }
            self.skip_blank(true);
            let (next, next_height) = self.sequence(depth)?;
            all.push(next);
            height = height.max(next_height);
        }
        if all.is_empty() {
            return Ok((first, height));
        }
        all.insert(0, first);
        Ok((Expr::Alternatives(all), height))
    }

    fn sequence(&mut self, depth: usize) -> Result<Measured, Error> {
        let mut items = Vec::new();
        let mut height = 0;
        loop {
            self.skip_blank(depth > 0);
            let is_group = self.peek() == Some(b'(');
            let Some((mut item, inner)) = self.item(depth)? else { break };
            let mut own = 0;
            loop {
                self.skip_blank(depth > 0);
                let start = self.at;
                let Some((min, max)) = self.repetition()? else { break };
                own += 1;
                // What is inside was bounded without the repetitions around it: those come last.
                let (found, limit) = (depth + inner + own, self.limits.nesting);
                if found > limit {
                    return self.over_limit(start, "nesting", found, limit);
                }
                item = Expr::Repeat { item: Box::new(item), min, max };
            }
            height = height.max(inner + own.max(usize::from(is_group)));
            items.push(item);
        }
        let last = items.pop();
        let expr = match last {
            Some(only) if items.is_empty() => only,
            Some(last) => {
                items.push(last);
                Expr::Sequence(items)
            }
            None => Expr::Sequence(items),
        };
        Ok((expr, height))
    }

    /// One item without what repeats it; of a group, the height is that of what stands in it.
    fn item(&mut self, depth: usize) -> Result<Option<Measured>, Error> {
        if self.peek() == Some(b'(') {
            return self.group(depth).map(Some);
        }
        Ok(self.leaf()?.map(|expr| (expr, 0)))
    }

    /// A group, `depth` groups deep; its height is that of what stands in it.
    fn group(&mut self, depth: usize) -> Result<Measured, Error> {
        let start = self.at;
        self.at += 1;
        if depth >= self.limits.nesting {
            return self.over_limit(start, "nesting", depth + 1, self.limits.nesting);
        }
        let inner = self.alternatives(depth + 1)?;
        if !self.take(b')') {
            let Some(_) = self.peek() else { return self.syntax(start, start + 1, "`(` is never closed") };
            return self.unexpected("the next item, `|` or `)`");
        }
        Ok(inner)
    }

    /// An item that is no group; none where none begins. Not inside [`Parser::item`], which recurses.
    fn leaf(&mut self) -> Result<Option<Expr>, Error> {
        let start = self.at;
        let item = match self.peek() {
            Some(b'"') => self.literal()?,
            Some(b'[') => self.class()?,
            Some(b'.') => {
                self.at += 1;
                Expr::Class(CharSet::all())
            }
            Some(b'<') => self.token(false)?,
            Some(b'!') => {
                self.at += 1;
                if self.peek() != Some(b'<') {
                    return self.unexpected("`<`");
                }
                self.token(true)?
            }
            Some(byte) if is_name_byte(byte) => {
                let Some(name) = self.name() else { return self.unexpected("a rule name") };
                Expr::Rule(self.rule_id(name, start)?)
            }
            _ => return Ok(None),
        };
        Ok(Some(item))
    }

    fn repetition(&mut self) -> Result<Option<(u32, Option<u32>)>, Error> {
        let start = self.at;
        let found = match self.peek() {
            Some(b'*') => (0, None),
            Some(b'+') => (1, None),
            Some(b'?') => (0, Some(1)),
            Some(b'{') => {
                self.at += 1;
                self.skip_blank(false);
                let min = self.count()?;
                self.skip_blank(false);
                let mut max = Some(min);
                if self.take(b',') {
                    self.skip_blank(false);
                    max = if self.peek() == Some(b'}') { None } else { Some(self.count()?) };
                    self.skip_blank(false);
                }
                if self.peek() != Some(b'}') {
                    return self.unexpected("`}`");
                }
                if max.is_some_and(|max| max < min) {
                    return self.syntax(start, self.at + 1, "the upper count is below the lower one");
                }
                (min, max)
            }
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(found))
    }

    fn count(&mut self) -> Result<u32, Error> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        let digits = self.source.get(start..self.at).unwrap_or_default();
        if digits.is_empty() {
            return self.unexpected("a count");
        }
        match digits.parse::<u32>() {
            Ok(count) if count <= self.limits.repetition => Ok(count),
            _ => self.syntax(start, self.at, format!("the count is above the limit of {}", self.limits.repetition)),
        }
    }

    fn literal(&mut self) -> Result<Expr, Error> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(rest.len());
            text.push_str(self.source.get(self.at..self.at + plain).unwrap_or_default());
            self.at += plain;
            match self.peek() {
                None => return self.syntax(start, start + 1, "this literal is never closed"),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(if text.is_empty() { Expr::Sequence(Vec::new()) } else { Expr::Literal(text) });
                }
                Some(_) => text.push(self.escape()?),
            }
        }
    }

    fn class(&mut self) -> Result<Expr, Error> {
        let start = self.at;
        self.at += 1;
        let negated = self.take(b'^');
        let mut ranges = Vec::new();
        while self.peek() != Some(b']') {
            let low_start = self.at;
            let low = self.class_char(start)?;
            let mut high = low;
            if self.peek() == Some(b'-') && self.bytes.get(self.at + 1) != Some(&b']') {
                self.at += 1;
                high = self.class_char(start)?;
            }
            if high < low {
                return self.syntax(low_start, self.at, "this range runs backwards");
            }
            ranges.push((u32::from(low), u32::from(high)));
        }
        self.at += 1;
        if ranges.is_empty() {
            return self.syntax(start, self.at, "an empty class; write \"\" for the empty text or . for any character");
        }
        let set = CharSet::from_ranges(ranges);
        let set = if negated { set.complement() } else { set };
        if set.ranges().is_empty() {
            return self.syntax(start, self.at, "this class leaves no character");
        }
        Ok(Expr::Class(set))
    }

    fn class_char(&mut self, class_start: usize) -> Result<char, Error> {
        match self.source.get(self.at..).and_then(|rest| rest.chars().next()) {
            None => self.syntax(class_start, class_start + 1, "this class is never closed"),
            Some('\\') => self.escape(),
            Some(character) => {
                self.at += character.len_utf8();
                Ok(character)
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let start = self.at;
        self.at += 1;
        let Some(kind) = self.source.get(self.at..).and_then(|rest| rest.chars().next()) else {
            return self.unexpected("an escape");
        };
        self.at += kind.len_utf8();
        let digits = match kind {
            't' => return Ok('\t'),
            'r' => return Ok('\r'),
            'n' => return Ok('\n'),
            '\\' | '"' | '[' | ']' | '-' => return Ok(kind),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => return self.syntax(start, self.at, "no such escape"),
        };
        let text = self.source.get(self.at..self.at + digits).unwrap_or_default();
        if text.len() != digits || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return self.syntax(start, self.at, format!("{digits} hexadecimal digits must follow"));
        }
        self.at += digits;
        match u32::from_str_radix(text, 16).ok().and_then(char::from_u32) {
            Some(character) => Ok(character),
            None => self.syntax(start, self.at, "this is no Unicode character"),
        }
    }

    fn token(&mut self, negated: bool) -> Result<Expr, Error> {
        let start = self.at;
        let rest = self.source.get(start..).unwrap_or_default();
        let line = rest.split(LINE_ENDS).next().unwrap_or_default();
        let Some(length) = line.find('>') else {
            return self.syntax(start, start + 1, "`>` is missing");
        };
        self.at = start + length + 1;
        let spelled = rest.get(..=length).unwrap_or_default();
        let refused = |problem: String| Err(Error::Token { place: Place::new(self.source, start, self.at), problem });
        let id = match spelled.strip_prefix("<[").and_then(|inner| inner.strip_suffix("]>")) {
            Some(digits) => match digits.parse::<u32>() {
                Ok(id) => TokenId(id),
                Err(_) => return self.syntax(start, self.at, "a token id is a whole number"),
            },
            None => match self.vocab.control(spelled) {
                Some(id) => id,
                None => return refused("the vocabulary has no control token of this name".into()),
            },
        };
        if self.vocab.kind(id) == TokenKind::Unused {
            return refused(format!("the vocabulary of {} tokens has no usable token {}", self.vocab.len(), id.0));
        }
        if self.vocab.is_end_of_generation(id) && !negated {
            return refused(format!("token {} ends the generation and cannot be part of it", id.0));
        }
        Ok(Expr::Token { id, negated })
    }
}
