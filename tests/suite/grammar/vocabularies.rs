//! Random vocabularies: what a matcher says of a token depends on the token's bytes and kind, and on nothing else.
//!
//! Each case has a vocabulary twice: with the tokens that were drawn alone, and behind all single bytes, so that every
//! token can also be spelled byte by byte.

use std::sync::Arc;

use mneme::grammar::{Expr, Grammar, Limits, Matcher};
use mneme::inference::{TokenKind, Vocab};
use mneme::types::{Constraint, TokenId};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::{can_finish, expression, grammar_of};

const BYTES: u32 = 256;
const WALK_TOKENS: usize = 8;

type Row = (Vec<u8>, TokenKind);

/// Pieces of what the random grammars speak of: whole characters, parts of them, bytes that no text holds.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"a",
        b"b",
        b"ab",
        b"ba",
        "é".as_bytes(),
        b"\xC3",
        b"\xA9",
        b"\xC2",
        b"\xE2\x80",
        b"\xA8",
        "日".as_bytes(),
        b"\xF0\x9F",
        b"\xFF",
        b"\xC0",
        b"z",
        b"\n",
        b" ",
        b"\0",
    ];
    prop::sample::select(pieces).prop_map(<[u8]>::to_vec)
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let kind = prop_oneof![
        12 => Just(TokenKind::Text),
        1 => Just(TokenKind::Control),
        1 => Just(TokenKind::Unused),
    ];
    // Few pieces: duplicates are common, and empty tokens happen.
    let row = (prop::collection::vec(piece(), 0..5), kind).prop_map(|(pieces, kind)| (pieces.concat(), kind));
    prop::collection::vec(row, 20..60)
}

fn vocabulary(rows: Vec<Row>) -> Arc<Vocab> {
    let ends = rows.len() - 1;
    Arc::new(Vocab::new(rows, vec![TokenId(u32::try_from(ends).unwrap())], None))
}

/// The drawn tokens alone, and behind all bytes; the last token ends a generation in both.
fn both(rows: Vec<Row>) -> [Arc<Vocab>; 2] {
    let bytes = (0..=255_u8).map(|byte| (vec![byte], TokenKind::Text));
    let whole = bytes.chain(rows.iter().cloned()).collect();
    [vocabulary(rows), vocabulary(whole)]
}

/// A grammar; where there are `named` tokens, it names the first and speaks of any but the second.
fn source(bodies: Vec<Expr>, named: Option<[u32; 2]>, shift: u32) -> String {
    let rules = grammar_of(bodies).replace("root", "text");
    let items = named.map(|[one, other]| format!(" | <[{}]> | (!<[{}]>)? \"a\"", one + shift, other + shift));
    format!("{rules}root ::= text (text \"b\"{}){{0,3}}\n", items.unwrap_or_default())
}

fn tokens(vocab: &Vocab) -> impl Iterator<Item = TokenId> {
    (0..u32::try_from(vocab.len()).unwrap()).map(TokenId)
}

/// The mask as a list, checked token by token with [`Constraint::allows`]; none where both come to a limit.
fn agreed(matcher: &mut Matcher, vocab: &Vocab) -> Option<Vec<TokenId>> {
    let checks: Result<Vec<bool>, _> = tokens(vocab).map(|token| matcher.clone().allows(token)).collect();
    let mask = matcher.mask();
    let (mask, checks) = match (mask, checks) {
        (Ok(mask), Ok(checks)) => (mask, checks),
        (Err(_), Err(_)) => return None,
        // The one limit that a mask has to itself.
        (Err(error), Ok(_)) if error.reason.starts_with("one mask filled") => return None,
        (mask, checks) => {
            panic!("a mask and the checks of all tokens disagree: {:?} and {:?}", mask.err(), checks.err())
        }
    };
    for (token, is_allowed) in tokens(vocab).zip(checks) {
        assert_eq!(mask.contains(token), is_allowed, "{token:?} {:?}", vocab.bytes(token));
    }
    Some(mask.tokens().collect())
}

/// The same for a grammar far from all limits, where each token is also taken, and taken back.
fn allowed(matcher: &mut Matcher, vocab: &Vocab) -> Option<Vec<TokenId>> {
    let allowed = agreed(matcher, vocab)?;
    for token in tokens(vocab) {
        let is_allowed = allowed.binary_search(&token).is_ok();
        let may_come = vocab.kind(token) != TokenKind::Unused && !vocab.is_end_of_generation(token);
        assert!(may_come || !is_allowed, "{token:?} never comes");
        let mut taken = matcher.clone();
        let taking = taken.commit(token);
        // What is allowed can lead to a state that is above a limit: a very ambiguous grammar.
        if is_allowed && taking.as_ref().is_err_and(|error| error.reason.contains("the limit is")) {
            return None;
        }
        assert_eq!(taking.is_ok(), is_allowed, "{token:?}: {taking:?}");
        if is_allowed {
            taken.rollback(1).unwrap();
            assert_eq!((taken.state(), taken.may_end()), (matcher.state(), matcher.may_end()), "{token:?}");
        }
    }
    Some(allowed)
}

/// What is allowed after `tokens`, for a grammar of which nothing was ever asked.
fn afresh(vocab: &Arc<Vocab>, source: &str, tokens: &[TokenId]) -> Vec<TokenId> {
    let mut matcher = Grammar::compile(source, vocab, &Limits::default()).unwrap().matcher().unwrap();
    tokens.iter().for_each(|token| matcher.commit(*token).unwrap());
    matcher.mask().unwrap().tokens().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, rng_seed: RngSeed::Fixed(20_261_123), failure_persistence: None, max_shrink_time: 8000, ..ProptestConfig::default() })]

    #[test]
    fn any_vocabulary_is_held_to_the_grammar_alike(
        rows in rows(),
        bodies in prop::collection::vec(expression(3), 3),
        picks in prop::option::of(any::<[u16; 2]>()),
        seed in any::<u64>(),
    ) {
        // Tokens that a grammar may name: not unused, and not the end.
        let nameable: Vec<u32> =
            (0_u32..).zip(&rows[..rows.len() - 1]).filter(|(_, row)| row.1 != TokenKind::Unused).map(|(id, _)| id).collect();
        let named = picks.map(|picks| picks.map(|pick| nameable[usize::from(pick) % nameable.len()]));
        let [drawn, whole] = both(rows);
        let sources = [0, BYTES].map(|shift| source(bodies.clone(), named, shift));
        let compile = |vocab, source: &str| Grammar::compile(source, vocab, &Limits::default());
        let (Ok(grammar), Ok(spelled)) = (compile(&drawn, &sources[0]), compile(&whole, &sources[1])) else {
            return Ok(());
        };
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (mut matcher, mut by_bytes) = (grammar.matcher().unwrap(), spelled.matcher().unwrap());
        let mut walked = Vec::new();
        let mut trail = Vec::new();
        for _ in 0..WALK_TOKENS {
            let Some(here) = allowed(&mut matcher, &drawn) else { return Ok(()) };
            prop_assert_eq!(&afresh(&drawn, &sources[0], &walked), &here, "cached and not, after {:?}", &walked);
            let Ok(mask) = by_bytes.mask() else { return Ok(()) };
            let shifted: Vec<TokenId> =
                mask.tokens().filter_map(|token| token.0.checked_sub(BYTES)).map(TokenId).collect();
            prop_assert_eq!(&shifted, &here, "spelled by bytes, after {:?}", &walked);
            prop_assert_eq!(by_bytes.may_end(), matcher.may_end());
            if let Ok(finishes) = can_finish(&by_bytes) {
                prop_assert!(finishes, "{:?} leads nowhere in {}", &walked, &sources[0]);
            }
            trail.push((here.clone(), matcher.may_end(), matcher.forced_bytes(), matcher.forced_token()));
            let Some(token) = here.choose(&mut random).copied() else { break };
            if matcher.commit(token).is_err() {
                break;
            }
            // What names tokens tells a token from its bytes.
            if named.is_some() {
                by_bytes.commit(TokenId(token.0 + BYTES)).unwrap();
            } else {
                drawn.bytes(token).iter().for_each(|byte| by_bytes.commit(TokenId(u32::from(*byte))).unwrap());
            }
            walked.push(token);
        }
        for expected in trail.iter().rev().skip(usize::from(trail.len() > walked.len())) {
            matcher.rollback(1).unwrap();
            let here = matcher.mask().unwrap().tokens().collect::<Vec<_>>();
            let found = (here, matcher.may_end(), matcher.forced_bytes(), matcher.forced_token());
            prop_assert_eq!(&found, expected);
        }
        prop_assert_eq!(matcher.committed_tokens(), 0);
    }

    #[test]
    fn at_a_limit_a_mask_and_the_checks_of_its_tokens_stop_together(
        rows in rows(),
        bodies in prop::collection::vec(expression(3), 3),
        parses in 2_usize..24,
        room in 8_usize..60,
        seed in any::<u64>(),
    ) {
        let vocab = vocabulary(rows);
        let limits =
            Limits { parses, states: room, stored_parses: 8 * room, frames: 2 * room, mask_bytes: 400, ..Limits::default() };
        let Ok(grammar) = Grammar::compile(&source(bodies, None, 0), &vocab, &limits) else { return Ok(()) };
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut matcher = grammar.matcher().unwrap();
        for _ in 0..WALK_TOKENS {
            let Some(here) = agreed(&mut matcher, &vocab) else { break };
            let Some(token) = here.choose(&mut random) else { break };
            if matcher.commit(*token).is_err() {
                break;
            }
        }
    }
}
