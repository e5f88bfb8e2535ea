//! What a reader has found so far, held to the limit on text.

use super::error::Error;
use super::limits::Limits;
use crate::types::{Piece, Place};

/// Pieces in the making. Text loses characters that mean nothing in it: control characters, soft hyphens, and the
/// ligatures of typesetting, by which no word would be found.
#[derive(Debug)]
pub(super) struct Collector {
    pieces: Vec<Piece>,
    text_bytes: u64,
    limit_bytes: u64,
}

impl Collector {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { pieces: Vec::new(), text_bytes: 0, limit_bytes: limits.text_bytes }
    }

    /// Adds a text; one without any word is left out.
    pub(super) fn push(&mut self, place: Place, text: &str) -> Result<(), Error> {
        self.text_bytes = self.text_bytes.saturating_add(text.len() as u64);
        if self.text_bytes > self.limit_bytes {
            return Err(Error::TooMuchText { limit_bytes: self.limit_bytes });
        }
        let text = clean(text);
        if !text.trim().is_empty() {
            self.pieces.push(Piece { place, text });
        }
        Ok(())
    }

    /// How much text may still come.
    pub(super) const fn room(&self) -> Room {
        Room { left_bytes: self.limit_bytes.saturating_sub(self.text_bytes), limit_bytes: self.limit_bytes }
    }

    pub(super) fn into_pieces(self) -> Vec<Piece> {
        self.pieces
    }
}

/// Room for a text that is made piece by piece before it is added: what a small document expands to is refused while it
/// grows.
#[derive(Debug)]
pub(super) struct Room {
    left_bytes: u64,
    limit_bytes: u64,
}

impl Room {
    /// Takes room for so many bytes.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Error> {
        let left = self.left_bytes.checked_sub(bytes as u64);
        self.left_bytes = left.ok_or(Error::TooMuchText { limit_bytes: self.limit_bytes })?;
        Ok(())
    }
}

fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(character) = chars.next() {
        match character {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' => out.push('\n'),
            '\n' | '\t' => out.push(character),
            '\u{c}' => out.push(' '),
            '\u{fb00}' => out.push_str("ff"),
            '\u{fb01}' => out.push_str("fi"),
            '\u{fb02}' => out.push_str("fl"),
            '\u{fb03}' => out.push_str("ffi"),
            '\u{fb04}' => out.push_str("ffl"),
            '\u{fb05}' | '\u{fb06}' => out.push_str("st"),
            '\u{ad}' | '\u{feff}' => {}
            _ if character.is_control() => {}
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cleaned_and_its_lines_stay() {
        assert_eq!(clean("a\r\nof\u{ad}\u{fb01}ce\u{0}\r\u{1b}[1mb\u{85}"), "a\noffice\n[1mb");
    }

    #[test]
    fn more_text_than_the_limit_is_refused() {
        let mut collector = Collector::new(&Limits { text_bytes: 5, ..Limits::default() });
        collector.push(Place::default(), "abc").unwrap();
        assert!(matches!(collector.push(Place::default(), "def"), Err(Error::TooMuchText { limit_bytes: 5 })));
    }
}
