//! Native dialect of the Hermes and Qwen family: tools in the model's own template, calls as a JSON object between
//! the control tokens `<tool_call>` and `</tool_call>`, plain text as the answer.
//!
//! The exact spelling around name and arguments is read off the template by a trial, so that the grammar forces what
//! the model was trained on and a call renders again as it was generated.

use serde_json::{Map, Value, json};

use crate::grammar::policy::literal;
use crate::inference::Vocab;
use crate::types::{Call, FunctionSchema, StepPolicy, TokenId};

use super::chat::{self, ChatTemplate, Role, Turn};
use super::sentinel::{self, Contents};
use super::step_rules::{StepRules, TextRules};
use super::stream::TextStream;
use super::{Action, Dialect, Error, Piece, PromptParts, REQUEST_HEARTBEAT, ReplyParser, Segment};

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";

/// Whether the vocabulary has this family's tags as tokens.
pub(super) fn has_tags(vocab: &Vocab) -> bool {
    vocab.control(OPEN).is_some() && vocab.control(CLOSE).is_some()
}

#[derive(Debug)]
pub(super) struct Hermes {
    chat: ChatTemplate,
    tags: Tags,
    spelling: CallSpelling,
    text_rules: TextRules,
}

#[derive(Debug, Clone, Copy)]
struct Tags {
    open: TokenId,
    close: TokenId,
}

/// Text between the tags, around name and arguments.
#[derive(Debug, PartialEq, Eq)]
struct CallSpelling {
    before_name: String,
    before_arguments: String,
    after_arguments: String,
}

impl Hermes {
    /// The dialect for `chat`, tried with a conversation that has tools, calls and results.
    ///
    /// # Errors
    /// The vocabulary has no tags, or the template does not spell calls as this family does.
    pub(super) fn new(chat: ChatTemplate, vocab: &Vocab) -> Result<Self, Error> {
        let (Some(open), Some(close)) = (vocab.control(OPEN), vocab.control(CLOSE)) else {
            return Err(Error::Template { reason: format!("the vocabulary has no token {OPEN}") });
        };
        let spelling = find_spelling(&chat)?;
        Ok(Self { chat, tags: Tags { open, close }, spelling, text_rules: TextRules::default() })
    }
}

/// Renders a sample and takes the call in it apart.
fn find_spelling(chat: &ChatTemplate) -> Result<CallSpelling, Error> {
    let unlike = || Error::Template { reason: "it does not spell calls as the Hermes family does".into() };
    let mut contents = Contents::default();
    let system = contents.put("system");
    let name = contents.put("name");
    let (key, value) = (contents.put("key"), contents.put("value"));
    let mut arguments = Map::new();
    arguments.insert(key.clone(), value.clone().into());
    let turns = vec![
        Turn::new(Role::User, contents.put("user")),
        call_turn_from(name.clone(), arguments.into()),
        result_turn(&mut contents, "name", "result"),
        Turn::new(Role::Assistant, contents.put("answer")),
        Turn::new(Role::User, contents.put("user")),
        Turn::new(Role::User, contents.put("user")),
    ];
    let tool = FunctionSchema { name: "sample", description: "A sample.", parameters: &[] };
    let tools = tools(&mut contents, &[tool]);
    let output = chat.render_words(system, turns, Some(tools), true)?;
    contents.split(&output)?;

    let (before, after) = output.split_once(&name).ok_or_else(unlike)?;
    let (_, before_name) = before.rsplit_once(OPEN).ok_or_else(unlike)?;
    let (behind, _) = after.split_once(CLOSE).ok_or_else(unlike)?;
    let object = sentinel::mark_escaped(&super::json::to_python_json(&json!({ key: value }))).ok_or_else(unlike)?;
    let (before_arguments, after_arguments) = behind.split_once(&object).ok_or_else(unlike)?;
    let whole = format!("{before_name}name{before_arguments}{{}}{after_arguments}");
    if serde_json::from_str::<Value>(&whole).ok() != Some(json!({"name": "name", "arguments": {}})) {
        return Err(unlike());
    }
    Ok(CallSpelling {
        before_name: before_name.into(),
        before_arguments: before_arguments.into(),
        after_arguments: after_arguments.into(),
    })
}

fn call_turn_from(name: String, arguments: Value) -> Turn {
    let mut turn = Turn::new(Role::Assistant, String::new());
    let call = json!([{"type": "function", "function": {"name": name, "arguments": arguments}}]);
    turn.extra.insert("tool_calls".into(), call);
    turn
}

fn call_turn(contents: &mut Contents, call: &Call) -> Turn {
    let name = contents.put(&call.name);
    let mut arguments = call.arguments.clone();
    arguments.shift_remove(REQUEST_HEARTBEAT);
    call_turn_from(name, chat::with_sentinels(contents, &arguments.into()))
}

fn result_turn(contents: &mut Contents, name: &str, result: &str) -> Turn {
    let mut turn = Turn::new(Role::Tool, contents.put(result));
    turn.extra.insert("name".into(), contents.put_optional(name).into());
    turn
}

/// Function schemas with names and descriptions as contents. Keys and types are identifiers of this program.
fn tools(contents: &mut Contents, functions: &[FunctionSchema]) -> Value {
    fn hide(contents: &mut Contents, value: &mut Value) {
        if let Value::Object(map) = value {
            for (key, item) in map {
                match item {
                    Value::String(text) if key == "name" || key == "description" => *text = contents.put(text.as_str()),
                    _ => hide(contents, item),
                }
            }
        }
    }
    functions
        .iter()
        .map(|function| {
            let mut schema = function.to_json();
            hide(contents, &mut schema);
            schema
        })
        .collect()
}

impl Dialect for Hermes {
    fn name(&self) -> &'static str {
        "hermes"
    }

    fn render(&self, parts: &PromptParts<'_>) -> Result<Vec<Segment>, Error> {
        let mut contents = Contents::default();
        let (system, mut turns) = chat::system_turns(&mut contents, [parts.instructions, ""], parts.core_memory);
        let tools = (!parts.functions.is_empty()).then(|| tools(&mut contents, parts.functions));
        for message in parts.messages {
            turns.extend(chat::native_turns(&mut contents, message, parts.zone, call_turn, result_turn)?);
        }
        self.chat.render(contents, system, turns, tools)
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
        let mut step = StepRules::with_text(policy, &self.text_rules, None);
        let calls = step.arguments(&policy.calls, None)?;
        if !calls.is_empty() {
            let alternatives: Vec<String> = (calls.iter())
                .map(|(call, arguments)| {
                    let name = super::json::escape(&call.name);
                    format!("{} {arguments}", literal(&format!("{name}{}", self.spelling.before_arguments)))
                })
                .collect();
            let body = format!(
                "<[{}]> {} ({}) {} <[{}]>",
                self.tags.open.0,
                literal(&self.spelling.before_name),
                alternatives.join(" | "),
                literal(&self.spelling.after_arguments),
                self.tags.close.0
            );
            step.action("call", &body);
        }
        step.finish()
    }

    fn reply_parser(&self) -> Box<dyn ReplyParser> {
        Box::new(Parser { tags: self.tags, text: TextStream::default(), call: None, closed: false })
    }
}

struct Parser {
    tags: Tags,
    text: TextStream,
    call: Option<Vec<u8>>,
    closed: bool,
}

impl ReplyParser for Parser {
    fn push(&mut self, token: TokenId, bytes: &[u8]) -> Vec<Piece> {
        if token == self.tags.open {
            self.call.get_or_insert_default();
        } else if token == self.tags.close {
            self.closed = true;
        } else if let Some(call) = &mut self.call {
            if !self.closed {
                call.extend_from_slice(bytes);
            }
        } else {
            return self.text.push(bytes).map(Piece::Text).into_iter().collect();
        }
        Vec::new()
    }

    fn finish(self: Box<Self>, complete: bool) -> Result<Action, Error> {
        let text = self.text.into_text();
        let Some(call) = self.call else {
            return Ok(if text.is_empty() { Action::Nothing } else { Action::Text { thoughts: None, text } });
        };
        if !self.closed {
            return Err(if complete {
                Error::Malformed { reason: format!("{CLOSE} is missing") }
            } else {
                Error::Incomplete
            });
        }
        if !text.is_empty() {
            return Err(Error::Malformed { reason: format!("text stands before {OPEN}") });
        }
        Ok(Action::Call { thoughts: None, call: parse_call(&call)?, request_heartbeat: None })
    }
}

/// `{"name": .., "arguments": {..}}`.
///
/// # Errors
/// It is not such an object.
pub(super) fn parse_call(bytes: &[u8]) -> Result<Call, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Malformed { reason: error.to_string() })
}
