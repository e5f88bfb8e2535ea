//! How well a model calls functions: the single-turn categories of the Berkeley Function Calling Leaderboard, version 4.
//!
//! Each case asks something of a model that is shown some functions; the official judge compares its calls with the
//! accepted ones. Not responsible for running the model (`app`) nor for how it writes calls (`dialect`).
//!
//! Source: the wheel `bfcl-eval` 2026.3.23, Apache-2.0; it is fetched, never shipped.

mod data;
mod judge;
mod parameters;

pub use data::{Case, Category, Demand, Function, Language, Parameters, Said, Speaker, drawn, present, read};
pub use judge::{Judge, Judged, Reply, Verdict};

/// Why the benchmark cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the suite cannot be read.
    #[error(transparent)]
    Data(#[from] super::bfcl::Error),
    /// A case has no accepted calls.
    #[error("the case {id} has no accepted calls")]
    NothingAccepted {
        /// Its id.
        id: String,
    },
    /// A pattern of the judge cannot be read.
    #[error("the pattern {pattern} cannot be read")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: Box<fancy_regex::Error>,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Data(error) => error.hint(),
            Self::NothingAccepted { .. } => {
                "give it a line with the same id in the file of the same name in possible_answer".to_owned()
            }
            Self::Pattern { .. } => "use another build".to_owned(),
        }
    }
}
