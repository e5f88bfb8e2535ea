//! Finite automata over characters, for what one regular expression alone cannot say: several string keywords at the
//! same time, names that are none of the declared ones, proofs that two schemas share no string.

#![expect(clippy::indexing_slicing, reason = "state ids index the tables that gave them out")]

use std::collections::{BTreeMap, HashMap};

use super::pattern::Re;
use crate::grammar::ir::CharSet;

/// A deterministic automaton; every character leads from every state to exactly one.
#[derive(Debug)]
pub(super) struct Dfa {
    /// State 0 is the first.
    pub(super) states: Vec<State>,
    /// Steps that it took to make it.
    pub(super) work: usize,
}

#[derive(Debug)]
pub(super) struct State {
    /// Bit `i` is set where expression `i` matches the text so far.
    pub(super) matched: u32,
    /// Disjoint sets that together hold every character.
    pub(super) edges: Vec<(CharSet, usize)>,
}

/// An automaton would have had more states, or would have taken more steps, than allowed.
#[derive(Debug)]
pub(super) struct TooLarge {
    /// Steps that it took to see it.
    pub(super) work: usize,
}

enum Step {
    Char(CharSet, usize),
    Split(Vec<usize>),
    Match(u32),
}

#[derive(Default)]
struct Nfa {
    steps: Vec<Step>,
    limit: usize,
}

impl Nfa {
    fn push(&mut self, step: Step) -> Result<usize, TooLarge> {
        if self.steps.len() >= self.limit {
            return Err(TooLarge { work: self.steps.len() });
        }
        self.steps.push(step);
        Ok(self.steps.len() - 1)
    }

    /// Adds `re` so that `next` follows; gives back where it begins.
    fn add(&mut self, re: &Re, next: usize) -> Result<usize, TooLarge> {
        match re {
            Re::Class(set) => self.push(Step::Char(set.clone(), next)),
            Re::Concat(items) => items.iter().rev().try_fold(next, |next, item| self.add(item, next)),
            Re::Alt(items) => {
                let starts = items.iter().map(|item| self.add(item, next)).collect::<Result<_, _>>()?;
                self.push(Step::Split(starts))
            }
            Re::Repeat { item, min, max } => {
                let mut next = next;
                match max {
                    None => {
                        let again = self.push(Step::Split(Vec::new()))?;
                        let body = self.add(item, again)?;
                        self.steps[again] = Step::Split(vec![body, next]);
                        next = again;
                    }
                    Some(max) => {
                        let end = next;
                        for _ in *min..*max {
                            let body = self.add(item, next)?;
                            next = self.push(Step::Split(vec![body, end]))?;
                        }
                    }
                }
                for _ in 0..*min {
                    let before = next;
                    next = self.add(item, next)?;
                    if next == before {
                        // Repeating the empty text changes nothing.
                        break;
                    }
                }
                Ok(next)
            }
            // Anchors are gone before an automaton is made.
            Re::Start | Re::End => Ok(next),
        }
    }

    /// What reads or matches, reached from `starts` without reading. Adds the steps that it looked at to `work`.
    fn closure(&self, starts: impl IntoIterator<Item = usize>, work: &mut usize) -> Vec<usize> {
        let mut pending: Vec<usize> = starts.into_iter().collect();
        let mut seen = std::collections::HashSet::new();
        let mut found = Vec::new();
        while let Some(at) = pending.pop() {
            if !seen.insert(at) {
                continue;
            }
            match &self.steps[at] {
                Step::Split(branches) => pending.extend(branches),
                Step::Char(..) | Step::Match(_) => found.push(at),
            }
        }
        found.sort_unstable();
        *work += seen.len();
        found
    }

    fn matched(&self, set: &[usize]) -> u32 {
        set.iter().fold(0, |bits, at| if let Step::Match(bit) = &self.steps[*at] { bits | bit } else { bits })
    }
}

/// The automaton that runs all of `res` (at most 32) at the same time.
///
/// # Errors
/// It would have more than `limit` states, or take more than `most_work` steps.
pub(super) fn classify(res: &[&Re], limit: usize, most_work: usize) -> Result<Dfa, TooLarge> {
    // Non-deterministic states are many times fewer than what they cost later.
    let mut nfa = Nfa { steps: Vec::new(), limit: limit.saturating_mul(4) };
    let mut starts = Vec::with_capacity(res.len());
    for (index, re) in res.iter().enumerate() {
        let end = nfa.push(Step::Match(1 << index))?;
        starts.push(nfa.add(re, end)?);
    }
    let mut work = nfa.steps.len();
    let mut followed = 0_usize;
    let first = nfa.closure(starts, &mut work);
    let mut ids: HashMap<Vec<usize>, usize> = HashMap::from([(first.clone(), 0)]);
    let mut sets = vec![first];
    let mut states = Vec::new();
    while let Some(set) = sets.get(states.len()).cloned() {
        followed = followed.saturating_add(set.len());
        if followed > limit.saturating_mul(64) {
            return Err(TooLarge { work });
        }
        let mut edges = Vec::new();
        for (targets, ranges) in moves(&nfa, &set, most_work, &mut work)? {
            let target = nfa.closure(targets, &mut work);
            let fresh = ids.len();
            let id = *ids.entry(target).or_insert_with_key(|target| {
                sets.push(target.clone());
                fresh
            });
            if ids.len() > limit || work > most_work {
                return Err(TooLarge { work });
            }
            edges.push((CharSet::from_ranges(ranges), id));
        }
        // Different sets may close to the same state.
        edges.sort_by_key(|(_, target)| *target);
        let mut merged: Vec<(CharSet, usize)> = Vec::with_capacity(edges.len());
        for (chars, target) in edges {
            match merged.last_mut() {
                Some((known, last)) if *last == target => {
                    let all = known.ranges().iter().chain(chars.ranges()).copied().collect();
                    *known = CharSet::from_ranges(all);
                }
                _ => merged.push((chars, target)),
            }
        }
        merged.retain(|(chars, _)| !chars.ranges().is_empty());
        states.push(State { matched: nfa.matched(&set), edges: merged });
    }
    Ok(Dfa { states, work })
}

/// Characters as ranges, by the steps that they lead to.
type Moves = BTreeMap<Vec<usize>, Vec<(u32, u32)>>;

/// Every character, grouped by the set of steps that it leads to. Adds what it looked at to `work`.
fn moves(nfa: &Nfa, set: &[usize], most_work: usize, work: &mut usize) -> Result<Moves, TooLarge> {
    const END: u32 = 0x11_0000;
    // Where a step begins or ends to be possible.
    let mut changes: BTreeMap<u32, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    changes.entry(0).or_default();
    for at in set {
        if let Step::Char(chars, next) = &nfa.steps[*at] {
            *work += chars.ranges().len();
            for (low, high) in chars.ranges() {
                changes.entry(*low).or_default().0.push(*next);
                changes.entry(*high + 1).or_default().1.push(*next);
            }
        }
    }
    let mut active: Vec<usize> = Vec::new();
    let mut grouped: BTreeMap<Vec<usize>, Vec<(u32, u32)>> = BTreeMap::new();
    let ends: Vec<u32> = changes.keys().skip(1).copied().chain([END]).collect();
    for ((from, (begun, ended)), until) in changes.into_iter().zip(ends) {
        for step in ended {
            if let Some(at) = active.iter().position(|other| *other == step) {
                active.swap_remove(at);
            }
        }
        active.extend(begun);
        *work += active.len();
        if *work > most_work {
            return Err(TooLarge { work: *work });
        }
        let mut key = active.clone();
        key.sort_unstable();
        key.dedup();
        if from < until {
            grouped.entry(key).or_default().push((from, until - 1));
        }
    }
    Ok(grouped)
}

/// Most steps of an automaton that runs over one constant.
const MATCH_STEPS: usize = 50_000;

/// Whether `re` matches the whole of `text`, and the steps that it took to see it.
///
/// # Errors
/// The expression is too large, or it takes more than `most_work` steps.
pub(super) fn matches(re: &Re, text: &str, most_work: usize) -> Result<(bool, usize), TooLarge> {
    let mut nfa = Nfa { steps: Vec::new(), limit: MATCH_STEPS };
    let end = nfa.push(Step::Match(1))?;
    let start = nfa.add(re, end)?;
    let mut work = nfa.steps.len();
    let mut set = nfa.closure([start], &mut work);
    for character in text.chars() {
        let next: Vec<usize> = (set.iter())
            .filter_map(|at| match &nfa.steps[*at] {
                Step::Char(chars, next) if chars.contains(character) => Some(*next),
                _ => None,
            })
            .collect();
        // An automaton without a state left goes on to read.
        work += 1;
        set = nfa.closure(next, &mut work);
        if work > most_work {
            return Err(TooLarge { work });
        }
    }
    Ok((nfa.matched(&set) != 0, work))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(dfa: &Dfa, text: &str) -> u32 {
        let mut state = 0;
        for character in text.chars() {
            state = dfa.states[state].edges.iter().find(|(set, _)| set.contains(character)).unwrap().1;
        }
        dfa.states[state].matched
    }

    #[test]
    fn every_text_is_classified_by_all_expressions_at_once() {
        let res: Vec<Re> =
            ["^a", "b$", "^.{2,3}$", "[0-9]{2}"].iter().map(|pattern| Re::parse(pattern).unwrap()).collect();
        let dfa = classify(&res.iter().collect::<Vec<_>>(), 100, 100_000).unwrap();
        for text in ["", "a", "ab", "ba", "abb", "a12", "12b", "😀", "é1b", "12", "\n1234"] {
            for (index, re) in res.iter().enumerate() {
                assert_eq!(run(&dfa, text) >> index & 1 == 1, matches(re, text, 1000).unwrap().0, "{text:?} {index}");
            }
        }
    }

    #[test]
    fn automata_that_would_grow_without_end_are_refused() {
        assert!(classify(&[&Re::length(0, Some(100_000))], 1000, usize::MAX).is_err());
        let huge = Re::parse("^((((a{999}){999}){999}){999}|(){4000000000})$").unwrap();
        assert!(classify(&[&huge], 1000, usize::MAX).is_err());
        assert!(matches(&huge, "a", usize::MAX).is_err());
        assert!(matches(&Re::parse("^(){4000000000}$").unwrap(), "", 10).unwrap().0);
    }
}
