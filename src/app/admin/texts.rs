//! `mneme list|add|delete|rename personas|humans`: the user's own texts are files of the home; shipped ones stay.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::output::{print_json, stdout};
use super::super::personas::{self, Kind};
use super::table::Table;
use super::{Done, Error, confirmed, home};
use crate::cli::{ExitCode, TextArgs};
use crate::config::{Config, ConfigFile, Overrides};
use crate::memory::{BlockLabel, Error as MemoryError};
use crate::types::{create_private_folder, validate_name};

/// Characters of a text that a list shows.
const SHOWN_CHARS: usize = 60;

/// A text under a name.
struct Listed {
    name: String,
    own: bool,
    /// The text, or why it cannot be read.
    text: Result<String, String>,
}

pub(super) fn list(kind: Kind, as_json: bool) -> Done {
    let home = home()?;
    let texts = all(kind, &home)?;
    if as_json {
        let row = |listed: &Listed| {
            let (text, error) = (listed.text.as_ref().ok(), listed.text.as_ref().err());
            json!({"name": listed.name, "shipped": !listed.own, "text": text, "error": error})
        };
        print_json(&texts.iter().map(row).collect())?;
        return Ok(ExitCode::Ok);
    }
    let mut table = Table::new(&["name", "from", "text"]);
    for listed in texts {
        let shown = match &listed.text {
            Ok(text) if text.chars().count() > SHOWN_CHARS => {
                format!("{} ..", text.chars().take(SHOWN_CHARS).collect::<String>())
            }
            Ok(text) => text.clone(),
            Err(error) => format!("({error})"),
        };
        table.row(vec![listed.name, if listed.own { "you" } else { "mneme" }.to_owned(), shown]);
    }
    table.print()?;
    Ok(ExitCode::Ok)
}

/// The user's own texts and the shipped ones that no own one goes before, by name.
fn all(kind: Kind, home: &Path) -> Result<Vec<Listed>, super::super::Error> {
    let mut found = Vec::new();
    for name in own_names(kind, home)? {
        let text = personas::read(kind, &name, home).map_err(|error| error.sentence());
        found.push(Listed { name, own: true, text });
    }
    for (name, text) in personas::shipped(kind) {
        if !found.iter().any(|listed| listed.name == name) {
            found.push(Listed { name: name.to_owned(), own: false, text: Ok(text.trim().to_owned()) });
        }
    }
    found.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(found)
}

fn own_names(kind: Kind, home: &Path) -> Result<Vec<String>, Error> {
    let folder = kind.folder(home);
    let fail = |source| Error::File { path: folder.clone(), source };
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.map_err(fail)?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "txt")
            && path.is_file()
            && validate_name(&name).is_ok()
        {
            names.push(name);
        }
    }
    Ok(names)
}

/// The name of a text, which is also understood as that of its file.
fn without_suffix(name: &str) -> &str {
    name.strip_suffix(".txt").unwrap_or(name)
}

fn path_of(kind: Kind, name: &str, home: &Path) -> PathBuf {
    kind.folder(home).join(format!("{name}.txt"))
}

/// The path of a text of the user.
fn own_path(kind: Kind, name: &str, home: &Path) -> Result<PathBuf, super::super::Error> {
    validate_name(name)?;
    let path = path_of(kind, name, home);
    if path.is_file() {
        return Ok(path);
    }
    if personas::shipped(kind).any(|(shipped, _)| shipped == name) {
        return Err(Error::Shipped { kind: kind.name(), name: name.to_owned() }.into());
    }
    let known: Vec<String> = all(kind, home)?.into_iter().map(|listed| listed.name).collect();
    Err(super::super::Error::UnknownText { kind: kind.name(), name: name.to_owned(), known: known.join(", ") })
}

pub(super) fn add(kind: Kind, arguments: &TextArgs) -> Done {
    let home = home()?;
    let name = without_suffix(&arguments.name);
    validate_name(name)?;
    let text = match (&arguments.file, &arguments.text) {
        (Some(file), _) => personas::read_file(kind, file)?,
        (None, Some(text)) => text.trim().to_owned(),
        (None, None) => String::new(),
    };
    if text.is_empty() {
        return Err(Error::EmptyText { kind: kind.name() }.into());
    }
    let config = Config::new(home.clone(), ConfigFile::read(&home)?, Overrides::default())?;
    let (chars, limit_chars) = (text.chars().count(), config.core_memory_limit_chars);
    if chars > limit_chars {
        let label = if kind == Kind::Persona { BlockLabel::Persona } else { BlockLabel::Human };
        return Err(MemoryError::BlockTooLong { label, chars, limit_chars }.into());
    }
    let path = path_of(kind, name, &home);
    if path.exists() && !arguments.replace {
        return Err(Error::TextExists { kind: kind.name(), name: name.to_owned() }.into());
    }
    write(&path, &text)?;
    let flag = kind.name();
    writeln!(stdout(), "The {flag} {name} is kept. Use it: mneme run --agent NEW --{flag} {name}")?;
    Ok(ExitCode::Ok)
}

/// Writes a file of the home in one step.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let fail = |source| Error::File { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(path);
    create_private_folder(folder).map_err(fail)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
    writeln!(file, "{text}").map_err(fail)?;
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|error| fail(error.error))?;
    Ok(())
}

pub(super) fn delete(kind: Kind, name: &str, yes: bool) -> Done {
    let name = without_suffix(name);
    let path = own_path(kind, name, &home()?)?;
    let what = kind.name();
    if !confirmed(&format!("Delete the {what} {name} for good?"), yes)? {
        return Ok(ExitCode::Failed);
    }
    fs::remove_file(&path).map_err(|source| Error::File { path, source })?;
    writeln!(stdout(), "The {what} {name} is deleted. Agents that were made with it keep their memory.")?;
    Ok(ExitCode::Ok)
}

pub(super) fn rename(kind: Kind, name: &str, new_name: &str) -> Done {
    let (name, new_name) = (without_suffix(name), without_suffix(new_name));
    let home = home()?;
    let path = own_path(kind, name, &home)?;
    validate_name(new_name)?;
    let new_path = path_of(kind, new_name, &home);
    let what = kind.name();
    if new_path.exists() {
        return Err(Error::TextExists { kind: what, name: new_name.to_owned() }.into());
    }
    fs::rename(&path, &new_path).map_err(|source| Error::File { path, source })?;
    writeln!(stdout(), "The {what} {name} is called {new_name} now.")?;
    Ok(ExitCode::Ok)
}
