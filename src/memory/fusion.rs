//! Rankings made one: reciprocal rank fusion.

use std::collections::HashMap;

/// How words and vectors are fused in archival search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FusionLimits {
    /// Added to every rank, so that the first place of one ranking does not outweigh good places in both. 60: Cormack,
    /// Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods",
    /// SIGIR 2009.
    pub rank_constant: f64,
    /// Weight of the ranking by words; equal weights are those of the same paper.
    pub word_weight: f64,
    /// Weight of the ranking by vectors.
    pub vector_weight: f64,
    /// Most passages that count as hits for being near in meaning alone. Five pages of five twice over: whoever pages
    /// further looks for words.
    pub nearest: usize,
    /// Least cosine of such a passage. On its model page all-MiniLM-L6-v2 gives 0.26 to two sentences that have nothing
    /// but a word in common ("a happy person", "a sunny day") and 0.69 to related ones.
    pub similarity_floor: f32,
    /// Least cosine of a passage that says nearly the same as a new one. There "a happy person" and "a very happy
    /// person" have 0.94.
    pub same_similarity: f32,
}

impl FusionLimits {
    /// The values that archival search uses.
    pub const DEFAULT: Self = Self {
        rank_constant: 60.0,
        word_weight: 1.0,
        vector_weight: 1.0,
        nearest: 50,
        similarity_floor: 0.3,
        same_similarity: 0.92,
    };
}

/// All ids of `rankings`, each with its weight, best first: an id scores `weight / (rank_constant + rank)` for each
/// ranking that has it, ranks counted from 1; of equals the greater id, which is the newer one, comes first.
pub(super) fn fused(rankings: &[(f64, &[i64])], rank_constant: f64) -> Vec<i64> {
    let mut scores: HashMap<i64, f64> = HashMap::with_capacity(rankings.iter().map(|(_, ids)| ids.len()).sum());
    for (weight, ids) in rankings {
        let mut rank = rank_constant;
        for id in *ids {
            rank += 1.0;
            *scores.entry(*id).or_default() += weight / rank;
        }
    }
    let mut all: Vec<(i64, f64)> = scores.into_iter().collect();
    all.sort_unstable_by(|(left, left_score), (right, right_score)| {
        right_score.total_cmp(left_score).then_with(|| right.cmp(left))
    });
    all.into_iter().map(|(id, _)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::fused;

    #[test]
    fn what_both_rankings_have_comes_before_the_first_of_one() {
        assert_eq!(fused(&[(1.0, &[1, 2, 3]), (1.0, &[4, 3, 2])], 60.0), [3, 2, 4, 1]);
    }

    #[test]
    fn one_ranking_keeps_its_order_and_weights_count() {
        assert_eq!(fused(&[(1.0, &[7, 3, 9]), (1.0, &[])], 60.0), [7, 3, 9]);
        assert_eq!(fused(&[(1.0, &[1, 2]), (3.0, &[8, 9])], 60.0), [8, 9, 1, 2]);
        assert!(fused(&[], 60.0).is_empty());
    }
}
