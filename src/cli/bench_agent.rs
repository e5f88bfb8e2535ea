//! `mneme bench memory agent`

use std::path::PathBuf;

use clap::Args;

use super::{EngineName, ProfileName, from_1};
use crate::bench::agent::Halves;
use crate::config::Idle;

/// Flags of `mneme bench memory agent`.
#[derive(Debug, Args)]
pub struct AgentBenchArgs {
    /// Conversations to run instead of those of a folder
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Folder of conversations
    #[arg(long, value_name = "FOLDER", default_value = "benches/conversations", conflicts_with = "files")]
    pub dir: PathBuf,
    /// Which of them, by their file names; also where files are named
    #[arg(long, value_enum, default_value_t = Halves::Tuned)]
    pub half: Halves,
    /// Only those with this in their file name; may be given more than once
    #[arg(long, value_name = "SUBSTRING")]
    pub only: Vec<String>,
    /// Only so many of them, drawn by the seed
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = from_1)]
    pub sample: Option<usize>,
    /// Seed of the sample, of the first run's sampler and of the intervals
    #[arg(long, default_value_t = 1, allow_negative_numbers = true, value_parser = super::whole_number::<u64>)]
    pub seed: u64,
    /// Runs of each conversation, each with the next seed; needs a temperature above 0
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = from_1)]
    pub seeds: usize,
    /// Catalogue name or path of a GGUF file [default: the best that is installed]
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// What runs the model
    #[arg(long, value_enum, default_value_t = EngineName::default())]
    pub engine: EngineName,
    /// Whether a turn waits for the work of idle time, as where the user types slowly; else it is done when a session ends
    #[arg(long, value_enum, default_value_t = Idle::Wait)]
    pub idle: Idle,
    /// Sampling temperature; 0 always takes the most probable token
    #[arg(long, allow_negative_numbers = true)]
    pub temperature: Option<f32>,
    /// How the model writes calls
    #[arg(long, value_enum)]
    pub profile: Option<ProfileName>,
    /// Window in tokens; in a small one messages are evicted
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true, value_parser = super::whole_number::<usize>)]
    pub context_window: Option<usize>,
    /// Write the figures to this file as well, each failed check among them
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write each turn as a JSON line to this file, or to a file for each conversation where it is a folder
    #[arg(long, value_name = "FOLDER|FILE")]
    pub transcripts: Option<PathBuf>,
}
