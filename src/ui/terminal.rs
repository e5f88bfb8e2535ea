//! The chat on a terminal: a line editor between turns, a stream of pieces during one.
//!
//! Three threads: this one reads lines, another shows events (`screen`), the agent works on its own. What the agent does
//! in idle time is printed above the line that the user is typing. Ctrl-C during a turn stops the generation, at the
//! prompt it leaves.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustyline::error::ReadlineError;
use rustyline::{Cmd, Config, DefaultEditor, ExternalPrinter, KeyCode, KeyEvent, Modifiers};

use crate::kernel::{BlockLabel, Command, CommandError, Emitted, Handle, Outgoing, Request, Requests};
use crate::types::{Cancel, Cause, Draft, Event};

use super::editor::{self, Edited};
use super::screen::{GREETING, Screen};

/// Keys that `/help` names besides the commands.
const KEYS: &str = "Ctrl-C stops a reply, Ctrl-R searches what you typed before, Ctrl-D leaves. A message can have \
                    several lines: end a line with a backslash, press Alt-Enter or Ctrl-J, or paste them. A line that \
                    begins with a space is a message, also with a slash behind it.";

/// Before the first line of what the user types, and before its further lines.
const PROMPT: &str = "you> ";
const FURTHER_PROMPT: &str = "...> ";

/// What a line with an unknown command is told besides the list of commands.
const AS_MESSAGE: &str = "To send it as a message, put a space before it.";

/// What the terminal chat needs to know besides the kernel's handle.
#[derive(Debug)]
pub struct Options<'a> {
    /// The agent's name, shown before its replies.
    pub agent: &'a str,
    /// The user speaks first.
    pub first: bool,
    /// Show what each turn cost.
    pub show_costs: bool,
    /// File of typed lines.
    pub history: &'a Path,
    /// Folder of texts that are being edited.
    pub drafts: &'a Path,
    /// Stops the generation.
    pub cancel: &'a Cancel,
}

/// A terminal that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The line editor failed.
    #[error("the terminal cannot be read")]
    Editor(#[from] ReadlineError),
    /// Nothing can be written.
    #[error("the terminal cannot be written")]
    Output(#[from] std::io::Error),
    /// The agent's thread ended.
    #[error("the agent stopped unexpectedly")]
    AgentGone,
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Editor(_) | Self::Output(_) => "start it in a terminal, or use --jsonl",
            Self::AgentGone => "start it again with --debug and report what logs/mneme.log of the home says",
        }
    }
}

/// Runs the chat until `/exit`, Ctrl-D or Ctrl-C at the prompt. Gives back how many messages could not be stored.
///
/// # Errors
/// See [`Error`].
pub fn run(handle: Handle, options: &Options<'_>) -> Result<usize, Error> {
    // For the whole chat: between a reply and the next prompt, too, Enter must stay what the line editor takes for Enter.
    let quiet = Quiet::new();
    let mut editor = editor()?;
    // A history that cannot be read only lacks the lines of earlier days.
    let _ = editor.load_history(options.history);
    let Handle { requests, events } = handle;
    let prompt = &Prompt::new(&mut editor);
    let screen = &Mutex::new(Screen::new(options.agent, options.show_costs));
    let (done_sender, done) = channel();
    let chat = Chat { requests, done, prompt, screen, quiet };
    std::thread::scope(|scope| {
        let display = scope.spawn(move || display(&events, &done_sender, prompt, screen));
        let outcome = chat.talk(&mut editor, options);
        if outcome.is_err() {
            // The display ends with the agent, which need not finish what nobody will see.
            options.cancel.raise();
        }
        drop(chat);
        let unstored_messages = display.join();
        outcome?;
        unstored_messages.ok().flatten().ok_or(Error::AgentGone)
    })
}

fn editor() -> Result<DefaultEditor, ReadlineError> {
    let mut editor = DefaultEditor::with_config(Config::builder().auto_add_history(false).build())?;
    // Alt-Enter and Ctrl-J begin a new line of the same message.
    editor.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
    editor.bind_sequence(KeyEvent(KeyCode::Char('J'), Modifiers::CTRL), Cmd::Newline);
    Ok(editor)
}

/// Typed lines are as private as the conversation. They are appended: a file that is written anew is lost where the disk
/// is full.
fn save_history(editor: &mut DefaultEditor, path: &Path) {
    if editor.append_history(path).is_ok() {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600));
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Done {
    /// It was taken.
    #[default]
    Taken,
    /// Its message could not be stored.
    MessageNotStored,
    /// It was refused.
    Refused,
    /// The text of a block that is to be edited.
    Block(String),
}

/// The reading side.
struct Chat<'a> {
    requests: Requests,
    /// Says when a request is answered and everything of it is on the screen.
    done: Receiver<std::io::Result<Done>>,
    prompt: &'a Prompt,
    screen: &'a Mutex<Screen>,
    quiet: Quiet,
}

impl Chat<'_> {
    fn talk(&self, editor: &mut DefaultEditor, options: &Options<'_>) -> Result<(), Error> {
        self.await_done()?;
        if !options.first {
            self.ask(Request::Greet)?;
        }
        // A message that could not be stored stands in the line again: nobody has to type it twice.
        let mut unsaved = String::new();
        loop {
            let line = match self.prompt.read_all(editor, &std::mem::take(&mut unsaved)) {
                Ok(Some(line)) => line,
                Ok(None) => continue,
                // Nothing was typed: the history has no line of it.
                Err(ReadlineError::Interrupted | ReadlineError::Eof) => return self.ask(Request::Exit).map(drop),
                Err(error) => return Err(error.into()),
            };
            // Pressed while nothing was to be stopped, Ctrl-C is not for the request that comes.
            options.cancel.clear();
            let line = line.trim_end();
            if line.is_empty() {
                continue;
            }
            // What is to be forgotten must not be written down once more.
            let forgets = is_forget(line);
            if !forgets {
                let _ = editor.add_history_entry(line);
                save_history(editor, options.history);
            }
            if !line.starts_with('/') {
                if self.ask(Request::User { text: message_of(line).to_owned() })? == Done::MessageNotStored {
                    line.clone_into(&mut unsaved);
                }
                continue;
            }
            let command = Command::parse(line);
            if command == Ok(Command::Exit) {
                return self.ask(Request::Exit).map(drop);
            }
            if let Ok(Command::Core { label: Some(label), text: None }) = command {
                self.edit(label, options)?;
                continue;
            }
            self.ask(Request::Command { text: line.to_owned() })?;
            if forgets {
                // The lines that were taken out of the file leave the editor, too.
                let _ = editor.clear_history();
                let _ = editor.load_history(options.history);
            }
            match command {
                Ok(Command::Help) => self.tell(KEYS)?,
                Err(CommandError::Unknown { .. }) => self.tell(AS_MESSAGE)?,
                _ => {}
            }
        }
    }

    /// Lets the user edit a block of core memory. What is refused stays in a draft, from which the next editing goes on.
    fn edit(&self, label: BlockLabel, options: &Options<'_>) -> Result<(), Error> {
        let Done::Block(before) = self.ask(Request::Block { label })? else { return Ok(()) };
        let draft = Draft::new(options.drafts, options.agent, label.as_str(), &before);
        let edited = editor::notices(&draft, &before).and_then(|notices| {
            notices.iter().for_each(|notice| drop(self.tell(notice)));
            let _loud = self.quiet.lifted();
            editor::edit(&draft.path, &before)
        });
        match edited {
            Ok(Edited::Unchanged) => Ok(self.tell("Nothing was changed.")?),
            Ok(Edited::Changed(after)) => {
                if self.ask(Request::EditBlock { label, before, after })? == Done::Refused {
                    Ok(self.tell(&format!(
                        "What you wrote is kept: /core {label} opens it again, or names its file if the block has \
                         changed by then."
                    ))?)
                } else {
                    editor::discard(&draft.path);
                    Ok(())
                }
            }
            Err(error) => {
                let (message, hint) = (error.to_string(), error.hint());
                let event = Event::Error { message, hint, message_stored: None };
                Ok(lock(self.screen).show(&Emitted { cause: Cause::Command, seq: None, event })?)
            }
        }
    }

    /// Says something of the terminal's own.
    fn tell(&self, text: &str) -> std::io::Result<()> {
        let event = Event::Notice { text: text.to_owned() };
        lock(self.screen).show(&Emitted { cause: Cause::Command, seq: None, event })
    }

    /// Sends a request and waits until its events have been shown.
    fn ask(&self, request: Request) -> Result<Done, Error> {
        let what = what_is_waited_for(&request);
        {
            // Nothing of the answer is shown before the spinner, and that it can be stopped is said only once it can.
            let mut screen = lock(self.screen);
            if !self.requests.send(None, request) {
                return Err(Error::AgentGone);
            }
            screen.wait_for(what);
        }
        self.await_done()
    }

    fn await_done(&self) -> Result<Done, Error> {
        let outcome = self.done.recv();
        lock(self.screen).stop_spinning();
        Ok(outcome.map_err(|_| Error::AgentGone)??)
    }
}

/// Shows what the agent does, until it has left; gives back how many messages could not be stored, none where it has not
/// left by itself.
fn display(
    events: &Receiver<Outgoing>,
    done: &Sender<std::io::Result<Done>>,
    prompt: &Prompt,
    screen: &Mutex<Screen>,
) -> Option<usize> {
    let mut how = Done::Taken;
    for outgoing in events {
        if let Outgoing::Event(Emitted { cause, event, .. }) = &outgoing {
            match event {
                Event::Error { message_stored: Some(false), .. } => how = Done::MessageNotStored,
                Event::Error { .. } if *cause == Cause::Command => how = Done::Refused,
                Event::Block { text, .. } => how = Done::Block(text.clone()),
                _ => {}
            }
        }
        let outcome = match outgoing {
            Outgoing::Event(emitted) if prompt.is_open() => {
                prompt.print_above(lock(screen).rendered(&emitted));
                Ok(())
            }
            Outgoing::Event(emitted) => lock(screen).show(&emitted),
            Outgoing::PassesLeft(messages) => {
                lock(screen).wait_for_passes(messages);
                Ok(())
            }
            Outgoing::Done => {
                let _ = done.send(Ok(std::mem::take(&mut how)));
                Ok(())
            }
            Outgoing::Left { unstored_messages } => return Some(unstored_messages),
        };
        if let Err(error) = outcome {
            let _ = done.send(Err(error));
            return None;
        }
    }
    None
}

/// Whether a line asks to forget something, in whatever way it is written.
fn is_forget(line: &str) -> bool {
    line.split_whitespace().next().is_some_and(|name| name.eq_ignore_ascii_case("/forget"))
}

/// The message that a line is. The space that tells one with a slash at its beginning from a command is no part of it.
fn message_of(line: &str) -> &str {
    let text = line.trim_start();
    if text.starts_with('/') { text } else { line }
}

/// What the user waits for while `request` is answered.
fn what_is_waited_for(request: &Request) -> &'static str {
    const PASSES: &str = "noting what you said, Ctrl-C puts it off";
    const THINKING: &str = "thinking, Ctrl-C stops; what you type is read afterwards";
    const LOADING: &str = "loading the model, Ctrl-C stops";
    match request {
        Request::Exit | Request::Block { .. } => PASSES,
        Request::EditBlock { .. } => "one moment",
        Request::Command { text } => match Command::parse(text) {
            Ok(command) if command.needs_settled_memory() => PASSES,
            Ok(command) if command.interrupt().is_some() => THINKING,
            Ok(Command::Model { name: Some(_) }) => LOADING,
            Ok(_) | Err(_) => "one moment",
        },
        Request::Greet => GREETING,
        Request::User { .. } | Request::Unreadable { .. } => THINKING,
    }
}

fn lock(screen: &Mutex<Screen>) -> MutexGuard<'_, Screen> {
    // What is on a screen is no invariant that a panic could break.
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The line that the user is typing, and what is printed above it meanwhile.
struct Prompt {
    open: Arc<AtomicBool>,
    above: Sender<String>,
    /// What came while nothing could be printed above the line: on dumb terminals, or as the line ended.
    late: Arc<Mutex<Vec<String>>>,
}

impl Prompt {
    fn new(editor: &mut DefaultEditor) -> Self {
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

    fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    fn print_above(&self, text: String) {
        if !text.is_empty() {
            let _ = self.above.send(text);
        }
    }

    /// Reads a message or command, whose lines but the last end in a backslash; none where the user gave it up behind
    /// the first.
    fn read_all(&self, editor: &mut DefaultEditor, initial: &str) -> Result<Option<String>, ReadlineError> {
        let mut text = self.read(editor, PROMPT, initial)?;
        while goes_on(&text) {
            text.pop();
            match self.read(editor, FURTHER_PROMPT, "") {
                Ok(line) => {
                    text.push('\n');
                    text.push_str(&line);
                }
                Err(ReadlineError::Interrupted) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(text))
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

/// Keeps the terminal from showing what is typed while the agent speaks, and from taking Enter for a line feed: what is
/// typed ahead would stand in the middle of the reply, and begin a new line of the message instead of sending it. The
/// line editor, which sets its own modes on top of these, reads and shows it afterwards. Terminals on which it leaves
/// lines to the kernel are never quiet: there the kernel needs line feeds and shows what is typed.
struct Quiet {
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
}

impl Quiet {
    fn new() -> Self {
        let quiet = Self {
            #[cfg(unix)]
            before: if has_line_editor() { rustix::termios::tcgetattr(std::io::stdin()).ok() } else { None },
        };
        quiet.fall();
        quiet
    }

    /// Gives the terminal to another program, until what is given back is dropped.
    fn lifted(&self) -> Lifted<'_> {
        self.rise();
        Lifted(self)
    }

    #[cfg(unix)]
    fn fall(&self) {
        use rustix::termios::{InputModes, LocalModes};
        let Some(mut modes) = self.before.clone() else { return };
        modes.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
        // Ctrl-C stops the reply; lines that were typed ahead are not to be lost with it.
        modes.local_modes.insert(LocalModes::NOFLSH);
        modes.input_modes.remove(InputModes::ICRNL);
        set_modes(&modes);
    }

    #[cfg(unix)]
    fn rise(&self) {
        if let Some(before) = &self.before {
            set_modes(before);
        }
    }

    #[cfg(not(unix))]
    fn fall(&self) {}

    #[cfg(not(unix))]
    fn rise(&self) {}
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.rise();
    }
}

/// The terminal as it was found, see [`Quiet::lifted`].
struct Lifted<'a>(&'a Quiet);

impl Drop for Lifted<'_> {
    fn drop(&mut self) {
        self.0.fall();
    }
}

/// Whether lines are edited by the line editor, as against the kernel.
#[cfg(unix)]
fn has_line_editor() -> bool {
    !std::env::var("TERM").is_ok_and(|term| ["dumb", "cons25", "emacs"].contains(&term.as_str()))
}

#[cfg(unix)]
fn set_modes(modes: &rustix::termios::Termios) {
    // A terminal that is gone is noticed by whoever reads from it.
    let _ = rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, modes);
}

/// Gives the terminal back as it was found when a signal ends the program: nothing else runs then.
#[cfg(unix)]
pub fn restore_on_signals() {
    use signal_hook::consts::{SIGHUP, SIGQUIT, SIGTERM};
    use signal_hook::iterator::Signals;
    let Ok(before) = rustix::termios::tcgetattr(std::io::stdin()) else { return };
    let Ok(mut signals) = Signals::new([SIGHUP, SIGQUIT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            set_modes(&before);
            // Should it fail, there is nobody left to tell.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    });
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
