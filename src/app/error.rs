//! Failures of the program as a whole: what went wrong, what to do, which exit code.

use std::path::PathBuf;

use super::{admin, input};
use crate::cli::ExitCode;
use crate::{bench, config, dialect, grammar, inference, kernel, memory, models, types, ui};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// Model files.
    #[error(transparent)]
    Models(#[from] models::Error),
    /// The engine.
    #[error(transparent)]
    Inference(#[from] inference::Error),
    /// The file of a model that was fetched by its catalogue name is damaged.
    #[error("{source}")]
    CatalogueModel {
        /// Catalogue name.
        name: String,
        /// What is wrong.
        source: inference::Error,
    },
    /// The prompt format.
    #[error(transparent)]
    Dialect(#[from] dialect::Error),
    /// The database.
    #[error(transparent)]
    Memory(#[from] memory::Error),
    /// The agent loop.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// The terminal.
    #[error(transparent)]
    Terminal(#[from] ui::terminal::Error),
    /// A command that looks after the home.
    #[error(transparent)]
    Admin(#[from] admin::Error),
    /// A name breaks the naming rule.
    #[error(transparent)]
    Name(#[from] types::InvalidName),
    /// Ctrl-C was pressed before the chat began.
    #[error("stopped before the chat began")]
    Stopped,
    /// The memory does not hold a model beside the one that answers.
    #[error(
        "there is no memory for {model} beside the model that answers: it needs about {}, and {} are free",
        indicatif::DecimalBytes(*needed_bytes), indicatif::DecimalBytes(*free_bytes)
    )]
    NoMemory {
        /// The model.
        model: String,
        /// Weights and what belongs to them, bytes.
        needed_bytes: u64,
        /// Memory to be had, bytes.
        free_bytes: u64,
    },
    /// No model was chosen and none is installed.
    #[error("no model is installed")]
    NoModel,
    /// The embedder is not installed, or this build cannot run it.
    #[error("no embedder is installed, or this build cannot run it (feature `candle`)")]
    NoEmbedder,
    /// The embedder failed.
    #[error("the embedder failed")]
    Embedder {
        /// Why.
        source: memory::BoxError,
    },
    /// There is no such persona or human.
    #[error("there is no {kind} {name}; shipped are {known}")]
    UnknownText {
        /// `persona` or `human`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The shipped ones.
        known: String,
    },
    /// A persona or human file cannot be read.
    #[error("cannot read the {kind} file {}", path.display())]
    TextFile {
        /// `persona` or `human`.
        kind: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A persona or human file is a folder, a pipe or a device.
    #[error("the {kind} file {} is {found}", path.display())]
    TextNotAFile {
        /// `persona` or `human`.
        kind: &'static str,
        /// The path.
        path: PathBuf,
        /// What it is, with its article.
        found: &'static str,
    },
    /// A persona or human file is far too large.
    #[error("the {kind} file {} has {size_bytes} bytes; the limit is {}", path.display(), super::personas::MAX_FILE_BYTES)]
    TextTooLarge {
        /// `persona` or `human`.
        kind: &'static str,
        /// The file.
        path: PathBuf,
        /// Its size.
        size_bytes: u64,
    },
    /// A persona or human file is not UTF-8.
    #[error("the {kind} file {} is not UTF-8 at byte {offset}", path.display())]
    TextNotUtf8 {
        /// `persona` or `human`.
        kind: &'static str,
        /// The file.
        path: PathBuf,
        /// First byte that is not.
        offset: usize,
    },
    /// The data of a benchmark cannot be fetched.
    #[error("{source}")]
    BenchData {
        /// Why.
        source: models::Error,
    },
    /// The questions of BFCL cannot be asked.
    #[error(transparent)]
    BfclBench(#[from] bench::bfcl::Error),
    /// Function calls cannot be measured.
    #[error(transparent)]
    FunctionsBench(#[from] bench::functions::Error),
    /// A conversation whose turns are to be measured cannot be used.
    #[error(transparent)]
    TurnBench(#[from] bench::turn::Error),
    /// A conversation with an agent cannot be run.
    #[error(transparent)]
    AgentBench(#[from] bench::agent::Error),
    /// A conversation cannot be measured.
    #[error(transparent)]
    RecallBench(#[from] bench::recall::Error),
    /// Standard output is gone or full.
    #[error("cannot write to standard output")]
    Output(#[source] std::io::Error),
    /// The answer to a question is no text, or standard input is gone.
    #[error("the answer cannot be read")]
    Answer(#[source] std::io::Error),
    /// The system does not say when Ctrl-C is pressed.
    #[error("cannot listen for Ctrl-C")]
    Signals(#[source] std::io::Error),
    /// The system does not say where this program lies.
    #[error("cannot find the file of this program")]
    OwnFile(#[source] std::io::Error),
    /// There is no place for files that are needed only now.
    #[error("cannot use a folder for temporary files in {}", std::env::temp_dir().display())]
    Scratch(#[source] std::io::Error),
    /// Reading a scripted engine without a script.
    #[error("the scripted engine needs --model with the path of a script")]
    NoScript,
    /// A grammar, schema or prompt cannot be read.
    #[error(transparent)]
    Input(#[from] input::Error),
    /// A grammar is wrong.
    #[error("{name}: {source}")]
    Grammar {
        /// File or shipped name.
        name: String,
        /// What is wrong.
        source: grammar::Error,
    },
    /// A JSON Schema cannot be made a grammar.
    #[error("{name}: {source}")]
    Schema {
        /// File.
        name: String,
        /// What is wrong.
        source: grammar::schema::Error,
    },
    /// A grammar names tokens, and no model was named that has them.
    #[error("{name}: {place}: the grammar names a token, and there is no model to look it up in")]
    NeedsModel {
        /// File or shipped name.
        name: String,
        /// Where.
        place: grammar::Place,
    },
    /// A text alone does not say whether a grammar with `!<token>` accepts it.
    #[error("{name}: the grammar has an item `!<token>`: what it accepts depends on how a model cuts the text")]
    DependsOnTokens {
        /// File or shipped name.
        name: String,
    },
    /// A trigger is no control token of the model.
    #[error("the model has no control token {name}")]
    UnknownToken {
        /// As it was written.
        name: String,
    },
    /// Matching ran into a limit.
    #[error(transparent)]
    Matcher(#[from] types::ConstraintError),
    /// A path that was to be loaded does not exist.
    #[error("there is no file or folder {}", path.display())]
    NoSuchPath {
        /// As it was given.
        path: PathBuf,
    },
    /// No file was found to load.
    #[error("there is nothing to load{}{left_out}", if left_out.is_empty() { "" } else { "; left out: " })]
    NothingToLoad {
        /// What was found and not taken, in words.
        left_out: String,
    },
    /// None of the files could be read.
    #[error("none of the files could be read")]
    NothingReadable,
    /// A source that was to be deleted does not exist.
    #[error("there is no source {name}{}", if known.is_empty() { String::new() } else { format!("; there are {}", known.join(", ")) })]
    NothingToDelete {
        /// Its name.
        name: String,
        /// The sources that there are.
        known: Vec<String>,
    },
    /// The model that an agent used last, or that was chosen for it, is gone.
    #[error("the model {model} of the agent {agent} cannot be used: {source}")]
    ModelOfAgent {
        /// Name of the agent.
        agent: String,
        /// Name of the model.
        model: String,
        /// Why.
        source: models::Error,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Config(error) => error.hint().to_owned(),
            Self::Models(error) => error.hint().to_string(),
            Self::Inference(error) => error.hint().to_owned(),
            Self::CatalogueModel { name, .. } => format!(
                "check it: mneme models verify {name}; if it is damaged: mneme models rm {name}, then \
                 mneme models pull {name}"
            ),
            Self::Dialect(error) => error.hint().to_string(),
            Self::Memory(error) => error.hint().to_string(),
            Self::BenchData {
                source:
                    models::Error::Io { .. }
                    | models::Error::DiskFull { .. }
                    | models::Error::TooLittleDisk { .. }
                    | models::Error::NoDataFolder,
            } => "set MNEME_BENCH_DATA to a folder that can be written and has room".to_owned(),
            Self::BenchData { source: models::Error::NoDownloader } => {
                "use a build with the feature download".to_owned()
            }
            Self::BenchData { source } => source.hint(),
            Self::BfclBench(error) => error.hint(),
            Self::FunctionsBench(error) => error.hint(),
            Self::TurnBench(error) => error.hint().to_owned(),
            Self::AgentBench(error) => error.hint().to_owned(),
            Self::RecallBench(error) => error.hint(),
            Self::Kernel(error) => error.hint(),
            Self::Admin(error) => error.hint(),
            Self::Name(_) => {
                "use letters, digits, dot, dash and underscore, at most 64, beginning with a letter or digit".to_owned()
            }
            Self::NoMemory { model, .. } => {
                format!("leave the chat and start it with --model {model}: alone it may fit")
            }
            Self::NoModel => {
                "fetch one: mneme models pull --default (mneme models list shows the catalogue)".to_owned()
            }
            Self::NoEmbedder => "fetch it: mneme models pull all-minilm-l6-v2".to_owned(),
            Self::Embedder { .. } => "check its files: mneme models verify all-minilm-l6-v2".to_owned(),
            Self::UnknownText { kind, .. } => {
                let folder = if *kind == "persona" { "personas" } else { "personas/humans" };
                format!("put NAME.txt into {folder}/ of the home folder, or give a path")
            }
            Self::TextFile { .. } => "check the path".to_owned(),
            Self::TextNotAFile { .. } => "write the text to a file and name that".to_owned(),
            Self::TextTooLarge { .. } => "shorten it; long texts belong into archival storage".to_owned(),
            Self::TextNotUtf8 { .. } => "save it as UTF-8".to_owned(),
            Self::Stopped => "start it again".to_owned(),
            Self::Terminal(error) => error.hint().to_owned(),
            Self::Output(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                "free some disk space, or send the output elsewhere".to_owned()
            }
            Self::Output(_) => "check where the output goes".to_owned(),
            Self::Answer(_) => "type it again, or give it with the command: --yes, --agent NAME".to_owned(),
            Self::Signals(_) => "start it again".to_owned(),
            Self::OwnFile(_) => "start mneme again: it may have been replaced while it ran".to_owned(),
            Self::Scratch(_) => "set TMPDIR to a folder that can be written and has room".to_owned(),
            Self::NoScript => "give --model FILE.json".to_owned(),
            Self::Input(error) => error.hint(),
            Self::Grammar { source, .. } => source.hint().to_owned(),
            Self::Schema { source, .. } => source.hint().to_string(),
            Self::NeedsModel { .. } => "name the model: --model NAME".to_owned(),
            Self::DependsOnTokens { .. } => {
                "look at its first tokens with mneme grammar mask, without --prefix".to_owned()
            }
            Self::UnknownToken { .. } => "name one that it has; --trigger takes a text".to_owned(),
            Self::Matcher(error) => error.hint().to_owned(),
            Self::ModelOfAgent { .. } => {
                "name another one: --model NAME|FILE; in a chat, /model default then makes the agent forget this one"
                    .to_owned()
            }
            Self::NoSuchPath { .. } => "check the path".to_owned(),
            Self::NothingToLoad { .. } => {
                "name files, or folders with files in them; --recursive takes the folders in them as well".to_owned()
            }
            Self::NothingReadable => {
                "see above; what is read: text and source code, Markdown, HTML, PDF, docx, EPUB, CSV, JSON".to_owned()
            }
            Self::NothingToDelete { .. } => "mneme list sources shows what there is".to_owned(),
        }
    }

    /// The line that is wrong, with a mark, where the error has a place in a text.
    #[must_use]
    pub fn excerpt(&self) -> Option<&str> {
        match self {
            Self::Grammar { source, .. } => source.place().map(|place| place.excerpt.as_str()),
            Self::NeedsModel { place, .. } => Some(&place.excerpt),
            _ => None,
        }
    }

    /// The exit code that scripts see.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_)
            | Self::Name(_)
            | Self::UnknownText { .. }
            | Self::TextFile { .. }
            | Self::TextNotAFile { .. }
            | Self::TextTooLarge { .. }
            | Self::TextNotUtf8 { .. }
            | Self::NeedsModel { .. }
            | Self::DependsOnTokens { .. }
            | Self::UnknownToken { .. }
            | Self::Grammar { source: grammar::Error::Trigger { .. }, .. }
            | Self::NoSuchPath { .. }
            | Self::NothingToDelete { .. }
            | Self::Answer(_)
            | Self::Inference(inference::Error::NoDevice { .. } | inference::Error::NotForEngine { .. })
            | Self::NoScript => ExitCode::Usage,
            Self::NothingToLoad { .. }
            | Self::NoMemory { .. }
            | Self::Inference(inference::Error::CannotWrite { .. }) => ExitCode::Failed,
            Self::NothingReadable => ExitCode::Data,
            Self::Input(error) if error.is_usage() => ExitCode::Usage,
            Self::Input(_)
            | Self::Grammar { .. }
            | Self::Schema { .. }
            | Self::Matcher(_)
            | Self::ModelOfAgent { .. } => ExitCode::Data,
            Self::Stopped
            | Self::Models(models::Error::Cancelled { .. })
            | Self::BenchData { source: models::Error::Cancelled { .. } }
            | Self::Inference(inference::Error::LoadCancelled { .. }) => ExitCode::Interrupted,
            Self::NoEmbedder
            | Self::Embedder { .. }
            | Self::Models(_)
            | Self::BenchData { .. }
            | Self::NoModel
            | Self::Inference(_)
            | Self::CatalogueModel { .. }
            | Self::Dialect(_) => ExitCode::Data,
            Self::BfclBench(bench::bfcl::Error::Memory(error)) => memory_exit_code(error),
            Self::BfclBench(bench::bfcl::Error::Work { .. } | bench::bfcl::Error::Busy { .. }) => ExitCode::Failed,
            Self::BfclBench(_) => ExitCode::Data,
            Self::FunctionsBench(bench::functions::Error::Data(
                bench::bfcl::Error::Work { .. } | bench::bfcl::Error::Busy { .. },
            )) => ExitCode::Failed,
            Self::FunctionsBench(_) | Self::TurnBench(_) => ExitCode::Data,
            Self::AgentBench(error) if error.is_usage() => ExitCode::Usage,
            Self::RecallBench(bench::recall::Error::Unreadable { .. }) => ExitCode::Usage,
            Self::AgentBench(_) | Self::RecallBench(_) => ExitCode::Data,
            Self::Admin(error) => error.exit_code(),
            Self::Memory(error) => memory_exit_code(error),
            Self::Kernel(kernel::Error::Memory(error) | kernel::Error::Purge { source: error }) => {
                memory_exit_code(error)
            }
            Self::Kernel(kernel::Error::Inference(_) | kernel::Error::Dialect(_) | kernel::Error::Trace { .. }) => {
                ExitCode::Data
            }
            Self::Kernel(
                kernel::Error::Grammar(_) | kernel::Error::Load { .. } | kernel::Error::Instructions { .. },
            )
            | Self::Terminal(_)
            | Self::Output(_)
            | Self::Signals(_)
            | Self::OwnFile(_)
            | Self::Scratch(_) => ExitCode::Failed,
        }
    }

    /// The message with its causes, in one line.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut sentence = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let text = error.to_string();
            if !sentence.contains(&text) {
                sentence = format!("{sentence}: {text}");
            }
            cause = error.source();
        }
        sentence
    }
}

fn memory_exit_code(error: &memory::Error) -> ExitCode {
    match error {
        memory::Error::BlockTooLong { .. }
        | memory::Error::Name(_)
        | memory::Error::UnknownAgent { .. }
        | memory::Error::UnknownSource { .. }
        | memory::Error::SourceExists { .. }
        | memory::Error::AgentExists { .. }
        | memory::Error::FileExists { .. }
        | memory::Error::WindowTooSmall { .. }
        | memory::Error::UnknownPassage { .. }
        | memory::Error::BadLimits { .. } => ExitCode::Usage,
        memory::Error::AgentInUse { .. } | memory::Error::AgentsOpen | memory::Error::Backup { .. } => ExitCode::Failed,
        _ => ExitCode::Data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_grammar_of_the_user_stops_the_matcher_the_advice_is_about_it() {
        let stop = || types::ConstraintError { reason: "its parses came to 20001, the limit is 20000".to_owned() };
        let while_writing = || inference::Error::Constraint(stop());
        assert!(Error::Inference(while_writing()).hint().contains("fewer alternatives"));
        assert_eq!(Error::Inference(while_writing()).hint(), Error::Matcher(stop()).hint());
        // The grammar of an agent's step is not the user's.
        assert!(Error::Kernel(while_writing().into()).hint().contains("--debug"));
    }

    #[test]
    fn what_the_agent_loop_passes_on_keeps_its_exit_code() {
        let window = || memory::Error::WindowTooSmall { needed_tokens: 900, reserve_tokens: 256, window_tokens: 1024 };
        assert_eq!(Error::Memory(window()).exit_code(), ExitCode::Usage);
        assert_eq!(Error::Kernel(window().into()).exit_code(), ExitCode::Usage);
        let in_use = memory::Error::AgentInUse { name: "a".to_owned() };
        assert_eq!(Error::Kernel(in_use.into()).exit_code(), ExitCode::Failed);
        let no_engine = inference::Error::NoEngine { engine: "x".to_owned() };
        assert_eq!(Error::Kernel(no_engine.into()).exit_code(), ExitCode::Data);
        let no_template = dialect::Error::NoTemplate { model: "x".to_owned() };
        assert_eq!(Error::Kernel(no_template.into()).exit_code(), ExitCode::Data);
    }
}
