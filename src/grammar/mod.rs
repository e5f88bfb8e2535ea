//! Grammars: GBNF text to a matcher that says, token by token, what a model may write.
//!
//! Strategy: [`parse`] makes an [`Ir`] of the text; it is checked (no left recursion, no rule without an end) and
//! compiled to a byte-level pushdown automaton whose states are worked out as far as they are walked and are one
//! integer each. Checking one token walks its bytes; a mask over all tokens is one walk over a tree of the vocabulary
//! and is remembered. Every text that a [`Matcher`] lets through can be completed, unless a limit is hit: then it
//! answers with an error for good. UTF-8 is exact.
//!
//! [`policy`] spells what a step may do as GBNF text; [`schema`] makes an [`Ir`] of a JSON Schema. Not responsible for
//! the calls' format (dialects) nor for choosing among the allowed tokens (inference).

mod automaton;
mod check;
mod error;
mod gbnf;
mod hash;
mod ir;
mod limits;
mod mask;
mod matcher;
pub mod policy;
mod program;
pub mod schema;
mod trie;

pub use error::{Error, Place};
pub use gbnf::parse;
pub use ir::{CharSet, Expr, Ir, Rule, RuleId};
pub use limits::Limits;
pub use mask::Mask;
pub use matcher::{Compiler, Grammar, Matcher, Verdict};
