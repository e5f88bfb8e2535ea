//! The queue manager: keeps the main context within the window.
//!
//! [`QueueManager::make_room`] is called before every generation. Where prompt and reserves do not fit, a message that
//! could not be shown even alone is paged out: a pasted document drives no conversation out of view. Otherwise the older
//! part of the queue is evicted under a new summary; then, while the prompt still leaves no room for an answer, the
//! largest message is paged out, older units of the last exchange are evicted, and the summary is shortened. Only where
//! all of that is not enough fewer messages stay than are to be kept (three by default): in windows of some hundred
//! tokens three of them can be longer than the whole room, each too short for a stub, and an agent that answers the last
//! one is better than one that answers none. Each of these makes the prompt smaller or is not tried again, so it ends:
//! with a prompt that fits, or with the numbers that say why none can.
//!
//! Not responsible for the warning's text nor for the prompt's spelling, nor for reading a message that was paged out
//! (`functions`), whose stub says how. Source: MemGPT, section 2.2.

use std::ops::Range;

use super::chunks::passages_for;
use super::error::{BoxError, Error, Result};
use super::main_context::{
    EntryKind, MainContext, QueueEntry, QueueLimits, plan_eviction, plan_eviction_within_exchange, plan_stub,
    plan_stub_of_giant, shown_text,
};
use super::summary::{Bounds, Summarize, bounded, summarise};
use super::text::{clipped, clipped_front};
use super::{AgentMemory, EditError};
use crate::types::{Body, Message, MessageId};

/// Begins a stub.
const STUB: &str = "[This ";
/// Stands in a stub before the beginning of the message, and before its end.
const BEGINS: &str = "It begins:] ";
const ENDS: &str = " [It ends:] ";

/// Measures prompts with the tokenizer of the loaded model.
pub trait CountTokens {
    /// Tokens of the whole prompt: template, function definitions and everything in `context`.
    ///
    /// # Errors
    /// The prompt could not be rendered or tokenised.
    fn prompt_tokens(&mut self, context: &MainContext) -> std::result::Result<usize, BoxError>;

    /// Tokens of a text by itself.
    fn text_tokens(&mut self, text: &str) -> usize;

    /// Where a text is cut that goes to archival storage: by the tokens of the embedder, where there is one.
    fn passages(&self, text: &str) -> Vec<Range<usize>> {
        passages_for(text, None)
    }
}

/// What [`QueueManager::make_room`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoomReport {
    /// Tokens of the prompt as it is now; 0 where none was measured.
    pub prompt_tokens: usize,
    /// Messages that left the queue.
    pub evicted_messages: usize,
    /// A summary had to be made without the model.
    pub has_mechanical_summary: bool,
    /// Messages that are shown as stubs from now on.
    pub paged_out: Vec<MessageId>,
}

/// What becomes of messages to be evicted where the summarizer writes no summary of them: it failed or was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfUnwritten {
    /// Their beginnings stand for them: there must be room.
    Shorten,
    /// They stay in view: another time will do.
    Keep,
}

/// The queue manager at work on one agent.
pub struct QueueManager<'a> {
    /// The agent's memory.
    pub memory: &'a mut AgentMemory,
    /// What the model sees. Its queue is read anew; its core memory is refreshed when messages were evicted, because the
    /// KV cache is lost then anyway.
    pub context: &'a mut MainContext,
    /// Measures prompts.
    pub counter: &'a mut dyn CountTokens,
    /// Writes summaries.
    pub summarizer: &'a mut dyn Summarize,
    /// What becomes of messages to be evicted for which no summary is written.
    pub if_unwritten: IfUnwritten,
    /// Thresholds and reserves.
    pub limits: &'a QueueLimits,
    /// The window.
    pub window_tokens: usize,
    /// When this happens, UTC milliseconds.
    pub at_ms: i64,
}

/// How the window is filled.
struct Fill {
    prompt_tokens: usize,
    entries: Vec<QueueEntry>,
    queue_tokens: usize,
    /// Messages below this size are not worth a stub.
    stub_tokens: usize,
}

/// What makes the prompt smaller.
enum Relief {
    PageOut(MessageId),
    Evict(Vec<MessageId>),
    /// Another text for the summary.
    Shorten(String),
}

impl QueueManager<'_> {
    /// Makes the prompt fit the window with the reserves; with [`IfUnwritten::Keep`], as far as summaries get written.
    ///
    /// # Errors
    /// [`Error::WindowTooSmall`] if what must stay does not fit; the database or the counter failed. What was evicted
    /// until then stays evicted, and can be searched.
    pub fn make_room(&mut self) -> Result<RoomReport> {
        self.limits.validate()?;
        let mut report = RoomReport::default();
        loop {
            let prompt_tokens = self.read_queue()?;
            report.prompt_tokens = prompt_tokens;
            if prompt_tokens <= self.limits.evict_above_tokens(self.window_tokens) {
                return Ok(report);
            }
            let fill = self.measure(prompt_tokens);
            match self.next_relief(&fill) {
                Some(Relief::PageOut(id)) => {
                    self.page_out(id)?;
                    report.paged_out.push(id);
                }
                Some(Relief::Evict(plan)) => {
                    if !self.evict(&plan, &mut report)? {
                        return Ok(report);
                    }
                }
                Some(Relief::Shorten(summary)) => drop(self.memory.evict(&[], &summary, self.at_ms)?),
                None => return self.check_room(prompt_tokens).map(|()| report),
            }
        }
    }

    /// Evicts and summarises now what an eviction would take, whether the window is full or not. Nothing is evicted
    /// where only what always stays is in the queue.
    ///
    /// # Errors
    /// The database or the counter failed.
    pub fn evict_now(&mut self) -> Result<RoomReport> {
        self.limits.validate()?;
        let mut report = RoomReport::default();
        let prompt_tokens = self.read_queue()?;
        let Fill { entries, queue_tokens, .. } = self.measure(prompt_tokens);
        let plan = plan_eviction(&entries, self.limits.evict_target_tokens(queue_tokens), self.limits);
        if !plan.is_empty() {
            let _ = self.evict(&plan, &mut report)?;
            self.context.messages = self.memory.view().queue()?;
        }
        Ok(report)
    }

    /// Puts the queue into the context, and gives back how long the prompt is then.
    fn read_queue(&mut self) -> Result<usize> {
        self.context.messages = self.memory.view().queue()?;
        self.counter.prompt_tokens(self.context).map_err(|source| Error::Count { source })
    }

    fn measure(&mut self, prompt_tokens: usize) -> Fill {
        let entries: Vec<QueueEntry> = self
            .context
            .messages
            .iter()
            .map(|message| QueueEntry {
                id: message.id,
                tokens: self
                    .counter
                    .text_tokens(&shown_text(message))
                    .saturating_add(self.limits.message_overhead_tokens),
                kind: EntryKind::of(&message.body),
                is_stub: message.stub.is_some(),
            })
            .collect();
        let queue_tokens = entries.iter().map(|entry| entry.tokens).sum();
        Fill { prompt_tokens, entries, queue_tokens, stub_tokens: stub_tokens(self.counter, self.limits) }
    }

    /// The mildest thing that still helps; see the module. None where nothing does, or where there is room for an answer
    /// and only the last exchange is left.
    fn next_relief(&self, fill: &Fill) -> Option<Relief> {
        let Fill { prompt_tokens, entries, queue_tokens, stub_tokens } = fill;
        let prompt_limit_tokens = self.limits.prompt_limit_tokens(self.window_tokens);
        let room_tokens = prompt_limit_tokens.saturating_sub(prompt_tokens.saturating_sub(*queue_tokens));
        let over_tokens = prompt_tokens.saturating_sub(self.limits.evict_above_tokens(self.window_tokens));
        let to_free_tokens = self.limits.evict_target_tokens(*queue_tokens).max(over_tokens);
        let evict = |plan: Vec<MessageId>| (!plan.is_empty()).then_some(Relief::Evict(plan));
        let mildest = plan_stub_of_giant(entries, *stub_tokens, room_tokens)
            .map(Relief::PageOut)
            .or_else(|| evict(plan_eviction(entries, to_free_tokens, self.limits)));
        if mildest.is_some() || *prompt_tokens <= prompt_limit_tokens {
            return mildest;
        }
        plan_stub(entries, *stub_tokens)
            .map(Relief::PageOut)
            .or_else(|| evict(plan_eviction_within_exchange(entries, self.limits.keep_last_messages)))
            .or_else(|| shorter_summary(&self.context.messages, self.limits).map(Relief::Shorten))
            .or_else(|| evict(plan_eviction_within_exchange(entries, 0)))
    }

    /// Whether an answer fits behind a prompt that cannot be made smaller. A call and its result in a small window: it
    /// gets less room rather than none.
    fn check_room(&self, prompt_tokens: usize) -> Result<()> {
        let (window_tokens, reserve_tokens) =
            (self.window_tokens, self.limits.answer_reserve_tokens(self.window_tokens));
        if prompt_tokens.saturating_add(reserve_tokens / 2) <= window_tokens {
            return Ok(());
        }
        Err(Error::WindowTooSmall { needed_tokens: prompt_tokens, reserve_tokens, window_tokens })
    }

    /// False where everything stays in view.
    fn evict(&mut self, plan: &[MessageId], report: &mut RoomReport) -> Result<bool> {
        let messages = &self.context.messages;
        let evicted: Vec<Message> = messages.iter().filter(|message| plan.contains(&message.id)).cloned().collect();
        let summary = summarise(
            self.counter,
            self.summarizer,
            previous_summary(messages),
            &evicted,
            Bounds {
                max_words: self.limits.summary_max_words,
                input_tokens: self.limits.summary_input_tokens(self.window_tokens),
                message_overhead_tokens: self.limits.message_overhead_tokens,
            },
        );
        if summary.is_mechanical && self.if_unwritten == IfUnwritten::Keep {
            return Ok(false);
        }
        self.memory.evict(plan, &summary.text, self.at_ms)?;
        self.context.core_memory = self.memory.view().core()?.render();
        report.evicted_messages += plan.len();
        report.has_mechanical_summary |= summary.is_mechanical;
        Ok(true)
    }

    /// Puts the full text of a message into archival storage, in passages, and a stub into the prompt, in one
    /// transaction. The result of a function is not stored again: calling the function again gives it back. Passages are
    /// for finding; what is read page by page is the message itself, so one that is stored already is left out.
    fn page_out(&mut self, id: MessageId) -> Result<()> {
        let operation = "page out a message";
        let message = self.context.messages.iter().find(|message| message.id == id);
        let message = message.ok_or(Error::UnknownMessage { operation, id: id.0 })?;
        let stub = stub_text(message, self.limits.stub_chars);
        let text = message.body.searchable_text().unwrap_or_default();
        let passages = self.counter.passages(text);
        let source = format!("message {}", id.0);
        // What the user says meanwhile can be kept only when the step is over.
        let mut step = self.memory.step(self.at_ms)?;
        for passage in passages {
            match step.archival_insert_unlike(text.get(passage).unwrap_or_default(), Some(&source)) {
                Ok(_) | Err(Error::Edit(EditError::DuplicatePassage)) => {}
                Err(error) => return Err(error),
            }
        }
        step.set_stub(id, Some(&stub))?;
        step.commit()
    }
}

fn previous_summary(messages: &[Message]) -> Option<&str> {
    messages.iter().find_map(|message| match &message.body {
        Body::Summary { text, .. } => Some(text.as_str()),
        _ => None,
    })
}

fn stub_text(message: &Message, stub_chars: usize) -> String {
    let text = whole_text(message);
    let chars = text.chars().count();
    match &message.body {
        Body::FunctionResult { name, .. } => format!(
            "{STUB}result of {name} is too long to be shown: {chars} characters. Call {name} again with a narrower \
             request for the rest. {BEGINS}{}",
            clipped(&text, stub_chars)
        ),
        _ => format!(
            "{STUB}message is too long to be shown: {chars} characters. To read all of it, call \
             archival_memory_search with query \"message {}\" and page 0, then page 1 and so on; to find something in \
             it, search for that. {BEGINS}{}{ENDS}{}",
            message.id.0,
            clipped(&text, stub_chars / 2),
            clipped_front(&text, stub_chars / 2)
        ),
    }
}

/// What a stub quotes of its message, without the words that the program puts around it; all of one that is not ours.
pub(super) fn quoted(stub: &str) -> String {
    match stub.split_once(BEGINS).filter(|_| stub.starts_with(STUB)) {
        Some((_, quoted)) => quoted.replacen(ENDS, "\n", 1),
        None => stub.to_owned(),
    }
}

/// What a message says, whether it is shown as a stub or not.
fn whole_text(message: &Message) -> String {
    match &message.body {
        Body::User { text } => text.clone(),
        Body::FunctionResult { message, .. } => message.clone(),
        _ => shown_text(&Message { stub: None, ..message.clone() }),
    }
}

/// What a message that was paged out is read back as; none for the result of a function, which may quote a document:
/// only the function tells that it does.
pub(super) fn paged_out_text(message: &Message) -> Option<String> {
    let is_result = matches!(message.body, Body::FunctionResult { .. });
    (!is_result && message.stub.is_some()).then(|| whole_text(message))
}

/// See [`Fill::stub_tokens`].
fn stub_tokens(counter: &mut dyn CountTokens, limits: &QueueLimits) -> usize {
    let longest = Message {
        id: MessageId(0),
        at_ms: 0,
        body: Body::User { text: "word ".repeat(limits.stub_chars) },
        interrupted: false,
        stub: None,
    };
    let stub = stub_text(&longest, limits.stub_chars);
    // A half more: other text can be denser than this sample.
    counter.text_tokens(&stub).saturating_mul(3) / 2 + limits.message_overhead_tokens
}

/// Half of the summary; none where there is none or it is short already.
fn shorter_summary(messages: &[Message], limits: &QueueLimits) -> Option<String> {
    let text = previous_summary(messages)?;
    let words = (text.split_whitespace().count().max(text.chars().count() / 10)) / 2;
    let shorter = bounded(text, words);
    (words >= limits.summary_min_words && shorter.len() < text.len()).then_some(shorter)
}
