//! Reading and decoding rates of our engines beside those of the bare llama.cpp library, and with each setting changed, in
//! turn, in one process.
//!
//! Ratios of rounds that were measured side by side are what counts on a shared machine; the medians are told with
//! them.

use std::path::Path;

use serde::Serialize;

use super::machine::{Machine, median, memory_bytes};
#[cfg(feature = "llama-cpp")]
use crate::inference::bare_rates;
use crate::inference::{Engine, Error, LoadOptions, PassCost, Rates, Sequence, Tuning, our_rates, pass_costs};
use crate::types::Device;

/// Sizes of the passes whose cost is measured.
const PASS_TOKENS: [usize; 9] = [1, 2, 3, 4, 6, 8, 12, 16, 32];
/// Times that each is run; the least counts.
const PASS_ROUNDS: usize = 5;

/// What runs the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runner {
    /// Our engine on llama.cpp.
    LlamaCpp,
    /// Our engine on candle.
    Candle,
    /// The llama.cpp library alone.
    BareLlamaCpp,
}

impl Runner {
    /// Name in reports.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::LlamaCpp => "llama-cpp",
            Self::Candle => "candle",
            Self::BareLlamaCpp => "llama.cpp",
        }
    }

    pub(super) fn load(self, path: &Path, options: &LoadOptions) -> Result<Box<dyn Engine>, Error> {
        match self {
            #[cfg(feature = "llama-cpp")]
            Self::LlamaCpp => Ok(Box::new(crate::inference::LlamaCppEngine::load(path, options, &mut |_| true)?)),
            #[cfg(feature = "candle")]
            Self::Candle => Ok(Box::new(crate::inference::CandleEngine::load(path, options, &mut |_| true)?)),
            other => {
                let _ = (path, options);
                Err(Error::NoEngine { engine: other.name().to_owned() })
            }
        }
    }

    fn rates(self, options: &Options<'_>, with: &LoadOptions, at_end: &mut dyn FnMut()) -> Result<Rates, Error> {
        let Options { path, read_tokens, decode_tokens, .. } = *options;
        #[cfg(feature = "llama-cpp")]
        if self == Self::BareLlamaCpp {
            return bare_rates(path, with, read_tokens, decode_tokens, at_end);
        }
        let mut load = |window| self.load(path, &LoadOptions { context_window: Some(window), ..with.clone() });
        our_rates(&mut load, read_tokens, decode_tokens, at_end)
    }
}

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Our engines: ratios are told to the first.
    pub engines: &'a [Runner],
    /// Name of the model.
    pub model: &'a str,
    /// Its file.
    pub path: &'a Path,
    /// Tokens read in a round.
    pub read_tokens: usize,
    /// Tokens decoded in a round.
    pub decode_tokens: usize,
    /// Times that each row is measured, in turn.
    pub rounds: usize,
    /// Whether each setting is changed as well, and the cost of passes is measured.
    pub settings: bool,
    /// Where the model runs.
    pub device: Device,
}

/// One way of running the model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Name of the model.
    pub model: String,
    /// `llama-cpp` or `candle`, or `llama.cpp` for the library alone.
    pub engine: &'static str,
    /// `cpu` or `gpu`.
    pub device: &'static str,
    /// What is not as the engine chooses it; empty where all is.
    pub setting: &'static str,
    /// Threads while decoding.
    pub threads: usize,
    /// Reading a prompt; the median of the rounds.
    pub read_tokens_per_s: f64,
    /// Decoding, one token a pass; the median of the rounds.
    pub decode_tokens_per_s: f64,
    /// The median over the rounds of the reading rate against that of the first row.
    pub read_ratio: f64,
    /// The same for decoding.
    pub decode_ratio: f64,
    /// Time for loading; the median of the rounds.
    pub load_ms: f64,
    /// Memory of the process at the end of a round beyond what it had before loading; the most of the rounds. 0 where
    /// the system does not tell.
    pub peak_rss_bytes: u64,
    /// Why it could not be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// `engine`.
    pub bench: &'static str,
    /// Where.
    pub machine: Machine,
    /// Tokens read in a round.
    pub read_tokens: usize,
    /// Tokens decoded in a round.
    pub decode_tokens: usize,
    /// Times that each row was measured.
    pub rounds: usize,
    /// Our engine first, then the library alone, then what is not as the engine chooses it.
    pub rows: Vec<Row>,
    /// What passes of few tokens take in each of our engines.
    pub passes: Vec<Passes>,
}

/// What passes of few tokens take in an engine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Passes {
    /// Name of the engine.
    pub engine: &'static str,
    /// By size.
    pub costs: Vec<PassCost>,
}

/// A figure of what was measured.
type Figure = fn(&Rates) -> f64;

/// One way of running the model, with what was measured of it so far.
struct Way {
    setting: &'static str,
    runner: Runner,
    options: LoadOptions,
    rates: Vec<Rates>,
    memory_bytes: u64,
    error: Option<String>,
}

impl Way {
    fn new(setting: &'static str, runner: Runner, options: LoadOptions) -> Self {
        Self { setting, runner, options, rates: Vec::new(), memory_bytes: 0, error: None }
    }

    fn tuned(setting: &'static str, tuning: Tuning) -> Self {
        Self::new(setting, Runner::LlamaCpp, LoadOptions { tuning, ..LoadOptions::default() })
    }

    fn measure(&mut self, options: &Options<'_>) {
        let before = memory_bytes();
        let mut memory = 0;
        let mut at_end = || memory = memory_bytes();
        match self.runner.rates(options, &self.options, &mut at_end) {
            Ok(rates) => self.rates.push(rates),
            Err(error) => self.error = Some(error.to_string()),
        }
        self.memory_bytes = self.memory_bytes.max(memory.saturating_sub(before));
    }

    fn row(&self, model: &str, first: &[Rates]) -> Row {
        let of = |rates: &[Rates], figure: Figure| rates.iter().map(figure).collect::<Vec<_>>();
        let ratio = |figure: Figure| {
            let pairs = self.rates.iter().zip(first);
            median(&pairs.map(|(own, first)| figure(own) / figure(first).max(f64::MIN_POSITIVE)).collect::<Vec<_>>())
        };
        let read: Figure = |rates| rates.read_tokens_per_s;
        let decode: Figure = |rates| rates.decode_tokens_per_s;
        let on_gpu =
            self.options.device != Device::Cpu && cfg!(any(feature = "cuda", feature = "metal", feature = "vulkan"));
        #[allow(clippy::cast_precision_loss)]
        let load: Figure = |rates| rates.load_ms as f64;
        Row {
            model: model.to_owned(),
            engine: self.runner.name(),
            device: if on_gpu { "gpu" } else { "cpu" },
            setting: self.setting,
            threads: self.options.threads(),
            read_tokens_per_s: median(&of(&self.rates, read)),
            decode_tokens_per_s: median(&of(&self.rates, decode)),
            read_ratio: ratio(read),
            decode_ratio: ratio(decode),
            load_ms: median(&of(&self.rates, load)),
            peak_rss_bytes: self.memory_bytes,
            error: self.error.clone(),
        }
    }
}

/// The ways to measure: our engines, the library alone, and each setting of llama.cpp changed.
fn ways(engines: &[Runner], settings: bool) -> Vec<Way> {
    let chosen = Tuning::default();
    let mut ways: Vec<Way> = engines.iter().map(|runner| Way::new("", *runner, LoadOptions::default())).collect();
    if cfg!(feature = "llama-cpp") {
        ways.push(Way::new("", Runner::BareLlamaCpp, LoadOptions::default()));
    }
    if !settings || !engines.contains(&Runner::LlamaCpp) {
        return ways;
    }
    let threads = LoadOptions::default().threads();
    if threads > 1 {
        ways.push(Way::tuned("1 thread", Tuning { threads: Some(1), ..chosen }));
    }
    let logical = std::thread::available_parallelism().map_or(1, usize::from);
    if logical > threads {
        ways.push(Way::tuned("a thread for each logical core", Tuning { threads: Some(logical), ..chosen }));
        let reading = Tuning { read_threads: Some(logical), ..chosen };
        ways.push(Way::tuned("the same for reading only", reading));
    }
    let flash = |on| Tuning { flash_attention: Some(on), ..chosen };
    ways.push(Way::tuned("flash attention on", flash(true)));
    ways.push(Way::tuned("flash attention off", flash(false)));
    ways.push(Way::new(
        "keys and values at 8 bits",
        Runner::LlamaCpp,
        LoadOptions { kv_q8: true, ..LoadOptions::default() },
    ));
    for (name, tokens) in [("32 tokens a pass", 32), ("64 tokens a pass", 64), ("512 tokens a pass", 512)] {
        ways.push(Way::tuned(name, Tuning { read_batch_tokens: Some(tokens), ..chosen }));
    }
    ways.push(Way::tuned("weights mapped", Tuning { map_weights: Some(true), ..chosen }));
    ways.push(Way::tuned("weights read, not mapped", Tuning { map_weights: Some(false), ..chosen }));
    ways.push(Way::tuned("weights locked", Tuning { lock_weights: Some(true), ..chosen }));
    ways
}

/// Measures every row `rounds` times, in turn; `tell` is told of each that is begun. A setting that this machine cannot
/// have becomes a row that says so.
///
/// # Errors
/// The model cannot be loaded or run as the first engine chooses.
pub fn run(options: &Options<'_>, tell: &mut dyn FnMut(&str)) -> Result<Report, Error> {
    let rounds = options.rounds.max(1);
    let mut ways = ways(options.engines, options.settings);
    for way in &mut ways {
        way.options.device = options.device;
    }
    for round in 1..=rounds {
        for way in &mut ways {
            if way.error.is_none() {
                tell(&format!("round {round} of {rounds}: {}", name_of(way.runner.name(), way.setting)));
                way.measure(options);
            }
        }
        if let Some(Way { error: Some(_), runner, .. }) = ways.first() {
            // Told with its hint.
            let with = LoadOptions { device: options.device, ..LoadOptions::default() };
            runner.rates(options, &with, &mut || {})?;
        }
    }
    let mut passes = Vec::new();
    for runner in options.engines.iter().filter(|_| options.settings) {
        tell(&format!("passes of few tokens: {}", runner.name()));
        let room = options.read_tokens + PASS_TOKENS.iter().max().unwrap_or(&1) + 16;
        let lanes = usize::from(Sequence::LANES);
        let with = LoadOptions {
            context_window: Some(room),
            lanes,
            lane_tokens: room,
            device: options.device,
            ..LoadOptions::default()
        };
        let mut engine = runner.load(options.path, &with)?;
        let costs = pass_costs(&mut *engine, options.read_tokens, &PASS_TOKENS, PASS_ROUNDS)?;
        passes.push(Passes { engine: runner.name(), costs });
    }
    let first: Vec<Rates> = ways.first().map(|way| way.rates.clone()).unwrap_or_default();
    Ok(Report {
        bench: "engine",
        machine: Machine::detect(),
        read_tokens: options.read_tokens,
        decode_tokens: options.decode_tokens,
        rounds,
        rows: ways.iter().map(|way| way.row(options.model, &first)).collect(),
        passes,
    })
}

/// A row for people.
fn name_of(engine: &str, setting: &str) -> String {
    match (engine, setting) {
        ("llama.cpp", _) => "the library alone".to_owned(),
        (engine, "") => format!("mneme on {engine}"),
        (_, setting) => setting.to_owned(),
    }
}

impl Report {
    /// The figures as a table for the terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let model = self.rows.first().map_or("", |row| row.model.as_str());
        let mut lines = vec![
            format!(
                "{model} · {} · {} cores · {} tokens read, {} decoded, {} rounds, medians in tokens/s; ratios to the first row",
                self.machine.cpu, self.machine.cores, self.read_tokens, self.decode_tokens, self.rounds,
            ),
            format!(
                "{:<32}{:>9}{:>7}{:>9}{:>7}{:>9}{:>12}",
                "", "reading", "ratio", "decoding", "ratio", "load, s", "memory, MB"
            ),
        ];
        for row in &self.rows {
            let name = name_of(row.engine, row.setting);
            if let Some(error) = &row.error {
                lines.push(format!("{name:<32}{error}"));
                continue;
            }
            lines.push(format!(
                "{name:<32}{:>9.1}{:>7.2}{:>9.1}{:>7.2}{:>9.2}{:>12.0}",
                row.read_tokens_per_s,
                row.read_ratio,
                row.decode_tokens_per_s,
                row.decode_ratio,
                row.load_ms / 1000.0,
                megabytes(row.peak_rss_bytes),
            ));
        }
        lines.extend(self.passes.iter().flat_map(passes_table));
        lines.join("\n")
    }
}

/// What passes take, and how many times cheaper their tokens are than one by one.
fn passes_table(Passes { engine, costs }: &Passes) -> Vec<String> {
    let Some(one) = costs.first() else { return Vec::new() };
    let mut lines = vec![
        String::new(),
        format!("{engine}: milliseconds of a pass, and how many times cheaper its tokens are than one by one"),
        format!(
            "{:<8}{:>10}{:>7}{:>16}{:>7}{:>18}{:>7}",
            "tokens", "prompt", "gain", "logits of each", "gain", "a sequence each", "gain"
        ),
    ];
    for pass in costs {
        #[allow(clippy::cast_precision_loss)]
        let told = |one: Option<f64>, all: Option<f64>| match (one, all) {
            (Some(one), Some(all)) => {
                (format!("{all:.1}"), format!("{:.2}", one * pass.tokens as f64 / all.max(f64::MIN_POSITIVE)))
            }
            _ => (String::new(), String::new()),
        };
        let (prompt, prompt_gain) = told(Some(one.of_a_prompt_ms), Some(pass.of_a_prompt_ms));
        let (draft, draft_gain) = told(one.of_one_sequence_ms, pass.of_one_sequence_ms);
        let (texts, texts_gain) = told(one.of_sequences_ms, pass.of_sequences_ms);
        lines.push(format!(
            "{:<8}{prompt:>10}{prompt_gain:>7}{draft:>16}{draft_gain:>7}{texts:>18}{texts_gain:>7}",
            pass.tokens
        ));
    }
    lines
}

#[allow(clippy::cast_precision_loss)]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
