//! The part of a passage that a result shows: that in which the words of the query stand.

/// The part of `text` that has most words of `query` in one sentence or line, with what stands around it, as one line
/// of at most `max_chars` characters; and how many lines of `text` come before that sentence.
pub(crate) fn excerpt(text: &str, query: &str, max_chars: usize) -> (String, u64) {
    let terms: Vec<String> = words(query).map(str::to_lowercase).collect();
    let parts = parts(text);
    let scores: Vec<usize> = parts.iter().map(|part| matches(part, &terms)).collect();
    let most = scores.iter().copied().max().unwrap_or_default();
    let best = scores.iter().position(|score| *score == most).unwrap_or_default();
    let before: usize = parts.iter().take(best).map(|part| part.len()).sum();
    let lines_down = text.get(..before).unwrap_or_default().bytes().filter(|byte| *byte == b'\n').count() as u64;
    let chars = |from: usize, to: usize| {
        parts.iter().skip(from).take(to.saturating_sub(from)).map(|part| part.chars().count()).sum::<usize>()
    };
    // As much of what comes before as leaves the best part whole.
    let from = (0..=best).find(|from| chars(*from, best + 1) <= max_chars).unwrap_or(best);
    let shown: String = parts.iter().skip(from).copied().collect();
    let shown = if chars(best, best + 1) > max_chars { around_a_term(&shown, &terms, max_chars) } else { &shown };
    let cut = shorten(shown, max_chars);
    (if from > 0 { format!("... {cut}") } else { cut }, lines_down)
}

/// One line of at most `max_chars` characters, cut between words.
pub(super) fn shorten(text: &str, max_chars: usize) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.chars().count() <= max_chars {
        return flat;
    }
    let cut: String = flat.chars().take(max_chars).collect();
    let whole = cut.rsplit_once(' ').map_or(cut.as_str(), |(before, _)| before);
    format!("{whole} ...")
}

/// A part too long to be shown, from the word in front of the first term.
fn around_a_term<'a>(part: &'a str, terms: &[String], max_chars: usize) -> &'a str {
    let context_chars = max_chars / 4;
    let mut at = 0;
    for word in part.split_inclusive(char::is_whitespace) {
        if matches(word, terms) > 0 {
            let back = part.get(..at).unwrap_or_default();
            let from = back.char_indices().rev().nth(context_chars).map_or(0, |(from, _)| from);
            let whole = part.get(from..).and_then(|rest| rest.find(char::is_whitespace)).filter(|_| from > 0);
            return part.get(from + whole.unwrap_or_default()..).unwrap_or(part);
        }
        at += word.len();
    }
    part
}

/// Lines and sentences; joined they are the text.
pub(super) fn parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        while let Some(end) = sentence_end(rest) {
            let (sentence, after) = rest.split_at(end);
            parts.push(sentence);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(rest);
        }
    }
    parts
}

fn sentence_end(text: &str) -> Option<usize> {
    [". ", "! ", "? ", "。", "！", "？"].iter().filter_map(|mark| text.find(mark).map(|at| at + mark.len())).min()
}

/// How many of the terms stand in `part`, also in another form of the word.
fn matches(part: &str, terms: &[String]) -> usize {
    let lower = part.to_lowercase();
    let stands = |term: &&String| {
        let unspaced = !term.is_ascii() && lower.contains(term.as_str());
        unspaced || words(&lower).any(|word| alike(word, term))
    };
    terms.iter().filter(stands).count()
}

pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// The same word, or one that begins with most of the other: `keys` and `key`, `loading` and `loaded`.
pub(super) fn alike(word: &str, term: &str) -> bool {
    let shared = word.chars().zip(term.chars()).take_while(|(left, right)| left == right).count();
    let (word, term) = (word.chars().count(), term.chars().count());
    word == shared && term == shared || shared >= 3 && shared + 3 >= word.max(term)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_of_the_query_is_shown_with_its_line() {
        let filling = "Nothing of interest is said here at all. ".repeat(10);
        let text = format!("{filling}\n{filling}\nThe keeper loaded oil. He slept.");
        let (shown, lines_down) = excerpt(&text, "who is loading the oil?", 280);
        assert!(shown.starts_with("... ") && shown.contains("The keeper loaded oil. He slept."), "{shown}");
        assert_eq!(lines_down, 2);
        assert!(shown.chars().count() <= 288, "{shown}");
    }

    #[test]
    fn without_a_match_the_beginning_is_shown() {
        assert_eq!(excerpt("One line.\nAnother one.", "submarine", 280), ("One line. Another one.".to_owned(), 0));
        assert_eq!(excerpt("", "x", 280), (String::new(), 0));
    }

    #[test]
    fn a_part_too_long_is_cut_around_the_term() {
        let text = format!("{} lighthouse {}", "word ".repeat(200), "end ".repeat(200));
        let (shown, _) = excerpt(&text, "lighthouse", 280);
        assert!(shown.contains("lighthouse end"), "{shown}");
        assert!(shown.chars().count() <= 288, "{shown}");
        let (shown, _) = excerpt(&"生日蛋糕很好吃".repeat(80), "蛋糕", 280);
        assert!(shown.contains("蛋糕"), "{shown}");
    }

    #[test]
    fn long_results_are_cut_between_words() {
        let text = "word ".repeat(200);
        let short = shorten(&text, 280);
        assert!(short.chars().count() <= 284 && short.ends_with("word ..."), "{short}");
    }
}
