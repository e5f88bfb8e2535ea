//! The memory pass: what the user said is looked at once more after the answer, and lands in core memory.

use std::path::Path;

use mneme::config::Idle;
use mneme::dialect::Profile;
use mneme::inference::{Script, ScriptedReply};
use mneme::kernel::Request;
use mneme::memory::Store;
use mneme::types::{Cause, Event, ManualClock, Status};
use serde_json::{Value, json};

use crate::harness::agent::{START_MS, Setting, Talk, answer};
use crate::harness::program::{Program, script, types};

/// The classic profile has no passes: there the model edits its memory itself.
const PROFILES: [Profile; 1] = [Profile::Native];
/// Stands in the prompt of every pass and in no other.
const PASS_MARK: &str = "You keep short notes about the user of a chat";

/// Stands in the prompt of every comparison of a fact with a note and in no other.
const COMPARISON_MARK: &str = "You compare a new fact about the user of a chat";

/// Stands in the prompt of every renewal of a note by a message and in no other.
const RENEWAL_MARK: &str = "You keep notes about the user of a chat up to date";

/// What the model finds in each message, in this order of precedence, and nothing in all others; a fact replaces a note
/// where the pair of beginnings is in `updates`, and has nothing to do with it otherwise.
fn setting_with_updates(profile: Profile, findings: &[(&str, &str)], updates: &[(&str, &str)]) -> Setting<'static> {
    let reply = |when: String, reply: &str| ScriptedReply {
        when: Some(when),
        reply: reply.to_owned(),
        repeat: true,
        ..ScriptedReply::default()
    };
    let mut setting = Setting::new(profile, &[]);
    setting.script = Script {
        replies: findings
            .iter()
            .map(|(message, finding)| reply(format!("Message:\n{message}"), finding))
            .chain(updates.iter().map(|(note, fact)| reply(format!("Old note: {note}\nNew fact: {fact}"), "UPDATE")))
            .chain([reply("Old note: ".to_owned(), "OTHER"), reply("Message:\n".to_owned(), "NONE")])
            .collect(),
        otherwise: Some(answer(profile, "All right.")),
        ..Script::default()
    };
    setting.config.memory_pass = Some(true);
    setting.idle = Idle::Wait;
    setting
}

fn setting(profile: Profile, findings: &[(&str, &str)]) -> Setting<'static> {
    setting_with_updates(profile, findings, &[])
}

/// Prompts of passes over messages, and those of the conversation.
fn passes_and_prompts(talk: &Talk) -> (Vec<String>, Vec<String>) {
    let of_notes = |prompt: &String| prompt.contains(COMPARISON_MARK) || prompt.contains(RENEWAL_MARK);
    let prompts = talk.log.prompts().into_iter().filter(|prompt| !of_notes(prompt));
    prompts.partition(|prompt| prompt.contains(PASS_MARK))
}

/// The questions about a note and a fact, without instructions and examples.
fn comparisons(talk: &Talk) -> Vec<String> {
    let prompts = talk.log.prompts();
    let asked = prompts.iter().filter(|prompt| prompt.contains(COMPARISON_MARK));
    asked
        .map(|prompt| prompt[prompt.rfind("Old note: ").unwrap()..].replace("<|im_end|>\n<|im_start|>assistant\n", ""))
        .collect()
}

fn statuses(events: &[Event]) -> Vec<Status> {
    events
        .iter()
        .filter_map(|event| if let Event::Result { status, .. } = event { Some(*status) } else { None })
        .collect()
}

#[test]
fn a_fact_that_the_user_told_lands_in_core_memory() {
    for profile in PROFILES {
        let two = "FACT: The user has a kayak.\nFACT: The user's sister is called Odile.";
        let mut talk = setting(profile, &[("My sister Odile gave me her kayak.", two)]).open();
        let events = talk.say("My sister Odile gave me her kayak.");
        assert_eq!(statuses(&events), [Status::Ok, Status::Ok], "{events:?}");
        assert_eq!(talk.memory().0.human, "The user has a kayak.\nThe user's sister is called Odile.");
        let (passes, _) = passes_and_prompts(&talk);
        assert_eq!(passes.len(), 1);
        assert!(talk.log.generations().iter().all(|generation| !generation.diverged), "{profile:?}");
    }
}

#[test]
fn what_is_told_beside_a_wish_is_noted_too() {
    let (role, told) = ("Your role: be blunt with me.", "I'm learning the oboe.");
    let findings = [(told, "FACT: The user is learning the oboe."), (role, "YOU: Be blunt with me.")];
    let mut talk = setting(Profile::Native, &findings).open();
    let events = talk.say(&format!("{told} {role}"));
    assert_eq!(statuses(&events), [Status::Ok, Status::Ok], "{events:?}");
    let core = talk.memory().0;
    assert_eq!(core.human, "The user is learning the oboe.");
    assert!(core.persona.ends_with("\nI am blunt with the user."), "{}", core.persona);
}

#[test]
fn a_note_that_became_untrue_is_replaced_and_the_next_prompt_tells_so() {
    for profile in PROFILES {
        let mut setting = setting_with_updates(
            profile,
            &[("I moved out of the tent.", "FACT: The user lives in a mill.")],
            &[("The user lives in a tent.", "The user lives in a mill.")],
        );
        setting.human = "The user has a kayak.\nThe user lives in a tent.";
        let mut talk = setting.open();
        talk.say("I moved out of the tent.");
        assert_eq!(talk.memory().0.human, "The user has a kayak.\nThe user lives in a mill.");
        talk.say("Anything new?");
        let (_, prompts) = passes_and_prompts(&talk);
        let told = "your notes have changed:\nThe user lives in a mill. (no longer: The user lives in a tent.)";
        let prompt = prompts.last().unwrap();
        let at = |text: &str| prompt.find(text).unwrap_or_else(|| panic!("no {text:?} in {prompt}"));
        assert!(at("I moved out of the tent.") < at(told) && at(told) < at("Anything new?"), "{prompt}");
        let fact = "New fact: The user lives in a mill.";
        let asked =
            ["The user lives in a tent.", "The user has a kayak."].map(|note| format!("Old note: {note}\n{fact}"));
        assert_eq!(comparisons(&talk), asked);
    }
}

#[test]
fn a_note_is_renewed_by_a_message_whose_facts_do_not_say_it() {
    let told = "They swapped tutors: Mr Brandt left, Ms Orrin took over.";
    let mut setting = setting(Profile::Native, &[(told, "FACT: Ms Orrin took over.")]);
    setting.human = "The user's tutor is Mr Brandt.\nThe user has a kayak.";
    let renewed = ScriptedReply {
        when: Some("Old note: The user's tutor is Mr Brandt.\nMessage: ".to_owned()),
        reply: "The user's tutor is Ms Orrin.".to_owned(),
        ..ScriptedReply::default()
    };
    setting.script.replies.insert(0, renewed);
    let mut talk = setting.open();
    talk.say(told);
    let human = "The user's tutor is Ms Orrin.\nThe user has a kayak.\nMs Orrin took over.";
    assert_eq!(talk.memory().0.human, human);
}

#[test]
fn a_message_without_a_fact_changes_nothing() {
    for profile in PROFILES {
        let mut setting = setting(profile, &[]);
        setting.human = "The user has a kayak.";
        let mut talk = setting.open();
        let before = talk.memory().0;
        let events = talk.request_with_causes(Request::User { text: "The lake is deep.".to_owned() });
        assert!(events.iter().all(|(cause, _)| *cause == Cause::User), "{events:?}");
        assert_eq!(talk.memory().0, before);
        assert_eq!(passes_and_prompts(&talk).0.len(), 1, "it was looked at");
    }
}

#[test]
fn a_message_that_only_asks_costs_no_look() {
    let mut talk = setting(Profile::Native, &[]).open();
    talk.say("How deep is the lake?");
    assert!(passes_and_prompts(&talk).0.is_empty());
    talk.say("Can my lake be deep?");
    assert_eq!(passes_and_prompts(&talk).0.len(), 1);
}

#[test]
fn a_name_for_the_agent_replaces_the_one_in_its_persona() {
    for profile in PROFILES {
        let mut setting = setting(profile, &[("From now on you are Fern.", "YOU: My name is Fern.")]);
        setting.persona = "My name is Mneme.\nI am calm.";
        let mut talk = setting.open();
        talk.say("From now on you are Fern.");
        let core = talk.memory().0;
        assert_eq!(core.persona, "My name is Fern.\nI am calm.");
        assert_eq!(core.human, "");
    }
}

#[test]
fn a_fact_that_is_told_twice_is_saved_once() {
    let kayak = "FACT: The user has a kayak.";
    let mut talk =
        setting(Profile::Native, &[("I have a kayak.", kayak), ("Did I say that I have a kayak?", kayak)]).open();
    talk.say("I have a kayak.");
    let events = talk.say("Did I say that I have a kayak?");
    assert!(statuses(&events).is_empty(), "{events:?}");
    assert_eq!(talk.memory().0.human, "The user has a kayak.");
}

/// No window in which an agent opens is too narrow for its notes of that day; those of another program can be longer.
#[test]
fn a_note_too_long_to_be_compared_keeps_no_fact_out() {
    let long = "漢".repeat(1800);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.db");
    let mut setting = setting(Profile::Native, &[("I have a kayak.", "FACT: The user has a kayak.")]);
    setting.script.context_window = 4096;
    let mut talk = setting.open_in(Store::open(&path, &ManualClock::at(START_MS)).unwrap());
    let human = format!("The user lives in a tent.\n{long}");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute("UPDATE core_memory SET text = ?1 WHERE label = 'human'", [&human]).unwrap();
    let events = talk.say("I have a kayak.");
    assert_eq!(statuses(&events), [Status::Ok], "{events:?}");
    assert_eq!(talk.memory().0.human, human, "the window has no room for more");
    assert!(talk.notice("/archival kayak").contains("The user has a kayak."));
    let short = "Old note: The user lives in a tent.\nNew fact: The user has a kayak.";
    assert_eq!(comparisons(&talk), [short], "the other one does not fit");
}

#[test]
fn memory_waits_for_the_passes_that_are_due() {
    let mut setting = setting_with_updates(
        Profile::Native,
        &[("I have a kayak.", "FACT: The user has a kayak."), ("It is green.", "FACT: The user has a green kayak.")],
        &[("The user has a kayak.", "The user has a green kayak.")],
    );
    setting.idle = Idle::Now;
    let mut talk = setting.open();
    talk.say("I have a kayak.");
    talk.say("It is green.");
    assert!(passes_and_prompts(&talk).0.is_empty(), "nobody has waited yet");
    let events = talk.request_with_causes(Request::Command { text: "/memory".to_owned() });
    let (last, idle) = events.split_last().unwrap();
    assert!(idle.iter().all(|(cause, _)| *cause == Cause::Idle), "{events:?}");
    assert_eq!(idle.len(), 4, "{events:?}");
    let (Cause::Command, Event::Memory { core, .. }) = last else { panic!("{last:?}") };
    assert_eq!(core.human, "The user has a green kayak.", "in the order in which it was said");
}

#[test]
fn a_pass_leaves_the_cache_of_the_conversation_alone() {
    for profile in PROFILES {
        let mut setting = setting(profile, &[("I have a kayak.", "FACT: The user has a kayak.")]);
        // So much that reading it anew would show.
        setting.persona = "I am calm, I like the sea, and I know the names of the winds, the stars, the islands and the \
                           boats of this coast. I have an ear for old stories about storms, lighthouses and smugglers, \
                           and I tell them when the evening is long, the tea is hot and the rain beats on the window. I \
                           never hurry, I never boast, and I ask back when something is not clear to me.";
        let mut talk = setting.open();
        talk.say("I have a kayak.");
        let events = talk.say("And it is windy.");
        let Some(Event::Turn(report)) = events.last() else { panic!("{events:?}") };
        assert_eq!(passes_and_prompts(&talk).0.len(), 2);
        let of_conversation =
            |prompt: &str| [PASS_MARK, COMPARISON_MARK, RENEWAL_MARK].iter().all(|mark| !prompt.contains(mark));
        let mut prompts = talk.log.generations();
        prompts.retain(|generation| of_conversation(&generation.text));
        let [first, second] = prompts.as_slice() else { panic!("{} prompts", prompts.len()) };
        assert!(second.prompt.starts_with(&first.prompt), "{profile:?}: {}", second.text);
        let new = (second.prompt.len() - first.prompt.len()) as u64;
        assert!(report.tokens_read <= new, "{profile:?}: {new} tokens are new: {report:?}");
        assert!(report.idle_passes > 0, "{report:?}");
    }
}

#[test]
fn a_message_is_looked_at_once_also_after_a_pop_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let open = |folder: &Path| {
        let store = Store::open(&folder.join("mneme.db"), &ManualClock::at(START_MS)).unwrap();
        setting(Profile::Native, &[("I have a kayak.", "FACT: The user has a kayak.")]).open_in(store)
    };
    let mut talk = open(folder.path());
    talk.say("I have a kayak.");
    assert_eq!(talk.notice("/pop 2"), "Removed the last 2 messages.");
    talk.memory();
    talk.say("It went well.");
    let looked_at = passes_and_prompts(&talk).0;
    assert_eq!(looked_at.len(), 2, "{looked_at:?}");
    assert!(looked_at[0].contains("Message:\nI have a kayak.") && looked_at[1].contains("Message:\nIt went well."));
    drop(talk);
    let mut talk = open(folder.path());
    assert_eq!(talk.memory().0.human, "The user has a kayak.");
    talk.say("Hello again.");
    let looked_at = passes_and_prompts(&talk).0;
    assert_eq!(looked_at.len(), 1, "{looked_at:?}");
    assert!(looked_at[0].contains("Message:\nHello again."));
}

#[test]
fn a_message_that_was_removed_before_its_pass_is_not_looked_at() {
    let mut setting = setting(Profile::Native, &[("I have a kayak.", "FACT: The user has a kayak.")]);
    setting.idle = Idle::Now;
    let mut talk = setting.open();
    talk.say("I have a kayak.");
    talk.notice("/pop 2");
    assert_eq!(talk.memory().0.human, "");
    assert!(passes_and_prompts(&talk).0.is_empty());
}

/// A script for the program, with memory passes on in `home`.
fn program(home: &Path, token_delay_ms: u64, arguments: &[&str]) -> Program {
    std::fs::write(home.join("config.toml"), "memory_pass = true\n").unwrap();
    let replies = json!([
        {"when": "Message:\nI have a kayak.", "reply": "FACT: The user has a kayak that is green and rather old.", "repeat": true},
        {"when": "Message:\n", "reply": "NONE", "repeat": true},
    ]);
    let content = json!({"replies": replies, "otherwise": "Ah.", "token_delay_ms": token_delay_ms});
    let arguments = [&["--agent", "a"], arguments].concat();
    Program::start(home, &script(home, &content), &arguments)
}

#[test]
fn idle_work_comes_before_the_turn_where_it_is_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let mut program = program(home.path(), 0, &["--idle", "wait"]);
    let events = program.say("I have a kayak.");
    assert_eq!(types(&events), ["message", "call", "result", "turn"]);
    for event in events.iter().filter(|event| matches!(event["type"].as_str(), Some("call" | "result"))) {
        assert_eq!((&event["cause"], &event["seq"]), (&json!("idle"), &Value::Null), "{event}");
    }
    let turn = events.last().unwrap();
    assert_eq!(turn["cause"], "user");
    assert!(turn["idle_passes"].as_u64().unwrap() > 0, "{turn}");
    let memory = program.memory();
    assert_eq!(memory["core"]["human"], "The user has a kayak that is green and rather old.");
}

#[test]
fn a_pass_that_a_kill_cut_off_is_made_up_for_after_the_restart() {
    let home = tempfile::tempdir().unwrap();
    // The pass takes some twenty tokens, so a second at least; the kill comes with the turn.
    let mut first = program(home.path(), 60, &[]);
    let events = first.say("I have a kayak.");
    assert!(!types(&events).contains(&"call"), "{events:?}");
    first.kill();
    let mut second = program(home.path(), 0, &[]);
    let memory = second.memory();
    assert_eq!(memory["core"]["human"], "The user has a kayak that is green and rather old.");
}

#[test]
fn the_model_runs_nothing_before_the_first_input_line() {
    let home = tempfile::tempdir().unwrap();
    let mut first = program(home.path(), 60, &[]);
    first.say("I have a kayak.");
    first.kill();
    let mut second = program(home.path(), 0, &[]);
    // Long enough for a pass of a scripted model, were it made.
    std::thread::sleep(std::time::Duration::from_millis(400));
    assert_eq!(types(&second.command("/dump")), ["notice"]);
}

#[test]
fn facts_for_which_the_window_has_no_room_are_kept_in_archival_storage() {
    // Three tokens a character: the coarse bound by characters lets through what the measure then refuses. An answer of
    // a pass has at most 256 tokens.
    let facts: Vec<String> = (0..14)
        .map(|n| format!("The user likes {}.", ["生日", "蛋糕", "很好", "吃的", "中文"][n % 5].repeat(20 + n)))
        .collect();
    let messages: Vec<String> = facts.iter().map(|fact| fact.replace("The user likes", "I like")).collect();
    let findings: Vec<String> = facts.iter().map(|fact| format!("FACT: {fact}")).collect();
    let pairs: Vec<(&str, &str)> =
        messages.iter().map(String::as_str).zip(findings.iter().map(String::as_str)).collect();
    let mut setting = setting(Profile::Native, &pairs);
    setting.script.context_window = 3072;
    let mut talk = setting.open();
    for message in &messages {
        talk.say(message);
        assert!(talk.agent.lacks_room().is_none());
    }
    let core = talk.memory().0.human;
    // Messages too long beside so much core memory are paged out to it as well.
    let archived: String =
        (1..=3).map(|page| talk.command(&format!("/archival {page}"))).map(|events| format!("{events:?}")).collect();
    let in_core = facts.iter().filter(|fact| core.contains(*fact)).count();
    let in_archive = facts.iter().filter(|fact| archived.contains(*fact)).count();
    assert!(in_core > 0 && in_archive > 0 && in_core + in_archive == facts.len(), "{in_core}, {in_archive}: {core}");
}
