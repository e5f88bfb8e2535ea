//! A conversation as its file holds it. `benches/conversations/README.md` tells what each field means.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::Error;

/// Largest file that is read, in bytes: the longest conversations have a few thousand.
pub(super) const MAX_FILE_BYTES: u64 = 4 << 20;

/// One agent and all that is said to it. A field that nobody knows is refused: a check with a misspelt name would never
/// fail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    /// Name, the same as that of the file without its ending.
    pub name: String,
    /// What it tests, in words.
    #[serde(default)]
    pub about: String,
    /// Language in which the user speaks, two letters; empty where the file names none.
    #[serde(default)]
    pub language: String,
    /// What it tests, for the figures.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Openings of the agent.
    pub sessions: Vec<Session>,
    /// By block: groups of texts, of which one each stands in the block at the end. None is not the same as no group:
    /// who was asked to save nothing has not failed to.
    pub core_any: Option<BTreeMap<String, Vec<Vec<String>>>>,
    /// By block: texts of which none stands there at the end.
    #[serde(default)]
    pub core_none: BTreeMap<String, Vec<String>>,
    /// By block: most characters by which it may have grown.
    #[serde(default)]
    pub core_max_added_chars: BTreeMap<String, i64>,
}

/// One opening of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// What is said in it.
    pub turns: Vec<Turn>,
}

/// One message of the user with the checks of its reply.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// What the user says.
    pub user: String,
    /// Texts of which one stands in the reply.
    pub reply_any: Option<Vec<String>>,
    /// Texts of which none does.
    pub reply_none: Option<Vec<String>>,
}

impl Conversation {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, is too large, or holds no conversation.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        let size_bytes = std::fs::metadata(path).map_err(unreadable)?.len();
        if size_bytes > MAX_FILE_BYTES {
            return Err(Error::TooLarge { path: path.to_owned(), size_bytes });
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        serde_json::from_slice(bytes).map_err(|source| Error::BadFile { path: path.to_owned(), source })
    }

    /// Whether it is of a kind.
    #[must_use]
    pub fn is(&self, kind: &str) -> bool {
        self.kinds.iter().any(|own| own == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_with_a_misspelt_name_is_refused() {
        let good = r#"{"name": "a", "sessions": [{"turns": [{"user": "Hi", "reply_any": ["Hi"]}]}]}"#;
        let conversation: Conversation = serde_json::from_str(good).unwrap();
        assert_eq!((conversation.core_any, conversation.sessions.len()), (None, 1));
        for wrong in ["reply_any", "sessions", "user"] {
            assert!(serde_json::from_str::<Conversation>(&good.replace(wrong, "reply_some")).is_err(), "{wrong}");
        }
    }
}
