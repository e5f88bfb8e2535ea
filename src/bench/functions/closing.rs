//! Where replies under a grammar end before the model ends them.
//!
//! A text stays a text, whatever follows: of what it says, the beginning is enough ([`ShortText`]). A call that came to the
//! most tokens of a reply is closed by the shortest end that the grammar has, nearly ([`close`]). Inside a JSON text the closing quote is taken as soon as it may; elsewhere a closing bracket before anything that opens
//! more, and values that are short. Each choice is put to the matcher, so that what is closed is a reply of the grammar.

use crate::grammar::Matcher;
use crate::inference::Vocab;
use crate::types::{Constraint, ConstraintError, TokenId};

/// Most tokens of a text.
pub(super) const MAX_TEXT_TOKENS: usize = 64;
/// What calls begin with in every dialect: brackets, a tag or a fence.
const CALL_BEGINNINGS: &[u8] = b"{[<`";
/// Steps after which there is no short end: objects of required members close in a few hundred.
const MAX_STEPS: usize = 4096;
/// What is tried outside of texts, in this order.
const CLOSERS: [&[u8]; 7] = [b"}", b"]", b"\"", b"0", b"[", b"{", b"\n"];

/// A grammar under which a text ends after 64 tokens.
pub(super) struct ShortText<'a> {
    matcher: &'a mut Matcher,
    vocab: &'a Vocab,
    /// First byte of the reply.
    first: Option<u8>,
    tokens: usize,
}

impl<'a> ShortText<'a> {
    pub(super) const fn new(matcher: &'a mut Matcher, vocab: &'a Vocab) -> Self {
        Self { matcher, vocab, first: None, tokens: 0 }
    }
}

impl Constraint for ShortText<'_> {
    fn allows(&mut self, token: TokenId) -> Result<bool, ConstraintError> {
        self.matcher.allows(token)
    }

    fn commit(&mut self, token: TokenId) -> Result<(), ConstraintError> {
        self.matcher.commit(token)?;
        self.tokens += 1;
        self.first = self.first.or_else(|| self.vocab.bytes(token).first().copied());
        Ok(())
    }

    fn may_end(&self) -> bool {
        self.matcher.may_end()
    }

    fn must_end(&self) -> bool {
        let is_text = self.first.is_some_and(|first| !CALL_BEGINNINGS.contains(&first));
        self.matcher.must_end() || (is_text && self.tokens >= MAX_TEXT_TOKENS)
    }

    fn forced_bytes(&mut self) -> Vec<u8> {
        self.matcher.forced_bytes()
    }

    fn forced_token(&mut self) -> Option<TokenId> {
        self.matcher.forced_token()
    }

    fn allowed_tokens(&mut self, allowed: &mut Vec<TokenId>) -> Result<(), ConstraintError> {
        self.matcher.allowed_tokens(allowed)
    }
}

/// Closes what was `written`; gives the bytes of the end and the number of its tokens. None where no end was found.
pub(super) fn close(matcher: &mut Matcher, vocab: &Vocab, written: &[u8]) -> Option<(Vec<u8>, u64)> {
    let single = |bytes: &[u8]| {
        let family = vocab.text_tokens_with_prefix(bytes);
        family.iter().copied().find(|token| vocab.bytes(*token) == bytes)
    };
    let mut place = Place::default();
    written.iter().for_each(|byte| place.step(*byte));
    let (mut tail, mut tokens) = (Vec::new(), 0);
    let mut allowed = Vec::new();
    for _ in 0..MAX_STEPS {
        if matcher.may_end() {
            return Some((tail, tokens));
        }
        let mut next: Option<TokenId> = matcher.forced_token();
        if next.is_none() {
            let forced = matcher.forced_bytes();
            next = forced.first().and_then(|byte| single(&[*byte]));
        }
        let tried: &[&[u8]] = if place.in_text { &[b"\""] } else { &CLOSERS };
        for closer in tried {
            if next.is_some() {
                break;
            }
            if let Some(token) = single(closer) {
                next = matcher.allows(token).ok()?.then_some(token);
            }
        }
        if next.is_none() {
            matcher.allowed_tokens(&mut allowed).ok()?;
            next = allowed.iter().copied().min_by_key(|token| vocab.bytes(*token).len());
        }
        let token = next?;
        matcher.commit(token).ok()?;
        tokens += 1;
        vocab.bytes(token).iter().for_each(|byte| place.step(*byte));
        tail.extend_from_slice(vocab.bytes(token));
    }
    None
}

/// Where in JSON a reply stands.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    in_text: bool,
    is_escaped: bool,
}

impl Place {
    fn step(&mut self, byte: u8) {
        if self.in_text && !self.is_escaped && byte == b'\\' {
            self.is_escaped = true;
            return;
        }
        if byte == b'"' && !self.is_escaped {
            self.in_text = !self.in_text;
        }
        self.is_escaped = false;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::grammar::{Compiler, Limits, schema};
    use crate::inference::TokenKind;

    #[test]
    fn a_value_that_was_cut_off_anywhere_is_closed() {
        let rows = (0..=255).map(|byte| (vec![byte], TokenKind::Text)).collect();
        let vocab = Arc::new(Vocab::new(rows, Vec::new(), None));
        let schema = json!({
            "type": "object",
            "properties": {
                "a": {"type": "string"},
                "b": {"type": "array", "items": {"type": "number"}},
                "c": {"enum": ["x", "y"]},
                "d": {"type": "object", "properties": {"e": {"type": "boolean"}}, "required": ["e"]},
            },
            "required": ["a", "c", "d"],
        });
        let ir = schema::compile(&schema, &schema::Options::default()).unwrap();
        let grammar = Compiler::new(Arc::clone(&vocab), Limits::default()).compile_ir(&ir).unwrap();
        let whole = r#"{"a": "1\\\" {", "b": [1.5, -2], "c": "y", "d": {"e": true}, "more": [{}, "z"]}"#;
        for cut in 0..whole.len() {
            let mut matcher = grammar.matcher().unwrap();
            for byte in whole.as_bytes()[..cut].iter() {
                matcher.commit(TokenId(u32::from(*byte))).unwrap();
            }
            let (tail, tokens) = close(&mut matcher, &vocab, &whole.as_bytes()[..cut]).unwrap();
            let closed = [&whole.as_bytes()[..cut], &tail].concat();
            let value: Value = serde_json::from_slice(&closed).unwrap();
            assert!(value["d"]["e"].is_boolean() && tokens == tail.len() as u64, "{value}");
        }
    }
}
