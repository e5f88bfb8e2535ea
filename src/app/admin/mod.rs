//! The commands that look after a home: lists, agents, texts, history, settings, transfer, backup, doctor. None of them
//! loads a model.

mod agents;
mod backup;
mod config;
mod doctor;
mod error;
mod history;
mod table;
mod texts;
mod transfer;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::chat::DATABASE_NAME;
use super::output::tell;
use super::personas::Kind;
use super::{purge, sources};
use crate::cli::{AddCommand, AdminCommand, ExitCode, Thing};
use crate::config as settings;
use crate::memory::Store;
use crate::types::SystemClock;

pub(super) use error::Error;

type Done = Result<ExitCode, super::Error>;

/// Runs one of these commands.
///
/// # Errors
/// See [`Error`] and those of the layers.
pub(super) fn run(command: AdminCommand) -> Done {
    match command {
        AdminCommand::List { what: Thing::Agents, json } => agents::list(json),
        AdminCommand::List { what: Thing::Personas, json } => texts::list(Kind::Persona, json),
        AdminCommand::List { what: Thing::Humans, json } => texts::list(Kind::Human, json),
        AdminCommand::List { what: Thing::Sources, json } => sources::list(json),
        AdminCommand::Add(AddCommand::Agent { name, persona, human, profile }) => {
            agents::add(&name, persona, human, profile.map(Into::into))
        }
        AdminCommand::Add(AddCommand::Persona(arguments)) => texts::add(Kind::Persona, &arguments),
        AdminCommand::Add(AddCommand::Human(arguments)) => texts::add(Kind::Human, &arguments),
        AdminCommand::Delete { what: Thing::Agents, name, yes } => agents::delete(&name, yes),
        AdminCommand::Delete { what: Thing::Personas, name, yes } => texts::delete(Kind::Persona, &name, yes),
        AdminCommand::Delete { what: Thing::Humans, name, yes } => texts::delete(Kind::Human, &name, yes),
        AdminCommand::Delete { what: Thing::Sources, name, .. } => sources::delete(&name),
        AdminCommand::Rename { what: Thing::Agents, name, new_name } => agents::rename(&name, &new_name),
        AdminCommand::Rename { what: Thing::Personas, name, new_name } => {
            texts::rename(Kind::Persona, &name, &new_name)
        }
        AdminCommand::Rename { what: Thing::Humans, name, new_name } => texts::rename(Kind::Human, &name, &new_name),
        AdminCommand::Rename { what: Thing::Sources, name, new_name } => sources::rename(&name, &new_name),
        AdminCommand::History(arguments) => history::show(&arguments),
        AdminCommand::Config { command } => config::run(command),
        AdminCommand::Doctor { json } => doctor::run(json),
        AdminCommand::Export(arguments) => transfer::export(&arguments),
        AdminCommand::Import(arguments) => transfer::import(&arguments),
        AdminCommand::Backup { file } => backup::backup(file),
        AdminCommand::Restore { file, yes } => backup::restore(&file, yes),
    }
}

/// The home, made where it does not exist.
pub(super) fn home() -> Result<PathBuf, super::Error> {
    let home = settings::home_from_environment()?;
    settings::prepare_home(&home)?;
    Ok(home)
}

/// The database of the home. What an earlier deletion left to be purged is purged first.
pub(super) fn open_store(home: &Path) -> Result<Store, super::Error> {
    let store = Store::open(&home.join(DATABASE_NAME), &SystemClock)?;
    purge::finish(&store, home)?.iter().for_each(|notice| tell(notice));
    Ok(store)
}

/// Whether the user wants `question` done: `--yes`, or an answer on the terminal.
fn confirmed(question: &str, yes: bool) -> Result<bool, super::Error> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::NotConfirmed.into());
    }
    let mut out = anstream::stdout();
    write!(out, "{question} [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    let wanted = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    if !wanted {
        writeln!(out, "Nothing was changed.")?;
    }
    Ok(wanted)
}

/// `2026-02-03 14:05` in the user's zone.
fn local_time(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(
        |_| "?".to_owned(),
        |timestamp| timestamp.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string(),
    )
}

/// Writes a value as JSON to standard output.
pub(super) fn print_json(value: &serde_json::Value) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)
}
