//! Puts the parts of the main context side by side, in the order that serves the KV cache: instructions, core memory,
//! summary, messages. Spelling them is the dialect's work.

use super::CoreMemory;
use crate::types::{Body, Message, Notification};

/// Everything that the model sees apart from the function definitions.
#[derive(Debug, Clone, PartialEq)]
pub struct MainContext {
    /// Static instructions.
    pub instructions: String,
    /// Core memory as it stands in the prompt; it may be older than the database until the next refresh.
    pub core_memory: String,
    /// The queue, oldest first; a summary can only be the first.
    pub messages: Vec<Message>,
}

/// The main context of an agent.
#[must_use]
pub fn compose(instructions: &str, core_memory: &CoreMemory, messages: Vec<Message>) -> MainContext {
    MainContext { instructions: instructions.to_owned(), core_memory: core_memory.render(), messages }
}

/// The text of a message by which it is measured and summarised: the stub where there is one.
#[must_use]
pub fn shown_text(message: &Message) -> String {
    if let Some(stub) = &message.stub {
        return stub.clone();
    }
    match &message.body {
        Body::User { text } | Body::Summary { text, .. } => text.clone(),
        Body::FunctionResult { name, status, message } => format!("{name}: {}: {message}", status.as_str()),
        Body::Notification { notification } => match notification {
            Notification::Login { .. } => "login".into(),
            Notification::Heartbeat { reason } => format!("heartbeat: {reason}"),
            Notification::MemoryPressure => "the context window is nearly full".into(),
            Notification::CoreMemoryEdited { text } | Notification::Recollection { text } => text.clone(),
        },
        Body::Assistant { thoughts, text, call } => {
            let call = call.as_ref().map(|call| {
                let arguments = serde_json::Value::Object(call.arguments.clone());
                format!("{} {arguments}", call.name)
            });
            [thoughts.clone(), text.clone(), call].into_iter().flatten().collect::<Vec<_>>().join("\n")
        }
    }
}
