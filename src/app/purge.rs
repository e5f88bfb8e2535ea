//! What is deleted must not live on in the files beside the database: states of the KV cache (what prompts began with),
//! the log (with `--debug` it holds prompts), the typed lines of the terminal, drafts of blocks, and copies of the
//! database. Log, typed lines and copies are shared by all agents, and no line of them says whose it is: they go as a
//! whole. What was deleted and could not be purged then is purged when the database is opened next.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Error;
use super::admin::Error as FileError;
use super::chat::{HISTORY_NAME, STATES_NAME};
use super::logging;
use crate::memory::{Purge, Store};
use crate::types::{Draft, counted};

/// First line of a file of typed lines; a chat that is open appends to it.
const HISTORY_HEAD: &str = "#V2\n";

/// Purges the database and the files beside it. Gives back sentences on what went beyond the agent's own.
///
/// # Errors
/// The database is in use at that moment, or a file cannot be changed.
pub(super) fn purge(store: &Store, home: &Path) -> Result<Vec<String>, Error> {
    let mut notices = purge_home(store, home)?;
    store.note_purged_home()?;
    notices.extend(purge_database(store)?);
    Ok(notices)
}

/// Finishes what an earlier deletion could not: it was killed, or the database was in use. Gives back sentences on that;
/// where it fails once more it stays for the next time, and nothing else has to wait for it.
pub(super) fn finish(store: &Store, home: &Path) -> Result<Vec<String>, Error> {
    let finished = match (store.is_pending(Purge::Home)?, store.is_pending(Purge::Database)?) {
        (false, false) => return Ok(Vec::new()),
        (true, _) => purge(store, home),
        // A process that was killed in between may have left states of what is forgotten.
        (false, true) => remove_states(&home.join(STATES_NAME)).and_then(|()| purge_database(store)),
    };
    Ok(match finished {
        Ok(notices) => {
            let first = "What was deleted before had not left all files yet; now it has.".to_owned();
            std::iter::once(first).chain(notices).collect()
        }
        Err(error) => {
            tracing::warn!(?error, "finishing a purge");
            vec![format!(
                "What was deleted before is not gone from all files yet: {}. The next start tries again.",
                error.sentence()
            )]
        }
    })
}

fn purge_database(store: &Store) -> Result<Vec<String>, Error> {
    let copies = store.delete_copies()?;
    store.purge()?;
    Ok(if copies.is_empty() {
        Vec::new()
    } else {
        vec![format!(
            "{} deleted as well: they held what is forgotten.",
            counted(
                copies.len() as u64,
                "copy of the database that mneme had kept was",
                "copies of the database that mneme had kept were"
            )
        )]
    })
}

fn purge_home(store: &Store, home: &Path) -> Result<Vec<String>, Error> {
    let mut notices = Vec::new();
    remove_drafts(store, home)?;
    remove_states(&home.join(STATES_NAME))?;
    if replace(&home.join(HISTORY_NAME), HISTORY_HEAD)? {
        notices.push("The lines typed at the prompt (history.txt), which all agents share, were emptied.".to_owned());
    }
    if replace(&home.join(logging::FILE_NAME), "")? {
        notices.push("The log was emptied.".to_owned());
    }
    Ok(notices)
}

/// Deletes the drafts of agents that are gone.
fn remove_drafts(store: &Store, home: &Path) -> Result<(), Error> {
    for draft in Draft::all(home).map_err(|error| fail(home, error))? {
        if !store.has_agent(&draft.agent)? {
            fs::remove_file(&draft.path).map_err(|error| fail(&draft.path, error))?;
        }
    }
    Ok(())
}

fn fail(path: &Path, source: std::io::Error) -> Error {
    FileError::File { path: path.to_owned(), source }.into()
}

/// Deletes the saved states. Losing them costs the next start some seconds.
fn remove_states(folder: &Path) -> Result<(), Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fail(folder, error)),
    };
    let paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    for path in paths.into_iter().filter(|path| path.is_file()) {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(fail(&path, error)),
            _ => {}
        }
    }
    Ok(())
}

/// Overwrites a file that exists; whether it held anything else.
fn replace(path: &Path, content: &str) -> Result<bool, Error> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(fail(path, error)),
        Ok(metadata) if metadata.len() <= content.len() as u64 => return Ok(false),
        Ok(_) => {}
    }
    fs::write(path, content).map_err(|error| fail(path, error))?;
    Ok(true)
}
