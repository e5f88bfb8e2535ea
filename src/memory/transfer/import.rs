//! Making an agent of records. Everything is one transaction: a file that is wrong anywhere leaves nothing behind.

use std::io::BufRead;

use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, named_params};
use sha2::{Digest, Sha256};

use super::super::Store;
use super::super::error::{During, Error, Result};
use super::super::main_context::BlockLabel;
use super::super::messages::{indexed_text, kind_name};
use super::super::state::State;
use super::super::text::normalised;
use super::bounded::{Budget, file_value, line_value};
use super::documents::Sources;
use super::export::count;
use super::record::{
    AgentRecord, AttachmentRecord, BlockRecord, CheckpointRecord, EditRecord, FORMAT, MessageRecord, PassageRecord,
    Record, TurnRecord, VERSION, WaitingRecord,
};
use super::state::{Renumber, renumber};
use super::{AgentForm, MAX_LINE_BYTES, Transferred, letta, next_line, shown_time};
use crate::types::{Body, validate_name};

/// Most messages and most passages of one file: far more than a lifetime of talk.
const MAX_ROWS: usize = 20_000_000;
/// Largest agent file of Letta, in bytes: it is read as one document.
const MAX_LETTA_BYTES: u64 = 512 << 20;
/// Most characters that a block may be limited to; see the configuration's own bound.
const MAX_LIMIT_CHARS: u32 = 20_000;
/// Records between two calls of the progress function.
const PROGRESS_RECORDS: u64 = 1000;

impl Store {
    /// Creates an agent from a file, under `name` or the name in the file. `progress` is told the records read so far.
    ///
    /// # Errors
    /// [`Error::BadImport`] says what is wrong and where; the name breaks the naming rule or is taken; the database
    /// failed. Nothing was created then.
    pub fn import_agent(
        &mut self,
        form: AgentForm,
        input: &mut dyn BufRead,
        name: Option<&str>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Transferred> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).during("begin a transaction")?;
        let mut import = Import::new(&transaction, name);
        match form {
            AgentForm::Mneme => {
                read_lines(input, &mut import, &Budget::of_agent(MAX_LINE_BYTES as u64), progress)?;
            }
            AgentForm::Letta => {
                let file =
                    file_value(input, &Budget::of_agent(MAX_LETTA_BYTES)).map_err(|error| wrong(error.to_string()))?;
                let (records, notices) = letta::to_records(&file)?;
                import.done.notices = notices;
                for record in records {
                    import.take(record)?;
                }
            }
        }
        let done = import.finish()?;
        transaction.commit().during("store the agent")?;
        Ok(done)
    }
}

fn wrong(reason: impl Into<String>) -> Error {
    Error::BadImport { line: None, reason: reason.into() }
}

fn read_lines(
    input: &mut dyn BufRead,
    import: &mut Import<'_>,
    budget: &Budget,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let mut number = 0;
    loop {
        number += 1;
        budget.next_piece();
        let at_line = |error| match error {
            Error::BadImport { line: None, reason } => Error::BadImport { line: Some(number), reason },
            other => other,
        };
        let Some(line) = next_line(input, number)? else {
            return Err(at_line(wrong("the file ends too early: its last record is missing")));
        };
        let record = line_value(&line, budget)
            .and_then(serde_json::from_value)
            .map_err(|error| at_line(wrong(error.to_string())))?;
        if let Record::End { records } = record {
            let found = number - 1;
            let complete = records == found;
            return if complete {
                Ok(())
            } else {
                Err(at_line(wrong(format!("{found} records instead of {records}"))))
            };
        }
        import.take(record).map_err(at_line)?;
        if number % PROGRESS_RECORDS == 0 {
            progress(number);
        }
    }
}

/// An agent that is being made.
struct Import<'a> {
    transaction: &'a Transaction<'a>,
    name: Option<&'a str>,
    agent: Option<i64>,
    passed_message: u64,
    blocks: Vec<BlockLabel>,
    has_summary: bool,
    rows: Rows,
    sources: Sources<'a>,
    done: Transferred,
}

/// Row ids by number, from 1.
#[derive(Default)]
struct Rows {
    messages: Vec<i64>,
    passages: Vec<i64>,
}

fn row(ids: &[i64], number: i64) -> Option<i64> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    ids.get(index).copied()
}

fn row_up_to(ids: &[i64], number: i64) -> i64 {
    row(ids, number).or_else(|| if number > 0 { ids.last().copied() } else { None }).unwrap_or(0)
}

impl Renumber for Rows {
    fn message(&self, id: i64) -> Option<i64> {
        row(&self.messages, id)
    }

    fn last_message(&self, id: i64) -> i64 {
        row_up_to(&self.messages, id)
    }

    fn passage(&self, id: i64) -> Option<i64> {
        row(&self.passages, id)
    }

    fn last_passage(&self, id: i64) -> i64 {
        row_up_to(&self.passages, id)
    }
}

impl<'a> Import<'a> {
    fn new(transaction: &'a Transaction<'a>, name: Option<&'a str>) -> Self {
        Self {
            transaction,
            name,
            agent: None,
            passed_message: 0,
            blocks: Vec::new(),
            has_summary: false,
            rows: Rows::default(),
            sources: Sources::new(transaction),
            done: Transferred::default(),
        }
    }

    /// Stores one record.
    fn take(&mut self, record: Record) -> Result<()> {
        count(&mut self.done, &record);
        if let Record::Agent(agent) = record {
            return self.agent(&agent);
        }
        let agent = self.agent.ok_or_else(|| wrong("the first record is not the agent"))?;
        match record {
            Record::Block(block) => self.block(agent, &block),
            Record::Message(message) => self.message(agent, &message),
            Record::Passage(passage) => self.passage(agent, &passage),
            Record::Edit(edit) => self.edit(agent, &edit),
            Record::Checkpoint(checkpoint) => self.checkpoint(agent, checkpoint),
            Record::Turn(turn) => self.turn(agent, turn),
            Record::Source(source) => {
                if !self.sources.source(&source)? {
                    self.done.notices.push(format!("The source {} was there already; it stays as it is.", source.name));
                }
                Ok(())
            }
            Record::Document(document) => self.sources.document(&document),
            Record::Part(part) => self.sources.part(&part),
            Record::Attachment(attachment) => self.attachment(agent, &attachment),
            Record::Waiting(waiting) => self.waiting(agent, &waiting),
            Record::Agent(_) | Record::End { .. } => Err(wrong("a record stands where it cannot")),
        }
    }

    /// Checks that the agent is whole.
    fn finish(self) -> Result<Transferred> {
        let agent = self.agent.ok_or_else(|| wrong("it holds no agent"))?;
        if self.blocks.len() != BlockLabel::ALL.len() {
            return Err(wrong("a block of core memory is missing"));
        }
        let passed = row_up_to(&self.rows.messages, i64::try_from(self.passed_message).unwrap_or(i64::MAX));
        self.transaction
            .execute(
                "UPDATE agents SET passed_message_id = :passed WHERE id = :agent",
                named_params! {":passed": passed, ":agent": agent},
            )
            .during("store the agent")?;
        Ok(self.done)
    }

    fn agent(&mut self, agent: &AgentRecord) -> Result<()> {
        if self.agent.is_some() {
            return Err(wrong("it holds a second agent"));
        }
        if agent.format != FORMAT {
            return Err(wrong(format!("its format is {:?} instead of {FORMAT:?}", agent.format)));
        }
        if agent.version > VERSION {
            return Err(wrong(format!("its version is {}; this program knows up to {VERSION}", agent.version)));
        }
        let name = self.name.unwrap_or(&agent.name);
        validate_name(name)?;
        let times = [Some(agent.created_at_ms), agent.last_login_at_ms, agent.heartbeats_paused_until_ms];
        times.into_iter().flatten().try_for_each(|at_ms| time(at_ms).map(drop))?;
        let taken: bool = self
            .transaction
            .query_row(
                "SELECT EXISTS (SELECT 1 FROM agents WHERE name = :name)",
                named_params! {":name": name},
                |row| row.get(0),
            )
            .during("look up the agent")?;
        if taken {
            return Err(Error::AgentExists { name: name.to_owned() });
        }
        self.transaction
            .execute(
                "INSERT INTO agents (name, created_at_ms, model, profile, context_window_tokens, last_login_at_ms,
                     memory_pressure_warned, heartbeats_paused_until_ms, instructions, chosen_model)
                 VALUES (:name, :created, :model, :profile, :window, :login, :warned, :paused, :instructions, :chosen)",
                named_params! {
                    ":name": name,
                    ":created": agent.created_at_ms,
                    ":model": agent.model,
                    ":profile": agent.profile,
                    ":window": agent.context_window_tokens,
                    ":login": agent.last_login_at_ms,
                    ":warned": agent.memory_pressure_warned,
                    ":paused": agent.heartbeats_paused_until_ms,
                    ":instructions": agent.instructions,
                    ":chosen": agent.chosen_model,
                },
            )
            .during("store the agent")?;
        self.agent = Some(self.transaction.last_insert_rowid());
        self.passed_message = agent.passed_message;
        self.done.agent = name.to_owned();
        Ok(())
    }

    fn block(&mut self, agent: i64, block: &BlockRecord) -> Result<()> {
        if self.blocks.contains(&block.label) {
            return Err(wrong(format!("the block {} comes twice", block.label)));
        }
        if !(1..=MAX_LIMIT_CHARS).contains(&block.limit_chars) {
            return Err(wrong(format!("limit_chars is {}; it must be from 1 to {MAX_LIMIT_CHARS}", block.limit_chars)));
        }
        let chars = block.text.chars().count();
        if chars > MAX_LIMIT_CHARS as usize {
            return Err(wrong(format!("the block {} has {chars} characters", block.label)));
        }
        self.blocks.push(block.label);
        self.transaction
            .prepare_cached(
                "INSERT INTO core_memory (agent_id, label, text, limit_chars) VALUES (:agent, :label, :text, :limit)",
            )
            .and_then(|mut statement| {
                statement.execute(named_params! {
                    ":agent": agent,
                    ":label": block.label.as_str(),
                    ":text": block.text,
                    ":limit": block.limit_chars,
                })
            })
            .during("store core memory")?;
        Ok(())
    }

    fn message(&mut self, agent: i64, message: &MessageRecord) -> Result<()> {
        room(self.rows.messages.len(), "messages")?;
        if matches!(message.body, Body::Summary { .. }) && message.in_queue && !message.hidden {
            if self.has_summary {
                return Err(wrong("the queue has two summaries"));
            }
            self.has_summary = true;
        }
        let at_ms = time(message.at_ms)?;
        let body = serde_json::to_string(&message.body).map_err(|error| wrong(error.to_string()))?;
        // A reply that is still being written is indexed when it is finished.
        let searchable = if message.streaming { None } else { indexed_text(&message.body) };
        self.transaction
            .prepare_cached(
                "INSERT INTO messages (agent_id, at_ms, kind, body, searchable, interrupted, stub, state, in_queue,
                     hidden, speaker)
                 VALUES (:agent, :at_ms, :kind, :body, :searchable, :interrupted, :stub, :state, :in_queue, :hidden,
                     :speaker)",
            )
            .and_then(|mut statement| {
                statement.execute(named_params! {
                    ":agent": agent,
                    ":at_ms": at_ms,
                    ":kind": kind_name(&message.body),
                    ":body": body,
                    ":searchable": searchable,
                    ":interrupted": message.interrupted,
                    ":stub": message.stub,
                    ":state": if message.streaming { "streaming" } else { "complete" },
                    ":in_queue": message.in_queue,
                    ":hidden": message.hidden,
                    ":speaker": message.speaker,
                })
            })
            .during("store a message")?;

        self.rows.messages.push(self.transaction.last_insert_rowid());
        Ok(())
    }

    fn passage(&mut self, agent: i64, passage: &PassageRecord) -> Result<()> {
        room(self.rows.passages.len(), "passages")?;
        if passage.text.trim().is_empty() {
            return Err(wrong("a passage is empty"));
        }
        let fingerprint = Sha256::digest(normalised(&passage.text)).to_vec();
        let at_ms = time(passage.at_ms)?;
        self.transaction
            .prepare_cached(
                "INSERT INTO passages (agent_id, at_ms, text, source, place, fingerprint, hidden)
                 VALUES (:agent, :at_ms, :text, :source, :place, :fingerprint, :hidden)",
            )
            .and_then(|mut statement| {
                statement.execute(named_params! {
                    ":agent": agent,
                    ":at_ms": at_ms,
                    ":text": passage.text,
                    ":source": passage.source,
                    ":place": passage.place,
                    ":fingerprint": fingerprint,
                    ":hidden": passage.hidden,
                })
            })
            .during("store a passage")?;
        self.rows.passages.push(self.transaction.last_insert_rowid());
        Ok(())
    }

    fn edit(&mut self, agent: i64, edit: &EditRecord) -> Result<()> {
        let message = self.named_message("an edit", edit.message)?;
        let at_ms = time(edit.at_ms)?;
        self.transaction
            .prepare_cached(
                "INSERT INTO block_edits (agent_id, label, before_text, after_text, at_ms, message_id, cause)
                 VALUES (:agent, :label, :before, :after, :at_ms, :message, :cause)",
            )
            .and_then(|mut statement| {
                statement.execute(named_params! {
                    ":agent": agent,
                    ":label": edit.label.as_str(),
                    ":before": edit.before,
                    ":after": edit.after,
                    ":at_ms": at_ms,
                    ":message": message,
                    ":cause": edit.cause,
                })
            })
            .during("store an edit")?;
        Ok(())
    }

    /// The row of a message that another record names.
    fn named_message(&self, by: &str, number: Option<u64>) -> Result<Option<i64>> {
        let Some(number) = number else { return Ok(None) };
        let id = i64::try_from(number).ok().and_then(|number| self.rows.message(number));
        id.map(Some).ok_or_else(|| wrong(format!("{by} names message {number}, which is not there")))
    }

    /// A state with the rows of this database. One that could not be put back is refused here, not when it is wanted.
    fn state(&self, mut state: serde_json::Value, of: &str) -> Result<String> {
        let refused = |reason: String| wrong(format!("{of}: {reason}"));
        renumber(&mut state, &self.rows).map_err(refused)?;
        let json = state.to_string();
        serde_json::from_str::<State>(&json).map_err(|error| refused(error.to_string()))?;
        Ok(json)
    }

    fn turn(&mut self, agent: i64, turn: TurnRecord) -> Result<()> {
        let message = self.named_message("a turn", turn.message)?;
        if message.is_none() && !turn.undone {
            return Err(wrong("a turn has no message"));
        }
        let at_ms = time(turn.at_ms)?;
        let state = self.state(turn.state, "a turn")?;
        self.transaction
            .prepare_cached(
                "INSERT INTO turn_marks (agent_id, message_id, at_ms, undone, state)
                 VALUES (:agent, :message, :at_ms, :undone, :state)",
            )
            .and_then(|mut statement| {
                statement.execute(named_params! {
                    ":agent": agent,
                    ":message": message,
                    ":at_ms": at_ms,
                    ":undone": turn.undone,
                    ":state": state,
                })
            })
            .during("store a turn")?;
        Ok(())
    }

    fn checkpoint(&mut self, agent: i64, checkpoint: CheckpointRecord) -> Result<()> {
        validate_name(&checkpoint.name)?;
        let at_ms = time(checkpoint.at_ms)?;
        let state = self.state(checkpoint.state, &format!("checkpoint {}", checkpoint.name))?;
        self.transaction
            .prepare_cached(
                "INSERT INTO checkpoints (agent_id, name, at_ms, state) VALUES (:agent, :name, :at_ms, :state)
                 ON CONFLICT DO NOTHING",
            )
            .and_then(|mut statement| {
                statement.execute(named_params! {
                    ":agent": agent,
                    ":name": checkpoint.name,
                    ":at_ms": at_ms,
                    ":state": state,
                })
            })
            .during("store a checkpoint")?;
        Ok(())
    }

    fn attachment(&mut self, agent: i64, attachment: &AttachmentRecord) -> Result<()> {
        validate_name(&attachment.source)?;
        let at_ms = time(attachment.at_ms)?;
        let operation = "attach a source";
        let source: Option<i64> = self
            .transaction
            .query_row("SELECT id FROM sources WHERE name = :name", named_params! {":name": attachment.source}, |row| {
                row.get(0)
            })
            .optional()
            .during(operation)?;
        let Some(source) = source else {
            self.done.notices.push(format!(
                "The source {} was attached; it is not in this home. Load it, then attach it again.",
                attachment.source
            ));
            return Ok(());
        };
        self.transaction
            .execute(
                "INSERT INTO attachments (agent_id, source_id, at_ms) VALUES (:agent, :source, :at_ms)
                 ON CONFLICT DO NOTHING",
                named_params! {":agent": agent, ":source": source, ":at_ms": at_ms},
            )
            .during(operation)?;
        Ok(())
    }

    fn waiting(&mut self, agent: i64, waiting: &WaitingRecord) -> Result<()> {
        let at_ms = time(waiting.at_ms)?;
        self.transaction
            .prepare_cached("INSERT INTO inbox (agent_id, at_ms, text) VALUES (:agent, :at_ms, :text)")
            .and_then(|mut statement| {
                statement.execute(named_params! {":agent": agent, ":at_ms": at_ms, ":text": waiting.text})
            })
            .during("store a message that waits")?;
        Ok(())
    }
}

fn time(at_ms: i64) -> Result<i64> {
    shown_time(at_ms).ok_or_else(|| wrong(format!("{at_ms} is no point in time")))
}

fn room(rows: usize, what: &str) -> Result<()> {
    if rows < MAX_ROWS { Ok(()) } else { Err(wrong(format!("it holds more than {MAX_ROWS} {what}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_that_would_fill_the_memory_is_refused() {
        // A list takes many times the bytes that it is spelled with.
        let zeros = format!("[{}0]", "0,".repeat(20_000_000));
        for (form, text) in [
            (AgentForm::Mneme, format!("{{\"type\":\"agent\",\"more\":{zeros}}}\n")),
            (AgentForm::Letta, format!("{{\"agents\":{zeros}}}")),
        ] {
            let mut store = Store::open_in_memory().unwrap();
            let error = store.import_agent(form, &mut text.as_bytes(), None, &mut |_| {}).unwrap_err();
            assert!(error.to_string().contains("bytes of memory"), "{form:?}: {error}");
            assert!(store.agents().unwrap().is_empty());
        }
    }
}
