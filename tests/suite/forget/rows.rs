//! `/forget` in the rows of the database: what goes, what goes with it, and what stays because it is not the agent's.

use mneme::memory::{AgentMemory, BlockLabel, Error, NewAgent, NewDocument, Store, Wanted};
use mneme::types::{Body, Call, ManualClock, NewMessage, Piece, Place, Status, Unit};
use rusqlite::Connection;
use serde_json::json;

use crate::harness::world::World;

fn said(text: &str) -> NewMessage {
    NewMessage { at_ms: 1, body: Body::User { text: text.to_owned() }, interrupted: false }
}

fn asked(query: &str) -> NewMessage {
    let arguments = json!({"query": query, "page": 0}).as_object().unwrap().clone();
    let call = Some(Call { name: "conversation_search".to_owned(), arguments });
    NewMessage { at_ms: 2, body: Body::Assistant { thoughts: None, text: None, call }, interrupted: false }
}

fn found(message: &str) -> NewMessage {
    let body = Body::FunctionResult {
        name: "conversation_search".to_owned(),
        status: Status::Ok,
        message: message.to_owned(),
    };
    NewMessage { at_ms: 3, body, interrupted: false }
}

#[test]
fn a_call_goes_with_its_result_and_the_other_way_round() {
    for (query, result, is_gone) in [
        ("xanthoquark", "No results found.", true),
        ("my word", "[2026-03-03 09:30] user: it is \"Xanthoquark\"\nand no other", true),
        ("my word", "No results found.", false),
    ] {
        let mut memory = AgentMemory::create(Store::open_in_memory().unwrap(), &NewAgent::named("a", 0)).unwrap();
        memory.record(&[said("one"), asked(query), found(result), said("two")]).unwrap();
        let forgotten = memory.forget(&Wanted::new("xanthoquark")).unwrap();
        assert_eq!(forgotten.messages, if is_gone { 2 } else { 0 }, "{query}, {result}");
        assert_eq!(memory.view().queue().unwrap().len(), 4 - forgotten.messages);
    }
}

#[test]
fn how_messages_are_written_down_is_nothing_that_can_be_forgotten() {
    let mut memory = AgentMemory::create(Store::open_in_memory().unwrap(), &NewAgent::named("a", 0)).unwrap();
    let told = Body::Assistant { thoughts: None, text: Some("Good.".to_owned()), call: None };
    let told = NewMessage { at_ms: 2, body: told, interrupted: false };
    let mut step = memory.step(1).unwrap();
    let long = step.begin_turn(&said("plain")).unwrap().id;
    step.commit().unwrap();
    memory.record(&[told, asked("the boat"), found("No results.")]).unwrap();
    let mut step = memory.step(1).unwrap();
    let stub = "[This message is too long to be shown: 9 characters. To read all of it, call archival_memory_search. \
                It begins:] pl [It ends:] in";
    step.set_stub(long, Some(stub)).unwrap();
    step.commit().unwrap();
    memory.save_checkpoint("point", 2).unwrap();
    let mut other = AgentMemory::create(memory.into_store(), &NewAgent::named("bo", 0)).unwrap();
    for text in ["Stan", "Tex", "Use", "age", "kind", "null", "archival", "characters", "persona", "stub"] {
        let forgotten = other.forget(&Wanted::new(text)).unwrap();
        assert!(forgotten.is_nothing() && forgotten.agents.is_empty(), "{text}: {forgotten:?}");
    }
    let mut memory = AgentMemory::open(other.into_store(), "a").unwrap();
    for text in ["Stan", "Tex", "Use", "age", "kind", "null", "archival", "characters", "persona", "stub"] {
        let forgotten = memory.forget(&Wanted::new(text)).unwrap();
        assert!(forgotten.is_nothing(), "{text}: {forgotten:?}");
    }
    assert_eq!(memory.view().queue().unwrap().len(), 4);
    let forgotten = memory.forget(&Wanted::new("plain")).unwrap();
    assert_eq!((forgotten.messages, forgotten.states), (1, 0), "{forgotten:?}");
}

#[test]
fn the_passages_of_a_message_that_was_paged_out_go_with_it() {
    let mut memory = AgentMemory::create(Store::open_in_memory().unwrap(), &NewAgent::named("a", 0)).unwrap();
    let id = memory.record(&[said("a very long text with the xanthoquark in its middle")]).unwrap()[0].id;
    let mut step = memory.step(1).unwrap();
    step.archival_insert("a very long text with the xantho", Some(&format!("message {}", id.0))).unwrap();
    step.archival_insert("quark in its middle", Some(&format!("message {}", id.0))).unwrap();
    step.archival_insert("another text", None).unwrap();
    step.commit().unwrap();
    assert_eq!(memory.forget(&Wanted::new("xanthoquark")).unwrap().passages, 2);
    assert_eq!(memory.view().archival_count().unwrap(), 1);
}

#[test]
fn an_agent_forgets_its_own_and_names_who_else_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let store = || Store::open(&path, &ManualClock::at(0)).unwrap();
    let mut other = AgentMemory::create(store(), &NewAgent::named("bo", 0)).unwrap();
    other.record(&[said("my xanthoquark")]).unwrap();
    let mut memory = AgentMemory::create(store(), &NewAgent::named("a", 0)).unwrap();
    memory.record(&[said("my xanthoquark")]).unwrap();
    let forgotten = memory.forget(&Wanted::new("xanthoquark")).unwrap();
    assert_eq!((forgotten.messages, forgotten.agents.as_slice()), (1, ["bo".to_owned()].as_slice()));
    assert_eq!(other.view().recall_count().unwrap(), 1);
}

/// One way in which each text of another agent can hold the secret; `bo` is the agent 1 with the message 1.
const PLACES: [&str; 12] = [
    "UPDATE messages SET body = replace(body, 'plain', 'my\\n xanthoquark')",
    "UPDATE messages SET stub = 'my xanthoquark'",
    "UPDATE messages SET speaker = 'My Xanthoquark'",
    "UPDATE core_memory SET text = 'my xanthoquark' WHERE agent_id = 1",
    "UPDATE passages SET text = 'my xanthoquark'",
    "UPDATE passages SET source = 'my xanthoquark'",
    "UPDATE block_edits SET before_text = 'my xanthoquark'",
    "UPDATE block_edits SET after_text = 'my xanthoquark'",
    "UPDATE checkpoints SET state = replace(state, 'Has a kite.', 'my\\txanthoquark')",
    "UPDATE turn_marks SET state = replace(state, 'Has a kite.', 'my xanthoquark')",
    "INSERT INTO inbox (agent_id, at_ms, text) VALUES (1, 0, 'my xanthoquark')",
    "UPDATE agents SET instructions = 'my xanthoquark' WHERE id = 1",
];

#[test]
fn another_agent_is_named_wherever_it_holds_the_text() {
    for place in PLACES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        let store = || Store::open(&path, &ManualClock::at(0)).unwrap();
        let mut other = AgentMemory::create(store(), &NewAgent::named("bo", 0)).unwrap();
        let mut step = other.step(1).unwrap();
        step.set_block(BlockLabel::Human, None, "Has a kite.").unwrap();
        step.begin_turn(&said("plain")).unwrap();
        step.archival_insert("a passage", None).unwrap();
        step.commit().unwrap();
        other.save_checkpoint("point", 2).unwrap();
        let mut memory = AgentMemory::create(store(), &NewAgent::named("a", 0)).unwrap();
        let wanted = Wanted::new("my xanthoquark");
        assert_eq!(memory.forget(&wanted).unwrap().agents, [""; 0], "{place}");
        assert!(Connection::open(&path).unwrap().execute(place, []).unwrap() > 0, "{place}");
        let forgotten = memory.forget(&wanted).unwrap();
        assert_eq!(forgotten.agents, ["bo"], "{place}");
        assert!(forgotten.is_nothing(), "{place}: {forgotten:?}");
    }
}

#[test]
fn what_a_speaker_of_that_name_said_goes_and_the_name_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let store = Store::open(&path, &ManualClock::at(0)).unwrap();
    let mut memory = AgentMemory::create(store, &NewAgent::named("a", 0)).unwrap();
    memory.record(&[said("one"), said("two")]).unwrap();
    let speakers = "UPDATE messages SET speaker = CASE searchable WHEN 'one' THEN 'Dr Xanthoquark' ELSE 'Bo' END";
    Connection::open(&path).unwrap().execute(speakers, []).unwrap();
    assert_eq!(memory.forget(&Wanted::new("xanthoquark")).unwrap().messages, 1);
    let left: String = Connection::open(&path)
        .unwrap()
        .query_row("SELECT group_concat(speaker || searchable) FROM messages", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, "Botwo");
}

#[test]
fn the_way_forth_ends_where_a_turn_on_it_is_forgotten() {
    let reply = |text: &str| NewMessage {
        at_ms: 2,
        body: Body::Assistant { thoughts: None, text: Some(text.to_owned()), call: None },
        interrupted: false,
    };
    let mut memory = AgentMemory::create(Store::open_in_memory().unwrap(), &NewAgent::named("a", 0)).unwrap();
    for (text, answer, fact) in [("one", "So one.", "One."), ("the xanthoquark", "So be it.", "A reply was given.")] {
        let mut step = memory.step(1).unwrap();
        step.begin_turn(&said(text)).unwrap();
        step.record(&reply(answer)).unwrap();
        step.core_append(BlockLabel::Human, fact).unwrap();
        step.commit().unwrap();
    }
    let way = |memory: &mut AgentMemory, forth: bool| -> Result<(), Error> {
        let mut step = memory.step(1).unwrap();
        if forth {
            step.redo(1)?
        } else {
            step.undo(1).map(drop)?
        }
        step.commit()
    };
    way(&mut memory, false).unwrap();
    // What finds nothing leaves the way open.
    assert!(memory.forget(&Wanted::new("no such thing")).unwrap().is_nothing());
    way(&mut memory, true).unwrap();
    way(&mut memory, false).unwrap();
    assert_eq!(memory.forget(&Wanted::new("xanthoquark")).unwrap().messages, 1);
    assert!(matches!(way(&mut memory, true), Err(Error::TooFewUndone { available: 0, .. })));
    way(&mut memory, false).unwrap();
    way(&mut memory, true).unwrap();
    let shown: Vec<_> = memory.view().queue().unwrap().iter().map(mneme::memory::main_context::shown_text).collect();
    assert_eq!(shown, ["one", "So one."]);
    assert_eq!(memory.view().core().unwrap().human.text, "One.");
}

fn put(store: &mut Store, source: &str, texts: &[&str]) {
    let pieces: Vec<Piece> = (1..)
        .zip(texts)
        .map(|(page, text)| Piece { place: Place::at(Unit::Page, page), text: (*text).to_owned() })
        .collect();
    let path = format!("/u/{source}.pdf");
    let document =
        NewDocument { path: &path, title: &path, size_bytes: 9, fingerprint: source.as_bytes(), pieces: &pieces };
    store.put_document(source, &document, None, 5).unwrap();
}

#[test]
fn passages_of_a_source_go_only_where_no_other_agent_has_it() {
    let mut store = Store::open_in_memory().unwrap();
    for name in ["a", "bo"] {
        store = AgentMemory::create(store, &NewAgent::named(name, 0)).unwrap().into_store();
    }
    for source in ["mine", "shared", "loose"] {
        put(&mut store, source, &["the xanthoquark of page one", "plain page two"]);
    }
    for (agent, source) in [("a", "mine"), ("a", "shared"), ("bo", "shared")] {
        store.attach(agent, source, 6).unwrap();
    }
    let mut memory = AgentMemory::open(store, "a").unwrap();
    let forgotten = memory.forget(&Wanted::new("xanthoquark")).unwrap();
    assert_eq!((forgotten.passages, forgotten.reloadable.as_slice()), (1, ["mine".to_owned()].as_slice()));
    assert_eq!(forgotten.sources, ["loose", "shared"]);
    let store = memory.into_store();
    let passages: Vec<_> = store.sources().unwrap().into_iter().map(|source| (source.name, source.passages)).collect();
    assert_eq!(passages, [("loose".to_owned(), 2), ("mine".to_owned(), 1), ("shared".to_owned(), 2)]);
    let fingerprint = |source: &str| store.documents(source).unwrap().remove(0).fingerprint;
    assert_eq!((fingerprint("mine"), fingerprint("shared")), (Vec::new(), b"shared".to_vec()));
}

#[test]
fn the_notice_says_what_is_left_elsewhere_and_a_load_brings_back_what_was_the_agents_alone() {
    let world = World::new();
    let run = |arguments: &[&str]| {
        let output = world.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for name in ["a", "bo"] {
        run(&["add", "agent", name]);
    }
    for source in ["mine", "shared"] {
        let file = world.file(&format!("{source}.txt"), format!("{source}: the xanthoquark sleeps\n"));
        run(&["load", &file, "--name", source]);
        run(&["attach", "--agent", "a", "--source", source]);
    }
    run(&["attach", "--agent", "bo", "--source", "shared"]);
    world.database().execute("UPDATE agents SET instructions = 'Xanthoquark!' WHERE name = 'bo'", []).unwrap();
    let mut program = world.start(json!([]), &[]);
    let events = program.command("/forget xanthoquark");
    let notice = events.last().unwrap()["text"].as_str().unwrap();
    for part in [
        "Deleted for good: 1 passage. Passages of mine went",
        "It still stands in what other agents have: bo.",
        "documents that are not this agent's alone: shared. mneme delete source NAME",
    ] {
        assert!(notice.contains(part), "{part:?} is not in {notice:?}");
    }
    assert!(program.close().success());
    assert!(run(&["load", &world.path("shared.txt"), "--name", "shared"]).contains("0 changed, 1 unchanged"));
    assert!(run(&["load", &world.path("mine.txt"), "--name", "mine"]).contains("1 changed, 0 unchanged"));
    let passages: i64 = world.database().query_row("SELECT count(*) FROM passages", [], |row| row.get(0)).unwrap();
    assert_eq!(passages, 2);
}
