//! Dialects: how a model family writes prompts and calls. Rendering, grammar and parsing of a dialect stand in one
//! trait, a file per family, so that they cannot drift apart.
//!
//! Not responsible for what is in the prompt (`memory::main_context`) nor for what may be called (`kernel`).
//!
//! Prompts go through the model's own chat template with every content replaced by a sentinel (`sentinel`), so that
//! content never meets the template's control tokens. [`choose`] tries a template before it is used and takes the
//! built-in ChatML one where it fails.

mod chat;
mod chatml;
mod chatml_json;
mod choose;
mod classic;
mod error;
mod family;
mod hermes;
mod json;
mod native_reply;
mod sentinel;
mod step_rules;
mod stream;
mod template;

use jiff::tz::TimeZone;

use crate::types::{Call, CallOffer, FunctionDefinition, FunctionSchema, Message, StepPolicy, TokenId};

pub use choose::{Chosen, choose};
pub use classic::REQUEST_HEARTBEAT;
pub use error::Error;

/// How calls and replies are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// The model's own call format; plain text is an answer.
    Native,
    /// The paper's format: every action is a JSON call with inner thoughts first.
    Classic,
}

impl Profile {
    /// The spelling of configuration, database and command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Classic => "classic",
        }
    }
}

/// Everything that the model will see, before a dialect has spelled it.
#[derive(Debug, Clone, Copy)]
pub struct PromptParts<'a> {
    /// Static instructions.
    pub instructions: &'a str,
    /// Functions that are described to the model, offered in this step or not (the description never changes).
    pub functions: &'a [FunctionSchema],
    /// Core memory as text.
    pub core_memory: &'a str,
    /// The queue, oldest first; a summary can only be the first.
    pub messages: &'a [Message],
    /// The user's time zone, for the times that messages carry.
    pub zone: &'a TimeZone,
}

/// Who says something in a [`CallPrompt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The user.
    User,
    /// The model, earlier.
    Assistant,
}

/// A prompt about functions that are not the agent's own: no memory, no times.
#[derive(Debug, Clone, Copy)]
pub struct CallPrompt<'a> {
    /// Static instructions.
    pub instructions: &'a str,
    /// Functions that are described to the model.
    pub functions: &'a [FunctionDefinition],
    /// What was said, oldest first.
    pub messages: &'a [(Speaker, &'a str)],
}

/// A stretch of the prompt.
///
/// The dialects of this module spell exactly one control token in each `Template` segment; all text between two of
/// them is one `Content` segment, because a tokenizer that is given the stretch whole splits it as it does in
/// training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Template text: spelled control tokens in it are control tokens.
    Template(String),
    /// Anything else: never control, whatever it spells.
    Content(String),
}

/// What the model did in one generation.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Text to the user.
    Text {
        /// Inner thoughts.
        thoughts: Option<String>,
        /// The text.
        text: String,
    },
    /// A function call.
    Call {
        /// Inner thoughts.
        thoughts: Option<String>,
        /// The call, without [`REQUEST_HEARTBEAT`].
        call: Call,
        /// Whether the model wants to run again after the call; none in profiles whose calls do not say so.
        request_heartbeat: Option<bool>,
    },
    /// Nothing at all.
    Nothing,
}

impl Action {
    /// The call as it is to be stored, so that the prompt repeats the generation byte for byte: the wish for a
    /// heartbeat stands in it as the last argument, [`REQUEST_HEARTBEAT`]. None for other actions.
    #[must_use]
    pub fn stored_call(&self) -> Option<Call> {
        let Self::Call { call, request_heartbeat, .. } = self else { return None };
        let mut call = call.clone();
        if let Some(wish) = request_heartbeat {
            call.arguments.insert(REQUEST_HEARTBEAT.into(), (*wish).into());
        }
        Some(call)
    }
}

/// A piece of a generation that can be shown at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text to the user.
    Text(String),
    /// Inner thoughts.
    Thought(String),
}

/// A way of writing prompts and calls.
pub trait Dialect: Send + Sync {
    /// Short name, for `--debug` and reports.
    fn name(&self) -> &'static str;

    /// The prompt, ending where the model's turn begins.
    ///
    /// # Errors
    /// The template failed or asked for too much.
    fn render(&self, parts: &PromptParts<'_>) -> Result<Vec<Segment>, Error>;

    /// A prompt beside the conversation: instructions, worked examples (what is asked, what is answered) and a
    /// question. No functions, no memory, no times.
    ///
    /// # Errors
    /// As for [`Dialect::render`].
    fn render_side(
        &self,
        instructions: &str,
        examples: &[(String, String)],
        question: &str,
    ) -> Result<Vec<Segment>, Error>;

    /// A prompt about functions that are not the agent's own.
    ///
    /// # Errors
    /// As for [`Dialect::render`].
    fn render_calls(&self, prompt: &CallPrompt<'_>) -> Result<Vec<Segment>, Error>;

    /// GBNF text for a reply to [`Dialect::render_calls`], root rule `root`: text to the user, or calls as the dialect
    /// writes several of them.
    ///
    /// # Errors
    /// The schema of a function has no grammar.
    fn calls_grammar(&self, offer: &CallOffer) -> Result<String, Error>;

    /// The control tokens that a reply may hold.
    fn call_tags(&self) -> Vec<TokenId>;

    /// GBNF text for one step, root rule `root`.
    ///
    /// # Errors
    /// The policy leaves nothing that could be written.
    fn grammar(&self, policy: &StepPolicy) -> Result<String, Error>;

    /// A parser for one generation under the grammar of `policy`.
    fn reply_parser(&self, policy: &StepPolicy) -> Box<dyn ReplyParser>;
}

/// Takes a generation token by token and makes an action of it.
pub trait ReplyParser {
    /// Takes the next token with its bytes (empty for control tokens) and gives back what can be shown. Pieces end
    /// on whole characters.
    fn push(&mut self, token: TokenId, bytes: &[u8]) -> Vec<Piece>;

    /// The action. `complete` is false where generation was cut off: a half-written call is then
    /// [`Error::Incomplete`], half-written text is text.
    ///
    /// # Errors
    /// What was generated is not what the grammar promises.
    fn finish(self: Box<Self>, complete: bool) -> Result<Action, Error>;
}
