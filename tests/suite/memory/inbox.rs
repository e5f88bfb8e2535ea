//! The inbox: what the user has said and no step has recorded.

use mneme::memory::{AgentMemory, NewAgent};

use super::{at, found, in_memory, texts, user};

#[test]
fn what_waits_is_recorded_in_its_order_when_the_agent_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let mut memory = AgentMemory::create(at(&path), &NewAgent::named("ada", 0)).unwrap();
    memory.record(&[user("before")]).unwrap();
    let inbox = memory.inbox().unwrap().unwrap();
    inbox.put("the first heron", 7).unwrap();
    inbox.put("the second heron", 9).unwrap();
    assert_eq!(texts(&memory.view().queue().unwrap()), ["before"], "it is no message yet");
    drop((memory, inbox));

    let memory = AgentMemory::open(at(&path), "ada").unwrap();
    let queue = memory.view().queue().unwrap();
    assert_eq!(texts(&queue), ["before", "the first heron", "the second heron"]);
    assert_eq!((queue[1].at_ms, queue[2].at_ms), (7, 9), "the times at which they were said");
    assert_eq!(memory.recovered_messages(), &queue[1..]);
    assert_eq!(found(&memory, "heron").len(), 2);
    assert_eq!(memory.view().unpassed_count().unwrap(), 3);
    drop(memory);
    assert!(AgentMemory::open(at(&path), "ada").unwrap().recovered_messages().is_empty());
}

#[test]
fn what_a_step_takes_out_does_not_come_back_and_what_it_abandons_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let mut memory = AgentMemory::create(at(&path), &NewAgent::named("ada", 0)).unwrap();
    let inbox = memory.inbox().unwrap().unwrap();
    let [recorded, abandoned, refused] = ["recorded", "abandoned", "refused"].map(|text| inbox.put(text, 1).unwrap());
    let mut step = memory.step(2).unwrap();
    step.take_out(recorded).unwrap();
    step.record(&user("recorded")).unwrap();
    step.commit().unwrap();
    let mut step = memory.step(3).unwrap();
    step.take_out(abandoned).unwrap();
    step.record(&user("abandoned")).unwrap();
    drop(step);
    memory.take_out(refused).unwrap();
    drop((memory, inbox));

    let memory = AgentMemory::open(at(&path), "ada").unwrap();
    assert_eq!(texts(&memory.view().queue().unwrap()), ["recorded", "abandoned"]);
    assert_eq!(texts(memory.recovered_messages()), ["abandoned"]);
}

#[test]
fn an_inbox_belongs_to_its_agent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let ada = AgentMemory::create(at(&path), &NewAgent::named("ada", 0)).unwrap();
    let bob = AgentMemory::create(at(&path), &NewAgent::named("bob", 0)).unwrap();
    let entry = ada.inbox().unwrap().unwrap().put("for ada", 1).unwrap();
    let mut bob = AgentMemory::open(bob.into_store(), "bob").unwrap();
    assert!(bob.recovered_messages().is_empty());
    bob.take_out(entry).unwrap();
    drop(ada);
    let ada = AgentMemory::open(at(&path), "ada").unwrap();
    assert_eq!(texts(ada.recovered_messages()), ["for ada"]);
    // An agent takes with it what waits for it.
    ada.inbox().unwrap().unwrap().put("for ada again", 2).unwrap();
    let store = ada.discard().unwrap();
    let ada = AgentMemory::create(store, &NewAgent::named("ada", 3)).unwrap();
    assert_eq!(ada.view().recall_count().unwrap(), 0);
}

#[test]
fn a_memory_that_dies_with_its_process_has_no_inbox() {
    assert!(in_memory().inbox().unwrap().is_none());
}
