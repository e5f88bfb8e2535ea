//! What conversations of other programs say: exports of ChatGPT and Claude, and plain messages as JSON. Not responsible
//! for reading the files ([`super::bounded`]) nor for storing what was said ([`super::intake`]).

use std::collections::HashSet;

use serde_json::Value;

use super::shown_time;

/// Numbers below this are seconds since 1970, others milliseconds: the year 5138 against 1973.
const SECONDS_BELOW: f64 = 1e11;
/// The part of a ChatGPT message that holds what was spoken.
const TRANSCRIPTION: &str = "audio_transcription";

/// A message of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    pub(super) by_user: bool,
    pub(super) text: String,
    pub(super) at_ms: Option<i64>,
    /// Who said it, where the file gives a name.
    pub(super) speaker: Option<String>,
}

/// The messages of a conversation, and how many others it holds: of neither side, hidden, or without text.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Talk {
    pub(super) said: Vec<Said>,
    pub(super) left_out: u64,
}

impl Talk {
    fn add(&mut self, message: Option<Said>) {
        match message {
            Some(said) => self.said.push(said),
            None => self.left_out += 1,
        }
    }

    /// Gives messages without a time the one before them, the first one that of the conversation.
    fn with_times(mut self, begun: Option<i64>) -> Self {
        let mut last = begun;
        for message in &mut self.said {
            last = message.at_ms.or(last);
            message.at_ms = last;
        }
        self
    }
}

/// The messages of a conversation of ChatGPT or Claude; none where it is neither.
pub(super) fn conversation(value: &Value) -> Option<Talk> {
    if let Some(mapping) = value.get("mapping").and_then(Value::as_object) {
        return Some(branch(value, mapping));
    }
    let messages = value.get("chat_messages")?.as_array()?;
    let mut talk = Talk::default();
    messages.iter().for_each(|message| talk.add(plain(message)));
    Some(talk.with_times(value.get("created_at").and_then(time)))
}

/// The branch of a ChatGPT conversation that its user saw last: from the current node up to the root.
fn branch(conversation: &Value, mapping: &serde_json::Map<String, Value>) -> Talk {
    let parent = |id: &str| mapping.get(id).and_then(|node| node.get("parent")).and_then(Value::as_str);
    let current = conversation.get("current_node").and_then(Value::as_str);
    // Without one, the newest leaf is where it ended.
    let mut next = current.filter(|id| mapping.contains_key(*id)).or_else(|| {
        let is_leaf = |node: &Value| node.get("children").and_then(Value::as_array).is_none_or(Vec::is_empty);
        mapping.iter().filter(|(_, node)| is_leaf(node)).map(|(id, _)| id.as_str()).next_back()
    });
    let mut talk = Talk::default();
    let mut seen = HashSet::new();
    while let Some(id) = next {
        // A tree that leads back to itself ends here.
        if !seen.insert(id) {
            break;
        }
        // The root of a tree has no message.
        if let Some(message) = mapping.get(id).and_then(|node| node.get("message")).filter(|message| !message.is_null())
        {
            talk.add(of_chatgpt(message));
        }
        next = parent(id);
    }
    talk.said.reverse();
    talk.with_times(conversation.get("create_time").and_then(time))
}

/// A message of ChatGPT that was said and shown: no tools, no system prompts, no hidden context.
fn of_chatgpt(message: &Value) -> Option<Said> {
    let by_user = is_user(message.get("author")?.get("role")?.as_str()?)?;
    let hidden = message.get("metadata").and_then(|metadata| metadata.get("is_visually_hidden_from_conversation"));
    let content = message.get("content")?;
    let kind = content.get("content_type").and_then(Value::as_str).unwrap_or_default();
    let to_all = message.get("recipient").and_then(Value::as_str).is_none_or(|recipient| recipient == "all");
    if hidden.and_then(Value::as_bool) == Some(true) || !matches!(kind, "text" | "multimodal_text") || !to_all {
        return None;
    }
    let parts = content.get("parts")?.as_array()?;
    let text = parts.iter().filter_map(part_text).collect::<Vec<_>>().join("\n");
    Some(Said { by_user, text, at_ms: message.get("create_time").and_then(time), speaker: None })
}

/// What a part says: a text, or what was spoken. Pictures and sound say nothing.
fn part_text(part: &Value) -> Option<&str> {
    let spoken = || {
        let kind = part.get("content_type").and_then(Value::as_str);
        part.get("text").filter(|_| kind == Some(TRANSCRIPTION))?.as_str()
    };
    part.as_str().or_else(spoken)
}

/// A message of Claude or of a plain file.
pub(super) fn plain(value: &Value) -> Option<Said> {
    let role = value.get("role").or_else(|| value.get("sender"))?.as_str()?;
    let by_user = is_user(role)?;
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part.as_str().or_else(|| part.get("text")?.as_str()));
            Some(texts.collect::<Vec<_>>().join("\n"))
        }
        _ => None,
    };
    // Claude's `text` is empty where the parts hold it.
    let candidates = ["text", "content"].into_iter().filter_map(|key| value.get(key).and_then(text));
    let found: Vec<String> = candidates.collect();
    let text = found.iter().find(|text| !text.trim().is_empty()).or_else(|| found.first())?.clone();
    let times = ["time", "timestamp", "created_at", "create_time", "date"];
    let at_ms = times.into_iter().find_map(|key| value.get(key)).and_then(time);
    let names = ["name", "speaker"].into_iter().filter_map(|key| value.get(key)?.as_str());
    let speaker = names.map(str::trim).find(|name| !name.is_empty()).map(str::to_owned);
    Some(Said { by_user, text, at_ms, speaker })
}

/// Whether a role is the user's side; none where it is nobody's of the two.
fn is_user(role: &str) -> Option<bool> {
    match role.to_ascii_lowercase().as_str() {
        "user" | "human" => Some(true),
        "assistant" | "agent" | "model" | "bot" | "ai" => Some(false),
        _ => None,
    }
}

/// A line of someone who is neither side (a system prompt, a tool).
pub(super) fn is_other_role(value: &Value) -> bool {
    value
        .get("role")
        .or_else(|| value.get("sender"))
        .is_some_and(|role| role.as_str().is_some_and(|r| is_user(r).is_none()))
}

/// UTC milliseconds of a point in time: RFC 3339, a date and time without zone (UTC), or seconds or milliseconds since
/// 1970.
pub(super) fn time(value: &Value) -> Option<i64> {
    let at_ms = match value {
        Value::Number(number) => {
            let number = number.as_f64()?;
            let ms = if number.abs() < SECONDS_BELOW { number * 1000.0 } else { number };
            #[allow(clippy::cast_possible_truncation)]
            let ms = ms.round() as i64;
            ms
        }
        Value::String(text) => {
            let text = text.trim();
            let zoned = text.parse::<jiff::Timestamp>().ok();
            let local = || {
                let civil = text.parse::<jiff::civil::DateTime>().ok()?;
                civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
            };
            zoned.or_else(local)?.as_millisecond()
        }
        _ => return None,
    };
    shown_time(at_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_come_in_many_forms() {
        for value in [
            json!(1_700_000_000),
            json!(1_700_000_000.0),
            json!(1_700_000_000_000_i64),
            json!("2023-11-14T22:13:20Z"),
            json!("2023-11-14T23:13:20+01:00"),
            json!("2023-11-14 22:13:20"),
        ] {
            assert_eq!(time(&value), Some(1_700_000_000_000), "{value}");
        }
        for value in [json!(null), json!("soon"), json!(1e300), json!([]), json!("")] {
            assert_eq!(time(&value), None, "{value}");
        }
    }

    #[test]
    fn of_a_tree_the_branch_that_was_seen_last_is_read() {
        let node = |parent: Option<&str>, role: &str, text: &str| {
            json!({"parent": parent, "children": [], "message": {
                "author": {"role": role}, "create_time": null,
                "content": {"content_type": "text", "parts": [text]}}})
        };
        let tree = json!({"create_time": 1_700_000_000, "current_node": "d", "mapping": {
            "root": {"parent": null, "message": null},
            "a": node(Some("root"), "system", "be kind"),
            "b": node(Some("a"), "user", "hello"),
            "c": node(Some("b"), "assistant", "an answer that was thrown away"),
            "d": node(Some("b"), "assistant", "hi"),
        }});
        let talk = conversation(&tree).unwrap();
        let texts: Vec<&str> = talk.said.iter().map(|said| said.text.as_str()).collect();
        assert_eq!((texts.as_slice(), talk.left_out), (["hello", "hi"].as_slice(), 1));
        assert!(talk.said.iter().all(|said| said.at_ms == Some(1_700_000_000_000)));
    }

    #[test]
    fn a_tree_that_bites_its_tail_ends() {
        let node = |parent: &str| {
            json!({"parent": parent, "message": {"author": {"role": "user"},
                "content": {"content_type": "text", "parts": ["x"]}}})
        };
        let tree = json!({"current_node": "a", "mapping": {"a": node("b"), "b": node("a")}});
        assert_eq!(conversation(&tree).unwrap().said.len(), 2);
    }

    #[test]
    fn what_was_spoken_is_taken_and_sound_is_not() {
        let message = json!({"author": {"role": "user"}, "content": {"content_type": "multimodal_text", "parts": [
            {"content_type": "audio_transcription", "text": "Is the tide in?", "direction": "in"},
            {"content_type": "audio_asset_pointer", "asset_pointer": "file-service://x", "text": "no speech"},
            "And the wind?",
        ]}});
        assert_eq!(of_chatgpt(&message).unwrap().text, "Is the tide in?\nAnd the wind?");
    }

    #[test]
    fn names_of_speakers_are_taken() {
        let speaker = |value: Value| plain(&value).unwrap().speaker;
        assert_eq!(speaker(json!({"role": "user", "name": " Ada ", "text": "x"})).as_deref(), Some("Ada"));
        assert_eq!(speaker(json!({"role": "user", "name": "", "speaker": "Bo", "text": "x"})).as_deref(), Some("Bo"));
        assert_eq!(speaker(json!({"role": "user", "name": 7, "text": "x"})), None);
    }
}
