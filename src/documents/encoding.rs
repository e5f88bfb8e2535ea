//! From bytes to text: UTF-8, UTF-16 by its mark or its pattern, else Windows-1252, which holds Latin-1.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::error::Error;

/// Text with more control characters than one in so many is no text.
const CHARS_PER_CONTROL: usize = 100;

/// So many bytes tell UTF-16 without a mark.
const SAMPLE_BYTES: usize = 4096;

/// The text, and what the user should know of how it was read.
///
/// # Errors
/// [`Error::Binary`].
pub(super) fn decode(bytes: &[u8]) -> Result<(Cow<'_, str>, Option<String>), Error> {
    if let Some((encoding, mark_bytes)) = Encoding::for_bom(bytes) {
        let (text, had_errors) = encoding.decode_without_bom_handling(bytes.get(mark_bytes..).unwrap_or_default());
        let notice = had_errors.then(|| format!("some of it is not {} and was replaced", encoding.name()));
        return checked(text, notice);
    }
    if let Some(encoding) = unmarked_utf16(bytes) {
        let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
        return if had_errors { Err(Error::Binary) } else { checked(text, None) };
    }
    if bytes.contains(&0) {
        return Err(Error::Binary);
    }
    let Err(error) = std::str::from_utf8(bytes).map(drop) else {
        return checked(String::from_utf8_lossy(bytes), None);
    };
    let (good, bad) = bytes.utf8_chunks().fold((0, 0), |(good, bad), chunk| {
        (good + chunk.valid().chars().filter(|c| !c.is_ascii()).count(), bad + usize::from(!chunk.invalid().is_empty()))
    });
    if good > bad {
        let notice =
            format!("{bad} places in it are not UTF-8 and were replaced, the first at byte {}", error.valid_up_to());
        return checked(String::from_utf8_lossy(bytes), Some(notice));
    }
    let (text, _) = WINDOWS_1252.decode_without_bom_handling(bytes);
    checked(text, Some("it is not UTF-8 and was read as Windows-1252".to_owned()))
}

fn checked(text: Cow<'_, str>, notice: Option<String>) -> Result<(Cow<'_, str>, Option<String>), Error> {
    let is_odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}' | '\u{1b}' | '\u{85}');
    let (controls, chars) =
        text.chars().fold((0_usize, 0_usize), |(odd, all), c| (odd + usize::from(is_odd(c)), all + 1));
    if controls > chars / CHARS_PER_CONTROL { Err(Error::Binary) } else { Ok((text, notice)) }
}

/// Mostly Latin text in UTF-16 has a zero in every other byte.
fn unmarked_utf16(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = bytes.get(..SAMPLE_BYTES).unwrap_or(bytes);
    if sample.len() < 8 || !bytes.len().is_multiple_of(2) {
        return None;
    }
    let zeros = |offset: usize| sample.iter().skip(offset).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd, pairs) = (zeros(0), zeros(1), sample.len() / 2);
    match (even * 10 > pairs * 7, odd * 10 > pairs * 7) {
        (true, false) if odd == 0 => Some(UTF_16BE),
        (false, true) if even == 0 => Some(UTF_16LE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> (String, Option<String>) {
        let (text, notice) = decode(bytes).unwrap();
        (text.into_owned(), notice)
    }

    fn utf16(text: &str, mark: &[u8]) -> Vec<u8> {
        mark.iter().copied().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
    }

    #[test]
    fn the_usual_encodings_are_read() {
        assert_eq!(text("Tõnu, 生日".as_bytes()), ("Tõnu, 生日".into(), None));
        assert_eq!(text("\u{feff}Tõnu".as_bytes()), ("Tõnu".into(), None));
        assert_eq!(text(&utf16("Tõnu", &[0xff, 0xfe])), ("Tõnu".into(), None));
        assert_eq!(text(&utf16("plain words", &[])), ("plain words".into(), None));
        let (latin, notice) = text(b"caf\xe9 \x96 na\xefve");
        assert_eq!(latin, "café – naïve");
        assert!(notice.unwrap().contains("Windows-1252"));
        let (mended, notice) = text(b"\xc3\xa9t\xc3\xa9, \xc3\xa0 \xff midi");
        assert_eq!(mended, "été, à \u{fffd} midi");
        assert!(notice.unwrap().contains("byte 10"));
        assert_eq!(text(b""), (String::new(), None));
    }

    #[test]
    fn binary_files_are_told_apart() {
        for bytes in [&b"\x7fELF\x02\x01\x01\x00\x00\x00"[..], b"\x89PNG\r\n\x1a\n\x00\x00", b"\x01\x02\x03\x04\x05abc"]
        {
            assert!(matches!(decode(bytes), Err(Error::Binary)), "{bytes:?}");
        }
    }
}
