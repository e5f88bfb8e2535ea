//! A long talk of random turns and commands on the scripted engine, checked against a model of what must be the case:
//! core memory as a list of lines, archival storage, and every text that was said and not taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use mneme::dialect::Profile;
use mneme::inference::{Script, ScriptedReply};
use mneme::memory::Store;
use mneme::types::{Event, ManualClock, Status, StopReason};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::agent::{START_MS, Setting, Talk, answer, call, messages};

/// Turns that can be taken back, of those that are there; as many that are gone are kept for checkpoints that bring them back.
const KEPT_TURNS: usize = 50;
/// Lines that the talk keeps in core memory at most.
const MAX_LINES: usize = 5;
const THINGS: [&str; 8] = ["lantern", "compass", "saddle", "violin", "anchor", "basket", "hammer", "kettle"];

/// What must be the case.
#[derive(Debug, Clone, Default)]
struct Expected {
    /// The block about the user.
    lines: Vec<String>,
    /// Texts of the user that are to be found.
    said: Vec<String>,
    /// The turn of each of them.
    turns: Vec<Turn>,
    /// Replies that the user has rewritten, by the number of their turn.
    rewritten: BTreeMap<usize, String>,
    /// Passages.
    archived: Vec<String>,
}

/// What a turn did.
#[derive(Debug, Clone)]
struct Turn {
    /// Its number among all turns that were ever begun.
    number: usize,
    before: Rc<Expected>,
    lines_after: Vec<String>,
}

struct Soak {
    profile: Profile,
    window_tokens: usize,
    folder: tempfile::TempDir,
    random: ChaCha8Rng,
    expected: Expected,
    saved: Option<Expected>,
    /// What lies ahead after an undo, the next state first.
    ahead: Vec<Expected>,
    /// Turns that were begun, those that were taken back included.
    begun: usize,
    /// Numbers of those that can be taken back, now or once a checkpoint brings them back.
    marks: BTreeSet<usize>,
}

/// Holds `turns` turns with random edits, searches, pops, undos, redos, checkpoints, kills and restarts in between, half
/// of them in each profile, and checks memory and window after each.
pub fn soak(seed: u64, turns: usize, window_tokens: usize) {
    for profile in [Profile::Native, Profile::Classic] {
        let mut soak = Soak {
            profile,
            window_tokens,
            folder: tempfile::tempdir().unwrap(),
            random: ChaCha8Rng::seed_from_u64(seed),
            expected: Expected::default(),
            saved: None,
            ahead: Vec::new(),
            begun: 0,
            marks: BTreeSet::new(),
        };
        soak.run(turns / 2);
    }
}

impl Soak {
    fn open(&self) -> Talk {
        let store = Store::open(&self.folder.path().join("mneme.db"), &ManualClock::at(START_MS)).unwrap();
        let mut setting = Setting::new(self.profile, &[]);
        setting.script = Script { context_window: self.window_tokens, replies: self.replies(), ..Script::default() };
        setting.open_in(store)
    }

    /// The cue of a turn begins what the user says and decides what the model does. Its answers are small talk.
    fn replies(&self) -> Vec<ScriptedReply> {
        let always = |when: &str, reply: String| ScriptedReply {
            when: Some(when.to_owned()),
            reply,
            repeat: true,
            ..ScriptedReply::default()
        };
        // What stands before a message of the user, and not before one that a search found; and before a result.
        let (before_message, before_result) = match self.profile {
            Profile::Native => ("]\n", "<tool_response>"),
            Profile::Classic => ("\"", "\"status\": \"OK\""),
        };
        let cue = |verb: &str, thing: &str| format!("{before_message}{verb} {thing}");
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let edit = |name: &str, texts: &[(&str, &str)]| {
            let texts: Vec<(&str, String)> = texts.iter().map(|(key, text)| (*key, quoted(text))).collect();
            let arguments: Vec<(&str, &str)> = texts.iter().map(|(key, text)| (*key, text.as_str())).collect();
            call(self.profile, name, &[&[("section", "\"human\"")], arguments.as_slice()].concat())
        };
        let mut replies = vec![always("Write a summary of them", "We spoke about things in the house.".to_owned())];
        for (number, thing) in THINGS.iter().enumerate() {
            let (line, corrected) = (owns(thing), sold(thing));
            let query = quoted(THINGS[(number + 1) % THINGS.len()]);
            replies.extend([
                always(&cue("APPEND", thing), edit("core_memory_append", &[("content", &line)])),
                always(
                    &cue("CHANGE", thing),
                    edit("core_memory_replace", &[("old_content", &line), ("new_content", &corrected)]),
                ),
                always(
                    &cue("FORGET", thing),
                    edit("core_memory_replace", &[("old_content", &corrected), ("new_content", "")]),
                ),
                always(
                    &cue("SEARCH", thing),
                    call(self.profile, "conversation_search", &[("query", &query), ("page", "0")]),
                ),
                always(&cue("TALK", thing), answer(self.profile, "I see, and I am glad that you told me about it.")),
            ]);
        }
        replies.push(always(before_result, answer(self.profile, "It is done.")));
        for warning in ["nearly filled", "system_alert"] {
            replies.push(always(warning, String::new()));
        }
        replies
    }

    fn run(&mut self, turns: usize) {
        let mut talk = self.open();
        let mut evictions = 0;
        for turn in 0..turns {
            let what = self.random.random_range(0..100);
            match what {
                0..50 => evictions += self.turn(&mut talk, turn),
                50..56 => self.pop(&mut talk, turn),
                56..64 => self.undo(&mut talk, turn),
                64..71 => self.redo(&mut talk, turn),
                71..74 => self.retry(&mut talk, turn),
                74..77 => self.rewrite(&mut talk, turn),
                77..80 => self.edit(&mut talk, turn),
                80..82 => self.archive(&mut talk, turn),
                82..83 => {
                    let notice = talk.notice("/summarize");
                    if !notice.contains("Nothing was summarised") {
                        self.ahead.clear();
                    }
                }
                83..87 => {
                    talk.notice("/save point");
                    self.saved = Some(self.expected.clone());
                }
                87..90 => {
                    if let Some(saved) = self.saved.clone() {
                        talk.notice("/load point");
                        self.expected = saved;
                        self.ahead.clear();
                    }
                }
                90..95 => {
                    let killed = self.copy_as_a_kill_leaves_it();
                    drop(talk);
                    self.folder = killed;
                    talk = self.open();
                }
                _ => self.find(),
            }
            self.check(&mut talk, turn);
        }
        assert!(evictions > 0 || turns < 40, "{turns} turns filled no window");
        for text in self.expected.said.clone() {
            self.assert_found(&text);
        }
    }

    /// Database and log as they lie on the disk while the program runs: what a killed process leaves.
    fn copy_as_a_kill_leaves_it(&self) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        for name in ["mneme.db", "mneme.db-wal"] {
            std::fs::copy(self.folder.path().join(name), copy.path().join(name)).unwrap();
        }
        copy
    }

    /// One turn of the user; gives how many evictions it brought.
    fn turn(&mut self, talk: &mut Talk, turn: usize) -> usize {
        let thing = THINGS[self.random.random_range(0..THINGS.len())];
        let (line, corrected) = (owns(thing), sold(thing));
        let before = Rc::new(self.expected.clone());
        self.ahead.clear();
        let lines = &mut self.expected.lines;
        let has = |lines: &[String], wanted: &String| lines.contains(wanted);
        let can_search = talk.notice("/dump").contains("summary of");
        let verb = match self.random.random_range(0..4) {
            _ if has(lines, &corrected) => {
                lines.retain(|kept| *kept != corrected);
                "FORGET"
            }
            0 if has(lines, &line) => {
                let at = lines.iter().position(|kept| *kept == line).unwrap();
                lines[at] = corrected;
                "CHANGE"
            }
            1 if !has(lines, &line) && lines.len() < MAX_LINES => {
                lines.push(line);
                "APPEND"
            }
            2 if can_search => "SEARCH",
            _ => "TALK",
        };
        let text = format!("{verb} {thing}, said in turn number{turn} while it rained over the old house.");
        let events = talk.say(&text);
        self.expected.said.push(text);
        self.begun += 1;
        let lines_after = self.expected.lines.clone();
        self.expected.turns.push(Turn { number: self.begun, before, lines_after });
        self.marks.insert(self.begun);
        let visible: BTreeSet<usize> = self.expected.turns.iter().map(|turn| turn.number).collect();
        let (seen, hidden): (Vec<usize>, Vec<usize>) =
            self.marks.iter().rev().partition(|number| visible.contains(number));
        let kept = |numbers: Vec<usize>| numbers.into_iter().take(KEPT_TURNS);
        self.marks = kept(seen).chain(kept(hidden)).collect();
        let Some(Event::Turn(report)) = events.last() else { panic!("turn {turn}: {events:?}") };
        assert_eq!(report.stop_reason, StopReason::Answer, "turn {turn}: {events:?}");
        assert_eq!(messages(&events).len(), 1, "turn {turn}: {events:?}");
        let calls = events.iter().filter(|event| matches!(event, Event::Call { .. })).count();
        assert_eq!(calls, usize::from(verb != "TALK"), "turn {turn}, {verb}: {events:?}");
        let failed = events.iter().any(|event| matches!(event, Event::Result { status: Status::Failed, .. }));
        assert!(!failed, "turn {turn}: {events:?}");
        let is_eviction = |event: &&Event| matches!(event, Event::Notice { text } if text.contains("older messages"));
        events.iter().filter(is_eviction).count()
    }

    /// Takes back everything from one of the last messages of the user on.
    fn pop(&mut self, talk: &mut Talk, turn: usize) {
        let dump = talk.notice("/dump");
        let numbers: Vec<&str> = dump
            .lines()
            .filter(|line| line.contains(" user: "))
            .filter_map(|line| line.strip_prefix('[')?.split(']').next())
            // Results of searches quote messages with their time in brackets.
            .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
            .collect();
        let back = self.random.random_range(1..4);
        let Some(number) = numbers.iter().rev().nth(back - 1) else { return };
        talk.notice(&format!("/pop {number}"));
        self.ahead.clear();
        let dump = talk.notice("/dump");
        let left = self.expected.said.len() - back;
        let gone = self.expected.said.split_off(left);
        self.expected.turns.truncate(left);
        self.expected.rewritten.retain(|turn, _| *turn < left);
        for text in gone {
            assert!(!dump.contains(&text), "turn {turn}: /pop {number} left {text:?}");
            assert!(!self.is_found(&text), "turn {turn}: {text:?} was removed and is found");
        }
    }

    /// Takes back the last turns with all that they did.
    fn undo(&mut self, talk: &mut Talk, turn: usize) {
        let count = self.random.random_range(1..4);
        let events = talk.command(&format!("/undo {count}"));
        // A checkpoint of long ago brings turns back whose marks are gone: they go with the next one before them that has
        // one.
        let marked: Vec<usize> =
            (0..self.expected.turns.len()).filter(|at| self.marks.contains(&self.expected.turns[*at].number)).collect();
        let Some(first) = marked.len().checked_sub(count).map(|at| marked[at]) else {
            assert!(matches!(events.as_slice(), [Event::Error { .. }]), "turn {turn}: {events:?}");
            return;
        };
        assert!(matches!(events.as_slice(), [Event::Notice { .. }]), "turn {turn}: {events:?}");
        let gone = self.expected.turns[first..].to_vec();
        let said = self.expected.said[first..].to_vec();
        let between = gone[1..].iter().map(|turn| (*turn.before).clone());
        let ahead = between.chain([self.expected.clone()]).chain(std::mem::take(&mut self.ahead)).collect();
        self.ahead = ahead;
        self.expected = (*gone[0].before).clone();
        let dump = talk.notice("/dump");
        for text in said {
            assert!(!dump.contains(&text), "turn {turn}: /undo {count} left {text:?}");
            assert!(!self.is_found(&text), "turn {turn}: {text:?} was taken back and is found");
        }
    }

    fn redo(&mut self, talk: &mut Talk, turn: usize) {
        let count = self.random.random_range(1..3);
        let events = talk.command(&format!("/redo {count}"));
        if count > self.ahead.len() {
            assert!(matches!(events.as_slice(), [Event::Error { .. }]), "turn {turn}: {events:?}");
            return;
        }
        assert!(matches!(events.as_slice(), [Event::Notice { .. }]), "turn {turn}: {events:?}");
        self.expected = self.ahead.drain(..count).next_back().unwrap();
        if let Some(text) = self.expected.said.last() {
            assert!(self.is_found(text), "turn {turn}: {text:?} was brought back and is not found");
        }
    }

    /// The same message does the same again, from the state before it.
    fn retry(&mut self, talk: &mut Talk, turn: usize) {
        let Some(last) = self.expected.turns.last().cloned() else { return };
        let Some(text) = self.expected.said.last().cloned() else { return };
        let events = talk.command("/retry");
        if !self.marks.contains(&last.number) {
            assert!(matches!(events.as_slice(), [Event::Error { .. }, ..]), "turn {turn}: {events:?}");
            return;
        }
        assert!(matches!(events.as_slice(), [.., Event::Turn(_), Event::Notice { .. }]), "turn {turn}: {events:?}");
        assert_eq!(messages(&events).len(), 1, "turn {turn}: {events:?}");
        let mut expected = (*last.before).clone();
        expected.lines.clone_from(&last.lines_after);
        expected.said.push(text);
        expected.turns.push(last);
        self.expected = expected;
        self.ahead.clear();
    }

    fn rewrite(&mut self, talk: &mut Talk, turn: usize) {
        let Some(place) = self.expected.said.len().checked_sub(1) else { return };
        let text = format!("Rewritten in turn number{turn}.");
        // The last exchange that is left after /pop may be out of view.
        if let Some(Event::Error { .. }) = talk.command(&format!("/rewrite {text}")).pop() {
            return;
        }
        if let Some(old) = self.expected.rewritten.insert(place, text) {
            assert!(!self.is_told(&old), "turn {turn}: {old:?} was rewritten and is found");
        }
        self.ahead.clear();
    }

    /// The user edits the block by hand.
    fn edit(&mut self, talk: &mut Talk, turn: usize) {
        let lines = &mut self.expected.lines;
        if lines.len() == MAX_LINES {
            lines.pop();
        }
        lines.insert(0, format!("Written by hand in turn {turn}."));
        talk.notice(&format!("/core human {}", lines.join("\n")));
        self.ahead.clear();
    }

    fn archive(&mut self, talk: &mut Talk, turn: usize) {
        let text = format!("A note of turn number{turn} on the house.");
        talk.notice(&format!("/archive {text}"));
        self.expected.archived.push(text);
        self.ahead.clear();
    }

    /// Something that was said is in view or can be found.
    fn find(&mut self) {
        if self.expected.said.is_empty() {
            return;
        }
        let place = self.random.random_range(0..self.expected.said.len());
        self.assert_found(&self.expected.said[place]);
    }

    fn assert_found(&self, text: &str) {
        assert!(self.is_found(text), "{text:?} is not found, {:?}", self.profile);
    }

    /// Whether recall storage has what the user said where a search looks.
    fn is_found(&self, text: &str) -> bool {
        self.is_stored("user", text)
    }

    /// The same for what the user was told.
    fn is_told(&self, text: &str) -> bool {
        self.is_stored("assistant", text)
    }

    fn is_stored(&self, kind: &str, text: &str) -> bool {
        let connection = rusqlite::Connection::open(self.folder.path().join("mneme.db")).unwrap();
        let sql = "SELECT count(*) FROM messages WHERE hidden = 0 AND kind = ?1 AND searchable = ?2";
        connection.query_row(sql, [kind, text], |row| row.get::<_, i64>(0)).unwrap() == 1
    }

    fn check(&self, talk: &mut Talk, turn: usize) {
        let (core, recall_count, archival_count) = talk.memory();
        assert_eq!(core.human.lines().collect::<Vec<_>>(), self.expected.lines, "turn {turn}, {:?}", self.profile);
        assert_eq!(core.persona, "I am a test.");
        assert!(recall_count >= self.expected.said.len() as u64, "turn {turn}: {recall_count}");
        assert_eq!(archival_count, self.expected.archived.len() as u64, "turn {turn}");
        for text in self.expected.rewritten.values() {
            assert!(self.is_told(text), "turn {turn}: {text:?} is not found");
        }
        for generation in talk.log.take() {
            assert!(
                generation.prompt.len() < self.window_tokens,
                "turn {turn}: a prompt of {}",
                generation.prompt.len()
            );
        }
    }
}

fn owns(thing: &str) -> String {
    format!("The user owns a {thing}.")
}

fn sold(thing: &str) -> String {
    format!("The user has sold the {thing}.")
}
