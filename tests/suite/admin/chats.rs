//! Chat histories of other programs become searchable messages with their dates, once.

use std::io::Write;

use serde_json::{Value, json};

use super::{done, refused};
use crate::harness::world::World;

fn chatgpt() -> Value {
    let node = |parent: Value, role: &str, text: &str, at: Value| {
        json!({"parent": parent, "children": [], "message": {"author": {"role": role}, "create_time": at,
            "content": {"content_type": "text", "parts": [text]}}})
    };
    json!([{"title": "Boats", "create_time": 1_700_000_000.5, "current_node": "c", "mapping": {
        "r": {"parent": null, "children": ["a"], "message": null},
        "a": node(json!("r"), "system", "be helpful", Value::Null),
        "b": node(json!("a"), "user", "How do I caulk a dinghy?", json!(1_700_000_001.0)),
        "x": node(json!("b"), "assistant", "A reply nobody kept.", json!(1_700_000_002.0)),
        "c": node(json!("b"), "assistant", "With oakum and patience.", json!(1_700_000_003.0)),
    }}])
}

fn claude() -> Value {
    json!([{"uuid": "u", "name": "Bread", "created_at": "2024-05-01T08:00:00.000000Z", "chat_messages": [
        {"uuid": "1", "sender": "human", "text": "Why is my sourdough flat?", "created_at": "2024-05-01T08:00:01Z"},
        {"uuid": "2", "sender": "assistant", "text": "", "content": [{"type": "text", "text": "The starter is tired."}],
         "created_at": "2024-05-01T08:00:09Z"},
    ]}])
}

/// What a search of the agent finds.
fn found(world: &World, query: &str) -> Vec<(i64, String)> {
    let store = mneme::memory::Store::open(&world.home.path().join("mneme.db"), &mneme::types::SystemClock).unwrap();
    let view = store.view("a").unwrap();
    view.search(query, 0, 9).unwrap().items.into_iter().map(|hit| (hit.at_ms, hit.text)).collect()
}

#[test]
fn histories_are_found_with_their_dates_and_stay_out_of_view() {
    let world = World::new();
    let mut program = world.start(json!([{"reply": "Hello."}]), &[]);
    program.say("Good evening.");
    let before = program.memory()["recall_count"].as_u64().unwrap();
    let (gpt, claude) =
        (world.file("gpt.json", chatgpt().to_string()), world.file("claude.json", claude().to_string()));
    assert!(refused(&world, 1, &["import", &gpt, "--agent", "a"]).contains("open in another process"));
    assert!(program.close().success());
    assert!(refused(&world, 2, &["import", &gpt]).contains("--agent"));
    assert!(refused(&world, 2, &["import", &gpt, "--agent", "zz"]).contains("there is no agent zz"));
    assert!(done(&world, &["import", &gpt, "--agent", "a"]).starts_with("2 messages of 1 conversations"));
    assert!(done(&world, &["import", &claude, "--agent", "a"]).starts_with("2 messages"));
    assert_eq!(found(&world, "oakum"), [(1_700_000_003_000, "With oakum and patience.".to_owned())]);
    assert_eq!(found(&world, "sourdough")[0].0, 1_714_550_401_000);
    assert!(found(&world, "nobody kept").is_empty());
    let again = done(&world, &["import", &gpt, "--agent", "a"]);
    assert!(again.starts_with("0 messages") && again.contains("2 were there already"), "{again}");
    let mut program = world.start(json!([]), &[]);
    assert_eq!(program.ready["notices"], json!([]), "no imported message is taken for an unanswered one");
    let dump = program.command("/dump").pop().unwrap()["text"].as_str().unwrap().to_owned();
    assert!(dump.contains("Good evening.") && !dump.contains("oakum"), "{dump}");
    assert!(program.memory()["recall_count"].as_u64().unwrap() >= before + 4);
    assert!(program.close().success());
    // The whole agent goes on with them.
    let export = done(&world, &["export", "--agent", "a", "--output", "-"]);
    assert!(export.contains("oakum"));
}

#[test]
fn an_archive_is_read_without_unpacking_it() {
    let world = World::new();
    done(&world, &["add", "agent", "a"]);
    let path = world.path("export.zip");
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    for (name, content) in [("user.json", "{}".to_owned()), ("conversations.json", chatgpt().to_string())] {
        archive.start_file(name, options).unwrap();
        archive.write_all(content.as_bytes()).unwrap();
    }
    archive.finish().unwrap();
    assert!(done(&world, &["import", &path, "--agent", "a"]).starts_with("2 messages"));
    let other = world.path("other.zip");
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&other).unwrap());
    archive.start_file("notes.txt", options).unwrap();
    archive.finish().unwrap();
    assert!(refused(&world, 3, &["import", &other, "--agent", "a"]).contains("nothing that mneme can import"));
}

#[test]
fn plain_lines_are_read_and_twins_are_kept_apart() {
    let world = World::new();
    done(&world, &["add", "agent", "a"]);
    let lines = "{\"role\":\"user\",\"text\":\"Which lake?\",\"time\":\"2021-06-01T10:00:00+02:00\"}\n\
                 {\"role\":\"assistant\",\"content\":\"Lake Peipus.\"}\n\
                 {\"role\":\"system\",\"text\":\"ignored\"}\n\
                 {\"role\":\"assistant\",\"content\":\"Lake Peipus.\"}\n";
    let file = world.file("chat.jsonl", lines);
    let said = done(&world, &["import", &file, "--agent", "a"]);
    assert!(said.starts_with("3 messages") && said.contains("1 were left out"), "{said}");
    assert!(done(&world, &["import", &file, "--agent", "a"]).starts_with("0 messages"));
    assert_eq!(found(&world, "Peipus").len(), 2);
    assert!(found(&world, "Peipus").iter().all(|(at_ms, _)| *at_ms == 1_622_534_400_000));
}

#[test]
fn hostile_files_are_refused_and_change_nothing() {
    let world = World::new();
    done(&world, &["add", "agent", "a"]);
    let deep = format!("[{{\"mapping\": {}1{}}}]", "[".repeat(100_000), "]".repeat(100_000));
    let cut = chatgpt().to_string();
    let lines = "{\"role\":\"user\",\"text\":\"kept?\"}\n{\"role\":\"user\"}\n";
    for (name, content) in [("deep.json", deep.as_str()), ("cut.json", &cut[..cut.len() - 9]), ("lines.jsonl", lines)] {
        let file = world.file(name, content);
        refused(&world, 3, &["import", &file, "--agent", "a"]);
    }
    let nothing = world.file("notes.txt", "just some words");
    assert!(refused(&world, 3, &["import", &nothing, "--agent", "a"]).contains("nothing that mneme can import"));
    refused(&world, 3, &["import", &world.path("absent.json"), "--agent", "a"]);
    refused(&world, 3, &["import", world.scratch.path().to_str().unwrap(), "--agent", "a"]);
    assert!(found(&world, "kept dinghy user").is_empty());
}
