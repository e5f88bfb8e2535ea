//! What a turn shows: the events of the terminal and of the JSON-lines mode.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Status;

/// What brought an event about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A message from the user.
    User,
    /// A command.
    Command,
    /// A timed heartbeat.
    Timer,
    /// Work in idle time.
    Idle,
}

/// One thing shown to the user. Every variant but `Delta` is emitted only after what it shows is committed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The agent is loaded and waits for input.
    Ready {
        /// Name of the agent.
        agent: String,
        /// Name of the model.
        model: String,
        /// `llama-cpp`, `candle` or `scripted`.
        engine: String,
        /// Window in tokens.
        context_window: usize,
        /// Whether the agent existed before.
        resumed: bool,
        /// What the user should know before the first line.
        notices: Vec<String>,
    },
    /// A piece of a reply that is still being generated.
    Delta {
        /// The piece.
        text: String,
    },
    /// A complete reply.
    Message {
        /// What the user is told.
        text: String,
    },
    /// Inner thoughts.
    Thought {
        /// The thoughts.
        text: String,
    },
    /// A function call.
    Call {
        /// Name of the function.
        name: String,
        /// Arguments by name.
        arguments: Map<String, Value>,
    },
    /// The outcome of the call before it.
    Result {
        /// Name of the function.
        name: String,
        /// `OK` or `Failed`.
        status: Status,
        /// What the model is told.
        message: String,
    },
    /// The state of the memory, on request.
    Memory {
        /// The two core-memory blocks.
        core: CoreMemoryText,
        /// Messages in recall storage.
        recall_count: u64,
        /// Passages in archival storage.
        archival_count: u64,
        /// The last edits of core memory, newest first.
        edits: Vec<CoreMemoryEdit>,
        /// Messages in recall storage, by who or what they are from.
        recall: RecallCounts,
        /// The first passages of archival storage, newest first.
        passages: Vec<ShownPassage>,
    },
    /// The text of a core-memory block, for an editor on the terminal; no input line of the JSON-lines mode asks for it.
    Block {
        /// `persona` or `human`.
        section: String,
        /// Its text.
        text: String,
    },
    /// The system instructions as they are and as they would be, for a question on the terminal; no input line of the
    /// JSON-lines mode asks for it.
    Swap {
        /// Those that hold.
        before: String,
        /// Those that are to hold.
        after: String,
    },
    /// Something that the user should know.
    Notice {
        /// One or more sentences.
        text: String,
    },
    /// Something failed.
    Error {
        /// What failed.
        message: String,
        /// What to do.
        hint: String,
        /// Whether the message that was to be answered is stored; none where there was no message.
        #[serde(skip_serializing_if = "Option::is_none")]
        message_stored: Option<bool>,
    },
    /// The end of a turn.
    Turn(TurnReport),
}

/// The texts of core memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CoreMemoryText {
    /// The agent's own block.
    pub persona: String,
    /// The block about the user.
    pub human: String,
}

/// One edit of core memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CoreMemoryEdit {
    /// When, UTC milliseconds.
    pub at_ms: i64,
    /// When, in the user's zone: `2026-02-03 14:05`.
    pub time: String,
    /// `persona` or `human`.
    pub section: String,
    /// The block's text before.
    pub before: String,
    /// The block's text after.
    pub after: String,
    /// Name of the function or command.
    pub cause: String,
}

/// How many messages there are of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RecallCounts {
    /// Of the user.
    pub user: u64,
    /// Of the agent, its calls included.
    pub assistant: u64,
    /// Results of the agent's calls.
    pub function_results: u64,
    /// Logins, heartbeats and warnings.
    pub events: u64,
}

/// A passage of archival storage in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownPassage {
    /// Its number.
    pub id: i64,
    /// When it was stored, UTC milliseconds.
    pub at_ms: i64,
    /// When, in the user's zone: `2026-02-03 14:05`.
    pub time: String,
    /// What it says.
    pub text: String,
    /// Where it comes from, if not from the agent: document and place, or who stored it.
    pub source: Option<String>,
}

/// Why a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The user was answered, or nothing was left to do.
    Answer,
    /// The step budget was used up without an answer.
    StepLimit,
    /// The user stopped it.
    Interrupted,
    /// Something failed; an `error` event says what.
    Error,
}

/// What a turn cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TurnReport {
    /// Why it ended.
    pub stop_reason: StopReason,
    /// Steps (generations) of the turn.
    pub steps: u32,
    /// Calls of the model's forward pass.
    pub forward_passes: u64,
    /// Prompt tokens read.
    pub tokens_read: u64,
    /// Prompt tokens that were in the KV cache already.
    pub tokens_reused: u64,
    /// Tokens of what was looked up in the memory for this turn; they stand in no later prompt.
    pub tokens_recalled: u64,
    /// Tokens sampled.
    pub tokens_sampled: u64,
    /// Tokens that the grammar left no choice about.
    pub tokens_forced: u64,
    /// Tokens that were guessed from the prompt.
    pub tokens_drafted: u64,
    /// Those of them that the model then chose: each has saved a forward pass.
    pub tokens_accepted: u64,
    /// Tokens, sampled and forced, of steps that became a call.
    pub call_tokens: u64,
    /// Those of them that the grammar left no choice about.
    pub call_tokens_forced: u64,
    /// Time for taking up what an earlier run of the program has read of the conversation, milliseconds.
    pub restore_ms: u64,
    /// Time spent reading, milliseconds.
    pub read_ms: u64,
    /// Time spent decoding, milliseconds.
    pub decode_ms: u64,
    /// Time spent in the grammar, microseconds.
    pub mask_us: u64,
    /// The whole turn, milliseconds.
    pub wall_ms: u64,
    /// Forward passes of idle work since the turn before.
    pub idle_passes: u64,
    /// Time of idle work since the turn before, milliseconds.
    pub idle_ms: u64,
}
