//! The vocabulary as bytes and flags, the same for all engines. Built from a model file's metadata, never by asking a
//! native tokenizer.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::types::TokenId;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Ordinary text (GGUF types 1 and 6).
    Text,
    /// Control, user-defined or unknown token (GGUF types 2, 3, 4): never matches text, only named by id.
    Control,
    /// Padding of the table (GGUF type 5): never generated.
    Unused,
}

/// All tokens of a model.
#[derive(Debug, Clone)]
pub struct Vocab {
    bytes: Vec<Box<[u8]>>,
    kinds: Vec<TokenKind>,
    is_text: Vec<bool>,
    end_of_generation: Vec<TokenId>,
    control_by_name: HashMap<Box<[u8]>, TokenId>,
    bos: Option<TokenId>,
    /// Text tokens by their bytes; filled when first asked for (about 40 ms for 150 000 tokens).
    sorted_text: OnceLock<Vec<TokenId>>,
    /// For each first byte the lengths of control names that begin with it, longest first.
    control_lengths: Vec<Vec<usize>>,
}

impl Vocab {
    /// Refuses tokens that there are not.
    #[cfg(any(feature = "llama-cpp", feature = "candle"))]
    pub(super) fn require(&self, operation: &'static str, tokens: &[TokenId]) -> Result<(), super::Error> {
        match tokens.iter().find(|token| token.index() >= self.len()) {
            None => Ok(()),
            Some(token) => {
                let reason = format!("token {} of a vocabulary of {}", token.0, self.len());
                Err(super::Error::Native { operation, reason })
            }
        }
    }

    /// A vocabulary from one row a token: its bytes (the spelled name for control tokens) and its kind.
    #[must_use]
    pub fn new(rows: Vec<(Vec<u8>, TokenKind)>, end_of_generation: Vec<TokenId>, bos: Option<TokenId>) -> Self {
        let mut vocab = Self {
            bytes: Vec::with_capacity(rows.len()),
            kinds: Vec::with_capacity(rows.len()),
            is_text: Vec::with_capacity(rows.len()),
            end_of_generation,
            control_by_name: HashMap::new(),
            bos,
            sorted_text: OnceLock::new(),
            control_lengths: vec![Vec::new(); 256],
        };
        for (id, (bytes, kind)) in (0_u32..).zip(rows) {
            let bytes = bytes.into_boxed_slice();
            if let (TokenKind::Control, Some(first)) = (kind, bytes.first()) {
                let lengths = &mut vocab.control_lengths[usize::from(*first)];
                if let Err(place) = lengths.binary_search_by(|length| bytes.len().cmp(length)) {
                    lengths.insert(place, bytes.len());
                }
                vocab.control_by_name.insert(bytes.clone(), TokenId(id));
            }
            vocab.is_text.push(kind == TokenKind::Text && !bytes.is_empty());
            vocab.bytes.push(bytes);
            vocab.kinds.push(kind);
        }
        vocab
    }

    /// Number of tokens, control and unused ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no token at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes that `token` stands for in text; for a control token its spelled name. Empty for ids out of range.
    #[must_use]
    pub fn bytes(&self, token: TokenId) -> &[u8] {
        self.bytes.get(token.index()).map_or(&[], |bytes| bytes)
    }

    /// What `token` is for; ids out of range are unused.
    #[must_use]
    pub fn kind(&self, token: TokenId) -> TokenKind {
        self.kinds.get(token.index()).copied().unwrap_or(TokenKind::Unused)
    }

    /// One flag a token: true where it is ordinary, non-empty text.
    #[must_use]
    pub fn text_flags(&self) -> &[bool] {
        &self.is_text
    }

    /// Tokens that end a generation.
    #[must_use]
    pub fn end_of_generation(&self) -> &[TokenId] {
        &self.end_of_generation
    }

    /// Whether `token` ends a generation.
    #[must_use]
    pub fn is_end_of_generation(&self, token: TokenId) -> bool {
        self.end_of_generation.contains(&token)
    }

    /// The control token spelled `name`.
    #[must_use]
    pub fn control(&self, name: &str) -> Option<TokenId> {
        self.control_by_name.get(name.as_bytes()).copied()
    }

    /// Names and ids of all control tokens, in no order.
    pub fn controls(&self) -> impl Iterator<Item = (&[u8], TokenId)> {
        self.control_by_name.iter().map(|(name, id)| (&**name, *id))
    }

    /// The beginning-of-sequence token.
    #[must_use]
    pub const fn bos(&self) -> Option<TokenId> {
        self.bos
    }

    /// Text tokens whose bytes begin with `prefix`, `prefix` itself included, in the order of their bytes.
    #[must_use]
    pub fn text_tokens_with_prefix(&self, prefix: &[u8]) -> &[TokenId] {
        let sorted = self.sorted_text.get_or_init(|| {
            let mut ids: Vec<TokenId> =
                (0_u32..).zip(&self.is_text).filter(|(_, is_text)| **is_text).map(|(id, _)| TokenId(id)).collect();
            ids.sort_by(|left, right| self.bytes(*left).cmp(self.bytes(*right)).then(left.cmp(right)));
            ids
        });
        let start = sorted.partition_point(|token| self.bytes(*token) < prefix);
        let length = sorted[start..].partition_point(|token| self.bytes(*token).starts_with(prefix));
        &sorted[start..start + length]
    }

    /// The longest control token whose name `text` begins with, and the name's length in bytes.
    pub(crate) fn longest_control_at(&self, text: &[u8]) -> Option<(TokenId, usize)> {
        let lengths = self.control_lengths.get(usize::from(*text.first()?))?;
        lengths
            .iter()
            .filter_map(|length| {
                let name = text.get(..*length)?;
                self.control_by_name.get(name).map(|token| (*token, *length))
            })
            .next()
    }

    /// `text` in tokens of one byte each; `None` where a byte has none.
    pub(crate) fn spell_in_bytes(&self, text: &[u8]) -> Option<Vec<TokenId>> {
        text.iter()
            .map(|byte| {
                let first = *self.text_tokens_with_prefix(std::slice::from_ref(byte)).first()?;
                (self.bytes(first).len() == 1).then_some(first)
            })
            .collect()
    }
}
