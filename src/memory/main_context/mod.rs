//! Main context: everything that the model sees in one call.
//!
//! Instructions (never change while an agent runs), core memory, and the queue, whose first entry is the summary of
//! what was evicted. Pure: nothing here reads the database or counts a token.

pub mod system;

mod budget;
mod core;
mod queue;
mod render;

pub use self::budget::QueueLimits;
pub use self::core::{BlockLabel, CoreBlock, CoreMemory, same_line};
pub use self::queue::{
    EntryKind, QueueEntry, is_call_and_result, plan_eviction, plan_eviction_within_exchange, plan_stub,
    plan_stub_of_giant,
};
pub use self::render::{MainContext, compose, shown_text};
