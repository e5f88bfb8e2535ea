//! `mneme bench memory ..`

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What of the memory is measured.
#[derive(Debug, Subcommand)]
pub enum BenchMemoryCommand {
    /// What searches of the conversation find, on conversations with marked evidence
    Recall(RecallBenchArgs),
}

/// Flags of `mneme bench memory recall`.
#[derive(Debug, Args)]
pub struct RecallBenchArgs {
    /// Messages and queries as JSON; may be given more than once
    ///
    /// {"messages": [{"id", "role", "name", "text", "time"}], "queries": [{"text", "evidence": [ids]}]}
    #[arg(long = "file", value_name = "FILE", required = true, num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// Write the figures to this file as well
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
