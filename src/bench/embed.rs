//! How fast the embedder is: many texts of one length at once, and short queries one by one.
//!
//! The texts are made up of common English words; the time of an encoder depends on their number and length alone.

use std::time::Instant;

use serde::Serialize;

use super::machine::median;
use crate::memory::{BoxError, Embed};
use crate::models::hardware::Hardware;

/// Words of the texts, a token each in the vocabularies of English models.
#[rustfmt::skip]
const WORDS: [&str; 32] = [
    "the", "river", "we", "saw", "was", "cold", "and", "my", "brother", "said", "that", "in", "summer", "they", "would", "go",
    "back", "to", "house", "on", "hill", "with", "a", "book", "about", "birds", "which", "nobody", "had", "read", "for", "years",
];

/// Texts that are embedded in one call, as a caller does who wants to be interrupted.
const TEXTS_A_CALL: usize = 64;

/// Tokens of a query.
const QUERY_TOKENS: usize = 10;

/// Texts of one length.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Tokens of a text, the marks at its ends apart.
    pub tokens: usize,
    /// Texts that were embedded.
    pub texts: usize,
    /// Texts in a second.
    pub texts_per_s: f64,
    /// Tokens in a second.
    pub tokens_per_s: f64,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Name of the embedder.
    pub embedder: String,
    /// Numbers in a vector.
    pub dimensions: usize,
    /// Physical cores of the machine.
    pub threads: usize,
    /// From the first text to its vector, reading the weights included, in ms.
    pub first_vector_ms: f64,
    /// A row for each length.
    pub rows: Vec<Row>,
    /// Tokens of a query.
    pub query_tokens: usize,
    /// Half of the queries took at most so long, in ms.
    pub query_p50_ms: f64,
    /// 95 of 100 queries took at most so long, in ms.
    pub query_p95_ms: f64,
    /// Tokens of which a second counts so many, in texts of 60.
    pub counted_tokens_per_s: f64,
}

/// Measures `embedder` on about `tokens` tokens in texts of each of `lengths`, and on `queries` short texts.
///
/// # Errors
/// The embedder failed.
pub fn run(embedder: &mut dyn Embed, lengths: &[usize], tokens: usize, queries: usize) -> Result<Report, BoxError> {
    let start = Instant::now();
    embedder.embed(&["a first text"])?;
    let first_vector_ms = milliseconds(start);
    let mut rows = Vec::new();
    for &length in lengths {
        rows.push(row(embedder, length.max(1), tokens)?);
    }
    let mut times_ms = Vec::new();
    for index in 0..queries.max(1) {
        let query = text(QUERY_TOKENS, index);
        let start = Instant::now();
        embedder.embed(&[&query])?;
        times_ms.push(milliseconds(start));
    }
    times_ms.sort_by(f64::total_cmp);
    let at_95 = times_ms.get(times_ms.len() * 95 / 100).copied();
    let texts: Vec<String> = (0..200).map(|index| text(60, index)).collect();
    let start = Instant::now();
    let counted: usize = texts.iter().map(|text| embedder.token_count(text)).sum();
    Ok(Report {
        embedder: embedder.name().to_owned(),
        dimensions: embedder.dimensions(),
        threads: Hardware::detect().physical_cores,
        first_vector_ms,
        rows,
        query_tokens: QUERY_TOKENS,
        query_p50_ms: median(&times_ms),
        query_p95_ms: at_95.unwrap_or_default(),
        counted_tokens_per_s: rate(counted, start),
    })
}

fn row(embedder: &mut dyn Embed, length: usize, tokens: usize) -> Result<Row, BoxError> {
    let texts: Vec<String> = (0..(tokens / length).max(1)).map(|index| text(length, index)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let start = Instant::now();
    for some in texts.chunks(TEXTS_A_CALL) {
        embedder.embed(some)?;
    }
    let (texts_per_s, tokens_per_s) = (rate(texts.len(), start), rate(texts.len() * length, start));
    Ok(Row { tokens: length, texts: texts.len(), texts_per_s, tokens_per_s })
}

/// A text of `words` words; another one for each `index`.
fn text(words: usize, index: usize) -> String {
    let word =
        |place: usize| WORDS.get((index * 7 + place * (1 + index % 5)) % WORDS.len()).copied().unwrap_or_default();
    (0..words).map(word).collect::<Vec<_>>().join(" ")
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

#[allow(clippy::cast_precision_loss)]
fn rate(count: usize, start: Instant) -> f64 {
    count as f64 / start.elapsed().as_secs_f64().max(1e-9)
}

impl Report {
    /// The figures as a table for the terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let mut lines = vec![
            format!("{} · {} dimensions · {} threads", self.embedder, self.dimensions, self.threads),
            format!("{:>8} {:>8} {:>10} {:>10}", "tokens", "texts", "texts/s", "tokens/s"),
        ];
        for row in &self.rows {
            let Row { tokens, texts, texts_per_s, tokens_per_s } = row;
            lines.push(format!("{tokens:8} {texts:8} {texts_per_s:10.1} {tokens_per_s:10.0}"));
        }
        lines.push(format!(
            "a query of {} tokens: p50 {:.1} ms, p95 {:.1} ms · first vector {:.0} ms · counting {:.0} tokens/s",
            self.query_tokens, self.query_p50_ms, self.query_p95_ms, self.first_vector_ms, self.counted_tokens_per_s
        ));
        lines.join("\n")
    }
}
