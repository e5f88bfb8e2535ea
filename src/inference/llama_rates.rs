//! Rates of the bare llama.cpp library beside ours, for `mneme bench engine`: the same file, threads and window, the
//! same tokens, greedy.

use std::path::Path;
use std::time::Instant;

use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;

use super::llama_cpp::{LlamaCppEngine, LoadOptions, backend, context_params, gpu_layers, load_model};
use super::{Engine, Error, GenerateOptions, Gguf, Sampler, SamplerOptions, Session, generate};
use crate::types::{Cancel, Constraint, ConstraintError, TokenId};

/// Tokens per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Reading a prompt.
    pub read_tokens_per_s: f64,
    /// Decoding, one token a pass.
    pub decode_tokens_per_s: f64,
}

/// Tokens that are read; ids spread over the first part of any vocabulary.
fn prompt(n_read: usize) -> impl Iterator<Item = u32> {
    (0..n_read).map(|place| 300 + (u32::try_from(place % 7919).unwrap_or(0) * 31) % 20_000)
}

fn rate(tokens: usize, started: Instant) -> f64 {
    // Precision lost beyond 2^53 tokens does not matter here.
    tokens as f64 / started.elapsed().as_secs_f64().max(1e-9)
}

fn failed(operation: &'static str, error: &dyn std::fmt::Display) -> Error {
    Error::Native { operation, reason: error.to_string() }
}

/// Rates of llama.cpp with nothing of ours between: `n_read` tokens in one batch, then `n_decode` tokens by the
/// largest logit. A short warm-up pass comes first.
///
/// # Errors
/// The file cannot be loaded or a native call fails.
pub fn bare_rates(path: &Path, n_read: usize, n_decode: usize) -> Result<Rates, Error> {
    let vocab_tokens = u32::try_from(Gguf::open(path)?.info().vocab_tokens).unwrap_or(u32::MAX).max(1);
    let options = LoadOptions::default();
    let model = load_model(path, gpu_layers(&options)?, &mut |_| true)?;
    let n_read = n_read.max(1);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let params = context_params(n_read + n_decode + 16, &options).with_n_batch(count(n_read.max(512)));
    let mut context = model.new_context(backend()?, params).map_err(|error| failed("making a context", &error))?;
    let mut batch = LlamaBatch::new(n_read, 1);
    let fill = |batch: &mut LlamaBatch<'_>, tokens: &mut dyn Iterator<Item = u32>, start: usize, last: usize| {
        batch.clear();
        for (place, token) in tokens.enumerate() {
            let position = i32::try_from(start + place).unwrap_or(i32::MAX);
            let token = LlamaToken(i32::try_from(token % vocab_tokens).unwrap_or(0));
            batch.add(token, position, &[0], place == last).map_err(|error| failed("filling a batch", &error))?;
        }
        Ok::<(), Error>(())
    };
    let warm = n_read.min(16);
    fill(&mut batch, &mut prompt(warm), 0, warm - 1)?;
    context.decode(&mut batch).map_err(|error| failed("warming up", &error))?;
    context.clear_kv_cache();
    fill(&mut batch, &mut prompt(n_read), 0, n_read - 1)?;
    let started = Instant::now();
    context.decode(&mut batch).map_err(|error| failed("reading", &error))?;
    context.synchronize();
    let read_tokens_per_s = rate(n_read, started);
    let started = Instant::now();
    for step in 0..n_decode {
        let logits = context.get_logits_ith(-1);
        let mut best = 0;
        for (id, logit) in logits.iter().enumerate() {
            if *logit > logits[best] {
                best = id;
            }
        }
        fill(&mut batch, &mut std::iter::once(count(best)), n_read + step, 0)?;
        context.decode(&mut batch).map_err(|error| failed("decoding", &error))?;
    }
    context.synchronize();
    Ok(Rates { read_tokens_per_s, decode_tokens_per_s: rate(n_decode, started) })
}

/// Rates of the same work through engine, session, sampler and decode loop.
///
/// # Errors
/// The file cannot be loaded or a native call fails.
pub fn our_rates(path: &Path, n_read: usize, n_decode: usize) -> Result<Rates, Error> {
    let n_read = n_read.max(1);
    let options = LoadOptions { context_window: Some(n_read + n_decode + 16), ..LoadOptions::default() };
    let engine = LlamaCppEngine::load(path, &options, &mut |_| true)?;
    let vocab_tokens = u32::try_from(engine.vocab().len()).unwrap_or(u32::MAX).max(1);
    let mut session = Session::new(Box::new(engine))?;
    let tokens: Vec<TokenId> = prompt(n_read).map(|token| TokenId(token % vocab_tokens)).collect();
    let cancel = Cancel::new();
    session.prepare(&tokens[..n_read.min(16)], &cancel)?;
    session.prepare(&[], &cancel)?;
    let started = Instant::now();
    session.prepare(&tokens, &cancel)?;
    let read_tokens_per_s = rate(n_read, started);
    let started = Instant::now();
    let limits = GenerateOptions { max_tokens: n_decode, jump_forward: false, stop_stuck: false };
    let mut sampler = Sampler::new(SamplerOptions::default());
    let generation = generate(&mut session, &mut Anything, &mut sampler, &limits, &cancel, &mut |_, _| {})?;
    Ok(Rates { read_tokens_per_s, decode_tokens_per_s: rate(generation.tokens.len(), started) })
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
