//! The library alone on what an engine has done: how long the tokens take that had to be read.

use std::time::Duration;

use super::super::Error;
use super::Recorded;
use crate::bench::turn::Measured;
use crate::bench::turn::trace::{Known, Operation};
use crate::cli::EngineName;
use crate::config::Config;
use crate::inference::Sequence;
use crate::types::{Cancel, TokenId};

/// The library, which is loaded when it is needed first. Beside the scripted engine there is none, and everything takes no
/// time.
pub(super) struct Library {
    engine: EngineName,
    config: Config,
    #[cfg(feature = "llama-cpp")]
    bare: Option<crate::inference::BareLibrary>,
    /// Tokens that it has read in passes of more than one, and the time they took.
    pub(super) read: (usize, Duration),
    /// The same for passes of one token.
    pub(super) decoded: (usize, Duration),
}

impl Library {
    pub(super) fn new(engine: EngineName, config: Config) -> Self {
        Self {
            engine,
            config,
            #[cfg(feature = "llama-cpp")]
            bare: None,
            read: Default::default(),
            decoded: Default::default(),
        }
    }

    /// Does what was recorded of a round; none where it was stopped.
    ///
    /// # Errors
    /// The library cannot be loaded, or a native call failed.
    pub(super) fn repeat(&mut self, recorded: Vec<Recorded>, stop: &Cancel) -> Result<Option<Vec<Measured>>, Error> {
        let mut known = Known::default();
        // What idle time does in other sequences has no part in the time of turns.
        let sequence_of = |operation: &Operation| match operation {
            Operation::Read { sequence, .. } | Operation::Restored { sequence, .. } => *sequence,
        };
        let of_turns: Vec<Sequence> = recorded.iter().flat_map(|turn| turn.within.iter().map(sequence_of)).collect();
        let mut measured = Vec::with_capacity(recorded.len());
        for Recorded { turn, first_token, database, database_while_decoding, happened, before, within } in recorded {
            let (mut restored_tokens, mut reread) = (0, Duration::ZERO);
            for operation in before.iter().filter(|operation| of_turns.contains(&sequence_of(operation))) {
                match operation {
                    Operation::Read { sequence, at, tokens } => {
                        known.take(*sequence, *at, tokens);
                        self.run(*sequence, *at, tokens)?;
                    }
                    Operation::Restored { sequence, tokens } => {
                        let read = known.restored(*sequence, *tokens);
                        let spent = self.run(*sequence, 0, &read)?;
                        if *sequence == Sequence::Main {
                            (restored_tokens, reread) = (*tokens, spent);
                        }
                    }
                }
                if stop.is_raised() {
                    return Ok(None);
                }
            }
            let (mut bound, mut engine_tokens, mut known_tokens) = (Duration::ZERO, 0, 0);
            let (mut first_bound, mut is_sampling) = (Duration::ZERO, false);
            for operation in &within {
                match operation {
                    Operation::Read { sequence, at, tokens } => {
                        let old = known.take(*sequence, *at, tokens);
                        let (held, new) = tokens.split_at(old);
                        self.run(*sequence, *at, held)?;
                        let spent = self.run(*sequence, at + old, new)?;
                        let sum = if new.len() > 1 { &mut self.read } else { &mut self.decoded };
                        (sum.0, sum.1) = (sum.0 + new.len(), sum.1 + spent);
                        bound += spent;
                        engine_tokens += tokens.len();
                        known_tokens += old;
                        is_sampling |= tokens.len() == 1;
                        if !is_sampling {
                            first_bound += spent;
                            reread += if restored_tokens > 0 { spent } else { Duration::ZERO };
                        }
                    }
                    Operation::Restored { sequence, tokens } => {
                        let read = known.restored(*sequence, *tokens);
                        self.run(*sequence, 0, &read)?;
                    }
                }
                if stop.is_raised() {
                    return Ok(None);
                }
            }
            measured.push(Measured {
                turn,
                first_token,
                database,
                database_while_decoding,
                bound,
                first_bound,
                engine_tokens,
                known_tokens,
                happened,
                restored_tokens,
                reread,
            });
        }
        Ok(Some(measured))
    }

    #[cfg(feature = "llama-cpp")]
    fn run(&mut self, sequence: Sequence, at: usize, tokens: &[TokenId]) -> Result<Duration, Error> {
        if !self.engine.runs_model() || tokens.is_empty() {
            return Ok(Duration::ZERO);
        }
        if self.bare.is_none() {
            let (file, options) = super::super::models::chosen(&self.config)?;
            let window_tokens = self.config.context_window.unwrap_or_default();
            let bare = crate::inference::BareLibrary::load(&file.path, &options, window_tokens);
            self.bare = Some(bare.map_err(|error| file.failure(error))?);
        }
        self.bare.as_mut().map_or(Ok(Duration::ZERO), |bare| Ok(bare.read(sequence, at, tokens)?))
    }

    #[cfg(not(feature = "llama-cpp"))]
    fn run(&mut self, _: Sequence, _: usize, _: &[TokenId]) -> Result<Duration, Error> {
        let _ = (self.engine, &self.config);
        Ok(Duration::ZERO)
    }
}
