//! The positions of a byte-level pushdown automaton.
//!
//! A position either reads (a byte of a set, a token) or moves on without reading (calls, returns, branches, counted
//! loops). Counts live on the stack of the automaton, so `x{0,1500}` costs what `x` costs. A program grows by the
//! grammars that are compiled into it; equal parts of them are one position, so that a grammar that differs little
//! from an earlier one shares what was worked out for that.

#![expect(clippy::indexing_slicing, reason = "set ids and byte values index tables that are made for them")]

use hashbrown::HashMap;

use super::error::Error;
use super::hash::FastHash;
use super::utf8::{ByteSet, holds, unite};
use crate::types::TokenId;

/// Index of a position in [`Program::positions`].
pub(crate) type PositionId = u32;

/// The position at which a rule, the body of a loop or the whole grammar is complete.
pub(crate) const RETURN: PositionId = 0;

/// Stands for "no upper count".
pub(crate) const UNBOUNDED: u32 = u32::MAX;

/// Longer lists are left branches: a chain of optional parts would copy what follows each of them.
const MAX_ARMS: usize = 64;

/// One position of the automaton.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Position {
    /// Goes on where the frame on top of the stack says.
    Return,
    /// Reads one byte of the set with this index.
    Byte { set: u32, next: PositionId },
    /// Reads one byte as each of the arms says whose set holds it.
    Arms { arms: u32 },
    /// Goes on at each of the `branches[start..end]`.
    Split { start: u32, end: u32 },
    /// Goes on at `entry`, then at `next`.
    Call { entry: PositionId, next: PositionId },
    /// Runs `body` between `min` and `max` times, then goes on at `next`.
    Loop { body: PositionId, min: u32, max: u32, next: PositionId },
    /// Reads one token: `id`, or any text token but `id`.
    Token { id: TokenId, negated: bool, next: PositionId },
    /// Goes on as the state that is [kept](super::automaton::Automaton::keep) under this number does; only at the
    /// bottom of the stack.
    Resume { state: u32 },
}

/// Ways to read one byte.
#[derive(Debug, Clone, Copy)]
struct Arms {
    /// Bytes that some arm reads.
    bytes: ByteSet,
    /// The arms are `arms[start..end]`.
    start: u32,
    end: u32,
}

/// All positions made so far.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) positions: Vec<Position>,
    pub(crate) branches: Vec<PositionId>,
    arm_lists: Vec<Arms>,
    /// Sets, and where it goes on behind a byte of them.
    arms: Vec<(u32, PositionId)>,
    pub(crate) sets: Vec<ByteSet>,
    /// Bytes of the same class are alike in every set.
    pub(crate) class_of: [u8; 256],
    /// One byte of each class.
    pub(crate) class_bytes: Vec<u8>,
    limit: usize,
    ids: HashMap<Position, PositionId, FastHash>,
    splits: HashMap<Box<[PositionId]>, PositionId, FastHash>,
    set_ids: HashMap<ByteSet, u32, FastHash>,
    /// Parts that go back to themselves, by what they are made of.
    cycles: HashMap<Box<[u32]>, Box<[PositionId]>, FastHash>,
    /// Words of the keys and values of `cycles`.
    cycle_words: usize,
}

/// A length as an index. Tables that are indexed by 32 bits have limits far below 2^32.
pub(crate) fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl Program {
    /// No positions but [`RETURN`]; `limit` is [`Limits::positions`](super::limits::Limits::positions).
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            positions: vec![Position::Return],
            branches: Vec::new(),
            arm_lists: Vec::new(),
            arms: Vec::new(),
            sets: Vec::new(),
            class_of: [0; 256],
            class_bytes: vec![0],
            limit,
            ids: HashMap::default(),
            splits: HashMap::default(),
            set_ids: HashMap::default(),
            cycles: HashMap::default(),
            cycle_words: 0,
        }
    }

    /// What counts towards the limit: positions, ways on from them, and descriptions of those that go back.
    pub(crate) const fn used(&self) -> usize {
        self.positions.len() + self.branches.len() + self.arms.len() + self.cycle_words
    }

    /// Refuses `more` of what counts where it does not fit.
    const fn check_room(&self, more: usize) -> Result<(), Error> {
        let found = self.used() + more;
        if found > self.limit { Err(Error::Limit { what: "positions", found, limit: self.limit }) } else { Ok(()) }
    }

    pub(crate) fn position(&self, id: PositionId) -> Position {
        self.positions[id as usize]
    }

    pub(crate) fn branches(&self, start: u32, end: u32) -> &[PositionId] {
        &self.branches[start as usize..end as usize]
    }

    /// The id of `position`, which is not a `Split`.
    ///
    /// # Errors
    /// [`Error::Limit`].
    pub(crate) fn add(&mut self, position: Position) -> Result<PositionId, Error> {
        if let Some(known) = self.ids.get(&position) {
            return Ok(*known);
        }
        let id = self.push(position)?;
        self.ids.insert(position, id);
        Ok(id)
    }

    fn push(&mut self, position: Position) -> Result<PositionId, Error> {
        self.check_room(1)?;
        self.positions.push(position);
        Ok(index(self.positions.len() - 1))
    }

    /// Bytes that are read at `position`; none where it does not read bytes.
    pub(crate) fn bytes_at(&self, position: PositionId) -> Option<&ByteSet> {
        match self.position(position) {
            Position::Byte { set, .. } => Some(&self.sets[set as usize]),
            Position::Arms { arms } => Some(&self.arm_lists[arms as usize].bytes),
            _ => None,
        }
    }

    /// The sets of bytes that are read at `position`, with where each leads.
    pub(crate) fn arms_at(&self, position: PositionId) -> impl Iterator<Item = (&ByteSet, PositionId)> {
        let (one, list) = match self.position(position) {
            Position::Byte { set, next } => (Some((set, next)), &[][..]),
            Position::Arms { arms } => {
                let Arms { start, end, .. } = self.arm_lists[arms as usize];
                (None, &self.arms[start as usize..end as usize])
            }
            _ => (None, &[][..]),
        };
        one.into_iter().chain(list.iter().copied()).map(|(set, next)| (&self.sets[set as usize], next))
    }

    /// A position that goes on at each of `branches`. Those that read a byte are made one position, so that a state of
    /// the automaton has few parses.
    ///
    /// # Errors
    /// [`Error::Limit`].
    pub(crate) fn split(&mut self, mut branches: Vec<PositionId>) -> Result<PositionId, Error> {
        branches.sort_unstable();
        branches.dedup();
        if let [only] = branches.as_slice() {
            return Ok(*only);
        }
        if let Some(known) = self.splits.get(branches.as_slice()) {
            return Ok(*known);
        }
        let (readers, mut others): (Vec<_>, Vec<_>) = branches.iter().partition(|id| self.bytes_at(**id).is_some());
        let arms: usize = readers.iter().map(|reader| self.arms_at(*reader).count()).sum();
        let id = if readers.len() > 1 && arms <= MAX_ARMS {
            let arms = self.join(&readers)?;
            others.push(arms);
            if others.len() > 1 { self.split(others)? } else { arms }
        } else {
            let id = self.reserve()?;
            self.set_split(id, &branches)?;
            id
        };
        self.splits.insert(branches.into_boxed_slice(), id);
        Ok(id)
    }

    /// One position for `readers`, which all read a byte.
    fn join(&mut self, readers: &[PositionId]) -> Result<PositionId, Error> {
        let mut bytes = [0; 4];
        let start = index(self.arms.len());
        for reader in readers {
            match self.position(*reader) {
                Position::Byte { set, next } => self.arms.push((set, next)),
                Position::Arms { arms } => {
                    let Arms { start, end, .. } = self.arm_lists[arms as usize];
                    self.arms.extend_from_within(start as usize..end as usize);
                }
                _ => {}
            }
        }
        self.arms[start as usize..].sort_unstable();
        let mut kept = start as usize;
        for at in start as usize..self.arms.len() {
            if kept == start as usize || self.arms[kept - 1] != self.arms[at] {
                self.arms[kept] = self.arms[at];
                kept += 1;
            }
        }
        self.arms.truncate(kept);
        for (set, _) in &self.arms[start as usize..] {
            unite(&mut bytes, &self.sets[*set as usize]);
        }
        self.arm_lists.push(Arms { bytes, start, end: index(self.arms.len()) });
        self.push(Position::Arms { arms: index(self.arm_lists.len() - 1) })
    }

    /// A position whose branches are told later, for what goes back to itself.
    ///
    /// # Errors
    /// [`Error::Limit`].
    pub(crate) fn reserve(&mut self) -> Result<PositionId, Error> {
        self.push(Position::Split { start: 0, end: 0 })
    }

    /// Tells the branches of a reserved position.
    ///
    /// # Errors
    /// [`Error::Limit`].
    pub(crate) fn set_split(&mut self, position: PositionId, branches: &[PositionId]) -> Result<(), Error> {
        self.check_room(branches.len())?;
        let start = index(self.branches.len());
        self.branches.extend_from_slice(branches);
        self.positions[position as usize] = Position::Split { start, end: index(self.branches.len()) };
        Ok(())
    }

    /// A position that reads one byte of `set`.
    ///
    /// # Errors
    /// [`Error::Limit`].
    pub(crate) fn byte(&mut self, set: ByteSet, next: PositionId) -> Result<PositionId, Error> {
        let set = match self.set_ids.get(&set) {
            Some(known) => *known,
            None => {
                let id = index(self.sets.len());
                self.sets.push(set);
                self.set_ids.insert(set, id);
                self.tell_apart(&set);
                id
            }
        };
        self.add(Position::Byte { set, next })
    }

    /// Positions of a part that goes back to itself, where it was compiled before.
    pub(crate) fn cycle(&self, key: &[u32]) -> Option<&[PositionId]> {
        self.cycles.get(key).map(AsRef::as_ref)
    }

    /// Keeps the positions of a part that goes back to itself; not where little room is left, for then it is only
    /// compiled anew.
    pub(crate) fn remember_cycle(&mut self, key: Vec<u32>, positions: Vec<PositionId>) {
        let words = key.len() + positions.len();
        if self.used() + words > self.limit / 2 {
            return;
        }
        self.cycle_words += words;
        self.cycles.insert(key.into_boxed_slice(), positions.into_boxed_slice());
    }

    /// Splits the classes that `set` holds in part.
    fn tell_apart(&mut self, set: &ByteSet) {
        // Of each class: the class of its bytes in the set, once one of both kinds was seen.
        let mut held = [None; 256];
        let mut has_other = [false; 256];
        for byte in 0..=255_u8 {
            has_other[usize::from(self.class_of[usize::from(byte)])] |= !holds(set, byte);
        }
        for byte in 0..=255_u8 {
            let class = usize::from(self.class_of[usize::from(byte)]);
            if !holds(set, byte) || !has_other[class] {
                continue;
            }
            let bytes = &mut self.class_bytes;
            let fresh = *held[class].get_or_insert_with(|| {
                bytes.push(byte);
                u8::try_from(bytes.len() - 1).unwrap_or(u8::MAX)
            });
            self.class_of[usize::from(byte)] = fresh;
        }
        for byte in (0..=255_u8).rev() {
            self.class_bytes[usize::from(self.class_of[usize::from(byte)])] = byte;
        }
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let keys: usize = self.splits.keys().map(|key| size_of_val(key.as_ref())).sum();
        self.positions.capacity() * size_of::<Position>()
            + self.branches.capacity() * size_of::<PositionId>()
            + self.arms.capacity() * size_of::<(u32, PositionId)>()
            + self.arm_lists.capacity() * size_of::<Arms>()
            + self.sets.capacity() * size_of::<ByteSet>()
            + self.class_bytes.capacity()
            + self.ids.allocation_size()
            + self.splits.allocation_size()
            + keys
            + self.set_ids.allocation_size()
            + self.cycles.allocation_size()
            + self.cycle_words * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::utf8::byte_range;

    #[test]
    fn equal_parts_are_one_position() {
        let mut program = Program::new(100);
        let a = program.byte(byte_range(b'a', b'a'), RETURN).unwrap();
        let b = program.byte(byte_range(b'b', b'b'), RETURN).unwrap();
        assert_eq!(program.byte(byte_range(b'a', b'a'), RETURN).unwrap(), a);
        assert_eq!(program.split(vec![a, b]).unwrap(), program.split(vec![b, a, b]).unwrap());
        assert_eq!(program.split(vec![a, a]).unwrap(), a);
        let both = program.split(vec![a, b]).unwrap();
        assert_eq!(program.bytes_at(both), Some(&byte_range(b'a', b'b')));
        assert_eq!(program.arms_at(both).count(), 2);
    }

    #[test]
    fn classes_tell_apart_what_some_set_tells_apart() {
        let mut program = Program::new(100);
        let sets = [byte_range(b'a', b'z'), byte_range(b'm', b'm'), byte_range(b'k', 0xFF), byte_range(b'a', b'z')];
        for set in sets {
            program.byte(set, RETURN).unwrap();
        }
        for a in 0..=255_u8 {
            for b in 0..=255_u8 {
                let alike = sets.iter().all(|set| holds(set, a) == holds(set, b));
                assert_eq!(alike, program.class_of[usize::from(a)] == program.class_of[usize::from(b)], "{a} {b}");
            }
        }
        for (class, byte) in program.class_bytes.iter().enumerate() {
            assert_eq!(usize::from(program.class_of[usize::from(*byte)]), class);
        }
    }

    #[test]
    fn all_that_a_grammar_takes_counts_towards_the_limit() {
        let mut program = Program::new(200);
        let readers: Vec<PositionId> =
            (b'a'..=b'p').map(|byte| program.byte(byte_range(byte, byte), RETURN).unwrap()).collect();
        let before = program.used();
        program.split(readers.clone()).unwrap();
        assert_eq!(program.used(), before + 1 + 16, "a position and its arms");
        let reserved = program.reserve().unwrap();
        program.set_split(reserved, &readers).unwrap();
        assert_eq!(program.used(), before + 1 + 16 + 1 + 16, "and one with branches");
        program.remember_cycle(vec![1, 2, 3], vec![reserved]);
        assert_eq!(program.used(), before + 38, "and a description");
        program.remember_cycle(vec![4; 100], vec![reserved]);
        assert!(program.cycle(&[4; 100]).is_none(), "more than half would be used up");
        let many: Vec<PositionId> = readers.iter().copied().cycle().take(200 - program.used() + 1).collect();
        let refused = program.set_split(reserved, &many);
        assert_eq!(refused, Err(Error::Limit { what: "positions", found: 201, limit: 200 }));
        assert!(program.set_split(reserved, &many[1..]).is_ok());
    }
}
