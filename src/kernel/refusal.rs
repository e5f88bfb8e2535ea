//! Replies that refuse what nobody has asked for: "I work as an optician." - "I'm sorry, but I don't have any information about your
//! work." Where nothing is asked and the model would rather begin so, the word with which it would begin is refused; what moves it to
//! sympathy begins otherwise ("I'm sorry to hear that"), and so does what it cannot or will not do ("I'm sorry, but I can't"). Pure:
//! says when and what.

use super::asking::{asks, only_asks};

/// How refusals begin, and the first word of each, which is a token of its own in common vocabularies.
pub(super) const REFUSALS: [(&str, &str); 4] = [
    ("I'm sorry, but I don't", "I"),
    ("Es tut mir leid, aber ich habe", "Es"),
    ("Je suis désolé, mais je n'ai", "Je"),
    ("Lo siento, pero no tengo", "Lo"),
];

/// Whether nothing in a message can be refused: it asks for nothing.
pub(super) fn only_tells(message: &str) -> bool {
    !message.trim().is_empty() && !asks(message) && !only_asks(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_for_nothing_only_tells() {
        for tells in
            ["I work as an optician.", "no idea yet what he's like", "Piano lessons are every Tuesday at five."]
        {
            assert!(only_tells(tells), "{tells}");
        }
        for asks in ["What's the weather like?", "Can you open the window", "Write a poem about the sea.", " "] {
            assert!(!only_tells(asks), "{asks}");
        }
    }
}
