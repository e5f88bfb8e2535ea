//! What the window can hold: making room before a generation, and how much room core memory may take.
//!
//! Core memory always stays in the prompt, so an edit of it must leave room for an exchange. The grammar bounds what the
//! model may write by characters, coarsely; the measure of the real prompt has the last word when the edit is made. An
//! agent whose core memory is too large all the same, because the window became smaller, opens and says so: its blocks
//! can be shortened.

use std::cell::RefCell;

use crate::memory::{self, CoreMemory, IfUnwritten, MainContext, QueueManager, RoomReport};
use crate::types::{Cancel, Event};

use super::Error;
use super::agent::{Agent, Settings};
use super::by_profile::{Searchable, described_functions, instructions};
use super::language::spoken_language;
use super::model::{Counter, Model};
use super::summarizer::Summarizer;

/// Characters of core memory for each token of room. English has four; texts of many short words and names have fewer.
const CORE_CHARS_PER_TOKEN: usize = 2;

/// The part of the window, as 1/n, that is kept free for the next exchange by summaries in idle time.
pub(super) const AHEAD: usize = 8;

/// What the user is told before older messages are summarised: it can take as long as an answer.
const BEFORE_SUMMARY: &str = "The window is full: older messages are summarised first. Ctrl-C shortens them without \
                              the model.";

/// The fixed part of the prompt: all but the queue, with all functions that may be described one day.
pub(super) fn fixed_tokens(model: &Model, instructions: &str, core: &CoreMemory) -> Result<usize, Error> {
    let (instructions, core_memory) = (instructions.to_owned(), core.render());
    model.most_prompt_tokens(&MainContext { instructions, core_memory, messages: Vec::new() })
}

/// Refuses a fixed part of the prompt that leaves no room to talk.
pub(super) fn check_window(model: &Model, settings: &Settings, fixed_tokens: usize) -> Result<(), Error> {
    let window_tokens = model.window_tokens();
    let reserve_tokens = settings.queue.answer_reserve_tokens(window_tokens);
    if fixed_tokens > most_fixed_tokens(model, settings) {
        let needed_tokens = fixed_tokens + settings.queue.min_queue_tokens;
        return Err(crate::memory::Error::WindowTooSmall { needed_tokens, reserve_tokens, window_tokens }.into());
    }
    Ok(())
}

/// The longest fixed part beside which an exchange and its answer fit.
fn most_fixed_tokens(model: &Model, settings: &Settings) -> usize {
    settings.queue.prompt_limit_tokens(model.window_tokens()).saturating_sub(settings.queue.min_queue_tokens)
}

/// Whether core memory may become `after`: it fits, or is no larger than it was.
pub(super) fn holds(
    model: &Model,
    settings: &Settings,
    instructions: &str,
    before: &CoreMemory,
    after: &CoreMemory,
) -> bool {
    let tokens = |core: &CoreMemory| fixed_tokens(model, instructions, core);
    match (tokens(before), tokens(after)) {
        (Ok(before), Ok(after)) => after <= before.max(most_fixed_tokens(model, settings)),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(?error, "core memory could not be measured");
            false
        }
    }
}

impl Agent {
    /// Tokens of the fixed part with core memory as it is stored.
    pub(super) fn fixed_tokens(&self) -> Result<usize, Error> {
        fixed_tokens(&self.model, &self.context.instructions, &self.memory.view().core()?)
    }

    /// Why the agent cannot answer before its core memory is shorter; none where it can.
    #[must_use]
    pub fn lacks_room(&self) -> Option<Error> {
        self.fixed_tokens().and_then(|tokens| check_window(&self.model, &self.settings, tokens)).err()
    }

    /// Characters that core memory may grow by.
    fn core_room_chars(&self) -> Result<usize, Error> {
        let room_tokens = most_fixed_tokens(&self.model, &self.settings).saturating_sub(self.fixed_tokens()?);
        Ok(room_tokens * CORE_CHARS_PER_TOKEN)
    }

    /// Core memory with limits that the window can hold.
    pub(super) fn bounded_core(&self) -> Result<CoreMemory, Error> {
        let mut core = self.memory.view().core()?;
        let room_chars = self.core_room_chars()?;
        for block in [&mut core.persona, &mut core.human] {
            block.limit_chars = block.limit_chars.min(block.used_chars() + room_chars);
        }
        Ok(core)
    }

    /// Instructions in the language that the user speaks by now, and the functions that can do something by now.
    pub(super) fn set_fixed_part(&mut self) -> Result<(), Error> {
        let memory = self.memory.view();
        let language = spoken_language(&memory.queue()?, self.language);
        if language != self.language {
            // Other words take other room: where they take too much of it, those of before stay.
            let instructions = instructions(memory, &self.settings, language)?;
            let tokens = fixed_tokens(&self.model, &instructions, &memory.core()?)?;
            if tokens <= most_fixed_tokens(&self.model, &self.settings) {
                (self.language, self.context.instructions) = (language, instructions);
            }
        }
        let searchable = Searchable { messages: memory.has_evicted_conversation()?, passages: memory.has_passages()? };
        self.model.describe(described_functions(&self.settings, searchable));
        Ok(())
    }

    /// Puts the queue into the context; evicts and summarises until prompt and answer fit.
    pub(super) fn make_room(&mut self, emit: &mut dyn FnMut(Event)) -> Result<RoomReport, Error> {
        let mut is_told = false;
        let mut before = || {
            if !std::mem::replace(&mut is_told, true) {
                emit(Event::Notice { text: BEFORE_SUMMARY.to_owned() });
            }
        };
        // Who comes in shall not find half a summary: the turn ends that gives way, and the next one makes room.
        let if_unwritten = if self.gives_way { IfUnwritten::Keep } else { IfUnwritten::Shorten };
        self.manage_queue((self.cancel.clone(), if_unwritten), &mut before, |manager| manager.make_room())
    }

    /// Has the queue manager do its work; `before` is called before the model writes a summary, which `cancel` stops.
    pub(super) fn manage_queue(
        &mut self,
        (cancel, if_unwritten): (Cancel, IfUnwritten),
        before: &mut dyn FnMut(),
        work: impl FnOnce(&mut QueueManager<'_>) -> memory::Result<RoomReport>,
    ) -> Result<RoomReport, Error> {
        let window_tokens = self.model.window_tokens();
        let (instructions, core_memory) = (self.context.instructions.clone(), self.context.core_memory.clone());
        let model = RefCell::new(&mut self.model);
        let mut manager = QueueManager {
            memory: &mut self.memory,
            context: &mut self.context,
            counter: &mut Counter { model: &model, embedder: self.embedder.as_deref() },
            summarizer: &mut Summarizer {
                model: &model,
                instructions: &instructions,
                core_memory: &core_memory,
                max_tokens: self.settings.queue.summary_max_tokens,
                cancel,
                before,
            },
            if_unwritten,
            limits: &self.settings.queue,
            window_tokens,
            at_ms: self.clock.now_ms(),
        };
        Ok(work(&mut manager)?)
    }

    /// Whether the model is to be warned that its window is nearly full.
    pub(super) fn pressure(&mut self) -> Result<bool, Error> {
        if self.memory.view().is_warned()? {
            return Ok(false);
        }
        self.context.messages = self.memory.view().queue()?;
        let prompt_tokens = self.model.prompt(&self.context)?.len();
        Ok(prompt_tokens >= self.settings.queue.warn_from_tokens(self.model.window_tokens()))
    }
}

/// How a notice begins that tells of an eviction.
const EVICTION: &str = "The window was full:";

/// Whether a notice tells that messages have left the window.
#[must_use]
pub fn tells_of_eviction(notice: &str) -> bool {
    notice.starts_with(EVICTION)
}

/// What the user should know of an eviction.
pub(super) fn room_notice(room: &RoomReport) -> Option<String> {
    let mut sentences = Vec::new();
    if room.evicted_messages > 0 {
        let how = if room.has_mechanical_summary { "shortened" } else { "summarised" };
        let evicted = room.evicted_messages;
        sentences.push(format!("{EVICTION} {evicted} older messages were {how}; they can still be searched."));
    }
    if !room.paged_out.is_empty() {
        sentences
            .push("A message too long for the window went to archival storage; the agent can search it.".to_owned());
    }
    (!sentences.is_empty()).then(|| sentences.join(" "))
}
