//! `mneme config`: what holds, where it comes from, and changing it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde_json::json;

use super::super::interrupt::raised_by_ctrl_c;
use super::super::output::{print_json, stdout, tell};
use super::table::Table;
use super::{Done, Error, home};
use crate::cli::{ConfigCommand, ExitCode};
use crate::config::{ConfigFile, Document, effective};
use crate::models::default_models_dir;
use crate::ui::editor::{self, Edited};
use crate::ui::sanitize;

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
            writeln!(stdout(), "{}", path.display())?;
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
    writeln!(stdout(), "{}", found.1.as_ref().map_or_else(String::new, |value| sanitize(&text(value))))?;
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

/// The editor works on a copy: the file is replaced only by what is valid. What is not stays in the copy, which the next
/// editing opens again.
fn edit() -> Done {
    let home = home()?;
    let (path, copy) = (home.join(ConfigFile::NAME), home.join(EDITED_NAME));
    let before = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(source) => return Err(crate::config::Error::File { path, source }.into()),
    };
    if editor::is_begun(&copy, &before).map_err(Error::Editor)? {
        tell(&format!("{} To begin with config.toml instead, delete {}.", editor::OPENED_AGAIN, copy.display()));
    }
    // Ctrl-C is the editor's: whoever waits for it must not end under it.
    let _unheard = raised_by_ctrl_c()?;
    let Edited::Changed(edited) = editor::edit(&copy, before.trim_end()).map_err(Error::Editor)? else {
        return Ok(ExitCode::Ok);
    };
    let text = if edited.is_empty() { edited } else { format!("{edited}\n") };
    let document = Document::parse(&home, &text).and_then(|document| document.check().map(|()| document));
    match document {
        Ok(mut document) => {
            if let Ok(before) = Document::parse(&home, &before) {
                document.settle_model(&before);
            }
            document.write()?;
            editor::discard(&copy);
            Ok(ExitCode::Ok)
        }
        Err(error) => Err(Error::EditedBadly { path: copy, reason: error.to_string() }.into()),
    }
}
