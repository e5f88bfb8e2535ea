//! `mneme bench memory ..`

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What of the memory is measured.
#[derive(Debug, Subcommand)]
pub enum BenchMemoryCommand {
    /// The embedder: texts and tokens a second, and how long a query takes
    Embed(EmbedBenchArgs),
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
