//! What is deleted must not live on in the files beside the database: states of the KV cache (what prompts began with),
//! the log (with `--debug` it holds prompts), the typed lines of the terminal, and copies of the database. The last two
//! and the log are shared by all agents, and no line of them says whose it is: they go as a whole.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::super::chat::STATES_NAME;
use super::Error;
use crate::memory::Store;

/// First line of a file of typed lines; a chat that is open appends to it.
const HISTORY_HEAD: &str = "#V2\n";

/// Purges the database and the files beside it. Gives back sentences on what went beyond the agent's own.
///
/// # Errors
/// The database is in use at that moment, or a file cannot be changed.
pub(super) fn purge(store: &Store, home: &Path) -> Result<Vec<String>, super::super::Error> {
    let mut notices = Vec::new();
    let copies = store.delete_copies()?;
    if !copies.is_empty() {
        notices.push(format!(
            "{} deleted as well: they held what is forgotten.",
            counted(
                copies.len(),
                "copy of the database that mneme had kept was",
                "copies of the database that mneme had kept were"
            )
        ));
    }
    remove_states(&home.join(STATES_NAME))?;
    if replace(&home.join("history.txt"), HISTORY_HEAD)? {
        notices.push("The lines typed at the prompt (history.txt), which all agents share, were emptied.".to_owned());
    }
    if replace(&home.join("logs").join("mneme.log"), "")? {
        notices.push("The log was emptied.".to_owned());
    }
    store.purge()?;
    Ok(notices)
}

fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

fn fail(path: &Path, source: std::io::Error) -> Error {
    Error::File { path: path.to_owned(), source }
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
