//! What an agent is given according to its profile, settings and memory: instructions, and the functions that are
//! described to it.
//!
//! In the native profile only functions that can do something are described. On 24 conversations that hold nothing to be
//! searched, Qwen2.5-Coder-1.5B with all functions in view archived what it was to answer, said so instead of answering,
//! and spoke as the user; a prompt without them is 430 tokens shorter and it does none of that.

use crate::dialect::{Dialect, Profile};
use crate::functions::{self, Function};
use crate::inference::{StateStore, Warm};
use crate::memory::View;
use crate::memory::main_context::system::{CoreMemoryEditor, classic_instructions, native_instructions};
use crate::types::{Cancel, Clock, FunctionSchema, Language};

use super::Error;
use super::agent::Settings;
use super::model::Model;

/// The system instructions of an agent: its own, else the default ones in the language that the user speaks.
pub(super) fn instructions(
    memory: View<'_>,
    settings: &Settings,
    language: Option<Language>,
) -> crate::memory::Result<String> {
    Ok(memory.instructions()?.unwrap_or_else(|| default_instructions(settings, language)))
}

/// The system instructions of an agent that has none of its own, for a user who speaks `language`.
#[must_use]
pub fn default_instructions(settings: &Settings, language: Option<Language>) -> String {
    match settings.profile {
        Profile::Classic => classic_instructions().to_owned(),
        Profile::Native if settings.memory_pass => native_instructions(CoreMemoryEditor::Pass, language),
        Profile::Native => native_instructions(CoreMemoryEditor::Model, language),
    }
}

/// Whether there is anything that a search could find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Searchable {
    /// Messages that are out of view.
    pub(super) messages: bool,
    /// Passages in archival storage.
    pub(super) passages: bool,
}

impl Searchable {
    const ALL: Self = Self { messages: true, passages: true };
}

/// The functions that are described to the model.
pub(super) fn described_functions(settings: &Settings, searchable: Searchable) -> Vec<FunctionSchema> {
    let is_described = |function: Function| match (settings.profile, function) {
        (Profile::Classic, _) => true,
        // Plain text is the message.
        (Profile::Native, Function::SendMessage) => false,
        // A memory pass saves what is to be saved.
        (
            Profile::Native,
            Function::CoreMemoryAppend | Function::CoreMemoryReplace | Function::ArchivalMemoryInsert,
        ) => !settings.memory_pass,
        (Profile::Native, Function::ConversationSearch | Function::ConversationSearchDate) => searchable.messages,
        (Profile::Native, Function::ArchivalMemorySearch) => searchable.passages,
        (Profile::Native, Function::PauseHeartbeats) => settings.heartbeat.is_some(),
    };
    functions::schemas(is_described)
}

/// The model on an engine.
pub(super) fn make_model(
    engine: Warm,
    dialect: Box<dyn Dialect>,
    clock: &dyn Clock,
    cancel: &Cancel,
    settings: &Settings,
) -> Result<Model, Error> {
    let states = settings.states.clone().map(StateStore::new);
    let functions = described_functions(settings, Searchable::ALL);
    Model::new(engine, dialect, settings.sampler, functions, clock.zone(), cancel.clone(), states)
}
