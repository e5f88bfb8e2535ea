//! Which notes a fact can bear on. Only these are put to the model: each costs it a look, and a message with ten facts
//! beside forty notes would keep two cores busy for minutes.

use std::collections::{HashMap, HashSet};

use crate::memory::Embed;

use super::super::language::{is_form_of, meaning_words};

/// What a word that two sentences share adds to the cosine of their meanings ..
const SHARED_WORD: f32 = 0.2;
/// .. and how many such words count.
const MOST_SHARED: usize = 3;

/// Least score of a note that a fact can make untrue: with all-MiniLM-L6-v2 those that did had 0.2 and more.
pub(super) const LEAST_COMPARED: f32 = 0.2;
/// The same for a note of the same message, which a fact can only repeat.
pub(in crate::kernel) const LEAST_REPEATED: f32 = 0.7;
/// The same for a note that a message may change without saying so in a fact.
pub(super) const LEAST_RENEWED: f32 = 0.4;

/// Ranks notes by how much they have to do with a fact, and keeps the vectors of those that it has seen.
#[derive(Default)]
pub(in crate::kernel) struct Related {
    /// By text; of one embedder.
    vectors: HashMap<String, Vec<f32>>,
    embedder: String,
}

impl Related {
    /// The places of the `most` of `notes` that have most to do with one of `texts`, best first: by words and meaning, or
    /// by words alone without an embedder. Of two that are alike in that, the newer one, which stands behind, comes first.
    /// With an embedder, notes whose score is below `least` are left out.
    pub(super) fn rank(
        &mut self,
        notes: &[String],
        texts: &[&str],
        (most, least): (usize, f32),
        embedder: Option<&mut (dyn Embed + 'static)>,
    ) -> Vec<usize> {
        let least = if embedder.is_some() { least } else { f32::NEG_INFINITY };
        if (notes.len() > most || least.is_finite())
            && let Some(embedder) = embedder
        {
            self.embed(notes.iter().map(String::as_str).chain(texts.iter().copied()), embedder);
        }
        let of_texts: Vec<(&str, Vec<String>)> = texts.iter().map(|text| (*text, meaning_words(text))).collect();
        let mut scored: Vec<(f32, usize)> = notes
            .iter()
            .enumerate()
            .map(|(place, note)| {
                let words = meaning_words(note);
                let score = |(text, of_text): &(&str, Vec<String>)| {
                    self.cosine(note, text) + SHARED_WORD * shared(&words, of_text).min(MOST_SHARED) as f32
                };
                (of_texts.iter().map(score).fold(f32::NEG_INFINITY, f32::max), place)
            })
            .collect();
        scored.sort_by(|(one, first), (two, second)| two.total_cmp(one).then(second.cmp(first)));
        scored.into_iter().filter(|(score, _)| *score >= least).take(most).map(|(_, place)| place).collect()
    }

    /// Makes the vectors that are missing, and forgets those of other texts. Without them words alone count.
    fn embed<'t>(&mut self, texts: impl Iterator<Item = &'t str>, embedder: &mut dyn Embed) {
        if self.embedder != embedder.name() {
            self.vectors.clear();
            embedder.name().clone_into(&mut self.embedder);
        }
        let texts: HashSet<&str> = texts.collect();
        self.vectors.retain(|text, _| texts.contains(text.as_str()));
        let missing: Vec<&str> = texts.into_iter().filter(|text| !self.vectors.contains_key(*text)).collect();
        match embedder.embed(&missing) {
            Ok(vectors) => {
                self.vectors.extend(missing.into_iter().map(str::to_owned).zip(vectors));
            }
            Err(error) => tracing::warn!(%error, "notes are compared by their words alone"),
        }
    }

    fn cosine(&self, one: &str, two: &str) -> f32 {
        match (self.vectors.get(one), self.vectors.get(two)) {
            (Some(one), Some(two)) => one.iter().zip(two).map(|(left, right)| left * right).sum(),
            _ => 0.0,
        }
    }
}

fn shared(one: &[String], two: &[String]) -> usize {
    one.iter().filter(|word| two.iter().any(|other| is_form_of(word, other))).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Water;

    fn ranked(notes: &[&str], text: &str, most: usize) -> Vec<usize> {
        let notes: Vec<String> = notes.iter().map(|note| (*note).to_owned()).collect();
        Related::default().rank(&notes, &[text], (most, 1.0), None)
    }

    #[test]
    fn notes_with_the_words_of_a_fact_come_first_then_the_newest() {
        let notes = ["The user has a dog.", "The user's boat is green.", "The user is tired.", "The user sings."];
        assert_eq!(ranked(&notes, "The user has sold the boats.", 2), [1, 3]);
        assert_eq!(ranked(&notes, "Something else.", 9), [3, 2, 1, 0]);
        assert_eq!(ranked(&[], "The user has a dog.", 3), [0_usize; 0]);
    }

    #[test]
    fn notes_alike_in_meaning_come_first() {
        let notes = ["She sails.".to_owned(), "He sings.".to_owned(), "They bake.".to_owned()];
        let mut related = Related::default();
        let lake = ["A lake dried up."];
        assert_eq!(related.rank(&notes, &lake, (1, 0.0), Some(&mut Water)), [0]);
        assert_eq!(
            related.rank(&notes, &lake, (9, 0.5), Some(&mut Water)),
            [0],
            "the others have nothing to do with it"
        );
        assert_eq!(related.vectors.len(), 4);
        assert_eq!(related.rank(&notes[1..], &lake, (1, 0.0), Some(&mut Water)).len(), 1);
        assert_eq!(related.vectors.len(), 3, "what is no note any more is forgotten");
    }
}
