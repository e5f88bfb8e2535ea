//! `/forget`: what was forgotten is in no byte of the home, and the rest is where it was.

use std::path::{Path, PathBuf};

use mneme::dialect::Profile;
use mneme::inference::{Script, ScriptedReply};
use mneme::memory::{AgentMemory, Store, Wanted};
use mneme::types::{Body, Call, ManualClock, NewMessage, Status};
use serde_json::json;

use crate::harness::agent::{START_MS, Setting, Talk, answer, call};
use crate::harness::world::World;

const PROFILES: [Profile; 2] = [Profile::Native, Profile::Classic];
/// A word that no other text holds.
const SECRET: &str = "xanthoquark";

/// The files below `folder` that hold a word, in any case.
fn holding(folder: &Path, word: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, word));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap().to_ascii_lowercase();
        if bytes.windows(word.len()).any(|window| window == word.as_bytes()) {
            found.push(path);
        }
    }
    found
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
    drop(memory);
    std::fs::create_dir_all(home.join("logs")).unwrap();
    std::fs::write(home.join("logs/mneme.log"), format!("DEBUG prompt: {SECRET}\nDEBUG other\n")).unwrap();
    std::fs::write(home.join("history.txt"), "#V2\nMy word is Xanthoquark, by the way.\nAnd I keep bees.\n").unwrap();
    std::fs::copy(home.join("mneme.db"), home.join("mneme.db.v2-7.backup")).unwrap();
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
        for name in ["mneme.db", "mneme.db.v2-7.backup", "history.txt", "logs/mneme.log"] {
            assert!(before.contains(&home.join(name)), "{profile:?}: {name} is not in {before:?}");
        }
        let (_, messages_before, passages_before) = talk.memory();

        let notice = talk.notice("/forget XANTHOQUARK");
        for part in ["Deleted for good:", "2 passages", "1 line of core memory", "part", "2 lines typed or logged"] {
            assert!(notice.contains(part), "{profile:?}: {part:?} is not in {notice:?}");
        }
        assert!(!notice.to_lowercase().contains(SECRET), "{notice}");
        assert_eq!(holding(home, SECRET), Vec::<PathBuf>::new(), "{profile:?}, while the chat is open");

        let (core, messages, passages) = talk.memory();
        assert_eq!((core.human.as_str(), passages), ("The user keeps bees.", passages_before - 2), "{profile:?}");
        assert!(messages < messages_before && messages > 5, "{messages} of {messages_before}");
        talk.say("And what about the bees?");
        let prompt = talk.prompt();
        assert!(!prompt.to_lowercase().contains(SECRET), "{prompt}");
        assert!(prompt.contains("Bees came up, too.") && prompt.contains("The user keeps bees."), "{prompt}");
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
        let mut memory =
            AgentMemory::create(Store::open_in_memory().unwrap(), &mneme::memory::NewAgent::named("a", 0)).unwrap();
        memory.record(&[said("one"), asked(query), found(result), said("two")]).unwrap();
        let forgotten = memory.forget(&Wanted::new("xanthoquark")).unwrap();
        assert_eq!(forgotten.messages, if is_gone { 2 } else { 0 }, "{query}, {result}");
        assert_eq!(memory.view().queue().unwrap().len(), 4 - forgotten.messages);
    }
}

#[test]
fn the_passages_of_a_message_that_was_paged_out_go_with_it() {
    let mut memory =
        AgentMemory::create(Store::open_in_memory().unwrap(), &mneme::memory::NewAgent::named("a", 0)).unwrap();
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
    let mut other = AgentMemory::create(store(), &mneme::memory::NewAgent::named("bo", 0)).unwrap();
    other.record(&[said("my xanthoquark")]).unwrap();
    let mut memory = AgentMemory::create(store(), &mneme::memory::NewAgent::named("a", 0)).unwrap();
    memory.record(&[said("my xanthoquark")]).unwrap();
    let forgotten = memory.forget(&Wanted::new("xanthoquark")).unwrap();
    assert_eq!((forgotten.messages, forgotten.elsewhere.as_slice()), (1, ["bo".to_owned()].as_slice()));
    assert_eq!(other.view().recall_count().unwrap(), 1);
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
    screen.until_prompt();
    screen.leave();
    assert_eq!(holding(world.home.path(), SECRET), Vec::<PathBuf>::new());
    let history = std::fs::read_to_string(world.home.path().join("history.txt")).unwrap();
    assert!(history.contains("Good day."), "{history}");
}
