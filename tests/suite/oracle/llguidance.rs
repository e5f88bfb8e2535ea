//! All-token masks against llguidance, one character a lexeme: a third engine that shares neither code nor method.
//! Nothing differs on purpose, but for what `!<[id]>` lets through.

use std::cell::Cell;
use std::sync::OnceLock;

use llguidance::api::{ParserLimits, TopLevelGrammar};
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokRxInfo, TokTrie};
use llguidance::{Matcher as Peer, ParserFactory};
use mneme::bench::grammar::lark::per_character;
use mneme::grammar::{Compiler, Grammar, Limits, parse};
use mneme::inference::{TokenKind, Vocab};
use mneme::types::{Constraint, TokenId};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::World;
use super::grammars::{Sample, samples};
use super::walk::{Prefix, WALK_TOKENS, step};
use crate::suite::grammar::{expression, grammar_of};

/// Prefixes of every grammar.
const PREFIXES: usize = 96;

fn factory() -> &'static ParserFactory {
    static FACTORY: OnceLock<ParserFactory> = OnceLock::new();
    FACTORY.get_or_init(|| {
        let vocab = &World::small().vocab;
        let ends: Vec<u32> = vocab.end_of_generation().iter().map(|token| token.0).collect();
        let info = TokRxInfo::new(u32::try_from(vocab.len()).unwrap(), ends[0]);
        let trie = TokTrie::from(&info, &words(vocab)).with_eos_tokens(&ends);
        let env: llguidance::toktrie::TokEnv = std::sync::Arc::new(ApproximateTokEnv::new(trie));
        let mut factory = ParserFactory::new(&env, InferenceCapabilities::default(), &[]).unwrap();
        factory.quiet();
        *factory.limits_mut() = ParserLimits {
            max_items_in_row: 20_000,
            step_max_items: 10_000_000,
            step_lexer_fuel: 100_000_000,
            ..ParserLimits::default()
        };
        factory
    })
}

/// The tokens' bytes; names of control tokens behind the mark that keeps them from matching text.
fn words(vocab: &Vocab) -> Vec<Vec<u8>> {
    (0..u32::try_from(vocab.len()).unwrap())
        .map(TokenId)
        .map(|token| match vocab.kind(token) {
            TokenKind::Text => vocab.bytes(token).to_vec(),
            TokenKind::Control => [&[TokTrie::SPECIAL_TOKEN_MARKER], vocab.bytes(token)].concat(),
            TokenKind::Unused => Vec::new(),
        })
        .collect()
}

pub fn peer(grammar: TopLevelGrammar) -> Result<Peer, String> {
    factory().create_parser(grammar).map(|parser| Peer::new(Ok(parser))).map_err(|error| error.to_string())
}

/// What to compare.
pub struct Plan {
    /// States to look at.
    pub prefixes: usize,
    /// Whether one walk is enough.
    pub once: bool,
    pub seed: u64,
    /// Whether the engines may disagree on a token behind a text.
    pub may_differ: fn(&[u8], &[u8]) -> bool,
    /// Whether walks keep away from a token behind a text.
    pub avoided: fn(&[u8], &[u8]) -> bool,
}

impl Plan {
    /// Everything must be the same.
    fn strict(prefixes: usize, once: bool, seed: u64) -> Self {
        Self { prefixes, once, seed, may_differ: |_, _| false, avoided: |_, _| false }
    }
}

/// Compares masks along random walks; the number of decisions, or `Err` where an engine gave up.
pub fn compare(
    name: &str,
    grammar: &Grammar,
    start: impl Fn() -> Result<Peer, String>,
    plan: &Plan,
) -> Result<u64, String> {
    let vocab = &World::small().vocab;
    let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
    let (mut left, mut decisions) = (plan.prefixes, 0);
    while left > 0 {
        let mut ours = grammar.matcher().unwrap();
        let mut theirs = start()?;
        let mut prefix = Prefix::default();
        for _ in 0..WALK_TOKENS.min(left) {
            left -= 1;
            let mask = ours.mask().map_err(|error| error.to_string())?;
            let peer_mask = theirs.compute_mask_or_eos().map_err(|error| error.to_string())?;
            let text: Vec<u8> = prefix.tokens.iter().flat_map(|token| vocab.bytes(*token)).copied().collect();
            let mut legal = Vec::new();
            for token in (0..u32::try_from(vocab.len()).unwrap()).map(TokenId) {
                decisions += 1;
                let is_end = vocab.is_end_of_generation(token);
                let we_allow = if is_end { ours.may_end() } else { mask.contains(token) };
                let they_allow = peer_mask.is_allowed(token.0);
                assert!(
                    we_allow == they_allow || (!is_end && (plan.may_differ)(&text, vocab.bytes(token))),
                    "{name}: behind {} token {} ({:?}, {:?}): {we_allow} here, {they_allow} in llguidance",
                    prefix.shown(vocab),
                    token.0,
                    vocab.bytes(token).escape_ascii().to_string(),
                    vocab.kind(token),
                );
                if we_allow && they_allow && !is_end && !(plan.avoided)(&text, vocab.bytes(token)) {
                    legal.push(token);
                }
            }
            let Some(token) = step(&mut random, &mut ours, vocab, &prefix, &legal) else { break };
            ours.commit(token).map_err(|error| error.to_string())?;
            theirs.consume_token(token.0).map_err(|error| error.to_string())?;
            prefix.push(vocab, token);
        }
        if plan.once {
            break;
        }
    }
    Ok(decisions)
}

#[test]
fn masks_agree_with_llguidance() {
    let vocab = &World::small().vocab;
    let compiler = Compiler::new(vocab.clone(), Limits::default());
    let mut decisions = 0;
    for Sample { name, source } in samples(vocab) {
        if source.contains("!<") {
            continue;
        }
        let started = std::time::Instant::now();
        let ir = parse(&source, vocab, &Limits::default()).unwrap();
        let grammar = compiler.compile_ir(&ir).unwrap();
        let start = || peer(TopLevelGrammar::from_lark(per_character(&ir)));
        decisions += compare(&name, &grammar, start, &Plan::strict(PREFIXES, false, 7))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        println!("{name}: {:.1} s", started.elapsed().as_secs_f64());
    }
    assert!(decisions > 80_000_000, "{decisions}");
}

#[test]
fn masks_of_random_grammars_agree_with_llguidance() {
    let vocab = &World::small().vocab;
    let (compared, gave_up) = (Cell::new(0_u64), Cell::new(0_u64));
    let config = ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() };
    let grammars = (prop::collection::vec(expression(3), 3), any::<u64>());
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    runner
        .run(&grammars, |(bodies, seed)| {
            let source = grammar_of(bodies);
            let ir = parse(&source, vocab, &Limits::default()).unwrap();
            let Ok(grammar) = Compiler::new(vocab.clone(), Limits::default()).compile_ir(&ir) else { return Ok(()) };
            let start = || peer(TopLevelGrammar::from_lark(per_character(&ir)));
            // A very ambiguous grammar may hit a limit of either engine; then there is nothing to compare.
            match compare(&source, &grammar, start, &Plan::strict(8, true, seed)) {
                Ok(decisions) => compared.set(compared.get() + decisions),
                Err(_) => gave_up.set(gave_up.get() + 1),
            }
            Ok(())
        })
        .unwrap();
    println!("{} decisions, {} grammars given up", compared.get(), gave_up.get());
    assert!(compared.get() > 10_000_000 && gave_up.get() < 20, "{} {}", compared.get(), gave_up.get());
}
