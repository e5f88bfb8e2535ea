//! How long the database takes, for benches: from the first step of a statement to its reset, on a clock finer than SQLite's
//! own, which counts milliseconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::trace::{TraceEvent, TraceEventCodes};

use super::super::error::{During, Result};
use super::Store;

/// The sum of the times in which statements of a connection ran; clones look at the same sum.
#[derive(Debug, Clone, Default)]
pub struct DatabaseClock(Arc<AtomicU64>);

impl DatabaseClock {
    /// The sum so far.
    #[must_use]
    pub fn spent(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn add(&self, spent: Duration) {
        self.0.fetch_add(u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Store {
    /// Measures from now on how long statements of this connection run. Where one runs within another, the time counts
    /// once.
    ///
    /// # Errors
    /// SQLite failed.
    pub fn time_statements(&mut self) -> Result<DatabaseClock> {
        let clock = DatabaseClock::default();
        let sum = clock.clone();
        let (mut running, mut started) = (0_u32, Instant::now());
        let events = TraceEventCodes::SQLITE_TRACE_STMT | TraceEventCodes::SQLITE_TRACE_PROFILE;
        let observe = move |event: TraceEvent<'_>| match event {
            // A statement of a trigger is told as a comment, and not when it ends.
            TraceEvent::Stmt(_, sql) if !sql.starts_with("--") => {
                if running == 0 {
                    started = Instant::now();
                }
                running += 1;
            }
            TraceEvent::Profile(..) => {
                running = running.saturating_sub(1);
                if running == 0 {
                    sum.add(started.elapsed());
                }
            }
            _ => {}
        };
        self.connection.trace_v2(events, Some(observe)).during("time statements")?;
        Ok(clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_on_while_statements_run_and_only_then() {
        let mut store = Store::open_in_memory().unwrap();
        let clock = store.time_statements().unwrap();
        assert_eq!(clock.spent(), Duration::ZERO);
        let count = |store: &Store, to: u32| {
            let sql =
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) SELECT sum(i) FROM n";
            store.connection.query_row(sql, [to], |row| row.get::<_, i64>(0)).unwrap()
        };
        let started = Instant::now();
        assert_eq!(count(&store, 20_000), 200_010_000);
        let wall = started.elapsed();
        let first = clock.spent();
        assert!(first > Duration::ZERO && first <= wall, "{first:?} of {wall:?}");
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(clock.spent(), first);
        // One within another.
        let mut rows = store.connection.prepare("SELECT 1 UNION ALL SELECT 2").unwrap();
        let started = Instant::now();
        let sums = rows.query_map([], |_| Ok(count(&store, 20_000))).unwrap().count();
        assert_eq!(sums, 2);
        let wall = started.elapsed();
        assert!(clock.spent() > first && clock.spent() - first <= wall, "{:?} of {wall:?}", clock.spent() - first);
    }
}
