//! `mneme bench memory bfcl`: an agent for each scenario that is told all sessions, and a copy of it for each question.
//!
//! The agent is the one that `mneme run` opens, with the user's configuration, persona and embedder, in a database of its
//! own below the folder of the benchmarks. Between two sessions it is closed and opened again. A question changes nothing
//! for the next one: it is asked of a copy, which is thrown away. Rows are kept as they come, so that a run that was
//! killed goes on (`bench::bfcl::Work`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bench::{BEGIN_MS, BETWEEN_MESSAGES_MS, BETWEEN_STARTS_MS};
use super::chat::{Opened, Texts, open_warm_agent, settings};
use super::output::{tell, tell_below};
use super::{Error, bench};
use crate::bench::CpuClock;
use crate::bench::bfcl::{
    ANSWER_FORMAT, Answer, Circumstances, Costs, Judge, NOT_COMPARABLE, Question, Report, Scenario, Selection, Session,
    Settings, Told, Variant, WHEEL, Work, read, recited, retrieval,
};
use crate::cli::{BfclArgs, EngineName, ExitCode, PolicyName};
use crate::config::{self, Config, ConfigFile, Idle, Overrides};
use crate::inference::Warm;
use crate::kernel::{Agent, Request, default_instructions, handle};
use crate::memory::{AgentMemory, Embed, Store};
use crate::models::default_bench_dir;
use crate::types::{Cancel, Cause, Clock, Event, ManualClock, Status, StopReason};

/// Name of the agent.
const AGENT: &str = "bench";

/// Tells the sessions, asks the questions and prints the figures.
///
/// # Errors
/// The data are not there, the model cannot be loaded, a database fails, or a file cannot be written.
pub(super) fn run(arguments: &BfclArgs) -> Result<ExitCode, Error> {
    let dir = default_bench_dir().map_err(|source| Error::BenchData { source })?;
    let selection = Selection { every: arguments.every, at_most: arguments.questions };
    let scenarios = read(&WHEEL.folder(&dir), &arguments.chosen(), selection)?;
    let embedder = if arguments.engine.runs_model() { super::embedder::open()? } else { None };
    if arguments.retrieval_only {
        return search_only(arguments, &scenarios, embedder);
    }
    let home = config::home_from_environment()?;
    let file = ConfigFile::read(&home)?;
    let mut config = config_of(arguments, home, file)?;
    let (model, model_path) = model_of(arguments.engine, &config)?;
    config.model = Some(model_path.to_string_lossy().into_owned());
    let circumstances = Circumstances {
        model,
        profile: config.profile.as_str().to_owned(),
        policy: arguments.policy.as_str().to_owned(),
        idle: if config.idle == Idle::Wait { "wait" } else { "now" }.to_owned(),
        embedder: embedder.as_deref().map(|embedder| embedder.name().to_owned()),
        data: WHEEL.name.to_owned(),
    };
    let settings = Settings {
        data: WHEEL.folder(&dir),
        model_state: state_of(&model_path)?,
        model: model_path,
        engine: format!("{:?}", arguments.engine),
        program_state: state_of(&std::env::current_exe().map_err(Error::OwnFile)?)?,
        policy: circumstances.policy.clone(),
        embedder: circumstances.embedder.clone(),
        config: format!("{config:?}"),
    };
    let work = Work::open(&dir, &settings, arguments.fresh)?;
    tell(&format!("What this run leaves for the next is in {}; --fresh starts over.", work.folder().display()));
    let (clock, cpu) = (ManualClock::at(BEGIN_MS), CpuClock::default());
    let mut bench = Bench { arguments, config, work, engine: None, embedder, clock, cpu, judge: Judge::new()? };
    for scenario in &scenarios {
        bench.tell_all(scenario)?;
        bench.ask_all(scenario)?;
    }
    let (told, answers) = bench.rows(&scenarios);
    let report = Report::new(circumstances, told, answers);
    anstream::println!("{}", report.summary.table());
    bench::write_json(&report, arguments.json.as_deref())?;
    if let Some(path) = &arguments.report {
        write_lines(&report.answers, path)?;
    }
    Ok(ExitCode::Ok)
}

/// In how many questions the answer is found at all.
fn search_only(
    arguments: &BfclArgs,
    scenarios: &[Scenario],
    mut embedder: Option<Box<dyn Embed>>,
) -> Result<ExitCode, Error> {
    let report = retrieval(scenarios, embedder.as_deref_mut(), &mut |next| tell(next))?;
    anstream::println!("{}\n{NOT_COMPARABLE}", report.table());
    bench::write_json(&report, arguments.json.as_deref())?;
    Ok(ExitCode::Ok)
}

fn config_of(arguments: &BfclArgs, home: PathBuf, file: ConfigFile) -> Result<Config, Error> {
    let file = match arguments.policy {
        PolicyName::Default => file,
        PolicyName::SelfDirected => ConfigFile { recollection: Some(false), ..file },
    };
    let overrides = Overrides {
        model: arguments.model.clone(),
        profile: arguments.profile.map(Into::into),
        context_window: arguments.context_window,
        idle: Some(arguments.idle),
        ..Overrides::default()
    };
    Ok(Config::new(home, file, overrides)?)
}

/// Name and file of the model, or of the script.
fn model_of(engine: EngineName, config: &Config) -> Result<(String, PathBuf), Error> {
    match engine {
        EngineName::Scripted => {
            let path = config.model.as_ref().ok_or(Error::NoScript)?;
            Ok(("scripted".to_owned(), path.into()))
        }
        EngineName::LlamaCpp | EngineName::Candle => {
            let name = config.model.clone().map_or_else(|| super::models::default_model(&config.home), Ok)?;
            let file = super::models::resolve(&name)?;
            Ok((file.name, file.path))
        }
    }
}

/// Size of a file in bytes and when it was changed, UTC milliseconds.
pub(super) fn state_of(path: &Path) -> Result<(u64, i64), Error> {
    let read = || -> std::io::Result<(u64, i64)> {
        let metadata = std::fs::metadata(path)?;
        let age = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok((metadata.len(), i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
    };
    read().map_err(|source| config::Error::File { path: path.to_owned(), source }.into())
}

fn write_lines(answers: &[Answer], path: &Path) -> Result<(), Error> {
    let lines: Result<String, _> =
        answers.iter().map(|one| serde_json::to_string(one).map(|line| line + "\n")).collect();
    let written = lines.map_err(std::io::Error::from).and_then(|text| std::fs::write(path, text));
    written.map_err(|source| config::Error::File { path: path.to_owned(), source })?;
    Ok(())
}

struct Bench<'a> {
    arguments: &'a BfclArgs,
    config: Config,
    work: Work,
    /// The model between two agents: it is loaded once, when it is first needed. The prompts of two questions begin
    /// alike, as if both were asked in the same chat; a session after a restart reads everything anew.
    engine: Option<Warm>,
    /// The embedder between two agents.
    embedder: Option<Box<dyn Embed>>,
    clock: ManualClock,
    cpu: CpuClock,
    judge: Judge,
}

impl Bench<'_> {
    /// Tells the sessions of a scenario that its agent has not heard.
    fn tell_all(&mut self, scenario: &Scenario) -> Result<(), Error> {
        let sessions = scenario.sessions.len();
        let told = self.work.sessions_told(scenario.name, sessions);
        for (at, session) in scenario.sessions.iter().enumerate().skip(told) {
            let (context_window, costs) = self.tell_session(scenario, at, session)?;
            let seconds = (costs.wall_ms + costs.idle_ms) / 1000;
            let row = Told { scenario: scenario.name, session: at, context_window, costs };
            self.work.keep_told(row, &self.clock)?;
            let name = scenario.name.as_str();
            tell(&format!("{name}: session {}/{sessions} told, {} turns in {seconds} s", at + 1, costs.turns));
        }
        Ok(())
    }

    fn tell_session(&mut self, scenario: &Scenario, at: usize, session: &Session) -> Result<(usize, Costs), Error> {
        self.set_clock(at);
        let database = self.work.present(scenario.name, at, &self.clock)?;
        let store = Store::open(&database, &self.clock)?;
        self.engine = self.engine.take().map(Warm::cold);
        let (mut agent, context_window) = self.open(&self.config.clone(), store)?;
        let mut costs = Costs::default();
        for text in &session.messages {
            self.clock.advance(BETWEEN_MESSAGES_MS);
            let turn = self.take_turn(&mut agent, text.clone());
            if !turn.error.is_empty() {
                tell(&format!("{}: session {}: {}", scenario.name.as_str(), at + 1, turn.error));
            }
            costs += turn.costs;
        }
        if self.config.idle == Idle::Now {
            let cpu_before_ms = self.cpu.now_ms();
            costs += rest(&mut agent);
            costs.cpu_ms += self.cpu.now_ms().saturating_sub(cpu_before_ms);
        }
        self.close(agent);
        Ok((context_window, costs))
    }

    /// Asks the questions of a scenario that have no answer yet.
    fn ask_all(&mut self, scenario: &Scenario) -> Result<(), Error> {
        let recited = recited(scenario, &self.judge);
        for variant in self.arguments.instruction.variants() {
            for (at, (question, recited_is_right)) in scenario.questions.iter().zip(&recited).enumerate() {
                let is_asked = |answer: &Answer| answer.id == question.id && answer.variant == *variant;
                if self.work.answers().iter().any(is_asked) {
                    continue;
                }
                let answer = self.ask(scenario, question, *variant, *recited_is_right)?;
                let verdict = if answer.is_right { "right" } else { "wrong" };
                let (name, questions) = (scenario.name.as_str(), scenario.questions.len());
                tell(&format!("{name}: question {}/{questions} {}: {verdict}", at + 1, variant.as_str()));
                if !answer.error.is_empty() {
                    tell_below(&answer.error);
                }
                self.work.keep_answer(answer)?;
            }
        }
        Ok(())
    }

    fn ask(
        &mut self,
        scenario: &Scenario,
        question: &Question,
        variant: Variant,
        recited_is_right: bool,
    ) -> Result<Answer, Error> {
        self.set_clock(scenario.sessions.len());
        let database = self.work.present(scenario.name, scenario.sessions.len(), &self.clock)?;
        let mut store = Store::open(&database, &self.clock)?;
        // The copy is thrown away behind the answer: idle work on it would be in vain.
        let config = Config { idle: Idle::Now, ..self.config.clone() };
        let mut text = question.text.clone();
        match variant {
            Variant::Without => {}
            Variant::With => store = self.with_answer_format(store)?,
            Variant::Message => text = format!("{text}\n\n{}", ANSWER_FORMAT.trim_end()),
        }
        let (mut agent, _) = self.open(&config, store)?;
        let Turn { reply, error, costs } = self.take_turn(&mut agent, text);
        self.close(agent);
        Ok(Answer {
            id: question.id.clone(),
            scenario: scenario.name,
            variant,
            question: question.text.clone(),
            accepted: question.accepted.clone(),
            is_right: self.judge.is_right(&reply, &question.accepted),
            reply,
            error,
            recited_is_right,
            costs,
        })
    }

    /// Puts the official answer format behind the agent's instructions, where the official pipeline has it.
    fn with_answer_format(&self, store: Store) -> Result<Store, Error> {
        let mut memory = AgentMemory::open(store, AGENT)?;
        let instructions = default_instructions(&settings(&self.config, self.config.profile), None);
        let mut step = memory.step(self.clock.now_ms())?;
        step.set_instructions(Some(&format!("{instructions}\n\n{ANSWER_FORMAT}")))?;
        step.commit()?;
        Ok(memory.into_store())
    }

    /// The agent in `store`, and its window in tokens.
    fn open(&mut self, config: &Config, store: Store) -> Result<(Agent, usize), Error> {
        let engine = match self.engine.take() {
            Some(engine) => engine,
            None => super::engine::load(self.arguments.engine, config, &Cancel::new())?.into(),
        };
        let context_window = engine.engine().context_window_tokens();
        let texts = Texts::read(config, &store, AGENT)?;
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let Opened { mut agent, .. } = open_warm_agent(config, store, AGENT, texts, engine, clock, Cancel::new())?;
        agent.set_embedder(self.embedder.take());
        Ok((agent, context_window))
    }

    /// The time at which a session begins; behind the last, that of the questions.
    fn set_clock(&self, session: usize) {
        let sessions = i64::try_from(session).unwrap_or_default();
        self.clock.set(BEGIN_MS + sessions * BETWEEN_STARTS_MS);
    }

    fn take_turn(&mut self, agent: &mut Agent, text: String) -> Turn {
        let cpu_before_ms = self.cpu.now_ms();
        let mut turn = take_turn(agent, text);
        turn.costs.cpu_ms = self.cpu.now_ms().saturating_sub(cpu_before_ms);
        turn
    }

    /// Closes an agent; what it was opened with is kept for the next one.
    fn close(&mut self, mut agent: Agent) {
        self.embedder = agent.take_embedder();
        self.engine = Some(agent.into_warm());
    }

    /// The rows of this run's sessions and questions, those of earlier runs included, in the order of the data.
    fn rows(&self, scenarios: &[Scenario]) -> (Vec<Told>, Vec<Answer>) {
        let (mut told, mut answers) = (Vec::new(), Vec::new());
        for scenario in scenarios {
            told.extend(self.work.told().iter().filter(|told| told.scenario == scenario.name).cloned());
            for variant in self.arguments.instruction.variants() {
                let row = |question: &Question| {
                    let is_of = |answer: &&Answer| answer.id == question.id && answer.variant == *variant;
                    self.work.answers().iter().find(is_of).cloned()
                };
                answers.extend(scenario.questions.iter().filter_map(row));
            }
        }
        (told, answers)
    }
}

/// What a turn brought.
struct Turn {
    /// The last thing that the user was told; empty where that was nothing.
    reply: String,
    /// What failed; empty where nothing did.
    error: String,
    costs: Costs,
}

fn take_turn(agent: &mut Agent, text: String) -> Turn {
    let mut turn = Turn { reply: String::new(), error: String::new(), costs: Costs::default() };
    let (mut calls, mut failed_calls) = (0, 0);
    handle(agent, Request::User { text }, None, &mut |cause: Cause, event: Event| match event {
        Event::Message { text } => turn.reply = text,
        Event::Call { .. } if cause == Cause::User => calls += 1,
        Event::Result { status: Status::Failed, .. } if cause == Cause::User => failed_calls += 1,
        Event::Error { message, .. } => turn.error = message,
        Event::Turn(report) => turn.costs = Costs::from(&report),
        _ => {}
    });
    turn.costs.calls = calls;
    turn.costs.failed_calls = failed_calls;
    turn.costs.silent_turns = u64::from(turn.reply.trim().is_empty());
    turn.costs.failed_turns = u64::from(!turn.error.is_empty());
    turn
}

/// The idle time between two sessions: all that can be done is done.
fn rest(agent: &mut Agent) -> Costs {
    let cancel = Cancel::new();
    while agent.memory_pass(&cancel, &mut |_| {}) {}
    agent.embed_pending(&cancel);
    let report = agent.empty_report(StopReason::Answer);
    // No turn, only what was done beside the turns.
    Costs { turns: 0, ..Costs::from(&agent.with_idle_cost(report)) }
}
