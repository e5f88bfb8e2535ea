//! Inference engines and what they share: vocabulary, tokenising, sampling, prefix reuse and the decode loop.
//!
//! An [`Engine`] is small: it reads tokens, gives logits and cuts its cache. Everything else is ours, shared by all
//! engines and works on `&mut [f32]` logits before any softmax. Not responsible for prompts, grammars or memory.

// Tables are indexed by token id all over this module, behind one check of the id.
#![allow(clippy::indexing_slicing)]

use std::sync::Arc;

use crate::types::{Cancel, TokenId};

#[cfg(feature = "candle")]
mod arithmetic;
#[cfg(feature = "candle")]
mod candle;
mod describe;
mod draft;
#[cfg(feature = "candle")]
mod embedder;
mod error;
mod generate;
mod gguf;
mod likelihood;
#[cfg(feature = "llama-cpp")]
mod llama_cpp;
#[cfg(feature = "llama-cpp")]
mod llama_load;
#[cfg(feature = "llama-cpp")]
mod llama_rates;
#[cfg(feature = "llama-cpp")]
mod llama_vocab;
mod loading;
mod openmp;
mod pace;
mod passes;
mod prefix_cache;
mod rates;
mod sampler;
mod scripted;
mod scripted_words;
mod state_store;
mod together;
mod tokenize;
mod tuning;
mod vocab;
mod vocab_gguf;

#[cfg(feature = "candle")]
pub use candle::{CandleEngine, Numbers, convert};
pub use describe::Description;
#[cfg(feature = "candle")]
pub use embedder::{CONFIG_NAME, Embedder, TOKENIZER_NAME, WEIGHTS_NAME};
pub use error::Error;
pub use generate::{GenerateOptions, GenerateStats, Generation, StopCause, generate};
pub use gguf::{Gguf, GgufInfo};
#[cfg(feature = "llama-cpp")]
pub use llama_cpp::LlamaCppEngine;
#[cfg(feature = "llama-cpp")]
pub use llama_rates::{BareLibrary, bare_rates};
#[cfg(feature = "llama-cpp")]
pub use llama_vocab::{NativeGrammar, NativeVocab};
pub use loading::{LoadOptions, is_model_folder};
pub use openmp::patient_threads;
pub use prefix_cache::{PrefixReport, Restored, Session, Warm};
pub use rates::{PassCost, Rates, our_rates, pass_costs};
pub use sampler::{Sampled, Sampler, SamplerOptions};
pub use scripted::{Script, ScriptedEngine, ScriptedGeneration, ScriptedLog, ScriptedReply};
pub use state_store::StateStore;
pub use together::{Job, generate_together};
pub use tokenize::{tokenize_template, tokenize_text};
pub use tuning::Tuning;
pub use vocab::{TokenKind, Vocab};
pub use vocab_gguf::{GgufVocab, vocab_from_gguf};

/// What an engine loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelIdentity {
    /// Catalogue name or file stem.
    pub name: String,
    /// `llama-cpp`, `candle` or `scripted`.
    pub engine: &'static str,
    /// Jinja text of the model's own chat template, where the file has one.
    pub chat_template: Option<String>,
    /// Whether prompts begin with the beginning-of-sequence token.
    pub add_bos: bool,
    /// Window the model was trained for, in tokens.
    pub trained_context_tokens: usize,
}

/// How far [`Engine::read`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadReport {
    /// Tokens that are in the cache now because of this call; fewer than given only when cancelled.
    pub tokens_read: usize,
    /// Forward passes this took.
    pub forward_passes: u64,
}

/// Which of an engine's sequences of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sequence {
    /// The conversation.
    #[default]
    Main,
    /// Prompts beside it, which leave the conversation in the cache alone.
    Side,
    /// Short prompts of another kind, which leave what those beside the conversation have in common in the cache.
    SecondSide,
    /// The same once more.
    ThirdSide,
    /// Prompts beside the conversation that the user waits for.
    FourthSide,
    /// One of [`Sequence::LANES`] texts that are written together; engines have as many as they were loaded with.
    Lane(u8),
}

impl Sequence {
    /// Sequences of an agent.
    const OWN: usize = 5;
    /// Most texts that are written together.
    pub const LANES: u8 = 16;
    /// How many there are.
    pub const COUNT: usize = Self::OWN + Self::LANES as usize;
    /// All of them.
    pub const ALL: [Self; Self::COUNT] = {
        let mut all = [Self::Main; Self::COUNT];
        all[1] = Self::Side;
        all[2] = Self::SecondSide;
        all[3] = Self::ThirdSide;
        all[4] = Self::FourthSide;
        let mut lane = 0;
        while lane < Self::LANES {
            all[Self::OWN + lane as usize] = Self::Lane(lane);
            lane += 1;
        }
        all
    };

    /// The place of this one among them; lanes beyond the last count as the last.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Main => 0,
            Self::Side => 1,
            Self::SecondSide => 2,
            Self::ThirdSide => 3,
            Self::FourthSide => 4,
            Self::Lane(lane) if lane < Self::LANES => Self::OWN + lane as usize,
            Self::Lane(_) => Self::COUNT - 1,
        }
    }

    /// The lane of this number; none where there are fewer.
    #[must_use]
    pub fn lane(number: usize) -> Option<Self> {
        u8::try_from(number).ok().filter(|number| *number < Self::LANES).map(Self::Lane)
    }
}

/// Most tokens of a pass whose logits can be at hand together.
pub const MAX_ROWS: usize = 16;

/// Most tokens of all sequences together in one pass of several.
pub const MAX_TOGETHER: usize = 512;

/// A loaded model with its sequences of tokens in its KV cache, one of which is selected.
///
/// The caller reads tokens at the end of the sequence, looks at the logits of the last one, and may cut the sequence.
pub trait Engine: Send {
    /// What is loaded.
    fn identity(&self) -> &ModelIdentity;

    /// The vocabulary, built from the model file's metadata.
    fn vocab(&self) -> &Arc<Vocab>;

    /// Selects the sequence that all other methods are about; [`Sequence::Main`] at first. Logits are gone then.
    fn select(&mut self, sequence: Sequence);

    /// Most tokens that the selected sequence can have.
    fn context_window_tokens(&self) -> usize;

    /// Refuses a sequence of `needed_tokens` that the window cannot hold. Engines ask it before they read.
    ///
    /// # Errors
    /// [`Error::ContextOverflow`].
    fn require_window(&self, needed_tokens: usize) -> Result<(), Error> {
        let window_tokens = self.context_window_tokens();
        if needed_tokens > window_tokens {
            return Err(Error::ContextOverflow { needed_tokens, window_tokens });
        }
        Ok(())
    }

    /// Tokens of ordinary text by the model's own tokenizer. Not safe for text from elsewhere on its own (some
    /// tokenizers make control tokens of their spelling): use [`tokenize_text`], which is built on this.
    ///
    /// # Errors
    /// The native tokenizer refused the text.
    fn tokenize_raw(&self, text: &str) -> Result<Vec<TokenId>, Error>;

    /// Tokens of the selected sequence that are in the KV cache.
    fn position_tokens(&self) -> usize;

    /// Whether the cache can be cut behind any token. That of recurrent models cannot: it can only be emptied.
    fn can_cut(&self) -> bool {
        true
    }

    /// Most tokens of a draft that are read beside a token that is due, as the settings say; none where they leave that to
    /// measuring.
    fn draft_tokens(&self) -> Option<usize> {
        Some(0)
    }

    /// Cuts the cache to its first `position_tokens` tokens.
    ///
    /// # Errors
    /// The native cache refused to cut.
    fn truncate(&mut self, position_tokens: usize) -> Result<(), Error>;

    /// Appends `tokens` to the sequence, in chunks, so that `cancel` is looked at often. Logits of the last token
    /// are then at hand.
    ///
    /// # Errors
    /// [`Error::ContextOverflow`] before anything is read where they do not fit; native failures.
    fn read(&mut self, tokens: &[TokenId], cancel: &Cancel) -> Result<ReadReport, Error> {
        self.read_for(tokens, 1, cancel)
    }

    /// As [`Engine::read`], whereupon logits behind each of the last `rows` tokens are at hand; of `rows` there are at
    /// least 1 and at most [`MAX_ROWS`].
    ///
    /// # Errors
    /// As [`Engine::read`].
    fn read_for(&mut self, tokens: &[TokenId], rows: usize, cancel: &Cancel) -> Result<ReadReport, Error>;

    /// Logits behind the last token read. Shape: `(vocab.len(),)` f32.
    ///
    /// # Errors
    /// [`Error::NoLogits`] where nothing was read since the last cut.
    fn logits(&mut self) -> Result<&mut [f32], Error> {
        self.logits_behind(0)
    }

    /// Logits behind the token that is so many in front of the last one read. Shape: `(vocab.len(),)` f32.
    ///
    /// # Errors
    /// [`Error::NoLogits`] where they were not asked for, or the cache was cut since.
    fn logits_behind(&mut self, back: usize) -> Result<&mut [f32], Error>;

    /// How many sequences [`Sequence::Lane`] there are.
    fn lanes(&self) -> usize {
        0
    }

    /// Appends each of `parts` at the end of its own sequence, all in one pass; at most [`MAX_TOGETHER`] tokens in all, and
    /// no sequence twice. Logits behind the last token of each part are at hand then ([`Engine::logits_of`]), and none of
    /// any sequence by itself. Which sequence is selected stays.
    ///
    /// # Errors
    /// [`Error::ContextOverflow`] before anything is read; engines without lanes; native failures, after which no part is
    /// in the cache.
    fn read_together(&mut self, parts: &[(Sequence, &[TokenId])]) -> Result<(), Error> {
        let reason = format!("this engine reads one sequence at a time, not {}", parts.len());
        Err(Error::Native { operation: "reading several sequences", reason })
    }

    /// Logits behind the last token of a part of the last [`Engine::read_together`]. Shape: `(vocab.len(),)` f32.
    ///
    /// # Errors
    /// [`Error::NoLogits`] where there was no such part, or something was read or cut since.
    fn logits_of(&mut self, _part: usize) -> Result<&mut [f32], Error> {
        Err(Error::NoLogits)
    }

    /// Makes `to` hold the first `tokens` tokens of `from` and nothing else, without reading them.
    ///
    /// # Errors
    /// Engines without lanes; the native cache cannot be copied there.
    fn copy(&mut self, from: Sequence, to: Sequence, _tokens: usize) -> Result<(), Error> {
        let reason = format!("{from:?} to {to:?}: this engine has no lanes");
        Err(Error::Native { operation: "copying a sequence", reason })
    }

    /// What a saved state must have come from to be taken: model, build and settings in one text.
    fn state_key(&self) -> &str;

    /// The cache of the selected sequence, for [`Engine::restore`].
    ///
    /// # Errors
    /// The native cache cannot be saved.
    fn state(&self) -> Result<Vec<u8>, Error>;

    /// Puts a saved state of `position_tokens` tokens into the selected sequence, which must be empty. `state` must have
    /// come, unchanged, from [`Engine::state`] of an engine with the same [`Engine::state_key`].
    ///
    /// # Errors
    /// The native cache refuses it; the sequence is empty then.
    fn restore(&mut self, state: &[u8], position_tokens: usize) -> Result<(), Error>;
}
