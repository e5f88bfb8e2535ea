//! In which language a text is written.
//!
//! Two libraries are asked: one compares groups of three letters with those of 70 languages, the other weighs groups of one to four
//! letters of 16. Short messages mislead either. Where the two agree, or the first is certain and the second does not take
//! the text for English, none of 669 messages in nine languages (`benches/conversations`) was taken for another language than its
//! own, and 62 of the 73 that are not English were known.

use whatlang::Lang;
use whichlang::Lang as WeighedLang;

/// So much of a text is looked at: a page tells no more than its beginning does.
const MOST_CHARS: usize = 1000;
/// From here on the first library is certain.
const CERTAIN: f64 = 0.5;

/// A language that people write in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language(Lang);

impl Language {
    /// The language of a text; none where that is not sure.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let text = beginning(text);
        let compared = whatlang::detect(text)?;
        let weighed = whichlang::detect_language(text);
        let agree = weighed.three_letter_code() == compared.lang().code();
        let is_certain = compared.confidence() >= CERTAIN && weighed != WeighedLang::Eng;
        (agree || is_certain).then(|| Self(compared.lang()))
    }

    /// The same where it is another one than English.
    #[must_use]
    pub fn foreign(text: &str) -> Option<Self> {
        Self::of(text).filter(|language| !language.is_english())
    }

    /// Whether a text is rather English than anything else. Of the messages above 21 of 596 that are English were not taken
    /// for it, each of few words, and none of the others was.
    #[must_use]
    pub fn is_likely_english(text: &str) -> bool {
        whichlang::detect_language(beginning(text)) == WeighedLang::Eng
    }

    /// Its name in English.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.eng_name()
    }

    /// Its code of three letters (ISO 639-3).
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Whether it is English.
    #[must_use]
    pub fn is_english(self) -> bool {
        self.0 == Lang::Eng
    }
}

fn beginning(text: &str) -> &str {
    let end = text.char_indices().nth(MOST_CHARS).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<&'static str> {
        Language::of(text).map(Language::name)
    }

    #[test]
    fn languages_of_messages_are_known_where_they_are_sure() {
        for (text, language) in [
            ("An welchem Tag des Monats geht es los?", "German"),
            ("Mi consigli un libro breve?", "Italian"),
            ("No como carne desde hace tres años.", "Spanish"),
            ("Jag har börjat sjunga i kör på tisdagar.", "Swedish"),
            ("Nie lubię kawy.", "Polish"),
            ("Как зовут мою кошку?", "Russian"),
            ("My neighbour built a new shed.", "English"),
        ] {
            assert_eq!(name(text), Some(language), "{text}");
        }
        let long = "Das Haus am See ist alt. ".repeat(41) + &"The house by the lake is old. ".repeat(1000);
        assert_eq!(name(&long), Some("German"));
        assert!(Language::is_likely_english("Is Lake Como nice?"));
        assert!(!Language::is_likely_english("cuál era la verdura que no soporto?"));
        for text in ["ta", "haha close enough", "blimey", "Grazie! That was nice.", "na gut", "17", ""] {
            assert_eq!(name(text), None, "{text}");
        }
    }
}
