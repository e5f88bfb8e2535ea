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

/// Writes an archive and gives back its path.
fn zipped(world: &World, name: &str, members: &[(&str, &str)]) -> String {
    let path = world.path(name);
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    for (name, content) in members {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(content.as_bytes()).unwrap();
    }
    archive.finish().unwrap();
    path
}

#[test]
fn an_archive_is_read_without_unpacking_it() {
    let world = World::new();
    done(&world, &["add", "agent", "a"]);
    let (gpt, claude) = (chatgpt().to_string(), claude().to_string());
    let members = [("user.json", "{}"), ("x/conversations-1.json", &*gpt), ("x/conversations-2.json", &*claude)];
    let path = zipped(&world, "export.zip", &members);
    let said = done(&world, &["import", &path, "--agent", "a"]);
    // The system prompt is nobody's of the two.
    assert!(said.starts_with("4 messages of 2 conversations") && said.contains("1 were left out"), "{said}");
    let other = zipped(&world, "other.zip", &[("notes.txt", "")]);
    assert!(refused(&world, 3, &["import", &other, "--agent", "a"]).contains("nothing that mneme can import"));
}

#[test]
fn a_bomb_is_refused_and_leaves_nothing_behind() {
    let world = World::new();
    done(&world, &["add", "agent", "a"]);
    let first = chatgpt().to_string();
    let bomb = format!("[{}]", " ".repeat(6_000_000));
    let path = zipped(&world, "bomb.zip", &[("conversations-1.json", &*first), ("conversations-2.json", &*bomb)]);
    let size_bytes = std::fs::metadata(&path).unwrap().len();
    assert!(bomb.len() as u64 > 200 * size_bytes, "{size_bytes}");
    assert!(refused(&world, 3, &["import", &path, "--agent", "a"]).contains("zip bomb"));
    assert!(found(&world, "oakum").is_empty());
    // A value that is small on the disk and large in memory.
    let wide = format!("[[{}0]]", "0,".repeat(9_000_000));
    let file = world.file("wide.json", format!("[{{\"mapping\": {{}}}}, {wide}]"));
    assert!(refused(&world, 3, &["import", &file, "--agent", "a"]).contains("bytes of memory"));
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
fn a_large_export_is_stored_in_the_order_of_time_and_only_once() {
    const TALKS: i64 = 400;
    const MESSAGES: i64 = 50;
    let world = World::new();
    done(&world, &["add", "agent", "a"]);
    // The newest conversation stands first, as in real exports.
    let talk = |talk: i64| {
        let message = |number: i64| {
            let sender = if number % 2 == 0 { "human" } else { "assistant" };
            json!({"sender": sender, "text": format!("talk{talk}x number{number}x {}", "of nothing ".repeat(20)),
                   "created_at": 1_700_000_000 + talk * 1000 + number, "attachments": [{"size": 1, "tags": [[], {}]}]})
        };
        json!({"chat_messages": (0..MESSAGES).map(message).collect::<Vec<_>>()})
    };
    let export = Value::Array((0..TALKS).rev().map(talk).collect()).to_string();
    let path = zipped(&world, "export.zip", &[("conversations.json", &export)]);
    let count = TALKS * MESSAGES;
    let said = done(&world, &["import", &path, "--agent", "a"]);
    assert!(said.starts_with(&format!("{count} messages of {TALKS} conversations")), "{said}");
    let database = world.database();
    let (rows, newest, in_order): (i64, i64, bool) = database
        .query_row(
            "SELECT count(*), max(id), (SELECT count(*) FROM messages a JOIN messages b ON b.id = a.id + 1
                 WHERE a.at_ms < b.at_ms) = count(*) - 1 FROM messages",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    assert_eq!((rows, newest, in_order), (count, -1, true));
    drop(database);
    assert_eq!(found(&world, "talk7x number3x")[0].0, 1_700_007_003_000);
    let again = done(&world, &["import", &path, "--agent", "a"]);
    assert!(again.starts_with("0 messages") && again.contains(&format!("{count} were there already")), "{again}");
}

#[test]
fn what_was_spoken_is_found_and_what_is_left_out_is_counted() {
    let world = World::new();
    done(&world, &["add", "agent", "a"]);
    let node = |parent: &str, message: Value| json!({"parent": parent, "children": [], "message": message});
    let spoken = |role: &str, text: &str| {
        json!({"author": {"role": role}, "content": {"content_type": "multimodal_text", "parts": [
            {"content_type": "audio_transcription", "text": text, "direction": "in", "decoding_id": null},
            {"content_type": "audio_asset_pointer", "asset_pointer": "sediment://x"}]}})
    };
    let export = json!([{"create_time": 1_700_000_000, "current_node": "d", "mapping": {
        "r": {"parent": null, "message": null},
        "a": node("r", json!({"author": {"role": "tool"}, "content": {"content_type": "text", "parts": ["found"]}})),
        "b": node("a", spoken("user", "Where do puffins nest?")),
        "c": node("b", json!({"author": {"role": "assistant"}, "content": {"content_type": "code", "text": "x"}})),
        "d": node("c", spoken("assistant", "In burrows on the cliffs.")),
    }}, {"title": "nothing that was said"}]);
    let file = world.file("voice.json", export.to_string());
    let said = done(&world, &["import", &file, "--agent", "a"]);
    assert!(said.starts_with("2 messages of 1 conversations") && said.contains("3 were left out"), "{said}");
    assert_eq!(found(&world, "puffins")[0].1, "Where do puffins nest?");
    assert_eq!(found(&world, "burrows")[0].1, "In burrows on the cliffs.");
}

#[test]
fn an_imported_message_is_not_taken_for_one_that_waits_for_an_answer() {
    let world = World::new();
    done(&world, &["add", "agent", "a"]);
    let lines = "{\"role\":\"user\",\"text\":\"Which lake?\"}\n{\"role\":\"assistant\",\"text\":\"Peipus.\"}\n\
                 {\"role\":\"user\",\"text\":\"Thank you, that is all.\"}\n";
    done(&world, &["import", &world.file("chat.jsonl", lines), "--agent", "a"]);
    // Neither in the agent that took it, nor in a copy of that, whose rows have other ids.
    let file = world.path("a.jsonl");
    done(&world, &["export", "--agent", "a", "--output", &file]);
    done(&world, &["import", &file, "--agent", "b"]);
    for name in ["a", "b"] {
        let program = world.start_agent(name, json!([]));
        assert_eq!(program.ready["notices"], json!([]), "{name}");
        assert!(program.close().success());
    }
}

#[test]
fn speakers_of_plain_messages_keep_their_names() {
    let world = World::new();
    done(&world, &["add", "agent", "a"]);
    let lines = "{\"role\":\"user\",\"name\":\"Ada\",\"text\":\"I saw the comet.\",\"time\":1700000001}\n\
                 {\"role\":\"assistant\",\"speaker\":\"Ben\",\"text\":\"I saw the comet.\",\"time\":1700000002}\n";
    done(&world, &["import", &world.file("chat.jsonl", lines), "--agent", "a"]);
    let store = mneme::memory::Store::open(&world.home.path().join("mneme.db"), &mneme::types::SystemClock).unwrap();
    let first = |query: &str| {
        let hit = store.view("a").unwrap().search(query, 0, 9).unwrap().items.into_iter().next().unwrap();
        (hit.speaker.unwrap(), hit.at_ms)
    };
    assert_eq!(first("what did Ada say of the comet"), ("Ada".to_owned(), 1_700_000_001_000));
    assert_eq!(first("what did Ben say of the comet"), ("Ben".to_owned(), 1_700_000_002_000));
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
