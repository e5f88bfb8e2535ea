//! The recursive summary: what is left in view of the messages that were evicted.
//!
//! The model writes it, through [`Summarize`]; where it fails, is stopped or writes nothing, a mechanical summary takes
//! its place, so that an eviction never waits for a good answer and half of one never stands for the messages. Evicted messages that do not fit one call are summarised part by
//! part, each call taking the summary so far and leaving room for its own answer.

use super::error::BoxError;
use super::main_context::shown_text;
use super::queue_manager::CountTokens;
use super::text::{clipped, first_sentence};
use crate::types::{Body, Message};

/// What a summary says where there is nothing else to say.
pub(super) const NOTHING_TO_SAY: &str = "Earlier messages are kept in recall memory.";

/// Characters of a message's first sentence in a mechanical summary.
const SENTENCE_CHARS: usize = 100;

/// Longest word that is reckoned with: bounds a summary in languages without spaces, in characters.
const CHARS_PER_WORD: usize = 10;

/// Fewer tokens of messages are not worth a call of the model.
const LEAST_INPUT_TOKENS: usize = 48;

/// Writes summaries.
pub trait Summarize {
    /// A summary of at most about `max_words` words of what was known before (`previous`) and of `evicted`, oldest
    /// first.
    ///
    /// # Errors
    /// Anything: a mechanical summary is used instead.
    fn summarize(&mut self, previous: Option<&str>, evicted: &[Message], max_words: usize) -> Result<String, BoxError>;

    /// Tokens of messages for which one call has room beside `previous`; none where that is no question.
    fn room_tokens(&mut self, previous: Option<&str>, max_words: usize) -> Option<usize> {
        let _ = (previous, max_words);
        None
    }
}

/// A summary and how it came about.
pub(super) struct Summary {
    pub(super) text: String,
    /// At least one part was summarised mechanically.
    pub(super) is_mechanical: bool,
}

/// What a summary is held to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Of the summary.
    pub(super) max_words: usize,
    /// Most tokens of messages in one call.
    pub(super) input_tokens: usize,
    /// What a message costs beyond its text.
    pub(super) message_overhead_tokens: usize,
}

/// Summarises `evicted` in as many calls as it takes, each with as many messages as it has room for.
pub(super) fn summarise(
    counter: &mut dyn CountTokens,
    summarizer: &mut dyn Summarize,
    previous: Option<&str>,
    evicted: &[Message],
    bounds: Bounds,
) -> Summary {
    let mut text = previous.map(str::to_owned);
    let mut is_mechanical = false;
    let mut rest = evicted;
    while !rest.is_empty() {
        let room_tokens = summarizer.room_tokens(text.as_deref(), bounds.max_words).unwrap_or(bounds.input_tokens);
        let input_tokens = room_tokens.min(bounds.input_tokens);
        let (part, written, behind) = if input_tokens < LEAST_INPUT_TOKENS.min(bounds.input_tokens) {
            (rest.to_vec(), None, &[][..])
        } else {
            let (part, behind) = next_part(counter, rest, input_tokens, bounds.message_overhead_tokens);
            let written = summarizer.summarize(text.as_deref(), &part, bounds.max_words).ok();
            (part, written, behind)
        };
        let written = written.map(|written| bounded(&written, bounds.max_words)).filter(|written| !written.is_empty());
        is_mechanical |= written.is_none();
        text = Some(written.unwrap_or_else(|| mechanical(text.as_deref(), &part, bounds.max_words)));
        rest = behind;
    }
    Summary { text: text.unwrap_or_default(), is_mechanical }
}

/// The messages at the beginning of `rest` that fit `input_tokens`, and those behind them; a message that is longer by
/// itself is cut.
fn next_part<'a>(
    counter: &mut dyn CountTokens,
    rest: &'a [Message],
    input_tokens: usize,
    overhead_tokens: usize,
) -> (Vec<Message>, &'a [Message]) {
    let mut tokens_of = |message: &Message| counter.text_tokens(&shown_text(message)).saturating_add(overhead_tokens);
    let mut part = Vec::new();
    let mut filled_tokens = 0_usize;
    for message in rest {
        let tokens = tokens_of(message);
        if part.is_empty() && tokens > input_tokens {
            let text = shown_text(message);
            // Half of the proportional share: the first part of a text can be denser than the rest.
            let keep_chars = text.chars().count().saturating_mul(input_tokens) / tokens.max(1) / 2;
            part.push(Message { stub: Some(clipped(&text, keep_chars.max(1))), ..message.clone() });
            break;
        }
        filled_tokens = filled_tokens.saturating_add(tokens);
        if filled_tokens > input_tokens {
            break;
        }
        part.push(message.clone());
    }
    let behind = rest.get(part.len()..).unwrap_or_default();
    (part, behind)
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
    if summary.is_empty() { NOTHING_TO_SAY.to_owned() } else { summary }
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
