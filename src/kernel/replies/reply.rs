//! A reply on its way to the user: shown piece by piece, stored from time to time, so that a killed process loses at
//! most what was shown in the quarter of a second before the last piece. A piece that follows none is stored before it is
//! shown, and so is the first that comes after that time; what stands between is stored with the next one, or with the
//! end of the reply.

use std::time::{Duration, Instant};

use crate::dialect::Piece;
use crate::memory::AgentMemory;
use crate::types::{Body, Cancel, Clock, Event, MessageId};

/// A reply on the screen is stored with the first piece that comes so long after the last time.
const STORE_REPLY_EVERY: Duration = Duration::from_millis(250);

/// A reply on its way: shown piece by piece, stored from time to time.
pub(in crate::kernel) struct Reply<'a> {
    memory: &'a mut AgentMemory,
    clock: &'a dyn Clock,
    cancel: &'a Cancel,
    row: Option<MessageId>,
    thoughts: String,
    thought_is_shown: bool,
    text: String,
    stored_at: Instant,
    failure: Option<crate::memory::Error>,
}

/// What is stored and shown of a reply before it is whole.
pub(in crate::kernel) struct Started {
    pub(in crate::kernel) row: Option<MessageId>,
    pub(in crate::kernel) thought_is_shown: bool,
}

impl<'a> Reply<'a> {
    pub(in crate::kernel) fn new(memory: &'a mut AgentMemory, clock: &'a dyn Clock, cancel: &'a Cancel) -> Self {
        Self {
            memory,
            clock,
            cancel,
            row: None,
            thoughts: String::new(),
            thought_is_shown: false,
            text: String::new(),
            stored_at: Instant::now(),
            failure: None,
        }
    }

    pub(in crate::kernel) fn take(&mut self, piece: Piece, emit: &mut dyn FnMut(Event)) {
        match piece {
            Piece::Thought(text) => self.thoughts.push_str(&text),
            Piece::Text(text) => {
                self.text.push_str(&text);
                if let Err(error) = self.store() {
                    self.failure.get_or_insert(error);
                    // Nothing more can be shown: the generation has no point.
                    self.cancel.raise();
                }
                // What could not be stored is not shown.
                if self.failure.is_some() {
                    return;
                }
                let thought = self.thoughts.trim();
                if !self.thought_is_shown && !thought.is_empty() {
                    self.thought_is_shown = true;
                    emit(Event::Thought { text: thought.to_owned() });
                }
                emit(Event::Delta { text });
            }
        }
    }

    fn store(&mut self) -> Result<(), crate::memory::Error> {
        let due = self.row.is_none() || self.stored_at.elapsed() >= STORE_REPLY_EVERY;
        if !due {
            return Ok(());
        }
        let thoughts = (!self.thoughts.is_empty()).then(|| self.thoughts.clone());
        let body = Body::Assistant { thoughts, text: Some(self.text.clone()), call: None };
        match self.row {
            Some(id) => self.memory.update_reply(id, &body)?,
            None => {
                let id = self.memory.begin_reply(self.clock.now_ms())?;
                self.memory.update_reply(id, &body)?;
                self.row = Some(id);
            }
        }
        self.stored_at = Instant::now();
        Ok(())
    }

    /// Ends the streaming. What was shown of a generation that turned out to be no text stays in storage as an
    /// interrupted reply.
    ///
    /// # Errors
    /// Something could not be stored.
    pub(in crate::kernel) fn done(self, is_text: bool) -> Result<Started, crate::memory::Error> {
        if let Some(error) = self.failure {
            self.cancel.clear();
            return Err(error);
        }
        let mut row = self.row;
        if let Some(id) = row.filter(|_| !is_text) {
            let thoughts = (!self.thoughts.is_empty()).then_some(self.thoughts);
            let body = Body::Assistant { thoughts, text: Some(self.text), call: None };
            self.memory.finish_reply(id, &body, true)?;
            row = None;
        }
        Ok(Started { row, thought_is_shown: self.thought_is_shown })
    }
}
