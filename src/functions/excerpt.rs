//! The part of a text that a search result shows: one line, cut between words, around what was asked for.

use std::collections::HashSet;

/// Shortest words of a query that are looked for; shorter ones stand everywhere.
const MIN_TERM_CHARS: usize = 3;
/// Most characters that are left off a word, for its other forms (`walked`, `walking`).
const ENDING_CHARS: usize = 2;
/// Shown before the first word that was asked for, where the beginning is cut off.
const LEAD_CHARS: usize = 40;
/// Stands where something was left out.
const GAP: &str = "...";

/// At most `max_chars` characters of the text, beside the marks of what was left out: those with the most words of the
/// query, the beginning where no part has more.
pub(super) fn excerpt(text: &str, query: &str, max_chars: usize) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let chars: Vec<char> = flat.chars().collect();
    if chars.len() <= max_chars {
        return flat;
    }
    let found = occurrences(&chars, query);
    let (mut start, mut most) = (0, term_count(&found, 0, max_chars));
    for (at, _) in &found {
        let from = word_start(&chars, at.saturating_sub(LEAD_CHARS));
        let count = term_count(&found, from, max_chars);
        if count > most {
            (start, most) = (from, count);
        }
    }
    let end = word_end(&chars, start, start.saturating_add(max_chars).min(chars.len()));
    let shown: String = chars.get(start..end).unwrap_or_default().iter().collect();
    let before = if start > 0 { format!("{GAP} ") } else { String::new() };
    let after = if end < chars.len() { format!(" {GAP}") } else { String::new() };
    format!("{before}{}{after}", shown.trim())
}

/// Where the words of the query stand in the text, and which they are.
fn occurrences(chars: &[char], query: &str) -> Vec<(usize, usize)> {
    let lower = |c: &char| c.to_lowercase().next().unwrap_or(*c);
    let text: Vec<char> = chars.iter().map(lower).collect();
    let mut found = Vec::new();
    for (term, word) in query.split(|c: char| !c.is_alphanumeric()).enumerate() {
        let mut stem: Vec<char> = word.chars().map(|c| lower(&c)).collect();
        if stem.len() < MIN_TERM_CHARS {
            continue;
        }
        stem.truncate(stem.len().saturating_sub(ENDING_CHARS).max(MIN_TERM_CHARS));
        let parts = text.windows(stem.len()).enumerate();
        found.extend(parts.filter(|(_, part)| *part == stem).map(|(at, _)| (at, term)));
    }
    found.sort_unstable();
    found
}

/// How many of the query's words stand in the `length` characters from `start`.
fn term_count(found: &[(usize, usize)], start: usize, length: usize) -> usize {
    let inside = found.iter().filter(|(at, _)| (start..start.saturating_add(length)).contains(at));
    inside.map(|(_, term)| term).collect::<HashSet<_>>().len()
}

/// The first beginning of a word from `at` on, not far away; else `at`.
fn word_start(chars: &[char], at: usize) -> usize {
    if at == 0 {
        return 0;
    }
    let ahead = chars.iter().skip(at - 1).take(LEAD_CHARS).position(|c| *c == ' ');
    ahead.map_or(at, |ahead| at + ahead)
}

/// The last end of a word up to `end` in its second half; else `end`.
fn word_end(chars: &[char], start: usize, end: usize) -> usize {
    if end == chars.len() {
        return end;
    }
    let length = end.saturating_sub(start);
    let behind = chars.iter().take(end + 1).rev().take(length / 2).position(|c| *c == ' ');
    behind.map_or(end, |behind| end - behind)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_text_is_shown_around_what_was_asked_for() {
        let text = format!("{} the heron stood by the lake {}", "word ".repeat(60), "more ".repeat(60));
        let shown = excerpt(&text, "herons at the lakes", 100);
        assert!(shown.contains("heron stood by the lake"), "{shown}");
        assert!(shown.starts_with("... word") && shown.ends_with("more ..."), "{shown}");
    }

    #[test]
    fn without_a_match_the_beginning_is_shown_cut_between_words() {
        let shown = excerpt(&"word ".repeat(100), "zebra", 52);
        assert!(shown.chars().count() <= 56 && shown.ends_with("word ..."), "{shown}");
        assert_eq!(excerpt("  short\n text ", "zebra", 52), "short text");
    }

    #[test]
    fn text_without_spaces_is_cut_anywhere() {
        let text = "今天我们去公园散步然后回家做饭".repeat(20);
        let shown = excerpt(&text, "公园", 50);
        assert!(shown.chars().count() <= 54 && shown.starts_with("今天"), "{shown}");
    }

    proptest! {
        #[test]
        fn an_excerpt_is_a_stretch_of_the_text_within_its_limit(
            text in "[a-zé İ\n]{0,300}", query in "[a-zİ ]{0,20}", max_chars in 10_usize..120,
        ) {
            let shown = excerpt(&text, &query, max_chars);
            let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let bare = shown.trim_start_matches("... ").trim_end_matches(" ...");
            prop_assert!(flat.contains(bare), "{:?}", shown);
            prop_assert!(bare.chars().count() <= max_chars);
        }
    }
}
