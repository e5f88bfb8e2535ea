//! Follows a text through a grammar, byte by byte, and tells what could come next.
//!
//! Matchers take tokens, so each byte gets a token of its own behind the model's vocabulary: no tokenizer is needed, and
//! no model where the grammar names no tokens. Where the text spells a control token that the grammar names, it is that
//! token and never its letters, as in prompts; a text token that the grammar names can be both, and both are followed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::app::Error;
use crate::app::input::GrammarText;
use crate::cli::TriggerArgs;
use crate::grammar::{Expr, Grammar, Matcher};
use crate::inference::{TokenKind, Vocab};
use crate::types::{Constraint, ConstraintError, TokenId};

/// A grammar over the bytes of text and the tokens of a model.
pub(super) struct ByteGrammar {
    grammar: Grammar,
    vocab: Arc<Vocab>,
    /// Id of the token of byte 0; the model's own tokens are below it.
    first_byte: u32,
    /// Tokens that the grammar names.
    named: Vec<TokenId>,
    /// Whether the grammar has an item `!<token>`.
    has_negated: bool,
}

/// How far a text came.
pub(super) struct Reached {
    /// Offset of the first byte that cannot stand where it does; the text's length where all of it can.
    pub(super) at_byte: usize,
    /// All readings of the text up to there.
    matchers: Vec<Matcher>,
}

/// What could come at a place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Next {
    /// Tokens of the model, ascending.
    pub(super) tokens: Vec<TokenId>,
    /// Bytes of text, ascending.
    pub(super) bytes: Vec<u8>,
    /// Tokens that the grammar names, ascending.
    pub(super) named: Vec<TokenId>,
    /// Whether the text may end.
    pub(super) may_end: bool,
    /// Bytes that must follow, where there is one way to go on.
    pub(super) forced: Vec<u8>,
}

impl ByteGrammar {
    /// Compiles a grammar, a lazy one where there are triggers; its tokens are those of `model`.
    ///
    /// # Errors
    /// The grammar or a trigger is wrong.
    pub(super) fn compile(text: &GrammarText, triggers: &TriggerArgs, model: Option<&Vocab>) -> Result<Self, Error> {
        let vocab = with_bytes(model);
        let (ir, grammar) = super::parsed(text, triggers, &vocab, model.is_some())?;
        let (mut named, mut has_negated) = (Vec::new(), false);
        for rule in &ir.rules {
            rule.body.walk(&mut |expr| match expr {
                Expr::Token { negated: true, .. } => has_negated = true,
                Expr::Token { id, negated: false } => named.push(*id),
                _ => {}
            });
        }
        named.sort_unstable();
        named.dedup();
        let first_byte = model.map_or(0, |model| u32::try_from(model.len()).unwrap_or(u32::MAX));
        Ok(Self { grammar, vocab, first_byte, named, has_negated })
    }

    /// Whether a text alone does not say if the grammar takes it: `!<token>` is about where the model cuts.
    pub(super) const fn depends_on_tokens(&self) -> bool {
        self.has_negated
    }

    /// Follows `text` as far as it can be followed.
    ///
    /// # Errors
    /// A limit of the matcher was hit.
    pub(super) fn walk(&self, text: &[u8]) -> Result<Reached, ConstraintError> {
        let mut open = BTreeMap::from([(0, vec![self.grammar.matcher()?])]);
        let mut reached = Reached { at_byte: 0, matchers: Vec::new() };
        while let Some((at_byte, matchers)) = open.pop_first() {
            let rest = text.get(at_byte..).unwrap_or_default();
            let Some(byte) = rest.first() else { return Ok(Reached { at_byte, matchers }) };
            let byte = TokenId(self.first_byte + u32::from(*byte));
            reached = Reached { at_byte, matchers: Vec::new() };
            let control = self.control_at(rest);
            for mut matcher in matchers {
                for token in self.named.iter().filter(|token| control.is_none_or(|control| control == **token)) {
                    let spelled = self.vocab.bytes(*token);
                    if !spelled.is_empty() && rest.starts_with(spelled) && matcher.allows(*token)? {
                        let mut other = matcher.clone();
                        other.commit(*token)?;
                        add(open.entry(at_byte + spelled.len()).or_default(), other);
                    }
                }
                if control.is_none() && matcher.allows(byte)? {
                    matcher.commit(byte)?;
                    add(open.entry(at_byte + 1).or_default(), matcher);
                } else {
                    reached.matchers.push(matcher);
                }
            }
        }
        Ok(reached)
    }

    /// The longest control token that the grammar names and `text` begins with.
    fn control_at(&self, text: &[u8]) -> Option<TokenId> {
        let controls = self.named.iter().copied().filter(|token| self.vocab.kind(*token) == TokenKind::Control);
        controls
            .filter(|token| text.starts_with(self.vocab.bytes(*token)))
            .max_by_key(|token| self.vocab.bytes(*token).len())
    }

    /// What could come where `reached` stands.
    ///
    /// # Errors
    /// A limit of the matcher was hit.
    pub(super) fn next(&self, reached: &Reached) -> Result<Next, ConstraintError> {
        let mut next = Next::default();
        for matcher in &reached.matchers {
            let mut matcher = matcher.clone();
            for token in matcher.mask()?.tokens() {
                match u8::try_from(token.0.wrapping_sub(self.first_byte)) {
                    Ok(byte) if token.0 >= self.first_byte => next.bytes.push(byte),
                    _ => next.tokens.push(token),
                }
            }
            next.may_end |= matcher.may_end();
            if reached.matchers.len() == 1 {
                next.forced = matcher.forced_bytes();
            }
        }
        next.bytes.sort_unstable();
        next.bytes.dedup();
        next.tokens.sort_unstable();
        next.tokens.dedup();
        next.named = self.named.iter().copied().filter(|token| next.tokens.binary_search(token).is_ok()).collect();
        Ok(next)
    }

    /// The text that `token` stands for.
    pub(super) fn spelled(&self, token: TokenId) -> String {
        piece(self.vocab.bytes(token))
    }
}

/// Bytes as text; those that are no UTF-8 as `<0xHH>`.
fn piece(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("<0x{byte:02X}>")));
    }
    text
}

fn add(matchers: &mut Vec<Matcher>, matcher: Matcher) {
    if matchers.iter().all(|other| other.state() != matcher.state()) {
        matchers.push(matcher);
    }
}

/// The model's vocabulary with one token for each byte behind it.
fn with_bytes(model: Option<&Vocab>) -> Arc<Vocab> {
    let own = model.into_iter().flat_map(|model| {
        (0..model.len()).filter_map(|id| u32::try_from(id).ok()).map(TokenId).map(|token| {
            let kind = model.kind(token);
            (model.bytes(token).to_vec(), kind)
        })
    });
    let rows = own.chain((0..=u8::MAX).map(|byte| (vec![byte], TokenKind::Text))).collect();
    let ends = model.map(|model| model.end_of_generation().to_vec()).unwrap_or_default();
    Arc::new(Vocab::new(rows, ends, model.and_then(Vocab::bos)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grammar(source: &str, model: Option<&Vocab>) -> ByteGrammar {
        lazy(source, &[], model)
    }

    fn lazy(source: &str, triggers: &[&str], model: Option<&Vocab>) -> ByteGrammar {
        let text = GrammarText { name: "g".into(), source: source.into() };
        let texts = triggers.iter().map(|text| (*text).to_owned()).collect();
        ByteGrammar::compile(&text, &TriggerArgs { texts, tokens: Vec::new() }, model).unwrap()
    }

    fn reached(grammar: &ByteGrammar, text: &[u8]) -> (usize, Next) {
        let reached = grammar.walk(text).unwrap();
        (reached.at_byte, grammar.next(&reached).unwrap())
    }

    #[test]
    fn the_first_byte_that_cannot_stand_is_told_with_what_could() {
        let grammar = grammar("root ::= \"a\" [0-9x] \"end\"?", None);
        let (at_byte, next) = reached(&grammar, b"ay");
        assert_eq!((at_byte, next.bytes.as_slice()), (1, &b"0123456789x"[..]));
        let (at_byte, next) = reached(&grammar, b"a1e");
        assert_eq!((at_byte, next.may_end, next.forced.as_slice()), (3, false, &b"nd"[..]));
        let (at_byte, next) = reached(&grammar, b"a1");
        assert_eq!((at_byte, next.may_end, next.bytes.as_slice()), (2, true, &b"e"[..]));
    }

    #[test]
    fn a_spelled_control_token_is_the_token_and_not_its_letters() {
        let rows = vec![(b"<tag>".to_vec(), TokenKind::Control), (b"ta".to_vec(), TokenKind::Text)];
        let vocab = Vocab::new(rows, Vec::new(), None);
        let tagged = grammar("root ::= <tag> \"a\" | \"<\" [a-z]* \">b\"", Some(&vocab));
        assert!(reached(&tagged, b"<tag>a").1.may_end && reached(&tagged, b"<tug>b").1.may_end);
        let (at_byte, next) = reached(&tagged, b"<tag>b");
        assert_eq!((at_byte, next.bytes.as_slice()), (5, &b"a"[..]));
        let (at_byte, next) = reached(&tagged, b"x");
        assert_eq!((at_byte, next.bytes.as_slice(), next.named), (0, &b"<"[..], vec![TokenId(0)]));
        assert_eq!(reached(&tagged, b"<").1.tokens, [TokenId(1)]);
        // A grammar that does not name it takes its letters.
        assert!(reached(&grammar("root ::= [<-z]+", Some(&vocab)), b"<tag>").1.may_end);
    }

    #[test]
    fn a_spelled_text_token_is_read_both_as_the_token_and_as_its_letters() {
        let vocab = Vocab::new(vec![(b"ta".to_vec(), TokenKind::Text)], Vec::new(), None);
        let both = grammar("root ::= <[0]> \"x\" | \"tay\"", Some(&vocab));
        assert!(reached(&both, b"tax").1.may_end && reached(&both, b"tay").1.may_end);
        let (at_byte, next) = reached(&both, b"taz");
        assert_eq!((at_byte, next.bytes.as_slice()), (2, &b"xy"[..]));
    }

    #[test]
    fn free_text_in_front_of_a_trigger_is_followed_byte_by_byte() {
        let grammar = lazy("root ::= \"<a>\" [0-9]", &["<a>"], None);
        let (at_byte, next) = reached(&grammar, b"\xFF <a <");
        assert_eq!((at_byte, next.may_end, next.bytes.len()), (6, true, 256));
        let (at_byte, next) = reached(&grammar, b"so <a>x");
        assert_eq!((at_byte, next.may_end, next.bytes.as_slice()), (6, false, &b"0123456789"[..]));
        assert!(reached(&grammar, b"so <a>1").1.bytes.is_empty());
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_numbers() {
        assert_eq!(piece(b"a\xC3\xA9\xFFb"), "aé<0xFF>b");
    }
}
