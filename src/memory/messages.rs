//! Rows of the table `messages`: recording, streaming replies, the queue, eviction and removal.
//!
//! Functions here take a connection and leave transactions to their callers (`agent`, `step`).

use rusqlite::{Connection, OptionalExtension, named_params};

use super::error::{During, Error, Result};
use super::main_context::is_call_and_result;
use super::turns;
use crate::types::{Body, Message, MessageId, NewMessage};

/// Columns in the order that [`parse_row`] expects.
const COLUMNS: &str = "id, at_ms, body, interrupted, stub";

pub(super) const fn kind_name(body: &Body) -> &'static str {
    match body {
        Body::User { .. } => "user",
        Body::Notification { .. } => "notification",
        Body::Assistant { .. } => "assistant",
        Body::FunctionResult { .. } => "function_result",
        Body::Summary { .. } => "summary",
    }
}

/// What the index holds of a body: nothing for blank text.
pub(super) fn indexed_text(body: &Body) -> Option<&str> {
    body.searchable_text().filter(|text| !text.trim().is_empty())
}

fn to_json(body: &Body) -> Result<String> {
    serde_json::to_string(body).map_err(|source| Error::BadRow { table: "messages", id: 0, source })
}

/// Adds a message to recall storage and to the end of the queue.
pub(super) fn insert(connection: &Connection, agent: i64, message: &NewMessage) -> Result<Message> {
    let id = insert_row(connection, agent, message, "complete")?;
    let NewMessage { at_ms, body, interrupted } = message.clone();
    Ok(Message { id, at_ms, body, interrupted, stub: None })
}

/// Notes who said a message.
pub(super) fn set_speaker(connection: &Connection, agent: i64, id: MessageId, speaker: &str) -> Result<()> {
    let write = || {
        connection
            .prepare_cached("UPDATE messages SET speaker = :speaker WHERE id = :id AND agent_id = :agent")?
            .execute(named_params! {":speaker": speaker, ":id": id.0, ":agent": agent})
    };
    let operation = "note who said a message";
    expect_one(write().during(operation)?, operation, id)
}

/// Adds a row for a reply that begins to stream; it is in the queue once it is finished.
pub(super) fn insert_streaming(connection: &Connection, agent: i64, at_ms: i64) -> Result<MessageId> {
    let body = Body::Assistant { thoughts: None, text: None, call: None };
    insert_row(connection, agent, &NewMessage { at_ms, body, interrupted: false }, "streaming")
}

fn insert_row(connection: &Connection, agent: i64, message: &NewMessage, state: &str) -> Result<MessageId> {
    if turns::begins_new_way(&message.body) {
        turns::drop_redo(connection, agent)?;
    }
    let body = to_json(&message.body)?;
    let write = || {
        connection
            .prepare_cached(
                "INSERT INTO messages (agent_id, at_ms, kind, body, searchable, interrupted, state)
                 VALUES (:agent, :at_ms, :kind, :body, :searchable, :interrupted, :state)",
            )?
            .execute(named_params! {
                ":agent": agent,
                ":at_ms": message.at_ms,
                ":kind": kind_name(&message.body),
                ":body": body,
                ":searchable": indexed_text(&message.body),
                ":interrupted": message.interrupted,
                ":state": state,
            })?;
        Ok(MessageId(connection.last_insert_rowid()))
    };
    write().during("record a message")
}

/// Stores what has appeared of a streaming reply.
pub(super) fn update_streaming(connection: &Connection, agent: i64, id: MessageId, body: &Body) -> Result<()> {
    let json = to_json(body)?;
    let write = || {
        connection
            .prepare_cached(
                "UPDATE messages SET body = :body WHERE id = :id AND agent_id = :agent AND state = 'streaming'",
            )?
            .execute(named_params! {":body": json, ":id": id.0, ":agent": agent})
    };
    let operation = "update a streaming reply";
    expect_one(write().during(operation)?, operation, id)
}

/// Makes a streaming reply a message like any other.
pub(super) fn finish_streaming(
    connection: &Connection,
    agent: i64,
    id: MessageId,
    body: &Body,
    interrupted: bool,
) -> Result<Message> {
    let json = to_json(body)?;
    let write = || {
        connection
            .prepare_cached(
                "UPDATE messages SET body = :body, kind = :kind, searchable = :searchable,
                 interrupted = :interrupted, state = 'complete'
                 WHERE id = :id AND agent_id = :agent AND state = 'streaming'",
            )?
            .execute(named_params! {
                ":body": json,
                ":kind": kind_name(body),
                ":searchable": indexed_text(body),
                ":interrupted": interrupted,
                ":id": id.0,
                ":agent": agent,
            })
    };
    let operation = "finish a streaming reply";
    expect_one(write().during(operation)?, operation, id)?;
    get(connection, agent, id)?.ok_or(Error::UnknownMessage { operation, id: id.0 })
}

/// Takes back a streaming reply of which nothing was shown.
pub(super) fn discard_streaming(connection: &Connection, agent: i64, id: MessageId) -> Result<()> {
    let write = || {
        connection
            .prepare_cached("DELETE FROM messages WHERE id = :id AND agent_id = :agent AND state = 'streaming'")?
            .execute(named_params! {":id": id.0, ":agent": agent})
    };
    let operation = "discard a streaming reply";
    expect_one(write().during(operation)?, operation, id)
}

/// Replies that were streaming when their process died become interrupted messages; empty ones go.
pub(super) fn recover_streaming(connection: &Connection, agent: i64) -> Result<Vec<Message>> {
    let rows = select(connection, agent, "state = 'streaming' ORDER BY id", "find unfinished replies")?;
    let mut recovered = Vec::new();
    for Message { id, body, .. } in rows {
        let Body::Assistant { thoughts, text, .. } = &body else { continue };
        let is_empty = [thoughts, text].into_iter().flatten().all(|text| text.trim().is_empty());
        if is_empty {
            discard_streaming(connection, agent, id)?;
        } else {
            recovered.push(finish_streaming(connection, agent, id, &body, true)?);
        }
    }
    Ok(recovered)
}

/// One message, whether it is in the queue, evicted or hidden.
pub(super) fn get(connection: &Connection, agent: i64, id: MessageId) -> Result<Option<Message>> {
    let read = || {
        connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM messages WHERE id = :id AND agent_id = :agent"))?
            .query_row(named_params! {":id": id.0, ":agent": agent}, parse_row)
            .optional()
    };
    read().during("read a message")?.transpose()
}

/// A message that is shown as a stub, unless it is hidden.
pub(super) fn paged_out(connection: &Connection, agent: i64, id: MessageId) -> Result<Option<Message>> {
    let is_paged_out: bool = connection
        .prepare_cached(
            "SELECT count(*) FROM messages
             WHERE id = :id AND agent_id = :agent AND stub IS NOT NULL AND hidden = 0 AND state = 'complete'",
        )
        .and_then(|mut statement| statement.query_row(named_params! {":id": id.0, ":agent": agent}, |row| row.get(0)))
        .during("look for a message that is paged out")?;
    if is_paged_out { get(connection, agent, id) } else { Ok(None) }
}

/// The queue, oldest first, the summary before all others.
pub(super) fn queue(connection: &Connection, agent: i64) -> Result<Vec<Message>> {
    let condition = "in_queue = 1 AND hidden = 0 AND state = 'complete' ORDER BY kind = 'summary' DESC, id";
    select(connection, agent, condition, "read the queue")
}

fn select(connection: &Connection, agent: i64, condition: &str, operation: &'static str) -> Result<Vec<Message>> {
    let read = || {
        connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM messages WHERE agent_id = :agent AND {condition}"))?
            .query_map(named_params! {":agent": agent}, parse_row)?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    read().during(operation)?.into_iter().collect()
}

fn parse_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Result<Message>> {
    let id: i64 = row.get(0)?;
    let (at_ms, json, interrupted, stub) = (row.get(1)?, row.get::<_, String>(2)?, row.get(3)?, row.get(4)?);
    Ok(serde_json::from_str(&json)
        .map(|body| Message { id: MessageId(id), at_ms, body, interrupted, stub })
        .map_err(|source| Error::BadRow { table: "messages", id, source }))
}

/// Takes messages out of the queue (they stay in recall storage) and puts a new summary in the place of the old one.
/// The summary tells how many messages of the conversation are then out of view.
pub(super) fn evict(
    connection: &Connection,
    agent: i64,
    ids: &[MessageId],
    summary_text: &str,
    at_ms: i64,
) -> Result<Message> {
    let take_out = || -> rusqlite::Result<i64> {
        let mut statement = connection
            .prepare_cached("UPDATE messages SET in_queue = 0 WHERE id = :id AND agent_id = :agent AND in_queue = 1")?;
        for id in ids {
            statement.execute(named_params! {":id": id.0, ":agent": agent})?;
        }
        connection
            .prepare_cached(
                "UPDATE messages SET in_queue = 0 WHERE agent_id = :agent AND in_queue = 1 AND kind = 'summary'",
            )?
            .execute(named_params! {":agent": agent})?;
        connection
            .prepare_cached(
                "SELECT count(*) FROM messages WHERE agent_id = :agent AND in_queue = 0 AND hidden = 0
                 AND state = 'complete' AND kind <> 'summary'",
            )?
            .query_row(named_params! {":agent": agent}, |row| row.get(0))
    };
    let hidden_message_count = u64::try_from(take_out().during("evict messages")?).unwrap_or(0);
    let body = Body::Summary { text: summary_text.to_owned(), hidden_message_count };
    insert(connection, agent, &NewMessage { at_ms, body, interrupted: false })
}

/// Sets what the model sees instead of a message.
pub(super) fn set_stub(connection: &Connection, agent: i64, id: MessageId, stub: Option<&str>) -> Result<()> {
    let write = || {
        connection
            .prepare_cached("UPDATE messages SET stub = :stub WHERE id = :id AND agent_id = :agent")?
            .execute(named_params! {":stub": stub, ":id": id.0, ":agent": agent})
    };
    let operation = "page out a message";
    expect_one(write().during(operation)?, operation, id)
}

/// Removes the last messages from queue and search; one more where that would leave a call without its result.
pub(super) fn pop(connection: &Connection, agent: i64, count: usize) -> Result<Vec<Message>> {
    let mut entries = queue(connection, agent)?;
    entries.retain(|message| !matches!(message.body, Body::Summary { .. }));
    let available = entries.len();
    let Some(mut from) = available.checked_sub(count) else {
        return Err(Error::TooFewMessages { asked: count, available });
    };
    let splits_pair = from.checked_sub(1).is_some_and(
        |before| matches!((entries.get(before), entries.get(from)), (Some(a), Some(b)) if is_call_and_result(a, b)),
    );
    if splits_pair {
        from -= 1;
    }
    let popped = entries.split_off(from);
    for message in &popped {
        hide(connection, agent, message.id).during("remove messages")?;
    }
    turns::drop_redo(connection, agent)?;
    Ok(popped)
}

/// Puts another body in the place of a message in the queue. Rows keep what they held, so that an undo is exact: the
/// message is hidden, and so are those behind it, and all of them are recorded anew in their order. No message of the
/// user may be behind it: its row is what its turn and its memory pass go by.
pub(super) fn replace(connection: &Connection, agent: i64, id: MessageId, body: Body) -> Result<Message> {
    let operation = "replace a message";
    turns::drop_redo(connection, agent)?;
    let mut tail: Vec<Message> = queue(connection, agent)?.into_iter().skip_while(|message| message.id != id).collect();
    let Some(first) = tail.first_mut() else { return Err(Error::UnknownMessage { operation, id: id.0 }) };
    *first = Message { body, interrupted: false, stub: None, ..first.clone() };
    let mut replaced = None;
    for Message { id, at_ms, body, interrupted, stub } in tail {
        hide(connection, agent, id).during(operation)?;
        let message = insert(connection, agent, &NewMessage { at_ms, body, interrupted })?;
        if stub.is_some() {
            set_stub(connection, agent, message.id, stub.as_deref())?;
        }
        replaced.get_or_insert(message);
    }
    replaced.ok_or(Error::UnknownMessage { operation, id: id.0 })
}

fn hide(connection: &Connection, agent: i64, id: MessageId) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("UPDATE messages SET hidden = 1, in_queue = 0 WHERE id = :id AND agent_id = :agent")?
        .execute(named_params! {":id": id.0, ":agent": agent})
}

fn expect_one(changed: usize, operation: &'static str, id: MessageId) -> Result<()> {
    if changed == 1 { Ok(()) } else { Err(Error::UnknownMessage { operation, id: id.0 }) }
}
