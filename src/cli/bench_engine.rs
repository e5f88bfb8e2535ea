//! `mneme bench engine`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::whole_number;
use crate::types::Device;

/// Engines to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// The one on llama.cpp
    LlamaCpp,
    /// The one on candle
    Candle,
    /// Both, one beside the other
    Both,
}

/// Flags of `mneme bench engine`.
#[derive(Debug, Args)]
pub struct EngineBenchArgs {
    /// Catalogue name or path of a GGUF file
    #[arg(long)]
    pub model: String,
    /// Which engine to measure beside the bare library; the engine of a chat where none is named
    #[arg(long, value_enum)]
    pub engine: Option<EngineChoice>,
    /// Where the model runs: auto (a GPU where there is one), cpu, cuda, cuda:N or metal
    #[arg(long)]
    pub device: Option<Device>,
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
    /// Instead of rates, compare what both engines find probable behind each token of this text
    #[arg(long, value_name = "FILE")]
    pub agreement: Option<PathBuf>,
    /// Most tokens of that text
    #[arg(long, default_value_t = 2000, allow_negative_numbers = true, value_parser = whole_number::<usize>)]
    pub positions: usize,
    /// Write the figures to this file as well
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
