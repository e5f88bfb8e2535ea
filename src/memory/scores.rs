//! Scores of single words in rows, of which searches make their rankings.
//!
//! BM25 adds up over the words of a query, so each word is looked up by itself, and of a word that stands in very many
//! rows only the newest are scored: a ranking of a million rows by one frequent word tells nothing and takes a second.
//! Not responsible for totals, which count every row (`search`).

use std::collections::HashMap;

use rusqlite::named_params;

use super::View;
use super::search::Index;

/// Rows that are scored for a term, however many terms there are and however few.
const SCORED_ROWS_OF_TERM: (usize, usize) = (2_000, 20_000);

/// Scores of terms in rows: a matrix with a line for each row that any term matches.
#[derive(Debug, Default)]
pub(super) struct TermScores {
    pub(super) term_count: usize,
    rows: HashMap<i64, usize>,
    scores: Vec<f32>,
}

impl TermScores {
    pub(super) fn new(term_count: usize) -> Self {
        Self { term_count, ..Self::default() }
    }

    pub(super) fn set(&mut self, row: i64, term: usize, score: f32) {
        let next = self.rows.len();
        let at = *self.rows.entry(row).or_insert(next);
        if at == next {
            self.scores.resize((next + 1) * self.term_count, 0.0);
        }
        if let Some(cell) = self.scores.get_mut(at * self.term_count + term) {
            *cell = score;
        }
    }

    pub(super) fn contains(&self, row: i64) -> bool {
        self.rows.contains_key(&row)
    }

    pub(super) fn of(&self, row: i64) -> &[f32] {
        let at = self.rows.get(&row).map(|at| at * self.term_count);
        at.and_then(|at| self.scores.get(at..at + self.term_count)).unwrap_or_default()
    }

    pub(super) fn own(&self, row: i64) -> f32 {
        self.of(row).iter().sum()
    }

    /// All rows, those with the highest sum first, among equals the newest.
    pub(super) fn by_own_score(&self) -> Vec<i64> {
        let mut scored: Vec<(f32, i64)> = self.rows.keys().map(|row| (self.own(*row), *row)).collect();
        sort_best_first(&mut scored);
        scored.into_iter().map(|(_, row)| row).collect()
    }
}

pub(super) fn sort_best_first(scored: &mut [(f32, i64)]) {
    scored.sort_unstable_by(|(left, left_row), (right, right_row)| {
        right.total_cmp(left).then_with(|| right_row.cmp(left_row))
    });
}

/// The scores of each term in the rows that the agent may find, and whether no row was left out.
pub(super) fn term_scores(view: &View<'_>, index: &Index, terms: &[String]) -> rusqlite::Result<(TermScores, bool)> {
    let mut scores = TermScores::new(terms.len());
    let mut is_complete = true;
    if terms.is_empty() {
        return Ok((scores, is_complete));
    }
    let (least, most) = SCORED_ROWS_OF_TERM;
    let limit = (index.scored_rows / terms.len()).clamp(least, most);
    let all_visible: bool = view.connection.prepare_cached(index.all_visible)?.query_row([], |row| row.get(0))?;
    let Index { words, rows, visible, .. } = index;
    let mut statement = view.connection.prepare_cached(&format!(
        "SELECT rowid, -bm25({words}) FROM {words} WHERE {words} MATCH :term
         AND (:all_visible OR EXISTS (SELECT 1 FROM {rows} t WHERE t.id = {words}.rowid AND {visible}))
         ORDER BY rowid DESC LIMIT :limit"
    ))?;
    for (term, word) in terms.iter().enumerate() {
        let mut count = 0;
        let parameters = named_params! {
            ":term": format!("\"{word}\""),
            ":all_visible": all_visible,
            ":agent": view.agent,
            ":limit": i64::try_from(limit).unwrap_or(i64::MAX),
        };
        for row in statement.query_map(parameters, |row| Ok((row.get(0)?, row.get::<_, f64>(1)?)))? {
            let (row, score) = row?;
            #[allow(clippy::cast_possible_truncation)] // Scores are small, and their order is what counts.
            scores.set(row, term, score as f32);
            count += 1;
        }
        is_complete &= count < limit;
    }
    Ok((scores, is_complete))
}
