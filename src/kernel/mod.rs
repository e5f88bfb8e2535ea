//! The agent loop: interrupts in, steps, effects, events out.
//!
//! [`step`](mod@step) decides and is pure, [`Agent`] carries out. Knows memory, functions, dialects, grammars and engines by their
//! faces; no SQL, no tensors, no terminal.

mod agent;
mod answers;
mod archive;
mod aside;
mod asked_for;
mod attach;
mod by_profile;
mod command;
mod commands;
mod context_length;
mod cost;
mod dump;
mod embedding;
mod error;
mod forget;
mod heartbeats;
mod idle;
mod interrupt;
mod language;
mod memory_pass;
mod model;
mod offer;
mod preview;
mod progress;
mod recall;
mod replies;
mod requests;
mod service;
pub mod step;
mod summarizer;
mod window;

pub use crate::memory::BlockLabel;
pub use agent::{Agent, Settings};
pub use archive::Archival;
pub use by_profile::default_instructions;
pub use command::{Command, CommandError};
pub use commands::{LoadModel, LoadedModel};
pub use error::Error;
pub use interrupt::Interrupt;
pub use model::prompt_tokens;
pub use offer::{BlockView, MemoryView, step_policy};
pub use preview::next_step_grammar;
pub use requests::{Busy, Request, Requests};
pub use service::{Emitted, Handle, Outgoing, Sink, handle, spawn, timed_heartbeat};
pub use window::tells_of_eviction;
