//! A talk that is killed again and again, at moments that a seed chooses, while its user goes back and forth in it:
//! whatever was shown, and whatever the program had read, is there once, and only once, at the end, unless a command has
//! taken it out of view; then it is in the file still.

use std::collections::BTreeSet;
use std::time::Duration;

use mneme::dialect::Profile;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::agent;
use super::kill_model::{Line, Outcome, Seen, Ways};
use super::program::Program;
use super::world::World;

/// Input lines that are written ahead, at most.
const MAX_AHEAD: usize = 4;
/// Events that are read before a kill, at most.
const MAX_EVENTS: usize = 120;
/// Longest wait before a kill, in milliseconds: into reading, passes and evictions.
const MAX_WAIT_MS: u64 = 30;
/// Names of checkpoints.
const NAMES: usize = 3;

struct Killed {
    world: World,
    profile: Profile,
    random: ChaCha8Rng,
    /// What the user has said, named and archived so far, by number.
    said: usize,
    personas: usize,
    crates: usize,
    ways: Ways,
    /// Answers that are in view where their messages are.
    answers: BTreeSet<String>,
    /// What else was shown and is in view.
    shown: BTreeSet<String>,
    /// What was shown, and may have been taken out of view.
    shown_once: BTreeSet<String>,
    /// Numbers of messages that the program must have.
    read: BTreeSet<usize>,
}

/// Kills a talk `kills` times and checks the home after each, and at the end.
pub fn kills(seed: u64, kills: usize, profile: Profile) {
    let mut killed = Killed {
        world: World::new(),
        profile,
        random: ChaCha8Rng::seed_from_u64(seed),
        said: 0,
        personas: 0,
        crates: 0,
        ways: Ways::new(),
        answers: BTreeSet::new(),
        shown: BTreeSet::new(),
        shown_once: BTreeSet::new(),
        read: BTreeSet::new(),
    };
    std::fs::write(killed.world.home.path().join("config.toml"), "memory_pass = true\n").unwrap();
    for _ in 0..kills {
        killed.round();
    }
    let shown = killed.answers.len() + killed.shown.len() + killed.shown_once.len();
    assert!(shown > kills / 2 && killed.read.len() > kills / 2, "the kills come too soon to see much: {shown} shown");
    killed.settle();
}

/// What the user says, what the agent answers, and what a pass or a call keeps of it.
fn message(number: usize) -> String {
    format!(
        "Now for number {number}, which is a kayak of mine. {}",
        "It is green and rather old. ".repeat(6).trim_end()
    )
}

fn answer(number: usize) -> String {
    format!("So number {number} is a kayak.")
}

fn fact(number: usize) -> String {
    format!("The user owns kayak number {number}.")
}

fn persona(number: usize) -> String {
    format!("I am version {number}.")
}

fn crate_text(number: usize) -> String {
    format!("Crate number {number} holds paddles.")
}

/// The number in a text that `make` makes.
fn number_in(text: &str, make: impl Fn(usize) -> String) -> Option<usize> {
    let number = text.split(|character: char| !character.is_ascii_digit()).find_map(|digits| digits.parse().ok())?;
    (make(number) == text).then_some(number)
}

fn input(line: Line) -> Value {
    let text = match line {
        Line::Say(number) => return json!({"type": "user", "text": message(number)}),
        Line::Undo => "/undo".to_owned(),
        Line::Redo => "/redo".to_owned(),
        Line::Retry => "/retry".to_owned(),
        Line::Pop => "/pop 1".to_owned(),
        Line::Save(name) => format!("/save s{name}"),
        Line::Load(name) => format!("/load s{name}"),
        Line::Persona(number) => format!("/core persona {}", persona(number)),
        Line::Archive(number) => format!("/archive {}", crate_text(number)),
        Line::Search => "/search kayak".to_owned(),
    };
    json!({"type": "command", "text": text})
}

impl Killed {
    /// What the model writes to the message of a number. In the classic profile every other one is noted by a call; in
    /// the native one a memory pass notes each.
    fn reply(&self, number: usize) -> String {
        if self.profile == Profile::Classic && number.is_multiple_of(2) {
            let content = json!(fact(number)).to_string();
            return agent::call(self.profile, "archival_memory_insert", &[("content", &content)]);
        }
        agent::answer(self.profile, &answer(number))
    }

    fn start(&mut self) -> Program {
        let mut replies = vec![json!({"when": "Write a summary of them", "reply": "Kayaks, mostly.", "repeat": true})];
        for number in 0..self.said {
            let cue = format!("Now for number {number},");
            replies.push(
                json!({"when": format!("Message:\n{cue}"), "reply": format!("FACT: {}", fact(number)), "repeat": true}),
            );
        }
        // The newest first: several messages can wait for one answer.
        for number in (0..self.said).rev() {
            let cue = format!("Now for number {number},");
            replies.push(json!({"when": cue, "reply": self.reply(number), "repeat": true}));
        }
        let script = json!({
            "replies": replies,
            "otherwise": agent::answer(self.profile, "Ah."),
            "context_window": 3072,
            "token_delay_ms": self.random.random_range(0..2),
        });
        self.world.start_script(script, &["--profile", self.profile.as_str()])
    }

    /// What the user types before the next kill. Half of the rounds go back or forth, so that the others can hold what
    /// was shown to be in view.
    fn lines(&mut self) -> Vec<Line> {
        let moves = self.random.random_bool(0.5);
        let mut lines = Vec::new();
        for _ in 0..self.random.random_range(1..=MAX_AHEAD) {
            while self.random.random_bool(0.4) {
                let name = self.random.random_range(0..NAMES);
                lines.push(match self.random.random_range(0..if moves { 12 } else { 4 }) {
                    0 => Line::Save(name),
                    1 => Line::Search,
                    2 => {
                        self.personas += 1;
                        Line::Persona(self.personas)
                    }
                    3 => {
                        self.crates += 1;
                        Line::Archive(self.crates)
                    }
                    4..=6 => Line::Undo,
                    7..=8 => Line::Redo,
                    9 => Line::Retry,
                    10 => Line::Pop,
                    _ => Line::Load(name),
                });
            }
            lines.push(Line::Say(self.said));
            self.said += 1;
        }
        lines
    }

    fn round(&mut self) {
        let lines = self.lines();
        if lines.iter().any(|line| line.moves()) {
            self.shown_once.append(&mut self.shown);
        }
        if lines.iter().any(|line| line.replaces()) {
            self.shown_once.append(&mut self.answers);
        }
        let mut program = self.start();
        for line in &lines {
            program.send_line(&input(*line).to_string());
        }
        let mut outcomes: Vec<(Line, Outcome)> = lines.into_iter().map(|line| (line, None)).collect();
        let (mut events, mut read) = (self.random.random_range(0..MAX_EVENTS), 0);
        while events > 0 {
            let event = program.event();
            self.note(&event, &mut outcomes, &mut read);
            // Nothing comes after the last line, which is a message, is answered and looked at.
            let is_last = event["type"] == "turn" && event["seq"] == json!(outcomes.len());
            events = if is_last { events.min(1) } else { events };
            events -= 1;
        }
        std::thread::sleep(Duration::from_millis(self.random.random_range(0..MAX_WAIT_MS)));
        program.kill();
        let seen = self.seen();
        self.ways.narrow(&outcomes, read, &seen);
        self.check(&seen);
    }

    /// Remembers what an event shows, how its input line ended, and that those before it were read.
    fn note(&mut self, event: &Value, lines: &mut [(Line, Outcome)], read: &mut usize) {
        let seq = event["seq"].as_u64().map(|seq| usize::try_from(seq).unwrap());
        let kind = event["type"].as_str().unwrap();
        if let Some(seq) = seq {
            *read = seq.max(*read);
            self.read.extend(lines.iter().take(seq).filter_map(|(line, _)| match line {
                Line::Say(number) => Some(number),
                _ => None,
            }));
            let (line, outcome) = &mut lines[seq - 1];
            let is_end = match (&line, kind) {
                (Line::Say(_), kind) => kind == "turn",
                (_, kind) => kind == "notice" || kind == "error",
            };
            if is_end {
                // What a retry says of an eviction comes when it has taken the answer back, and before its end.
                outcome.get_or_insert(kind != "error");
            }
            assert!(kind != "error" || line.moves(), "{line:?}: {event}");
        }
        let (moves, replaces) = lines
            .iter()
            .fold((false, false), |(moves, replaces), (line, _)| (moves || line.moves(), replaces || line.replaces()));
        match kind {
            "message" => {
                let text = event["text"].as_str().unwrap().to_owned();
                let shown = match number_in(&text, answer) {
                    Some(_) if !replaces => &mut self.answers,
                    None if !moves => &mut self.shown,
                    _ => &mut self.shown_once,
                };
                shown.insert(text);
            }
            "call" if event["name"] == "core_memory_append" || event["name"] == "archival_memory_insert" => {
                let text = event["arguments"]["content"].as_str().unwrap().to_owned();
                (if moves { &mut self.shown_once } else { &mut self.shown }).insert(text);
            }
            _ => {}
        }
    }

    /// The lines of every text that a query finds.
    fn texts(&self, sql: &str) -> Vec<String> {
        let database = self.world.database();
        let mut statement = database.prepare(sql).unwrap();
        let texts = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        texts.flat_map(|text| text.unwrap().lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// What is in view.
    fn in_view(&self) -> Vec<String> {
        self.texts(
            "SELECT searchable FROM messages WHERE searchable IS NOT NULL AND hidden = 0 AND state = 'complete'
             UNION ALL SELECT text FROM inbox UNION ALL SELECT text FROM passages WHERE hidden = 0
             UNION ALL SELECT text FROM core_memory",
        )
    }

    /// What is in the file, in view or not.
    fn kept(&self) -> BTreeSet<String> {
        let all = "SELECT searchable FROM messages WHERE searchable IS NOT NULL UNION ALL SELECT text FROM inbox
                   UNION ALL SELECT text FROM passages UNION ALL SELECT text FROM core_memory
                   UNION ALL SELECT before_text FROM block_edits UNION ALL SELECT after_text FROM block_edits";
        self.texts(all).into_iter().collect()
    }

    fn seen(&self) -> Seen {
        let said = "SELECT text FROM (SELECT searchable AS text, 0 AS place, id FROM messages
                    WHERE kind = 'user' AND hidden = 0 UNION ALL SELECT text, 1, id FROM inbox) ORDER BY place, id";
        let persona_text = self.texts("SELECT text FROM core_memory WHERE label = 'persona'").concat();
        let crates = self.texts("SELECT text FROM passages WHERE hidden = 0");
        Seen {
            said: self.texts(said).iter().map(|text| number_in(text, message).expect("a whole message")).collect(),
            persona: number_in(&persona_text, persona).unwrap_or_default(),
            crates: crates.iter().filter_map(|text| number_in(text, crate_text)).collect(),
        }
    }

    fn check(&self, seen: &Seen) {
        let (view, kept) = (self.in_view(), self.kept());
        let count = |text: &str| view.iter().filter(|other| *other == text).count();
        for shown in &self.shown {
            assert!(count(shown) > 0, "{shown:?} was shown and is gone");
        }
        for shown in self.shown_once.iter().chain(&self.answers) {
            assert!(kept.contains(shown), "{shown:?} was shown and is not in the file");
        }
        for number in 0..self.said {
            let (is_in_view, answers) = (seen.said.contains(&number), count(&answer(number)));
            assert_eq!(count(&message(number)), usize::from(is_in_view), "message {number}");
            assert!(!self.read.contains(&number) || kept.contains(&message(number)), "message {number} is lost");
            assert!(count(&fact(number)) <= 1, "message {number} was noted more than once");
            assert!(is_in_view || answers == 0, "message {number} is out of view, and its answer is not");
            let is_answered = !is_in_view || !self.answers.contains(&answer(number)) || answers > 0;
            assert!(is_answered, "message {number} is in view, and its answer was shown and is not");
        }
    }

    /// Leaves in peace: everything that arrived is noted then.
    fn settle(&mut self) {
        let mut program = self.start();
        program.memory();
        assert!(program.close().success());
        let seen = self.seen();
        self.ways.narrow(&[], 0, &seen);
        self.check(&seen);
        if self.profile == Profile::Native {
            let view = self.in_view();
            for number in seen.said {
                assert!(view.contains(&fact(number)), "message {number} was never looked at");
            }
        }
    }
}
