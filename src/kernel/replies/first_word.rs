//! A constraint under which a text does not begin with some words, each a token of its own.
//!
//! A grammar knows characters alone: where it refuses "I live", it must allow the letter for the sake of "It" and "Italy", and a
//! model that would begin to speak as the user takes it and goes on with "Ilive". A word that is a token of its own can be
//! refused as such: longer words are other tokens.

use std::sync::Arc;

use crate::inference::Vocab;
use crate::types::{Constraint, ConstraintError, TokenId};

/// `inner`, whose text does not begin with one of `words`.
pub(in crate::kernel) struct NotFirst<'a> {
    inner: &'a mut dyn Constraint,
    vocab: Arc<Vocab>,
    words: &'a [&'a str],
    has_begun: bool,
}

impl<'a> NotFirst<'a> {
    pub(in crate::kernel) fn new(inner: &'a mut dyn Constraint, vocab: Arc<Vocab>, words: &'a [&'a str]) -> Self {
        Self { inner, vocab, words, has_begun: false }
    }

    /// Whether nothing is refused any more.
    const fn is_open(&self) -> bool {
        self.has_begun || self.words.is_empty()
    }

    fn is_refused(&self, token: TokenId) -> bool {
        !self.has_begun && self.words.iter().any(|word| word.as_bytes() == self.vocab.bytes(token))
    }
}

impl Constraint for NotFirst<'_> {
    fn allows(&mut self, token: TokenId) -> Result<bool, ConstraintError> {
        if self.is_refused(token) { Ok(false) } else { self.inner.allows(token) }
    }

    fn commit(&mut self, token: TokenId) -> Result<(), ConstraintError> {
        self.inner.commit(token)?;
        self.has_begun = true;
        Ok(())
    }

    fn may_end(&self) -> bool {
        self.inner.may_end()
    }

    fn must_end(&self) -> bool {
        self.inner.must_end()
    }

    fn forced_bytes(&mut self) -> Vec<u8> {
        if self.is_open() { self.inner.forced_bytes() } else { Vec::new() }
    }

    fn forced_token(&mut self) -> Option<TokenId> {
        if self.is_open() { self.inner.forced_token() } else { None }
    }

    fn allowed_tokens(&mut self, allowed: &mut Vec<TokenId>) -> Result<(), ConstraintError> {
        self.inner.allowed_tokens(allowed)?;
        allowed.retain(|token| !self.is_refused(*token));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{Compiler, Limits};
    use crate::inference::{Engine, Script, ScriptedEngine, tokenize_text};

    #[test]
    fn the_word_is_refused_at_the_beginning_alone() {
        let engine = ScriptedEngine::new(Script::default());
        let vocab = Arc::clone(engine.vocab());
        let first = |text: &str| tokenize_text(&engine, text).unwrap()[0];
        let (word, other) = (first("a"), first("b"));
        let mut matcher =
            Compiler::new(Arc::clone(&vocab), Limits::default()).compile("root ::= [ab]+").unwrap().matcher().unwrap();
        let mut constraint = NotFirst::new(&mut matcher, vocab, &["a"]);
        let mut allowed = Vec::new();
        constraint.allowed_tokens(&mut allowed).unwrap();
        assert!(!allowed.contains(&word) && allowed.contains(&other));
        assert!(!constraint.allows(word).unwrap() && constraint.allows(other).unwrap());
        constraint.commit(other).unwrap();
        assert!(constraint.allows(word).unwrap() && constraint.may_end());
    }
}
