//! One document from its bytes, in this process.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

use super::collector::Collector;
use super::encoding::decode;
use super::error::Error;
use super::format::Format;
use super::limits::Limits;
use super::{docx, epub, html, json, markdown, pdf, table};
use crate::types::{Piece, Place, Unit};

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Document {
    /// Its text, in order.
    pub pieces: Vec<Piece>,
    /// What the user should know of how it was read.
    pub notices: Vec<String>,
}

/// Reads a document. A panic of a parser is an error; time and memory are not limited here ([`super::Reader`] does
/// that).
///
/// # Errors
/// The document is refused, see [`Error`].
pub fn read(bytes: &[u8], format: Format, limits: &Limits) -> Result<Document, Error> {
    let mut document =
        catch_unwind(AssertUnwindSafe(|| read_unguarded(bytes, format, limits))).unwrap_or(Err(Error::Panicked))?;
    if document.pieces.is_empty() && !bytes.is_empty() && format.is_complex() {
        return Err(Error::NoText { pages: format == Format::Pdf });
    }
    document.notices.dedup();
    Ok(document)
}

fn read_unguarded(bytes: &[u8], format: Format, limits: &Limits) -> Result<Document, Error> {
    let mut out = Collector::new(limits);
    let mut notices = Vec::new();
    match format {
        Format::Pdf => pdf::read(bytes, limits, &mut out, &mut notices)?,
        Format::Docx => docx::read(bytes, limits, &mut out)?,
        Format::Epub => epub::read(bytes, limits, &mut out, &mut notices)?,
        _ => {
            let (text, notice) = decode(bytes)?;
            notices.extend(notice);
            match format {
                Format::Markdown => markdown::read(&text, &mut out)?,
                Format::Html => html::read(&text, &Place::default(), limits, &mut out)?,
                Format::Csv => table::read(&text, None, &mut out)?,
                Format::Tsv => table::read(&text, Some(b'\t'), &mut out)?,
                Format::Json => notices.extend(json::read(&text, &mut out)?),
                Format::JsonLines => json::read_lines(&text, &mut out)?,
                _ => out.push(Place::at(Unit::Line, 1), &text)?,
            }
        }
    }
    Ok(Document { pieces: out.into_pieces(), notices })
}
