//! The state of an agent's memory as plain data, and the way back to it: what checkpoints and `/undo` share.
//!
//! Rows are never copied: a state names the newest message and passage of its time, those that were hidden then, and
//! the queue; only the two blocks are held as text. Restoring one hides what came later and shows again what was hidden
//! since. System instructions, attached sources and the chosen model are no work of a turn: checkpoints have them, the
//! marks of `/undo` have not.

use rusqlite::{Connection, named_params};
use serde::{Deserialize, Serialize};

use super::View;
use super::error::{During, Result};
use super::main_context::BlockLabel;
use super::queue_manager::quoted;
use super::step::{Edit, write_block};
use super::wanted::Wanted;

/// What can be put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    persona: String,
    human: String,
    /// The queue with its stubs.
    queue: Vec<Entry>,
    last_message: i64,
    hidden_messages: Vec<Run>,
    last_passage: i64,
    hidden_passages: Vec<Run>,
    warned: bool,
    /// None in checkpoints of earlier releases: then it stays as it is.
    #[serde(default)]
    passes: Option<Passes>,
    /// The user's own system instructions, empty for the default; none where they are no part of the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instructions: Option<String>,
    /// What the user has called the model of this agent, empty for that of the config; none where it is no part of the
    /// state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chosen_model: Option<String>,
    /// Ids of the attached sources, which no other source ever gets; none where they are no part of the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sources: Option<Vec<i64>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    id: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stub: Option<String>,
}

/// Work beside the turns: how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Passes {
    passed_message_id: i64,
    heartbeats_paused_until_ms: Option<i64>,
}

/// Ids without a gap. Earlier releases wrote each id by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Run {
    One(i64),
    Many([i64; 2]),
}

impl Run {
    const fn bounds(self) -> (i64, i64) {
        match self {
            Self::One(id) => (id, id),
            Self::Many([first, last]) => (first, last),
        }
    }

    const fn holds(self, id: i64) -> bool {
        let (first, last) = self.bounds();
        first <= id && id <= last
    }
}

impl State {
    /// Takes the lines that hold `wanted` out of its texts; whether there were any.
    pub(super) fn forget(&mut self, wanted: &Wanted) -> bool {
        let stubs = self.queue.iter_mut().filter_map(|entry| entry.stub.as_mut());
        // What a stub says around the text of its message is the program's.
        let stubs = stubs.filter(|stub| wanted.is_in(&quoted(stub)));
        let own = [&mut self.instructions, &mut self.chosen_model].into_iter().flatten();
        let texts = [&mut self.persona, &mut self.human].into_iter().chain(own).chain(stubs);
        // All of them are cut, whether or not one was before.
        texts.filter_map(|text| wanted.cut_lines(text).then_some(())).count() > 0
    }
}

/// Ascending ids as runs.
fn runs(ids: &[i64]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for &id in ids {
        match runs.last_mut() {
            Some(run) if run.bounds().1 + 1 == id => *run = Run::Many([run.bounds().0, id]),
            _ => runs.push(Run::One(id)),
        }
    }
    runs
}

/// The state now, without the system instructions.
pub(super) fn capture(connection: &Connection, agent: i64) -> Result<State> {
    let view = View { connection, agent };
    let core = view.core()?;
    let newest = |table: &str| -> rusqlite::Result<i64> {
        connection
            .prepare_cached(&format!("SELECT coalesce(max(id), 0) FROM {table} WHERE agent_id = :agent"))?
            .query_row(named_params! {":agent": agent}, |row| row.get(0))
    };
    let queue = || -> rusqlite::Result<Vec<Entry>> {
        connection
            .prepare_cached(
                "SELECT id, stub FROM messages
                 WHERE agent_id = :agent AND in_queue = 1 AND hidden = 0 AND state = 'complete' ORDER BY id",
            )?
            .query_map(named_params! {":agent": agent}, |row| Ok(Entry { id: row.get(0)?, stub: row.get(1)? }))?
            .collect()
    };
    let read = || -> rusqlite::Result<State> {
        let (warned, passes) = connection
            .prepare_cached(
                "SELECT memory_pressure_warned, passed_message_id, heartbeats_paused_until_ms FROM agents
                 WHERE id = :agent",
            )?
            .query_row(named_params! {":agent": agent}, |row| {
                let passes = Passes { passed_message_id: row.get(1)?, heartbeats_paused_until_ms: row.get(2)? };
                Ok((row.get(0)?, passes))
            })?;
        Ok(State {
            persona: core.persona.text,
            human: core.human.text,
            queue: queue()?,
            last_message: newest("messages")?,
            hidden_messages: runs(&hidden(connection, agent, "messages")?),
            last_passage: newest("passages")?,
            hidden_passages: runs(&hidden(connection, agent, "passages")?),
            warned,
            passes: Some(passes),
            instructions: None,
            chosen_model: None,
            sources: None,
        })
    };
    read().during("read the state of the memory")
}

/// The state now with all that belongs to the agent but to no turn.
pub(super) fn capture_whole(connection: &Connection, agent: i64) -> Result<State> {
    let view = View { connection, agent };
    let sources = || -> rusqlite::Result<Vec<i64>> {
        connection
            .prepare_cached("SELECT source_id FROM attachments WHERE agent_id = :agent ORDER BY source_id")?
            .query_map(named_params! {":agent": agent}, |row| row.get(0))?
            .collect()
    };
    Ok(State {
        instructions: Some(view.instructions()?.unwrap_or_default()),
        chosen_model: Some(view.chosen_model()?.unwrap_or_default()),
        sources: Some(sources().during("read the attached sources")?),
        ..capture(connection, agent)?
    })
}

fn hidden(connection: &Connection, agent: i64, table: &str) -> rusqlite::Result<Vec<i64>> {
    connection
        .prepare_cached(&format!("SELECT id FROM {table} WHERE agent_id = :agent AND hidden = 1 ORDER BY id"))?
        .query_map(named_params! {":agent": agent}, |row| row.get(0))?
        .collect()
}

/// Puts a state back. The edits of core memory that this takes are kept with `cause`.
pub(super) fn restore(connection: &Connection, agent: i64, state: &State, at_ms: i64, cause: &str) -> Result<()> {
    let core = View { connection, agent }.core()?;
    for (label, after) in [(BlockLabel::Persona, &state.persona), (BlockLabel::Human, &state.human)] {
        let before = &core.block(label).text;
        if before != after {
            write_block(connection, agent, &Edit { label, before, after }, at_ms, None, cause)?;
        }
    }
    let restore = || {
        restore_rows(connection, agent, state)?;
        state.sources.as_ref().map_or(Ok(()), |sources| restore_sources(connection, agent, sources, at_ms))
    };
    restore().during("put the memory back")
}

/// Attaches these sources and no others; those that are gone stay gone.
fn restore_sources(connection: &Connection, agent: i64, sources: &[i64], at_ms: i64) -> rusqlite::Result<()> {
    let wanted = serde_json::Value::from(sources).to_string();
    connection
        .prepare_cached(
            "DELETE FROM attachments WHERE agent_id = :agent
             AND source_id NOT IN (SELECT value FROM json_each(:wanted))",
        )?
        .execute(named_params! {":agent": agent, ":wanted": wanted})?;
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO attachments (agent_id, source_id, at_ms)
             SELECT :agent, id, :at_ms FROM sources WHERE id IN (SELECT value FROM json_each(:wanted))",
        )?
        .execute(named_params! {":agent": agent, ":wanted": wanted, ":at_ms": at_ms})?;
    Ok(())
}

fn restore_rows(connection: &Connection, agent: i64, state: &State) -> rusqlite::Result<()> {
    restore_visibility(connection, agent, "messages", state.last_message, &state.hidden_messages)?;
    restore_visibility(connection, agent, "passages", state.last_passage, &state.hidden_passages)?;
    connection
        .prepare_cached("UPDATE messages SET in_queue = 0 WHERE agent_id = :agent AND in_queue = 1")?
        .execute(named_params! {":agent": agent})?;
    let mut enqueue = connection
        .prepare_cached("UPDATE messages SET in_queue = 1, stub = :stub WHERE id = :id AND agent_id = :agent")?;
    for entry in &state.queue {
        enqueue.execute(named_params! {":stub": entry.stub, ":id": entry.id, ":agent": agent})?;
    }
    connection
        .prepare_cached("UPDATE agents SET memory_pressure_warned = :warned WHERE id = :agent")?
        .execute(named_params! {":warned": state.warned, ":agent": agent})?;
    if let Some(Passes { passed_message_id, heartbeats_paused_until_ms }) = &state.passes {
        connection
            .prepare_cached(
                "UPDATE agents SET passed_message_id = :passed, heartbeats_paused_until_ms = :until WHERE id = :agent",
            )?
            .execute(named_params! {
                ":passed": passed_message_id,
                ":until": heartbeats_paused_until_ms,
                ":agent": agent,
            })?;
    }
    for (column, text) in [("instructions", &state.instructions), ("chosen_model", &state.chosen_model)] {
        let Some(text) = text else { continue };
        let own = Some(text).filter(|text| !text.is_empty());
        connection
            .prepare_cached(&format!("UPDATE agents SET {column} = :own WHERE id = :agent"))?
            .execute(named_params! {":own": own, ":agent": agent})?;
    }
    Ok(())
}

/// Hides the rows that came later or were hidden then, and shows the others. Only rows that change are touched: an
/// agent has far more of them than a few turns make.
fn restore_visibility(
    connection: &Connection,
    agent: i64,
    table: &str,
    last: i64,
    hidden_then: &[Run],
) -> rusqlite::Result<()> {
    let hidden_now = hidden(connection, agent, table)?;
    let mut hide = connection.prepare_cached(&format!(
        "UPDATE {table} SET hidden = 1 WHERE agent_id = :agent AND hidden = 0 AND id BETWEEN :first AND :last"
    ))?;
    for (first, last) in hidden_then.iter().map(|run| run.bounds()).chain([(last + 1, i64::MAX)]) {
        hide.execute(named_params! {":agent": agent, ":first": first, ":last": last})?;
    }
    let mut show = connection.prepare_cached(&format!("UPDATE {table} SET hidden = 0 WHERE id = :id"))?;
    for id in hidden_now {
        if id <= last && !hidden_then.iter().any(|run| run.holds(id)) {
            show.execute(named_params! {":id": id})?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_one_run_and_lists_of_earlier_releases_are_read() {
        let runs = runs(&[3, 5, 6, 7, 9]);
        assert_eq!(serde_json::to_string(&runs).unwrap(), "[3,[5,7],9]");
        assert_eq!(serde_json::from_str::<Vec<Run>>("[3,[5,7],9]").unwrap(), runs);
        let old = r#"{"persona":"p","human":"h","queue":[{"id":4,"stub":null}],"last_message":4,"hidden_messages":[1,2],
                      "last_passage":0,"hidden_passages":[],"warned":true}"#;
        let state: State = serde_json::from_str(old).unwrap();
        assert!(state.hidden_messages.iter().any(|run| run.holds(2)) && state.passes.is_none());
        assert_eq!((state.instructions, state.chosen_model, state.sources), (None, None, None));
    }
}
