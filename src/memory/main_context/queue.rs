//! Which messages leave the queue: pure plans on ids, sizes and kinds.
//!
//! A call and its result leave together. The last exchange (from the last user message on) and the last few messages
//! stay. The summary never leaves here: it is replaced by the next one.

use super::QueueLimits;
use crate::types::{Body, Message, MessageId};

/// What a plan needs to know about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueEntry {
    /// The message.
    pub id: MessageId,
    /// What it costs in the prompt.
    pub tokens: usize,
    /// What it is.
    pub kind: EntryKind,
    /// It is a stub already.
    pub is_stub: bool,
}

/// What a message is, as far as eviction cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// Recursive summary.
    Summary,
    /// Typed by the user.
    User,
    /// Told to the user.
    Reply,
    /// A function call; its result follows.
    Call,
    /// The result of the call before it.
    Result,
    /// Told to the model by the program.
    Event,
}

impl EntryKind {
    /// The kind of a message.
    #[must_use]
    pub const fn of(body: &Body) -> Self {
        match body {
            Body::User { .. } => Self::User,
            Body::Notification { .. } => Self::Event,
            Body::Assistant { call: Some(_), .. } => Self::Call,
            Body::Assistant { call: None, .. } => Self::Reply,
            Body::FunctionResult { .. } => Self::Result,
            Body::Summary { .. } => Self::Summary,
        }
    }
}

/// Whether `second` is the result of the call in `first`, given that they are neighbours.
#[must_use]
pub fn is_call_and_result(first: &Message, second: &Message) -> bool {
    is_pair(EntryKind::of(&first.body), EntryKind::of(&second.body))
}

const fn is_pair(first: EntryKind, second: EntryKind) -> bool {
    matches!((first, second), (EntryKind::Call, EntryKind::Result))
}

/// The messages to evict, oldest first, so that at least `tokens_to_free` are freed, or all that may go. Where the
/// queue can begin with a user message at little cost, it does. Empty only if nothing may go.
#[must_use]
pub fn plan_eviction(entries: &[QueueEntry], tokens_to_free: usize, limits: &QueueLimits) -> Vec<MessageId> {
    let evictable = entries.get(..protected_from(entries, limits)).unwrap_or_default();
    let mut plan = Vec::new();
    let mut freed_tokens = 0_usize;
    let mut neighbours = evictable.iter().zip(evictable.iter().skip(1).map(Some).chain([None]));
    for (entry, next) in neighbours.by_ref() {
        if entry.kind == EntryKind::Summary {
            continue;
        }
        plan.push(entry.id);
        freed_tokens = freed_tokens.saturating_add(entry.tokens);
        let splits_pair = next.is_some_and(|next| is_pair(entry.kind, next.kind));
        if freed_tokens >= tokens_to_free && !splits_pair {
            break;
        }
    }
    // The rest of a half-evicted exchange would stand there without the question that it answers.
    let is_leftover = |entry: &QueueEntry| entry.kind != EntryKind::User;
    let leftover: Vec<MessageId> =
        neighbours.clone().map(|(entry, _)| *entry).take_while(is_leftover).map(|entry| entry.id).collect();
    let is_followed_by_user = neighbours.any(|(entry, _)| entry.kind == EntryKind::User)
        || entries.get(evictable.len()).is_some_and(|entry| entry.kind == EntryKind::User);
    if !plan.is_empty() && is_followed_by_user {
        plan.extend(leftover);
    }
    plan
}

/// The oldest unit (message, or call with result) of the last exchange that can go when nothing else is left: not its
/// user message, and not its last unit; `keep_messages` stay, the summary apart. Empty if there is none.
#[must_use]
pub fn plan_eviction_within_exchange(entries: &[QueueEntry], keep_messages: usize) -> Vec<MessageId> {
    let last_user = entries.iter().rposition(|entry| entry.kind == EntryKind::User);
    let mut units: Vec<Vec<MessageId>> = Vec::new();
    let mut previous = None;
    for (at, entry) in entries.iter().enumerate() {
        if entry.kind == EntryKind::Summary || Some(at) == last_user {
            previous = None;
            continue;
        }
        match units.last_mut() {
            Some(unit) if previous.is_some_and(|kind| is_pair(kind, entry.kind)) => unit.push(entry.id),
            _ => units.push(vec![entry.id]),
        }
        previous = Some(entry.kind);
    }
    let has_more = units.len() > 1 || last_user.is_some_and(|at| at + 1 == entries.len());
    let messages = entries.iter().filter(|entry| entry.kind != EntryKind::Summary).count();
    let oldest = units.into_iter().next().unwrap_or_default();
    if has_more && messages >= keep_messages + oldest.len() { oldest } else { Vec::new() }
}

/// The largest message that a stub of `stub_tokens` would make clearly smaller. Calls are not stubbed (their result
/// would not make sense), nor is the summary.
#[must_use]
pub fn plan_stub(entries: &[QueueEntry], stub_tokens: usize) -> Option<MessageId> {
    entries
        .iter()
        .filter(|entry| !entry.is_stub && !matches!(entry.kind, EntryKind::Summary | EntryKind::Call))
        .filter(|entry| entry.tokens > stub_tokens)
        .max_by_key(|entry| entry.tokens)
        .map(|entry| entry.id)
}

/// The largest message, where it could not be shown even if it were alone in the queue, of which `room_tokens` are all
/// the room that there is.
#[must_use]
pub fn plan_stub_of_giant(entries: &[QueueEntry], stub_tokens: usize, room_tokens: usize) -> Option<MessageId> {
    let id = plan_stub(entries, stub_tokens)?;
    entries.iter().find(|entry| entry.id == id && entry.tokens > room_tokens).map(|entry| entry.id)
}

/// Position from which nothing may go.
fn protected_from(entries: &[QueueEntry], limits: &QueueLimits) -> usize {
    let last_user = entries.iter().rposition(|entry| entry.kind == EntryKind::User).unwrap_or(entries.len());
    let last_few = entries.len().saturating_sub(limits.keep_last_messages);
    let from = last_user.min(last_few);
    let pair_is_split = from.checked_sub(1).is_some_and(
        |before| matches!((entries.get(before), entries.get(from)), (Some(a), Some(b)) if is_pair(a.kind, b.kind)),
    );
    if pair_is_split { from - 1 } else { from }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(kinds: &str) -> Vec<QueueEntry> {
        (0_i64..)
            .zip(kinds.chars())
            .map(|(id, kind)| QueueEntry {
                id: MessageId(id),
                tokens: 10,
                is_stub: false,
                kind: match kind {
                    's' => EntryKind::Summary,
                    'u' => EntryKind::User,
                    'a' => EntryKind::Reply,
                    'c' => EntryKind::Call,
                    'r' => EntryKind::Result,
                    _ => EntryKind::Event,
                },
            })
            .collect()
    }

    fn planned(kinds: &str, tokens_to_free: usize) -> Vec<i64> {
        plan_eviction(&entries(kinds), tokens_to_free, &QueueLimits::default()).into_iter().map(|id| id.0).collect()
    }

    #[test]
    fn eviction_keeps_the_last_three_messages() {
        assert_eq!(planned("uauaua", 1000), [0, 1, 2]);
        assert_eq!(planned("eee", 1000), [] as [i64; 0]);
    }

    #[test]
    fn eviction_keeps_the_last_exchange() {
        assert_eq!(planned("uaucrcrcra", 1000), [0, 1]);
        assert_eq!(planned("ucrcrcra", 1000), [] as [i64; 0]);
    }

    #[test]
    fn call_and_result_leave_together() {
        assert_eq!(planned("ecrcrcrcree", 15), [0, 1, 2]);
        // The result would be the first of the last three: its call stays with it.
        assert_eq!(planned("eeecree", 1000), [0, 1, 2]);
        assert_eq!(planned("eeecre", 1000), [0, 1, 2]);
    }

    #[test]
    fn the_summary_stays_and_the_queue_begins_with_a_question_where_it_can() {
        assert_eq!(planned("suauauaua", 25), [1, 2, 3, 4]);
        assert_eq!(planned("sucraucraua", 10), [1, 2, 3, 4]);
    }

    #[test]
    fn within_the_last_exchange_the_question_and_the_last_unit_stay() {
        let plan =
            |kinds: &str| plan_eviction_within_exchange(&entries(kinds), 0).iter().map(|id| id.0).collect::<Vec<_>>();
        assert_eq!(plan("sucrcrcr"), [2, 3]);
        assert_eq!(plan("sucr"), [] as [i64; 0]);
        assert_eq!(plan("au"), [0]);
        assert_eq!(plan("u"), [] as [i64; 0]);
        let kept = |kinds: &str| plan_eviction_within_exchange(&entries(kinds), 3).len();
        assert_eq!((kept("sucrcrcr"), kept("sucrcr"), kept("sucra"), kept("au")), (2, 2, 0, 0));
    }

    #[test]
    fn only_a_message_that_fits_no_window_is_a_giant() {
        let mut queue = entries("suau");
        queue[3].tokens = 500;
        assert_eq!(plan_stub_of_giant(&queue, 80, 499), Some(MessageId(3)));
        assert_eq!(plan_stub_of_giant(&queue, 80, 500), None);
    }

    #[test]
    fn the_largest_message_is_stubbed_once() {
        let mut queue = entries("suacr");
        queue[1].tokens = 500;
        queue[3].tokens = 900;
        assert_eq!(plan_stub(&queue, 80), Some(MessageId(1)));
        queue[1].is_stub = true;
        assert_eq!(plan_stub(&queue, 80), None);
    }

    proptest! {
        #[test]
        fn plans_keep_pairs_and_the_end_and_make_progress(
            units in proptest::collection::vec(prop_oneof![Just("u"), Just("a"), Just("cr"), Just("e")], 0..30),
            with_summary in any::<bool>(),
            tokens_to_free in 1_usize..400,
        ) {
            let kinds = format!("{}{}", if with_summary { "s" } else { "" }, units.concat());
            let queue = entries(&kinds);
            let limits = QueueLimits::default();
            let plan = plan_eviction(&queue, tokens_to_free, &limits);
            let is_out = |entry: &QueueEntry| plan.contains(&entry.id);
            for pair in queue.windows(2) {
                if is_pair(pair[0].kind, pair[1].kind) {
                    prop_assert_eq!(is_out(&pair[0]), is_out(&pair[1]));
                }
            }
            prop_assert!(queue.iter().rev().take(3).all(|entry| !is_out(entry)));
            if let Some(last_user) = queue.iter().rposition(|entry| entry.kind == EntryKind::User) {
                prop_assert!(queue[last_user..].iter().all(|entry| !is_out(entry)));
            }
            prop_assert!(queue.iter().all(|entry| entry.kind != EntryKind::Summary || !is_out(entry)));
            // Oldest first, without gaps.
            let kept_from = queue.iter().position(|e| e.kind != EntryKind::Summary && !is_out(e)).unwrap_or(queue.len());
            prop_assert!(queue[kept_from..].iter().all(|entry| !is_out(entry)));
            let evictable = queue[..protected_from(&queue, &limits)].iter().filter(|e| e.kind != EntryKind::Summary).count();
            prop_assert!((evictable == 0) == plan.is_empty());
            prop_assert!(plan.len() * 10 >= tokens_to_free.min(evictable * 10));
        }
    }
}
