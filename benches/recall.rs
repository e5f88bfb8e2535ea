//! How long a search of recall storage takes: words that stand in every message, in few, and in none. On databases that
//! are made for it. Run: `cargo bench --bench recall`; `RECALL_ROWS` names the numbers of messages (1000,100000).

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mneme::memory::{AgentMemory, NewAgent, Store};
use mneme::types::{Body, ManualClock, NewMessage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Words of the messages, all equally likely.
const VOCABULARY: u32 = 5000;
/// As many results as the function shows on a page.
const PAGE_SIZE: u64 = 5;

/// An agent of whose messages each holds `river` and its own number; `日` stands in every hundredth.
fn filled(store: Store, name: &str, rows: u64) -> AgentMemory {
    let mut memory = AgentMemory::create(store, &NewAgent::named(name, 0)).expect("a new agent");
    let mut generator = ChaCha8Rng::seed_from_u64(rows);
    let mut step = memory.step(0).expect("nobody else writes");
    for row in 0..rows {
        let words = generator.random_range(5..40);
        let words: Vec<String> = (0..words).map(|_| format!("w{}", generator.random_range(0..VOCABULARY))).collect();
        let day = if row % 100 == 0 { "日" } else { "" };
        let text = format!("Remark {row} about the river {day}: {}", words.join(" "));
        let at_ms = i64::try_from(row).unwrap_or(i64::MAX) * 1000;
        step.record(&NewMessage { at_ms, body: Body::User { text }, interrupted: false }).expect("it is stored");
    }
    step.commit().expect("it is stored");
    memory
}

fn search(criterion: &mut Criterion) {
    let numbers = std::env::var("RECALL_ROWS").unwrap_or_else(|_| "1000,100000".to_owned());
    for rows in numbers.split(',').map(|number| number.trim().parse().expect("RECALL_ROWS holds numbers")) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("recall.db");
        let store = Store::open(&path, &ManualClock::at(0)).expect("a new database");
        let memory = filled(store, "a", rows);
        let mut group = criterion.benchmark_group(format!("{rows} messages"));
        group.sample_size(20);
        let queries = [("every message", "river"), ("few messages", "w17"), ("no message", "zebra"), ("a scan", "日")];
        for (what, query) in queries {
            group.bench_function(what, |bencher| {
                bencher.iter(|| memory.view().search(black_box(query), 0, PAGE_SIZE).expect("a search"));
            });
        }
        group.bench_function("every message, page 100", |bencher| {
            bencher.iter(|| memory.view().search(black_box("river"), 100, PAGE_SIZE).expect("a search"));
        });
        // What another agent has said is in the same index.
        let memory = filled(memory.into_store(), "b", 10);
        let memory = AgentMemory::open(memory.into_store(), "a").expect("it exists");
        group.bench_function("every message, beside another agent", |bencher| {
            bencher.iter(|| memory.view().search(black_box("river"), 0, PAGE_SIZE).expect("a search"));
        });
    }
}

criterion_group!(benches, search);
criterion_main!(benches);
