//! What is read next: from parses to those that they lead to without reading, calls and loops entered on the way.

#![expect(clippy::indexing_slicing, reason = "state and stack ids are given out by the tables they index")]

use std::hash::BuildHasher;

use super::super::hash::FastHash;
use super::super::program::{Position, UNBOUNDED, index};
use super::{Automaton, CALL, CUT, Frame, Parse, State, Stop, compact};

impl Automaton {
    pub(super) fn begin(&mut self) {
        self.seen.clear();
        self.found.clear();
        // A step that came to a limit leaves some.
        self.work.clear();
        self.waiting.clear();
    }

    /// Adds to `found` every parse that reads and that those in `work` lead to without reading.
    ///
    /// In rounds: first everything that calls is followed to its calls, then each rule that is called is entered once,
    /// with all its callers on one stack. A rule that is called at several depths of the same step is entered several
    /// times, so parses grow with the number of rules and not with that of the ways to them.
    pub(super) fn close(&mut self) -> Result<(), Stop> {
        loop {
            while let Some(parse) = self.work.pop() {
                self.follow(parse)?;
            }
            if self.waiting.is_empty() {
                return Ok(());
            }
            self.enter()?;
        }
    }

    fn follow(&mut self, parse: Parse) -> Result<(), Stop> {
        let Parse { position, stack } = parse;
        if let Position::Byte { .. } | Position::Arms { .. } | Position::Token { .. } = self.program.position(position)
        {
            self.found.push(parse);
            if self.found.len() > 2 * self.limits.parses {
                compact(&mut self.found, self.limits.parses)?;
            }
            return Ok(());
        }
        if !self.seen.insert(parse) {
            return Ok(());
        }
        if self.seen.len() > self.limits.parses {
            return Err(Stop::Wide { found: self.seen.len(), limit: self.limits.parses });
        }
        match self.program.position(position) {
            Position::Byte { .. } | Position::Arms { .. } | Position::Token { .. } => {}
            Position::Split { start, end } => {
                let branches = self.program.branches(start, end);
                self.work.extend(branches.iter().map(|&position| Parse { position, stack }));
            }
            Position::Call { entry, next } => {
                self.waiting.push((entry, Frame { target: next, count: CALL, below: stack }));
            }
            Position::Resume { state } => {
                let State { first, end, .. } = self.states[self.kept[state as usize] as usize];
                self.found.extend_from_slice(&self.parses[first as usize..end as usize]);
            }
            Position::Loop { body, min, next, .. } => {
                if min == 0 {
                    self.work.push(Parse { position: next, stack });
                }
                self.waiting.push((body, Frame { target: position, count: 0, below: stack }));
            }
            Position::Return if stack <= CUT => self.found.push(parse),
            Position::Return => {
                for at in self.frame_range(stack) {
                    self.leave(self.frames[at]);
                }
            }
        }
        Ok(())
    }

    /// Goes on behind a frame.
    fn leave(&mut self, Frame { target, count, below }: Frame) {
        let Position::Loop { body, min, max, next } = self.program.position(target) else {
            self.work.push(Parse { position: target, stack: below });
            return;
        };
        if count == CALL {
            self.work.push(Parse { position: target, stack: below });
            return;
        }
        let rounds = count + 1;
        if rounds >= min {
            self.work.push(Parse { position: next, stack: below });
        }
        if rounds < max {
            // Above its lower bound an unbounded loop need not count.
            let count = if max == UNBOUNDED { rounds.min(min) } else { rounds };
            self.waiting.push((body, Frame { target, count, below }));
        }
    }

    /// Enters what is called, each with all that waits behind it.
    fn enter(&mut self) -> Result<(), Stop> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let entered = if waiting.len() > self.limits.parses {
            Err(Stop::Wide { found: waiting.len(), limit: self.limits.parses })
        } else {
            waiting.sort_unstable();
            waiting.dedup();
            waiting.chunk_by(|(one, _), (two, _)| one == two).try_for_each(|callers| {
                let stack = self.stack(callers.iter().map(|(_, frame)| *frame))?;
                self.work.extend(callers.first().map(|(position, _)| Parse { position: *position, stack }));
                Ok(())
            })
        };
        waiting.clear();
        self.waiting = waiting;
        entered
    }

    /// The stack of `frames`, which are sorted and different.
    pub(super) fn stack(&mut self, frames: impl Iterator<Item = Frame>) -> Result<u32, Stop> {
        let first = self.frames.len();
        self.frames.extend(frames);
        let hasher = FastHash::default();
        let hash = hasher.hash_one(&self.frames[first..]);
        let known = self.stack_ids.find(hash, |id| self.frames[self.frame_range(*id)] == self.frames[first..]);
        if let Some(known) = known.copied() {
            self.frames.truncate(first);
            return Ok(known);
        }
        let (found, limit) = (self.frames.len(), self.limits.frames);
        if found > limit {
            self.frames.truncate(first);
            return Err(Stop::Full { what: "stack frames", found, limit });
        }
        let id = index(self.stacks.len());
        self.stacks.push(index(found));
        let (frames, stacks) = (&self.frames, &self.stacks);
        self.stack_ids.insert_unique(hash, id, |id| {
            let (first, end) = (stacks[*id as usize - 1], stacks[*id as usize]);
            hasher.hash_one(&frames[first as usize..end as usize])
        });
        Ok(id)
    }

    /// Where the frames of `stack` stand; nowhere for the bottom and the cut.
    pub(super) fn frame_range(&self, stack: u32) -> std::ops::Range<usize> {
        if stack <= CUT {
            return 0..0;
        }
        self.stacks[stack as usize - 1] as usize..self.stacks[stack as usize] as usize
    }
}
