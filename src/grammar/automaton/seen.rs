//! Parses that were met while one byte is read.

use hashbrown::HashSet;

use super::super::hash::FastHash;
use super::Parse;

/// A list while they are few.
#[derive(Debug, Default)]
pub(super) struct Seen {
    few: Vec<Parse>,
    many: HashSet<Parse, FastHash>,
}

/// A longer list is slower to search than a table.
const FEW: usize = 16;

impl Seen {
    pub(super) fn clear(&mut self) {
        self.few.clear();
        if !self.many.is_empty() {
            self.many.clear();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.few.len().max(self.many.len())
    }

    /// Adds a parse; false where it was there.
    pub(super) fn insert(&mut self, parse: Parse) -> bool {
        if self.many.is_empty() {
            if self.few.contains(&parse) {
                return false;
            }
            self.few.push(parse);
            if self.few.len() > FEW {
                self.many.extend(self.few.iter());
            }
            return true;
        }
        self.many.insert(parse)
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.few.capacity() * size_of::<Parse>() + self.many.allocation_size()
    }
}
