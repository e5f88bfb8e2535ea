//! States that stand for many others: counts far from their bounds made one, stacks cut off below their upper frames.

#![expect(clippy::indexing_slicing, reason = "state and stack ids are given out by the tables they index")]

use hashbrown::HashMap;

use super::super::hash::FastHash;
use super::super::program::{Position, UNBOUNDED};
use super::{Automaton, CALL, CUT, Frame, Parse, State, StateId, Stop};

impl Automaton {
    /// A state with the same future as `state` over the next `bytes` bytes: counts that are so far from their bounds
    /// that no text of this length can reach one are replaced by one standard count. Long strings thus share masks.
    pub(crate) fn standard_state(&mut self, state: StateId, bytes: u32) -> Result<StateId, Stop> {
        if self.standard_for_bytes != bytes {
            self.standard.clear();
            self.standard_for_bytes = bytes;
        }
        self.with_stacks(state, |automaton, stack| automaton.standard_stack(stack, bytes))
    }

    /// The state with only the `frames` upper frames of each of its stacks; itself where none is higher.
    pub(crate) fn cut(&mut self, state: StateId, frames: usize) -> Result<StateId, Stop> {
        let mut cut = HashMap::new();
        self.with_stacks(state, |automaton, stack| automaton.cut_stack(stack, frames, &mut cut))
    }

    fn with_stacks(
        &mut self,
        state: StateId,
        mut changed: impl FnMut(&mut Self, u32) -> Result<u32, Stop>,
    ) -> Result<StateId, Stop> {
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

    /// Stacks with `frames` of their upper frames; `cut` has those that were cut before, with so many frames.
    fn cut_stack(&mut self, stack: u32, frames: usize, cut: &mut HashMap<(u32, usize), u32>) -> Result<u32, Stop> {
        if stack <= CUT {
            return Ok(stack);
        }
        if frames == 0 {
            return Ok(CUT);
        }
        if let Some(known) = cut.get(&(stack, frames)) {
            return Ok(*known);
        }
        let mut changed = self.frames[self.frame_range(stack)].to_vec();
        for frame in &mut changed {
            frame.below = self.cut_stack(frame.below, frames - 1, cut)?;
        }
        let id = self.stack_of(changed)?;
        cut.insert((stack, frames), id);
        Ok(id)
    }

    /// The stack of `frames` in any order.
    fn stack_of(&mut self, mut frames: Vec<Frame>) -> Result<u32, Stop> {
        frames.sort_unstable();
        frames.dedup();
        self.stack(frames.into_iter())
    }

    fn standard_stack(&mut self, stack: u32, bytes: u32) -> Result<u32, Stop> {
        let mut known = std::mem::take(&mut self.standard);
        let done = self.rebuild(stack, &mut known, |automaton, stack| {
            let mut frames = automaton.frames[automaton.frame_range(stack)].to_vec();
            for frame in &mut frames {
                if let Position::Loop { min, max, .. } = automaton.program.position(frame.target)
                    && frame.count != CALL
                {
                    frame.count = standard_count(frame.count, min, max, bytes);
                }
            }
            frames
        });
        self.standard = known;
        done
    }

    /// The stack here that is `stack` with other frames, each above a stack that was changed likewise. `frames_of` gives
    /// the frames of a stack, changed but for what is below them; `known` has what was rebuilt before. Stacks can be high:
    /// this does not recurse.
    pub(super) fn rebuild(
        &mut self,
        stack: u32,
        known: &mut HashMap<u32, u32, FastHash>,
        frames_of: impl Fn(&Self, u32) -> Vec<Frame>,
    ) -> Result<u32, Stop> {
        // Bottom and cut have the same ids everywhere.
        let done = |known: &HashMap<u32, u32, FastHash>, stack| {
            if stack <= CUT { Some(stack) } else { known.get(&stack).copied() }
        };
        let mut path = vec![stack];
        while let Some(&stack) = path.last() {
            if done(known, stack).is_some() {
                path.pop();
                continue;
            }
            let mut frames = frames_of(self, stack);
            let before = path.len();
            for frame in &mut frames {
                match done(known, frame.below) {
                    Some(below) => frame.below = below,
                    None => path.push(frame.below),
                }
            }
            if path.len() == before {
                let id = self.stack_of(frames)?;
                known.insert(stack, id);
                path.pop();
            }
        }
        Ok(done(known, stack).unwrap_or(stack))
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

#[cfg(test)]
mod tests {
    use super::super::DEAD;
    use super::*;
    use crate::grammar::Limits;
    use crate::grammar::program::{PositionId, Program, RETURN};
    use crate::grammar::utf8::byte_range;

    #[test]
    fn a_standard_count_has_the_same_future_as_its_original() {
        // Ways of completing rounds are what can be seen of a count: leaving is open from `min` on, repeating up to `max`.
        let open_after = |count: u32, min: u32, max: u32, rounds: u32| {
            (1..=rounds).map(move |round| (count + round >= min, max == UNBOUNDED || count + round < max))
        };
        for (min, max) in [(0, 3), (0, 40), (2, 9), (5, 5), (30, 40), (12, UNBOUNDED), (0, UNBOUNDED), (1, UNBOUNDED)] {
            for rounds in 0..12 {
                for count in 0..40 {
                    let standard = standard_count(count, min, max, rounds);
                    let (found, expected) =
                        (open_after(standard, min, max, rounds), open_after(count, min, max, rounds));
                    assert!(found.eq(expected), "{count} as {standard} in {{{min},{max}}} over {rounds}");
                }
            }
        }
    }

    #[test]
    fn counts_far_from_their_bounds_are_one() {
        assert_eq!((10..900).map(|count| standard_count(count, 0, 1000, 32)).max(), Some(0));
        assert_eq!((100..900).map(|count| standard_count(count, 50, 1000, 32)).min(), Some(49));
        assert_eq!(standard_count(980, 0, 1000, 32), 980);
    }

    /// `"(" root? ")"`: brackets within brackets.
    fn brackets(program: &mut Program) -> PositionId {
        let root = program.reserve().unwrap();
        let close = program.byte(byte_range(b')', b')'), RETURN).unwrap();
        let inner = program.add(Position::Call { entry: root, next: close }).unwrap();
        let rest = program.split(vec![inner, close]).unwrap();
        let open = program.byte(byte_range(b'(', b'('), rest).unwrap();
        program.set_split(root, &[open]).unwrap();
        root
    }

    fn automaton() -> (Automaton, StateId) {
        let mut automaton = Automaton::new(Limits::default());
        let root = brackets(automaton.program_mut());
        automaton.widen_rows();
        let start = automaton.start(root).unwrap();
        (automaton, start)
    }

    #[test]
    fn states_that_look_alike_down_to_the_cut_are_one() {
        let (mut automaton, start) = automaton();
        let [deep, deeper] = [10, 25].map(|depth| automaton.walk(start, &vec![b'('; depth]).unwrap());
        assert_ne!(deep, deeper);
        assert_eq!(automaton.cut(deep, 4).unwrap(), automaton.cut(deeper, 4).unwrap());
        assert_ne!(automaton.cut(deep, 4).unwrap(), automaton.cut(deep, 5).unwrap());
        assert_eq!(automaton.cut(deep, 40).unwrap(), deep, "no stack is that high");
    }

    #[test]
    fn a_way_that_comes_to_the_cut_is_lost_and_no_other() {
        let (mut automaton, start) = automaton();
        let deep = automaton.walk(start, b"((((((((").unwrap();
        let cut = automaton.cut(deep, 3).unwrap();
        for (closing, is_lost) in [(0, false), (2, false), (4, true)] {
            let behind = automaton.walk(cut, &vec![b')'; closing]).unwrap();
            assert_eq!(automaton.is_lost(behind), is_lost, "behind {closing} brackets");
        }
        // Opening leads away from the cut.
        let opened = automaton.walk(cut, b"((((").unwrap();
        assert!(!automaton.is_lost(opened));
        // Nothing leads on from the cut: it is not taken for the end of the text.
        let lost = automaton.walk(cut, b"))))").unwrap();
        assert!(!automaton.is_complete(lost));
        assert_eq!(automaton.step(lost, b')').unwrap(), DEAD);
    }
}
