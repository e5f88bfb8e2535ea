//! What the user sees and types: the terminal chat and the JSON-lines mode. Knows the kernel's requests and events, no
//! model and no database.

pub(crate) mod editor;
pub mod jsonl;
mod prompt;
mod sanitize;
mod screen;
pub mod terminal;
mod wrap;

pub use sanitize::{sanitize, spell_out, steers_terminal};
pub(crate) use wrap::{columns_of, wrapped};
