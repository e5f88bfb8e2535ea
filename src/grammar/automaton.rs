//! The state graph of compiled grammars, made as far as it is walked.
//!
//! A parse is a position that reads, with a stack; a stack is a set of frames, each above another stack, and is stored
//! once, so that equal stacks have equal ids. Whatever calls the same rule at the same time shares a stack there: a
//! graph-structured stack (Tomita), without which a grammar whose alternatives begin alike would double its parses with
//! every level. A state is a sorted set of parses, stored once as well: one integer stands for everything that the
//! matcher knows. Transitions are kept by class of bytes. Nothing here knows a token's spelling.
//!
//! A graph has room for so many states. A full one is left behind: what is still alive goes on in a [fresh
//! one](Automaton::renewed).
//!
//! A state whose stacks are cut off ([`Automaton::cut`]) stands for all states that look alike down to there, as long
//! as no way out of it comes to the cut: then it has lost its way ([`Automaton::is_lost`]).

#![expect(clippy::indexing_slicing, reason = "state, frame and position ids are given out by the tables they index")]

mod ahead;
mod carry;
mod closure;
mod seen;
mod stacks;
mod stop;

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{HashMap, HashTable};

use super::hash::FastHash;
use super::limits::Limits;
use super::program::{Position, PositionId, Program, RETURN, index};
use super::utf8::{ByteSet, holds, unite};
use crate::types::TokenId;
use seen::Seen;

pub(crate) use carry::Carried;
pub(crate) use stop::Stop;

/// Index of a state; [`DEAD`] where no parse is left.
pub(crate) type StateId = u32;

/// The state that nothing leads out of.
pub(crate) const DEAD: StateId = 0;

pub(crate) const UNKNOWN: StateId = u32::MAX;
const BOTTOM: u32 = 0;
/// Stands for whatever a stack held below.
const CUT: u32 = 1;
/// Rows of transitions are made somewhat longer than there are classes, for classes that come later.
const ROW_STEP: usize = 16;
/// States that there is room for from the beginning: a reply of a few sentences.
const FIRST_STATES: usize = 512;
/// In place of a count: the frame is a call's.
const CALL: u32 = u32::MAX;

/// What waits on a stack: a position to go on at, or a loop with the number of its complete rounds, and the stack that
/// is left then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
const LOST: Parse = Parse { position: RETURN, stack: CUT };

#[derive(Debug, Clone, Copy)]
struct State {
    /// Its parses are `parses[first..end]`.
    first: u32,
    end: u32,
    /// The class of its first transition, which most states never have a second of.
    class: u16,
    /// Where that leads.
    target: StateId,
    /// Where its transitions stand; `UNKNOWN` before the second.
    row: u32,
    reads_tokens: bool,
    is_lost: bool,
}

impl State {
    const FRESH: Self =
        Self { first: 0, end: 0, class: u16::MAX, target: UNKNOWN, row: UNKNOWN, reads_tokens: false, is_lost: false };
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
    program: Arc<Program>,
    /// [`Program::class_of`], at hand for every byte that is read.
    classes: [u8; 256],
    limits: Limits,
    /// States that positions go on from: see [`Position::Resume`].
    kept: Vec<StateId>,
    frames: Vec<Frame>,
    /// The frames of stack `id` are `frames[stacks[id - 1]..stacks[id]]`.
    stacks: Vec<u32>,
    stack_ids: HashTable<u32>,
    states: Vec<State>,
    state_ids: HashTable<StateId>,
    parses: Vec<Parse>,
    rows: Vec<StateId>,
    row_length: usize,
    work: Vec<Parse>,
    waiting: Vec<(PositionId, Frame)>,
    seen: Seen,
    found: Vec<Parse>,
    /// Stacks in their standard form, by the longest token that was asked with.
    standard: HashMap<u32, u32, FastHash>,
    standard_for_bytes: u32,
}

impl Automaton {
    /// A graph without grammars.
    pub(crate) fn new(limits: Limits) -> Self {
        Self::with_program(Arc::new(Program::new(limits.positions)), limits)
    }

    fn with_program(program: Arc<Program>, limits: Limits) -> Self {
        let dead = State { first: 0, end: 0, ..State::FRESH };
        let mut automaton = Self {
            program,
            classes: [0; 256],
            limits,
            kept: vec![DEAD],
            frames: Vec::with_capacity(FIRST_STATES),
            // Bottom and cut hold nothing.
            stacks: vec![0, 0],
            stack_ids: HashTable::with_capacity(FIRST_STATES),
            states: vec![dead],
            state_ids: HashTable::with_capacity(FIRST_STATES),
            parses: Vec::with_capacity(4 * FIRST_STATES),
            rows: Vec::new(),
            row_length: 0,
            work: Vec::new(),
            waiting: Vec::new(),
            seen: Seen::default(),
            found: Vec::new(),
            standard: HashMap::default(),
            standard_for_bytes: 0,
        };
        automaton.widen_rows();
        automaton
    }

    /// Where grammars are compiled into. A graph that shares its positions with another gets its own.
    pub(crate) fn program_mut(&mut self) -> &mut Program {
        Arc::make_mut(&mut self.program)
    }

    /// The number under which positions go on from `state`; that of the dead state is [`DEAD`].
    pub(crate) fn keep(&mut self, state: StateId) -> u32 {
        let known = self.kept.iter().position(|other| *other == state);
        index(known.unwrap_or_else(|| {
            self.kept.push(state);
            self.kept.len() - 1
        }))
    }

    /// Makes room for the classes of bytes that a grammar added, whether or not it was compiled to its end.
    pub(crate) fn widen_rows(&mut self) {
        self.classes = self.program.class_of;
        let classes = self.program.class_bytes.len();
        if classes > self.row_length {
            self.row_length = classes.next_multiple_of(ROW_STEP);
            self.rows.clear();
            self.states.iter_mut().for_each(|state| state.row = UNKNOWN);
        }
    }

    /// The state before the first byte of what begins at `root`.
    pub(crate) fn start(&mut self, root: PositionId) -> Result<StateId, Stop> {
        self.begin();
        self.work.push(Parse { position: root, stack: BOTTOM });
        self.close()?;
        self.intern()
    }

    pub(crate) fn state_count(&self) -> usize {
        self.states.len()
    }

    pub(crate) fn position_count(&self) -> usize {
        self.program.positions.len()
    }

    /// Whether more than a quarter of any limit is used up.
    pub(crate) fn is_worn(&self) -> bool {
        self.program.used() > self.limits.positions / 4 || self.uses_more_than(4)
    }

    /// Whether more than one part in `parts` of what grows with use is used up.
    fn uses_more_than(&self, parts: usize) -> bool {
        let limits = &self.limits;
        [
            (self.states.len(), limits.states),
            (self.parses.len(), limits.stored_parses),
            (self.frames.len(), limits.frames),
        ]
        .iter()
        .any(|(used, limit)| *used > limit / parts)
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.program.bytes()
            + self.frames.capacity() * size_of::<Frame>()
            + (self.stacks.capacity() + self.rows.capacity() + self.kept.capacity()) * size_of::<u32>()
            + self.stack_ids.allocation_size()
            + self.states.capacity() * size_of::<State>()
            + self.state_ids.allocation_size()
            + (self.parses.capacity() + self.work.capacity() + self.found.capacity()) * size_of::<Parse>()
            + self.waiting.capacity() * size_of::<(PositionId, Frame)>()
            + self.seen.bytes()
            + self.standard.allocation_size()
    }

    fn parses(&self, state: StateId) -> &[Parse] {
        let State { first, end, .. } = self.states[state as usize];
        &self.parses[first as usize..end as usize]
    }

    pub(crate) fn is_complete(&self, state: StateId) -> bool {
        self.parses(state).first() == Some(&COMPLETE)
    }

    pub(crate) fn is_final(&self, state: StateId) -> bool {
        self.parses(state) == [COMPLETE]
    }

    pub(crate) fn reads_tokens(&self, state: StateId) -> bool {
        self.states[state as usize].reads_tokens
    }

    /// Whether a way to this state came to where its stacks were cut off.
    pub(crate) fn is_lost(&self, state: StateId) -> bool {
        self.states[state as usize].is_lost
    }

    /// The state behind `byte`.
    pub(crate) fn step(&mut self, state: StateId, byte: u8) -> Result<StateId, Stop> {
        let class = self.classes[usize::from(byte)];
        let State { class: first_class, target, row, .. } = self.states[state as usize];
        if row != UNKNOWN {
            let known = self.rows[row as usize + usize::from(class)];
            if known != UNKNOWN {
                return Ok(known);
            }
        } else if first_class == u16::from(class) {
            return Ok(target);
        }
        self.new_step(state, byte, class)
    }

    #[cold]
    fn new_step(&mut self, state: StateId, byte: u8, class: u8) -> Result<StateId, Stop> {
        let State { first, end, class: first_class, row, .. } = self.states[state as usize];
        let is_first = row == UNKNOWN && first_class == u16::MAX;
        if !is_first && self.rows_of(state)[usize::from(class)] == DEAD {
            return Ok(DEAD);
        }
        self.begin();
        for parse in &self.parses[first as usize..end as usize] {
            let arms = self.program.arms_at(parse.position).filter(|(set, _)| holds(set, byte));
            self.work.extend(arms.map(|(_, next)| Parse { position: next, stack: parse.stack }));
            if self.work.len() > self.limits.parses {
                compact(&mut self.work, self.limits.parses)?;
            }
        }
        self.close()?;
        let target = self.intern()?;
        if is_first {
            let state = &mut self.states[state as usize];
            state.class = u16::from(class);
            state.target = target;
        } else {
            self.rows_of(state)[usize::from(class)] = target;
        }
        Ok(target)
    }

    /// The transitions of `state` by class. The dead ones, nearly all, are known from the beginning.
    fn rows_of(&mut self, state: StateId) -> &mut [StateId] {
        let State { class, target, row, .. } = self.states[state as usize];
        if row != UNKNOWN {
            return &mut self.rows[row as usize..row as usize + self.row_length];
        }
        let next = self.next_set(state);
        let start = self.rows.len();
        let of_class = |byte: &u8| if holds(&next, *byte) { UNKNOWN } else { DEAD };
        self.rows.extend(self.program.class_bytes.iter().map(of_class));
        self.rows.resize(start + self.row_length, UNKNOWN);
        self.states[state as usize].row = index(start);
        let row = &mut self.rows[start..];
        if let Some(known) = row.get_mut(usize::from(class)) {
            *known = target;
        }
        row
    }

    /// The state behind `bytes`.
    pub(crate) fn walk(&mut self, state: StateId, bytes: &[u8]) -> Result<StateId, Stop> {
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
    ) -> Result<StateId, Stop> {
        if !self.reads_tokens(state) {
            return Ok(spelled);
        }
        let State { first, end, .. } = self.states[state as usize];
        self.begin();
        for at in first..end {
            let parse = self.parses[at as usize];
            if let Position::Token { id, negated, next } = self.program.position(parse.position)
                && if negated { is_text && id != token } else { id == token }
            {
                self.work.push(Parse { position: next, stack: parse.stack });
            }
        }
        self.close()?;
        let State { first, end, .. } = self.states[spelled as usize];
        self.found.extend_from_slice(&self.parses[first as usize..end as usize]);
        self.intern()
    }

    /// Ids of the token items of `state`, each with whether it is negated.
    pub(crate) fn token_items(&self, state: StateId) -> impl Iterator<Item = (TokenId, bool)> + '_ {
        self.parses(state).iter().filter_map(|parse| match self.program.position(parse.position) {
            Position::Token { id, negated, .. } => Some((id, negated)),
            _ => None,
        })
    }

    /// Bytes that may come next.
    pub(crate) fn next_set(&self, state: StateId) -> ByteSet {
        let mut bytes = [0; 4];
        for parse in self.parses(state) {
            if let Some(more) = self.program.bytes_at(parse.position) {
                unite(&mut bytes, more);
            }
        }
        bytes
    }

    /// The only thing that can follow, where there is only one.
    pub(crate) fn next(&self, state: StateId) -> Next {
        let bytes = self.next_set(state);
        let mut token = None;
        for parse in self.parses(state).iter() {
            match self.program.position(parse.position) {
                Position::Byte { .. } | Position::Arms { .. } => {}
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
    pub(crate) fn next_bytes(&self, state: StateId) -> Vec<u8> {
        let next = self.next_set(state);
        self.program.class_bytes.iter().copied().filter(|byte| holds(&next, *byte)).collect()
    }

    /// Classes of bytes that the program tells apart.
    pub(crate) fn class_count(&self) -> usize {
        self.program.class_bytes.len()
    }

    pub(crate) fn class_of(&self, byte: u8) -> u8 {
        self.classes[usize::from(byte)]
    }

    /// The state of the parses in `found`.
    fn intern(&mut self) -> Result<StateId, Stop> {
        if self.found.is_empty() {
            return Ok(DEAD);
        }
        self.found.sort_unstable();
        self.found.dedup();
        let hasher = FastHash::default();
        let hash = hasher.hash_one(self.found.as_slice());
        if let Some(known) = self.state_ids.find(hash, |id| self.parses(*id) == self.found) {
            return Ok(*known);
        }
        let limits = &self.limits;
        if self.found.len() > limits.parses {
            return Err(Stop::Wide { found: self.found.len(), limit: limits.parses });
        }
        let stored_parses = self.parses.len() + self.found.len();
        for (what, found, limit) in
            [("stored parses", stored_parses, limits.stored_parses), ("states", self.states.len() + 1, limits.states)]
        {
            if found > limit {
                return Err(Stop::Full { what, found, limit });
            }
        }
        let reads_tokens =
            (self.found.iter()).any(|parse| matches!(self.program.position(parse.position), Position::Token { .. }));
        // Both ways to be complete sort first.
        let is_lost = self.found.iter().take(2).any(|parse| *parse == LOST);
        let (id, first) = (index(self.states.len()), index(self.parses.len()));
        self.parses.extend_from_slice(&self.found);
        self.states.push(State { first, end: index(stored_parses), reads_tokens, is_lost, ..State::FRESH });
        let (states, parses) = (&self.states, &self.parses);
        self.state_ids.insert_unique(hash, id, |id| {
            let State { first, end, .. } = states[*id as usize];
            hasher.hash_one(&parses[first as usize..end as usize])
        });
        Ok(id)
    }
}

/// Drops repetitions.
fn compact(parses: &mut Vec<Parse>, limit: usize) -> Result<(), Stop> {
    parses.sort_unstable();
    parses.dedup();
    if parses.len() > limit { Err(Stop::Wide { found: parses.len(), limit }) } else { Ok(()) }
}
