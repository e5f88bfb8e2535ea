//! An agent's memory: the handle by which everything of one agent is changed.
//!
//! Every method here that changes something is one transaction of its own. What must be changed together goes through
//! [`Step`].

use rusqlite::{TransactionBehavior, named_params};

use super::error::{During, Error, Result};
use super::forget::{self, Forgotten};
use super::main_context::BlockLabel;
use super::vectors::{Scope, Vectors, embed_rows, pending_count};
use super::wanted::Wanted;
use super::{
    ArchivalHit, Embed, Embedded, Embedding, Inbox, IndexSize, Page, RecallHit, Step, Store, View, archival,
    checkpoint, messages, recall,
};
use crate::types::{Body, Cancel, FileLock, InboxId, Message, MessageId, NewMessage, PassageId, validate_name};

/// Characters of a core-memory block, unless the config says otherwise: the paper's limit.
const DEFAULT_LIMIT_CHARS: usize = 2000;

/// What a new agent begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAgent {
    /// Its name.
    pub name: String,
    /// Text of the block `persona`.
    pub persona: String,
    /// Text of the block `human`.
    pub human: String,
    /// Limit of the block `persona`, in characters.
    pub persona_limit_chars: usize,
    /// Limit of the block `human`, in characters.
    pub human_limit_chars: usize,
    /// Name or path of the model.
    pub model: String,
    /// Profile, as the caller spells it.
    pub profile: String,
    /// Context window in tokens.
    pub context_window_tokens: usize,
    /// When it is created, UTC milliseconds.
    pub at_ms: i64,
}

impl NewAgent {
    /// An agent with empty blocks of 2000 characters each and no model yet.
    #[must_use]
    pub fn named(name: &str, at_ms: i64) -> Self {
        Self {
            name: name.to_owned(),
            persona: String::new(),
            human: String::new(),
            persona_limit_chars: DEFAULT_LIMIT_CHARS,
            human_limit_chars: DEFAULT_LIMIT_CHARS,
            model: String::new(),
            profile: String::new(),
            context_window_tokens: 0,
            at_ms,
        }
    }
}

/// The memory of one agent. While it is open, no other process can open the same agent.
#[derive(Debug)]
pub struct AgentMemory {
    store: Store,
    id: i64,
    vectors: Vectors,
    recovered_replies: Vec<Message>,
    recovered_messages: Vec<Message>,
    _lock: Option<FileLock>,
}

impl AgentMemory {
    /// Creates an agent.
    ///
    /// # Errors
    /// The name breaks the naming rule or is taken, a text is over its limit, or the database failed.
    pub fn create(mut store: Store, agent: &NewAgent) -> Result<Self> {
        validate_name(&agent.name)?;
        let blocks = [
            (BlockLabel::Persona, &agent.persona, agent.persona_limit_chars),
            (BlockLabel::Human, &agent.human, agent.human_limit_chars),
        ];
        for (label, text, limit_chars) in blocks {
            let chars = text.trim().chars().count();
            if chars > limit_chars {
                return Err(Error::BlockTooLong { label, chars, limit_chars });
            }
        }
        if store.has_agent(&agent.name)? {
            return Err(Error::AgentExists { name: agent.name.clone() });
        }
        let mut create = || -> rusqlite::Result<()> {
            let transaction = store.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute(
                "INSERT INTO agents (name, created_at_ms, model, profile, context_window_tokens)
                 VALUES (:name, :at_ms, :model, :profile, :window)",
                named_params! {
                    ":name": agent.name,
                    ":at_ms": agent.at_ms,
                    ":model": agent.model,
                    ":profile": agent.profile,
                    ":window": to_i64(agent.context_window_tokens),
                },
            )?;
            let id = transaction.last_insert_rowid();
            for (label, text, limit_chars) in blocks {
                transaction.execute(
                    "INSERT INTO core_memory (agent_id, label, text, limit_chars)
                     VALUES (:agent, :label, :text, :limit_chars)",
                    named_params! {
                        ":agent": id,
                        ":label": label.as_str(),
                        ":text": text.trim(),
                        ":limit_chars": to_i64(limit_chars),
                    },
                )?;
            }
            transaction.commit()
        };
        create().during("create the agent")?;
        Self::open(store, &agent.name)
    }

    /// The agent's number in its database, which it keeps when it is renamed.
    #[must_use]
    pub const fn id(&self) -> i64 {
        self.id
    }

    /// Opens an agent. A reply that was streaming when its process died becomes an interrupted message, and what waited
    /// in the inbox becomes messages of the user.
    ///
    /// # Errors
    /// There is no such agent, another process has it open, or the database failed.
    pub fn open(store: Store, name: &str) -> Result<Self> {
        validate_name(name)?;
        let id = store.known_agent_id(name)?;
        let lock = store.lock_agent(id, name)?;
        let mut memory = Self {
            store,
            id,
            vectors: Vectors::new(),
            recovered_replies: Vec::new(),
            recovered_messages: Vec::new(),
            _lock: lock,
        };
        (memory.recovered_replies, memory.recovered_messages) = memory
            .transact("take up what an ended process left", |step| {
                Ok((step.recover_streaming()?, step.recover_inbox()?))
            })?;
        Ok(memory)
    }

    /// The database that holds the agent.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Closes the agent and gives the database back.
    #[must_use]
    pub fn into_store(self) -> Store {
        self.store
    }

    /// Deletes the agent with everything that belongs to it, and gives the database back.
    ///
    /// # Errors
    /// The database failed; nothing was deleted.
    pub fn discard(self) -> Result<Store> {
        self.store
            .connection
            .execute("DELETE FROM agents WHERE id = :agent", named_params! {":agent": self.id})
            .during("delete the agent")?;
        Ok(self.store)
    }

    /// Replies that were cut off when their process died, found when the agent was opened.
    #[must_use]
    pub fn recovered_replies(&self) -> &[Message] {
        &self.recovered_replies
    }

    /// Messages of the user that waited in the inbox when their process died, found when the agent was opened.
    #[must_use]
    pub fn recovered_messages(&self) -> &[Message] {
        &self.recovered_messages
    }

    /// The way into this agent's inbox, over a connection of its own; none for a database in memory.
    ///
    /// # Errors
    /// The database failed.
    pub fn inbox(&self) -> Result<Option<Inbox>> {
        Ok(self.store.second()?.map(|store| Inbox::new(store, self.id)))
    }

    /// Takes a text out of the inbox that could not be recorded.
    ///
    /// # Errors
    /// The database failed; the text is still there.
    pub fn take_out(&mut self, entry: InboxId) -> Result<()> {
        self.transact("take a message out of the inbox", |step| step.take_out(entry))
    }

    /// For reading.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View { connection: &self.store.connection, agent: self.id }
    }

    /// Begins a transaction. Nothing of it is stored before [`Step::commit`]; dropping it takes everything back.
    /// `at_ms` is the time of its edits and passages, UTC milliseconds.
    ///
    /// # Errors
    /// Another process is writing, or the database failed.
    pub fn step(&mut self, at_ms: i64) -> Result<Step<'_>> {
        let transaction = self
            .store
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .during("begin a transaction")?;
        Ok(Step::new(transaction, self.id, at_ms, &self.vectors))
    }

    /// Searches the passages by words and, where there is an embedding of the query, by meaning: see
    /// [`Step::archival_search`].
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

    /// Searches what was said by words and, where there is an embedding of the query, by meaning: see
    /// [`Step::conversation_search`].
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
        recall::search_hybrid(&self.view(), &self.vectors, query, embedding, page, page_size)
    }

    /// The passages nearest to an embedding, best first, with their cosines.
    ///
    /// Cost: the first call reads the index from the database.
    ///
    /// # Errors
    /// The database failed.
    pub fn nearest_passages(&self, query: &Embedding, at_most: usize) -> Result<Vec<(PassageId, f32)>> {
        let near = self.vectors.passages.nearest(&self.view(), query, at_most, f32::NEG_INFINITY, &|_| true)?;
        Ok(near.into_iter().map(|near| (PassageId(near.id), near.similarity)).collect())
    }

    /// The messages nearest to an embedding, best first, with their cosines.
    ///
    /// # Errors
    /// The database failed.
    pub fn nearest_messages(&self, query: &Embedding, at_most: usize) -> Result<Vec<(MessageId, f32)>> {
        self.vectors.nearest_messages(&self.view(), query, at_most)
    }

    /// The single messages that a search of the conversation leads to, best first: see [`View::rank_messages`].
    ///
    /// # Errors
    /// The database failed.
    pub fn rank_messages(&self, query: &str, embedding: &Embedding, at_most: usize) -> Result<Vec<MessageId>> {
        let mut nearest = |nearest: usize| self.nearest_messages(embedding, nearest);
        self.view().rank_messages(query, Some(&mut nearest), at_most)
    }

    /// Makes the vectors that are missing, of the passages that the agent may find and of its messages, the oldest
    /// first, until none is missing or `cancel` is raised. Vectors of another embedder are replaced. `progress` hears
    /// after each batch how many were made; [`Self::pending_count`] says beforehand how many there will be.
    ///
    /// What was made is stored, however the work ends, and is not made again.
    ///
    /// # Errors
    /// The embedder or the database failed.
    pub fn embed_pending(
        &mut self,
        embedder: &mut dyn Embed,
        cancel: &Cancel,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Embedded> {
        let (connection, agent) = (&mut self.store.connection, self.id);
        let mut all = Embedded { rows: 0, complete: true };
        for kind in [&mut self.vectors.passages, &mut self.vectors.messages] {
            let before = all.rows;
            let mut further = |rows| progress(before + rows);
            let made = embed_rows(connection, agent, kind, Scope::Agent, embedder, cancel, &mut further)?;
            all = Embedded { rows: before + made.rows, complete: all.complete && made.complete };
        }
        Ok(all)
    }

    /// How many vectors of `embedder` are missing.
    ///
    /// # Errors
    /// The database failed.
    pub fn pending_count(&self, embedder: &dyn Embed) -> Result<u64> {
        let of = |tables| pending_count(&self.view(), tables, Scope::Agent, embedder);
        Ok(of(self.vectors.passages.tables)? + of(self.vectors.messages.tables)?)
    }

    /// How large the indexes of passages and messages are.
    #[must_use]
    pub fn index_sizes(&self) -> (IndexSize, IndexSize) {
        (self.vectors.passages.size(), self.vectors.messages.size())
    }

    fn transact<T>(&mut self, operation: &'static str, change: impl FnOnce(&mut Step<'_>) -> Result<T>) -> Result<T> {
        let mut step = self.step(0)?;
        let outcome = change(&mut step)?;
        step.commit_as(operation)?;
        Ok(outcome)
    }

    /// Adds messages to recall storage and to the end of the queue.
    ///
    /// # Errors
    /// The database failed; nothing was added.
    pub fn record(&mut self, messages: &[NewMessage]) -> Result<Vec<Message>> {
        self.transact("record messages", |step| messages.iter().map(|message| step.record(message)).collect())
    }

    /// A row for a reply that begins to stream. It is in queue, counts and search once it is finished.
    ///
    /// # Errors
    /// The database failed.
    pub fn begin_reply(&mut self, at_ms: i64) -> Result<MessageId> {
        self.transact("begin a reply", |step| step.begin_reply(at_ms))
    }

    /// Stores what has appeared of a streaming reply, so that a killed process does not lose it.
    ///
    /// # Errors
    /// No such reply is streaming, or the database failed.
    pub fn update_reply(&mut self, id: MessageId, body: &Body) -> Result<()> {
        self.transact("update a streaming reply", |step| step.update_reply(id, body))
    }

    /// Makes a streaming reply a message like any other.
    ///
    /// # Errors
    /// No such reply is streaming, or the database failed.
    pub fn finish_reply(&mut self, id: MessageId, body: &Body, interrupted: bool) -> Result<Message> {
        self.transact("finish a streaming reply", |step| step.finish_reply(id, body, interrupted))
    }

    /// Takes messages out of the queue and puts a new summary first; they stay in recall storage. The summary tells
    /// how many messages are out of view; a new warning period begins.
    ///
    /// # Errors
    /// The database failed; the queue is as it was.
    pub fn evict(&mut self, ids: &[MessageId], summary_text: &str, at_ms: i64) -> Result<Message> {
        self.transact("evict messages", |step| step.evict(ids, summary_text, at_ms))
    }

    /// Removes the last `count` messages from the queue and from search, and one more where a call would be left
    /// without its result. The summary is not counted. Oldest first; edits that the messages made stay.
    ///
    /// # Errors
    /// The queue holds fewer, or the database failed; nothing was removed.
    pub fn pop(&mut self, count: usize) -> Result<Vec<Message>> {
        self.transact("remove messages", |step| messages::pop(step.connection(), step.agent(), count))
    }

    /// Remembers core memory, queue and what is visible of recall and archival storage under a name; a checkpoint of
    /// the same name is replaced.
    ///
    /// # Errors
    /// The name breaks the naming rule, or the database failed.
    pub fn save_checkpoint(&mut self, name: &str, at_ms: i64) -> Result<()> {
        validate_name(name)?;
        self.transact("save a checkpoint", |step| checkpoint::save(step.connection(), step.agent(), name, at_ms))
    }

    /// Deletes everything of this agent that holds a text. What it leaves behind in the file is gone only after
    /// [`Store::purge`].
    ///
    /// # Errors
    /// The database failed, or a row cannot be understood; nothing was deleted.
    pub fn forget(&mut self, wanted: &Wanted) -> Result<Forgotten> {
        self.transact("forget a text", |step| forget::forget(step.connection(), step.agent(), wanted))
    }

    /// Remembers that the chat was opened, and gives back when that happened before, UTC milliseconds.
    ///
    /// # Errors
    /// The database failed.
    pub fn login(&mut self, at_ms: i64) -> Result<Option<i64>> {
        let before = self.view().info()?.last_login_at_ms;
        self.set("last_login_at_ms", &at_ms)?;
        Ok(before)
    }

    /// Makes the documents of a source part of this agent's archival storage; false where they are already.
    ///
    /// # Errors
    /// There is no such source, or the database failed.
    pub fn attach(&mut self, source: &str, at_ms: i64) -> Result<bool> {
        self.store.attach_to(self.id, source, at_ms)
    }

    /// Remembers the model.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_model(&mut self, model: &str) -> Result<()> {
        self.set("model", &model)
    }

    /// Remembers the profile.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_profile(&mut self, profile: &str) -> Result<()> {
        self.set("profile", &profile)
    }

    /// Remembers the context window.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_context_window(&mut self, window_tokens: usize) -> Result<()> {
        self.set("context_window_tokens", &to_i64(window_tokens))
    }

    /// Remembers whether the model has been warned in this period.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_warned(&mut self, warned: bool) -> Result<()> {
        self.set("memory_pressure_warned", &warned)
    }

    fn set(&mut self, column: &'static str, value: &dyn rusqlite::ToSql) -> Result<()> {
        self.store
            .connection
            .prepare_cached(&format!("UPDATE agents SET {column} = :value WHERE id = :agent"))
            .and_then(|mut statement| statement.execute(named_params! {":value": value, ":agent": self.id}))
            .during("update the agent")?;
        Ok(())
    }
}

/// SQLite's integers are signed; no count here comes near the limit.
pub(super) fn to_i64(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
