//! `mneme bench turn`: a fixed conversation with an agent in a home that is deleted afterwards, then the library alone on
//! the same tokens, round by round.
//!
//! Idle work is done to its end after every turn, as where the user reads and types slowly. Not responsible for figures and
//! pictures (`bench::turn`).

mod buffers;
mod library;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bench::{BEGIN_MS, BETWEEN_MESSAGES_MS, BETWEEN_STARTS_MS};
use super::chat::{Opened, Texts, open_agent};
use super::interrupt::raised_by_ctrl_c;
use super::output::tell;
use super::{Error, bench};
use crate::bench::machine::peak_memory_bytes;
use crate::bench::turn::trace::{Operation, Trace, TracedEngine};
use crate::bench::turn::{self, Conversation, Footprint, Happened, Report, Rounds};
use crate::cli::{ExitCode, TurnBenchArgs};
use crate::config::{self, Config, DATABASE_NAME, Overrides};
use crate::functions::Function;
use crate::inference::Engine;
use crate::kernel::{Agent, Request, handle, tells_of_eviction};
use crate::memory::{DatabaseClock, Store};
use crate::types::{Cancel, Cause, Clock, Event, ManualClock, TurnReport};
use buffers::Listener;
use library::Library;

/// Name of the agent.
const AGENT: &str = "bench";

/// Holds the conversation and tells what its turns cost.
///
/// # Errors
/// The conversation cannot be read, the model cannot be loaded, a database fails, or a file cannot be written.
pub(super) fn run(arguments: &TurnBenchArgs) -> Result<ExitCode, Error> {
    let conversation = match &arguments.conversation {
        Some(path) => Conversation::read(path)?,
        None => Conversation::shipped()?,
    };
    let config = config_of(arguments, conversation.context_window)?;
    let stop = raised_by_ctrl_c()?;
    let listener = Listener::start();
    let trace = Trace::default();
    let engine = super::engine::load(arguments.engine, &config, &stop)?;
    let buffers = listener.heard();
    let engine: Box<dyn Engine> = Box::new(TracedEngine::new(engine, trace.clone()));
    let model = engine.identity().name.clone();
    let mut library = Library::new(arguments.engine, config.clone());
    let mut bench = Bench { config, conversation: &conversation, engine: Some(engine), trace, stop };
    // The engine on candle tells none.
    let told = |bytes: u64| (bytes > 0).then_some(bytes);
    let mut footprint = Footprint {
        weights_bytes: told(buffers.weights),
        kv_bytes: told(buffers.kv),
        compute_bytes: told(buffers.compute),
        embedder_bytes: if arguments.engine.runs_model() { super::embedder::weights_bytes()? } else { 0 },
        ..Footprint::default()
    };
    let mut measured = Vec::with_capacity(arguments.rounds);
    for round in 1..=arguments.rounds {
        let Some(recorded) = bench.hold(round, arguments)? else { return Ok(ExitCode::Interrupted) };
        if round == 1 {
            // The library alone would be in it later on.
            footprint.peak_rss_bytes = peak_memory_bytes();
        }
        tell(&format!("round {round}/{}: the library alone on the same tokens", arguments.rounds));
        let Some(turns) = library.repeat(recorded, &bench.stop)? else { return Ok(ExitCode::Interrupted) };
        measured.push(turns);
    }
    let report = Report::new(Rounds {
        model,
        conversation: &conversation,
        measured,
        read: library.read,
        decoded: library.decoded,
        footprint,
    });
    anstream::println!("{}", crate::ui::sanitize(&report.table()));
    bench::write_json(&report, arguments.json.as_deref())?;
    if let Some(path) = &arguments.report {
        std::fs::write(path, turn::page(&report))
            .map_err(|source| config::Error::File { path: path.clone(), source })?;
        tell(&format!("the report is in {}", path.display()));
    }
    Ok(ExitCode::Ok)
}

fn config_of(arguments: &TurnBenchArgs, context_window: usize) -> Result<Config, Error> {
    let (home, file) = bench::settings_for(arguments.engine)?;
    let overrides = Overrides {
        model: arguments.model.clone(),
        profile: arguments.profile.map(Into::into),
        context_window: Some(context_window),
        ..Overrides::default()
    };
    Ok(Config::new(home, file, overrides)?)
}

/// What is recorded of a turn.
struct Recorded {
    turn: TurnReport,
    first_token: Duration,
    database: Duration,
    /// See [`turn::Measured`].
    database_while_decoding: Duration,
    happened: Happened,
    /// What the engine did between the turn before and this one: a start, and idle work.
    before: Vec<Operation>,
    /// What it did in the turn.
    within: Vec<Operation>,
}

struct Bench<'a> {
    config: Config,
    conversation: &'a Conversation,
    /// None while an agent has it.
    engine: Option<Box<dyn Engine>>,
    trace: Trace,
    stop: Cancel,
}

impl Bench<'_> {
    /// Holds the conversation once; none where it was stopped.
    fn hold(&mut self, round: usize, arguments: &TurnBenchArgs) -> Result<Option<Vec<Recorded>>, Error> {
        let folder = tempfile::tempdir().map_err(Error::Scratch)?;
        let (messages, rounds) = (&self.conversation.messages, arguments.rounds);
        let mut recorded = Vec::with_capacity(messages.len());
        let clock = ManualClock::at(BEGIN_MS);
        let mut opened = self.open(folder.path(), &clock, arguments)?;
        for (place, message) in messages.iter().enumerate() {
            if self.stop.is_raised() {
                return Ok(None);
            }
            if place + 1 == self.conversation.restart_before {
                let (mut agent, _) = opened;
                agent.save_state();
                self.engine = Some(agent.into_engine());
                clock.advance(BETWEEN_STARTS_MS);
                opened = self.open(folder.path(), &clock, arguments)?;
            }
            clock.advance(BETWEEN_MESSAGES_MS);
            let (agent, database) = &mut opened;
            let turn = self.said(agent, message, database);
            if let Some(turn) = turn {
                let TurnReport { wall_ms, tokens_read, tokens_reused, tokens_sampled, tokens_forced, .. } = turn.turn;
                let seconds = Duration::from_millis(wall_ms).as_secs_f64();
                tell(&format!(
                    "round {round}/{rounds}, turn {}/{}: {seconds:.2} s, {tokens_read} tokens read, {tokens_reused} reused, \
                     {tokens_sampled} sampled, {tokens_forced} forced",
                    place + 1,
                    messages.len(),
                ));
                recorded.push(turn);
            }
            let never = Cancel::new();
            let mut behind = Happened::default();
            while agent.work_in_idle_time(&never, &mut |event| take(&mut behind, &event)) {
                if self.stop.is_raised() {
                    return Ok(None);
                }
            }
            if let Some(Recorded { happened, .. }) = recorded.last_mut() {
                happened.evicted_behind |= behind.evicted;
                happened.edits += behind.edits;
                happened.searches += behind.searches;
            }
        }
        let (agent, _) = opened;
        self.engine = Some(agent.into_engine());
        let _ = self.trace.take();
        Ok(Some(recorded))
    }

    fn open(
        &mut self,
        home: &Path,
        clock: &ManualClock,
        arguments: &TurnBenchArgs,
    ) -> Result<(Agent, DatabaseClock), Error> {
        let engine = self.engine.take().ok_or(Error::Stopped)?;
        let mut store = Store::open(&home.join(DATABASE_NAME), clock)?;
        let clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let database = store.time_statements()?;
        let texts = Texts::read(&self.config, &store, AGENT)?;
        let Opened { mut agent, .. } = open_agent(&self.config, store, AGENT, texts, engine, clock, Cancel::new())?;
        if arguments.engine.runs_model() {
            agent.set_embedder(super::embedder::open()?);
        }
        Ok((agent, database))
    }

    /// One turn; none where it did not come to its end.
    fn said(&self, agent: &mut Agent, message: &str, clock: &DatabaseClock) -> Option<Recorded> {
        let (before, _) = self.trace.take();
        let (spent, started) = (clock.spent(), Instant::now());
        let (mut turn, mut happened) = (None, Happened::default());
        // What is stored between the first piece of a reply and the last is stored while it is written.
        let mut written: Option<(Duration, Duration)> = None;
        let request = Request::User { text: message.to_owned() };
        handle(agent, request, None, &mut |_: Cause, event: Event| {
            take(&mut happened, &event);
            match event {
                Event::Turn(report) => turn = Some(report),
                Event::Delta { .. } => {
                    written = Some((written.map_or(clock.spent(), |(first, _)| first), clock.spent()))
                }
                _ => {}
            }
        });
        let database_while_decoding = written.map_or(Duration::ZERO, |(first, last)| last.saturating_sub(first));
        let database = clock.spent().saturating_sub(spent);
        let (within, first_logits) = self.trace.take();
        let first_token = first_logits.map_or_else(|| started.elapsed(), |at| at.saturating_duration_since(started));
        Some(Recorded { turn: turn?, first_token, database, database_while_decoding, happened, before, within })
    }
}

/// Counts what an event tells of the memory.
fn take(happened: &mut Happened, event: &Event) {
    match event {
        Event::Notice { text } => happened.evicted |= tells_of_eviction(text),
        Event::Call { name, .. } => match Function::by_name(name) {
            Some(function) if function.searches() => happened.searches += 1,
            Some(function) if function.edits_core() || function == Function::ArchivalMemoryInsert => {
                happened.edits += 1
            }
            _ => {}
        },
        _ => {}
    }
}
