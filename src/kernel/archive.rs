//! What the commands show and change of the two storages: searching what was said, and listing, searching, adding to and
//! deleting from archival storage. Searches go by words and meaning, as those of the model do.
//!
//! Pages count from 1 here: the user types them.

use crate::functions::{self, Context, excerpt};
use crate::memory::{ArchivalHit, Embedding, Page, RecallHit, Role, Said};
use crate::types::{PassageId, ShownPassage, counted};

use super::Error;
use super::agent::Agent;
use super::dump::local_time;

/// Messages or passages on a page.
const PAGE_SIZE: u64 = 10;
/// Passages that `/memory` shows, as in the original.
const SHOWN_PASSAGES: u64 = 10;
/// Characters of a message that is shown for what was said around it.
const NEARBY_CHARS: usize = 120;
/// Characters of a passage in a list; `mneme list passages --json` has them whole.
const LISTED_CHARS: usize = 300;

/// What `/archival` is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Archival {
    /// A page of the list.
    List {
        /// From 1.
        page: u64,
    },
    /// A page of what a search finds.
    Search {
        /// What for.
        text: String,
        /// From 1.
        page: u64,
    },
    /// Delete a passage.
    Delete {
        /// Which.
        id: i64,
    },
}

impl Agent {
    /// What was said about `text`, the best first, with times and what was said around it.
    pub(super) fn search(&mut self, text: &str, page: u64) -> Result<String, Error> {
        let embedding = self.embedding(text);
        let found = self.memory.conversation_search(text, embedding.as_ref(), page.saturating_sub(1), PAGE_SIZE)?;
        if found.total == 0 {
            return Ok(format!("Nothing was said about {text:?}."));
        }
        let zone = self.clock.zone();
        let shown = found.items.iter().map(|hit| {
            let RecallHit { role, speaker, at_ms, text: said, before, after, .. } = hit;
            let near = |near: &Option<Said>, place: &str| {
                near.as_ref().map(|near| {
                    let (quote, _) = excerpt(&near.text, text, NEARBY_CHARS);
                    format!("    ({place}) {}: {quote}", who(near.role, near.speaker.as_deref()))
                })
            };
            let hit = format!("{} {}: {said}", local_time(*at_ms, &zone), who(*role, speaker.as_deref()));
            let lines = [near(before, "before"), Some(hit), near(after, "after")];
            lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
        });
        let lines: Vec<String> = shown.collect();
        let next = format!("/search --page {} {text}", page + 1);
        Ok(paged(&found, page, "message", "the best first", &lines, &next))
    }

    /// Lists, searches or deletes passages.
    pub(super) fn archival(&mut self, asked: &Archival) -> Result<String, Error> {
        match asked {
            Archival::List { page } => {
                let found = self.memory.view().passages(page.saturating_sub(1), PAGE_SIZE)?;
                if found.total == 0 {
                    return Ok("Archival storage is empty. /archive TEXT puts a text into it.".to_owned());
                }
                let lines = self.passage_lines(&found, "");
                Ok(paged(&found, *page, "passage", "the newest first", &lines, &format!("/archival {}", page + 1)))
            }
            Archival::Search { text, page } => {
                let embedding = self.embedding(text);
                let found = self.memory.archival_search(text, embedding.as_ref(), page.saturating_sub(1), PAGE_SIZE)?;
                if found.total == 0 {
                    return Ok(format!("Archival storage has nothing about {text:?}."));
                }
                let lines = self.passage_lines(&found, text);
                let next = format!("/archival --page {} {text}", page + 1);
                Ok(paged(&found, *page, "passage", "the best first", &lines, &next))
            }
            Archival::Delete { id } => self.delete_passage(PassageId(*id)),
        }
    }

    fn delete_passage(&mut self, id: PassageId) -> Result<String, Error> {
        let mut step = self.memory.step(self.clock.now_ms())?;
        let passage = step.view().own_passage(id)?;
        step.archival_delete(id)?;
        step.commit()?;
        let count = self.memory.view().archival_count()?;
        Ok(format!(
            "Deleted passage {}; archival storage holds {count} now. An earlier checkpoint brings it back; /forget \
             deletes for good. It said:\n{}",
            id.0, passage.text
        ))
    }

    /// Puts a text into archival storage.
    pub(super) fn archive(&mut self, text: &str) -> Result<String, Error> {
        let embedder = self.embedder.as_deref_mut();
        let mut context = Context { embedder, ..Context::without_embedder(self.clock.zone()) };
        let prepared = functions::prepare(text, &mut context)?;
        let mut step = self.memory.step(self.clock.now_ms())?;
        let archived = functions::archive(&prepared, Some("the user"), &mut step)?;
        step.drop_redo()?;
        step.commit()?;
        let count = self.memory.view().archival_count()?;
        let stored = counted(archived.stored as u64, "passage", "passages");
        let mut notice = format!("Archived as {stored}; archival storage holds {count} now.");
        for similar in &archived.similar {
            notice.push_str(&format!("\nThis was there before and says nearly the same: {}", similar.text));
        }
        Ok(notice)
    }

    /// The newest passages, for `/memory`.
    pub(super) fn newest_passages(&self) -> Result<Vec<ShownPassage>, Error> {
        let zone = self.clock.zone();
        let newest = self.memory.view().passages(0, SHOWN_PASSAGES)?.items.into_iter();
        Ok(newest
            .map(|hit| ShownPassage {
                id: hit.id.0,
                at_ms: hit.at_ms,
                time: local_time(hit.at_ms, &zone),
                source: hit.origin(),
                text: hit.text,
            })
            .collect())
    }

    fn passage_lines(&self, found: &Page<ArchivalHit>, query: &str) -> Vec<String> {
        let zone = self.clock.zone();
        let line = |hit: &ArchivalHit| {
            let origin = hit.origin().map_or_else(String::new, |origin| format!(" ({origin})"));
            let (quote, _) = excerpt(&hit.text, query, LISTED_CHARS);
            format!("[{}] {}{origin} {quote}", hit.id.0, local_time(hit.at_ms, &zone))
        };
        found.items.iter().map(line).collect()
    }

    /// The embedding of a query; none without an embedder, or where it fails: words are searched all the same.
    fn embedding(&mut self, text: &str) -> Option<Embedding> {
        let embedder = self.embedder.as_deref_mut()?;
        Embedding::of(embedder, text).inspect_err(|error| tracing::warn!(?error, "a query was not embedded")).ok()
    }
}

fn who(role: Role, speaker: Option<&str>) -> &str {
    speaker.unwrap_or(match role {
        Role::User => "user",
        Role::Agent => "agent",
    })
}

/// A page with its place among all, and the command that shows the next one.
fn paged<T>(found: &Page<T>, page: u64, noun: &str, order: &str, lines: &[String], next: &str) -> String {
    let of_all = format!(
        "{} in all, page {page} of {}, {order}",
        counted(found.total, noun, &format!("{noun}s")),
        found.page_count
    );
    if lines.is_empty() {
        return format!("There is no page {page}: {}.", counted(found.page_count, "page", "pages"));
    }
    let more = if page < found.page_count { format!("; next: {next}") } else { String::new() };
    format!("{}\n({of_all}{more})", lines.join("\n"))
}
