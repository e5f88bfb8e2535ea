//! Random generations under the grammar of a step: whatever the grammar lets a model write, the dialect's parser
//! understands, the policy allows, and the next prompt repeats.

use mneme::dialect::Action;
use mneme::types::{AllowedCall, ArgumentRule, Body, Call, NamedRule, StepPolicy, TextRule};
use proptest::prelude::*;
use serde_json::Value;

use super::engine::{accepts, grammar, spelled, walk};
use super::replies::parse;
use super::writing::{APPEND, CLASSIC_SEARCH, SAY, SEARCH, policy};
use super::*;

/// Bytes by which walks stay near calls, fakes and code.
const LIKELY: &[u8] = b" \n{}[]\":,`<(namepusetool_cl.";

/// What walks begin like: calls of each dialect, fakes and texts.
const GUIDES: &[&str] = &[
    "",
    APPEND,
    SEARCH,
    SAY,
    CLASSIC_SEARCH,
    "<T>\n{\"name\": \"core_memory_append\", \"arguments\": {\"section\": \"",
    "<T>\n{\"name\": \"pause\", \"arguments\": {}}\n</T>",
    "{\"name\": \"pause\", \"arguments\": {}}",
    "{\n  \"name\": \"pause\", \"arguments\": {}}",
    "{\"inner_thoughts\": \"I rest.\", \"function\": \"pause\", \"params\": {\"request_heartbeat\": false}}",
    "Sure:\n```json\n{\"name\": \"pause\", \"arguments\": {}}\n```",
    "<tool_call>\n{\"name\": \"pause\"",
    "pause(\"x\")",
    "[{\"name\" : \"pause\"}]",
    "{\"colour\": \"red\", \"name\": \"Anna\"}",
];

fn rule() -> impl Strategy<Value = ArgumentRule> {
    prop_oneof![
        prop::collection::vec("[a-z\"\\\\ é\n/\u{1}\u{7f}]{0,6}", 0..4).prop_map(ArgumentRule::OneOf),
        (0_usize..20, 0_usize..90)
            .prop_map(|(min_chars, more)| ArgumentRule::Text { min_chars, max_chars: min_chars + more }),
        Just(ArgumentRule::Date),
        (0_u32..500, 0_u32..5000).prop_map(|(min, more)| ArgumentRule::Integer { min, max: min + more }),
    ]
}

/// Policies around the functions of the guides, some with values that cannot be written.
fn policies() -> impl Strategy<Value = StepPolicy> {
    let text = prop_oneof![
        Just(TextRule::Forbidden),
        Just(TextRule::Silent),
        (1_usize..120).prop_map(|max_chars| TextRule::Allowed { max_chars }),
    ];
    let variants = prop::collection::vec(prop::collection::vec(rule(), 0..3), 1..3);
    (text, variants, 0_usize..100).prop_map(|(text, variants, max_thought_chars)| {
        let mut policy = policy(text);
        let variants = variants.into_iter().map(|rules| {
            let named = rules.into_iter().zip(["first key", "second \"key\""]);
            named.map(|(rule, name)| NamedRule { name: name.into(), rule }).collect()
        });
        policy.calls.push(AllowedCall { name: "core".into(), variants: variants.collect() });
        policy.function_names.push("core".into());
        policy.max_thought_chars = max_thought_chars;
        policy
    })
}

fn holds(rule: &ArgumentRule, value: &Value) -> bool {
    match rule {
        ArgumentRule::OneOf(values) => value.as_str().is_some_and(|value| values.iter().any(|one| one == value)),
        ArgumentRule::Text { min_chars, max_chars } => value
            .as_str()
            .is_some_and(|value| (*min_chars..=*max_chars).contains(&value.chars().count()) && value.trim() == value),
        ArgumentRule::Date => value.as_str().is_some_and(|value| value.parse::<jiff::civil::Date>().is_ok()),
        ArgumentRule::Integer { min, max } => {
            value.as_u64().is_some_and(|value| (u64::from(*min)..=u64::from(*max)).contains(&value))
        }
    }
}

fn allowed(policy: &StepPolicy, call: &Call) -> bool {
    policy.calls.iter().filter(|allowed| allowed.name == call.name).flat_map(|allowed| &allowed.variants).any(
        |variant| {
            variant.len() == call.arguments.len()
                && variant
                    .iter()
                    .zip(&call.arguments)
                    .all(|(NamedRule { name, rule }, (key, value))| name == key && holds(rule, value))
        },
    )
}

/// A call that hermes let through without the tags, as the prompt shows it.
fn in_tags(name: &str, reply: &str) -> String {
    let spelled = [("{{", "}}"), ("<tools>\n{", "}\n</tools>"), ("```json\n{", "}\n```"), ("{", "}")];
    let object = spelled.iter().find_map(|(open, close)| reply.strip_prefix(open)?.strip_suffix(close));
    match object {
        Some(members)
            if name == "hermes" && members.starts_with("\"name\": \"") && members.contains("\"arguments\": {") =>
        {
            format!("<T>\n{{{members}}}\n</T>")
        }
        _ => reply.to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_grammar_lets_through_is_an_action_that_is_allowed_and_rendered_again(
        policy in policies(), guides in prop::collection::vec(0..GUIDES.len(), 4), seed: u64
    ) {
        for name in DIALECTS {
            let dialect = dialect(name);
            let grammar = grammar(&*dialect, &policy);
            for (guide, seed) in guides.iter().zip(seed..=u64::MAX) {
                let tokens = walk(&grammar, GUIDES[*guide], LIKELY, seed);
                let reply = spelled(&tokens);
                prop_assert!(accepts(&grammar, &reply), "{name}: {reply}");
                let (shown, thoughts, action) = parse(name, &reply, &[], true);
                let action = action.map_err(|error| TestCaseError::fail(format!("{name}: {reply}: {error}")))?;
                let body = match &action {
                    Action::Nothing => {
                        prop_assert_eq!((policy.text, reply.as_str()), (TextRule::Silent, ""));
                        continue;
                    }
                    Action::Text { thoughts: parsed, text } => {
                        prop_assert!(matches!(policy.text, TextRule::Allowed { .. }), "{name}: {reply}");
                        // What could become a call up to its last byte is shown with the action only.
                        let undecided = shown.is_empty() && (text.starts_with(['{', '<', '`']));
                        prop_assert!(undecided || shown == *text, "{name}: {reply}");
                        prop_assert_eq!(&thoughts, parsed.as_deref().unwrap_or_default());
                        prop_assert_eq!(text.trim(), text);
                        Body::Assistant { thoughts: parsed.clone(), text: Some(text.clone()), call: None }
                    }
                    Action::Call { thoughts, call, request_heartbeat } => {
                        prop_assert!(allowed(&policy, call), "{name}: {reply}");
                        prop_assert_eq!(request_heartbeat.is_some(), name == "classic");
                        Body::Assistant { thoughts: thoughts.clone(), text: None, call: action.stored_call() }
                    }
                };
                // The prompt of the next step goes on with exactly what was generated.
                let generated = in_tags(name, &reply).replace("<T>", "<tool_call>").replace("</T>", "</tool_call>");
                let expected = plain(&render(&*dialect, &[user("Hello")])) + &generated + "<|im_end|>";
                let prompt = plain(&render(&*dialect, &[user("Hello"), message(body), result("done")]));
                prop_assert!(prompt.starts_with(&expected), "{prompt}\n---\n{expected}");
            }
        }
    }
}
