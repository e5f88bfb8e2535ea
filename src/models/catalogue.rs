//! The catalogue: `models/*.toml`, compiled in, parsed and checked when it is asked for.
//!
//! Every sha256 was found in at least two independent public sources, or was computed from the file itself.
//! A file's size is exact where its sha256 is given; without one it is an estimate for the memory and disk checks.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Error;

/// Window for which memory is planned, in tokens; a model with a smaller window is planned with its own.
const PLANNED_WINDOW_TOKENS: u64 = 16_384;

/// Compute buffers, the program and its database, in bytes.
const OVERHEAD_BYTES: u64 = 256 << 20;

/// What an embedder needs beside its weights: its tokenizer and the texts that run through it at once, in bytes.
const EMBEDDER_OVERHEAD_BYTES: u64 = 64 << 20;

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../models/", $name, ".toml")))),*]
    };
}

/// Name and text of every shipped entry.
const SHIPPED: &[(&str, &str)] = shipped![
    "all-minilm-l6-v2",
    "gemma-3-1b-it-q4_k_m",
    "gemma-3-4b-it-q4_k_m",
    "granite-4.1-3b-q4_k_m",
    "llama-3.2-1b-instruct-q4_k_m",
    "llama-3.2-3b-instruct-q4_k_m",
    "phi-4-mini-instruct-q4_k_m",
    "qwen2.5-0.5b-instruct-q4_k_m",
    "qwen2.5-1.5b-instruct-q4_k_m",
    "qwen2.5-3b-instruct-q4_k_m",
    "qwen2.5-7b-instruct-q4_k_m",
    "qwen2.5-coder-0.5b-instruct-q4_k_m",
    "qwen2.5-coder-1.5b-instruct-q4_k_m",
    "qwen3-0.6b-q4_k_m",
    "qwen3-1.7b-q4_k_m",
    "qwen3-4b-instruct-2507-q4_k_m",
    "smollm2-1.7b-instruct-q4_k_m",
    "smollm2-135m-instruct-q4_1",
];

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Talks and calls functions.
    Chat,
    /// Turns text into vectors.
    Embedder,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// Name by which the user asks for it; also the stem of its catalogue file.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// What it is for.
    pub kind: Kind,
    /// SPDX name, or the licence's own.
    pub licence: String,
    /// Whether the licence allows any use; others are never fetched unasked.
    pub open_licence: bool,
    /// Size of the model, for people: `1.5B`.
    pub parameters: String,
    /// How the weights are stored: `Q4_K_M`.
    pub quantisation: String,
    /// Window it was trained for, in tokens.
    pub context_tokens: u64,
    /// How it writes calls (a hint: the file's own template decides).
    pub dialect: Option<String>,
    /// Place in the automatic choice, lower is better; unique among chat models, absent from embedders.
    pub rank: Option<u32>,
    /// Memory of one token's keys and values as f16, in bytes.
    #[serde(default)]
    pub kv_bytes_per_token: u64,
    /// Its files: one for a chat model.
    pub files: Vec<FileEntry>,
}

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Name in the store.
    pub name: String,
    /// Size; exact where `sha256` is given.
    pub size_bytes: u64,
    /// Lower-case hex; absent where it is taken from the hub at the first pull.
    pub sha256: Option<String>,
    /// Where it can be fetched, in the order of trying.
    pub sources: Vec<Source>,
}

/// Where a file comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The Hugging Face hub or a mirror of it.
    Hub(HubFile),
    /// Python wheels on a package index; their members, one after the other, are the file.
    Wheels(Vec<WheelPart>),
}

/// A file on the hub.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubFile {
    /// `owner/name`.
    pub repo: String,
    /// Path in the repository.
    pub file: String,
    /// Branch, tag or commit.
    pub revision: String,
}

/// A piece of a file inside a wheel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelPart {
    /// Name of the package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Exact path inside the wheel.
    pub member: String,
    /// Where the member is itself a zip archive: exact path inside that.
    pub inner: Option<String>,
}

impl WheelPart {
    /// What pip is asked for.
    #[must_use]
    pub fn requirement(&self) -> String {
        format!("{}=={}", self.package, self.version)
    }
}

impl ModelEntry {
    /// Parses and checks one entry.
    ///
    /// # Errors
    /// [`Error::BadEntry`] with what is wrong.
    pub fn from_toml(name: &str, text: &str) -> Result<Self, Error> {
        let bad = |reason: String| Error::BadEntry { name: name.to_owned(), reason };
        let entry: Self = toml::from_str(text).map_err(|error| bad(error.to_string()))?;
        entry.check().map_err(bad)?;
        if entry.name != name {
            return Err(bad(format!("it calls itself {}", entry.name)));
        }
        Ok(entry)
    }

    fn check(&self) -> Result<(), String> {
        if !is_plain_name(&self.name) {
            return Err(format!("the name {:?} is not a plain name", self.name));
        }
        match self.kind {
            Kind::Chat if self.files.len() != 1 => return Err("a chat model is one file".into()),
            Kind::Chat if self.rank.is_none() || self.kv_bytes_per_token == 0 => {
                return Err("a chat model has rank and kv_bytes_per_token".into());
            }
            Kind::Embedder if self.files.is_empty() || self.rank.is_some() => {
                return Err("an embedder has files and no rank".into());
            }
            Kind::Chat | Kind::Embedder => {}
        }
        for file in &self.files {
            file.check()?;
        }
        Ok(())
    }

    /// Bytes of all its files.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }

    /// Memory to run it: weights, keys and values of the planned window, and fixed overhead. An embedder's comes on top
    /// of the chat model's.
    #[must_use]
    pub fn memory_need_bytes(&self) -> u64 {
        let window_tokens = self.context_tokens.min(PLANNED_WINDOW_TOKENS);
        let overhead_bytes = match self.kind {
            Kind::Chat => OVERHEAD_BYTES,
            Kind::Embedder => EMBEDDER_OVERHEAD_BYTES,
        };
        self.size_bytes() + window_tokens * self.kv_bytes_per_token + overhead_bytes
    }

    /// Where one of its files lies: in the store folder itself, or in a folder of the model's name where it has
    /// several.
    #[must_use]
    pub fn path_in(&self, dir: &Path, file: &FileEntry) -> PathBuf {
        if self.files.len() == 1 { dir.join(&file.name) } else { dir.join(&self.name).join(&file.name) }
    }

    /// Whether each of its files has a source of the kind.
    #[must_use]
    pub fn has_hub(&self) -> bool {
        self.files.iter().all(|file| file.sources.iter().any(|source| matches!(source, Source::Hub(_))))
    }

    /// Whether each of its files can come from wheels.
    #[must_use]
    pub fn has_wheels(&self) -> bool {
        self.files.iter().all(|file| file.sources.iter().any(|source| matches!(source, Source::Wheels(_))))
    }
}

impl FileEntry {
    fn check(&self) -> Result<(), String> {
        if !is_plain_name(&self.name) {
            return Err(format!("the file name {:?} is not a plain name", self.name));
        }
        if self.size_bytes == 0 || self.sources.is_empty() {
            return Err(format!("{} has no size or no source", self.name));
        }
        if let Some(sha256) = &self.sha256
            && !is_sha256(sha256)
        {
            return Err(format!("{} has the sha256 {sha256:?}, which is not 64 lower-case hex digits", self.name));
        }
        for source in &self.sources {
            match source {
                Source::Hub(hub) => {
                    if hub.repo.split('/').count() != 2 || hub.file.is_empty() || hub.revision.is_empty() {
                        return Err(format!("{} has an incomplete hub source", self.name));
                    }
                }
                Source::Wheels(parts) => {
                    if parts.is_empty() || self.sha256.is_none() {
                        return Err(format!("{} comes from wheels: it needs parts and a sha256", self.name));
                    }
                    if let Some(part) = parts.iter().find(|part| !is_requirement(part)) {
                        return Err(format!("{} has the requirement {:?}", self.name, part.requirement()));
                    }
                }
            }
        }
        Ok(())
    }
}

/// A name that can be a file and cannot leave its folder.
pub(crate) fn is_plain_name(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|one| one.is_ascii_alphanumeric() || matches!(one, '.' | '_' | '-'))
}

pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// A requirement that pip cannot take for an option.
fn is_requirement(part: &WheelPart) -> bool {
    is_plain_name(&part.package) && is_plain_name(&part.version) && !part.member.is_empty()
}

/// All entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    entries: Vec<ModelEntry>,
}

impl Catalogue {
    /// The shipped entries: chat models by rank, then embedders.
    ///
    /// # Errors
    /// [`Error::BadEntry`]; a test keeps that from happening to the shipped ones.
    pub fn shipped() -> Result<Self, Error> {
        let entries = SHIPPED.iter().map(|(name, text)| ModelEntry::from_toml(name, text));
        Self::from_entries(entries.collect::<Result<_, _>>()?)
    }

    /// A catalogue of these entries.
    ///
    /// # Errors
    /// [`Error::BadEntry`] where two share a name, a rank or a path.
    pub fn from_entries(mut entries: Vec<ModelEntry>) -> Result<Self, Error> {
        entries.sort_by_key(|entry| (entry.rank.is_none(), entry.rank));
        let mut seen = HashSet::new();
        for entry in &entries {
            let mut keys = vec![format!("name {}", entry.name)];
            keys.extend(entry.rank.map(|rank| format!("rank {rank}")));
            let paths = entry.files.iter().map(|file| entry.path_in(Path::new(""), file));
            keys.extend(paths.map(|path| format!("path {}", path.display())));
            if let Some(key) = keys.into_iter().find(|key| !seen.insert(key.to_lowercase())) {
                return Err(Error::BadEntry { name: entry.name.clone(), reason: format!("another entry has {key}") });
            }
        }
        Ok(Self { entries })
    }

    /// All entries: chat models by rank, then embedders.
    #[must_use]
    pub fn entries(&self) -> &[ModelEntry] {
        &self.entries
    }

    /// The embedder by whose vectors memories are found: the first of the catalogue.
    #[must_use]
    pub fn embedder(&self) -> Option<&ModelEntry> {
        self.entries.iter().find(|entry| entry.kind == Kind::Embedder)
    }

    /// The entry of that name, upper and lower case alike.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&ModelEntry> {
        self.entries.iter().find(|entry| entry.name.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_in_the_models_folder_is_compiled_in_and_valid() {
        let catalogue = Catalogue::shipped().unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let mut on_disk: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        on_disk.sort();
        let mut compiled_in: Vec<String> = catalogue.entries().iter().map(|entry| entry.name.clone()).collect();
        compiled_in.sort();
        assert_eq!(compiled_in, on_disk);
    }

    #[test]
    fn models_for_machines_without_the_hub_have_all_their_wheels() {
        let catalogue = Catalogue::shipped().unwrap();
        let parts = |name: &str| -> Vec<usize> {
            let entry = catalogue.find(name).unwrap();
            assert!(entry.has_hub(), "{name}");
            let count = |file: &FileEntry| {
                file.sources.iter().find_map(|source| match source {
                    Source::Wheels(parts) => Some(parts.len()),
                    Source::Hub(_) => None,
                })
            };
            entry.files.iter().map(|file| count(file).unwrap()).collect()
        };
        assert_eq!(parts("qwen2.5-coder-1.5b-instruct-q4_k_m"), [22]);
        assert_eq!(parts("qwen2.5-coder-0.5b-instruct-q4_k_m"), [6]);
        assert_eq!(parts("smollm2-135m-instruct-q4_1"), [1]);
        assert_eq!(parts("all-minilm-l6-v2"), [1, 1, 1]);
    }

    #[test]
    fn entries_that_could_leave_the_folder_or_mislead_pip_are_refused() {
        let entry = |name: &str, file: &str, sha256: &str, package: &str| {
            let text = format!(
                "name = {name:?}\ntitle = \"T\"\nkind = \"chat\"\nlicence = \"MIT\"\nopen_licence = true\n\
                 parameters = \"1B\"\nquantisation = \"Q4\"\ncontext_tokens = 100\nrank = 1\nkv_bytes_per_token = 1\n\
                 [[files]]\nname = {file:?}\nsize_bytes = 1\n{sha256}\n[[files.sources]]\n\
                 wheels = [{{ package = {package:?}, version = \"1\", member = \"m\" }}]\n"
            );
            ModelEntry::from_toml(name, &text)
        };
        let sha256 = format!("sha256 = \"{}\"", "a".repeat(64));
        assert!(entry("good", "good.gguf", &sha256, "package").is_ok());
        assert!(entry("../bad", "good.gguf", &sha256, "package").is_err());
        assert!(entry("good", "../bad.gguf", &sha256, "package").is_err());
        assert!(entry("good", ".part", &sha256, "package").is_err());
        assert!(entry("good", "good.gguf", &sha256, "--index-url").is_err());
        assert!(entry("good", "good.gguf", "sha256 = \"A1\"", "package").is_err());
        assert!(entry("good", "good.gguf", "", "package").is_err(), "wheels need a sha256");
    }

    #[test]
    fn memory_need_counts_weights_window_and_overhead() {
        let catalogue = Catalogue::shipped().unwrap();
        let coder = catalogue.find("Qwen2.5-Coder-1.5B-Instruct-Q4_K_M").unwrap();
        assert_eq!(coder.memory_need_bytes(), 1_117_320_768 + 16_384 * 28_672 + (256 << 20));
        let small = catalogue.find("smollm2-135m-instruct-q4_1").unwrap();
        assert_eq!(small.memory_need_bytes(), 98_362_432 + 8_192 * 23_040 + (256 << 20));
        let embedder = catalogue.embedder().unwrap();
        assert_eq!(embedder.name, "all-minilm-l6-v2");
        assert_eq!(embedder.memory_need_bytes(), 90_868_376 + 466_247 + 612 + (64 << 20));
    }
}
