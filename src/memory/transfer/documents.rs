//! The documents of the sources that an agent is attached to, as records: written where they are asked for, and read
//! into sources that are not there yet. A source that is there stays as it is: it may be a newer state of the same files.

use rusqlite::{Connection, OptionalExtension, Transaction, named_params};
use sha2::{Digest, Sha256};

use super::super::error::{During, Error, Result};
use super::super::text::normalised;
use super::export::{Emit, each};
use super::record::{DocumentRecord, PartRecord, Record, SourceRecord};
use super::shown_time;
use crate::types::validate_name;

/// Gives out the sources of an agent, each followed by its documents, and those by their parts.
pub(super) fn read_sources(connection: &Connection, agent: i64, emit: &mut Emit<'_>) -> Result<()> {
    let operation = "read the attached sources";
    let mut sources = Vec::new();
    let sql = "SELECT s.id, s.name, s.created_at_ms FROM attachments a JOIN sources s ON s.id = a.source_id
               WHERE a.agent_id = :agent ORDER BY s.name";
    each(connection, agent, sql, operation, &mut |row| {
        sources.push((row.get::<_, i64>(0)?, SourceRecord { name: row.get(1)?, created_at_ms: row.get(2)? }));
        Ok(Ok(()))
    })?;
    for (source, record) in sources {
        emit(Record::Source(record))?;
        let mut statement = connection
            .prepare(
                "SELECT id, path, title, size_bytes, fingerprint, loaded_at_ms FROM documents
                 WHERE source_id = :source ORDER BY path",
            )
            .during(operation)?;
        let mut rows = statement.query(named_params! {":source": source}).during(operation)?;
        while let Some(row) = rows.next().during(operation)? {
            let read = || -> rusqlite::Result<(i64, DocumentRecord)> {
                let document = DocumentRecord {
                    path: row.get(1)?,
                    title: row.get(2)?,
                    size_bytes: row.get(3)?,
                    fingerprint: hex(row.get_ref(4)?.as_blob()?),
                    loaded_at_ms: row.get(5)?,
                };
                Ok((row.get(0)?, document))
            };
            let (document, record) = read().during(operation)?;
            emit(Record::Document(record))?;
            read_parts(connection, document, emit)?;
        }
    }
    Ok(())
}

fn read_parts(connection: &Connection, document: i64, emit: &mut Emit<'_>) -> Result<()> {
    let operation = "read a document";
    let mut statement = connection
        .prepare_cached("SELECT text, place FROM passages WHERE document_id = :document ORDER BY id")
        .during(operation)?;
    let mut rows = statement.query(named_params! {":document": document}).during(operation)?;
    while let Some(row) = rows.next().during(operation)? {
        let read = || -> rusqlite::Result<PartRecord> { Ok(PartRecord { text: row.get(0)?, place: row.get(1)? }) };
        emit(Record::Part(read().during(operation)?))?;
    }
    Ok(())
}

/// Where the records of documents go that come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// No source has come.
    Nowhere,
    /// The source was there before: they are left out.
    Known,
    /// A new source, and its newest document with the time at which that was loaded.
    New { source: i64, document: Option<(i64, i64)> },
}

/// Sources that are being read.
pub(super) struct Sources<'a> {
    transaction: &'a Transaction<'a>,
    goal: Goal,
}

impl<'a> Sources<'a> {
    pub(super) const fn new(transaction: &'a Transaction<'a>) -> Self {
        Self { transaction, goal: Goal::Nowhere }
    }

    /// Makes a source; false where there is one of that name.
    pub(super) fn source(&mut self, source: &SourceRecord) -> Result<bool> {
        let operation = "store a source";
        validate_name(&source.name)?;
        let created_at_ms = time(source.created_at_ms)?;
        let made = self
            .transaction
            .prepare_cached("INSERT INTO sources (name, created_at_ms) VALUES (:name, :at_ms) ON CONFLICT DO NOTHING")
            .and_then(|mut statement| statement.execute(named_params! {":name": source.name, ":at_ms": created_at_ms}))
            .during(operation)?;
        let is_new = made > 0;
        self.goal = if is_new {
            Goal::New { source: self.transaction.last_insert_rowid(), document: None }
        } else {
            Goal::Known
        };
        Ok(is_new)
    }

    pub(super) fn document(&mut self, document: &DocumentRecord) -> Result<()> {
        let operation = "store a document";
        let Goal::New { source, document: last } = &mut self.goal else { return self.left_out("a document") };
        let loaded_at_ms = time(document.loaded_at_ms)?;
        let fingerprint = bytes(&document.fingerprint).ok_or_else(|| wrong("a fingerprint is no hex"))?;
        if document.path.is_empty() || document.size_bytes < 0 {
            return Err(wrong("a document has no path or no size"));
        }
        let stored: Option<i64> = self
            .transaction
            .prepare_cached(
                "INSERT INTO documents (source_id, path, title, size_bytes, fingerprint, loaded_at_ms)
                 VALUES (:source, :path, :title, :size_bytes, :fingerprint, :at_ms) ON CONFLICT DO NOTHING RETURNING id",
            )
            .and_then(|mut statement| {
                let parameters = named_params! {
                    ":source": *source,
                    ":path": document.path,
                    ":title": document.title,
                    ":size_bytes": document.size_bytes,
                    ":fingerprint": fingerprint,
                    ":at_ms": loaded_at_ms,
                };
                statement.query_row(parameters, |row| row.get(0)).optional()
            })
            .during(operation)?;
        let id = stored.ok_or_else(|| wrong(format!("the document {} comes twice", document.path)))?;
        *last = Some((id, loaded_at_ms));
        Ok(())
    }

    pub(super) fn part(&mut self, part: &PartRecord) -> Result<()> {
        let Goal::New { document, .. } = self.goal else { return self.left_out("a part of a document") };
        let (document, at_ms) = document.ok_or_else(|| wrong("a part has no document"))?;
        if part.text.trim().is_empty() {
            return Err(wrong("a part of a document is empty"));
        }
        self.transaction
            .prepare_cached(
                "INSERT INTO passages (document_id, at_ms, text, place, fingerprint)
                 VALUES (:document, :at_ms, :text, :place, :fingerprint)",
            )
            .and_then(|mut statement| {
                statement.execute(named_params! {
                    ":document": document,
                    ":at_ms": at_ms,
                    ":text": part.text,
                    ":place": part.place,
                    ":fingerprint": Sha256::digest(normalised(&part.text)).to_vec(),
                })
            })
            .during("store a document")?;
        Ok(())
    }

    fn left_out(&self, what: &str) -> Result<()> {
        if self.goal == Goal::Nowhere { Err(wrong(format!("{what} has no source"))) } else { Ok(()) }
    }
}

fn wrong(reason: impl Into<String>) -> Error {
    Error::BadImport { line: None, reason: reason.into() }
}

fn time(at_ms: i64) -> Result<i64> {
    shown_time(at_ms).ok_or_else(|| wrong(format!("{at_ms} is no point in time")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    if !hex.is_ascii() || !hex.len().is_multiple_of(2) {
        return None;
    }
    let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_come_back_from_hex() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes(&hex(&all)), Some(all));
        for wrong in ["a", "xx", "+1", "é"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
