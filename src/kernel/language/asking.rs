//! What a message asks, as far as its words and signs tell. Pure.

use crate::types::Language;

use super::words::{
    OBJECTS, QUESTION_MARKS, all_names, is_form_of, meaning_words, sentences, speaks_of_user, speaks_to_somebody,
    without_quotations, words,
};

/// Words by which a question asks for one thing.
const THING_WORDS: [&str; 9] = ["how", "what", "when", "where", "which", "who", "whom", "whose", "why"];

/// Those that are typed together with a verb: "whats my job".
const CONTRACTED: [&str; 5] = ["how", "what", "when", "where", "who"];
/// Words by which a sentence asks what or who something is; "how about" proposes.
const BEING_THAT: [&str; 4] = ["what", "which", "who", "whose"];
/// Words that stand before a question.
const LEADING: [&str; 7] = ["and", "but", "hey", "oh", "ok", "okay", "so"];

/// Words by which questions begin that are typed without a sign, in front of whom they ask about.
#[rustfmt::skip]
const AUXILIARIES: [&str; 15] = [
    "am", "are", "can", "could", "did", "do", "does", "has", "have", "is", "should", "was", "were", "will", "would",
];

/// What a question asks about, as its second word. "Have two kids" and "Do not shout" ask nothing.
#[rustfmt::skip]
const SUBJECTS: [&str; 31] = [
    "a", "an", "any", "anybody", "anyone", "anything", "he", "her", "his", "i", "it", "its", "my", "our", "she", "some",
    "somebody", "someone", "that", "the", "their", "there", "these", "they", "this", "those", "we", "you", "your", "mine",
    "yours",
];

/// Words by which requests for an answer begin.
const REQUESTING: [&str; 7] = ["describe", "give", "list", "name", "recall", "remind", "tell"];

/// Words by which requests begin for something to be made up or worked out: what follows describes that, not the user.
#[rustfmt::skip]
pub(in crate::kernel) const MAKING_WORDS: [&str; 15] = [
    "compare", "complete", "count", "define", "explain", "imagine", "invent", "paraphrase", "pretend", "rhyme", "spell",
    "summarise", "summarize", "translate", "write",
];

/// Words by which a remark begins on the form of an answer: "just the name", "yes or no".
#[rustfmt::skip]
const FORM_WORDS: [&str; 13] = [
    "answer", "briefly", "in", "just", "no", "one", "only", "please", "reply", "short", "shortly", "simply", "yes",
];
/// What stands second in it: "just moved to Turin" is none.
#[rustfmt::skip]
const FORM_SECOND: [&str; 17] = [
    "a", "an", "answer", "briefly", "in", "it", "just", "name", "no", "number", "one", "only", "or", "the", "word", "words", "yes",
];
/// Most words of such a remark.
const MAX_FORM_WORDS: usize = 6;

/// Words that stand before the user in a question about what is so; `should` and `can` ask for advice.
#[rustfmt::skip]
const BEING_WORDS: [&str; 12] = [
    "am", "are", "did", "do", "had", "has", "have", "is", "s", "was", "were", "will",
];

/// Words by which advice is asked for, in some languages.
#[rustfmt::skip]
const ADVISING: [&str; 22] = [
    "advice", "better", "can", "could", "devrais", "idea", "ideas", "kann", "might", "puedo", "puis", "recommend", "recommendation", "should",
    "soll", "sollen", "sollte", "suggest", "suggestion", "tips", "wise", "would",
];

/// Who does what one can be advised to do.
const ANYBODY: [&str; 4] = ["i", "people", "we", "you"];

/// Words before a `me` to which something is only to be told.
const TELLING_ME: [&str; 11] = ["ask", "explain", "for", "give", "help", "let", "remind", "send", "show", "tell", "to"];

/// Words by which a question begins for what is so.
const BEING_SO: [&str; 4] = ["when", "where", "which", "who"];

/// Words by which it rather asks for a judgement: "which vaccine is safe for me?"
const JUDGING: [&str; 8] = ["best", "better", "can", "good", "safe", "too", "worth", "you"];

/// What the agent may have done before: answers from the memory do not show its replies.
#[rustfmt::skip]
const SAYING: [&str; 17] = [
    "advise", "advised", "answer", "mean", "meant", "mention", "mentioned", "propose", "proposed", "recommend", "recommended", "say",
    "said", "suggest", "suggested", "write", "wrote",
];

/// Words by which is asked in languages whose verbs alone tell who it is.
#[rustfmt::skip]
const ASKING_ELSEWHERE: [&str; 33] = [
    "qué", "que", "cuál", "cual", "cuáles", "cómo", "como", "dónde", "donde", "cuándo", "cuando", "quién", "quien", "cuánto", "cuántos", "che",
    "cosa", "dove", "quando", "chi", "quale", "quanto", "perché", "onde", "quem", "qual", "gdzie", "kiedy", "kto", "jak", "jaki", "ile", "czy",
];
/// Their verbs that tell that it is the user; most end in "o".
#[rustfmt::skip]
const FIRST_PERSON_VERBS: [&str; 17] = [
    "soy", "estoy", "voy", "doy", "he", "dije", "conté", "sono", "ho", "sou", "estou", "vou", "mam", "jestem", "lubię", "mieszkam", "pracuję",
];
/// Letters of a verb that ends so.
const LEAST_VERB_CHARS: usize = 4;
/// Words by which a question goes on from the one before it, in some languages.
const GOING_ON: [&str; 8] = ["and", "but", "und", "y", "et", "e", "och", "oraz"];
/// Those of whom or of what it goes on, where it begins otherwise.
const GOING_ON_OF: [&str; 7] = ["he", "her", "him", "she", "them", "then", "they"];
/// What is asked of nobody.
const ASKED_OF_ALL: [&str; 4] = ["time is it", "day is it", "day is today", "weather"];
/// Words that say too little to be asked about.
const SMALL: [&str; 15] = [
    "about", "day", "else", "far", "long", "many", "month", "much", "often", "old", "place", "since", "time", "until",
    "year",
];
/// Most words of such a question.
const MAX_FOLLOWING_WORDS: usize = 6;

/// How many words may stand between the word that asks and the user: "which of the two towns do I .."
const MOST_BETWEEN: usize = 5;

/// How many words behind an article name what is meant: "the old oak table".
const MOST_NOUN_WORDS: usize = 2;

/// Whether a message asks for something.
pub(in crate::kernel) fn asks(text: &str) -> bool {
    text.contains(QUESTION_MARKS) || sentences(text).any(is_question) || text.split(',').skip(1).any(is_question)
}

/// Whether a message ends in a question; what is said behind it of the answer's form is none of it.
pub(in crate::kernel) fn ends_in_question(text: &str) -> bool {
    let behind_form = sentences(text).filter(|sentence| !is_form(sentence)).last().unwrap_or(text);
    behind_form.trim_end().ends_with(QUESTION_MARKS)
}

/// Whether a message does nothing but ask, or asks for something to be made.
pub(in crate::kernel) fn only_asks(text: &str) -> bool {
    let mut sentences = sentences(text).peekable();
    let makes = sentences.peek().is_some_and(|first| {
        first_words(first).next().is_some_and(|first| MAKING_WORDS.contains(&&*first)) && !keeps(first)
    });
    makes || sentences.enumerate().all(|(place, sentence)| is_question(sentence) || place > 0 && is_form(sentence))
}

/// Whether a question asks for advice, as far as its form tells: "what should I cook", "how do I mend it".
pub(in crate::kernel) fn asks_for_advice(text: &str) -> bool {
    let words: Vec<String> = words(text).collect();
    let asks_a_way = words.windows(3).any(|words| {
        let [how, next, who] = words else { return false };
        how == "how" && (next == "to" || next == "do" && ANYBODY.contains(&&**who))
    });
    asks_a_way || words.iter().any(|word| ADVISING.contains(&&**word))
}

/// Whether a message asks what is so about the user or what is theirs: "where do I live", "what's my aunt called".
pub(in crate::kernel) fn asks_about_user(text: &str) -> bool {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let is_user = |word: &&str| matches!(*word, "i" | "my" | "mine" | "we" | "our");
    let is_leading = |word: &&&str| LEADING.contains(*word);
    let mut begun = words.iter().skip_while(is_leading);
    let asks_shortly = begun.next().is_some_and(|word| typed(word).is_some()) && begun.next().is_some_and(is_user);
    asks_shortly
        || words.iter().enumerate().filter(|(_, word)| THING_WORDS.contains(word)).any(|(at, _)| {
            let behind = words.get(at + 1..).unwrap_or_default();
            let pairs = behind.iter().zip(behind.iter().skip(1)).take(MOST_BETWEEN);
            pairs.into_iter().any(|(being, user)| BEING_WORDS.contains(being) && is_user(user))
        })
}

/// Whether a message does nothing but ask, and speaks of the user in it or of somebody or something in `notes`: a question to which notes
/// and what was said may have the answer. One about the agent has another: who the agent is stands in its own block.
pub(in crate::kernel) fn asks_of_user(text: &str, notes: &str) -> bool {
    let of_agent = |word: String| matches!(word.as_str(), "your" | "yours" | "yourself");
    let own = without_quotations(text);
    asks(&own)
        && only_asks(&own)
        && (speaks_of_user(&own)
            || speaks_of_me(&own)
            || names_any_of(&own, notes)
            || means_any_of(&own, notes)
            || may_speak_of_user(&own))
        && !words(&own).any(of_agent)
        && !asks_what_was_replied(&own)
}

/// Whether a question may be about the user without a word that says so: in many languages the verb alone tells who it is.
fn may_speak_of_user(text: &str) -> bool {
    let asks = |word: String| ASKING_ELSEWHERE.contains(&&*word);
    words(text).any(asks)
        && words(text).any(|word| is_verb_of_user(&word))
        && !speaks_to_somebody(text)
        && !Language::is_likely_english(text)
}

/// Whether a word of a text that is not English may be a verb that tells that it is the user.
pub(in crate::kernel) fn is_verb_of_user(word: &str) -> bool {
    let ends = word.chars().count() >= LEAST_VERB_CHARS && word.ends_with('o') && !ASKING_ELSEWHERE.contains(&word);
    ends || FIRST_PERSON_VERBS.contains(&word)
}

/// Whether a text that is not English has a verb that is never anything else.
pub(in crate::kernel) fn has_sure_verb_of_user(text: &str) -> bool {
    words(text).any(|word| FIRST_PERSON_VERBS.contains(&&*word))
}

/// Whether a message asks on from the question before it and says too little to be answered without: "and because of what?",
/// "since when?"
pub(in crate::kernel) fn follows_up(text: &str) -> bool {
    let mut said = first_words(text);
    let first = said.next().unwrap_or_default();
    let is_more = |word: String| !THING_WORDS.contains(&&*word) && !SMALL.contains(&&*word);
    let is_thing = |word: String| THING_WORDS.contains(&&*word);
    let goes_on = GOING_ON.contains(&&*first);
    let stands_in = words(text).any(|word| GOING_ON_OF.contains(&&*word));
    let is_small = !meaning_words(text).into_iter().any(is_more);
    asks(text)
        && said.count() < MAX_FOLLOWING_WORDS
        && !speaks_to_somebody(text)
        && !ASKED_OF_ALL.iter().any(|asked| text.to_lowercase().contains(asked))
        && (goes_on || is_thing(first) && stands_in || words(text).any(is_thing) && is_small)
}

/// Whether a question is about what the agent has said: "which book did you recommend to me?"
fn asks_what_was_replied(text: &str) -> bool {
    let words: Vec<String> = words(text).collect();
    words.windows(2).any(|pair| matches!(pair, [you, said] if you == "you" && SAYING.contains(&said.as_str())))
}

/// Whether the user stands in it as `me`, and not as the one to whom something is to be told.
fn speaks_of_me(text: &str) -> bool {
    let words: Vec<String> = words(text).collect();
    words.iter().enumerate().any(|(at, word)| {
        let before = at.checked_sub(1).and_then(|before| words.get(before));
        // "Which evening is out for me?"
        let is_what_is_so = |before: &str| {
            before == "for"
                && words.first().is_some_and(|first| BEING_SO.contains(&&**first))
                && !words.iter().any(|word| JUDGING.contains(&&**word))
        };
        OBJECTS.contains(&word.as_str())
            && before.is_some_and(|before| !TELLING_ME.contains(&before.as_str()) || is_what_is_so(before))
    })
}

fn names_any_of(text: &str, notes: &str) -> bool {
    let said: Vec<String> = words(text).collect();
    // A letter names nobody: "A-level".
    let is_name = |name: &str| name.chars().count() > 1 && name.chars().any(char::is_alphabetic);
    notes.lines().flat_map(all_names).any(|name| is_name(&name) && said.contains(&name))
}

/// Whether a text takes something as known that stands in the notes: "when is the party?", "which book is next?"
fn means_any_of(text: &str, notes: &str) -> bool {
    let said: Vec<String> = words(text).collect();
    let noted = meaning_words(notes);
    let known =
        |word: &String| meaning_words(word).iter().any(|word| noted.iter().any(|noted| is_form_of(word, noted)));
    // "Which book is next?" asks of one that is known, "which dog breeds are calm?" of all.
    let is_one_of_them = |at: usize| {
        let (what, being) = (said.get(at + 1), said.get(at + 2));
        what.is_some_and(|what| noted.contains(what)) && being.is_some_and(|being| BEING_WORDS.contains(&&**being))
    };
    said.iter().enumerate().any(|(at, word)| match word.as_str() {
        "the" => said.iter().skip(at + 1).take(MOST_NOUN_WORDS).any(known),
        "which" => is_one_of_them(at),
        _ => false,
    })
}

/// The words of a sentence, in lower case; "can't" is one.
pub(in crate::kernel) fn first_words(sentence: &str) -> impl Iterator<Item = String> {
    let is_apart = |c: char| !c.is_alphanumeric() && !matches!(c, '\'' | '’');
    sentence.split(is_apart).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// Whether a sentence asks for a thing: "what kind of character are you", but not "could you be one".
pub(in crate::kernel) fn asks_for_a_thing(sentence: &str) -> bool {
    let mut words = first_words(sentence).skip_while(|word| LEADING.contains(&&**word));
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let asking = contracted(&first).unwrap_or(&first);
    is_question(sentence) && BEING_THAT.contains(&asking) && !matches!(&*second, "about" | "if")
}

/// The word that asks in one that is short for two: "what's", "who'll", "whats".
fn contracted(word: &str) -> Option<&str> {
    word.split_once(['\'', '’']).map(|(asking, _)| asking).or_else(|| typed(word))
}

/// The same where it is typed without a sign.
fn typed(word: &str) -> Option<&str> {
    word.strip_suffix('s').filter(|asking| CONTRACTED.contains(asking))
}

/// Whether a sentence asks: by its sign, or as questions begin that are typed without one.
pub(super) fn is_question(sentence: &str) -> bool {
    if sentence.trim_end().ends_with(QUESTION_MARKS) {
        return true;
    }
    let leading = first_words(sentence).take_while(|word| LEADING.contains(&&**word)).count();
    let mut words = first_words(sentence).skip(leading);
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let contracted = contracted(&first);
    let (asking, contracted) = (contracted.unwrap_or(&first), contracted.is_some());
    // "So when I was a kid I lived in Oslo." asks nothing, and neither does "So is mine."
    let third = words.next().unwrap_or_default();
    let asks_behind = || AUXILIARIES.contains(&&*second) && SUBJECTS.contains(&&*third);
    match asking {
        // What follows a comma tells something: "when Rex is ill, the vet is ..", "which reminds me, ..".
        _ if THING_WORDS.contains(&asking) => contracted || !sentence.contains(", ") && (leading == 0 || asks_behind()),
        _ if AUXILIARIES.contains(&asking) => {
            leading == 0 && !contracted && (SUBJECTS.contains(&&*second) || second_is_name(sentence, asking))
        }
        // "Remember my birthday?" asks, "remember that Anna comes at six" tells.
        "remember" if leading > 0 => false,
        "remember" => THING_WORDS.contains(&&*second) || second == "me",
        _ => leading == 0 && REQUESTING.contains(&asking),
    }
}

/// Whether somebody is named behind the first word: "is Femke old", but not "have two kids".
fn second_is_name(sentence: &str, first: &str) -> bool {
    let is_about_one = matches!(first, "did" | "does" | "has" | "is" | "was");
    let second = sentence.split_whitespace().nth(1).unwrap_or_default();
    is_about_one && second.starts_with(char::is_uppercase)
}

/// Whether a sentence only says what form the answer is to have.
fn is_form(sentence: &str) -> bool {
    let mut words = first_words(sentence);
    let first = words.next().unwrap_or_default();
    let is_second = words.next().is_none_or(|second| FORM_SECOND.contains(&&*second));
    FORM_WORDS.contains(&&*first) && is_second && words.count() + 2 <= MAX_FORM_WORDS
}

/// Whether something is to be kept: "write down that ..", "note: ..".
fn keeps(sentence: &str) -> bool {
    let mut words = first_words(sentence);
    words.next().as_deref() == Some("write") && matches!(words.next().as_deref(), Some("down" | "this" | "that"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_asked_for_in_some_forms() {
        for advice in ["What should I cook?", "How do I mend a bike?", "how to tune a cello", "Was kann ich kochen?"] {
            assert!(asks_for_advice(advice), "{advice}");
        }
        for other in ["How old is my aunt?", "How do cats purr?", "What did I cook?", "Wie heißt mein Hund?"] {
            assert!(!asks_for_advice(other), "{other}");
        }
    }

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
        for asking in ["and whats my job, clever clogs", "so who do I ring", "oh, wheres my hat"] {
            assert!(asks(asking), "{asking}");
        }
        for telling in [
            "So is mine.",
            "So when I was a kid I lived in Oslo.",
            "But when Zibby visits the kids go wild.",
            "I like Rome, but when it rains I stay in.",
            "We saw Rome, and what a trip!",
            "But remember what the doctor said.",
        ] {
            assert!(!asks(telling), "{telling}");
        }
        for telling in ["I live in Turku.", "Good morning!", "My whole day was fine.", "", "..."] {
            assert!(!asks(telling), "{telling}");
        }
    }

    #[test]
    fn a_question_about_the_user_is_none_for_advice() {
        for asking in [
            "Where do I live?",
            "what's my aunt called",
            "and whats my job",
            "by the way, which of the two towns do I prefer",
        ] {
            assert!(asks_about_user(asking), "{asking}");
        }
        for other in ["What should I give my aunt?", "I know where she lives.", "How deep is the lake?", "who?"] {
            assert!(!asks_about_user(other), "{other}");
        }
    }

    #[test]
    fn what_is_taken_as_known_and_stands_in_the_notes_is_asked_of_the_user() {
        let notes = "The user plans a birthday party.\nLotte bakes the cake.";
        for asking in ["When is the party?", "What goes into the birthday cake?"] {
            assert!(asks_of_user(asking, notes), "{asking}");
            assert!(!asks_of_user(asking, "The user sings."), "{asking}");
        }
        assert!(!asks_of_user("How is a cake baked?", notes) && !asks_of_user("Why is the sky blue?", notes));
    }

    #[test]
    fn a_question_may_be_about_the_user_without_saying_so() {
        let notes = "The user reads a book for the book club.";
        for other in ["¿Qué es la fotosíntesis?", "¿Cómo estás?", "Is Lake Como nice?", "Which vaccine is safe for me?"]
        {
            assert!(!asks_of_user(other, notes), "{other}");
        }
        for asking in [
            "cuál era la verdura que no soporto?",
            "Che lavoro faccio adesso?",
            "which evening is out for me?",
            "which book is next",
        ] {
            assert!(asks_of_user(asking, notes), "{asking}");
        }
        for other in [
            "¿Puedes tú contarme un chiste?",
            "What is a good length for me?",
            "whats a good length, an hour?",
            "Which lake is deep?",
            "really?",
        ] {
            assert!(!asks_of_user(other, notes), "{other}");
        }
    }

    #[test]
    fn a_question_that_goes_on_says_little() {
        for following in [
            "and because of what?",
            "since when?",
            "Why?",
            "und seit wann?",
            "who with?",
            "At what time?",
            "in which year?",
            "And my brother?",
            "what are they usually about",
        ] {
            assert!(follows_up(following), "{following}");
        }
        for other in ["What time is it?", "And what can you do?", "How does it work?", "ok?", "??"] {
            assert!(!follows_up(other), "{other}");
        }
        for other in
            ["where do I live?", "and that was all.", "And what do you think of the new one they have?", "Rex?"]
        {
            assert!(!follows_up(other), "{other}");
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
            assert!(asks_of_user(asking, ""), "{asking}");
        }
        for asking in [
            "In which city do I live now? One word please.",
            "do I like snakes? just yes or no",
            "Who teaches me?",
            "what did I tell you about my aunt?",
            "how much did the exhaust cost me?",
        ] {
            assert!(asks_of_user(asking, "") && ends_in_question(asking), "{asking}");
        }
        let notes = "The user's daughter is called Femke.\nOttilie is a vet.";
        for asking in ["How old is Femke?", "What does Ottilie do for a living?", "how old is femke"] {
            assert!(asks_of_user(asking, notes), "{asking}");
            assert!(!asks_of_user(asking, "The user sings."), "{asking}");
        }
        for other in [
            "How deep is the lake?",
            "I live in Ghent. Nice, no?",
            "What is your name?",
            "Say 'I am tall' in Dutch?",
            "I live.",
            "Which book did you recommend to me?",
            "What did you say about my cat?",
            "Can you tell me a story?",
            "Give me a recipe.",
        ] {
            assert!(!asks_of_user(other, ""), "{other}");
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
        for telling in [
            "Remember that Anna's flight lands at 6.",
            "remember this for me, the shed's code is 5827",
            "Write down that Zibby is allergic to nuts.",
            "Can't stand cilantro.",
            "Have two kids, Mia and Ben.",
            "Am allergic to nuts.",
            "Which reminds me, Tom moved.",
            "When Rex is ill, the vet is Dr Kim.",
            "Do not use emojis.",
            "Just moved to Turin.",
        ] {
            assert!(!only_asks(telling), "{telling}");
        }
    }
}
