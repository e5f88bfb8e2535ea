//! `/forget`: what is to be forgotten leaves database, prompt, KV states, typed lines and logs.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::memory::{Forgotten, Wanted};

use super::Error;
use super::agent::Agent;

impl Agent {
    /// Deletes everything that holds `text` and says what that was. The file is purged in any case: an earlier attempt
    /// may have got no further than the rows.
    pub(super) fn forget(&mut self, text: &str) -> Result<String, Error> {
        let wanted = Wanted::new(text);
        let forgotten = self.memory.forget(&wanted)?;
        self.refresh_core()?;
        self.idle_events.clear();
        let mut lines = 0;
        for path in &self.settings.traces {
            lines += cut_lines(path, &wanted).map_err(|source| Error::Trace { path: path.clone(), source })?;
        }
        self.model.forget()?;
        let copies = self.memory.store().delete_copies()?.len();
        self.memory.store().purge()?;
        Ok(notice(&forgotten, lines, copies))
    }
}

/// What was deleted, in one sentence, and where the text still is, in another.
fn notice(forgotten: &Forgotten, lines: usize, copies: usize) -> String {
    let counted = [
        (forgotten.messages, "message", "messages"),
        (forgotten.passages, "passage", "passages"),
        (forgotten.core_lines, "line of core memory", "lines of core memory"),
        (forgotten.edits, "entry of its history", "entries of its history"),
        (forgotten.summaries, "part of a summary", "parts of summaries"),
        (forgotten.states, "part of a checkpoint", "parts of checkpoints"),
        (forgotten.others, "other record", "other records"),
        (lines, "line typed or logged", "lines typed or logged"),
        (copies, "copy of the database", "copies of the database"),
    ];
    let parts: Vec<String> = counted
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
        .collect();
    let mut text = if forgotten.is_nothing() && lines == 0 {
        "Nothing was found that holds this text.".to_owned()
    } else {
        format!("Deleted for good: {}.", parts.join(", "))
    };
    if !forgotten.elsewhere.is_empty() {
        text.push_str(&format!(" It still stands in what is not this agent's: {}.", forgotten.elsewhere.join(", ")));
    }
    text
}

/// Takes the lines that hold `wanted` out of a file, in place: a program that has it open goes on behind what is left.
/// Where the text stands across lines, nothing is left. Gives back how many lines went.
fn cut_lines(path: &Path, wanted: &Wanted) -> std::io::Result<usize> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let holds = |line: &[u8]| {
        let text = String::from_utf8_lossy(line);
        wanted.is_in(&text) || wanted.is_in(&unescaped(&text))
    };
    let kept: Vec<&[u8]> = lines.iter().copied().filter(|line| !holds(line)).collect();
    let rest = kept.concat();
    let (rest, cut) = if holds(&rest) { (Vec::new(), lines.len()) } else { (rest, lines.len() - kept.len()) };
    if cut > 0 {
        overwrite(&mut file, &rest)?;
    }
    Ok(cut)
}

fn overwrite(file: &mut File, rest: &[u8]) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(rest)?;
    file.set_len(rest.len() as u64)?;
    file.sync_all()
}

/// A line without the backslashes that files of lines need for line breaks and quotes.
fn unescaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, false) => text.push(character),
            (_, true) => match characters.next() {
                Some('n' | 'r' | 't') => text.push(' '),
                Some(other) => text.push(other),
                None => {}
            },
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_hold_the_text_leave_a_file_that_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "#V2\nMy Boat is blue\nhello\nmy\\nboat\nbye\n").unwrap();
        let mut open = OpenOptions::new().append(true).open(&path).unwrap();
        assert_eq!(cut_lines(&path, &Wanted::new("my boat")).unwrap(), 2);
        open.write_all(b"more\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "#V2\nhello\nbye\nmore\n");
        assert_eq!(cut_lines(&path, &Wanted::new("my boat")).unwrap(), 0);
        assert_eq!(cut_lines(&folder.path().join("none"), &Wanted::new("my boat")).unwrap(), 0);
    }

    #[test]
    fn a_text_across_lines_takes_the_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "prompt: my\nboat\nother\n").unwrap();
        assert_eq!(cut_lines(&path, &Wanted::new("my boat")).unwrap(), 3);
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn the_notice_counts_and_says_where_the_text_still_is() {
        let forgotten = Forgotten { messages: 2, passages: 1, elsewhere: vec!["bo".to_owned()], ..Default::default() };
        assert_eq!(
            notice(&forgotten, 1, 0),
            "Deleted for good: 2 messages, 1 passage, 1 line typed or logged. It still stands in what is not this \
             agent's: bo."
        );
        assert_eq!(notice(&Forgotten::default(), 0, 3), "Nothing was found that holds this text.");
    }
}
