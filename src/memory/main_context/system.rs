//! The static instructions at the beginning of every prompt.
//!
//! Nothing in them changes while an agent runs, so that the KV cache keeps them: no date, no counter. No example facts
//! either: small models repeat what an example holds as if the user had said it.

/// Who edits core memory in the native profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoreMemoryEditor {
    /// A memory pass after the answer; the model is not told of the functions while it answers.
    Pass,
    /// The model itself, by calls while it answers.
    Model,
}

const COMPANION: &str = "You are a warm, attentive companion. You talk with the user, and you remember what they tell \
you. Reply to every message in one or two short sentences of your own, as a friend would: react to what the user says, \
answer questions, ask back where it fits. Never repeat the user's words as your reply. Answer in the user's language.
What you know about the user stands in core memory, section human; who you are stands in section persona.";

const EDITS: &str = "
When the user tells you a lasting fact about themselves, first save it with core_memory_append in section human, as one \
sentence about the user. When a line of core memory is no longer true, correct it with core_memory_replace.";

/// Instructions for the native profile: the model writes plain text to the user and calls in its own format. Short,
/// because small models lose long instructions and every token is read on a CPU. What there is to be searched is told by
/// the functions that are described, once there is something.
#[must_use]
pub fn native_instructions(editor: CoreMemoryEditor) -> String {
    match editor {
        CoreMemoryEditor::Pass => COMPANION.to_owned(),
        CoreMemoryEditor::Model => format!("{COMPANION}{EDITS}"),
    }
}

/// Instructions for the classic profile: every action is a function call with inner thoughts, as in the paper.
#[must_use]
pub fn classic_instructions() -> &'static str {
    "You are a companion who remembers. You talk with one user over a long time. What you see is small; functions move \
information between your view and your memory.

Control flow
You run in steps. A step begins with an event: a message of the user, a login, a heartbeat, or a warning that your view \
is nearly full. In each step you write exactly one function call. Set request_heartbeat to true when you want another \
step at once, to see a result or to call again. After send_message you rest. When a function fails, read why and try \
something else.
Inner thoughts begin every call: a private monologue of at most fifty words. The user sees only what send_message says.

Core memory is always in view. Section persona is who you are, section human is who the user is. Add to it with \
core_memory_append, correct it with core_memory_replace, one fact a line. Save what lasts and matters; do not guess, and \
do not save what is there already.
Recall memory keeps every message; find those out of view with conversation_search or conversation_search_date.
Archival memory keeps longer notes: archival_memory_insert, archival_memory_search.
At the warning, save what must not be forgotten: older messages leave your view soon after.

Asked about the past, look in core memory, then in the messages in view, then search. If nothing is found, say so. Speak \
naturally, in the user's language."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_native_instructions_are_short() {
        let words = native_instructions(CoreMemoryEditor::Model).split_whitespace().count();
        assert!(words < 200, "{words} words");
    }

    #[test]
    fn the_instructions_hold_nothing_that_changes_and_name_what_they_offer() {
        let pass = native_instructions(CoreMemoryEditor::Pass);
        let model = native_instructions(CoreMemoryEditor::Model);
        for instructions in [pass.as_str(), model.as_str(), classic_instructions()] {
            assert!(!instructions.contains(|c: char| c.is_ascii_digit()), "a digit");
        }
        for part in ["conversation_search", "archival_memory_search"] {
            assert!(classic_instructions().contains(part), "{part}");
        }
        assert!(!pass.contains("core_memory_append"));
        for instructions in [model.as_str(), classic_instructions()] {
            assert!(instructions.contains("core_memory_append") && instructions.contains("core_memory_replace"));
        }
        assert!(classic_instructions().contains("request_heartbeat"));
    }
}
