//! A matcher whose graph is full goes on in another one, and takes with it what it may need again.

use std::sync::{Arc, PoisonError};

use super::super::automaton::{Carried, StateId, Stop, UNKNOWN};
use super::super::graph::{Graph, Tokens, lock};
use super::{Home, Matcher};
use crate::types::TokenId;

/// A token that was committed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Past {
    /// The state before it; `UNKNOWN` where it was left behind.
    pub(super) state: StateId,
    pub(super) token: TokenId,
}

/// Where a matcher goes on that needs room, in the order of trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// In the graph in which others went on.
    Successor,
    /// In a graph that holds nothing but what it needs.
    Fresh,
    /// In a graph that holds nothing but where it stands and where it began.
    Bare,
}

/// States of the last tokens are taken along: going back a few tokens is common, where forced text is spelled anew.
const RECENT_TOKENS: usize = 64;
/// Of the tokens before, so many are taken along, at equal distances: going back to one between them walks the tokens
/// from the one before it again.
const CHECKPOINTS: usize = 64;

impl Matcher {
    /// What `work` finds in the matcher's graph and state; where that is full, in one that has room.
    pub(super) fn with_room<T>(
        &mut self,
        mut work: impl FnMut(&Tokens, &mut Graph, StateId) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let found = work(&self.grammar.tokens, &mut *lock(&self.graph)?, self.state);
        match found {
            Err(stop) if stop.is_full() => self.make_room(stop, &mut work),
            found => found,
        }
    }

    #[cold]
    fn make_room<T>(
        &mut self,
        mut stop: Stop,
        work: &mut impl FnMut(&Tokens, &mut Graph, StateId) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        for room in [Room::Successor, Room::Fresh, Room::Bare] {
            let found = match self.move_on(room) {
                Ok(true) => work(&self.grammar.tokens, &mut *lock(&self.graph)?, self.state),
                Ok(false) => continue,
                Err(stop) => Err(stop),
            };
            match found {
                Err(full) if full.is_full() => stop = full,
                found => return found,
            }
        }
        Err(stop)
    }

    /// Goes on in another graph; false where there is none of this kind. After an error the matcher is where it was.
    fn move_on(&mut self, room: Room) -> Result<bool, Stop> {
        let old = Arc::clone(&self.graph);
        let mut from = lock(&old)?;
        let next = match room {
            Room::Successor => match from.successor() {
                Some(next) => next,
                None => return Ok(false),
            },
            Room::Fresh | Room::Bare => from.close(&self.grammar.tokens)?,
        };
        let mut to = lock(&next)?;
        let mut carried = Carried::default();
        let start = to.automaton.carry(&from.automaton, self.start, &mut carried)?;
        let state = to.automaton.carry(&from.automaton, self.state, &mut carried)?;
        let committed = self.history.len();
        let distance = committed.div_ceil(CHECKPOINTS).max(1);
        let mut has_room = room != Room::Bare;
        for (at, past) in self.history.iter_mut().enumerate().rev() {
            let is_wanted = committed - at <= RECENT_TOKENS || at % distance == 0;
            has_room &= to.automaton.has_room();
            let state = if has_room && is_wanted && past.state != UNKNOWN {
                to.automaton.carry(&from.automaton, past.state, &mut carried).ok()
            } else {
                None
            };
            past.state = state.unwrap_or(UNKNOWN);
        }
        (self.number, self.start, self.state) = (to.number, start, state);
        drop((from, to));
        self.graph = Arc::clone(&next);
        // What begins later begins where there is room.
        if let Some(current) = self.grammar.current.upgrade() {
            let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
            if Arc::ptr_eq(&current, &old) {
                *current = Arc::clone(&next);
            }
        }
        let mut home = self.grammar.home.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&home.graph, &old) {
            *home = Home { graph: next, start };
        }
        Ok(true)
    }

    /// Goes back to a state before token `kept` of the history; gives back the tokens that lead from there to it.
    pub(super) fn go_back_before(&mut self, kept: usize) -> Vec<TokenId> {
        let known = self.history.iter().enumerate().take(kept + 1).rev().find(|(_, past)| past.state != UNKNOWN);
        let (at, state) = known.map_or((0, self.start), |(at, past)| (at, past.state));
        let again = self.history.iter().take(kept).skip(at).map(|past| past.token).collect();
        self.history.truncate(at);
        self.state = state;
        again
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, Weak};

    use super::*;
    use crate::grammar::{Compiler, Limits};
    use crate::inference::{TokenKind, Vocab};
    use crate::types::Constraint;

    const A: TokenId = TokenId(97);

    fn compiler(states: usize) -> Compiler {
        let rows = (0..=255_u8).map(|byte| (vec![byte], TokenKind::Text)).collect();
        Compiler::new(Arc::new(Vocab::new(rows, Vec::new(), None)), Limits { states, ..Limits::default() })
    }

    /// Commits until the matcher is in another graph; gives back the one that it left.
    fn outgrow(matcher: &mut Matcher) -> Weak<Mutex<Graph>> {
        let old = Arc::downgrade(&matcher.graph);
        while old.ptr_eq(&Arc::downgrade(&matcher.graph)) {
            matcher.commit(A).unwrap();
        }
        old
    }

    #[test]
    fn a_graph_is_dropped_with_its_last_user() {
        let compiler = compiler(100);
        let grammar = compiler.compile("root ::= [a-z]{0,9000}").unwrap();
        let mut matcher = grammar.matcher().unwrap();
        let old = outgrow(&mut matcher);
        assert!(old.upgrade().is_none(), "neither compiler nor grammar nor matcher needs it");
        let mut other = matcher.clone();
        let old = outgrow(&mut matcher);
        assert!(old.upgrade().is_some(), "the other is still there");
        let next = Arc::downgrade(&matcher.graph);
        let same = outgrow(&mut other);
        assert!(same.ptr_eq(&old) && old.upgrade().is_none());
        assert!(next.ptr_eq(&Arc::downgrade(&other.graph)), "both went on in one");
        assert!(grammar.matcher().unwrap().state() >> 32 == matcher.state() >> 32, "and so do later ones");
    }

    #[test]
    fn states_of_the_last_tokens_and_some_before_are_taken_along() {
        let grammar = compiler(2000).compile("root ::= [a-z]{0,90000}").unwrap();
        let mut matcher = grammar.matcher().unwrap();
        outgrow(&mut matcher);
        let known: Vec<usize> = (matcher.history.iter().enumerate())
            .filter(|(_, past)| past.state != UNKNOWN)
            .map(|(at, _)| matcher.history.len() - at)
            .collect();
        assert!((RECENT_TOKENS + CHECKPOINTS / 2..=RECENT_TOKENS + CHECKPOINTS + 1).contains(&known.len()));
        let gaps: Vec<usize> = known.windows(2).map(|pair| pair[0] - pair[1]).collect();
        assert!(gaps.iter().all(|gap| *gap <= matcher.history.len().div_ceil(CHECKPOINTS)), "{gaps:?}");
        assert!(gaps.ends_with(&[1; RECENT_TOKENS - 1]));
    }

    #[test]
    fn no_two_states_of_different_graphs_have_one_number() {
        let grammar = compiler(40).compile("root ::= [a-z]{0,300}").unwrap();
        let mut matcher = grammar.matcher().unwrap();
        let mut seen = vec![matcher.state()];
        for _ in 0..300 {
            matcher.commit(A).unwrap();
            assert!(!seen.contains(&matcher.state()));
            seen.push(matcher.state());
        }
        assert!(matcher.must_end());
    }
}
