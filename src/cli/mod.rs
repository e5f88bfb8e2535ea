//! What was typed. Not responsible for doing any of it: `app` does.

mod admin;
mod bench_agent;
mod bench_bfcl;
mod bench_engine;
mod bench_functions;
mod bench_memory;
mod bench_turn;
mod exit_code;
mod grammar;
mod sources;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{Idle, Overrides};
use crate::dialect::Profile;
use crate::types::Device;

pub use admin::{
    AddCommand, AdminCommand, BlockName, ConfigCommand, ExportArgs, ExportFormat, HistoryArgs, ImportArgs, Item,
    SourceArgs, TextArgs, Thing,
};
pub use bench_agent::AgentBenchArgs;
pub use bench_bfcl::{BfclArgs, DataSetName, InstructionName, PolicyName};
pub use bench_engine::{EngineBenchArgs, EngineChoice};
pub use bench_functions::{CategoryArg, ConstrainedName, FunctionsBenchArgs};
pub use bench_memory::{ArchivalBenchArgs, BenchMemoryCommand, EmbedBenchArgs, NestedKvArgs, RecallBenchArgs};
pub use bench_turn::TurnBenchArgs;
pub use exit_code::ExitCode;
pub use grammar::{
    CompleteArgs, GrammarArgs, GrammarCommand, JsonFormArgs, ModelArgs, TriggerArgs, WhitespaceName, WritingArgs,
};
pub use sources::{AttachArgs, LoadArgs, ReachArgs};

/// A memory agent that runs entirely on this machine.
#[derive(Debug, Parser)]
#[command(name = "mneme", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Chat with an agent; it is created when it does not exist
    Run(RunArgs),
    /// List, fetch, check and delete models
    #[command(subcommand)]
    Models(ModelsCommand),
    /// Check, try and make grammars
    #[command(subcommand)]
    Grammar(GrammarCommand),
    /// Let a model write on from a prompt, held to a grammar or a JSON Schema
    Complete(CompleteArgs),
    /// What looks after a home: lists, settings, transfer, backup
    #[command(flatten)]
    Admin(AdminCommand),
    /// Measure
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Make a source of files, or bring it up to date
    Load(LoadArgs),
    /// Let an agent search a source
    Attach(AttachArgs),
    /// Take a source out of the reach of an agent
    Detach(AttachArgs),
    /// Read documents from standard input, for another process of this program
    #[command(hide = true)]
    ReadDocuments,
}

impl Command {
    /// Whether a model may run on llama.cpp.
    #[must_use]
    pub const fn runs_llama_cpp(&self) -> bool {
        match self {
            Self::Run(arguments) => matches!(arguments.engine, EngineName::LlamaCpp),
            Self::Complete(_) | Self::Bench(_) | Self::Grammar(GrammarCommand::Sample { .. }) => true,
            Self::Models(_)
            | Self::Grammar(_)
            | Self::Admin(_)
            | Self::Load(_)
            | Self::Attach(_)
            | Self::Detach(_)
            | Self::ReadDocuments => false,
        }
    }
}

/// Flags of `mneme run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Name of the agent to resume or create [default: the one used last, or "mneme"]
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Who the agent is: a name from personas/ or your own folder, or a path (new agents only)
    #[arg(long, value_name = "NAME|FILE")]
    pub persona: Option<String>,
    /// Who you are: a name from personas/humans/ or your own folder, or a path (new agents only)
    #[arg(long, value_name = "NAME|FILE")]
    pub human: Option<String>,
    /// Catalogue name, path of a GGUF file, or with --engine candle a folder of safetensors
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// What runs the model
    #[arg(long, value_enum, default_value_t = EngineName::default())]
    pub engine: EngineName,
    /// Window in tokens
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true, value_parser = whole_number::<usize>)]
    pub context_window: Option<usize>,
    /// How the model writes calls: its own format, or the paper's JSON with inner thoughts; the agent keeps it
    #[arg(long, value_enum)]
    pub profile: Option<ProfileName>,
    /// Seed of the sampler
    #[arg(long, allow_negative_numbers = true, value_parser = whole_number::<u64>)]
    pub seed: Option<u64>,
    /// Sampling temperature; 0 always takes the most probable token
    #[arg(long, allow_negative_numbers = true)]
    pub temperature: Option<f32>,
    /// Where the model runs: auto (a GPU where there is one), cpu, cuda, cuda:N or metal
    #[arg(long)]
    pub device: Option<Device>,
    /// Whether a turn waits for the work of idle time
    #[arg(long, value_enum, default_value_t = Idle::Now)]
    pub idle: Idle,
    /// Minutes without a turn after which the agent has a heartbeat of its own; 0: never [default: 0]
    #[arg(long, value_name = "MINUTES", allow_negative_numbers = true, value_parser = whole_number::<u32>)]
    pub heartbeat_minutes: Option<u32>,
    /// You speak first: the agent does not greet
    #[arg(long)]
    pub first: bool,
    /// Ask nothing, take the defaults
    #[arg(long, short)]
    pub yes: bool,
    /// Log to the home's logs folder, prompts included, and show costs
    #[arg(long)]
    pub debug: bool,
    /// JSON lines on standard input and output, for scripts
    #[arg(long)]
    pub jsonl: bool,
}

/// What runs the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// llama.cpp, in this process
    LlamaCpp,
    /// candle, in this process: all of it Rust
    Candle,
    /// Prepared replies from a JSON file given by --model, for tests
    Scripted,
}

impl Default for EngineName {
    /// llama.cpp where this build has it.
    fn default() -> Self {
        if cfg!(feature = "llama-cpp") { Self::LlamaCpp } else { Self::Candle }
    }
}

impl EngineName {
    /// Whether it runs a model, rather than replaying a script.
    #[must_use]
    pub const fn runs_model(self) -> bool {
        !matches!(self, Self::Scripted)
    }

    /// As reports name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LlamaCpp => "llama.cpp",
            Self::Candle => "candle",
            Self::Scripted => "scripted",
        }
    }
}

/// What a model can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModelForm {
    /// A folder as published on the Hugging Face hub
    Safetensors,
}

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NumberForm {
    /// 16 bits, ten of them for the fraction
    F16,
    /// 16 bits with the range of 32
    Bf16,
    /// 32 bits
    F32,
}

/// See [`Profile`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProfileName {
    /// The model's own call format; plain text is an answer
    Native,
    /// The paper's format: every action is a JSON call with inner thoughts
    Classic,
}

impl From<ProfileName> for Profile {
    fn from(name: ProfileName) -> Self {
        match name {
            ProfileName::Native => Self::Native,
            ProfileName::Classic => Self::Classic,
        }
    }
}

/// `mneme models ..`
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List the catalogue and what is installed
    List,
    /// Fetch a model, or go on with a fetch that was interrupted
    Pull {
        /// Catalogue name, or OWNER/NAME of a repository of safetensors on the hub
        #[arg(required_unless_present = "default")]
        name: Option<String>,
        /// The best model for this machine, where none was chosen and installed, and the embedder
        #[arg(long, conflicts_with = "name")]
        default: bool,
    },
    /// Show what a model is
    Info {
        /// Catalogue name or path of a GGUF file
        name: String,
    },
    /// Check sizes and hashes of installed models
    Verify {
        /// Catalogue name [default: all that are installed]
        name: Option<String>,
    },
    /// Write a GGUF model as a folder of safetensors, which the candle engine and other programs read
    Convert {
        /// Catalogue name or path of a GGUF file
        name: String,
        /// The form to write
        #[arg(long, value_enum, default_value_t = ModelForm::Safetensors)]
        to: ModelForm,
        /// How numbers are written
        #[arg(long, value_enum, default_value_t = NumberForm::F16)]
        numbers: NumberForm,
        /// The folder, which must not exist yet
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
    /// Delete an installed model
    Rm {
        /// Catalogue name
        name: String,
    },
}

/// `mneme bench ..`
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Reading and decoding rates beside those of the bare llama.cpp library
    Engine(EngineBenchArgs),
    /// How well models call functions, with and without a grammar
    Functions(FunctionsBenchArgs),
    /// Masks and checks of the grammar engine, beside other engines where this build has them
    Grammar(GrammarBenchArgs),
    /// What turns of a conversation cost, beside what the hardware needs for the tokens that are new
    Turn(TurnBenchArgs),
    /// Memory: how fast it is and what it finds
    #[command(subcommand)]
    Memory(BenchMemoryCommand),
    /// Fetch the data of a benchmark
    Fetch {
        /// Which
        #[arg(value_enum)]
        name: DataSetName,
    },
}

/// Flags of `mneme bench grammar`.
#[derive(Debug, Args)]
pub struct GrammarBenchArgs {
    /// Catalogue name or path of a GGUF file; only its vocabulary is read
    #[arg(long)]
    pub model: String,
    /// Measure this case only; may be given more than once
    #[arg(long = "case", value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(crate::bench::grammar::CASES))]
    pub cases: Vec<String>,
    /// Measure this engine only; may be given more than once
    #[arg(long = "engine", value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(crate::bench::grammar::ENGINES))]
    pub engines: Vec<String>,
    /// Write the figures to this file as well
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Measure one case with one engine here and print the row as JSON
    #[arg(long, hide = true)]
    pub in_process: bool,
}

/// A number that counts something, read so that one below 0 is told what it should be.
///
/// # Errors
/// What is expected.
fn whole_number<N: TryFrom<u64>>(text: &str) -> Result<N, String> {
    let number = text.parse::<u64>().ok().and_then(|number| N::try_from(number).ok());
    number.ok_or_else(|| "a whole number from 0 is expected".to_owned())
}

/// A number of things of which there is at least one.
///
/// # Errors
/// What is expected.
fn from_1(text: &str) -> Result<usize, String> {
    let number = text.parse::<usize>().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "a whole number from 1 is expected".to_owned())
}

impl RunArgs {
    /// The flags that lie over the configuration file.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        Overrides {
            model: self.model.clone(),
            persona: self.persona.clone(),
            human: self.human.clone(),
            profile: self.profile.map(Into::into),
            context_window: self.context_window,
            temperature: self.temperature,
            seed: self.seed,
            device: self.device,
            idle: Some(self.idle),
            heartbeat_minutes: self.heartbeat_minutes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn counts_begin_with_one() {
        assert_eq!(from_1("3"), Ok(3));
        for wrong in ["0", "-1", "x", ""] {
            assert!(from_1(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_option_that_takes_a_number_takes_one_below_0_as_its_value() {
        use std::any::TypeId;
        fn numbers(command: &clap::Command, seen: &mut Vec<String>) {
            for argument in command.get_arguments() {
                let kind = argument.get_value_parser().type_id();
                let types = [TypeId::of::<usize>(), TypeId::of::<u64>(), TypeId::of::<u32>(), TypeId::of::<f32>()];
                if argument.get_action().takes_values() && types.iter().any(|number| kind == *number) {
                    let name = format!("{} --{}", command.get_name(), argument.get_id());
                    assert!(argument.is_allow_negative_numbers_set(), "{name}");
                    seen.push(name);
                }
            }
            command.get_subcommands().for_each(|command| numbers(command, seen));
        }
        let mut seen = Vec::new();
        numbers(&Cli::command(), &mut seen);
        assert!(seen.len() >= 10, "{seen:?}");
    }

    #[test]
    fn a_pull_needs_a_name_or_default() {
        assert!(Cli::try_parse_from(["mneme", "models", "pull"]).is_err());
        assert!(Cli::try_parse_from(["mneme", "models", "pull", "--default"]).is_ok());
        assert!(Cli::try_parse_from(["mneme", "models", "pull", "x"]).is_ok());
        assert!(Cli::try_parse_from(["mneme", "models", "pull", "x", "--default"]).is_err());
    }
}
