//! Compiles a checked [`Ir`] into a [`Program`].
//!
//! Rules are compiled callees first, so that a rule is known by the position at which it begins and equal rules of
//! different grammars are one. Rules that call each other in a circle, and repetitions without a bound, go back to
//! themselves and are known by what they are made of. Alternatives that begin with the same characters share these: an
//! enumeration of thousands of words is a tree. Counted loops repeat only what reads something: where the repeated item
//! can be empty, its non-empty form is compiled.

#![expect(clippy::indexing_slicing, reason = "rule ids index tables that are made for them")]

use std::collections::HashMap;

use super::check::is_nullable;
use super::components::components;
use super::error::Error;
use super::hash::FastHash;
use super::ir::{CharSet, Expr, Ir, RuleId};
use super::program::{Position, PositionId, Program, RETURN, UNBOUNDED};
use super::utf8::{ByteSet, byte_range, unite, utf8_sequences};

/// Longer descriptions of what goes back to itself are not kept: a grammar that has them is compiled anew.
const MAX_CYCLE_KEY: usize = 4096;

/// Alternatives that share ever longer beginnings are compiled one by one beyond this depth: the compiler recurses.
const MAX_TREE_DEPTH: usize = 64;

/// Whether an expression is compiled whole or without the empty text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Whole,
    NonEmpty,
}

/// Where a rule begins, in both forms; the same where it cannot be empty.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    whole: PositionId,
    non_empty: PositionId,
}

struct Compiler<'a> {
    nullable: &'a [bool],
    entries: Vec<Entry>,
    program: &'a mut Program,
    /// Calls of [`Compiler::tree`] that wait for one another.
    tree_depth: usize,
}

/// Compiles a checked grammar; gives back where it begins.
///
/// # Errors
/// [`Error::Limit`] above [`Limits::positions`](super::limits::Limits::positions).
pub(crate) fn compile(ir: &Ir, nullable: &[bool], program: &mut Program) -> Result<PositionId, Error> {
    let mut compiler = Compiler { nullable, entries: vec![Entry::default(); ir.rules.len()], program, tree_depth: 0 };
    for component in components(ir) {
        match component.rules.as_slice() {
            [rule] if !component.is_recursive => compiler.rule(ir, *rule)?,
            rules => compiler.circle(ir, rules)?,
        }
    }
    Ok(compiler.entries[ir.root.index()].whole)
}

impl Compiler<'_> {
    fn rule(&mut self, ir: &Ir, rule: RuleId) -> Result<(), Error> {
        let body = &ir.rules[rule.index()].body;
        let whole = self.expr(body, Form::Whole, RETURN)?;
        let non_empty = if self.nullable[rule.index()] { self.expr(body, Form::NonEmpty, RETURN)? } else { whole };
        self.entries[rule.index()] = Entry { whole, non_empty };
        Ok(())
    }

    /// Rules that call each other in a circle.
    fn circle(&mut self, ir: &Ir, rules: &[RuleId]) -> Result<(), Error> {
        let mut key = vec![KeyTag::Circle as u32];
        for rule in rules {
            key.push(u32::from(self.nullable[rule.index()]));
            self.describe(&ir.rules[rule.index()].body, rules, &mut key);
        }
        let is_kept = key.len() <= MAX_CYCLE_KEY;
        if is_kept && let Some(known) = self.program.cycle(&key) {
            for (rule, pair) in rules.iter().zip(known.chunks_exact(2)) {
                self.entries[rule.index()] = Entry { whole: pair[0], non_empty: pair[1] };
            }
            return Ok(());
        }
        let mut reserved = Vec::with_capacity(2 * rules.len());
        for rule in rules {
            let whole = self.program.reserve()?;
            let non_empty = if self.nullable[rule.index()] { self.program.reserve()? } else { whole };
            self.entries[rule.index()] = Entry { whole, non_empty };
            reserved.extend([whole, non_empty]);
        }
        for rule in rules {
            let body = &ir.rules[rule.index()].body;
            let Entry { whole, non_empty } = self.entries[rule.index()];
            let position = self.expr(body, Form::Whole, RETURN)?;
            self.program.set_split(whole, &[position])?;
            if non_empty != whole {
                let position = self.expr(body, Form::NonEmpty, RETURN)?;
                self.program.set_split(non_empty, &[position])?;
            }
        }
        if is_kept {
            self.program.remember_cycle(key, reserved);
        }
        Ok(())
    }

    /// Compiles `expr` so that `next` follows; gives back where it begins.
    fn expr(&mut self, expr: &Expr, form: Form, next: PositionId) -> Result<PositionId, Error> {
        let form = if is_nullable(expr, self.nullable) { form } else { Form::Whole };
        match expr {
            Expr::Literal(text) => self.bytes(text.as_bytes(), next),
            Expr::Class(set) => self.class(set, next),
            Expr::Token { id, negated } => self.program.add(Position::Token { id: *id, negated: *negated, next }),
            Expr::Rule(rule) => {
                let Entry { whole, non_empty } = self.entries[rule.index()];
                let entry = if form == Form::Whole { whole } else { non_empty };
                // What a rule at the very end leaves to do is to return.
                if next == RETURN { Ok(entry) } else { self.program.add(Position::Call { entry, next }) }
            }
            Expr::Sequence(items) if form == Form::Whole => self.sequence(items, next),
            Expr::Sequence(items) => {
                // All items can be empty: the first that is not decides the branch.
                let mut branches = Vec::with_capacity(items.len());
                let mut rest = next;
                for item in items.iter().rev() {
                    if reads(item) {
                        branches.push(self.expr(item, Form::NonEmpty, rest)?);
                    }
                    rest = self.expr(item, Form::Whole, rest)?;
                }
                self.program.split(branches)
            }
            Expr::Alternatives(items) => self.alternatives(items, form, next),
            Expr::Repeat { item, min, max } => {
                let item_nullable = is_nullable(item, self.nullable);
                let min = match form {
                    Form::NonEmpty => 1,
                    Form::Whole if item_nullable => 0,
                    Form::Whole => *min,
                };
                if *max == Some(0) || !reads(item) {
                    // What is only ever empty has no other form.
                    return if form == Form::Whole { Ok(next) } else { self.program.split(Vec::new()) };
                }
                self.repeat(item, min, *max, next)
            }
        }
    }

    fn bytes(&mut self, bytes: &[u8], next: PositionId) -> Result<PositionId, Error> {
        bytes.iter().rev().try_fold(next, |next, byte| self.program.byte(byte_range(*byte, *byte), next))
    }

    fn sequence(&mut self, items: &[Expr], next: PositionId) -> Result<PositionId, Error> {
        items.iter().rev().try_fold(next, |next, item| self.expr(item, Form::Whole, next))
    }

    fn alternatives(&mut self, items: &[Expr], form: Form, next: PositionId) -> Result<PositionId, Error> {
        let mut branches = Vec::with_capacity(items.len());
        let mut led: Vec<(&[u8], &[Expr])> = Vec::new();
        for item in items {
            match item {
                Expr::Literal(text) => led.push((text.as_bytes(), &[])),
                Expr::Sequence(parts) if let [Expr::Literal(text), rest @ ..] = parts.as_slice() => {
                    led.push((text.as_bytes(), rest));
                }
                _ if form == Form::Whole || reads(item) => branches.push(self.expr(item, form, next)?),
                _ => {}
            }
        }
        led.sort_by_key(|(bytes, _)| *bytes);
        if !led.is_empty() {
            branches.push(self.tree(&led, 0, next)?);
        }
        self.program.split(branches)
    }

    /// Alternatives that begin with literals, sorted by them and alike up to byte `at`.
    fn tree(&mut self, led: &[(&[u8], &[Expr])], at: usize, next: PositionId) -> Result<PositionId, Error> {
        let mut branches = Vec::new();
        if self.tree_depth >= MAX_TREE_DEPTH {
            for (bytes, rest) in led {
                let behind = self.sequence(rest, next)?;
                branches.push(self.bytes(bytes.get(at..).unwrap_or_default(), behind)?);
            }
            return self.program.split(branches);
        }
        self.tree_depth += 1;
        let mut left = led;
        while let Some((first, rest)) = left.first() {
            let alike = left.iter().take_while(|(bytes, _)| bytes.get(at) == first.get(at)).count();
            let (group, others) = left.split_at(alike);
            left = others;
            if first.len() == at {
                for (_, rest) in group {
                    branches.push(self.sequence(rest, next)?);
                }
                continue;
            }
            let (end, behind) = match group {
                [_] => (first.len(), self.sequence(rest, next)?),
                [_, .., (last, _)] => {
                    let end = at + first[at..].iter().zip(&last[at..]).take_while(|(a, b)| a == b).count();
                    (end, self.tree(group, end, next)?)
                }
                [] => continue,
            };
            branches.push(self.bytes(&first[at..end], behind)?);
        }
        self.tree_depth -= 1;
        self.program.split(branches)
    }

    /// `item`, never empty, between `min` and `max` times; `max` is not 0.
    fn repeat(&mut self, item: &Expr, min: u32, max: Option<u32>, next: PositionId) -> Result<PositionId, Error> {
        match (min, max) {
            (1, Some(1)) => self.expr(item, Form::NonEmpty, next),
            (0, Some(1)) => {
                let body = self.expr(item, Form::NonEmpty, next)?;
                self.program.split(vec![body, next])
            }
            (0 | 1, None) => {
                let [again, body] = self.endless(item, next)?;
                Ok(if min == 0 { again } else { body })
            }
            _ => {
                let body = self.expr(item, Form::NonEmpty, RETURN)?;
                self.program.add(Position::Loop { body, min, max: max.unwrap_or(UNBOUNDED), next })
            }
        }
    }

    /// `item` any number of times: where the choice is made to repeat it, and where it begins.
    fn endless(&mut self, item: &Expr, next: PositionId) -> Result<[PositionId; 2], Error> {
        let mut key = vec![KeyTag::Endless as u32, next];
        self.describe(item, &[], &mut key);
        let is_kept = key.len() <= MAX_CYCLE_KEY;
        if is_kept && let Some(&[again, body]) = self.program.cycle(&key) {
            return Ok([again, body]);
        }
        let again = self.program.reserve()?;
        let body = self.expr(item, Form::NonEmpty, again)?;
        self.program.set_split(again, &[body, next])?;
        if is_kept {
            self.program.remember_cycle(key, vec![again, body]);
        }
        Ok([again, body])
    }

    /// One character of `set`, as the byte sequences of its UTF-8 form and no others.
    fn class(&mut self, set: &CharSet, next: PositionId) -> Result<PositionId, Error> {
        let mut sequences = Vec::new();
        for &(low, high) in set.ranges() {
            utf8_sequences(low, high, &mut sequences);
        }
        // Sequences that go on alike share one first position.
        let mut firsts: Vec<(&[(u8, u8)], ByteSet)> = Vec::new();
        let mut places: HashMap<&[(u8, u8)], usize, FastHash> = HashMap::default();
        for sequence in &sequences {
            let Some(((low, high), rest)) = sequence.split_first() else { continue };
            let bytes = byte_range(*low, *high);
            let place = *places.entry(rest).or_insert_with(|| {
                firsts.push((rest, [0; 4]));
                firsts.len() - 1
            });
            unite(&mut firsts[place].1, &bytes);
        }
        let mut branches = Vec::with_capacity(firsts.len());
        for (rest, bytes) in firsts {
            let tail = (rest.iter().rev())
                .try_fold(next, |next, (low, high)| self.program.byte(byte_range(*low, *high), next))?;
            branches.push(self.program.byte(bytes, tail)?);
        }
        self.program.split(branches)
    }

    /// Appends a description of `expr`: equal descriptions match the same texts. Rules of `circle` are told by their
    /// place in it, others by where they begin. What is longer than [`MAX_CYCLE_KEY`] is not described to its end.
    fn describe(&self, expr: &Expr, circle: &[RuleId], key: &mut Vec<u32>) {
        if key.len() > MAX_CYCLE_KEY {
            return;
        }
        let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        match expr {
            Expr::Literal(text) => {
                key.extend([KeyTag::Literal as u32, length(text.len())]);
                key.extend(text.bytes().take(MAX_CYCLE_KEY).map(u32::from));
            }
            Expr::Class(set) => {
                key.extend([KeyTag::Class as u32, length(set.ranges().len())]);
                key.extend(set.ranges().iter().take(MAX_CYCLE_KEY).flat_map(|(low, high)| [*low, *high]));
            }
            Expr::Token { id, negated } => key.extend([KeyTag::Token as u32, id.0, u32::from(*negated)]),
            Expr::Rule(rule) => match circle.iter().position(|other| other == rule) {
                Some(at) => key.extend([KeyTag::Within as u32, length(at)]),
                None => {
                    let Entry { whole, non_empty } = self.entries[rule.index()];
                    key.extend([KeyTag::Rule as u32, whole, non_empty]);
                }
            },
            Expr::Sequence(items) | Expr::Alternatives(items) => {
                let tag = if matches!(expr, Expr::Sequence(_)) { KeyTag::Sequence } else { KeyTag::Alternatives };
                key.extend([tag as u32, length(items.len())]);
                items.iter().for_each(|item| self.describe(item, circle, key));
            }
            Expr::Repeat { item, min, max } => {
                key.extend([KeyTag::Repeat as u32, *min, max.unwrap_or(u32::MAX), u32::from(max.is_some())]);
                self.describe(item, circle, key);
            }
        }
    }
}

/// Begins each part of a description.
#[derive(Debug, Clone, Copy)]
enum KeyTag {
    Circle,
    Endless,
    Literal,
    Class,
    Token,
    Rule,
    Within,
    Sequence,
    Alternatives,
    Repeat,
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
