//! `mneme bench memory nested-kv`: an agent of its own for each question, in a folder that is deleted afterwards.

use std::path::Path;
use std::sync::Arc;

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
use crate::types::{Cancel, Cause, Clock, Event, SystemClock};

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
    let file = match arguments.engine {
        EngineName::LlamaCpp => ConfigFile::read(&home)?,
        EngineName::Scripted => ConfigFile::default(),
    };
    let config = config_of(arguments, home, file)?;
    let mut bench = Bench { arguments, folder: tempfile::tempdir()?, config, engine: None };
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
        // What the agent thinks of UUIDs is not worth keeping.
        memory_pass: Some(false),
        // The model is to look the pairs up itself.
        recollection: Some(false),
        max_steps: Some(searches + 1),
        max_calls_of_a_function: Some(searches),
        profile: Some(arguments.profile.map_or(file.profile.unwrap_or(Profile::Native), Into::into)),
        ..file
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
            (EngineName::LlamaCpp, Some(engine)) => Ok(engine),
            (EngineName::LlamaCpp, None) => super::engine::load(EngineName::LlamaCpp, &self.config, &Cancel::new()),
        }
    }

    fn ask(&mut self, ordering: usize, level: usize) -> Result<Row, Error> {
        let task = Task::new(self.arguments.seed, ordering, level);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let database = self.folder.path().join(format!("{level}-{ordering}.db"));
        let store = filled(&database, &task, &*clock)?;
        let engine = self.engine(&task)?;
        let Opened { mut agent, .. } =
            open_agent(&self.config, store, AGENT, Texts::default(), engine, clock, Cancel::new())?;
        let row = answered(&mut agent, &task, ordering);
        self.engine = Some(agent.into_engine());
        std::fs::remove_file(&database)?;
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
