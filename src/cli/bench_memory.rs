//! `mneme bench memory ..`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{EngineName, ProfileName};

/// What of the memory is measured.
#[derive(Debug, Subcommand)]
pub enum BenchMemoryCommand {
    /// Looking up values that are keys themselves among 140 pairs in archival memory, as in the MemGPT paper
    NestedKv(NestedKvArgs),
    /// Archival search over made-up passages: the vector index by itself, then words and vectors together
    Archival(ArchivalBenchArgs),
    /// What searches of the conversation find, on conversations with marked evidence
    Recall(RecallBenchArgs),
    /// The embedder: texts and tokens a second, and how long a query takes
    Embed(EmbedBenchArgs),
    /// Whole conversations with an agent, checked by what it says and what it remembers
    Agent(super::AgentBenchArgs),
    /// The memory questions of the Berkeley Function Calling Leaderboard; fetch them first: mneme bench fetch bfcl
    Bfcl(super::BfclArgs),
}

/// Flags of `mneme bench memory embed`.
#[derive(Debug, Args)]
pub struct EmbedBenchArgs {
    /// Lengths of the texts in tokens, each measured by itself
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "20,60,200", allow_negative_numbers = true, value_parser = super::whole_number::<usize>)]
    pub lengths: Vec<usize>,
    /// Tokens that are embedded for each length
    #[arg(long, default_value_t = 20_000, allow_negative_numbers = true, value_parser = super::whole_number::<usize>)]
    pub tokens: usize,
    /// Queries that are embedded one by one
    #[arg(long, default_value_t = 100, allow_negative_numbers = true, value_parser = super::whole_number::<usize>)]
    pub queries: usize,
    /// Write the figures to this file as well
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Flags of `mneme bench memory recall`.
#[derive(Debug, Args)]
pub struct RecallBenchArgs {
    /// Messages and queries as JSON; may be given more than once
    ///
    /// `{"messages": [{"id", "role", "name", "text", "time"}], "queries": [{"text", "evidence": [ids]}]}`
    #[arg(long = "file", value_name = "FILE", required = true, num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// Write the figures to this file as well
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Flags of `mneme bench memory nested-kv`.
#[derive(Debug, Args)]
pub struct NestedKvArgs {
    /// Catalogue name or path of a GGUF file [default: the best that is installed]
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// What runs the model; `scripted` needs none and follows the protocol without fault, which checks the bench itself
    #[arg(long, value_enum, default_value_t = EngineName::default())]
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

/// Flags of `mneme bench memory archival`.
#[derive(Debug, Args)]
pub struct ArchivalBenchArgs {
    /// Numbers of passages, each measured by itself; k stands for thousands, m for millions
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "1k,10k,100k,1m", allow_negative_numbers = true, value_parser = size)]
    pub sizes: Vec<u32>,
    /// Queries of each size
    #[arg(long, default_value_t = 50, allow_negative_numbers = true, value_parser = super::whole_number::<usize>)]
    pub queries: usize,
    /// Numbers in a vector
    #[arg(long, default_value_t = 384, allow_negative_numbers = true, value_parser = super::whole_number::<usize>)]
    pub dimensions: usize,
    /// Seed of passages, vectors and queries
    #[arg(long, default_value_t = 1, allow_negative_numbers = true, value_parser = super::whole_number::<u64>)]
    pub seed: u64,
    /// Where the databases are made, one after the other, and deleted again [default: the system's temporary folder]
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Write the figures to this file as well
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// A number of passages such as `500`, `10k` or `1m`.
///
/// # Errors
/// What is expected.
fn size(text: &str) -> Result<u32, String> {
    let lower = text.trim().to_lowercase();
    let (digits, unit) = match lower.as_bytes().last() {
        Some(b'k') => (lower.trim_end_matches('k'), 1_000),
        Some(b'm') => (lower.trim_end_matches('m'), 1_000_000),
        _ => (lower.as_str(), 1),
    };
    let number = digits.parse::<u32>().ok().and_then(|number| number.checked_mul(unit)).filter(|number| *number > 0);
    number.ok_or_else(|| "a number from 1 is expected, such as 500, 10k or 1m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_numbers_with_or_without_a_unit() {
        assert_eq!(["500", "10k", "1M"].map(size), [Ok(500), Ok(10_000), Ok(1_000_000)]);
        for wrong in ["", "k", "0", "-1", "1.5k", "9000m"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
