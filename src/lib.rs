//! mneme: a memory agent (MemGPT) that runs entirely on the user's own machine.
//!
//! | operating system | mneme | where |
//! |---|---|---|
//! | RAM | main context: everything the model sees in one call, bounded in tokens | [`memory::main_context`] |
//! | resident kernel pages | system instructions and function definitions | `memory::main_context::system`, [`functions`] |
//! | pinned pages | core memory: the blocks `persona` and `human` | [`memory::CoreMemory`] |
//! | page cache | FIFO queue of messages, first entry = recursive summary of what was evicted | `memory::main_context` |
//! | disk | recall storage (every message) and archival storage (passages), in SQLite | [`memory::Store`] |
//! | memory manager | queue manager: warns, then evicts before the window overflows | [`memory::QueueManager`] |
//! | system calls | functions the model may call | [`functions`] |
//! | interrupts | user message, login, heartbeat, memory pressure | [`kernel::Interrupt`] |
//! | scheduler | decides what runs next; a call is followed by a step; caps | [`kernel::step`](mod@kernel::step) |
//! | CPU | the inference engine | [`inference`] |
//! | instruction decoder | grammar: the model can only write what can be executed | [`grammar`] |
//!
//! Allowed imports: `main` -> `cli`, `app` · `app` -> everything, alone importing `ui` · `cli` -> `config`, `dialect` ·
//! `bench` -> `models`, `inference` and what they need · `ui` -> `kernel`, `config` · `kernel` -> `memory`, `functions`,
//! `grammar`, `dialect`, `inference` · `functions` -> `memory` · `dialect` -> `functions`, `grammar`, `inference` ·
//! `grammar` -> `inference` · `config` -> `dialect`, `documents`, `inference`, `memory` · `memory`, `documents`,
//! `inference`, `models` -> none of these. Every module may use [`types`]. A test reads the `use` lines and holds them
//! to it.

#![warn(missing_docs, rust_2018_idioms, unreachable_pub)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod app;
pub mod bench;
pub mod cli;
pub mod config;
pub mod dialect;
pub mod documents;
pub mod functions;
pub mod grammar;
pub mod inference;
pub mod kernel;
pub mod memory;
pub mod models;
pub mod types;
pub mod ui;
