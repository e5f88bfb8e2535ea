//! XML of documents, event by event, with a limit on nesting. Entities of a document type are not expanded: there is
//! nothing to make a bomb of.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::error::Error;

/// Something in an XML document.
pub(super) enum Part<'a> {
    /// An element begins. Its name is without the prefix of its namespace.
    Start(&'a BytesStart<'a>),
    /// An element ends.
    End(&'a str),
    /// Text, decoded.
    Text(&'a str),
}

/// Walks through a document; an empty element begins and ends.
///
/// # Errors
/// It is not well-formed or nested too deep, or `take` gave an error.
pub(super) fn walk(
    bytes: &[u8],
    nesting: usize,
    mut take: impl FnMut(Part<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let (text, _) = super::encoding::decode(bytes)?;
    let mut reader = Reader::from_str(&text);
    reader.config_mut().allow_dangling_amp = true;
    let mut depth = 0_usize;
    loop {
        match reader.read_event().map_err(|error| damaged(&error))? {
            Event::Start(start) => {
                depth += 1;
                if depth > nesting {
                    return Err(Error::TooDeep { limit: nesting });
                }
                take(Part::Start(&start))?;
            }
            Event::Empty(start) => {
                take(Part::Start(&start))?;
                take(Part::End(local_name(&start)))?;
            }
            Event::End(end) => {
                depth = depth.saturating_sub(1);
                let name = end.name();
                take(Part::End(local(name.as_ref())))?;
            }
            Event::Text(text) => take(Part::Text(&text.xml10_content()))?,
            Event::CData(text) => take(Part::Text(&text.xml10_content()))?,
            Event::GeneralRef(reference) => {
                if let Some(character) = referred(&reference) {
                    take(Part::Text(character.encode_utf8(&mut [0; 4])))?;
                }
            }
            Event::Eof => return Ok(()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

/// The name of an element without its prefix.
pub(super) fn local_name<'a>(start: &'a BytesStart<'_>) -> &'a str {
    local(start.name().into_inner())
}

/// The value of an attribute by its name without prefix.
pub(super) fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    start.attributes().with_checks(false).flatten().find_map(|attribute| {
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        (local(attribute.key.into_inner()) == name).then(|| value.map(|value| value.into_owned()).ok())?
    })
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// A character of `&#..;` or of the five names that XML itself knows.
fn referred(reference: &BytesRef<'_>) -> Option<char> {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        return Some(character);
    }
    match &**reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => None,
    }
}

fn damaged(error: &quick_xml::Error) -> Error {
    Error::Damaged { reason: error.to_string() }
}
