//! Classic profile: the paper's format. Messages of the user and events are packaged as JSON strings with a type and
//! a time; every reply is one JSON object, thoughts first, and telling the user something is a call as well.
//!
//! Source: the packaged messages and the prompt layout of MemGPT 0.2 (messages, ChatML wrapper), in our own words.

use std::fmt::Write as _;

use jiff::Zoned;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::grammar::policy::{LastMember, json_string_rule, literal};
use crate::grammar::schema::Whitespace;
use crate::types::{
    Body, Call, CallOffer, FunctionDefinition, FunctionSchema, Message, Notification, StepPolicy, TextRule, TokenId,
};

use super::chat::{self, ChatTemplate, Role, Turn};
use super::family::{Family, kind_text};
use super::sentinel::Contents;
use super::step_rules::StepRules;
use super::stream::{CallStream, Field};
use super::{Action, Error, Piece, ReplyParser};

/// Key of the argument by which a call asks for a heartbeat, always the last one.
pub const REQUEST_HEARTBEAT: &str = "request_heartbeat";

const SEND_MESSAGE: &str = "send_message";
const TIME_FORMAT: &str = "%Y-%m-%d %I:%M:%S %p %Z%z";

#[derive(Debug)]
pub(super) struct Classic {
    chat: ChatTemplate,
}

impl Classic {
    pub(super) fn new(chat: ChatTemplate) -> Self {
        Self { chat }
    }
}

/// The functions in words; `send_message` first where the table does not have it.
fn described(functions: &[FunctionSchema]) -> String {
    let mut out = String::from(
        "Every reply of yours is one JSON object that calls one function, thoughts first:\n\
         {\"inner_thoughts\": \"THOUGHTS\", \"function\": \"FUNCTION\", \"params\": {\"PARAMETER\": \"VALUE\"}}\n\
         Nobody but you sees the inner thoughts; keep them below 50 words. The user sees only what send_message says. \
         In every other function the last parameter is request_heartbeat: true to run again at once with the result, \
         false to wait for the next event.\n\nFunctions:\n",
    );
    if !functions.iter().any(|function| function.name == SEND_MESSAGE) {
        out.push_str(
            "send_message:\n  description: Tells the user something.\n  params:\n    message (text): What the user is told.\n",
        );
    }
    for function in functions {
        let _ = writeln!(out, "{}:\n  description: {}\n  params:", function.name, function.description);
        for parameter in function.parameters {
            let _ = writeln!(out, "    {} ({}): {}", parameter.name, kind_text(parameter.kind), parameter.description);
        }
        if function.name != SEND_MESSAGE {
            let _ = writeln!(out, "    {REQUEST_HEARTBEAT} (true or false): Whether to run again at once.");
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Functions that are not the agent's own in words. Their calls ask for no heartbeat, and there may be several.
fn defined(functions: &[FunctionDefinition]) -> String {
    let mut out = String::from(
        "Every reply of yours is one JSON object that calls one function, thoughts first:\n\
         {\"inner_thoughts\": \"THOUGHTS\", \"function\": \"FUNCTION\", \"params\": {\"PARAMETER\": \"VALUE\"}}\n\
         To call several functions, write one such object on each line. Nobody but you sees the inner thoughts; keep \
         them below 50 words. The user sees only what send_message says.\n\nFunctions:\n\
         send_message:\n  description: Tells the user something.\n  params:\n    message (text): What the user is told.\n",
    );
    for function in functions {
        let parameters = super::json::to_python_json(&function.parameters);
        let _ = writeln!(out, "{}:\n  description: {}\n  params: {parameters}", function.name, function.description);
    }
    out.truncate(out.trim_end().len());
    out
}

/// A reply as it was generated.
fn reply(thoughts: Option<&str>, function: &str, params: &Map<String, Value>) -> String {
    super::json::to_python_json(&json!({
        "inner_thoughts": thoughts.unwrap_or_default(), "function": function, "params": params,
    }))
}

fn stamp(at: &Zoned) -> String {
    at.strftime(TIME_FORMAT).to_string().trim().to_string()
}

fn packaged(kind: &str, text: &str, at: &Zoned) -> String {
    super::json::to_python_json(&json!({"type": kind, "message": text, "time": stamp(at)}))
}

/// The packaged form of `message`.
fn turns(contents: &mut Contents, message: &Message, zone: &TimeZone) -> Result<Vec<Turn>, Error> {
    let at = chat::local_time(message.at_ms, zone)?;
    let stub = message.stub.as_deref();
    let user = |contents: &mut Contents, text: String| Turn::new(Role::User, contents.put(text));
    let mut turns = Vec::new();
    match &message.body {
        Body::User { text } => turns.push(user(contents, packaged("user_message", stub.unwrap_or(text), &at))),
        Body::Notification { notification } => {
            let text = notification_json(notification, stub, &at, zone)?;
            turns.push(user(contents, text));
        }
        Body::Summary { text, hidden_message_count } => {
            let text = format!("{} {}", chat::summary_heading(*hidden_message_count), stub.unwrap_or(text));
            turns.push(user(contents, packaged("system_alert", &text, &at)));
        }
        Body::FunctionResult { status, message: text, .. } => {
            let result = json!({"status": status.as_str(), "message": stub.unwrap_or(text), "time": stamp(&at)});
            turns.push(user(contents, super::json::to_python_json(&result)));
        }
        Body::Assistant { thoughts, text, call } => {
            let thoughts = thoughts.as_deref();
            if let Some(text) = text {
                let mut params = Map::new();
                params.insert("message".into(), stub.unwrap_or(text).into());
                turns.push(Turn::new(Role::Assistant, contents.put(reply(thoughts, SEND_MESSAGE, &params))));
            }
            if let Some(call) = call {
                let mut call = chat::shortened(call, stub.filter(|_| text.is_none()));
                call.arguments.entry(REQUEST_HEARTBEAT).or_insert(Value::Bool(true));
                let thoughts = thoughts.filter(|_| text.is_none());
                turns.push(Turn::new(Role::Assistant, contents.put(reply(thoughts, &call.name, &call.arguments))));
            }
            if message.interrupted && !turns.is_empty() {
                turns.push(user(contents, packaged("system_alert", chat::CUT_OFF, &at)));
            }
        }
    }
    Ok(turns)
}

fn notification_json(
    notification: &Notification,
    stub: Option<&str>,
    at: &Zoned,
    zone: &TimeZone,
) -> Result<String, Error> {
    Ok(match notification {
        Notification::Login { last_login_at_ms } => {
            let last_login = match last_login_at_ms {
                Some(at_ms) => stamp(&chat::local_time(*at_ms, zone)?),
                None => "Never (first login)".into(),
            };
            super::json::to_python_json(&json!({"type": "login", "last_login": last_login, "time": stamp(at)}))
        }
        Notification::Heartbeat { reason } => super::json::to_python_json(
            &json!({"type": "heartbeat", "reason": stub.unwrap_or(reason), "time": stamp(at)}),
        ),
        Notification::MemoryPressure | Notification::CoreMemoryEdited { .. } | Notification::Recollection { .. } => {
            packaged("system_alert", &chat::notification_text(notification, at, zone)?, at)
        }
    })
}

impl Family for Classic {
    fn name(&self) -> &'static str {
        "classic"
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

    fn said(&self, contents: &mut Contents, text: &str) -> Turn {
        let mut params = Map::new();
        params.insert("message".into(), text.into());
        Turn::new(Role::Assistant, contents.put(reply(None, SEND_MESSAGE, &params)))
    }

    fn turns(&self, contents: &mut Contents, message: &Message, zone: &TimeZone) -> Result<Vec<Turn>, Error> {
        turns(contents, message, zone)
    }

    /// `send_message` is governed by `policy.text` alone; where it stands among the calls it is left out there.
    fn grammar(&self, policy: &StepPolicy) -> Result<String, Error> {
        let mut step = StepRules::default();
        let mut actions = Vec::new();
        if let TextRule::Allowed { max_chars: max_chars @ 1.. } = policy.text {
            let text = json_string_rule(&mut step.rules, 1, max_chars)?;
            let before = literal(&format!("{SEND_MESSAGE}\", \"params\": {{\"message\": "));
            actions.push(format!("{before} {text} \"}}\""));
        }
        let calls = policy.calls.iter().filter(|call| call.name != SEND_MESSAGE);
        let heartbeat = LastMember { key: REQUEST_HEARTBEAT, value: "(\"true\" | \"false\")" };
        actions.extend(step.calls(calls, "\", \"params\": ", Some(heartbeat))?);
        if !actions.is_empty() {
            // A bound of 0 leaves thoughts empty.
            let thoughts = policy.max_thought_chars;
            let thoughts = json_string_rule(&mut step.rules, thoughts.min(1), thoughts)?;
            let (before, between) = (literal("{\"inner_thoughts\": "), literal(", \"function\": \""));
            step.action("reply", &format!("{before} {thoughts} {between} ({}) \"}}\"", actions.join(" | ")));
        }
        step.silence(policy);
        step.finish()
    }

    fn calls_grammar(&self, offer: &CallOffer) -> Result<String, Error> {
        let mut step = StepRules::default();
        let thoughts = json_string_rule(&mut step.rules, offer.max_thought_chars.min(1), offer.max_thought_chars)?;
        let text = json_string_rule(&mut step.rules, 1, offer.max_text_chars.max(1))?;
        let (before, between) = (literal("{\"inner_thoughts\": "), literal(", \"function\": \""));
        step.rules.define("call-begin", &format!("{before} {thoughts} {between}"));
        let message = literal(&format!("{SEND_MESSAGE}\", \"params\": {{\"message\": "));
        let mut forms = vec![format!(r#"call-begin {message} {text} "}}}}""#)];
        if let Some(calls) = step.defined_calls(&offer.functions, &literal("\", \"params\": "), Whitespace::Template)? {
            step.rules.define("call-object", &format!(r#"call-begin ({calls}) "}}""#));
            let more = offer.most_calls.saturating_sub(1);
            forms.push(format!(r#"call-object ("\n" call-object){{0,{more}}}"#));
        }
        step.action("reply", &forms.join(" | "));
        step.finish()
    }

    fn reply_parser(&self, _policy: &StepPolicy) -> Box<dyn ReplyParser> {
        Box::new(Parser {
            seen: Vec::new(),
            stream: CallStream::new(),
            thoughts: String::new(),
            message: String::new(),
        })
    }
}

struct Parser {
    seen: Vec<u8>,
    stream: CallStream,
    thoughts: String,
    message: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    inner_thoughts: String,
    function: String,
    params: Map<String, Value>,
}

impl ReplyParser for Parser {
    fn push(&mut self, _token: TokenId, bytes: &[u8]) -> Vec<Piece> {
        self.seen.extend_from_slice(bytes);
        let pieces = self.stream.push(bytes).into_iter();
        pieces
            .map(|(field, text)| match field {
                Field::Thoughts => {
                    self.thoughts.push_str(&text);
                    Piece::Thought(text)
                }
                Field::Message => {
                    self.message.push_str(&text);
                    Piece::Text(text)
                }
            })
            .collect()
    }

    fn finish(self: Box<Self>, complete: bool) -> Result<Action, Error> {
        if self.seen.is_empty() {
            return Ok(Action::Nothing);
        }
        match serde_json::from_slice::<Reply>(&self.seen) {
            Ok(reply) => reply.into_action(),
            Err(_) if !complete && !self.message.is_empty() => {
                Ok(Action::Text { thoughts: Some(self.thoughts), text: self.message })
            }
            Err(_) if !complete => Err(Error::Incomplete),
            Err(error) => Err(Error::Malformed { reason: error.to_string() }),
        }
    }
}

impl Reply {
    fn into_action(mut self) -> Result<Action, Error> {
        let thoughts = Some(self.inner_thoughts);
        if self.function == SEND_MESSAGE {
            return match self.params.shift_remove("message") {
                Some(Value::String(text)) => Ok(Action::Text { thoughts, text }),
                _ => Err(Error::Malformed { reason: format!("{SEND_MESSAGE} has no message") }),
            };
        }
        let request_heartbeat = match self.params.shift_remove(REQUEST_HEARTBEAT) {
            None => None,
            Some(Value::Bool(wish)) => Some(wish),
            Some(other) => return Err(Error::Malformed { reason: format!("{REQUEST_HEARTBEAT} is {other}") }),
        };
        Ok(Action::Call { thoughts, call: Call { name: self.function, arguments: self.params }, request_heartbeat })
    }
}
