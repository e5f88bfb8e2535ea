//! Attention of new tokens to the keys and values of their sequence, several queries' heads to each of keys.
//!
//! On the CPU keys and values stay at 16 bits in the cache and are widened piece by piece; the work is shared among threads by
//! heads and by groups of tokens. Elsewhere candle's operations do it, with which the tests compare.
//!
//! Source: Ainslie et al., GQA, arXiv 2305.13245.

use std::sync::{Mutex, PoisonError};

use candle_core::{D, DType, Device, Result, Tensor, bail};
use candle_nn::ops::softmax_last_dim;
use gemm::Parallelism;
use half::f16;
use half::slice::HalfFloatSliceExt;

use super::super::arithmetic::{Block, Matrix, multiply, softmax};
use super::cache::{Cache, Rows};
use super::ops::with_floats;

/// Tokens whose queries are looked at together.
const GROUP_TOKENS: usize = 32;
/// Keys that are widened at a time: with their values they stay in the processor's own cache.
const KEYS: usize = 256;

/// What is the same for all tokens of a layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attention {
    /// Heads of queries.
    pub(super) heads: usize,
    /// Heads of keys and values.
    pub(super) kv_heads: usize,
    /// Factor of the scores.
    pub(super) factor: f32,
    /// Tokens that are seen, the token itself included; none for all.
    pub(super) window_tokens: Option<usize>,
}

impl Attention {
    /// Of `queries` whose keys and values have been written behind the tokens that count as being in `cache`.
    ///
    /// Shape: `(tokens, heads, head_size)` f32 to `(tokens, heads * head_size)` f32.
    pub(super) fn run(&self, queries: &Tensor, cache: &Cache, block: usize) -> Result<Tensor> {
        let (tokens, _, size) = queries.dims3()?;
        match cache.layer(block) {
            (Rows::Cpu(keys), Rows::Cpu(values)) => {
                let side = Side { keys, values, room: cache.room(), before: cache.length() };
                let out = with_floats(queries, |queries| self.on_cpu(queries, size, &side))?;
                Tensor::from_vec(out, (tokens, self.heads * size), &Device::Cpu)
            }
            (Rows::Gpu(keys), Rows::Gpu(values)) => {
                let held = cache.length() + tokens;
                let rows = |rows: &Tensor| rows.narrow(1, 0, held)?.to_dtype(DType::F32);
                self.by_candle(queries, &rows(keys)?, &rows(values)?, cache.length())
            }
            _ => bail!("a cache in two kinds of memory"),
        }
    }

    /// The first key that a token sees, by its position.
    fn first_key(&self, position: usize) -> usize {
        // The token itself is always seen.
        self.window_tokens.map_or(0, |window| (position + 1).saturating_sub(window.max(1)))
    }

    /// Shape of keys and values: `(kv_heads, before + tokens, head_size)` f32.
    fn by_candle(&self, queries: &Tensor, keys: &Tensor, values: &Tensor, before: usize) -> Result<Tensor> {
        let (tokens, heads, size) = queries.dims3()?;
        let (kv_heads, held, _) = keys.dims3()?;
        let group = heads / kv_heads;
        // (tokens, heads, size) -> (kv_heads, group * tokens, size)
        let queries = queries.transpose(0, 1)?.contiguous()?.reshape((kv_heads, group * tokens, size))?;
        let scores = (queries.matmul(&keys.transpose(1, 2)?.contiguous()?)? * f64::from(self.factor))?;
        let sees = |token: usize, key: usize| key <= before + token && key >= self.first_key(before + token);
        let mask: Vec<f32> = (0..tokens)
            .flat_map(|token| (0..held).map(move |key| (token, key)))
            .map(|(token, key)| if sees(token, key) { 0.0 } else { f32::NEG_INFINITY })
            .collect();
        let mask = Tensor::from_vec(mask, (1, 1, tokens, held), queries.device())?;
        let scores = scores.reshape((kv_heads, group, tokens, held))?.broadcast_add(&mask)?;
        let weights = softmax_last_dim(&scores)?.reshape((kv_heads, group * tokens, held))?;
        let out = weights.matmul(&values.contiguous()?)?.reshape((heads, tokens, size))?;
        debug_assert_eq!(out.dim(D::Minus1)?, size);
        out.transpose(0, 1)?.contiguous()?.reshape((tokens, heads * size))
    }

    fn on_cpu(&self, queries: &[f32], size: usize, side: &Side<'_>) -> Result<Vec<f32>> {
        let width = self.heads * size;
        let tokens = queries.len() / width.max(1);
        let groups = tokens.div_ceil(GROUP_TOKENS);
        let pieces: Vec<Mutex<Result<Vec<f32>>>> =
            (0..groups * self.kv_heads).map(|_| Mutex::new(Ok(Vec::new()))).collect();
        let place_of = |piece: usize| {
            let first = piece / self.kv_heads * GROUP_TOKENS;
            (piece % self.kv_heads, first, (tokens - first).min(GROUP_TOKENS))
        };
        candle_core::utils::barrier_pool().execute_chunked(pieces.len(), |range| {
            for piece in range {
                let (kv_head, first, count) = place_of(piece);
                let outcome = self.piece(queries, size, side, kv_head, first, count);
                *pieces[piece].lock().unwrap_or_else(PoisonError::into_inner) = outcome;
            }
        });
        let mut out = vec![0.0; queries.len()];
        let group = self.heads / self.kv_heads;
        for (piece, outcome) in pieces.into_iter().enumerate() {
            let (kv_head, first, _) = place_of(piece);
            let numbers = outcome.into_inner().unwrap_or_else(PoisonError::into_inner)?;
            for (row, numbers) in numbers.chunks_exact(group * size).enumerate() {
                let start = (first + row) * width + kv_head * group * size;
                out[start..start + group * size].copy_from_slice(numbers);
            }
        }
        Ok(out)
    }

    /// What the queries of some tokens to one head of keys come to, token by token.
    fn piece(
        &self,
        queries: &[f32],
        size: usize,
        side: &Side<'_>,
        kv_head: usize,
        first: usize,
        count: usize,
    ) -> Result<Vec<f32>> {
        let group = self.heads / self.kv_heads;
        let rows = count * group;
        let mut scaled = Vec::with_capacity(rows * size);
        for token in first..first + count {
            let start = (token * self.heads + kv_head * group) * size;
            scaled.extend(queries[start..start + group * size].iter().map(|number| number * self.factor));
        }
        let queries = Matrix { numbers: &scaled, start: 0, row_stride: size, column_stride: 1, columns: size };
        let begin = self.first_key(side.before + first);
        let keys = side.before + first + count - begin;
        let mut scores = vec![0.0; rows * keys];
        let mut wide = vec![0.0; KEYS.min(keys) * size];
        let parts = || (0..keys).step_by(KEYS).map(|start| (start, (keys - start).min(KEYS)));
        for (start, length) in parts() {
            let part = side.widen(side.keys, kv_head, begin + start, length, size, &mut wide);
            let mut block = Block { numbers: &mut scores, start, stride: keys, rows, columns: length };
            multiply(&mut block, &queries, &part.transposed(length), Parallelism::None)?;
        }
        for (row, scores) in scores.chunks_exact_mut(keys).enumerate() {
            let position = side.before + first + row / group;
            let (from, to) = (self.first_key(position) - begin, position + 1 - begin);
            scores[..from].fill(0.0);
            scores[to..].fill(0.0);
            softmax(&mut scores[from..to]);
        }
        let mut out = vec![0.0; rows * size];
        for (start, length) in parts() {
            let part = side.widen(side.values, kv_head, begin + start, length, size, &mut wide);
            let weights = Matrix { numbers: &scores, start, row_stride: keys, column_stride: 1, columns: length };
            let mut block = Block { numbers: &mut out, start: 0, stride: size, rows, columns: size };
            multiply(&mut block, &weights, &part, Parallelism::None)?;
        }
        Ok(out)
    }
}

/// Keys and values of a layer on the CPU.
struct Side<'a> {
    keys: &'a [f16],
    values: &'a [f16],
    room: usize,
    /// Tokens in front of the new ones.
    before: usize,
}

impl Side<'_> {
    /// Some rows of a head, at 32 bits in `wide`. Shape: `(length, size)`.
    fn widen<'b>(
        &self,
        rows: &[f16],
        head: usize,
        first: usize,
        length: usize,
        size: usize,
        wide: &'b mut [f32],
    ) -> Matrix<'b> {
        let start = (head * self.room + first) * size;
        let wide = &mut wide[..length * size];
        rows[start..start + length * size].convert_to_f32_slice(wide);
        Matrix { numbers: wide, start: 0, row_stride: size, column_stride: 1, columns: size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_up(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut number = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Numbers that 16 bits hold.
            f16::from_f32((state >> 8) as f32 / (1 << 22) as f32 - 2.0).to_f32()
        };
        (0..count).map(|_| number()).collect()
    }

    #[test]
    fn attention_is_candles_own_with_and_without_a_window() {
        let (heads, kv_heads, size, room) = (6, 2, 16, 700);
        let narrow = |numbers: &[f32]| numbers.iter().copied().map(f16::from_f32).collect::<Vec<_>>();
        let (keys, values) = (made_up(kv_heads * room * size, 1), made_up(kv_heads * room * size, 2));
        let (narrow_keys, narrow_values) = (narrow(&keys), narrow(&values));
        for (before, tokens) in [(0, 1), (0, 70), (600, 1), (510, 40), (3, 33)] {
            for window_tokens in [None, Some(16), Some(300)] {
                let attention = Attention { heads, kv_heads, factor: 0.25, window_tokens };
                let queries = made_up(tokens * heads * size, 3);
                let side = Side { keys: &narrow_keys, values: &narrow_values, room, before };
                let ours = attention.on_cpu(&queries, size, &side).unwrap();
                let rows = |numbers: &[f32]| {
                    let all = Tensor::from_slice(numbers, (kv_heads, room, size), &Device::Cpu).unwrap();
                    all.narrow(1, 0, before + tokens).unwrap()
                };
                let queries = Tensor::from_slice(&queries, (tokens, heads, size), &Device::Cpu).unwrap();
                let theirs = attention.by_candle(&queries, &rows(&keys), &rows(&values), before).unwrap();
                for (our, their) in ours.iter().zip(theirs.flatten_all().unwrap().to_vec1::<f32>().unwrap()) {
                    assert!((our - their).abs() < 2e-4, "{our} and {their}: {before}, {tokens}, {window_tokens:?}");
                }
            }
        }
    }
}
