//! The memory through its public face, and what its tests share. Databases are in memory or in temporary folders; time stands still.

mod damage;
mod inbox;
mod interleavings;
mod migrations;
mod queue;
mod queue_manager;
mod recall;
mod search;
mod sources;
mod storage;
mod turns;
mod vectors;

use std::path::Path;

use mneme::memory::{AgentMemory, NewAgent, Store};
use mneme::types::{Body, Call, ManualClock, Message, NewMessage, Notification, Status};

fn user(text: &str) -> NewMessage {
    NewMessage { at_ms: 1, body: Body::User { text: text.into() }, interrupted: false }
}

fn reply_body(text: &str) -> Body {
    Body::Assistant { thoughts: None, text: Some(text.into()), call: None }
}

fn reply(text: &str) -> NewMessage {
    NewMessage { at_ms: 2, body: reply_body(text), interrupted: false }
}

fn call(name: &str) -> NewMessage {
    let call = Call { name: name.into(), arguments: serde_json::Map::new() };
    NewMessage {
        at_ms: 3,
        body: Body::Assistant { thoughts: Some("hm".into()), text: None, call: Some(call) },
        interrupted: false,
    }
}

fn result(name: &str, message: &str) -> NewMessage {
    let body = Body::FunctionResult { name: name.into(), status: Status::Ok, message: message.into() };
    NewMessage { at_ms: 4, body, interrupted: false }
}

fn event() -> NewMessage {
    let body = Body::Notification { notification: Notification::Heartbeat { reason: "heron".into() } };
    NewMessage { at_ms: 5, body, interrupted: false }
}

fn in_memory() -> AgentMemory {
    AgentMemory::create(Store::open_in_memory().unwrap(), &NewAgent::named("ada", 0)).unwrap()
}

fn load_checkpoint(memory: &mut AgentMemory, name: Option<&str>, at_ms: i64) -> mneme::memory::Result<String> {
    let mut step = memory.step(at_ms)?;
    let name = step.load_checkpoint(name)?;
    step.commit()?;
    Ok(name)
}

fn at(path: &Path) -> Store {
    Store::open(path, &ManualClock::at(0)).unwrap()
}

fn texts(messages: &[Message]) -> Vec<String> {
    messages.iter().map(mneme::memory::main_context::shown_text).collect()
}

fn found(memory: &AgentMemory, query: &str) -> Vec<String> {
    let page = memory.view().search(query, 0, 1000).unwrap();
    assert_eq!(page.total, page.items.len() as u64);
    page.items.into_iter().map(|hit| hit.text).collect()
}
