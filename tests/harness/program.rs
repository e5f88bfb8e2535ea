//! The built program in JSON-lines mode, driven as a script would, with its own empty home.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// A program that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(120);

/// The binary under test.
pub fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_mneme"))
}

/// Writes a script for the scripted engine and gives back its path.
pub fn script(folder: &Path, script: &Value) -> PathBuf {
    let path = folder.join("script.json");
    std::fs::write(&path, script.to_string()).unwrap();
    path
}

/// A running `mneme run --jsonl`.
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    seq: u64,
    /// The first event.
    pub ready: Value,
}

impl Program {
    /// Starts the program on a script in `home` and waits until it is ready.
    pub fn start(home: &Path, script: &Path, arguments: &[&str]) -> Self {
        // A scripted model has no opinion on what is worth saving: the passes that ask it are tested by themselves.
        let config = home.join("config.toml");
        if !config.exists() {
            std::fs::write(config, "memory_pass = false\n").unwrap();
        }
        let mut command = binary();
        command.args(["run", "--jsonl", "--yes", "--engine", "scripted", "--model"]).arg(script).args(arguments);
        // What is installed on the machine that runs the tests must not matter.
        command.env("MNEME_MODELS", home.join("models"));
        Self::spawn(home, command)
    }

    /// Starts any command in `home` and waits until it is ready.
    pub fn spawn(home: &Path, mut command: Command) -> Self {
        // A home that others can read is refused where the test has put files of its own into it.
        #[cfg(unix)]
        if home.exists() {
            std::fs::set_permissions(home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        }
        command.env("MNEME_HOME", home);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        let mut program = Self { child, input, lines, seq: 0, ready: Value::Null };
        program.ready = program.event();
        assert_eq!(program.ready["type"], "ready", "{}", program.ready);
        program
    }

    /// The next event.
    pub fn event(&mut self) -> Value {
        match self.lines.recv_timeout(SILENCE) {
            Ok(line) => serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")),
            Err(RecvTimeoutError::Timeout) => panic!("no event within {SILENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the program ended: {:?}", self.child.try_wait()),
        }
    }

    /// Writes an input line.
    pub fn send_line(&mut self, line: &str) {
        self.send_bytes(format!("{line}\n").as_bytes());
    }

    /// Writes an input line as it is, its end included.
    pub fn send_bytes(&mut self, line: &[u8]) {
        self.seq += 1;
        let input = self.input.as_mut().unwrap();
        input.write_all(line).unwrap();
        input.flush().unwrap();
    }

    /// Says something and gives back all events up to its turn.
    pub fn say(&mut self, text: &str) -> Vec<Value> {
        self.send_line(&json!({"type": "user", "text": text}).to_string());
        self.until(|event| event["type"] == "turn")
    }

    /// Runs a command and gives back all events up to the one that ends it.
    pub fn command(&mut self, text: &str) -> Vec<Value> {
        self.send_line(&json!({"type": "command", "text": text}).to_string());
        self.until(|event| matches!(event["type"].as_str(), Some("notice" | "error" | "memory")))
    }

    /// The `memory` event.
    pub fn memory(&mut self) -> Value {
        self.command("/memory").pop().unwrap()
    }

    /// Events of the newest input line, up to the one that `is_last` names.
    pub fn until(&mut self, is_last: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.event();
            // What is done in idle time belongs to no input line.
            let expected = if event["cause"] == "idle" { Value::Null } else { json!(self.seq) };
            assert_eq!(event["seq"], expected, "{event}");
            let last = is_last(&event);
            events.push(event);
            if last {
                return events;
            }
        }
    }

    /// Id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills the program with SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        let status = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Ends the input and waits for the program to leave.
    pub fn close(mut self) -> ExitStatus {
        drop(self.input.take());
        self.child.wait().unwrap()
    }
}

/// The text of all `message` events, joined by newlines.
pub fn reply(events: &[Value]) -> String {
    let texts: Vec<&str> =
        events.iter().filter(|event| event["type"] == "message").filter_map(|event| event["text"].as_str()).collect();
    texts.join("\n")
}

/// The types of the events, in order, without the optional deltas.
pub fn types(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["type"].as_str()).filter(|kind| *kind != "delta").collect()
}
