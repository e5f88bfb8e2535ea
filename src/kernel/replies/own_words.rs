//! A constraint under which a reply is in words of the agent's own: it does not begin as the message did, does not take the
//! user's name for the agent's, does not go round in circles, and ends where it would offer help that nobody has asked for.
//!
//! Small models left to themselves do otherwise. Of 50 messages without a question, in eight languages, Qwen2.5-Coder-1.5B began the replies to three with
//! the message itself and answered one by "¡" until it was stopped. Each is refused where it begins, so that the model goes on with
//! what it finds likeliest then. Calls are left alone: their arguments may say anything.

use std::sync::Arc;

use crate::inference::Vocab;
use crate::types::{Constraint, ConstraintError, TokenId};

use super::super::memory_pass::noted_names;
use super::offer_of_help::offer;
use super::opening::only_tells;

/// Words of the message with which a reply may begin.
const ECHOED_WORDS: usize = 3;
/// A character as JSON spells it, which small models write in place of letters beyond ASCII.
const ESCAPE: &str = "\\u";
/// Letters of a name that tell it.
const NAME_LETTERS: usize = 2;
/// Tokens of the longest piece whose copies are counted.
const MAX_PIECE_TOKENS: usize = 48;
/// Copies in a row of a piece: "no, no, no" ..
const MAX_COPIES: usize = 4;
/// .. and of more than a word or two, when they come to so many tokens: a song may have a line three times.
const MAX_SENTENCES: usize = 3;
const SENTENCE_TOKENS: usize = 8;
/// Copies of what has no letter: a row of pictures ..
const MAX_SIGNS: usize = 24;
/// .. but any number of these, of digits and of blanks: lines, tables, numbers.
const DRAWN: &[u8] = b"-=_*#.|~+/\\,:;()[]<>\"' \t\n0123456789";
/// What encloses a program, which may say the same often.
const FENCE: &str = "```";
/// What calls begin with in every dialect: brackets, a tag or a fence, which may hold a program as well.
const CALL_BEGINNINGS: &[u8] = b"{[<`";
/// How one says who one is, and an agent that takes itself for the user as well.
const INTRODUCTIONS: [&str; 5] = ["i'm", "i’m", "i am", "my name is", "ich bin"];
/// Words by which a message is about the agent.
const AGENT: [&str; 5] = ["you", "your", "yourself", "du", "dich"];

/// `inner`, whose text is in words of the agent's own.
pub(in crate::kernel) struct OwnWords<'a> {
    inner: &'a mut dyn Constraint,
    vocab: Arc<Vocab>,
    /// Words of a message that asks for nothing, in lower case.
    message: Vec<String>,
    /// Names of the user.
    names: Vec<String>,
    /// What a reply is not to begin with, in lower case.
    unsaid: Vec<String>,
    /// What was written.
    written: String,
    tokens: Vec<TokenId>,
    /// Tokens by which a piece would come once too often.
    circling: Vec<TokenId>,
    /// Whether the next token can echo the message, or end in a name: every token is asked about, hence looked at before.
    may_echo: bool,
    may_take_name: bool,
    may_be_unsaid: bool,
    /// Whether an offer of help ends it, and whether one has come.
    ends_at_offer: bool,
    is_over: bool,
    has_begun: bool,
    /// Whether it is a text, as far as is known.
    is_text: bool,
}

impl<'a> OwnWords<'a> {
    /// A reply to `message` of a user who is called by one of `names`, see [`user_names`]. Who has something corrected or
    /// written in their name gets it so.
    pub(in crate::kernel) fn new(
        inner: &'a mut dyn Constraint,
        vocab: Arc<Vocab>,
        message: &str,
        names: Vec<String>,
    ) -> Self {
        let only_tells = only_tells(message);
        let message: Vec<String> = words(&message.to_lowercase()).map(str::to_owned).collect();
        let is_of_agent = || message.iter().any(|word| AGENT.contains(&word.as_str()));
        let names = if only_tells || is_of_agent() { names } else { Vec::new() };
        let message = if only_tells { message } else { Vec::new() };
        Self {
            inner,
            vocab,
            message,
            names,
            unsaid: Vec::new(),
            written: String::new(),
            tokens: Vec::new(),
            circling: Vec::new(),
            may_echo: false,
            may_take_name: false,
            may_be_unsaid: false,
            ends_at_offer: false,
            is_over: false,
            has_begun: false,
            is_text: true,
        }
    }

    /// Does not begin with any of these, in lower case.
    pub(in crate::kernel) fn without(mut self, unsaid: Vec<String>) -> Self {
        self.unsaid = unsaid;
        self.may_be_unsaid = self.may_become_unsaid();
        self
    }

    /// Ends the text where it would offer help, if `ends` says so.
    pub(in crate::kernel) const fn ending_at_offer(mut self, ends: bool) -> Self {
        self.ends_at_offer = ends;
        self
    }

    fn is_refused(&self, token: TokenId) -> bool {
        self.is_text
            && (self.circling.contains(&token)
                || self.is_escape(token)
                || self.may_be_unsaid && self.is_unsaid(&self.with(token))
                || self.may_echo && self.echoed(&self.with(token)) > ECHOED_WORDS
                || self.may_take_name
                    && self.name_begun(&self.with(token)).is_some_and(|letters| letters >= NAME_LETTERS))
    }

    /// Whether a character of the text would be spelled as JSON does. Programs may do that, and answers about it.
    fn is_escape(&self, token: TokenId) -> bool {
        let bytes = self.vocab.bytes(token);
        if self.message.is_empty() || !bytes.contains(&b'\\') && !self.written.ends_with('\\') {
            return false;
        }
        if self.written.matches('`').count() % 2 == 1 {
            return false;
        }
        let before = self.written.char_indices().rev().nth(1).map_or(0, |(at, _)| at);
        let text = self.written.get(before..).unwrap_or_default().to_owned() + &String::from_utf8_lossy(bytes);
        let escapes = |(at, _): (usize, &str)| {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            let behind = text.get(at + ESCAPE.len()..).and_then(|behind| behind.chars().next());
            before.is_none_or(|c| c.is_alphabetic() || c.is_whitespace())
                && behind.is_none_or(|c| c.is_ascii_hexdigit())
        };
        text.rmatch_indices(ESCAPE).next().is_some_and(escapes)
    }

    /// Whether the text so far is short enough to become something that it must not begin with.
    fn may_become_unsaid(&self) -> bool {
        let begun = self.written.trim_start();
        self.unsaid.iter().any(|phrase| begun.len() < phrase.len() && phrase.starts_with(&begun.to_lowercase()))
    }

    fn is_unsaid(&self, text: &str) -> bool {
        let begun = text.trim_start().to_lowercase();
        let is_begun = |phrase: &String| {
            begun.strip_prefix(phrase).is_some_and(|behind| !behind.starts_with(char::is_alphanumeric))
        };
        self.unsaid.iter().any(is_begun)
    }

    /// How many words of the message `text` has begun with; 0 where it goes on otherwise.
    fn echoed(&self, text: &str) -> usize {
        let text = text.to_lowercase();
        let mut count = 0;
        let mut begun = words(&text).peekable();
        while let Some(word) = begun.next() {
            // The last word may only have begun.
            let is_last = begun.peek().is_none();
            match self.message.get(count) {
                Some(said) if word == said || is_last && said.starts_with(word) => count += 1,
                _ => return 0,
            }
        }
        count
    }

    /// How many letters of a name of the user stand behind the last introduction in `text`; none where something else does.
    fn name_begun(&self, text: &str) -> Option<usize> {
        let lower = text.to_lowercase();
        let places = INTRODUCTIONS.iter().filter_map(|begin| lower.rfind(begin).map(|at| at + begin.len()));
        // Case changes the length of few letters.
        let behind = text.get(places.max()?..)?.trim_start();
        self.names.iter().any(|name| name.starts_with(behind)).then(|| behind.chars().count())
    }

    fn with(&self, token: TokenId) -> String {
        self.written.clone() + &String::from_utf8_lossy(self.vocab.bytes(token))
    }

    /// The first tokens of pieces that have come as often as they may.
    fn circling(&self) -> Vec<TokenId> {
        let mut found = Vec::new();
        if self.written.contains(FENCE) {
            return found;
        }
        for piece in 1..=MAX_PIECE_TOKENS {
            let copied = self.tokens.len().checked_sub(piece).and_then(|start| self.tokens.get(start..));
            let Some(copied) = copied else { break };
            let bytes: Vec<u8> = copied.iter().flat_map(|token| self.vocab.bytes(*token)).copied().collect();
            let most = if bytes.iter().all(|byte| DRAWN.contains(byte)) {
                continue;
            } else if !String::from_utf8_lossy(&bytes).contains(char::is_alphabetic) {
                MAX_SIGNS
            } else if piece < SENTENCE_TOKENS {
                MAX_COPIES
            } else {
                MAX_SENTENCES
            };
            let copies = self.tokens.rchunks_exact(piece).take_while(|chunk| *chunk == copied).count();
            if copies >= most {
                found.extend(copied.first());
            }
        }
        found
    }
}

impl Constraint for OwnWords<'_> {
    fn allows(&mut self, token: TokenId) -> Result<bool, ConstraintError> {
        if self.is_refused(token) { Ok(false) } else { self.inner.allows(token) }
    }

    fn commit(&mut self, token: TokenId) -> Result<(), ConstraintError> {
        self.inner.commit(token)?;
        let bytes = self.vocab.bytes(token);
        if !std::mem::replace(&mut self.has_begun, true) {
            // Control tokens are spelled with such beginnings as well.
            self.is_text = begins_text(bytes);
        }
        if self.is_text {
            self.written.push_str(&String::from_utf8_lossy(bytes));
            self.tokens.push(token);
            self.circling = self.circling();
            self.may_be_unsaid = self.may_become_unsaid();
            self.may_echo = self.echoed(&self.written) >= ECHOED_WORDS;
            self.is_over = self.ends_at_offer && offer(&self.written).is_some();
            self.may_take_name = !self.names.is_empty() && self.name_begun(&self.written).is_some();
        }
        Ok(())
    }

    fn may_end(&self) -> bool {
        self.inner.may_end()
    }

    fn must_end(&self) -> bool {
        self.is_over || self.inner.must_end()
    }

    fn forced_bytes(&mut self) -> Vec<u8> {
        self.inner.forced_bytes()
    }

    fn forced_token(&mut self) -> Option<TokenId> {
        self.inner.forced_token()
    }

    fn allowed_tokens(&mut self, allowed: &mut Vec<TokenId>) -> Result<(), ConstraintError> {
        self.inner.allowed_tokens(allowed)?;
        allowed.retain(|token| !self.is_refused(*token));
        Ok(())
    }
}

/// Whether a reply whose first token has these bytes is a text, as far as is known: in the classic profile none is.
pub(super) fn begins_text(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| !CALL_BEGINNINGS.contains(first))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// What the user is called by what they have `said` and by `core_memory`, in which the agent's own name stands as well.
pub(in crate::kernel) fn user_names<'t>(said: impl Iterator<Item = &'t str>, core_memory: &str) -> Vec<String> {
    let own = introduced(core_memory);
    let names = said.flat_map(introduced).chain(noted_names(core_memory));
    names.filter(|name| !own.contains(name)).collect()
}

/// The words behind an introduction that are written as names are.
fn introduced(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    // Case changes the length of few letters; where it does, names are not looked for.
    if lower.len() != text.len() {
        return Vec::new();
    }
    let places = INTRODUCTIONS.iter().flat_map(|begin| lower.match_indices(begin).map(|(at, found)| at + found.len()));
    let name = |at: usize| {
        let behind = text.get(at..)?.strip_prefix(' ')?;
        let name = words(behind).next()?;
        let is_name = name.starts_with(char::is_uppercase) && name.chars().skip(1).all(char::is_lowercase);
        (behind.starts_with(name) && is_name).then(|| name.to_owned())
    };
    places.filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{Compiler, Limits};
    use crate::inference::{Engine, Script, ScriptedEngine, tokenize_text};

    /// How far `text` may be written as the reply to `message`.
    fn written<'t>(message: &str, text: &'t str) -> &'t str {
        let engine = ScriptedEngine::new(Script::default());
        let vocab = Arc::clone(engine.vocab());
        let grammar = Compiler::new(Arc::clone(&vocab), Limits::default()).compile("root ::= [^\\x00]*").unwrap();
        let mut matcher = grammar.matcher().unwrap();
        let names = user_names([message].into_iter(), "The user's name is Quill.\nMy name is Mneme.");
        let mut constraint = OwnWords::new(&mut matcher, vocab, message, names);
        let mut end = 0;
        for token in tokenize_text(&engine, text).unwrap() {
            if !constraint.allows(token).unwrap() {
                break;
            }
            constraint.commit(token).unwrap();
            end += engine.vocab().bytes(token).len();
        }
        &text[..end]
    }

    #[test]
    fn characters_are_not_spelled_as_json_does() {
        assert_eq!(written("Es stürmt.", "Drau\\u00dfen ist es nass."), "Drau\\");
        assert_eq!(written("Es stürmt.", "Ja, \\u00fcbel."), "Ja, \\");
        for text in ["Es steht in C:\\users.", "Write `\\u00df` for it."] {
            assert_eq!(written("It has an odd letter.", text), text);
        }
        assert_eq!(written("How is it spelled?", "It is \\u00df."), "It is \\u00df.");
    }

    #[test]
    fn a_reply_does_not_begin_with_what_the_agent_is_not_to_say() {
        let engine = ScriptedEngine::new(Script::default());
        let grammar =
            Compiler::new(Arc::clone(engine.vocab()), Limits::default()).compile("root ::= [^\\x00]*").unwrap();
        let may_write = |text: &str| {
            let mut matcher = grammar.matcher().unwrap();
            let unsaid = vec!["certainly".to_owned(), "great question".to_owned()];
            let mut constraint =
                OwnWords::new(&mut matcher, Arc::clone(engine.vocab()), "Name a river?", Vec::new()).without(unsaid);
            tokenize_text(&engine, text).unwrap().into_iter().all(|token| {
                let is_allowed = constraint.allows(token).unwrap();
                if is_allowed {
                    constraint.commit(token).unwrap();
                }
                is_allowed
            })
        };
        assert!(!may_write("Certainly! The Loire.") && !may_write("great question: the Loire."));
        assert!(may_write("Great rivers: the Loire.") && may_write("The Loire, certainly.") && may_write("Sure!"));
    }

    #[test]
    fn a_reply_does_not_begin_as_the_message() {
        let message = "The twins, Theo and Margit, turned 9.";
        assert!(written(message, message).len() <= "The twins, Theo ".len());
        assert!(written(message, "the twins (Theo and Margit) are nine").len() <= "the twins (Theo ".len());
        for own in ["The twins are nine! Theo and Margit, turned 9.", "Nine! The twins, Theo and Margit, turned 9.", ""]
        {
            assert_eq!(written(message, own), own);
        }
        assert_eq!(written("Happy new year!", "Happy new year!"), "Happy new year!");
    }

    #[test]
    fn nobody_takes_the_name_of_the_user() {
        let message = "Hi, I'm Imke Vos, and my name is Imke.";
        assert!(written(message, "Hello! I'm Imke, too.").len() <= "Hello! I'm I".len());
        assert!(written(message, "Hello! My name is Imke.").len() <= "Hello! My name is I".len());
        for own in ["Hello Imke, I'm glad.", "Hello, I'm Mneme. You are Imke?"] {
            assert_eq!(written(message, own), own);
        }
        assert_eq!(written("I'm tired.", "I'm Tired"), "I'm Tired");
        assert!(written("Who are you?", "I'm Quill.").len() <= "I'm Q".len(), "it is noted");
        assert_eq!(written("Who are you?", "I'm Mneme."), "I'm Mneme.");
    }

    #[test]
    fn a_reply_does_not_go_round_in_circles() {
        let circle = "It rains in Rome. ".repeat(9);
        let end = written("", &circle).len();
        assert!(end >= circle.len() / 5 && end <= circle.len() * 2 / 3, "{end}");
        assert!(written("", &"¡".repeat(60)).chars().count() <= MAX_SIGNS);
        for own in [
            "no, no, no, I won't",
            "8,000,000,000 and 0, 0, 0, 0, 0, 0, 0 and -------- | | | | |",
            "It rains. It rains in Rome.",
            "Happy birthday to you. Happy birthday to you. Happy birthday dear Rex. Happy birthday to you.",
            "00:00:00:00:00:00:00:00",
            "As code:\n```\na();\na();\na();\na();\na();\na();\n```",
        ] {
            assert_eq!(written("", own), own);
        }
        let call = format!("{{\"a\": \"{}\"}}", "abc ".repeat(20));
        assert_eq!(written("", &call), call);
    }

    #[test]
    fn what_is_asked_for_is_written_as_it_is_asked() {
        let corrected = "I am going to the libary. Is that right?";
        assert_eq!(written(corrected, "I am going to the library."), "I am going to the library.");
        assert_eq!(written("Write a text for my blog. My name is Clara.", "Hi, I'm Clara."), "Hi, I'm Clara.");
        assert!(written("My name is Clara. Who are you?", "I'm Clara.").len() <= "I'm C".len());
        assert_eq!(written("I'm Sofia.", "I'm so glad."), "I'm so glad.");
        assert_eq!(written("I'M SO TIRED", "I'm so sorry. I'm So."), "I'm so sorry. I'm So.");
    }
}
