//! States that stand for many others: counts far from their bounds made one, stacks cut off below their upper frames.

#![expect(clippy::indexing_slicing, reason = "state and frame ids are given out by the tables they index")]

use super::super::program::{Position, UNBOUNDED};
use super::{Automaton, CALL, CUT, Frame, Parse, State, StateId};
use crate::types::ConstraintError;

impl Automaton {
    /// A state with the same future as `state` over the next `bytes` bytes: counts that are so far from their bounds
    /// that no text of this length can reach one are replaced by one standard count. Long strings thus share masks.
    pub(crate) fn standard_state(&mut self, state: StateId, bytes: u32) -> Result<StateId, ConstraintError> {
        if self.standard_for_bytes != bytes {
            self.standard.clear();
            self.standard_for_bytes = bytes;
        }
        self.with_stacks(state, |automaton, stack| automaton.standard_stack(stack, bytes))
    }

    /// The state with only the `frames` upper frames of each of its stacks; itself where none is higher.
    pub(crate) fn cut(&mut self, state: StateId, frames: usize) -> Result<StateId, ConstraintError> {
        self.with_stacks(state, |automaton, stack| automaton.cut_stack(stack, frames))
    }

    fn with_stacks(
        &mut self,
        state: StateId,
        mut changed: impl FnMut(&mut Self, u32) -> Result<u32, ConstraintError>,
    ) -> Result<StateId, ConstraintError> {
        let State { first, end, .. } = self.states[state as usize];
        let mut is_same = true;
        self.begin();
        for at in first..end {
            let parse = self.parses[at as usize];
            let stack = changed(self, parse.stack)?;
            is_same &= stack == parse.stack;
            self.found.push(Parse { position: parse.position, stack });
        }
        if is_same { Ok(state) } else { self.intern() }
    }

    fn cut_stack(&mut self, stack: u32, frames: usize) -> Result<u32, ConstraintError> {
        let mut kept = Vec::with_capacity(frames);
        let mut at = stack;
        while at > CUT && kept.len() < frames {
            kept.push(self.frames[at as usize]);
            at = self.frames[at as usize].below;
        }
        if at <= CUT {
            return Ok(stack);
        }
        kept.into_iter().rev().try_fold(CUT, |below, frame| self.frame(Frame { below, ..frame }))
    }

    fn standard_stack(&mut self, stack: u32, bytes: u32) -> Result<u32, ConstraintError> {
        let mut path = Vec::new();
        let mut at = stack;
        let mut done = loop {
            if at <= CUT {
                break at;
            }
            if let Some(known) = self.standard.get(&at) {
                break *known;
            }
            path.push(at);
            at = self.frames[at as usize].below;
        };
        for original in path.into_iter().rev() {
            let Frame { target, count, .. } = self.frames[original as usize];
            let count = match self.program.position(target) {
                Position::Loop { min, max, .. } if count != CALL => standard_count(count, min, max, bytes),
                _ => count,
            };
            done = self.frame(Frame { target, count, below: done })?;
            self.standard.insert(original, done);
        }
        Ok(done)
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
