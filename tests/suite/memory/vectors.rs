//! Vectors of passages and messages: made, kept in step, searched, and fused with words.

use std::collections::BTreeMap;
use std::path::Path;

use mneme::memory::{AgentMemory, Embed, Embedded, Embedding, Error, NewAgent};
use mneme::types::{Cancel, PassageId};
use proptest::prelude::*;
use rusqlite::Connection;

use super::{at, in_memory, load_checkpoint, user};
use crate::harness::embedder::HashEmbedder;

const NOT: fn() -> Cancel = Cancel::new;

fn embedding(text: &str) -> Embedding {
    Embedding::of(&mut HashEmbedder::new(), text).unwrap()
}

fn embed(memory: &mut AgentMemory) -> Embedded {
    memory.embed_pending(&mut HashEmbedder::new(), &NOT(), &mut |_| {}).unwrap()
}

fn store_all(memory: &mut AgentMemory, texts: &[&str]) -> Vec<PassageId> {
    let mut step = memory.step(9).unwrap();
    let ids = texts.iter().map(|text| step.archival_import(text, None, 9).unwrap()).collect();
    step.commit().unwrap();
    ids
}

fn hits(memory: &AgentMemory, query: &str) -> Vec<String> {
    let page = memory.archival_search(query, Some(&embedding(query)), 0, 1000).unwrap();
    assert_eq!(page.total, page.items.len() as u64);
    page.items.into_iter().map(|hit| hit.text).collect()
}

#[test]
fn a_passage_is_found_by_its_meaning_where_no_word_is_the_same() {
    let mut memory = in_memory();
    store_all(&mut memory, &["Her feline sleeps.", "The harbour is closed.", "Rain all week."]);
    assert!(hits(&memory, "cat").is_empty(), "nothing has a vector yet");
    assert_eq!(embed(&mut memory), Embedded { rows: 3, complete: true });
    assert_eq!(hits(&memory, "cat"), ["Her feline sleeps."]);
    assert_eq!(memory.view().archival_search("cat", 0, 5).unwrap().total, 0, "words alone do not find it");
    assert_eq!(hits(&memory, "harbour"), ["The harbour is closed."]);
    assert!(hits(&memory, "  ").is_empty());
}

#[test]
fn what_words_and_vectors_find_is_counted_once_and_stands_on_one_page() {
    let mut memory = in_memory();
    let texts: Vec<String> = (0..80).map(|n| format!("The car number {n} stands in garage {}.", n * 7)).collect();
    store_all(&mut memory, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    store_all(&mut memory, &["An automobile", "the automobile", "Nothing of the kind at all"]);
    embed(&mut memory);
    let query = "car";
    let all = memory.archival_search(query, Some(&embedding(query)), 0, 1000).unwrap();
    assert_eq!(all.total, 82, "80 by words, two by meaning");
    let mut paged = Vec::new();
    for page in 0..all.total.div_ceil(7) {
        let found = memory.archival_search(query, Some(&embedding(query)), page, 7).unwrap();
        assert_eq!((found.total, found.page_count), (82, 12));
        paged.extend(found.items);
    }
    assert_eq!(paged, all.items);
    let beyond = memory.archival_search(query, Some(&embedding(query)), u64::MAX, 7).unwrap();
    assert_eq!((beyond.items.len(), beyond.total), (0, 82));
}

#[test]
fn work_that_is_stopped_or_fails_is_taken_up_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let mut memory = AgentMemory::create(at(&path), &NewAgent::named("a", 0)).unwrap();
    let texts: Vec<String> = (0..100).map(|n| format!("Passage {n}")).collect();
    store_all(&mut memory, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    memory.record(&[user("hello"), user("again")]).unwrap();
    let mut embedder = HashEmbedder::new();
    assert_eq!(memory.pending_count(&embedder).unwrap(), 102);

    let cancel = Cancel::new();
    let mut heard = Vec::new();
    let made = memory
        .embed_pending(&mut embedder, &cancel, &mut |rows| {
            heard.push(rows);
            if rows >= 10 {
                cancel.raise();
            }
        })
        .unwrap();
    assert!(!made.complete && (10..100).contains(&made.rows), "{made:?}");
    assert!(heard.is_sorted() && heard.last() == Some(&made.rows), "{heard:?}");
    assert_eq!(memory.pending_count(&embedder).unwrap(), 102 - made.rows);

    drop(memory);
    let mut memory = AgentMemory::open(at(&path), "a").unwrap();
    embedder.fails_after = Some(embedder.embedded + 20);
    let error = memory.embed_pending(&mut embedder, &NOT(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Embedder { .. }) && error.to_string().contains("out of numbers"), "{error}");
    let left = memory.pending_count(&embedder).unwrap();
    assert!(left < 102 - made.rows, "{left}");
    embedder.fails_after = None;
    let rest = memory.embed_pending(&mut embedder, &NOT(), &mut |_| {}).unwrap();
    assert_eq!((rest.rows, rest.complete), (left, true));
    assert_eq!(embedder.embedded, 102, "nothing was embedded twice");
    assert_eq!(memory.embed_pending(&mut embedder, &NOT(), &mut |_| {}).unwrap().rows, 0);
    memory.record(&[user("a third")]).unwrap();
    assert_eq!(memory.embed_pending(&mut embedder, &NOT(), &mut |_| {}).unwrap().rows, 1);
    let nearest = memory.nearest_messages(&embedding("a third"), 2).unwrap();
    assert!(nearest[0].1 > 0.99 && nearest[1].1 < 0.9, "{nearest:?}");
}

#[test]
fn imported_histories_are_embedded_and_found_by_meaning() {
    let import = |memory: AgentMemory, said: &[(&str, i64)]| {
        let line = |(text, time): &(&str, i64)| format!("{{\"role\":\"user\",\"text\":\"{text}\",\"time\":{time}}}\n");
        let history: String = said.iter().map(line).collect();
        let mut store = memory.into_store();
        store.import_chats("ada", &mut |chats| chats.read_lines(&mut history.as_bytes()), &mut |_| {}).unwrap();
        AgentMemory::open(store, "ada").unwrap()
    };
    let found = |memory: &AgentMemory, query: &str| {
        let nearest = memory.nearest_messages(&embedding(query), 1).unwrap();
        memory.view().message(nearest[0].0).unwrap().unwrap().body.searchable_text().unwrap().to_owned()
    };
    let pending = |memory: &AgentMemory| memory.pending_count(&HashEmbedder::new()).unwrap();
    let first = [("Her feline sleeps.", 1_700_000_000), ("Rain all week.", 1_700_000_001)];
    let mut memory = import(in_memory(), &first);
    assert_eq!(pending(&memory), 2);
    assert_eq!(embed(&mut memory), Embedded { rows: 2, complete: true });
    assert_eq!(pending(&memory), 0);
    assert_eq!(found(&memory, "cat"), "Her feline sleeps.");
    memory.record(&[user("hello")]).unwrap();
    assert_eq!(embed(&mut memory).rows, 1);
    // These get ids below those of the first import.
    let mut memory = import(memory, &[("The automobile is red.", 1_600_000_000)]);
    assert_eq!(embed(&mut memory), Embedded { rows: 1, complete: true });
    assert_eq!((pending(&memory), embed(&mut memory).rows), (0, 0));
    assert_eq!(found(&memory, "car"), "The automobile is red.");
}

#[test]
fn a_row_below_all_that_were_embedded_is_seen_by_an_agent_that_stays_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let mut memory = AgentMemory::create(at(&path), &NewAgent::named("a", 0)).unwrap();
    memory.record(&[user("hello")]).unwrap();
    assert_eq!(embed(&mut memory).rows, 1);
    let body = "{\"kind\":\"user\",\"text\":\"early\"}";
    Connection::open(&path)
        .unwrap()
        .execute(
            "INSERT INTO messages (id, agent_id, at_ms, kind, body, searchable, in_queue)
             VALUES (-7, 1, 0, 'user', ?1, 'early', 0)",
            [body],
        )
        .unwrap();
    assert_eq!(embed(&mut memory), Embedded { rows: 1, complete: true });
}

#[test]
fn what_is_attached_while_vectors_are_made_is_not_taken_for_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let mut memory = AgentMemory::create(at(&path), &NewAgent::named("a", 0)).unwrap();
    // The document's passages lie below the agent's own, so that the pass is beyond them when they are attached.
    add_source(&path);
    store_all(&mut memory, &["one lake", "two lakes", "three lakes", "four lakes"]);
    let mut is_attached = false;
    let made = memory
        .embed_pending(&mut HashEmbedder::new(), &NOT(), &mut |_| {
            if !std::mem::replace(&mut is_attached, true) {
                let database = Connection::open(&path).unwrap();
                database.execute("INSERT INTO attachments (agent_id, source_id, at_ms) VALUES (1, 1, 0)", []).unwrap();
            }
        })
        .unwrap();
    assert_eq!(made, Embedded { rows: 7, complete: true });
    assert_eq!(memory.pending_count(&HashEmbedder::new()).unwrap(), 0);
    assert_eq!(embed(&mut memory).rows, 0);
}

#[test]
fn others_that_change_what_is_found_without_end_are_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let mut memory = AgentMemory::create(at(&path), &NewAgent::named("a", 0)).unwrap();
    store_all(&mut memory, &["one lake", "two lakes"]);
    let other = Connection::open(&path).unwrap();
    let made = memory
        .embed_pending(&mut HashEmbedder::new(), &NOT(), &mut |_| {
            // The next pass has something to do again.
            other.execute("INSERT INTO passage_vector_changes (row_id) VALUES (NULL)", []).unwrap();
            other
                .execute(
                    "INSERT INTO passages (agent_id, at_ms, text, fingerprint) VALUES (1, 0, 'more', randomblob(8))",
                    [],
                )
                .unwrap();
        })
        .unwrap();
    assert!(!made.complete && made.rows >= 3, "{made:?}");
    let rest = embed(&mut memory);
    assert!(rest.complete && rest.rows >= 1, "{rest:?}");
}

#[test]
fn a_word_in_very_many_passages_is_found_with_the_true_total() {
    let mut memory = in_memory();
    let texts: Vec<String> =
        (0..22_000).map(|n| format!("lake number {n}{}", if n == 7 { " heron" } else { "" })).collect();
    store_all(&mut memory, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    let mut step = memory.step(9).unwrap();
    step.archival_insert_embedded("An automobile", None, Some(&embedding("An automobile"))).unwrap();
    step.commit().unwrap();
    let search = |query: &str, page: u64| memory.archival_search(query, Some(&embedding(query)), page, 5).unwrap();
    let found = search("lake car", 0);
    assert_eq!(found.total, 22_001, "every passage with the word, and one by meaning");
    assert!(found.items.iter().any(|hit| hit.text == "An automobile"), "{found:?}");
    assert_eq!(search("lake heron", 0).items[0].text, "lake number 7 heron", "older than all that are scored for lake");
    let last = search("lake", 22_000 / 5 - 1);
    assert_eq!((last.total, last.items.len()), (22_000, 5));
    assert_eq!(last.items[4].text, "lake number 0");
}

#[test]
fn another_embedder_makes_every_vector_anew() {
    let mut memory = in_memory();
    store_all(&mut memory, &["one", "two"]);
    embed(&mut memory);
    let mut other = HashEmbedder::named("other", 32);
    let query = Embedding::of(&mut other, "one").unwrap();
    assert!(memory.nearest_passages(&query, 5).unwrap().is_empty(), "vectors of another embedder say nothing");
    assert_eq!(memory.embed_pending(&mut other, &NOT(), &mut |_| {}).unwrap().rows, 2);
    assert_eq!(memory.nearest_passages(&query, 5).unwrap().len(), 2);
    assert!(memory.nearest_passages(&embedding("one"), 5).unwrap().is_empty());
    let mut liar = HashEmbedder::named("other", 16);
    let error = memory.embed_pending(&mut liar, &NOT(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::BadVectors { .. }), "{error}");
}

#[test]
fn a_passage_that_says_nearly_the_same_is_noticed_by_its_meaning() {
    let mut memory = in_memory();
    let mut insert = |text: &str, embedding: Option<&Embedding>| {
        let mut step = memory.step(1).unwrap();
        let inserted = step.archival_insert_embedded(text, None, embedding).unwrap();
        step.commit().unwrap();
        inserted
    };
    let first = insert("car sad drink", Some(&embedding("car sad drink")));
    assert_eq!(first.similar, None);
    let unlike = insert("a lighthouse in the north", Some(&embedding("a lighthouse in the north")));
    assert_eq!(unlike.similar, None);
    let text = "automobile melancholy beverage";
    assert_eq!(insert(text, Some(&embedding(text))).similar, Some(first.id));
    assert_eq!(memory.pending_count(&HashEmbedder::new()).unwrap(), 0, "the vectors are stored with the passages");
}

#[test]
fn passages_are_listed_and_deleted_and_come_back_with_a_checkpoint() {
    let mut memory = in_memory();
    let ids = store_all(&mut memory, &["alpha stone", "beta stone", "gamma stone"]);
    embed(&mut memory);
    assert_eq!(hits(&memory, "stone").len(), 3);
    memory.save_checkpoint("before", 1).unwrap();
    let mut step = memory.step(2).unwrap();
    step.archival_delete(ids[1]).unwrap();
    assert!(matches!(step.archival_delete(ids[1]), Err(Error::UnknownPassage { .. })));
    step.commit().unwrap();
    let listed = memory.view().passages(0, 2).unwrap();
    assert_eq!(listed.items.iter().map(|hit| hit.id).collect::<Vec<_>>(), [ids[2], ids[0]]);
    assert_eq!((listed.total, listed.page_count), (2, 1));
    assert_eq!(hits(&memory, "stone").len(), 2);
    assert_eq!(memory.nearest_passages(&embedding("beta stone"), 9).unwrap().len(), 2);
    load_checkpoint(&mut memory, Some("before"), 3).unwrap();
    assert_eq!(hits(&memory, "stone").len(), 3);
    assert_eq!(memory.nearest_passages(&embedding("beta stone"), 1).unwrap()[0].0, ids[1]);
}

#[test]
fn a_step_sees_its_own_passages_and_what_is_taken_back_is_found_no_more() {
    let mut memory = in_memory();
    store_all(&mut memory, &["a quiet lake"]);
    embed(&mut memory);
    let query = embedding("stormy sea");
    assert_eq!(memory.nearest_passages(&query, 9).unwrap().len(), 1);
    let mut step = memory.step(5).unwrap();
    let inserted = step.archival_insert_embedded("stormy sea", None, Some(&query)).unwrap();
    assert_eq!(step.archival_search("stormy", Some(&query), 0, 5).unwrap().items[0].id, inserted.id);
    drop(step);
    assert_eq!(memory.nearest_passages(&query, 9).unwrap().len(), 1);
    // The ids of what was taken back are given out again, in the log as well.
    let mut step = memory.step(6).unwrap();
    step.archival_insert_embedded("a calm bay", None, Some(&embedding("a calm bay"))).unwrap();
    step.commit().unwrap();
    let nearest = memory.nearest_passages(&embedding("a calm bay"), 9).unwrap();
    assert!(nearest.len() == 2 && nearest[0].1 > 0.99, "{nearest:?}");
}

#[test]
fn a_deleted_agent_leaves_no_vector_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let mut memory = AgentMemory::create(at(&path), &NewAgent::named("a", 0)).unwrap();
    store_all(&mut memory, &["one", "two"]);
    memory.record(&[user("three")]).unwrap();
    embed(&mut memory);
    drop(memory.discard().unwrap());
    let database = Connection::open(&path).unwrap();
    for table in ["passage_vectors", "passage_vector_remainders", "message_vectors", "message_vector_remainders"] {
        let rows: i64 = database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0, "{table}");
    }
}

/// A source `s` with a document of three passages.
fn add_source(path: &Path) {
    let database = Connection::open(path).unwrap();
    database
        .execute_batch(
            "INSERT INTO sources (id, name, created_at_ms) VALUES (1, 's', 0);
             INSERT INTO documents (id, source_id, path, title, size_bytes, fingerprint, loaded_at_ms)
             VALUES (1, 1, '/guide.md', 'guide.md', 1, x'00', 0);
             INSERT INTO passages (document_id, at_ms, text, place, fingerprint) VALUES
             (1, 0, 'moor and heath', 'line 1', x'01'), (1, 0, 'dune and beach', 'line 2', x'02'),
             (1, 0, 'fen and marsh', 'line 3', x'03');",
        )
        .unwrap();
}

#[test]
fn passages_of_documents_are_embedded_beforehand_and_found_once_they_are_attached() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let mut memory = AgentMemory::create(at(&path), &NewAgent::named("a", 0)).unwrap();
    store_all(&mut memory, &["my own heath"]);
    add_source(&path);
    embed(&mut memory);
    let mut store = at(&path);
    let mut embedder = HashEmbedder::new();
    assert_eq!(store.pending_documents_count(&embedder).unwrap(), 3);
    let made = store.embed_documents(&mut embedder, &NOT(), &mut |_| {}).unwrap();
    assert_eq!(made, Embedded { rows: 3, complete: true });
    assert_eq!(hits(&memory, "heath"), ["my own heath"]);
    let database = Connection::open(&path).unwrap();
    database.execute("INSERT INTO attachments (agent_id, source_id, at_ms) VALUES (1, 1, 0)", []).unwrap();
    let found = memory.archival_search("heath", Some(&embedding("heath")), 0, 5).unwrap();
    let titles: Vec<_> = found.items.iter().map(|hit| hit.document.as_ref().map(|at| at.title.as_str())).collect();
    assert!(titles.contains(&Some("guide.md")) && titles.contains(&None), "{titles:?}");
    assert_eq!(memory.nearest_passages(&embedding("heath"), 9).unwrap().len(), 4);
    database.execute("DELETE FROM attachments", []).unwrap();
    assert_eq!(memory.nearest_passages(&embedding("heath"), 9).unwrap().len(), 1);
}

/// What happens to the passages of a random history.
#[derive(Debug, Clone)]
enum Happens {
    Insert(usize),
    Import(usize),
    Embed,
    Delete(usize),
    Save,
    Load,
    /// Another connection hides or shows a passage.
    Toggle(usize),
    /// Another connection deletes a passage for good.
    Purge(usize),
    /// A step that inserts, searches, and is taken back.
    TakenBack(usize),
    Attach(bool),
    Search,
    Reopen,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (0..WORDS.len()).prop_map(Happens::Insert),
        3 => (0..WORDS.len()).prop_map(Happens::Import),
        3 => Just(Happens::Embed),
        2 => (0..40_usize).prop_map(Happens::Delete),
        1 => Just(Happens::Save),
        1 => Just(Happens::Load),
        2 => (0..40_usize).prop_map(Happens::Toggle),
        1 => (0..40_usize).prop_map(Happens::Purge),
        2 => (0..WORDS.len()).prop_map(Happens::TakenBack),
        1 => any::<bool>().prop_map(Happens::Attach),
        4 => Just(Happens::Search),
        1 => Just(Happens::Reopen),
    ]
}

const WORDS: [&str; 8] = ["heron", "lake", "cat", "automobile", "stone wall", "evening rain", "a letter", "salt"];

/// The nearest passages by the text of every visible passage that has a vector, without any index.
fn brute_force(memory: &AgentMemory, path: &Path, query: &str) -> BTreeMap<i64, f32> {
    let database = Connection::open(path).unwrap();
    let mut statement = database.prepare("SELECT id FROM passage_vectors").unwrap();
    let with_vector: Vec<i64> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let query = embedding(query);
    let passages = memory.view().passages(0, 10_000).unwrap().items;
    let cosine = |text: &str| embedding(text).values().iter().zip(query.values()).map(|(a, b)| a * b).sum::<f32>();
    let visible = passages.iter().filter(|hit| with_vector.contains(&hit.id.0));
    visible.map(|hit| (hit.id.0, cosine(&hit.text))).collect()
}

fn assert_index_is_exact(memory: &AgentMemory, path: &Path) -> Result<(), TestCaseError> {
    for query in ["heron on the lake", "cat", "car in the rain"] {
        let expected = brute_force(memory, path, query);
        let found = memory.nearest_passages(&embedding(query), 10_000).unwrap();
        prop_assert!(found.windows(2).all(|pair| pair[0].1 >= pair[1].1), "best first: {found:?}");
        let found: BTreeMap<i64, f32> = found.into_iter().map(|(id, similarity)| (id.0, similarity)).collect();
        prop_assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (id, similarity) in &found {
            // 16 bits a component.
            prop_assert!((similarity - expected[id]).abs() < 1e-4, "{id}: {similarity} {}", expected[id]);
        }
        let best = memory.nearest_passages(&embedding(query), 3).unwrap();
        let mut all: Vec<f32> = expected.values().copied().collect();
        all.sort_by(|left, right| right.total_cmp(left));
        for ((_, similarity), expected) in best.iter().zip(&all) {
            prop_assert!((similarity - expected).abs() < 1e-4);
        }
        prop_assert_eq!(best.len(), all.len().min(3));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn the_index_finds_what_an_exact_search_finds_whatever_happens(
        history in proptest::collection::vec(happens(), 1..40)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        let mut memory = AgentMemory::create(at(&path), &NewAgent::named("a", 0)).unwrap();
        add_source(&path);
        let mut ids: Vec<PassageId> = vec![PassageId(1), PassageId(2), PassageId(3)];
        let other = Connection::open(&path).unwrap();
        other.pragma_update(None, "foreign_keys", true).unwrap();
        let mut texts = 0;
        let mut text = |word: usize| { texts += 1; format!("{} {texts}", WORDS[word]) };
        let mut saved = false;
        for event in history {
            match event {
                Happens::Insert(word) => {
                    let text = text(word);
                    let mut step = memory.step(1).unwrap();
                    ids.push(step.archival_insert_embedded(&text, None, Some(&embedding(&text))).unwrap().id);
                    step.commit().unwrap();
                }
                Happens::Import(word) => ids.extend(store_all(&mut memory, &[&text(word)])),
                Happens::Embed => prop_assert!(embed(&mut memory).complete),
                Happens::Delete(at) => {
                    let mut step = memory.step(1).unwrap();
                    // Hidden, gone or a document's: then there is nothing to delete.
                    let _ = step.archival_delete(ids[at % ids.len()]);
                    step.commit().unwrap();
                }
                Happens::Save => { memory.save_checkpoint("c", 1).unwrap(); saved = true; }
                Happens::Load => if saved { load_checkpoint(&mut memory, None, 1).unwrap(); }
                Happens::Toggle(at) => {
                    other.execute("UPDATE passages SET hidden = 1 - hidden WHERE id = ?1", [ids[at % ids.len()].0]).unwrap();
                }
                Happens::Purge(at) => {
                    other.execute("DELETE FROM passages WHERE id = ?1", [ids[at % ids.len()].0]).unwrap();
                }
                Happens::TakenBack(word) => {
                    let text = text(word);
                    let mut step = memory.step(1).unwrap();
                    step.archival_insert_embedded(&text, None, Some(&embedding(&text))).unwrap();
                    prop_assert!(step.archival_search(&text, Some(&embedding(&text)), 0, 5).unwrap().total > 0);
                }
                Happens::Attach(true) => {
                    other.execute("INSERT OR IGNORE INTO attachments VALUES (1, 1, 0)", []).unwrap();
                }
                Happens::Attach(false) => { other.execute("DELETE FROM attachments", []).unwrap(); }
                Happens::Search => assert_index_is_exact(&memory, &path)?,
                Happens::Reopen => {
                    drop(memory.into_store());
                    memory = AgentMemory::open(at(&path), "a").unwrap();
                }
            }
        }
        assert_index_is_exact(&memory, &path)?;
    }
}

#[test]
fn more_changes_than_the_log_keeps_are_not_missed() {
    let mut memory = in_memory();
    store_all(&mut memory, &["the first of all"]);
    embed(&mut memory);
    assert_eq!(memory.nearest_passages(&embedding("first"), 1).unwrap().len(), 1);
    let texts: Vec<String> = (0..4200).map(|n| format!("number {n}")).collect();
    store_all(&mut memory, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    embed(&mut memory);
    assert_eq!(memory.nearest_passages(&embedding("first"), 10_000).unwrap().len(), 4201);
    let (passages, messages) = memory.index_sizes();
    assert_eq!((passages.rows, messages.rows), (4201, 0));
    assert!((4201 * 76..4201 * 300).contains(&passages.bytes), "{passages:?}");
}

#[test]
fn what_an_embedder_must_not_give_is_refused() {
    struct Odd(Vec<Vec<f32>>);
    impl Embed for Odd {
        fn name(&self) -> &str {
            "odd"
        }
        fn dimensions(&self) -> usize {
            2
        }
        fn max_tokens(&self) -> usize {
            1
        }
        fn token_count(&self, _: &str) -> usize {
            1
        }
        fn embed(&mut self, _: &[&str]) -> Result<Vec<Vec<f32>>, mneme::memory::BoxError> {
            Ok(self.0.clone())
        }
    }
    for vectors in [vec![], vec![vec![1.0]], vec![vec![1.0, f32::NAN]], vec![vec![1.0, 0.0]; 2]] {
        let error = Embedding::of(&mut Odd(vectors), "x").unwrap_err();
        assert!(matches!(error, Error::BadVectors { .. }), "{error}");
        assert!(!error.hint().is_empty());
    }
    assert!(Embedding::of(&mut Odd(vec![vec![1.0, 0.0]]), "x").is_ok());
}
