//! Configuration: defaults, then `config.toml` of the home, then flags. What comes out is valid; nothing later has to
//! check it again. Of the environment only `MNEME_HOME` counts here: it names the home.
//!
//! Not responsible for what was typed (`cli`) nor for choosing a model (`models`).

mod document;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::dialect::Profile;
use crate::documents::Limits;
use crate::inference::{SamplerOptions, Tuning};
use crate::memory::{self, QueueLimits};
use crate::types::{CoreRefresh, Device, create_private_folder};

pub use document::{Document, defaults, effective};

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The home has no place on this platform.
    #[error("this platform names no data folder")]
    NoDataFolder,
    /// The home cannot be made or written.
    #[error("cannot use the home folder {}", path.display())]
    Home {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The home would have to be closed to others, but holds files of other programs.
    #[error("the folder {} is open to other users and holds {found}, which is not mneme's", path.display())]
    SharedHome {
        /// The folder.
        path: PathBuf,
        /// Name of one such file.
        found: String,
    },
    /// The file cannot be read or written.
    #[error("cannot access {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not valid.
    #[error("{} is not valid: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected.
        reason: String,
    },
    /// A value is out of range.
    #[error("{}{name} is {value}, but must be {expected}", place(file.as_deref()))]
    Value {
        /// Which setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// What is possible.
        expected: &'static str,
        /// The file that says so; none for a flag.
        file: Option<PathBuf>,
    },
    /// The thresholds of the queue manager contradict each other.
    #[error(transparent)]
    Queue(#[from] memory::Error),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoDataFolder => "set MNEME_HOME to a folder",
            Self::Home { .. } => "make the folder writable, or set MNEME_HOME to another one",
            Self::SharedHome { .. } => {
                "set MNEME_HOME to a folder of its own, or close this one first: chmod 700 FOLDER"
            }
            Self::File { .. } => "check the file's permissions",
            Self::Invalid { .. } => "correct the line, or delete the file to start from the defaults",
            Self::Value { file: None, .. } => "see the command's --help",
            Self::Value { file: Some(_), .. } => "correct that line, or delete it: then the default holds",
            Self::Queue(error) => error.hint(),
        }
    }
}

/// What stands before a setting in a message: where it was made.
fn place(file: Option<&Path>) -> String {
    file.map_or_else(String::new, |path| format!("{}: ", path.display()))
}

/// When a turn ends with work left for idle time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Idle {
    /// The turn is reported at once; idle work yields to the user
    #[default]
    Now,
    /// Idle work ends before the turn is reported (reproducible runs)
    Wait,
}

/// The file `config.toml`; every key may be left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// Catalogue name or path of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Set where the program itself has chosen `model` because a better one could not be had yet: such a choice gives way
    /// to the better one. One of another name stands for nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopgap_model: Option<String>,
    /// Persona of new agents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persona: Option<String>,
    /// Human of new agents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub human: Option<String>,
    /// Call format of new agents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// Window in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_window: Option<usize>,
    /// Sampling temperature; 0 is greedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Seed of the sampler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Where the model runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// Keep keys and values of the cache in 8 bits: half the memory, slightly different numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_q8: Option<bool>,
    /// Most characters of each core-memory block of new agents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core_memory_limit_chars: Option<usize>,
    /// Most generations in one turn, the answer included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u32>,
    /// Most calls of one function in a turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_calls_of_a_function: Option<u32>,
    /// Whether the model looks at each message once more after the answer, to save what it brings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_pass: Option<bool>,
    /// Whether what the memory holds on a question is looked up before the model answers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recollection: Option<bool>,
    /// Whether a question about the user is answered from notes and what was said, in a prompt of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_pass: Option<bool>,
    /// When core memory is rendered anew in the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core_refresh: Option<CoreRefresh>,
    /// Minutes without a turn after which the agent has a heartbeat; 0: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_minutes: Option<u32>,
    /// Thresholds of the queue manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueLimits>,
    /// How much of a document is read before it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<Limits>,
    /// How the engine runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<Tuning>,
}

/// What flags say; laid over the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Overrides {
    /// `--model`
    pub model: Option<String>,
    /// `--persona`
    pub persona: Option<String>,
    /// `--human`
    pub human: Option<String>,
    /// `--profile`
    pub profile: Option<Profile>,
    /// `--context-window`
    pub context_window: Option<usize>,
    /// `--temperature`
    pub temperature: Option<f32>,
    /// `--seed`
    pub seed: Option<u64>,
    /// `--device`
    pub device: Option<Device>,
    /// `--idle`
    pub idle: Option<Idle>,
    /// `--heartbeat-minutes`
    pub heartbeat_minutes: Option<u32>,
}

/// Settings that hold for one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Folder of database, personas and logs.
    pub home: PathBuf,
    /// Catalogue name or path of the model, where one was chosen.
    pub model: Option<String>,
    /// Persona of new agents.
    pub persona: String,
    /// Human of new agents.
    pub human: String,
    /// Call format of new agents.
    pub profile: Profile,
    /// Call format that a flag asks for; it holds for agents that exist, too.
    pub asked_profile: Option<Profile>,
    /// Window in tokens, where one was asked for.
    pub context_window: Option<usize>,
    /// How tokens are chosen.
    pub sampler: SamplerOptions,
    /// Where the model runs.
    pub device: Device,
    /// 8-bit KV cache.
    pub kv_q8: bool,
    /// Most characters of each core-memory block of new agents.
    pub core_memory_limit_chars: usize,
    /// Most generations in one turn, the answer included.
    pub max_steps: u32,
    /// Most calls of one function in a turn.
    pub max_calls_of_a_function: u32,
    /// Whether the model looks at each message once more after the answer, to save what it brings.
    pub memory_pass: bool,
    /// Whether what the memory holds on a question is looked up before the model answers it.
    pub recollection: bool,
    /// Whether a question about the user is answered from notes and what was said, in a prompt of its own.
    pub answer_pass: bool,
    /// When core memory is rendered anew in the prompt.
    pub core_refresh: CoreRefresh,
    /// When a turn ends with work left for idle time.
    pub idle: Idle,
    /// Minutes without a turn after which the agent has a heartbeat; 0: never.
    pub heartbeat_minutes: u32,
    /// Thresholds of the queue manager.
    pub queue: QueueLimits,
    /// How much of a document is read before it is refused.
    pub documents: Limits,
    /// How the engine runs.
    pub engine: Tuning,
}

/// The paper's limit of a core-memory block.
pub const DEFAULT_CORE_MEMORY_LIMIT_CHARS: usize = 2000;
/// Core memory must leave room for the queue in the smallest window.
pub const MAX_CORE_MEMORY_LIMIT_CHARS: usize = 20_000;
/// A small model that has not answered after this many generations is looping.
pub const DEFAULT_MAX_STEPS: u32 = 6;
/// A small model that needs a third call of the same function in a turn is looping.
pub const DEFAULT_MAX_CALLS_OF_A_FUNCTION: u32 = 2;
/// Greedy: the most probable call is the best guess of a small model, and runs repeat.
pub const DEFAULT_TEMPERATURE: f32 = 0.0;
/// A week: whoever wants fewer heartbeats wants none.
pub const MAX_HEARTBEAT_MINUTES: u32 = 7 * 24 * 60;
/// A day: a document that takes longer never ends.
pub const MAX_DOCUMENT_SECONDS: u64 = 24 * 60 * 60;
/// The smallest window in which the instructions, core memory and an exchange fit.
pub const MIN_CONTEXT_WINDOW_TOKENS: usize = 1024;

/// The home folder: `MNEME_HOME`, else `mneme` under the platform's data folder.
///
/// # Errors
/// [`Error::NoDataFolder`] where the platform names none.
pub fn home_from_environment() -> Result<PathBuf, Error> {
    match std::env::var_os("MNEME_HOME") {
        Some(home) if !home.is_empty() => Ok(PathBuf::from(home)),
        _ => dirs::data_dir().map(|data| data.join("mneme")).ok_or(Error::NoDataFolder),
    }
}

/// Name of the database in the home.
pub const DATABASE_NAME: &str = "mneme.db";

/// What mneme puts into its home. The database is not listed: it alone tells that a folder is a home.
#[cfg(unix)]
const OWN_NAMES: [&str; 6] = [ConfigFile::NAME, "personas", "logs", "models", "bench", "history.txt"];

/// Makes the home folder, readable for its owner only. A folder that others can read is closed to them where it is
/// empty or a home already; one that its owner has made read-only stays so.
///
/// # Errors
/// It cannot be made or written, or is open to others and holds files of other programs.
pub fn prepare_home(home: &Path) -> Result<(), Error> {
    let fail = |source| Error::Home { path: home.to_owned(), source };
    create_private_folder(home).map_err(fail)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(home).map_err(fail)?.permissions().mode() & 0o777;
        if mode & 0o300 != 0o300 {
            return Err(fail(std::io::Error::new(std::io::ErrorKind::PermissionDenied, "it is read-only")));
        }
        if mode != 0o700 {
            if let Some(found) = foreign_name(home).map_err(fail)? {
                return Err(Error::SharedHome { path: home.to_owned(), found });
            }
            std::fs::set_permissions(home, std::fs::Permissions::from_mode(0o700)).map_err(fail)?;
        }
    }
    tempfile::tempfile_in(home).map_err(fail)?;
    Ok(())
}

/// Name of something in `home` that is not mneme's; none where the folder holds mneme's database.
#[cfg(unix)]
fn foreign_name(home: &Path) -> std::io::Result<Option<String>> {
    if home.join(DATABASE_NAME).is_file() {
        return Ok(None);
    }
    for entry in std::fs::read_dir(home)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !OWN_NAMES.contains(&name.as_str()) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

impl ConfigFile {
    /// Name of the file in the home.
    pub const NAME: &'static str = "config.toml";

    /// Reads the file of `home`; defaults where there is none.
    ///
    /// # Errors
    /// It cannot be read, is no TOML, or has unknown keys.
    pub fn read(home: &Path) -> Result<Self, Error> {
        let path = home.join(Self::NAME);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(Error::File { path, source }),
        };
        toml::from_str(&text).map_err(|error| Error::Invalid { path, reason: error.to_string().trim_end().to_owned() })
    }

    /// The model that was chosen for good.
    #[must_use]
    pub fn chosen_model(&self) -> Option<&str> {
        self.model.as_deref().filter(|model| self.stopgap_model.as_deref() != Some(*model))
    }

    /// Writes the file of `home` in one step: a reader sees the old file or the new one. Comments stay.
    ///
    /// # Errors
    /// It cannot be written, or what is there is no TOML.
    pub fn write(&self, home: &Path) -> Result<(), Error> {
        let mut document = Document::read(home)?;
        document.become_like(self)?;
        document.write()
    }
}

impl Config {
    /// Lays `overrides` over `file` over the defaults and checks every value.
    ///
    /// # Errors
    /// [`Error::Value`] names the setting that is out of range.
    pub fn new(home: PathBuf, file: ConfigFile, overrides: Overrides) -> Result<Self, Error> {
        let flags = overrides.clone();
        let temperature = overrides.temperature.or(file.temperature).unwrap_or(DEFAULT_TEMPERATURE);
        let config = Self {
            home,
            // A stopgap is looked at anew: a better model may have been installed since, or this one deleted.
            model: overrides.model.or_else(|| file.chosen_model().map(str::to_owned)),
            persona: overrides.persona.or(file.persona).unwrap_or_else(|| "mneme".to_owned()),
            human: overrides.human.or(file.human).unwrap_or_else(|| "basic".to_owned()),
            profile: overrides.profile.or(file.profile).unwrap_or(Profile::Native),
            asked_profile: overrides.profile,
            context_window: overrides.context_window.or(file.context_window),
            sampler: SamplerOptions {
                temperature,
                seed: overrides.seed.or(file.seed).unwrap_or_default(),
                ..SamplerOptions::default()
            },
            device: overrides.device.or(file.device).unwrap_or_default(),
            kv_q8: file.kv_q8.unwrap_or(false),
            core_memory_limit_chars: file.core_memory_limit_chars.unwrap_or(DEFAULT_CORE_MEMORY_LIMIT_CHARS),
            max_steps: file.max_steps.unwrap_or(DEFAULT_MAX_STEPS),
            max_calls_of_a_function: file.max_calls_of_a_function.unwrap_or(DEFAULT_MAX_CALLS_OF_A_FUNCTION),
            memory_pass: file.memory_pass.unwrap_or(true),
            recollection: file.recollection.unwrap_or(true),
            answer_pass: file.answer_pass.unwrap_or(true),
            core_refresh: file.core_refresh.unwrap_or_default(),
            idle: overrides.idle.unwrap_or_default(),
            heartbeat_minutes: overrides.heartbeat_minutes.or(file.heartbeat_minutes).unwrap_or_default(),
            queue: file.queue.unwrap_or_default(),
            documents: file.documents.unwrap_or_default(),
            engine: file.engine.unwrap_or_default(),
        };
        config.check(&flags)?;
        Ok(config)
    }

    /// What the file would hold if it left out nothing that has a value.
    #[must_use]
    pub fn as_file(&self) -> ConfigFile {
        ConfigFile {
            model: self.model.clone(),
            stopgap_model: None,
            persona: Some(self.persona.clone()),
            human: Some(self.human.clone()),
            profile: Some(self.profile),
            context_window: self.context_window,
            temperature: Some(self.sampler.temperature),
            seed: Some(self.sampler.seed),
            device: Some(self.device),
            kv_q8: Some(self.kv_q8),
            core_memory_limit_chars: Some(self.core_memory_limit_chars),
            max_steps: Some(self.max_steps),
            memory_pass: Some(self.memory_pass),
            recollection: Some(self.recollection),
            answer_pass: Some(self.answer_pass),
            core_refresh: Some(self.core_refresh),
            max_calls_of_a_function: Some(self.max_calls_of_a_function),
            heartbeat_minutes: Some(self.heartbeat_minutes),
            queue: Some(self.queue.clone()),
            documents: Some(self.documents),
            engine: Some(self.engine),
        }
    }

    fn check(&self, flags: &Overrides) -> Result<(), Error> {
        let value = |name, is_flag: bool, value: String, expected| {
            let file = (!is_flag).then(|| self.home.join(ConfigFile::NAME));
            Err(Error::Value { name, value, expected, file })
        };
        if !(0.0..=2.0).contains(&self.sampler.temperature) {
            return value(
                "temperature",
                flags.temperature.is_some(),
                self.sampler.temperature.to_string(),
                "from 0 to 2",
            );
        }
        if self.context_window.is_some_and(|tokens| tokens < MIN_CONTEXT_WINDOW_TOKENS) {
            let tokens = self.context_window.unwrap_or_default();
            return value("context_window", flags.context_window.is_some(), tokens.to_string(), "at least 1024 tokens");
        }
        if !(1..=100).contains(&self.max_steps) {
            return value("max_steps", false, self.max_steps.to_string(), "from 1 to 100");
        }
        if !(1..=100).contains(&self.max_calls_of_a_function) {
            let calls = self.max_calls_of_a_function.to_string();
            return value("max_calls_of_a_function", false, calls, "from 1 to 100");
        }
        if !(200..=MAX_CORE_MEMORY_LIMIT_CHARS).contains(&self.core_memory_limit_chars) {
            let chars = self.core_memory_limit_chars.to_string();
            return value("core_memory_limit_chars", false, chars, "from 200 to 20000");
        }
        if let Some(name) = self.documents.zero().or_else(|| self.engine.zero()) {
            return value(name, false, "0".to_owned(), "at least 1");
        }
        if self.documents.seconds > MAX_DOCUMENT_SECONDS {
            return value("seconds", false, self.documents.seconds.to_string(), "at most 86400 (a day)");
        }
        if self.heartbeat_minutes > MAX_HEARTBEAT_MINUTES {
            let (is_flag, minutes) = (flags.heartbeat_minutes.is_some(), self.heartbeat_minutes.to_string());
            return value("heartbeat_minutes", is_flag, minutes, "from 0 (never) to 10080 (a week)");
        }
        self.queue.validate()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_go_before_the_file_and_the_file_before_defaults() {
        let file: ConfigFile = toml::from_str("temperature = 0.5\nseed = 7\nmax_steps = 3").unwrap();
        let overrides = Overrides { temperature: Some(0.9), ..Overrides::default() };
        let config = Config::new(PathBuf::from("home"), file, overrides).unwrap();
        assert_eq!(config.sampler.temperature, 0.9);
        assert_eq!(config.sampler.seed, 7);
        assert_eq!(config.max_steps, 3);
        assert_eq!(config.persona, "mneme");
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(ConfigFile::NAME), "modle = \"x\"\n").unwrap();
        let error = ConfigFile::read(home.path()).unwrap_err().to_string();
        assert!(error.contains("modle"), "{error}");
    }

    #[test]
    fn values_out_of_range_are_refused_by_file_and_name() {
        for (text, name) in [
            ("temperature = 9.0", "temperature"),
            ("context_window = 10", "context_window"),
            ("max_steps = 0", "max_steps"),
            ("max_calls_of_a_function = 0", "max_calls_of_a_function"),
            ("core_memory_limit_chars = 1", "core_memory_limit_chars"),
            ("[documents]\nseconds = 0", "seconds"),
            ("[engine]\nread_batch_tokens = 0", "read_batch_tokens"),
            // Added to a time it would be none any more.
            ("[documents]\nseconds = 9223372036854775807", "seconds"),
            ("heartbeat_minutes = 10081", "heartbeat_minutes"),
            ("[queue]\nkeep_last_messages = 1", "the queue limits are not usable: keep_last_messages"),
        ] {
            let file: ConfigFile = toml::from_str(text).unwrap();
            let error = Config::new(PathBuf::from("home"), file, Overrides::default()).unwrap_err();
            let prefix = if matches!(error, Error::Queue(_)) { "" } else { "home/config.toml: " };
            assert!(error.to_string().starts_with(&format!("{prefix}{name}")), "{error}");
            assert!(!error.hint().contains("--help"), "{error}: {}", error.hint());
        }
        let flags = Overrides { temperature: Some(9.0), ..Overrides::default() };
        let error = Config::new(PathBuf::from("home"), ConfigFile::default(), flags).unwrap_err();
        assert!(error.to_string().starts_with("temperature") && error.hint().contains("--help"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_of_other_programs_is_refused_and_left_as_it_is() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let mode = || std::fs::metadata(home.path()).unwrap().permissions().mode() & 0o777;
        let open = || std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        open();
        std::fs::write(home.path().join("thesis.tex"), "").unwrap();
        let error = prepare_home(home.path()).unwrap_err();
        assert!(error.to_string().contains("thesis.tex"), "{error}");
        assert_eq!(mode(), 0o755);
        std::fs::write(home.path().join(DATABASE_NAME), "").unwrap();
        prepare_home(home.path()).unwrap();
        assert_eq!(mode(), 0o700);
        open();
        for name in [DATABASE_NAME, "thesis.tex"] {
            std::fs::remove_file(home.path().join(name)).unwrap();
        }
        prepare_home(home.path()).unwrap();
        assert_eq!(mode(), 0o700);
    }

    #[cfg(unix)]
    #[test]
    fn a_read_only_home_is_refused_and_stays_read_only() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
        let error = prepare_home(home.path()).unwrap_err();
        assert!(matches!(error, Error::Home { .. }), "{error}");
        assert_eq!(std::fs::metadata(home.path()).unwrap().permissions().mode() & 0o777, 0o500);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let home = tempfile::tempdir().unwrap();
        let file = ConfigFile { model: Some("some-model".into()), seed: Some(3), ..ConfigFile::default() };
        file.write(home.path()).unwrap();
        assert_eq!(ConfigFile::read(home.path()).unwrap(), file);
    }
}
