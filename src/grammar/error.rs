//! What can be wrong with a grammar.

use std::fmt;

/// Where in a grammar's source something is wrong.
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

impl Place {
    /// The place of `source[start..end]`; the end is drawn in to the end of its line.
    pub(crate) fn new(source: &str, start: usize, end: usize) -> Self {
        let start = floor_boundary(source, start);
        let line_start = source.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let line_end = source.get(start..).and_then(|after| after.find('\n')).map_or(source.len(), |at| start + at);
        let end = floor_boundary(source, end).clamp(start, line_end.max(start));
        let before = source.get(line_start..start).unwrap_or_default();
        let text = source.get(start..end).unwrap_or_default();
        let line = source.get(..line_start).unwrap_or_default().matches('\n').count() + 1;
        let column = before.chars().count() + 1;
        let skipped = (column - 1).saturating_sub(EXCERPT_CHARS / 2);
        let shown: String = source.get(line_start..line_end).unwrap_or_default().chars().skip(skipped).collect();
        let shown: String = shown.chars().take(EXCERPT_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
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
    /// A limit was hit.
    #[error("the grammar's {what} came to {found}, the limit is {limit}")]
    Limit {
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
            Self::Limit { .. } => "write the grammar with fewer rules, counts or alternatives, or raise the limit",
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
    fn a_place_at_the_very_end_has_a_mark() {
        let place = Place::new("root ::=", 8, 8);
        assert_eq!((place.line, place.column), (1, 9));
        assert!(place.excerpt.ends_with('^'));
    }
}
