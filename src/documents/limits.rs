//! How much of a document is read before it is refused.

use serde::{Deserialize, Serialize};

/// Limits of one file. What goes beyond one is refused as a whole and told: half a document would look like all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of the text in it.
    pub text_bytes: u64,
    /// Pages of a document with pages.
    pub pages: usize,
    /// Elements within elements.
    pub nesting: usize,
    /// Files in an archive.
    pub archive_files: usize,
    /// Bytes that an archive may unpack to, all its members that are read together.
    pub unpacked_bytes: u64,
    /// How many times larger than packed a member of an archive may be, if it is larger than 1 MiB.
    pub unpacked_ratio: u64,
    /// Seconds that reading may take.
    pub seconds: u64,
    /// Bytes of address space of the reading process, where the system can limit it.
    pub memory_bytes: u64,
}

impl Default for Limits {
    /// Sized for books and reports: ten times what ordinary ones need, and far below what a laptop has.
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
            text_bytes: 64 << 20,
            pages: 5000,
            nesting: 256,
            archive_files: 20_000,
            unpacked_bytes: 256 << 20,
            unpacked_ratio: 200,
            seconds: 60,
            memory_bytes: 2 << 30,
        }
    }
}

impl Limits {
    /// The name of the first limit that is 0, with which nothing could be read.
    #[must_use]
    pub fn zero(&self) -> Option<&'static str> {
        [
            ("file_bytes", self.file_bytes),
            ("text_bytes", self.text_bytes),
            ("pages", self.pages as u64),
            ("nesting", self.nesting as u64),
            ("archive_files", self.archive_files as u64),
            ("unpacked_bytes", self.unpacked_bytes),
            ("unpacked_ratio", self.unpacked_ratio),
            ("seconds", self.seconds),
            ("memory_bytes", self.memory_bytes),
        ]
        .into_iter()
        .find_map(|(name, value)| (value == 0).then_some(name))
    }
}
