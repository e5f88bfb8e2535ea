//! Masks that were worked out are kept, by state.
//!
//! What may come next mostly depends on the upper end of the stacks only: masks are kept by states whose stacks are cut
//! off, as deep down as turns out to be needed. Deeply nested documents thus share them.
//!
//! Nothing works out likely masks ahead on another thread while the model computes. On a vocabulary of 151,936 tokens a
//! mask of a state that was never seen takes 10 us on average and below 1 ms at worst (`mneme bench grammar`), and a
//! reply meets some tens of such states; a token of the smallest model that is served takes over 30 ms on the same
//! machine. All that could be hidden is below one part in a thousand, and the second thread would take it from the
//! model, which uses every core.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::automaton::{Automaton, StateId, Stop, UNKNOWN};
use super::hash::FastHash;
use super::levels::Samples;
use super::mask::Mask;
use super::trie::TokenTrees;
use crate::inference::Vocab;
use crate::types::TokenId;

/// Frames that are left of a stack, tried in this order: most tokens leave none or a few levels of a document.
const CUTS: [usize; 4] = [2, 5, 12, 40];
/// Part of the masks that is dropped at a time: finding the oldest means to look at all of them.
const DROPPED_PART: usize = 8;

/// A mask with the time of its last use.
type Kept = (Arc<Mask>, u64);

#[derive(Debug)]
pub(crate) struct Masks {
    limit_bytes: usize,
    clock: u64,
    /// By key.
    kept: HashMap<StateId, Kept, FastHash>,
    /// The key of each state; `UNKNOWN` before it was asked for.
    keys: Vec<StateId>,
    /// States that are cut off too high up.
    too_short: HashSet<StateId, FastHash>,
    samples: Samples,
}

impl Masks {
    /// Keeps masks of at most `limit_bytes` bytes together, and one in any case.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
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
    ) -> Result<Arc<Mask>, Stop> {
        let key = self.keys.get(state as usize).copied().unwrap_or(UNKNOWN);
        if let Some(mask) = self.known(key) {
            return Ok(mask);
        }
        let (key, mask) = self.find(automaton, state, vocab, trees)?;
        self.set_key(automaton, state, key);
        Ok(mask)
    }

    /// The same where [`Masks::get`] came to a limit: see [`TokenTrees::patient_mask`].
    pub(crate) fn get_patiently(
        &mut self,
        automaton: &Automaton,
        state: StateId,
        vocab: &Vocab,
        trees: &TokenTrees,
    ) -> Result<Arc<Mask>, Stop> {
        let mut mask = trees.patient_mask(automaton, state)?;
        add_token_items(automaton, state, vocab, &mut mask);
        self.set_key(automaton, state, state);
        Ok(self.keep(state, mask))
    }

    pub(crate) const fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let masks: usize = self.kept.values().map(|(mask, _)| mask_bytes(mask)).sum();
        masks
            + self.kept.allocation_size()
            + self.keys.capacity() * size_of::<StateId>()
            + self.too_short.allocation_size()
            + self.samples.bytes()
    }

    fn set_key(&mut self, automaton: &Automaton, state: StateId, key: StateId) {
        if self.keys.len() <= state as usize {
            self.keys.resize(automaton.state_count(), UNKNOWN);
        }
        if let Some(slot) = self.keys.get_mut(state as usize) {
            *slot = key;
        }
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
    ) -> Result<(StateId, Arc<Mask>), Stop> {
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
        let mask = self.make(automaton, standard, vocab, trees)?.ok_or(Stop::Cut)?;
        Ok((standard, mask))
    }

    fn make(
        &mut self,
        automaton: &mut Automaton,
        key: StateId,
        vocab: &Vocab,
        trees: &TokenTrees,
    ) -> Result<Option<Arc<Mask>>, Stop> {
        self.samples.refresh(automaton);
        let Some(mut mask) = trees.mask(automaton, key, &self.samples)? else { return Ok(None) };
        add_token_items(automaton, key, vocab, &mut mask);
        Ok(Some(self.keep(key, mask)))
    }

    fn keep(&mut self, key: StateId, mask: Mask) -> Arc<Mask> {
        let room = (self.limit_bytes / mask_bytes(&mask)).max(1);
        if self.kept.len() >= room {
            self.drop_oldest(room - 1);
        }
        let mask = Arc::new(mask);
        self.clock += 1;
        self.kept.insert(key, (Arc::clone(&mask), self.clock));
        mask
    }

    /// Drops the masks that were not asked for the longest, until a part less than `most` are left.
    fn drop_oldest(&mut self, most: usize) {
        let left = most - most / DROPPED_PART;
        let mut times: Vec<u64> = self.kept.values().map(|(_, used)| *used).collect();
        times.sort_unstable();
        let first = times.len().checked_sub(left).and_then(|dropped| times.get(dropped).copied());
        self.kept.retain(|_, (_, used)| first.is_some_and(|first| *used >= first));
    }
}

/// Memory of one mask, in bytes: its bits, and what the shared pointer puts around them.
fn mask_bytes(mask: &Mask) -> usize {
    size_of_val(mask.words()) + size_of::<Mask>() + 2 * size_of::<usize>()
}

/// Adds the tokens that the token items of `state` name.
fn add_token_items(automaton: &Automaton, state: StateId, vocab: &Vocab, mask: &mut Mask) {
    for (id, negated) in automaton.token_items(state) {
        if negated {
            for (token, is_text) in (0..).map(TokenId).zip(vocab.text_flags()) {
                if *is_text && token != id && !vocab.is_end_of_generation(token) {
                    mask.insert(token);
                }
            }
        } else if !vocab.is_end_of_generation(id) {
            mask.insert(id);
        }
    }
}
