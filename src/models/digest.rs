//! sha256 of files, with progress and cancellation.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{Error, Progress};
use crate::types::{Cancel, Hasher};

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
