//! What the memory holds on a message, looked up before the model answers it.
//!
//! Small models rarely search by themselves, and search for the wrong words when they do. So the message itself is the
//! query: what is found out of view, and in archival storage, stands in the prompt in front of it for this one turn.
//! The model's own searches stay as they are.
//!
//! Not responsible for when it is done, nor for where it is shown (`kernel`).

use std::collections::HashSet;

use jiff::tz::TimeZone;

use super::executor::{self, Context};
use crate::memory::{self, AgentMemory, Embedding, RecallHit};
use crate::types::MessageId;

/// Messages that are shown. On questions about long talks, the evidence stands among the first five in three of four.
const SHOWN_MESSAGES: usize = 5;
/// Messages that are looked at; those in view are left out.
const FOUND_MESSAGES: u64 = 20;
/// Passages that are shown: longer than messages, and found with a better index.
const SHOWN_PASSAGES: u64 = 3;
/// Characters of a query; a longer message has too many words to ask for anything.
const MAX_QUERY_CHARS: usize = 400;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recollection {
    /// One entry a line, with times and speakers.
    pub text: String,
    /// An entry quotes a document.
    pub quotes_document: bool,
}

/// Looks up what is out of view and bears on `message`; none where nothing is found. `in_view` are the messages that
/// the model sees anyway.
///
/// # Errors
/// The database failed.
pub fn recollect(
    message: &str,
    in_view: &HashSet<MessageId>,
    memory: &AgentMemory,
    context: &mut Context<'_>,
) -> Result<Option<Recollection>, memory::Error> {
    let query: String = message.chars().take(MAX_QUERY_CHARS).collect();
    let embedding = context.embedding(&query);
    let mut lines = said(&query, embedding.as_ref(), in_view, memory, &context.zone)?;
    let passages = memory.archival_search(&query, embedding.as_ref(), 0, SHOWN_PASSAGES)?;
    let quotes_document = passages.items.iter().any(|hit| hit.document.is_some());
    lines.extend(passages.items.iter().map(|hit| executor::passage(hit, &query, &context.zone)));
    if quotes_document {
        lines.push(executor::DOCUMENT_NOTE.trim_start().to_owned());
    }
    Ok((!lines.is_empty()).then(|| Recollection { text: lines.join("\n"), quotes_document }))
}

/// What was said out of view, in the order in which it was said: a later word corrects an earlier one.
fn said(
    query: &str,
    embedding: Option<&Embedding>,
    in_view: &HashSet<MessageId>,
    memory: &AgentMemory,
    zone: &TimeZone,
) -> Result<Vec<String>, memory::Error> {
    let found = memory.conversation_search(query, embedding, 0, FOUND_MESSAGES)?;
    let mut hits: Vec<RecallHit> =
        found.items.into_iter().filter(|hit| !in_view.contains(&hit.id)).take(SHOWN_MESSAGES).collect();
    hits.sort_by_key(|hit| hit.id);
    let mut told: HashSet<MessageId> = hits.iter().map(|hit| hit.id).collect();
    Ok(hits
        .iter()
        .map(|hit| executor::said_in_context(hit, query, executor::MOST_SAID_CHARS, &mut told, zone))
        .collect())
}
