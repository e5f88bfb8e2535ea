//! Checkpoints: the state of an agent under a name, and the way back to it.
//!
//! Rows are never copied: a checkpoint names the newest message and passage of its time, those that were hidden then,
//! the queue, and the two blocks. Loading one hides what came later.

use rusqlite::{Connection, OptionalExtension, named_params};
use serde::{Deserialize, Serialize};

use super::View;
use super::error::{During, Error, Result};
use super::main_context::BlockLabel;
use super::step::{Edit, write_block};

/// How many checkpoints are named where another was asked for.
const NAMED_CHECKPOINTS: i64 = 10;

#[derive(Debug, Serialize, Deserialize)]
struct State {
    persona: String,
    human: String,
    /// The queue with its stubs.
    queue: Vec<Entry>,
    last_message: i64,
    hidden_messages: Vec<i64>,
    last_passage: i64,
    hidden_passages: Vec<i64>,
    warned: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    id: i64,
    stub: Option<String>,
}

pub(super) fn save(connection: &Connection, agent: i64, name: &str, at_ms: i64) -> Result<()> {
    let view = View { connection, agent };
    let core = view.core()?;
    let queue = view.queue()?.into_iter().map(|message| Entry { id: message.id.0, stub: message.stub }).collect();
    let newest = |table: &str| -> rusqlite::Result<i64> {
        connection
            .prepare_cached(&format!("SELECT coalesce(max(id), 0) FROM {table} WHERE agent_id = :agent"))?
            .query_row(named_params! {":agent": agent}, |row| row.get(0))
    };
    let hidden = |table: &str| -> rusqlite::Result<Vec<i64>> {
        connection
            .prepare_cached(&format!("SELECT id FROM {table} WHERE agent_id = :agent AND hidden = 1 ORDER BY id"))?
            .query_map(named_params! {":agent": agent}, |row| row.get(0))?
            .collect()
    };
    let operation = "save a checkpoint";
    let state = State {
        persona: core.persona.text,
        human: core.human.text,
        queue,
        last_message: newest("messages").during(operation)?,
        hidden_messages: hidden("messages").during(operation)?,
        last_passage: newest("passages").during(operation)?,
        hidden_passages: hidden("passages").during(operation)?,
        warned: view.is_warned()?,
    };
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
    write().during(operation)
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
        let known = newest_names(connection, agent).during(operation)?;
        return Err(match name {
            Some(name) if !known.is_empty() => Error::UnknownCheckpoint { name: name.to_owned(), known },
            _ => Error::NoCheckpoint,
        });
    };
    let state: State =
        serde_json::from_str(&json).map_err(|source| Error::BadRow { table: "checkpoints", id, source })?;

    let core = View { connection, agent }.core()?;
    for (label, after) in [(BlockLabel::Persona, &state.persona), (BlockLabel::Human, &state.human)] {
        let before = &core.block(label).text;
        if before != after {
            write_block(connection, agent, &Edit { label, before, after }, at_ms, None, "load")?;
        }
    }
    restore_rows(connection, agent, &state).during(operation)?;
    Ok(found_name)
}

fn restore_rows(connection: &Connection, agent: i64, state: &State) -> rusqlite::Result<()> {
    let list = |ids: &[i64]| format!("{ids:?}");
    for (table, last, hidden) in [
        ("messages", state.last_message, list(&state.hidden_messages)),
        ("passages", state.last_passage, list(&state.hidden_passages)),
    ] {
        let should_hide = "(id > :last OR id IN (SELECT value FROM json_each(:hidden)))";
        connection.execute(
            &format!("UPDATE {table} SET hidden = {should_hide} WHERE agent_id = :agent AND hidden <> {should_hide}"),
            named_params! {":agent": agent, ":last": last, ":hidden": hidden},
        )?;
    }
    connection.execute(
        "UPDATE messages SET in_queue = 0 WHERE agent_id = :agent AND in_queue = 1",
        named_params! {":agent": agent},
    )?;
    let mut restore = connection
        .prepare_cached("UPDATE messages SET in_queue = 1, stub = :stub WHERE id = :id AND agent_id = :agent")?;
    for entry in &state.queue {
        restore.execute(named_params! {":stub": entry.stub, ":id": entry.id, ":agent": agent})?;
    }
    connection.execute(
        "UPDATE agents SET memory_pressure_warned = :warned WHERE id = :agent",
        named_params! {":warned": state.warned, ":agent": agent},
    )?;
    Ok(())
}

fn newest_names(connection: &Connection, agent: i64) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached("SELECT name FROM checkpoints WHERE agent_id = :agent ORDER BY id DESC LIMIT :at_most")?
        .query_map(named_params! {":agent": agent, ":at_most": NAMED_CHECKPOINTS}, |row| row.get(0))?
        .collect()
}
