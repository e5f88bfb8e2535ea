//! `/forget`: what is to be forgotten leaves database, prompt, KV states, typed lines, logs and drafts.
//!
//! The files come first: a program that is killed on the way has said nothing yet, and the command can be given again.
//! Behind the rows only the purge is left, which the next start finishes where it fails.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::memory::{Forgotten, Purge, Wanted};
use crate::types::Draft;

use super::Error;
use super::agent::Agent;
use super::commands::fixed_context;

impl Agent {
    /// Deletes everything that holds `text` and says what that was. Where something went, now or in an earlier attempt
    /// that got no further than the rows, the file is purged and its copies go; else they are left and named.
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
        self.context = fixed_context(self.memory.view(), &self.settings, self.language)?;
        self.idle_events.clear();
        self.unstored.retain(|text| !wanted.is_in(text));
        let store = self.memory.store();
        let names = |copies: Vec<PathBuf>| copies.iter().filter_map(|copy| file_name(copy)).collect();
        if files.lines + files.drafts > 0 || store.is_pending(Purge::Database)? {
            let purged = store.delete_copies().and_then(|copies| store.purge().map(|()| copies));
            files.copies = names(purged.map_err(|source| Error::Purge { source })?);
        } else {
            files.kept_copies = names(store.copies()?);
        }
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
#[derive(Debug, Clone, Default)]
struct Files {
    lines: usize,
    drafts: usize,
    /// Names of the copies of the database that went.
    copies: Vec<String>,
    /// Names of those that stay: nobody has looked into them.
    kept_copies: Vec<String>,
}

fn file_name(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
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
        (files.lines, "line typed or logged", "lines typed or logged"),
        (files.drafts, "draft", "drafts"),
    ];
    let copies = (files.copies.len(), "copy of the database", "copies of the database");
    let told = |(count, one, many)| format!("{count} {}", if count == 1 { one } else { many });
    let mut parts: Vec<String> = counted.into_iter().filter(|(count, ..)| *count > 0).map(told).collect();
    let found_nothing = forgotten.is_nothing() && files.lines + files.drafts == 0;
    if !files.copies.is_empty() {
        parts.push(format!("{} ({})", told(copies), files.copies.join(", ")));
    }
    let mut text = if found_nothing {
        "Nothing was found that holds this text.".to_owned()
    } else {
        format!("Deleted for good: {}.", parts.join(", "))
    };
    if found_nothing && !files.copies.is_empty() {
        text.push_str(&format!(" What an earlier /forget had left over is deleted for good: {}.", parts.join(", ")));
    }
    if !files.kept_copies.is_empty() {
        let names = files.kept_copies.join(", ");
        text.push_str(&format!(" Copies of the database were not looked into, and stay: {names}."));
    }
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
        let copies = Files { copies: vec!["a.backup".to_owned(), "b.backup".to_owned()], ..Files::default() };
        let text = notice(&forgotten, &copies);
        assert!(text.contains("1 passage, 2 copies of the database (a.backup, b.backup)."), "{text}");
        let forgotten = Forgotten { sources: one("notes"), ..Default::default() };
        assert_eq!(
            notice(&Forgotten::default(), &copies),
            "Nothing was found that holds this text. What an earlier /forget had left over is deleted for good: \
             2 copies of the database (a.backup, b.backup)."
        );
        let kept = Files { kept_copies: one("a.backup"), ..Files::default() };
        let text = notice(&forgotten, &kept);
        assert!(text.starts_with("Nothing was found that holds this text. Copies of the database were not"), "{text}");
        assert!(text.contains("looked into, and stay: a.backup. It still stands in documents"), "{text}");
        assert!(text.contains("alone: notes. mneme delete source NAME"), "{text}");
        let forgotten = Forgotten { passages: 1, reloadable: one("notes"), ..Default::default() };
        let text = notice(&forgotten, &Files::default());
        assert!(text.starts_with("Deleted for good: 1 passage. Passages of notes went, but no file"), "{text}");
    }
}
