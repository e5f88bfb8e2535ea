//! PDF: the text of each page, as far as the file says which letters it draws.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pdf_extract::{Document, PlainTextOutput, output_doc_page};

use super::collector::Collector;
use super::error::Error;
use super::limits::Limits;
use crate::types::{Place, Unit};

/// Bad pages that are told by their number.
const TOLD_PAGES: usize = 5;

/// Reads the pages; one that cannot be read is told and left out, unless none can be read.
pub(super) fn read(bytes: &[u8], limits: &Limits, out: &mut Collector, notices: &mut Vec<String>) -> Result<(), Error> {
    let mut document = Document::load_mem(bytes).map_err(|error| Error::Damaged { reason: error.to_string() })?;
    if document.is_encrypted() && document.decrypt("").is_err() {
        return Err(Error::Encrypted);
    }
    let pages = document.get_pages();
    if pages.len() > limits.pages {
        return Err(Error::TooManyPages { pages: pages.len(), limit: limits.pages });
    }
    let mut bad = Vec::new();
    let mut reason = String::new();
    for number in pages.keys() {
        let mut text = String::new();
        // The library panics on what it does not expect; its output so far is worthless then.
        let written = catch_unwind(AssertUnwindSafe(|| {
            output_doc_page(&document, &mut PlainTextOutput::new(&mut text), *number).map_err(|error| error.to_string())
        }));
        match written {
            Ok(Ok(())) => out.push(Place::at(Unit::Page, u64::from(*number)), &tidied(&text))?,
            Ok(Err(error)) => {
                bad.push(number.to_string());
                reason = error;
            }
            Err(_) => bad.push(number.to_string()),
        }
    }
    if bad.len() == pages.len() {
        let reason = if reason.is_empty() { "no page of it can be read".to_owned() } else { reason };
        return Err(Error::Damaged { reason });
    }
    if !bad.is_empty() {
        let told = bad.iter().take(TOLD_PAGES).cloned().collect::<Vec<_>>().join(", ");
        let more = if bad.len() > TOLD_PAGES { " .." } else { "" };
        notices.push(format!("{} of {} pages could not be read: {told}{more}", bad.len(), pages.len()));
    }
    Ok(())
}

/// Lines without blanks at their ends, at most one of them empty between others.
fn tidied(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty_lines = 0;
    for line in text.lines().map(str::trim) {
        if line.is_empty() {
            empty_lines += 1;
            continue;
        }
        if !out.is_empty() {
            out.push_str(if empty_lines > 0 { "\n\n" } else { "\n" });
        }
        empty_lines = 0;
        out.push_str(line);
    }
    out
}
