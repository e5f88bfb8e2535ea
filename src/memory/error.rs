//! Failures of the memory layer.
//!
//! Failures of an edit that the model asked for are apart ([`EditError`]): their text is written for the model.

use std::io::ErrorKind;
use std::path::PathBuf;

use rusqlite::ErrorCode;

use super::main_context::BlockLabel;
use super::text::clipped;
use crate::types::InvalidName;

/// Result of the memory layer.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of a trait's implementer, whatever it is.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Something in the memory could not be read, written or made to fit.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database file or its folder cannot be created, read or written.
    #[error("cannot open the database {}: {source}", path.display())]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file can be read but not written.
    #[error("the database {} is read-only", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The file is not an SQLite database.
    #[error("{} is not an SQLite database", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is a database of another program.
    #[error("{} is a database of another program (application id {application_id:#x})", path.display())]
    ForeignDatabase {
        /// The file.
        path: PathBuf,
        /// What its header says.
        application_id: i64,
    },
    /// A later release has written the file.
    #[error("the database {} has schema version {found}; this program knows versions up to {supported}", path.display())]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Newest version known here.
        supported: u32,
    },
    /// The copy that must exist before a migration could not be made or is not sound.
    #[error("the copy {} that a migration needs could not be made: {reason}", path.display())]
    BackupFailed {
        /// Where it should have been.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A backup that the user wants could not be made or is not sound; nothing is left of it.
    #[error("cannot write the backup {}: {source}", path.display())]
    Backup {
        /// Where it should have been.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No space is left.
    #[error("the disk is full: could not {operation}")]
    DiskFull {
        /// What was being done.
        operation: &'static str,
        /// SQLite's error.
        #[source]
        source: rusqlite::Error,
    },
    /// The file became unwritable.
    #[error("the database cannot be written: could not {operation}")]
    NotWritable {
        /// What was being done.
        operation: &'static str,
        /// SQLite's error.
        #[source]
        source: rusqlite::Error,
    },
    /// Pages of the file are damaged.
    #[error("the database is damaged: could not {operation}")]
    Corrupt {
        /// What was being done.
        operation: &'static str,
        /// SQLite's error.
        #[source]
        source: rusqlite::Error,
    },
    /// Another process holds the database for too long.
    #[error("the database is in use by another process: could not {operation}")]
    Busy {
        /// What was being done.
        operation: &'static str,
        /// SQLite's error.
        #[source]
        source: rusqlite::Error,
    },
    /// Any other failure of SQLite.
    #[error("could not {operation}: {source}")]
    Sqlite {
        /// What was being done.
        operation: &'static str,
        /// SQLite's error.
        #[source]
        source: rusqlite::Error,
    },
    /// A stored row does not hold what this program writes.
    #[error("row {id} of table {table} cannot be understood")]
    BadRow {
        /// The table.
        table: &'static str,
        /// The row.
        id: i64,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A name breaks the naming rule.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// There is no such agent.
    #[error("there is no agent {name}{}", known_names(known))]
    UnknownAgent {
        /// Its name.
        name: String,
        /// The agents that there are, the one whose name is most like it first.
        known: Vec<String>,
    },
    /// There is a source of that name already.
    #[error("there is a source {name} already")]
    SourceExists {
        /// The name.
        name: String,
    },
    /// There is no such source of documents.
    #[error("there is no source {name}{}", known_names(known))]
    UnknownSource {
        /// Its name.
        name: String,
        /// The sources that there are, the one whose name is most like it first.
        known: Vec<String>,
    },
    /// The name is taken.
    #[error("there is an agent {name} already")]
    AgentExists {
        /// Its name.
        name: String,
    },
    /// Another process has the agent open.
    #[error("the agent {name} is open in another process")]
    AgentInUse {
        /// Its name.
        name: String,
    },
    /// The text of a new block is over its limit.
    #[error("the {label} text has {chars} characters; the limit is {limit_chars}")]
    BlockTooLong {
        /// Which block.
        label: BlockLabel,
        /// Its length in characters.
        chars: usize,
        /// Its limit in characters.
        limit_chars: usize,
    },
    /// An edit that the model asked for was refused; nothing was changed.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Fewer messages are in the queue than should be removed.
    #[error("cannot remove {asked} messages: the queue holds {available}")]
    TooFewMessages {
        /// How many should be removed.
        asked: usize,
        /// How many there are.
        available: usize,
    },
    /// There is no such checkpoint.
    #[error("there is no checkpoint {name}; the newest are {}", known.join(", "))]
    UnknownCheckpoint {
        /// Its name.
        name: String,
        /// The newest ones that there are, newest first.
        known: Vec<String>,
    },
    /// Fewer turns can be taken back.
    #[error("cannot take back {asked} {}: {}", turns(*asked), that_many(*available, "can be taken back"))]
    TooFewTurns {
        /// How many should be taken back.
        asked: usize,
        /// How many can be.
        available: usize,
    },
    /// Fewer turns can be brought back.
    #[error("cannot bring back {asked} {}: {}", turns(*asked), that_many(*available, "was taken back since the last change"))]
    TooFewUndone {
        /// How many should be brought back.
        asked: usize,
        /// How many can be.
        available: usize,
    },
    /// No message of the user is there that could be answered again.
    #[error("there is no turn of yours that could be taken again")]
    NoTurn,
    /// Nothing that the agent wrote after the last message of the user can be replaced.
    #[error("there is no {what} of the agent since your last message")]
    NothingToReplace {
        /// What should have been replaced: `reply` or `inner thought`.
        what: &'static str,
    },
    /// A block is no longer what the user began to edit.
    #[error("the {label} block was changed while it was being edited")]
    BlockChanged {
        /// Which block.
        label: BlockLabel,
    },
    /// Nothing has been saved yet.
    #[error("nothing has been saved yet")]
    NoCheckpoint,
    /// There is no such message, or it is not in the state that the operation needs.
    #[error("could not {operation}: there is no such message ({id})")]
    UnknownMessage {
        /// What was being done.
        operation: &'static str,
        /// Its id.
        id: i64,
    },
    /// What must stay in the prompt does not fit.
    #[error(
        "the context window of {window_tokens} tokens is too small: {needed_tokens} tokens must stay in the prompt and \
         {reserve_tokens} are reserved for the answer"
    )]
    WindowTooSmall {
        /// Tokens of the smallest prompt possible.
        needed_tokens: usize,
        /// Tokens reserved for the answer.
        reserve_tokens: usize,
        /// The window.
        window_tokens: usize,
    },
    /// The tokens of a prompt could not be counted.
    #[error("the prompt could not be measured: {source}")]
    Count {
        /// What the counter said.
        #[source]
        source: BoxError,
    },
    /// There is no such passage among those that the agent has stored itself.
    #[error("there is no passage {id} of this agent's own")]
    UnknownPassage {
        /// Its id.
        id: i64,
    },
    /// The embedder failed.
    #[error("the embedder {embedder} failed: {source}")]
    Embedder {
        /// Its name.
        embedder: String,
        /// What it said.
        #[source]
        source: BoxError,
    },
    /// The embedder gave what cannot be stored and searched.
    #[error("the vectors of the embedder {embedder} cannot be used: {reason}")]
    BadVectors {
        /// Its name.
        embedder: String,
        /// What is wrong, with the numbers.
        reason: String,
    },
    /// A file that should be written is there already.
    #[error("there is a file {} already", path.display())]
    FileExists {
        /// The file.
        path: PathBuf,
    },
    /// A file that should be restored is no sound database of this program.
    #[error("{} cannot be restored: {reason}", path.display())]
    BadBackup {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The database cannot be replaced while a chat uses it.
    #[error("an agent of this home is open in another process")]
    AgentsOpen,
    /// A file that should be imported does not hold what it should.
    #[error("the file cannot be imported: {}{reason}", of_line(*line))]
    BadImport {
        /// The line that is wrong, from 1, where the file has lines.
        line: Option<u64>,
        /// What is wrong.
        reason: String,
    },
    /// An export cannot be written, or a file not be read.
    #[error("could not {operation}: {source}")]
    Transfer {
        /// What was being done.
        operation: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Limits of the queue contradict each other.
    #[error("the queue limits are not usable: {reason}")]
    BadLimits {
        /// Which, with the numbers.
        reason: String,
    },
}

impl Error {
    /// Another process is in the way, though SQLite has not failed.
    pub(super) fn busy(operation: &'static str) -> Self {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        Self::Busy { operation, source: rusqlite::Error::SqliteFailure(code, None) }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::CannotOpen { .. } | Self::ReadOnly { .. } | Self::NotWritable { .. } => {
                "make the folder writable, or choose another with MNEME_HOME"
            }
            Self::NotADatabase { .. } | Self::ForeignDatabase { .. } => {
                "move the file away, or choose another folder with MNEME_HOME"
            }
            Self::NewerVersion { .. } => "use the release of mneme that wrote it, or choose another MNEME_HOME",
            Self::BackupFailed { .. } => "free some disk space and try again; nothing was lost",
            Self::Backup { source, .. } => match source.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => "name a file in a folder that exists",
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    "free some disk space, or name a file on another disk; the database is as it was"
                }
                _ => "name a file in a folder that you can write; the database is as it was",
            },
            Self::DiskFull { .. } => "free some disk space",
            Self::Corrupt { .. } | Self::BadRow { .. } => {
                "restore a copy of the database, or save what is readable with: sqlite3 FILE .recover"
            }
            Self::Busy { .. } | Self::AgentInUse { .. } => "end the other mneme first",
            Self::Name(_) => "choose a name such as sam or work-2",
            Self::UnknownAgent { .. } => "make one by talking to it: mneme run --agent NAME",
            Self::SourceExists { .. } => "choose another name, or delete the other source first",
            Self::UnknownSource { .. } => "make one of files: mneme load PATH --name NAME",
            Self::AgentExists { .. } => "open it with: mneme run --agent NAME, or choose another name",
            Self::BlockTooLong { .. } => {
                "shorten the text, or raise core_memory_limit_chars in config.toml of the home"
            }
            Self::Edit(_) => "the model is told what to try",
            Self::TooFewMessages { .. } => "ask for fewer",
            Self::TooFewTurns { .. } => "the last 50 turns are kept; /load goes back to a checkpoint",
            Self::TooFewUndone { .. } => "/redo works after /undo, until your next message or another change",
            Self::NoTurn => "say something first; what came in from elsewhere cannot be taken again",
            Self::NothingToReplace { .. } => {
                "/dump shows what is in view; only the classic profile has inner thoughts, and /heartbeat has a message \
                 answered"
            }
            Self::BlockChanged { .. } => "look at it with /core and edit it again",
            Self::UnknownCheckpoint { .. } => "take one of these, or none for the newest",
            Self::NoCheckpoint => "save one first with /save",
            Self::WindowTooSmall { .. } => "start with a larger --context-window, or shorten core memory with /core",
            Self::UnknownPassage { .. } => "passages of documents go with their source; take the id from a listing",
            Self::Embedder { .. } => {
                "words are searched all the same; report this message: a chat with --debug logs more"
            }
            Self::BadVectors { .. } => {
                "install the embedder again: mneme models verify tells whether its file is damaged"
            }
            Self::FileExists { .. } => "choose another name, or delete the file first",
            Self::BadBackup { .. } => "name a file that mneme backup has written; the present database is unchanged",
            Self::AgentsOpen => "leave its chat first",
            Self::BadImport { .. } => {
                "mneme imports its own exports, Letta's .af, chat exports of ChatGPT and Claude, and JSON lines with role \
                 and text; nothing was changed"
            }
            Self::Transfer { .. } => "check the file, its permissions and the free disk space",
            Self::BadLimits { .. } => "correct [queue] in config.toml of the home",
            Self::Sqlite { source, .. } if source.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) => {
                "check the disk: it may be full or failing"
            }
            Self::Sqlite { .. } | Self::UnknownMessage { .. } | Self::Count { .. } => {
                "report this message; a chat with --debug logs more"
            }
        }
    }
}

/// Why an edit of core or archival memory was refused. The text teaches the model what to try instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The block would be too long.
    #[error(
        "{label} holds {used_chars} of {limit_chars} characters and would grow to {asked_chars}. Nothing was changed. \
         Shorten the text, replace lines that are out of date, or store it with archival_memory_insert."
    )]
    OverLimit {
        /// Which block.
        label: BlockLabel,
        /// Its length now, in characters.
        used_chars: usize,
        /// The length that was asked for, in characters.
        asked_chars: usize,
        /// Its limit, in characters.
        limit_chars: usize,
    },
    /// Nothing in the block is like `old_content`.
    #[error("{label} has no line {asked:?}.{} Copy old_content exactly from core memory.", closest_line(closest.as_deref()))]
    NotFound {
        /// Which block.
        label: BlockLabel,
        /// What should have been replaced.
        asked: String,
        /// The line that is most like it.
        closest: Option<String>,
    },
    /// The block says so already.
    #[error(
        "{label} already says {:?}. Nothing was changed, and nothing needs to be: go on.",
        clipped(line, QUOTED_CHARS)
    )]
    AlreadyPresent {
        /// Which block.
        label: BlockLabel,
        /// The line.
        line: String,
    },
    /// Old and new text are the same.
    #[error("old_content and new_content say the same. Nothing was changed. Give the corrected text as new_content.")]
    NoChange,
    /// No text was given.
    #[error("{argument} is empty. Nothing was changed. Give the text as {argument}.")]
    Empty {
        /// Name of the argument.
        argument: &'static str,
    },
    /// Archival storage holds the same passage.
    #[error("archival memory already holds this passage. Nothing was added, and nothing needs to be: go on.")]
    DuplicatePassage,
}

/// Characters of a line that is quoted to the model: it has just written it, and its window may be nearly full.
const QUOTED_CHARS: usize = 60;

/// Names in a message about an agent or a source that is not there; more would hide the nearest.
const MAX_NAMED: usize = 8;

fn known_names(known: &[String]) -> String {
    let named = known.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match known.len().saturating_sub(MAX_NAMED) {
        0 if known.is_empty() => String::new(),
        0 => format!("; there are {named}"),
        more => format!("; there are {named} and {more} more"),
    }
}

const fn turns(count: usize) -> &'static str {
    if count == 1 { "turn" } else { "turns" }
}

fn that_many(available: usize, what: &str) -> String {
    if available == 0 { format!("none {what}") } else { format!("only {available} {what}") }
}

fn of_line(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!("line {line}: "))
}

fn closest_line(closest: Option<&str>) -> String {
    closest.map_or_else(String::new, |line| format!(" The closest line is {line:?}."))
}

/// Says what was being done when SQLite failed, and sorts the failure by its code.
pub(super) trait During<T> {
    /// Attaches `operation`, an infinitive phrase: "read the queue".
    fn during(self, operation: &'static str) -> Result<T>;
}

impl<T> During<T> for rusqlite::Result<T> {
    fn during(self, operation: &'static str) -> Result<T> {
        self.map_err(|source| match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Error::DiskFull { operation, source },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                Error::NotWritable { operation, source }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Corrupt { operation, source },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy { operation, source },
            _ => Error::Sqlite { operation, source },
        })
    }
}
