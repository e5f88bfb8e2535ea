//! What was said and done, as JSON lines: in one file, or in a file for each conversation of a folder.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::Error;
use crate::bench::agent::ObservedCall;
use crate::config;
use crate::types::CoreMemoryText;

/// Line behind the turns of a session after which idle work was left.
#[derive(Debug, Serialize)]
pub(super) struct SessionEnd {
    /// What passes called.
    pub(super) calls: Vec<ObservedCall>,
    /// What they ran into.
    pub(super) errors: Vec<String>,
    /// Core memory after them.
    pub(super) core: CoreMemoryText,
}

/// Where the lines go; nowhere where none were asked for.
pub(super) struct Transcripts {
    folder: Option<PathBuf>,
    /// The files that were begun; of a folder, those of this run: a file of an earlier run is written anew.
    begun: Vec<PathBuf>,
    file: Option<(PathBuf, File)>,
}

fn failure(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    |source| config::Error::File { path, source }.into()
}

impl Transcripts {
    /// Files of a folder where `path` is one or is written as one (with a slash at the end), else the file.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, Error> {
        let mut transcripts = Self { folder: None, begun: Vec::new(), file: None };
        match path {
            Some(path) if path.is_dir() || path.as_os_str().to_string_lossy().ends_with(std::path::is_separator) => {
                std::fs::create_dir_all(path).map_err(failure(path))?;
                transcripts.folder = Some(path.to_owned());
            }
            Some(path) => transcripts.file = Some((path.to_owned(), File::create(path).map_err(failure(path))?)),
            None => {}
        }
        Ok(transcripts)
    }

    /// The lines of the conversation `name` follow.
    pub(super) fn begin(&mut self, name: &str) -> Result<(), Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        // A name is text of a file: it must not lead elsewhere.
        let name: String = name.chars().map(|c| if std::path::is_separator(c) { '_' } else { c }).collect();
        let path = folder.join(name + ".jsonl");
        let is_new = !self.begun.contains(&path);
        let mut options = OpenOptions::new();
        options.create(true).write(true);
        let file = if is_new { options.truncate(true).open(&path) } else { options.append(true).open(&path) };
        let file = file.map_err(failure(&path))?;
        if is_new {
            self.begun.push(path.clone());
        }
        self.file = Some((path, file));
        Ok(())
    }

    pub(super) fn write(&mut self, line: &impl Serialize) -> Result<(), Error> {
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        let line = serde_json::to_string(line).map_err(std::io::Error::from);
        line.and_then(|line| file.write_all((line + "\n").as_bytes())).map_err(failure(path))
    }
}
