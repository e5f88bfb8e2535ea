//! Reading an agent's memory: core memory, queue, counts and searches, outside and inside of a step.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::{Connection, OptionalExtension, named_params};

use super::agent::to_i64;
use super::error::{During, Result};
use super::main_context::{BlockLabel, CoreBlock, CoreMemory, MainContext, compose};
use super::store::agent_info;
use super::{AgentInfo, ArchivalHit, NearestMessages, Page, RecallHit, archival, messages, queue_manager, recall};
use crate::types::{Message, MessageId, PassageId, RecallCounts};

// Every generation asks how much there is to be found. What counts reads an index that holds all it needs; rows are read
// only where they are few, or where the first one is the answer.
const CONVERSATION: &str =
    "messages INDEXED BY messages_said WHERE agent_id = :agent AND searchable IS NOT NULL AND hidden = 0";
const EVICTED_CONVERSATION: &str = "messages INDEXED BY messages_said
     WHERE agent_id = :agent AND searchable IS NOT NULL AND hidden = 0 AND in_queue = 0";
const OWN_PASSAGES: &str = "passages INDEXED BY passages_by_fingerprint WHERE agent_id = :agent";
const OWN_HIDDEN_PASSAGES: &str = "passages INDEXED BY passages_hidden WHERE agent_id = :agent AND hidden = 1";
const VISIBLE_OWN_PASSAGES: &str = "passages INDEXED BY passages_by_fingerprint WHERE agent_id = :agent AND hidden = 0";
const DOCUMENT_PASSAGES: &str = "attachments a CROSS JOIN documents d ON d.source_id = a.source_id
     CROSS JOIN passages p INDEXED BY passages_of_document ON p.document_id = d.id WHERE a.agent_id = :agent";
const HIDDEN_DOCUMENT_PASSAGES: &str = "passages p INDEXED BY passages_hidden
     CROSS JOIN documents d ON d.id = p.document_id CROSS JOIN attachments a ON a.source_id = d.source_id
     WHERE p.agent_id IS NULL AND p.hidden = 1 AND a.agent_id = :agent";
const VISIBLE_DOCUMENT_PASSAGES: &str = "attachments a CROSS JOIN documents d ON d.source_id = a.source_id
     CROSS JOIN passages p INDEXED BY passages_of_document ON p.document_id = d.id
     WHERE a.agent_id = :agent AND p.hidden = 0";

/// One edit of a core-memory block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockEdit {
    /// Which block.
    pub label: BlockLabel,
    /// Its text before.
    pub before: String,
    /// Its text after.
    pub after: String,
    /// When, UTC milliseconds.
    pub at_ms: i64,
    /// The message that caused it.
    pub message_id: Option<MessageId>,
    /// What caused it: the name of a function or command.
    pub cause: String,
}

/// The memory of an agent, for reading. Within a [`super::Step`] it sees what the step has changed.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub(super) connection: &'a Connection,
    pub(super) agent: i64,
}

impl View<'_> {
    /// What the list of agents shows.
    ///
    /// # Errors
    /// The database failed.
    pub fn info(&self) -> Result<AgentInfo> {
        self.connection
            .prepare_cached(
                "SELECT name, created_at_ms, model, profile, context_window_tokens, last_login_at_ms FROM agents
                 WHERE id = :agent",
            )
            .and_then(|mut statement| statement.query_row(named_params! {":agent": self.agent}, agent_info))
            .during("read the agent")
    }

    /// Whether the model has been warned in this period.
    ///
    /// # Errors
    /// The database failed.
    pub fn is_warned(&self) -> Result<bool> {
        self.connection
            .prepare_cached("SELECT memory_pressure_warned FROM agents WHERE id = :agent")
            .and_then(|mut statement| statement.query_row(named_params! {":agent": self.agent}, |row| row.get(0)))
            .during("read the agent")
    }

    /// The user's own system instructions; none where the default ones hold.
    ///
    /// # Errors
    /// The database failed.
    pub fn instructions(&self) -> Result<Option<String>> {
        self.setting("instructions")
    }

    /// The model that the user has chosen for this agent; none where that of the config holds.
    ///
    /// # Errors
    /// The database failed.
    pub fn chosen_model(&self) -> Result<Option<String>> {
        self.setting("chosen_model")
    }

    fn setting(&self, column: &'static str) -> Result<Option<String>> {
        self.connection
            .prepare_cached(&format!("SELECT {column} FROM agents WHERE id = :agent"))
            .and_then(|mut statement| statement.query_row(named_params! {":agent": self.agent}, |row| row.get(0)))
            .during("read the agent")
    }

    /// Until when timed heartbeats are paused, UTC milliseconds; also where that is past.
    ///
    /// # Errors
    /// The database failed.
    pub fn heartbeats_paused_until_ms(&self) -> Result<Option<i64>> {
        self.connection
            .prepare_cached("SELECT heartbeats_paused_until_ms FROM agents WHERE id = :agent")
            .and_then(|mut statement| statement.query_row(named_params! {":agent": self.agent}, |row| row.get(0)))
            .during("read the agent")
    }

    /// The oldest message of the user that no memory pass has looked at.
    ///
    /// # Errors
    /// The database failed, or the row cannot be understood.
    pub fn next_unpassed(&self) -> Result<Option<Message>> {
        let id: Option<i64> = self.of_unpassed("min(id)")?;
        id.map_or(Ok(None), |id| self.message(MessageId(id)))
    }

    /// How many messages of the user no memory pass has looked at.
    ///
    /// # Errors
    /// The database failed.
    pub fn unpassed_count(&self) -> Result<usize> {
        Ok(usize::try_from(self.of_unpassed::<i64>("count(*)")?).unwrap_or_default())
    }

    fn of_unpassed<T: rusqlite::types::FromSql>(&self, aggregate: &'static str) -> Result<T> {
        self.connection
            .prepare_cached(&format!(
                "SELECT {aggregate} FROM messages WHERE agent_id = :agent AND kind = 'user' AND hidden = 0
                 AND id > (SELECT passed_message_id FROM agents WHERE id = :agent)"
            ))
            .and_then(|mut statement| statement.query_row(named_params! {":agent": self.agent}, |row| row.get(0)))
            .during("look for messages without a memory pass")
    }

    /// The newest message of the user, where nothing was said after it. One that is out of view waits for no answer: it
    /// was said to another program, and imported.
    ///
    /// # Errors
    /// The database failed, or the row cannot be understood.
    pub fn unanswered(&self) -> Result<Option<Message>> {
        // What the two say to each other is searchable, and nothing else is. The plus keeps SQLite from sorting all of
        // it: the newest rows are looked at first.
        let last: Option<(i64, bool)> = self
            .connection
            .prepare_cached(
                "SELECT id, kind = 'user' AND in_queue = 1 FROM messages
                 WHERE +agent_id = :agent AND hidden = 0 AND searchable IS NOT NULL ORDER BY id DESC LIMIT 1",
            )
            .and_then(|mut statement| {
                let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
                statement.query_row(named_params! {":agent": self.agent}, read).optional()
            })
            .during("look for a message without an answer")?;
        match last {
            Some((id, true)) => self.message(MessageId(id)),
            _ => Ok(None),
        }
    }

    /// Whether there is a checkpoint of this name.
    ///
    /// # Errors
    /// The database failed.
    pub fn has_checkpoint(&self, name: &str) -> Result<bool> {
        self.connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM checkpoints WHERE agent_id = :agent AND name = :name)")
            .and_then(|mut statement| {
                statement.query_row(named_params! {":agent": self.agent, ":name": name}, |row| row.get(0))
            })
            .during("look for a checkpoint")
    }

    /// Both blocks of core memory.
    ///
    /// # Errors
    /// The database failed.
    pub fn core(&self) -> Result<CoreMemory> {
        Ok(CoreMemory { persona: self.block(BlockLabel::Persona)?, human: self.block(BlockLabel::Human)? })
    }

    /// One block of core memory.
    ///
    /// # Errors
    /// The database failed.
    pub fn block(&self, label: BlockLabel) -> Result<CoreBlock> {
        let read = || {
            self.connection
                .prepare_cached("SELECT text, limit_chars FROM core_memory WHERE agent_id = :agent AND label = :label")?
                .query_row(named_params! {":agent": self.agent, ":label": label.as_str()}, |row| {
                    let limit_chars = usize::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
                    Ok(CoreBlock { label, text: row.get(0)?, limit_chars })
                })
        };
        read().during("read core memory")
    }

    /// The last edits of core memory, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub fn block_edits(&self, at_most: usize) -> Result<Vec<BlockEdit>> {
        let read = || {
            self.connection
                .prepare_cached(
                    "SELECT label, before_text, after_text, at_ms, message_id, cause FROM block_edits
                     WHERE agent_id = :agent ORDER BY id DESC LIMIT :at_most",
                )?
                .query_map(named_params! {":agent": self.agent, ":at_most": to_i64(at_most)}, |row| {
                    Ok(BlockEdit {
                        // The table's CHECK lets nothing else in.
                        label: BlockLabel::parse(&row.get::<_, String>(0)?).unwrap_or(BlockLabel::Human),
                        before: row.get(1)?,
                        after: row.get(2)?,
                        at_ms: row.get(3)?,
                        message_id: row.get::<_, Option<i64>>(4)?.map(MessageId),
                        cause: row.get(5)?,
                    })
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().during("read the history of core memory")
    }

    /// The queue, oldest first, the summary before all others.
    ///
    /// # Errors
    /// The database failed, or a row cannot be understood.
    pub fn queue(&self) -> Result<Vec<Message>> {
        messages::queue(self.connection, self.agent)
    }

    /// Everything that the model sees.
    ///
    /// # Errors
    /// The database failed, or a row cannot be understood.
    pub fn main_context(&self, instructions: &str) -> Result<MainContext> {
        Ok(compose(instructions, &self.core()?, self.queue()?))
    }

    /// One message, also when it is evicted or hidden.
    ///
    /// # Errors
    /// The database failed, or the row cannot be understood.
    pub fn message(&self, id: MessageId) -> Result<Option<Message>> {
        messages::get(self.connection, self.agent, id)
    }

    /// Messages in recall storage: all that were recorded and not removed, summaries apart.
    ///
    /// # Errors
    /// The database failed.
    pub fn recall_count(&self) -> Result<u64> {
        self.count("messages WHERE agent_id = :agent AND hidden = 0 AND state = 'complete' AND kind <> 'summary'")
    }

    /// Messages in recall storage, by who or what they are from.
    ///
    /// # Errors
    /// The database failed.
    pub fn recall_counts(&self) -> Result<RecallCounts> {
        let read = || {
            self.connection
                .prepare_cached(
                    "SELECT count(*) FILTER (WHERE kind = 'user'), count(*) FILTER (WHERE kind = 'assistant'),
                     count(*) FILTER (WHERE kind = 'function_result'), count(*) FILTER (WHERE kind = 'notification')
                     FROM messages WHERE agent_id = :agent AND hidden = 0 AND state = 'complete'",
                )?
                .query_row(named_params! {":agent": self.agent}, |row| {
                    let count = |index: usize| row.get(index).map(|count: i64| count.unsigned_abs());
                    Ok(RecallCounts {
                        user: count(0)?,
                        assistant: count(1)?,
                        function_results: count(2)?,
                        events: count(3)?,
                    })
                })
        };
        read().during("count messages")
    }

    /// Messages that a search can find: what the user and the agent said to each other.
    ///
    /// # Errors
    /// The database failed.
    pub fn conversation_count(&self) -> Result<u64> {
        self.count(CONVERSATION)
    }

    /// Whether a search can find messages that are not in the queue.
    ///
    /// # Errors
    /// The database failed.
    pub fn has_evicted_conversation(&self) -> Result<bool> {
        self.exists(EVICTED_CONVERSATION)
    }

    /// Passages that a search in archival storage can find: the agent's own and those of the sources attached to it.
    ///
    /// Cost: an entry of an index is read for each, no row.
    ///
    /// # Errors
    /// The database failed.
    pub fn archival_count(&self) -> Result<u64> {
        let own = self.count(OWN_PASSAGES)?.saturating_sub(self.count(OWN_HIDDEN_PASSAGES)?);
        let of_documents = self.count(DOCUMENT_PASSAGES)?.saturating_sub(self.count(HIDDEN_DOCUMENT_PASSAGES)?);
        Ok(own + of_documents)
    }

    /// Whether a search in archival storage can find anything.
    ///
    /// # Errors
    /// The database failed.
    pub fn has_passages(&self) -> Result<bool> {
        Ok(self.exists(VISIBLE_OWN_PASSAGES)? || self.exists(VISIBLE_DOCUMENT_PASSAGES)?)
    }

    fn exists(&self, rows: &'static str) -> Result<bool> {
        self.connection
            .prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM {rows})"))
            .and_then(|mut statement| statement.query_row(named_params! {":agent": self.agent}, |row| row.get(0)))
            .during("look for rows")
    }

    fn count(&self, rows: &'static str) -> Result<u64> {
        let count: i64 = self
            .connection
            .prepare_cached(&format!("SELECT count(*) FROM {rows}"))
            .and_then(|mut statement| statement.query_row(named_params! {":agent": self.agent}, |row| row.get(0)))
            .during("count rows")?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Searches what was said, best first. Every string is a legal query; an empty one finds nothing. Pages count
    /// from 0.
    ///
    /// # Errors
    /// The database failed.
    pub fn search(&self, query: &str, page: u64, page_size: u64) -> Result<Page<RecallHit>> {
        recall::search(self, query, None, page, page_size)
    }

    /// As [`View::search`], by words and meaning: `nearest` gives the messages whose vectors are most like the query's.
    ///
    /// # Errors
    /// The database or `nearest` failed.
    pub fn search_meaning(
        &self,
        query: &str,
        nearest: NearestMessages<'_>,
        page: u64,
        page_size: u64,
    ) -> Result<Page<RecallHit>> {
        recall::search(self, query, Some(nearest), page, page_size)
    }

    /// The single messages that a search leads to, best first: what is hit and the turns around it, each where it ranks.
    ///
    /// # Errors
    /// The database or `nearest` failed.
    pub fn rank_messages(
        &self,
        query: &str,
        nearest: Option<NearestMessages<'_>>,
        at_most: usize,
    ) -> Result<Vec<MessageId>> {
        recall::rank_messages(self, query, nearest, at_most)
    }

    /// Messages ranked by the words of each alone (BM25), without the turns around them: the measure that searches are
    /// held against.
    ///
    /// # Errors
    /// The database failed.
    pub fn rank_single_turns(&self, query: &str, at_most: usize) -> Result<Vec<MessageId>> {
        recall::rank_single_turns(self, query, at_most)
    }

    /// What was said from `start` to `end`, both days included, oldest first. The days are those of `zone`; if `start`
    /// is the later one, the two are exchanged. Pages count from 0.
    ///
    /// # Errors
    /// The database failed.
    pub fn search_date(
        &self,
        start: Date,
        end: Date,
        zone: &TimeZone,
        page: u64,
        page_size: u64,
    ) -> Result<Page<RecallHit>> {
        recall::search_date(self, start, end, zone, page, page_size)
    }

    /// One of the agent's own passages.
    ///
    /// # Errors
    /// [`super::Error::UnknownPassage`]; the database failed.
    pub fn own_passage(&self, id: PassageId) -> Result<ArchivalHit> {
        archival::own(self, id)
    }

    /// The passages that a search can find, the newest first. Pages count from 0.
    ///
    /// # Errors
    /// The database failed.
    pub fn passages(&self, page: u64, page_size: u64) -> Result<Page<ArchivalHit>> {
        archival::list(self, page, page_size)
    }

    /// Searches the passages by words, best first. Every string is a legal query; an empty one finds nothing. Pages
    /// count from 0.
    ///
    /// # Errors
    /// The database failed.
    pub fn archival_search(&self, query: &str, page: u64, page_size: u64) -> Result<Page<ArchivalHit>> {
        archival::search(self, query, page, page_size)
    }

    /// The whole text of a message that was paged out, whether it is in the queue or not; none of any other message.
    ///
    /// # Errors
    /// The database failed.
    pub fn paged_out_text(&self, id: MessageId) -> Result<Option<String>> {
        let message = messages::paged_out(self.connection, self.agent, id)?;
        Ok(message.and_then(|message| queue_manager::paged_out_text(&message)))
    }

    /// A passage that a search can find.
    ///
    /// # Errors
    /// [`super::Error::UnknownPassage`]; the database failed.
    pub fn passage(&self, id: PassageId) -> Result<ArchivalHit> {
        archival::visible(self, id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Store;

    #[test]
    fn what_there_is_to_be_found_is_counted_without_a_look_at_all_rows() {
        let store = Store::open_in_memory().unwrap();
        let explained = |sql: &str, column: usize| -> Vec<String> {
            let mut statement = store.connection.prepare(sql).unwrap();
            let lines = statement.query_map(named_params! {":agent": 1}, |row| row.get(column)).unwrap();
            lines.collect::<rusqlite::Result<_>>().unwrap()
        };
        for rows in [
            CONVERSATION,
            EVICTED_CONVERSATION,
            OWN_PASSAGES,
            OWN_HIDDEN_PASSAGES,
            VISIBLE_OWN_PASSAGES,
            DOCUMENT_PASSAGES,
            HIDDEN_DOCUMENT_PASSAGES,
            VISIBLE_DOCUMENT_PASSAGES,
        ] {
            let plan = explained(&format!("EXPLAIN QUERY PLAN SELECT count(*) FROM {rows}"), 3);
            assert!(plan.iter().all(|line| line.starts_with("SEARCH ")), "{plan:?}");
        }
        for rows in [OWN_PASSAGES, DOCUMENT_PASSAGES] {
            let plan = explained(&format!("EXPLAIN QUERY PLAN SELECT count(*) FROM {rows}"), 3);
            let of_passages = |line: &&String| line.contains("passages_");
            assert!(plan.iter().find(of_passages).unwrap().contains("USING COVERING INDEX"), "{plan:?}");
        }
        // The condition of the index itself needs no row, though the plan does not say so.
        let program = explained(&format!("EXPLAIN SELECT count(*) FROM {CONVERSATION}"), 1);
        assert!(program.iter().all(|operation| operation != "Column"), "{program:?}");
    }
}
