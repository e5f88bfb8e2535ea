//! What idle time does for the next turn, and what turns read.

use mneme::bench::turn::trace::{Known, Operation};
use mneme::dialect::Profile;
use mneme::inference::{Script, ScriptedReply, Sequence};
use mneme::types::{Cancel, CoreRefresh, Event, TurnReport};

use crate::harness::agent::{Setting, Talk, call};

/// A window in which some dozen short exchanges have room.
const WINDOW_TOKENS: usize = 2048;

fn setting() -> Setting<'static> {
    let mut setting = Setting::new(Profile::Native, &[]);
    setting.script.context_window = WINDOW_TOKENS;
    setting
}

fn report(events: &[Event]) -> &TurnReport {
    match events.last() {
        Some(Event::Turn(report)) => report,
        other => panic!("{other:?}"),
    }
}

fn remark(turn: usize) -> String {
    format!("Remark {turn} about this and that, with a few more words to fill the window as people do.")
}

fn is_eviction(event: &Event) -> bool {
    matches!(event, Event::Notice { text } if text.contains("The window was full"))
}

/// Idle work to its end, with what it shows.
fn rest(talk: &mut Talk, preempt: &Cancel) -> Vec<Event> {
    let mut events = Vec::new();
    while talk.agent.work_in_idle_time(preempt, &mut |event| events.push(event)) {}
    events
}

#[test]
fn the_window_is_made_room_in_while_nobody_waits() {
    let mut talk = setting().open();
    let mut evictions = 0;
    for turn in 0..120 {
        let events = talk.say(&remark(turn));
        assert!(!events.iter().any(is_eviction), "turn {turn} had to wait for a summary");
        evictions += rest(&mut talk, &Cancel::new()).iter().filter(|event| is_eviction(event)).count();
    }
    assert!(evictions >= 2, "{evictions} evictions");
}

#[test]
fn without_idle_time_a_turn_makes_the_room_itself() {
    let mut talk = setting().open();
    assert!((0..120).any(|turn| talk.say(&remark(turn)).iter().any(is_eviction)));
}

#[test]
fn a_summary_that_gives_way_leaves_everything_in_view() {
    let mut talk = setting().open();
    let stopped = Cancel::new();
    stopped.raise();
    let mut seen = Vec::new();
    for turn in 0..120 {
        talk.say(&remark(turn));
        let before = talk.prompt();
        assert!(rest(&mut talk, &stopped).is_empty());
        if rest(&mut talk, &Cancel::new()).iter().any(is_eviction) {
            seen.push(before);
            break;
        }
    }
    // Until then nothing had been shortened without the model.
    let [before] = seen.as_slice() else { panic!("no eviction") };
    assert!(before.contains(&remark(0)), "{before}");
}

#[test]
fn what_a_command_has_changed_is_not_summarised_away() {
    let mut talk = setting().open();
    let mut turn = 0;
    // Full enough for idle time, not full enough for a turn.
    loop {
        talk.say(&remark(turn));
        turn += 1;
        let mut other = setting().open();
        (0..turn).for_each(|turn| drop(other.say(&remark(turn))));
        if rest(&mut other, &Cancel::new()).iter().any(is_eviction) {
            break;
        }
    }
    talk.command("/undo");
    talk.command("/redo");
    assert!(rest(&mut talk, &Cancel::new()).is_empty());
    talk.say("And now?");
    assert!(rest(&mut talk, &Cancel::new()).iter().any(is_eviction));
}

#[test]
fn a_turn_reads_what_no_prompt_before_it_held_and_nothing_else() {
    let note = "\"The user likes tea.\"";
    let save = call(Profile::Native, "core_memory_append", &[("section", "\"human\""), ("content", note)]);
    let replies = [("I like tea", save.as_str()), ("core_memory_append", "Tea it is.")];
    let replies = replies.map(|(when, reply)| ScriptedReply {
        when: Some(when.to_owned()),
        reply: reply.to_owned(),
        ..ScriptedReply::default()
    });
    let mut setting = setting();
    setting.script = Script { replies: replies.into(), ..setting.script };
    let mut talk = setting.open();
    let mut known = Known::default();
    let _ = talk.trace.take();
    for turn in 0..12 {
        let text = if turn == 4 { "I like tea.".to_owned() } else { remark(turn) };
        let events = talk.say(&text);
        let mut twice = 0;
        for operation in talk.trace.take().0 {
            if let Operation::Read { sequence, at, tokens } = operation {
                twice += known.take(sequence, at, &tokens);
            }
        }
        assert_eq!(twice, 0, "turn {turn}: {events:?}");
        assert_eq!(report(&events).steps, if turn == 4 { 2 } else { 1 }, "turn {turn}: {events:?}");
        rest(&mut talk, &Cancel::new());
        for operation in talk.trace.take().0 {
            if let Operation::Read { sequence, at, tokens } = operation {
                assert_eq!(known.take(sequence, at, &tokens), 0, "idle time behind turn {turn}");
            }
        }
    }
}

#[test]
fn what_answers_begin_with_is_read_before_a_message_is_looked_at() {
    let mut setting = setting();
    setting.script.context_window = 8192;
    setting.config.memory_pass = Some(true);
    setting.config.answer_pass = Some(true);
    let mut talk = setting.open();
    talk.say("My sister is called Wren.");
    let _ = talk.trace.take();
    rest(&mut talk, &Cancel::new());
    let read = talk.trace.take().0.into_iter().filter_map(|operation| match operation {
        Operation::Read { sequence, .. } => Some(sequence),
        Operation::Restored { .. } => None,
    });
    let read: Vec<Sequence> = read.collect();
    let first = |one: Sequence| read.iter().position(|sequence| *sequence == one).expect("it is read");
    assert!(first(Sequence::FourthSide) < first(Sequence::Side), "{read:?}");
}

#[test]
fn what_a_first_turn_begins_with_is_read_while_the_user_types() {
    let first_turn = |is_read_ahead: bool| {
        let mut setting = setting();
        setting.script.context_window = 8192;
        setting.config.answer_pass = Some(true);
        let mut talk = setting.open();
        let mut known = Known::default();
        let mut read = |talk: &Talk| {
            let (mut tokens_read, mut twice) = (0, 0);
            for operation in talk.trace.take().0 {
                if let Operation::Read { sequence, at, tokens } = operation {
                    tokens_read += tokens.len();
                    twice += known.take(sequence, at, &tokens);
                }
            }
            (tokens_read, twice)
        };
        if is_read_ahead {
            talk.agent.read_before_first_turn(&Cancel::new());
        }
        let ahead = read(&talk);
        talk.say("What is my sister called?");
        (ahead, read(&talk))
    };
    let ((nothing, _), (all, _)) = first_turn(false);
    let ((ahead, _), (rest, twice)) = first_turn(true);
    assert_eq!((nothing, twice), (0, 0));
    assert_eq!(ahead + rest, all, "nothing more is read than without it");
    assert!(rest * 4 < all, "{rest} of {all}");
}

#[test]
fn a_first_turn_that_comes_at_once_finds_nothing_read() {
    let mut talk = setting().open();
    let stopped = Cancel::new();
    stopped.raise();
    talk.agent.read_before_first_turn(&stopped);
    assert!(talk.trace.take().0.is_empty());
}

#[test]
fn idle_time_reads_what_the_next_prompt_begins_with() {
    let read_by_third = |has_rest: bool| {
        let mut talk = setting().open();
        talk.say("Good evening.");
        talk.command("/core human I collect stamps.");
        talk.say("It is raining.");
        if has_rest {
            rest(&mut talk, &Cancel::new());
        }
        report(&talk.say("It has stopped.")).tokens_read
    };
    let (with, without) = (read_by_third(true), read_by_third(false));
    assert!(with < without, "{with} and {without}");
}

/// What of a prompt stands before the conversation.
fn head(prompt: &str) -> String {
    prompt.split("<|im_start|>user").next().unwrap_or_default().to_owned()
}

#[test]
fn the_config_says_which_edits_reach_the_beginning_of_the_prompt() {
    let note = |text: &str| format!("\"{text}\"");
    let (tea, coffee) = ("The user likes tea.", "The user likes coffee.");
    let section = ("section", "\"human\"");
    for (policy, after_append, after_correction) in
        [(CoreRefresh::Eviction, "", ""), (CoreRefresh::Correction, "", coffee), (CoreRefresh::Edit, tea, coffee)]
    {
        let append = call(Profile::Native, "core_memory_append", &[section, ("content", &note(tea))]);
        let replace = [section, ("old_content", &*note(tea)), ("new_content", &*note(coffee))];
        let replace = call(Profile::Native, "core_memory_replace", &replace);
        let replies = [append.as_str(), "Tea it is.", &replace, "Coffee it is.", "Good."];
        let mut setting = Setting::new(Profile::Native, &replies);
        setting.config.core_refresh = Some(policy);
        let mut talk = setting.open();
        for text in ["I like tea.", "No, coffee.", "Good?"] {
            talk.say(text);
        }
        let heads: Vec<String> = talk.log.prompts().iter().map(|prompt| head(prompt)).collect();
        let [_, _, third, _, last] = heads.as_slice() else { panic!("{} prompts", heads.len()) };
        assert_eq!(third.contains(tea), !after_append.is_empty(), "{policy:?}: {third}");
        assert_eq!(last.contains(coffee), !after_correction.is_empty(), "{policy:?}: {last}");
    }
}

#[test]
fn the_state_of_a_conversation_is_worth_saving_after_a_quiet_minute() {
    let mut talk = setting().open();
    talk.say("Good morning.");
    let due = |talk: &Talk| talk.agent.state_due_in().map(|due| due.as_secs());
    assert_eq!(due(&talk), Some(60));
    talk.clock.advance(59_000);
    assert_eq!(due(&talk), Some(1));
    talk.clock.advance(2_000);
    assert_eq!(due(&talk), Some(0));
    talk.agent.save_state();
    assert_eq!(due(&talk), None, "there is nothing new");
    talk.say("And good night.");
    assert_eq!(due(&talk), Some(60));
}
