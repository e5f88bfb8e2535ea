//! What can be wrong with a grammar.

use std::fmt;

/// Where in a grammar's source something is wrong. A line ends with CR, LF or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The offending text.
    pub text: String,
    /// The line with a mark under the offending text.
    pub excerpt: String,
}

/// Longest stretch of a source line that an excerpt shows, in characters: grammars made by programs have long lines.
const EXCERPT_CHARS: usize = 100;

/// What ends a line; CR LF ends one.
pub(super) const LINE_ENDS: [char; 2] = ['\r', '\n'];

fn line_ends(text: &str) -> usize {
    text.matches(LINE_ENDS).count() - text.matches("\r\n").count()
}

impl Place {
    /// The place of `source[start..end]`; the end is drawn in to the end of its line.
    pub(crate) fn new(source: &str, start: usize, end: usize) -> Self {
        let start = floor_boundary(source, start);
        let (before, behind) = source.split_at_checked(start).unwrap_or((source, ""));
        // The second character of CR LF stands on the line that both end.
        let above = if behind.starts_with('\n') { before.strip_suffix('\r').unwrap_or(before) } else { before };
        let line_start = above.rfind(LINE_ENDS).map_or(0, |at| at + 1);
        let line_end = behind.find(LINE_ENDS).map_or(source.len(), |at| start + at);
        let end = floor_boundary(source, end).clamp(start, line_end);
        let text = source.get(start..end).unwrap_or_default();
        let line = line_ends(source.get(..line_start).unwrap_or_default()) + 1;
        let column = source.get(line_start..start).unwrap_or_default().chars().count() + 1;
        let skipped = (column - 1).saturating_sub(EXCERPT_CHARS / 2);
        let shown = source.get(line_start..line_end.max(line_start)).unwrap_or_default().chars().skip(skipped);
        let shown: String = shown.take(EXCERPT_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mark = "^".repeat(text.chars().count().clamp(1, EXCERPT_CHARS / 2));
        let number = line.to_string();
        let indent = " ".repeat(number.len());
        let excerpt = format!("{number} | {shown}\n{indent} | {}{mark}", " ".repeat(column - 1 - skipped));
        Self { line, column, text: text.chars().take(EXCERPT_CHARS).collect(), excerpt }
    }
}

fn floor_boundary(source: &str, at: usize) -> usize {
    let mut at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}, column {}", self.line, self.column)?;
        if self.text.is_empty() { Ok(()) } else { write!(formatter, ", at `{}`", self.text) }
    }
}

/// A grammar that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not GBNF.
    #[error("{place}: {problem}")]
    Syntax {
        /// Where.
        place: Place,
        /// What is wrong there.
        problem: String,
    },
    /// A rule is used that nothing defines.
    #[error("{place}: the rule `{name}` is used but not defined")]
    UndefinedRule {
        /// Where it is used first.
        place: Place,
        /// Its name.
        name: String,
    },
    /// A rule is defined twice.
    #[error("{place}: the rule `{name}` was already defined on line {first_line}")]
    DuplicateRule {
        /// The second definition.
        place: Place,
        /// Its name.
        name: String,
        /// Line of the first definition.
        first_line: usize,
    },
    /// There is no start rule.
    #[error("the grammar has no rule named `root`")]
    NoRoot,
    /// A rule can call itself before anything was read.
    #[error("{place}: left recursion: {}", cycle.join(" -> "))]
    LeftRecursion {
        /// Definition of the first rule of the cycle.
        place: Place,
        /// Names of the rules, the first one again at the end.
        cycle: Vec<String>,
    },
    /// Rules that no text can ever complete.
    #[error("{place}: no text can ever complete: {}", rules.join(", "))]
    NeverEnds {
        /// Definition of the first of them.
        place: Place,
        /// Names of the rules.
        rules: Vec<String>,
    },
    /// A token item that the vocabulary cannot serve.
    #[error("{place}: {problem}")]
    Token {
        /// Where.
        place: Place,
        /// What is wrong with it.
        problem: String,
    },
    /// A limit was hit that no place in the text stands for.
    #[error("the grammar's {what} came to {found}, the limit is {limit}")]
    Limit {
        /// What was counted.
        what: &'static str,
        /// How many there were.
        found: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A limit was hit while the text was read.
    #[error("{place}: the grammar's {what} came to {found}, the limit is {limit}")]
    SourceLimit {
        /// What was above it. Boxed, as an error is handed up by value through every layer.
        place: Box<Place>,
        /// What was counted.
        what: &'static str,
        /// How many there were.
        found: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A grammar that a program made and that makes no sense.
    #[error("the grammar cannot be compiled: {problem}")]
    Invalid {
        /// Why.
        problem: String,
    },
    /// A trigger that cannot put the grammar into force.
    #[error("the trigger cannot be used: {problem}")]
    Trigger {
        /// Why.
        problem: String,
    },
    /// A step policy under which nothing can be written.
    #[error("nothing can be written for {what}: {problem}")]
    Policy {
        /// The function and argument, or the text.
        what: String,
        /// Why.
        problem: String,
    },
}

impl Error {
    /// Where in the source, if the error has a place.
    #[must_use]
    pub const fn place(&self) -> Option<&Place> {
        match self {
            Self::Syntax { place, .. }
            | Self::UndefinedRule { place, .. }
            | Self::DuplicateRule { place, .. }
            | Self::LeftRecursion { place, .. }
            | Self::NeverEnds { place, .. }
            | Self::Token { place, .. } => Some(place),
            Self::SourceLimit { place, .. } => Some(&**place),
            Self::NoRoot | Self::Limit { .. } | Self::Invalid { .. } | Self::Trigger { .. } | Self::Policy { .. } => {
                None
            }
        }
    }

    /// What the user can do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "correct the marked text",
            Self::UndefinedRule { .. } => "define the rule or correct its name",
            Self::DuplicateRule { .. } => "join both definitions with `|` or rename one",
            Self::NoRoot => "begin with a rule `root ::= ...`",
            Self::LeftRecursion { .. } => "write the repetition with `*` or `{m,n}`, or let the rule call itself last",
            Self::NeverEnds { .. } => "give one of the rules an alternative that does not call them again",
            Self::Token { .. } => "name a control token of the loaded model, or its id as `<[id]>`",
            Self::Limit { .. } | Self::SourceLimit { .. } => {
                "write the grammar with fewer rules, counts or alternatives, or raise the limit"
            }
            Self::Invalid { .. } => "correct the program that made it",
            Self::Trigger { .. } => "take a text or a token that the grammar's own text begins with",
            Self::Policy { .. } => "offer the function only when it has arguments that it would accept",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_marks_the_text_in_its_line() {
        let source = "root ::= a\nb ::= \"ü\" nix\n";
        let start = source.find("nix").unwrap();
        let place = Place::new(source, start, start + 3);
        assert_eq!((place.line, place.column, place.text.as_str()), (2, 11, "nix"));
        assert_eq!(place.excerpt, "2 | b ::= \"ü\" nix\n  |           ^^^");
    }

    #[test]
    fn lines_end_with_cr_lf_or_both() {
        let place = |source: &str, wanted: &str| {
            let start = source.find(wanted).unwrap();
            Place::new(source, start, start + wanted.len() + 2)
        };
        for source in ["one\n\ntwo x\nthree", "one\r\rtwo x\rthree", "one\r\n\r\ntwo x\r\nthree"] {
            let found = place(source, "x");
            assert_eq!((found.line, found.column, found.text.as_str()), (3, 5, "x"), "{source:?}");
            assert_eq!(found.excerpt, "3 | two x\n  |     ^", "{source:?}");
            assert_eq!((place(source, "three").line, place(source, "one").line), (4, 1), "{source:?}");
        }
        let inside = Place::new("ab\r\nc", 3, 4);
        assert_eq!((inside.line, inside.column, inside.text.as_str()), (1, 4, ""));
        assert_eq!(inside.excerpt, "1 | ab \n  |    ^");
    }

    #[test]
    fn a_place_at_the_very_end_has_a_mark() {
        let place = Place::new("root ::=", 8, 8);
        assert_eq!((place.line, place.column), (1, 9));
        assert!(place.excerpt.ends_with('^'));
    }
}
