//! The agent's own thread: requests come in through one channel, events go out through another, in order.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::memory::Inbox;
use crate::types::{Cancel, Cause, Event, InboxId, StopReason};

use super::agent::Agent;
use super::command::Command;
use super::interrupt::Interrupt;
use super::requests::{Incoming, Request, Requests, Waiting, is_blank};

/// Longest wait for a heartbeat before it is looked anew how long to wait: the clock may have been set, or the machine
/// have slept.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// An event with what brought it about.
#[derive(Debug, Clone, PartialEq)]
pub struct Emitted {
    /// What kind of input.
    pub cause: Cause,
    /// Which input.
    pub seq: Option<u64>,
    /// The event.
    pub event: Event,
}

/// What comes out of the agent's thread.
#[derive(Debug, Clone, PartialEq)]
pub enum Outgoing {
    /// Something to show.
    Event(Emitted),
    /// The request waits until memory passes have looked at so many messages.
    PassesLeft(usize),
    /// A request is answered completely.
    Done,
    /// The agent has left and its database is closed; without this its thread has failed.
    Left {
        /// Messages of the user that could not be stored.
        unstored_messages: usize,
    },
}

/// The two ends that the user interface holds.
#[derive(Debug)]
pub struct Handle {
    /// Requests go in here.
    pub requests: Requests,
    /// What they bring about. Closed when the agent has left.
    pub events: Receiver<Outgoing>,
}

/// Takes what requests bring about.
pub trait Sink {
    /// Something to show.
    fn event(&mut self, cause: Cause, event: Event);

    /// The request waits until memory passes have looked at so many messages.
    fn passes_left(&mut self, _messages: usize) {}
}

impl<F: FnMut(Cause, Event)> Sink for F {
    fn event(&mut self, cause: Cause, event: Event) {
        self(cause, event);
    }
}

/// Moves `agent` to a thread of its own; `ready` is the first event. `idle` is up while no request is being answered:
/// Ctrl-C then leaves the program, as nothing is to be stopped or lost.
#[must_use]
pub fn spawn(agent: Agent, ready: Event, idle: Arc<AtomicBool>) -> Handle {
    let (outgoing, events) = channel();
    let preempt = Cancel::new();
    let waiting = Arc::new(Waiting::new(idle));
    let (requests, incoming, inbox) = Requests::new(&agent, preempt.clone(), Arc::clone(&waiting));
    std::thread::spawn(move || Service { agent, inbox, preempt, waiting, outgoing }.serve(ready, &incoming));
    Handle { requests, events }
}

struct Service {
    agent: Agent,
    inbox: Option<Arc<Mutex<Inbox>>>,
    preempt: Cancel,
    waiting: Arc<Waiting>,
    outgoing: Sender<Outgoing>,
}

impl Service {
    fn serve(mut self, ready: Event, incoming: &Receiver<Incoming>) {
        self.send(Cause::Command, None, ready);
        self.done();
        // What an earlier process left to be done waits for the first request: until then the model only reads.
        let mut asked = false;
        // Whether idle time has brought all that it can until something happens.
        let mut rested = false;
        loop {
            let Incoming { seq, request, entry } = match incoming.try_recv() {
                Ok(input) => input,
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    if !rested && !self.waiting.is_edited() {
                        if !asked {
                            self.agent.read_before_first_turn(&self.preempt);
                        } else if self.work_in_idle_time() {
                            continue;
                        }
                    }
                    rested = true;
                    let due_in = if asked { self.agent.heartbeat_due_in() } else { None };
                    match wait(incoming, due_in, self.agent.state_due_in()) {
                        Ok(Waited::Request(input)) => input,
                        Ok(Waited::InVain) => continue,
                        Ok(Waited::HeartbeatDue) => {
                            self.have_heartbeat();
                            rested = false;
                            continue;
                        }
                        Ok(Waited::StateDue) => {
                            self.agent.save_state();
                            continue;
                        }
                        Err(RecvError) => return,
                    }
                }
            };
            (asked, rested) = (true, false);
            self.preempt.clear();
            let leaving = handle(&mut self.agent, request, entry, &mut Outlet { seq, outgoing: &self.outgoing });
            // Ctrl-C stops the request in which it is pressed, not the next one. Before the request it must not be
            // forgotten: the user may press it before this thread has begun.
            self.agent.cancel().clear();
            self.done();
            self.waiting.remove();
            if leaving {
                // The database is closed before the program may end.
                let unstored_messages = self.agent.unstored_messages();
                self.agent.save_state();
                drop((self.agent, self.inbox));
                let _ = self.outgoing.send(Outgoing::Left { unstored_messages });
                return;
            }
        }
    }

    /// One piece of work while nobody waits; false where there is none, or somebody waits now.
    fn work_in_idle_time(&mut self) -> bool {
        let outgoing = self.outgoing.clone();
        self.agent.work_in_idle_time(&self.preempt, &mut |event| {
            let _ = outgoing.send(Outgoing::Event(Emitted { cause: Cause::Idle, seq: None, event }));
        })
    }

    /// A heartbeat that nobody has asked for; a request that comes in stops it. While the user is at work there is none:
    /// the next one is due an interval later.
    fn have_heartbeat(&mut self) {
        self.agent.note_activity();
        let cancel = self.agent.cancel().clone();
        let (agent, mut sink) = (&mut self.agent, Outlet { seq: None, outgoing: &self.outgoing });
        self.waiting.give_way(&cancel, || timed_heartbeat(agent, &mut sink));
    }

    fn send(&self, cause: Cause, seq: Option<u64>, event: Event) {
        // A user interface that is gone wants no events; what they would show is stored already.
        let _ = self.outgoing.send(Outgoing::Event(Emitted { cause, seq, event }));
    }

    fn done(&self) {
        let _ = self.outgoing.send(Outgoing::Done);
    }
}

/// How a wait ended.
enum Waited {
    Request(Incoming),
    HeartbeatDue,
    StateDue,
    InVain,
}

/// Waits for a request, or until a heartbeat or the saving of the conversation's state is due.
fn wait(
    incoming: &Receiver<Incoming>,
    heartbeat_in: Option<Duration>,
    state_in: Option<Duration>,
) -> Result<Waited, RecvError> {
    if heartbeat_in.is_some_and(|due_in| due_in.is_zero()) {
        return Ok(Waited::HeartbeatDue);
    }
    if state_in.is_some_and(|due_in| due_in.is_zero()) {
        return Ok(Waited::StateDue);
    }
    let Some(due_in) = heartbeat_in.into_iter().chain(state_in).min() else {
        return incoming.recv().map(Waited::Request);
    };
    match incoming.recv_timeout(due_in.min(LONGEST_WAIT)) {
        Ok(input) => Ok(Waited::Request(input)),
        Err(RecvTimeoutError::Timeout) => Ok(Waited::InVain),
        Err(RecvTimeoutError::Disconnected) => Err(RecvError),
    }
}

/// The channel to the user interface, for the events of one request.
struct Outlet<'a> {
    seq: Option<u64>,
    outgoing: &'a Sender<Outgoing>,
}

impl Sink for Outlet<'_> {
    fn event(&mut self, cause: Cause, event: Event) {
        // Nothing that works by itself has an input line.
        let seq = self.seq.filter(|_| cause != Cause::Idle);
        let _ = self.outgoing.send(Outgoing::Event(Emitted { cause, seq, event }));
    }

    fn passes_left(&mut self, messages: usize) {
        let _ = self.outgoing.send(Outgoing::PassesLeft(messages));
    }
}

/// Answers one request, whose text is kept as `entry` if it is a message; true when the agent is to leave.
pub fn handle(agent: &mut Agent, request: Request, entry: Option<InboxId>, sink: &mut dyn Sink) -> bool {
    let leaves = answer(agent, request, entry, sink);
    agent.note_activity();
    leaves
}

fn answer(agent: &mut Agent, request: Request, entry: Option<InboxId>, sink: &mut dyn Sink) -> bool {
    match request {
        Request::User { text } if is_blank(&text) => {
            refuse_message(agent, "the message is empty", "type a message, or /help", sink);
            false
        }
        Request::User { text } => {
            take_turn(agent, Interrupt::User { text, entry }, Cause::User, sink);
            false
        }
        Request::Unreadable { reason } => {
            refuse_message(agent, &reason, "write the line in UTF-8 and send it again", sink);
            false
        }
        Request::Greet => {
            take_turn(agent, Interrupt::Login, Cause::Timer, sink);
            false
        }
        Request::Command { text } => match Command::parse(&text) {
            Ok(command) => run_command(agent, &command, sink),
            Err(error) => {
                let (message, hint) = (error.to_string(), error.hint());
                sink.event(Cause::Command, Event::Error { message, hint, message_stored: None });
                false
            }
        },
        Request::Block { label } => {
            settle_memory(agent, sink);
            sink.event(Cause::Command, agent.block(label));
            false
        }
        Request::Swap { text } => {
            sink.event(Cause::Command, agent.swap(&text));
            false
        }
        Request::EditBlock { label, before, after } => {
            sink.event(Cause::Command, agent.edit_block(label, &before, &after));
            false
        }
        Request::Exit => run_command(agent, &Command::Exit, sink),
    }
}

/// Lets the agent have a heartbeat of its own, which is due: see [`Agent::heartbeat_due_in`].
pub fn timed_heartbeat(agent: &mut Agent, sink: &mut dyn Sink) {
    if let Some(interrupt) = agent.interrupt_of(&Command::Heartbeat) {
        agent.give_way(true);
        take_turn(agent, interrupt, Cause::Timer, sink);
        agent.give_way(false);
    }
}

fn run_command(agent: &mut Agent, command: &Command, sink: &mut dyn Sink) -> bool {
    if command.needs_settled_memory() {
        settle_memory(agent, sink);
    }
    let stop_reason = agent.interrupt_of(command).map(|interrupt| take_turn(agent, interrupt, Cause::Command, sink));
    let event = match stop_reason {
        None | Some(StopReason::Answer) => agent.command(command),
        Some(StopReason::StepLimit) => Event::Notice { text: "The agent used up its steps.".to_owned() },
        Some(StopReason::Interrupted) => Event::Notice { text: "Stopped.".to_owned() },
        Some(StopReason::Error) => Event::Notice { text: "That did not work.".to_owned() },
    };
    sink.event(Cause::Command, event);
    *command == Command::Exit
}

fn take_turn(agent: &mut Agent, interrupt: Interrupt, cause: Cause, sink: &mut dyn Sink) -> StopReason {
    if cause == Cause::Command
        && matches!(interrupt, Interrupt::Heartbeat { .. })
        && let Err(error) = agent.begin_new_way()
    {
        // The turn fails in the same way, and says so.
        tracing::error!(?error, "beginning a turn");
    }
    let report = agent.turn(interrupt, &mut |event| sink.event(cause, event));
    for event in agent.take_idle_events() {
        sink.event(Cause::Idle, event);
    }
    if agent.waits_for_idle() {
        settle_memory(agent, sink);
        let cancel = agent.cancel().clone();
        agent.embed_in_turn(&cancel, &mut |event| sink.event(Cause::Idle, event));
        agent.work_ahead(&cancel, &mut |event| sink.event(Cause::Idle, event));
    }
    let report = agent.with_idle_cost(report);
    let stop_reason = report.stop_reason;
    sink.event(cause, Event::Turn(report));
    stop_reason
}

/// Looks at every message that has not been looked at; Ctrl-C leaves the rest for another time.
fn settle_memory(agent: &mut Agent, sink: &mut dyn Sink) {
    let cancel = agent.cancel().clone();
    loop {
        sink.passes_left(agent.passes_left());
        if !agent.memory_pass(&cancel, &mut |event| sink.event(Cause::Idle, event)) {
            return;
        }
    }
}

/// A message that cannot be taken still gets its turn, so that scripts can count on one.
fn refuse_message(agent: &Agent, reason: &str, hint: &str, sink: &mut dyn Sink) {
    let (message, hint) = (reason.to_owned(), hint.to_owned());
    sink.event(Cause::User, Event::Error { message, hint, message_stored: Some(false) });
    sink.event(Cause::User, Event::Turn(agent.empty_report(StopReason::Error)));
}
