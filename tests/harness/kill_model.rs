//! What a talk may be after it was killed: which messages of the user are in view, the persona, and the crates in
//! archival storage. A kill leaves open which lines were still read and carried out, so the model is a set of talks, one
//! for each way in which it can have gone; what is found in the home tells which of them it was. A step that was half
//! carried out is none of them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// Turns that can be taken back; mneme keeps no more.
const KEPT_TURNS: usize = 50;

/// An input line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// The user says the message of this number.
    Say(usize),
    Undo,
    Redo,
    Retry,
    Pop,
    Save(usize),
    Load(usize),
    /// Core memory is edited: the persona of this number.
    Persona(usize),
    /// The crate of this number is archived.
    Archive(usize),
    /// `/search`, which changes nothing.
    Search,
}

impl Line {
    /// Whether it takes something out of view, or brings it back.
    pub const fn moves(self) -> bool {
        matches!(self, Self::Undo | Self::Redo) || self.replaces()
    }

    /// Whether it can take the answer away and leave the message.
    pub const fn replaces(self) -> bool {
        matches!(self, Self::Retry | Self::Pop | Self::Load(_))
    }

    /// Whether mneme may refuse it, as things stand.
    const fn can_be_refused(self) -> bool {
        self.moves()
    }
}

/// How a line ended, where that was shown.
pub type Outcome = Option<bool>;

/// What can be seen in the home.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Numbers of the user's messages in view, in their order.
    pub said: Vec<usize>,
    pub persona: usize,
    pub crates: BTreeSet<usize>,
}

/// That, and the way back. The key stands for everything in it.
#[derive(Debug, Clone, Default)]
struct State {
    seen: Seen,
    turns: Vec<(usize, Rc<State>)>,
    key: u64,
}

impl State {
    fn of(seen: Seen, mut turns: Vec<(usize, Rc<Self>)>) -> Rc<Self> {
        // A turn is there while what the user said in it is.
        turns.retain(|(number, _)| seen.said.contains(number));
        turns.drain(..turns.len().saturating_sub(KEPT_TURNS));
        let mut hasher = DefaultHasher::new();
        seen.hash(&mut hasher);
        turns.iter().for_each(|(number, before)| (number, before.key).hash(&mut hasher));
        Rc::new(Self { seen, turns, key: hasher.finish() })
    }

    fn with(&self, change: impl FnOnce(&mut Seen)) -> Rc<Self> {
        let mut seen = self.seen.clone();
        change(&mut seen);
        Self::of(seen, self.turns.clone())
    }

    fn saying(self: &Rc<Self>, number: usize) -> Rc<Self> {
        let mut seen = self.seen.clone();
        seen.said.push(number);
        let turns = self.turns.iter().cloned().chain([(number, Rc::clone(self))]).collect();
        Self::of(seen, turns)
    }
}

/// One way in which the talk can have gone.
#[derive(Debug, Clone, Default)]
struct Way {
    now: Rc<State>,
    /// What `/redo` leads to, the next one first.
    ahead: Vec<Rc<State>>,
    saved: BTreeMap<usize, Rc<State>>,
}

impl Way {
    fn to(&self, now: Rc<State>) -> Self {
        Self { now, ahead: Vec::new(), saved: self.saved.clone() }
    }

    fn key(&self) -> (u64, Vec<u64>, Vec<(usize, u64)>) {
        let saved = self.saved.iter().map(|(name, state)| (*name, state.key)).collect();
        (self.now.key, self.ahead.iter().map(|state| state.key).collect(), saved)
    }

    /// Where it can be after the line was carried out; nowhere where it had to be refused.
    fn carried_out(&self, line: Line) -> Vec<Self> {
        let now = &self.now;
        match line {
            Line::Say(number) => vec![self.to(now.saying(number))],
            Line::Undo => {
                let Some((_, before)) = now.turns.last() else { return Vec::new() };
                let ahead = std::iter::once(now).chain(&self.ahead).cloned().collect();
                vec![Self { now: Rc::clone(before), ahead, saved: self.saved.clone() }]
            }
            Line::Redo => {
                let Some((next, rest)) = self.ahead.split_first() else { return Vec::new() };
                vec![Self { now: Rc::clone(next), ahead: rest.to_vec(), saved: self.saved.clone() }]
            }
            Line::Retry => {
                let last = now.turns.last().filter(|(number, _)| now.seen.said.last() == Some(number));
                last.map(|(number, before)| self.to(before.saying(*number))).into_iter().collect()
            }
            // What it removes is the last message, whoever wrote it.
            Line::Pop => vec![
                self.to(Rc::clone(now)),
                self.to(now.with(|seen| seen.said.truncate(seen.said.len().saturating_sub(1)))),
            ],
            Line::Save(name) => {
                let mut saved = self.saved.clone();
                saved.insert(name, Rc::clone(now));
                vec![Self { saved, ..self.clone() }]
            }
            Line::Load(name) => self.saved.get(&name).map(|state| self.to(Rc::clone(state))).into_iter().collect(),
            Line::Persona(number) => vec![self.to(now.with(|seen| seen.persona = number))],
            Line::Archive(number) => vec![self.to(now.with(|seen| seen.crates.extend([number])))],
            Line::Search => vec![self.clone()],
        }
    }

    fn after(&self, line: Line, outcome: Outcome) -> Vec<Self> {
        let mut ways = if outcome == Some(false) { Vec::new() } else { self.carried_out(line) };
        if outcome == Some(false) || (outcome.is_none() && line.can_be_refused()) {
            ways.push(self.clone());
        }
        ways
    }
}

/// All ways in which the talk can have gone.
#[derive(Debug)]
pub struct Ways(Vec<Way>);

impl Ways {
    pub fn new() -> Self {
        Self(vec![Way::default()])
    }

    /// Narrows the ways down to those in which `lines` were given, at least `read` of them were read, and `seen` is what
    /// there is now. What was said and read is never lost; a command that was not begun is.
    ///
    /// # Panics
    /// There is no such way.
    pub fn narrow(&mut self, lines: &[(Line, Outcome)], read: usize, seen: &Seen) {
        let ended = lines.iter().rposition(|(_, outcome)| outcome.is_some()).map_or(0, |last| last + 1);
        let mut possible = BTreeMap::new();
        let mut ways = self.0.clone();
        for begun in 0..=lines.len() {
            if begun >= ended {
                for way in &ways {
                    let mut way = way.clone();
                    for through in begun..=lines.len() {
                        if let Some((Line::Say(number), _)) =
                            lines.get(through.wrapping_sub(1)).filter(|_| through > begun)
                        {
                            way = way.to(way.now.saying(*number));
                        }
                        if through >= read && way.now.seen == *seen {
                            possible.insert(way.key(), way.clone());
                        }
                    }
                }
            }
            if let Some((line, outcome)) = lines.get(begun) {
                let next = ways.iter().flat_map(|way| way.after(*line, *outcome));
                ways = next.map(|way| (way.key(), way)).collect::<BTreeMap<_, _>>().into_values().collect();
            }
        }
        assert!(
            !possible.is_empty(),
            "no way leads from {:?} over {lines:?} ({read} read) to {seen:?}",
            self.0.iter().map(|way| &way.now.seen).collect::<Vec<_>>()
        );
        self.0 = possible.into_values().collect();
    }
}
