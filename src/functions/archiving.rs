//! Putting a text into archival storage, by the model or by the user: cut for the embedder, embedded at once, and with
//! word of what says nearly the same already.

use super::executor::Context;
use crate::memory::{self, ArchivalHit, EditError, Step, passages_for};
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

/// Stores `text` in as many passages as it needs; `source` names where it comes from, if not from the model.
///
/// # Errors
/// [`memory::Error::Edit`] where the text is empty or all of it is stored already; the database failed.
pub fn archive(
    text: &str,
    source: Option<&str>,
    step: &mut Step<'_>,
    context: &mut Context<'_>,
) -> Result<Archived, memory::Error> {
    let ranges = passages_for(text, context.embedder.as_deref());
    if ranges.is_empty() {
        return Err(EditError::Empty { argument: "content" }.into());
    }
    let mut archived = Archived::default();
    let mut own: Vec<PassageId> = Vec::new();
    for passage in ranges.into_iter().filter_map(|range| text.get(range)) {
        let embedding = context.embedding(passage);
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
