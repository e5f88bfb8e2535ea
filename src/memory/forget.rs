//! Forgetting a text: everything of an agent that holds it is deleted, whatever its letters' case and white space.
//!
//! What is a row of its own goes whole (messages, passages, documents by their path); a call goes with its result. What
//! is one text made of many goes in part: lines of core memory, of its history and of saved states, sentences of
//! summaries. The passages of a paged-out message go with it, because the text may be cut between two of them.
//!
//! What waits in the inbox stays: requests are answered in their order, so it was said after the request to forget.
//! Not responsible for what is left of deleted rows in the file (`store`), nor for other files (`kernel`).

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, named_params};
use serde_json::Value;

use super::error::{During, Error, Result};
use super::summary::NOTHING_TO_SAY;
use super::text::folded;
use crate::types::Body;

/// Columns of saved states: JSON in which every string is a text of lines.
const STATES: [(&str, &str); 2] = [("checkpoints", "state"), ("turn_marks", "state")];
/// Tables that are looked at by themselves.
const KNOWN: [&str; 10] = [
    "agents",
    "attachments",
    "block_edits",
    "checkpoints",
    "core_memory",
    "documents",
    "inbox",
    "messages",
    "passages",
    "turn_marks",
];

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
    /// Edits in the history of core memory that lost lines, or had nothing left.
    pub edits: usize,
    /// Checkpoints and other saved states that lost lines.
    pub states: usize,
    /// Rows of other tables.
    pub others: usize,
    /// Other agents, and sources that are not attached, that hold the text. They are left alone.
    pub elsewhere: Vec<String>,
}

impl Forgotten {
    /// Whether nothing of this agent held the text.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self { elsewhere: self.elsewhere.clone(), ..Self::default() }
    }
}

/// What is to be forgotten, ready for comparing.
#[derive(Debug, Clone)]
pub struct Wanted(String);

impl Wanted {
    /// `text` in any case, with any white space between its words.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(folded(text))
    }

    /// Whether it stands in `text`.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        !self.0.is_empty() && folded(text).contains(&self.0)
    }

    fn is_in_value(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.is_in(text),
            Value::Array(values) => values.iter().any(|value| self.is_in_value(value)),
            Value::Object(entries) => entries.iter().any(|(key, value)| self.is_in(key) || self.is_in_value(value)),
            other => self.is_in(&other.to_string()),
        }
    }

    /// `text` without the pieces of it, as `split` makes them, that hold what is wanted; none where it does not. Where
    /// it stands across pieces, nothing is left.
    fn cut<'a>(&self, text: &'a str, split: impl Fn(&'a str) -> Vec<&'a str>) -> Option<String> {
        if !self.is_in(text) {
            return None;
        }
        let rest = split(text).into_iter().filter(|piece| !self.is_in(piece)).collect::<String>();
        let rest = rest.trim_end().to_owned();
        Some(if self.is_in(&rest) { String::new() } else { rest })
    }

    fn without_lines(&self, text: &str) -> Option<String> {
        self.cut(text, |text| text.split_inclusive('\n').collect())
    }

    fn without_sentences(&self, text: &str) -> Option<String> {
        self.cut(text, sentences)
    }

    /// Cuts the lines of every string in `value`; whether there were any.
    fn cut_value(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => match self.without_lines(text) {
                Some(rest) => {
                    *text = rest;
                    true
                }
                None => false,
            },
            // All of them are cut, whether or not one was before.
            Value::Array(values) => values.iter_mut().map(|value| self.cut_value(value)).filter(|cut| *cut).count() > 0,
            Value::Object(entries) => {
                entries.iter_mut().map(|(_, value)| self.cut_value(value)).filter(|cut| *cut).count() > 0
            }
            _ => false,
        }
    }
}

/// A text in sentences and lines, with what stands between them.
fn sentences(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let end = at + character.len_utf8();
        let next_is_blank = characters.peek().is_none_or(|(_, next)| next.is_whitespace());
        let ends = match character {
            '\n' | '。' | '！' | '？' => true,
            '.' | '!' | '?' => next_is_blank,
            _ => false,
        };
        if ends {
            pieces.extend(text.get(start..end));
            start = end;
        }
    }
    pieces.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    pieces
}

/// Deletes what holds `wanted`.
pub(super) fn forget(connection: &Connection, agent: i64, wanted: &Wanted) -> Result<Forgotten> {
    let work = Work { connection, agent, wanted };
    let mut forgotten = Forgotten::default();
    let deleted = work.messages()?;
    forgotten.messages = deleted.len();
    forgotten.summaries = work.summaries()?;
    forgotten.passages = work.passages(&deleted).during(FORGET)?;
    forgotten.core_lines = work.core_memory().during(FORGET)?;
    forgotten.edits = work.edits().during(FORGET)?;
    forgotten.states = work.states()?;
    forgotten.others = work.others().during(FORGET)?;
    forgotten.elsewhere = work.elsewhere().during(FORGET)?;
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

    fn has_column(&self, table: &str, column: &str) -> rusqlite::Result<bool> {
        self.connection
            .query_row(
                "SELECT 1 FROM pragma_table_info(:table) WHERE name = :column",
                named_params! {":table": table, ":column": column},
                |_| Ok(()),
            )
            .optional()
            .map(|found| found.is_some())
    }

    fn body(table: &'static str, id: i64, json: &str) -> Result<Value> {
        serde_json::from_str(json).map_err(|source| Error::BadRow { table, id, source })
    }

    /// Deletes messages, summaries apart; a call and its result are one. Gives back the ids.
    fn messages(&self) -> Result<BTreeSet<i64>> {
        let mut doomed = BTreeSet::new();
        let mut call = None;
        let mut statement = self
            .connection
            .prepare("SELECT id, kind, body, stub FROM messages WHERE agent_id = :agent ORDER BY id")
            .during(FORGET)?;
        let mut rows = statement.query(named_params! {":agent": self.agent}).during(FORGET)?;
        while let Some(row) = rows.next().during(FORGET)? {
            let read = || Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
            let (id, kind, json, stub): (i64, String, String, Option<String>) = read().during(FORGET)?;
            if kind == "summary" {
                continue;
            }
            let body = Self::body("messages", id, &json)?;
            let holds = self.wanted.is_in_value(&body) || stub.is_some_and(|stub| self.wanted.is_in(&stub));
            let call_before = call.take();
            if kind == "function_result"
                && let Some((call_id, call_holds)) = call_before
                && (holds || call_holds)
            {
                doomed.extend([call_id, id]);
            }
            if holds {
                doomed.insert(id);
            }
            if body.get("call").is_some_and(|call| !call.is_null()) {
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
            let bad_row = |source| Error::BadRow { table: "messages", id, source };
            let Body::Summary { text, hidden_message_count: told } = serde_json::from_str(&json).map_err(bad_row)?
            else {
                continue;
            };
            let rest = self.wanted.without_sentences(&text);
            cut += usize::from(rest.is_some());
            let rest = rest.map(|rest| if rest.is_empty() { NOTHING_TO_SAY.to_owned() } else { rest });
            let count = if in_queue { u64::try_from(hidden_message_count).unwrap_or_default() } else { told };
            let body = Body::Summary { text: rest.unwrap_or(text), hidden_message_count: count };
            let json = serde_json::to_string(&body).map_err(bad_row)?;
            self.connection
                .execute("UPDATE messages SET body = :body WHERE id = :id", named_params! {":body": json, ":id": id})
                .during(FORGET)?;
        }
        Ok(cut)
    }

    fn passages(&self, deleted_messages: &BTreeSet<i64>) -> rusqlite::Result<usize> {
        let attached = "SELECT d.id FROM documents d JOIN attachments a ON a.source_id = d.source_id
                        WHERE a.agent_id = :agent";
        let paths = self.rows(&format!("SELECT id, path FROM documents WHERE id IN ({attached})"), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })?;
        let sql = format!(
            "SELECT id, text, source, place, document_id FROM passages
             WHERE agent_id = :agent OR document_id IN ({attached})"
        );
        let documents: BTreeSet<i64> =
            paths.into_iter().filter(|(_, path)| self.wanted.is_in(path)).map(|(id, _)| id).collect();
        let sources: BTreeSet<String> = deleted_messages.iter().map(|id| format!("message {id}")).collect();
        let doomed = self.rows(&sql, |row| {
            let (text, source): (String, Option<String>) = (row.get(1)?, row.get(2)?);
            let (place, document): (Option<String>, Option<i64>) = (row.get(3)?, row.get(4)?);
            let holds = [Some(&text), source.as_ref(), place.as_ref()]
                .into_iter()
                .flatten()
                .any(|text| self.wanted.is_in(text))
                || source.is_some_and(|source| sources.contains(&source))
                || document.is_some_and(|document| documents.contains(&document));
            Ok(holds.then_some(row.get::<_, i64>(0)?))
        })?;
        let deleted = self.delete("passages", doomed.into_iter().flatten())?;
        self.delete("documents", documents)?;
        Ok(deleted)
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
        // Instructions of the user's own are there from a later schema on.
        if self.has_column("agents", "instructions")? {
            let sql = "SELECT instructions FROM agents WHERE id = :agent";
            let own = self.rows(sql, |row| row.get::<_, Option<String>>(0))?.into_iter().flatten().next();
            if let Some(rest) = own.and_then(|text| self.wanted.without_lines(&text)) {
                lines += 1;
                self.connection.execute(
                    "UPDATE agents SET instructions = nullif(:text, '') WHERE id = :agent",
                    named_params! {":text": rest, ":agent": self.agent},
                )?;
            }
        }
        Ok(lines)
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
        for (table, column) in STATES {
            if !self.has_column(table, column).during(FORGET)? {
                continue;
            }
            let sql = format!("SELECT id, {column} FROM {table} WHERE agent_id = :agent");
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            for (id, json) in self.rows::<(i64, String)>(&sql, read).during(FORGET)? {
                let mut state = Self::body(table, id, &json)?;
                if !self.wanted.cut_value(&mut state) {
                    continue;
                }
                cut += 1;
                let sql = format!("UPDATE {table} SET {column} = :state WHERE id = :id");
                self.connection.execute(&sql, named_params! {":state": state.to_string(), ":id": id}).during(FORGET)?;
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

    /// Rows of tables that are not looked at by themselves, where they belong to the agent.
    fn others(&self) -> rusqlite::Result<usize> {
        let tables: Vec<String> = self
            .connection
            .prepare(
                "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND wr = 0
                 AND name NOT LIKE 'sqlite_%'",
            )?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let mut deleted = 0;
        for table in tables.iter().filter(|table| !KNOWN.contains(&table.as_str())) {
            if !self.has_column(table, "agent_id")? {
                continue;
            }
            let columns: Vec<String> = self
                .connection
                .prepare("SELECT name FROM pragma_table_info(:table) WHERE type = 'TEXT'")?
                .query_map(named_params! {":table": table}, |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            for column in columns {
                let sql = format!("SELECT rowid, \"{column}\" FROM \"{table}\" WHERE agent_id = :agent");
                let texts = self.rows(&sql, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?)))?;
                let holds = |text: &Option<String>| text.as_ref().is_some_and(|text| self.wanted.is_in(text));
                deleted += self.delete(table, texts.into_iter().filter(|(_, text)| holds(text)).map(|(id, _)| id))?;
            }
        }
        Ok(deleted)
    }

    /// Names of other agents and of sources that are not attached whose texts hold what is wanted.
    fn elsewhere(&self) -> rusqlite::Result<Vec<String>> {
        let mut names = BTreeSet::new();
        let of_agent = |table: &str, column: &str| {
            format!("SELECT a.name, t.{column} FROM {table} t JOIN agents a ON a.id = t.agent_id WHERE a.id <> :agent")
        };
        let of_sources = "SELECT s.name, p.text FROM passages p JOIN documents d ON d.id = p.document_id
                          JOIN sources s ON s.id = d.source_id
                          WHERE s.id NOT IN (SELECT source_id FROM attachments WHERE agent_id = :agent)";
        let queries = [
            of_agent("messages", "body"),
            of_agent("core_memory", "text"),
            of_agent("passages", "text"),
            of_sources.to_owned(),
        ];
        for sql in queries {
            let mut statement = self.connection.prepare(&sql)?;
            let mut rows = statement.query(named_params! {":agent": self.agent})?;
            while let Some(row) = rows.next()? {
                let name: String = row.get(0)?;
                if !names.contains(&name) && self.wanted.is_in(row.get_ref(1)?.as_str()?) {
                    names.insert(name);
                }
            }
        }
        Ok(names.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_white_space_do_not_matter_and_the_rest_does() {
        let wanted = Wanted::new(" Straße  12 ");
        assert!(wanted.is_in("In der STRASSE 12") == wanted.is_in("strasse 12"));
        assert!(wanted.is_in("in der straße\n12, hinten") && !wanted.is_in("straße 1 2"));
        assert!(!Wanted::new("  ").is_in("anything"));
    }

    #[test]
    fn sentences_and_lines_are_cut_and_what_spans_them_takes_all() {
        let wanted = Wanted::new("blue boat");
        assert_eq!(wanted.without_sentences("One. The blue boat! Two?").as_deref(), Some("One. Two?"));
        assert_eq!(wanted.without_sentences("One. Two."), None);
        assert_eq!(wanted.without_sentences("It is blue\nboat it is not.").as_deref(), Some(""));
        assert_eq!(wanted.without_lines("a\nHas a Blue  Boat.\nb").as_deref(), Some("a\nb"));
        assert_eq!(sentences("版本 3.5 到了。Yes. no"), ["版本 3.5 到了。", "Yes.", " no"]);
    }
}
