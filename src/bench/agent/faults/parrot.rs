//! Replies that give the user's own message back, and replies that go round in circles.

use super::super::words::{PARROT_WORDS, words};

/// The part of the reply that words of the message in a row must make up, one of so many: a longer reply may quote.
const COPIED_PART: usize = 2;
/// Words of a piece that is repeated, at least ..
const PIECE_WORDS: usize = 3;
/// .. so many times in a row.
const COPIES: usize = 3;
/// One character that makes up the end of a reply so many times.
const COPIED_CHARS: usize = 12;
/// Characters of which lines are drawn.
const DRAWN: &str = "-=_*#.|~ 0";

/// Whether the reply is the message, or mostly a stretch of it. Short messages are greeted back.
pub(super) fn is_parroted(reply: &str, user: &str) -> bool {
    let (reply, user) = (words(reply), words(user));
    let least = PARROT_WORDS.max(reply.len().div_ceil(COPIED_PART));
    reply.windows(least).any(|stretch| user.windows(least).any(|said| said == stretch))
}

/// Whether a piece of the reply stands there three times in a row, or its end is one character over and over.
pub(super) fn goes_round(reply: &str) -> bool {
    let words = words(reply);
    let is_copied = |piece: usize| {
        words
            .windows(piece * COPIES)
            .any(|copies| copies.iter().zip(copies.iter().skip(piece)).all(|(one, next)| one == next))
    };
    let last = reply.chars().next_back().filter(|last| !DRAWN.contains(*last));
    let end = reply.chars().rev().take_while(|one| Some(*one) == last).count();
    end >= COPIED_CHARS || (PIECE_WORDS..=words.len() / COPIES).any(is_copied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_comes_back_is_parroted() {
        let user = "The twins, Theo and Margit, turned 9 last week, and Theo is football mad.";
        assert!(is_parroted(user, user));
        assert!(is_parroted("Oh, Theo and Margit turned 9 last week!", user));
        for own in [
            "Nine already! What did Theo and Margit get?",
            "You told me this: the twins, Theo and Margit, turned 9 last week. Since then we have spoken of football, of the \
             party on Sunday, of Margit's pencils and of the cake.",
        ] {
            assert!(!is_parroted(own, user), "{own}");
        }
        assert!(!is_parroted("Good morning!", "Good morning!"));
    }

    #[test]
    fn a_reply_that_does_not_come_to_an_end_goes_round() {
        assert!(goes_round("Well, it is so. It is so. It is so. It is so."));
        assert!(goes_round(&format!("Hola {}", "¡".repeat(20))));
        for own in
            ["No, no, no!", "a | b | c\n--------------------", "It is so. It is so, too.", "", "1000000000000000"]
        {
            assert!(!goes_round(own), "{own}");
        }
    }
}
