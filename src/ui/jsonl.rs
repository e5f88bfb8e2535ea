//! JSON-lines mode: one item per input line, one event per output line, for scripts, tests and evaluation.
//!
//! An input line is `{"type":"user","text":..}`, `{"type":"command","text":..}` or, whatever else it is, a user message as
//! it stands. Standard output carries events only; diagnostics go elsewhere.

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::kernel::{Emitted, Handle, Outgoing, Request};
use crate::types::{Cause, Event};

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item {
    User { text: String },
    Command { text: String },
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: &'a Event,
    cause: Cause,
    seq: Option<u64>,
}

/// What an input line asks for.
fn request(line: &[u8]) -> Request {
    let Ok(text) = std::str::from_utf8(line) else {
        return Request::Unreadable { reason: "the input line is not UTF-8".to_owned() };
    };
    match serde_json::from_str(text) {
        Ok(Item::User { text }) => Request::User { text },
        Ok(Item::Command { text }) => Request::Command { text },
        Err(_) => Request::User { text: text.to_owned() },
    }
}

/// Writes one event as a line and flushes it.
///
/// # Errors
/// The reader is gone.
pub fn write_event(output: &mut impl Write, emitted: &Emitted) -> std::io::Result<()> {
    let line = Line { event: &emitted.event, cause: emitted.cause, seq: emitted.seq };
    serde_json::to_writer(&mut *output, &line)?;
    output.write_all(b"\n")?;
    output.flush()
}

/// Runs until the end of input or `/exit`. Gives back how many messages could not be stored, none where the agent has
/// stopped without leaving.
///
/// Input is read on a thread of its own and waits in the kernel's queue, so that a writer is never blocked by a turn.
///
/// # Errors
/// Standard output is gone.
pub fn run(
    handle: Handle,
    input: impl BufRead + Send + 'static,
    output: &mut impl Write,
) -> std::io::Result<Option<usize>> {
    let requests = handle.requests.clone();
    std::thread::spawn(move || feed(input, |seq, request| requests.send(Some(seq), request)));
    drop(handle.requests);
    let mut left = None;
    for outgoing in handle.events {
        match outgoing {
            Outgoing::Event(emitted) => write_event(output, &emitted)?,
            Outgoing::Done | Outgoing::PassesLeft(_) => {}
            Outgoing::Left { unstored_messages } => left = Some(unstored_messages),
        }
    }
    Ok(left)
}

/// Reads lines until the end, `/exit` included as the last request.
fn feed(mut input: impl BufRead, mut send: impl FnMut(u64, Request) -> bool) {
    let mut seq = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        seq += 1;
        match input.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => {
                send(seq, Request::Exit);
                return;
            }
            Ok(_) => {}
        }
        if line.ends_with(b"\n") {
            line.pop();
        }
        if line.ends_with(b"\r") {
            line.pop();
        }
        if !send(seq, request(&line)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(input: &str) -> Vec<(u64, Request)> {
        let mut seen = Vec::new();
        feed(input.as_bytes(), |seq, request| {
            seen.push((seq, request));
            true
        });
        seen
    }

    #[test]
    fn items_commands_and_bare_lines_are_told_apart() {
        let seen = requests(
            "{\"type\":\"user\",\"text\":\"a\\nb\"}\n{\"type\":\"command\",\"text\":\"/pop 2\"}\n/not a command\n{\"type\":\"x\"}\n",
        );
        assert_eq!(
            seen,
            [
                (1, Request::User { text: "a\nb".into() }),
                (2, Request::Command { text: "/pop 2".into() }),
                (3, Request::User { text: "/not a command".into() }),
                (4, Request::User { text: "{\"type\":\"x\"}".into() }),
                (5, Request::Exit),
            ]
        );
    }

    #[test]
    fn a_line_that_is_not_utf8_is_answered_not_dropped() {
        assert!(matches!(request(b"\xff\xfe"), Request::Unreadable { .. }));
    }

    #[test]
    fn an_event_is_one_line_with_its_cause_and_number() {
        let mut output = Vec::new();
        let emitted = Emitted { cause: Cause::User, seq: Some(3), event: Event::Message { text: "a\nb".into() } };
        write_event(&mut output, &emitted).unwrap();
        assert_eq!(
            String::from_utf8(output).unwrap(),
            "{\"type\":\"message\",\"text\":\"a\\nb\",\"cause\":\"user\",\"seq\":3}\n"
        );
    }
}
