//! What may be written: the grammars, by the real grammar engine, and that the parsers agree with them.

use mneme::dialect::{Action, Error};
use mneme::types::{AllowedCall, ArgumentRule, Constraint, NamedRule, StepPolicy, TextRule};

use super::engine::{accepts, grammar, refuses_beginning};
use super::replies::parse;
use super::*;

fn named(name: &str, rule: ArgumentRule) -> NamedRule {
    NamedRule { name: name.into(), rule }
}

pub(super) fn policy(text: TextRule) -> StepPolicy {
    let sections = ArgumentRule::OneOf(vec!["persona".into(), "human".into()]);
    StepPolicy {
        text,
        calls: vec![
            AllowedCall {
                name: "core_memory_append".into(),
                variants: vec![vec![
                    named("section", sections),
                    named("content", ArgumentRule::Text { min_chars: 1, max_chars: 60 }),
                ]],
            },
            AllowedCall {
                name: "conversation_search_date".into(),
                variants: vec![vec![
                    named("start_date", ArgumentRule::Date),
                    named("page", ArgumentRule::Integer { min: 0, max: 12 }),
                ]],
            },
            AllowedCall { name: "pause".into(), variants: vec![vec![]] },
        ],
        function_names: vec!["core_memory_append".into(), "conversation_search_date".into(), "pause".into()],
        max_thought_chars: 80,
    }
}

/// What the grammar takes, the parser makes an action of, and the other way round but for `refused`, which only the
/// grammar knows to be wrong.
fn check(name: &str, text: TextRule, accepted: &[&str], refused: &[&str]) {
    let grammar = grammar(&*dialect(name), &policy(text));
    for reply in accepted {
        assert!(accepts(&grammar, reply), "{name} {text:?} refuses {reply}");
        let action = parse(name, reply, &[], true).2.unwrap_or_else(|error| panic!("{name} {reply}: {error}"));
        let spells_call = name == "hermes" && reply.contains("\"arguments\": {")
            || name == "classic" && !reply.is_empty() && !reply.contains("send_message")
            || name == "chatml-json" && reply.starts_with("{\"name\"");
        assert_eq!(matches!(action, Action::Call { .. }), spells_call, "{name} {reply}: {action:?}");
    }
    for reply in refused {
        assert!(!accepts(&grammar, reply), "{name} {text:?} accepts {reply}");
    }
}

pub(super) const APPEND: &str =
    r#"{"name": "core_memory_append", "arguments": {"section": "human", "content": "é \"x\" 😀\n<b>"}}"#;
pub(super) const SEARCH: &str =
    r#"{"name": "conversation_search_date", "arguments": {"start_date": "2024-02-29", "page": 12}}"#;
const PAUSE: &str = r#"{"name": "pause", "arguments": {}}"#;
const ALLOWED: TextRule = TextRule::Allowed { max_chars: 80 };

fn wrong_calls() -> Vec<String> {
    let long = "y".repeat(60);
    let appends = [
        ("human", "other"),
        ("core_memory_append", "unknown"),
        ("é", "\\u00e9"),
        ("<b>", "\\/"),
        ("<b>", " "),
        ("😀", "\u{1}"),
        (r#""section": "human", "#, ""),
        (", ", ","),
        ("é", &long),
    ];
    let searches = [
        ("2024", "2023"),
        ("2024", "2100"),
        ("02-29", "04-31"),
        ("02-29", "00-10"),
        ("02-29", "13-10"),
        ("02-29", "10-00"),
        ("12}", "13}"),
        ("12}", "01}"),
        ("12}", "-1}"),
    ];
    let whole = [APPEND[..APPEND.len() - 1].to_owned(), format!("{APPEND}\n{APPEND}"), PAUSE.replace("{}", "{ }")];
    let appends = appends.iter().map(|(from, to)| APPEND.replace(from, to));
    appends.chain(searches.iter().map(|(from, to)| SEARCH.replace(from, to))).chain(whole).collect()
}

#[test]
fn the_hermes_grammar_takes_text_or_one_call() {
    let tagged = |call: &str| format!("<T>\n{call}\n</T>");
    let mut calls =
        [APPEND, SEARCH, PAUSE, &SEARCH.replace("2024-02-29", "2000-12-31").replace("12}", "0}")].map(tagged).to_vec();
    // What models write that do not know the tags.
    calls.extend([
        APPEND.to_string(),
        format!("{{{SEARCH}}}"),
        format!("<tools>\n{PAUSE}\n</tools>"),
        format!("```json\n{SEARCH}\n```"),
    ]);
    let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
    // Without tags, the object of a function that does not exist is text like any other.
    let known = wrong_calls().into_iter().filter(|call| !call.contains("unknown")).map(|call| call.to_string());
    let wrong: Vec<String> = wrong_calls().iter().map(|call| tagged(call)).chain(known).collect();
    let mut wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
    let texts = [
        "Hello!\n\n1 < 2",
        "{\"name\": \"Anna\"}",
        "```json\n{\"a\": 1}\n```",
        "{",
        "pause",
        "<b>x</b>",
        "[1]",
        "The tag <tool_call> opens a call.",
        "Mon 20 April",
        "The note is of [Mon 2026-11-30 21:01].",
    ];
    let fakes = [
        "<tool_call>\n{",
        "{ \n\"name\" : \"pause\", ",
        "```json\n{\"name\":\"pause\"",
        "[ {\"name\": \"pause\"}]",
        "[{\"pause\": 1}]",
        "```\n{\"pause\"",
        "pause()",
        "[Mon 2026-11-30 21:01] Hello",
        "Sure:\n<tool_call>",
        "Sure:\n{\"name\": \"pause\"",
        "<function=pause>",
        " hello",
        "",
        "hello ",
        "hello\n",
        "hello <T>",
        "a\u{1b}[2J",
    ];
    check("hermes", TextRule::Forbidden, &calls, &[&wrong[..], &texts, &[""]].concat());
    check("hermes", TextRule::Silent, &[&calls[..], &[""]].concat(), &[&wrong[..], &texts].concat());
    wrong.extend(fakes);
    check("hermes", ALLOWED, &[&calls[..], &texts].concat(), &wrong);
    let grammar = grammar(&*dialect("hermes"), &policy(ALLOWED));
    for fake in fakes.iter().filter(|fake| !["", "hello ", "hello\n"].contains(fake)) {
        assert!(refuses_beginning(&grammar, fake), "{fake}");
    }
}

#[test]
fn what_only_one_call_can_spell_is_forced() {
    let mut only = policy(TextRule::Forbidden);
    only.calls.remove(0);
    only.calls.truncate(1);
    let before = [
        ("hermes", "\n{\"name\": \"conversation_search_date\", \"arguments\": {\"start_date\": \""),
        ("chatml-json", "{\"name\": \"conversation_search_date\", \"arguments\": {\"start_date\": \""),
        ("classic", "{\"inner_thoughts\": \""),
    ];
    for (name, forced) in before {
        let mut matcher = grammar(&*dialect(name), &only).matcher().unwrap();
        if name == "hermes" {
            // The tag, or one of the spelled beginnings.
            assert_eq!(matcher.forced_token(), None);
            matcher.commit(OPEN).unwrap();
        }
        assert_eq!(String::from_utf8(matcher.forced_bytes()).unwrap(), forced, "{name}");
    }
}

#[test]
fn calls_and_variants_without_a_value_are_left_out() {
    for name in DIALECTS {
        let mut some = policy(TextRule::Forbidden);
        let append = &mut some.calls[0].variants;
        append.push(append[0].clone());
        append[0][0].rule = ArgumentRule::OneOf(vec![]);
        some.calls[1].variants[0][1].rule = ArgumentRule::Integer { min: 1, max: 0 };
        let grammar = grammar(&*dialect(name), &some);
        let replies = match name {
            "hermes" => [format!("<T>\n{APPEND}\n</T>"), format!("<T>\n{SEARCH}\n</T>")],
            "chatml-json" => [APPEND.to_string(), SEARCH.to_string()],
            _ => [CLASSIC_PAUSE.to_string(), CLASSIC_SEARCH.to_string()],
        };
        assert_eq!(replies.map(|reply| accepts(&grammar, &reply)), [true, false], "{name}");
    }
}

#[test]
fn the_chatml_json_grammar_takes_text_or_one_object() {
    let wrong = wrong_calls();
    let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
    let texts = [
        "Hello",
        "{\"a\": 1}",
        "{\"colour\": \"red\",\n \"name\": \"Anna\"}",
        "```json\n{\"name\": \"Anna\"}\n```",
        "{}",
        "{",
        "{ \"nam",
        "{'name'}",
    ];
    let fakes = ["{\"name\"", "{ \"name\": 1}", "{\n\n \"name\": 1}", "<tool_call>", "pause()", "<T>", "", "\n", "{ "];
    check("chatml-json", ALLOWED, &[&[APPEND, SEARCH, PAUSE][..], &texts].concat(), &[&wrong[..], &fakes].concat());
    check("chatml-json", TextRule::Forbidden, &[APPEND], &[&wrong[..], &fakes, &texts].concat());
    check("chatml-json", TextRule::Silent, &[PAUSE, ""], &[&wrong[..], &fakes[..2], &texts].concat());
}

pub(super) const SAY: &str =
    r#"{"inner_thoughts": "Greet.", "function": "send_message", "params": {"message": "Hi\n\"you\""}}"#;
const CLASSIC_PAUSE: &str =
    r#"{"inner_thoughts": "Rest.", "function": "pause", "params": {"request_heartbeat": false}}"#;
pub(super) const CLASSIC_SEARCH: &str = r#"{"inner_thoughts": "Look.", "function": "conversation_search_date", "params": {"start_date": "2024-02-29", "page": 3, "request_heartbeat": true}}"#;

#[test]
fn the_classic_grammar_takes_one_object_with_thoughts_first() {
    let long = SAY.replace("Greet.", &"x".repeat(81));
    let wrong = [
        "Hello",
        &long,
        &SAY.replace("Greet.", ""),
        &SAY.replace("Hi\\n\\\"you\\\"", ""),
        &SAY.replace("Hi", " Hi"),
        &SAY.replace("Hi", "\\u0048i"),
        &SAY.replace("you\\\"", "you\\\"\\n"),
        &SAY.replace("\"inner_thoughts\": \"Greet.\", ", ""),
        &CLASSIC_PAUSE.replace("false", "0"),
        &CLASSIC_PAUSE.replace("\"request_heartbeat\": false", ""),
        &SAY.replace("\"}}", "\", \"request_heartbeat\": true}}"),
    ];
    check("classic", ALLOWED, &[SAY, CLASSIC_PAUSE, CLASSIC_SEARCH], &[&wrong[..], &[""]].concat());
    check("classic", TextRule::Forbidden, &[CLASSIC_PAUSE, CLASSIC_SEARCH], &[&wrong[..], &[SAY, ""]].concat());
    check("classic", TextRule::Silent, &[CLASSIC_PAUSE, ""], &[&wrong[..], &[SAY]].concat());
}

#[test]
fn a_grammar_does_not_depend_on_those_before_it() {
    let mut other_names = policy(ALLOWED);
    other_names.function_names.push("other".into());
    let policies =
        [policy(ALLOWED), other_names, policy(TextRule::Allowed { max_chars: 200 }), policy(TextRule::Silent)];
    for name in DIALECTS {
        let used = dialect(name);
        for policy in policies.iter().chain(policies.iter().rev()) {
            assert_eq!(used.grammar(policy).unwrap(), dialect(name).grammar(policy).unwrap(), "{name}");
        }
    }
}

#[test]
fn a_policy_that_leaves_nothing_is_an_error() {
    for name in DIALECTS {
        for text in [TextRule::Forbidden, TextRule::Allowed { max_chars: 0 }] {
            let mut nothing = policy(text);
            nothing.calls.truncate(1);
            nothing.calls[0].variants[0][0].rule = ArgumentRule::OneOf(vec![]);
            let error = dialect(name).grammar(&nothing).unwrap_err();
            assert!(matches!(error, Error::EmptyPolicy), "{name}");
        }
        let mut silent = policy(TextRule::Silent);
        silent.calls.clear();
        assert!(accepts(&grammar(&*dialect(name), &silent), ""), "{name}");
    }
}
