//! Weights of a folder as published on the Hugging Face hub: one safetensors file or several shards.
//!
//! The files are hostile: headers are bounded before they are read, every tensor must lie within its file, and its shape is
//! checked before memory is taken for it.
//!
//! Source: the format's description in the repository `huggingface/safetensors`; names of tensors as `transformers` gives them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use candle_core::{Error, Result, bail};
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde::Deserialize;

use super::folder::{Folder, MadeVector, read_bounded};
use super::weights::{Matrix, Weights};
use crate::types::irregular_file;

/// The file where all weights are in one.
pub(super) const WEIGHTS_NAME: &str = "model.safetensors";
/// The table of tensors where there are several files.
pub(super) const INDEX_NAME: &str = "model.safetensors.index.json";
/// The matrix of the logits, where it is not that of the embeddings.
const OUTPUT: &str = "lm_head.weight";
/// Longest header of a file in bytes; those of large models have a few hundred kB.
const MAX_HEADER_BYTES: u64 = 32 << 20;
/// Longest table in bytes.
const MAX_INDEX_BYTES: u64 = 32 << 20;
/// Most files of a model; the largest have about 200.
const MAX_SHARDS: usize = 1024;

/// One file with its header read.
struct Shard {
    path: PathBuf,
    file: File,
    tensors: HashMap<String, Place>,
}

/// Where a tensor stands.
struct Place {
    kind: Dtype,
    shape: Vec<usize>,
    start_bytes: u64,
    length: usize,
}

/// All files of a model.
pub(super) struct SafetensorsWeights {
    shards: Vec<Shard>,
    /// Vectors that stand in the configuration, by the names that GGUF files give them.
    made: Vec<MadeVector>,
    /// Added to every norm: some families store how far it is from one.
    norm_offset: f32,
    /// Whether a second norm stands behind each part of a block.
    has_norms_behind: bool,
    /// Published names that were taken.
    taken: HashSet<String>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl SafetensorsWeights {
    /// Opens the files of `folder` and reads their headers.
    pub(super) fn open(folder: &Path, with: Folder) -> Result<Self> {
        let one = folder.join(WEIGHTS_NAME);
        let table = if one.exists() { BTreeMap::new() } else { table(folder)? };
        let names = if one.exists() { vec![WEIGHTS_NAME.to_owned()] } else { shard_names(folder, &table)? };
        let shards = names.iter().map(|name| Shard::open(folder.join(name))).collect::<Result<Vec<_>>>()?;
        for (tensor, name) in &table {
            let shard = shards.iter().find(|shard| shard.path.file_name().is_some_and(|file| file == name.as_str()));
            if !shard.is_some_and(|shard| shard.tensors.contains_key(tensor)) {
                bail!("{INDEX_NAME}: {tensor} is not in {name}");
            }
        }
        let Folder { made, norm_offset, has_norms_behind, has_output, .. } = with;
        if has_output == Some(true) && !shards.iter().any(|shard| shard.tensors.contains_key(OUTPUT)) {
            bail!("it has no tensor {OUTPUT}, and tie_word_embeddings is false");
        }
        Ok(Self { shards, made, norm_offset, has_norms_behind, taken: HashSet::new() })
    }

    /// Length of all files in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.shards.iter().filter_map(|shard| shard.file.metadata().ok()).map(|metadata| metadata.len()).sum()
    }

    /// The files.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.shards.iter().map(|shard| shard.path.as_path())
    }

    /// `joins_gate` where gate and up are looked for as one matrix.
    fn publishes(&self, name: &str, joins_gate: bool) -> bool {
        let published = published(name, self.has_norms_behind, joins_gate);
        published.is_some_and(|name| self.shards.iter().any(|shard| shard.tensors.contains_key(&name)))
    }
}

/// The published name of what GGUF files call `name`; `has_norms_behind` where a second norm stands behind each part of a
/// block, `joins_gate` where gate and up are one matrix. None for what is not published as a tensor.
pub(super) fn published(name: &str, has_norms_behind: bool, joins_gate: bool) -> Option<String> {
    let whole = match name {
        "token_embd.weight" => "model.embed_tokens.weight",
        "output_norm.weight" => "model.norm.weight",
        "output.weight" => "lm_head.weight",
        "output.bias" => "lm_head.bias",
        _ => "",
    };
    if !whole.is_empty() {
        return Some(whole.to_owned());
    }
    let (block, part) = name.strip_prefix("blk.")?.split_once('.')?;
    let (part, kind) = part.rsplit_once('.')?;
    let part = match part {
        "attn_norm" => "input_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_qkv" => "self_attn.qkv_proj",
        "attn_output" => "self_attn.o_proj",
        "attn_q_norm" => "self_attn.q_norm",
        "attn_k_norm" => "self_attn.k_norm",
        "post_attention_norm" if has_norms_behind => "post_attention_layernorm",
        "ffn_norm" if has_norms_behind => "pre_feedforward_layernorm",
        "ffn_norm" => "post_attention_layernorm",
        "post_ffw_norm" if has_norms_behind => "post_feedforward_layernorm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" if joins_gate => "mlp.gate_up_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        _ => return None,
    };
    Some(format!("model.layers.{block}.{part}.{kind}"))
}

impl Weights for SafetensorsWeights {
    fn take(&mut self, name: &str, rows: usize, columns: usize) -> Result<Option<Matrix>> {
        if let Some((_, numbers)) = self.made.iter().find(|(made, _)| *made == name) {
            let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            return Matrix::new(GgmlDType::F32, rows, columns, bytes).map(Some);
        }
        let joins_gate = name.ends_with("ffn_up.weight") && !self.publishes(name, false) && self.publishes(name, true);
        let Some(published) = published(name, self.has_norms_behind, joins_gate) else { return Ok(None) };
        let Some(shard) = self.shards.iter_mut().find(|shard| shard.tensors.contains_key(&published)) else {
            return Ok(None);
        };
        let Some(matrix) = shard.take(&published, rows, columns)? else { return Ok(None) };
        self.taken.insert(published);
        if self.norm_offset == 0.0 || !name.ends_with("norm.weight") {
            return Ok(Some(matrix));
        }
        let numbers = matrix.numbers()?.into_iter().map(|number| number + self.norm_offset);
        let bytes = numbers.flat_map(f32::to_le_bytes).collect();
        Matrix::new(GgmlDType::F32, rows, columns, bytes).map(Some)
    }

    fn holds(&self, name: &str) -> bool {
        self.publishes(name, false)
    }

    fn unused(&self) -> Option<String> {
        // Older files keep what angles are made of.
        let is_unused = |name: &&String| {
            name.starts_with("model.layers.") && !self.taken.contains(*name) && !name.ends_with("rotary_emb.inv_freq")
        };
        self.shards.iter().flat_map(|shard| shard.tensors.keys()).filter(is_unused).min().cloned()
    }
}

impl Shard {
    fn open(path: PathBuf) -> Result<Self> {
        let told = |error: &dyn std::fmt::Display| Error::Msg(format!("{}: {error}", path.display()));
        let metadata = std::fs::metadata(&path).map_err(|error| told(&error))?;
        if let Some(found) = irregular_file(&metadata) {
            return Err(told(&format!("it is {found}")));
        }
        let (mut file, length) = (File::open(&path).map_err(|error| told(&error))?, metadata.len());
        let mut size = [0; 8];
        file.read_exact(&mut size).map_err(|_| told(&"too short for a header"))?;
        let header_bytes = u64::from_le_bytes(size);
        if header_bytes > MAX_HEADER_BYTES || header_bytes > length.saturating_sub(8) {
            return Err(told(&format!("a header of {header_bytes} bytes in a file of {length}")));
        }
        let mut header = vec![0; usize::try_from(header_bytes).map_err(Error::wrap)?];
        file.read_exact(&mut header).map_err(|error| told(&error))?;
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|error| told(&format!("its header is damaged: {error}")))?;
        let data_start = 8 + header_bytes;
        let expected = data_start.saturating_add(metadata.data_len() as u64);
        if expected != length {
            return Err(told(&format!("its tensors end at byte {expected}, the file has {length} bytes")));
        }
        let tensors = metadata.tensors().into_iter().map(|(name, info)| {
            let (start, end) = info.data_offsets;
            let place = Place {
                kind: info.dtype,
                shape: info.shape.clone(),
                start_bytes: data_start + start as u64,
                length: end - start,
            };
            (name, place)
        });
        let tensors = tensors.collect();
        Ok(Self { path, file, tensors })
    }

    fn take(&mut self, name: &str, rows: usize, columns: usize) -> Result<Option<Matrix>> {
        let Some(Place { kind, shape, start_bytes, length }) = self.tensors.get(name) else { return Ok(None) };
        if *shape != [rows, columns] && !(rows == 1 && *shape == [columns]) {
            bail!("{name} has the shape {shape:?} instead of {:?}", [rows, columns]);
        }
        let kind = match kind {
            Dtype::F32 => GgmlDType::F32,
            Dtype::F16 => GgmlDType::F16,
            Dtype::BF16 => GgmlDType::BF16,
            other => bail!("{name} has numbers of the kind {other:?}; F32, F16 and BF16 can be run"),
        };
        let mut bytes = vec![0; *length];
        let path = &self.path;
        let told = |error: std::io::Error| Error::Msg(format!("{}: {error}", path.display()));
        self.file.seek(SeekFrom::Start(*start_bytes)).map_err(told)?;
        self.file.read_exact(&mut bytes).map_err(told)?;
        Matrix::new(kind, rows, columns, bytes).map(Some)
    }
}

/// The file of each tensor.
fn table(folder: &Path) -> Result<BTreeMap<String, String>> {
    let path = folder.join(INDEX_NAME);
    let text = read_bounded(&path, MAX_INDEX_BYTES).map_err(Error::Msg)?;
    let index: std::result::Result<Index, _> = serde_json::from_str(&text);
    index.map(|index| index.weight_map).map_err(|error| Error::Msg(format!("{}: {error}", path.display())))
}

/// Names of the files that the table names, each once.
fn shard_names(folder: &Path, table: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let path = folder.join(INDEX_NAME);
    let told = |what: String| Error::Msg(format!("{}: {what}", path.display()));
    let mut names: Vec<String> = table.values().cloned().collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() || names.len() > MAX_SHARDS {
        return Err(told(format!("{} files, from 1 to {MAX_SHARDS} can be read", names.len())));
    }
    // A name is no way out of the folder.
    match names.iter().find(|name| Path::new(name).components().count() != 1 || name.starts_with('.')) {
        Some(name) => Err(told(format!("the file {name:?}"))),
        None => Ok(names),
    }
}
