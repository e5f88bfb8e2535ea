//! Grammars that are ready for use, and the matcher that the sampler asks.

mod room;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::automaton::{Automaton, DEAD, Next, StateId, Stop};
use super::compiler::Compiler;
use super::error::Error;
use super::graph::{Current, Graph, SharedGraph, Tokens, lock};
use super::limits::Limits;
use super::mask::Mask;
use super::trie::LONGEST_TOKEN_BYTES;
use crate::inference::{TokenKind, Vocab};
use crate::types::{Constraint, ConstraintError, TokenId};
use room::Past;

/// Forced text is given out in pieces of at most so many bytes, so that no grammar makes a single answer large.
const FORCED_BYTES: usize = 4096;

/// A compiled grammar. Clones share what has been worked out.
#[derive(Debug, Clone)]
pub struct Grammar {
    tokens: Arc<Tokens>,
    /// The graph that its compiler compiles into, which may be the grammar's own.
    current: Weak<Current>,
    home: Arc<Mutex<Home>>,
}

/// Where new matchers of a grammar begin.
#[derive(Debug, Clone)]
struct Home {
    graph: SharedGraph,
    start: StateId,
}

/// What a grammar says of a whole text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The text is in the language.
    Accepted,
    /// The text is the beginning of one in the language.
    Incomplete,
    /// No text that begins like this is in the language.
    Refused {
        /// Offset of the first byte that cannot stand where it does.
        at_byte: usize,
    },
}

impl Grammar {
    pub(super) fn new(tokens: &Arc<Tokens>, current: &Arc<Current>, graph: SharedGraph, start: StateId) -> Self {
        let home = Arc::new(Mutex::new(Home { graph, start }));
        Self { tokens: Arc::clone(tokens), current: Arc::downgrade(current), home }
    }

    /// Compiles GBNF text for one use. Where grammars are made again and again, keep a [`Compiler`].
    ///
    /// # Errors
    /// Everything that [`Error`] lists.
    pub fn compile(source: &str, vocab: &Arc<Vocab>, limits: &Limits) -> Result<Self, Error> {
        Compiler::new(Arc::clone(vocab), limits.clone()).compile(source)
    }

    /// A matcher at the beginning of the text.
    ///
    /// # Errors
    /// The grammar's tables are unusable because another matcher panicked.
    pub fn matcher(&self) -> Result<Matcher, ConstraintError> {
        let Home { graph, start } = self.home();
        let (number, ends) = {
            let graph = lock(&graph)?;
            (graph.number, Ends::of(&graph.automaton, start))
        };
        let (grammar, state) = (self.clone(), start);
        Ok(Matcher { grammar, graph, number, start, state, ends, history: Vec::new(), failed: None })
    }

    /// Judges a whole text without any tokens.
    ///
    /// # Errors
    /// A limit of the matcher was hit.
    pub fn judge(&self, text: &[u8]) -> Result<Verdict, ConstraintError> {
        let mut matcher = self.matcher()?;
        let mut judged = 0;
        while let Some(rest) = text.get(judged..).filter(|rest| !rest.is_empty()) {
            let (state, bytes) = matcher.with_room(|_, graph, state| read(&mut graph.automaton, state, rest))?;
            judged += bytes;
            if state == DEAD {
                return Ok(Verdict::Refused { at_byte: judged });
            }
            matcher.state = state;
        }
        let is_complete = lock(&matcher.graph)?.automaton.is_complete(matcher.state);
        Ok(if is_complete { Verdict::Accepted } else { Verdict::Incomplete })
    }

    /// Number of positions that the grammar was compiled to; those of the compiler's earlier grammars among them.
    ///
    /// # Errors
    /// As [`Grammar::matcher`].
    pub fn position_count(&self) -> Result<usize, ConstraintError> {
        Ok(lock(&self.home().graph)?.automaton.position_count())
    }

    /// Number of states made so far in the graph where new matchers begin, for reports and tests; those of the
    /// compiler's earlier grammars among them.
    ///
    /// # Errors
    /// As [`Grammar::matcher`].
    pub fn state_count(&self) -> Result<usize, ConstraintError> {
        Ok(lock(&self.home().graph)?.automaton.state_count())
    }

    /// Memory held on the heap, in bytes: positions, states, transitions and masks of the graph where new matchers
    /// begin, those of the compiler's earlier grammars among them, and the trees over the vocabulary, which all grammars
    /// share. Exact but for what an allocator adds.
    ///
    /// # Errors
    /// As [`Grammar::matcher`].
    pub fn bytes(&self) -> Result<usize, ConstraintError> {
        Ok(lock(&self.home().graph)?.bytes() + self.tokens.bytes())
    }

    fn home(&self) -> Home {
        // Two words that are set together: a panic cannot leave them half set.
        self.home.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The state behind as much of `text` as there is room for, and how much that is; where the state is dead, the bytes
/// before the one that was refused.
fn read(automaton: &mut Automaton, mut state: StateId, text: &[u8]) -> Result<(StateId, usize), Stop> {
    for (at, byte) in text.iter().enumerate() {
        match automaton.step(state, *byte) {
            Ok(DEAD) => return Ok((DEAD, at)),
            Ok(next) => state = next,
            Err(_) if at > 0 => return Ok((state, at)),
            Err(stop) => return Err(stop),
        }
    }
    Ok((state, text.len()))
}

#[derive(Debug, Clone, Copy)]
struct Ends {
    may: bool,
    must: bool,
}

impl Ends {
    fn of(automaton: &Automaton, state: StateId) -> Self {
        Self { may: automaton.is_complete(state), must: automaton.is_final(state) }
    }
}

/// Follows one generation through a grammar. Cheap to clone; can go back.
///
/// However long the generation, the memory that its states take is bounded: see [`Limits`].
#[derive(Debug, Clone)]
pub struct Matcher {
    grammar: Grammar,
    graph: SharedGraph,
    /// The number of `graph`.
    number: u32,
    /// The state before the first token.
    start: StateId,
    state: StateId,
    ends: Ends,
    history: Vec<Past>,
    failed: Option<ConstraintError>,
}

impl Matcher {
    /// Takes back the last `tokens` tokens.
    ///
    /// # Errors
    /// More tokens than were committed, or an error of before. In a long generation the way to where it goes back may
    /// have to be walked again, which may hit a limit.
    pub fn rollback(&mut self, tokens: usize) -> Result<(), ConstraintError> {
        if tokens == 0 {
            return self.check();
        }
        self.guarded(|matcher| {
            let committed = matcher.history.len();
            let Some(kept) = committed.checked_sub(tokens) else {
                return Err(ConstraintError { reason: format!("cannot take back {tokens} of {committed} tokens") });
            };
            for token in matcher.go_back_before(kept) {
                matcher.advance(token)?;
            }
            matcher.ends = Ends::of(&lock(&matcher.graph)?.automaton, matcher.state);
            Ok(())
        })
    }

    /// Tokens committed and not taken back.
    #[must_use]
    pub const fn committed_tokens(&self) -> usize {
        self.history.len()
    }

    /// The state as a number: among matchers of one grammar, equal numbers have equal futures.
    #[must_use]
    pub const fn state(&self) -> u64 {
        (self.number as u64) << 32 | self.state as u64
    }

    /// Some bytes that may come next, at least one of each kind that the grammar tells apart.
    ///
    /// # Errors
    /// A limit of the matcher was hit.
    pub fn next_bytes(&mut self) -> Result<Vec<u8>, ConstraintError> {
        self.guarded(|matcher| Ok(lock(&matcher.graph)?.automaton.next_bytes(matcher.state)))
    }

    /// All tokens that may come next: exactly those that [`Constraint::allows`] lets through.
    ///
    /// # Errors
    /// A limit of the matcher was hit: the check of some token alone is above it, or all together take more than a few
    /// graphs full of states.
    pub fn mask(&mut self) -> Result<Arc<Mask>, ConstraintError> {
        self.guarded(|matcher| Ok(matcher.work_out_mask()?))
    }

    fn work_out_mask(&mut self) -> Result<Arc<Mask>, Stop> {
        // Not while others wait for the graph.
        self.grammar.tokens.trees();
        let found = self.with_room(|tokens, Graph { automaton, masks, .. }, state| {
            masks.get(automaton, state, &tokens.vocab, tokens.trees())
        });
        if let Err(Stop::Full { .. } | Stop::Wide { .. }) = found {
            let Tokens { vocab, .. } = &*self.grammar.tokens;
            let mut graph = lock(&self.graph)?;
            let Graph { automaton, masks, .. } = &mut *graph;
            return masks.get_patiently(automaton, self.state, vocab, self.grammar.tokens.trees());
        }
        found
    }

    fn check(&self) -> Result<(), ConstraintError> {
        self.failed.as_ref().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Runs `work`; its error, or that of before, is the answer from then on.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, ConstraintError>) -> Result<T, ConstraintError> {
        self.check()?;
        let result = work(self);
        if let Err(error) = &result {
            self.failed = Some(error.clone());
            self.ends = Ends { may: false, must: false };
        }
        result
    }

    /// Takes `token` as generated.
    fn advance(&mut self, token: TokenId) -> Result<(), ConstraintError> {
        let (state, ends) = self.with_room(|tokens, graph, state| {
            let state = behind(&tokens.vocab, &mut graph.automaton, state, token)?;
            Ok((state, Ends::of(&graph.automaton, state)))
        })?;
        if state == DEAD {
            return Err(ConstraintError { reason: format!("token {} is not allowed here", token.0) });
        }
        self.history.push(Past { state: self.state, token });
        self.state = state;
        self.ends = ends;
        Ok(())
    }
}

/// The state behind `token`; dead where it is not allowed. A token that stands for no text comes only where it is named.
fn behind(vocab: &Vocab, automaton: &mut Automaton, state: StateId, token: TokenId) -> Result<StateId, Stop> {
    if vocab.kind(token) == TokenKind::Unused || vocab.is_end_of_generation(token) {
        return Ok(DEAD);
    }
    let is_text = vocab.text_flags().get(token.index()).copied().unwrap_or(false);
    let bytes = vocab.bytes(token);
    let is_spelled = is_text && bytes.len() <= LONGEST_TOKEN_BYTES;
    let spelled = if is_spelled { automaton.walk(state, bytes)? } else { DEAD };
    automaton.take_token(state, token, is_text, spelled)
}

impl Constraint for Matcher {
    fn allows(&mut self, token: TokenId) -> Result<bool, ConstraintError> {
        self.guarded(|matcher| {
            let found = matcher.with_room(|tokens, graph, state| {
                Ok(behind(&tokens.vocab, &mut graph.automaton, state, token)? != DEAD)
            });
            match found {
                // A mask looks at the upper ends of stacks alone, and may still tell.
                Err(Stop::Full { .. } | Stop::Wide { .. }) => Ok(matcher.work_out_mask()?.contains(token)),
                found => Ok(found?),
            }
        })
    }

    fn commit(&mut self, token: TokenId) -> Result<(), ConstraintError> {
        self.guarded(|matcher| matcher.advance(token))
    }

    fn may_end(&self) -> bool {
        self.ends.may
    }

    fn must_end(&self) -> bool {
        self.ends.must
    }

    fn forced_bytes(&mut self) -> Vec<u8> {
        let forced =
            self.guarded(|matcher| Ok(matcher.with_room(|_, graph, state| forced(&mut graph.automaton, state))?));
        forced.unwrap_or_default()
    }

    fn forced_token(&mut self) -> Option<TokenId> {
        let forced = self.guarded(|matcher| {
            Ok(match lock(&matcher.graph)?.automaton.next(matcher.state) {
                Next::Token(id) => Some(id),
                Next::Open | Next::Byte(_) => None,
            })
        });
        forced.ok().flatten()
    }

    fn allowed_tokens(&mut self, allowed: &mut Vec<TokenId>) -> Result<(), ConstraintError> {
        allowed.clear();
        allowed.extend(self.mask()?.tokens());
        Ok(())
    }
}

/// The bytes that must follow, at most [`FORCED_BYTES`].
fn forced(automaton: &mut Automaton, mut state: StateId) -> Result<Vec<u8>, Stop> {
    let mut forced = Vec::new();
    while let Next::Byte(byte) = automaton.next(state) {
        if forced.len() >= FORCED_BYTES {
            break;
        }
        forced.push(byte);
        state = automaton.step(state, byte)?;
    }
    Ok(forced)
}
