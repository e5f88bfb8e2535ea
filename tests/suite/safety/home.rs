//! The program as a process: what it opens, what it leaves on the disk, and what a disk without room does to it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::program::{Program, reply, script, types};
use crate::harness::screen::Screen;

/// Small talk; a memory pass finds nothing.
fn content(replies: Value, token_delay_ms: u64) -> Value {
    let mut all = vec![json!({"when": "Message:\n", "reply": "NONE", "repeat": true})];
    all.extend(replies.as_array().unwrap().iter().cloned());
    json!({"replies": all, "otherwise": "All right.", "token_delay_ms": token_delay_ms})
}

/// The program behind `shell`, which ends in `exec "$@"` or the like.
fn wrapped(wrapper: &[&str], script: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(wrapper[0]);
    command.args(&wrapper[1..]).arg(env!("CARGO_BIN_EXE_mneme"));
    command.args(["run", "--jsonl", "--yes", "--agent", "a", "--engine", "scripted", "--model"]).arg(script);
    command.args(arguments);
    command
}

/// Tests that need them are ignored by name where nobody asks for them, because many machines forbid users to make
/// namespaces; where they are asked for they run or fail.
#[cfg(target_os = "linux")]
fn assert_can_make_namespaces(arguments: &[&str]) {
    let output = Command::new("unshare").args(arguments).output().unwrap();
    let reason = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "this machine forbids its users to make namespaces: {reason}");
}

#[cfg(target_os = "linux")]
mod network {
    use super::*;

    /// What the descriptors of the program are, in the middle of a reply.
    fn descriptors(program: &mut Program) -> Vec<String> {
        program.send_line("Tell me something long.");
        while program.event()["type"] != "delta" {}
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", program.id()))
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .map(|target| target.to_string_lossy().into_owned())
            .collect();
        program.until(|event| event["type"] == "turn");
        descriptors
    }

    fn slow_script(folder: &Path) -> PathBuf {
        script(folder, &content(json!([{"reply": "Long ago and far away. ".repeat(6).trim_end()}]), 10))
    }

    #[test]
    fn a_chat_opens_no_socket() {
        let home = tempfile::tempdir().unwrap();
        let mut program = Program::start(home.path(), &slow_script(home.path()), &["--agent", "a"]);
        let descriptors = descriptors(&mut program);
        assert!(descriptors.iter().any(|target| target.ends_with("mneme.db")), "{descriptors:?}");
        let socket = descriptors.iter().find(|target| target.starts_with("socket:"));
        assert_eq!(socket, None, "{descriptors:?}");
    }

    #[test]
    #[ignore = "needs user namespaces; a_chat_opens_no_socket runs everywhere"]
    fn a_chat_needs_no_network() {
        let home = tempfile::tempdir().unwrap();
        let path = slow_script(home.path());
        let unshare = ["unshare", "-rn"];
        assert_can_make_namespaces(&[&unshare[1..], &["true"]].concat());
        let mut program = Program::spawn(home.path(), wrapped(&unshare, &path, &[]));
        let events = program.say("Tell me something long.");
        assert_eq!(types(&events), ["message", "turn"], "{events:?}");
        assert!(program.close().success());
    }
}

/// Everything below `folder`, itself included, with its mode.
fn modes(folder: &Path) -> Vec<(PathBuf, bool, u32)> {
    let metadata = std::fs::symlink_metadata(folder).unwrap();
    let mut found = vec![(folder.to_owned(), metadata.is_dir(), metadata.permissions().mode() & 0o7777)];
    if metadata.is_dir() {
        for entry in std::fs::read_dir(folder).unwrap() {
            found.extend(modes(&entry.unwrap().path()));
        }
    }
    found
}

fn assert_private(home: &Path) {
    for (path, is_folder, mode) in modes(home) {
        let expected = if is_folder { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{} has mode {mode:o}", path.display());
    }
}

fn names(home: &Path) -> Vec<String> {
    modes(home).iter().map(|(path, ..)| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn the_home_is_private_whatever_the_umask_is() {
    let scratch = tempfile::tempdir().unwrap();
    let home = scratch.path().join("new").join("home");
    let path = script(scratch.path(), &content(json!([]), 0));
    let no_umask = ["sh", "-c", "umask 000; exec \"$0\" \"$@\""];
    let mut program = Program::spawn(&home, wrapped(&no_umask, &path, &["--debug"]));
    program.say("Good evening.");
    program.command("/save evening");
    assert_private(&home);
    let found = names(&home);
    for name in ["mneme.db", "mneme.db-wal", "mneme.log"] {
        assert!(found.iter().any(|found| found == name), "{name} is not in {found:?}");
    }
    program.close();
    assert_private(&home);
    // The history of typed lines comes with the terminal.
    let config = home.join("config.toml");
    std::fs::write(&config, "memory_pass = false\n").unwrap();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut screen = Screen::start(&home, &path, &["--agent", "a", "--first"], &[]);
    screen.until_prompt();
    screen.line("Good morning.");
    screen.until("reply", |text| text.contains("All right."));
    screen.until_prompt();
    screen.leave();
    assert!(names(&home).contains(&"history.txt".to_owned()), "{:?}", names(&home));
    assert_private(&home);
}

#[test]
fn an_open_home_is_closed() {
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let path = script(scratch.path(), &content(json!([]), 0));
    let mut program = Program::spawn(home.path(), wrapped(&["env"], &path, &[]));
    program.say("Hello.");
    assert_private(home.path());
}

#[test]
fn texts_and_prompts_are_logged_only_with_debug() {
    for debug in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let replies = json!([{"reply": "The heliotrope blooms at noon."}]);
        let path = script(home.path(), &content(replies, 0));
        let arguments: &[&str] = if debug { &["--agent", "a", "--debug"] } else { &["--agent", "a"] };
        let mut program = Program::start(home.path(), &path, arguments);
        program.say("My password is xylophone-42.");
        program.command("/memory");
        program.close();
        let mut log = String::new();
        for (path, is_folder, _) in modes(&home.path().join("logs")) {
            if !is_folder {
                log.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
        for text in ["xylophone-42", "heliotrope", "### Core memory"] {
            assert_eq!(log.contains(text), debug, "debug {debug}: {text}\n{log}");
        }
    }
}

/// Whether the error tells the truth about the message that it is the answer to.
fn assert_told(program: &mut Program, error: &Value, said: &str) {
    let is_stored = error["message_stored"].as_bool().unwrap_or_else(|| panic!("{error}"));
    let (message, hint) = (error["message"].as_str().unwrap(), error["hint"].as_str().unwrap());
    assert_eq!(message.contains("your message was not stored"), !is_stored, "{error}");
    assert!(hint.contains(if is_stored { "your message is stored" } else { "send the message again" }), "{error}");
    let dump = program.command("/dump 9").pop().unwrap();
    assert_eq!(dump["text"].as_str().unwrap().contains(said), is_stored, "{error}\n{dump}");
}

/// Says long things until one of them fails, and gives back those that were answered.
fn fill(program: &mut Program) -> Vec<String> {
    let mut answered = Vec::new();
    for round in 0..200 {
        let text = format!("Entry {round} of the log. {}", "The tide went out and came in again. ".repeat(40));
        let events = program.say(&text);
        let turn = events.last().unwrap();
        if turn["stop_reason"] == "error" {
            let error = events.iter().find(|event| event["type"] == "error").unwrap_or_else(|| panic!("{events:?}"));
            assert_told(program, error, &format!("Entry {round} of the log."));
            assert!(reply(&events).is_empty(), "{events:?}");
            return answered;
        }
        assert_eq!(reply(&events), "All right.", "{events:?}");
        answered.push(format!("Entry {round} of the log."));
    }
    panic!("200 entries found room");
}

fn assert_goes_on(program: &mut Program, answered: &[String]) {
    assert!(!answered.is_empty(), "the first entry found no room: the limit is too small for this test");
    // The last answered entry, its reply, perhaps a warning, and the entry that failed where that was stored.
    let dump = program.command("/dump 4").pop().unwrap();
    assert_eq!(dump["type"], "notice", "{dump}");
    assert!(dump["text"].as_str().unwrap().contains(answered.last().unwrap()), "{dump}");
    let again = program.say("And now?");
    assert_eq!(types(&again), ["error", "turn"], "{again:?}");
    assert_told(program, &again[0], "And now?");
}

#[test]
fn a_file_that_cannot_grow_ends_the_turn_and_loses_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = script(home.path(), &content(json!([]), 0));
    // Signal 25 is SIGXFSZ; where it is ignored, writing reports the limit. Files of at most 600 kB.
    let limited = ["sh", "-c", "trap '' 25; ulimit -f 1200; exec \"$0\" \"$@\""];
    std::fs::write(home.path().join("config.toml"), "memory_pass = false\n").unwrap();
    let mut program = Program::spawn(home.path(), wrapped(&limited, &path, &[]));
    let answered = fill(&mut program);
    assert_goes_on(&mut program, &answered);
    program.kill();
    let mut program = Program::start(home.path(), &path, &["--agent", "a"]);
    let memory = program.memory();
    assert!(memory["recall_count"].as_u64().unwrap() >= 2 * answered.len() as u64, "{memory}");
    let dump = program.command("/dump").pop().unwrap()["text"].as_str().unwrap().to_owned();
    assert!(dump.contains(answered.last().unwrap()), "{dump}");
    assert_eq!(reply(&program.say("And now?")), "All right.");
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs user namespaces; the tests of files that cannot grow run everywhere"]
fn a_full_disk_is_named_and_the_program_goes_on() {
    let home = tempfile::tempdir().unwrap();
    // Beside the home, which is to be covered by the small disk.
    let scratch = tempfile::tempdir().unwrap();
    let path = script(scratch.path(), &content(json!([]), 0));
    let mount = format!("mount -t tmpfs -o size=3m tmpfs {}", home.path().display());
    assert_can_make_namespaces(&["-rm", "sh", "-c", &mount]);
    let full =
        format!("{mount} && echo memory_pass=false > {}/config.toml && exec \"$0\" \"$@\"", home.path().display());
    let mut program = Program::spawn(home.path(), wrapped(&["unshare", "-rm", "sh", "-c", &full], &path, &[]));
    let answered = fill(&mut program);
    assert_goes_on(&mut program, &answered);
    let again = program.say("Hello?");
    assert!(again[0]["message"].as_str().unwrap().contains("disk is full"), "{again:?}");
}
