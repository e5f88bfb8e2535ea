//! Hashes that were taken from the hub at the first pull: `NAME.pin.json` in the store folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Error;

/// Longest state file that is read, in bytes; ours have a few hundred.
const STATE_LIMIT_BYTES: u64 = 1 << 20;

/// What was pinned for a model, by file name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pins {
    pub(crate) files: BTreeMap<String, Pin>,
}

/// A file as it was at the first pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pin {
    pub(crate) sha256: String,
    pub(crate) size_bytes: u64,
    /// Repository and commit that it came from.
    pub(crate) origin: String,
}

impl Pins {
    pub(crate) fn path(dir: &Path, model_name: &str) -> PathBuf {
        dir.join(format!("{model_name}.pin.json"))
    }

    /// The pins of a model; none where there is no file.
    pub(crate) fn load(dir: &Path, model_name: &str) -> Result<Self, Error> {
        Ok(read_json(&Self::path(dir, model_name))?.unwrap_or_default())
    }

    /// The commit that the files came from.
    #[cfg(feature = "download")]
    pub(crate) fn commit(&self) -> Option<&str> {
        self.files.values().find_map(|pin| Some(pin.origin.rsplit_once('@')?.1))
    }

    #[cfg(feature = "download")]
    pub(crate) fn save(&self, dir: &Path, model_name: &str) -> Result<(), Error> {
        write_json(&Self::path(dir, model_name), self)
    }
}

/// Reads a small JSON file; `None` where it does not exist.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let bad = |reason: String| Error::BadStoreFile { path: path.to_owned(), reason };
    match path.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("look at", path, error)),
        Ok(metadata) if metadata.len() > STATE_LIMIT_BYTES => {
            return Err(bad(format!("it has {} bytes", metadata.len())));
        }
        Ok(_) => {}
    }
    let bytes = std::fs::read(path).map_err(|source| Error::io("read", path, source))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| bad(error.to_string()))
}

/// Writes a small JSON file at one stroke: either the old or the new text stands there, whatever happens.
#[cfg(feature = "download")]
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), Error> {
    use std::io::Write;

    let dir = path.parent().unwrap_or(Path::new("."));
    let bad = |error: serde_json::Error| Error::BadStoreFile { path: path.to_owned(), reason: error.to_string() };
    let text = serde_json::to_vec_pretty(value).map_err(bad)?;
    let mut file = tempfile::Builder::new()
        .prefix(".state-")
        .tempfile_in(dir)
        .map_err(|source| Error::io("create a file in", dir, source))?;
    file.write_all(&text).map_err(|source| Error::write(path, 0, source))?;
    file.as_file().sync_all().map_err(|source| Error::write(path, 0, source))?;
    file.persist(path).map_err(|error| Error::io("write", path, error.error))?;
    Ok(())
}
