//! Native dialect for models without tokens for calls: the template knows system, user and assistant only, functions
//! are described in the system text, and a call is a reply that is one JSON object from its first character.

use std::fmt::Write as _;

use serde_json::json;

use crate::grammar::policy::literal;
use crate::types::{Call, FunctionSchema, ParameterKind, StepPolicy, TokenId};

use super::chat::{self, ChatTemplate, Role, Turn};
use super::hermes::parse_call;
use super::sentinel::Contents;
use super::step_rules::{StepRules, TextRules};
use super::stream::TextStream;
use super::{Action, Dialect, Error, Piece, PromptParts, REQUEST_HEARTBEAT, ReplyParser, Segment};

/// First key of a call: an object that begins with it is one, and no text begins with such an object.
const NAME_KEY: &str = "name";

#[derive(Debug)]
pub(super) struct ChatmlJson {
    chat: ChatTemplate,
    text_rules: TextRules,
}

impl ChatmlJson {
    pub(super) fn new(chat: ChatTemplate) -> Self {
        Self { chat, text_rules: TextRules::default() }
    }
}

/// What stands in the brackets behind a parameter's name.
pub(super) fn kind_text(kind: ParameterKind) -> &'static str {
    match kind {
        ParameterKind::Text => "text",
        ParameterKind::Section => "\"persona\" or \"human\"",
        ParameterKind::Date => "a day as YYYY-MM-DD",
        ParameterKind::Integer => "a whole number",
    }
}

/// The functions in words.
fn described(functions: &[FunctionSchema]) -> String {
    if functions.is_empty() {
        return String::new();
    }
    let mut out = String::from("Functions that you can call:\n");
    for function in functions {
        let _ = writeln!(out, "- {}: {}", function.name, function.description);
        for parameter in function.parameters {
            let _ = writeln!(out, "  - {} ({}): {}", parameter.name, kind_text(parameter.kind), parameter.description);
        }
    }
    out.push_str(
        "To call a function, reply with one JSON object and nothing else: \
         {\"name\": \"FUNCTION\", \"arguments\": {\"PARAMETER\": \"VALUE\"}}\n\
         To answer the user, reply with plain text.",
    );
    out
}

fn call_turn(contents: &mut Contents, call: &Call) -> Turn {
    let mut arguments = call.arguments.clone();
    arguments.shift_remove(REQUEST_HEARTBEAT);
    let call = super::json::to_python_json(&json!({"name": call.name, "arguments": arguments}));
    Turn::new(Role::Assistant, contents.put(call))
}

fn result_turn(contents: &mut Contents, _name: &str, result: &str) -> Turn {
    Turn::new(Role::User, contents.put(format!("[function result] {result}")))
}

impl Dialect for ChatmlJson {
    fn name(&self) -> &'static str {
        "chatml-json"
    }

    fn render(&self, parts: &PromptParts<'_>) -> Result<Vec<Segment>, Error> {
        let mut contents = Contents::default();
        let functions = described(parts.functions);
        let (system, mut turns) =
            chat::system_turns(&mut contents, [parts.instructions, &functions], parts.core_memory);
        for message in parts.messages {
            turns.extend(chat::native_turns(&mut contents, message, parts.zone, call_turn, result_turn)?);
        }
        self.chat.render(contents, system, turns, None)
    }

    fn render_side(
        &self,
        instructions: &str,
        examples: &[(String, String)],
        question: &str,
    ) -> Result<Vec<Segment>, Error> {
        self.chat.render_side(instructions, examples, question)
    }

    fn grammar(&self, policy: &StepPolicy) -> Result<String, Error> {
        let mut step = StepRules::with_text(policy, &self.text_rules, Some(NAME_KEY));
        let calls = step.arguments(&policy.calls, None)?;
        if !calls.is_empty() {
            let alternatives: Vec<String> = (calls.iter())
                .map(|(call, arguments)| {
                    let name = super::json::escape(&call.name);
                    format!("{} {arguments}", literal(&format!("{name}\", \"arguments\": ")))
                })
                .collect();
            let before = literal(&format!("{{\"{NAME_KEY}\": \""));
            step.action("call", &format!("{before} ({}) \"}}\"", alternatives.join(" | ")));
        }
        step.finish()
    }

    fn reply_parser(&self, _policy: &StepPolicy) -> Box<dyn ReplyParser> {
        Box::new(Parser { seen: Vec::new(), kind: Kind::Unknown, text: TextStream::default() })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What has come could still be either.
    Unknown,
    Text,
    Call,
}

/// Whether a reply that begins with `seen` is a call.
fn kind_of(seen: &[u8]) -> Kind {
    let Some(behind_brace) = seen.strip_prefix(b"{") else {
        return if seen.is_empty() { Kind::Unknown } else { Kind::Text };
    };
    let key = behind_brace.trim_ascii_start();
    if key.starts_with(b"\"name\"") {
        Kind::Call
    } else if b"\"name\"".starts_with(key) {
        Kind::Unknown
    } else {
        Kind::Text
    }
}

struct Parser {
    /// Everything of a call, or what has come of an unknown reply.
    seen: Vec<u8>,
    kind: Kind,
    text: TextStream,
}

impl ReplyParser for Parser {
    fn push(&mut self, _token: TokenId, bytes: &[u8]) -> Vec<Piece> {
        self.seen.extend_from_slice(bytes);
        if self.kind == Kind::Unknown {
            self.kind = kind_of(&self.seen);
        }
        if self.kind != Kind::Text {
            return Vec::new();
        }
        let seen = std::mem::take(&mut self.seen);
        self.text.push(&seen).map(Piece::Text).into_iter().collect()
    }

    fn finish(mut self: Box<Self>, complete: bool) -> Result<Action, Error> {
        if self.kind == Kind::Call {
            return match parse_call(&self.seen) {
                Ok(call) => Ok(Action::Call { thoughts: None, call, request_heartbeat: None }),
                Err(_) if !complete => Err(Error::Incomplete),
                Err(error) => Err(error),
            };
        }
        if self.kind == Kind::Unknown && !complete && !self.seen.is_empty() {
            return Err(Error::Incomplete);
        }
        let seen = std::mem::take(&mut self.seen);
        self.text.push(&seen);
        let text = self.text.into_text();
        Ok(if text.is_empty() { Action::Nothing } else { Action::Text { thoughts: None, text } })
    }
}
