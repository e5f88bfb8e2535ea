//! Progress of long work that is counted in things: done of all, how fast, how long still.

use std::cell::Cell;
use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::tell;

/// Lines of progress, where there is no terminal to draw a bar on.
const PLAIN_STEPS: u64 = 10;
/// Fewer things are done before such a line is read.
const PLAIN_FROM: u64 = 200;

/// A bar on a terminal, else a line now and then.
pub(super) enum Progress {
    Bar(ProgressBar),
    Lines { what: String, things: &'static str, all: u64, told: Cell<u64> },
}

impl Progress {
    /// Begins with none of `all` things done, which are called `things`.
    pub(super) fn begin(what: &str, things: &'static str, all: u64) -> Self {
        if !io::stderr().is_terminal() {
            return Self::Lines { what: what.to_owned(), things, all, told: Cell::new(0) };
        }
        let bar = ProgressBar::with_draw_target(Some(all), ProgressDrawTarget::stderr());
        let template = format!("{{prefix}} [{{bar:24}}] {{pos}}/{{len}} {things}, {{per_sec:.0}}, {{eta}} left");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(what.to_owned());
        Self::Bar(bar)
    }

    pub(super) fn advance_to(&self, done: u64) {
        match self {
            Self::Bar(bar) => bar.set_position(done),
            Self::Lines { what, things, all, told } if *all >= PLAIN_FROM && done < *all => {
                let step = (*all / PLAIN_STEPS).max(1);
                // Work may advance by many at once, past a step's end.
                if done / step > told.get() {
                    told.set(done / step);
                    tell(&format!("{what}: {done} of {all} {things}"));
                }
            }
            Self::Lines { .. } => {}
        }
    }

    pub(super) fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
