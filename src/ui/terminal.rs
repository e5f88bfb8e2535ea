//! The chat on a terminal: a line editor between turns, a stream of pieces during one.
//!
//! Three threads: this one reads lines, another shows events (`screen`), the agent works on its own. What the agent does
//! in idle time is printed above the line that the user is typing. Ctrl-C during a turn stops the generation, at the
//! prompt it leaves.

use std::cell::Cell;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use crate::kernel::{BlockLabel, Busy, Command, CommandError, Emitted, Handle, Outgoing, Request, Requests};
use crate::types::{Cancel, Cause, Draft, Event};

use super::editor::{self, Edited};
use super::prompt::{Prompt, editor, is_command, save_history};
use super::screen::{GREETING, Screen};

/// Keys that `/help` names besides the commands.
const KEYS: &str = "Ctrl-C stops a reply, Ctrl-R searches what you typed before, Ctrl-D leaves. A message can have \
                    several lines: end a line with a backslash, press Alt-Enter or Ctrl-J, paste them, or begin with \
                    // to send each message by an empty line. A line that begins with a space is a message, also with \
                    a slash or ! behind it.";

/// What an empty line is told.
const NOTHING_TYPED: &str = "Nothing was typed: type a message, or /help.";
/// What `//` is told.
const MANY_LINES: &str = "Messages have several lines now: an empty line sends one, // goes back.";
const ONE_LINE: &str = "Messages are sent by Enter again.";

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
    let Handle { requests, events } = handle;
    let mut editor = editor()?;
    // A history that cannot be read only lacks the lines of earlier days.
    let _ = editor.load_history(options.history);
    let prompt = &Prompt::new(&mut editor);
    let screen = &Mutex::new(Screen::new(options.agent, options.show_costs));
    let (done_sender, done) = channel();
    let chat = Chat { requests, done, prompt, screen, quiet, many_lines: Cell::new(false) };
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
    /// Messages have several lines, see `//`.
    many_lines: Cell<bool>,
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
            let initial = std::mem::take(&mut unsaved);
            let line = match self.prompt.read_all(editor, &initial, self.many_lines.get()) {
                Ok(Some(line)) => line,
                Ok(None) => continue,
                // Nothing was typed: the history has no line of it.
                Err(ReadlineError::Interrupted | ReadlineError::Eof) => return self.ask(Request::Exit).map(drop),
                Err(error) => return Err(error.into()),
            };
            // Pressed while nothing was to be stopped, Ctrl-C is not for the request that comes.
            options.cancel.clear();
            let line = line.trim_end();
            if line.trim().is_empty() {
                self.tell(NOTHING_TYPED)?;
                continue;
            }
            // What is to be forgotten must not be written down once more.
            let forgets = is_forget(line);
            if !forgets {
                let _ = editor.add_history_entry(line);
                save_history(editor, options.history);
            }
            if !is_command(line) {
                if self.ask(Request::User { text: message_of(line).to_owned() })? == Done::MessageNotStored {
                    line.clone_into(&mut unsaved);
                }
                continue;
            }
            let command = Command::parse(line);
            match &command {
                Ok(Command::Exit) => return self.ask(Request::Exit).map(drop),
                Ok(Command::Core { label: Some(label), text: None }) => {
                    self.edit(*label, options)?;
                    continue;
                }
                Ok(Command::ManyLines) => {
                    self.many_lines.set(!self.many_lines.get());
                    self.tell(if self.many_lines.get() { MANY_LINES } else { ONE_LINE })?;
                    continue;
                }
                Ok(Command::SystemSwap { text: Some(text) }) if !self.wants_swap(editor, text)? => continue,
                _ => {}
            }
            self.ask(Request::Command { text: line.to_owned() })?;
            if forgets {
                // The lines that were taken out of the file leave the editor, too.
                let _ = editor.clear_history();
                let _ = editor.load_history(options.history);
            }
            match command {
                Ok(Command::Help) => self.tell(KEYS)?,
                Err(CommandError::Unknown { .. } | CommandError::Exclamation) => self.tell(AS_MESSAGE)?,
                _ => {}
            }
        }
    }

    /// Shows the system instructions that hold and those that are to hold; whether the user wants that.
    fn wants_swap(&self, editor: &mut DefaultEditor, text: &str) -> Result<bool, Error> {
        if self.ask(Request::Swap { text: text.to_owned() })? == Done::Refused {
            return Ok(false);
        }
        let wanted = self.prompt.confirm(editor, "Swap the system instructions?")?;
        if !wanted {
            self.tell("Nothing was changed.")?;
        }
        Ok(wanted)
    }

    /// Lets the user edit a block of core memory. What is refused stays in a draft, from which the next editing goes on.
    fn edit(&self, label: BlockLabel, options: &Options<'_>) -> Result<(), Error> {
        // From before the text is read until what became of it is stored.
        let _busy = Editing::begin(&self.requests);
        let Done::Block(before) = self.ask(Request::Block { label })? else { return Ok(()) };
        let draft = Draft::new(options.drafts, options.agent, label.as_str(), &before);
        let edited = editor::notices(&draft, &before).and_then(|notices| {
            notices.iter().for_each(|notice| drop(self.tell(notice)));
            let _loud = self.quiet.lifted();
            editor::edit(&draft.path, &before)
        });
        // Pressed in the editor, Ctrl-C was not for the request that comes.
        options.cancel.clear();
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

/// While it lives, the agent does nothing by itself, and Ctrl-C does not leave the program.
struct Editing(Busy);

impl Editing {
    fn begin(requests: &Requests) -> Self {
        let busy = requests.busy();
        busy.set_editing(true);
        Self(busy)
    }
}

impl Drop for Editing {
    fn drop(&mut self) {
        self.0.set_editing(false);
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

/// The message that a line is. The space that tells one with a slash or ! at its beginning from a command is no part of it.
fn message_of(line: &str) -> &str {
    let text = line.trim_start();
    if is_command(text) { text } else { line }
}

/// What the user waits for while `request` is answered.
fn what_is_waited_for(request: &Request) -> &'static str {
    const PASSES: &str = "noting what you said, Ctrl-C puts it off";
    const THINKING: &str = "thinking, Ctrl-C stops; what you type is read afterwards";
    const LOADING: &str = "loading the model, Ctrl-C stops";
    match request {
        Request::Exit | Request::Block { .. } => PASSES,
        Request::EditBlock { .. } | Request::Swap { .. } => "one moment",
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
