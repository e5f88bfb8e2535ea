//! The agent's own thread: requests come in through one channel, events go out through another, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use crate::types::{Cancel, Cause, Event, StopReason};

use super::agent::Agent;
use super::command::{self, Command};
use super::interrupt::Interrupt;

/// What the user interface asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The user said something.
    User {
        /// The text as typed.
        text: String,
    },
    /// The user typed a command.
    Command {
        /// The text as typed.
        text: String,
    },
    /// The agent speaks first.
    Greet,
    /// The input could not be read as text; it is answered with an error.
    Unreadable {
        /// Why.
        reason: String,
    },
    /// Save and leave.
    Exit,
}

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
    /// A request is answered completely.
    Done,
    /// The agent has left; without this its thread has failed.
    Left,
}

/// The two ends that the user interface holds.
#[derive(Debug)]
pub struct Handle {
    /// Requests go in here.
    pub requests: Requests,
    /// What they bring about. Closed when the agent has left.
    pub events: Receiver<Outgoing>,
}

/// The way in. A request that comes in stops the work of idle time at once.
#[derive(Debug, Clone)]
pub struct Requests {
    sender: Sender<(Option<u64>, Request)>,
    preempt: Cancel,
    waiting: Arc<Waiting>,
}

/// Who waits for whom.
#[derive(Debug)]
struct Waiting {
    /// Requests that are not answered yet.
    requests: AtomicUsize,
    /// Up while there are none: Ctrl-C then leaves the program, as nothing is to be stopped or lost.
    idle: Arc<AtomicBool>,
}

impl Waiting {
    fn add(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.idle.store(false, Ordering::SeqCst);
    }

    fn remove(&self) {
        if self.requests.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.idle.store(true, Ordering::SeqCst);
            // One may have come in between.
            if self.requests.load(Ordering::SeqCst) > 0 {
                self.idle.store(false, Ordering::SeqCst);
            }
        }
    }
}

impl Requests {
    /// Hands over a request with the number of its input line; false where the agent has left.
    #[must_use]
    pub fn send(&self, seq: Option<u64>, request: Request) -> bool {
        self.waiting.add();
        self.preempt.raise();
        self.sender.send((seq, request)).is_ok()
    }
}

/// Moves `agent` to a thread of its own; `ready` is the first event. `idle` is up while no request is being answered:
/// Ctrl-C then leaves the program, as nothing is to be stopped or lost.
#[must_use]
pub fn spawn(agent: Agent, ready: Event, idle: Arc<AtomicBool>) -> Handle {
    let (sender, incoming) = channel();
    let (outgoing, events) = channel();
    let preempt = Cancel::new();
    let waiting = Arc::new(Waiting { requests: AtomicUsize::new(0), idle });
    let requests = Requests { sender, preempt: preempt.clone(), waiting: Arc::clone(&waiting) };
    std::thread::spawn(move || Service { agent, preempt, waiting, outgoing }.serve(ready, &incoming));
    Handle { requests, events }
}

struct Service {
    agent: Agent,
    preempt: Cancel,
    waiting: Arc<Waiting>,
    outgoing: Sender<Outgoing>,
}

impl Service {
    fn serve(mut self, ready: Event, incoming: &Receiver<(Option<u64>, Request)>) {
        self.send(Cause::Command, None, ready);
        self.done();
        // What an earlier process left to be done waits for the first request: until then the model runs nothing.
        let mut asked = false;
        loop {
            let (seq, request) = match incoming.try_recv() {
                Ok(input) => input,
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    if asked && self.work_in_idle_time() {
                        continue;
                    }
                    match incoming.recv() {
                        Ok(input) => input,
                        Err(_) => return,
                    }
                }
            };
            asked = true;
            self.preempt.clear();
            // Ctrl-C stops the request in which it is pressed, not the next one.
            self.agent.cancel().clear();
            let outgoing = self.outgoing.clone();
            let leaving = handle(&mut self.agent, request, &mut |cause, event| {
                // Nothing that works by itself has an input line.
                let seq = seq.filter(|_| cause != Cause::Idle);
                let _ = outgoing.send(Outgoing::Event(Emitted { cause, seq, event }));
            });
            self.done();
            self.waiting.remove();
            if leaving {
                let _ = self.outgoing.send(Outgoing::Left);
                return;
            }
        }
    }

    /// One piece of work while nobody waits; false where there is none, or somebody waits now.
    fn work_in_idle_time(&mut self) -> bool {
        let outgoing = self.outgoing.clone();
        self.agent.memory_pass(&self.preempt, &mut |event| {
            let _ = outgoing.send(Outgoing::Event(Emitted { cause: Cause::Idle, seq: None, event }));
        })
    }

    fn send(&self, cause: Cause, seq: Option<u64>, event: Event) {
        // A user interface that is gone wants no events; what they would show is stored already.
        let _ = self.outgoing.send(Outgoing::Event(Emitted { cause, seq, event }));
    }

    fn done(&self) {
        let _ = self.outgoing.send(Outgoing::Done);
    }
}

/// Answers one request; true when the agent is to leave.
pub fn handle(agent: &mut Agent, request: Request, emit: &mut dyn FnMut(Cause, Event)) -> bool {
    match request {
        Request::User { text } if text.trim().is_empty() => {
            refuse_message(agent, "the message is empty", emit);
            false
        }
        Request::User { text } => {
            take_turn(agent, Interrupt::User { text }, Cause::User, emit);
            false
        }
        Request::Unreadable { reason } => {
            refuse_message(agent, &reason, emit);
            false
        }
        Request::Greet => {
            take_turn(agent, Interrupt::Login, Cause::Timer, emit);
            false
        }
        Request::Command { text } => match Command::parse(&text) {
            Ok(command) => run_command(agent, &command, emit),
            Err(message) => {
                let hint = format!("commands:\n{}", command::help());
                emit(Cause::Command, Event::Error { message, hint, message_stored: None });
                false
            }
        },
        Request::Exit => run_command(agent, &Command::Exit, emit),
    }
}

fn run_command(agent: &mut Agent, command: &Command, emit: &mut dyn FnMut(Cause, Event)) -> bool {
    if command.needs_settled_memory() {
        settle_memory(agent, emit);
    }
    let stop_reason = agent.interrupt_of(command).map(|interrupt| take_turn(agent, interrupt, Cause::Command, emit));
    let event = match stop_reason {
        None | Some(StopReason::Answer) => agent.command(command),
        Some(StopReason::StepLimit) => Event::Notice { text: "The agent used up its steps.".to_owned() },
        Some(StopReason::Interrupted) => Event::Notice { text: "Stopped.".to_owned() },
        Some(StopReason::Error) => Event::Notice { text: "That did not work.".to_owned() },
    };
    emit(Cause::Command, event);
    *command == Command::Exit
}

fn take_turn(agent: &mut Agent, interrupt: Interrupt, cause: Cause, emit: &mut dyn FnMut(Cause, Event)) -> StopReason {
    let report = agent.turn(interrupt, &mut |event| emit(cause, event));
    for event in agent.take_idle_events() {
        emit(Cause::Idle, event);
    }
    if agent.waits_for_idle() {
        settle_memory(agent, emit);
    }
    let report = agent.with_idle_cost(report);
    let stop_reason = report.stop_reason;
    emit(cause, Event::Turn(report));
    stop_reason
}

/// Looks at every message that has not been looked at; Ctrl-C leaves the rest for another time.
fn settle_memory(agent: &mut Agent, emit: &mut dyn FnMut(Cause, Event)) {
    let cancel = agent.cancel().clone();
    while agent.memory_pass(&cancel, &mut |event| emit(Cause::Idle, event)) {}
}

/// A message that cannot be taken still gets its turn, so that scripts can count on one.
fn refuse_message(agent: &Agent, reason: &str, emit: &mut dyn FnMut(Cause, Event)) {
    let (message, hint) = (reason.to_owned(), "type a message, or /help".to_owned());
    emit(Cause::User, Event::Error { message, hint, message_stored: Some(false) });
    emit(Cause::User, Event::Turn(agent.empty_report(StopReason::Error)));
}
