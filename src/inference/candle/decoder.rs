//! The decoder: embeddings, then blocks of attention and feed-forward network, then logits. One code for all families;
//! what differs stands in [`Shape`].
//!
//! Tokens of several sequences go through the products together, one after the other in one matrix; only attention looks at
//! each sequence by itself.
//!
//! Source: Touvron et al., LLaMA, arXiv 2302.13971, and the reports of the other families; names of tensors as in GGUF files.

use candle_core::quantized::QMatMul;
use candle_core::{Device, Result, Tensor, bail};

use super::attention::Attention;
use super::cache::Cache;
use super::ops::{add, gated, rms_norm, turn};
use super::products::{Projection, forward_all, multipliable, product};
use super::rope::{Angles, Turns};
use super::shape::{Shape, Sizes};
use super::weights::{Matrix, Weights};
use crate::types::TokenId;

struct Block {
    attention_norm: Tensor,
    query: Projection,
    key: Projection,
    value: Projection,
    query_norm: Option<Tensor>,
    key_norm: Option<Tensor>,
    attention: Attention,
    output: Projection,
    after_attention_norm: Option<Tensor>,
    feed_forward_norm: Tensor,
    gate: Projection,
    up: Projection,
    down: Projection,
    after_feed_forward_norm: Option<Tensor>,
    has_rope: bool,
}

/// Some new tokens of one sequence.
pub(super) struct Part<'a> {
    /// The tokens.
    pub(super) tokens: &'a [TokenId],
    /// What the sequence holds in front of them; there must be room for them.
    pub(super) cache: &'a mut Cache,
    /// How many of the last of them need logits.
    pub(super) rows: usize,
}

/// A loaded model.
pub(super) struct Decoder {
    shape: Shape,
    device: Device,
    embeddings: QMatMul,
    blocks: Vec<Block>,
    norm: Tensor,
    output: Option<QMatMul>,
    angles: Angles,
    sliding_angles: Option<Angles>,
    /// Whether the window is longer than the first training's.
    is_stretched: bool,
}

impl Decoder {
    /// Reads the weights. `window_tokens` is the longest window that will be used; `progress` is told how far loading is, 0 to
    /// 1, and returns false to stop it: none then.
    pub(super) fn load(
        shape: Shape,
        weights: &mut dyn Weights,
        window_tokens: usize,
        device: &Device,
        progress: &mut dyn FnMut(f32) -> bool,
    ) -> Result<Option<Self>> {
        let sizes = shape.sizes;
        let mut blocks = Vec::with_capacity(sizes.blocks);
        let embeddings = weights.require("token_embd.weight", sizes.vocab_tokens, sizes.hidden)?;
        let embeddings = multipliable(embeddings.quantized(device)?)?;
        for block in 0..sizes.blocks {
            if !progress(block as f32 / sizes.blocks as f32) {
                return Ok(None);
            }
            blocks.push(Loader { shape: &shape, weights, device, block }.block()?);
        }
        if let Some(unused) = weights.unused() {
            bail!("its tensor {unused} has no place in a model of this family");
        }
        let norm = weights.require("output_norm.weight", 1, sizes.hidden)?.row(device)?;
        let output = weights.take("output.weight", sizes.vocab_tokens, sizes.hidden)?;
        if weights.take("output.bias", 1, sizes.vocab_tokens)?.is_some() {
            bail!("its logits have a bias, which this engine does not add");
        }
        let pairs = sizes.rope_size / 2;
        // Models with long and short factors take the long ones for windows beyond the first training's.
        let is_stretched = window_tokens > shape.original_tokens;
        let by_window = if is_stretched { "rope_factors_long.weight" } else { "rope_factors_short.weight" };
        let divisors = match weights.vector("rope_freqs.weight", pairs)? {
            Some(divisors) => Some(divisors),
            None => weights.vector(by_window, pairs)?,
        };
        let wrong = candle_core::Error::Msg;
        let angles = Angles::new(shape.rope, sizes.rope_size, divisors.as_deref(), shape.rope_factor).map_err(wrong)?;
        let sliding_angles = shape
            .sliding
            .map(|sliding| Angles::new(sliding.rope, sizes.rope_size, None, shape.rope_factor))
            .transpose()
            .map_err(wrong)?;
        let output = output.map(|output| multipliable(output.quantized(device)?)).transpose()?;
        let loaded = Self {
            shape,
            device: device.clone(),
            embeddings,
            blocks,
            norm,
            output,
            angles,
            sliding_angles,
            is_stretched,
        };
        Ok(progress(1.0).then_some(loaded))
    }

    /// What keys and values depend on beside the file: positions may be told otherwise in a long window.
    pub(super) const fn is_stretched(&self) -> bool {
        self.is_stretched
    }

    /// A sequence without tokens.
    pub(super) fn cache(&self) -> Result<Cache> {
        Cache::new(&self.shape.sizes, &self.device)
    }

    /// Reads the tokens of all parts, which are in their caches then, and gives the logits that are asked for, part by part.
    ///
    /// Shape: `(rows of all parts, vocab)` f32; none where no rows are asked for.
    pub(super) fn forward(&self, parts: &mut [Part<'_>]) -> Result<Option<Tensor>> {
        let tokens: Vec<u32> = parts.iter().flat_map(|part| part.tokens).map(|token| token.0).collect();
        let count = tokens.len();
        let positions: Vec<usize> =
            parts.iter().flat_map(|part| (part.cache.length()..).take(part.tokens.len())).collect();
        let turns = self.angles.at(&positions, &self.device)?;
        let sliding_turns =
            self.sliding_angles.as_ref().map(|angles| angles.at(&positions, &self.device)).transpose()?;
        let mut state = self.embeddings.embedding(&Tensor::from_vec(tokens, count, &self.device)?)?;
        if self.shape.embedding_factor != 1.0 {
            state = (state * f64::from(self.shape.embedding_factor))?;
        }
        for (place, block) in self.blocks.iter().enumerate() {
            let turns = match &sliding_turns {
                Some(sliding) if block.attention.window_tokens.is_some() => sliding,
                _ => &turns,
            };
            state = self.through(block, place, &state, turns, parts)?;
        }
        let logits = self.logits(&state, parts)?;
        // Nothing counts as read before all of it is.
        for part in parts {
            part.cache.advance(part.tokens.len());
        }
        Ok(logits)
    }

    fn through(
        &self,
        block: &Block,
        place: usize,
        state: &Tensor,
        turns: &Turns,
        parts: &mut [Part<'_>],
    ) -> Result<Tensor> {
        let Shape { epsilon, residual_factor, activation, .. } = self.shape;
        let Sizes { heads, kv_heads, head_size, .. } = self.shape.sizes;
        let count = state.dim(0)?;
        let normed = rms_norm(state, &block.attention_norm, epsilon)?;
        let [query, key, value] = forward_all(&normed, [&block.query, &block.key, &block.value])?;
        let mut query = query.reshape((count, heads, head_size))?;
        let mut key = key.reshape((count, kv_heads, head_size))?;
        let value = value.reshape((count, kv_heads, head_size))?;
        if let Some(norm) = &block.query_norm {
            query = rms_norm(&query, norm, epsilon)?;
        }
        if let Some(norm) = &block.key_norm {
            key = rms_norm(&key, norm, epsilon)?;
        }
        if block.has_rope {
            (query, key) = (turn(&query, turns)?, turn(&key, turns)?);
        }
        let mut attended = Vec::with_capacity(parts.len());
        let mut first = 0;
        for part in parts {
            let length = part.tokens.len();
            let of_part =
                |rows: &Tensor| if length == count { Ok(rows.clone()) } else { rows.narrow(0, first, length) };
            part.cache.write(place, &of_part(&key)?, &of_part(&value)?)?;
            attended.push(block.attention.run(&of_part(&query)?, part.cache, place)?);
            first += length;
        }
        let attended = match &*attended {
            [one] => one.clone(),
            several => Tensor::cat(several, 0)?,
        };
        let mut added = block.output.forward(&attended)?;
        if let Some(norm) = &block.after_attention_norm {
            added = rms_norm(&added, norm, epsilon)?;
        }
        let state = add(state, &added, residual_factor)?;
        let normed = rms_norm(&state, &block.feed_forward_norm, epsilon)?;
        let [gate, up] = forward_all(&normed, [&block.gate, &block.up])?;
        let mut added = block.down.forward(&gated(&gate, &up, activation)?)?;
        if let Some(norm) = &block.after_feed_forward_norm {
            added = rms_norm(&added, norm, epsilon)?;
        }
        add(&state, &added, residual_factor)
    }

    fn logits(&self, state: &Tensor, parts: &[Part<'_>]) -> Result<Option<Tensor>> {
        let mut wanted = Vec::with_capacity(parts.len());
        let mut end = 0;
        for part in parts {
            end += part.tokens.len();
            if part.rows > 0 {
                wanted.push(state.narrow(0, end - part.rows, part.rows)?);
            }
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        let wanted = rms_norm(&Tensor::cat(&wanted, 0)?, &self.norm, self.shape.epsilon)?;
        let logits = product(&wanted, self.output.as_ref().unwrap_or(&self.embeddings))?;
        if self.shape.logit_factor == 1.0 {
            Ok(Some(logits))
        } else {
            Ok(Some((logits * f64::from(self.shape.logit_factor))?))
        }
    }
}

/// Reads one block.
struct Loader<'a> {
    shape: &'a Shape,
    weights: &'a mut dyn Weights,
    device: &'a Device,
    block: usize,
}

impl Loader<'_> {
    fn name(&self, name: &str) -> String {
        format!("blk.{}.{name}", self.block)
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Option<Tensor>> {
        let name = self.name(&format!("{name}.weight"));
        self.weights.take(&name, 1, width)?.map(|matrix| matrix.row(self.device)).transpose()
    }

    fn require_norm(&mut self, name: &str, width: usize) -> Result<Tensor> {
        match self.norm(name, width)? {
            Some(norm) => Ok(norm),
            None => bail!("it has no tensor {}", self.name(&format!("{name}.weight"))),
        }
    }

    fn matrices(&mut self, name: &str, rows: usize, columns: usize) -> Result<(Matrix, Option<Matrix>)> {
        let (weight, bias) = (self.name(&format!("{name}.weight")), self.name(&format!("{name}.bias")));
        let weight = self.weights.require(&weight, rows, columns)?;
        Ok((weight, self.weights.take(&bias, 1, rows)?))
    }

    fn ready(&self, (weight, bias): (Matrix, Option<Matrix>)) -> Result<Projection> {
        let bias = bias.map(|bias| bias.row(self.device)).transpose()?;
        Projection::new(weight.quantized(self.device)?, bias)
    }

    fn projection(&mut self, name: &str, rows: usize, columns: usize) -> Result<Projection> {
        let matrices = self.matrices(name, rows, columns)?;
        self.ready(matrices)
    }

    /// Queries or keys of `heads` heads, with the pairs of each half a head apart.
    fn turned(&self, (weight, bias): (Matrix, Option<Matrix>), heads: usize) -> Result<Projection> {
        if !self.shape.pairs_neighbours {
            return self.ready((weight, bias));
        }
        let turned = self.shape.sizes.rope_size;
        let bias = bias.map(|bias| bias.column().map(|bias| bias.unpaired(heads, turned).row_again())).transpose()?;
        self.ready((weight.unpaired(heads, turned), bias))
    }

    /// Queries, keys and values, which some files hold in one matrix.
    fn attention(&mut self) -> Result<[Projection; 3]> {
        let Sizes { hidden, heads, kv_heads, head_size, .. } = self.shape.sizes;
        let (query_rows, key_rows) = (heads * head_size, kv_heads * head_size);
        let joined = self.name("attn_qkv.weight");
        let Some(joined) = self.weights.take(&joined, query_rows + 2 * key_rows, hidden)? else {
            let query = self.matrices("attn_q", query_rows, hidden)?;
            let key = self.matrices("attn_k", key_rows, hidden)?;
            let value = self.projection("attn_v", key_rows, hidden)?;
            return Ok([self.turned(query, heads)?, self.turned(key, kv_heads)?, value]);
        };
        let bias = self.name("attn_qkv.bias");
        let bias = self.weights.take(&bias, 1, query_rows + 2 * key_rows)?.map(Matrix::column).transpose()?;
        let mut part = |name: &str, from: usize, rows: usize| -> Result<_> {
            let bias = match &bias {
                Some(bias) => Some(bias.part(from..from + rows)?.row_again()),
                // Biases need not be joined where matrices are.
                None => self.weights.take(&format!("blk.{}.{name}.bias", self.block), 1, rows)?,
            };
            Ok((joined.part(from..from + rows)?, bias))
        };
        let query = part("attn_q", 0, query_rows)?;
        let key = part("attn_k", query_rows, key_rows)?;
        let value = part("attn_v", query_rows + key_rows, key_rows)?;
        Ok([self.turned(query, heads)?, self.turned(key, kv_heads)?, self.ready(value)?])
    }

    /// Gate and up, which some files hold in one matrix.
    fn feed_forward(&mut self) -> Result<[Projection; 2]> {
        let Sizes { hidden, feed_forward, .. } = self.shape.sizes;
        let gate = self.name("ffn_gate.weight");
        if let Some(weight) = self.weights.take(&gate, feed_forward, hidden)? {
            let bias = self.name("ffn_gate.bias");
            let bias = self.weights.take(&bias, 1, feed_forward)?;
            return Ok([self.ready((weight, bias))?, self.projection("ffn_up", feed_forward, hidden)?]);
        }
        let (joined, bias) = self.matrices("ffn_up", 2 * feed_forward, hidden)?;
        let bias = bias.map(Matrix::column).transpose()?;
        let part = |from: usize| -> Result<_> {
            let rows = from..from + feed_forward;
            let bias = bias.as_ref().map(|bias| bias.part(rows.clone()).map(Matrix::row_again)).transpose()?;
            Ok((joined.part(rows)?, bias))
        };
        Ok([self.ready(part(0)?)?, self.ready(part(feed_forward)?)?])
    }

    fn block(mut self) -> Result<Block> {
        for name in self.shape.required {
            let name = self.name(name);
            let joined =
                name.replace("attn_q.", "attn_qkv.").replace("attn_k.", "attn_qkv.").replace("attn_v.", "attn_qkv.");
            if !self.weights.holds(&name) && !self.weights.holds(&joined) {
                bail!("it has no tensor {name}");
            }
        }
        let Sizes { hidden, heads, kv_heads, head_size, feed_forward, .. } = self.shape.sizes;
        let [query, key, value] = self.attention()?;
        let [gate, up] = self.feed_forward()?;
        Ok(Block {
            attention_norm: self.require_norm("attn_norm", hidden)?,
            query,
            key,
            value,
            query_norm: self.norm("attn_q_norm", head_size)?,
            key_norm: self.norm("attn_k_norm", head_size)?,
            attention: Attention {
                heads,
                kv_heads,
                factor: self.shape.attention_factor,
                window_tokens: self.shape.window_of(self.block),
            },
            output: self.projection("attn_output", hidden, heads * head_size)?,
            after_attention_norm: self.norm("post_attention_norm", hidden)?,
            feed_forward_norm: self.require_norm("ffn_norm", hidden)?,
            gate,
            up,
            down: self.projection("ffn_down", hidden, feed_forward)?,
            after_feed_forward_norm: self.norm("post_ffw_norm", hidden)?,
            has_rope: self.shape.has_rope(self.block),
        })
    }
}
