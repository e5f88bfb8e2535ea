//! Finding the files: folders are walked without following symbolic links, and what is private, made by programs or
//! version control is left out and counted.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::error::Error;
use super::format::extension;
use super::limits::Limits;
use crate::types::irregular_file;

/// Folders deeper than this are left out: nobody writes documents there.
const MAX_DEPTH: usize = 64;

/// Folders of programs: nothing in them was written by a person, or it is private.
const SKIPPED_FOLDERS: &[&str] = &[
    ".git",
    ".hg",
    ".svn",
    ".jj",
    "node_modules",
    "target",
    "__pycache__",
    ".venv",
    "venv",
    ".tox",
    ".mypy_cache",
    ".pytest_cache",
    ".gradle",
    ".idea",
    ".cache",
    ".ssh",
    ".gnupg",
    ".aws",
    ".kube",
    ".docker",
    ".password-store",
];

/// Files that hold passwords and keys, by name.
const SECRET_NAMES: &[&str] = &[
    ".env",
    ".netrc",
    "_netrc",
    ".pgpass",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".htpasswd",
    "credentials",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "id_ecdsa_sk",
    "id_ed25519_sk",
];

/// The same, by the end of the name.
const SECRET_EXTENSIONS: &[&str] =
    &["pem", "key", "p8", "p12", "pfx", "jks", "keystore", "kdbx", "kdb", "ppk", "gpg", "pgp", "age", "keychain"];

/// What is taken of the folders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Folders in folders, too.
    pub recursive: bool,
    /// Only files whose names end in one of these, without the dot; all where there is none.
    pub extensions: Vec<String>,
    /// Also what is left out by default.
    pub all: bool,
}

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is, absolute and without symbolic links.
    pub path: PathBuf,
    /// How it is called in results: the path from the folder that was named, that folder included.
    pub title: String,
}

/// What was found and what was left out.
#[derive(Debug, Default)]
pub struct Walk {
    /// The paths that were named and exist, absolute and without symbolic links.
    pub roots: Vec<PathBuf>,
    /// The paths that were named and do not exist.
    pub missing: Vec<PathBuf>,
    /// The files, sorted.
    pub files: Vec<Found>,
    /// Folders and files that cannot be looked at.
    pub unreadable: Vec<(PathBuf, io::Error)>,
    /// Symbolic links that were not followed.
    pub links: usize,
    /// Files that hold keys or passwords.
    pub secrets: usize,
    /// Folders of programs and of version control.
    pub program_folders: usize,
    /// Folders in folders, where they were not asked for.
    pub inner_folders: usize,
    /// Files with other extensions than those asked for.
    pub other_extensions: usize,
    /// Pipes, sockets and devices.
    pub special: usize,
}

/// Looks through `paths`. A symbolic link that is named itself is followed: that is what naming it means.
#[must_use]
pub fn walk(paths: &[PathBuf], selection: &Selection) -> Walk {
    let mut walk = Walk::default();
    for path in paths {
        match fs::canonicalize(path) {
            Ok(root) => walk.roots.push(root),
            Err(error) if error.kind() == io::ErrorKind::NotFound => walk.missing.push(path.clone()),
            Err(error) => walk.unreadable.push((path.clone(), error)),
        }
    }
    for root in walk.roots.clone() {
        let title = title_of(&root, &walk.roots);
        walk.root(&root, title, selection);
    }
    walk.files.sort_by(|left, right| left.path.cmp(&right.path));
    walk.files.dedup_by(|left, right| left.path == right.path);
    walk
}

impl Walk {
    fn root(&mut self, root: &Path, title: String, selection: &Selection) {
        let name = root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => self.folder(root, &title, 0, selection),
            // A file that is named is taken whatever its extension; a key is not.
            Ok(metadata) if metadata.is_file() && is_secret(&name) && !selection.all => self.secrets += 1,
            Ok(metadata) if metadata.is_file() => self.files.push(Found { path: root.to_owned(), title }),
            Ok(_) => self.special += 1,
            Err(error) => self.unreadable.push((root.to_owned(), error)),
        }
    }

    fn folder(&mut self, folder: &Path, title: &str, depth: usize, selection: &Selection) {
        let entries = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable.push((folder.to_owned(), error)),
        };
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let title = if title.is_empty() { name.clone() } else { format!("{title}/{name}") };
            let kind = match entry.file_type() {
                Ok(kind) => kind,
                Err(error) => {
                    self.unreadable.push((path, error));
                    continue;
                }
            };
            if kind.is_symlink() {
                self.links += 1;
            } else if kind.is_dir() {
                if !selection.all && SKIPPED_FOLDERS.contains(&name.as_str()) {
                    self.program_folders += 1;
                } else if !selection.recursive || depth >= MAX_DEPTH {
                    self.inner_folders += 1;
                } else {
                    self.folder(&path, &title, depth + 1, selection);
                }
            } else if !kind.is_file() {
                self.special += 1;
            } else if !selection.all && is_secret(&name) {
                self.secrets += 1;
            } else if !has_extension(&name, &selection.extensions) {
                self.other_extensions += 1;
            } else {
                self.files.push(Found { path, title });
            }
        }
    }
}

impl Found {
    /// The bytes of the file.
    ///
    /// # Errors
    /// It cannot be read, is no regular file any more, or is larger than the limit.
    pub fn read(&self, limits: &Limits) -> Result<Vec<u8>, Error> {
        let unreadable = |source| Error::Unreadable { source };
        let mut file = self.open().map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if let Some(found) = irregular_file(&metadata) {
            return Err(Error::NotAFile { found });
        }
        let limit_bytes = limits.file_bytes;
        if metadata.len() > limit_bytes {
            return Err(Error::TooLarge { size_bytes: metadata.len(), limit_bytes });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
        file.by_ref().take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > limit_bytes {
            return Err(Error::TooLarge { size_bytes: bytes.len() as u64, limit_bytes });
        }
        Ok(bytes)
    }

    /// What was a file when it was found may be a link or a pipe now: one is not followed, the other not waited for.
    fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true);
        #[cfg(unix)]
        {
            use rustix::fs::OFlags;
            let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
        }
        options.open(&self.path)
    }
}

/// How a root is called: by its name, and where another one has the same, by as many folders above it as tell them
/// apart.
fn title_of(root: &Path, roots: &[PathBuf]) -> String {
    let others = || roots.iter().filter(|other| other.as_path() != root);
    let depth = parts(root).count();
    let is_its_own = |count: &usize| others().all(|other| !parts(other).take(*count).eq(parts(root).take(*count)));
    let count = (1..depth).find(is_its_own).unwrap_or(depth);
    let mut parts: Vec<String> = parts(root).take(count).map(|part| part.to_string_lossy().into_owned()).collect();
    parts.reverse();
    parts.join("/")
}

/// The names in a path, from its end.
fn parts(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    })
}

/// `title` with as many more folders of its path as make it one of its own among those that are `taken`.
#[must_use]
pub fn distinct_title(title: &str, path: &Path, taken: impl Fn(&str) -> bool) -> String {
    let mut title = title.to_owned();
    let known = title.split('/').count();
    for part in parts(path).skip(known) {
        if !taken(&title) {
            break;
        }
        title = format!("{}/{title}", part.to_string_lossy());
    }
    title
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_NAMES.contains(&name.as_str())
        || name.starts_with(".env.")
        || SECRET_EXTENSIONS.contains(&extension(&name).as_str())
}

fn has_extension(name: &str, wanted: &[String]) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| wanted.trim_start_matches('.').to_lowercase() == extension(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        }
        folder
    }

    fn names(walk: &Walk) -> Vec<&str> {
        walk.files.iter().map(|file| file.title.split_once('/').map_or(&*file.title, |(_, rest)| rest)).collect()
    }

    #[test]
    fn private_and_foreign_files_are_left_out_and_counted() {
        let folder = folder(&[
            "a.md",
            "sub/b.txt",
            ".env",
            ".env.local",
            "id_rsa",
            "id_rsa.pub",
            "server.pem",
            ".git/config",
            "node_modules/x/readme.md",
        ]);
        let recursive = Selection { recursive: true, ..Selection::default() };
        let found = walk(&[folder.path().to_owned()], &recursive);
        assert_eq!(names(&found), ["a.md", "id_rsa.pub", "sub/b.txt"]);
        assert_eq!((found.secrets, found.program_folders), (4, 2));
        let flat =
            walk(&[folder.path().to_owned()], &Selection { extensions: vec![".MD".into()], ..Selection::default() });
        assert_eq!((names(&flat), flat.inner_folders, flat.other_extensions), (vec!["a.md"], 1, 1));
        let all = walk(&[folder.path().to_owned()], &Selection { all: true, ..recursive });
        assert_eq!(all.files.len(), 9);
    }

    #[test]
    fn roots_of_one_name_are_told_apart() {
        let folder = folder(&["a/docs/x.md", "b/docs/x.md", "b/docs/y.md", "c/x.md"]);
        let paths = ["a/docs", "b/docs", "b/docs/y.md", "c/x.md", "a/docs/x.md"].map(|path| folder.path().join(path));
        let found = walk(&paths, &Selection::default());
        let titles: Vec<&str> = found.files.iter().map(|file| file.title.as_str()).collect();
        assert_eq!(titles, ["a/docs/x.md", "b/docs/x.md", "b/docs/y.md", "c/x.md"]);
        let one = walk(&paths[..1], &Selection::default());
        assert_eq!(one.files[0].title, "docs/x.md");
        let path = Path::new("/home/b/docs/x.md");
        assert_eq!(distinct_title("docs/x.md", path, |_| false), "docs/x.md");
        assert_eq!(distinct_title("docs/x.md", path, |title| title == "docs/x.md"), "b/docs/x.md");
        assert_eq!(distinct_title("docs/x.md", path, |_| true), "home/b/docs/x.md");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed_and_missing_paths_are_told() {
        use std::os::unix::fs::symlink;
        let outside = folder(&["secret.txt"]);
        let inside = folder(&["a.md"]);
        symlink(outside.path(), inside.path().join("folder")).unwrap();
        symlink(outside.path().join("secret.txt"), inside.path().join("file.txt")).unwrap();
        symlink(inside.path(), inside.path().join("loop")).unwrap();
        let gone = inside.path().join("gone");
        let recursive = Selection { recursive: true, ..Selection::default() };
        let found = walk(&[inside.path().to_owned(), gone.clone()], &recursive);
        assert_eq!((names(&found), found.links, &found.missing), (vec!["a.md"], 3, &vec![gone]));
        // A file that is exchanged for a link after it was found is not read.
        let file = &found.files[0];
        assert_eq!(file.read(&Limits::default()).unwrap(), b"text");
        assert!(matches!(file.read(&Limits { file_bytes: 3, ..Limits::default() }), Err(Error::TooLarge { .. })));
        fs::remove_file(&file.path).unwrap();
        symlink(outside.path().join("secret.txt"), &file.path).unwrap();
        assert!(matches!(file.read(&Limits::default()), Err(Error::Unreadable { .. })));
    }
}
