//! The chat on a terminal: a line editor between turns, a stream of pieces during one.
//!
//! The main thread reads lines and prints events; the agent works on its own thread. Thoughts, calls and results look
//! different from the reply. Ctrl-C during a turn stops the generation, at the prompt it leaves.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustyline::error::ReadlineError;
use rustyline::{Cmd, Config, DefaultEditor, KeyCode, KeyEvent, Modifiers};

use crate::kernel::{Command, Handle, Outgoing, Request};
use crate::types::{Cancel, Event, Status, StopReason, TurnReport};

use super::sanitize;

const NAME: Style = AnsiColor::Green.on_default().bold();
const THOUGHT: Style = Style::new().dimmed().italic();
const CALL: Style = AnsiColor::Cyan.on_default();
const FAILED: Style = AnsiColor::Red.on_default();
const NOTICE: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();

/// How often the spinner moves.
const SPINNER_TICK: Duration = Duration::from_millis(120);
/// Longest part of a call or result that is shown; the whole is in storage.
const MAX_SHOWN_CHARS: usize = 400;

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

/// Runs the chat until `/exit`, Ctrl-D or Ctrl-C at the prompt.
///
/// # Errors
/// See [`Error`].
pub fn run(handle: &Handle, options: &Options<'_>) -> Result<(), Error> {
    let mut editor = editor()?;
    // A history that cannot be read only lacks the lines of earlier days.
    let _ = editor.load_history(options.history);
    let mut screen = Screen::new(options);
    screen.await_ready(handle)?;
    if !options.first {
        screen.ask(handle, Request::Greet)?;
    }
    loop {
        options.cancel.clear();
        let line = match editor.readline("you> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => "/exit".to_owned(),
            Err(error) => return Err(error.into()),
        };
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        let _ = editor.add_history_entry(text);
        save_history(&mut editor, options.history);
        if Command::parse(text) == Ok(Command::Exit) {
            screen.ask(handle, Request::Exit)?;
            return Ok(());
        }
        let request = if text.starts_with('/') {
            Request::Command { text: text.to_owned() }
        } else {
            Request::User { text: line.trim_end().to_owned() }
        };
        screen.ask(handle, request)?;
    }
}

fn editor() -> Result<DefaultEditor, ReadlineError> {
    let mut editor = DefaultEditor::with_config(Config::builder().auto_add_history(false).build())?;
    // Alt-Enter and Ctrl-J begin a new line of the same message.
    editor.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
    editor.bind_sequence(KeyEvent(KeyCode::Char('J'), Modifiers::CTRL), Cmd::Newline);
    Ok(editor)
}

/// Typed lines are as private as the conversation.
fn save_history(editor: &mut DefaultEditor, path: &Path) {
    if editor.save_history(path).is_ok() {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600));
        }
    }
}

/// What is on the screen of the running turn.
struct Screen<'a> {
    options: &'a Options<'a>,
    spinner: Option<ProgressBar>,
    in_reply: bool,
}

impl<'a> Screen<'a> {
    fn new(options: &'a Options<'a>) -> Self {
        Self { options, spinner: None, in_reply: false }
    }

    fn await_ready(&mut self, handle: &Handle) -> Result<(), Error> {
        loop {
            match handle.events.recv().map_err(|_| Error::AgentGone)? {
                Outgoing::Event(emitted) => self.show(&emitted.event)?,
                Outgoing::Done | Outgoing::Left => return Ok(()),
            }
        }
    }

    /// Sends a request and shows its events until the kernel says that it is done.
    fn ask(&mut self, handle: &Handle, request: Request) -> Result<(), Error> {
        let leaving = request == Request::Exit;
        if !handle.requests.send(None, request) {
            return Err(Error::AgentGone);
        }
        self.spin();
        loop {
            match handle.events.recv() {
                Ok(Outgoing::Event(emitted)) => self.show(&emitted.event)?,
                Ok(Outgoing::Done | Outgoing::Left) => break,
                Err(_) if leaving => break,
                Err(_) => {
                    self.stop_spinning();
                    return Err(Error::AgentGone);
                }
            }
        }
        self.stop_spinning();
        Ok(())
    }

    fn show(&mut self, event: &Event) -> Result<(), Error> {
        self.stop_spinning();
        let mut out = anstream::stdout().lock();
        if self.in_reply && !matches!(event, Event::Delta { .. }) {
            self.in_reply = false;
            writeln!(out)?;
            if matches!(event, Event::Message { .. }) {
                return Ok(());
            }
        }
        match event {
            Event::Ready { agent, model, context_window, resumed, notices, .. } => {
                let how = if *resumed { "resumed" } else { "new" };
                writeln!(
                    out,
                    "{DIM}{} ({how}) on {}, window {context_window} tokens. /help lists the commands.{DIM:#}",
                    sanitize(agent),
                    sanitize(model)
                )?;
                for notice in notices {
                    writeln!(out, "{NOTICE}{}{NOTICE:#}", sanitize(notice))?;
                }
            }
            Event::Delta { text } => {
                if !self.in_reply {
                    self.in_reply = true;
                    write!(out, "{NAME}{}>{NAME:#} ", sanitize(self.options.agent))?;
                }
                write!(out, "{}", sanitize(text))?;
            }
            Event::Message { text } => {
                writeln!(out, "{NAME}{}>{NAME:#} {}", sanitize(self.options.agent), sanitize(text))?;
            }
            Event::Thought { text } => writeln!(out, "{THOUGHT}  ~ {}{THOUGHT:#}", sanitize(text))?,
            Event::Call { name, arguments } => {
                let arguments = serde_json::Value::Object(arguments.clone()).to_string();
                writeln!(out, "{CALL}  > {}{CALL:#} {DIM}{}{DIM:#}", sanitize(name), shorten(&arguments))?;
            }
            Event::Result { status, message, .. } => {
                let style = if *status == Status::Ok { DIM } else { FAILED };
                writeln!(out, "{style}  = {} {}{style:#}", status.as_str(), shorten(message))?;
            }
            Event::Memory { core, recall_count, archival_count } => {
                writeln!(out, "{CALL}persona{CALL:#}\n{}", sanitize(&core.persona))?;
                writeln!(out, "{CALL}human{CALL:#}\n{}", sanitize(&core.human))?;
                writeln!(
                    out,
                    "{DIM}{recall_count} messages in recall storage, {archival_count} passages in archival storage{DIM:#}"
                )?;
            }
            Event::Notice { text } => writeln!(out, "{NOTICE}{}{NOTICE:#}", sanitize(text))?,
            Event::Error { message, hint } => {
                writeln!(out, "{FAILED}error: {}{FAILED:#}", sanitize(message))?;
                if !hint.is_empty() {
                    writeln!(out, "  {}", sanitize(hint))?;
                }
            }
            Event::Turn(report) => show_end(&mut out, report, self.options.show_costs)?,
        }
        out.flush()?;
        drop(out);
        if !self.in_reply && matches!(event, Event::Thought { .. } | Event::Call { .. } | Event::Result { .. }) {
            self.spin();
        }
        Ok(())
    }

    fn spin(&mut self) {
        if !std::io::stderr().is_terminal() || self.spinner.is_some() {
            return;
        }
        let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} thinking, Ctrl-C stops") {
            spinner.set_style(style);
        }
        spinner.enable_steady_tick(SPINNER_TICK);
        self.spinner = Some(spinner);
    }

    fn stop_spinning(&mut self) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
    }
}

fn show_end(out: &mut impl Write, report: &TurnReport, show_costs: bool) -> Result<(), Error> {
    match report.stop_reason {
        StopReason::Interrupted => writeln!(out, "{NOTICE}stopped; what was written is kept{NOTICE:#}")?,
        StopReason::StepLimit => writeln!(out, "{NOTICE}the agent used up its steps without an answer{NOTICE:#}")?,
        StopReason::Answer | StopReason::Error => {}
    }
    if show_costs {
        writeln!(
            out,
            "{DIM}{} steps, {} tokens read ({} reused) in {} ms, {} sampled and {} forced in {} ms, grammar {} us{DIM:#}",
            report.steps,
            report.tokens_read,
            report.tokens_reused,
            report.read_ms,
            report.tokens_sampled,
            report.tokens_forced,
            report.decode_ms,
            report.mask_us
        )?;
    }
    Ok(())
}

fn shorten(text: &str) -> String {
    let flat = sanitize(text).replace('\n', " ");
    if flat.chars().count() <= MAX_SHOWN_CHARS {
        return flat;
    }
    flat.chars().take(MAX_SHOWN_CHARS).chain(" ...".chars()).collect()
}
