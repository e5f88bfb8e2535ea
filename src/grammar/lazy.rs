//! Lazy grammars: free text up to a trigger, and from the trigger on what the grammar says.
//!
//! Free text is any text tokens, and generation may end anywhere in it. The grammar is in force from the first byte of
//! the trigger that is complete first; of literals that are complete at the same byte, the longest counts. It stays in
//! force to the end: behind what it accepts there is no free text again. Tokens do not matter: a literal is found across
//! their borders, and a token that completes it and goes on must agree with the grammar, where llama.cpp's lazy grammars
//! look only once the token is written.

#![expect(clippy::indexing_slicing, reason = "rows have 256 entries, and node ids index the table that gave them out")]

use std::collections::VecDeque;
use std::fmt;

use super::automaton::{Automaton, DEAD, StateId, Stop};
use super::error::Error;
use super::program::{Position, PositionId, Program, RETURN};
use super::utf8::{ByteSet, byte_range, unite};
use crate::inference::{TokenKind, Vocab};
use crate::types::TokenId;

/// What puts a lazy grammar into force. The grammar's own text begins with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// These characters, wherever they stand; not empty. A control token that is spelled like them is none of them.
    Literal(String),
    /// This control token.
    Token(TokenId),
}

/// Triggers of one grammar. Formats of calls have one to three.
pub(super) const MOST: usize = 32;
/// Bytes of all literal triggers: tags have about ten, and each byte costs a few hundred.
pub(super) const MOST_BYTES: usize = 1024;

/// Checks triggers before anything is compiled.
///
/// # Errors
/// There is none, one cannot be used, or [`Error::Limit`].
pub(crate) fn check(triggers: &[Trigger], vocab: &Vocab) -> Result<(), Error> {
    let refused = |problem| Err(Error::Trigger { problem });
    if triggers.len() > MOST {
        return Err(Error::Limit { what: "triggers", found: triggers.len(), limit: MOST });
    }
    if triggers.is_empty() {
        return refused("there is none".into());
    }
    let mut literals = Vec::new();
    for trigger in triggers {
        match trigger {
            Trigger::Literal(text) if text.is_empty() => return refused("it is empty".into()),
            Trigger::Literal(text) => literals.push(text.as_bytes()),
            // Free text may spell a text token, and would go on.
            Trigger::Token(id) if vocab.kind(*id) != TokenKind::Control => {
                return refused(format!("{trigger} is no control token"));
            }
            Trigger::Token(_) => {}
        }
    }
    let found = literals.iter().map(|text| text.len()).sum();
    if found > MOST_BYTES {
        return Err(Error::Limit { what: "trigger bytes", found, limit: MOST_BYTES });
    }
    for whole in &literals {
        // What begins or ends with another is no contradiction: the grammar's text is the same either way.
        let inner = whole.get(1..whole.len() - 1).unwrap_or_default();
        if let Some(part) = literals.iter().find(|part| inner.windows(part.len()).any(|window| window == **part)) {
            let [whole, part] = [whole, part].map(|text| text.escape_ascii());
            return refused(format!("\"{whole}\" cannot be complete before \"{part}\", which is inside it"));
        }
    }
    Ok(())
}

/// Free text that goes on as the state of each trigger says once that is complete, [kept](Automaton::keep) under the
/// number in `states`: the automaton of Aho and Corasick
/// ("Efficient string matching", 1975) with the tokens beside it.
///
/// # Errors
/// A state is dead, as the grammar does not begin with the trigger, or [`Error::Limit`].
pub(crate) fn compile(triggers: &[Trigger], states: &[u32], program: &mut Program) -> Result<PositionId, Error> {
    let mut literals = Literals { nodes: vec![Node::FRESH] };
    // Generation may end in free text.
    let mut everywhere = vec![RETURN];
    for (trigger, state) in triggers.iter().zip(states) {
        if *state == DEAD {
            return Err(Error::Trigger { problem: format!("no text of the grammar begins with {trigger}") });
        }
        let resume = program.add(Position::Resume { state: *state })?;
        match trigger {
            Trigger::Token(id) => {
                everywhere.push(program.add(Position::Token { id: *id, negated: false, next: resume })?)
            }
            Trigger::Literal(text) => literals.add(text.as_bytes(), resume),
        }
    }
    let open = literals.complete();
    let mut positions: Vec<PositionId> = literals.nodes.iter().map(|node| node.resume.unwrap_or(RETURN)).collect();
    for node in &open {
        positions[*node] = program.reserve()?;
    }
    for node in open {
        let mut sets: Vec<(PositionId, ByteSet)> = Vec::new();
        for (byte, next) in (0..=255_u8).zip(&literals.nodes[node].row) {
            let (next, set) = (positions[*next], byte_range(byte, byte));
            match sets.iter_mut().find(|(known, _)| *known == next) {
                Some((_, known)) => unite(known, &set),
                None => sets.push((next, set)),
            }
        }
        let mut branches = everywhere.clone();
        for (next, set) in sets {
            branches.push(program.byte(set, next)?);
        }
        program.set_split(positions[node], &branches)?;
    }
    Ok(positions[ROOT])
}

impl Trigger {
    /// The state of the grammar that begins in `start` behind the trigger; dead where it does not begin with it.
    pub(crate) fn behind(&self, automaton: &mut Automaton, start: StateId) -> Result<StateId, Stop> {
        match self {
            Self::Literal(text) => automaton.walk(start, text.as_bytes()),
            Self::Token(id) => automaton.take_token(start, *id, false, DEAD),
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(text) => write!(formatter, "{text:?}"),
            Self::Token(id) => write!(formatter, "token {}", id.0),
        }
    }
}

/// The node of no text, and of free text that ends like the beginning of no literal.
const ROOT: usize = 0;

/// Beginnings of the literals as a tree; once complete, what each byte behind each of them leads to: the longest that
/// the text then ends with.
#[derive(Debug)]
struct Literals {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone)]
struct Node {
    /// The node behind each byte; the root where the tree has none.
    row: [usize; 256],
    /// Where the grammar goes on, if a literal ends here.
    resume: Option<PositionId>,
}

impl Node {
    const FRESH: Self = Self { row: [ROOT; 256], resume: None };
}

impl Literals {
    fn add(&mut self, text: &[u8], resume: PositionId) {
        let mut node = ROOT;
        for byte in text {
            let fresh = self.nodes.len();
            let next = &mut self.nodes[node].row[usize::from(*byte)];
            if *next == ROOT {
                *next = fresh;
            }
            node = *next;
            if node == fresh {
                self.nodes.push(Node::FRESH);
            }
        }
        self.nodes[node].resume = Some(resume);
    }

    /// Fills the rows of the nodes at which no literal is complete, and gives back these.
    fn complete(&mut self) -> Vec<usize> {
        let mut open = Vec::new();
        // Nodes, the shorter ones first, each with the longest other node that it ends with.
        let mut waiting = VecDeque::from([(ROOT, ROOT)]);
        while let Some((node, shorter)) = waiting.pop_front() {
            let resume = self.nodes[node].resume.or(self.nodes[shorter].resume);
            self.nodes[node].resume = resume;
            if resume.is_some() {
                continue;
            }
            for byte in 0..256 {
                let behind_shorter = if node == ROOT { ROOT } else { self.nodes[shorter].row[byte] };
                match &mut self.nodes[node].row[byte] {
                    next if *next == ROOT => *next = behind_shorter,
                    next => waiting.push_back((*next, behind_shorter)),
                }
            }
            open.push(node);
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a grammar resumes behind `text`, and how much of the text was read.
    fn resumed(literals: &Literals, text: &[u8]) -> Option<(PositionId, usize)> {
        let mut node = ROOT;
        text.iter().zip(1..).find_map(|(byte, read)| {
            node = literals.nodes[node].row[usize::from(*byte)];
            Some((literals.nodes[node].resume?, read))
        })
    }

    #[test]
    fn the_literal_that_is_complete_first_counts_and_then_the_longest() {
        let mut literals = Literals { nodes: vec![Node::FRESH] };
        for (text, resume) in
            [(&b"abac"[..], 1), (b"c", 2), (b"bad", 3), (b"ad", 4), (b"xbay", 5), (b"ba!!", 6), (b"!", 7)]
        {
            literals.add(text, resume);
        }
        literals.complete();
        for (text, expected) in [
            (&b"aabac"[..], Some((1, 5))),
            (b"abc", Some((2, 3))),
            (b"ababad", Some((3, 6))),
            (b"abxad", Some((4, 5))),
            (b"xbad", Some((3, 4))),
            // Another one is inside it.
            (b"ba!!", Some((7, 3))),
            (b"abababa", None),
        ] {
            assert_eq!(resumed(&literals, text), expected, "{}", text.escape_ascii());
        }
    }
}
