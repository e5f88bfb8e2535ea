//! What makes the model run: the interrupts of the operating-system picture.

use crate::types::InboxId;

/// The beginning of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interrupt {
    /// The user said something.
    User {
        /// The text as typed.
        text: String,
        /// Where it is kept until it is recorded.
        entry: Option<InboxId>,
    },
    /// The user opened the chat and waits for a greeting.
    Login,
    /// A heartbeat without a message from the user.
    Heartbeat {
        /// Why.
        reason: String,
    },
    /// The user asked for the memory-pressure warning.
    MemoryPressure,
    /// The user wants the last turn taken again.
    Retry,
    /// The user wants older messages summarised now.
    Summarize,
}
