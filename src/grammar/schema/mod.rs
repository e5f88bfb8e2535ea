//! JSON Schema to grammar: which JSON texts a schema admits, as an [`Ir`].
//!
//! The subset of draft 2020-12 that function definitions use is held exactly; every other keyword is an error with its
//! JSON pointer. Annotations are ignored. Not responsible for checking finished values: a text of the grammar is valid.
//!
//! **One spelling.** Of the spellings of a value the grammar admits these:
//! - White space as [`Whitespace`] says, none before or behind the value.
//! - Declared properties in declared order, then the required ones that are not declared, then all others. Names that
//!   are not declared may come twice (no grammar can forbid it); a declared name never does.
//! - Strings: any escapes of JSON, surrogates only as pairs. Property names, and strings held to a `pattern` or
//!   `format`, are written with the escapes that they need and no others. At most [`Limits::repetition`] characters.
//! - Integers: no fraction, no exponent, no `-0`, at most 18 digits unless a bound has more. Numbers: as many digits
//!   before the point, at most 15 behind it, and an exponent of at most two digits; with `minimum`, `maximum` or `multipleOf`
//!   no exponent, and only so many digits that neighbours stay apart as 64-bit floats next to the bounds: no fraction
//!   next to a bound of 15 digits or more, unless it is the bound's own. Integers are taken to be read exactly.
//! - Values of `enum` and `const` as the schema writes them.
//!
//! **Strategy.** A place in a value is described by a set of places in the schema that must all hold (`Loc`s). Such a
//! set is expanded to alternatives (`Shape`), each the conjunction of all keywords that apply, and every set becomes
//! one rule; `allOf`, `$ref` and keywords beside them are therefore intersections, recursion included. Rules without a
//! text are taken out at the end: what is left is the language.
//!
//! Source: JSON Schema 2020-12 (core and validation), RFC 8259, ECMA-262 (patterns).

mod array;
mod compiler;
mod constants;
mod dfa;
mod error;
mod expand;
mod formats;
mod integers;
mod keywords;
mod limits;
mod numbers;
mod object;
mod one_of;
mod pattern;
mod rules;
mod shape;
mod source;
mod strings;
mod terms;

use serde_json::Value;

pub use error::Error;
pub(in crate::grammar) use integers::unsigned_range;
pub use limits::Limits;

use super::ir::Ir;
use compiler::Compiler;

/// Where white space may stand in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Whitespace {
    /// Nowhere: `{"a":1,"b":[1,2]}`.
    Compact,
    /// One space behind `:` and `,`, as chat templates and Python's `json.dumps` write: `{"a": 1, "b": [1, 2]}`.
    #[default]
    Template,
    /// Wherever JSON allows it within the value, up to [`Options::whitespace_run`] characters at a time.
    Flexible,
}

/// How a schema is compiled: which texts stand for a value, and what that may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where white space may stand.
    pub whitespace: Whitespace,
    /// Longest run of flexible white space, in characters. 32: a line end and an indent of seven levels.
    pub whitespace_run: u32,
    /// Whether an object whose schema has `properties` but no `additionalProperties` takes other properties as well.
    /// Yes, as JSON Schema says; calls of functions are better without.
    pub undeclared_properties: bool,
    /// What it may cost.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            whitespace: Whitespace::Template,
            whitespace_run: 32,
            undeclared_properties: true,
            limits: Limits::default(),
        }
    }
}

/// Compiles a schema.
///
/// The rules have names that llama.cpp accepts, `root` the first. No rule is left-recursive and all can end.
///
/// # Errors
/// Everything that [`Error`] lists.
pub fn compile(schema: &Value, options: &Options) -> Result<Ir, Error> {
    Compiler::new(schema, options)?.compile()
}
