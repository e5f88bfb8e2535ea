//! What turns cost, against what the hardware needs for the tokens that are new.
//!
//! A fixed conversation is held with an agent, restart included; the engine behind it is recorded ([`trace`]). Then the
//! library alone reads the same new tokens at the same places in batches of the same size: that is the lower bound of each
//! turn. Rounds of both alternate, since the machine may be shared; medians are told.

mod conversation;
mod page;
mod report;
pub mod trace;

pub use conversation::{Conversation, Error};
pub use page::page;
pub use report::{Footprint, Happened, Measured, Report, Rounds, Row, Summary};
