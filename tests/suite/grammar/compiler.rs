//! What a compiler keeps and refuses: parts that grammars share, limits, grammars made to be slow.

use mneme::grammar::{CharSet, Compiler, Error, Expr, Grammar, Limits, RuleId, parse};
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
    ];
    for body in wrong {
        assert!(matches!(compile(body.clone()), Err(Error::Invalid { .. })), "{body:?}");
    }
    let deep = (0..2000).fold(Expr::Literal("a".into()), |inner, _| Expr::Sequence(vec![inner]));
    assert!(matches!(compile(deep), Err(Error::Limit { what: "nesting", .. })));
}
