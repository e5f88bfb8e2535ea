//! Masks that were worked out are kept, by state.
//!
//! What may come next mostly depends on the upper end of the stacks only: masks are kept by states whose stacks are cut
//! off, as deep down as turns out to be needed. Deeply nested documents thus share them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::automaton::{Automaton, StateId, UNKNOWN};
use super::hash::FastHash;
use super::levels::Samples;
use super::mask::Mask;
use super::trie::TokenTrees;
use crate::inference::Vocab;
use crate::types::{ConstraintError, TokenId};

/// Frames that are left of a stack, tried in this order: most tokens leave none or a few levels of a document.
const CUTS: [usize; 4] = [2, 5, 12, 40];

#[derive(Debug)]
pub(crate) struct Masks {
    limit: usize,
    clock: u64,
    /// By key, with the time of the last use.
    kept: HashMap<StateId, (Arc<Mask>, u64), FastHash>,
    /// The key of each state; `UNKNOWN` before it was asked for.
    keys: Vec<StateId>,
    /// States that are cut off too high up.
    too_short: HashSet<StateId, FastHash>,
    samples: Samples,
}

impl Masks {
    /// Keeps `limit` masks.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            clock: 0,
            kept: HashMap::default(),
            keys: Vec::new(),
            too_short: HashSet::default(),
            samples: Samples::default(),
        }
    }

    /// The tokens that may come next in `state`.
    pub(crate) fn get(
        &mut self,
        automaton: &mut Automaton,
        state: StateId,
        vocab: &Vocab,
        trees: &TokenTrees,
    ) -> Result<Arc<Mask>, ConstraintError> {
        let key = self.keys.get(state as usize).copied().unwrap_or(UNKNOWN);
        if let Some(mask) = self.known(key) {
            return Ok(mask);
        }
        let (key, mask) = self.find(automaton, state, vocab, trees)?;
        if self.keys.len() <= state as usize {
            self.keys.resize(automaton.state_count(), UNKNOWN);
        }
        if let Some(slot) = self.keys.get_mut(state as usize) {
            *slot = key;
        }
        Ok(mask)
    }

    /// Estimate of the memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let masks: usize = self.kept.values().map(|(mask, _)| size_of_val(mask.words()) + 64).sum();
        masks + self.keys.len() * size_of::<StateId>() + self.too_short.len() * 8
    }

    fn known(&mut self, key: StateId) -> Option<Arc<Mask>> {
        let (mask, used) = self.kept.get_mut(&key)?;
        self.clock += 1;
        *used = self.clock;
        Some(Arc::clone(mask))
    }

    fn find(
        &mut self,
        automaton: &mut Automaton,
        state: StateId,
        vocab: &Vocab,
        trees: &TokenTrees,
    ) -> Result<(StateId, Arc<Mask>), ConstraintError> {
        let standard = automaton.standard_state(state, trees.longest_bytes())?;
        for frames in CUTS {
            let key = automaton.cut(standard, frames)?;
            if let Some(mask) = self.known(key) {
                return Ok((key, mask));
            }
            if self.too_short.contains(&key) {
                continue;
            }
            if let Some(mask) = self.make(automaton, key, vocab, trees)? {
                return Ok((key, mask));
            }
            self.too_short.insert(key);
        }
        if let Some(mask) = self.known(standard) {
            return Ok((standard, mask));
        }
        match self.make(automaton, standard, vocab, trees)? {
            Some(mask) => Ok((standard, mask)),
            None => Err(ConstraintError { reason: "a state that is whole came to a cut".into() }),
        }
    }

    fn make(
        &mut self,
        automaton: &mut Automaton,
        key: StateId,
        vocab: &Vocab,
        trees: &TokenTrees,
    ) -> Result<Option<Arc<Mask>>, ConstraintError> {
        self.samples.refresh(automaton);
        let Some(mut mask) = trees.mask(automaton, key, &self.samples)? else { return Ok(None) };
        for (id, negated) in automaton.token_items(key).collect::<Vec<_>>() {
            if negated {
                for (token, is_text) in (0..).map(TokenId).zip(vocab.text_flags()) {
                    if *is_text && token != id && !vocab.is_end_of_generation(token) {
                        mask.insert(token);
                    }
                }
            } else {
                mask.insert(id);
            }
        }
        if self.kept.len() >= self.limit
            && let Some(oldest) = self.kept.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key)
        {
            self.kept.remove(&oldest);
        }
        let mask = Arc::new(mask);
        self.clock += 1;
        self.kept.insert(key, (Arc::clone(&mask), self.clock));
        Ok(Some(mask))
    }
}
