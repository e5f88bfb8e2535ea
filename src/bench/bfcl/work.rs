//! What a run leaves behind, so that one that was killed goes on: agents that have heard sessions, and answers.
//!
//! A folder for each set of [`Settings`], named by their hash: `settings.json` for the eye, `told.jsonl` and
//! `answers.jsonl` with a row for each session and question, and for each scenario the database behind the last session
//! that was told to its end. A row is on the disk before the next piece of work begins; a last line without its end was
//! cut off by a kill and is dropped, and a session that was cut off is told again from its beginning.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Answer, Error, ScenarioName, Told};
use crate::memory::Store;
use crate::types::{Clock, FileLock, Hasher, create_private_folder, open_private_file, with_suffix};

/// Folder of all work folders, beside those of the data sets.
pub(in crate::bench) const FOLDER: &str = "work";
/// So many hex digits of the hash name a folder.
const NAME_DIGITS: usize = 12;
const SETTINGS: &str = "settings.json";
const TOLD: &str = "told.jsonl";
const ANSWERS: &str = "answers.jsonl";
pub(in crate::bench) const LOCK: &str = "lock";
/// The database of the agent that is being told or asked something.
const PRESENT: &str = "present.db";

/// Everything that the figures depend on: rows of other settings are not mixed with these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Folder of the data set.
    pub data: PathBuf,
    /// File of the model.
    pub model: PathBuf,
    /// Its size in bytes and when it was changed, UTC milliseconds.
    pub model_state: (u64, i64),
    /// What runs the model.
    pub engine: String,
    /// The program: its size in bytes and when it was changed. Another build is another agent.
    pub program_state: (u64, i64),
    /// Which of the agent's policies hold.
    pub policy: String,
    /// Name of the embedder.
    pub embedder: Option<String>,
    /// All settings of the agent, as the program spells them.
    pub config: String,
}

impl Settings {
    fn name(&self) -> Result<String, serde_json::Error> {
        let mut hasher = Hasher::default();
        hasher.update(&serde_json::to_vec(self)?);
        Ok(hasher.hex().chars().take(NAME_DIGITS).collect())
    }
}

/// The folder of one set of settings; nobody else works in it.
#[derive(Debug)]
pub struct Work {
    folder: PathBuf,
    told: Vec<Told>,
    answers: Vec<Answer>,
    _lock: FileLock,
}

pub(in crate::bench) fn failed(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Work { operation, path, source }
}

impl Work {
    /// Opens the folder of `settings` in the folder of the benchmarks; `fresh`: what is in it is deleted first.
    ///
    /// # Errors
    /// The folder cannot be made, read or written, is damaged, or another process works in it.
    pub fn open(bench_folder: &Path, settings: &Settings, fresh: bool) -> Result<Self, Error> {
        let parent = bench_folder.join(FOLDER);
        let name = settings.name().map_err(std::io::Error::from).map_err(failed("name a folder in", &parent))?;
        let folder = parent.join(format!("memory-bfcl-{name}"));
        create_private_folder(&folder).map_err(failed("create the folder", &folder))?;
        let lock_path = folder.join(LOCK);
        let lock = FileLock::try_take(&lock_path).map_err(failed("lock", &lock_path))?;
        let lock = lock.ok_or_else(|| Error::Busy { folder: folder.clone() })?;
        if fresh {
            empty(&folder)?;
        }
        let path = folder.join(SETTINGS);
        let text = serde_json::to_string_pretty(settings).map_err(std::io::Error::from);
        let written = text.and_then(|text| fs::write(&path, text + "\n"));
        written.map_err(failed("write", &path))?;
        let told = rows(&folder.join(TOLD))?;
        let answers = rows(&folder.join(ANSWERS))?;
        Ok(Self { folder, told, answers, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many sessions of a scenario an agent has heard.
    #[must_use]
    pub fn sessions_told(&self, scenario: ScenarioName, sessions: usize) -> usize {
        (1..=sessions).rev().find(|count| self.database(scenario, *count).is_file()).unwrap_or_default()
    }

    /// The rows of the sessions that were told to their ends.
    #[must_use]
    pub fn told(&self) -> &[Told] {
        &self.told
    }

    /// The rows of the questions that were answered.
    #[must_use]
    pub fn answers(&self) -> &[Answer] {
        &self.answers
    }

    /// A copy of the agent who has heard so many sessions, to be told or asked something; a path without a file for
    /// none.
    ///
    /// # Errors
    /// The copy cannot be made.
    pub fn present(&self, scenario: ScenarioName, sessions_told: usize, clock: &dyn Clock) -> Result<PathBuf, Error> {
        let present = self.folder.join(PRESENT);
        remove_database(&present)?;
        if sessions_told > 0 {
            copy(&self.database(scenario, sessions_told), &present, clock)?;
        }
        Ok(present)
    }

    /// Keeps the present agent, who is closed, as the one who has heard the session of `row`.
    ///
    /// # Errors
    /// The row or the copy cannot be written.
    pub fn keep_told(&mut self, row: Told, clock: &dyn Clock) -> Result<(), Error> {
        let (scenario, session) = (row.scenario, row.session);
        append(&self.folder.join(TOLD), &row)?;
        // A session that was cut off between its row and its database is told again, and has two rows.
        self.told.retain(|told| (told.scenario, told.session) != (scenario, session));
        self.told.push(row);
        copy(&self.folder.join(PRESENT), &self.database(scenario, session + 1), clock)?;
        if session > 0 { remove_database(&self.database(scenario, session)) } else { Ok(()) }
    }

    /// Keeps an answer.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep_answer(&mut self, answer: Answer) -> Result<(), Error> {
        append(&self.folder.join(ANSWERS), &answer)?;
        self.answers.push(answer);
        Ok(())
    }

    fn database(&self, scenario: ScenarioName, sessions_told: usize) -> PathBuf {
        self.folder.join(format!("{}-{sessions_told}.db", scenario.as_str()))
    }
}

/// Deletes everything in the folder but the lock, which is held.
pub(in crate::bench) fn empty(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(failed("read", folder))? {
        let path = entry.map_err(failed("read", folder))?.path();
        if path.file_name().is_some_and(|name| name == LOCK) {
            continue;
        }
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(failed("remove", &path))?;
    }
    Ok(())
}

/// A checked copy of a database that nobody has open.
fn copy(from: &Path, to: &Path, clock: &dyn Clock) -> Result<(), Error> {
    remove_database(to)?;
    Store::open(from, clock)?.backup_to(to)?;
    Ok(())
}

/// Removes a database with what SQLite puts beside it.
fn remove_database(path: &Path) -> Result<(), Error> {
    for path in [path.to_owned(), with_suffix(path, "-wal"), with_suffix(path, "-shm")] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed("remove", &path)(error)),
            _ => {}
        }
    }
    Ok(())
}

pub(in crate::bench) fn append(path: &Path, row: &impl Serialize) -> Result<(), Error> {
    let write = || -> std::io::Result<()> {
        let mut line = serde_json::to_vec(row).map_err(std::io::Error::from)?;
        line.push(b'\n');
        let mut file = File::options().append(true).create(true).open(path)?;
        file.write_all(&line)?;
        file.sync_data()
    };
    write().map_err(failed("write", path))
}

/// The rows of a file; what a kill has cut off is removed from it. Of two rows of the same piece of work the later one
/// counts: see [`Work::keep_told`].
pub(in crate::bench) fn rows<T: DeserializeOwned + Row>(path: &Path) -> Result<Vec<T>, Error> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = fs::read(path).map_err(failed("read", path))?;
    let whole_bytes = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole_bytes < bytes.len() {
        let cut = open_private_file(path).and_then(|file| file.set_len(whole_bytes as u64));
        cut.map_err(failed("cut", path))?;
    }
    let mut rows: Vec<T> = Vec::new();
    let whole = bytes.get(..whole_bytes).unwrap_or_default();
    for (at, line) in whole.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        let row: T = serde_json::from_slice(line).map_err(|source| Error::DamagedWork {
            path: path.to_owned(),
            line: at + 1,
            source,
        })?;
        rows.retain(|other| !other.is_of_the_same(&row));
        rows.push(row);
    }
    Ok(rows)
}

/// A row of a file.
pub(in crate::bench) trait Row {
    /// Whether both tell of the same piece of work.
    fn is_of_the_same(&self, other: &Self) -> bool;
}

impl Row for Told {
    fn is_of_the_same(&self, other: &Self) -> bool {
        (self.scenario, self.session) == (other.scenario, other.session)
    }
}

impl Row for Answer {
    fn is_of_the_same(&self, other: &Self) -> bool {
        (&self.id, self.variant) == (&other.id, other.variant)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Costs;
    use super::*;
    use crate::types::ManualClock;

    fn settings(policy: &str) -> Settings {
        Settings {
            data: "data".into(),
            model: "m.gguf".into(),
            model_state: (1, 2),
            engine: "llama-cpp".to_owned(),
            program_state: (3, 4),
            policy: policy.to_owned(),
            embedder: None,
            config: "c".to_owned(),
        }
    }

    fn told(session: usize, turns: u64) -> Told {
        let costs = Costs { turns, ..Costs::default() };
        Told { scenario: ScenarioName::Customer, session, context_window: 1, costs }
    }

    #[test]
    fn what_was_kept_is_there_again_and_a_line_that_was_cut_off_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(0);
        let mut work = Work::open(folder.path(), &settings("a"), false).unwrap();
        let present = work.present(ScenarioName::Customer, 0, &clock).unwrap();
        drop(Store::open(&present, &clock).unwrap());
        work.keep_told(told(0, 1), &clock).unwrap();
        work.keep_told(told(0, 2), &clock).unwrap();
        work.keep_told(told(1, 3), &clock).unwrap();
        let path = work.folder().join(TOLD);
        assert!(matches!(Work::open(folder.path(), &settings("a"), false), Err(Error::Busy { .. })));
        drop(work);
        let mut torn = fs::read(&path).unwrap();
        torn.extend_from_slice(b"{\"scenario\": \"cust");
        fs::write(&path, torn).unwrap();
        for _ in 0..2 {
            let work = Work::open(folder.path(), &settings("a"), false).unwrap();
            assert_eq!(work.told(), [told(0, 2), told(1, 3)]);
            assert_eq!(work.sessions_told(ScenarioName::Customer, 2), 2);
            assert_eq!(work.sessions_told(ScenarioName::Student, 2), 0);
        }
        assert!(Work::open(folder.path(), &settings("b"), false).unwrap().told().is_empty());
        assert!(Work::open(folder.path(), &settings("a"), true).unwrap().told().is_empty());
    }

    #[test]
    fn a_damaged_line_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = Work::open(folder.path(), &settings("a"), false).unwrap().folder().join(ANSWERS);
        fs::write(path, "{}\n").unwrap();
        let error = Work::open(folder.path(), &settings("a"), false).unwrap_err();
        assert!(matches!(error, Error::DamagedWork { line: 1, .. }) && error.hint().contains("--fresh"), "{error}");
    }
}
