//! Random interleavings against a simple model.

use mneme::memory::{AgentMemory, BlockLabel, NewAgent};
use mneme::types::Body;
use proptest::prelude::*;

use super::{at, call, found, reply, reply_body, result, texts, user};

#[derive(Debug, Clone)]
enum Action {
    User(u8),
    Exchange(u8),
    Append(u8),
    Archive(u8),
    Abandon(u8),
    Evict(usize),
    Pop(usize),
    Save(u8),
    Load(u8),
    Reopen,
    Die(u8),
    Wait(u8),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => any::<u8>().prop_map(Action::User),
        3 => any::<u8>().prop_map(Action::Exchange),
        2 => (0_u8..20).prop_map(Action::Append),
        2 => (0_u8..20).prop_map(Action::Archive),
        1 => any::<u8>().prop_map(Action::Abandon),
        2 => (1_usize..5).prop_map(Action::Evict),
        2 => (1_usize..5).prop_map(Action::Pop),
        2 => (0_u8..3).prop_map(Action::Save),
        1 => (0_u8..3).prop_map(Action::Load),
        1 => Just(Action::Reopen),
        1 => any::<u8>().prop_map(Action::Die),
        1 => any::<u8>().prop_map(Action::Wait),
    ]
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    human: String,
    summary: Option<String>,
    queue: Vec<String>,
    said: Vec<String>,
    passages: Vec<String>,
}

fn observed(memory: &AgentMemory) -> Model {
    let view = memory.view();
    let mut queue = texts(&view.queue().unwrap());
    let has_summary = view.queue().unwrap().first().is_some_and(|m| matches!(m.body, Body::Summary { .. }));
    let summary = has_summary.then(|| queue.remove(0));
    let mut said: Vec<String> = found(memory, "marker");
    said.sort();
    let mut passages: Vec<String> =
        view.archival_search("passage", 0, 1000).unwrap().items.into_iter().map(|hit| hit.text).collect();
    passages.sort();
    Model { human: view.core().unwrap().human.text, summary, queue, said, passages }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_interleavings_agree_with_a_simple_model(actions in proptest::collection::vec(action(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        let mut memory = AgentMemory::create(at(&path), &NewAgent::named("ada", 0)).unwrap();
        let mut model = Model::default();
        let mut saved: std::collections::HashMap<u8, Model> = std::collections::HashMap::new();
        let mut number = 0;
        for action in actions {
            number += 1;
            match action {
                Action::User(n) => {
                    let text = format!("marker {number} says {n}");
                    memory.record(&[user(&text)]).unwrap();
                    model.queue.push(text.clone());
                    model.said.push(text);
                }
                Action::Exchange(n) => {
                    let text = format!("marker {number} replies {n}");
                    let added = memory.record(&[call("f"), result("f", "r"), reply(&text)]).unwrap();
                    model.queue.extend(texts(&added));
                    model.said.push(text);
                }
                Action::Append(n) => {
                    let line = format!("Fact {n}.");
                    let mut step = memory.step(1).unwrap();
                    let outcome = step.core_append(BlockLabel::Human, &line);
                    let is_known = model.human.lines().any(|known| known == line);
                    prop_assert_eq!(outcome.is_err(), is_known);
                    step.commit().unwrap();
                    if !is_known {
                        let break_before = if model.human.is_empty() { "" } else { "\n" };
                        model.human = format!("{}{break_before}{line}", model.human);
                    }
                }
                Action::Archive(n) => {
                    let text = format!("passage {n}");
                    let mut step = memory.step(1).unwrap();
                    let is_known = model.passages.contains(&text);
                    prop_assert_eq!(step.archival_insert(&text, None).is_err(), is_known);
                    step.commit().unwrap();
                    if !is_known {
                        model.passages.push(text);
                    }
                }
                Action::Abandon(n) => {
                    let mut step = memory.step(1).unwrap();
                    step.record(&user(&format!("marker abandoned {n}"))).unwrap();
                    let _ = step.core_append(BlockLabel::Human, "abandoned");
                    let _ = step.archival_insert("passage abandoned", None);
                }
                Action::Evict(count) => {
                    let queue = memory.view().queue().unwrap();
                    let ids: Vec<_> = queue
                        .iter()
                        .filter(|message| !matches!(message.body, Body::Summary { .. }))
                        .take(count)
                        .map(|message| message.id)
                        .collect();
                    let summary = format!("summary {number}");
                    memory.evict(&ids, &summary, 1).unwrap();
                    model.queue.drain(..ids.len());
                    model.summary = Some(summary);
                }
                Action::Pop(count) => {
                    let before = model.queue.len();
                    match memory.pop(count) {
                        Ok(popped) => {
                            prop_assert!(popped.len() == count || popped.len() == count + 1);
                            for message in texts(&popped) {
                                model.said.retain(|said| *said != message);
                            }
                            model.queue.truncate(before - popped.len());
                        }
                        Err(error) => prop_assert!(before < count, "{:?}", error),
                    }
                }
                Action::Save(n) => {
                    memory.save_checkpoint(&format!("c{n}"), 1).unwrap();
                    saved.insert(n, model.clone());
                }
                Action::Load(n) => {
                    let outcome = memory.load_checkpoint(Some(&format!("c{n}")), 1);
                    prop_assert_eq!(outcome.is_ok(), saved.contains_key(&n));
                    if let Some(saved) = saved.get(&n) {
                        model = saved.clone();
                    }
                }
                Action::Die(n) => {
                    let text = format!("marker {number} half of {n}");
                    let id = memory.begin_reply(1).unwrap();
                    memory.update_reply(id, &reply_body(&text)).unwrap();
                    drop(memory);
                    memory = AgentMemory::open(at(&path), "ada").unwrap();
                    model.queue.push(text.clone());
                    model.said.push(text);
                }
                Action::Wait(n) => {
                    let text = format!("marker {number} waits {n}");
                    memory.inbox().unwrap().unwrap().put(&text, 1).unwrap();
                    drop(memory);
                    memory = AgentMemory::open(at(&path), "ada").unwrap();
                    model.queue.push(text.clone());
                    model.said.push(text);
                }
                Action::Reopen => {
                    drop(memory);
                    memory = AgentMemory::open(at(&path), "ada").unwrap();
                }
            }
            let mut expected = model.clone();
            expected.said.sort();
            expected.passages.sort();
            prop_assert_eq!(observed(&memory), expected);
        }
    }
}
