//! Backup, restore and examination of the database as a whole.
//!
//! A backup is made by SQLite's online backup, so a chat may go on meanwhile: it holds what was committed when it
//! began. Whatever is copied is checked before it gets its name. A restore never touches the present database before
//! the new one is known to be sound, and keeps it under another name.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::super::error::{During, Error, Result};
use super::purge::{COPY_EXTENSION, PART, PUT_ASIDE, full_text_indexes};
use super::{APPLICATION_ID, Store, check_header, configure, migrations};
use crate::types::{FileLock, open_private_file, with_suffix};

/// What an examination of the file found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examination {
    /// Version of its schema.
    pub schema_version: u32,
    /// Newest version that this program knows.
    pub supported_version: u32,
    /// What SQLite's checks have to say; empty where the file is sound.
    pub problems: Vec<String>,
    /// How many agents there are.
    pub agent_count: u64,
    /// Length of the file in bytes.
    pub file_bytes: u64,
    /// Whether it can be written; else the full-text indexes were not compared with what they index.
    pub is_writable: bool,
}

/// What a restore has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where the database that was there before lies now; none where there was none.
    pub put_aside: Option<PathBuf>,
    /// How many agents the restored one holds.
    pub agent_count: u64,
}

impl Store {
    /// Writes a copy of the whole database to `target`, which must not exist, with mode 0600, and checks it. A chat may
    /// go on meanwhile. Gives back the length of the copy in bytes.
    ///
    /// # Errors
    /// [`Error::FileExists`]; the copy cannot be written or is not sound: then nothing is left of it.
    pub fn backup_to(&self, target: &Path) -> Result<u64> {
        if target.exists() {
            return Err(Error::FileExists { path: target.to_owned() });
        }
        let part = with_suffix(target, PART);
        let written = copy_checked(&self.connection, &part).and_then(|()| sync_and_rename(&part, target));
        if written.is_err() {
            remove_copy(&part);
        }
        written.map_err(|source| Error::Backup { path: target.to_owned(), source })?;
        Ok(std::fs::metadata(target).map_or(0, |metadata| metadata.len()))
    }
}

/// Looks at the database at `path` without changing it or its mode: SQLite's quick check, and where the schema is
/// current and the file can be written the full-text indexes against the rows that they index. SQLite asks for the right
/// to write for that, and writes nothing.
///
/// # Errors
/// The file cannot be opened, is no database, or belongs to another program.
pub fn examine(path: &Path) -> Result<Examination> {
    let cannot_open = |source| Error::CannotOpen { path: path.to_owned(), source };
    check_header(path, &mut std::fs::File::open(path).map_err(cannot_open)?)?;
    let (connection, is_writable) = open_to_examine(path)?;
    super::check_application(&connection, path)?;
    let schema_version = migrations::version(&connection)?;
    let supported_version = migrations::supported();
    let mut problems = check(&connection, "quick_check");
    if problems.is_empty() && schema_version == supported_version && is_writable {
        for index in full_text_indexes(&connection).during("list the indexes")? {
            // The name comes from the schema, not from a user; 1 compares with the indexed rows as well.
            let sql = format!("INSERT INTO \"{index}\" (\"{index}\", rank) VALUES ('integrity-check', 1)");
            if let Err(error) = connection.execute(&sql, []) {
                problems.push(format!("{index}: {error}"));
            }
        }
    }
    let agent_count = if problems.is_empty() && schema_version > 0 { count_agents(&connection)? } else { 0 };
    let file_bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    Ok(Examination { schema_version, supported_version, problems, agent_count, file_bytes, is_writable })
}

/// A connection, and whether it may write. In a folder that cannot be written SQLite has no place for what it shares
/// with other connections: the file is then read as one that nobody changes, unless there is a log that belongs to it.
fn open_to_examine(path: &Path) -> Result<(Connection, bool)> {
    let operation = "open the database";
    let opened = || -> rusqlite::Result<(Connection, bool)> {
        let connection = Connection::open_with_flags(path, super::OPEN_FLAGS)?;
        connection.busy_timeout(super::BUSY_TIMEOUT)?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let is_writable = !connection.is_readonly("main")?;
        Ok((connection, is_writable))
    };
    let has_log = std::fs::metadata(with_suffix(path, "-wal")).is_ok_and(|log| log.len() > 0);
    match opened().during(operation) {
        Err(Error::NotWritable { .. }) if !has_log => {
            let spelled = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            let uri = format!("file:{spelled}?immutable=1");
            Ok((Connection::open_with_flags(uri, flags).during(operation)?, false))
        }
        outcome => outcome,
    }
}

/// Puts the database in `source` into the place of the one at `database`, which is kept under another name. Either the
/// old one or the new one is at `database` at any moment.
///
/// # Errors
/// [`Error::BadBackup`] where the file is no sound database of this program or of an earlier release;
/// [`Error::AgentsOpen`] where a process has an agent open, [`Error::Busy`] where one has the database open otherwise;
/// the files cannot be written. Nothing was changed then.
pub fn restore(database: &Path, source: &Path, now_ms: i64) -> Result<Restored> {
    let part = with_suffix(database, PART);
    let outcome = restore_with(database, source, &part, now_ms);
    if outcome.is_err() {
        remove_copy(&part);
    }
    outcome
}

fn restore_with(database: &Path, source: &Path, part: &Path, now_ms: i64) -> Result<Restored> {
    let bad = |reason: String| Error::BadBackup { path: source.to_owned(), reason };
    if !source.is_file() {
        return Err(bad("there is no such file".to_owned()));
    }
    if std::fs::canonicalize(source).ok().is_some_and(|path| Some(path) == std::fs::canonicalize(database).ok()) {
        return Err(bad("it is the present database".to_owned()));
    }
    let from = Connection::open_with_flags(source, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|e| bad(e.to_string()))?;
    let application: i64 =
        from.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(|error| bad(error.to_string()))?;
    if application != APPLICATION_ID {
        return Err(bad("it is no database of mneme".to_owned()));
    }
    migrations::check_version(&from, source)?;
    copy_checked(&from, part).map_err(|error| bad(error.to_string()))?;
    let agent_count = Connection::open_with_flags(part, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .during("open the copy")
        .and_then(|copy| count_agents(&copy))
        .map_err(|error| bad(error.to_string()))?;
    drop(from);
    let put_aside = {
        let _locks = lock_all_agents(database)?;
        let _alone = if database.exists() { shut_out_others(database)? } else { None };
        let put_aside = if database.exists() { Some(keep_aside(database, now_ms)?) } else { None };
        sync_and_rename(part, database).map_err(|source| Error::CannotOpen { path: database.to_owned(), source })?;
        put_aside
    };
    Ok(Restored { put_aside, agent_count })
}

/// Copies the database of `connection` to `path` as one file without a log, and checks the copy.
fn copy_checked(connection: &Connection, path: &Path) -> io::Result<()> {
    let _ = std::fs::remove_file(path);
    drop(open_private_file(path)?);
    let mut copy = Connection::open_with_flags(path, super::OPEN_FLAGS).map_err(as_io)?;
    {
        let backup = rusqlite::backup::Backup::new(connection, &mut copy).map_err(as_io)?;
        // In one go: in WAL mode nobody waits for it, and what others commit meanwhile does not begin it anew.
        match backup.step(-1).map_err(as_io)? {
            rusqlite::backup::StepResult::Done => {}
            other => return Err(io::Error::other(format!("the database is in use ({other:?})"))),
        }
    }
    copy.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get::<_, String>(0)).map_err(as_io)?;
    match check(&copy, "integrity_check").as_slice() {
        [] => Ok(()),
        problems => Err(io::Error::other(format!("the copy is damaged: {}", problems.join("; ")))),
    }
}

/// A failure of SQLite on a file, of a kind that tells what to do about it.
fn as_io(error: rusqlite::Error) -> io::Error {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ErrorKind::StorageFull,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => ErrorKind::PermissionDenied,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// Deletes a copy that is not sound, with what SQLite has written beside it. Where that fails, there is nothing more to
/// be done, and the failure of the copy is what is told.
pub(super) fn remove_copy(path: &Path) {
    for end in ["", "-journal", "-wal", "-shm"] {
        let _ = std::fs::remove_file(with_suffix(path, end));
    }
}

/// What a check has to say, at most a few lines.
fn check(connection: &Connection, pragma: &str) -> Vec<String> {
    let read = || {
        connection
            .prepare(&format!("PRAGMA {pragma}(5)"))?
            .query_map([], |row| row.get::<_, String>(0))?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    match read() {
        Ok(lines) => lines.into_iter().filter(|line| line != "ok").collect(),
        Err(error) => vec![error.to_string()],
    }
}

fn count_agents(connection: &Connection) -> Result<u64> {
    let count: i64 =
        connection.query_row("SELECT count(*) FROM agents", [], |row| row.get(0)).during("count the agents")?;
    Ok(u64::try_from(count).unwrap_or(0))
}

fn sync_and_rename(from: &Path, to: &Path) -> io::Result<()> {
    open_private_file(from)?.sync_all()?;
    std::fs::rename(from, to)
}

/// Takes the locks of all agents. They are found by their files: the database itself may be damaged.
fn lock_all_agents(database: &Path) -> Result<Vec<FileLock>> {
    let cannot_open = |source| Error::CannotOpen { path: database.to_owned(), source };
    let (Some(folder), Some(name)) = (database.parent(), database.file_name()) else { return Ok(Vec::new()) };
    let prefix = format!("{}.agent-", name.to_string_lossy());
    let mut locks = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot_open)? {
        let entry = entry.map_err(cannot_open)?;
        let other = entry.file_name().to_string_lossy().into_owned();
        if other.starts_with(&prefix) && other.ends_with(".lock") {
            match FileLock::try_take(&entry.path()).map_err(cannot_open)? {
                Some(lock) => locks.push(lock),
                None => return Err(Error::AgentsOpen),
            }
        }
    }
    Ok(locks)
}

/// Empties the log into the database and gives back a connection beside which there is no other, now or before it is
/// closed: what another process wrote to a database that has been put aside would be lost. None where the database is
/// damaged and refuses; then its log is kept beside it.
fn shut_out_others(database: &Path) -> Result<Option<Connection>> {
    let alone = || -> Result<Connection> {
        let connection = Connection::open_with_flags(database, super::OPEN_FLAGS).during("open the database")?;
        configure(&connection)?;
        let operation = "put the database aside";
        // It fails where another connection has the log open. One that comes afterwards may open it again.
        connection.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(())).during(operation)?;
        connection.execute_batch("BEGIN EXCLUSIVE").during(operation)?;
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).during(operation)?;
        if mode != "delete" {
            return Err(Error::busy(operation));
        }
        Ok(connection)
    };
    match alone() {
        Ok(connection) => Ok(Some(connection)),
        Err(error @ Error::Busy { .. }) => Err(error),
        Err(error) => {
            tracing::warn!(?error, "putting a damaged database aside");
            Ok(None)
        }
    }
}

/// Gives the present database a second name under which it stays, with its log where that could not be emptied.
fn keep_aside(database: &Path, now_ms: i64) -> Result<PathBuf> {
    let aside = with_suffix(database, &format!("{PUT_ASIDE}{now_ms}{COPY_EXTENSION}"));
    let cannot = |source| Error::CannotOpen { path: aside.clone(), source };
    if std::fs::hard_link(database, &aside).is_err() {
        std::fs::copy(database, &aside).map_err(cannot)?;
    }
    let log = with_suffix(database, "-wal");
    if std::fs::metadata(&log).is_ok_and(|metadata| metadata.len() > 0) {
        std::fs::rename(&log, with_suffix(&aside, "-wal")).map_err(cannot)?;
    }
    let _ = std::fs::remove_file(&log);
    let _ = std::fs::remove_file(with_suffix(database, "-shm"));
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{AgentMemory, NewAgent};
    use crate::types::ManualClock;

    fn open(path: &Path) -> Store {
        Store::open(path, &ManualClock::at(0)).unwrap()
    }

    fn names(path: &Path) -> Vec<String> {
        open(path).agents().unwrap().into_iter().map(|agent| agent.name).collect()
    }

    #[test]
    fn a_backup_is_restored_and_the_present_database_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("m.db"), folder.path().join("copy.db"));
        let memory = AgentMemory::create(open(&path), &NewAgent::named("old", 0)).unwrap();
        // While the agent is open.
        memory.store().backup_to(&copy).unwrap();
        assert!(matches!(memory.store().backup_to(&copy), Err(Error::FileExists { .. })));
        assert!(matches!(restore(&path, &copy, 9), Err(Error::AgentsOpen)));
        drop(memory);
        drop(AgentMemory::create(open(&path), &NewAgent::named("new", 1)).unwrap());
        let restored = restore(&path, &copy, 9).unwrap();
        assert_eq!(names(&path), ["old"]);
        assert_eq!(restored.agent_count, 1);
        assert_eq!(names(&restored.put_aside.unwrap()), ["new", "old"]);
    }

    #[test]
    fn a_database_that_anyone_has_open_is_not_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("m.db"), folder.path().join("copy.db"));
        drop(AgentMemory::create(open(&path), &NewAgent::named("a", 0)).unwrap());
        open(&path).backup_to(&copy).unwrap();
        // One that imports or loads documents has no agent open, and may be between two transactions.
        let loading = open(&path);
        let error = restore(&path, &copy, 9).unwrap_err();
        assert!(matches!(error, Error::Busy { .. }), "{error:?}");
        drop(AgentMemory::create(loading, &NewAgent::named("b", 1)).unwrap());
        assert_eq!(names(&path), ["b", "a"]);
        restore(&path, &copy, 9).unwrap();
        assert!(!with_suffix(&path, "-journal").exists() && !with_suffix(&path, "-wal").exists());
        assert_eq!(names(&path), ["a"]);
    }

    #[test]
    fn what_is_no_sound_backup_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("m.db"), folder.path().join("other.db"));
        drop(AgentMemory::create(open(&path), &NewAgent::named("a", 0)).unwrap());
        let refused = |source: &Path| {
            assert!(matches!(restore(&path, source, 9), Err(Error::BadBackup { .. })), "{}", source.display());
            assert_eq!(names(&path), ["a"]);
        };
        refused(&other);
        refused(&path);
        std::fs::write(&other, "no database at all, but long enough to be read").unwrap();
        refused(&other);
        std::fs::remove_file(&other).unwrap();
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
        refused(&other);
        std::fs::remove_file(&other).unwrap();
        open(&path).backup_to(&other).unwrap();
        let mut bytes = std::fs::read(&other).unwrap();
        bytes.truncate(bytes.len() / 2);
        std::fs::write(&other, &bytes).unwrap();
        refused(&other);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "nothing half-made is left");
    }

    #[test]
    #[cfg(unix)]
    fn what_is_examined_stays_as_it_is() {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path, bits| std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("100% m?.db");
        drop(open(&path));
        mode(&path, 0o444);
        // Where the tests run as root, nothing keeps SQLite from writing here.
        mode(folder.path(), 0o500);
        let found = examine(&path).unwrap();
        assert_eq!((found.problems.len(), found.schema_version), (0, found.supported_version));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o444);
        mode(folder.path(), 0o700);
    }

    #[test]
    fn a_sound_file_has_no_problems_and_a_damaged_one_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        drop(AgentMemory::create(open(&path), &NewAgent::named("a", 0)).unwrap());
        let sound = examine(&path).unwrap();
        assert_eq!((sound.problems.len(), sound.agent_count), (0, 1));
        assert_eq!(sound.schema_version, sound.supported_version);
        // An index that knows of a row that is not there.
        let connection = Connection::open(&path).unwrap();
        connection.execute("INSERT INTO messages_fts (rowid, text) VALUES (77, 'nothing')", []).unwrap();
        drop(connection);
        let damaged = examine(&path).unwrap();
        assert!(damaged.problems.iter().any(|problem| problem.contains("messages_fts")), "{damaged:?}");
    }
}
