//! HTML: the text as a browser without pictures would show it, with the heading above each part.

use html2text::config;
use html2text::render::TextDecorator;

use super::collector::Collector;
use super::error::Error;
use super::limits::Limits;
use crate::types::{Place, Unit};

/// Stands before a rendered heading: no page has a use for this character of the private area.
const HEADING_MARK: char = '\u{e000}';

/// Lines are wrapped where passages are cut, not here.
const WIDTH_COLUMNS: usize = 2000;

/// Elements without an end, and those whose end may be left out: their number says nothing about nesting.
const NOT_NESTING: &[&str] = &[
    "area", "base", "body", "br", "col", "colgroup", "dd", "dt", "embed", "head", "hr", "html", "img", "input", "li",
    "link", "meta", "optgroup", "option", "p", "param", "rp", "rt", "source", "tbody", "td", "tfoot", "th", "thead",
    "tr", "track", "wbr",
];

/// Reads a page. Places are counted in paragraphs from `within`, which is kept where it has a position.
pub(super) fn read(text: &str, within: &Place, limits: &Limits, out: &mut Collector) -> Result<(), Error> {
    if nesting(text) > limits.nesting {
        return Err(Error::TooDeep { limit: limits.nesting });
    }
    let rendered = config::with_decorator(Plain)
        .no_table_borders()
        .allow_width_overflow()
        .string_from_read(text.as_bytes(), WIDTH_COLUMNS)
        .map_err(|error| Error::Damaged { reason: error.to_string() })?;
    let mut heading = within.heading.clone().unwrap_or_default();
    for (number, block) in (1_u64..).zip(blocks(&rendered)) {
        let block = match block.strip_prefix(HEADING_MARK) {
            Some(title) => {
                title.trim_start_matches(['#', ' ']).clone_into(&mut heading);
                title
            }
            None => &block,
        };
        let place = match within.position {
            Some(_) => Place { position: within.position, heading: None },
            None => Place::at(Unit::Paragraph, number),
        };
        out.push(place.under(&heading), block)?;
    }
    Ok(())
}

/// Headings by themselves and parts between blank lines, with single blanks where a table was aligned.
fn blocks(rendered: &str) -> Vec<String> {
    let mut blocks: Vec<String> = vec![String::new()];
    for line in rendered.lines() {
        let line = squeezed(line.trim_end());
        let is_heading = line.starts_with(HEADING_MARK);
        let ends = line.is_empty() || is_heading || blocks.last().is_some_and(|block| block.starts_with(HEADING_MARK));
        match blocks.last_mut() {
            Some(block) if !ends && !block.is_empty() => {
                block.push('\n');
                block.push_str(&line);
            }
            _ => blocks.push(line),
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

/// Runs of blanks behind the first word become two.
fn squeezed(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    let (start, rest) = line.split_at(indent);
    let words: Vec<&str> = rest.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
    format!("{start}{}", words.join("  "))
}

/// Text without marks, but for headings, quotes and lists.
struct Plain;

/// Nothing before a text.
const fn bare() -> (String, ()) {
    (String::new(), ())
}

impl TextDecorator for Plain {
    type Annotation = ();

    fn decorate_link_start(&mut self, _url: &str) -> (String, ()) {
        bare()
    }
    fn decorate_link_end(&mut self) -> String {
        String::new()
    }
    fn decorate_em_start(&self) -> (String, ()) {
        bare()
    }
    fn decorate_em_end(&self) -> String {
        String::new()
    }
    fn decorate_strong_start(&self) -> (String, ()) {
        bare()
    }
    fn decorate_strong_end(&self) -> String {
        String::new()
    }
    fn decorate_strikeout_start(&self) -> (String, ()) {
        bare()
    }
    fn decorate_strikeout_end(&self) -> String {
        String::new()
    }
    fn decorate_code_start(&self) -> (String, ()) {
        bare()
    }
    fn decorate_code_end(&self) -> String {
        String::new()
    }
    fn decorate_preformat_first(&self) {}
    fn decorate_preformat_cont(&self) {}
    fn decorate_image(&mut self, _src: &str, title: &str) -> (String, ()) {
        (title.to_owned(), ())
    }
    fn header_prefix(&self, level: usize) -> String {
        format!("{HEADING_MARK}{} ", "#".repeat(level))
    }
    fn quote_prefix(&self) -> String {
        "> ".to_owned()
    }
    fn unordered_item_prefix(&self) -> String {
        "* ".to_owned()
    }
    fn ordered_item_prefix(&self, i: i64) -> String {
        format!("{i}. ")
    }
    fn make_subblock_decorator(&self) -> Self {
        Self
    }
}

/// How deep elements are nested at most, as far as tags alone tell.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = rest.get(at + 1..).unwrap_or_default();
        let (is_end, tag) = rest.strip_prefix('/').map_or((false, rest), |tag| (true, tag));
        let length = tag.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(tag.len());
        let name = tag.get(..length).unwrap_or_default().to_ascii_lowercase();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || NOT_NESTING.contains(&name.as_str()) {
            continue;
        }
        let is_empty = tag.find('>').is_some_and(|end| tag.get(..end).is_some_and(|tag| tag.ends_with('/')));
        if is_end {
            depth = depth.saturating_sub(1);
        } else if !is_empty {
            depth += 1;
            deepest = deepest.max(depth);
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::nesting;
    use crate::documents::{Error, Format, Limits, read};

    #[test]
    fn paragraphs_know_their_heading() {
        let page = "<html><head><title>t</title><style>p {}</style></head><body><h1>Harbour</h1><p>The <b>master</b> \
                    has keys.</p><script>evil()</script><h2>Quay</h2><pre># no heading</pre><ul><li>one<li>two</ul>\
                    <table><tr><td>Monday</td><td>closed</td></tr></table></body></html>";
        let document = read(page.as_bytes(), Format::Html, &Limits::default()).unwrap();
        let found: Vec<(String, &str)> =
            document.pieces.iter().map(|piece| (piece.place.to_string(), piece.text.as_str())).collect();
        assert_eq!(found[1], ("paragraph 2, \"Harbour\"".to_owned(), "The master has keys."));
        let all = found.iter().map(|(_, text)| *text).collect::<Vec<_>>().join("\n");
        assert!(all.contains("one") && !all.contains("evil") && !all.contains("p {"), "{all}");
        assert_eq!(found[2], ("paragraph 3, \"Quay\"".to_owned(), "## Quay"));
        assert!(found.last().unwrap().0.contains("Quay"), "{found:?}");
        assert!(all.lines().any(|line| line.contains("Monday") && line.contains("closed")), "{all}");
    }

    #[test]
    fn deep_pages_are_refused() {
        let deep = "<div>".repeat(1000);
        assert!(matches!(read(deep.as_bytes(), Format::Html, &Limits::default()), Err(Error::TooDeep { limit: 256 })));
        assert_eq!(nesting("<p>a<p>b<br><div><img src=x/><i/>c</div><div></div> 1 < 2"), 1);
    }
}
