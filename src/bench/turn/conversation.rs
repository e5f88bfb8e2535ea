//! The conversation that is held.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The one that comes with the program.
const SHIPPED: &str = include_str!("../../../benches/data/turn.json");

/// A conversation that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is no conversation.
    #[error("{place} is not valid: {reason}")]
    Invalid {
        /// Name of the file, or which one it is.
        place: String,
        /// What was expected.
        reason: String,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "check the file's name and permissions",
            Self::Invalid { .. } => "write it like benches/data/turn.json",
        }
    }
}

/// Messages of a user, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    /// What it is about.
    pub about: String,
    /// Window of the model, in tokens.
    pub context_window: usize,
    /// The program is started anew before this message, counted from 1.
    pub restart_before: usize,
    /// What the user says.
    pub messages: Vec<String>,
}

impl Conversation {
    /// The one that comes with the program.
    ///
    /// # Errors
    /// None: a test reads it.
    pub fn shipped() -> Result<Self, Error> {
        Self::parse(SHIPPED, "the conversation that comes with mneme")
    }

    /// The one in a file.
    ///
    /// # Errors
    /// It cannot be read or is no conversation.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text, &path.display().to_string())
    }

    fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let invalid = |reason: String| Error::Invalid { place: place.to_owned(), reason };
        let conversation: Self = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
        if !(2..=conversation.messages.len()).contains(&conversation.restart_before) {
            return Err(invalid(
                "the restart must come before one of its messages, but not before the first".to_owned(),
            ));
        }
        Ok(conversation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_conversation_has_twenty_messages() {
        let conversation = Conversation::shipped().unwrap();
        assert_eq!(conversation.messages.len(), 20);
        assert!(conversation.messages.iter().all(|message| !message.trim().is_empty()));
    }

    #[test]
    fn a_restart_that_is_none_is_refused() {
        let text = |restart: usize| {
            format!(
                "{{\"about\":\"x\",\"context_window\":2048,\"restart_before\":{restart},\"messages\":[\"a\",\"b\"]}}"
            )
        };
        assert!(Conversation::parse(&text(2), "x").is_ok());
        for restart in [0, 1, 3] {
            let error = Conversation::parse(&text(restart), "x").unwrap_err().to_string();
            assert!(error.contains("restart"), "{error}");
        }
        assert!(Conversation::parse("{}", "x").is_err());
    }
}
