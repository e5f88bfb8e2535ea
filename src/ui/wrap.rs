//! Words of a stream of text, each on a line that has room for it.
//!
//! A terminal breaks lines between any two characters. Here a word waits until it is whole and begins a new line where
//! it would not fit; characters that take two columns (Chinese, Japanese, Korean, emoji) may begin one anywhere. What
//! is longer than a line is left to the terminal.

use unicode_width::UnicodeWidthChar;

/// A stream of text under way.
#[derive(Debug, Default)]
pub(super) struct Wrap {
    /// Columns that are filled on the line.
    column: usize,
    spaces: String,
    word: String,
    word_columns: usize,
    /// Columns that are left free at the beginning of a line that was begun here.
    indent: usize,
}

impl Wrap {
    /// A stream that begins behind `column` columns of something else.
    pub(super) fn behind(column: usize, indent: usize) -> Self {
        Self { column, indent, ..Self::default() }
    }

    /// Takes text; gives what is ready to be shown in `columns` columns, none being a line without an end.
    pub(super) fn push(&mut self, text: &str, columns: Option<usize>) -> String {
        let mut out = String::new();
        for character in text.chars() {
            match (character, character.width().unwrap_or(0)) {
                ('\n', _) => {
                    self.end_word(&mut out, columns);
                    self.spaces.clear();
                    out.push('\n');
                    self.column = 0;
                }
                (' ' | '\t', _) => {
                    self.end_word(&mut out, columns);
                    self.spaces.push(character);
                }
                (_, 2) => {
                    self.end_word(&mut out, columns);
                    self.add(character, 2);
                    self.end_word(&mut out, columns);
                }
                // Joins what stands before it.
                (_, 0) if self.word.is_empty() && self.spaces.is_empty() => out.push(character),
                (_, width) => self.add(character, width),
            }
        }
        out
    }

    /// What is left at the end.
    pub(super) fn finish(&mut self, columns: Option<usize>) -> String {
        let mut out = String::new();
        self.end_word(&mut out, columns);
        out
    }

    fn add(&mut self, character: char, columns: usize) {
        self.word.push(character);
        self.word_columns += columns;
    }

    fn end_word(&mut self, out: &mut String, columns: Option<usize>) {
        if self.word.is_empty() {
            return;
        }
        let spaces = std::mem::take(&mut self.spaces);
        let end = self.column + spaces.len() + self.word_columns;
        if self.column > self.indent && columns.is_some_and(|columns| end > columns) {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', self.indent));
            self.column = self.indent + self.word_columns;
        } else {
            out.push_str(&spaces);
            self.column = end;
        }
        if let Some(columns) = columns.filter(|columns| *columns > 0 && self.column > *columns) {
            // A line that is full to the end is left only by the next character.
            self.column = (self.column - 1) % columns + 1;
        }
        out.push_str(&std::mem::take(&mut self.word));
        self.word_columns = 0;
    }
}

/// Columns of the terminal behind `output` as it is now; none where it is no terminal.
#[cfg(unix)]
pub(crate) fn columns_of(output: impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(output).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Columns of the terminal behind `output`: not known on this system.
#[cfg(not(unix))]
pub(crate) fn columns_of(_output: impl Sized) -> Option<usize> {
    None
}

/// A whole text for `columns` columns; its first line stands behind `column` columns of something else.
pub(crate) fn wrapped(text: &str, columns: Option<usize>, column: usize, indent: usize) -> String {
    let mut wrap = Wrap::behind(column, indent);
    let mut out = wrap.push(text, columns);
    out.push_str(&wrap.finish(columns));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_do_not_fit_begin_a_line() {
        assert_eq!(wrapped("one two three four", Some(9), 0, 0), "one two\nthree\nfour");
        assert_eq!(wrapped("one two", Some(9), 5, 0), "one\ntwo");
        assert_eq!(wrapped("one two three", Some(9), 2, 2), "one two\n  three");
        assert_eq!(wrapped("a\n\n  b  c\n", Some(9), 0, 0), "a\n\n  b  c\n");
        assert_eq!(wrapped("exactly 9 is fine", Some(9), 0, 0), "exactly 9\nis fine");
        assert_eq!(wrapped("one two three", None, 0, 0), "one two three");
    }

    #[test]
    fn what_is_longer_than_a_line_is_left_whole() {
        assert_eq!(wrapped("a bcdefghijklm no", Some(5), 0, 0), "a\nbcdefghijklm no");
        assert_eq!(wrapped("a bcdefghijklm nop", Some(5), 0, 0), "a\nbcdefghijklm\nnop");
        assert_eq!(wrapped("abcdefghij no", Some(5), 0, 0), "abcdefghij\nno");
        assert_eq!(wrapped("abcdefg", Some(0), 0, 0), "abcdefg");
    }

    #[test]
    fn wide_characters_break_anywhere_and_count_twice() {
        assert_eq!(wrapped("日本語の文章", Some(5), 0, 0), "日本\n語の\n文章");
        assert_eq!(wrapped("ab日本 c", Some(4), 0, 0), "ab日\n本 c");
        assert_eq!(wrapped("e\u{301}e\u{301} 🎂\u{fe0f}x", Some(4), 0, 0), "e\u{301}e\u{301}\n🎂\u{fe0f}x");
    }

    #[test]
    fn pieces_of_any_size_give_the_same_lines() {
        let text = "One two  three, 日本語 four\n\nfive sixseveneightnine ten.";
        let whole = wrapped(text, Some(10), 4, 0);
        let mut wrap = Wrap::behind(4, 0);
        let mut out: String = text.chars().map(|character| wrap.push(&character.to_string(), Some(10))).collect();
        out.push_str(&wrap.finish(Some(10)));
        assert_eq!(out, whole);
    }
}
