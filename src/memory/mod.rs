//! The memory hierarchy: main context (what the model sees), recall storage (every message), archival storage
//! (passages), and the queue manager that moves messages between them.
//!
//! Strategy: one SQLite file per home, written through; eviction changes visibility, never history. Everything that
//! changes is a short transaction; an agent's step is one transaction ([`Step`]). Reading goes through [`View`], which
//! sees the same whether a step is under way or not.
//!
//! Not responsible for when to warn, evict or search (`kernel`), nor for how a prompt is spelled (`dialect`). Counting
//! tokens, summarising and embedding are asked for through [`CountTokens`], [`Summarize`] and [`Embed`].
//!
//! Source: Packer et al., MemGPT, arXiv 2310.08560, section 2.

pub mod main_context;

mod agent;
mod archival;
mod checkpoint;
mod chunks;
mod embed;
mod error;
mod forget;
mod fusion;
mod inbox;
mod messages;
mod queue_manager;
mod recall;
mod scores;
mod search;
mod sources;
mod state;
mod step;
mod store;
mod summary;
mod text;
mod transfer;
mod turns;
mod vectors;
mod view;
mod wanted;
mod windows;

pub use agent::{AgentMemory, NewAgent};
pub use archival::{ArchivalHit, DocumentPlace, Inserted};
pub use chunks::{ChunkLimits, careful_count, chunks, passages_for};
pub use embed::Embed;
#[cfg(test)]
pub(crate) use embed::doubles::Water;
pub use error::{BoxError, EditError, Error, Result};
pub use forget::Forgotten;
pub use fusion::FusionLimits;
pub use inbox::Inbox;
pub use main_context::{BlockLabel, CoreBlock, CoreMemory, MainContext, QueueLimits, same_line};
pub use queue_manager::{CountTokens, IfUnwritten, QueueManager, RoomReport};
pub use recall::{NearestMessages, RecallHit, Role, Said};
pub use search::Page;
pub use sources::{DocumentInfo, NewDocument, SourceInfo};
pub use step::Step;
pub use store::{AgentInfo, AgentOverview, DatabaseClock, Examination, Purge, Restored, Store, examine, restore};
pub use summary::Summarize;
pub use transfer::{AgentForm, ChatImport, Chats, FileKind, Transferred, recognise};
pub use turns::{Retaken, Undone};
pub use vectors::{Embedded, Embedding, IndexSize};
pub use view::{BlockEdit, View};
pub use wanted::Wanted;
