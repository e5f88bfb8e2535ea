//! What copies or rewrites the whole database, where no file may grow any more: it says so, leaves nothing half-made, and
//! everything is there and can be done once there is room. The limit is that of the process on the length of its files,
//! which every machine has.

use std::path::{Path, PathBuf};
use std::process::Output;

use mneme::memory::{AgentMemory, NewAgent, Store};
use mneme::types::{Body, ManualClock, NewMessage};
use serde_json::json;

use crate::harness::world::World;

/// A word that only the agent `a` has heard.
const SECRET: &str = "xanthoquark";
/// Longest file in the runs that are limited, in blocks of 512 bytes: room for what a chat writes, not for a database.
const LIMIT_BLOCKS: u64 = 2048;
/// Messages of the agent `large`, which fill twice as much.
const MESSAGES: i64 = 400;

fn said(index: i64, text: &str) -> NewMessage {
    NewMessage { at_ms: index, body: Body::User { text: text.to_owned() }, interrupted: false }
}

/// A home whose database is longer than the limit, with a small agent `a` beside the one that fills it.
fn filled() -> World {
    let world = World::new();
    let path = world.home.path().join("mneme.db");
    let open = || Store::open(&path, &ManualClock::at(0)).unwrap();
    let mut large = AgentMemory::create(open(), &NewAgent::named("large", 0)).unwrap();
    for index in 0..MESSAGES {
        let text = format!("{index}: {}", (0..300).map(|word| format!("w{} ", index * 300 + word)).collect::<String>());
        large.record(&[said(index, &text)]).unwrap();
    }
    drop(large);
    let mut small = AgentMemory::create(open(), &NewAgent::named("a", 0)).unwrap();
    small.record(&[said(1, &format!("my {SECRET}"))]).unwrap();
    drop(small);
    assert!(std::fs::metadata(&path).unwrap().len() > 2 * 512 * LIMIT_BLOCKS);
    world
}

/// Runs the program where a file that grows beyond the limit is an error, not the end (signal 25 is SIGXFSZ).
fn limited(world: &World, arguments: &[&str]) -> Output {
    let limit = format!("trap '' 25; ulimit -f {LIMIT_BLOCKS}; exec \"$0\" \"$@\"");
    std::process::Command::new("sh")
        .args(["-c", &limit, env!("CARGO_BIN_EXE_mneme")])
        .args(arguments)
        .env("MNEME_HOME", world.home.path())
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8(text).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    names.sort();
    names
}

/// Everything that the large agent was told is there, and the file is sound.
fn assert_whole(world: &World) {
    let database = world.database();
    let integrity: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(integrity, "ok");
    let sql = "SELECT count(*) FROM messages m JOIN agents a ON a.id = m.agent_id WHERE a.name = 'large'";
    assert_eq!(database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), MESSAGES);
}

#[test]
fn a_purge_without_room_is_told_and_finished_when_there_is_some() {
    let world = filled();
    let output = limited(&world, &["delete", "agent", "a", "--yes"]);
    let said = text(&output);
    assert!(!output.status.success() && said.contains("The agent a is deleted."), "{said}");
    assert_whole(&world);
    let output = limited(&world, &["list", "agents"]);
    let said = text(&output);
    assert!(output.status.success() && said.contains("is not gone from all files yet"), "{said}");
    let said = text(&world.run(&["list", "agents"]));
    assert!(said.contains("now it has") && said.contains("large"), "{said}");
    for name in names(world.home.path()) {
        let path: PathBuf = world.home.path().join(&name);
        let holds = |path: &Path| std::fs::read(path).unwrap().windows(SECRET.len()).any(|w| w == SECRET.as_bytes());
        assert!(path.is_dir() || !holds(&path), "{name}");
    }
    assert_whole(&world);
}

#[test]
fn a_forgetting_without_room_is_told_and_the_chat_goes_on() {
    let world = filled();
    let script = world.script(&json!({"replies": [], "otherwise": "All right."}));
    let limit = format!("trap '' 25; ulimit -f {LIMIT_BLOCKS}; exec \"$0\" \"$@\"");
    std::fs::write(world.home.path().join("config.toml"), "memory_pass = false\n").unwrap();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &limit, env!("CARGO_BIN_EXE_mneme"), "run", "--jsonl", "--yes", "--agent", "a"]);
    command.args(["--engine", "scripted", "--model"]).arg(&script);
    let mut program = crate::harness::program::Program::spawn(world.home.path(), command);
    let error = program.command(&format!("/forget {SECRET}")).pop().unwrap();
    assert_eq!(error["type"], "error", "{error}");
    assert!(error["message"].as_str().unwrap().contains("not all of its bytes"), "{error}");
    assert_eq!(crate::harness::program::reply(&program.say("Hello.")), "All right.");
    assert!(program.close().success());
    assert_whole(&world);
    assert!(text(&world.run(&["list", "agents"])).contains("now it has"));
}

#[test]
fn a_backup_and_a_restore_without_room_leave_nothing_behind() {
    let world = filled();
    let (before, copy) = (names(world.home.path()), world.path("copy.db"));
    let output = limited(&world, &["backup", &copy]);
    assert!(!output.status.success() && text(&output).contains("copy.db"), "{}", text(&output));
    assert_eq!(names(world.scratch.path()), [""; 0]);
    assert!(world.run(&["backup", &copy]).status.success());
    let output = limited(&world, &["restore", &copy, "--yes"]);
    assert!(!output.status.success(), "{}", text(&output));
    assert_eq!(names(world.home.path()), before);
    assert_whole(&world);
}

#[test]
fn a_migration_without_room_for_its_copy_changes_nothing_and_leaves_nothing_behind() {
    let world = filled();
    let newest: i64 = world.database().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    let before_last = "DROP TABLE pending_purges; PRAGMA user_version = 6;";
    world.database().execute_batch(before_last).unwrap();
    let before = names(world.home.path());
    let output = limited(&world, &["list", "agents"]);
    assert!(!output.status.success() && text(&output).contains("v6"), "{}", text(&output));
    assert_eq!(names(world.home.path()), before);
    assert_whole(&world);
    let version = || -> i64 { world.database().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap() };
    assert_eq!(version(), 6);
    assert!(world.run(&["list", "agents"]).status.success());
    assert_eq!(version(), newest);
    assert_whole(&world);
}
