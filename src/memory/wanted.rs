//! A text that is to be forgotten: where it stands, and what is left of a text without the pieces that hold it.

use serde_json::Value;

use super::text::folded;
use crate::types::{Body, Notification};

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

    /// Whether it stands in what a message says. How the message is written down (its keys, the names of its kinds) is
    /// nothing that anybody has said.
    pub(super) fn is_in_body(&self, body: &Body) -> bool {
        match body {
            Body::User { text } | Body::Summary { text, .. } => self.is_in(text),
            Body::Notification { notification } => match notification {
                Notification::Heartbeat { reason: text }
                | Notification::CoreMemoryEdited { text }
                | Notification::Recollection { text } => self.is_in(text),
                Notification::Login { .. } | Notification::MemoryPressure => false,
            },
            Body::Assistant { thoughts, text, call } => {
                [thoughts, text].into_iter().flatten().any(|text| self.is_in(text))
                    || call.as_ref().is_some_and(|call| {
                        self.is_in(&call.name) || call.arguments.values().any(|value| self.is_in_argument(value))
                    })
            }
            Body::FunctionResult { name, message, .. } => self.is_in(name) || self.is_in(message),
        }
    }

    /// Whether it stands in what a call was given. Our own functions take texts and numbers; those of other programs, in
    /// imports, may take objects, whose keys the caller chose.
    fn is_in_argument(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.is_in(text),
            Value::Number(number) => self.is_in(&number.to_string()),
            Value::Array(values) => values.iter().any(|value| self.is_in_argument(value)),
            Value::Object(entries) => entries.iter().any(|(key, value)| self.is_in(key) || self.is_in_argument(value)),
            Value::Null | Value::Bool(_) => false,
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

    /// Takes the lines that hold it out of a text; whether there were any.
    pub(super) fn cut_lines(&self, text: &mut String) -> bool {
        let rest = self.without_lines(text);
        let is_cut = rest.is_some();
        if let Some(rest) = rest {
            *text = rest;
        }
        is_cut
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
    use crate::types::{Call, Status};
    use serde_json::json;

    #[test]
    fn case_and_white_space_do_not_matter_and_the_rest_does() {
        let wanted = Wanted::new(" Straße  12 ");
        assert!(wanted.is_in("In der STRASSE 12") == wanted.is_in("strasse 12"));
        assert!(wanted.is_in("in der straße\n12, hinten") && !wanted.is_in("straße 1 2"));
        assert!(!Wanted::new("  ").is_in("anything"));
    }

    #[test]
    fn only_what_a_message_says_counts_and_not_how_it_is_written_down() {
        let call = Call {
            name: "archival_memory_search".to_owned(),
            arguments: json!({"query": "the boat", "page": 12}).as_object().unwrap().clone(),
        };
        let told = Body::Assistant { thoughts: Some("I look.".to_owned()), text: None, call: Some(call) };
        let login = Body::Notification { notification: Notification::Login { last_login_at_ms: None } };
        let result = Body::FunctionResult { name: "f".to_owned(), status: Status::Ok, message: "No keel.".to_owned() };
        let user = Body::User { text: "My word is keel.".to_owned() };
        let bodies = [&told, &login, &result, &user];
        for (text, held_by) in [
            ("Stan", [false; 4]),
            ("Tex", [false; 4]),
            ("Use", [false; 4]),
            ("page", [false; 4]),
            ("query", [false; 4]),
            ("null", [false; 4]),
            ("the BOAT", [true, false, false, false]),
            ("12", [true, false, false, false]),
            ("look", [true, false, false, false]),
            ("memory", [true, false, false, false]),
            ("keel", [false, false, true, true]),
        ] {
            assert_eq!(bodies.map(|body| Wanted::new(text).is_in_body(body)), held_by, "{text}");
        }
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
