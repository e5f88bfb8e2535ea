//! How many tokens a pass may have while somebody could come in any moment: a pass cannot be stopped.

use std::time::Duration;

/// A pass that takes longer keeps the user waiting: with what else is to be done, a fifth of a second.
pub(super) const LONGEST: Duration = Duration::from_millis(160);

/// Sizes to choose from. Few tokens take hardly less than one: smaller steps bring nothing.
const SIZES: [usize; 5] = [3, 6, 16, 32, 64];
/// The first size: a small machine reads it in time.
const FIRST: usize = 1;

/// The size that this machine reads in time, found by measuring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    size: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { size: FIRST }
    }
}

impl Pace {
    /// Tokens of the next pass.
    pub(super) fn tokens(self) -> usize {
        SIZES[self.size]
    }

    /// A pass of so many tokens took so long.
    pub(super) fn learn(&mut self, tokens: usize, spent: Duration) {
        if tokens == 0 {
            return;
        }
        if spent > LONGEST && tokens <= self.tokens() {
            self.size = self.size.saturating_sub(1);
        } else if let Some(larger) = SIZES.get(self.size + 1)
            && tokens == self.tokens()
            && spent.mul_f64(*larger as f64 / tokens as f64) < LONGEST
        {
            self.size += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(ms_per_token: u64) -> usize {
        let mut pace = Pace::default();
        for _ in 0..10 {
            let tokens = pace.tokens();
            pace.learn(tokens, Duration::from_millis(ms_per_token * tokens as u64));
        }
        pace.tokens()
    }

    #[test]
    fn passes_are_as_long_as_the_time_allows() {
        assert_eq!(settled(1), 64);
        assert_eq!(settled(9), 16);
        assert_eq!(settled(20), 6);
        // Three are the least, however long they take.
        assert_eq!(settled(200), 3);
    }

    #[test]
    fn a_short_pass_tells_nothing_of_longer_ones() {
        let mut pace = Pace::default();
        pace.learn(2, Duration::from_millis(1));
        pace.learn(0, Duration::ZERO);
        assert_eq!(pace.tokens(), SIZES[FIRST]);
        // A slow one does.
        pace.learn(2, Duration::from_secs(1));
        assert_eq!(pace.tokens(), SIZES[0]);
    }
}
