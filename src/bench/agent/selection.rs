//! Which conversations are run: a folder or files, one half or both, those of a name, a sample.
//!
//! A file belongs to the tuned half where the SHA-256 of its name, with the ending `.json` and without its folder, ends
//! in an even hex digit; else to the untouched half. A file that is not chosen is not opened.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{Conversation, Error};
use crate::types::Hasher;

/// Ending of the files in a folder that hold conversations.
const EXTENSION: &str = "json";

/// The half to which a conversation belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Half {
    /// Looked at while prompts and thresholds are chosen.
    Tuned,
    /// Left alone, so that its figures tell how the choice does elsewhere.
    Untouched,
}

/// The halves that are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Halves {
    /// The half on which prompts and thresholds may be chosen
    Tuned,
    /// The half that is left alone meanwhile; each run is noted beside the conversations
    Untouched,
    /// Both; the untouched half's part is noted likewise
    All,
}

impl Halves {
    /// Its name on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tuned => "tuned",
            Self::Untouched => "untouched",
            Self::All => "all",
        }
    }

    const fn holds(self, half: Half) -> bool {
        matches!((self, half), (Self::All, _) | (Self::Tuned, Half::Tuned) | (Self::Untouched, Half::Untouched))
    }
}

/// The half of a file of this name (without its folder).
#[must_use]
pub fn half_of(file_name: &str) -> Half {
    let mut hasher = Hasher::default();
    hasher.update(file_name.as_bytes());
    let [.., last] = hasher.bytes();
    if last % 2 == 0 { Half::Tuned } else { Half::Untouched }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    /// Folder whose conversations are run where no file is named.
    pub folder: &'a Path,
    /// Files that are run instead.
    pub files: &'a [PathBuf],
    /// Which halves of them.
    pub halves: Halves,
    /// Only files with one of these in their name; all where there is none.
    pub only: &'a [String],
    /// Only so many of them.
    pub sample: Option<usize>,
    /// Seed of the sample.
    pub seed: u64,
}

/// A conversation with where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What is said.
    pub conversation: Conversation,
    /// Its file.
    pub path: PathBuf,
    /// Its half.
    pub half: Half,
}

/// What a selection comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// In the order of their names, or in that in which they were named.
    pub conversations: Vec<Listed>,
    /// How many were left out for their half.
    pub of_other_half: usize,
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |source| Error::Unreadable { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

impl Selection<'_> {
    /// Chooses and reads.
    ///
    /// # Errors
    /// A file or the folder cannot be read, two conversations have one name, or none is left.
    pub fn read(&self) -> Result<Chosen, Error> {
        let mut paths = if self.files.is_empty() { files_in(self.folder)? } else { self.files.to_vec() };
        let found = paths.len();
        paths.retain(|path| self.halves.holds(half_of(&name_of(path))));
        let of_other_half = found - paths.len();
        paths.retain(|path| {
            let name = name_of(path);
            self.only.is_empty() || self.only.iter().any(|part| name.contains(part))
        });
        let not_named = found - of_other_half - paths.len();
        if let Some(sample) = self.sample {
            paths = sampled(paths, sample, self.seed);
        }
        if paths.is_empty() {
            return Err(Error::NothingChosen { found, of_other_half, not_named });
        }
        let mut names = HashSet::new();
        let mut conversations = Vec::with_capacity(paths.len());
        for path in paths {
            let conversation = Conversation::load(&path)?;
            if !names.insert(conversation.name.clone()) {
                return Err(Error::SameName { path, name: conversation.name });
            }
            conversations.push(Listed { conversation, half: half_of(&name_of(&path)), path });
        }
        Ok(Chosen { conversations, of_other_half })
    }
}

/// So many of them, in their order.
fn sampled(paths: Vec<PathBuf>, sample: usize, seed: u64) -> Vec<PathBuf> {
    let mut order: Vec<usize> = (0..paths.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let taken: HashSet<usize> = order.into_iter().take(sample).collect();
    paths.into_iter().enumerate().filter(|(index, _)| taken.contains(index)).map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `sha256sum` ends the first with 9 and the second with e.
    #[test]
    fn a_half_follows_from_the_name_with_its_ending() {
        assert_eq!(half_of("again-cat-pudding.json"), Half::Untouched);
        assert_eq!(half_of("again-cat-pudding"), Half::Tuned);
    }

    #[test]
    fn every_shipped_conversation_is_of_one_half_and_neither_half_is_small() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/conversations");
        let count = |halves| {
            let selection = Selection { folder: &folder, files: &[], halves, only: &[], sample: None, seed: 1 };
            let Chosen { conversations, of_other_half } = selection.read().unwrap();
            (conversations.len(), of_other_half)
        };
        let ((tuned, others), (untouched, _), all) =
            (count(Halves::Tuned), count(Halves::Untouched), count(Halves::All));
        assert_eq!((others, all), (untouched, (tuned + untouched, 0)));
        assert!(3 * tuned.min(untouched) > all.0, "{tuned} and {untouched}");
    }

    #[test]
    fn a_sample_follows_from_its_seed_and_keeps_the_order() {
        let paths: Vec<PathBuf> = (10..60).map(|number| PathBuf::from(number.to_string())).collect();
        let sample = |count, seed| sampled(paths.clone(), count, seed);
        assert_eq!(sample(9, 1), sample(9, 1));
        assert_ne!(sample(9, 1), sample(9, 2));
        assert!(sample(9, 1).is_sorted() && sample(9, 1).len() == 9);
        assert_eq!(sample(99, 1), paths);
    }
}
