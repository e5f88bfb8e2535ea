//! mneme: a memory agent (MemGPT) that runs entirely on the user's own machine.

#![warn(missing_docs, rust_2018_idioms, unreachable_pub)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod app;
pub mod bench;
pub mod cli;
pub mod config;
pub mod dialect;
pub mod functions;
pub mod grammar;
pub mod inference;
pub mod kernel;
pub mod memory;
pub mod models;
pub mod types;
pub mod ui;
