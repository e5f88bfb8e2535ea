//! What is done while nobody waits: memory passes, vectors, summaries before the window is full, and reading what the next
//! prompt begins with. All of it stops when the user writes, and is taken up again later.

use std::time::Instant;

use crate::memory::IfUnwritten;
use crate::types::{Body, Cancel, Event, Message, MessageId};

use super::Error;
use super::agent::Agent;
use super::window::{AHEAD, room_notice};

/// Stands for the user's next message, of which nothing is known: prompts are alike up to its text.
const NEXT_MESSAGE: &str = "?";

impl Agent {
    /// One piece of the work that is left for idle time; false where there is no more, or `preempt` was raised.
    pub fn work_in_idle_time(&mut self, preempt: &Cancel, emit: &mut dyn FnMut(Event)) -> bool {
        self.keep_passes_short(true);
        // The next message may be a question, for which somebody waits; what was said is in view until it is looked at.
        self.ahead(|agent| agent.read_answers_ahead(preempt));
        let passed = self.memory_pass(preempt, emit);
        if !passed {
            self.embed_pending(preempt);
            self.work_ahead(preempt, emit);
        }
        self.keep_passes_short(false);
        passed
    }

    /// Reads what the first turn of this start begins with, and a first question: both come sooner. The agent's memory stays as it
    /// is.
    pub fn read_before_first_turn(&mut self, preempt: &Cancel) {
        // Where runs are to be repeated, time must decide nothing.
        if self.settings.waits_for_idle || preempt.is_raised() {
            return;
        }
        self.keep_passes_short(true);
        self.ahead(|agent| {
            agent.read_conversation_ahead(preempt)?;
            if preempt.is_raised() { Ok(()) } else { agent.read_answers_ahead(preempt) }
        });
        self.keep_passes_short(false);
    }

    /// Begins or ends work that gives way to whoever comes in. Where nobody comes in before it is done, passes need not be
    /// short.
    fn keep_passes_short(&mut self, are_short: bool) {
        self.model.session.give_way(are_short && !self.settings.waits_for_idle);
    }

    /// Begins or ends a turn that nobody has asked for: whatever stops it is no wish of the user's.
    pub(super) fn give_way(&mut self, gives_way: bool) {
        self.gives_way = gives_way;
        self.keep_passes_short(gives_way);
    }

    /// Does now what the next turn would begin with: a summary where the window is nearly full, and reading.
    pub fn work_ahead(&mut self, preempt: &Cancel, emit: &mut dyn FnMut(Event)) {
        self.ahead(|agent| agent.get_ahead(preempt, emit));
    }

    /// Does what a turn would do, at the cost of idle time.
    fn ahead(&mut self, work: impl FnOnce(&mut Self) -> Result<(), Error>) {
        let started = Instant::now();
        let cost_of_turn = std::mem::take(&mut self.model.cost);
        if let Err(error) = work(self) {
            // The next turn does it itself, and tells what is wrong.
            tracing::error!(?error, "working ahead");
        }
        self.idle_passes += self.model.cost.forward_passes();
        self.idle += started.elapsed();
        self.model.cost = cost_of_turn;
    }

    fn get_ahead(&mut self, preempt: &Cancel, emit: &mut dyn FnMut(Event)) -> Result<(), Error> {
        let is_summarised = self.summarise_ahead(preempt, emit)?;
        self.read_answers_ahead(preempt)?;
        if self.may_work_ahead && !preempt.is_raised() {
            self.read_conversation_ahead(preempt)?;
        }
        // Where runs are to be repeated, time must decide nothing.
        if !self.settings.waits_for_idle && !preempt.is_raised() {
            self.model.session.measure_drafts(preempt)?;
        }
        if is_summarised && !preempt.is_raised() {
            // What was saved before begins otherwise.
            self.save_state();
        }
        Ok(())
    }

    /// Evicts and summarises before the window is full, so that no turn has to wait for it; true where something was evicted.
    /// Only behind a turn: what the user has taken back must not be changed.
    fn summarise_ahead(&mut self, preempt: &Cancel, emit: &mut dyn FnMut(Event)) -> Result<bool, Error> {
        // What leaves the view must have been looked at.
        if !self.may_work_ahead || preempt.is_raised() || self.passes_left() > 0 {
            return Ok(false);
        }
        self.set_fixed_part()?;
        self.context.messages = self.memory.view().queue()?;
        let (limits, window_tokens) = (&self.settings.queue, self.model.window_tokens());
        let limit_tokens = limits.evict_above_tokens(window_tokens).saturating_sub(window_tokens / AHEAD);
        if self.model.prompt(&self.context)?.len() <= limit_tokens {
            return Ok(false);
        }
        let unwritten = (preempt.clone(), IfUnwritten::Keep);
        let report = self.manage_queue(unwritten, &mut || {}, |manager| manager.evict_now())?;
        if let Some(text) = room_notice(&report) {
            emit(Event::Notice { text });
        }
        Ok(report.evicted_messages > 0)
    }

    /// Reads what the next prompt of the conversation begins with.
    fn read_conversation_ahead(&mut self, preempt: &Cancel) -> Result<(), Error> {
        self.set_fixed_part()?;
        self.context.messages = self.memory.view().queue()?;
        let prompt = self.model.prompt(&self.context)?;
        let mut later = self.context.clone();
        let body = Body::User { text: NEXT_MESSAGE.to_owned() };
        let at_ms = self.clock.now_ms();
        later.messages.push(Message { id: MessageId(i64::MAX), at_ms, body, interrupted: false, stub: None });
        let later = self.model.prompt(&later)?;
        let common = prompt.iter().zip(&later).take_while(|(one, other)| one == other).count();
        self.model.read_conversation_ahead(&self.context, prompt.get(..common).unwrap_or_default(), preempt)
    }
}
