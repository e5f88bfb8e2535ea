//! sha256 of files, with progress and cancellation.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Error, Progress};
use crate::types::{Cancel, Hasher};

/// Files of a folder that belong to its model: weights, config and tokenizer.
const MODEL_PARTS: [&str; 3] = ["json", "model", "safetensors"];
/// Bytes read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Reads at most `limit_bytes` of `file` into `hasher`; returns how many there were.
///
/// # Errors
/// [`Error::Io`]; [`Error::Cancelled`].
pub(crate) fn hash_into(
    hasher: &mut Hasher,
    file: &mut File,
    path: &Path,
    limit_bytes: u64,
    progress: &mut dyn Progress,
    cancel: &Cancel,
) -> Result<u64, Error> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut limited = file.take(limit_bytes);
    let mut done_bytes = 0;
    loop {
        if cancel.is_raised() {
            return Err(Error::Cancelled { name: path.display().to_string() });
        }
        let count = limited.read(&mut buffer).map_err(|source| Error::io("read", path, source))?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { return Ok(done_bytes) };
        hasher.update(bytes);
        done_bytes += count as u64;
        progress.advance_to(done_bytes);
    }
}

/// Size and sha256 of a file.
///
/// # Errors
/// [`Error::Io`]; [`Error::Cancelled`].
pub(crate) fn hash_file(path: &Path, progress: &mut dyn Progress, cancel: &Cancel) -> Result<(u64, String), Error> {
    let mut file = File::open(path).map_err(|source| Error::io("open", path, source))?;
    let size_bytes = file.metadata().map_err(|source| Error::io("look at", path, source))?.len();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    progress.begin(&format!("checking {name}"), size_bytes, 0);
    let mut hasher = Hasher::default();
    let result = hash_into(&mut hasher, &mut file, path, u64::MAX, progress, cancel);
    progress.end();
    Ok((result?, hasher.hex()))
}

/// sha256 of what a model consists of: of its file, or, where it is a folder, of the names and sums of its weights,
/// config and tokenizer.
///
/// # Errors
/// [`Error::Io`]; [`Error::Cancelled`].
pub fn model_digest(path: &Path, progress: &mut dyn Progress, cancel: &Cancel) -> Result<String, Error> {
    if !path.is_dir() {
        return Ok(hash_file(path, progress, cancel)?.1);
    }
    let listed = std::fs::read_dir(path).and_then(|entries| {
        let paths: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
        paths
    });
    let mut files = listed.map_err(|source| Error::io("list", path, source))?;
    let is_part = |file: &PathBuf| file.extension().is_some_and(|kind| MODEL_PARTS.iter().any(|part| kind == *part));
    files.retain(|file| file.is_file() && is_part(file));
    files.sort();
    let mut hasher = Hasher::default();
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        hasher.update(format!("{name} {}\n", hash_file(file, progress, cancel)?.1).as_bytes());
    }
    Ok(hasher.hex())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Silent;

    #[test]
    fn the_digest_of_a_model_is_that_of_its_bytes_wherever_and_whenever_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let digest = |path: &Path| model_digest(path, &mut Silent, &Cancel::default()).unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        let (one, other) = (write("one.gguf", "weights"), write("other.gguf", "weightz"));
        assert_eq!(digest(&one), digest(&write("copy.gguf", "weights")));
        assert_ne!(digest(&one), digest(&other));
        for (name, text) in [("a", "{}"), ("b", "{}"), ("c", "{ }")] {
            write(&format!("{name}/config.json"), text);
            write(&format!("{name}/model.safetensors"), "weights");
        }
        let of_folder = |name: &str| digest(&folder.path().join(name));
        write("b/README.md", "words");
        assert_eq!(of_folder("a"), of_folder("b"));
        assert_ne!(of_folder("a"), of_folder("c"));
    }
}
