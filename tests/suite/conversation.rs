//! Long conversations: the window is never exceeded, nothing is lost, and the prompt is what it should be.

use mneme::dialect::Profile;
use mneme::inference::{Script, ScriptedReply};
use mneme::types::{Event, StopReason};

use crate::harness::agent::{Setting, Talk, answer, call, messages};

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
