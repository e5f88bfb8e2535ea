//! Masks over real vocabularies against other engines: llama.cpp's own grammar sampler, and llguidance. What differs on
//! purpose is listed as data; anything else is a failure with grammar, prefix and token.

mod bench;
mod grammars;
mod lazy;
pub mod llama;
mod llguidance;
mod properties;
mod schemas;
mod walk;

use std::sync::{Arc, OnceLock};

use mneme::inference::{Gguf, NativeVocab, Vocab, vocab_from_gguf};

use crate::harness::weights::model_path;

const SMALL: &str = "smollm2-135m-instruct-q4_1";

/// A model's vocabulary, ours and llama.cpp's.
pub struct World {
    pub vocab: Arc<Vocab>,
    pub native: NativeVocab,
}

impl World {
    pub fn open(model: &str) -> Self {
        let path = model_path(model);
        let vocab = vocab_from_gguf(&Gguf::open(&path).unwrap()).unwrap().vocab;
        Self { vocab, native: NativeVocab::open(&path).unwrap() }
    }

    /// The vocabulary of 49,152 tokens that `make test` has, read once.
    fn small() -> &'static Self {
        static WORLD: OnceLock<World> = OnceLock::new();
        WORLD.get_or_init(|| Self::open(SMALL))
    }
}
