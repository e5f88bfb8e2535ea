//! Archival storage: passages that the model (or the queue manager) put away and those of attached documents: their
//! search by words and meaning, listing and deletion.

use rusqlite::{OptionalExtension, named_params};
use sha2::{Digest, Sha256};

use super::error::{During, EditError, Error, Result};
use super::fusion::{FusionLimits, fused};
use super::scores::term_scores;
use super::search::{Index, Page, Terms, WordMatches, ranked, ranked_after};
use super::text::{normalised, similarity};
use super::vectors::{Kind, Near, PASSAGES, write_one};
use super::{Embedding, View};
use crate::types::{PassageId, Place};

pub(super) const INDEX: Index = Index {
    words: "passages_fts",
    trigrams: "passages_trigram",
    rows: "passages",
    text: "text",
    visible: "(t.agent_id = :agent OR t.document_id IN (SELECT d.id FROM attachments a JOIN documents d
              ON d.source_id = a.source_id WHERE a.agent_id = :agent))",
    all_visible: "SELECT (SELECT count(*) = 1 FROM agents)
                  AND (SELECT count(*) FROM attachments) = (SELECT count(*) FROM sources)",
    // Fewer than of messages, whose windows are ranked: here a frequent word only orders what rarer ones have found.
    scored_rows: 12_000,
};

/// How alike a stored passage must be to be named as similar (Dice coefficient of character pairs).
const SIMILAR: f64 = 0.9;

/// How many of the best search hits are compared with a new passage.
const COMPARED_PASSAGES: usize = 5;

/// What [`hit`] reads, of passages `p`.
const HITS: &str = "SELECT p.id, p.at_ms, p.text, p.source, p.place, s.name, d.title FROM passages p
                    LEFT JOIN documents d ON d.id = p.document_id LEFT JOIN sources s ON s.id = d.source_id";

/// A passage that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivalHit {
    /// The passage.
    pub id: PassageId,
    /// When it was stored, UTC milliseconds.
    pub at_ms: i64,
    /// What it says.
    pub text: String,
    /// Where it comes from, if not from the model: the path of a document, for example.
    pub source: Option<String>,
    /// The document that it stands in; none for a passage of the agent's own.
    pub document: Option<DocumentPlace>,
}

impl ArchivalHit {
    /// Where the passage comes from, as users are told: document and place, or who stored it; none for the model.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        match &self.document {
            Some(DocumentPlace { title, place, .. }) => {
                let place = place.to_string();
                Some(if place.is_empty() { title.clone() } else { format!("{title}, {place}") })
            }
            None => self.source.clone(),
        }
    }
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
pub(super) fn insert(
    view: &View<'_>,
    vectors: &Kind,
    text: &str,
    source: Option<&str>,
    embedding: Option<&Embedding>,
    at_ms: i64,
) -> Result<Inserted> {
    let text = new_text(view, text)?;
    let mut similar = similar_passage(view, text).during("look for a similar passage")?;
    if let (None, Some(embedding)) = (similar, embedding) {
        let nearest = vectors.nearest(view, embedding, 1, FusionLimits::DEFAULT.same_similarity, &|_| true)?;
        similar = nearest.first().map(|Near { id, .. }| PassageId(*id));
    }
    let id = write(view, text, source, at_ms)?;
    if let Some(embedding) = embedding {
        write_one(view.connection, &PASSAGES, (id.0, text), embedding)?;
    }
    Ok(Inserted { id, similar })
}

/// Stores a passage unless one with the same words is there, without a look for one that says nearly the same.
pub(super) fn insert_unlike(view: &View<'_>, text: &str, source: Option<&str>, at_ms: i64) -> Result<PassageId> {
    write(view, new_text(view, text)?, source, at_ms)
}

/// A text of which no passage of the agent has the words.
fn new_text<'a>(view: &View<'_>, text: &'a str) -> Result<&'a str> {
    let text = trimmed(text)?;
    let known: Option<i64> = view
        .connection
        .prepare_cached(
            "SELECT id FROM passages WHERE agent_id = :agent AND fingerprint = :fingerprint AND hidden = 0 LIMIT 1",
        )
        .and_then(|mut statement| {
            statement
                .query_row(named_params! {":agent": view.agent, ":fingerprint": fingerprint(text)}, |row| row.get(0))
                .optional()
        })
        .during("look for the same passage")?;
    if known.is_some() { Err(EditError::DuplicatePassage.into()) } else { Ok(text) }
}

/// Stores a passage without looking at any other.
pub(super) fn import(view: &View<'_>, text: &str, source: Option<&str>, at_ms: i64) -> Result<PassageId> {
    write(view, trimmed(text)?, source, at_ms)
}

fn trimmed(text: &str) -> Result<&str> {
    let text = text.trim();
    if text.is_empty() { Err(EditError::Empty { argument: "content" }.into()) } else { Ok(text) }
}

/// Equal for texts of the same words.
fn fingerprint(text: &str) -> Vec<u8> {
    Sha256::digest(normalised(text)).to_vec()
}

fn write(view: &View<'_>, text: &str, source: Option<&str>, at_ms: i64) -> Result<PassageId> {
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
                ":fingerprint": fingerprint(text),
            })?;
        Ok(PassageId(view.connection.last_insert_rowid()))
    };
    write().during("store a passage")
}

/// One of the agent's own passages.
pub(super) fn own(view: &View<'_>, id: PassageId) -> Result<ArchivalHit> {
    one(view, id, "p.agent_id = :agent AND p.hidden = 0")
}

fn one(view: &View<'_>, id: PassageId, condition: &str) -> Result<ArchivalHit> {
    view.connection
        .prepare_cached(&format!("{HITS} WHERE p.id = :id AND {condition}"))
        .and_then(|mut statement| {
            statement.query_row(named_params! {":id": id.0, ":agent": view.agent}, hit).optional()
        })
        .during("read a passage")?
        .ok_or(Error::UnknownPassage { id: id.0 })
}

/// Hides one of the agent's own passages.
pub(super) fn delete(view: &View<'_>, id: PassageId) -> Result<()> {
    let hidden = view
        .connection
        .prepare_cached("UPDATE passages SET hidden = 1 WHERE id = :id AND agent_id = :agent AND hidden = 0")
        .and_then(|mut statement| statement.execute(named_params! {":id": id.0, ":agent": view.agent}))
        .during("delete a passage")?;
    if hidden == 1 { Ok(()) } else { Err(Error::UnknownPassage { id: id.0 }) }
}

fn similar_passage(view: &View<'_>, text: &str) -> rusqlite::Result<Option<PassageId>> {
    let ids = match ranking(view, &[], text)? {
        Some((_, found)) => found.rows,
        None => ranked(view, &INDEX, text, 0, COMPARED_PASSAGES as u64)?.0,
    };
    let mut statement = view.connection.prepare_cached("SELECT text FROM passages WHERE id = :id")?;
    for id in ids.into_iter().take(COMPARED_PASSAGES) {
        let known: String = statement.query_row(named_params! {":id": id}, |row| row.get(0))?;
        if similarity(&known, text) >= SIMILAR {
            return Ok(Some(PassageId(id)));
        }
    }
    Ok(None)
}

/// A passage that the agent can find.
pub(super) fn visible(view: &View<'_>, id: PassageId) -> Result<ArchivalHit> {
    one(view, id, "EXISTS (SELECT 1 FROM visible_passages v WHERE v.id = p.id AND v.viewer_id = :agent)")
}

/// By words alone.
pub(super) fn search(view: &View<'_>, query: &str, page: u64, page_size: u64) -> Result<Page<ArchivalHit>> {
    search_near(view, &[], query, page, page_size).during("search archival memory")
}

/// By words and by meaning.
pub(super) fn search_hybrid(
    view: &View<'_>,
    vectors: &Kind,
    query: &str,
    embedding: Option<&Embedding>,
    page: u64,
    page_size: u64,
) -> Result<Page<ArchivalHit>> {
    let limits = FusionLimits::DEFAULT;
    let near = match embedding.filter(|_| !query.trim().is_empty()) {
        Some(embedding) => vectors.nearest(view, embedding, limits.nearest, limits.similarity_floor, &|_| true)?,
        None => Vec::new(),
    };
    let near: Vec<i64> = near.into_iter().map(|near| near.id).collect();
    search_near(view, &near, query, page, page_size).during("search archival memory")
}

/// One page of what the words of `query` find, fused with the passages `near` it in meaning, best first.
///
/// Every page is cut from the same order of everything that was found: so no passage comes twice or never.
fn search_near(
    view: &View<'_>,
    near: &[i64],
    query: &str,
    page: u64,
    page_size: u64,
) -> rusqlite::Result<Page<ArchivalHit>> {
    let skip = page.saturating_mul(page_size);
    let (ids, total) = match ranking(view, near, query)? {
        Some((terms, found)) => ranked_after(view, &INDEX, &terms, &found, skip, page_size)?,
        None if near.is_empty() => ranked(view, &INDEX, query, skip, page_size)?,
        None => {
            let (by_words, _) = ranked(view, &INDEX, query, 0, u64::MAX)?;
            let ids = fuse(&by_words, near);
            let (total, count) = (ids.len() as u64, |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX));
            (ids.into_iter().skip(count(skip)).take(count(page_size)).collect(), total)
        }
    };
    let mut statement = view.connection.prepare_cached(&format!("{HITS} WHERE p.id = :id"))?;
    let items = ids
        .into_iter()
        .map(|id| statement.query_row(named_params! {":id": id}, hit))
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(Page::new(items, total, page, page_size))
}

/// What whole words find, scored as [`super::scores`] says and fused with `near`; none where no passage has a word of
/// the query: then parts of words are looked for, which are too few to be capped.
fn ranking(view: &View<'_>, near: &[i64], query: &str) -> rusqlite::Result<Option<(Terms, WordMatches)>> {
    let terms = Terms::of(query);
    let (scores, is_complete) = term_scores(view, &INDEX, &terms.for_words())?;
    let by_words = scores.by_own_score();
    if by_words.is_empty() {
        return Ok(None);
    }
    let without_words = near.iter().copied().filter(|id| !scores.contains(*id)).collect();
    let rows = if near.is_empty() { by_words } else { fuse(&by_words, near) };
    Ok(Some((terms, WordMatches { rows, without_words, is_complete })))
}

fn fuse(by_words: &[i64], near: &[i64]) -> Vec<i64> {
    let limits = FusionLimits::DEFAULT;
    fused(&[(limits.word_weight, by_words), (limits.vector_weight, near)], limits.rank_constant)
}

/// All that can be found, the newest first.
pub(super) fn list(view: &View<'_>, page: u64, page_size: u64) -> Result<Page<ArchivalHit>> {
    let total = view.archival_count()?;
    let read = || {
        view.connection
            .prepare_cached(&format!(
                "{HITS} WHERE p.id IN (SELECT id FROM visible_passages WHERE viewer_id = :agent)
                 ORDER BY p.id DESC LIMIT :size OFFSET :skip"
            ))?
            .query_map(
                named_params! {
                    ":agent": view.agent,
                    ":size": i64::try_from(page_size).unwrap_or(i64::MAX),
                    ":skip": i64::try_from(page.saturating_mul(page_size)).unwrap_or(i64::MAX),
                },
                hit,
            )?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    Ok(Page::new(read().during("list the passages")?, total, page, page_size))
}
