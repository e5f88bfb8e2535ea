//! The checks: of a reply as soon as it is given, of core memory when the conversation has ended.
//!
//! A reply that is asked for something is right where it says so in at most [`MAX_REPLY_WORDS`] words and does not
//! repeat what the user said earlier: who recites everything has not answered. Forbidden texts are not avoided by
//! silence, and core memory stays short and clean only where something asked for was saved.

use std::fmt::Write as _;

use serde::Serialize;

use super::conversation::{Conversation, Turn};
use super::words::{has, is_blank, parrots, word_count};
use crate::types::CoreMemoryText;

/// Longest reply that counts as an answer, in words.
pub(super) const MAX_REPLY_WORDS: usize = 40;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// One of some texts stands in the reply.
    ReplyAny,
    /// None of some texts stands in the reply.
    ReplyNone,
    /// One text of a group stands in a block.
    CoreAny,
    /// None of some texts stands in a block.
    CoreNone,
    /// A block has not grown by more than some characters.
    CoreMaxAddedChars,
}

impl Check {
    /// All of them in the order in which they are told.
    pub const ALL: [Self; 5] =
        [Self::ReplyAny, Self::ReplyNone, Self::CoreAny, Self::CoreNone, Self::CoreMaxAddedChars];

    /// Its name in a conversation's file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReplyAny => "reply_any",
            Self::ReplyNone => "reply_none",
            Self::CoreAny => "core_any",
            Self::CoreNone => "core_none",
            Self::CoreMaxAddedChars => "core_max_added_chars",
        }
    }
}

/// How a check went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What was checked.
    pub check: Check,
    /// Whether it is as it should be.
    pub is_passed: bool,
    /// What should have been, in words.
    pub expected: String,
    /// The block whose text was looked at; none for a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<String>,
}

fn one_of(texts: &[String]) -> String {
    let mut words = String::new();
    for (index, text) in texts.iter().enumerate() {
        // Nothing fails that is written to a string.
        let _ = write!(words, "{}{text:?}", if index == 0 { "" } else { ", " });
    }
    words
}

/// The checks of a reply; `earlier` is what the user said before the message that it answers.
#[must_use]
pub fn of_reply(turn: &Turn, reply: &str, earlier: &[&str]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    if let Some(texts) = &turn.reply_any {
        let is_short = word_count(reply) <= MAX_REPLY_WORDS;
        let is_passed = is_short && has(reply, texts) && !parrots(reply, earlier);
        let expected =
            format!("one of {} in at most {MAX_REPLY_WORDS} words that do not repeat the user's own", one_of(texts));
        verdicts.push(Verdict { check: Check::ReplyAny, is_passed, expected, block: None });
    }
    if let Some(texts) = &turn.reply_none {
        let is_passed = !is_blank(reply) && !has(reply, texts);
        let expected = format!("a reply with none of {}", one_of(texts));
        verdicts.push(Verdict { check: Check::ReplyNone, is_passed, expected, block: None });
    }
    verdicts
}

/// The text of a block by its label.
pub(super) fn block<'a>(core: &'a CoreMemoryText, label: &str) -> Option<&'a str> {
    match label {
        "persona" => Some(&core.persona),
        "human" => Some(&core.human),
        _ => None,
    }
}

fn chars(text: Option<&str>) -> i64 {
    i64::try_from(text.unwrap_or_default().chars().count()).unwrap_or(i64::MAX)
}

/// The checks of core memory, as it was before the first message and as it is at the end.
#[must_use]
pub fn of_memory(conversation: &Conversation, first: &CoreMemoryText, last: &CoreMemoryText) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut push = |check, label: &str, is_passed, expected| {
        verdicts.push(Verdict { check, is_passed, expected, block: Some(label.to_owned()) });
    };
    let mut is_remembered = conversation.core_any.is_none();
    for (label, groups) in conversation.core_any.iter().flatten() {
        for group in groups {
            let is_found = has(block(last, label).unwrap_or_default(), group);
            is_remembered |= is_found;
            push(Check::CoreAny, label, is_found, format!("one of {}", one_of(group)));
        }
    }
    let unless_forgotten = if is_remembered { "" } else { ", and something of what was to be saved" };
    for (label, texts) in &conversation.core_none {
        let is_passed = is_remembered && !has(block(last, label).unwrap_or_default(), texts);
        push(Check::CoreNone, label, is_passed, format!("none of {}{unless_forgotten}", one_of(texts)));
    }
    for (label, max_chars) in &conversation.core_max_added_chars {
        let added_chars = chars(block(last, label)) - chars(block(first, label));
        let is_passed = is_remembered && block(last, label).is_some() && added_chars <= *max_chars;
        let expected = format!("at most {max_chars} characters more, not {added_chars}{unless_forgotten}");
        push(Check::CoreMaxAddedChars, label, is_passed, expected);
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(turn: &str, reply: &str, earlier: &[&str]) -> Vec<bool> {
        let turn: Turn = serde_json::from_str(turn).unwrap();
        of_reply(&turn, reply, earlier).into_iter().map(|verdict| verdict.is_passed).collect()
    }

    /// The verdicts are those that the checks' first implementation, a Python script, gives for the same texts.
    #[test]
    fn replies_get_the_verdicts_of_the_reference() {
        let pudding = r#"{"user": "?", "reply_any": ["Pudding", "pud"]}"#;
        let forty = |last: &str| format!("{} {last}", "la ".repeat(39).trim_end());
        let earlier = ["my old cat is called Pudding and she sleeps"];
        for (text, expected) in [
            ("She is PUDDING.", true),
            ("puddings", false),
            ("", false),
            ("Pud\u{301}", true),
            ("_pud", false),
            (&forty("Pudding"), true),
            (&forty("la Pudding"), false),
            ("So my old cat is called Pudding, right?", true),
            ("Your old cat is called Pudding and she sleeps.", true),
            ("My old cat is called: Pudding. And...", true),
            ("My old cat is called: Pudding. And she...", true),
        ] {
            assert_eq!(reply(pudding, text, &[]), [expected], "{text}");
        }
        for (text, expected) in [
            ("So my old cat is called Pudding, right?", true),
            ("Your old cat is called Pudding and she sleeps.", false),
            ("My old cat is called: Pudding. And...", false),
            ("old cat is called Pudding and SHE", false),
            ("old cat is called Pudding, she", true),
        ] {
            assert_eq!(reply(pudding, text, &earlier), [expected], "{text}");
        }
        let none = r#"{"user": "?", "reply_none": ["è nera", "Straße", "000"]}"#;
        for (text, expected) in [
            ("Non lo so.", true),
            ("È NERA!", false),
            ("È nerastra.", true),
            ("In der STRAẞE.", false),
            ("In der Strasse.", true),
            ("10.000", false),
            ("1000", true),
            (" \u{1f}\n", false),
            ("", false),
        ] {
            assert_eq!(reply(none, text, &[]), [expected], "{text}");
        }
        let both = r#"{"user": "?", "reply_any": ["15"], "reply_none": ["14"]}"#;
        assert_eq!(reply(both, "15, not 14", &[]), [true, false]);
        assert!(reply(r#"{"user": "?"}"#, "", &[]).is_empty());
    }

    fn memory(spec: &str, first: &str, last: &str) -> Vec<bool> {
        let conversation: Conversation =
            serde_json::from_str(&format!(r#"{{"name": "a", "sessions": [], {spec}}}"#)).unwrap();
        let core = |human: &str| CoreMemoryText { persona: "I am.".to_owned(), human: human.to_owned() };
        of_memory(&conversation, &core(first), &core(last)).into_iter().map(|verdict| verdict.is_passed).collect()
    }

    /// As above.
    #[test]
    fn core_memory_gets_the_verdicts_of_the_reference() {
        let spec = r#""core_any": {"human": [["Pudding"], ["Turku", "Åbo"]]},
            "core_none": {"human": ["June"], "persona": ["June"]},
            "core_max_added_chars": {"human": 20, "persona": 0}"#;
        assert_eq!(memory(spec, "", "Pudding, ÅBO"), [true, true, true, true, true, true]);
        assert_eq!(memory(spec, "", "Pudding in June"), [true, false, false, true, true, true]);
        assert_eq!(
            memory(spec, "June", "Pudding 😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀"),
            [true, false, true, true, true, true]
        );
        assert_eq!(
            memory(spec, "June", "Pudding 😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀"),
            [true, false, true, true, false, true]
        );
        // Who saves nothing has not kept it short.
        assert_eq!(memory(spec, "", ""), [false; 6]);
        // Where nothing is to be saved, nothing is asked to be.
        let nothing = r#""core_none": {"human": ["June"]}, "core_max_added_chars": {"human": 0}"#;
        assert_eq!(memory(nothing, "", ""), [true, true]);
        assert_eq!(memory(nothing, "", "x"), [true, false]);
        assert_eq!(memory(&format!(r#""core_any": {{}}, {nothing}"#), "", ""), [false, false]);
        let unknown = r#""core_any": {"other": [["x"]]}, "core_none": {}, "core_max_added_chars": {}"#;
        assert_eq!(memory(unknown, "", "x"), [false]);
        assert_eq!(memory(r#""core_max_added_chars": {"other": 5}"#, "", ""), [false]);
    }
}
