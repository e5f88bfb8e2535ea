//! The first half of a memory pass: what does a message of the user state? Pure: makes the prompt and its grammar, and
//! findings of what was written; [`super::notes`] compares them with what is known, and the agent runs both.
//!
//! Why a pass of its own: small models that are asked to answer *and* to save in one breath do one of the two. Why
//! without the notes in view: asked what a message changes in them, Qwen2.5-Coder-1.5B copied them (on 84 messages made
//! up for this purpose it wrote 72 of 95 facts down and overwrote unrelated notes; without them, 91 of 95). The calls
//! that the model makes by itself while it answers stay as they are; what they saved is a note and is not saved again.

use std::collections::HashSet;

use jiff::civil::Date;

use crate::grammar::policy::literal;

use super::asking::{asks_about_user, ends_in_question, lays_down, only_asks};
use super::dates::dated;
use super::notes::MAX_FACT_CHARS;
use super::pieces::without_small_talk;
use super::wording::{
    OBJECTS, is_form_of, meaning_words, names, speaks_of_user, speaks_of_user_alone, without_quotations, words,
};

/// Facts that one piece of a message can bring.
const MAX_FINDINGS: usize = 6;
/// Below this a message is not shortened further.
const LEAST_PIECE_CHARS: usize = 80;
/// How much likelier it must be that a message states something than that it states nothing.
const MIN_ODDS: f32 = 0.8;
/// The same for a message that ends in a question.
const MIN_ODDS_OF_QUESTION: f32 = 1.3;

/// The same for a piece of a long message in which the user speaks of themselves: nobody writes that much without saying
/// something, and a piece that ends in "pleased to meet you" is easily taken for small talk as a whole.
const MIN_ODDS_OF_LONG: f32 = 0.05;

/// What small models write where a question asks for a thing: it is no fact.
const VAGUE: [&str; 6] = ["something", "someone", "somebody", "somewhere", "unknown", "unspecified"];

/// Words of greeting.
const GREETINGS: [&str; 10] = ["aloha", "bonjour", "ciao", "hallo", "hej", "hei", "hello", "hi", "hola", "salut"];

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
/// How what the agent is to be begins: it stands in the agent's own block, in its own words.
const OF_AGENT: [&str; 4] = ["I ", "I'", "I’", "My "];

/// Begins an answer that says: the message states nothing.
pub(super) const NOTHING: &str = "NONE";
const FACT: &str = "FACT: ";
const WISH: &str = "YOU: ";

const INSTRUCTIONS: &str = "You keep short notes about the user of a chat. You read one message of the user and write \
down every lasting fact that it states about the user, their life, plans and tastes, or the people, animals and things \
around them. One short sentence for each fact; no name, number, date or place is left out.
FACT: such a fact
YOU: how the user wants you to be or to be called
NONE: a question, a request, a greeting, thanks or small talk";

/// Message, answer. The people, things and places in them are made up for this purpose.
const EXAMPLES: &[(&str, &str)] = &[
    ("Hi there, how is it going?", "NONE"),
    (
        "Hello, I am Quill, 31, and I play the cello in a small orchestra.",
        "FACT: The user's name is Quill.\nFACT: The user is 31 years old.\nFACT: The user plays the cello in a small \
         orchestra.",
    ),
    ("How long do turtles live?", "NONE"),
    (
        "My aunt Zibby is afraid of heights, but she lives on the ninth floor in Ghent.",
        "FACT: The user's aunt is called Zibby.\nFACT: Zibby is afraid of heights.\nFACT: Zibby lives on the ninth floor \
         in Ghent.",
    ),
    ("I have sold the boat, by the way.", "FACT: The user has sold the boat."),
    (
        "Ich backe gern Brot, und meine Tante wohnt in Lund.",
        "FACT: The user likes baking bread.\nFACT: The user's aunt lives in Lund.",
    ),
    ("Do you know what my aunt is called?", "NONE"),
    (
        "The exam is at 8 in room 12, and if I pass it I can start my studies in Delft.",
        "FACT: The user has an exam at 8 in room 12.\nFACT: The user can start studies in Delft after passing the exam.",
    ),
    ("I want you to talk like a pirate.", "YOU: I talk like a pirate."),
    ("Can you tell me how glass is made?", "NONE"),
    ("I was wrong: my tutor is called Orrin, not Brandt.", "FACT: The user's tutor is called Orrin."),
    ("Write a story about a dragon.", "NONE"),
    (
        "I don't like loud music, and since I fell off a ladder my knee hurts in winter.",
        "FACT: The user doesn't like loud music.\nFACT: The user fell off a ladder.\nFACT: The user's knee hurts in \
         winter.",
    ),
    ("Your name is Bramble now.", "YOU: My name is Bramble."),
    ("My name is Tamsin, by the way.", "FACT: The user's name is Tamsin."),
    ("By the way, I get seasick.", "FACT: The user gets seasick."),
    ("From now on, use fewer long words.", "YOU: I use few long words."),
    ("Please call me Ruhl.", "FACT: The user wants to be called Ruhl."),
    ("Thanks, that was useful.", "NONE"),
];

/// What users are called in the examples.
const EXAMPLE_USERS: [&str; 3] = ["Quill", "Tamsin", "Ruhl"];

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

/// A look at one piece of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemoryPass {
    message: String,
    /// It is a piece of a longer message.
    is_piece: bool,
    /// Words that may appear in a finding although the message does not have them.
    known_words: HashSet<String>,
    /// What the user is called.
    user_names: Vec<String>,
}

impl MemoryPass {
    /// A look at `message`; `known` is text whose names a finding may use.
    pub(super) fn new(message: &str, known: &[&str]) -> Self {
        Self {
            message: message.to_owned(),
            is_piece: false,
            known_words: known.iter().flat_map(|text| words(text)).collect(),
            user_names: known.iter().flat_map(|text| noted_names(text)).collect(),
        }
    }

    /// Says whether the message is a piece of a longer one. Then it is looked at without the small talk at its end: by that,
    /// small models take all of it for small talk.
    pub(super) fn of_piece(mut self, is_piece: bool) -> Self {
        self.is_piece = is_piece;
        if is_piece {
            self.message = without_small_talk(&self.message).to_owned();
        }
        self
    }

    /// See [`MIN_ODDS`].
    pub(super) fn min_odds(&self) -> f32 {
        match self.is_piece && speaks_of_user(&self.message) {
            _ if self.asks() => MIN_ODDS_OF_QUESTION,
            true => MIN_ODDS_OF_LONG,
            false => MIN_ODDS,
        }
    }

    /// Whether the message ends in a question.
    pub(super) fn asks(&self) -> bool {
        ends_in_question(&self.message)
    }

    /// Whether the message cannot state anything about the user or the agent: it only asks, and does not say I or my but in
    /// asking what is so about the user. What it quotes is not its own.
    pub(super) fn states_nothing(&self) -> bool {
        let own = without_quotations(&self.message);
        only_asks(&own) && !lays_down(&own) && (asks_about_user(&own) || !speaks_of_user(&own))
    }

    /// Leaves out the second half of the message; false where nothing is left to leave out.
    pub(super) fn shrink(&mut self) -> bool {
        let chars = self.message.chars().count();
        self.message = self.message.chars().take(chars / 2).collect();
        chars > LEAST_PIECE_CHARS
    }

    /// Instructions, examples and question for `Dialect::render_side`. Instructions and examples never change, so that
    /// the KV cache of the side sequence keeps them.
    pub(super) fn prompt(&self) -> (&'static str, Vec<(String, String)>, String) {
        let owned = |(message, answer): &(&str, &str)| (question(message), (*answer).to_owned());
        (INSTRUCTIONS, EXAMPLES.iter().map(owned).collect(), question(&self.message))
    }

    /// What may be written: that nothing is stated, or a few findings; none for the agent where the message speaks of
    /// the user alone.
    pub(super) fn grammar(&self) -> String {
        let more = MAX_FINDINGS - 1;
        let last = MAX_FACT_CHARS - 2;
        // Qwen2.5-Coder-1.5B took "I am called .." for the name that the agent is to have, with odds of 100 to 1.
        let kinds = if speaks_of_user_alone(&self.message) {
            literal(FACT)
        } else {
            format!("({} | {})", literal(FACT), literal(WISH))
        };
        format!(
            "root ::= {} | item (\"\\n\" item){{0,{more}}}\nitem ::= {kinds} fact\n\
             fact ::= [^ \\x00-\\x1F\\x7F] [^\\x00-\\x1F\\x7F]{{1,{last}}} [^ \\x00-\\x1F\\x7F]\n",
            literal(NOTHING),
        )
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
            } else if let Some(wish) = line.strip_prefix(WISH).filter(|wish| is_of_agent(wish)) {
                (Finding::Wish(wish.trim().to_owned()), wish.to_owned())
            } else {
                continue;
            };
            let is_told = finding.fact().is_none_or(|fact| !self.is_known_to_all(fact));
            let says_something = !is_empty(&text) && is_told && !self.only_asked(&text);
            if says_something && self.is_grounded(&text) && !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        findings
    }

    /// A fact about somebody who is called as the user is one about the user: small models go on with the name once it was told.
    /// So is one about a user of the examples, who is neither in the message nor in the notes: they take over the name where the
    /// message does not tell another.
    fn of_the_user(&self, fact: &str, own_names: &[String]) -> String {
        let is_said = |name: &str| {
            let name = name.to_lowercase();
            self.known_words.contains(&name) || words(&self.message).any(|word| word == name)
        };
        let behind = |name: &str| {
            let rest = fact.strip_prefix(name)?;
            (rest.starts_with([' ', '\'', '’']) && !rest.contains(" user")).then_some(rest)
        };
        let own = own_names.iter().find_map(|name| behind(name));
        let rest = own.or_else(|| EXAMPLE_USERS.into_iter().filter(|name| !is_said(name)).find_map(behind));
        rest.map_or_else(|| fact.to_owned(), |rest| format!("The user{rest}"))
    }

    fn is_grounded(&self, text: &str) -> bool {
        let said: HashSet<String> = words(&self.message).collect();
        let mentioned = |name: &String| said.contains(name) || self.known_words.contains(name);
        let stated: HashSet<String> = words(text).collect();
        let is_number = |name: &String| name.starts_with(char::is_numeric);
        let borrowed = EXAMPLES.iter().flat_map(|(_, answer)| names(answer)).filter(|name| !is_number(name));
        let vague = VAGUE.iter().map(|word| (*word).to_owned());
        // A greeting in another language is taken for a name.
        let greeted = GREETINGS.iter().any(|greeting| text.to_lowercase().ends_with(&format!("name is {greeting}.")));
        !greeted && !borrowed.chain(vague).any(|word| stated.contains(&word) && !mentioned(&word))
    }

    /// Whether a fact is one of general knowledge that nobody has stated: "The plural of 'mouse' is 'mice'", where the message does
    /// not have the latter. What is about the user is never one.
    fn is_known_to_all(&self, fact: &str) -> bool {
        let is_of_user = |text: &str| speaks_of_user(text) || words(text).any(|word| OBJECTS.contains(&word.as_str()));
        let told = fact.strip_prefix("The ").and_then(|rest| rest.split_once(" is "));
        let Some((what, is)) = told.filter(|(what, _)| what.contains(" of ")) else { return false };
        let said: Vec<String> = words(&self.message).collect();
        let is_said = |word: &String| said.iter().any(|said| is_form_of(said, word));
        !is_of_user(&self.message)
            && words(what).all(|word| word != "user")
            && meaning_words(what).iter().any(is_said)
            && !meaning_words(is).iter().any(is_said)
    }

    /// Whether `fact` comes from a question alone: it tells that something was asked, names the very thing that was asked
    /// for ("which town .." gives "The user lives in a town."), or has no word of the message that means anything.
    fn only_asked(&self, fact: &str) -> bool {
        let fact = fact.to_lowercase();
        if ASKED.iter().any(|phrase| fact.contains(phrase)) {
            return true;
        }
        if !self.asks() {
            return false;
        }
        let message: Vec<String> = words(&self.message).collect();
        let stated: Vec<String> = words(&fact).collect();
        let mut asked_for = following(&message).filter(|(word, _)| matches!(word.as_str(), "which" | "what"));
        let is_one = |word: &String| matches!(word.as_str(), "a" | "an" | "some");
        let names_it =
            |(_, thing): (&String, &String)| following(&stated).any(|(word, named)| is_one(word) && named == thing);
        let is_said = |word: &String| message.iter().any(|said| is_form_of(said, word));
        asked_for.any(names_it) || !meaning_words(&fact).iter().any(is_said)
    }
}

/// What the user is called, as the lines of some notes tell: whole names first, then the first one of each.
pub(super) fn noted_names(notes: &str) -> Vec<String> {
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

/// Whether a fact says nothing but that the user is there, or of something that it is that.
fn is_empty(fact: &str) -> bool {
    let fact = fact.trim().trim_end_matches('.').to_lowercase();
    EMPTY.contains(&fact.as_str()) || fact.split_once(" is ").is_some_and(|(one, other)| one == other)
}

/// A fact of the most characters without the beginning of a sentence that had no room any more, where a whole one stands in front
/// of it.
fn whole_sentences(fact: &str) -> &str {
    let is_full = fact.chars().count() + 1 >= MAX_FACT_CHARS;
    let fact = fact.trim();
    let end = fact.rfind(". ").filter(|_| is_full && !fact.ends_with(['.', '!', '?', '"', ')']));
    end.map_or(fact, |at| &fact[..=at])
}

fn is_of_agent(wish: &str) -> bool {
    OF_AGENT.iter().any(|begin| wish.trim_start().starts_with(begin))
}

/// Each word with the one behind it.
fn following(words: &[String]) -> impl Iterator<Item = (&String, &String)> {
    words.iter().zip(words.iter().skip(1))
}

fn question(message: &str) -> String {
    format!("Message:\n{message}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{Compiler, Limits, Verdict};
    use crate::inference::{Engine, Script, ScriptedEngine};
    use std::sync::Arc;

    fn pass(message: &str) -> MemoryPass {
        MemoryPass::new(message, &["The user's dog is called Rex.", "My name is Mneme."])
    }

    fn fact(text: &str) -> Finding {
        Finding::Fact(text.to_owned())
    }

    #[test]
    fn a_name_of_the_examples_stands_for_the_user() {
        let pass = MemoryPass::new("At weekends I weave scarves.", &[]);
        let found =
            pass.findings("FACT: The user is Ruhl.\nFACT: Ruhl weaves scarves.\nFACT: Ruhl's hobby is weaving.");
        let facts = ["The user weaves scarves.", "The user's hobby is weaving."];
        assert_eq!(found, facts.map(|fact| Finding::Fact(fact.to_owned())));
        let named = MemoryPass::new("Ruhl weaves scarves.", &[]).findings("FACT: Ruhl weaves scarves.");
        assert_eq!(named, [Finding::Fact("Ruhl weaves scarves.".to_owned())]);
    }

    #[test]
    fn facts_about_the_users_name_are_about_the_user() {
        let written = "FACT: The user's name is Imke Vos.\nFACT: Imke lives in Ghent.\nFACT: Imke Vos's dog is old.\n\
                       FACT: Imker is a job.";
        let found = MemoryPass::new("I'm Imke Vos, in Ghent. My dog is old. Imker is a job.", &[]).findings(written);
        let facts =
            ["The user's name is Imke Vos.", "The user lives in Ghent.", "The user's dog is old.", "Imker is a job."];
        assert_eq!(found, facts.map(fact));
        let later = MemoryPass::new("I sing, says Imke.", &["The user's name is Imke."]);
        assert_eq!(later.findings("FACT: Imke sings."), [fact("The user sings.")]);
        let other = MemoryPass::new("Zibby sings.", &["The user's name is Imke."]);
        assert_eq!(other.findings("FACT: Zibby sings."), [fact("Zibby sings.")]);
    }

    #[test]
    fn what_says_nothing_is_not_noted() {
        let pass = MemoryPass::new("so, I've moved! It's Turin now, new job and all", &[]);
        let written = "FACT: The user has moved to Turin.\nFACT: The user is all set.\nYOU: Me again :)\nYOU: I talk like a pirate.";
        let found = pass.findings(written);
        let expected = [
            Finding::Fact("The user has moved to Turin.".to_owned()),
            Finding::Wish("I talk like a pirate.".to_owned()),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_the_model_knows_and_what_says_nothing_is_not_noted() {
        let found = |message: &str, fact: &str| pass(message).findings(&format!("FACT: {fact}")).len();
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
    }

    #[test]
    fn a_sentence_that_had_no_room_is_left_out() {
        let shop = "The user opens a shop with a friend. ";
        let cut: String =
            shop.chars().chain("and so on ".chars().cycle()).take(MAX_FACT_CHARS - 1).chain(['d']).collect();
        assert_eq!(pass("I open a shop.").findings(&format!("FACT: {cut}")), [fact(shop.trim_end())]);
        for whole in ["The user's doctor is Dr. Weber", "The user sings. They dance.", "The user sings"] {
            assert_eq!(whole_sentences(whole), whole);
        }
    }

    #[test]
    fn each_line_that_was_written_is_a_finding() {
        let written = "FACT: The user has a garden.\nYOU: I am called Fern.\nFACT: The user has a garden.";
        let findings = pass("I have a garden, Fern.").findings(written);
        assert_eq!(findings, [fact("The user has a garden."), Finding::Wish("I am called Fern.".to_owned())]);
        assert!(pass("Hello.").findings(NOTHING).is_empty());
    }

    #[test]
    fn a_name_of_the_examples_that_nobody_mentioned_is_no_finding() {
        let written = "FACT: The user's name is Quill.\nFACT: Zibby has a garden.\nFACT: The user has a garden.";
        assert_eq!(pass("We have a garden.").findings(written), [fact("The user has a garden.")]);
        assert_eq!(pass("I am quill, and we have a garden.").findings(written).len(), 2);
        let known = MemoryPass::new("We have a garden.", &["The user's aunt is called Zibby."]);
        assert_eq!(known.findings(written).len(), 2);
    }

    #[test]
    fn what_says_nothing_is_no_finding() {
        let written = "FACT: The user is allergic to something.\nFACT: The user is allergic to dust.";
        assert_eq!(pass("What am I allergic to?").findings(written), [fact("The user is allergic to dust.")]);
        assert_eq!(pass("I am allergic to something in the garden.").findings(written).len(), 2);
    }

    #[test]
    fn a_question_of_its_own_brings_no_finding() {
        let found = |message: &str, fact: &str| pass(message).findings(&format!("FACT: {fact}")).len();
        assert_eq!(found("Which town do I live in?", "The user lives in a town."), 0);
        assert_eq!(found("Could my job be a good one?", "The user works as a gardener."), 0);
        assert_eq!(found("Have I told you?", "The user has not told what they play."), 0);
        assert_eq!(found("Which town would suit my sister, who sails?", "The user's sister sails."), 1);
        assert_eq!(found("I keep the garden of the council.", "The user works as a gardener."), 1);
    }

    #[test]
    fn a_request_without_a_word_about_the_user_states_nothing() {
        for nothing in [
            "How does one spell 'I am a dentist'?",
            "Write a poem. The hero has a horse called Pim.",
            "what's 7 times 8?",
            "What do I do for a living?",
            "Say \"my cello\" backwards, can you?",
        ] {
            assert!(pass(nothing).states_nothing(), "{nothing}");
        }
        for something in [
            "What shall I cook for my aunt?",
            "Can you help? I've lost the cello.",
            "The cello is in the attic.",
            "Where can my dog Rex swim?",
        ] {
            assert!(!pass(something).states_nothing(), "{something}");
        }
    }

    #[test]
    fn examples_are_answers_that_the_grammar_allows_and_that_are_found() {
        let vocab = Arc::clone(ScriptedEngine::new(Script::default()).vocab());
        let compiler = Compiler::new(vocab, Limits::default());
        for (message, answer) in EXAMPLES {
            let grammar = compiler.compile(&pass(message).grammar()).unwrap();
            assert_eq!(grammar.judge(answer.as_bytes()).unwrap(), Verdict::Accepted, "{answer}");
            let lines = if *answer == NOTHING { 0 } else { answer.lines().count() };
            assert_eq!(pass(message).findings(answer).len(), lines, "{message}");
        }
    }

    #[test]
    fn what_a_message_says_of_the_user_alone_is_no_wish_for_the_agent() {
        let compiler = Compiler::new(Arc::clone(ScriptedEngine::new(Script::default()).vocab()), Limits::default());
        for (message, may_wish) in [
            ("I am called Wenzel.", false),
            ("Ich heiße Wenzel.", false),
            // What the agent is to do with it is asked of the agent.
            ("Call me Wenzel.", true),
            ("Your name is Fern, and I am Wenzel.", true),
            ("Talk like a pirate.", true),
            ("我叫文策尔。", true),
        ] {
            let grammar = compiler.compile(&pass(message).grammar()).unwrap();
            let verdict = grammar.judge(b"YOU: I am called Wenzel.").unwrap();
            assert_eq!(verdict == Verdict::Accepted, may_wish, "{message}");
            assert_eq!(grammar.judge(b"FACT: The user is called Wenzel.").unwrap(), Verdict::Accepted, "{message}");
        }
    }

    #[test]
    fn a_message_that_does_not_fit_loses_its_end() {
        let mut pass = pass(&"word ".repeat(100));
        let mut steps = 0;
        while pass.shrink() {
            steps += 1;
        }
        assert!((2..10).contains(&steps), "{steps}");
        assert!("word ".repeat(100).starts_with(&pass.message));
    }
}
