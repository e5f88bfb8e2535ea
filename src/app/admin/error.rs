//! Failures of the commands that look after a home.

use std::path::PathBuf;

use crate::cli::ExitCode;
use crate::ui::editor;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A question cannot be asked.
    #[error("this cannot be undone, and there is no terminal to ask on")]
    NotConfirmed,
    /// A text of the program cannot be changed.
    #[error("the {kind} {name} is shipped with mneme")]
    Shipped {
        /// `persona` or `human`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The name is taken.
    #[error("there is a {kind} {name} already")]
    TextExists {
        /// `persona` or `human`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A text has nothing in it.
    #[error("the {kind} text is empty")]
    EmptyText {
        /// `persona` or `human`.
        kind: &'static str,
    },
    /// Passages are of an agent, and nothing else is.
    #[error("--agent names the agent whose passages are meant, and nothing else that is listed or deleted has one")]
    AgentOfPassages,
    /// There are fewer pages.
    #[error("there is no page {page}")]
    NoPage {
        /// The page, from 1.
        page: u64,
        /// How many there are.
        page_count: u64,
    },
    /// Passages have numbers, not names.
    #[error("{typed:?} is no number of a passage")]
    NoPassageNumber {
        /// As it was typed.
        typed: String,
    },
    /// A file of the home cannot be written or deleted.
    #[error("cannot change {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no such setting.
    #[error("there is no setting {key}")]
    UnknownKey {
        /// As it was typed.
        key: String,
        /// All that there are.
        known: Vec<String>,
    },
    /// The editor could not be run, or ended with an error.
    #[error(transparent)]
    Editor(#[from] editor::Error),
    /// What the editor left is not valid.
    #[error("what you wrote is not valid and was not taken over: {reason}")]
    EditedBadly {
        /// Where it lies.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file that should be imported cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file is nothing that can be imported.
    #[error("{} is nothing that mneme can import", path.display())]
    NotImportable {
        /// The file.
        path: PathBuf,
    },
    /// Documents are asked for in a form that cannot hold them.
    #[error("the .af format has no place for the documents of sources")]
    NoDocuments,
    /// A chat history has no agent to go to.
    #[error("{} is a chat history, and no agent is named to take it", path.display())]
    NeedsAgent {
        /// The file.
        path: PathBuf,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotConfirmed => "say --yes if you mean it".to_owned(),
            Self::Shipped { .. } => "only your own can be changed; one of yours with the same name goes before it".to_owned(),
            Self::TextExists { .. } => "choose another name, or replace it: mneme add .. --replace".to_owned(),
            Self::EmptyText { .. } => "give it with --text, or name a file that holds it".to_owned(),
            Self::AgentOfPassages => "mneme list passages --agent NAME, or mneme delete passage NUMBER --agent NAME".to_owned(),
            Self::NoPage { page_count, .. } => format!("the last page is {page_count}"),
            Self::NoPassageNumber { .. } => "take it from mneme list passages --agent NAME".to_owned(),
            Self::File { .. } => "check the permissions of the home and the free disk space".to_owned(),
            Self::UnknownKey { known, .. } => format!("there are {}", known.join(", ")),
            Self::Editor(error @ editor::Error::File { .. }) => error.hint(),
            Self::Editor(_) => {
                "name your editor in VISUAL or EDITOR, or change one setting: mneme config set KEY VALUE".to_owned()
            }
            Self::EditedBadly { path, .. } => {
                format!("config.toml is as it was; your text is in {}, and mneme config edit opens it again", path.display())
            }
            Self::Unreadable { .. } => "check the path and its permissions".to_owned(),
            Self::NotImportable { .. } => {
                "mneme imports its own exports, Letta's .af, the conversations.json of ChatGPT and Claude (also in their \
                 .zip), and JSON lines with role and text"
                    .to_owned()
            }
            Self::NoDocuments => "leave out --with-sources, or export with --format mneme".to_owned(),
            Self::NeedsAgent { .. } => "name one with --agent NAME; mneme add agent NAME makes one".to_owned(),
        }
    }

    /// The exit code that scripts see.
    #[must_use]
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::File { .. } | Self::Editor(_) => ExitCode::Failed,
            Self::Unreadable { .. } | Self::NotImportable { .. } => ExitCode::Data,
            Self::NotConfirmed
            | Self::AgentOfPassages
            | Self::NoPage { .. }
            | Self::NoPassageNumber { .. }
            | Self::Shipped { .. }
            | Self::TextExists { .. }
            | Self::EmptyText { .. }
            | Self::UnknownKey { .. }
            | Self::EditedBadly { .. }
            | Self::NoDocuments
            | Self::NeedsAgent { .. } => ExitCode::Usage,
        }
    }
}
