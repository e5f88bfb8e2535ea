//! Putting a text into archival storage, by the model or by the user: cut for the embedder, embedded at once, and with
//! word of what says nearly the same already.

use super::executor::Context;
use crate::memory::{self, ArchivalHit, EditError, Embedding, Step, passages_for};
use crate::types::PassageId;

/// What became of a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Archived {
    /// Passages that were stored.
    pub stored: usize,
    /// Passages of it that were there before, word by word, and were not stored again.
    pub known: usize,
    /// Passages that were there before and say nearly the same as one of it.
    pub similar: Vec<ArchivalHit>,
}

/// A text that can be stored: its passages with their embeddings, where there is an embedder.
#[derive(Debug)]
pub struct Prepared<'a> {
    passages: Vec<(&'a str, Option<Embedding>)>,
}

/// Cuts and embeds `text`. It takes as long as the embedder does, and needs no step: nobody else can write while one is
/// under way.
///
/// # Errors
/// [`memory::Error::Edit`] where the text is empty.
pub fn prepare<'a>(text: &'a str, context: &mut Context<'_>) -> Result<Prepared<'a>, memory::Error> {
    let passages: Vec<&str> =
        passages_for(text, context.embedder.as_deref()).into_iter().filter_map(|range| text.get(range)).collect();
    if passages.is_empty() {
        return Err(EditError::Empty { argument: "content" }.into());
    }
    Ok(Prepared { passages: passages.into_iter().map(|passage| (passage, context.embedding(passage))).collect() })
}

/// Stores what was prepared in as many passages as it needs; `source` names where it comes from, if not from the model.
///
/// # Errors
/// [`memory::Error::Edit`] where all of it is stored already; the database failed.
pub fn archive(prepared: &Prepared<'_>, source: Option<&str>, step: &mut Step<'_>) -> Result<Archived, memory::Error> {
    let mut archived = Archived::default();
    let mut own: Vec<PassageId> = Vec::new();
    for (passage, embedding) in &prepared.passages {
        match step.archival_insert_embedded(passage, source, embedding.as_ref()) {
            Ok(inserted) => {
                // What the same text says twice is no news.
                if let Some(similar) = inserted.similar.filter(|similar| !own.contains(similar)) {
                    archived.similar.push(step.view().passage(similar)?);
                }
                own.push(inserted.id);
                archived.stored += 1;
            }
            Err(memory::Error::Edit(EditError::DuplicatePassage)) => archived.known += 1,
            Err(error) => return Err(error),
        }
    }
    if archived.stored == 0 { Err(EditError::DuplicatePassage.into()) } else { Ok(archived) }
}
