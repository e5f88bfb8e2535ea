//! A model's folder as published on the Hugging Face hub: `config.json` for its shape, `tokenizer.json` for its tokens,
//! `tokenizer_config.json` for its chat template.
//!
//! The files are hostile: sizes are bounded before they are read, and every number of the configuration is checked.
//!
//! Source: the configuration classes of `transformers`, whose names the fields have.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::super::vocab_gguf::{Spelling, VocabParts};
use super::super::{GgufVocab, Vocab};
use super::shape::{Activation, MAX_VOCABULARY, Rope, Shape, Sizes, Sliding, Stretch, require_known, required_of};
use super::tokenizer::{Pieces, Tokenizer};
use crate::types::irregular_file;

/// Largest `config.json` and the like in bytes; they have a few kB, with a long template some ten.
const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// Largest `tokenizer.json` in bytes; that of Gemma 3 has 33 MB.
const MAX_TOKENIZER_BYTES: u64 = 64 << 20;
/// GGUF's numbers of token types.
const TEXT: i64 = 1;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const UNUSED: i64 = 5;
const BYTE: i64 = 6;

/// Turns within the first window up to which an angle of Llama 3 counts as slow ..
const LOW_TURNS: f32 = 1.0;
/// .. and from which it counts as fast.
const HIGH_TURNS: f32 = 4.0;

/// Reads a regular file of UTF-8 of at most `most_bytes`.
pub(super) fn read_bounded(path: &Path, most_bytes: u64) -> Result<String, String> {
    let told = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let metadata = std::fs::metadata(path).map_err(|error| told(&error))?;
    if let Some(found) = irregular_file(&metadata) {
        return Err(told(&format!("it is {found}")));
    }
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(most_bytes + 1).read_to_string(&mut text));
    match read.map_err(|error| told(&error))? as u64 {
        bytes if bytes > most_bytes => Err(told(&format!("more than {most_bytes} bytes"))),
        _ => Ok(text),
    }
}

/// One id, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Ids {
    One(u64),
    Several(Vec<u64>),
}

impl Ids {
    fn all(&self) -> Vec<u64> {
        match self {
            Self::One(id) => vec![*id],
            Self::Several(ids) => ids.clone(),
        }
    }
}

/// How positions are stretched.
#[derive(Debug, Default, Deserialize)]
pub(super) struct RopeScaling {
    rope_type: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    partial_rotary_factor: Option<f32>,
    /// Forms with settings for each kind of layer.
    full_attention: Option<Box<RopeScaling>>,
    sliding_attention: Option<Box<RopeScaling>>,
    rope_theta: Option<f32>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    original_max_position_embeddings: Option<usize>,
    beta_fast: Option<f32>,
    beta_slow: Option<f32>,
    attention_factor: Option<f32>,
    short_factor: Option<Vec<f32>>,
    long_factor: Option<Vec<f32>>,
    /// Of our own: what each angle is divided by, where nothing else tells it.
    divisors: Option<Vec<f32>>,
}

/// What `config.json` says of the model.
#[derive(Debug, Deserialize)]
struct Config {
    model_type: String,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    intermediate_size: usize,
    vocab_size: usize,
    max_position_embeddings: usize,
    rms_norm_eps: Option<f32>,
    rope_theta: Option<f32>,
    rope_scaling: Option<RopeScaling>,
    rope_parameters: Option<RopeScaling>,
    original_max_position_embeddings: Option<usize>,
    partial_rotary_factor: Option<f32>,
    sliding_window: Option<usize>,
    use_sliding_window: Option<bool>,
    sliding_window_pattern: Option<usize>,
    rope_local_base_freq: Option<f32>,
    query_pre_attn_scalar: Option<f32>,
    no_rope_layer_interval: Option<usize>,
    embedding_multiplier: Option<f32>,
    residual_multiplier: Option<f32>,
    attention_multiplier: Option<f32>,
    logits_scaling: Option<f32>,
    bos_token_id: Option<u64>,
    eos_token_id: Option<Ids>,
    tie_word_embeddings: Option<bool>,
    layer_types: Option<Vec<String>>,
    hidden_act: Option<String>,
    hidden_activation: Option<String>,
    final_logit_softcapping: Option<f32>,
    attn_logit_softcapping: Option<f32>,
}

/// A vector that GGUF files hold as a tensor, by the name that it has there.
pub(super) type MadeVector = (&'static str, Vec<f32>);

/// What stands in the folder beside the weights.
pub(super) struct Folder {
    pub(super) shape: Shape,
    /// None once it is taken.
    pub(super) tokenizer: Option<Tokenizer>,
    pub(super) vocab: GgufVocab,
    pub(super) chat_template: Option<String>,
    /// Vectors that GGUF files hold as tensors, by the name that they have there.
    pub(super) made: Vec<MadeVector>,
    /// Added to every norm.
    pub(super) norm_offset: f32,
    /// Whether a second norm stands behind each part of a block.
    pub(super) has_norms_behind: bool,
    /// Whether logits come from a matrix of their own, and not from that of the embeddings; none where it is not said.
    pub(super) has_output: Option<bool>,
}

impl Folder {
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let json = |name: &str| -> Result<Value, String> {
            let path = folder.join(name);
            let text =
                read_bounded(&path, if name == "tokenizer.json" { MAX_TOKENIZER_BYTES } else { MAX_CONFIG_BYTES })?;
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
        };
        let optional = |name: &str| if folder.join(name).exists() { json(name).map(Some) } else { Ok(None) };
        let whole = json("config.json")?;
        if whole.get("text_config").is_some() {
            return Err("config.json: the model is one that sees or hears; this engine reads text alone".to_owned());
        }
        let config: Config = serde_json::from_value(whole).map_err(|error| format!("config.json: {error}"))?;
        let generation = optional("generation_config.json")?;
        let of_tokenizer = optional("tokenizer_config.json")?;
        let mut ends = config.eos_token_id.as_ref().map(Ids::all).unwrap_or_default();
        if let Some(more) = generation.and_then(|mut generation| generation.get_mut("eos_token_id").map(Value::take))
            && let Ok(more) = serde_json::from_value::<Ids>(more)
        {
            ends.extend(more.all());
        }
        let tokens = json("tokenizer.json")?;
        let table = Table::of(&tokens, config.vocab_size)?;
        let vocab = table.vocab(ends, config.bos_token_id)?;
        let add_bos = vocab.bos().is_some() && adds_bos(of_tokenizer.as_ref(), &tokens);
        let tokenizer = Tokenizer::of_json(tokens, &table.pieces())?;
        let template = folder.join("chat_template.jinja");
        let chat_template = if template.exists() {
            Some(read_bounded(&template, MAX_CONFIG_BYTES)?)
        } else {
            of_tokenizer.as_ref().and_then(template_of)
        };
        let (shape, made) = config.shape()?;
        let has_output = config.tie_word_embeddings.map(|tied| !tied);
        let is_gemma = config.model_type.starts_with("gemma3");
        Ok(Self {
            shape,
            tokenizer: Some(tokenizer),
            vocab: GgufVocab { vocab: std::sync::Arc::new(vocab), add_bos },
            chat_template,
            made,
            norm_offset: if is_gemma { 1.0 } else { 0.0 },
            has_norms_behind: is_gemma,
            has_output,
        })
    }
}

/// The chat template of a `tokenizer_config.json`: one text, or the one called `default` of several.
fn template_of(config: &Value) -> Option<String> {
    match config.get("chat_template")? {
        Value::String(text) => Some(text.clone()),
        Value::Array(several) => {
            let default = several.iter().find(|one| one.get("name").and_then(Value::as_str) == Some("default"))?;
            default.get("template")?.as_str().map(str::to_owned)
        }
        _ => None,
    }
}

/// Whether prompts begin with the beginning-of-sequence token: as the flag says, else as the tokenizer's own template does.
fn adds_bos(config: Option<&Value>, tokenizer: &Value) -> bool {
    let flag = config.and_then(|config| config.get("add_bos_token")).and_then(Value::as_bool);
    flag.unwrap_or_else(|| {
        let post = tokenizer.get("post_processor").unwrap_or(&Value::Null);
        let several =
            post.get("processors").and_then(Value::as_array).map_or(std::slice::from_ref(post), Vec::as_slice);
        several.iter().any(|one| one.pointer("/single/0/SpecialToken").is_some())
    })
}

impl Config {
    /// The shape, and vectors that GGUF files hold as tensors.
    fn shape(&self) -> Result<(Shape, Vec<MadeVector>), String> {
        let architecture = match self.model_type.as_str() {
            "mistral" => "llama",
            "gemma3_text" => "gemma3",
            other => other,
        };
        require_known(architecture)?;
        let all = self.rope_scaling.as_ref().or(self.rope_parameters.as_ref());
        let scaling = all.map(|all| all.full_attention.as_deref().unwrap_or(all));
        let default_base = if architecture == "gemma3" { 1_000_000.0 } else { 10_000.0 };
        let base = self.rope_theta.or(scaling.and_then(|scaling| scaling.rope_theta)).unwrap_or(default_base);
        let head_size = self.head_dim.unwrap_or_else(|| self.hidden_size / self.num_attention_heads.max(1));
        let share = self.partial_rotary_factor.or(scaling.and_then(|scaling| scaling.partial_rotary_factor));
        let rope_size = share.map_or(head_size, |share| (share * head_size as f32) as usize);
        let sizes = Sizes {
            blocks: self.num_hidden_layers,
            hidden: self.hidden_size,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            head_size,
            feed_forward: self.intermediate_size,
            vocab_tokens: self.vocab_size,
            trained_tokens: self.max_position_embeddings,
            rope_size,
        };
        // Before anything is made as long as they say.
        sizes.check()?;
        if !(base.is_finite() && base > 0.0) {
            return Err(format!("config.json: rope_theta is {base}"));
        }
        let original_tokens = scaling
            .and_then(|scaling| scaling.original_max_position_embeddings)
            .or(self.original_max_position_embeddings)
            .unwrap_or(self.max_position_embeddings);
        let mut made = Vec::new();
        let (mut stretch, mut rope_factor) = (Stretch::None, 1.0);
        if let Some(scaling) = scaling {
            let factor = scaling.factor.unwrap_or(1.0);
            if !(factor.is_finite() && factor > 0.0) {
                return Err(format!("config.json: positions are stretched {factor} times"));
            }
            match scaling.rope_type.as_deref().or(scaling.kind.as_deref()) {
                None | Some("default") => {}
                Some("linear") => stretch = Stretch::Linear(factor),
                Some("yarn") => {
                    let (fast, slow) = (scaling.beta_fast.unwrap_or(32.0), scaling.beta_slow.unwrap_or(1.0));
                    stretch = Stretch::Yarn { factor, original_tokens, fast, slow };
                    // What is told is all of it.
                    rope_factor =
                        scaling.attention_factor.map_or(1.0, |told| (f64::from(told) / stretch.magnitude()) as f32);
                }
                Some("llama3") => made.push(("rope_freqs.weight", scaling.divisors(base, rope_size, original_tokens))),
                Some("divisors") => {
                    let divisors = scaling.divisors.clone().ok_or("config.json: its rope_scaling has no divisors")?;
                    made.push(("rope_freqs.weight", divisors));
                }
                Some("longrope" | "su") => {
                    for (name, factors) in [
                        ("rope_factors_short.weight", &scaling.short_factor),
                        ("rope_factors_long.weight", &scaling.long_factor),
                    ] {
                        made.push((name, factors.clone().ok_or("config.json: its rope_scaling has no factors")?));
                    }
                    let longer = self.max_position_embeddings as f32 / original_tokens.max(1) as f32;
                    let by_length = (1.0 + longer.max(1.0).ln() / (original_tokens.max(2) as f32).ln()).sqrt();
                    rope_factor = scaling.attention_factor.unwrap_or(by_length);
                }
                Some(other) => return Err(format!("config.json: its positions are stretched by {other:?}")),
            }
        }
        let rope = Rope { base, stretch };
        let mut shape = Shape::new(sizes, self.rms_norm_eps.unwrap_or(1e-6), rope)?;
        (shape.original_tokens, shape.rope_factor) = (original_tokens, rope_factor);
        shape.required = required_of(architecture);
        let window = self.sliding_window.filter(|window| *window > 0 && self.use_sliding_window != Some(false));
        if matches!(architecture, "qwen2" | "qwen3") && self.use_sliding_window == Some(true) {
            return Err("config.json: sliding windows of this family are not run by this engine".to_owned());
        }
        match (architecture, window) {
            ("gemma3", Some(window_tokens)) => {
                let of_layers = all.and_then(|all| all.sliding_attention.as_deref()?.rope_theta);
                let base = self.rope_local_base_freq.or(of_layers).unwrap_or(10_000.0);
                let local = Rope { base, stretch: Stretch::None };
                let whole_every = self.sliding_window_pattern.unwrap_or(6).max(1);
                shape.sliding = Some(Sliding { window_tokens, whole_every, rope: local });
            }
            (_, Some(window_tokens)) if self.model_type == "mistral" => {
                shape.sliding = Some(Sliding { window_tokens, whole_every: usize::MAX, rope });
            }
            _ => {}
        }
        match architecture {
            "gemma3" => {
                shape.activation = Activation::GeluTanh;
                shape.embedding_factor = (self.hidden_size as f32).sqrt();
                if let Some(scale) = self.query_pre_attn_scalar.filter(|scale| *scale > 0.0) {
                    shape.attention_factor = scale.sqrt().recip();
                }
            }
            "granite" => {
                let factor = |given: Option<f32>, else_: f32| given.filter(|given| *given != 0.0).unwrap_or(else_);
                shape.embedding_factor = factor(self.embedding_multiplier, 1.0);
                shape.residual_factor = factor(self.residual_multiplier, 1.0);
                shape.attention_factor = factor(self.attention_multiplier, shape.attention_factor);
                shape.logit_factor = 1.0 / factor(self.logits_scaling, 1.0);
            }
            "smollm3" => shape.no_rope_every = Some(self.no_rope_layer_interval.unwrap_or(4).max(1)),
            _ => {}
        }
        self.require_same(&shape)?;
        Ok((shape, made))
    }

    /// Refuses what the model does otherwise than this engine.
    fn require_same(&self, shape: &Shape) -> Result<(), String> {
        if self.final_logit_softcapping.or(self.attn_logit_softcapping).is_some() {
            return Err("config.json: its logits are capped, which this engine does not do".to_owned());
        }
        let usual = match shape.activation {
            Activation::Silu => ["silu", "swish"],
            Activation::GeluTanh => ["gelu_pytorch_tanh", "gelu_tanh"],
        };
        if let Some(other) = self.hidden_activation.as_ref().or(self.hidden_act.as_ref())
            && !usual.contains(&other.as_str())
        {
            return Err(format!("config.json: its activation is {other:?} instead of {:?}", usual[0]));
        }
        let Some(layers) = &self.layer_types else { return Ok(()) };
        let same = |(block, kind): (usize, &String)| {
            kind == if shape.window_of(block).is_some() { "sliding_attention" } else { "full_attention" }
        };
        match layers.iter().enumerate().find(|layer| !same(*layer)) {
            Some((block, kind)) => {
                Err(format!("config.json: layer {block} is of the kind {kind:?}, which is not run there"))
            }
            None if layers.len() == shape.sizes.blocks => Ok(()),
            None => Err(format!("config.json: it tells the kinds of {} layers", layers.len())),
        }
    }
}

impl RopeScaling {
    /// As Llama 3.1 and 3.2 have it, by the factor of the slowest angles.
    pub(super) fn of_llama_3(factor: Option<f32>) -> Self {
        Self { factor, original_max_position_embeddings: Some(8192), ..Self::default() }
    }

    /// Window that the model was first trained for, in tokens.
    pub(super) fn original_tokens(&self) -> usize {
        self.original_max_position_embeddings.unwrap_or_default()
    }

    /// As it stands in `config.json`.
    pub(super) fn written(&self) -> Value {
        serde_json::json!({
            "rope_type": "llama3",
            "factor": self.factor,
            "low_freq_factor": LOW_TURNS,
            "high_freq_factor": HIGH_TURNS,
            "original_max_position_embeddings": self.original_max_position_embeddings,
        })
    }

    /// What each angle is divided by: slow ones by the factor, fast ones by 1, those between in between. Source: the
    /// configuration of Llama 3.1.
    pub(super) fn divisors(&self, base: f32, size: usize, original_tokens: usize) -> Vec<f32> {
        let factor = self.factor.unwrap_or(8.0);
        let (low, high) = (self.low_freq_factor.unwrap_or(LOW_TURNS), self.high_freq_factor.unwrap_or(HIGH_TURNS));
        let divisor = |pair: usize| {
            let turn_tokens = std::f32::consts::TAU * base.powf(2.0 * pair as f32 / size as f32);
            let turns = original_tokens as f32 / turn_tokens;
            let fastness = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            1.0 / ((1.0 - fastness) / factor + fastness)
        };
        (0..size / 2).map(divisor).collect()
    }
}

/// The tokens of a `tokenizer.json`, by id.
struct Table {
    spelling: Spelling,
    names: Vec<Box<[u8]>>,
    types: Vec<i64>,
}

impl Table {
    fn of(json: &Value, vocab_tokens: usize) -> Result<Self, String> {
        let wrong = |what: &str| format!("tokenizer.json: {what}");
        if !(1..=MAX_VOCABULARY).contains(&vocab_tokens) {
            return Err(format!("config.json: vocab_size is {vocab_tokens}, from 1 to {MAX_VOCABULARY} can be run"));
        }
        if json.pointer("/model/type").and_then(Value::as_str).is_some_and(|kind| kind != "BPE") {
            return Err(wrong("its model is not of the kind BPE"));
        }
        let pieces =
            json.pointer("/model/vocab").and_then(Value::as_object).ok_or_else(|| wrong("it has no vocabulary"))?;
        let has_bytes = json.pointer("/model/byte_fallback").and_then(Value::as_bool).unwrap_or(false);
        let spelling = if has_bytes { Spelling::SentencePiece } else { Spelling::Bytes };
        // Rows that the file does not name pad the matrix.
        let mut names: Vec<Box<[u8]>> = vec![Box::default(); vocab_tokens];
        let mut types = vec![UNUSED; vocab_tokens];
        let mut put = |id: Option<u64>, name: &str, kind: i64| -> Result<(), String> {
            if kind == CONTROL && id.is_some_and(|id| id >= vocab_tokens as u64) {
                // A mark for pictures, of which the model has no row.
                return Ok(());
            }
            let place = id.and_then(|id| usize::try_from(id).ok()).filter(|id| *id < vocab_tokens);
            let place =
                place.ok_or_else(|| wrong(&format!("the token {name:?} has the id {id:?} of {vocab_tokens}")))?;
            names[place] = name.as_bytes().into();
            types[place] = kind;
            Ok(())
        };
        for (name, id) in pieces {
            let is_byte = has_bytes && name.len() == 6 && name.starts_with("<0x") && name.ends_with('>');
            put(id.as_u64(), name, if is_byte { BYTE } else { TEXT })?;
        }
        for added in json.get("added_tokens").and_then(Value::as_array).map_or(&[][..], Vec::as_slice) {
            let name = added.get("content").and_then(Value::as_str).unwrap_or_default();
            let is_special = added.get("special").and_then(Value::as_bool).unwrap_or(true);
            // Runs of blanks are text, however they are spelled.
            let blanks = name.replace('\u{2581}', " ");
            let name = if blanks.trim().is_empty() { blanks.as_str() } else { name };
            put(added.get("id").and_then(Value::as_u64), name, if is_special { CONTROL } else { USER_DEFINED })?;
        }
        Ok(Self { spelling, names, types })
    }

    fn vocab(&self, ends: Vec<u64>, bos: Option<u64>) -> Result<Vocab, String> {
        let Self { spelling, names, types } = self;
        VocabParts { spelling: *spelling, names, types, ends, bos }.vocab()
    }

    fn pieces(&self) -> Pieces<'_> {
        Pieces { names: &self.names, types: &self.types }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_of_llama_3_are_divided_where_they_are_slow() {
        let scaling = RopeScaling { factor: Some(32.0), ..RopeScaling::default() };
        let divisors = scaling.divisors(500_000.0, 64, 8192);
        assert_eq!((divisors.len(), divisors[0], divisors[31]), (32, 1.0, 32.0));
        assert!(divisors.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(divisors.iter().any(|divisor| *divisor > 1.5 && *divisor < 30.0));
    }

    #[test]
    fn a_template_is_found_by_its_name() {
        let template = |json: &str| template_of(&serde_json::from_str(json).unwrap());
        assert_eq!(template(r#"{"chat_template":"x"}"#).as_deref(), Some("x"));
        let several = r#"{"chat_template":[{"name":"rag","template":"r"},{"name":"default","template":"d"}]}"#;
        assert_eq!(template(several).as_deref(), Some("d"));
        assert_eq!(template("{}"), None);
    }
}
