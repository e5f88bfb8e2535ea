//! Small text measures that several parts of the memory share.

use std::collections::HashMap;

/// Words in lower case, without punctuation, joined by single spaces; text without any letter or digit stays as it is
/// but for white space at the ends.
pub(super) fn normalised(text: &str) -> String {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { text.trim().to_owned() } else { words.join(" ") }
}

/// Text in lower case with runs of white space as single spaces; punctuation stays, because it can carry meaning
/// (`C` and `C++`).
pub(super) fn folded(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Dice coefficient of the character pairs of two folded texts, 0 to 1.
pub(super) fn similarity(left: &str, right: &str) -> f64 {
    let (left, right) = (folded(left), folded(right));
    if left == right {
        return 1.0;
    }
    let mut pairs: HashMap<(char, char), usize> = HashMap::new();
    let mut left_count = 0_usize;
    for pair in left.chars().zip(left.chars().skip(1)) {
        *pairs.entry(pair).or_default() += 1;
        left_count += 1;
    }
    let (mut shared, mut right_count) = (0_usize, 0_usize);
    for pair in right.chars().zip(right.chars().skip(1)) {
        right_count += 1;
        if let Some(count) = pairs.get_mut(&pair).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    if left_count + right_count == 0 { 0.0 } else { 2.0 * shared as f64 / (left_count + right_count) as f64 }
}

/// The first `max_chars` characters, cut at the end of a word where there is one in the second half, with `…` where
/// something was left out.
pub(super) fn clipped(text: &str, max_chars: usize) -> String {
    let text = text.trim();
    let Some((end, _)) = text.char_indices().nth(max_chars) else { return text.to_owned() };
    let head = text.get(..end).unwrap_or(text);
    let cut = head.rfind(char::is_whitespace).filter(|cut| *cut > head.len() / 2).unwrap_or(head.len());
    format!("{}…", head.get(..cut).unwrap_or(head).trim_end())
}

/// The last `max_chars` characters, from the beginning of a word where there is one in the first half, with `…` where
/// something was left out.
pub(super) fn clipped_front(text: &str, max_chars: usize) -> String {
    let text = text.trim();
    let skipped = text.chars().count().saturating_sub(max_chars);
    let Some((start, _)) = text.char_indices().nth(skipped).filter(|_| skipped > 0) else { return text.to_owned() };
    let tail = text.get(start..).unwrap_or(text);
    let cut = tail.find(char::is_whitespace).filter(|cut| *cut < tail.len() / 2).unwrap_or(0);
    format!("…{}", tail.get(cut..).unwrap_or(tail).trim_start())
}

/// The first sentence, at most `max_chars` characters of it.
pub(super) fn first_sentence(text: &str, max_chars: usize) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = flat
        .char_indices()
        .zip(flat.chars().skip(1).map(Some).chain([None]))
        .find(|((_, c), next)| match c {
            '。' | '！' | '？' => true,
            '.' | '!' | '?' => next.is_none_or(char::is_whitespace),
            _ => false,
        })
        .map_or(flat.len(), |((at, c), _)| at + c.len_utf8());
    clipped(flat.get(..end).unwrap_or(&flat), max_chars)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_ends_at_a_full_stop_but_not_inside_a_number() {
        assert_eq!(first_sentence("It costs 3.50 a day. Nothing more.", 80), "It costs 3.50 a day.");
        assert_eq!(first_sentence("今天下雨。明天晴。", 80), "今天下雨。");
        assert_eq!(first_sentence("no end", 80), "no end");
    }

    #[test]
    fn clipping_ends_on_a_word() {
        assert_eq!(clipped("alpha beta gamma", 12), "alpha beta…");
        assert_eq!(clipped("ééééé", 3), "ééé…");
        assert_eq!(clipped("short", 5), "short");
        assert_eq!(clipped_front("alpha beta gamma", 12), "…beta gamma");
        assert_eq!(clipped_front("ééééé", 3), "…ééé");
        assert_eq!(clipped_front("short", 5), "short");
    }

    #[test]
    fn similar_lines_score_higher_than_different_ones() {
        assert!(similarity("Plays the cello", "plays the  cello") > 0.99);
        assert!(similarity("Plays the cello on weekends", "Plays the cello at weekends") > 0.8);
        assert!(similarity("Plays the cello", "Owns two bicycles") < 0.3);
    }
}
