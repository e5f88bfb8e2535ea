//! The memory pass: after the answer, the model looks once more at what the user said and writes what it changes in core
//! memory. Pure: makes the prompt and its grammar, and function calls of what was written; the agent runs it.
//!
//! Why a pass of its own: small models that are asked to answer *and* to save in one breath do one of the two. Asked with
//! worked examples in a short prompt of its own, Qwen2.5-Coder-1.5B finds most facts; within the conversation, the same
//! question got the same answer for every message. The calls that the model makes by itself while it answers stay as
//! they are; what they saved is in the notes of the pass and is not saved again.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::functions::Function;
use crate::grammar::policy::literal;
use crate::memory::{BlockLabel, CoreMemory};
use crate::types::Call;

use super::offer::MAX_CORE_LINE_CHARS;

/// Facts that one message can bring.
const MAX_FACTS: usize = 4;
/// Notes that are shown; the oldest are left out beyond it, to keep the prompt short.
const MAX_NOTES: usize = 40;
/// Characters of a message that are looked at together.
const PIECE_CHARS: usize = 1200;
/// Pieces of a message that are looked at: a longer one is a document, not a remark.
const MAX_PIECES: usize = 5;
/// Below this a message is not shortened further.
const LEAST_PIECE_CHARS: usize = 80;
/// Characters of a fact.
const MAX_FACT_CHARS: usize = MAX_CORE_LINE_CHARS / 2;
/// How much likelier it must be that a message says something than that it says nothing. On 44 messages made up for this
/// purpose (Qwen2.5-Coder-1.5B, greedy), the facts had odds of 1.7 and more but for one of 1.1, requests and small talk of
/// 0.7 and less but for a repetition of what was known (2.2), and questions of up to 1.2.
const MIN_ODDS: f32 = 0.8;
/// The same for a message that ends in a question.
const MIN_ODDS_OF_QUESTION: f32 = 1.3;

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
    /// Characters that the two blocks still take.
    human_room: usize,
    persona_room: usize,
    message: String,
    /// Asked a second time, without notes in sight: only new facts may be written.
    only_new: bool,
}

/// A long message in pieces that end with a line, a sentence or a word.
pub(super) fn pieces(message: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = message.trim();
    while !rest.is_empty() && pieces.len() < MAX_PIECES {
        let limit = rest.char_indices().nth(PIECE_CHARS).map_or(rest.len(), |(at, _)| at);
        let (head, tail) = rest.split_at(limit);
        let end = if tail.is_empty() {
            head.len()
        } else {
            let after = |found: Option<usize>, length: usize| found.map(|at| at + length);
            after(head.rfind('\n'), 1)
                .or_else(|| after(head.rfind(". "), 2))
                .or_else(|| after(head.rfind(' '), 1))
                .filter(|end| *end > head.len() / 2)
                .unwrap_or(head.len())
        };
        let (piece, behind) = rest.split_at(end);
        pieces.push(piece.trim().to_owned());
        rest = behind.trim_start();
    }
    pieces
}

impl MemoryPass {
    pub(super) fn new(core: &CoreMemory, message: &str) -> Self {
        let notes: Vec<String> = core.human.lines().map(str::to_owned).collect();
        let skipped = notes.len().saturating_sub(MAX_NOTES);
        Self {
            notes: notes.into_iter().skip(skipped).collect(),
            persona: core.persona.lines().map(str::to_owned).collect(),
            human_room: core.human.free_chars(),
            persona_room: core.persona.free_chars(),
            message: message.to_owned(),
            only_new: false,
        }
    }

    /// The same question without the notes, when the answer only said again what stands in them: small models copy a
    /// note where the message resembles none.
    pub(super) fn asking_for_new(mut self, written: &str) -> Option<Self> {
        let retries = !self.only_new && written != NOTHING && self.calls(written).is_empty();
        self.only_new = true;
        retries.then_some(self)
    }

    /// See [`MIN_ODDS`].
    pub(super) fn min_odds(&self) -> f32 {
        if self.message.trim_end().ends_with(['?', '？', '؟']) { MIN_ODDS_OF_QUESTION } else { MIN_ODDS }
    }

    /// Leaves out the older half of the notes, or else the second half of the message; false where nothing is left to
    /// leave out.
    pub(super) fn shrink(&mut self) -> bool {
        if !self.notes.is_empty() {
            self.notes.drain(..self.notes.len().div_ceil(2));
            return true;
        }
        let chars = self.message.chars().count();
        self.message = self.message.chars().take(chars / 2).collect();
        chars > LEAST_PIECE_CHARS
    }

    /// Instructions, examples and question for `Dialect::render_side`. Instructions and examples never change, so that
    /// the KV cache of the side sequence keeps them.
    pub(super) fn prompt(&self) -> (&'static str, Vec<(String, String)>, String) {
        let examples =
            EXAMPLES.iter().map(|(notes, message, answer)| (question(notes, message), (*answer).to_owned())).collect();
        let notes = if self.only_new { &[] } else { self.notes.as_slice() };
        (INSTRUCTIONS, examples, question(notes, &self.message))
    }

    /// What may be written: nothing to note, or a few facts; only lines that exist can be changed.
    pub(super) fn grammar(&self) -> String {
        let mut kinds = vec!["\"NEW: \" fact".to_owned()];
        if self.persona_room > MAX_FACT_CHARS {
            kinds.push("\"YOU: \" fact".to_owned());
        }
        if !self.notes.is_empty() {
            let numbers: Vec<String> = (1..=self.notes.len()).map(|number| literal(&number.to_string())).collect();
            kinds.push(format!("\"CHANGE \" ({}) \": \" fact", numbers.join(" | ")));
        }
        let nothing = literal(NOTHING);
        if self.only_new {
            kinds.truncate(1);
        }
        let more = MAX_FACTS - 1;
        let last = MAX_FACT_CHARS - 2;
        format!(
            "root ::= {nothing} | item (\"\\n\" item){{0,{more}}}\nitem ::= {}\n\
             fact ::= [^ \\x00-\\x1F\\x7F] [^\\x00-\\x1F\\x7F]{{1,{last}}} [^ \\x00-\\x1F\\x7F]\n",
            kinds.join(" | ")
        )
    }

    /// The calls that carry out what was written, all of which can be executed in this order. What changes nothing or
    /// repeats a note is left out; a fact for which core memory has no room goes to archival storage.
    pub(super) fn calls(&self, written: &str) -> Vec<Call> {
        let mut calls = Vec::new();
        let mut room = self.human_room;
        let mut changed = Vec::new();
        for line in written.lines() {
            let call = if let Some(fact) = line.strip_prefix("NEW: ") {
                let needed = fact.chars().count() + 1;
                if needed <= room {
                    room -= needed;
                    self.append(BlockLabel::Human, &self.notes, fact)
                } else {
                    Some(call(Function::ArchivalMemoryInsert, &[("content", fact.trim())]))
                }
            } else if let Some(fact) = line.strip_prefix("YOU: ") {
                self.adopt(fact)
            } else if let Some((number, fact)) = line.strip_prefix("CHANGE ").and_then(|rest| rest.split_once(": ")) {
                let old = number.parse::<usize>().ok().and_then(|number| self.notes.get(number.wrapping_sub(1)));
                // A line is corrected once; after that it reads differently.
                old.filter(|_| !changed.contains(&number)).and_then(|old| {
                    changed.push(number);
                    let freed = old.chars().count();
                    let needed = fact.chars().count();
                    if needed > freed + room {
                        return None;
                    }
                    room = room + freed - needed;
                    change(BlockLabel::Human, old, fact)
                })
            } else {
                None
            };
            calls.extend(call);
        }
        calls
    }

    fn append(&self, label: BlockLabel, lines: &[String], fact: &str) -> Option<Call> {
        let fact_words = words(fact);
        let repeats = |line: &String| {
            // Seen without the notes, the same may have been written in fewer words.
            line.trim().eq_ignore_ascii_case(fact.trim()) || self.only_new && fact_words.is_subset(&words(line))
        };
        (!lines.iter().any(repeats))
            .then(|| call(Function::CoreMemoryAppend, &[("section", label.as_str()), ("content", fact.trim())]))
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

fn words(text: &str) -> HashSet<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
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
    fn an_answer_that_repeats_the_notes_is_asked_again_without_them() {
        for repeated in ["CHANGE 1: One.", "NEW: one."] {
            let asked = pass("One.").asking_for_new(repeated).unwrap();
            assert!(asked.grammar().contains("NEW") && !asked.grammar().contains("CHANGE"));
            assert!(!asked.prompt().2.contains("One."));
            assert_eq!(asked.asking_for_new(repeated), None);
        }
        assert_eq!(pass("One.").asking_for_new("CHANGE 1: Two."), None);
        assert_eq!(pass("One.").asking_for_new("NONE"), None);
    }

    #[test]
    fn what_is_written_without_the_notes_in_sight_is_held_against_them() {
        let asked =
            pass("The user has a dog and a cat.").asking_for_new("CHANGE 1: The user has a dog and a cat.").unwrap();
        assert!(asked.calls("NEW: The user has a cat.").is_empty());
        assert_eq!(asked.calls("NEW: The user has a parrot.").len(), 1);
    }

    #[test]
    fn only_lines_that_exist_can_be_changed() {
        assert!(!pass("").grammar().contains("CHANGE"));
        let two = pass("One.\nTwo.").grammar();
        assert!(two.contains("\"1\" | \"2\"") && !two.contains("\"3\""), "{two}");
    }

    #[test]
    fn what_core_memory_has_no_room_for_goes_to_archival_storage() {
        let calls = pass(&"x".repeat(1990)).calls("NEW: The user has a garden with seven gnomes.");
        assert_eq!(calls[0].name, "archival_memory_insert");
        let calls = pass(&"x".repeat(1960)).calls("NEW: The user has a garden.\nNEW: The user has a shed.");
        let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(names, ["core_memory_append", "archival_memory_insert"]);
    }

    #[test]
    fn a_line_is_changed_once_and_only_as_far_as_there_is_room() {
        let full = format!("{}\nShort.", "x".repeat(1990));
        let calls = pass(&full).calls("CHANGE 2: Short too.\nCHANGE 2: Shorter.");
        assert!(calls.is_empty(), "{calls:?}");
        let calls = pass("One.\nTwo.").calls("CHANGE 2: Three.\nCHANGE 2: Four.");
        assert_eq!(calls.len(), 1);
    }

    #[test]
    fn a_full_persona_does_not_keep_facts_about_the_user_out() {
        let mut pass = pass("");
        pass.persona_room = 0;
        let grammar = pass.grammar();
        assert!(grammar.contains("NEW") && !grammar.contains("YOU"), "{grammar}");
    }

    #[test]
    fn long_messages_are_looked_at_in_pieces_that_lose_no_word() {
        let message = "A sentence of some length stands here. ".repeat(80);
        let pieces = pieces(&message);
        assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.chars().count() <= PIECE_CHARS));
        assert!(pieces.iter().all(|piece| piece.ends_with('.')), "{pieces:?}");
        assert_eq!(pieces.join(" "), message.trim());
        assert!(super::pieces("  ").is_empty());
    }

    #[test]
    fn a_prompt_that_does_not_fit_loses_notes_first_and_then_the_end_of_the_message() {
        let mut pass = pass("One.\nTwo.\nThree.");
        pass.message = "word ".repeat(100);
        let mut steps = 0;
        while pass.shrink() {
            steps += 1;
        }
        assert!(pass.notes.is_empty() && (3..10).contains(&steps), "{steps}");
    }

    #[test]
    fn notes_and_message_stand_in_the_question() {
        let (_, examples, question) = pass("The user has a dog.").prompt();
        assert_eq!(question, "Notes:\n1. The user has a dog.\n\nMessage:\na message");
        assert_eq!(examples.len(), EXAMPLES.len());
    }
}
