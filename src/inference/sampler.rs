//! Sampling under a constraint, the same for all engines.
//!
//! Order of things, fixed so that results mean the same everywhere: repetition penalty on the raw logits; tokens are
//! walked by descending logit (ties by ascending id) and each is put to the constraint; the first `top_k` *valid* ones
//! are kept; then temperature, top-p and min-p act on those. Nothing is cut off before validity is known, so a
//! constraint never leaves an empty choice where something is allowed. All end-of-generation tokens together are one
//! outcome, "end", legal when the constraint says so; its logit is the log of the sum of theirs.
//!
//! The likeliest token is checked first, so a greedy step costs one scan of the logits and one check. After
//! [`MAX_REFUSALS`] refusals the constraint is asked for everything it allows.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::{Error, Vocab};
use crate::types::{Constraint, TokenId};

/// Refused tokens after which the constraint's full list is cheaper than further single checks.
const MAX_REFUSALS: usize = 64;
/// Tokens taken from the logits in one scan once the likeliest was not enough.
const SCAN_TOKENS: usize = 64;

/// How to choose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplerOptions {
    /// 0 chooses the likeliest valid token.
    pub temperature: f32,
    /// Most valid tokens to choose from; 0 = no limit.
    pub top_k: usize,
    /// Keep the likeliest tokens until their probabilities sum to this; 1 = off.
    pub top_p: f32,
    /// Drop tokens less likely than this share of the likeliest; 0 = off.
    pub min_p: f32,
    /// Seed of the generator.
    pub seed: u64,
    /// Divides positive and multiplies negative logits of tokens chosen lately; 1 = off.
    pub repetition_penalty: f32,
    /// How many of the last tokens the penalty looks at.
    pub repetition_window_tokens: usize,
}

impl Default for SamplerOptions {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            seed: 0,
            repetition_penalty: 1.0,
            repetition_window_tokens: 64,
        }
    }
}

/// What was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampled {
    /// A token; not yet committed to the constraint.
    Token(TokenId),
    /// The generation ends.
    End,
}

/// Chooses tokens; keeps the generator's state between calls.
#[derive(Debug, Clone)]
pub struct Sampler {
    options: SamplerOptions,
    generator: ChaCha8Rng,
    recent: std::collections::VecDeque<TokenId>,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    outcome: Sampled,
    logit: f32,
}

impl Sampler {
    /// A sampler whose choices follow from `options.seed`.
    #[must_use]
    pub fn new(options: SamplerOptions) -> Self {
        Self { options, generator: ChaCha8Rng::seed_from_u64(options.seed), recent: std::collections::VecDeque::new() }
    }

    /// Tells the sampler that `token` was generated, for the repetition penalty.
    pub fn accept(&mut self, token: TokenId) {
        if self.options.repetition_penalty != 1.0 && self.options.repetition_window_tokens > 0 {
            while self.recent.len() >= self.options.repetition_window_tokens {
                self.recent.pop_front();
            }
            self.recent.push_back(token);
        }
    }

    /// Chooses what comes next. `logits`: raw, shape `(vocab.len(),)`; changed only by the repetition penalty.
    ///
    /// # Errors
    /// [`Error::BadLogits`] for logits that are not numbers or of the wrong shape; [`Error::NothingAllowed`] where the
    /// constraint allows neither a token nor the end; the constraint's own failures. Nothing is chosen then.
    pub fn sample(
        &mut self,
        logits: &mut [f32],
        vocab: &Vocab,
        constraint: &mut dyn Constraint,
    ) -> Result<Sampled, Error> {
        if logits.len() != vocab.len() {
            let reason = format!("{} logits for {} tokens", logits.len(), vocab.len());
            return Err(Error::BadLogits { reason });
        }
        if let Some((id, value)) = bad_logit(logits) {
            return Err(Error::BadLogits { reason: format!("the logit of token {id} is {value}") });
        }
        self.penalise(logits);
        let wanted = if self.options.temperature <= 0.0 { 1 } else { self.options.top_k };
        let mut candidates = self.valid(logits, wanted, vocab, constraint)?;
        if constraint.may_end()
            && let Some(logit) = end_logit(logits, vocab)
        {
            candidates.push(Candidate { outcome: Sampled::End, logit });
            candidates.sort_by(|left, right| right.logit.total_cmp(&left.logit));
            if wanted > 0 {
                candidates.truncate(wanted);
            }
        }
        let Some(likeliest) = candidates.first() else {
            return Err(Error::NothingAllowed);
        };
        if self.options.temperature <= 0.0 || candidates.len() == 1 {
            return Ok(likeliest.outcome);
        }
        Ok(self.draw(&candidates))
    }

    fn penalise(&self, logits: &mut [f32]) {
        let mut distinct: Vec<TokenId> = self.recent.iter().copied().collect();
        distinct.sort_unstable();
        distinct.dedup();
        for token in distinct {
            if let Some(logit) = logits.get_mut(token.index()) {
                if *logit > 0.0 {
                    *logit /= self.options.repetition_penalty;
                } else {
                    *logit *= self.options.repetition_penalty;
                }
            }
        }
    }

    /// The `wanted` likeliest tokens that the constraint allows (all for 0), likeliest first.
    fn valid(
        &mut self,
        logits: &[f32],
        wanted: usize,
        vocab: &Vocab,
        constraint: &mut dyn Constraint,
    ) -> Result<Vec<Candidate>, Error> {
        let mut valid = Vec::new();
        let mut refused = 0;
        let mut last = None;
        let mut scan = 1;
        while wanted > 0 && refused < MAX_REFUSALS {
            let batch = likeliest_after(logits, last, scan);
            let Some(lowest) = batch.last() else { return Ok(valid) };
            last = Some(*lowest);
            scan = SCAN_TOKENS.max(wanted);
            for token in batch {
                if vocab.is_end_of_generation(token) {
                    continue;
                }
                if constraint.allows(token)? {
                    valid.push(Candidate { outcome: Sampled::Token(token), logit: logits[token.index()] });
                    if valid.len() == wanted {
                        return Ok(valid);
                    }
                } else {
                    refused += 1;
                    if refused >= MAX_REFUSALS {
                        break;
                    }
                }
            }
        }
        let mut allowed = Vec::new();
        constraint.allowed_tokens(&mut allowed)?;
        let mut valid: Vec<Candidate> = allowed
            .into_iter()
            .filter(|token| !vocab.is_end_of_generation(*token))
            .filter_map(|token| {
                let logit = *logits.get(token.index())?;
                Some(Candidate { outcome: Sampled::Token(token), logit })
            })
            .collect();
        // Stable: equal logits stay in the order of their ids.
        valid.sort_by(|left, right| right.logit.total_cmp(&left.logit));
        if wanted > 0 {
            valid.truncate(wanted);
        }
        Ok(valid)
    }

    /// Draws from `candidates`, likeliest first and not empty.
    fn draw(&mut self, candidates: &[Candidate]) -> Sampled {
        let highest = candidates[0].logit;
        let mut weights: Vec<f64> = candidates
            .iter()
            .map(|candidate| f64::from((candidate.logit - highest) / self.options.temperature).exp())
            .collect();
        let total: f64 = weights.iter().sum();
        let mut kept = weights.len();
        if self.options.top_p < 1.0 {
            let mut sum = 0.0;
            let threshold = f64::from(self.options.top_p) * total;
            for (place, weight) in weights.iter().enumerate() {
                sum += weight;
                if sum >= threshold {
                    kept = place + 1;
                    break;
                }
            }
        }
        // The likeliest has weight 1.
        let least = f64::from(self.options.min_p);
        kept = weights.iter().take(kept).take_while(|weight| **weight >= least).count().max(1);
        weights.truncate(kept);
        // 53 random bits: the same number on every platform.
        let unit = (self.generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let mut rest = unit * weights.iter().sum::<f64>();
        for (candidate, weight) in candidates.iter().zip(&weights) {
            rest -= weight;
            if rest < 0.0 {
                return candidate.outcome;
            }
        }
        candidates[kept - 1].outcome
    }
}

/// The first logit that is NaN or plus infinity (minus infinity is "impossible" and fine).
fn bad_logit(logits: &[f32]) -> Option<(usize, f32)> {
    logits.iter().copied().enumerate().find(|(_, logit)| logit.is_nan() || *logit == f32::INFINITY)
}

/// Log of the sum of the end tokens' exponentials; `None` without end tokens.
fn end_logit(logits: &[f32], vocab: &Vocab) -> Option<f32> {
    let ends = || vocab.end_of_generation().iter().filter_map(|token| logits.get(token.index()).copied());
    let highest = ends().max_by(f32::total_cmp)?;
    if highest == f32::NEG_INFINITY {
        return Some(highest);
    }
    Some(highest + ends().map(|logit| (logit - highest).exp()).sum::<f32>().ln())
}

/// Whether the logit and id on the left come before those on the right in the walk.
fn before(left: (f32, u32), right: (f32, u32)) -> bool {
    match left.0.total_cmp(&right.0) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => left.1 < right.1,
    }
}

/// The next `count` tokens of the walk behind `last`, in order. One pass over the logits with a short sorted list:
/// almost every token fails one comparison.
fn likeliest_after(logits: &[f32], last: Option<TokenId>, count: usize) -> Vec<TokenId> {
    let bound = last.map(|token| (logits[token.index()], token.0));
    let mut best: Vec<(f32, u32)> = Vec::with_capacity(count + 1);
    for (id, logit) in (0_u32..).zip(logits.iter().copied()) {
        if best.len() == count && best.last().is_some_and(|lowest| logit <= lowest.0) {
            continue;
        }
        let entry = (logit, id);
        if bound.is_some_and(|bound| !before(bound, entry)) {
            continue;
        }
        let place = best.partition_point(|other| before(*other, entry));
        best.insert(place, entry);
        best.truncate(count);
    }
    best.into_iter().map(|(_, id)| TokenId(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::TokenKind;
    use crate::types::ConstraintError;

    struct Only {
        tokens: Vec<u32>,
        may_end: bool,
        asked: usize,
    }

    impl Only {
        fn new(tokens: &[u32], may_end: bool) -> Self {
            Self { tokens: tokens.to_vec(), may_end, asked: 0 }
        }
    }

    impl Constraint for Only {
        fn allows(&mut self, token: TokenId) -> Result<bool, ConstraintError> {
            self.asked += 1;
            Ok(self.tokens.contains(&token.0))
        }
        fn commit(&mut self, _token: TokenId) -> Result<(), ConstraintError> {
            Ok(())
        }
        fn may_end(&self) -> bool {
            self.may_end
        }
        fn must_end(&self) -> bool {
            false
        }
        fn forced_bytes(&mut self) -> Vec<u8> {
            Vec::new()
        }
        fn forced_token(&mut self) -> Option<TokenId> {
            None
        }
        fn allowed_tokens(&mut self, allowed: &mut Vec<TokenId>) -> Result<(), ConstraintError> {
            allowed.clear();
            allowed.extend(self.tokens.iter().copied().map(TokenId));
            Ok(())
        }
    }

    /// 300 text tokens and two that end.
    fn vocab() -> Vocab {
        let mut rows: Vec<(Vec<u8>, TokenKind)> =
            (0..300).map(|id| (format!("t{id}").into_bytes(), TokenKind::Text)).collect();
        rows.push((b"<end>".to_vec(), TokenKind::Control));
        rows.push((b"<stop>".to_vec(), TokenKind::Control));
        Vocab::new(rows, vec![TokenId(300), TokenId(301)], None)
    }

    /// Logits that fall with the id.
    fn falling() -> Vec<f32> {
        (0..302_u16).map(|id| -f32::from(id) / 10.0).collect()
    }

    fn greedy() -> Sampler {
        Sampler::new(SamplerOptions::default())
    }

    fn warm(seed: u64) -> Sampler {
        Sampler::new(SamplerOptions { temperature: 1.0, top_p: 1.0, min_p: 0.0, seed, ..SamplerOptions::default() })
    }

    #[test]
    fn greedy_takes_the_likeliest_valid_token_with_one_check_when_it_is_valid() {
        let mut constraint = Only::new(&[0, 5], false);
        assert_eq!(greedy().sample(&mut falling(), &vocab(), &mut constraint).unwrap(), Sampled::Token(TokenId(0)));
        assert_eq!(constraint.asked, 1);
        let mut constraint = Only::new(&[5, 9], false);
        assert_eq!(greedy().sample(&mut falling(), &vocab(), &mut constraint).unwrap(), Sampled::Token(TokenId(5)));
    }

    #[test]
    fn an_unlikely_only_choice_is_found_through_the_full_list() {
        for mut sampler in [greedy(), warm(1)] {
            let mut constraint = Only::new(&[299], false);
            let sampled = sampler.sample(&mut falling(), &vocab(), &mut constraint).unwrap();
            assert_eq!(sampled, Sampled::Token(TokenId(299)));
            assert_eq!(constraint.asked, MAX_REFUSALS);
        }
    }

    #[test]
    fn nothing_allowed_is_an_error_never_a_free_choice() {
        let outcome = greedy().sample(&mut falling(), &vocab(), &mut Only::new(&[], false));
        assert!(matches!(outcome, Err(Error::NothingAllowed)), "{outcome:?}");
        let ended = greedy().sample(&mut falling(), &vocab(), &mut Only::new(&[], true)).unwrap();
        assert_eq!(ended, Sampled::End);
    }

    #[test]
    fn end_tokens_are_legal_only_where_generation_may_end_and_count_together() {
        let mut logits = falling();
        logits[300] = 1.0;
        let kept = greedy().sample(&mut logits.clone(), &vocab(), &mut Only::new(&[3], false)).unwrap();
        assert_eq!(kept, Sampled::Token(TokenId(3)));
        let ended = greedy().sample(&mut logits, &vocab(), &mut Only::new(&[0], true)).unwrap();
        assert_eq!(ended, Sampled::End);
        // Two ends of -0.4 each are together likelier than one token of 0: ln(2 e^-0.4) = 0.29.
        let mut logits = falling();
        (logits[300], logits[301]) = (-0.4, -0.4);
        let ended = greedy().sample(&mut logits, &vocab(), &mut Only::new(&[0], true)).unwrap();
        assert_eq!(ended, Sampled::End);
    }

    #[test]
    fn logits_that_are_no_numbers_are_errors() {
        for value in [f32::NAN, f32::INFINITY] {
            let mut logits = falling();
            logits[7] = value;
            let outcome = greedy().sample(&mut logits, &vocab(), &mut Only::new(&[0], true));
            assert!(matches!(outcome, Err(Error::BadLogits { .. })), "{outcome:?}");
        }
        let outcome = greedy().sample(&mut [0.0; 3], &vocab(), &mut Only::new(&[0], true));
        assert!(matches!(outcome, Err(Error::BadLogits { .. })), "{outcome:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_tokens_and_another_seed_others() {
        let run = |seed| {
            let mut sampler = warm(seed);
            let all: Vec<u32> = (0..300).collect();
            (0..32)
                .map(|_| sampler.sample(&mut falling(), &vocab(), &mut Only::new(&all, false)).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn frequencies_follow_the_probabilities_of_the_valid_tokens() {
        let mut sampler = warm(3);
        let mut counts = [0_u32; 2];
        for _ in 0..20_000 {
            match sampler.sample(&mut falling(), &vocab(), &mut Only::new(&[10, 20], false)).unwrap() {
                Sampled::Token(TokenId(10)) => counts[0] += 1,
                Sampled::Token(TokenId(20)) => counts[1] += 1,
                other => panic!("{other:?}"),
            }
        }
        // Logits differ by 1: e / (e + 1) = 0.731. Standard deviation of the share: 0.003.
        let share = f64::from(counts[0]) / 20_000.0;
        assert!((share - 0.731).abs() < 0.015, "{share}");
    }

    #[test]
    fn top_k_counts_valid_tokens_and_min_p_and_top_p_cut_the_tail() {
        let cases = [
            SamplerOptions { top_k: 2, top_p: 1.0, min_p: 0.0, ..SamplerOptions::default() },
            SamplerOptions { top_k: 0, top_p: 0.62, min_p: 0.0, ..SamplerOptions::default() },
            SamplerOptions { top_k: 0, top_p: 1.0, min_p: 0.3, ..SamplerOptions::default() },
        ];
        for options in cases {
            let mut sampler = Sampler::new(SamplerOptions { temperature: 1.0, ..options });
            let mut seen = std::collections::BTreeSet::new();
            for _ in 0..500 {
                // Weights 1, 0.37, 0.14 and less: shares 0.64, 0.24, 0.09 ..
                let mut constraint = Only::new(&[100, 110, 120, 130], false);
                let Sampled::Token(token) = sampler.sample(&mut falling(), &vocab(), &mut constraint).unwrap() else {
                    panic!("ended");
                };
                seen.insert(token.0);
            }
            let expected = if options.top_p < 1.0 { vec![100] } else { vec![100, 110] };
            assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected, "{options:?}");
        }
    }

    #[test]
    fn the_repetition_penalty_moves_the_choice_on() {
        let mut sampler = Sampler::new(SamplerOptions { repetition_penalty: 2.0, ..SamplerOptions::default() });
        let mut logits: Vec<f32> = falling().iter().map(|logit| logit + 30.0).collect();
        sampler.accept(TokenId(0));
        let sampled = sampler.sample(&mut logits, &vocab(), &mut Only::new(&[0, 1], false)).unwrap();
        assert_eq!(sampled, Sampled::Token(TokenId(1)));
    }

    #[test]
    fn the_walk_is_the_sorted_order_in_any_steps() {
        let logits: Vec<f32> = (0..200_u32).map(|id| f32::from((id * 37 % 50) as u16)).collect();
        let mut sorted: Vec<u32> = (0..200).collect();
        sorted.sort_by(|left, right| logits[*right as usize].total_cmp(&logits[*left as usize]).then(left.cmp(right)));
        let mut walked = Vec::new();
        let mut last = None;
        for step in [1, 3, 64, 64, 64, 64] {
            let batch = likeliest_after(&logits, last, step);
            last = batch.last().copied().or(last);
            walked.extend(batch.iter().map(|token| token.0));
        }
        assert_eq!(walked, sorted);
    }
}
