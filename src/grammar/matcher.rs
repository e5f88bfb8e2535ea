//! Grammars that are ready for use, and the matcher that the sampler asks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use super::automaton::{Automaton, DEAD, Next, StateId};
use super::check::check;
use super::error::Error;
use super::gbnf::parse;
use super::hash::FastHash;
use super::ir::Ir;
use super::limits::Limits;
use super::mask::Mask;
use super::program;
use super::trie::TokenTrie;
use crate::inference::{TokenKind, Vocab};
use crate::types::{Constraint, ConstraintError, TokenId};

/// Forced text is given out in pieces of at most so many bytes, so that no grammar makes a single answer large.
const FORCED_BYTES: usize = 4096;

/// Compiles grammars for one vocabulary. Keep it as long as the vocabulary: the tree over all tokens, which masks
/// need, is built once in it, with the first mask.
#[derive(Debug, Clone)]
pub struct Compiler {
    tokens: Arc<Tokens>,
    limits: Limits,
}

#[derive(Debug)]
struct Tokens {
    vocab: Arc<Vocab>,
    trie: OnceLock<TokenTrie>,
}

impl Tokens {
    fn trie(&self) -> &TokenTrie {
        self.trie.get_or_init(|| TokenTrie::new(&self.vocab))
    }
}

impl Compiler {
    /// A compiler for `vocab`.
    #[must_use]
    pub fn new(vocab: Arc<Vocab>, limits: Limits) -> Self {
        Self { tokens: Arc::new(Tokens { vocab, trie: OnceLock::new() }), limits }
    }

    /// Builds the tree over all tokens now rather than with the first mask (tens of milliseconds).
    pub fn warm_up(&self) {
        self.tokens.trie();
    }

    /// Compiles GBNF text.
    ///
    /// # Errors
    /// Everything that [`Error`] lists.
    pub fn compile(&self, source: &str) -> Result<Grammar, Error> {
        let ir = parse(source, &self.tokens.vocab, &self.limits)?;
        self.compile_checked(&ir, &check(&ir, source)?)
    }

    /// Compiles a grammar that a program made, a JSON Schema for instance.
    ///
    /// # Errors
    /// Those of [`Error`] that are not about the text; their places are empty.
    pub fn compile_ir(&self, ir: &Ir) -> Result<Grammar, Error> {
        self.compile_checked(ir, &check(ir, "")?)
    }

    fn compile_checked(&self, ir: &Ir, nullable: &[bool]) -> Result<Grammar, Error> {
        let program = program::compile(ir, nullable, &self.limits)?;
        let automaton = Automaton::new(program, self.limits.clone()).map_err(|_| Error::Limit {
            what: "parses before the first character",
            found: self.limits.parses + 1,
            limit: self.limits.parses,
        })?;
        let graph = Mutex::new(Graph { automaton, masks: HashMap::default(), clock: 0 });
        Ok(Grammar { tokens: Arc::clone(&self.tokens), graph: Arc::new(graph), masks: self.limits.masks })
    }
}

/// The part of a grammar that grows with use; shared by all its matchers.
#[derive(Debug)]
struct Graph {
    automaton: Automaton,
    masks: HashMap<StateId, (Arc<Mask>, u64), FastHash>,
    clock: u64,
}

/// A compiled grammar. Clones share what has been worked out.
#[derive(Debug, Clone)]
pub struct Grammar {
    tokens: Arc<Tokens>,
    graph: Arc<Mutex<Graph>>,
    masks: usize,
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
        let state = graph.automaton.start();
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
        let mut state = graph.automaton.start();
        for (at_byte, byte) in text.iter().enumerate() {
            state = graph.automaton.step(state, *byte)?;
            if state == DEAD {
                return Ok(Verdict::Refused { at_byte });
            }
        }
        Ok(if graph.automaton.is_complete(state) { Verdict::Accepted } else { Verdict::Incomplete })
    }

    /// Number of states made so far, for reports and tests.
    ///
    /// # Errors
    /// As [`Grammar::matcher`].
    pub fn state_count(&self) -> Result<usize, ConstraintError> {
        Ok(self.lock()?.automaton.state_count())
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
        self.guarded(|matcher| matcher.grammar.lock()?.automaton.next_bytes(matcher.state))
    }

    /// All tokens that may come next.
    ///
    /// # Errors
    /// A limit of the matcher was hit.
    pub fn mask(&mut self) -> Result<Arc<Mask>, ConstraintError> {
        self.guarded(|matcher| matcher.fresh_mask())
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
        if vocab.is_end_of_generation(token) || (is_text && bytes.is_empty()) {
            return Ok(DEAD);
        }
        let spelled = if is_text { automaton.walk(self.state, bytes)? } else { DEAD };
        automaton.take_token(self.state, token, is_text, spelled)
    }

    fn fresh_mask(&self) -> Result<Arc<Mask>, ConstraintError> {
        let tokens = &self.grammar.tokens;
        let trie = tokens.trie();
        let mut guard = self.grammar.lock()?;
        let Graph { automaton, masks, clock } = &mut *guard;
        let state = automaton.standard_state(self.state, trie.longest_bytes())?;
        *clock += 1;
        if let Some((mask, used)) = masks.get_mut(&state) {
            *used = *clock;
            return Ok(Arc::clone(mask));
        }
        let mut mask = trie.mask(automaton, state, tokens.vocab.len())?;
        for (id, negated) in automaton.token_items(state).collect::<Vec<_>>() {
            if negated {
                for (token, is_text) in (0..).map(TokenId).zip(tokens.vocab.text_flags()) {
                    if *is_text && token != id && !tokens.vocab.is_end_of_generation(token) {
                        mask.insert(token);
                    }
                }
            } else {
                mask.insert(id);
            }
        }
        let mask = Arc::new(mask);
        if masks.len() >= self.grammar.masks.max(1)
            && let Some(oldest) = masks.iter().min_by_key(|(_, (_, used))| *used).map(|(state, _)| *state)
        {
            masks.remove(&oldest);
        }
        masks.insert(state, (Arc::clone(&mask), *clock));
        Ok(mask)
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
