//! A grammar, a line of `=`, a line for each trigger, a line of `=`, and a walk: text is free until a search in it finds a
//! trigger, and from then on what comes is what the same grammar without triggers says.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use mneme::grammar::{Compiler, Grammar, Matcher, Trigger, Verdict};
use mneme::inference::TokenKind;
use mneme::types::{Constraint, TokenId};
use mneme_fuzz::{TAG, VOCAB, commit_twice, limits, parts};

/// The text from the trigger on that `token` completes behind the free text; none where it completes none.
fn held_text(free: &[u8], token: TokenId, triggers: &[&str]) -> Option<Vec<u8>> {
    let text = [free, VOCAB.bytes(token)].concat();
    (free.len() + 1..=text.len()).find_map(|end| {
        let complete = triggers.iter().filter(|trigger| text[..end].ends_with(trigger.as_bytes()));
        let longest = complete.map(|trigger| trigger.len()).max()?;
        Some(text[end - longest..].to_vec())
    })
}

/// Whether the model lets `token` come in free text; none where a limit was hit.
fn is_free(eager: &Grammar, free: &[u8], token: TokenId, triggers: &[&str], has_tag: bool) -> Option<bool> {
    Some(match VOCAB.kind(token) {
        TokenKind::Text => match held_text(free, token, triggers) {
            Some(text) => !matches!(eager.judge(&text).ok()?, Verdict::Refused { .. }),
            None => true,
        },
        _ => has_tag && token == TAG,
    })
}

/// The eager grammar behind `text`; none where a limit was hit.
fn behind(eager: &Grammar, text: &[u8]) -> Option<Matcher> {
    let mut matcher = eager.matcher().ok()?;
    text.iter().try_for_each(|byte| matcher.commit(TokenId((*byte).into()))).ok()?;
    Some(matcher)
}

fn run(data: &[u8]) -> Option<()> {
    let (source, rest) = parts(data)?;
    let (lines, choices) = parts(rest)?;
    let (tags, triggers): (Vec<&str>, Vec<&str>) = lines.lines().partition(|line| *line == "<tag>");
    let has_tag = !tags.is_empty();
    let literals = triggers.iter().map(|trigger| Trigger::Literal((*trigger).to_owned()));
    let all: Vec<Trigger> = literals.chain(has_tag.then_some(Trigger::Token(TAG))).collect();
    let compiler = Compiler::new(Arc::clone(&VOCAB), limits());
    let grammar = compiler.compile_lazy(source, &all).ok()?;
    let eager = compiler.compile(source).ok()?;
    // A byte that is fed to the eager grammar may be a token that it names.
    let names_tokens = source.contains('<');
    let mut matcher = grammar.matcher().ok()?;
    let (mut free, mut is_held, mut held) = (Vec::new(), false, None);
    let mut walked = Vec::new();
    for choice in choices.iter().take(64) {
        let mask = matcher.mask().ok()?;
        for token in (0..u32::try_from(VOCAB.len()).unwrap()).map(TokenId) {
            let allowed = matcher.allows(token).ok()?;
            assert_eq!(mask.contains(token), allowed, "{token:?} behind {walked:?}");
            if !is_held && !VOCAB.is_end_of_generation(token) {
                assert_eq!(allowed, is_free(&eager, &free, token, &triggers, has_tag)?, "{token:?} behind {walked:?}");
            }
        }
        if let Some(held) = &mut held {
            let held: &mut Matcher = held;
            assert_eq!(held.mask().ok()?, mask, "behind {walked:?}");
            assert_eq!((held.may_end(), held.must_end()), (matcher.may_end(), matcher.must_end()));
            let forced = [held.forced_bytes(), matcher.forced_bytes()];
            // Nothing is forced where a limit was hit.
            (held.mask().ok()?, matcher.mask().ok()?);
            assert_eq!(forced[0], forced[1], "behind {walked:?}");
        }
        assert!(is_held || (matcher.may_end() && !matcher.must_end()), "free text may end, behind {walked:?}");
        if mask.count() == 0 {
            assert!(matcher.may_end(), "a way without an end behind {walked:?}");
            return None;
        }
        let token = mask.tokens().nth(usize::from(*choice) % mask.count())?;
        commit_twice(&mut matcher, token)?;
        walked.push(token);
        if is_held {
            if let Some(matcher) = &mut held {
                matcher.commit(token).ok()?;
            }
        } else if token == TAG {
            is_held = true;
            let mut matcher = eager.matcher().ok()?;
            matcher.commit(TAG).unwrap();
            held = Some(matcher);
        } else if let Some(text) = held_text(&free, token, &triggers) {
            is_held = true;
            held = if names_tokens { None } else { Some(behind(&eager, &text)?) };
        } else {
            free.extend_from_slice(VOCAB.bytes(token));
        }
    }
    // The same way without anything that was worked out on the first, masks in particular.
    let mut fresh = compiler.forget().compile_lazy(source, &all).ok()?.matcher().ok()?;
    if walked.into_iter().all(|token| fresh.commit(token).is_ok()) {
        assert_eq!(matcher.mask().ok()?, fresh.mask().ok()?);
    }
    None
}

fuzz_target!(|data: &[u8]| {
    run(data);
});
