//! The queue manager: keeps the main context within the window.
//!
//! [`make_room`] is called before every generation. Where prompt and reserves do not fit, a message that could not be
//! shown even alone is paged out: a pasted document drives no conversation out of view. Otherwise the older part of the
//! queue is evicted under a new summary; then, while the prompt still leaves no room for an answer, the largest message
//! is paged out, older units of the last exchange are evicted, and the summary is shortened. Only where all of that is
//! not enough fewer messages stay than are to be kept (three by default): in windows of some hundred tokens three of
//! them can be longer than the whole room, each too short for a stub, and an agent that answers the last one is better
//! than one that answers none. Each of these makes the prompt smaller or is not tried again, so it ends: with a prompt
//! that fits, or with the numbers that say why none can.
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

/// What [`make_room`] did.
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

/// Makes the prompt of `context` fit `window_tokens` with the reserves of `limits`. The queue of `context` is read
/// anew; its core memory is refreshed when messages were evicted, because the KV cache is lost then anyway.
///
/// # Errors
/// [`Error::WindowTooSmall`] if what must stay does not fit; the database or the counter failed. What was evicted until
/// then stays evicted, and can be searched.
pub fn make_room(
    memory: &mut AgentMemory,
    context: &mut MainContext,
    counter: &mut dyn CountTokens,
    summarizer: &mut dyn Summarize,
    limits: &QueueLimits,
    window_tokens: usize,
    at_ms: i64,
) -> Result<RoomReport> {
    limits.validate()?;
    let mut report = RoomReport::default();
    let prompt_limit_tokens = limits.prompt_limit_tokens(window_tokens);
    loop {
        context.messages = memory.view().queue()?;
        let prompt_tokens = counter.prompt_tokens(context).map_err(|source| Error::Count { source })?;
        report.prompt_tokens = prompt_tokens;
        let evict_above_tokens = limits.evict_above_tokens(window_tokens);
        if prompt_tokens <= evict_above_tokens {
            return Ok(report);
        }
        let entries = measured(&context.messages, counter, limits);
        let queue_tokens: usize = entries.iter().map(|entry| entry.tokens).sum();
        let stub_tokens = stub_tokens(counter, limits);
        let fixed_tokens = prompt_tokens.saturating_sub(queue_tokens);
        let room_tokens = prompt_limit_tokens.saturating_sub(fixed_tokens);
        if let Some(id) = plan_stub_of_giant(&entries, stub_tokens, room_tokens) {
            page_out(memory, &context.messages, id, counter, limits, at_ms)?;
            report.paged_out.push(id);
            continue;
        }
        let to_free_tokens = limits.evict_target_tokens(queue_tokens).max(prompt_tokens - evict_above_tokens);
        let plan = plan_eviction(&entries, to_free_tokens, limits);
        if !plan.is_empty() {
            let mut tools = Tools { counter, summarizer, limits, window_tokens, at_ms };
            evict(memory, context, &plan, &mut tools, &mut report)?;
            continue;
        }
        if prompt_tokens <= prompt_limit_tokens {
            return Ok(report);
        }
        if let Some(id) = plan_stub(&entries, stub_tokens) {
            page_out(memory, &context.messages, id, counter, limits, at_ms)?;
            report.paged_out.push(id);
            continue;
        }
        let plan = plan_eviction_within_exchange(&entries, limits.keep_last_messages);
        if !plan.is_empty() {
            let mut tools = Tools { counter, summarizer, limits, window_tokens, at_ms };
            evict(memory, context, &plan, &mut tools, &mut report)?;
            continue;
        }
        if shorten_summary(memory, &context.messages, limits, at_ms)? {
            continue;
        }
        let plan = plan_eviction_within_exchange(&entries, 0);
        if !plan.is_empty() {
            let mut tools = Tools { counter, summarizer, limits, window_tokens, at_ms };
            evict(memory, context, &plan, &mut tools, &mut report)?;
            continue;
        }
        // A call and its result in a small window: the answer gets less room rather than none.
        let least_answer_tokens = limits.answer_reserve_tokens(window_tokens) / 2;
        if prompt_tokens.saturating_add(least_answer_tokens) <= window_tokens {
            return Ok(report);
        }
        return Err(Error::WindowTooSmall {
            needed_tokens: prompt_tokens,
            reserve_tokens: limits.answer_reserve_tokens(window_tokens),
            window_tokens,
        });
    }
}

/// Evicts and summarises now what an eviction would take, whether the window is full or not. Nothing is evicted where
/// only what always stays is in the queue.
///
/// # Errors
/// The database or the counter failed.
pub fn evict_now(
    memory: &mut AgentMemory,
    context: &mut MainContext,
    counter: &mut dyn CountTokens,
    summarizer: &mut dyn Summarize,
    limits: &QueueLimits,
    window_tokens: usize,
    at_ms: i64,
) -> Result<RoomReport> {
    limits.validate()?;
    let mut report = RoomReport::default();
    context.messages = memory.view().queue()?;
    let entries = measured(&context.messages, counter, limits);
    let queue_tokens: usize = entries.iter().map(|entry| entry.tokens).sum();
    let plan = plan_eviction(&entries, limits.evict_target_tokens(queue_tokens), limits);
    if !plan.is_empty() {
        let mut tools = Tools { counter, summarizer, limits, window_tokens, at_ms };
        evict(memory, context, &plan, &mut tools, &mut report)?;
        context.messages = memory.view().queue()?;
    }
    Ok(report)
}

/// What an eviction needs besides the memory.
struct Tools<'a> {
    counter: &'a mut dyn CountTokens,
    summarizer: &'a mut dyn Summarize,
    limits: &'a QueueLimits,
    window_tokens: usize,
    at_ms: i64,
}

fn measured(messages: &[Message], counter: &mut dyn CountTokens, limits: &QueueLimits) -> Vec<QueueEntry> {
    messages
        .iter()
        .map(|message| QueueEntry {
            id: message.id,
            tokens: counter.text_tokens(&shown_text(message)).saturating_add(limits.message_overhead_tokens),
            kind: EntryKind::of(&message.body),
            is_stub: message.stub.is_some(),
        })
        .collect()
}

fn evict(
    memory: &mut AgentMemory,
    context: &mut MainContext,
    plan: &[MessageId],
    tools: &mut Tools<'_>,
    report: &mut RoomReport,
) -> Result<()> {
    let evicted: Vec<Message> = context.messages.iter().filter(|message| plan.contains(&message.id)).cloned().collect();
    let summary = summarise(
        tools.counter,
        tools.summarizer,
        previous_summary(&context.messages),
        &evicted,
        Bounds {
            max_words: tools.limits.summary_max_words,
            input_tokens: tools.limits.summary_input_tokens(tools.window_tokens),
            message_overhead_tokens: tools.limits.message_overhead_tokens,
        },
    );
    memory.evict(plan, &summary.text, tools.at_ms)?;
    context.core_memory = memory.view().core()?.render();
    report.evicted_messages += plan.len();
    report.has_mechanical_summary |= summary.is_mechanical;
    Ok(())
}

fn previous_summary(messages: &[Message]) -> Option<&str> {
    messages.iter().find_map(|message| match &message.body {
        Body::Summary { text, .. } => Some(text.as_str()),
        _ => None,
    })
}

/// Puts the full text of a message into archival storage, in passages, and a stub into the prompt, in one transaction.
/// The result of a function is not stored again: calling the function again gives it back. Passages are for finding;
/// what is read page by page is the message itself, so one that is stored already is left out.
fn page_out(
    memory: &mut AgentMemory,
    messages: &[Message],
    id: MessageId,
    counter: &dyn CountTokens,
    limits: &QueueLimits,
    at_ms: i64,
) -> Result<()> {
    let operation = "page out a message";
    let message =
        messages.iter().find(|message| message.id == id).ok_or(Error::UnknownMessage { operation, id: id.0 })?;
    let stub = stub_text(message, limits.stub_chars);
    let text = message.body.searchable_text().unwrap_or_default();
    let passages = counter.passages(text);
    let source = format!("message {}", id.0);
    // What the user says meanwhile can be kept only when the step is over.
    let mut step = memory.step(at_ms)?;
    for passage in passages {
        match step.archival_insert_unlike(text.get(passage).unwrap_or_default(), Some(&source)) {
            Ok(_) | Err(Error::Edit(EditError::DuplicatePassage)) => {}
            Err(error) => return Err(error),
        }
    }
    step.set_stub(id, Some(&stub))?;
    step.commit()
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

/// Messages below this size are not worth a stub.
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

/// Halves the summary; false where there is none or it is short already.
fn shorten_summary(memory: &mut AgentMemory, messages: &[Message], limits: &QueueLimits, at_ms: i64) -> Result<bool> {
    let Some(text) = previous_summary(messages) else { return Ok(false) };
    let words = (text.split_whitespace().count().max(text.chars().count() / 10)) / 2;
    let shorter = bounded(text, words);
    if words < limits.summary_min_words || shorter.len() >= text.len() {
        return Ok(false);
    }
    memory.evict(&[], &shorter, at_ms)?;
    Ok(true)
}
