//! llama.cpp's tokenizer and grammar sampler without a model's weights.
//!
//! They are what our own tokenising and grammars are measured and checked against, never a part of generation: masks
//! of that sampler cost milliseconds, and it treats UTF-8 and control tokens in its own way.

use std::marker::PhantomData;
use std::path::Path;

use llama_cpp_2::GrammarError;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;

use super::llama_load::backend;
use super::{Error, Gguf, TokenKind, Vocab, vocab_from_gguf};
use crate::types::TokenId;

/// The vocabulary of a model file as llama.cpp reads it.
#[derive(Debug)]
pub struct NativeVocab {
    model: LlamaModel,
}

impl NativeVocab {
    /// Reads the vocabulary of the GGUF file `path`; its weights are not loaded.
    ///
    /// # Errors
    /// The metadata are unsound, or llama.cpp refuses the file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        vocab_from_gguf(&Gguf::open(path)?)?;
        let params = LlamaModelParams::default().with_vocab_only(true);
        LlamaModel::load_from_file(backend()?, path, &params).map(|model| Self { model }).map_err(|error| {
            Error::LoadFailed { engine: "llama.cpp", path: path.to_path_buf(), reason: error.to_string() }
        })
    }

    /// Tokens of `text` by the model's own tokenizer, which spell exactly `text` in `vocab`, without control tokens.
    ///
    /// # Errors
    /// The tokens spell something else, as those of tokenizers that put a blank in front do.
    pub fn tokenize(&self, vocab: &Vocab, text: &str) -> Result<Vec<TokenId>, Error> {
        let native = self.model.vocab().tokenize(text.as_bytes(), false, false);
        let tokens: Vec<TokenId> =
            native.into_iter().filter_map(|token| u32::try_from(token.0).ok()).map(TokenId).collect();
        let spelled: Vec<u8> = tokens.iter().flat_map(|token| vocab.bytes(*token)).copied().collect();
        if let Some(control) = tokens.iter().find(|token| vocab.kind(**token) != TokenKind::Text) {
            return Err(Error::ControlTokenInText { token: control.0 });
        }
        if spelled != text.as_bytes() {
            let reason = format!("the tokens spell {} bytes, the text has {}", spelled.len(), text.len());
            return Err(Error::Native { operation: "tokenising", reason });
        }
        Ok(tokens)
    }

    /// llama.cpp's own sampler for the GBNF text `source`, at the beginning.
    ///
    /// Some grammars make native code abort or never return (a class of left recursions, `{3,2}`): give only such as
    /// our own compiler took.
    ///
    /// # Errors
    /// llama.cpp refuses the grammar.
    pub fn grammar(&self, source: &str) -> Result<NativeGrammar<'_>, Error> {
        self.sampler(LlamaSampler::grammar(&self.model, source, "root"))
    }

    /// As [`NativeVocab::grammar`], in force from the first of the `texts` or `tokens` on. llama.cpp looks for them once
    /// a token is taken: native code aborts over a token that completes a text and goes on as the grammar does not, so
    /// take none.
    ///
    /// # Errors
    /// llama.cpp refuses the grammar.
    pub fn lazy_grammar(&self, source: &str, texts: &[String], tokens: &[TokenId]) -> Result<NativeGrammar<'_>, Error> {
        let texts: Vec<String> = texts.iter().map(|text| escaped(text)).collect();
        let patterns = if texts.is_empty() { Vec::new() } else { vec![format!("({})", texts.join("|"))] };
        let tokens: Vec<LlamaToken> =
            tokens.iter().filter_map(|token| i32::try_from(token.0).ok()).map(LlamaToken).collect();
        self.sampler(LlamaSampler::grammar_lazy_patterns(&self.model, source, "root", &patterns, &tokens))
    }

    fn sampler(&self, sampler: Result<LlamaSampler, GrammarError>) -> Result<NativeGrammar<'_>, Error> {
        let sampler =
            sampler.map_err(|error| Error::Native { operation: "compiling a grammar", reason: error.to_string() })?;
        let candidates = (0..self.model.vocab().n_tokens()).map(|id| LlamaTokenData::new(LlamaToken(id), 0.0, 0.0));
        let single = LlamaTokenDataArray::new(vec![LlamaTokenData::new(LlamaToken(0), 0.0, 0.0)], false);
        let candidates = LlamaTokenDataArray::new(candidates.collect(), false);
        Ok(NativeGrammar { sampler, candidates, single, vocab: PhantomData })
    }
}

/// `text` as a regular expression of C++.
fn escaped(text: &str) -> String {
    let mut pattern = String::new();
    for character in text.chars() {
        if r".^$|()[]{}*+?\/".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// llama.cpp's grammar sampler in one state, with a list of all tokens for it to strike tokens from.
#[derive(Debug)]
pub struct NativeGrammar<'a> {
    sampler: LlamaSampler,
    candidates: LlamaTokenDataArray,
    single: LlamaTokenDataArray,
    // The sampler points into the vocabulary.
    vocab: PhantomData<&'a NativeVocab>,
}

impl NativeGrammar<'_> {
    /// Puts the list back to all tokens.
    pub fn fill(&mut self) {
        for candidate in &mut self.candidates.data {
            candidate.set_logit(0.0);
        }
    }

    /// Strikes every token that may not come next; [`NativeGrammar::fill`] first.
    pub fn strike(&mut self) {
        self.sampler.apply(&mut self.candidates);
    }

    /// Whether `token` was left by the last [`NativeGrammar::strike`].
    #[must_use]
    pub fn is_left(&self, token: TokenId) -> bool {
        self.candidates.data.get(token.index()).is_some_and(|candidate| candidate.logit() == 0.0)
    }

    /// Whether `token` may come next, end-of-generation tokens included.
    #[must_use]
    pub fn allows(&mut self, token: TokenId) -> bool {
        let Ok(id) = i32::try_from(token.0) else { return false };
        let Some(candidate) = self.single.data.first_mut() else { return false };
        *candidate = LlamaTokenData::new(LlamaToken(id), 0.0, 0.0);
        self.sampler.apply(&mut self.single);
        self.single.data.first().is_some_and(|candidate| candidate.logit() == 0.0)
    }

    /// Takes `token` where it may come next and tells whether it may. Asked first: native code aborts the process over
    /// a token that may not come.
    #[must_use]
    pub fn accept(&mut self, token: TokenId) -> bool {
        let allowed = self.allows(token);
        if let (true, Ok(id)) = (allowed, i32::try_from(token.0)) {
            self.sampler.accept(LlamaToken(id));
        }
        allowed
    }
}
