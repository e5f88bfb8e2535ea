//! Reading and decoding rates of our engine beside those of the bare llama.cpp library, in turn, in one process.
//!
//! Ratios of rounds that were measured side by side are what counts on a shared machine; the medians are told with
//! them.

use std::path::Path;

use serde::Serialize;

use crate::inference::Error;
use crate::models::hardware::Hardware;

/// Tokens per second, one figure a round.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Side {
    /// Reading a prompt.
    pub read_tokens_per_s: Vec<f64>,
    /// Decoding, one token a pass.
    pub decode_tokens_per_s: Vec<f64>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Name of the model.
    pub model: String,
    /// Physical cores used.
    pub threads: usize,
    /// Tokens read in a round.
    pub read_tokens: usize,
    /// Tokens decoded in a round.
    pub decode_tokens: usize,
    /// Through our engine, session and sampler.
    pub ours: Side,
    /// The library alone.
    pub bare: Side,
    /// Most memory that the process has had, in bytes; 0 where the system does not tell.
    pub peak_memory_bytes: u64,
}

/// Measures both sides `rounds` times, in turn.
///
/// # Errors
/// The model cannot be loaded or run.
#[cfg(feature = "llama-cpp")]
pub fn run(model: &str, path: &Path, read_tokens: usize, decode_tokens: usize, rounds: usize) -> Result<Report, Error> {
    use crate::inference::{bare_rates, our_rates};
    let (mut ours, mut bare) = (Side::default(), Side::default());
    for _ in 0..rounds.max(1) {
        for (side, rates) in [
            (&mut ours, our_rates(path, read_tokens, decode_tokens)?),
            (&mut bare, bare_rates(path, read_tokens, decode_tokens)?),
        ] {
            side.read_tokens_per_s.push(rates.read_tokens_per_s);
            side.decode_tokens_per_s.push(rates.decode_tokens_per_s);
        }
    }
    Ok(Report {
        model: model.to_owned(),
        threads: Hardware::detect().physical_cores,
        read_tokens,
        decode_tokens,
        ours,
        bare,
        peak_memory_bytes: peak_memory_bytes(),
    })
}

/// Measures nothing: this build has no llama.cpp.
///
/// # Errors
/// Always.
#[cfg(not(feature = "llama-cpp"))]
pub fn run(_: &str, _: &Path, _: usize, _: usize, _: usize) -> Result<Report, Error> {
    let _ = (Hardware::detect, peak_memory_bytes);
    Err(Error::NoEngine { engine: "llama-cpp".to_owned() })
}

impl Report {
    /// The figures as a table for the terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let Self { ours, bare, .. } = self;
        let line = |what: &str, ours: &[f64], bare: &[f64]| {
            let (ours, bare) = (median(ours), median(bare));
            format!("{what:8} {ours:10.1} {bare:10.1} {:10.2}", ours / bare)
        };
        format!(
            "{} · {} threads · {} tokens read, {} decoded, {} rounds, medians in tokens/s\n\
             {:8} {:>10} {:>10} {:>10}\n{}\n{}\npeak memory {:.0} MB",
            self.model,
            self.threads,
            self.read_tokens,
            self.decode_tokens,
            ours.read_tokens_per_s.len(),
            "",
            "mneme",
            "bare",
            "ratio",
            line("reading", &ours.read_tokens_per_s, &bare.read_tokens_per_s),
            line("decoding", &ours.decode_tokens_per_s, &bare.decode_tokens_per_s),
            megabytes(self.peak_memory_bytes),
        )
    }
}

#[allow(clippy::cast_precision_loss)]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The middle value; the mean of the two middle ones of an even number; 0 of none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
    if sorted.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle.saturating_sub(1)), at(middle)) }
}

/// Most resident memory so far (`VmHWM` of Linux).
fn peak_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|number| number.parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle_value() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }
}
