//! Text from models, documents, personas and file names loses whatever could steer a terminal before it is shown.

/// Whether a character could move the cursor, change colours or the order of text: C0 (but newline and tab), DEL, C1,
/// and the bidirectional controls of Unicode (UAX 9).
#[must_use]
pub const fn steers_terminal(character: char) -> bool {
    matches!(
        character,
        '\u{0}'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// `text` without such characters. Works on any piece of a stream: it keeps no state.
#[must_use]
pub fn sanitize(text: &str) -> String {
    text.chars().filter(|character| !steers_terminal(*character)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_bidirectional_controls_are_removed_and_text_stays() {
        assert_eq!(sanitize("a\u{1b}[31mred\u{9b}0m\r\u{202e}x\u{2066}\u{7}"), "a[31mred0mx");
        assert_eq!(sanitize("line\n\ttab – ß 生日 🙂"), "line\n\ttab – ß 生日 🙂");
    }
}
