//! `mneme config`: what holds, where it comes from, and changing it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::table::Table;
use super::{Done, Error, home, print_json};
use crate::cli::{ConfigCommand, ExitCode};
use crate::config::{ConfigFile, Document, effective};
use crate::models::default_models_dir;
use crate::ui::sanitize;

/// What is run where neither VISUAL nor EDITOR is set.
const DEFAULT_EDITOR: &str = "vi";
/// Name of the copy that is edited.
const EDITED_NAME: &str = "config.edited.toml";
/// What stands for a value that the program chooses.
const CHOSEN: &str = "(chosen at the start)";

pub(super) fn run(command: Option<ConfigCommand>) -> Done {
    match command.unwrap_or(ConfigCommand::Show { json: false }) {
        ConfigCommand::Show { json } => show(json),
        ConfigCommand::Get { key } => get(&key),
        ConfigCommand::Set { key, value } => change(&key, |document| document.set(&key, &value)),
        ConfigCommand::Unset { key } => change(&key, |document| document.unset(&key)),
        ConfigCommand::Path => {
            let path = crate::config::home_from_environment()?.join(ConfigFile::NAME);
            writeln!(anstream::stdout(), "{}", path.display())?;
            Ok(ExitCode::Ok)
        }
        ConfigCommand::Edit => edit(),
    }
}

/// A setting as it is shown: key, value, origin.
type Shown = (String, Option<toml::Value>, &'static str);

fn all(home: &Path) -> Result<Vec<Shown>, super::super::Error> {
    let document = Document::read(home)?;
    let from_environment = |variable: &str| {
        let is_set = std::env::var_os(variable).is_some_and(|value| !value.is_empty());
        if is_set { "environment" } else { "default" }
    };
    let folder = |path: &Path| Some(toml::Value::from(path.display().to_string()));
    let mut shown = vec![
        ("home (MNEME_HOME)".to_owned(), folder(home), from_environment("MNEME_HOME")),
        ("models (MNEME_MODELS)".to_owned(), folder(&default_models_dir()?), from_environment("MNEME_MODELS")),
    ];
    for (key, value) in effective(home)? {
        let origin = if value.is_some() && document.has(&key) { "file" } else { "default" };
        shown.push((key, value, origin));
    }
    Ok(shown)
}

fn text(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn show(as_json: bool) -> Done {
    let shown = all(&home()?)?;
    if as_json {
        let row = |(key, value, origin): &Shown| json!({"key": key, "value": value, "origin": origin});
        print_json(&shown.iter().map(row).collect())?;
        return Ok(ExitCode::Ok);
    }
    let mut table = Table::new(&["setting", "value", "from"]);
    for (key, value, origin) in shown {
        table.row(vec![key, value.as_ref().map_or_else(|| CHOSEN.to_owned(), text), origin.to_owned()]);
    }
    table.print()?;
    Ok(ExitCode::Ok)
}

fn get(key: &str) -> Done {
    let settings = effective(&home()?)?;
    let found = settings.iter().find(|(known, _)| known == key).ok_or_else(|| unknown(key, &settings))?;
    // Nothing where the program chooses: a script can tell.
    writeln!(anstream::stdout(), "{}", found.1.as_ref().map_or_else(String::new, |value| sanitize(&text(value))))?;
    Ok(ExitCode::Ok)
}

fn unknown(key: &str, settings: &[(String, Option<toml::Value>)]) -> Error {
    Error::UnknownKey { key: key.to_owned(), known: settings.iter().map(|(known, _)| known.clone()).collect() }
}

fn change(key: &str, change: impl FnOnce(&mut Document) -> Result<(), crate::config::Error>) -> Done {
    let home = home()?;
    let mut document = Document::read(&home)?;
    let settings = crate::config::defaults()?;
    if !settings.iter().any(|(known, _)| known == key) {
        return Err(unknown(key, &settings).into());
    }
    change(&mut document)?;
    document.write()?;
    Ok(ExitCode::Ok)
}

/// The editor works on a copy: the file is replaced only by what is valid.
fn edit() -> Done {
    let home = home()?;
    let (path, copy) = (home.join(ConfigFile::NAME), home.join(EDITED_NAME));
    let fail = |source| Error::File { path: copy.clone(), source };
    let mut file = tempfile::NamedTempFile::new_in(&home).map_err(fail)?;
    let text = fs::read(&path).unwrap_or_default();
    file.write_all(&text).map_err(fail)?;
    file.persist(&copy).map_err(|error| fail(error.error))?;
    let variable = |name: &str| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty());
    let editor = variable("VISUAL").or_else(|| variable("EDITOR")).unwrap_or_else(|| DEFAULT_EDITOR.to_owned());
    let mut words = editor.split_whitespace();
    let failed = |reason: String| Error::Editor { editor: editor.clone(), reason };
    let status = Command::new(words.next().unwrap_or(DEFAULT_EDITOR))
        .args(words)
        .arg(&copy)
        .status()
        .map_err(|error| failed(format!("cannot be run: {error}")))?;
    if !status.success() {
        let _ = fs::remove_file(&copy);
        return Err(failed(format!("ended with {status}; nothing was changed")).into());
    }
    let edited = fs::read_to_string(&copy).map_err(fail)?;
    let document = Document::parse(&home, &edited).and_then(|document| document.check().map(|()| document));
    match document {
        Ok(document) => {
            document.write()?;
            let _ = fs::remove_file(&copy);
            Ok(ExitCode::Ok)
        }
        Err(error) => Err(Error::EditedBadly { path: copy, reason: error.to_string() }.into()),
    }
}
