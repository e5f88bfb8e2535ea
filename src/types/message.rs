//! Messages: what stands in the queue and in recall storage.

use serde::{Deserialize, Serialize};

use super::{Call, MessageId};

/// A message as it stands in recall storage.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Row id.
    pub id: MessageId,
    /// When it was written, UTC milliseconds.
    pub at_ms: i64,
    /// What it holds.
    pub body: Body,
    /// Generation was cut off (by the user, a crash or a length limit): the text is what had appeared until then.
    pub interrupted: bool,
    /// What the model sees instead of the body, where the body is too long for the window.
    pub stub: Option<String>,
}

/// A message that has no row yet.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMessage {
    /// When it happened, UTC milliseconds.
    pub at_ms: i64,
    /// What it holds.
    pub body: Body,
    /// See [`Message::interrupted`].
    pub interrupted: bool,
}

/// What a message holds, by origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// Typed by the user.
    User {
        /// The text as typed.
        text: String,
    },
    /// Told to the model by the program.
    Notification {
        /// What happened.
        notification: Notification,
    },
    /// Written by the model: text for the user, or a call, with or without inner thoughts.
    Assistant {
        /// Inner thoughts, not for the user.
        thoughts: Option<String>,
        /// What the user is told.
        text: Option<String>,
        /// The function call.
        call: Option<Call>,
    },
    /// What a function gave back to the model.
    FunctionResult {
        /// Name of the function.
        name: String,
        /// Whether it did what was asked.
        status: Status,
        /// Its answer, or what went wrong and what to try.
        message: String,
    },
    /// Recursive summary of the messages that were evicted before it; always the first entry of the queue.
    Summary {
        /// The summary in the model's own words.
        text: String,
        /// How many messages of the conversation are out of view.
        hidden_message_count: u64,
    },
}

/// Events that the program tells the model about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Notification {
    /// The user opened the chat.
    Login {
        /// The login before, UTC milliseconds; none at the first.
        last_login_at_ms: Option<i64>,
    },
    /// The model runs again without a message from the user.
    Heartbeat {
        /// Why.
        reason: String,
    },
    /// The window is nearly full; older messages will be evicted soon.
    MemoryPressure,
    /// Core memory was edited beside the conversation; it stands in the prompt as it was before.
    CoreMemoryEdited {
        /// The edits, one a line.
        text: String,
    },
    /// What was found in the memory for the message that follows. It stands in the prompt of one turn and is not stored.
    Recollection {
        /// What was found, one entry a line.
        text: String,
    },
}

/// Outcome of a function call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It did what was asked.
    #[serde(rename = "OK")]
    Ok,
    /// Nothing was changed; the message says why and what to try.
    Failed,
}

impl Status {
    /// The spelling that models and the JSON-lines mode see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Failed => "Failed",
        }
    }
}

impl Body {
    /// The text that a search over the conversation should find: what the user typed or was told. Events, calls and
    /// results are not part of the conversation.
    #[must_use]
    pub fn searchable_text(&self) -> Option<&str> {
        match self {
            Self::User { text } => Some(text),
            Self::Assistant { text, .. } => text.as_deref(),
            Self::Notification { .. } | Self::FunctionResult { .. } | Self::Summary { .. } => None,
        }
    }
}
