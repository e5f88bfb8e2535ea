//! The policy's building blocks: what they accept is what the executor would, and what they refuse is no more.

use std::sync::Arc;

use jiff::civil::Date;
use proptest::prelude::*;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value};

use super::*;
use crate::grammar::{Error, Grammar, Limits, Verdict};
use crate::inference::{TokenKind, Vocab};
use crate::types::{AllowedCall, ArgumentRule, Constraint, NamedRule, TokenId};

const NAMES: [&str; 8] = [
    "send_message",
    "core_memory_append",
    "core_memory_replace",
    "archival_memory_insert",
    "archival_memory_search",
    "conversation_search",
    "conversation_search_date",
    "pause_heartbeats",
];

fn compile(mut rules: RuleSet, root: &str) -> Grammar {
    rules.define("root", root);
    let bytes = (0..=255).map(|byte| (vec![byte], TokenKind::Text)).collect();
    let source = rules.into_gbnf();
    let vocab = Arc::new(Vocab::new(bytes, Vec::new(), None));
    Grammar::compile(&source, &vocab, &Limits::default()).unwrap_or_else(|error| panic!("{error}\n{source}"))
}

fn accepts(grammar: &Grammar, text: &str) -> bool {
    grammar.judge(text.as_bytes()).unwrap() == Verdict::Accepted
}

fn string(min_chars: usize, max_chars: usize) -> Grammar {
    let mut rules = RuleSet::new();
    let name = json_string_rule(&mut rules, min_chars, max_chars).unwrap();
    compile(rules, &name)
}

const TAGGED: TextGuard<'static> = TextGuard {
    function_names: &[],
    call_tags: &["<tool_call>", "<function="],
    call_key: None,
    guards_every_line: false,
};

fn text(max_chars: usize) -> Grammar {
    let mut rules = RuleSet::new();
    let name = text_rule(&mut rules, max_chars, TextGuard { function_names: &NAMES.map(String::from), ..TAGGED });
    compile(rules, &name)
}

/// A random text of the language: random legal bytes, `likely` ones four times out of five, ending where it may.
fn random_text(grammar: &Grammar, seed: u64, likely: &[u8], most_bytes: usize) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut matcher = grammar.matcher().unwrap();
    let mut out = Vec::new();
    while !matcher.must_end() {
        if matcher.may_end() && random.random_ratio(1, 20) {
            break;
        }
        assert!(out.len() < most_bytes, "no end in sight: {}", String::from_utf8_lossy(&out));
        let legal: Vec<u8> = (0..=255).filter(|byte| matcher.allows(TokenId(u32::from(*byte))).unwrap()).collect();
        let preferred: Vec<u8> = legal.iter().copied().filter(|byte| likely.contains(byte)).collect();
        let from = if preferred.is_empty() || random.random_ratio(1, 5) { &legal } else { &preferred };
        let byte = *from.choose(&mut random).expect("every prefix can be completed");
        matcher.commit(TokenId(u32::from(byte))).unwrap();
        out.push(byte);
    }
    out
}

fn rule_holds(rule: &ArgumentRule, value: &Value) -> bool {
    match rule {
        ArgumentRule::OneOf(values) => value.as_str().is_some_and(|value| values.iter().any(|one| one == value)),
        ArgumentRule::Text { min_chars, max_chars } => value
            .as_str()
            .is_some_and(|value| (*min_chars..=*max_chars).contains(&value.chars().count()) && value.trim() == value),
        ArgumentRule::Date => value.as_str().is_some_and(|value| value.parse::<Date>().is_ok() && value.len() == 10),
        ArgumentRule::Integer { min, max } => {
            value.as_u64().is_some_and(|value| (u64::from(*min)..=u64::from(*max)).contains(&value))
        }
    }
}

fn argument() -> impl Strategy<Value = ArgumentRule> {
    prop_oneof![
        prop::collection::vec("[a-z\"\\\\ é\n/]{0,6}", 1..4).prop_map(ArgumentRule::OneOf),
        (0_usize..20, 0_usize..200)
            .prop_map(|(min_chars, more)| ArgumentRule::Text { min_chars, max_chars: min_chars + more }),
        Just(ArgumentRule::Date),
        (0_u32..500, 0_u32..5000).prop_map(|(min, more)| ArgumentRule::Integer { min, max: min + more }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_arguments_rule_lets_through_is_json_that_keeps_the_rules(
        variants in prop::collection::vec(prop::collection::vec(argument(), 0..4), 1..3),
        seed in any::<u64>(),
    ) {
        let variants: Vec<Vec<NamedRule>> = variants
            .into_iter()
            .map(|rules| {
                let named = rules.into_iter().enumerate();
                named.map(|(index, rule)| NamedRule { name: format!("key_{index}"), rule }).collect()
            })
            .collect();
        let call = AllowedCall { name: "f".into(), variants };
        for separators in [Separators::PYTHON, Separators::COMPACT] {
            let mut rules = RuleSet::new();
            let name = arguments_rules(&mut rules, "f-args", &call, separators, None).unwrap();
            let grammar = compile(rules, &name);
            let bytes = random_text(&grammar, seed, b"abc de.\"", 4000);
            let written = String::from_utf8(bytes).unwrap();
            let object: Map<String, Value> = serde_json::from_str(&written).unwrap();
            let fits = call.variants.iter().any(|variant| {
                variant.len() == object.len()
                    && variant.iter().zip(&object).all(|(named, (key, value))| named.name == *key && rule_holds(&named.rule, value))
            });
            prop_assert!(fits, "{}", written);
        }
    }

    #[test]
    fn random_strings_are_json_of_the_right_length(min in 0_usize..100, more in 0_usize..300, seed in any::<u64>()) {
        let grammar = string(min, min + more);
        let likely: &[u8] = if seed % 2 == 0 { b"abcdefg " } else { b"a. !" };
        let bytes = random_text(&grammar, seed, likely, 20 * (min + more) + 100);
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        prop_assert!(rule_holds(&ArgumentRule::Text { min_chars: min, max_chars: min + more }, &value), "{}", value);
        prop_assert_eq!(serde_json::to_vec(&value).unwrap(), bytes);
    }

    #[test]
    fn random_texts_never_begin_a_line_with_a_call(seed in any::<u64>()) {
        let grammar = text(300);
        let written = String::from_utf8(random_text(&grammar, seed, b"\n{\"send_mag:`(< ", 100_000)).unwrap();
        prop_assert_eq!(written.trim(), &written);
        for line in written.lines() {
            let bare: String = line.chars().filter(|c| !" \t{[(:,`\"'".contains(*c)).collect();
            let opened = line.trim_start().starts_with(['{', '[', '"', '\'', ':', ',']);
            prop_assert!(!(opened && NAMES.iter().any(|name| bare.starts_with(name)) && spelled(line)), "{}", written);
            prop_assert!(!line.trim_start().starts_with("<tool_call>"), "{}", written);
        }
    }
}

/// Whether the line's first word is a function's name.
fn spelled(line: &str) -> bool {
    let word = line.trim_start_matches([' ', '\t', '{', '[', '(', ':', ',', '"', '\'']);
    NAMES.iter().any(|name| {
        word.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

#[test]
fn an_object_is_spelled_as_python_spells_it() {
    let call = AllowedCall {
        name: "core_memory_replace".into(),
        variants: vec![
            vec![
                NamedRule { name: "section".into(), rule: ArgumentRule::OneOf(vec!["human".into()]) },
                NamedRule { name: "old".into(), rule: ArgumentRule::OneOf(vec!["Zoë \"Z\"".into(), "a\\b\n".into()]) },
                NamedRule { name: "new".into(), rule: ArgumentRule::Text { min_chars: 1, max_chars: 100 } },
            ],
            vec![NamedRule { name: "page".into(), rule: ArgumentRule::Integer { min: 0, max: 12 } }],
            Vec::new(),
        ],
    };
    let mut rules = RuleSet::new();
    let name = arguments_rules(&mut rules, "replace-args", &call, Separators::PYTHON, None).unwrap();
    let grammar = compile(rules, &name);
    assert!(accepts(&grammar, r#"{"section": "human", "old": "Zoë \"Z\"", "new": "x"}"#));
    assert!(accepts(&grammar, r#"{"section": "human", "old": "a\\b\n", "new": "x y"}"#));
    assert!(accepts(&grammar, r#"{"page": 12}"#) && accepts(&grammar, "{}"));
    for refused in [
        r#"{"section":"human", "old": "a\\b\n", "new": "x"}"#,
        r#"{"section": "human", "new": "x", "old": "a\\b\n"}"#,
        r#"{"section": "human", "old": "Zo", "new": "x"}"#,
        r#"{"page": 13}"#,
        r#"{"page": 01}"#,
        r#"{"page": "1"}"#,
        "{ }",
    ] {
        assert!(!accepts(&grammar, refused), "{refused}");
    }
}

#[test]
fn arguments_without_a_legal_value_are_refused() {
    let call = |rule| AllowedCall { name: "f".into(), variants: vec![vec![NamedRule { name: "a".into(), rule }]] };
    for rule in [
        ArgumentRule::OneOf(Vec::new()),
        ArgumentRule::Text { min_chars: 2, max_chars: 1 },
        ArgumentRule::Integer { min: 2, max: 1 },
    ] {
        let error = arguments_rules(&mut RuleSet::new(), "f-args", &call(rule), Separators::PYTHON, None).unwrap_err();
        assert!(matches!(&error, Error::Policy { what, .. } if what == "a call of f"), "{error}");
    }
}

#[test]
fn strings_have_one_spelling_and_no_white_space_at_their_ends() {
    let grammar = string(1, 100);
    for accepted in [
        r#""a""#,
        r#""a b""#,
        r#""\"quoted\" \\ / x""#,
        r#""line\nline\ttab""#,
        r#""a\b\f\r\n\t.""#,
        r#""éA😀""#,
        r#""日本語。""#,
        r#""a…""#,
    ] {
        assert!(accepts(&grammar, accepted), "{accepted}");
        let value: String = serde_json::from_str(accepted).unwrap();
        assert_eq!(serde_json::to_string(&value).unwrap(), accepted);
    }
    for refused in [
        r#""""#,
        r#"" a""#,
        r#""a ""#,
        r#""a\n""#,
        r#""\ta""#,
        r#""\x41""#,
        r#""\u00e9""#,
        r#""a\/b""#,
        r#""\uD83D\ude00""#,
        r#""\ud83d""#,
        r#""\ude00""#,
        r#""\ud83d\u0041""#,
        r#""\u0020a""#,
        r#""\u0000""#,
        r#""a\u001b""#,
        "\"a\nb\"",
        "\"a\tb\"",
        "\"\u{a0}a\"",
        "\"\u{1b}[0m\"",
        r#""\'""#,
    ] {
        assert!(!accepts(&grammar, refused), "{refused}");
    }
    assert!(accepts(&string(0, 0), r#""""#) && accepts(&string(0, 5), r#""""#));
    assert!(accepts(&string(5, 5), r#""abcde""#) && !accepts(&string(5, 5), r#""abcd""#));
    assert!(accepts(&string(90, 100), &format!("\"{}\"", "a".repeat(100))));
    assert!(!accepts(&string(90, 100), &format!("\"{}\"", "a".repeat(101))));
}

#[test]
fn a_long_text_closes_at_the_end_of_a_sentence_and_never_in_a_word() {
    let grammar = string(1, 600);
    let sentence = "Mara keeps 3.5 bees and likes rye bread. ";
    let mut matcher = grammar.matcher().unwrap();
    let mut written = String::new();
    for byte in std::iter::once(b'"').chain(sentence.repeat(30).bytes()) {
        let token = TokenId(u32::from(byte));
        if !matcher.allows(token).unwrap() {
            break;
        }
        matcher.commit(token).unwrap();
        written.push(char::from(byte));
    }
    assert!(written.ends_with("bread."), "{written}");
    assert!((300..600).contains(&written.len()), "{}", written.len());
    // "3.5" and the like may go on behind the mark, white space may not.
    assert!(matcher.allows(TokenId(u32::from(b'"'))).unwrap() && !matcher.allows(TokenId(u32::from(b' '))).unwrap());

    let words = "wordy ".repeat(200);
    let mut matcher = grammar.matcher().unwrap();
    let mut written = String::new();
    for byte in std::iter::once(b'"').chain(words.bytes()) {
        let token = TokenId(u32::from(byte));
        if !matcher.allows(token).unwrap() {
            break;
        }
        matcher.commit(token).unwrap();
        written.push(char::from(byte));
    }
    assert!(written.ends_with("wordy") && matcher.allows(TokenId(u32::from(b'"'))).unwrap(), "{written}");
}

#[test]
fn dates_are_the_days_that_exist() {
    let mut rules = RuleSet::new();
    let name = date_rule(&mut rules);
    let grammar = compile(rules, &name);
    for year in [1899, 1900, 1904, 1999, 2000, 2001, 2023, 2024, 2099, 2100] {
        for month in 0..=13 {
            for day in 0..=32 {
                let written = format!("{year}-{month:02}-{day:02}");
                let exists = (1900..2100).contains(&year) && written.parse::<Date>().is_ok();
                assert_eq!(accepts(&grammar, &written), exists, "{written}");
            }
        }
    }
}

#[test]
fn a_text_cannot_begin_as_a_fake_call() {
    let grammar = text(2000);
    for start in [
        "{\"name\": \"send_message\"",
        "{\"name\":\"core_memory_append\",",
        "{ \"function\" : \"send_message\" ",
        "[{\"name\": \"conversation_search\"",
        "[{\"name\": \"conversation_search_date\"",
        "```json\n{\"name\": \"send_message\"",
        "``` {\"name\": \"send_message\"",
        "```json {\"name\": \"send_message\"",
        "\"send_message\"",
        "{{\"name\": \"conversation_search_date_start\"",
        "[conversation_search_date_start(",
        "conversation_search_date_start(",
        "{\"send_message\"",
        "{send_message:",
        "send_message(",
        "send_message (\"hi\")",
        "send_message {",
        "[send_message(",
        "```send_message(",
        "```python\nsend_message(",
        "`send_message(",
        "<tool_call>",
        "Hello.\n<tool_call>",
        "Hello.\n  <tool_call>",
        "Sure!\n{\"name\": \"send_message\"",
        "Sure!\n```json\n{\n  \"name\": \"send_message\"",
        "{\"type\": \"function\", \"function\": {\"name\": \"send_message\"",
        "{'name': 'send_message'",
        "{\"tool_calls\": [{\"name\": \"send_message\"",
        "{\n\"name\":\n\"send_message\"",
        "<function=send_message>",
        " Hello",
        "\nHello",
    ] {
        assert!(matches!(grammar.judge(start.as_bytes()).unwrap(), Verdict::Refused { .. }), "{start}");
    }
}

#[test]
fn code_json_and_prose_stay_possible() {
    let grammar = text(2000);
    for accepted in [
        "Hello!",
        "c",
        "core",
        "You can use send_message(...) for that.",
        "send_message is what I use.",
        "send_message",
        "```json\n{\"colour\": \"red\", \"name\": \"Alice\"}\n```",
        "{\"name\": \"Bob\"}",
        "{\"name\": \"sender\"}",
        "send_messages are many",
        "[1, 2, 3]",
        "```python\nprint(\"hi\")\n```",
        "```\nfn main() {}\n```",
        "`send_message` saves nothing.",
        "- send_message\n- core_memory_append",
        "The tag <tool_call> opens a call.",
        "<b>bold</b>",
        "(see below)",
        "\"Quoted\" she said.",
        "日本語のテキスト。",
        "Line one. \n \n\tIndented: \n\n\nx",
        "{}",
        "```",
        "'tis",
        "…and so on",
        "{\"type\": \"object\"}",
        "pause_heartbeat(",
        "séance",
    ] {
        assert!(accepts(&grammar, accepted), "{accepted}: {:?}", grammar.judge(accepted.as_bytes()));
    }
}

#[test]
fn a_tag_beyond_ascii_is_guarded_too() {
    let mut rules = RuleSet::new();
    let name = text_rule(&mut rules, 100, TextGuard { call_tags: &["<｜tool▁call｜>"], ..TextGuard::default() });
    let grammar = compile(rules, &name);
    assert!(accepts(&grammar, "<｜ tool") && !accepts(&grammar, "<｜tool "));
    assert!(accepts(&grammar, "<｜tool▁calls") && accepts(&grammar, "<é") && accepts(&grammar, "<｜é"));
    assert!(matches!(grammar.judge("<｜tool▁call｜>".as_bytes()).unwrap(), Verdict::Refused { .. }));
}

#[test]
fn a_text_has_no_control_characters_and_no_endless_line() {
    let grammar = text(100);
    assert!(!accepts(&grammar, "a\u{1b}[0m") && !accepts(&grammar, "a\u{9b}") && !accepts(&grammar, "a\rb"));
    assert!(accepts(&grammar, &"x".repeat(100)) && !accepts(&grammar, &"x".repeat(200)));
    assert!(!accepts(&grammar, &format!("{}x", "x\n".repeat(100))));
    assert!(accepts(&grammar, "x\n\n\nx") && !accepts(&grammar, "x\n\n\n\nx"));
}

#[test]
fn a_text_does_not_end_in_white_space() {
    let grammar = text(100);
    // Every kind of place in which a line can end.
    for end in ["Hi.", "{", "[ {", "```", "```json", "`x", "\"name\"", "{\"name\":", "send_message", "é", "(x", "<"] {
        assert!(accepts(&grammar, end), "{end}");
        for space in [" ", "\t", "\n", " \n", "\n ", "\u{a0}", "\u{3000}"] {
            let text = format!("{end}{space}");
            assert!(!accepts(&grammar, &text), "{text:?}");
            if !space.contains(['\u{a0}', '\u{3000}']) {
                assert!(accepts(&grammar, &format!("{text}\nx")), "{text:?} and a line");
            }
        }
    }
}

#[test]
fn a_text_cannot_begin_as_a_bare_call_object() {
    let mut rules = RuleSet::new();
    let names = NAMES.map(String::from);
    let name = text_rule(
        &mut rules,
        200,
        TextGuard { function_names: &names, call_key: Some("name"), ..TextGuard::default() },
    );
    let grammar = compile(rules, &name);
    // The key is refused where its quotes close, a function's name with its last letter.
    for refused in
        ["{\"name\"", "{ \t\"name\"", "{\n\"name\"", "{ \n\n  \"name\"", "{\"send_message", "{\n\"send_message"]
    {
        let verdict = grammar.judge(refused.as_bytes()).unwrap();
        assert_eq!(verdict, Verdict::Refused { at_byte: refused.len() - 1 }, "{refused}");
    }
    for accepted in [
        "{",
        "{}",
        "{\n}",
        "{ \"names\": 1}",
        "{\"nam",
        "{\"colour\": \"red\", \"name\": \"Alice\"}",
        "{\n  \"colour\": \"red\",\n  \"name\": \"Alice\"\n}",
        "{'name': 1}",
        "{\"type\": \"name\"}",
        "[{\"name\": \"Alice\"}]",
        "```json\n{\"name\": \"Alice\"}\n```",
        "Here:\n{\"name\": \"Alice\"}",
        "[{{\"name\"}}]",
        "Hello",
        "(x)",
    ] {
        assert!(accepts(&grammar, accepted), "{accepted}: {:?}", grammar.judge(accepted.as_bytes()));
    }
}

#[test]
fn a_text_does_not_begin_like_a_call_in_doubled_braces() {
    let grammar = text(200);
    for refused in ["{{\"", "{ {\"", "{{ \""] {
        let verdict = grammar.judge(refused.as_bytes()).unwrap();
        assert_eq!(verdict, Verdict::Refused { at_byte: refused.len() - 1 }, "{refused}");
    }
    for accepted in [
        "{{",
        "{{}}",
        "{{ name }}",
        "{{'name'}}",
        "{\n{\"name\": 1}}",
        "{\"name\": \"Alice\"}",
        "{ \"name\"\n}",
        "Here:\n{{\"name\"}}",
        "```\n{{\"name\"}}\n```",
    ] {
        assert!(accepts(&grammar, accepted), "{accepted}: {:?}", grammar.judge(accepted.as_bytes()));
    }
}

#[test]
fn a_last_member_follows_all_arguments_or_stands_alone() {
    let variants =
        vec![vec![NamedRule { name: "page".into(), rule: ArgumentRule::Integer { min: 0, max: 9 } }], vec![]];
    let call = AllowedCall { name: "f".into(), variants };
    let last = LastMember { key: "again", value: "(\"true\" | \"false\")" };
    let mut rules = RuleSet::new();
    let name = arguments_rules(&mut rules, "f-args", &call, Separators::PYTHON, Some(last)).unwrap();
    let grammar = compile(rules, &name);
    assert!(accepts(&grammar, r#"{"page": 3, "again": true}"#) && accepts(&grammar, r#"{"again": false}"#));
    for refused in ["{}", r#"{"page": 3}"#, r#"{"again": true, "page": 3}"#, r#"{"page": 3, "again": 1}"#] {
        assert!(!accepts(&grammar, refused), "{refused}");
    }
}
