//! Numbers with their nouns.

/// `1 turn`, `2 turns`.
#[must_use]
pub fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}
