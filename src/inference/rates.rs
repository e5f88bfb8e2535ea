//! Rates of an engine for `mneme bench engine`: the same tokens for each, greedy.

use std::time::Instant;

use serde::Serialize;

use super::{Engine, Error, GenerateOptions, MAX_ROWS, Sampler, SamplerOptions, Sequence, Session, generate};
use crate::types::{Cancel, Constraint, ConstraintError, TokenId};

/// What was measured of a loaded model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Reading a prompt, tokens/s.
    pub read_tokens_per_s: f64,
    /// Decoding, one token a pass, tokens/s.
    pub decode_tokens_per_s: f64,
    /// Time for loading, in milliseconds.
    pub load_ms: u64,
}

/// Tokens that are read; ids spread over the first part of any vocabulary.
pub(super) fn prompt(n_read: usize) -> impl ExactSizeIterator<Item = u32> {
    (0..n_read).map(|place| 300 + (u32::try_from(place % 7919).unwrap_or(0) * 31) % 20_000)
}

pub(super) fn rate(tokens: usize, started: Instant) -> f64 {
    // Precision lost beyond 2^53 tokens does not matter here.
    tokens as f64 / started.elapsed().as_secs_f64().max(1e-9)
}

pub(super) fn milliseconds(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Rates through engine, session, sampler and decode loop: `n_read` tokens, then `n_decode` tokens by the largest logit, in
/// the engine that `load` loads with the window that this takes. A short warm-up pass comes first; `at_end` is called while
/// the model is still loaded.
///
/// # Errors
/// The file cannot be loaded or a native call fails.
pub fn our_rates(
    load: &mut dyn FnMut(usize) -> Result<Box<dyn Engine>, Error>,
    n_read: usize,
    n_decode: usize,
    at_end: &mut dyn FnMut(),
) -> Result<Rates, Error> {
    let n_read = n_read.max(1);
    let started = Instant::now();
    let engine = load(n_read + n_decode + 16)?;
    let load_ms = milliseconds(started);
    let vocab_tokens = u32::try_from(engine.vocab().len()).unwrap_or(u32::MAX).max(1);
    let mut session = Session::new(engine)?;
    let tokens: Vec<TokenId> = prompt(n_read).map(|token| TokenId(token % vocab_tokens)).collect();
    let cancel = Cancel::new();
    session.prepare(&tokens[..n_read.min(16)], &cancel)?;
    session.prepare(&[], &cancel)?;
    let started = Instant::now();
    session.prepare(&tokens, &cancel)?;
    let read_tokens_per_s = rate(n_read, started);
    let started = Instant::now();
    let limits = GenerateOptions { max_tokens: n_decode, jump_forward: false, stop_stuck: false, drafts: false };
    let mut sampler = Sampler::new(SamplerOptions::default());
    let generation = generate(&mut session, &mut Anything, &mut sampler, &limits, &cancel, &mut |_, _| {})?;
    let decode_tokens_per_s = rate(generation.tokens.len(), started);
    at_end();
    Ok(Rates { read_tokens_per_s, decode_tokens_per_s, load_ms })
}

/// What passes of so many tokens take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PassCost {
    /// Tokens of the pass.
    pub tokens: usize,
    /// Milliseconds where they follow each other in one sequence, with logits behind the last alone: a prompt.
    pub of_a_prompt_ms: f64,
    /// Milliseconds where they follow each other in one sequence, with logits behind each: a draft that is checked. None for
    /// more than an engine gives.
    pub of_one_sequence_ms: Option<f64>,
    /// Milliseconds where each is of a sequence of its own: several texts that are written together. None for more than the
    /// engine has lanes.
    pub of_sequences_ms: Option<f64>,
}

/// What passes of `sizes` tokens take behind `depth` tokens, the least of `rounds` times each.
///
/// # Errors
/// A native call fails, or the window is too small.
pub fn pass_costs(
    engine: &mut dyn Engine,
    depth: usize,
    sizes: &[usize],
    rounds: usize,
) -> Result<Vec<PassCost>, Error> {
    let vocab_tokens = u32::try_from(engine.vocab().len()).unwrap_or(u32::MAX).max(1);
    let tokens: Vec<TokenId> = prompt(depth.max(64)).map(|token| TokenId(token % vocab_tokens)).collect();
    let cancel = Cancel::new();
    engine.read(tokens.get(..depth).unwrap_or_default(), &cancel)?;
    let lanes: Vec<Sequence> = (0..engine.lanes()).filter_map(Sequence::lane).collect();
    for lane in &lanes {
        engine.copy(Sequence::Main, *lane, depth)?;
    }
    let mut costs = Vec::with_capacity(sizes.len());
    for size in sizes {
        let pass = tokens.get(..*size).unwrap_or(&tokens);
        let mut least = [f64::INFINITY; 3];
        for _ in 0..rounds.max(1) {
            for (rows, least) in [1, *size].into_iter().zip(&mut least) {
                if rows <= MAX_ROWS {
                    let started = Instant::now();
                    engine.read_for(pass, rows, &cancel)?;
                    engine.logits()?;
                    *least = least.min(started.elapsed().as_secs_f64() * 1000.0);
                    engine.truncate(depth)?;
                }
            }
            if let Some(lanes) = lanes.get(..*size) {
                let parts: Vec<(Sequence, &[TokenId])> = lanes.iter().copied().zip(pass.chunks(1)).collect();
                let started = Instant::now();
                engine.read_together(&parts)?;
                engine.logits_of(0)?;
                least[2] = least[2].min(started.elapsed().as_secs_f64() * 1000.0);
                for lane in lanes {
                    engine.select(*lane);
                    engine.truncate(depth)?;
                }
                engine.select(Sequence::Main);
            }
        }
        let measured = |ms: f64| Some(ms).filter(|ms| ms.is_finite());
        costs.push(PassCost {
            tokens: *size,
            of_a_prompt_ms: least[0],
            of_one_sequence_ms: measured(least[1]),
            of_sequences_ms: measured(least[2]),
        });
    }
    Ok(costs)
}

/// Allows every token and never ends, so that both ways decode the same number of tokens.
struct Anything;

impl Constraint for Anything {
    fn allows(&mut self, _token: TokenId) -> Result<bool, ConstraintError> {
        Ok(true)
    }

    fn commit(&mut self, _token: TokenId) -> Result<(), ConstraintError> {
        Ok(())
    }

    fn may_end(&self) -> bool {
        false
    }

    fn must_end(&self) -> bool {
        false
    }

    fn forced_bytes(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn forced_token(&mut self) -> Option<TokenId> {
        None
    }

    fn allowed_tokens(&mut self, _allowed: &mut Vec<TokenId>) -> Result<(), ConstraintError> {
        Err(ConstraintError { reason: "every token is allowed, so none is refused".to_owned() })
    }
}
