//! Ranking what was said by the turns around it.
//!
//! A question and its answer share few words, and what a search asks for is often spread over both. So a turn is
//! ranked by its window: each term of the query counts once, where it scores most, in the turn itself or, for less, in
//! the two turns before and after. A term that stands twice in a window does not count twice, and a turn that answers a
//! question that matches is found although it has no word of it. The similarity of meaning, where an embedder is at
//! hand, is added in a fixed share.
//!
//! The weights were chosen on one public dialogue (LoCoMo's conv-26: 419 turns, 150 questions with marked evidence) and
//! 323 turns of one-sided talk (155 questions); around them the figures are flat. On a second dialogue (conv-30: 369
//! turns, 81 questions), which was looked at only afterwards, words alone go from hit@1/5/10 = 0.38/0.64/0.69 for single
//! turns to 0.47/0.77/0.83.
//!
//! Not responsible for finding terms or rows (`recall`, `search`): this is arithmetic over scores.

use std::collections::{HashMap, HashSet};

use super::scores::{TermScores, sort_best_first};

/// What a term's score in a turn nearby is worth: (turns away, weight). What was said before counts more than what comes
/// after: answers follow questions.
const NEARBY: [(isize, f32); 4] = [(-1, 0.7), (1, 0.5), (-2, 0.5), (2, 0.3)];

/// Turns on each side that a window takes in.
pub(super) const WINDOW_REACH: usize = 2;

/// What a turn's own words count beyond those of its window: among the turns of one window, the one that matches comes
/// first.
const OWN_WEIGHT: f32 = 0.2;

/// Share of the similarity of meaning in a fused score; the words have the rest.
const MEANING_SHARE: f32 = 0.3;

/// What the score of a turn is multiplied with if its speaker is named in the query.
const NAMED_SPEAKER: f32 = 1.4;

/// Pieces of the conversation: which turn follows which, and who spoke.
#[derive(Debug, Default)]
pub(super) struct Turns {
    next: HashMap<i64, i64>,
    previous: HashMap<i64, i64>,
    /// Rows whose windows are known as a whole.
    within: HashSet<i64>,
    /// Rows of speakers that the query names.
    named: HashSet<i64>,
}

impl Turns {
    /// A stretch of the conversation in its order, with `centre` somewhere in it; the turns next to the centre are known
    /// with their windows.
    pub(super) fn add(&mut self, stretch: &[i64], centre: i64) {
        for (row, following) in stretch.iter().zip(stretch.iter().skip(1)) {
            self.next.insert(*row, *following);
            self.previous.insert(*following, *row);
        }
        let Some(at) = stretch.iter().position(|row| *row == centre) else { return };
        self.within
            .extend(stretch.iter().skip(at.saturating_sub(WINDOW_REACH)).take(1 + at.min(WINDOW_REACH) + WINDOW_REACH));
    }

    pub(super) fn set_named(&mut self, row: i64) {
        self.named.insert(row);
    }

    fn nearby(&self, row: i64, distance: isize) -> Option<i64> {
        let steps = if distance < 0 { &self.previous } else { &self.next };
        (0..distance.unsigned_abs()).try_fold(row, |row, _| steps.get(&row).copied())
    }
}

/// The turns in and around the best matches, best first. `similarities` are cosines of vectors, by row; without them the
/// words alone count. Rows that are not in `turns` are left out.
pub(super) fn rank(terms: &TermScores, turns: &Turns, similarities: &HashMap<i64, f32>) -> Vec<i64> {
    let words: Vec<(f32, i64)> = turns.within.iter().map(|row| (window_score(terms, turns, *row), *row)).collect();
    let best_words = words.iter().fold(0.0_f32, |best, (score, _)| best.max(*score));
    let similarity_of = |row: &i64| similarities.get(row).copied().unwrap_or(0.0);
    let best_similarity = turns.within.iter().map(similarity_of).fold(0.0, f32::max);
    let share = |score: f32, best: f32| if best > 0.0 { score.max(0.0) / best } else { 0.0 };
    let meaning_share = if best_similarity > 0.0 { MEANING_SHARE } else { 0.0 };
    let mut scored: Vec<(f32, i64)> = words
        .into_iter()
        .map(|(words, row)| {
            let meaning = share(similarity_of(&row), best_similarity);
            let fused = (1.0 - meaning_share) * share(words, best_words) + meaning_share * meaning;
            (if turns.named.contains(&row) { fused * NAMED_SPEAKER } else { fused }, row)
        })
        .filter(|(score, _)| *score > 0.0)
        .collect();
    sort_best_first(&mut scored);
    scored.into_iter().map(|(_, row)| row).collect()
}

fn window_score(terms: &TermScores, turns: &Turns, row: i64) -> f32 {
    let own = terms.of(row);
    let mut best = own.to_vec();
    best.resize(terms.term_count, 0.0);
    for (distance, weight) in NEARBY {
        let Some(nearby) = turns.nearby(row, distance) else { continue };
        for (best, score) in best.iter_mut().zip(terms.of(nearby)) {
            *best = best.max(weight * score);
        }
    }
    best.iter().sum::<f32>() + OWN_WEIGHT * own.iter().sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(rows: std::ops::RangeInclusive<i64>) -> Turns {
        let stretch: Vec<i64> = rows.collect();
        let mut turns = Turns::default();
        for row in &stretch {
            turns.add(&stretch, *row);
        }
        turns
    }

    fn scores(cells: &[(i64, usize, f32)]) -> TermScores {
        let mut scores = TermScores::new(2);
        for (row, term, score) in cells {
            scores.set(*row, *term, *score);
        }
        scores
    }

    #[test]
    fn terms_in_neighbouring_turns_count_together() {
        // Rows 3 and 4 share the terms between them; row 8 has the better one alone.
        let scores = scores(&[(3, 0, 2.0), (4, 1, 2.0), (8, 0, 2.5)]);
        let ranked = rank(&scores, &turns(1..=9), &HashMap::new());
        assert_eq!(ranked[..3], [4, 3, 8]);
        // What answers a match is found without a word of its own.
        assert!(ranked.contains(&5) && ranked.contains(&9) && !ranked.contains(&11));
    }

    #[test]
    fn a_term_said_twice_counts_once() {
        let twice = scores(&[(2, 0, 2.0), (3, 0, 2.0), (7, 0, 2.1)]);
        assert_eq!(rank(&twice, &turns(1..=9), &HashMap::new())[0], 7);
    }

    #[test]
    fn turns_of_the_speaker_who_is_named_come_first() {
        let scores = scores(&[(2, 0, 2.0), (6, 0, 2.0)]);
        let mut turns = turns(1..=9);
        turns.set_named(2);
        assert_eq!(rank(&scores, &turns, &HashMap::new())[0], 2);
    }

    #[test]
    fn meaning_finds_what_words_do_not_and_words_still_lead() {
        let scores = scores(&[(2, 0, 2.0), (2, 1, 2.0)]);
        let similarities = HashMap::from([(2, 0.2), (8, 0.9)]);
        let ranked = rank(&scores, &turns(1..=9), &similarities);
        assert_eq!(ranked[0], 2);
        assert!(ranked.contains(&8));
        let meaning_alone = rank(&TermScores::new(0), &turns(1..=9), &similarities);
        assert_eq!(meaning_alone, [8, 2]);
    }

    #[test]
    fn equal_rows_come_newest_first() {
        let scores = scores(&[(10, 0, 1.0), (20, 0, 1.0), (30, 0, 1.0)]);
        let mut apart = Turns::default();
        for row in [10, 20, 30] {
            apart.add(&[row], row);
        }
        assert_eq!(rank(&scores, &apart, &HashMap::new()), [30, 20, 10]);
        assert_eq!(scores.by_own_score(), [30, 20, 10]);
    }
}
