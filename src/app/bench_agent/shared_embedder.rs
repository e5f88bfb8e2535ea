//! One embedder for all agents of a run, one after the other: its weights are read once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::memory::{BoxError, Embed};

/// See the module.
#[derive(Clone)]
pub(super) struct SharedEmbedder {
    name: Arc<str>,
    dimensions: usize,
    max_tokens: usize,
    embedder: Arc<Mutex<Box<dyn Embed>>>,
}

impl SharedEmbedder {
    pub(super) fn new(embedder: Box<dyn Embed>) -> Self {
        Self {
            name: embedder.name().into(),
            dimensions: embedder.dimensions(),
            max_tokens: embedder.max_tokens(),
            embedder: Arc::new(Mutex::new(embedder)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn Embed>> {
        // Agents take turns; a panic of one ends the run.
        self.embedder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Embed for SharedEmbedder {
    fn name(&self) -> &str {
        &self.name
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    fn token_count(&self, text: &str) -> usize {
        self.lock().token_count(text)
    }

    fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, BoxError> {
        self.lock().embed(texts)
    }
}
