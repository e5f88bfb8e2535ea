//! Markdown: the text as it is written, cut at its headings. The parser only finds the headings, so that a `#` in a
//! code block is none.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::collector::Collector;
use super::error::Error;
use crate::types::{Place, Unit};

pub(super) fn read(text: &str, out: &mut Collector) -> Result<(), Error> {
    let mut place = Place::at(Unit::Line, 1);
    let mut from = 0;
    for (at, heading) in headings(text) {
        let section = text.get(from..at).unwrap_or_default();
        out.push(place.clone(), section)?;
        place = place.lines_down(newlines(section)).under(&heading);
        from = at;
    }
    out.push(place, text.get(from..).unwrap_or_default())
}

pub(super) fn newlines(text: &str) -> u64 {
    text.bytes().filter(|byte| *byte == b'\n').count() as u64
}

/// Where headings begin that stand for themselves (not within quotes or lists), and what they say: the path of the
/// headings above is not kept.
fn headings(text: &str) -> Vec<(usize, String)> {
    let options = Options::ENABLE_YAML_STYLE_METADATA_BLOCKS | Options::ENABLE_TABLES;
    let (mut found, mut open, mut depth) = (Vec::new(), None::<(usize, String)>, 0_usize);
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level, .. }) if depth == 0 && level <= HeadingLevel::H6 => {
                open = Some((range.start, String::new()));
                depth += 1;
            }
            Event::Start(_) => depth += 1,
            Event::End(end) => {
                depth = depth.saturating_sub(1);
                if matches!(end, TagEnd::Heading(_)) {
                    found.extend(open.take());
                }
            }
            Event::Text(text) | Event::Code(text) => {
                if let Some((_, heading)) = &mut open {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::documents::{Format, Limits, read};

    #[test]
    fn sections_know_their_heading_and_line() {
        let text = "intro\n\n# Harbour\nThe *master* has keys.\n```sh\n# no heading\n```\n\nQuay `7`\n---\nsteep\n\
                    > # quoted\n";
        let document = read(text.as_bytes(), Format::Markdown, &Limits::default()).unwrap();
        let places: Vec<String> = document.pieces.iter().map(|piece| piece.place.to_string()).collect();
        assert_eq!(places, ["line 1", "line 3, \"Harbour\"", "line 9, \"Quay 7\""]);
        assert!(document.pieces[1].text.contains("# no heading"));
        assert!(document.pieces[2].text.contains("# quoted"));
    }
}
