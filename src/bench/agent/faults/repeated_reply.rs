//! A reply that was given before: the agent runs in a circle.

use super::super::words::words;

/// Shorter replies are not counted, in words: who asks for a name twice is told the same word twice.
const MIN_WORDS: usize = 4;

/// Whether the words of the reply are those of an earlier one, in the same order. Case and punctuation do not count.
pub(super) fn is_repeated(reply: &str, earlier: &[String]) -> bool {
    let reply = words(reply);
    reply.len() >= MIN_WORDS && earlier.iter().any(|other| words(other) == reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_are_a_repetition_unless_they_are_few() {
        let earlier = ["That sounds great, tell me more!", "Pudding."].map(str::to_owned);
        assert!(is_repeated("that sounds great – tell me more", &earlier));
        for own in ["That sounds great, tell me more about it!", "Pudding.", "", "tell me more"] {
            assert!(!is_repeated(own, &earlier), "{own}");
        }
    }
}
