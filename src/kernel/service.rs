//! The agent's own thread: requests come in through one channel, events go out through another, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::types::{Cause, Event, StopReason};

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
}

/// The two ends that the user interface holds.
#[derive(Debug)]
pub struct Handle {
    /// Requests with the number of their input line.
    pub requests: Sender<(Option<u64>, Request)>,
    /// What they bring about. Closed when the agent has left.
    pub events: Receiver<Outgoing>,
}

/// Moves `agent` to a thread of its own; `ready` is the first event. `idle` is up while no request is being answered:
/// Ctrl-C then leaves the program, as nothing is to be stopped or lost.
#[must_use]
pub fn spawn(agent: Agent, ready: Event, idle: Arc<AtomicBool>) -> Handle {
    let (requests, incoming) = channel();
    let (outgoing, events) = channel();
    std::thread::spawn(move || serve(agent, ready, &idle, &incoming, &outgoing));
    Handle { requests, events }
}

fn serve(
    mut agent: Agent,
    ready: Event,
    idle: &AtomicBool,
    incoming: &Receiver<(Option<u64>, Request)>,
    outgoing: &Sender<Outgoing>,
) {
    let send = |cause, seq, event| {
        // A user interface that is gone wants no events; what they would show is stored already.
        let _ = outgoing.send(Outgoing::Event(Emitted { cause, seq, event }));
    };
    send(Cause::Command, None, ready);
    let _ = outgoing.send(Outgoing::Done);
    for (seq, request) in incoming {
        idle.store(false, Ordering::Relaxed);
        let leaving = handle(&mut agent, request, &mut |cause, event| send(cause, seq, event));
        idle.store(true, Ordering::Relaxed);
        let _ = outgoing.send(Outgoing::Done);
        if leaving {
            return;
        }
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
            agent.turn(Interrupt::User { text }, &mut |event| emit(Cause::User, event));
            false
        }
        Request::Unreadable { reason } => {
            refuse_message(agent, &reason, emit);
            false
        }
        Request::Greet => {
            agent.turn(Interrupt::Login, &mut |event| emit(Cause::Timer, event));
            false
        }
        Request::Command { text } => match Command::parse(&text) {
            Ok(command) => agent.command(&command, &mut |event| emit(Cause::Command, event)),
            Err(message) => {
                emit(Cause::Command, Event::Error { message, hint: format!("commands:\n{}", command::help()) });
                false
            }
        },
        Request::Exit => agent.command(&Command::Exit, &mut |event| emit(Cause::Command, event)),
    }
}

/// A message that cannot be taken still gets its turn, so that scripts can count on one.
fn refuse_message(agent: &Agent, reason: &str, emit: &mut dyn FnMut(Cause, Event)) {
    emit(Cause::User, Event::Error { message: reason.to_owned(), hint: "type a message, or /help".to_owned() });
    emit(Cause::User, Event::Turn(agent.empty_report(StopReason::Error)));
}
