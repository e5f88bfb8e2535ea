//! Any text: the parser gives a grammar that prints and reads back as itself, or an error with a place inside the text;
//! what it gives is compiled or refused, soon.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use mneme::grammar::{Compiler, Error, Limits, parse};
use mneme::inference::{TokenKind, Vocab};
use mneme_fuzz::limits;

static VOCAB: LazyLock<Arc<Vocab>> = LazyLock::new(|| {
    let mut rows: Vec<(Vec<u8>, TokenKind)> = (0..=255).map(|byte| (vec![byte], TokenKind::Text)).collect();
    rows.push((b"<tag>".to_vec(), TokenKind::Control));
    Arc::new(Vocab::new(rows, Vec::new(), None))
});

fuzz_target!(|source: &str| {
    match parse(source, &VOCAB, &Limits::default()) {
        Ok(grammar) => {
            let printed = grammar.to_string();
            let again = parse(&printed, &VOCAB, &Limits { source_bytes: usize::MAX, ..Limits::default() });
            let again = again.unwrap_or_else(|error| panic!("{error}\n{printed}"));
            assert_eq!(again.to_string(), printed);
            let compiled = Compiler::new(Arc::clone(&VOCAB), limits()).compile_parsed(&grammar, source, &[]);
            if let Err(error) = compiled {
                check(&error, source);
            }
        }
        Err(error) => check(&error, source),
    }
});

fn check(error: &Error, source: &str) {
    if let Some(place) = error.place() {
        assert!(place.line >= 1 && place.line <= source.split(['\r', '\n']).count(), "{place}");
        assert!(place.column >= 1, "{place}");
    }
    assert!(!error.to_string().is_empty() && !error.hint().is_empty());
}
