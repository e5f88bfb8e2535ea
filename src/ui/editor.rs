//! A text in the user's own editor: a block of core memory, the settings. The text lies in a private file only while it is edited, and longer where what was
//! written could not be taken: nothing that was typed is lost. What was written of another beginning is never put in the
//! place of the present text: it is named, and stays.

use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::types::{Draft, open_private_file};

/// Where neither `VISUAL` nor `EDITOR` names one.
#[cfg(unix)]
const DEFAULT_EDITOR: &str = "vi";
#[cfg(not(unix))]
const DEFAULT_EDITOR: &str = "notepad";

/// Longest text that is read back, in bytes; blocks are far smaller.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// How an editing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Edited {
    /// With the text that was there.
    Unchanged,
    /// With another one.
    Changed(String),
}

/// A text cannot be edited.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of the text cannot be written or read.
    #[error("cannot use the file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no such editor.
    #[error("the editor {editor} cannot be started: {source}")]
    NoEditor {
        /// What was called.
        editor: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The editor says that it failed.
    #[error("the editor {editor} ended with {status}; nothing was changed")]
    Failed {
        /// What was called.
        editor: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
}

impl Error {
    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::File { .. } => "check the home folder and the file's encoding (UTF-8)".to_owned(),
            Self::NoEditor { .. } | Self::Failed { .. } => {
                "name your editor in VISUAL or EDITOR, or give the text with the command".to_owned()
            }
        }
    }
}

/// What is told where an editor opens on what was written before.
pub(crate) const OPENED_AGAIN: &str = "The editor opens what you wrote before, which was not taken over.";

/// Whether `draft` holds another text than `before`: what an earlier editing has left.
///
/// # Errors
/// It cannot be read.
pub(crate) fn is_begun(draft: &Path, before: &str) -> Result<bool, Error> {
    let is_other = |text: String| text != before.trim();
    match draft.exists() {
        true => text_of(draft).map(is_other).map_err(|source| Error::File { path: draft.to_owned(), source }),
        false => Ok(false),
    }
}

/// What the user should know before the editor opens: that `draft` holds something from an earlier editing, and where
/// drafts lie that began with another text than `before`. Those in which nothing was written are deleted.
///
/// # Errors
/// The folder or a draft cannot be read.
pub(super) fn notices(draft: &Draft, before: &str) -> Result<Vec<String>, Error> {
    let failed = |path: &Path, source| Error::File { path: path.to_owned(), source };
    let mut notices = Vec::new();
    if is_begun(&draft.path, before)? {
        notices.push(OPENED_AGAIN.to_owned());
    }
    for older in draft.older().map_err(|source| failed(&draft.path, source))? {
        if older.began_with(&text_of(&older.path).map_err(|source| failed(&older.path, source))?) {
            discard(&older.path);
            continue;
        }
        notices.push(format!(
            "What you wrote before {} was changed otherwise is kept in {}; delete that file when you are done with it.",
            older.label,
            older.path.display()
        ));
    }
    Ok(notices)
}

/// Lets the user edit `before` in the file `draft`; what an earlier editing has left there comes first. The file stays
/// where it differs from `before`.
///
/// # Errors
/// See [`Error`]; nothing that was written is lost.
pub(crate) fn edit(draft: &Path, before: &str) -> Result<Edited, Error> {
    let failed = |source| Error::File { path: draft.to_owned(), source };
    if !draft.exists() {
        let mut file = open_private_file(draft).map_err(failed)?;
        file.write_all(before.as_bytes()).map_err(failed)?;
        if !before.is_empty() {
            file.write_all(b"\n").map_err(failed)?;
        }
    }
    let ran = run_editor(draft);
    let text = text_of(draft).map_err(failed)?;
    let is_unchanged = text == before.trim();
    if is_unchanged {
        discard(draft);
    }
    ran?;
    Ok(if is_unchanged { Edited::Unchanged } else { Edited::Changed(text) })
}

/// Deletes a draft that is not needed any more.
pub(crate) fn discard(draft: &Path) {
    // One that stays is opened again, with nothing lost but the surprise.
    let _ = std::fs::remove_file(draft);
}

fn text_of(draft: &Path) -> std::io::Result<String> {
    // Editors may have put another file in its place, with other permissions.
    let mut file = open_private_file(draft)?;
    file.rewind()?;
    let mut text = String::new();
    file.take(MAX_TEXT_BYTES).read_to_string(&mut text)?;
    Ok(text.replace("\r\n", "\n").trim().to_owned())
}

fn run_editor(draft: &Path) -> Result<(), Error> {
    let named = |variable| std::env::var(variable).ok().filter(|editor: &String| !editor.trim().is_empty());
    let editor = named("VISUAL").or_else(|| named("EDITOR")).unwrap_or_else(|| DEFAULT_EDITOR.to_owned());
    let status =
        command(&editor, draft).status().map_err(|source| Error::NoEditor { editor: editor.clone(), source })?;
    if status.success() { Ok(()) } else { Err(Error::Failed { editor, status }) }
}

/// `EDITOR` may hold arguments and quotes, as the shell reads them. Ctrl-C is the editor's, not the shell's between.
#[cfg(unix)]
fn command(editor: &str, draft: &Path) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("trap : INT; {editor} \"$1\"")).arg("sh").arg(draft);
    command
}

#[cfg(not(unix))]
fn command(editor: &str, draft: &Path) -> Command {
    let mut command = Command::new(editor);
    command.arg(draft);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(home: &Path, before: &str) -> Draft {
        Draft::new(home, "a", "human", before)
    }

    #[test]
    fn a_draft_is_announced_and_one_of_an_older_text_is_named_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        let (old, now) = (draft(home, "Old text."), draft(home, "New text."));
        assert_eq!(notices(&now, "New text.").unwrap(), Vec::<String>::new());
        std::fs::write(&now.path, "New text.\n").unwrap();
        assert_eq!(notices(&now, "New text.").unwrap(), Vec::<String>::new(), "nothing was written");
        std::fs::write(&now.path, "New text.\nAnd mine.\n").unwrap();
        std::fs::write(&old.path, "Old text.\nAnd mine.\n").unwrap();
        let told = notices(&now, "New text.").unwrap();
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("opens what you wrote before"), "{told:?}");
        assert!(told[1].contains(&old.path.display().to_string()), "{told:?}");
        assert_eq!(std::fs::read_to_string(&old.path).unwrap(), "Old text.\nAnd mine.\n");
    }

    #[test]
    fn a_draft_in_which_nothing_was_written_goes_without_a_word() {
        let folder = tempfile::tempdir().unwrap();
        let old = draft(folder.path(), "Old text.");
        std::fs::write(&old.path, "Old text.\n").unwrap();
        assert_eq!(notices(&draft(folder.path(), "New text."), "New text.").unwrap(), Vec::<String>::new());
        assert!(!old.path.exists());
    }
}
