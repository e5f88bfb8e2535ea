//! What the commands do that change the agent or look into it: back and forth between turns, replies written anew, core
//! memory, checkpoints, the system instructions and the model.
//!
//! Each is one transaction; whatever could leave no room to talk is refused before it is stored.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::dialect::Dialect;
use crate::inference::{Engine, SamplerOptions};
use crate::memory::{BlockLabel, CoreBlock, IfUnwritten, MainContext, RoomReport, Step, View};
use crate::types::{Cancel, CoreMemoryEdit, CoreMemoryText, Event, Language, counted};

use super::Error;
use super::agent::{Agent, Settings};
use super::by_profile::{default_instructions, instructions, make_model};
use super::command::{self, Command};
use super::context_length::Parts;
use super::dump::{dump, dump_raw, local_time};
use super::model::Model;
use super::window::{check_window, fixed_tokens};

/// Edits of core memory that `/memory` shows.
const SHOWN_EDITS: usize = 3;

/// Temperature of a turn that is taken again where the setting is 0: the likeliest answer is known already.
const RETRY_TEMPERATURE: f32 = 0.7;
/// Longest part of a message of the user that a notice quotes, in characters.
const QUOTED_CHARS: usize = 60;
/// Longest file of system instructions, in bytes, as for personas.
const MAX_INSTRUCTIONS_BYTES: u64 = 64 << 10;
/// What puts the default instructions, or the model of the config, back.
const DEFAULT: &str = "default";

/// A model that was loaded while the agent runs.
pub struct LoadedModel {
    /// Its engine.
    pub engine: Box<dyn Engine>,
    /// The way of talking to it.
    pub dialect: Box<dyn Dialect>,
    /// What the user should know of it.
    pub notices: Vec<String>,
}

/// Loads models while an agent runs.
pub trait LoadModel: Send {
    /// The model `name`, or that of the config.
    ///
    /// # Errors
    /// [`Error::Load`]: there is no such model, it cannot be loaded, or `cancel` was raised.
    fn load(&self, name: Option<&str>, cancel: &Cancel) -> Result<LoadedModel, Error>;

    /// Names of the models that are installed.
    fn installed(&self) -> Vec<String>;
}

/// What stands in the prompt before the messages, as it is stored.
pub(super) fn fixed_context(
    memory: View<'_>,
    settings: &Settings,
    language: Option<Language>,
) -> Result<MainContext, Error> {
    Ok(MainContext {
        instructions: instructions(memory, settings, language)?,
        core_memory: memory.core()?.render(),
        messages: Vec::new(),
    })
}

/// Stores what `step` has put into the memory, and shows it to the model from now on; refused where core memory or
/// instructions leave no room to talk, unless they take less than the `before_tokens` that they took before.
fn commit(
    step: Step<'_>,
    model: &Model,
    (settings, language): (&Settings, Option<Language>),
    context: &mut MainContext,
    before_tokens: usize,
) -> Result<(), Error> {
    let shown = fixed_context(step.view(), settings, language)?;
    let tokens = model.most_prompt_tokens(&shown)?;
    if tokens >= before_tokens {
        check_window(model, settings, tokens)?;
    }
    step.commit()?;
    *context = shown;
    Ok(())
}

impl Agent {
    /// Runs a command and gives back the event that it ends in: one notice, `memory` or error.
    pub fn command(&mut self, command: &Command) -> Event {
        self.may_work_ahead = false;
        self.run_command(command).unwrap_or_else(|error| Event::Error {
            message: error.to_string(),
            hint: error.hint(),
            message_stored: None,
        })
    }

    fn run_command(&mut self, command: &Command) -> Result<Event, Error> {
        let text = match command {
            Command::Exit => self.goodbye(),
            Command::Help => command::help(),
            Command::Save { name } => {
                let now_ms = self.clock.now_ms();
                let name = name.clone().map_or_else(|| self.checkpoint_name(now_ms), Ok)?;
                let replaces = self.memory.view().has_checkpoint(&name)?;
                self.memory.save_checkpoint(&name, now_ms)?;
                if replaces {
                    format!("Saved as {name}. The earlier checkpoint of that name is replaced.")
                } else {
                    format!("Saved as {name}.")
                }
            }
            Command::Load { name } => self.load(name.as_deref())?,
            Command::Dump { count } => dump(&self.memory.view().queue()?, *count, &self.clock.zone()),
            Command::DumpRaw { count } => dump_raw(&self.memory.view().queue()?, *count),
            Command::ManyLines => "A message can have several lines here as it is.".to_owned(),
            Command::Memory => {
                let memory = self.memory.view();
                let core = memory.core()?;
                return Ok(Event::Memory {
                    core: CoreMemoryText { persona: core.persona.text, human: core.human.text },
                    recall_count: memory.recall_count()?,
                    archival_count: memory.archival_count()?,
                    edits: self.last_edits()?,
                    recall: memory.recall_counts()?,
                    passages: self.newest_passages()?,
                });
            }
            Command::Attach { source } => self.attach(source.as_deref())?,
            Command::Pop { count } => {
                let popped = self.memory.pop(*count)?.len();
                let noun = if popped == 1 { "message" } else { "messages" };
                format!("Removed the last {popped} {noun}.")
            }
            Command::Undo { count } => self.undo(*count)?,
            Command::Redo { count } => self.redo(*count)?,
            Command::Retry => "Your last message was answered again. /undo takes it back altogether.".to_owned(),
            Command::Rethink { text } => self.rethink(text)?,
            Command::Rewrite { text } => self.rewrite(text)?,
            Command::Summarize => self.summarized(),
            Command::ContextLength => self.context_length()?,
            Command::Search { text, page } => self.search(text, *page)?,
            Command::Archival(asked) => self.archival(asked)?,
            Command::Archive { text } => self.archive(text)?,
            Command::Core { label: Some(label), text: Some(text) } => self.set_block(*label, None, text)?,
            Command::Core { label, .. } => self.core(*label)?,
            Command::SystemSwap { text } => self.system_swap(text.as_deref())?,
            Command::Model { name } => self.switch_model(name.as_deref())?,
            Command::Forget { text } => self.forget(text)?,
            Command::Heartbeat => "The agent has had its heartbeat.".to_owned(),
            Command::MemoryWarning => "The agent has been warned.".to_owned(),
        };
        Ok(Event::Notice { text })
    }

    fn goodbye(&self) -> String {
        match self.unstored_messages() {
            0 => "Everything is saved. Goodbye.".to_owned(),
            1 => "1 message could not be stored; everything else is saved. Goodbye.".to_owned(),
            count => format!("{count} messages could not be stored; everything else is saved. Goodbye."),
        }
    }

    /// The newest edits of core memory, for `/memory`.
    pub(super) fn last_edits(&self) -> Result<Vec<CoreMemoryEdit>, Error> {
        let zone = self.clock.zone();
        let edits = self.memory.view().block_edits(SHOWN_EDITS)?.into_iter();
        Ok(edits
            .map(|edit| CoreMemoryEdit {
                at_ms: edit.at_ms,
                time: local_time(edit.at_ms, &zone),
                section: edit.label.as_str().to_owned(),
                before: edit.before,
                after: edit.after,
                cause: edit.cause,
            })
            .collect())
    }

    /// Goes back to a checkpoint, with the model of that time where it can be loaded.
    pub(super) fn load(&mut self, name: Option<&str>) -> Result<String, Error> {
        let before = self.memory.view().chosen_model()?;
        let before_tokens = self.fixed_tokens()?;
        let mut step = self.memory.step(self.clock.now_ms())?;
        let name = step.load_checkpoint(name)?;
        commit(step, &self.model, (&self.settings, self.language), &mut self.context, before_tokens)?;
        let chosen = self.memory.view().chosen_model()?;
        if chosen == before {
            return Ok(format!("Back at {name}."));
        }
        match self.switch_model(Some(chosen.as_deref().unwrap_or(DEFAULT))) {
            Ok(switched) => Ok(format!("Back at {name}. {switched}")),
            Err(error) => {
                let mut step = self.memory.step(self.clock.now_ms())?;
                step.switch_model(before.as_deref(), self.model.name(), self.model.window_tokens())?;
                step.commit()?;
                Ok(format!("Back at {name}, but {} goes on: {error}; {}.", self.model.name(), error.hint()))
            }
        }
    }

    /// The name of a checkpoint that was given none: the local time, with a number behind it where that is taken.
    pub(super) fn checkpoint_name(&self, now_ms: i64) -> Result<String, Error> {
        let time = local_time(now_ms, &self.clock.zone()).replace(' ', "-").replace(':', ".");
        let (mut name, mut number) = (time.clone(), 1_u32);
        while self.memory.view().has_checkpoint(&name)? {
            number += 1;
            name = format!("{time}-{number}");
        }
        Ok(name)
    }

    /// Takes back the last turns of the user.
    pub(super) fn undo(&mut self, count: usize) -> Result<String, Error> {
        let before_tokens = self.fixed_tokens()?;
        let mut step = self.memory.step(self.clock.now_ms())?;
        let undone = step.undo(count)?;
        commit(step, &self.model, (&self.settings, self.language), &mut self.context, before_tokens)?;
        let what = if undone.turns == 1 { "turn".to_owned() } else { format!("{} turns", undone.turns) };
        let back = if undone.turns == 1 { "it back" } else { "them back" };
        Ok(format!(
            "Took back the last {what}: you are where you were before \"{}\" /redo brings {back} until your next message.",
            quoted(&undone.text)
        ))
    }

    /// Brings back turns that were taken back.
    pub(super) fn redo(&mut self, count: usize) -> Result<String, Error> {
        let before_tokens = self.fixed_tokens()?;
        let mut step = self.memory.step(self.clock.now_ms())?;
        step.redo(count)?;
        commit(step, &self.model, (&self.settings, self.language), &mut self.context, before_tokens)?;
        Ok(format!("Brought back {}.", counted(count as u64, "turn", "turns")))
    }

    /// Takes back all that followed the last message of the user; the turn is then written with another seed.
    pub(super) fn retake(&mut self) -> Result<(), Error> {
        let before_tokens = self.fixed_tokens()?;
        let mut step = self.memory.step(self.clock.now_ms())?;
        let retaken = step.retake()?;
        if !self.settings.memory_pass {
            step.pass_over(retaken.message.id)?;
        }
        commit(step, &self.model, (&self.settings, self.language), &mut self.context, before_tokens)?;
        self.model.sample_as(other_choices(self.settings.sampler, retaken.attempt));
        Ok(())
    }

    pub(super) fn rewrite(&mut self, text: &str) -> Result<String, Error> {
        let mut step = self.memory.step(self.clock.now_ms())?;
        step.rewrite_reply(text)?;
        step.commit()?;
        Ok(format!("The last reply is now: {text}"))
    }

    pub(super) fn rethink(&mut self, thoughts: &str) -> Result<String, Error> {
        let mut step = self.memory.step(self.clock.now_ms())?;
        step.rewrite_thoughts(thoughts)?;
        step.commit()?;
        Ok(format!("The last inner thought is now: {thoughts}"))
    }

    /// Evicts and summarises now; what memory passes have still to save is saved first.
    pub(super) fn summarize(&mut self) -> Result<(), Error> {
        self.settle_passes();
        let report =
            self.manage_queue((self.cancel.clone(), IfUnwritten::Shorten), &mut || {}, |manager| manager.evict_now())?;
        if report.evicted_messages > 0 {
            self.begin_new_way()?;
        }
        self.summarized = report;
        Ok(())
    }

    /// What the user is told of an eviction that they asked for.
    pub(super) fn summarized(&mut self) -> String {
        let report = std::mem::take(&mut self.summarized);
        match report {
            RoomReport { evicted_messages: 0, .. } => {
                "Nothing was summarised: only the last exchange is in view, and that stays.".to_owned()
            }
            RoomReport { evicted_messages, has_mechanical_summary: true, .. } => format!(
                "{} shortened without the model, which wrote no summary; they can still be searched.",
                were(evicted_messages)
            ),
            RoomReport { evicted_messages, .. } => {
                format!("{} summarised; they can still be searched.", were(evicted_messages))
            }
        }
    }

    /// How the window is filled.
    pub(super) fn context_length(&mut self) -> Result<String, Error> {
        self.context.messages = self.memory.view().queue()?;
        self.set_fixed_part()?;
        Ok(Parts::measure(&self.model, &self.context, &self.settings.queue)?.drawn())
    }

    /// Shows core memory, or one block of it.
    pub(super) fn core(&self, label: Option<BlockLabel>) -> Result<String, Error> {
        let core = self.memory.view().core()?;
        let shown = BlockLabel::ALL.into_iter().filter(|each| label.is_none_or(|label| label == *each));
        let blocks: Vec<String> = shown.map(|label| shown_block(core.block(label))).collect();
        Ok(blocks.join("\n\n"))
    }

    /// Puts another text in the place of a block; `before` is what it is to replace, if that matters.
    pub(super) fn set_block(&mut self, label: BlockLabel, before: Option<&str>, text: &str) -> Result<String, Error> {
        let before_tokens = self.fixed_tokens()?;
        let mut step = self.memory.step(self.clock.now_ms())?;
        let block = step.set_block(label, before, text)?;
        commit(step, &self.model, (&self.settings, self.language), &mut self.context, before_tokens)?;
        Ok(format!("{label} is changed: {} of {} characters.", block.used_chars(), block.limit_chars))
    }

    /// The text of a block, for an editor.
    pub(super) fn block(&self, label: BlockLabel) -> Event {
        match self.memory.view().block(label) {
            Ok(block) => Event::Block { section: label.as_str().to_owned(), text: block.text },
            Err(error) => failure(&error.into()),
        }
    }

    /// What an editor has made of a block.
    pub(super) fn edit_block(&mut self, label: BlockLabel, before: &str, after: &str) -> Event {
        match self.set_block(label, Some(before), after) {
            Ok(text) => Event::Notice { text },
            Err(error) => failure(&error),
        }
    }

    /// The system instructions as they are and as `argument` would have them, for a question.
    pub(super) fn swap(&self, argument: &str) -> Event {
        let default = || Ok(default_instructions(&self.settings, self.language));
        match if argument == DEFAULT { default() } else { instructions_of(argument) } {
            Ok(after) => Event::Swap { before: self.context.instructions.clone(), after },
            Err(error) => failure(&error),
        }
    }

    /// Shows the system instructions, or puts others in their place: a text, the text of a file, or the default.
    pub(super) fn system_swap(&mut self, argument: Option<&str>) -> Result<String, Error> {
        let Some(argument) = argument else {
            let whose = if self.memory.view().instructions()?.is_some() { "your own" } else { "the default" };
            return Ok(format!("System instructions ({whose}):\n{}", self.context.instructions));
        };
        let own = if argument == DEFAULT { None } else { Some(instructions_of(argument)?) };
        let before_tokens = self.fixed_tokens()?;
        let mut step = self.memory.step(self.clock.now_ms())?;
        step.set_instructions(own.as_deref())?;
        commit(step, &self.model, (&self.settings, self.language), &mut self.context, before_tokens)?;
        Ok(match own {
            None => "The default system instructions hold again.".to_owned(),
            Some(text) => format!(
                "The system instructions of this agent are now ({} characters); /systemswap default goes back:\n{text}",
                text.chars().count()
            ),
        })
    }

    /// Shows the model, or goes on with another one.
    pub(super) fn switch_model(&mut self, name: Option<&str>) -> Result<String, Error> {
        let Some(name) = name else { return self.model_and_others() };
        let Some(loader) = &self.loader else {
            let message = "this chat cannot load another model".to_owned();
            return Err(Error::Load { message, hint: "start it again with --model".to_owned() });
        };
        let chosen = (name != DEFAULT).then_some(name);
        let LoadedModel { engine, dialect, notices } = loader.load(chosen, &self.cancel)?;
        let mut model = make_model(engine.into(), dialect, &*self.clock, &self.cancel, &self.settings)?;
        let core = self.memory.view().core()?;
        check_window(&model, &self.settings, fixed_tokens(&model, &self.context.instructions, &core)?)?;
        let mut step = self.memory.step(self.clock.now_ms())?;
        step.switch_model(chosen, model.name(), model.window_tokens())?;
        step.commit()?;
        // Whatever is kept of it has core memory as it was then.
        model.keep_as(self.memory.id());
        self.model = model;
        self.context.core_memory = core.render();
        self.context.messages.clear();
        let (name, window) = (self.model.name(), self.model.window_tokens());
        let first = format!("{name} answers from now on, window {window} tokens. This agent keeps it.");
        Ok(std::iter::once(first).chain(notices).collect::<Vec<_>>().join("\n"))
    }

    fn model_and_others(&self) -> Result<String, Error> {
        let (name, window) = (self.model.name(), self.model.window_tokens());
        let installed = self.loader.as_ref().map(|loader| loader.installed()).unwrap_or_default();
        let whose = match self.memory.view().chosen_model()? {
            Some(_) => "chosen for this agent",
            None => "as the configuration or --model says",
        };
        let others =
            if installed.is_empty() { String::new() } else { format!("\nInstalled: {}.", installed.join(", ")) };
        Ok(format!("{name}, window {window} tokens ({whose}). /model NAME goes on with another one.{others}"))
    }
}

/// How a turn that is taken again is written: with a seed that no earlier try had, and where tokens are not sampled at
/// all, sampled for once.
fn other_choices(sampler: SamplerOptions, attempt: u64) -> SamplerOptions {
    let temperature = if sampler.temperature > 0.0 { sampler.temperature } else { RETRY_TEMPERATURE };
    SamplerOptions { temperature, seed: sampler.seed.wrapping_add(attempt), ..sampler }
}

fn failure(error: &Error) -> Event {
    Event::Error { message: error.to_string(), hint: error.hint(), message_stored: None }
}

fn were(messages: usize) -> String {
    counted(messages as u64, "older message was", "older messages were")
}

/// The beginning of a text on one line.
fn quoted(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut head: String = flat.chars().take(QUOTED_CHARS).collect();
    if head.len() < flat.len() {
        head.push_str(" ..");
    }
    head
}

fn shown_block(block: &CoreBlock) -> String {
    let text = if block.text.is_empty() { "(empty)" } else { &block.text };
    format!("{} ({} of {} characters)\n{text}", block.label, block.used_chars(), block.limit_chars)
}

/// The instructions that an argument of `/systemswap` means: the text of a file, or the argument itself. A single word
/// with a slash or the ending `.txt` can only be meant as a file.
fn instructions_of(argument: &str) -> Result<String, Error> {
    let path = match argument.strip_prefix("~/").zip(std::env::home_dir()) {
        Some((rest, home)) => home.join(rest),
        None => PathBuf::from(argument),
    };
    let is_word = !argument.contains(char::is_whitespace);
    let must_be_file = is_word && (argument.contains(std::path::MAIN_SEPARATOR) || argument.ends_with(".txt"));
    let text = if path.is_file() || must_be_file { read_instructions(&path)? } else { argument.to_owned() };
    let text = text.replace("\r\n", "\n").trim().to_owned();
    if text.is_empty() {
        return Err(Error::Instructions { path, reason: "it is empty".to_owned() });
    }
    Ok(text)
}

fn read_instructions(path: &Path) -> Result<String, Error> {
    let refused = |reason: String| Error::Instructions { path: path.to_owned(), reason };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| refused(error.to_string()))?;
    file.take(MAX_INSTRUCTIONS_BYTES + 1).read_to_end(&mut bytes).map_err(|error| refused(error.to_string()))?;
    if bytes.len() as u64 > MAX_INSTRUCTIONS_BYTES {
        return Err(refused(format!("it is larger than {MAX_INSTRUCTIONS_BYTES} bytes")));
    }
    String::from_utf8(bytes)
        .map_err(|error| refused(format!("it is not UTF-8 at byte {}", error.utf8_error().valid_up_to())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_taken_again_has_another_seed_and_is_never_greedy() {
        let greedy = SamplerOptions { temperature: 0.0, seed: 7, ..SamplerOptions::default() };
        let warm = SamplerOptions { temperature: 1.2, ..greedy };
        assert_eq!(other_choices(greedy, 5), SamplerOptions { temperature: RETRY_TEMPERATURE, seed: 12, ..greedy });
        assert_eq!(other_choices(warm, 6), SamplerOptions { seed: 13, ..warm });
    }

    #[test]
    fn instructions_are_a_text_or_the_text_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calm.txt");
        std::fs::write(&path, "You are calm.\r\nVery.\n").unwrap();
        assert_eq!(instructions_of(path.to_str().unwrap()).unwrap(), "You are calm.\nVery.");
        assert_eq!(instructions_of("You are a pirate and/or a parrot.").unwrap(), "You are a pirate and/or a parrot.");
        assert_eq!(instructions_of("Obey.").unwrap(), "Obey.");
        std::fs::write(&path, " \n").unwrap();
        for wrong in [path.to_str().unwrap(), "/no/such/file", "none.txt"] {
            assert!(matches!(instructions_of(wrong), Err(Error::Instructions { .. })), "{wrong}");
        }
        std::fs::write(&path, vec![b'a'; 1 + MAX_INSTRUCTIONS_BYTES as usize]).unwrap();
        let error = instructions_of(path.to_str().unwrap()).unwrap_err();
        assert!(error.to_string().contains("65536"), "{error}");
    }
}
