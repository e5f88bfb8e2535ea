//! An agent with an embedder: it finds by meaning, embeds while nobody waits, and stops at once when somebody does.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use mneme::config::Idle;
use mneme::dialect::Profile;
use mneme::kernel::{Handle, Outgoing, Request, spawn};
use mneme::memory::{AgentMemory, BoxError, Embed, NewAgent, Store};
use mneme::types::{Event, ManualClock};
use rusqlite::Connection;

use crate::harness::agent::{Setting, call, messages};
use crate::harness::embedder::HashEmbedder;

fn results(events: &[Event]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| if let Event::Result { message, .. } = event { Some(message.as_str()) } else { None })
        .collect()
}

fn vectors(path: &std::path::Path, table: &str) -> i64 {
    let database = Connection::open(path).unwrap();
    database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn the_model_finds_by_meaning_what_it_has_stored() {
    let store = call(Profile::Native, "archival_memory_insert", &[("content", "\"Her feline sleeps.\"")]);
    let search = call(Profile::Native, "archival_memory_search", &[("query", "\"cat\""), ("page", "0")]);
    let replies = [store.as_str(), "Stored.", &search, "She has a cat."];
    let open = || Setting::new(Profile::Native, &replies).open();
    let mut with = open();
    with.agent.set_embedder(Some(Box::new(HashEmbedder::new())));
    with.say("My neighbour has a pet.");
    let events = with.say("What pet does she have?");
    assert!(results(&events)[0].contains("Her feline sleeps."), "{events:?}");
    assert_eq!(messages(&events), ["She has a cat."]);
    let mut without = open();
    without.say("My neighbour has a pet.");
    assert_eq!(results(&without.say("What pet does she have?")), ["No results found."]);
}

#[test]
fn an_embedder_that_fails_leaves_the_words() {
    let store = call(Profile::Native, "archival_memory_insert", &[("content", "\"The harbour is closed.\"")]);
    let search = call(Profile::Native, "archival_memory_search", &[("query", "\"harbour\""), ("page", "0")]);
    let mut talk = Setting::new(Profile::Native, &[&store, "Stored.", &search, "Closed."]).open();
    let broken = HashEmbedder { fails_after: Some(0), ..HashEmbedder::new() };
    talk.agent.set_embedder(Some(Box::new(broken)));
    talk.say("Note that.");
    assert!(results(&talk.say("And the harbour?"))[0].contains("The harbour is closed."));
}

#[test]
fn a_turn_that_waits_for_idle_work_ends_with_everything_embedded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let setting = Setting { idle: Idle::Wait, ..Setting::new(Profile::Native, &[]) };
    let mut talk = setting.open_in(Store::open(&path, &ManualClock::at(0)).unwrap());
    talk.agent.set_embedder(Some(Box::new(HashEmbedder::new())));
    talk.say("Good morning.");
    assert_eq!(vectors(&path, "message_vectors"), 2, "what the user said and the answer");
}

/// Tells of its first text and takes its time for each.
struct Slow {
    inner: HashEmbedder,
    begun: Option<Sender<()>>,
}

impl Embed for Slow {
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn dimensions(&self) -> usize {
        self.inner.dimensions()
    }
    fn max_tokens(&self) -> usize {
        self.inner.max_tokens()
    }
    fn token_count(&self, text: &str) -> usize {
        self.inner.token_count(text)
    }
    fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, BoxError> {
        if let Some(begun) = self.begun.take() {
            begun.send(()).unwrap();
        }
        std::thread::sleep(Duration::from_millis(10 * texts.len() as u64));
        self.inner.embed(texts)
    }
}

fn answered(handle: &Handle) {
    while handle.events.recv().unwrap() != Outgoing::Done {}
}

#[test]
fn a_message_stops_the_embedding_of_idle_time() {
    const PASSAGES: i64 = 2000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let mut memory =
        AgentMemory::create(Store::open(&path, &ManualClock::at(0)).unwrap(), &NewAgent::named("t", 0)).unwrap();
    let mut step = memory.step(0).unwrap();
    for number in 0..PASSAGES {
        step.archival_import(&format!("passage {number}"), None, 0).unwrap();
    }
    step.commit().unwrap();
    let talk = Setting::new(Profile::Native, &[]).open_in(memory.into_store());
    let (begun, has_begun) = channel();
    let slow = Slow { inner: HashEmbedder::new(), begun: Some(begun) };
    let mut agent = talk.agent;
    agent.set_embedder(Some(Box::new(slow)));
    let ready = Event::Notice { text: "ready".to_owned() };
    let handle = spawn(agent, ready, Arc::new(AtomicBool::new(true)));
    answered(&handle);
    assert_eq!(vectors(&path, "passage_vectors"), 0, "nothing runs before the first request");
    assert!(handle.requests.send(None, Request::User { text: "Hello.".to_owned() }));
    answered(&handle);
    has_begun.recv().unwrap();
    assert!(handle.requests.send(None, Request::User { text: "Hello again.".to_owned() }));
    answered(&handle);
    let made = vectors(&path, "passage_vectors");
    assert!((1..PASSAGES).contains(&made), "{made} of {PASSAGES} passages were embedded");
    assert!(handle.requests.send(None, Request::Exit));
    while handle.events.recv().is_ok() {}
}
