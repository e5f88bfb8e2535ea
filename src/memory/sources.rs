//! Sources: named sets of documents. Their passages lie in the table of all passages and are found by the agents that
//! a source is attached to; attaching copies nothing.
//!
//! Not responsible for finding and reading files (`documents`).

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, TransactionBehavior, named_params};
use sha2::{Digest, Sha256};

use super::chunks::{ChunkLimits, chunks, limits_and_count};
use super::error::{During, Error, Result};
use super::text::{normalised, similarity};
use super::{Embed, Store, vectors};
use crate::types::{Piece, Unit, validate_name};

/// What the list of sources shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceInfo {
    /// Its name.
    pub name: String,
    /// When it was made, UTC milliseconds.
    pub created_at_ms: i64,
    /// How many documents it holds.
    pub documents: u64,
    /// Into how many passages they are cut.
    pub passages: u64,
    /// The agents that it is attached to, by name.
    pub agents: Vec<String>,
}

/// A document of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentInfo {
    /// Path of its file, as the caller spells it.
    pub path: String,
    /// How results call it.
    pub title: String,
    /// Size of its file.
    pub size_bytes: u64,
    /// SHA-256 of its file.
    pub fingerprint: Vec<u8>,
}

/// A document to store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewDocument<'a> {
    /// Path of its file, absolute, as the caller spells it.
    pub path: &'a str,
    /// How results call it.
    pub title: &'a str,
    /// Size of its file.
    pub size_bytes: u64,
    /// SHA-256 of its file.
    pub fingerprint: &'a [u8],
    /// Its text.
    pub pieces: &'a [Piece],
}

impl Store {
    /// All sources, by name.
    ///
    /// # Errors
    /// The database failed.
    pub fn sources(&self) -> Result<Vec<SourceInfo>> {
        let read = || -> rusqlite::Result<Vec<SourceInfo>> {
            let mut agents: BTreeMap<i64, Vec<String>> = BTreeMap::new();
            let mut statement = self.connection.prepare_cached(
                "SELECT t.source_id, a.name FROM attachments t JOIN agents a ON a.id = t.agent_id ORDER BY a.name",
            )?;
            for row in statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
                let (source, agent) = row?;
                agents.entry(source).or_default().push(agent);
            }
            self.connection
                .prepare_cached(
                    "SELECT s.id, s.name, s.created_at_ms,
                     (SELECT count(*) FROM documents d WHERE d.source_id = s.id),
                     (SELECT count(*) FROM documents d JOIN passages p ON p.document_id = d.id WHERE d.source_id = s.id)
                     FROM sources s ORDER BY s.name",
                )?
                .query_map([], |row| {
                    Ok(SourceInfo {
                        name: row.get(1)?,
                        created_at_ms: row.get(2)?,
                        documents: u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0),
                        passages: u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
                        agents: agents.remove(&row.get(0)?).unwrap_or_default(),
                    })
                })?
                .collect()
        };
        read().during("list the sources")
    }

    /// The documents of a source, by path; none where there is no such source.
    ///
    /// # Errors
    /// The database failed.
    pub fn documents(&self, source: &str) -> Result<Vec<DocumentInfo>> {
        let read = || {
            self.connection
                .prepare_cached(
                    "SELECT d.path, d.title, d.size_bytes, d.fingerprint FROM documents d
                     JOIN sources s ON s.id = d.source_id WHERE s.name = :source ORDER BY d.path",
                )?
                .query_map(named_params! {":source": source}, |row| {
                    Ok(DocumentInfo {
                        path: row.get(0)?,
                        title: row.get(1)?,
                        size_bytes: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
                        fingerprint: row.get(3)?,
                    })
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().during("list the documents")
    }

    /// Stores a document in one transaction, in the place of the one of the same path, and gives back into how many
    /// passages it was cut, by the tokens of `embedder` where there is one. The source is made where there is none of
    /// that name.
    ///
    /// # Errors
    /// The name breaks the naming rule, or the database failed; nothing was stored.
    pub fn put_document(
        &mut self,
        source: &str,
        document: &NewDocument<'_>,
        embedder: Option<&dyn Embed>,
        at_ms: i64,
    ) -> Result<usize> {
        validate_name(source)?;
        let cut = cut(document.pieces, embedder);
        let mut write = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction
                .prepare_cached(
                    "INSERT INTO sources (name, created_at_ms) VALUES (:name, :at_ms) ON CONFLICT DO NOTHING",
                )?
                .execute(named_params! {":name": source, ":at_ms": at_ms})?;
            let source: i64 = transaction
                .prepare_cached("SELECT id FROM sources WHERE name = :name")?
                .query_row(named_params! {":name": source}, |row| row.get(0))?;
            transaction
                .prepare_cached("DELETE FROM documents WHERE source_id = :source AND path = :path")?
                .execute(named_params! {":source": source, ":path": document.path})?;
            transaction
                .prepare_cached(
                    "INSERT INTO documents (source_id, path, title, size_bytes, fingerprint, loaded_at_ms)
                     VALUES (:source, :path, :title, :size_bytes, :fingerprint, :at_ms)",
                )?
                .execute(named_params! {
                    ":source": source,
                    ":path": document.path,
                    ":title": document.title,
                    ":size_bytes": i64::try_from(document.size_bytes).unwrap_or(i64::MAX),
                    ":fingerprint": document.fingerprint,
                    ":at_ms": at_ms,
                })?;
            let document = transaction.last_insert_rowid();
            let mut insert = transaction.prepare_cached(
                "INSERT INTO passages (document_id, at_ms, text, place, fingerprint)
                 VALUES (:document, :at_ms, :text, :place, :fingerprint)",
            )?;
            for Piece { place, text } in &cut {
                insert.execute(named_params! {
                    ":document": document,
                    ":at_ms": at_ms,
                    ":text": text,
                    ":place": place.to_string(),
                    ":fingerprint": Sha256::digest(normalised(text)).to_vec(),
                })?;
            }
            drop(insert);
            transaction.commit()
        };
        write().during("store a document")?;
        Ok(cut.len())
    }

    /// How many passages of a source have a vector of `embedder`.
    ///
    /// # Errors
    /// The database failed.
    pub fn embedded_count(&self, source: &str, embedder: &dyn Embed) -> Result<u64> {
        vectors::embedded_count(&self.connection, source, embedder).during("count what has a vector")
    }

    /// Removes a document with its passages; false where there is none of that path.
    ///
    /// # Errors
    /// The database failed; nothing was removed.
    pub fn remove_document(&mut self, source: &str, path: &str) -> Result<bool> {
        let removed = self
            .connection
            .execute(
                "DELETE FROM documents
                 WHERE path = :path AND source_id = (SELECT id FROM sources WHERE name = :source)",
                named_params! {":path": path, ":source": source},
            )
            .during("remove a document")?;
        Ok(removed > 0)
    }

    /// Deletes a source with its documents, for every agent, and gives back how many documents it held. No word of them
    /// stays in the file, as far as no other process is reading it.
    ///
    /// # Errors
    /// There is no such source, or the database failed; nothing was deleted.
    pub fn delete_source(&mut self, name: &str) -> Result<u64> {
        let id = self.known_source_id(name)?;
        let mut delete = || -> rusqlite::Result<i64> {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let parameters = named_params! {":source": id};
            let sql = "SELECT count(*) FROM documents WHERE source_id = :source";
            let count = transaction.query_row(sql, parameters, |row| row.get(0))?;
            transaction.execute("DELETE FROM sources WHERE id = :source", parameters)?;
            // A full-text index only marks what is deleted; merged, it forgets it.
            for index in ["passages_fts", "passages_trigram"] {
                transaction.execute(&format!("INSERT INTO {index} ({index}) VALUES ('optimize')"), [])?;
            }
            transaction.commit()?;
            Ok(count)
        };
        let count = delete().during("delete a source")?;
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .during("empty the write-ahead log")?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Gives a source another name.
    ///
    /// # Errors
    /// There is no such source, the new name breaks the naming rule or is taken, or the database failed.
    pub fn rename_source(&mut self, name: &str, new_name: &str) -> Result<()> {
        validate_name(new_name)?;
        let id = self.known_source_id(name)?;
        if self.sources()?.iter().any(|source| source.name == new_name) {
            return Err(Error::SourceExists { name: new_name.to_owned() });
        }
        self.connection
            .execute("UPDATE sources SET name = :name WHERE id = :id", named_params! {":name": new_name, ":id": id})
            .during("rename a source")?;
        Ok(())
    }

    /// Makes the documents of `source` part of the archival storage of the agent `agent`; false where they are already.
    /// The agent may be open in another process, which finds them at once.
    ///
    /// # Errors
    /// There is no such agent or source, or the database failed.
    pub fn attach(&mut self, agent: &str, source: &str, at_ms: i64) -> Result<bool> {
        let agent = self.known_agent_id(agent)?;
        self.attach_to(agent, source, at_ms)
    }

    pub(super) fn attach_to(&mut self, agent: i64, source: &str, at_ms: i64) -> Result<bool> {
        let source = self.known_source_id(source)?;
        let attached = self
            .connection
            .execute(
                "INSERT INTO attachments (agent_id, source_id, at_ms) VALUES (:agent, :source, :at_ms)
                 ON CONFLICT DO NOTHING",
                named_params! {":agent": agent, ":source": source, ":at_ms": at_ms},
            )
            .during("attach a source")?;
        Ok(attached > 0)
    }

    /// Takes the documents of `source` out of the archival storage of the agent `agent`; false where none are in it.
    ///
    /// # Errors
    /// There is no such agent or source, or the database failed.
    pub fn detach(&mut self, agent: &str, source: &str) -> Result<bool> {
        let (agent, source) = (self.known_agent_id(agent)?, self.known_source_id(source)?);
        let detached = self
            .connection
            .execute(
                "DELETE FROM attachments WHERE agent_id = :agent AND source_id = :source",
                named_params! {":agent": agent, ":source": source},
            )
            .during("detach a source")?;
        Ok(detached > 0)
    }

    fn known_source_id(&self, name: &str) -> Result<i64> {
        let id = self
            .connection
            .query_row("SELECT id FROM sources WHERE name = :name", named_params! {":name": name}, |row| row.get(0))
            .optional()
            .during("look up the source")?;
        if let Some(id) = id {
            return Ok(id);
        }
        let mut known: Vec<String> = self.sources()?.into_iter().map(|source| source.name).collect();
        known.sort_by(|left, right| similarity(right, name).total_cmp(&similarity(left, name)));
        Err(Error::UnknownSource { name: name.to_owned(), known })
    }
}

/// The passages of a document: neighbours that are short are joined, what is long is cut, and each knows where it
/// begins.
fn cut(pieces: &[Piece], embedder: Option<&dyn Embed>) -> Vec<Piece> {
    let (limits, count) = limits_and_count(embedder);
    let mut joined: Vec<Joined> = Vec::new();
    for piece in pieces {
        let next = Joined { piece: piece.clone(), tokens: count(&piece.text), chars: piece.text.chars().count() };
        match joined.last_mut().and_then(|last| last.join(&next, limits)) {
            Some(()) => {}
            None => joined.push(next),
        }
    }
    joined.iter().flat_map(|joined| cut_piece(&joined.piece, limits, &count)).collect()
}

/// A piece of a document, or neighbours made one.
struct Joined {
    piece: Piece,
    tokens: usize,
    chars: usize,
}

impl Joined {
    /// Adds `next` where it follows directly, under the same heading, and both are short.
    fn join(&mut self, next: &Self, limits: ChunkLimits) -> Option<()> {
        let (last, piece) = (&mut self.piece, &next.piece);
        let (unit, first, end) = last.place.position?;
        let (next_unit, next_first, next_end) = piece.place.position?;
        let follows = match unit {
            Unit::Line => next_first == first + newlines(&last.text) + 1,
            Unit::Row | Unit::Paragraph | Unit::Entry => next_first == end + 1,
            Unit::Chapter => next_first == end,
            Unit::Page => false,
        };
        let separator = if matches!(unit, Unit::Paragraph | Unit::Chapter) { "\n\n" } else { "\n" };
        let (tokens, chars) = (self.tokens + next.tokens, self.chars + separator.len() + next.chars);
        let is_short = tokens <= limits.target_tokens && chars <= limits.max_chars;
        if unit != next_unit || !follows || last.place.heading != piece.place.heading || !is_short {
            return None;
        }
        last.text.push_str(separator);
        last.text.push_str(&piece.text);
        if unit != Unit::Line {
            last.place.position = Some((unit, first, next_end));
        }
        (self.tokens, self.chars) = (tokens, chars);
        Some(())
    }
}

fn cut_piece(piece: &Piece, limits: ChunkLimits, count: &dyn Fn(&str) -> usize) -> Vec<Piece> {
    let (mut from, mut lines) = (0, 0);
    chunks(&piece.text, limits, count)
        .into_iter()
        .map(|range| {
            lines += newlines(piece.text.get(from..range.start).unwrap_or_default());
            from = range.start;
            let text = piece.text.get(range).unwrap_or_default().to_owned();
            Piece { place: piece.place.lines_down(lines), text }
        })
        .collect()
}

fn newlines(text: &str) -> u64 {
    text.bytes().filter(|byte| *byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::Place;

    fn piece(unit: Unit, number: u64, text: &str) -> Piece {
        Piece { place: Place::at(unit, number), text: text.to_owned() }
    }

    fn places(pieces: &[Piece]) -> Vec<String> {
        cut(pieces, None).iter().map(|piece| format!("{}: {}", piece.place, piece.text)).collect()
    }

    #[test]
    fn short_neighbours_are_joined_and_others_are_not() {
        let rows = [piece(Unit::Row, 1, "a"), piece(Unit::Row, 2, "b"), piece(Unit::Row, 4, "d")];
        assert_eq!(places(&rows), ["rows 1-2: a\nb", "row 4: d"]);
        let lines = [piece(Unit::Line, 1, "a"), piece(Unit::Line, 2, "b"), piece(Unit::Line, 4, "d")];
        assert_eq!(places(&lines), ["line 1: a\nb", "line 4: d"]);
        let pages = [piece(Unit::Page, 1, "a"), piece(Unit::Page, 2, "b")];
        assert_eq!(places(&pages).len(), 2);
        let chapters = [piece(Unit::Chapter, 1, "a"), piece(Unit::Chapter, 1, "b"), piece(Unit::Chapter, 2, "c")];
        assert_eq!(places(&chapters), ["chapter 1: a\n\nb", "chapter 2: c"]);
        let mut headed = piece(Unit::Paragraph, 2, "b");
        headed.place = headed.place.under("New");
        assert_eq!(places(&[piece(Unit::Paragraph, 1, "a"), headed]).len(), 2);
    }

    #[test]
    fn a_long_page_keeps_its_number_in_every_passage() {
        let text = "A sentence about the harbour. ".repeat(100);
        let found = cut(&[piece(Unit::Page, 7, &text)], None);
        assert!(found.len() > 3 && found.iter().all(|piece| piece.place.to_string() == "page 7"));
    }

    proptest! {
        #[test]
        fn each_passage_begins_on_the_line_that_it_names(
            lines in proptest::collection::vec("[a-z .]{0,120}", 1..60), first in 1..9_u64,
        ) {
            let text = lines.join("\n");
            for passage in cut(&[piece(Unit::Line, first, &text)], None) {
                let Some((Unit::Line, line, _)) = passage.place.position else { panic!("{passage:?}") };
                let begins = passage.text.lines().next().unwrap();
                let stands = &lines[usize::try_from(line - first).unwrap()];
                prop_assert!(stands.contains(begins), "{} is not in {}", begins, stands);
            }
        }
    }
}
