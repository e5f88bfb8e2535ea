//! The driver: carries out what the step machine decides, against memory, model and user.
//!
//! Everything is written before it is shown. A call, its result and the edit that it makes are one transaction; a reply
//! that is still streaming is stored as it grows (`reply`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::dialect::{self, Action, Dialect, Profile};
use crate::functions::{self, Function, SideEffect};
use crate::inference::{Engine, SamplerOptions, StopCause, Warm};
use crate::memory::{AgentMemory, CoreMemory, Embed, Inbox, MainContext, QueueLimits, RoomReport};
use crate::types::{
    Body, Cancel, Clock, CoreRefresh, Event, InboxId, Language, NewMessage, Notification, Status, StopReason,
    TurnReport,
};

use super::Error;
use super::answers::{Lookup, only_searches};
use super::asked_for::AskedFor;
use super::attach::asks_to_save;
use super::by_profile::{instructions, make_model};
use super::command::Command;
use super::commands::LoadModel;
use super::cost::Cost;
use super::heartbeats::Heartbeats;
use super::interrupt::Interrupt;
use super::language::spoken_language;
use super::memory_pass::{Related, noted};
use super::model::{Model, Written};
use super::offer::{MemoryView, asked_for_policy, step_policy};
use super::preview::{ANSWER_CHARS_PER_TOKEN, memory_view};
use super::progress::{Pending, Progress};
use super::replies::{Reply, Started};
use super::step::{Effect, Generated, Happened, Offer, Turn};
use super::window::{self, check_window, room_notice};

/// Reason of a heartbeat while the user waits for an answer: without it, a small model answers the event instead.
const UNANSWERED: &str = "The user's last message has no answer yet. Answer it now.";

/// Quiet time after which the state of the conversation is saved: at every turn, it would be written in vain.
const SAVE_STATE_AFTER: Duration = Duration::from_secs(60);

/// Settings of an agent loop.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Call format.
    pub profile: Profile,
    /// How tokens are chosen.
    pub sampler: SamplerOptions,
    /// Thresholds of the queue manager.
    pub queue: QueueLimits,
    /// Most generations in a turn, the answer included.
    pub max_steps: u32,
    /// Most calls of one function in a turn.
    pub max_calls_of_a_function: u32,
    /// Whether a memory pass looks at each message of the user after the answer.
    pub memory_pass: bool,
    /// Whether what the memory holds on a question is looked up before the model answers it.
    pub recollection: bool,
    /// Whether a question about the user is answered from notes and what was said, in a prompt of its own.
    pub answer_pass: bool,
    /// When core memory is rendered anew in the prompt.
    pub core_refresh: CoreRefresh,
    /// Whether a turn is reported only after the memory passes.
    pub waits_for_idle: bool,
    /// Time without a turn after which the agent has a heartbeat of its own; none: never.
    pub heartbeat: Option<Duration>,
    /// Files of lines beside the database that can hold what was said: typed lines, logs.
    pub traces: Vec<PathBuf>,
    /// Where the database lies, and drafts of blocks with it; none for a database in memory.
    pub home: Option<PathBuf>,
    /// Folder for states of the KV cache that later starts need not read again; none: none is saved.
    pub states: Option<PathBuf>,
}

/// An agent that is ready to take turns.
pub struct Agent {
    pub(super) memory: AgentMemory,
    pub(super) model: Model,
    /// Finds memories by their meaning; without one, words are searched alone.
    pub(super) embedder: Option<Box<dyn Embed>>,
    pub(super) related: Related,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) cancel: Cancel,
    pub(super) settings: Settings,
    /// Instructions and core memory as they stand in the prompt; core memory is older than the database until the next
    /// refresh, so that the KV cache keeps what comes after it.
    pub(super) context: MainContext,
    /// Cost of the work beside the turns since it was last reported.
    pub(super) idle_passes: u64,
    pub(super) idle: Duration,
    /// What passes within a turn have done; shown behind the turn.
    pub(super) idle_events: Vec<Event>,
    /// What the last eviction that the user asked for did.
    pub(super) summarized: RoomReport,
    /// The turn under way is one that nobody has asked for: whatever stops it is no wish of the user's.
    pub(super) gives_way: bool,
    /// Whether a turn was the last that happened: idle time may bring what the next one begins with.
    pub(super) may_work_ahead: bool,
    /// Loads another model; none where there is no other.
    pub(super) loader: Option<Box<dyn LoadModel>>,
    /// In which the user speaks, as far as it is known.
    pub(super) language: Option<Language>,
    /// Messages that could not be stored.
    pub(super) unstored: Vec<String>,
    heartbeats: Heartbeats,
}

impl Agent {
    /// Opens the agent behind `memory` on a loaded engine and notes the login. Whether it can answer is another
    /// question: see [`Agent::lacks_room`].
    ///
    /// # Errors
    /// The window cannot hold an exchange even beside empty core memory; the database failed.
    pub fn open(
        memory: AgentMemory,
        engine: Box<dyn Engine>,
        dialect: Box<dyn Dialect>,
        clock: Arc<dyn Clock>,
        cancel: Cancel,
        settings: Settings,
    ) -> Result<Self, Error> {
        Self::open_warm(memory, engine.into(), dialect, clock, cancel, settings)
    }

    /// As [`Agent::open`], on an engine whose cache may hold the beginning of the prompt already.
    ///
    /// # Errors
    /// As [`Agent::open`].
    pub fn open_warm(
        memory: AgentMemory,
        engine: Warm,
        dialect: Box<dyn Dialect>,
        clock: Arc<dyn Clock>,
        cancel: Cancel,
        settings: Settings,
    ) -> Result<Self, Error> {
        let mut model = make_model(engine, dialect, &*clock, &cancel, &settings)?;
        let kept = model.keep_as(memory.id());
        let language = spoken_language(&memory.view().queue()?, None);
        let instructions = instructions(memory.view(), &settings, language)?;
        let mut context = memory.view().main_context(&instructions)?;
        if let Some(text) = kept.and_then(|note| noted::core_memory_in_prompt(&note, &context)) {
            context.core_memory = text;
        }
        context.messages.clear();
        let heartbeats = Heartbeats::new(settings.heartbeat, clock.instant());
        let mut agent = Self {
            memory,
            model,
            embedder: None,
            related: Related::default(),
            clock,
            cancel,
            settings,
            language,
            context,
            idle_passes: 0,
            idle: Duration::ZERO,
            idle_events: Vec::new(),
            summarized: RoomReport::default(),
            gives_way: false,
            may_work_ahead: false,
            loader: None,
            unstored: Vec::new(),
            heartbeats,
        };
        let mut least = agent.memory.view().core()?;
        least.persona.text.clear();
        least.human.text.clear();
        let least_tokens = window::fixed_tokens(&agent.model, &agent.context.instructions, &least)?;
        check_window(&agent.model, &agent.settings, least_tokens)?;
        let now_ms = agent.clock.now_ms();
        let last_login_at_ms = agent.memory.login(now_ms)?;
        agent.notify(Notification::Login { last_login_at_ms })?;
        Ok(agent)
    }

    /// The call format.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.settings.profile
    }

    /// Lets the user go on with another model.
    pub fn set_loader(&mut self, loader: Box<dyn LoadModel>) {
        self.loader = Some(loader);
    }

    /// The turn that a command begins, for those that run the model. A heartbeat says which message waits.
    pub(super) fn interrupt_of(&self, command: &Command) -> Option<Interrupt> {
        match command.interrupt()? {
            Interrupt::Heartbeat { .. } if matches!(self.memory.view().unanswered(), Ok(Some(_))) => {
                Some(Interrupt::Heartbeat { reason: UNANSWERED.to_owned() })
            }
            interrupt => Some(interrupt),
        }
    }

    /// Takes one turn. The report that ends it is the caller's to show, after the work that is to be waited for.
    pub fn turn(&mut self, interrupt: Interrupt, emit: &mut dyn FnMut(Event)) -> TurnReport {
        let started = Instant::now();
        self.model.cost = Cost::default();
        let mut progress = Progress {
            by_heartbeat: matches!(interrupt, Interrupt::Heartbeat { .. }),
            by_warning: interrupt == Interrupt::MemoryPressure,
            message_stored: matches!(interrupt, Interrupt::User { .. }).then_some(false),
            asks_to_save: matches!(&interrupt, Interrupt::User { text, .. } if asks_to_save(text)),
            recalled: self.recalls_at(&interrupt),
            asked_for: self.asked_for_at(&interrupt),
            lookup: self.looks_up_at(&interrupt),
            ..Progress::default()
        };
        let is_retry = interrupt == Interrupt::Retry;
        let (mut turn, effects) = Turn::new(self.settings.max_steps).advance(Happened::Begin(interrupt));
        let mut effects = std::collections::VecDeque::from(effects);
        let mut stop_reason = StopReason::Answer;
        while let Some(effect) = effects.pop_front() {
            if let Effect::End(reason) = effect {
                stop_reason = reason;
                break;
            }
            let happened = match self.carry_out(effect, &mut progress, emit) {
                Ok(happened) => happened,
                Err(error) => {
                    tracing::error!(?error, "turn");
                    emit(progress.failure(&error));
                    Some(Happened::Failed)
                }
            };
            if let Some(happened) = happened {
                let (next, following) = turn.advance(happened);
                turn = next;
                effects = following.into();
            }
        }
        self.note_activity();
        self.may_work_ahead = stop_reason == StopReason::Answer;
        if is_retry {
            self.model.sample_as(self.settings.sampler);
        }
        self.model.cost.report(stop_reason, turn.steps(), started.elapsed())
    }

    /// Something happens, or is being done by the user: the interval until a heartbeat begins anew.
    pub fn note_activity(&mut self) {
        self.heartbeats.active(self.clock.instant());
    }

    /// What was taken back cannot be brought back after a turn that the user begins by a command and that changes
    /// something: a heartbeat does from its beginning, the others where they are carried out.
    pub(super) fn begin_new_way(&mut self) -> Result<(), Error> {
        let mut step = self.memory.step(self.clock.now_ms())?;
        step.drop_redo()?;
        Ok(step.commit()?)
    }

    /// How long nothing must happen until the state of the conversation is worth saving; zero: now. None where there is
    /// nothing new to save.
    #[must_use]
    pub fn state_due_in(&self) -> Option<Duration> {
        let quiet = self.heartbeats.quiet_for(self.clock.instant());
        self.model.is_unsaved().then(|| SAVE_STATE_AFTER.saturating_sub(quiet))
    }

    /// Saves what the model has read of the conversation, for the next start. A thread of its own writes it.
    pub fn save_state(&mut self) {
        let view = self.memory.view();
        let note =
            view.core().and_then(|core| Ok(noted::note(&self.context.core_memory, &core.render(), &view.queue()?)));
        // Where the database cannot be read, nothing is noted: core memory is read anew.
        self.model.save(&note.unwrap_or_default());
    }

    /// How long nothing must happen until the agent is due a heartbeat of its own; zero: it is due. None where it has
    /// none.
    pub fn heartbeat_due_in(&mut self) -> Option<Duration> {
        let paused_until_ms = match self.memory.view().heartbeats_paused_until_ms() {
            Ok(until_ms) => until_ms,
            // A heartbeat could not be recorded either; it is asked again after an interval.
            Err(error) => {
                tracing::error!(?error, "reading the pause of heartbeats");
                return self.settings.heartbeat;
            }
        };
        self.heartbeats.due_in(self.clock.instant(), self.clock.now_ms(), paused_until_ms)
    }

    /// The report with what was done beside the turns since the one before.
    #[must_use]
    pub fn with_idle_cost(&mut self, report: TurnReport) -> TurnReport {
        let idle = std::mem::take(&mut self.idle);
        let idle_ms = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        TurnReport { idle_passes: std::mem::take(&mut self.idle_passes), idle_ms, ..report }
    }

    /// Whether a turn is reported only after the memory passes.
    #[must_use]
    pub const fn waits_for_idle(&self) -> bool {
        self.settings.waits_for_idle
    }

    /// The report of a turn in which nothing happened.
    #[must_use]
    pub fn empty_report(&self, stop_reason: StopReason) -> TurnReport {
        Cost::default().report(stop_reason, 0, Duration::ZERO)
    }

    fn carry_out(
        &mut self,
        effect: Effect,
        progress: &mut Progress,
        emit: &mut dyn FnMut(Event),
    ) -> Result<Option<Happened>, Error> {
        match effect {
            Effect::RecordUser { text, entry } => {
                let sent_before = self.unstored.iter().position(|unstored| *unstored == text);
                if let Err(error) = self.record_user(text.clone(), entry) {
                    self.give_back(entry);
                    if sent_before.is_none() {
                        self.unstored.push(text);
                    }
                    return Err(error);
                }
                if let Some(index) = sent_before {
                    self.unstored.remove(index);
                }
                progress.message_stored = Some(true);
                Ok(None)
            }
            Effect::RetakeUser => {
                self.retake()?;
                progress.message_stored = Some(true);
                Ok(None)
            }
            Effect::Summarize => {
                self.summarize()?;
                Ok(None)
            }
            Effect::Notify(notification) => {
                self.notify(notification)?;
                Ok(None)
            }
            Effect::MarkWarned => {
                self.memory.set_warned(true)?;
                Ok(None)
            }
            Effect::Generate(offer) => self.generate(offer, progress, emit).map(Some),
            Effect::Execute => self.execute(progress, emit).map(Some),
            Effect::End(_) => Ok(None),
        }
    }

    /// The call that a message asks for. The classic profile leaves it to the model, as the paper does.
    fn asked_for_at(&self, interrupt: &Interrupt) -> Option<AskedFor> {
        match interrupt {
            Interrupt::User { text, .. } if self.settings.profile == Profile::Native => AskedFor::of(text),
            _ => None,
        }
    }

    /// Makes room, lets the model write, stores and shows what it wrote.
    fn generate(
        &mut self,
        offer: Offer,
        progress: &mut Progress,
        emit: &mut dyn FnMut(Event),
    ) -> Result<Happened, Error> {
        self.set_fixed_part()?;
        self.settle_before_eviction()?;
        let room = self.make_room(emit)?;
        if let Some(text) = room_notice(&room) {
            emit(Event::Notice { text });
        }
        let window_tokens = self.model.window_tokens();
        let reserve_tokens = self.settings.queue.answer_reserve_tokens(window_tokens);
        if offer != Offer::SaveOnly
            && let Some(told) = self.tell(offer, progress, emit)?
        {
            return Ok(told);
        }
        let prompt_tokens =
            self.recall(&mut progress.recalled, room.prompt_tokens, window_tokens.saturating_sub(reserve_tokens))?;
        progress.has_read_document |= progress.recalled.quotes_document();
        let answer_tokens = reserve_tokens.min(window_tokens.saturating_sub(prompt_tokens));
        let policy = step_policy(offer, &self.view(progress, answer_tokens * ANSWER_CHARS_PER_TOKEN)?);
        let policy = if progress.lookup == Lookup::MustSearch { only_searches(policy) } else { policy };
        let asked_for = progress.asked_for.take().filter(|_| offer == Offer::Everything);
        let policy = match asked_for {
            Some(asked_for) => asked_for_policy(asked_for, &self.view(progress, 0)?).unwrap_or(policy),
            None => policy,
        };
        let mut reply = Reply::new(&mut self.memory, &*self.clock, &self.cancel);
        let written = self.model.write(&self.context, &policy, answer_tokens, &mut |piece| reply.take(piece, emit));
        let is_text = matches!(&written, Ok(Written { action: Ok(Action::Text { .. }), .. }));
        let started = reply.done(is_text)?;
        let outcome = self.keep(written?, started, progress, emit)?;
        let pressure = self.pressure()?;
        Ok(Happened::Generated { outcome, pressure })
    }

    /// Stores the action and shows it.
    pub(super) fn keep(
        &mut self,
        written: Written,
        Started { row, thought_is_shown }: Started,
        progress: &mut Progress,
        emit: &mut dyn FnMut(Event),
    ) -> Result<Generated, Error> {
        let Written { action, stop } = written;
        let (whole, cancelled) = (stop.is_whole(), stop == StopCause::Cancelled);
        match action {
            Ok(Action::Text { thoughts, text }) => {
                let body = Body::Assistant { thoughts: thoughts.clone(), text: Some(text.clone()), call: None };
                match row {
                    Some(id) => {
                        self.memory.finish_reply(id, &body, !whole)?;
                    }
                    None if text.is_empty() => {}
                    None => {
                        let at_ms = self.clock.now_ms();
                        self.memory.record(&[NewMessage { at_ms, body, interrupted: !whole }])?;
                    }
                }
                if cancelled {
                    return Ok(Generated::Interrupted);
                }
                if let Some(text) = thoughts.filter(|_| !thought_is_shown) {
                    emit(Event::Thought { text });
                }
                emit(Event::Message { text });
                progress.is_answered = true;
                if !whole {
                    let reason = match stop {
                        StopCause::Stuck => "the model went on repeating itself",
                        _ => "it has reached its limit of tokens",
                    };
                    emit(Event::Notice { text: format!("The answer stops here: {reason}.") });
                }
                Ok(Generated::Answer)
            }
            Ok(action @ Action::Call { .. }) => {
                let stored = action.stored_call();
                if let (Action::Call { thoughts, call, .. }, Some(stored)) = (action, stored) {
                    progress.pending = Some(Pending { thoughts, call, stored });
                }
                Ok(Generated::Call)
            }
            Ok(Action::Nothing) if cancelled => Ok(Generated::Interrupted),
            Ok(Action::Nothing) => Ok(Generated::Nothing),
            Err(dialect::Error::Incomplete) if cancelled => Ok(Generated::Interrupted),
            Err(dialect::Error::Incomplete) => Ok(Generated::CutOff),
            Err(error) => Err(error.into()),
        }
    }

    /// Executes the pending call: call, result and edit in one transaction, then shows them.
    fn execute(&mut self, progress: &mut Progress, emit: &mut dyn FnMut(Event)) -> Result<Happened, Error> {
        let Some(Pending { thoughts, call, stored }) = progress.pending.take() else {
            return Ok(Happened::Failed);
        };
        let repeated = progress.calls.contains(&call);
        let now_ms = self.clock.now_ms();
        let (model, settings, instructions) = (&self.model, &self.settings, &self.context.instructions);
        let holds =
            |before: &CoreMemory, after: &CoreMemory| window::holds(model, settings, instructions, before, after);
        let mut step = self.memory.step(now_ms)?;
        let body = Body::Assistant { thoughts: thoughts.clone(), text: None, call: Some(stored.clone()) };
        step.record(&NewMessage { at_ms: now_ms, body, interrupted: false })?;
        let outcome = if repeated {
            functions::Outcome::ok("You have made this call already. Go on.")
        } else {
            let embedder = self.embedder.as_deref_mut();
            let result_tokens = settings.queue.result_reserve_tokens(model.window_tokens());
            let mut context = functions::Context { zone: self.clock.zone(), embedder, holds: &holds, result_tokens };
            functions::execute(&call, &mut step, &mut context)?
        };
        let body =
            Body::FunctionResult { name: call.name.clone(), status: outcome.status, message: outcome.message.clone() };
        step.record(&NewMessage { at_ms: now_ms, body, interrupted: false })?;
        if progress.by_warning && outcome.status == Status::Ok {
            step.drop_redo()?;
        }
        step.commit()?;
        if let Some(text) = thoughts {
            emit(Event::Thought { text });
        }
        emit(Event::Call { name: call.name.clone(), arguments: call.arguments.clone() });
        emit(Event::Result { name: call.name.clone(), status: outcome.status, message: outcome.message });
        // A line that was corrected still stands in the prompt and might mislead the next turn.
        let is_corrected = outcome.side_effect == Some(SideEffect::CoreMemoryCorrected);
        let has_edited =
            outcome.status == Status::Ok && Function::by_name(&call.name).is_some_and(Function::edits_core);
        if has_edited && self.settings.core_refresh.is_due(is_corrected) {
            self.refresh_core()?;
        }
        progress.has_read_document |= outcome.side_effect == Some(SideEffect::DocumentRead);
        progress.calls.push(call);
        Ok(Happened::Executed { status: outcome.status, repeated })
    }

    pub(super) fn refresh_core(&mut self) -> Result<(), Error> {
        self.context.core_memory = self.memory.view().core()?.render();
        Ok(())
    }

    pub(super) fn view(&self, progress: &Progress, max_answer_chars: usize) -> Result<MemoryView, Error> {
        Ok(MemoryView {
            calls: progress.calls.clone(),
            can_pause_heartbeats: progress.by_heartbeat || self.settings.heartbeat.is_some(),
            saves_by_itself: !self.settings.memory_pass,
            core_memory_is_guarded: progress.has_read_document && !progress.asks_to_save,
            max_answer_chars,
            max_calls_of_a_function: self.settings.max_calls_of_a_function,
            ..memory_view(&self.bounded_core()?, self.memory.view())?
        })
    }

    /// Records what the user said; without memory passes it counts as looked at, so that a later run with passes does
    /// not begin with the whole history.
    fn record_user(&mut self, text: String, entry: Option<InboxId>) -> Result<(), Error> {
        let at_ms = self.clock.now_ms();
        let mut step = self.memory.step(at_ms)?;
        if let Some(entry) = entry {
            step.take_out(entry)?;
        }
        let message = step.begin_turn(&NewMessage { at_ms, body: Body::User { text }, interrupted: false })?;
        if !self.settings.memory_pass {
            step.pass_over(message.id)?;
        }
        step.commit()?;
        Ok(())
    }

    /// What could not be recorded is the user's again: in the inbox it would come back at the next start, although the
    /// user was told that it was not stored.
    fn give_back(&mut self, entry: Option<InboxId>) {
        if let Some(entry) = entry
            && let Err(error) = self.memory.take_out(entry)
        {
            tracing::error!(?error, "a message that was not stored stays in the inbox");
        }
    }

    fn record(&mut self, body: Body) -> Result<(), Error> {
        let at_ms = self.clock.now_ms();
        self.memory.record(&[NewMessage { at_ms, body, interrupted: false }])?;
        Ok(())
    }

    fn notify(&mut self, notification: Notification) -> Result<(), Error> {
        self.record(Body::Notification { notification })
    }

    /// Messages that could not be stored, and were not sent again with better luck.
    #[must_use]
    pub const fn unstored_messages(&self) -> usize {
        self.unstored.len()
    }

    /// The agent's clock.
    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// The way into the agent's inbox; none for a memory that does not outlive the process.
    pub(super) fn inbox(&self) -> crate::memory::Result<Option<Inbox>> {
        self.memory.inbox()
    }

    /// Closes the agent and gives the engine back, with whatever is in its cache.
    #[must_use]
    pub fn into_engine(self) -> Box<dyn Engine> {
        self.model.into_engine()
    }

    /// Closes the agent and gives the engine back, for an agent whose prompt begins like this one's.
    #[must_use]
    pub fn into_warm(self) -> Warm {
        self.model.into_warm()
    }

    /// The flag that stops this agent's work.
    #[must_use]
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }
}
