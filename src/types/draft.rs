//! Files of drafts: what the user writes of a block of core memory lies in the home until it is taken over.
//!
//! The name says whose block it is and from which text the draft began, so that a draft is neither opened for another
//! agent nor put in the place of a text that it never knew. Editors leave files beside it that begin and end otherwise
//! (`.NAME.swp`, `NAME~`, `#NAME#`): they belong to it. Not responsible for editing (`ui`).

use std::io;
use std::path::{Path, PathBuf};

use super::Hasher;

/// What stands before the agent's name.
const PREFIX: &str = "core-";
/// What ends the name of a draft.
const EXTENSION: &str = ".draft.txt";
/// Hex digits of the hash of the text from which a draft began: two texts of one block do not share them by chance.
const HASH_DIGITS: usize = 16;

/// A file in the home that holds what was written of a block, or that an editor left beside one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Where it is.
    pub path: PathBuf,
    /// Whose block it is.
    pub agent: String,
    /// Label of the block.
    pub label: String,
    /// Hash of the text from which it began.
    hash: String,
    /// It is the draft itself, not a file of the editor.
    is_whole: bool,
}

impl Draft {
    /// The draft of the block `label` of `agent` that begins with the text `before`.
    #[must_use]
    pub fn new(home: &Path, agent: &str, label: &str, before: &str) -> Self {
        let hash = hash_of(before);
        let path = home.join(format!("{PREFIX}{agent}-{label}-{hash}{EXTENSION}"));
        Self { path, agent: agent.to_owned(), label: label.to_owned(), hash, is_whole: true }
    }

    /// The drafts in `home`, with what editors left of them.
    ///
    /// # Errors
    /// The folder cannot be read; one that does not exist has none.
    pub fn all(home: &Path) -> io::Result<Vec<Self>> {
        let entries = match std::fs::read_dir(home) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut drafts = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                drafts.extend(Self::of(entry.path()));
            }
        }
        drafts.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(drafts)
    }

    /// The draft whose file, or file of an editor, is at `path`.
    fn of(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_owned();
        let inner = name.trim_start_matches(['.', '#']);
        let (stem, behind) = inner.strip_prefix(PREFIX)?.split_once(EXTENSION)?;
        let (rest, hash) = stem.rsplit_once('-')?;
        let (agent, label) = rest.rsplit_once('-')?;
        let is_hash = hash.len() == HASH_DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_whole = inner.len() == name.len() && behind.is_empty();
        let (agent, label, hash) = (agent.to_owned(), label.to_owned(), hash.to_owned());
        is_hash.then_some(Self { path, agent, label, hash, is_whole })
    }

    /// Drafts of the same block that began with another text.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn older(&self) -> io::Result<Vec<Self>> {
        let all = Self::all(self.path.parent().unwrap_or(Path::new(".")))?;
        let is_older = |other: &Self| {
            other.is_whole && other.agent == self.agent && other.label == self.label && other.hash != self.hash
        };
        Ok(all.into_iter().filter(is_older).collect())
    }

    /// Whether `text` is the one from which it began.
    #[must_use]
    pub fn began_with(&self, text: &str) -> bool {
        hash_of(text) == self.hash
    }

    /// Whether it is a file that an editor left beside a draft.
    #[must_use]
    pub const fn is_left_over(&self) -> bool {
        !self.is_whole
    }

    /// Where it lies once its agent has another name.
    #[must_use]
    pub fn renamed(&self, agent: &str) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(name.replacen(&format!("{PREFIX}{}-", self.agent), &format!("{PREFIX}{agent}-"), 1))
    }
}

fn hash_of(text: &str) -> String {
    let mut hasher = Hasher::default();
    // As it is compared: an editor ends the last line, and some systems write lines otherwise.
    hasher.update(text.replace("\r\n", "\n").trim().as_bytes());
    let mut hex = hasher.hex();
    hex.truncate(HASH_DIGITS);
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_are_told_by_agent_block_and_beginning() {
        let home = tempfile::tempdir().unwrap();
        let draft = Draft::new(home.path(), "bo-human", "human", "Likes tea.\n");
        assert!(draft.began_with("Likes tea.") && !draft.began_with("Likes coffee."));
        for (agent, text) in [("bo-human", "Likes tea."), ("bo-human", "Likes milk."), ("bo", "Likes tea.")] {
            std::fs::write(Draft::new(home.path(), agent, "human", text).path, "x").unwrap();
        }
        for other in ["core-human.draft.txt", "mneme.db", "core-bo-human-123.draft.txt"] {
            std::fs::write(home.path().join(other), "x").unwrap();
        }
        assert_eq!(Draft::all(home.path()).unwrap().len(), 3);
        assert_eq!(draft.older().unwrap(), [Draft::new(home.path(), "bo-human", "human", "Likes milk.")]);
        assert_eq!(Draft::all(&home.path().join("none")).unwrap(), []);
    }

    #[test]
    fn what_editors_leave_belongs_to_the_draft() {
        let home = tempfile::tempdir().unwrap();
        let draft = Draft::new(home.path(), "bo", "human", "");
        let name = draft.path.file_name().unwrap().to_str().unwrap();
        for left in [format!(".{name}.swp"), format!("{name}~"), format!("#{name}#"), format!("{name}.save")] {
            std::fs::write(home.path().join(left), "x").unwrap();
        }
        let found = Draft::all(home.path()).unwrap();
        assert_eq!(found.len(), 4);
        assert!(found.iter().all(|left| left.is_left_over() && left.agent == "bo" && left.label == "human"));
        assert_eq!(draft.older().unwrap(), []);
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(name(&found[0].renamed("anna")), name(&found[0].path).replace("core-bo-", "core-anna-"));
    }
}
