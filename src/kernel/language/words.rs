//! What the words of a text tell: of whom it speaks, what it names, which words mean something. Pure.

use std::cell::LazyCell;

use crate::types::Language;

/// Signs of a question, in the scripts that have one.
pub(super) const QUESTION_MARKS: [char; 4] = ['?', '？', '؟', '՞'];

/// Words of which facts are made, whatever they say.
#[rustfmt::skip]
const FRAME: [&str; 24] = [
    "and", "are", "called", "does", "for", "from", "had", "has", "have", "her", "his", "its", "likes", "lives", "name",
    "named", "not", "that", "the", "their", "user", "was", "with", "works",
];

/// Words by which sentences begin and that name nobody.
#[rustfmt::skip]
const BEGINNINGS: [&str; 21] = [
    "a", "an", "both", "every", "he", "her", "his", "i", "in", "it", "its", "my", "on", "our", "she", "that", "the", "their", "there",
    "they", "this",
];

/// Letters by which a word is known in another form.
const STEM_CHARS: usize = 4;

/// Words by which a message speaks of the user, and of the agent, in some languages. In others it may do both.
const FIRST_PERSON: [&str; 35] = [
    "i", "im", "ive", "my", "mine", "we", "our", "ich", "mein", "meine", "wir", "unser", "je", "mon", "ma", "mes",
    "yo", "mi", "mis", "io", "mio", "mia", "miei", "eu", "meu", "minha", "meus", "jag", "min", "mitt", "mina", "ik",
    "mijn", "jeg", "mit",
];
const SECOND_PERSON: [&str; 24] = [
    "you", "your", "yours", "yourself", "u", "du", "dich", "dir", "dein", "deine", "sie", "ihr", "ihnen", "tu", "te",
    "toi", "ton", "ta", "tes", "vous", "votre", "ti", "tú", "usted",
];

/// The French for I, which is the Dutch for you.
const FRENCH_I: &str = "je";

/// Words that stand for somebody or something that was spoken of.
const STANDING_IN: [&str; 9] = ["he", "her", "him", "it", "she", "that", "them", "then", "they"];

/// Words of greeting and thanks.
#[rustfmt::skip]
const GREETINGS: [&str; 25] = [
    "aloha", "bonjour", "ciao", "cześć", "danke", "gracias", "grazie", "hallo", "hei", "hej", "hejsan", "hello", "hey", "hi", "hoi", "hola",
    "merci", "moin", "olá", "salut", "servus", "tack", "thanks", "thx", "tjena",
];
/// Most words of a sentence that only greets: "hey there mneme".
const MAX_GREETING_WORDS: usize = 3;

/// The user as an object.
pub(in crate::kernel) const OBJECTS: [&str; 4] = ["me", "us", "myself", "ourselves"];

/// The words of a text, in lower case.
pub(in crate::kernel) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// The sentences of a text, with the sign at their end. A sign within a word ends none: "3.5", "www.example.org".
pub(in crate::kernel) fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let ends = |(at, sign): (usize, char)| {
            let end = at + sign.len_utf8();
            let is_end =
                rest.get(end..).is_none_or(|behind| behind.is_empty() || behind.starts_with(char::is_whitespace));
            let is_sign = matches!(sign, '.' | '!' | '?') && is_end
                || sign == '\n'
                || sign != '?' && QUESTION_MARKS.contains(&sign);
            is_sign.then_some(end)
        };
        let end = rest.char_indices().find_map(ends).unwrap_or(rest.len());
        let (sentence, behind) = rest.split_at(end);
        rest = behind;
        (!sentence.is_empty()).then_some(sentence)
    })
    .filter(|sentence| sentence.contains(char::is_alphanumeric))
}

/// The words of a sentence that mean something beyond the frame of a fact.
pub(in crate::kernel) fn meaning_words(text: &str) -> Vec<String> {
    words(text).filter(|word| word.chars().count() >= 3 && !FRAME.contains(&word.as_str())).collect()
}

/// The words of a sentence that name or count something: those with a digit, and those with a capital letter that do not
/// begin the sentence. In lower case.
pub(in crate::kernel) fn names(sentence: &str) -> impl Iterator<Item = String> {
    let mut begins = true;
    sentence.split_inclusive(|c: char| !c.is_alphanumeric()).filter_map(move |word| {
        let bare = word.trim_end_matches(|c: char| !c.is_alphanumeric());
        let first = begins;
        begins = word.ends_with(['.', '!', '?', ':', '\n']) || first && bare.is_empty();
        let tells = bare.chars().any(char::is_numeric) || !first && bare.starts_with(char::is_uppercase) && bare != "I";
        tells.then(|| bare.to_lowercase())
    })
}

/// As [`names`], with the first word where it is no article or pronoun: "Zibby is a vegetarian."
pub(in crate::kernel) fn all_names(sentence: &str) -> impl Iterator<Item = String> {
    let first = sentence.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty()).unwrap_or_default();
    let lower = first.to_lowercase();
    let names_one = first.starts_with(char::is_uppercase) && !BEGINNINGS.contains(&lower.as_str());
    names_one.then_some(lower).into_iter().chain(names(sentence))
}

/// Whether two words have a stem in common, as far as their first letters tell.
pub(in crate::kernel) fn is_form_of(one: &str, two: &str) -> bool {
    let stem = |word: &str| word.chars().take(STEM_CHARS).collect::<String>();
    stem(one) == stem(two)
}

/// A text without what stands in quotation marks. An apostrophe within a word is none.
pub(in crate::kernel) fn without_quotations(text: &str) -> String {
    by_quotation(text).0
}

/// What stands in quotation marks.
pub(in crate::kernel) fn quotations(text: &str) -> Vec<String> {
    by_quotation(text).1
}

/// A text without its quotations, and those. A mark that nothing closes is no quotation.
fn by_quotation(text: &str) -> (String, Vec<String>) {
    let (mut own, mut quoted) = (String::with_capacity(text.len()), Vec::new());
    let (mut closing, mut within) = (None, String::new());
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        let ends_word = !chars.peek().is_some_and(|next| next.is_alphanumeric());
        match closing {
            Some(end) if c == end && (end != '\'' || ends_word) => {
                closing = None;
                quoted.push(std::mem::take(&mut within));
            }
            Some(_) => within.push(c),
            None => match c {
                '"' => closing = Some('"'),
                '“' | '„' => closing = Some(if text.contains('”') { '”' } else { '“' }),
                '«' => closing = Some('»'),
                '\'' if !before.is_alphanumeric() => closing = Some('\''),
                c => own.push(c),
            },
        }
        before = c;
    }
    if closing.is_some() { (text.to_owned(), Vec::new()) } else { (own, quoted) }
}

/// Whether a text speaks of something that only what was said before it names.
pub(in crate::kernel) fn refers_back(text: &str) -> bool {
    words(text).any(|word| STANDING_IN.contains(&&*word))
}

/// Whether a text greets or thanks and does nothing else.
pub(in crate::kernel) fn is_greeting(text: &str) -> bool {
    let first = words(text).next();
    first.is_some_and(|first| GREETINGS.contains(&&*first))
        && words(text).count() <= MAX_GREETING_WORDS
        && names(text).next().is_none()
}

/// Whether a text speaks of who writes it.
pub(in crate::kernel) fn speaks_of_user(text: &str) -> bool {
    let is_dutch = LazyCell::new(|| is_dutch(text));
    words(text).any(|word| FIRST_PERSON.contains(&word.as_str()) && !(word == FRENCH_I && *is_dutch))
}

/// Whether a text speaks to somebody.
pub(in crate::kernel) fn speaks_to_somebody(text: &str) -> bool {
    let is_dutch = LazyCell::new(|| is_dutch(text));
    words(text).any(|word| SECOND_PERSON.contains(&word.as_str()) || word == FRENCH_I && *is_dutch)
}

fn is_dutch(text: &str) -> bool {
    Language::of(text).is_some_and(|language| language.code() == "nld")
}

/// Whether a text says I and not you.
pub(in crate::kernel) fn speaks_of_user_alone(text: &str) -> bool {
    speaks_of_user(text) && !speaks_to_somebody(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_a_sign_ends_a_word() {
        let of = |text| sentences(text).map(str::trim).collect::<Vec<_>>();
        assert_eq!(
            of("I paid 3.5 at www.kaffee.be. Good?! Yes...\nno"),
            ["I paid 3.5 at www.kaffee.be.", "Good?!", "Yes...", "no"]
        );
        assert_eq!(of("住在哪里？我住这里"), ["住在哪里？", "我住这里"]);
        assert!(of(" ... ").is_empty());
    }

    #[test]
    fn names_are_capitals_within_a_sentence_and_numbers() {
        let of = |sentence| names(sentence).collect::<Vec<_>>();
        assert_eq!(
            of("The user and I met Dr Lem in Oslo on 3 May, flat 27B."),
            ["dr", "lem", "oslo", "3", "may", "27b"]
        );
        assert!(of("The user has a dog. Nice one!").is_empty());
    }
}
