//! Undo: the state before each of the last human turns, and the ways back and forth between them.
//!
//! A turn's state is marked in the transaction that records its message, so that there is never one without the other.
//! A turn can be taken back while its message is visible: one that a checkpoint or `/pop` has taken out of view is no
//! turn to go back over. Going back marks where it came from; what the user does then to change the memory (a message,
//! an edit or a turn by a command) drops the way forth; a command that changes nothing does not. What the agent does by itself does not: a greeting and a timed
//! heartbeat are hidden where going forth takes them away, and what memory passes saved behind an undo belongs to
//! messages whose pass is repeated.

use rusqlite::{Connection, named_params};

use super::agent::to_i64;
use super::error::{During, Error, Result};
use super::messages;
use super::state::{State, capture, restore};
use crate::types::{Body, Message, MessageId, NewMessage};

/// Human turns that can be taken back, and as many that are out of view, which a checkpoint may show again. A mark has
/// the two blocks and the ids of the queue: some kilobytes.
const KEPT_TURNS: i64 = 50;

/// What an undo did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// Turns that were taken back.
    pub turns: usize,
    /// What the user said in the oldest of them.
    pub text: String,
}

/// What the last turn is taken again with.
#[derive(Debug, Clone, PartialEq)]
pub struct Retaken {
    /// The message of the user.
    pub message: Message,
    /// A number that no earlier try of the turn had.
    pub attempt: u64,
}

/// A row of the table.
struct Mark {
    id: i64,
    message: Option<MessageId>,
    state: String,
}

impl Mark {
    fn state(&self) -> Result<State> {
        serde_json::from_str(&self.state).map_err(|source| Error::BadRow { table: "turn_marks", id: self.id, source })
    }
}

/// Records what the user said and marks the state before it.
pub(super) fn begin(connection: &Connection, agent: i64, message: &NewMessage) -> Result<Message> {
    let state = capture(connection, agent)?;
    let message = messages::insert(connection, agent, message)?;
    insert_mark(connection, agent, Some(message.id), message.at_ms, &state)?;
    connection
        .prepare_cached(
            "DELETE FROM turn_marks WHERE id IN
             (SELECT id FROM
                 (SELECT t.id, row_number() OVER (PARTITION BY m.hidden ORDER BY t.id DESC) AS place FROM turn_marks t
                  JOIN messages m ON m.id = t.message_id WHERE t.agent_id = :agent)
              WHERE place > :kept)",
        )
        .and_then(|mut statement| statement.execute(named_params! {":agent": agent, ":kept": KEPT_TURNS}))
        .during("mark a turn")?;
    Ok(message)
}

/// Goes back to before the last `count` turns; all or nothing.
pub(super) fn undo(connection: &Connection, agent: i64, count: usize, at_ms: i64) -> Result<Undone> {
    let operation = "take back turns";
    let marks = marks(
        connection,
        agent,
        "undone = 0 AND EXISTS (SELECT 1 FROM messages m WHERE m.id = message_id AND m.hidden = 0) ORDER BY id DESC",
        count,
    )?;
    let Some(target) = marks.last().filter(|_| marks.len() == count) else {
        return Err(Error::TooFewTurns { asked: count, available: marks.len() });
    };
    if marks_ahead(connection, agent)?.is_empty() {
        insert_mark(connection, agent, None, at_ms, &capture(connection, agent)?)?;
    }
    restore(connection, agent, &target.state()?, at_ms, "undo")?;
    for mark in &marks {
        set_undone(connection, mark.id, true).during(operation)?;
    }
    let said = target.message.map_or(Ok(None), |id| messages::get(connection, agent, id))?;
    let text = said.as_ref().and_then(|message| message.body.searchable_text()).unwrap_or_default().to_owned();
    Ok(Undone { turns: marks.len(), text })
}

/// Brings back `count` turns that were taken back, the oldest first; all or nothing.
pub(super) fn redo(connection: &Connection, agent: i64, count: usize, at_ms: i64) -> Result<()> {
    let operation = "bring back turns";
    let ahead = marks_ahead(connection, agent)?;
    let available = ahead.len().saturating_sub(1);
    let Some(target) = ahead.get(count) else { return Err(Error::TooFewUndone { asked: count, available }) };
    restore(connection, agent, &target.state()?, at_ms, "redo")?;
    for mark in ahead.iter().take(count) {
        set_undone(connection, mark.id, false).during(operation)?;
    }
    // The newest is where the way back began: nothing lies ahead of it.
    if count == available { drop_redo(connection, agent) } else { Ok(()) }
}

/// Takes back all that followed the last message of the user, which stays and waits for its answer.
pub(super) fn retake(connection: &Connection, agent: i64, at_ms: i64) -> Result<Retaken> {
    let operation = "take the last turn again";
    let (newest, newest_said): (Option<i64>, Option<i64>) = connection
        .prepare_cached(
            "SELECT max(id), max(id) FILTER (WHERE kind = 'user' AND hidden = 0) FROM messages
             WHERE agent_id = :agent",
        )
        .and_then(|mut statement| {
            statement.query_row(named_params! {":agent": agent}, |row| Ok((row.get(0)?, row.get(1)?)))
        })
        .during(operation)?;
    let Some(id) = newest_said.map(MessageId) else { return Err(Error::NoTurn) };
    let mark = marks(connection, agent, "undone = 0 AND message_id IS NOT NULL ORDER BY id DESC", usize::MAX)?
        .into_iter()
        .find(|mark| mark.message == Some(id))
        .ok_or(Error::NoTurn)?;
    drop_redo(connection, agent)?;
    restore(connection, agent, &mark.state()?, at_ms, "retry")?;
    connection
        .prepare_cached(
            "UPDATE messages SET hidden = 0, in_queue = 1, stub = NULL WHERE id = :id AND agent_id = :agent",
        )
        .and_then(|mut statement| statement.execute(named_params! {":id": id.0, ":agent": agent}))
        .during(operation)?;
    let message = messages::get(connection, agent, id)?.ok_or(Error::UnknownMessage { operation, id: id.0 })?;
    // Each try leaves its rows behind: ids only grow.
    Ok(Retaken { message, attempt: newest.unwrap_or_default().unsigned_abs() })
}

/// Nothing can be brought back any more. The marks stay: a checkpoint may show their turns again.
pub(super) fn drop_redo(connection: &Connection, agent: i64) -> Result<()> {
    let write = || -> rusqlite::Result<()> {
        for statement in [
            "DELETE FROM turn_marks WHERE agent_id = :agent AND undone = 1 AND message_id IS NULL",
            "UPDATE turn_marks SET undone = 0 WHERE agent_id = :agent AND undone = 1",
        ] {
            connection.prepare_cached(statement)?.execute(named_params! {":agent": agent})?;
        }
        Ok(())
    };
    write().during("forget what was taken back")
}

/// Whether a message that was recorded begins a new way: all others are the agent's own, or part of a turn that one
/// began.
pub(super) const fn begins_new_way(body: &Body) -> bool {
    matches!(body, Body::User { .. })
}

/// Marks between here and the state from which the first undo went back, that one included, oldest first.
fn marks_ahead(connection: &Connection, agent: i64) -> Result<Vec<Mark>> {
    marks(connection, agent, "undone = 1 ORDER BY id", usize::MAX)
}

fn marks(connection: &Connection, agent: i64, which: &'static str, at_most: usize) -> Result<Vec<Mark>> {
    let read = || {
        connection
            .prepare_cached(&format!(
                "SELECT id, message_id, state FROM turn_marks WHERE agent_id = :agent AND {which} LIMIT :at_most"
            ))?
            .query_map(named_params! {":agent": agent, ":at_most": to_i64(at_most)}, |row| {
                let message = row.get::<_, Option<i64>>(1)?.map(MessageId);
                Ok(Mark { id: row.get(0)?, message, state: row.get(2)? })
            })?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    read().during("read the turns")
}

fn insert_mark(
    connection: &Connection,
    agent: i64,
    message: Option<MessageId>,
    at_ms: i64,
    state: &State,
) -> Result<()> {
    let json = serde_json::to_string(state).map_err(|source| Error::BadRow { table: "turn_marks", id: 0, source })?;
    connection
        .prepare_cached(
            "INSERT INTO turn_marks (agent_id, message_id, at_ms, state, undone)
             VALUES (:agent, :message, :at_ms, :state, :message IS NULL)",
        )
        .and_then(|mut statement| {
            statement.execute(named_params! {
                ":agent": agent,
                ":message": message.map(|id| id.0),
                ":at_ms": at_ms,
                ":state": json,
            })
        })
        .during("mark a turn")?;
    Ok(())
}

fn set_undone(connection: &Connection, id: i64, undone: bool) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("UPDATE turn_marks SET undone = :undone WHERE id = :id")?
        .execute(named_params! {":undone": undone, ":id": id})
}
