//! Compiles an [`Ir`] into the positions of a byte-level pushdown automaton.
//!
//! A position either reads (a byte of a set, a token) or moves on without reading (calls, returns, branches, counted
//! loops). Counts live on the stack of the automaton, so `x{0,1500}` costs what `x` costs. Counted loops repeat only
//! what reads something: where the repeated item can be empty, its non-empty form is compiled.

#![expect(clippy::indexing_slicing, reason = "rule ids and byte values index tables that are made for them")]

use std::collections::HashMap;

use super::check::is_nullable;
use super::error::Error;
use super::hash::FastHash;
use super::ir::{CharSet, Expr, Ir, RuleId};
use super::limits::Limits;
use crate::types::TokenId;

/// 256 bits, one a byte value.
pub(crate) type ByteSet = [u64; 4];

/// Index of a position in [`Program::positions`].
pub(crate) type PositionId = u32;

/// The position at which a rule, the body of a loop or the whole grammar is complete.
pub(crate) const RETURN: PositionId = 0;

/// Stands for "no upper count".
pub(crate) const UNBOUNDED: u32 = u32::MAX;

/// One position of the automaton.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// Goes on where the frame on top of the stack says.
    Return,
    /// Reads one byte of the set with this index.
    Byte { set: u32, next: PositionId },
    /// Goes on at each of the `branches[start..end]`.
    Split { start: u32, end: u32 },
    /// Goes on at the rule's entry, then at `next`.
    Call { entry: u32, next: PositionId },
    /// Runs `body` between `min` and `max` times, then goes on at `next`.
    Loop { body: PositionId, min: u32, max: u32, next: PositionId },
    /// Reads one token: `id`, or any text token but `id`.
    Token { id: TokenId, negated: bool, next: PositionId },
}

/// A compiled grammar; never changes.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) positions: Vec<Position>,
    pub(crate) branches: Vec<PositionId>,
    pub(crate) entries: Vec<PositionId>,
    pub(crate) sets: Vec<ByteSet>,
    pub(crate) root: u32,
    /// Bytes of the same class are alike in every set.
    pub(crate) class_of: [u8; 256],
    /// One byte of each class.
    pub(crate) class_bytes: Vec<u8>,
}

/// Whether an expression is compiled whole or without the empty text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Whole,
    NonEmpty,
}

struct Compiler<'a> {
    nullable: &'a [bool],
    positions: Vec<Position>,
    branches: Vec<PositionId>,
    entries: Vec<PositionId>,
    entry_of: HashMap<(RuleId, Form), u32, FastHash>,
    pending: Vec<(u32, RuleId, Form)>,
    sets: Vec<ByteSet>,
    set_of: HashMap<ByteSet, u32, FastHash>,
    limit: usize,
}

/// Compiles a checked grammar.
///
/// # Errors
/// [`Error::Limit`] above [`Limits::positions`].
pub(crate) fn compile(ir: &Ir, nullable: &[bool], limits: &Limits) -> Result<Program, Error> {
    let mut compiler = Compiler {
        nullable,
        positions: vec![Position::Return],
        branches: Vec::new(),
        entries: Vec::new(),
        entry_of: HashMap::default(),
        pending: Vec::new(),
        sets: Vec::new(),
        set_of: HashMap::default(),
        limit: limits.positions,
    };
    let root = compiler.entry(ir.root, Form::Whole);
    while let Some((entry, rule, form)) = compiler.pending.pop() {
        let position = compiler.expr(&ir.rules[rule.index()].body, form, RETURN)?;
        compiler.entries[entry as usize] = position;
    }
    let Compiler { positions, branches, entries, sets, .. } = compiler;
    let (class_of, class_bytes) = byte_classes(&sets);
    Ok(Program { positions, branches, entries, sets, root, class_of, class_bytes })
}

fn index(length: usize) -> u32 {
    // Lengths stay below `Limits::positions` and the number of rules, both far below 2^32.
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl Compiler<'_> {
    fn push(&mut self, position: Position) -> Result<PositionId, Error> {
        if self.positions.len() >= self.limit {
            let found = self.positions.len() + 1;
            return Err(Error::Limit { what: "positions", found, limit: self.limit });
        }
        self.positions.push(position);
        Ok(index(self.positions.len() - 1))
    }

    fn entry(&mut self, rule: RuleId, form: Form) -> u32 {
        let form = if self.nullable[rule.index()] { form } else { Form::Whole };
        *self.entry_of.entry((rule, form)).or_insert_with(|| {
            let entry = index(self.entries.len());
            self.entries.push(RETURN);
            self.pending.push((entry, rule, form));
            entry
        })
    }

    fn split(&mut self, branches: &[PositionId]) -> Result<PositionId, Error> {
        if let [only] = branches {
            return Ok(*only);
        }
        let position = self.push(Position::Return)?;
        self.set_split(position, branches);
        Ok(position)
    }

    fn set_split(&mut self, position: PositionId, branches: &[PositionId]) {
        let start = index(self.branches.len());
        self.branches.extend_from_slice(branches);
        self.positions[position as usize] = Position::Split { start, end: index(self.branches.len()) };
    }

    /// Compiles `expr` so that `next` follows; gives back where it begins.
    fn expr(&mut self, expr: &Expr, form: Form, next: PositionId) -> Result<PositionId, Error> {
        let nullable = is_nullable(expr, self.nullable);
        let form = if nullable { form } else { Form::Whole };
        match expr {
            Expr::Literal(text) => {
                let mut next = next;
                for byte in text.bytes().rev() {
                    next = self.byte(one_byte(byte, byte), next)?;
                }
                Ok(next)
            }
            Expr::Class(set) => self.class(set, next),
            Expr::Token { id, negated } => self.push(Position::Token { id: *id, negated: *negated, next }),
            Expr::Rule(rule) => {
                let entry = self.entry(*rule, form);
                self.push(Position::Call { entry, next })
            }
            Expr::Sequence(items) if form == Form::Whole => self.sequence(items, next),
            Expr::Sequence(items) => {
                // All items can be empty: the first that is not decides the branch.
                let mut branches = Vec::with_capacity(items.len());
                for (at, item) in items.iter().enumerate() {
                    let rest = self.sequence(&items[at + 1..], next)?;
                    if reads(item) {
                        branches.push(self.expr(item, Form::NonEmpty, rest)?);
                    }
                }
                self.split(&branches)
            }
            Expr::Alternatives(items) => {
                let mut branches = Vec::with_capacity(items.len());
                for item in items {
                    if form == Form::Whole || reads(item) {
                        branches.push(self.expr(item, form, next)?);
                    }
                }
                self.split(&branches)
            }
            Expr::Repeat { item, min, max } => {
                let item_nullable = is_nullable(item, self.nullable);
                let min = match form {
                    Form::NonEmpty => 1,
                    Form::Whole if item_nullable => 0,
                    Form::Whole => *min,
                };
                if *max == Some(0) || !reads(item) {
                    return Ok(next);
                }
                self.repeat(item, min, *max, next)
            }
        }
    }

    fn sequence(&mut self, items: &[Expr], next: PositionId) -> Result<PositionId, Error> {
        let mut next = next;
        for item in items.iter().rev() {
            next = self.expr(item, Form::Whole, next)?;
        }
        Ok(next)
    }

    /// `item`, never empty, between `min` and `max` times; `max` is not 0.
    fn repeat(&mut self, item: &Expr, min: u32, max: Option<u32>, next: PositionId) -> Result<PositionId, Error> {
        match (min, max) {
            (1, Some(1)) => self.expr(item, Form::NonEmpty, next),
            (0, Some(1)) => {
                let body = self.expr(item, Form::NonEmpty, next)?;
                self.split(&[body, next])
            }
            (0 | 1, None) => {
                let again = self.push(Position::Return)?;
                let body = self.expr(item, Form::NonEmpty, again)?;
                self.set_split(again, &[body, next]);
                Ok(if min == 0 { again } else { body })
            }
            _ => {
                let body = self.expr(item, Form::NonEmpty, RETURN)?;
                self.push(Position::Loop { body, min, max: max.unwrap_or(UNBOUNDED), next })
            }
        }
    }

    fn byte(&mut self, set: ByteSet, next: PositionId) -> Result<PositionId, Error> {
        let sets = &mut self.sets;
        let set = *self.set_of.entry(set).or_insert_with(|| {
            sets.push(set);
            index(sets.len() - 1)
        });
        self.push(Position::Byte { set, next })
    }

    /// One character of `set`, as the byte sequences of its UTF-8 form and no others.
    fn class(&mut self, set: &CharSet, next: PositionId) -> Result<PositionId, Error> {
        let mut sequences = Vec::new();
        for &(low, high) in set.ranges() {
            utf8_sequences(low, high, &mut sequences);
        }
        // Sequences that go on alike share one first position.
        let mut firsts: Vec<(&[(u8, u8)], ByteSet)> = Vec::new();
        for sequence in &sequences {
            let Some(((low, high), rest)) = sequence.split_first() else { continue };
            let bytes = one_byte(*low, *high);
            match firsts.iter_mut().find(|(other, _)| *other == rest) {
                Some((_, set)) => set.iter_mut().zip(bytes).for_each(|(word, more)| *word |= more),
                None => firsts.push((rest, bytes)),
            }
        }
        let mut tails: HashMap<&[(u8, u8)], PositionId, FastHash> = HashMap::default();
        let mut branches = Vec::with_capacity(firsts.len());
        for (rest, bytes) in firsts {
            let mut position = next;
            for at in (0..rest.len()).rev() {
                let tail = &rest[at..];
                position = match tails.get(tail) {
                    Some(known) => *known,
                    None => self.byte(one_byte(tail[0].0, tail[0].1), position)?,
                };
                tails.insert(tail, position);
            }
            branches.push(self.byte(bytes, position)?);
        }
        self.split(&branches)
    }
}

/// Whether `expr` may match anything but the empty text. A rule counts as if it did; a branch in which it does not
/// then has no position that reads, and is never taken.
fn reads(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(_) | Expr::Class(_) | Expr::Token { .. } | Expr::Rule(_) => true,
        Expr::Sequence(items) | Expr::Alternatives(items) => items.iter().any(reads),
        Expr::Repeat { item, max, .. } => *max != Some(0) && reads(item),
    }
}

fn one_byte(low: u8, high: u8) -> ByteSet {
    let mut set = [0; 4];
    for byte in low..=high {
        set[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }
    set
}

/// Whether `set` holds `byte`.
pub(crate) fn holds(set: &ByteSet, byte: u8) -> bool {
    set[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
}

/// Appends byte-range sequences that together spell exactly the characters from `low` to `high`.
fn utf8_sequences(low: u32, high: u32, found: &mut Vec<Vec<(u8, u8)>>) {
    for last in [0x7F, 0x7FF, 0xFFFF] {
        if low <= last && last < high {
            utf8_sequences(low, last, found);
            return utf8_sequences(last + 1, high, found);
        }
    }
    let (Some(first), Some(last)) = (char::from_u32(low), char::from_u32(high)) else { return };
    for tail_bytes in 1..first.len_utf8() {
        let mask = (1_u32 << (6 * tail_bytes)) - 1;
        if low & !mask != high & !mask {
            let cut = if low & mask != 0 {
                low | mask
            } else if high & mask != mask {
                (high & !mask) - 1
            } else {
                continue;
            };
            utf8_sequences(low, cut, found);
            return utf8_sequences(cut + 1, high, found);
        }
    }
    let (mut first_bytes, mut last_bytes) = ([0; 4], [0; 4]);
    let lows = first.encode_utf8(&mut first_bytes).as_bytes();
    let highs = last.encode_utf8(&mut last_bytes).as_bytes();
    found.push(lows.iter().copied().zip(highs.iter().copied()).collect());
}

/// Groups byte values that no set tells apart.
fn byte_classes(sets: &[ByteSet]) -> ([u8; 256], Vec<u8>) {
    let mut group = [0_u16; 256];
    let mut groups = 1_u16;
    let mut is_single = [false; 256];
    for set in sets {
        let bits: u32 = set.iter().map(|word| word.count_ones()).sum();
        if bits == 1 {
            if let Some(byte) = (0..=255_u8).find(|byte| holds(set, *byte)) {
                is_single[usize::from(byte)] = true;
            }
            continue;
        }
        let mut renamed: [u16; 256] = [u16::MAX; 256];
        let mut has_outside = [false; 256];
        for byte in 0..=255_u8 {
            if !holds(set, byte) {
                has_outside[usize::from(group[usize::from(byte)])] = true;
            }
        }
        for byte in 0..=255_u8 {
            let old = usize::from(group[usize::from(byte)]);
            if holds(set, byte) && has_outside[old] {
                if renamed[old] == u16::MAX {
                    renamed[old] = groups;
                    groups += 1;
                }
                group[usize::from(byte)] = renamed[old];
            }
        }
    }
    let mut class_of = [0_u8; 256];
    let mut class_bytes: Vec<u8> = Vec::new();
    let mut first_of: HashMap<u16, u8> = HashMap::new();
    for byte in 0..=255_u8 {
        let at = usize::from(byte);
        let fresh = u8::try_from(class_bytes.len()).unwrap_or(u8::MAX);
        let class = if is_single[at] { fresh } else { *first_of.entry(group[at]).or_insert(fresh) };
        if class == fresh {
            class_bytes.push(byte);
        }
        class_of[at] = class;
    }
    (class_of, class_bytes)
}
