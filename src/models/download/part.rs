//! The unfinished file: hashed while it grows, taken up again after a stop, renamed only when it is right.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Fault;
use crate::models::digest::hash_into;
use crate::models::pins::{read_json, write_json};
use crate::models::{Error, Failure, Progress};
use crate::types::{Cancel, Hasher, open_private_file, with_suffix};

/// What the bytes in a part file are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// sha256 of the whole file that this is the beginning of.
    sha256: String,
    /// Where the finished pieces end, for a file that comes in pieces.
    ends: Vec<u64>,
}

/// An unfinished file.
pub(super) struct Part {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    length_bytes: u64,
    state: State,
}

impl Part {
    /// Opens a part that can be taken up at any byte.
    pub(super) fn open(
        path: PathBuf,
        sha256: &str,
        progress: &mut dyn Progress,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        Self::open_at(path, sha256, |_| u64::MAX, progress, cancel)
    }

    /// Opens a part that can be taken up only where a piece ended.
    pub(super) fn open_in_pieces(
        path: PathBuf,
        sha256: &str,
        progress: &mut dyn Progress,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        Self::open_at(path, sha256, |state| state.ends.last().copied().unwrap_or(0), progress, cancel)
    }

    fn open_at(
        path: PathBuf,
        sha256: &str,
        usable_bytes: impl Fn(&State) -> u64,
        progress: &mut dyn Progress,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let file = open_private_file(&path).map_err(|source| Error::io("open", &path, source))?;
        // A state that cannot be read is worth no more than none: the bytes are fetched again.
        let state: Option<State> = read_json(&with_suffix(&path, ".json")).unwrap_or_default();
        let there_bytes = file.metadata().map_err(|source| Error::io("look at", &path, source))?.len();
        let mut part = Self { path, file, hasher: Hasher::default(), length_bytes: 0, state: State::default() };
        match state.filter(|state| state.sha256 == sha256) {
            Some(state) if usable_bytes(&state) == u64::MAX || usable_bytes(&state) <= there_bytes => {
                let keep_bytes = usable_bytes(&state).min(there_bytes);
                if keep_bytes > 0 {
                    progress.begin("checking what is there", keep_bytes, 0);
                    let (file, path) = (&mut part.file, &part.path);
                    let hashed = hash_into(&mut part.hasher, file, path, keep_bytes, progress, cancel);
                    progress.end();
                    part.length_bytes = hashed?;
                }
                part.state = state;
                part.cut()?;
            }
            _ => {
                part.state.sha256 = sha256.to_owned();
                part.restart()?;
            }
        }
        Ok(part)
    }

    /// Bytes that are there.
    pub(super) fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    /// Pieces that are finished.
    pub(super) fn piece_count(&self) -> usize {
        self.state.ends.len()
    }

    /// Throws everything away and begins anew.
    pub(super) fn restart(&mut self) -> Result<(), Error> {
        self.hasher = Hasher::default();
        self.length_bytes = 0;
        self.state.ends.clear();
        self.cut()?;
        write_json(&with_suffix(&self.path, ".json"), &self.state)
    }

    /// Makes the file as long as what was hashed.
    fn cut(&mut self) -> Result<(), Error> {
        let written = self.file.set_len(self.length_bytes);
        written.map_err(|source| Error::write(&self.path, self.length_bytes, source))?;
        let sought = self.file.seek(SeekFrom::Start(self.length_bytes));
        sought.map(drop).map_err(|source| Error::io("write", &self.path, source))
    }

    /// Appends.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.file.write_all(bytes);
        written.map_err(|source| Error::write(&self.path, self.length_bytes, source))?;
        self.hasher.update(bytes);
        self.length_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Notes that a piece ends here, once its bytes are on the disk.
    pub(super) fn end_piece(&mut self) -> Result<(), Error> {
        self.sync()?;
        self.state.ends.push(self.length_bytes);
        write_json(&with_suffix(&self.path, ".json"), &self.state)
    }

    /// Puts the bytes on the disk.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.file.sync_all().map_err(|source| Error::write(&self.path, self.length_bytes, source))
    }

    /// sha256 of what is there.
    pub(super) fn found(&self) -> String {
        self.hasher.hex()
    }

    /// Checks size and sha256; what is wrong is deleted, so that the next try begins anew.
    pub(super) fn check(&mut self, size_bytes: u64, sha256: &str) -> Result<(), Fault> {
        let found = self.hasher.hex();
        let failure = if self.length_bytes != size_bytes {
            Failure::WrongSize { found_bytes: self.length_bytes, expected_bytes: size_bytes }
        } else if found != sha256 {
            Failure::WrongHash { found, expected: sha256.to_owned() }
        } else {
            return Ok(());
        };
        self.restart()?;
        for path in [self.path.clone(), with_suffix(&self.path, ".json")] {
            fs::remove_file(&path).map_err(|source| Error::io("remove", path, source))?;
        }
        Err(failure.into())
    }

    /// Checks the file and gives it its final name.
    pub(super) fn finish(mut self, path: &Path, size_bytes: u64, sha256: &str) -> Result<(), Fault> {
        self.check(size_bytes, sha256)?;
        self.sync()?;
        fs::rename(&self.path, path).map_err(|source| Error::io("rename to", path, source))?;
        sync_dir(path)?;
        Ok(())
    }
}

/// Puts the folder's entry of a renamed file on the disk.
#[cfg(unix)]
pub(super) fn sync_dir(path: &Path) -> Result<(), Error> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|source| Error::io("write the folder", dir, source))
}

#[cfg(not(unix))]
pub(super) fn sync_dir(_path: &Path) -> Result<(), Error> {
    Ok(())
}
