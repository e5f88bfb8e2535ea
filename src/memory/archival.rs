//! Archival storage: passages that the model (or the queue manager) put away, and their search.

use rusqlite::{OptionalExtension, named_params};
use sha2::{Digest, Sha256};

use super::View;
use super::error::{During, EditError, Result};
use super::search::{Index, Page, ranked, search_page};
use super::text::{normalised, similarity};
use crate::types::{PassageId, Place};

const INDEX: Index = Index {
    words: "passages_fts",
    trigrams: "passages_trigram",
    rows: "passages",
    text: "text",
    visible: "(t.agent_id = :agent OR t.document_id IN (SELECT d.id FROM attachments a JOIN documents d
              ON d.source_id = a.source_id WHERE a.agent_id = :agent))",
    all_visible: "SELECT (SELECT count(*) = 1 FROM agents)
                  AND (SELECT count(*) FROM attachments) = (SELECT count(*) FROM sources)",
};

/// How alike a stored passage must be to be named as similar (Dice coefficient of character pairs).
const SIMILAR: f64 = 0.9;

/// How many of the best search hits are compared with a new passage.
const COMPARED_PASSAGES: u64 = 5;

/// A passage that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivalHit {
    /// The passage.
    pub id: PassageId,
    /// When it was stored, UTC milliseconds.
    pub at_ms: i64,
    /// What it says.
    pub text: String,
    /// Where it comes from, if not from the model.
    pub source: Option<String>,
    /// The document that it stands in; none for a passage of the agent's own.
    pub document: Option<DocumentPlace>,
}

/// Where a passage of a document stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentPlace {
    /// Name of the source.
    pub source: String,
    /// What the document is called.
    pub title: String,
    /// Where in it the passage begins.
    pub place: Place,
}

/// A passage that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inserted {
    /// The passage.
    pub id: PassageId,
    /// A passage that says nearly the same and was there before.
    pub similar: Option<PassageId>,
}

/// A passage with what [`hit`] reads of it.
const SELECT_HIT: &str = "SELECT p.id, p.at_ms, p.text, p.source, p.place, s.name, d.title FROM passages p
                          LEFT JOIN documents d ON d.id = p.document_id LEFT JOIN sources s ON s.id = d.source_id
                          WHERE p.id = :id";

fn hit(row: &rusqlite::Row<'_>) -> rusqlite::Result<ArchivalHit> {
    let place: Option<String> = row.get(4)?;
    let document = match (row.get(5)?, row.get(6)?) {
        (Some(source), Some(title)) => {
            Some(DocumentPlace { source, title, place: Place::parse(place.as_deref().unwrap_or_default()) })
        }
        _ => None,
    };
    Ok(ArchivalHit { id: PassageId(row.get(0)?), at_ms: row.get(1)?, text: row.get(2)?, source: row.get(3)?, document })
}

/// Stores a passage unless one with the same words is there.
pub(super) fn insert(view: &View<'_>, text: &str, source: Option<&str>, at_ms: i64) -> Result<Inserted> {
    let text = text.trim();
    if text.is_empty() {
        return Err(EditError::Empty { argument: "content" }.into());
    }
    let fingerprint = Sha256::digest(normalised(text)).to_vec();
    let known: Option<i64> = view
        .connection
        .prepare_cached(
            "SELECT id FROM passages WHERE agent_id = :agent AND fingerprint = :fingerprint AND hidden = 0 LIMIT 1",
        )
        .and_then(|mut statement| {
            statement
                .query_row(named_params! {":agent": view.agent, ":fingerprint": fingerprint}, |row| row.get(0))
                .optional()
        })
        .during("look for the same passage")?;
    if known.is_some() {
        return Err(EditError::DuplicatePassage.into());
    }
    let similar = similar_passage(view, text).during("look for a similar passage")?;
    let write = || {
        view.connection
            .prepare_cached(
                "INSERT INTO passages (agent_id, at_ms, text, source, fingerprint)
                 VALUES (:agent, :at_ms, :text, :source, :fingerprint)",
            )?
            .execute(named_params! {
                ":agent": view.agent,
                ":at_ms": at_ms,
                ":text": text,
                ":source": source,
                ":fingerprint": fingerprint,
            })?;
        Ok(PassageId(view.connection.last_insert_rowid()))
    };
    Ok(Inserted { id: write().during("store a passage")?, similar })
}

fn similar_passage(view: &View<'_>, text: &str) -> rusqlite::Result<Option<PassageId>> {
    let (ids, _) = ranked(view, &INDEX, text, 0, COMPARED_PASSAGES)?;
    let mut statement = view.connection.prepare_cached("SELECT text FROM passages WHERE id = :id")?;
    for id in ids {
        let known: String = statement.query_row(named_params! {":id": id}, |row| row.get(0))?;
        if similarity(&known, text) >= SIMILAR {
            return Ok(Some(PassageId(id)));
        }
    }
    Ok(None)
}

pub(super) fn search(view: &View<'_>, query: &str, page: u64, page_size: u64) -> Result<Page<ArchivalHit>> {
    let read = || {
        let mut statement = view.connection.prepare_cached(SELECT_HIT)?;
        search_page(view, &INDEX, query, page, page_size, |id| statement.query_row(named_params! {":id": id}, hit))
    };
    read().during("search archival memory")
}
