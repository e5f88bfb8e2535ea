//! Whether a question asks for what stands in some sources, and whether an answer tells what stands there, as far as their words
//! tell. Pure.

use super::super::language::{is_form_of, meaning_words, names, words};

/// Words of which answers are made, whatever they tell, beside those of notes.
#[rustfmt::skip]
const FRAME: [&str; 16] = [
    "about", "because", "been", "but", "did", "into", "live", "than", "then", "there", "they", "this", "were", "work", "you", "your",
];

/// Words of which questions are made, whatever they ask for, beside those of notes.
#[rustfmt::skip]
const ASKING: [&str; 51] = [
    "about", "again", "any", "been", "can", "could", "did", "ever", "get", "going", "got", "happened", "how", "kind", "know", "last", "long",
    "many", "much", "next", "now", "our", "remember", "said", "say", "should", "some", "sort", "tell", "there", "these", "they", "this", "those",
    "today", "type", "want", "wants", "were", "what", "when", "where", "which", "who", "whom", "whose", "why", "will", "would", "you", "your",
];

/// How answers begin that need nothing else to tell something.
const WHOLE: [&str; 8] = ["ja", "nein", "no", "non", "oui", "si", "sí", "yes"];

/// Whether each word of a question that says what it asks for stands in one of `sources`. Where one does not, most questions that
/// small models answer are answered with something else.
pub(super) fn is_covered<'a>(asked: &str, sources: impl Iterator<Item = &'a str>) -> bool {
    let known: Vec<String> = sources.flat_map(words).collect();
    let mut asked = meaning_words(asked).into_iter().filter(|word| !ASKING.contains(&&**word));
    asked.all(|word| known.iter().any(|known| is_form_of(&word, known)))
}

/// Whether every name and number of `answer` stands in one of `sources` or in what was `asked`, and of what it tells beside
/// what was asked, at least a word stands in the sources.
pub(super) fn is_grounded<'a>(answer: &str, asked: &str, sources: impl Iterator<Item = &'a str>) -> bool {
    let asked: Vec<String> = words(asked).collect();
    let known: Vec<String> = sources.flat_map(words).collect();
    let stands_in = |word: &str, all: &[String]| all.iter().any(|other| is_form_of(word, other));
    if names(answer).any(|name| !stands_in(&name, &known) && !stands_in(&name, &asked)) {
        return false;
    }
    if words(answer).next().is_some_and(|first| WHOLE.contains(&&*first)) {
        return true;
    }
    let mut told = meaning_words(answer)
        .into_iter()
        .filter(|word| !FRAME.contains(&&**word) && !stands_in(word, &asked))
        .peekable();
    told.peek().is_none() || told.any(|word| stands_in(&word, &known))
}

#[cfg(test)]
mod tests {
    use super::{is_covered, is_grounded};

    const SOURCES: [&str; 2] =
        ["My canoe is called Pelican, and I leave for Riga at 8.", "The user works as a welder."];

    #[track_caller]
    fn grounded(asked: &str, answer: &str) -> bool {
        is_grounded(answer, asked, SOURCES.into_iter())
    }

    #[test]
    fn what_stands_in_the_sources_is_grounded_in_any_form() {
        assert!(grounded("Where do I go?", "You are leaving for Riga at 8."));
        assert!(grounded("What do I do?", "You're a welder."));
        assert!(grounded("What is my canoe called?", "Pelican."));
        assert!(grounded("Is my canoe called Otter?", "No, your canoe is called Pelican, not Otter."));
        assert!(grounded("Do I have a canoe?", "Yes, you do."));
    }

    #[test]
    fn a_question_is_covered_where_all_that_it_asks_for_stands_there() {
        for covered in ["What is my canoe called?", "When am I leaving?", "Where do I work?", "What's Pelican?"] {
            assert!(is_covered(covered, SOURCES.into_iter()), "{covered}");
        }
        for other in ["What is my dog called?", "What colour is my canoe?", "How old is Pelican?"] {
            assert!(!is_covered(other, SOURCES.into_iter()), "{other}");
        }
    }

    #[test]
    fn what_stands_nowhere_is_not() {
        assert!(!grounded("What colour is my canoe?", "Your canoe is blue."));
        assert!(!grounded("How old am I?", "You are 28 years old."));
        assert!(!grounded("What is my brother called?", "Your brother is called Janis."));
        assert!(!grounded("What do I eat?", "You eat cereal."));
    }
}
