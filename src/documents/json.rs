//! JSON: each value with the path to it, so that a value that is found explains itself.

use std::borrow::Cow;

use serde_json::Value;

use super::collector::{Collector, Room};
use super::error::Error;
use crate::types::{Place, Unit};

/// serde_json refuses what is nested deeper.
const MAX_NESTING: usize = 128;

/// Reads a document: an entry of a list or a member of an object is a piece. What is no JSON is read as text, and that
/// is told.
pub(super) fn read(text: &str, out: &mut Collector) -> Result<Option<String>, Error> {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) if is_too_deep(text) => {
            tracing::debug!(%error, "a JSON document is refused");
            return Err(Error::TooDeep { limit: MAX_NESTING });
        }
        Err(error) => {
            out.push(Place::at(Unit::Line, 1), text)?;
            return Ok(Some(format!("it is no valid JSON and was read as text: {error}")));
        }
    };
    match &value {
        Value::Array(entries) => {
            for (number, entry) in (1_u64..).zip(entries) {
                let text = flattened(entry, "", "\n", out.room())?;
                out.push(Place::at(Unit::Entry, number), &text)?;
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let text = flattened(member, name, "\n", out.room())?;
                out.push(Place::default().under(name), &text)?;
            }
        }
        other => out.push(Place::default(), &flattened(other, "", "\n", out.room())?)?,
    }
    Ok(None)
}

/// Reads a document with a value on each line; a line that is no JSON is text.
pub(super) fn read_lines(text: &str, out: &mut Collector) -> Result<(), Error> {
    for (number, line) in (1_u64..).zip(text.lines()) {
        let entry = match serde_json::from_str::<Value>(line) {
            Ok(value) => Some(flattened(&value, "", "; ", out.room())?),
            Err(_) => None,
        };
        // One line of the file is one line of the piece, by which a hit is placed.
        let flat = entry.as_deref().unwrap_or(line).split_whitespace().collect::<Vec<_>>().join(" ");
        out.push(Place::at(Unit::Line, number), &flat)?;
    }
    Ok(())
}

/// Whether brackets outside of strings are nested deeper than the parser goes.
fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth >= MAX_NESTING {
            return true;
        }
    }
    false
}

/// The lines of a value that stands at `path`, each ended by the separator but the last.
fn flattened(value: &Value, path: &str, separator: &str, mut room: Room) -> Result<String, Error> {
    let mut lines = Vec::new();
    flatten(value, path, &mut lines, &mut room)?;
    Ok(lines.join(separator))
}

/// One line for each value that is no list and no object. Each repeats the path to it, which may be far longer than the
/// value: a line that has no room is not made.
fn flatten(value: &Value, path: &str, lines: &mut Vec<String>, room: &mut Room) -> Result<(), Error> {
    let text = match value {
        Value::Object(members) => {
            for (name, member) in members {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(member, &below, lines, room)?;
            }
            return Ok(());
        }
        Value::Array(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                flatten(entry, &format!("{path}[{index}]"), lines, room)?;
            }
            return Ok(());
        }
        Value::Null => return Ok(()),
        Value::String(text) => Cow::Borrowed(text.as_str()),
        other => Cow::Owned(other.to_string()),
    };
    room.take(path.len() + text.len())?;
    lines.push(if path.is_empty() { text.into_owned() } else { format!("{path}: {text}") });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::documents::{Error, Format, Limits, read};

    fn pieces(text: &str, format: Format) -> Vec<(String, String)> {
        let document = read(text.as_bytes(), format, &Limits::default()).unwrap();
        document.pieces.into_iter().map(|piece| (piece.place.to_string(), piece.text)).collect()
    }

    #[test]
    fn values_carry_their_path() {
        let found = pieces(r#"[{"name": "Ilva", "tools": ["fork", {"size": 3}]}, "plain"]"#, Format::Json);
        assert_eq!(found[0], ("entry 1".into(), "name: Ilva\ntools[0]: fork\ntools[1].size: 3".into()));
        assert_eq!(found[1], ("entry 2".into(), "plain".into()));
        let found = pieces(r#"{"harbour": {"depth": 4.5, "open": true}}"#, Format::Json);
        assert_eq!(found, [("\"harbour\"".to_owned(), "harbour.depth: 4.5\nharbour.open: true".to_owned())]);
    }

    #[test]
    fn lines_are_values_or_text() {
        let found = pieces("{\"role\":\"user\",\"text\":\"one\\ntwo\"}\n\nno json\n", Format::JsonLines);
        assert_eq!(found[0], ("line 1".into(), "role: user; text: one two".into()));
        assert_eq!(found[1], ("line 3".into(), "no json".into()));
    }

    #[test]
    fn a_long_path_to_many_values_is_refused_before_it_is_repeated() {
        let key = "k".repeat(1 << 20);
        let values = vec!["1"; 60_000].join(",");
        let limits = Limits { text_bytes: 4 << 20, ..Limits::default() };
        for (text, format) in [
            (format!("{{\"{key}\": [{values}]}}"), Format::Json),
            (format!("[{{\"{key}\": [{values}]}}]"), Format::Json),
            (format!("{{\"{key}\": [{values}]}}"), Format::JsonLines),
        ] {
            let refused = read(text.as_bytes(), format, &limits);
            assert!(matches!(refused, Err(Error::TooMuchText { .. })), "{format:?}");
        }
    }

    #[test]
    fn deep_json_is_refused_and_broken_json_is_text() {
        let deep = "[".repeat(100_000);
        assert!(matches!(read(deep.as_bytes(), Format::Json, &Limits::default()), Err(Error::TooDeep { limit: 128 })));
        let document = read(b"{\"a\": 1,}", Format::Json, &Limits::default()).unwrap();
        assert_eq!(document.pieces[0].place.to_string(), "line 1");
        assert!(document.notices[0].contains("no valid JSON"));
    }
}
