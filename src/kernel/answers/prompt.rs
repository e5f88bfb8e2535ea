//! The prompt in which a question about the user is answered, and what can be written there. Pure.

use crate::grammar::policy::literal;
use crate::types::Language;

use super::super::language::{asks_about_user, asks_for_advice};

/// Most characters of an answer.
pub(super) const MAX_ANSWER_CHARS: usize = 400;

/// Characters that end a line or do worse, in a class of a grammar.
const CONTROLS: &str = "\\x00-\\x1F\\x7F";

/// Natural logarithm of the probability that nothing tells the answer, from which on that is the answer: where all that is asked
/// for stands in what is shown ..
const LEAST_UNKNOWN: f32 = -2.5;
/// .. and where some of it does not. Small models that are not sure rather tell something, mostly what they have read last.
const LEAST_UNKNOWN_OF_OTHER: f32 = -3.6;
/// The same where the answer that is written instead stands in nothing that the model was shown; below it, nothing of what is
/// weighed decides anything.
pub(super) const LEAST_DOUBT: f32 = -6.0;
/// What is added to that of a general question that asks for advice by its form ..
const ADVICE: f32 = 2.5;
/// .. or for what is so about the user.
const ABOUT_USER: f32 = -1.0;
/// What is added to that of the German words, which begin as fewer answers do.
const GERMAN: f32 = 3.0;

/// Says that the question is not about the user.
pub(super) const GENERAL: &str = "GENERAL";
/// How answers begin that tell nothing, in English and in German. They begin as answers do: of a sentence that can begin with "I"
/// in one way alone, small models write the rest wherever they would begin to speak as the user.
const UNKNOWN: [&str; 2] = ["You haven't told me", "Das hast du mir nicht gesagt"];
/// What the user sees of them, by language (ISO 639-3): not the same words each time.
const WORDINGS: [(&str, [&str; 3]); 9] = [
    (
        "eng",
        [
            "I don't know, you haven't told me.",
            "You haven't told me that yet, so I don't know.",
            "That I don't know: you haven't told me about it.",
        ],
    ),
    (
        "deu",
        [
            "Das weiß ich nicht, du hast es mir nicht gesagt.",
            "Das hast du mir noch nicht gesagt, ich weiß es also nicht.",
            "Ich weiß es nicht: davon hast du mir nichts gesagt.",
        ],
    ),
    (
        "spa",
        [
            "No lo sé, no me lo has dicho.",
            "Todavía no me lo has dicho, así que no lo sé.",
            "Eso no lo sé: no me has contado nada de ello.",
        ],
    ),
    (
        "fra",
        [
            "Je ne sais pas, tu ne me l'as pas dit.",
            "Tu ne me l'as pas encore dit, donc je ne sais pas.",
            "Ça, je ne le sais pas : tu ne m'en as pas parlé.",
        ],
    ),
    (
        "ita",
        [
            "Non lo so, non me l'hai detto.",
            "Non me l'hai ancora detto, quindi non lo so.",
            "Questo non lo so: non me ne hai parlato.",
        ],
    ),
    (
        "por",
        [
            "Não sei, isso ainda não me foi contado.",
            "Isso ainda não me foi contado, por isso não sei.",
            "Isso não sei: nada me foi contado disso.",
        ],
    ),
    (
        "nld",
        [
            "Dat weet ik niet, je hebt het me niet verteld.",
            "Dat heb je me nog niet verteld, dus ik weet het niet.",
            "Ik weet het niet: daar heb je me niets over verteld.",
        ],
    ),
    (
        "swe",
        [
            "Det vet jag inte, du har inte berättat det.",
            "Det har du inte berättat än, så jag vet inte.",
            "Jag vet inte: det har du inte sagt något om.",
        ],
    ),
    (
        "pol",
        [
            "Nie wiem, o tym jeszcze nie było mowy.",
            "O tym jeszcze nie było mowy, więc nie wiem.",
            "Tego nie wiem: nic mi o tym nie powiedziano.",
        ],
    ),
];

pub(super) const INSTRUCTIONS: &str = "You answer a user's question about themselves, their life or what they told you. You have \
what the user said, oldest first, and notes about the user, which are up to date.
Answer in one short sentence, in the user's language, to the user as \"you\".
If the question is about the user, but neither the notes nor what was said tells the answer, write: You haven't told me \
that.
If the question asks for advice, an opinion, a text, or about the world, write: GENERAL";

/// What was said, notes, question, answer; made up for this purpose. Of the same notes, questions are asked that they answer and
/// others that they do not: by that, small models learn to look whether an answer is there.
const EXAMPLES: &[(&str, &str, &str, &str)] = &[
    (
        "Hello, how are you?\nMy aunt Zibby is afraid of heights.",
        "The user's aunt is called Zibby.\nZibby lives in Ghent.",
        "Where does my aunt live?",
        "Your aunt Zibby lives in Ghent.",
    ),
    (
        "Hi, I'm Tamsin, and my rowing boat is called Otter.",
        "The user's name is Tamsin.\nThe user's rowing boat is called Otter.",
        "What is my cousin called?",
        "You haven't told me that.",
    ),
    (
        "I study botany in Delft.",
        "The user studies botany in Delft.",
        "Where did I grow up?",
        "You haven't told me that.",
    ),
    ("I bought a rowing boat last week!", "The user owns a rowing boat.", "How do I clean my boat?", "GENERAL"),
    (
        "I study law in Delft. (by now: The user studies botany in Delft.)\nHow long do turtles live?\nI've switched to botany.",
        "The user studies botany in Delft. (no longer: The user studies law in Delft.)",
        "what am I studying now?",
        "You are studying botany.",
    ),
    (
        "Hi, I'm Tamsin. I go to Lund by train on Sunday, with my red suitcase.",
        "The user's name is Tamsin.\nThe user goes to Lund by train.\nThe user has a red suitcase.",
        "What colour is my suitcase?",
        "Your suitcase is red.",
    ),
    (
        "I play the cello in a small orchestra.",
        "The user plays the cello.",
        "What is my uncle's name?",
        "You haven't told me that.",
    ),
    (
        "Quill has left the orchestra, and Orrin plays first violin now.",
        "The user's name is Tamsin.\nThe first violin is Quill.\nQuill left the orchestra.\nOrrin plays first violin.",
        "Do you remember who plays first violin these days?",
        "Orrin plays first violin now.",
    ),
    (
        "Hi, I'm Tamsin. I go to Lund by train on Sunday, with my red suitcase.",
        "The user's name is Tamsin.\nThe user goes to Lund by train.\nThe user has a red suitcase.",
        "What is my job?",
        "You haven't told me that.",
    ),
    (
        "My aunt Zibby turns 60 on Friday.",
        "The user's aunt is called Zibby.",
        "What should I give my aunt for her birthday?",
        "GENERAL",
    ),
    (
        "My aunt Zibby lives in Ghent.",
        "The user's aunt is called Zibby.\nZibby lives in Ghent.",
        "How old is my aunt?",
        "You haven't told me that.",
    ),
    (
        "Ich backe gern Brot, und mein Hund heißt Pim.",
        "The user's dog is called Pim.\nThe user bakes bread.",
        "Wie heißt mein Hund?",
        "Dein Hund heißt Pim.",
    ),
    (
        "Quill plays the cello, and Orrin sings with us.",
        "Quill plays the cello.\nOrrin sings with the user.",
        "Which instrument does Orrin play?",
        "You haven't told me that.",
    ),
    (
        "Hi, I'm Tamsin. I go to Lund by train on Sunday, with my red suitcase.",
        "The user's name is Tamsin.\nThe user goes to Lund by train.\nThe user has a red suitcase.",
        "What should I pack for Lund?",
        "GENERAL",
    ),
    (
        "I bought a rowing boat last week!",
        "The user owns a rowing boat.",
        "How much did I pay for the boat?",
        "You haven't told me that.",
    ),
    (
        "Ich backe gern Brot.",
        "The user bakes bread.",
        "Wann hat mein Bruder Geburtstag?",
        "Das hast du mir nicht gesagt.",
    ),
    (
        "Quill plays the cello, and I sing.",
        "Quill plays the cello.\nThe user sings.",
        "How does one tune a cello?",
        "GENERAL",
    ),
    (
        "Ich backe gern Brot, und mein Hund heißt Pim.",
        "The user's dog is called Pim.\nThe user bakes bread.",
        "Wie alt ist meine Tante?",
        "Das hast du mir nicht gesagt.",
    ),
    (
        "I play the cello in a small orchestra.",
        "The user plays the cello.",
        "did I ever say that I play the drums? yes or no",
        "No, you haven't told me that.",
    ),
    ("Good morning!", "-", "Can you write a poem for my aunt?", "GENERAL"),
    (
        "I lent Orrin my ladder on Monday.",
        "The user lent Orrin a ladder.",
        "When will Orrin bring it back?",
        "You haven't told me that.",
    ),
    ("It's Tamsyn with a y!", "The user's name is Tamsyn.", "how is my name spelled?", "Your name is spelled Tamsyn."),
    (
        "I'm 31 and work as a tutor.",
        "The user works as a tutor.\nThe user is 31 years old.",
        "what's my job?",
        "You work as a tutor.",
    ),
    (
        "We left Lund for a little house by the sea, near Delft.",
        "The user lives near Delft.",
        "which town do I live in, roughly?",
        "You live near Delft.",
    ),
    (
        "My sister and I bake bread.",
        "The user bakes bread with a sister.",
        "What can I bake for my sister tonight?",
        "GENERAL",
    ),
    (
        "I'm allergic to nuts.\nWhat's the capital of Peru?",
        "The user is allergic to nuts.",
        "Is there something I must not eat?",
        "You must not eat nuts, because you are allergic to them.",
    ),
];

/// What bears on a question: lines of what was said, notes.
pub(super) struct Known {
    pub(super) said: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// How notes speak of the user; an answer speaks to them.
const AVOIDED: &str = "the user";

/// Rules of a line in which [`AVOIDED`] does not stand: `line`, and `line-t` for one whose first letter is there
/// already. Each piece of it ends where nothing of what is avoided has begun, the last one maybe within it.
fn line_rules() -> String {
    let letters: Vec<char> = AVOIDED.chars().collect();
    let first = letters.first().copied().unwrap_or_default();
    let mut rules = format!(
        "line ::= piece{{0,{MAX_ANSWER_CHARS}}} (\"{first}\" ending-1)?\n\
         piece ::= [^{first}{CONTROLS}] | \"{first}\" begun-1\n\
         line-t ::= begun-1 line | ending-1\n"
    );
    let whole = letters.len();
    for (at, next) in letters.iter().enumerate().skip(1) {
        let behind = at + 1;
        // Longer words are refused with it: small models that are kept from it go on with "the userself".
        let goes_on =
            |rule: &str| if behind < whole { format!(" | \"{next}\" {rule}-{behind}") } else { String::new() };
        rules += &format!(
            "begun-{at} ::= [^{first}{next}{CONTROLS}] | \"{first}\" begun-1{}\n\
             ending-{at} ::= (\"{first}\" ending-1)?{}\n",
            goes_on("begun"),
            goes_on("ending"),
        );
    }
    rules
}

/// What can be written: that the question is a general one, or one line that does not begin as a message that was found, nor
/// by speaking of the user as `I`, and speaks of them as "the user" nowhere.
pub(super) fn grammar() -> String {
    let mut first = vec![format!("[^ \\[IMTt{CONTROLS}]"), "\"I\" [a-z]".to_owned(), format!("\"M\" [^y{CONTROLS}]")];
    // Each proper beginning of it, and another letter behind.
    let avoided = "The user";
    first.extend(avoided.char_indices().skip(1).map(|(at, next)| {
        let begin = avoided.get(..at).unwrap_or_default();
        format!("{} [^{next}{CONTROLS}]", literal(begin))
    }));
    format!(
        "root ::= {} | first line | \"t\" line-t\nfirst ::= {}\n{}",
        literal(GENERAL),
        first.join(" | "),
        line_rules(),
    )
}

pub(super) fn question(known: &Known, asked: &str) -> String {
    let or_none = |lines: &[String]| if lines.is_empty() { "-".to_owned() } else { lines.join("\n") };
    format!("Said:\n{}\nNotes:\n{}\nQuestion: {asked}", or_none(&known.said), or_none(&known.notes))
}

pub(super) fn examples() -> Vec<(String, String)> {
    let owned = |(said, notes, asked, answer): &(&str, &str, &str, &str)| {
        let known = Known { said: vec![(*said).to_owned()], notes: vec![(*notes).to_owned()] };
        (question(&known, asked), (*answer).to_owned())
    };
    EXAMPLES.iter().map(owned).collect()
}

/// Whether an answer tells nothing.
pub(super) fn is_unknown(answer: &str) -> bool {
    UNKNOWN.iter().any(|begin| answer.starts_with(begin))
}

/// What the user sees of an answer that tells nothing, else none: of the wordings in their language, or in that of the answer where
/// there are none in theirs, the one that is longest ago among `replies`, oldest first.
pub(super) fn unknown(answer: &str, language: Option<Language>, replies: &[&str]) -> Option<&'static str> {
    let by_answer = if answer.starts_with(UNKNOWN[1]) { "deu" } else { "eng" };
    let in_language = |code: &str| WORDINGS.iter().find(|(of, _)| *of == code);
    let last = |wording: &&str| replies.iter().rposition(|reply| reply == wording);
    let (_, wordings) = language.and_then(|own| in_language(own.code())).or_else(|| in_language(by_answer))?;
    is_unknown(answer).then(|| wordings.iter().copied().min_by_key(last))?
}

/// What is weighed before anything is written: see [`decided`].
pub(super) const WEIGHED: [&str; 3] = [UNKNOWN[0], UNKNOWN[1], GENERAL];

/// The answer to a question, where it is decided by how likely the model finds each of [`WEIGHED`]: that nothing tells it, or
/// that it is general. `is_covered`: all that is asked for stands in what is shown.
pub(super) fn decided(asked: &str, is_covered: bool, weighed: [f32; 3]) -> Option<&'static str> {
    let [.., general] = weighed;
    let (unknown, likely) = likely_unknown(weighed);
    if likely < if is_covered { LEAST_UNKNOWN } else { LEAST_UNKNOWN_OF_OTHER } {
        return None;
    }
    let by_form = if asks_for_advice(asked) {
        ADVICE
    } else if asks_about_user(asked) {
        ABOUT_USER
    } else {
        0.0
    };
    Some(if general + by_form > likely { GENERAL } else { unknown })
}

/// How an answer begins that tells nothing, and the natural logarithm of the probability of such an answer.
pub(super) fn likely_unknown([here, in_german, _]: [f32; 3]) -> (&'static str, f32) {
    let begins = if in_german + GERMAN > here { UNKNOWN[1] } else { UNKNOWN[0] };
    // Questions in other languages divide what is likely among both.
    (begins, (here.exp() + in_german.exp()).ln())
}

/// Whether what was written so far is an answer: it can no more become the word for a general question, nor tell nothing.
pub(super) fn is_answer(written: &str) -> bool {
    // Some write that word as any other.
    let (written, general) = (written.to_lowercase(), GENERAL.to_lowercase());
    let mut others = UNKNOWN.into_iter().map(str::to_lowercase).chain([general]);
    !others.any(|other| other.starts_with(&written) || written.starts_with(&other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{Compiler, Limits, Verdict};
    use crate::inference::{Engine, Script, ScriptedEngine};
    use std::sync::Arc;

    #[test]
    fn the_examples_are_what_can_be_written() {
        let vocab = Arc::clone(ScriptedEngine::new(Script::default()).vocab());
        let grammar = Compiler::new(vocab, Limits::default()).compile(&grammar()).unwrap();
        for (.., answer) in EXAMPLES {
            assert_eq!(grammar.judge(answer.as_bytes()).unwrap(), Verdict::Accepted, "{answer}");
        }
        for refused in [
            "I live in Ghent.",
            "My aunt is Zibby.",
            "The user sings.",
            "",
            "Two\nlines.",
            "It is the user.",
            "It is the user's.",
            "the user sings",
            "It is the the user who sings.",
            "Both the user",
            "The clarinet player is the userself.",
            "[Mon 2026-11-30 18:00] user: I sing.",
        ] {
            assert_ne!(grammar.judge(refused.as_bytes()).unwrap(), Verdict::Accepted, "{refused}");
        }
        for taken in [
            "Iron is.",
            "Mr Quill.",
            "The usual one.",
            "Then it rains.",
            "the usual one",
            "t",
            "It is the usual one and at the us",
            "The the other user",
        ] {
            assert_eq!(grammar.judge(taken.as_bytes()).unwrap(), Verdict::Accepted, "{taken}");
        }
    }

    #[test]
    fn what_nothing_tells_is_weighed_against_what_is_general() {
        let (asked, advice) = ("What is my brother called?", "What should I call my brother's dog?");
        let none = f32::NEG_INFINITY;
        let [here, in_german] = UNKNOWN;
        assert_eq!(decided(asked, true, [-1.0, none, -4.0]), Some(here));
        assert_eq!(decided(asked, false, [-2.0, none, -4.0]), Some(here));
        assert_eq!(decided(asked, false, [none, -2.0, -4.0]), Some(in_german));
        assert_eq!(decided(asked, false, [-3.7, -4.2, -6.0]), Some(in_german));
        assert_eq!(decided(asked, false, [-2.0, none, -0.5]), Some(GENERAL));
        assert_eq!(decided(asked, false, [-1.0, none, -0.5]), Some(here));
        assert_eq!(decided("Is it far?", false, [-1.0, none, -0.5]), Some(GENERAL));
        assert_eq!(decided(advice, false, [-2.0, none, -4.0]), Some(GENERAL));
        assert_eq!(decided(advice, false, [-0.1, none, -4.0]), Some(here));
        // The model writes what it will.
        assert_eq!(decided(asked, true, [-3.0, none, -0.1]), None);
        assert_eq!(decided(asked, false, [none, none, none]), None);
    }

    #[test]
    fn what_tells_nothing_is_not_worded_alike_twice() {
        let mut replies: Vec<&str> = Vec::new();
        for turn in 0..7 {
            let shown = unknown("You haven't told me that.", None, &replies).unwrap();
            assert!(!replies.iter().rev().take(2).any(|reply| *reply == shown), "turn {turn}: {shown}");
            assert!(shown.contains("don't know") && shown.contains("haven't told me"), "{shown}");
            replies.push(shown);
        }
        assert_eq!(unknown("You have a boat.", None, &replies), None);
        let told_in = |text: &str| unknown("You haven't told me", Language::of(text), &[]).unwrap();
        assert_eq!(told_in("Jag har börjat sjunga i kör på tisdagar."), "Det vet jag inte, du har inte berättat det.");
        assert_eq!(told_in("Сколько лет моей сестре?"), "I don't know, you haven't told me.");
        assert_eq!(unknown("Das hast du mir nicht gesagt", None, &[]), Some(WORDINGS[1].1[0]));
    }

    #[test]
    fn nothing_is_shown_before_it_is_known_to_be_an_answer() {
        for held in ["", "G", "GENERAL", "General.", "You have", "You haven't told me your name", "Das"] {
            assert!(!is_answer(held), "{held}");
        }
        assert!(is_answer("Ghent") && is_answer("You have a") && is_answer("Das ist es"));
    }
}
