//! Random walks through a grammar that go deep and stop inside characters.

use mneme::grammar::{CharSet, Expr, Ir, Matcher};
use mneme::inference::{TokenKind, Vocab};
use mneme::types::{Constraint, TokenId};
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

/// Tokens of a walk; a new one begins there, so that beginnings are seen as well.
pub const WALK_TOKENS: usize = 48;

/// What was written so far.
#[derive(Default)]
pub struct Prefix {
    pub tokens: Vec<TokenId>,
    /// Bytes of a character that is not whole yet.
    pub pending: Vec<u8>,
}

impl Prefix {
    pub fn push(&mut self, vocab: &Vocab, token: TokenId) {
        self.tokens.push(token);
        if vocab.kind(token) == TokenKind::Text {
            self.pending.extend_from_slice(vocab.bytes(token));
            let whole = match std::str::from_utf8(&self.pending) {
                Ok(text) => text.len(),
                Err(error) => error.valid_up_to(),
            };
            self.pending.drain(..whole);
        }
    }

    /// The open character followed by the bytes of `token`.
    pub fn joined(&self, vocab: &Vocab, token: TokenId) -> Vec<u8> {
        [&self.pending, vocab.bytes(token)].concat()
    }

    /// The prefix for a message.
    pub fn shown(&self, vocab: &Vocab) -> String {
        let bytes: Vec<u8> = self.tokens.iter().flat_map(|token| vocab.bytes(*token)).copied().collect();
        let ids: Vec<u32> = self.tokens.iter().map(|token| token.0).collect();
        format!("{:?} (tokens {ids:?})", bytes.escape_ascii().to_string())
    }
}

/// The next step of a walk among `legal`: often a step that the grammar tells apart from others, which opens brackets
/// and ends strings, sometimes a token that ends inside a character, else any token.
pub fn step(
    random: &mut ChaCha8Rng,
    matcher: &mut Matcher,
    vocab: &Vocab,
    prefix: &Prefix,
    legal: &[TokenId],
) -> Option<TokenId> {
    let die: f64 = random.random();
    let matching: Vec<TokenId> = if die < 0.15 {
        legal.iter().copied().filter(|token| ends_inside(&prefix.joined(vocab, *token))).collect()
    } else if die < 0.65 {
        let byte = matcher.next_bytes().unwrap().choose(random).copied();
        legal.iter().copied().filter(|token| vocab.bytes(*token).first() == byte.as_ref()).collect()
    } else {
        Vec::new()
    };
    matching.choose(random).or_else(|| legal.choose(random)).copied()
}

/// Whether `bytes` are the beginning of valid UTF-8 that stops inside a character.
pub fn ends_inside(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// Whether `bytes` cannot be the beginning of valid UTF-8.
pub fn is_broken(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_some())
}

/// The characters that can come of the open character at the end of `bytes`.
pub fn completions(bytes: &[u8]) -> Option<(u32, u32)> {
    let error = std::str::from_utf8(bytes).err().filter(|error| error.error_len().is_none())?;
    let open = &bytes[error.valid_up_to()..];
    let (length, mut low) = match open[0] {
        0xC0..=0xDF => (2, u32::from(open[0] & 0x1F)),
        0xE0..=0xEF => (3, u32::from(open[0] & 0x0F)),
        _ => (4, u32::from(open[0] & 0x07)),
    };
    for byte in &open[1..] {
        low = low << 6 | u32::from(byte & 0x3F);
    }
    let missing = 6 * (length - open.len());
    let least = [0, 0, 0x80, 0x800, 0x1_0000][length];
    Some(((low << missing).max(least), (low << missing | ((1 << missing) - 1)).min(0x10_FFFF)))
}

/// Every character class of `ir`.
pub fn classes(ir: &Ir) -> Vec<CharSet> {
    let mut found = Vec::new();
    for rule in &ir.rules {
        rule.body.walk(&mut |expr| {
            if let Expr::Class(set) = expr {
                found.push(set.clone());
            }
        });
    }
    found
}

/// Tokens that `matcher` lets through.
pub fn allowed(matcher: &mut Matcher) -> Vec<TokenId> {
    let mut tokens = Vec::new();
    matcher.allowed_tokens(&mut tokens).unwrap();
    tokens
}
