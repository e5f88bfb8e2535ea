//! Numbered migrations over `PRAGMA user_version`.
//!
//! Each file takes the schema from version N-1 to N in one transaction together with the new version number. A
//! database that holds data is copied first, and the copy is checked: no sound copy, no migration.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::super::error::{During, Error, Result};
use super::backup::remove_copy;
use crate::types::{open_private_file, with_suffix};

/// Position N-1 leads to version N. Files are only ever added.
pub(super) const ALL: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_inbox.sql"),
    include_str!("migrations/0003_sources.sql"),
    include_str!("migrations/0004_vectors.sql"),
    include_str!("migrations/0005_turns.sql"),
    include_str!("migrations/0006_recall.sql"),
    include_str!("migrations/0007_purges.sql"),
];

/// Version of the schema in the file; 0 for a new file.
pub(super) fn version(connection: &Connection) -> Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).during("read the schema version")
}

/// Refuses a file of a later release.
pub(super) fn check_version(connection: &Connection, path: &Path) -> Result<()> {
    let found = version(connection)?;
    let supported = newest(ALL);
    if found > supported { Err(Error::NewerVersion { path: path.to_owned(), found, supported }) } else { Ok(()) }
}

/// Newest version that this program knows.
pub(super) fn supported() -> u32 {
    newest(ALL)
}

fn newest(migrations: &[&str]) -> u32 {
    u32::try_from(migrations.len()).unwrap_or(u32::MAX)
}

/// Brings the schema to the newest version.
pub(super) fn migrate(
    connection: &mut Connection,
    path: Option<&Path>,
    now_ms: i64,
    migrations: &[&str],
) -> Result<()> {
    let mut found = version(connection)?;
    if let Some(path) = path.filter(|_| found > 0) {
        found = copy_first(connection, path, found, now_ms, newest(migrations))?;
    }
    if found >= newest(migrations) {
        return Ok(());
    }
    for (number, sql) in (1_u32..).zip(migrations) {
        // Another process may be doing the same: the version counts once the write lock is held.
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).during("begin a migration")?;
        if version(&transaction)? < number {
            transaction.execute_batch(sql).during("migrate the database")?;
            transaction.pragma_update(None, "user_version", number).during("migrate the database")?;
        }
        transaction.commit().during("finish a migration")?;
    }
    Ok(())
}

/// Copies a database of version `found`, unless that is the newest, and gives back its version: another process may be
/// migrating it as well, and be further.
fn copy_first(connection: &Connection, path: &Path, mut found: u32, now_ms: i64, newest: u32) -> Result<u32> {
    while found < newest
        && let Err(error) = make_copy(connection, path, found, now_ms)
    {
        let now = version(connection)?;
        if now == found {
            return Err(error);
        }
        found = now;
    }
    Ok(found)
}

/// Copies the database to `<path>.v<version>-<time>.backup` and checks the copy; one that is not sound does not stay.
fn make_copy(connection: &Connection, path: &Path, found: u32, now_ms: i64) -> Result<()> {
    let copy_path = with_suffix(path, &format!(".v{found}-{now_ms}.backup"));
    let made = copy_checked(connection, &copy_path, found);
    if made.is_err() {
        remove_copy(&copy_path);
    }
    made
}

fn copy_checked(connection: &Connection, copy_path: &Path, found: u32) -> Result<()> {
    let failed = |reason: String| Error::BackupFailed { path: copy_path.to_owned(), reason };
    open_private_file(copy_path).map_err(|error| failed(error.to_string()))?;
    connection
        .backup("main", copy_path, None::<fn(rusqlite::backup::Progress)>)
        .map_err(|error| failed(error.to_string()))?;
    let copy = Connection::open(copy_path).map_err(|error| failed(error.to_string()))?;
    let verdict: String =
        copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(|error| failed(error.to_string()))?;
    if verdict != "ok" {
        return Err(failed(format!("the copy is damaged: {verdict}")));
    }
    let copied = version(&copy)?;
    if copied == found { Ok(()) } else { Err(failed(format!("the copy has version {copied} instead of {found}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::named_params;

    const FURTHER: &str = "ALTER TABLE agents ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm';";

    /// The end of the name of the copy that a migration from the newest version at 9 ms makes.
    fn copy_suffix() -> String {
        format!(".v{}-9.backup", newest(ALL))
    }

    fn with_one_agent(path: &Path) -> Connection {
        let mut connection = Connection::open(path).unwrap();
        migrate(&mut connection, Some(path), 7, ALL).unwrap();
        connection
            .execute(
                "INSERT INTO agents (name, created_at_ms, model, profile, context_window_tokens)
                 VALUES (:name, 0, 'm', 'native', 2048)",
                named_params! {":name": "sam"},
            )
            .unwrap();
        connection
    }

    #[test]
    fn an_empty_file_reaches_the_newest_version_without_a_copy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate(&mut connection, Some(&path), 7, ALL).unwrap();
        assert_eq!(version(&connection).unwrap(), newest(ALL));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn data_is_copied_before_a_migration_and_survives_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        let mut connection = with_one_agent(&path);
        migrate(&mut connection, Some(&path), 9, &[ALL, &[FURTHER]].concat()).unwrap();
        let mood: String = connection.query_row("SELECT mood FROM agents", [], |row| row.get(0)).unwrap();
        assert_eq!(mood, "calm");
        let copy = Connection::open(with_suffix(&path, &copy_suffix())).unwrap();
        assert_eq!(version(&copy).unwrap(), newest(ALL));
        let name: String = copy.query_row("SELECT name FROM agents", [], |row| row.get(0)).unwrap();
        assert_eq!(name, "sam");
    }

    #[test]
    fn without_a_copy_nothing_is_migrated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        let mut connection = with_one_agent(&path);
        std::fs::create_dir(with_suffix(&path, &copy_suffix())).unwrap();
        let error = migrate(&mut connection, Some(&path), 9, &[ALL, &[FURTHER]].concat()).unwrap_err();
        assert!(matches!(error, Error::BackupFailed { .. }), "{error:?}");
        assert_eq!(version(&connection).unwrap(), newest(ALL));
    }

    #[test]
    fn a_database_that_another_process_migrates_meanwhile_is_no_failed_copy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        let connection = with_one_agent(&path);
        let found = newest(ALL) - 1;
        assert_eq!(copy_first(&connection, &path, found, 9, newest(ALL)).unwrap(), newest(ALL));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no copy of another version is left");
    }

    #[test]
    fn a_migration_that_fails_half_way_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        let mut connection = with_one_agent(&path);
        let broken = "CREATE TABLE extra (x INTEGER) STRICT; SELECT nonsense FROM nowhere;";
        assert!(migrate(&mut connection, Some(&path), 9, &[ALL, &[broken]].concat()).is_err());
        assert_eq!(version(&connection).unwrap(), newest(ALL));
        let extra: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'extra'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(extra, 0);
    }

    #[test]
    fn the_schema_is_the_one_that_is_documented() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, None, 0, ALL).unwrap();
        let mut statement = connection
            .prepare(
                "SELECT type || ' ' || name FROM sqlite_schema
                 WHERE name NOT LIKE 'sqlite_%' AND name NOT GLOB '*_fts_*' AND name NOT GLOB '*_trigram_*'
                 ORDER BY type, name",
            )
            .unwrap();
        let names: Vec<String> =
            statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
        assert_eq!(
            names,
            [
                "index attachments_of_source",
                "index block_edits_of_agent",
                "index block_edits_of_message",
                "index inbox_of_agent",
                "index messages_by_time",
                "index messages_hidden",
                "index messages_in_queue",
                "index messages_of_speakers",
                "index messages_said",
                "index messages_streaming",
                "index passages_by_fingerprint",
                "index passages_hidden",
                "index passages_of_document",
                "index turn_marks_of_agent",
                "index turn_marks_of_message",
                "index turn_marks_undone",
                "table agents",
                "table attachments",
                "table block_edits",
                "table checkpoints",
                "table core_memory",
                "table documents",
                "table embedders",
                "table inbox",
                "table message_vector_changes",
                "table message_vector_remainders",
                "table message_vectors",
                "table messages",
                "table messages_fts",
                "table messages_trigram",
                "table passage_vector_changes",
                "table passage_vector_remainders",
                "table passage_vectors",
                "table passages",
                "table passages_fts",
                "table passages_trigram",
                "table pending_purges",
                "table sources",
                "table turn_marks",
                "trigger message_vector_changes_trimmed",
                "trigger message_vectors_deleted",
                "trigger message_vectors_inserted",
                "trigger message_vectors_of_changed_texts",
                "trigger message_vectors_shown_or_hidden",
                "trigger messages_deleted",
                "trigger messages_inserted",
                "trigger messages_updated",
                "trigger passage_vector_changes_trimmed",
                "trigger passage_vectors_attached",
                "trigger passage_vectors_deleted",
                "trigger passage_vectors_detached",
                "trigger passage_vectors_inserted",
                "trigger passage_vectors_of_changed_texts",
                "trigger passage_vectors_shown_or_hidden",
                "trigger passages_deleted",
                "trigger passages_inserted",
                "trigger passages_updated",
                "view searchable_messages",
                "view searchable_passages",
                "view visible_passages",
            ]
        );
        let columns: String = connection
            .query_row("SELECT group_concat(name || ' ' || type, ', ') FROM pragma_table_info('messages')", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(
            columns,
            "id INTEGER, agent_id INTEGER, at_ms INTEGER, kind TEXT, body TEXT, searchable TEXT, interrupted INTEGER, \
             stub TEXT, state TEXT, in_queue INTEGER, hidden INTEGER, speaker TEXT"
        );
    }
}
