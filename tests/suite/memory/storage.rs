//! Agents, files and transactions.

use std::path::Path;

use mneme::memory::{AgentMemory, BlockLabel, EditError, Error, NewAgent, Store};
use mneme::types::ManualClock;

use super::{at, call, found, in_memory, reply_body, result, texts, user};

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
    let mut bob = AgentMemory::create(ada.into_store(), &NewAgent::named("bob", 1)).unwrap();
    assert!(found(&bob, "heron").is_empty());
    assert_eq!(bob.view().archival_search("heron", 0, 5).unwrap().total, 0);
    assert_eq!(bob.view().recall_count().unwrap() + bob.view().archival_count().unwrap(), 0);
    bob.record(&[user("another heron")]).unwrap();
    let ada = AgentMemory::open(bob.into_store(), "ada").unwrap();
    assert_eq!(found(&ada, "heron"), ["a heron stands"]);
    let store = AgentMemory::open(ada.into_store(), "bob").unwrap().discard().unwrap();
    let ada = AgentMemory::open(store, "ada").unwrap();
    assert_eq!(found(&ada, "heron"), ["a heron stands"], "also when no other agent is left");
}

#[test]
fn an_agent_that_is_not_there_is_answered_with_those_that_are_the_nearest_name_first() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Store::open(&folder.path().join("mneme.db"), &ManualClock::at(0)).unwrap();
    let error = AgentMemory::open(open(), "carla").unwrap_err();
    assert_eq!(error.to_string(), "there is no agent carla");
    assert!(error.hint().contains("mneme run --agent"), "{}", error.hint());
    for (at_ms, name) in (0..).zip(["karla", "clara", "klaus"]) {
        drop(AgentMemory::create(open(), &NewAgent::named(name, at_ms)).unwrap());
    }
    let error = AgentMemory::open(open(), "carla").unwrap_err();
    assert_eq!(error.to_string(), "there is no agent carla; there are karla, clara, klaus");
    for number in 0..20 {
        drop(AgentMemory::create(open(), &NewAgent::named(&format!("x{number}"), 10)).unwrap());
    }
    let error = open().view("carla").unwrap_err().to_string();
    assert!(error.contains("there are karla, clara, klaus, x19, ") && error.ends_with(" and 15 more"), "{error}");
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
    assert_eq!(texts(&memory.view().queue().unwrap()), ["all of it"]);
}

#[test]
fn a_killed_process_leaves_what_it_had_committed_and_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let mut memory = AgentMemory::create(at(&path), &NewAgent::named("ada", 0)).unwrap();
    memory.record(&[user("committed")]).unwrap();
    let mut step = memory.step(5).unwrap();
    step.record(&call("core_memory_append")).unwrap();
    step.core_append(BlockLabel::Human, "Has a kite.").unwrap();
    // What a kill at this moment leaves on the disk: the files as they are, the log not merged.
    let copy = folder.path().join("copy.db");
    for suffix in ["", "-wal"] {
        let name = |base: &Path| format!("{}{suffix}", base.display());
        std::fs::copy(name(&path), name(&copy)).unwrap();
    }
    step.commit().unwrap();
    let survivor = AgentMemory::open(at(&copy), "ada").unwrap();
    assert_eq!(texts(&survivor.view().queue().unwrap()), ["committed"]);
    assert_eq!(survivor.view().core().unwrap().human.text, "");
    assert_eq!(memory.view().queue().unwrap().len(), 2);
}
