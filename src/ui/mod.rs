//! What the user sees and types: the terminal chat and the JSON-lines mode. Knows the kernel's requests and events, no
//! model and no database.

pub mod jsonl;
mod sanitize;
pub mod terminal;

pub use sanitize::{sanitize, steers_terminal};
