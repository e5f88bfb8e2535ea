//! The program on a pseudo-terminal: what it writes, byte by byte, and what a user would see of it.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Command, Pty};

/// A program that shows nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(60);
/// A program that has not shown what is wanted for so long never will.
const PATIENCE: Duration = Duration::from_secs(120);
const ROWS: u16 = 40;
const COLUMNS: u16 = 120;

/// A program on a terminal of 40 rows and 120 columns.
pub struct Screen {
    child: Child,
    pty: Pty,
    pieces: Receiver<Vec<u8>>,
    terminal: vt100::Parser,
    /// Everything that was written.
    pub raw: Vec<u8>,
}

impl Screen {
    /// Starts `mneme run` on the scripted engine in `home`.
    pub fn start(home: &Path, script: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        // As for a program without a terminal: the home may hold files of the test.
        std::fs::set_permissions(home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let config = home.join("config.toml");
        if !config.exists() {
            std::fs::write(config, "memory_pass = false\n").unwrap();
        }
        let script = script.to_str().unwrap();
        let chat = ["run", "--yes", "--engine", "scripted", "--model", script];
        Self::run(home, &[&chat[..], arguments].concat(), variables)
    }

    /// Starts any command in `home`.
    pub fn run(home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(Size::new(ROWS, COLUMNS)).unwrap();
        // Without a umask, so that what is private is so by the program's own doing.
        let mut command = Command::new("sh")
            .args(["-c", "umask 000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_mneme")])
            .args(arguments)
            .env("MNEME_HOME", home)
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR")
            .env_remove("CLICOLOR_FORCE");
        for (name, value) in variables {
            command = command.env(name, value);
        }
        let child = command.spawn(pts).unwrap();
        let mut output = std::fs::File::from(pty.as_fd().try_clone_to_owned().unwrap());
        let (sender, pieces) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0_u8; 4096];
            // Linux reports an error where the other end is closed.
            while let Ok(length) = output.read(&mut buffer) {
                if length == 0 || sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            pty,
            pieces,
            terminal: vt100::Parser::new(ROWS.try_into().unwrap(), COLUMNS.try_into().unwrap(), 0),
            raw: Vec::new(),
        }
    }

    /// Ends the program by a signal (`TERM`, `HUP` ..); whether the terminal then shows what is typed, line by line.
    pub fn ends_soundly(mut self, signal: &str) -> bool {
        use rustix::termios::{LocalModes, tcgetattr};
        let terminal = self.pty.as_fd().try_clone_to_owned().unwrap();
        let kill = std::process::Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        assert!(!self.child.wait().unwrap().success());
        tcgetattr(terminal).unwrap().local_modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// Types bytes as they are.
    pub fn keys(&mut self, bytes: &[u8]) {
        self.pty.write_all(bytes).unwrap();
        self.pty.flush().unwrap();
    }

    /// Types a line.
    pub fn line(&mut self, text: &str) {
        self.keys(format!("{text}\r").as_bytes());
    }

    /// What the user sees.
    pub fn text(&self) -> String {
        self.terminal.screen().contents()
    }

    /// Waits until what the user sees is as `wanted` says, and gives it back.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let text = self.text();
            if wanted(&text) {
                return text;
            }
            // A spinner is never silent.
            assert!(started.elapsed() < PATIENCE, "no {what} within {PATIENCE:?}:\n{text}");
            match self.pieces.recv_timeout(SILENCE) {
                Ok(piece) => {
                    self.terminal.process(&piece);
                    self.raw.extend(piece);
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {what} within {SILENCE:?}:\n{text}"),
                Err(RecvTimeoutError::Disconnected) => panic!("the program left before {what}:\n{text}"),
            }
        }
    }

    /// Waits for the prompt on the last line that is not blank.
    pub fn until_prompt(&mut self) -> String {
        self.until("prompt", |text| text.trim_end().ends_with("you>"))
    }

    /// The cell where `needle` begins.
    pub fn cell(&self, needle: &str) -> vt100::Cell {
        let screen = self.terminal.screen();
        let (row, column) = (0..ROWS)
            .zip(screen.rows(0, COLUMNS))
            .find_map(|(row, text)| Some((row, text[..text.find(needle)?].chars().count())))
            .unwrap_or_else(|| panic!("{needle:?} is not on the screen:\n{}", self.text()));
        screen.cell(row, u16::try_from(column).unwrap()).unwrap().clone()
    }

    /// Makes the terminal so many columns wide; what it shows is forgotten.
    pub fn resize(&mut self, columns: u16) {
        self.pty.resize(Size::new(ROWS, columns)).unwrap();
        self.terminal = vt100::Parser::new(ROWS.try_into().unwrap(), columns.try_into().unwrap(), 0);
    }

    /// Kills the program with SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Leaves the program, which must end well; gives back everything that it wrote.
    pub fn leave(mut self) -> Vec<u8> {
        self.line("/exit");
        self.ends(0)
    }

    /// Waits until the program ends, with this exit code; gives back everything that it wrote.
    pub fn ends(mut self, code: i32) -> Vec<u8> {
        loop {
            match self.pieces.recv_timeout(SILENCE) {
                Ok(piece) => self.raw.extend(piece),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {}", String::from_utf8_lossy(&self.raw)),
            }
        }
        assert_eq!(self.child.wait().unwrap().code(), Some(code), "{}", String::from_utf8_lossy(&self.raw));
        self.raw
    }
}
