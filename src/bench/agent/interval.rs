//! An interval for a share of checks that respects that the checks of a conversation go together.
//!
//! Percentile bootstrap over conversations: conversations are drawn with replacement, all checks of one that is drawn
//! count. Runs of one conversation with several seeds are one cluster. Source: Efron and Tibshirani, An Introduction to
//! the Bootstrap, 1993, chapter 13; the cluster bootstrap of Field and Welsh, 2007.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Drawings; the ends of the interval then move by less than a tenth of its width from seed to seed.
pub(super) const RESAMPLES: usize = 2000;
/// Share of drawings below the interval, and above it, in thousandths: 95 % lie within.
const TAIL_PER_MILLE: usize = 25;

/// Two ends of a share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// 2.5 % of the drawings lie below.
    pub low: f64,
    /// 2.5 % of the drawings lie above.
    pub high: f64,
}

/// Passed and all checks.
pub(super) type Tried = (usize, usize);

/// A share; none of nothing.
#[allow(clippy::cast_precision_loss)]
pub(super) fn share((passed, total): Tried) -> Option<f64> {
    (total > 0).then(|| passed as f64 / total as f64)
}

impl Interval {
    /// The 95 % interval of the share that clusters come to, each with its name: those of one name are one. None where
    /// fewer than two have checks: one says nothing of how others would do.
    pub(super) fn of<'a>(checks: impl IntoIterator<Item = (&'a str, Tried)>, seed: u64) -> Option<Self> {
        let mut clusters: BTreeMap<&str, Tried> = BTreeMap::new();
        for (name, (passed, total)) in checks {
            let sum = clusters.entry(name).or_default();
            *sum = (sum.0 + passed, sum.1 + total);
        }
        let clusters: Vec<Tried> = clusters.into_values().filter(|(_, total)| *total > 0).collect();
        if clusters.len() < 2 {
            return None;
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut drawn = || {
            let sum = (0..clusters.len()).fold((0, 0), |sum: Tried, _| {
                let (passed, total) = clusters.get(random.random_range(0..clusters.len())).copied().unwrap_or_default();
                (sum.0 + passed, sum.1 + total)
            });
            share(sum)
        };
        let mut shares: Vec<f64> = (0..RESAMPLES).filter_map(|_| drawn()).collect();
        shares.sort_by(f64::total_cmp);
        let tail = RESAMPLES * TAIL_PER_MILLE / 1000;
        let low = shares.get(tail).copied()?;
        let high = shares.get(shares.len().checked_sub(tail + 1)?).copied()?;
        Some(Self { low, high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_its_share_and_narrows_with_more_conversations() {
        let names: Vec<String> = (0..400).map(|number| number.to_string()).collect();
        let of = |count: usize| {
            Interval::of(names.iter().take(count).enumerate().map(|(at, name)| (&**name, (2 + at % 2, 4))), 1).unwrap()
        };
        let (few, many) = (of(10), of(400));
        for Interval { low, high } in [few, many] {
            assert!(low < 0.625 && 0.625 < high, "{low} {high}");
        }
        assert!(many.high - many.low < (few.high - few.low) / 3.0, "{few:?} {many:?}");
        assert_eq!(of(10), of(10), "it follows from the seed");
    }

    /// 100 conversations, of each all of 10 checks pass or none: as wide as that of 100 checks, not of 1000. The
    /// normal interval of a half is 0.5 ± 0.098 at 100 and ± 0.031 at 1000; the drawings differ from it by less than
    /// 0.02.
    #[test]
    fn checks_that_go_together_count_as_one() {
        let names: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let checks = names.iter().enumerate().map(|(at, name)| (&**name, (10 * (at % 2), 10)));
        let Interval { low, high } = Interval::of(checks, 7).unwrap();
        assert!((low - 0.402).abs() < 0.02 && (high - 0.598).abs() < 0.02, "{low} {high}");
    }

    #[test]
    fn runs_of_one_conversation_are_one_cluster_and_one_cluster_has_no_interval() {
        assert_eq!(Interval::of([("a", (1, 2)), ("a", (2, 2))], 1), None);
        assert_eq!(Interval::of([("a", (1, 2)), ("b", (0, 0))], 1), None);
        assert_eq!(Interval::of([("a", (2, 2)), ("b", (3, 3))], 1), Some(Interval { low: 1.0, high: 1.0 }));
        assert_eq!((share((1, 4)), share((0, 0))), (Some(0.25), None));
    }
}
