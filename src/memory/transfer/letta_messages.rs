//! The messages of Letta's agent file as ours. One of their messages can make several calls, whose results come behind
//! it; ours makes one, and its result follows it: so a call waits here until its result has come.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::letta::{array, time_of};
use super::record::MessageRecord;
use crate::types::{Body, Call, Notification, Status};

/// The function by which an agent of the older kind speaks.
const SPEAKING_FUNCTION: &str = "send_message";

/// The messages of an agent, those in context marked.
pub(super) fn messages_of(agent: &Value) -> Vec<MessageRecord> {
    let ids = array(agent, "in_context_message_ids");
    let indices = array(agent, "in_context_message_indices");
    let mut reading = Reading::default();
    for (index, message) in array(agent, "messages").iter().enumerate() {
        let by_id = message.get("id").is_some_and(|id| ids.contains(id));
        reading.in_queue = by_id || indices.iter().any(|known| known.as_u64() == Some(index as u64));
        reading.at_ms = time_of(message).unwrap_or(reading.at_ms);
        reading.take(message);
    }
    reading.release();
    reading.found
}

/// A call whose result has not come.
struct Waiting {
    id: String,
    name: String,
    record: MessageRecord,
}

#[derive(Default)]
struct Reading {
    found: Vec<MessageRecord>,
    waiting: Vec<Waiting>,
    /// Functions by the id of their call, for results that come when nothing waits for them any more.
    names: HashMap<String, String>,
    at_ms: i64,
    in_queue: bool,
}

impl Reading {
    /// Takes a message: nothing of system prompts.
    fn take(&mut self, message: &Value) {
        let text = content_text(message, "text");
        match message.get("role").and_then(Value::as_str).unwrap_or_default() {
            "user" => {
                self.release();
                if let Some(text) = text {
                    let record = self.record(user_body(text));
                    self.found.push(record);
                }
            }
            "assistant" => {
                self.release();
                self.assistant(message, text, content_text(message, "reasoning"));
            }
            "tool" | "function" => self.results(message, &text.unwrap_or_default()),
            _ => {}
        }
    }

    fn record(&self, body: Body) -> MessageRecord {
        MessageRecord {
            at_ms: self.at_ms,
            body,
            interrupted: false,
            stub: None,
            streaming: false,
            in_queue: self.in_queue,
            hidden: false,
            speaker: None,
        }
    }

    /// Calls without a result go as they are.
    fn release(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            self.place_call(waiting.record);
        }
    }

    /// A call may come behind the result of one before it: times ascend.
    fn place_call(&mut self, mut record: MessageRecord) {
        record.at_ms = self.found.last().map_or(record.at_ms, |last| last.at_ms.max(record.at_ms));
        self.found.push(record);
    }

    fn assistant(&mut self, message: &Value, text: Option<String>, reasoning: Option<String>) {
        let calls = array(message, "tool_calls");
        if calls.is_empty() {
            if text.is_some() || reasoning.is_some() {
                let record = self.record(Body::Assistant { thoughts: reasoning, text, call: None });
                self.found.push(record);
            }
            return;
        }
        // Beside a call, the text of an agent of the older kind is its thoughts.
        let mut thoughts = reasoning.or(text);
        for call in calls {
            let function = call.get("function");
            let field = |key: &str| function.and_then(|function| function.get(key)).and_then(Value::as_str);
            let name = field("name").unwrap_or_default().to_owned();
            let arguments: Map<String, Value> =
                field("arguments").and_then(|packed| serde_json::from_str(packed).ok()).unwrap_or_default();
            let id = call.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            self.names.insert(id.clone(), name.clone());
            let said = arguments.get("message").and_then(Value::as_str).filter(|_| name == SPEAKING_FUNCTION);
            let thoughts = thoughts.take();
            if let Some(said) = said {
                let text = Some(said.to_owned());
                let record = self.record(Body::Assistant { thoughts, text, call: None });
                self.found.push(record);
            } else {
                let call = Some(Call { name: name.clone(), arguments });
                let record = self.record(Body::Assistant { thoughts, text: None, call });
                self.waiting.push(Waiting { id, name, record });
            }
        }
    }

    /// The results of a message: one, or those of several calls at once.
    fn results(&mut self, message: &Value, text: &str) {
        let id_of = |value: &Value| value.get("tool_call_id").and_then(Value::as_str).map(str::to_owned);
        let returned: Vec<(Option<String>, &str)> = array(message, "tool_returns")
            .iter()
            .filter_map(|returned| Some((id_of(returned), returned.get("func_response")?.as_str()?)))
            .collect();
        if returned.len() > 1 {
            returned.into_iter().for_each(|(id, text)| self.result(id.as_deref(), None, text));
        } else {
            let name = message.get("name").and_then(Value::as_str);
            self.result(id_of(message).as_deref(), name, text);
        }
    }

    fn result(&mut self, id: Option<&str>, name: Option<&str>, text: &str) {
        let is_asked = |waiting: &Waiting| match id {
            Some(id) => waiting.id == id,
            None => name.is_none_or(|name| waiting.name == name),
        };
        let call = self.waiting.iter().position(is_asked).map(|at| self.waiting.remove(at));
        let name = name
            .or(call.as_ref().map(|call| call.name.as_str()))
            .or_else(|| self.names.get(id?).map(String::as_str))
            .filter(|name| *name != SPEAKING_FUNCTION)
            .map(str::to_owned);
        if let Some(Waiting { record, .. }) = call {
            self.place_call(record);
        }
        if let Some(name) = name {
            let record = self.record(result_body(&name, text));
            self.found.push(record);
        }
    }
}

/// What is packed into a user message: their events are JSON.
fn user_body(text: String) -> Body {
    let Ok(Value::Object(packed)) = serde_json::from_str::<Value>(&text) else { return Body::User { text } };
    let field = |key: &str| packed.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let event = |notification| Body::Notification { notification };
    match packed.get("type").and_then(Value::as_str) {
        Some("user_message") => Body::User { text: field("message") },
        Some("login") => event(Notification::Login { last_login_at_ms: None }),
        Some("heartbeat") => event(Notification::Heartbeat { reason: field("reason") }),
        Some("system_alert") => event(Notification::Heartbeat { reason: field("message") }),
        _ => Body::User { text },
    }
}

fn result_body(name: &str, text: &str) -> Body {
    let packed = serde_json::from_str::<Value>(text).unwrap_or_default();
    let field = |key: &str| packed.get(key).and_then(Value::as_str);
    let status = if field("status") == Some("Failed") { Status::Failed } else { Status::Ok };
    let message = field("message").unwrap_or(text).to_owned();
    Body::FunctionResult { name: name.to_owned(), status, message }
}

/// The parts of a message's content of one kind, joined; none where there is nothing.
fn content_text(message: &Value, kind: &str) -> Option<String> {
    let content = message.get("content").or_else(|| message.get("text"))?;
    let text = match content {
        Value::String(text) if kind == "text" => text.clone(),
        Value::Array(parts) => {
            let of_kind = parts.iter().filter(|part| part.get("type").and_then(Value::as_str) == Some(kind));
            of_kind.filter_map(|part| part.get(kind).and_then(Value::as_str)).collect::<Vec<_>>().join("\n")
        }
        _ => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(id: &str, name: &str) -> Value {
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}})
    }

    fn result(id: &str, text: &str) -> Value {
        json!({"role": "tool", "tool_call_id": id, "content": text, "created_at": "2025-03-01T10:00:05Z"})
    }

    /// What stands there, in short: calls as `name()`, results as `name: text`.
    fn shown(messages: Value) -> Vec<String> {
        let found = messages_of(&json!({"messages": messages}));
        assert!(found.is_sorted_by_key(|message| message.at_ms), "{found:?}");
        let show = |message: MessageRecord| match message.body {
            Body::Assistant { call: Some(call), .. } => format!("{}()", call.name),
            Body::Assistant { text, .. } => text.unwrap_or_default(),
            Body::FunctionResult { name, message, .. } => format!("{name}: {message}"),
            Body::User { text } => text,
            other => format!("{other:?}"),
        };
        found.into_iter().map(show).collect()
    }

    #[test]
    fn the_result_of_each_of_several_calls_follows_its_call() {
        let asked = json!({"role": "assistant", "created_at": "2025-03-01T10:00:00Z",
            "tool_calls": [call("1", "look"), call("2", "listen")]});
        let pairs = ["look()", "look: a heron", "listen()", "listen: a rail"];
        assert_eq!(shown(json!([asked, result("1", "a heron"), result("2", "a rail")])), pairs);
        let other_way = ["listen()", "listen: a rail", "look()", "look: a heron"];
        assert_eq!(shown(json!([asked, result("2", "a rail"), result("1", "a heron")])), other_way);
        let at_once = json!({"role": "tool", "content": "both", "created_at": "2025-03-01T10:00:05Z", "tool_returns": [
            {"tool_call_id": "1", "status": "success", "func_response": "a heron"},
            {"tool_call_id": "2", "status": "success", "func_response": "a rail"}]});
        assert_eq!(shown(json!([asked, at_once])), pairs);
    }

    #[test]
    fn calls_without_a_result_and_results_without_a_call_are_kept() {
        let asked = json!({"role": "assistant", "tool_calls": [call("1", "look"), call("2", "listen")]});
        let hello = json!({"role": "user", "content": "hello"});
        assert_eq!(
            shown(json!([asked, result("2", "a rail"), hello, result("1", "late")])),
            ["listen()", "listen: a rail", "look()", "hello", "look: late"]
        );
        let said = json!({"role": "assistant", "tool_calls": [
            {"id": "3", "function": {"name": "send_message", "arguments": "{\"message\": \"ahoy\"}"}}]});
        assert_eq!(shown(json!([said, result("3", "None"), hello])), ["ahoy", "hello"]);
    }
}
