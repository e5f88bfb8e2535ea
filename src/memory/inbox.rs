//! The inbox: what the user has said while the agent was busy, kept from the moment it is read.
//!
//! It has a connection of its own, because the agent's thread, which holds the other one, is what the text waits for.
//! The step that records the text as a message takes it out of here; what a dead process left is recorded when its
//! agent is opened again.

use rusqlite::{Connection, named_params};

use super::error::{During, Result};
use super::{Store, turns};
use crate::types::{Body, InboxId, Message, NewMessage};

/// The way into the inbox of one agent, for the side that reads what the user types.
#[derive(Debug)]
pub struct Inbox {
    store: Store,
    agent: i64,
}

impl Inbox {
    pub(super) fn new(store: Store, agent: i64) -> Self {
        Self { store, agent }
    }

    /// Keeps a text that came in at `at_ms`, UTC milliseconds, until a step takes it out ([`super::Step::take_out`]).
    ///
    /// # Errors
    /// The database failed; nothing was kept.
    pub fn put(&self, text: &str, at_ms: i64) -> Result<InboxId> {
        let connection = &self.store.connection;
        let write = || {
            connection
                .prepare_cached("INSERT INTO inbox (agent_id, at_ms, text) VALUES (:agent, :at_ms, :text)")?
                .execute(named_params! {":agent": self.agent, ":at_ms": at_ms, ":text": text})?;
            Ok(InboxId(connection.last_insert_rowid()))
        };
        write().during("keep a message that waits")
    }
}

/// Takes an entry out.
pub(super) fn take_out(connection: &Connection, agent: i64, id: InboxId) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM inbox WHERE id = :id AND agent_id = :agent")
        .and_then(|mut statement| statement.execute(named_params! {":id": id.0, ":agent": agent}))
        .during("take a message out of the inbox")?;
    Ok(())
}

/// Records everything that waits as messages of the user, oldest first, and empties the inbox.
pub(super) fn recover(connection: &Connection, agent: i64) -> Result<Vec<Message>> {
    let read = || {
        connection
            .prepare_cached("SELECT at_ms, text FROM inbox WHERE agent_id = :agent ORDER BY id")?
            .query_map(named_params! {":agent": agent}, |row| {
                let body = Body::User { text: row.get(1)? };
                Ok(NewMessage { at_ms: row.get(0)?, body, interrupted: false })
            })?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    let waiting = read().during("read the inbox")?;
    let recorded = waiting.iter().map(|message| turns::begin(connection, agent, message)).collect::<Result<_>>()?;
    connection
        .prepare_cached("DELETE FROM inbox WHERE agent_id = :agent")
        .and_then(|mut statement| statement.execute(named_params! {":agent": agent}))
        .during("empty the inbox")?;
    Ok(recorded)
}
