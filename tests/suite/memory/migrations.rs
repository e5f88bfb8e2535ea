//! Databases of earlier schema versions, made from the migration files of their time with rows in every table: all of it
//! is there in the newest version.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mneme::memory::{AgentMemory, BoxError, Embed, Embedded, Embedding, Store};
use mneme::types::{Cancel, ManualClock};
use rusqlite::Connection;

use super::{at, load_checkpoint, texts};

/// Rows of each version's own tables and columns. Two agents, so that what belongs to whom is seen. The vectors are those
/// of no text: who finds by them has read them.
const ROWS: [&str; 7] = [
    r#"
    INSERT INTO agents (id, name, created_at_ms, model, profile, context_window_tokens, last_login_at_ms,
                        memory_pressure_warned, passed_message_id, heartbeats_paused_until_ms)
    VALUES (1, 'ada', 5, 'm', 'native', 4096, 9, 1, 2, 77), (2, 'bo', 6, 'm', 'classic', 2048, NULL, 0, 0, NULL);
    INSERT INTO core_memory VALUES (1, 'persona', 'I am Ada.', 2000), (1, 'human', 'Has a kite.', 1500),
                                   (2, 'persona', '', 2000), (2, 'human', '', 2000);
    INSERT INTO messages (id, agent_id, at_ms, kind, body, searchable, interrupted, stub, in_queue, hidden) VALUES
        (1, 1, 10, 'user', '{"kind":"user","text":"an evicted heron"}', 'an evicted heron', 0, NULL, 0, 0),
        (2, 1, 11, 'assistant', '{"kind":"assistant","thoughts":null,"text":"a popped heron","call":null}',
         'a popped heron', 1, NULL, 0, 1),
        (3, 1, 12, 'summary', '{"kind":"summary","text":"Herons.","hidden_message_count":1}', NULL, 0, NULL, 1, 0),
        (4, 1, 13, 'user', '{"kind":"user","text":"a heron in view"}', 'a heron in view', 0, 'a stub', 1, 0),
        (5, 2, 14, 'user', '{"kind":"user","text":"the heron of another"}', 'the heron of another', 0, NULL, 1, 0);
    INSERT INTO block_edits (id, agent_id, label, before_text, after_text, at_ms, message_id, cause)
    VALUES (1, 1, 'human', '', 'Has a kite.', 13, 4, 'core_memory_append');
    INSERT INTO checkpoints (id, agent_id, name, at_ms, state) VALUES (1, 1, 'point', 14,
        '{"persona":"I am Ada.","human":"","queue":[{"id":3,"stub":null},{"id":4,"stub":"a stub"}],"last_message":5,
          "hidden_messages":[2],"last_passage":2,"hidden_passages":[],"warned":false}');
    INSERT INTO passages (id, agent_id, at_ms, text, source, fingerprint)
    VALUES (1, 1, 15, 'the marsh at dawn', NULL, x'01'), (2, 1, 16, 'the marsh at dusk', 'diary', x'02');
    "#,
    "INSERT INTO inbox (id, agent_id, at_ms, text) VALUES (1, 1, 20, 'a heron that waits');",
    "INSERT INTO sources VALUES (1, 'books', 30);
     INSERT INTO documents (id, source_id, path, title, size_bytes, fingerprint, loaded_at_ms)
     VALUES (1, 1, '/books/marsh.txt', 'marsh.txt', 100, x'03', 31);
     INSERT INTO attachments VALUES (1, 1, 32);
     INSERT INTO passages (id, document_id, at_ms, text, place, fingerprint)
     VALUES (3, 1, 33, 'the marsh of a book', 'page 7', x'04');",
    "INSERT INTO embedders VALUES (1, 'axes', 'passage', 4), (2, 'axes', 'speaker and message', 4);
     INSERT INTO passage_vectors VALUES (1, 1, 0.0000307577, x'7f000000'), (3, 1, 0.0000307577, x'007f0000');
     INSERT INTO passage_vector_remainders VALUES (1, x'00000000'), (3, x'00000000');
     INSERT INTO message_vectors VALUES (1, 2, 0.0000307577, x'7f000000');
     INSERT INTO message_vector_remainders VALUES (1, x'00000000');",
    r#"UPDATE agents SET instructions = 'Be brief.', chosen_model = 'small' WHERE id = 1;
     INSERT INTO turn_marks (id, agent_id, message_id, at_ms, state) VALUES (1, 1, 4, 13,
        '{"persona":"I am Ada.","human":"Had a ball.","queue":[{"id":3}],"last_message":3,"hidden_messages":[2],
          "last_passage":1,"hidden_passages":[],"warned":false,
          "passes":{"passed_message_id":1,"heartbeats_paused_until_ms":null}}');"#,
    "UPDATE messages SET speaker = 'Cleo' WHERE id = 1;",
    "INSERT INTO pending_purges VALUES ('database');",
];

/// Each text is on one axis: `first`, `second`, or the last for all others.
struct Axes;

impl Embed for Axes {
    fn name(&self) -> &'static str {
        "axes"
    }

    fn dimensions(&self) -> usize {
        4
    }

    fn max_tokens(&self) -> usize {
        256
    }

    fn token_count(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, BoxError> {
        let axis = |text: &&str| match *text {
            "first" => vec![1.0, 0.0, 0.0, 0.0],
            "second" => vec![0.0, 1.0, 0.0, 0.0],
            _ => vec![0.0, 0.0, 0.0, 1.0],
        };
        Ok(texts.iter().map(axis).collect())
    }
}

/// The migration files, oldest first.
fn files() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/memory/store/migrations");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// A database of an earlier version.
fn fixture(path: &Path, version: usize) {
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "foreign_keys", true).unwrap();
    for (number, file) in files().iter().enumerate().take(version) {
        connection.execute_batch(file).unwrap();
        connection.execute_batch(ROWS[number]).unwrap();
    }
    connection.pragma_update(None, "user_version", u32::try_from(version).unwrap()).unwrap();
    connection.pragma_update(None, "application_id", 0x6d6e_656d).unwrap();
}

/// Rows of every table of ours.
fn counts(path: &Path) -> BTreeMap<String, i64> {
    let connection = Connection::open(path).unwrap();
    let tables =
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%'";
    let names: Vec<String> =
        connection.prepare(tables).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let count = |name: &String| connection.query_row(&format!("SELECT count(*) FROM \"{name}\""), [], |row| row.get(0));
    names.iter().map(|name| (name.clone(), count(name).unwrap())).collect()
}

#[test]
fn every_earlier_version_is_brought_to_the_newest_with_all_its_rows() {
    let newest = files().len();
    assert_eq!(newest, ROWS.len(), "each version's rows");
    for version in 1..=newest {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        fixture(&path, version);
        let before = counts(&path);
        assert!(before.values().all(|count| *count > 0), "version {version}: {before:?}");
        let store = Store::open(&path, &ManualClock::at(99)).unwrap();
        assert_eq!(store.schema_version().unwrap() as usize, newest);
        drop(store);
        let after = counts(&path);
        for (table, count) in &before {
            assert_eq!(after.get(table), Some(count), "version {version}: {table}");
        }
        let copies = std::fs::read_dir(folder.path()).unwrap().filter(|entry| {
            entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(&format!(".v{version}-99.backup"))
        });
        assert_eq!(copies.count(), usize::from(version < newest), "version {version}: a copy before the migration");
        check(&path, version);
    }
}

/// What the rows mean is what it was.
fn check(path: &Path, version: usize) {
    let integrity: String =
        Connection::open(path).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(integrity, "ok", "version {version}");
    let mut memory = AgentMemory::open(at(path), "ada").unwrap();
    let info = memory.view().info().unwrap();
    assert_eq!((info.created_at_ms, info.last_login_at_ms, info.context_window_tokens), (5, Some(9), 4096));
    assert_eq!(memory.view().heartbeats_paused_until_ms().unwrap(), Some(77));
    assert!(memory.view().is_warned().unwrap());
    let core = memory.view().core().unwrap();
    assert_eq!((core.persona.text.as_str(), core.human.text.as_str()), ("I am Ada.", "Has a kite."));
    assert_eq!(core.human.limit_chars, 1500);
    let edits = memory.view().block_edits(9).unwrap();
    assert_eq!((edits.len(), edits[0].message_id.unwrap().0), (1, 4));

    let mut queue = vec!["Herons.", "a stub"];
    let mut found = vec!["a heron in view", "an evicted heron"];
    if version >= 2 {
        queue.push("a heron that waits");
        found.insert(1, "a heron that waits");
    }
    let shown = texts(&memory.view().queue().unwrap());
    assert_eq!(shown.len(), queue.len(), "version {version}: {shown:?}");
    assert!(shown.iter().zip(&queue).all(|(shown, wanted)| shown.contains(wanted)), "version {version}: {shown:?}");
    let mut hits = super::found(&memory, "heron");
    hits.sort();
    found.sort_unstable();
    assert_eq!(hits, found, "version {version}");

    let passages = memory.view().archival_search("marsh", 0, 9).unwrap();
    assert_eq!(passages.total, if version >= 3 { 3 } else { 2 }, "version {version}");
    check_vectors(&mut memory, version);
    check_turns(&mut memory, version);
    assert_eq!(load_checkpoint(&mut memory, None, 100).unwrap(), "point");
    assert_eq!(memory.view().core().unwrap().human.text, "", "version {version}");
    memory.record(&[super::user("a new heron")]).unwrap();
    assert!(super::found(&memory, "new heron").contains(&"a new heron".to_owned()));
}

/// Vectors are found by and are not made again; what lacks one gets one.
fn check_vectors(memory: &mut AgentMemory, version: usize) {
    let pending = memory.pending_count(&Axes).unwrap();
    let of = |query: &str| Embedding::of(&mut Axes, query).unwrap();
    let nearest = |memory: &AgentMemory, query: &str| -> Vec<String> {
        let page = memory.archival_search(query, Some(&of(query)), 0, 9).unwrap();
        page.items.into_iter().map(|hit| hit.text).collect()
    };
    if version >= 4 {
        assert_eq!(nearest(memory, "first"), ["the marsh at dawn"], "version {version}");
        assert_eq!(nearest(memory, "second"), ["the marsh of a book"], "version {version}");
        let near = memory.nearest_messages(&of("first"), 1).unwrap();
        assert_eq!(near[0].0.0, 1, "version {version}");
    }
    // Two passages of the agent, one of a book since version 3; three messages with the one that is hidden, one more out
    // of the inbox.
    let all = 2 + u64::from(version >= 3) + 3 + u64::from(version >= 2);
    assert_eq!(pending, if version >= 4 { all - 3 } else { all }, "version {version}");
    let made = memory.embed_pending(&mut Axes, &Cancel::new(), &mut |_| {}).unwrap();
    assert_eq!(made, Embedded { rows: pending, complete: true }, "version {version}");
}

/// What an undo went back to before the migration, it goes back to after it.
fn check_turns(memory: &mut AgentMemory, version: usize) {
    let text = |memory: &AgentMemory| memory.view().core().unwrap().human.text;
    let view = memory.view();
    let settings = (view.instructions().unwrap(), view.chosen_model().unwrap());
    let speaker = view.search("evicted heron", 0, 9).unwrap().items[0].speaker.clone();
    assert_eq!(speaker.as_deref(), (version >= 6).then_some("Cleo"), "version {version}");
    if version < 5 {
        assert_eq!(settings, (None, None), "version {version}");
        return;
    }
    assert_eq!(settings, (Some("Be brief.".to_owned()), Some("small".to_owned())), "version {version}");
    // What waited in the inbox was a turn of its own when the agent was opened.
    let mut step = memory.step(50).unwrap();
    assert_eq!(step.undo(2).unwrap().text, "a heron in view");
    step.commit().unwrap();
    assert_eq!(text(memory), "Had a ball.", "version {version}");
    assert_eq!(super::found(memory, "heron"), ["an evicted heron"], "version {version}");
    let passages = memory.view().archival_search("marsh", 0, 9).unwrap().items;
    assert!(passages.iter().all(|hit| hit.text != "the marsh at dusk"), "version {version}: it came later");
    assert!(!memory.view().is_warned().unwrap());
    let mut step = memory.step(51).unwrap();
    step.redo(2).unwrap();
    step.commit().unwrap();
    assert_eq!(text(memory), "Has a kite.", "version {version}");
    assert_eq!(super::found(memory, "heron").len(), 3, "version {version}");
}
