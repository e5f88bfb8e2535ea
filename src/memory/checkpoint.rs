//! Checkpoints: the state of an agent under a name, and the way back to it.
//!
//! Loading one hides what came later ([`super::state`]). A checkpoint is of the whole agent: the user's own system
//! instructions, the attached sources and the chosen model belong to it.

use rusqlite::{Connection, OptionalExtension, named_params};

use super::error::{During, Error, Result};
use super::state::{State, capture_whole, restore};
use super::turns;

/// How many checkpoints are named where another was asked for.
const NAMED_CHECKPOINTS: i64 = 10;

pub(super) fn save(connection: &Connection, agent: i64, name: &str, at_ms: i64) -> Result<()> {
    let state = capture_whole(connection, agent)?;
    let json = serde_json::to_string(&state).map_err(|source| Error::BadRow { table: "checkpoints", id: 0, source })?;
    let write = || -> rusqlite::Result<()> {
        // A replaced checkpoint becomes the newest: it gets a new id.
        connection.execute(
            "DELETE FROM checkpoints WHERE agent_id = :agent AND name = :name",
            named_params! {":agent": agent, ":name": name},
        )?;
        connection.execute(
            "INSERT INTO checkpoints (agent_id, name, at_ms, state) VALUES (:agent, :name, :at_ms, :state)",
            named_params! {":agent": agent, ":name": name, ":at_ms": at_ms, ":state": json},
        )?;
        Ok(())
    };
    write().during("save a checkpoint")
}

pub(super) fn load(connection: &Connection, agent: i64, name: Option<&str>, at_ms: i64) -> Result<String> {
    let operation = "load a checkpoint";
    let found: Option<(i64, String, String)> = connection
        .query_row(
            "SELECT id, name, state FROM checkpoints WHERE agent_id = :agent AND (:name IS NULL OR name = :name)
             ORDER BY id DESC LIMIT 1",
            named_params! {":agent": agent, ":name": name},
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()
        .during(operation)?;
    let Some((id, found_name, json)) = found else {
        let known = newest_names(connection, agent)?;
        return Err(match name {
            Some(name) if !known.is_empty() => Error::UnknownCheckpoint { name: name.to_owned(), known },
            _ => Error::NoCheckpoint,
        });
    };
    let state: State =
        serde_json::from_str(&json).map_err(|source| Error::BadRow { table: "checkpoints", id, source })?;
    restore(connection, agent, &state, at_ms, "load")?;
    turns::drop_redo(connection, agent)?;
    Ok(found_name)
}

/// The newest names, newest first.
fn newest_names(connection: &Connection, agent: i64) -> Result<Vec<String>> {
    let read = || {
        connection
            .prepare_cached("SELECT name FROM checkpoints WHERE agent_id = :agent ORDER BY id DESC LIMIT :at_most")?
            .query_map(named_params! {":agent": agent, ":at_most": NAMED_CHECKPOINTS}, |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    read().during("list the checkpoints")
}
