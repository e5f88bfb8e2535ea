//! One transaction over an agent's memory: what a step of the agent changes is stored as a whole or not at all.

use rusqlite::{Connection, Transaction, named_params};

use super::agent::to_i64;
use super::error::{During, EditError, Error, Result};
use super::main_context::{BlockLabel, CoreBlock};
use super::vectors::Vectors;
use super::{
    ArchivalHit, Embedding, Inserted, Page, RecallHit, Retaken, Undone, View, archival, checkpoint, inbox, messages,
    recall, turns,
};
use crate::types::{Body, InboxId, Message, MessageId, NewMessage, PassageId};

/// A transaction under way. Dropping it without [`Step::commit`] takes everything back.
///
/// The message recorded last is remembered as the cause of the edits that follow: record the call, make its edit,
/// record the result, commit.
#[derive(Debug)]
pub struct Step<'a> {
    transaction: Transaction<'a>,
    agent: i64,
    at_ms: i64,
    cause_message: Option<MessageId>,
    vectors: &'a Vectors,
}

impl<'a> Step<'a> {
    pub(super) fn new(transaction: Transaction<'a>, agent: i64, at_ms: i64, vectors: &'a Vectors) -> Self {
        Self { transaction, agent, at_ms, cause_message: None, vectors }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.transaction
    }

    pub(super) fn agent(&self) -> i64 {
        self.agent
    }

    /// For reading; sees what this step has changed.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View { connection: &self.transaction, agent: self.agent }
    }

    /// Stores everything.
    ///
    /// # Errors
    /// The database failed; nothing of the step is stored.
    pub fn commit(self) -> Result<()> {
        self.commit_as("commit a step")
    }

    pub(super) fn commit_as(self, operation: &'static str) -> Result<()> {
        self.transaction.commit().during(operation)
    }

    /// Adds a message to recall storage and to the end of the queue.
    ///
    /// # Errors
    /// The database failed.
    pub fn record(&mut self, message: &NewMessage) -> Result<Message> {
        let message = messages::insert(&self.transaction, self.agent, message)?;
        self.cause_message = Some(message.id);
        Ok(message)
    }

    /// Records what the user said and remembers the state before it, for [`Step::undo`]. To be called before anything
    /// else of the turn is written.
    ///
    /// # Errors
    /// The database failed.
    pub fn begin_turn(&mut self, message: &NewMessage) -> Result<Message> {
        let message = turns::begin(&self.transaction, self.agent, message)?;
        self.cause_message = Some(message.id);
        Ok(message)
    }

    /// Puts core memory, archival storage, queue and what belongs to them back to before the last `count` turns.
    ///
    /// # Errors
    /// [`Error::TooFewTurns`]; the database failed.
    pub fn undo(&mut self, count: usize) -> Result<Undone> {
        turns::undo(&self.transaction, self.agent, count, self.at_ms)
    }

    /// Brings back `count` turns that were taken back.
    ///
    /// # Errors
    /// [`Error::TooFewUndone`]; the database failed.
    pub fn redo(&mut self, count: usize) -> Result<()> {
        turns::redo(&self.transaction, self.agent, count, self.at_ms)
    }

    /// Takes back all that followed the last message of the user, which then waits for its answer.
    ///
    /// # Errors
    /// [`Error::NoTurn`]; the database failed.
    pub fn retake(&mut self) -> Result<Retaken> {
        turns::retake(&self.transaction, self.agent, self.at_ms)
    }

    /// Replaces the text of the agent's last reply. What stood there is hidden, not changed.
    ///
    /// # Errors
    /// [`Error::NothingToReplace`]; the database failed.
    pub fn rewrite_reply(&mut self, new_text: &str) -> Result<Message> {
        self.replace_last("reply", |body| match body {
            Body::Assistant { thoughts, text: Some(_), call } => {
                let (thoughts, call) = (thoughts.clone(), call.clone());
                Some(Body::Assistant { thoughts, text: Some(new_text.to_owned()), call })
            }
            _ => None,
        })
    }

    /// Replaces the agent's last inner thought. What stood there is hidden, not changed.
    ///
    /// # Errors
    /// [`Error::NothingToReplace`]; the database failed.
    pub fn rewrite_thoughts(&mut self, new_thoughts: &str) -> Result<Message> {
        self.replace_last("inner thought", |body| match body {
            Body::Assistant { thoughts: Some(_), text, call } => {
                let (text, call) = (text.clone(), call.clone());
                Some(Body::Assistant { thoughts: Some(new_thoughts.to_owned()), text, call })
            }
            _ => None,
        })
    }

    fn replace_last(&mut self, what: &'static str, replaced: impl Fn(&Body) -> Option<Body>) -> Result<Message> {
        let queue = self.view().queue()?;
        let since = queue.iter().rev().take_while(|message| !matches!(message.body, Body::User { .. }));
        let found = since.filter_map(|message| Some((message.id, replaced(&message.body)?))).next();
        let (id, body) = found.ok_or(Error::NothingToReplace { what })?;
        messages::replace(&self.transaction, self.agent, id, body)
    }

    /// Puts another text in the place of a block, as the user wrote it; `before` is the text that it is to replace,
    /// none for whatever stands there.
    ///
    /// # Errors
    /// [`Error::BlockTooLong`], [`Error::BlockChanged`], or [`Error::Edit`] where nothing would change; the database
    /// failed.
    pub fn set_block(&mut self, label: BlockLabel, before: Option<&str>, text: &str) -> Result<CoreBlock> {
        let block = self.view().block(label)?;
        let text = text.replace("\r\n", "\n").trim().to_owned();
        if before.is_some_and(|before| before != block.text) {
            return Err(Error::BlockChanged { label });
        }
        if text == block.text {
            return Err(EditError::NoChange.into());
        }
        let (chars, limit_chars) = (text.chars().count(), block.limit_chars);
        if chars > limit_chars {
            return Err(Error::BlockTooLong { label, chars, limit_chars });
        }
        turns::drop_redo(&self.transaction, self.agent)?;
        self.cause_message = None;
        self.write_block(block, text, "core")
    }

    /// What was taken back cannot be brought back any more: the user has changed something in another way than by a
    /// message.
    ///
    /// # Errors
    /// The database failed.
    pub fn drop_redo(&mut self) -> Result<()> {
        turns::drop_redo(&self.transaction, self.agent)
    }

    /// Remembers the model that the agent runs on from now on, with its window; `chosen` is what the user called it,
    /// none for that of the config.
    ///
    /// # Errors
    /// The database failed.
    pub fn switch_model(&mut self, chosen: Option<&str>, model: &str, window_tokens: usize) -> Result<()> {
        self.transaction
            .prepare_cached(
                "UPDATE agents SET chosen_model = :chosen, model = :model, context_window_tokens = :window
                 WHERE id = :agent",
            )
            .and_then(|mut statement| {
                statement.execute(named_params! {
                    ":chosen": chosen,
                    ":model": model,
                    ":window": to_i64(window_tokens),
                    ":agent": self.agent,
                })
            })
            .during("remember the model")?;
        Ok(())
    }

    /// Puts the user's own system instructions in the place of the default ones; none: the default.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_instructions(&mut self, instructions: Option<&str>) -> Result<()> {
        self.transaction
            .prepare_cached("UPDATE agents SET instructions = :text WHERE id = :agent")
            .and_then(|mut statement| statement.execute(named_params! {":text": instructions, ":agent": self.agent}))
            .during("swap the system instructions")?;
        Ok(())
    }

    /// As [`Step::record`], for a message of a talk between people with names: searches that name a speaker prefer what
    /// that one said. A blank name is none.
    ///
    /// # Errors
    /// The database failed.
    pub fn record_said_by(&mut self, speaker: &str, message: &NewMessage) -> Result<Message> {
        let message = self.record(message)?;
        if !speaker.trim().is_empty() {
            messages::set_speaker(&self.transaction, self.agent, message.id, speaker.trim())?;
        }
        Ok(message)
    }

    /// Puts everything of the agent back to a checkpoint (none: the newest) and gives back its name. What came later is
    /// hidden, not deleted: a later checkpoint brings it back.
    ///
    /// # Errors
    /// There is no such checkpoint, or the database failed.
    pub fn load_checkpoint(&mut self, name: Option<&str>) -> Result<String> {
        checkpoint::load(&self.transaction, self.agent, name, self.at_ms)
    }

    /// Takes a text out of the inbox: it is recorded in this step, or given back to the user.
    ///
    /// # Errors
    /// The database failed.
    pub fn take_out(&mut self, entry: InboxId) -> Result<()> {
        inbox::take_out(&self.transaction, self.agent, entry)
    }

    /// The edits that follow were brought about by this message.
    pub fn caused_by(&mut self, message: MessageId) {
        self.cause_message = Some(message);
    }

    /// No timed heartbeat comes before `until_ms`, UTC milliseconds.
    ///
    /// # Errors
    /// The database failed.
    pub fn pause_heartbeats(&mut self, until_ms: i64) -> Result<()> {
        self.transaction
            .prepare_cached("UPDATE agents SET heartbeats_paused_until_ms = :until WHERE id = :agent")
            .and_then(|mut statement| statement.execute(named_params! {":agent": self.agent, ":until": until_ms}))
            .during("pause heartbeats")?;
        Ok(())
    }

    /// When this step happens, UTC milliseconds.
    #[must_use]
    pub const fn at_ms(&self) -> i64 {
        self.at_ms
    }

    /// A memory pass has looked at this message and all before it.
    ///
    /// # Errors
    /// The database failed.
    pub fn pass_over(&mut self, message: MessageId) -> Result<()> {
        self.transaction
            .prepare_cached("UPDATE agents SET passed_message_id = :message WHERE id = :agent")
            .and_then(|mut statement| statement.execute(named_params! {":agent": self.agent, ":message": message.0}))
            .during("note a memory pass")?;
        Ok(())
    }

    pub(super) fn begin_reply(&mut self, at_ms: i64) -> Result<MessageId> {
        messages::insert_streaming(&self.transaction, self.agent, at_ms)
    }

    pub(super) fn update_reply(&mut self, id: MessageId, body: &Body) -> Result<()> {
        messages::update_streaming(&self.transaction, self.agent, id, body)
    }

    /// See [`super::AgentMemory::finish_reply`]. What streamed may turn out to be a call: the row then takes its place
    /// in the queue, and its result is recorded after it.
    ///
    /// # Errors
    /// No such reply is streaming, or the database failed.
    pub fn finish_reply(&mut self, id: MessageId, body: &Body, interrupted: bool) -> Result<Message> {
        let message = messages::finish_streaming(&self.transaction, self.agent, id, body, interrupted)?;
        self.cause_message = Some(message.id);
        Ok(message)
    }

    pub(super) fn recover_streaming(&mut self) -> Result<Vec<Message>> {
        messages::recover_streaming(&self.transaction, self.agent)
    }

    pub(super) fn recover_inbox(&mut self) -> Result<Vec<Message>> {
        inbox::recover(&self.transaction, self.agent)
    }

    /// See [`super::AgentMemory::evict`].
    ///
    /// # Errors
    /// The database failed.
    pub fn evict(&mut self, ids: &[MessageId], summary_text: &str, at_ms: i64) -> Result<Message> {
        let summary = messages::evict(&self.transaction, self.agent, ids, summary_text, at_ms)?;
        self.transaction
            .prepare_cached("UPDATE agents SET memory_pressure_warned = 0 WHERE id = :agent")
            .and_then(|mut statement| statement.execute(named_params! {":agent": self.agent}))
            .during("evict messages")?;
        Ok(summary)
    }

    /// Sets what the model sees instead of a message; none shows the message again.
    ///
    /// # Errors
    /// There is no such message, or the database failed.
    pub fn set_stub(&mut self, id: MessageId, stub: Option<&str>) -> Result<()> {
        messages::set_stub(&self.transaction, self.agent, id, stub)
    }

    /// Adds a line to a block of core memory and gives the block back as it is then.
    ///
    /// # Errors
    /// [`super::Error::Edit`] if the edit is refused: the step goes on, nothing was changed. Any other: the database
    /// failed.
    pub fn core_append(&mut self, label: BlockLabel, content: &str) -> Result<CoreBlock> {
        let block = self.view().block(label)?;
        let text = block.appended(content)?;
        self.write_block(block, text, "core_memory_append")
    }

    /// Replaces or deletes a line of a block and gives the block back as it is then. See [`CoreBlock::replaced`].
    ///
    /// # Errors
    /// As for [`Step::core_append`].
    pub fn core_replace(&mut self, label: BlockLabel, old_content: &str, new_content: &str) -> Result<CoreBlock> {
        let block = self.view().block(label)?;
        let text = block.replaced(old_content, new_content)?;
        self.write_block(block, text, "core_memory_replace")
    }

    fn write_block(&mut self, block: CoreBlock, text: String, cause: &str) -> Result<CoreBlock> {
        let edit = Edit { label: block.label, before: &block.text, after: &text };
        write_block(&self.transaction, self.agent, &edit, self.at_ms, self.cause_message, cause)?;
        Ok(CoreBlock { text, ..block })
    }

    /// Adds a passage to archival storage. `source` names where it comes from, if not from the model.
    ///
    /// # Errors
    /// [`super::Error::Edit`] if the text is empty or stored already: nothing was changed. Any other: the database
    /// failed.
    pub fn archival_insert(&mut self, text: &str, source: Option<&str>) -> Result<Inserted> {
        self.archival_insert_embedded(text, source, None)
    }

    /// The same with the embedding of the text, which is stored with it: a passage that says nearly the same is then
    /// also noticed by its meaning.
    ///
    /// # Errors
    /// As for [`Step::archival_insert`]; [`super::Error::BadVectors`].
    pub fn archival_insert_embedded(
        &mut self,
        text: &str,
        source: Option<&str>,
        embedding: Option<&Embedding>,
    ) -> Result<Inserted> {
        archival::insert(&self.view(), &self.vectors.passages, text, source, embedding, self.at_ms)
    }

    /// The same without a look for a passage that says nearly the same, which takes longer than all else.
    ///
    /// # Errors
    /// As for [`Step::archival_insert`].
    pub(super) fn archival_insert_unlike(&mut self, text: &str, source: Option<&str>) -> Result<PassageId> {
        archival::insert_unlike(&self.view(), text, source, self.at_ms)
    }

    /// Adds a passage as it is, for imports: it is compared with no other. `at_ms` is when it was stored first, UTC
    /// milliseconds.
    ///
    /// # Errors
    /// The text is empty, or the database failed.
    pub fn archival_import(&mut self, text: &str, source: Option<&str>, at_ms: i64) -> Result<PassageId> {
        archival::import(&self.view(), text, source, at_ms)
    }

    /// Takes one of the agent's own passages out of search, listing and counts, as the user wants. What brings back the
    /// memory of before, a checkpoint or an undo, brings it back.
    ///
    /// # Errors
    /// [`super::Error::UnknownPassage`]; the database failed.
    pub fn archival_delete(&mut self, id: PassageId) -> Result<()> {
        archival::delete(&self.view(), id)?;
        turns::drop_redo(&self.transaction, self.agent)
    }

    /// Searches what was said, best first: by words ([`View::search`]) and, where there is an embedding of the query, by
    /// meaning. Pages count from 0.
    ///
    /// # Errors
    /// The database failed.
    pub fn conversation_search(
        &self,
        query: &str,
        embedding: Option<&Embedding>,
        page: u64,
        page_size: u64,
    ) -> Result<Page<RecallHit>> {
        recall::search_hybrid(&self.view(), self.vectors, query, embedding, page, page_size)
    }

    /// Searches the passages, best first: by words ([`View::archival_search`]) and, where there is an embedding of the
    /// query, by meaning, fused as [`super::FusionLimits`] says. Pages count from 0.
    ///
    /// The total counts each passage once that the words find or that is among the nearest to the embedding and near
    /// enough ([`super::FusionLimits::similarity_floor`]): everything that the pages show, and nothing else.
    ///
    /// # Errors
    /// The database failed.
    pub fn archival_search(
        &self,
        query: &str,
        embedding: Option<&Embedding>,
        page: u64,
        page_size: u64,
    ) -> Result<Page<ArchivalHit>> {
        archival::search_hybrid(&self.view(), &self.vectors.passages, query, embedding, page, page_size)
    }
}

/// A block's text before and after.
pub(super) struct Edit<'a> {
    pub(super) label: BlockLabel,
    pub(super) before: &'a str,
    pub(super) after: &'a str,
}

/// Writes a block and the history of the edit.
pub(super) fn write_block(
    connection: &Connection,
    agent: i64,
    edit: &Edit<'_>,
    at_ms: i64,
    message: Option<MessageId>,
    cause: &str,
) -> Result<()> {
    let write = || -> rusqlite::Result<()> {
        connection
            .prepare_cached("UPDATE core_memory SET text = :text WHERE agent_id = :agent AND label = :label")?
            .execute(named_params! {":text": edit.after, ":agent": agent, ":label": edit.label.as_str()})?;
        connection
            .prepare_cached(
                "INSERT INTO block_edits (agent_id, label, before_text, after_text, at_ms, message_id, cause)
                 VALUES (:agent, :label, :before, :after, :at_ms, :message, :cause)",
            )?
            .execute(named_params! {
                ":agent": agent,
                ":label": edit.label.as_str(),
                ":before": edit.before,
                ":after": edit.after,
                ":at_ms": at_ms,
                ":message": message.map(|id| id.0),
                ":cause": cause,
            })?;
        Ok(())
    };
    write().during("edit core memory")
}
