//! What goes wrong around a chat, through the program itself: a database that refuses, a kill before the first word,
//! files that are none, command lines that cannot be read. Each is told as it is, with what to do.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::program::{Program, reply, script, types};
#[cfg(unix)]
use crate::harness::screen::Screen;

struct World {
    home: TempDir,
    scratch: TempDir,
}

impl World {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), scratch: tempfile::tempdir().unwrap() }
    }

    fn script(&self, content: &Value) -> std::path::PathBuf {
        script(self.scratch.path(), content)
    }

    fn start(&self, arguments: &[&str]) -> Program {
        let script = self.script(&json!({"replies": [], "otherwise": "All right."}));
        Program::start(self.home.path(), &script, &[&["--agent", "a"], arguments].concat())
    }

    #[cfg(unix)]
    fn screen(&self, content: &Value) -> Screen {
        Screen::start(self.home.path(), &self.script(content), &["--agent", "a", "--first"], &[])
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

    fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.home.path().join("mneme.db")).unwrap()
    }
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
    let mut program = world.start(&[]);
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
    let mut program = world.start(&[]);
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
    let mut program = world.start(&[]);
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

#[cfg(unix)]
#[test]
fn a_message_that_a_kill_left_without_an_answer_is_named_at_every_start_until_it_has_one() {
    let world = World::new();
    let slow = world.script(&json!({"replies": [{"reply": "Too late."}], "token_delay_ms": 60_000}));
    let mut program = Program::start(world.home.path(), &slow, &["--agent", "a"]);
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
    let mut program = world.start(&[]);
    let notices = program.ready["notices"].to_string();
    assert!(notices.contains("not answered") && notices.contains("kayak"), "{notices}");
    assert_eq!(reply(&program.command("/heartbeat")), "All right.");
    assert!(program.close().success());
    assert_eq!(world.start(&[]).ready["notices"], json!([]));
}

#[cfg(unix)]
#[test]
fn what_memory_waits_for_is_a_memory_pass_and_not_a_thought() {
    let world = World::new();
    std::fs::write(world.home.path().join("config.toml"), "memory_pass = true\n").unwrap();
    let replies = json!([
        {"when": "Message:\nMy neighbour breeds llamas.", "reply": "NEW: The user's neighbour breeds llamas."},
        {"when": "Notes:\n", "reply": "NONE", "repeat": true},
    ]);
    let mut screen = world.screen(&json!({"replies": replies, "otherwise": "All right.", "token_delay_ms": 150}));
    screen.until_prompt();
    screen.line("My neighbour breeds llamas.");
    screen.until("reply", |text| text.contains("a> All right."));
    screen.until_prompt();
    screen.line("/memory");
    let text = screen.until("what is waited for", |text| text.contains("memory pass"));
    assert!(!text.contains("thinking"), "{text}");
    screen.until("memory", |text| text.contains("in recall storage"));
    screen.until_prompt();
    screen.leave();
}

#[test]
fn an_agent_that_changes_its_profile_says_so() {
    let world = World::new();
    let notices = |arguments: &[&str]| {
        let mut program = world.start(arguments);
        let notices = program.ready["notices"].take();
        // The next start finds the agent free.
        assert!(program.close().success());
        notices
    };
    assert_eq!(notices(&["--profile", "native"]), json!([]));
    let told = notices(&["--profile", "classic"]).to_string();
    assert!(told.contains("a speaks the classic profile from now on") && told.contains("native"), "{told}");
    assert_eq!(notices(&["--profile", "classic"]), json!([]));
    assert_eq!(notices(&[]), json!([]));
}
