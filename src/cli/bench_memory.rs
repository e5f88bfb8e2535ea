//! `mneme bench memory ..`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{EngineName, ProfileName};

/// What of the memory is measured.
#[derive(Debug, Subcommand)]
pub enum BenchMemoryCommand {
    /// Looking up values that are keys themselves among 140 pairs in archival memory, as in the MemGPT paper
    NestedKv(NestedKvArgs),
}

/// Flags of `mneme bench memory nested-kv`.
#[derive(Debug, Args)]
pub struct NestedKvArgs {
    /// Catalogue name or path of a GGUF file [default: the best that is installed]
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// What runs the model; `scripted` needs none and follows the protocol without fault, which checks the bench itself
    #[arg(long, value_enum, default_value_t = EngineName::LlamaCpp)]
    pub engine: EngineName,
    /// How the model writes calls
    #[arg(long, value_enum)]
    pub profile: Option<ProfileName>,
    /// How many values are keys before the last one, each measured by itself (at most 6)
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "0,1,2,3,4", value_parser = clap::value_parser!(u8).range(0..=6))]
    pub levels: Vec<u8>,
    /// Orderings of the pairs, one question of each level in each
    #[arg(long, default_value_t = 5, allow_negative_numbers = true, value_parser = super::whole_number::<usize>)]
    pub orderings: usize,
    /// Seed of keys, values and orderings
    #[arg(long, default_value_t = 1, allow_negative_numbers = true, value_parser = super::whole_number::<u64>)]
    pub seed: u64,
    /// Window in tokens
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true, value_parser = super::whole_number::<usize>)]
    pub context_window: Option<usize>,
    /// Write the figures to this file as well
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
