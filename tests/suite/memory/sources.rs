//! Sources of documents: who finds their passages, and what is left when they go.

use mneme::memory::{AgentMemory, Error, NewAgent, NewDocument, Store};
use mneme::types::{Piece, Place, Unit};

use super::{at, load_checkpoint};

fn put(store: &mut Store, source: &str, path: &str, text: &str) -> usize {
    let piece = Piece { place: Place::at(Unit::Line, 1), text: text.to_owned() };
    let title = path.trim_start_matches('/');
    let document = NewDocument { path, title, size_bytes: 9, fingerprint: text.as_bytes(), pieces: &[piece] };
    store.put_document(source, &document, None, 5).unwrap()
}

fn with_agents(names: &[&str]) -> Store {
    let mut store = Store::open_in_memory().unwrap();
    for name in names {
        store = AgentMemory::create(store, &NewAgent::named(name, 0)).unwrap().into_store();
    }
    store
}

fn titles(store: &Store, agent: &str, query: &str) -> Vec<String> {
    let page = store.view(agent).unwrap().archival_search(query, 0, 100).unwrap();
    assert_eq!(page.total, page.items.len() as u64);
    page.items.into_iter().map(|hit| hit.document.unwrap().title).collect()
}

#[test]
fn only_agents_that_a_source_is_attached_to_find_its_passages() {
    let mut store = with_agents(&["ada", "bo"]);
    put(&mut store, "notes", "/plan.md", "The harbour master keeps the lighthouse keys.");
    assert_eq!(titles(&store, "ada", "lighthouse"), [""; 0]);
    assert_eq!(store.view("ada").unwrap().archival_count().unwrap(), 0);
    assert!(store.attach("ada", "notes", 7).unwrap());
    assert!(!store.attach("ada", "notes", 8).unwrap());
    assert_eq!(titles(&store, "ada", "lighthouse"), ["plan.md"]);
    assert_eq!(titles(&store, "ada", "ighthous"), ["plan.md"], "by a part of a word");
    assert_eq!(titles(&store, "bo", "lighthouse"), [""; 0]);
    assert_eq!(titles(&store, "bo", "ighthous"), [""; 0]);
    assert_eq!(store.view("ada").unwrap().archival_count().unwrap(), 1);
    // Two agents share one copy.
    store.attach("bo", "notes", 9).unwrap();
    assert_eq!(titles(&store, "bo", "lighthouse"), ["plan.md"]);
    assert_eq!(store.sources().unwrap()[0].passages, 1);
    assert_eq!(store.sources().unwrap()[0].agents, ["ada", "bo"]);
    assert!(store.detach("ada", "notes").unwrap());
    assert!(!store.detach("ada", "notes").unwrap());
    assert_eq!(titles(&store, "ada", "lighthouse"), [""; 0]);
    assert_eq!(titles(&store, "bo", "lighthouse"), ["plan.md"]);
}

#[test]
fn a_single_agent_finds_nothing_of_a_source_that_is_not_attached_beside_one_that_is() {
    let mut store = with_agents(&["ada"]);
    put(&mut store, "notes", "/plan.md", "lighthouse plan");
    put(&mut store, "secret", "/diary.md", "lighthouse diary");
    store.attach("ada", "notes", 7).unwrap();
    assert_eq!(titles(&store, "ada", "lighthouse"), ["plan.md"]);
}

#[test]
fn a_document_is_replaced_as_a_whole_and_its_place_is_told() {
    let mut store = with_agents(&["ada"]);
    let long = "A line about the harbour and nothing else.\n".repeat(60) + "The lighthouse stands here.";
    assert!(put(&mut store, "notes", "/plan.md", &long) > 2);
    store.attach("ada", "notes", 7).unwrap();
    let page = store.view("ada").unwrap().archival_search("lighthouse", 0, 5).unwrap();
    let hit = &page.items[0];
    let place = hit.document.as_ref().unwrap();
    let lines_down = hit.text.lines().position(|line| line.contains("lighthouse")).unwrap() as u64;
    assert_eq!(place.place.lines_down(lines_down).to_string(), "line 61");
    assert_eq!((place.source.as_str(), place.title.as_str(), hit.at_ms), ("notes", "plan.md", 5));
    assert_eq!(put(&mut store, "notes", "/plan.md", "Only a windmill."), 1);
    assert_eq!(titles(&store, "ada", "lighthouse"), [""; 0]);
    assert_eq!(titles(&store, "ada", "windmill"), ["plan.md"]);
    assert_eq!(store.documents("notes").unwrap().len(), 1);
    assert!(store.remove_document("notes", "/plan.md").unwrap());
    assert!(!store.remove_document("notes", "/plan.md").unwrap());
    assert_eq!(titles(&store, "ada", "windmill"), [""; 0]);
}

#[test]
fn a_deleted_source_leaves_no_word_in_the_file_and_sound_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let mut store = AgentMemory::create(at(&path), &NewAgent::named("ada", 0)).unwrap().into_store();
    put(&mut store, "notes", "/plan.md", "zyzzyvaword and quokkaword are in here");
    put(&mut store, "other", "/other.md", "heronword stays");
    store.attach("ada", "notes", 7).unwrap();
    store.attach("ada", "other", 7).unwrap();
    let holds = |word: &str| {
        std::fs::read_dir(folder.path()).unwrap().any(|entry| {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(word.len()).any(|part| part == word.as_bytes())
        })
    };
    assert!(holds("zyzzyvaword"));
    assert_eq!(store.delete_source("notes").unwrap(), 1);
    for word in ["zyzzyvaword", "quokkaword", "zyzzyva", "quokk"] {
        assert!(!holds(word), "{word}");
    }
    assert!(holds("heronword"));
    assert_eq!(titles(&store, "ada", "zyzzyvaword"), [""; 0]);
    assert_eq!(titles(&store, "ada", "heronword"), ["other.md"]);
    drop(store);
    let connection = rusqlite::Connection::open(&path).unwrap();
    for index in ["passages_fts", "passages_trigram"] {
        let sql = format!("INSERT INTO {index} ({index}, rank) VALUES ('integrity-check', 1)");
        connection.execute(&sql, []).unwrap();
    }
    let rest: i64 = connection.query_row("SELECT count(*) FROM passages", [], |row| row.get(0)).unwrap();
    assert_eq!(rest, 1);
}

#[test]
fn a_deleted_agent_leaves_the_source_to_the_others() {
    let mut store = with_agents(&["ada", "bo"]);
    put(&mut store, "notes", "/plan.md", "lighthouse");
    store.attach("ada", "notes", 7).unwrap();
    store.attach("bo", "notes", 7).unwrap();
    let store = AgentMemory::open(store, "ada").unwrap().discard().unwrap();
    assert_eq!(titles(&store, "bo", "lighthouse"), ["plan.md"]);
    assert_eq!(store.sources().unwrap()[0].agents, ["bo"]);
}

#[test]
fn names_that_are_not_there_are_told_with_those_that_are() {
    let mut store = with_agents(&["ada"]);
    put(&mut store, "notes", "/plan.md", "lighthouse");
    let error = store.attach("ada", "note", 7).unwrap_err();
    assert!(matches!(&error, Error::UnknownSource { known, .. } if *known == ["notes"]), "{error:?}");
    assert!(error.to_string().contains("there are notes") && error.hint().contains("mneme load"), "{error}");
    assert!(matches!(store.attach("eve", "notes", 7), Err(Error::UnknownAgent { .. })));
    assert!(matches!(store.delete_source("x"), Err(Error::UnknownSource { .. })));
    let document = NewDocument { path: "/a", title: "a", size_bytes: 0, fingerprint: b"", pieces: &[] };
    assert!(matches!(store.put_document("../x", &document, None, 0), Err(Error::Name(_))));
}

#[test]
fn a_checkpoint_does_not_touch_documents() {
    let mut store = with_agents(&["ada"]);
    put(&mut store, "notes", "/plan.md", "lighthouse");
    store.attach("ada", "notes", 7).unwrap();
    let mut memory = AgentMemory::open(store, "ada").unwrap();
    memory.save_checkpoint("before", 8).unwrap();
    let mut store = memory.into_store();
    put(&mut store, "notes", "/more.md", "lighthouse again");
    let mut memory = AgentMemory::open(store, "ada").unwrap();
    load_checkpoint(&mut memory, Some("before"), 9).unwrap();
    let mut found = titles(&memory.into_store(), "ada", "lighthouse");
    found.sort();
    assert_eq!(found, ["more.md", "plan.md"]);
}

#[test]
fn a_checkpoint_of_the_whole_agent_has_its_sources_and_its_model() {
    let mut store = with_agents(&["ada"]);
    for (source, text) in [("notes", "lighthouse plan"), ("diary", "lighthouse diary"), ("gone", "lighthouse ruin")] {
        put(&mut store, source, &format!("/{source}.md"), text);
    }
    store.attach("ada", "notes", 7).unwrap();
    store.attach("ada", "gone", 7).unwrap();
    let mut memory = AgentMemory::open(store, "ada").unwrap();
    let choose = |memory: &mut AgentMemory, name: Option<&str>| {
        let mut step = memory.step(1).unwrap();
        step.switch_model(name, "m", 4096).unwrap();
        step.commit().unwrap();
    };
    choose(&mut memory, Some("large"));
    memory.save_checkpoint("then", 1).unwrap();
    choose(&mut memory, None);
    let mut store = memory.into_store();
    store.detach("ada", "notes").unwrap();
    store.attach("ada", "diary", 8).unwrap();
    store.rename_source("notes", "plans").unwrap();
    store.delete_source("gone").unwrap();
    assert_eq!(titles(&store, "ada", "lighthouse"), ["diary.md"]);
    let mut memory = AgentMemory::open(store, "ada").unwrap();
    load_checkpoint(&mut memory, None, 2).unwrap();
    assert_eq!(memory.view().chosen_model().unwrap().as_deref(), Some("large"));
    assert_eq!(titles(memory.store(), "ada", "lighthouse"), ["notes.md"], "under its new name, and no other");
}
