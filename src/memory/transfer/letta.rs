//! Letta's agent file (`.af`): what of it we write and read.
//!
//! Written is the newer of its two shapes (`agents`, `blocks` ..; `letta/schemas/agent_file.py` of letta-ai/letta): both
//! blocks, every message that is not removed, which of them are in context, and the user's own system instructions. It
//! has no place for archival storage, the history of edits and checkpoints: passages ride in the agent's `metadata` under
//! `mneme`, the rest is left out and said. Read are both shapes; of the older one (`core_memory`, `messages`) the exports
//! of 2025 consist. System prompt, tools and model settings are another program's and are not taken over, but for the
//! system prompt of a file of ours.

use serde_json::{Map, Value, json};

use super::super::error::{Error, Result};
use super::super::main_context::BlockLabel;
use super::letta_messages::messages_of;
use super::record::{AgentRecord, BlockRecord, FORMAT, MessageRecord, PassageRecord, Record, VERSION};
use super::shown_time;
use crate::types::{Body, Notification};

/// Key of what is ours in an agent's `metadata`.
const OURS: &str = "mneme";
/// Limit of a block that a file gives none, and the largest that we take.
const DEFAULT_LIMIT_CHARS: u64 = 2000;
const MAX_LIMIT_CHARS: u64 = 20_000;
/// Where passages come from that were blocks other than our two.
const BLOCK_SOURCE: &str = "letta-block";

/// The file of an agent, and what it could not hold.
pub(super) fn to_file(records: Vec<Record>) -> (Value, Vec<String>) {
    let (mut agent, mut blocks, mut messages, mut in_context) = (json!({}), Vec::new(), Vec::new(), Vec::new());
    let (mut passages, mut left_out, mut sources) = (Vec::new(), [0_u64; 5], 0_u64);
    let (mut created, mut open_call) = (Value::Null, None);
    for record in records {
        match record {
            Record::Agent(record) => {
                created = iso(record.created_at_ms);
                agent = agent_object(&record);
            }
            Record::Block(block) => blocks.push(json!({
                "id": format!("block-{}", blocks.len()),
                "label": block.label.as_str(),
                "value": block.text,
                "limit": block.limit_chars,
                "is_template": false,
                "preserve_on_migration": false,
                "read_only": false,
                "metadata": {},
            })),
            Record::Message(message) if message.hidden => left_out[0] += 1,
            Record::Message(message) => {
                let id = format!("message-{}", messages.len());
                if message.in_queue {
                    in_context.push(Value::String(id.clone()));
                }
                messages.push(message_object(&id, &message, &mut open_call));
            }
            Record::Passage(passage) if passage.hidden => {}
            Record::Passage(passage) => passages.push(json!({
                "text": passage.text,
                "created_at": iso(passage.at_ms),
                "source": passage.source,
            })),
            Record::Edit(_) => left_out[1] += 1,
            Record::Checkpoint(_) => left_out[2] += 1,
            Record::Turn(_) => left_out[3] += 1,
            Record::Waiting(_) => left_out[4] += 1,
            Record::Attachment(_) => sources += 1,
            Record::Source(_) | Record::Document(_) | Record::Part(_) | Record::End { .. } => {}
        }
    }
    let block_ids: Vec<Value> = blocks.iter().filter_map(|block| block.get("id").cloned()).collect();
    if let Value::Object(agent) = &mut agent {
        agent.insert("block_ids".to_owned(), Value::Array(block_ids));
        agent.insert("in_context_message_ids".to_owned(), Value::Array(in_context));
        agent.insert("messages".to_owned(), Value::Array(messages));
        agent.insert("metadata".to_owned(), json!({OURS: {"passages": passages}}));
    }
    let file = json!({
        "agents": [agent],
        "groups": [],
        "blocks": blocks,
        "files": [],
        "sources": [],
        "tools": [],
        "mcp_servers": [],
        "metadata": {"written_by": concat!("mneme ", env!("CARGO_PKG_VERSION"))},
        "created_at": created,
    });
    (file, notices(left_out, sources))
}

fn notices(left_out: [u64; 5], sources: u64) -> Vec<String> {
    let [hidden, edits, checkpoints, turns, waiting] = left_out;
    let parts: Vec<String> = [
        (hidden, "removed messages"),
        (edits, "edits of core memory"),
        (checkpoints, "checkpoints"),
        (turns, "states that /undo goes back to"),
        (waiting, "messages that wait for an answer"),
        (sources, "attachments of sources"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    if parts.is_empty() {
        return Vec::new();
    }
    vec![format!("The .af format has no place for {}; --format mneme keeps them.", parts.join(", "))]
}

fn agent_object(record: &AgentRecord) -> Value {
    json!({
        "id": "agent-0",
        "name": record.name,
        "agent_type": "letta_v1_agent",
        "description": null,
        "system": record.instructions,
        "memory_blocks": [],
        "tools": [],
        "tool_ids": [],
        "source_ids": [],
        "tool_rules": [],
        "tags": [],
        "llm_config": null,
        "embedding_config": null,
        "initial_message_sequence": [],
        "include_base_tools": true,
        "include_multi_agent_tools": false,
        "include_base_tool_rules": false,
        "include_default_source": false,
        "tool_exec_environment_variables": {},
        "message_buffer_autoclear": false,
        "enable_sleeptime": false,
        "timezone": "UTC",
        "files_agents": [],
        "group_ids": [],
    })
}

/// A message in their shape. `open_call` is the id of the call whose result comes next.
fn message_object(id: &str, message: &MessageRecord, open_call: &mut Option<String>) -> Value {
    let text = |text: &str| json!([{"type": "text", "text": text}]);
    let event = |kind: &str, key: &str, value: &str| {
        text(&json!({"type": kind, key: value, "time": iso(message.at_ms)}).to_string())
    };
    let nothing = Value::Null;
    let mut object = Map::from_iter(
        [
            ("type", json!("message")),
            ("id", json!(id)),
            ("agent_id", json!("agent-0")),
            ("created_at", iso(message.at_ms)),
            ("name", nothing.clone()),
            ("model", nothing.clone()),
            ("tool_calls", nothing.clone()),
            ("tool_call_id", nothing),
            ("tool_returns", json!([])),
            ("approvals", json!([])),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    let (role, content) = match &message.body {
        Body::User { text: said } => ("user", text(said)),
        Body::Notification { notification } => (
            "user",
            match notification {
                Notification::Login { last_login_at_ms } => {
                    let last = last_login_at_ms.and_then(|at_ms| iso(at_ms).as_str().map(str::to_owned));
                    event("login", "last_login", last.as_deref().unwrap_or("Never (first login)"))
                }
                Notification::Heartbeat { reason } => event("heartbeat", "reason", reason),
                Notification::MemoryPressure => event("system_alert", "message", "The window is nearly full."),
                Notification::CoreMemoryEdited { text } | Notification::Recollection { text } => {
                    event("system_alert", "message", text)
                }
            },
        ),
        Body::Assistant { thoughts, text: said, call } => {
            let mut content = Vec::new();
            if let Some(thoughts) = thoughts {
                content.push(json!({"type": "reasoning", "is_native": false, "reasoning": thoughts}));
            }
            if let Some(said) = said {
                content.push(json!({"type": "text", "text": said}));
            }
            if let Some(call) = call {
                let call_id = format!("call-{id}");
                let arguments = Value::Object(call.arguments.clone()).to_string();
                let function = json!({"name": call.name, "arguments": arguments});
                let call = json!([{"id": call_id, "type": "function", "function": function}]);
                object.insert("tool_calls".to_owned(), call);
                *open_call = Some(call_id);
            }
            ("assistant", Value::Array(content))
        }
        Body::FunctionResult { name, status, message: answer } => {
            object.insert("name".to_owned(), json!(name));
            object.insert("tool_call_id".to_owned(), json!(open_call.take()));
            let packed = json!({"status": status.as_str(), "message": answer, "time": iso(message.at_ms)});
            ("tool", text(&packed.to_string()))
        }
        Body::Summary { text: summary, .. } => ("user", event("system_alert", "message", summary)),
    };
    object.insert("role".to_owned(), json!(role));
    object.insert("content".to_owned(), content);
    Value::Object(object)
}

fn iso(at_ms: i64) -> Value {
    jiff::Timestamp::from_millisecond(at_ms).map_or(Value::Null, |timestamp| Value::String(timestamp.to_string()))
}

fn wrong(reason: impl Into<String>) -> Error {
    Error::BadImport { line: None, reason: reason.into() }
}

/// The records of a file of either shape, and what was left out.
pub(super) fn to_records(file: &Value) -> Result<(Vec<Record>, Vec<String>)> {
    let mut notices = Vec::new();
    let (agent, blocks) = match file.get("agents").and_then(Value::as_array) {
        Some(agents) => {
            if agents.len() > 1 {
                notices.push(format!("The file holds {} agents; only the first was imported.", agents.len()));
            }
            let agent = agents.first().ok_or_else(|| wrong("it holds no agent"))?;
            (agent, blocks_of(agent, file))
        }
        None => (file, array(file, "core_memory").iter().collect()),
    };
    let created_at_ms = time_of(agent).or_else(|| time_of(file)).unwrap_or(0);
    let config = agent.get("llm_config");
    let model = config.and_then(|config| config.get("model")).and_then(Value::as_str).unwrap_or_default();
    let mut records = vec![Record::Agent(AgentRecord {
        format: FORMAT.to_owned(),
        version: VERSION,
        name: agent.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        created_at_ms,
        // Kept as the name of what it was; the next start names the model that runs here.
        model: model.to_owned(),
        profile: String::new(),
        context_window_tokens: 0,
        last_login_at_ms: None,
        memory_pressure_warned: false,
        passed_message: 0,
        heartbeats_paused_until_ms: None,
        instructions: None,
        chosen_model: None,
    })];
    let ours = agent.get("metadata").and_then(|metadata| metadata.get(OURS));
    let mut passages = Vec::new();
    take_blocks(&blocks, created_at_ms, &mut records, &mut passages);
    let messages = messages_of(agent);
    let system = agent.get("system").and_then(Value::as_str).filter(|system| !system.trim().is_empty());
    if let Some(Record::Agent(agent)) = records.first_mut() {
        // Nothing of another program's conversation is looked at again by a memory pass.
        agent.passed_message = messages.len() as u64;
        agent.instructions = ours.and(system).map(str::to_owned);
    }
    records.extend(messages.into_iter().map(Record::Message));
    for passage in ours.map(|ours| array(ours, "passages")).unwrap_or_default() {
        let Some(text) = passage.get("text").and_then(Value::as_str) else { continue };
        let source = passage.get("source").and_then(Value::as_str).map(str::to_owned);
        passages.push(PassageRecord {
            at_ms: time_of(passage).unwrap_or(created_at_ms),
            text: text.to_owned(),
            source,
            place: None,
            hidden: false,
        });
    }
    records.extend(passages.into_iter().map(Record::Passage));
    let has_tools = !array(agent, "tools").is_empty() || !array(file, "tools").is_empty();
    if has_tools || (ours.is_none() && system.is_some()) {
        notices.push("Tools, system prompt and model settings of the file were not taken over.".to_owned());
    }
    Ok((records, notices))
}

pub(super) fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The blocks that belong to an agent of the newer shape.
fn blocks_of<'a>(agent: &'a Value, file: &'a Value) -> Vec<&'a Value> {
    let ids = array(agent, "block_ids");
    let shared = array(file, "blocks").iter().filter(|block| block.get("id").is_some_and(|id| ids.contains(id)));
    shared.chain(array(agent, "memory_blocks")).collect()
}

/// Our two blocks; others become passages, so that what they say can be found.
fn take_blocks(blocks: &[&Value], at_ms: i64, records: &mut Vec<Record>, passages: &mut Vec<PassageRecord>) {
    let value_of = |block: &Value| block.get("value").and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    let label_of = |block: &Value| block.get("label").and_then(Value::as_str).unwrap_or_default().to_owned();
    for label in BlockLabel::ALL {
        let block = blocks.iter().find(|block| label_of(block) == label.as_str());
        let text = block.map(|block| value_of(block)).unwrap_or_default();
        let limit = block.and_then(|block| block.get("limit")).and_then(Value::as_u64).unwrap_or(DEFAULT_LIMIT_CHARS);
        let limit_chars = u32::try_from(limit.clamp(DEFAULT_LIMIT_CHARS, MAX_LIMIT_CHARS)).unwrap_or(u32::MAX);
        records.push(Record::Block(BlockRecord { label, text, limit_chars }));
    }
    for block in blocks {
        let (label, text) = (label_of(block), value_of(block));
        if BlockLabel::parse(&label).is_none() && !text.is_empty() {
            let source = Some(BLOCK_SOURCE.to_owned());
            passages.push(PassageRecord {
                at_ms,
                text: format!("{label}: {text}"),
                source,
                place: None,
                hidden: false,
            });
        }
    }
}

pub(super) fn time_of(object: &Value) -> Option<i64> {
    super::chats::time(object.get("created_at")?).and_then(shown_time)
}
