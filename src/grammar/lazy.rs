//! Lazy grammars: free text up to a trigger, and from the trigger on what the grammar says.

#![expect(clippy::indexing_slicing, reason = "rows have 256 entries and are as many as the trigger has bytes")]

use super::automaton::{Automaton, DEAD, StateId, Stop};
use super::error::Error;
use super::program::{Position, PositionId, Program, RETURN};
use super::utf8::{ByteSet, byte_range, unite};
use crate::inference::{TokenKind, Vocab};
use crate::types::TokenId;

/// What puts a lazy grammar into force. The grammar's own text begins with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// These characters, wherever they stand; not empty.
    Literal(String),
    /// This control token.
    Token(TokenId),
}

/// Longest literal trigger in bytes: tags are far shorter, and each byte costs a few hundred.
const LONGEST_BYTES: usize = 256;

impl Trigger {
    pub(crate) fn check(&self, vocab: &Vocab) -> Result<(), Error> {
        match self {
            Self::Literal(text) if text.is_empty() => Err(Error::Trigger { problem: "it is empty".into() }),
            Self::Literal(text) if text.len() > LONGEST_BYTES => {
                Err(Error::Limit { what: "bytes of the trigger", found: text.len(), limit: LONGEST_BYTES })
            }
            // Free text may spell a text token, and would go on.
            Self::Token(id) if vocab.kind(*id) != TokenKind::Control => {
                Err(Error::Trigger { problem: format!("token {} is no control token", id.0) })
            }
            _ => Ok(()),
        }
    }

    /// The state of the grammar that begins in `start` behind the trigger; dead where it does not begin with it.
    pub(crate) fn behind(&self, automaton: &mut Automaton, start: StateId) -> Result<StateId, Stop> {
        match self {
            Self::Literal(text) => automaton.walk(start, text.as_bytes()),
            Self::Token(id) => automaton.take_token(start, *id, false, DEAD),
        }
    }

    /// Free text that goes on as `state` does once the trigger is complete.
    ///
    /// # Errors
    /// [`Error::Limit`].
    pub(crate) fn compile(&self, program: &mut Program, state: StateId) -> Result<PositionId, Error> {
        let resume = program.add(Position::Resume { state })?;
        match self {
            Self::Token(id) => {
                let free = program.reserve()?;
                let token = program.add(Position::Token { id: *id, negated: false, next: resume })?;
                let any = program.byte(byte_range(0, 0xFF), free)?;
                program.set_split(free, &[RETURN, token, any])?;
                Ok(free)
            }
            Self::Literal(text) => literal(text.as_bytes(), resume, program),
        }
    }
}

/// Any bytes that do not hold `trigger`, then `resume`: the automaton of Knuth, Morris and Pratt ("Fast pattern matching
/// in strings", 1977).
fn literal(trigger: &[u8], resume: PositionId, program: &mut Program) -> Result<PositionId, Error> {
    let free = trigger.iter().map(|_| program.reserve()).collect::<Result<Vec<_>, _>>()?;
    // How much of the trigger is matched behind each byte, where the text so far ends like `shorter`.
    let mut restart = [0; 256];
    let mut rows = Vec::with_capacity(trigger.len());
    for (matched, byte) in trigger.iter().enumerate() {
        let mut row = restart;
        let slot = &mut row[usize::from(*byte)];
        let shorter = if matched == 0 { 0 } else { *slot };
        *slot = matched + 1;
        rows.push(row);
        restart = rows[shorter];
    }
    for (position, row) in free.iter().zip(&rows) {
        let mut sets: Vec<(usize, ByteSet)> = Vec::new();
        for (byte, matched) in (0..=255_u8).zip(row) {
            let set = byte_range(byte, byte);
            match sets.iter_mut().find(|(known, _)| known == matched) {
                Some((_, known)) => unite(known, &set),
                None => sets.push((*matched, set)),
            }
        }
        let mut branches = vec![RETURN];
        for (matched, set) in sets {
            branches.push(program.byte(set, free.get(matched).copied().unwrap_or(resume))?);
        }
        program.set_split(*position, &branches)?;
    }
    Ok(free.first().copied().unwrap_or(resume))
}
