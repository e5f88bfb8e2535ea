//! Undo and redo of whole turns: what they put back, and what ends the way forth.

use mneme::memory::{AgentMemory, BlockLabel, Error};
use mneme::types::{MessageId, Notification};

use super::*;

fn turn(memory: &mut AgentMemory, text: &str) -> MessageId {
    let mut step = memory.step(1).unwrap();
    let message = step.begin_turn(&user(text)).unwrap();
    step.commit().unwrap();
    memory.record(&[reply(&format!("about {text}"))]).unwrap();
    message.id
}

fn undo(memory: &mut AgentMemory, count: usize) -> Result<String, Error> {
    let mut step = memory.step(9).unwrap();
    let undone = step.undo(count)?;
    step.commit()?;
    Ok(undone.text)
}

fn redo(memory: &mut AgentMemory, count: usize) -> Result<(), Error> {
    let mut step = memory.step(9).unwrap();
    step.redo(count)?;
    step.commit()
}

fn append(memory: &mut AgentMemory, line: &str) {
    let mut step = memory.step(2).unwrap();
    step.core_append(BlockLabel::Human, line).unwrap();
    step.commit().unwrap();
}

/// What an undo must put back, as far as it can be seen from outside.
fn seen(memory: &AgentMemory) -> (String, Vec<Message>, Vec<String>, u64, u64, bool, usize) {
    let view = memory.view();
    let passages = view.archival_search("note", 0, 100).unwrap().items.into_iter().map(|hit| hit.text).collect();
    (
        view.core().unwrap().human.text,
        view.queue().unwrap(),
        passages,
        view.recall_count().unwrap(),
        view.conversation_count().unwrap(),
        view.is_warned().unwrap(),
        view.unpassed_count().unwrap(),
    )
}

#[test]
fn a_turn_that_evicted_paged_out_warned_and_saved_is_taken_back_whole_and_comes_back_whole() {
    let mut memory = in_memory();
    let first = turn(&mut memory, "lanterns");
    memory.evict(&[first], "We spoke of lanterns.", 2).unwrap();
    turn(&mut memory, "saddles");
    let before = seen(&memory);
    let third = turn(&mut memory, "violins");
    append(&mut memory, "The user plays the violin.");
    let mut step = memory.step(3).unwrap();
    step.archival_insert("A note on violins.", None).unwrap();
    step.set_stub(third, Some("[long]")).unwrap();
    step.pass_over(third).unwrap();
    step.pause_heartbeats(99).unwrap();
    step.commit().unwrap();
    let second = before.1[2].id;
    memory.evict(&[second], "We spoke of lanterns and saddles.", 4).unwrap();
    memory.set_warned(true).unwrap();
    let after = seen(&memory);
    assert_ne!(before, after);

    assert_eq!(undo(&mut memory, 1).unwrap(), "violins");
    assert_eq!(seen(&memory), before);
    assert!(found(&memory, "violins").is_empty() && found(&memory, "saddles").len() == 2);
    let edit = memory.view().block_edits(1).unwrap().remove(0);
    assert_eq!((edit.cause.as_str(), edit.after.as_str(), edit.message_id), ("undo", "", None));

    redo(&mut memory, 1).unwrap();
    assert_eq!(seen(&memory), after);
    assert_eq!(memory.view().block_edits(1).unwrap()[0].cause, "redo");
    assert_eq!(found(&memory, "violins").len(), 2);
    assert!(matches!(redo(&mut memory, 1), Err(Error::TooFewUndone { asked: 1, available: 0 })));
}

#[test]
fn a_pass_over_an_earlier_message_is_run_again_if_it_came_after_the_turn_that_is_taken_back() {
    let mut memory = in_memory();
    let first = turn(&mut memory, "lanterns");
    turn(&mut memory, "saddles");
    let mut step = memory.step(3).unwrap();
    step.caused_by(first);
    step.core_append(BlockLabel::Human, "The user owns a lantern.").unwrap();
    step.pass_over(first).unwrap();
    step.commit().unwrap();
    undo(&mut memory, 1).unwrap();
    assert_eq!(memory.view().core().unwrap().human.text, "");
    assert_eq!(memory.view().next_unpassed().unwrap().unwrap().id, first);
    // The pass runs, and the way forth stays open.
    append(&mut memory, "The user owns a lantern.");
    redo(&mut memory, 1).unwrap();
    assert_eq!(memory.view().core().unwrap().human.text, "The user owns a lantern.");
    assert_eq!(memory.view().unpassed_count().unwrap(), 1);
}

#[test]
fn several_turns_go_back_and_forth_in_any_portions() {
    let mut memory = in_memory();
    let mut states = vec![seen(&memory)];
    for text in ["one", "two", "three", "four"] {
        turn(&mut memory, text);
        append(&mut memory, &format!("The user said {text}."));
        states.push(seen(&memory));
    }
    assert_eq!(undo(&mut memory, 3).unwrap(), "two");
    assert_eq!(seen(&memory), states[1]);
    redo(&mut memory, 1).unwrap();
    assert_eq!(seen(&memory), states[2]);
    assert_eq!(undo(&mut memory, 2).unwrap(), "one");
    assert_eq!(seen(&memory), states[0]);
    assert!(matches!(undo(&mut memory, 1), Err(Error::TooFewTurns { asked: 1, available: 0 })));
    assert!(matches!(redo(&mut memory, 5), Err(Error::TooFewUndone { asked: 5, available: 4 })));
    redo(&mut memory, 4).unwrap();
    assert_eq!(seen(&memory), states[4]);
}

#[test]
fn what_the_user_does_ends_the_way_forth_and_what_the_agent_does_by_itself_does_not() {
    let changes: [fn(&mut AgentMemory); 7] = [
        |memory| {
            turn(memory, "new");
        },
        |memory| drop(memory.record(&[user("imported")]).unwrap()),
        |memory| drop(memory.pop(1).unwrap()),
        |memory| drop(load_checkpoint(memory, None, 3).unwrap()),
        |memory| {
            let mut step = memory.step(3).unwrap();
            step.set_block(BlockLabel::Human, None, "Edited.").unwrap();
            step.commit().unwrap();
        },
        |memory| {
            let mut step = memory.step(3).unwrap();
            step.archival_insert("A note.", Some("the user")).unwrap();
            step.drop_redo().unwrap();
            step.commit().unwrap();
        },
        |memory| {
            let mut step = memory.step(3).unwrap();
            let id = step.view().passages(0, 1).unwrap().items[0].id;
            step.archival_delete(id).unwrap();
            step.commit().unwrap();
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut memory = in_memory();
        let mut step = memory.step(0).unwrap();
        step.archival_insert("An old note.", None).unwrap();
        step.commit().unwrap();
        turn(&mut memory, "one");
        memory.save_checkpoint("c", 2).unwrap();
        turn(&mut memory, "two");
        let after = seen(&memory);
        undo(&mut memory, 1).unwrap();
        let login = Body::Notification { notification: Notification::Login { last_login_at_ms: None } };
        memory.record(&[NewMessage { at_ms: 3, body: login, interrupted: false }]).unwrap();
        memory.record(&[event(), call("f"), result("f", "r"), reply("Good morning.")]).unwrap();
        append(&mut memory, "Noted in a heartbeat.");
        redo(&mut memory, 1).unwrap();
        assert_eq!(seen(&memory), after, "change {number}");
        undo(&mut memory, 1).unwrap();
        change(&mut memory);
        assert!(matches!(redo(&mut memory, 1), Err(Error::TooFewUndone { available: 0, .. })), "change {number}");
    }
}

#[test]
fn turns_that_a_checkpoint_or_a_pop_took_away_are_none_to_go_back_over() {
    let mut memory = in_memory();
    turn(&mut memory, "one");
    memory.save_checkpoint("one", 2).unwrap();
    turn(&mut memory, "two");
    memory.save_checkpoint("two", 2).unwrap();
    load_checkpoint(&mut memory, Some("one"), 3).unwrap();
    assert_eq!(undo(&mut memory, 1).unwrap(), "one");
    load_checkpoint(&mut memory, Some("two"), 3).unwrap();
    assert_eq!(undo(&mut memory, 1).unwrap(), "two");
    redo(&mut memory, 1).unwrap();
    memory.pop(2).unwrap();
    assert_eq!(undo(&mut memory, 1).unwrap(), "one");
    redo(&mut memory, 1).unwrap();
    assert_eq!(found(&memory, "two"), [] as [&str; 0]);
}

#[test]
fn fifty_turns_are_kept() {
    let mut memory = in_memory();
    for number in 0..53 {
        turn(&mut memory, &format!("number{number}"));
    }
    assert!(matches!(undo(&mut memory, 51), Err(Error::TooFewTurns { asked: 51, available: 50 })));
    assert_eq!(undo(&mut memory, 50).unwrap(), "number3");
    assert_eq!(memory.view().queue().unwrap().len(), 6);
    redo(&mut memory, 50).unwrap();
    assert_eq!(memory.view().queue().unwrap().len(), 106);
}

#[test]
fn turns_out_of_view_do_not_count_among_those_that_can_be_taken_back() {
    let mut memory = in_memory();
    for number in 0..60 {
        turn(&mut memory, &format!("early{number}"));
    }
    undo(&mut memory, 40).unwrap();
    for number in 0..45 {
        turn(&mut memory, &format!("late{number}"));
    }
    assert!(matches!(undo(&mut memory, 51), Err(Error::TooFewTurns { available: 50, .. })));
    assert_eq!(undo(&mut memory, 50).unwrap(), "early15");
}

#[test]
fn agents_go_back_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let mut ada = AgentMemory::create(at(&path), &NewAgent::named("ada", 0)).unwrap();
    let mut bob = AgentMemory::create(at(&path), &NewAgent::named("bob", 0)).unwrap();
    for text in ["one", "two"] {
        turn(&mut ada, text);
        turn(&mut bob, text);
    }
    let bobs = seen(&bob);
    undo(&mut ada, 2).unwrap();
    assert_eq!((seen(&bob), ada.view().recall_count().unwrap()), (bobs, 0));
    redo(&mut ada, 1).unwrap();
    assert_eq!(ada.view().recall_count().unwrap(), 2);
}

#[test]
fn an_undo_that_is_not_committed_changes_nothing() {
    let mut memory = in_memory();
    turn(&mut memory, "one");
    let before = seen(&memory);
    let mut step = memory.step(3).unwrap();
    step.undo(1).unwrap();
    drop(step);
    assert_eq!(seen(&memory), before);
    assert!(redo(&mut memory, 1).is_err());
}

#[test]
fn a_rewritten_reply_is_another_row_and_an_undo_over_it_brings_the_old_one_back() {
    let mut memory = in_memory();
    turn(&mut memory, "one");
    turn(&mut memory, "two");
    memory.record(&[call("f"), result("f", "r")]).unwrap();
    memory.save_checkpoint("before", 2).unwrap();
    let before = seen(&memory);
    let mut step = memory.step(3).unwrap();
    step.rewrite_reply("about three").unwrap();
    step.commit().unwrap();
    let rewritten = texts(&memory.view().queue().unwrap());
    assert_eq!(rewritten[..4], ["one", "about one", "two", "about three"]);
    assert_eq!(rewritten.len(), 6, "call and result stay behind it");
    assert_eq!(found(&memory, "three").len(), 1);
    assert_eq!(found(&memory, "two"), ["two"]);
    assert_eq!(memory.view().recall_count().unwrap(), before.3);
    load_checkpoint(&mut memory, Some("before"), 4).unwrap();
    assert_eq!(seen(&memory), before);
}

#[test]
fn only_what_was_written_since_the_last_message_of_the_user_can_be_replaced() {
    let mut memory = in_memory();
    turn(&mut memory, "one");
    let mut step = memory.step(1).unwrap();
    step.begin_turn(&user("two")).unwrap();
    assert!(matches!(step.rewrite_reply("x"), Err(Error::NothingToReplace { what: "reply" })));
    assert!(matches!(step.rewrite_thoughts("x"), Err(Error::NothingToReplace { what: "inner thought" })));
    step.record(&call("f")).unwrap();
    step.rewrite_thoughts("better").unwrap();
    step.commit().unwrap();
    assert!(texts(&memory.view().queue().unwrap()).last().unwrap().starts_with("better\n"));
}

#[test]
fn a_block_that_is_too_long_or_has_changed_meanwhile_is_refused() {
    let mut memory = in_memory();
    append(&mut memory, "One.");
    let mut step = memory.step(1).unwrap();
    let long = "x".repeat(2001);
    assert!(matches!(step.set_block(BlockLabel::Human, None, &long), Err(Error::BlockTooLong { chars: 2001, .. })));
    assert!(matches!(step.set_block(BlockLabel::Human, Some("Two."), "Three."), Err(Error::BlockChanged { .. })));
    let block = step.set_block(BlockLabel::Human, Some("One."), " Two.\r\nThree.\n").unwrap();
    assert_eq!(block.text, "Two.\nThree.");
    step.commit().unwrap();
    assert_eq!(memory.view().block_edits(1).unwrap()[0].cause, "core");
}
