//! Embedding as the agent does it: beside the calls that search, what has no vector yet, while nobody waits.

use std::time::{Duration, Instant};

use crate::memory::Embed;
use crate::types::{Cancel, Event};

use super::agent::Agent;

/// A turn that waits for embedding tells it after so long, and then again and again: it looks like a hang otherwise.
const TELL_EVERY: Duration = Duration::from_secs(5);

impl Agent {
    /// Gives the agent the means to find memories by meaning; none: by words alone.
    pub fn set_embedder(&mut self, embedder: Option<Box<dyn Embed>>) {
        self.embedder = embedder;
    }

    /// Takes the embedder away again: the next agent need not load it anew.
    pub fn take_embedder(&mut self) -> Option<Box<dyn Embed>> {
        self.embedder.take()
    }

    /// Makes the vectors that are missing until none is or `preempt` is raised, which stops it within a tenth of a
    /// second; what was made is stored. A failure is logged: searches find by words what has no vector.
    pub fn embed_pending(&mut self, preempt: &Cancel) {
        self.embed_telling(preempt, &mut |_| {});
    }

    /// The same for a turn that waits for it: `emit` gets a notice of the progress every five seconds.
    pub fn embed_in_turn(&mut self, preempt: &Cancel, emit: &mut dyn FnMut(Event)) {
        let mut told = Instant::now();
        self.embed_telling(preempt, &mut |texts| {
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                emit(Event::Notice {
                    text: format!(
                        "{texts} texts have got their vectors before the turn ends, and more are waiting. Ctrl-C \
                         leaves the rest for later."
                    ),
                });
            }
        });
    }

    fn embed_telling(&mut self, preempt: &Cancel, progress: &mut dyn FnMut(u64)) {
        let Some(embedder) = self.embedder.as_deref_mut() else { return };
        let started = Instant::now();
        match self.memory.embed_pending(embedder, preempt, progress) {
            Ok(made) if made.rows > 0 => tracing::debug!(?made, "texts were embedded"),
            Ok(_) => {}
            Err(error) => tracing::error!(?error, "embedding in idle time"),
        }
        self.idle += started.elapsed();
    }
}
