//! A talk that is killed again and again, at moments that a seed chooses: whatever was shown, and whatever the program
//! had read, is there once, and only once, at the end.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::program::Program;
use super::world::World;

/// Input lines that are written ahead, at most.
const MAX_AHEAD: usize = 4;
/// Events that are read before a kill, at most.
const MAX_EVENTS: usize = 120;
/// Longest wait before a kill, in milliseconds: into reading, passes and evictions.
const MAX_WAIT_MS: u64 = 30;

struct Killed {
    world: World,
    random: ChaCha8Rng,
    /// What the user has said so far, by number.
    said: usize,
    shown: BTreeSet<String>,
    /// Numbers of messages that the program must have.
    read: BTreeSet<usize>,
}

/// Kills a talk `kills` times and checks the home after each, and at the end.
pub fn kills(seed: u64, kills: usize) {
    let mut killed = Killed {
        world: World::new(),
        random: ChaCha8Rng::seed_from_u64(seed),
        said: 0,
        shown: BTreeSet::new(),
        read: BTreeSet::new(),
    };
    std::fs::write(killed.world.home.path().join("config.toml"), "memory_pass = true\n").unwrap();
    for _ in 0..kills {
        killed.round();
        killed.check();
    }
    assert!(
        killed.shown.len() > kills && killed.read.len() > kills,
        "the kills come too soon to see much: {} shown",
        killed.shown.len()
    );
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

impl Killed {
    fn start(&mut self, ahead: usize) -> Program {
        let mut replies = vec![json!({"when": "Write a summary of them", "reply": "Kayaks, mostly.", "repeat": true})];
        for number in 0..self.said + ahead {
            let cue = format!("Now for number {number},");
            replies.push(
                json!({"when": format!("Message:\n{cue}"), "reply": format!("FACT: {}", fact(number)), "repeat": true}),
            );
        }
        // The newest first: several messages can wait for one answer.
        for number in (0..self.said + ahead).rev() {
            replies.push(json!({"when": format!("Now for number {number},"), "reply": answer(number), "repeat": true}));
        }
        let script = json!({
            "replies": replies,
            "otherwise": "Ah.",
            "context_window": 3072,
            "token_delay_ms": self.random.random_range(0..2),
        });
        self.world.start_script(script, &[])
    }

    fn round(&mut self) {
        let ahead = self.random.random_range(1..=MAX_AHEAD);
        let mut program = self.start(ahead);
        let first = self.said;
        // Which message an input line is; none for a command.
        let mut lines = Vec::new();
        for _ in 0..ahead {
            if self.random.random_bool(0.2) {
                lines.push(None);
                let name = self.random.random_range(0..3);
                program.send_line(&json!({"type": "command", "text": format!("/save s{name}")}).to_string());
            }
            lines.push(Some(self.said));
            program.send_line(&json!({"type": "user", "text": message(self.said)}).to_string());
            self.said += 1;
        }
        let mut events = self.random.random_range(0..MAX_EVENTS);
        while events > 0 {
            let event = program.event();
            self.note(&event, &lines);
            // Nothing comes after the last line is answered and looked at.
            let is_last = event["type"] == "turn" && event["seq"] == json!(lines.len());
            events = if is_last { events.min(1) } else { events };
            events -= 1;
        }
        std::thread::sleep(Duration::from_millis(self.random.random_range(0..MAX_WAIT_MS)));
        program.kill();
        assert!(self.said > first);
    }

    /// Remembers what an event shows, and that its input line, with those before it, was read.
    fn note(&mut self, event: &Value, lines: &[Option<usize>]) {
        if let Some(seq) = event["seq"].as_u64() {
            self.read.extend(lines.iter().take(usize::try_from(seq).unwrap()).flatten());
        }
        match event["type"].as_str() {
            Some("message") => {
                self.shown.insert(event["text"].as_str().unwrap().to_owned());
            }
            Some("call") if event["name"] == "core_memory_append" || event["name"] == "archival_memory_insert" => {
                self.shown.insert(event["arguments"]["content"].as_str().unwrap().to_owned());
            }
            Some("error") => panic!("{event}"),
            _ => {}
        }
    }

    /// Every text in the home: what was said, and what is kept of it.
    fn texts(&self) -> Vec<String> {
        let database = self.world.database();
        let all = "SELECT searchable FROM messages WHERE searchable IS NOT NULL AND hidden = 0 AND state = 'complete'
                   UNION ALL SELECT text FROM inbox UNION ALL SELECT text FROM passages
                   UNION ALL SELECT text FROM core_memory";
        let mut statement = database.prepare(all).unwrap();
        let texts = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        texts.flat_map(|text| text.unwrap().lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    fn check(&self) {
        let texts = self.texts();
        let count = |text: &str| texts.iter().filter(|other| *other == text).count();
        for shown in &self.shown {
            assert!(count(shown) > 0, "{shown:?} was shown and is gone");
        }
        for number in 0..self.said {
            let copies = count(&message(number));
            assert!(copies <= 1, "message {number} is there {copies} times");
            assert!(copies == 1 || !self.read.contains(&number), "message {number} was read and is gone");
            assert!(count(&fact(number)) <= 1, "message {number} was noted more than once");
        }
    }

    /// Leaves in peace: everything that arrived is noted then.
    fn settle(&mut self) {
        let mut program = self.start(0);
        program.memory();
        assert!(program.close().success());
        self.check();
        let texts = self.texts();
        for number in (0..self.said).filter(|number| texts.contains(&message(*number))) {
            assert!(texts.contains(&fact(number)), "message {number} was never looked at");
        }
    }
}
