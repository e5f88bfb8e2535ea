//! Rates of the bare llama.cpp library beside ours (`rates`), for `mneme bench engine`: the same file, threads and window,
//! the same tokens, greedy.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;

use super::llama_load::{backend, context_params, load_model};
use super::loading::{READ_CHUNK_TOKENS, SIDE_CELLS};
use super::rates::{Rates, milliseconds, prompt, rate};
use super::{Error, Gguf, LoadOptions, Sequence};
use crate::types::TokenId;

fn failed(operation: &'static str, error: &dyn std::fmt::Display) -> Error {
    Error::Native { operation, reason: error.to_string() }
}

/// One token of a batch.
#[derive(Debug, Clone, Copy)]
struct Entry {
    token: u32,
    position: usize,
    sequence: usize,
    wants_logits: bool,
}

/// A batch with nothing of ours between.
fn fill(batch: &mut LlamaBatch<'_>, entries: impl IntoIterator<Item = Entry>, vocab_tokens: u32) -> Result<(), Error> {
    batch.clear();
    for Entry { token, position, sequence, wants_logits } in entries {
        let native = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        let token = LlamaToken(i32::try_from(token % vocab_tokens).unwrap_or(0));
        batch
            .add(token, native(position), &[native(sequence)], wants_logits)
            .map_err(|error| failed("filling a batch", &error))?;
    }
    Ok(())
}

fn vocab_tokens(path: &Path) -> Result<u32, Error> {
    Ok(u32::try_from(Gguf::open(path)?.info().vocab_tokens).unwrap_or(u32::MAX).max(1))
}

/// `tokens` of one sequence from `position` on, the last one with logits.
fn in_a_row(tokens: impl ExactSizeIterator<Item = u32>, position: usize) -> impl Iterator<Item = Entry> {
    let last = tokens.len().saturating_sub(1);
    tokens.enumerate().map(move |(place, token)| Entry {
        token,
        position: position + place,
        sequence: 0,
        wants_logits: place == last,
    })
}

/// Rates of llama.cpp with nothing of ours between: `n_read` tokens in one batch, then `n_decode` tokens by the
/// largest logit. A short warm-up pass comes first; `at_end` is called while the model is still loaded.
///
/// # Errors
/// The file cannot be loaded or a native call fails.
pub fn bare_rates(
    path: &Path,
    options: &LoadOptions,
    n_read: usize,
    n_decode: usize,
    at_end: &mut dyn FnMut(),
) -> Result<Rates, Error> {
    let vocab_tokens = vocab_tokens(path)?;
    let started = Instant::now();
    let model = load_model(path, options, &mut |_| true)?;
    let n_read = n_read.max(1);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let params = context_params(n_read + n_decode + 16, options).with_n_batch(count(n_read.max(512)));
    let mut context = model.new_context(backend()?, params).map_err(|error| failed("making a context", &error))?;
    let load_ms = milliseconds(started);
    let mut batch = LlamaBatch::new(n_read, 1);
    fill(&mut batch, in_a_row(prompt(n_read.min(16)), 0), vocab_tokens)?;
    context.decode(&mut batch).map_err(|error| failed("warming up", &error))?;
    context.clear_kv_cache();
    fill(&mut batch, in_a_row(prompt(n_read), 0), vocab_tokens)?;
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
        fill(&mut batch, in_a_row(std::iter::once(count(best)), n_read + step), vocab_tokens)?;
        context.decode(&mut batch).map_err(|error| failed("decoding", &error))?;
    }
    context.synchronize();
    let decode_tokens_per_s = rate(n_decode, started);
    at_end();
    Ok(Rates { read_tokens_per_s, decode_tokens_per_s, load_ms })
}

/// The library alone, doing what an engine of ours has done: the same tokens at the same places in batches of the same
/// size.
pub struct BareLibrary {
    // Dropped in this order: the context before the model that it points into.
    context: LlamaContext<'static>,
    _model: Arc<LlamaModel>,
    batch: LlamaBatch<'static>,
    batch_tokens: usize,
}

impl std::fmt::Debug for BareLibrary {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("BareLibrary").field("batch_tokens", &self.batch_tokens).finish_non_exhaustive()
    }
}

impl BareLibrary {
    /// Loads the model for a conversation of at most `window_tokens`.
    ///
    /// # Errors
    /// The file cannot be loaded.
    pub fn load(path: &Path, options: &LoadOptions, window_tokens: usize) -> Result<Self, Error> {
        let model = Arc::new(load_model(path, options, &mut |_| true)?);
        let params = context_params(window_tokens + SIDE_CELLS, options);
        let context = model.new_context(backend()?, params).map_err(|error| failed("making a context", &error))?;
        // SAFETY: as in `LlamaCppEngine::load`: the model outlives the context inside this value, and neither leaves it.
        let context = unsafe { std::mem::transmute::<LlamaContext<'_>, LlamaContext<'static>>(context) };
        let asked = options.tuning.read_batch_tokens.unwrap_or(READ_CHUNK_TOKENS);
        let batch_tokens = asked.clamp(1, usize::try_from(context.n_batch()).unwrap_or(1).max(1));
        Ok(Self { context, _model: model, batch: LlamaBatch::new(batch_tokens, 1), batch_tokens })
    }

    /// Reads `tokens` behind the first `at` tokens of `sequence`, which must be there, and gives back how long that took.
    ///
    /// # Errors
    /// A native call failed.
    pub fn read(&mut self, sequence: Sequence, at: usize, tokens: &[TokenId]) -> Result<Duration, Error> {
        let id = u32::try_from(sequence.index()).unwrap_or(u32::MAX);
        let from = u32::try_from(at).ok().filter(|at| *at > 0);
        self.context.clear_kv_cache_seq(Some(id), from, None).map_err(|error| failed("cutting the cache", &error))?;
        let started = Instant::now();
        let mut position = at;
        for chunk in tokens.chunks(self.batch_tokens) {
            let entries = chunk.iter().enumerate().map(|(place, token)| Entry {
                token: token.0,
                position: position + place,
                sequence: sequence.index(),
                wants_logits: place + 1 == chunk.len(),
            });
            fill(&mut self.batch, entries, u32::MAX)?;
            self.context.decode(&mut self.batch).map_err(|error| failed("reading", &error))?;
            position += chunk.len();
        }
        self.context.synchronize();
        Ok(started.elapsed())
    }
}
