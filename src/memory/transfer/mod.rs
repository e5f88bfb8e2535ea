//! Agents and conversations that come from elsewhere or go there.
//!
//! An agent is exported as a sequence of records ([`record`]): our own form writes them one a line and is complete;
//! Letta's agent file ([`letta`]) holds what that format has a place for. Rows are numbered from 1 in the order of
//! their ids, so that a file says nothing about the database it comes from, and an agent and its copy have the same
//! export. Chat histories of other programs ([`chats`]) become messages of recall storage, outside of the queue
//! ([`intake`]).
//!
//! What is read is hostile until it has been checked: lines, counts and depth are bounded, bodies are parsed, and all
//! of it is one transaction. Not responsible for opening files and archives (`app`).

mod bounded;
mod chats;
mod documents;
mod export;
mod import;
mod intake;
mod letta;
mod letta_messages;
mod record;
mod state;

use std::cell::Cell;
use std::fmt;
use std::io::{BufRead, Read};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::{Error, Result};

pub use intake::{ChatImport, Chats};

/// Longest line of a file that is read by lines, in bytes. A message is at most as long as what was typed or read.
const MAX_LINE_BYTES: usize = 64 << 20;

/// How an agent is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentForm {
    /// Our own: everything, JSON lines.
    Mneme,
    /// Letta's agent file (`.af`): one JSON object.
    Letta,
}

/// What a file is, told by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A whole agent.
    Agent(AgentForm),
    /// Conversations as one JSON document: an export of ChatGPT or Claude, or an array of messages.
    Chats,
    /// Messages, one JSON object a line.
    ChatLines,
}

/// What an export or an import held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transferred {
    /// Name of the agent.
    pub agent: String,
    /// Messages of every kind.
    pub messages: u64,
    /// Passages of archival storage.
    pub passages: u64,
    /// Edits of core memory.
    pub edits: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// Documents of attached sources.
    pub documents: u64,
    /// What could not be kept, in sentences for the user.
    pub notices: Vec<String>,
}

/// Tells what a file is by the keys of its first object; none where it is nothing that can be imported.
#[must_use]
pub fn recognise(input: &mut dyn Read) -> Option<FileKind> {
    let found = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_reader(input);
    // Reading stops in the middle as soon as a telling key has come.
    let _ = Probe { found: &found, in_array: false }.deserialize(&mut deserializer);
    found.get()
}

struct Probe<'a> {
    found: &'a Cell<Option<FileKind>>,
    in_array: bool,
}

impl<'de> DeserializeSeed<'de> for Probe<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Probe<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object or an array of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let kind = match key.as_str() {
                "format" if !self.in_array => FileKind::Agent(AgentForm::Mneme),
                "agents" | "core_memory" | "agent_type" if !self.in_array => FileKind::Agent(AgentForm::Letta),
                "mapping" | "chat_messages" => FileKind::Chats,
                "role" | "sender" if self.in_array => FileKind::Chats,
                "role" | "sender" => FileKind::ChatLines,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            self.found.set(Some(kind));
            return Ok(());
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> std::result::Result<(), A::Error> {
        if !self.in_array {
            sequence.next_element_seed(Probe { found: self.found, in_array: true })?;
        }
        Ok(())
    }
}

/// The next line without its end; none at the end of the input.
fn next_line(input: &mut dyn BufRead, number: u64) -> Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut bounded = input.take(MAX_LINE_BYTES as u64 + 1);
    bounded.read_until(b'\n', &mut line).map_err(|source| Error::Transfer { operation: "read the file", source })?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.len() > MAX_LINE_BYTES {
        let reason = format!("it is longer than {MAX_LINE_BYTES} bytes");
        return Err(Error::BadImport { line: Some(number), reason });
    }
    while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        line.pop();
    }
    Ok(Some(line))
}

/// `at_ms` where it is a point in time that can be shown.
fn shown_time(at_ms: i64) -> Option<i64> {
    jiff::Timestamp::from_millisecond(at_ms).ok().map(|_| at_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_content() {
        let kind = |text: &str| recognise(&mut text.as_bytes());
        assert_eq!(kind(r#"{"type":"agent","format":"mneme-agent"}"#), Some(FileKind::Agent(AgentForm::Mneme)));
        assert_eq!(kind("{\n \"agents\": [{}]}"), Some(FileKind::Agent(AgentForm::Letta)));
        assert_eq!(kind(r#"{"agent_type":"memgpt_agent","core_memory":[]}"#), Some(FileKind::Agent(AgentForm::Letta)));
        assert_eq!(kind(r#"[{"title":"x","mapping":{}}]"#), Some(FileKind::Chats));
        assert_eq!(kind(r#"[{"uuid":"x","name":"","chat_messages":[]}]"#), Some(FileKind::Chats));
        assert_eq!(kind("{\"role\":\"user\",\"text\":\"x\"}\n{}"), Some(FileKind::ChatLines));
        assert_eq!(kind(r#"[{"role":"user","content":"x"}]"#), Some(FileKind::Chats));
        for other in ["", "plain text", "[]", "[[{\"role\":1}]]", "{}", "7", "{\"a\":", "\u{0}\u{1}"] {
            assert_eq!(kind(other), None, "{other}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert_eq!(recognise(&mut "[".repeat(1_000_000).as_bytes()), None);
        assert_eq!(recognise(&mut format!("{{\"a\":{}", "[".repeat(1_000_000)).as_bytes()), None);
    }
}
