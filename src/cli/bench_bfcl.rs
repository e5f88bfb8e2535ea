//! `mneme bench fetch ..` and `mneme bench memory bfcl`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{EngineName, ProfileName, from_1};
use crate::bench::bfcl::{ScenarioName, Variant};
use crate::config::Idle;

/// The data sets that can be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DataSetName {
    /// The Berkeley Function Calling Leaderboard, version 4 (the wheel bfcl-eval, Apache-2.0, 2 MB)
    Bfcl,
}

/// Which of the agent's policies hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PolicyName {
    /// As the configuration stands
    Default,
    /// Nothing is looked up for the model before it writes: it has to call the searches itself
    SelfDirected,
}

impl PolicyName {
    /// As the command line spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::SelfDirected => "self-directed",
        }
    }
}

/// Whether questions come with the official instruction on the form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InstructionName {
    /// In the agent's system instructions, where the official pipeline has it
    With,
    /// Not at all
    Without,
    /// In the user's message, behind the question
    Message,
    /// Once without and once with
    Both,
}

impl InstructionName {
    /// The ways of asking, one after the other.
    #[must_use]
    pub const fn variants(self) -> &'static [Variant] {
        match self {
            Self::With => &[Variant::With],
            Self::Without => &[Variant::Without],
            Self::Message => &[Variant::Message],
            Self::Both => &[Variant::Without, Variant::With],
        }
    }
}

/// One or more scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScenarioArg {
    /// A customer of a shop
    Customer,
    /// A banker with an assistant
    Finance,
    /// A patient
    Healthcare,
    /// Notes of a week
    Notetaker,
    /// A student at a university
    Student,
    /// All five
    All,
}

/// Flags of `mneme bench memory bfcl`.
#[derive(Debug, Args)]
pub struct BfclArgs {
    /// Catalogue name or path of a GGUF file [default: the best that is installed]
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// What runs the model
    #[arg(long, value_enum, default_value_t = EngineName::default())]
    pub engine: EngineName,
    /// Whose sessions are told; finance, healthcare and notetaker are kept apart: not to be looked at while an agent is tuned
    #[arg(
        long = "scenario",
        value_enum,
        value_name = "NAME,..|all",
        value_delimiter = ',',
        default_value = "customer,student"
    )]
    pub scenarios: Vec<ScenarioArg>,
    /// Ask the first of every N questions, counted over all five scenarios
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = from_1)]
    pub every: usize,
    /// Ask at most so many questions, each in every way that --instruction names; a later run goes on behind them
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = from_1)]
    pub questions: Option<usize>,
    /// Which of the agent's policies hold
    #[arg(long, value_enum, default_value_t = PolicyName::Default)]
    pub policy: PolicyName,
    /// Whether questions come with the official instruction on the form of an answer
    #[arg(long, value_enum, default_value_t = InstructionName::Both)]
    pub instruction: InstructionName,
    /// Run no model: only tell in how many questions the answer is found at all
    #[arg(long)]
    pub retrieval_only: bool,
    /// How the model writes calls
    #[arg(long, value_enum)]
    pub profile: Option<ProfileName>,
    /// Window in tokens
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true, value_parser = super::whole_number::<usize>)]
    pub context_window: Option<usize>,
    /// Whether each turn of a session waits for idle work; otherwise it is done at the end of the session
    #[arg(long, value_enum, default_value_t = Idle::Wait)]
    pub idle: Idle,
    /// Forget what earlier runs with these settings have left, and start over
    #[arg(long)]
    pub fresh: bool,
    /// Write the figures to this file as well
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write each question with its reply and verdict to this file, one a line
    #[arg(long, value_name = "FILE.jsonl")]
    pub report: Option<PathBuf>,
}

impl BfclArgs {
    /// The chosen scenarios, each once, in the order of the data.
    #[must_use]
    pub fn chosen(&self) -> Vec<ScenarioName> {
        let names = |argument: &ScenarioArg| match argument {
            ScenarioArg::Customer => vec![ScenarioName::Customer],
            ScenarioArg::Finance => vec![ScenarioName::Finance],
            ScenarioArg::Healthcare => vec![ScenarioName::Healthcare],
            ScenarioArg::Notetaker => vec![ScenarioName::Notetaker],
            ScenarioArg::Student => vec![ScenarioName::Student],
            ScenarioArg::All => ScenarioName::ALL.to_vec(),
        };
        let named: Vec<ScenarioName> = self.scenarios.iter().flat_map(names).collect();
        ScenarioName::ALL.into_iter().filter(|name| named.contains(name)).collect()
    }
}
