//! Model files of some kilobytes with random weights, for what a model's kind changes and its wits do not.

use std::path::Path;

/// Tokens of the vocabulary: unknown, begin, end, every byte.
const VOCAB: u64 = 3 + 256;
const EMBEDDING: u64 = 32;
const BLOCKS: u64 = 2;

/// A value of the metadata.
enum Value {
    Int(u32),
    Float(f32),
    Text(&'static str),
    Texts(Vec<String>),
    Floats(Vec<f32>),
    Ints(Vec<i32>),
}

/// A file in the making.
#[derive(Default)]
struct Gguf {
    metadata: Vec<(String, Value)>,
    tensors: Vec<(String, Vec<u64>)>,
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

impl Gguf {
    fn of(architecture: &'static str) -> Self {
        let mut file = Self::default();
        file.set("general.architecture", Value::Text(architecture));
        let mut tokens = ["<unk>", "<s>", "</s>"].map(str::to_owned).to_vec();
        tokens.extend((0..=255).map(|byte: u8| format!("<0x{byte:02X}>")));
        let kinds = [2, 3, 3].into_iter().chain([6; 256]).collect();
        file.set("tokenizer.ggml.model", Value::Text("llama"));
        file.set("tokenizer.ggml.tokens", Value::Texts(tokens));
        file.set("tokenizer.ggml.scores", Value::Floats(vec![0.0; VOCAB as usize]));
        file.set("tokenizer.ggml.token_type", Value::Ints(kinds));
        file.set("tokenizer.ggml.bos_token_id", Value::Int(1));
        file.set("tokenizer.ggml.eos_token_id", Value::Int(2));
        for (key, value) in [("context_length", 1024), ("embedding_length", EMBEDDING), ("block_count", BLOCKS)] {
            file.set(&format!("{architecture}.{key}"), Value::Int(value as u32));
        }
        file.tensor("token_embd.weight", &[EMBEDDING, VOCAB]);
        file.tensor("output_norm.weight", &[EMBEDDING]);
        file
    }

    fn set(&mut self, key: &str, value: Value) {
        self.metadata.push((key.to_owned(), value));
    }

    fn tensor(&mut self, name: &str, shape: &[u64]) {
        self.tensors.push((name.to_owned(), shape.to_vec()));
    }

    fn write(&self, path: &Path) {
        let mut out = b"GGUF".to_vec();
        out.extend(3_u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            text(&mut out, key);
            value.write(&mut out);
        }
        let mut offset = 0_u64;
        for (name, shape) in &self.tensors {
            text(&mut out, name);
            out.extend((shape.len() as u32).to_le_bytes());
            shape.iter().for_each(|size| out.extend(size.to_le_bytes()));
            out.extend(0_u32.to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset = (offset + shape.iter().product::<u64>() * 4).next_multiple_of(32);
        }
        out.resize(out.len().next_multiple_of(32), 0);
        let mut state = 7_u64;
        for (name, shape) in &self.tensors {
            for _ in 0..shape.iter().product::<u64>() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let noise = ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) * 0.6;
                // Norms are about one; what a state decays with is below zero.
                let value = match name {
                    name if name.contains("norm") => 1.0 + noise * 0.1,
                    // Factors of angles.
                    name if name.contains("rope_") => 2.0 + noise,
                    name if name.contains("ssm_a") => -0.5 + noise,
                    _ => noise,
                };
                out.extend(value.to_le_bytes());
            }
            out.resize(out.len().next_multiple_of(32), 0);
        }
        // Data begin at a multiple of 32, so that the end is padded like the offsets.
        std::fs::write(path, out).unwrap();
    }
}

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        let kind = |out: &mut Vec<u8>, kind: u32| out.extend(kind.to_le_bytes());
        let array = |out: &mut Vec<u8>, of: u32, length: usize| {
            kind(out, 9);
            kind(out, of);
            out.extend((length as u64).to_le_bytes());
        };
        match self {
            Self::Int(value) => {
                kind(out, 4);
                out.extend(value.to_le_bytes());
            }
            Self::Float(value) => {
                kind(out, 6);
                out.extend(value.to_le_bytes());
            }
            Self::Text(value) => {
                kind(out, 8);
                text(out, value);
            }
            Self::Texts(values) => {
                array(out, 8, values.len());
                values.iter().for_each(|value| text(out, value));
            }
            Self::Floats(values) => {
                array(out, 6, values.len());
                values.iter().for_each(|value| out.extend(value.to_le_bytes()));
            }
            Self::Ints(values) => {
                array(out, 5, values.len());
                values.iter().for_each(|value| out.extend(value.to_le_bytes()));
            }
        }
    }
}

/// Tokens that layers with a sliding window look back.
pub const SLIDING_WINDOW: u32 = 16;

/// A model of the Gemma 3 kind: its layers look back only [`SLIDING_WINDOW`] tokens, but for the sixth, which has another base
/// of angles, stretched.
pub fn write_sliding(path: &Path) {
    let (heads, width, hidden, blocks) = (2_u64, 16_u64, 64_u64, 7);
    let mut file = Gguf::of("gemma3");
    file.metadata.retain(|(key, _)| !key.ends_with(".block_count"));
    for (key, value) in [
        ("block_count", blocks),
        ("attention.head_count", heads),
        ("attention.head_count_kv", heads),
        ("attention.key_length", width),
        ("attention.value_length", width),
        ("attention.sliding_window", u64::from(SLIDING_WINDOW)),
        ("feed_forward_length", hidden),
    ] {
        file.set(&format!("gemma3.{key}"), Value::Int(value as u32));
    }
    file.set("gemma3.attention.layer_norm_rms_epsilon", Value::Float(1e-6));
    file.set("gemma3.rope.freq_base", Value::Float(1_000_000.0));
    file.set("gemma3.rope.scaling.type", Value::Text("linear"));
    file.set("gemma3.rope.scaling.factor", Value::Float(8.0));
    for block in 0..blocks {
        let mut tensor = |name: &str, shape: &[u64]| file.tensor(&format!("blk.{block}.{name}.weight"), shape);
        for norm in ["attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"] {
            tensor(norm, &[EMBEDDING]);
        }
        for norm in ["attn_q_norm", "attn_k_norm"] {
            tensor(norm, &[width]);
        }
        for part in ["attn_q", "attn_k", "attn_v"] {
            tensor(part, &[EMBEDDING, heads * width]);
        }
        tensor("attn_output", &[heads * width, EMBEDDING]);
        tensor("ffn_gate", &[EMBEDDING, hidden]);
        tensor("ffn_up", &[EMBEDDING, hidden]);
        tensor("ffn_down", &[hidden, EMBEDDING]);
    }
    file.write(path);
}

/// Window that stretched models were first trained for, in tokens.
const ORIGINAL_TOKENS: u64 = 64;

/// Models of the decoder kind, of which each does something that the others do not.
pub const FAMILIES: [&str; 9] =
    ["llama", "llama-factors", "llama-yarn", "qwen2", "qwen3", "phi3", "gemma3", "granite", "smollm3"];

/// A model of one of the [`FAMILIES`].
pub fn write_decoder(family: &str, path: &Path) {
    if family == "gemma3" {
        return write_sliding(path);
    }
    let (heads, kv_heads, width, hidden, blocks) =
        (4_u64, 2_u64, 8_u64, 64_u64, if family == "smollm3" { 5 } else { BLOCKS });
    let architecture = family.split('-').next().unwrap();
    let architecture =
        *["llama", "qwen2", "qwen3", "phi3", "granite", "smollm3"].iter().find(|name| **name == architecture).unwrap();
    let width = if architecture == "qwen3" { 2 * width } else { width };
    let mut file = Gguf::of(architecture);
    file.metadata.retain(|(key, _)| !key.ends_with(".block_count"));
    for (key, value) in [
        ("block_count", blocks),
        ("attention.head_count", heads),
        ("attention.head_count_kv", kv_heads),
        ("attention.key_length", width),
        ("attention.value_length", width),
        ("feed_forward_length", hidden),
        // Llama 4 and others turn only a part of each head; so does this Phi.
        ("rope.dimension_count", if architecture == "phi3" { width / 2 } else { width }),
    ] {
        file.set(&format!("{architecture}.{key}"), Value::Int(value as u32));
    }
    let mut float = |key: &str, value: f32| file.set(&format!("{architecture}.{key}"), Value::Float(value));
    float("attention.layer_norm_rms_epsilon", 1e-5);
    float("rope.freq_base", 50_000.0);
    match family {
        "granite" => {
            for (key, value) in
                [("embedding_scale", 6.0), ("residual_scale", 0.3), ("attention.scale", 0.2), ("logit_scale", 4.0)]
            {
                float(key, value);
            }
        }
        "llama-yarn" => {
            float("rope.scaling.factor", 8.0);
            file.set("llama.rope.scaling.type", Value::Text("yarn"));
            file.set("llama.rope.scaling.original_context_length", Value::Int(ORIGINAL_TOKENS as u32));
        }
        "llama-factors" => file.tensor("rope_freqs.weight", &[width / 2]),
        "phi3" => {
            float("rope.scaling.attn_factor", 1.1);
            file.set("phi3.rope.scaling.original_context_length", Value::Int(ORIGINAL_TOKENS as u32));
            file.tensor("rope_factors_long.weight", &[width / 4]);
            file.tensor("rope_factors_short.weight", &[width / 4]);
        }
        _ => {}
    }
    for block in 0..blocks {
        let mut tensor = |name: &str, shape: &[u64]| file.tensor(&format!("blk.{block}.{name}"), shape);
        tensor("attn_norm.weight", &[EMBEDDING]);
        tensor("ffn_norm.weight", &[EMBEDDING]);
        tensor("attn_output.weight", &[heads * width, EMBEDDING]);
        tensor("ffn_down.weight", &[hidden, EMBEDDING]);
        if architecture == "phi3" {
            tensor("attn_qkv.weight", &[EMBEDDING, (heads + 2 * kv_heads) * width]);
            tensor("ffn_up.weight", &[EMBEDDING, 2 * hidden]);
            continue;
        }
        tensor("ffn_gate.weight", &[EMBEDDING, hidden]);
        tensor("ffn_up.weight", &[EMBEDDING, hidden]);
        for (part, heads) in [("attn_q", heads), ("attn_k", kv_heads), ("attn_v", kv_heads)] {
            tensor(&format!("{part}.weight"), &[EMBEDDING, heads * width]);
            if architecture == "qwen2" {
                tensor(&format!("{part}.bias"), &[heads * width]);
            }
        }
        if family == "llama-yarn" {
            // Biases wherever the family may have them.
            let biases =
                [("ffn_gate", hidden), ("ffn_up", hidden), ("ffn_down", EMBEDDING), ("attn_output", EMBEDDING)];
            let rows = [("attn_q", heads), ("attn_k", kv_heads), ("attn_v", kv_heads)];
            for (part, length) in biases.into_iter().chain(rows.map(|(part, heads)| (part, heads * width))) {
                tensor(&format!("{part}.bias"), &[length]);
            }
        }
        if architecture == "qwen3" {
            tensor("attn_q_norm.weight", &[width]);
            tensor("attn_k_norm.weight", &[width]);
        }
    }
    if family != "qwen2" {
        file.tensor("output.weight", &[EMBEDDING, VOCAB]);
    }
    file.write(path);
}

/// A model of the Mamba kind: instead of keys and values it keeps one state, which cannot be cut.
pub fn write_recurrent(path: &Path) {
    let (inner, state, rank, kernel) = (2 * EMBEDDING, 16_u64, 8_u64, 4_u64);
    let mut file = Gguf::of("mamba");
    for (key, value) in [
        ("feed_forward_length", 0),
        ("attention.head_count", 0),
        ("ssm.conv_kernel", kernel),
        ("ssm.inner_size", inner),
        ("ssm.state_size", state),
        ("ssm.time_step_rank", rank),
    ] {
        file.set(&format!("mamba.{key}"), Value::Int(value as u32));
    }
    file.set("mamba.attention.layer_norm_rms_epsilon", Value::Float(1e-5));
    for block in 0..BLOCKS {
        let mut tensor = |name: &str, shape: &[u64]| file.tensor(&format!("blk.{block}.{name}"), shape);
        tensor("attn_norm.weight", &[EMBEDDING]);
        tensor("ssm_in.weight", &[EMBEDDING, 2 * inner]);
        tensor("ssm_conv1d.weight", &[kernel, inner]);
        tensor("ssm_conv1d.bias", &[inner]);
        tensor("ssm_x.weight", &[inner, rank + 2 * state]);
        tensor("ssm_dt.weight", &[rank, inner]);
        tensor("ssm_dt.bias", &[inner]);
        tensor("ssm_a", &[state, inner]);
        tensor("ssm_d", &[inner]);
        tensor("ssm_out.weight", &[inner, EMBEDDING]);
    }
    file.write(path);
}
