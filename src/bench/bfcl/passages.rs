//! What reciting takes: the user's messages cut into overlapping passages of three sentences, ranked by plain BM25.
//!
//! The measure that an agent is held against, and nothing that an agent uses: its own search is in `memory`.
//!
//! Source: Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009; the weight of a term is the one of
//! Lucene, which is never negative.

use std::collections::HashMap;

/// Sentences of a passage; the next one begins a sentence later.
const PASSAGE_SENTENCES: usize = 3;
/// How soon more of the same term counts no more.
const K1: f64 = 1.2;
/// How much the length of a passage counts.
const B: f64 = 0.75;

/// The passages of some messages.
pub fn passages<'a>(messages: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut passages = Vec::new();
    for message in messages {
        let sentences = sentences(message);
        let windows = sentences.len().saturating_sub(PASSAGE_SENTENCES) + usize::from(!sentences.is_empty());
        passages.extend((0..windows).map(|start| {
            let window: Vec<&str> = sentences.iter().skip(start).take(PASSAGE_SENTENCES).copied().collect();
            window.join(" ")
        }));
    }
    passages
}

/// The sentences of a text: each ends with a full stop, a question mark or an exclamation mark before a space.
fn sentences(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut ends = false;
    for (at, one) in text.char_indices() {
        if ends && one.is_whitespace() {
            sentences.push(text.get(start..at).unwrap_or_default());
            start = at;
        }
        ends = matches!(one, '.' | '!' | '?');
    }
    sentences.push(text.get(start..).unwrap_or_default());
    sentences.into_iter().map(str::trim).filter(|sentence| !sentence.is_empty()).collect()
}

/// Ranks texts by the words of a query.
#[derive(Debug, Clone)]
pub struct Bm25 {
    /// Terms of each text with their counts, and how many there are.
    texts: Vec<(HashMap<String, usize>, usize)>,
    /// In how many texts a term stands.
    spread: HashMap<String, usize>,
    mean_length: f64,
}

#[allow(clippy::cast_precision_loss)]
impl Bm25 {
    /// Counts the terms of some texts.
    #[must_use]
    pub fn new(texts: &[String]) -> Self {
        let mut counted = Vec::with_capacity(texts.len());
        let mut spread: HashMap<String, usize> = HashMap::new();
        for text in texts {
            let mut counts: HashMap<String, usize> = HashMap::new();
            terms(text).for_each(|term| *counts.entry(term).or_default() += 1);
            counts.keys().for_each(|term| *spread.entry(term.clone()).or_default() += 1);
            let length = counts.values().sum();
            counted.push((counts, length));
        }
        let terms: usize = counted.iter().map(|(_, length)| length).sum();
        let mean_length = terms as f64 / counted.len().max(1) as f64;
        Self { texts: counted, spread, mean_length }
    }

    /// The texts by their places, best first; equals stay in their order.
    #[must_use]
    pub fn rank(&self, query: &str) -> Vec<usize> {
        let terms: Vec<String> = terms(query).collect();
        let scores: Vec<f64> = (0..self.texts.len()).map(|at| self.score(at, &terms)).collect();
        let score = |at: &usize| scores.get(*at).copied().unwrap_or_default();
        let mut ranking: Vec<usize> = (0..self.texts.len()).collect();
        ranking.sort_by(|left, right| score(right).total_cmp(&score(left)));
        ranking
    }

    fn score(&self, at: usize, terms: &[String]) -> f64 {
        let Some((counts, length)) = self.texts.get(at) else { return 0.0 };
        let texts = self.texts.len() as f64;
        let damping = K1 * (1.0 - B + B * *length as f64 / self.mean_length.max(1.0));
        terms
            .iter()
            .filter_map(|term| Some((*counts.get(term)? as f64, *self.spread.get(term)? as f64)))
            .map(|(count, spread)| {
                let weight = (1.0 + (texts - spread + 0.5) / (spread + 0.5)).ln();
                weight * count * (K1 + 1.0) / (count + damping)
            })
            .sum()
    }
}

/// Runs of letters, numbers and underscores in lower case.
fn terms(text: &str) -> impl Iterator<Item = String> {
    text.split(|one: char| !one.is_alphanumeric() && one != '_').filter(|term| !term.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_overlap_by_all_sentences_but_one() {
        let made = passages(["One. Two! Three? Four 4.5 it is.", "Short", " "]);
        assert_eq!(made, ["One. Two! Three?", "Two! Three? Four 4.5 it is.", "Short"]);
    }

    #[test]
    fn rare_words_weigh_more_and_equals_keep_their_order() {
        let texts = ["the boat is red", "the boat is called Anna", "the cat", "the dog"].map(str::to_owned);
        let ranked = Bm25::new(&texts).rank("What is the boat called?");
        assert_eq!(ranked, [1, 0, 2, 3]);
        assert_eq!(Bm25::new(&[]).rank("x"), Vec::<usize>::new());
    }
}
