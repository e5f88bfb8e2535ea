//! `mneme attach`, `mneme detach`, and listing and deleting sources.

use serde_json::json;

use super::Error;
use super::admin::{self, confirmed};
use super::output::{print_json, print_text, tell};
use crate::cli::{AttachArgs, ExitCode};
use crate::memory::{self, Store};
use crate::types::{Clock, SystemClock, counted};

/// The database of the home; an empty one is made where there is none.
pub(super) fn open_store() -> Result<Store, Error> {
    admin::open_store(&admin::home()?)
}

/// Attaches a source to an agent.
///
/// # Errors
/// There is no such agent or source.
pub(super) fn attach(arguments: &AttachArgs) -> Result<ExitCode, Error> {
    let AttachArgs { agent, source } = arguments;
    let mut store = open_store()?;
    if store.attach(agent, source, SystemClock.now_ms())? {
        let sources = store.sources()?;
        let documents = sources.iter().find(|info| info.name == *source).map_or(0, |info| info.documents);
        tell(&format!("{agent} can search {source} now ({}).", counted(documents, "file", "files")));
    } else {
        tell(&format!("{source} is attached to {agent} already."));
    }
    Ok(ExitCode::Ok)
}

/// Takes a source out of the reach of an agent.
///
/// # Errors
/// There is no such agent or source.
pub(super) fn detach(arguments: &AttachArgs) -> Result<ExitCode, Error> {
    let AttachArgs { agent, source } = arguments;
    if open_store()?.detach(agent, source)? {
        tell(&format!("{agent} does not find {source} any more; the source itself is kept."));
    } else {
        tell(&format!("{source} was not attached to {agent}."));
    }
    Ok(ExitCode::Ok)
}

/// Lists the sources with the agents that they are attached to.
///
/// # Errors
/// The database or standard output fails.
pub(super) fn list(as_json: bool) -> Result<ExitCode, Error> {
    let sources = open_store()?.sources()?;
    if as_json {
        let row = |source: &memory::SourceInfo| json!({"name": source.name, "files": source.documents, "passages": source.passages, "agents": source.agents});
        print_json(&sources.iter().map(row).collect())?;
        return Ok(ExitCode::Ok);
    }
    if sources.is_empty() {
        tell("There are no sources yet. Make one of files: mneme load PATH --name NAME");
        return Ok(ExitCode::Ok);
    }
    let width = sources.iter().map(|source| source.name.len()).max().unwrap_or_default().max("source".len());
    let mut text = format!("{:width$}  {:>7}  {:>9}  agents\n", "source", "files", "passages");
    for source in sources {
        let agents = if source.agents.is_empty() { "-".to_owned() } else { source.agents.join(", ") };
        text.push_str(&format!("{:width$}  {:>7}  {:>9}  {agents}\n", source.name, source.documents, source.passages));
    }
    print_text(&text)?;
    Ok(ExitCode::Ok)
}

/// Deletes a source.
///
/// # Errors
/// There is none of that name, or the database fails.
pub(super) fn delete(name: &str, yes: bool) -> Result<ExitCode, Error> {
    let mut store = open_store()?;
    let source = store.sources()?.into_iter().find(|source| source.name == name);
    if let Some(source) = &source {
        let files = counted(source.documents, "file", "files");
        let question = format!("Delete the source {name} with {files}? The files themselves stay untouched.");
        if !confirmed(&question, yes)? {
            return Ok(ExitCode::Failed);
        }
    }
    let agents = source.map(|source| source.agents).unwrap_or_default();
    let documents = match store.delete_source(name) {
        // The advice of attaching is no advice here.
        Err(memory::Error::UnknownSource { name, known }) => return Err(Error::NothingToDelete { name, known }),
        outcome => outcome?,
    };
    let attached = if agents.is_empty() { String::new() } else { format!(", and {} lost it", agents.join(", ")) };
    tell(&format!(
        "Deleted {name}: {} forgotten{attached}. The files themselves are untouched.",
        counted(documents, "file is", "files are")
    ));
    Ok(ExitCode::Ok)
}

/// Gives a source another name; agents keep it.
///
/// # Errors
/// There is none of that name, the new one breaks the rule or is taken, or the database fails.
pub(super) fn rename(name: &str, new_name: &str) -> Result<ExitCode, Error> {
    open_store()?.rename_source(name, new_name)?;
    tell(&format!("{name} is called {new_name} now."));
    Ok(ExitCode::Ok)
}
