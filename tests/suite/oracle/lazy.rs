//! Lazy grammars against llama.cpp's: free text with what we mean to refuse in it, then equal masks.

use std::collections::BTreeMap;

use mneme::grammar::{Compiler, Grammar, Limits, Trigger, Verdict, parse};
use mneme::inference::{TokenKind, Vocab};
use mneme::types::{Constraint, TokenId};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::World;
use super::grammars::samples;
use super::llama::{Comparison, Tally};
use super::walk::{Prefix, step};

/// Walks of each grammar.
const WALKS: usize = 8;
/// Tokens of free text before the trigger is written, at most.
const FREE_TOKENS: usize = 4;
/// Tokens behind the trigger.
const HELD_TOKENS: usize = 6;

/// A lazy grammar.
struct Sample {
    name: &'static str,
    source: String,
    /// None of them is inside another: then the first that is complete is also the first that begins, as llama.cpp has it.
    texts: Vec<String>,
    tokens: Vec<TokenId>,
}

/// Why we refuse a token in free text; llama.cpp refuses none before the trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Intended {
    /// Control tokens other than triggers, and unused tokens, are never text.
    NoText,
    /// It completes a trigger and goes on as the grammar does not; llama.cpp aborts when it takes such a token.
    Disagrees,
}

const INTENDED: [Intended; 2] = [Intended::NoText, Intended::Disagrees];

fn lazy_samples(vocab: &Vocab) -> Vec<Sample> {
    let shipped = |name: &str| samples(vocab).into_iter().find(|sample| sample.name == name).unwrap().source;
    let native = shipped("functions-native");
    // The tags stand as ids in it.
    let tag = native.split_once("| <[").and_then(|(_, rest)| rest.split_once(']')).unwrap().0;
    let tag = TokenId(tag.parse().unwrap());
    let sample = |name, source: &str, texts: &[&str], tokens: &[TokenId]| Sample {
        name,
        source: source.to_owned(),
        texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        tokens: tokens.to_vec(),
    };
    let day = "root ::= \"<day>\" [0-9]{4} \"-\" [0-9]{2} \"</day>\"\n";
    let fenced = "root ::= \"```json\\n\" object \"\\n```\" | \"{\\\"name\\\": \" string \"}\"\n\
                  object ::= \"{\" string \": \" string \"}\"\nstring ::= \"\\\"\" [^\"\\\\\\x00-\\x1F]* \"\\\"\"\n";
    let mixed = format!("root ::= (\"call:\" | <[{}]>) [a-zé]+ (\";\" [0-9]+)*\n", tag.0);
    vec![
        sample("day", day, &["<day>"], &[]),
        sample("fenced", fenced, &["```json\n", "{\"name\": "], &[]),
        sample("overlap", "root ::= \"aab\" ([a-c] | \"ana\")* \"!\"\n", &["aab"], &[]),
        sample("arrow", "root ::= \"→ \" [^\\n]{1,9} \"\\n\"\n", &["→ "], &[]),
        sample("json", &shipped("json"), &["{", "["], &[]),
        sample("classic", &shipped("functions-classic"), &["{\"inner_thoughts\""], &[]),
        sample("native", &native, &[], &[tag]),
        sample("mixed", &mixed, &["call:"], &[tag]),
    ]
}

/// The text from the first trigger on that `token` completes behind `free`; none where it completes none.
fn held_text(sample: &Sample, vocab: &Vocab, free: &[u8], token: TokenId) -> Option<Vec<u8>> {
    let text = [free, vocab.bytes(token)].concat();
    (free.len() + 1..=text.len()).find_map(|end| {
        let trigger = sample.texts.iter().find(|trigger| text[..end].ends_with(trigger.as_bytes()))?;
        Some(text[end - trigger.len()..].to_vec())
    })
}

fn reason(sample: &Sample, eager: &Grammar, vocab: &Vocab, free: &[u8], token: TokenId) -> Option<Intended> {
    if vocab.kind(token) != TokenKind::Text {
        return (!sample.tokens.contains(&token)).then_some(Intended::NoText);
    }
    let held = held_text(sample, vocab, free, token)?;
    matches!(eager.judge(&held).unwrap(), Verdict::Refused { .. }).then_some(Intended::Disagrees)
}

#[test]
fn lazy_grammars_agree_with_llama_cpp_but_for_what_is_meant() {
    let world = World::small();
    let vocab = &world.vocab;
    let mut random = ChaCha8Rng::seed_from_u64(20_261_123);
    let (mut tally, mut meant) = (Tally::default(), BTreeMap::<Intended, u64>::new());
    let mut free_states = 0;
    for sample in lazy_samples(vocab) {
        let Sample { name, source, texts, tokens } = &sample;
        let literals = texts.iter().cloned().map(Trigger::Literal);
        let triggers: Vec<Trigger> = literals.chain(tokens.iter().copied().map(Trigger::Token)).collect();
        let compiler = Compiler::new(vocab.clone(), Limits::default());
        let eager = compiler.compile(source).unwrap();
        let lazy = compiler.compile_lazy(source, &triggers).unwrap_or_else(|error| panic!("{name}: {error}"));
        let ir = parse(source, vocab, &Limits::default()).unwrap();
        let comparison = Comparison::new(world, name, &ir);
        for _ in 0..WALKS {
            let mut ours = lazy.matcher().unwrap();
            let mut theirs = world.native.lazy_grammar(&ir.to_string(), texts, tokens).unwrap();
            let mut prefix = Prefix::default();
            let mut free = Vec::new();
            let free_tokens = random.random_range(0..=FREE_TOKENS);
            let trigger = triggers.choose(&mut random).unwrap();
            // Bytes of the trigger that are still to come, once it is being written.
            let mut rest: Option<&[u8]> = None;
            loop {
                theirs.fill();
                theirs.strike();
                let mask = ours.mask().unwrap();
                free_states += 1;
                assert!(ours.may_end() && !ours.must_end());
                for token in (0..u32::try_from(vocab.len()).unwrap()).map(TokenId) {
                    assert!(theirs.is_left(token), "{name}: it waits for a trigger");
                    tally.decisions += 1;
                    if !mask.contains(token) && !vocab.is_end_of_generation(token) {
                        let reason = reason(&sample, &eager, vocab, &free, token).unwrap_or_else(|| {
                            panic!("{name}: behind {} token {} is refused here", prefix.shown(vocab), token.0)
                        });
                        *meant.entry(reason).or_default() += 1;
                    }
                }
                if prefix.tokens.len() >= free_tokens && rest.is_none() {
                    rest = Some(match trigger {
                        Trigger::Literal(text) => text.as_bytes(),
                        Trigger::Token(_) => &[],
                    });
                }
                let token = match (rest, trigger) {
                    (Some(_), Trigger::Token(token)) => *token,
                    (Some(rest), _) => {
                        let fits = |token: &TokenId| {
                            let bytes = vocab.bytes(*token);
                            vocab.kind(*token) == TokenKind::Text
                                && (rest.starts_with(bytes) || bytes.starts_with(rest))
                        };
                        mask.tokens().filter(fits).collect::<Vec<_>>().choose(&mut random).copied().unwrap()
                    }
                    (None, _) => {
                        let stays = |token: &TokenId| {
                            vocab.kind(*token) == TokenKind::Text && held_text(&sample, vocab, &free, *token).is_none()
                        };
                        mask.tokens().filter(stays).collect::<Vec<_>>().choose(&mut random).copied().unwrap()
                    }
                };
                let is_held =
                    vocab.kind(token) == TokenKind::Control || held_text(&sample, vocab, &free, token).is_some();
                ours.commit(token).unwrap();
                assert!(theirs.accept(token));
                prefix.push(vocab, token);
                free.extend_from_slice(vocab.bytes(token));
                rest = rest.map(|rest| &rest[vocab.bytes(token).len().min(rest.len())..]);
                if is_held {
                    break;
                }
            }
            // Where the text before the trigger ends inside a character is no matter to what begins there.
            let mut prefix = Prefix::default();
            if let Some(held) = open_end(&free) {
                prefix.pending = held;
            }
            for _ in 0..HELD_TOKENS {
                let legal = comparison.compare(&mut ours, &mut theirs, &prefix, &mut tally);
                let Some(token) = step(&mut random, &mut ours, vocab, &prefix, &legal) else { break };
                ours.commit(token).unwrap();
                assert!(theirs.accept(token));
                prefix.push(vocab, token);
            }
        }
        tally.grammars += 1;
    }
    println!("{tally:?} {meant:?}");
    assert!(free_states >= 150 && tally.prefixes >= 250 && tally.decisions > 20_000_000, "{free_states} {tally:?}");
    // A permission that nothing needs any more would hide a new difference.
    for reason in INTENDED {
        assert!(meant.contains_key(&reason), "{reason:?}: never seen in {meant:?}");
    }
}

/// The bytes of a character at the end of `text` that is not whole.
fn open_end(text: &[u8]) -> Option<Vec<u8>> {
    let chunk = text.utf8_chunks().last()?;
    let open = chunk.invalid();
    (std::str::from_utf8(open).is_err_and(|error| error.error_len().is_none())).then(|| open.to_vec())
}
