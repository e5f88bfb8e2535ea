//! Which reader a file gets: by the end of its name, and by its first bytes where these say more.

use serde::{Deserialize, Serialize};

use super::error::Error;

/// A format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Plain text and source code.
    Text,
    /// Markdown.
    Markdown,
    /// HTML.
    Html,
    /// PDF.
    Pdf,
    /// Word since 2007.
    Docx,
    /// Electronic books.
    Epub,
    /// Comma-separated values; the separator is found out.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// JSON.
    Json,
    /// A JSON value on each line.
    JsonLines,
}

/// Formats whose bytes could pass for another one, or whose refusal deserves its name.
const UNSUPPORTED: &[(&[&str], &str)] = &[
    (&["doc", "dot"], "Word before 2007"),
    (&["xls", "xlsx", "ods", "numbers"], "a spreadsheet"),
    (&["ppt", "pptx", "odp"], "a presentation"),
    (&["odt", "pages", "rtf", "wpd"], "a word processor's"),
    (&["mobi", "azw", "azw3", "djvu"], "an electronic book's"),
    (&["zip", "gz", "bz2", "xz", "zst", "7z", "rar", "tar", "jar"], "an archive"),
];

impl Format {
    /// The format of a file by its name and its bytes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] or [`Error::PrivateKey`].
    pub fn of(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        if bytes.starts_with(b"%PDF-") {
            return Ok(Self::Pdf);
        }
        if is_private_key(bytes) {
            return Err(Error::PrivateKey);
        }
        let extension = extension(name);
        if let Some((_, name)) = UNSUPPORTED.iter().find(|(names, _)| names.contains(&extension.as_str())) {
            return Err(Error::Unsupported { name });
        }
        Ok(match extension.as_str() {
            "md" | "markdown" | "mdown" | "mkd" => Self::Markdown,
            "html" | "htm" | "xhtml" => Self::Html,
            "pdf" => Self::Pdf,
            "docx" | "docm" => Self::Docx,
            "epub" => Self::Epub,
            "csv" => Self::Csv,
            "tsv" | "tab" => Self::Tsv,
            "json" | "geojson" => Self::Json,
            "jsonl" | "ndjson" => Self::JsonLines,
            _ => Self::Text,
        })
    }

    /// Whether a parser of many thousand lines reads it, which gets a process of its own.
    #[must_use]
    pub const fn is_complex(self) -> bool {
        !matches!(self, Self::Text | Self::Csv | Self::Tsv)
    }
}

/// The end of a name behind its last dot, in lower case; nothing where there is no dot but at the beginning.
pub(super) fn extension(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && !stem.ends_with('/') => extension.to_lowercase(),
        _ => String::new(),
    }
}

fn is_private_key(bytes: &[u8]) -> bool {
    let head = bytes.get(..200).unwrap_or(bytes);
    let head = String::from_utf8_lossy(head);
    let first = head.trim_start().lines().next().unwrap_or_default();
    (first.starts_with("-----BEGIN") && first.contains("PRIVATE KEY")) || first.starts_with("PuTTY-User-Key-File")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_first_bytes_decide() {
        assert_eq!(Format::of("a.MD", b"# x").unwrap(), Format::Markdown);
        assert_eq!(Format::of("Makefile", b"all:").unwrap(), Format::Text);
        assert_eq!(Format::of("a.rs", b"fn main() {}").unwrap(), Format::Text);
        assert_eq!(Format::of("paper", b"%PDF-1.7\n").unwrap(), Format::Pdf);
        assert!(matches!(Format::of("a.xlsx", b"PK"), Err(Error::Unsupported { .. })));
        assert!(matches!(Format::of("note.txt", b"-----BEGIN OPENSSH PRIVATE KEY-----\n"), Err(Error::PrivateKey)));
    }
}
