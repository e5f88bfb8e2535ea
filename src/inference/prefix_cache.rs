//! Reuse of what the model has read: the longest common prefix of a new prompt with the KV cache is kept, the rest is
//! cut and read.
//!
//! Not responsible for the order of a prompt's parts, which decides how long that prefix is (DESIGN D4).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::draft::{MEASURED, paying};
use super::pace::{LONGEST, Pace};
use super::state_store::Kept;
use super::{Engine, Error, Sequence, StateStore, Vocab};
use crate::types::{Cancel, TokenId};

/// A part of so few tokens is read as fast as its state would be.
const LEAST_FIXED_TOKENS: usize = 64;

/// What preparing a prompt cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PrefixReport {
    /// Tokens of the prompt that were in the cache already.
    pub tokens_reused: usize,
    /// Tokens that were read.
    pub tokens_read: usize,
    /// Forward passes this took.
    pub forward_passes: u64,
    /// Time for cutting and reading, in milliseconds.
    pub read_ms: u64,
    /// Whether the whole prompt is read; false only when cancelled. What was read stays for the next time.
    pub complete: bool,
}

/// What a saved state has brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Tokens that are in the cache again.
    pub tokens: usize,
    /// What was noted with them.
    pub note: String,
    /// Time for reading the file, verifying it and restoring, in milliseconds.
    pub ms: u64,
}

/// An engine between two sessions, with the tokens that are in its cache.
pub struct Warm {
    engine: Box<dyn Engine>,
    /// By [`Sequence::index`]; none where it is not known what is in the cache.
    cached: Option<[Vec<TokenId>; Sequence::COUNT]>,
}

impl From<Box<dyn Engine>> for Warm {
    fn from(engine: Box<dyn Engine>) -> Self {
        Self { engine, cached: None }
    }
}

impl std::fmt::Debug for Warm {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Warm").field("model", &self.engine.identity().name).finish_non_exhaustive()
    }
}

impl Warm {
    /// The engine, for its properties.
    #[must_use]
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// The same engine for a session that is to read everything anew, as after a start of the program.
    #[must_use]
    pub fn cold(self) -> Self {
        Self { cached: None, ..self }
    }
}

/// An engine together with the tokens in its cache.
pub struct Session {
    engine: Box<dyn Engine>,
    sequence: Sequence,
    /// By [`Sequence::index`].
    cached: [Vec<TokenId>; Sequence::COUNT],
    /// Logits of the last cached token, kept beside the engine, whose own are gone.
    put_back: Option<Vec<f32>>,
    states: Option<StateStore>,
    /// Most tokens of a draft that pay, once that was measured.
    measured_draft_tokens: Option<usize>,
    pace: Pace,
    /// Whether passes are kept short.
    is_paced: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Session")
            .field("model", &self.engine.identity().name)
            .field("cached_tokens", &self.cached().len())
            .finish()
    }
}

impl Session {
    /// Takes an engine and empties its cache.
    ///
    /// # Errors
    /// The cache could not be emptied.
    pub fn new(engine: Box<dyn Engine>) -> Result<Self, Error> {
        Self::resume(engine.into())
    }

    /// Takes an engine with what an earlier session has left in its cache; where that is not known, it is emptied.
    ///
    /// # Errors
    /// The cache could not be emptied.
    pub fn resume(Warm { mut engine, cached }: Warm) -> Result<Self, Error> {
        let mut cached = cached.unwrap_or_default();
        // The conversation last: it is the one that stays selected.
        for sequence in Sequence::ALL.into_iter().rev() {
            engine.select(sequence);
            let known = &mut cached[sequence.index()];
            if engine.position_tokens() != known.len() {
                engine.truncate(0)?;
                known.clear();
            }
        }
        Ok(Self {
            engine,
            sequence: Sequence::Main,
            cached,
            put_back: None,
            states: None,
            measured_draft_tokens: None,
            pace: Pace::default(),
            is_paced: false,
        })
    }

    /// The same session, with states of its cache saved in `states`; see [`Session::prepare_fixed`].
    #[must_use]
    pub fn with_states(self, states: StateStore) -> Self {
        Self { states: Some(states), ..self }
    }

    /// The engine, for tokenising and its properties.
    #[must_use]
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Selects the sequence that all else is about; [`Sequence::Main`] at first.
    pub fn select(&mut self, sequence: Sequence) {
        if sequence != self.sequence {
            self.sequence = sequence;
            self.put_back = None;
            self.engine.select(sequence);
        }
    }

    /// The sequence that is selected.
    #[must_use]
    pub const fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Most tokens of a draft; 0 where drafts are not wanted, do not pay, or it was not measured yet.
    pub(super) fn draft_tokens(&self) -> usize {
        self.engine.draft_tokens().or(self.measured_draft_tokens).unwrap_or(0)
    }

    /// Measures whether drafts pay with this model on this machine, by passes behind what is cached, which are cut off again.
    /// Does nothing where the settings say it, or where it was measured.
    ///
    /// # Errors
    /// Failures of the engine.
    pub fn measure_drafts(&mut self, cancel: &Cancel) -> Result<(), Error> {
        let (most, cached) = (MEASURED.into_iter().max().unwrap_or_default(), self.cached().len());
        let Some(last) = self.cached().last().copied() else { return Ok(()) };
        if self.engine.draft_tokens().or(self.measured_draft_tokens).is_some() || self.room_tokens() < most {
            return Ok(());
        }
        let mut times = [Duration::MAX; MEASURED.len()];
        // Whatever is done first is slow: the least counts.
        for place in (0..MEASURED.len()).chain(0..MEASURED.len()) {
            let size = MEASURED[place];
            // Somebody may come in meanwhile, and a pass cannot be stopped.
            let known =
                MEASURED.into_iter().zip(times).rfind(|(smaller, time)| *smaller < size && *time != Duration::MAX);
            if known.is_some_and(|(smaller, time)| time.mul_f64(size as f64 / smaller as f64) > LONGEST) {
                continue;
            }
            let started = Instant::now();
            let read = self.read(&vec![last; size], size, cancel)?;
            let spent = started.elapsed();
            self.cut(cached)?;
            if read.tokens_read < size {
                return Ok(());
            }
            times[place] = spent.min(times[place]);
        }
        self.measured_draft_tokens = Some(paying(times));
        tracing::info!(?times, draft_tokens = self.measured_draft_tokens, "measured what drafts bring");
        Ok(())
    }

    /// Whether passes are kept short from now on, so that what is read can give way within a fifth of a second. That
    /// costs up to half as much again.
    pub const fn give_way(&mut self, is_paced: bool) {
        self.is_paced = is_paced;
    }

    /// The vocabulary.
    #[must_use]
    pub fn vocab(&self) -> &Arc<Vocab> {
        self.engine.vocab()
    }

    /// The tokens of the selected sequence in the cache.
    #[must_use]
    pub fn cached(&self) -> &[TokenId] {
        &self.cached[self.sequence.index()]
    }

    fn cached_mut(&mut self) -> &mut Vec<TokenId> {
        &mut self.cached[self.sequence.index()]
    }

    /// Tokens for which there is room behind what is cached.
    #[must_use]
    pub fn room_tokens(&self) -> usize {
        self.engine.context_window_tokens().saturating_sub(self.cached().len())
    }

    /// Makes the cache hold exactly `prompt`, with logits of its last token at hand. At least the last token is read
    /// again, since a cut cache has no logits.
    ///
    /// # Errors
    /// [`Error::ContextOverflow`] before anything is changed; failures of the engine, after which the session can be
    /// used on.
    pub fn prepare(&mut self, prompt: &[TokenId], cancel: &Cancel) -> Result<PrefixReport, Error> {
        let started = Instant::now();
        self.engine.require_window(prompt.len())?;
        let common = self.cached().iter().zip(prompt).take_while(|(cached, wanted)| cached == wanted).count();
        let keep = self.cut(common.min(prompt.len().saturating_sub(1)))?;
        let read = self.append(&prompt[keep..], cancel)?;
        Ok(PrefixReport {
            tokens_reused: keep,
            tokens_read: read.tokens_read,
            forward_passes: read.forward_passes,
            read_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            complete: keep + read.tokens_read == prompt.len(),
        })
    }

    /// Sees to it that the cache begins with the first `fixed` tokens of `prompt`, the part that is the same at every start:
    /// from its saved state where there is one, else by reading it, whereupon its state is saved. Does nothing where states
    /// are not saved, the cache begins so already and will keep it when `prompt` is read, or the part is short.
    ///
    /// # Errors
    /// As [`Session::prepare`]. What concerns the saved state is none: then the part is read.
    pub fn prepare_fixed(&mut self, prompt: &[TokenId], fixed: usize, cancel: &Cancel) -> Result<PrefixReport, Error> {
        let started = Instant::now();
        let fixed = prompt.get(..fixed).unwrap_or_default();
        let done = |report: PrefixReport| PrefixReport { complete: true, ..report };
        let Some(states) = self.states.as_ref().filter(|_| fixed.len() >= LEAST_FIXED_TOKENS) else {
            return Ok(done(PrefixReport::default()));
        };
        let keeps_it = self.engine.can_cut() || prompt.starts_with(self.cached());
        if self.cached().starts_with(fixed) && keeps_it {
            return Ok(done(PrefixReport::default()));
        }
        if let Some(state) = states.load(self.engine.state_key(), Kept::Tokens(fixed)) {
            self.cut(0)?;
            match self.engine.restore(state.bytes(), fixed.len()) {
                Ok(()) => {
                    self.cached_mut().extend_from_slice(fixed);
                    let read_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                    return Ok(done(PrefixReport { read_ms, ..PrefixReport::default() }));
                }
                Err(error) => {
                    tracing::warn!(%error, "a saved state was refused");
                    if let Some(states) = &self.states {
                        states.forget(self.engine.state_key(), Kept::Tokens(fixed));
                    }
                }
            }
        }
        let report = self.prepare(fixed, cancel)?;
        if report.complete {
            match (self.engine.state(), &mut self.states) {
                (Ok(state), Some(states)) => {
                    states.save(self.engine.state_key(), Kept::Tokens(fixed), fixed, "", state);
                }
                (Err(error), _) => tracing::warn!(%error, "a state cannot be saved"),
                (Ok(_), None) => {}
            }
        }
        Ok(report)
    }

    /// Brings back the state that [`Session::save_last`] has kept under `name`, with its tokens in the cache: what the
    /// next prompt shares with them need not be read. None where there is none or something is in the cache already.
    pub fn restore_last(&mut self, name: &str) -> Option<Restored> {
        let started = Instant::now();
        let states = self.states.as_ref().filter(|_| self.cached().is_empty())?;
        let state = states.load(self.engine.state_key(), Kept::Last(name))?;
        if let Err(error) = self.engine.require_window(state.tokens.len()) {
            // Saved with a larger window, with which it may be wanted again.
            tracing::info!(%error, "a saved state does not fit");
            return None;
        }
        if let Err(error) = self.engine.restore(state.bytes(), state.tokens.len()) {
            tracing::warn!(%error, "a saved state was refused");
            states.forget(self.engine.state_key(), Kept::Last(name));
            return None;
        }
        self.cached_mut().clone_from(&state.tokens);
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Some(Restored { tokens: state.tokens.len(), note: state.note, ms })
    }

    /// Keeps the state of the selected sequence under `name` with a note, written by a thread of its own. Does nothing
    /// where states are not saved or the sequence is short.
    pub fn save_last(&mut self, name: &str, note: &str) {
        let tokens = &self.cached[self.sequence.index()];
        let Some(states) = self.states.as_mut().filter(|_| tokens.len() > LEAST_FIXED_TOKENS) else { return };
        match self.engine.state() {
            Ok(state) => states.save(self.engine.state_key(), Kept::Last(name), tokens, note, state),
            Err(error) => tracing::warn!(%error, "a state cannot be saved"),
        }
    }

    /// Empties the cache of every sequence and deletes the saved states: nothing of an earlier prompt is left. Gives back
    /// how many states there were.
    ///
    /// # Errors
    /// The engine failed, or a state cannot be deleted.
    pub fn forget(&mut self) -> Result<usize, Error> {
        let selected = self.sequence;
        for sequence in Sequence::ALL {
            self.select(sequence);
            self.cut(0)?;
        }
        self.select(selected);
        let Some(states) = &mut self.states else { return Ok(0) };
        let folder = states.folder().to_owned();
        states.clear().map_err(|source| Error::Unreadable { path: folder, source })
    }

    /// The engine, with whatever is in its cache.
    #[must_use]
    pub fn into_engine(self) -> Box<dyn Engine> {
        self.engine
    }

    /// The engine, for a session that goes on with what is in its cache.
    #[must_use]
    pub fn into_warm(self) -> Warm {
        Warm { engine: self.engine, cached: Some(self.cached) }
    }

    /// Reads `tokens` behind what is cached.
    ///
    /// # Errors
    /// [`Error::ContextOverflow`] before anything is read; failures of the engine, after which the session can be used
    /// on.
    pub fn append(&mut self, tokens: &[TokenId], cancel: &Cancel) -> Result<super::ReadReport, Error> {
        self.append_for(tokens, 1, cancel)
    }

    /// As [`Session::append`], with logits behind each of the last `rows` tokens.
    ///
    /// # Errors
    /// As [`Session::append`].
    pub(super) fn append_for(
        &mut self,
        tokens: &[TokenId],
        rows: usize,
        cancel: &Cancel,
    ) -> Result<super::ReadReport, Error> {
        if !self.is_paced {
            return self.read(tokens, rows, cancel);
        }
        let mut report = super::ReadReport { tokens_read: 0, forward_passes: 0 };
        let mut rest = tokens;
        loop {
            let step = self.pace.tokens().max(rows);
            // The last pass gives all the logits.
            let now = if rest.len() > step { step.min(rest.len() - rows) } else { rest.len() };
            let started = Instant::now();
            let part = self.read(&rest[..now], rows, cancel)?;
            self.pace.learn(part.tokens_read, started.elapsed());
            report.tokens_read += part.tokens_read;
            report.forward_passes += part.forward_passes;
            rest = &rest[now..];
            if rest.is_empty() || part.tokens_read < now {
                return Ok(report);
            }
        }
    }

    fn read(&mut self, tokens: &[TokenId], rows: usize, cancel: &Cancel) -> Result<super::ReadReport, Error> {
        let before = self.cached().len();
        self.put_back = None;
        let outcome = self.engine.read_for(tokens, rows, cancel);
        // The engine's own count holds after a success, a cancelled read and a failure alike.
        let now = self.engine.position_tokens();
        let cached = self.cached_mut();
        cached.extend(tokens.iter().take(now.saturating_sub(before)));
        cached.truncate(now);
        outcome
    }

    /// Makes the cache of the selected sequence hold exactly `tokens`, without logits; gives back how many were read, none
    /// where it was cancelled.
    ///
    /// # Errors
    /// As [`Session::prepare`].
    pub(super) fn hold(&mut self, tokens: &[TokenId], cancel: &Cancel) -> Result<Option<usize>, Error> {
        self.engine.require_window(tokens.len())?;
        let common = self.cached().iter().zip(tokens).take_while(|(cached, wanted)| cached == wanted).count();
        let keep = self.cut(common)?;
        let read = self.append(&tokens[keep..], cancel)?;
        Ok((keep + read.tokens_read == tokens.len()).then_some(read.tokens_read))
    }

    /// Appends each of `parts` to its own sequence, all in one pass; see [`Engine::read_together`].
    ///
    /// # Errors
    /// As there.
    pub(super) fn append_together(&mut self, parts: &[(Sequence, &[TokenId])]) -> Result<(), Error> {
        self.put_back = None;
        self.engine.read_together(parts)?;
        for (sequence, tokens) in parts {
            self.cached[sequence.index()].extend_from_slice(tokens);
        }
        Ok(())
    }

    /// Logits behind a part of the last [`Session::append_together`].
    ///
    /// # Errors
    /// [`Error::NoLogits`] where there was none.
    pub(super) fn logits_of(&mut self, part: usize) -> Result<&mut [f32], Error> {
        self.engine.logits_of(part)
    }

    /// Makes the cache of the selected sequence begin with what `prompt` shares with that of `from`, without reading it.
    ///
    /// # Errors
    /// The engine cannot copy there.
    pub(super) fn share(&mut self, from: Sequence, prompt: &[TokenId]) -> Result<(), Error> {
        let common = |cached: &[TokenId]| cached.iter().zip(prompt).take_while(|(one, two)| one == two).count();
        let shared = common(&self.cached[from.index()]);
        if from == self.sequence || shared <= common(self.cached()) || !self.engine.can_cut() {
            return Ok(());
        }
        self.put_back = None;
        self.engine.copy(from, self.sequence, shared)?;
        prompt[..shared].clone_into(self.cached_mut());
        Ok(())
    }

    /// Logits behind the last cached token. Shape: `(vocab.len(),)`.
    ///
    /// # Errors
    /// [`Error::NoLogits`] where nothing was read since the last cut.
    pub fn logits(&mut self) -> Result<&mut [f32], Error> {
        self.logits_behind(0)
    }

    /// Logits behind the token that is so many in front of the last one.
    ///
    /// # Errors
    /// [`Error::NoLogits`] where they were not asked for.
    pub(super) fn logits_behind(&mut self, back: usize) -> Result<&mut [f32], Error> {
        match &mut self.put_back {
            Some(logits) if back == 0 => Ok(logits),
            _ => self.engine.logits_behind(back),
        }
    }

    /// Says that these are the logits behind the last cached token, whose own were lost by a cut.
    pub(super) fn put_back(&mut self, logits: Vec<f32>) {
        self.put_back = Some(logits);
    }

    /// Cuts what was only guessed: the cache holds at most its first `keep` tokens then.
    pub(super) fn cut_to(&mut self, keep: usize) -> Result<(), Error> {
        self.cut(keep.min(self.cached().len())).map(|_| ())
    }

    /// Cuts the cache to `keep` tokens, or to none where the engine cannot cut there (recurrent models); gives what
    /// is left.
    fn cut(&mut self, keep: usize) -> Result<usize, Error> {
        if keep == self.cached().len() {
            return Ok(keep);
        }
        self.put_back = None;
        let kept = match self.engine.truncate(keep) {
            Ok(()) => keep,
            Err(cause) => {
                tracing::debug!(%cause, keep, "the cache cannot be cut there: it is emptied");
                self.engine.truncate(0)?;
                0
            }
        };
        self.cached_mut().truncate(kept);
        Ok(kept)
    }
}
