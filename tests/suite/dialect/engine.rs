//! What a dialect's grammar takes, by the real grammar engine: whole replies, and random walks.

use std::sync::Arc;

use mneme::grammar::{Compiler, Grammar, Limits};
use mneme::types::{Constraint, StepPolicy, TokenId};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{CLOSE, Dialect, OPEN, TAGS, vocab};

/// A random walk that has not come to an end by then is cut off.
const WALK_TOKENS: usize = 2000;

/// Where the single bytes begin in the vocabulary of these tests.
fn first_byte() -> u32 {
    u32::try_from(TAGS.len()).unwrap()
}

/// The grammar of one step.
pub(super) fn grammar(dialect: &dyn Dialect, policy: &StepPolicy) -> Grammar {
    let source = dialect.grammar(policy).unwrap();
    let compiler = Compiler::new(Arc::new(vocab(TAGS)), Limits::default());
    compiler.compile(&source).unwrap_or_else(|error| panic!("{error}\n{source}"))
}

/// `reply` as tokens of one byte; `<T>` and `</T>` are the tags of a call.
pub(super) fn tokens(reply: &str) -> Vec<TokenId> {
    let mut tokens = vec![];
    let mut rest = reply.as_bytes();
    while let [byte, behind @ ..] = rest {
        let tag = [("<T>", OPEN), ("</T>", CLOSE)].into_iter().find(|(tag, _)| rest.starts_with(tag.as_bytes()));
        tokens.push(tag.map_or(TokenId(first_byte() + u32::from(*byte)), |(_, token)| token));
        rest = tag.map_or(behind, |(tag, _)| &rest[tag.len()..]);
    }
    tokens
}

/// The reply that `tokens` spell.
pub(super) fn spelled(tokens: &[TokenId]) -> String {
    let vocab = vocab(TAGS);
    let bytes: Vec<u8> = tokens
        .iter()
        .flat_map(|token| match *token {
            OPEN => &b"<T>"[..],
            CLOSE => b"</T>",
            token => vocab.bytes(token),
        })
        .copied()
        .collect();
    String::from_utf8(bytes).unwrap()
}

/// Whether `reply` may be generated, to its end.
pub(super) fn accepts(grammar: &Grammar, reply: &str) -> bool {
    let mut matcher = grammar.matcher().unwrap();
    for token in tokens(reply) {
        if !matcher.allows(token).unwrap() {
            return false;
        }
        matcher.commit(token).unwrap();
    }
    matcher.may_end()
}

/// Whether no reply that begins with `beginning` may be generated.
pub(super) fn refuses_beginning(grammar: &Grammar, beginning: &str) -> bool {
    let mut matcher = grammar.matcher().unwrap();
    tokens(beginning).into_iter().any(|token| {
        let refused = !matcher.allows(token).unwrap();
        if !refused {
            matcher.commit(token).unwrap();
        }
        refused
    })
}

/// A random generation under `grammar`: follows `guide` as far as chance and the grammar let it, then takes random
/// legal tokens, mostly those of `likely`, until the grammar or chance ends it.
pub(super) fn walk(grammar: &Grammar, guide: &str, likely: &[u8], seed: u64) -> Vec<TokenId> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut matcher = grammar.matcher().unwrap();
    let mut walked = vec![];
    let mut guide = tokens(guide).into_iter();
    let mut legal = vec![];
    while !matcher.must_end() {
        assert!(walked.len() < WALK_TOKENS, "no end in sight: {}", spelled(&walked));
        let guided = guide.next().filter(|token| !random.random_ratio(1, 100) && matcher.allows(*token).unwrap());
        let token = guided.unwrap_or_else(|| {
            guide = vec![].into_iter();
            matcher.allowed_tokens(&mut legal).unwrap();
            // Text that happens to be spelled like the tags of these tests would be taken for them.
            legal.retain(|token| *token != TokenId(first_byte() + u32::from(b'T')));
            let is_likely = |token: &&TokenId| {
                token.0.checked_sub(first_byte()).is_none_or(|byte| likely.contains(&u8::try_from(byte).unwrap()))
            };
            let preferred: Vec<TokenId> = legal.iter().filter(is_likely).copied().collect();
            let from = if preferred.is_empty() || random.random_ratio(1, 6) { &legal } else { &preferred };
            *from.choose(&mut random).expect("every generation can be completed")
        });
        if guided.is_none() && matcher.may_end() && random.random_ratio(1, 8) {
            break;
        }
        matcher.commit(token).unwrap();
        walked.push(token);
    }
    walked
}
