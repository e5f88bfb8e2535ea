//! Sentinels: private words that stand for contents while a template is rendered.
//!
//! A template sees `Qx7Zv9k0000030w` where the content number 3 belongs. Afterwards the output is cut at these words:
//! what is between them is the template's, what they stand for is content. Contents are never part of the output, so
//! that no content can forge a sentinel; a template that loses, repeats or changes one is refused.
//!
//! The digit before the last letter counts how often the word went through `tojson`; the content is then escaped as
//! often.

use std::collections::{BTreeSet, HashSet};

use super::json;
use super::{Error, Segment};

/// Mixed case, so that a template that changes case is noticed; letters and digits only, so that JSON escaping,
/// trimming and splitting at white space leave it whole.
const PREFIX: &str = "Qx7Zv9k";
const INDEX_DIGITS: usize = 6;
const SUFFIX: char = 'w';

/// Contents of one rendering, each known to the template by its sentinel.
#[derive(Debug, Default)]
pub(super) struct Contents {
    texts: Vec<Content>,
}

#[derive(Debug)]
struct Content {
    text: String,
    /// The template may leave it out.
    optional: bool,
}

impl Contents {
    /// Keeps `text` and gives back the word that stands for it. Empty text stays empty, because templates ask whether
    /// there is any.
    pub(super) fn put(&mut self, text: impl Into<String>) -> String {
        self.put_as(text.into(), false)
    }

    /// The same for what templates may leave out, such as the name beside a function result.
    pub(super) fn put_optional(&mut self, text: impl Into<String>) -> String {
        self.put_as(text.into(), true)
    }

    fn put_as(&mut self, text: String, optional: bool) -> String {
        if text.is_empty() {
            return text;
        }
        let word = format!("{PREFIX}{:0width$}0{SUFFIX}", self.texts.len(), width = INDEX_DIGITS);
        self.texts.push(Content { text, optional });
        word
    }

    /// Cuts `output` at the sentinels.
    ///
    /// # Errors
    /// One of them is missing, stands twice or was changed.
    pub(super) fn split(self, output: &str) -> Result<Vec<Segment>, Error> {
        let mut segments = Vec::new();
        let mut seen = vec![false; self.texts.len()];
        let mut rest = output;
        while let Some((before, after)) = rest.split_once(PREFIX) {
            push_template(&mut segments, before);
            let (index, depth, behind) = read_tail(after).ok_or_else(|| refused("changes a text"))?;
            let content = self.texts.get(index).ok_or_else(|| refused("makes up a text"))?;
            match seen.get_mut(index) {
                Some(seen) if !*seen => *seen = true,
                _ => return Err(refused("repeats a text")),
            }
            let text = (0..depth).fold(content.text.clone(), |text, _| json::escape(&text));
            segments.push(Segment::Content(text));
            rest = behind;
        }
        push_template(&mut segments, rest);
        if self.texts.iter().zip(&seen).any(|(content, seen)| !seen && !content.optional) {
            return Err(refused("loses a text"));
        }
        Ok(segments)
    }
}

fn refused(what: &str) -> Error {
    Error::Template { reason: format!("it {what} that it was given") }
}

fn push_template(segments: &mut Vec<Segment>, text: &str) {
    if !text.is_empty() {
        segments.push(Segment::Template(text.into()));
    }
}

/// Index, depth and what follows.
fn read_tail(after: &str) -> Option<(usize, u32, &str)> {
    let (digits, rest) = after.split_at_checked(INDEX_DIGITS)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut characters = rest.chars();
    let depth = characters.next()?.to_digit(10)?;
    (characters.next()? == SUFFIX).then_some((digits.parse().ok()?, depth, characters.as_str()))
}

/// Notes in every sentinel of `json` that it went through `tojson` once more; none where that was too often.
pub(super) fn mark_escaped(json: &str) -> Option<String> {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some((before, after)) = rest.split_once(PREFIX) {
        out.push_str(before);
        out.push_str(PREFIX);
        rest = after;
        if let (Some((_, depth, behind)), Some(digits)) = (read_tail(after), after.get(..INDEX_DIGITS)) {
            out.push_str(digits);
            out.push(char::from_digit(depth + 1, 10)?);
            out.push(SUFFIX);
            rest = behind;
        }
    }
    out.push_str(rest);
    Some(out)
}

/// Spelled names of a vocabulary's control tokens.
#[derive(Debug, Clone, Default)]
pub(super) struct ControlNames {
    names: HashSet<Box<str>>,
    lengths_bytes: BTreeSet<usize>,
    first_bytes: BTreeSet<u8>,
}

impl ControlNames {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut controls = Self::default();
        for name in names.filter_map(|name| std::str::from_utf8(name).ok()) {
            if let Some(first) = name.bytes().next() {
                controls.first_bytes.insert(first);
                controls.lengths_bytes.insert(name.len());
                controls.names.insert(name.into());
            }
        }
        controls
    }

    /// The longest control token spelled at the beginning of `text`.
    fn at_start<'a>(&self, text: &'a str) -> Option<&'a str> {
        if !text.bytes().next().is_some_and(|first| self.first_bytes.contains(&first)) {
            return None;
        }
        self.lengths_bytes.iter().rev().filter_map(|length| text.get(..*length)).find(|name| self.names.contains(*name))
    }

    /// Leaves only the control tokens themselves in `Template` segments and joins the text between them.
    pub(super) fn isolate(&self, segments: Vec<Segment>) -> Vec<Segment> {
        let mut out = Vec::new();
        let mut text = String::new();
        for segment in segments {
            match segment {
                Segment::Content(content) => text.push_str(&content),
                Segment::Template(template) => {
                    let mut rest = template.as_str();
                    while let Some(next) = rest.chars().next() {
                        if let Some(name) = self.at_start(rest) {
                            if !text.is_empty() {
                                out.push(Segment::Content(std::mem::take(&mut text)));
                            }
                            out.push(Segment::Template(name.into()));
                            rest = rest.get(name.len()..).unwrap_or_default();
                        } else {
                            text.push(next);
                            rest = rest.get(next.len_utf8()..).unwrap_or_default();
                        }
                    }
                }
            }
        }
        if !text.is_empty() {
            out.push(Segment::Content(text));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents() -> (Contents, String, String) {
        let mut contents = Contents::default();
        let first = contents.put("one \"quoted\"");
        let second = contents.put("Qx7Zv9k0000000w");
        (contents, first, second)
    }

    #[test]
    fn output_is_cut_at_the_sentinels() {
        let (contents, first, second) = contents();
        let escaped = mark_escaped(&first).unwrap();
        assert_eq!(
            contents.split(&format!("<a>{escaped}<b>{second}")).unwrap(),
            [
                Segment::Template("<a>".into()),
                Segment::Content("one \\\"quoted\\\"".into()),
                Segment::Template("<b>".into()),
                Segment::Content("Qx7Zv9k0000000w".into()),
            ]
        );
    }

    #[test]
    fn lost_repeated_changed_and_forged_sentinels_are_refused() {
        let (first, second) = ("Qx7Zv9k0000000w", "Qx7Zv9k0000010w");
        for output in [
            first.to_string(),
            format!("{first}{second}{first}"),
            format!("{}{second}", first.to_uppercase()),
            format!("{}{second}", &first[..12]),
            format!("{first}{second}Qx7Zv9k0000020w"),
            format!("{first}{second}Qx7Zv9kéééééé"),
        ] {
            let error = contents().0.split(&output).unwrap_err();
            assert!(matches!(error, Error::Template { .. }), "{output}: {error}");
        }
    }

    #[test]
    fn optional_contents_may_be_left_out() {
        let mut contents = Contents::default();
        contents.put_optional("name");
        assert_eq!(contents.split("x").unwrap(), [Segment::Template("x".into())]);
    }

    #[test]
    fn only_control_tokens_of_the_template_stay_template() {
        let names = ControlNames::new([&b"<s>"[..], b"<s>x", b"<e>"].into_iter());
        let segments = vec![
            Segment::Template("<s>x a".into()),
            Segment::Content("<e>".into()),
            Segment::Template("b<e><".into()),
            Segment::Content("s>".into()),
        ];
        assert_eq!(
            names.isolate(segments),
            [
                Segment::Template("<s>x".into()),
                Segment::Content(" a<e>b".into()),
                Segment::Template("<e>".into()),
                Segment::Content("<s>".into()),
            ]
        );
    }
}
