//! Long conversations: the window is never exceeded, nothing is lost, and the prompt is what it should be.

use mneme::dialect::Profile;
use mneme::inference::{Script, ScriptedReply};
use mneme::kernel::{Request, handle};
use mneme::types::{Cause, Event, StopReason};
use serde_json::json;

use crate::harness::agent::{Setting, Talk, answer, call, messages};
use crate::harness::program::{reply, types};
use crate::harness::world::World;

/// A talk whose model writes summaries when asked to, the replies of `special` when their cue is in the prompt, and
/// small talk otherwise.
fn long_talk(profile: Profile, window: usize, special: &[(&str, &str)]) -> Talk {
    let mut setting = Setting::new(profile, &[]);
    let summary = ScriptedReply {
        when: Some("Write a summary of them".to_owned()),
        reply: "We spoke about many small things, and the user was content.".to_owned(),
        repeat: true,
        plain: false,
    };
    let special = special.iter().map(|(when, reply)| ScriptedReply {
        when: Some((*when).to_owned()),
        reply: (*reply).to_owned(),
        ..ScriptedReply::default()
    });
    setting.script = Script {
        context_window: window,
        replies: std::iter::once(summary).chain(special).collect(),
        otherwise: Some(answer(profile, "I see, and I am glad that you told me about it.")),
        ..Script::default()
    };
    setting.open()
}

#[test]
fn two_hundred_turns_never_exceed_a_window_of_2048_and_lose_no_message() {
    for profile in [Profile::Native, Profile::Classic] {
        let window = 2048;
        let mut talk = long_talk(profile, window, &[]);
        for turn in 0..200 {
            let events = talk.say(&format!("This is remark number {turn}, about the weather and the river."));
            let Some(Event::Turn(report)) = events.last() else { panic!("{events:?}") };
            assert_eq!(report.stop_reason, StopReason::Answer, "turn {turn}: {events:?}");
            assert!(!messages(&events).is_empty(), "turn {turn}");
        }
        let longest = talk.log.generations().iter().map(|generation| generation.prompt.len()).max().unwrap();
        assert!(longest < window, "{profile:?}: a prompt of {longest} tokens");
        let recall_count = talk.memory().1;
        assert!(recall_count >= 400, "{recall_count} messages in recall storage");
        let prompt = talk.prompt();
        assert!(prompt.contains("We spoke about many small things"), "the summary is in view:\n{prompt}");
        assert!(!prompt.contains("remark number 0,"), "the first remark is out of view");
    }
}

#[test]
fn what_was_evicted_is_found_by_a_search() {
    let search = call(Profile::Native, "conversation_search", &[("query", "\"spare key\""), ("page", "0")]);
    let mut talk = long_talk(Profile::Native, 2048, &[("Where is the spare key?", &search)]);
    talk.say("By the way, the spare key is under the blue flowerpot.");
    for turn in 0..60 {
        talk.say(&format!("Remark {turn} about this and that, with a few more words to fill the window."));
    }
    assert!(!talk.prompt().contains("flowerpot"));
    let events = talk.say("Where is the spare key?");
    let found = events.iter().find_map(|event| match event {
        Event::Result { message, .. } => Some(message.as_str()),
        _ => None,
    });
    assert!(found.is_some_and(|message| message.contains("blue flowerpot")), "{events:?}");
}

#[test]
fn a_giant_message_is_paged_out_and_answered() {
    let mut talk = long_talk(Profile::Native, 2048, &[]);
    let giant = "The committee met again and wrote down every word. ".repeat(400);
    let events = talk.say(&giant);
    assert!(!messages(&events).is_empty(), "{events:?}");
    assert!(
        events.iter().any(|event| matches!(event, Event::Notice { text } if text.contains("archival"))),
        "{events:?}"
    );
    assert!(talk.memory().2 > 0, "the text is in archival storage");
    let longest = talk.log.generations().iter().map(|generation| generation.prompt.len()).max().unwrap();
    assert!(longest < 2048, "{longest}");
}

#[test]
fn a_reply_that_goes_in_circles_is_stopped_and_kept() {
    let circles = "I am sure of it. ".repeat(60);
    let mut talk = long_talk(Profile::Native, 4096, &[("Are you sure?", &answer(Profile::Native, circles.trim()))]);
    let events = talk.say("Are you sure?");
    let [shown] = messages(&events)[..] else { panic!("{events:?}") };
    assert!(circles.starts_with(shown) && shown.len() < circles.len() / 2, "{shown}");
    let told = |event: &Event| matches!(event, Event::Notice { text } if text.contains("repeating itself"));
    assert!(events.iter().any(told), "{events:?}");
    let events = talk.say("And the weather?");
    assert!(talk.prompt().contains(shown), "what was shown is in the next prompt");
    assert!(!events.iter().any(told), "{events:?}");
}

#[test]
fn an_offer_of_help_that_nobody_asked_for_is_neither_shown_nor_stored() {
    let offered = "How lovely! How can I assist you today?";
    for (profile, message, kept) in [
        (Profile::Native, "I've adopted a cat.", "How lovely!"),
        (Profile::Native, "Good morning!", offered),
        (Profile::Classic, "I've adopted a cat.", offered),
    ] {
        let mut setting = Setting::new(profile, &[]);
        setting.script.otherwise = Some(answer(profile, offered));
        let mut talk = setting.open();
        let (mut shown, mut events) = (String::new(), Vec::new());
        handle(&mut talk.agent, Request::User { text: message.to_owned() }, None, &mut |_, event| match event {
            Event::Delta { text } => shown.push_str(&text),
            event => events.push(event),
        });
        assert_eq!(messages(&events), [kept], "{profile:?}: {message}");
        assert_eq!(shown, kept, "{profile:?}: {message}");
        talk.say("And so to bed.");
        assert_eq!(talk.prompt().contains("How can I assist"), kept == offered, "{profile:?}: {message}");
    }
}

#[test]
fn what_the_user_said_is_not_said_again_as_the_agents_own() {
    let again = "I am a beekeeper from Hilo.";
    for (message, is_refused) in [("I'm a beekeeper from Hilo.", true), ("Say: I am a beekeeper from Hilo.", false)] {
        let mut setting = Setting::new(Profile::Native, &[]);
        setting.script.otherwise = Some(answer(Profile::Native, again));
        let events = setting.open().say(message);
        assert_eq!(messages(&events) != [again], is_refused, "{events:?}");
    }
}

#[test]
fn the_warning_comes_once_before_an_eviction() {
    let mut talk = long_talk(Profile::Native, 3072, &[]);
    let mut warnings = 0;
    let mut evicted = false;
    for turn in 0..80 {
        let events = talk.say(&format!("Remark {turn} about this and that, with a few more words to fill the window."));
        evicted = events.iter().any(|event| matches!(event, Event::Notice { text } if text.contains("older messages")));
        if evicted {
            break;
        }
        warnings = talk.prompt().matches("[system notice: the conversation has nearly filled").count().max(warnings);
    }
    assert!(evicted, "eighty turns did not fill the window");
    assert_eq!(warnings, 1);
}

#[test]
fn the_second_turn_reuses_what_the_first_has_read() {
    let mut talk = long_talk(Profile::Native, 4096, &[]);
    talk.say("Hello.");
    let events = talk.say("And now?");
    let Some(Event::Turn(report)) = events.last() else { panic!("{events:?}") };
    assert!(report.tokens_reused > 10 * report.tokens_read, "{report:?}");
}

#[test]
fn the_model_sees_this_in_the_native_profile() {
    let mut talk = Setting::new(Profile::Native, &["Good morning!"]).open();
    talk.say("Good morning.");
    talk.say("How are you?");
    insta::assert_snapshot!("native_prompt", talk.prompt());
}

#[test]
fn the_model_sees_this_in_the_classic_profile() {
    let hello = answer(Profile::Classic, "Good morning!");
    let mut talk = Setting::new(Profile::Classic, &[&hello]).open();
    talk.say("Good morning.");
    talk.say("How are you?");
    insta::assert_snapshot!("classic_prompt", talk.prompt());
}

#[test]
fn random_turns_undos_edits_and_kills_agree_with_a_simple_model() {
    crate::harness::soak::soak(7, 240, 3072);
}

#[test]
fn each_period_has_one_warning_from_70_per_cent_on() {
    for profile in [Profile::Native, Profile::Classic] {
        let window = 8192;
        let mut talk = long_talk(profile, window, &[]);
        let (mut evictions, mut warnings, mut turn) = (0, 0, 0);
        while evictions < 2 {
            turn += 1;
            let before = talk.log.generations().last().map_or(0, |generation| generation.prompt.len());
            let events =
                talk.say(&format!("Remark {turn} about this and that. {}", "It has a few more words. ".repeat(12)));
            assert!(turn < 400, "the window does not fill");
            let Some(Event::Memory { recall, .. }) = talk.command("/memory").pop() else { panic!() };
            // One event is the login.
            if recall.events - 1 > warnings {
                warnings += 1;
                assert_eq!(recall.events - 1, warnings, "one in a turn");
                assert_eq!(warnings, evictions + 1, "one in a period");
                assert!(before * 10 < window * 7, "late: {before}");
                let longest = talk.log.generations().last().unwrap().prompt.len();
                assert!(longest * 10 >= window * 7, "early: {longest}");
            }
            if events
                .iter()
                .any(|event| matches!(event, Event::Notice { text } if text.contains("older messages were")))
            {
                evictions += 1;
                assert_eq!(warnings, evictions, "no eviction without a warning");
            }
        }
    }
}

#[test]
fn a_summary_that_is_stopped_is_made_without_the_model_and_never_half() {
    for profile in [Profile::Native, Profile::Classic] {
        let mut talk = long_talk(profile, 2048, &[]);
        let cancel = talk.agent.cancel().clone();
        let mut is_stopped = false;
        for turn in 0..100 {
            let mut events = Vec::new();
            let text = format!("This is remark number {turn}, about the weather and the river.");
            handle(&mut talk.agent, Request::User { text }, None, &mut |_: Cause, event: Event| {
                if matches!(&event, Event::Notice { text } if text.contains("summarised first")) {
                    cancel.raise();
                    is_stopped = true;
                }
                events.push(event);
            });
            cancel.clear();
            if is_stopped {
                let Some(Event::Turn(report)) = events.last() else { panic!("{events:?}") };
                assert_eq!(report.stop_reason, StopReason::Interrupted);
                let shortened =
                    |event: &Event| matches!(event, Event::Notice { text } if text.contains("messages were shortened"));
                assert!(events.iter().any(shortened), "{events:?}");
                break;
            }
        }
        assert!(is_stopped, "a hundred turns did not fill the window");
        let dump = talk.notice("/dump");
        assert!(dump.contains("summary of") && dump.contains("This is remark number"), "{dump}");
        assert!(!dump.contains("We spoke about"), "{dump}");
        assert!(!messages(&talk.say("Are you there?")).is_empty());
    }
}

/// Text whose tokens are many for its characters and that does not repeat itself.
fn dense(seed: usize, chars: usize) -> String {
    let scattered = |at: usize| ((at as u32).wrapping_mul(2_654_435_761) >> 13) as usize;
    (0..chars).map(|at| ['#', '%', '&', '+', '=', '~', '@', '^'][(seed + scattered(at)) % 8]).collect()
}

const WISHES: [&str; 8] = [
    "the user likes tea",
    "cats are welcome",
    "it may rain",
    "no trains at night",
    "maps on paper",
    "warm bread",
    "a quiet room",
    "old songs",
];

#[test]
fn core_memory_grows_only_as_far_as_the_window_can_hold() {
    for profile in [Profile::Native, Profile::Classic] {
        for of in [dense as fn(usize, usize) -> String, |seed, _| format!("Fact {seed}: {}.", WISHES.join(" and "))] {
            let mut setting = Setting::new(profile, &[]);
            let appends = (0..24).map(|seed| {
                let section = ["\"human\"", "\"persona\""][seed % 2];
                let content = format!("{:?}", of(seed, 150));
                call(profile, "core_memory_append", &[("section", section), ("content", &content)])
            });
            let replies: Vec<String> = appends.flat_map(|append| [append, answer(profile, "Noted.")]).collect();
            let window = if profile == Profile::Native { 2048 } else { 3072 };
            setting.script = Script {
                context_window: window,
                otherwise: Some(answer(profile, "All right.")),
                ..Script::of(replies.iter().map(String::as_str))
            };
            let mut talk = setting.open();
            for turn in 0..24 {
                let events = talk.say("And this?");
                let Some(Event::Turn(report)) = events.last() else { panic!("{events:?}") };
                assert_ne!(report.stop_reason, StopReason::Error, "turn {turn}: {events:?}");
                assert!(talk.agent.lacks_room().is_none(), "turn {turn}: {events:?}");
            }
            let core = talk.memory().0;
            assert!(core.human.len() + core.persona.len() > 150, "nothing was noted: {core:?}");
        }
    }
}

#[test]
fn an_agent_whose_core_memory_is_too_large_opens_and_answers_once_it_is_shorter() {
    let world = World::new();
    let long = "The user has a great many things to tell of the sea. ".repeat(37);
    let mut program = world.start(json!([]), &["--human", &world.file("human.txt", &long)]);
    program.command(&format!("/core persona {long}"));
    assert!(program.close().success());
    let mut program = world.start(json!([]), &["--context-window", "1500"]);
    let notices = program.ready["notices"].to_string();
    assert!(notices.contains("/core") && notices.contains("--context-window"), "{notices}");
    let events = program.say("Hello?");
    let error = events.iter().find(|event| event["type"] == "error").unwrap();
    assert!(error["hint"].as_str().unwrap().contains("/core"), "{error}");
    for (command, expected) in [
        (format!("/core persona {}", &long[..1500]), "notice"),
        (format!("/core persona {long}"), "error"),
        ("/core persona I am a test.".to_owned(), "notice"),
        ("/core human Tells of the sea.".to_owned(), "notice"),
    ] {
        let events = program.command(&command);
        assert_eq!(types(&events), [expected], "{events:?}");
    }
    assert_eq!(reply(&program.say("And now?")), "All right.");
    assert!(program.close().success());
}

#[test]
fn what_the_user_wants_archived_is_archived_by_a_call() {
    use crate::harness::agent::{Setting, answer, call};
    use mneme::dialect::Profile;
    use mneme::inference::ScriptedReply;
    let profile = Profile::Native;
    let inserts = call(profile, "archival_memory_insert", &[("content", "\"The part number is 5517-B.\"")]);
    let searches = call(profile, "archival_memory_search", &[("query", "\"part number\""), ("page", "0")]);
    let replies = [inserts, answer(profile, "Done."), searches, answer(profile, "It is 5517-B.")];
    let replies: Vec<&str> = replies.iter().map(String::as_str).collect();
    let mut setting = Setting::new(profile, &replies);
    // With memory passes nothing that saves is offered, unless it is asked for.
    setting.config.memory_pass = Some(true);
    let (when, reply) = (Some("Message:\n".to_owned()), "NONE".to_owned());
    setting.script.replies.insert(0, ScriptedReply { when, reply, repeat: true, ..ScriptedReply::default() });
    let mut talk = setting.open();
    talk.say("Please put this into your archive: the part number is 5517-B.");
    let (_, _, passages) = talk.memory();
    assert_eq!(passages, 1);
    let events = talk.say("Search your archive for the part number, please.");
    assert_eq!(crate::harness::agent::messages(&events), ["It is 5517-B."]);
    assert!(talk.log.generations().iter().all(|generation| !generation.diverged));
}
