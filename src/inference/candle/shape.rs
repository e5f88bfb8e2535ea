//! What a model looks like: sizes, and what its family does otherwise than Llama, as data.
//!
//! Families of the decoder kind differ in few places: biases, norms of queries and keys, a second norm behind each part,
//! factors, the activation, windows of some layers, and how positions are told. One block of code runs all of them
//! (`decoder`); this is where a family is told from another. Not responsible for weights.
//!
//! Source: the metadata keys of `docs/gguf.md` of the ggml project, and the graphs that llama.cpp builds from them.

use super::super::gguf::{Gguf, Value};

/// Most blocks of a model; large ones have 126.
const MAX_BLOCKS: usize = 1024;
/// Most numbers of a state, and of all queries of a token; large models have 16 384.
const MAX_WIDTH: usize = 1 << 17;
/// Most numbers between the two matrices of a feed-forward network; large models have 53 248.
const MAX_FEED_FORWARD: usize = 1 << 20;
/// Most heads; large models have 128.
const MAX_HEADS: usize = 1024;
/// Most numbers of a head; some models have 256.
const MAX_HEAD_SIZE: usize = 1024;
/// Most tokens of a vocabulary; multilingual models have 262 144.
pub(super) const MAX_VOCABULARY: usize = 1 << 20;
/// Most tokens that a model may have been trained for.
const MAX_TRAINED_TOKENS: usize = 1 << 27;

/// Architectures that can be run, by the name in `general.architecture`.
const ARCHITECTURES: [&str; 7] = ["llama", "qwen2", "qwen3", "phi3", "gemma3", "granite", "smollm3"];

/// Activation of the feed-forward network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// `x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2`.
    GeluTanh,
}

/// How angles grow with the position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stretch {
    /// As trained.
    None,
    /// All of them slower by this factor.
    Linear(f32),
    /// Slow ones slower by `factor`, fast ones as trained, those between in between: Peng et al., YaRN, arXiv 2309.00071.
    Yarn {
        /// How many times longer than trained.
        factor: f32,
        /// Window that the model was first trained for, in tokens.
        original_tokens: usize,
        /// Turns within that window from which an angle counts as fast.
        fast: f32,
        /// Turns up to which it counts as slow.
        slow: f32,
    },
}

impl Stretch {
    /// Factor of sines and cosines: Peng et al., section 3.4.
    pub(super) fn magnitude(self) -> f64 {
        match self {
            Self::Yarn { factor, .. } if factor > 1.0 => 1.0 + 0.1 * f64::from(factor).ln(),
            Self::Yarn { .. } | Self::None | Self::Linear(_) => 1.0,
        }
    }
}

/// Rotary embedding of positions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rope {
    /// Base of the angles.
    pub(super) base: f32,
    /// How they are stretched.
    pub(super) stretch: Stretch,
}

/// Layers that see only the last tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sliding {
    /// So many tokens, the current one included.
    pub(super) window_tokens: usize,
    /// Every layer of this number, counted from 1, sees everything all the same.
    pub(super) whole_every: usize,
    /// How positions are told in the layers with a window.
    pub(super) rope: Rope,
}

/// How large a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) blocks: usize,
    pub(super) hidden: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    /// Numbers in a query, and in a key.
    pub(super) head_size: usize,
    pub(super) feed_forward: usize,
    pub(super) vocab_tokens: usize,
    pub(super) trained_tokens: usize,
    /// Numbers of each head that are turned; the others are left as they are.
    pub(super) rope_size: usize,
}

impl Sizes {
    /// Bytes that a token takes in a cache of 16 bits a number: keys and values.
    pub(super) const fn kv_bytes_per_token(&self) -> u64 {
        (self.blocks * self.kv_heads * self.head_size * 4) as u64
    }

    /// Refuses what cannot be a model, before memory is taken for it.
    pub(super) fn check(&self) -> Result<(), String> {
        for (name, found, most) in [
            ("number of blocks", self.blocks, MAX_BLOCKS),
            ("width of a state", self.hidden, MAX_WIDTH),
            ("number of heads", self.heads, MAX_HEADS),
            ("number of heads of keys", self.kv_heads, self.heads),
            ("width of a head", self.head_size, MAX_HEAD_SIZE),
            ("width of the queries", self.heads.saturating_mul(self.head_size), MAX_WIDTH),
            ("width of the feed-forward network", self.feed_forward, MAX_FEED_FORWARD),
            ("number of tokens", self.vocab_tokens, MAX_VOCABULARY),
            ("window in training", self.trained_tokens, MAX_TRAINED_TOKENS),
            ("part of a head that is turned", self.rope_size, self.head_size),
        ] {
            if !(1..=most).contains(&found) {
                return Err(format!("its {name} is {found}, from 1 to {most} can be run"));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(format!("its {} heads are no multiple of {} heads of keys", self.heads, self.kv_heads));
        }
        if !self.rope_size.is_multiple_of(2) {
            return Err(format!("{} numbers of a head cannot be turned in pairs", self.rope_size));
        }
        Ok(())
    }
}

/// Sizes and choices of a model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    pub(super) sizes: Sizes,
    pub(super) epsilon: f32,
    pub(super) rope: Rope,
    /// Whether the file pairs each number of a head with its neighbour, rather than with the one half a head on.
    pub(super) pairs_neighbours: bool,
    /// Every layer of this number, counted from 1, is told no positions.
    pub(super) no_rope_every: Option<usize>,
    /// Factor of angles' sines and cosines, beside what the stretch brings.
    pub(super) rope_factor: f32,
    /// Window that short factors of angles are for, where the model has short and long ones.
    pub(super) original_tokens: usize,
    pub(super) sliding: Option<Sliding>,
    pub(super) activation: Activation,
    /// Factor of scores.
    pub(super) attention_factor: f32,
    /// Factor of the embeddings.
    pub(super) embedding_factor: f32,
    /// Factor of what each part of a block adds.
    pub(super) residual_factor: f32,
    /// Factor of the logits.
    pub(super) logit_factor: f32,
    /// What each block of the family has beside what all have.
    pub(super) required: &'static [&'static str],
}

impl Shape {
    /// A shape of these sizes that does everything as Llama does.
    pub(super) fn new(sizes: Sizes, epsilon: f32, rope: Rope) -> Result<Self, String> {
        sizes.check()?;
        if !(epsilon > 0.0 && epsilon < 1.0) {
            return Err(format!("its norms add {epsilon}, it must lie between 0 and 1"));
        }
        Ok(Self {
            sizes,
            epsilon,
            rope,
            pairs_neighbours: false,
            no_rope_every: None,
            rope_factor: 1.0,
            original_tokens: sizes.trained_tokens,
            sliding: None,
            activation: Activation::Silu,
            attention_factor: 1.0 / (sizes.head_size as f32).sqrt(),
            embedding_factor: 1.0,
            residual_factor: 1.0,
            logit_factor: 1.0,
            required: &[],
        })
    }

    /// Reads the shape of `gguf`.
    pub(super) fn of_gguf(gguf: &Gguf) -> Result<Self, String> {
        let info = gguf.info();
        let architecture = info.architecture.as_str();
        require_known(architecture)?;
        let keys = Keys { gguf, architecture };
        let (hidden, heads) = (keys.size("embedding_length")?, keys.size("attention.head_count")?);
        let head_size = keys.optional_size("attention.key_length")?.unwrap_or(hidden / heads);
        if keys.optional_size("attention.value_length")?.is_some_and(|size| size != head_size) {
            return Err("its keys and values have different lengths".to_owned());
        }
        let sizes = Sizes {
            blocks: keys.size("block_count")?,
            hidden,
            heads,
            kv_heads: keys.optional_size("attention.head_count_kv")?.unwrap_or(heads),
            head_size,
            feed_forward: keys.size("feed_forward_length")?,
            vocab_tokens: usize::try_from(info.vocab_tokens).unwrap_or(usize::MAX),
            trained_tokens: keys.size("context_length")?,
            rope_size: keys.optional_size("rope.dimension_count")?.unwrap_or(head_size),
        };
        let (stretch, original_tokens) = keys.stretch(sizes.trained_tokens)?;
        let rope = Rope { base: keys.float("rope.freq_base")?.unwrap_or(10_000.0), stretch };
        let epsilon = keys.float("attention.layer_norm_rms_epsilon")?.unwrap_or(1e-5);
        let mut shape = Self {
            pairs_neighbours: matches!(architecture, "llama" | "granite" | "smollm3"),
            no_rope_every: (architecture == "smollm3").then_some(4),
            rope_factor: keys.float("rope.scaling.attn_factor")?.unwrap_or(1.0),
            original_tokens,
            required: required_of(architecture),
            ..Self::new(sizes, epsilon, rope)?
        };
        match architecture {
            "gemma3" => {
                shape.activation = Activation::GeluTanh;
                shape.embedding_factor = (hidden as f32).sqrt();
                if keys.float("final_logit_softcapping")?.is_some_and(|cap| cap != 0.0) {
                    return Err("its logits are capped, which this engine does not do".to_owned());
                }
                let base = keys.float("rope.freq_base_swa")?.unwrap_or(10_000.0);
                let local = Rope { base, stretch: Stretch::None };
                // As a number; what stands there as a list names the layers of the usual pattern.
                let whole_every = gguf.integer("gemma3.attention.sliding_window_pattern").unwrap_or(6).max(1);
                let whole_every = usize::try_from(whole_every).unwrap_or(6);
                shape.sliding = keys.optional_size("attention.sliding_window")?.map(|window_tokens| Sliding {
                    window_tokens,
                    whole_every,
                    rope: local,
                });
                // The largest of the family scales by the width of the state for each head.
                if sizes.blocks == 62 {
                    shape.attention_factor = 1.0 / (hidden as f32 / heads as f32).sqrt();
                }
            }
            "granite" => {
                if gguf.integer("granite.rope.scaling.finetuned") == Some(0) {
                    return Err("its positions are not told, which this engine does not do for this family".to_owned());
                }
                let factor = |key| Ok::<_, String>(keys.float(key)?.filter(|factor| *factor != 0.0));
                shape.embedding_factor = factor("embedding_scale")?.unwrap_or(1.0);
                shape.residual_factor = factor("residual_scale")?.unwrap_or(1.0);
                shape.attention_factor = factor("attention.scale")?.unwrap_or(shape.attention_factor);
                shape.logit_factor = 1.0 / factor("logit_scale")?.unwrap_or(1.0);
            }
            _ => {}
        }
        Ok(shape)
    }

    /// Tokens that the layer looks back, itself included; none where it sees everything.
    pub(super) fn window_of(&self, block: usize) -> Option<usize> {
        let sliding = self.sliding?;
        (!(block + 1).is_multiple_of(sliding.whole_every)).then_some(sliding.window_tokens)
    }

    /// Whether positions are told in the layer.
    pub(super) fn has_rope(&self, block: usize) -> bool {
        self.no_rope_every.is_none_or(|every| !(block + 1).is_multiple_of(every))
    }
}

/// Tensors of each block without which a model of the family would compute something else, by the names of GGUF files.
pub(super) fn required_of(architecture: &str) -> &'static [&'static str] {
    match architecture {
        "qwen2" => &["attn_q.bias", "attn_k.bias", "attn_v.bias"],
        "qwen3" => &["attn_q_norm.weight", "attn_k_norm.weight"],
        "gemma3" => &["attn_q_norm.weight", "attn_k_norm.weight", "post_attention_norm.weight", "post_ffw_norm.weight"],
        _ => &[],
    }
}

/// Refuses architectures that cannot be run.
pub(super) fn require_known(architecture: &str) -> Result<(), String> {
    if ARCHITECTURES.contains(&architecture) {
        return Ok(());
    }
    let known = ARCHITECTURES.join(", ");
    Err(format!("its architecture is {architecture:?}; this engine runs {known} (--engine llama-cpp runs more)"))
}

/// The metadata of one architecture.
struct Keys<'a> {
    gguf: &'a Gguf,
    architecture: &'a str,
}

impl Keys<'_> {
    fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>, String> {
        let name = self.name(key);
        let Some(value) = self.gguf.value(&name) else { return Ok(None) };
        match value {
            Value::Integer(number) => match usize::try_from(*number) {
                Ok(number) if (1..=MAX_TRAINED_TOKENS).contains(&number) => Ok(Some(number)),
                _ => Err(format!("{name} is {number}, from 1 to {MAX_TRAINED_TOKENS} can be")),
            },
            _ => Err(format!("{name} is not one number")),
        }
    }

    fn size(&self, key: &str) -> Result<usize, String> {
        self.optional_size(key)?.ok_or_else(|| format!("it has no number {}", self.name(key)))
    }

    fn float(&self, key: &str) -> Result<Option<f32>, String> {
        let name = self.name(key);
        let number = match self.gguf.value(&name) {
            None => return Ok(None),
            Some(Value::Float(number)) => *number as f32,
            Some(Value::Integer(number)) => *number as f32,
            Some(_) => return Err(format!("{name} is not a number")),
        };
        if number.is_finite() { Ok(Some(number)) } else { Err(format!("{name} is {number}")) }
    }

    /// How angles are stretched, and the window that the model was first trained for.
    fn stretch(&self, trained_tokens: usize) -> Result<(Stretch, usize), String> {
        let original = self.optional_size("rope.scaling.original_context_length")?.unwrap_or(trained_tokens);
        let factor = match self.float("rope.scaling.factor")? {
            Some(factor) => Some(factor),
            None => self.float("rope.scale_linear")?,
        };
        let factor = factor.filter(|factor| *factor > 0.0 && *factor != 1.0);
        let stretch = match (self.gguf.text(&self.name("rope.scaling.type")), factor) {
            (Some("yarn"), Some(factor)) => Stretch::Yarn {
                factor,
                original_tokens: original,
                fast: self.float("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0),
                slow: self.float("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0),
            },
            (Some("none" | "longrope"), _) | (_, None) => Stretch::None,
            (Some("linear") | None, Some(factor)) => Stretch::Linear(factor),
            (Some(other), Some(_)) => return Err(format!("its positions are stretched by {other:?}")),
        };
        Ok((stretch, original))
    }
}
