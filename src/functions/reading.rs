//! Reading a message that was paged out: whole, in its order, a page at a call.
//!
//! The stub of the message tells the query, so that no further function is needed: a search for `message 12` is
//! answered with a page of message 12 where that one is paged out, and is a search like any other where it is not.

use crate::memory::{self, ChunkLimits, View, careful_count, chunks};
use crate::types::MessageId;

/// How long a page is: about as long as a page of search results, so that it fits the reserve of the window for a
/// function's result. Tokens are those of [`careful_count`], of which English has half.
const PAGE: ChunkLimits = ChunkLimits { target_tokens: 400, max_tokens: 400, overlap_tokens: 0, max_chars: 1400 };

/// The message that a query names; none where it is a search for something else.
fn named(query: &str) -> Option<MessageId> {
    let query = query.trim_matches(|c: char| c.is_whitespace() || c.is_ascii_punctuation()).to_lowercase();
    let number = query.strip_prefix("message")?.trim_start_matches([' ', '#']);
    number.parse().ok().map(MessageId)
}

/// One page of the message that `query` names; none where it names none that is paged out.
pub(super) fn page_of_message(view: &View<'_>, query: &str, page: u64) -> Result<Option<String>, memory::Error> {
    let Some(id) = named(query) else { return Ok(None) };
    let Some(text) = view.paged_out_text(id)? else { return Ok(None) };
    let pages = chunks(&text, PAGE, &careful_count);
    let last = pages.len().saturating_sub(1);
    let wanted = usize::try_from(page).ok();
    let Some((at, shown)) = wanted.and_then(|at| Some((at, text.get(pages.get(at)?.clone())?))) else {
        return Ok(Some(format!("Message {} has no page {page}; the last page is {last}.", id.0)));
    };
    let next = if at < last { format!("(It goes on: page {}.)", at + 1) } else { "(Here it ends.)".to_owned() };
    Ok(Some(format!("Message {}, its own words (page {at}/{last}):\n{shown}\n{next}", id.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_named_in_the_ways_that_models_write_it() {
        for query in ["message 12", "Message 12", "\"message 12\"", " message #12. "] {
            assert_eq!(named(query), Some(MessageId(12)), "{query}");
        }
        for query in ["message", "messages 12", "message 12 about boats", "12", "the message 12", ""] {
            assert_eq!(named(query), None, "{query}");
        }
    }
}
