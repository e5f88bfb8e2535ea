//! What is known of a model before its weights are loaded: tenths of a second, and no engine.

use std::path::Path;
use std::sync::Arc;

use super::{Error, Gguf, GgufVocab, Vocab, vocab_from_gguf};

/// A model without its weights.
#[derive(Debug, Clone)]
pub struct Description {
    /// The vocabulary, the same that an engine has.
    pub vocab: Arc<Vocab>,
    /// Whether prompts begin with the beginning-of-sequence token.
    pub add_bos: bool,
    /// Jinja text of the model's own chat template, where it has one.
    pub chat_template: Option<String>,
    /// Window the model was trained for, in tokens.
    pub trained_context_tokens: usize,
}

impl Description {
    /// Reads the metadata of `path`: a GGUF file, or a folder with safetensors files where this build has candle.
    ///
    /// # Errors
    /// The files cannot be read, or are damaged.
    pub fn read(path: &Path) -> Result<Self, Error> {
        #[cfg(feature = "candle")]
        if super::is_model_folder(path) {
            let (GgufVocab { vocab, add_bos }, chat_template, trained_context_tokens) =
                super::candle::describe_folder(path)?;
            return Ok(Self {
                add_bos: add_bos && vocab.bos().is_some(),
                vocab,
                chat_template,
                trained_context_tokens,
            });
        }
        let gguf = Gguf::open(path)?;
        let GgufVocab { vocab, add_bos } = vocab_from_gguf(&gguf)?;
        let info = gguf.info();
        let trained = info.context_length_tokens.and_then(|tokens| usize::try_from(tokens).ok());
        Ok(Self {
            add_bos: add_bos && vocab.bos().is_some(),
            vocab,
            chat_template: info.chat_template.clone(),
            trained_context_tokens: trained.unwrap_or(usize::MAX),
        })
    }
}
