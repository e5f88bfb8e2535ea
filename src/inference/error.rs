//! Failures of loading and running models.

use std::path::PathBuf;

use crate::types::Device;

/// A model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model file does not exist or cannot be read.
    #[error("cannot read the model file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a GGUF file, or is damaged.
    #[error("{} is not a usable GGUF file: {reason}", path.display())]
    BadModelFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, with offset and numbers.
        reason: String,
    },
    /// A file of an embedder is damaged, or of a kind that cannot be run.
    #[error("{} is no usable file of an embedder: {reason}", path.display())]
    BadEmbedder {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The engine refused to load a file whose metadata is sound.
    #[error("{engine} could not load {}: {reason}", path.display())]
    LoadFailed {
        /// Name of the engine.
        engine: &'static str,
        /// The file.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// More tokens than the window holds.
    #[error("{needed_tokens} tokens do not fit the context window of {window_tokens}")]
    ContextOverflow {
        /// Tokens there would be.
        needed_tokens: usize,
        /// Window.
        window_tokens: usize,
    },
    /// No logits to look at.
    #[error("no logits: nothing was read since the cache was cut")]
    NoLogits,
    /// Loading was stopped by the progress callback.
    #[error("loading {} was interrupted", path.display())]
    LoadCancelled {
        /// The file.
        path: PathBuf,
    },
    /// The engine's logits cannot be sampled from.
    #[error("the logits cannot be used: {reason}")]
    BadLogits {
        /// What is wrong, with the numbers.
        reason: String,
    },
    /// The constraint allows neither a token nor the end.
    #[error("the grammar allows neither a token nor the end here")]
    NothingAllowed,
    /// A native call failed.
    #[error("{operation} failed: {reason}")]
    Native {
        /// Which.
        operation: &'static str,
        /// What it said.
        reason: String,
    },
    /// Text became a control token.
    #[error("tokenising text gave the control token {token}")]
    ControlTokenInText {
        /// Its id.
        token: u32,
    },
    /// The grammar matcher stopped.
    #[error(transparent)]
    Constraint(#[from] crate::types::ConstraintError),
    /// A script of the scripted engine is wrong.
    #[error("the script {} is wrong: {reason}", path.display())]
    BadScript {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The model cannot run where it was asked to.
    #[error("{device} cannot be used: {reason}")]
    NoDevice {
        /// What was asked for.
        device: Device,
        /// What this build or this machine lacks.
        reason: String,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}", path.display())]
    CannotWrite {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A folder of safetensors files for an engine that reads GGUF files alone.
    #[error("{} is a folder of safetensors files, which the engine {engine} does not read", path.display())]
    NotForEngine {
        /// The folder.
        path: PathBuf,
        /// Name of the engine.
        engine: &'static str,
    },
    /// This build has no such engine.
    #[error("this build has no engine {engine}")]
    NoEngine {
        /// Its name.
        engine: String,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "check the path and its permissions",
            Self::BadModelFile { .. } | Self::BadEmbedder { .. } => {
                "get the file again from where it came from, and compare its size and checksum with those told there"
            }
            Self::LoadFailed { .. } => {
                "compare the file's size and checksum with those told where it came from, or try another model"
            }
            Self::ContextOverflow { .. } => "choose a larger --context-window",
            Self::BadScript { .. } => "a script is a JSON object with a list `replies` of objects with a text `reply`",
            Self::NoDevice { .. } => {
                "build with --features cuda (NVIDIA) or metal (Apple) on a machine with such a GPU, or take --device cpu"
            }
            Self::CannotWrite { .. } => "check that the place is yours, has room, and has nothing of that name yet",
            Self::NotForEngine { .. } => "add --engine candle",
            Self::NoEngine { .. } => "build with the feature of that engine, or choose another --engine",
            Self::LoadCancelled { .. } => "start it again and let it load",
            Self::BadLogits { .. } => "check the model file: mneme models verify",
            Self::Constraint(error) => error.hint(),
            Self::NoLogits | Self::NothingAllowed | Self::Native { .. } | Self::ControlTokenInText { .. } => {
                "report this message; a chat with --debug logs more"
            }
        }
    }
}
