//! `/attach`, and what the words of documents may not do.

use super::agent::Agent;
use super::error::Error;
use crate::memory::SourceInfo;
use crate::types::counted;

/// Beginnings of the words by which a user asks for something to be kept, in English and German.
const SAVING_WORDS: &[&str] =
    &["remember", "memor", "note", "noting", "save", "saving", "store", "keep", "merk", "notier", "speicher"];

/// Whether a message of the user asks for something to be kept. Asked of a turn that reads a document: there, core
/// memory is edited only for such a message.
pub(super) fn asks_to_save(text: &str) -> bool {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| SAVING_WORDS.iter().any(|beginning| word.starts_with(beginning)))
}

impl Agent {
    /// Attaches a source, or says which there are.
    pub(super) fn attach(&mut self, source: Option<&str>) -> Result<String, Error> {
        let now_ms = self.clock.now_ms();
        let Some(source) = source else { return self.list_sources() };
        let is_new = self.memory.attach(source, now_ms)?;
        let sources = self.memory.store().sources()?;
        let size = sources.iter().find(|info| info.name == source).map(size).unwrap_or_default();
        Ok(if is_new {
            format!("Attached {source}: the agent can search it now ({size}).")
        } else {
            format!("{source} was attached already ({size}).")
        })
    }

    fn list_sources(&self) -> Result<String, Error> {
        let own = self.memory.view().info()?.name;
        let sources = self.memory.store().sources()?;
        if sources.is_empty() {
            return Ok("There are no sources yet. Make one of files: mneme load PATH --name NAME".to_owned());
        }
        let mut lines = vec!["Sources:".to_owned()];
        for source in &sources {
            let attached = if source.agents.contains(&own) { ", attached" } else { "" };
            lines.push(format!("{} ({}{attached})", source.name, size(source)));
        }
        Ok(lines.join("\n"))
    }
}

fn size(source: &SourceInfo) -> String {
    let (files, passages) = (source.documents, source.passages);
    format!("{}, {}", counted(files, "file", "files"), counted(passages, "passage", "passages"))
}

#[cfg(test)]
mod tests {
    use super::asks_to_save;

    #[test]
    fn a_wish_to_keep_something_is_recognised() {
        for text in ["Please remember the deadline.", "Note it down!", "merk dir das", "SAVE what the plan says"] {
            assert!(asks_to_save(text), "{text}");
        }
        for text in ["What does the plan say?", "Who has the keys?", ""] {
            assert!(!asks_to_save(text), "{text}");
        }
    }
}
