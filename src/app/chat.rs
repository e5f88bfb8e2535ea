//! `mneme run`: home, model, agent and user interface are put together here.

use std::io::{BufReader, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::interrupt::{leave_on_ctrl_c, raise_on_ctrl_c};
use super::output::stdout;
use super::personas::{self, Kind};
use super::{Error, logging};
use crate::cli::{EngineName, ExitCode, RunArgs};
use crate::config::{self, Config, ConfigFile, DATABASE_NAME, Idle};
use crate::dialect::{self, Profile};
use crate::inference::{Engine, Warm};
use crate::kernel::{self, Agent, Emitted, LoadModel, LoadedModel};
use crate::memory::{self, AgentInfo, AgentMemory, BlockLabel, NewAgent, Store};
use crate::types::{Cancel, Cause, Clock, Event, FileLock, Message, SystemClock};
use crate::ui;

/// Folder of saved states of the KV cache in the home.
pub(super) const STATES_NAME: &str = "kv";
/// Name of the file of typed lines in the home.
pub(super) const HISTORY_NAME: &str = "history.txt";
/// The agent that is made where none was named and none exists.
pub const DEFAULT_AGENT: &str = "mneme";

/// So long a start waits for another process to leave the agent.
const LEAVING: Duration = Duration::from_secs(3);
/// Longest part of an unanswered message that is quoted at the start; the whole is in storage.
const MAX_QUOTED_CHARS: usize = 120;

/// An agent that is ready to talk.
pub struct Opened {
    /// The agent.
    pub agent: Agent,
    /// The `ready` event.
    pub ready: Event,
}

/// Runs a chat, on the terminal or as JSON lines.
///
/// # Errors
/// Whatever keeps the chat from starting; in JSON-lines mode it is written as an `error` event instead.
pub fn run(arguments: &RunArgs) -> Result<ExitCode, Error> {
    match start(arguments) {
        Ok(code) => Ok(code),
        Err(error) if arguments.jsonl => {
            write_refusal(error.sentence(), error.hint()).map_err(Error::Output)?;
            Ok(error.exit_code())
        }
        Err(error) => Err(error),
    }
}

/// The `error` line of a chat that does not start.
///
/// # Errors
/// Standard output is gone.
pub(super) fn write_refusal(message: String, hint: String) -> std::io::Result<()> {
    let event = Event::Error { message, hint, message_stored: None };
    ui::jsonl::write_event(&mut std::io::stdout(), &Emitted { cause: Cause::Command, seq: None, event })
}

/// Keeps other processes from opening the agent. One that is just being left is waited for: what its model has read is still
/// being saved.
fn reserve(store: &Store, name: &str, cancel: &Cancel) -> Result<Option<FileLock>, Error> {
    let until = Instant::now() + LEAVING;
    loop {
        match store.reserve_agent(name) {
            Err(memory::Error::AgentInUse { .. }) if Instant::now() < until && !cancel.is_raised() => {
                std::thread::sleep(LEAVING / 30);
            }
            reserved => return Ok(reserved?),
        }
    }
}

fn start(arguments: &RunArgs) -> Result<ExitCode, Error> {
    let cancel = Cancel::new();
    // While it is up, Ctrl-C leaves at once. Scripts are told first why the chat does not start.
    let idle = Arc::new(AtomicBool::new(!arguments.jsonl));
    leave_on_ctrl_c(&idle)?;
    raise_on_ctrl_c(&cancel)?;
    let home = config::home_from_environment()?;
    config::prepare_home(&home)?;
    logging::start(&home, arguments.debug)?;
    let mut config = Config::new(home.clone(), ConfigFile::read(&home)?, arguments.overrides())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = Store::open(&home.join(DATABASE_NAME), &*clock)?;
    let purged = super::purge::finish(&store, &home)?;
    let Some(name) = agent_name(arguments, &store)? else { return Ok(ExitCode::Ok) };
    // Everything that can be refused is refused before minutes go into loading a model.
    let texts = Texts::read(&config, &store, &name)?;
    let reserved = reserve(&store, &name, &cancel)?;
    let default_model = config.model.clone();
    let chosen = match arguments.model.is_none() && store.has_agent(&name)? {
        true => store.view(&name)?.chosen_model()?,
        false => None,
    };
    config.model = chosen.clone().or(config.model);
    let engine = super::engine::load(arguments.engine, &config, &cancel).map_err(|error| match (error, chosen) {
        (Error::Models(source), Some(model)) => Error::ModelOfAgent { agent: name.clone(), model, source },
        (error, _) => error,
    })?;
    refuse_if_stopped(&cancel)?;
    drop(reserved);
    let Opened { mut agent, mut ready } = open_agent(&config, store, &name, texts, engine, clock, cancel.clone())?;
    let profile = agent.profile();
    let config = Config { model: default_model, ..config };
    agent.set_loader(Box::new(Loader { engine: arguments.engine, config, profile }));
    let embedder = if arguments.engine.runs_model() { super::embedder::open() } else { Ok(None) };
    if let Event::Ready { resumed, notices, .. } = &mut ready {
        notices.extend(purged);
        match (&embedder, *resumed) {
            (Err(error), _) => notices.push(format!("{}; {}", error.sentence(), error.hint())),
            (Ok(None), false) => notices.extend(super::embedder::words_only_notice()?),
            (Ok(_), _) => {}
        }
        if *resumed {
            notices.extend(unchanged_texts_notice(arguments, &name));
        }
    }
    agent.set_embedder(embedder.unwrap_or_default());
    idle.store(true, Ordering::SeqCst);
    refuse_if_stopped(&cancel)?;
    let handle = kernel::spawn(agent, ready, idle);
    let unstored_messages = if arguments.jsonl {
        let mut output = std::io::stdout().lock();
        let left = ui::jsonl::run(handle, BufReader::new(std::io::stdin()), &mut output).map_err(Error::Output)?;
        left.ok_or(ui::terminal::Error::AgentGone)?
    } else {
        let options = ui::terminal::Options {
            agent: &name,
            first: arguments.first,
            show_costs: arguments.debug,
            history: &home.join(HISTORY_NAME),
            drafts: &home,
            cancel: &cancel,
        };
        #[cfg(unix)]
        ui::terminal::restore_on_signals();
        ui::terminal::run(handle, &options)?
    };
    Ok(if unstored_messages == 0 { ExitCode::Ok } else { ExitCode::Failed })
}

/// Loads the models that the user asks for while the agent runs.
struct Loader {
    engine: EngineName,
    /// Names the model that holds where the user has chosen none.
    config: Config,
    profile: Profile,
}

impl LoadModel for Loader {
    fn load(&self, name: Option<&str>, cancel: &Cancel) -> Result<LoadedModel, kernel::Error> {
        let model = name.map(str::to_owned).or_else(|| self.config.model.clone());
        let config = Config { model, ..self.config.clone() };
        let loaded = || -> Result<LoadedModel, Error> {
            super::engine::require_room_beside(self.engine, &config)?;
            let engine = super::engine::load(self.engine, &config, cancel)?;
            refuse_if_stopped(cancel)?;
            let identity = engine.identity();
            let chosen = dialect::choose(identity, engine.vocab(), self.profile)?;
            let window = window_notice(config.context_window, engine.context_window_tokens(), &identity.name);
            let notices = chosen.notice.into_iter().chain(window).collect();
            Ok(LoadedModel { engine, dialect: chosen.dialect, notices })
        };
        loaded().map_err(|error| kernel::Error::Load { message: error.sentence(), hint: error.hint() })
    }

    fn installed(&self) -> Vec<String> {
        if self.engine.runs_model() { super::models::installed() } else { Vec::new() }
    }
}

/// Ends a start in which Ctrl-C was pressed.
fn refuse_if_stopped(cancel: &Cancel) -> Result<(), Error> {
    if cancel.is_raised() { Err(Error::Stopped) } else { Ok(()) }
}

/// The agent that was named, else the one used last, else the default one. Several agents and a user who can answer:
/// asks which; none where the user ends the input instead.
fn agent_name(arguments: &RunArgs, store: &Store) -> Result<Option<String>, Error> {
    if let Some(name) = &arguments.agent {
        crate::types::validate_name(name)?;
        return Ok(Some(name.clone()));
    }
    let mut agents = store.agents()?;
    agents.sort_by_key(|agent| std::cmp::Reverse(agent.last_login_at_ms));
    let ask = agents.len() > 1 && !arguments.yes && !arguments.jsonl && std::io::stdin().is_terminal();
    let names: Vec<String> = agents.into_iter().map(|agent| agent.name).collect();
    if ask {
        return pick(&names);
    }
    Ok(Some(names.into_iter().next().unwrap_or_else(|| DEFAULT_AGENT.to_owned())))
}

fn pick(names: &[String]) -> Result<Option<String>, Error> {
    let mut out = stdout();
    for (index, name) in names.iter().enumerate() {
        writeln!(out, "{:3}  {}", index + 1, ui::sanitize(name))?;
    }
    loop {
        write!(out, "Which agent? [1] ")?;
        out.flush()?;
        let mut answer = String::new();
        if std::io::stdin().read_line(&mut answer).map_err(Error::Answer)? == 0 {
            writeln!(out)?;
            return Ok(None);
        }
        if let Some(name) = picked(names, answer.trim()) {
            return Ok(Some(name.to_owned()));
        }
        let answer = ui::sanitize(answer.trim());
        writeln!(out, "There is no agent {answer}: type a number from 1 to {} or a name.", names.len())?;
    }
}

/// The agent that an answer names: its number in the list or its name, the first where nothing was typed.
fn picked<'a>(names: &'a [String], answer: &str) -> Option<&'a str> {
    let by_number = match answer {
        "" => names.first(),
        _ => answer.parse::<usize>().ok().and_then(|number| names.get(number.checked_sub(1)?)),
    };
    by_number.or_else(|| names.iter().find(|name| *name == answer)).map(String::as_str)
}

/// Initial texts of core memory; none for an agent that exists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// About the agent.
    pub persona: String,
    /// About the user.
    pub human: String,
}

impl Texts {
    pub(super) fn read(config: &Config, store: &Store, agent: &str) -> Result<Self, Error> {
        if store.has_agent(agent)? {
            return Ok(Self::default());
        }
        let texts = Self {
            persona: personas::read(Kind::Persona, &config.persona, &config.home)?,
            human: personas::read(Kind::Human, &config.human, &config.home)?,
        };
        let limit_chars = config.core_memory_limit_chars;
        for (label, text) in [(BlockLabel::Persona, &texts.persona), (BlockLabel::Human, &texts.human)] {
            let chars = text.chars().count();
            if chars > limit_chars {
                return Err(memory::Error::BlockTooLong { label, chars, limit_chars }.into());
            }
        }
        Ok(texts)
    }
}

fn unchanged_texts_notice(arguments: &RunArgs, agent: &str) -> Option<String> {
    let flags = match (&arguments.persona, &arguments.human) {
        (None, None) => return None,
        (Some(_), Some(_)) => "--persona and --human",
        (Some(_), None) => "--persona",
        (None, Some(_)) => "--human",
    };
    Some(format!("{flags} changed nothing: {agent} exists already and keeps its own persona and human texts."))
}

fn window_notice(asked: Option<usize>, window_tokens: usize, model: &str) -> Option<String> {
    let asked = asked.filter(|asked| *asked > window_tokens)?;
    Some(format!("The window is {window_tokens} tokens instead of {asked}: {model} was trained for no more."))
}

fn recovery_notice(recovered_replies: usize) -> Option<String> {
    (recovered_replies > 0).then(|| {
        "The last reply was cut off when the program was ended in the middle of it; what had been written is kept, \
         and /dump shows it."
            .to_owned()
    })
}

fn waiting_notice(recovered_messages: usize) -> Option<String> {
    // A single one is told as the unanswered message that it is.
    (recovered_messages > 1).then(|| {
        format!(
            "{recovered_messages} messages that waited when the program was ended are kept; none has an answer yet."
        )
    })
}

fn unanswered_notice(message: &Message) -> Option<String> {
    let text = message.body.searchable_text()?.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut quoted: String = text.chars().take(MAX_QUOTED_CHARS).collect();
    if quoted.len() < text.len() {
        quoted.push_str(" ..");
    }
    Some(format!("Your last message was not answered: \"{quoted}\" /heartbeat has it answered."))
}

fn stored_profile(info: &AgentInfo) -> Option<Profile> {
    [Profile::Native, Profile::Classic].into_iter().find(|profile| profile.as_str() == info.profile)
}

/// The profile of an agent that exists: what a flag says, else its own.
pub(super) fn resumed_profile(config: &Config, info: &AgentInfo) -> Profile {
    config.asked_profile.or_else(|| stored_profile(info)).unwrap_or(config.profile)
}

fn profile_notice(agent: &str, before: &AgentInfo, now: Profile) -> Option<String> {
    let before = stored_profile(before).filter(|before| *before != now)?.as_str();
    let now = now.as_str();
    Some(format!("{agent} speaks the {now} profile from now on, as --profile says; it was {before} before."))
}

/// The settings of an agent of `profile`.
pub(super) fn settings(config: &Config, profile: Profile) -> kernel::Settings {
    kernel::Settings {
        profile,
        sampler: config.sampler,
        queue: config.queue.clone(),
        max_steps: config.max_steps,
        max_calls_of_a_function: config.max_calls_of_a_function,
        // The classic profile is the paper's: the model edits its memory itself.
        memory_pass: config.memory_pass && profile == Profile::Native,
        recollection: config.recollection && profile == Profile::Native,
        // Without memory passes the model does all by calls of its own, and there are no notes to answer from.
        core_refresh: config.core_refresh,
        answer_pass: config.answer_pass && config.memory_pass && profile == Profile::Native,
        waits_for_idle: config.idle == Idle::Wait,
        heartbeat: (config.heartbeat_minutes > 0)
            .then(|| std::time::Duration::from_secs(u64::from(config.heartbeat_minutes) * 60)),
        traces: Vec::new(),
        states: None,
        home: None,
    }
}

fn note_circumstances(
    memory: &mut AgentMemory,
    profile: &str,
    model: &str,
    window_tokens: usize,
) -> memory::Result<()> {
    memory.set_profile(profile)?;
    memory.set_model(model)?;
    memory.set_context_window(window_tokens)
}

/// Puts the database back to where it was before an agent could not be opened: a new agent is deleted, another one gets
/// what was noted of it `before`.
fn take_back(database: &Path, name: &str, before: Option<&AgentInfo>, clock: &dyn Clock) -> memory::Result<()> {
    let mut memory = AgentMemory::open(Store::open(database, clock)?, name)?;
    match before {
        Some(info) => note_circumstances(&mut memory, &info.profile, &info.model, info.context_window_tokens),
        None => memory.discard().map(drop),
    }
}

/// Resumes the agent `name` or creates it with `texts`, on an engine that is loaded. An agent that exists keeps its
/// profile unless a flag names another one.
///
/// # Errors
/// The window is too small for the prompt, the model has no usable chat template, or the database fails. An agent that
/// could not be opened is not left behind half-made, nor is one that exists changed.
pub fn open_agent(
    config: &Config,
    store: Store,
    name: &str,
    texts: Texts,
    engine: Box<dyn Engine>,
    clock: Arc<dyn Clock>,
    cancel: Cancel,
) -> Result<Opened, Error> {
    open_warm_agent(config, store, name, texts, engine.into(), clock, cancel)
}

/// As [`open_agent`], on an engine whose cache may hold the beginning of the prompt already.
///
/// # Errors
/// As [`open_agent`].
pub(super) fn open_warm_agent(
    config: &Config,
    store: Store,
    name: &str,
    texts: Texts,
    warm: Warm,
    clock: Arc<dyn Clock>,
    cancel: Cancel,
) -> Result<Opened, Error> {
    let resumed = store.has_agent(name)?;
    let engine = warm.engine();
    let identity = engine.identity().clone();
    let window_tokens = engine.context_window_tokens();
    let database = store.path().map(Path::to_owned);
    let (memory, before, profile, chosen) = if resumed {
        let mut memory = AgentMemory::open(store, name)?;
        let before = memory.view().info()?;
        let profile = resumed_profile(config, &before);
        let chosen = dialect::choose(&identity, engine.vocab(), profile)?;
        note_circumstances(&mut memory, profile.as_str(), &identity.name, window_tokens)?;
        (memory, Some(before), profile, chosen)
    } else {
        let profile = config.profile;
        let chosen = dialect::choose(&identity, engine.vocab(), profile)?;
        let agent = NewAgent {
            name: name.to_owned(),
            at_ms: clock.now_ms(),
            model: identity.name.clone(),
            profile: profile.as_str().to_owned(),
            context_window_tokens: window_tokens,
            persona: texts.persona,
            human: texts.human,
            persona_limit_chars: config.core_memory_limit_chars,
            human_limit_chars: config.core_memory_limit_chars,
        };
        (AgentMemory::create(store, &agent)?, None, profile, chosen)
    };
    let mut notices: Vec<String> = chosen.notice.into_iter().collect();
    notices.extend(window_notice(config.context_window, window_tokens, &identity.name));
    notices.extend(before.as_ref().and_then(|before| profile_notice(name, before, profile)));
    notices.extend(recovery_notice(memory.recovered_replies().len()));
    notices.extend(waiting_notice(memory.recovered_messages().len()));
    notices.extend(memory.view().unanswered()?.as_ref().and_then(unanswered_notice));
    let home = database.as_deref().and_then(Path::parent);
    let states = home.map(|home| home.join(STATES_NAME));
    let traces =
        home.map_or_else(Vec::new, |home| [HISTORY_NAME, logging::FILE_NAME].map(|name| home.join(name)).into());
    let home = home.map(Path::to_owned);
    let settings = kernel::Settings { states, traces, home, ..settings(config, profile) };
    let opened = Agent::open_warm(memory, warm, chosen.dialect, Arc::clone(&clock), cancel, settings);
    // A new agent that could not answer is none; one that exists opens, so that its core memory can be shortened.
    let agent = opened
        .and_then(|agent| match agent.lacks_room() {
            Some(error) if !resumed => Err(error),
            Some(error) => {
                notices.push(format!(
                    "{name} cannot answer as it is: {error}. Shorten what /core shows, or start with a larger \
                     --context-window."
                ));
                Ok(agent)
            }
            None => Ok(agent),
        })
        .inspect_err(|_| {
            // A database in memory is gone with the agent.
            if let Some(database) = &database
                && let Err(error) = take_back(database, name, before.as_ref(), &*clock)
            {
                tracing::error!(?error, "taking back an agent that could not be opened");
            }
        })?;
    let ready = Event::Ready {
        agent: name.to_owned(),
        model: identity.name,
        engine: identity.engine.to_owned(),
        context_window: window_tokens,
        resumed,
        notices,
    };
    Ok(Opened { agent, ready })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_picked_by_number_or_name_and_by_nothing_else() {
        let names = ["anna", "bo", "7"].map(str::to_owned);
        for (answer, expected) in
            [("", Some("anna")), ("2", Some("bo")), ("bo", Some("bo")), ("7", Some("7")), ("3", Some("7"))]
        {
            assert_eq!(picked(&names, answer), expected, "{answer}");
        }
        for wrong in ["0", "4", "b", "-1", "anna bo"] {
            assert_eq!(picked(&names, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_window_that_was_cut_is_told_and_another_is_not() {
        let notice = window_notice(Some(99_999), 32_768, "m").unwrap();
        assert!(notice.contains("32768") && notice.contains("99999"), "{notice}");
        assert_eq!(window_notice(Some(4096), 4096, "m"), None);
        assert_eq!(window_notice(None, 4096, "m"), None);
    }
}
