//! When an agent is due a heartbeat that nobody has asked for: after an interval in which nothing happened, and not
//! in a pause.
//!
//! Pure: moments and times come in, a duration comes out. The interval is measured on a clock that is never set, so that
//! setting the machine's clock brings neither a burst of heartbeats nor silence. A pause outlives the program, so its
//! end is a time of day; how long it can hold in this process is bounded on the other clock.

use std::time::{Duration, Instant};

use crate::functions::MAX_PAUSE_MINUTES;

/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * MAX_PAUSE_MINUTES as u64);

/// See the module.
#[derive(Debug)]
pub(super) struct Heartbeats {
    interval: Option<Duration>,
    /// When something happened last.
    idle_since: Instant,
    /// The pause that was seen last.
    pause: Option<Pause>,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    until_ms: i64,
    /// The end of it, had the clock not been set since.
    ends_at: Instant,
}

impl Heartbeats {
    /// One heartbeat for each `interval` in which nothing happens; none where there is no interval.
    pub(super) const fn new(interval: Option<Duration>, now: Instant) -> Self {
        Self { interval, idle_since: now, pause: None }
    }

    /// A request was answered, a turn has ended, or the user is at work.
    pub(super) const fn active(&mut self, now: Instant) {
        self.idle_since = now;
    }

    /// How long nothing has happened.
    pub(super) fn quiet_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.idle_since)
    }

    /// Time until the next heartbeat is due if nothing happens; zero: now. None where there are none.
    pub(super) fn due_in(&mut self, now: Instant, now_ms: i64, paused_until_ms: Option<i64>) -> Option<Duration> {
        let interval = self.interval?;
        let rest = interval.saturating_sub(self.quiet_for(now));
        Some(rest.max(self.pause_left(now, now_ms, paused_until_ms)))
    }

    fn pause_left(&mut self, now: Instant, now_ms: i64, paused_until_ms: Option<i64>) -> Duration {
        let Some(until_ms) = paused_until_ms else { return Duration::ZERO };
        let by_the_clock = Duration::from_millis(u64::try_from(until_ms.saturating_sub(now_ms)).unwrap_or_default());
        let pause = match self.pause {
            Some(pause) if pause.until_ms == until_ms => pause,
            _ => *self.pause.insert(Pause { until_ms, ends_at: now + by_the_clock.min(LONGEST_PAUSE) }),
        };
        by_the_clock.min(pause.ends_at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Clock, ManualClock};

    const MINUTE_MS: i64 = 60_000;
    const START_MS: i64 = 1_772_530_200_000;

    struct Bench {
        clock: ManualClock,
        heartbeats: Heartbeats,
        paused_until_ms: Option<i64>,
    }

    impl Bench {
        fn every(minutes: u64) -> Self {
            let clock = ManualClock::at(START_MS);
            let heartbeats = Heartbeats::new(Some(Duration::from_secs(60 * minutes)), clock.instant());
            Self { clock, heartbeats, paused_until_ms: None }
        }

        fn minutes_left(&mut self) -> u64 {
            let (now, now_ms) = (self.clock.instant(), self.clock.now_ms());
            self.heartbeats.due_in(now, now_ms, self.paused_until_ms).unwrap().as_secs() / 60
        }

        /// Lets minutes pass and has every heartbeat that is due; gives back how many there were.
        fn live(&mut self, minutes: u64) -> u64 {
            let mut beats = 0;
            for _ in 0..minutes {
                self.clock.advance(MINUTE_MS);
                while self.minutes_left() == 0 {
                    beats += 1;
                    self.heartbeats.active(self.clock.instant());
                }
            }
            beats
        }
    }

    #[test]
    fn without_an_interval_there_is_no_heartbeat() {
        let now = Instant::now();
        assert_eq!(Heartbeats::new(None, now).due_in(now + Duration::from_secs(1 << 20), 0, None), None);
    }

    #[test]
    fn a_heartbeat_is_due_when_no_turn_has_ended_for_the_interval() {
        let mut bench = Bench::every(10);
        assert_eq!(bench.minutes_left(), 10);
        bench.clock.advance(9 * MINUTE_MS);
        assert_eq!(bench.minutes_left(), 1);
        bench.heartbeats.active(bench.clock.instant());
        assert_eq!(bench.live(35), 3);
    }

    #[test]
    fn setting_the_clock_brings_neither_a_burst_nor_silence() {
        for jump_ms in [-400 * 24 * 60 * MINUTE_MS, -MINUTE_MS, 30 * MINUTE_MS, 400 * 24 * 60 * MINUTE_MS] {
            let mut bench = Bench::every(10);
            bench.clock.advance(5 * MINUTE_MS);
            bench.clock.set(START_MS + jump_ms);
            assert_eq!(bench.minutes_left(), 5, "{jump_ms}");
            assert_eq!(bench.live(5), 1, "{jump_ms}");
            assert_eq!(bench.live(20), 2, "{jump_ms}");
        }
    }

    #[test]
    fn a_pause_holds_until_its_end_and_is_followed_by_one_heartbeat() {
        let mut bench = Bench::every(10);
        bench.paused_until_ms = Some(START_MS + 90 * MINUTE_MS);
        assert_eq!(bench.live(89), 0);
        assert_eq!(bench.live(1), 1);
        assert_eq!(bench.live(10), 1);
    }

    #[test]
    fn a_pause_ends_by_the_interval_clock_where_the_other_is_set_back() {
        let mut bench = Bench::every(10);
        bench.paused_until_ms = Some(START_MS + 90 * MINUTE_MS);
        assert_eq!(bench.live(30), 0);
        bench.clock.set(START_MS - 400 * 24 * 60 * MINUTE_MS);
        assert_eq!(bench.live(59), 0);
        assert_eq!(bench.live(1), 1);
        // A later pause is another one.
        bench.paused_until_ms = Some(bench.clock.now_ms() + 20 * MINUTE_MS);
        assert_eq!(bench.live(19), 0);
        assert_eq!(bench.live(1), 1);
    }

    #[test]
    fn a_pause_ends_early_where_the_clock_is_set_forward() {
        let mut bench = Bench::every(10);
        bench.paused_until_ms = Some(START_MS + 90 * MINUTE_MS);
        assert_eq!(bench.live(30), 0);
        bench.clock.set(START_MS + 400 * 24 * 60 * MINUTE_MS);
        assert_eq!(bench.live(10), 1);
    }

    #[test]
    fn a_pause_of_an_earlier_process_is_never_longer_than_a_pause_can_be() {
        let mut bench = Bench::every(10);
        // The clock was set back by a year between the two.
        bench.paused_until_ms = Some(START_MS + 365 * 24 * 60 * MINUTE_MS);
        assert_eq!(bench.minutes_left(), u64::from(MAX_PAUSE_MINUTES));
        assert_eq!(bench.live(u64::from(MAX_PAUSE_MINUTES) - 1), 0);
        assert_eq!(bench.live(1), 1);
    }
}
