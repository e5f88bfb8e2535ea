//! The state graph of a compiled grammar, made as far as it is walked.
//!
//! A parse is a position that reads, with a stack; a stack is a chain of frames, each stored once, so that equal
//! stacks have equal ids. A state is a sorted set of parses, stored once as well: one integer stands for everything
//! that the matcher knows. Transitions are kept by class of bytes. Nothing here knows a token's spelling.

#![expect(clippy::indexing_slicing, reason = "state, frame and position ids are given out by the tables they index")]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::hash::FastHash;
use super::limits::Limits;
use super::program::{ByteSet, Position, PositionId, Program, RETURN, UNBOUNDED, holds};
use crate::types::{ConstraintError, TokenId};

/// Index of a state; [`DEAD`] where no parse is left.
pub(crate) type StateId = u32;

/// The state that nothing leads out of.
pub(crate) const DEAD: StateId = 0;

const UNKNOWN: StateId = u32::MAX;
const BOTTOM: u32 = 0;
/// In place of a count: the frame is a call's.
const CALL: u32 = u32::MAX;

/// What waits on the stack: a position to go on at, or a loop with the number of its complete rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Frame {
    target: PositionId,
    count: u32,
    below: u32,
}

/// One way of reading the text so far. `(RETURN, BOTTOM)` says that the text is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Parse {
    position: PositionId,
    stack: u32,
}

const COMPLETE: Parse = Parse { position: RETURN, stack: BOTTOM };

#[derive(Debug, Clone)]
struct State {
    parses: Arc<[Parse]>,
    /// Where its transitions stand; `UNKNOWN` before the first.
    row: u32,
    reads_tokens: bool,
}

/// What can follow in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing, or there is a choice.
    Open,
    /// This byte and nothing else.
    Byte(u8),
    /// This token and nothing else.
    Token(TokenId),
}

#[derive(Debug)]
pub(crate) struct Automaton {
    program: Program,
    limits: Limits,
    frames: Vec<Frame>,
    frame_ids: HashMap<Frame, u32, FastHash>,
    states: Vec<State>,
    state_ids: HashMap<Arc<[Parse]>, StateId, FastHash>,
    rows: Vec<StateId>,
    stored_parses: usize,
    start: StateId,
    work: Vec<Parse>,
    seen: HashSet<Parse, FastHash>,
    found: Vec<Parse>,
    /// Frames in their standard form, by the longest token that was asked with.
    standard: HashMap<u32, u32, FastHash>,
    standard_for_bytes: u32,
}

fn limit_error(what: &str, found: usize, limit: usize) -> ConstraintError {
    ConstraintError { reason: format!("its {what} came to {found}, the limit is {limit}") }
}

fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl Automaton {
    /// The graph with its start state.
    pub(crate) fn new(program: Program, limits: Limits) -> Result<Self, ConstraintError> {
        let mut automaton = Self {
            program,
            limits,
            frames: vec![Frame { target: RETURN, count: CALL, below: BOTTOM }],
            frame_ids: HashMap::default(),
            states: Vec::new(),
            state_ids: HashMap::default(),
            rows: Vec::new(),
            stored_parses: 0,
            start: DEAD,
            work: Vec::new(),
            seen: HashSet::default(),
            found: Vec::new(),
            standard: HashMap::default(),
            standard_for_bytes: 0,
        };
        automaton.intern()?;
        let root = automaton.program.entries[automaton.program.root as usize];
        automaton.begin();
        automaton.follow(Parse { position: root, stack: BOTTOM })?;
        automaton.start = automaton.intern()?;
        Ok(automaton)
    }

    pub(crate) const fn start(&self) -> StateId {
        self.start
    }

    pub(crate) fn state_count(&self) -> usize {
        self.states.len()
    }

    pub(crate) fn is_complete(&self, state: StateId) -> bool {
        self.states[state as usize].parses.first() == Some(&COMPLETE)
    }

    pub(crate) fn is_final(&self, state: StateId) -> bool {
        *self.states[state as usize].parses == [COMPLETE]
    }

    pub(crate) fn reads_tokens(&self, state: StateId) -> bool {
        self.states[state as usize].reads_tokens
    }

    /// The state behind `byte`.
    pub(crate) fn step(&mut self, state: StateId, byte: u8) -> Result<StateId, ConstraintError> {
        let class = usize::from(self.program.class_of[usize::from(byte)]);
        let row = self.states[state as usize].row;
        if row != UNKNOWN {
            let known = self.rows[row as usize + class];
            if known != UNKNOWN {
                return Ok(known);
            }
        }
        self.new_step(state, byte, class)
    }

    #[cold]
    fn new_step(&mut self, state: StateId, byte: u8, class: usize) -> Result<StateId, ConstraintError> {
        let parses = Arc::clone(&self.states[state as usize].parses);
        self.begin();
        for parse in parses.iter() {
            if let Position::Byte { set, next } = self.program.positions[parse.position as usize]
                && holds(&self.program.sets[set as usize], byte)
            {
                self.follow(Parse { position: next, stack: parse.stack })?;
            }
        }
        let target = self.intern()?;
        if self.states[state as usize].row == UNKNOWN {
            self.states[state as usize].row = index(self.rows.len());
            self.rows.resize(self.rows.len() + self.program.class_bytes.len(), UNKNOWN);
        }
        let row = self.states[state as usize].row as usize;
        self.rows[row + class] = target;
        Ok(target)
    }

    /// The state behind `bytes`.
    pub(crate) fn walk(&mut self, state: StateId, bytes: &[u8]) -> Result<StateId, ConstraintError> {
        let mut state = state;
        for &byte in bytes {
            if state == DEAD {
                break;
            }
            state = self.step(state, byte)?;
        }
        Ok(state)
    }

    /// The state behind a token item that `token` matches, joined with `spelled`, the state behind its bytes.
    pub(crate) fn take_token(
        &mut self,
        state: StateId,
        token: TokenId,
        is_text: bool,
        spelled: StateId,
    ) -> Result<StateId, ConstraintError> {
        if !self.reads_tokens(state) {
            return Ok(spelled);
        }
        let parses = Arc::clone(&self.states[state as usize].parses);
        self.begin();
        for parse in parses.iter() {
            if let Position::Token { id, negated, next } = self.program.positions[parse.position as usize]
                && if negated { is_text && id != token } else { id == token }
            {
                self.follow(Parse { position: next, stack: parse.stack })?;
            }
        }
        let joined = Arc::clone(&self.states[spelled as usize].parses);
        self.found.extend(joined.iter());
        self.intern()
    }

    /// Ids of the token items of `state`, each with whether it is negated.
    pub(crate) fn token_items(&self, state: StateId) -> impl Iterator<Item = (TokenId, bool)> + '_ {
        self.states[state as usize].parses.iter().filter_map(|parse| {
            match self.program.positions[parse.position as usize] {
                Position::Token { id, negated, .. } => Some((id, negated)),
                _ => None,
            }
        })
    }

    /// The only thing that can follow, where there is only one.
    pub(crate) fn next(&self, state: StateId) -> Next {
        let mut bytes: ByteSet = [0; 4];
        let mut token = None;
        for parse in self.states[state as usize].parses.iter() {
            match self.program.positions[parse.position as usize] {
                Position::Byte { set, .. } => {
                    for (word, more) in bytes.iter_mut().zip(self.program.sets[set as usize]) {
                        *word |= more;
                    }
                }
                Position::Token { id, negated: false, .. } if token.is_none_or(|known| known == id) => token = Some(id),
                _ => return Next::Open,
            }
        }
        let byte_count: u32 = bytes.iter().map(|word| word.count_ones()).sum();
        match (byte_count, token) {
            (0, Some(id)) => Next::Token(id),
            (1, None) => (0..=255).find(|byte| holds(&bytes, *byte)).map_or(Next::Open, Next::Byte),
            _ => Next::Open,
        }
    }

    /// One byte of each class that leads on from `state`.
    pub(crate) fn next_bytes(&mut self, state: StateId) -> Result<Vec<u8>, ConstraintError> {
        let mut found = Vec::new();
        for at in 0..self.program.class_bytes.len() {
            let byte = self.program.class_bytes[at];
            if self.step(state, byte)? != DEAD {
                found.push(byte);
            }
        }
        Ok(found)
    }

    /// A state with the same future as `state` over the next `bytes` bytes: counts that are so far from their bounds
    /// that no text of this length can reach one are replaced by one standard count. Long strings thus share masks.
    pub(crate) fn standard_state(&mut self, state: StateId, bytes: u32) -> Result<StateId, ConstraintError> {
        if self.standard_for_bytes != bytes {
            self.standard.clear();
            self.standard_for_bytes = bytes;
        }
        let parses = Arc::clone(&self.states[state as usize].parses);
        self.begin();
        for parse in parses.iter() {
            let stack = self.standard_stack(parse.stack, bytes)?;
            self.found.push(Parse { position: parse.position, stack });
        }
        self.intern()
    }

    fn standard_stack(&mut self, stack: u32, bytes: u32) -> Result<u32, ConstraintError> {
        let mut path = Vec::new();
        let mut at = stack;
        let mut done = loop {
            if at == BOTTOM {
                break BOTTOM;
            }
            if let Some(known) = self.standard.get(&at) {
                break *known;
            }
            path.push(at);
            at = self.frames[at as usize].below;
        };
        for original in path.into_iter().rev() {
            let Frame { target, count, .. } = self.frames[original as usize];
            let count = match self.program.positions[target as usize] {
                Position::Loop { min, max, .. } if count != CALL => standard_count(count, min, max, bytes),
                _ => count,
            };
            done = self.frame(Frame { target, count, below: done })?;
            self.standard.insert(original, done);
        }
        Ok(done)
    }

    fn begin(&mut self) {
        self.seen.clear();
        self.found.clear();
    }

    /// Adds to `found` every parse that reads and that `parse` leads to without reading.
    fn follow(&mut self, parse: Parse) -> Result<(), ConstraintError> {
        self.work.clear();
        self.work.push(parse);
        while let Some(parse) = self.work.pop() {
            let Parse { position, stack } = parse;
            if let Position::Byte { .. } | Position::Token { .. } = self.program.positions[position as usize] {
                self.found.push(parse);
                continue;
            }
            if !self.seen.insert(parse) {
                continue;
            }
            if self.seen.len() > self.limits.parses {
                return Err(limit_error("parses", self.seen.len(), self.limits.parses));
            }
            match self.program.positions[position as usize] {
                Position::Byte { .. } | Position::Token { .. } => {}
                Position::Split { start, end } => {
                    for &position in &self.program.branches[start as usize..end as usize] {
                        self.work.push(Parse { position, stack });
                    }
                }
                Position::Call { entry, next } => {
                    let position = self.program.entries[entry as usize];
                    // A call at the end of a rule leaves nothing to come back to.
                    let stack = if next == RETURN {
                        stack
                    } else {
                        self.frame(Frame { target: next, count: CALL, below: stack })?
                    };
                    self.work.push(Parse { position, stack });
                }
                Position::Loop { body, min, next, .. } => {
                    if min == 0 {
                        self.work.push(Parse { position: next, stack });
                    }
                    let stack = self.frame(Frame { target: position, count: 0, below: stack })?;
                    self.work.push(Parse { position: body, stack });
                }
                Position::Return if stack == BOTTOM => self.found.push(COMPLETE),
                Position::Return => self.leave(stack)?,
            }
        }
        Ok(())
    }

    /// Goes on behind the frame on top of `stack`.
    fn leave(&mut self, stack: u32) -> Result<(), ConstraintError> {
        let Frame { target, count, below } = self.frames[stack as usize];
        let Position::Loop { body, min, max, next } = self.program.positions[target as usize] else {
            self.work.push(Parse { position: target, stack: below });
            return Ok(());
        };
        if count == CALL {
            self.work.push(Parse { position: target, stack: below });
            return Ok(());
        }
        let rounds = count + 1;
        if rounds >= min {
            self.work.push(Parse { position: next, stack: below });
        }
        if rounds < max {
            // Above its lower bound an unbounded loop need not count.
            let count = if max == UNBOUNDED { rounds.min(min) } else { rounds };
            let stack = self.frame(Frame { target, count, below })?;
            self.work.push(Parse { position: body, stack });
        }
        Ok(())
    }

    fn frame(&mut self, frame: Frame) -> Result<u32, ConstraintError> {
        if let Some(known) = self.frame_ids.get(&frame) {
            return Ok(*known);
        }
        if self.frames.len() >= self.limits.frames {
            return Err(limit_error("stack frames", self.frames.len() + 1, self.limits.frames));
        }
        let id = index(self.frames.len());
        self.frames.push(frame);
        self.frame_ids.insert(frame, id);
        Ok(id)
    }

    /// The state of the parses in `found`.
    fn intern(&mut self) -> Result<StateId, ConstraintError> {
        self.found.sort_unstable();
        self.found.dedup();
        if let Some(known) = self.state_ids.get(self.found.as_slice()) {
            return Ok(*known);
        }
        let limits = &self.limits;
        let stored_parses = self.stored_parses + self.found.len();
        for (what, found, limit) in [
            ("parses", self.found.len(), limits.parses),
            ("stored parses", stored_parses, limits.stored_parses),
            ("states", self.states.len() + 1, limits.states),
        ] {
            if found > limit {
                return Err(limit_error(what, found, limit));
            }
        }
        let parses: Arc<[Parse]> = self.found.as_slice().into();
        let reads_tokens = (parses.iter())
            .any(|parse| matches!(self.program.positions[parse.position as usize], Position::Token { .. }));
        let id = index(self.states.len());
        self.states.push(State { parses: Arc::clone(&parses), row: UNKNOWN, reads_tokens });
        self.state_ids.insert(parses, id);
        self.stored_parses = stored_parses;
        Ok(id)
    }
}

/// The count that stands for `count` where at most `rounds` more rounds can be completed.
const fn standard_count(count: u32, min: u32, max: u32, rounds: u32) -> u32 {
    let far_below_max = max == UNBOUNDED || count.saturating_add(rounds) < max;
    if !far_below_max {
        count
    } else if count.saturating_add(rounds) < min {
        0
    } else if count.saturating_add(1) >= min {
        min.saturating_sub(1)
    } else {
        count
    }
}
