//! One line on standard error for each conversation that has ended.

use std::time::{Duration, Instant};

use crate::bench::agent::Row;

const SECONDS_PER_MINUTE: u64 = 60;
const MINUTES_PER_HOUR: u64 = 60;

pub(super) struct Progress {
    started: Instant,
    all: usize,
    done: usize,
    passed: usize,
    checks: usize,
}

impl Progress {
    pub(super) fn new(all: usize) -> Self {
        Self { started: Instant::now(), all, done: 0, passed: 0, checks: 0 }
    }

    /// Counts a conversation and tells where the run is.
    pub(super) fn line(&mut self, row: &Row) -> String {
        self.done += 1;
        self.passed += row.checks.passed;
        self.checks += row.checks.total;
        let elapsed = self.started.elapsed();
        let done = u32::try_from(self.done).unwrap_or(u32::MAX);
        let left = u32::try_from(self.all - self.done.min(self.all)).unwrap_or(u32::MAX);
        format!(
            "{}/{} {}: {} of {} · {} so far · {}, about {} left",
            self.done,
            self.all,
            row.name,
            row.checks.passed,
            row.checks.total,
            per_cent(self.passed, self.checks),
            in_words(elapsed),
            in_words((elapsed / done).saturating_mul(left))
        )
    }
}

#[allow(clippy::cast_precision_loss)]
fn per_cent(passed: usize, checks: usize) -> String {
    format!("{:.1} %", 100.0 * passed as f64 / checks.max(1) as f64)
}

fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let minutes = seconds / SECONDS_PER_MINUTE;
    match (minutes / MINUTES_PER_HOUR, minutes % MINUTES_PER_HOUR, seconds % SECONDS_PER_MINUTE) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_two_units() {
        let told = [5, 65, 3_700].map(|seconds| in_words(Duration::from_secs(seconds)));
        assert_eq!(told, ["5 s", "1 min 5 s", "1 h 1 min"]);
        assert_eq!((per_cent(1, 8), per_cent(0, 0)), ("12.5 %".to_owned(), "0.0 %".to_owned()));
    }
}
