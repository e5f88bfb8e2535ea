//! The grammar engine through its public face: against a naive recogniser, over a whole vocabulary, token by token,
//! and with the cases of the shipped grammars.

mod compiler;
mod deep;
mod lazy;
mod lines;
mod room;
mod unions;
mod vocabularies;

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use mneme::grammar::policy::integer_expression;
use mneme::grammar::{CharSet, Error, Expr, Grammar, Ir, Limits, Matcher, RuleId, Verdict, parse};
use mneme::inference::{TokenKind, Vocab};
use mneme::types::{Constraint, ConstraintError, TokenId};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::harness::grammars::{self, Cases, Reject};

const OPEN_TAG: TokenId = TokenId(256);
const CLOSE_TAG: TokenId = TokenId(257);
const END: TokenId = TokenId(258);
const UNUSED: TokenId = TokenId(259);

/// All single bytes, two tags, an end, an unused token, then longer tokens (one of them spelled like a tag).
fn vocab() -> Arc<Vocab> {
    let mut rows: Vec<(Vec<u8>, TokenKind)> = (0..=255).map(|byte| (vec![byte], TokenKind::Text)).collect();
    rows.push((b"<tool_call>".to_vec(), TokenKind::Control));
    rows.push((b"</tool_call>".to_vec(), TokenKind::Control));
    rows.push((b"<|im_end|>".to_vec(), TokenKind::Control));
    rows.push((b"a".to_vec(), TokenKind::Unused));
    let longer: [&[u8]; 24] = [
        b"ab",
        b"aa",
        b"ba",
        b"aab",
        b"abab",
        b"bbbb",
        "é".as_bytes(),
        "aé".as_bytes(),
        "éb".as_bytes(),
        b"\xC3",
        b"\xA9a",
        b"\xE2\x80",
        b"\xF0\x9F",
        b"\x98\x80",
        "日本".as_bytes(),
        b"\": \"",
        b"{\"",
        b"\"}",
        b"12",
        b", ",
        b"true",
        b"\n\n",
        b" the",
        b"<tool_call>",
    ];
    rows.extend(longer.into_iter().map(|bytes| (bytes.to_vec(), TokenKind::Text)));
    rows.push((Vec::new(), TokenKind::Text));
    Arc::new(Vocab::new(rows, vec![END], None))
}

fn compile(source: &str) -> Grammar {
    Grammar::compile(source, &vocab(), &Limits::default()).unwrap_or_else(|error| panic!("{error}\n{source}"))
}

fn refusal(source: &str) -> Error {
    Grammar::compile(source, &vocab(), &Limits::default()).expect_err(source)
}

fn accepts(grammar: &Grammar, text: &str) -> bool {
    grammar.judge(text.as_bytes()).unwrap() == Verdict::Accepted
}

fn feed(matcher: &mut Matcher, text: &[u8]) {
    for byte in text {
        matcher.commit(TokenId(u32::from(*byte))).unwrap();
    }
}

/// Ends that were found, by the address of the expression and where it begins: without them nested repetitions of rules
/// take exponential time.
type Known = HashMap<(usize, usize), BTreeSet<usize>>;

/// Every end that `expr` can reach from `at`, straight from the definition of the language.
fn ends(ir: &Ir, expr: &Expr, text: &[char], at: usize, known: &mut Known) -> BTreeSet<usize> {
    let key = (std::ptr::from_ref(expr).addr(), at);
    if let Some(found) = known.get(&key) {
        return found.clone();
    }
    let mut behind = |from: BTreeSet<usize>, item: &Expr| -> BTreeSet<usize> {
        from.into_iter().flat_map(|at| ends(ir, item, text, at, known)).collect()
    };
    let found = match expr {
        Expr::Literal(literal) => {
            let literal: Vec<char> = literal.chars().collect();
            if text[at..].starts_with(&literal) { BTreeSet::from([at + literal.len()]) } else { BTreeSet::new() }
        }
        Expr::Class(set) => (text.get(at).filter(|next| set.contains(**next))).map(|_| at + 1).into_iter().collect(),
        Expr::Token { .. } => unreachable!("the generator makes none"),
        Expr::Rule(id) => behind(BTreeSet::from([at]), &ir.rules[id.0 as usize].body),
        Expr::Sequence(items) => items.iter().fold(BTreeSet::from([at]), behind),
        Expr::Alternatives(items) => items.iter().flat_map(|item| behind(BTreeSet::from([at]), item)).collect(),
        Expr::Repeat { item, min, max } => {
            // More rounds than characters reach nothing new.
            let most = max.unwrap_or(u32::MAX).min(min + 8);
            let mut from = BTreeSet::from([at]);
            let mut found = if *min == 0 { from.clone() } else { BTreeSet::new() };
            for round in 1..=most {
                from = behind(from, item);
                if round >= *min {
                    found.extend(&from);
                }
            }
            found
        }
    };
    known.insert(key, found.clone());
    found
}

pub fn expression(rules: u32) -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "ab", "é", "ba"]).prop_map(|text| Expr::Literal(text.into())),
        2 => prop::sample::select(vec![vec![('a', 'b')], vec![('b', 'é')], vec![('é', 'é')]]).prop_map(|ranges| {
            Expr::Class(CharSet::from_ranges(ranges.iter().map(|(a, b)| (u32::from(*a), u32::from(*b))).collect()))
        }),
        1 => Just(Expr::Class(CharSet::from_ranges(vec![(0x61, 0x61)]).complement())),
        1 => Just(Expr::Sequence(Vec::new())),
        2 => (0..rules).prop_map(|id| Expr::Rule(RuleId(id))),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Sequence),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Alternatives),
            (inner, 0_u32..3, prop::option::of(0_u32..3)).prop_map(|(item, min, more)| Expr::Repeat {
                item: Box::new(item),
                min,
                max: more.map(|more| min + more),
            }),
        ]
    })
}

pub fn grammar_of(bodies: Vec<Expr>) -> String {
    // Printed through a parsed frame: rules cannot be made outside the module.
    let name = |index: usize| if index == 0 { "root".to_owned() } else { format!("r{index}") };
    let frame: String = (0..bodies.len()).map(|index| format!("{} ::= \"x\"\n", name(index))).collect();
    let mut ir = parse(&frame, &vocab(), &Limits::default()).unwrap();
    for (rule, body) in ir.rules.iter_mut().zip(bodies) {
        rule.body = body;
    }
    ir.to_string()
}

/// All texts of at most `length` characters over `alphabet`.
fn texts(alphabet: &[char], length: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..length {
        last = last.iter().flat_map(|text| alphabet.iter().map(move |next| format!("{text}{next}"))).collect();
        all.extend(last.iter().cloned());
    }
    all
}

fn random_cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, max_shrink_time: 8000, ..ProptestConfig::default() }
}

/// Runs `compare` on random cases. It says how much it compared, as many random grammars are refused or above a limit:
/// of all cases together that is at least `least`, or nothing was tested.
fn compare_random<S: Strategy>(
    cases: u32,
    strategy: S,
    least: usize,
    compare: impl Fn(S::Value) -> Result<usize, TestCaseError>,
) {
    let compared = Cell::new(0);
    let outcome = TestRunner::new(random_cases(cases)).run(&strategy, |case| {
        compared.set(compared.get() + compare(case)?);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    eprintln!("COMPARED {}", compared.get());
    assert!(compared.get() >= least, "only {} comparisons were made", compared.get());
}

/// A random grammar; none where it must be refused.
fn random_grammar(source: &str) -> Result<Option<Grammar>, TestCaseError> {
    match Grammar::compile(source, &vocab(), &Limits::default()) {
        Ok(grammar) => Ok(Some(grammar)),
        Err(Error::LeftRecursion { .. } | Error::NeverEnds { .. }) => Ok(None),
        Err(other) => Err(TestCaseError::fail(format!("{other}\n{source}"))),
    }
}

/// Compares what `grammar` takes of all texts of at most `length` characters with what its definition says; gives back
/// how many these are.
fn compare_texts(source: &str, grammar: &Grammar, length: usize) -> Result<usize, TestCaseError> {
    let ir = parse(source, &vocab(), &Limits::default()).unwrap();
    let texts = texts(&['a', 'b', 'é'], length);
    for text in &texts {
        let characters: Vec<char> = text.chars().collect();
        let expected = ends(&ir, &ir.rules[ir.root.0 as usize].body, &characters, 0, &mut Known::new());
        let expected = expected.contains(&characters.len());
        prop_assert_eq!(accepts(grammar, text), expected, "{} on {:?}", source, text);
    }
    Ok(texts.len())
}

#[test]
fn the_matcher_agrees_with_a_naive_recogniser() {
    compare_random(400, prop::collection::vec(expression(3), 3), 50_000, |bodies| {
        let source = grammar_of(bodies);
        let Some(grammar) = random_grammar(&source)? else { return Ok(0) };
        compare_texts(&source, &grammar, 5)
    });
}

proptest! {
    #![proptest_config(random_cases(400))]

    #[test]
    fn printing_and_parsing_give_the_same_grammar(
        bodies in prop::collection::vec(expression(6), 6),
        order in Just((0_usize..6).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        // Where rules stand in a text is not where it mentions them first.
        let lines: Vec<String> = grammar_of(bodies).lines().map(str::to_owned).collect();
        let source: String = order.iter().map(|line| format!("{}\n", lines[*line])).collect();
        let read = |text: &str| parse(text, &vocab(), &Limits::default()).unwrap();
        let printed = read(&source).to_string();
        let again = read(&printed);
        prop_assert_eq!(again.to_string(), &printed[..]);
        prop_assert_eq!(read(&again.to_string()), again);
        let sorted = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        prop_assert_eq!(sorted(&printed), sorted(&source));
    }

    #[test]
    fn integers_are_exactly_those_of_the_range(a in 0_u32..3000, b in 0_u32..3000, probe in 0_u32..4000) {
        let (min, max) = (a.min(b), a.max(b));
        let grammar = compile(&format!("root ::= {}", integer_expression(min, max).unwrap()));
        for probe in [probe, min, max, min.saturating_sub(1), max + 1] {
            prop_assert_eq!(accepts(&grammar, &probe.to_string()), (min..=max).contains(&probe), "{} {} {}", min, max, probe);
        }
        let padded = format!("0{min}");
        prop_assert!(!accepts(&grammar, &padded));
    }
}

#[test]
fn masks_checks_and_going_back_agree() {
    compare_random(400, (prop::collection::vec(expression(3), 3), any::<u64>()), 400, |(bodies, seed)| {
        let source = grammar_of(bodies);
        let Some(grammar) = random_grammar(&source)? else { return Ok(0) };
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut matcher = grammar.matcher().unwrap();
        // A very ambiguous grammar may hit a limit; then nothing is let through.
        let Ok(first) = look(&mut matcher) else { return Ok(0) };
        let mut trail = vec![first];
        for _ in 0..6 {
            let allowed = trail.last().unwrap().0.clone();
            let Some(token) = allowed.choose(&mut random) else { break };
            // A token and its bytes one by one lead to the same place.
            let mut by_bytes = matcher.clone();
            feed(&mut by_bytes, vocab().bytes(*token));
            matcher.commit(*token).unwrap();
            let Ok(here) = look(&mut matcher) else { return Ok(0) };
            prop_assert_eq!(look(&mut by_bytes), Ok(here.clone()));
            trail.push(here);
        }
        let total = matcher.committed_tokens();
        for back in 0..=total {
            let mut copy = matcher.clone();
            copy.rollback(back).unwrap();
            prop_assert_eq!(look(&mut copy), Ok(trail[total - back].clone()));
        }
        Ok(trail.len())
    });
}

#[test]
fn every_reachable_state_can_finish() {
    compare_random(400, (prop::collection::vec(expression(3), 3), any::<u64>()), 400, |(bodies, seed)| {
        let source = grammar_of(bodies);
        let Some(grammar) = random_grammar(&source)? else { return Ok(0) };
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut matcher = grammar.matcher().unwrap();
        let mut finished = 0;
        for _ in 0..8 {
            // A very ambiguous grammar may hit a limit; then nothing is let through.
            let Ok(finishes) = can_finish(&matcher) else { break };
            prop_assert!(finishes, "{}", source);
            finished += 1;
            let Some(byte) = matcher.next_bytes().unwrap().choose(&mut random).copied() else { break };
            matcher.commit(TokenId(u32::from(byte))).unwrap();
        }
        Ok(finished)
    });
}

type Look = (Vec<TokenId>, bool, bool, Vec<u8>);

/// Allowed tokens, whether it may and must end, forced bytes; the mask is checked against single checks of all tokens.
fn look(matcher: &mut Matcher) -> Result<Look, ConstraintError> {
    let mut allowed = Vec::new();
    matcher.allowed_tokens(&mut allowed)?;
    let mut checked = Vec::new();
    for token in (0..u32::try_from(vocab().len()).unwrap()).map(TokenId) {
        if matcher.allows(token)? {
            checked.push(token);
        }
    }
    assert_eq!(allowed, checked);
    Ok((allowed, matcher.may_end(), matcher.must_end(), matcher.forced_bytes()))
}

/// Whether some text leads from here to an end; breadth first over states. A random grammar whose shortest end lies
/// behind too many of them says nothing, like one that hits a limit of the matcher.
fn can_finish(matcher: &Matcher) -> Result<bool, ConstraintError> {
    let mut seen = HashSet::from([matcher.state()]);
    let mut waiting = VecDeque::from([matcher.clone()]);
    while let Some(mut matcher) = waiting.pop_front() {
        if matcher.may_end() {
            return Ok(true);
        }
        if seen.len() >= 20_000 {
            return Err(ConstraintError { reason: "no end was looked for beyond 20,000 states".to_owned() });
        }
        for byte in matcher.next_bytes()? {
            let mut next = matcher.clone();
            next.commit(TokenId(u32::from(byte)))?;
            if seen.insert(next.state()) {
                waiting.push_back(next);
            }
        }
    }
    Ok(false)
}

#[test]
fn errors_name_line_column_and_text() {
    for (source, line, column, text) in [
        ("root ::= \"a\" )", 1, 14, ")"),
        ("root ::= (\"a\"", 1, 10, "("),
        ("root ::= \"a", 1, 10, "\""),
        ("root ::= \"\\q\"", 1, 11, "\\q"),
        ("root ::= [a\\/]", 1, 12, "\\/"),
        ("root ::= 'a'", 1, 10, "'"),
        ("root ::= \"a\"{3,2}", 1, 13, "{3,2}"),
        ("root ::= \"a\"{x}", 1, 14, "x"),
        ("root ::= \"a\"{100001}", 1, 14, "100001"),
        ("root ::= *", 1, 10, "*"),
        ("root ::= []", 1, 10, "[]"),
        ("root ::= [^]", 1, 10, "[^]"),
        ("root ::= [z-a]", 1, 11, "z-a"),
        ("root ::= \"\\uD800\"", 1, 11, "\\uD800"),
        ("root ::= \"\\x4\"", 1, 11, "\\x"),
        ("root ::= \"a\"\nb = \"c\"", 2, 3, "="),
        ("root ::= b\n", 1, 10, "b"),
        ("root ::= \"a\"\nroot ::= \"b\"", 2, 1, "root"),
        ("root ::= <none>", 1, 10, "<none>"),
        ("root ::= <[259]>", 1, 10, "<[259]>"),
        ("root ::= <[9999]>", 1, 10, "<[9999]>"),
        ("root ::= <|im_end|>", 1, 10, "<|im_end|>"),
        ("root ::= !\"a\"", 1, 11, "\""),
    ] {
        let error = refusal(source);
        let place = error.place().unwrap_or_else(|| panic!("{error}"));
        assert_eq!((place.line, place.column, place.text.as_str()), (line, column, text), "{source}: {error}");
        assert!(place.excerpt.contains('^') && !error.hint().is_empty());
    }
    assert_eq!(refusal("start ::= \"a\""), Error::NoRoot);
}

#[test]
fn left_recursion_is_refused_with_its_cycle_even_behind_empty_rules() {
    for (source, expected) in [
        ("root ::= root \"a\" | \"b\"", vec!["root", "root"]),
        ("root ::= x\nx ::= y \"a\" | \"b\"\ny ::= \"c\"? x", vec!["x", "y", "x"]),
        ("root ::= r\nws ::= \" \"*\nr ::= ws r \"a\" | \"b\"", vec!["r", "r"]),
        ("root ::= (\"\" root)* \"a\"", vec!["root", "root"]),
    ] {
        match refusal(source) {
            Error::LeftRecursion { cycle, .. } => assert_eq!(cycle, expected, "{source}"),
            other => panic!("{source}: {other}"),
        }
    }
    assert!(accepts(&compile("root ::= (\"a\" | \"b\" |)*"), "abba"));
    assert!(accepts(&compile("root ::= \"a\" (\",\" root)*"), "a,a,a"));
    assert!(matches!(refusal("root ::= \"a\" | x\nx ::= \"b\" x"), Error::NeverEnds { .. }));
}

#[test]
fn limits_are_errors() {
    let with = |source: &str, limits: Limits| Grammar::compile(source, &vocab(), &limits);
    let small = Limits { source_bytes: 8, ..Limits::default() };
    let above = |source: &str, limits: Limits, expected: &str, line: usize, column: usize, text: &str| {
        let error = with(source, limits).unwrap_err();
        assert!(matches!(&error, Error::SourceLimit { what, .. } if *what == expected), "{error}");
        let place = error.place().unwrap();
        assert_eq!((place.line, place.column, place.text.as_str()), (line, column, text), "{error}");
        assert!(place.excerpt.contains('^') && error.to_string().starts_with(&format!("line {line}, column {column}")));
    };
    above("root ::=\n\"abc\"", small, "source bytes", 1, 9, "");
    let small = Limits { rules: 1, ..Limits::default() };
    above("root ::= a\nab ::= \"b\"", small.clone(), "rules", 1, 10, "a");
    above("root ::= \"a\"\nab ::= \"b\"", small, "rules", 2, 1, "ab");
    let deep = format!("root ::= {}\"a\"{}", "(".repeat(60_000), ")".repeat(60_000));
    above(&deep, Limits::default(), "nesting", 1, 10 + 128, "(");
    let suffixes = format!("root ::= \"a\"{}", "?".repeat(60_000));
    above(&suffixes, Limits::default(), "nesting", 1, 13 + 128, "?");
    let mixed = format!("root ::= {}\"a\"{}", "(".repeat(100), ")?{2}".repeat(100));
    above(&mixed, Limits::default(), "nesting", 1, 13 + 100 + 5 * 28 + 2, "{2}");
    let small = Limits { positions: 4, ..Limits::default() };
    assert!(matches!(with("root ::= \"abcdef\"", small), Err(Error::Limit { what: "positions", .. })));
}

#[test]
fn a_limit_hit_while_matching_stays_an_error() {
    let limits = Limits { frames: 40, ..Limits::default() };
    let grammar = Grammar::compile("root ::= \"(\" root? \")\"", &vocab(), &limits).unwrap();
    let mut matcher = grammar.matcher().unwrap();
    let open = TokenId(u32::from(b'('));
    let depth = (0..50).take_while(|_| matcher.commit(open).is_ok()).count();
    assert!((20..=40).contains(&depth), "{depth} brackets are open: as many frames are needed at once");
    let error = matcher.allows(open).unwrap_err();
    assert_eq!(error.reason, "its stack frames came to 41, the limit is 40");
    assert_eq!(matcher.commit(open), Err(error.clone()));
    assert_eq!(matcher.rollback(1), Err(error.clone()));
    assert_eq!(matcher.allowed_tokens(&mut Vec::new()), Err(error));
    assert!(!matcher.may_end() && !matcher.must_end() && matcher.forced_bytes().is_empty());
}

#[test]
fn a_refused_token_stops_the_matcher_for_good() {
    let mut matcher = compile("root ::= \"ab\"").matcher().unwrap();
    let error = matcher.commit(TokenId(u32::from(b'b'))).unwrap_err();
    assert_eq!(matcher.allows(TokenId(u32::from(b'a'))), Err(error));
}

#[test]
fn only_valid_utf8_matches() {
    let any = compile("root ::= .{1,3}");
    for bytes in [
        &b"\xC0\x80"[..],
        b"\xC1\xBF",
        b"\xE0\x80\x80",
        b"\xE0\x9F\xBF",
        b"\xED\xA0\x80",
        b"\xED\xBF\xBF",
        b"\xF0\x80\x80\x80",
        b"\xF4\x90\x80\x80",
        b"\xF5\x80\x80\x80",
        b"\xFF",
        b"\x80",
        b"\xE3A",
        b"\xC3\xC3",
    ] {
        assert!(matches!(any.judge(bytes).unwrap(), Verdict::Refused { .. }), "{bytes:?}");
    }
    for text in [
        "\0",
        "\u{7f}",
        "\u{80}",
        "\u{7ff}",
        "\u{800}",
        "\u{d7ff}",
        "\u{e000}",
        "\u{ffff}",
        "\u{10000}",
        "\u{10ffff}",
        "\n",
    ] {
        assert!(accepts(&any, text), "{text:?}");
    }
    assert_eq!(any.judge(b"\xE2\x80").unwrap(), Verdict::Incomplete);
}

#[test]
fn a_class_that_excludes_a_character_lets_the_beginnings_of_others_through() {
    let grammar = compile("root ::= [^\\u2028\\u2029]+");
    let mut matcher = grammar.matcher().unwrap();
    let partial = (0..).map(TokenId).find(|token| vocab().bytes(*token) == b"\xE2\x80").unwrap();
    assert!(matcher.allows(partial).unwrap());
    assert!(accepts(&grammar, "\u{2014}") && !accepts(&grammar, "\u{2028}"));
}

#[test]
fn control_and_unused_tokens_match_only_where_they_are_named() {
    let mut matcher = compile("root ::= .+").matcher().unwrap();
    for token in [OPEN_TAG, CLOSE_TAG, END, UNUSED, TokenId(99_999)] {
        assert!(!matcher.allows(token).unwrap());
    }
    let grammar = compile("root ::= \"a\" | <tool_call> \"b\" <[257]>");
    let mut matcher = grammar.matcher().unwrap();
    assert!(matcher.allows(OPEN_TAG).unwrap() && !matcher.allows(CLOSE_TAG).unwrap());
    assert!(!matcher.allows(TokenId(u32::from(b'<'))).unwrap());
    assert_eq!((matcher.forced_token(), matcher.forced_bytes()), (None, Vec::new()));
    matcher.commit(OPEN_TAG).unwrap();
    assert_eq!((matcher.forced_bytes(), matcher.forced_token()), (b"b".to_vec(), None));
    matcher.commit(TokenId(u32::from(b'b'))).unwrap();
    assert_eq!((matcher.forced_bytes(), matcher.forced_token()), (Vec::new(), Some(CLOSE_TAG)));
    matcher.commit(CLOSE_TAG).unwrap();
    assert!(matcher.may_end() && matcher.must_end());
    let (allowed, ..) = look(&mut matcher).unwrap();
    assert!(allowed.is_empty());
}

#[test]
fn a_negated_token_is_any_other_text_token() {
    let mut matcher = compile("root ::= (!<[97]>)+").matcher().unwrap();
    let (allowed, ..) = look(&mut matcher).unwrap();
    assert!(!allowed.contains(&TokenId(97)) && allowed.contains(&TokenId(98)));
    assert!(!allowed.contains(&OPEN_TAG) && !allowed.contains(&END) && !allowed.contains(&UNUSED));
}

#[test]
fn forced_bytes_reach_to_the_next_choice() {
    let mut matcher = compile("root ::= \"{\\\"name\\\": \\\"\" (\"alpha\" | \"alps\") \"\\\"}\"").matcher().unwrap();
    assert_eq!(matcher.forced_bytes(), b"{\"name\": \"alp");
    feed(&mut matcher, b"{\"name\": \"alph");
    assert_eq!(matcher.forced_bytes(), b"a\"}");
    feed(&mut matcher, b"a\"}");
    assert!(matcher.must_end() && matcher.forced_bytes().is_empty());
    let mut optional = compile("root ::= \"a\" \"b\"?").matcher().unwrap();
    assert_eq!(optional.forced_bytes(), b"a");
    feed(&mut optional, b"a");
    assert!(optional.may_end() && !optional.must_end() && optional.forced_bytes().is_empty());
}

#[test]
fn counts_cost_nothing_before_they_are_reached() {
    let grammar = compile("root ::= \"\\\"\" [a-z]{2,1500} \"\\\"\" x{3} (x{2}){2,3}\nx ::= [0-9]?");
    assert!(grammar.state_count().unwrap() < 10);
    let text = |letters: usize, digits: usize| format!("\"{}\"{}", "a".repeat(letters), "1".repeat(digits));
    assert!(accepts(&grammar, &text(1500, 9)) && accepts(&grammar, &text(2, 0)));
    assert!(!accepts(&grammar, &text(1, 0)) && !accepts(&grammar, &text(1501, 0)) && !accepts(&grammar, &text(2, 10)));
}

#[test]
fn optional_chains_and_wide_alternations_stay_small() {
    let chain = compile(&format!("root ::= {}", "[a-z]? ".repeat(24)));
    assert!(accepts(&chain, &"a".repeat(24)) && !accepts(&chain, &"a".repeat(25)));
    let words: Vec<String> = (0..3000).map(|word| format!("\"word{word}\"")).collect();
    let wide = compile(&format!("root ::= w{{1,6}}\nw ::= {}", words.join(" | ")));
    assert!(accepts(&wide, "word12word2999"));
}

/// Byte at which `text` is refused (its length where it is only incomplete); the tags in it are control tokens.
fn refused_at(grammar: &Grammar, text: &str) -> Option<usize> {
    let mut matcher = grammar.matcher().unwrap();
    let mut at = 0;
    while at < text.len() {
        let tag = [(OPEN_TAG, "<tool_call>"), (CLOSE_TAG, "</tool_call>")];
        let tag = tag.iter().find(|(_, name)| text.as_bytes()[at..].starts_with(name.as_bytes()));
        let (token, length) =
            tag.map_or((TokenId(text.as_bytes()[at].into()), 1), |(token, name)| (*token, name.len()));
        if !matcher.allows(token).unwrap() {
            return Some(at);
        }
        matcher.commit(token).unwrap();
        at += length;
    }
    (!matcher.may_end()).then_some(at)
}

#[test]
fn the_shipped_grammars_accept_and_refuse_what_their_cases_say() {
    let names = grammars::names();
    assert_eq!(names.len(), 10);
    for name in names {
        let grammar = compile(&grammars::source(&name));
        let Cases { accept, reject } = grammars::cases(&name);
        assert!(accept.len() >= 2 && reject.len() >= 3, "{name}");
        for text in accept {
            assert_eq!(refused_at(&grammar, &text), None, "{name}: {text:?}");
        }
        for Reject { text, at } in reject {
            assert_eq!(refused_at(&grammar, &text), Some(at), "{name}: {text:?}");
        }
    }
}
