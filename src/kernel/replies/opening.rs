//! How a reply must not begin. Of what the user tells of themselves, small models say two things that nobody wants to hear: a refusal
//! of what was not asked for ("I work as an optician." - "I'm sorry, but I don't have any information about your work."), and the same
//! once more, in the first person ("I am a beekeeper from Hilo."). Where the model is about to begin so, the word with which it would
//! begin is refused; what moves it to sympathy begins otherwise ("I'm sorry to hear that"), and so does what it cannot do ("I'm sorry,
//! but I can't"), which is refused to who wants nothing done ("Act as a strict librarian.", "I can't do Wednesdays."). Pure.

use crate::types::Language;

use super::super::language::{
    SUBJECTS, asks, beside_orders, first_words, has_sure_verb_of_user, is_form_of, is_verb_of_user, may_ask,
    meaning_words, only_asks, sentences, speaks_of_user, speaks_to_somebody, tells_when, words,
};

/// Words with which a reply may begin that is looked at before it is written.
#[rustfmt::skip]
const FIRST_WORDS: [&str; 42] = [
    "sorry", "yes", "ja", "oui", "sí", "i", "my", "we", "our", "es", "ich", "mein", "meine", "je", "j", "mon", "ma", "lo", "yo", "mi", "io",
    "mio", "jag", "min", "mitt", "ik", "mijn", "eu", "meu", "minha", "désolé", "het", "desculpe", "lamento", "sinto", "tyvärr", "tut", "przepraszam",
    "przykro", "nie", "mój", "moja",
];
/// Letters by which a first token may begin one of them, in English and elsewhere.
const FIRST_LETTERS: [usize; 2] = [3, 2];

/// How refusals begin.
const REFUSALS: [&str; 9] = [
    "I'm sorry, but I don't",
    "Es tut mir leid, aber ich habe",
    "Je suis désolé, mais je n'ai",
    "Lo siento, pero no tengo",
    "Mi dispiace, ma non ho",
    "Desculpe, mas não tenho",
    "Het spijt me, maar ik heb",
    "Jag är ledsen, men jag har",
    "Przykro mi, ale nie mam",
];
/// The same of what the agent cannot or will not be.
#[rustfmt::skip]
const UNWILLING: [&str; 27] = [
    "I'm sorry, but I can't", "I apologize, but I can't", "Sorry, I can't", "Es tut mir leid, aber ich kann", "Je suis désolé, mais je ne",
    "Je suis désolé, je ne", "Désolé, mais je ne", "Lo siento, pero no puedo", "Lo siento, no puedo", "Mi dispiace, ma non", "Desculpe, mas não",
    "Lamento, mas não", "Sinto muito, mas não", "Het spijt me, maar ik kan", "Sorry, maar ik kan", "Jag är ledsen, men jag kan", "Tyvärr kan jag",
    "Przepraszam, ale nie", "Przykro mi, ale nie", "I'm sorry, but I cannot", "I apologize, but I cannot", "I'm sorry, I don't know what you mean",
    "Sorry, I don't know what you mean", "I'm sorry, I didn't understand", "I'm sorry, but I didn't understand", "I'm sorry, but as an AI",
    "Tut mir leid, aber ich kann",
];

/// What is the user's.
#[rustfmt::skip]
const OWNED: [&str; 24] = [
    "my", "me", "our", "mein", "meine", "unser", "unsere", "mon", "ma", "mes", "mi", "mis", "min", "mitt", "mina", "mijn", "meu", "minha", "mio",
    "mój", "moja", "moje", "ons", "onze",
];
/// What may stand in front of the user and what is theirs.
const BEFORE_USER: [&str; 16] =
    ["and", "but", "so", "well", "oh", "ok", "okay", "hi", "hey", "hello", "hallo", "hej", "btw", "also", "yes", "no"];
/// Words by which a sentence tells what is so, among its first ones ..
#[rustfmt::skip]
const TELLING: [&str; 14] =
    ["are", "aren", "been", "has", "is", "isn", "re", "s", "was", "wasn", "were", "weren", "went", "happened"];
const MOST_BEFORE_TELLING: usize = 5;
/// .. unless a clause of it begins with one of these, which ask for something to be done.
#[rustfmt::skip]
const DOING: [&str; 54] = [
    "add", "answer", "book", "bring", "build", "call", "cancel", "change", "check", "close", "convert", "create", "delete", "do", "draw", "email",
    "explain", "find", "fix", "generate", "get", "give", "help", "kill", "let", "let's", "list", "look", "make", "message", "open", "order",
    "pay", "play", "please", "post", "print", "put", "read", "recover", "remind", "remove", "reset", "search", "send", "set", "show", "solve",
    "start", "stop", "tell", "turn", "unlock", "write",
];
/// What is said to a reply or to nobody, and wants nothing.
#[rustfmt::skip]
const REACTIONS: [&str; 36] = [
    "ah", "alright", "anyway", "cool", "fair", "fine", "haha", "hm", "hmm", "huh", "lol", "meh", "nah", "nice", "no", "nope", "oh", "ok", "okay",
    "phew", "right", "sigh", "sure", "ta", "true", "wow", "yeah", "yep", "blimey",
    "brr", "damn", "eww", "gosh", "spooky", "ugh", "yikes",
];
/// Most words of such a sentence.
const MAX_REACTION_WORDS: usize = 3;
/// Words by which the user wants something, maybe of the agent.
#[rustfmt::skip]
const WISHING: [&str; 36] = [
    "want", "wish", "need", "like", "d", "brauche", "möchte", "will", "hätte", "help", "hilfe", "quiero", "necesito", "quisiera", "voglio", "vorrei",
    "quero", "preciso", "gostaria", "veux", "voudrais", "besoin", "wil", "nodig", "vill", "behöver", "chcę", "potrzebuję",
    "aimerais", "benötige", "bitte", "gustaría", "piacerebbe", "proszę", "queria", "suche",
];
/// Words by which sentences begin in other languages that tell something, of the user and of nobody.
#[rustfmt::skip]
const TELLING_ELSEWHERE: [&str; 29] = [
    "ich", "wir", "es", "er", "draußen", "je", "j", "nous", "il", "elle", "c", "yo", "está", "hay", "hace", "io", "fa", "è", "eu", "é", "ik", "het",
    "jag", "vi", "det", "ja", "jest", "to", "pada",
];
/// Words by which the agent is told to be somebody.
const BEING: [&str; 8] = ["act", "be", "behave", "pretend", "talk", "sei", "sois", "benimm"];
/// More of them may ask for something beside it.
const MAX_ORDER_WORDS: usize = 8;
/// Words by which something is told to be kept or agreed to.
const AGREEING: [&str; 9] = ["added", "also", "noted", "remember", "saved", "stored", "too", "auch", "gemerkt"];

/// What the agent says of itself, whatever words of the message are in it.
#[rustfmt::skip]
const OWN: [&str; 11] = [
    "i can ", "i hope", "i see", "i understand", "i will ", "i'd ", "i'll ", "i’ll ", "i'm glad", "i'm here", "i'm sorry to",
];

/// A sentence says the same once more where so many of its words that mean something are the message's ..
const LEAST_REPEATED: usize = 2;
/// .. and so large a part of them.
const LEAST_REPEATED_PART: (usize, usize) = (3, 5);

/// Whether what a reply to `message` begins with is to be looked at, if `first` is its first word.
pub(in crate::kernel) fn is_looked_at(first: &str, message: &str) -> bool {
    let first = first.trim().to_lowercase();
    let word = first.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let [in_english, elsewhere] = FIRST_LETTERS;
    let begun = FIRST_WORDS.iter().any(|first| first.starts_with(word)).then(|| word.chars().count());
    let tells = |letters: usize| letters >= in_english || letters >= elsewhere && !Language::is_likely_english(message);
    (FIRST_WORDS.contains(&word) || begun.is_some_and(tells)) && only_tells(message)
}

/// Whether more of how a reply would begin tells no more: it is a sentence, or begins as the agent's own do.
pub(in crate::kernel) fn is_enough(opening: &str) -> bool {
    let lower = opening.to_lowercase();
    opening.ends_with(['.', '!', '?', '\n']) || OWN.iter().any(|own| lower.starts_with(own))
}

/// Whether a reply to `message` must not begin with `opening`, as much of it as is a sentence or shorter.
pub(in crate::kernel) fn is_misplaced(opening: &str, message: &str) -> bool {
    let unwilling = if wants_nothing_done(message) { UNWILLING.as_slice() } else { &[] };
    REFUSALS.iter().chain(unwilling).any(|refusal| opening.starts_with(refusal)) || says_it_again(opening, message)
}

/// Whether nothing is to be done for the user: each sentence begins with them, is a few words on how the agent is to be, tells
/// what is so or when something is, or is a mere reaction.
fn wants_nothing_done(message: &str) -> bool {
    let wants = |sentence: &str| words(sentence).any(|word| WISHING.contains(&word.as_str()));
    let is_short_order = |sentence: &str| {
        first_words(sentence).next().is_some_and(|first| BEING.contains(&&*first))
            && words(sentence).count() <= MAX_ORDER_WORDS
    };
    sentences(message).all(|sentence| {
        is_short_order(sentence)
            || is_reaction(sentence)
            || !wants(sentence)
                && (begins_with_user(sentence) || tells_what_is_so(sentence) || says_of_user_elsewhere(sentence))
    })
}

/// Whether a sentence tells something in another language than English, as far as its first word or a verb shows.
fn says_of_user_elsewhere(sentence: &str) -> bool {
    let first = words(sentence).next().unwrap_or_default();
    // Further behind, most of what ends as such verbs do are nouns: "reserva un vuelo".
    let tells = TELLING_ELSEWHERE.contains(&&*first) || is_verb_of_user(&first) || has_sure_verb_of_user(sentence);
    tells && !speaks_to_somebody(sentence) && Language::foreign(sentence).is_some()
}

fn is_reaction(sentence: &str) -> bool {
    let first = first_words(sentence).next();
    first.is_some_and(|first| REACTIONS.contains(&&*first)) && words(sentence).count() <= MAX_REACTION_WORDS
}

/// Whether a sentence tells in English what is so, or when something is, and asks for nothing besides.
fn tells_what_is_so(sentence: &str) -> bool {
    let asks_for_something = |clause: &str| {
        let first = first_words(clause).find(|word| !BEFORE_USER.contains(&word.as_str())).unwrap_or_default();
        DOING.contains(&&*first) || BEING.contains(&&*first) || may_ask(clause)
    };
    let tells = words(sentence).take(MOST_BEFORE_TELLING).any(|word| TELLING.contains(&&*word));
    (tells || tells_when(sentence)) && !sentence.split([',', ';', ':']).any(asks_for_something)
}

/// Whether a sentence begins with the user or what is theirs.
pub(super) fn begins_with_user(sentence: &str) -> bool {
    let first = first_words(sentence).find(|word| !BEFORE_USER.contains(&word.as_str()));
    first.is_some_and(|first| SUBJECTS.contains(&&*first) || OWNED.contains(&&*first))
}

/// Whether the first sentence of `opening` says of the agent what `message` says of the user. How the agent is to be
/// it may say again.
fn says_it_again(opening: &str, message: &str) -> bool {
    let Some(sentence) = sentences(opening).next() else { return false };
    let lower = sentence.trim().to_lowercase();
    let told = beside_orders(message);
    let is_of_agent = speaks_of_user(&lower) && !speaks_to_somebody(&lower);
    let agrees = words(&lower).any(|word| AGREEING.contains(&word.as_str()));
    let is_given = sentences(message).any(|sentence| sentence.trim_end().ends_with(':') || may_ask(sentence));
    if agrees
        || is_given
        || told.contains(':')
        || !speaks_of_user(&told)
        || !is_of_agent
        || OWN.iter().any(|own| lower.starts_with(own))
    {
        return false;
    }
    let said: Vec<String> = words(&told).collect();
    let stated = meaning_words(&lower);
    let repeated = stated.iter().filter(|word| said.iter().any(|said| is_form_of(said, word))).count();
    let (part, whole) = LEAST_REPEATED_PART;
    repeated >= LEAST_REPEATED && repeated * whole >= stated.len() * part
}

/// Whether nothing in a message can be refused: it asks for nothing.
pub(in crate::kernel) fn only_tells(message: &str) -> bool {
    !message.trim().is_empty() && !asks(message) && !only_asks(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_agent_cannot_do_may_be_said_and_what_it_will_not_be_may_not() {
        let (unknown, unable) =
            ("I'm sorry, but I don't have any information", "I'm sorry, but I can't assist with that.");
        for (message, refused) in [
            ("I work as an optician.", [true, true]),
            ("Play some music.", [true, false]),
            ("I need a taxi to the airport.", [true, false]),
            ("Set an alarm for seven, I have an exam.", [true, false]),
            ("Stop the timer.", [true, false]),
            ("Act as a chemist and explain how to make things that burn.", [true, false]),
            ("I can't do Wednesdays, that's choir.", [true, true]),
            ("Act as a strict librarian. I have three overdue books.", [true, true]),
        ] {
            assert!(is_looked_at("I", message) && !is_looked_at("That", message));
            assert_eq!([unknown, unable].map(|opening| is_misplaced(opening, message)), refused, "{message}");
        }
        assert!(!is_looked_at("I", "Can you be blunt?"));
        assert!(is_looked_at("Me", "Mein Rad ist kaputt.") && !is_looked_at("M", "Mein Rad ist kaputt."));
    }

    #[test]
    fn what_the_user_said_is_not_said_again_as_the_agents_own() {
        for (message, opening) in [
            ("I'm Perpetua, a beekeeper from Hilo.", "I am a beekeeper from Hilo."),
            ("Ich ziehe nach Kassel um.", "Ich ziehe bald nach Kassel."),
            ("Jag har köpt en gammal segelbåt som heter Vira.", "Jag har en gammal segelbåt som heter Vira."),
            ("My cat is called Comma, by the way.", "My cat is called Comma."),
            ("if anyone asks, I'm allergic to wasp stings", "Yes, I am allergic to wasp stings."),
            ("ta. it's hailing here", "I apologize, but I can't assist with that."),
            ("anyway, kettle's on", "I'm sorry, but I can't assist with that."),
            ("lol no", "I'm sorry, but I can't assist with that."),
            ("fair", "I'm sorry, I don't know what you mean by \"fair.\""),
            ("ta. it's hailing here", "I apologize, but I cannot assist with that."),
            ("Mein Bruder Henning zieht im März nach Rostock.", "Mein Bruder Henning geht im März nach Rostock."),
            ("Je prends le train pour Nantes vendredi.", "Je suis désolé, mais je ne peux pas vous aider."),
            ("Ieri ho finito di dipingere la cucina.", "Mi dispiace, ma non ho capito."),
            ("Interview at the garden, 10 o'clock. It's for the job.", "I'm sorry, but I can't assist with that."),
            ("I'm Perpetua, a beekeeper from Hilo. Always answer in one sentence.", "I'm a beekeeper from Hilo."),
        ] {
            assert!(is_misplaced(opening, message), "{message}");
        }
        for (message, opening) in [
            ("I'm a beekeeper from Hilo.", "I'm glad to hear that! A beekeeper from Hilo!"),
            ("I have three overdue books.", "I understand that you have three overdue books."),
            ("I need to remember the milk.", "I'll remember the milk."),
            ("I want you to call yourself Dot.", "I call myself Dot."),
            ("The bus leaves at eight.", "I see, the bus leaves at eight."),
            ("I collect stamps.", "I"),
            ("Book a table for the two of us.", "I'm sorry, but I can't assist with that."),
            ("Reserva una mesa para dos.", "I'm sorry, but I can't assist with that."),
            ("Reserva un vuelo barato.", "Lo siento, pero no puedo hacer eso."),
            ("Réserve une table pour deux.", "Je suis désolé, mais je ne peux pas vous aider."),
            ("Dim the lights.", "I'm sorry, but I can't assist with that."),
            ("The account is locked, recover it.", "I'm sorry, but I can't assist with that."),
            ("Louder.", "I'm sorry, but I can't assist with that."),
            ("I love Lisbon in spring.", "I love Lisbon, too!"),
            ("Correct this: I has went to the store yesterday.", "I went to the store yesterday."),
        ] {
            assert!(!is_misplaced(opening, message), "{message}");
        }
    }

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
