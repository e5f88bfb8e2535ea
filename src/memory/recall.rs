//! Recall storage: searching what the user and the agent said to each other.
//!
//! Events, calls, results and summaries are not part of the conversation and are never found; nor is what was removed
//! (`pop`, `load`). Strategy: each word of the query is looked up by itself (FTS5, BM25), then turns are ranked by the
//! window around them and, where vectors are at hand, by meaning (`windows`); substrings come last (`search`). No index
//! of windows is kept: they are read from the order of the rows, so that removing, hiding and undoing need no care.

use std::collections::{HashMap, HashSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::{OptionalExtension, named_params};

use super::error::{During, Result};
use super::scores::term_scores;
use super::search::{Index, Page, Terms, WordMatches, ranked, ranked_after};
use super::vectors::Vectors;
use super::windows::{Turns, WINDOW_REACH, rank};
use super::{Embedding, View};
use crate::types::MessageId;

pub(super) const INDEX: Index = Index {
    words: "messages_fts",
    trigrams: "messages_trigram",
    rows: "messages",
    text: "searchable",
    visible: "t.agent_id = :agent",
    all_visible: "SELECT count(*) = 1 FROM agents",
    scored_rows: 40_000,
};

/// Rows with the best words whose windows are read; those below keep the order of their own words.
const WINDOWED_ROWS: usize = 128;
/// Messages asked for by meaning; those with words get their share of it, too.
const NEAREST_MESSAGES: usize = 100;
/// Least similarity by which a message is found that has no word of the query. Cosine; with sentence embedders, texts
/// that have nothing in common lie at 0 to 0.2.
const FOUND_SIMILARITY: f32 = 0.35;
/// Most names of speakers that are known to a search.
const KNOWN_SPEAKERS: usize = 64;

/// Gives the messages that are nearest to the query in meaning: ids and cosines, at most as many as asked for.
pub type NearestMessages<'a> = &'a mut dyn FnMut(usize) -> Result<Vec<(MessageId, f32)>>;

/// Who said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The user.
    User,
    /// The agent.
    Agent,
}

impl Role {
    /// The spelling that models see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Agent => "assistant",
        }
    }
}

/// A turn of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The message.
    pub id: MessageId,
    /// Who said it.
    pub role: Role,
    /// Their name, where the conversation has names.
    pub speaker: Option<String>,
    /// When, UTC milliseconds.
    pub at_ms: i64,
    /// What was said.
    pub text: String,
}

impl Said {
    /// How the speaker is told to a model: the name, else the role.
    #[must_use]
    pub fn who(&self) -> &str {
        self.speaker.as_deref().unwrap_or_else(|| self.role.as_str())
    }
}

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecallHit {
    /// The message.
    pub id: MessageId,
    /// Who said it.
    pub role: Role,
    /// Their name, where the conversation has names.
    pub speaker: Option<String>,
    /// When, UTC milliseconds.
    pub at_ms: i64,
    /// What was said.
    pub text: String,
    /// What was said before; none in a listing by date, where it stands above.
    pub before: Option<Said>,
    /// What was said after; none in a listing by date.
    pub after: Option<Said>,
}

impl RecallHit {
    fn alone(said: Said) -> Self {
        let Said { id, role, speaker, at_ms, text } = said;
        Self { id, role, speaker, at_ms, text, before: None, after: None }
    }

    /// How the speaker is told to a model: the name, else the role.
    #[must_use]
    pub fn who(&self) -> &str {
        self.speaker.as_deref().unwrap_or_else(|| self.role.as_str())
    }
}

const SAID_COLUMNS: &str = "id, kind, speaker, at_ms, searchable";

fn said(row: &rusqlite::Row<'_>) -> rusqlite::Result<Said> {
    let role = if row.get::<_, String>(1)? == "user" { Role::User } else { Role::Agent };
    Ok(Said { id: MessageId(row.get(0)?), role, speaker: row.get(2)?, at_ms: row.get(3)?, text: row.get(4)? })
}

/// Cost: a score for each row that holds a word of the query, at most `Index::scored_rows` of them, and two short reads for
/// each of the best [`WINDOWED_ROWS`]; `benches/recall.rs` measures it.
pub(super) fn search(
    view: &View<'_>,
    query: &str,
    nearest: Option<NearestMessages<'_>>,
    page: u64,
    page_size: u64,
) -> Result<Page<RecallHit>> {
    let similarities = similarities(nearest)?;
    let read = || {
        let found = Found::by_words(view, query, &similarities)?;
        let skip = page.saturating_mul(page_size);
        let (ids, total) = ranked_after(view, &INDEX, &found.terms, &found.matches, skip, page_size)?;
        let items = ids.into_iter().map(|id| hit_in_context(view, id)).collect::<rusqlite::Result<_>>()?;
        Ok(Page::new(items, total, page, page_size))
    };
    read().during("search the conversation")
}

/// By words and, where there is an embedding of the query, by meaning.
pub(super) fn search_hybrid(
    view: &View<'_>,
    vectors: &Vectors,
    query: &str,
    embedding: Option<&Embedding>,
    page: u64,
    page_size: u64,
) -> Result<Page<RecallHit>> {
    let Some(embedding) = embedding else { return search(view, query, None, page, page_size) };
    let mut nearest = |at_most| vectors.nearest_messages(view, embedding, at_most);
    search(view, query, Some(&mut nearest), page, page_size)
}

/// Single messages, best first: the windows that a search finds, expanded to their turns.
pub(super) fn rank_messages(
    view: &View<'_>,
    query: &str,
    nearest: Option<NearestMessages<'_>>,
    at_most: usize,
) -> Result<Vec<MessageId>> {
    let similarities = similarities(nearest)?;
    let read = || {
        let found = Found::by_words(view, query, &similarities)?;
        let (rest, _) = ranked_after(view, &INDEX, &found.terms, &found.matches, 0, at_most as u64)?;
        let mut ids = found.turns;
        let known: HashSet<i64> = ids.iter().copied().collect();
        ids.extend(rest.into_iter().filter(|id| !known.contains(id)));
        ids.truncate(at_most);
        Ok(ids.into_iter().map(MessageId).collect())
    };
    read().during("search the conversation")
}

/// Single messages by BM25 over each alone: what windows are measured against.
pub(super) fn rank_single_turns(view: &View<'_>, query: &str, at_most: usize) -> Result<Vec<MessageId>> {
    let (ids, _) = ranked(view, &INDEX, query, 0, at_most as u64).during("search the conversation")?;
    Ok(ids.into_iter().map(MessageId).collect())
}

fn similarities(nearest: Option<NearestMessages<'_>>) -> Result<HashMap<i64, f32>> {
    let near = nearest.map_or_else(|| Ok(Vec::new()), |nearest| nearest(NEAREST_MESSAGES))?;
    Ok(near.into_iter().map(|(id, similarity)| (id.0, similarity)).collect())
}

/// What the words and the meaning of a query find.
struct Found {
    terms: Terms,
    matches: WordMatches,
    /// The turns in and around the best of them, best first.
    turns: Vec<i64>,
}

impl Found {
    fn by_words(view: &View<'_>, query: &str, similarities: &HashMap<i64, f32>) -> rusqlite::Result<Self> {
        let mut terms = Terms::of(query);
        let speakers = speakers(view)?;
        let names = terms.take_names(|word| speakers.iter().any(|speaker| is_named(speaker, word)));
        let named: HashSet<&String> =
            speakers.iter().filter(|speaker| names.iter().any(|name| is_named(speaker, name))).collect();
        // Where the query names several, none of them is meant more than the others.
        let named = if named.len() == 1 { named.into_iter().next() } else { None };

        let (scores, is_complete) = term_scores(view, &INDEX, &terms.for_words())?;
        let by_own_score = scores.by_own_score();
        let mut turns = Turns::default();
        let mut near: Vec<i64> = similarities.keys().copied().filter(|row| !scores.contains(*row)).collect();
        near.sort_unstable();
        for row in by_own_score.iter().take(WINDOWED_ROWS).chain(&near) {
            read_window(view, *row, named, &mut turns)?;
        }
        let turns = rank(&scores, &turns, similarities);
        let is_found_by_meaning =
            |row: &i64| similarities.get(row).is_some_and(|similarity| *similarity >= FOUND_SIMILARITY);
        let mut rows: Vec<i64> =
            turns.iter().copied().filter(|row| scores.contains(*row) || is_found_by_meaning(row)).collect();
        let without_words = rows.iter().copied().filter(|row| !scores.contains(*row)).collect();
        let known: HashSet<i64> = rows.iter().copied().collect();
        rows.extend(by_own_score.into_iter().filter(|row| !known.contains(row)));
        Ok(Self { terms, matches: WordMatches { rows, without_words, is_complete }, turns })
    }
}

/// Reads the turns around a row of the agent; a row that it cannot find is left out.
fn read_window(view: &View<'_>, row: i64, named: Option<&String>, turns: &mut Turns) -> rusqlite::Result<()> {
    // The windows of the turns next to the row reach twice as far.
    let reach = i64::try_from(2 * WINDOW_REACH).unwrap_or(i64::MAX);
    let mut read = |sql: &str, limit: i64| -> rusqlite::Result<Vec<i64>> {
        let mut statement = view.connection.prepare_cached(sql)?;
        let mut rows = statement.query(named_params! {":agent": view.agent, ":row": row, ":limit": limit})?;
        let mut ids = Vec::new();
        while let Some(found) = rows.next()? {
            let id = found.get(0)?;
            if named.is_some() && found.get::<_, Option<String>>(1)?.as_ref() == named {
                turns.set_named(id);
            }
            ids.push(id);
        }
        Ok(ids)
    };
    let from_row = read(
        "SELECT id, speaker FROM messages INDEXED BY messages_said WHERE agent_id = :agent AND id >= :row
         AND searchable IS NOT NULL AND hidden = 0 ORDER BY id LIMIT :limit",
        reach + 1,
    )?;
    if from_row.first() != Some(&row) {
        return Ok(());
    }
    let mut stretch = read(
        "SELECT id, speaker FROM messages INDEXED BY messages_said WHERE agent_id = :agent AND id < :row
         AND searchable IS NOT NULL AND hidden = 0 ORDER BY id DESC LIMIT :limit",
        reach,
    )?;
    stretch.reverse();
    stretch.extend(from_row);
    turns.add(&stretch, row);
    Ok(())
}

/// The names of those who speak in the agent's conversation, in the order of their spelling.
fn speakers(view: &View<'_>) -> rusqlite::Result<Vec<String>> {
    let mut statement = view.connection.prepare_cached(
        "SELECT min(speaker) FROM messages INDEXED BY messages_of_speakers
         WHERE agent_id = :agent AND speaker IS NOT NULL AND speaker > :last",
    )?;
    let mut speakers: Vec<String> = Vec::new();
    while speakers.len() < KNOWN_SPEAKERS {
        let last = speakers.last().map_or("", String::as_str);
        let next: Option<String> =
            statement.query_row(named_params! {":agent": view.agent, ":last": last}, |row| row.get(0))?;
        let Some(next) = next else { break };
        speakers.push(next);
    }
    Ok(speakers)
}

/// Whether a word of a query is the speaker's name or one of its words.
fn is_named(speaker: &str, word: &str) -> bool {
    speaker.to_lowercase().split_whitespace().any(|name| name == word)
}

fn hit_in_context(view: &View<'_>, id: i64) -> rusqlite::Result<RecallHit> {
    let mut statement =
        view.connection.prepare_cached(&format!("SELECT {SAID_COLUMNS} FROM messages WHERE id = :id"))?;
    let mut hit = RecallHit::alone(statement.query_row(named_params! {":id": id}, said)?);
    let neighbour = |condition: &str| {
        view.connection
            .prepare_cached(&format!(
                "SELECT {SAID_COLUMNS} FROM messages INDEXED BY messages_said
                 WHERE agent_id = :agent AND searchable IS NOT NULL AND hidden = 0 AND {condition} LIMIT 1"
            ))?
            .query_row(named_params! {":agent": view.agent, ":id": id}, said)
            .optional()
    };
    hit.before = neighbour("id < :id ORDER BY id DESC")?;
    hit.after = neighbour("id > :id ORDER BY id")?;
    Ok(hit)
}

pub(super) fn search_date(
    view: &View<'_>,
    start: Date,
    end: Date,
    zone: &TimeZone,
    page: u64,
    page_size: u64,
) -> Result<Page<RecallHit>> {
    let (first, last) = if start <= end { (start, end) } else { (end, start) };
    let from_ms = day_start_ms(first, zone).unwrap_or(i64::MIN);
    let before_ms = last.tomorrow().ok().and_then(|day| day_start_ms(day, zone)).unwrap_or(i64::MAX);
    let in_range = "FROM messages WHERE agent_id = :agent AND searchable IS NOT NULL AND hidden = 0
                    AND at_ms >= :from AND at_ms < :before";
    let read = || {
        let total: i64 = view
            .connection
            .prepare_cached(&format!("SELECT count(*) {in_range}"))?
            .query_row(named_params! {":agent": view.agent, ":from": from_ms, ":before": before_ms}, |row| {
                row.get(0)
            })?;
        let items = view
            .connection
            .prepare_cached(&format!("SELECT {SAID_COLUMNS} {in_range} ORDER BY at_ms, id LIMIT :size OFFSET :skip"))?
            .query_map(
                named_params! {
                    ":agent": view.agent,
                    ":from": from_ms,
                    ":before": before_ms,
                    ":size": i64::try_from(page_size).unwrap_or(i64::MAX),
                    ":skip": i64::try_from(page.saturating_mul(page_size)).unwrap_or(i64::MAX),
                },
                |row| said(row).map(RecallHit::alone),
            )?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Page::new(items, u64::try_from(total).unwrap_or(0), page, page_size))
    };
    read().during("search the conversation by date")
}

/// The first instant of a day, UTC milliseconds: not always midnight, and not always 24 hours before the next.
fn day_start_ms(day: Date, zone: &TimeZone) -> Option<i64> {
    let start = day.to_zoned(zone.clone()).ok()?.start_of_day().ok()?;
    Some(start.timestamp().as_millisecond())
}
