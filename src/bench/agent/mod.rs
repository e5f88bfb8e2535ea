//! Whole conversations with an agent, checked by what was said and what was remembered.
//!
//! A conversation is a file of `benches/conversations`: one agent, opened once for each of its sessions, so that memory
//! must survive a restart. What is here reads the files ([`Selection`]), checks replies and core memory (`score`),
//! counts what no check sees ([`Faults`]) and sums up ([`Report`]). Not responsible for the agent that talks (`app`).

mod conversation;
mod costs;
mod error;
mod faults;
mod interval;
mod observed;
mod report;
mod row;
mod score;
mod selection;
mod table;
mod tally;
mod untouched;
mod words;

pub use conversation::{Conversation, Session, Turn};
pub use costs::{Spread, TurnCost};
pub use error::Error;
pub use faults::Faults;
pub use interval::Interval;
pub use observed::{Observed, ObservedCall};
pub use report::{KindFigures, Part, Report, Settings, Summary};
pub use row::{Counted, Failure, FaultCounts, Row};
pub use score::{Check, Verdict, of_memory, of_reply};
pub use selection::{Chosen, Half, Halves, Listed, Selection, half_of};
pub use tally::{Tally, TurnLine};
pub use untouched::{LOG_NAME, UntouchedRun};
