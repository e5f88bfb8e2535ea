//! Purging: what was deleted leaves the file, not only the tables.
//!
//! A deleted row lives on in four places: as terms of the full-text indexes until their segments are merged, as free
//! pages, in the write-ahead log, and in copies of the database. The first three are cleaned by [`Store::purge`]; the
//! copies that mneme itself has put beside the database (before a migration or a restore) go with
//! [`Store::delete_copies`]. What deletes notes in the same transaction what is still to be purged, so that a purge that
//! failed or was killed is finished later. Not responsible for files that are no databases (`app`).

use std::path::{Path, PathBuf};

use rusqlite::{Connection, named_params};

use super::super::error::{During, Error, Result};
use super::Store;

/// What stands between the name of the database and the version of a copy that was made before a migration.
const MIGRATION_COPY: &str = ".v";
/// What stands between the name of the database and the time of one that a restore has put aside.
pub(super) const PUT_ASIDE: &str = ".before-restore-";
/// End of the name of a file that is being written.
pub(super) const PART: &str = ".part";
/// End of the name of each copy.
pub(super) const COPY_EXTENSION: &str = ".backup";

/// What is to be purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purge {
    /// The database and its copies.
    Database,
    /// The files beside it.
    Home,
}

impl Purge {
    /// Everything.
    pub(super) const ALL: [Self; 2] = [Self::Database, Self::Home];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Home => "home",
        }
    }
}

/// Notes in the transaction that deletes what has to be purged behind it.
pub(in crate::memory) fn note_purge(connection: &Connection, purges: &[Purge]) -> Result<()> {
    let sql = "INSERT INTO pending_purges (what) VALUES (:what) ON CONFLICT DO NOTHING";
    for purge in purges {
        connection.execute(sql, named_params! {":what": purge.as_str()}).during("note a purge")?;
    }
    Ok(())
}

impl Store {
    /// Whether something was deleted before and `purge` has not been done since.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn is_pending(&self, purge: Purge) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM pending_purges WHERE what = :what)";
        self.connection
            .query_row(sql, named_params! {":what": purge.as_str()}, |row| row.get(0))
            .during("look for pending purges")
    }

    /// Notes that the files beside the database are purged.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn note_purged_home(&self) -> Result<()> {
        self.note_purged(Purge::Home).map(drop)
    }

    /// Whether that was pending.
    fn note_purged(&self, purge: Purge) -> Result<bool> {
        let sql = "DELETE FROM pending_purges WHERE what = :what";
        let deleted = self.connection.execute(sql, named_params! {":what": purge.as_str()}).during("note a purge")?;
        Ok(deleted > 0)
    }

    /// Rewrites the file so that nothing of what was deleted or replaced before can be read from it: the full-text
    /// indexes are merged, the file is compacted and the write-ahead log emptied. To be called outside of a step.
    ///
    /// Cost: reads and writes the whole file.
    ///
    /// # Errors
    /// [`Error::Busy`] where another process is in the middle of reading or writing; what was deleted stays deleted,
    /// but its bytes may still be there, and a later purge takes them. The disk is full (compacting needs room for a
    /// second copy), or the database failed.
    pub fn purge(&self) -> Result<()> {
        for index in full_text_indexes(&self.connection).during("list the indexes")? {
            // The name comes from the schema, not from a user.
            let sql = format!("INSERT INTO \"{index}\" (\"{index}\") VALUES ('optimize')");
            self.connection.execute(&sql, []).during("merge a full-text index")?;
        }
        self.connection.execute_batch("VACUUM").during("compact the database")?;
        truncate_log(&self.connection)?;
        if self.note_purged(Purge::Database)? {
            // The log holds nothing but this note: it may stay where another process reads it.
            let _ = truncate_log(&self.connection);
        }
        Ok(())
    }

    /// The copies of the whole database that mneme has made beside it.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn copies(&self) -> Result<Vec<PathBuf>> {
        let Some(path) = self.path() else { return Ok(Vec::new()) };
        copies(path).map_err(|source| Error::CannotOpen { path: path.to_owned(), source })
    }

    /// Deletes [`Store::copies`] and gives back their paths: what is forgotten must not stay in them.
    ///
    /// # Errors
    /// A copy cannot be deleted.
    pub fn delete_copies(&self) -> Result<Vec<PathBuf>> {
        let copies = self.copies()?;
        for copy in &copies {
            std::fs::remove_file(copy).map_err(|source| Error::CannotOpen { path: copy.clone(), source })?;
        }
        Ok(copies)
    }
}

/// Names of the FTS5 tables.
pub(super) fn full_text_indexes(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare("SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%USING fts5%' ORDER BY name")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Moves what is in the write-ahead log into the database and empties it.
pub(super) fn truncate_log(connection: &Connection) -> Result<()> {
    let operation = "empty the write-ahead log";
    // A database in memory has no log, and says so with -1.
    let is_busy: bool =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).during(operation)?;
    if is_busy {
        return Err(Error::busy(operation));
    }
    Ok(())
}

/// The copies beside the database at `path`, with what belongs to them (`-wal`, `-shm`, `-journal`), and what a restore
/// that was killed has left half-written.
fn copies(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(Vec::new()) };
    let name = name.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })? {
        let entry = entry?;
        let other = entry.file_name().to_string_lossy().into_owned();
        let is_copy = other.strip_prefix(&name).is_some_and(|rest| {
            let is_whole = rest.starts_with(MIGRATION_COPY) || rest.starts_with(PUT_ASIDE);
            (is_whole && rest.contains(COPY_EXTENSION)) || rest.starts_with(PART)
        });
        if is_copy && entry.file_type()?.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{AgentMemory, NewAgent};
    use crate::types::{Body, ManualClock, NewMessage};

    /// A word that no other text holds, and that stemming leaves as it is.
    const SECRET: &str = "xanthoquark";

    fn holds(folder: &Path, word: &str) -> Vec<PathBuf> {
        let contains =
            |path: &PathBuf| std::fs::read(path).unwrap().windows(word.len()).any(|window| window == word.as_bytes());
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(contains).collect()
    }

    #[test]
    fn what_was_deleted_is_gone_from_the_file_its_log_and_the_terms_of_its_indexes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        let open = || Store::open(&path, &ManualClock::at(0)).unwrap();
        let mut other = AgentMemory::create(open(), &NewAgent::named("other", 0)).unwrap();
        let mut memory = AgentMemory::create(open(), &NewAgent::named("a", 0)).unwrap();
        for index in 0..50 {
            let said = |text: String| NewMessage { at_ms: index, body: Body::User { text }, interrupted: false };
            memory.record(&[said(format!("the {SECRET} of day {index}"))]).unwrap();
            other.record(&[said(format!("plain talk of day {index}"))]).unwrap();
        }
        assert!(!holds(folder.path(), SECRET).is_empty());
        let store = memory.discard().unwrap();
        store.purge().unwrap();
        assert_eq!(holds(folder.path(), SECRET), Vec::<PathBuf>::new());
        assert_eq!(std::fs::metadata(folder.path().join("m.db-wal")).unwrap().len(), 0);
        for index in full_text_indexes(&store.connection).unwrap() {
            let vocabulary = format!("CREATE VIRTUAL TABLE temp.terms_{index} USING fts5vocab(main, {index}, row)");
            store.connection.execute_batch(&vocabulary).unwrap();
            let like = if index.ends_with("trigram") { "xan" } else { SECRET };
            let sql = format!("SELECT count(*) FROM terms_{index} WHERE term LIKE '{like}%'");
            assert_eq!(store.connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap(), 0, "{index}");
        }
        assert_eq!(other.view().search("plain talk", 0, 5).unwrap().total, 50);
    }

    #[test]
    fn a_log_that_another_process_reads_is_told_as_busy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        let store = Store::open(&path, &ManualClock::at(0)).unwrap();
        let reader = store.second().unwrap().unwrap();
        reader.connection.execute_batch("BEGIN; SELECT count(*) FROM agents;").unwrap();
        let memory = AgentMemory::create(store, &NewAgent::named("a", 0)).unwrap();
        memory.store().connection.busy_timeout(std::time::Duration::from_millis(20)).unwrap();
        assert!(matches!(memory.store().purge(), Err(Error::Busy { .. })));
        reader.connection.execute_batch("COMMIT").unwrap();
        memory.store().purge().unwrap();
    }

    #[test]
    fn a_purge_is_pending_from_the_deletion_until_it_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        let open = || Store::open(&path, &ManualClock::at(0)).unwrap();
        let pending = || Purge::ALL.map(|purge| open().is_pending(purge).unwrap());
        drop(AgentMemory::create(open(), &NewAgent::named("a", 0)).unwrap());
        assert!(matches!(open().delete_agent("b"), Err(Error::UnknownAgent { .. })));
        assert_eq!(pending(), [false, false]);
        open().delete_agent("a").unwrap();
        assert_eq!(pending(), [true, true]);
        let reader = open();
        reader.connection.execute_batch("BEGIN; SELECT count(*) FROM agents;").unwrap();
        let store = open();
        store.connection.busy_timeout(std::time::Duration::from_millis(20)).unwrap();
        assert!(store.purge().is_err());
        drop(reader);
        assert_eq!(pending(), [true, true]);
        store.purge().unwrap();
        // Opening the database writes its mark into the log again.
        assert_eq!(std::fs::metadata(folder.path().join("m.db-wal")).unwrap().len(), 0);
        assert_eq!(pending(), [false, true]);
        store.note_purged_home().unwrap();
        assert_eq!(pending(), [false, false]);
    }

    #[test]
    fn only_copies_of_this_database_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("m.db"), &ManualClock::at(0)).unwrap();
        let names = [
            "m.db.v2-9.backup",
            "m.db.v2-9.backup-wal",
            "m.db.before-restore-7.backup",
            "mine.db",
            "m.db.note",
            "m.db.part",
            "m.db.part-journal",
            "mine.db.part",
        ];
        for name in names {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(store.delete_copies().unwrap().len(), 5);
        for name in ["mine.db", "m.db.note", "mine.db.part"] {
            assert!(folder.path().join(name).exists(), "{name}");
        }
    }

    #[test]
    fn a_database_in_memory_is_purged_as_well() {
        Store::open_in_memory().unwrap().purge().unwrap();
    }
}
