//! A grammar, a line of `=`, and a walk: masks agree with single checks, nothing that was worked out before changes an
//! answer, what is taken back leaves no trace, and every way that is open leads to an end or to a limit.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use mneme::grammar::Compiler;
use mneme::types::{Constraint, TokenId};
use mneme_fuzz::{VOCAB, commit_twice, limits, parts};

fuzz_target!(|data: &[u8]| {
    let Some((source, choices)) = parts(data) else { return };
    let compiler = Compiler::new(Arc::clone(&VOCAB), limits());
    let Ok(grammar) = compiler.compile(source) else { return };
    let Ok(mut matcher) = grammar.matcher() else { return };
    let mut walked = Vec::new();
    for choice in choices.iter().take(64) {
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
        if commit_twice(&mut matcher, token).is_none() {
            return;
        }
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
