//! Generations that outgrow a graph of states, and grammars that share one.

use std::process::Command;
use std::sync::Arc;

use mneme::grammar::{Compiler, Grammar, Limits, Matcher, Verdict};
use mneme::types::{Constraint, TokenId};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::Rng;
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region};

use super::{compile, expression, feed, grammar_of, look, vocab};

fn letter(at: usize) -> TokenId {
    TokenId(u32::from(b"abc"[at % 3]))
}

fn commit_letters(matcher: &mut Matcher, from: usize, to: usize) {
    (from..to).for_each(|at| matcher.commit(letter(at)).unwrap_or_else(|error| panic!("letter {at}: {error}")));
}

/// Small enough to be full every few tokens.
fn tight() -> Limits {
    Limits { states: 60, stored_parses: 4000, frames: 400, ..Limits::default() }
}

#[test]
fn three_hundred_thousand_characters_are_counted_to_the_last() {
    const LENGTH: usize = 300_000;
    let compiler = Compiler::new(vocab(), Limits::default());
    let grammar = compiler.compile("root ::= ([a-z]{3}){100000}").unwrap();
    let mut matcher = grammar.matcher().unwrap();
    for at in (0..LENGTH).step_by(10_000) {
        assert!(!matcher.may_end() && matcher.mask().unwrap().contains(letter(0)), "{at}");
        commit_letters(&mut matcher, at, at + 10_000);
        assert!(grammar.state_count().unwrap() <= Limits::default().states);
        assert!(grammar.bytes().unwrap() < 16 << 20, "{} bytes after {at}", grammar.bytes().unwrap());
    }
    assert!(matcher.must_end());
    // Far back, to where the state was left behind, and on again.
    matcher.rollback(210_001).unwrap();
    assert_eq!(matcher.committed_tokens(), 89_999);
    assert!(!matcher.may_end());
    commit_letters(&mut matcher, 89_999, LENGTH - 1);
    assert!(!matcher.may_end());
    commit_letters(&mut matcher, LENGTH - 1, LENGTH);
    assert!(matcher.must_end() && !matcher.allows(letter(0)).unwrap());
    matcher.rollback(LENGTH).unwrap();
    assert_eq!((matcher.committed_tokens(), matcher.may_end()), (0, false));
    // A matcher that begins later, and a whole text.
    feed(&mut grammar.matcher().unwrap(), b"abc");
    assert_eq!(grammar.judge(&b"abc".repeat(100_000)).unwrap(), Verdict::Accepted);
    assert_eq!(grammar.judge(&b"abc".repeat(100_001)).unwrap(), Verdict::Refused { at_byte: LENGTH });
}

#[test]
fn an_ambiguous_grammar_does_not_stop_others_of_its_compiler() {
    let compiler =
        Compiler::new(vocab(), Limits { states: 400, stored_parses: 20_000, parses: 3000, ..Limits::default() });
    // Which of the last 60 letters were an `a` must be known: 2^60 states.
    let greedy = compiler.compile("root ::= [ab]* \"a\" [ab]{60} \"!\"").unwrap();
    let steady = compiler.compile("root ::= ([a-z]{2} \" \"){0,2000} \".\"").unwrap();
    // The more letters, the more parses, until they are above their limit.
    let swelling = compiler.compile("root ::= x*\nx ::= \"a\" | \"a\" x | \"a\" x x | \"a\" x x x").unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let [mut first, mut second, mut third] = [&greedy, &steady, &swelling].map(|grammar| grammar.matcher().unwrap());
    let mut stopped = false;
    for round in 0..2000 {
        first.commit(*[TokenId(97), TokenId(98)].choose(&mut random).unwrap()).unwrap();
        stopped |= third.commit(TokenId(97)).is_err();
        feed(&mut second, b"xy");
        assert!(!second.may_end() && !second.allows(TokenId(u32::from(b'z'))).unwrap(), "{round}");
        feed(&mut second, b" ");
        assert_eq!(second.mask().unwrap().contains(TokenId(u32::from(b'q'))), round < 1999);
    }
    assert!(stopped, "as many parses as letters to the power of three");
    feed(&mut second, b".");
    assert!(second.must_end());
    for byte in b"a".repeat(61) {
        first.commit(TokenId(u32::from(byte))).unwrap();
    }
    feed(&mut first, b"!");
    assert!(first.must_end());
}

#[test]
fn a_lazy_grammar_is_still_bound_when_its_graph_was_left_behind() {
    let compiler = Compiler::new(vocab(), tight());
    let trigger = mneme::grammar::Trigger::Literal("<call>".into());
    let grammar = compiler.compile_lazy("root ::= \"<call>\" [0-9]{0,500} \"</call>\"", &[trigger]).unwrap();
    let text = format!("free <call>{}</call>", "7".repeat(500));
    assert_eq!(grammar.judge(text.as_bytes()).unwrap(), Verdict::Accepted);
    let mut matcher = grammar.matcher().unwrap();
    feed(&mut matcher, text.split_at(300).0.as_bytes());
    // Free text again, in the graph of now.
    let mut late = grammar.matcher().unwrap();
    feed(&mut late, b"<call>12");
    assert!(!late.may_end() && !late.allows(TokenId(u32::from(b'x'))).unwrap());
    assert!(compiler.compile("root ::= \"later\"").unwrap().judge(b"later").unwrap() == Verdict::Accepted);
    feed(&mut late, b"34</call>");
    assert!(late.must_end());
}

/// Walks `tokens` tokens in step under both grammars and compares all that can be asked; then goes back.
fn compare(small: &Grammar, large: &Grammar, tokens: usize, seed: u64) -> Result<(), TestCaseError> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut small, mut large) = (small.matcher().unwrap(), large.matcher().unwrap());
    let mut trail = Vec::new();
    for _ in 0..tokens {
        let Ok(expected) = look(&mut large) else { return Ok(()) };
        // What is needed at once can be above the small limits: then nothing is let through.
        let Ok(found) = look(&mut small) else { return Ok(()) };
        prop_assert_eq!(&found, &expected);
        let Some(token) = expected.0.choose(&mut random) else { break };
        trail.push(expected.clone());
        let (Ok(()), Ok(())) = (small.commit(*token), large.commit(*token)) else { return Ok(()) };
        if random.random_ratio(1, 8) {
            let back = random.random_range(1..=trail.len());
            let Ok(()) = small.rollback(back) else { return Ok(()) };
            large.rollback(back).unwrap();
            trail.truncate(trail.len() - back + 1);
            let expected = trail.pop().unwrap();
            if let Ok(found) = look(&mut small) {
                prop_assert_eq!(found, expected);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, rng_seed: RngSeed::Fixed(20_261_123), failure_persistence: None, max_shrink_time: 8000, ..ProptestConfig::default() })]

    #[test]
    fn small_graphs_give_the_same_answers_as_large_ones(
        bodies in prop::collection::vec(expression(3), 3),
        seed in any::<u64>(),
    ) {
        let source = format!("{}again ::= (root [a-z]{{0,40}} \"\\n\"?)*\n", grammar_of(bodies));
        let source = source.replace("root", "one").replace("again", "root");
        let Ok(large) = Grammar::compile(&source, &vocab(), &Limits::default()) else { return Ok(()) };
        let Ok(small) = Grammar::compile(&source, &vocab(), &tight()) else { return Ok(()) };
        compare(&small, &large, 60, seed)?;
    }
}

/// In the process of the test below, alone: what other tests allocate would be counted as well.
const ALONE: &str = "MNEME_TEST_HEAP_ALONE";

#[test]
fn the_memory_that_is_told_is_what_the_allocator_gave() {
    if std::env::var_os(ALONE).is_none() {
        let name = "suite::grammar::room::the_memory_that_is_told_is_what_the_allocator_gave";
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--test-threads", "1"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let json = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/grammars/json.gbnf")).unwrap();
    let words: Vec<String> = (0..500).map(|word| format!("\"word{word}\"")).collect();
    let counted = "root ::= ([a-z]{0,3000} \"\\n\")*".to_owned();
    let ambiguous = "root ::= [ab]* \"a\" [ab]{40} \"!\"".to_owned();
    let wide = format!("root ::= ((\"[\" w \"]\" | w) \" \")*\nw ::= {}", words.join(" | "));
    for (source, text) in [
        (json, "{\"key\": [1, 2.5e3, {\"a\": \"text é\"}, [[[true]]], null], \"b\": \"c\"} ".to_owned()),
        (counted, "abcde".repeat(500)),
        (ambiguous, "abbaabababba".repeat(80)),
        (wide, "word12 [word499] word7 [word100] ".repeat(20)),
    ] {
        let vocab = vocab();
        let region = Region::new(&INSTRUMENTED_SYSTEM);
        let grammar = Grammar::compile(&source, &vocab, &Limits::default()).unwrap();
        let mut matcher = grammar.matcher().unwrap();
        for byte in text.bytes() {
            matcher.mask().unwrap();
            matcher.commit(TokenId(u32::from(byte))).unwrap();
        }
        drop(matcher);
        let change = region.change();
        // Reallocations are counted in both sums as far as they change the size.
        let held = change.bytes_allocated - change.bytes_deallocated;
        let told = grammar.bytes().unwrap();
        assert!(told <= held && held - told <= 4096 + held / 50, "{source:.40}: {told} of {held} bytes are told");
        drop(grammar);
        let left = region.change();
        let left = left.bytes_allocated.saturating_sub(left.bytes_deallocated);
        assert!(left <= 256, "{source:.40}: {left} bytes stay");
        assert_eq!(Arc::strong_count(&vocab), 1);
    }
}

#[test]
fn a_mask_costs_no_more_than_its_limit_in_bytes() {
    let with = |mask_bytes: usize| {
        let limits = Limits { mask_bytes, ..Limits::default() };
        // Few of these share what may come next.
        let words: Vec<String> = (0..200_u32).map(|word| format!("{:05x}", word * 40_503 % (1 << 20))).collect();
        let listed: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        let grammar = Grammar::compile(&format!("root ::= ({})*", listed.join(" | ")), &vocab(), &limits).unwrap();
        let mut matcher = grammar.matcher().unwrap();
        for byte in words.iter().flat_map(|word| word.bytes()) {
            assert!(matcher.mask().unwrap().contains(TokenId(u32::from(byte))), "{mask_bytes}");
            matcher.commit(TokenId(u32::from(byte))).unwrap();
        }
        grammar.bytes().unwrap()
    };
    let (none, some, many) = (with(0), with(8 << 10), with(1 << 20));
    assert!(none < some && some < many, "{none} {some} {many}");
    assert!(some - none < 16 << 10, "{none} {some}");
}

#[test]
fn positions_can_be_asked_for() {
    assert!(compile("root ::= \"a\"").position_count().unwrap() < 5);
    assert!(compile(&format!("root ::= \"{}\"", "ab".repeat(100))).position_count().unwrap() > 200);
}
