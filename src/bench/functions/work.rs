//! What a run leaves behind, so that one that was killed goes on: what each model has written.
//!
//! A folder for each set of [`Settings`], named by their hash, with `settings.json` for the eye and `written.jsonl` with a
//! row for each case and way of asking. A row is on the disk before the next case begins. It counts for a case whose prompt
//! and grammar are still those under which it was written; verdicts are not kept, so that a mended judge judges anew.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Constrained, Written};
use crate::bench::bfcl::{self, FOLDER, LOCK, append, empty, failed, rows};
use crate::types::{FileLock, Hasher, create_private_folder};

/// So many hex digits of the hash name a folder.
const NAME_DIGITS: usize = 12;
const SETTINGS: &str = "settings.json";
const WRITTEN: &str = "written.jsonl";

/// What replies depend on, prompts and grammars apart: rows of other settings are not mixed with these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// sha256 of the model: the same model in another place, or installed anew, goes on where it was.
    pub model: String,
    /// What runs the model, and how, as far as that changes what it computes.
    pub engine: String,
    /// Version of the program.
    pub program: String,
    /// Call format.
    pub profile: String,
    /// Cases that are asked together: passes of another size round otherwise.
    pub together: usize,
}

/// What a model has written for a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Id of the case.
    pub id: String,
    /// How it was asked.
    pub constrained: Constrained,
    /// See [`super::Question::key`].
    pub key: String,
    /// What was written.
    #[serde(flatten)]
    pub written: Written,
}

impl bfcl::Row for Row {
    fn is_of_the_same(&self, other: &Self) -> bool {
        (&self.id, self.constrained, &self.key) == (&other.id, other.constrained, &other.key)
    }
}

/// The folder of one set of settings; nobody else works in it.
#[derive(Debug)]
pub struct Work {
    folder: PathBuf,
    rows: Vec<Row>,
    _lock: FileLock,
}

impl Work {
    /// Opens the folder of `settings` in the folder of the benchmarks; `fresh`: what is in it is deleted first.
    ///
    /// # Errors
    /// The folder cannot be made, read or written, is damaged, or another process works in it.
    pub fn open(bench_folder: &Path, settings: &Settings, fresh: bool) -> Result<Self, bfcl::Error> {
        let parent = bench_folder.join(FOLDER);
        let text = serde_json::to_string_pretty(settings).map_err(std::io::Error::from);
        let text = text.map_err(failed("name a folder in", &parent))?;
        let mut hasher = Hasher::default();
        hasher.update(text.as_bytes());
        let name: String = hasher.hex().chars().take(NAME_DIGITS).collect();
        let folder = parent.join(format!("functions-{name}"));
        create_private_folder(&folder).map_err(failed("create the folder", &folder))?;
        let lock_path = folder.join(LOCK);
        let lock = FileLock::try_take(&lock_path).map_err(failed("lock", &lock_path))?;
        let lock = lock.ok_or_else(|| bfcl::Error::Busy { folder: folder.clone() })?;
        if fresh {
            empty(&folder)?;
        }
        let path = folder.join(SETTINGS);
        fs::write(&path, text + "\n").map_err(failed("write", &path))?;
        let rows = rows(&folder.join(WRITTEN))?;
        Ok(Self { folder, rows, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was written for a case under this key.
    #[must_use]
    pub fn written(&self, id: &str, constrained: Constrained, key: &str) -> Option<&Written> {
        let is_it = |row: &&Row| row.id == id && row.constrained == constrained && row.key == key;
        self.rows.iter().find(is_it).map(|row| &row.written)
    }

    /// Keeps what was written.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn keep(&mut self, row: Row) -> Result<(), bfcl::Error> {
        append(&self.folder.join(WRITTEN), &row)?;
        self.rows.push(row);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_counts_for_the_prompt_that_it_was_written_for() {
        let folder = tempfile::tempdir().unwrap();
        let settings = |profile: &str| Settings {
            model: "aa00".to_owned(),
            engine: "llama-cpp".to_owned(),
            program: "1".to_owned(),
            profile: profile.to_owned(),
            together: 1,
        };
        let written = Written {
            text: "t".to_owned(),
            is_complete: true,
            is_closed: false,
            prompt_tokens: 1,
            tokens_read: 1,
            tokens_sampled: 2,
            tokens_forced: 3,
            read_ms: 4,
            write_ms: 5,
            failure: String::new(),
        };
        let row = Row { id: "a".to_owned(), constrained: Constrained::On, key: "k".to_owned(), written };
        let mut work = Work::open(folder.path(), &settings("native"), false).unwrap();
        work.keep(row.clone()).unwrap();
        let path = work.folder().join(WRITTEN);
        drop(work);
        let torn = fs::read_to_string(&path).unwrap() + "{\"id\": \"b";
        fs::write(&path, torn).unwrap();
        let work = Work::open(folder.path(), &settings("native"), false).unwrap();
        assert_eq!(work.written("a", Constrained::On, "k"), Some(&row.written));
        assert_eq!(work.written("a", Constrained::Off, "k"), None);
        assert_eq!(work.written("a", Constrained::On, "other"), None);
        assert_eq!(work.written("b", Constrained::On, "k"), None);
        assert!(matches!(Work::open(folder.path(), &settings("native"), false), Err(bfcl::Error::Busy { .. })));
        drop(work);
        for (profile, fresh) in [("classic", false), ("native", true)] {
            let work = Work::open(folder.path(), &settings(profile), fresh).unwrap();
            assert_eq!(work.written("a", Constrained::On, "k"), None, "{profile}");
        }
    }
}
