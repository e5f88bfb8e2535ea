//! `mneme models ..`, the automatic choice of a model, and loading it with progress.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Error;
use super::interrupt::raised_by_ctrl_c;
use super::output::{Output, stdout, tell};
use crate::cli::{EngineName, ExitCode, ModelForm, ModelsCommand, NumberForm};
use crate::config::{self, ConfigFile};
use crate::inference::{self, Description, Engine, Gguf, LoadOptions};
use crate::models::hardware::Hardware;
use crate::models::{
    Catalogue, Choice, HubSettings, Installed, Kind, Limits, ModelEntry, Outcome, PipSettings, PullOptions, Reach,
    Store, TerminalProgress, default_models_dir, repository_folder,
};
use crate::types::Cancel;
use crate::ui::sanitize;

const MILLION: f64 = 1e6;
const NOTHING: Reach = Reach { hub: false, wheels: false };
const EVERYTHING: Reach = Reach { hub: true, wheels: true };

pub(super) fn store() -> Result<Store, Error> {
    Ok(Store::new(default_models_dir()?, Catalogue::shipped()?))
}

/// Runs a `mneme models` command.
///
/// # Errors
/// See `models::Error`.
pub(super) fn run(command: &ModelsCommand) -> Result<ExitCode, Error> {
    let store = store()?;
    match command {
        ModelsCommand::List => list(&store),
        ModelsCommand::Pull { name: Some(name), .. } => pull(&store, name),
        ModelsCommand::Pull { name: None, .. } => {
            let code = pull_default(&store)?;
            pull_embedder(&store)?;
            Ok(code)
        }
        ModelsCommand::Info { name } => info(&store, name),
        ModelsCommand::Verify { name } => verify(&store, name.as_deref()),
        ModelsCommand::Convert { name, to: ModelForm::Safetensors, numbers, out } => convert(name, *numbers, out),
        ModelsCommand::Rm { name } => remove(&store, name),
    }
}

/// The file that a `--model` argument names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModelFile {
    /// Catalogue name, or the file's stem.
    pub(super) name: String,
    /// The GGUF file.
    pub(super) path: PathBuf,
    is_of_catalogue: bool,
}

impl ModelFile {
    /// A failure of an engine on this file, with the advice that fits: what mneme has fetched it can fetch again.
    pub(super) fn failure(&self, error: inference::Error) -> Error {
        use inference::Error::{BadModelFile, LoadFailed, Unreadable};
        match error {
            source @ (BadModelFile { .. } | LoadFailed { .. } | Unreadable { .. }) if self.is_of_catalogue => {
                Error::CatalogueModel { name: self.name.clone(), source }
            }
            other => other.into(),
        }
    }
}

/// The file that a `--model` argument names.
///
/// # Errors
/// It is neither installed nor a file.
pub(super) fn resolve(argument: &str) -> Result<ModelFile, Error> {
    let store = store()?;
    let resolved = store.resolve(argument)?;
    Ok(ModelFile { name: resolved.name, path: resolved.path, is_of_catalogue: resolved.entry.is_some() })
}

/// Names of the models that are installed and can talk; none where their folder cannot be read.
pub(super) fn installed() -> Vec<String> {
    let Ok(store) = store() else { return Vec::new() };
    let listed = store.list(Hardware::detect().memory_bytes);
    let can_talk = listed.iter().filter(|line| line.installed == Installed::Yes && line.entry.kind == Kind::Chat);
    let mut names: Vec<String> = can_talk.map(|line| line.entry.name.clone()).collect();
    let others = store.other_files().unwrap_or_default().into_iter();
    names.extend(others.filter_map(|(path, _)| Some(path.file_name()?.to_string_lossy().into_owned())));
    names
}

/// The model of this machine where none was named: the best that is installed, chosen once and written to the
/// configuration. Where the catalogue has a better one, it is written as a stopgap: a small model that came first must
/// not stay for good.
///
/// # Errors
/// None is installed or none that is installed fits the memory; this never fetches one.
pub(super) fn default_model(home: &Path) -> Result<String, Error> {
    let store = store()?;
    let memory_bytes = Hardware::detect().memory_bytes;
    let name = choose_installed(&store, memory_bytes)?.entry.name.clone();
    if is_best(&store, memory_bytes, &name) {
        remember_default(home, &name)?;
    } else {
        remember_stopgap(home, &name)?;
    }
    Ok(name)
}

/// The best of the installed models.
fn choose_installed(store: &Store, memory_bytes: u64) -> Result<Choice<'_>, Error> {
    store.choose(memory_bytes, NOTHING).map_err(|error| {
        let is_installed_chat = |entry: &ModelEntry, state| entry.kind == Kind::Chat && state == Installed::Yes;
        if store.list(memory_bytes).iter().any(|line| is_installed_chat(line.entry, line.installed)) {
            error.into()
        } else {
            Error::NoModel
        }
    })
}

/// Whether no model of the catalogue would be chosen over `name` if every source could be reached.
fn is_best(store: &Store, memory_bytes: u64, name: &str) -> bool {
    store.choose(memory_bytes, EVERYTHING).is_ok_and(|choice| choice.entry.name == name)
}

/// Goes on with `name` until a better model is fetched; said where it is new.
fn remember_stopgap(home: &Path, name: &str) -> Result<(), Error> {
    let mut file = ConfigFile::read(home)?;
    if file.stopgap_model.as_deref() == Some(name) {
        return Ok(());
    }
    (file.model, file.stopgap_model) = (Some(name.to_owned()), Some(name.to_owned()));
    file.write(home)?;
    tell(&format!(
        "Going on with {name}, which is installed ({}). The catalogue has a better one: mneme models pull --default",
        home.join(ConfigFile::NAME).display()
    ));
    Ok(())
}

fn remember_default(home: &Path, name: &str) -> Result<(), Error> {
    let mut file = ConfigFile::read(home)?;
    (file.model, file.stopgap_model) = (Some(name.to_owned()), None);
    file.write(home)?;
    tell(&format!("The model of this home is {name} now ({}).", home.join(ConfigFile::NAME).display()));
    Ok(())
}

fn pull(store: &Store, name: &str) -> Result<ExitCode, Error> {
    let cancel = raised_by_ctrl_c()?;
    let mut progress = TerminalProgress::new();
    let mut options = PullOptions::from_env(&cancel, &mut progress);
    let is_repository = store.catalogue().find(name).is_none() && repository_folder(name).is_some();
    let pulled =
        if is_repository { store.pull_repository(name, &mut options)? } else { store.pull(name, &mut options)? };
    let how = if pulled.origins.is_empty() { "is installed already" } else { "is installed" };
    tell(&format!("{} {how}.", pulled.name));
    if is_repository {
        tell(&format!("Chat with it: mneme run --engine candle --model {name}"));
    }
    Ok(ExitCode::Ok)
}

/// The model that the configuration names, where it is installed; else the best that can be had for this machine.
fn pull_default(store: &Store) -> Result<ExitCode, Error> {
    let home = config::home_from_environment()?;
    config::prepare_home(&home)?;
    if let Some(model) = ConfigFile::read(&home)?.chosen_model() {
        if store.resolve(model).is_ok() {
            return Ok(ExitCode::Ok);
        }
        return pull(store, model);
    }
    let memory_bytes = Hardware::detect().memory_bytes;
    // Nothing has to be asked where the best is there already.
    let needs_no_source = store.choose(memory_bytes, EVERYTHING).is_ok_and(|choice| choice.installed);
    let hub = HubSettings::from_env();
    let reach = if needs_no_source { NOTHING } else { store.probe(&hub, &PipSettings::from_env(), &Limits::default()) };
    let choice = store.choose(memory_bytes, reach)?;
    let name = choice.entry.name.clone();
    if choice.installed {
        // Without any source this is no choice yet: the next start with a network may find a better one.
        if needs_no_source || reach != NOTHING {
            remember_default(&home, &name)?;
        } else {
            remember_stopgap(&home, &name)?;
        }
        return Ok(ExitCode::Ok);
    }
    tell(&format!(
        "Fetching {name} ({}, {}), {}.",
        DecimalBytes(choice.entry.size_bytes()),
        choice.entry.licence,
        why_chosen(store, memory_bytes, choice.entry, reach, &hub.endpoint)
    ));
    match pull(store, &name) {
        Ok(code) => {
            remember_default(&home, &name)?;
            Ok(code)
        }
        Err(error @ Error::Models(crate::models::Error::Cancelled { .. })) => Err(error),
        // That pip can be run does not say that an index answers.
        Err(error) => match store.choose(memory_bytes, NOTHING) {
            Ok(installed) => {
                tell(&format!("warning: {}", error.sentence()));
                remember_stopgap(&home, &installed.entry.name)?;
                Ok(ExitCode::Ok)
            }
            Err(_) => Err(error),
        },
    }
}

/// Fetches the embedder where this build can run it and it is not there. A chat works without it.
///
/// # Errors
/// It was stopped by the user.
fn pull_embedder(store: &Store) -> Result<(), Error> {
    let Some(entry) = store.catalogue().embedder().filter(|_| cfg!(feature = "candle")) else { return Ok(()) };
    if store.installed(entry) == Installed::Yes {
        return Ok(());
    }
    tell(&format!(
        "Next comes {} ({}, {}), with which memories are found by their meaning.",
        entry.name,
        DecimalBytes(entry.size_bytes()),
        entry.licence
    ));
    match pull(store, &entry.name) {
        Ok(_) => Ok(()),
        Err(error @ Error::Models(crate::models::Error::Cancelled { .. })) => Err(error),
        Err(error) => {
            tell(&format!("warning: {}", error.sentence()));
            tell("The chat works without it; until then memories are found by their words only.");
            Ok(())
        }
    }
}

/// Why `chosen` is fetched: it is the best of all, or the best without the sources that cannot be reached.
fn why_chosen(store: &Store, memory_bytes: u64, chosen: &ModelEntry, reach: Reach, endpoint: &str) -> String {
    let memory = DecimalBytes(memory_bytes);
    match store.choose(memory_bytes, EVERYTHING) {
        Ok(best) if best.entry.name != chosen.name => {
            let mut reasons = Vec::new();
            if best.entry.has_hub() && !reach.hub {
                reasons.push(format!("the hub at {endpoint} does not answer"));
            }
            if best.entry.has_wheels() && !reach.wheels {
                reasons.push("pip cannot be run".to_owned());
            }
            format!(
                "the best for {memory} of memory that can be reached: {} is better, but {}",
                best.entry.name,
                reasons.join(" and ")
            )
        }
        _ => format!("the best of the catalogue for {memory} of memory"),
    }
}

fn list(store: &Store) -> Result<ExitCode, Error> {
    let mut out = stdout();
    let listed = store.list(Hardware::detect().memory_bytes);
    let width = listed.iter().map(|line| line.entry.name.len()).max().unwrap_or_default();
    writeln!(out, "{:width$}  {:>9}  {:<12} {:<9} licence", "name", "size", "installed", "memory")?;
    for line in &listed {
        let installed = installed_word(line.installed);
        let fits = if line.fits { "fits" } else { "too large" };
        let purpose = match line.entry.kind {
            Kind::Chat => "",
            Kind::Embedder => " (no chat model: finds memories)",
        };
        writeln!(
            out,
            "{:width$}  {:>9}  {installed:<12} {fits:<9} {}{purpose}",
            line.entry.name,
            DecimalBytes(line.entry.size_bytes()).to_string(),
            line.entry.licence
        )?;
    }
    for (path, bytes) in store.other_files()? {
        let name = sanitize(&path.file_name().unwrap_or_default().to_string_lossy());
        writeln!(out, "{name:width$}  {:>9}  {:<12}", DecimalBytes(bytes).to_string(), "yes")?;
    }
    writeln!(out, "\nFiles are in {}", store.dir().display())?;
    Ok(ExitCode::Ok)
}

const fn installed_word(installed: Installed) -> &'static str {
    match installed {
        Installed::Yes => "yes",
        Installed::No => "no",
        Installed::Partly { .. } => "partly",
        Installed::Damaged => "damaged",
    }
}

fn info(store: &Store, argument: &str) -> Result<ExitCode, Error> {
    let info = store.info(argument)?;
    let gguf = info.paths.iter().find(|path| path.extension().is_some_and(|ending| ending == "gguf") && path.is_file());
    let named_file = info.entry.is_none().then(|| info.paths.first()).flatten();
    // Opened before anything is printed: a file that is no model is an error and not installed.
    let open = |path: &PathBuf| {
        let (name, is_of_catalogue) = (info.name.clone(), info.entry.is_some());
        Gguf::open(path).map_err(|error| ModelFile { name, path: path.clone(), is_of_catalogue }.failure(error))
    };
    let folder = named_file.filter(|path| path.is_dir());
    let gguf = gguf.or(named_file.filter(|_| folder.is_none())).map(open).transpose()?;
    let described = folder.map(|path| Description::read(path)).transpose()?;
    let mut out = stdout();
    writeln!(out, "name            {}", sanitize(&info.name))?;
    if let Some(entry) = info.entry {
        describe_entry(&mut out, entry)?;
    }
    writeln!(out, "installed       {}", installed_word(info.installed))?;
    for path in &info.paths {
        let label = if path.exists() { "file" } else { "would go to" };
        writeln!(out, "{label:<15} {}", sanitize(&path.display().to_string()))?;
    }
    if let Some(gguf) = gguf {
        describe_gguf(&mut out, &gguf)?;
    }
    if let Some(Description { vocab, chat_template, trained_context_tokens, .. }) = described {
        writeln!(out, "form            safetensors, for --engine candle")?;
        writeln!(out, "trained window  {trained_context_tokens} tokens")?;
        writeln!(out, "vocabulary      {} tokens", vocab.len())?;
        writeln!(out, "chat template   {}", if chat_template.is_some() { "yes" } else { "no" })?;
    }
    Ok(ExitCode::Ok)
}

fn describe_entry(out: &mut Output, entry: &ModelEntry) -> Result<(), Error> {
    writeln!(out, "title           {}", entry.title)?;
    let purpose = match entry.kind {
        Kind::Chat => "chat",
        Kind::Embedder => "finding memories by their meaning",
    };
    writeln!(out, "purpose         {purpose}")?;
    writeln!(out, "licence         {}", entry.licence)?;
    writeln!(out, "parameters      {}, {}", entry.parameters, entry.quantisation)?;
    writeln!(out, "size            {}", DecimalBytes(entry.size_bytes()))?;
    writeln!(out, "memory need     {}", DecimalBytes(entry.memory_need_bytes()))?;
    writeln!(out, "context         {} tokens", entry.context_tokens)?;
    Ok(())
}

fn describe_gguf(out: &mut Output, gguf: &Gguf) -> Result<(), Error> {
    let info = gguf.info();
    writeln!(out, "architecture    {}", sanitize(&info.architecture))?;
    if let Some(tokens) = info.context_length_tokens {
        writeln!(out, "trained window  {tokens} tokens")?;
    }
    if let Some(layers) = info.layers {
        writeln!(out, "layers          {layers}")?;
    }
    writeln!(out, "vocabulary      {} tokens", info.vocab_tokens)?;
    let quantisation = info.quantisation().map_or(String::new(), |name| format!(", {name}"));
    #[allow(clippy::cast_precision_loss)]
    let (weights, tensors) = (info.parameter_count as f64 / MILLION, info.tensor_count);
    writeln!(out, "weights         {weights:.0} M in {tensors} tensors{quantisation}")?;
    if let Some(bytes) = info.kv_bytes_per_token() {
        writeln!(out, "KV cache        {bytes} bytes a token")?;
    }
    let template = if info.chat_template.is_some() { "yes" } else { "no" };
    writeln!(out, "chat template   {template}")?;
    Ok(())
}

fn verify(store: &Store, name: Option<&str>) -> Result<ExitCode, Error> {
    let cancel = raised_by_ctrl_c()?;
    let verified = store.verify(name, &mut TerminalProgress::new(), &cancel)?;
    let mut out = stdout();
    let mut code = ExitCode::Ok;
    for file in &verified {
        let outcome = match &file.outcome {
            Outcome::Good => "good".to_owned(),
            Outcome::WrongSize { found_bytes, expected_bytes } => {
                format!("DAMAGED: {found_bytes} bytes instead of {expected_bytes}")
            }
            Outcome::WrongHash { found, expected } => format!("DAMAGED: sha256 {found} instead of {expected}"),
            Outcome::Missing => "MISSING: mneme models pull fetches it again".to_owned(),
            Outcome::Unpinned { found } => format!("sha256 {found}, nothing to compare with"),
        };
        if matches!(file.outcome, Outcome::WrongSize { .. } | Outcome::WrongHash { .. } | Outcome::Missing) {
            code = ExitCode::Data;
        }
        writeln!(out, "{}: {outcome}", sanitize(&file.path.display().to_string()))?;
    }
    if verified.is_empty() {
        writeln!(out, "No model is installed.")?;
    }
    Ok(code)
}

fn remove(store: &Store, name: &str) -> Result<ExitCode, Error> {
    let removed = store.remove(name)?;
    let mut out = stdout();
    for path in &removed.paths {
        writeln!(out, "deleted {}", sanitize(&path.display().to_string()))?;
    }
    writeln!(out, "{} are free again", DecimalBytes(removed.freed_bytes))?;
    Ok(ExitCode::Ok)
}

#[cfg(feature = "candle")]
fn convert(name: &str, numbers: NumberForm, folder: &Path) -> Result<ExitCode, Error> {
    let file = resolve(name)?;
    let stop = raised_by_ctrl_c()?;
    let numbers = match numbers {
        NumberForm::F16 => inference::Numbers::F16,
        NumberForm::Bf16 => inference::Numbers::Bf16,
        NumberForm::F32 => inference::Numbers::F32,
    };
    let bar = ShareBar::new("converting", &file.name);
    let converted = inference::convert(&file.path, folder, numbers, &mut |share| {
        bar.show(share);
        !stop.is_raised()
    });
    bar.clear();
    converted.map_err(|error| file.failure(error))?;
    writeln!(
        stdout(),
        "{} holds the model; chat with it: mneme run --engine candle --model {0}",
        sanitize(&folder.display().to_string())
    )?;
    Ok(ExitCode::Ok)
}

#[cfg(not(feature = "candle"))]
fn convert(_: &str, _: NumberForm, _: &Path) -> Result<ExitCode, Error> {
    Err(inference::Error::NoEngine { engine: "candle".to_owned() }.into())
}

/// How far something is, on a terminal.
struct ShareBar(ProgressBar);

impl ShareBar {
    const STEPS: u64 = 1000;

    fn new(doing: &str, name: &str) -> Self {
        // Hidden by itself where standard error is no terminal.
        let bar = ProgressBar::with_draw_target(Some(Self::STEPS), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{prefix} {msg} [{bar:30}] {percent}%") {
            bar.set_style(style);
        }
        bar.set_prefix(doing.to_owned());
        bar.set_message(sanitize(name));
        Self(bar)
    }

    fn show(&self, share: f32) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        self.0.set_position((share.clamp(0.0, 1.0) * Self::STEPS as f32) as u64);
    }

    fn clear(&self) {
        self.0.finish_and_clear();
    }
}

/// The model of `config`, and how it is loaded.
///
/// # Errors
/// There is no such model.
#[cfg(feature = "llama-cpp")]
pub(super) fn chosen(config: &config::Config) -> Result<(ModelFile, LoadOptions), Error> {
    let name = config.model.clone().map_or_else(|| default_model(&config.home), Ok)?;
    let file = resolve(&name)?;
    let options = load_options(Some(&file), config);
    Ok((file, options))
}

/// How a model is loaded with `config`.
pub(super) fn load_options(model: Option<&ModelFile>, config: &config::Config) -> LoadOptions {
    LoadOptions {
        name: model.map(|model| model.name.clone()),
        context_window: config.context_window,
        kv_q8: config.kv_q8,
        device: config.device,
        tuning: config.engine,
        ..LoadOptions::default()
    }
}

/// Loads a model, showing how far it is on a terminal.
///
/// # Errors
/// This build has no such engine, the file is no usable model, the window does not fit it, or `cancel` was raised.
pub(super) fn load(
    engine: EngineName,
    model: &ModelFile,
    config: &config::Config,
    lanes: usize,
    cancel: &Cancel,
) -> Result<Box<dyn Engine>, Error> {
    /// Room for a prompt with a dozen functions, and a reply.
    const LANE_TOKENS: usize = 4096;
    let lane_tokens = config.context_window.unwrap_or(LANE_TOKENS);
    let options = LoadOptions { lanes, lane_tokens, ..load_options(Some(model), config) };
    let bar = ShareBar::new("loading", &model.name);
    let engine = load_by_name(engine, &model.path, &options, &mut |share| {
        bar.show(share);
        !cancel.is_raised()
    });
    bar.clear();
    engine.map_err(|error| model.failure(error))
}

fn load_by_name(
    engine: EngineName,
    path: &Path,
    options: &LoadOptions,
    progress: &mut dyn FnMut(f32) -> bool,
) -> Result<Box<dyn Engine>, inference::Error> {
    match engine {
        #[cfg(feature = "llama-cpp")]
        EngineName::LlamaCpp => {
            if inference::is_model_folder(path) {
                return Err(inference::Error::NotForEngine { path: path.to_owned(), engine: "llama-cpp" });
            }
            Ok(Box::new(inference::LlamaCppEngine::load(path, options, progress)?))
        }
        #[cfg(feature = "candle")]
        EngineName::Candle => Ok(Box::new(inference::CandleEngine::load(path, options, progress)?)),
        other => {
            let name = other.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
            Err(inference::Error::NoEngine { engine: name })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "smollm2-135m-instruct-q4_1";
    const MEMORY_BYTES: u64 = 8 << 30;

    /// A store with the smallest chat model: what counts as installed is told by the size.
    fn with_small_model(dir: &Path) -> Store {
        let store = Store::new(dir.to_owned(), Catalogue::shipped().unwrap());
        let bytes = store.catalogue().find(SMALL).unwrap().size_bytes();
        std::fs::File::create(dir.join(format!("{SMALL}.gguf"))).unwrap().set_len(bytes).unwrap();
        store
    }

    #[test]
    fn a_small_model_is_used_while_it_is_alone_but_is_not_the_best() {
        let dir = tempfile::tempdir().unwrap();
        let store = with_small_model(dir.path());
        assert_eq!(choose_installed(&store, MEMORY_BYTES).unwrap().entry.name, SMALL);
        assert!(!is_best(&store, MEMORY_BYTES, SMALL));
        let best = store.choose(MEMORY_BYTES, EVERYTHING).unwrap();
        assert!(is_best(&store, MEMORY_BYTES, &best.entry.name));
        assert!(!best.installed);
    }

    #[test]
    fn a_choice_that_the_network_limits_is_not_called_the_best() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().to_owned(), Catalogue::shipped().unwrap());
        let why = |reach| {
            let chosen = store.choose(16 << 30, reach).unwrap();
            why_chosen(&store, 16 << 30, chosen.entry, reach, "http://hub.invalid")
        };
        assert_eq!(why(EVERYTHING), "the best of the catalogue for 17.18 GB of memory");
        let limited = why(Reach { hub: false, wheels: true });
        assert!(!limited.contains("catalogue"), "{limited}");
        let best = &store.choose(16 << 30, EVERYTHING).unwrap().entry.name;
        assert!(
            limited.contains(best) && limited.contains("the hub at http://hub.invalid does not answer"),
            "{limited}"
        );
    }

    #[test]
    fn a_model_that_does_not_fit_is_told_apart_from_none() {
        let dir = tempfile::tempdir().unwrap();
        let empty = Store::new(dir.path().join("none"), Catalogue::shipped().unwrap());
        assert!(matches!(choose_installed(&empty, MEMORY_BYTES), Err(Error::NoModel)));
        let store = with_small_model(dir.path());
        let error = choose_installed(&store, 1 << 26).unwrap_err();
        assert!(matches!(error, Error::Models(crate::models::Error::NothingFits { .. })), "{error:?}");
    }
}
