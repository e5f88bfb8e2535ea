//! Words as the checks see them: those of Python's `re` with `\w` and `re.IGNORECASE`, and of its `str.split`.
//!
//! A word character is a letter, a number (categories L and N) or the underscore. Rust's `char::is_alphanumeric` also
//! takes vowel signs and circled letters, so the categories come from the tables of `regex-syntax`. Two characters are
//! the same, case ignored, where their lower cases are or have the same upper case, each character by itself: so `ß` is
//! `ẞ` and not `ss`, the three sigmas are one, and `i` is also `ı`.
//!
//! Source: both rules were compared with CPython 3.11 over all of Unicode, without a difference.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, HirKind};

/// Words in a row that are the user's own, not a reply to them.
pub(super) const PARROT_WORDS: usize = 7;

/// Categories of word characters.
const WORD_CLASS: &str = r"[\p{L}\p{N}_]";

/// Ranges of word characters in ascending order.
static WORD_RANGES: LazyLock<Vec<(char, char)>> = LazyLock::new(|| {
    let class = regex_syntax::parse(WORD_CLASS).map(regex_syntax::hir::Hir::into_kind);
    match class {
        Ok(HirKind::Class(Class::Unicode(class))) => class.iter().map(|range| (range.start(), range.end())).collect(),
        // The class is a constant, and a test reads it.
        other => unreachable!("{WORD_CLASS} is read as {other:?}"),
    }
});

/// Whether `c` is part of a word.
pub(super) fn is_word_character(c: char) -> bool {
    let at = WORD_RANGES.partition_point(|(_, end)| *end < c);
    WORD_RANGES.get(at).is_some_and(|(start, _)| *start <= c)
}

/// White space by which Python's `str.split` cuts: four control characters more than Rust's.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// A character, case ignored.
type Folded = [char; 3];

fn folded(c: char) -> Folded {
    let lower = c.to_lowercase().next().unwrap_or(c);
    let mut folded = Folded::default();
    for (slot, upper) in folded.iter_mut().zip(lower.to_uppercase()) {
        *slot = upper;
    }
    folded
}

/// Whether one of `needles` stands in `text` as whole words, case ignored.
pub(super) fn has(text: &str, needles: &[String]) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let text: Vec<Folded> = characters.iter().copied().map(folded).collect();
    let is_in_word = |at: Option<usize>| at.and_then(|at| characters.get(at)).copied().is_some_and(is_word_character);
    needles.iter().any(|needle| {
        let needle: Vec<Folded> = needle.chars().map(folded).collect();
        (0..=text.len()).any(|start| {
            let end = start + needle.len();
            text.get(start..end) == Some(needle.as_slice())
                && !is_in_word(start.checked_sub(1))
                && !is_in_word(Some(end))
        })
    })
}

/// The words of a text in lower case.
pub(super) fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower.split(|c| !is_word_character(c)).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// How many words a text has, where words are what white space parts.
pub(super) fn word_count(text: &str) -> usize {
    text.split(is_space).filter(|word| !word.is_empty()).count()
}

/// Whether nothing but white space stands in a text.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(is_space)
}

/// Whether a reply repeats [`PARROT_WORDS`] or more words in a row of what the user said earlier.
pub(super) fn parrots(reply: &str, earlier: &[&str]) -> bool {
    let reply = words(reply);
    earlier
        .iter()
        .map(|text| words(text))
        .any(|said| said.windows(PARROT_WORDS).any(|run| reply.windows(PARROT_WORDS).any(|own| own == run)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, needle: &str) -> bool {
        has(text, &[needle.to_owned()])
    }

    #[test]
    fn word_characters_are_those_of_python() {
        for word in ['a', 'Z', '_', '5', 'é', 'ß', 'ł', '漢', 'ば', '٣', '²', '½', 'Ⅷ', 'ª'] {
            assert!(is_word_character(word), "{word}");
        }
        // A vowel sign of Devanagari, a combining acute, a circled letter: `char::is_alphanumeric` takes two of them.
        for other in [' ', '-', '\'', '’', '.', '😀', '\u{93e}', '\u{301}', 'Ⓐ', '€', '\u{ad}'] {
            assert!(!is_word_character(other), "{other:?}");
        }
    }

    #[test]
    fn a_needle_stands_as_whole_words_only() {
        for (text, needle) in [
            ("Your cat is Pudding.", "pudding"),
            ("PUDDING!", "Pudding"),
            ("It costs 380€.", "380"),
            ("à Nantes, oui", "NANTES"),
            ("Ŝi loĝas en Łódź.", "łódź"),
            ("on the 14th", "14th"),
            ("(don't know)", "don't know"),
            ("ΟΔΟΣ", "οδος"),
            ("Straẞe", "straße"),
            ("\u{130}zmir", "izmir"),
            ("e\u{301}t", "e"),
            ("CO₂ it is", "co₂"),
        ] {
            assert!(found(text, needle), "{needle} in {text}");
        }
        for (text, needle) in [
            ("puddings", "pudding"),
            ("1380", "380"),
            ("cat_pudding", "pudding"),
            ("Strasse", "Straße"),
            ("Łódźka", "Łódź"),
            ("漢字", "漢"),
            ("été", "t"),
            ("", "a"),
            ("don’t know", "don't know"),
        ] {
            assert!(!found(text, needle), "{needle} in {text}");
        }
        assert!(!has("anything", &[]));
    }

    #[test]
    fn words_are_cut_at_what_is_no_word_character() {
        assert_eq!(words("Don't STOP, l'été_2 – ok?"), ["don", "t", "stop", "l", "été_2", "ok"]);
        assert_eq!((word_count(" a\u{1f}b c-d "), word_count(" \n")), (3, 0));
        assert!(is_blank(" \u{1c}\t") && !is_blank("."));
    }

    #[test]
    fn seven_words_in_a_row_are_parroted_and_six_are_not() {
        let said = ["I keep my spare key under the blue pot.", "Hello."];
        assert!(parrots("You keep it: MY spare key, under the blue pot!", &said));
        assert!(!parrots("Your spare key: under the blue pot.", &said));
        assert!(!parrots("my spare key under the blue pot", &[]));
    }
}
