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

/// Elements whose text is never markup.
const RAW_TEXT: &[&str] = &["iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp"];

/// Reads a page. Places are counted in paragraphs from `within`, which is kept where it has a position.
pub(super) fn read(text: &str, within: &Place, limits: &Limits, out: &mut Collector) -> Result<(), Error> {
    if is_deeper(text, limits.nesting) {
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

/// Whether elements are nested deeper than the limit, as far as tags alone tell. Each byte is looked at once or twice,
/// and no more than `limit` open elements for each tag.
fn is_deeper(text: &str, limit: usize) -> bool {
    let mut open: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some((_, markup)) = rest.split_once('<') {
        rest = markup;
        // A comment may end in the dashes that begin it.
        if let Some(comment) = markup.strip_prefix('!').filter(|comment| comment.starts_with("--")) {
            let Some((_, behind)) = comment.split_once("-->") else { return false };
            rest = behind;
            continue;
        }
        let (is_end, tag) = markup.strip_prefix('/').map_or((false, markup), |tag| (true, tag));
        let length = tag.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(tag.len());
        let name = tag.get(..length).unwrap_or_default().to_ascii_lowercase();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        // A tag that does not end is none.
        let Some(end) = tag_length(tag) else { return false };
        let is_empty = tag.get(..end).is_some_and(|tag| tag.ends_with('/'));
        rest = tag.get(end + 1..).unwrap_or_default();
        if is_end {
            if let Some(at) = open.iter().rposition(|opened| *opened == name) {
                open.remove(at);
            }
        } else if RAW_TEXT.contains(&name.as_str()) {
            rest = behind_raw_text(rest, &name);
        } else if !is_empty && !NOT_NESTING.contains(&name.as_str()) {
            open.push(name);
            if open.len() > limit {
                return true;
            }
        }
    }
    false
}

/// Where the `>` of a tag stands: not in a value between quotes.
fn tag_length(tag: &str) -> Option<usize> {
    let (mut quote, mut is_value) = (None, false);
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (Some(opened), byte) if byte == opened => quote = None,
            (Some(_), _) => {}
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') if is_value => quote = Some(byte),
            (None, _) => {}
        }
        is_value = byte == b'=' || (is_value && byte.is_ascii_whitespace());
    }
    None
}

/// What follows the end tag of an element in which nothing is markup; nothing where it is never closed.
fn behind_raw_text<'t>(text: &'t str, name: &str) -> &'t str {
    let mut rest = text;
    while let Some((_, tag)) = rest.split_once("</") {
        rest = tag;
        if tag.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return tag;
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::is_deeper;
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
        // Ends of elements that are not open close none.
        let open = "<b></x>".repeat(300);
        assert!(matches!(read(open.as_bytes(), Format::Html, &Limits::default()), Err(Error::TooDeep { limit: 256 })));
        for (page, levels) in [
            ("<p>a<p>b<br><div><img src=x/><i/>c</div><div></div> 1 < 2", 1),
            ("<b><i>misnested</b></i><u></u>", 2),
            ("<div title='<b><b>'><a href=\"x>y\">z</a></div>", 2),
        ] {
            assert!(is_deeper(page, levels - 1) && !is_deeper(page, levels), "{page}");
        }
    }

    #[test]
    fn what_is_no_markup_does_not_nest() {
        let tags = "<div>".repeat(300);
        for (before, behind) in [
            ("<script>if (a < b) w('", "')</SCRIPT>"),
            ("<style>/* ", " */</style>"),
            ("<!-- ", " -->"),
            ("<title>", "</title>"),
        ] {
            let page = format!("<h1>Harbour</h1>{before}{tags}{behind}<p>quay</p>");
            let document = read(page.as_bytes(), Format::Html, &Limits::default());
            assert!(document.is_ok(), "{before}: {document:?}");
        }
        assert!(is_deeper(&format!("<!-->{tags}"), 256));
        assert!(is_deeper(&format!("<script></script>{tags}"), 256));
    }

    #[test]
    fn tags_that_never_end_are_looked_at_once() {
        let started = std::time::Instant::now();
        assert!(!is_deeper(&"<a ".repeat(1 << 20), 256));
        assert!(!is_deeper(&"<script></scrip".repeat(1 << 18), 256));
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }
}
