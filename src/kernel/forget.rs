//! `/forget`: what is to be forgotten leaves database, prompt, KV states, typed lines, logs and drafts.
//!
//! The files come first: a program that is killed on the way has said nothing yet, and the command can be given again.
//! Behind the rows only the purge is left, which the next start finishes where it fails.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::memory::{Forgotten, Wanted};
use crate::types::Draft;

use super::Error;
use super::agent::Agent;
use super::commands::fixed_context;

impl Agent {
    /// Deletes everything that holds `text` and says what that was. The file is purged in any case: an earlier attempt
    /// may have got no further than the rows.
    pub(super) fn forget(&mut self, text: &str) -> Result<String, Error> {
        let wanted = Wanted::new(text);
        let mut files = Files::default();
        for path in &self.settings.traces {
            files.lines += cut_lines(path, &wanted).map_err(|source| Error::Trace { path: path.clone(), source })?;
        }
        let others_drafts = self.forget_drafts(&wanted, &mut files)?;
        self.model.forget()?;
        let mut forgotten = self.memory.forget(&wanted)?;
        forgotten.agents.extend(others_drafts);
        forgotten.agents.sort();
        forgotten.agents.dedup();
        self.context = fixed_context(self.memory.view(), &self.settings)?;
        self.idle_events.clear();
        self.unstored.retain(|text| !wanted.is_in(text));
        let store = self.memory.store();
        let purged = store.delete_copies().and_then(|copies| store.purge().map(|()| copies.len()));
        files.copies = purged.map_err(|source| Error::Purge { source })?;
        Ok(notice(&forgotten, &files))
    }

    /// Deletes the agent's drafts that hold what is wanted, and all that editors left of its drafts, which may hold it in
    /// a form of their own. Those of an agent that is gone are anybody's. Gives back whose others hold it.
    fn forget_drafts(&self, wanted: &Wanted, files: &mut Files) -> Result<Vec<String>, Error> {
        let Some(home) = &self.settings.home else { return Ok(Vec::new()) };
        let failed = |path: &PathBuf| {
            let path = path.clone();
            move |source| Error::Trace { path, source }
        };
        let own_name = self.memory.view().info()?.name;
        let mut others = Vec::new();
        for draft in Draft::all(home).map_err(failed(home))? {
            let bytes = std::fs::read(&draft.path).map_err(failed(&draft.path))?;
            let holds = wanted.is_in(&String::from_utf8_lossy(&bytes));
            if draft.agent != own_name && self.memory.store().has_agent(&draft.agent)? {
                others.extend(holds.then_some(draft.agent));
            } else if holds || draft.is_left_over() {
                std::fs::remove_file(&draft.path).map_err(failed(&draft.path))?;
                files.drafts += 1;
            }
        }
        Ok(others)
    }
}

/// What left the files beside the rows.
#[derive(Debug, Clone, Copy, Default)]
struct Files {
    lines: usize,
    drafts: usize,
    copies: usize,
}

/// What was deleted, in one sentence, and where the text still is, in another.
fn notice(forgotten: &Forgotten, files: &Files) -> String {
    let counted = [
        (forgotten.messages, "message", "messages"),
        (forgotten.passages, "passage", "passages"),
        (forgotten.core_lines, "line of core memory", "lines of core memory"),
        (forgotten.instruction_lines, "line of the system instructions", "lines of the system instructions"),
        (forgotten.edits, "entry of its history", "entries of its history"),
        (forgotten.summaries, "part of a summary", "parts of summaries"),
        (forgotten.states, "part of a checkpoint", "parts of checkpoints"),
        (forgotten.others, "other record", "other records"),
        (files.lines, "line typed or logged", "lines typed or logged"),
        (files.drafts, "draft", "drafts"),
        (files.copies, "copy of the database", "copies of the database"),
    ];
    let parts: Vec<String> = counted
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
        .collect();
    let mut text = if forgotten.is_nothing() && files.lines + files.drafts == 0 {
        "Nothing was found that holds this text.".to_owned()
    } else {
        format!("Deleted for good: {}.", parts.join(", "))
    };
    if !forgotten.reloadable.is_empty() {
        let names = forgotten.reloadable.join(", ");
        text.push_str(&format!(
            " Passages of {names} went, but no file: mneme load brings them back as the files are."
        ));
    }
    if !forgotten.agents.is_empty() {
        text.push_str(&format!(" It still stands in what other agents have: {}.", forgotten.agents.join(", ")));
    }
    if !forgotten.sources.is_empty() {
        text.push_str(&format!(
            " It still stands in documents that are not this agent's alone: {}. mneme delete source NAME forgets all of \
             one; mneme load takes up what you have changed in its files.",
            forgotten.sources.join(", ")
        ));
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
        let one = |name: &str| vec![name.to_owned()];
        let forgotten = Forgotten { messages: 2, passages: 1, agents: one("bo"), ..Default::default() };
        let files = Files { lines: 1, ..Files::default() };
        assert_eq!(
            notice(&forgotten, &files),
            "Deleted for good: 2 messages, 1 passage, 1 line typed or logged. It still stands in what other agents have: \
             bo."
        );
        let forgotten = Forgotten { sources: one("notes"), ..Default::default() };
        let text = notice(&forgotten, &Files { copies: 3, ..Files::default() });
        assert!(text.starts_with("Nothing was found that holds this text. It still stands in documents"), "{text}");
        assert!(text.contains("alone: notes. mneme delete source NAME"), "{text}");
        let forgotten = Forgotten { passages: 1, reloadable: one("notes"), ..Default::default() };
        let text = notice(&forgotten, &Files::default());
        assert!(text.starts_with("Deleted for good: 1 passage. Passages of notes went, but no file"), "{text}");
    }
}
