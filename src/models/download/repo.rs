//! A repository of safetensors on the hub as a model of its own: which of its files are wanted, then each as any other file.
//!
//! Weights and large tokenizers come with their sha256, as catalogue files do. Of small text files the hub tells none: they are
//! taken as they come, and pinned like the others, so that a later change is refused. All files are those of one commit, also
//! where the pull is taken up again after the repository has changed.

use std::path::Path;

use serde::Deserialize;

use super::super::catalogue::is_plain_name;
use super::super::pins::Pins;
use super::super::store::{lock_model, repository_folder};
use super::{Fault, Hub, Pull};
use crate::models::{Error, Failure, FileEntry, HubFile, Kind, ModelEntry, PullOptions, Pulled, Source};

/// Files that every model has.
const NEEDED: [&str; 2] = ["config.json", "tokenizer.json"];
/// Files that some have.
const OPTIONAL: [&str; 3] = ["tokenizer_config.json", "generation_config.json", "chat_template.jinja"];
/// What is taken at the first pull.
const BRANCH: &str = "main";
/// The weights in one file.
const WEIGHTS: &str = "model.safetensors";
/// The table of several files of weights.
const INDEX: &str = "model.safetensors.index.json";
/// Longest table in bytes.
const MAX_INDEX_BYTES: u64 = 32 << 20;
/// Most files of weights.
const MAX_SHARDS: usize = 1024;

#[derive(Deserialize)]
struct Index {
    weight_map: std::collections::BTreeMap<String, String>,
}

/// Fetches what is missing of a repository; see [`super::super::Store::pull_repository`].
pub(in crate::models) fn pull(dir: &Path, repo: &str, options: &mut PullOptions<'_>) -> Result<Pulled, Error> {
    let name = repository_folder(repo).ok_or_else(|| Error::UnknownModel { name: repo.to_owned() })?;
    let _lock = lock_model(dir, &name)?;
    let pins = Pins::load(dir, &name)?;
    let mut entry = ModelEntry {
        title: repo.to_owned(),
        kind: Kind::Chat,
        licence: String::new(),
        open_licence: false,
        parameters: String::new(),
        quantisation: "safetensors".to_owned(),
        context_tokens: 0,
        dialect: None,
        rank: None,
        kv_bytes_per_token: 0,
        files: Vec::new(),
        name,
    };
    let (settings, limits, cancel) = (options.hub.clone(), options.limits.clone(), options.cancel);
    let failed = |file: &str, failure: Failure| {
        let source = format!("hub ({})", settings.endpoint);
        Error::NoSource { file: file.to_owned(), failures: vec![crate::models::SourceFailure { source, failure }] }
    };
    let client = Hub::new(&settings, &limits, cancel).map_err(|failure| failed(NEEDED[0], failure))?;
    let look = |file: &str, revision: &str| match client.metadata(&hub_file(repo, file, revision)) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(Fault::Source(Failure::Missing { .. })) => Ok(None),
        Err(Fault::Source(failure)) => Err(failed(file, failure)),
        Err(Fault::Fatal(error)) => Err(error),
    };
    let revision = match pins.commit() {
        Some(commit) => commit.to_owned(),
        None => look(NEEDED[0], BRANCH)?.and_then(|found| found.commit).unwrap_or_else(|| BRANCH.to_owned()),
    };
    let of_repo = |file: &str| {
        let sources = vec![Source::Hub(hub_file(repo, file, &revision))];
        FileEntry { name: file.to_owned(), size_bytes: 0, sha256: None, sources }
    };
    entry.files.extend(NEEDED.map(of_repo));
    for file in OPTIONAL {
        if look(file, &revision)?.is_some() {
            entry.files.push(of_repo(file));
        }
    }
    let in_one = look(WEIGHTS, &revision)?.is_some();
    entry.files.push(of_repo(if in_one { WEIGHTS } else { INDEX }));
    let mut pull = Pull { dir, entry: &entry, options, pins, wheels: None, hub_offline: None, takes_unhashed: true };
    let mut origins = pull.missing()?;
    let mut paths: Vec<_> = entry.files.iter().map(|file| entry.path_in(dir, file)).collect();
    if !in_one {
        let names = shards(&entry.path_in(dir, &of_repo(INDEX)))?;
        let pins = Pins::load(dir, &entry.name)?;
        let weights = ModelEntry { files: names.iter().map(|file| of_repo(file)).collect(), ..entry.clone() };
        // One shard alone lies in the folder as well.
        let weights = ModelEntry { files: [entry.files.clone(), weights.files].concat(), ..weights };
        let mut pull =
            Pull { dir, entry: &weights, options, pins, wheels: None, hub_offline: None, takes_unhashed: true };
        origins.extend(pull.missing()?);
        paths = weights.files.iter().map(|file| weights.path_in(dir, file)).collect();
    }
    Ok(Pulled { name: entry.name, paths, origins })
}

fn hub_file(repo: &str, file: &str, revision: &str) -> HubFile {
    HubFile { repo: repo.to_owned(), file: file.to_owned(), revision: revision.to_owned() }
}

/// Names of the files of weights that the table names.
fn shards(path: &Path) -> Result<Vec<String>, Error> {
    let bad = |reason: String| Error::BadStoreFile { path: path.to_owned(), reason };
    let length = path.metadata().map_err(|source| Error::io("look at", path, source))?.len();
    if length > MAX_INDEX_BYTES {
        return Err(bad(format!("it has {length} bytes")));
    }
    let text = std::fs::read(path).map_err(|source| Error::io("read", path, source))?;
    let index: Index = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
    let mut names: Vec<String> = index.weight_map.into_values().collect();
    names.sort_unstable();
    names.dedup();
    match names.iter().find(|name| !is_plain_name(name) || !name.ends_with(".safetensors")) {
        Some(name) => Err(bad(format!("it names the file {name:?}"))),
        None if names.is_empty() || names.len() > MAX_SHARDS => Err(bad(format!("it names {} files", names.len()))),
        None => Ok(names),
    }
}
