//! How well a model calls functions: the single-turn categories of the Berkeley Function Calling Leaderboard, version 4.
//!
//! Each case asks something of a model that is shown some functions; the official judge compares its calls with the
//! accepted ones. Not responsible for running the model (`app`) nor for how it writes calls (`dialect`).
//!
//! Source: the wheel `bfcl-eval` 2026.3.23, Apache-2.0; it is fetched, never shipped.

mod bound;
mod caller;
mod closing;
mod compare;
mod data;
mod judge;
mod page;
mod parameters;
mod reply;
mod report;
mod statistics;
mod tables;
mod ties;
mod work;

pub use bound::{Bound, Throughput};
pub use caller::{Caller, Constrained, MAX_REPLY_TOKENS, MOST_TOGETHER, Question, Written, definitions, offer};
pub use compare::compare;
pub use data::{Case, Category, Demand, Function, Language, Parameters, Said, Speaker, drawn, present, read};
pub use judge::{Judge, Judged, Reply, Verdict};
pub use page::page;
pub use reply::read_reply;
pub use report::{Answer, Answered, Circumstances, Figures, ModelReport, Paired, Report};
pub use statistics::Share;
pub use ties::{Parting, Partings};
pub use work::{Row, Settings, Work};

use std::path::PathBuf;

use crate::{dialect, grammar, inference};

/// Why the benchmark cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the suite cannot be read.
    #[error(transparent)]
    Data(#[from] super::bfcl::Error),
    /// No case is chosen.
    #[error("no case of the chosen categories is in {}", suite.display())]
    NothingToAsk {
        /// Folder of the suite.
        suite: PathBuf,
    },
    /// An earlier report cannot be read.
    #[error("{} is no report of this benchmark", path.display())]
    BadReport {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A case has no accepted calls.
    #[error("the case {id} has no accepted calls")]
    NothingAccepted {
        /// Its id.
        id: String,
    },
    /// A prompt cannot be put into the model's words.
    #[error(transparent)]
    Dialect(#[from] dialect::Error),
    /// The grammar of a case has no use.
    #[error(transparent)]
    Grammar(#[from] grammar::Error),
    /// The model failed.
    #[error(transparent)]
    Inference(#[from] inference::Error),
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
            Self::Dialect(error) => error.hint().to_owned(),
            Self::Grammar(error) => error.hint().to_owned(),
            Self::Inference(error) => error.hint().to_owned(),
            Self::NothingToAsk { .. } => {
                "put a file NAME.json for a category into it: mneme bench functions --help names them".to_owned()
            }
            Self::BadReport { .. } => {
                "name a report.json that --report has written, or a file that mneme bench memory bfcl --json has"
                    .to_owned()
            }
            Self::NothingAccepted { .. } => {
                "give it a line with the same id in the file of the same name in possible_answer".to_owned()
            }
            Self::Pattern { .. } => "use another build".to_owned(),
        }
    }
}
