//! Electronic books: the chapters in reading order, each an HTML page.
//!
//! Source: EPUB 3.3, sections 4 (the archive) and 5 (the package document).

use std::collections::HashMap;

use super::archive::Archive;
use super::collector::Collector;
use super::encoding::decode;
use super::error::Error;
use super::html;
use super::limits::Limits;
use super::xml::{Part, attribute, local_name, walk};
use crate::types::{Place, Unit};

pub(super) fn read(bytes: &[u8], limits: &Limits, out: &mut Collector, notices: &mut Vec<String>) -> Result<(), Error> {
    let mut archive = Archive::open(bytes, limits)?;
    let package_path = package_path(&mut archive, limits)?;
    let package = archive.read(&package_path)?.ok_or_else(|| missing(&package_path))?;
    let chapters = chapters(&package, limits)?;
    if chapters.len() > limits.pages {
        return Err(Error::TooManyPages { pages: chapters.len(), limit: limits.pages });
    }
    for (number, href) in (1_u64..).zip(chapters) {
        let path = resolved(&package_path, &href);
        let Some(page) = archive.read(&path)? else {
            notices.push(format!("chapter {number} ({path}) is missing"));
            continue;
        };
        let place = Place::at(Unit::Chapter, number);
        match decode(&page).and_then(|(text, _)| html::read(&text, &place, limits, out)) {
            Ok(()) => {}
            Err(error @ Error::TooMuchText { .. }) => return Err(error),
            Err(error) => notices.push(format!("chapter {number} {error}")),
        }
    }
    Ok(())
}

fn missing(path: &str) -> Error {
    Error::Damaged { reason: format!("{path} is missing") }
}

/// Where the container says that the package document is.
fn package_path(archive: &mut Archive<'_>, limits: &Limits) -> Result<String, Error> {
    let name = "META-INF/container.xml";
    let container = archive.read(name)?.ok_or_else(|| missing(name))?;
    let mut path = None;
    walk(&container, limits.nesting, |part| {
        if let Part::Start(start) = part
            && local_name(start) == "rootfile"
            && path.is_none()
        {
            path = attribute(start, "full-path");
        }
        Ok(())
    })?;
    path.ok_or_else(|| missing("its package document"))
}

/// Paths of the chapters, in reading order, as the package document writes them.
fn chapters(package: &[u8], limits: &Limits) -> Result<Vec<String>, Error> {
    let (mut items, mut spine) = (HashMap::new(), Vec::new());
    walk(package, limits.nesting, |part| {
        if let Part::Start(start) = part {
            match local_name(start) {
                "item" => items.extend(attribute(start, "id").zip(attribute(start, "href"))),
                "itemref" => spine.extend(attribute(start, "idref")),
                _ => {}
            }
        }
        Ok(())
    })?;
    Ok(spine.iter().filter_map(|id| items.remove(id)).collect())
}

/// `href` as seen from the document at `base`, as a name in the archive.
fn resolved(base: &str, href: &str) -> String {
    let href = href.split('#').next().unwrap_or_default();
    let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    let decoded = percent_decoded(href);
    for part in decoded.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::docx::tests::zipped;
    use super::resolved;
    use crate::documents::{Error, Format, Limits, read};

    const CONTAINER: &[u8] = br#"<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>"#;
    const PACKAGE: &[u8] =
        br#"<package><manifest><item id="b" href="two%20b.xhtml"/><item id="a" href="text/one.xhtml"/>
        <item id="c" href="gone.xhtml"/></manifest><spine><itemref idref="a"/><itemref idref="b"/><itemref idref="c"/>
        </spine></package>"#;

    #[test]
    fn chapters_come_in_reading_order() {
        let book = zipped(&[
            ("META-INF/container.xml", CONTAINER),
            ("OEBPS/book.opf", PACKAGE),
            ("OEBPS/two b.xhtml", b"<html><body><h1>Quay</h1><p>steep</p></body></html>"),
            ("OEBPS/text/one.xhtml", b"<html><body><h1>Harbour</h1><p>The master has keys.</p></body></html>"),
        ]);
        let document = read(&book, Format::Epub, &Limits::default()).unwrap();
        let found: Vec<(String, &str)> =
            document.pieces.iter().map(|piece| (piece.place.to_string(), piece.text.as_str())).collect();
        assert_eq!(found[1], ("chapter 1, \"Harbour\"".to_owned(), "The master has keys."));
        assert_eq!(found[3], ("chapter 2, \"Quay\"".to_owned(), "steep"));
        assert_eq!(document.notices, ["chapter 3 (OEBPS/gone.xhtml) is missing"]);
    }

    #[test]
    fn a_book_without_its_parts_is_damaged_and_paths_stay_inside() {
        let book = zipped(&[("META-INF/container.xml", CONTAINER)]);
        assert!(matches!(read(&book, Format::Epub, &Limits::default()), Err(Error::Damaged { .. })));
        assert_eq!(resolved("OEBPS/book.opf", "../../../etc/passwd#x"), "etc/passwd");
    }
}
