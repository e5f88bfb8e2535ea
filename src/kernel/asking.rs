//! What a message asks, as far as its words and signs tell. Pure.

use super::memory_pass::{speaks_of_user, without_quotations, words};

/// Signs of a question, in the scripts that have one.
const QUESTION_MARKS: [char; 4] = ['?', '？', '؟', '՞'];

/// Words by which questions and requests begin that are typed without a sign, in lower case.
#[rustfmt::skip]
const ASKING_WORDS: [&str; 31] = [
    "am", "are", "can", "could", "describe", "did", "do", "does", "give", "has", "have", "how", "is", "list", "name",
    "recall", "remember", "remind", "should", "tell", "was", "were", "what", "when", "where", "which", "who", "whom",
    "whose", "why", "would",
];

/// Words by which requests begin for something to be made up or worked out: what follows describes that, not the user.
#[rustfmt::skip]
const MAKING_WORDS: [&str; 15] = [
    "compare", "complete", "count", "define", "explain", "imagine", "invent", "paraphrase", "pretend", "rhyme", "spell",
    "summarise", "summarize", "translate", "write",
];

/// Words by which a question asks for one thing.
const THING_WORDS: [&str; 8] = ["how", "what", "when", "where", "which", "who", "whom", "whose"];

/// Words that stand before the user in a question about what is so; `should` and `can` ask for advice.
#[rustfmt::skip]
const BEING_WORDS: [&str; 12] = [
    "am", "are", "did", "do", "had", "has", "have", "is", "s", "was", "were", "will",
];

/// How many words may stand between the word that asks and the user: "which of the two towns do I .."
const MOST_BETWEEN: usize = 5;

/// Whether a message asks for something.
pub(super) fn asks(text: &str) -> bool {
    text.contains(QUESTION_MARKS) || text.split(['.', '!', ',', '\n']).any(|part| begins_with(part, &ASKING_WORDS))
}

/// Whether a message ends in a question.
pub(super) fn ends_in_question(text: &str) -> bool {
    text.trim_end().ends_with(QUESTION_MARKS)
}

/// Whether a message does nothing but ask, or asks for something to be made.
pub(super) fn only_asks(text: &str) -> bool {
    let mut sentences = text
        .split_inclusive(|c: char| matches!(c, '.' | '!' | '\n') || QUESTION_MARKS.contains(&c))
        .filter(|sentence| sentence.contains(char::is_alphanumeric))
        .peekable();
    let makes = sentences.peek().is_some_and(|first| begins_with(first, &MAKING_WORDS));
    makes || sentences.all(|sentence| ends_in_question(sentence) || begins_with(sentence, &ASKING_WORDS))
}

/// Whether a message asks what is so about the user or what is theirs: "where do I live", "what's my aunt called".
pub(super) fn asks_about_user(text: &str) -> bool {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let is_user = |word: &&str| matches!(*word, "i" | "my" | "mine" | "we" | "our");
    words.iter().enumerate().filter(|(_, word)| THING_WORDS.contains(word)).any(|(at, _)| {
        let behind = words.get(at + 1..).unwrap_or_default();
        let pairs = behind.iter().zip(behind.iter().skip(1)).take(MOST_BETWEEN);
        pairs.into_iter().any(|(being, user)| BEING_WORDS.contains(being) && is_user(user))
    })
}

/// Whether a message does nothing but ask, and speaks of the user in it: a question to which notes and what was said may
/// have the answer. One about the agent has another: who the agent is stands in its own block.
pub(super) fn asks_of_user(text: &str) -> bool {
    let of_agent = |word: String| matches!(word.as_str(), "your" | "yours" | "yourself");
    let own = without_quotations(text);
    asks(&own) && only_asks(&own) && speaks_of_user(&own) && !words(&own).any(of_agent)
}

fn begins_with(sentence: &str, list: &[&str]) -> bool {
    let first: String = sentence.trim_start().chars().take_while(|c| c.is_alphanumeric()).collect();
    list.contains(&first.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::{asks, asks_about_user, asks_of_user, only_asks};

    #[test]
    fn questions_are_known_by_their_sign_or_their_first_word() {
        for asking in [
            "Where do I live?",
            "hey, what's my aunt called",
            "Thanks. Remind me of the date",
            "住在哪里？",
            "أين أسكن؟",
        ] {
            assert!(asks(asking), "{asking}");
        }
        for telling in ["I live in Turku.", "Good morning!", "My whole day was fine.", "", "..."] {
            assert!(!asks(telling), "{telling}");
        }
    }

    #[test]
    fn a_question_about_the_user_is_none_for_advice() {
        for asking in ["Where do I live?", "what's my aunt called", "by the way, which of the two towns do I prefer"] {
            assert!(asks_about_user(asking), "{asking}");
        }
        for other in ["What should I give my aunt?", "I know where she lives.", "How deep is the lake?", "who?"] {
            assert!(!asks_about_user(other), "{other}");
        }
    }

    #[test]
    fn a_question_of_the_user_speaks_of_them_and_tells_nothing() {
        for asking in [
            "where do I live",
            "Do you know what my aunt is called?",
            "Wie heißt mein Hund?",
            "And me, what do I play?",
        ] {
            assert!(asks_of_user(asking), "{asking}");
        }
        for other in [
            "How deep is the lake?",
            "I live in Ghent. Nice, no?",
            "What is your name?",
            "Say 'I am tall' in Dutch?",
            "I live.",
        ] {
            assert!(!asks_of_user(other), "{other}");
        }
    }

    #[test]
    fn a_message_that_also_tells_something_does_not_only_ask() {
        for asking in [
            "How do you say hello in Spanish? And goodbye?",
            "what is lactic acid",
            "Translate this: the garden is green. The sea is blue.",
        ] {
            assert!(only_asks(asking), "{asking}");
        }
        for telling in ["My aunt is called Zibby. Do you like the name?", "hm, how is that", "Good morning!"] {
            assert!(!only_asks(telling), "{telling}");
        }
    }
}
