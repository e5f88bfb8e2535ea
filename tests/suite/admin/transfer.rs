//! An agent that is exported and imported is the same agent.

use serde_json::{Value, json};

use super::{append, done, refused};
use crate::harness::world::World;

/// An agent with everything: a summary and evicted messages, removed ones, edits, passages, checkpoints, an attached
/// source and a waiting line.
fn rich() -> World {
    let world = World::new();
    let call = "<tool_call>\n{\"name\": \"archival_memory_insert\", \"arguments\": {\"content\": \"Osk builds kites.\"}}\n</tool_call>";
    let replies =
        json!([append("human", "The user is Ilva."), {"reply": "Hello Ilva."}, {"reply": call}, {"reply": "Kept."}]);
    let mut program = world.start(replies, &[]);
    program.say("I am Ilva. 生日");
    program.command("/save early");
    program.say("My brother Osk builds kites.");
    program.say("This goes.");
    program.command("/pop 2");
    program.command("/save late");
    assert!(program.close().success());
    world
        .database()
        .execute_batch(
            "INSERT INTO messages (agent_id, at_ms, kind, body, in_queue)
                 SELECT id, 9, 'summary', '{\"kind\":\"summary\",\"text\":\"Before.\",\"hidden_message_count\":1}', 1 FROM agents;
             UPDATE messages SET in_queue = 0 WHERE id = (SELECT min(id) FROM messages);
             INSERT INTO sources (name, created_at_ms) VALUES ('manuals', 5);
             INSERT INTO attachments SELECT id, (SELECT id FROM sources), 6 FROM agents;
             INSERT INTO inbox (agent_id, at_ms, text) SELECT id, 7, 'still waiting' FROM agents;
             UPDATE agents SET heartbeats_paused_until_ms = 99;",
        )
        .unwrap();
    world
}

/// The lines of an export without the name.
fn nameless(export: &str) -> Vec<Value> {
    let mut lines: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines[0]["name"].is_string());
    lines[0]["name"] = Value::Null;
    lines
}

#[test]
fn a_copy_has_the_same_export_and_finds_the_same() {
    let world = rich();
    let file = world.path("a.jsonl");
    done(&world, &["export", "--agent", "a", "--output", &file]);
    assert!(refused(&world, 2, &["export", "--agent", "a", "--output", &file]).contains("already"));
    assert!(refused(&world, 2, &["import", &file]).contains("there is an agent a already"));
    done(&world, &["import", &file, "--agent", "b"]);
    let original = std::fs::read_to_string(&file).unwrap();
    let copy = done(&world, &["export", "--agent", "b", "--output", "-"]);
    assert_eq!(nameless(&original), nameless(&copy));
    for kind in ["block", "message", "passage", "edit", "checkpoint", "turn", "attachment", "waiting", "end"] {
        assert!(original.contains(&format!("\"type\":\"{kind}\"")), "{kind} is not in {original}");
    }
    // Table by table, without ids.
    let database = world.database();
    for sql in [
        "SELECT group_concat(at_ms || kind || body || coalesce(searchable, '-') || interrupted || coalesce(stub, '-')
             || state || in_queue || hidden, char(10)) FROM (SELECT * FROM messages WHERE agent_id = ?1 ORDER BY id)",
        "SELECT group_concat(at_ms || text || coalesce(source, '-') || hex(fingerprint) || hidden) FROM
             (SELECT * FROM passages WHERE agent_id = ?1 ORDER BY id)",
        "SELECT group_concat(label || text || limit_chars) FROM (SELECT * FROM core_memory WHERE agent_id = ?1 ORDER BY label)",
        "SELECT group_concat(label || before_text || after_text || at_ms || cause || (SELECT count(*) FROM messages m
             WHERE m.agent_id = ?1 AND m.id <= message_id)) FROM (SELECT * FROM block_edits WHERE agent_id = ?1 ORDER BY id)",
        "SELECT group_concat(name || at_ms) FROM (SELECT * FROM checkpoints WHERE agent_id = ?1 ORDER BY id)",
        "SELECT group_concat(at_ms || text) FROM inbox WHERE agent_id = ?1",
        "SELECT group_concat(source_id || '.' || at_ms) FROM attachments WHERE agent_id = ?1",
        "SELECT model || profile || context_window_tokens || last_login_at_ms || heartbeats_paused_until_ms ||
             (SELECT count(*) FROM messages WHERE agent_id = ?1 AND id <= passed_message_id) FROM agents WHERE id = ?1",
    ] {
        let of = |name: &str| -> String {
            let id: i64 = database.query_row("SELECT id FROM agents WHERE name = ?1", [name], |row| row.get(0)).unwrap();
            database.query_row(sql, [id], |row| row.get(0)).unwrap()
        };
        assert_eq!(of("a"), of("b"), "{sql}");
    }
    drop(database);
    let found = |name: &str| {
        let store =
            mneme::memory::Store::open(&world.home.path().join("mneme.db"), &mneme::types::SystemClock).unwrap();
        let view = store.view(name).unwrap();
        let said: Vec<String> = view.search("kites", 0, 5).unwrap().items.into_iter().map(|hit| hit.text).collect();
        let kept: Vec<String> =
            view.archival_search("kites", 0, 5).unwrap().items.into_iter().map(|hit| hit.text).collect();
        (said, kept)
    };
    assert_eq!(found("a"), found("b"));
    assert!(!found("b").0.is_empty() && !found("b").1.is_empty());
    // The copy's checkpoint names the copy's rows.
    let mut program = crate::harness::program::Program::start(
        world.home.path(),
        &world.script(&json!({"replies": [], "otherwise": "All right."})),
        &["--agent", "b"],
    );
    program.command("/load early");
    assert_eq!(program.memory()["core"]["human"], "The user is Ilva.");
    assert!(program.memory()["archival_count"] == 0, "the passage came later");
    assert!(program.close().success());
}

#[test]
fn turns_are_taken_back_in_another_home_as_in_the_first() {
    let world = World::new();
    let insert = |content: &str| json!({"reply": format!("<tool_call>\n{{\"name\": \"archival_memory_insert\", \"arguments\": {{\"content\": \"{content}\"}}}}\n</tool_call>")});
    let replies = json!([
        append("human", "The user keeps bees."),
        {"reply": "Bees!"},
        append("human", "The hive swarmed."),
        insert("A swarm is worth a load of hay in May."),
        {"reply": "Oh."},
        {"reply": "Gone."},
    ]);
    // No memory pass: what a turn saves is what it says.
    std::fs::write(world.home.path().join("config.toml"), "memory_pass = false\n").unwrap();
    let mut program = world.start(replies, &[]);
    let seen = |program: &mut crate::harness::program::Program| {
        let memory = program.memory();
        let dump = program.command("/dump").pop().unwrap()["text"].as_str().unwrap().to_owned();
        (memory["core"]["human"].clone(), memory["archival_count"].clone(), memory["recall_count"].clone(), dump)
    };
    program.say("I keep bees.");
    let first = seen(&mut program);
    program.say("They swarmed.");
    program.say("They are gone.");
    program.say("And back.");
    let last = seen(&mut program);
    program.command("/undo");
    let before_last = seen(&mut program);
    assert!(program.close().success());
    let file = world.path("a.jsonl");
    done(&world, &["export", "--agent", "a", "--output", &file]);

    // A home with rows of others: the ids are not the same.
    let elsewhere = World::new();
    std::fs::write(elsewhere.home.path().join("config.toml"), "memory_pass = false\n").unwrap();
    let lines = "{\"role\":\"user\",\"text\":\"hello\"}\n".repeat(3);
    done(&elsewhere, &["add", "agent", "other"]);
    done(&elsewhere, &["import", &elsewhere.file("chat.jsonl", lines), "--agent", "other"]);
    let mut program = elsewhere.start_agent("other", json!([{"reply": "Hello."}]));
    program.say("Hello, I am another one.");
    assert!(program.close().success());
    done(&elsewhere, &["import", &file]);

    // The way forth is kept, too: a login does not end it.
    let mut program = elsewhere.start(json!([]), &[]);
    let without_login = |seen: &(Value, Value, Value, String)| (seen.0.clone(), seen.1.clone());
    assert_eq!(without_login(&seen(&mut program)), without_login(&before_last));
    program.command("/redo");
    assert_eq!(seen(&mut program), last);
    let notice = program.command("/undo 3").pop().unwrap();
    assert!(notice.to_string().contains("They swarmed."), "{notice}");
    assert_eq!(seen(&mut program), first);
    assert_eq!(first.0, "The user keeps bees.");
    assert!(program.close().success());
}

#[test]
fn documents_of_attached_sources_come_along_where_they_are_asked_for() {
    let world = World::new();
    done(&world, &["add", "agent", "a"]);
    let text = world.file("tides.md", "# Tides\n\nThe ebb begins at nine.\n");
    done(&world, &["load", &text, "--name", "manuals"]);
    done(&world, &["attach", "--agent", "a", "--source", "manuals"]);
    let (with, without) = (world.path("with.jsonl"), world.path("without.jsonl"));
    let said = done(&world, &["export", "--agent", "a", "--with-sources", "--output", &with]);
    assert!(said.contains("1 documents of sources"), "{said}");
    done(&world, &["export", "--agent", "a", "--output", &without]);
    let af = ["export", "--agent", "a", "--with-sources", "--format", "af"];
    assert!(refused(&world, 2, &af).contains("no place for the documents"));
    let elsewhere = World::new();
    let said = done(&elsewhere, &["import", &without, "--agent", "b"]);
    assert!(said.contains("The source manuals was attached; it is not in this home."), "{said}");
    done(&elsewhere, &["import", &with]);
    let hits = |world: &World, agent: &str| -> Vec<(String, String, String)> {
        let path = world.home.path().join("mneme.db");
        let store = mneme::memory::Store::open(&path, &mneme::types::SystemClock).unwrap();
        let found = store.view(agent).unwrap().archival_search("ebb", 0, 9).unwrap().items;
        let place = |hit: mneme::memory::ArchivalHit| {
            let document = hit.document.unwrap();
            (hit.text, document.title, document.place.to_string())
        };
        found.into_iter().map(place).collect()
    };
    assert_eq!(hits(&world, "a").len(), 1);
    assert_eq!(hits(&elsewhere, "a"), hits(&world, "a"));
    // The same file is not read again, and a source that is there is left alone.
    let said = done(&elsewhere, &["load", &text, "--name", "manuals"]);
    assert!(said.contains("0 files new, 0 changed, 1 unchanged"), "{said}");
    let said = done(&elsewhere, &["import", &with, "--agent", "c"]);
    assert!(said.contains("The source manuals was there already"), "{said}");
    assert_eq!((hits(&elsewhere, "c"), hits(&elsewhere, "b").len()), (hits(&world, "a"), 0));
    let export = |world: &World| done(world, &["export", "--agent", "a", "--with-sources", "--output", "-"]);
    assert_eq!(export(&world), export(&elsewhere));
}

#[test]
fn a_file_of_the_first_version_is_read() {
    let world = rich();
    let export = done(&world, &["export", "--agent", "a", "--output", "-"]);
    let mut lines: Vec<String> =
        export.lines().filter(|line| !line.starts_with("{\"type\":\"turn\"")).map(str::to_owned).collect();
    lines[0] = lines[0].replacen("\"version\":2", "\"version\":1", 1);
    let records = lines.len() - 1;
    lines[records] = json!({"type": "end", "records": records}).to_string();
    done(&world, &["import", &world.file("old.jsonl", lines.join("\n")), "--agent", "b"]);
    let copy = done(&world, &["export", "--agent", "b", "--output", "-"]);
    assert_eq!(nameless(&copy)[1..records], nameless(&lines.join("\n"))[1..records]);
}

#[test]
fn a_file_that_is_cut_off_or_wrong_leaves_nothing_behind() {
    let world = rich();
    let export = done(&world, &["export", "--agent", "a", "--output", "-"]);
    let lines: Vec<&str> = export.lines().collect();
    let without_end = lines[..lines.len() - 1].join("\n");
    let without_one = [&lines[..4], &lines[5..]].concat().join("\n");
    let newer = export.replacen("\"version\":2", "\"version\":3", 1);
    let broken = |kind: &str, from: &str, to: &str| {
        let start = export.find(&format!("{{\"type\":\"{kind}\"")).unwrap();
        format!("{}{}", &export[..start], export[start..].replacen(from, to, 1))
    };
    let no_state = broken("turn", "\"last_message\":", "\"last_massage\":");
    let no_queue = broken("checkpoint", "\"warned\":false", "\"warned\":7");
    let no_turn = broken("turn", "\"message\":", "\"message\":4");
    let renumbered = |line: &&str| match line.starts_with("{\"type\":\"edit\"") {
        true => line.replacen("\"message\":", "\"message\":4", 1),
        false => (*line).to_owned(),
    };
    let no_number = lines.iter().map(renumbered).collect::<Vec<_>>().join("\n");
    let second = format!("{}\n{export}", lines[0]);
    let bad_time = export.replacen("\"created_at_ms\":", "\"created_at_ms\":99999", 1);
    for (wrong, word) in [
        (&without_end, "too early"),
        (&without_one, "records instead of"),
        (&newer, "version is 3"),
        (&no_state, "a turn: it has no last_message"),
        (&no_queue, "checkpoint"),
        (&no_turn, "which is not there"),
        (&no_number, "which is not there"),
        (&second, "second agent"),
        (&bad_time, "no point in time"),
    ] {
        let file = world.file("wrong.jsonl", wrong);
        let said = refused(&world, 3, &["import", &file, "--agent", "b"]);
        assert!(said.contains(word), "{word} is not in {said}");
    }
    let rows: Value = serde_json::from_str(&done(&world, &["list", "agents", "--json"])).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 1);
}

#[test]
fn an_agent_file_of_letta_is_written_and_read() {
    let world = rich();
    let file = world.path("a.af");
    world.database().execute("UPDATE agents SET instructions = 'You are kind.'", []).unwrap();
    let output = world.run(&["export", "--agent", "a", "--format", "af", "--output", &file]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && told.contains("1 messages that wait for an answer"), "{told}");
    let af: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let agent = &af["agents"][0];
    assert_eq!((&agent["name"], &agent["system"]), (&json!("a"), &json!("You are kind.")));
    assert_eq!(agent["block_ids"].as_array().unwrap().len(), af["blocks"].as_array().unwrap().len());
    let messages = agent["messages"].as_array().unwrap();
    for id in agent["in_context_message_ids"].as_array().unwrap() {
        assert!(messages.iter().any(|message| message["id"] == *id), "{id}");
    }
    let call = messages.iter().find(|message| message["tool_calls"].is_array()).unwrap();
    assert_eq!(call["tool_calls"][0]["function"]["name"], "core_memory_append");
    let result = messages.iter().find(|message| message["role"] == "tool").unwrap();
    assert_eq!(result["tool_call_id"], call["tool_calls"][0]["id"]);
    done(&world, &["import", &file, "--agent", "b"]);
    let core = |name: &str| -> Vec<String> {
        let database = world.database();
        let sql = "SELECT text FROM core_memory c JOIN agents a ON a.id = c.agent_id WHERE a.name = ?1 ORDER BY label";
        let mut statement = database.prepare(sql).unwrap();
        statement.query_map([name], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(core("a"), core("b"));
    let export = done(&world, &["export", "--agent", "b", "--output", "-"]);
    let instructions = "\"instructions\":\"You are kind.\"";
    for said in ["My brother Osk builds kites.", "\"type\":\"passage\"", "core_memory_append", instructions] {
        assert!(export.contains(said), "{said} is not in {export}");
    }
}

#[test]
fn the_older_shape_of_agent_files_is_read() {
    let world = World::new();
    let file = json!({
        "agent_type": "memgpt_agent",
        "name": "Old One",
        "system": "You are Letta.",
        "created_at": "2025-03-01T10:00:00.000000+00:00",
        "core_memory": [
            {"label": "human", "value": "The user is Ines.", "limit": 5000},
            {"label": "persona", "value": "I am Sam.", "limit": 5000},
            {"label": "projects", "value": "A boat is being built.", "limit": 5000},
        ],
        "in_context_message_indices": [0, 1, 2, 3],
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "You are .."}], "created_at": "2025-03-01T10:00:00Z"},
            {"role": "user", "content": [{"type": "text", "text": "{\"type\":\"user_message\",\"message\":\"Ahoy!\",\"time\":\"x\"}"}],
             "created_at": "2025-03-01T10:01:00Z"},
            {"role": "assistant", "content": [{"type": "text", "text": "They greet me."}], "created_at": "2025-03-01T10:01:05Z",
             "tool_calls": [{"id": "c1", "type": "function",
                 "function": {"name": "send_message", "arguments": "{\"message\":\"Ahoy yourself!\"}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "{\"status\":\"OK\",\"message\":null}"}],
             "created_at": "2025-03-01T10:01:05Z"},
        ],
    });
    let path = world.file("old.af", file.to_string());
    assert!(refused(&world, 2, &["import", &path]).contains("not a usable name"));
    done(&world, &["import", &path, "--agent", "old"]);
    let export = done(&world, &["export", "--agent", "old", "--output", "-"]);
    let records: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let messages: Vec<&Value> = records.iter().filter(|record| record["type"] == "message").collect();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0]["body"], json!({"kind": "user", "text": "Ahoy!"}));
    assert_eq!(messages[1]["body"]["text"], "Ahoy yourself!");
    assert_eq!(messages[1]["body"]["thoughts"], "They greet me.");
    assert_eq!(messages[0]["at_ms"], 1_740_823_260_000_i64);
    assert!(export.contains("projects: A boat is being built."));
    assert!(!export.contains("You are Letta."), "the prompt of another program");
}
