//! `mneme bench functions`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{EngineName, ProfileName, from_1, whole_number};
use crate::bench::functions::{Category, Constrained, MOST_TOGETHER};

/// Whether replies are held to the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConstrainedName {
    /// They are text, or calls that the functions' schemas allow
    On,
    /// The model writes freely
    Off,
    /// Each case is asked both ways behind one prompt
    Both,
}

impl ConstrainedName {
    /// The ways of asking, one after the other.
    #[must_use]
    pub const fn ways(self) -> &'static [Constrained] {
        match self {
            Self::On => &[Constrained::On],
            Self::Off => &[Constrained::Off],
            Self::Both => &[Constrained::On, Constrained::Off],
        }
    }
}

/// Flags of `mneme bench functions`.
#[derive(Debug, Args)]
pub struct FunctionsBenchArgs {
    /// Catalogue names or paths of GGUF files
    #[arg(long = "model", value_name = "NAME|FILE,..", value_delimiter = ',', required_unless_present = "compare")]
    pub models: Vec<String>,
    /// What runs the models
    #[arg(long, value_enum, default_value_t = EngineName::default())]
    pub engine: EngineName,
    /// The leaderboard's cases (mneme bench fetch bfcl), or a folder of files in the same format
    #[arg(long, value_name = "bfcl|FOLDER", default_value = "bfcl")]
    pub suite: String,
    /// Categories; all: those of which the suite has a file
    #[arg(
        long = "category",
        value_name = "NAME,..|all",
        value_delimiter = ',',
        default_value = "all",
        value_parser = category
    )]
    pub categories: Vec<CategoryArg>,
    /// Draw at most so many cases of each category
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        conflicts_with = "all",
        allow_negative_numbers = true,
        value_parser = from_1
    )]
    pub count: usize,
    /// Take all cases
    #[arg(long)]
    pub all: bool,
    /// What cases are drawn with; a larger count with the same seed draws the same and more
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = whole_number::<u64>)]
    pub seed: u64,
    /// Whether replies are held to the grammar
    #[arg(long, value_enum, default_value_t = ConstrainedName::Both)]
    pub constrained: ConstrainedName,
    /// How the models write calls
    #[arg(long, value_enum, default_value_t = ProfileName::Native)]
    pub profile: ProfileName,
    /// Window in tokens
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true, value_parser = whole_number::<usize>)]
    pub context_window: Option<usize>,
    /// Ask so many cases together, in passes over all of them
    #[arg(long, value_name = "K", default_value_t = 1, allow_negative_numbers = true, value_parser = lanes)]
    pub parallel: usize,
    /// With --parallel: tell where replies part from those of an earlier run with --parallel 1, and how near a tie that is
    #[arg(long, conflicts_with = "compare")]
    pub ties: bool,
    /// Forget what earlier runs of these models have left, and start over
    #[arg(long)]
    pub fresh: bool,
    /// Run no model: put earlier reports side by side
    #[arg(long, value_name = "report.json,..", value_delimiter = ',', conflicts_with_all = ["models", "report"])]
    pub compare: Vec<PathBuf>,
    /// Put these figures of mneme bench memory bfcl --json into the report as well
    #[arg(long, value_name = "FILE.json,..", value_delimiter = ',', conflicts_with = "compare")]
    pub memory: Vec<PathBuf>,
    /// Write the report to this folder: each category's replies as JSON lines, report.json, .csv, .md and .html
    #[arg(long, value_name = "FOLDER")]
    pub report: Option<PathBuf>,
}

/// A category, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CategoryArg {
    /// Those of which the suite has a file.
    All,
    /// One.
    One(Category),
}

/// Cases that can be asked together.
fn lanes(text: &str) -> Result<usize, String> {
    let number = text.parse::<usize>().ok().filter(|number| (1..=MOST_TOGETHER).contains(number));
    number.ok_or_else(|| format!("a whole number from 1 to {MOST_TOGETHER} is expected"))
}

fn category(text: &str) -> Result<CategoryArg, String> {
    if text == "all" {
        return Ok(CategoryArg::All);
    }
    let found = Category::ALL.into_iter().find(|category| category.as_str() == text);
    found.map(CategoryArg::One).ok_or_else(|| {
        let names: Vec<&str> = Category::ALL.iter().map(|category| category.as_str()).collect();
        format!("all, or some of {}", names.join(", "))
    })
}
