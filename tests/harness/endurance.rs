//! A long talk with the program itself, whose memory and window are watched from outside.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::program::reply;
use super::world::World;

/// Window of the talk, in tokens.
const WINDOW_TOKENS: u64 = 4096;
/// What the memory may grow by after the first measurement: a tenth, and what an allocator and SQLite's page cache
/// still take up.
const GROWTH_FRACTION: f64 = 0.1;
const GROWTH_BYTES: f64 = 8e6;

/// Resident memory of a process, in bytes.
fn resident_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Holds `turns` turns in a window of 4096 tokens. Every one is answered without an error, no prompt is longer than the
/// window, nothing is lost, and from turn `settled` on the memory stays as it is.
pub fn endure(seed: u64, turns: usize, settled: usize) {
    let world = World::new();
    let always = |when: &str, reply: &str| json!({"when": when, "reply": reply, "repeat": true});
    let call = |name: &str, arguments: &str| {
        format!("<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {arguments}}}\n</tool_call>")
    };
    let script = json!({
        "context_window": WINDOW_TOKENS,
        "otherwise": "I see, and I am glad that you told me.",
        "replies": [
            always("Write a summary of them", "We spoke about the weather and the old house. The user likes both."),
            always("nearly filled", ""),
            always("<tool_response>", "That is done."),
            always("]\nKEEP", &call("archival_memory_insert", "{\"content\": \"The old house stands by a river.\"}")),
            always("]\nFIND", &call("archival_memory_search", "{\"query\": \"river\", \"page\": 0}")),
        ],
    });
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut program = world.start_script(script, &[]);
    let (mut settled_bytes, mut evictions) = (0, 0);
    for turn in 0..turns {
        let verb = match random.random_range(0..10) {
            0 => "KEEP",
            // There is something to find only once something was kept.
            1 if turn > 100 => "FIND",
            _ => "TALK",
        };
        let filler = "the rain fell on the roof of the old house ".repeat(random.random_range(1..12));
        let events = program.say(&format!("{verb} in turn number{turn}, {filler}"));
        let report = events.last().unwrap();
        assert_eq!(report["stop_reason"], "answer", "turn {turn}: {events:?}");
        assert!(!reply(&events).is_empty() && events.iter().all(|event| event["type"] != "error"), "{events:?}");
        let is_eviction = events.iter().any(|event| event["type"] == "notice");
        evictions += usize::from(is_eviction);
        if report["steps"] == 1 && !is_eviction {
            let prompt_tokens = report["tokens_read"].as_u64().unwrap() + report["tokens_reused"].as_u64().unwrap();
            assert!(prompt_tokens < WINDOW_TOKENS, "turn {turn}: a prompt of {prompt_tokens} tokens");
        }
        if turn + 1 == settled {
            settled_bytes = resident_bytes(program.id());
        }
    }
    let end_bytes = resident_bytes(program.id());
    println!("{turns} turns, {evictions} evictions, {settled_bytes} bytes at turn {settled}, {end_bytes} at the end");
    assert!(evictions > turns / 200, "{evictions}");
    let most_bytes = settled_bytes as f64 * (1.0 + GROWTH_FRACTION) + GROWTH_BYTES;
    assert!(end_bytes as f64 <= most_bytes, "{settled_bytes} bytes at turn {settled}, {end_bytes} at the end");
    assert!(program.close().success());

    let database = world.database();
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(
        count("SELECT count(*) FROM messages WHERE kind = 'user' AND searchable LIKE '% in turn number%'"),
        turns as i64
    );
    assert!(count("SELECT count(*) FROM messages WHERE in_queue = 1") < 200);
    assert_eq!(count("SELECT count(*) FROM messages WHERE in_queue = 1 AND kind = 'summary'"), 1);
}
