//! Long messages in pieces that a small model can look at, and what of them is not worth a look. Pure.

use super::words::{OBJECTS, names, speaks_of_user, words};

/// Characters of a message that are looked at together.
const PIECE_CHARS: usize = 400;
/// Pieces of a message that are looked at: a longer one is a document, not a remark.
const MAX_PIECES: usize = 12;
/// A sentence of so many words says something.
const LEAST_SAYING_WORDS: usize = 8;
/// Words that are common in the languages in which it is known how users speak of themselves, and in few others.
#[rustfmt::skip]
const COMMON: [&str; 20] = [
    "the", "and", "of", "der", "die", "und", "les", "des", "et", "que", "los", "el", "di", "che", "och", "att", "het", "een", "og", "para",
];
/// So many of them tell the language of a piece.
const LEAST_COMMON: usize = 4;

/// A long message in pieces that end with a line, a sentence or a word.
pub(in crate::kernel) fn pieces(message: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = message.trim();
    while !rest.is_empty() && pieces.len() < MAX_PIECES {
        let limit = rest.char_indices().nth(PIECE_CHARS).map_or(rest.len(), |(at, _)| at);
        let (head, tail) = rest.split_at(limit);
        let end = if tail.is_empty() {
            head.len()
        } else {
            // A place near the beginning would leave a piece of a few words.
            let behind = |mark: &str| head.rfind(mark).map(|at| at + mark.len()).filter(|end| *end > head.len() / 2);
            ["\n", ". ", " "].into_iter().find_map(behind).unwrap_or(head.len())
        };
        let (piece, behind) = rest.split_at(end);
        pieces.push(piece.trim().to_owned());
        rest = behind.trim_start();
    }
    pieces
}

/// Whether a piece of a long message is about something else than the user and theirs, as that of a page that was pasted: in
/// a language whose words are known it never says I, my or me.
pub(in crate::kernel) fn is_about_else(piece: &str) -> bool {
    let count = |list: &[&str]| words(piece).filter(|word| list.contains(&word.as_str())).count();
    !speaks_of_user(piece) && count(&OBJECTS) == 0 && count(&COMMON) >= LEAST_COMMON
}

/// A text without the short sentences at its end that name nobody and do not speak of the user: by those, small models take all
/// of it for small talk.
pub(in crate::kernel) fn without_small_talk(text: &str) -> &str {
    let mut rest = text.trim_end();
    loop {
        // What stands behind the last sign that has words behind it.
        let body = rest.trim_end_matches(|c: char| !c.is_alphanumeric());
        let Some(at) = body.rfind(['.', '!', '?', '\n']) else { return rest };
        let (before, last) = body.split_at(at + 1);
        let says =
            words(last).count() >= LEAST_SAYING_WORDS || speaks_of_user(last) || names(last.trim()).next().is_some();
        if says {
            return rest;
        }
        rest = before.trim_end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_page_is_not_about_the_user_and_a_letter_is() {
        let page = "The Oder rises in the mountains of Moravia and flows north. Of its tributaries the Warta is the longest, and \
                    the canal between them was dug in the years of the old king.";
        assert!(is_about_else(page));
        for told in [
            "The flat is on the ninth floor and the lift of the house is out of order, which does not please us.",
            "Anna lives there with Tom.",
            "Rzeka płynie przez miasto i las, a potem do morza.",
            "Die Wohnung liegt an der Oder, und die Miete teilt sich meine Schwester mit der Tante.",
        ] {
            assert!(!is_about_else(told), "{told}");
        }
    }

    #[test]
    fn small_talk_at_the_end_of_a_piece_is_left_out() {
        let said = "I weave scarves. I want to walk across Portugal, coast to border.";
        for talk in [
            " There, that's me, more or less. Pleased to meet you.",
            " Well then!",
            " Any ideas?",
            " Well? Any ideas?? (Or not.)",
            "",
        ] {
            assert_eq!(without_small_talk(&format!("{said}{talk}")), said, "{talk}");
        }
        for whole in ["My dog is old. He is called Rex.", "I am tired. I like tea.", "Pleased to meet you.", "?!", ""] {
            assert_eq!(without_small_talk(whole), whole);
        }
    }

    proptest::proptest! {
        #[test]
        fn of_any_text_only_an_end_is_left_out(text in "([a-zI]{1,3}[ .!?(\n]{1,2}){0,8}[^a]{0,6}") {
            proptest::prop_assert!(text.starts_with(without_small_talk(&text)));
        }
    }

    #[test]
    fn long_messages_are_looked_at_in_pieces_that_lose_no_word() {
        let message = "A sentence of some length stands here. ".repeat(80);
        let pieces = pieces(&message);
        assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.chars().count() <= PIECE_CHARS));
        assert!(pieces.iter().all(|piece| piece.ends_with('.')), "{pieces:?}");
        assert_eq!(pieces.join(" "), message.trim());
        assert!(super::pieces("  ").is_empty());
    }

    #[test]
    fn a_line_that_ends_early_does_not_have_the_rest_cut_inside_of_a_word() {
        let pieces = pieces(&format!("Hi,\n{}", "words without any full stop ".repeat(80)));
        assert!(pieces.len() > 1);
        let known = ["Hi,\nwords", "words", "without", "any", "full", "stop"];
        let is_whole = |piece: &String| piece.split(' ').all(|word| known.contains(&word));
        assert!(pieces.iter().all(is_whole), "{pieces:?}");
    }
}
