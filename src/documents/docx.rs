//! Word documents: paragraphs with the heading above them; a row of a table is one paragraph.
//!
//! Source: ECMA-376, part 1, sections 17.3 (paragraphs), 17.4 (tables) and 17.7 (styles).

use std::collections::HashSet;

use super::archive::Archive;
use super::collector::Collector;
use super::error::Error;
use super::limits::Limits;
use super::xml::{Part, attribute, local_name, walk};
use crate::types::{Place, Unit};

/// Levels from 0 that an outline has; 9 says that a paragraph is plain text.
const OUTLINE_LEVELS: u32 = 9;

pub(super) fn read(bytes: &[u8], limits: &Limits, out: &mut Collector) -> Result<(), Error> {
    if bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        // A password makes an OLE container of it.
        return Err(Error::Encrypted);
    }
    let mut archive = Archive::open(bytes, limits)?;
    let styles = archive.read("word/styles.xml")?;
    let styles = styles.map_or_else(|| Ok(HashSet::new()), |styles| heading_styles(&styles, limits))?;
    let Some(body) = archive.read("word/document.xml")? else {
        return Err(Error::Damaged { reason: "word/document.xml is missing".to_owned() });
    };
    let mut state = State { styles, ..State::default() };
    walk(&body, limits.nesting, |part| state.take(part, out))
}

/// Ids of the styles of headings: styles are named in the language of the program, but for the names in its file.
fn heading_styles(bytes: &[u8], limits: &Limits) -> Result<HashSet<String>, Error> {
    let (mut found, mut current) = (HashSet::new(), None);
    walk(bytes, limits.nesting, |part| {
        if let Part::Start(start) = part {
            match local_name(start) {
                "style" => current = attribute(start, "styleId"),
                "name" => {
                    let name = attribute(start, "val").unwrap_or_default().to_lowercase();
                    if name == "title" || name.starts_with("heading ") {
                        found.extend(current.take());
                    }
                }
                _ => {}
            }
        }
        Ok(())
    })?;
    Ok(found)
}

#[derive(Default)]
struct State {
    styles: HashSet<String>,
    /// Text of the paragraph or of the row.
    text: String,
    in_text: bool,
    is_heading: bool,
    /// Elements of what stands twice in the file for older programs.
    skipped: usize,
    rows: usize,
    paragraph: u64,
    heading: String,
}

impl State {
    fn take(&mut self, part: Part<'_>, out: &mut Collector) -> Result<(), Error> {
        match part {
            Part::Start(start) => self.start(start),
            Part::End(name) => return self.end(name, out),
            Part::Text(text) if self.in_text && self.skipped == 0 => self.text.push_str(text),
            Part::Text(_) => {}
        }
        Ok(())
    }

    fn start(&mut self, start: &quick_xml::events::BytesStart<'_>) {
        match local_name(start) {
            "Fallback" => self.skipped += 1,
            "t" => self.in_text = true,
            "tab" => self.text.push('\t'),
            "br" | "cr" => self.text.push('\n'),
            "tr" => self.rows += 1,
            "pStyle" => {
                let style = attribute(start, "val").unwrap_or_default();
                self.is_heading |= self.styles.contains(&style) || style.to_lowercase().starts_with("heading");
            }
            "outlineLvl" => {
                let level = attribute(start, "val").and_then(|level| level.parse::<u32>().ok());
                self.is_heading |= level.is_some_and(|level| level < OUTLINE_LEVELS);
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str, out: &mut Collector) -> Result<(), Error> {
        match name {
            "Fallback" => self.skipped = self.skipped.saturating_sub(1),
            "t" => self.in_text = false,
            "tc" if self.rows > 0 => {
                self.text.truncate(self.text.trim_end().len());
                self.text.push_str(" | ");
            }
            "tr" => {
                self.rows = self.rows.saturating_sub(1);
                if self.rows == 0 {
                    let row = std::mem::take(&mut self.text);
                    return self.paragraph(row.trim_end_matches([' ', '|']), out);
                }
            }
            "p" if self.rows > 0 => {
                self.text.push(' ');
                self.is_heading = false;
            }
            "p" => {
                let text = std::mem::take(&mut self.text);
                if std::mem::take(&mut self.is_heading) && !text.trim().is_empty() {
                    self.heading.clone_from(&text);
                }
                return self.paragraph(&text, out);
            }
            _ => {}
        }
        Ok(())
    }

    fn paragraph(&mut self, text: &str, out: &mut Collector) -> Result<(), Error> {
        if text.trim().is_empty() {
            return Ok(());
        }
        self.paragraph += 1;
        out.push(Place::at(Unit::Paragraph, self.paragraph).under(&self.heading), text.trim())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{Cursor, Write};

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use crate::documents::{Error, Format, Limits, read};

    pub(in crate::documents) fn zipped(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in members {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    const STYLES: &str = r#"<w:styles xmlns:w="w"><w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
        <w:style w:styleId="Standard"><w:name w:val="Normal"/></w:style></w:styles>"#;

    fn document(body: &str) -> Vec<u8> {
        let xml = format!(r#"<?xml version="1.0"?><w:document xmlns:w="w"><w:body>{body}</w:body></w:document>"#);
        zipped(&[("word/styles.xml", STYLES.as_bytes()), ("word/document.xml", xml.as_bytes())])
    }

    fn paragraph(style: &str, text: &str) -> String {
        format!(r#"<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"#)
    }

    #[test]
    fn paragraphs_know_their_heading_and_rows_stay_together() {
        let cell = |text: &str| format!("<w:tc>{}</w:tc>", paragraph("Standard", text));
        let body = format!(
            "{}{}<w:tbl><w:tr>{}{}</w:tr></w:tbl>",
            paragraph("berschrift1", "Harbour"),
            paragraph("Standard", "Fish &amp; chips &#8212; &unknown;all day"),
            cell("Monday"),
            cell("closed"),
        );
        let document = read(&document(&body), Format::Docx, &Limits::default()).unwrap();
        let found: Vec<(String, &str)> =
            document.pieces.iter().map(|piece| (piece.place.to_string(), piece.text.as_str())).collect();
        assert_eq!(
            found,
            [
                ("paragraph 1, \"Harbour\"".to_owned(), "Harbour"),
                ("paragraph 2, \"Harbour\"".to_owned(), "Fish & chips — all day"),
                ("paragraph 3, \"Harbour\"".to_owned(), "Monday | closed"),
            ]
        );
    }

    #[test]
    fn bombs_are_refused() {
        let limits = Limits { unpacked_bytes: 4 << 20, ..Limits::default() };
        let blanks = document(&" ".repeat(5 << 20));
        assert!(matches!(read(&blanks, Format::Docx, &limits), Err(Error::Expansion { .. })));
        // A ratio of a thousand is refused, though the whole is within the limit.
        assert!(matches!(read(&blanks, Format::Docx, &Limits::default()), Err(Error::Expansion { .. })));
        let deep = document(&"<w:x>".repeat(10_000));
        assert!(matches!(read(&deep, Format::Docx, &Limits::default()), Err(Error::TooDeep { limit: 256 })));
        let entities = r#"<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
            <w:document><w:p><w:r><w:t>before &b;&b; after</w:t></w:r></w:p></w:document>"#;
        let bomb = zipped(&[("word/document.xml", entities.as_bytes())]);
        let document = read(&bomb, Format::Docx, &Limits::default()).unwrap();
        assert_eq!(document.pieces[0].text, "before  after");
    }

    #[test]
    fn what_is_no_document_is_damaged() {
        for bytes in [&b"PK\x03\x04 and nothing more"[..], b"", &zipped(&[("other.xml", b"<x/>")])] {
            assert!(matches!(read(bytes, Format::Docx, &Limits::default()), Err(Error::Damaged { .. })), "{bytes:?}");
        }
    }
}
