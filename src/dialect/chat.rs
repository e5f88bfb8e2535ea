//! What the dialects share: turns as chat templates want them, the wording of notices, and rendering through a
//! template whose demands on roles have been found out by trial.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::{Map, Value, json};

use crate::inference::{ModelIdentity, Vocab};
use crate::types::{Body, Call, Language, Message, Notification};

use super::sentinel::{Contents, ControlNames};
use super::template::Template;
use super::{Error, REQUEST_HEARTBEAT, Segment};

/// How messages and notices name a local time.
const TIME_FORMAT: &str = "%a %Y-%m-%d %H:%M";
/// Begins a conversation whose older part is out of view, where a template demands that the user speaks first.
const OPENER: &str = "[system notice: earlier messages are out of view]";

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A system turn behind the first one.
    System,
    User,
    Assistant,
    Tool,
}

/// One message for the template; its texts are sentinels.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) role: Role,
    pub(super) content: String,
    /// Further keys of the message object.
    pub(super) extra: Map<String, Value>,
}

impl Turn {
    pub(super) fn new(role: Role, content: String) -> Self {
        Self { role, content, extra: Map::new() }
    }
}

/// The moment `at_ms` in the user's time zone.
pub(super) fn local_time(at_ms: i64, zone: &TimeZone) -> Result<Zoned, Error> {
    let timestamp = Timestamp::from_millisecond(at_ms).map_err(|_| Error::Time { at_ms })?;
    Ok(timestamp.to_zoned(zone.clone()))
}

/// A text of the program to the model, which nobody can take for the user's.
pub(super) fn notice(text: &str) -> String {
    format!("[system notice: {text}]")
}

/// What a notification says, without packaging.
pub(super) fn notification_text(notification: &Notification, at: &Zoned, zone: &TimeZone) -> Result<String, Error> {
    Ok(match notification {
        Notification::Login { last_login_at_ms: None } => {
            format!("it is {}; the user opened the chat for the first time", at.strftime(TIME_FORMAT))
        }
        Notification::Login { last_login_at_ms: Some(before) } => format!(
            "it is {}; the user opened the chat again, after {}",
            at.strftime(TIME_FORMAT),
            local_time(*before, zone)?.strftime(TIME_FORMAT)
        ),
        Notification::Heartbeat { reason } => reason.clone(),
        Notification::MemoryPressure => {
            "the conversation has nearly filled the context window and its oldest messages will soon be out of view; \
             save now what must not be forgotten"
                .into()
        }
        Notification::CoreMemoryEdited { text } => format!("your notes have changed:\n{text}"),
        Notification::Recollection { text } => {
            format!("what your memory has on the next message; use what answers it, ignore the rest:\n{text}")
        }
    })
}

/// How many messages are out of view.
pub(super) fn summary_heading(hidden_message_count: u64) -> String {
    format!("{hidden_message_count} earlier messages are out of view; what they were about:")
}

/// Note behind a reply that was cut off.
pub(super) const CUT_OFF: &str = "the reply above was cut off before its end";

/// Messages as the two native dialects show them; calls and results are the dialect's own. Inner thoughts are left out:
/// these formats have no place for them, nor for the wish for a heartbeat.
///
/// # Errors
/// A time out of range.
pub(super) fn native_turns(
    contents: &mut Contents,
    message: &Message,
    zone: &TimeZone,
    call_turn: impl Fn(&mut Contents, &Call) -> Turn,
    result_turn: impl Fn(&mut Contents, &str, &str) -> Turn,
) -> Result<Vec<Turn>, Error> {
    let mut turns = Vec::new();
    let stub = message.stub.as_deref();
    let at = local_time(message.at_ms, zone)?;
    match &message.body {
        Body::User { text } => {
            // On a line of its own, which models do not imitate.
            let told = Language::foreign(text).map_or_else(String::new, |language| format!(", in {}", language.name()));
            let text = format!("[{}{told}]\n{}", at.strftime(TIME_FORMAT), stub.unwrap_or(text));
            turns.push(Turn::new(Role::User, contents.put(text)));
        }
        Body::Notification { notification } => {
            let text = match stub {
                Some(stub) => stub.into(),
                None => notification_text(notification, &at, zone)?,
            };
            turns.push(Turn::new(Role::User, contents.put(notice(&text))));
        }
        Body::Summary { text, hidden_message_count } => {
            let heading = notice(&summary_heading(*hidden_message_count));
            turns.push(Turn::new(Role::User, contents.put(format!("{heading}\n{}", stub.unwrap_or(text)))));
        }
        Body::Assistant { text, call, .. } => {
            if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
                turns.push(Turn::new(Role::Assistant, contents.put(stub.unwrap_or(text))));
            }
            if let Some(call) = call {
                let mut call = shortened(call, stub.filter(|_| text.is_none()));
                call.arguments.shift_remove(REQUEST_HEARTBEAT);
                turns.push(call_turn(contents, &call));
            }
            if message.interrupted && !turns.is_empty() {
                turns.push(Turn::new(Role::User, contents.put(notice(CUT_OFF))));
            }
        }
        Body::FunctionResult { name, status, message: text } => {
            let result = json!({"status": status.as_str(), "message": stub.unwrap_or(text)});
            turns.push(result_turn(contents, name, &super::json::to_python_json(&result)));
        }
    }
    Ok(turns)
}

/// `call` with its longest text argument replaced by `stub`.
pub(super) fn shortened(call: &Call, stub: Option<&str>) -> Call {
    let mut call = call.clone();
    let longest = call.arguments.values_mut().filter(|value| value.is_string());
    if let (Some(stub), Some(longest)) = (stub, longest.max_by_key(|value| value.as_str().map_or(0, str::len))) {
        *longest = stub.into();
    }
    call
}

/// `value` with every text in it, keys included, replaced by a sentinel.
pub(super) fn with_sentinels(contents: &mut Contents, value: &Value) -> Value {
    match value {
        Value::String(text) => contents.put(text).into(),
        Value::Array(items) => items.iter().map(|item| with_sentinels(contents, item)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, item)| (contents.put(key), with_sentinels(contents, item)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// What a template demands of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Demands {
    /// It knows no system role: the system text goes in front of the first message.
    folds_system: bool,
    /// Roles must alternate, the user first.
    alternates: bool,
    /// Only one system turn is understood.
    single_system: bool,
}

/// A chat template that has been tried, with what it takes to feed it.
#[derive(Debug, Clone)]
pub(super) struct ChatTemplate {
    template: Template,
    demands: Demands,
    controls: ControlNames,
    bos: String,
    eos: String,
}

impl ChatTemplate {
    /// Tries `source` with sample conversations, the least demanding way first.
    ///
    /// # Errors
    /// No way of feeding it brought every text into the prompt unchanged; the reason is that of the least demanding.
    pub(super) fn new(source: &str, identity: &ModelIdentity, vocab: &Vocab) -> Result<Self, Error> {
        let spelled = |token| String::from_utf8_lossy(vocab.bytes(token)).into_owned();
        let mut chat = Self {
            template: Template::new(source)?,
            demands: Demands::default(),
            controls: ControlNames::new(vocab.controls().map(|(name, _)| name)),
            // The caller reads the token itself where the model wants it; twice would be wrong.
            bos: vocab.bos().filter(|_| !identity.add_bos).map(spelled).unwrap_or_default(),
            eos: vocab.end_of_generation().first().copied().map(spelled).unwrap_or_default(),
        };
        let mut first_error = None;
        for (folds_system, alternates, single_system) in
            [(false, false, false), (false, false, true), (false, true, true), (true, true, true), (true, false, true)]
        {
            chat.demands = Demands { folds_system, alternates, single_system };
            match chat.try_samples() {
                Ok(()) => return Ok(chat),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or(Error::EmptyPolicy))
    }

    fn try_samples(&self) -> Result<(), Error> {
        use Role::{Assistant, System, User};
        for roles in [
            &[System, User][..],
            &[System, User, User, Assistant, Assistant, User],
            &[System, Assistant, User, Assistant, User, User],
        ] {
            let mut contents = Contents::default();
            let system = contents.put("system");
            let turns = roles.iter().map(|role| Turn::new(*role, contents.put("text"))).collect();
            self.render(contents, system, turns, None)?;
        }
        Ok(())
    }

    /// Whether the source speaks of `word` at all.
    pub(super) fn mentions(&self, word: &str) -> bool {
        self.template.mentions(word)
    }

    /// The prompt with the model's turn left open.
    ///
    /// # Errors
    /// The template failed or did not bring every text into the prompt unchanged.
    pub(super) fn render(
        &self,
        contents: Contents,
        system: String,
        turns: Vec<Turn>,
        tools: Option<Value>,
    ) -> Result<Vec<Segment>, Error> {
        let output = self.render_words(system, turns, tools, true)?;
        Ok(self.controls.isolate(contents.split(&output)?))
    }

    /// The template's output with the sentinels in it.
    pub(super) fn render_words(
        &self,
        system: String,
        turns: Vec<Turn>,
        tools: Option<Value>,
        add_generation_prompt: bool,
    ) -> Result<String, Error> {
        let (system, turns) = self.arranged(system, turns);
        let mut messages = Vec::with_capacity(turns.len() + 1);
        if !self.demands.folds_system {
            messages.push(json!({"role": "system", "content": system}));
        }
        for turn in turns {
            let role = match turn.role {
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
                Role::Tool => "tool",
            };
            let mut message = Map::new();
            message.insert("role".into(), role.into());
            message.insert("content".into(), turn.content.into());
            message.extend(turn.extra);
            messages.push(message.into());
        }
        let message_count = messages.len();
        let mut context = json!({
            "messages": messages,
            "add_generation_prompt": add_generation_prompt,
            "bos_token": self.bos,
            "eos_token": self.eos,
            "enable_thinking": false,
        });
        if let (Some(tools), Some(context)) = (tools, context.as_object_mut()) {
            context.insert("tools".into(), tools);
        }
        self.template.render(context, message_count)
    }

    /// System text and turns as the template demands them.
    fn arranged(&self, mut system: String, mut turns: Vec<Turn>) -> (String, Vec<Turn>) {
        let Demands { folds_system, alternates, single_system } = self.demands;
        if single_system {
            for turn in turns.extract_if(.., |turn| turn.role == Role::System) {
                system.push_str("\n\n");
                system.push_str(&turn.content);
            }
        }
        let mut arranged: Vec<Turn> = Vec::with_capacity(turns.len() + 1);
        let user_first = turns.first().is_some_and(|turn| turn.role == Role::User);
        if (folds_system || alternates) && !user_first {
            arranged.push(Turn::new(Role::User, OPENER.into()));
        }
        for turn in turns {
            match arranged.last_mut() {
                Some(last)
                    if alternates && last.role == turn.role && last.extra.is_empty() && turn.extra.is_empty() =>
                {
                    last.content.push_str("\n\n");
                    last.content.push_str(&turn.content);
                }
                _ => arranged.push(turn),
            }
        }
        if let Some(first) = arranged.first_mut().filter(|_| folds_system) {
            first.content = format!("{system}\n\n{}", first.content);
        }
        (system, arranged)
    }
}
