//! Replies of the native dialects: a generation is text or a call, and its first bytes tell which.

use crate::types::Call;

use super::stream::TextStream;
use super::{Action, Error, Piece};

/// What a generation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Kind {
    /// What has come could still be either.
    #[default]
    Unknown,
    Text,
    Call,
}

/// A generation under way.
#[derive(Debug, Default)]
pub(super) struct NativeReply {
    /// Everything of a call, or what has come of an unknown reply.
    seen: Vec<u8>,
    kind: Kind,
    text: TextStream,
}

impl NativeReply {
    /// What is known by now.
    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether bytes are held back of which it is not known what they are, or which are a call's.
    pub(super) const fn holds_bytes(&self) -> bool {
        !self.seen.is_empty()
    }

    /// It is a call, whatever its bytes say: a control token opened it.
    pub(super) const fn open_call(&mut self) {
        self.kind = Kind::Call;
    }

    /// Takes bytes; `kind_of` tells what a generation is that begins with them all. Gives what can be shown.
    pub(super) fn push(&mut self, bytes: &[u8], kind_of: impl FnOnce(&[u8]) -> Kind) -> Vec<Piece> {
        self.seen.extend_from_slice(bytes);
        if self.kind == Kind::Unknown && !self.seen.is_empty() {
            self.kind = kind_of(&self.seen);
        }
        if self.kind != Kind::Text {
            return Vec::new();
        }
        let seen = std::mem::take(&mut self.seen);
        self.text.push(&seen).map(Piece::Text).into_iter().collect()
    }

    /// The action; `parse` makes a call of the bytes of one. `complete` as in [`super::ReplyParser::finish`].
    ///
    /// # Errors
    /// What `parse` refuses, and [`Error::Incomplete`] where an unknown reply was cut off.
    pub(super) fn finish(
        mut self,
        complete: bool,
        parse: impl FnOnce(&[u8]) -> Result<Call, Error>,
    ) -> Result<Action, Error> {
        match self.kind {
            Kind::Call => Ok(Action::Call { thoughts: None, call: parse(&self.seen)?, request_heartbeat: None }),
            Kind::Unknown if !complete && !self.seen.is_empty() => Err(Error::Incomplete),
            Kind::Unknown | Kind::Text => {
                self.text.push(&self.seen);
                let text = self.text.into_text();
                Ok(if text.is_empty() { Action::Nothing } else { Action::Text { thoughts: None, text } })
            }
        }
    }
}

/// `{"name": .., "arguments": {..}}` and nothing else.
///
/// # Errors
/// It is not such an object.
pub(super) fn parse_call(bytes: &[u8]) -> Result<Call, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Malformed { reason: error.to_string() })
}
