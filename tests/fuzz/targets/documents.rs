//! Any bytes as a document of any format: text with places, or an error, soon. PDF is left out: its library panics, and
//! some input lets the stack run out within seconds. libFuzzer takes both for an end, and the second leaves it no input
//! to tell; the program reads PDF in a process of its own, whose end the tests of hostile documents bring about.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mneme::documents::{Format, Limits, read};
use mneme::types::{Place, Unit};

const FORMATS: [Format; 9] = [
    Format::Text,
    Format::Markdown,
    Format::Html,
    Format::Docx,
    Format::Epub,
    Format::Csv,
    Format::Tsv,
    Format::Json,
    Format::JsonLines,
];

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let limits = Limits { text_bytes: 1 << 20, nesting: 64, unpacked_bytes: 1 << 20, ..Limits::default() };
    let format = FORMATS[usize::from(*first) % FORMATS.len()];
    match read(bytes, format, &limits) {
        Ok(document) => {
            let lines = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64 + 1;
            for piece in document.pieces {
                assert!(!piece.text.trim().is_empty());
                assert!(!piece.text.contains(['\0', '\u{1b}', '\r']));
                assert_eq!(Place::parse(&piece.place.to_string()), piece.place);
                if let Some((Unit::Line, line, _)) = piece.place.position {
                    assert!((1..=lines).contains(&line), "line {line} of {lines}");
                }
            }
        }
        Err(error) => assert!(!error.to_string().is_empty() && !error.hint().is_empty()),
    }
});
