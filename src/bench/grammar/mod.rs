//! The grammar engine beside llama.cpp's and llguidance, on the same documents in the same run.
//!
//! Every case and engine has a process of its own: a peer that hangs or aborts costs its row and nothing else, caches
//! begin cold, and the memory that a row took can be told. Within a row every document is walked token by token: the
//! mask of all tokens, then check and taking of the document's next token, each timed by itself. A walk is repeated
//! with a freshly compiled grammar, and each step counts with its median: so cold states are in the figures, and what
//! other programs did to a step is mostly not. Not responsible for choosing tokens: nothing is sampled here.

mod cases;
mod documents;
mod engines;
mod instance;
pub mod lark;
mod memory;
#[cfg(feature = "bench-peers")]
mod peers;
mod report;
mod row;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub use cases::CASES;
pub use engines::ENGINES;
pub use report::{Report, Row};

use crate::inference::Error;

/// Longest that one row may take.
const ROW_LIMIT: Duration = Duration::from_secs(180);
/// How often a row that runs is looked at.
const POLL: Duration = Duration::from_millis(20);

/// What to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// GGUF file whose vocabulary is used.
    pub model: PathBuf,
    /// Name of the model for the report.
    pub model_name: String,
    /// Cases, all where empty.
    pub cases: Vec<String>,
    /// Engines, all that this build has where empty.
    pub engines: Vec<String>,
}

/// Measures in child processes of this program, case by case, the engines of a case in turn; `progress` is told what
/// comes next.
///
/// # Errors
/// The vocabulary cannot be read, or this program cannot be started again.
pub fn run(options: &Options, progress: &mut dyn FnMut(&str)) -> Result<Report, Error> {
    let vocabulary = row::read_vocab(&options.model)?.len();
    let program = std::env::current_exe().map_err(|error| failed("finding this program", &error))?;
    let wanted = |list: &[String], name: &str| list.is_empty() || list.iter().any(|listed| listed == name);
    let mut rows = Vec::new();
    for case in CASES.iter().filter(|case| wanted(&options.cases, case)) {
        for engine in ENGINES.iter().filter(|engine| wanted(&options.engines, engine)) {
            progress(&format!("{case}, {engine}"));
            rows.push(in_child(&program, &options.model, case, engine, vocabulary)?);
        }
    }
    Ok(Report::new(options.model_name.clone(), rows))
}

/// Measures one case with one engine in this process.
///
/// # Errors
/// The vocabulary cannot be read; everything that goes wrong later is the row's `error`.
pub fn run_row(model: &Path, case: &str, engine: &str) -> Result<Row, Error> {
    row::measure(model, case, engine)
}

fn failed(operation: &'static str, error: &dyn std::fmt::Display) -> Error {
    Error::Native { operation, reason: error.to_string() }
}

fn in_child(program: &Path, model: &Path, case: &str, engine: &str, vocabulary: usize) -> Result<Row, Error> {
    let mut command = Command::new(program);
    command.args(["bench", "grammar", "--in-process", "--case", case, "--engine", engine, "--model"]).arg(model);
    // Native code writes what it thinks of a grammar to stderr.
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let child = child.map_err(|error| failed("starting a row of the bench", &error))?;
    let outcome = wait(child)
        .and_then(|text| serde_json::from_str(&text).map_err(|error| format!("the row cannot be read: {error}")));
    Ok(outcome.unwrap_or_else(|error| Row::failed(case, engine, vocabulary, error)))
}

/// What the child wrote. Its line is far shorter than a pipe's buffer, so reading can wait for its end.
fn wait(mut child: Child) -> Result<String, String> {
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break,
            Ok(Some(status)) => return Err(format!("the process ended with {status}")),
            Ok(None) if started.elapsed() < ROW_LIMIT => std::thread::sleep(POLL),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no result within {} s", ROW_LIMIT.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    let mut text = String::new();
    let stdout = child.stdout.as_mut().ok_or("the process has no output")?;
    stdout.read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}
