//! Native dialect of the Hermes and Qwen family: tools in the model's own template, calls as a JSON object between
//! the control tokens `<tool_call>` and `</tool_call>`, plain text as the answer.
//!
//! The exact spelling around name and arguments is read off the template by a trial, so that the grammar forces what
//! the model was trained on.
//!
//! Not every model of the family writes the tags that its own template asks for: Qwen2.5-Coder-1.5B gives `<tool_call>`
//! a probability below 0.001 wherever it was looked at, also behind an example of a call, and writes the bare object,
//! with one brace or (as its template misprints it) two, between `<tools>`, or in a fence. Refused, it went on with
//! whatever came second, often the user's own sentence. So these are calls too, at the very beginning of a generation
//! and only with the name of a function; text cannot begin like that. In the prompt all calls stand between the tags.

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::grammar::policy::literal;
use crate::grammar::schema::Whitespace;
use crate::inference::Vocab;
use crate::types::{Call, CallOffer, FunctionDefinition, FunctionSchema, Message, StepPolicy, TokenId};

use super::chat::{self, ChatTemplate, Role, Turn};
use super::family::Family;
use super::native_reply::{Kind, NativeReply, parse_call};
use super::sentinel::{self, Contents};
use super::step_rules::{StepRules, TextRules};
use super::{Action, Error, Piece, ReplyParser};

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";
/// First key of a call.
const NAME_KEY: &str = "name";

/// Spelled beginnings and ends of calls that the model may write in place of the tags.
const SPELLED: &[(&str, &str)] = &[("", ""), ("{", "}"), ("<tools>\n", "\n</tools>"), ("```json\n", "\n```")];

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

    /// Defines the object of a call, of which `calls` is what differs from call to call; gives back the call between tags.
    fn call_object(&self, step: &mut StepRules, calls: &str) -> String {
        let (before, after) = (&self.spelling.before_name, &self.spelling.after_arguments);
        let object = format!("{} ({calls}) {}", literal(before.trim_start()), literal(after.trim_end()));
        step.rules.define("call-object", &object);
        let leading = literal(&before[..before.len() - before.trim_start().len()]);
        let trailing = literal(&after[after.trim_end().len()..]);
        format!("<[{}]> {leading} call-object {trailing} <[{}]>", self.tags.open.0, self.tags.close.0)
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
    call_turn_from(name, chat::with_sentinels(contents, &call.arguments.clone().into()))
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

impl Family for Hermes {
    fn name(&self) -> &'static str {
        "hermes"
    }

    fn chat(&self) -> &ChatTemplate {
        &self.chat
    }

    fn described(&self, _functions: &[FunctionSchema]) -> String {
        String::new()
    }

    fn tools(&self, contents: &mut Contents, functions: &[FunctionSchema]) -> Option<Value> {
        (!functions.is_empty()).then(|| tools(contents, functions))
    }

    fn defined(&self, _functions: &[FunctionDefinition]) -> String {
        String::new()
    }

    fn definitions(&self, contents: &mut Contents, functions: &[FunctionDefinition]) -> Option<Value> {
        (!functions.is_empty()).then(|| {
            let definition = |function: &FunctionDefinition| {
                let FunctionDefinition { name, description, parameters } = function;
                let (name, description) = (contents.put(name), contents.put(description));
                let parameters = chat::with_sentinels(contents, parameters);
                FunctionDefinition { name, description, parameters }.to_json()
            };
            functions.iter().map(definition).collect()
        })
    }

    fn turns(&self, contents: &mut Contents, message: &Message, zone: &TimeZone) -> Result<Vec<Turn>, Error> {
        chat::native_turns(contents, message, zone, call_turn, result_turn)
    }

    fn grammar(&self, policy: &StepPolicy) -> Result<String, Error> {
        let mut step = StepRules::with_text(policy, &self.text_rules, None);
        if let Some(calls) = step.calls(&policy.calls, &self.spelling.before_arguments, None)? {
            let tagged = self.call_object(&mut step, &calls);
            let spelled =
                SPELLED.iter().map(|(open, close)| format!("{} call-object {}", literal(open), literal(close)));
            let forms: Vec<String> = [tagged].into_iter().chain(spelled).collect();
            step.action("call", &forms.join(" | "));
        }
        step.finish()
    }

    /// Several calls stand one below the other: each between tags of its own, or all within what is spelled around one.
    /// What is spelled may have any white space: models that do without the tags write indented objects as often.
    fn calls_grammar(&self, offer: &CallOffer) -> Result<String, Error> {
        let CallSpelling { before_name, before_arguments, after_arguments } = &self.spelling;
        let mut step = StepRules::with_text_beside(offer, NAME_KEY);
        let between = literal(before_arguments);
        if let Some(calls) = step.defined_calls(&offer.functions, &between, Whitespace::Template)? {
            let tagged = self.call_object(&mut step, &calls);
            step.rules.define("call-tagged", &tagged);
            let more = offer.most_calls.saturating_sub(1);
            let mut forms = vec![format!(r#"call-tagged ("\n" call-tagged){{0,{more}}}"#)];
            forms.extend(step.spelled_calls(offer, [before_name, before_arguments, after_arguments], SPELLED)?);
            step.action("call", &forms.join(" | "));
        }
        step.finish()
    }

    fn call_tags(&self) -> Vec<TokenId> {
        vec![self.tags.open, self.tags.close]
    }

    fn reply_parser(&self, policy: &StepPolicy) -> Box<dyn ReplyParser> {
        let begin = self.spelling.before_name.trim_start();
        let spelled = SPELLED
            .iter()
            .flat_map(|(open, _)| {
                let begin_of = move |name: &String| SpelledCall {
                    begin: format!("{open}{begin}{}\"", super::json::escape(name)).into_bytes(),
                    object_at: open.len(),
                };
                policy.function_names.iter().map(begin_of)
            })
            .collect();
        Box::new(Parser {
            tags: self.tags,
            spelled,
            reply: NativeReply::default(),
            tagged: false,
            closed: false,
            misplaced: false,
        })
    }
}

/// How a spelled call begins.
struct SpelledCall {
    /// Up to the end of the function's name.
    begin: Vec<u8>,
    /// Where the call's object begins in it, in bytes.
    object_at: usize,
}

struct Parser {
    tags: Tags,
    spelled: Vec<SpelledCall>,
    reply: NativeReply,
    /// The opening tag has come.
    tagged: bool,
    closed: bool,
    /// A tag stood where none can.
    misplaced: bool,
}

/// Whether a reply that begins with `seen` is a spelled call.
fn kind_of(seen: &[u8], spelled: &[SpelledCall]) -> Kind {
    if spelled.iter().any(|call| seen.starts_with(&call.begin)) {
        Kind::Call
    } else if spelled.iter().any(|call| call.begin.starts_with(seen)) {
        Kind::Unknown
    } else {
        Kind::Text
    }
}

/// A call between the tags.
fn tagged_call(seen: &[u8], closed: bool, complete: bool) -> Result<Call, Error> {
    match (closed, complete) {
        (true, _) => parse_call(seen),
        (false, true) => Err(Error::Malformed { reason: format!("{CLOSE} is missing") }),
        (false, false) => Err(Error::Incomplete),
    }
}

/// The object of a spelled call; what encloses it carries no meaning.
fn spelled_call(seen: &[u8], spelled: &[SpelledCall], complete: bool) -> Result<Call, Error> {
    let spelled = spelled.iter().find(|call| seen.starts_with(&call.begin));
    let object = spelled.and_then(|call| seen.get(call.object_at..)).unwrap_or_default();
    match serde_json::Deserializer::from_slice(object).into_iter::<Call>().next() {
        Some(Ok(call)) => Ok(call),
        Some(Err(error)) if complete => Err(Error::Malformed { reason: error.to_string() }),
        Some(Err(_)) | None => Err(Error::Incomplete),
    }
}

impl ReplyParser for Parser {
    fn push(&mut self, token: TokenId, bytes: &[u8]) -> Vec<Piece> {
        if token == self.tags.open {
            self.misplaced |= self.reply.holds_bytes() || self.reply.kind() != Kind::Unknown;
            self.tagged = true;
            self.reply.open_call();
        } else if token == self.tags.close {
            self.misplaced |= !self.tagged;
            self.closed = true;
        } else if !self.closed {
            return self.reply.push(bytes, |seen| kind_of(seen, &self.spelled));
        }
        Vec::new()
    }

    fn finish(self: Box<Self>, complete: bool) -> Result<Action, Error> {
        let Self { spelled, reply, tagged, closed, misplaced, .. } = *self;
        if misplaced {
            return Err(Error::Malformed { reason: format!("{OPEN} or {CLOSE} stands behind text") });
        }
        reply.finish(complete, |seen| match tagged {
            true => tagged_call(seen, closed, complete),
            false => spelled_call(seen, &spelled, complete),
        })
    }
}
