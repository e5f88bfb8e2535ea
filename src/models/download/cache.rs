//! The hub's own cache of files: what other programs have fetched is linked, not fetched again.

use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::{Repo, RepoType};

use crate::models::digest::hash_file;
use crate::models::{Error, HubFile, Progress};
use crate::types::Cancel;
use crate::types::with_suffix;

/// A file of the right size and sha256 in `CACHE/models--OWNER--NAME/snapshots/COMMIT/FILE`, links followed.
pub(super) fn find(
    cache_dir: &Path,
    source: &HubFile,
    sha256: &str,
    size_bytes: u64,
    progress: &mut dyn Progress,
    cancel: &Cancel,
) -> Result<Option<PathBuf>, Error> {
    let repo = Repo::with_revision(source.repo.clone(), RepoType::Model, source.revision.clone());
    // A cache that is absent or closed to us is no error: there is nothing to link.
    let Ok(snapshots) = fs::read_dir(cache_dir.join(repo.folder_name()).join("snapshots")) else { return Ok(None) };
    let mut seen = Vec::new();
    for snapshot in snapshots.flatten() {
        let Ok(path) = snapshot.path().join(&source.file).canonicalize() else { continue };
        let right_size = path.metadata().is_ok_and(|file| file.is_file() && file.len() == size_bytes);
        if !right_size || seen.contains(&path) {
            continue;
        }
        match hash_file(&path, progress, cancel) {
            Ok((_, found)) if found == sha256 => return Ok(Some(path)),
            Err(Error::Cancelled { name }) => return Err(Error::Cancelled { name }),
            Ok(_) | Err(_) => seen.push(path),
        }
    }
    Ok(None)
}

/// Gives `found` the name `path` as well: a hard link, or a symbolic one where they lie on different disks.
pub(super) fn link(found: &Path, path: &Path) -> Result<(), Error> {
    let failed = |source| Error::io("link to", path, source);
    let fresh = with_suffix(path, ".link");
    // A link that an earlier process left behind.
    drop(fs::remove_file(&fresh));
    if fs::hard_link(found, &fresh).is_err() {
        soft_link(found, &fresh).map_err(failed)?;
    }
    fs::rename(&fresh, path).map_err(failed)
}

#[cfg(unix)]
fn soft_link(found: &Path, fresh: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(found, fresh)
}

#[cfg(not(unix))]
fn soft_link(found: &Path, fresh: &Path) -> std::io::Result<()> {
    fs::copy(found, fresh).map(drop)
}
