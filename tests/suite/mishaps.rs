//! What goes wrong around a chat, through the program itself: a database that refuses, a kill before the first word,
//! files that are none, command lines that cannot be read. Each is told as it is, with what to do.

use std::path::Path;
#[cfg(unix)]
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::program::{Program, reply, types};
#[cfg(unix)]
use crate::harness::screen::Screen;
use crate::harness::world::World;

const USAGE: i32 = 2;
const DATA: i32 = 3;

impl World {
    #[cfg(unix)]
    fn pipe(&self, name: &str) -> String {
        let path = self.path(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    /// The database takes no more messages of this kind.
    fn refuse(&self, kind: &str) {
        self.sql(&format!(
            "CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN new.kind = '{kind}'
             BEGIN SELECT RAISE(ABORT, 'no room'); END"
        ));
    }

    fn accept(&self) {
        self.sql("DROP TRIGGER refuse");
    }

    fn sql(&self, text: &str) {
        self.database().execute_batch(text).unwrap();
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or_else(|| panic!("no {field} in {event}"))
}

fn dump(program: &mut Program) -> String {
    text(&program.command("/dump").pop().unwrap(), "text").to_owned()
}

#[test]
fn a_message_that_could_not_be_stored_is_said_not_to_be_and_can_be_sent_again() {
    let world = World::new();
    let mut program = world.start(json!([]), &[]);
    program.say("Good morning.");
    world.refuse("user");
    let events = program.say("The gate code is 4711.");
    assert_eq!(types(&events), ["error", "turn"]);
    assert_eq!(events[0]["message_stored"], false, "{events:?}");
    assert!(text(&events[0], "message").starts_with("your message was not stored: "), "{events:?}");
    assert!(text(&events[0], "hint").contains("send the message again"), "{events:?}");
    assert!(!dump(&mut program).contains("4711"));
    world.accept();
    assert_eq!(reply(&program.say("The gate code is 4711.")), "All right.");
    assert_eq!(dump(&mut program).matches("4711").count(), 1);
}

#[test]
fn a_message_whose_answer_could_not_be_stored_is_said_to_be_stored_and_can_be_answered() {
    let world = World::new();
    let mut program = world.start(json!([]), &[]);
    world.refuse("assistant");
    let events = program.say("The gate code is 4711.");
    assert_eq!(types(&events), ["error", "turn"]);
    assert_eq!(events[0]["message_stored"], true, "{events:?}");
    assert!(!text(&events[0], "message").contains("not stored"), "{events:?}");
    assert!(text(&events[0], "hint").contains("your message is stored: /heartbeat has it answered"), "{events:?}");
    assert!(dump(&mut program).contains("4711"));
    world.accept();
    let events = program.command("/heartbeat");
    assert_eq!(types(&events), ["message", "turn", "notice"]);
}

#[test]
fn what_fails_beside_a_message_says_nothing_of_one() {
    let world = World::new();
    let mut program = world.start(json!([]), &[]);
    for command in ["/pop 99", "/nonsense"] {
        let event = program.command(command).pop().unwrap();
        assert_eq!((&event["type"], event.get("message_stored")), (&json!("error"), None), "{event}");
    }
    assert_eq!(program.say(" ")[0]["message_stored"], false);
}

#[cfg(unix)]
#[test]
fn a_message_that_could_not_be_stored_stands_in_the_line_again() {
    let world = World::new();
    let mut screen = world.screen(&json!({"replies": [], "otherwise": "All right."}));
    screen.until_prompt();
    world.refuse("user");
    screen.line("The gate code is 4711.");
    screen.until("error", |text| text.contains("error: your message was not stored"));
    screen.until("the message again", |text| text.trim_end().ends_with("you> The gate code is 4711."));
    world.accept();
    screen.line("");
    screen.until("reply", |text| text.contains("a> All right."));
    let text = screen.until_prompt();
    assert_eq!(text.matches("4711").count(), 2, "{text}");
    screen.leave();
}

#[test]
fn leaving_says_how_many_messages_were_not_stored_unless_they_were_sent_again() {
    let world = World::new();
    let mut program = world.start(json!([]), &[]);
    world.refuse("user");
    for message in ["The gate code is 4711.", "The gate is green.", "The gate is green."] {
        assert_eq!(program.say(message)[0]["message_stored"], false);
    }
    world.accept();
    program.say("The gate code is 4711.");
    let notice = program.command("/exit").pop().unwrap();
    assert!(text(&notice, "text").starts_with("1 message could not be stored"), "{notice}");
    assert_eq!(program.close().code(), Some(1));
    let mut program = world.start(json!([]), &[]);
    assert_eq!(program.command("/exit").pop().unwrap()["text"], "Everything is saved. Goodbye.");
    assert!(program.close().success());
    #[cfg(unix)]
    {
        let mut screen = world.screen(&json!({"replies": [], "otherwise": "All right."}));
        screen.until_prompt();
        world.refuse("user");
        screen.line("Lost.");
        screen.until("error", |text| text.contains("error: your message was not stored"));
        screen.until("the message again", |text| text.trim_end().ends_with("you> Lost."));
        screen.keys(b"\x03");
        screen.until("goodbye", |text| text.contains("1 message could not be stored"));
        screen.ends(1);
    }
}

#[test]
fn a_line_that_is_no_text_is_told_what_to_write() {
    let world = World::new();
    let mut program = world.start(json!([]), &[]);
    program.send_bytes(b"\xff\xfe\n");
    let event = program.until(|event| event["type"] == "turn").remove(0);
    assert!(text(&event, "message").contains("UTF-8") && text(&event, "hint").contains("UTF-8"), "{event}");
}

#[test]
fn a_wrong_setting_is_told_by_file_and_key() {
    let world = World::new();
    let config = world.home.path().join("config.toml");
    for (line, key) in [
        ("temperature = 99", "temperature"),
        ("core_memory_limit_chars = 0", "core_memory_limit_chars"),
        ("max_steps = 0", "max_steps"),
        ("context_window = 3", "context_window"),
    ] {
        std::fs::write(&config, line).unwrap();
        let (code, event) = world.refused(&[]);
        assert_eq!(code, USAGE, "{event}");
        assert!(text(&event, "message").starts_with(&format!("{}: {key} is ", config.display())), "{event}");
        assert!(!text(&event, "hint").contains("--help"), "{event}");
    }
    std::fs::write(&config, "core_memory_limit_chars = 200").unwrap();
    let (_, event) = world.refused(&["--human", &world.file("long.txt", "x".repeat(300))]);
    assert!(text(&event, "hint").contains("core_memory_limit_chars in config.toml"), "{event}");
}

#[cfg(unix)]
#[test]
fn a_folder_of_logs_that_others_can_read_is_closed() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    assert!(world.start(json!([]), &[]).close().success());
    let logs = world.home.path().join("logs");
    std::fs::set_permissions(&logs, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(world.start(json!([]), &[]).close().success());
    assert_eq!(std::fs::metadata(&logs).unwrap().permissions().mode() & 0o777, 0o700);
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_is_full_is_told_as_that() {
    let world = World::new();
    let mut command = crate::harness::program::binary();
    command.env("MNEME_HOME", world.home.path()).env("MNEME_MODELS", world.path("models")).args(["models", "list"]);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).stderr(std::process::Stdio::piped()).output().unwrap();
    let said = text_of(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write to standard output") && said.contains("free some disk space"), "{said}");
    assert!(!said.contains("--jsonl"), "{said}");
}

#[cfg(unix)]
#[test]
fn what_is_no_failure_of_the_output_is_not_told_as_one() {
    let world = World::new();
    let mut command = crate::harness::program::binary();
    command.args(["bench", "memory", "nested-kv", "--engine", "scripted", "--levels", "0"]);
    command.env("MNEME_HOME", world.home.path()).env("TMPDIR", world.path("no/such/folder"));
    let output = command.output().unwrap();
    let said = text_of(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("temporary files") && said.contains("set TMPDIR"), "{said}");
    let output = world.run(&["add", "persona", "brief", "--text", "I am brief."]);
    assert!(output.status.success());
    let mut screen = Screen::run(world.home.path(), &["delete", "persona", "brief"], &[]);
    screen.until("question", |text| text.trim_end().ends_with("[y/N]"));
    screen.keys(b"\xff\r");
    let said = String::from_utf8_lossy(&screen.ends(2)).into_owned();
    assert!(said.contains("the answer cannot be read") && said.contains("--yes"), "{said}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_while_a_model_loads_is_an_error_line_and_exit_code_130() {
    use std::io::Read;
    let world = World::new();
    let script = world.script(&json!({"replies": [], "load_delay_ms": 60_000}));
    let mut command = crate::harness::program::binary();
    command.env("MNEME_HOME", world.home.path());
    command.args(["run", "--jsonl", "--engine", "scripted", "--model"]).arg(script);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The database is opened before the model is loaded, and after signals are taken.
    while !world.home.path().join("mneme.db").exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    let event: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&event["type"], text(&event, "message")), (&json!("error"), "stopped before the chat began"));
}

#[cfg(unix)]
#[test]
fn what_complete_writes_ends_its_line_on_a_terminal_and_is_exact_elsewhere() {
    let world = World::new();
    let script = world.script(&json!({"replies": [{"reply": "Short.", "repeat": true}]}));
    let arguments =
        ["complete", "--chat", "--prompt", "Say it.", "--engine", "scripted", "--model", script.to_str().unwrap()];
    let said = Screen::run(world.home.path(), &arguments, &[]).ends(0);
    assert!(text_of(&said).ends_with("Short.\r\n"), "{:?}", text_of(&said));
    assert_eq!(text_of(&world.run(&arguments).stdout), "Short.");
}

#[cfg(unix)]
#[test]
fn an_error_is_wrapped_at_the_edge_and_spells_what_would_steer_the_terminal() {
    let world = World::new();
    let grammar = world.file("steering.gbnf", "root ::= \u{1b}x\n");
    let said = text_of(&Screen::run(world.home.path(), &["grammar", "check", &grammar], &[]).ends(3));
    assert!(said.contains("at `\\x1b"), "{said}");
    let said = text_of(&Screen::run(world.home.path(), &["grammar", "check", &"no-such ".repeat(30)], &[]).ends(3));
    assert!(said.lines().count() > 3 && said.lines().all(|line| line.chars().count() <= 120), "{said}");
}

#[cfg(unix)]
#[test]
fn a_wrong_answer_to_which_agent_is_asked_again() {
    let world = World::new();
    let script = world.script(&json!({"replies": [], "otherwise": "All right."}));
    let script = script.to_str().unwrap();
    for name in ["anna", "bo"] {
        let path = Path::new(script);
        assert!(Program::start(world.home.path(), path, &["--agent", name]).close().success());
    }
    let arguments = ["run", "--first", "--engine", "scripted", "--model", script];
    let mut screen = Screen::run(world.home.path(), &arguments, &[]);
    for wrong in ["3", "carl"] {
        screen.until("question", |text| text.trim_end().ends_with("Which agent? [1]"));
        screen.line(wrong);
        screen.until("refusal", |text| text.contains(&format!("There is no agent {wrong}: type a number from 1 to 2")));
    }
    screen.line("anna");
    let text = screen.until_prompt();
    assert!(text.contains("anna (resumed)"), "{text}");
    screen.leave();
}

#[test]
fn a_checkpoint_that_does_not_fit_the_window_is_refused_and_changes_nothing() {
    let world = World::new();
    let long = "The user has a great many things to tell of the sea. ".repeat(30);
    let mut program = world.start(json!([]), &["--human", &world.file("human.txt", &long)]);
    program.command("/save long");
    assert!(program.close().success());
    world.sql("UPDATE core_memory SET text = '' WHERE label = 'human'");
    let mut program = world.start(json!([]), &["--context-window", "1600"]);
    let before = program.memory();
    let event = program.command("/load long").pop().unwrap();
    assert_eq!(event["type"], "error", "{event}");
    assert!(text(&event, "message").contains("1600 tokens is too small"), "{event}");
    assert_eq!(program.memory()["core"], before["core"]);
    assert_eq!(reply(&program.say("Hello?")), "All right.");
}

#[cfg(unix)]
#[test]
fn a_message_that_a_kill_left_without_an_answer_is_named_at_every_start_until_it_has_one() {
    let world = World::new();
    let slow = json!({"replies": [{"reply": "Too late."}], "token_delay_ms": 60_000});
    let mut program = world.start_script(slow, &[]);
    program.send_line("Where did I leave the kayak?");
    let stored = || -> i64 {
        let count = "SELECT count(*) FROM messages WHERE kind = 'user'";
        world.database().query_row(count, [], |row| row.get(0)).unwrap()
    };
    while stored() == 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    program.kill();
    let content = json!({"replies": [], "otherwise": "All right."});
    let mut screen = world.screen(&content);
    let text = screen.until_prompt();
    assert!(text.contains("not answered: \"Where did I leave the kayak?\" /heartbeat"), "{text}");
    screen.leave();
    let replies = json!([{"when": "last message has no answer yet", "reply": "It is at the pier."}]);
    let mut program = world.start(replies, &[]);
    let notices = program.ready["notices"].to_string();
    assert!(notices.contains("not answered") && notices.contains("kayak"), "{notices}");
    assert_eq!(reply(&program.command("/heartbeat")), "It is at the pier.");
    assert_eq!(reply(&program.command("/heartbeat")), "All right.", "the message is answered now");
    assert!(program.close().success());
    assert_eq!(world.start(json!([]), &[]).ready["notices"], json!([]));
}

#[cfg(unix)]
#[test]
fn what_memory_waits_for_is_a_memory_pass_and_not_a_thought() {
    let world = World::new();
    std::fs::write(world.home.path().join("config.toml"), "memory_pass = true\n").unwrap();
    let replies = json!([
        {"when": "Message:\nMy neighbour breeds llamas.", "reply": "FACT: The user's neighbour breeds llamas."},
        {"when": "Notes:\n", "reply": "NONE", "repeat": true},
    ]);
    let mut screen = world.screen(&json!({"replies": replies, "otherwise": "All right.", "token_delay_ms": 150}));
    screen.until_prompt();
    screen.line("My neighbour breeds llamas.");
    screen.until("reply", |text| text.contains("a> All right."));
    screen.until_prompt();
    screen.line("/memory");
    let text = screen.until("what is waited for", |text| text.contains("(1 message left)"));
    assert!(!text.contains("thinking"), "{text}");
    screen.until("memory", |text| text.contains("in recall storage"));
    screen.until_prompt();
    screen.leave();
}

#[cfg(unix)]
#[test]
fn a_greeting_that_is_prepared_says_what_is_waited_for_and_can_be_skipped() {
    let world = World::new();
    let slow = json!({"replies": [{"reply": "Good evening."}], "otherwise": "All right.", "read_delay_ms": 60_000});
    let mut screen = Screen::start(world.home.path(), &world.script(&slow), &["--agent", "a"], &[]);
    screen.until("what is waited for", |text| text.contains("reading its memory before it greets, Ctrl-C skips this"));
    screen.keys(b"\x03");
    let text = screen.until_prompt();
    assert!(text.contains("the greeting is skipped") && !text.contains("kept"), "{text}");
    screen.leave();
}

#[cfg(unix)]
#[test]
fn a_stop_before_the_first_word_says_that_nothing_was_written_and_how_the_message_is_answered() {
    let world = World::new();
    let slow = json!({"replies": [{"reply": "Too late."}], "read_delay_ms": 60_000});
    let mut screen = world.screen(&slow);
    screen.until_prompt();
    screen.line("Where is the kayak?");
    screen.until("what is waited for", |text| text.contains("thinking"));
    screen.keys(b"\x03");
    let text = screen.until_prompt();
    assert!(text.contains("stopped before anything was written; /heartbeat has your message answered"), "{text}");
    assert!(!text.contains("is kept"), "{text}");
    screen.leave();
}

#[cfg(unix)]
#[test]
fn a_text_or_model_that_is_no_regular_file_is_refused_and_never_waited_for() {
    let world = World::new();
    let (pipe, folder) = (world.pipe("pipe.txt"), world.scratch.path().to_str().unwrap());
    let script = world.script(&json!({"replies": []}));
    let script = ["--engine", "scripted", "--model", script.to_str().unwrap()];
    for flag in ["--persona", "--human"] {
        for (path, is) in [(&*pipe, "a named pipe"), (folder, "a folder"), ("/dev/zero", "a device")] {
            let (code, event) = world.refused_chat(&[&script[..], &["--agent", "a", flag, path]].concat());
            assert_eq!(code, USAGE, "{event}");
            assert!(text(&event, "message").ends_with(&format!("{path} is {is}")), "{event}");
        }
    }
    let model = world.pipe("model.gguf");
    let cases = [
        (["run", "--jsonl", "--engine", "scripted", "--model", &pipe].to_vec(), "a named pipe"),
        (["run", "--jsonl", "--engine", "scripted", "--model", "/dev/zero"].to_vec(), "a device"),
        (["run", "--jsonl", "--model", &model].to_vec(), "a named pipe"),
        (["run", "--jsonl", "--model", "/dev/zero"].to_vec(), "a device"),
        (["models", "info", &model].to_vec(), "a named pipe"),
        (["grammar", "check", "json", "--model", &model].to_vec(), "a named pipe"),
    ];
    for (arguments, is) in cases {
        let output = world.run(&arguments);
        let said = text_of(&output.stdout) + &text_of(&output.stderr);
        assert_eq!(output.status.code(), Some(DATA), "{arguments:?}: {said}");
        assert!(said.contains(is), "{arguments:?}: {said}");
    }
}

#[cfg(unix)]
#[test]
fn grammars_schemas_and_prompts_come_from_pipes_too_and_are_bounded() {
    let world = World::new();
    let script = world.script(&json!({"replies": [{"reply": "x", "repeat": true}]}));
    let model = ["--engine", "scripted", "--model", script.to_str().unwrap()];
    let pipe = world.pipe("pipe");
    let at_pipe = format!("@{pipe}");
    let cases: [(&[&str], &str); 4] = [
        (&["grammar", "check", &pipe], "root ::= \"x\"\n"),
        (&["grammar", "from-schema", &pipe], "{\"const\": 1}"),
        (&["grammar", "accepts", "list", "--input", &at_pipe], "- a\n"),
        (&[&["complete", "--chat", "--prompt", &at_pipe], &model[..]].concat(), "Say it."),
    ];
    for (arguments, content) in cases {
        let path = pipe.clone();
        let writer = std::thread::spawn(move || std::fs::write(path, content).unwrap());
        let output = world.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text_of(&output.stderr));
        writer.join().unwrap();
    }
    for arguments in [
        &["grammar", "check", "/dev/zero"][..],
        &["grammar", "from-schema", "/dev/zero"],
        &["grammar", "accepts", "list", "--input", "@/dev/zero"],
        &[&["complete", "--prompt", "@/dev/zero"], &model[..]].concat(),
    ] {
        let output = world.run(arguments);
        assert_eq!(output.status.code(), Some(DATA), "{arguments:?}");
        assert!(text_of(&output.stderr).contains("/dev/zero is larger than"), "{arguments:?}");
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_text() {
    let world = World::new();
    let persona = world.file("persona.txt", "\u{feff}I mend clocks.\r\n");
    let human = world.file("human.txt", "\u{feff}The user sails.");
    let mut program = world.start(json!([]), &["--persona", &persona, "--human", &human]);
    assert_eq!(program.memory()["core"], json!({"persona": "I mend clocks.", "human": "The user sails."}));
    program.close();

    let grammar = world.file("marked.gbnf", "\u{feff}root ::= \"x\"\n");
    assert!(world.run(&["grammar", "check", &grammar]).status.success());
    let schemas = ["{\"const\": 1}", "\u{feff}{\"const\": 1}"];
    let printed = schemas.map(|schema| world.run(&["grammar", "from-schema", &world.file("s.json", schema)]).stdout);
    assert!(!printed[0].is_empty());
    assert_eq!(printed[0], printed[1]);
    let script = world.script(&json!({"replies": [{"reply": "x", "repeat": true}]}));
    let prompt_tokens = ["Say it.", "\u{feff}Say it."].map(|prompt| {
        let prompt = format!("@{}", world.file("prompt.txt", prompt));
        let model = ["--engine", "scripted", "--model", script.to_str().unwrap()];
        let output = world.run(&[&["complete", "--json", "--chat", "--prompt", &prompt], &model[..]].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["prompt_tokens"].as_u64().unwrap()
    });
    assert_eq!(prompt_tokens[0], prompt_tokens[1]);
    // A text that is judged is judged byte by byte.
    let input = format!("@{}", world.file("input", "\u{feff}x"));
    assert_eq!(world.run(&["grammar", "accepts", &grammar, "--input", &input]).status.code(), Some(1));
}

#[test]
fn with_jsonl_a_wrong_command_line_is_an_error_line() {
    let world = World::new();
    for (arguments, named, advice) in [
        (&["--idle", "sometimes"][..], "sometimes", "--help"),
        (&["--frist"], "--frist", "--first"),
        (&["extra"], "extra", "--help"),
        (&["--agent"], "--agent", "--help"),
    ] {
        let (code, event) = world.refused_chat(arguments);
        assert_eq!(code, USAGE, "{event}");
        assert!(text(&event, "message").contains(named) && text(&event, "hint").contains(advice), "{event}");
        assert!(!text(&event, "message").starts_with("error"), "{event}");
        assert_eq!((&event["cause"], &event["seq"]), (&json!("command"), &Value::Null), "{event}");
    }
    let output = world.run(&["run", "--idle", "sometimes"]);
    assert_eq!(output.status.code(), Some(USAGE));
    assert!(output.stdout.is_empty() && text_of(&output.stderr).starts_with("error: "), "{output:?}");
    let output = world.run(&["run", "--jsonl", "--help"]);
    assert!(output.status.success() && text_of(&output.stdout).contains("Usage: mneme run"), "{output:?}");
    let output = world.run(&["--version", "run", "--jsonl"]);
    assert!(output.status.success() && text_of(&output.stdout).starts_with("mneme "), "{output:?}");
}

#[test]
fn a_number_below_0_is_refused_by_what_it_should_be() {
    let world = World::new();
    for (flag, number, expected) in [
        ("--temperature", "-1", "from 0 to 2"),
        ("--temperature", "-0.5", "from 0 to 2"),
        ("--seed", "-1", "whole number from 0"),
        ("--context-window", "-4096", "whole number from 0"),
    ] {
        let (code, event) = world.refused_chat(&[flag, number]);
        assert_eq!(code, USAGE, "{event}");
        assert!(text(&event, "message").contains(number) && text(&event, "message").contains(expected), "{event}");
    }
}

#[test]
fn an_agent_that_changes_its_profile_says_so() {
    let world = World::new();
    let notices = |arguments: &[&str]| {
        let mut program = world.start(json!([]), arguments);
        let notices = program.ready["notices"].take();
        // The next start finds the agent free.
        assert!(program.close().success());
        notices
    };
    // A new agent may be told other things.
    notices(&["--profile", "native"]);
    assert_eq!(notices(&["--profile", "native"]), json!([]));
    let told = notices(&["--profile", "classic"]).to_string();
    assert!(told.contains("a speaks the classic profile from now on") && told.contains("native"), "{told}");
    assert_eq!(notices(&["--profile", "classic"]), json!([]));
    assert_eq!(notices(&[]), json!([]));
}

#[test]
fn a_damaged_file_of_ones_own_is_not_to_be_pulled() {
    let world = World::new();
    let damaged = world.file("mine.gguf", b"GGUF\x03\0\0\0");
    for arguments in [
        &["models", "info", &damaged][..],
        &["complete", "--model", &damaged],
        &["grammar", "mask", "json", "--model", &damaged],
    ] {
        let output = world.run(arguments);
        let said = text_of(&output.stderr);
        assert_eq!(output.status.code(), Some(DATA), "{said}");
        assert!(said.contains("mine.gguf") && said.contains("from where it came from"), "{said}");
        assert!(!said.contains("models pull"), "{said}");
    }
}

#[test]
fn a_model_that_is_not_there_is_told_where_it_would_go() {
    let world = World::new();
    let output = world.run(&["models", "info", "smollm2-135m-instruct-q4_1"]);
    let said = text_of(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let path = Path::new(&world.path("models")).join("smollm2-135m-instruct-q4_1.gguf");
    assert!(said.contains("installed       no\n"), "{said}");
    assert!(said.contains(&format!("would go to     {}\n", path.display())), "{said}");
    assert!(!said.contains("\nfile "), "{said}");
}
