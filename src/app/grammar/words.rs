//! What a grammar says of a text, in words.

use super::walk::{ByteGrammar, Next};
use crate::grammar::{CharSet, Place};

/// Runs of bytes above which what could come is told as one class.
const MAX_RUNS: usize = 12;
/// Kinds of ASCII characters above which what could come is told as one class: it says what may not come.
const MAX_CHARACTERS: usize = 64;
/// Tokens that are told by name.
const MAX_NAMES: usize = 12;
/// Forced text that is shown, in characters.
const MAX_FORCED_CHARS: usize = 60;
/// First bytes of characters beyond ASCII, from the first to the last.
const LEADS: (u8, u8) = (0xC2, 0xF4);

/// Where and why `text` is rejected: sentences and, where the text is UTF-8, a marked excerpt.
pub(super) fn rejection(grammar: &ByteGrammar, text: &[u8], at_byte: usize, next: &Next) -> String {
    let mut words = String::new();
    let whole = std::str::from_utf8(text).ok();
    let character = whole.and_then(|text| text.get(at_byte..)?.chars().next());
    let place = whole.map(|text| Place::new(text, at_byte, at_byte + character.map_or(1, char::len_utf8)));
    match text.get(at_byte) {
        None => words.push_str(&format!("rejected: the text ends too early, at byte {at_byte}")),
        Some(byte) => {
            words.push_str(&format!("rejected at byte {at_byte}"));
            if let Some(place) = &place {
                words.push_str(&format!(" (line {}, column {})", place.line, place.column));
            }
            let what = character.map_or_else(|| format!("the byte 0x{byte:02X}"), character_name);
            words.push_str(&format!(": {what} cannot stand there"));
        }
    }
    if let Some(place) = place {
        for line in place.excerpt.lines() {
            words.push_str("\n  ");
            words.push_str(line);
        }
    }
    words.push('\n');
    words.push_str(if at_byte < text.len() { "could have come: " } else { "could follow: " });
    words.push_str(&alternatives(grammar, next));
    if let Ok(forced) = std::str::from_utf8(&next.forced)
        && forced.chars().count() > 1
    {
        let shown: String = forced.chars().take(MAX_FORCED_CHARS).collect();
        let dots = if shown.len() < forced.len() { " .." } else { "" };
        words.push_str(&format!("\nmust go on with: {}{dots}", serde_json::Value::from(shown)));
    }
    words
}

/// Everything that could come, as a list.
fn alternatives(grammar: &ByteGrammar, next: &Next) -> String {
    let mut found = bytes_in_words(&next.bytes);
    let names = next.named.iter().take(MAX_NAMES).map(|token| format!("the token {}", grammar.spelled(*token)));
    found.extend(names);
    if next.named.len() > MAX_NAMES {
        found.push(format!("{} more tokens", next.named.len() - MAX_NAMES));
    }
    if next.may_end {
        found.push("the end of the text".to_owned());
    }
    if found.is_empty() { "nothing".to_owned() } else { found.join(", ") }
}

fn bytes_in_words(bytes: &[u8]) -> Vec<String> {
    let ascii: Vec<u8> = bytes.iter().copied().filter(u8::is_ascii).collect();
    let beyond: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii()).collect();
    let any_beyond = (LEADS.0..=LEADS.1).all(|lead| beyond.contains(&lead));
    let ascii_runs = runs(&ascii);
    if ascii.len() > MAX_CHARACTERS || ascii_runs.len() > MAX_RUNS {
        let mut ranges: Vec<(u32, u32)> =
            ascii_runs.iter().map(|(low, high)| ((*low).into(), (*high).into())).collect();
        ranges.extend(any_beyond.then_some((0x80, u32::from(char::MAX))));
        let mut found = vec![format!("a character of {}", CharSet::from_ranges(ranges))];
        found.extend((!any_beyond).then(|| first_bytes(&beyond)).flatten());
        return found;
    }
    let mut found = Vec::new();
    for (low, high) in ascii_runs {
        if high - low < 2 || low.is_ascii_control() || low == b' ' {
            found.extend((low..=high).map(|byte| character_name(byte.into())));
        } else {
            found.push(format!("{}-{}", char::from(low), char::from(high)));
        }
    }
    if any_beyond {
        found.push("any character beyond ASCII".to_owned());
    } else {
        found.extend(first_bytes(&beyond));
    }
    found
}

/// Bytes that begin or go on with a character beyond ASCII.
fn first_bytes(bytes: &[u8]) -> Option<String> {
    let shown = |(low, high): &(u8, u8)| {
        if low == high { format!("0x{low:02X}") } else { format!("0x{low:02X}-0x{high:02X}") }
    };
    let shown: Vec<String> = runs(bytes).iter().map(shown).collect();
    (!shown.is_empty()).then(|| format!("the byte {} of a longer character", shown.join(" or ")))
}

/// Neighbouring bytes together, ends included.
fn runs(bytes: &[u8]) -> Vec<(u8, u8)> {
    let mut runs: Vec<(u8, u8)> = Vec::new();
    for byte in bytes {
        match runs.last_mut() {
            Some((_, high)) if high.checked_add(1) == Some(*byte) => *high = *byte,
            _ => runs.push((*byte, *byte)),
        }
    }
    runs
}

fn character_name(character: char) -> String {
    match character {
        ' ' => "a blank".to_owned(),
        '\n' => "a line end".to_owned(),
        '\r' => "a carriage return".to_owned(),
        '\t' => "a tab".to_owned(),
        control if control.is_control() => format!("U+{:04X}", u32::from(control)),
        other => format!("`{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::input::GrammarText;
    use crate::cli::TriggerArgs;

    fn rejected(source: &str, text: &[u8]) -> String {
        let grammar = GrammarText { name: "g".into(), source: source.into() };
        let triggers = TriggerArgs { texts: Vec::new(), tokens: Vec::new() };
        let grammar = ByteGrammar::compile(&grammar, &triggers, None).unwrap();
        let reached = grammar.walk(text).unwrap();
        rejection(&grammar, text, reached.at_byte, &grammar.next(&reached).unwrap())
    }

    #[test]
    fn a_rejection_tells_place_character_and_what_could_have_come() {
        assert_eq!(
            rejected("root ::= \"a\\n\" ([0-9] | [x \\n])", b"a\n?"),
            "rejected at byte 2 (line 2, column 1): `?` cannot stand there\n  2 | ?\n    | ^\n\
             could have come: a line end, a blank, 0-9, `x`"
        );
    }

    #[test]
    fn a_text_that_ends_too_early_is_told_apart_and_with_what_must_follow() {
        assert_eq!(
            rejected("root ::= \"true\"", b"t"),
            "rejected: the text ends too early, at byte 1\n  1 | t\n    |  ^\ncould follow: `r`\nmust go on with: \"rue\""
        );
    }

    #[test]
    fn many_characters_are_told_by_those_that_may_not_come() {
        let words = rejected("root ::= [^\"\\\\\\x00-\\x1F]+", b"\"");
        assert!(words.ends_with("could have come: a character of [^\\x00-\\x1F\"\\\\]"), "{words}");
    }

    #[test]
    fn bytes_inside_a_character_are_told_as_numbers() {
        let words = rejected("root ::= \"é\"", b"\xC3\xFF");
        assert_eq!(
            words,
            "rejected at byte 1: the byte 0xFF cannot stand there\n\
             could have come: the byte 0xA9 of a longer character"
        );
        assert!(rejected("root ::= [é-ü]", b"e").ends_with("the byte 0xC3 of a longer character"));
    }

    #[test]
    fn what_stands_behind_the_end_is_rejected_with_the_end_as_the_only_choice() {
        assert!(rejected("root ::= \"a\"", b"ab").ends_with("could have come: the end of the text"));
    }
}
