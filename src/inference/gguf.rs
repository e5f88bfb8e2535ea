//! Reading the metadata of GGUF files (versions 2 and 3, little-endian), with every count and length checked before
//! memory is taken for it.
//!
//! Not responsible for tensors' data: their table is read to know where each stands and where the data must end, so that
//! truncated files are refused before native code maps them. Arrays that are not asked for are checked and skipped.
//! Source: `docs/gguf.md` of the ggml project.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

mod tensors;

use super::Error;
use crate::types::irregular_file;
use tensors::Table;

/// Most metadata keys; real files have 20 to 60.
const MAX_KEYS: u64 = 65_536;
/// Longest key in bytes, as the format says.
const MAX_KEY_BYTES: u64 = 65_535;
/// Longest single string in bytes; chat templates, the longest in real files, are about 20 kB.
const MAX_STRING_BYTES: u64 = 16 << 20;
/// Most elements of an array; the largest vocabularies have 262 144 tokens and about 600 000 merges.
const MAX_ARRAY_ELEMENTS: u64 = 4 << 20;
/// Most tensors; the largest mixture models have about 2 000.
const MAX_TENSORS: u64 = 65_536;
/// Alignment of tensor data where the file names none.
const DEFAULT_ALIGNMENT: u64 = 32;
/// Arrays that are kept for a vocabulary.
const OF_VOCABULARY: &[&str] = &["tokenizer.ggml.tokens", "tokenizer.ggml.token_type"];
/// Arrays that are kept for a tokenizer.
const OF_TOKENIZER: &[&str] =
    &["tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges", "tokenizer.ggml.scores"];

/// Numbers and names of `general.file_type`.
#[rustfmt::skip]
const FILE_TYPES: [(u64, &str); 19] = [
    (0, "F32"), (1, "F16"), (2, "Q4_0"), (3, "Q4_1"), (7, "Q8_0"), (8, "Q5_0"), (9, "Q5_1"), (10, "Q2_K"), (11, "Q3_K_S"), (12, "Q3_K_M"),
    (13, "Q3_K_L"), (14, "Q4_K_S"), (15, "Q4_K_M"), (16, "Q5_K_S"), (17, "Q5_K_M"), (18, "Q6_K"), (25, "IQ4_NL"), (30, "IQ4_XS"), (32, "BF16"),
];

/// A metadata value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Any integer type, and booleans as 0 and 1.
    Integer(i128),
    /// f32 or f64.
    Float(f64),
    /// UTF-8 text.
    Text(String),
    /// A kept array of strings, as bytes.
    Strings(Vec<Box<[u8]>>),
    /// A kept array of integers.
    Integers(Vec<i64>),
    /// A kept array of f32 or f64.
    Floats(Vec<f32>),
    /// An array that was skipped.
    Skipped,
}

/// Metadata of a GGUF file whose structure has been checked to the end of the tensor table.
#[derive(Debug, Clone)]
pub struct Gguf {
    path: PathBuf,
    values: BTreeMap<String, Value>,
    tensors: BTreeMap<String, GgufTensor>,
    info: GgufInfo,
}

/// Where a tensor stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GgufTensor {
    /// Number of its type.
    pub(crate) kind: u32,
    /// Its extents, that of a row first.
    pub(crate) dimensions: Vec<u64>,
    /// Where its data begin in the file.
    pub(crate) start_bytes: u64,
    /// Length of its data, which end within the file; none where the type is unknown here.
    pub(crate) length_bytes: Option<u64>,
}

/// What a GGUF file says about itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct GgufInfo {
    /// Version of the format: 2 or 3.
    pub version: u32,
    /// `general.architecture`, such as `qwen2`.
    pub architecture: String,
    /// `general.name`.
    pub name: Option<String>,
    /// Window the model was trained for, in tokens.
    pub context_length_tokens: Option<u64>,
    /// Transformer blocks.
    pub layers: Option<u64>,
    /// Attention heads.
    pub heads: Option<u64>,
    /// Key/value heads.
    pub kv_heads: Option<u64>,
    /// Width of a hidden state.
    pub embedding_length: Option<u64>,
    /// Width of one key vector where it is not `embedding_length / heads`.
    pub key_length: Option<u64>,
    /// `tokenizer.ggml.model`: `gpt2`, `llama`, ..
    pub tokenizer_model: Option<String>,
    /// `tokenizer.ggml.pre`.
    pub tokenizer_pre: Option<String>,
    /// Number of tokens in the vocabulary.
    pub vocab_tokens: u64,
    /// Jinja text of the chat template.
    pub chat_template: Option<String>,
    /// `general.file_type`, the quantisation as a number.
    pub file_type: Option<u64>,
    /// Tensors in the file.
    pub tensor_count: u64,
    /// Sum of the tensors' elements.
    pub parameter_count: u64,
    /// Where the data of the last tensor ends; 0 where a tensor type is unknown here.
    pub data_end_bytes: u64,
    /// Length of the file.
    pub file_bytes: u64,
}

impl GgufInfo {
    /// Bytes that one token takes in an f16 KV cache; `None` where the file does not say enough.
    #[must_use]
    pub fn kv_bytes_per_token(&self) -> Option<u64> {
        let heads = self.heads.filter(|heads| *heads > 0)?;
        let head_width = self.key_length.or_else(|| self.embedding_length.map(|width| width / heads))?;
        // Keys and values, two bytes each.
        self.layers?.checked_mul(self.kv_heads.unwrap_or(heads))?.checked_mul(head_width)?.checked_mul(4)
    }

    /// The quantisation by name, such as `Q4_K_M`; `None` for numbers unknown here.
    #[must_use]
    pub fn quantisation(&self) -> Option<&'static str> {
        let number = self.file_type?;
        FILE_TYPES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
    }
}

impl Gguf {
    /// Reads the metadata and the tensor table of `path`.
    ///
    /// # Errors
    /// [`Error::Unreadable`]; [`Error::BadModelFile`] with reason and offset for anything that is not a whole GGUF
    /// file, also where tensor data would lie beyond the end of the file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_for(path, OF_VOCABULARY)
    }

    /// The same with what a tokenizer is made of: merges and scores.
    ///
    /// # Errors
    /// As [`Gguf::open`].
    #[cfg(feature = "candle")]
    pub(crate) fn open_with_tokenizer(path: &Path) -> Result<Self, Error> {
        Self::open_for(path, OF_TOKENIZER)
    }

    fn open_for(path: &Path, kept: &'static [&'static str]) -> Result<Self, Error> {
        let unreadable = |source| Error::Unreadable { path: path.to_path_buf(), source };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if let Some(found) = irregular_file(&metadata) {
            let reason = format!("it is {found}");
            return Err(Error::BadModelFile { path: path.to_path_buf(), reason });
        }
        let file = File::open(path).map_err(unreadable)?;
        Self::parse_for(BufReader::with_capacity(1 << 18, file), metadata.len(), path, kept)
    }

    /// Reads from any source of `file_bytes` bytes; `path` only names it in errors.
    ///
    /// # Errors
    /// As [`Gguf::open`].
    pub fn parse(source: impl Read + Seek, file_bytes: u64, path: &Path) -> Result<Self, Error> {
        Self::parse_for(source, file_bytes, path, OF_TOKENIZER)
    }

    fn parse_for(
        source: impl Read + Seek,
        file_bytes: u64,
        path: &Path,
        kept: &'static [&'static str],
    ) -> Result<Self, Error> {
        let mut cursor = Cursor { source, offset: 0, length: file_bytes, kept };
        cursor.file(path).map_err(|fault| match fault {
            Fault::Io(source) => Error::Unreadable { path: path.to_path_buf(), source },
            Fault::Format(reason) => Error::BadModelFile { path: path.to_path_buf(), reason },
        })
    }

    /// What the file says about itself.
    #[must_use]
    pub const fn info(&self) -> &GgufInfo {
        &self.info
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The tensor of this name.
    #[cfg(feature = "candle")]
    pub(crate) fn tensor(&self, name: &str) -> Option<&GgufTensor> {
        self.tensors.get(name)
    }

    /// All tensors by name.
    #[cfg(feature = "candle")]
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&str, &GgufTensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The value of a key.
    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// A text value.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.values.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// An integer value that is not negative.
    pub(crate) fn integer(&self, key: &str) -> Option<u64> {
        match self.values.get(key) {
            Some(Value::Integer(number)) => u64::try_from(*number).ok(),
            _ => None,
        }
    }
}

enum Fault {
    Io(std::io::Error),
    Format(String),
}

struct Cursor<R> {
    source: R,
    offset: u64,
    length: u64,
    /// Arrays to keep.
    kept: &'static [&'static str],
}

/// Bytes of a scalar of metadata type `kind`; `None` for strings, arrays and unknown types.
const fn scalar_bytes(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

impl<R: Read + Seek> Cursor<R> {
    fn fault<T>(&self, what: impl std::fmt::Display) -> Result<T, Fault> {
        Err(Fault::Format(format!("{what} at byte {}", self.offset)))
    }

    /// Refuses where fewer than `bytes` are left.
    fn need(&self, bytes: u64, what: &str) -> Result<(), Fault> {
        let left = self.length.saturating_sub(self.offset);
        if bytes > left {
            return self.fault(format!("truncated: {what} needs {bytes} bytes, {left} are left"));
        }
        Ok(())
    }

    fn bytes<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Fault> {
        self.need(N as u64, what)?;
        let mut buffer = [0; N];
        self.source.read_exact(&mut buffer).map_err(Fault::Io)?;
        self.offset += N as u64;
        Ok(buffer)
    }

    fn u32(&mut self, what: &str) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.bytes(what)?))
    }

    fn u64(&mut self, what: &str) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.bytes(what)?))
    }

    fn skip(&mut self, bytes: u64, what: &str) -> Result<(), Fault> {
        self.need(bytes, what)?;
        let Ok(step) = i64::try_from(bytes) else {
            return self.fault(format!("{what} of {bytes} bytes"));
        };
        self.source.seek_relative(step).map_err(Fault::Io)?;
        self.offset += bytes;
        Ok(())
    }

    fn string_length(&mut self, most: u64, what: &str) -> Result<u64, Fault> {
        let length = self.u64(what)?;
        if length > most {
            return self.fault(format!("{what} of {length} bytes, at most {most} are accepted,"));
        }
        self.need(length, what)?;
        Ok(length)
    }

    fn string(&mut self, most: u64, what: &str) -> Result<Vec<u8>, Fault> {
        let length = self.string_length(most, what)?;
        // Bounded by `most` and by what the file has left.
        let mut buffer = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.source.read_exact(&mut buffer).map_err(Fault::Io)?;
        self.offset += length;
        Ok(buffer)
    }

    fn text(&mut self, most: u64, what: &str) -> Result<String, Fault> {
        match String::from_utf8(self.string(most, what)?) {
            Ok(text) => Ok(text),
            Err(_) => self.fault(format!("{what} is not UTF-8")),
        }
    }

    fn scalar(&mut self, kind: u32, what: &str) -> Result<Value, Fault> {
        Ok(match kind {
            0 => Value::Integer(u8::from_le_bytes(self.bytes(what)?).into()),
            1 => Value::Integer(i8::from_le_bytes(self.bytes(what)?).into()),
            2 => Value::Integer(u16::from_le_bytes(self.bytes(what)?).into()),
            3 => Value::Integer(i16::from_le_bytes(self.bytes(what)?).into()),
            4 => Value::Integer(self.u32(what)?.into()),
            5 => Value::Integer(i32::from_le_bytes(self.bytes(what)?).into()),
            6 => Value::Float(f32::from_le_bytes(self.bytes(what)?).into()),
            7 => match self.bytes::<1>(what)? {
                [flag @ (0 | 1)] => Value::Integer(flag.into()),
                [other] => return self.fault(format!("{what} is a boolean of value {other}")),
            },
            10 => Value::Integer(self.u64(what)?.into()),
            11 => Value::Integer(i64::from_le_bytes(self.bytes(what)?).into()),
            12 => Value::Float(f64::from_le_bytes(self.bytes(what)?)),
            _ => return self.fault(format!("{what} has the unknown type {kind}")),
        })
    }

    fn array(&mut self, key: &str) -> Result<Value, Fault> {
        let kind = self.u32(key)?;
        let count = self.u64(key)?;
        if count > MAX_ARRAY_ELEMENTS {
            return self.fault(format!("{key} has {count} elements, at most {MAX_ARRAY_ELEMENTS} are accepted,"));
        }
        let kept = self.kept.contains(&key);
        if kind == 8 {
            // Each string has at least its length.
            self.need(count * 8, key)?;
            let mut strings = Vec::new();
            for _ in 0..count {
                if kept {
                    strings.push(self.string(MAX_STRING_BYTES, key)?.into_boxed_slice());
                } else {
                    let length = self.string_length(MAX_STRING_BYTES, key)?;
                    self.skip(length, key)?;
                }
            }
            return Ok(if kept { Value::Strings(strings) } else { Value::Skipped });
        }
        let Some(width) = scalar_bytes(kind) else {
            return self.fault(format!("{key} is an array of the unknown or nested type {kind}"));
        };
        self.need(count * width, key)?;
        if !kept {
            self.skip(count * width, key)?;
            return Ok(Value::Skipped);
        }
        if matches!(kind, 6 | 12) {
            let mut floats = Vec::new();
            for _ in 0..count {
                if let Value::Float(number) = self.scalar(kind, key)? {
                    floats.push(number as f32);
                }
            }
            return Ok(Value::Floats(floats));
        }
        let mut integers = Vec::new();
        for _ in 0..count {
            match self.scalar(kind, key)? {
                Value::Integer(number) => integers.push(i64::try_from(number).unwrap_or(i64::MAX)),
                _ => return self.fault(format!("{key} is not an array of integers")),
            }
        }
        Ok(Value::Integers(integers))
    }

    fn file(&mut self, path: &Path) -> Result<Gguf, Fault> {
        if self.length < 24 {
            return Err(Fault::Format(format!("{} bytes are too few for a GGUF header", self.length)));
        }
        if &self.bytes::<4>("the magic number")? != b"GGUF" {
            return Err(Fault::Format("it does not begin with GGUF".to_owned()));
        }
        let version = self.u32("the version")?;
        if !(2..=3).contains(&version) {
            return self.fault(format!("version {version}, 2 and 3 are accepted,"));
        }
        let tensor_count = self.u64("the tensor count")?;
        let key_count = self.u64("the key count")?;
        if tensor_count > MAX_TENSORS || key_count > MAX_KEYS {
            return self.fault(format!(
                "{tensor_count} tensors and {key_count} keys, at most {MAX_TENSORS} and {MAX_KEYS} are accepted,"
            ));
        }
        let values = self.keys(key_count)?;
        let alignment = match values.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(Value::Integer(number)) => match u32::try_from(*number) {
                Ok(alignment) if alignment.is_power_of_two() => u64::from(alignment),
                _ => return self.fault(format!("alignment {number} is not a power of two,")),
            },
            Some(_) => return self.fault("alignment is not a number,"),
        };
        let Table { tensors, parameter_count, data_end_bytes } = self.tensors(tensor_count, alignment)?;
        let mut gguf = Gguf {
            path: path.to_path_buf(),
            values,
            tensors,
            info: GgufInfo {
                version,
                architecture: String::new(),
                name: None,
                context_length_tokens: None,
                layers: None,
                heads: None,
                kv_heads: None,
                embedding_length: None,
                key_length: None,
                tokenizer_model: None,
                tokenizer_pre: None,
                vocab_tokens: 0,
                chat_template: None,
                file_type: None,
                tensor_count,
                parameter_count,
                data_end_bytes,
                file_bytes: self.length,
            },
        };
        gguf.describe();
        Ok(gguf)
    }

    fn keys(&mut self, count: u64) -> Result<BTreeMap<String, Value>, Fault> {
        let mut values = BTreeMap::new();
        for _ in 0..count {
            let key = self.text(MAX_KEY_BYTES, "a key")?;
            let kind = self.u32(&key)?;
            let value = match kind {
                8 => Value::Text(self.text(MAX_STRING_BYTES, &key)?),
                9 => self.array(&key)?,
                _ => self.scalar(kind, &key)?,
            };
            if values.contains_key(&key) {
                return self.fault(format!("the key {key} appears twice, the second time"));
            }
            values.insert(key, value);
        }
        Ok(values)
    }
}

impl Gguf {
    fn describe(&mut self) {
        let architecture = self.text("general.architecture").unwrap_or_default().to_owned();
        let of = |key: &str| self.integer(&format!("{architecture}.{key}"));
        let text = |key: &str| self.text(key).map(str::to_owned);
        let described = GgufInfo {
            name: text("general.name"),
            context_length_tokens: of("context_length"),
            layers: of("block_count"),
            heads: of("attention.head_count"),
            kv_heads: of("attention.head_count_kv"),
            embedding_length: of("embedding_length"),
            key_length: of("attention.key_length"),
            tokenizer_model: text("tokenizer.ggml.model"),
            tokenizer_pre: text("tokenizer.ggml.pre"),
            vocab_tokens: match self.value("tokenizer.ggml.tokens") {
                Some(Value::Strings(tokens)) => tokens.len() as u64,
                _ => 0,
            },
            chat_template: text("tokenizer.chat_template"),
            file_type: self.integer("general.file_type"),
            architecture: architecture.clone(),
            ..self.info.clone()
        };
        self.info = described;
    }
}

#[cfg(test)]
mod tests;
