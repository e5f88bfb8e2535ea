//! What is noted with the saved state of a conversation, so that the next start can tell whether the prompt may begin as it did.
//!
//! Core memory stands in a prompt as it was at the last refresh; edits since are told by messages further behind. The prompt
//! may begin like that once more only where all these messages are still in view.

use crate::memory::MainContext;
use crate::types::{Hasher, Message};

/// Core memory in the prompt, core memory as it is, and the messages in view: how many, and a sum of their ids.
type Noted = (String, String, usize, String);

/// The note for a prompt with `in_prompt` as core memory, where core memory is `now` and these messages are in view.
pub(in crate::kernel) fn note(in_prompt: &str, now: &str, messages: &[Message]) -> String {
    let noted: Noted = (in_prompt.to_owned(), now.to_owned(), messages.len(), sum_of(messages));
    serde_json::to_string(&noted).unwrap_or_default()
}

/// Core memory as it stood in the prompt whose state was saved with `note`. None where core memory is not the one it was
/// then, or where a message has gone that was in view then: it may have told of an edit.
pub(in crate::kernel) fn core_memory_in_prompt(note: &str, now: &MainContext) -> Option<String> {
    let (in_prompt, then, count, sum): Noted = serde_json::from_str(note).ok()?;
    let is_in_view = now.messages.get(..count).is_some_and(|messages| sum_of(messages) == sum);
    (then == now.core_memory && is_in_view).then_some(in_prompt)
}

fn sum_of(messages: &[Message]) -> String {
    let mut hasher = Hasher::default();
    messages.iter().for_each(|message| hasher.update(&message.id.0.to_le_bytes()));
    hasher.hex()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Body, MessageId};

    fn messages(ids: &[i64]) -> Vec<Message> {
        let body = || Body::User { text: "x".to_owned() };
        let message = |id: &i64| Message { id: MessageId(*id), at_ms: 0, body: body(), interrupted: false, stub: None };
        ids.iter().map(message).collect()
    }

    fn context(core_memory: &str, ids: &[i64]) -> MainContext {
        let instructions = String::new();
        MainContext { instructions, core_memory: core_memory.to_owned(), messages: messages(ids) }
    }

    #[test]
    fn a_prompt_begins_as_it_did_while_all_that_tells_of_edits_is_in_view() {
        let note = note("old", "new", &messages(&[4, 7, 8]));
        let begins = |core: &str, ids: &[i64]| core_memory_in_prompt(&note, &context(core, ids));
        assert_eq!(begins("new", &[4, 7, 8]).as_deref(), Some("old"));
        assert_eq!(begins("new", &[4, 7, 8, 9, 12]).as_deref(), Some("old"), "messages that came since");
        assert_eq!(begins("newer", &[4, 7, 8]), None, "an edit that nobody told of");
        assert_eq!(begins("new", &[20, 8, 9]), None, "a summary in the place of the notice");
        assert_eq!(begins("new", &[4, 8]), None, "the notice was taken out of view");
        assert_eq!(begins("new", &[4, 7]), None, "what came behind was taken back");
        assert_eq!(core_memory_in_prompt("", &context("new", &[])), None, "nothing was noted");
    }
}
