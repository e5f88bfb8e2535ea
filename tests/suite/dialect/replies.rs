//! What is made of a generation: parsers, whole and in pieces, and the way back into the prompt.

use std::collections::BTreeSet;

use mneme::dialect::{Action, Error, Piece};
use mneme::types::{Body, Call, TextRule, TokenId};
use proptest::prelude::*;
use serde_json::json;

use super::engine::{accepts, grammar};
use super::writing::{APPEND, CLASSIC_SEARCH, SAY, SEARCH, policy};
use super::*;

/// Feeds `reply` cut at `cuts`; gives the pieces by kind and the action.
pub(super) fn parse(
    name: &str,
    reply: &str,
    cuts: &[usize],
    complete: bool,
) -> (String, String, Result<Action, Error>) {
    let mut known = policy(TextRule::Silent);
    known.function_names.push("core".into());
    let mut parser = dialect(name).reply_parser(&known);
    let (mut text, mut thoughts) = (String::new(), String::new());
    let mut push = |token, bytes: &[u8]| {
        for piece in parser.push(token, bytes) {
            match piece {
                Piece::Text(piece) => text.push_str(&piece),
                Piece::Thought(piece) => thoughts.push_str(&piece),
            }
        }
    };
    let mut rest = reply;
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix("<T>") {
            push(OPEN, b"");
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix("</T>") {
            push(CLOSE, b"");
            rest = behind;
        } else {
            let end = [rest.find("<T>"), rest.find("</T>")].into_iter().flatten().min().unwrap_or(rest.len());
            let (run, behind) = rest.split_at(end);
            let mut start = 0;
            for cut in cuts.iter().copied().filter(|cut| *cut < run.len()).collect::<BTreeSet<_>>() {
                push(ANY_TEXT, &run.as_bytes()[start..cut]);
                start = cut;
            }
            push(ANY_TEXT, &run.as_bytes()[start..]);
            rest = behind;
        }
    }
    if complete {
        push(TokenId(1), b"");
    }
    (text, thoughts, parser.finish(complete))
}

#[test]
fn replies_become_actions() {
    let tagged = format!("<T>\n{SEARCH}\n</T>");
    let search = call("conversation_search_date", json!({"start_date": "2024-02-29", "page": 12}));
    for (name, reply) in [("hermes", tagged.as_str()), ("chatml-json", SEARCH)] {
        let (text, _, action) = parse(name, reply, &[], true);
        let expected = Action::Call { thoughts: None, call: search.clone(), request_heartbeat: None };
        assert_eq!((text.as_str(), action.unwrap()), ("", expected), "{name}");
        let (text, _, action) = parse(name, "{ \"nam\n ", &[], true);
        let expected = Action::Text { thoughts: None, text: "{ \"nam".into() };
        assert_eq!(action.unwrap(), expected, "{name}");
        assert!(expected == Action::Text { thoughts: None, text: text.clone() } || text.is_empty());
        assert_eq!(parse(name, "", &[], true).2.unwrap(), Action::Nothing, "{name}");
        assert_eq!(parse(name, "\n", &[], false).2.unwrap(), Action::Nothing, "{name}");
    }

    let (text, thoughts, action) = parse("classic", SAY, &[], true);
    assert_eq!((text.as_str(), thoughts.as_str()), ("Hi\n\"you\"", "Greet."));
    assert_eq!(action.unwrap(), Action::Text { thoughts: Some(thoughts), text });
    let (text, thoughts, action) = parse("classic", CLASSIC_SEARCH, &[], true);
    let action = action.unwrap();
    let expected = call("conversation_search_date", json!({"start_date": "2024-02-29", "page": 3}));
    assert_eq!(text, "");
    assert_eq!(action, Action::Call { thoughts: Some(thoughts), call: expected, request_heartbeat: Some(true) });
    let stored: Vec<String> = action.stored_call().unwrap().arguments.keys().cloned().collect();
    assert_eq!(stored, ["start_date", "page", "request_heartbeat"]);
    assert_eq!(parse("classic", "", &[], true).2.unwrap(), Action::Nothing);
}

#[test]
fn a_cut_call_is_incomplete_and_cut_text_is_text() {
    let tagged = format!("<T>\n{APPEND}\n</T>");
    for (name, reply) in [("hermes", tagged.as_str()), ("chatml-json", APPEND), ("classic", CLASSIC_SEARCH)] {
        for (end, _) in reply.char_indices().skip(1) {
            if name == "hermes" && (end < 3 || end > reply.len() - 4) {
                continue;
            }
            let action = parse(name, &reply[..end], &[], false).2;
            assert!(matches!(action, Err(Error::Incomplete)), "{name}: {}: {action:?}", &reply[..end]);
        }
    }
    for name in ["hermes", "chatml-json"] {
        let action = parse(name, "Once upon ", &[], false).2.unwrap();
        assert_eq!(action, Action::Text { thoughts: None, text: "Once upon".into() }, "{name}");
    }
    let action = parse("classic", &SAY[..SAY.find("you").unwrap() + 2], &[], false).2.unwrap();
    assert_eq!(action, Action::Text { thoughts: Some("Greet.".into()), text: "Hi\n\"yo".into() });
    let action = parse("classic", &SAY[..SAY.find("send").unwrap()], &[], false).2;
    assert!(matches!(action, Err(Error::Incomplete)), "{action:?}");
}

#[test]
fn what_no_grammar_allows_is_malformed() {
    let cases = [
        ("hermes", "<T>\n{\"name\": \"x\"}\n</T>"),
        ("hermes", "<T>\n{\"name\": \"x\", \"arguments\": {}}"),
        ("hermes", "text<T>\n{\"name\": \"x\", \"arguments\": {}}\n</T>"),
        ("chatml-json", "{\"name\": \"x\", \"arguments\": {}} more"),
        ("classic", "hello"),
        ("classic", "{\"inner_thoughts\": \"\", \"function\": \"send_message\", \"params\": {}}"),
        ("classic", "{\"inner_thoughts\": \"\", \"function\": \"x\", \"params\": {\"request_heartbeat\": 1}}"),
    ];
    for (name, reply) in cases {
        let action = parse(name, reply, &[], true).2;
        assert!(matches!(action, Err(Error::Malformed { .. })), "{name} {reply}: {action:?}");
    }
}

/// The reply that the model would have generated for `action`, by the spelling that the grammar forces.
fn spelled(name: &str, action: &Action) -> String {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let object = |call: &Call| {
        let members: Vec<String> = call
            .arguments
            .iter()
            .map(|(key, value)| format!("{}: {}", quoted(key), value.as_str().map_or(value.to_string(), quoted)))
            .collect();
        format!("{{{}}}", members.join(", "))
    };
    match action {
        Action::Call { call, .. } if name == "hermes" => {
            format!("<T>\n{{\"name\": {}, \"arguments\": {}}}\n</T>", quoted(&call.name), object(call))
        }
        Action::Call { call, .. } if name == "chatml-json" => {
            format!("{{\"name\": {}, \"arguments\": {}}}", quoted(&call.name), object(call))
        }
        Action::Call { thoughts, .. } => {
            let call = action.stored_call().unwrap();
            let thoughts = quoted(thoughts.as_deref().unwrap());
            let params = object(&call);
            format!("{{\"inner_thoughts\": {thoughts}, \"function\": {}, \"params\": {params}}}", quoted(&call.name))
        }
        Action::Text { thoughts: Some(thoughts), text } => format!(
            "{{\"inner_thoughts\": {}, \"function\": \"send_message\", \"params\": {{\"message\": {}}}}}",
            quoted(thoughts),
            quoted(text)
        ),
        Action::Text { text, .. } => text.clone(),
        Action::Nothing => String::new(),
    }
}

fn written() -> impl Strategy<Value = String> {
    // Characters of one to four bytes, and those that JSON escapes.
    proptest::collection::vec(
        prop_oneof![
            Just('"'),
            Just('\\'),
            Just('\n'),
            Just('{'),
            Just('é'),
            Just('€'),
            Just('😀'),
            proptest::char::range('a', 'z'),
            Just(' ')
        ],
        0..40,
    )
    // Strings of a call neither begin nor end with white space.
    .prop_map(|characters| format!("T{}.", characters.into_iter().collect::<String>()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_call_is_allowed_parsed_at_any_cut_and_rendered_as_it_was_generated(
        content in written(), thought in written(), heartbeat: bool, cuts in proptest::collection::vec(0_usize..300, 0..40)
    ) {
        for name in DIALECTS {
            let classic = name == "classic";
            let action = Action::Call {
                thoughts: classic.then(|| thought.clone()),
                call: call("core_memory_append", json!({"section": "persona", "content": content})),
                request_heartbeat: classic.then_some(heartbeat),
            };
            let reply = spelled(name, &action);
            prop_assert!(accepts(&grammar(&*dialect(name), &policy(TextRule::Forbidden)), &reply), "{name}: {reply}");
            let every_byte: Vec<usize> = (0..reply.len()).collect();
            for cuts in [&cuts[..], &[], &every_byte] {
                let (text, thoughts, parsed) = parse(name, &reply, cuts, true);
                prop_assert_eq!(&text, "");
                prop_assert_eq!(thoughts, if classic { thought.clone() } else { String::new() });
                prop_assert_eq!(&parsed.unwrap(), &action);
            }
            // The prompt of the next step goes on with exactly what was generated.
            let before = [user("Hello")];
            let stored = Body::Assistant { thoughts: Some(thought.clone()), text: None, call: action.stored_call() };
            let after = [user("Hello"), message(stored), result("done")];
            let generated = reply.replace("<T>", "<tool_call>").replace("</T>", "</tool_call>");
            let expected = plain(&render(&*dialect(name), &before)) + &generated + "<|im_end|>";
            let prompt = plain(&render(&*dialect(name), &after));
            prop_assert!(prompt.starts_with(&expected), "{prompt}\n---\n{expected}");
        }
    }

    #[test]
    fn text_streams_alike_at_any_cut(text in written(), thought in written(), cuts in proptest::collection::vec(0_usize..300, 0..40)) {
        for name in DIALECTS {
            let classic = name == "classic";
            // Text of the native dialects loses white space at the end.
            let action = Action::Text { thoughts: classic.then(|| thought.clone()), text: text.clone() };
            let reply = spelled(name, &action) + if classic { "" } else { " \n" };
            let every_byte: Vec<usize> = (0..reply.len()).collect();
            for cuts in [&cuts[..], &[], &every_byte] {
                let (shown, thoughts, parsed) = parse(name, &reply, cuts, true);
                prop_assert_eq!(&shown, &text);
                prop_assert_eq!(thoughts, if classic { thought.clone() } else { String::new() });
                prop_assert_eq!(&parsed.unwrap(), &action);
            }
        }
    }

    #[test]
    fn no_generation_makes_a_parser_panic(reply in "[\\{\\}\\[\\]\":, a-z\\\\u0-9d]{0,60}", complete: bool) {
        for name in DIALECTS {
            for reply in [reply.clone(), format!("{{\"name\"{reply}"), format!("<T>{reply}</T>"), format!("{{\"inner_thoughts\": \"{reply}")] {
                let _ = parse(name, &reply, &[1, 3, 8], complete);
            }
        }
    }
}
