//! What the terminal chat shows: replies as they stream, thoughts, calls and results apart from them, a spinner while
//! nothing comes. Everything is sanitised, and no word is cut at the edge.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr;

use crate::kernel::Emitted;
use crate::types::{Cause, CoreMemoryEdit, Event, RecallCounts, ShownPassage, Status, StopReason, TurnReport};

use super::sanitize;
use super::wrap::{Wrap, columns_of, wrapped};

const NAME: Style = AnsiColor::Green.on_default().bold();
const THOUGHT: Style = Style::new().dimmed().italic();
const CALL: Style = AnsiColor::Cyan.on_default();
const FAILED: Style = AnsiColor::Red.on_default();
const ADDED: Style = AnsiColor::Green.on_default();
const NOTICE: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();

/// How often the spinner moves.
const SPINNER_TICK: Duration = Duration::from_millis(120);
/// Longest part of a call or result that is shown; the whole is in storage.
const MAX_SHOWN_CHARS: usize = 400;
/// What the user waits for where the agent speaks first.
pub(super) const GREETING: &str = "reading its memory before it greets, Ctrl-C skips this";
/// Columns before a thought, call or result, and before their further lines.
const INDENT_COLUMNS: usize = 4;

/// What is on the screen of the running turn.
pub(super) struct Screen {
    agent: String,
    show_costs: bool,
    /// What the user waits for, with what Ctrl-C does to it.
    waiting_for: String,
    /// Since when.
    waiting_since: Instant,
    spinner: Option<ProgressBar>,
    /// The reply that is being shown.
    reply: Option<Wrap>,
    /// Whether something of the running turn has been shown: then a stop keeps it.
    wrote: bool,
    /// The user waits for the greeting.
    greets: bool,
    /// A reply grows that is shown as a whole when it is complete: pieces of it would tear the line that is being typed.
    is_beside: bool,
    /// A call of a memory pass whose result is still to come.
    note: Option<(String, Map<String, Value>)>,
}

impl Screen {
    pub(super) fn new(agent: &str, show_costs: bool) -> Self {
        Self {
            agent: sanitize(agent),
            show_costs,
            waiting_for: String::new(),
            waiting_since: Instant::now(),
            spinner: None,
            reply: None,
            wrote: false,
            greets: false,
            is_beside: false,
            note: None,
        }
    }

    /// Shows an event on standard output.
    ///
    /// # Errors
    /// Standard output is gone.
    pub(super) fn show(&mut self, Emitted { cause, event, .. }: &Emitted) -> std::io::Result<()> {
        self.stop_spinning();
        let mut out = anstream::stdout().lock();
        let columns = columns_of(std::io::stdout());
        match event {
            // The user has pressed Enter while it grew.
            Event::Delta { .. } if self.is_beside => {}
            Event::Delta { text } => {
                self.wrote = true;
                if self.reply.is_none() {
                    write!(out, "{}", self.speaker())?;
                }
                let reply = self.reply.get_or_insert_with(|| Wrap::behind(self.agent.width() + 2, 0));
                write!(out, "{}", reply.push(&sanitize(text), columns))?;
            }
            _ => {
                self.is_beside = false;
                let streamed = self.reply.take().map(|mut reply| reply.finish(columns));
                if let Some(rest) = &streamed {
                    writeln!(out, "{rest}")?;
                }
                if streamed.is_none() || !matches!(event, Event::Message { .. }) {
                    self.write(&mut out, *cause, event, columns)?;
                }
            }
        }
        out.flush()?;
        drop(out);
        // A notice of a turn is followed by more of it.
        let goes_on = match event {
            Event::Thought { .. } | Event::Call { .. } | Event::Result { .. } => true,
            Event::Notice { .. } => *cause == Cause::User,
            _ => false,
        };
        if goes_on {
            self.spin();
        }
        Ok(())
    }

    /// An event as it is shown beside a turn, coloured where standard output is; empty where nothing is to be shown.
    pub(super) fn rendered(&mut self, Emitted { cause, event, .. }: &Emitted) -> String {
        let choice = anstream::AutoStream::choice(&std::io::stdout());
        let mut out = anstream::AutoStream::new(Vec::new(), choice);
        self.is_beside = matches!(event, Event::Delta { .. });
        if self.is_beside {
            return String::new();
        }
        // Nothing fails that is written to memory.
        let _ = self.write(&mut out, *cause, event, columns_of(std::io::stdout()));
        String::from_utf8_lossy(&out.into_inner()).into_owned()
    }

    fn speaker(&self) -> String {
        format!("{NAME}{}>{NAME:#} ", self.agent)
    }

    fn write(
        &mut self,
        out: &mut impl Write,
        cause: Cause,
        event: &Event,
        columns: Option<usize>,
    ) -> std::io::Result<()> {
        match event {
            Event::Call { name, arguments } if cause == Cause::Idle => {
                self.note = Some((name.clone(), arguments.clone()));
                Ok(())
            }
            Event::Result { status, .. } if cause == Cause::Idle => {
                let Some((name, arguments)) = self.note.take() else {
                    return self.write_event(out, cause, event, columns);
                };
                match in_words(&name, &arguments).filter(|_| *status == Status::Ok) {
                    Some((what, text)) => {
                        let text = wrapped(&shorten(&text), columns, what.len() + 4, INDENT_COLUMNS);
                        writeln!(out, "{CALL}  {what}:{CALL:#} {DIM}{text}{DIM:#}")
                    }
                    None => {
                        self.write_event(out, cause, &Event::Call { name, arguments }, columns)?;
                        self.write_event(out, cause, event, columns)
                    }
                }
            }
            _ => {
                self.wrote |= matches!(event, Event::Message { .. } | Event::Call { .. } | Event::Thought { .. });
                self.write_event(out, cause, event, columns)
            }
        }
    }

    fn write_event(
        &self,
        out: &mut impl Write,
        cause: Cause,
        event: &Event,
        columns: Option<usize>,
    ) -> std::io::Result<()> {
        let lines = |text: &str| wrapped(&sanitize(text), columns, 0, 0);
        let indented = |text: &str| wrapped(text, columns, INDENT_COLUMNS, INDENT_COLUMNS);
        match event {
            Event::Ready { agent, model, context_window, resumed, notices, .. } => {
                let how = if *resumed { "resumed" } else { "new" };
                let text = format!(
                    "{agent} ({how}) on {model}, window {context_window} tokens. /help lists commands and keys."
                );
                writeln!(out, "{DIM}{}{DIM:#}", lines(&text))?;
                for notice in notices {
                    writeln!(out, "{NOTICE}{}{NOTICE:#}", lines(notice))?;
                }
                Ok(())
            }
            Event::Delta { text } => write!(out, "{}", sanitize(text)),
            Event::Message { text } => {
                let text = wrapped(&sanitize(text), columns, self.agent.width() + 2, 0);
                writeln!(out, "{}{text}", self.speaker())
            }
            Event::Thought { text } => writeln!(out, "{THOUGHT}  ~ {}{THOUGHT:#}", indented(&sanitize(text))),
            Event::Call { name, arguments } => {
                let name = sanitize(name);
                let arguments = shorten(&serde_json::Value::Object(arguments.clone()).to_string());
                let arguments = wrapped(&arguments, columns, INDENT_COLUMNS + name.width() + 1, INDENT_COLUMNS);
                writeln!(out, "{CALL}  > {name}{CALL:#} {DIM}{arguments}{DIM:#}")
            }
            Event::Result { status, message, .. } => {
                let style = if *status == Status::Ok { DIM } else { FAILED };
                let text = format!("{} {}", status.as_str(), shorten(message));
                writeln!(out, "{style}  = {}{style:#}", indented(&text))
            }
            // The editor shows it.
            Event::Block { .. } => Ok(()),
            Event::Swap { before, after } => {
                writeln!(out, "{FAILED}{}{FAILED:#}", lines(&format!("- {before}")))?;
                writeln!(out, "{ADDED}{}{ADDED:#}", lines(&format!("+ {after}")))
            }
            Event::Memory { core, recall_count, archival_count, edits, recall, passages } => {
                for (label, text) in [("persona", &core.persona), ("human", &core.human)] {
                    let text = if text.is_empty() { "(nothing yet)" } else { text };
                    writeln!(out, "{CALL}{label}{CALL:#}\n{}", lines(text))?;
                }
                let RecallCounts { user, assistant, function_results, events } = recall;
                let counts = format!(
                    "messages in recall storage: {recall_count} (yours {user}, the agent's {assistant}, function \
                     results {function_results}, events {events}); passages in archival storage: {archival_count}"
                );
                writeln!(out, "{DIM}{}{DIM:#}", lines(&counts))?;
                for ShownPassage { id, time, text, source, .. } in passages {
                    let source = source.as_ref().map_or_else(String::new, |source| format!(" ({source})"));
                    let text = shorten(&format!("[{id}] {time}{source} {text}"));
                    writeln!(out, "{DIM}  {}{DIM:#}", wrapped(&text, columns, 2, INDENT_COLUMNS))?;
                }
                // The oldest first, as everything else that is read downwards.
                edits.iter().rev().try_for_each(|edit| {
                    let text = wrapped(&shorten(&changed_lines(edit)), columns, 2, INDENT_COLUMNS);
                    writeln!(out, "{DIM}  {text}{DIM:#}")
                })
            }
            Event::Notice { text } => writeln!(out, "{NOTICE}{}{NOTICE:#}", lines(text)),
            Event::Error { message, hint, .. } => {
                writeln!(out, "{FAILED}{}{FAILED:#}", lines(&format!("error: {message}")))?;
                // Each line of a list is indented alike.
                sanitize(hint).lines().try_for_each(|line| writeln!(out, "  {}", wrapped(line, columns, 2, 2)))
            }
            Event::Turn(report) => {
                if let Some(text) = self.why_it_ended(cause, report.stop_reason) {
                    writeln!(out, "{NOTICE}{}{NOTICE:#}", lines(text))?;
                }
                if self.show_costs { write_costs(out, report) } else { Ok(()) }
            }
        }
    }

    /// What the user is told of a turn that has ended without a whole answer.
    const fn why_it_ended(&self, cause: Cause, reason: StopReason) -> Option<&'static str> {
        match reason {
            // A heartbeat of the agent's own gives way to what the user has asked for.
            StopReason::Interrupted if matches!(cause, Cause::Timer) && !self.greets => None,
            StopReason::Interrupted if self.wrote => Some("stopped; what was written is kept"),
            StopReason::Interrupted => Some(match cause {
                Cause::User => "stopped before anything was written; /heartbeat has your message answered",
                Cause::Timer => "the greeting is skipped",
                Cause::Command | Cause::Idle => "stopped before anything was written",
            }),
            StopReason::StepLimit => Some("the agent used up its steps without an answer"),
            StopReason::Answer | StopReason::Error => None,
        }
    }

    /// Shows, on standard error, what the user waits for until the next answer.
    pub(super) fn wait_for(&mut self, what: &str) {
        what.clone_into(&mut self.waiting_for);
        self.wrote = false;
        self.greets = what == GREETING;
        self.waiting_since = Instant::now();
        self.spin();
    }

    /// Shows how many messages are still to be looked at, where the user waits for that.
    pub(super) fn wait_for_passes(&mut self, messages: usize) {
        if messages == 0 {
            return;
        }
        let noun = if messages == 1 { "message" } else { "messages" };
        self.waiting_for = format!("noting what you said ({messages} {noun} left), Ctrl-C puts it off");
        self.stop_spinning();
        self.spin();
    }

    fn spin(&mut self) {
        if !std::io::stderr().is_terminal() || self.spinner.is_some() {
            return;
        }
        let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
            .with_elapsed(self.waiting_since.elapsed());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
            spinner.set_style(style);
        }
        spinner.set_message(self.waiting_for.clone());
        spinner.enable_steady_tick(SPINNER_TICK);
        self.spinner = Some(spinner);
    }

    pub(super) fn stop_spinning(&mut self) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
    }
}

fn write_costs(out: &mut impl Write, report: &TurnReport) -> std::io::Result<()> {
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
    )
}

/// What a call of a memory pass has done to the memory, in plain words: the verb and the text.
fn in_words(name: &str, arguments: &Map<String, Value>) -> Option<(&'static str, String)> {
    let argument = |key: &str| arguments.get(key).and_then(Value::as_str);
    match name {
        "core_memory_append" => Some(("noted", argument("content")?.to_owned())),
        "core_memory_replace" => {
            let (old, new) = (argument("old_content")?, argument("new_content")?);
            Some(if new.is_empty() { ("removed", old.to_owned()) } else { ("changed", format!("{old} -> {new}")) })
        }
        "archival_memory_insert" => Some(("put into the archive", argument("content")?.to_owned())),
        _ => None,
    }
}

/// An edit in a line: time, block, and what went out of it and came into it.
fn changed_lines(edit: &CoreMemoryEdit) -> String {
    let missing = |of: &str, in_text: &str| {
        let lines: Vec<&str> = of.lines().filter(|line| !in_text.lines().any(|known| known == *line)).collect();
        lines.join(" / ")
    };
    let (gone, come) = (missing(&edit.before, &edit.after), missing(&edit.after, &edit.before));
    let what = match (gone.is_empty(), come.is_empty()) {
        (true, true) => "the order of lines".to_owned(),
        (true, false) => format!("+ {come}"),
        (false, true) => format!("- {gone}"),
        (false, false) => format!("{gone} -> {come}"),
    };
    format!("{} {} ({}): {what}", edit.time, edit.section, edit.cause)
}

fn shorten(text: &str) -> String {
    let flat = sanitize(text).replace('\n', " ");
    if flat.chars().count() <= MAX_SHOWN_CHARS {
        return flat;
    }
    flat.chars().take(MAX_SHOWN_CHARS).chain(" ...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_beside_the_prompt_is_shown_when_it_is_complete_and_never_torn() {
        let mut screen = Screen::new("a", false);
        let emitted = |event| Emitted { cause: Cause::Timer, seq: None, event };
        assert_eq!(screen.rendered(&emitted(Event::Delta { text: "Still ".to_owned() })), "");
        let message = emitted(Event::Message { text: "Still there?".to_owned() });
        assert!(screen.is_beside && screen.rendered(&message).contains("Still there?"));
        assert!(!screen.is_beside);
    }

    #[test]
    fn a_heartbeat_that_gives_way_says_nothing_and_a_greeting_that_is_skipped_does() {
        let mut screen = Screen::new("a", false);
        assert_eq!(screen.why_it_ended(Cause::Timer, StopReason::Interrupted), None);
        screen.wait_for(GREETING);
        assert!(screen.why_it_ended(Cause::Timer, StopReason::Interrupted).is_some());
        screen.wait_for("thinking");
        assert_eq!(screen.why_it_ended(Cause::Timer, StopReason::Interrupted), None);
        assert!(screen.why_it_ended(Cause::User, StopReason::Interrupted).is_some());
    }
}
