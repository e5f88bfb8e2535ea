//! Any text: the parser gives a grammar that prints and reads back as itself, or an error with a place inside the text.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mneme::grammar::{Limits, parse};
use mneme::inference::{TokenKind, Vocab};

static VOCAB: LazyLock<Vocab> = LazyLock::new(|| {
    let mut rows: Vec<(Vec<u8>, TokenKind)> = (0..=255).map(|byte| (vec![byte], TokenKind::Text)).collect();
    rows.push((b"<tag>".to_vec(), TokenKind::Control));
    Vocab::new(rows, Vec::new(), None)
});

fuzz_target!(|source: &str| {
    match parse(source, &VOCAB, &Limits::default()) {
        Ok(grammar) => {
            let printed = grammar.to_string();
            let again = parse(&printed, &VOCAB, &Limits { source_bytes: usize::MAX, ..Limits::default() });
            let again = again.unwrap_or_else(|error| panic!("{error}\n{printed}"));
            assert_eq!(again.to_string(), printed);
        }
        Err(error) => {
            if let Some(place) = error.place() {
                assert!(place.line >= 1 && place.line <= source.lines().count() + 1, "{place}");
                assert!(place.column >= 1, "{place}");
            }
            assert!(!error.to_string().is_empty() && !error.hint().is_empty());
        }
    }
});
