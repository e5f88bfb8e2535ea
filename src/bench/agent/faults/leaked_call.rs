//! Call syntax in a reply: the user reads what was meant for the machine.

use super::super::words::has;

/// Marks of the models' own call formats and of code, in which small models wrap calls.
const MARKS: [&str; 6] = ["<tool_call", "</tool_call", "<tool_response", "<function", "<|im_", "```"];

/// Whether a mark stands in the reply, or the name of a function with a brace before it or a parenthesis behind it.
pub(super) fn is_leaked(reply: &str, functions: &[String]) -> bool {
    if MARKS.iter().any(|mark| reply.contains(mark)) {
        return true;
    }
    let in_braces = reply.split_once('{').is_some_and(|(_, inside)| has(inside, functions));
    in_braces || functions.iter().any(|name| reply.contains(&format!("{name}(")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_and_talk_about_memory_is_not() {
        let functions = crate::functions::names();
        for leaked in [
            "<tool_call>",
            "Here:\n```json\n{}\n```",
            r#"{"name": "archival_memory_search", "arguments": {}}"#,
            r#"Sure! {"function": "send_message", "params": {}}"#,
            "archival_memory_search(\"cat\")",
            "</tool_call> Hello",
        ] {
            assert!(is_leaked(leaked, &functions), "{leaked}");
        }
        for fine in [
            "I searched my archival memory for it.",
            "Use {curly} braces.",
            "archival_memory_search {not a call}",
            "I could use archival_memory_search, if you like.",
            "",
        ] {
            assert!(!is_leaked(fine, &functions), "{fine}");
        }
    }
}
