//! The line that the user is typing: the line editor, messages of several lines, and what is printed above the line.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use rustyline::error::ReadlineError;
use rustyline::{Cmd, Config, DefaultEditor, ExternalPrinter, KeyCode, KeyEvent, Modifiers};

/// Before the first line of what the user types, and before its further lines.
const PROMPT: &str = "you> ";
const FURTHER_PROMPT: &str = "...> ";

pub(super) fn editor() -> Result<DefaultEditor, ReadlineError> {
    let mut editor = DefaultEditor::with_config(Config::builder().auto_add_history(false).build())?;
    // Alt-Enter and Ctrl-J begin a new line of the same message.
    editor.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
    editor.bind_sequence(KeyEvent(KeyCode::Char('J'), Modifiers::CTRL), Cmd::Newline);
    Ok(editor)
}

/// Typed lines are as private as the conversation. They are appended: a file that is written anew is lost where the disk
/// is full.
pub(super) fn save_history(editor: &mut DefaultEditor, path: &Path) {
    if editor.append_history(path).is_ok() {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600));
        }
    }
}

/// The line that the user is typing, and what is printed above it meanwhile.
pub(super) struct Prompt {
    open: Arc<AtomicBool>,
    above: Sender<String>,
    /// What came while nothing could be printed above the line: on dumb terminals, or as the line ended.
    late: Arc<Mutex<Vec<String>>>,
}

impl Prompt {
    pub(super) fn new(editor: &mut DefaultEditor) -> Self {
        let open = Arc::new(AtomicBool::new(false));
        let late = Arc::new(Mutex::new(Vec::new()));
        let (above, texts) = channel::<String>();
        let printer = editor.create_external_printer().ok();
        // A thread of its own, which nobody waits for: the printer blocks where a line ends before the editor has
        // taken what was printed, until the next line begins.
        std::thread::spawn({
            let (open, late) = (Arc::clone(&open), Arc::clone(&late));
            move || print_texts(&texts, printer, &open, &late)
        });
        Self { open, above, late }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    pub(super) fn print_above(&self, text: String) {
        if !text.is_empty() {
            let _ = self.above.send(text);
        }
    }

    /// Reads a message or command, whose lines but the last end in a backslash; none where the user gave it up behind
    /// the first. Where messages have `many_lines`, each goes on until an empty one; commands are lines by themselves.
    pub(super) fn read_all(
        &self,
        editor: &mut DefaultEditor,
        initial: &str,
        many_lines: bool,
    ) -> Result<Option<String>, ReadlineError> {
        let mut text = self.read(editor, PROMPT, initial)?;
        let until_empty = many_lines && !text.trim().is_empty() && !is_command(&text);
        while until_empty || goes_on(&text) {
            if goes_on(&text) {
                text.pop();
            }
            match self.read(editor, FURTHER_PROMPT, "") {
                Ok(line) if until_empty && line.trim().is_empty() => break,
                Ok(line) => {
                    text.push('\n');
                    text.push_str(&line);
                }
                Err(ReadlineError::Interrupted) => return Ok(None),
                // What was typed is sent; the next reading finds the end again.
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Some(text))
    }

    /// Reads the answer to a question; anything but yes is no.
    pub(super) fn confirm(&self, editor: &mut DefaultEditor, question: &str) -> Result<bool, ReadlineError> {
        match self.read(editor, &format!("{question} [y/N] "), "") {
            Ok(line) => Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")),
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads a line that begins as `initial`.
    fn read(&self, editor: &mut DefaultEditor, prompt: &str, initial: &str) -> Result<String, ReadlineError> {
        for text in std::mem::take(&mut *self.late.lock().unwrap_or_else(PoisonError::into_inner)) {
            anstream::print!("{text}");
        }
        self.open.store(true, Ordering::SeqCst);
        let line = editor.readline_with_initial(prompt, (initial, ""));
        self.open.store(false, Ordering::SeqCst);
        line
    }
}

/// Whether a line is a command, or meant as one.
pub(super) fn is_command(line: &str) -> bool {
    line.starts_with(['/', '!'])
}

/// Whether another line follows: a backslash stands at the end. Two of them are two characters of the text.
fn goes_on(text: &str) -> bool {
    text.len().saturating_sub(text.trim_end_matches('\\').len()) % 2 == 1
}

fn print_texts(
    texts: &Receiver<String>,
    mut printer: Option<impl ExternalPrinter>,
    open: &AtomicBool,
    late: &Mutex<Vec<String>>,
) {
    for text in texts {
        let printed = match &mut printer {
            Some(printer) if open.load(Ordering::SeqCst) => printer.print(text.clone()).is_ok(),
            _ => false,
        };
        if !printed {
            late.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_backslash_at_the_end_begins_another_line_and_two_do_not() {
        for (text, more) in [("a\\", true), ("a\\\\", false), ("a", false), ("", false), ("\\", true), ("a\\ ", false)]
        {
            assert_eq!(goes_on(text), more, "{text:?}");
        }
    }
}
