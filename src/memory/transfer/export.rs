//! Reading an agent as records, and writing them in one of the two forms. An agent that is open in a chat is exported
//! as it was at one moment: everything is read in one transaction.

use std::io::Write;

use rusqlite::{Connection, named_params};

use super::super::error::{During, Error, Result};
use super::super::main_context::BlockLabel;
use super::super::{Store, View};
use super::documents::read_sources;
use super::record::{
    AgentRecord, AttachmentRecord, BlockRecord, CheckpointRecord, EditRecord, FORMAT, MessageRecord, PassageRecord,
    Record, TurnRecord, VERSION, WaitingRecord,
};
use super::state::{Renumber, renumber};
use super::{AgentForm, Transferred, letta};

/// What is done with each record.
pub(super) type Emit<'a> = dyn FnMut(Record) -> Result<()> + 'a;

impl Store {
    /// Writes the agent `name` as one file, the documents of its sources included where it is `with_sources` (our own
    /// form only).
    ///
    /// # Errors
    /// There is no such agent, a row cannot be understood, or `out` cannot be written.
    pub fn export_agent(
        &self,
        name: &str,
        form: AgentForm,
        with_sources: bool,
        out: &mut dyn Write,
    ) -> Result<Transferred> {
        let transaction = self.connection.unchecked_transaction().during("begin a transaction")?;
        let agent = self.known_agent_id(name)?;
        let mut done = Transferred { agent: name.to_owned(), ..Transferred::default() };
        let fail = |source| Error::Transfer { operation: "write the export", source };
        match form {
            AgentForm::Mneme => {
                let mut records = 0;
                let mut write = |record: &Record| {
                    let line = serde_json::to_string(record).map_err(|error| fail(error.into()))?;
                    writeln!(out, "{line}").map_err(fail)
                };
                let mut emit = |record| {
                    count(&mut done, &record);
                    records += 1;
                    write(&record)
                };
                read(&transaction, agent, &mut emit)?;
                if with_sources {
                    read_sources(&transaction, agent, &mut emit)?;
                }
                read_rest(&transaction, agent, &mut emit)?;
                write(&Record::End { records })?;
            }
            AgentForm::Letta => {
                let mut records = Vec::new();
                let mut emit = |record| {
                    count(&mut done, &record);
                    records.push(record);
                    Ok(())
                };
                read(&transaction, agent, &mut emit)?;
                read_rest(&transaction, agent, &mut emit)?;
                let (file, notices) = letta::to_file(records);
                done.notices = notices;
                serde_json::to_writer_pretty(&mut *out, &file).map_err(|error| fail(error.into()))?;
                writeln!(out).map_err(fail)?;
            }
        }
        out.flush().map_err(fail)?;
        Ok(done)
    }
}

/// Counts a record as part of what was transferred.
pub(super) const fn count(done: &mut Transferred, record: &Record) {
    match record {
        Record::Message(_) => done.messages += 1,
        Record::Passage(_) => done.passages += 1,
        Record::Edit(_) => done.edits += 1,
        Record::Checkpoint(_) => done.checkpoints += 1,
        Record::Document(_) => done.documents += 1,
        _ => {}
    }
}

/// Numbers from 1 for row ids.
struct Numbers {
    messages: Vec<i64>,
    passages: Vec<i64>,
}

fn number(ids: &[i64], id: i64) -> Option<i64> {
    ids.binary_search(&id).ok().map(|index| as_i64(index) + 1)
}

fn number_up_to(ids: &[i64], id: i64) -> i64 {
    as_i64(ids.partition_point(|known| *known <= id))
}

fn as_i64(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

impl Renumber for Numbers {
    fn message(&self, id: i64) -> Option<i64> {
        number(&self.messages, id)
    }

    fn last_message(&self, id: i64) -> i64 {
        number_up_to(&self.messages, id)
    }

    fn passage(&self, id: i64) -> Option<i64> {
        number(&self.passages, id)
    }

    fn last_passage(&self, id: i64) -> i64 {
        number_up_to(&self.passages, id)
    }
}

/// Gives out everything of an agent but what is beside it, in the order of the file.
fn read(connection: &Connection, agent: i64, emit: &mut Emit<'_>) -> Result<()> {
    let ids = |table: &str| {
        connection
            .prepare(&format!("SELECT id FROM {table} WHERE agent_id = :agent ORDER BY id"))?
            .query_map(named_params! {":agent": agent}, |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<i64>>>()
    };
    let operation = "read the agent";
    let numbers =
        Numbers { messages: ids("messages").during(operation)?, passages: ids("passages").during(operation)? };
    emit(Record::Agent(read_agent(connection, agent, &numbers).during(operation)?))?;
    let view = View { connection, agent };
    for label in BlockLabel::ALL {
        let block = view.block(label)?;
        let limit_chars = u32::try_from(block.limit_chars).unwrap_or(u32::MAX);
        emit(Record::Block(BlockRecord { label, text: block.text, limit_chars }))?;
    }
    read_messages(connection, agent, emit)?;
    read_passages(connection, agent, emit)?;
    read_edits(connection, agent, &numbers, emit)?;
    read_checkpoints(connection, agent, &numbers, emit)?;
    read_turns(connection, agent, &numbers, emit)
}

fn read_agent(connection: &Connection, agent: i64, numbers: &Numbers) -> rusqlite::Result<AgentRecord> {
    connection.query_row(
        "SELECT name, created_at_ms, model, profile, context_window_tokens, last_login_at_ms, memory_pressure_warned,
             passed_message_id, heartbeats_paused_until_ms, instructions, chosen_model FROM agents WHERE id = :agent",
        named_params! {":agent": agent},
        |row| {
            Ok(AgentRecord {
                format: FORMAT.to_owned(),
                version: VERSION,
                name: row.get(0)?,
                created_at_ms: row.get(1)?,
                model: row.get(2)?,
                profile: row.get(3)?,
                context_window_tokens: row.get(4)?,
                last_login_at_ms: row.get(5)?,
                memory_pressure_warned: row.get(6)?,
                passed_message: u64::try_from(numbers.last_message(row.get(7)?)).unwrap_or(0),
                heartbeats_paused_until_ms: row.get(8)?,
                instructions: row.get(9)?,
                chosen_model: row.get(10)?,
            })
        },
    )
}

/// Runs a query over the rows of an agent and hands each to `take`.
pub(super) fn each(
    connection: &Connection,
    agent: i64,
    sql: &str,
    operation: &'static str,
    take: &mut dyn FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<Result<()>>,
) -> Result<()> {
    let mut statement = connection.prepare(sql).during(operation)?;
    let mut rows = statement.query(named_params! {":agent": agent}).during(operation)?;
    while let Some(row) = rows.next().during(operation)? {
        take(row).during(operation)??;
    }
    Ok(())
}

fn read_messages(connection: &Connection, agent: i64, emit: &mut Emit<'_>) -> Result<()> {
    let sql = "SELECT id, at_ms, body, interrupted, stub, state = 'streaming', in_queue, hidden, speaker FROM messages
               WHERE agent_id = :agent ORDER BY id";
    each(connection, agent, sql, "read the messages", &mut |row| {
        let (id, json): (i64, String) = (row.get(0)?, row.get(2)?);
        let body = match serde_json::from_str(&json) {
            Ok(body) => body,
            Err(source) => return Ok(Err(Error::BadRow { table: "messages", id, source })),
        };
        Ok(emit(Record::Message(MessageRecord {
            at_ms: row.get(1)?,
            body,
            interrupted: row.get(3)?,
            stub: row.get(4)?,
            streaming: row.get(5)?,
            in_queue: row.get(6)?,
            hidden: row.get(7)?,
            speaker: row.get(8)?,
        })))
    })
}

fn read_passages(connection: &Connection, agent: i64, emit: &mut Emit<'_>) -> Result<()> {
    let sql = "SELECT at_ms, text, source, place, hidden FROM passages WHERE agent_id = :agent ORDER BY id";
    each(connection, agent, sql, "read the passages", &mut |row| {
        Ok(emit(Record::Passage(PassageRecord {
            at_ms: row.get(0)?,
            text: row.get(1)?,
            source: row.get(2)?,
            place: row.get(3)?,
            hidden: row.get(4)?,
        })))
    })
}

fn read_edits(connection: &Connection, agent: i64, numbers: &Numbers, emit: &mut Emit<'_>) -> Result<()> {
    let sql = "SELECT label, before_text, after_text, at_ms, message_id, cause FROM block_edits
               WHERE agent_id = :agent ORDER BY id";
    each(connection, agent, sql, "read the history of core memory", &mut |row| {
        let message = row.get::<_, Option<i64>>(4)?.and_then(|id| numbers.message(id));
        Ok(emit(Record::Edit(EditRecord {
            // The table's CHECK lets nothing else in.
            label: BlockLabel::parse(&row.get::<_, String>(0)?).unwrap_or(BlockLabel::Human),
            before: row.get(1)?,
            after: row.get(2)?,
            at_ms: row.get(3)?,
            message: message.and_then(|number| u64::try_from(number).ok()),
            cause: row.get(5)?,
        })))
    })
}

fn read_checkpoints(connection: &Connection, agent: i64, numbers: &Numbers, emit: &mut Emit<'_>) -> Result<()> {
    let sql = "SELECT id, name, at_ms, state FROM checkpoints WHERE agent_id = :agent ORDER BY id";
    each(connection, agent, sql, "read the checkpoints", &mut |row| {
        let (id, json): (i64, String) = (row.get(0)?, row.get(3)?);
        let (name, at_ms) = (row.get(1)?, row.get(2)?);
        Ok(renumbered(&json, numbers)
            .map_err(|source| Error::BadRow { table: "checkpoints", id, source })
            .and_then(|state| emit(Record::Checkpoint(CheckpointRecord { name, at_ms, state }))))
    })
}

/// A stored state with the numbers of the file.
fn renumbered(json: &str, numbers: &Numbers) -> serde_json::Result<serde_json::Value> {
    let mut state = serde_json::from_str(json)?;
    renumber(&mut state, numbers).map_err(<serde_json::Error as serde::de::Error>::custom)?;
    Ok(state)
}

fn read_turns(connection: &Connection, agent: i64, numbers: &Numbers, emit: &mut Emit<'_>) -> Result<()> {
    let sql = "SELECT id, message_id, at_ms, undone, state FROM turn_marks WHERE agent_id = :agent ORDER BY id";
    each(connection, agent, sql, "read the turns", &mut |row| {
        let (id, json): (i64, String) = (row.get(0)?, row.get(4)?);
        let message = row.get::<_, Option<i64>>(1)?.and_then(|id| numbers.message(id));
        let message = message.and_then(|number| u64::try_from(number).ok());
        let (at_ms, undone) = (row.get(2)?, row.get(3)?);
        Ok(renumbered(&json, numbers)
            .map_err(|source| Error::BadRow { table: "turn_marks", id, source })
            .and_then(|state| emit(Record::Turn(TurnRecord { message, at_ms, undone, state }))))
    })
}

fn read_rest(connection: &Connection, agent: i64, emit: &mut Emit<'_>) -> Result<()> {
    let attachments = "SELECT s.name, a.at_ms FROM attachments a JOIN sources s ON s.id = a.source_id
                       WHERE a.agent_id = :agent ORDER BY s.name";
    each(connection, agent, attachments, "read the attached sources", &mut |row| {
        Ok(emit(Record::Attachment(AttachmentRecord { source: row.get(0)?, at_ms: row.get(1)? })))
    })?;
    let waiting = "SELECT at_ms, text FROM inbox WHERE agent_id = :agent ORDER BY id";
    each(connection, agent, waiting, "read the inbox", &mut |row| {
        Ok(emit(Record::Waiting(WaitingRecord { at_ms: row.get(0)?, text: row.get(1)? })))
    })
}
