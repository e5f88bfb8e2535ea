//! Personas and humans: the texts that core memory starts with. Shipped ones are compiled in; the user's own lie in
//! `personas/` and `personas/humans/` of the home and come first.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Error;
use super::input::without_byte_order_mark;
use crate::types::{irregular_file, validate_name};

/// Larger files are no core-memory texts; the limit keeps a wrong path from being read whole.
pub(super) const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Which block a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// About the agent.
    Persona,
    /// About the user.
    Human,
}

const SHIPPED: &[(Kind, &str, &str)] = &[
    (Kind::Persona, "mneme", include_str!("../../personas/mneme.txt")),
    (Kind::Persona, "muse", include_str!("../../personas/muse.txt")),
    (Kind::Persona, "archivist", include_str!("../../personas/archivist.txt")),
    (Kind::Human, "basic", include_str!("../../personas/humans/basic.txt")),
    (Kind::Human, "developer", include_str!("../../personas/humans/developer.txt")),
];

impl Kind {
    /// `persona` or `human`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Persona => "persona",
            Self::Human => "human",
        }
    }

    /// Where the user's own texts lie.
    pub(super) fn folder(self, home: &Path) -> PathBuf {
        match self {
            Self::Persona => home.join("personas"),
            Self::Human => home.join("personas").join("humans"),
        }
    }
}

/// Names and texts of those that are compiled in.
pub(super) fn shipped(kind: Kind) -> impl Iterator<Item = (&'static str, &'static str)> {
    SHIPPED.iter().filter(move |(of, ..)| *of == kind).map(|(_, name, text)| (*name, *text))
}

/// The text that `argument` names: a path where it holds a slash or is an existing `.txt` file, else a name in the
/// user's folder, else a shipped one. Surrounding white space is removed.
///
/// # Errors
/// There is no such text, its name breaks the naming rule, or the file is no regular file, too large, unreadable or not
/// UTF-8.
pub(super) fn read(kind: Kind, argument: &str, home: &Path) -> Result<String, Error> {
    let as_path = Path::new(argument);
    let is_text_file = as_path.extension().is_some_and(|extension| extension == "txt") && as_path.is_file();
    if argument.contains('/') || argument.contains(std::path::MAIN_SEPARATOR) || is_text_file {
        return read_file(kind, as_path);
    }
    let name = argument.strip_suffix(".txt").unwrap_or(argument);
    validate_name(name)?;
    let own = kind.folder(home).join(format!("{name}.txt"));
    if own.is_file() {
        return read_file(kind, &own);
    }
    SHIPPED.iter().find(|(of, shipped, _)| *of == kind && *shipped == name).map_or_else(
        || {
            let known: Vec<&str> = SHIPPED.iter().filter(|(of, ..)| *of == kind).map(|(_, name, _)| *name).collect();
            Err(Error::UnknownText { kind: kind.name(), name: name.to_owned(), known: known.join(", ") })
        },
        |(_, _, text)| Ok(text.trim().to_owned()),
    )
}

/// The text of a file, without surrounding white space.
///
/// # Errors
/// It is no regular file, too large, unreadable or not UTF-8.
pub(super) fn read_file(kind: Kind, path: &Path) -> Result<String, Error> {
    let fail = |source| Error::TextFile { kind: kind.name(), path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(fail)?;
    if let Some(found) = irregular_file(&metadata) {
        return Err(Error::TextNotAFile { kind: kind.name(), path: path.to_owned(), found });
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)).map_err(fail)?;
    let size_bytes = metadata.len().max(bytes.len() as u64);
    if size_bytes > MAX_FILE_BYTES {
        return Err(Error::TextTooLarge { kind: kind.name(), path: path.to_owned(), size_bytes });
    }
    let text = String::from_utf8(bytes).map_err(|error| Error::TextNotUtf8 {
        kind: kind.name(),
        path: path.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })?;
    Ok(without_byte_order_mark(&text).trim().replace("\r\n", "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_folder_comes_before_the_shipped_one() {
        let home = tempfile::tempdir().unwrap();
        assert!(read(Kind::Persona, "mneme", home.path()).unwrap().contains("Mneme"));
        std::fs::create_dir_all(home.path().join("personas")).unwrap();
        std::fs::write(home.path().join("personas/mneme.txt"), " mine \n").unwrap();
        assert_eq!(read(Kind::Persona, "mneme", home.path()).unwrap(), "mine");
        assert_eq!(read(Kind::Persona, "mneme.txt", home.path()).unwrap(), "mine");
    }

    #[test]
    fn names_cannot_leave_the_folder_and_unknown_ones_list_the_known() {
        let home = tempfile::tempdir().unwrap();
        assert!(matches!(read(Kind::Human, "..", home.path()), Err(Error::Name(_))));
        let error = read(Kind::Human, "nobody", home.path()).unwrap_err().to_string();
        assert!(error.contains("nobody"), "{error}");
    }

    #[test]
    fn every_shipped_text_fits_the_default_limit() {
        for (_, name, text) in SHIPPED {
            assert!(text.chars().count() <= crate::config::DEFAULT_CORE_MEMORY_LIMIT_CHARS, "{name}");
        }
    }
}
