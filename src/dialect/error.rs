//! Failures of rendering and parsing.

/// A prompt could not be rendered or a generation not understood.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model's chat template failed.
    #[error("the model's chat template failed: {reason}")]
    Template {
        /// What it said.
        reason: String,
    },
    /// The step policy leaves nothing that could be written.
    #[error("nothing may be written in this step")]
    EmptyPolicy,
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
