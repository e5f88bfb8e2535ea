//! What the targets that walk through grammars share.

use std::sync::{Arc, LazyLock};

use mneme::grammar::{Limits, Matcher};
use mneme::inference::{TokenKind, Vocab};
use mneme::types::{Constraint, TokenId};

/// All single bytes, a tag, an end, and longer tokens.
pub static VOCAB: LazyLock<Arc<Vocab>> = LazyLock::new(|| {
    let mut rows: Vec<(Vec<u8>, TokenKind)> = (0..=255).map(|byte| (vec![byte], TokenKind::Text)).collect();
    rows.push((b"<tag>".to_vec(), TokenKind::Control));
    rows.push((b"<end>".to_vec(), TokenKind::Control));
    for text in ["ab", "aa", "abc", "\": \"", "}}", "\n\n", "é", "日本", " the", "true", "12", "\\n", "aé"] {
        rows.push((text.into(), TokenKind::Text));
    }
    rows.push((b"\xE2\x80".to_vec(), TokenKind::Text));
    rows.push((b"a\xC3".to_vec(), TokenKind::Text));
    Arc::new(Vocab::new(rows, vec![TokenId(257)], None))
});

/// Small, so that a walk comes to them.
#[must_use]
pub fn limits() -> Limits {
    Limits {
        source_bytes: 4096,
        positions: 20_000,
        states: 5000,
        parses: 500,
        stored_parses: 100_000,
        frames: 20_000,
        mask_bytes: 400,
        ..Limits::default()
    }
}

/// The control token `<tag>`.
pub const TAG: TokenId = TokenId(256);

/// What stands before and behind the first line `=`; the former is text.
#[must_use]
pub fn parts(data: &[u8]) -> Option<(&str, &[u8])> {
    let cut = data.windows(3).position(|part| part == b"\n=\n")?;
    Some((std::str::from_utf8(&data[..cut]).ok()?, &data[cut + 3..]))
}

/// Commits a token, takes it back and commits it again, which must lead to the same states; `None` where a limit was hit.
///
/// # Panics
/// The states differ.
pub fn commit_twice(matcher: &mut Matcher, token: TokenId) -> Option<()> {
    let before = (matcher.state(), matcher.may_end());
    matcher.commit(token).ok()?;
    let after = matcher.state();
    matcher.rollback(1).unwrap();
    assert_eq!((matcher.state(), matcher.may_end()), before);
    matcher.commit(token).unwrap();
    assert_eq!(matcher.state(), after);
    Some(())
}
