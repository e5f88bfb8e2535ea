//! What a turn gathers while it runs, and how the user is told that it failed.

use crate::types::{Call, Event};

use super::Error;
use super::answers::Lookup;
use super::asked_for::AskedFor;
use super::recall::Recalled;

/// What a turn gathers while it runs.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) calls: Vec<Call>,
    pub(super) pending: Option<Pending>,
    pub(super) by_heartbeat: bool,
    /// The user asked for the memory-pressure warning that began the turn.
    pub(super) by_warning: bool,
    /// Whether the message that began the turn is stored; none where no message began it.
    pub(super) message_stored: Option<bool>,
    pub(super) is_answered: bool,
    /// A result of this turn quotes a document.
    pub(super) has_read_document: bool,
    /// The user's message asks for something to be kept.
    pub(super) asks_to_save: bool,
    /// A call that the message asks for and that was not made yet.
    pub(super) asked_for: Option<AskedFor>,
    pub(super) recalled: Recalled,
    pub(super) lookup: Lookup,
}

/// A call that is written but not executed.
pub(super) struct Pending {
    pub(super) thoughts: Option<String>,
    /// For the executor.
    pub(super) call: Call,
    /// For the prompt: with everything that the model wrote.
    pub(super) stored: Call,
}

impl Progress {
    /// What the user is told of a failure: whether the message that the turn was to answer is stored, and how it is
    /// answered after all.
    pub(super) fn failure(&self, error: &Error) -> Event {
        let (message, hint) = (error.to_string(), error.hint());
        let (message, hint) = match self.message_stored {
            Some(false) => {
                (format!("your message was not stored: {message}"), format!("{hint}; then send the message again"))
            }
            Some(true) if !self.is_answered => {
                (message, format!("{hint}; your message is stored: /heartbeat has it answered"))
            }
            Some(true) | None => (message, hint),
        };
        Event::Error { message, hint, message_stored: self.message_stored }
    }
}
