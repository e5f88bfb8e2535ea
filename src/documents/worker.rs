//! The reading process: takes documents on standard input, gives their text on standard output, and may die of any of
//! them. The other end is [`super::Reader`].
//!
//! A request is a line of JSON and behind it the bytes of the file: the process opens no file. Each line of an answer
//! begins with a key that the request has chosen: a library that prints cannot write one.

use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::format::Format;
use super::limits::Limits;
use super::read::{Document, read};
use crate::types::Piece;

/// The first line of a request.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) key: String,
    pub(super) format: Format,
    pub(super) size_bytes: u64,
    pub(super) limits: Limits,
}

/// A line of an answer; the last one is `Done` or `Refused`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Piece(Piece),
    Done { notices: Vec<String> },
    Refused { reason: String, hint: String },
}

/// Answers requests until the input ends.
///
/// # Errors
/// Input or output is gone, or a request cannot be understood.
pub fn serve(mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut limited = false;
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let request: Request = serde_json::from_str(&line)?;
        if !limited {
            limit_this_process(&request.limits)?;
            limited = true;
        }
        let mut bytes = Vec::new();
        input.by_ref().take(request.size_bytes).read_to_end(&mut bytes)?;
        let watch = Watch::begin(Duration::from_secs(request.limits.seconds.saturating_mul(2)));
        let outcome = read(&bytes, request.format, &request.limits);
        drop(bytes);
        let last = match outcome {
            Ok(Document { pieces, notices }) => {
                for piece in pieces {
                    answer(&mut output, &request.key, &Answer::Piece(piece))?;
                }
                Answer::Done { notices }
            }
            Err(error) => Answer::Refused { reason: error.to_string(), hint: error.hint().to_owned() },
        };
        drop(watch);
        answer(&mut output, &request.key, &last)?;
        output.flush()?;
    }
}

/// What a library may have printed before is ended by a newline.
fn answer(output: &mut impl Write, key: &str, answer: &Answer) -> io::Result<()> {
    writeln!(output, "\n{key}{}", serde_json::to_string(answer)?)
}

/// Ends this process where a document takes too long and nobody is left to end it from outside.
struct Watch {
    _done: std::sync::mpsc::Sender<()>,
}

impl Watch {
    fn begin(patience: Duration) -> Self {
        let (done, wait) = channel::<()>();
        std::thread::spawn(move || {
            if wait.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                std::process::abort();
            }
        });
        Self { _done: done }
    }
}

/// Bounds the address space, and forbids to write a core file, in which the document would stand.
#[cfg(unix)]
fn limit_this_process(limits: &Limits) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let lower = |resource: Resource, bytes: u64| {
        let maximum = getrlimit(resource).maximum.map_or(bytes, |maximum| maximum.min(bytes));
        setrlimit(resource, Rlimit { current: Some(maximum), maximum: Some(maximum) })
    };
    lower(Resource::Core, 0)?;
    // Some systems know no such limit: time and file size are limited there all the same.
    if let Err(error) = lower(Resource::As, limits.memory_bytes) {
        tracing::warn!(%error, "the memory of the reading process is not limited");
    }
    Ok(())
}

#[cfg(not(unix))]
fn limit_this_process(_limits: &Limits) -> io::Result<()> {
    Ok(())
}
