//! Native dialect for models without tokens for calls: the template knows system, user and assistant only, functions
//! are described in the system text, and a call is a reply that is one JSON object from its first character.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use serde_json::json;

use crate::grammar::policy::literal;
use crate::types::{Call, CallOffer, FunctionDefinition, FunctionSchema, Message, StepPolicy, TokenId};

use super::chat::{self, ChatTemplate, Role, Turn};
use super::family::{Family, kind_text};
use super::native_reply::{Kind, NativeReply, parse_call};
use super::sentinel::Contents;
use super::step_rules::{StepRules, TextRules};
use super::{Action, Error, Piece, ReplyParser};

/// First key of a call: an object that begins with it is one, and no text begins with such an object.
const NAME_KEY: &str = "name";
/// What may stand around calls of functions that are not the agent's own: models fence JSON that they write.
const SPELLED: &[(&str, &str)] = &[("", ""), ("```json\n", "\n```")];

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

/// Functions that are not the agent's own in words: their schemas as they are.
fn defined(functions: &[FunctionDefinition]) -> String {
    if functions.is_empty() {
        return String::new();
    }
    let mut out = String::from("Functions that you can call:\n");
    for function in functions {
        let definition = json!({
            "name": function.name, "description": function.description, "parameters": function.parameters,
        });
        let _ = writeln!(out, "{}", super::json::to_python_json(&definition));
    }
    out.push_str(
        "To call a function, reply with one JSON object and nothing else: \
         {\"name\": \"FUNCTION\", \"arguments\": {\"PARAMETER\": \"VALUE\"}}\n\
         To call several, write one such object on each line.\n\
         To answer the user, reply with plain text.",
    );
    out
}

fn call_turn(contents: &mut Contents, call: &Call) -> Turn {
    let call = super::json::to_python_json(&json!({"name": call.name, "arguments": call.arguments}));
    Turn::new(Role::Assistant, contents.put(call))
}

fn result_turn(contents: &mut Contents, _name: &str, result: &str) -> Turn {
    Turn::new(Role::User, contents.put(format!("[function result] {result}")))
}

impl Family for ChatmlJson {
    fn name(&self) -> &'static str {
        "chatml-json"
    }

    fn chat(&self) -> &ChatTemplate {
        &self.chat
    }

    fn described(&self, functions: &[FunctionSchema]) -> String {
        described(functions)
    }

    fn defined(&self, functions: &[FunctionDefinition]) -> String {
        defined(functions)
    }

    fn turns(&self, contents: &mut Contents, message: &Message, zone: &TimeZone) -> Result<Vec<Turn>, Error> {
        chat::native_turns(contents, message, zone, call_turn, result_turn)
    }

    fn grammar(&self, policy: &StepPolicy) -> Result<String, Error> {
        let mut step = StepRules::with_text(policy, &self.text_rules, Some(NAME_KEY));
        if let Some(calls) = step.calls(&policy.calls, "\", \"arguments\": ", None)? {
            let before = literal(&format!("{{\"{NAME_KEY}\": \""));
            step.action("call", &format!("{before} ({calls}) \"}}\""));
        }
        step.finish()
    }

    fn calls_grammar(&self, offer: &CallOffer) -> Result<String, Error> {
        let mut step = StepRules::with_text_beside(offer, NAME_KEY);
        let before_name = format!("{{\"{NAME_KEY}\": \"");
        let forms = step.spelled_calls(offer, [&before_name, "\", \"arguments\": ", "}"], SPELLED)?;
        if !forms.is_empty() {
            step.action("call", &forms.join(" | "));
        }
        step.finish()
    }

    fn reply_parser(&self, _policy: &StepPolicy) -> Box<dyn ReplyParser> {
        Box::new(Parser::default())
    }
}

/// Whether a reply that begins with `seen` is a call.
fn kind_of(seen: &[u8]) -> Kind {
    let Some(behind_brace) = seen.strip_prefix(b"{") else { return Kind::Text };
    let key = behind_brace.trim_ascii_start();
    if key.starts_with(b"\"name\"") {
        Kind::Call
    } else if b"\"name\"".starts_with(key) {
        Kind::Unknown
    } else {
        Kind::Text
    }
}

#[derive(Default)]
struct Parser(NativeReply);

impl ReplyParser for Parser {
    fn push(&mut self, _token: TokenId, bytes: &[u8]) -> Vec<Piece> {
        self.0.push(bytes, kind_of)
    }

    fn finish(self: Box<Self>, complete: bool) -> Result<Action, Error> {
        let parse = |seen: &[u8]| parse_call(seen).map_err(|error| if complete { error } else { Error::Incomplete });
        self.0.finish(complete, parse)
    }
}
