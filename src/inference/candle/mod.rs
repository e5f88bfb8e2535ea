//! The engine on candle: the decoder's code is ours, over candle's tensors and quantised products, so that caches can be cut
//! and copied and logits are at hand wherever they are asked for. No C++ is needed to build it.
//!
//! Passes run on a thread of their own: candle and llama.cpp both set up a thread's matrix tiles (Intel AMX) once and rely on
//! them from then on, so one that has worked for the other dies of an illegal instruction.
//!
//! Not responsible for sampling, grammars or prompts, which are the same for all engines.

mod attention;
mod cache;
mod convert;
mod decoder;
mod folder;
mod ops;
mod products;
mod rope;
mod safetensors;
mod shape;
mod tokenizer;
mod weights;

use std::path::Path;
use std::sync::Arc;

use candle_core::Device as CandleDevice;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::gguf::Gguf;
use super::loading::{READ_CHUNK_TOKENS, fingerprint, free_memory_bytes, is_model_folder, window_tokens};
use super::passes::passes;
use super::vocab_gguf::{GgufVocab, vocab_from_gguf};
use super::{Engine, Error, LoadOptions, MAX_TOGETHER, ModelIdentity, ReadReport, Sequence, Tuning, Vocab};
use crate::types::{Cancel, Device, Hasher, TokenId};
use cache::{Cache, FIRST_ROOM_TOKENS};
pub use convert::{Numbers, convert};
use decoder::{Decoder, Part};
use folder::Folder;
use safetensors::SafetensorsWeights;
use shape::Shape;
use tokenizer::Tokenizer;
use weights::{GgufWeights, Weights};

/// Name in errors.
const NAME: &str = "candle";
/// What writes saved states: a change of their form changes it.
const STATES: &str = "candle engine 1";

/// A model in candle with its sequences.
pub struct CandleEngine {
    decoder: Decoder,
    /// The thread that passes run on.
    thread: ThreadPool,
    tokenizer: Tokenizer,
    identity: ModelIdentity,
    vocab: Arc<Vocab>,
    options: LoadOptions,
    window_tokens: usize,
    read_chunk: usize,
    sequence: Sequence,
    /// By [`Sequence::index`].
    caches: Vec<Cache>,
    /// Rows of the last pass, and how many there are. Those of several sequences are not those of any by itself.
    logits: Vec<f32>,
    rows: usize,
    part_rows: usize,
    state_key: String,
}

impl std::fmt::Debug for CandleEngine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CandleEngine")
            .field("identity", &self.identity)
            .field("window_tokens", &self.window_tokens)
            .finish_non_exhaustive()
    }
}

fn native(operation: &'static str) -> impl Fn(candle_core::Error) -> Error {
    move |error| Error::Native { operation, reason: error.to_string() }
}

/// Names of the settings that are asked for and that this engine does not have.
fn unused(options: &LoadOptions) -> Vec<&'static str> {
    let Tuning { threads, read_threads, flash_attention, map_weights, lock_weights, gpu_layers, .. } = options.tuning;
    let asked = [
        ("kv_q8", options.kv_q8),
        ("threads", threads.is_some()),
        ("read_threads", read_threads.is_some()),
        ("flash_attention", flash_attention.is_some()),
        ("map_weights", map_weights.is_some()),
        ("lock_weights", lock_weights.is_some()),
        ("gpu_layers", gpu_layers.is_some()),
    ];
    asked.into_iter().filter_map(|(name, is_asked)| is_asked.then_some(name)).collect()
}

/// The device as candle has it.
fn device(asked: Device) -> Result<CandleDevice, Error> {
    let refused = |error: candle_core::Error| Error::NoDevice { device: asked, reason: error.to_string() };
    let lacks = |name: &str| Error::NoDevice { device: asked, reason: format!("candle in this build has no {name}") };
    // One stream for all threads: else each thread has one of its own, and what one of them writes another may read too soon.
    let cuda = |number| CandleDevice::new_cuda_with_stream(number).map_err(refused);
    // Where there is no GPU, candle takes the first of none.
    let metal = || {
        let found = std::panic::catch_unwind(|| CandleDevice::new_metal(0));
        found.unwrap_or_else(|_| Err(candle_core::Error::Msg("there is no GPU".to_owned()))).map_err(refused)
    };
    let or_cpu = |found: Result<CandleDevice, Error>| {
        found.or_else(|error| {
            tracing::info!(%error, "no GPU is used");
            Ok(CandleDevice::Cpu)
        })
    };
    match asked {
        Device::Cpu => Ok(CandleDevice::Cpu),
        Device::Auto if cfg!(feature = "cuda") => or_cpu(cuda(0)),
        Device::Auto if cfg!(feature = "metal") => or_cpu(metal()),
        Device::Auto => Ok(CandleDevice::Cpu),
        Device::Cuda(number) if cfg!(feature = "cuda") => cuda(number),
        Device::Metal if cfg!(feature = "metal") => metal(),
        Device::Cuda(_) => Err(lacks("CUDA")),
        Device::Metal => Err(lacks("Metal")),
    }
}

/// A model that is to be loaded, wherever it stands.
struct Source {
    shape: Shape,
    weights: Box<dyn Weights>,
    weights_bytes: u64,
    tokenizer: Tokenizer,
    vocab: GgufVocab,
    chat_template: Option<String>,
    fingerprint: String,
}

impl Source {
    fn gguf(path: &Path, failed: &dyn Fn(String) -> Error) -> Result<Self, Error> {
        let unreadable = |source| Error::Unreadable { path: path.to_path_buf(), source };
        let gguf = Gguf::open_with_tokenizer(path)?;
        Ok(Self {
            vocab: vocab_from_gguf(&gguf)?,
            shape: Shape::of_gguf(&gguf).map_err(failed)?,
            tokenizer: Tokenizer::of_gguf(&gguf).map_err(failed)?,
            weights_bytes: gguf.info().file_bytes,
            chat_template: gguf.info().chat_template.clone(),
            fingerprint: fingerprint(path).map_err(unreadable)?,
            weights: Box::new(GgufWeights::open(gguf).map_err(unreadable)?),
        })
    }

    fn folder(path: &Path, failed: &dyn Fn(String) -> Error) -> Result<Self, Error> {
        let mut folder = Folder::read(path).map_err(failed)?;
        let (shape, vocab) = (folder.shape.clone(), folder.vocab.clone());
        let (tokenizer, chat_template) = (folder.tokenizer.take(), folder.chat_template.take());
        // Angles and windows stand in the configuration, which can be changed.
        let mut hasher = Hasher::default();
        hasher.update(format!("{shape:?} {:?}", folder.made).as_bytes());
        let told_of_shape = hasher.hex();
        let weights = SafetensorsWeights::open(path, folder).map_err(|error| failed(error.to_string()))?;
        let told = |source| Error::Unreadable { path: path.to_path_buf(), source };
        let prints = weights.paths().map(fingerprint).collect::<std::io::Result<Vec<_>>>().map_err(told)?;
        Ok(Self {
            shape,
            vocab,
            tokenizer: tokenizer.ok_or_else(|| failed("it has no tokenizer".to_owned()))?,
            chat_template,
            weights_bytes: weights.bytes(),
            fingerprint: format!("{}; {told_of_shape}", prints.join("; ")),
            weights: Box::new(weights),
        })
    }
}

/// What is known of the model in a folder before its weights are read: vocabulary, chat template and window in training.
///
/// # Errors
/// [`Error::LoadFailed`] with what is wrong with its files.
pub(super) fn describe_folder(path: &Path) -> Result<(GgufVocab, Option<String>, usize), Error> {
    let folder =
        Folder::read(path).map_err(|reason| Error::LoadFailed { engine: NAME, path: path.to_path_buf(), reason })?;
    Ok((folder.vocab, folder.chat_template, folder.shape.sizes.trained_tokens))
}

/// A pass on the thread for them, with its logits row after row.
fn forward(thread: &ThreadPool, decoder: &Decoder, parts: &mut [Part<'_>]) -> candle_core::Result<Option<Vec<f32>>> {
    thread.install(|| decoder.forward(parts)?.map(|logits| logits.flatten_all()?.to_vec1()).transpose())
}

impl CandleEngine {
    /// Loads `path`: a GGUF file, or a folder with safetensors files. `progress` is told how far loading is, 0 to 1, and
    /// returns false to stop it.
    ///
    /// # Errors
    /// [`Error::Unreadable`] and [`Error::BadModelFile`] for the file; [`Error::LoadFailed`] where this engine cannot run what
    /// is in it; [`Error::LoadCancelled`].
    pub fn load(path: &Path, options: &LoadOptions, progress: &mut dyn FnMut(f32) -> bool) -> Result<Self, Error> {
        let failed = |reason: String| Error::LoadFailed { engine: NAME, path: path.to_path_buf(), reason };
        let Source { shape, mut weights, weights_bytes, tokenizer, vocab, chat_template, fingerprint } =
            if is_model_folder(path) { Source::folder(path, &failed)? } else { Source::gguf(path, &failed)? };
        for setting in unused(options) {
            tracing::warn!(setting, "a setting of llama.cpp alone");
        }
        let trained = shape.sizes.trained_tokens;
        let kv_bytes = Some(shape.sizes.kv_bytes_per_token());
        let window_tokens =
            window_tokens(options.context_window, kv_bytes, weights_bytes, trained, free_memory_bytes());
        let device = device(options.device)?;
        // What a file asks for is bounded by what it holds, but for this.
        let first_bytes = shape.sizes.kv_bytes_per_token().saturating_mul(FIRST_ROOM_TOKENS as u64);
        if first_bytes > free_memory_bytes() {
            let told = shape.sizes.kv_bytes_per_token();
            return Err(failed(format!(
                "keys and values of one token have {told} bytes, for which there is no memory"
            )));
        }
        let decoder = Decoder::load(shape, &mut *weights, window_tokens, &device, progress)
            .map_err(|error| failed(error.to_string()))?
            .ok_or_else(|| Error::LoadCancelled { path: path.to_path_buf() })?;
        let caches = (0..Sequence::COUNT).map(|_| decoder.cache()).collect::<candle_core::Result<_>>();
        let stem = || {
            let stem = if path.is_dir() { path.file_name() } else { path.file_stem() };
            stem.map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
        };
        let GgufVocab { vocab, add_bos } = vocab;
        let thread = ThreadPoolBuilder::new().num_threads(1).thread_name(|_| "candle".to_owned()).build();
        let state_key = format!("{STATES}; {fingerprint}; stretched {}", decoder.is_stretched());
        Ok(Self {
            decoder,
            thread: thread.map_err(|error| failed(error.to_string()))?,
            tokenizer,
            identity: ModelIdentity {
                name: options.name.clone().unwrap_or_else(stem),
                engine: NAME,
                chat_template,
                add_bos: add_bos && vocab.bos().is_some(),
                trained_context_tokens: trained,
            },
            vocab,
            window_tokens,
            read_chunk: options.tuning.read_batch_tokens.unwrap_or(READ_CHUNK_TOKENS).max(1),
            sequence: Sequence::Main,
            caches: caches.map_err(|error| failed(error.to_string()))?,
            logits: Vec::new(),
            rows: 0,
            part_rows: 0,
            state_key,
            options: options.clone(),
        })
    }

    /// What is chosen for this machine and build, in words.
    ///
    /// # Errors
    /// [`Error::NoDevice`].
    pub fn in_words(options: &LoadOptions) -> Result<String, Error> {
        let place = if device(options.device)?.is_cpu() { "all on the CPU" } else { "all on the GPU" };
        let threads = candle_core::utils::get_num_threads();
        let pass = options.tuning.read_batch_tokens.unwrap_or(READ_CHUNK_TOKENS);
        let mut words =
            format!("{threads} threads, {pass} tokens a pass, keys and values at 16 bits, weights read, {place}");
        let unused = unused(options);
        if !unused.is_empty() {
            words += &format!("; without effect here: {}", unused.join(", "));
        }
        Ok(words)
    }

    fn window_of(&self, sequence: Sequence) -> usize {
        self.options.window_of(sequence, self.window_tokens)
    }

    /// The cache of the selected sequence.
    fn cache(&self) -> &Cache {
        &self.caches[self.sequence.index()]
    }

    fn forget_logits(&mut self) {
        (self.rows, self.part_rows) = (0, 0);
    }

    /// Reads one pass; logits of its last `rows` tokens are computed.
    fn pass(&mut self, tokens: &[TokenId], rows: usize) -> candle_core::Result<()> {
        self.forget_logits();
        let most = self.window_of(self.sequence);
        let cache = &mut self.caches[self.sequence.index()];
        cache.reserve(cache.length() + tokens.len(), most)?;
        let logits = forward(&self.thread, &self.decoder, &mut [Part { tokens, cache, rows }])?;
        if let Some(logits) = logits {
            (self.logits, self.rows) = (logits, rows);
        }
        Ok(())
    }

    fn pass_together(&mut self, parts: &[(Sequence, &[TokenId])]) -> candle_core::Result<()> {
        for (sequence, tokens) in parts {
            let most = self.options.window_of(*sequence, self.window_tokens);
            let cache = &mut self.caches[sequence.index()];
            cache.reserve(cache.length() + tokens.len(), most)?;
        }
        // Each cache can be lent once.
        let mut caches: Vec<Option<&mut Cache>> = self.caches.iter_mut().map(Some).collect();
        let mut all = Vec::with_capacity(parts.len());
        for (sequence, tokens) in parts {
            let Some(cache) = caches[sequence.index()].take() else {
                return Err(candle_core::Error::Msg(format!("{sequence:?} twice")));
            };
            all.push(Part { tokens, cache, rows: 1 });
        }
        if let Some(logits) = forward(&self.thread, &self.decoder, &mut all)? {
            (self.logits, self.part_rows) = (logits, parts.len());
        }
        Ok(())
    }

    fn row(&mut self, place: usize) -> Result<&mut [f32], Error> {
        let width = self.vocab.len();
        self.logits.get_mut(place * width..(place + 1) * width).ok_or(Error::NoLogits)
    }
}

impl Engine for CandleEngine {
    fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    fn vocab(&self) -> &Arc<Vocab> {
        &self.vocab
    }

    fn select(&mut self, sequence: Sequence) {
        if sequence != self.sequence {
            self.sequence = sequence;
            self.rows = 0;
        }
    }

    fn context_window_tokens(&self) -> usize {
        self.window_of(self.sequence)
    }

    fn tokenize_raw(&self, text: &str) -> Result<Vec<TokenId>, Error> {
        self.tokenizer.tokenize(text).map_err(|reason| Error::Native { operation: "tokenising", reason })
    }

    fn position_tokens(&self) -> usize {
        self.cache().length()
    }

    fn draft_tokens(&self) -> Option<usize> {
        self.options.tuning.draft_tokens
    }

    fn truncate(&mut self, position_tokens: usize) -> Result<(), Error> {
        if position_tokens < self.position_tokens() {
            self.caches[self.sequence.index()].truncate(position_tokens);
            self.forget_logits();
        }
        Ok(())
    }

    fn read_for(&mut self, tokens: &[TokenId], rows: usize, cancel: &Cancel) -> Result<ReadReport, Error> {
        self.require_window(self.position_tokens() + tokens.len())?;
        self.vocab.require("reading tokens", tokens)?;
        let mut report = ReadReport { tokens_read: 0, forward_passes: 0 };
        for (pass, rows) in passes(tokens, rows, self.read_chunk) {
            if cancel.is_raised() {
                return Ok(report);
            }
            self.pass(pass, rows).map_err(native("reading tokens"))?;
            report.tokens_read += pass.len();
            report.forward_passes += 1;
        }
        Ok(report)
    }

    fn logits_behind(&mut self, back: usize) -> Result<&mut [f32], Error> {
        if back >= self.rows {
            return Err(Error::NoLogits);
        }
        self.row(self.rows - 1 - back)
    }

    fn lanes(&self) -> usize {
        self.options.lanes()
    }

    fn read_together(&mut self, parts: &[(Sequence, &[TokenId])]) -> Result<(), Error> {
        const READING: &str = "reading several sequences";
        let total: usize = parts.iter().map(|(_, tokens)| tokens.len()).sum();
        if total > MAX_TOGETHER || self.lanes() == 0 || parts.iter().any(|(_, tokens)| tokens.is_empty()) || total == 0
        {
            let reason = format!("{total} tokens, {} lanes", self.lanes());
            return Err(Error::Native { operation: READING, reason });
        }
        for (sequence, tokens) in parts {
            let needed_tokens = self.caches[sequence.index()].length() + tokens.len();
            let window_tokens = self.window_of(*sequence);
            if needed_tokens > window_tokens {
                return Err(Error::ContextOverflow { needed_tokens, window_tokens });
            }
            self.vocab.require(READING, tokens)?;
        }
        self.forget_logits();
        self.pass_together(parts).map_err(native(READING))
    }

    fn logits_of(&mut self, part: usize) -> Result<&mut [f32], Error> {
        if part >= self.part_rows {
            return Err(Error::NoLogits);
        }
        self.row(part)
    }

    fn copy(&mut self, from: Sequence, to: Sequence, tokens: usize) -> Result<(), Error> {
        const COPYING: &str = "copying a sequence";
        let held = self.caches[from.index()].length();
        let window_tokens = self.window_of(to);
        if from == to || tokens > held {
            let reason = format!("{tokens} of {held} tokens from {from:?} to {to:?}");
            return Err(Error::Native { operation: COPYING, reason });
        }
        if tokens > window_tokens {
            return Err(Error::ContextOverflow { needed_tokens: tokens, window_tokens });
        }
        self.forget_logits();
        match self.caches.get_disjoint_mut([from.index(), to.index()]) {
            Ok([from, to]) => from.copy_to(to, tokens, window_tokens).map_err(native(COPYING)),
            Err(error) => Err(Error::Native { operation: COPYING, reason: error.to_string() }),
        }
    }

    fn state_key(&self) -> &str {
        &self.state_key
    }

    fn state(&self) -> Result<Vec<u8>, Error> {
        self.cache().state().map_err(native("saving the cache"))
    }

    fn restore(&mut self, state: &[u8], position_tokens: usize) -> Result<(), Error> {
        self.require_window(position_tokens)?;
        self.forget_logits();
        let most = self.window_of(self.sequence);
        let cache = &mut self.caches[self.sequence.index()];
        cache.restore(state, position_tokens, most).map_err(native("restoring the cache"))
    }
}
