//! From a GGUF file to a folder as published on the Hugging Face hub: weights at 16 or 32 bits in `model.safetensors`, and the
//! shape, the tokens and the chat template in their JSON files.
//!
//! What was quantised stays as coarse as it was: it is only written otherwise. Tensors are read, widened and written one by
//! one. The folder appears under its name when all of it is written.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::Path;

use half::{bf16, f16};
use safetensors::{Dtype, View};
use serde_json::{Value as Json, json};

use super::super::gguf::{Gguf, GgufTensor, Value};
use super::super::vocab_gguf::vocab_from_gguf;
use super::NAME;
use super::folder::RopeScaling;
use super::safetensors::{WEIGHTS_NAME, published};
use super::shape::{Activation, Shape, Sizes, Stretch};
use super::tokenizer::written_tokens;
use super::weights::{GgufWeights, Matrix, Weights};
use crate::inference::Error;

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// 16 bits, of which 10 are of the fraction.
    F16,
    /// 16 bits with the range of 32.
    Bf16,
    /// 32 bits.
    F32,
}

impl Numbers {
    const fn dtype(self) -> Dtype {
        match self {
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
            Self::F32 => Dtype::F32,
        }
    }

    /// The name that `config.json` has for them.
    const fn name(self) -> &'static str {
        match self {
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::F32 => "float32",
        }
    }

    fn bytes(self, numbers: &[f32]) -> Vec<u8> {
        match self {
            Self::F16 => numbers.iter().flat_map(|number| f16::from_f32(*number).to_le_bytes()).collect(),
            Self::Bf16 => numbers.iter().flat_map(|number| bf16::from_f32(*number).to_le_bytes()).collect(),
            Self::F32 => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
        }
    }
}

/// Writes the model in the GGUF file `path` into `folder`, which must not exist. `progress` is told how far it is, 0 to 1, and
/// returns false to stop it.
///
/// # Errors
/// [`Error::Unreadable`] and [`Error::BadModelFile`] for the file; [`Error::LoadFailed`] where this engine cannot run what is
/// in it; [`Error::CannotWrite`] for the folder; [`Error::LoadCancelled`].
pub fn convert(
    path: &Path,
    folder: &Path,
    numbers: Numbers,
    progress: &mut dyn FnMut(f32) -> bool,
) -> Result<(), Error> {
    let failed = |reason: String| Error::LoadFailed { engine: NAME, path: path.to_path_buf(), reason };
    let unwritten = |source: std::io::Error| Error::CannotWrite { path: folder.to_path_buf(), source };
    if folder.exists() {
        return Err(unwritten(std::io::ErrorKind::AlreadyExists.into()));
    }
    let gguf = Gguf::open_with_tokenizer(path)?;
    let shape = Shape::of_gguf(&gguf).map_err(failed)?;
    let beside = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let scratch = tempfile::Builder::new().prefix(".mneme-convert-").tempdir_in(beside).map_err(unwritten)?;
    let write =
        |name: &str, json: &Json| std::fs::write(scratch.path().join(name), format!("{json:#}\n")).map_err(unwritten);
    write("config.json", &config(&gguf, &shape, numbers))?;
    write("generation_config.json", &json!({ "eos_token_id": ends(&gguf) }))?;
    write("tokenizer_config.json", &tokenizer_config(&gguf, vocab_from_gguf(&gguf)?.add_bos))?;
    write("tokenizer.json", &written_tokens(&gguf).map_err(failed)?)?;
    write_weights(&gguf, &shape, numbers, &scratch.path().join(WEIGHTS_NAME), progress).map_err(
        |fault| match fault {
            Fault::Stopped => Error::LoadCancelled { path: path.to_path_buf() },
            Fault::Read(reason) => failed(reason),
            Fault::Write(source) => unwritten(source),
        },
    )?;
    std::fs::rename(scratch.path(), folder).map_err(unwritten)?;
    // Nothing is left where it was.
    let _ = scratch.keep();
    Ok(())
}

enum Fault {
    Stopped,
    Read(String),
    Write(std::io::Error),
}

/// A tensor that is widened when it is written.
struct Lazy<'a> {
    name: &'a str,
    shape: Vec<usize>,
    turned_heads: Option<usize>,
    work: &'a RefCell<Work<'a>>,
    numbers: Numbers,
}

/// What all tensors are read with.
struct Work<'a> {
    weights: GgufWeights,
    shape: &'a Shape,
    done: usize,
    total: usize,
    progress: &'a mut dyn FnMut(f32) -> bool,
    fault: Option<Fault>,
}

impl Work<'_> {
    fn matrix(&mut self, tensor: &Lazy<'_>) -> Result<Vec<f32>, Fault> {
        if !(self.progress)(self.done as f32 / self.total.max(1) as f32) {
            return Err(Fault::Stopped);
        }
        self.done += 1;
        let (rows, columns) = match *tensor.shape {
            [rows, columns] => (rows, columns),
            [columns] => (1, columns),
            _ => return Err(Fault::Read(format!("{} has the shape {:?}", tensor.name, tensor.shape))),
        };
        let read = |error: candle_core::Error| Fault::Read(error.to_string());
        let matrix = self.weights.require(tensor.name, rows, columns).map_err(read)?;
        let turned = self.shape.sizes.rope_size;
        let matrix = match (tensor.turned_heads, tensor.shape.len()) {
            (Some(heads), 2) => matrix.unpaired(heads, turned),
            (Some(heads), _) => {
                matrix.column().map(|column| column.unpaired(heads, turned).row_again()).map_err(read)?
            }
            (None, _) => matrix,
        };
        let mut numbers = Matrix::numbers(matrix).map_err(read)?;
        if self.shape.activation == Activation::GeluTanh && tensor.name.ends_with("norm.weight") {
            // Gemma's norms are published as how far they are from one.
            numbers.iter_mut().for_each(|number| *number -= 1.0);
        }
        Ok(numbers)
    }
}

impl View for Lazy<'_> {
    fn dtype(&self) -> Dtype {
        self.numbers.dtype()
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut work = self.work.borrow_mut();
        if work.fault.is_some() {
            return Cow::Owned(Vec::new());
        }
        match work.matrix(self) {
            Ok(numbers) => Cow::Owned(self.numbers.bytes(&numbers)),
            Err(fault) => {
                work.fault = Some(fault);
                Cow::Owned(Vec::new())
            }
        }
    }

    fn data_len(&self) -> usize {
        let count = self.shape.iter().try_fold(1_usize, |product, extent| product.checked_mul(*extent));
        count.unwrap_or(usize::MAX / 8).saturating_mul(self.numbers.dtype().bitsize() / 8)
    }
}

fn write_weights(
    gguf: &Gguf,
    shape: &Shape,
    numbers: Numbers,
    path: &Path,
    progress: &mut dyn FnMut(f32) -> bool,
) -> Result<(), Fault> {
    let has_norms_behind = shape.activation == Activation::GeluTanh;
    let weights = GgufWeights::open(gguf.clone()).map_err(Fault::Write)?;
    let total = gguf.tensors().count();
    let work = RefCell::new(Work { weights, shape, done: 0, total, progress, fault: None });
    let joins_gate = |name: &str| gguf.tensor(&name.replace("ffn_up", "ffn_gate")).is_none();
    let mut tensors: Vec<(String, Lazy<'_>)> = Vec::with_capacity(total);
    for (name, GgufTensor { dimensions, .. }) in gguf.tensors() {
        let Some(published) = published(name, has_norms_behind, joins_gate(name)) else {
            // Factors of angles stand in the configuration.
            continue;
        };
        let extents = dimensions.iter().rev().map(|extent| usize::try_from(*extent).unwrap_or(usize::MAX)).collect();
        if shape.pairs_neighbours && name.contains("attn_qkv.") {
            let told = format!("{name} joins queries and keys in an order that published models do not have");
            return Err(Fault::Read(told));
        }
        let Sizes { heads, kv_heads, .. } = shape.sizes;
        let turned_heads = match name.rsplit('.').nth(1) {
            Some("attn_q") if shape.pairs_neighbours => Some(heads),
            Some("attn_k") if shape.pairs_neighbours => Some(kv_heads),
            _ => None,
        };
        tensors.push((published, Lazy { name, shape: extents, turned_heads, work: &work, numbers }));
    }
    let meta = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    let written = safetensors::serialize_to_file(tensors, Some(meta), path);
    if let Some(fault) = work.borrow_mut().fault.take() {
        return Err(fault);
    }
    written.map_err(|error| Fault::Write(std::io::Error::other(error)))
}

fn ends(gguf: &Gguf) -> Vec<u64> {
    ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"].iter().filter_map(|key| gguf.integer(key)).collect()
}

fn tokenizer_config(gguf: &Gguf, add_bos: bool) -> Json {
    let name = |key: &str| -> Json {
        let id = gguf.integer(key).and_then(|id| usize::try_from(id).ok());
        match (id, gguf.value("tokenizer.ggml.tokens")) {
            (Some(id), Some(Value::Strings(names))) => {
                names.get(id).map_or(Json::Null, |name| String::from_utf8_lossy(name).into())
            }
            _ => Json::Null,
        }
    };
    let mut config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": name("tokenizer.ggml.bos_token_id"),
        "eos_token": name("tokenizer.ggml.eos_token_id"),
        "add_bos_token": add_bos,
        "clean_up_tokenization_spaces": false,
    });
    if let Some(template) = &gguf.info().chat_template {
        config["chat_template"] = template.as_str().into();
    }
    config
}

/// The class of `transformers` that runs an architecture.
fn class_of(architecture: &str) -> String {
    let family = match architecture {
        "llama" => "Llama",
        "qwen2" => "Qwen2",
        "qwen3" => "Qwen3",
        "gemma3" => "Gemma3",
        "granite" => "Granite",
        "smollm3" => "SmolLM3",
        "phi3" => "Phi3",
        other => other,
    };
    format!("{family}ForCausalLM")
}

fn config(gguf: &Gguf, shape: &Shape, numbers: Numbers) -> Json {
    let Sizes { blocks, hidden, heads, kv_heads, head_size, feed_forward, vocab_tokens, trained_tokens, rope_size } =
        shape.sizes;
    let architecture = gguf.info().architecture.as_str();
    let mut config = json!({
        "model_type": if architecture == "gemma3" { "gemma3_text" } else { architecture },
        "torch_dtype": numbers.name(),
        "num_hidden_layers": blocks,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_size,
        "intermediate_size": feed_forward,
        "vocab_size": vocab_tokens,
        "max_position_embeddings": trained_tokens,
        "rms_norm_eps": shape.epsilon,
        "rope_theta": shape.rope.base,
        "tie_word_embeddings": gguf.tensor("output.weight").is_none(),
        "bos_token_id": gguf.integer("tokenizer.ggml.bos_token_id"),
        "eos_token_id": gguf.integer("tokenizer.ggml.eos_token_id"),
    });
    if rope_size != head_size {
        config["partial_rotary_factor"] = (rope_size as f32 / head_size as f32).into();
    }
    let biases = |part: &str| gguf.tensor(&format!("blk.0.{part}.bias")).is_some();
    config["architectures"] = json!([class_of(architecture)]);
    config["hidden_act"] = if shape.activation == Activation::Silu { "silu" } else { "gelu_pytorch_tanh" }.into();
    config["attention_bias"] = (biases("attn_q") || biases("attn_qkv")).into();
    config["mlp_bias"] = (biases("ffn_up") || biases("ffn_down")).into();
    match shape.rope.stretch {
        Stretch::None => {}
        Stretch::Linear(factor) => config["rope_scaling"] = json!({ "rope_type": "linear", "factor": factor }),
        Stretch::Yarn { factor, original_tokens, fast, slow } => {
            config["rope_scaling"] = json!({
                "rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original_tokens,
                "beta_fast": fast, "beta_slow": slow,
                "attention_factor": f64::from(shape.rope_factor) * shape.rope.stretch.magnitude(),
            });
        }
    }
    let mut weights = GgufWeights::open(gguf.clone()).ok();
    let mut vector =
        |name: &str| weights.as_mut().and_then(|weights| weights.vector(name, rope_size / 2).ok().flatten());
    if let (Some(short), Some(long)) = (vector("rope_factors_short.weight"), vector("rope_factors_long.weight")) {
        config["rope_scaling"] = json!({
            "rope_type": "longrope", "short_factor": short, "long_factor": long,
            "attention_factor": shape.rope_factor, "original_max_position_embeddings": shape.original_tokens,
        });
    } else if let Some(divisors) = vector("rope_freqs.weight") {
        // Published models tell what they are made of; a file has only what has become of it.
        let made = RopeScaling::of_llama_3(divisors.last().copied());
        let found = made.divisors(shape.rope.base, rope_size, made.original_tokens());
        let is_made = divisors.iter().zip(&found).all(|(one, other)| (one - other).abs() < 1e-3 * other);
        config["rope_scaling"] =
            if is_made { made.written() } else { json!({ "rope_type": "divisors", "divisors": divisors }) };
    }
    match architecture {
        "gemma3" => {
            config["query_pre_attn_scalar"] = shape.attention_factor.powi(-2).into();
            if let Some(sliding) = shape.sliding {
                config["sliding_window"] = sliding.window_tokens.into();
                config["sliding_window_pattern"] = sliding.whole_every.into();
                config["rope_local_base_freq"] = sliding.rope.base.into();
            }
        }
        "granite" => {
            config["embedding_multiplier"] = shape.embedding_factor.into();
            config["residual_multiplier"] = shape.residual_factor.into();
            config["attention_multiplier"] = shape.attention_factor.into();
            config["logits_scaling"] = shape.logit_factor.recip().into();
        }
        "smollm3" => config["no_rope_layer_interval"] = shape.no_rope_every.into(),
        _ => {}
    }
    config
}
