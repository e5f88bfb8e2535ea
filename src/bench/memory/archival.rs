//! `mneme bench memory archival`: how long archival search takes, how exact its index is, and what it occupies.
//!
//! Passages are made up. A passage belongs to one of 256 topics; its vector is the topic's, of length 1, plus noise of
//! the same length: so the rows of a topic lie at a cosine of 0.5 of each other, and which ten are nearest to a query is
//! decided by small differences. Its text is 24 words drawn by Zipf's law as it holds for English (Mandelbrot's form),
//! so that a few words stand in a third of all passages and more; a query asks with four words of a passage, of which
//! one or two are mostly such words.
//! What is exact is found by comparing a query with the floats of every passage. How long the embedder takes for a query
//! is measured by itself, where one is installed; the searches get vectors that are made up.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::memory::{AgentMemory, BoxError, Embed, Embedding, Error, NewAgent, Result, Store};
use crate::types::{Cancel, SystemClock};

/// Topics of the passages.
const TOPICS: u64 = 256;
/// Different words.
const VOCABULARY: u32 = 20_000;
/// Words of a passage.
const WORDS: usize = 24;
/// Words of a query.
const QUERY_WORDS: usize = 4;
/// Results that a search is asked for, and of which the exact ones are counted.
const NEAREST: usize = 10;
/// Results on a page of the hybrid search: as many as the model sees.
const PAGE_SIZE: u64 = 5;
/// Passages stored in one transaction.
const PASSAGES_IN_STEP: u64 = 10_000;

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Numbers of passages.
    pub sizes: Vec<u32>,
    /// Queries of each size.
    pub queries: usize,
    /// Numbers in a vector.
    pub dimensions: usize,
    /// Seed of everything that is made up.
    pub seed: u64,
    /// Where the databases are made.
    pub folder: PathBuf,
}

/// Times of one kind of search, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Times {
    /// The middle one.
    pub p50_ms: f64,
    /// The one that 95 of 100 stay below.
    pub p95_ms: f64,
}

/// What was measured with one number of passages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Passages.
    pub passages: u32,
    /// Storing their texts, both word indexes included, in seconds.
    pub store_s: f64,
    /// Making up and storing their vectors, in seconds.
    pub embed_s: f64,
    /// Reading the vector index, in milliseconds.
    pub load_ms: f64,
    /// The ten nearest by vectors alone.
    pub index: Times,
    /// How many of the ten nearest of an exact search are among them, 0 to 1.
    pub recall_at_10: f64,
    /// A page by words alone.
    pub words: Times,
    /// A page by words and vectors, fused; the query's embedding is at hand: see [`Report::query_embedding`].
    pub hybrid: Times,
    /// Passages that a query's words find, on average.
    pub mean_word_hits: f64,
    /// Memory of the vector index, in bytes.
    pub resident_bytes: usize,
    /// The database, in bytes.
    pub disk_bytes: u64,
    /// Its part for the vectors, in bytes.
    pub vector_disk_bytes: u64,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Numbers in a vector.
    pub dimensions: usize,
    /// Queries of each size.
    pub queries: usize,
    /// Seed.
    pub seed: u64,
    /// Threads that the system gives to this process.
    pub threads: usize,
    /// Whether the program was built for processors with AVX2.
    pub built_for_avx2: bool,
    /// Embedding such a query, beside all searches; none without an embedder.
    pub query_embedding: Option<Times>,
    /// One row for each size.
    pub rows: Vec<Row>,
}

/// Measures each size in turn, and `embedder` on queries; `tell` hears what is being done.
///
/// # Errors
/// A database could not be made, written or searched, or the embedder failed.
pub fn run(
    options: &Options,
    embedder: Option<&mut (dyn Embed + 'static)>,
    tell: &mut dyn FnMut(&str),
) -> Result<Report> {
    let query_embedding = embedder.map(|embedder| embedding_times(options, embedder)).transpose()?;
    let rows = options.sizes.iter().map(|size| measure(options, *size, tell)).collect::<Result<Vec<_>>>()?;
    Ok(Report {
        dimensions: options.dimensions,
        queries: options.queries,
        seed: options.seed,
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        built_for_avx2: cfg!(target_feature = "avx2"),
        query_embedding,
        rows,
    })
}

fn embedding_times(options: &Options, embedder: &mut dyn Embed) -> Result<Times> {
    let made_up = MadeUp::new(options.seed, options.dimensions);
    let queries: Vec<String> =
        (0..options.queries.max(1) as u64).map(|number| made_up.query(number, TOPICS).0).collect();
    // The weights are read with the first text.
    Embedding::of(embedder, "a first text")?;
    times(&queries, |query| Embedding::of(embedder, query).map(drop))
}

fn measure(options: &Options, size: u32, tell: &mut dyn FnMut(&str)) -> Result<Row> {
    let failed = |source| Error::CannotOpen { path: options.folder.clone(), source };
    let folder = tempfile::tempdir_in(&options.folder).map_err(failed)?;
    let path = folder.path().join("archival.db");
    let mut made_up = MadeUp::new(options.seed, options.dimensions);

    tell(&format!("{size} passages: storing texts"));
    let begun = Instant::now();
    let mut memory = AgentMemory::create(Store::open(&path, &SystemClock)?, &NewAgent::named("bench", 0))?;
    let mut row = 0;
    while row < u64::from(size) {
        let mut step = memory.step(0)?;
        for row in row..(row + PASSAGES_IN_STEP).min(u64::from(size)) {
            step.archival_import(&made_up.text(row), None, 0)?;
        }
        step.commit()?;
        row += PASSAGES_IN_STEP;
    }
    let store_s = begun.elapsed().as_secs_f64();
    drop(memory);
    let texts_bytes = file_bytes(&path).map_err(failed)?;

    tell(&format!("{size} passages: making vectors"));
    let begun = Instant::now();
    let mut memory = AgentMemory::open(Store::open(&path, &SystemClock)?, "bench")?;
    memory.embed_pending(&mut made_up, &Cancel::new(), &mut |_| {})?;
    let embed_s = begun.elapsed().as_secs_f64();
    drop(memory);
    let disk_bytes = file_bytes(&path).map_err(failed)?;

    tell(&format!("{size} passages: searching"));
    let memory = AgentMemory::open(Store::open(&path, &SystemClock)?, "bench")?;
    let queries: Vec<(String, Embedding)> = (0..options.queries.max(1) as u64)
        .map(|number| {
            let (text, of_row) = made_up.query(number, u64::from(size));
            Ok((text, Embedding::of(&mut made_up, &format!("q {number} {of_row}"))?))
        })
        .collect::<Result<_>>()?;
    let begun = Instant::now();
    if let Some((_, first)) = queries.first() {
        memory.nearest_passages(first, NEAREST)?;
    }
    let load_ms = begun.elapsed().as_secs_f64() * 1e3;
    let mut found = Vec::new();
    let index = times(&queries, |(_, embedding)| {
        found.push(memory.nearest_passages(embedding, NEAREST)?);
        Ok(())
    })?;
    let resident_bytes = memory.index_sizes().0.bytes;
    let mut word_hits = 0;
    let words = times(&queries, |(text, _)| {
        word_hits += memory.archival_search(text, None, 0, PAGE_SIZE)?.total;
        Ok(())
    })?;
    let hybrid = times(&queries, |(text, embedding)| {
        memory.archival_search(text, Some(embedding), 0, PAGE_SIZE)?;
        Ok(())
    })?;

    tell(&format!("{size} passages: comparing with an exact search"));
    let exact = made_up.exact(&queries, u64::from(size));
    let hits: usize = found
        .iter()
        .zip(&exact)
        // Passages are numbered from 0 here and from 1 in the database.
        .map(|(found, exact)| found.iter().filter(|(id, _)| exact.contains(&(id.0 - 1))).count())
        .sum();
    let wanted: usize = exact.iter().map(Vec::len).sum();
    Ok(Row {
        passages: size,
        store_s,
        embed_s,
        load_ms,
        index,
        recall_at_10: hits as f64 / wanted.max(1) as f64,
        words,
        hybrid,
        mean_word_hits: word_hits as f64 / queries.len().max(1) as f64,
        resident_bytes,
        disk_bytes,
        vector_disk_bytes: disk_bytes.saturating_sub(texts_bytes),
    })
}

fn file_bytes(path: &Path) -> std::io::Result<u64> {
    Ok(std::fs::metadata(path)?.len())
}

/// Times `search` with each query, once.
fn times<T>(queries: &[T], mut search: impl FnMut(&T) -> Result<()>) -> Result<Times> {
    let mut taken = Vec::with_capacity(queries.len());
    for query in queries {
        let begun = Instant::now();
        search(query)?;
        taken.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    taken.sort_by(f64::total_cmp);
    let at = |part: usize| taken.get((taken.len() * part / 100).min(taken.len().saturating_sub(1))).copied();
    Ok(Times { p50_ms: at(50).unwrap_or_default(), p95_ms: at(95).unwrap_or_default() })
}

/// Texts and vectors, each a function of the seed and a row's number.
struct MadeUp {
    seed: u64,
    dimensions: usize,
    topics: Vec<Vec<f32>>,
}

impl MadeUp {
    fn new(seed: u64, dimensions: usize) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let topics = (0..TOPICS).map(|_| unit(gaussian(&mut generator, dimensions))).collect();
        Self { seed, dimensions, topics }
    }

    fn generator(&self, what: u64, number: u64) -> ChaCha8Rng {
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_stream(what);
        generator.set_word_pos(u128::from(number) << 16);
        generator
    }

    /// The topic's vector plus noise of the same length.
    fn near_topic(&self, topic: u64, generator: &mut ChaCha8Rng) -> Vec<f32> {
        let noise = unit(gaussian(generator, self.dimensions));
        let topic = usize::try_from(topic).ok().and_then(|topic| self.topics.get(topic)).cloned().unwrap_or_default();
        unit(topic.iter().zip(&noise).map(|(topic, noise)| topic + noise).collect())
    }

    fn row_vector(&self, row: u64) -> Vec<f32> {
        self.near_topic(topic_of(row), &mut self.generator(1, row))
    }

    /// A passage; its number comes first, by which its vector is found again.
    fn text(&self, row: u64) -> String {
        let mut generator = self.generator(2, row);
        let mut text = format!("{row}");
        for _ in 0..WORDS {
            text.push(' ');
            text.push_str(&word(&mut generator));
        }
        text
    }

    /// Some words of a passage, and its number.
    fn query(&self, number: u64, rows: u64) -> (String, u64) {
        let mut generator = self.generator(3, number);
        let row = generator.random_range(0..rows);
        let text = self.text(row);
        let words: Vec<&str> = text.split(' ').skip(1).step_by(WORDS / QUERY_WORDS).take(QUERY_WORDS).collect();
        (words.join(" "), row)
    }

    /// For each query the numbers of the rows that are nearest by all their floats.
    fn exact(&self, queries: &[(String, Embedding)], rows: u64) -> Vec<Vec<i64>> {
        let mut best: Vec<Vec<(f32, i64)>> = vec![Vec::new(); queries.len()];
        for row in 0..rows {
            let vector = self.row_vector(row);
            for ((_, query), best) in queries.iter().zip(&mut best) {
                let cosine = dot(query.values(), &vector);
                if best.len() < NEAREST || best.last().is_some_and(|(worst, _)| cosine > *worst) {
                    let at = best.partition_point(|(other, _)| *other >= cosine);
                    best.insert(at, (cosine, i64::try_from(row).unwrap_or(i64::MAX)));
                    best.truncate(NEAREST);
                }
            }
        }
        best.into_iter().map(|best| best.into_iter().map(|(_, row)| row).collect()).collect()
    }
}

impl Embed for MadeUp {
    fn name(&self) -> &'static str {
        "made-up"
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn max_tokens(&self) -> usize {
        usize::MAX
    }

    fn token_count(&self, text: &str) -> usize {
        text.split(' ').count()
    }

    /// The vector of a passage by its number, or of a query by its own and that of its passage.
    fn embed(&mut self, texts: &[&str]) -> std::result::Result<Vec<Vec<f32>>, BoxError> {
        let vector = |text: &&str| {
            Ok(match text.strip_prefix("q ") {
                None => self.row_vector(text.split(' ').next().unwrap_or_default().parse()?),
                Some(query) => {
                    let (own, row) = query.split_once(' ').unwrap_or_default();
                    self.near_topic(topic_of(row.parse()?), &mut self.generator(4, own.parse()?))
                }
            })
        };
        texts.iter().map(vector).collect()
    }
}

/// Neighbouring rows are of different topics.
const fn topic_of(row: u64) -> u64 {
    row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - TOPICS.trailing_zeros())
}

/// One of the vocabulary, the first ones the most often.
fn word(generator: &mut ChaCha8Rng) -> String {
    // The inverse of the sum of 1 / (rank + 2.7), Mandelbrot's constant for English: the first word stands in about half
    // of all passages.
    let (first, last) = (2.7_f64, 2.7 + f64::from(VOCABULARY));
    let part: f64 = generator.random();
    let rank = (first * (last / first).powf(part) - first).max(0.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let mut rank = rank as u32;
    let mut word = String::new();
    loop {
        // Syllables, so that stemming and trigrams have something to do.
        let syllable = rank % 40;
        word.push(char::from(*b"bdfglmnprst".get((syllable % 11) as usize).unwrap_or(&b'b')));
        word.push(char::from(*b"aeiou".get((syllable / 8) as usize).unwrap_or(&b'a')));
        rank /= 40;
        if rank == 0 {
            return word + "x";
        }
    }
}

/// Roughly normal numbers: sums of four bytes.
fn gaussian(generator: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    let number = |bits: u32| bits.to_le_bytes().iter().map(|byte| f32::from(*byte) - 127.5).sum::<f32>();
    (0..count).map(|_| number(generator.random())).collect()
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = dot(&vector, &vector).sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|component| *component /= length);
    }
    vector
}

/// In eight sums, which vector instructions add side by side.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (left_blocks, left_rest) = left.as_chunks::<8>();
    let (right_blocks, right_rest) = right.as_chunks::<8>();
    for (left, right) in left_blocks.iter().zip(right_blocks) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += left * right;
        }
    }
    sums.iter().sum::<f32>() + left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum::<f32>()
}

impl Report {
    /// The figures as a table for the terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let mut lines = vec![
            format!(
                "{} numbers in a vector · {} queries · {} threads{}",
                self.dimensions,
                self.queries,
                self.threads,
                if self.built_for_avx2 { "" } else { " · built without AVX2" }
            ),
            format!(
                "{:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9}",
                "passages",
                "index p50",
                "index p95",
                "recall@10",
                "words p50",
                "hybrid p50",
                "p95",
                "store s",
                "embed s",
                "load ms",
                "memory MB",
                "disk MB",
                "vectors MB"
            ),
        ];
        for row in &self.rows {
            lines.push(format!(
                "{:>9} {:>9.2} {:>9.2} {:>9.3} {:>9.2} {:>10.2} {:>9.2} {:>8.1} {:>8.1} {:>8.1} {:>9.1} {:>9.1} {:>9.1}",
                row.passages,
                row.index.p50_ms,
                row.index.p95_ms,
                row.recall_at_10,
                row.words.p50_ms,
                row.hybrid.p50_ms,
                row.hybrid.p95_ms,
                row.store_s,
                row.embed_s,
                row.load_ms,
                row.resident_bytes as f64 / 1e6,
                row.disk_bytes as f64 / 1e6,
                row.vector_disk_bytes as f64 / 1e6,
            ));
        }
        if let Some(query) = self.query_embedding {
            let Times { p50_ms, p95_ms } = query;
            lines.push(format!("embedding a query, beside these: p50 {p50_ms:.2} ms, p95 {p95_ms:.2} ms"));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_up_is_the_same_each_time_and_rows_of_a_topic_are_alike() {
        let (one, other) = (MadeUp::new(3, 64), MadeUp::new(3, 64));
        assert_eq!((one.text(7), one.row_vector(7)), (other.text(7), other.row_vector(7)));
        assert_ne!(one.text(7), one.text(8));
        let same: Vec<u64> = (0..2000).filter(|row| topic_of(*row) == topic_of(0)).collect();
        assert!(same.len() > 2, "{same:?}");
        let cosine = dot(&one.row_vector(same[0]), &one.row_vector(same[1]));
        assert!((0.3..0.7).contains(&cosine), "{cosine}");
        assert!(dot(&one.row_vector(0), &one.row_vector(1)) < 0.45);
    }

    #[test]
    fn a_small_bench_finds_what_an_exact_search_finds() {
        let folder = tempfile::tempdir().unwrap();
        let options =
            Options { sizes: vec![300], queries: 5, dimensions: 48, seed: 1, folder: folder.path().to_owned() };
        let report = run(&options, None, &mut |_| {}).unwrap();
        let row = &report.rows[0];
        assert_eq!((row.passages, row.recall_at_10), (300, 1.0));
        assert!(row.mean_word_hits >= 1.0 && row.disk_bytes > 300 * 96, "{row:?}");
        assert!(report.table().lines().count() == 3);
    }
}
