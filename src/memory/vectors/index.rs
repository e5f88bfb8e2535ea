//! The index of an open agent: the vectors of what it may find, in memory, in step with the database.
//!
//! Triggers log each row whose vector or visibility changes, whoever changes it: this agent, `/load`, another process.
//! Before a search the index takes up what was logged since the last one. An entry carries a random token, so that an
//! index that has seen a step which was then taken back notices, and is read anew.

use std::collections::HashSet;

use rusqlite::{OptionalExtension, Row, named_params};

use super::codes::{MAX_DIMENSIONS, QueryCodes, signed};
use super::matrix::{Best, Matrix, Scored};
use super::rows::{embedder_id, exact, scale};
use super::{Embedding, Kind, Tables};
use crate::memory::View;
use crate::memory::error::{During, Result};

/// Most memory that an index takes, in bytes; vectors that need more are scanned in the database, which is exact as well
/// and some ten times slower. 1 GiB holds 2.7 million vectors of 384 numbers.
const MAX_INDEX_BYTES: usize = 1 << 30;

/// Rows that are rescored beyond those asked for, at least. Ten of a million were found without a miss with ten more.
const RESCORED_MORE: usize = 30;

/// A row and its similarity to a query: the cosine of the angle between vectors of length 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::memory) struct Near {
    pub(in crate::memory) id: i64,
    pub(in crate::memory) similarity: f32,
}

/// How large an index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexSize {
    /// Vectors in memory; 0 before the first search.
    pub rows: usize,
    /// Memory that they take, in bytes; at most 1 GiB.
    pub bytes: usize,
}

/// The newest entry of the log that an index knows; `seq` is 0 where the log was empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    seq: i64,
    token: i64,
}

impl Position {
    /// The newest entry of the log.
    pub(super) fn newest(view: &View<'_>, tables: &Tables) -> rusqlite::Result<Self> {
        let newest = view
            .connection
            .prepare_cached(&format!("SELECT seq, token FROM {} ORDER BY seq DESC LIMIT 1", tables.changes))?
            .query_row([], |row| Ok(Self { seq: row.get(0)?, token: row.get(1)? }))
            .optional()?;
        Ok(newest.unwrap_or(Self { seq: 0, token: 0 }))
    }
}

#[derive(Debug)]
pub(super) struct Index {
    embedder: i64,
    position: Position,
    /// None where the vectors take more memory than allowed.
    matrix: Option<Matrix>,
}

impl Kind {
    /// The rows most like `query` that the agent may find and `allows` lets through, best first, at most `at_most`, none
    /// below `floor`. Vectors of other embedders are not looked at.
    pub(in crate::memory) fn nearest(
        &self,
        view: &View<'_>,
        query: &Embedding,
        at_most: usize,
        floor: f32,
        allows: &(dyn Fn(i64) -> bool + Sync),
    ) -> Result<Vec<Near>> {
        self.search(view, query, at_most, floor, allows).during("search the vectors")
    }

    fn search(
        &self,
        view: &View<'_>,
        query: &Embedding,
        at_most: usize,
        floor: f32,
        allows: &(dyn Fn(i64) -> bool + Sync),
    ) -> rusqlite::Result<Vec<Near>> {
        let dimensions = query.values.len();
        let Some(embedder) = embedder_id(view.connection, self.tables, &query.embedder)? else { return Ok(Vec::new()) };
        if at_most == 0 || dimensions == 0 || dimensions > MAX_DIMENSIONS {
            return Ok(Vec::new());
        }
        let codes = QueryCodes::of(&query.values);
        let candidates = at_most.saturating_add(at_most.max(RESCORED_MORE));
        // Taken out: a failure on the way leaves no index that is half in step.
        let mut index = self.index.take().filter(|index| index.embedder == embedder);
        if let Some(known) = &mut index
            && !known.catch_up(view, self.tables)?
        {
            index = None;
        }
        let index = match index {
            Some(index) => index,
            None => Index::read(view, self.tables, embedder, dimensions)?,
        };
        let scanned = match &index.matrix {
            Some(matrix) => matrix.scan(&codes, candidates, allows),
            None => scan_database(view, self.tables, embedder, &codes, candidates, allows)?,
        };
        *self.index.borrow_mut() = Some(index);
        let mut best = Best::new(at_most);
        for Scored { id, .. } in scanned {
            if let Some(similarity) = exact(view.connection, self.tables, &codes, id)?
                && similarity >= floor
            {
                best.offer(Scored { id, similarity });
            }
        }
        Ok(best.into_sorted().into_iter().map(|Scored { id, similarity }| Near { id, similarity }).collect())
    }

    /// How large the index is now.
    pub(in crate::memory) fn size(&self) -> IndexSize {
        let index = self.index.borrow();
        index
            .as_ref()
            .and_then(|index| index.matrix.as_ref())
            .map_or(IndexSize::default(), |matrix| IndexSize { rows: matrix.rows(), bytes: matrix.bytes() })
    }
}

impl Index {
    /// Reads everything that `view` may find.
    fn read(view: &View<'_>, tables: &Tables, embedder: i64, dimensions: usize) -> rusqlite::Result<Self> {
        // The position first: what changes while the vectors are read is read once more.
        let position = Position::newest(view, tables)?;
        let mut matrix = Matrix::new(dimensions);
        let mut statement = view.connection.prepare_cached(&format!(
            "SELECT id, scale, codes FROM {} WHERE embedder_id = :embedder ORDER BY id",
            tables.vectors
        ))?;
        let visible = Visible::of(view, tables)?;
        let mut rows = statement.query(named_params! {":embedder": embedder})?;
        while let Some(row) = rows.next()? {
            if visible.has(row.get(0)?) {
                push(&mut matrix, row)?;
                if matrix.bytes() > MAX_INDEX_BYTES {
                    return Ok(Self { embedder, position, matrix: None });
                }
            }
        }
        Ok(Self { embedder, position, matrix: Some(matrix) })
    }

    /// Takes up what was logged since the last search; false where everything must be read anew.
    fn catch_up(&mut self, view: &View<'_>, tables: &Tables) -> rusqlite::Result<bool> {
        let mut statement = view.connection.prepare_cached(&format!(
            "SELECT seq, token, row_id FROM {} WHERE seq >= :seq ORDER BY seq",
            tables.changes
        ))?;
        let mut entries = statement.query(named_params! {":seq": self.position.seq})?;
        let mut expected = (self.position.seq > 0).then_some(self.position);
        let mut changed = HashSet::new();
        while let Some(entry) = entries.next()? {
            let position = Position { seq: entry.get(0)?, token: entry.get(1)? };
            match expected.take() {
                Some(known) if known == position => continue,
                Some(_) => return Ok(false),
                // The first entries of a log that was empty may be gone already.
                None if position.seq > self.position.seq + 1 => return Ok(false),
                None => {}
            }
            let Some(id) = entry.get::<_, Option<i64>>(2)? else { return Ok(false) };
            changed.insert(id);
            self.position = position;
        }
        if expected.is_some() {
            return Ok(false);
        }
        let Some(matrix) = &mut self.matrix else { return Ok(true) };
        if changed.is_empty() {
            return Ok(true);
        }
        matrix.remove(&changed);
        let Tables { vectors, rows, visible, .. } = tables;
        let mut statement = view.connection.prepare_cached(&format!(
            "SELECT v.id, v.scale, v.codes FROM {vectors} v JOIN {rows} t ON t.id = v.id
             WHERE v.id = :id AND v.embedder_id = :embedder AND t.hidden = 0 AND {visible}"
        ))?;
        for id in changed {
            let mut found =
                statement.query(named_params! {":id": id, ":embedder": self.embedder, ":agent": view.agent})?;
            if let Some(row) = found.next()? {
                push(matrix, row)?;
            }
        }
        // Grown too large: read anew, which finds that out.
        Ok(matrix.bytes() <= MAX_INDEX_BYTES)
    }
}

fn push(matrix: &mut Matrix, row: &Row<'_>) -> rusqlite::Result<()> {
    matrix.push(row.get(0)?, scale(row.get(1)?), signed(row.get_ref(2)?.as_blob()?));
    Ok(())
}

/// The same as [`Matrix::scan`] without a matrix.
fn scan_database(
    view: &View<'_>,
    tables: &Tables,
    embedder: i64,
    query: &QueryCodes,
    at_most: usize,
    allows: &dyn Fn(i64) -> bool,
) -> rusqlite::Result<Vec<Scored>> {
    let visible = Visible::of(view, tables)?;
    let mut statement = view
        .connection
        .prepare_cached(&format!("SELECT id, scale, codes FROM {} WHERE embedder_id = :embedder", tables.vectors))?;
    let mut rows = statement.query(named_params! {":embedder": embedder})?;
    let mut best = Best::new(at_most);
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        let codes: Vec<i8> = signed(row.get_ref(2)?.as_blob()?).collect();
        #[allow(clippy::cast_precision_loss)]
        let similarity = query.scanned(&codes) as f32 * (scale(row.get(1)?) * query.scan_scale());
        if similarity >= best.floor && visible.has(id) && allows(id) {
            best.offer(Scored { id, similarity });
        }
    }
    Ok(best.into_sorted())
}

/// Which rows an agent may find. Read from indexes: the rows themselves lie far apart on the disk.
struct Visible {
    /// None where all rows are visible that are not hidden.
    visible: Option<HashSet<i64>>,
    hidden: HashSet<i64>,
}

impl Visible {
    fn of(view: &View<'_>, tables: &Tables) -> rusqlite::Result<Self> {
        let connection = view.connection;
        let all: bool = connection.prepare_cached(tables.all_visible)?.query_row([], |row| row.get(0))?;
        let visible = if all {
            None
        } else {
            let mut statement = connection.prepare_cached(tables.visible_ids)?;
            let ids = statement.query_map(named_params! {":agent": view.agent}, |row| row.get(0))?;
            Some(ids.collect::<rusqlite::Result<HashSet<i64>>>()?)
        };
        let mut statement = connection.prepare_cached(tables.hidden_ids)?;
        let hidden = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        Ok(Self { visible, hidden })
    }

    fn has(&self, id: i64) -> bool {
        self.visible.as_ref().is_none_or(|visible| visible.contains(&id)) && !self.hidden.contains(&id)
    }
}
