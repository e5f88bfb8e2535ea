//! The recursive summary: what is left in view of the messages that were evicted.
//!
//! The model writes it, through [`Summarize`]; where it fails or writes nothing, a mechanical summary takes its place,
//! so that an eviction never waits for a good answer. Evicted messages that do not fit one call are summarised part by
//! part, each call taking the summary so far.

use super::error::BoxError;
use super::main_context::shown_text;
use super::queue_manager::CountTokens;
use super::text::{clipped, first_sentence};
use crate::types::{Body, Message};

/// Characters of a message's first sentence in a mechanical summary.
const SENTENCE_CHARS: usize = 100;

/// Longest word that is reckoned with: bounds a summary in languages without spaces, in characters.
const CHARS_PER_WORD: usize = 10;

/// Writes summaries.
pub trait Summarize {
    /// A summary of at most about `max_words` words of what was known before (`previous`) and of `evicted`, oldest
    /// first.
    ///
    /// # Errors
    /// Anything: a mechanical summary is used instead.
    fn summarize(&mut self, previous: Option<&str>, evicted: &[Message], max_words: usize) -> Result<String, BoxError>;
}

/// A summary and how it came about.
pub(super) struct Summary {
    pub(super) text: String,
    /// At least one part was summarised mechanically.
    pub(super) is_mechanical: bool,
}

/// Summarises `evicted` in calls of at most `input_tokens` of messages each.
pub(super) fn summarise(
    counter: &mut dyn CountTokens,
    summarizer: &mut dyn Summarize,
    previous: Option<&str>,
    evicted: &[Message],
    max_words: usize,
    input_tokens: usize,
) -> Summary {
    let mut text = previous.map(str::to_owned);
    let mut is_mechanical = false;
    for part in parts(counter, evicted, input_tokens) {
        let written = summarizer.summarize(text.as_deref(), &part, max_words);
        let written = written.ok().map(|written| bounded(&written, max_words)).filter(|written| !written.is_empty());
        is_mechanical |= written.is_none();
        text = Some(written.unwrap_or_else(|| mechanical(text.as_deref(), &part, max_words)));
    }
    Summary { text: text.unwrap_or_default(), is_mechanical }
}

/// Runs of messages that fit `input_tokens`; a message that is longer by itself is cut.
fn parts(counter: &mut dyn CountTokens, evicted: &[Message], input_tokens: usize) -> Vec<Vec<Message>> {
    let mut parts: Vec<Vec<Message>> = Vec::new();
    let mut filled_tokens = 0_usize;
    for message in evicted {
        let mut message = message.clone();
        let mut tokens = counter.text_tokens(&shown_text(&message));
        if tokens > input_tokens {
            let text = shown_text(&message);
            // Half of the proportional share: the first part of a text can be denser than the rest.
            let keep_chars = text.chars().count().saturating_mul(input_tokens) / tokens.max(1) / 2;
            message.stub = Some(clipped(&text, keep_chars.max(1)));
            tokens = counter.text_tokens(&shown_text(&message));
        }
        match parts.last_mut() {
            Some(part) if filled_tokens.saturating_add(tokens) <= input_tokens => {
                part.push(message);
                filled_tokens += tokens;
            }
            _ => {
                parts.push(vec![message]);
                filled_tokens = tokens;
            }
        }
    }
    parts
}

/// The summary cut to about `max_words` words, at the end of a sentence where there is one in its second half.
pub(super) fn bounded(text: &str, max_words: usize) -> String {
    let text = text.trim();
    let word_end = text
        .split_whitespace()
        .nth(max_words)
        // Both slices come from the same text, so the distance of their starts is a byte offset in it.
        .map_or(text.len(), |word| word.as_ptr().addr() - text.as_ptr().addr());
    let char_end = text.char_indices().nth(max_words.saturating_mul(CHARS_PER_WORD)).map_or(text.len(), |(at, _)| at);
    let end = word_end.min(char_end);
    let Some(head) = text.get(..end).filter(|head| head.len() < text.len()) else { return text.to_owned() };
    let sentence_end = ['.', '!', '?', '。', '！', '？']
        .iter()
        .filter_map(|mark| head.rfind(*mark).map(|at| at + mark.len_utf8()))
        .max()
        .filter(|at| *at > head.len() / 2)
        .unwrap_or(head.len());
    head.get(..sentence_end).unwrap_or(head).trim_end().to_owned()
}

/// A summary without a model: what was known before, and the first sentence of what each side said, the newest first
/// to get room.
fn mechanical(previous: Option<&str>, evicted: &[Message], max_words: usize) -> String {
    let previous = previous.map(|text| bounded(text, max_words / 2)).filter(|text| !text.is_empty());
    let known_words = previous.as_deref().map_or(0, |text| text.split_whitespace().count());
    let mut room_words = max_words.saturating_sub(known_words);
    let mut lines = Vec::new();
    for message in evicted.iter().rev() {
        let (speaker, text) = match &message.body {
            Body::User { text } => ("The user said:", text),
            Body::Assistant { text: Some(text), .. } => ("I said:", text),
            _ => continue,
        };
        let line = format!("{speaker} {}", first_sentence(text, SENTENCE_CHARS));
        let words = line.split_whitespace().count();
        if words > room_words {
            break;
        }
        room_words -= words;
        lines.push(line);
    }
    lines.reverse();
    let summary = previous.into_iter().chain(lines).collect::<Vec<_>>().join("\n");
    if summary.is_empty() { "Earlier messages are kept in recall memory.".to_owned() } else { summary }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::MessageId;

    fn said(text: &str) -> Message {
        Message { id: MessageId(1), at_ms: 0, body: Body::User { text: text.into() }, interrupted: false, stub: None }
    }

    #[test]
    fn a_long_summary_is_cut_at_a_sentence() {
        assert_eq!(bounded("One two three. Four five six. Seven eight", 7), "One two three. Four five six.");
        assert_eq!(bounded("one two three four", 2), "one two");
        assert_eq!(bounded(" short ", 10), "short");
        assert_eq!(bounded(&"字".repeat(500), 10).chars().count(), 100);
    }

    #[test]
    fn the_mechanical_summary_stays_in_its_bounds_and_prefers_the_newest() {
        let evicted: Vec<Message> = (0..40).map(|n| said(&format!("Fact number {n} is here. And more."))).collect();
        let text = mechanical(Some("Known before."), &evicted, 40);
        assert!(text.split_whitespace().count() <= 40, "{text}");
        assert!(text.starts_with("Known before.") && text.ends_with("Fact number 39 is here."), "{text}");
        assert!(!mechanical(None, &[], 40).is_empty());
    }
}
