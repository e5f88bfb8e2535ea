//! `mneme bench ..`: measurements that users can repeat.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Error;
use super::interrupt::raised_by_ctrl_c;
use super::output::{print_text, tell};
use crate::bench;
use crate::bench::engine::Runner;
use crate::cli::{
    ArchivalBenchArgs, BenchMemoryCommand, DataSetName, EmbedBenchArgs, EngineBenchArgs, EngineChoice, EngineName,
    ExitCode, GrammarBenchArgs,
};
use crate::config::{self, ConfigFile};
use crate::models::{PullOptions, TerminalProgress, default_bench_dir};

/// The time in which the conversations of benches begin, 2026-01-02 03:04 UTC: what the model reads must not depend on when
/// it is measured.
pub(super) const BEGIN_MS: i64 = 1_767_323_040_000;
/// Time between two messages of the user, in milliseconds.
pub(super) const BETWEEN_MESSAGES_MS: i64 = 60_000;
/// Time between two starts of the program, in milliseconds.
pub(super) const BETWEEN_STARTS_MS: i64 = 8 * 60 * 60 * 1000;

/// The user's home with its settings, for a bench on `engine`: a model that they name is no script.
///
/// # Errors
/// The platform names no data folder, or the settings are not valid.
pub(super) fn settings_for(engine: EngineName) -> Result<(PathBuf, ConfigFile), Error> {
    let home = config::home_from_environment()?;
    let file = ConfigFile::read(&home)?;
    let model = file.model.clone().filter(|_| engine.runs_model());
    Ok((home, ConfigFile { model, ..file }))
}

/// Reading and decoding rates beside the bare library's.
///
/// # Errors
/// The model cannot be loaded, or the file cannot be written.
pub(super) fn engine(arguments: &EngineBenchArgs) -> Result<ExitCode, Error> {
    let file = super::models::resolve(&arguments.model)?;
    if let Some(text) = &arguments.agreement {
        let text =
            std::fs::read_to_string(text).map_err(|source| config::Error::File { path: text.clone(), source })?;
        let mut tell = |next: &str| anstream::eprintln!("{next}");
        let pairs = bench::agreement::run(&file.path, &text, arguments.positions, &mut tell);
        let pairs = pairs.map_err(|error| file.failure(error))?;
        anstream::println!("{}", bench::agreement::table(&file.name, &pairs));
        write_json(&pairs, arguments.json.as_deref())?;
        return Ok(ExitCode::Ok);
    }
    let engines: &[Runner] = match (arguments.engine, EngineName::default()) {
        (Some(EngineChoice::Both), _) => &[Runner::LlamaCpp, Runner::Candle],
        (Some(EngineChoice::Candle), _) | (None, EngineName::Candle) => &[Runner::Candle],
        (Some(EngineChoice::LlamaCpp) | None, _) => &[Runner::LlamaCpp],
    };
    let options = bench::engine::Options {
        engines,
        model: &file.name,
        path: &file.path,
        read_tokens: arguments.read,
        decode_tokens: arguments.decode,
        rounds: arguments.rounds,
        settings: arguments.settings,
        device: arguments.device.unwrap_or_default(),
    };
    let report = bench::engine::run(&options, &mut |next| anstream::eprintln!("{next}"));
    let report = report.map_err(|error| file.failure(error))?;
    anstream::println!("{}", report.table());
    write_json(&report, arguments.json.as_deref())?;
    Ok(ExitCode::Ok)
}

/// The grammar engine beside others.
///
/// # Errors
/// The vocabulary cannot be read, or the file cannot be written.
pub(super) fn grammar(arguments: &GrammarBenchArgs) -> Result<ExitCode, Error> {
    let file = super::models::resolve(&arguments.model)?;
    if let (true, [case], [engine]) = (arguments.in_process, &*arguments.cases, &*arguments.engines) {
        let row = bench::grammar::run_row(&file.path, case, engine)?;
        let row = serde_json::to_string(&row).map_err(|error| Error::Output(error.into()))?;
        print_text(&format!("{row}\n"))?;
        return Ok(ExitCode::Ok);
    }
    let options = bench::grammar::Options {
        model: file.path,
        model_name: file.name,
        cases: arguments.cases.clone(),
        engines: arguments.engines.clone(),
    };
    let report = bench::grammar::run(&options, &mut |next| anstream::eprintln!("{next}"))?;
    anstream::println!("{}", report.table());
    if bench::grammar::ENGINES.len() == 1 {
        anstream::eprintln!("other engines: build with --features bench-peers, or run make bench-grammar");
    }
    write_json(&report, arguments.json.as_deref())?;
    Ok(ExitCode::Ok)
}

fn embed(arguments: &EmbedBenchArgs) -> Result<ExitCode, Error> {
    let mut embedder = super::embedder::open()?.ok_or(Error::NoEmbedder)?;
    let report = bench::embed::run(&mut *embedder, &arguments.lengths, arguments.tokens, arguments.queries)
        .map_err(|source| Error::Embedder { source })?;
    anstream::println!("{}", report.table());
    write_json(&report, arguments.json.as_deref())?;
    Ok(ExitCode::Ok)
}

/// The memory: how fast it is and what it finds.
///
/// # Errors
/// A database could not be made or searched, or the file cannot be written.
pub(super) fn memory(command: &BenchMemoryCommand) -> Result<ExitCode, Error> {
    match command {
        BenchMemoryCommand::Agent(arguments) => super::bench_agent::run(arguments),
        BenchMemoryCommand::Archival(arguments) => archival(arguments),
        BenchMemoryCommand::Bfcl(arguments) => super::bench_bfcl::run(arguments),
        BenchMemoryCommand::Embed(arguments) => embed(arguments),
        BenchMemoryCommand::NestedKv(arguments) => super::bench_nested_kv::run(arguments),
        BenchMemoryCommand::Recall(arguments) => super::bench_recall::run(arguments),
    }
}

/// Fetches the data of a benchmark and says where they are.
///
/// # Errors
/// They cannot be fetched or written.
pub(super) fn fetch(name: DataSetName) -> Result<ExitCode, Error> {
    let set = match name {
        DataSetName::Bfcl => bench::bfcl::WHEEL,
    };
    let cancel = raised_by_ctrl_c()?;
    let dir = default_bench_dir()?;
    let mut progress = TerminalProgress::new();
    let fetched = set.pull(&dir, &mut PullOptions::from_env(&cancel, &mut progress));
    let how = if fetched.map_err(|source| Error::BenchData { source })? { "are in" } else { "are already in" };
    tell(&format!("The data of {} {} {how} {}.", set.package, set.version, set.folder(&dir).display()));
    Ok(ExitCode::Ok)
}

fn archival(arguments: &ArchivalBenchArgs) -> Result<ExitCode, Error> {
    let options = bench::memory::archival::Options {
        sizes: arguments.sizes.clone(),
        queries: arguments.queries,
        dimensions: arguments.dimensions,
        seed: arguments.seed,
        folder: arguments.folder.clone().unwrap_or_else(std::env::temp_dir),
    };
    let mut embedder = super::embedder::open()?;
    let mut tell = |next: &str| anstream::eprintln!("{next}");
    let report = bench::memory::archival::run(&options, embedder.as_deref_mut(), &mut tell)?;
    anstream::println!("{}", report.table());
    write_json(&report, arguments.json.as_deref())?;
    Ok(ExitCode::Ok)
}

pub(super) fn write_json(report: &impl Serialize, path: Option<&Path>) -> Result<(), Error> {
    let Some(path) = path else { return Ok(()) };
    let text = serde_json::to_string_pretty(report).map_err(std::io::Error::from);
    let written = text.and_then(|text| std::fs::write(path, text + "\n"));
    written.map_err(|source| crate::config::Error::File { path: path.to_owned(), source })?;
    Ok(())
}
