//! Failures of the agent loop.

use crate::{dialect, grammar, inference, memory};

/// A turn could not go on; what was committed stays.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database or the queue manager.
    #[error(transparent)]
    Memory(#[from] memory::Error),
    /// The engine.
    #[error(transparent)]
    Inference(#[from] inference::Error),
    /// The prompt format.
    #[error(transparent)]
    Dialect(#[from] dialect::Error),
    /// A file that may hold what was to be forgotten cannot be changed.
    #[error("{} may still hold it: {source}", path.display())]
    Trace {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Rows were deleted, but the file of the database could not be purged of them.
    #[error("what held it is deleted, but not all of its bytes have left the files yet: {source}")]
    Purge {
        /// Why.
        source: memory::Error,
    },
    /// The grammar of a step.
    #[error("the grammar of this step cannot be used: {0}")]
    Grammar(#[from] grammar::Error),
    /// Another model could not be loaded; the one before goes on.
    #[error("{message}")]
    Load {
        /// What failed.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// System instructions cannot be read.
    #[error("no system instructions can be taken from {}: {reason}", path.display())]
    Instructions {
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        reason: String,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Memory(memory::Error::Edit(_)) => "nothing was changed, and nothing needs to be".to_owned(),
            Self::Memory(error) => error.hint().to_string(),
            Self::Load { hint, .. } => hint.clone(),
            Self::Instructions { .. } => "check the path; a text of several words is taken as it stands".to_owned(),
            Self::Purge { .. } => {
                "close what else uses the database and give the command again; else the next start finishes it"
                    .to_owned()
            }
            Self::Trace { .. } => "make the file writable, then give the command again".to_owned(),
            // The grammar is that of the step, not the user's.
            Self::Grammar(_) | Self::Inference(inference::Error::Constraint(_)) => {
                "start with --debug, try again and report the log".to_owned()
            }
            Self::Inference(error) => error.hint().to_string(),
            Self::Dialect(error) => error.hint().to_string(),
        }
    }
}
