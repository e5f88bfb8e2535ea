//! What can come behind a state, beyond the next byte.

#![expect(clippy::indexing_slicing, reason = "state, stack and position ids are given out by the tables they index")]

use super::super::program::{Position, PositionId};
use super::super::utf8::{ByteSet, unite};
use super::{Automaton, CUT, StateId};

/// Positions and stacks that are looked at to find the bytes that can still follow.
const REACHABLE: usize = 1000;

/// Numbers that were met, while they are fewer than [`REACHABLE`].
struct Met {
    words: Vec<u64>,
    count: usize,
}

impl Met {
    fn new(numbers: usize) -> Self {
        Self { words: vec![0; numbers.div_ceil(64)], count: 0 }
    }

    /// Adds a number; false where it was there.
    fn insert(&mut self, number: u32) -> bool {
        let (word, bit) = (&mut self.words[number as usize / 64], 1 << (number % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        self.count += usize::from(is_new);
        is_new
    }

    const fn is_full(&self) -> bool {
        self.count > REACHABLE
    }
}

impl Automaton {
    /// Bytes that some text after `state` may hold; more than those where finding out would take long.
    pub(crate) fn reachable_bytes(&self, state: StateId) -> ByteSet {
        self.positions_behind(state).and_then(|positions| self.bytes_behind(positions)).unwrap_or([u64::MAX; 4])
    }

    /// Where the parses of `state` stand and what waits on their stacks; none where a stack is cut off or too high.
    fn positions_behind(&self, state: StateId) -> Option<Vec<PositionId>> {
        let mut positions: Vec<PositionId> = self.parses(state).iter().map(|parse| parse.position).collect();
        let mut left: Vec<u32> = self.parses(state).iter().map(|parse| parse.stack).collect();
        let mut met = Met::new(self.stacks.len());
        while let Some(stack) = left.pop() {
            if stack == CUT {
                return None;
            }
            if !met.insert(stack) {
                continue;
            }
            for frame in &self.frames[self.frame_range(stack)] {
                positions.push(frame.target);
                left.push(frame.below);
            }
            if met.is_full() || positions.len() > REACHABLE {
                return None;
            }
        }
        Some(positions)
    }

    fn bytes_behind(&self, mut left: Vec<PositionId>) -> Option<ByteSet> {
        let mut bytes = [0; 4];
        let mut met = Met::new(self.program.positions.len());
        while let Some(position) = left.pop() {
            if !met.insert(position) {
                continue;
            }
            if met.is_full() {
                return None;
            }
            match self.program.position(position) {
                Position::Return => {}
                Position::Byte { .. } | Position::Arms { .. } => {
                    for (set, next) in self.program.arms_at(position) {
                        unite(&mut bytes, set);
                        left.push(next);
                    }
                }
                Position::Split { start, end } => left.extend_from_slice(self.program.branches(start, end)),
                Position::Call { entry: first, next } | Position::Loop { body: first, next, .. } => {
                    left.extend([first, next]);
                }
                Position::Token { next, .. } => left.push(next),
                Position::Resume { .. } => return None,
            }
        }
        Some(bytes)
    }
}
