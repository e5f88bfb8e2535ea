//! Why a document was not read.

use indicatif::BinaryBytes;

/// A file that was not read. Its message stands behind the name of the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened or read.
    #[error("cannot be read: {source}")]
    Unreadable {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is a folder, a pipe or a device.
    #[error("is {found}")]
    NotAFile {
        /// What it is, with its article.
        found: &'static str,
    },
    /// It is larger than the limit.
    #[error("has {}; the limit is {}", BinaryBytes(*size_bytes), BinaryBytes(*limit_bytes))]
    TooLarge {
        /// Its size.
        size_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// It holds no text.
    #[error("is a binary file")]
    Binary,
    /// It is a private key.
    #[error("is a private key")]
    PrivateKey,
    /// Its format is known but not read.
    #[error("is of a format that is not read: {name}")]
    Unsupported {
        /// Name of the format.
        name: &'static str,
    },
    /// It breaks the rules of its format.
    #[error("is damaged: {reason}")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// It cannot be opened without a password.
    #[error("is encrypted")]
    Encrypted,
    /// Nothing in it is text.
    #[error("holds no text{}", if *pages { " (its pages may be pictures of text)" } else { "" })]
    NoText {
        /// It has pages, which may be pictures.
        pages: bool,
    },
    /// Its text is longer than the limit.
    #[error("holds more text than {}", BinaryBytes(*limit_bytes))]
    TooMuchText {
        /// The limit.
        limit_bytes: u64,
    },
    /// It has more pages than the limit.
    #[error("has {pages} pages; the limit is {limit}")]
    TooManyPages {
        /// How many.
        pages: usize,
        /// The limit.
        limit: usize,
    },
    /// Elements are nested deeper than the limit.
    #[error("is nested deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// The archive holds more files than the limit.
    #[error("is an archive of {files} files; the limit is {limit}")]
    TooManyFiles {
        /// How many.
        files: usize,
        /// The limit.
        limit: usize,
    },
    /// The archive unpacks to more than the limit.
    #[error("unpacks to more than {} (a zip bomb?)", BinaryBytes(*limit_bytes))]
    Expansion {
        /// The limit.
        limit_bytes: u64,
    },
    /// The library that reads the format failed in a way that it should not.
    #[error("could not be understood: the reader of its format failed")]
    Panicked,
    /// Reading took too long.
    #[error("was given up: reading it took more than {seconds} s")]
    TimedOut {
        /// The limit.
        seconds: u64,
    },
    /// The reading process died.
    #[error("was given up: the reading process {how}")]
    Died {
        /// How it ended.
        how: String,
    },
    /// The reading process refused the file.
    #[error("{reason}")]
    Refused {
        /// The message of its own error.
        reason: String,
        /// What that error says to do.
        hint: String,
    },
    /// The reading process cannot be started or talked to.
    #[error("cannot be read: the reading process does not work: {source}")]
    NoWorker {
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &str {
        match self {
            Self::Unreadable { .. } => "check its permissions",
            Self::NotAFile { .. } | Self::Binary | Self::PrivateKey => "leave it out",
            Self::Unsupported { .. } | Self::Panicked | Self::Died { .. } => "save it as PDF, docx or text",
            Self::Refused { hint, .. } => hint,
            Self::Damaged { .. } => "open it in its own program and save it again",
            Self::Encrypted => "save it without a password",
            Self::NoText { .. } => "run it through text recognition",
            Self::TooLarge { .. }
            | Self::TooMuchText { .. }
            | Self::TooManyPages { .. }
            | Self::TooDeep { .. }
            | Self::TooManyFiles { .. }
            | Self::Expansion { .. }
            | Self::TimedOut { .. } => "split it, or raise the limit in [documents] of config.toml in the home",
            Self::NoWorker { .. } => "start mneme again: it may have been replaced while it ran",
        }
    }
}
