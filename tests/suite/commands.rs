//! Every command of the chat, in both profiles, with what the model sees after it.

use mneme::dialect::Profile;
use mneme::kernel::{Command, Request};
use mneme::types::{Cancel, Event, RecallCounts, Status, StopReason};

use crate::harness::agent::{Setting, Talk, answer, call, messages};
use crate::harness::embedder::HashEmbedder;

const PROFILES: [Profile; 2] = [Profile::Native, Profile::Classic];

fn talk(profile: Profile, replies: &[String]) -> Talk {
    let replies: Vec<&str> = replies.iter().map(String::as_str).collect();
    Setting::new(profile, &replies).open()
}

fn append(profile: Profile, content: &str) -> String {
    let content = serde_json::to_string(content).unwrap();
    call(profile, "core_memory_append", &[("section", "\"human\""), ("content", &content)])
}

/// The scripted replies were all legal: nothing was bent by the grammar.
fn assert_no_divergence(talk: &Talk) {
    for generation in talk.log.generations() {
        assert!(!generation.diverged, "the grammar refused a scripted reply after:\n{}", generation.text);
    }
}

#[test]
fn load_brings_back_the_memory_of_the_save() {
    for profile in PROFILES {
        let replies = [
            append(profile, "The user keeps bees."),
            answer(profile, "Bees, how nice."),
            append(profile, "The user sold the bees."),
            answer(profile, "Oh."),
            call(profile, "archival_memory_insert", &[("content", "\"A long note on hives.\"")]),
            answer(profile, "Noted."),
            answer(profile, "Third."),
        ];
        let mut talk = talk(profile, &replies);
        talk.say("I keep bees.");
        let saved = talk.memory();
        assert_eq!(talk.notice("/save spring"), "Saved as spring.");
        talk.say("I sold the bees.");
        talk.say("Take a note on hives.");
        talk.say("And then?");
        assert_ne!(talk.memory(), saved);
        assert_eq!(talk.notice("/load"), "Back at spring.");
        assert_eq!(talk.memory(), saved, "{profile:?}");
        talk.say("Where were we?");
        let prompt = talk.prompt();
        assert!(prompt.contains("I keep bees."), "{prompt}");
        assert!(!prompt.contains("sold"), "{prompt}");
        assert_no_divergence(&talk);
    }
}

#[test]
fn checkpoints_of_one_minute_are_kept_apart_and_a_replaced_one_is_named() {
    let mut talk = talk(Profile::Native, &[]);
    let handled = |talk: &mut Talk, text: &str| {
        // Without the minute that passes between two inputs otherwise.
        talk.clock.advance(-60_000);
        talk.notice(text)
    };
    assert_eq!(handled(&mut talk, "/save"), "Saved as 2026-03-03-09.30.");
    assert_eq!(handled(&mut talk, "/save"), "Saved as 2026-03-03-09.30-2.");
    assert_eq!(handled(&mut talk, "/save"), "Saved as 2026-03-03-09.30-3.");
    assert_eq!(handled(&mut talk, "/load 2026-03-03-09.30"), "Back at 2026-03-03-09.30.");
    assert_eq!(handled(&mut talk, "/save spring"), "Saved as spring.");
    let again = handled(&mut talk, "/save spring");
    assert_eq!(again, "Saved as spring. The earlier checkpoint of that name is replaced.");
}

#[test]
fn popped_messages_are_gone_from_the_next_prompt() {
    for profile in PROFILES {
        let mut talk = talk(profile, &[answer(profile, "First answer."), answer(profile, "Second answer.")]);
        talk.say("first question");
        talk.say("second question");
        assert_eq!(talk.notice("/pop 2"), "Removed the last 2 messages.");
        talk.say("third question");
        let prompt = talk.prompt();
        assert!(prompt.contains("first question") && prompt.contains("First answer."), "{prompt}");
        assert!(!prompt.contains("second question") && !prompt.contains("Second answer."), "{prompt}");
        assert_no_divergence(&talk);
    }
}

#[test]
fn popping_more_than_there_is_is_refused_and_removes_nothing() {
    for profile in PROFILES {
        let mut talk = talk(profile, &[]);
        talk.say("hello");
        let before = talk.memory();
        assert!(matches!(talk.command("/pop 99").as_slice(), [Event::Error { .. }]));
        assert_eq!(talk.memory(), before);
    }
}

#[test]
fn a_heartbeat_is_the_packaged_event_in_the_next_prompt() {
    for profile in PROFILES {
        let mut talk = talk(profile, &[answer(profile, "I was just thinking.")]);
        let events = talk.command("/heartbeat");
        assert_eq!(messages(&events), ["I was just thinking."]);
        assert!(matches!(events.as_slice(), [.., Event::Turn(_), Event::Notice { .. }]), "{events:?}");
        let prompt = talk.prompt();
        let packaged = match profile {
            Profile::Native => "[system notice: Automated timer]",
            Profile::Classic => "{\"type\": \"heartbeat\", \"reason\": \"",
        };
        assert!(prompt.contains(packaged) && prompt.contains("Automated timer"), "{prompt}");
        assert_no_divergence(&talk);
    }
}

#[test]
fn heartbeats_can_be_paused_in_a_turn_that_one_began() {
    for profile in PROFILES {
        let replies = [call(profile, "pause_heartbeats", &[("minutes", "90")]), answer(profile, "Good night.")];
        let mut talk = talk(profile, &replies);
        let events = talk.command("/heartbeat");
        let done = events.iter().find(|event| matches!(event, Event::Result { .. }));
        let Some(Event::Result { status: Status::Ok, message, .. }) = done else { panic!("{events:?}") };
        assert!(message.contains("90 minutes"), "{message}");
        assert_no_divergence(&talk);
    }
}

#[test]
fn the_memory_warning_is_in_the_next_prompt_and_can_only_save() {
    for profile in PROFILES {
        let replies = [append(profile, "The user likes rain."), String::new()];
        let mut talk = talk(profile, &replies);
        let events = talk.command("/memorywarning");
        assert!(messages(&events).is_empty(), "{events:?}");
        assert!(matches!(events.as_slice(), [.., Event::Turn(_), Event::Notice { .. }]), "{events:?}");
        let first = talk.log.prompts().remove(0);
        let warning = match profile {
            Profile::Native => "[system notice: the conversation has nearly filled the context window",
            Profile::Classic => "\"type\": \"system_alert\"",
        };
        assert!(first.contains(warning), "{first}");
        assert_eq!(talk.memory().0.human, "The user likes rain.");
    }
}

#[test]
fn dump_shows_the_last_messages_and_only_those() {
    for profile in PROFILES {
        let mut talk = talk(profile, &[answer(profile, "One."), answer(profile, "Two.")]);
        talk.say("say one");
        talk.say("say two");
        let dump = talk.notice("/dump 3");
        let lines: Vec<&str> = dump.lines().filter(|line| line.starts_with('[')).collect();
        assert_eq!(lines.len(), 3, "{dump}");
        assert!(lines[0].starts_with("[3]") && dump.contains("One."), "{dump}");
        assert!(lines[1].contains("say two") && dump.contains("Two."), "{dump}");
        assert!(!dump.contains("say one"), "{dump}");
    }
}

#[test]
fn persona_and_human_stand_in_the_prompt() {
    for profile in PROFILES {
        let mut setting = Setting::new(profile, &[]);
        setting.persona = "I am a lighthouse keeper.";
        setting.human = "The user is a sailor.";
        let mut talk = setting.open();
        talk.say("ahoy");
        let prompt = talk.prompt();
        assert!(prompt.contains("I am a lighthouse keeper.") && prompt.contains("The user is a sailor."), "{prompt}");
    }
}

#[test]
fn the_agent_greets_when_it_is_asked_to_speak_first() {
    for profile in PROFILES {
        let mut talk = talk(profile, &[answer(profile, "Welcome.")]);
        let events = talk.request(Request::Greet);
        assert_eq!(messages(&events), ["Welcome."]);
        assert!(talk.prompt().contains("for the first time") || talk.prompt().contains("\"type\": \"login\""));
        assert_no_divergence(&talk);
    }
}

#[test]
fn thoughts_of_the_classic_profile_are_shown_apart_from_the_reply() {
    let mut talk = talk(Profile::Classic, &[answer(Profile::Classic, "Hello.")]);
    let events = talk.say("hi");
    assert!(
        matches!(events.as_slice(), [Event::Thought { text }, Event::Message { text: reply }, Event::Turn(_)]
            if text == "I answer." && reply == "Hello."),
        "{events:?}"
    );
}

#[test]
fn a_model_that_repeats_a_call_is_made_to_answer() {
    for profile in PROFILES {
        let again = append(profile, "The user keeps bees.");
        let mut talk = talk(profile, &[again.clone(), again.clone(), again, answer(profile, "Enough.")]);
        let events = talk.say("I keep bees.");
        let calls = events.iter().filter(|event| matches!(event, Event::Call { .. })).count();
        assert_eq!(calls, 2, "{events:?}");
        let Some(Event::Turn(report)) = events.last() else { panic!("{events:?}") };
        assert_eq!(report.stop_reason, StopReason::Answer);
        assert_eq!(talk.memory().0.human, "The user keeps bees.");
    }
}

#[test]
fn a_corrected_line_is_corrected_in_the_next_prompt() {
    for profile in PROFILES {
        let replies = [
            append(profile, "The user lives in a tent."),
            answer(profile, "A tent!"),
            call(
                profile,
                "core_memory_replace",
                &[
                    ("section", "\"human\""),
                    ("old_content", "\"The user lives in a tent.\""),
                    ("new_content", "\"The user lives in a lighthouse.\""),
                ],
            ),
            answer(profile, "A lighthouse!"),
            answer(profile, "Yes."),
        ];
        let mut talk = talk(profile, &replies);
        talk.say("I live in a tent.");
        talk.say("I have moved to a lighthouse.");
        talk.say("Do you know where?");
        let prompt = talk.prompt();
        let core = prompt.find("### Core memory").unwrap();
        let system = prompt[core..].split("<|im_end|>").next().unwrap();
        assert!(system.contains("The user lives in a lighthouse.") && !system.contains("tent"), "{system}");
        assert_no_divergence(&talk);
    }
}

#[test]
fn load_takes_the_checkpoint_that_is_named_and_refuses_one_that_is_not_there() {
    for profile in PROFILES {
        let replies = [append(profile, "One."), answer(profile, "A."), append(profile, "Two."), answer(profile, "B.")];
        let mut talk = talk(profile, &replies);
        talk.say("first");
        let one = talk.memory();
        talk.notice("/save one");
        talk.say("second");
        talk.notice("/save two");
        assert_eq!(talk.notice("/load one"), "Back at one.");
        assert_eq!(talk.memory(), one, "{profile:?}");
        let refused = talk.command("/load three");
        assert!(matches!(&refused[..], [Event::Error { message, .. }] if message.contains("three")), "{refused:?}");
        assert_eq!(talk.memory(), one, "{profile:?}");
    }
}

#[test]
fn help_names_every_command_and_exit_says_that_all_is_saved() {
    for profile in PROFILES {
        let mut talk = talk(profile, &[]);
        let help = talk.notice("/help");
        let usages: Vec<&str> = Command::usages().collect();
        assert!(usages.len() > 25 && help.lines().count() == usages.len(), "{help}");
        for (line, usage) in help.lines().zip(usages) {
            assert!(line.starts_with(usage) && line.len() > usage.len() + 10, "{usage}: {line}");
        }
        assert_eq!(talk.notice("/exit"), "Everything is saved. Goodbye.");
        assert!(talk.log.generations().is_empty(), "neither runs the model");
    }
}

#[test]
fn archival_storage_is_listed_searched_and_deleted_from() {
    for profile in PROFILES {
        let mut talk = talk(profile, &[answer(profile, "Hello."), answer(profile, "Yes.")]);
        assert!(talk.notice("/archival").starts_with("Archival storage is empty."));
        talk.say("Hello?");
        for number in 1..=23 {
            talk.notice(&format!(
                "/archive Note {number} is about {}.",
                if number == 7 { "a heron" } else { "the sea" }
            ));
        }
        let first = talk.notice("/archival");
        let lines: Vec<&str> = first.lines().collect();
        assert!(lines[0].contains("Note 23 ") && lines[0].contains("2026-03-03 "), "{first}");
        assert_eq!(lines.len(), 11, "{first}");
        assert_eq!(lines[10], "(23 passages in all, page 1 of 3, the newest first; next: /archival 2)");
        let last = talk.notice("/archival 3");
        assert!(
            last.contains("Note 1 ") && last.ends_with("(23 passages in all, page 3 of 3, the newest first)"),
            "{last}"
        );
        assert_eq!(talk.notice("/archival 4"), "There is no page 4: 3 pages.");
        let found = talk.notice("/archival heron");
        assert!(found.starts_with('[') && found.contains("Note 7 ") && found.contains("(1 passage in all"), "{found}");
        let id = &found[1..found.find(']').unwrap()];
        let deleted = talk.notice(&format!("/archival delete {id}"));
        assert!(deleted.contains("holds 22 now") && deleted.ends_with("Note 7 is about a heron."), "{deleted}");
        assert!(talk.notice("/archival heron").starts_with("Archival storage has nothing about"));
        let events = talk.command(&format!("/archival delete {id}"));
        assert!(matches!(events.as_slice(), [Event::Error { .. }]), "{events:?}");
        assert_eq!(talk.memory().2, 22);
        talk.notice("/undo");
        assert_eq!(talk.memory().2, 0, "what was archived since the turn is taken back with it");
        talk.notice("/archive Another note.");
        talk.say("And now?");
        talk.notice("/undo");
        let id = talk.notice("/archival");
        talk.notice(&format!("/archival delete {}", &id[1..id.find(']').unwrap()]));
        let events = talk.command("/redo");
        assert!(matches!(events.as_slice(), [Event::Error { .. }]), "a deletion ends the way forth: {events:?}");
    }
}

#[test]
fn searches_by_command_find_by_meaning_in_pages_and_with_what_was_said_around() {
    let mut talk = talk(Profile::Native, &[]);
    talk.agent.set_embedder(Some(Box::new(HashEmbedder::new())));
    talk.say("Tell me of something.");
    talk.say("My automobile is red.");
    talk.say("And so it goes on.");
    talk.notice("/archive The automobile was built in 1961.");
    talk.agent.embed_pending(&Cancel::new());
    let found = talk.notice("/search car");
    assert!(found.contains("user: My automobile is red."), "{found}");
    assert!(found.contains("    (before) agent: All right."), "{found}");
    assert!(talk.notice("/archival car").contains("built in 1961"));
    for number in 0..12 {
        talk.say(&format!("Number {number} of the herons."));
    }
    let first = talk.notice("/search herons");
    let total = "(12 messages in all, page 1 of 2, the best first; next: /search --page 2 herons)";
    assert_eq!(first.lines().last(), Some(total), "{first}");
    let second = talk.notice("/search --page 2 herons");
    let hits = |text: &str| text.lines().filter(|line| line.starts_with("2026-")).count();
    assert_eq!((hits(&first), hits(&second)), (10, 2), "{second}");
}

#[test]
fn the_memory_event_has_the_newest_passages_and_counts_by_role() {
    let profile = Profile::Classic;
    let mut talk = talk(profile, &[append(profile, "The user keeps bees."), answer(profile, "Bees!")]);
    talk.say("I keep bees.");
    for number in 1..=12 {
        talk.notice(&format!("/archive Note {number} of twelve."));
    }
    let Some(Event::Memory { recall, recall_count, passages, .. }) = talk.command("/memory").pop() else { panic!() };
    let RecallCounts { user, assistant, function_results, events } = recall;
    assert_eq!((user, assistant, function_results, events), (1, 2, 1, 1));
    assert_eq!(recall_count, 5);
    assert_eq!(passages.len(), 10);
    assert_eq!((passages[0].text.as_str(), passages[0].source.as_deref()), ("Note 12 of twelve.", Some("the user")));
    let raw = talk.notice("/dumpraw 1");
    let raw: serde_json::Value = serde_json::from_str(&raw).unwrap();
    assert!(raw["body"].to_string().contains("Bees!") && raw["id"].is_i64(), "{raw}");
    assert_eq!(talk.notice("/dumpraw").lines().count(), 5);
}

#[test]
fn commands_of_the_first_implementation_are_answered_with_what_to_do_instead() {
    let mut talk = talk(Profile::Native, &[]);
    assert!(talk.notice("/savechat spring").starts_with("Saved as spring."));
    assert!(talk.notice("//").contains("several lines"));
    for (command, advice) in
        [("/wipe", "/undo"), ("/add_function f", "/attach"), ("/remove_function f", "max_calls"), ("!help", "/help")]
    {
        let events = talk.command(command);
        let [Event::Error { hint, .. }] = events.as_slice() else { panic!("{command}: {events:?}") };
        assert!(hint.contains(advice), "{command}: {hint}");
    }
}
