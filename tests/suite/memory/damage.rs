//! A database with random bytes in it: an error that says so, or work as usual; never a panic, and never a row lost that
//! could still be read.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mneme::app::chat::{Opened, Texts, open_agent};
use mneme::config::{Config, ConfigFile, Overrides};
use mneme::inference::{Script, ScriptedEngine};
use mneme::kernel::{Request, handle};
use mneme::memory::{AgentMemory, Embedding, NewAgent, Store};
use mneme::types::{Cancel, Cause, Clock, Event, ManualClock};
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{at, call, reply, result, user};
use crate::harness::embedder::HashEmbedder;

/// Damaged copies that are tried.
const COPIES: u64 = 40;
const MESSAGES: i64 = 300;
/// Turns at the end, each with a mark of the state before it, the last few taken back.
const TURNS: i64 = 40;
const UNDONE: usize = 6;

/// Everything that reads what is stored, or goes back and forth in it.
const COMMANDS: [&str; 14] = [
    "/redo 2",
    "/undo 3",
    "/redo",
    "/retry",
    "/undo",
    "/memory",
    "/dump",
    "/save other",
    "/undo 2",
    "/load other",
    "/pop 2",
    "/search herons",
    "/load point",
    "/forget heron number",
];

fn filled(path: &Path) {
    let mut memory = AgentMemory::create(at(path), &NewAgent::named("a", 0)).unwrap();
    for n in 0..MESSAGES / 4 {
        memory.record(&[user(&format!("question {n} about herons")), call("f"), result("f", "found")]).unwrap();
        memory.record(&[reply(&format!("answer {n}, {}", "and so on ".repeat(20)))]).unwrap();
    }
    let ids: Vec<_> = memory.view().queue().unwrap().iter().take(280).map(|message| message.id).collect();
    memory.evict(&ids, "They spoke about herons.", 1).unwrap();
    memory.save_checkpoint("point", 2).unwrap();
    let mut step = memory.step(3).unwrap();
    for n in 0..100 {
        step.archival_insert(&format!("passage {n} about a marsh"), None).unwrap();
    }
    step.commit().unwrap();
    for n in 0..TURNS {
        let mut step = memory.step(n).unwrap();
        step.begin_turn(&user(&format!("turn {n} about herons"))).unwrap();
        step.record(&reply("so be it")).unwrap();
        step.commit().unwrap();
    }
    let mut step = memory.step(TURNS).unwrap();
    step.undo(UNDONE).unwrap();
    step.commit().unwrap();
    memory.embed_pending(&mut HashEmbedder::new(), &Cancel::new(), &mut |_| {}).unwrap();
    memory.store().purge().unwrap();
}

/// What can be read of the messages, each row by itself.
fn readable(path: &Path) -> BTreeMap<i64, String> {
    let Ok(connection) = rusqlite::Connection::open(path) else { return BTreeMap::new() };
    let read = |id: i64| connection.query_row("SELECT body FROM messages WHERE id = ?1", [id], |row| row.get(0));
    // Behind the first of them stands the summary, in which forgetting puts the count right.
    (1..=MESSAGES + 1 + 2 * TURNS)
        .filter(|id| *id != MESSAGES + 1)
        .filter_map(|id| Some((id, read(id).ok()?)))
        .collect()
}

/// Opens the agent, takes a turn and looks at everything; the first error, with its hint.
fn used(path: &Path) -> Result<(), (String, String)> {
    let clock = ManualClock::at(10);
    let told = |error: mneme::memory::Error| (error.to_string(), error.hint().to_string());
    let store = Store::open(path, &clock).map_err(told)?;
    let file = ConfigFile { memory_pass: Some(false), ..ConfigFile::default() };
    let config = Config::new(PathBuf::from("unused"), file, Overrides::default()).unwrap();
    let script = Script { otherwise: Some("All right.".to_owned()), context_window: 8192, ..Script::default() };
    let engine = Box::new(ScriptedEngine::new(script));
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let Opened { mut agent, .. } = open_agent(&config, store, "a", Texts::default(), engine, clock, Cancel::new())
        .map_err(|error| (error.to_string(), error.hint()))?;
    let mut first_error = Ok(());
    agent.set_embedder(Some(Box::new(HashEmbedder::new())));
    let mut requests = COMMANDS.map(|text| Request::Command { text: text.to_owned() }).to_vec();
    // Behind the way forth, which a message ends.
    requests.insert(3, Request::User { text: "Hello.".to_owned() });
    for request in requests {
        handle(&mut agent, request, None, &mut |_: Cause, event: Event| {
            if let Event::Error { message, hint, .. } = event
                && first_error.is_ok()
            {
                first_error = Err((message, hint));
            }
        });
    }
    drop(agent);
    let mut memory = AgentMemory::open(at(path), "a").map_err(told)?;
    memory.view().search("herons", 0, 500).map_err(told)?;
    memory.view().archival_search("marsh", 0, 500).map_err(told)?;
    let mut embedder = HashEmbedder::new();
    memory.embed_pending(&mut embedder, &Cancel::new(), &mut |_| {}).map_err(told)?;
    let query = Embedding::of(&mut embedder, "a marsh with herons").map_err(told)?;
    memory.archival_search("marsh", Some(&query), 0, 500).map_err(told)?;
    memory.nearest_passages(&query, 50).map_err(told)?;
    memory.nearest_messages(&query, 50).map_err(told)?;
    first_error
}

#[test]
fn random_bytes_in_a_database_are_an_error_or_harmless_and_take_no_other_row_along() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.db");
    filled(&whole);
    assert_eq!(used(&copy(&whole, "control")), Ok(()));
    let bytes = std::fs::read(&whole).unwrap();
    let (mut errors, mut lost) = (0, 0);
    for seed in 0..COPIES {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut damaged = bytes.clone();
        for _ in 0..random.random_range(1..4) {
            let length = random.random_range(1..600);
            let from = random.random_range(0..damaged.len() - length);
            random.fill_bytes(&mut damaged[from..from + length]);
        }
        let path = whole.with_file_name(format!("damaged-{seed}.db"));
        std::fs::write(&path, &damaged).unwrap();
        let before = readable(&path);
        let outcome = catch_unwind(AssertUnwindSafe(|| used(&path)));
        let outcome = outcome.unwrap_or_else(|_| panic!("seed {seed}: a panic"));
        if let Err((message, hint)) = &outcome {
            errors += 1;
            assert!(!message.is_empty() && !hint.is_empty(), "seed {seed}: {message:?}, {hint:?}");
        }
        let after = readable(&path);
        for (id, body) in &before {
            assert_eq!(after.get(id), Some(body), "seed {seed}: message {id} could be read before, {outcome:?}");
        }
        lost += usize::try_from(MESSAGES + 2 * TURNS).unwrap() - before.len();
    }
    assert!(errors > COPIES / 4 && lost > 0, "the damage is too small to test anything: {errors} errors, {lost} rows");
}

fn copy(whole: &Path, name: &str) -> PathBuf {
    let path = whole.with_file_name(format!("{name}.db"));
    std::fs::copy(whole, &path).unwrap();
    path
}
