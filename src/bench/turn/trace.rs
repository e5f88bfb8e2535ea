//! An engine that records what is asked of the one behind it: which tokens it reads, where, and in which sequence.
//!
//! From the record follows which tokens had to be read: those that no earlier prompt of the sequence held.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::inference::{Engine, Error, ModelIdentity, ReadReport, Sequence, Vocab};
use crate::types::{Cancel, TokenId};

/// One thing that the engine was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Tokens were read behind `at` tokens of a sequence.
    Read {
        /// In which sequence.
        sequence: Sequence,
        /// Tokens in front of them.
        at: usize,
        /// What was read.
        tokens: Vec<TokenId>,
    },
    /// A saved state of so many tokens was put into a sequence, which was empty.
    Restored {
        /// Into which sequence.
        sequence: Sequence,
        /// How many.
        tokens: usize,
    },
}

/// What was recorded; clones look at the same record.
#[derive(Debug, Clone, Default)]
pub struct Trace(Arc<Mutex<Recorded>>);

/// See [`Trace`].
#[derive(Debug, Default)]
struct Recorded {
    operations: Vec<Operation>,
    first_logits: Option<Instant>,
}

impl Trace {
    /// What was done since the last call, and when logits were asked for first: the moment of the first token.
    #[must_use]
    pub fn take(&self) -> (Vec<Operation>, Option<Instant>) {
        let recorded = std::mem::take(&mut *self.lock());
        (recorded.operations, recorded.first_logits)
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        // A panic elsewhere leaves the record as it was.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An engine whose work is recorded.
pub struct TracedEngine {
    inner: Box<dyn Engine>,
    sequence: Sequence,
    trace: Trace,
}

impl TracedEngine {
    /// Records what `inner` does.
    #[must_use]
    pub fn new(inner: Box<dyn Engine>, trace: Trace) -> Self {
        Self { inner, sequence: Sequence::Main, trace }
    }
}

impl std::fmt::Debug for TracedEngine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TracedEngine").field("model", &self.inner.identity().name).finish_non_exhaustive()
    }
}

impl Engine for TracedEngine {
    fn identity(&self) -> &ModelIdentity {
        self.inner.identity()
    }

    fn vocab(&self) -> &Arc<Vocab> {
        self.inner.vocab()
    }

    fn select(&mut self, sequence: Sequence) {
        self.sequence = sequence;
        self.inner.select(sequence);
    }

    fn context_window_tokens(&self) -> usize {
        self.inner.context_window_tokens()
    }

    fn tokenize_raw(&self, text: &str) -> Result<Vec<TokenId>, Error> {
        self.inner.tokenize_raw(text)
    }

    fn position_tokens(&self) -> usize {
        self.inner.position_tokens()
    }

    fn truncate(&mut self, position_tokens: usize) -> Result<(), Error> {
        self.inner.truncate(position_tokens)
    }

    fn can_cut(&self) -> bool {
        self.inner.can_cut()
    }

    fn draft_tokens(&self) -> Option<usize> {
        self.inner.draft_tokens()
    }

    fn read_for(&mut self, tokens: &[TokenId], rows: usize, cancel: &Cancel) -> Result<ReadReport, Error> {
        let at = self.inner.position_tokens();
        let report = self.inner.read_for(tokens, rows, cancel);
        let read = self.inner.position_tokens().saturating_sub(at);
        let tokens = tokens.get(..read).unwrap_or_default().to_vec();
        self.trace.lock().operations.push(Operation::Read { sequence: self.sequence, at, tokens });
        report
    }

    fn logits_behind(&mut self, back: usize) -> Result<&mut [f32], Error> {
        self.trace.lock().first_logits.get_or_insert_with(Instant::now);
        self.inner.logits_behind(back)
    }

    fn lanes(&self) -> usize {
        self.inner.lanes()
    }

    fn read_together(&mut self, parts: &[(Sequence, &[TokenId])]) -> Result<(), Error> {
        // Turns write one text at a time: nothing of this is recorded.
        self.inner.read_together(parts)
    }

    fn logits_of(&mut self, part: usize) -> Result<&mut [f32], Error> {
        self.inner.logits_of(part)
    }

    fn copy(&mut self, from: Sequence, to: Sequence, tokens: usize) -> Result<(), Error> {
        self.inner.copy(from, to, tokens)
    }

    fn state_key(&self) -> &str {
        self.inner.state_key()
    }

    fn state(&self) -> Result<Vec<u8>, Error> {
        self.inner.state()
    }

    fn restore(&mut self, state: &[u8], position_tokens: usize) -> Result<(), Error> {
        self.inner.restore(state, position_tokens)?;
        self.trace.lock().operations.push(Operation::Restored { sequence: self.sequence, tokens: position_tokens });
        Ok(())
    }
}

/// What sequences have held so far.
#[derive(Debug, Default)]
pub struct Known {
    /// By [`Sequence::index`]: what is in the cache.
    cached: [Vec<TokenId>; Sequence::COUNT],
    /// The same for what was in it earlier and is cut off now.
    earlier: [Vec<Vec<TokenId>>; Sequence::COUNT],
}

impl Known {
    /// How many of `tokens`, which stand behind the first `at` tokens of the sequence, an earlier prompt of it has held
    /// there already: they need not have been read. From now on all of them count as held.
    pub fn take(&mut self, sequence: Sequence, at: usize, tokens: &[TokenId]) -> usize {
        let (Some(cached), Some(earlier)) =
            (self.cached.get_mut(sequence.index()), self.earlier.get_mut(sequence.index()))
        else {
            return 0;
        };
        if at < cached.len() {
            let begins_so = |other: &Vec<TokenId>| other.starts_with(cached);
            if !earlier.iter().any(begins_so) {
                earlier.push(cached.clone());
            }
            cached.truncate(at);
        }
        cached.extend_from_slice(tokens);
        let common = |other: &Vec<TokenId>| cached.iter().zip(other).take_while(|(one, two)| one == two).count();
        earlier.iter().map(common).max().unwrap_or_default().saturating_sub(at).min(tokens.len())
    }

    /// The first `tokens` tokens of what the sequence held, which a saved state has brought back.
    pub fn restored(&mut self, sequence: Sequence, tokens: usize) -> Vec<TokenId> {
        let cached = self.cached.get(sequence.index()).cloned().unwrap_or_default();
        let back = cached.get(..tokens.min(cached.len())).unwrap_or_default().to_vec();
        // What stood behind them is cut off.
        self.take(sequence, back.len(), &[]);
        back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u32]) -> Vec<TokenId> {
        ids.iter().copied().map(TokenId).collect()
    }

    #[test]
    fn what_an_earlier_prompt_of_the_sequence_held_need_not_be_read() {
        let mut known = Known::default();
        assert_eq!(known.take(Sequence::Main, 0, &ids(&[1, 2, 3, 4])), 0);
        assert_eq!(known.take(Sequence::Main, 4, &ids(&[5])), 0);
        // The cache was cut behind 2: 3 and 4 were held there, 9 was not.
        assert_eq!(known.take(Sequence::Main, 2, &ids(&[3, 4, 9])), 2);
        // Back to the first prompt, which was held to its end.
        assert_eq!(known.take(Sequence::Main, 3, &ids(&[4, 5, 6])), 2);
        // Another sequence knows nothing of it.
        assert_eq!(known.take(Sequence::Side, 0, &ids(&[1, 2])), 0);
    }
}
