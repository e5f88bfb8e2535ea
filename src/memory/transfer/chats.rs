//! Chat histories of other programs: exports of ChatGPT and Claude, and plain messages as JSON.
//!
//! What the two sides said to each other becomes messages of recall storage with their dates: searchable, out of view.
//! They get row ids below those of the agent's own messages, because ids ascend with time everywhere else: neither a
//! checkpoint nor a memory pass nor the look for an unanswered message takes them for something new. A message that is
//! there already (same side, same time, same text) is not added again, so a second import of a file adds nothing.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{BufRead, Read};

use rusqlite::{Connection, TransactionBehavior, named_params};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::super::Store;
use super::super::error::{During, Error, Result};
use super::super::messages::kind_name;
use super::{next_line, shown_time};
use crate::types::{Body, Hasher};

/// Longest message that is taken, in bytes; pasted files of that length are no talk.
const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// Most messages of one file.
const MAX_MESSAGES: usize = 5_000_000;
/// Most bytes of one file after unpacking.
const MAX_FILE_BYTES: u64 = 8 << 30;
/// Numbers below this are seconds since 1970, others milliseconds: the year 5138 against 1973.
const SECONDS_BELOW: f64 = 1e11;
/// Messages between two calls of the progress function.
const PROGRESS_MESSAGES: u64 = 1000;

/// What an import of a chat history did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChatImport {
    /// Messages that were added.
    pub added: u64,
    /// Messages that were there already.
    pub known: u64,
    /// Messages without text, or longer than is taken.
    pub skipped: u64,
    /// Conversations in the file.
    pub conversations: u64,
}

/// A message of a file.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    by_user: bool,
    text: String,
    at_ms: Option<i64>,
}

/// The conversations of a file.
#[derive(Default)]
struct History {
    conversations: Vec<Vec<Said>>,
    message_count: usize,
    skipped: u64,
}

impl Store {
    /// Adds the chat history in `inputs` (one file, or the files of one archive) to the recall storage of the agent
    /// `name`, as one transaction. `lines` tells that each line is a message. `progress` is told the messages stored so
    /// far.
    ///
    /// # Errors
    /// There is no such agent, or it is open; [`Error::BadImport`] says what is wrong with the file; the database
    /// failed. Nothing was added then.
    pub fn import_chats(
        &mut self,
        name: &str,
        inputs: &mut [(Box<dyn BufRead + '_>, bool)],
        progress: &mut dyn FnMut(u64),
    ) -> Result<ChatImport> {
        let agent = self.known_agent_id(name)?;
        let _lock = self.lock_agent(agent, name)?;
        let mut history = History::default();
        for (input, lines) in inputs {
            if *lines { read_lines(&mut **input, &mut history)? } else { read_document(&mut **input, &mut history)? }
        }
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).during("begin a transaction")?;
        let done = store(&transaction, agent, history, progress)?;
        transaction.commit().during("store the messages")?;
        Ok(done)
    }
}

fn wrong(line: Option<u64>, reason: impl Into<String>) -> Error {
    Error::BadImport { line, reason: reason.into() }
}

impl History {
    fn add(&mut self, conversation: Vec<Said>) -> std::result::Result<(), String> {
        let before = conversation.len();
        let usable = |said: &Said| !said.text.trim().is_empty() && said.text.len() <= MAX_MESSAGE_BYTES;
        let kept: Vec<Said> = conversation.into_iter().filter(usable).collect();
        self.skipped += (before - kept.len()) as u64;
        self.message_count += kept.len();
        if self.message_count > MAX_MESSAGES {
            return Err(format!("it holds more than {MAX_MESSAGES} messages"));
        }
        if !kept.is_empty() {
            self.conversations.push(kept);
        }
        Ok(())
    }
}

fn read_lines(input: &mut dyn BufRead, history: &mut History) -> Result<()> {
    let (mut conversation, mut number) = (Vec::new(), 0);
    loop {
        number += 1;
        let Some(line) = next_line(input, number)? else { break };
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let value: Value = serde_json::from_slice(&line).map_err(|error| wrong(Some(number), error.to_string()))?;
        match plain(&value) {
            Some(said) => conversation.push(said),
            None if is_other_role(&value) => history.skipped += 1,
            None => return Err(wrong(Some(number), "it is no message: role and text (or content) are wanted")),
        }
        if conversation.len() > MAX_MESSAGES {
            return Err(wrong(Some(number), format!("it holds more than {MAX_MESSAGES} messages")));
        }
    }
    history.add(conversation).map_err(|reason| wrong(None, reason))
}

/// A JSON document is read one conversation at a time: exports can be larger than the memory.
fn read_document(input: &mut dyn BufRead, history: &mut History) -> Result<()> {
    let mut refused = None;
    let mut loose = Vec::new();
    let bounded = input.take(MAX_FILE_BYTES);
    let mut deserializer = serde_json::Deserializer::from_reader(bounded);
    let mut take = |value: &Value| {
        let conversation = conversation(value);
        match conversation {
            Some(conversation) => history.add(conversation),
            None => {
                loose.extend(plain(value));
                if loose.len() > MAX_MESSAGES {
                    Err(format!("it holds more than {MAX_MESSAGES} messages"))
                } else {
                    Ok(())
                }
            }
        }
    };
    let read = Document { take: &mut take, refused: &mut refused }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    if let Some(reason) = refused {
        return Err(wrong(None, reason));
    }
    read.map_err(|error| wrong(None, error.to_string()))?;
    history.add(loose).map_err(|reason| wrong(None, reason))
}

struct Document<'a> {
    take: &'a mut dyn FnMut(&Value) -> std::result::Result<(), String>,
    refused: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a conversation or an array of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> std::result::Result<(), A::Error> {
        while let Some(value) = sequence.next_element::<Value>()? {
            if let Err(reason) = (self.take)(&value) {
                *self.refused = Some(reason);
                return Err(serde::de::Error::custom("refused"));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        let mut object = serde_json::Map::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            object.insert(key, value);
        }
        if let Err(reason) = (self.take)(&Value::Object(object)) {
            *self.refused = Some(reason);
        }
        Ok(())
    }
}

/// The messages of a conversation of ChatGPT or Claude; none where it is neither.
fn conversation(value: &Value) -> Option<Vec<Said>> {
    if let Some(mapping) = value.get("mapping").and_then(Value::as_object) {
        return Some(branch(value, mapping));
    }
    let messages = value.get("chat_messages")?.as_array()?;
    let begun = value.get("created_at").and_then(time);
    Some(with_times(messages.iter().filter_map(plain).collect(), begun))
}

/// The branch of a ChatGPT conversation that its user saw last: from the current node up to the root.
fn branch(conversation: &Value, mapping: &serde_json::Map<String, Value>) -> Vec<Said> {
    let parent = |id: &str| mapping.get(id).and_then(|node| node.get("parent")).and_then(Value::as_str);
    let current = conversation.get("current_node").and_then(Value::as_str);
    // Without one, the newest leaf is where it ended.
    let mut next = current.filter(|id| mapping.contains_key(*id)).or_else(|| {
        let is_leaf = |node: &Value| node.get("children").and_then(Value::as_array).is_none_or(Vec::is_empty);
        mapping.iter().filter(|(_, node)| is_leaf(node)).map(|(id, _)| id.as_str()).next_back()
    });
    let mut said = Vec::new();
    let mut seen = HashSet::new();
    while let Some(id) = next {
        // A tree that leads back to itself ends here.
        if !seen.insert(id) {
            break;
        }
        said.extend(mapping.get(id).and_then(|node| node.get("message")).and_then(of_chatgpt));
        next = parent(id);
    }
    said.reverse();
    with_times(said, conversation.get("create_time").and_then(time))
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
    let text = parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n");
    Some(Said { by_user, text, at_ms: message.get("create_time").and_then(time) })
}

/// A message of Claude or of a plain file.
fn plain(value: &Value) -> Option<Said> {
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
    Some(Said { by_user, text, at_ms })
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
fn is_other_role(value: &Value) -> bool {
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

/// Gives messages without a time the one before them, the first one that of the conversation.
fn with_times(mut said: Vec<Said>, begun: Option<i64>) -> Vec<Said> {
    let mut last = begun;
    for message in &mut said {
        last = message.at_ms.or(last);
        message.at_ms = last;
    }
    said
}

fn fingerprint(kind: &str, at_ms: i64, text: &str) -> [u8; 32] {
    let mut hasher = Hasher::default();
    hasher.update(kind.as_bytes());
    hasher.update(&at_ms.to_le_bytes());
    hasher.update(text.as_bytes());
    hasher.bytes()
}

/// How often each message is in storage already, also where it was removed: it was not wanted then.
fn known(connection: &Connection, agent: i64) -> rusqlite::Result<HashMap<[u8; 32], u32>> {
    let mut found = HashMap::new();
    let mut statement = connection
        .prepare("SELECT kind, at_ms, searchable FROM messages WHERE agent_id = :agent AND searchable IS NOT NULL")?;
    let mut rows = statement.query(named_params! {":agent": agent})?;
    while let Some(row) = rows.next()? {
        let key = fingerprint(row.get_ref(0)?.as_str()?, row.get(1)?, row.get_ref(2)?.as_str()?);
        *found.entry(key).or_insert(0) += 1;
    }
    Ok(found)
}

fn store(connection: &Connection, agent: i64, history: History, progress: &mut dyn FnMut(u64)) -> Result<ChatImport> {
    let operation = "store the messages";
    let mut known = known(connection, agent).during("read the messages")?;
    let (created_at_ms, lowest): (i64, i64) = connection
        .query_row(
            "SELECT (SELECT created_at_ms FROM agents WHERE id = :agent),
                 (SELECT min(0, coalesce(min(id), 0)) FROM messages)",
            named_params! {":agent": agent},
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .during(operation)?;
    let mut conversations: Vec<Vec<Said>> =
        history.conversations.into_iter().map(|said| with_times(said, Some(created_at_ms))).collect();
    // Stable: conversations of the same moment stay in the order of the file.
    conversations.sort_by_key(|said| said.first().and_then(|first| first.at_ms));
    let mut done =
        ChatImport { skipped: history.skipped, conversations: conversations.len() as u64, ..ChatImport::default() };
    let mut new = Vec::new();
    for said in conversations.into_iter().flatten() {
        let at_ms = said.at_ms.unwrap_or(created_at_ms);
        let body = if said.by_user {
            Body::User { text: said.text }
        } else {
            Body::Assistant { thoughts: None, text: Some(said.text), call: None }
        };
        let key = fingerprint(kind_name(&body), at_ms, body.searchable_text().unwrap_or_default());
        match known.get_mut(&key).filter(|count| **count > 0) {
            Some(count) => {
                *count -= 1;
                done.known += 1;
            }
            None => new.push((at_ms, body)),
        }
    }
    let first = lowest - i64::try_from(new.len()).unwrap_or(i64::MAX);
    let mut statement = connection
        .prepare(
            "INSERT INTO messages (id, agent_id, at_ms, kind, body, searchable, in_queue)
             VALUES (:id, :agent, :at_ms, :kind, :body, :searchable, 0)",
        )
        .during(operation)?;
    for (id, (at_ms, body)) in (first..).zip(&new) {
        let json = serde_json::to_string(body).map_err(|source| Error::BadRow { table: "messages", id, source })?;
        statement
            .execute(named_params! {
                ":id": id,
                ":agent": agent,
                ":at_ms": at_ms,
                ":kind": kind_name(body),
                ":body": json,
                ":searchable": body.searchable_text(),
            })
            .during(operation)?;
        done.added += 1;
        if done.added.is_multiple_of(PROGRESS_MESSAGES) {
            progress(done.added);
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Vec<Vec<Said>> {
        let mut history = History::default();
        read_document(&mut text.as_bytes(), &mut history).unwrap();
        history.conversations
    }

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
        let tree = json!([{"create_time": 1_700_000_000, "current_node": "d", "mapping": {
            "root": {"parent": null, "message": null},
            "a": node(Some("root"), "system", "be kind"),
            "b": node(Some("a"), "user", "hello"),
            "c": node(Some("b"), "assistant", "an answer that was thrown away"),
            "d": node(Some("b"), "assistant", "hi"),
        }}]);
        let read = read(&tree.to_string());
        let texts: Vec<&str> = read[0].iter().map(|said| said.text.as_str()).collect();
        assert_eq!(texts, ["hello", "hi"]);
        assert!(read[0].iter().all(|said| said.at_ms == Some(1_700_000_000_000)));
    }

    #[test]
    fn a_tree_that_bites_its_tail_ends() {
        let node = |parent: &str| {
            json!({"parent": parent, "message": {"author": {"role": "user"},
                "content": {"content_type": "text", "parts": ["x"]}}})
        };
        let tree = json!({"current_node": "a", "mapping": {"a": node("b"), "b": node("a")}});
        assert_eq!(read(&tree.to_string())[0].len(), 2);
    }

    #[test]
    fn what_is_no_message_is_refused_with_its_line() {
        let refused = |text: &str| read_lines(&mut text.as_bytes(), &mut History::default()).unwrap_err().to_string();
        assert!(
            refused("{\"role\":\"user\",\"text\":\"x\"}\n{\"role\":\"user\"}").contains("line 2"),
            "a text is missing"
        );
        assert!(refused("{\"role\":\"user\",\"text\":\"x\"}\nnot json").contains("line 2"));
        let mut history = History::default();
        read_lines(&mut "{\"role\":\"system\",\"text\":\"x\"}\n\n".as_bytes(), &mut history).unwrap();
        assert_eq!((history.message_count, history.skipped), (0, 1));
    }
}
