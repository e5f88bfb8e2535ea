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

/// `text` with such characters spelled (`\x1b`, `\u{202e}`), for messages that quote what is wrong.
#[must_use]
pub fn spell_out(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match u32::from(character) {
            _ if !steers_terminal(character) => out.push(character),
            code @ 0..=0x7f => out.push_str(&format!("\\x{code:02x}")),
            code => out.push_str(&format!("\\u{{{code:x}}}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_spelled() {
        assert_eq!(spell_out("at `\u{1b}`: \u{9b}\u{202e}\n\tß"), "at `\\x1b`: \\u{9b}\\u{202e}\n\tß");
    }

    #[test]
    fn escapes_and_bidirectional_controls_are_removed_and_text_stays() {
        assert_eq!(sanitize("a\u{1b}[31mred\u{9b}0m\r\u{202e}x\u{2066}\u{7}"), "a[31mred0mx");
        assert_eq!(sanitize("line\n\ttab – ß 生日 🙂"), "line\n\ttab – ß 生日 🙂");
    }
}
