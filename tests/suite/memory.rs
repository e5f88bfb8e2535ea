//! The memory through its public face: storage, edits, queue, search, checkpoints, and the queue manager at small
//! windows. Databases are in memory or in temporary folders; time stands still.

use std::path::Path;

use jiff::civil::date;
use jiff::tz::TimeZone;
use mneme::memory::main_context::is_call_and_result;
use mneme::memory::{
    AgentMemory, BlockLabel, BoxError, CountTokens, EditError, Error, MainContext, NewAgent, QueueLimits, Role,
    SearchScope, Store, Summarize, make_room, pressure, summarize_now,
};
use mneme::types::{Body, Call, ManualClock, Message, NewMessage, Notification, Status};
use proptest::prelude::*;

fn user(text: &str) -> NewMessage {
    NewMessage { at_ms: 1, body: Body::User { text: text.into() }, interrupted: false }
}

fn reply_body(text: &str) -> Body {
    Body::Assistant { thoughts: None, text: Some(text.into()), call: None }
}

fn reply(text: &str) -> NewMessage {
    NewMessage { at_ms: 2, body: reply_body(text), interrupted: false }
}

fn call(name: &str) -> NewMessage {
    let call = Call { name: name.into(), arguments: serde_json::Map::new() };
    NewMessage {
        at_ms: 3,
        body: Body::Assistant { thoughts: Some("hm".into()), text: None, call: Some(call) },
        interrupted: false,
    }
}

fn result(name: &str, message: &str) -> NewMessage {
    let body = Body::FunctionResult { name: name.into(), status: Status::Ok, message: message.into() };
    NewMessage { at_ms: 4, body, interrupted: false }
}

fn event() -> NewMessage {
    let body = Body::Notification { notification: Notification::Heartbeat { reason: "heron".into() } };
    NewMessage { at_ms: 5, body, interrupted: false }
}

fn in_memory() -> AgentMemory {
    AgentMemory::create(Store::open_in_memory().unwrap(), &NewAgent::named("ada", 0)).unwrap()
}

fn at(path: &Path) -> Store {
    Store::open(path, &ManualClock::at(0)).unwrap()
}

fn texts(messages: &[Message]) -> Vec<String> {
    messages.iter().map(mneme::memory::main_context::shown_text).collect()
}

fn found(memory: &AgentMemory, query: &str) -> Vec<String> {
    let page = memory.view().search(query, SearchScope::All, 0, 100).unwrap();
    assert_eq!(page.total, page.items.len() as u64);
    page.items.into_iter().map(|hit| hit.text).collect()
}

// Agents and files

#[test]
fn everything_is_there_again_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("home/memory.db");
    let new = NewAgent {
        persona: "I am calm.".into(),
        human: "A sailor.".into(),
        model: "m1".into(),
        profile: "native".into(),
        context_window_tokens: 4096,
        ..NewAgent::named("ada", 7)
    };
    let mut memory = AgentMemory::create(at(&path), &new).unwrap();
    memory.record(&[user("ahoy"), call("core_memory_append"), result("core_memory_append", "done")]).unwrap();
    let mut step = memory.step(9).unwrap();
    step.core_append(BlockLabel::Human, "Has two oars.").unwrap();
    step.archival_insert("The long story of the oars.", None).unwrap();
    step.commit().unwrap();
    memory.set_model("m2").unwrap();
    assert_eq!(memory.login(50).unwrap(), None);
    let queue = memory.view().queue().unwrap();
    drop(memory);

    let mut memory = AgentMemory::open(at(&path), "ada").unwrap();
    assert_eq!(memory.view().queue().unwrap(), queue);
    let core = memory.view().core().unwrap();
    assert_eq!((core.persona.text.as_str(), core.human.text.as_str()), ("I am calm.", "A sailor.\nHas two oars."));
    assert_eq!(memory.view().archival_count().unwrap(), 1);
    assert_eq!(memory.login(60).unwrap(), Some(50));
    let info = memory.view().info().unwrap();
    assert_eq!((info.model.as_str(), info.context_window_tokens, info.created_at_ms), ("m2", 4096, 7));
    assert_eq!(memory.store().agents().unwrap(), [info]);
}

#[test]
fn agents_do_not_see_each_other() {
    let mut ada = in_memory();
    ada.record(&[user("a heron stands")]).unwrap();
    let mut step = ada.step(1).unwrap();
    step.archival_insert("heron notes", None).unwrap();
    step.commit().unwrap();
    let bob = AgentMemory::create(ada.into_store(), &NewAgent::named("bob", 1)).unwrap();
    assert!(found(&bob, "heron").is_empty());
    assert_eq!(bob.view().archival_search("heron", 0, 5).unwrap().total, 0);
    assert_eq!(bob.view().recall_count().unwrap() + bob.view().archival_count().unwrap(), 0);
    assert_eq!(found(&AgentMemory::open(bob.into_store(), "ada").unwrap(), "heron").len(), 1);
}

#[test]
fn names_and_texts_that_cannot_be_used_are_refused() {
    let store = Store::open_in_memory().unwrap();
    assert!(matches!(AgentMemory::create(store, &NewAgent::named("../x", 0)), Err(Error::Name(_))));
    let long = NewAgent { persona: "é".repeat(2001), ..NewAgent::named("ada", 0) };
    let outcome = AgentMemory::create(Store::open_in_memory().unwrap(), &long);
    assert!(matches!(outcome, Err(Error::BlockTooLong { chars: 2001, limit_chars: 2000, .. })), "{outcome:?}");
    let outcome = AgentMemory::open(Store::open_in_memory().unwrap(), "ada");
    assert!(matches!(outcome, Err(Error::UnknownAgent { .. })));
    let outcome = AgentMemory::create(in_memory().into_store(), &NewAgent::named("ada", 0));
    assert!(matches!(outcome, Err(Error::AgentExists { .. })));
}

#[test]
fn an_agent_that_is_open_cannot_be_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let memory = AgentMemory::create(at(&path), &NewAgent::named("ada", 0)).unwrap();
    let outcome = AgentMemory::open(at(&path), "ada");
    assert!(matches!(&outcome, Err(Error::AgentInUse { name }) if name == "ada"), "{outcome:?}");
    drop(memory);
    assert!(AgentMemory::open(at(&path), "ada").is_ok());
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let mut memory = AgentMemory::create(at(&home.join("m.db")), &NewAgent::named("ada", 0)).unwrap();
    memory.record(&[user("hi")]).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home), 0o700);
    let files: Vec<_> = std::fs::read_dir(&home).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.iter().any(|file| file.to_string_lossy().ends_with("-wal")), "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn files_that_are_no_database_of_ours_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.db");
    std::fs::write(&text, "this is a text, not a database").unwrap();
    let error = Store::open(&text, &ManualClock::at(0)).unwrap_err();
    assert!(matches!(error, Error::NotADatabase { .. }), "{error:?}");
    assert_eq!(std::fs::read_to_string(&text).unwrap(), "this is a text, not a database");

    let foreign = folder.path().join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let error = Store::open(&foreign, &ManualClock::at(0)).unwrap_err();
    assert!(matches!(error, Error::ForeignDatabase { .. }), "{error:?}");
}

#[test]
fn a_database_of_a_later_release_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let version = at(&path).schema_version().unwrap();
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", version + 1).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = Store::open(&path, &ManualClock::at(0)).unwrap_err();
    assert!(matches!(error, Error::NewerVersion { found, supported, .. } if found == supported + 1), "{error:?}");
    assert!(!error.hint().is_empty());
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

/// A folder in which nobody, not even root, can create a file, and what keeps it alive.
fn unwritable_folder() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut permissions = std::fs::metadata(folder.path()).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(folder.path(), permissions).unwrap();
    let path = folder.path().to_owned();
    if std::fs::write(path.join("probe"), "").is_err() {
        return (folder, path);
    }
    (folder, "/proc/self".into())
}

#[test]
fn a_read_only_home_is_an_error_with_a_hint() {
    let (_folder, path) = unwritable_folder();
    let error = Store::open(&path.join("m.db"), &ManualClock::at(0)).unwrap_err();
    assert!(matches!(error, Error::CannotOpen { .. } | Error::ReadOnly { .. }), "{error:?}");
    assert!(error.hint().contains("MNEME_HOME"));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = Store::open(&file.join("m.db"), &ManualClock::at(0)).unwrap_err();
    assert!(matches!(error, Error::CannotOpen { .. }), "{error:?}");
}

// Steps and streaming replies

#[test]
fn a_step_that_is_dropped_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let mut memory = AgentMemory::create(at(&path), &NewAgent::named("ada", 0)).unwrap();
    memory.record(&[user("before")]).unwrap();
    let mut step = memory.step(5).unwrap();
    step.record(&call("core_memory_append")).unwrap();
    step.core_append(BlockLabel::Human, "Has a kite.").unwrap();
    step.archival_insert("Kites.", None).unwrap();
    assert_eq!(step.view().core().unwrap().human.text, "Has a kite.");
    drop(step);
    drop(memory);
    let memory = AgentMemory::open(at(&path), "ada").unwrap();
    assert_eq!(texts(&memory.view().queue().unwrap()), ["before"]);
    assert_eq!(memory.view().core().unwrap().human.text, "");
    assert_eq!(memory.view().archival_count().unwrap(), 0);
    assert!(memory.view().block_edits(10).unwrap().is_empty());
}

#[test]
fn edits_are_kept_with_before_after_and_cause() {
    let mut memory = in_memory();
    let mut step = memory.step(5).unwrap();
    let first = step.record(&call("core_memory_append")).unwrap();
    step.core_append(BlockLabel::Human, "Has a kite.").unwrap();
    step.record(&result("core_memory_append", "done")).unwrap();
    step.commit().unwrap();
    let mut step = memory.step(6).unwrap();
    step.core_replace(BlockLabel::Human, "has a kite", "Has two kites.").unwrap();
    step.commit().unwrap();
    let edits = memory.view().block_edits(10).unwrap();
    assert_eq!(edits.len(), 2);
    assert_eq!((edits[0].before.as_str(), edits[0].after.as_str()), ("Has a kite.", "Has two kites."));
    assert_eq!(edits[1].message_id, Some(first.id));
    assert_eq!((edits[1].at_ms, edits[1].cause.as_str()), (5, "core_memory_append"));
}

#[test]
fn a_refused_edit_changes_nothing_and_the_step_goes_on() {
    let mut memory = AgentMemory::create(
        Store::open_in_memory().unwrap(),
        &NewAgent { human_limit_chars: 10, ..NewAgent::named("ada", 0) },
    )
    .unwrap();
    let mut step = memory.step(1).unwrap();
    let error = step.core_append(BlockLabel::Human, "more than ten characters").unwrap_err();
    assert!(matches!(error, Error::Edit(EditError::OverLimit { limit_chars: 10, asked_chars: 24, .. })), "{error:?}");
    step.record(&result("core_memory_append", &error.to_string())).unwrap();
    step.commit().unwrap();
    assert_eq!(memory.view().core().unwrap().human.text, "");
    assert_eq!(memory.view().queue().unwrap().len(), 1);
}

#[test]
fn a_reply_that_was_streaming_when_the_process_died_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let mut memory = AgentMemory::create(at(&path), &NewAgent::named("ada", 0)).unwrap();
    memory.record(&[user("tell me")]).unwrap();
    let id = memory.begin_reply(10).unwrap();
    memory.update_reply(id, &reply_body("Once upon a heron")).unwrap();
    memory.begin_reply(11).unwrap();
    assert_eq!(memory.view().queue().unwrap().len(), 1, "a reply under way is not in the queue");
    assert!(found(&memory, "heron").is_empty());
    drop(memory);

    let memory = AgentMemory::open(at(&path), "ada").unwrap();
    let queue = memory.view().queue().unwrap();
    assert_eq!(texts(&queue), ["tell me", "Once upon a heron"]);
    assert!(queue[1].interrupted && queue[1].id == id);
    assert_eq!(memory.recovered_replies(), &queue[1..]);
    assert_eq!(found(&memory, "heron"), ["Once upon a heron"]);
    assert_eq!(memory.view().recall_count().unwrap(), 2, "the empty one is gone");
    drop(memory);
    assert!(AgentMemory::open(at(&path), "ada").unwrap().recovered_replies().is_empty());
}

#[test]
fn a_streaming_reply_ends_once() {
    let mut memory = in_memory();
    let id = memory.begin_reply(1).unwrap();
    let message = memory.finish_reply(id, &reply_body("all of it"), false).unwrap();
    assert_eq!((message.id, message.interrupted), (id, false));
    assert!(matches!(memory.update_reply(id, &reply_body("x")), Err(Error::UnknownMessage { .. })));
    assert!(memory.finish_reply(id, &reply_body("x"), false).is_err());
    assert!(memory.discard_reply(id).is_err());
    let id = memory.begin_reply(2).unwrap();
    memory.discard_reply(id).unwrap();
    assert_eq!(texts(&memory.view().queue().unwrap()), ["all of it"]);
}

// Queue

#[test]
fn an_eviction_replaces_the_summary_and_stays_searchable() {
    let mut memory = in_memory();
    let recorded = memory.record(&[user("one heron"), reply("two"), user("three"), reply("four")]).unwrap();
    memory.set_warned(true).unwrap();
    memory.evict(&[recorded[0].id], "first", 9).unwrap();
    let summary = memory.evict(&[recorded[1].id], "second", 10).unwrap();
    assert_eq!(summary.body, Body::Summary { text: "second".into(), hidden_message_count: 2 });
    assert_eq!(texts(&memory.view().queue().unwrap()), ["second", "three", "four"]);
    assert_eq!(found(&memory, "heron"), ["one heron"]);
    assert!(found(&memory, "second").is_empty(), "summaries are not part of the conversation");
    assert_eq!(memory.view().recall_count().unwrap(), 4);
    assert_eq!(memory.view().evicted_conversation_count().unwrap(), 2);
    assert!(!memory.view().is_warned().unwrap());
}

#[test]
fn pop_takes_messages_out_of_prompt_and_search() {
    let mut memory = in_memory();
    memory.record(&[user("one"), reply("heron"), user("otter")]).unwrap();
    assert_eq!(texts(&memory.pop(2).unwrap()), ["heron", "otter"]);
    assert_eq!(texts(&memory.view().queue().unwrap()), ["one"]);
    assert!(found(&memory, "heron otter").is_empty());
    assert_eq!(memory.view().recall_count().unwrap(), 1);
    let error = memory.pop(2).unwrap_err();
    assert!(matches!(error, Error::TooFewMessages { asked: 2, available: 1 }), "{error:?}");
    assert_eq!(memory.view().queue().unwrap().len(), 1);
}

#[test]
fn pop_never_leaves_a_call_without_its_result() {
    let mut memory = in_memory();
    memory.record(&[user("one"), call("f"), result("f", "r"), reply("done")]).unwrap();
    assert_eq!(memory.pop(2).unwrap().len(), 3);
    assert_eq!(texts(&memory.view().queue().unwrap()), ["one"]);
}

#[test]
fn a_stub_stands_for_the_message_until_it_is_taken_away() {
    let mut memory = in_memory();
    let id = memory.record(&[user("very long")]).unwrap()[0].id;
    memory.set_stub(id, Some("[stub]")).unwrap();
    assert_eq!(texts(&memory.view().queue().unwrap()), ["[stub]"]);
    assert_eq!(found(&memory, "long"), ["very long"]);
    memory.set_stub(id, None).unwrap();
    assert_eq!(texts(&memory.view().queue().unwrap()), ["very long"]);
}

#[test]
fn a_checkpoint_brings_back_everything_as_it_was() {
    let mut memory = in_memory();
    memory.record(&[user("one heron"), reply("two")]).unwrap();
    let popped = memory.record(&[user("gone")]).unwrap()[0].id;
    memory.pop(1).unwrap();
    let mut step = memory.step(1).unwrap();
    step.core_append(BlockLabel::Persona, "I am calm.").unwrap();
    step.archival_insert("old passage", None).unwrap();
    step.commit().unwrap();
    memory.save_checkpoint("early", 100).unwrap();
    let early = state_of(&memory);

    let added = memory.record(&[user("three otters"), reply("four")]).unwrap();
    memory.evict(&[added[0].id], "summary", 9).unwrap();
    let mut step = memory.step(2).unwrap();
    step.core_append(BlockLabel::Human, "Is new.").unwrap();
    step.archival_insert("new passage", None).unwrap();
    step.commit().unwrap();
    memory.save_checkpoint("late", 200).unwrap();
    let late = state_of(&memory);

    assert_eq!(memory.load_checkpoint(Some("early"), 300).unwrap(), "early");
    assert_eq!(state_of(&memory), early);
    assert!(found(&memory, "otters").is_empty() && found(&memory, "gone").is_empty());
    assert_eq!(memory.view().archival_search("passage", 0, 5).unwrap().total, 1);
    memory.record(&[user("another way")]).unwrap();
    assert_eq!(memory.load_checkpoint(None, 400).unwrap(), "late");
    assert_eq!(state_of(&memory), late);
    assert!(found(&memory, "another").is_empty() && !found(&memory, "otters").is_empty());
    assert!(memory.view().message(popped).unwrap().is_some(), "history is never deleted");
    assert!(matches!(memory.load_checkpoint(Some("none"), 0), Err(Error::UnknownCheckpoint { .. })));
    assert!(matches!(in_memory().load_checkpoint(None, 0), Err(Error::NoCheckpoint)));
    let names: Vec<String> = memory.view().checkpoints().unwrap().into_iter().map(|found| found.name).collect();
    assert_eq!(names, ["late", "early"]);
}

/// Everything that a checkpoint promises, as text.
fn state_of(memory: &AgentMemory) -> String {
    let view = memory.view();
    format!(
        "{:?} {:?} {} {} {:?} {:?}",
        view.core().unwrap(),
        view.queue().unwrap(),
        view.recall_count().unwrap(),
        view.archival_count().unwrap(),
        view.search_date(date(1970, 1, 1), date(1970, 1, 2), &TimeZone::UTC, 0, 1000).unwrap(),
        view.archival_list(0, 1000).unwrap(),
    )
}

// Search

#[test]
fn search_finds_what_both_sides_said_and_nothing_else() {
    let mut memory = in_memory();
    memory.record(&[user("a heron"), reply("herons, yes"), call("heron"), result("heron", "heron"), event()]).unwrap();
    let page = memory.view().search("heron", SearchScope::All, 0, 5).unwrap();
    let roles: Vec<Role> = page.items.iter().map(|hit| hit.role).collect();
    assert_eq!((page.total, page.page_count), (2, 1));
    assert!(roles.contains(&Role::User) && roles.contains(&Role::Agent));
    assert_eq!(memory.view().conversation_count().unwrap(), 2);
    assert_eq!(memory.view().recall_count().unwrap(), 5);
}

#[test]
fn better_matches_come_first_and_pages_tell_the_true_total() {
    let mut memory = in_memory();
    for n in 0..12 {
        memory.record(&[user(&format!("the lighthouse number {n} and many other words about the sea"))]).unwrap();
    }
    memory.record(&[user("lighthouse keeper")]).unwrap();
    let page = memory.view().search("lighthouse keeper", SearchScope::All, 0, 5).unwrap();
    assert_eq!(page.items[0].text, "lighthouse keeper");
    assert_eq!((page.items.len(), page.total, page.page_count), (5, 13, 3));
    let last = memory.view().search("lighthouse keeper", SearchScope::All, 2, 5).unwrap();
    assert_eq!((last.items.len(), last.total), (3, 13));
    let beyond = memory.view().search("lighthouse keeper", SearchScope::All, u64::MAX, 5).unwrap();
    assert_eq!((beyond.items.len(), beyond.total), (0, 13));
}

#[test]
fn a_search_can_leave_out_what_is_in_view() {
    let mut memory = in_memory();
    let recorded = memory.record(&[user("heron one"), user("heron two")]).unwrap();
    memory.evict(&[recorded[0].id], "s", 1).unwrap();
    let page = memory.view().search("heron", SearchScope::OutOfQueue, 0, 5).unwrap();
    assert_eq!(page.items.iter().map(|hit| hit.text.as_str()).collect::<Vec<_>>(), ["heron one"]);
}

#[test]
fn every_string_is_a_legal_query() {
    let mut memory = in_memory();
    memory
        .record(&[
            user("I write C++ and don't like AND gates"),
            reply("Your 生日蛋糕 is ready 🎂"),
            user("Kirschtorte, naïve café"),
            user("ราคาเท่าไหร่"),
        ])
        .unwrap();
    let is_found = |query: &str, part: &str| {
        let hits = found(&memory, query);
        assert!(hits.first().is_some_and(|hit| hit.contains(part)), "{query:?}: {hits:?}");
    };
    is_found("c++", "C++");
    is_found("don't", "don't");
    is_found("AND gates", "gates");
    is_found("\"gates", "gates");
    is_found("gates\"*", "gates");
    is_found("生日", "生日");
    is_found("日", "生日");
    is_found("我的生日蛋糕在哪里", "生日");
    is_found("🎂", "🎂");
    is_found("Kirsch", "Kirschtorte");
    is_found("cafe naive", "café");
    is_found("writing", "write");
    is_found("เท่า", "เท่า");
    for query in ["", " ", "\"", "\"\"", "*", "NEAR(", "a:b", "-x", "^", "( OR )", "'; --", "\0", "++", "%", "_"] {
        memory.view().search(query, SearchScope::All, 0, 5).unwrap();
        memory.view().archival_search(query, 0, 5).unwrap();
    }
    assert!(found(&memory, "").is_empty() && found(&memory, "%").is_empty() && found(&memory, "zebra").is_empty());
}

#[test]
fn date_search_takes_whole_local_days_across_daylight_saving() {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let ms = |day: jiff::civil::Date, hour: i8, minute: i8| {
        day.at(hour, minute, 0, 0).to_zoned(zone.clone()).unwrap().timestamp().as_millisecond()
    };
    let mut memory = in_memory();
    let mut said = |text: &str, at_ms: i64| {
        let body = Body::User { text: text.into() };
        memory.record(&[NewMessage { at_ms, body, interrupted: false }]).unwrap();
    };
    // The clocks go forward on 2025-03-30 (23 hours) and back on 2025-10-26 (25 hours).
    said("eve", ms(date(2025, 3, 29), 23, 59));
    said("first", ms(date(2025, 3, 30), 0, 0));
    said("last", ms(date(2025, 3, 30), 23, 59));
    said("after", ms(date(2025, 3, 31), 0, 0));
    said("autumn", ms(date(2025, 10, 26), 23, 59));
    said("winter", ms(date(2025, 10, 27), 0, 0));
    let on = |start, end| {
        let page = memory.view().search_date(start, end, &zone, 0, 10).unwrap();
        assert_eq!(page.total, page.items.len() as u64);
        page.items.into_iter().map(|hit| hit.text).collect::<Vec<_>>()
    };
    assert_eq!(on(date(2025, 3, 30), date(2025, 3, 30)), ["first", "last"]);
    assert_eq!(on(date(2025, 10, 26), date(2025, 10, 26)), ["autumn"]);
    assert_eq!(on(date(2025, 3, 31), date(2025, 3, 29)), ["eve", "first", "last", "after"]);
    assert_eq!(on(date(1, 1, 1), date(9999, 12, 31)).len(), 6);
    let page = memory.view().search_date(date(2025, 1, 1), date(2025, 12, 31), &zone, 1, 4).unwrap();
    assert_eq!((page.items.len(), page.total, page.page_count), (2, 6, 2));
}

#[test]
fn archival_passages_are_found_paged_and_not_stored_twice() {
    let mut memory = in_memory();
    let mut step = memory.step(77).unwrap();
    for n in 0..7 {
        step.archival_insert(&format!("Note {n}: the orchard has a wall of stone on its northern side."), None)
            .unwrap();
    }
    let error = step.archival_insert("note 3, the orchard has a WALL of stone on its northern side", None).unwrap_err();
    assert!(matches!(error, Error::Edit(EditError::DuplicatePassage)), "{error:?}");
    assert!(matches!(step.archival_insert(" \n", None), Err(Error::Edit(EditError::Empty { .. }))));
    let inserted = step
        .archival_insert("Note 3: the orchard has a wall of stones on its northern side.", Some("garden.txt"))
        .unwrap();
    assert!(inserted.similar.is_some());
    step.commit().unwrap();
    let page = memory.view().archival_search("orchard walls", 1, 5).unwrap();
    assert_eq!((page.items.len(), page.total, page.page_count), (3, 8, 2));
    assert_eq!(page.items[0].at_ms, 77);
    let newest = &memory.view().archival_list(0, 1).unwrap().items[0];
    assert_eq!((newest.id, newest.source.as_deref()), (inserted.id, Some("garden.txt")));
}

// Queue manager

/// One token per word of text, plus the overhead of each message, like the plans assume.
struct Words;

impl CountTokens for Words {
    fn prompt_tokens(&mut self, context: &MainContext) -> Result<usize, BoxError> {
        let messages: usize = texts(&context.messages).iter().map(|text| words(text) + 12).sum();
        Ok(words(&context.instructions) + words(&context.core_memory) + messages)
    }

    fn text_tokens(&mut self, text: &str) -> usize {
        words(text)
    }
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// Summarises well, badly, or not at all.
enum Summaries {
    Short,
    Endless,
    Failing,
    Silent,
}

impl Summarize for Summaries {
    fn summarize(
        &mut self,
        previous: Option<&str>,
        evicted: &[Message],
        _max_words: usize,
    ) -> Result<String, BoxError> {
        let seen: usize = texts(evicted).iter().map(|text| words(text) + 12).sum();
        assert!(seen <= 2048, "one summary call got {seen} tokens");
        match self {
            Self::Short => Ok(format!("{} then {} more.", previous.map_or("Nothing", |_| "Much"), evicted.len())),
            Self::Endless => Ok("word ".repeat(5000)),
            Self::Failing => Err("no".into()),
            Self::Silent => Ok(" ".into()),
        }
    }
}

fn context(memory: &AgentMemory) -> MainContext {
    memory.view().main_context("be kind").unwrap()
}

fn run_room(
    memory: &mut AgentMemory,
    summaries: &mut Summaries,
    window: usize,
) -> mneme::memory::Result<(usize, Vec<Message>)> {
    let limits = QueueLimits::default();
    let mut context = context(memory);
    let report = make_room(memory, &mut context, &mut Words, summaries, &limits, window, 1)?;
    assert_eq!(report.prompt_tokens, Words.prompt_tokens(&context).unwrap());
    assert_eq!(context.messages, memory.view().queue().unwrap());
    assert!(report.prompt_tokens <= limits.prompt_limit_tokens(window), "{report:?}");
    Ok((report.prompt_tokens, context.messages))
}

#[test]
fn five_hundred_messages_never_exceed_a_small_window_and_none_is_lost() {
    for mut summaries in [Summaries::Short, Summaries::Endless, Summaries::Failing, Summaries::Silent] {
        let mut memory = in_memory();
        for n in 0..125 {
            memory.record(&[user(&format!("question {n} about herons {}", "and so on ".repeat(n % 9)))]).unwrap();
            run_room(&mut memory, &mut summaries, 600).unwrap();
            memory.record(&[call("f"), result("f", &"found ".repeat(n % 40))]).unwrap();
            run_room(&mut memory, &mut summaries, 600).unwrap();
            memory.record(&[reply(&format!("answer {n}"))]).unwrap();
            let (_, queue) = run_room(&mut memory, &mut summaries, 600).unwrap();
            let summary_count = queue.iter().filter(|m| matches!(m.body, Body::Summary { .. })).count();
            assert!(summary_count <= 1);
            for pair in queue.windows(2) {
                let is_result = matches!(pair[1].body, Body::FunctionResult { .. });
                assert!(!is_result || is_call_and_result(&pair[0], &pair[1]), "a result without its call");
            }
        }
        assert_eq!(memory.view().recall_count().unwrap(), 500);
        assert_eq!(found(&memory, "herons").len(), 125);
        let queue = memory.view().queue().unwrap();
        let Body::Summary { hidden_message_count, .. } = &queue[0].body else { panic!("no summary") };
        assert_eq!(*hidden_message_count as usize, 500 - (queue.len() - 1));
    }
}

#[test]
fn what_fits_is_left_alone() {
    let mut memory = in_memory();
    memory.record(&[user("hi"), reply("hello")]).unwrap();
    let before = memory.view().queue().unwrap();
    let (_, queue) = run_room(&mut memory, &mut Summaries::Failing, 600).unwrap();
    assert_eq!(queue, before);
}

#[test]
fn a_giant_message_is_paged_out_and_stays_readable() {
    let mut memory = in_memory();
    let text: String = (0..3000).map(|n| format!("sentence {n} is about the marsh. ")).collect();
    memory.record(&[user("hi"), reply("hello"), user(&text)]).unwrap();
    let (_, queue) = run_room(&mut memory, &mut Summaries::Short, 700).unwrap();
    let stub = queue.last().unwrap().stub.clone().unwrap();
    assert!(stub.contains("archival_memory_search") && stub.contains("sentence 0 is"), "{stub}");
    assert!(memory.view().archival_count().unwrap() > 50);
    let hits = memory.view().archival_search("sentence 2999 marsh", 0, 5).unwrap();
    assert!(hits.items[0].text.contains("sentence 2999 "), "{:?}", hits.items[0]);
    assert!(found(&memory, "marsh").contains(&text), "the message itself is whole");
}

#[test]
fn a_giant_result_is_cut_and_not_stored_again() {
    let mut memory = in_memory();
    memory.record(&[user("look"), call("archival_memory_search")]).unwrap();
    memory.record(&[result("archival_memory_search", &"marsh ".repeat(5000))]).unwrap();
    let (_, queue) = run_room(&mut memory, &mut Summaries::Short, 700).unwrap();
    assert!(queue.last().unwrap().stub.as_deref().unwrap().contains("narrower"));
    assert_eq!(memory.view().archival_count().unwrap(), 0);
}

#[test]
fn a_long_chain_of_calls_in_one_exchange_fits_too() {
    let mut memory = in_memory();
    memory.record(&[user("do it all")]).unwrap();
    for _ in 0..60 {
        memory.record(&[call("f"), result("f", &"thing ".repeat(20))]).unwrap();
        let (_, queue) = run_room(&mut memory, &mut Summaries::Short, 600).unwrap();
        assert!(queue.iter().any(|message| message.body == Body::User { text: "do it all".into() }));
        assert!(matches!(queue.last().unwrap().body, Body::FunctionResult { .. }));
    }
}

#[test]
fn a_window_that_cannot_work_is_an_error_with_numbers() {
    let mut memory = in_memory();
    let mut step = memory.step(1).unwrap();
    step.core_append(BlockLabel::Human, &"fact ".repeat(300)).unwrap();
    step.commit().unwrap();
    memory.record(&[user("hi")]).unwrap();
    let error = run_room(&mut memory, &mut Summaries::Short, 200).unwrap_err();
    assert!(
        matches!(error, Error::WindowTooSmall { needed_tokens, reserve_tokens: 50, window_tokens: 200 } if needed_tokens > 300),
        "{error:?}"
    );
    assert!(error.hint().contains("--context-window"));
}

#[test]
fn the_warning_comes_once_per_period() {
    let mut memory = in_memory();
    let limits = QueueLimits::default();
    assert!(!pressure(&mut memory, 400, &limits, 1000).unwrap());
    assert!(pressure(&mut memory, 700, &limits, 1000).unwrap());
    assert!(!pressure(&mut memory, 900, &limits, 1000).unwrap());
    memory.evict(&[], "summary", 1).unwrap();
    assert!(pressure(&mut memory, 700, &limits, 1000).unwrap());
}

#[test]
fn an_eviction_refreshes_core_memory_in_the_prompt() {
    let mut memory = in_memory();
    for n in 0..20 {
        memory.record(&[user(&format!("question {n}")), reply("answer")]).unwrap();
    }
    let mut context = context(&memory);
    let mut step = memory.step(1).unwrap();
    step.core_append(BlockLabel::Human, "Has a kite.").unwrap();
    step.commit().unwrap();
    let limits = QueueLimits::default();
    let report = summarize_now(&mut memory, &mut context, &mut Words, &mut Summaries::Short, &limits, 4000, 1).unwrap();
    assert!(report.evicted_messages >= 20 && report.has_changed(), "{report:?}");
    assert!(context.core_memory.contains("Has a kite."));
}

// Random interleavings against a simple model

#[derive(Debug, Clone)]
enum Action {
    User(u8),
    Exchange(u8),
    Append(u8),
    Archive(u8),
    Abandon(u8),
    Evict(usize),
    Pop(usize),
    Save(u8),
    Load(u8),
    Reopen,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => any::<u8>().prop_map(Action::User),
        3 => any::<u8>().prop_map(Action::Exchange),
        2 => (0_u8..20).prop_map(Action::Append),
        2 => (0_u8..20).prop_map(Action::Archive),
        1 => any::<u8>().prop_map(Action::Abandon),
        2 => (1_usize..5).prop_map(Action::Evict),
        2 => (1_usize..5).prop_map(Action::Pop),
        2 => (0_u8..3).prop_map(Action::Save),
        1 => (0_u8..3).prop_map(Action::Load),
        1 => Just(Action::Reopen),
    ]
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    human: String,
    summary: Option<String>,
    queue: Vec<String>,
    said: Vec<String>,
    passages: Vec<String>,
}

fn observed(memory: &AgentMemory) -> Model {
    let view = memory.view();
    let mut queue = texts(&view.queue().unwrap());
    let has_summary = view.queue().unwrap().first().is_some_and(|m| matches!(m.body, Body::Summary { .. }));
    let summary = has_summary.then(|| queue.remove(0));
    let mut said: Vec<String> = found(memory, "marker");
    said.sort();
    let mut passages: Vec<String> =
        view.archival_search("passage", 0, 1000).unwrap().items.into_iter().map(|hit| hit.text).collect();
    passages.sort();
    Model { human: view.core().unwrap().human.text, summary, queue, said, passages }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_interleavings_agree_with_a_simple_model(actions in proptest::collection::vec(action(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        let mut memory = AgentMemory::create(at(&path), &NewAgent::named("ada", 0)).unwrap();
        let mut model = Model::default();
        let mut saved: std::collections::HashMap<u8, Model> = std::collections::HashMap::new();
        let mut number = 0;
        for action in actions {
            number += 1;
            match action {
                Action::User(n) => {
                    let text = format!("marker {number} says {n}");
                    memory.record(&[user(&text)]).unwrap();
                    model.queue.push(text.clone());
                    model.said.push(text);
                }
                Action::Exchange(n) => {
                    let text = format!("marker {number} replies {n}");
                    let added = memory.record(&[call("f"), result("f", "r"), reply(&text)]).unwrap();
                    model.queue.extend(texts(&added));
                    model.said.push(text);
                }
                Action::Append(n) => {
                    let line = format!("Fact {n}.");
                    let mut step = memory.step(1).unwrap();
                    let outcome = step.core_append(BlockLabel::Human, &line);
                    let is_known = model.human.lines().any(|known| known == line);
                    prop_assert_eq!(outcome.is_err(), is_known);
                    step.commit().unwrap();
                    if !is_known {
                        let break_before = if model.human.is_empty() { "" } else { "\n" };
                        model.human = format!("{}{break_before}{line}", model.human);
                    }
                }
                Action::Archive(n) => {
                    let text = format!("passage {n}");
                    let mut step = memory.step(1).unwrap();
                    let is_known = model.passages.contains(&text);
                    prop_assert_eq!(step.archival_insert(&text, None).is_err(), is_known);
                    step.commit().unwrap();
                    if !is_known {
                        model.passages.push(text);
                    }
                }
                Action::Abandon(n) => {
                    let mut step = memory.step(1).unwrap();
                    step.record(&user(&format!("marker abandoned {n}"))).unwrap();
                    let _ = step.core_append(BlockLabel::Human, "abandoned");
                    let _ = step.archival_insert("passage abandoned", None);
                }
                Action::Evict(count) => {
                    let queue = memory.view().queue().unwrap();
                    let ids: Vec<_> = queue
                        .iter()
                        .filter(|message| !matches!(message.body, Body::Summary { .. }))
                        .take(count)
                        .map(|message| message.id)
                        .collect();
                    let summary = format!("summary {number}");
                    memory.evict(&ids, &summary, 1).unwrap();
                    model.queue.drain(..ids.len());
                    model.summary = Some(summary);
                }
                Action::Pop(count) => {
                    let before = model.queue.len();
                    match memory.pop(count) {
                        Ok(popped) => {
                            prop_assert!(popped.len() == count || popped.len() == count + 1);
                            for message in texts(&popped) {
                                model.said.retain(|said| *said != message);
                            }
                            model.queue.truncate(before - popped.len());
                        }
                        Err(error) => prop_assert!(before < count, "{:?}", error),
                    }
                }
                Action::Save(n) => {
                    memory.save_checkpoint(&format!("c{n}"), 1).unwrap();
                    saved.insert(n, model.clone());
                }
                Action::Load(n) => {
                    let outcome = memory.load_checkpoint(Some(&format!("c{n}")), 1);
                    prop_assert_eq!(outcome.is_ok(), saved.contains_key(&n));
                    if let Some(saved) = saved.get(&n) {
                        model = saved.clone();
                    }
                }
                Action::Reopen => {
                    drop(memory);
                    memory = AgentMemory::open(at(&path), "ada").unwrap();
                }
            }
            let mut expected = model.clone();
            expected.said.sort();
            expected.passages.sort();
            prop_assert_eq!(observed(&memory), expected);
        }
    }
}
