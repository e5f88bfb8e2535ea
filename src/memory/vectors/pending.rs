//! Making the vectors that are missing: of rows that have none of the present embedder, oldest first, which fills the
//! pages of the database (the other way round they stay half empty).
//!
//! What is missing is asked of the database, so that work that was stopped, killed or never begun is simply taken up.
//! Batches are small enough to stop within a tenth of a second, and each is stored before the next is begun.

use std::time::{Duration, Instant};

use rusqlite::{TransactionBehavior, named_params};

use super::index::Position;
use super::rows::{note_embedder, write};
use super::{Embed, Kind, Tables, embed_all};
use crate::memory::View;
use crate::memory::error::{During, Result};
use crate::types::Cancel;

/// Ids that are looked through at once: a few milliseconds.
const RANGE_IDS: i64 = 2000;
/// Most texts in a batch: more gain nothing on a processor.
const MAX_BATCH_TEXTS: usize = 32;
/// A batch that takes longer is followed by a smaller one.
const LONGEST_BATCH: Duration = Duration::from_millis(100);
/// A batch that takes less is followed by a larger one.
const SHORTEST_BATCH: Duration = Duration::from_millis(40);
/// How often all rows are looked through where others change what can be found meanwhile: whoever changes it without
/// end is not waited for.
const MOST_PASSES: usize = 3;

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Embedded {
    /// Rows that have got a vector.
    pub rows: u64,
    /// Whether none is missing any more; not where the work was stopped.
    pub complete: bool,
}

/// Whose rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memory) enum Scope {
    /// What an agent may find, hidden or not.
    Agent,
    /// Passages of documents, whoever may find them.
    Documents,
}

impl Scope {
    const fn condition(self, tables: &Tables) -> &'static str {
        match self {
            Self::Agent => tables.visible,
            // The agent is named so that the parameter is in use.
            Self::Documents => "t.document_id IS NOT NULL AND :agent IS NOT NULL",
        }
    }
}

/// Between which ids nothing is missing: rows beyond `through` are to be looked at, and all of them once the log has
/// moved on or, by an import of older messages, a lower id than `from` is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memory) struct Mark {
    embedder: i64,
    from: i64,
    through: i64,
    position: Position,
}

/// How many rows have no vector of `embedder`.
pub(in crate::memory) fn pending_count(
    view: &View<'_>,
    tables: &Tables,
    scope: Scope,
    embedder: &dyn Embed,
) -> Result<u64> {
    let read = || {
        view.connection.prepare_cached(&format!("SELECT count(*) FROM {}", missing(tables, scope)))?.query_row(
            named_params! {
                ":embedder": super::rows::embedder_id(view.connection, tables, embedder.name())?,
                ":agent": view.agent,
                ":above": i64::MIN,
                ":through": i64::MAX,
            },
            |row| row.get::<_, i64>(0),
        )
    };
    Ok(u64::try_from(read().during("count what has no vector")?).unwrap_or(0))
}

/// Rows `t` without a vector, of those from `:above` (not included) to `:through`.
fn missing(tables: &Tables, scope: Scope) -> String {
    let Tables { rows, text, vectors, .. } = tables;
    format!(
        "{rows} t WHERE t.id > :above AND t.id <= :through AND {text} IS NOT NULL AND {}
         AND NOT EXISTS (SELECT 1 FROM {vectors} v WHERE v.id = t.id AND v.embedder_id = :embedder)",
        scope.condition(tables)
    )
}

/// Makes vectors until none is missing or `cancel` is raised; `progress` hears how many were made after each batch.
///
/// # Errors
/// The embedder or the database failed; what was made until then is stored.
pub(in crate::memory) fn embed_rows(
    connection: &mut rusqlite::Connection,
    agent: i64,
    kind: &mut Kind,
    scope: Scope,
    embedder: &mut dyn Embed,
    cancel: &Cancel,
    progress: &mut dyn FnMut(u64),
) -> Result<Embedded> {
    let tables = kind.tables;
    let mut done = Embedded::default();
    for _ in 0..MOST_PASSES {
        if cancel.is_raised() {
            return Ok(done);
        }
        let Some((lowest, newest)) = ids(connection, tables).during(LOOK)? else {
            return Ok(Embedded { complete: true, ..done });
        };
        let embedder_id = note_embedder(connection, tables, embedder.name(), embedder.dimensions())?;
        let position = Position::newest(&View { connection, agent }, tables).during(LOOK)?;
        let known =
            kind.mark.filter(|mark| mark.embedder == embedder_id && mark.position == position && mark.from <= lowest);
        let above = known.map_or(lowest.saturating_sub(1), |mark| mark.through);
        let mut pass = Pass {
            connection: &mut *connection,
            agent,
            tables,
            scope,
            embedder_id,
            log: Log { position, is_foreign: false },
        };
        if !pass.run((above, newest), embedder, cancel, &mut done.rows, progress)? {
            return Ok(done);
        }
        let mut log = pass.log;
        log.note(Position::newest(&View { connection, agent }, tables).during(LOOK)?);
        if !log.is_foreign {
            kind.mark = Some(Mark { embedder: embedder_id, from: lowest, through: newest, position: log.position });
            done.complete = true;
            return Ok(done);
        }
        // What was attached or shown behind this pass has not been seen by it.
        kind.mark = None;
    }
    Ok(done)
}

const LOOK: &str = "look for texts without a vector";

/// The lowest and the highest id of the rows; none where there is no row. Imported messages have ids below 1.
fn ids(connection: &rusqlite::Connection, tables: &Tables) -> rusqlite::Result<Option<(i64, i64)>> {
    let of = |which: &str| -> rusqlite::Result<Option<i64>> {
        // One each: SQLite takes them from the ends of the table, both at once it would look for in all rows.
        connection.prepare_cached(&format!("SELECT {which}(id) FROM {}", tables.rows))?.query_row([], |row| row.get(0))
    };
    Ok(of("min")?.zip(of("max")?))
}

/// What is known of the log of changes while a pass writes to it itself.
#[derive(Debug, Clone, Copy)]
struct Log {
    /// The newest entry that is known.
    position: Position,
    /// Whether anybody else has written one since the pass began.
    is_foreign: bool,
}

impl Log {
    /// Notes the newest entry as it is where nothing of the pass itself was written since the last time.
    fn note(&mut self, newest: Position) {
        self.is_foreign |= newest != self.position;
    }
}

/// One look through the rows.
struct Pass<'a> {
    connection: &'a mut rusqlite::Connection,
    agent: i64,
    tables: &'static Tables,
    scope: Scope,
    embedder_id: i64,
    log: Log,
}

impl Pass<'_> {
    /// Makes the vectors of the rows from `above` (not included) to `newest`; false where `cancel` stopped it.
    fn run(
        &mut self,
        (mut above, newest): (i64, i64),
        embedder: &mut dyn Embed,
        cancel: &Cancel,
        made: &mut u64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<bool> {
        let mut batch_texts = 1_usize;
        while above < newest {
            let through = newest.min(above.saturating_add(RANGE_IDS));
            let range = self.read_range((above, through)).during(LOOK)?;
            let mut rest = range.as_slice();
            while !rest.is_empty() {
                if cancel.is_raised() {
                    return Ok(false);
                }
                let (batch, after) = rest.split_at(batch_texts.min(rest.len()));
                rest = after;
                let begun = Instant::now();
                let texts: Vec<&str> = batch.iter().map(|(_, text)| text.as_str()).collect();
                let vectors = embed_all(embedder, &texts)?;
                self.store(batch, &vectors).during("store vectors")?;
                *made += batch.len() as u64;
                progress(*made);
                batch_texts = next_batch(batch_texts, begun.elapsed());
            }
            if cancel.is_raised() {
                return Ok(false);
            }
            above = through;
        }
        Ok(true)
    }

    /// Ids and texts without a vector, oldest first.
    fn read_range(&self, (above, through): (i64, i64)) -> rusqlite::Result<Vec<(i64, String)>> {
        let Self { tables, scope, .. } = self;
        self.connection
            .prepare_cached(&format!("SELECT t.id, {} FROM {} ORDER BY t.id", tables.text, missing(tables, *scope)))?
            .query_map(
                named_params! {
                    ":embedder": self.embedder_id, ":agent": self.agent, ":above": above, ":through": through,
                },
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?
            .collect()
    }

    /// Stores a batch and notes what others have written to the log before it; during it they cannot.
    fn store(&mut self, batch: &[(i64, String)], vectors: &[Vec<f32>]) -> rusqlite::Result<()> {
        let Self { tables, agent, embedder_id, .. } = *self;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut log = self.log;
        log.note(Position::newest(&View { connection: &transaction, agent }, tables)?);
        for ((id, text), vector) in batch.iter().zip(vectors) {
            write(&transaction, tables, embedder_id, (*id, text), vector)?;
        }
        log.position = Position::newest(&View { connection: &transaction, agent }, tables)?;
        transaction.commit()?;
        self.log = log;
        Ok(())
    }
}

fn next_batch(texts: usize, took: Duration) -> usize {
    if took > LONGEST_BATCH {
        (texts / 2).max(1)
    } else if took < SHORTEST_BATCH {
        (texts * 2).min(MAX_BATCH_TEXTS)
    } else {
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_while_they_are_quick_and_shrink_when_they_are_slow() {
        let ms = Duration::from_millis;
        assert_eq!(next_batch(1, ms(1)), 2);
        assert_eq!(next_batch(32, ms(1)), 32);
        assert_eq!(next_batch(8, ms(60)), 8);
        assert_eq!(next_batch(8, ms(400)), 4);
        assert_eq!(next_batch(1, ms(400)), 1);
    }
}
