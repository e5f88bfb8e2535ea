//! How far a fetch or a check is: the trait, a silent one, and the two that a terminal and a log file want.
//!
//! Rate and remaining time are told only once they are known: bytes that pip brings come wheel by wheel, a second of
//! fetching after some seconds of asking, and a rate of the last moment is zero most of the time.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Plain lines are written each time another such share of the whole is done.
const PLAIN_STEP_PERCENT: u64 = 10;

/// Work of fewer bytes gets no lines but its first: it is done before they are read.
const PLAIN_LINES_FROM_BYTES: u64 = 8 << 20;

/// The rate is that of so long a time, several wheels of a model in pieces.
const RATE_WINDOW: Duration = Duration::from_secs(30);

/// A rate over less is not told.
const RATE_FROM: Duration = Duration::from_secs(6);

/// The rate that is told stays the same for so long.
const RATE_STEP: Duration = Duration::from_secs(1);

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
    Bar(Option<Bar>),
    /// Lines.
    Lines(PlainLines<io::Stderr>),
}

/// A bar and what stands behind it.
pub struct Bar {
    bar: ProgressBar,
    pace: Pace,
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
                let template = "{prefix} [{bar:24}] {decimal_bytes}/{decimal_total_bytes}{msg}";
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style.progress_chars("=> "));
                }
                bar.set_prefix(what.to_owned());
                bar.set_position(done_bytes);
                *slot = Some(Bar { bar, pace: Pace::new(total_bytes, done_bytes, Instant::now()) });
            }
            Self::Lines(lines) => lines.begin(what, total_bytes, done_bytes),
        }
    }

    fn advance_to(&mut self, done_bytes: u64) {
        match self {
            Self::Bar(Some(Bar { bar, pace })) => {
                pace.advance_to(done_bytes, Instant::now());
                bar.set_message(pace.told());
                bar.set_position(done_bytes);
            }
            Self::Bar(None) => {}
            Self::Lines(lines) => lines.advance_to(done_bytes),
        }
    }

    fn note(&mut self, text: &str) {
        match self {
            Self::Bar(Some(Bar { bar, .. })) => bar.println(text),
            // The terminal may be gone; there is nobody left to tell.
            Self::Bar(None) => drop(writeln!(io::stderr(), "{text}")),
            Self::Lines(lines) => lines.note(text),
        }
    }

    fn end(&mut self) {
        match self {
            Self::Bar(slot) => {
                if let Some(Bar { bar, .. }) = slot.take() {
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
    pace: Pace,
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
        let pace = Pace::new(total_bytes, done_bytes, Instant::now());
        self.work = Some(Work { what: what.to_owned(), pace, told_percent });
    }

    fn advance_to(&mut self, done_bytes: u64) {
        let Some(Work { what, pace, told_percent }) = &mut self.work else { return };
        pace.advance_to(done_bytes, Instant::now());
        let total_bytes = pace.total_bytes;
        let now_percent = percent(done_bytes, total_bytes);
        if total_bytes < PLAIN_LINES_FROM_BYTES || now_percent < *told_percent + PLAIN_STEP_PERCENT {
            return;
        }
        *told_percent = now_percent - now_percent % PLAIN_STEP_PERCENT;
        let (done, total) = (DecimalBytes(done_bytes), DecimalBytes(total_bytes));
        let text = format!("{what}: {now_percent} %, {done} of {total}{}", pace.told());
        self.line(&text);
    }

    fn note(&mut self, text: &str) {
        self.line(text);
    }

    fn end(&mut self) {
        self.work = None;
    }
}

/// Rate and remaining time of a piece of work.
struct Pace {
    total_bytes: u64,
    done_bytes: u64,
    /// How many bytes were done when, one mark each [`RATE_STEP`]; the first is at least [`RATE_WINDOW`] old, or the
    /// beginning.
    marks: VecDeque<(Instant, u64)>,
}

impl Pace {
    fn new(total_bytes: u64, done_bytes: u64, now: Instant) -> Self {
        Self { total_bytes, done_bytes, marks: VecDeque::from([(now, done_bytes)]) }
    }

    fn advance_to(&mut self, done_bytes: u64, now: Instant) {
        self.done_bytes = done_bytes;
        if self.marks.back().is_some_and(|(at, _)| now.saturating_duration_since(*at) < RATE_STEP) {
            return;
        }
        self.marks.push_back((now, done_bytes));
        while self.marks.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= RATE_WINDOW) {
            self.marks.pop_front();
        }
    }

    /// None where the work is too young, or nothing has come in the whole window.
    fn bytes_per_second(&self) -> Option<f64> {
        let ((from, before_bytes), (to, after_bytes)) = (self.marks.front()?, self.marks.back()?);
        let took = to.saturating_duration_since(*from);
        let came_bytes = after_bytes.saturating_sub(*before_bytes);
        (took >= RATE_FROM && came_bytes > 0).then(|| came_bytes as f64 / took.as_secs_f64())
    }

    /// What is told behind the count of bytes: `, 12.3 MB/s, 2 minutes left`, as far as it is known.
    fn told(&self) -> String {
        let Some(per_second) = self.bytes_per_second() else { return String::new() };
        let rate = DecimalBytes(per_second as u64);
        let missing_bytes = self.total_bytes.saturating_sub(self.done_bytes);
        if missing_bytes == 0 {
            return format!(", {rate}/s");
        }
        // Something is missing, so that it takes a second at least.
        let left = Duration::from_secs((missing_bytes as f64 / per_second).ceil() as u64);
        format!(", {rate}/s, {} left", HumanDuration(left))
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
        assert!(!text.contains("left"), "nobody can tell yet: {text}");
    }

    /// What is told after each quarter of a second in which so many megabytes came.
    fn told(pace: &mut Pace, from: Instant, came: impl IntoIterator<Item = u64>) -> Vec<String> {
        let mut now = from;
        let mut tell = |megabytes: u64| {
            now += Duration::from_millis(250);
            pace.advance_to(pace.done_bytes + megabytes * 1_000_000, now);
            pace.told()
        };
        came.into_iter().map(&mut tell).collect()
    }

    /// A wheel of 48 MB: nothing for four seconds, then all in one, then a second of copying.
    const WHEEL: [u64; 24] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 12, 12, 12, 0, 0, 0, 0];

    #[test]
    fn rate_and_time_are_told_once_they_are_known_and_hold_between_two_wheels() {
        let start = Instant::now();
        let mut pace = Pace::new(48 * 10 * 1_000_000, 0, start);
        let told = told(&mut pace, start, std::iter::repeat_n(WHEEL, 10).flatten());
        let (early, late) = told.split_at(24);
        assert!(early[..23].iter().all(String::is_empty), "{early:?}");
        assert_eq!(early[23], ", 8.00 MB/s, 54 seconds left", "one wheel of ten in six seconds");
        assert!(late.iter().all(|text| text.contains(" MB/s")), "{late:?}");
        let (on_the_way, done) = late.split_at(late.len() - 5);
        assert!(on_the_way.iter().all(|text| text.contains(" left") && !text.contains(" 0 ")), "{on_the_way:?}");
        assert!(done.iter().all(|text| text.ends_with("/s")), "nothing is missing: {done:?}");
        let steady = &on_the_way[96..];
        assert!(steady.iter().all(|text| text.starts_with(", 8.00 MB/s")), "the window is full: {steady:?}");
    }

    #[test]
    fn a_standstill_has_neither_rate_nor_time_and_no_bytes_left_take_no_second() {
        let start = Instant::now();
        let mut pace = Pace::new(1000 * 1_000_000, 500 * 1_000_000, start);
        let before = told(&mut pace, start, [1; 40]);
        assert_eq!(before[39], ", 4.00 MB/s, 2 minutes left", "what was there before is no part of the rate");
        let silence = told(&mut pace, start + Duration::from_secs(10), [0; 160]);
        assert_eq!(silence[159], "");
        pace.advance_to(1_000_000_000 - 1, start + Duration::from_secs(51));
        assert!(pace.told().ends_with(", 1 second left"), "{}", pace.told());
        // A piece that has to be done again.
        pace.advance_to(0, start + Duration::from_secs(53));
        assert_eq!(pace.told(), "");
    }

    #[test]
    fn an_empty_file_divides_nothing_by_zero() {
        assert_eq!(percent(5, 0), 0);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
    }
}
