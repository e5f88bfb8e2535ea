//! `mneme doctor`: whether this machine, this build, the home and the models are fit for a chat, and what to do where
//! they are not. It changes nothing and makes nothing.

use std::path::{Path, PathBuf};

use indicatif::DecimalBytes;
use serde_json::json;

use super::super::output::{print_json, stdout};
use super::Done;
use crate::cli::ExitCode;
use crate::config::{self, Config, ConfigFile, DATABASE_NAME, Overrides};
use crate::memory;
use crate::models::hardware::{Hardware, free_disk_bytes};
use crate::models::{Catalogue, Installed, Kind, ModelEntry, Reach, Store, default_models_dir};
use crate::ui::{columns_of, sanitize, wrapped};

/// Less free disk than this is a warning: a model does not fit.
const LOW_DISK_BYTES: u64 = 2 << 30;
/// Less free disk than this is a failure: a chat could not be stored.
const NO_DISK_BYTES: u64 = 64 << 20;
/// Less memory than this runs none of the models well.
const LOW_MEMORY_BYTES: u64 = 3 << 30;
/// Files that are named where modes are wrong.
const NAMED_FILES: usize = 3;
/// Window that a chat gets where none is set and memory allows.
const DEFAULT_WINDOW_TOKENS: u64 = 8192;
const NOTHING: Reach = Reach { hub: false, wheels: false };

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Ok,
    Warn,
    Fail,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One line of the report.
#[derive(Debug)]
struct Check {
    name: &'static str,
    state: State,
    found: String,
    /// What to do; empty where nothing is.
    advice: String,
}

fn check(name: &'static str, state: State, found: impl Into<String>, advice: impl Into<String>) -> Check {
    Check { name, state, found: found.into(), advice: advice.into() }
}

fn fine(name: &'static str, found: impl Into<String>) -> Check {
    check(name, State::Ok, found, "")
}

pub(super) fn run(as_json: bool) -> Done {
    let home = config::home_from_environment()?;
    let hardware = Hardware::detect();
    let mut checks = vec![versions(), features(), processor(), memory_and_cores(hardware)];
    checks.push(home_folder(&home));
    checks.push(settings(&home));
    checks.push(database(&home));
    checks.push(disk(&home));
    checks.extend(models(&home, hardware));
    checks.extend(engine(&home));
    checks.extend(candle(&home));
    let worst = checks.iter().map(|check| check.state).max().unwrap_or(State::Ok);
    if as_json {
        let rows: Vec<serde_json::Value> = checks
            .iter()
            .map(|check| {
                json!({"check": check.name, "state": check.state.word(), "found": check.found, "advice": check.advice})
            })
            .collect();
        print_json(&json!({"state": worst.word(), "checks": rows}))?;
    } else {
        print(&checks)?;
    }
    Ok(if worst == State::Fail { ExitCode::Failed } else { ExitCode::Ok })
}

fn print(checks: &[Check]) -> Result<(), super::super::Error> {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    let columns = columns_of(std::io::stdout());
    let indent = 4 + 2 + width + 2;
    let mut out = stdout();
    for check in checks {
        let (state, found) = (check.state.word(), sanitize(&check.found));
        writeln!(out, "{state:<4}  {:width$}  {}", check.name, wrapped(&found, columns, indent, indent))?;
        if !check.advice.is_empty() {
            let advice = sanitize(&check.advice);
            writeln!(out, "{:indent$}{}", "", wrapped(&advice, columns, indent, indent))?;
        }
    }
    Ok(())
}

fn versions() -> Check {
    fine("version", format!("mneme {}, SQLite {}", env!("CARGO_PKG_VERSION"), rusqlite::version()))
}

fn features() -> Check {
    let built: Vec<&str> = [
        ("llama-cpp", cfg!(feature = "llama-cpp")),
        ("candle", cfg!(feature = "candle")),
        ("download", cfg!(feature = "download")),
        ("cuda", cfg!(feature = "cuda")),
        ("metal", cfg!(feature = "metal")),
        ("vulkan", cfg!(feature = "vulkan")),
    ]
    .into_iter()
    .filter_map(|(name, built)| built.then_some(name))
    .collect();
    let found = if built.is_empty() { "none".to_owned() } else { built.join(", ") };
    if cfg!(feature = "llama-cpp") {
        fine("features", found)
    } else {
        check("features", State::Warn, found, "this build runs no model: build it with the feature llama-cpp to chat")
    }
}

#[cfg(target_arch = "x86_64")]
fn processor() -> Check {
    let known = [
        ("avx", std::arch::is_x86_feature_detected!("avx")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("f16c", std::arch::is_x86_feature_detected!("f16c")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ("avx512vnni", std::arch::is_x86_feature_detected!("avx512vnni")),
    ];
    let found: Vec<&str> = known.iter().filter_map(|(name, present)| present.then_some(*name)).collect();
    let found = format!("x86_64: {}", found.join(", "));
    if known.iter().any(|(name, present)| *name == "avx2" && *present) {
        fine("processor", found)
    } else {
        check("processor", State::Warn, found, "without AVX2 models read and write several times slower")
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn processor() -> Check {
    fine("processor", std::env::consts::ARCH)
}

fn memory_and_cores(hardware: Hardware) -> Check {
    let found = format!("{} cores, {} of memory", hardware.physical_cores, DecimalBytes(hardware.memory_bytes));
    match hardware.memory_bytes {
        0 => check("machine", State::Warn, found, "the system does not tell how much memory there is"),
        bytes if bytes < LOW_MEMORY_BYTES => {
            check("machine", State::Warn, found, "only the smallest models fit: mneme models list shows which")
        }
        _ => fine("machine", found),
    }
}

fn home_folder(home: &Path) -> Check {
    let place = home.display().to_string();
    if !home.exists() {
        return fine("home", format!("{place}, made at the first start"));
    }
    if !home.is_dir() {
        return check("home", State::Fail, format!("{place} is no folder"), "set MNEME_HOME to a folder");
    }
    let open = open_to_others(home);
    if open.is_empty() {
        return fine("home", format!("{place}, readable for you alone"));
    }
    let named: Vec<String> = open.iter().take(NAMED_FILES).map(|path| path.display().to_string()).collect();
    let more = open.len().saturating_sub(NAMED_FILES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let found = format!("other users may read {}{more}", named.join(", "));
    check("home", State::Warn, found, format!("close it: chmod -R go-rwx {place}"))
}

/// What in the home others may read.
#[cfg(unix)]
fn open_to_others(home: &Path) -> Vec<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let is_open = |path: &Path| {
        std::fs::symlink_metadata(path)
            .is_ok_and(|metadata| !metadata.is_symlink() && metadata.permissions().mode() & 0o077 != 0)
    };
    // Where the folder itself is closed, nobody comes to what is in it.
    if !is_open(home) {
        return Vec::new();
    }
    let entries = std::fs::read_dir(home).into_iter().flatten().flatten().map(|entry| entry.path());
    std::iter::once(home.to_owned()).chain(entries.filter(|path| is_open(path))).collect()
}

#[cfg(not(unix))]
fn open_to_others(_home: &Path) -> Vec<PathBuf> {
    Vec::new()
}

fn settings(home: &Path) -> Check {
    let path = home.join(ConfigFile::NAME);
    let valid = ConfigFile::read(home).and_then(|file| Config::new(home.to_owned(), file, Overrides::default()));
    match valid {
        Ok(_) if path.exists() => fine("settings", format!("{} is valid", path.display())),
        Ok(_) => fine("settings", "the defaults"),
        Err(error) => check("settings", State::Fail, error.to_string(), error.hint()),
    }
}

/// How the model would run.
#[cfg(feature = "llama-cpp")]
fn engine(home: &Path) -> Option<Check> {
    let file = ConfigFile::read(home).ok()?;
    let config = Config::new(home.to_owned(), file, Overrides::default()).ok()?;
    let options = super::super::models::load_options(None, &config);
    let model = super::super::models::chosen(&config).ok().map(|(file, _)| file.path);
    let words = options.in_words(model.as_deref());
    Some(match words {
        Ok(words) => fine("engine", format!("{words} ([engine] in {} changes it)", ConfigFile::NAME)),
        Err(error) => check("engine", State::Fail, error.to_string(), "build mneme anew: make build"),
    })
}

#[cfg(not(feature = "llama-cpp"))]
fn engine(_home: &Path) -> Option<Check> {
    None
}

/// How it would run on candle.
#[cfg(feature = "candle")]
fn candle(home: &Path) -> Option<Check> {
    let file = ConfigFile::read(home).ok()?;
    let config = Config::new(home.to_owned(), file, Overrides::default()).ok()?;
    let options = super::super::models::load_options(None, &config);
    Some(match crate::inference::CandleEngine::in_words(&options) {
        Ok(words) => fine("candle", format!("{words} (--engine candle)")),
        Err(error) => check("candle", State::Warn, error.to_string(), error.hint()),
    })
}

#[cfg(not(feature = "candle"))]
fn candle(_home: &Path) -> Option<Check> {
    None
}

fn database(home: &Path) -> Check {
    let path = home.join(DATABASE_NAME);
    if !path.exists() {
        return fine("database", "none yet");
    }
    match memory::examine(&path) {
        Err(error @ memory::Error::Busy { .. }) => check("database", State::Warn, error.to_string(), error.hint()),
        Err(error) => check("database", State::Fail, error.to_string(), error.hint()),
        Ok(found) if !found.problems.is_empty() => check(
            "database",
            State::Fail,
            format!("it is damaged: {}", found.problems.join("; ")),
            "restore a backup: mneme restore FILE; or save what is readable: sqlite3 FILE .recover",
        ),
        Ok(found) if found.schema_version > found.supported_version => check(
            "database",
            State::Fail,
            format!("its schema has version {}, newer than {}", found.schema_version, found.supported_version),
            "use the release of mneme that wrote it",
        ),
        Ok(found) => {
            let migrates =
                if found.schema_version < found.supported_version { ", migrated at the next start" } else { "" };
            let size = DecimalBytes(found.file_bytes);
            let text =
                format!("sound, {} agents, {size}, schema {}{migrates}", found.agent_count, found.schema_version);
            if found.is_writable {
                return fine("database", text);
            }
            let advice = "it cannot be written: a chat needs that; the search indexes were not looked at";
            check("database", State::Warn, text, advice)
        }
    }
}

fn disk(home: &Path) -> Check {
    match free_disk_bytes(home) {
        None => check("disk", State::Warn, "the system does not tell how much is free", ""),
        Some(bytes) if bytes < NO_DISK_BYTES => {
            check("disk", State::Fail, format!("{} free", DecimalBytes(bytes)), "free some disk space")
        }
        Some(bytes) if bytes < LOW_DISK_BYTES => {
            check("disk", State::Warn, format!("{} free", DecimalBytes(bytes)), "too little to fetch a model")
        }
        Some(bytes) => fine("disk", format!("{} free", DecimalBytes(bytes))),
    }
}

fn models(home: &Path, hardware: Hardware) -> Vec<Check> {
    let store = default_models_dir().and_then(|dir| Ok(Store::new(dir, Catalogue::shipped()?)));
    let store = match store {
        Ok(store) => store,
        Err(error) => return vec![check("models", State::Fail, error.to_string(), error.hint().to_string())],
    };
    vec![installed(&store, hardware), chosen(&store, home, hardware), embedder(&store, hardware)]
}

fn installed(store: &Store, hardware: Hardware) -> Check {
    let place = store.dir().display().to_string();
    let listed = store.list(hardware.memory_bytes);
    let of = |wanted: fn(Installed) -> bool| -> Vec<&str> {
        listed.iter().filter(|line| wanted(line.installed)).map(|line| line.entry.name.as_str()).collect()
    };
    let whole = of(|installed| installed == Installed::Yes);
    let damaged = of(|installed| installed == Installed::Damaged);
    let partly = of(|installed| matches!(installed, Installed::Partly { .. }));
    if let Some(first) = damaged.first() {
        let found = format!("wrong size in {place}: {}", damaged.join(", "));
        return check("models", State::Fail, found, format!("mneme models rm {first}, then mneme models pull {first}"));
    }
    if let Some(first) = partly.first() {
        let found = format!("not whole in {place}: {}", partly.join(", "));
        return check("models", State::Warn, found, format!("go on with it: mneme models pull {first}"));
    }
    if whole.is_empty() {
        return check("models", State::Warn, format!("none in {place}"), "fetch one: mneme models pull --default");
    }
    fine("models", format!("right sizes in {place}: {} (hashes: mneme models verify)", whole.join(", ")))
}

/// The model that a chat would take, its window, and whether both fit.
fn chosen(store: &Store, home: &Path, hardware: Hardware) -> Check {
    let Ok(file) = ConfigFile::read(home) else {
        return check("chat model", State::Warn, "unknown: the settings are not valid", "correct them first");
    };
    let window = file.context_window;
    let entry = match file.chosen_model() {
        Some(model) => match store.resolve(model) {
            Ok(resolved) => match resolved.entry {
                Some(entry) => entry,
                None => {
                    let size = std::fs::metadata(&resolved.path).map_or(0, |metadata| metadata.len());
                    return fine("chat model", format!("{} ({}), a file of yours", resolved.name, DecimalBytes(size)));
                }
            },
            Err(error) => return check("chat model", State::Fail, error.to_string(), error.hint().to_string()),
        },
        None => match store.choose(hardware.memory_bytes, NOTHING) {
            Ok(choice) => choice.entry,
            Err(_) => {
                let advice = "fetch one that fits: mneme models pull --default";
                return check("chat model", State::Fail, "none is installed that fits this machine", advice);
            }
        },
    };
    fits(entry, window, hardware)
}

fn fits(entry: &ModelEntry, window: Option<usize>, hardware: Hardware) -> Check {
    let asked = window.map_or(DEFAULT_WINDOW_TOKENS, |tokens| tokens as u64);
    let window_tokens = asked.min(entry.context_tokens);
    let need = entry.size_bytes() + window_tokens * entry.kv_bytes_per_token;
    let (need_text, memory) = (DecimalBytes(need), hardware.memory_bytes);
    let found = format!("{}, window {window_tokens} tokens, needs {need_text} of {}", entry.name, DecimalBytes(memory));
    if memory > 0 && need > memory {
        let advice = "choose a smaller model or window: mneme config set context_window 4096";
        return check("chat model", State::Fail, found, advice);
    }
    if memory > 0 && need > memory / 2 {
        return check("chat model", State::Warn, found, "it leaves other programs little memory");
    }
    fine("chat model", found)
}

fn embedder(store: &Store, hardware: Hardware) -> Check {
    let listed = store.list(hardware.memory_bytes);
    let mut embedders = listed.iter().filter(|line| line.entry.kind == Kind::Embedder);
    match embedders.clone().find(|line| line.installed == Installed::Yes) {
        Some(line) => fine("embedder", line.entry.name.clone()),
        None => {
            let name = embedders.next().map_or("", |line| line.entry.name.as_str());
            let advice = format!("searches go by words only; for meaning as well: mneme models pull {name}");
            check("embedder", State::Warn, "none is installed", advice)
        }
    }
}
