//! The official judge: an accepted answer is right where it stands in the reply as a whole word.
//!
//! Both texts lose the characters `,./-_*^()`, are put in lower case, and `'` becomes `"`; then the regular expression
//! `\bANSWER\b` is searched for. A word character is what Python's `re` takes for one in text: letters and numbers of
//! Unicode, and the underscore, which is gone by then. An empty answer stands at any edge of a word.
//!
//! Source: `bfcl_eval/eval_checker/agentic_eval/agentic_checker.py` of the wheel `bfcl-eval` 2026.3.23; a test compares
//! verdicts. The tables of letters are those of a newer Unicode than Python's: characters that Python does not know yet
//! may be judged otherwise.

use regex_syntax::hir::{Class, ClassUnicode, HirKind};

use super::Error;

/// What both texts lose.
const DELETED: [char; 9] = [',', '.', '/', '-', '_', '*', '^', '(', ')'];
/// What Python's `\w` matches, the underscore apart.
const WORD: &str = r"[\p{L}\p{N}]";

/// Judges replies.
#[derive(Debug, Clone)]
pub struct Judge {
    word: ClassUnicode,
}

impl Judge {
    /// Reads the tables of letters and numbers.
    ///
    /// # Errors
    /// [`Error::Tables`] where this build lacks them.
    pub fn new() -> Result<Self, Error> {
        let parsed =
            regex_syntax::Parser::new().parse(WORD).map_err(|error| Error::Tables { reason: error.to_string() })?;
        match parsed.into_kind() {
            HirKind::Class(Class::Unicode(word)) => Ok(Self { word }),
            other => Err(Error::Tables { reason: format!("{WORD} is read as {other:?}") }),
        }
    }

    /// Whether the reply holds one of the accepted answers.
    #[must_use]
    pub fn is_right(&self, reply: &str, accepted: &[String]) -> bool {
        let reply = standardized(reply);
        accepted.iter().any(|answer| self.stands_in(&standardized(answer), &reply))
    }

    fn stands_in(&self, answer: &str, reply: &str) -> bool {
        let ends = std::iter::once(reply.len());
        let mut places = reply.char_indices().map(|(at, _)| at).chain(ends);
        places.any(|at| {
            reply.get(at..).is_some_and(|rest| rest.starts_with(answer))
                && self.is_edge(reply, at)
                && self.is_edge(reply, at + answer.len())
        })
    }

    /// Whether a word begins or ends at a byte of the text.
    fn is_edge(&self, text: &str, at: usize) -> bool {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at..).and_then(|after| after.chars().next());
        before.is_some_and(|one| self.is_word(one)) != after.is_some_and(|one| self.is_word(one))
    }

    fn is_word(&self, one: char) -> bool {
        let place = self.word.ranges().binary_search_by(|range| {
            if range.end() < one {
                std::cmp::Ordering::Less
            } else if range.start() > one {
                std::cmp::Ordering::Greater
            } else {
                std::cmp::Ordering::Equal
            }
        });
        place.is_ok()
    }
}

fn standardized(text: &str) -> String {
    text.replace(DELETED, "").to_lowercase().replace('\'', "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_must_stand_as_a_whole_word() {
        let judge = Judge::new().unwrap();
        let is_right = |reply: &str, answer: &str| judge.is_right(reply, &[answer.to_owned()]);
        assert!(is_right("It was the Blue-Heron.", "blueheron") && is_right("(1,250)", "1250"));
        assert!(!is_right("seventeen", "seven") && !is_right("35 years", "3"));
        assert!(!judge.is_right("anything", &[]));
    }

    #[test]
    fn marks_are_no_letters() {
        let judge = Judge::new().unwrap();
        // U+0903 and U+24B6 count as alphabetic, but are neither letters nor numbers.
        for (one, expected) in [('a', true), ('½', true), ('語', true), ('\u{903}', false), ('\u{24b6}', false)] {
            assert_eq!(judge.is_word(one), expected, "{one}");
        }
    }
}
