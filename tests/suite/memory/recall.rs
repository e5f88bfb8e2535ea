//! What searches of the conversation find, in which order, and with what around it.

use mneme::memory::{AgentMemory, NewAgent, Role};
use mneme::types::{Body, MessageId};
use proptest::prelude::*;

use super::{call, event, found, in_memory, load_checkpoint, reply, result, user};

/// Ids of all messages, in the order in which they were said.
fn talk(memory: &mut AgentMemory, texts: &[&str]) -> Vec<MessageId> {
    let said = texts.iter().enumerate().map(|(n, text)| if n % 2 == 0 { user(text) } else { reply(text) });
    memory.record(&said.collect::<Vec<_>>()).unwrap().iter().map(|message| message.id).collect()
}

#[test]
fn an_answer_is_ranked_beside_its_question() {
    let mut memory = in_memory();
    let ids = talk(
        &mut memory,
        &[
            "The weather is fine.",
            "Which instrument did your sister learn?",
            "The oboe, for six years.",
            "A fine choice.",
            "Let us talk of boats.",
            "Gladly.",
        ],
    );
    let ranked = memory.view().rank_messages("instrument of the sister", None, 10).unwrap();
    assert_eq!(ranked[..2], [ids[1], ids[2]]);
    // As a hit the question alone is counted; the answer stands beside it.
    let page = memory.view().search("instrument of the sister", 0, 5).unwrap();
    assert_eq!((page.total, page.items[0].id), (1, ids[1]));
    let hit = &page.items[0];
    assert_eq!(hit.after.as_ref().map(|said| (said.id, said.role)), Some((ids[2], Role::User)));
    assert_eq!(hit.before.as_ref().map(|said| said.text.as_str()), Some("The weather is fine."));
}

#[test]
fn words_spread_over_neighbouring_turns_win_over_one_of_them_elsewhere() {
    let mut memory = in_memory();
    let ids = talk(
        &mut memory,
        &["We sailed to the island.", "In which boat?", "The green one.", "I see.", "Yes.", "The boat was repaired."],
    );
    let ranked = memory.view().rank_messages("boat to the island", None, 10).unwrap();
    assert!(ranked[..2].contains(&ids[0]) && ranked[..2].contains(&ids[1]), "{ranked:?}");
}

#[test]
fn only_what_was_said_stands_around_a_hit() {
    let mut memory = in_memory();
    memory.record(&[user("good day"), call("f"), result("f", "r"), event(), reply("the heron"), call("g")]).unwrap();
    let popped = memory.record(&[user("never mind")]).unwrap();
    let hit = |memory: &AgentMemory| memory.view().search("heron", 0, 5).unwrap().items.remove(0);
    assert_eq!(hit(&memory).before.unwrap().text, "good day");
    assert_eq!(hit(&memory).after.unwrap().id, popped[0].id);
    memory.pop(1).unwrap();
    assert_eq!(hit(&memory).after, None);
}

#[test]
fn a_speaker_who_is_named_is_preferred_and_the_name_is_no_search_word() {
    let mut memory = in_memory();
    let mut step = memory.step(1).unwrap();
    for (speaker, text) in [
        ("Ada", "Ben, my garden has a pear tree."),
        ("Ben", "My garden has a pear tree, too, Ada."),
        ("Ada", "Ben, it rains."),
        ("Ben", "It does, Ada."),
        ("", "Nobody's turn."),
    ] {
        step.record_said_by(speaker, &user(text)).unwrap();
    }
    step.commit().unwrap();
    let best = |query: &str| memory.view().search(query, 0, 5).unwrap().items.remove(0);
    assert_eq!(best("Ada's garden").who(), "Ada");
    assert_eq!(best("what grows in ben's garden?").who(), "Ben");
    assert_eq!(memory.view().search("Ada's garden", 0, 5).unwrap().total, 2);
    assert_eq!(best("nobody").speaker, None);
    // A name alone is what is asked for.
    assert_eq!(memory.view().search("Ada", 0, 5).unwrap().total, 2);
}

#[test]
fn meaning_finds_what_shares_no_word_and_the_total_tells() {
    let mut memory = in_memory();
    let ids = talk(&mut memory, &["I adopted a kitten.", "How sweet.", "The dog barks.", "Oh.", "It is late.", "Yes."]);
    let near = [(ids[0], 0.8), (ids[4], 0.1), (MessageId(4711), 0.9)];
    let mut nearest = |_| Ok(near.to_vec());
    let page = memory.view().search_meaning("dog", &mut nearest, 0, 5).unwrap();
    let hits: Vec<MessageId> = page.items.iter().map(|hit| hit.id).collect();
    assert_eq!((page.total, hits), (2, vec![ids[2], ids[0]]));
    let page = memory.view().search_meaning("cat", &mut nearest, 0, 5).unwrap();
    assert_eq!((page.total, page.items[0].id), (1, ids[0]));
    memory.pop(6).unwrap();
    assert_eq!(memory.view().search_meaning("cat", &mut nearest, 0, 5).unwrap().total, 0);
}

#[test]
fn a_word_in_more_messages_than_are_scored_is_counted_and_paged_in_full() {
    let mut memory = in_memory();
    let mut step = memory.step(1).unwrap();
    for n in 0..20_500 {
        step.record(&user(if n % 2 == 0 { "river" } else { "the river bends" })).unwrap();
    }
    step.commit().unwrap();
    let page = |page| memory.view().search("river", page, 4000).unwrap();
    let pages: Vec<_> = (0..7).map(page).collect();
    assert_eq!((pages[0].total, pages[0].page_count), (20_500, 6));
    assert!(pages[6].items.is_empty());
    let mut seen: Vec<MessageId> = pages.iter().flat_map(|page| &page.items).map(|hit| hit.id).collect();
    seen.sort_unstable_by_key(|id| id.0);
    seen.dedup();
    assert_eq!(seen.len(), 20_500);
}

#[derive(Debug, Clone)]
enum Change {
    Say(Vec<usize>),
    OtherAgent(Vec<usize>),
    Act,
    Pop(usize),
    Evict(usize),
    Save,
    Load,
}

fn change() -> impl Strategy<Value = Change> {
    let words = || proptest::collection::vec(0..WORDS.len(), 1..6);
    prop_oneof![
        8 => words().prop_map(Change::Say),
        2 => words().prop_map(Change::OtherAgent),
        1 => Just(Change::Act),
        2 => (1..4_usize).prop_map(Change::Pop),
        1 => (1..4_usize).prop_map(Change::Evict),
        1 => Just(Change::Save),
        1 => Just(Change::Load),
    ]
}

/// What is in the queue beside the summary.
fn messages_of(memory: &AgentMemory) -> Vec<MessageId> {
    let queue = memory.view().queue().unwrap();
    queue.iter().filter(|message| !matches!(message.body, Body::Summary { .. })).map(|message| message.id).collect()
}

const WORDS: [&str; 6] = ["heron", "lake", "stone", "marsh", "reed", "fog"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn searches_find_what_stands_there_after_any_changes(
        changes in proptest::collection::vec(change(), 1..60),
        query in proptest::collection::vec(0..WORDS.len(), 1..4),
        page_size in 1..6_u64,
    ) {
        let write = |words: &[usize]| words.iter().map(|word| WORDS[*word]).collect::<Vec<_>>().join(" ");
        let mut memory = AgentMemory::create(in_memory().into_store(), &NewAgent::named("bob", 0)).unwrap();
        let mut said: Vec<(MessageId, String)> = Vec::new();
        let mut saved = None;
        for change in changes {
            match change {
                Change::Say(words) => {
                    let text = write(&words);
                    said.push((memory.record(&[user(&text)]).unwrap()[0].id, text));
                }
                Change::OtherAgent(words) => {
                    let mut other = AgentMemory::open(memory.into_store(), "ada").unwrap();
                    other.record(&[user(&write(&words))]).unwrap();
                    memory = AgentMemory::open(other.into_store(), "bob").unwrap();
                }
                Change::Act => {
                    memory.record(&[call("f"), result("f", "heron lake")]).unwrap();
                }
                Change::Pop(count) => {
                    for message in memory.pop(count).unwrap_or_default() {
                        said.retain(|(id, _)| *id != message.id);
                    }
                }
                Change::Evict(count) => {
                    let ids: Vec<MessageId> = messages_of(&memory).into_iter().take(count).collect();
                    memory.evict(&ids, "what was", 1).unwrap();
                }
                Change::Save => {
                    memory.save_checkpoint("c", 1).unwrap();
                    saved = Some(said.clone());
                }
                Change::Load => if let Some(saved) = &saved {
                    load_checkpoint(&mut memory, Some("c"), 1).unwrap();
                    said.clone_from(saved);
                }
            }
        }
        let query = write(&query);
        let is_match = |text: &str| text.split(' ').any(|word| query.split(' ').any(|asked| asked == word));
        let mut expected: Vec<MessageId> =
            said.iter().filter(|(_, text)| is_match(text)).map(|(id, _)| *id).collect();
        let whole = memory.view().search(&query, 0, 1000).unwrap();
        let mut hits: Vec<MessageId> = whole.items.iter().map(|hit| hit.id).collect();
        let pages: Vec<_> = (0..=whole.total / page_size)
            .flat_map(|page| memory.view().search(&query, page, page_size).unwrap().items)
            .collect();
        prop_assert_eq!(&pages, &whole.items);
        prop_assert_eq!(whole.total, hits.len() as u64);
        for hit in &whole.items {
            let at = said.iter().position(|(id, _)| *id == hit.id).unwrap();
            let beside = |at: Option<usize>| at.and_then(|at| said.get(at)).map(|(id, _)| *id);
            prop_assert_eq!(hit.before.as_ref().map(|said| said.id), beside(at.checked_sub(1)));
            prop_assert_eq!(hit.after.as_ref().map(|said| said.id), beside(Some(at + 1)));
        }
        for id in memory.view().rank_messages(&query, None, 1000).unwrap() {
            prop_assert!(said.iter().any(|(known, _)| *known == id));
        }
        hits.sort_unstable_by_key(|id| id.0);
        expected.sort_unstable_by_key(|id| id.0);
        prop_assert_eq!(hits, expected);
        prop_assert_eq!(found(&memory, &query).len() as u64, whole.total);
    }
}
