//! Random interleavings against a simple model.

use std::collections::HashMap;
use std::rc::Rc;

use mneme::memory::{AgentMemory, BlockLabel, NewAgent, Wanted};
use mneme::types::Body;
use proptest::prelude::*;

use super::{at, call, found, load_checkpoint, reply, reply_body, result, texts, user};

#[derive(Debug, Clone)]
enum Action {
    Turn(u8),
    Undo(usize),
    Redo(usize),
    Retake,
    Rewrite(u8),
    Block(u8),
    User(u8),
    Exchange(u8),
    Append(u8),
    Archive(u8),
    Abandon(u8),
    Evict(usize),
    Pop(usize),
    Save(u8),
    Load(u8),
    Forget(u8),
    Reopen,
    Die(u8),
    Wait(u8),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => any::<u8>().prop_map(Action::Turn),
        4 => (1_usize..4).prop_map(Action::Undo),
        4 => (1_usize..4).prop_map(Action::Redo),
        1 => Just(Action::Retake),
        1 => any::<u8>().prop_map(Action::Rewrite),
        1 => (0_u8..20).prop_map(Action::Block),
        1 => any::<u8>().prop_map(Action::User),
        3 => any::<u8>().prop_map(Action::Exchange),
        2 => (0_u8..20).prop_map(Action::Append),
        2 => (0_u8..20).prop_map(Action::Archive),
        1 => any::<u8>().prop_map(Action::Abandon),
        2 => (1_usize..5).prop_map(Action::Evict),
        2 => (1_usize..5).prop_map(Action::Pop),
        2 => (0_u8..3).prop_map(Action::Save),
        1 => (0_u8..3).prop_map(Action::Load),
        1 => any::<u8>().prop_map(Action::Forget),
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
    /// How the marked turns that are visible began: what the user said, and everything as it was before.
    turns: Vec<(String, Rc<Model>)>,
}

impl Model {
    fn without_turns(&self) -> Self {
        Self { turns: Vec::new(), said: sorted(&self.said), passages: sorted(&self.passages), ..self.clone() }
    }

    fn said_by_user(&self) -> Vec<String> {
        let is_users = |text: &&String| ["says", "turn", "waits"].iter().any(|verb| text.contains(verb));
        self.said.iter().filter(is_users).cloned().collect()
    }

    /// What can be forgotten of it, text by text.
    fn texts(&self) -> Vec<String> {
        let facts = self.human.lines().map(str::to_owned);
        self.said.iter().chain(&self.passages).cloned().chain(facts).collect()
    }

    /// What is left of it where everything that holds `text` is deleted. Turns share the states before them: each state
    /// is done once.
    fn without(&self, text: &str, done: &mut HashMap<*const Self, Rc<Self>>) -> Self {
        let keep = |line: &&String| !line.contains(text);
        let kept = |lines: &[String]| lines.iter().filter(keep).cloned().collect();
        let human: Vec<&str> = self.human.lines().filter(|line| !line.contains(text)).collect();
        let mut turns = Vec::new();
        for (said, before) in self.turns.iter().filter(|(said, _)| keep(&said)) {
            let known = done.get(&Rc::as_ptr(before)).cloned();
            let rest = known.unwrap_or_else(|| Rc::new(before.without(text, done)));
            done.insert(Rc::as_ptr(before), Rc::clone(&rest));
            turns.push((said.clone(), rest));
        }
        Self {
            human: human.join("\n"),
            summary: self.summary.clone(),
            queue: kept(&self.queue),
            said: kept(&self.said),
            passages: kept(&self.passages),
            turns,
        }
    }

    /// A turn is there while what the user said in it is.
    fn forget_turns_without_message(&mut self) {
        let said = self.said.clone();
        self.turns.retain(|(text, _)| said.contains(text));
    }
}

fn sorted(texts: &[String]) -> Vec<String> {
    let mut texts = texts.to_vec();
    texts.sort();
    texts
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
    Model { human: view.core().unwrap().human.text, summary, queue, said, passages, turns: Vec::new() }
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
        // States that lie ahead after an undo, the next one first.
        let mut ahead: Vec<Model> = Vec::new();
        // The state as the last way back or forth left it.
        let mut marked = Model::default();
        let mut number = 0;
        for action in actions {
            number += 1;
            let is_way = matches!(action, Action::Undo(_) | Action::Redo(_) | Action::Reopen | Action::Abandon(_));
            // What the agent does by itself, in a heartbeat or a memory pass, leaves the way forth open.
            let is_agents = matches!(
                action,
                Action::Append(_) | Action::Archive(_) | Action::Exchange(_) | Action::Evict(_) | Action::Die(_)
            );
            let mut changes = !is_way && !is_agents && !matches!(action, Action::Save(_));
            match action {
                Action::Turn(n) => {
                    let text = format!("marker {number} turn {n}");
                    let before = Rc::new(model.clone());
                    let mut step = memory.step(1).unwrap();
                    step.begin_turn(&user(&text)).unwrap();
                    step.commit().unwrap();
                    model.turns.push((text.clone(), before));
                    model.queue.push(text.clone());
                    model.said.push(text);
                }
                Action::Undo(count) => {
                    let mut step = memory.step(1).unwrap();
                    let outcome = step.undo(count);
                    prop_assert_eq!(outcome.is_ok(), model.turns.len() >= count, "{:?}", outcome);
                    if let Ok(undone) = outcome {
                        step.commit().unwrap();
                        let gone = model.turns[model.turns.len() - count..].to_vec();
                        prop_assert_eq!(&undone.text, &gone[0].0);
                        // What passes saved behind an undo is not part of what lies ahead.
                        let left = if ahead.is_empty() { model.clone() } else { marked.clone() };
                        let between = gone[1..].iter().map(|(_, before)| (**before).clone());
                        ahead = between.chain([left]).chain(std::mem::take(&mut ahead)).collect();
                        model = (*gone[0].1).clone();
                        marked = model.clone();
                    }
                }
                Action::Redo(count) => {
                    let mut step = memory.step(1).unwrap();
                    let outcome = step.redo(count);
                    prop_assert_eq!(outcome.is_ok(), ahead.len() >= count, "{:?}", outcome);
                    if outcome.is_ok() {
                        step.commit().unwrap();
                        model = ahead.drain(..count).next_back().unwrap();
                        marked = model.clone();
                    }
                }
                Action::Retake => {
                    let mut step = memory.step(1).unwrap();
                    let last = model.turns.last().cloned();
                    // What was recorded without a turn cannot be taken again.
                    let newest_said = model.said_by_user().last().cloned();
                    match step.retake() {
                        Ok(retaken) => {
                            step.commit().unwrap();
                            let (text, before) = last.unwrap();
                            prop_assert_eq!(retaken.message.body.searchable_text(), Some(text.as_str()));
                            model = (*before).clone();
                            model.turns.push((text.clone(), before));
                            model.queue.push(text.clone());
                            model.said.push(text);
                        }
                        Err(error) => {
                            prop_assert!(last.is_none_or(|(text, _)| Some(text) != newest_said), "{:?}", error);
                            changes = false;
                        }
                    }
                }
                Action::Rewrite(n) => {
                    let text = format!("marker {number} rewritten {n}");
                    let is_said = |line: &String| model.said_by_user().contains(line);
                    let since = model.queue.iter().rposition(is_said).map_or(0, |at| at + 1);
                    let at = model.queue[since..].iter().rposition(|line| line.starts_with("marker"));
                    let mut step = memory.step(1).unwrap();
                    let outcome = step.rewrite_reply(&text);
                    prop_assert_eq!(outcome.is_ok(), at.is_some(), "{:?}", outcome);
                    if let Some(at) = at {
                        step.commit().unwrap();
                        let old = std::mem::replace(&mut model.queue[since + at], text.clone());
                        model.said.retain(|said| *said != old);
                        model.said.push(text);
                    } else {
                        changes = false;
                    }
                }
                Action::Block(n) => {
                    let text = format!("Fact {n}.\nAnother.");
                    let mut step = memory.step(1).unwrap();
                    let outcome = step.set_block(BlockLabel::Human, Some(&model.human), &text);
                    prop_assert_eq!(outcome.is_ok(), model.human != text);
                    changes = outcome.is_ok();
                    step.commit().unwrap();
                    model.human = text;
                }
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
                        Err(error) => {
                            prop_assert!(before < count, "{:?}", error);
                            changes = false;
                        }
                    }
                }
                Action::Save(n) => {
                    memory.save_checkpoint(&format!("c{n}"), 1).unwrap();
                    saved.insert(n, model.clone());
                }
                Action::Load(n) => {
                    let outcome = load_checkpoint(&mut memory, Some(&format!("c{n}")), 1);
                    prop_assert_eq!(outcome.is_ok(), saved.contains_key(&n));
                    changes = outcome.is_ok();
                    if let Some(saved) = saved.get(&n) {
                        model = saved.clone();
                    }
                }
                Action::Forget(n) => {
                    let texts = model.texts();
                    changes = !texts.is_empty();
                    if let Some(text) = texts.get(usize::from(n) % texts.len().max(1)) {
                        let forgotten = memory.forget(&Wanted::new(text)).unwrap();
                        prop_assert!(!forgotten.is_nothing(), "{}", text);
                        let mut done = HashMap::new();
                        model = model.without(text, &mut done);
                        for saved in saved.values_mut() {
                            *saved = saved.without(text, &mut done);
                        }
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
                    model.turns.push((text.clone(), Rc::new(model.clone())));
                    model.queue.push(text.clone());
                    model.said.push(text);
                }
                Action::Reopen => {
                    drop(memory);
                    memory = AgentMemory::open(at(&path), "ada").unwrap();
                }
            }
            if changes {
                ahead.clear();
            }
            model.forget_turns_without_message();
            prop_assert_eq!(observed(&memory), model.without_turns());
        }
    }
}
