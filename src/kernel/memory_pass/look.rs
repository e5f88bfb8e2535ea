//! The first half of a memory pass: what does a message of the user state? Pure: makes the prompt and its grammar;
//! [`super::findings`] makes findings of what was written, [`super::notes`] compares them with what is known, and the agent runs all.
//!
//! Why a pass of its own: small models that are asked to answer *and* to save in one breath do one of the two. Why
//! without the notes in view: asked what a message changes in them, Qwen2.5-Coder-1.5B copied them (on 84 messages made
//! up for this purpose it wrote 72 of 95 facts down and overwrote unrelated notes; without them, 91 of 95). The calls
//! that the model makes by itself while it answers stay as they are; what they saved is a note and is not saved again.

use crate::grammar::policy::literal;
use crate::types::Language;

use super::super::language::{
    asks_about_user, ends_in_question, lays_down, lays_down_manner, only_asks, speaks_of_agent_alone, speaks_of_user,
    speaks_of_user_alone, without_quotations, without_small_talk, words,
};
use super::findings::{Finding, Message};
use super::notes::MAX_FACT_CHARS;

/// Facts that one piece of a message can bring.
const MAX_FINDINGS: usize = 6;
/// Most words of a question in another language than English that tells nothing: "Wie heißt mein Bruder, und was macht er?"
const MAX_QUESTION_WORDS: usize = 10;
/// Below this a message is not shortened further.
const LEAST_PIECE_CHARS: usize = 80;
/// How much likelier it must be that a message states something than that it states nothing.
const MIN_ODDS: f32 = 0.8;
/// The same for a message that ends in a question.
const MIN_ODDS_OF_QUESTION: f32 = 1.3;

/// The same for a piece of a long message in which the user speaks of themselves: nobody writes that much without saying
/// something, and a piece that ends in "pleased to meet you" is easily taken for small talk as a whole.
const MIN_ODDS_OF_LONG: f32 = 0.05;

/// The same for what says how the agent is to be and nothing else: to "Please stop apologising." the odds were 0.26, to "Always
/// answer in one sentence." 0.5.
const MIN_ODDS_OF_MANNER: f32 = 0.15;

/// Begins an answer that says: the message states nothing.
pub(super) const NOTHING: &str = "NONE";
pub(super) const FACT: &str = "FACT: ";
pub(super) const WISH: &str = "YOU: ";

const INSTRUCTIONS: &str = "You keep short notes about the user of a chat. You read one message of the user and write \
down every lasting fact that it states about the user, their life, plans and tastes, or the people, animals and things \
around them. One short sentence for each fact; no name, number, date or place is left out.
FACT: such a fact
YOU: how the user wants you to be or to be called
NONE: a question, a request, a greeting, thanks or small talk";

/// Message, answer. The people, things and places in them are made up for this purpose.
pub(super) const EXAMPLES: &[(&str, &str)] = &[
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

/// A look at one piece of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemoryPass {
    message: Message,
    /// It is a piece of a longer message.
    is_piece: bool,
}

impl MemoryPass {
    /// A look at `message`; `known` is text whose names a finding may use.
    pub(super) fn new(message: &str, known: &[&str]) -> Self {
        Self { message: Message::new(message, known), is_piece: false }
    }

    /// Says whether the message is a piece of a longer one. Then it is looked at without the small talk at its end: by that,
    /// small models take all of it for small talk.
    pub(super) fn of_piece(mut self, is_piece: bool) -> Self {
        self.is_piece = is_piece;
        if is_piece && !speaks_of_agent_alone(&self.message.text) {
            self.message.text = without_small_talk(&self.message.text).to_owned();
        }
        self
    }

    /// See [`MIN_ODDS`].
    pub(super) fn min_odds(&self) -> f32 {
        if self.asks() {
            MIN_ODDS_OF_QUESTION
        } else if self.is_piece && speaks_of_user(&self.message.text) {
            MIN_ODDS_OF_LONG
        } else if lays_down_manner(&self.message.text) && speaks_of_agent_alone(&self.message.text) {
            MIN_ODDS_OF_MANNER
        } else {
            MIN_ODDS
        }
    }

    /// Whether the message ends in a question.
    pub(super) fn asks(&self) -> bool {
        ends_in_question(&self.message.text)
    }

    /// Whether the message cannot state anything about the user or the agent: it only asks, and does not say I or my but in
    /// asking what is so about the user. That is known in English; in other languages a short question is taken for one. What it
    /// quotes is not its own.
    pub(super) fn states_nothing(&self) -> bool {
        let own = without_quotations(&self.message.text);
        let is_short_elsewhere = || words(&own).count() <= MAX_QUESTION_WORDS && Language::foreign(&own).is_some();
        only_asks(&own) && !lays_down(&own) && (asks_about_user(&own) || !speaks_of_user(&own) || is_short_elsewhere())
    }

    /// Leaves out the second half of the message; false where nothing is left to leave out.
    pub(super) fn shrink(&mut self) -> bool {
        let chars = self.message.text.chars().count();
        self.message.text = self.message.text.chars().take(chars / 2).collect();
        chars > LEAST_PIECE_CHARS
    }

    /// Instructions, examples and question for `Dialect::render_side`. Instructions and examples never change, so that
    /// the KV cache of the side sequence keeps them.
    pub(super) fn prompt(&self) -> (&'static str, Vec<(String, String)>, String) {
        let owned = |(message, answer): &(&str, &str)| (question(message), (*answer).to_owned());
        (INSTRUCTIONS, EXAMPLES.iter().map(owned).collect(), question(&self.message.text))
    }

    /// What of the answer is kept.
    pub(super) fn findings(&self, written: &str) -> Vec<Finding> {
        self.message.findings(written)
    }

    /// What may be written: that nothing is stated, or a few findings; none for the agent where the message speaks of
    /// the user alone, and none for the user where it speaks of the agent alone.
    pub(super) fn grammar(&self) -> String {
        let more = MAX_FINDINGS - 1;
        let last = MAX_FACT_CHARS - 2;
        // Qwen2.5-Coder-1.5B took "I am called .." for the name that the agent is to have, with odds of 100 to 1.
        // And "Be blunt with me." for "The user is being blunt with the user."
        let kinds = if speaks_of_agent_alone(&self.message.text) {
            literal(WISH)
        } else if speaks_of_user_alone(&self.message.text) {
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
        assert!(pass("Wie heißt mein Bruder, und was macht er?").states_nothing());
        assert!(!pass("Was kann ich meinem Hund Rex geben, er ist seit zwei Tagen krank?").states_nothing());
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
    fn what_a_message_says_of_one_side_alone_is_noted_of_that_side_alone() {
        let compiler = Compiler::new(Arc::clone(ScriptedEngine::new(Script::default()).vocab()), Limits::default());
        for (message, may_wish, may_tell) in [
            ("I am called Wenzel.", false, true),
            ("Ich heiße Wenzel.", false, true),
            // What the agent is to do with it is asked of the agent.
            ("Call me Wenzel.", true, true),
            ("Your name is Fern, and I am Wenzel.", true, true),
            ("Talk like a pirate.", true, false),
            ("我叫文策尔。", true, true),
        ] {
            let grammar = compiler.compile(&pass(message).grammar()).unwrap();
            let may_write = |line: &str| grammar.judge(line.as_bytes()).unwrap() == Verdict::Accepted;
            assert_eq!(may_write("YOU: I am called Wenzel."), may_wish, "{message}");
            assert_eq!(may_write("FACT: The user is called Wenzel."), may_tell, "{message}");
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
        assert!("word ".repeat(100).starts_with(&pass.message.text));
    }
}
