//! The queue, removal and checkpoints.

use jiff::civil::date;
use jiff::tz::TimeZone;
use mneme::memory::{AgentMemory, BlockLabel, Error};
use mneme::types::Body;

use super::{call, found, in_memory, load_checkpoint, reply, result, texts, user};

#[test]
fn an_eviction_replaces_the_summary_and_stays_searchable() {
    let mut memory = in_memory();
    let recorded = memory.record(&[user("one heron"), reply("two"), user("three"), reply("four")]).unwrap();
    memory.set_warned(true).unwrap();
    assert!(!memory.view().has_evicted_conversation().unwrap());
    memory.evict(&[recorded[0].id], "first", 9).unwrap();
    let summary = memory.evict(&[recorded[1].id], "second", 10).unwrap();
    assert_eq!(summary.body, Body::Summary { text: "second".into(), hidden_message_count: 2 });
    assert_eq!(texts(&memory.view().queue().unwrap()), ["second", "three", "four"]);
    assert_eq!(found(&memory, "heron"), ["one heron"]);
    assert!(found(&memory, "second").is_empty(), "summaries are not part of the conversation");
    assert_eq!(memory.view().recall_count().unwrap(), 4);
    assert!(memory.view().has_evicted_conversation().unwrap());
    assert!(!memory.view().is_warned().unwrap());
}

#[test]
fn pop_takes_messages_out_of_prompt_and_search() {
    let mut memory = in_memory();
    memory.record(&[user("one"), reply("heron"), user("otter")]).unwrap();
    assert_eq!(texts(&memory.pop(2).unwrap()), ["heron", "otter"]);
    assert_eq!(texts(&memory.view().queue().unwrap()), ["one"]);
    assert!(found(&memory, "heron otter").is_empty());
    assert_eq!(memory.view().recall_count().unwrap(), 1);
    let error = memory.pop(2).unwrap_err();
    assert!(matches!(error, Error::TooFewMessages { asked: 2, available: 1 }), "{error:?}");
    assert_eq!(memory.view().queue().unwrap().len(), 1);
}

#[test]
fn pop_never_leaves_a_call_without_its_result() {
    let mut memory = in_memory();
    memory.record(&[user("one"), call("f"), result("f", "r"), reply("done")]).unwrap();
    assert_eq!(memory.pop(2).unwrap().len(), 3);
    assert_eq!(texts(&memory.view().queue().unwrap()), ["one"]);
}

#[test]
fn a_stub_stands_for_the_message_until_it_is_taken_away() {
    let mut memory = in_memory();
    let id = memory.record(&[user("very long")]).unwrap()[0].id;
    let set_stub = |memory: &mut AgentMemory, stub| {
        let mut step = memory.step(1).unwrap();
        step.set_stub(id, stub).unwrap();
        step.commit().unwrap();
    };
    set_stub(&mut memory, Some("[stub]"));
    assert_eq!(texts(&memory.view().queue().unwrap()), ["[stub]"]);
    assert_eq!(found(&memory, "long"), ["very long"]);
    set_stub(&mut memory, None);
    assert_eq!(texts(&memory.view().queue().unwrap()), ["very long"]);
}

#[test]
fn a_checkpoint_brings_back_everything_as_it_was() {
    let mut memory = in_memory();
    memory.record(&[user("one heron"), reply("two")]).unwrap();
    let popped = memory.record(&[user("gone")]).unwrap()[0].id;
    memory.pop(1).unwrap();
    let mut step = memory.step(1).unwrap();
    step.core_append(BlockLabel::Persona, "I am calm.").unwrap();
    step.archival_insert("old passage", None).unwrap();
    step.commit().unwrap();
    memory.save_checkpoint("early", 100).unwrap();
    let early = state_of(&memory);

    let added = memory.record(&[user("three otters"), reply("four")]).unwrap();
    memory.evict(&[added[0].id], "summary", 9).unwrap();
    let mut step = memory.step(2).unwrap();
    step.core_append(BlockLabel::Human, "Is new.").unwrap();
    step.archival_insert("new passage", None).unwrap();
    step.commit().unwrap();
    memory.save_checkpoint("late", 200).unwrap();
    let late = state_of(&memory);

    assert_eq!(load_checkpoint(&mut memory, Some("early"), 300).unwrap(), "early");
    assert_eq!(state_of(&memory), early);
    assert!(found(&memory, "otters").is_empty() && found(&memory, "gone").is_empty());
    assert_eq!(memory.view().archival_search("passage", 0, 5).unwrap().total, 1);
    memory.record(&[user("another way")]).unwrap();
    assert_eq!(load_checkpoint(&mut memory, None, 400).unwrap(), "late");
    assert_eq!(state_of(&memory), late);
    assert!(found(&memory, "another").is_empty() && !found(&memory, "otters").is_empty());
    assert!(memory.view().message(popped).unwrap().is_some(), "history is never deleted");
    let error = load_checkpoint(&mut memory, Some("none"), 0).unwrap_err();
    assert!(matches!(&error, Error::UnknownCheckpoint { known, .. } if *known == ["late", "early"]), "{error:?}");
    assert!(matches!(load_checkpoint(&mut in_memory(), None, 0), Err(Error::NoCheckpoint)));
}

/// Everything that a checkpoint promises, as text.
fn state_of(memory: &AgentMemory) -> String {
    let view = memory.view();
    format!(
        "{:?} {:?} {} {} {:?} {:?}",
        view.core().unwrap(),
        view.queue().unwrap(),
        view.recall_count().unwrap(),
        view.archival_count().unwrap(),
        view.search_date(date(1970, 1, 1), date(1970, 1, 2), &TimeZone::UTC, 0, 1000).unwrap(),
        view.archival_search("passage", 0, 1000).unwrap(),
    )
}
