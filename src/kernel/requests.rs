//! The way to the agent's thread: what can be asked for, who waits, and the inbox in which messages wait.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::memory::{BlockLabel, Inbox};
use crate::types::{Cancel, Clock, InboxId};

use super::agent::Agent;

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
    /// The user wants to edit a block of core memory: its text is asked for.
    Block {
        /// Which block.
        label: BlockLabel,
    },
    /// The user wants to swap the system instructions and is to be asked: those that hold and those that are to hold
    /// are asked for.
    Swap {
        /// What `/systemswap` was given.
        text: String,
    },
    /// The user has edited a block of core memory.
    EditBlock {
        /// Which block.
        label: BlockLabel,
        /// Its text when the editing began.
        before: String,
        /// Its text now.
        after: String,
    },
    /// Save and leave.
    Exit,
}

/// The way in. A request that comes in stops the work of idle time at once.
#[derive(Clone)]
pub struct Requests {
    sender: Sender<Incoming>,
    preempt: Cancel,
    /// Stops a turn.
    cancel: Cancel,
    waiting: Arc<Waiting>,
    /// Keeps messages until the agent's thread takes them; none for a memory that does not outlive the process, and once
    /// the agent has left, which closes the database.
    inbox: Weak<Mutex<Inbox>>,
    clock: Arc<dyn Clock>,
}

/// A request on its way to the agent's thread.
pub(super) struct Incoming {
    pub(super) seq: Option<u64>,
    pub(super) request: Request,
    /// Where the text of a message is kept.
    pub(super) entry: Option<InboxId>,
}

/// Who waits for whom.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Requests that are not answered yet.
    requests: AtomicUsize,
    /// Up while there are none and the user is in no editor: Ctrl-C then leaves the program, as nothing is to be stopped
    /// or lost.
    idle: Arc<AtomicBool>,
    /// Whether a turn runs that nobody has asked for: it gives way to the next request.
    gives_way: Mutex<bool>,
    /// The user is at work without a request.
    editing: AtomicBool,
}

/// Says that the user is in an editor, which has the screen and may change core memory: nothing that nobody has asked
/// for is done meanwhile, and Ctrl-C is the editor's.
#[derive(Debug, Clone)]
pub struct Busy(Arc<Waiting>);

impl Busy {
    /// Another program gets the screen, or gives it back.
    pub fn set_editing(&self, editing: bool) {
        self.0.editing.store(editing, Ordering::SeqCst);
        self.0.note_idle();
    }
}

impl Waiting {
    pub(super) fn new(idle: Arc<AtomicBool>) -> Self {
        Self { requests: AtomicUsize::new(0), idle, gives_way: Mutex::new(false), editing: AtomicBool::new(false) }
    }

    /// Whether the user is in an editor.
    pub(super) fn is_edited(&self) -> bool {
        self.editing.load(Ordering::SeqCst)
    }

    /// Runs `turn` unless a request waits or the user is at work; one that comes in meanwhile raises `cancel`, which is down again afterwards.
    pub(super) fn give_way(&self, cancel: &Cancel, turn: impl FnOnce()) {
        let gives_way = |running: bool| {
            let mut gives_way = self.gives_way.lock().unwrap_or_else(PoisonError::into_inner);
            *gives_way = running;
            // Under the lock: a request that is on its way must not find the flag raised that was meant for this turn.
            cancel.clear();
        };
        gives_way(true);
        if self.requests.load(Ordering::SeqCst) == 0 && !self.is_edited() {
            turn();
        }
        gives_way(false);
    }

    fn stop_what_gives_way(&self, cancel: &Cancel) {
        if *self.gives_way.lock().unwrap_or_else(PoisonError::into_inner) {
            cancel.raise();
        }
    }

    fn add(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.idle.store(false, Ordering::SeqCst);
    }

    pub(super) fn remove(&self) {
        if self.requests.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.note_idle();
        }
    }

    fn note_idle(&self) {
        let is_idle = || self.requests.load(Ordering::SeqCst) == 0 && !self.is_edited();
        self.idle.store(is_idle(), Ordering::SeqCst);
        // A request may have come in between.
        if !is_idle() {
            self.idle.store(false, Ordering::SeqCst);
        }
    }
}

impl Requests {
    /// The way in, its other end, and the inbox, which is open as long as the agent's thread holds it.
    pub(super) fn new(
        agent: &Agent,
        preempt: Cancel,
        waiting: Arc<Waiting>,
    ) -> (Self, Receiver<Incoming>, Option<Arc<Mutex<Inbox>>>) {
        let inbox = agent.inbox().unwrap_or_else(|error| {
            tracing::error!(?error, "messages that wait are not kept");
            None
        });
        let (sender, incoming) = channel();
        let inbox = inbox.map(|inbox| Arc::new(Mutex::new(inbox)));
        let way_in = inbox.as_ref().map_or_else(Weak::new, Arc::downgrade);
        let (cancel, clock) = (agent.cancel().clone(), agent.clock());
        (Self { sender, preempt, cancel, waiting, inbox: way_in, clock }, incoming, inbox)
    }

    /// By which the user interface says that the user is at work.
    #[must_use]
    pub fn busy(&self) -> Busy {
        Busy(Arc::clone(&self.waiting))
    }

    /// Hands over a request with the number of its input line; false where the agent has left. A message of the user is
    /// stored before this returns, however long it waits for its turn.
    #[must_use]
    pub fn send(&self, seq: Option<u64>, request: Request) -> bool {
        self.waiting.add();
        self.preempt.raise();
        self.waiting.stop_what_gives_way(&self.cancel);
        let entry = self.keep(&request);
        self.sender.send(Incoming { seq, request, entry }).is_ok()
    }

    fn keep(&self, request: &Request) -> Option<InboxId> {
        let Request::User { text } = request else { return None };
        if is_blank(text) {
            return None;
        }
        let inbox = self.inbox.upgrade()?;
        let inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner);
        // The turn tries again, and tells the user where it fails as well.
        inbox.put(text, self.clock.now_ms()).inspect_err(|error| tracing::error!(?error, "keeping a message")).ok()
    }
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Requests").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

/// Whether a message says nothing.
pub(super) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}
