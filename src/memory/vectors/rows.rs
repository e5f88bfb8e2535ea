//! Vectors in the database: the embedders they are of, and how a vector is written and read back.

use rusqlite::{Connection, OptionalExtension, named_params};

use super::codes::{Codes, QueryCodes, signed, unsigned};
use super::{Embed, Embedding, PASSAGES, Tables};
use crate::memory::agent::to_i64;
use crate::memory::error::{During, Error, Result};

/// The embedder of that name for these tables; none where it has made no vector yet.
pub(super) fn embedder_id(connection: &Connection, tables: &Tables, name: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM embedders WHERE name = :name AND text_rule = :rule")?
        .query_row(named_params! {":name": name, ":rule": tables.text_rule}, |row| row.get(0))
        .optional()
}

/// How many passages of a source have a vector of `embedder`.
pub(in crate::memory) fn embedded_count(
    connection: &Connection,
    source: &str,
    embedder: &dyn Embed,
) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM sources s JOIN documents d ON d.source_id = s.id
             JOIN passages p ON p.document_id = d.id JOIN passage_vectors v ON v.id = p.id
             WHERE s.name = :source AND v.embedder_id = :embedder",
        )?
        .query_row(
            named_params! {":source": source, ":embedder": embedder_id(connection, &PASSAGES, embedder.name())?},
            |row| row.get::<_, i64>(0),
        )
        .map(|count| u64::try_from(count).unwrap_or(0))
}

/// As [`embedder_id`], noted where it is new.
///
/// # Errors
/// The name is that of another embedder, by the length of its vectors; the database failed.
pub(super) fn note_embedder(connection: &Connection, tables: &Tables, name: &str, dimensions: usize) -> Result<i64> {
    let note = || {
        connection
            .prepare_cached(
                "INSERT INTO embedders (name, text_rule, dimensions) VALUES (:name, :rule, :dimensions)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(named_params! {
                ":name": name, ":rule": tables.text_rule, ":dimensions": to_i64(dimensions)
            })?;
        connection
            .prepare_cached("SELECT id, dimensions FROM embedders WHERE name = :name AND text_rule = :rule")?
            .query_row(named_params! {":name": name, ":rule": tables.text_rule}, |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
    };
    let (id, known) = note().during("note an embedder")?;
    if known == to_i64(dimensions) {
        return Ok(id);
    }
    let reason = format!("vectors of {dimensions} numbers; those stored under this name have {known}");
    Err(Error::BadVectors { embedder: name.to_owned(), reason })
}

/// Writes the vector of a row in the place of any that it has; not where the row is gone or its text is another one.
pub(super) fn write(
    connection: &Connection,
    tables: &Tables,
    embedder: i64,
    (id, text): (i64, &str),
    vector: &[f32],
) -> rusqlite::Result<()> {
    let Tables { rows, text: text_of, vectors, remainders, .. } = tables;
    let codes = Codes::of(vector);
    connection.prepare_cached(&format!("DELETE FROM {vectors} WHERE id = :id"))?.execute(named_params! {":id": id})?;
    let written = connection
        .prepare_cached(&format!(
            "INSERT INTO {vectors} (id, embedder_id, scale, codes)
             SELECT t.id, :embedder, :scale, :codes FROM {rows} t WHERE t.id = :id AND {text_of} IS :text"
        ))?
        .execute(named_params! {
            ":embedder": embedder,
            ":scale": f64::from(codes.scale),
            ":codes": unsigned(&codes.high),
            ":id": id,
            ":text": text,
        })?;
    if written == 1 {
        connection
            .prepare_cached(&format!("INSERT INTO {remainders} (id, remainders) VALUES (:id, :remainders)"))?
            .execute(named_params! {":id": id, ":remainders": unsigned(&codes.low)})?;
    }
    Ok(())
}

/// Writes the vector of one row whose text was embedded beforehand.
///
/// # Errors
/// As [`note_embedder`].
pub(in crate::memory) fn write_one(
    connection: &Connection,
    tables: &Tables,
    row: (i64, &str),
    embedding: &Embedding,
) -> Result<()> {
    let embedder = note_embedder(connection, tables, &embedding.embedder, embedding.values.len())?;
    write(connection, tables, embedder, row, &embedding.values).during("store a vector")
}

/// How like `query` a row is, with all 16 bits; none where it has no vector any more.
pub(super) fn exact(
    connection: &Connection,
    tables: &Tables,
    query: &QueryCodes,
    id: i64,
) -> rusqlite::Result<Option<f32>> {
    let Tables { vectors, remainders, .. } = tables;
    connection
        .prepare_cached(&format!(
            "SELECT v.scale, v.codes, r.remainders FROM {vectors} v JOIN {remainders} r ON r.id = v.id WHERE v.id = :id"
        ))?
        .query_row(named_params! {":id": id}, |row| {
            let (high, low): (Vec<i8>, Vec<i8>) =
                (signed(row.get_ref(1)?.as_blob()?).collect(), signed(row.get_ref(2)?.as_blob()?).collect());
            Ok(query.exact(scale(row.get(0)?), &high, &low))
        })
        .optional()
}

/// A scale as it was before it was stored.
#[allow(clippy::cast_possible_truncation)]
pub(super) const fn scale(stored: f64) -> f32 {
    stored as f32
}
