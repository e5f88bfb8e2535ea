//! Recall storage: searching what the user and the agent said to each other.
//!
//! Events, calls, results and summaries are not part of the conversation and are never found; nor is what was removed
//! (`pop`, `load`).

use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::named_params;

use super::View;
use super::error::{During, Result};
use super::search::{Index, Page, search_page};
use crate::types::MessageId;

pub(super) const INDEX: Index = Index {
    words: "messages_fts",
    trigrams: "messages_trigram",
    rows: "messages",
    text: "searchable",
    visible: "t.agent_id = :agent",
    all_visible: "SELECT count(*) = 1 FROM agents",
};

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

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecallHit {
    /// The message.
    pub id: MessageId,
    /// Who said it.
    pub role: Role,
    /// When, UTC milliseconds.
    pub at_ms: i64,
    /// What was said.
    pub text: String,
}

fn hit(row: &rusqlite::Row<'_>) -> rusqlite::Result<RecallHit> {
    let role = if row.get::<_, String>(1)? == "user" { Role::User } else { Role::Agent };
    Ok(RecallHit { id: MessageId(row.get(0)?), role, at_ms: row.get(2)?, text: row.get(3)? })
}

pub(super) fn search(view: &View<'_>, query: &str, page: u64, page_size: u64) -> Result<Page<RecallHit>> {
    let read = || {
        let mut statement =
            view.connection.prepare_cached("SELECT id, kind, at_ms, searchable FROM messages WHERE id = :id")?;
        search_page(view, &INDEX, query, page, page_size, |id| statement.query_row(named_params! {":id": id}, hit))
    };
    read().during("search the conversation")
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
            .prepare_cached(&format!(
                "SELECT id, kind, at_ms, searchable {in_range} ORDER BY at_ms, id LIMIT :size OFFSET :skip"
            ))?
            .query_map(
                named_params! {
                    ":agent": view.agent,
                    ":from": from_ms,
                    ":before": before_ms,
                    ":size": i64::try_from(page_size).unwrap_or(i64::MAX),
                    ":skip": i64::try_from(page.saturating_mul(page_size)).unwrap_or(i64::MAX),
                },
                hit,
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
