//! One conversation: the agent is opened for each session, told what the user says, and closed again. What it reads depends
//! on the conversation alone: messages are a minute apart and sessions eight hours, whenever it is measured.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::super::Error;
use super::super::bench::{BEGIN_MS, BETWEEN_MESSAGES_MS, BETWEEN_STARTS_MS};
use super::super::chat::{Opened, Texts, open_agent};
use super::shared_embedder::SharedEmbedder;
use super::transcripts::{SessionEnd, Transcripts};
use crate::bench::CpuClock;
use crate::bench::agent::{self, Listed, Observed, Row, Session, Tally};
use crate::config::Config;
use crate::inference::{Engine, SamplerOptions};
use crate::kernel::{Agent, Command, Request, handle};
use crate::memory::{Embed, Store};
use crate::types::{Cancel, Cause, CoreMemoryText, Event, ManualClock, StopReason};

/// Name of the agent.
const AGENT: &str = "bench";

/// What stays from conversation to conversation.
pub(super) struct Bench {
    config: Config,
    /// The model between two sessions: it is loaded once. None after an agent could not be opened, which ends the run.
    engine: Option<Box<dyn Engine>>,
    embedder: Option<SharedEmbedder>,
    clock: ManualClock,
    cpu: CpuClock,
    folder: tempfile::TempDir,
    stop: Cancel,
    transcripts: Transcripts,
    /// Conversations that were begun, for names of databases.
    begun: usize,
}

impl Bench {
    pub(super) fn new(
        config: Config,
        engine: Box<dyn Engine>,
        embedder: Option<Box<dyn Embed>>,
        stop: Cancel,
        transcripts: Transcripts,
    ) -> Result<Self, Error> {
        Ok(Self {
            config,
            engine: Some(engine),
            embedder: embedder.map(SharedEmbedder::new),
            clock: ManualClock::at(BEGIN_MS),
            cpu: CpuClock::default(),
            folder: tempfile::tempdir().map_err(Error::Scratch)?,
            stop,
            transcripts,
            begun: 0,
        })
    }

    /// Holds a conversation, with a sampler whose seed is so many above the first; none where it was stopped.
    ///
    /// # Errors
    /// A database failed or a transcript cannot be written.
    pub(super) fn hold(&mut self, listed: &Listed, seed_offset: u64) -> Result<Option<Row>, Error> {
        let sampler = self.config.sampler;
        let sampler = SamplerOptions { seed: sampler.seed.wrapping_add(seed_offset), ..sampler };
        let config = Config { sampler, ..self.config.clone() };
        let started = Instant::now();
        self.begun += 1;
        self.clock.set(BEGIN_MS);
        let database = self.folder.path().join(format!("{}.db", self.begun));
        let mut tally = Tally::new(listed, sampler.seed);
        self.transcripts.begin(&listed.conversation.name)?;
        for session in &listed.conversation.sessions {
            let mut agent = self.open(&config, &database, &mut tally)?;
            let is_whole = self.talk(&mut agent, session, &mut tally);
            self.engine = Some(agent.into_engine());
            self.clock.advance(BETWEEN_STARTS_MS);
            if !is_whole? {
                return Ok(None);
            }
        }
        if database.exists() {
            std::fs::remove_file(&database).map_err(Error::Scratch)?;
        }
        Ok(Some(tally.finish(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX))))
    }

    fn open(&mut self, config: &Config, database: &Path, tally: &mut Tally<'_>) -> Result<Agent, Error> {
        let engine = self.engine.take().ok_or(Error::Stopped)?;
        let store = Store::open(database, &self.clock)?;
        let texts = Texts::read(config, &store, AGENT)?;
        let Opened { mut agent, ready } =
            open_agent(config, store, AGENT, texts, engine, Arc::new(self.clock.clone()), Cancel::new())?;
        agent.set_embedder(self.embedder.clone().map(|embedder| Box::new(embedder) as Box<dyn Embed>));
        let is_resumed = matches!(ready, Event::Ready { resumed: true, .. });
        tally.opened(is_resumed, core_of(&mut agent)?);
        Ok(agent)
    }

    /// One session; false where it was stopped.
    fn talk<'a>(&mut self, agent: &mut Agent, session: &'a Session, tally: &mut Tally<'a>) -> Result<bool, Error> {
        for turn in &session.turns {
            if self.stop.is_raised() {
                return Ok(false);
            }
            self.clock.advance(BETWEEN_MESSAGES_MS);
            let cpu_before_ms = self.cpu.now_ms();
            let observed = said(agent, &turn.user);
            let cpu_ms = self.cpu.now_ms().saturating_sub(cpu_before_ms);
            let line = tally.turn(turn, observed, cpu_ms, core_of(agent)?);
            self.transcripts.write(&line)?;
        }
        self.rest(agent, tally)?;
        Ok(true)
    }

    /// Does what is left for idle time, as before a program that is not used for a while is ended.
    fn rest(&mut self, agent: &mut Agent, tally: &mut Tally<'_>) -> Result<(), Error> {
        let cpu_before_ms = self.cpu.now_ms();
        let (never, started) = (Cancel::new(), Instant::now());
        let mut observed = Observed::default();
        loop {
            // Passes look at the messages in their order.
            let turn = tally.turns().saturating_sub(agent.passes_left());
            let errors = observed.errors.len();
            let is_done = agent.memory_pass(&never, &mut |event| observed.take(Cause::Idle, event, started.elapsed()));
            tally.passed_over(turn, observed.errors.len() - errors, core_of(agent)?);
            if !is_done {
                break;
            }
        }
        agent.embed_pending(&never);
        let report = agent.empty_report(StopReason::Answer);
        let report = agent.with_idle_cost(report);
        tally.idled(&report, self.cpu.now_ms().saturating_sub(cpu_before_ms));
        if report.idle_passes > 0 {
            let core = core_of(agent)?;
            self.transcripts.write(&SessionEnd { calls: observed.calls, errors: observed.errors, core })?;
        }
        Ok(())
    }
}

fn said(agent: &mut Agent, text: &str) -> Observed {
    let mut observed = Observed::default();
    let started = Instant::now();
    let request = Request::User { text: text.to_owned() };
    handle(agent, request, None, &mut |cause: Cause, event: Event| observed.take(cause, event, started.elapsed()));
    observed
}

/// Core memory as it stands, without the passes that `/memory` of a chat waits for.
fn core_of(agent: &mut Agent) -> Result<CoreMemoryText, Error> {
    match agent.command(&Command::Memory) {
        Event::Memory { core, .. } => Ok(core),
        Event::Error { message, .. } => Err(agent::Error::CoreMemory { message }.into()),
        other => Err(agent::Error::CoreMemory { message: format!("{other:?}") }.into()),
    }
}
