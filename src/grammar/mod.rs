//! Grammars: GBNF text to a matcher that says, token by token, what a model may write.
//!
//! Strategy: [`parse`] makes an [`Ir`] of the text; it is checked (no left recursion, no rule without an end) and
//! compiled to the positions of a byte-level pushdown automaton. Its states are worked out as far as they are walked and
//! are one integer each; equal parts of the grammars of one [`Compiler`] share them. Checking one token walks its bytes.
//! A mask over all tokens takes groups of tokens that the state lets pass alike whole, walks trees over the others, and
//! is kept for all states that agree in the upper frames of their stacks. What was worked out is bounded by moving on to
//! a fresh graph of states, not by ending a generation. Every text that a [`Matcher`] lets through can be completed,
//! unless one step alone is above a limit: then it answers with an error for good. UTF-8 is exact.
//!
//! [`policy`] spells what a step may do as GBNF text; [`schema`] makes an [`Ir`] of a JSON Schema. Not responsible for
//! the calls' format (dialects) nor for choosing among the allowed tokens (inference).

mod automaton;
mod check;
mod compile;
mod compiler;
mod components;
mod error;
mod gbnf;
mod graph;
mod hash;
mod ir;
mod lazy;
mod levels;
mod limits;
mod mask;
mod masks;
mod matcher;
pub mod policy;
mod portable;
mod program;
pub mod schema;
mod trie;
mod utf8;

pub use compiler::Compiler;
pub use error::{Error, Place};
pub use gbnf::parse;
pub use ir::{CharSet, Expr, Ir, Rule, RuleId};
pub use lazy::Trigger;
pub use limits::Limits;
pub use mask::Mask;
pub use matcher::{Grammar, Matcher, Verdict};
