//! Any JSON as a schema, then a walk: it is refused with a pointer, or its grammar compiles, prints and reads back as
//! itself, and every text that a walk completes is JSON.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use mneme::grammar::schema::{self, Options, Whitespace, compile};
use mneme::grammar::{Compiler, Error, Limits, parse};
use mneme::inference::{TokenKind, Vocab};
use mneme::types::{Constraint, TokenId};
use serde_json::Value;

static VOCAB: LazyLock<Arc<Vocab>> = LazyLock::new(|| {
    Arc::new(Vocab::new((0..=255).map(|byte| (vec![byte], TokenKind::Text)).collect(), Vec::new(), None))
});

/// Less than by default, so that a run takes milliseconds.
fn options(choice: u8) -> Options {
    Options {
        whitespace: match choice % 3 {
            0 => Whitespace::Compact,
            1 => Whitespace::Template,
            _ => Whitespace::Flexible,
        },
        undeclared_properties: choice & 4 == 0,
        limits: schema::Limits { work: 100_000, rules: 2000, ..schema::Limits::default() },
        ..Options::default()
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let Ok(schema) = serde_json::from_slice::<Value>(&data[..end]) else { return };
    let ir = match compile(&schema, &options(*choice)) {
        Ok(ir) => ir,
        Err(error) => {
            assert!(error.pointer().is_empty() || error.pointer().starts_with(['/', '#']), "{error}");
            assert!(!error.to_string().is_empty() && !error.hint().is_empty());
            return;
        }
    };
    let limits = Limits { source_bytes: usize::MAX, ..Limits::default() };
    let again = parse(&ir.to_string(), &VOCAB, &limits).unwrap_or_else(|error| panic!("{error}\n{ir}"));
    assert_eq!(again.to_string(), ir.to_string());
    let grammar = match Compiler::new(Arc::clone(&VOCAB), limits).compile_ir(&ir) {
        Ok(grammar) => grammar,
        Err(Error::Limit { .. }) => return,
        Err(error) => panic!("{error}\n{ir}"),
    };
    let Ok(mut matcher) = grammar.matcher() else { return };
    let mut written = Vec::new();
    for choice in data.iter().skip(end + 1) {
        let Ok(next) = matcher.next_bytes() else { return };
        let Some(byte) = next.get(usize::from(*choice) % next.len().max(1)) else { break };
        if matcher.commit(TokenId(u32::from(*byte))).is_err() {
            return;
        }
        written.push(*byte);
    }
    if matcher.may_end() {
        let text = String::from_utf8(written).expect("a completed text is UTF-8");
        serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{error}: {text:?}\n{schema}"));
    }
});
