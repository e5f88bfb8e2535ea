//! From sets of schema places to rules: the loop over all sets, and the rules that all schemas share.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::Value;

use super::error::Error;
use super::integers::INTEGER_DIGITS;
use super::keywords::Keywords;
use super::numbers::FLOAT_DIGITS;
use super::rules::Rules;
use super::shape::{ARRAY, BOOLEAN, NULL, NUMBER, OBJECT, STRING, Shape};
use super::source::{Loc, Source};
use super::terms::{chars, class, digit, digits, either, empty, is_nothing, literal, optional, repeat, sequence};
use super::{Options, Whitespace};
use crate::grammar::ir::{CharSet, Expr, Ir, RuleId};

/// Rules that do not depend on the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Shared {
    /// Any value.
    Value,
    /// Any object.
    Object,
    /// Any array.
    Array,
    /// Any string with its quotes.
    String,
    /// One character of a string, however it is written.
    Char,
    /// One of the characters that must be escaped, as it is written without need for more.
    Escaped,
    /// The rest of a name that is none of the declared ones, and the quote.
    NameRest,
    /// As [`Shared::NameRest`], at least one character.
    NameLonger,
    /// As [`Shared::NameLonger`], beginning with a character that is escaped or not ASCII.
    NameUnusual,
    /// Any number.
    Number,
    /// Any integer.
    Integer,
    /// Flexible white space.
    Space,
    /// `,` with what white space there is.
    Comma,
    /// `:` with what white space there is.
    Colon,
}

pub(super) struct Compiler<'a> {
    pub(super) options: &'a Options,
    pub(super) source: Source<'a>,
    pub(super) rules: Rules,
    pub(super) read: HashMap<Loc, Rc<Keywords<'a>>>,
    pub(super) expanded: HashMap<Loc, Alternatives<'a>>,
    pub(super) multiples: HashMap<(u64, usize, u64), Expr>,
    /// What the last expansion that came to nothing failed on: pointer and problem.
    pub(super) contradiction: Option<(String, String)>,
    /// Places whose alternatives are being worked out, each because of the one before.
    pub(super) path: Vec<Loc>,
    work: u64,
    shared: HashMap<Shared, Expr>,
    known: HashMap<Vec<Loc>, RuleId>,
    made: Vec<Made>,
}

/// The alternatives of one place and, where there are none, why.
pub(super) type Alternatives<'a> = (Rc<[Shape<'a>]>, Option<(String, String)>);

/// A rule for a set of places.
struct Made {
    id: RuleId,
    places: Vec<Loc>,
    contradiction: Option<(String, String)>,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(schema: &'a Value, options: &'a Options) -> Result<Self, Error> {
        let root = Source::root();
        Ok(Self {
            options,
            source: Source::new(schema, &options.limits)?,
            rules: Rules::new(options.limits.rules),
            read: HashMap::new(),
            expanded: HashMap::new(),
            path: Vec::new(),
            work: 0,
            multiples: HashMap::new(),
            contradiction: None,
            shared: HashMap::new(),
            known: HashMap::from([(vec![root], Rules::root())]),
            made: vec![Made { id: Rules::root(), places: vec![root], contradiction: None }],
        })
    }

    pub(super) fn compile(mut self) -> Result<Ir, Error> {
        let mut at = 0;
        while let Some(made) = self.made.get(at) {
            let (id, places) = (made.id, made.places.clone());
            let pointer = self.pointer(&places);
            self.contradiction = None;
            let shapes = self.expand(&places)?;
            let mut parts = Vec::with_capacity(shapes.len());
            for shape in &shapes {
                parts.push(self.shape(shape, &pointer)?);
            }
            let body = either(parts);
            if is_nothing(&body)
                && let Some(made) = self.made.get_mut(at)
            {
                let unnamed = || (pointer, "no value fits all of its keywords".to_owned());
                made.contradiction = Some(self.contradiction.take().unwrap_or_else(unnamed));
            }
            self.rules.define(id, body);
            at += 1;
        }
        let productive = self.rules.productive();
        self.refuse_impossible(&productive)?;
        Ok(self.rules.finish(&productive))
    }

    /// An error where the schema as a whole, or one place as it is written, admits no value. `false` is no mistake; nor
    /// are combinations that nobody wrote down.
    fn refuse_impossible(&self, productive: &[bool]) -> Result<(), Error> {
        let fails = |made: &&Made| productive.get(made.id.index()) != Some(&true);
        let as_written = |made: &&Made| match made.places.as_slice() {
            [only] => made.id == Rules::root() || *self.source.schema(*only) != Value::Bool(false),
            _ => false,
        };
        let failing = || self.made.iter().filter(fails);
        let Some(first) = failing().find(as_written) else { return Ok(()) };
        let told = failing().filter(as_written).find_map(|made| made.contradiction.clone());
        if let Some((pointer, problem)) = told.or_else(|| failing().find_map(|made| made.contradiction.clone())) {
            return Err(Error::Unsatisfiable { pointer, problem });
        }
        Err(Error::NeverEnds { pointer: self.pointer(&first.places) })
    }

    /// Counts work; an error once there was too much of it.
    pub(super) fn charge(&mut self, steps: usize, pointer: impl FnOnce(&Self) -> String) -> Result<(), Error> {
        self.work = self.work.saturating_add(steps as u64);
        if self.work <= self.options.limits.work {
            return Ok(());
        }
        let [found, limit] =
            [self.work, self.options.limits.work].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        Err(Error::Limit { pointer: pointer(self), what: "number of steps to combine its keywords", found, limit })
    }

    /// How much work may still be done, in steps.
    pub(super) fn work_left(&self) -> usize {
        usize::try_from(self.options.limits.work.saturating_sub(self.work)).unwrap_or(usize::MAX)
    }

    pub(super) fn pointer(&self, places: &[Loc]) -> String {
        places.first().map_or_else(String::new, |loc| self.source.pointer(*loc).to_owned())
    }

    /// What matches the values for which all of `places` hold.
    pub(super) fn values_of(&mut self, places: &[Loc]) -> Result<Expr, Error> {
        let mut places: Vec<Loc> = (places.iter().copied())
            .filter(|loc| match self.source.schema(*loc) {
                Value::Bool(holds) => !holds,
                Value::Object(members) => !members.is_empty(),
                _ => true,
            })
            .collect();
        if places.is_empty() {
            return self.shared(Shared::Value);
        }
        let mut key = places.clone();
        key.sort_unstable();
        key.dedup();
        if let Some(id) = self.known.get(&key) {
            return Ok(Expr::Rule(*id));
        }
        let mut seen = std::collections::HashSet::new();
        places.retain(|loc| seen.insert(*loc));
        let pointer = self.pointer(&places);
        let mut tokens = pointer.rsplit('/').filter(|token| token.parse::<usize>().is_err());
        let last = tokens.next().unwrap_or("");
        let before = tokens.next().unwrap_or("");
        let name = match last {
            "items" | "prefixItems" | "additionalProperties" if !before.is_empty() => format!("{before}-item"),
            name => name.to_owned(),
        };
        let id = self.rules.reserve(&name, &pointer)?;
        self.known.insert(key, id);
        self.made.push(Made { id, places, contradiction: None });
        Ok(Expr::Rule(id))
    }

    fn shape(&mut self, shape: &Shape<'a>, pointer: &str) -> Result<Expr, Error> {
        if let Some(values) = &shape.values {
            let mut parts = Vec::with_capacity(values.len());
            for value in values {
                parts.push(self.constant(value)?);
            }
            return Ok(either(parts));
        }
        if shape.is_any() {
            return self.shared(Shared::Value);
        }
        let mut parts = Vec::new();
        let has = |bit| shape.types & bit != 0;
        if has(OBJECT) {
            parts.push(self.object(shape, pointer)?);
        }
        if has(ARRAY) {
            parts.push(self.array(shape, pointer)?);
        }
        if has(STRING) {
            parts.push(self.string(shape, pointer)?);
        }
        if has(NUMBER) {
            parts.push(self.number(shape, pointer)?);
        }
        if has(BOOLEAN) {
            parts.extend([literal("true"), literal("false")]);
        }
        if has(NULL) {
            parts.push(literal("null"));
        }
        Ok(either(parts))
    }

    /// White space between two tokens.
    pub(super) fn space(&mut self) -> Result<Expr, Error> {
        if self.options.whitespace == Whitespace::Flexible { self.shared(Shared::Space) } else { Ok(empty()) }
    }

    pub(super) fn comma(&mut self) -> Result<Expr, Error> {
        match self.options.whitespace {
            Whitespace::Compact => Ok(literal(",")),
            Whitespace::Template => Ok(literal(", ")),
            Whitespace::Flexible => self.shared(Shared::Comma),
        }
    }

    pub(super) fn colon(&mut self) -> Result<Expr, Error> {
        match self.options.whitespace {
            Whitespace::Compact => Ok(literal(":")),
            Whitespace::Template => Ok(literal(": ")),
            Whitespace::Flexible => self.shared(Shared::Colon),
        }
    }

    /// `inside` between two brackets; where it may be empty, `is_optional` says so and `inside` is not.
    pub(super) fn bracketed(
        &mut self,
        (open, close): (&str, &str),
        inside: Expr,
        is_optional: bool,
    ) -> Result<Expr, Error> {
        let space = self.space()?;
        let inside = sequence([inside, space.clone()]);
        let inside = if is_optional { optional(inside) } else { inside };
        Ok(sequence([literal(open), space, inside, literal(close)]))
    }

    /// `item (, item)*`.
    pub(super) fn list(&mut self, item: Expr, min: u32, max: Option<u32>) -> Result<Expr, Error> {
        let more = sequence([self.comma()?, item.clone()]);
        Ok(sequence([item, repeat(more, min.saturating_sub(1), max.map(|max| max.saturating_sub(1)))]))
    }

    /// A rule that all schemas share, made when it is used first.
    pub(super) fn shared(&mut self, which: Shared) -> Result<Expr, Error> {
        if let Some(known) = self.shared.get(&which) {
            return Ok(known.clone());
        }
        let name = match which {
            Shared::Value => "value",
            Shared::Object => "object",
            Shared::Array => "array",
            Shared::String => "string",
            Shared::Char => "char",
            Shared::Escaped => "escaped",
            Shared::NameRest => "name-rest",
            Shared::NameLonger => "name-longer",
            Shared::NameUnusual => "name-unusual",
            Shared::Number => "number",
            Shared::Integer => "integer",
            Shared::Space => "space",
            Shared::Comma => "comma",
            Shared::Colon => "colon",
        };
        let id = self.rules.reserve(name, "")?;
        self.shared.insert(which, Expr::Rule(id));
        let body = self.shared_body(which)?;
        self.rules.define(id, body);
        Ok(Expr::Rule(id))
    }

    fn shared_body(&mut self, which: Shared) -> Result<Expr, Error> {
        Ok(match which {
            Shared::Value => either([
                self.shared(Shared::Object)?,
                self.shared(Shared::Array)?,
                self.shared(Shared::String)?,
                self.shared(Shared::Number)?,
                literal("true"),
                literal("false"),
                literal("null"),
            ]),
            Shared::Object => {
                let member = sequence([self.shared(Shared::String)?, self.colon()?, self.shared(Shared::Value)?]);
                let member = self.rules.add("member", "", member)?;
                let members = self.list(member, 1, None)?;
                self.bracketed(("{", "}"), members, true)?
            }
            Shared::Array => {
                let value = self.shared(Shared::Value)?;
                let items = self.list(value, 1, None)?;
                self.bracketed(("[", "]"), items, true)?
            }
            Shared::String => {
                let char = self.shared(Shared::Char)?;
                sequence([literal("\""), repeat(char, 0, None), literal("\"")])
            }
            Shared::Char => any_char(),
            Shared::Escaped => escaped(),
            Shared::NameRest => sequence([repeat(self.shared(Shared::Char)?, 0, None), literal("\"")]),
            Shared::NameLonger => sequence([self.shared(Shared::Char)?, self.shared(Shared::NameRest)?]),
            Shared::NameUnusual => {
                let wide = class(CharSet::from_ranges(vec![(0x80, 0x10_FFFF)]));
                sequence([either([wide, self.shared(Shared::Escaped)?]), self.shared(Shared::NameRest)?])
            }
            Shared::Number => {
                let int = either([literal("0"), sequence([digit(1, 9), digits(0, INTEGER_DIGITS - 1)])]);
                let frac = optional(sequence([literal("."), digits(1, FLOAT_DIGITS)]));
                let sign = optional(chars(&[('+', '+'), ('-', '-')]));
                let exponent = optional(sequence([chars(&[('E', 'E'), ('e', 'e')]), sign, digits(1, 2)]));
                sequence([optional(literal("-")), int, frac, exponent])
            }
            Shared::Integer => {
                either([literal("0"), sequence([optional(literal("-")), digit(1, 9), digits(0, INTEGER_DIGITS - 1)])])
            }
            Shared::Space => {
                let blank = chars(&[('\t', '\n'), ('\r', '\r'), (' ', ' ')]);
                repeat(blank, 0, Some(self.options.whitespace_run))
            }
            Shared::Comma | Shared::Colon => {
                let space = self.shared(Shared::Space)?;
                let mark = if which == Shared::Comma { "," } else { ":" };
                sequence([space.clone(), literal(mark), space])
            }
        })
    }
}

fn hex(count: u32) -> Expr {
    repeat(chars(&[('0', '9'), ('A', 'F'), ('a', 'f')]), count, Some(count))
}

/// One character in any spelling that JSON has for it; half of a surrogate pair is none.
fn any_char() -> Expr {
    let raw = CharSet::from_ranges(vec![(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)]).complement();
    let short = CharSet::from_ranges("\"\\/bfnrt".chars().map(|c| (c.into(), c.into())).collect());
    let below = sequence([chars(&[('0', '9'), ('A', 'C'), ('E', 'F'), ('a', 'c'), ('e', 'f')]), hex(3)]);
    let d = || chars(&[('D', 'D'), ('d', 'd')]);
    let low_half = sequence([literal("\\u"), d(), chars(&[('C', 'F'), ('c', 'f')]), hex(2)]);
    let high_half = sequence([chars(&[('8', '9'), ('A', 'B'), ('a', 'b')]), hex(2), low_half]);
    let from_d = sequence([d(), either([sequence([digit(0, 7), hex(2)]), high_half])]);
    let unicode = sequence([literal("u"), either([below, from_d])]);
    either([class(raw), sequence([literal("\\"), either([class(short), unicode])])])
}

/// Characters that must be escaped and have a short escape.
pub(super) const SHORT_ESCAPES: [(char, char); 7] =
    [('"', '"'), ('\\', '\\'), ('\u{8}', 'b'), ('\u{C}', 'f'), ('\n', 'n'), ('\r', 'r'), ('\t', 't')];

/// Every character that must be escaped, spelled as `serde_json` and Python's `json` do.
fn escaped() -> Expr {
    super::strings::spelled_escapes(&CharSet::from_ranges(vec![(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)]))
}
