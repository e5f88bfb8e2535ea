//! `mneme bench engine`

use std::path::PathBuf;

use clap::Args;

use super::whole_number;

/// Flags of `mneme bench engine`.
#[derive(Debug, Args)]
pub struct EngineBenchArgs {
    /// Catalogue name or path of a GGUF file
    #[arg(long)]
    pub model: String,
    /// Tokens to read
    #[arg(long, default_value_t = 512, allow_negative_numbers = true, value_parser = whole_number::<usize>)]
    pub read: usize,
    /// Tokens to decode
    #[arg(long, default_value_t = 64, allow_negative_numbers = true, value_parser = whole_number::<usize>)]
    pub decode: usize,
    /// Times that each side is measured, in turn
    #[arg(long, default_value_t = 3, allow_negative_numbers = true, value_parser = whole_number::<usize>)]
    pub rounds: usize,
    /// Measure each setting of the engine changed as well, and what passes of few tokens cost
    #[arg(long)]
    pub settings: bool,
    /// Write the figures to this file as well
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
