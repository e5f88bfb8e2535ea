//! Compiles a checked [`Ir`] into a [`Program`].
//!
//! Rules are compiled callees first, so that a rule is known by the position at which it begins and equal rules of
//! different grammars are one. Rules that call each other in a circle, and repetitions without a bound, go back to
//! themselves and are known by what they are made of. Alternatives that begin with the same characters share these: an
//! enumeration of thousands of words is a tree. Counted loops repeat only what reads something: where the repeated item
//! can be empty, its non-empty form is compiled. An expression that can be empty asks for its parts in both forms, and
//! these for theirs: each is compiled once a form and remembered, for time would double with each level otherwise.

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// An alternative: the literal that it begins with, and what follows.
type Led<'a> = (&'a [u8], &'a [Expr]);

struct Compiler<'a> {
    nullable: &'a [bool],
    entries: Vec<Entry>,
    program: &'a mut Program,
    /// Where lists, choices and repetitions begin, by their address, their form and what follows. Each has its own
    /// address, and one thing that follows it.
    known: HashMap<(usize, Form, PositionId), PositionId, FastHash>,
    /// The same of items that are repeated without a bound: what [`Compiler::endless`] gives back.
    known_endless: HashMap<(usize, PositionId), [PositionId; 2], FastHash>,
    /// Calls of [`Compiler::tree`] that wait for one another.
    tree_depth: usize,
    /// Calls of [`Compiler::expr`].
    #[cfg(test)]
    calls: usize,
}

/// Compiles a checked grammar; gives back where it begins.
///
/// # Errors
/// [`Error::Limit`] above [`Limits::positions`](super::limits::Limits::positions).
pub(crate) fn compile(ir: &Ir, nullable: &[bool], program: &mut Program) -> Result<PositionId, Error> {
    Compiler::new(ir, nullable, program).compile(ir)
}

impl<'a> Compiler<'a> {
    fn new(ir: &Ir, nullable: &'a [bool], program: &'a mut Program) -> Self {
        Self {
            nullable,
            entries: vec![Entry::default(); ir.rules.len()],
            program,
            known: HashMap::default(),
            known_endless: HashMap::default(),
            tree_depth: 0,
            #[cfg(test)]
            calls: 0,
        }
    }

    fn compile(&mut self, ir: &Ir) -> Result<PositionId, Error> {
        for component in components(ir) {
            match component.rules.as_slice() {
                [rule] if !component.is_recursive => self.rule(ir, *rule)?,
                rules => self.circle(ir, rules)?,
            }
        }
        Ok(self.entries[ir.root.index()].whole)
    }

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
        #[cfg(test)]
        {
            self.calls += 1;
        }
        let form = if is_nullable(expr, self.nullable) { form } else { Form::Whole };
        let has_parts = !expr.children().is_empty();
        let key = (address(expr), form, next);
        if has_parts && let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let position = match expr {
            Expr::Sequence(items) if form == Form::Whole => self.sequence(items, next),
            Expr::Sequence(items) => self.sequence_that_reads(items, next),
            Expr::Alternatives(items) => self.alternatives(items, form, next),
            Expr::Repeat { item, min, max } if reads(expr) => {
                let min = match form {
                    Form::NonEmpty => 1,
                    Form::Whole if is_nullable(item, self.nullable) => 0,
                    Form::Whole => *min,
                };
                self.repeat(item, min, *max, next)
            }
            _ => self.leaf(expr, form, next),
        }?;
        if has_parts {
            self.known.insert(key, position);
        }
        Ok(position)
    }

    /// What has no parts, or none that read. Not inside [`Compiler::expr`], which recurses and needs a small frame.
    fn leaf(&mut self, expr: &Expr, form: Form, next: PositionId) -> Result<PositionId, Error> {
        match expr {
            Expr::Literal(text) if !text.is_empty() => self.bytes(text.as_bytes(), next),
            Expr::Class(set) => self.class(set, next),
            Expr::Token { id, negated } => self.program.add(Position::Token { id: *id, negated: *negated, next }),
            Expr::Rule(rule) => {
                let Entry { whole, non_empty } = self.entries[rule.index()];
                let entry = if form == Form::Whole { whole } else { non_empty };
                // What a rule at the very end leaves to do is to return.
                if next == RETURN { Ok(entry) } else { self.program.add(Position::Call { entry, next }) }
            }
            // What is only ever empty has no other form.
            Expr::Literal(_) | Expr::Sequence(_) | Expr::Alternatives(_) | Expr::Repeat { .. } => match form {
                Form::Whole => Ok(next),
                Form::NonEmpty => self.program.split(Vec::new()),
            },
        }
    }

    fn bytes(&mut self, bytes: &[u8], next: PositionId) -> Result<PositionId, Error> {
        bytes.iter().rev().try_fold(next, |next, byte| self.program.byte(byte_range(*byte, *byte), next))
    }

    fn sequence(&mut self, items: &[Expr], mut next: PositionId) -> Result<PositionId, Error> {
        for item in items.iter().rev() {
            next = self.expr(item, Form::Whole, next)?;
        }
        Ok(next)
    }

    /// `items`, all of which can be empty, without the empty text: the first that is not empty decides the branch.
    fn sequence_that_reads(&mut self, items: &[Expr], next: PositionId) -> Result<PositionId, Error> {
        let mut branches = Vec::with_capacity(items.len());
        let mut rest = next;
        for (index, item) in items.iter().enumerate().rev() {
            if reads(item) {
                branches.push(self.expr(item, Form::NonEmpty, rest)?);
            }
            if index > 0 {
                rest = self.expr(item, Form::Whole, rest)?;
            }
        }
        self.program.split(branches)
    }

    fn alternatives(&mut self, items: &[Expr], form: Form, next: PositionId) -> Result<PositionId, Error> {
        let mut branches = Vec::with_capacity(items.len());
        let mut led: Vec<Led<'_>> = Vec::new();
        for item in items {
            match item {
                Expr::Literal(text) if !text.is_empty() => led.push((text.as_bytes(), &[])),
                Expr::Sequence(parts)
                    if let [Expr::Literal(text), rest @ ..] = parts.as_slice()
                        && !text.is_empty() =>
                {
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
    fn tree(&mut self, led: &[Led<'_>], at: usize, next: PositionId) -> Result<PositionId, Error> {
        let mut branches = Vec::new();
        if self.tree_depth >= MAX_TREE_DEPTH {
            for (bytes, rest) in led {
                let behind = self.sequence(rest, next)?;
                branches.push(self.bytes(bytes.get(at..).unwrap_or_default(), behind)?);
            }
            return self.program.split(branches);
        }
        self.tree_depth += 1;
        for group in led.chunk_by(|(one, _), (other, _)| one.get(at) == other.get(at)) {
            self.branch(group, at, next, &mut branches)?;
        }
        self.tree_depth -= 1;
        self.program.split(branches)
    }

    /// Those that are alike in the byte at `at` as well, or all end there.
    fn branch(
        &mut self,
        group: &[Led<'_>],
        at: usize,
        next: PositionId,
        branches: &mut Vec<PositionId>,
    ) -> Result<(), Error> {
        let [(first, rest), ..] = group else { return Ok(()) };
        let (end, behind) = match group {
            [.., (last, _)] if group.len() > 1 && first.len() > at => {
                let end = at + first[at..].iter().zip(&last[at..]).take_while(|(a, b)| a == b).count();
                (end, self.tree(group, end, next)?)
            }
            _ => (first.len(), self.sequence(rest, next)?),
        };
        branches.push(self.bytes(&first[at..end], behind)?);
        for (_, rest) in group.iter().skip(1).filter(|_| first.len() == at) {
            branches.push(self.sequence(rest, next)?);
        }
        Ok(())
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
        if let Some(known) = self.known_endless.get(&(address(item), next)) {
            return Ok(*known);
        }
        let positions = self.endless_part(item, next)?;
        self.known_endless.insert((address(item), next), positions);
        Ok(positions)
    }

    /// The same, not yet known of this item; maybe of an equal one in this grammar or an earlier one.
    fn endless_part(&mut self, item: &Expr, next: PositionId) -> Result<[PositionId; 2], Error> {
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
        Expr::Literal(text) => !text.is_empty(),
        Expr::Class(_) | Expr::Token { .. } | Expr::Rule(_) => true,
        Expr::Repeat { max: Some(0), .. } => false,
        Expr::Sequence(_) | Expr::Alternatives(_) | Expr::Repeat { .. } => expr.children().iter().any(reads),
    }
}

fn address(expr: &Expr) -> usize {
    std::ptr::from_ref(expr).addr()
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::grammar::check::check;
    use crate::grammar::{Limits, parse};
    use crate::inference::Vocab;

    /// Calls of [`Compiler::expr`] for one expression of the grammar, each in two forms, where each may be asked for by
    /// the two forms of the expression around it, and again by what repeats it.
    const MOST_CALLS: usize = 5;

    /// Expressions of a grammar, and the calls that it takes.
    fn cost(source: &str) -> (usize, usize) {
        let ir = parse(source, &Vocab::new(Vec::new(), Vec::new(), None), &Limits::default()).unwrap();
        let mut expressions = 0;
        ir.rules.iter().for_each(|rule| rule.body.walk(&mut |_| expressions += 1));
        let mut program = Program::new(20 * Limits::default().positions);
        let nullable = check(&ir, source).unwrap();
        let mut compiler = Compiler::new(&ir, &nullable, &mut program);
        compiler.compile(&ir).unwrap();
        (expressions, compiler.calls)
    }

    fn assert_cheap(source: &str) {
        let (expressions, calls) = cost(source);
        assert!(calls <= MOST_CALLS * expressions, "{calls} calls for {expressions} expressions: {source}");
    }

    #[test]
    fn each_level_of_what_can_be_empty_costs_the_same() {
        let long = format!("\"{}\"*", "x".repeat(MAX_CYCLE_KEY));
        let shapes: [fn(&str) -> String; 8] = [
            |inner| format!("(\"a\"? {inner})?"),
            |inner| format!("({inner} \"a\"?)?"),
            |inner| format!("(\"a\"? {inner} \"b\"*){{0,5}}"),
            |inner| format!("(\"a\"? {inner})*"),
            |inner| format!("(\"\" | {inner} \"a\"? | \"b\"? \"c\"*)"),
            |inner| format!("(\"\" | \"a\" \"d\"? | [b] {inner})?"),
            |inner| format!("(e? {inner} e)?"),
            |inner| format!("(r? {inner}){{0,2}}"),
        ];
        for levels in [4, 16, 60, 127] {
            for (shape, innermost) in shapes.iter().flat_map(|shape| [(shape, "\"a\"?"), (shape, long.as_str())]) {
                let nested = (0..levels).fold(innermost.to_owned(), |inner, _| shape(&inner));
                assert_cheap(&format!("root ::= {nested}\ne ::= \"e\"?\nr ::= \"r\" r | e\n"));
                let rules = "e ::= \"e\"?\nr ::= \"r\" s? e s\nt ::= \"[\" s \"]\" | e\n";
                assert_cheap(&format!("root ::= \"b\" | s s\ns ::= \"s\" {nested} t? | {nested}\n{rules}"));
            }
        }
    }

    /// An item with groups in it up to `levels` deep, most of which can be empty.
    fn item(random: &mut ChaCha8Rng, levels: usize) -> String {
        let suffix = ["", "?", "?", "*", "+", "{0,5}", "{2,}", "{0}"][random.random_range(0..8)];
        let leaf = |random: &mut ChaCha8Rng| ["\"a\"?", "[ab]*", "\"\"", "\"ab\"", "e"][random.random_range(0..5)];
        if levels == 0 {
            return leaf(random).to_owned();
        }
        let mut items: Vec<String> = (0..random.random_range(0..3)).map(|_| leaf(random).to_owned()).collect();
        items.insert(random.random_range(0..=items.len()), item(random, levels - 1));
        if random.random_bool(0.2) {
            items.push(item(random, levels / 3));
        }
        format!("({}){suffix}", items.join([" ", " ", " | "][random.random_range(0..3)]))
    }

    #[test]
    fn grammars_of_many_levels_cost_as_much_as_they_have_expressions() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        for levels in 1..=30 {
            for _ in 0..40 {
                assert_cheap(&format!("root ::= {}\ne ::= \"e\"?\n", item(&mut random, levels)));
            }
        }
    }
}
