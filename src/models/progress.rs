//! How far a fetch or a check is: the trait, a silent one, and the two that a terminal and a log file want.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Plain lines are written each time another such share of the whole is done.
const PLAIN_STEP_PERCENT: u64 = 10;

/// Work of fewer bytes gets no lines but its first: it is done before they are read.
const PLAIN_LINES_FROM_BYTES: u64 = 8 << 20;

/// Told how far the work is. Texts are whole sentences without a line end.
pub trait Progress {
    /// A piece of work begins.
    ///
    /// Units: bytes. `done_bytes` were done before (a resumed download); rate and time are counted from there.
    fn begin(&mut self, what: &str, total_bytes: u64, done_bytes: u64);

    /// So many bytes of it are done now; may fall back where a piece has to be done again.
    fn advance_to(&mut self, done_bytes: u64);

    /// Something that the user should know while it goes on.
    fn note(&mut self, text: &str);

    /// The piece of work ended, well or not.
    fn end(&mut self);
}

/// Says nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _what: &str, _total_bytes: u64, _done_bytes: u64) {}
    fn advance_to(&mut self, _done_bytes: u64) {}
    fn note(&mut self, _text: &str) {}
    fn end(&mut self) {}
}

/// A bar on standard error where that is a terminal, plain lines where it is not.
pub enum TerminalProgress {
    /// A bar that is drawn over.
    Bar(Option<ProgressBar>),
    /// Lines.
    Lines(PlainLines<io::Stderr>),
}

impl TerminalProgress {
    /// Looks at standard error.
    #[must_use]
    pub fn new() -> Self {
        let stderr = io::stderr();
        if stderr.is_terminal() { Self::Bar(None) } else { Self::Lines(PlainLines::new(stderr)) }
    }
}

impl Default for TerminalProgress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress for TerminalProgress {
    fn begin(&mut self, what: &str, total_bytes: u64, done_bytes: u64) {
        match self {
            Self::Bar(slot) => {
                let bar = ProgressBar::with_draw_target(Some(total_bytes), ProgressDrawTarget::stderr());
                let template =
                    "{msg} [{bar:24}] {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style.progress_chars("=> "));
                }
                bar.set_message(what.to_owned());
                // What was there before is no part of the rate.
                bar.set_position(done_bytes);
                bar.reset_eta();
                *slot = Some(bar);
            }
            Self::Lines(lines) => lines.begin(what, total_bytes, done_bytes),
        }
    }

    fn advance_to(&mut self, done_bytes: u64) {
        match self {
            Self::Bar(Some(bar)) => bar.set_position(done_bytes),
            Self::Bar(None) => {}
            Self::Lines(lines) => lines.advance_to(done_bytes),
        }
    }

    fn note(&mut self, text: &str) {
        match self {
            Self::Bar(Some(bar)) => bar.println(text),
            // The terminal may be gone; there is nobody left to tell.
            Self::Bar(None) => drop(writeln!(io::stderr(), "{text}")),
            Self::Lines(lines) => lines.note(text),
        }
    }

    fn end(&mut self) {
        match self {
            Self::Bar(slot) => {
                if let Some(bar) = slot.take() {
                    bar.abandon();
                }
            }
            Self::Lines(lines) => lines.end(),
        }
    }
}

/// One line for each tenth of the work.
pub struct PlainLines<W: Write> {
    out: W,
    work: Option<Work>,
}

struct Work {
    what: String,
    total_bytes: u64,
    began_at_bytes: u64,
    began_at: Instant,
    told_percent: u64,
}

impl<W: Write> PlainLines<W> {
    /// Lines go to `out`.
    pub fn new(out: W) -> Self {
        Self { out, work: None }
    }

    fn line(&mut self, text: &str) {
        // Progress that cannot be written must not end the download.
        drop(writeln!(self.out, "{text}"));
        drop(self.out.flush());
    }
}

impl<W: Write> Progress for PlainLines<W> {
    fn begin(&mut self, what: &str, total_bytes: u64, done_bytes: u64) {
        let before = if done_bytes == 0 { String::new() } else { format!(", {} are there", DecimalBytes(done_bytes)) };
        self.line(&format!("{what}: {}{before}", DecimalBytes(total_bytes)));
        let told_percent = percent(done_bytes, total_bytes);
        let began_at = Instant::now();
        self.work =
            Some(Work { what: what.to_owned(), total_bytes, began_at_bytes: done_bytes, began_at, told_percent });
    }

    fn advance_to(&mut self, done_bytes: u64) {
        let Some(work) = &mut self.work else { return };
        let now_percent = percent(done_bytes, work.total_bytes);
        if work.total_bytes < PLAIN_LINES_FROM_BYTES || now_percent < work.told_percent + PLAIN_STEP_PERCENT {
            return;
        }
        work.told_percent = now_percent - now_percent % PLAIN_STEP_PERCENT;
        let took = work.began_at.elapsed();
        let per_second = done_bytes.saturating_sub(work.began_at_bytes) as f64 / took.as_secs_f64().max(0.001);
        let left_seconds = work.total_bytes.saturating_sub(done_bytes) as f64 / per_second.max(1.0);
        let text = format!(
            "{}: {now_percent} %, {} of {}, {}/s, {} left",
            work.what,
            DecimalBytes(done_bytes),
            DecimalBytes(work.total_bytes),
            DecimalBytes(per_second as u64),
            HumanDuration(Duration::from_secs(left_seconds as u64)),
        );
        self.line(&text);
    }

    fn note(&mut self, text: &str) {
        self.line(text);
    }

    fn end(&mut self) {
        self.work = None;
    }
}

fn percent(done_bytes: u64, total_bytes: u64) -> u64 {
    (u128::from(done_bytes) * 100).checked_div(u128::from(total_bytes)).map_or(0, |share| share.min(100) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_come_at_each_tenth_that_is_new() {
        let mut out = Vec::new();
        let mut lines = PlainLines::new(&mut out);
        let kib = |count: u64| count << 10;
        lines.begin("a.gguf", kib(10_000), kib(2500));
        for done in [2600, 3400, 3499, 3500, 3600, 10_000] {
            lines.advance_to(kib(done));
        }
        lines.begin("config.json", 600, 0);
        lines.advance_to(600);
        lines.note("done");
        lines.end();
        lines.advance_to(5);
        let text = String::from_utf8(out).unwrap();
        let shown: Vec<&str> = text.lines().map(|line| line.split(',').next().unwrap()).collect();
        assert_eq!(
            shown,
            ["a.gguf: 10.24 MB", "a.gguf: 35 %", "a.gguf: 100 %", "config.json: 600 B", "done"],
            "{text}"
        );
        assert!(text.contains("2.56 MB are there"));
        assert!(text.contains("left"));
    }

    #[test]
    fn an_empty_file_divides_nothing_by_zero() {
        assert_eq!(percent(5, 0), 0);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
    }
}
