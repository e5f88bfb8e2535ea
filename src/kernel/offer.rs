//! What may be written in a step, from the state of the memory: every call that is offered can be executed.
//!
//! Pure: takes a view of the memory, gives plain data ([`StepPolicy`]); `dialect` and `grammar::policy` make a grammar
//! of it. State-aware grammars turn a small model's classic failures (impossible sections, lines that do not exist,
//! pages past the end, endless loops) into things that cannot be written.

use crate::functions::{self, Function, MAX_PAUSE_MINUTES, PAGE_SIZE};
use crate::types::{AllowedCall, ArgumentRule, Call, NamedRule, StepPolicy, TextRule};

use super::asked_for::AskedFor;
use super::step::Offer;

/// Appending is offered only while a block has this much room; below it, lines are to be replaced.
pub(super) const MIN_APPEND_ROOM_CHARS: usize = 200;
/// A fact is a sentence; more in one line makes it hard to correct later.
pub(super) const MAX_CORE_LINE_CHARS: usize = 300;
/// A passage that fits a screen; longer texts come in by documents.
pub(super) const MAX_PASSAGE_CHARS: usize = 1500;
/// A query is a few words.
pub(super) const MAX_QUERY_CHARS: usize = 120;
/// Inner thoughts of the classic profile: the original asks for fifty words.
pub(super) const MAX_THOUGHT_CHARS: usize = 300;

/// A core-memory block as the policy needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockView {
    /// `persona` or `human`.
    pub label: String,
    /// Its lines that are not blank.
    pub lines: Vec<String>,
    /// Characters now.
    pub chars: usize,
    /// Most characters that an edit may leave in it.
    pub limit_chars: usize,
}

/// The state of the memory as the policy needs it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MemoryView {
    /// Core memory.
    pub blocks: Vec<BlockView>,
    /// Searchable messages in recall storage, those in view included.
    pub recall_count: u64,
    /// Some of these were evicted from the queue.
    pub has_evicted: bool,
    /// Passages in archival storage.
    pub archival_count: u64,
    /// Calls made in this turn.
    pub calls: Vec<Call>,
    /// Most calls of one function in a turn.
    pub max_calls_of_a_function: u32,
    /// There are timed heartbeats to pause, or a heartbeat has begun the turn.
    pub can_pause_heartbeats: bool,
    /// The model saves by calls while it answers, as against a memory pass after it.
    pub saves_by_itself: bool,
    /// This turn has read a document, and its words must not get into core memory: nobody in this conversation has
    /// said them.
    pub core_memory_is_guarded: bool,
    /// Most characters of an answer.
    pub max_answer_chars: usize,
}

/// The policy of one step.
#[must_use]
pub fn step_policy(offer: Offer, memory: &MemoryView) -> StepPolicy {
    let offered: &[Function] = match offer {
        Offer::AnswerOnly => &[],
        Offer::SaveOnly => &[Function::CoreMemoryAppend, Function::CoreMemoryReplace, Function::ArchivalMemoryInsert],
        Offer::Everything => &[
            Function::CoreMemoryAppend,
            Function::CoreMemoryReplace,
            Function::ConversationSearch,
            Function::ConversationSearchDate,
            Function::ArchivalMemoryInsert,
            Function::ArchivalMemorySearch,
            Function::PauseHeartbeats,
        ],
    };
    StepPolicy {
        text: match offer {
            Offer::SaveOnly => TextRule::Silent,
            Offer::AnswerOnly | Offer::Everything => TextRule::Allowed { max_chars: memory.max_answer_chars },
        },
        calls: offered
            .iter()
            .filter(|function| memory.calls_of(**function) < memory.max_calls_of_a_function as usize)
            .filter(|function| memory.saves_by_itself || offer == Offer::SaveOnly || !function.saves())
            .filter(|function| !(memory.core_memory_is_guarded && function.edits_core_memory()))
            .filter_map(|function| memory.allowed_call(*function))
            .collect(),
        function_names: functions::names(),
        max_thought_chars: MAX_THOUGHT_CHARS,
    }
}

/// The policy of a step in which the user wants something done: nothing but a call that does it; none where nothing can.
#[must_use]
pub(super) fn asked_for_policy(asked_for: AskedFor, memory: &MemoryView) -> Option<StepPolicy> {
    // A memory pass edits core memory, and sees the whole of a message.
    let is_left = |function: &&Function| memory.saves_by_itself || !function.edits_core();
    let functions = asked_for.functions().iter().filter(is_left);
    let calls: Vec<AllowedCall> = functions.filter_map(|function| memory.allowed_call(*function)).collect();
    (!calls.is_empty()).then(|| StepPolicy {
        text: TextRule::Forbidden,
        calls,
        function_names: functions::names(),
        max_thought_chars: MAX_THOUGHT_CHARS,
    })
}

fn named(name: &str, rule: ArgumentRule) -> NamedRule {
    NamedRule { name: name.to_owned(), rule }
}

fn text(name: &str, min_chars: usize, max_chars: usize) -> NamedRule {
    named(name, ArgumentRule::Text { min_chars, max_chars })
}

impl MemoryView {
    fn calls_of(&self, function: Function) -> usize {
        self.calls.iter().filter(|call| call.name == function.name()).count()
    }

    /// The page of a search of what was said: the first one, or the next for each search that was made in this turn.
    fn next_page(&self, function: Function) -> NamedRule {
        let NamedRule { name, rule } = page(self.recall_count);
        let made = u32::try_from(self.calls_of(function)).unwrap_or(u32::MAX);
        let rule = match rule {
            ArgumentRule::Integer { min, max } => ArgumentRule::Integer { min, max: max.min(made) },
            other => other,
        };
        NamedRule { name, rule }
    }

    /// The call with its arguments, or nothing where it could not be executed now.
    fn allowed_call(&self, function: Function) -> Option<AllowedCall> {
        let variants = match function {
            // Text is the answer in both profiles; the classic dialect spells it as this call.
            Function::SendMessage => Vec::new(),
            Function::CoreMemoryAppend => self.blocks.iter().filter_map(append).collect(),
            Function::CoreMemoryReplace => self.blocks.iter().filter_map(replace).collect(),
            Function::ConversationSearch if self.has_evicted => {
                vec![vec![text("query", 1, MAX_QUERY_CHARS), self.next_page(function)]]
            }
            Function::ConversationSearchDate if self.has_evicted => vec![vec![
                named("start_date", ArgumentRule::Date),
                named("end_date", ArgumentRule::Date),
                self.next_page(function),
            ]],
            Function::ArchivalMemoryInsert => vec![vec![text("content", 1, MAX_PASSAGE_CHARS)]],
            Function::ArchivalMemorySearch if self.archival_count > 0 => {
                vec![vec![text("query", 1, MAX_QUERY_CHARS), page_of_message(self.archival_count)]]
            }
            Function::PauseHeartbeats if self.can_pause_heartbeats && self.calls_of(function) == 0 => {
                vec![vec![named("minutes", ArgumentRule::Integer { min: 1, max: MAX_PAUSE_MINUTES })]]
            }
            Function::ConversationSearch
            | Function::ConversationSearchDate
            | Function::ArchivalMemorySearch
            | Function::PauseHeartbeats => Vec::new(),
        };
        (!variants.is_empty()).then(|| AllowedCall { name: function.name().to_owned(), variants })
    }
}

/// Pages are counted from 0; the last one is the last that any query over `total` entries can have.
fn page(total: u64) -> NamedRule {
    let last = total.saturating_sub(1) / PAGE_SIZE;
    named("page", ArgumentRule::Integer { min: 0, max: u32::try_from(last).unwrap_or(u32::MAX) })
}

/// Most pages that the text of a passage has when the message that it comes from is read page by page: pages are
/// measured without an embedder, which counts words in capitals by their letters.
const PAGES_OF_PASSAGE: u64 = 6;

/// The page of a search of `total` passages, or of a message that was paged out, which has more pages than a search.
fn page_of_message(total: u64) -> NamedRule {
    page(total.saturating_mul(PAGES_OF_PASSAGE).saturating_mul(PAGE_SIZE))
}

fn append(block: &BlockView) -> Option<Vec<NamedRule>> {
    // One character goes to the newline between the lines.
    let room = block.limit_chars.saturating_sub(block.chars + 1);
    (room >= MIN_APPEND_ROOM_CHARS).then(|| {
        vec![
            named("section", ArgumentRule::OneOf(vec![block.label.clone()])),
            text("content", 1, room.min(MAX_CORE_LINE_CHARS)),
        ]
    })
}

fn replace(block: &BlockView) -> Option<Vec<NamedRule>> {
    let shortest = block.lines.iter().map(|line| line.chars().count()).min()?;
    let room = block.limit_chars.saturating_sub(block.chars) + shortest;
    Some(vec![
        named("section", ArgumentRule::OneOf(vec![block.label.clone()])),
        named("old_content", ArgumentRule::OneOf(distinct(&block.lines))),
        text("new_content", 0, room.min(MAX_CORE_LINE_CHARS)),
    ])
}

fn distinct(lines: &[String]) -> Vec<String> {
    let mut seen: Vec<String> = Vec::with_capacity(lines.len());
    for line in lines {
        if !seen.contains(line) {
            seen.push(line.clone());
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(label: &str, lines: &[&str], limit_chars: usize) -> BlockView {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let chars = lines.join("\n").chars().count();
        BlockView { label: label.to_owned(), lines, chars, limit_chars }
    }

    fn view() -> MemoryView {
        MemoryView {
            blocks: vec![block("persona", &["I am calm."], 2000), block("human", &[], 2000)],
            max_answer_chars: 1000,
            max_calls_of_a_function: 2,
            saves_by_itself: true,
            ..MemoryView::default()
        }
    }

    fn names(policy: &StepPolicy) -> Vec<&str> {
        policy.calls.iter().map(|call| call.name.as_str()).collect()
    }

    #[test]
    fn searches_are_offered_only_when_there_is_something_to_find() {
        let empty = step_policy(Offer::Everything, &view());
        assert_eq!(names(&empty), ["core_memory_append", "core_memory_replace", "archival_memory_insert"]);
        let full = MemoryView { recall_count: 12, has_evicted: true, archival_count: 1, ..view() };
        let policy = step_policy(Offer::Everything, &full);
        assert!(names(&policy).contains(&"conversation_search"));
        assert!(names(&policy).contains(&"archival_memory_search"));
    }

    #[test]
    fn pages_stop_at_the_last_one() {
        assert_eq!(page(0).rule, ArgumentRule::Integer { min: 0, max: 0 });
        assert_eq!(page(5).rule, ArgumentRule::Integer { min: 0, max: 0 });
        assert_eq!(page(6).rule, ArgumentRule::Integer { min: 0, max: 1 });
        assert_eq!(page_of_message(2).rule, ArgumentRule::Integer { min: 0, max: 11 });
    }

    #[test]
    fn only_lines_that_exist_can_be_replaced() {
        let policy = step_policy(Offer::Everything, &view());
        let replace = policy.calls.iter().find(|call| call.name == "core_memory_replace").unwrap();
        assert_eq!(replace.variants.len(), 1, "an empty block has no line to replace");
        assert_eq!(replace.variants[0][1].rule, ArgumentRule::OneOf(vec!["I am calm.".into()]));
    }

    #[test]
    fn a_full_block_offers_no_append_and_never_more_than_its_room() {
        let line = "x".repeat(250);
        let nearly_full = MemoryView { blocks: vec![block("human", &[&line], 450)], ..view() };
        assert!(!names(&step_policy(Offer::Everything, &nearly_full)).contains(&"core_memory_append"));
        let room = MemoryView { blocks: vec![block("human", &[&line], 451)], ..view() };
        let policy = step_policy(Offer::Everything, &room);
        let append = policy.calls.iter().find(|call| call.name == "core_memory_append").unwrap();
        assert_eq!(append.variants[0][1].rule, ArgumentRule::Text { min_chars: 1, max_chars: 200 });
    }

    #[test]
    fn with_a_memory_pass_an_answering_model_saves_nothing() {
        let memory = MemoryView { saves_by_itself: false, ..view() };
        assert!(names(&step_policy(Offer::Everything, &memory)).is_empty());
        assert!(names(&step_policy(Offer::SaveOnly, &memory)).contains(&"core_memory_append"));
    }

    #[test]
    fn with_the_words_of_a_document_in_view_core_memory_is_not_edited() {
        let memory = MemoryView { core_memory_is_guarded: true, ..view() };
        for offer in [Offer::Everything, Offer::SaveOnly] {
            assert_eq!(names(&step_policy(offer, &memory)), ["archival_memory_insert"]);
        }
    }

    #[test]
    fn a_function_is_not_offered_a_third_time_in_a_turn() {
        let call = Call { name: "core_memory_append".into(), arguments: serde_json::Map::new() };
        let memory = MemoryView { calls: vec![call.clone(), call], ..view() };
        assert!(!names(&step_policy(Offer::Everything, &memory)).contains(&"core_memory_append"));
    }

    #[test]
    fn the_last_step_offers_nothing_but_an_answer_and_a_saving_step_no_text() {
        let last = step_policy(Offer::AnswerOnly, &view());
        assert!(last.calls.is_empty());
        assert_eq!(last.text, TextRule::Allowed { max_chars: 1000 });
        let save = step_policy(Offer::SaveOnly, &view());
        assert_eq!(save.text, TextRule::Silent);
        assert!(!save.calls.is_empty());
    }

    #[test]
    fn heartbeats_can_be_paused_where_there_are_any() {
        assert!(!names(&step_policy(Offer::Everything, &view())).contains(&"pause_heartbeats"));
        let beat = MemoryView { can_pause_heartbeats: true, ..view() };
        assert!(names(&step_policy(Offer::Everything, &beat)).contains(&"pause_heartbeats"));
    }
}
