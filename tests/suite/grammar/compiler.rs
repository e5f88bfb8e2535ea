//! What a compiler keeps and refuses: parts that grammars share, limits, grammars made to be slow.

use std::sync::Arc;

use mneme::grammar::{CharSet, Compiler, Error, Expr, Grammar, Ir, Limits, RuleId, Trigger, parse};
use mneme::inference::{TokenKind, Vocab};
use mneme::types::{Constraint, TokenId};

use super::{accepts, compile, feed, vocab};

#[test]
fn grammars_of_one_compiler_share_the_states_of_equal_parts() {
    let compiler = Compiler::new(vocab(), Limits::default());
    let source = |words: &str| {
        format!(
            "root ::= \"{{\" call \"}}\"\ncall ::= \"a:\" string | \"b:\" ({words})\n\
             string ::= \"'\" ([^'\\\\] | \"\\\\\" [nt])* \"'\"\nlist ::= \"[\" (list | string)* \"]\"\n"
        )
    };
    let inside = |grammar: &Grammar| {
        let mut matcher = grammar.matcher().unwrap();
        feed(&mut matcher, b"{a:'text");
        matcher.mask().unwrap();
        matcher.state()
    };
    let first = compiler.compile(&source("\"one\" | \"two\"")).unwrap();
    let state = inside(&first);
    let states = first.state_count().unwrap();
    let second = compiler.compile(&source("\"one\" | \"three\" | list")).unwrap();
    assert_eq!(inside(&second), state, "the string is the same part of both");
    assert!(second.state_count().unwrap() < states + 8, "{} after {states}", second.state_count().unwrap());
    assert!(accepts(&second, "{b:[['x']]}") && !accepts(&second, "{b:two}"));
    assert!(accepts(&first, "{b:two}") && !accepts(&first, "{b:three}"));
}

#[test]
fn a_compiler_outlives_what_its_grammars_wear_out() {
    let limits = Limits { states: 4000, positions: 4000, ..Limits::default() };
    let compiler = Compiler::new(vocab(), limits);
    let mut kept = Vec::new();
    for round in 0..300 {
        let source = format!("root ::= \"round {round} \" [a-z]{{0,50}} \".\"\n");
        let grammar = compiler.compile(&source).unwrap();
        let text = format!("round {round} {}.", "abc".repeat(16));
        assert!(accepts(&grammar, &text), "{round}");
        if round % 50 == 0 {
            kept.push((grammar, text));
        }
    }
    assert!(kept.iter().all(|(grammar, text)| accepts(grammar, text)));
}

#[test]
fn a_grammar_that_is_too_large_leaves_earlier_ones_as_they_were() {
    let compiler = Compiler::new(vocab(), Limits { positions: 2000, ..Limits::default() });
    let grammar = compiler.compile("root ::= [a-z]{1,9} \"!\"\n").unwrap();
    let mut matcher = grammar.matcher().unwrap();
    feed(&mut matcher, b"ab");
    // Every byte in a literal of its own: the classes of bytes that are told apart grow to all of them.
    let literals: Vec<String> =
        (0x20..0x7F_u8).map(|byte| format!("\"{}\"", format!("\\x{byte:02X}").repeat(40))).collect();
    let refused = compiler.compile(&format!("root ::= {}\n", literals.join(" | ")));
    assert!(matches!(refused, Err(Error::Limit { what: "positions", .. })));
    feed(&mut matcher, b"yz");
    assert!(!matcher.allows(TokenId(u32::from(b'A'))).unwrap());
    assert!(matcher.mask().unwrap().contains(TokenId(u32::from(b'!'))));
    assert!(accepts(&grammar, "zebra!") && !accepts(&grammar, "ze bra!"));
}

#[test]
fn grammars_that_are_made_to_be_slow_are_compiled_or_refused_soon() {
    let optional = format!("r ::= \"a\"\nroot ::= ({})*\n", "r? ".repeat(1500));
    assert!(accepts(&compile(&optional), "aaa"));
    let chain: String = (1..3000).map(|at| format!("r{at} ::= \"a\" r{}\n", at - 1)).collect();
    compile(&format!("r0 ::= [a]\n{chain}root ::= r2999\n"));
    let sparse: String = (0..8000).map(|at| char::from_u32(0x1_0000 + 2 * at).unwrap()).collect();
    assert!(accepts(&compile(&format!("root ::= [{sparse}]\n")), "\u{10002}"));
    let growing = |inner: &str| {
        let words: Vec<String> = (1..=40).map(|length| format!("\"{}\"", "a".repeat(length))).collect();
        format!("({} {inner})", words.join(" | "))
    };
    let nested = (0..100).fold(String::new(), |inner, _| growing(&inner));
    assert!(accepts(&compile(&format!("root ::= {nested}\n")), "a"));
    let links: String = (2..28).map(|at| format!("r{at} ::= r{} | r{}\n", at - 1, at - 2)).collect();
    assert!(accepts(&compile(&format!("r0 ::= [a]\nr1 ::= [b]\n{links}root ::= r27\n")), "b"));
    let many = compile(&format!("root ::= {}\"!\"\n", "[a-z]? ".repeat(1000)));
    assert!(accepts(&many, "abc!"));
}

#[test]
fn parts_that_can_be_empty_within_one_another_do_not_double_the_time() {
    let nested = |front: &str, back: &str| {
        let source = format!("{}\"b\"?{}", front.repeat(127), back.repeat(127));
        compile(&format!("root ::= s t\ns ::= {source}\nt ::= s? \"c\" s?\n"))
    };
    let optional = nested("(\"a\"? ", ")?");
    assert!(accepts(&optional, "c") && accepts(&optional, "abca") && !accepts(&optional, "ab"));
    for (front, back) in [("(\"a\"? ", "){0,5}"), ("(\"a\"* ", ")*"), ("(\"\" | \"a\"? ", ")")] {
        let positions = nested(front, back).position_count().unwrap();
        assert!(positions <= 20 * 127, "{positions} positions of {front}..{back}");
    }
}

#[test]
fn a_long_chain_of_rules_is_checked_in_any_order() {
    let mut places: Vec<u32> = (0..19_000).collect();
    // Neither order of the rules goes along with the chain.
    places.sort_by_key(|place| place.wrapping_mul(2_654_435_761));
    let chain: String = places.iter().map(|at| format!("r{at} ::= r{} \"\"\n", at + 1)).collect();
    let grammar = compile(&format!("{chain}r19000 ::= \"a\"?\nroot ::= r0\n"));
    assert!(accepts(&grammar, "a") && accepts(&grammar, "") && !accepts(&grammar, "aa"));
}

/// Runs `work` on a thread with a stack of so many bytes.
fn on_a_stack_of(bytes: usize, work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(bytes).spawn(work).unwrap().join().unwrap();
}

#[test]
fn suffixes_on_each_of_many_groups_are_refused_before_they_overflow_the_stack() {
    on_a_stack_of(1 << 20, || {
        // Each of 127 groups has one suffix more than the one inside it: 8,128 repetitions within one another.
        let suffixes: String = (1..128).map(|count| format!("){}", "*".repeat(count))).collect();
        let source = format!("root ::= {}\"a\"{suffixes}", "(".repeat(127));
        let refused = Grammar::compile(&source, &vocab(), &Limits::default());
        assert!(matches!(refused, Err(Error::SourceLimit { what: "nesting", found: 129, .. })), "{refused:?}");
    });
}

#[test]
fn the_deepest_grammars_that_are_taken_do_not_overflow_the_stack_of_a_thread() {
    // What threads have by default. Without optimisation a level takes up to 10 kB.
    on_a_stack_of(2 << 20, || {
        for (front, back) in [
            ("(", ")*"),
            ("(\"b\" | ", ")?"),
            ("(\"\" | [b] \"c\" | \"b\"? ", "){0,3}"),
            ("(\"b\" \"c\" | \"b\" ", "){2,}"),
        ] {
            let source = format!("root ::= {}\"a\"{}\n", front.repeat(127), back.repeat(127));
            let ir = parse(&source, &vocab(), &Limits::default()).unwrap();
            let compiler = Compiler::new(vocab(), Limits::default());
            // What is printed has rules of its own where llama.cpp would refuse so many levels.
            compiler.compile(&ir.to_string()).unwrap();
            compiler.compile(&source).unwrap();
            compiler.compile_ir(&ir).unwrap();
        }
        let compiler = Compiler::new(vocab(), Limits::default());
        let repeat = |item: Expr| Expr::Repeat { item: Box::new(item), min: 0, max: None };
        let optional = |item: Expr| Expr::Repeat { item: Box::new(item), min: 0, max: Some(1) };
        let letter = || Expr::Literal("a".into());
        let layers: [&dyn Fn(Expr) -> Expr; 4] = [
            &|inner| Expr::Sequence(vec![optional(letter()), inner]),
            &|inner| Expr::Alternatives(vec![letter(), inner]),
            &repeat,
            &optional,
        ];
        for layer in layers {
            let body = (0..384).fold(letter(), |inner, _| layer(inner));
            compiler.compile_ir(&program_made(vec![body])).unwrap();
        }
    });
}

/// A grammar as a program makes it; the first body is the root's.
fn program_made(bodies: Vec<Expr>) -> Ir {
    let names = ["root ::= \"x\"\n", "other ::= \"x\"\n"];
    let mut ir = parse(&names[..bodies.len()].concat(), &vocab(), &Limits::default()).unwrap();
    for (rule, body) in ir.rules.iter_mut().zip(bodies) {
        rule.body = body;
    }
    ir
}

#[test]
fn an_empty_literal_is_the_empty_text() {
    let compiler = Compiler::new(vocab(), Limits::default());
    let (empty, letter) = (|| Expr::Literal(String::new()), || Expr::Literal("a".into()));
    let repeat = |item: Expr, min: u32, max: Option<u32>| Expr::Repeat { item: Box::new(item), min, max };
    let (root, other) = (|| Expr::Rule(RuleId(0)), || Expr::Rule(RuleId(1)));
    let behind = Expr::Alternatives(vec![Expr::Sequence(vec![empty(), root(), letter()]), letter()]);
    let refused = compiler.compile_ir(&program_made(vec![behind]));
    assert!(matches!(refused, Err(Error::LeftRecursion { .. })), "{refused:?}");
    let around = Expr::Alternatives(vec![Expr::Sequence(vec![other(), root(), letter()]), letter()]);
    let refused = compiler.compile_ir(&program_made(vec![around, repeat(empty(), 2, Some(3))]));
    assert!(matches!(refused, Err(Error::LeftRecursion { .. })), "{refused:?}");
    for body in [
        Expr::Sequence(vec![empty(), letter(), empty()]),
        Expr::Alternatives(vec![empty(), Expr::Sequence(vec![empty(), letter()])]),
        Expr::Sequence(vec![repeat(empty(), 3, None), letter(), repeat(empty(), 0, Some(9))]),
        repeat(Expr::Sequence(vec![empty(), repeat(letter(), 0, Some(1))]), 1, Some(1)),
        repeat(Expr::Alternatives(vec![Expr::Sequence(vec![empty(), empty()]), letter()]), 0, Some(1)),
        Expr::Sequence(vec![Expr::Alternatives(vec![empty(), letter()]), empty()]),
    ] {
        let ir = program_made(vec![body]);
        let grammar = compiler.compile_ir(&ir).unwrap();
        let printed = compile(&ir.to_string());
        for text in ["", "a", "aa", "b"] {
            assert_eq!(accepts(&grammar, text), accepts(&printed, text), "{ir} on {text:?}");
        }
        assert!(accepts(&grammar, "a") && !accepts(&grammar, "aa"), "{ir}");
    }
}

#[test]
fn what_a_program_made_waits_for_its_triggers_however_long_it_is_as_text() {
    let compiler = Compiler::new(vocab(), Limits { source_bytes: 8, ..Limits::default() });
    let ir = program_made(vec![Expr::Literal("<a>bc".into())]);
    let triggers = [Trigger::Literal("<a>".into())];
    let grammar = compiler.compile_lazy_ir(&ir, &triggers).unwrap();
    assert!(accepts(&grammar, "free") && accepts(&grammar, "free <a>bc") && !accepts(&grammar, "free <a>bd"));
    assert!(matches!(compiler.compile_lazy_ir(&ir, &[]), Err(Error::Trigger { .. })));
    let other = [Trigger::Literal("<b>".into())];
    assert!(matches!(compiler.compile_lazy_ir(&ir, &other), Err(Error::Trigger { .. })));
    let wrong = program_made(vec![Expr::Rule(RuleId(9))]);
    assert!(matches!(compiler.compile_lazy_ir(&wrong, &triggers), Err(Error::Invalid { .. })));
}

#[test]
fn a_grammar_that_was_read_before_is_compiled_with_the_places_of_its_text() {
    let compiler = Compiler::new(vocab(), Limits::default());
    let compile = |source: &str, triggers: &[Trigger]| {
        compiler.compile_parsed(&parse(source, &vocab(), &Limits::default()).unwrap(), source, triggers)
    };
    assert!(accepts(&compile("root ::= \"ab\"", &[]).unwrap(), "ab"));
    assert!(accepts(&compile("root ::= \"ab\"", &[Trigger::Literal("a".into())]).unwrap(), "free ab"));
    let error = compile("root ::= a\na ::= a \"x\" | \"y\"", &[]).unwrap_err();
    assert_eq!(error.place().map(|place| (place.line, place.column)), Some((2, 1)), "{error}");
}

#[test]
fn tokens_and_forced_text_have_the_bounds_that_the_limits_name() {
    let rows = [4096, 4097].map(|length| (vec![b'a'; length], TokenKind::Text));
    let long = Arc::new(Vocab::new(rows.to_vec(), Vec::new(), None));
    let mut matcher = Grammar::compile("root ::= \"a\"*", &long, &Limits::default()).unwrap().matcher().unwrap();
    assert!(matcher.allows(TokenId(0)).unwrap() && !matcher.allows(TokenId(1)).unwrap());
    let named = Grammar::compile("root ::= <[1]>", &long, &Limits::default()).unwrap();
    assert!(named.matcher().unwrap().allows(TokenId(1)).unwrap());
    let mut matcher = compile("root ::= \"a\"{5000}").matcher().unwrap();
    assert_eq!(matcher.forced_bytes().len(), 4096);
    feed(&mut matcher, &[b'a'; 4096]);
    assert_eq!(matcher.forced_bytes().len(), 5000 - 4096);
}

#[test]
fn ambiguity_without_bound_is_a_limit() {
    let ways: Vec<String> = (0..24_000).map(|way| format!("[a] \"{way}\"")).collect();
    let grammar = compile(&format!("root ::= \"b\" ({})\n", ways.join(" | ")));
    let mut matcher = grammar.matcher().unwrap();
    assert!(matcher.commit(TokenId(u32::from(b'b'))).is_err(), "24,000 parses are above the limit");
    assert!(matcher.mask().is_err() && !matcher.may_end());
}

#[test]
fn callers_of_one_rule_share_what_they_wait_for() {
    let rules: String = (0..400).map(|at| format!("a{at} ::= t \"{at}\"\n")).collect();
    let names: Vec<String> = (0..400).map(|at| format!("a{at}")).collect();
    let tails: Vec<String> = (0..60).map(|at| format!("[a] \"{at}\"")).collect();
    let grammar = compile(&format!("{rules}t ::= {}\nroot ::= {}\n", tails.join(" | "), names.join(" | ")));
    assert!(accepts(&grammar, "a59399") && accepts(&grammar, "a00") && !accepts(&grammar, "a60399"));
}

#[test]
fn alternatives_that_begin_alike_can_be_nested_deeply() {
    let deep = |open: &str, inner: &str, close: &str| format!("{}{inner}{}", open.repeat(2000), close.repeat(2000));
    let tuple = compile("root ::= t\nt ::= \"(\" t \")\" | \"(\" t \",\" t \")\" | \"(\" t \"/\" t \")\" | \"x\"\n");
    for (text, is_right) in [
        (deep("(", "x", ")"), true),
        (deep("(", "x", ",x)"), true),
        (deep("(", "x", "/x)"), true),
        (deep("(", "x", "]"), false),
    ] {
        assert_eq!(accepts(&tuple, &text), is_right);
    }
    // Called by different rules, and at several depths of the same step.
    let mixed = compile("root ::= s\ns ::= \"(\" a | \"(\" b | \"(\" s \">\" | \"x\"\na ::= s \")\"\nb ::= s \"]\"\n");
    for (text, is_right) in [
        (deep("(", "x", ")"), true),
        (deep("(", "x", "]"), true),
        (deep("(", "x", ">"), true),
        (deep("(", "x", "x"), false),
    ] {
        assert_eq!(accepts(&mixed, &text), is_right);
    }
    let counted = compile("root ::= l\nl ::= \"[\" (l \",\"?){1,3} \"]\" | \"[\" l{2} \";\" \"]\" | \"x\"\n");
    assert!(accepts(&counted, &deep("[", "x", "]")) && accepts(&counted, &deep("[", "x", "x;]")));
    assert!(!accepts(&counted, &deep("[", "x", "xxx]")));
}

#[test]
fn a_grammar_without_end_of_ambiguity_is_followed() {
    // Catalan numbers of ways to read it.
    let grammar = compile("root ::= s\ns ::= \"a\" | \"a\" s s | \"a\" s\n");
    assert!(accepts(&grammar, &"a".repeat(300)));
    assert!(!accepts(&grammar, &format!("{}b", "a".repeat(300))));
}

#[test]
fn a_repetition_of_nothing_is_nothing() {
    assert!(accepts(&compile("root ::= a{0,50000} \"y\"\na ::= \"x\"{0}\n"), "y"));
}

#[test]
fn a_grammar_that_a_program_made_wrongly_is_refused() {
    let compiler = Compiler::new(vocab(), Limits::default());
    let compile = |body: Expr| {
        let mut ir = parse("root ::= \"x\"\n", &vocab(), &Limits::default()).unwrap();
        ir.rules[0].body = body;
        compiler.compile_ir(&ir)
    };
    let item = || Box::new(Expr::Literal("a".into()));
    let wrong = [
        Expr::Repeat { item: item(), min: 5, max: Some(3) },
        Expr::Token { id: TokenId(99_999), negated: false },
        Expr::Rule(RuleId(7)),
        Expr::Class(CharSet::default()),
        Expr::Alternatives(vec![Expr::Alternatives(Vec::new()), Expr::Literal("a".into())]),
    ];
    for body in wrong {
        assert!(matches!(compile(body.clone()), Err(Error::Invalid { .. })), "{body:?}");
    }
    let deep = (0..2000).fold(Expr::Literal("a".into()), |inner, _| Expr::Sequence(vec![inner]));
    assert!(matches!(compile(deep), Err(Error::Limit { what: "nesting", .. })));
}
