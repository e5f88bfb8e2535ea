//! Composition root: the only place where traits meet implementations. Turns a parsed command line into work and an
//! exit code.

mod admin;
mod bench;
mod bench_agent;
mod bench_bfcl;
mod bench_functions;
mod bench_nested_kv;
mod bench_recall;
mod bench_turn;
pub mod chat;
mod complete;
pub mod embedder;
mod engine;
mod error;
mod grammar;
mod input;
mod interrupt;
mod load;
mod logging;
mod models;
mod output;
mod personas;
mod progress;
mod purge;
mod sources;
mod writer;

use std::ffi::OsString;

use crate::cli::{BenchCommand, Cli, Command, ExitCode};
use crate::inference::patient_threads;

pub use error::Error;

/// Does what the command line asks for. Errors are printed as one sentence with a hint.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    spare_dumb_terminals();
    if cli.command.runs_llama_cpp() {
        start_anew_with_patient_threads();
    }
    let done = match cli.command {
        Command::Run(arguments) => chat::run(&arguments),
        Command::Models(command) => models::run(&command),
        Command::Grammar(command) => grammar::run(&command),
        Command::Admin(command) => admin::run(command),
        Command::Complete(arguments) => complete::run(&arguments),
        Command::Bench(BenchCommand::Engine(arguments)) => bench::engine(&arguments),
        Command::Bench(BenchCommand::Grammar(arguments)) => bench::grammar(&arguments),
        Command::Load(arguments) => load::run(&arguments),
        Command::Attach(arguments) => sources::attach(&arguments),
        Command::Detach(arguments) => sources::detach(&arguments),
        Command::ReadDocuments => load::serve(),
        Command::Bench(BenchCommand::Functions(arguments)) => bench_functions::run(&arguments),
        Command::Bench(BenchCommand::Memory(command)) => bench::memory(&command),
        Command::Bench(BenchCommand::Turn(arguments)) => bench_turn::run(&arguments),
        Command::Bench(BenchCommand::Fetch { name }) => bench::fetch(name),
    };
    match done {
        Ok(code) => code,
        // Whoever reads the output has enough of it: `mneme models list | head`.
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::Ok,
        Err(error) => {
            output::tell(&format!("error: {}", error.sentence()));
            // The mark stands under its text: these lines are neither wrapped nor spelled out.
            for line in error.excerpt().unwrap_or_default().lines() {
                anstream::eprintln!("  {}", crate::ui::sanitize(line));
            }
            output::tell_below(&error.hint());
            error.exit_code()
        }
    }
}

/// Refuses a command line that cannot be understood: as an `error` line where JSON lines are asked for, else in clap's
/// own words. Help and version are no refusals and come here, too.
#[must_use]
pub fn refuse(error: &clap::Error, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut flags = arguments.take_while(|argument| argument != "--");
    if error.use_stderr() && flags.any(|argument| argument == "--jsonl") {
        let (message, hint) = words_of(error);
        return match chat::write_refusal(message, hint) {
            Ok(()) => ExitCode::Usage,
            Err(_) => ExitCode::Failed,
        };
    }
    error.exit()
}

/// What is wrong with a command line, and what to do: clap puts a blank line between.
fn words_of(error: &clap::Error) -> (String, String) {
    let text = error.render().to_string();
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = text.trim().split("\n\n").map(one_line);
    let first = paragraphs.next().unwrap_or_default();
    let hints: Vec<String> = paragraphs.filter(|paragraph| !paragraph.starts_with("Usage:")).collect();
    (first.strip_prefix("error: ").unwrap_or(&first).to_owned(), hints.join("; "))
}

/// See [`patient_threads`]. Comes back only where nothing needs to be done, or the program cannot be started: it then
/// works as well, but slower beside other programs.
fn start_anew_with_patient_threads() {
    #[cfg(unix)]
    if let (Some((name, value)), Ok(program)) =
        (patient_threads(|name| std::env::var_os(name)), std::env::current_exe())
    {
        use std::os::unix::process::CommandExt;
        let mut arguments = std::env::args_os();
        let own_name = arguments.next().unwrap_or_else(|| program.clone().into_os_string());
        let _ = std::process::Command::new(program).arg0(own_name).args(arguments).env(name, value).exec();
    }
}

/// A dumb terminal shows escape sequences as text; `anstream` spares it only where `CI` is not set.
fn spare_dumb_terminals() {
    if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        anstream::ColorChoice::Never.write_global();
    }
}
