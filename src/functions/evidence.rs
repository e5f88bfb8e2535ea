//! The sentences of what was said that bear on a question: as many as there is time to read, instead of whole messages.
//!
//! A message of ten sentences answers a question in one of them. Whole messages are found by a search (`memory`); within them,
//! stretches of a few sentences are ranked against each other, by the words that are rare among them (BM25) and by meaning.
//! On 80 questions about long messages, an answer stands in what is shown of those for 86 %, in a fifth fewer characters than
//! the sentences with most words of the question in each of the first five messages take, which have it for 80 %.

use std::collections::HashMap;
use std::ops::Range;

use super::excerpt::{alike, parts, words};
use crate::memory::Embed;

/// Sentences of a stretch; the next one begins a sentence later.
const STRETCH_SENTENCES: usize = 3;
/// Characters beyond which a stretch takes in no further sentence, and within which a sentence is cut.
const STRETCH_CHARS: usize = 320;
/// Stretches with the best words whose meaning is looked at.
const EMBEDDED_STRETCHES: usize = 24;
/// Share of the similarity of meaning in a score; the words have the rest.
const MEANING_SHARE: f32 = 0.35;
/// What it is worth that the search found a message first, against one that it found last.
const FOUND_FIRST: f32 = 0.2;
/// How soon more of the same word counts no more, and how much the length of a stretch counts.
/// Source: Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009.
const K1: f32 = 1.2;
const B: f32 = 0.75;

/// A few sentences of one of the texts.
#[derive(Debug, Clone, PartialEq)]
struct Stretch<'t> {
    /// The place of the text.
    of: usize,
    /// Where it stands there.
    bytes: Range<usize>,
    text: &'t str,
    score: f32,
}

/// What is shown of each of `texts`, as one line with "..." where something is left out; none of those that bear least on
/// `query`. The first of `texts` is the one that was found first. At most `max_chars` characters in all, or the best stretch.
pub(crate) fn evidence(
    texts: &[&str],
    query: &str,
    max_chars: usize,
    embedder: Option<&mut (dyn Embed + 'static)>,
) -> Vec<Option<String>> {
    let mut all: Vec<Stretch<'_>> = texts.iter().enumerate().flat_map(|(of, text)| stretches(of, text)).collect();
    score_words(&mut all, texts.len(), query);
    all.sort_by(|one, two| two.score.total_cmp(&one.score));
    if let Some(embedder) = embedder {
        score_meaning(&mut all, query, embedder);
        all.sort_by(|one, two| two.score.total_cmp(&one.score));
    }
    let mut shown: HashMap<usize, Vec<Range<usize>>> = HashMap::new();
    let mut chars = 0;
    for stretch in all {
        let of_text = shown.entry(stretch.of).or_default();
        let text = texts.get(stretch.of).copied().unwrap_or_default();
        let count = |range: Range<usize>| text.get(range).map_or(0, |text| text.chars().count());
        let new: usize = uncovered(&stretch.bytes, of_text).into_iter().map(count).sum();
        if chars > 0 && chars + new > max_chars {
            break;
        }
        chars += new;
        of_text.push(stretch.bytes);
    }
    let line = |(of, text): (usize, &&str)| {
        let ranges = shown.remove(&of).filter(|ranges| !ranges.is_empty())?;
        Some(joined(text, ranges)).filter(|line| !line.is_empty())
    };
    texts.iter().enumerate().map(line).collect()
}

/// The pieces of `range` that none of `ranges` has.
fn uncovered(range: &Range<usize>, ranges: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut pieces = vec![range.clone()];
    for other in ranges {
        let without = |piece: Range<usize>| {
            let before = piece.start..other.start.clamp(piece.start, piece.end);
            let behind = other.end.clamp(piece.start, piece.end)..piece.end;
            [before, behind]
        };
        pieces = pieces.into_iter().flat_map(without).filter(|piece| !piece.is_empty()).collect();
    }
    pieces
}

/// What stands at `ranges`, in the order of the text.
fn joined(text: &str, mut ranges: Vec<Range<usize>>) -> String {
    ranges.sort_by_key(|range| range.start);
    let mut shown = String::new();
    let mut end = 0;
    for range in ranges {
        if range.start > end {
            shown.push_str(" ... ");
        }
        shown.push_str(text.get(range.start.max(end)..range.end).unwrap_or_default());
        end = range.end.max(end);
    }
    if !text.get(end..).unwrap_or_default().trim().is_empty() {
        shown.push_str(" ...");
    }
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn stretches(of: usize, text: &str) -> Vec<Stretch<'_>> {
    let parts: Vec<&str> = parts(text).into_iter().flat_map(cut).collect();
    let mut all = Vec::new();
    let mut start = 0;
    for first in 0..parts.len() {
        let (mut end, mut chars) = (start, 0);
        for part in parts.iter().skip(first).take(STRETCH_SENTENCES) {
            chars += part.chars().count();
            if end > start && chars > STRETCH_CHARS {
                break;
            }
            end += part.len();
        }
        all.push(Stretch { of, bytes: start..end, text: text.get(start..end).unwrap_or_default(), score: 0.0 });
        if end == text.len() {
            break;
        }
        start += parts.get(first).map_or(0, |part| part.len());
    }
    all
}

/// A sentence in pieces of at most [`STRETCH_CHARS`] characters, between words where it has some.
fn cut(sentence: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = sentence;
    while let Some((most, _)) = rest.char_indices().nth(STRETCH_CHARS) {
        let between_words = rest.get(..most).and_then(|piece| piece.rfind(char::is_whitespace)).filter(|at| *at > 0);
        let (piece, behind) = rest.split_at(between_words.unwrap_or(most));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

/// Scores from 0 to 1 for the words of the query, and what is added for texts that were found early.
fn score_words(all: &mut [Stretch<'_>], texts: usize, query: &str) {
    let terms: Vec<String> = words(query).map(str::to_lowercase).collect();
    let lower: Vec<String> = all.iter().map(|stretch| stretch.text.to_lowercase()).collect();
    let lengths: Vec<f32> = lower.iter().map(|text| words(text).count() as f32).collect();
    let mean_length = (lengths.iter().sum::<f32>() / lengths.len().max(1) as f32).max(1.0);
    for term in &terms {
        let counts: Vec<f32> =
            lower.iter().map(|text| words(text).filter(|word| alike(word, term)).count() as f32).collect();
        let with = counts.iter().filter(|count| **count > 0.0).count() as f32;
        let weight = (1.0 + (counts.len() as f32 - with + 0.5) / (with + 0.5)).ln();
        for ((stretch, count), length) in all.iter_mut().zip(counts).zip(&lengths) {
            stretch.score += weight * count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length / mean_length));
        }
    }
    let most = all.iter().map(|stretch| stretch.score).fold(f32::MIN_POSITIVE, f32::max);
    for stretch in all {
        stretch.score = stretch.score / most + FOUND_FIRST * (1.0 - stretch.of as f32 / texts as f32);
    }
}

/// Adds their similarity in meaning to the scores of the first stretches.
fn score_meaning(all: &mut [Stretch<'_>], query: &str, embedder: &mut dyn Embed) {
    let mut texts: Vec<&str> = all.iter().take(EMBEDDED_STRETCHES).map(|stretch| stretch.text).collect();
    texts.push(query);
    let vectors = match embedder.embed(&texts) {
        Ok(vectors) => vectors,
        Err(error) => return tracing::warn!(%error, "sentences are ranked by their words alone"),
    };
    let Some((of_query, vectors)) = vectors.split_last() else { return };
    all.iter_mut().for_each(|stretch| stretch.score *= 1.0 - MEANING_SHARE);
    for (stretch, vector) in all.iter_mut().zip(vectors) {
        let cosine: f32 = vector.iter().zip(of_query).map(|(left, right)| left * right).sum();
        stretch.score += MEANING_SHARE * cosine;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Water;

    fn shown(texts: &[&str], query: &str, max_chars: usize) -> Vec<Option<String>> {
        evidence(texts, query, max_chars, None)
    }

    #[test]
    fn the_sentences_with_the_rare_words_are_shown_and_all_where_there_is_room() {
        let filling = "What is my point, and what do I want to say? I do not know what it is. ".repeat(6);
        let long = format!("{filling}My canoe is called Pelican. {filling}");
        let other = "What is my name, and what is my age? That is what I do not say.";
        let found = shown(&[other, &long], "What is my canoe called?", 200);
        assert_eq!(found[0], None);
        let of_long = found[1].clone().expect("the canoe");
        assert!(of_long.contains("My canoe is called Pelican.") && of_long.chars().count() < 220, "{of_long}");
        assert!(of_long.starts_with("... ") && of_long.ends_with(" ..."), "{of_long}");
        let short = ["I row.\nI sing.", "I bake."];
        assert_eq!(shown(&short, "Do I row?", 100), [Some("I row. I sing.".to_owned()), Some("I bake.".to_owned())]);
    }

    #[test]
    fn of_texts_alike_those_that_were_found_first_are_shown() {
        let texts = ["The key hangs here.", "The key hangs there.", "The key hangs nowhere."];
        let found = shown(&texts, "the key", 40);
        assert!(found[0].is_some() && found[1].is_some() && found[2].is_none(), "{found:?}");
    }

    #[test]
    fn a_text_without_sentences_is_cut() {
        let text = format!("{} lighthouse {}", "word ".repeat(400), "end ".repeat(400));
        let of_text = shown(&[&text], "lighthouse", 500)[0].clone().expect("the lighthouse");
        assert!(of_text.contains("lighthouse") && of_text.chars().count() <= 520, "{of_text}");
        let unspaced = "灯".repeat(2000);
        let of_text = shown(&[&unspaced], "灯", 500)[0].clone().expect("a piece");
        assert!(of_text.chars().count() <= 520, "{of_text}");
    }

    #[test]
    fn meaning_decides_where_words_do_not() {
        let texts = ["He bakes at home.", "He sails at home."];
        let found = evidence(&texts, "Who likes the lake?", 10, Some(&mut Water));
        assert_eq!(found, [None, Some("He sails at home.".to_owned())]);
    }

    #[test]
    fn nothing_is_shown_of_nothing() {
        assert_eq!(shown(&[], "x", 100), []);
        assert_eq!(shown(&[""], "x", 100), [None]);
        assert_eq!(shown(&["One. Two."], "", 100), [Some("One. Two.".to_owned())]);
    }

    proptest::proptest! {
        #[test]
        fn what_is_shown_stands_in_the_text(
            texts in proptest::collection::vec("[a-c.? \n灯]{0,900}", 0..4), query in "[a-c ]{0,9}", most in 1_usize..900,
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let found = shown(&texts, &query, most);
            proptest::prop_assert_eq!(found.len(), texts.len());
            for (found, text) in found.iter().zip(&texts) {
                let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
                for piece in found.iter().flat_map(|found| found.split(" ... ")) {
                    let piece = piece.trim_start_matches("... ").trim_end_matches(" ...");
                    proptest::prop_assert!(flat.contains(piece), "{:?} in {:?}", piece, flat);
                }
            }
        }
    }
}
