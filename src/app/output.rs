//! Data on standard output: exact where a file or a program takes it, without steering characters on a terminal.

use std::fmt::Arguments;
use std::io::{IsTerminal, Stdout, Write};

use anstream::AutoStream;

use super::Error;
use crate::ui::{columns_of, sanitize, spell_out, wrapped};

/// Standard output for `write!` and `writeln!`. Its failures are its own: those of other files have other names.
pub(super) struct Output(AutoStream<Stdout>);

/// Standard output, with colours where it takes them.
pub(super) fn stdout() -> Output {
    Output(anstream::stdout())
}

impl Output {
    /// What `write!` calls.
    ///
    /// # Errors
    /// Standard output is gone or full.
    pub(super) fn write_fmt(&mut self, arguments: Arguments<'_>) -> Result<(), Error> {
        self.0.write_fmt(arguments).map_err(Error::Output)
    }

    /// Writes what is held back, such as a line that has no end yet.
    ///
    /// # Errors
    /// Standard output is gone or full.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.0.flush().map_err(Error::Output)
    }
}

/// Writes `text` and flushes.
///
/// # Errors
/// Standard output is gone or full.
pub(super) fn print_text(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let written = match out.is_terminal() {
        true => out.write_all(sanitize(text).as_bytes()),
        false => out.write_all(text.as_bytes()),
    };
    written.and_then(|()| out.flush()).map_err(Error::Output)
}

/// Writes a value as JSON.
///
/// # Errors
/// Standard output is gone or full.
pub(super) fn print_json(value: &serde_json::Value) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let written = serde_json::to_writer_pretty(&mut out, value).map_err(std::io::Error::from);
    written.and_then(|()| writeln!(out)).map_err(Error::Output)
}

/// Says something on standard error, on lines that fit the terminal. Steering characters are spelled: an error quotes
/// them.
pub(super) fn tell(text: &str) {
    anstream::eprintln!("{}", wrapped(&spell_out(text), columns_of(std::io::stderr()), 0, 0));
}

/// The same for lines that belong to what was said before: each is indented.
pub(super) fn tell_below(text: &str) {
    for line in spell_out(text).lines() {
        anstream::eprintln!("  {}", wrapped(line, columns_of(std::io::stderr()), 2, 2));
    }
}

/// Makes text of bytes that come in pieces: a character is given out when it is whole.
#[derive(Debug, Default)]
pub(super) struct WholeCharacters {
    pending: Vec<u8>,
}

impl WholeCharacters {
    /// Takes the next bytes and gives back what is whole. Bytes that can be no character are replaced.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut open = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            open = chunk.invalid().len();
            if open > 0 {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        let start = self.pending.len() - open;
        let tail = self.pending.split_off(start);
        let may_go_on = std::str::from_utf8(&tail).is_err_and(|error| error.error_len().is_none());
        self.pending.clear();
        if may_go_on {
            text.pop();
            self.pending = tail;
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_come_out_when_they_are_whole() {
        let mut characters = WholeCharacters::default();
        assert_eq!(characters.push(b"a\xC3"), "a");
        assert_eq!(characters.push(b"\xA9b\xF0\x9F"), "éb");
        assert_eq!(characters.push(b"\x99\x82"), "🙂");
        assert_eq!(characters.push(b"\xFFc\xE2"), "\u{FFFD}c");
        assert_eq!(characters.push(b"d"), "\u{FFFD}d");
    }
}
