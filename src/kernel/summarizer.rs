//! Summaries of what is evicted, as the queue manager asks for them: written by the model, behind what it has read already.

use std::cell::RefCell;
use std::sync::Arc;

use crate::inference::{GenerateOptions, Generation, StopCause, generate};
use crate::memory::{BoxError, MainContext, Summarize};
use crate::types::{Body, Cancel, Message, MessageId, Unconstrained};

use super::model::Model;

/// Why a summary was not written.
const STOPPED: &str = "the user has stopped the summary";

/// Writes summaries for the queue manager. `instructions` and `core_memory` are those of the running prompt: a summary
/// prompt begins like it, so that the KV cache holds most of what is to be summarised already.
pub(super) struct Summarizer<'a, 'm> {
    pub(super) model: &'a RefCell<&'m mut Model>,
    pub(super) instructions: &'a str,
    pub(super) core_memory: &'a str,
    /// Most tokens of a summary.
    pub(super) max_tokens: usize,
    /// The flag that stops it.
    pub(super) cancel: Cancel,
    /// Called before the model is asked.
    pub(super) before: &'a mut dyn FnMut(),
}

impl Summarizer<'_, '_> {
    /// What the model sees: the summary before, the messages, and the request for a new summary.
    fn context(&self, previous: Option<&str>, evicted: &[Message], max_words: usize) -> MainContext {
        let at_ms = evicted.first().map_or(0, |message| message.at_ms);
        let mut messages: Vec<Message> = previous.map(|text| earlier_summary(text, at_ms)).into_iter().collect();
        messages.extend_from_slice(evicted);
        messages.push(summary_request(at_ms, max_words));
        let (instructions, core_memory) = (self.instructions.to_owned(), self.core_memory.to_owned());
        MainContext { instructions, core_memory, messages }
    }
}

impl Summarize for Summarizer<'_, '_> {
    fn summarize(&mut self, previous: Option<&str>, evicted: &[Message], max_words: usize) -> Result<String, BoxError> {
        (self.before)();
        let context = self.context(previous, evicted, max_words);
        let mut model = self.model.borrow_mut();
        let model = &mut **model;
        let prompt = model.prompt(&context)?;
        let cancel = &self.cancel;
        let report = model.session.prepare(&prompt, cancel)?;
        model.cost.add_read(&report);
        if !report.complete {
            return Err(STOPPED.into());
        }
        let vocab = Arc::clone(model.session.vocab());
        let mut text = Vec::new();
        let options = GenerateOptions { max_tokens: self.max_tokens, stop_stuck: true, ..GenerateOptions::default() };
        let generation: Generation = generate(
            &mut model.session,
            &mut Unconstrained { is_text: vocab.text_flags() },
            &mut model.aside_sampler,
            &options,
            cancel,
            &mut |_, bytes| text.extend_from_slice(bytes),
        )?;
        model.cost.add_generation(&generation.stats);
        if generation.stop == StopCause::Cancelled {
            // Half of a summary would stand for the messages for good.
            return Err(STOPPED.into());
        }
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        Ok(if generation.stop.is_whole() { text } else { whole_sentences(&text).to_owned() })
    }

    fn room_tokens(&mut self, previous: Option<&str>, max_words: usize) -> Option<usize> {
        let context = self.context(previous, &[], max_words);
        let model = self.model.borrow();
        // A prompt that cannot be made is found out when it is to be read.
        let prompt_tokens = model.prompt(&context).ok()?.len();
        Some(model.window_tokens().saturating_sub(prompt_tokens + self.max_tokens))
    }
}

/// `text` up to its last sentence that is whole; all of it where none is.
fn whole_sentences(text: &str) -> &str {
    text.rfind(['.', '!', '?', '。', '！', '？'])
        .and_then(|at| text.get(..at + text.get(at..)?.chars().next()?.len_utf8()))
        .unwrap_or(text)
}

/// The summary before, as the first message of a summary prompt. It is never stored.
fn earlier_summary(text: &str, at_ms: i64) -> Message {
    transient(at_ms, Body::Summary { text: text.to_owned(), hidden_message_count: 0 })
}

/// The request at the end of a summary prompt. It is never stored.
fn summary_request(at_ms: i64, max_words: usize) -> Message {
    let text = format!(
        "Stop here for a moment. The messages above will soon be out of your view. Write a summary of them for \
         yourself, in the first person, in plain sentences of at most {max_words} words in all: what the user told \
         you and asked for, what you answered, what is still open. Keep names, dates and numbers. If a summary stands \
         at the beginning, keep what matters of it. Write only the summary, no function call."
    );
    transient(at_ms, Body::User { text })
}

fn transient(at_ms: i64, body: Body) -> Message {
    Message { id: MessageId(i64::MAX), at_ms, body, interrupted: false, stub: None }
}
