//! Paths as text, without loss: what is stored leads back to its file whatever bytes its name has.
//!
//! A path that is UTF-8 is stored as it is. Another one gets a prefix that no absolute path has, and its bytes that are
//! no plain ASCII are spelled in hex.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Before a path that is not UTF-8.
const BYTES_PREFIX: &str = "bytes:";

/// The text that stands for an absolute path.
#[must_use]
pub fn spelled_path(path: &Path) -> String {
    if let Some(text) = path.to_str() {
        return text.to_owned();
    }
    let mut spelled = BYTES_PREFIX.to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_graphic() && *byte != b'%' {
            spelled.push(char::from(*byte));
        } else {
            // Nothing fails that is written to a string.
            let _ = write!(spelled, "%{byte:02X}");
        }
    }
    spelled
}

/// The path for which a text stands.
#[must_use]
pub fn path_of(spelled: &str) -> PathBuf {
    #[cfg(unix)]
    if let Some(rest) = spelled.strip_prefix(BYTES_PREFIX) {
        return PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes_of(rest)));
    }
    PathBuf::from(spelled)
}

#[cfg(unix)]
fn bytes_of(spelled: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(spelled.len());
    let mut rest = spelled.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let hex = behind.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_as_it_is() {
        for path in ["/tmp/a b%41.txt", "/tmp/生日/\u{fffd}.md", "/tmp/bytes:x"] {
            assert_eq!(spelled_path(Path::new(path)), path);
            assert_eq!(path_of(path), Path::new(path));
        }
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_no_text_lead_back_to_their_files() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let path = |bytes: &'static [u8]| Path::new(OsStr::from_bytes(bytes));
        assert_eq!(spelled_path(path(b"/tmp/caf\xe9 %.txt")), "bytes:/tmp/caf%E9%20%25.txt");
        let all: Vec<u8> = (1..=255).collect();
        for bytes in [b"/caf\xe9".as_slice(), b"/caf\xe8", b"/%E9\xe9%", &all] {
            let path = Path::new(OsStr::from_bytes(bytes));
            assert_eq!(path_of(&spelled_path(path)), path);
        }
        assert_ne!(spelled_path(path(b"/caf\xe9")), spelled_path(path(b"/caf\xe8")));
    }
}
