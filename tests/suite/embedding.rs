//! An agent with an embedder: it finds by meaning, embeds while nobody waits, and stops at once when somebody does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use mneme::config::Idle;
use mneme::dialect::Profile;
use mneme::inference::ScriptedReply;
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
fn what_says_nearly_the_same_is_told_to_the_user_and_to_the_model() {
    let store = call(Profile::Native, "archival_memory_insert", &[("content", "\"automobile melancholy beverage\"")]);
    let mut talk = Setting::new(Profile::Native, &[&store, "Noted."]).open();
    talk.agent.set_embedder(Some(Box::new(HashEmbedder::new())));
    assert_eq!(talk.notice("/archive car sad drink"), "Archived as 1 passage; archival storage holds 1 now.");
    let notice = talk.notice("/archive automobile sad beverage");
    assert!(notice.contains("says nearly the same: car sad drink"), "{notice}");
    let events = talk.say("Note that.");
    let told = results(&events)[0];
    assert!(told.starts_with("Stored in archival memory. A passage that says nearly the same"), "{told}");
    assert!(told.contains("sad"), "{told}");
}

/// Writes to the database while it embeds, as the thread does that keeps what the user types.
struct Writing {
    embedder: HashEmbedder,
    database: Connection,
    /// How often it was kept from it, and how often not.
    writes: Arc<[AtomicUsize; 2]>,
}

impl Embed for Writing {
    fn name(&self) -> &str {
        self.embedder.name()
    }

    fn dimensions(&self) -> usize {
        self.embedder.dimensions()
    }

    fn max_tokens(&self) -> usize {
        self.embedder.max_tokens()
    }

    fn token_count(&self, text: &str) -> usize {
        self.embedder.token_count(text)
    }

    fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, BoxError> {
        let written = self.database.execute("UPDATE agents SET heartbeats_paused_until_ms = NULL", []);
        self.writes[usize::from(written.is_ok())].fetch_add(1, Ordering::SeqCst);
        self.embedder.embed(texts)
    }
}

#[test]
fn while_a_text_of_the_user_is_embedded_others_can_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let mut setting = Setting::new(Profile::Native, &[]);
    setting.config.recollection = Some(true);
    let mut talk = setting.open_in(Store::open(&path, &ManualClock::at(0)).unwrap());
    let database = Connection::open(&path).unwrap();
    database.busy_timeout(Duration::ZERO).unwrap();
    let writes = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let embedder = Writing { embedder: HashEmbedder::new(), database, writes: Arc::clone(&writes) };
    talk.agent.set_embedder(Some(Box::new(embedder)));
    talk.notice("/archive The heron lives by the mill.");
    let archived = writes[1].load(Ordering::SeqCst);
    talk.say("Where does the heron live?");
    assert!(talk.prompt().contains("by the mill"), "{}", talk.prompt());
    assert!(archived > 0 && writes[1].load(Ordering::SeqCst) > archived);
    assert_eq!(writes[0].load(Ordering::SeqCst), 0);
}

#[test]
fn a_long_note_is_stored_in_parts_that_the_embedder_takes_in() {
    let note: String = (0..400).map(|n| format!("Line {n} tells of boat {n}. ")).collect();
    let mut talk = Setting::new(Profile::Native, &[]).open();
    talk.agent.set_embedder(Some(Box::new(HashEmbedder::new())));
    let notice = talk.notice(&format!("/archive {note}"));
    // 2800 words at 200 a passage, ended at sentences.
    assert!(notice.starts_with("Archived as 1") && notice.contains("passages"), "{notice}");
    assert!(!notice.contains("nearly the same"), "{notice}");
}

#[test]
fn a_giant_message_is_read_page_by_page_to_its_end() {
    let text: String = (0..900).map(|n| format!("Sentence {n} is about the marsh. ")).collect();
    let text = format!("{text}Now tell me: how many herons are there?");
    let folder = tempfile::tempdir().unwrap();
    let store = || Store::open(&folder.path().join("m.db"), &ManualClock::at(0)).unwrap();
    let mut talk = Setting::new(Profile::Native, &[]).open_in(store());
    talk.say(&text);
    let prompt = talk.prompt();
    drop(talk);
    assert!(prompt.contains("Sentence 0 is about") && prompt.contains("how many herons are there?"), "{prompt}");
    assert!(!prompt.contains("Sentence 400 is about"), "{prompt}");
    let query = prompt.split("with query ").nth(1).expect("the stub names a query");
    let query = format!("\"{}\"", query.split('"').nth(1).unwrap());
    let (mut read, mut page, mut last) = (String::new(), 0, None);
    let number = |text: &str| text.parse::<usize>().unwrap();
    while last.is_none_or(|last| page <= last) {
        // A new agent for each page: evictions in between have summaries made, which would use up replies.
        let mut setting = Setting::new(Profile::Native, &[]);
        let page_text = page.to_string();
        let arguments = [("query", query.as_str()), ("page", page_text.as_str())];
        setting.script.replies = vec![ScriptedReply {
            when: Some(format!("READ {page}.")),
            reply: call(Profile::Native, "archival_memory_search", &arguments),
            plain: false,
            repeat: true,
        }];
        let events = setting.open_in(store()).say(&format!("READ {page}."));
        let result = results(&events)[0];
        let (head, rest) = result.split_once("):\n").unwrap();
        let (at, end) = head.rsplit_once("(page ").unwrap().1.split_once('/').unwrap();
        assert_eq!(number(at), page, "{result}");
        last = Some(number(end));
        read.push_str(rest.rsplit_once('\n').unwrap().0);
        read.push(' ');
        page += 1;
    }
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&read), words(&text));
    assert!(page > 5, "{page} pages");
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
