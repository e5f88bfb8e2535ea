//! Failures of rendering and parsing.

use crate::grammar;

/// A prompt could not be rendered or a generation not understood.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model's chat template failed.
    #[error("the model's chat template failed: {reason}")]
    Template {
        /// What it said.
        reason: String,
    },
    /// The model file has no chat template, and its vocabulary does not show which format it was trained for.
    #[error("the model {model} has no chat template and no ChatML tokens")]
    NoTemplate {
        /// Name of the model.
        model: String,
    },
    /// A message carries a time that no calendar has.
    #[error("the time {at_ms} ms of a message is out of range")]
    Time {
        /// Milliseconds since the Unix epoch.
        at_ms: i64,
    },
    /// The step policy leaves nothing that could be written.
    #[error("nothing may be written in this step")]
    EmptyPolicy,
    /// The rules of a step cannot be written.
    #[error("the grammar of this step cannot be written: {source}")]
    Grammar {
        /// What is wrong.
        #[from]
        source: grammar::Error,
    },
    /// Generation was cut off inside a call.
    #[error("the generation was cut off inside a call")]
    Incomplete,
    /// A generation that the grammar should have made impossible.
    #[error("the generation is not a call: {reason}")]
    Malformed {
        /// What is wrong, with the place.
        reason: String,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Template { .. } => "use another model, or a file of this one with a sound chat template",
            Self::NoTemplate { .. } => {
                "use an instruct model whose GGUF file carries tokenizer.chat_template: see mneme models list"
            }
            Self::Time { .. } => "check the machine's clock and the messages that were imported",
            Self::Incomplete => "send the message again, or choose a larger --context-window",
            Self::EmptyPolicy | Self::Grammar { .. } | Self::Malformed { .. } => {
                "report this message; a chat with --debug logs more"
            }
        }
    }
}
