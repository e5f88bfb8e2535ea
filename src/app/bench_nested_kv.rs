//! `mneme bench memory nested-kv`: an agent of its own for each question, in a folder that is deleted afterwards.
//!
//! What the model reads depends on the flags alone: time stands still, in UTC, and of the user's settings only the model
//! counts.

use std::path::Path;
use std::sync::Arc;

use super::bench::BEGIN_MS;
use super::chat::{Opened, Texts, open_agent};
use super::output::tell;
use super::{Error, bench};
use crate::bench::nested_kv::{Report, Row, SPARE_SEARCHES, Task};
use crate::cli::{EngineName, ExitCode, NestedKvArgs};
use crate::config::{self, Config, ConfigFile, Overrides};
use crate::dialect::Profile;
use crate::inference::{Engine, ScriptedEngine};
use crate::kernel::{Agent, Request, handle};
use crate::memory::{AgentMemory, NewAgent, Store};
use crate::types::{Cancel, Cause, Clock, Event, ManualClock};

/// Name of the agent.
const AGENT: &str = "bench";
/// Window of the scripted engine, in tokens: far more than a question takes.
const SCRIPTED_WINDOW_TOKENS: usize = 8192;
/// Function that looks pairs up.
const SEARCH: &str = "archival_memory_search";

/// Asks every question and tells how many were answered.
///
/// # Errors
/// The model cannot be loaded, a database fails, or the file cannot be written.
pub(super) fn run(arguments: &NestedKvArgs) -> Result<ExitCode, Error> {
    let home = config::home_from_environment()?;
    let file = if arguments.engine.runs_model() { ConfigFile::read(&home)? } else { ConfigFile::default() };
    let config = config_of(arguments, home, file)?;
    let mut bench = Bench { arguments, folder: tempfile::tempdir().map_err(Error::Scratch)?, config, engine: None };
    let questions = arguments.levels.len() * arguments.orderings;
    let mut rows = Vec::with_capacity(questions);
    for ordering in 0..arguments.orderings {
        for level in &arguments.levels {
            let row = bench.ask(ordering, usize::from(*level))?;
            let outcome = if row.is_right { "right" } else { "wrong" };
            rows.push(row);
            tell(&format!("{}/{questions}: nesting {level}, ordering {}: {outcome}", rows.len(), ordering + 1));
        }
    }
    let (model, window_tokens) = bench
        .engine
        .as_ref()
        .map_or_else(|| (String::new(), 0), |engine| (engine.identity().name.clone(), engine.context_window_tokens()));
    let report = Report::new(model, bench.config.profile, arguments.seed, window_tokens, rows);
    anstream::println!("{}", report.table());
    bench::write_json(&report, arguments.json.as_deref())?;
    Ok(ExitCode::Ok)
}

fn config_of(arguments: &NestedKvArgs, home: std::path::PathBuf, file: ConfigFile) -> Result<Config, Error> {
    let searches = usize::from(arguments.levels.iter().copied().max().unwrap_or_default()) + 1 + SPARE_SEARCHES;
    let searches = u32::try_from(searches).unwrap_or(u32::MAX);
    let file = ConfigFile {
        model: file.model,
        stopgap_model: file.stopgap_model,
        // What the agent thinks of UUIDs is not worth keeping.
        memory_pass: Some(false),
        // The model is to look the pairs up itself.
        recollection: Some(false),
        max_steps: Some(searches + 1),
        max_calls_of_a_function: Some(searches),
        profile: Some(arguments.profile.map_or(Profile::Native, Into::into)),
        temperature: Some(0.0),
        ..ConfigFile::default()
    };
    let overrides =
        Overrides { model: arguments.model.clone(), context_window: arguments.context_window, ..Overrides::default() };
    Ok(Config::new(home, file, overrides)?)
}

struct Bench<'a> {
    arguments: &'a NestedKvArgs,
    folder: tempfile::TempDir,
    config: Config,
    /// The model between two questions: it is loaded once.
    engine: Option<Box<dyn Engine>>,
}

impl Bench<'_> {
    fn engine(&mut self, task: &Task) -> Result<Box<dyn Engine>, Error> {
        match (self.arguments.engine, self.engine.take()) {
            (EngineName::Scripted, _) => {
                let window_tokens = self.config.context_window.unwrap_or(SCRIPTED_WINDOW_TOKENS);
                Ok(Box::new(ScriptedEngine::new(task.oracle(self.config.profile, window_tokens))))
            }
            (_, Some(engine)) => Ok(engine),
            (name, None) => super::engine::load(name, &self.config, &Cancel::new()),
        }
    }

    fn ask(&mut self, ordering: usize, level: usize) -> Result<Row, Error> {
        let task = Task::new(self.arguments.seed, ordering, level);
        let engine = self.engine(&task)?;
        self.ask_on(engine, &task, ordering)
    }

    fn ask_on(&mut self, engine: Box<dyn Engine>, task: &Task, ordering: usize) -> Result<Row, Error> {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(BEGIN_MS));
        let database = self.folder.path().join(format!("{}-{ordering}.db", task.level));
        let store = filled(&database, task, &*clock)?;
        let Opened { mut agent, .. } =
            open_agent(&self.config, store, AGENT, Texts::default(), engine, clock, Cancel::new())?;
        let row = answered(&mut agent, task, ordering);
        self.engine = Some(agent.into_engine());
        std::fs::remove_file(&database).map_err(Error::Scratch)?;
        Ok(row)
    }
}

/// A database in which the agent has the pairs in its archival storage.
fn filled(database: &Path, task: &Task, clock: &dyn Clock) -> Result<Store, Error> {
    let store = Store::open(database, clock)?;
    let mut memory = AgentMemory::create(store, &NewAgent::named(AGENT, clock.now_ms()))?;
    let mut step = memory.step(clock.now_ms())?;
    for passage in task.passages() {
        step.archival_insert(&passage, None)?;
    }
    step.commit()?;
    Ok(memory.into_store())
}

fn answered(agent: &mut Agent, task: &Task, ordering: usize) -> Row {
    let mut row = Row { level: task.level, ordering, is_right: false, searches: 0, answer: String::new(), wall_ms: 0 };
    let request = Request::User { text: task.question() };
    handle(agent, request, None, &mut |_: Cause, event: Event| match event {
        Event::Call { name, .. } if name == SEARCH => row.searches += 1,
        Event::Message { text } => row.answer = text,
        Event::Error { message, .. } => row.answer = format!("error: {message}"),
        Event::Turn(report) => row.wall_ms = report.wall_ms,
        _ => {}
    });
    row.is_right = task.is_right(&row.answer);
    row
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::inference::SamplerOptions;

    fn arguments() -> NestedKvArgs {
        NestedKvArgs {
            model: None,
            engine: EngineName::Scripted,
            profile: None,
            levels: vec![2],
            orderings: 1,
            seed: 1,
            context_window: None,
            json: None,
        }
    }

    /// Every prompt of a question.
    fn prompts(config: Config) -> Vec<String> {
        let (arguments, task) = (arguments(), Task::new(1, 0, 2));
        let engine = ScriptedEngine::new(task.oracle(config.profile, SCRIPTED_WINDOW_TOKENS));
        let log = engine.log();
        let mut bench = Bench { arguments: &arguments, folder: tempfile::tempdir().unwrap(), config, engine: None };
        assert!(bench.ask_on(Box::new(engine), &task, 0).unwrap().is_right);
        log.prompts()
    }

    #[test]
    fn prompts_depend_neither_on_the_time_of_day_nor_on_settings() {
        let settings = "model = \"m\"\ntemperature = 1.5\nseed = 9\ncontext_window = 2048\nkv_q8 = true\n\
                        profile = \"classic\"\nmax_steps = 2\ncore_memory_limit_chars = 300\nheartbeat_minutes = 1\n\
                        persona = \"muse\"\nmemory_pass = true\n[queue]\nkeep_last_messages = 9\n";
        let config =
            |settings: &str| config_of(&arguments(), PathBuf::from("home"), toml::from_str(settings).unwrap()).unwrap();
        let (plain, other) = (config("model = \"m\""), config(settings));
        assert_eq!(plain, other);
        assert_eq!(plain.sampler, SamplerOptions { temperature: 0.0, seed: 0, ..SamplerOptions::default() });
        let asked = prompts(plain);
        assert_eq!(asked, prompts(other));
        // The first shows when the chat was opened, the others when the passages were stored.
        assert_eq!(asked.len(), 5);
        for prompt in &asked {
            assert!(prompt.contains("2026-01-02 03:04") || prompt.contains("2026-01-02T03:04"), "{prompt}");
        }
    }
}
