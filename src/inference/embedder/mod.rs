//! Vectors of texts: a BERT-class sentence model (all-MiniLM-L6-v2) run by candle.
//!
//! A text is tokenised without special tokens (what a text spells is never control), cut to the length that the model
//! was trained for, run through the encoder, averaged over its tokens and brought to length 1. Texts are grouped to
//! about [`GROUP_TOKENS`] tokens; groups run side by side in a pool of threads of their own. Not responsible for where
//! the files come from (`models`) nor for how texts are cut into passages (`memory`).
//!
//! The files are hostile: sizes are bounded before they are read, every number of the configuration and every shape is
//! checked, and what candle or the tokenizer refuses is an [`Error`].
//!
//! Source: Reimers and Gurevych, Sentence-BERT, arXiv 1908.10084; the model page of
//! `sentence-transformers/all-MiniLM-L6-v2` (mean pooling, 256 tokens).

mod bert;
mod ops;

use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use candle_core::Device;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};
use tokenizers::Tokenizer;

use super::Error;
use crate::types::irregular_file;
use bert::{Bert, Config};

/// The weights' file.
pub const WEIGHTS_NAME: &str = "model.safetensors";
/// The tokenizer's file.
pub const TOKENIZER_NAME: &str = "tokenizer.json";
/// The configuration's file.
pub const CONFIG_NAME: &str = "config.json";

/// Largest file of weights that is read, in bytes: a large BERT model has 1.3 GB.
const MAX_WEIGHTS_BYTES: u64 = 2 << 30;
/// Largest tokenizer file that is read, in bytes: those of multilingual models have 17 MB.
const MAX_TOKENIZER_BYTES: u64 = 32 << 20;
/// Largest configuration file that is read, in bytes: they have less than 1 kB.
const MAX_CONFIG_BYTES: u64 = 64 << 10;

/// Most tokens of a text with the marks at its ends: sentence-transformers trained and published the model so, although
/// it has places for 512.
const TRAINED_TOKENS: usize = 256;
/// The marks at the ends of a text.
const MARKS: [&str; 2] = ["[CLS]", "[SEP]"];

/// Tokens that run through the model at once: enough rows for a product to be worth its preparation, few enough that the
/// states of a group take a few MB.
const GROUP_TOKENS: usize = 512;

/// Bytes of a text that are tokenised at once: a tokenised text takes about a hundred times its own memory.
const SLICE_BYTES: usize = 16 << 10;

/// Bytes of a text that are looked at for its vector; the model's 254 tokens are 1 to 2 kB.
const MAX_TEXT_BYTES: usize = 64 << 10;

/// An embedder; see the module.
pub struct Embedder {
    name: String,
    folder: PathBuf,
    config: Config,
    tokenizer: Tokenizer,
    marks: [u32; 2],
    threads: usize,
    running: Option<Running>,
}

/// What takes memory and time to make.
struct Running {
    model: Bert,
    device: Device,
    pool: ThreadPool,
}

impl Embedder {
    /// Reads configuration and tokenizer; the weights are read when the first vector is asked for.
    ///
    /// `threads` is the most that work at once.
    ///
    /// # Errors
    /// [`Error::Unreadable`], [`Error::BadEmbedder`].
    ///
    /// Cost: the weights of all-MiniLM-L6-v2 take 150 to 250 ms at the first vector (2-core AMD EPYC, `mneme bench memory
    /// embed`, 2026-11-24).
    pub fn open(name: &str, folder: &Path, threads: usize) -> Result<Self, Error> {
        let path = folder.join(CONFIG_NAME);
        let text = String::from_utf8_lossy(&read(&path, MAX_CONFIG_BYTES)?).into_owned();
        let config = Config::parse(&text).map_err(|reason| bad(&path, reason))?;
        let path = folder.join(TOKENIZER_NAME);
        let tokenizer = parse_tokenizer(&read(&path, MAX_TOKENIZER_BYTES)?, &config);
        let (tokenizer, marks) = tokenizer.map_err(|reason| bad(&path, reason))?;
        if config.max_position_embeddings <= MARKS.len() {
            return Err(bad(&folder.join(CONFIG_NAME), "it has no place for a token of a text".to_owned()));
        }
        check_file(&folder.join(WEIGHTS_NAME), MAX_WEIGHTS_BYTES)?;
        let (name, folder) = (name.to_owned(), folder.to_owned());
        Ok(Self { name, folder, config, tokenizer, marks, threads: threads.max(1), running: None })
    }

    /// Name that it was opened under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Numbers in a vector.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.config.hidden_size
    }

    /// Most tokens of a text that its vector takes in, the marks at its ends apart.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        TRAINED_TOKENS.min(self.config.max_position_embeddings) - MARKS.len()
    }

    /// Tokens of a text, the marks at its ends apart. A text that the tokenizer refuses has as many as bytes.
    ///
    /// Cost: about 1.5 us a token.
    #[must_use]
    pub fn token_count(&self, text: &str) -> usize {
        slices(text).map(|slice| self.tokens(slice).map_or(slice.len(), |ids| ids.len())).sum()
    }

    /// A vector of length 1 for each text, in their order. Of a text that is longer than [`Self::max_tokens`] its
    /// beginning is taken.
    ///
    /// # Errors
    /// The weights cannot be read, or the model failed.
    ///
    /// Cost: see `mneme bench memory embed`. It cannot be interrupted: give few texts at a time where somebody waits.
    pub fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Error> {
        if self.running.is_none() {
            self.running = Some(self.start()?);
        }
        let Some(Running { model, device, pool }) = &self.running else { return Ok(Vec::new()) };
        let texts: Vec<Vec<u32>> = texts.iter().map(|text| self.marked_tokens(text)).collect::<Result<_, _>>()?;
        let groups = groups(&texts);
        let hidden = self.config.hidden_size;
        // Few groups leave cores idle: then several work on one.
        let threads = self.threads.div_ceil(groups.len().max(1));
        let run = |group: &&[Vec<u32>]| vectors(model, device, group, hidden, threads);
        let done: Vec<Vec<Vec<f32>>> = pool.install(|| groups.par_iter().map(run).collect::<Result<_, _>>())?;
        Ok(done.into_iter().flatten().collect())
    }

    /// Reads the weights.
    fn start(&self) -> Result<Running, Error> {
        let path = self.folder.join(WEIGHTS_NAME);
        let device = device();
        let bytes = read(&path, MAX_WEIGHTS_BYTES)?;
        let model = candle_core::safetensors::load_buffer(&bytes, &device)
            .and_then(|tensors| Bert::new(&self.config, tensors))
            .map_err(|error| bad(&path, error.to_string()))?;
        let pool = ThreadPoolBuilder::new().num_threads(self.threads).thread_name(|_| "embedder".to_owned()).build();
        let pool = pool.map_err(|error| failed("starting threads", &error))?;
        Ok(Running { model, device, pool })
    }

    fn tokens(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoded = self.tokenizer.encode_fast(text, false).map_err(|error| failed("tokenising", &error))?;
        let ids = encoded.get_ids().to_vec();
        match ids.iter().find(|&&id| id as usize >= self.config.vocab_size) {
            Some(id) => Err(failed("tokenising", &format!("the model has no token {id}"))),
            None => Ok(ids),
        }
    }

    fn marked_tokens(&self, text: &str) -> Result<Vec<u32>, Error> {
        let [first, last] = self.marks;
        let most = self.max_tokens() + 1;
        let mut ids = vec![first];
        for slice in slices(text.get(..text.floor_char_boundary(MAX_TEXT_BYTES)).unwrap_or(text)) {
            ids.extend(self.tokens(slice)?);
            if ids.len() >= most {
                ids.truncate(most);
                break;
            }
        }
        ids.push(last);
        Ok(ids)
    }
}

/// Where the model runs: a GPU in builds that can use one, where there is one.
fn device() -> Device {
    #[cfg(feature = "cuda")]
    if let Ok(device) = Device::new_cuda(0) {
        return device;
    }
    #[cfg(feature = "metal")]
    if let Ok(device) = Device::new_metal(0) {
        return device;
    }
    Device::Cpu
}

/// Neighbours whose tokens together come to [`GROUP_TOKENS`] at most; a longer text is a group by itself.
fn groups(texts: &[Vec<u32>]) -> Vec<&[Vec<u32>]> {
    let mut groups = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for (index, text) in texts.iter().enumerate() {
        if index > start && tokens + text.len() > GROUP_TOKENS {
            groups.push(&texts[start..index]);
            (start, tokens) = (index, 0);
        }
        tokens += text.len();
    }
    if start < texts.len() {
        groups.push(&texts[start..]);
    }
    groups
}

/// The vectors of a group: the mean of each text's states, brought to length 1.
fn vectors(
    model: &Bert,
    device: &Device,
    texts: &[Vec<u32>],
    hidden: usize,
    threads: usize,
) -> Result<Vec<Vec<f32>>, Error> {
    let states = model
        .forward(texts, device, threads)
        .and_then(|states| states.flatten_all()?.to_vec1::<f32>())
        .map_err(|error| failed("embedding", &error))?;
    let mut rest = states.as_slice();
    let mut vectors = Vec::with_capacity(texts.len());
    for text in texts {
        let (rows, after) = rest.split_at(text.len() * hidden);
        rest = after;
        let mut sum = vec![0.0_f32; hidden];
        for row in rows.chunks_exact(hidden) {
            sum.iter_mut().zip(row).for_each(|(sum, number)| *sum += number);
        }
        // The mean has the direction of the sum.
        let length = sum.iter().map(|&number| f64::from(number).powi(2)).sum::<f64>().sqrt();
        if !(length.is_finite() && length > 0.0) {
            return Err(failed("embedding", &format!("the model gave a vector of length {length}")));
        }
        #[allow(clippy::cast_possible_truncation)]
        sum.iter_mut().for_each(|number| *number = (f64::from(*number) / length) as f32);
        vectors.push(sum);
    }
    Ok(vectors)
}

/// Pieces of a text of at most [`SLICE_BYTES`], cut behind white space where there is some.
fn slices(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.floor_char_boundary(SLICE_BYTES);
        let cut = if end < rest.len() { rest[..end].rfind(char::is_whitespace).filter(|&cut| cut > 0) } else { None };
        let (slice, after) = rest.split_at(cut.unwrap_or(end));
        rest = after;
        Some(slice)
    })
}

/// The tokenizer and the ids of the marks. A tokenizer that panics on the file is refused, too.
fn parse_tokenizer(bytes: &[u8], config: &Config) -> Result<(Tokenizer, [u32; 2]), String> {
    let parse = || {
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| error.to_string())?;
        tokenizer.with_padding(None).with_truncation(None).map_err(|error| error.to_string())?;
        tokenizer.set_encode_special_tokens(true);
        let tokens = tokenizer.get_vocab_size(true);
        if tokens > config.vocab_size {
            return Err(format!("it has {tokens} tokens, and the model {}", config.vocab_size));
        }
        let id = |mark: &str| tokenizer.token_to_id(mark).ok_or_else(|| format!("it has no token {mark}"));
        let marks = [id(MARKS[0])?, id(MARKS[1])?];
        if let Some(mark) = marks.iter().find(|&&mark| mark as usize >= config.vocab_size) {
            return Err(format!("the model has no token {mark}"));
        }
        tokenizer.encode_fast("A few words, to try it.", false).map_err(|error| error.to_string())?;
        Ok((tokenizer, marks))
    };
    catch_unwind(AssertUnwindSafe(parse)).unwrap_or_else(|_| Err("it cannot be used".to_owned()))
}

/// Looks whether a regular file of at most `limit_bytes` stands there; returns its size.
fn check_file(path: &Path, limit_bytes: u64) -> Result<u64, Error> {
    let metadata = path.metadata().map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
    if let Some(found) = irregular_file(&metadata) {
        return Err(bad(path, format!("it is {found}")));
    }
    match metadata.len() {
        size_bytes if size_bytes > limit_bytes => {
            Err(bad(path, format!("it has {size_bytes} bytes, the limit is {limit_bytes}")))
        }
        size_bytes => Ok(size_bytes),
    }
}

/// Reads a regular file of at most `limit_bytes`.
fn read(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let size_bytes = check_file(path, limit_bytes)?;
    let mut bytes = Vec::with_capacity(usize::try_from(size_bytes).unwrap_or_default());
    File::open(path).map_err(unreadable)?.take(limit_bytes).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn bad(path: &Path, reason: String) -> Error {
    Error::BadEmbedder { path: path.to_owned(), reason }
}

fn failed(operation: &'static str, reason: &impl ToString) -> Error {
    Error::Native { operation, reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_bounded_end_at_white_space_and_lose_nothing() {
        let words = "word ".repeat(10_000);
        let blank_free = "ä".repeat(20_000);
        for text in ["", " ", "short", &words, &blank_free, &format!("{words}{blank_free}")] {
            let parts: Vec<&str> = slices(text).collect();
            assert_eq!(parts.concat(), text);
            assert!(parts.iter().all(|part| !part.is_empty() && part.len() <= SLICE_BYTES));
        }
        assert!(slices(&words).all(|slice| slice.trim().split(' ').all(|word| word == "word")));
    }

    #[test]
    fn groups_hold_neighbours_up_to_the_limit_and_every_text_once() {
        let lengths = [600, 100, 300, 200, 2, 254, 254, 254, 700];
        let texts: Vec<Vec<u32>> = lengths.iter().map(|&length| vec![0; length]).collect();
        let grouped: Vec<Vec<usize>> =
            groups(&texts).iter().map(|group| group.iter().map(Vec::len).collect()).collect();
        assert_eq!(grouped, [vec![600], vec![100, 300], vec![200, 2, 254], vec![254, 254], vec![700]]);
        assert!(groups(&[]).is_empty());
    }
}
