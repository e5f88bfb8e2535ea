//! The layers stay layers: who may import whom, how long a file may be, where unsafe code may stand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Files longer than this are refused; above 600 lines the module doc says why.
const MAX_LINES: usize = 1000;

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 30, "only {} source files were found", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap().to_owned();
            found.push((name, text));
        }
    }
}

/// The layer of a file: its first folder, or its stem at the top.
fn layer(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Layers that a file imports: `use crate::x`, `crate::x::` in code, `use crate::{x, y::z}`.
fn imports(text: &str) -> Vec<String> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut layers = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for character in group.chars() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => layers.push(std::mem::take(&mut name)),
                    _ if depth == 0 => name.push(character),
                    _ => {}
                }
            }
            layers.push(name);
        } else {
            layers.push(rest.to_owned());
        }
    }
    layers
        .iter()
        .map(|path| path.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn imports_go_only_in_the_allowed_directions() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("lib", &[][..]),
        ("main", &["app", "cli"]),
        (
            "app",
            &[
                "bench",
                "cli",
                "config",
                "dialect",
                "documents",
                "functions",
                "grammar",
                "inference",
                "kernel",
                "memory",
                "models",
                "types",
                "ui",
            ],
        ),
        ("cli", &["config", "bench", "models", "dialect", "types"]),
        ("config", &["dialect", "documents", "inference", "memory", "types"]),
        ("bench", &["config", "dialect", "functions", "grammar", "inference", "kernel", "memory", "models", "types"]),
        ("ui", &["kernel", "config", "types"]),
        ("kernel", &["memory", "functions", "grammar", "dialect", "inference", "types"]),
        ("functions", &["memory", "types"]),
        ("dialect", &["functions", "grammar", "inference", "types"]),
        ("grammar", &["inference", "types"]),
        ("memory", &["types"]),
        ("documents", &["types"]),
        ("inference", &["types"]),
        ("models", &["types"]),
        ("types", &[]),
    ]);
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let layer = layer(&path);
        let allowed = allowed.get(layer.as_str()).unwrap_or_else(|| panic!("{} is in no known layer", path.display()));
        for import in imports(&text) {
            if import != layer && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{}: {layer} must not import {import}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_stay_readable() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines", path.display());
        assert!(text.starts_with("//!"), "{} has no module doc", path.display());
    }
}

#[test]
fn unsafe_code_stands_only_in_inference_and_is_argued() {
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if code.contains("unsafe {") || code.contains("unsafe impl") {
                assert!(layer(&path) == "inference", "{}:{} is unsafe", path.display(), index + 1);
                let before = &lines[index.saturating_sub(12)..index];
                let argued = before.iter().any(|line| line.contains("SAFETY:"));
                assert!(argued, "{}:{} lacks a SAFETY comment", path.display(), index + 1);
            }
        }
    }
}

#[test]
fn the_kernel_knows_no_sql_and_no_terminal() {
    for (path, text) in sources() {
        if layer(&path) == "kernel" {
            for word in ["rusqlite", "anstream", "rustyline", "println!"] {
                assert!(!text.contains(word), "{} names {word}", path.display());
            }
        }
    }
}
