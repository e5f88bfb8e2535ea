//! What a compiler keeps and refuses: lazy grammars, parts that grammars share, limits, grammars made to be slow.

use mneme::grammar::{CharSet, Compiler, Error, Expr, Grammar, Limits, RuleId, Trigger, Verdict, parse};
use mneme::types::{Constraint, TokenId};

use super::{CLOSE_TAG, OPEN_TAG, accepts, compile, feed, vocab};

#[test]
fn a_lazy_grammar_is_free_until_its_trigger() {
    let source = "root ::= \"<call>\" [a-z]+ \"</call>\"\n";
    let compiler = Compiler::new(vocab(), Limits::default());
    let grammar = compiler.compile_lazy(source, &Trigger::Literal("<call>".into())).unwrap();
    let verdict = |text: &str| grammar.judge(text.as_bytes()).unwrap();
    for text in ["", "anything", "a < b, <call", "<cal<callx", "say <call>abc</call>", "<<call>x</call>"] {
        assert_eq!(verdict(text), Verdict::Accepted, "{text}");
    }
    assert_eq!(verdict("so <call>ab"), Verdict::Incomplete);
    assert_eq!(verdict("so <call>ab7"), Verdict::Refused { at_byte: 11 });
    assert_eq!(verdict("<call>ab</call> more"), Verdict::Refused { at_byte: 15 });
    let mut matcher = grammar.matcher().unwrap();
    feed(&mut matcher, b"\xFF free <call");
    assert!(matcher.may_end() && !matcher.mask().unwrap().contains(OPEN_TAG));
    feed(&mut matcher, b">");
    assert!(!matcher.may_end() && !matcher.allows(TokenId(u32::from(b'<'))).unwrap());
}

#[test]
fn a_token_that_spells_more_than_the_trigger_must_agree_with_the_grammar() {
    let compiler = Compiler::new(vocab(), Limits::default());
    let grammar = compiler.compile_lazy("root ::= \"aab\" \"c\"\n", &Trigger::Literal("aa".into())).unwrap();
    let mut matcher = grammar.matcher().unwrap();
    let mask = matcher.mask().unwrap();
    // The longer tokens of the vocabulary: "ab" holds no trigger, "aab" agrees, "aa" is the trigger.
    let id = |bytes: &[u8]| (260..).map(TokenId).find(|id| vocab().bytes(*id) == bytes).unwrap();
    for allowed in [b"ab".as_slice(), b"aab", b"aa", b"abab"] {
        assert!(mask.contains(id(allowed)), "{allowed:?}");
    }
    feed(&mut matcher, b"a");
    assert!(!matcher.allows(id(b"aab")).unwrap(), "aa, then a");
    assert!(matcher.allows(id(b"ab")).unwrap(), "aa, then b");
}

#[test]
fn a_lazy_grammar_can_wait_for_a_control_token() {
    let compiler = Compiler::new(vocab(), Limits::default());
    let source = format!("root ::= <[{}]> [0-9]+ <[{}]>\n", OPEN_TAG.0, CLOSE_TAG.0);
    let grammar = compiler.compile_lazy(&source, &Trigger::Token(OPEN_TAG)).unwrap();
    let mut matcher = grammar.matcher().unwrap();
    feed(&mut matcher, b"free <tool_call>");
    assert!(matcher.may_end() && matcher.allows(OPEN_TAG).unwrap() && !matcher.allows(CLOSE_TAG).unwrap());
    matcher.commit(OPEN_TAG).unwrap();
    assert!(!matcher.allows(TokenId(u32::from(b'x'))).unwrap());
    feed(&mut matcher, b"42");
    matcher.commit(CLOSE_TAG).unwrap();
    assert!(matcher.must_end());
}

#[test]
fn a_trigger_that_the_grammar_does_not_begin_with_is_refused() {
    let compiler = Compiler::new(vocab(), Limits::default());
    for trigger in [Trigger::Literal("x".into()), Trigger::Literal(String::new()), Trigger::Token(OPEN_TAG)] {
        assert!(
            matches!(compiler.compile_lazy("root ::= \"y\"\n", &trigger), Err(Error::Trigger { .. })),
            "{trigger:?}"
        );
    }
}

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
    let rules: String = (0..400).map(|at| format!("a{at} ::= t \"{at}\"\n")).collect();
    let names: Vec<String> = (0..400).map(|at| format!("a{at}")).collect();
    let tails: Vec<String> = (0..60).map(|at| format!("[a] \"{at}\"")).collect();
    let source = format!("{rules}t ::= {}\nroot ::= {}\n", tails.join(" | "), names.join(" | "));
    let grammar = compile(&source);
    let mut matcher = grammar.matcher().unwrap();
    assert!(matcher.commit(TokenId(u32::from(b'a'))).is_err(), "24,000 parses are above the limit");
    assert!(matcher.mask().is_err() && !matcher.may_end());
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

#[test]
fn a_text_token_is_no_trigger() {
    let compiler = Compiler::new(vocab(), Limits::default());
    let source = format!("root ::= <[{}]> \"x\"\n", u32::from(b'a'));
    let trigger = Trigger::Token(TokenId(u32::from(b'a')));
    assert!(matches!(compiler.compile_lazy(&source, &trigger), Err(Error::Trigger { .. })));
}
