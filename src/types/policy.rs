//! What the model may do in one step, as plain data: the kernel decides it from the memory's state, a dialect and
//! `grammar::policy` turn it into a grammar.

use super::FunctionDefinition;

/// Everything that the next generation may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepPolicy {
    /// Whether plain text to the user may be written.
    pub text: TextRule,
    /// Calls that may be written, with the arguments that the executor will accept.
    pub calls: Vec<AllowedCall>,
    /// Names of all functions that exist, offered or not: text cannot begin as a fake call of one of them.
    pub function_names: Vec<String>,
    /// Upper bound for inner thoughts in the classic profile, in characters.
    pub max_thought_chars: usize,
}

/// What a reply may be where functions are not the agent's own: text to the user, or one call or several.
#[derive(Debug, Clone, PartialEq)]
pub struct CallOffer {
    /// The functions, with the schemas that their arguments are held to.
    pub functions: Vec<FunctionDefinition>,
    /// Most calls in one reply.
    pub most_calls: usize,
    /// Upper bound for a line of text, in characters.
    pub max_text_chars: usize,
    /// Upper bound for inner thoughts in the classic profile, in characters.
    pub max_thought_chars: usize,
}

/// Whether text to the user may be written in this step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextRule {
    /// A call must be written.
    Forbidden,
    /// Text of at most so many characters may be written.
    Allowed {
        /// Upper bound in characters.
        max_chars: usize,
    },
    /// No text, but the model may also end at once without doing anything (memory passes after the answer).
    Silent,
}

/// One function that may be called now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedCall {
    /// Name of the function.
    pub name: String,
    /// Each variant is a complete list of arguments in the order of spelling; the call matches one of them.
    pub variants: Vec<Vec<NamedRule>>,
}

/// An argument and what its value may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedRule {
    /// Key in the arguments object.
    pub name: String,
    /// Legal values.
    pub rule: ArgumentRule,
}

/// Legal values of one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgumentRule {
    /// One of these strings exactly.
    OneOf(Vec<String>),
    /// A string; past the last stretch before `max_chars` it is closed at the end of a sentence, or else of a word.
    Text {
        /// Fewest characters.
        min_chars: usize,
        /// Most characters.
        max_chars: usize,
    },
    /// A day that exists, `YYYY-MM-DD`.
    Date,
    /// A whole number without leading zeros, ends included.
    Integer {
        /// Smallest value.
        min: u32,
        /// Largest value.
        max: u32,
    },
}
