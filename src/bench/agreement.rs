//! How far engines agree on a text: whether the same token is the most probable, and how far the probabilities are apart.
//!
//! Source: the Kullback-Leibler divergence, as llama.cpp's `perplexity --kl-divergence` tells it for quantisations.

use std::path::Path;

use serde::Serialize;

use super::engine::Runner;
use crate::inference::{Engine, Error, LoadOptions, MAX_ROWS, tokenize_text};
use crate::types::{Cancel, TokenId};

/// Two ways of running a model, compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The way that counts as right.
    pub one: String,
    /// The other.
    pub other: String,
    /// Tokens behind which both were looked at.
    pub positions: usize,
    /// Share of them at which the same token is the most probable.
    pub top_1: f64,
    /// Mean Kullback-Leibler divergence of the other's probabilities from those of the first, in nats.
    pub mean_kl: f64,
}

/// A way of reading.
#[derive(Debug, Clone, Copy)]
struct Way {
    runner: Runner,
    /// Tokens of a pass.
    pass: usize,
}

impl Way {
    fn name(self) -> String {
        if self.pass == 1 { format!("{}, one token a pass", self.runner.name()) } else { self.runner.name().to_owned() }
    }

    fn load(self, path: &Path, window: usize) -> Result<Box<dyn Engine>, Error> {
        self.runner.load(path, &LoadOptions { context_window: Some(window), ..LoadOptions::default() })
    }

    /// Logits behind each of `tokens`, which are read.
    fn read(self, engine: &mut dyn Engine, tokens: &[TokenId]) -> Result<Vec<Vec<f32>>, Error> {
        let mut rows = Vec::with_capacity(tokens.len());
        for pass in tokens.chunks(self.pass) {
            engine.read_for(pass, pass.len(), &Cancel::new())?;
            for back in (0..pass.len()).rev() {
                rows.push(engine.logits_behind(back)?.to_vec());
            }
        }
        Ok(rows)
    }
}

/// Compares llama.cpp with itself in passes of one token, and candle with llama.cpp, behind each of the first `positions`
/// tokens of `text`. `tell` is told what is begun.
///
/// # Errors
/// The model cannot be loaded or run by both engines.
pub fn run(path: &Path, text: &str, positions: usize, tell: &mut dyn FnMut(&str)) -> Result<Vec<Pair>, Error> {
    let way = |runner, pass| Way { runner, pass };
    let right = way(Runner::LlamaCpp, MAX_ROWS);
    let mut pairs = Vec::new();
    for other in [way(Runner::LlamaCpp, 1), way(Runner::Candle, MAX_ROWS)] {
        tell(&format!("{} and {}", right.name(), other.name()));
        pairs.push(compare(path, text, positions, right, other)?);
    }
    Ok(pairs)
}

fn compare(path: &Path, text: &str, positions: usize, one: Way, other: Way) -> Result<Pair, Error> {
    let mut first = one.load(path, positions.max(MAX_ROWS))?;
    let mut second = other.load(path, positions.max(MAX_ROWS))?;
    let mut tokens = tokenize_text(&*first, text)?;
    tokens.truncate(positions);
    let (mut same, mut divergence) = (0_u32, 0.0);
    for piece in tokens.chunks(MAX_ROWS) {
        let rows = one.read(&mut *first, piece)?;
        for (expected, found) in rows.iter().zip(other.read(&mut *second, piece)?) {
            same += u32::from(best(expected) == best(&found));
            divergence += kl(expected, &found);
        }
    }
    #[allow(clippy::cast_precision_loss)]
    let count = tokens.len().max(1) as f64;
    Ok(Pair {
        one: one.name(),
        other: other.name(),
        positions: tokens.len(),
        top_1: f64::from(same) / count,
        mean_kl: divergence / count,
    })
}

/// The place of the largest.
fn best(logits: &[f32]) -> Option<usize> {
    logits.iter().enumerate().max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(place, _)| place)
}

/// Divergence of the probabilities that `other` gives from those that `one` gives, in nats.
fn kl(one: &[f32], other: &[f32]) -> f64 {
    let log_sum = |logits: &[f32]| {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
        f64::from(most) + sum.ln()
    };
    let (one_sum, other_sum) = (log_sum(one), log_sum(other));
    one.iter()
        .zip(other)
        .map(|(one, other)| {
            let (own, its) = (f64::from(*one) - one_sum, f64::from(*other) - other_sum);
            own.exp() * (own - its)
        })
        .sum()
}

/// The pairs as a table for the terminal.
#[must_use]
pub fn table(model: &str, pairs: &[Pair]) -> String {
    let mut lines = vec![format!("{model} · most probable token the same, and mean divergence in nats")];
    for Pair { one, other, positions, top_1, mean_kl } in pairs {
        let percent = 100.0 * top_1;
        lines.push(format!("{one} / {other:<30}{percent:>7.2} %{mean_kl:>11.6}  ({positions} tokens)"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_is_zero_of_itself_and_that_of_the_formula_otherwise() {
        assert_eq!(kl(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]), 0.0);
        // Probabilities do not change with a constant.
        assert!(kl(&[1.0, 2.0, 3.0], &[11.0, 12.0, 13.0]).abs() < 1e-12);
        // 0.5 ln (0.5 / 0.25) + 0.5 ln (0.5 / 0.75)
        let expected = 0.5 * 2.0_f64.ln() + 0.5 * (2.0_f64 / 3.0).ln();
        assert!((kl(&[0.0, 0.0], &[0.0, 3.0_f32.ln()]) - expected).abs() < 1e-6);
        assert_eq!(best(&[0.0, 3.0, 1.0]), Some(1));
    }
}
