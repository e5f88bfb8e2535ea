//! Drafts from the prompt: what followed the last tokens where they stood before, as a guess of what comes next.
//!
//! Replies and arguments often copy names, notes and whole lines from what the model has read. A draft is read together
//! with the token that is due anyway, with logits behind each of its tokens: where the model chooses what the draft says,
//! the next choice costs no pass of its own. Every token is still chosen from the model's own logits by the same sampler,
//! so that a draft changes nothing but the time it takes (and the rounding of passes of another size).

use std::time::Duration;

use crate::types::TokenId;

/// Tokens that must stand before what is proposed: with fewer, the proposal is chance.
const LEAST_MATCH: usize = 2;
/// Longer matches tell no more.
const MOST_MATCH: usize = 8;

/// At most `most` tokens that followed the last tokens where they stood before: behind the longest match, of equal ones
/// the last. Empty where there is none.
pub(super) fn draft(tokens: &[TokenId], most: usize) -> &[TokenId] {
    let mut best = (0, tokens.len());
    for end in (LEAST_MATCH..tokens.len()).rev() {
        let before = tokens[..end].iter().rev();
        let length = before.zip(tokens.iter().rev()).take(MOST_MATCH).take_while(|(one, last)| one == last).count();
        if length > best.0 {
            best = (length, end);
            if length == MOST_MATCH {
                break;
            }
        }
    }
    let (length, end) = best;
    if length < LEAST_MATCH { &[] } else { &tokens[end..(end + most).min(tokens.len())] }
}

/// Sizes of passes whose times decide whether drafts pay.
pub(super) const MEASURED: [usize; 4] = [1, 2, 4, 8];
/// How often a drafted token is the one that comes, where the one before it was. Measured in conversations with notes and
/// pasted pages: see `docs/speed.md`.
const ACCEPTED: f64 = 0.7;
/// What drafts must bring: below that, their passes are not worth the power.
const LEAST_GAIN: f64 = 1.15;

/// Most tokens of a draft that pay where passes of [`MEASURED`] tokens take so long, with logits behind each; 0 where
/// none do.
pub(super) fn paying(times: [Duration; MEASURED.len()]) -> usize {
    let [one, ..] = times.map(|time| time.as_secs_f64());
    let gain = |size: usize, time: Duration| {
        let expected: f64 = (0..size).map(|place| ACCEPTED.powi(i32::try_from(place).unwrap_or(i32::MAX))).sum();
        expected * one / time.as_secs_f64().max(f64::MIN_POSITIVE)
    };
    let best = MEASURED.into_iter().zip(times).map(|(size, time)| (gain(size, time), size - 1)).skip(1);
    let best = best.max_by(|one, other| one.0.total_cmp(&other.0));
    best.filter(|(gain, _)| *gain >= LEAST_GAIN).map_or(0, |(_, tokens)| tokens)
}

/// How many tokens of a draft are worth reading: as many as were right lately, and one more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    most: usize,
    next: usize,
    /// Passes without a draft that are still to come after drafts that were wrong.
    pause: usize,
    /// Drafts in a row of which nothing was right.
    failures: u32,
}

/// Passes without a draft after the first that was wrong; twice as many after each further one.
const PAUSE: usize = 1;
/// Most of them, as a power of two.
const MOST_PAUSE_SHIFT: u32 = 4;

impl Patience {
    /// For drafts of at most `most` tokens; 0: none.
    pub(super) const fn new(most: usize) -> Self {
        Self { most, next: most, pause: 0, failures: 0 }
    }

    /// Most tokens of the next draft; 0: none this time.
    pub(super) const fn take(&mut self) -> usize {
        if self.pause > 0 {
            self.pause -= 1;
            return 0;
        }
        self.next
    }

    /// Of a draft of `drafted` tokens the first `accepted` were right.
    pub(super) fn learn(&mut self, drafted: usize, accepted: usize) {
        if drafted == 0 {
            return;
        }
        if accepted == 0 {
            self.pause = PAUSE << self.failures.min(MOST_PAUSE_SHIFT);
            self.failures += 1;
        } else {
            self.failures = 0;
        }
        self.next = if accepted == drafted { self.next * 2 } else { accepted + 1 }.clamp(1, self.most.max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u32]) -> Vec<TokenId> {
        ids.iter().copied().map(TokenId).collect()
    }

    #[test]
    fn what_followed_the_longest_match_is_proposed() {
        // "7 8" stands twice: behind "1" as now, and later behind "9".
        let tokens = ids(&[1, 7, 8, 20, 21, 22, 9, 7, 8, 30, 31, 1, 7, 8]);
        assert_eq!(draft(&tokens, 3), ids(&[20, 21, 22]));
        assert_eq!(draft(&tokens, 1), ids(&[20]));
        // Of equal matches the last.
        let tokens = ids(&[7, 8, 20, 5, 7, 8, 30, 6, 7, 8]);
        assert_eq!(draft(&tokens, 2), ids(&[30, 6]));
    }

    #[test]
    fn drafts_pay_where_passes_of_more_tokens_take_hardly_longer() {
        let times = |ms: [u64; 4]| paying(ms.map(Duration::from_millis));
        // A GPU, or a processor that waits for memory.
        assert_eq!(times([40, 41, 43, 48]), 7);
        assert_eq!(times([40, 44, 60, 130]), 3);
        // Two cores that do nothing but arithmetic.
        assert_eq!(times([42, 69, 127, 297]), 0);
        assert_eq!(times([0, 0, 0, 0]), 0);
    }

    #[test]
    fn one_token_alone_proposes_nothing() {
        assert!(draft(&ids(&[7, 20, 5, 7]), 4).is_empty());
        assert!(draft(&ids(&[7]), 4).is_empty());
        assert!(draft(&[], 4).is_empty());
    }

    #[test]
    fn what_repeats_itself_is_continued() {
        assert_eq!(draft(&ids(&[1, 2, 1, 2, 1, 2]), 4), ids(&[1, 2]));
    }

    #[test]
    fn drafts_grow_while_they_are_right_and_pause_when_they_are_not() {
        let mut patience = Patience::new(8);
        assert_eq!(patience.take(), 8);
        patience.learn(8, 2);
        assert_eq!(patience.take(), 3);
        patience.learn(3, 3);
        assert_eq!(patience.take(), 6);
        patience.learn(6, 0);
        assert_eq!((patience.take(), patience.take()), (0, 1));
        patience.learn(1, 0);
        assert_eq!((patience.take(), patience.take(), patience.take()), (0, 0, 1));
        patience.learn(1, 1);
        assert_eq!(patience.take(), 2);
        // A draft that found no match teaches nothing.
        patience.learn(0, 0);
        assert_eq!(patience.take(), 2);
        assert_eq!(Patience::new(0).take(), 0);
    }
}
