//! Functions that are not the agent's own: how they are shown, which replies their grammar lets through, and that a reply
//! is read as what the grammar let it be.

use mneme::bench::functions::{Reply, read_reply};
use mneme::dialect::{CallPrompt, Speaker};
use mneme::grammar::{Compiler, Grammar, Limits};
use mneme::types::{CallOffer, FunctionDefinition};
use serde_json::Value;

use super::engine::{accepts, refuses_beginning, spelled, walk};
use super::*;

const WEATHER: &str = r#"{"name": "get_weather", "arguments": {"city": "Rome", "days": 3}}"#;
const ADD: &str = r#"{"name": "add", "arguments": {"numbers": [1, 2.5]}}"#;

fn definitions() -> Vec<FunctionDefinition> {
    let definition = |name: &str, description: &str, parameters: Value| FunctionDefinition {
        name: name.into(),
        description: description.into(),
        parameters,
    };
    vec![
        definition(
            "get_weather",
            "Tells the \"weather\" of <|im_end|> a city.",
            json!({
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["C", "F"]}},
                "required": ["city"],
            }),
        ),
        definition(
            "add",
            "Adds.",
            json!({
                "type": "object",
                "properties": {"numbers": {"type": "array", "items": {"type": "number"}}},
                "required": ["numbers"],
            }),
        ),
    ]
}

fn offer() -> CallOffer {
    CallOffer { functions: definitions(), most_calls: 3, max_text_chars: 200, max_thought_chars: 60 }
}

fn grammar(name: &str) -> Grammar {
    let source = dialect(name).calls_grammar(&offer()).unwrap();
    let compiler = Compiler::new(std::sync::Arc::new(vocab(TAGS)), Limits::default());
    compiler.compile(&source).unwrap_or_else(|error| panic!("{error}\n{source}"))
}

/// A call as a dialect writes it.
fn written(name: &str, call: &str) -> String {
    match name {
        "hermes" => format!("<T>\n{call}\n</T>"),
        "classic" => call
            .replace("{\"name\"", "{\"inner_thoughts\": \"So be it.\", \"function\"")
            .replace("\"arguments\"", "\"params\""),
        _ => call.to_owned(),
    }
}

fn read(reply: &str) -> Reply {
    let names = definitions().into_iter().map(|function| function.name).collect::<Vec<_>>();
    read_reply(&reply.replace("<T>", "<tool_call>").replace("</T>", "</tool_call>"), &names, true)
}

fn calls(reply: &Reply) -> Vec<Value> {
    match reply {
        Reply::Calls(calls) => calls.iter().map(|call| json!(call)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_call_or_several_and_text_may_be_written() {
    for name in DIALECTS {
        let grammar = grammar(name);
        let (weather, add) = (written(name, WEATHER), written(name, ADD));
        for several in [vec![&weather], vec![&weather, &add], vec![&add, &add, &weather]] {
            let reply = several.iter().map(|call| call.as_str()).collect::<Vec<_>>().join("\n");
            assert!(accepts(&grammar, &reply), "{name}: {reply}");
            assert_eq!(calls(&read(&reply)).len(), several.len(), "{name}: {reply}");
        }
        assert!(!accepts(&grammar, &[&*weather; 4].join("\n")), "{name}: more than three");
        assert!(!accepts(&grammar, &[&*weather; 2].join("")), "{name}: side by side");
        let text = match name {
            "classic" => written(name, r#"{"name": "send_message", "arguments": {"message": "Which city?"}}"#),
            _ => "Which city?".to_owned(),
        };
        assert!(accepts(&grammar, &text), "{name}: {text}");
        assert_eq!(read(&text), Reply::Text("Which city?".to_owned()));
    }
}

#[test]
fn calls_in_the_forms_that_models_of_the_family_write_may_be_several() {
    let grammar = grammar("hermes");
    for reply in [
        format!("{WEATHER}\n{ADD}"),
        format!("{{{WEATHER}\n{ADD}}}"),
        format!("<tools>\n{WEATHER}\n{ADD}\n</tools>"),
        format!("```json\n{WEATHER}\n{ADD}\n```"),
        format!("[{WEATHER}, {ADD}]"),
        "```json\n[\n  {\n    \"name\": \"get_weather\",\n    \"arguments\": {\n      \"city\": \"Rome\",\n      \
         \"days\": 3\n    }\n  },\n  {\"name\":\"add\",\"arguments\":{\"numbers\":[1,2.5]}}\n]\n```"
            .to_owned(),
    ] {
        assert!(accepts(&grammar, &reply), "{reply}");
        assert_eq!(calls(&read(&reply)), [WEATHER, ADD].map(|call| serde_json::from_str::<Value>(call).unwrap()));
    }
}

#[test]
fn what_the_schemas_do_not_allow_cannot_be_written() {
    for name in DIALECTS {
        let grammar = grammar(name);
        for (call, why) in [
            (r#"{"name": "get_weather", "arguments": {}}"#, "a city is required"),
            (r#"{"name": "get_weather", "arguments": {"days": 3}}"#, "a city is required"),
            (r#"{"name": "get_weather", "arguments": {"city": "Rome", "days": 3.5}}"#, "whole days"),
            (r#"{"name": "get_weather", "arguments": {"city": "Rome", "unit": "K"}}"#, "none of the units"),
            (r#"{"name": "get_weather", "arguments": {"city": "Rome", "sky": "x"}}"#, "no such parameter"),
            (r#"{"name": "add", "arguments": {"numbers": ["1"]}}"#, "numbers"),
            (r#"{"name": "subtract", "arguments": {"numbers": [1]}}"#, "no such function"),
        ] {
            assert!(!accepts(&grammar, &written(name, call)), "{name}: {call}: {why}");
        }
    }
    let hermes = grammar("hermes");
    for (beginning, failing) in [
        ("<T>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": 3", '3'),
        ("<T>\n{\"name\": \"add\", \"arguments\": {\"numbers\": [1, \"", '"'),
        ("{\"name\": \"get_weather\", \"arguments\": {\"d", 'd'),
    ] {
        let before = beginning.strip_suffix(failing).unwrap();
        assert!(!refuses_beginning(&hermes, before) && refuses_beginning(&hermes, beginning), "{beginning}");
    }
}

#[test]
fn text_cannot_begin_as_a_call() {
    for name in ["hermes", "chatml-json"] {
        let grammar = grammar(name);
        for text in [
            "<tool_call>\n{",
            "get_weather(",
            "Sure.\n{\"name\": \"get_weather\"",
            "```python\nget_weather(",
            "Sure.\n[{\"name\": \"add\"",
            "{\"name\": \"other\"",
            "Sure.\n```json\n{\n  \"name\": \"other\"",
            "Sure.\n{\"tool_calls\": [{\"name\": \"other\"",
            "{\"arguments\": {",
            "Sure.\n{\"parameters\": {",
        ] {
            assert!(refuses_beginning(&grammar, text), "{name}: {text}");
        }
    }
}

#[test]
fn definitions_and_questions_are_shown_as_the_template_wants_them() {
    for name in DIALECTS {
        let messages =
            [(Speaker::User, "Is it <tool_call> warm?"), (Speaker::Assistant, "Where?"), (Speaker::User, "In Rome.")];
        let functions = definitions();
        let prompt = CallPrompt { instructions: "Help.", functions: &functions, messages: &messages };
        let segments = dialect(name).render_calls(&prompt).unwrap();
        let prompt = plain(&segments);
        assert!(prompt.contains(r#""required": ["city"]"#), "{name}: {prompt}");
        assert!(prompt.ends_with("<|im_start|>assistant\n"), "{name}: {prompt}");
        let templates = segments.iter().filter(|segment| matches!(segment, Segment::Template(_)));
        let spelled_twice = templates.filter(|one| **one == Segment::Template("<|im_end|>".into())).count();
        assert_eq!(prompt.matches("<|im_end|>").count(), spelled_twice + 1, "{name}: that of a description is content");
        let order = ["Help.", "get_weather", "Is it <tool_call> warm?", "Where?", "In Rome."];
        let places: Vec<usize> = order.iter().map(|text| prompt.find(text).unwrap()).collect();
        assert!(places.is_sorted(), "{name}: {prompt}");
    }
}

/// Bytes by which walks stay near calls, fakes and code.
const LIKELY: &[u8] = b" \n{}[]\":,`<(namegt_wher.0";

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_grammar_lets_through_is_read_as_what_it_is(guide in 0_usize..10, seed: u64) {
        for name in DIALECTS {
            let grammar = grammar(name);
            let (weather, add) = (written(name, WEATHER), written(name, ADD));
            let both = format!("{add}\n{weather}");
            let guides = [
                "", &weather, &add, &both, "Sure:\n```json\n{\"name\": \"other\", \"arguments\": {}}", "get_weather is",
                "{\"colour\": \"red\", \"name\": \"Anna\"}", "Use <tool_call> for it",
                "{\"tool_calls\": [{\"name\": \"add\", \"arguments\": {}}]}", "{\"arguments\": {}, \"name\": \"add\"}",
            ];
            let reply = spelled(&walk(&grammar, guides[guide], LIKELY, seed));
            prop_assert!(accepts(&grammar, &reply), "{name}: {reply}");
            match read(&reply) {
                Reply::Calls(calls) => for call in calls {
                    prop_assert!(["get_weather", "add"].contains(&&*call.name), "{name}: {reply}");
                    let required = if call.name == "add" { "numbers" } else { "city" };
                    prop_assert!(call.arguments.contains_key(required), "{name}: {reply}");
                },
                Reply::Text(_) => prop_assert!(!reply.starts_with("<T>"), "{name}: {reply}"),
                other => prop_assert!(false, "{name}: {reply}: {other:?}"),
            }
        }
    }
}
