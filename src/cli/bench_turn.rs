//! `mneme bench turn`

use std::path::PathBuf;

use clap::Args;

use super::{EngineName, ProfileName, from_1};

/// Flags of `mneme bench turn`.
#[derive(Debug, Args)]
pub struct TurnBenchArgs {
    /// Catalogue name or path of a GGUF file [default: the best that is installed]
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// What runs the model
    #[arg(long, value_enum, default_value_t = EngineName::default())]
    pub engine: EngineName,
    /// Another conversation, written like benches/data/turn.json
    #[arg(long, value_name = "FILE")]
    pub conversation: Option<PathBuf>,
    /// Times that the conversation is held, and repeated by the library alone, in turn
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = from_1)]
    pub rounds: usize,
    /// How the model writes calls
    #[arg(long, value_enum)]
    pub profile: Option<ProfileName>,
    /// Write the figures to this file as well
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page with a chart to this file
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
}
