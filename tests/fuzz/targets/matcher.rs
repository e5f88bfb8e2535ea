//! A grammar, a line of `=`, and a walk: masks agree with single checks, nothing that was worked out before changes an
//! answer, what is taken back leaves no trace, and every way that is open leads to an end or to a limit.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use mneme::grammar::{Compiler, Limits};
use mneme::inference::{TokenKind, Vocab};
use mneme::types::{Constraint, TokenId};

static VOCAB: LazyLock<Arc<Vocab>> = LazyLock::new(|| {
    let mut rows: Vec<(Vec<u8>, TokenKind)> = (0..=255).map(|byte| (vec![byte], TokenKind::Text)).collect();
    rows.push((b"<tag>".to_vec(), TokenKind::Control));
    rows.push((b"<end>".to_vec(), TokenKind::Control));
    for text in ["ab", "aa", "abc", "\": \"", "}}", "\n\n", "é", "日本", " the", "true", "12", "\\n", "aé"] {
        rows.push((text.into(), TokenKind::Text));
    }
    rows.push((b"\xE2\x80".to_vec(), TokenKind::Text));
    rows.push((b"a\xC3".to_vec(), TokenKind::Text));
    Arc::new(Vocab::new(rows, vec![TokenId(257)], None))
});

/// Small, so that a walk comes to them.
fn limits() -> Limits {
    Limits {
        source_bytes: 4096,
        positions: 20_000,
        states: 5000,
        parses: 500,
        stored_parses: 100_000,
        frames: 20_000,
        mask_bytes: 400,
        ..Limits::default()
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(cut) = data.windows(3).position(|part| part == b"\n=\n") else { return };
    let Ok(source) = std::str::from_utf8(&data[..cut]) else { return };
    let compiler = Compiler::new(Arc::clone(&VOCAB), limits());
    let Ok(grammar) = compiler.compile(source) else { return };
    let Ok(mut matcher) = grammar.matcher() else { return };
    let mut walked = Vec::new();
    for choice in data[cut + 3..].iter().take(64) {
        let Ok(mask) = matcher.mask() else { return };
        for token in (0..u32::try_from(VOCAB.len()).unwrap()).map(TokenId) {
            let Ok(allowed) = matcher.allows(token) else { return };
            assert_eq!(mask.contains(token), allowed, "{token:?} after {} tokens", matcher.committed_tokens());
        }
        if mask.count() == 0 {
            assert!(matcher.may_end(), "a way without an end after {} tokens", matcher.committed_tokens());
            return;
        }
        assert!(!matcher.must_end());
        let token = mask.tokens().nth(usize::from(*choice) % mask.count()).unwrap();
        let before = (matcher.state(), matcher.may_end());
        if matcher.commit(token).is_err() {
            return;
        }
        let after = matcher.state();
        matcher.rollback(1).unwrap();
        assert_eq!((matcher.state(), matcher.may_end()), before);
        matcher.commit(token).unwrap();
        assert_eq!(matcher.state(), after);
        walked.push(token);
    }
    // The same way without anything that was worked out on the first, masks in particular.
    let mut fresh = compiler.forget().compile(source).unwrap().matcher().unwrap();
    if walked.into_iter().all(|token| fresh.commit(token).is_ok())
        && let (Ok(mask), Ok(again)) = (matcher.mask(), fresh.mask())
    {
        assert_eq!(mask, again);
    }
});
