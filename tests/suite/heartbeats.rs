//! Heartbeats that the agent has by itself: when they come, what stops them, what they look like from outside. Time is
//! that of a clock in the test's hand.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use mneme::dialect::Profile;
use mneme::inference::{Script, ScriptedReply};
use mneme::kernel::{Emitted, Handle, Outgoing, Request, spawn, timed_heartbeat};
use mneme::memory::Store;
use mneme::types::{Cause, Clock, Event, ManualClock, StopReason};

use crate::harness::agent::{START_MS, Setting, Talk, answer, call};

const PROFILES: [Profile; 2] = [Profile::Native, Profile::Classic];
const MINUTE_MS: i64 = 60_000;

fn setting(profile: Profile, minutes: u32) -> Setting<'static> {
    let mut setting = Setting::new(profile, &[]);
    setting.config.heartbeat_minutes = Some(minutes);
    setting
}

fn minutes_left(talk: &mut Talk) -> u64 {
    talk.agent.heartbeat_due_in().unwrap().as_secs() / 60
}

fn heartbeat(talk: &mut Talk) -> Vec<(Cause, Event)> {
    let mut events = Vec::new();
    timed_heartbeat(&mut talk.agent, &mut |cause, event| events.push((cause, event)));
    events.retain(|(_, event)| !matches!(event, Event::Delta { .. }));
    events
}

#[test]
fn there_are_none_unless_they_are_asked_for() {
    let mut talk = Setting::new(Profile::Native, &[]).open();
    talk.say("Hello.");
    assert_eq!(talk.agent.heartbeat_due_in(), None);
    let mut talk = setting(Profile::Native, 0).open();
    assert_eq!(talk.agent.heartbeat_due_in(), None);
}

#[test]
fn a_heartbeat_comes_when_nothing_has_happened_for_the_interval() {
    for profile in PROFILES {
        let mut setting = setting(profile, 10);
        setting.script.replies =
            Script::of([answer(profile, "Hi.").as_str(), answer(profile, "Still there?").as_str()]).replies;
        let mut talk = setting.open();
        talk.say("Hello.");
        assert_eq!(minutes_left(&mut talk), 10);
        talk.clock.advance(9 * MINUTE_MS);
        talk.command("/dump");
        assert_eq!(minutes_left(&mut talk), 10, "whoever types a command is not away");
        talk.command("/no such command");
        assert_eq!(minutes_left(&mut talk), 10);
        talk.clock.advance(10 * MINUTE_MS);
        assert_eq!(minutes_left(&mut talk), 0);
        let events = heartbeat(&mut talk);
        let [.., (_, Event::Message { text }), (_, Event::Turn(report))] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!((text.as_str(), report.stop_reason), ("Still there?", StopReason::Answer));
        assert!(events.iter().all(|(cause, _)| *cause == Cause::Timer), "{events:?}");
        assert!(talk.prompt().contains("Automated timer"), "{}", talk.prompt());
        assert_eq!(minutes_left(&mut talk), 10, "one, not a burst");
    }
}

#[test]
fn a_pause_holds_its_minutes_and_survives_a_restart() {
    for profile in PROFILES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mneme.db");
        let replies = [call(profile, "pause_heartbeats", &[("minutes", "90")]), answer(profile, "Good night.")];
        let mut first = setting(profile, 10);
        first.script.replies = Script::of(replies.iter().map(String::as_str)).replies;
        let mut talk = first.open_in(Store::open(&path, &ManualClock::at(START_MS)).unwrap());
        let events = heartbeat(&mut talk);
        assert!(events.iter().any(|(_, event)| matches!(event, Event::Result { .. })), "{events:?}");
        assert_eq!(minutes_left(&mut talk), 90);
        talk.clock.advance(30 * MINUTE_MS);
        assert_eq!(minutes_left(&mut talk), 60);
        drop(talk);

        let mut talk = setting(profile, 10).open_in(Store::open(&path, &ManualClock::at(START_MS)).unwrap());
        assert_eq!(minutes_left(&mut talk), 90, "the harness's clock begins anew");
        talk.clock.advance(60 * MINUTE_MS);
        talk.clock.set(START_MS - 365 * 24 * 60 * MINUTE_MS);
        assert_eq!(minutes_left(&mut talk), 30, "a clock that is set back does not lengthen it");
        talk.clock.advance(30 * MINUTE_MS);
        assert_eq!(minutes_left(&mut talk), 0);
    }
}

/// An agent on its own thread, and the clock that it lives by.
fn spawned(script: Script, minutes: u32) -> (Handle, ManualClock) {
    let mut setting = setting(Profile::Native, minutes);
    setting.script = script;
    let Talk { agent, clock, .. } = setting.open();
    let ready = Event::Notice { text: "ready".to_owned() };
    (spawn(agent, ready, Arc::new(AtomicBool::new(true))), clock)
}

/// The next event, deltas apart.
fn next(handle: &Handle) -> Emitted {
    loop {
        match handle.events.recv_timeout(Duration::from_secs(60)).expect("an event") {
            Outgoing::Event(Emitted { event: Event::Delta { .. }, .. }) | Outgoing::PassesLeft(_) | Outgoing::Done => {}
            Outgoing::Event(emitted) => return emitted,
            other => panic!("{other:?}"),
        }
    }
}

fn ask(handle: &Handle, seq: u64, request: Request) {
    assert!(handle.requests.send(Some(seq), request));
}

fn command(text: &str) -> Request {
    Request::Command { text: text.to_owned() }
}

/// Types a command and waits until the agent's thread has nothing left to do of it.
fn answered(handle: &Handle, seq: u64, text: &str) {
    while handle.events.try_recv().is_ok() {}
    ask(handle, seq, command(text));
    let mut is_seen = false;
    loop {
        match handle.events.recv_timeout(Duration::from_secs(60)).expect("an event") {
            Outgoing::Event(Emitted { cause: Cause::Command, seq: of, .. }) => is_seen |= of == Some(seq),
            Outgoing::Done if is_seen => return,
            Outgoing::Done | Outgoing::PassesLeft(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Nothing comes for longer than the agent's thread sleeps at most.
fn assert_silent(handle: &Handle) {
    let outgoing = handle.events.recv_timeout(Duration::from_secs(7));
    assert!(outgoing.is_err(), "{outgoing:?}");
}

fn user(text: &str) -> Request {
    Request::User { text: text.to_owned() }
}

#[test]
fn the_agents_thread_has_them_of_itself_but_not_before_the_first_request() {
    let script = Script { otherwise: Some("All right.".to_owned()), ..Script::default() };
    let (handle, clock) = spawned(script, 10);
    assert!(matches!(next(&handle).event, Event::Notice { .. }));
    clock.advance(60 * MINUTE_MS);
    answered(&handle, 1, "/help");
    clock.advance(60 * MINUTE_MS);
    // Due for long: it comes once.
    for expected in ["message", "turn"] {
        let emitted = next(&handle);
        assert_eq!((emitted.cause, emitted.seq), (Cause::Timer, None), "{expected}: {emitted:?}");
    }
    ask(&handle, 2, user("Hello."));
    for _ in ["message", "turn"] {
        let emitted = next(&handle);
        assert_eq!((emitted.cause, emitted.seq), (Cause::User, Some(2)), "{emitted:?}");
    }
    answered(&handle, 3, "/dump 1");
    clock.advance(10 * MINUTE_MS);
    assert_eq!(next(&handle).cause, Cause::Timer);
    assert!(matches!(next(&handle), Emitted { cause: Cause::Timer, event: Event::Turn(_), .. }));
    ask(&handle, 4, Request::Exit);
    assert_eq!(next(&handle).seq, Some(4));
}

#[test]
fn a_request_that_comes_in_stops_a_heartbeat_and_is_answered_whole() {
    let long = ScriptedReply {
        when: Some("Automated timer".to_owned()),
        reply: "And so on. ".repeat(300),
        ..ScriptedReply::default()
    };
    let otherwise = Some("All right, all of it.".to_owned());
    let (handle, clock) =
        spawned(Script { replies: vec![long], otherwise, token_delay_ms: 5, ..Script::default() }, 10);
    answered(&handle, 1, "/help");
    clock.advance(60 * MINUTE_MS);
    loop {
        let outgoing = handle.events.recv_timeout(Duration::from_secs(60)).unwrap();
        if matches!(outgoing, Outgoing::Event(Emitted { cause: Cause::Timer, event: Event::Delta { .. }, .. })) {
            break;
        }
    }
    ask(&handle, 2, user("Hello."));
    let Emitted { cause: Cause::Timer, event: Event::Turn(report), .. } = next(&handle) else { panic!("no turn") };
    assert_eq!(report.stop_reason, StopReason::Interrupted);
    let message = next(&handle);
    assert_eq!((message.seq, message.event), (Some(2), Event::Message { text: "All right, all of it.".to_owned() }));
    let Emitted { seq: Some(2), event: Event::Turn(report), .. } = next(&handle) else { panic!("no turn") };
    assert_eq!(report.stop_reason, StopReason::Answer);
}

#[test]
fn none_comes_into_an_editor_and_the_interval_begins_anew_behind_it() {
    let script = Script { otherwise: Some("All right.".to_owned()), ..Script::default() };
    let (handle, clock) = spawned(script, 10);
    answered(&handle, 1, "/help");
    let busy = handle.requests.busy();
    busy.set_editing(true);
    clock.advance(60 * MINUTE_MS);
    assert_silent(&handle);
    busy.set_editing(false);
    clock.advance(10 * MINUTE_MS);
    assert_eq!(next(&handle).cause, Cause::Timer);
    assert!(matches!(next(&handle), Emitted { cause: Cause::Timer, event: Event::Turn(_), .. }));
}

#[test]
fn the_user_can_have_them_paused_where_there_are_any() {
    for profile in PROFILES {
        let replies = [call(profile, "pause_heartbeats", &[("minutes", "60")]), answer(profile, "I am quiet.")];
        let mut setting = setting(profile, 10);
        setting.script.replies = Script::of(replies.iter().map(String::as_str)).replies;
        let mut talk = setting.open();
        talk.say("Leave me alone for an hour.");
        assert_eq!(minutes_left(&mut talk), 60);
        assert!(talk.log.generations().iter().all(|generation| !generation.diverged));
    }
}

#[test]
fn what_was_taken_back_can_be_brought_back_behind_a_greeting_and_a_heartbeat() {
    for profile in PROFILES {
        let mut talk = setting(profile, 10).open();
        talk.say("I keep bees.");
        talk.say("I sold the bees.");
        let after = talk.notice("/dump");
        assert!(talk.notice("/undo").contains("until your next message"));
        talk.request(Request::Greet);
        heartbeat(&mut talk);
        assert_eq!(talk.notice("/redo"), "Brought back 1 turn.");
        assert_eq!(talk.notice("/dump"), after, "{profile:?}");
        talk.notice("/undo");
        talk.command("/heartbeat");
        assert!(matches!(talk.command("/redo").as_slice(), [Event::Error { .. }]), "one that the user asked for");
    }
}

#[test]
fn the_interval_is_a_flag_and_a_wrong_one_is_refused() {
    let world = crate::harness::world::World::new();
    let (code, error) = world.refused(&["--heartbeat-minutes", "20000"]);
    assert_eq!(code, 2);
    assert!(error["message"].as_str().unwrap().contains("heartbeat_minutes is 20000"), "{error}");
    let mut program = world.start(serde_json::json!([]), &["--heartbeat-minutes", "30"]);
    assert_eq!(crate::harness::program::reply(&program.say("Hello.")), "All right.");
    assert!(program.close().success());
}

#[test]
fn a_clock_in_the_hand_stands_still_until_it_is_moved() {
    let clock = ManualClock::at(5);
    let before = clock.instant();
    clock.set(1_000_000);
    assert_eq!((clock.now_ms(), clock.instant()), (1_000_000, before));
    clock.advance(7);
    assert_eq!((clock.now_ms(), clock.instant() - before), (1_000_007, Duration::from_millis(7)));
}
