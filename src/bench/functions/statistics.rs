//! Intervals of means of shares, and the test of paired answers.

use serde::{Deserialize, Serialize};

use crate::bench::bfcl::wilson;

/// Right ones of some.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tried {
    pub(super) right: usize,
    pub(super) all: usize,
}

/// A share with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// From 0 to 1.
    pub share: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Tried {
    /// The share with Wilson's interval.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn share(self) -> Share {
        let [low, high] = wilson(self.right, self.all);
        let share = if self.all == 0 { 0.0 } else { self.right as f64 / self.all as f64 };
        Share { share, low, high }
    }
}

/// The mean of shares that were found apart from each other, each with its weight. Its interval is put together from
/// theirs. None of no shares.
///
/// Source: the method of variance estimates recovery; G. Y. Zou and A. Donner, Construction of confidence limits about
/// effect measures, Statistics in Medicine 27, 2008.
pub(super) fn mean(shares: &[(f64, Share)]) -> Option<Share> {
    let whole: f64 = shares.iter().map(|(weight, _)| weight).sum();
    let spread = |end: fn(&Share) -> f64| {
        let parts = shares.iter().map(|(weight, one)| weight / whole * (one.share - end(one)));
        parts.map(|part| part * part).sum::<f64>().sqrt()
    };
    (whole > 0.0).then(|| {
        let share = shares.iter().map(|(weight, one)| weight / whole * one.share).sum::<f64>();
        let (low, high) = (share - spread(|one| one.low), share + spread(|one| one.high));
        Share { share, low: low.max(0.0), high: high.min(1.0) }
    })
}

/// The exact two-sided p value of McNemar's test: how likely it is that `gained` and `lost` differ so much or more where
/// neither way of asking is better.
///
/// Source: Q. McNemar, Note on the sampling error of the difference between correlated proportions, Psychometrika 12,
/// 1947; the exact form is the sign test.
#[allow(clippy::cast_precision_loss)]
pub(super) fn mcnemar(gained: usize, lost: usize) -> f64 {
    let all = gained + lost;
    // The probability of none among `all`, then of one more each time; in logarithms, since 2^-all may be too small.
    let mut log = -(all as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for count in 0..=gained.min(lost) {
        tail += log.exp();
        log += ((all - count) as f64).ln() - ((count + 1) as f64).ln();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, two: f64) -> bool {
        (one - two).abs() < 1e-4
    }

    #[test]
    fn paired_answers_are_tested_exactly() {
        // Values of scipy's binomtest(min, n, 0.5).pvalue.
        for (gained, lost, expected) in [(0, 0, 1.0), (5, 0, 0.0625), (10, 2, 0.0386), (3, 3, 1.0), (40, 20, 0.01349)] {
            assert!(near(mcnemar(gained, lost), expected), "{gained} {lost}: {}", mcnemar(gained, lost));
            assert!(near(mcnemar(lost, gained), expected));
        }
        assert!(mcnemar(3000, 1000) < 1e-9);
    }

    #[test]
    fn a_mean_of_one_share_is_that_share() {
        let one = Tried { right: 8, all: 10 }.share();
        assert!(near(one.low, 0.4902) && near(one.high, 0.9433));
        let of_one = mean(&[(3.0, one)]).unwrap();
        assert!(near(of_one.low, one.low) && near(of_one.high, one.high));
        let of_two = mean(&[(1.0, one), (1.0, one)]).unwrap();
        assert!(near(of_two.share, 0.8) && of_two.low > one.low && of_two.high < one.high);
        let other = Tried { right: 0, all: 10 }.share();
        assert!(near(mean(&[(3.0, one), (1.0, other)]).unwrap().share, 0.6));
        assert_eq!(mean(&[]), None);
    }
}
