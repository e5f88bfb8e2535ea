//! `/forget`: what was forgotten is in no byte of the home, and the rest is where it was.

mod purge;
mod rows;

use std::path::{Path, PathBuf};

use mneme::dialect::Profile;
use mneme::inference::{Engine, Script, ScriptedEngine, ScriptedReply};
use mneme::memory::{AgentMemory, Store};
use mneme::types::{Body, Cancel, Draft, ManualClock, NewMessage, TokenId};
use serde_json::json;

use crate::harness::agent::{START_MS, Setting, Talk, answer, call};
use crate::harness::embedder::HashEmbedder;
use crate::harness::world::World;

const PROFILES: [Profile; 2] = [Profile::Native, Profile::Classic];
/// A word that no other text holds.
const SECRET: &str = "xanthoquark";

/// The files below `folder`, with what stands in them.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found
}

/// The files below `folder` that hold a word, in any case. A state of the KV cache is looked through as the text of its
/// tokens.
fn holding(folder: &Path, word: &str) -> Vec<PathBuf> {
    let holds = |(path, bytes): &(PathBuf, Vec<u8>)| {
        let is_state = path.extension().is_some_and(|extension| extension == "kv");
        let bytes = if is_state { spelled(bytes) } else { bytes.clone() };
        has(&bytes.to_ascii_lowercase(), word.as_bytes())
    };
    files(folder).into_iter().filter(holds).map(|(path, _)| path).collect()
}

fn has(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// The text of the tokens in a state of the scripted engine, which lie behind magic and checksum.
fn spelled(state: &[u8]) -> Vec<u8> {
    let engine = ScriptedEngine::new(Script::default());
    let tokens = state[40..].chunks_exact(4).map(|bytes| TokenId(u32::from_le_bytes(bytes.try_into().unwrap())));
    tokens.flat_map(|token| engine.vocab().bytes(token).to_vec()).collect()
}

/// The low and high bytes of every vector of a text that holds the secret.
fn vectors_of_the_secret(home: &Path) -> Vec<Vec<u8>> {
    let database = rusqlite::Connection::open(home.join("mneme.db")).unwrap();
    let mut found = Vec::new();
    for (table, of, text) in [("message_vectors", "messages", "searchable"), ("passage_vectors", "passages", "text")] {
        let sql =
            format!("SELECT v.codes FROM {table} v JOIN {of} t ON t.id = v.id WHERE lower(t.{text}) LIKE '%{SECRET}%'");
        let mut statement = database.prepare(&sql).unwrap();
        found.extend(statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap().map(Result::unwrap));
    }
    found
}

/// How often the secret stands in the marks of turns.
fn marks_with_the_secret(home: &Path) -> i64 {
    let database = rusqlite::Connection::open(home.join("mneme.db")).unwrap();
    let sql = format!("SELECT count(*) FROM turn_marks WHERE lower(state) LIKE '%{SECRET}%'");
    database.query_row(&sql, [], |row| row.get(0)).unwrap()
}

fn open(home: &Path) -> Store {
    Store::open(&home.join("mneme.db"), &ManualClock::at(START_MS)).unwrap()
}

fn always(when: &str, reply: &str) -> ScriptedReply {
    ScriptedReply { when: Some(when.to_owned()), reply: reply.to_owned(), repeat: true, ..ScriptedReply::default() }
}

fn talk(profile: Profile, home: &Path) -> Talk {
    let then = |text: String| ScriptedReply { reply: text, ..ScriptedReply::default() };
    let mut setting = Setting::new(profile, &[]);
    let replies = vec![
        always("Write a summary of them", "We spoke about the Xanthoquark of the user. Bees came up, too."),
        always("nearly filled", ""),
        always("system_alert", ""),
        then(call(
            profile,
            "core_memory_append",
            &[("section", "\"human\""), ("content", "\"The user's word is Xanthoquark.\"")],
        )),
        then(answer(profile, "Noted.")),
        then(call(profile, "core_memory_append", &[("section", "\"human\""), ("content", "\"The user keeps bees.\"")])),
        then(answer(profile, "Bees, how nice.")),
        then(call(profile, "archival_memory_insert", &[("content", "\"A note on the XANTHOQUARK of today.\"")])),
        then(answer(profile, "I have put the xanthoquark away.")),
    ];
    setting.script = Script { context_window: 3072, replies, otherwise: setting.script.otherwise, ..Script::default() };
    setting.open_in(open(home))
}

/// A talk in whose home the secret stands everywhere that it can stand.
fn filled(profile: Profile, home: &Path) -> Talk {
    let mut talk = talk(profile, home);
    talk.notice("/systemswap You are kind.\nThe word is Xanthoquark.\nYou say so.");
    talk.say("My word is Xanthoquark, by the way.");
    talk.say("And I keep bees.");
    talk.notice("/save early");
    talk.say("Put a note on it away.");
    for turn in 0..60 {
        talk.say(&format!("Turn {turn}: {}", "the weather was fine over the old house ".repeat(6)));
        if talk.notice("/dump").contains("Bees came up, too") {
            break;
        }
    }
    talk.say("What was it again, xanthoquark?");
    talk.notice("/save late");
    drop(talk);
    let mut memory = AgentMemory::open(open(home), "t").unwrap();
    let mut step = memory.step(START_MS).unwrap();
    step.archival_insert("From an old diary: the xanthoquark slept.", Some("diary")).unwrap();
    step.archival_insert("From an old diary: the house was cold.", Some("diary")).unwrap();
    step.commit().unwrap();
    let body = Body::User { text: "Good day to all of you.".to_owned() };
    memory.record(&[NewMessage { at_ms: START_MS, body, interrupted: false }]).unwrap();
    memory.embed_pending(&mut HashEmbedder::new(), &Cancel::new(), &mut |_| {}).unwrap();
    drop(memory);
    let database = rusqlite::Connection::open(home.join("mneme.db")).unwrap();
    let speaker = "UPDATE messages SET speaker = 'Dr Xanthoquark' WHERE searchable = 'Good day to all of you.'";
    assert_eq!(database.execute(speaker, []).unwrap(), 1);
    drop(database);
    let draft = Draft::new(home, "t", "human", "The user keeps bees.").path;
    std::fs::write(&draft, "The user keeps bees.\nAnd a xanthoquark.\n").unwrap();
    let swap = format!(".{}.swp", draft.file_name().unwrap().to_str().unwrap());
    std::fs::write(home.join(swap), "b0VIM 9.0 xanthoquark").unwrap();
    std::fs::create_dir_all(home.join("logs")).unwrap();
    std::fs::write(home.join("logs/mneme.log"), format!("DEBUG prompt: {SECRET}\nDEBUG other\n")).unwrap();
    std::fs::write(home.join("history.txt"), "#V2\nMy word is Xanthoquark, by the way.\nAnd I keep bees.\n").unwrap();
    for copy in ["mneme.db.v2-7.backup", "mneme.db.part", "mneme.db.part-journal"] {
        std::fs::copy(home.join("mneme.db"), home.join(copy)).unwrap();
    }
    talk_again(profile, home)
}

fn talk_again(profile: Profile, home: &Path) -> Talk {
    let mut setting = Setting::new(profile, &[]);
    setting.script.context_window = 3072;
    setting.open_in(open(home))
}

#[test]
fn what_was_forgotten_is_in_no_byte_of_the_home_and_the_rest_is_there() {
    for profile in PROFILES {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        let mut talk = filled(profile, home);
        let before = holding(home, SECRET);
        let is_in = |end: &str| before.iter().any(|path| path.to_str().unwrap().ends_with(end));
        let copies = ["mneme.db", "mneme.db.v2-7.backup", "mneme.db.part", "mneme.db.part-journal"];
        let others = ["history.txt", "logs/mneme.log", ".kv", ".draft.txt", ".draft.txt.swp"];
        for end in copies.iter().chain(&others) {
            assert!(is_in(end), "{profile:?}: {end} is not in {before:?}");
        }
        let vectors = vectors_of_the_secret(home);
        assert!(vectors.len() > 4 && marks_with_the_secret(home) > 4, "{profile:?}: {}", vectors.len());
        let (_, messages_before, passages_before) = talk.memory();

        let notice = talk.notice("/forget XANTHOQUARK");
        for part in [
            "Deleted for good:",
            "2 passages",
            "1 line of core memory",
            "1 line of the system instructions",
            "part",
            "2 lines typed or logged",
            "2 drafts",
            "3 copies of the database",
        ] {
            assert!(notice.contains(part), "{profile:?}: {part:?} is not in {notice:?}");
        }
        assert!(!notice.to_lowercase().contains(SECRET), "{notice}");
        assert_eq!(holding(home, SECRET), Vec::<PathBuf>::new(), "{profile:?}, while the chat is open");
        let left = files(home).into_iter().filter(|(_, bytes)| vectors.iter().any(|vector| has(bytes, vector)));
        assert_eq!(left.map(|(path, _)| path).collect::<Vec<_>>(), Vec::<PathBuf>::new(), "{profile:?}, vectors");

        let (core, messages, passages) = talk.memory();
        assert_eq!((core.human.as_str(), passages), ("The user keeps bees.", passages_before - 2), "{profile:?}");
        assert!(messages < messages_before && messages > 5, "{messages} of {messages_before}");
        talk.say("And what about the bees?");
        let prompt = talk.prompt();
        assert!(!prompt.to_lowercase().contains(SECRET), "{prompt}");
        assert!(prompt.contains("Bees came up, too.") && prompt.contains("The user keeps bees."), "{prompt}");
        assert!(prompt.contains("You are kind.") && prompt.contains("You say so."), "{prompt}");
        for name in ["early", "late"] {
            assert_eq!(talk.notice(&format!("/load {name}")), format!("Back at {name}."));
            talk.say("Are you there?");
            assert!(!talk.prompt().to_lowercase().contains(SECRET), "{profile:?}, {name}");
            assert!(talk.prompt().contains("keeps bees"), "{profile:?}, {name}");
        }
        assert_eq!(talk.notice("/forget xanthoquark"), "Nothing was found that holds this text.");
        drop(talk);
        assert_eq!(holding(home, SECRET), Vec::<PathBuf>::new(), "{profile:?}, after the chat");
        assert_eq!(std::fs::read_to_string(home.join("history.txt")).unwrap(), "#V2\nAnd I keep bees.\n");
        assert_eq!(std::fs::read_to_string(home.join("logs/mneme.log")).unwrap(), "DEBUG other\n");
    }
}

#[test]
fn a_text_that_is_no_text_is_refused() {
    let world = World::new();
    let mut program = world.start(json!([]), &[]);
    program.say("Ab is a short word.");
    for wrong in ["/forget", "/forget ab", "/forget   a "] {
        let events = program.command(wrong);
        let error = events.last().unwrap();
        assert_eq!(error["type"], "error", "{wrong}: {error}");
        assert!(error["hint"].as_str().unwrap().starts_with("usage: /forget TEXT"), "{wrong}: {error}");
    }
    assert_eq!(program.memory()["recall_count"], 3);
    let events = program.command("/forget nothing of this kind");
    assert_eq!(events.last().unwrap()["text"], "Nothing was found that holds this text.");
    assert!(program.close().success());
}

#[cfg(unix)]
#[test]
fn on_a_terminal_the_typed_lines_go_too_and_do_not_come_back() {
    let world = World::new();
    let mut screen = world.screen(&json!({"replies": [{"reply": "Hello."}], "otherwise": "All right."}));
    screen.until_prompt();
    screen.line("My word is Xanthoquark, by the way.");
    screen.until("reply", |text| text.contains("Hello."));
    screen.until_prompt();
    screen.line("/forget xanthoquark");
    screen.until("notice", |text| text.contains("Deleted for good: 1 message, 1 line typed or logged."));
    screen.until_prompt();
    screen.line("Good day.");
    // The prompt stands on the screen already: what is typed before the reply would be lost.
    screen.until("reply", |text| text.contains("All right."));
    screen.until_prompt();
    screen.leave();
    assert_eq!(holding(world.home.path(), SECRET), Vec::<PathBuf>::new());
    let history = std::fs::read_to_string(world.home.path().join("history.txt")).unwrap();
    assert!(history.contains("Good day."), "{history}");
}

#[test]
fn instructions_that_were_forgotten_leave_the_prompt_and_no_state_of_it_is_saved_again() {
    for profile in PROFILES {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        let mut talk = talk_again(profile, home);
        let default = talk.notice("/systemswap");
        talk.notice("/systemswap You know of the Xanthoquark.");
        talk.say("Hello.");
        assert!(talk.prompt().contains("You know of the Xanthoquark."), "{profile:?}");
        assert!(talk.notice("/forget xanthoquark").contains("1 line of the system instructions"), "{profile:?}");
        talk.say("Hello again.");
        assert!(!talk.prompt().to_lowercase().contains(SECRET), "{}", talk.prompt());
        assert_eq!(talk.notice("/systemswap"), default, "{profile:?}: nothing is left, and the default holds");
        drop(talk);
        assert_eq!(holding(home, SECRET), Vec::<PathBuf>::new(), "{profile:?}");
        let states = files(home).into_iter().filter(|(path, _)| path.extension().is_some_and(|kind| kind == "kv"));
        assert_eq!(states.count(), 1, "{profile:?}: the state of the prompt as it is now");
    }
}

#[test]
fn what_is_not_found_leaves_the_copies_of_the_database_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let mut talk = talk_again(Profile::Native, home);
    talk.say("My word is Xanthoquark.");
    let copy = home.join("mneme.db.before-restore-7.backup");
    std::fs::write(&copy, "a copy").unwrap();
    assert_eq!(
        talk.notice("/forget nothing of this kind"),
        "Nothing was found that holds this text. Copies of the database were not looked into, and stay: \
         mneme.db.before-restore-7.backup."
    );
    assert!(copy.exists());
    assert_eq!(
        talk.notice("/forget xanthoquark"),
        "Deleted for good: 1 message, 1 copy of the database (mneme.db.before-restore-7.backup)."
    );
    assert!(!copy.exists());
}

#[test]
fn drafts_of_other_agents_stay_and_are_named_and_those_of_none_go() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    drop(AgentMemory::create(open(home), &mneme::memory::NewAgent::named("bo", 0)).unwrap());
    let draft = |agent: &str, text: &str| {
        let path = Draft::new(home, agent, "human", "").path;
        std::fs::write(&path, text).unwrap();
        path
    };
    let (others, nobodys) = (draft("bo", "A xanthoquark."), draft("gone", "A xanthoquark."));
    let own = draft("t", "A kite.");
    let mut talk = talk_again(Profile::Native, home);
    assert_eq!(
        talk.notice("/forget xanthoquark"),
        "Deleted for good: 1 draft. It still stands in what other agents have: bo."
    );
    assert_eq!((others.exists(), nobodys.exists(), own.exists()), (true, false, true));
}
