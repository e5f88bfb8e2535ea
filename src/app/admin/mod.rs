//! The commands that look after a home: lists, agents, texts, history, settings, transfer, backup, doctor. None of them
//! loads a model.

mod agents;
mod backup;
mod config;
mod doctor;
mod error;
mod history;
mod passages;
mod table;
mod texts;
mod transfer;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::output::{stdout, tell};
use super::personas::Kind;
use super::{load, purge, sources};
use crate::cli::{AddCommand, AdminCommand, ExitCode, Item, LoadArgs, Thing};
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
        AdminCommand::List { what, agent, page, json } => match (what, agent) {
            (Item::Passages, Some(agent)) => passages::list(&agent, page.unwrap_or(1), json),
            (Item::Agents, None) => agents::list(json),
            (Item::Personas, None) => texts::list(Kind::Persona, json),
            (Item::Humans, None) => texts::list(Kind::Human, json),
            (Item::Sources, None) => sources::list(json),
            (Item::Passages, None) | (_, Some(_)) => Err(Error::AgentOfPassages.into()),
        },
        AdminCommand::Add(AddCommand::Agent { name, persona, human, profile }) => {
            agents::add(&name, persona, human, profile.map(Into::into))
        }
        AdminCommand::Add(AddCommand::Persona(arguments)) => texts::add(Kind::Persona, &arguments),
        AdminCommand::Add(AddCommand::Human(arguments)) => texts::add(Kind::Human, &arguments),
        AdminCommand::Add(AddCommand::Source(arguments)) => load::run(&LoadArgs::of_source(arguments)),
        AdminCommand::Delete { what, name, agent, yes } => match (what, agent) {
            (Item::Passages, Some(agent)) => passages::delete(&agent, &name, yes),
            (Item::Agents, None) => agents::delete(&name, yes),
            (Item::Personas, None) => texts::delete(Kind::Persona, &name, yes),
            (Item::Humans, None) => texts::delete(Kind::Human, &name, yes),
            (Item::Sources, None) => sources::delete(&name, yes),
            (Item::Passages, None) | (_, Some(_)) => Err(Error::AgentOfPassages.into()),
        },
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
    let store = Store::open(&home.join(settings::DATABASE_NAME), &SystemClock)?;
    purge::finish(&store, home)?.iter().for_each(|notice| tell(notice));
    Ok(store)
}

/// Whether the user wants `question` done: `--yes`, or an answer on the terminal.
pub(super) fn confirmed(question: &str, yes: bool) -> Result<bool, super::Error> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::NotConfirmed.into());
    }
    let mut out = stdout();
    write!(out, "{question} [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(super::Error::Answer)?;
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
