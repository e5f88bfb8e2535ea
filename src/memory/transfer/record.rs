//! The records that an exported agent consists of, and the order in which they stand in a file: the agent, its two
//! blocks, messages, passages, edits, checkpoints, the turns that `/undo` goes back over, documents of sources where they
//! are wanted, attachments, what waits in the inbox, and the end.
//!
//! Messages and passages are numbered from 1; other records name them by these numbers. Not part of an export are
//! vectors and indexes: they are made anew.

use serde::{Deserialize, Serialize};

use super::super::main_context::BlockLabel;
use crate::types::Body;

/// What the first record says it is.
pub(super) const FORMAT: &str = "mneme-agent";
/// Version of the form; a later one is refused.
pub(super) const VERSION: u32 = 2;

/// One line of our own form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Record {
    Agent(AgentRecord),
    Block(BlockRecord),
    Message(MessageRecord),
    Passage(PassageRecord),
    Edit(EditRecord),
    Checkpoint(CheckpointRecord),
    /// Since version 2.
    Turn(TurnRecord),
    /// Since version 2, where documents were asked for: a source, followed by its documents, each by its parts.
    Source(SourceRecord),
    Document(DocumentRecord),
    Part(PartRecord),
    Attachment(AttachmentRecord),
    Waiting(WaitingRecord),
    /// The last line: without it the file was cut off.
    End {
        /// How many records stand before it.
        records: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct AgentRecord {
    pub(super) format: String,
    pub(super) version: u32,
    pub(super) name: String,
    pub(super) created_at_ms: i64,
    pub(super) model: String,
    pub(super) profile: String,
    pub(super) context_window_tokens: u32,
    pub(super) last_login_at_ms: Option<i64>,
    pub(super) memory_pressure_warned: bool,
    /// Number of the newest message that a memory pass has looked at; 0 for none.
    pub(super) passed_message: u64,
    pub(super) heartbeats_paused_until_ms: Option<i64>,
    /// The user's own system instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) instructions: Option<String>,
    /// The model that the user has chosen for this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) chosen_model: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct BlockRecord {
    pub(super) label: BlockLabel,
    pub(super) text: String,
    pub(super) limit_chars: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct MessageRecord {
    pub(super) at_ms: i64,
    pub(super) body: Body,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) interrupted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stub: Option<String>,
    /// A reply that was being written when the export was made.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) streaming: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) in_queue: bool,
    /// Removed from view and search, for a checkpoint to bring back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) hidden: bool,
    /// Who said it, in a talk between people with names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) speaker: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PassageRecord {
    pub(super) at_ms: i64,
    pub(super) text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) hidden: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct EditRecord {
    pub(super) label: BlockLabel,
    pub(super) before: String,
    pub(super) after: String,
    pub(super) at_ms: i64,
    /// Number of the message that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<u64>,
    pub(super) cause: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct CheckpointRecord {
    pub(super) name: String,
    pub(super) at_ms: i64,
    /// What `checkpoint` stores, with the numbers of this file.
    pub(super) state: serde_json::Value,
}

/// The state before a turn of the user, or (without a message) the one from which the first undo went back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct TurnRecord {
    /// Number of the message that began the turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<u64>,
    pub(super) at_ms: i64,
    /// An undo went back over it: it leads forth again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) undone: bool,
    /// What `turns` stores, with the numbers of this file.
    pub(super) state: serde_json::Value,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SourceRecord {
    pub(super) name: String,
    pub(super) created_at_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct DocumentRecord {
    pub(super) path: String,
    pub(super) title: String,
    pub(super) size_bytes: i64,
    /// SHA-256 of its file, in hex.
    pub(super) fingerprint: String,
    pub(super) loaded_at_ms: i64,
}

/// A passage of the document before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PartRecord {
    pub(super) text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct AttachmentRecord {
    /// Name of the source.
    pub(super) source: String,
    pub(super) at_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct WaitingRecord {
    pub(super) at_ms: i64,
    pub(super) text: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(flag: &bool) -> bool {
    !*flag
}
