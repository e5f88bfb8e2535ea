//! The SQLite file of a home: opening, pragmas, file modes, agents by name.
//!
//! One file per home holds every agent. It is in WAL mode with `synchronous = FULL`: what was committed survives a
//! killed process and a power cut. Not responsible for what the rows mean (`agent`, `messages`, `recall`, `archival`).

mod agents;
mod backup;
mod migrations;
mod purge;
mod timing;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, named_params};

use super::error::{During, Error, Result};
use super::text::similarity;
use super::vectors::{Kind, PASSAGES, Scope, embed_rows, pending_count};
use super::{Embed, Embedded, View};
use crate::types::{Cancel, Clock, FileLock, create_private_folder, open_private_file, with_suffix};

pub use agents::AgentOverview;
pub use backup::{Examination, Restored, examine, restore};
pub use purge::Purge;
pub(super) use purge::note_purge;
pub use timing::DatabaseClock;

/// How long a statement waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection is used by one thread at a time.
const OPEN_FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// First bytes of every SQLite file that is not empty.
const SQLITE_HEADER: &[u8; 16] = b"SQLite format 3\0";

/// "mnem" in ASCII: tells our databases from those of other programs.
const APPLICATION_ID: i64 = 0x6d6e_656d;

/// An open database.
#[derive(Debug)]
pub struct Store {
    pub(super) connection: Connection,
    path: Option<PathBuf>,
}

/// What the list of agents shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentInfo {
    /// Name of the agent.
    pub name: String,
    /// When it was created, UTC milliseconds.
    pub created_at_ms: i64,
    /// Model that it used last.
    pub model: String,
    /// Profile, as the caller spells it.
    pub profile: String,
    /// Context window in tokens.
    pub context_window_tokens: usize,
    /// When its chat was opened last, UTC milliseconds.
    pub last_login_at_ms: Option<i64>,
}

impl Store {
    /// Opens the database at `path`, creates it where it does not exist, and brings its schema up to date. The clock
    /// names the copy that is made before a migration.
    ///
    /// # Errors
    /// The file or its folder cannot be written, is damaged, belongs to another program or to a later release, or the
    /// copy before a migration could not be made.
    pub fn open(path: &Path, clock: &dyn Clock) -> Result<Self> {
        prepare_file(path)?;
        let mut connection = Connection::open_with_flags(path, OPEN_FLAGS).during("open the database")?;
        if connection.is_readonly("main").during("open the database")? {
            return Err(Error::ReadOnly { path: path.to_owned() });
        }
        configure(&connection)?;
        check_application(&connection, path)?;
        // Before WAL mode writes anything: a file of a later release stays as it is.
        migrations::check_version(&connection, path)?;
        connection
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))
            .during("switch the database to WAL mode")?;
        migrations::migrate(&mut connection, Some(path), clock.now_ms(), migrations::ALL)?;
        connection.pragma_update(None, "application_id", APPLICATION_ID).during("mark the database")?;
        Ok(Self { connection, path: Some(path.to_owned()) })
    }

    /// A second connection to the same file; none for a database in memory, which has no other way in.
    ///
    /// # Errors
    /// SQLite failed.
    pub(super) fn second(&self) -> Result<Option<Self>> {
        let Some(path) = &self.path else { return Ok(None) };
        let connection = Connection::open_with_flags(path, OPEN_FLAGS).during("open the database once more")?;
        configure(&connection)?;
        Ok(Some(Self { connection, path: Some(path.clone()) }))
    }

    /// A database that lives as long as the value.
    ///
    /// # Errors
    /// SQLite failed.
    pub fn open_in_memory() -> Result<Self> {
        let mut connection = Connection::open_in_memory().during("open a database in memory")?;
        configure(&connection)?;
        migrations::migrate(&mut connection, None, 0, migrations::ALL)?;
        Ok(Self { connection, path: None })
    }

    /// The file; none for a database in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Version of the schema.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn schema_version(&self) -> Result<u32> {
        migrations::version(&self.connection)
    }

    /// Whether there is an agent of that name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn has_agent(&self, name: &str) -> Result<bool> {
        Ok(self.agent_id(name)?.is_some())
    }

    /// The memory of the agent `name` for reading, also while another process has the agent open.
    ///
    /// # Errors
    /// [`Error::UnknownAgent`]; the database cannot be read.
    pub fn view(&self, name: &str) -> Result<View<'_>> {
        Ok(View { connection: &self.connection, agent: self.known_agent_id(name)? })
    }

    /// All agents, the one used last first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn agents(&self) -> Result<Vec<AgentInfo>> {
        let read = || {
            self.connection
                .prepare_cached(
                    "SELECT name, created_at_ms, model, profile, context_window_tokens, last_login_at_ms FROM agents
                     ORDER BY coalesce(last_login_at_ms, created_at_ms) DESC, id DESC",
                )?
                .query_map([], agent_info)?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().during("list the agents")
    }

    /// Makes the vectors that passages of documents lack, as [`super::AgentMemory::embed_pending`] does.
    ///
    /// # Errors
    /// The embedder or the database failed.
    pub fn embed_documents(
        &mut self,
        embedder: &mut dyn Embed,
        cancel: &Cancel,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Embedded> {
        let mut kind = Kind::of(&PASSAGES);
        embed_rows(&mut self.connection, 0, &mut kind, Scope::Documents, embedder, cancel, progress)
    }

    /// How many passages of documents lack a vector of `embedder`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn pending_documents_count(&self, embedder: &dyn Embed) -> Result<u64> {
        pending_count(&View { connection: &self.connection, agent: 0 }, &PASSAGES, Scope::Documents, embedder)
    }

    pub(super) fn agent_id(&self, name: &str) -> Result<Option<i64>> {
        self.connection
            .query_row("SELECT id FROM agents WHERE name = :name", named_params! {":name": name}, |row| row.get(0))
            .optional()
            .during("look up the agent")
    }

    /// The id of the agent `name`.
    ///
    /// # Errors
    /// [`Error::UnknownAgent`], with the names that there are; the database cannot be read.
    pub(super) fn known_agent_id(&self, name: &str) -> Result<i64> {
        if let Some(id) = self.agent_id(name)? {
            return Ok(id);
        }
        let mut known: Vec<String> = self.agents()?.into_iter().map(|agent| agent.name).collect();
        // Stable: names that are equally unlike stay in the order of their last use.
        known.sort_by(|left, right| similarity(right, name).total_cmp(&similarity(left, name)));
        Err(Error::UnknownAgent { name: name.to_owned(), known })
    }

    /// Keeps other processes from opening the agent `name` until what is given back is dropped, for one who will open it
    /// later; none where there is no such agent, or the database is in memory.
    ///
    /// # Errors
    /// [`Error::AgentInUse`]; the database or the lock failed.
    pub fn reserve_agent(&self, name: &str) -> Result<Option<FileLock>> {
        self.agent_id(name)?.map_or(Ok(None), |id| self.lock_agent(id, name))
    }

    /// Takes the lock by which a second process on the same agent is refused; none for a database in memory.
    pub(super) fn lock_agent(&self, id: i64, name: &str) -> Result<Option<FileLock>> {
        let Some(path) = &self.path else { return Ok(None) };
        let lock_path = with_suffix(path, &format!(".agent-{id}.lock"));
        match FileLock::try_take(&lock_path) {
            Ok(Some(lock)) => Ok(Some(lock)),
            Ok(None) => Err(Error::AgentInUse { name: name.to_owned() }),
            Err(source) => Err(Error::CannotOpen { path: lock_path, source }),
        }
    }
}

/// Columns name, created_at_ms, model, profile, context_window_tokens, last_login_at_ms, in this order.
pub(super) fn agent_info(row: &rusqlite::Row<'_>) -> rusqlite::Result<AgentInfo> {
    Ok(AgentInfo {
        name: row.get(0)?,
        created_at_ms: row.get(1)?,
        model: row.get(2)?,
        profile: row.get(3)?,
        context_window_tokens: usize::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
        last_login_at_ms: row.get(5)?,
    })
}

/// Creates folder and file with private modes, whatever the umask is, and looks at the first bytes. SQLite gives
/// `-wal` and `-shm` the mode of the main file.
fn prepare_file(path: &Path) -> Result<()> {
    let cannot_open = |source| Error::CannotOpen { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        create_private_folder(folder).map_err(cannot_open)?;
    }
    let mut file = open_private_file(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::ReadOnlyFilesystem => Error::ReadOnly { path: path.to_owned() },
        _ => cannot_open(source),
    })?;
    check_header(path, &mut file)
}

/// Refuses a file that holds something and is no database.
fn check_header(path: &Path, file: &mut std::fs::File) -> Result<()> {
    let mut header = Vec::new();
    let read = file.by_ref().take(SQLITE_HEADER.len() as u64).read_to_end(&mut header);
    read.map_err(|source| Error::CannotOpen { path: path.to_owned(), source })?;
    if header.is_empty() || header == SQLITE_HEADER {
        Ok(())
    } else {
        Err(Error::NotADatabase { path: path.to_owned() })
    }
}

fn configure(connection: &Connection) -> Result<()> {
    let set = || -> rusqlite::Result<()> {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "synchronous", "full")?;
        // What is deleted is overwritten, so that it cannot be read back from free pages.
        connection.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(())
    };
    set().during("set up the database connection")
}

/// Refuses the database of another program; a new file has neither tables nor an application id.
fn check_application(connection: &Connection, path: &Path) -> Result<()> {
    let application_id: i64 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0)).during("read the database header")?;
    let table_count: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).during("read the schema")?;
    let is_ours = application_id == APPLICATION_ID;
    let is_new = application_id == 0 && table_count == 0;
    // A process that died between the first migration and the mark leaves our tables without it.
    let is_unmarked = application_id == 0 && migrations::version(connection)? > 0;
    if is_ours || is_new || is_unmarked {
        Ok(())
    } else {
        Err(Error::ForeignDatabase { path: path.to_owned(), application_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{AgentMemory, NewAgent};
    use crate::types::{Body, ManualClock, NewMessage};

    #[test]
    fn a_full_disk_is_an_error_that_leaves_the_agent_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("m.db"), &ManualClock::at(0)).unwrap();
        let mut memory = AgentMemory::create(store, &NewAgent::named("a", 0)).unwrap();
        let pages: i64 = memory.store().connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        memory.store().connection.pragma_update_and_check(None, "max_page_count", pages + 2, |_| Ok(())).unwrap();
        let message = NewMessage { at_ms: 1, body: Body::User { text: "word ".repeat(20_000) }, interrupted: false };
        let error = memory.record(&[message]).unwrap_err();
        assert!(matches!(error, Error::DiskFull { .. }), "{error:?}");
        assert!(error.hint().contains("disk space"));
        assert_eq!(memory.view().recall_count().unwrap(), 0);
    }

    #[test]
    fn an_agent_that_is_reserved_is_opened_by_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open(&folder.path().join("m.db"), &ManualClock::at(0)).unwrap();
        let memory = AgentMemory::create(open(), &NewAgent::named("a", 0)).unwrap();
        assert!(matches!(open().reserve_agent("a"), Err(Error::AgentInUse { .. })));
        drop(memory);
        let reserved = open().reserve_agent("a").unwrap();
        assert!(matches!(AgentMemory::open(open(), "a"), Err(Error::AgentInUse { .. })));
        drop(reserved);
        AgentMemory::open(open(), "a").unwrap();
        assert!(open().reserve_agent("b").unwrap().is_none());
    }

    #[test]
    fn damaged_pages_are_an_error() {
        use std::io::{Seek, SeekFrom, Write};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        let mut memory =
            AgentMemory::create(Store::open(&path, &ManualClock::at(0)).unwrap(), &NewAgent::named("a", 0)).unwrap();
        for at_ms in 0..200 {
            let body = Body::User { text: format!("a line about something {at_ms}") };
            memory.record(&[NewMessage { at_ms, body, interrupted: false }]).unwrap();
        }
        drop(memory);
        let length = std::fs::metadata(&path).unwrap().len();
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(4096)).unwrap();
        file.write_all(&vec![0x5a; usize::try_from(length - 4096).unwrap()]).unwrap();
        drop(file);
        let outcome = Store::open(&path, &ManualClock::at(0)).and_then(|store| AgentMemory::open(store, "a"));
        assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
    }

    #[test]
    fn the_indexes_agree_with_the_rows_they_index() {
        let store = Store::open_in_memory().unwrap();
        let mut memory = AgentMemory::create(store, &NewAgent::named("a", 0)).unwrap();
        let said = |text: &str| NewMessage { at_ms: 1, body: Body::User { text: text.into() }, interrupted: false };
        memory.record(&[said("one"), said("two"), said("three 生日")]).unwrap();
        memory.pop(2).unwrap();
        memory.record(&[said("four")]).unwrap();
        for index in ["messages_fts", "messages_trigram", "passages_fts", "passages_trigram"] {
            let sql = format!("INSERT INTO {index} ({index}, rank) VALUES ('integrity-check', 1)");
            memory.store().connection.execute(&sql, []).unwrap();
        }
    }
}
