//! The shipped grammars with their cases.

use std::path::{Path, PathBuf};

/// Texts that a grammar takes, and texts that it does not.
#[derive(serde::Deserialize)]
pub struct Cases {
    pub accept: Vec<String>,
    pub reject: Vec<Reject>,
}

/// A text and the byte at which it is refused; its length where it only ends too early.
#[derive(serde::Deserialize)]
pub struct Reject {
    pub text: String,
    pub at: usize,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("grammars")
}

/// Names of all grammars of the folder, sorted.
pub fn names() -> Vec<String> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files.filter_map(|file| Some(file.strip_suffix(".gbnf")?.to_owned())).collect();
    names.sort();
    names
}

pub fn source(name: &str) -> String {
    std::fs::read_to_string(folder().join(format!("{name}.gbnf"))).unwrap()
}

pub fn cases(name: &str) -> Cases {
    toml::from_str(&std::fs::read_to_string(folder().join(format!("{name}.cases.toml"))).unwrap()).unwrap()
}
