//! The look into the memory before an answer: what is found out of view stands in front of the user's message for this
//! one turn.
//!
//! It is no part of the queue: the next turn's prompt has the message alone again, and what the turn has written behind
//! it is read once more. So it is done only where something is asked, and only while it fits without an eviction.

use std::collections::HashSet;

use crate::functions::{self, Context};
use crate::types::{Body, Message, MessageId, Notification};

use super::Error;
use super::agent::Agent;
use super::interrupt::Interrupt;
use super::language::asks;

/// What was looked up for a turn.
#[derive(Debug, Clone, Default)]
pub(super) enum Recalled {
    /// Nothing is looked up in this turn.
    #[default]
    Off,
    /// It is looked up before the first generation.
    Due,
    /// This was found; it is shown in every step of the turn.
    Found {
        /// For the prompt, in front of the user's message.
        notice: Message,
        quotes_document: bool,
    },
}

impl Recalled {
    /// What was found.
    pub(super) fn text(&self) -> Option<&str> {
        let Self::Found { notice, .. } = self else { return None };
        match &notice.body {
            Body::Notification { notification: Notification::Recollection { text } } => Some(text),
            _ => None,
        }
    }

    pub(super) const fn quotes_document(&self) -> bool {
        matches!(self, Self::Found { quotes_document: true, .. })
    }
}

impl Agent {
    /// Whether a turn that begins so looks into the memory first.
    pub(super) fn recalls_at(&self, interrupt: &Interrupt) -> Recalled {
        let is_due = self.settings.recollection
            && match interrupt {
                Interrupt::User { text, .. } => asks(text),
                // Whether the message asks is seen once it is the newest one again.
                Interrupt::Retry => true,
                Interrupt::Login | Interrupt::Heartbeat { .. } | Interrupt::MemoryPressure | Interrupt::Summarize => {
                    false
                }
            };
        if is_due { Recalled::Due } else { Recalled::Off }
    }

    /// Puts what was found into the context, whose queue has `prompt_tokens` so far; gives back how many the prompt then
    /// has, at most `most_tokens` where something was added.
    pub(super) fn recall(
        &mut self,
        recalled: &mut Recalled,
        prompt_tokens: usize,
        most_tokens: usize,
    ) -> Result<usize, Error> {
        let is_user = |message: &Message| matches!(message.body, Body::User { .. });
        let Some(at) = self.context.messages.iter().rposition(is_user) else { return Ok(prompt_tokens) };
        if matches!(recalled, Recalled::Due) {
            *recalled = self.look_up(at)?;
        }
        let Recalled::Found { notice, .. } = recalled else { return Ok(prompt_tokens) };
        self.context.messages.insert(at, notice.clone());
        let with_notice = self.model.prompt(&self.context)?.len();
        if with_notice > most_tokens {
            self.context.messages.remove(at);
            *recalled = Recalled::Off;
            return Ok(prompt_tokens);
        }
        self.model.cost.add_recalled(with_notice.saturating_sub(prompt_tokens));
        Ok(with_notice)
    }

    pub(super) fn look_up(&mut self, at: usize) -> Result<Recalled, Error> {
        let Some(Message { at_ms, body: Body::User { text }, .. }) = self.context.messages.get(at) else {
            return Ok(Recalled::Off);
        };
        let (at_ms, text) = (*at_ms, text.clone());
        let memory = self.memory.view();
        if !asks(&text) || !(memory.has_evicted_conversation()? || memory.has_passages()?) {
            return Ok(Recalled::Off);
        }
        let in_view: HashSet<MessageId> = self.context.messages.iter().map(|message| message.id).collect();
        let embedder = self.embedder.as_deref_mut();
        let mut context = Context { embedder, ..Context::without_embedder(self.clock.zone()) };
        let found = functions::recollect(&text, &in_view, &self.memory, &mut context)?;
        Ok(found.map_or(Recalled::Off, |found| {
            let notification = Notification::Recollection { text: found.text };
            let body = Body::Notification { notification };
            let notice = Message { id: MessageId(i64::MAX), at_ms, body, interrupted: false, stub: None };
            Recalled::Found { notice, quotes_document: found.quotes_document }
        }))
    }
}
