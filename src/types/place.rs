//! Where in a document a text stands: what readers of documents find, the memory keeps and a search tells.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Most characters of a heading in a place.
const MAX_HEADING_CHARS: usize = 80;

/// What is counted in a document, each from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A line of a text file.
    Line,
    /// A page of a document with pages.
    Page,
    /// A row of a table, its head included.
    Row,
    /// A paragraph of a document without lines.
    Paragraph,
    /// A chapter of a book.
    Chapter,
    /// An entry of a list.
    Entry,
}

impl Unit {
    const ALL: [Self; 6] = [Self::Line, Self::Page, Self::Row, Self::Paragraph, Self::Chapter, Self::Entry];

    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Line => ("line", "lines"),
            Self::Page => ("page", "pages"),
            Self::Row => ("row", "rows"),
            Self::Paragraph => ("paragraph", "paragraphs"),
            Self::Chapter => ("chapter", "chapters"),
            Self::Entry => ("entry", "entries"),
        }
    }
}

/// Where a text stands. Written as `line 12, "Harbour"`, `rows 3-9`, `"Harbour"` or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// Unit, first and last number.
    pub position: Option<(Unit, u64, u64)>,
    /// The heading above it.
    pub heading: Option<String>,
}

impl Place {
    /// A place at one number.
    #[must_use]
    pub const fn at(unit: Unit, number: u64) -> Self {
        Self { position: Some((unit, number, number)), heading: None }
    }

    /// The same place under a heading; its white space is made single blanks, and it is cut to 80 characters.
    #[must_use]
    pub fn under(mut self, heading: &str) -> Self {
        let flat = heading.split_whitespace().collect::<Vec<_>>().join(" ").replace('"', "'");
        let mut cut: String = flat.chars().take(MAX_HEADING_CHARS).collect();
        if cut.len() < flat.len() {
            cut.push('…');
        }
        self.heading = (!cut.is_empty()).then_some(cut);
        self
    }

    /// The place so many lines further down; a place that is not counted in lines stays.
    #[must_use]
    pub fn lines_down(&self, lines: u64) -> Self {
        match self.position {
            Some((Unit::Line, first, _)) => {
                let line = first.saturating_add(lines);
                Self { position: Some((Unit::Line, line, line)), heading: self.heading.clone() }
            }
            _ => self.clone(),
        }
    }

    /// Reads what [`Place`] writes; anything else is a place without numbers and heading.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (position, heading) = match text.split_once(", ") {
            Some((position, heading)) if !text.starts_with('"') => (position, heading),
            _ if text.starts_with('"') => ("", text),
            _ => (text, ""),
        };
        let heading = heading.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map(str::to_owned);
        Self { position: parse_position(position), heading }
    }
}

fn parse_position(text: &str) -> Option<(Unit, u64, u64)> {
    let (name, numbers) = text.split_once(' ')?;
    let unit = Unit::ALL.into_iter().find(|unit| name == unit.names().0 || name == unit.names().1)?;
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    Some((unit, first.parse().ok()?, last.parse().ok()?))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((unit, first, last)) if first == last => write!(f, "{} {first}", unit.names().0)?,
            Some((unit, first, last)) => write!(f, "{} {first}-{last}", unit.names().1)?,
            None => {}
        }
        match &self.heading {
            Some(heading) if self.position.is_some() => write!(f, ", \"{heading}\""),
            Some(heading) => write!(f, "\"{heading}\""),
            None => Ok(()),
        }
    }
}

/// A text of a document and where it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Where it begins. Counted in lines, each newline of `text` is one further.
    pub place: Place,
    /// What stands there.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_are_spelled_as_a_reader_would() {
        assert_eq!(Place::at(Unit::Line, 12).to_string(), "line 12");
        assert_eq!(
            Place::at(Unit::Line, 12).under(" The \"old\"\nharbour ").to_string(),
            "line 12, \"The 'old' harbour\""
        );
        let rows = Place { position: Some((Unit::Row, 3, 9)), heading: None };
        assert_eq!(rows.to_string(), "rows 3-9");
        assert_eq!(Place::default().under("Harbour").to_string(), "\"Harbour\"");
        assert_eq!(Place::default().to_string(), "");
        assert_eq!(Place::at(Unit::Line, 12).lines_down(3).to_string(), "line 15");
        assert_eq!(Place::at(Unit::Page, 12).lines_down(3).to_string(), "page 12");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(unit in 0..7_usize, first in 1..50_u64, more in 0..3_u64, heading in ".{0,12}") {
            let position = Unit::ALL.get(unit).map(|unit| (*unit, first, first + more));
            let place = Place { position, heading: None }.under(&heading);
            prop_assert_eq!(Place::parse(&place.to_string()), place);
        }
    }
}
