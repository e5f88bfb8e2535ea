//! The frame of all dialects: how a prompt is put together from what a family says for itself.
//!
//! A family gives its template, its words for functions and messages, its grammar and its parser; [`Dialect`] follows
//! from these, so that what every prompt has in common stands here once.

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::types::{FunctionSchema, Message, ParameterKind, StepPolicy};

use super::chat::{ChatTemplate, Role, Turn};
use super::sentinel::Contents;
use super::{Dialect, Error, PromptParts, ReplyParser, Segment};

/// What a model family says for itself.
pub(super) trait Family: Send + Sync {
    /// See [`Dialect::name`].
    fn name(&self) -> &'static str;

    /// The template that prompts go through.
    fn chat(&self) -> &ChatTemplate;

    /// The functions in words, for the system text; empty where the template prints them.
    fn described(&self, functions: &[FunctionSchema]) -> String;

    /// The functions as the template wants them; none where it cannot express functions.
    fn tools(&self, _contents: &mut Contents, _functions: &[FunctionSchema]) -> Option<Value> {
        None
    }

    /// The turns that show `message`.
    ///
    /// # Errors
    /// A time out of range.
    fn turns(&self, contents: &mut Contents, message: &Message, zone: &TimeZone) -> Result<Vec<Turn>, Error>;

    /// See [`Dialect::grammar`].
    ///
    /// # Errors
    /// The policy leaves nothing that could be written.
    fn grammar(&self, policy: &StepPolicy) -> Result<String, Error>;

    /// See [`Dialect::reply_parser`].
    fn reply_parser(&self, policy: &StepPolicy) -> Box<dyn ReplyParser>;
}

impl<F: Family> Dialect for F {
    fn name(&self) -> &'static str {
        Family::name(self)
    }

    /// What never changes is the system text, and core memory a system turn of its own behind it: an edit of core
    /// memory then leaves the KV cache of everything before it alone, the tools that templates print included.
    fn render(&self, parts: &PromptParts<'_>) -> Result<Vec<Segment>, Error> {
        let mut contents = Contents::default();
        let functions = self.described(parts.functions);
        let fixed = [parts.instructions, &functions].into_iter().filter(|text| !text.is_empty());
        let system = contents.put(fixed.collect::<Vec<_>>().join("\n\n"));
        let mut turns = Vec::with_capacity(parts.messages.len() + 1);
        if !parts.core_memory.is_empty() {
            turns.push(Turn::new(Role::System, contents.put(parts.core_memory)));
        }
        let tools = self.tools(&mut contents, parts.functions);
        for message in parts.messages {
            turns.extend(self.turns(&mut contents, message, parts.zone)?);
        }
        self.chat().render(contents, system, turns, tools)
    }

    fn render_side(
        &self,
        instructions: &str,
        examples: &[(String, String)],
        question: &str,
    ) -> Result<Vec<Segment>, Error> {
        let mut contents = Contents::default();
        let system = contents.put(instructions);
        let mut turns = Vec::with_capacity(examples.len() * 2 + 1);
        for (asked, answered) in examples {
            turns.push(Turn::new(Role::User, contents.put(asked)));
            turns.push(Turn::new(Role::Assistant, contents.put(answered)));
        }
        turns.push(Turn::new(Role::User, contents.put(question)));
        self.chat().render(contents, system, turns, None)
    }

    fn grammar(&self, policy: &StepPolicy) -> Result<String, Error> {
        Family::grammar(self, policy)
    }

    fn reply_parser(&self, policy: &StepPolicy) -> Box<dyn ReplyParser> {
        Family::reply_parser(self, policy)
    }
}

/// What stands in the brackets behind a parameter's name where functions are described in words.
pub(super) fn kind_text(kind: ParameterKind) -> &'static str {
    match kind {
        ParameterKind::Text => "text",
        ParameterKind::Section => "\"persona\" or \"human\"",
        ParameterKind::Date => "a day as YYYY-MM-DD",
        ParameterKind::Integer => "a whole number",
    }
}
