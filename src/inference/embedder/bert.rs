//! The BERT encoder on candle's tensors: embeddings, then layers of attention and feed-forward network.
//!
//! Not responsible for tokens, pooling or files. Texts of a batch are *packed*: their tokens stand one after the other
//! in one matrix, and only attention looks at each text by itself. Nothing is padded and nothing is masked, so a text
//! costs what it costs alone, and its result does not depend on its neighbours.
//!
//! Source: Devlin et al., BERT, arXiv 1810.04805; names of the weights as in the published safetensors files.

use std::collections::HashMap;

use candle_core::{DType, Device, Error as CandleError, Result, Tensor};
use candle_nn::ops::layer_norm;
use serde::Deserialize;

use super::ops::{Linear, attention, sum};

/// Most numbers in a token's state; large BERT models have 1024.
const MAX_HIDDEN: usize = 4096;
/// Most numbers in the inner layer of the feed-forward network; large BERT models have 4096.
const MAX_INTERMEDIATE: usize = 16_384;
/// Most layers; large BERT models have 24.
const MAX_LAYERS: usize = 64;
/// Most tokens that the model may have places for.
const MAX_POSITIONS: usize = 8192;
/// Most tokens in the vocabulary; multilingual models have 250 000.
const MAX_VOCABULARY: usize = 1 << 20;

/// What `config.json` says of the model.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Config {
    model_type: String,
    hidden_act: String,
    #[serde(default = "absolute")]
    position_embedding_type: String,
    /// Numbers in a token's state, and in the vector of a text.
    pub(super) hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    /// Most tokens of a text, the marks at its ends included.
    pub(super) max_position_embeddings: usize,
    /// Tokens in the vocabulary.
    pub(super) vocab_size: usize,
    type_vocab_size: usize,
    layer_norm_eps: f32,
}

fn absolute() -> String {
    "absolute".to_owned()
}

impl Config {
    /// Reads `config.json` and checks every number before memory is taken for it.
    pub(super) fn parse(text: &str) -> std::result::Result<Self, String> {
        let config: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        for (name, found, expected) in [
            ("model_type", &config.model_type, "bert"),
            ("hidden_act", &config.hidden_act, "gelu"),
            ("position_embedding_type", &config.position_embedding_type, "absolute"),
        ] {
            if found != expected {
                return Err(format!("{name} is {found:?}, only {expected:?} can be run"));
            }
        }
        for (name, found, most) in [
            ("hidden_size", config.hidden_size, MAX_HIDDEN),
            ("num_hidden_layers", config.num_hidden_layers, MAX_LAYERS),
            ("num_attention_heads", config.num_attention_heads, config.hidden_size),
            ("intermediate_size", config.intermediate_size, MAX_INTERMEDIATE),
            ("max_position_embeddings", config.max_position_embeddings, MAX_POSITIONS),
            ("vocab_size", config.vocab_size, MAX_VOCABULARY),
            ("type_vocab_size", config.type_vocab_size, MAX_HIDDEN),
        ] {
            if !(1..=most).contains(&found) {
                return Err(format!("{name} is {found}, from 1 to {most} can be run"));
            }
        }
        if !config.hidden_size.is_multiple_of(config.num_attention_heads) {
            let Self { hidden_size, num_attention_heads, .. } = config;
            return Err(format!(
                "hidden_size {hidden_size} is no multiple of num_attention_heads {num_attention_heads}"
            ));
        }
        if !(config.layer_norm_eps > 0.0 && config.layer_norm_eps < 1.0) {
            return Err(format!("layer_norm_eps is {}, it must lie between 0 and 1", config.layer_norm_eps));
        }
        Ok(config)
    }

    fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }
}

/// Weights by name, taken out one after the other with their shapes checked.
struct Weights(HashMap<String, Tensor>);

impl Weights {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.0.remove(name).ok_or_else(|| CandleError::Msg(format!("it has no tensor {name}")))?;
        if tensor.dims() != shape {
            return Err(CandleError::Msg(format!("{name} has the shape {:?} instead of {shape:?}", tensor.dims())));
        }
        if !tensor.dtype().is_float() {
            return Err(CandleError::Msg(format!("{name} has numbers of the kind {:?}", tensor.dtype())));
        }
        tensor.to_dtype(DType::F32)
    }
}

/// A matrix `(inputs, outputs)` and what is added behind it.
struct Parts {
    weight: Tensor,
    bias: Tensor,
}

impl Parts {
    fn take(weights: &mut Weights, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        let weight = weights.take(&format!("{name}.weight"), &[outputs, inputs])?.t()?;
        let bias = weights.take(&format!("{name}.bias"), &[outputs])?;
        Ok(Self { weight, bias })
    }

    fn scaled(self, factor: f64) -> Result<Self> {
        Ok(Self { weight: (self.weight * factor)?, bias: (self.bias * factor)? })
    }

    fn linear(self) -> Result<Linear> {
        Linear::new(&self.weight, self.bias)
    }
}

struct Norm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f32,
}

impl Norm {
    fn take(weights: &mut Weights, name: &str, config: &Config) -> Result<Self> {
        Ok(Self {
            weight: weights.take(&format!("{name}.weight"), &[config.hidden_size])?,
            bias: weights.take(&format!("{name}.bias"), &[config.hidden_size])?,
            epsilon: config.layer_norm_eps,
        })
    }

    fn forward(&self, rows: &Tensor) -> Result<Tensor> {
        layer_norm(rows, &self.weight, &self.bias, self.epsilon)
    }
}

struct Layer {
    /// Queries (already divided by the root of the head size), keys and values side by side.
    query_key_value: Linear,
    output: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    norm: Norm,
}

impl Layer {
    fn take(weights: &mut Weights, index: usize, config: &Config) -> Result<Self> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let name = |part: &str| format!("encoder.layer.{index}.{part}");
        #[allow(clippy::cast_precision_loss)]
        let scale = 1.0 / (config.head_size() as f64).sqrt();
        let query = Parts::take(weights, &name("attention.self.query"), hidden, hidden)?.scaled(scale)?;
        let key = Parts::take(weights, &name("attention.self.key"), hidden, hidden)?;
        let value = Parts::take(weights, &name("attention.self.value"), hidden, hidden)?;
        let query_key_value = Linear::new(
            &Tensor::cat(&[query.weight, key.weight, value.weight], 1)?,
            Tensor::cat(&[query.bias, key.bias, value.bias], 0)?,
        );
        Ok(Self {
            query_key_value: query_key_value?,
            output: Parts::take(weights, &name("attention.output.dense"), hidden, hidden)?.linear()?,
            attention_norm: Norm::take(weights, &name("attention.output.LayerNorm"), config)?,
            up: Parts::take(weights, &name("intermediate.dense"), hidden, inner)?.linear()?,
            down: Parts::take(weights, &name("output.dense"), inner, hidden)?.linear()?,
            norm: Norm::take(weights, &name("output.LayerNorm"), config)?,
        })
    }

    fn forward(&self, rows: &Tensor, lengths: &[usize], heads: usize, threads: usize) -> Result<Tensor> {
        let attended = attention(&self.query_key_value.forward(rows, threads)?, lengths, heads)?;
        let rows = self.attention_norm.forward(&self.output.forward_onto(&attended, rows, threads)?)?;
        let inner = self.up.forward_gelu(&rows, threads)?;
        self.norm.forward(&self.down.forward_onto(&inner, &rows, threads)?)
    }
}

/// The model.
pub(super) struct Bert {
    words: Tensor,
    /// Embeddings of the places, with that of the only kind of text added.
    places: Tensor,
    norm: Norm,
    layers: Vec<Layer>,
    heads: usize,
}

impl Bert {
    /// Takes the weights; those that it does not need are dropped.
    pub(super) fn new(config: &Config, tensors: HashMap<String, Tensor>) -> Result<Self> {
        let weights = &mut Weights(tensors);
        let hidden = config.hidden_size;
        let words = weights.take("embeddings.word_embeddings.weight", &[config.vocab_size, hidden])?;
        let shape = [config.max_position_embeddings, hidden];
        let places = weights.take("embeddings.position_embeddings.weight", &shape)?;
        let kinds = weights.take("embeddings.token_type_embeddings.weight", &[config.type_vocab_size, hidden])?;
        let norm = Norm::take(weights, "embeddings.LayerNorm", config)?;
        let layers = (0..config.num_hidden_layers).map(|index| Layer::take(weights, index, config));
        Ok(Self {
            words,
            places: places.broadcast_add(&kinds.get(0)?)?,
            norm,
            layers: layers.collect::<Result<_>>()?,
            heads: config.num_attention_heads,
        })
    }

    /// States of all tokens of the texts behind the last layer.
    ///
    /// Shapes: in, the texts' token ids, each below the size of the vocabulary and no text longer than the places; out,
    /// `(tokens of all texts, hidden)`, f32, in their order. With `threads` over 1, several work on each product.
    pub(super) fn forward(&self, texts: &[Vec<u32>], device: &Device, threads: usize) -> Result<Tensor> {
        let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
        let ids: Vec<u32> = texts.iter().flatten().copied().collect();
        let places: Vec<u32> = lengths.iter().flat_map(|&length| (0_u32..).take(length)).collect();
        let token_count = ids.len();
        let words = self.words.index_select(&Tensor::from_vec(ids, token_count, device)?, 0)?;
        let places = self.places.index_select(&Tensor::from_vec(places, token_count, device)?, 0)?;
        let mut rows = self.norm.forward(&sum(&words, &places)?)?;
        for layer in &self.layers {
            rows = layer.forward(&rows, &lengths, self.heads, threads)?;
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(changes: &[(&str, &str)]) -> std::result::Result<Config, String> {
        let mut fields = vec![
            ("model_type", "\"bert\""),
            ("hidden_act", "\"gelu\""),
            ("hidden_size", "8"),
            ("num_hidden_layers", "1"),
            ("num_attention_heads", "2"),
            ("intermediate_size", "16"),
            ("max_position_embeddings", "4"),
            ("vocab_size", "10"),
            ("type_vocab_size", "2"),
            ("layer_norm_eps", "1e-12"),
        ];
        for (name, value) in changes {
            fields.retain(|(field, _)| field != name);
            fields.push((name, value));
        }
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        Config::parse(&format!("{{{}}}", fields.join(", ")))
    }

    #[test]
    fn a_config_with_impossible_numbers_is_refused_by_the_name_of_the_number() {
        assert!(config(&[]).is_ok());
        for (name, value) in [
            ("model_type", "\"t5\""),
            ("hidden_act", "\"relu\""),
            ("position_embedding_type", "\"relative_key\""),
            ("hidden_size", "0"),
            ("hidden_size", "1000000000000"),
            ("hidden_size", "-1"),
            ("num_hidden_layers", "65"),
            ("num_attention_heads", "0"),
            ("num_attention_heads", "3"),
            ("intermediate_size", "1e9"),
            ("max_position_embeddings", "9000"),
            ("vocab_size", "99999999"),
            ("type_vocab_size", "0"),
            ("layer_norm_eps", "0"),
        ] {
            let error = config(&[(name, value)]).unwrap_err();
            assert!(error.contains(name) || error.contains("line"), "{name} = {value}: {error}");
        }
        assert!(Config::parse("[]").is_err());
        assert!(Config::parse("{\"a\":".repeat(100_000).as_str()).is_err());
    }

    #[test]
    fn weights_that_are_missing_or_of_another_shape_are_named() {
        let config = config(&[]).unwrap();
        let message = |tensors| match Bert::new(&config, tensors) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("the weights were taken"),
        };
        assert!(message(HashMap::new()).contains("embeddings.word_embeddings.weight"));
        let wrong = |dtype, shape: (usize, usize)| {
            let tensor = Tensor::zeros(shape, dtype, &Device::Cpu).unwrap();
            HashMap::from([("embeddings.word_embeddings.weight".to_owned(), tensor)])
        };
        assert!(message(wrong(DType::F32, (10, 4))).contains("[10, 4] instead of [10, 8]"));
        assert!(message(wrong(DType::I64, (10, 8))).contains("I64"));
    }
}
