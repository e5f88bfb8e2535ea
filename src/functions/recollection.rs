//! What the memory holds on a message, looked up before the model answers it.
//!
//! Small models rarely search by themselves, and search for the wrong words when they do. So the message itself is the
//! query: what is found out of view, and in archival storage, stands in the prompt in front of it for this one turn.
//! The model's own searches stay as they are.
//!
//! Not responsible for when it is done, nor for where it is shown (`kernel`).

use std::collections::HashSet;

use super::evidence::evidence;
use super::executor::{self, Context};
use crate::memory::{self, AgentMemory, Embedding, RecallHit};
use crate::types::MessageId;

/// Characters of messages that are shown.
const SHOWN_CHARS: usize = 2000;
/// Below so many characters a message is understood only beside what was said before and after it.
const SHORT_CHARS: usize = 100;
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
    let mut lines = said(&query, embedding.as_ref(), in_view, memory, context)?;
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
    context: &mut Context<'_>,
) -> Result<Vec<String>, memory::Error> {
    let found = memory.conversation_search(query, embedding, 0, FOUND_MESSAGES)?;
    let hits: Vec<RecallHit> = found.items.into_iter().filter(|hit| !in_view.contains(&hit.id)).collect();
    let texts: Vec<&str> = hits.iter().map(|hit| hit.text.as_str()).collect();
    let shown = evidence(&texts, query, SHOWN_CHARS, context.embedder.as_deref_mut());
    let mut hits: Vec<(RecallHit, String)> =
        hits.iter().zip(shown).filter_map(|(hit, shown)| Some((hit.clone(), shown?))).collect();
    hits.sort_by_key(|(hit, _)| hit.id);
    let mut told: HashSet<MessageId> = hits.iter().map(|(hit, _)| hit.id).chain(in_view.iter().copied()).collect();
    let in_context = |(hit, said): &(RecallHit, String)| {
        let is_short = hit.text.chars().count() < SHORT_CHARS;
        executor::said_in_context(hit, said, query, is_short.then_some(&mut told), &context.zone)
    };
    Ok(hits.iter().map(in_context).collect())
}
