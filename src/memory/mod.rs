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
mod inbox;
mod messages;
mod queue_manager;
mod recall;
mod search;
mod step;
mod store;
mod summary;
mod text;
mod view;

pub use agent::{AgentMemory, NewAgent};
pub use archival::{ArchivalHit, Inserted};
pub use chunks::{ChunkLimits, chunks, passages_for};
pub use embed::Embed;
pub use error::{BoxError, EditError, Error, Result};
pub use inbox::Inbox;
pub use main_context::{BlockLabel, CoreBlock, CoreMemory, MainContext, QueueLimits, same_line};
pub use queue_manager::{CountTokens, RoomReport, make_room};
pub use recall::{RecallHit, Role};
pub use search::Page;
pub use step::Step;
pub use store::{AgentInfo, Store};
pub use summary::Summarize;
pub use view::{BlockEdit, View};
