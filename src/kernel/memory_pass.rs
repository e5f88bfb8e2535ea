//! The memory pass: after the answer, the model looks once more at what the user said and writes what it changes in core
//! memory. Pure: makes the prompt and its grammar, and function calls of what was written; the agent runs it.
//!
//! Why a pass of its own: small models that are asked to answer *and* to save in one breath do one of the two. Asked with
//! worked examples in a short prompt of its own, Qwen2.5-Coder-1.5B finds most facts; within the conversation, the same
//! question got the same answer for every message. The calls that the model makes by itself while it answers stay as
//! they are; what they saved is in the notes of the pass and is not saved again.

use serde_json::{Map, Value};

use crate::functions::Function;
use crate::grammar::policy::literal;
use crate::memory::{BlockLabel, CoreMemory};
use crate::types::Call;

use super::offer::{MAX_CORE_LINE_CHARS, MIN_APPEND_ROOM_CHARS};

/// Facts that one message can bring.
const MAX_FACTS: usize = 4;
/// Notes that are shown; the oldest are left out beyond it, to keep the prompt short.
const MAX_NOTES: usize = 40;
/// Characters of a message that are looked at: the rest of a longer one is a document, not a remark.
const MAX_MESSAGE_CHARS: usize = 1200;
/// The model must find that a message says something this much likelier than that it says nothing.
pub(super) const MIN_ODDS: f32 = 1.3;

/// Begins an answer that says: nothing to note.
pub(super) const NOTHING: &str = "NONE";

const INSTRUCTIONS: &str = "You keep short notes about the user of a chat. You read one message of the user and write \
what it changes in the notes.
NEW: a lasting fact about the user, their life or the people around them that the notes lack
CHANGE n: the message makes note n untrue; then the corrected note
YOU: how the user wants you to be or to be called
NONE: a question, a request, a greeting, thanks or small talk, or the notes say it already";

/// Notes, message, answer. The people, things and places in them are made up for this purpose.
const EXAMPLES: &[(&[&str], &str, &str)] = &[
    (&[], "Hi there, how is it going?", "NONE"),
    (
        &[],
        "Hello, I am Quill. I play the cello in a small orchestra.",
        "NEW: The user's name is Quill.\nNEW: The user plays the cello in a small orchestra.",
    ),
    (&["The user's name is Quill.", "The user owns a rowing boat."], "How long do turtles live?", "NONE"),
    (
        &["The user's name is Quill.", "The user owns a rowing boat."],
        "My aunt Zibby is afraid of heights.",
        "NEW: The user's aunt is called Zibby and is afraid of heights.",
    ),
    (
        &["The user's name is Quill.", "The user owns a rowing boat."],
        "I have sold the boat, by the way.",
        "CHANGE 2: The user has sold the rowing boat.",
    ),
    (&["The user's name is Quill.", "The user's aunt is called Zibby."], "Do you know what my aunt is called?", "NONE"),
    (
        &["The user studies law.", "The user's aunt is called Zibby."],
        "Great news, I have won a chess tournament!",
        "NEW: The user has won a chess tournament.",
    ),
    (&["The user owns a rowing boat."], "I want you to talk like a pirate.", "YOU: I talk like a pirate."),
    (
        &["The user studies law.", "The user's aunt is called Zibby."],
        "I was wrong: I study botany, not law.",
        "CHANGE 1: The user studies botany.",
    ),
    (&["The user studies botany."], "What do I study?", "NONE"),
    (
        &["The user studies botany.", "The user can't swim."],
        "I don't like loud music, and my knee hurts in winter.",
        "NEW: The user doesn't like loud music.\nNEW: The user's knee hurts in winter.",
    ),
    (&["The user studies botany."], "Your name is Bramble now.", "YOU: My name is Bramble."),
    (&["The user studies botany."], "Thanks! Now write me a poem about the sea.", "NONE"),
];

/// A pass over one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemoryPass {
    /// Lines of the block about the user, as numbered in the prompt.
    notes: Vec<String>,
    /// Lines of the agent's own block.
    persona: Vec<String>,
    has_room: bool,
    message: String,
}

impl MemoryPass {
    pub(super) fn new(core: &CoreMemory, message: &str) -> Self {
        let notes: Vec<String> = core.human.lines().map(str::to_owned).collect();
        let skipped = notes.len().saturating_sub(MAX_NOTES);
        Self {
            notes: notes.into_iter().skip(skipped).collect(),
            persona: core.persona.lines().map(str::to_owned).collect(),
            has_room: core.human.free_chars() > MIN_APPEND_ROOM_CHARS
                && core.persona.free_chars() > MIN_APPEND_ROOM_CHARS,
            message: message.chars().take(MAX_MESSAGE_CHARS).collect(),
        }
    }

    /// Instructions, examples and question for `Dialect::render_side`. Instructions and examples never change, so that
    /// the KV cache of the side sequence keeps them.
    pub(super) fn prompt(&self) -> (&'static str, Vec<(String, String)>, String) {
        let examples =
            EXAMPLES.iter().map(|(notes, message, answer)| (question(notes, message), (*answer).to_owned())).collect();
        (INSTRUCTIONS, examples, question(&self.notes, &self.message))
    }

    /// What may be written: nothing to note, or a few facts; only lines that exist can be changed, and only while
    /// there is room is anything added.
    pub(super) fn grammar(&self) -> String {
        let mut kinds = Vec::new();
        if self.has_room {
            kinds.push("\"NEW: \" fact".to_owned());
            kinds.push("\"YOU: \" fact".to_owned());
        }
        if !self.notes.is_empty() {
            let numbers: Vec<String> = (1..=self.notes.len()).map(|number| literal(&number.to_string())).collect();
            kinds.push(format!("\"CHANGE \" ({}) \": \" fact", numbers.join(" | ")));
        }
        let nothing = literal(NOTHING);
        if kinds.is_empty() {
            return format!("root ::= {nothing}\n");
        }
        let more = MAX_FACTS - 1;
        let last = MAX_CORE_LINE_CHARS / 2;
        format!(
            "root ::= {nothing} | item (\"\\n\" item){{0,{more}}}\nitem ::= {}\n\
             fact ::= [^ \\x00-\\x1F\\x7F] [^\\x00-\\x1F\\x7F]{{1,{last}}} [^ \\x00-\\x1F\\x7F]\n",
            kinds.join(" | ")
        )
    }

    /// The calls that carry out what was written. What changes nothing, or repeats a note, is left out.
    pub(super) fn calls(&self, written: &str) -> Vec<Call> {
        let mut calls = Vec::new();
        for line in written.lines() {
            let call = if let Some(fact) = line.strip_prefix("NEW: ") {
                self.append(BlockLabel::Human, &self.notes, fact)
            } else if let Some(fact) = line.strip_prefix("YOU: ") {
                self.adopt(fact)
            } else if let Some((number, fact)) = line.strip_prefix("CHANGE ").and_then(|rest| rest.split_once(": ")) {
                let old = number.parse::<usize>().ok().and_then(|number| self.notes.get(number.wrapping_sub(1)));
                old.and_then(|old| change(BlockLabel::Human, old, fact))
            } else {
                None
            };
            calls.extend(call);
        }
        calls
    }

    fn append(&self, label: BlockLabel, lines: &[String], fact: &str) -> Option<Call> {
        let known = lines.iter().any(|line| line.trim().eq_ignore_ascii_case(fact.trim()));
        (!known).then(|| call(Function::CoreMemoryAppend, &[("section", label.as_str()), ("content", fact.trim())]))
    }

    /// The agent's own side: a line that begins alike (`My name is ..`) is replaced, else a line is added.
    fn adopt(&self, fact: &str) -> Option<Call> {
        let beginning =
            |text: &str| -> Vec<String> { text.split_whitespace().take(ALIKE_WORDS).map(str::to_lowercase).collect() };
        let wanted = beginning(fact);
        let old = self.persona.iter().find(|line| wanted.len() == ALIKE_WORDS && beginning(line) == wanted);
        match old {
            Some(old) => change(BlockLabel::Persona, old, fact),
            None => self.append(BlockLabel::Persona, &self.persona, fact),
        }
    }
}

/// Lines of the agent's block that share so many first words speak of the same thing.
const ALIKE_WORDS: usize = 3;

fn change(label: BlockLabel, old: &str, new: &str) -> Option<Call> {
    let changes = !old.trim().eq_ignore_ascii_case(new.trim());
    changes.then(|| {
        let arguments = [("section", label.as_str()), ("old_content", old), ("new_content", new.trim())];
        call(Function::CoreMemoryReplace, &arguments)
    })
}

fn call(function: Function, arguments: &[(&str, &str)]) -> Call {
    let arguments: Map<String, Value> =
        arguments.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
    Call { name: function.name().to_owned(), arguments }
}

fn question(notes: &[impl AsRef<str>], message: &str) -> String {
    let mut lines: Vec<String> =
        notes.iter().enumerate().map(|(index, note)| format!("{}. {}", index + 1, note.as_ref())).collect();
    if lines.is_empty() {
        lines.push("(none)".to_owned());
    }
    format!("Notes:\n{}\n\nMessage:\n{message}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::CoreBlock;
    use serde_json::json;

    fn pass(notes: &str) -> MemoryPass {
        let block = |label, text: &str| CoreBlock { label, text: text.to_owned(), limit_chars: 2000 };
        let core = CoreMemory {
            persona: block(BlockLabel::Persona, "My name is Mneme.\nI am calm."),
            human: block(BlockLabel::Human, notes),
        };
        MemoryPass::new(&core, "a message")
    }

    fn arguments(calls: &[Call]) -> Vec<Value> {
        calls.iter().map(|call| Value::Object(call.arguments.clone())).collect()
    }

    #[test]
    fn new_facts_are_appended_and_changed_ones_replace_their_line() {
        let pass = pass("The user has a dog.\nThe user is tired.");
        let calls = pass.calls("NEW: The user has a garden.\nCHANGE 2: The user is wide awake.");
        assert_eq!(calls[0].name, "core_memory_append");
        assert_eq!(calls[1].name, "core_memory_replace");
        assert_eq!(
            arguments(&calls),
            [
                json!({"section": "human", "content": "The user has a garden."}),
                json!({
                    "section": "human",
                    "old_content": "The user is tired.",
                    "new_content": "The user is wide awake."
                }),
            ]
        );
    }

    #[test]
    fn what_changes_nothing_makes_no_call() {
        let pass = pass("The user has a dog.");
        assert!(pass.calls("NONE").is_empty());
        assert!(pass.calls("NEW: the user has a dog.").is_empty());
        assert!(pass.calls("CHANGE 1: The user has a dog.").is_empty());
        assert!(pass.calls("CHANGE 9: The user has a cat.").is_empty());
    }

    #[test]
    fn a_new_name_of_the_agent_replaces_the_old_one() {
        let calls = pass("").calls("YOU: My name is Fern.");
        let expected =
            json!({"section": "persona", "old_content": "My name is Mneme.", "new_content": "My name is Fern."});
        assert_eq!(arguments(&calls), [expected]);
        let calls = pass("").calls("YOU: I talk like a sailor.");
        assert_eq!(arguments(&calls), [json!({"section": "persona", "content": "I talk like a sailor."})]);
    }

    #[test]
    fn only_lines_that_exist_can_be_changed() {
        assert!(!pass("").grammar().contains("CHANGE"));
        let two = pass("One.\nTwo.").grammar();
        assert!(two.contains("\"1\" | \"2\"") && !two.contains("\"3\""), "{two}");
    }

    #[test]
    fn a_full_memory_can_only_be_changed() {
        let grammar = pass(&"x".repeat(1900)).grammar();
        assert!(!grammar.contains("NEW") && grammar.contains("CHANGE"), "{grammar}");
    }

    #[test]
    fn notes_and_message_stand_in_the_question() {
        let (_, examples, question) = pass("The user has a dog.").prompt();
        assert_eq!(question, "Notes:\n1. The user has a dog.\n\nMessage:\na message");
        assert_eq!(examples.len(), EXAMPLES.len());
    }
}
