//! What is alive in a full graph goes on in another one of the same positions.

#![expect(clippy::indexing_slicing, reason = "state and stack ids are given out by the tables they index")]

use std::sync::Arc;

use hashbrown::HashMap;

use super::super::hash::FastHash;
use super::{Automaton, Parse, State, StateId, Stop};

/// Stacks of one graph that another has, with their ids there.
#[derive(Debug, Default)]
pub(crate) struct Carried(HashMap<u32, u32, FastHash>);

impl Automaton {
    /// A graph of the same positions that holds no states but those that positions go on from.
    pub(crate) fn renewed(&self) -> Result<Self, Stop> {
        let mut fresh = Self::with_program(Arc::clone(&self.program), self.limits.clone());
        let mut carried = Carried::default();
        for state in self.kept.iter().skip(1) {
            let state = fresh.carry(self, *state, &mut carried)?;
            fresh.kept.push(state);
        }
        Ok(fresh)
    }

    /// The same as [`Automaton::renewed`] with `states`, which get their ids in it.
    pub(crate) fn renewed_with(&self, states: &mut [StateId]) -> Result<Self, Stop> {
        let mut fresh = self.renewed()?;
        let mut carried = Carried::default();
        for state in states {
            *state = fresh.carry(self, *state, &mut carried)?;
        }
        Ok(fresh)
    }

    /// The state here that is `state` in `from`, a graph of the same positions. `carried` is what was carried from
    /// there before.
    pub(crate) fn carry(&mut self, from: &Self, state: StateId, carried: &mut Carried) -> Result<StateId, Stop> {
        let State { first, end, .. } = from.states[state as usize];
        self.begin();
        for parse in &from.parses[first as usize..end as usize] {
            let frames_of = |_: &Self, stack| from.frames[from.frame_range(stack)].to_vec();
            let stack = self.rebuild(parse.stack, &mut carried.0, frames_of)?;
            self.found.push(Parse { position: parse.position, stack });
        }
        self.intern()
    }

    /// Whether half of the room is left, for what comes next.
    pub(crate) fn has_room(&self) -> bool {
        !self.uses_more_than(2)
    }
}

#[cfg(test)]
mod tests {
    use super::super::DEAD;
    use super::*;
    use crate::grammar::Limits;
    use crate::grammar::program::{Position, RETURN};
    use crate::grammar::utf8::byte_range;

    #[test]
    fn a_state_goes_on_in_another_graph_as_it_did() {
        let limits = Limits { states: 40, frames: 60, ..Limits::default() };
        let mut automaton = Automaton::new(limits);
        let program = automaton.program_mut();
        let body = program.byte(byte_range(b'a', b'c'), RETURN).unwrap();
        let dot = program.byte(byte_range(b'.', b'.'), RETURN).unwrap();
        let root = program.add(Position::Loop { body, min: 90, max: 100, next: dot }).unwrap();
        automaton.widen_rows();
        let mut states = [automaton.start(root).unwrap()];
        let mut graphs = 1;
        for round in 0..100 {
            let dotted = match automaton.step(states[0], b'.') {
                Err(Stop::Full { .. }) => {
                    automaton = automaton.renewed_with(&mut states).unwrap();
                    graphs += 1;
                    automaton.step(states[0], b'.').unwrap()
                }
                found => found.unwrap(),
            };
            assert_eq!(dotted != DEAD, round >= 90, "{round}");
            states[0] = match automaton.step(states[0], b'b') {
                Err(Stop::Full { .. }) => {
                    automaton = automaton.renewed_with(&mut states).unwrap();
                    graphs += 1;
                    automaton.step(states[0], b'b').unwrap()
                }
                found => found.unwrap(),
            };
        }
        assert_eq!(automaton.step(states[0], b'b').unwrap(), DEAD, "100 are the most");
        assert!((3..8).contains(&graphs), "{graphs}");
    }

    #[test]
    fn bytes_that_come_to_be_told_apart_leave_what_is_known_right() {
        let mut automaton = Automaton::new(Limits::default());
        let letters = automaton.program_mut().byte(byte_range(b'a', b'z'), RETURN).unwrap();
        automaton.widen_rows();
        let first = automaton.start(letters).unwrap();
        let behind = automaton.step(first, b'k').unwrap();
        assert_eq!(automaton.step(first, b'A').unwrap(), DEAD);
        assert_eq!(automaton.class_of(b'm'), automaton.class_of(b'k'));
        // Splits the class of letters, more classes than a row had room for, and those of all others.
        for byte in 0..=255_u8 {
            automaton.program_mut().byte(byte_range(byte, byte), RETURN).unwrap();
        }
        automaton.widen_rows();
        assert_eq!(automaton.class_count(), 256);
        for byte in 0..=255_u8 {
            let expected = if byte.is_ascii_lowercase() { behind } else { DEAD };
            assert_eq!(automaton.step(first, byte).unwrap(), expected, "{byte}");
        }
    }
}
