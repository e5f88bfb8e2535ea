//! Engines: what is known of a model before its weights are loaded, and loading it.

use std::path::Path;
use std::sync::Arc;

use super::Error;
use crate::cli::EngineName;
use crate::config::Config;
use crate::inference::{Description, Engine, ModelIdentity, Script, ScriptedEngine, Vocab};
use crate::models::hardware::free_memory_bytes;
use crate::types::Cancel;

/// Memory that a model takes beside its weights, in bytes: keys and values of a window, and the overhead of the engine. A
/// small window of a small model; more is found out when it is loaded.
const BESIDE_WEIGHTS_BYTES: u64 = 512 << 20;

/// A model without its weights.
#[derive(Debug, Clone)]
pub(super) struct Blueprint {
    /// Name and chat template.
    pub(super) identity: ModelIdentity,
    /// The vocabulary, the same that the loaded engine has.
    pub(super) vocab: Arc<Vocab>,
}

impl Blueprint {
    /// Reads the metadata of the model that `model` names: tenths of a second, and no llama.cpp.
    ///
    /// # Errors
    /// There is no such model, or its file is damaged.
    pub(super) fn read(engine: EngineName, model: &str) -> Result<Self, Error> {
        match engine {
            EngineName::Scripted => Ok(Self::of(&ScriptedEngine::new(Script::load(Path::new(model))?))),
            EngineName::LlamaCpp | EngineName::Candle => {
                let file = super::models::resolve(model)?;
                let failure = |error| file.failure(error);
                let described = Description::read(&file.path).map_err(failure)?;
                let Description { vocab, add_bos, chat_template, trained_context_tokens } = described;
                let engine = if engine == EngineName::Candle { "candle" } else { "llama-cpp" };
                let identity =
                    ModelIdentity { name: file.name, engine, chat_template, add_bos, trained_context_tokens };
                Ok(Self { identity, vocab })
            }
        }
    }

    /// The scripted engine, whatever its script.
    pub(super) fn scripted() -> Self {
        Self::of(&ScriptedEngine::new(Script::default()))
    }

    fn of(engine: &dyn Engine) -> Self {
        Self { identity: engine.identity().clone(), vocab: Arc::clone(engine.vocab()) }
    }
}

/// Loads the model of `config`; the best that is installed where it names none.
///
/// # Errors
/// There is no such model, it cannot be loaded, this build does not have the engine, or `cancel` was raised.
pub(super) fn load(engine: EngineName, config: &Config, cancel: &Cancel) -> Result<Box<dyn Engine>, Error> {
    load_with_lanes(engine, config, 0, cancel)
}

/// The same for an engine that is to write so many texts together.
///
/// # Errors
/// As [`load`].
pub(super) fn load_with_lanes(
    engine: EngineName,
    config: &Config,
    lanes: usize,
    cancel: &Cancel,
) -> Result<Box<dyn Engine>, Error> {
    match engine {
        EngineName::Scripted => {
            let path = config.model.as_deref().ok_or(Error::NoScript)?;
            let mut script = Script::load(Path::new(path))?;
            script.context_window = config.context_window.unwrap_or(script.context_window);
            script.wait_to_load(cancel);
            Ok(Box::new(ScriptedEngine::new(script)))
        }
        EngineName::LlamaCpp | EngineName::Candle => {
            let name = config.model.clone().map_or_else(|| super::models::default_model(&config.home), Ok)?;
            super::models::load(engine, &super::models::resolve(&name)?, config, lanes, cancel)
        }
    }
}

/// Refuses the model of `config` where the memory cannot hold it beside the one that answers: until it is loaded and its
/// window is found large enough, the other must be there to go on.
///
/// # Errors
/// [`Error::NoMemory`]; there is no such model.
pub(super) fn require_room_beside(engine: EngineName, config: &Config) -> Result<(), Error> {
    if !engine.runs_model() {
        return Ok(());
    }
    let name = config.model.clone().map_or_else(|| super::models::default_model(&config.home), Ok)?;
    let file = super::models::resolve(&name)?;
    let needed_bytes = std::fs::metadata(&file.path).map_or(0, |meta| meta.len()) + BESIDE_WEIGHTS_BYTES;
    require_memory(&file.name, needed_bytes, free_memory_bytes())
}

fn require_memory(model: &str, needed_bytes: u64, free_bytes: Option<u64>) -> Result<(), Error> {
    match free_bytes {
        Some(free_bytes) if free_bytes < needed_bytes => {
            Err(Error::NoMemory { model: model.to_owned(), needed_bytes, free_bytes })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_model_is_loaded_only_where_the_memory_holds_it_or_is_not_known() {
        let refused = require_memory("m", 2_000_000_000, Some(1_999_999_999)).unwrap_err();
        assert!(refused.sentence().contains("2.00 GB") && refused.hint().contains("--model"), "{refused}");
        assert!(require_memory("m", 2_000_000_000, Some(2_000_000_000)).is_ok());
        assert!(require_memory("m", 2_000_000_000, None).is_ok());
    }
}
