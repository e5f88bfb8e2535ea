//! A text that is to be forgotten: where it stands, and what is left of a text without the pieces that hold it.

use serde_json::Value;

use super::text::folded;

/// What is to be forgotten, ready for comparing.
#[derive(Debug, Clone)]
pub struct Wanted(String);

impl Wanted {
    /// `text` in any case, with any white space between its words.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(folded(text))
    }

    /// Whether it stands in `text`.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        !self.0.is_empty() && folded(text).contains(&self.0)
    }

    pub(super) fn is_in_value(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.is_in(text),
            Value::Array(values) => values.iter().any(|value| self.is_in_value(value)),
            Value::Object(entries) => entries.iter().any(|(key, value)| self.is_in(key) || self.is_in_value(value)),
            other => self.is_in(&other.to_string()),
        }
    }

    /// `text` without the pieces of it, as `split` makes them, that hold what is wanted; none where it does not. Where
    /// it stands across pieces, nothing is left.
    fn cut<'a>(&self, text: &'a str, split: impl Fn(&'a str) -> Vec<&'a str>) -> Option<String> {
        if !self.is_in(text) {
            return None;
        }
        let rest = split(text).into_iter().filter(|piece| !self.is_in(piece)).collect::<String>();
        let rest = rest.trim_end().to_owned();
        Some(if self.is_in(&rest) { String::new() } else { rest })
    }

    pub(super) fn without_lines(&self, text: &str) -> Option<String> {
        self.cut(text, |text| text.split_inclusive('\n').collect())
    }

    pub(super) fn without_sentences(&self, text: &str) -> Option<String> {
        self.cut(text, sentences)
    }

    /// Cuts the lines of every string in `value`; whether there were any.
    pub(super) fn cut_value(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => match self.without_lines(text) {
                Some(rest) => {
                    *text = rest;
                    true
                }
                None => false,
            },
            // All of them are cut, whether or not one was before.
            Value::Array(values) => values.iter_mut().map(|value| self.cut_value(value)).filter(|cut| *cut).count() > 0,
            Value::Object(entries) => {
                entries.iter_mut().map(|(_, value)| self.cut_value(value)).filter(|cut| *cut).count() > 0
            }
            _ => false,
        }
    }
}

/// A text in sentences and lines, with what stands between them.
fn sentences(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let end = at + character.len_utf8();
        let next_is_blank = characters.peek().is_none_or(|(_, next)| next.is_whitespace());
        let ends = match character {
            '\n' | '。' | '！' | '？' => true,
            '.' | '!' | '?' => next_is_blank,
            _ => false,
        };
        if ends {
            pieces.extend(text.get(start..end));
            start = end;
        }
    }
    pieces.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_white_space_do_not_matter_and_the_rest_does() {
        let wanted = Wanted::new(" Straße  12 ");
        assert!(wanted.is_in("In der STRASSE 12") == wanted.is_in("strasse 12"));
        assert!(wanted.is_in("in der straße\n12, hinten") && !wanted.is_in("straße 1 2"));
        assert!(!Wanted::new("  ").is_in("anything"));
    }

    #[test]
    fn sentences_and_lines_are_cut_and_what_spans_them_takes_all() {
        let wanted = Wanted::new("blue boat");
        assert_eq!(wanted.without_sentences("One. The blue boat! Two?").as_deref(), Some("One. Two?"));
        assert_eq!(wanted.without_sentences("One. Two."), None);
        assert_eq!(wanted.without_sentences("It is blue\nboat it is not.").as_deref(), Some(""));
        assert_eq!(wanted.without_lines("a\nHas a Blue  Boat.\nb").as_deref(), Some("a\nb"));
        assert_eq!(sentences("版本 3.5 到了。Yes. no"), ["版本 3.5 到了。", "Yes.", " no"]);
    }
}
