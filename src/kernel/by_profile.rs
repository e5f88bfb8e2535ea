//! What an agent is given according to its profile and settings: instructions, and a model with the functions that are
//! described to it.

use crate::dialect::{Dialect, Profile};
use crate::functions::{self, Function};
use crate::inference::{StateStore, Warm};
use crate::memory::main_context::system::{CoreMemoryEditor, classic_instructions, native_instructions};
use crate::types::{Cancel, Clock};

use super::Error;
use super::agent::Settings;
use super::model::Model;

/// The system instructions of an agent that has none of its own.
#[must_use]
pub fn default_instructions(settings: &Settings) -> String {
    match settings.profile {
        Profile::Classic => classic_instructions().to_owned(),
        Profile::Native if settings.memory_pass => native_instructions(CoreMemoryEditor::Pass),
        Profile::Native => native_instructions(CoreMemoryEditor::Model),
    }
}

/// The model on an engine, with the functions that the profile offers.
pub(super) fn make_model(
    engine: Warm,
    dialect: Box<dyn Dialect>,
    clock: &dyn Clock,
    cancel: &Cancel,
    settings: &Settings,
) -> Result<Model, Error> {
    let without: &[Function] = match settings.profile {
        Profile::Classic => &[],
        // Plain text is the message, and a memory pass edits core memory.
        Profile::Native if settings.memory_pass => {
            &[Function::SendMessage, Function::CoreMemoryAppend, Function::CoreMemoryReplace]
        }
        Profile::Native => &[Function::SendMessage],
    };
    let states = settings.states.clone().map(StateStore::new);
    let schemas = functions::schemas(without);
    Model::new(engine, dialect, settings.sampler, schemas, clock.zone(), cancel.clone(), states)
}
