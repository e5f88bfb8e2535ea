//! The memory category of the Berkeley Function Calling Leaderboard, asked of an agent of this program.
//!
//! Five people talk with an agent over several sessions and then ask about what they said: 37 sessions, 323 messages,
//! 155 questions. The official pipeline gives a model one of three memory back ends of its own and one system message;
//! here an agent is told all sessions with a restart between them, and each question is asked of the agent as it is
//! behind the last session. Judge, questions, accepted answers and answer format are the official ones. Not responsible
//! for the agent (`app`).
//!
//! Source: the wheel `bfcl-eval` 2026.3.23, Apache-2.0; it is fetched, never shipped.

mod data;
mod judge;
mod passages;
mod report;
mod retrieval;
mod work;

use std::path::PathBuf;

use crate::memory;

pub(in crate::bench) use data::lines;
pub use data::{Question, Scenario, ScenarioName, Selection, Session, WHEEL, read};
pub use judge::Judge;
pub use passages::{Bm25, passages};
pub(in crate::bench) use report::wilson;
pub use report::{Answer, Circumstances, Costs, Report, Score, Summary, Told, Variant, recited};
pub use retrieval::{Hits, RetrievalReport, RetrievalRow, retrieval};
pub(in crate::bench) use work::{FOLDER, LOCK, Row, append, empty, failed, rows};
pub use work::{Settings, Work};

/// The official instruction on the form of an answer, which the official pipeline puts into the system message.
///
/// Source: `ADDITIONAL_SYSTEM_PROMPT_FOR_AGENTIC_RESPONSE_FORMAT` in `bfcl_eval/constants/default_prompts.py` of the
/// wheel.
pub const ANSWER_FORMAT: &str = "For your final answer to the user, you must respond in this format: {'answer': A short \
    and precise answer to the question, 'context': A brief explanation of how you arrived at this answer or why it is \
    correct}. If you do not know the answer, respond with {'answer': 'I do not know', 'context': 'I do not know'}. If \
    you think the question cannot be properly answered, response with {'answer': 'I cannot answer this question', \
    'context': A short reason explaining why this question cannot be answered}.\n";

/// Stands under every figure.
pub const NOT_COMPARABLE: &str = "Published scores of this category used BFCL's own memory back ends and prompts; these \
                                  figures are those of an agent with its own memory, and the two are not comparable \
                                  like for like.";

/// Why the benchmark cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the data set is not there.
    #[error("the data of BFCL are not there: {} does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is larger than any of the data set.
    #[error("{} has more than {limit_bytes} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },
    /// A line is not what is expected.
    #[error("line {line} of {} cannot be understood", path.display())]
    BadLine {
        /// The file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A question has no accepted answers.
    #[error("the question {id} has no accepted answers")]
    NoAnswers {
        /// Its id.
        id: String,
    },
    /// Somebody else speaks where the user is expected.
    #[error("{id} has a message of the role {role:?}")]
    NotTheUser {
        /// Session or question.
        id: String,
        /// The role.
        role: String,
    },
    /// No question is chosen.
    #[error("no question of the chosen scenarios is in {}", folder.display())]
    NothingToAsk {
        /// Folder of the data set.
        folder: PathBuf,
    },
    /// The judge has no tables.
    #[error("the tables of letters and numbers cannot be read: {reason}")]
    Tables {
        /// What is wrong.
        reason: String,
    },
    /// What earlier runs have left cannot be read or written.
    #[error("cannot {operation} {}", path.display())]
    Work {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// What an earlier run has left is damaged.
    #[error("line {line} of {} is damaged", path.display())]
    DamagedWork {
        /// The file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Another process measures the same.
    #[error("another mneme works in {}", folder.display())]
    Busy {
        /// The work folder.
        folder: PathBuf,
    },
    /// The memory or the embedder failed.
    #[error(transparent)]
    Memory(#[from] memory::Error),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Missing { .. } => "fetch them: mneme bench fetch bfcl".to_owned(),
            Self::Unreadable { .. } => "check the file's permissions".to_owned(),
            Self::TooLarge { path, .. } | Self::BadLine { path, .. } | Self::NothingToAsk { folder: path } => {
                format!("if it is not yours, delete {} and fetch it again: mneme bench fetch bfcl", path.display())
            }
            Self::NoAnswers { .. } | Self::NotTheUser { .. } => {
                "the files do not belong together; delete their folder and run: mneme bench fetch bfcl".to_owned()
            }
            Self::Tables { .. } => "use another build".to_owned(),
            Self::Work { .. } => "set MNEME_BENCH_DATA to a folder that can be written and has room".to_owned(),
            Self::DamagedWork { .. } => "start over with --fresh".to_owned(),
            Self::Busy { .. } => "wait until it has finished".to_owned(),
            Self::Memory(error) => error.hint().to_string(),
        }
    }
}
