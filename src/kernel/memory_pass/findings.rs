//! What a memory pass makes of what the model wrote about a message: facts about the user and wishes for the agent, without what
//! says nothing, what nobody said, and what small models take from the examples. Pure.

use std::collections::HashSet;

use jiff::civil::Date;

use crate::types::Language;

use super::super::language::{
    OBJECTS, asks_for_a_thing, dated, ends_in_question, introduced, is_form_of, is_greeting, meaning_words, names,
    orders, sentences, speaks_of_user, wishes, words,
};
use super::look::{EXAMPLES, FACT, WISH};
use super::notes::MAX_FACT_CHARS;

/// What small models write where a question asks for a thing: it is no fact.
const VAGUE: [&str; 6] = ["something", "someone", "somebody", "somewhere", "unknown", "unspecified"];

/// What small models note of a question.
const ASKED: [&str; 8] = [
    "the user asked",
    "the user asks",
    "the user has told",
    "the user is asking",
    "the user wants to know",
    "would like to know",
    "has not told",
    "has not mentioned",
];

/// What small models note of small talk.
const EMPTY: [&str; 9] = [
    "the user is all set",
    "the user is back",
    "the user is fine",
    "the user is here",
    "the user is here again",
    "the user is okay",
    "the user is ready",
    "the user is there",
    "the user says hello",
];

/// Words that stand for what only the message before named.
const UNNAMED: [&str; 5] = ["it", "one", "that", "them", "this"];
/// Words beside those that tell no more.
const SAYING_LITTLE: [&str; 11] =
    ["again", "already", "also", "just", "now", "once", "one", "that", "them", "this", "too"];

/// What users are called in the examples.
const EXAMPLE_USERS: [&str; 3] = ["Quill", "Tamsin", "Ruhl"];

/// Most words of a name without a capital letter.
const MOST_NAME_WORDS: usize = 3;
/// How notes tell what the user is called.
const USER_IS_CALLED: [&str; 3] = ["The user's name is ", "The user's first name is ", "The user is called "];

/// What a message states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// About the user or what is theirs.
    Fact(String),
    /// How the agent is to be.
    Wish(String),
}

impl Finding {
    /// With the days of a fact as dates.
    pub(super) fn dated(&self, said_on: Date) -> Self {
        match self {
            Self::Fact(fact) => Self::Fact(dated(fact, said_on)),
            Self::Wish(wish) => Self::Wish(wish.clone()),
        }
    }

    /// The fact, where it is one.
    pub(super) fn fact(&self) -> Option<&str> {
        match self {
            Self::Fact(fact) => Some(fact),
            Self::Wish(_) => None,
        }
    }
}

/// A message that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) text: String,
    /// Words that may appear in a finding although the message does not have them.
    known_words: HashSet<String>,
    /// What the user is called.
    user_names: Vec<String>,
}

impl Message {
    /// `known` is text whose names a finding may use.
    pub(super) fn new(text: &str, known: &[&str]) -> Self {
        Self {
            text: text.to_owned(),
            known_words: known.iter().flat_map(|text| words(text)).collect(),
            user_names: known.iter().flat_map(|text| noted_names(text)).collect(),
        }
    }

    /// What was written, without repetitions, without what says nothing, and without what small models take from the
    /// examples: a name there that nobody has mentioned here.
    pub(super) fn findings(&self, written: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        let facts = written.lines().filter_map(|line| line.strip_prefix(FACT));
        let own_names: Vec<String> = self.user_names.iter().cloned().chain(facts.flat_map(noted_names)).collect();
        for line in written.lines() {
            let (finding, text) = if let Some(fact) = line.strip_prefix(FACT) {
                let fact = self.of_the_user(whole_sentences(fact), &own_names);
                (Finding::Fact(fact.clone()), fact)
            } else if let Some(wish) = line.strip_prefix(WISH).and_then(wishes::own_words) {
                (Finding::Wish(wish.clone()), wish)
            } else {
                continue;
            };
            let is_told = finding.fact().is_none_or(|fact| !self.is_known_to_all(fact) && !self.is_unfounded(fact));
            let says_something = !is_empty(&text) && is_told && !self.only_asked(&text);
            let is_asked = finding.fact().is_none() && self.asks_for(&text);
            if says_something && !is_asked && self.is_grounded(&text) && !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        for one in introduced(&self.text) {
            if !findings.iter().filter_map(Finding::fact).any(|fact| one.is_told_by(fact)) {
                findings.push(Finding::Fact(one.fact()));
            }
        }
        if !findings.iter().any(|finding| finding.fact().is_none())
            && let Some(order) = orders::lasting_order(&self.text)
        {
            // Small models do not always take an order for a wish, and hardly ever one in another language than English.
            findings.push(Finding::Wish(wishes::quoted(order)));
        }
        if let Some(name) = wishes::own_name(&self.text) {
            // Once, and in these words: they take the place of the name before.
            let tells_it = |finding: &Finding| match finding {
                Finding::Wish(wish) => names(wish).any(|word| names(&name).any(|named| word == named)),
                Finding::Fact(_) => false,
            };
            findings.retain(|finding| !tells_it(finding));
            findings.push(Finding::Wish(name));
        }
        findings
    }

    /// A fact about somebody who is called as the user is one about the user: small models go on with the name once it was told.
    /// So is one about a user of the examples, who is neither in the message nor in the notes: they take over the name where the
    /// message does not tell another.
    fn of_the_user(&self, fact: &str, own_names: &[String]) -> String {
        let is_said = |name: &str| {
            let name = name.to_lowercase();
            self.known_words.contains(&name) || words(&self.text).any(|word| word == name)
        };
        let behind = |name: &str| {
            let rest = fact.strip_prefix(name)?;
            (rest.starts_with([' ', '\'', '’']) && !rest.contains(" user")).then_some(rest)
        };
        let own = own_names.iter().find_map(|name| behind(name));
        let rest = own.or_else(|| EXAMPLE_USERS.into_iter().filter(|name| !is_said(name)).find_map(behind));
        rest.map_or_else(|| fact.to_owned(), |rest| format!("The user{rest}"))
    }

    /// Whether a wish only says again what a sentence of the message asks for: "what are you supposed to be?"
    fn asks_for(&self, wish: &str) -> bool {
        let wished = meaning_words(wish);
        let says_it = |sentence: &str| wished.iter().all(|word| words(sentence).any(|said| said == *word));
        !wished.is_empty() && sentences(&self.text).any(|sentence| asks_for_a_thing(sentence) && says_it(sentence))
    }

    fn is_grounded(&self, text: &str) -> bool {
        let said: HashSet<String> = words(&self.text).collect();
        let mentioned = |name: &String| said.contains(name) || self.known_words.contains(name);
        let stated: HashSet<String> = words(text).collect();
        let is_number = |name: &String| name.starts_with(char::is_numeric);
        let borrowed = EXAMPLES.iter().flat_map(|(_, answer)| names(answer)).filter(|name| !is_number(name));
        let vague = VAGUE.iter().map(|word| (*word).to_owned());
        // A greeting in another language is taken for a name, and so is what "ik ben gek op drop" says.
        let lower = text.to_lowercase();
        let named =
            ["name is ", "is called "].iter().find_map(|is| Some(lower.rsplit_once(is)?.1.trim_end_matches('.')));
        let greeted = named.is_some_and(|named| is_greeting(named) && !named.contains(' '));
        let described = !Language::is_likely_english(&self.text)
            && USER_IS_CALLED.iter().find_map(|is| text.strip_prefix(is)).is_some_and(is_description);
        !greeted && !described && !borrowed.chain(vague).any(|word| stated.contains(&word) && !mentioned(&word))
    }

    /// Whether a fact is one of general knowledge that nobody has stated: "The plural of 'mouse' is 'mice'", where the message does
    /// not have the latter. What is about the user is never one.
    fn is_known_to_all(&self, fact: &str) -> bool {
        let is_of_user = |text: &str| speaks_of_user(text) || words(text).any(|word| OBJECTS.contains(&word.as_str()));
        let told = fact.strip_prefix("The ").and_then(|rest| rest.split_once(" is "));
        let Some((what, is)) = told.filter(|(what, _)| what.contains(" of ")) else { return false };
        let said: Vec<String> = words(&self.text).collect();
        let is_said = |word: &String| said.iter().any(|said| is_form_of(said, word));
        !is_of_user(&self.text)
            && words(what).all(|word| word != "user")
            && meaning_words(what).iter().any(is_said)
            && !meaning_words(is).iter().any(is_said)
    }

    /// Whether a fact has no word of an English message that does not speak of the user: "three examples, pls".
    fn is_unfounded(&self, fact: &str) -> bool {
        let said: Vec<String> = words(&self.text).collect();
        let is_said = |word: &String| said.iter().any(|said| is_form_of(said, word));
        let meaning = meaning_words(fact);
        // Notes are in English: of a message in another language they have other words.
        Language::of(&self.text).is_some_and(Language::is_english)
            && !speaks_of_user(&self.text)
            && !said.iter().any(|word| OBJECTS.contains(&word.as_str()))
            && !meaning.is_empty()
            && !meaning.iter().any(is_said)
            && !names(fact).any(|name| said.contains(&name))
    }

    /// Whether `fact` comes from a question alone: it tells that something was asked, names the very thing that was asked
    /// for ("which town .." gives "The user lives in a town."), or has no word of the message that means anything.
    fn only_asked(&self, fact: &str) -> bool {
        let fact = fact.to_lowercase();
        if ASKED.iter().any(|phrase| fact.contains(phrase)) {
            return true;
        }
        if !ends_in_question(&self.text) {
            return false;
        }
        let message: Vec<String> = words(&self.text).collect();
        let stated: Vec<String> = words(&fact).collect();
        let mut asked_for = following(&message).filter(|(word, _)| matches!(word.as_str(), "which" | "what"));
        let is_one = |word: &String| matches!(word.as_str(), "a" | "an" | "some");
        let names_it =
            |(_, thing): (&String, &String)| following(&stated).any(|(word, named)| is_one(word) && named == thing);
        let is_said = |word: &String| message.iter().any(|said| is_form_of(said, word));
        asked_for.any(names_it) || !meaning_words(&fact).iter().any(is_said)
    }
}

/// Whether what stands in the place of a name is none: words without a capital letter, in letters that have them.
fn is_description(name: &str) -> bool {
    name.split_whitespace().count() > MOST_NAME_WORDS
        && name.contains(char::is_lowercase)
        && !name.contains(char::is_uppercase)
}

/// What the user is called, as the lines of some notes tell: whole names first, then the first one of each.
pub(in crate::kernel) fn noted_names(notes: &str) -> Vec<String> {
    let named = |line: &str| {
        let name = USER_IS_CALLED.iter().find_map(|begin| line.trim().strip_prefix(begin))?;
        Some(name.trim_end_matches('.').to_owned()).filter(|name| name.starts_with(char::is_uppercase))
    };
    let mut names: Vec<String> = notes.lines().filter_map(named).collect();
    let first: Vec<String> =
        names.iter().filter_map(|name| name.split_once(' ')).map(|(first, _)| first.to_owned()).collect();
    names.extend(first);
    names
}

/// Whether a fact says nothing but that the user is there, of something that it is that, or of nobody knows what: "The user sold
/// it." By itself that tells nothing, and it would take the place of a note that has to do with something else.
fn is_empty(fact: &str) -> bool {
    let fact = fact.trim().trim_end_matches('.').to_lowercase();
    let stated: Vec<String> = words(&fact).collect();
    let is_last = |at: usize| stated.get(at + 1).is_none_or(|next| SAYING_LITTLE.contains(&next.as_str()));
    let mut places = stated.iter().enumerate().filter(|(_, word)| UNNAMED.contains(&word.as_str()));
    let mut stands_in = || places.any(|(at, _)| is_last(at));
    let told = || meaning_words(&fact).into_iter().filter(|word| !SAYING_LITTLE.contains(&word.as_str()));
    EMPTY.contains(&fact.as_str())
        || fact.split_once(" is ").is_some_and(|(one, other)| one == other)
        || fact.starts_with("the user ") && stands_in() && told().count() <= 1
}

/// A fact of the most characters without the beginning of a sentence that had no room any more, where a whole one stands in front
/// of it.
fn whole_sentences(fact: &str) -> &str {
    let is_full = fact.chars().count() + 1 >= MAX_FACT_CHARS;
    let fact = fact.trim();
    let end = fact.rfind(". ").filter(|_| is_full && !fact.ends_with(['.', '!', '?', '"', ')']));
    end.map_or(fact, |at| &fact[..=at])
}

/// Each word with the one behind it.
fn following(words: &[String]) -> impl Iterator<Item = (&String, &String)> {
    words.iter().zip(words.iter().skip(1))
}

#[cfg(test)]
mod tests {
    use super::super::look::NOTHING;
    use super::*;

    fn said(message: &str) -> Message {
        Message::new(message, &["The user's dog is called Rex.", "My name is Mneme."])
    }

    fn fact(text: &str) -> Finding {
        Finding::Fact(text.to_owned())
    }

    #[test]
    fn a_name_of_the_examples_stands_for_the_user() {
        let said = Message::new("At weekends I weave scarves.", &[]);
        let found =
            said.findings("FACT: The user is Ruhl.\nFACT: Ruhl weaves scarves.\nFACT: Ruhl's hobby is weaving.");
        let facts = ["The user weaves scarves.", "The user's hobby is weaving."];
        assert_eq!(found, facts.map(|fact| Finding::Fact(fact.to_owned())));
        let named = Message::new("Ruhl weaves scarves.", &[]).findings("FACT: Ruhl weaves scarves.");
        assert_eq!(named, [Finding::Fact("Ruhl weaves scarves.".to_owned())]);
    }

    #[test]
    fn facts_about_the_users_name_are_about_the_user() {
        let written = "FACT: The user's name is Imke Vos.\nFACT: Imke lives in Ghent.\nFACT: Imke Vos's dog is old.\n\
                       FACT: Imker is a job.";
        let found = Message::new("I'm Imke Vos, in Ghent. My dog is old. Imker is a job.", &[]).findings(written);
        let facts =
            ["The user's name is Imke Vos.", "The user lives in Ghent.", "The user's dog is old.", "Imker is a job."];
        assert_eq!(found, facts.map(fact));
        let later = Message::new("I sing, says Imke.", &["The user's name is Imke."]);
        assert_eq!(later.findings("FACT: Imke sings."), [fact("The user sings.")]);
        let other = Message::new("Zibby sings.", &["The user's name is Imke."]);
        assert_eq!(other.findings("FACT: Zibby sings."), [fact("Zibby sings.")]);
    }

    #[test]
    fn what_says_nothing_is_not_noted() {
        let said = Message::new("so, I've moved! It's Turin now, new job and all", &[]);
        let written = "FACT: The user has moved to Turin.\nFACT: The user is all set.\nYOU: Me again :)\nYOU: I talk like a pirate.";
        let found = said.findings(written);
        let expected = [
            Finding::Fact("The user has moved to Turin.".to_owned()),
            Finding::Wish("I talk like a pirate.".to_owned()),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_the_model_knows_and_what_says_nothing_is_not_noted() {
        let found = |message: &str, fact: &str| said(message).findings(&format!("FACT: {fact}")).len();
        assert_eq!(found("plural of 'mouse' (the animal)", "The plural of 'mouse' is 'mice'."), 0);
        assert_eq!(found("capital of Norway, quick", "The capital of Norway is Oslo."), 0);
        for (message, fact) in [
            ("The head of the school is Ms Lem now.", "The head of the school is Ms Lem."),
            ("the spare key is under the flowerpot", "The spare key is under the flowerpot."),
            ("The colour of my car is red-ish", "The colour of the car is reddish."),
            ("The dog died this morning", "The dog has passed away."),
            ("Katten är sjuk.", "The cat is ill."),
        ] {
            assert_eq!(found(message, fact), 1, "{message}");
        }
        assert_eq!(found("I am with Leopoldina.", "Leopoldina is Leopoldina."), 0);
        assert_eq!(found("I had one once, sold it", "The user had one once."), 0);
        assert_eq!(found("I had one once, sold it", "The user sold it."), 0);
        assert_eq!(found("I have one sister", "The user has one sister."), 1);
    }

    #[test]
    fn an_order_for_good_is_kept_in_the_users_own_words_where_the_model_has_none() {
        let order = said("Svara alltid på svenska, tack.");
        let quoted = "I do as the user has asked: \"Svara alltid på svenska\"";
        assert_eq!(order.findings(NOTHING), [Finding::Wish(quoted.to_owned())]);
        let written = order.findings("YOU: I answer in Swedish.");
        assert_eq!(written, [Finding::Wish("I answer in Swedish.".to_owned())]);
        let spanish = "hola! quiero q hables como una abuela, ando medio triste";
        assert_eq!(said(spanish).findings(NOTHING).len(), 1);
        assert_eq!(said("Katten är sjuk.").findings(NOTHING), []);
    }

    #[test]
    fn the_agent_has_one_name() {
        let given = said("I want you to call yourself Dot. Talk like a pirate.");
        let found = given.findings("YOU: I want to be called Dot.\nYOU: I talk like a pirate.");
        assert_eq!(found, ["I talk like a pirate.", "My name is Dot."].map(|wish| Finding::Wish(wish.to_owned())));
        assert_eq!(given.findings(NOTHING), [Finding::Wish("My name is Dot.".to_owned())]);
    }

    #[test]
    fn what_nothing_in_an_english_message_says_is_not_noted() {
        let found = |message: &str, fact: &str| said(message).findings(&format!("FACT: {fact}")).len();
        assert_eq!(found("three examples of it pls", "The user likes baking bread."), 0);
        for (message, fact) in [
            ("Just turned 40!", "The user is 40 years old."),
            ("three slices of bread for breakfast, every day of the week", "The user eats three slices of bread."),
            ("pojutrze jadę do Krakowa", "The user is going to Cracow."),
            ("the missus and I are off to the coast", "The user is going on holiday."),
            ("it scares me", "The user is afraid."),
        ] {
            assert_eq!(found(message, fact), 1, "{message}");
        }
    }

    #[test]
    fn a_sentence_that_had_no_room_is_left_out() {
        let shop = "The user opens a shop with a friend. ";
        let cut: String =
            shop.chars().chain("and so on ".chars().cycle()).take(MAX_FACT_CHARS - 1).chain(['d']).collect();
        assert_eq!(said("I open a shop.").findings(&format!("FACT: {cut}")), [fact(shop.trim_end())]);
        for whole in ["The user's doctor is Dr. Weber", "The user sings. They dance.", "The user sings"] {
            assert_eq!(whole_sentences(whole), whole);
        }
    }

    #[test]
    fn each_line_that_was_written_is_a_finding() {
        let written = "FACT: The user has a garden.\nYOU: I am called Fern.\nFACT: The user has a garden.";
        let findings = said("I have a garden, Fern.").findings(written);
        assert_eq!(findings, [fact("The user has a garden."), Finding::Wish("I am called Fern.".to_owned())]);
        assert!(said("Hello.").findings(NOTHING).is_empty());
    }

    #[test]
    fn a_name_of_the_examples_that_nobody_mentioned_is_no_finding() {
        let written = "FACT: The user's name is Quill.\nFACT: Zibby has a garden.\nFACT: The user has a garden.";
        assert_eq!(said("We have a garden.").findings(written), [fact("The user has a garden.")]);
        assert_eq!(said("I am quill, and we have a garden.").findings(written).len(), 2);
        let known = Message::new("We have a garden.", &["The user's aunt is called Zibby."]);
        assert_eq!(known.findings(written).len(), 2);
    }

    #[test]
    fn what_says_nothing_is_no_finding() {
        let written = "FACT: The user is allergic to something.\nFACT: The user is allergic to dust.";
        assert_eq!(said("What am I allergic to?").findings(written), [fact("The user is allergic to dust.")]);
        assert_eq!(said("I am allergic to something in the garden.").findings(written).len(), 2);
    }

    #[test]
    fn what_is_asked_of_the_agent_is_no_wish() {
        let found = |message: &str, wish: &str| said(message).findings(&format!("YOU: {wish}")).len();
        let asked = "back on shift. what kind of character are you supposed to be again";
        assert_eq!(found(asked, "I am supposed to be a character again."), 0);
        assert_eq!(found("How about you talk like a pirate?", "I talk like a pirate."), 1);
        assert_eq!(found("could u talk like one of those old detectives?", "I talk like one of those detectives."), 1);
    }

    #[test]
    fn a_description_is_no_name() {
        let found =
            |message: &str, name: &str| said(message).findings(&format!("FACT: The user is called {name}.")).len();
        assert_eq!(found("hoi ik ben gek op zoute drop", "gek op zoute drop"), 0);
        assert_eq!(found("im ana maria lopez", "ana maria lopez"), 1);
        assert_eq!(found("I am Ana Maria de la Cruz", "Ana Maria de la Cruz"), 1);
    }

    #[test]
    fn a_question_of_its_own_brings_no_finding() {
        let found = |message: &str, fact: &str| said(message).findings(&format!("FACT: {fact}")).len();
        assert_eq!(found("Which town do I live in?", "The user lives in a town."), 0);
        assert_eq!(found("Could my job be a good one?", "The user works as a gardener."), 0);
        assert_eq!(found("Have I told you?", "The user has not told what they play."), 0);
        assert_eq!(found("Which town would suit my sister, who sails?", "The user's sister sails."), 1);
        assert_eq!(found("I keep the garden of the council.", "The user works as a gardener."), 1);
    }
}
