//! The engines that ours is measured beside: llama.cpp's grammar sampler, and llguidance in two forms.

use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::earley::SlicedBiasComputer;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, SimpleVob, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};

use super::cases::{Lexemes, Work};
use super::engines::{Engine, Walker};
use super::lark::per_character;
use crate::inference::{NativeGrammar, NativeVocab, TokenKind, Vocab};
use crate::types::TokenId;

/// llama.cpp takes milliseconds a mask, seconds for some.
const LLAMA_MASKS: usize = 60;
const EXACT_MASKS: usize = 1500;

/// llama.cpp's sampler.
pub(super) struct Llama<'a> {
    pub vocab: &'a NativeVocab,
    pub end: TokenId,
}

impl Engine for Llama<'_> {
    fn compile<'a>(&'a self, work: &Work) -> Result<Box<dyn Walker + 'a>, String> {
        let grammar = self.vocab.grammar(&work.gbnf).map_err(|error| error.to_string())?;
        Ok(Box::new(LlamaWalk { vocab: self.vocab, source: work.gbnf.clone(), grammar, end: self.end }))
    }

    fn most_masks(&self) -> usize {
        LLAMA_MASKS
    }

    fn is_native(&self) -> bool {
        true
    }
}

struct LlamaWalk<'a> {
    vocab: &'a NativeVocab,
    source: String,
    grammar: NativeGrammar<'a>,
    end: TokenId,
}

impl Walker for LlamaWalk<'_> {
    fn restart(&mut self) -> Result<(), String> {
        self.grammar = self.vocab.grammar(&self.source).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn prepare(&mut self) {
        self.grammar.fill();
    }

    fn mask(&mut self) -> Result<(), String> {
        self.grammar.strike();
        Ok(())
    }

    fn has(&self, token: TokenId) -> bool {
        self.grammar.is_left(token)
    }

    fn take(&mut self, token: TokenId) -> Result<bool, String> {
        Ok(self.grammar.accept(token))
    }

    fn apply(&self, _logits: &mut [f32]) -> bool {
        false
    }

    fn may_end(&mut self) -> bool {
        self.grammar.allows(self.end)
    }
}

/// How a grammar is told to llguidance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One character a lexeme: the same language.
    Exact,
    /// Regular expressions and schemas, which are cut greedily.
    Lexemes,
}

/// llguidance.
pub(super) struct Llguidance {
    factory: ParserFactory,
    form: Form,
}

impl Llguidance {
    pub(super) fn new(vocab: &Vocab, form: Form) -> Result<Self, String> {
        let ends: Vec<u32> = vocab.end_of_generation().iter().map(|token| token.0).collect();
        let size = u32::try_from(vocab.len()).map_err(|error| error.to_string())?;
        let first = ends.first().ok_or("the vocabulary has no token that ends a generation")?;
        let words: Vec<Vec<u8>> = (0..size)
            .map(TokenId)
            .map(|token| match vocab.kind(token) {
                TokenKind::Text => vocab.bytes(token).to_vec(),
                TokenKind::Control => [&[TokTrie::SPECIAL_TOKEN_MARKER], vocab.bytes(token)].concat(),
                TokenKind::Unused => Vec::new(),
            })
            .collect();
        let trie = TokTrie::from(&TokRxInfo::new(size, *first), &words).with_eos_tokens(&ends);
        let env: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let slices = SlicedBiasComputer::general_slices();
        let mut factory =
            ParserFactory::new(&env, InferenceCapabilities::default(), &slices).map_err(|error| error.to_string())?;
        factory.quiet();
        Ok(Self { factory, form })
    }
}

impl Engine for Llguidance {
    fn compile<'a>(&'a self, work: &Work) -> Result<Box<dyn Walker + 'a>, String> {
        let grammar = match (self.form, &work.lexemes) {
            (Form::Exact, _) => TopLevelGrammar::from_lark(per_character(&work.ir)),
            (Form::Lexemes, Lexemes::Lark(text)) => TopLevelGrammar::from_lark(text.clone()),
            (Form::Lexemes, Lexemes::Json(schema)) => TopLevelGrammar::from_json_schema(schema.clone()),
        };
        let parser = self.factory.create_parser(grammar).map_err(first_line)?;
        let fresh = Matcher::new(Ok(parser));
        Ok(Box::new(LlguidanceWalk { matcher: fresh.clone(), fresh, mask: SimpleVob::new() }))
    }

    fn most_masks(&self) -> usize {
        if self.form == Form::Exact { EXACT_MASKS } else { usize::MAX }
    }

    fn note(&self) -> Option<&'static str> {
        (self.form == Form::Lexemes).then_some("another language where lexemes overlap: the longest is taken")
    }
}

struct LlguidanceWalk {
    fresh: Matcher,
    matcher: Matcher,
    mask: SimpleVob,
}

impl Walker for LlguidanceWalk {
    fn restart(&mut self) -> Result<(), String> {
        // Shares what the lexer has worked out.
        self.matcher = self.fresh.clone();
        Ok(())
    }

    fn mask(&mut self) -> Result<(), String> {
        self.mask = self.matcher.compute_mask_or_eos().map_err(first_line)?;
        Ok(())
    }

    fn has(&self, token: TokenId) -> bool {
        self.mask.is_allowed(token.0)
    }

    fn take(&mut self, token: TokenId) -> Result<bool, String> {
        let allowed = self.matcher.validate_tokens(&[token.0]).map_err(first_line)? == 1;
        if allowed {
            self.matcher.consume_token(token.0).map_err(first_line)?;
        }
        Ok(allowed)
    }

    fn apply(&self, logits: &mut [f32]) -> bool {
        self.mask.apply_to(logits);
        true
    }

    fn may_end(&mut self) -> bool {
        self.matcher.is_accepting().unwrap_or(false)
    }
}

/// Errors come with a dump of the parser.
fn first_line(error: impl std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
