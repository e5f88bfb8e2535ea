//! Grammars that are ready for use, and the matcher that the sampler asks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::automaton::{Automaton, DEAD, Next, StateId};
use super::check::check;
use super::compile::compile;
use super::error::Error;
use super::gbnf::parse;
use super::ir::Ir;
use super::lazy::{self, Trigger};
use super::limits::Limits;
use super::mask::Mask;
use super::masks::Masks;
use super::trie::{LONGEST_TOKEN_BYTES, TokenTrees};
use crate::inference::{TokenKind, Vocab};
use crate::types::{Constraint, ConstraintError, TokenId};

/// Forced text is given out in pieces of at most so many bytes, so that no grammar makes a single answer large.
const FORCED_BYTES: usize = 4096;

/// Compiles grammars for one vocabulary. Keep it as long as the vocabulary: the trees over all tokens, which masks
/// need, are built once in it, with the first mask; and what was worked out for one grammar serves all later ones that
/// have the same parts.
#[derive(Debug, Clone)]
pub struct Compiler {
    tokens: Arc<Tokens>,
    limits: Limits,
    graph: Arc<Mutex<Arc<Mutex<Graph>>>>,
}

#[derive(Debug)]
struct Tokens {
    vocab: Arc<Vocab>,
    trees: OnceLock<TokenTrees>,
}

impl Tokens {
    fn trees(&self) -> &TokenTrees {
        self.trees.get_or_init(|| TokenTrees::new(&self.vocab))
    }
}

/// What grows with use: the automaton of some grammars and the masks of its states.
#[derive(Debug)]
struct Graph {
    automaton: Automaton,
    masks: Masks,
    /// The texts that were compiled last: an agent whose memory did not change takes its next step under the same one.
    recent: VecDeque<(String, StateId)>,
}

/// Length of [`Graph::recent`].
const RECENT_SOURCES: usize = 8;
/// Longer texts are not kept, in bytes; a step with a full core memory has a fifth of it.
const MAX_RECENT_BYTES: usize = 1 << 18;

impl Graph {
    fn new(limits: &Limits) -> Self {
        Self {
            automaton: Automaton::new(limits.clone()),
            masks: Masks::new(limits.masks),
            recent: VecDeque::with_capacity(RECENT_SOURCES),
        }
    }

    fn remember(&mut self, source: &str, start: StateId) {
        if source.len() <= MAX_RECENT_BYTES {
            self.recent.truncate(RECENT_SOURCES - 1);
            self.recent.push_front((source.to_owned(), start));
        }
    }
}

impl Compiler {
    /// A compiler for `vocab`.
    #[must_use]
    pub fn new(vocab: Arc<Vocab>, limits: Limits) -> Self {
        let graph = Arc::new(Mutex::new(Graph::new(&limits)));
        let tokens = Arc::new(Tokens { vocab, trees: OnceLock::new() });
        Self { tokens, limits, graph: Arc::new(Mutex::new(graph)) }
    }

    /// Builds the trees over all tokens now rather than with the first mask (tens of milliseconds).
    pub fn warm_up(&self) {
        self.tokens.trees();
    }

    /// A compiler that shares the trees over all tokens with this one and nothing else, to measure what the first use of
    /// a grammar costs.
    #[must_use]
    pub fn forget(&self) -> Self {
        let graph = Arc::new(Mutex::new(Graph::new(&self.limits)));
        Self { tokens: Arc::clone(&self.tokens), limits: self.limits.clone(), graph: Arc::new(Mutex::new(graph)) }
    }

    /// Compiles GBNF text.
    ///
    /// # Errors
    /// Everything that [`Error`] lists.
    pub fn compile(&self, source: &str) -> Result<Grammar, Error> {
        if let Some(known) = self.known(source) {
            return Ok(known);
        }
        let ir = parse(source, &self.tokens.vocab, &self.limits)?;
        let grammar = self.compile_checked(&ir, &check(&ir, source)?, &[])?;
        if let Ok(mut graph) = grammar.lock() {
            graph.remember(source, grammar.start);
        }
        Ok(grammar)
    }

    /// The grammar of a text that was compiled a short while ago.
    fn known(&self, source: &str) -> Option<Grammar> {
        let current = Arc::clone(&*self.graph.lock().ok()?);
        let graph = current.lock().ok().filter(|graph| !graph.automaton.is_worn())?;
        let (_, start) = graph.recent.iter().find(|(text, _)| text == source)?;
        let start = *start;
        drop(graph);
        Some(Grammar { tokens: Arc::clone(&self.tokens), graph: current, start })
    }

    /// Compiles a grammar that a program made, a JSON Schema for instance.
    ///
    /// # Errors
    /// Those of [`Error`] that are not about the text; their places are empty.
    pub fn compile_ir(&self, ir: &Ir) -> Result<Grammar, Error> {
        // A group in GBNF text is up to three expressions: alternatives of sequences of repetitions.
        ir.validate(3 * (self.limits.nesting + 1), &self.tokens.vocab)?;
        self.compile_checked(ir, &check(ir, "")?, &[])
    }

    /// Compiles GBNF text into a lazy grammar: any text until the first of the `triggers`, and from it on what the grammar
    /// says. The grammar has texts that begin with each trigger; before it, generation may end anywhere.
    ///
    /// # Errors
    /// Everything that [`Error`] lists.
    pub fn compile_lazy(&self, source: &str, triggers: &[Trigger]) -> Result<Grammar, Error> {
        lazy::check(triggers, &self.tokens.vocab)?;
        let ir = parse(source, &self.tokens.vocab, &self.limits)?;
        self.compile_checked(&ir, &check(&ir, source)?, triggers)
    }

    /// Compiles into the graph of the grammars before, or into a fresh one where that is worn or was left broken: old
    /// grammars keep theirs.
    fn compile_checked(&self, ir: &Ir, nullable: &[bool], triggers: &[Trigger]) -> Result<Grammar, Error> {
        let mut current = self.graph.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = match current.lock() {
            Ok(graph) => !graph.automaton.is_worn(),
            Err(_) => false,
        };
        if is_fresh && let Ok(start) = Self::start(&current, ir, nullable, triggers, &self.limits) {
            return Ok(Grammar { tokens: Arc::clone(&self.tokens), graph: Arc::clone(&current), start });
        }
        let graph = Arc::new(Mutex::new(Graph::new(&self.limits)));
        let start = Self::start(&graph, ir, nullable, triggers, &self.limits)?;
        *current = Arc::clone(&graph);
        drop(current);
        Ok(Grammar { tokens: Arc::clone(&self.tokens), graph, start })
    }

    fn start(
        graph: &Mutex<Graph>,
        ir: &Ir,
        nullable: &[bool],
        triggers: &[Trigger],
        limits: &Limits,
    ) -> Result<StateId, Error> {
        let mut graph = graph.lock().unwrap_or_else(PoisonError::into_inner);
        let automaton = &mut graph.automaton;
        let too_wide = |_| Error::Limit {
            what: "parses before the first character",
            found: limits.parses + 1,
            limit: limits.parses,
        };
        let root = compile(ir, nullable, automaton.program_mut());
        automaton.widen_rows();
        let start = automaton.start(root?).map_err(too_wide)?;
        if triggers.is_empty() {
            return Ok(start);
        }
        let behind = triggers.iter().map(|trigger| trigger.behind(automaton, start)).collect::<Result<Vec<_>, _>>();
        let root = lazy::compile(triggers, &behind.map_err(too_wide)?, automaton.program_mut());
        automaton.widen_rows();
        automaton.start(root?).map_err(too_wide)
    }
}

/// A compiled grammar. Clones share what has been worked out.
#[derive(Debug, Clone)]
pub struct Grammar {
    tokens: Arc<Tokens>,
    graph: Arc<Mutex<Graph>>,
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
        let graph = self.lock()?;
        let state = self.start;
        let ends = Ends::of(&graph.automaton, state);
        drop(graph);
        Ok(Matcher { grammar: self.clone(), state, ends, history: Vec::new(), failed: None })
    }

    /// Judges a whole text without any tokens.
    ///
    /// # Errors
    /// A limit of the matcher was hit.
    pub fn judge(&self, text: &[u8]) -> Result<Verdict, ConstraintError> {
        let mut graph = self.lock()?;
        let mut state = self.start;
        for (at_byte, byte) in text.iter().enumerate() {
            state = graph.automaton.step(state, *byte)?;
            if state == DEAD {
                return Ok(Verdict::Refused { at_byte });
            }
        }
        Ok(if graph.automaton.is_complete(state) { Verdict::Accepted } else { Verdict::Incomplete })
    }

    /// Number of states made so far, for reports and tests; those of the compiler's earlier grammars among them.
    ///
    /// # Errors
    /// As [`Grammar::matcher`].
    pub fn state_count(&self) -> Result<usize, ConstraintError> {
        Ok(self.lock()?.automaton.state_count())
    }

    /// Estimate of the memory held, in bytes: positions, states, transitions and masks, those of the compiler's earlier
    /// grammars among them, and the trees over the vocabulary, which all grammars share.
    ///
    /// # Errors
    /// As [`Grammar::matcher`].
    pub fn bytes(&self) -> Result<usize, ConstraintError> {
        let graph = self.lock()?;
        let trees = self.tokens.trees.get().map_or(0, TokenTrees::bytes);
        Ok(graph.automaton.bytes() + graph.masks.bytes() + trees)
    }

    fn lock(&self) -> Result<MutexGuard<'_, Graph>, ConstraintError> {
        self.graph.lock().map_err(|_| ConstraintError { reason: "another matcher of this grammar panicked".into() })
    }
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
#[derive(Debug, Clone)]
pub struct Matcher {
    grammar: Grammar,
    state: StateId,
    ends: Ends,
    history: Vec<StateId>,
    failed: Option<ConstraintError>,
}

impl Matcher {
    /// Takes back the last `tokens` tokens.
    ///
    /// # Errors
    /// More tokens than were committed, or an error of before.
    pub fn rollback(&mut self, tokens: usize) -> Result<(), ConstraintError> {
        if tokens == 0 {
            return self.check();
        }
        self.guarded(|matcher| {
            let committed = matcher.history.len();
            let kept = committed.checked_sub(tokens);
            let Some((kept, state)) = kept.and_then(|kept| Some((kept, *matcher.history.get(kept)?))) else {
                return Err(ConstraintError { reason: format!("cannot take back {tokens} of {committed} tokens") });
            };
            matcher.history.truncate(kept);
            matcher.state = state;
            matcher.ends = Ends::of(&matcher.grammar.lock()?.automaton, state);
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
    pub const fn state(&self) -> u32 {
        self.state
    }

    /// Some bytes that may come next, at least one of each kind that the grammar tells apart.
    ///
    /// # Errors
    /// A limit of the matcher was hit.
    pub fn next_bytes(&mut self) -> Result<Vec<u8>, ConstraintError> {
        self.guarded(|matcher| Ok(matcher.grammar.lock()?.automaton.next_bytes(matcher.state)))
    }

    /// All tokens that may come next.
    ///
    /// # Errors
    /// A limit of the matcher was hit.
    pub fn mask(&mut self) -> Result<Arc<Mask>, ConstraintError> {
        self.guarded(|matcher| {
            let tokens = &matcher.grammar.tokens;
            let trees = tokens.trees();
            let mut graph = matcher.grammar.lock()?;
            let Graph { automaton, masks, .. } = &mut *graph;
            masks.get(automaton, matcher.state, &tokens.vocab, trees)
        })
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

    /// The state behind `token`; dead where it is not allowed.
    fn behind(&self, automaton: &mut Automaton, token: TokenId) -> Result<StateId, ConstraintError> {
        let vocab = &self.grammar.tokens.vocab;
        let is_text = match vocab.kind(token) {
            TokenKind::Text => true,
            TokenKind::Control => false,
            TokenKind::Unused => return Ok(DEAD),
        };
        let bytes = vocab.bytes(token);
        if vocab.is_end_of_generation(token) || (is_text && (bytes.is_empty() || bytes.len() > LONGEST_TOKEN_BYTES)) {
            return Ok(DEAD);
        }
        let spelled = if is_text { automaton.walk(self.state, bytes)? } else { DEAD };
        automaton.take_token(self.state, token, is_text, spelled)
    }
}

impl Constraint for Matcher {
    fn allows(&mut self, token: TokenId) -> Result<bool, ConstraintError> {
        self.guarded(|matcher| Ok(matcher.behind(&mut matcher.grammar.lock()?.automaton, token)? != DEAD))
    }

    fn commit(&mut self, token: TokenId) -> Result<(), ConstraintError> {
        self.guarded(|matcher| {
            let mut graph = matcher.grammar.lock()?;
            let state = matcher.behind(&mut graph.automaton, token)?;
            if state == DEAD {
                return Err(ConstraintError { reason: format!("token {} is not allowed here", token.0) });
            }
            let ends = Ends::of(&graph.automaton, state);
            drop(graph);
            matcher.history.push(matcher.state);
            matcher.state = state;
            matcher.ends = ends;
            Ok(())
        })
    }

    fn may_end(&self) -> bool {
        self.ends.may
    }

    fn must_end(&self) -> bool {
        self.ends.must
    }

    fn forced_bytes(&mut self) -> Vec<u8> {
        let forced = self.guarded(|matcher| {
            let mut graph = matcher.grammar.lock()?;
            let mut state = matcher.state;
            let mut forced = Vec::new();
            while let Next::Byte(byte) = graph.automaton.next(state) {
                if forced.len() >= FORCED_BYTES {
                    break;
                }
                forced.push(byte);
                state = graph.automaton.step(state, byte)?;
            }
            Ok(forced)
        });
        forced.unwrap_or_default()
    }

    fn forced_token(&mut self) -> Option<TokenId> {
        let forced = self.guarded(|matcher| {
            Ok(match matcher.grammar.lock()?.automaton.next(matcher.state) {
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
