//! The frame of all dialects: how a prompt is put together from what a family says for itself.
//!
//! A family gives its template, its words for functions and messages, its grammar and its parser; [`Dialect`] follows
//! from these, so that what every prompt has in common stands here once.

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::types::{CallOffer, FunctionDefinition, FunctionSchema, Message, ParameterKind, StepPolicy, TokenId};

use super::chat::{ChatTemplate, Role, Turn};
use super::sentinel::Contents;
use super::{CallPrompt, Dialect, Error, PromptParts, ReplyParser, Segment, Speaker};

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

    /// Functions that are not the agent's own in words; empty where the template prints them.
    fn defined(&self, functions: &[FunctionDefinition]) -> String;

    /// Functions that are not the agent's own as the template wants them; none where it cannot express functions.
    fn definitions(&self, _contents: &mut Contents, _functions: &[FunctionDefinition]) -> Option<Value> {
        None
    }

    /// What the model has said earlier.
    fn said(&self, contents: &mut Contents, text: &str) -> Turn {
        Turn::new(Role::Assistant, contents.put(text))
    }

    /// See [`Dialect::calls_grammar`].
    ///
    /// # Errors
    /// The schema of a function has no grammar.
    fn calls_grammar(&self, offer: &CallOffer) -> Result<String, Error>;

    /// See [`Dialect::call_tags`].
    fn call_tags(&self) -> Vec<TokenId> {
        Vec::new()
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

    fn render_calls(&self, prompt: &CallPrompt<'_>) -> Result<Vec<Segment>, Error> {
        let mut contents = Contents::default();
        let functions = self.defined(prompt.functions);
        let fixed = [prompt.instructions, &functions].into_iter().filter(|text| !text.is_empty());
        let system = contents.put(fixed.collect::<Vec<_>>().join("\n\n"));
        let definitions = self.definitions(&mut contents, prompt.functions);
        let turns = prompt.messages.iter().map(|(speaker, text)| match speaker {
            Speaker::User => Turn::new(Role::User, contents.put(*text)),
            Speaker::Assistant => self.said(&mut contents, text),
        });
        let turns = turns.collect();
        self.chat().render(contents, system, turns, definitions)
    }

    fn calls_grammar(&self, offer: &CallOffer) -> Result<String, Error> {
        Family::calls_grammar(self, offer)
    }

    fn call_tags(&self) -> Vec<TokenId> {
        Family::call_tags(self)
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
