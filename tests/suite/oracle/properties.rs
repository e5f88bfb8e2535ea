//! What holds for every state that a walk over a real vocabulary reaches.

use std::collections::HashSet;

use mneme::grammar::{Compiler, Grammar, Limits, Matcher};
use mneme::inference::Vocab;
use mneme::types::{Constraint, TokenId};
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::World;
use super::grammars::{Sample, names_no_token, samples};
use super::walk::{Prefix, allowed, step};

/// States looked at on the way to an end.
const FINISH_STATES: usize = 20_000;
/// Bytes that are tried first on the way to an end, the likeliest first; brackets that open come last.
const CLOSING: &[u8] = b"\"'}]);=!./>\n e0123456789";
const OPENING: &[u8] = b"([{<,+-*|";

fn compiler() -> Compiler {
    Compiler::new(World::small().vocab.clone(), Limits::default())
}

fn sources() -> Vec<Sample> {
    samples(&World::small().vocab)
}

/// Walks `tokens` tokens; `look` sees every state with the prefix before it.
fn walk(grammar: &Grammar, tokens: usize, seed: u64, mut look: impl FnMut(&mut Matcher, &Prefix)) {
    let vocab = &World::small().vocab;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut matcher = grammar.matcher().unwrap();
    let mut prefix = Prefix::default();
    for _ in 0..tokens {
        look(&mut matcher, &prefix);
        let legal = allowed(&mut matcher);
        let Some(token) = step(&mut random, &mut matcher, vocab, &prefix, &legal) else { return };
        matcher.commit(token).unwrap();
        prefix.push(vocab, token);
    }
    look(&mut matcher, &prefix);
}

fn all_tokens(vocab: &Vocab) -> impl Iterator<Item = TokenId> {
    (0..u32::try_from(vocab.len()).unwrap()).map(TokenId)
}

#[test]
fn a_mask_holds_exactly_the_tokens_that_are_allowed_and_can_be_taken() {
    let vocab = &World::small().vocab;
    for Sample { name, source } in sources() {
        let grammar = compiler().compile(&source).unwrap();
        walk(&grammar, 4, 31, |matcher, prefix| {
            let mask = matcher.mask().unwrap();
            for token in all_tokens(vocab) {
                let expected = mask.contains(token);
                let context = || format!("{name}: {} then {}", prefix.shown(vocab), token.0);
                assert_eq!(matcher.allows(token).unwrap(), expected, "{}", context());
                assert_eq!(matcher.clone().commit(token).is_ok(), expected, "{}", context());
            }
        });
    }
}

#[test]
fn a_mask_does_not_depend_on_what_was_asked_before() {
    for Sample { name, source } in sources() {
        let used = compiler().compile(&source).unwrap();
        // Fills caches from another walk, and from checks instead of masks.
        walk(&used, 24, 2, |matcher, _| {
            let _ = matcher.allows(TokenId(100)).unwrap();
        });
        let (mut first, mut second) = (Vec::new(), Vec::new());
        walk(&used, 16, 1, |matcher, _| first.push((matcher.mask().unwrap(), matcher.may_end())));
        let mut prefixes = Vec::new();
        walk(&used, 16, 1, |matcher, prefix| {
            second.push((matcher.mask().unwrap(), matcher.may_end()));
            prefixes.push(prefix.tokens.clone());
        });
        assert_eq!(first, second, "{name}");
        for (tokens, expected) in prefixes.iter().zip(&first).step_by(3) {
            // Nothing was asked of this grammar but this one mask.
            let mut matcher = compiler().compile(&source).unwrap().matcher().unwrap();
            tokens.iter().for_each(|token| matcher.commit(*token).unwrap());
            assert_eq!((matcher.mask().unwrap(), matcher.may_end()), *expected, "{name} behind {tokens:?}");
        }
    }
}

#[test]
fn going_back_undoes_tokens() {
    for Sample { name, source } in sources() {
        let grammar = compiler().compile(&source).unwrap();
        let mut trail = Vec::new();
        let mut last = None;
        walk(&grammar, 20, 5, |matcher, _| {
            trail.push((matcher.mask().unwrap(), matcher.state(), matcher.may_end(), matcher.forced_bytes()));
            last = Some(matcher.clone());
        });
        let mut matcher = last.unwrap();
        for expected in trail.iter().rev().skip(1) {
            matcher.rollback(1).unwrap();
            let here = (matcher.mask().unwrap(), matcher.state(), matcher.may_end(), matcher.forced_bytes());
            assert_eq!(here, *expected, "{name}");
        }
        assert_eq!(matcher.committed_tokens(), 0);
    }
}

#[test]
fn a_token_and_its_parts_lead_to_the_same_place() {
    let vocab = &World::small().vocab;
    let mut splits = 0;
    for Sample { name, source } in sources().into_iter().filter(names_no_token) {
        let grammar = compiler().compile(&source).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(3);
        walk(&grammar, 16, 3, |matcher, prefix| {
            let long: Vec<TokenId> =
                allowed(matcher).into_iter().filter(|token| vocab.bytes(*token).len() > 1).collect();
            for token in long.choose_multiple(&mut random, 12) {
                let mut whole = matcher.clone();
                whole.commit(*token).unwrap();
                let bytes = vocab.bytes(*token);
                for cut in 1..bytes.len() {
                    let mut parts = matcher.clone();
                    let spelled = [&bytes[..cut], &bytes[cut..]].map(|part| spell(vocab, part));
                    let [Some(left), Some(right)] = spelled else { continue };
                    left.into_iter().chain(right).for_each(|token| parts.commit(token).unwrap());
                    let context = format!("{name}: {} then {} cut at {cut}", prefix.shown(vocab), token.0);
                    assert_eq!(parts.mask().unwrap(), whole.mask().unwrap(), "{context}");
                    assert_eq!(parts.may_end(), whole.may_end(), "{context}");
                    splits += 1;
                }
            }
        });
    }
    assert!(splits > 2000, "{splits}");
}

/// The token that stands for exactly `bytes`.
fn exact(vocab: &Vocab, bytes: &[u8]) -> Option<TokenId> {
    vocab.text_tokens_with_prefix(bytes).first().copied().filter(|token| vocab.bytes(*token) == bytes)
}

/// `bytes` as one token where there is one, else byte by byte.
fn spell(vocab: &Vocab, bytes: &[u8]) -> Option<Vec<TokenId>> {
    let single = || bytes.iter().map(|byte| exact(vocab, &[*byte])).collect();
    exact(vocab, bytes).map_or_else(single, |token| Some(vec![token]))
}

#[test]
fn every_state_that_is_reached_can_finish() {
    let vocab = &World::small().vocab;
    for Sample { name, source } in sources().into_iter().filter(names_no_token) {
        let grammar = compiler().compile(&source).unwrap();
        for seed in 0..3 {
            walk(&grammar, 40, seed, |matcher, prefix| {
                if prefix.tokens.len() % 8 == 0 {
                    assert!(finishes(matcher), "{name}: {}", prefix.shown(vocab));
                }
            });
        }
    }
}

/// Whether an end is found, depth first, what closes before what opens.
fn finishes(matcher: &Matcher) -> bool {
    let vocab = &World::small().vocab;
    let rank = |byte: &u8| {
        let place = |list: &[u8]| list.iter().position(|listed| listed == byte);
        place(CLOSING).unwrap_or_else(|| CLOSING.len() + place(OPENING).map_or(0, |place| place + 1))
    };
    let mut seen = HashSet::from([matcher.state()]);
    let mut waiting = vec![matcher.clone()];
    while let Some(mut matcher) = waiting.pop() {
        if matcher.may_end() {
            return true;
        }
        assert!(seen.len() < FINISH_STATES, "no end within {FINISH_STATES} states");
        let mut bytes = matcher.next_bytes().unwrap();
        bytes.sort_by_key(|byte| std::cmp::Reverse(rank(byte)));
        // Some bytes, control characters for instance, have no token of their own in this vocabulary.
        for token in bytes.iter().filter_map(|byte| exact(vocab, &[*byte])) {
            let mut next = matcher.clone();
            next.commit(token).unwrap();
            if seen.insert(next.state()) {
                waiting.push(next);
            }
        }
    }
    false
}

#[test]
fn two_runs_give_the_same() {
    for Sample { name, source } in sources() {
        let run = || {
            let mut seen = Vec::new();
            walk(&compiler().compile(&source).unwrap(), 12, 11, |matcher, prefix| {
                seen.push((prefix.tokens.clone(), matcher.mask().unwrap(), matcher.state(), matcher.forced_bytes()));
            });
            seen
        };
        assert_eq!(run(), run(), "{name}");
    }
}
