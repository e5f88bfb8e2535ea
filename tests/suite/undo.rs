//! Commands that go back and forth, write anew, look into the agent and change it: in both profiles, with what the
//! model sees next. Going back in itself is tested in `memory::turns`.

use mneme::dialect::{self, Profile};
use mneme::inference::{Engine, Script, ScriptedEngine, ScriptedReply};
use mneme::kernel::{Error, LoadModel, LoadedModel};
use mneme::memory::Store;
use mneme::types::{Cancel, Event, ManualClock, Status, StopReason};
use serde_json::json;

use crate::harness::agent::{START_MS, Setting, Talk, answer, call, messages};
use crate::harness::program::{binary, reply, types};
use crate::harness::world::World;

const PROFILES: [Profile; 2] = [Profile::Native, Profile::Classic];

fn talk(profile: Profile, replies: &[String]) -> Talk {
    let replies: Vec<&str> = replies.iter().map(String::as_str).collect();
    let mut setting = Setting::new(profile, &replies);
    let summary = ScriptedReply {
        when: Some("Write a summary of them".to_owned()),
        reply: "We spoke of animals.".to_owned(),
        repeat: true,
        ..ScriptedReply::default()
    };
    setting.script.replies.insert(0, summary);
    setting.open()
}

fn append(profile: Profile, content: &str) -> String {
    let content = serde_json::to_string(content).unwrap();
    call(profile, "core_memory_append", &[("section", "\"human\""), ("content", &content)])
}

fn refused(talk: &mut Talk, command: &str) -> (String, String) {
    match talk.command(command).pop() {
        Some(Event::Error { message, hint, .. }) => (message, hint),
        other => panic!("{command} ended in {other:?}"),
    }
}

#[test]
fn a_turn_that_is_taken_back_is_out_of_memory_prompt_and_search_until_it_is_brought_back() {
    for profile in PROFILES {
        let replies = [
            append(profile, "The user keeps bees."),
            answer(profile, "Bees, how nice."),
            append(profile, "The user sold the bees."),
            call(profile, "archival_memory_insert", &[("content", "\"A long note on hives.\"")]),
            answer(profile, "That is sad."),
            answer(profile, "With the bees."),
            answer(profile, "Gone."),
        ];
        let mut talk = talk(profile, &replies);
        talk.say("I keep bees.");
        let before = (talk.memory(), talk.notice("/dump"));
        talk.say("I sold the bees.");
        let after = (talk.memory(), talk.notice("/dump"));
        let notice = talk.notice("/undo");
        assert!(notice.contains("before \"I sold the bees.\"") && notice.contains("/redo"), "{notice}");
        assert_eq!((talk.memory(), talk.notice("/dump")), before, "{profile:?}");
        assert!(talk.notice("/search sold").starts_with("Nothing was said"));
        assert_eq!(talk.notice("/redo"), "Brought back 1 turn.");
        assert_eq!((talk.memory(), talk.notice("/dump")), after, "{profile:?}");
        assert!(talk.notice("/search sold").contains("user: I sold the bees."));
        talk.notice("/undo 1");
        talk.say("Where were we?");
        let prompt = talk.prompt();
        assert!(
            prompt.contains("I keep bees.") && !prompt.contains("sold") && !prompt.contains("That is sad"),
            "{prompt}"
        );
        let (message, hint) = refused(&mut talk, "/redo");
        assert!(message.contains("none") && hint.contains("/undo"), "{message}: {hint}");
        talk.notice("/undo 2");
        let (message, _) = refused(&mut talk, "/undo");
        assert_eq!(message, "cannot take back 1 turn: none can be taken back");
        talk.say("Hello?");
        let prompt = talk.prompt();
        assert!(!prompt.contains("bees"), "{prompt}");
    }
}

#[test]
fn going_back_over_an_eviction_puts_the_messages_in_view_again() {
    for profile in PROFILES {
        let mut talk = talk(profile, &[]);
        for text in ["I saw a heron.", "I saw an otter.", "I saw a newt."] {
            talk.say(text);
        }
        let before = talk.notice("/dump");
        talk.say("I saw a stork.");
        assert!(talk.notice("/summarize").contains("summarised"));
        let dump = talk.notice("/dump");
        assert!(dump.contains("We spoke of animals.") && !dump.contains("I saw a heron."), "{dump}");
        talk.notice("/undo");
        assert_eq!(talk.notice("/dump"), before, "{profile:?}");
        talk.say("And now?");
        let prompt = talk.prompt();
        assert!(prompt.contains("I saw a heron.") && !prompt.contains("We spoke of animals."), "{prompt}");
    }
}

#[test]
fn a_command_that_changes_nothing_leaves_the_way_forth_open_and_one_that_does_ends_it() {
    for profile in PROFILES {
        let silent =
            ScriptedReply { when: Some("nearly filled".to_owned()), reply: String::new(), ..ScriptedReply::default() };
        let said = |talk: &mut Talk| {
            for text in ["I saw a heron.", "I saw an otter.", "I saw a newt."] {
                talk.say(text);
            }
        };
        let mut talk = talk(profile, &[]);
        talk.say("I saw a heron.");
        talk.notice("/undo");
        assert!(matches!(talk.command("/retry").as_slice(), [Event::Error { .. }, ..]));
        assert!(talk.notice("/summarize").starts_with("Nothing was summarised"));
        assert_eq!(talk.notice("/redo"), "Brought back 1 turn.", "{profile:?}");
        said(&mut talk);
        talk.notice("/undo");
        assert!(talk.notice("/summarize").contains("summarised"));
        refused(&mut talk, "/redo");

        let mut setting = Setting::new(profile, &[]);
        setting.script.replies.push(silent);
        setting.script.replies.push(ScriptedReply {
            reply: append(profile, "The user watches birds."),
            when: Some("nearly filled".to_owned()),
            ..ScriptedReply::default()
        });
        let mut talk = setting.open();
        said(&mut talk);
        talk.notice("/undo");
        assert_eq!(talk.notice("/memorywarning"), "The agent has been warned.");
        assert_eq!(talk.notice("/redo"), "Brought back 1 turn.", "{profile:?}: the model saved nothing");
        talk.notice("/undo");
        talk.notice("/memorywarning");
        assert_eq!(talk.memory().0.human, "The user watches birds.");
        refused(&mut talk, "/redo");
    }
}

#[test]
fn a_retry_takes_the_humans_last_turn_again_from_the_same_prompt() {
    for profile in PROFILES {
        let replies = [
            append(profile, "The user is a baker."),
            answer(profile, "First try."),
            answer(profile, "A thought between."),
            answer(profile, "Second try."),
        ];
        let mut talk = talk(profile, &replies);
        talk.say("I bake bread.");
        talk.command("/heartbeat");
        let events = talk.command("/retry");
        assert_eq!(messages(&events), ["Second try."]);
        assert!(matches!(events.as_slice(), [.., Event::Turn(_), Event::Notice { .. }]), "{events:?}");
        let prompts = talk.log.prompts();
        assert_eq!(prompts.first(), prompts.last(), "{profile:?}");
        assert_eq!(talk.memory().0.human, "");
        let dump = talk.notice("/dump");
        assert_eq!(dump.matches("I bake bread.").count(), 1, "{dump}");
        assert!(!dump.contains("First try.") && !dump.contains("heartbeat"), "{dump}");
        talk.notice("/undo");
        assert!(!talk.notice("/dump").contains("I bake bread."));
        let events = talk.command("/retry");
        let [Event::Error { .. }, Event::Turn(report), Event::Notice { .. }] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!(report.stop_reason, StopReason::Error);
    }
}

#[test]
fn a_reply_that_was_rewritten_is_what_the_model_has_said() {
    for profile in PROFILES {
        let mut talk = talk(profile, &[answer(profile, "I like cats.")]);
        talk.say("What do you like?");
        assert!(talk.notice("/rewrite I like owls,\nand only owls.").contains("owls"));
        talk.say("Really?");
        let prompt = talk.prompt();
        assert!(prompt.contains("only owls") && !prompt.contains("cats"), "{prompt}");
        assert!(talk.notice("/search owls").contains("agent: I like owls"));
        assert!(talk.notice("/search cats").starts_with("Nothing"));
    }
}

#[test]
fn an_inner_thought_can_be_replaced_where_there_is_one() {
    let mut classic = talk(Profile::Classic, &[answer(Profile::Classic, "Hello.")]);
    classic.say("Hi.");
    classic.notice("/rethink I am in a hurry.");
    classic.say("How are you?");
    let prompt = classic.prompt();
    assert!(prompt.contains("I am in a hurry.") && !prompt.contains("I answer."), "{prompt}");
    let mut native = talk(Profile::Native, &[]);
    native.say("Hi.");
    let (message, hint) = refused(&mut native, "/rethink I am in a hurry.");
    assert!(message.contains("inner thought") && hint.contains("classic"), "{message}: {hint}");
}

#[test]
fn summarize_ends_in_a_turn_and_a_notice_and_what_leaves_can_be_searched() {
    for profile in PROFILES {
        let mut talk = talk(profile, &[]);
        assert!(talk.notice("/summarize").starts_with("Nothing was summarised"));
        for text in ["I saw a heron.", "I saw an otter.", "I saw a newt."] {
            talk.say(text);
        }
        let count = talk.memory().1;
        let events = talk.command("/summarize");
        let [Event::Turn(report), Event::Notice { text }] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((report.stop_reason, report.steps), (StopReason::Answer, 0));
        assert!(report.forward_passes > 0 && text.contains("older messages were summarised"), "{text}");
        assert_eq!(talk.memory().1, count);
        assert!(talk.notice("/search heron").contains("2026-03-03 09:32 user: I saw a heron."));
        talk.say("What did I see?");
        let prompt = talk.prompt();
        assert!(prompt.contains("We spoke of animals.") && !prompt.contains("I saw a heron."), "{prompt}");
    }
}

#[test]
fn the_parts_of_the_window_add_up_and_grow_with_what_is_said() {
    for profile in PROFILES {
        let mut talk = talk(profile, &[]);
        let parts = |table: &str| -> Vec<usize> {
            table.lines().take(7).map(|line| line[14..22].trim().parse().unwrap()).collect()
        };
        let before = parts(&talk.notice("/contextlength"));
        talk.say("A message of some length that takes its room in the window.");
        talk.notice("/core human The user writes long messages.");
        let table = talk.notice("/contextlength");
        let after = parts(&table);
        for parts in [&before, &after] {
            assert_eq!(parts[0], parts[1..].iter().sum::<usize>(), "{table}");
        }
        assert_eq!(before[1], after[1], "the fixed part: {table}");
        assert!(before[2] < after[2] && before[4] < after[4] && before[6] > after[6], "{table}");
        assert_eq!(talk.log.generations().len(), 1, "only the message ran the model");
    }
}

#[test]
fn what_the_user_archives_is_found_by_the_model() {
    for profile in PROFILES {
        let search = call(profile, "archival_memory_search", &[("query", "\"recipe\""), ("page", "0")]);
        let mut talk = talk(profile, &[search, answer(profile, "With rye.")]);
        let notice = talk.notice("/archive The recipe needs rye,\nsalt and time.");
        assert_eq!(notice, "Archived as 1 passage; archival storage holds 1 now.");
        let (message, _) = refused(&mut talk, "/archive the recipe needs RYE, salt and time");
        assert!(message.contains("already holds"), "{message}");
        let events = talk.say("How does the recipe go?");
        let found = events
            .iter()
            .any(|event| matches!(event, Event::Result { status: Status::Ok, message, .. } if message.contains("rye")));
        assert!(found, "{events:?}");
        talk.notice("/undo");
        assert_eq!(talk.memory().2, 1, "what was archived before the turn stays");
    }
}

#[test]
fn a_block_that_the_user_edits_is_in_the_next_prompt_and_in_the_history() {
    for profile in PROFILES {
        let mut talk = talk(profile, &[append(profile, "The user is a baker."), answer(profile, "Bread!")]);
        talk.say("I bake bread.");
        let shown = talk.notice("/core");
        assert!(shown.contains("persona (12 of 2000 characters)\nI am a test."), "{shown}");
        assert_eq!(talk.notice("/core Human"), "human (20 of 2000 characters)\nThe user is a baker.");
        assert_eq!(talk.notice("/core human The user is Ada.\nShe bakes."), "human is changed: 27 of 2000 characters.");
        talk.say("Who am I?");
        let prompt = talk.prompt();
        let core = prompt.find("### Core memory").unwrap();
        let system = prompt[core..].split("<|im_end|>").next().unwrap();
        assert!(system.contains("The user is Ada.\nShe bakes.") && !system.contains("a baker."), "{system}");
        let Some(Event::Memory { edits, .. }) = talk.command("/memory").pop() else { panic!() };
        let edits: Vec<_> =
            edits.iter().map(|edit| (edit.time.as_str(), edit.cause.as_str(), edit.after.as_str())).collect();
        assert_eq!(
            edits,
            [
                ("2026-03-03 09:34", "core", "The user is Ada.\nShe bakes."),
                ("2026-03-03 09:31", "core_memory_append", "The user is a baker."),
            ]
        );
        let before = talk.memory();
        let (message, hint) = refused(&mut talk, &format!("/core human {}", "long ".repeat(401)));
        assert!(message.contains("2004 characters") && hint.contains("core_memory_limit_chars"), "{message}: {hint}");
        let (_, hint) = refused(&mut talk, "/core humans x");
        assert!(hint.contains("persona|human"), "{hint}");
        assert_eq!(talk.memory(), before);
    }
}

#[test]
fn swapped_instructions_hold_for_this_agent_until_the_default_ones_are_back() {
    for profile in PROFILES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mneme.db");
        let open = || Setting::new(profile, &[]).open_in(Store::open(&path, &ManualClock::at(START_MS)).unwrap());
        let mut talk = open();
        let default = talk.notice("/systemswap");
        assert!(default.starts_with("System instructions (the default):\n"), "{default}");
        talk.notice("/save plain");
        let file = folder.path().join("pirate.txt");
        std::fs::write(&file, "You are a pirate of few words.\n").unwrap();
        let notice = talk.notice(&format!("/systemswap {}", file.display()));
        assert!(notice.contains("You are a pirate"), "{notice}");
        talk.say("Ahoy.");
        let companion = |prompt: &str| prompt.contains("companion");
        assert!(talk.prompt().contains("You are a pirate") && !companion(&talk.prompt()), "{}", talk.prompt());
        drop(talk);
        let mut talk = open();
        talk.say("Still there?");
        assert!(talk.prompt().contains("You are a pirate"), "{}", talk.prompt());
        let shown = talk.notice("/systemswap");
        let (message, hint) = refused(&mut talk, &format!("/systemswap {}", "many words ".repeat(20_000)));
        assert!(message.contains("too small"), "{message}: {hint}");
        refused(&mut talk, "/systemswap /no/such/file");
        assert_eq!(talk.notice("/systemswap"), shown);
        talk.notice("/systemswap default");
        talk.say("And now?");
        assert!(companion(&talk.prompt()) && !talk.prompt().contains("You are a pirate"));
        talk.notice("/systemswap You count in dozens.");
        talk.notice("/load plain");
        assert_eq!(talk.notice("/systemswap"), default, "a checkpoint is of the whole agent");
    }
}

/// Models of this test: `small`, whose window is too small, and all others, which say their name.
struct Loader(Profile);

impl LoadModel for Loader {
    fn load(&self, name: Option<&str>, _cancel: &Cancel) -> Result<LoadedModel, Error> {
        let name = name.unwrap_or("of the config");
        if name == "missing" {
            return Err(Error::Load { message: "there is no such model".to_owned(), hint: "take another".to_owned() });
        }
        let mut script = Script { otherwise: Some(answer(self.0, &format!("I am {name}."))), ..Script::default() };
        if name == "small" {
            script.context_window = 64;
        }
        let engine = ScriptedEngine::new(script);
        let chosen = dialect::choose(engine.identity(), engine.vocab(), self.0).unwrap();
        Ok(LoadedModel { engine: Box::new(engine), dialect: chosen.dialect, notices: vec!["A notice.".to_owned()] })
    }

    fn installed(&self) -> Vec<String> {
        vec!["small".to_owned(), "large".to_owned()]
    }
}

#[test]
fn another_model_takes_over_the_conversation_or_the_old_one_goes_on() {
    for profile in PROFILES {
        let mut talk = talk(profile, &[answer(profile, "I am the first.")]);
        let (_, hint) = refused(&mut talk, "/model large");
        assert!(hint.contains("--model"), "{hint}");
        talk.agent.set_loader(Box::new(Loader(profile)));
        assert!(talk.notice("/model").contains("Installed: small, large."));
        talk.say("Who are you?");
        for (name, why) in [("missing", "no such model"), ("small", "too small")] {
            let (message, _) = refused(&mut talk, &format!("/model {name}"));
            assert!(message.contains(why), "{message}");
        }
        assert_eq!(messages(&talk.say("Still you?")), ["All right."]);
        let notice = talk.notice("/model large");
        assert!(notice.contains("answers from now on") && notice.ends_with("A notice."), "{notice}");
        assert_eq!(messages(&talk.say("Who are you now?")), ["I am large."]);
        assert!(talk.notice("/dump").contains("I am the first."));
        talk.notice("/model default");
        assert_eq!(messages(&talk.say("And now?")), ["I am of the config."]);
    }
}

#[test]
fn the_model_that_was_chosen_is_taken_at_the_next_start_unless_a_flag_says_otherwise() {
    let world = World::new();
    let model = |name: &str| {
        world.file(&format!("{name}.json"), json!({"replies": [], "otherwise": format!("I am {name}.")}).to_string())
    };
    let (first, second) = (model("first"), model("second"));
    std::fs::write(world.home.path().join("config.toml"), format!("memory_pass = false\nmodel = {first:?}\n")).unwrap();
    let start = |arguments: &[&str]| {
        let mut command = binary();
        command.args(["run", "--jsonl", "--yes", "--engine", "scripted", "--agent", "a"]).args(arguments);
        crate::harness::program::Program::spawn(world.home.path(), command)
    };
    let mut program = start(&[]);
    assert_eq!(reply(&program.say("Who?")), "I am first.");
    let events = program.command(&format!("/model {second}"));
    assert_eq!(types(&events), ["notice"]);
    assert_eq!(reply(&program.say("Who?")), "I am second.");
    assert!(program.close().success());
    let mut program = start(&[]);
    assert_eq!(reply(&program.say("Who?")), "I am second.");
    assert!(program.close().success());
    let mut program = start(&["--model", &first]);
    assert_eq!(reply(&program.say("Who?")), "I am first.");
    program.command("/model default");
    assert!(program.close().success());
    let mut program = start(&[]);
    assert_eq!(reply(&program.say("Who?")), "I am first.");
    assert!(program.close().success());
}

#[test]
fn a_chosen_model_that_is_gone_is_told_as_the_agents() {
    let world = World::new();
    assert!(world.start(json!([]), &[]).close().success());
    world.database().execute("UPDATE agents SET chosen_model = '/no/such/model.gguf'", []).unwrap();
    let (code, event) = world.refused_chat(&["--agent", "a", "--yes"]);
    let (message, hint) = (event["message"].as_str().unwrap(), event["hint"].as_str().unwrap());
    assert_eq!(code, 3, "{event}");
    assert!(message.contains("the model /no/such/model.gguf of the agent a"), "{event}");
    assert!(hint.contains("--model NAME") && hint.contains("/model default"), "{event}");
}

#[test]
fn scripts_get_the_events_that_a_command_ends_in() {
    for profile in PROFILES {
        let world = World::new();
        let script = json!({"replies": [], "otherwise": answer(profile, "All right.")});
        let mut program = world.start_script(script, &["--profile", profile.as_str()]);
        for text in ["one", "two", "three"] {
            program.say(text);
        }
        let ends = [
            ("/undo", &["notice"][..]),
            ("/redo", &["notice"]),
            ("/redo", &["error"]),
            ("/undo 99", &["error"]),
            ("/undo x", &["error"]),
            ("/rewrite Two.", &["notice"]),
            ("/contextlength", &["notice"]),
            ("/search one", &["notice"]),
            ("/archive A note.", &["notice"]),
            ("/archive A note.", &["error"]),
            ("/archival", &["notice"]),
            ("/archival a note", &["notice"]),
            ("/archival delete 99999", &["error"]),
            ("/archival delete 1", &["notice"]),
            ("/dumpraw 2", &["notice"]),
            ("/wipe", &["error"]),
            ("/core", &["notice"]),
            ("/core human", &["notice"]),
            ("/core human Ada.", &["notice"]),
            ("/core human Ada.", &["error"]),
            ("/systemswap", &["notice"]),
            ("/model", &["notice"]),
            ("/model /no/such.json", &["error"]),
            ("/load no-such", &["error"]),
        ];
        for (command, expected) in ends {
            let events = program.command(command);
            assert_eq!(types(&events), expected, "{command}: {events:?}");
            assert!(events.iter().all(|event| event["cause"] == "command"), "{command}: {events:?}");
        }
        for command in ["/retry", "/summarize"] {
            let events = program.command(command);
            let shown: Vec<&str> = types(&events).into_iter().filter(|kind| *kind != "thought").collect();
            assert!(shown.ends_with(&["turn", "notice"]), "{command}: {events:?}");
        }
        let memory = program.memory();
        assert!(memory["edits"][0]["after"].is_string() && memory["edits"][0]["at_ms"].is_i64(), "{memory}");
        assert!(program.close().success());
    }
}
