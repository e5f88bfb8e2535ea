//! Saved states of the KV cache: what every start of the program would read anew, it reads once.
//!
//! One file for a model, an engine and what is kept, named by a hash of all three, so that whatever does not fit is not
//! found; in it stand the tokens whose state it is, and a note of whoever has saved it. A file is written beside its name and renamed, and its checksum is
//! compared before native code sees it; one that is damaged is deleted. Losing a file costs time, never more: no failure
//! here stops anything, and nothing is forced onto the disk.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::SystemTime;

use crate::types::{Hasher, TokenId, create_private_folder, open_private_file, with_suffix};

/// First bytes of a file; the last one counts the formats.
const MAGIC: &[u8; 8] = b"mnemekv2";
/// Bytes of magic and checksum.
const HEADER_BYTES: usize = MAGIC.len() + 32;
/// Most bytes of all files together: the fixed parts of some models' prompts and some conversations, at 20 to 250 MB
/// each.
const MAX_BYTES: u64 = 1 << 30;
const EXTENSION: &str = "kv";
/// More than what stands in front of a state: tokens of the longest windows, and a note.
const MAX_HEAD_BYTES: u64 = 1 << 24;

/// What a state is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept<'a> {
    /// These tokens, which prompts begin with.
    Tokens(&'a [TokenId]),
    /// Where the conversation of this name stood; the newest takes the place of those before.
    Last(&'a str),
}

/// A state with its tokens.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SavedState {
    pub(super) tokens: Vec<TokenId>,
    /// What was noted with it.
    pub(super) note: String,
    /// Everything behind the checksum, and where the state begins in it.
    payload: Vec<u8>,
    state_at: usize,
}

impl SavedState {
    /// For the engine.
    pub(super) fn bytes(&self) -> &[u8] {
        self.payload.get(self.state_at..).unwrap_or_default()
    }
}

/// A folder of saved states.
#[derive(Debug)]
pub struct StateStore {
    folder: PathBuf,
    max_bytes: u64,
    /// Writes one state after the other, so that nobody waits for a disk.
    writer: Option<Writer>,
}

#[derive(Debug)]
struct Writer {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

/// A state that is to be written.
struct Job {
    path: PathBuf,
    head: Vec<u8>,
    state: Vec<u8>,
}

impl Writer {
    fn start(max_bytes: u64) -> Self {
        let (jobs, waiting) = channel::<Job>();
        let thread = std::thread::spawn(move || {
            for Job { path, head, state } in waiting {
                if let Err(error) = write(&path, &head, &state).and_then(|()| prune(&path, max_bytes)) {
                    tracing::warn!(%error, "saving a state");
                }
            }
        });
        Self { jobs, thread }
    }
}

impl StateStore {
    /// The states in `folder`, which is made with the first of them.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, max_bytes: MAX_BYTES, writer: None }
    }

    /// Where the states are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, engine: &str, kept: Kept<'_>) -> PathBuf {
        let mut hasher = Hasher::default();
        hasher.update(&engine.len().to_le_bytes());
        hasher.update(engine.as_bytes());
        match kept {
            Kept::Tokens(tokens) => tokens.iter().for_each(|token| hasher.update(&token.0.to_le_bytes())),
            Kept::Last(name) => {
                // No sequence of tokens has such a length.
                hasher.update(b"last ");
                hasher.update(name.as_bytes());
            }
        }
        self.folder.join(hasher.hex()).with_extension(EXTENSION)
    }

    /// The state of `engine` for `kept`, where it was saved.
    pub(super) fn load(&self, engine: &str, kept: Kept<'_>) -> Option<SavedState> {
        let path = self.path(engine, kept);
        match read(&path, self.max_bytes + MAX_HEAD_BYTES) {
            Ok(state) => state,
            Err(error) => {
                tracing::warn!(%error, "a saved state cannot be used and is deleted");
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// Forgets a state that the engine did not take.
    pub(super) fn forget(&self, engine: &str, kept: Kept<'_>) {
        let _ = fs::remove_file(self.path(engine, kept));
    }

    /// Deletes all saved states, of other engines and texts too, and gives back how many there were.
    ///
    /// # Errors
    /// A file cannot be deleted.
    pub(super) fn clear(&mut self) -> io::Result<usize> {
        self.finish();
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut deleted = 0;
        for entry in entries {
            fs::remove_file(entry?.path())?;
            deleted += 1;
        }
        Ok(deleted)
    }

    /// Saves the state of `engine` behind `tokens` for `kept` with a note, on a thread of its own. One that is too large
    /// takes what was saved before with it: that would be older than what the caller knows.
    pub(super) fn save(&mut self, engine: &str, kept: Kept<'_>, tokens: &[TokenId], note: &str, state: Vec<u8>) {
        if state.len() as u64 > self.max_bytes {
            self.finish();
            self.forget(engine, kept);
            return;
        }
        let job = Job { path: self.path(engine, kept), head: head(tokens, note), state };
        let writer = self.writer.get_or_insert_with(|| Writer::start(self.max_bytes));
        if writer.jobs.send(job).is_err() {
            tracing::warn!("the thread that saves states has ended");
        }
    }

    /// Waits until all that is to be saved is on the disk.
    fn finish(&mut self) {
        if let Some(Writer { jobs, thread }) = self.writer.take() {
            drop(jobs);
            let _ = thread.join();
        }
    }
}

impl Drop for StateStore {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Tokens and note as they stand in a file, each behind its length.
fn head(tokens: &[TokenId], note: &str) -> Vec<u8> {
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let numbers = std::iter::once(length(tokens.len()))
        .chain(tokens.iter().map(|token| token.0))
        .chain(std::iter::once(length(note.len())));
    numbers.flat_map(u32::to_le_bytes).chain(note.bytes()).collect()
}

/// What stands in front of a state, and where that begins; none where the lengths do not fit.
fn parse_head(payload: &[u8]) -> Option<(Vec<TokenId>, String, usize)> {
    let number = |at: usize| {
        let bytes = payload.get(at..at.checked_add(size_of::<u32>())?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let place = |count: usize| count.checked_mul(size_of::<u32>());
    let count = usize::try_from(number(0)?).ok()?;
    let note_at = place(count.checked_add(2)?)?;
    let note_bytes = usize::try_from(number(place(count.checked_add(1)?)?)?).ok()?;
    let tokens = (0..count).map(|at| number(place(at + 1)?).map(TokenId)).collect::<Option<_>>()?;
    let state_at = note_at.checked_add(note_bytes)?;
    let note = String::from_utf8(payload.get(note_at..state_at)?.to_vec()).ok()?;
    Some((tokens, note, state_at))
}

/// The state in a file of at most `max_bytes`; none where there is no file.
fn read(path: &Path, max_bytes: u64) -> io::Result<Option<SavedState>> {
    let mut file = match fs::OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    if length > max_bytes {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has {length} bytes")));
    }
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header)?;
    let mut payload = Vec::new();
    file.read_to_end(&mut payload)?;
    let (magic, sum) = header.split_at(MAGIC.len());
    let mut hasher = Hasher::default();
    hasher.update(&payload);
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "its checksum differs");
    if magic != MAGIC || sum != hasher.bytes() {
        return Err(damaged());
    }
    let (tokens, note, state_at) = parse_head(&payload).ok_or_else(damaged)?;
    // The time of its last use decides how long it stays.
    let _ = file.set_modified(SystemTime::now());
    Ok(Some(SavedState { tokens, note, payload, state_at }))
}

fn write(path: &Path, head: &[u8], state: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        create_private_folder(folder)?;
    }
    let mut hasher = Hasher::default();
    hasher.update(head);
    hasher.update(state);
    // Two programs may save at once: the last one to be done stays.
    let part = with_suffix(path, &format!(".{}.part", std::process::id()));
    let written = open_private_file(&part).and_then(|mut file| {
        file.write_all(MAGIC)?;
        file.write_all(&hasher.bytes())?;
        file.write_all(head)?;
        file.write_all(state)?;
        fs::rename(&part, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

/// Deletes the files that were not used for the longest until the rest takes at most `max_bytes`, and what an ended
/// program has left half-written; never `kept`.
fn prune(kept: &Path, max_bytes: u64) -> io::Result<()> {
    let Some(folder) = kept.parent() else { return Ok(()) };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, metadata) = (entry.path(), entry.metadata()?);
        files.push((metadata.modified()?, metadata.len(), path));
    }
    files.sort();
    let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, of_file, path) in files {
        if bytes <= max_bytes {
            break;
        }
        if path != kept && fs::remove_file(&path).is_ok() {
            bytes -= of_file;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(count: u32) -> Vec<TokenId> {
        (0..count).map(TokenId).collect()
    }

    fn save(store: &mut StateStore, engine: &str, count: u32, bytes: usize) {
        let tokens = tokens(count);
        store.save(engine, Kept::Tokens(&tokens), &tokens, "", vec![7; bytes]);
    }

    fn stored(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_state_is_found_for_its_engine_and_tokens_only() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = StateStore::new(folder.path().join("kv"));
        assert_eq!(store.load("m", Kept::Tokens(&tokens(3))), None, "not even the folder is there");
        save(&mut store, "m", 3, 100);
        store.finish();
        let saved = store.load("m", Kept::Tokens(&tokens(3))).unwrap();
        assert_eq!((&*saved.tokens, saved.bytes()), (&*tokens(3), &[7; 100][..]));
        assert_eq!(store.load("m", Kept::Tokens(&tokens(4))), None);
        assert_eq!(store.load("n", Kept::Tokens(&tokens(3))), None);
        assert_eq!(stored(&folder.path().join("kv")), 1, "nothing half-written is left");
        store.forget("m", Kept::Tokens(&tokens(3)));
        assert_eq!(store.load("m", Kept::Tokens(&tokens(3))), None);
    }

    #[test]
    fn the_last_state_of_a_name_takes_the_place_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = StateStore::new(folder.path().to_owned());
        for count in [3, 5] {
            store.save("m", Kept::Last("agent 1"), &tokens(count), "as it was: é", vec![count as u8; 10]);
        }
        store.finish();
        let saved = store.load("m", Kept::Last("agent 1")).unwrap();
        assert_eq!((&*saved.tokens, saved.note.as_str(), saved.bytes()), (&*tokens(5), "as it was: é", &[5; 10][..]));
        assert_eq!(store.load("m", Kept::Last("agent 2")), None);
        assert_eq!(stored(folder.path()), 1);
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let good = head(&tokens(2), "n");
        assert_eq!(parse_head(&good), Some((tokens(2), "n".to_owned(), good.len())));
        for cut in 0..good.len() {
            assert_eq!(parse_head(&good[..cut]), None, "{cut}");
        }
        for length in [u32::MAX, u32::MAX - 1, 1 << 30] {
            assert_eq!(parse_head(&[&length.to_le_bytes()[..], &[0; 40]].concat()), None, "{length}");
        }
    }

    #[test]
    fn a_damaged_file_is_deleted_and_not_given_out() {
        let folder = tempfile::tempdir().unwrap();
        for damage in [0, 8, HEADER_BYTES, HEADER_BYTES + 50] {
            let mut store = StateStore::new(folder.path().to_owned());
            save(&mut store, "m", 3, 100);
            store.finish();
            let path = store.path("m", Kept::Tokens(&tokens(3)));
            let mut bytes = fs::read(&path).unwrap();
            bytes[damage] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert_eq!(store.load("m", Kept::Tokens(&tokens(3))), None, "byte {damage}");
            assert_eq!(stored(folder.path()), 0);
            save(&mut store, "m", 3, 100);
            store.finish();
            fs::write(&path, &fs::read(&path).unwrap()[..damage]).unwrap();
            assert_eq!(store.load("m", Kept::Tokens(&tokens(3))), None, "cut at {damage}");
        }
    }

    #[test]
    fn the_oldest_states_give_way() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = StateStore::new(folder.path().to_owned());
        store.max_bytes = 350;
        for count in 1..=3 {
            save(&mut store, "m", count, 100);
            store.finish();
            let age = std::time::Duration::from_secs(u64::from(100 - count));
            let file = fs::File::options().write(true).open(store.path("m", Kept::Tokens(&tokens(count)))).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        assert!(store.load("m", Kept::Tokens(&tokens(1))).is_none(), "three do not fit");
        assert!(
            store.load("m", Kept::Tokens(&tokens(2))).is_some() && store.load("m", Kept::Tokens(&tokens(3))).is_some()
        );
        save(&mut store, "m", 4, 1000);
        store.finish();
        assert!(store.load("m", Kept::Tokens(&tokens(4))).is_none(), "too large by itself");
        assert_eq!(stored(folder.path()), 2);
    }

    #[test]
    fn all_states_are_deleted_also_one_that_is_being_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = StateStore::new(folder.path().join("kv"));
        assert_eq!(store.clear().unwrap(), 0);
        save(&mut store, "m", 3, 100);
        save(&mut store, "n", 3, 100);
        assert_eq!(store.clear().unwrap(), 2);
        assert_eq!(stored(&folder.path().join("kv")), 0);
    }

    #[cfg(unix)]
    #[test]
    fn states_can_be_read_by_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mut store = StateStore::new(folder.path().join("kv"));
        save(&mut store, "m", 3, 100);
        store.finish();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.path("m", Kept::Tokens(&tokens(3)))), 0o600);
        assert_eq!(mode(&folder.path().join("kv")), 0o700);
    }
}
