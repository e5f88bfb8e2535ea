//! What the grammar bench asks of an engine, and our own.

use std::sync::Arc;

use super::cases::{Source, Work};
use crate::grammar::schema::{self, Options};
use crate::grammar::{Compiler, Grammar, Limits, Mask, Matcher};
use crate::inference::Vocab;
use crate::types::{Constraint, TokenId};

/// The engines that this build has.
#[cfg(feature = "bench-peers")]
pub const ENGINES: [&str; 4] = ["mneme", "llama.cpp", "llguidance-exact", "llguidance-lexeme"];
/// The engines that this build has.
#[cfg(not(feature = "bench-peers"))]
pub const ENGINES: [&str; 1] = ["mneme"];

/// A grammar engine with its tables for one vocabulary.
pub(super) trait Engine {
    /// Compiles the grammar of `work`.
    ///
    /// # Errors
    /// The engine cannot.
    fn compile<'a>(&'a self, work: &Work) -> Result<Box<dyn Walker + 'a>, String>;

    /// Drops everything that was worked out for grammars, so that a round begins cold.
    fn forget(&mut self) {}

    /// Most masks of a round that are timed; the others are left out.
    fn most_masks(&self) -> usize {
        usize::MAX
    }

    /// Whether it allocates outside of Rust.
    fn is_native(&self) -> bool {
        false
    }

    /// What a reader must know to compare its rows.
    fn note(&self) -> Option<&'static str> {
        None
    }
}

/// A compiled grammar that follows a document.
pub(super) trait Walker {
    /// Goes to the beginning of a document. What was worked out before may stay.
    ///
    /// # Errors
    /// The engine failed.
    fn restart(&mut self) -> Result<(), String>;

    /// What has to be done before a mask and is not a part of it.
    fn prepare(&mut self) {}

    /// Works out which tokens may come.
    ///
    /// # Errors
    /// The engine failed.
    fn mask(&mut self) -> Result<(), String>;

    /// Whether the last mask has `token`.
    fn has(&self, token: TokenId) -> bool;

    /// Whether `token` may come, and if so takes it.
    ///
    /// # Errors
    /// The engine failed.
    fn take(&mut self, token: TokenId) -> Result<bool, String>;

    /// Lowers the logits of all tokens that the last mask lacks; false where there is nothing to do.
    fn apply(&self, logits: &mut [f32]) -> bool;

    /// Whether the document may end here.
    fn may_end(&mut self) -> bool;
}

/// Our engine.
pub(super) struct Mneme {
    compiler: Compiler,
}

impl Mneme {
    pub(super) fn new(vocab: &Arc<Vocab>) -> Self {
        let compiler = Compiler::new(Arc::clone(vocab), Limits::default());
        compiler.warm_up();
        Self { compiler }
    }
}

impl Engine for Mneme {
    fn forget(&mut self) {
        self.compiler = self.compiler.forget();
    }

    fn compile<'a>(&'a self, work: &Work) -> Result<Box<dyn Walker + 'a>, String> {
        let grammar = match &work.source {
            Source::Gbnf(text) => self.compiler.compile(text).map_err(|error| error.to_string())?,
            Source::Schema(schema) => {
                let ir = schema::compile(schema, &Options::default()).map_err(|error| error.to_string())?;
                self.compiler.compile_ir(&ir).map_err(|error| error.to_string())?
            }
        };
        let matcher = grammar.matcher().map_err(|error| error.to_string())?;
        Ok(Box::new(Walk { grammar, matcher, mask: None }))
    }
}

struct Walk {
    grammar: Grammar,
    matcher: Matcher,
    mask: Option<Arc<Mask>>,
}

impl Walker for Walk {
    fn restart(&mut self) -> Result<(), String> {
        self.matcher = self.grammar.matcher().map_err(|error| error.to_string())?;
        Ok(())
    }

    fn mask(&mut self) -> Result<(), String> {
        self.mask = Some(self.matcher.mask().map_err(|error| error.to_string())?);
        Ok(())
    }

    fn has(&self, token: TokenId) -> bool {
        self.mask.as_ref().is_some_and(|mask| mask.contains(token))
    }

    fn take(&mut self, token: TokenId) -> Result<bool, String> {
        let allowed = self.matcher.allows(token).map_err(|error| error.to_string())?;
        if allowed {
            self.matcher.commit(token).map_err(|error| error.to_string())?;
        }
        Ok(allowed)
    }

    fn apply(&self, logits: &mut [f32]) -> bool {
        let Some(mask) = &self.mask else { return false };
        for (word, block) in mask.words().iter().zip(logits.chunks_mut(64)) {
            for (place, logit) in block.iter_mut().enumerate() {
                if word >> place & 1 == 0 {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        true
    }

    fn may_end(&mut self) -> bool {
        self.matcher.may_end()
    }
}
