//! The nested key-value task: values that are keys themselves, looked up one after the other in archival memory.
//!
//! 140 pairs of made-up UUIDs, one in a passage. The value of a key may be the key of another pair; the agent is given
//! the first key and asked for the last value. At nesting level n, n values are keys before the last. Everything follows
//! from a seed, so that runs repeat; orderings change which pairs make up the chain and where they lie. Not responsible
//! for the agent that does it (`app`).
//!
//! Source: MemGPT, arXiv 2310.08560, section 3.2.2; the numbers of pairs, levels and orderings are the paper's.

use std::fmt::Write as _;

use rand::seq::SliceRandom;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::dialect::Profile;
use crate::inference::{Script, ScriptedReply};

/// Pairs in archival memory.
pub const PAIRS: usize = 140;
/// Searches beyond those that a chain needs: to see that the last value is no key, and to go wrong now and then.
pub const SPARE_SEARCHES: usize = 5;

/// Length of a UUID in characters.
const UUID_CHARS: usize = 36;

/// One question with the pairs that answer it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// How many values are keys before the last one.
    pub level: usize,
    /// Keys and values in the order in which they are stored.
    pub pairs: Vec<(String, String)>,
    /// The key that is asked for, each value on the way, and the last value.
    pub chain: Vec<String>,
}

impl Task {
    /// The task of a level in one ordering of the pairs.
    #[must_use]
    pub fn new(seed: u64, ordering: usize, level: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let keys: Vec<String> = (0..PAIRS).map(|_| uuid(&mut random)).collect();
        let values: Vec<String> = (0..PAIRS).map(|_| uuid(&mut random)).collect();
        let mut pairs: Vec<(String, String)> = keys.into_iter().zip(values).collect();
        // A stream of numbers of its own for each ordering and level: one more of either changes no other.
        random.set_stream((ordering as u64) << 8 | level as u64);
        pairs.shuffle(&mut random);
        let mut chain: Vec<String> = pairs.iter().take(level + 1).map(|(key, _)| key.clone()).collect();
        for (pair, next) in pairs.iter_mut().zip(chain.iter().skip(1)) {
            pair.1.clone_from(next);
        }
        chain.extend(pairs.get(level).map(|(_, value)| value.clone()));
        pairs.shuffle(&mut random);
        Self { level, pairs, chain }
    }

    /// The passages to be stored.
    pub fn passages(&self) -> impl Iterator<Item = String> {
        self.pairs.iter().map(|(key, value)| passage(key, value))
    }

    /// What the agent is asked.
    #[must_use]
    pub fn question(&self) -> String {
        let key = self.chain.first().map_or("", String::as_str);
        format!(
            "Your archival memory holds key-value pairs, one in each passage. Look up the value of the key {key} there. \
             A value can be the key of another pair: so search for each value that you find, and when a passage has it \
             as its key, go on with that one's value. A value that is no key is the last one. Tell me the last value, \
             and nothing else."
        )
    }

    /// Whether an answer names the last value, as the last of those that it names.
    #[must_use]
    pub fn is_right(&self, answer: &str) -> bool {
        let answer = answer.to_lowercase();
        let last = self.chain.last().map_or("", String::as_str);
        let place = |uuid: &str| answer.rfind(uuid);
        place(last).is_some_and(|at| self.chain.iter().all(|uuid| place(uuid).is_none_or(|other| other <= at)))
    }

    /// A script that follows the protocol: it looks up the next key only when the passage with it stands in the result
    /// before, and answers only when a search for the last value has brought its own pair alone. A bench that loses a
    /// passage or a result gets a wrong answer.
    #[must_use]
    pub fn oracle(&self, profile: Profile, context_window: usize) -> Script {
        let reply = |when: String, reply: String| ScriptedReply { when: Some(when), reply, ..ScriptedReply::default() };
        let links: Vec<(&String, &String)> = self.chain.iter().zip(self.chain.iter().skip(1)).collect();
        let mut replies = Vec::new();
        // A result shows the pair in which a key is the value, too: the farthest link counts.
        for (key, value) in links.iter().rev() {
            replies.push(reply(passage(key, value), search_call(profile, value)));
        }
        if let (Some((key, value)), Some(first)) = (links.last(), self.chain.first()) {
            replies.push(reply(passage(key, value), answer(profile, value)));
            replies.push(reply(format!("value of the key {first} there"), search_call(profile, first)));
        }
        let lost = answer(profile, "I have lost the thread.");
        Script { context_window, replies, otherwise: Some(lost), ..Script::default() }
    }
}

fn passage(key: &str, value: &str) -> String {
    format!("The key {key} has the value {value}.")
}

/// A random UUID of version 4, in lower case.
fn uuid(random: &mut ChaCha8Rng) -> String {
    let mut bytes = [0; 16];
    random.fill_bytes(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(UUID_CHARS);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Nothing fails that is written to a string.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn search_call(profile: Profile, query: &str) -> String {
    match profile {
        Profile::Native => format!(
            "<tool_call>\n{{\"name\": \"archival_memory_search\", \"arguments\": {{\"query\": \"{query}\", \"page\": \
             0}}}}\n</tool_call>"
        ),
        Profile::Classic => format!(
            "{{\"inner_thoughts\": \"I look it up.\", \"function\": \"archival_memory_search\", \"params\": {{\"query\": \
             \"{query}\", \"page\": 0, \"request_heartbeat\": true}}}}"
        ),
    }
}

fn answer(profile: Profile, text: &str) -> String {
    match profile {
        Profile::Native => text.to_owned(),
        Profile::Classic => format!(
            "{{\"inner_thoughts\": \"I answer.\", \"function\": \"send_message\", \"params\": {{\"message\": \
             \"{text}\"}}}}"
        ),
    }
}

/// How one question went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// How many values are keys before the last one.
    pub level: usize,
    /// Which ordering.
    pub ordering: usize,
    /// Whether the last value was told.
    pub is_right: bool,
    /// Searches in archival memory.
    pub searches: usize,
    /// What the user was told.
    pub answer: String,
    /// The whole turn, in milliseconds.
    pub wall_ms: u64,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Name of the model.
    pub model: String,
    /// Call format.
    pub profile: Profile,
    /// Seed of keys, values and orderings.
    pub seed: u64,
    /// Pairs in archival memory.
    pub pairs: usize,
    /// Window in tokens.
    pub context_window: usize,
    /// Accuracy of each level, in the order of the levels.
    pub levels: Vec<Level>,
    /// Each question.
    pub rows: Vec<Row>,
}

/// Figures of one level.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Level {
    /// How many values are keys before the last one.
    pub level: usize,
    /// Questions.
    pub questions: usize,
    /// Right answers.
    pub right: usize,
    /// Share of right answers.
    pub accuracy: f64,
    /// Searches of a question on average.
    pub mean_searches: f64,
    /// Seconds of a question on average.
    pub mean_seconds: f64,
}

#[allow(clippy::cast_precision_loss)]
fn mean(sum: f64, count: usize) -> f64 {
    if count == 0 { 0.0 } else { sum / count as f64 }
}

impl Level {
    #[allow(clippy::cast_precision_loss)]
    fn of(level: usize, rows: &[Row]) -> Self {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.level == level).collect();
        let questions = rows.len();
        let right = rows.iter().filter(|row| row.is_right).count();
        let searches: usize = rows.iter().map(|row| row.searches).sum();
        let wall_ms: u64 = rows.iter().map(|row| row.wall_ms).sum();
        Self {
            level,
            questions,
            right,
            accuracy: mean(right as f64, questions),
            mean_searches: mean(searches as f64, questions),
            mean_seconds: mean(wall_ms as f64 / 1000.0, questions),
        }
    }
}

impl Report {
    /// Sums the rows up by level.
    #[must_use]
    pub fn new(model: String, profile: Profile, seed: u64, context_window: usize, rows: Vec<Row>) -> Self {
        let mut levels: Vec<usize> = rows.iter().map(|row| row.level).collect();
        levels.sort_unstable();
        levels.dedup();
        let levels = levels.into_iter().map(|level| Level::of(level, &rows)).collect();
        Self { model, profile, seed, pairs: PAIRS, context_window, levels, rows }
    }

    /// The figures as a table for the terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let Self { model, profile, seed, pairs, context_window, .. } = self;
        let profile = profile.as_str();
        let mut text = format!(
            "{model} · {profile} profile · {pairs} pairs · window {context_window} tokens · seed {seed}\n\
             {:>7} {:>9} {:>6} {:>9} {:>9} {:>9}",
            "nesting", "questions", "right", "accuracy", "searches", "seconds"
        );
        for Level { level, questions, right, accuracy, mean_searches, mean_seconds } in &self.levels {
            let _ = write!(
                text,
                "\n{level:>7} {questions:>9} {right:>6} {accuracy:>9.2} {mean_searches:>9.1} {mean_seconds:>9.1}"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_chain_leads_through_the_pairs_to_a_value_that_is_no_key() {
        for level in 0..=6 {
            let task = Task::new(1, 3, level);
            assert_eq!((task.pairs.len(), task.chain.len()), (PAIRS, level + 2));
            let pairs: HashMap<&str, &str> = task.pairs.iter().map(|(key, value)| (&**key, &**value)).collect();
            assert_eq!(pairs.len(), PAIRS, "no key twice");
            let mut at = task.chain[0].as_str();
            let mut steps = 0;
            while let Some(next) = pairs.get(at) {
                at = next;
                steps += 1;
            }
            assert_eq!((at, steps), (task.chain.last().unwrap().as_str(), level + 1));
        }
    }

    #[test]
    fn tasks_follow_from_seed_ordering_and_level() {
        assert_eq!(Task::new(1, 2, 3), Task::new(1, 2, 3));
        let others = [Task::new(2, 2, 3), Task::new(1, 3, 3)];
        assert!(others.iter().all(|other| other.chain != Task::new(1, 2, 3).chain));
        let keys = |ordering| {
            let mut keys: Vec<String> = Task::new(1, ordering, 2).pairs.into_iter().map(|(key, _)| key).collect();
            keys.sort();
            keys
        };
        assert_eq!(keys(0), keys(1), "the same pairs in another order");
    }

    #[test]
    fn uuids_have_their_form() {
        let uuid = uuid(&mut ChaCha8Rng::seed_from_u64(7));
        assert_eq!(uuid.len(), UUID_CHARS);
        let dashes: Vec<usize> = uuid.match_indices('-').map(|(at, _)| at).collect();
        assert_eq!((dashes.as_slice(), &uuid[14..15]), ([8, 13, 18, 23].as_slice(), "4"));
    }

    #[test]
    fn only_the_last_value_is_a_right_answer() {
        let task = Task::new(1, 0, 2);
        let [first, second, third, last] = task.chain.as_slice() else { panic!("{task:?}") };
        assert!(task.is_right(last) && task.is_right(&format!("{first} leads to {}.", last.to_uppercase())));
        for wrong in [third, second, &format!("{last}, no: {third}"), "I do not know."] {
            assert!(!task.is_right(wrong), "{wrong}");
        }
    }
}
