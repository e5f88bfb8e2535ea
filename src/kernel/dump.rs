//! The texts of `/dump` and `/dumpraw`: the messages in view, numbered from the end, so that `/pop n` removes those up to `[n]`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::types::{Body, Message, Notification};

/// The last `count` messages of the queue, or all.
pub(super) fn dump(messages: &[Message], count: Option<usize>, zone: &TimeZone) -> String {
    let skipped = count.map_or(0, |count| messages.len().saturating_sub(count));
    let lines: Vec<String> = messages
        .iter()
        .enumerate()
        .skip(skipped)
        .map(|(index, message)| format!("[{}] {}", messages.len() - index, line(message, zone)))
        .collect();
    if lines.is_empty() { "No messages are in view.".to_owned() } else { lines.join("\n") }
}

/// The same messages as they are stored, one JSON object a line.
pub(super) fn dump_raw(messages: &[Message], count: Option<usize>) -> String {
    let skipped = count.map_or(0, |count| messages.len().saturating_sub(count));
    let raw = |message: &Message| {
        serde_json::json!({
            "id": message.id.0,
            "at_ms": message.at_ms,
            "body": message.body,
            "interrupted": message.interrupted,
            "stub": message.stub,
        })
        .to_string()
    };
    let lines: Vec<String> = messages.iter().skip(skipped).map(raw).collect();
    if lines.is_empty() { "No messages are in view.".to_owned() } else { lines.join("\n") }
}

fn line(message: &Message, zone: &TimeZone) -> String {
    let time = local_time(message.at_ms, zone);
    let interrupted = if message.interrupted { " (interrupted)" } else { "" };
    let stub = if message.stub.is_some() { " (paged out)" } else { "" };
    let text = match &message.body {
        Body::User { text } => format!("user: {text}"),
        Body::Notification { notification } => match notification {
            Notification::Login { .. } => "event: login".to_owned(),
            Notification::Heartbeat { reason } => format!("event: heartbeat ({reason})"),
            Notification::MemoryPressure => "event: memory pressure".to_owned(),
            Notification::CoreMemoryEdited { text } => format!("event: core memory edited: {text}"),
            Notification::Recollection { text } => format!("event: recollection: {text}"),
        },
        Body::Assistant { thoughts, text, call } => {
            let thoughts = thoughts.as_ref().map(|thoughts| format!("thought: {thoughts}"));
            let text = text.as_ref().map(|text| format!("agent: {text}"));
            let call = call
                .as_ref()
                .map(|call| format!("call: {} {}", call.name, serde_json::Value::Object(call.arguments.clone())));
            [thoughts, text, call].into_iter().flatten().collect::<Vec<_>>().join("\n    ")
        }
        Body::FunctionResult { name, status, message } => format!("result: {name} {}: {message}", status.as_str()),
        Body::Summary { text, hidden_message_count } => {
            format!("summary of {hidden_message_count} messages out of view: {text}")
        }
    };
    format!("{time} {text}{interrupted}{stub}")
}

/// `2026-02-03 14:05` in the user's zone.
pub(super) fn local_time(at_ms: i64, zone: &TimeZone) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(
        |_| "?".to_owned(),
        |timestamp| timestamp.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string(),
    )
}
