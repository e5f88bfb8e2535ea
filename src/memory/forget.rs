//! Forgetting a text: everything of an agent that holds it is deleted, whatever its letters' case and white space.
//!
//! What is a row of its own goes whole (messages, passages, documents by their path); a call goes with its result. What
//! is one text made of many goes in part: lines of core memory, of its history and of saved states, sentences of
//! summaries. The passages of a paged-out message go with it, because the text may be cut between two of them. What
//! lies ahead of an undo is dropped: its way leads over what is gone.
//!
//! Documents belong to the user, and a source to each agent that it is attached to. Only where no other agent has it do
//! its passages go, and the document is marked so that the next load takes it again; else the source is named.
//!
//! What waits in the inbox stays: requests are answered in their order, so it was said after the request to forget.
//! Not responsible for what is left of deleted rows in the file (`store`), nor for other files (`kernel`).

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, named_params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{During, Error, Result};
use super::queue_manager::quoted;
use super::state::State;
use super::summary::NOTHING_TO_SAY;
use super::wanted::Wanted;
use super::{store, turns};
use crate::types::Body;

/// Tables with saved states, in their column `state`.
const STATES: [&str; 2] = ["checkpoints", "turn_marks"];
/// What agents have, by table: every column of plain text in which something can have been said.
const TEXTS_OF_AGENTS: [(&str, &str); 6] = [
    ("messages", "t.speaker"),
    ("core_memory", "t.text"),
    ("passages", "t.text, t.source"),
    ("block_edits", "t.before_text, t.after_text"),
    ("checkpoints", "t.name"),
    ("inbox", "t.text"),
];
/// Sources that are attached to the agent and to no other.
const OWN_SOURCES: &str = "SELECT mine.source_id FROM attachments mine WHERE mine.agent_id = :agent AND NOT EXISTS
    (SELECT 1 FROM attachments other WHERE other.source_id = mine.source_id AND other.agent_id <> :agent)";

/// How much was deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Messages, calls and results.
    pub messages: usize,
    /// Summaries that lost sentences.
    pub summaries: usize,
    /// Passages of archival storage, those of documents included.
    pub passages: usize,
    /// Lines of core memory.
    pub core_lines: usize,
    /// Lines of the user's own system instructions.
    pub instruction_lines: usize,
    /// Edits in the history of core memory that lost lines, or had nothing left.
    pub edits: usize,
    /// Checkpoints and other saved states that lost lines.
    pub states: usize,
    /// Sources of which passages went, by name: their files may hold the text still.
    pub reloadable: Vec<String>,
    /// Other agents that hold the text. They are left alone.
    pub agents: Vec<String>,
    /// Sources that hold the text and are not this agent's alone. They are left alone.
    pub sources: Vec<String>,
}

impl Forgotten {
    /// Whether nothing of this agent held the text.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self { agents: self.agents.clone(), sources: self.sources.clone(), ..Self::default() }
    }
}

/// Deletes what holds `wanted`.
pub(super) fn forget(connection: &Connection, agent: i64, wanted: &Wanted) -> Result<Forgotten> {
    let work = Work { connection, agent, wanted };
    let mut forgotten = Forgotten::default();
    let deleted = work.messages()?;
    forgotten.messages = deleted.len();
    forgotten.summaries = work.summaries()?;
    (forgotten.passages, forgotten.reloadable) = work.passages(&deleted).during(FORGET)?;
    forgotten.core_lines = work.core_memory().during(FORGET)?;
    forgotten.instruction_lines = work.instructions().during(FORGET)?;
    forgotten.edits = work.edits().during(FORGET)?;
    forgotten.states = work.states()?;
    forgotten.agents = work.other_agents()?;
    forgotten.sources = work.other_sources().during(FORGET)?;
    if !forgotten.is_nothing() {
        turns::drop_redo(connection, agent)?;
        store::note_purge(connection, &[store::Purge::Database])?;
    }
    Ok(forgotten)
}

const FORGET: &str = "forget a text";

struct Work<'a> {
    connection: &'a Connection,
    agent: i64,
    wanted: &'a Wanted,
}

impl Work<'_> {
    /// Rows of a query whose only parameter is the agent.
    fn rows<T>(&self, sql: &str, read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<Vec<T>> {
        self.connection.prepare(sql)?.query_map(named_params! {":agent": self.agent}, |row| read(row))?.collect()
    }

    fn delete(&self, table: &str, ids: impl IntoIterator<Item = i64>) -> rusqlite::Result<usize> {
        let mut statement = self.connection.prepare(&format!("DELETE FROM \"{table}\" WHERE rowid = :id"))?;
        ids.into_iter().map(|id| statement.execute(named_params! {":id": id})).sum()
    }

    fn parsed<T: DeserializeOwned>(table: &'static str, id: i64, json: &str) -> Result<T> {
        serde_json::from_str(json).map_err(|source| Error::BadRow { table, id, source })
    }

    /// Whether it stands in what a message says or in what is shown of it.
    fn is_in_message(&self, body: &Body, stub: Option<&String>) -> bool {
        self.wanted.is_in_body(body) || stub.is_some_and(|stub| self.wanted.is_in(&quoted(stub)))
    }

    /// Deletes messages, summaries apart; a call and its result are one. Gives back the ids.
    fn messages(&self) -> Result<BTreeSet<i64>> {
        let mut doomed = BTreeSet::new();
        let mut call = None;
        let mut statement = self
            .connection
            .prepare("SELECT id, body, stub, speaker FROM messages WHERE agent_id = :agent ORDER BY id")
            .during(FORGET)?;
        let mut rows = statement.query(named_params! {":agent": self.agent}).during(FORGET)?;
        while let Some(row) = rows.next().during(FORGET)? {
            let read = || Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
            let (id, json, stub, speaker): (i64, String, Option<String>, Option<String>) = read().during(FORGET)?;
            let body: Body = Self::parsed("messages", id, &json)?;
            if matches!(body, Body::Summary { .. }) {
                continue;
            }
            let holds =
                self.is_in_message(&body, stub.as_ref()) || speaker.is_some_and(|speaker| self.wanted.is_in(&speaker));
            let call_before = call.take();
            if matches!(body, Body::FunctionResult { .. })
                && let Some((call_id, call_holds)) = call_before
                && (holds || call_holds)
            {
                doomed.extend([call_id, id]);
            }
            if holds {
                doomed.insert(id);
            }
            if matches!(body, Body::Assistant { call: Some(_), .. }) {
                call = Some((id, holds));
            }
        }
        drop(rows);
        self.delete("messages", doomed.iter().copied()).during(FORGET)?;
        Ok(doomed)
    }

    /// Cuts sentences out of all summaries, and has that in view tell the true number of messages out of view.
    fn summaries(&self) -> Result<usize> {
        let hidden_message_count: i64 = self
            .connection
            .query_row(
                "SELECT count(*) FROM messages WHERE agent_id = :agent AND in_queue = 0 AND hidden = 0
                 AND state = 'complete' AND kind <> 'summary'",
                named_params! {":agent": self.agent},
                |row| row.get(0),
            )
            .during(FORGET)?;
        let sql = "SELECT id, body, in_queue FROM messages WHERE agent_id = :agent AND kind = 'summary'";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let mut cut = 0;
        for (id, json, in_queue) in self.rows::<(i64, String, bool)>(sql, read).during(FORGET)? {
            let body = Self::parsed("messages", id, &json)?;
            let Body::Summary { text, hidden_message_count: told } = body else { continue };
            let rest = self.wanted.without_sentences(&text);
            cut += usize::from(rest.is_some());
            let rest = rest.map(|rest| if rest.is_empty() { NOTHING_TO_SAY.to_owned() } else { rest });
            let count = if in_queue { u64::try_from(hidden_message_count).unwrap_or_default() } else { told };
            let body = Body::Summary { text: rest.unwrap_or(text), hidden_message_count: count };
            let json = written("messages", id, &body)?;
            self.connection
                .execute("UPDATE messages SET body = :body WHERE id = :id", named_params! {":body": json, ":id": id})
                .during(FORGET)?;
        }
        Ok(cut)
    }

    /// Deletes passages; gives back how many, and the sources of those of documents.
    fn passages(&self, deleted_messages: &BTreeSet<i64>) -> rusqlite::Result<(usize, Vec<String>)> {
        let own_documents = format!(
            "SELECT d.id, d.path, d.title, s.name FROM documents d JOIN sources s ON s.id = d.source_id
             WHERE d.source_id IN ({OWN_SOURCES})"
        );
        let mut sources = BTreeMap::new();
        let mut doomed_documents = BTreeSet::new();
        for (id, texts, source) in self.rows(&own_documents, |row| {
            Ok((row.get::<_, i64>(0)?, [row.get::<_, String>(1)?, row.get(2)?], row.get::<_, String>(3)?))
        })? {
            if texts.iter().any(|text| self.wanted.is_in(text)) {
                doomed_documents.insert(id);
            }
            sources.insert(id, source);
        }
        let paged_out: BTreeSet<String> = deleted_messages.iter().map(|id| format!("message {id}")).collect();
        let sql = format!(
            "SELECT id, text, source, place, document_id FROM passages WHERE agent_id = :agent
             OR document_id IN (SELECT id FROM documents WHERE source_id IN ({OWN_SOURCES}))"
        );
        let doomed = self.rows(&sql, |row| {
            let (text, source): (String, Option<String>) = (row.get(1)?, row.get(2)?);
            let (place, document): (Option<String>, Option<i64>) = (row.get(3)?, row.get(4)?);
            let holds = [Some(&text), source.as_ref(), place.as_ref()]
                .into_iter()
                .flatten()
                .any(|text| self.wanted.is_in(text))
                || source.is_some_and(|source| paged_out.contains(&source))
                || document.is_some_and(|document| doomed_documents.contains(&document));
            Ok(holds.then_some((row.get::<_, i64>(0)?, document)))
        })?;
        let doomed: Vec<(i64, Option<i64>)> = doomed.into_iter().flatten().collect();
        let deleted = self.delete("passages", doomed.iter().map(|(id, _)| *id))?;
        let incomplete: BTreeSet<i64> = doomed.iter().filter_map(|(_, document)| *document).collect();
        // No file has an empty fingerprint: the next load takes the document again.
        let mut statement = self.connection.prepare("UPDATE documents SET fingerprint = x'' WHERE id = :id")?;
        for id in &incomplete {
            statement.execute(named_params! {":id": id})?;
        }
        let touched = incomplete.union(&doomed_documents).filter_map(|id| sources.get(id).cloned());
        let touched: BTreeSet<String> = touched.collect();
        self.delete("documents", doomed_documents)?;
        Ok((deleted, touched.into_iter().collect()))
    }

    fn core_memory(&self) -> rusqlite::Result<usize> {
        let mut lines = 0;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let sql = "SELECT label, text FROM core_memory WHERE agent_id = :agent";
        for (label, text) in self.rows::<(String, String)>(sql, read)? {
            let Some(rest) = self.wanted.without_lines(&text) else { continue };
            lines += text.lines().count() - rest.lines().count();
            self.connection.execute(
                "UPDATE core_memory SET text = :text WHERE agent_id = :agent AND label = :label",
                named_params! {":text": rest, ":agent": self.agent, ":label": label},
            )?;
        }
        Ok(lines)
    }

    /// Cuts the user's own system instructions; where nothing is left of them, the default ones hold again.
    fn instructions(&self) -> rusqlite::Result<usize> {
        let sql = "SELECT instructions FROM agents WHERE id = :agent";
        let own = self.rows(sql, |row| row.get::<_, Option<String>>(0))?.into_iter().flatten().next();
        let Some(text) = own else { return Ok(0) };
        let Some(rest) = self.wanted.without_lines(&text) else { return Ok(0) };
        self.connection.execute(
            "UPDATE agents SET instructions = nullif(:text, '') WHERE id = :agent",
            named_params! {":text": rest, ":agent": self.agent},
        )?;
        Ok(text.lines().count() - rest.lines().count())
    }

    /// Each edit stays as the step from one text to the next, both without the lines.
    fn edits(&self) -> rusqlite::Result<usize> {
        let sql = "SELECT id, before_text, after_text FROM block_edits WHERE agent_id = :agent";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let mut cut = 0;
        for (id, before, after) in self.rows::<(i64, String, String)>(sql, read)? {
            let (rest_before, rest_after) = (self.wanted.without_lines(&before), self.wanted.without_lines(&after));
            if rest_before.is_none() && rest_after.is_none() {
                continue;
            }
            cut += 1;
            let (before, after) = (rest_before.unwrap_or(before), rest_after.unwrap_or(after));
            if before == after {
                self.delete("block_edits", [id])?;
                continue;
            }
            self.connection.execute(
                "UPDATE block_edits SET before_text = :before, after_text = :after WHERE id = :id",
                named_params! {":before": before, ":after": after, ":id": id},
            )?;
        }
        Ok(cut)
    }

    fn states(&self) -> Result<usize> {
        let mut cut = 0;
        for table in STATES {
            let sql = format!("SELECT id, state FROM {table} WHERE agent_id = :agent");
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            for (id, json) in self.rows::<(i64, String)>(&sql, read).during(FORGET)? {
                let mut state: State = Self::parsed(table, id, &json)?;
                if !state.forget(self.wanted) {
                    continue;
                }
                cut += 1;
                let sql = format!("UPDATE {table} SET state = :state WHERE id = :id");
                let json = written(table, id, &state)?;
                self.connection.execute(&sql, named_params! {":state": json, ":id": id}).during(FORGET)?;
            }
        }
        let names = self
            .rows("SELECT id, name FROM checkpoints WHERE agent_id = :agent", |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
            })
            .during(FORGET)?;
        let named = names.into_iter().filter(|(_, name)| self.wanted.is_in(name)).map(|(id, _)| id);
        Ok(cut + self.delete("checkpoints", named).during(FORGET)?)
    }

    /// Names of other agents whose texts hold what is wanted.
    fn other_agents(&self) -> Result<Vec<String>> {
        let mut names = BTreeSet::new();
        let of = |table: &str, columns: &str| {
            format!("SELECT a.name, {columns} FROM {table} t JOIN agents a ON a.id = t.agent_id WHERE a.id <> :agent")
        };
        for (table, columns) in TEXTS_OF_AGENTS {
            self.find(&of(table, columns), &mut names).during(FORGET)?;
        }
        let sql = "SELECT name, name, instructions FROM agents WHERE id <> :agent";
        self.find(sql, &mut names).during(FORGET)?;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let messages = self
            .rows::<(String, i64, String, Option<String>)>(&of("messages", "t.id, t.body, t.stub"), read)
            .during(FORGET)?;
        for (name, id, json, stub) in messages {
            if !names.contains(&name) && self.is_in_message(&Self::parsed("messages", id, &json)?, stub.as_ref()) {
                names.insert(name);
            }
        }
        for table in STATES {
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            for (name, id, json) in
                self.rows::<(String, i64, String)>(&of(table, "t.id, t.state"), read).during(FORGET)?
            {
                if !names.contains(&name) && Self::parsed::<State>(table, id, &json)?.forget(self.wanted) {
                    names.insert(name);
                }
            }
        }
        Ok(names.into_iter().collect())
    }

    /// Names of sources whose texts hold what is wanted and are not this agent's to delete.
    fn other_sources(&self) -> rusqlite::Result<Vec<String>> {
        let mut names = BTreeSet::new();
        let of_documents = "FROM documents d JOIN sources s ON s.id = d.source_id";
        let others = format!("d.source_id NOT IN ({OWN_SOURCES})");
        self.find(&format!("SELECT s.name, d.path, d.title {of_documents} WHERE {others}"), &mut names)?;
        let of_passages = format!("{of_documents} JOIN passages p ON p.document_id = d.id");
        self.find(&format!("SELECT s.name, p.text, p.place {of_passages} WHERE {others}"), &mut names)?;
        self.find("SELECT name, name FROM sources WHERE :agent = :agent", &mut names)?;
        Ok(names.into_iter().collect())
    }

    /// Adds the first column of each row in which any further one holds what is wanted.
    fn find(&self, sql: &str, names: &mut BTreeSet<String>) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(named_params! {":agent": self.agent})?;
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            for column in 1..columns {
                if names.contains(&name) {
                    break;
                }
                if row.get::<_, Option<String>>(column)?.is_some_and(|text| self.wanted.is_in(&text)) {
                    names.insert(name.clone());
                }
            }
        }
        Ok(())
    }
}

fn written<T: Serialize>(table: &'static str, id: i64, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|source| Error::BadRow { table, id, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Store;

    #[test]
    fn every_table_that_belongs_to_agents_is_looked_at() {
        let store = Store::open_in_memory().unwrap();
        let sql = "SELECT DISTINCT m.name FROM pragma_table_list m, pragma_table_info(m.name) c
                   WHERE m.schema = 'main' AND m.type = 'table' AND c.name = 'agent_id'";
        let mut statement = store.connection.prepare(sql).unwrap();
        let tables: BTreeSet<String> =
            statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
        // What is attached is named by its source, which is looked at by itself.
        let known = TEXTS_OF_AGENTS.map(|(table, _)| table).into_iter().chain(STATES).chain(["attachments"]);
        assert_eq!(tables, known.map(str::to_owned).collect());
    }
}
