//! Why conversations could not be measured.

use std::path::PathBuf;

use super::conversation::MAX_FILE_BYTES;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is larger than anything that makes sense.
    #[error("{} has {size_bytes} bytes; the limit is {MAX_FILE_BYTES}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size_bytes: u64,
    },
    /// A file does not hold a conversation.
    #[error("{} cannot be understood", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: serde_json::Error,
    },
    /// Two files hold conversations of the same name.
    #[error("{} and another file both hold a conversation {name}", path.display())]
    SameName {
        /// The second file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// Nothing is left of what was named.
    #[error(
        "none of {found} conversations is chosen: {of_other_half} are of the other half, {not_named} have another name"
    )]
    NothingChosen {
        /// Files that there are.
        found: usize,
        /// Of these, files of the other half.
        of_other_half: usize,
        /// Files that `--only` leaves out.
        not_named: usize,
    },
    /// The agent does not tell what it remembers.
    #[error("core memory cannot be read: {message}")]
    CoreMemory {
        /// What the agent says instead.
        message: String,
    },
    /// Several runs that cannot differ.
    #[error("{seeds} runs of each conversation at temperature 0 are all the same")]
    SameRuns {
        /// How many were asked for.
        seeds: u64,
    },
}

impl Error {
    /// Whether the command line is at fault.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Unreadable { .. } | Self::SameName { .. } | Self::NothingChosen { .. } | Self::SameRuns { .. }
        )
    }

    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "check the path; --dir names a folder of conversations",
            Self::TooLarge { .. } => "split it into several conversations",
            Self::BadFile { .. } => "benches/conversations/README.md tells what a conversation looks like",
            Self::SameName { .. } => "give one of them another name",
            Self::NothingChosen { .. } => "choose with --half tuned, untouched or all, and with --only",
            Self::CoreMemory { .. } => "check the room on the disk for temporary files",
            Self::SameRuns { .. } => "give a --temperature above 0, or leave out --seeds",
        }
    }
}
