//! `mneme load`: files become documents of a source.
//!
//! One file is one transaction, and what has not changed is not read again: a load that was stopped goes on where it
//! was when it is started again. A file that cannot be read is told at the end, and the others are loaded. Then the
//! passages are embedded, those included that an earlier load or an older embedder has left.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::Error;
use super::admin;
use super::interrupt::raised_by_ctrl_c;
use super::output::{print_text, tell, tell_below};
use super::progress::Progress;
use crate::cli::{ExitCode, LoadArgs};
use crate::config::{Config, ConfigFile, Overrides};
use crate::documents::{self, Found, Reader, Selection, Walk, distinct_title, path_of, spelled_path};
use crate::memory::{DocumentInfo, Embed, NewDocument, Store};
use crate::types::{Cancel, Clock, SystemClock, counted, validate_name};

/// The hidden command of the reading process.
const SERVE_COMMAND: &str = "read-documents";
/// Files that are named where they were not read; the rest is counted.
const TOLD_FILES: usize = 20;
/// Binary files that are named; folders are full of them.
const TOLD_BINARIES: usize = 5;
/// The reading process: answers requests of another process of this program.
///
/// # Errors
/// The other process is gone.
pub(super) fn serve() -> Result<ExitCode, Error> {
    documents::serve(io::stdin().lock(), io::BufWriter::new(io::stdout())).map_err(Error::Output)?;
    Ok(ExitCode::Ok)
}

/// Loads files.
///
/// # Errors
/// A path does not exist, there is nothing to load, nothing can be read, or the database fails. What was loaded stays.
pub(super) fn run(arguments: &LoadArgs) -> Result<ExitCode, Error> {
    validate_name(&arguments.name)?;
    let cancel = raised_by_ctrl_c()?;
    let home = admin::home()?;
    let mut store = admin::open_store(&home)?;
    let limits = Config::new(home.clone(), ConfigFile::read(&home)?, Overrides::default())?.documents;
    let selection = Selection {
        recursive: arguments.reach.recursive,
        extensions: arguments.reach.extensions.iter().filter(|extension| !extension.is_empty()).cloned().collect(),
        all: arguments.reach.all,
    };
    let paths = arguments.all_paths();
    let found = documents::walk(&paths, &selection);
    let known = known(&store, &arguments.name)?;
    let roots = roots(&found, &known)?;
    let gone = gone(&roots, &known);
    if found.files.is_empty() && gone.is_empty() && found.unreadable.is_empty() {
        return Err(Error::NothingToLoad { left_out: left_out(&found) });
    }
    let program = std::env::current_exe().map_err(Error::OwnFile)?;
    let mut load = Load {
        source: &arguments.name,
        titles: known.values().map(|document| (document.title.clone(), path_of(&document.path))).collect(),
        known,
        reader: Reader::new(program, vec![SERVE_COMMAND.into()], limits),
        embedder: embedder()?,
        report: Report::default(),
    };
    for (path, error) in &found.unreadable {
        load.report.problems.push(format!("{} cannot be read: {error}", path.display()));
    }
    let started = Instant::now();
    let stopped = load.files(&mut store, &found.files, &cancel)?;
    if !stopped {
        for path in &gone {
            load.report.gone += u64::from(store.remove_document(&arguments.name, path)?);
        }
    }
    let report = &load.report;
    report.tell(&arguments.name, &found, started);
    if stopped {
        tell(&format!(
            "stopped after {} of {} files; the same command goes on from there",
            report.looked_at(),
            found.files.len()
        ));
        return Ok(ExitCode::Interrupted);
    }
    if report.loaded() == 0 && report.gone == 0 {
        return Err(Error::NothingReadable);
    }
    let is_embedded = embed(&mut store, &arguments.name, load.embedder.as_deref_mut(), &cancel)?;
    if !is_embedded {
        return Ok(ExitCode::Interrupted);
    }
    let sources = store.sources()?;
    if sources.iter().any(|source| source.name == arguments.name && source.agents.is_empty()) {
        tell(&format!("let an agent search it: mneme attach --agent NAME --source {}", arguments.name));
    }
    Ok(ExitCode::Ok)
}

/// The embedder; one whose files are damaged is told and not used.
fn embedder() -> Result<Option<Box<dyn Embed>>, Error> {
    match super::embedder::open() {
        Ok(embedder) => Ok(embedder),
        Err(error @ Error::CatalogueModel { .. }) => {
            tell(&format!("{}; {}", error.sentence(), error.hint()));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Makes the vectors that passages of documents lack, and tells how many of the source can be found by meaning; false
/// where Ctrl-C stopped it.
fn embed(
    store: &mut Store,
    source: &str,
    embedder: Option<&mut (dyn Embed + 'static)>,
    cancel: &Cancel,
) -> Result<bool, Error> {
    let Some(embedder) = embedder else {
        tell(&words_only(super::embedder::words_only_notice()?));
        return Ok(true);
    };
    let pending = store.pending_documents_count(embedder)?;
    if pending > 0 {
        let progress = Progress::begin("embedding", "passages", pending);
        let made = store.embed_documents(embedder, cancel, &mut |done| progress.advance_to(done));
        progress.end();
        if made.is_err() {
            tell("everything is stored and found by its words; the same command goes on embedding");
        }
        made?;
    }
    let embedded = store.embedded_count(source, embedder)?;
    let passages = store.sources()?.iter().find(|info| info.name == source).map_or(0, |info| info.passages);
    tell(&format!("{source}: {embedded} of {} can be found by meaning", counted(passages, "passage", "passages")));
    let is_stopped = cancel.is_raised() && store.pending_documents_count(embedder)? > 0;
    if is_stopped {
        tell("stopped; all passages are stored, and the same command goes on embedding");
    }
    Ok(!is_stopped)
}

/// What is told where nothing can be found by meaning.
fn words_only(advice: Option<String>) -> String {
    advice.unwrap_or_else(|| "Passages are found by their words only: this build cannot run an embedder.".to_owned())
}

type Known = BTreeMap<String, DocumentInfo>;

/// The documents of the source, by path.
fn known(store: &Store, source: &str) -> Result<Known, Error> {
    Ok(store.documents(source)?.into_iter().map(|document| (document.path.clone(), document)).collect())
}

/// The paths that were named; one that does not exist any more counts where the source knows it.
fn roots(found: &Walk, known: &Known) -> Result<Vec<PathBuf>, Error> {
    let mut roots = found.roots.clone();
    for path in &found.missing {
        let absolute = std::path::absolute(path).map_err(|_| Error::NoSuchPath { path: path.clone() })?;
        let parent = absolute.parent().and_then(|parent| parent.canonicalize().ok());
        let gone = parent.zip(absolute.file_name()).map(|(parent, name)| parent.join(name));
        match gone.filter(|gone| known.keys().any(|known| path_of(known).starts_with(gone))) {
            Some(gone) => roots.push(gone),
            None => return Err(Error::NoSuchPath { path: path.clone() }),
        }
    }
    Ok(roots)
}

/// Documents under the paths that were named whose files are no files any more.
fn gone(roots: &[PathBuf], known: &Known) -> Vec<String> {
    let is_gone = |path: &Path| match std::fs::symlink_metadata(path) {
        Ok(metadata) => !metadata.is_file(),
        Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
    };
    let under = |path: &Path| roots.iter().any(|root| path.starts_with(root));
    let is_gone = |spelled: &&String| {
        let path = path_of(spelled);
        under(&path) && is_gone(&path)
    };
    known.keys().filter(is_gone).cloned().collect()
}

struct Load<'a> {
    source: &'a str,
    known: Known,
    /// What the documents of the source are called, and where they are.
    titles: BTreeMap<String, PathBuf>,
    reader: Reader,
    /// Finds by meaning; none where words have to do.
    embedder: Option<Box<dyn Embed>>,
    report: Report,
}

impl Load<'_> {
    /// Loads one file after the other; true where Ctrl-C was pressed in between.
    fn files(&mut self, store: &mut Store, files: &[Found], cancel: &Cancel) -> Result<bool, Error> {
        let progress = Progress::begin(self.source, "files", files.len() as u64);
        for (done, file) in (1_u64..).zip(files) {
            if cancel.is_raised() {
                progress.end();
                return Ok(true);
            }
            self.file(store, file)?;
            progress.advance_to(done);
        }
        progress.end();
        Ok(false)
    }

    /// How results call a file: as they did before, else so that no other document of the source is called the same.
    fn title(&self, file: &Found, known: Option<&DocumentInfo>) -> String {
        // Names of one folder that are shown alike are told apart by no folder.
        let is_taken = |title: &str| self.titles.get(title).is_some_and(|other| other.parent() != file.path.parent());
        known.map_or_else(|| distinct_title(&file.title, &file.path, is_taken), |known| known.title.clone())
    }

    fn file(&mut self, store: &mut Store, file: &Found) -> Result<(), Error> {
        let path = spelled_path(&file.path);
        let known = self.known.get(&path);
        let title = self.title(file, known);
        let bytes = match file.read(self.reader.limits()) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.report.refused(&title, &error, known.is_some());
                return Ok(());
            }
        };
        let (size_bytes, fingerprint) = (bytes.len() as u64, Sha256::digest(&bytes));
        if known.is_some_and(|known| known.size_bytes == size_bytes && known.fingerprint == fingerprint.as_slice()) {
            self.report.unchanged += 1;
            return Ok(());
        }
        let document = match self.reader.read(&title, bytes) {
            Ok(document) => document,
            Err(error) => {
                self.report.refused(&title, &error, known.is_some());
                return Ok(());
            }
        };
        let new =
            NewDocument { path: &path, title: &title, size_bytes, fingerprint: &fingerprint, pieces: &document.pieces };
        self.report.passages +=
            store.put_document(self.source, &new, self.embedder.as_deref(), SystemClock.now_ms())? as u64;
        let was_known = known.is_some();
        *(if was_known { &mut self.report.changed } else { &mut self.report.new }) += 1;
        self.report.notices.extend(document.notices.iter().map(|notice| format!("{title}: {notice}")));
        self.titles.insert(title, file.path.clone());
        Ok(())
    }
}

/// What has become of the files.
#[derive(Debug, Default)]
struct Report {
    new: u64,
    changed: u64,
    unchanged: u64,
    gone: u64,
    passages: u64,
    binaries: Vec<String>,
    problems: Vec<String>,
    notices: Vec<String>,
}

impl Report {
    fn refused(&mut self, title: &str, error: &documents::Error, was_known: bool) {
        if matches!(error, documents::Error::Binary) && !was_known {
            self.binaries.push(title.to_owned());
            return;
        }
        let kept = if was_known { "; what was loaded of it before stays" } else { "" };
        self.problems.push(format!("{title} {error}; {}{kept}", error.hint()));
    }

    const fn loaded(&self) -> u64 {
        self.new + self.changed + self.unchanged
    }

    fn looked_at(&self) -> u64 {
        self.loaded() + (self.binaries.len() + self.problems.len()) as u64
    }

    fn tell(&self, source: &str, found: &Walk, started: Instant) {
        tell_list("not read:", &self.problems, TOLD_FILES);
        tell_list("read, but:", &self.notices, TOLD_FILES);
        if !self.binaries.is_empty() {
            let count = counted(self.binaries.len() as u64, "binary file", "binary files");
            tell_list(&format!("left out, {count}:"), &self.binaries, TOLD_BINARIES);
        }
        let left_out = left_out(found);
        if !left_out.is_empty() {
            tell(&format!("left out: {left_out}"));
        }
        let gone = if self.gone > 0 { format!(", {} gone and forgotten", self.gone) } else { String::new() };
        let text = format!(
            "{source}: {} new, {} changed, {} unchanged{gone}; {} written in {:.1} s\n",
            counted(self.new, "file", "files"),
            self.changed,
            self.unchanged,
            counted(self.passages, "passage", "passages"),
            started.elapsed().as_secs_f64(),
        );
        // Where standard output is closed, the work is done all the same.
        drop(print_text(&text));
    }
}

fn tell_list(title: &str, items: &[String], most: usize) {
    if items.is_empty() {
        return;
    }
    tell(title);
    for item in items.iter().take(most) {
        tell_below(item);
    }
    if items.len() > most {
        tell_below(&format!("and {} more", items.len() - most));
    }
}

/// What the walk has not taken, in words.
fn left_out(found: &Walk) -> String {
    let count = |count: usize, one: &str, more: &str, how: &str| {
        let how = if how.is_empty() { String::new() } else { format!(" ({how})") };
        (count > 0).then(|| format!("{}{how}", counted(count as u64, one, more)))
    };
    let parts = [
        count(
            found.secrets,
            "file of keys or passwords",
            "files of keys or passwords",
            "--all takes them, but no private key",
        ),
        count(found.program_folders, "folder of programs", "folders of programs", "--all takes them"),
        count(found.inner_folders, "inner folder", "inner folders", "--recursive takes them"),
        count(found.links, "symbolic link", "symbolic links", ""),
        count(found.other_extensions, "file with another extension", "files with other extensions", ""),
        count(found.special, "pipe, socket or device", "pipes, sockets or devices", ""),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
