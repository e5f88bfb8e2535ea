//! What a reply is: calls, text, or neither.
//!
//! One reader for replies with and without a grammar, so that both are read alike. It is tolerant: calls may stand between
//! tags, in fences, as bare JSON in any of the usual shapes, or as calls of Python, with other text around them. An object
//! that begins with the key `name` and has arguments is a call of whatever function it names; the other shapes are calls
//! of known functions only. What begins like a call and cannot be read makes the reply unreadable; whatever else is not a
//! call is text. The grammars of the dialects let no line of a text begin so.

mod literal;

use serde_json::{Map, Value};

use super::Reply;
use crate::types::Call;
use literal::Reader;

/// Tags around calls, as models spell them.
const TAGS: [(&str, &str); 4] = [
    ("<tool_call>", "</tool_call>"),
    ("<tools>", "</tools>"),
    ("<function_call>", "</function_call>"),
    ("<TOOLCALL>", "</TOOLCALL>"),
];
const FENCE: &str = "```";
/// Keys under which shapes of calls have the function's name ..
const NAME_KEYS: [&str; 3] = ["name", "function", "function_name"];
/// .. and its arguments.
const ARGUMENTS_KEYS: [&str; 4] = ["arguments", "parameters", "params", "args"];
/// Keys with which such objects begin, their arguments apart.
const FIRST_KEYS: [&str; 6] = ["name", "function", "function_name", "inner_thoughts", "type", "id"];
/// Keys under which calls stand as in answers of a server.
const CALLS_KEYS: [&str; 3] = ["tool_calls", "tool_call", "function_call"];
/// In the classic profile the user is told something by a call of this name.
const SEND_MESSAGE: &str = "send_message";

/// Reads a reply to a prompt with functions of these names. `complete` is false where it was cut off.
#[must_use]
pub fn read_reply(text: &str, names: &[String], complete: bool) -> Reply {
    let reply = behind_thoughts(text).trim();
    let unreadable = |reason: &str| Reply::Unreadable { text: text.to_owned(), reason: reason.to_owned() };
    match calls_in(reply, names) {
        Found::Calls(_) | Found::Broken(_) if !complete => unreadable("the call is cut off"),
        Found::Calls(calls) => match message(&calls, names) {
            Some(message) => Reply::Text(message.to_owned()),
            None => Reply::Calls(calls),
        },
        Found::Broken(reason) => unreadable(reason),
        Found::Nothing => Reply::Text(reply.to_owned()),
    }
}

/// What was found in a text.
enum Found {
    Calls(Vec<Call>),
    /// Something that begins like a call, and what is wrong with it.
    Broken(&'static str),
    Nothing,
}

/// What stands behind thoughts that a model thinks aloud.
fn behind_thoughts(text: &str) -> &str {
    match text.trim_start().starts_with("<think>") {
        true => text.split_once("</think>").map_or(text, |(_, behind)| behind),
        false => text,
    }
}

/// The text of a reply that only tells the user something. Where a function of the case has that name, it is a call like any other.
fn message<'a>(calls: &'a [Call], names: &[String]) -> Option<&'a str> {
    match calls {
        [call] if call.name == SEND_MESSAGE && !names.contains(&call.name) => {
            call.arguments.get("message").and_then(Value::as_str)
        }
        _ => None,
    }
}

fn calls_in(reply: &str, names: &[String]) -> Found {
    let opens = |tag: &str| {
        let behind = reply.match_indices(tag).map(|(at, _)| reply.get(at + tag.len()..).unwrap_or_default());
        behind.into_iter().any(|behind| behind.trim_start().starts_with(['{', '[']))
    };
    let tagged = TAGS.iter().find_map(|(open, close)| opens(open).then(|| enclosed(reply, open, close)));
    if let Some(blocks) = tagged {
        return all_of(&blocks, names).unwrap_or(Found::Broken("what stands between the tags is no call"));
    }
    if reply.contains(FENCE) {
        let blocks: Vec<&str> = fenced(reply).into_iter().filter(|block| begins_like_call(block, names)).collect();
        if !blocks.is_empty() {
            return all_of(&blocks, names).unwrap_or(Found::Broken("what stands in the fence is no call"));
        }
    }
    let mut start = 0;
    for line in reply.split_inclusive('\n') {
        let rest = reply.get(start..).unwrap_or_default();
        if begins_like_call(rest, names) {
            return all_of(&[rest], names).unwrap_or(Found::Broken("it begins like a call, but is none"));
        }
        start += line.len();
    }
    Found::Nothing
}

/// The calls of all blocks; none where a block holds none.
fn all_of(blocks: &[&str], names: &[String]) -> Option<Found> {
    let mut calls = Vec::new();
    for block in blocks {
        let found = json_calls(block).or_else(|| {
            let calls = Reader::new(block).calls(names);
            (!calls.is_empty()).then_some(calls)
        });
        calls.extend(found?);
    }
    (!calls.is_empty()).then_some(Found::Calls(calls))
}

/// What stands between tags; the last closing tag may be missing, as opening tags may between two closing ones.
fn enclosed<'a>(reply: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    let behind = reply.split_once(open).map_or("", |(_, behind)| behind);
    let mut blocks = Vec::new();
    for block in behind.split(open) {
        let (block, _) = block.split_once(close).unwrap_or((block, ""));
        blocks.push(block.trim());
    }
    blocks
}

/// What stands in fences, without the language behind the opening one.
fn fenced(reply: &str) -> Vec<&str> {
    let parts = reply.split(FENCE).skip(1).step_by(2);
    parts
        .map(|part| {
            let language = part.find(|one: char| !one.is_ascii_alphanumeric() && one != '_').unwrap_or(part.len());
            let (word, behind) = part.split_at(language);
            if behind.starts_with(['\n', '\r', ' ']) || word.is_empty() { behind.trim() } else { part.trim() }
        })
        .collect()
}

/// Whether a text begins like a call.
fn begins_like_call(text: &str, names: &[String]) -> bool {
    let text = text.trim_start();
    let inside = text.trim_start_matches(['[', '{', ' ', '\n', '\t']);
    let quoted = inside.trim_start_matches(['"', '\'']);
    let has_key = |key: &str| quoted.strip_prefix(key).is_some_and(|rest| rest.starts_with(['"', '\'']));
    if inside.len() < text.len() && quoted.len() < inside.len() {
        let flat = text.replace('.', "_");
        let names_known =
            || names.iter().any(|name| flat.contains(&format!("\"{name}\"")) || flat.contains(&format!("'{name}'")));
        let mut first_keys = FIRST_KEYS.iter().chain(&ARGUMENTS_KEYS).chain(&CALLS_KEYS);
        let has_call_key = first_keys.any(|key| has_key(key));
        if has_call_key && has_arguments(text) && (has_key("name") || names_known() || text.contains(SEND_MESSAGE)) {
            return true;
        }
        // `{"name": {..}}` under the function's own name.
        if names.iter().any(|name| has_key(name) || has_key(&name.replace('_', "."))) {
            return true;
        }
    }
    let word = inside.find(|one: char| !one.is_alphanumeric() && one != '_' && one != '.').unwrap_or(inside.len());
    let (word, behind) = inside.split_at(word);
    behind.starts_with('(') && names.iter().any(|name| *name == word || *name == word.replace('.', "_"))
}

fn has_arguments(text: &str) -> bool {
    ARGUMENTS_KEYS.iter().any(|key| text.contains(&format!("\"{key}\"")) || text.contains(&format!("'{key}'")))
}

/// The calls of JSON values that follow one another; none where the first of them is no call.
fn json_calls(block: &str) -> Option<Vec<Call>> {
    let mut rest = block.trim();
    // Templates of some models show calls with doubled braces, and models copy them.
    if let Some(inside) = rest.strip_prefix("{").map(str::trim_start).filter(|inside| inside.starts_with('{')) {
        rest = inside;
    }
    let mut calls = Vec::new();
    while rest.starts_with(['{', '[']) {
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let value = match stream.next() {
            Some(Ok(value)) => {
                rest = rest.get(stream.byte_offset()..).unwrap_or_default();
                value
            }
            _ => {
                let mut reader = Reader::new(rest);
                let value = reader.value(0)?;
                rest = reader.rest();
                value
            }
        };
        match called(value) {
            Value::Array(items) => {
                for item in items {
                    calls.push(call_of(item)?);
                }
            }
            value => calls.push(call_of(value)?),
        }
        rest = rest.trim_start_matches([',', ';', '}', ' ', '\n', '\t', '\r']);
    }
    (!calls.is_empty()).then_some(calls)
}

/// What stands under a key for calls, where the value is no call itself; else the value.
fn called(mut value: Value) -> Value {
    let is_call = |members: &Map<String, Value>| NAME_KEYS.iter().any(|key| members.contains_key(*key));
    let members = value.as_object_mut().filter(|members| !is_call(members));
    let under_key = members.and_then(|members| CALLS_KEYS.iter().find_map(|key| members.shift_remove(*key)));
    under_key.filter(|under| under.is_object() || under.is_array()).unwrap_or(value)
}

/// A call in one of the usual shapes.
fn call_of(value: Value) -> Option<Call> {
    let Value::Object(mut members) = value else { return None };
    // `{"type": "function", "function": {..}}`
    if let Some(Value::Object(function)) = members.get("function") {
        return call_of(function.clone().into());
    }
    let name = NAME_KEYS.iter().find_map(|key| members.get(*key).and_then(Value::as_str).map(str::to_owned));
    if let Some(name) = name {
        let arguments = ARGUMENTS_KEYS.iter().find_map(|key| members.shift_remove(*key));
        return Some(Call { name: name.replace('.', "_"), arguments: arguments_of(arguments?)? });
    }
    // `{"name": {..}}` under the function's own name.
    let mut members = members.into_iter();
    match (members.next(), members.next()) {
        (Some((name, arguments @ Value::Object(_))), None) => {
            Some(Call { name: name.replace('.', "_"), arguments: arguments_of(arguments)? })
        }
        _ => None,
    }
}

/// Arguments, also where they are a text that holds them.
fn arguments_of(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(members) => Some(members),
        Value::String(text) => serde_json::from_str(&text).ok(),
        Value::Null => Some(Map::new()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Reply {
        read_reply(text, &["get_weather".to_owned(), "add".to_owned()], true)
    }

    fn calls(expected: &[(&str, Value)]) -> Reply {
        let call = |(name, arguments): &(&str, Value)| Call {
            name: (*name).to_owned(),
            arguments: arguments.as_object().unwrap().clone(),
        };
        Reply::Calls(expected.iter().map(call).collect())
    }

    #[test]
    fn calls_are_read_in_every_usual_shape() {
        let one = calls(&[("get_weather", json!({"city": "Rome"}))]);
        for text in [
            "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>",
            "I will look.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}",
            "<tools>\n{\"name\": \"get.weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tools>",
            "```json\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}\n```",
            "Here:\n```\n[{'name': 'get_weather', 'parameters': {'city': 'Rome'}}]\n```\nDone.",
            "{{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}}",
            "{\"name\": \"get_weather\", \"arguments\": \"{\\\"city\\\": \\\"Rome\\\"}\"}",
            "{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}}",
            "{\"inner_thoughts\": \"Rome.\", \"function\": \"get_weather\", \"params\": {\"city\": \"Rome\"}}",
            "{\"get_weather\": {\"city\": \"Rome\"}}",
            "{\"arguments\": {\"city\": \"Rome\"}, \"name\": \"get_weather\"}",
            "{\"tool_calls\": [{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}]}",
            "{\"function_call\": {\"name\": \"get_weather\", \"parameters\": {\"city\": \"Rome\"}}}",
            "[get_weather(city='Rome')]",
            "```python\nget_weather(city=\"Rome\")\n```",
            "Sure:\nget_weather(city='Rome')",
            "<think>get_weather or add?</think>\n\nget_weather(city='Rome')",
        ] {
            assert_eq!(read(text), one, "{text}");
        }
    }

    #[test]
    fn several_calls_are_read_in_their_order() {
        let several = calls(&[("add", json!({"a": 1})), ("add", json!({"a": 2}))]);
        for text in [
            "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>\n<tool_call>\n{\"name\": \"add\", \
             \"arguments\": {\"a\": 2}}\n</tool_call>",
            "{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n{\"name\": \"add\", \"arguments\": {\"a\": 2}}",
            "{{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n{\"name\": \"add\", \"arguments\": {\"a\": 2}}}",
            "[{\"name\": \"add\", \"arguments\": {\"a\": 1}}, {\"name\": \"add\", \"arguments\": {\"a\": 2}}]",
            "```json\n{\"add\": {\"a\": 1}}\n```\nand\n```json\n{\"add\": {\"a\": 2}}\n```",
            "[add(a=1), add(a=2)]",
            "add(a=1)\nadd(a=2)",
        ] {
            assert_eq!(read(text), several, "{text}");
        }
    }

    #[test]
    fn text_stays_text() {
        for text in [
            "It is warm in Rome.",
            "You could add(1, 2) yourself.",
            "```python\nprint(1)\n```",
            "{\"name\": \"Ann\", \"age\": 3}",
            "{\"parameters\": {\"city\": \"Rome\"}}",
            "{\"tool_call\": \"get_weather\"}",
            "[1, 2, 3] are numbers.",
            "",
        ] {
            assert_eq!(read(text), Reply::Text(text.to_owned()), "{text}");
        }
        let told = "{\"inner_thoughts\": \"\", \"function\": \"send_message\", \"params\": {\"message\": \"No.\"}}";
        assert_eq!(read(told), Reply::Text("No.".to_owned()));
        let own = read_reply(told, &["send_message".to_owned()], true);
        assert_eq!(own, calls(&[("send_message", json!({"message": "No."}))]), "a function of the case");
    }

    #[test]
    fn what_begins_like_a_call_and_is_none_is_unreadable() {
        let is_unreadable =
            |text: &str, complete| matches!(read_reply(text, &["add".to_owned()], complete), Reply::Unreadable { .. });
        for text in [
            "<tool_call>\n{\"name\": \"add\"}\n</tool_call>",
            "{\"name\": \"add\", \"arguments\": {\"a\": ",
            "add(1, 2)",
            "```json\n{\"name\": \"add\", \"arguments\": [1]}\n```",
        ] {
            assert!(is_unreadable(text, true), "{text}");
        }
        assert!(is_unreadable("{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n{\"name\"", false), "it was cut off");
        assert_eq!(read_reply("I could", &[], false), Reply::Text("I could".to_owned()));
    }
}
