//! What grammars share and what grows with their use: the automaton of some grammars with the masks of its states.
//!
//! A graph that is full is closed: no grammar is compiled into it any more, and whoever needs room goes on in its successor,
//! taking along what is alive. The old graph is dropped with its last user.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

use super::automaton::{Automaton, Carried, StateId, Stop};
use super::limits::Limits;
use super::masks::Masks;
use super::trie::TokenTrees;
use crate::inference::Vocab;

/// A graph, used by the grammars and matchers that hold it.
pub(super) type SharedGraph = Arc<Mutex<Graph>>;

/// The graph that a compiler compiles into.
pub(super) type Current = Mutex<SharedGraph>;

/// Length of [`Graph::recent`].
pub(super) const RECENT_SOURCES: usize = 8;
/// Longer texts are not kept, in bytes; a step with a full core memory has a fifth of it.
pub(super) const MAX_RECENT_BYTES: usize = 1 << 18;

/// A vocabulary and what depends on nothing else.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) vocab: Arc<Vocab>,
    trees: OnceLock<TokenTrees>,
    /// Graphs made so far.
    graphs: AtomicU32,
}

impl Tokens {
    pub(super) const fn new(vocab: Arc<Vocab>) -> Self {
        Self { vocab, trees: OnceLock::new(), graphs: AtomicU32::new(0) }
    }

    pub(super) fn trees(&self) -> &TokenTrees {
        self.trees.get_or_init(|| TokenTrees::new(&self.vocab))
    }

    /// Memory held by the trees, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.trees.get().map_or(0, TokenTrees::bytes)
    }

    /// Tells a graph from all others of this vocabulary.
    fn next_graph(&self) -> u32 {
        self.graphs.fetch_add(1, Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub(super) struct Graph {
    pub(super) number: u32,
    pub(super) automaton: Automaton,
    pub(super) masks: Masks,
    /// The texts that were compiled last: an agent whose memory did not change takes its next step under the same one.
    recent: VecDeque<(String, StateId)>,
    is_closed: bool,
    /// Where others went on.
    successor: Weak<Mutex<Self>>,
}

impl Graph {
    pub(super) fn new(tokens: &Tokens, limits: &Limits) -> Self {
        Self::with_automaton(tokens, Automaton::new(limits.clone()), limits.mask_bytes)
    }

    fn with_automaton(tokens: &Tokens, automaton: Automaton, mask_bytes: usize) -> Self {
        Self {
            number: tokens.next_graph(),
            automaton,
            masks: Masks::new(mask_bytes),
            recent: VecDeque::with_capacity(RECENT_SOURCES),
            is_closed: false,
            successor: Weak::new(),
        }
    }

    /// Whether a further grammar finds enough room.
    pub(super) fn takes_grammars(&self) -> bool {
        !self.is_closed && !self.automaton.is_worn()
    }

    pub(super) fn remember(&mut self, source: &str, start: StateId) {
        if source.len() <= MAX_RECENT_BYTES {
            self.recent.truncate(RECENT_SOURCES - 1);
            self.recent.push_front((source.to_owned(), start));
        }
    }

    /// Where the grammar of a text begins that was compiled a short while ago.
    pub(super) fn recent_start(&self, source: &str) -> Option<StateId> {
        self.recent.iter().find(|(text, _)| text == source).map(|(_, start)| *start)
    }

    /// Where others went on when this graph was full, while it is in use.
    pub(super) fn successor(&self) -> Option<SharedGraph> {
        self.successor.upgrade()
    }

    /// Closes this graph; gives back one with the same grammars and no states but those of the texts compiled last.
    pub(super) fn close(&mut self, tokens: &Tokens) -> Result<SharedGraph, Stop> {
        let automaton = self.automaton.renewed()?;
        let mut fresh = Self::with_automaton(tokens, automaton, self.masks.limit_bytes());
        let mut carried = Carried::default();
        for (source, start) in &self.recent {
            if !fresh.automaton.has_room() {
                break;
            }
            // Without its start a text is only compiled again.
            let Ok(start) = fresh.automaton.carry(&self.automaton, *start, &mut carried) else { break };
            fresh.recent.push_back((source.clone(), start));
        }
        let fresh = Arc::new(Mutex::new(fresh));
        self.is_closed = true;
        self.successor = Arc::downgrade(&fresh);
        Ok(fresh)
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let recent: usize = self.recent.iter().map(|(source, _)| source.capacity()).sum();
        size_of::<Self>()
            + recent
            + self.recent.capacity() * size_of::<(String, StateId)>()
            + self.automaton.bytes()
            + self.masks.bytes()
    }
}

pub(super) fn lock(graph: &Mutex<Graph>) -> Result<MutexGuard<'_, Graph>, Stop> {
    graph.lock().map_err(|_| Stop::Broken)
}
