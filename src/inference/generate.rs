//! The decode loop: what is forced is taken without asking the model, the rest is sampled, checked and committed.
//!
//! Jump-forward works on bytes: the text that the constraint forces is tokenised by the model's own tokenizer, and a
//! tail that a longer legal token could span is left to the model, so that the tokens stay as the model would have
//! written them. Forced tokens are read
//! together with the token sampled before them. The last tokens of a generation may remain unread: they are read when
//! the next prompt contains them.

use std::time::{Duration, Instant};

use super::{Error, Sampled, Sampler, Session, TokenKind, Vocab, tokenize_text};
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
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self { max_tokens: 1024, jump_forward: true, stop_stuck: false }
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
    /// Tokens that the model chose.
    pub tokens_sampled: u64,
    /// Tokens that the constraint forced.
    pub tokens_forced: u64,
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
    let mut run = Run {
        constraint: Timed { inner: constraint, spent: Duration::ZERO },
        vocab: &vocab,
        tokens: Vec::new(),
        unread: 0,
        stats: GenerateStats::default(),
        on_token,
    };
    let stop = run.finish(session, sampler, options, cancel)?;
    let mut stats = run.stats;
    stats.decode_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    stats.mask_us = u64::try_from(run.constraint.spent.as_micros()).unwrap_or(u64::MAX);
    Ok(Generation { tokens: run.tokens, stop, stats })
}

struct Run<'a> {
    constraint: Timed<'a>,
    vocab: &'a Vocab,
    tokens: Vec<TokenId>,
    /// How many of the last `tokens` the engine has not read.
    unread: usize,
    stats: GenerateStats,
    on_token: &'a mut dyn FnMut(TokenId, &[u8]),
}

impl Run<'_> {
    fn finish(
        &mut self,
        session: &mut Session,
        sampler: &mut Sampler,
        options: &GenerateOptions,
        cancel: &Cancel,
    ) -> Result<StopCause, Error> {
        loop {
            if cancel.is_raised() {
                return Ok(StopCause::Cancelled);
            }
            if self.constraint.must_end() {
                return Ok(StopCause::Complete);
            }
            if self.tokens.len() >= options.max_tokens {
                return Ok(StopCause::MaxTokens);
            }
            if options.stop_stuck && is_stuck(&self.tokens) {
                return Ok(StopCause::Stuck);
            }
            if self.unread >= session.room_tokens() {
                return Ok(StopCause::WindowFull);
            }
            if options.jump_forward {
                let room = (options.max_tokens - self.tokens.len()).min(session.room_tokens() - self.unread);
                if self.jump(session, sampler, room)? {
                    continue;
                }
            }
            if self.unread > 0 {
                let start = self.tokens.len() - self.unread;
                let report = session.append(&self.tokens[start..], cancel)?;
                self.stats.forward_passes += report.forward_passes;
                self.unread -= report.tokens_read;
                if self.unread > 0 {
                    return Ok(StopCause::Cancelled);
                }
            }
            match sampler.sample(session.logits()?, self.vocab, &mut self.constraint)? {
                Sampled::End => return Ok(StopCause::End),
                Sampled::Token(token) => {
                    self.take(token, sampler)?;
                    self.stats.tokens_sampled += 1;
                }
            }
        }
    }

    /// Commits `token` and shows it.
    fn take(&mut self, token: TokenId, sampler: &mut Sampler) -> Result<(), Error> {
        self.constraint.commit(token)?;
        sampler.accept(token);
        self.tokens.push(token);
        self.unread += 1;
        let is_text = self.vocab.kind(token) == TokenKind::Text;
        (self.on_token)(token, if is_text { self.vocab.bytes(token) } else { &[] });
        Ok(())
    }

    /// Takes what the constraint forces, at most `room` tokens; false where there is nothing to take.
    fn jump(&mut self, session: &Session, sampler: &mut Sampler, room: usize) -> Result<bool, Error> {
        if let Some(token) = self.constraint.forced_token() {
            // Refused means that matcher and vocabulary disagree: the sampler will then fail closed.
            if !self.constraint.allows(token)? {
                return Ok(false);
            }
            self.take(token, sampler)?;
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
            self.take(*token, sampler)?;
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
