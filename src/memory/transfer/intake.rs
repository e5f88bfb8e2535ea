//! Chat histories of other programs on their way into recall storage.
//!
//! What the two sides said to each other becomes messages with their dates: searchable, out of view. They get row ids
//! below those of the agent's own messages, because ids ascend with time everywhere else: neither a checkpoint nor a
//! memory pass takes them for something new. A message that is there already (same side, same time, same text) is not
//! added again, so a second import of a file adds nothing.
//!
//! Only one conversation is held at a time. Ids ascend with time, but files are in any order: so all is laid down in a
//! temporary table first, which SQLite keeps on the disk, and is stored from there in one transaction.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};

use rusqlite::{Connection, TransactionBehavior, named_params};
use serde::de::DeserializeSeed;
use serde_json::Value;

use super::super::Store;
use super::super::error::{During, Error, Result};
use super::super::messages::kind_name;
use super::bounded::{Budget, Metered, Pieces, line_value};
use super::chats::{Said, conversation, is_other_role, plain};
use super::next_line;
use crate::types::{Body, Hasher};

/// Longest message that is taken, in bytes; pasted files of that length are no talk.
const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// Longest name of a speaker that is taken, in bytes.
const MAX_SPEAKER_BYTES: usize = 200;
/// Most messages of one import.
const MAX_MESSAGES: u64 = 5_000_000;
/// Messages between two calls of the progress function.
const PROGRESS_MESSAGES: u64 = 1000;
/// What fails where the database does.
const OPERATION: &str = "store the messages";

/// Messages in the order of the file. The index gives the order of time: conversations of the same moment stay in the
/// order of the file.
const INCOMING: &str = "
    DROP TABLE IF EXISTS temp.incoming;
    CREATE TEMP TABLE incoming (
        position INTEGER PRIMARY KEY,
        begun_ms INTEGER NOT NULL,
        talk INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        by_user INTEGER NOT NULL,
        speaker TEXT,
        text TEXT NOT NULL
    ) STRICT;
    CREATE INDEX temp.incoming_by_time ON incoming (begun_ms, talk, position);";

/// What an import of a chat history did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChatImport {
    /// Messages that were added.
    pub added: u64,
    /// Messages that were there already.
    pub known: u64,
    /// Messages without text, longer than is taken, hidden, or of neither side.
    pub skipped: u64,
    /// Conversations in the file.
    pub conversations: u64,
}

/// What is read of the files of an import.
pub struct Chats<'a> {
    connection: &'a Connection,
    /// The time of messages that have none and no neighbour with one.
    created_at_ms: i64,
    messages: u64,
    talks: i64,
    done: ChatImport,
    progress: &'a mut dyn FnMut(u64),
}

/// A conversation that is being read.
struct Begun {
    number: i64,
    begun_ms: Option<i64>,
    last_ms: i64,
}

impl Store {
    /// Adds the chat history that `read` reads (a file, or the files of an archive) to the recall storage of the agent
    /// `name`, as one transaction. `progress` is told the messages read so far.
    ///
    /// # Errors
    /// There is no such agent, or it is open; [`Error::BadImport`] says what is wrong with the file; `read` or the
    /// database failed. Nothing was added then.
    pub fn import_chats(
        &mut self,
        name: &str,
        read: &mut dyn FnMut(&mut Chats<'_>) -> Result<()>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<ChatImport> {
        let agent = self.known_agent_id(name)?;
        let _lock = self.lock_agent(agent, name)?;
        let sql = "SELECT created_at_ms FROM agents WHERE id = :agent";
        let created_at_ms: i64 =
            self.connection.query_row(sql, named_params! {":agent": agent}, |row| row.get(0)).during(OPERATION)?;
        // Only the temporary table is written: who writes to the database does not have to wait.
        let laying_down = self.connection.transaction().during("begin a transaction")?;
        laying_down.execute_batch(INCOMING).during(OPERATION)?;
        let mut chats = Chats {
            connection: &laying_down,
            created_at_ms,
            messages: 0,
            talks: 0,
            done: ChatImport::default(),
            progress,
        };
        read(&mut chats)?;
        let done = chats.done;
        laying_down.commit().during(OPERATION)?;
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).during("begin a transaction")?;
        let done = store(&transaction, agent, done)?;
        transaction.execute_batch("DROP TABLE temp.incoming").during(OPERATION)?;
        transaction.commit().during(OPERATION)?;
        Ok(done)
    }
}

fn wrong(line: Option<u64>, reason: impl Into<String>) -> Error {
    Error::BadImport { line, reason: reason.into() }
}

impl Chats<'_> {
    /// Reads messages, one JSON object a line. All of them are one conversation.
    ///
    /// # Errors
    /// [`Error::BadImport`]; the input or the database failed.
    pub fn read_lines(&mut self, input: &mut dyn BufRead) -> Result<()> {
        let mut talk = self.begin();
        let budget = Budget::default();
        let mut input = BufReader::new(Metered { input, budget: &budget });
        let mut number = 0;
        loop {
            number += 1;
            budget.next_piece();
            let Some(line) = next_line(&mut input, number)? else { return Ok(()) };
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let value = line_value(&line, &budget).map_err(|error| wrong(Some(number), error.to_string()))?;
            match plain(&value) {
                Some(said) => self.lay_down(&mut talk, &said).map_err(|error| match error {
                    Error::BadImport { line: None, reason } => wrong(Some(number), reason),
                    other => other,
                })?,
                None if is_other_role(&value) => self.done.skipped += 1,
                None => return Err(wrong(Some(number), "it is no message: role and text (or content) are wanted")),
            }
        }
    }

    /// Reads a JSON document: an array of conversations or messages, or one conversation.
    ///
    /// # Errors
    /// [`Error::BadImport`]; the database failed.
    pub fn read_document(&mut self, input: &mut dyn BufRead) -> Result<()> {
        let budget = Budget::default();
        let input = BufReader::new(Metered { input, budget: &budget });
        let mut deserializer = serde_json::Deserializer::from_reader(input);
        let mut loose = self.begin();
        let mut take = |value: Value| match (conversation(&value), plain(&value)) {
            (Some(talk), _) => {
                self.done.skipped += talk.left_out;
                let mut begun = self.begin();
                talk.said.iter().try_for_each(|said| self.lay_down(&mut begun, said))
            }
            (None, Some(said)) => self.lay_down(&mut loose, &said),
            (None, None) => {
                self.done.skipped += 1;
                Ok(())
            }
        };
        let mut failed = None;
        let read = Pieces { budget: &budget, take: &mut take, failed: &mut failed }
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end());
        match failed {
            Some(error) => Err(error),
            None => read.map_err(|error| wrong(None, error.to_string())),
        }
    }

    fn begin(&mut self) -> Begun {
        self.talks += 1;
        Begun { number: self.talks, begun_ms: None, last_ms: self.created_at_ms }
    }

    fn lay_down(&mut self, talk: &mut Begun, said: &Said) -> Result<()> {
        if said.text.trim().is_empty() || said.text.len() > MAX_MESSAGE_BYTES {
            self.done.skipped += 1;
            return Ok(());
        }
        self.messages += 1;
        if self.messages > MAX_MESSAGES {
            return Err(wrong(None, format!("it holds more than {MAX_MESSAGES} messages")));
        }
        talk.last_ms = said.at_ms.unwrap_or(talk.last_ms);
        self.done.conversations += u64::from(talk.begun_ms.is_none());
        let begun_ms = *talk.begun_ms.get_or_insert(talk.last_ms);
        let speaker = said.speaker.as_ref().filter(|speaker| speaker.len() <= MAX_SPEAKER_BYTES);
        self.connection
            .prepare_cached(
                "INSERT INTO temp.incoming (begun_ms, talk, at_ms, by_user, speaker, text)
                 VALUES (:begun_ms, :talk, :at_ms, :by_user, :speaker, :text)",
            )
            .and_then(|mut statement| {
                statement.execute(named_params! {
                    ":begun_ms": begun_ms,
                    ":talk": talk.number,
                    ":at_ms": talk.last_ms,
                    ":by_user": said.by_user,
                    ":speaker": speaker,
                    ":text": said.text,
                })
            })
            .during(OPERATION)?;
        if self.messages.is_multiple_of(PROGRESS_MESSAGES) {
            (self.progress)(self.messages);
        }
        Ok(())
    }
}

/// What tells messages from each other; half a digest is more than enough.
type Key = [u8; 16];

fn key(kind: &str, at_ms: i64, text: &str) -> Key {
    let mut hasher = Hasher::default();
    hasher.update(kind.as_bytes());
    hasher.update(&at_ms.to_le_bytes());
    hasher.update(text.as_bytes());
    let [key @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = hasher.bytes();
    key
}

/// How often each message of the time of those that come is in storage already, also where it was removed: it was not
/// wanted then.
fn known(connection: &Connection, agent: i64) -> rusqlite::Result<HashMap<Key, u32>> {
    let mut found = HashMap::new();
    let mut statement = connection.prepare(
        "SELECT kind, at_ms, searchable FROM messages WHERE agent_id = :agent AND searchable IS NOT NULL
         AND at_ms BETWEEN (SELECT min(at_ms) FROM temp.incoming) AND (SELECT max(at_ms) FROM temp.incoming)",
    )?;
    let mut rows = statement.query(named_params! {":agent": agent})?;
    while let Some(row) = rows.next()? {
        let key = key(row.get_ref(0)?.as_str()?, row.get(1)?, row.get_ref(2)?.as_str()?);
        *found.entry(key).or_insert(0) += 1;
    }
    Ok(found)
}

/// Runs over the messages that come, in the order of time.
fn each_incoming(connection: &Connection, take: &mut dyn FnMut(i64, Said) -> Result<()>) -> Result<()> {
    let mut statement = connection
        .prepare("SELECT at_ms, by_user, speaker, text FROM temp.incoming ORDER BY begun_ms, talk, position")
        .during(OPERATION)?;
    let mut rows = statement.query([]).during(OPERATION)?;
    while let Some(row) = rows.next().during(OPERATION)? {
        let read = || -> rusqlite::Result<(i64, Said)> {
            let at_ms = row.get(0)?;
            Ok((at_ms, Said { by_user: row.get(1)?, text: row.get(3)?, at_ms: Some(at_ms), speaker: row.get(2)? }))
        };
        let (at_ms, said) = read().during(OPERATION)?;
        take(at_ms, said)?;
    }
    Ok(())
}

fn body(said: Said) -> Body {
    if said.by_user {
        Body::User { text: said.text }
    } else {
        Body::Assistant { thoughts: None, text: Some(said.text), call: None }
    }
}

/// Stores what was laid down and is not known.
fn store(connection: &Connection, agent: i64, mut done: ChatImport) -> Result<ChatImport> {
    let mut known = known(connection, agent).during("read the messages")?;
    let mut is_new = Vec::new();
    each_incoming(connection, &mut |at_ms, said| {
        let body = body(said);
        let key = key(kind_name(&body), at_ms, body.searchable_text().unwrap_or_default());
        let count = known.get_mut(&key).filter(|count| **count > 0);
        is_new.push(count.is_none());
        if let Some(count) = count {
            *count -= 1;
        }
        Ok(())
    })?;
    done.added = is_new.iter().filter(|is_new| **is_new).count() as u64;
    done.known = is_new.len() as u64 - done.added;
    let lowest: i64 = connection
        .query_row("SELECT min(0, coalesce(min(id), 0)) FROM messages", [], |row| row.get(0))
        .during(OPERATION)?;
    let mut id = lowest.saturating_sub_unsigned(done.added);
    let mut is_new = is_new.into_iter();
    each_incoming(connection, &mut |at_ms, mut said| {
        if is_new.next() != Some(true) {
            return Ok(());
        }
        let speaker = said.speaker.take();
        let body = body(said);
        let json = serde_json::to_string(&body).map_err(|source| Error::BadRow { table: "messages", id, source })?;
        connection
            .prepare_cached(
                "INSERT INTO messages (id, agent_id, at_ms, kind, body, searchable, in_queue, speaker)
                 VALUES (:id, :agent, :at_ms, :kind, :body, :searchable, 0, :speaker)",
            )
            .and_then(|mut statement| {
                statement.execute(named_params! {
                    ":id": id,
                    ":agent": agent,
                    ":at_ms": at_ms,
                    ":kind": kind_name(&body),
                    ":body": json,
                    ":searchable": body.searchable_text(),
                    ":speaker": speaker,
                })
            })
            .during(OPERATION)?;
        id += 1;
        Ok(())
    })?;
    Ok(done)
}
