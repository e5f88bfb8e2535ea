//! The vocabulary from GGUF metadata: bytes, kinds and the tokens that end a generation.
//!
//! Two tokenizer families are known: `gpt2` (bytes written as printable characters) and `llama` (SentencePiece: `▁`
//! for a space, `<0xHH>` for a byte). Which tokens end a generation follows llama.cpp: the ids that the metadata name
//! plus tokens of well-known names, which count as control tokens whatever type the file gives them.

use std::sync::Arc;

use super::gguf::{Gguf, Value};
use super::{Error, TokenKind, Vocab};
use crate::types::TokenId;

/// Names that end a generation in one model family or another.
const END_NAMES: [&str; 24] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
];
/// Metadata keys whose value is the id of a token that ends a generation.
const END_KEYS: [&str; 6] = [
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.eom_token_id",
    "tokenizer.ggml.fim_pad_token_id",
    "tokenizer.ggml.fim_rep_token_id",
    "tokenizer.ggml.fim_sep_token_id",
];
/// Names of fill-in-the-middle tokens, control tokens whatever type the file gives them.
const FILL_NAMES: [&str; 6] =
    ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>"];
/// Pre-tokenizers of the `gpt2` family whose prompts begin with the beginning-of-sequence token when the file does
/// not say.
const BOS_PRE_TOKENIZERS: [&str; 4] = ["llama3", "llama-v3", "llama-bpe", "falcon3"];

/// A vocabulary with what prompts need to know of the tokenizer.
#[derive(Debug, Clone)]
pub struct GgufVocab {
    /// The tokens.
    pub vocab: Arc<Vocab>,
    /// Whether prompts begin with the beginning-of-sequence token.
    pub add_bos: bool,
}

/// Builds the vocabulary of `gguf`.
///
/// # Errors
/// [`Error::BadModelFile`] for another tokenizer family, tables of different lengths, ids out of range and tokens that
/// break their family's spelling.
pub fn vocab_from_gguf(gguf: &Gguf) -> Result<GgufVocab, Error> {
    let bad = |reason: String| Error::BadModelFile { path: gguf.path().to_path_buf(), reason };
    let spelling = match gguf.text("tokenizer.ggml.model") {
        Some("gpt2") => Spelling::Bytes,
        Some("llama") => Spelling::SentencePiece,
        Some(other) => return Err(bad(format!("the tokenizer {other:?} is not supported, gpt2 and llama are"))),
        None => return Err(bad("it has no tokenizer".to_owned())),
    };
    let Some(Value::Strings(names)) = gguf.value("tokenizer.ggml.tokens") else {
        return Err(bad("it has no vocabulary".to_owned()));
    };
    let no_types = Vec::new();
    let types = match gguf.value("tokenizer.ggml.token_type") {
        Some(Value::Integers(types)) if types.len() == names.len() => types,
        Some(Value::Integers(types)) => {
            return Err(bad(format!("{} tokens but {} token types", names.len(), types.len())));
        }
        _ => &no_types,
    };
    let ends = END_KEYS.iter().filter_map(|key| gguf.integer(key)).collect();
    let bos = gguf.integer("tokenizer.ggml.bos_token_id");
    let parts = VocabParts { spelling, names, types, ends, bos };
    let vocab = Arc::new(parts.vocab().map_err(bad)?);
    let add_bos = gguf.integer("tokenizer.ggml.add_bos_token").map_or_else(
        || match spelling {
            Spelling::SentencePiece => true,
            Spelling::Bytes => gguf.text("tokenizer.ggml.pre").is_some_and(|pre| BOS_PRE_TOKENIZERS.contains(&pre)),
        },
        |flag| flag != 0,
    );
    Ok(GgufVocab { vocab, add_bos })
}

/// How a tokenizer family writes the bytes of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Each byte as a printable character.
    Bytes,
    /// As text, with `▁` for a blank.
    SentencePiece,
}

/// What a vocabulary is made of, wherever it stands.
pub(super) struct VocabParts<'a> {
    /// How names are spelled.
    pub(super) spelling: Spelling,
    /// Names of the tokens.
    pub(super) names: &'a [Box<[u8]>],
    /// Their types as GGUF files number them; text where there are none.
    pub(super) types: &'a [i64],
    /// Tokens that end a generation, besides those of well-known names.
    pub(super) ends: Vec<u64>,
    /// The token that begins a sequence.
    pub(super) bos: Option<u64>,
}

impl VocabParts<'_> {
    /// The vocabulary, or what is wrong with its parts.
    pub(super) fn vocab(&self) -> Result<Vocab, String> {
        let family = match self.spelling {
            Spelling::Bytes => Family::Gpt2(byte_of_character()),
            Spelling::SentencePiece => Family::SentencePiece,
        };
        let names = self.names;
        let mut is_end = vec![false; names.len()];
        for end in &self.ends {
            let slot = usize::try_from(*end).ok().and_then(|id| is_end.get_mut(id));
            *slot.ok_or_else(|| format!("token {end} ends a generation, the vocabulary has {}", names.len()))? = true;
        }
        let mut rows = Vec::with_capacity(names.len());
        let mut ends = Vec::new();
        for (id, name) in names.iter().enumerate() {
            let named_end = END_NAMES.iter().any(|end| end.as_bytes() == &**name);
            let is_fill = FILL_NAMES.iter().any(|fill| fill.as_bytes() == &**name);
            let kind = if named_end || is_end[id] || is_fill { 3 } else { self.types.get(id).copied().unwrap_or(1) };
            let row = family.row(name, kind).map_err(|reason| format!("token {id}: {reason}"))?;
            rows.push(row);
            if named_end || is_end[id] {
                ends.push(TokenId(u32::try_from(id).map_err(|_| format!("{} tokens", names.len()))?));
            }
        }
        let bos = match self.bos {
            None => None,
            Some(id) => match u32::try_from(id) {
                Ok(id) if (id as usize) < rows.len() => Some(TokenId(id)),
                _ => return Err(format!("token {id} begins a sequence, the vocabulary has {}", rows.len())),
            },
        };
        Ok(Vocab::new(rows, ends, bos))
    }
}

enum Family {
    Gpt2(std::collections::HashMap<char, u8>),
    SentencePiece,
}

impl Family {
    /// Bytes and kind of the token spelled `name` with GGUF type `kind`.
    fn row(&self, name: &[u8], kind: i64) -> Result<(Vec<u8>, TokenKind), String> {
        match kind {
            2 | 3 => Ok((name.to_vec(), TokenKind::Control)),
            // Some files list runs of blanks as user-defined tokens. A run of blanks is no tag: it stays text.
            4 if name.iter().all(u8::is_ascii_whitespace) && !name.is_empty() => Ok((name.to_vec(), TokenKind::Text)),
            4 => Ok((name.to_vec(), TokenKind::Control)),
            5 => Ok((name.to_vec(), TokenKind::Unused)),
            6 => Ok((vec![byte_token(name)?], TokenKind::Text)),
            1 => Ok((self.text(name)?, TokenKind::Text)),
            other => Err(format!("unknown token type {other}")),
        }
    }

    fn text(&self, name: &[u8]) -> Result<Vec<u8>, String> {
        let name = std::str::from_utf8(name).map_err(|_| "its spelling is not UTF-8".to_owned())?;
        match self {
            Self::SentencePiece => Ok(name.replace('\u{2581}', " ").into_bytes()),
            Self::Gpt2(bytes) => name
                .chars()
                .map(|character| bytes.get(&character).copied().ok_or_else(|| format!("{character:?} is no byte")))
                .collect(),
        }
    }
}

/// The byte of a token spelled `<0xHH>`.
fn byte_token(name: &[u8]) -> Result<u8, String> {
    std::str::from_utf8(name)
        .ok()
        .and_then(|name| name.strip_prefix("<0x")?.strip_suffix('>'))
        .filter(|digits| digits.len() == 2)
        .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        .ok_or_else(|| format!("a byte token spelled {:?}", String::from_utf8_lossy(name)))
}

/// GPT-2's way of writing bytes as printable characters, backwards: printable Latin-1 bytes stand for themselves, the
/// other 68 are numbered from U+0100 on.
fn byte_of_character() -> std::collections::HashMap<char, u8> {
    let mut shifted = 0x100_u32;
    let mut map = std::collections::HashMap::new();
    for byte in 0..=u8::MAX {
        let printable = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        let code = if printable {
            u32::from(byte)
        } else {
            shifted += 1;
            shifted - 1
        };
        if let Some(character) = char::from_u32(code) {
            map.insert(character, byte);
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpt2_spelling_covers_every_byte_once() {
        let map = byte_of_character();
        let mut bytes: Vec<u8> = map.values().copied().collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(map.get(&'Ġ'), Some(&b' '));
        assert_eq!(map.get(&'Ċ'), Some(&b'\n'));
    }

    #[test]
    fn sentencepiece_blanks_and_byte_tokens_are_decoded() {
        let family = Family::SentencePiece;
        assert_eq!(family.row("▁Hello▁you".as_bytes(), 1), Ok((b" Hello you".to_vec(), TokenKind::Text)));
        assert_eq!(family.row(b"<0x0A>", 6), Ok((vec![b'\n'], TokenKind::Text)));
        assert!(family.row(b"<0x0>", 6).is_err());
        assert_eq!(family.row(b"</s>", 3), Ok((b"</s>".to_vec(), TokenKind::Control)));
    }

    #[test]
    fn user_defined_tags_are_control_tokens_but_blank_runs_are_text() {
        let family = Family::Gpt2(byte_of_character());
        assert_eq!(family.row(b"<tool_call>", 4).unwrap().1, TokenKind::Control);
        assert_eq!(family.row(b"\n\n", 4).unwrap(), (b"\n\n".to_vec(), TokenKind::Text));
        assert_eq!(family.row(b"pad", 5).unwrap().1, TokenKind::Unused);
        assert!(family.row(b"x", 9).is_err());
    }
}
