//! The program as a script sees it: JSON-lines mode on the scripted engine, restarts, kills and bad input.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::program::{Program, binary, reply, types};
use crate::harness::world::World;

fn call(name: &str, arguments: Value) -> String {
    format!("<tool_call>\n{}\n</tool_call>", python_json(&json!({"name": name, "arguments": arguments})))
}

/// JSON as chat templates print it: a space behind commas and colons.
fn python_json(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{}: {}", json!(key), python_json(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

fn append(section: &str, content: &str) -> String {
    call("core_memory_append", json!({"section": section, "content": content}))
}

#[test]
fn a_message_is_answered_by_a_reply_and_exactly_one_turn() {
    let world = World::new();
    let mut program = world.start(json!([{"reply": "Hello there."}]), &[]);
    assert_eq!(program.ready["agent"], "a");
    assert_eq!(program.ready["engine"], "scripted");
    assert_eq!(program.ready["resumed"], false);
    let events = program.say("hi");
    assert_eq!(types(&events), ["message", "turn"]);
    assert_eq!(reply(&events), "Hello there.");
    let turn = events.last().unwrap();
    assert_eq!(turn["stop_reason"], "answer");
    assert_eq!(turn["steps"], 1);
    assert_eq!(turn["cause"], "user");
    for field in [
        "forward_passes",
        "tokens_read",
        "tokens_reused",
        "tokens_sampled",
        "tokens_forced",
        "restore_ms",
        "read_ms",
        "decode_ms",
        "mask_us",
        "wall_ms",
        "tokens_recalled",
        "idle_passes",
        "idle_ms",
    ] {
        assert!(turn[field].is_u64(), "{field} in {turn}");
    }
    assert!(program.close().success());
}

#[test]
fn deltas_of_a_reply_join_to_the_message() {
    let world = World::new();
    let mut program = world.start(json!([{"reply": "One two three, grüße, 生日."}]), &[]);
    let events = program.say("hi");
    let deltas: String =
        events.iter().filter(|e| e["type"] == "delta").map(|e| e["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(deltas, reply(&events));
}

#[test]
fn a_call_is_executed_shown_and_answered() {
    let world = World::new();
    let replies = json!([{"reply": append("human", "The user plays the cello.")}, {"reply": "Noted."}]);
    let mut program = world.start(replies, &[]);
    let events = program.say("I play the cello.");
    assert_eq!(types(&events), ["call", "result", "message", "turn"]);
    assert_eq!(events[0]["arguments"], json!({"section": "human", "content": "The user plays the cello."}));
    assert_eq!(events[1]["status"], "OK");
    let memory = program.memory();
    assert_eq!(memory["core"]["human"], "The user plays the cello.");
    assert_eq!(memory["cause"], "command");
    assert_eq!(memory["archival_count"], 0);
}

#[test]
fn what_was_told_is_there_after_a_restart() {
    let world = World::new();
    let replies = json!([{"reply": append("human", "The user is called Ines.")}, {"reply": "Hello Ines."}]);
    let mut program = world.start(replies, &[]);
    program.say("I am Ines.");
    let before = program.memory();
    assert!(program.close().success());
    let mut program = world.start(json!([]), &[]);
    assert_eq!(program.ready["resumed"], true);
    let after = program.memory();
    assert_eq!(after["core"], before["core"]);
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_shown() {
    let facts = ["rows on the lake", "grows quinces", "collects stamps", "is learning Basque"];
    let world = World::new();
    let mut shown: Vec<String> = Vec::new();
    for (index, fact) in facts.iter().enumerate() {
        let content = format!("The user {fact}.");
        let replies = json!([
            {"reply": append("human", &content)},
            {"reply": "That is good to know, and I shall keep it in mind from now on."},
        ]);
        let mut program = world.start_script(json!({"replies": replies, "token_delay_ms": 15}), &[]);
        let human = program.memory()["core"]["human"].as_str().unwrap().to_owned();
        for line in &shown {
            assert!(human.contains(line), "{line:?} was shown and is gone: {human:?}");
        }
        program.send_line(
            &json!({"type": "user", "text": format!("I think you should know: my hobby {fact}")}).to_string(),
        );
        // The result of the call has been shown; the reply is in the middle.
        let mut deltas = 0;
        loop {
            let event = program.event();
            if event["type"] == "result" {
                assert_eq!(event["status"], "OK");
                shown.push(content.clone());
            }
            deltas += u32::from(event["type"] == "delta");
            if deltas > u32::try_from(index).unwrap() * 3 {
                break;
            }
        }
        program.kill();
    }
    let mut program = world.start(json!([]), &[]);
    let human = program.memory()["core"]["human"].as_str().unwrap().to_owned();
    assert_eq!(human.lines().collect::<Vec<_>>(), shown);
    let dump = program.command("/dump 40").pop().unwrap()["text"].as_str().unwrap().to_owned();
    for fact in facts {
        assert!(dump.contains(&format!("my hobby {fact}")), "what the user typed is kept: {dump}");
    }
}

/// Nothing is read before the first turn, so that the turn tells what it found.
const WAITING: [&str; 2] = ["--idle", "wait"];

#[test]
fn a_second_start_does_not_read_again_what_every_prompt_begins_with() {
    let world = World::new();
    let reused = |said: &str| {
        let mut program = world.start(json!([]), &WAITING);
        let turn = program.say(said).pop().unwrap();
        assert!(program.close().success());
        turn["tokens_reused"].as_u64().unwrap()
    };
    assert_eq!(reused("hello"), 0);
    assert!(reused("hello again") > 400);
    // A state that is damaged costs its reading, and nothing else.
    for entry in std::fs::read_dir(world.home.path().join("kv")).unwrap() {
        std::fs::write(entry.unwrap().path(), "nonsense").unwrap();
    }
    assert_eq!(reused("and again"), 0);
    assert!(reused("and once more") > 400);
}

/// A home with memory passes, and a model that notes the kayak and nothing else.
fn with_a_kayak_to_note() -> (World, Value) {
    let world = World::new();
    std::fs::write(world.home.path().join("config.toml"), "memory_pass = true\n").unwrap();
    let script = json!({
        "replies": [
            {"when": "Message:\nI have a kayak.", "reply": "FACT: The user has a kayak.", "repeat": true},
            {"when": "Message:\n", "reply": "NONE", "repeat": true},
        ],
        "otherwise": "All right.",
    });
    (world, script)
}

#[test]
fn a_conversation_is_taken_up_where_it_stood_and_not_read_again() {
    let (world, script) = with_a_kayak_to_note();
    let cost = |turn: &Value, field: &str| turn[field].as_u64().unwrap();
    let mut program = world.start_script(script.clone(), &WAITING);
    program.say("I have a kayak.");
    // What was noted changes core memory, which stands in front of all that was said.
    assert_eq!(program.memory()["core"]["human"], "The user has a kayak.");
    for remark in 0..6 {
        program.say(&format!("Remark {remark} on the weather of this week, which was mixed."));
    }
    let last = program.say("Good night.").pop().unwrap();
    let known = cost(&last, "tokens_read") + cost(&last, "tokens_reused");
    assert!(program.close().success());

    let mut program = world.start_script(script.clone(), &WAITING);
    let first = program.say("Good morning.").pop().unwrap();
    assert!(cost(&first, "tokens_reused") >= known, "{first} after {last}");
    // The notice of the login, the message, and the end of the reply before.
    assert!(cost(&first, "tokens_read") < 120 && known > 500, "{first}");
    assert!(program.close().success());

    // An edit from elsewhere is not told further behind: the prompt has core memory as it is now.
    let mut program = world.start_script(script.clone(), &WAITING);
    program.command("/core human The user has a canoe.");
    assert!(program.close().success());
    let mut program = world.start_script(script, &WAITING);
    let changed = program.say("Hello again.").pop().unwrap();
    assert!(cost(&changed, "tokens_reused") < known, "{changed}");
    assert!(program.close().success());
}

#[test]
fn core_memory_is_read_anew_where_what_told_of_an_edit_has_left_the_view() {
    let (world, script) = with_a_kayak_to_note();
    let mut program = world.start_script(script.clone(), &WAITING);
    for remark in 0..6 {
        program.say(&format!("Remark {remark} on the weather of this week, which was mixed."));
    }
    program.say("I have a kayak.");
    assert_eq!(program.memory()["core"]["human"], "The user has a kayak.");
    let last = program.say("Good night.").pop().unwrap();
    assert!(program.close().success());
    // Nothing is read meanwhile, so that the state which was saved stays the last one.
    let mut program = world.start_script(script.clone(), &WAITING);
    program.command("/pop 6");
    assert!(program.close().success());
    let mut program = world.start_script(script, &WAITING);
    let next = program.say("Good morning.").pop().unwrap();
    let [before, reused] =
        [(&last, "tokens_reused"), (&next, "tokens_reused")].map(|(turn, field)| turn[field].as_u64().unwrap());
    assert!(reused > 100 && reused + 100 < before, "the instructions alone stay: {next} after {last}");
    assert!(program.close().success());
}

#[test]
fn twenty_kills_at_random_moments_lose_nothing_and_do_nothing_twice() {
    crate::harness::kills::kills(11, 14, mneme::dialect::Profile::Native);
    crate::harness::kills::kills(12, 6, mneme::dialect::Profile::Classic);
}

#[test]
fn a_reply_that_a_kill_cut_off_is_kept_and_marked() {
    let world = World::new();
    let long = "Here is a long answer that goes on and on. ".repeat(20);
    let mut program = world.start_script(json!({"replies": [{"reply": long}], "token_delay_ms": 20}), &[]);
    program.send_line("tell me");
    let started = std::time::Instant::now();
    let mut early = String::new();
    // Text that has stood on the screen for half a second is stored.
    while started.elapsed().as_millis() < 1500 {
        let event = program.event();
        if event["type"] == "delta" && started.elapsed().as_millis() < 700 {
            early.push_str(event["text"].as_str().unwrap());
        }
    }
    program.kill();
    assert!(early.len() > 20, "{early:?}");
    let mut program = world.start(json!([]), &[]);
    let notices = program.ready["notices"].as_array().unwrap();
    assert!(notices.iter().any(|notice| notice.as_str().unwrap().contains("cut off")), "{notices:?}");
    let dump = program.command("/dump").pop().unwrap()["text"].as_str().unwrap().to_owned();
    assert!(dump.contains(early.trim_end()), "{early:?} is not in {dump:?}");
    assert!(dump.contains("interrupted"), "{dump:?}");
    assert!(program.close().success());
    let program = world.start(json!([]), &[]);
    assert_eq!(program.ready["notices"], json!([]), "it is told once");
}

#[test]
fn messages_that_wait_behind_a_reply_outlive_a_kill() {
    let world = World::new();
    let long = "Here is a long answer that goes on and on. ".repeat(20);
    let mut program = world.start_script(json!({"replies": [{"reply": long}], "token_delay_ms": 20}), &[]);
    program.send_line("tell me");
    while program.event()["type"] != "delta" {}
    program.send_line("my boat is called Pelikan");
    program.send_line("and it leaks");
    let database = world.database();
    let kept = || database.query_row("SELECT count(*) FROM inbox", [], |row| row.get::<_, u32>(0)).unwrap();
    // The reply takes far longer than it takes to read two lines.
    while kept() < 2 {
        assert_ne!(program.event()["type"], "turn", "the messages were never kept");
    }
    program.kill();
    let mut program = world.start(json!([{"reply": "Pelikan."}]), &[]);
    let notices = program.ready["notices"].to_string();
    assert!(notices.contains("2 messages that waited"), "{notices}");
    assert!(notices.contains("and it leaks") && notices.contains("/heartbeat"), "{notices}");
    assert_eq!(kept(), 0);
    assert_eq!(reply(&program.command("/heartbeat")), "Pelikan.");
    let dump = program.command("/dump").pop().unwrap()["text"].as_str().unwrap().to_owned();
    assert!(dump.contains("my boat is called Pelikan") && dump.contains("and it leaks"), "{dump}");
    assert!(program.close().success());
    let program = world.start(json!([]), &[]);
    assert_eq!(program.ready["notices"], json!([]), "it is told once");
    assert!(program.close().success());
}

#[test]
fn interrupting_a_reply_ends_the_turn_and_not_the_program() {
    let world = World::new();
    let long = "Word after word after word. ".repeat(50);
    let mut program =
        world.start_script(json!({"replies": [{"reply": long}, {"reply": "Yes?"}], "token_delay_ms": 10}), &[]);
    program.send_line("talk");
    while program.event()["type"] != "delta" {}
    program.interrupt();
    let turn = program.until(|event| event["type"] == "turn").pop().unwrap();
    assert_eq!(turn["stop_reason"], "interrupted");
    let events = program.say("hello?");
    assert_eq!(reply(&events), "Yes?");
}

#[test]
fn bare_lines_are_messages_whatever_they_begin_with() {
    let world = World::new();
    let mut program = world.start(json!([]), &[]);
    for line in ["plain words", "/memory", "{\"type\":\"other\"}", "{broken", "\"quoted\""] {
        program.send_line(line);
        let events = program.until(|event| event["type"] == "turn");
        assert_eq!(reply(&events), "All right.", "{line}");
        assert_eq!(events.last().unwrap()["cause"], "user");
    }
    let dump = program.command("/dump").pop().unwrap()["text"].as_str().unwrap().to_owned();
    assert!(dump.contains("{\"type\":\"other\"}"), "{dump}");
}

#[test]
fn an_empty_message_is_an_error_and_still_one_turn() {
    let world = World::new();
    let mut program = world.start(json!([]), &[]);
    assert_eq!(types(&program.say("   ")), ["error", "turn"]);
    assert_eq!(reply(&program.say("now a real one")), "All right.");
}

#[test]
fn commands_end_in_one_notice_or_error() {
    let world = World::new();
    let mut program = world.start(json!([]), &[]);
    assert_eq!(types(&program.command("/help")), ["notice"]);
    assert_eq!(types(&program.command("/nonsense")), ["error"]);
    assert_eq!(types(&program.command("/save spring")), ["notice"]);
    assert_eq!(types(&program.command("/load winter")), ["error"]);
    assert_eq!(types(&program.command("/memorywarning")), ["turn", "notice"]);
    assert_eq!(types(&program.command("/heartbeat")), ["message", "turn", "notice"]);
}

#[test]
fn exit_ends_with_code_zero() {
    let world = World::new();
    let mut program = world.start(json!([]), &[]);
    assert_eq!(types(&program.command("/exit")), ["notice"]);
    assert!(program.close().success());
}

/// The database is one file again once a chat has ended by itself.
fn assert_nothing_beside_the_database(world: &World, way: &str) {
    for name in ["mneme.db-wal", "mneme.db-shm"] {
        assert!(!world.home.path().join(name).exists(), "{name} is left after {way}");
    }
}

#[test]
fn a_chat_that_has_ended_leaves_no_write_ahead_log() {
    let world = World::new();
    for way in ["/exit", "the end of input"] {
        let mut program = world.start(json!([]), &[]);
        program.say("Remember this.");
        assert!(world.home.path().join("mneme.db-wal").exists());
        if way == "/exit" {
            program.command(way);
        }
        assert!(program.close().success());
        assert_nothing_beside_the_database(&world, way);
    }
}

#[cfg(unix)]
#[test]
fn a_chat_on_a_terminal_that_has_ended_leaves_no_write_ahead_log() {
    let world = World::new();
    // Several times: a program that ends without waiting for its database is often lucky.
    for _ in 0..5 {
        let mut screen = world.screen(&json!({"replies": [], "otherwise": "All right."}));
        screen.until_prompt();
        screen.line("Remember this.");
        screen.until("reply", |text| text.contains("All right."));
        screen.until_prompt();
        screen.leave();
        assert_nothing_beside_the_database(&world, "/exit on a terminal");
    }
}

#[test]
fn another_persona_for_an_existing_agent_changes_nothing_and_says_so() {
    let world = World::new();
    let mut program = world.start(json!([]), &["--persona", "muse"]);
    let before = program.memory();
    assert!(before["core"]["persona"].as_str().unwrap().contains("Muse"));
    program.close();
    let mut program = world.start(json!([]), &["--persona", "archivist"]);
    let notices = program.ready["notices"].to_string();
    assert!(notices.contains("--persona changed nothing"), "{notices}");
    assert_eq!(program.memory()["core"], before["core"]);
}

#[test]
fn bad_names_and_files_are_refused_with_a_hint_and_the_right_exit_code() {
    let world = World::new();
    let long = world.scratch.path().join("long.txt");
    std::fs::write(&long, "x".repeat(3000)).unwrap();
    let huge = world.scratch.path().join("huge.txt");
    std::fs::write(&huge, "x".repeat(70_000)).unwrap();
    let latin1 = world.scratch.path().join("latin1.txt");
    std::fs::write(&latin1, b"caf\xe9").unwrap();
    let text = world.scratch.path().join("text.gguf");
    std::fs::write(&text, "not a model").unwrap();
    let missing = world.scratch.path().join("missing.gguf");
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    // A build without llama.cpp looks into no model file.
    let unread = if cfg!(feature = "llama-cpp") { "text.gguf" } else { "llama-cpp" };
    let cases: Vec<(Vec<String>, i32, &str)> = vec![
        (vec!["--agent".into(), "../x".into()], 2, "../x"),
        (vec!["--agent".into(), ".hidden".into()], 2, ".hidden"),
        (vec!["--persona".into(), "nobody".into()], 2, "nobody"),
        (vec!["--persona".into(), path(&long)], 2, "2000"),
        (vec!["--persona".into(), path(&huge)], 2, "huge.txt"),
        (vec!["--human".into(), path(&latin1)], 2, "UTF-8"),
        (vec!["--context-window".into(), "100".into()], 2, "1024"),
        (vec!["--model".into(), path(&text)], 3, unread),
        (vec!["--model".into(), path(&missing)], 3, "missing.gguf"),
        (vec!["--model".into(), "no-such-model".into()], 3, "no-such-model"),
    ];
    for (arguments, code, named) in cases {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (exit, event) = world.refused(&arguments);
        assert_eq!(event["type"], "error", "{arguments:?}: {event}");
        assert_eq!(exit, code, "{arguments:?}: {event}");
        assert!(event["message"].as_str().unwrap().contains(named), "{arguments:?}: {event}");
        assert!(!event["hint"].as_str().unwrap().is_empty(), "{arguments:?}: {event}");
    }
    let mut program = world.start(json!([]), &[]);
    assert_eq!(program.ready["resumed"], false, "no refused start left an agent behind");
    assert_eq!(types(&program.say("hi")), ["message", "turn"]);
}

#[test]
fn a_home_that_is_no_folder_and_a_database_of_a_newer_version_are_refused() {
    let world = World::new();
    let file = world.scratch.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (exit, event) = world.refused_in(&file, &[]);
    assert_eq!((exit, &event["type"]), (2, &json!("error")), "{event}");
    assert!(world.start(json!([]), &[]).close().success());
    world.database().pragma_update(None, "user_version", 9999).unwrap();
    let (exit, event) = world.refused(&[]);
    assert_eq!((exit, &event["type"]), (3, &json!("error")), "{event}");
    assert!(event["message"].as_str().unwrap().contains("9999"), "{event}");
}

#[test]
fn two_programs_cannot_run_the_same_agent() {
    let world = World::new();
    let first = world.start(json!([]), &[]);
    let (exit, event) = world.refused(&[]);
    assert_eq!(exit, 1, "{event}");
    assert!(event["message"].as_str().unwrap().contains('a'), "{event}");
    first.close();
    assert!(world.start(json!([]), &[]).close().success());
}

#[test]
fn a_window_that_is_refused_leaves_no_agent_behind() {
    let world = World::new();
    let persona = world.scratch.path().join("persona.txt");
    std::fs::write(&persona, "I like long walks by the sea. ".repeat(66)).unwrap();
    let arguments = ["--persona", persona.to_str().unwrap(), "--context-window", "1024"];
    let (exit, event) = world.refused(&arguments);
    assert_eq!(exit, 2, "{event}");
    assert!(event["message"].as_str().unwrap().contains("1024"), "{event}");
    let mut program = world.start(json!([]), &[]);
    assert_eq!(program.ready["resumed"], false);
    assert!(!program.memory()["core"]["persona"].as_str().unwrap().contains("long walks"));
    assert_eq!(types(&program.say("hi")), ["message", "turn"]);
}

#[test]
fn an_agent_keeps_its_profile_until_a_flag_names_another() {
    let row = |world: &World| -> (String, i64) {
        world
            .database()
            .query_row("SELECT profile, context_window_tokens FROM agents WHERE name = 'a'", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap()
    };
    let classic = json!({
        "replies": [],
        "otherwise": "{\"inner_thoughts\": \"I answer.\", \"function\": \"send_message\", \
                      \"params\": {\"message\": \"Classic.\"}}",
    });
    let world = World::new();
    assert!(world.start(json!([]), &["--profile", "classic"]).close().success());
    let mut program = world.start_script(classic, &["--context-window", "6000"]);
    assert_eq!(reply(&program.say("hi")), "Classic.");
    assert!(program.close().success());
    assert_eq!(row(&world), ("classic".to_owned(), 6000));
    let (exit, event) = world.refused(&["--profile", "native", "--context-window", "1024"]);
    assert_eq!(exit, 2, "{event}");
    assert_eq!(row(&world), ("classic".to_owned(), 6000), "a refused start changes nothing");
    assert!(world.start(json!([]), &["--profile", "native"]).close().success());
    assert_eq!(row(&world).0, "native");
}

#[test]
fn queue_limits_that_cannot_work_are_refused_at_the_start() {
    let world = World::new();
    std::fs::write(world.home.path().join("config.toml"), "[queue]\nkeep_last_messages = 1\n").unwrap();
    let (exit, event) = world.refused(&[]);
    assert_eq!(exit, 2, "{event}");
    assert!(event["message"].as_str().unwrap().contains("keep_last_messages"), "{event}");
}

#[test]
fn a_long_text_is_refused_before_the_model_is_looked_for() {
    let world = World::new();
    let long = world.scratch.path().join("long.txt");
    std::fs::write(&long, "x".repeat(3000)).unwrap();
    let arguments = ["--human", long.to_str().unwrap(), "--model", "no-such-model"];
    let (exit, event) = world.refused(&arguments);
    assert_eq!(exit, 2, "{event}");
    assert!(event["message"].as_str().unwrap().contains("2000"), "{event}");
}

/// The fixed part of a prompt is read at every start of every agent with another model: it must not grow unnoticed. Measured
/// with a real vocabulary and all functions described.
#[test]
#[cfg(feature = "llama-cpp")]
fn the_fixed_part_of_the_prompt_stays_below_a_thousand_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("config.toml"), "memory_pass = false\nheartbeat_minutes = 60\n").unwrap();
    let mut command = binary();
    let model = crate::harness::weights::model_path("smollm2-135m-instruct-q4_1");
    command.args(["run", "--jsonl", "--agent", "ines", "--model"]).arg(model);
    let mut program = Program::spawn(&home, command);
    for text in ["I am Ilva.", "I like tea.", "My cat is called Pim."] {
        program.say(text);
    }
    program.command("/archive The key hangs behind the door.");
    program.command("/summarize");
    let told = program.command("/contextlength").pop().unwrap();
    let text = told["text"].as_str().unwrap();
    let fixed = text.lines().find_map(|line| line.strip_prefix("fixed prompt")).unwrap();
    let tokens: u32 = fixed.split_whitespace().next().unwrap().parse().unwrap();
    assert!((300..=1000).contains(&tokens), "{text}");
    assert!(program.close().success());
}
