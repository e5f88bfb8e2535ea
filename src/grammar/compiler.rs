//! Compiles grammars one after the other, so that later ones find what was worked out for earlier ones.

use std::sync::{Arc, Mutex, PoisonError};

use super::automaton::{StateId, Stop};
use super::check::check;
use super::compile::compile;
use super::error::Error;
use super::gbnf::parse;
use super::graph::{Current, Graph, Tokens};
use super::ir::Ir;
use super::lazy::{self, Trigger};
use super::limits::Limits;
use super::matcher::Grammar;
use crate::inference::Vocab;

/// Compiles grammars for one vocabulary. Keep it as long as the vocabulary: the trees over all tokens, which masks
/// need, are built once in it, with the first mask; and what was worked out for one grammar serves all later ones that
/// have the same parts.
#[derive(Debug, Clone)]
pub struct Compiler {
    tokens: Arc<Tokens>,
    limits: Limits,
    current: Arc<Current>,
}

impl Compiler {
    /// A compiler for `vocab`.
    #[must_use]
    pub fn new(vocab: Arc<Vocab>, limits: Limits) -> Self {
        Self::with_tokens(Arc::new(Tokens::new(vocab)), limits)
    }

    fn with_tokens(tokens: Arc<Tokens>, limits: Limits) -> Self {
        let graph = Arc::new(Mutex::new(Graph::new(&tokens, &limits)));
        Self { tokens, limits, current: Arc::new(Mutex::new(graph)) }
    }

    /// Builds the trees over all tokens now rather than with the first mask (tens of milliseconds).
    pub fn warm_up(&self) {
        self.tokens.trees();
    }

    /// A compiler that shares the trees over all tokens with this one and nothing else, to measure what the first use of
    /// a grammar costs.
    #[must_use]
    pub fn forget(&self) -> Self {
        Self::with_tokens(Arc::clone(&self.tokens), self.limits.clone())
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
        self.compile_checked(&ir, &check(&ir, source)?, &[], Some(source))
    }

    /// The grammar of a text that was compiled a short while ago.
    fn known(&self, source: &str) -> Option<Grammar> {
        let graph = Arc::clone(&*self.current.lock().ok()?);
        let start = graph.lock().ok().filter(|graph| graph.takes_grammars())?.recent_start(source)?;
        Some(Grammar::new(&self.tokens, &self.current, graph, start))
    }

    /// Compiles a grammar that a program made, a JSON Schema for instance.
    ///
    /// # Errors
    /// Those of [`Error`] that are not about the text; their places are empty.
    pub fn compile_ir(&self, ir: &Ir) -> Result<Grammar, Error> {
        self.compile_parsed(ir, "", &[])
    }

    /// Compiles what [`parse`] made of `source`, where that is needed for more than to be compiled; into a lazy grammar
    /// where there are triggers.
    ///
    /// # Errors
    /// Everything that [`Error`] lists. Their places are those in `source`.
    pub fn compile_parsed(&self, ir: &Ir, source: &str, triggers: &[Trigger]) -> Result<Grammar, Error> {
        if !triggers.is_empty() {
            lazy::check(triggers, &self.tokens.vocab)?;
        }
        // A group in GBNF text is up to three expressions: alternatives of sequences of repetitions.
        ir.validate(3 * (self.limits.nesting + 1), &self.tokens.vocab)?;
        self.compile_checked(ir, &check(ir, source)?, triggers, None)
    }

    /// Compiles GBNF text into a lazy grammar: any text until the first of the `triggers`, and from it on what the grammar
    /// says. The grammar has texts that begin with each trigger; before it, generation may end anywhere.
    ///
    /// # Errors
    /// Everything that [`Error`] lists.
    pub fn compile_lazy(&self, source: &str, triggers: &[Trigger]) -> Result<Grammar, Error> {
        lazy::check(triggers, &self.tokens.vocab)?;
        let ir = parse(source, &self.tokens.vocab, &self.limits)?;
        self.compile_checked(&ir, &check(&ir, source)?, triggers, None)
    }

    /// Compiles a grammar that a program made into a lazy grammar, as [`Compiler::compile_lazy`] does.
    ///
    /// # Errors
    /// Those of [`Error`] that are not about the text; their places are empty.
    pub fn compile_lazy_ir(&self, ir: &Ir, triggers: &[Trigger]) -> Result<Grammar, Error> {
        lazy::check(triggers, &self.tokens.vocab)?;
        self.compile_parsed(ir, "", triggers)
    }

    /// Compiles into the graph of the grammars before, or into a fresh one where that has little room or was left
    /// broken: old grammars keep theirs. `remembered` is the text under which the grammar is found again.
    fn compile_checked(
        &self,
        ir: &Ir,
        nullable: &[bool],
        triggers: &[Trigger],
        remembered: Option<&str>,
    ) -> Result<Grammar, Error> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(mut graph) = current.lock()
            && graph.takes_grammars()
            && let Ok(start) = start(&mut graph, ir, nullable, triggers)
        {
            if let Some(source) = remembered {
                graph.remember(source, start);
            }
            drop(graph);
            return Ok(Grammar::new(&self.tokens, &self.current, Arc::clone(&current), start));
        }
        let mut graph = Graph::new(&self.tokens, &self.limits);
        let start = start(&mut graph, ir, nullable, triggers)?;
        if let Some(source) = remembered {
            graph.remember(source, start);
        }
        let graph = Arc::new(Mutex::new(graph));
        *current = Arc::clone(&graph);
        drop(current);
        Ok(Grammar::new(&self.tokens, &self.current, graph, start))
    }
}

/// Compiles a grammar into `graph`; gives back the state before its first character.
fn start(graph: &mut Graph, ir: &Ir, nullable: &[bool], triggers: &[Trigger]) -> Result<StateId, Error> {
    let automaton = &mut graph.automaton;
    let root = compile(ir, nullable, automaton.program_mut());
    automaton.widen_rows();
    let start = automaton.start(root?).map_err(Stop::into_error)?;
    if triggers.is_empty() {
        return Ok(start);
    }
    let behind: Result<Vec<_>, _> = triggers.iter().map(|trigger| trigger.behind(automaton, start)).collect();
    let kept: Vec<u32> = (behind.map_err(Stop::into_error)?.into_iter()).map(|state| automaton.keep(state)).collect();
    let root = lazy::compile(triggers, &kept, automaton.program_mut());
    automaton.widen_rows();
    automaton.start(root?).map_err(Stop::into_error)
}
