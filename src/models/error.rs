//! Failures of the catalogue, the store and fetching.

use std::io;
use std::path::PathBuf;

use indicatif::DecimalBytes;

/// Something about model files failed. Nothing stands under a final name that was not checked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No catalogue entry and no file of that name.
    #[error("there is no model {name}")]
    UnknownModel {
        /// What was asked for.
        name: String,
    },
    /// A path that was given as a model is not a file.
    #[error("there is no model file {}", path.display())]
    NoSuchFile {
        /// The path.
        path: PathBuf,
    },
    /// A path that was given as a model is a folder, a pipe or a device.
    #[error("the model file {} is {found}", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is, with its article.
        found: &'static str,
    },
    /// A catalogue entry that is not on this machine.
    #[error("the model {name} is not installed")]
    NotInstalled {
        /// Catalogue name.
        name: String,
    },
    /// An embedder was given where a chat model is needed.
    #[error("{name} is an embedder: it cannot chat")]
    NotAChatModel {
        /// Catalogue name.
        name: String,
    },
    /// A catalogue file is wrong.
    #[error("the catalogue entry {name} is wrong: {reason}")]
    BadEntry {
        /// Entry or file name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A pin or state file is damaged.
    #[error("{} is damaged: {reason}", path.display())]
    BadStoreFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The platform names no data folder.
    #[error("this system names no data folder for the models")]
    NoDataFolder,
    /// A file operation failed.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The disk ran full while writing.
    #[error("the disk is full: {} holds {written_bytes} bytes and cannot grow", path.display())]
    DiskFull {
        /// File that was being written.
        path: PathBuf,
        /// Bytes that it holds.
        written_bytes: u64,
    },
    /// Not enough room, found before anything was fetched.
    #[error(
        "{name} needs {} of free disk in {}, there are {}",
        DecimalBytes(*needed_bytes), dir.display(), DecimalBytes(*free_bytes)
    )]
    TooLittleDisk {
        /// Catalogue name.
        name: String,
        /// Folder of the models.
        dir: PathBuf,
        /// Room for the file and for what it is unpacked from.
        needed_bytes: u64,
        /// Room there is.
        free_bytes: u64,
    },
    /// Another process fetches or removes the same model.
    #[error("another mneme is working on {name}")]
    Busy {
        /// Catalogue name.
        name: String,
    },
    /// The user stopped it.
    #[error("stopped: {name} is not complete; what has arrived is kept")]
    Cancelled {
        /// What was being done.
        name: String,
    },
    /// The hub offers another file than the one that was pinned at the first pull.
    #[error("{file} has changed on the hub: pinned sha256 {pinned}, offered {offered}")]
    Changed {
        /// File name.
        file: String,
        /// sha256 of the first pull.
        pinned: String,
        /// sha256 offered now.
        offered: String,
    },
    /// Every source failed.
    #[error("cannot fetch {file}: {}", join(failures))]
    NoSource {
        /// File name.
        file: String,
        /// One entry a source, in the order of trying.
        failures: Vec<SourceFailure>,
    },
    /// A data set of a benchmark could not be fetched.
    #[error("cannot fetch the data set {name}: {failure}")]
    DataSet {
        /// Its name.
        name: String,
        /// What happened.
        failure: Box<Failure>,
    },
    /// No model fits this machine.
    #[error("no model that is installed or can be reached fits {} of memory", DecimalBytes(*memory_bytes))]
    NothingFits {
        /// The machine's memory.
        memory_bytes: u64,
    },
    /// This build cannot fetch anything.
    #[error("this build has no downloader (feature `download` is off)")]
    NoDownloader,
}

/// Why one source failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFailure {
    /// `hub` or `wheels`, with the address.
    pub source: String,
    /// What happened.
    pub failure: Failure,
}

/// What can go wrong with a source; another source may still work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// 401 or 403.
    #[error("access was refused (status {status})")]
    Gated {
        /// HTTP status.
        status: u16,
    },
    /// 404 or 410.
    #[error("the file does not exist there (status {status})")]
    Missing {
        /// HTTP status.
        status: u16,
    },
    /// Any other status that is not success.
    #[error("the server answered with status {status}")]
    Server {
        /// HTTP status.
        status: u16,
    },
    /// No connection.
    #[error("no connection to {host} ({reason})")]
    Offline {
        /// Host and port.
        host: String,
        /// What the network said.
        reason: String,
    },
    /// The file of trusted certificates is of no use.
    #[error("SSL_CERT_FILE names {}, which cannot be used: {reason}", path.display())]
    BadCertificates {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Nothing arrived for too long.
    #[error("nothing arrived for {waited_ms} ms, after {received_bytes} of {expected_bytes} bytes")]
    Stalled {
        /// How long.
        waited_ms: u64,
        /// Bytes of the file that are there.
        received_bytes: u64,
        /// Bytes that it should have; 0 where not even that had been told.
        expected_bytes: u64,
    },
    /// The connection ended early.
    #[error("the connection broke after {received_bytes} of {expected_bytes} bytes")]
    Truncated {
        /// Bytes of the file that are there.
        received_bytes: u64,
        /// Bytes that it should have.
        expected_bytes: u64,
    },
    /// The answer contradicts itself or what is known of the file.
    #[error("the server's answer is wrong: {reason}")]
    BadAnswer {
        /// What is wrong.
        reason: String,
    },
    /// Size differs.
    #[error("it has {found_bytes} bytes instead of {expected_bytes}")]
    WrongSize {
        /// Bytes that came.
        found_bytes: u64,
        /// Bytes that it should have.
        expected_bytes: u64,
    },
    /// sha256 differs.
    #[error("its sha256 is {found} instead of {expected}: it is damaged or was tampered with, and was deleted")]
    WrongHash {
        /// What came.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// No pip.
    #[error("{program} cannot be run: Python with pip is needed")]
    NoPip {
        /// The program that was tried.
        program: String,
    },
    /// pip failed.
    #[error("pip could not fetch {requirement}: {reason}")]
    PipFailed {
        /// `NAME==VERSION`.
        requirement: String,
        /// pip's last words.
        reason: String,
    },
    /// The wheel is not what the catalogue says.
    #[error("the wheel {wheel} is wrong: {reason}")]
    BadWheel {
        /// File name of the wheel.
        wheel: String,
        /// What is wrong.
        reason: String,
    },
}

/// Advice where neither the hub nor the package index could be reached.
const UNREACHABLE: &str = "check the network and proxy; HF_ENDPOINT names a mirror of the hub, pip config list shows pip's \
                           package index; a file from elsewhere works with --model PATH";

/// Whether the hub could not be reached and pip could not fetch either.
fn is_unreachable(failures: &[SourceFailure]) -> bool {
    let any = |is: fn(&Failure) -> bool| failures.iter().any(|one| is(&one.failure));
    any(|failure| matches!(failure, Failure::Offline { .. }))
        && any(|failure| matches!(failure, Failure::PipFailed { .. }))
        && failures.iter().all(|one| matches!(one.failure, Failure::Offline { .. } | Failure::PipFailed { .. }))
}

fn join(failures: &[SourceFailure]) -> String {
    if failures.is_empty() {
        return "it has no source".to_owned();
    }
    let parts: Vec<String> = failures.iter().map(|one| format!("{}: {}", one.source, one.failure)).collect();
    parts.join("; ")
}

impl Failure {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Gated { .. } => {
                "accept the model's terms on its hub page, then set HF_TOKEN to a token that may read it"
            }
            Self::Missing { .. } => "choose another model: mneme models list",
            Self::Server { .. } => "try again later, or set HF_ENDPOINT to a mirror",
            Self::Offline { .. } => {
                "check the network and proxy, or set HF_ENDPOINT to a mirror; a file from elsewhere works with --model PATH"
            }
            Self::BadCertificates { .. } => {
                "unset SSL_CERT_FILE, or name a PEM file with the certificates of your network"
            }
            Self::Stalled { .. } | Self::Truncated { .. } => "run the same command again: it goes on where it stopped",
            Self::BadAnswer { .. } | Self::WrongSize { .. } => {
                "check HF_ENDPOINT and any proxy that answers in the hub's place"
            }
            Self::WrongHash { .. } => "run the same command again; if it happens twice, do not trust that source",
            Self::NoPip { .. } => "install Python 3 with pip, or a network that reaches the hub",
            Self::PipFailed { .. } => {
                "check the network, and pip's index with: pip config list; a file from elsewhere works with --model PATH"
            }
            Self::BadWheel { .. } => "update mneme, or choose another model: mneme models list",
        }
    }

    /// How telling the failure is: of several, the one with the highest value gives the hint.
    fn weight(&self) -> u8 {
        match self {
            Self::WrongHash { .. } => 9,
            Self::Gated { .. } | Self::BadCertificates { .. } => 8,
            Self::Truncated { .. } | Self::Stalled { .. } => 7,
            Self::BadAnswer { .. } | Self::WrongSize { .. } => 6,
            Self::Missing { .. } => 5,
            Self::BadWheel { .. } => 4,
            Self::Server { .. } => 3,
            Self::Offline { .. } => 2,
            Self::PipFailed { .. } | Self::NoPip { .. } => 1,
        }
    }
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::UnknownModel { .. } => "mneme models list shows the names; a path to a GGUF file works too".into(),
            Self::NotAFile { .. } => "name a GGUF file, or a model of mneme models list".into(),
            Self::NoSuchFile { .. } => "check the path, or use a name from mneme models list".into(),
            Self::NotInstalled { name } => format!("fetch it with: mneme models pull {name}"),
            Self::NotAChatModel { .. } => "mneme models list shows which models can chat".into(),
            Self::BadEntry { .. } => "update mneme".into(),
            Self::BadStoreFile { path, .. } => format!("delete {} and run the command again", path.display()),
            Self::NoDataFolder => "set MNEME_MODELS to a folder".into(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "make the folder writable, or set MNEME_MODELS to one that is".into()
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                "set MNEME_MODELS to a folder that can be written".into()
            }
            Self::Io { .. } => "check the folder, or set MNEME_MODELS to another one".into(),
            Self::DiskFull { .. } | Self::TooLittleDisk { .. } => {
                "free some disk, set MNEME_MODELS to a larger one, or choose a smaller model: mneme models list".into()
            }
            Self::Busy { .. } => "wait until it has finished".into(),
            Self::Cancelled { .. } => "run the same command again: it goes on where it stopped".into(),
            Self::Changed { .. } => {
                "if you trust the new file: mneme models rm NAME forgets the pin, then pull again".into()
            }
            Self::NoSource { failures, .. } if is_unreachable(failures) => UNREACHABLE.into(),
            Self::NoSource { failures, .. } => failures
                .iter()
                .map(|one| &one.failure)
                .reduce(|best, next| if next.weight() > best.weight() { next } else { best })
                .map_or("choose another model: mneme models list", Failure::hint)
                .into(),
            Self::DataSet { failure, .. } => match **failure {
                Failure::PipFailed { .. } => "check the network, and pip's index with: pip config list",
                Failure::NoPip { .. } => "install Python 3 with pip",
                Failure::BadWheel { .. } => "update mneme",
                Failure::WrongSize { .. } => {
                    "run the same command again; if it happens twice, do not trust pip's index"
                }
                _ => failure.hint(),
            }
            .into(),
            Self::NothingFits { .. } => "check the network, or name a model that you have with --model PATH".into(),
            Self::NoDownloader => "use a build with the feature download, or give a file with --model PATH".into(),
        }
    }

    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { operation, path: path.into(), source }
    }

    /// The error of a failed write: a full disk is told apart from everything else.
    #[cfg(feature = "download")]
    pub(crate) fn write(path: impl Into<PathBuf>, written_bytes: u64, source: io::Error) -> Self {
        let full = matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        if full { Self::DiskFull { path: path.into(), written_bytes } } else { Self::io("write", path, source) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "download")]
    #[test]
    fn a_full_disk_is_told_apart_from_other_write_errors() {
        let full = Error::write("/models/a.part", 12, io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.to_string(), "the disk is full: /models/a.part holds 12 bytes and cannot grow");
        assert!(full.hint().contains("smaller model"));
        let denied = Error::write("/models/a.part", 12, io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(matches!(denied, Error::Io { .. }));
        assert!(denied.hint().contains("writable"));
    }

    #[test]
    fn the_hint_of_several_failures_is_the_one_of_the_most_telling() {
        let error = Error::NoSource {
            file: "a.gguf".into(),
            failures: vec![
                SourceFailure { source: "hub".into(), failure: Failure::Gated { status: 401 } },
                SourceFailure { source: "wheels".into(), failure: Failure::NoPip { program: "python3".into() } },
            ],
        };
        assert!(error.hint().contains("HF_TOKEN"), "{}", error.hint());
        assert_eq!(
            error.to_string(),
            "cannot fetch a.gguf: hub: access was refused (status 401); \
             wheels: python3 cannot be run: Python with pip is needed"
        );
    }
}
