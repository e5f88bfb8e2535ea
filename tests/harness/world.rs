//! A home, a folder beside it for the test's own files, and the program in them.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::{Program, binary, script};
#[cfg(unix)]
use super::screen::Screen;

/// A command that has not ended by then waits for something that never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module. Chats are those of the agent `a`.
pub struct World {
    pub home: TempDir,
    pub scratch: TempDir,
}

impl World {
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), scratch: tempfile::tempdir().unwrap() }
    }

    /// Where a file of the test lies or will lie.
    pub fn path(&self, name: &str) -> String {
        self.scratch.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file of the test and gives back its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.scratch.path().join(name), content).unwrap();
        self.path(name)
    }

    /// Writes a script for the scripted engine and gives back its path.
    pub fn script(&self, content: &Value) -> PathBuf {
        script(self.scratch.path(), content)
    }

    /// The script in which these replies are followed by "All right." for ever.
    fn replies(&self, replies: &Value) -> PathBuf {
        self.script(&json!({"replies": replies, "otherwise": "All right."}))
    }

    /// Starts a chat in which the model gives these replies, and "All right." from then on.
    pub fn start(&self, replies: Value, arguments: &[&str]) -> Program {
        self.start_on(&self.replies(&replies), arguments)
    }

    /// Starts a chat on a whole script.
    pub fn start_script(&self, content: Value, arguments: &[&str]) -> Program {
        self.start_on(&self.script(&content), arguments)
    }

    /// As [`World::start`], of another agent than `a`.
    pub fn start_agent(&self, agent: &str, replies: Value) -> Program {
        Program::start(self.home.path(), &self.replies(&replies), &["--agent", agent])
    }

    fn start_on(&self, script: &Path, arguments: &[&str]) -> Program {
        Program::start(self.home.path(), script, &[&["--agent", "a"], arguments].concat())
    }

    /// Starts a chat on a terminal, without a greeting.
    #[cfg(unix)]
    pub fn screen(&self, content: &Value) -> Screen {
        Screen::start(self.home.path(), &self.script(content), &["--agent", "a", "--first"], &[])
    }

    /// Runs a command without input to its end; its models are those of an empty folder.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_in(self.home.path(), arguments)
    }

    fn run_in(&self, home: &Path, arguments: &[&str]) -> Output {
        let mut command = binary();
        command.env("MNEME_HOME", home).env("MNEME_MODELS", self.scratch.path().join("models"));
        command.args(arguments).stdin(Stdio::null());
        let (sender, outcome) = channel();
        std::thread::spawn(move || sender.send(command.output().unwrap()));
        outcome.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{arguments:?} hangs"))
    }

    /// A chat with no arguments but these, which does not start: its exit code and the only line that it writes.
    pub fn refused_chat(&self, arguments: &[&str]) -> (i32, Value) {
        self.refused_chat_in(self.home.path(), arguments)
    }

    fn refused_chat_in(&self, home: &Path, arguments: &[&str]) -> (i32, Value) {
        let output = self.run_in(home, &[&["run", "--jsonl"], arguments].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        let event: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["type"], "error", "{arguments:?}: {event}");
        assert!(!event["hint"].as_str().unwrap().is_empty(), "{arguments:?}: {event}");
        (output.status.code().unwrap(), event)
    }

    /// The same for a chat of the agent `a` on the scripted engine, where `arguments` name no other agent or model.
    pub fn refused(&self, arguments: &[&str]) -> (i32, Value) {
        self.refused_in(self.home.path(), arguments)
    }

    /// The same in another home.
    pub fn refused_in(&self, home: &Path, arguments: &[&str]) -> (i32, Value) {
        let script = self.replies(&json!([]));
        let (agent, model) = (["--agent", "a"], ["--engine", "scripted", "--model", script.to_str().unwrap()]);
        let mut all = vec!["--yes"];
        all.extend(agent.iter().filter(|_| !arguments.contains(&"--agent")));
        all.extend(model.iter().filter(|_| !arguments.contains(&"--model")));
        self.refused_chat_in(home, &[&all, arguments].concat())
    }

    /// The database, also while a chat has it open.
    pub fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.home.path().join("mneme.db")).unwrap()
    }
}
