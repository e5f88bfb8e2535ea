//! Embedding as the agent does it: beside the calls that search, what has no vector yet, while nobody waits.

use std::time::Instant;

use crate::memory::Embed;
use crate::types::Cancel;

use super::agent::Agent;

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
        let Some(embedder) = self.embedder.as_deref_mut() else { return };
        let started = Instant::now();
        match self.memory.embed_pending(embedder, preempt, &mut |_| {}) {
            Ok(made) if made.rows > 0 => tracing::debug!(?made, "texts were embedded"),
            Ok(_) => {}
            Err(error) => tracing::error!(?error, "embedding in idle time"),
        }
        self.idle += started.elapsed();
    }
}
