//! A machine's clock that is set while an agent lives: the order of what was said is that of writing.

use mneme::dialect::Profile;

use crate::harness::agent::{START_MS, Setting, answer, messages};

const DAY_MS: i64 = 24 * 60 * 60_000;

#[test]
fn a_clock_that_jumps_changes_no_order_and_stops_nothing() {
    for profile in [Profile::Native, Profile::Classic] {
        let mut talk = Setting::new(profile, &[]).open();
        for (number, jump_days) in [0, -400, 4000, -40_000, 1].into_iter().enumerate() {
            talk.clock.set(START_MS + jump_days * DAY_MS);
            let events = talk.say(&format!("message number {number}"));
            assert_eq!(messages(&events), ["All right."], "{profile:?}, {jump_days}: {events:?}");
            let saved = talk.notice("/save");
            assert!(saved.starts_with("Saved as "), "{saved}");
        }
        let prompt = talk.prompt();
        let places: Vec<usize> =
            (0..5).map(|number| prompt.find(&format!("message number {number}")).unwrap()).collect();
        assert!(places.is_sorted(), "{prompt}");
        let dump = talk.notice("/dump");
        assert_eq!(dump.matches("message number").count(), 5, "{dump}");
    }
}

#[test]
fn a_warning_comes_once_between_two_evictions() {
    for profile in [Profile::Native] {
        let mut setting = Setting::new(profile, &[]);
        let always = |when: &str, reply: &str| mneme::inference::ScriptedReply {
            when: Some(when.to_owned()),
            reply: reply.to_owned(),
            repeat: true,
            ..Default::default()
        };
        setting.script.replies =
            vec![always("Write a summary of them", "We spoke about the house."), always("nearly filled", "")];
        setting.script.context_window = 4096;
        setting.script.otherwise = Some(answer(profile, "I see."));
        let mut talk = setting.open();
        let (mut warnings, mut evictions, mut since) = (0, 0, 0);
        for turn in 0..150 {
            let events = talk.say(&format!("Turn {turn}: {}", "rain fell on the house ".repeat(turn % 12)));
            for event in &events {
                if let mneme::types::Event::Notice { text } = event {
                    if text.contains("are summarised first") {
                        continue;
                    }
                    assert!(text.contains("were summarised"), "{profile:?}, turn {turn}: {text}");
                    assert_eq!(since, 1, "{profile:?}, turn {turn}: warnings before the eviction");
                    (evictions, since) = (evictions + 1, 0);
                }
            }
            let warned = talk.log.take().iter().filter(|generation| is_warning(&generation.text)).count();
            assert!(warned <= 1, "{profile:?}, turn {turn}");
            (warnings, since) = (warnings + warned, since + warned);
        }
        assert!(evictions >= 3 && warnings >= evictions, "{profile:?}: {warnings} warnings, {evictions} evictions");
    }
}

/// Whether the newest thing in a prompt is the memory-pressure warning.
fn is_warning(prompt: &str) -> bool {
    let last = prompt.rsplit("<|im_start|>").nth(1).unwrap_or_default();
    last.contains("nearly filled") || last.contains("system_alert")
}
