//! The decode loop: what is forced is taken without asking the model, the rest is sampled, checked and committed.
//!
//! Jump-forward works on bytes: the text that the constraint forces is tokenised by the model's own tokenizer, and a
//! tail that a longer legal token could span is left to the model, so that the tokens stay as the model would have
//! written them. Forced tokens are read
//! together with the token sampled before them, and so is a draft of what may come next ([`super::draft`]), where the engine
//! says that drafts pay. The last tokens of a generation may remain unread: they are read when
//! the next prompt contains them.

use std::time::{Duration, Instant};

use super::draft::{Patience, draft};
use super::{Error, MAX_ROWS, Sampled, Sampler, Session, TokenKind, Vocab, tokenize_text};
use crate::types::{Cancel, Constraint, ConstraintError, TokenId};

/// How many tokens at the end of forced text are looked at for a longer token that could span its end.
const TAIL_TOKENS: usize = 4;
/// Longer tokens put to the constraint before a tail is given up; one check takes about a microsecond.
const MAX_TAIL_CHECKS: usize = 256;

/// A generation is stuck when its end is one piece this many times in a row ..
const STUCK_COPIES: usize = 5;
/// .. and the copies have at least so many tokens together, so that a board or a matrix can be drawn ..
const STUCK_TOKENS: usize = 80;
/// .. while the piece has at most so many.
const STUCK_PIECE_TOKENS: usize = 64;

/// Limits and switches of one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerateOptions {
    /// Most tokens to generate, forced ones included.
    pub max_tokens: usize,
    /// Whether forced text is taken without a forward pass of its own.
    pub jump_forward: bool,
    /// Whether a model that writes the same again and again is stopped, as small ones need.
    pub stop_stuck: bool,
    /// Whether drafts are read where the engine says that they pay.
    pub drafts: bool,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self { max_tokens: 1024, jump_forward: true, stop_stuck: false, drafts: true }
    }
}

/// Why a generation stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopCause {
    /// The model chose an end-of-generation token.
    End,
    /// The constraint is complete and nothing can follow.
    Complete,
    /// `max_tokens` was reached.
    MaxTokens,
    /// The context window is full.
    WindowFull,
    /// It was cancelled.
    Cancelled,
    /// The same piece was written again and again.
    Stuck,
}

impl StopCause {
    /// Whether the text is whole, as against cut off.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::End | Self::Complete)
    }
}

/// What a generation cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GenerateStats {
    /// Tokens of the prompt that were read; 0 where it had been prepared.
    pub prompt_tokens_read: u64,
    /// Tokens that the model chose.
    pub tokens_sampled: u64,
    /// Tokens that the constraint forced.
    pub tokens_forced: u64,
    /// Tokens that drafts proposed.
    pub tokens_drafted: u64,
    /// Those of them that came.
    pub tokens_accepted: u64,
    /// Forward passes.
    pub forward_passes: u64,
    /// Time of the whole loop in milliseconds.
    pub decode_ms: u64,
    /// Time inside the constraint in microseconds.
    pub mask_us: u64,
}

/// What was generated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// The tokens, without the one that ended it.
    pub tokens: Vec<TokenId>,
    /// Why it stopped.
    pub stop: StopCause,
    /// What it cost.
    pub stats: GenerateStats,
}

/// Generates behind the prompt that `session` has prepared. `on_token` sees each token at once, with its bytes (none
/// for control tokens).
///
/// # Errors
/// [`Error::NoLogits`] without a prepared prompt; [`Error::NothingAllowed`] and failures of constraint and engine. The
/// constraint is never lifted; tokens given to `on_token` before the error were valid.
pub fn generate(
    session: &mut Session,
    constraint: &mut dyn Constraint,
    sampler: &mut Sampler,
    options: &GenerateOptions,
    cancel: &Cancel,
    on_token: &mut dyn FnMut(TokenId, &[u8]),
) -> Result<Generation, Error> {
    let started = Instant::now();
    let vocab = std::sync::Arc::clone(session.vocab());
    let mut run = Run::new(session.cached().len(), constraint, &vocab, on_token);
    if options.drafts {
        run.patience = Patience::new(session.draft_tokens().min(MAX_ROWS - 1));
    }
    let stop = run.finish(session, sampler, options, cancel);
    // Nothing that was only guessed stays in the cache, whatever happened.
    let held = run.prompt_tokens + run.read;
    let stop = session.cut_to(held).and(stop)?;
    let generation = run.into_generation(stop);
    let decode_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Generation { stats: GenerateStats { decode_ms, ..generation.stats }, ..generation })
}

/// A generation under way.
pub(super) struct Run<'a> {
    constraint: Timed<'a>,
    vocab: &'a Vocab,
    /// Tokens of the cache when the generation began.
    prompt_tokens: usize,
    tokens: Vec<TokenId>,
    /// How many of `tokens` the engine has read. What is in its cache behind them is a draft.
    read: usize,
    patience: Patience,
    /// Tokens of the draft in the cache, and how many of them have come.
    draft: (usize, usize),
    stats: GenerateStats,
    on_token: &'a mut dyn FnMut(TokenId, &[u8]),
}

impl<'a> Run<'a> {
    /// Behind a prompt of so many tokens, without drafts.
    pub(super) fn new(
        prompt_tokens: usize,
        constraint: &'a mut dyn Constraint,
        vocab: &'a Vocab,
        on_token: &'a mut dyn FnMut(TokenId, &[u8]),
    ) -> Self {
        Self {
            constraint: Timed { inner: constraint, spent: Duration::ZERO },
            vocab,
            prompt_tokens,
            tokens: Vec::new(),
            read: 0,
            patience: Patience::new(0),
            draft: (0, 0),
            stats: GenerateStats::default(),
            on_token,
        }
    }

    /// What it has come to, without the time of the whole.
    pub(super) fn into_generation(self, stop: StopCause) -> Generation {
        let mask_us = u64::try_from(self.constraint.spent.as_micros()).unwrap_or(u64::MAX);
        Generation { tokens: self.tokens, stop, stats: GenerateStats { mask_us, ..self.stats } }
    }

    fn finish(
        &mut self,
        session: &mut Session,
        sampler: &mut Sampler,
        options: &GenerateOptions,
        cancel: &Cancel,
    ) -> Result<StopCause, Error> {
        loop {
            if let Some(stop) = self.advance(session, sampler, options, cancel)? {
                return Ok(stop);
            }
            if self.unread() > 0 && !self.read_on(session, options, cancel)? {
                return Ok(StopCause::Cancelled);
            }
            let chosen =
                sampler.sample(session.logits_behind(self.ahead(session))?, self.vocab, &mut self.constraint)?;
            if let Some(stop) = self.take_chosen(chosen, session, sampler)? {
                return Ok(stop);
            }
        }
    }

    /// Takes all that needs no logits; gives back why the generation stops, if it does.
    pub(super) fn advance(
        &mut self,
        session: &mut Session,
        sampler: &mut Sampler,
        options: &GenerateOptions,
        cancel: &Cancel,
    ) -> Result<Option<StopCause>, Error> {
        loop {
            if cancel.is_raised() {
                return Ok(Some(StopCause::Cancelled));
            }
            if self.constraint.must_end() {
                return Ok(Some(StopCause::Complete));
            }
            if self.tokens.len() >= options.max_tokens {
                return Ok(Some(StopCause::MaxTokens));
            }
            if options.stop_stuck && is_stuck(&self.tokens) {
                return Ok(Some(StopCause::Stuck));
            }
            if self.unread() >= self.room(session) {
                return Ok(Some(StopCause::WindowFull));
            }
            let room = (options.max_tokens - self.tokens.len()).min(self.room(session) - self.unread());
            if !options.jump_forward || !self.jump(session, sampler, room)? {
                return Ok(None);
            }
        }
    }

    /// What the engine has not read yet.
    pub(super) fn unread_tokens(&self) -> &[TokenId] {
        self.tokens.get(self.read..).unwrap_or_default()
    }

    /// All of [`Self::unread_tokens`] was read as this part of a pass: chooses what comes next. Gives back why the generation stops, if
    /// it does.
    pub(super) fn choose(
        &mut self,
        session: &mut Session,
        part: usize,
        sampler: &mut Sampler,
    ) -> Result<Option<StopCause>, Error> {
        self.read = self.tokens.len();
        self.stats.forward_passes += 1;
        let chosen = sampler.sample(session.logits_of(part)?, self.vocab, &mut self.constraint)?;
        self.take_chosen(chosen, session, sampler)
    }

    fn take_chosen(
        &mut self,
        chosen: Sampled,
        session: &mut Session,
        sampler: &mut Sampler,
    ) -> Result<Option<StopCause>, Error> {
        let Sampled::Token(token) = chosen else { return Ok(Some(StopCause::End)) };
        self.take(session, token, sampler)?;
        self.stats.tokens_sampled += 1;
        Ok(None)
    }

    /// How many of the last tokens the engine has not read.
    const fn unread(&self) -> usize {
        self.tokens.len() - self.read
    }

    /// Tokens of a draft that are in the cache behind what was read.
    fn ahead(&self, session: &Session) -> usize {
        session.cached().len().saturating_sub(self.prompt_tokens + self.read)
    }

    /// Tokens for which there is room behind what was read.
    fn room(&self, session: &Session) -> usize {
        session.room_tokens() + self.ahead(session)
    }

    /// Reads what is not read yet, and a draft of what may follow; false where it was cancelled.
    fn read_on(&mut self, session: &mut Session, options: &GenerateOptions, cancel: &Cancel) -> Result<bool, Error> {
        let unread = self.unread();
        let left = (options.max_tokens - self.tokens.len()).min(session.room_tokens().saturating_sub(unread));
        let most = if unread < MAX_ROWS { self.patience.take().min(left) } else { 0 };
        let mut batch = self.tokens[self.read..].to_vec();
        let mut drafted = 0;
        if most > 0 {
            let mut all = session.cached().to_vec();
            all.extend_from_slice(&batch);
            let proposed = draft(&all, most);
            drafted = proposed.len();
            batch.extend_from_slice(proposed);
        }
        let report = session.append_for(&batch, drafted + 1, cancel)?;
        self.stats.forward_passes += report.forward_passes;
        self.read += report.tokens_read.min(unread);
        if self.unread() > 0 {
            return Ok(false);
        }
        self.stats.tokens_drafted += drafted as u64;
        self.draft = (drafted, 0);
        Ok(true)
    }

    /// Commits `token` and shows it.
    fn take(&mut self, session: &mut Session, token: TokenId, sampler: &mut Sampler) -> Result<(), Error> {
        self.constraint.commit(token)?;
        sampler.accept(token);
        if self.ahead(session) > 0 {
            let place = self.prompt_tokens + self.read;
            let comes_true = session.cached().get(place) == Some(&token);
            let (drafted, accepted) = &mut self.draft;
            if comes_true {
                self.read += 1;
                self.stats.tokens_accepted += 1;
                *accepted += 1;
            } else {
                session.cut_to(place)?;
            }
            if !comes_true || accepted == drafted {
                self.patience.learn(*drafted, *accepted);
            }
        }
        self.tokens.push(token);
        let is_text = self.vocab.kind(token) == TokenKind::Text;
        (self.on_token)(token, if is_text { self.vocab.bytes(token) } else { &[] });
        Ok(())
    }

    /// Takes what the constraint forces, at most `room` tokens; false where there is nothing to take.
    fn jump(&mut self, session: &mut Session, sampler: &mut Sampler, room: usize) -> Result<bool, Error> {
        if let Some(token) = self.constraint.forced_token() {
            // Refused means that matcher and vocabulary disagree: the sampler will then fail closed.
            if !self.constraint.allows(token)? {
                return Ok(false);
            }
            self.take(session, token, sampler)?;
            self.stats.tokens_forced += 1;
            return Ok(true);
        }
        let bytes = self.constraint.forced_bytes();
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            // Forced text can end inside a character.
            Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
        };
        if text.is_empty() {
            return Ok(false);
        }
        let forced = tokenize_text(session.engine(), text)?;
        let mut taken = false;
        for (place, token) in forced.iter().enumerate().take(room) {
            let ends_text = text.len() == bytes.len();
            if forced.len() - place <= TAIL_TOKENS && (!ends_text || self.could_be_spanned(&forced[place..])?) {
                break;
            }
            if !self.constraint.allows(*token)? {
                break;
            }
            self.take(session, *token, sampler)?;
            self.stats.tokens_forced += 1;
            taken = true;
        }
        Ok(taken)
    }

    /// Whether a legal token begins with the bytes of all of `tail` and goes on behind them.
    fn could_be_spanned(&mut self, tail: &[TokenId]) -> Result<bool, Error> {
        let bytes: Vec<u8> = tail.iter().flat_map(|token| self.vocab.bytes(*token)).copied().collect();
        let family = self.vocab.text_tokens_with_prefix(&bytes);
        if family.len() > MAX_TAIL_CHECKS {
            return Ok(true);
        }
        for token in family {
            if self.vocab.bytes(*token).len() > bytes.len() && self.constraint.allows(*token)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether `tokens` end in one piece that is repeated beyond what texts need.
fn is_stuck(tokens: &[TokenId]) -> bool {
    (1..=STUCK_PIECE_TOKENS).any(|piece| {
        let Some(start) = tokens.len().checked_sub((piece * STUCK_COPIES).max(STUCK_TOKENS)) else { return false };
        let copies = &tokens[start..];
        copies.iter().rev().zip(copies.iter().rev().skip(piece)).all(|(one, before)| one == before)
    })
}

/// A constraint with a clock.
struct Timed<'a> {
    inner: &'a mut dyn Constraint,
    spent: Duration,
}

impl Timed<'_> {
    fn time<T>(&mut self, work: impl FnOnce(&mut dyn Constraint) -> T) -> T {
        let started = Instant::now();
        let outcome = work(self.inner);
        self.spent += started.elapsed();
        outcome
    }
}

impl Constraint for Timed<'_> {
    fn allows(&mut self, token: TokenId) -> Result<bool, ConstraintError> {
        self.time(|inner| inner.allows(token))
    }

    fn commit(&mut self, token: TokenId) -> Result<(), ConstraintError> {
        self.time(|inner| inner.commit(token))
    }

    fn may_end(&self) -> bool {
        self.inner.may_end()
    }

    fn must_end(&self) -> bool {
        self.inner.must_end()
    }

    fn forced_bytes(&mut self) -> Vec<u8> {
        self.time(|inner| inner.forced_bytes())
    }

    fn forced_token(&mut self) -> Option<TokenId> {
        self.time(|inner| inner.forced_token())
    }

    fn allowed_tokens(&mut self, allowed: &mut Vec<TokenId>) -> Result<(), ConstraintError> {
        self.time(|inner| inner.allowed_tokens(allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(ids: impl IntoIterator<Item = u32>) -> Vec<TokenId> {
        ids.into_iter().map(TokenId).collect()
    }

    #[test]
    fn a_piece_that_is_written_again_and_again_is_noticed() {
        for piece in [1, 7, 20, 64_u32] {
            let copies = 5.max(80_u32.div_ceil(piece));
            let repeated = tokens([900, 901].into_iter().chain((0..copies * piece).map(|place| place % piece)));
            assert!(is_stuck(&repeated), "{piece}");
            assert!(!is_stuck(&repeated[..repeated.len() - piece as usize]), "{piece}: one copy less");
            let mut going_on = repeated;
            going_on.push(TokenId(950));
            assert!(!is_stuck(&going_on), "{piece}: it has gone on to something else");
        }
    }

    #[test]
    fn what_repeats_within_reason_is_left_alone() {
        // Rows of a board, a refrain between verses, a list that counts on.
        assert!(!is_stuck(&tokens((0..76).map(|place| place % 19))));
        assert!(!is_stuck(&tokens((0..600).map(|place| if place % 60 < 40 { place % 60 } else { place }))));
        assert!(!is_stuck(&tokens((0..400).map(|place| if place % 8 == 0 { place } else { place % 8 }))));
        assert!(!is_stuck(&[]));
    }
}
