//! `mneme bench memory agent`: each conversation with an agent of its own, in a database that is deleted afterwards.
//!
//! Between two sessions of a conversation the database is closed and opened again, as at a restart of the program; the
//! engine stays loaded. Ctrl-C lets the running turn end and tells what there is; pressed again, it leaves at once. A
//! failure that is no fault of the model (no room on the disk) ends the run likewise. Not responsible for the checks
//! (`bench::agent`).

mod conversing;
mod progress;
mod shared_embedder;
mod transcripts;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::interrupt::{leave_on_ctrl_c, raise_on_ctrl_c};
use super::output::tell;
use super::{Error, bench};
use crate::bench::agent::{self, Chosen, Half, Report, Row, Selection, Settings, UntouchedRun};
use crate::cli::{AgentBenchArgs, ExitCode};
use crate::config::{Config, Idle, Overrides};
use crate::dialect::Profile;
use crate::types::{Cancel, Clock, SystemClock};
use conversing::Bench;
use progress::Progress;
use transcripts::Transcripts;

/// Runs the conversations and tells how they went.
///
/// # Errors
/// A conversation cannot be read, the model cannot be loaded, a database fails, or a file cannot be written.
pub(super) fn run(arguments: &AgentBenchArgs) -> Result<ExitCode, Error> {
    let config = config_of(arguments)?;
    let chosen = Selection {
        folder: &arguments.dir,
        files: &arguments.files,
        halves: arguments.half,
        only: &arguments.only,
        sample: arguments.sample,
        seed: arguments.seed,
    }
    .read()?;
    if chosen.of_other_half > 0 {
        let of_other_half = chosen.of_other_half;
        tell(&format!("{of_other_half} conversations are of the other half and left out; --half all takes them, too"));
    }
    let transcripts = Transcripts::open(arguments.transcripts.as_deref())?;
    // Pressed once more, Ctrl-C leaves the program.
    let stop = Cancel::new();
    leave_on_ctrl_c(&stop.flag())?;
    raise_on_ctrl_c(&stop)?;
    let engine = super::engine::load(arguments.engine, &config, &stop)?;
    let settings = Settings {
        model: engine.identity().name.clone(),
        half: arguments.half.as_str(),
        idle: match arguments.idle {
            Idle::Wait => "wait",
            Idle::Now => "now",
        },
        profile: config.profile.as_str(),
        memory_pass: config.memory_pass && config.profile == Profile::Native,
        temperature: config.sampler.temperature,
        context_window: engine.context_window_tokens(),
        seed: arguments.seed,
        seeds: u64::try_from(arguments.seeds).unwrap_or(u64::MAX),
    };
    let embedder = if arguments.engine.runs_model() { super::embedder::open()? } else { None };
    let mut bench = Bench::new(config, engine, embedder, stop.clone(), transcripts)?;
    let (rows, outcome) = held(&mut bench, &chosen, settings.seeds);
    if rows.is_empty() {
        outcome?;
        return Ok(ExitCode::Interrupted);
    }
    let is_complete = rows.len() == chosen.conversations.len() * arguments.seeds;
    let report = Report::new(settings, rows, is_complete);
    anstream::println!("{}", crate::ui::sanitize(&report.table()));
    bench::write_json(&report, arguments.json.as_deref())?;
    note_untouched(&report, &chosen);
    outcome?;
    Ok(if is_complete { ExitCode::Ok } else { ExitCode::Interrupted })
}

fn config_of(arguments: &AgentBenchArgs) -> Result<Config, Error> {
    let (home, file) = bench::settings_for(arguments.engine)?;
    let overrides = Overrides {
        model: arguments.model.clone(),
        profile: arguments.profile.map(Into::into),
        temperature: arguments.temperature,
        seed: Some(arguments.seed),
        idle: Some(arguments.idle),
        context_window: arguments.context_window,
        ..Overrides::default()
    };
    let config = Config::new(home, file, overrides)?;
    if arguments.seeds > 1 && config.sampler.temperature <= 0.0 {
        let seeds = u64::try_from(arguments.seeds).unwrap_or(u64::MAX);
        return Err(agent::Error::SameRuns { seeds }.into());
    }
    Ok(config)
}

/// Holds every conversation once with the first seed, then again with the next: whoever stops early has seen them all.
/// The rows are those of conversations that came to their end.
fn held(bench: &mut Bench, chosen: &Chosen, seeds: u64) -> (Vec<Row>, Result<(), Error>) {
    let mut rows = Vec::new();
    let mut progress = Progress::new(chosen.conversations.len() * usize::try_from(seeds).unwrap_or(usize::MAX));
    for offset in 0..seeds {
        for listed in &chosen.conversations {
            match bench.hold(listed, offset) {
                Ok(Some(row)) => {
                    tell(&progress.line(&row));
                    rows.push(row);
                }
                Ok(None) => {
                    tell(&format!("stopped in {}, which is left out", listed.conversation.name));
                    return (rows, Ok(()));
                }
                Err(error) => return (rows, Err(error)),
            }
        }
    }
    (rows, Ok(()))
}

/// Notes a run over the untouched half beside its conversations, and says so.
fn note_untouched(report: &Report, chosen: &Chosen) {
    let now = Timestamp::from_millisecond(SystemClock.now_ms()).unwrap_or_default();
    let Some(run) = UntouchedRun::of(report, now.strftime("%Y-%m-%d").to_string()) else { return };
    let untouched = chosen.conversations.iter().find(|listed| listed.half == Half::Untouched);
    let folder: PathBuf = untouched.and_then(|listed| listed.path.parent()).map(Path::to_owned).unwrap_or_default();
    match run.append(&folder) {
        Ok(path) => tell(&format!("this run over the untouched half is noted in {}", path.display())),
        Err(error) => tell(&format!(
            "this run over the untouched half could not be noted beside the conversations ({error}); tell it where its \
             figures are"
        )),
    }
}
