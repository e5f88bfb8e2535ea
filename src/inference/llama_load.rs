//! How a model gets into llama.cpp: what can be asked for, what is chosen where nothing is (window, threads, layers on a GPU),
//! and the native parameters made of both. The same for the engine and for the bare library beside it in benches.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};

use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::{LlamaBackendDevice, LlamaBackendDeviceType, LogOptions, list_llama_ggml_backend_devices};

use super::gguf::Gguf;
use super::{Error, GgufInfo, Sequence, Tuning};

/// Tokens read between two looks at the cancel flag. Reading rate against one batch of 512 on SmolLM2-135M, best of 3
/// runs on a 2-core machine that was busy otherwise, so rough: 0.88 at 64, 1.00 at 128, 1.04 at 256.
pub(super) const READ_CHUNK_TOKENS: usize = 128;
/// Window where none is asked for and the model was trained for more.
const DEFAULT_WINDOW_TOKENS: usize = 8192;
/// Smallest window that the memory bound leaves; below it no chat fits.
const LEAST_WINDOW_TOKENS: usize = 2048;
/// Share of the free memory, as 1/n, that the default window's KV cache may take.
const KV_MEMORY_SHARE: u64 = 4;
/// Window of each long side sequence, in tokens: a prompt of examples, and a piece of a message or what bears on a
/// question.
pub(super) const SIDE_WINDOW_TOKENS: usize = 2048;
/// Window of each further side sequence, in tokens: a prompt of examples, a line of core memory, and another line or a
/// piece of a message.
pub(super) const FURTHER_SIDE_WINDOW_TOKENS: usize = 1024;
/// Sequences of an agent: the conversation and those beside it.
const OWN_SEQUENCES: usize = Sequence::COUNT - Sequence::LANES as usize;
/// Cells of the cache for the sequences beside the conversation.
pub(super) const SIDE_CELLS: usize = 2 * SIDE_WINDOW_TOKENS + 2 * FURTHER_SIDE_WINDOW_TOKENS;
/// More layers than any model has.
const ALL_LAYERS: u32 = 9999;
/// Memory of a GPU that is left for results in between.
const GPU_WORK_BYTES: u64 = 512 << 20;

/// Where the model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// On a GPU where this build has one, else on the CPU.
    #[default]
    Auto,
    /// On the CPU.
    Cpu,
}

/// How to load a model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadOptions {
    /// Name to report; the file's stem where none is given.
    pub name: Option<String>,
    /// Window in tokens, at most the trained one. `None`: the trained one, at most 8192, less where memory is short.
    pub context_window: Option<usize>,
    /// Keys and values at 8 bits: half the memory.
    pub kv_q8: bool,
    /// Where to run.
    pub device: Device,
    /// How to run.
    pub tuning: Tuning,
    /// Texts that are to be written together, at most [`Sequence::LANES`].
    pub lanes: usize,
    /// Tokens for which each of them has room.
    pub lane_tokens: usize,
}

impl LoadOptions {
    /// Texts that can be written together.
    pub(super) fn lanes(&self) -> usize {
        self.lanes.min(usize::from(Sequence::LANES))
    }

    /// Cells of the cache beside those of the conversation.
    pub(super) fn side_cells(&self) -> usize {
        SIDE_CELLS + self.lanes() * self.lane_tokens
    }

    /// Threads for passes of few tokens.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.tuning.threads.unwrap_or_else(default_threads)
    }

    /// What is chosen for this machine and build, in words.
    ///
    /// # Errors
    /// llama.cpp cannot be initialised.
    pub fn in_words(&self) -> Result<String, Error> {
        let Tuning { read_threads, read_batch_tokens, flash_attention, lock_weights, gpu_layers, .. } = self.tuning;
        let threads = self.threads();
        let mut words = vec![format!("{threads} threads")];
        if let Some(read_threads) = read_threads.filter(|read_threads| *read_threads != threads) {
            words.push(format!("{read_threads} for reading"));
        }
        words.push(format!("{} tokens a pass", read_batch_tokens.unwrap_or(READ_CHUNK_TOKENS)));
        words.push(format!(
            "flash attention {}",
            match flash_attention {
                None => "where the device has it",
                Some(true) => "on",
                Some(false) => "off",
            }
        ));
        words.push(format!("keys and values at {} bits", if self.kv_q8 { 8 } else { 16 }));
        words.push(
            match self.tuning.map_weights {
                None => "weights mapped where memory is ample",
                Some(true) => "weights mapped",
                Some(false) => "weights read",
            }
            .to_owned(),
        );
        if lock_weights == Some(true) {
            words.push("and locked".to_owned());
        }
        words.push(match gpu_layers {
            _ if self.device == Device::Cpu || !backend()?.supports_gpu_offload() => "all on the CPU".to_owned(),
            Some(layers) => format!("{layers} layers on the GPU"),
            None => "as many layers on the GPU as its memory holds".to_owned(),
        });
        Ok(words.join(", "))
    }
}

/// The proof that llama.cpp is initialised. Its state is the process's own, so is this.
pub(super) fn backend() -> Result<&'static LlamaBackend, Error> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    BACKEND
        .get_or_init(|| {
            llama_cpp_2::send_logs_to_tracing(LogOptions::default());
            LlamaBackend::init().map_err(|error| error.to_string())
        })
        .as_ref()
        .map_err(|reason| Error::Native { operation: "initialising llama.cpp", reason: reason.clone() })
}

/// Threads to use where none are asked for: physical cores, at most as many as this process may run on.
fn default_threads() -> usize {
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    sysinfo::System::physical_core_count().unwrap_or(usable).clamp(1, usable)
}

/// Bytes of memory that are free for this process; no bound where the system does not say.
pub(super) fn free_memory_bytes() -> u64 {
    let Ok(mut system) = sysinfo::System::new() else { return u64::MAX };
    system.refresh_memory();
    let free = system.available_memory();
    system.cgroup_limits().map_or(free, |limits| free.min(limits.free_memory))
}

/// The window to use: what is asked for, at most the trained one; else a default that memory can hold.
pub(super) fn window_tokens(asked: Option<usize>, info: &GgufInfo, trained: usize, free_bytes: u64) -> usize {
    if let Some(asked) = asked {
        return asked.clamp(1, trained);
    }
    let left = free_bytes.saturating_sub(info.file_bytes) / KV_MEMORY_SHARE;
    let fitting = info
        .kv_bytes_per_token()
        .filter(|bytes| *bytes > 0)
        .map_or(usize::MAX, |bytes| usize::try_from(left / bytes).unwrap_or(usize::MAX))
        // The side sequences have their cells in the same cache.
        .saturating_sub(SIDE_CELLS);
    DEFAULT_WINDOW_TOKENS.min(fitting.max(LEAST_WINDOW_TOKENS)).min(trained)
}

/// Loads a model, telling `progress` how far it is (0 to 1); `progress` returns false to stop.
pub(super) fn load_model(
    path: &Path,
    options: &LoadOptions,
    progress: &mut dyn FnMut(f32) -> bool,
) -> Result<LlamaModel, Error> {
    let backend = backend()?;
    let gpu_layers = gpu_layers(path, options)?;
    let Tuning { lock_weights, .. } = options.tuning;
    let file_bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let maps_weights = options.tuning.maps_weights(file_bytes, free_memory_bytes());
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel();
    // The native callback must own what it touches, so it talks to `progress` through a channel.
    let outcome = std::thread::scope(|scope| {
        let flag = Arc::clone(&stop);
        let worker = scope.spawn(move || {
            let params = LlamaModelParams::default()
                .with_n_gpu_layers(gpu_layers)
                .with_use_mmap(maps_weights)
                .with_use_mlock(lock_weights.unwrap_or(false))
                .with_progress_callback(move |fraction| sender.send(fraction).is_ok() && !flag.load(Ordering::Relaxed));
            LlamaModel::load_from_file(backend, path, &params)
        });
        // Ends when the worker drops its sender.
        for fraction in receiver {
            if !progress(fraction) {
                stop.store(true, Ordering::Relaxed);
            }
        }
        worker.join()
    });
    let path = path.to_path_buf();
    match outcome {
        Ok(Ok(model)) if !stop.load(Ordering::Relaxed) => Ok(model),
        _ if stop.load(Ordering::Relaxed) => Err(Error::LoadCancelled { path }),
        Ok(Ok(_)) => Err(Error::LoadCancelled { path }),
        Ok(Err(error)) => Err(Error::LoadFailed { path, reason: error.to_string() }),
        Err(_) => Err(Error::LoadFailed { path, reason: "the loading thread panicked".to_owned() }),
    }
}

/// Parameters of a context; the same for the engine and for the bare rates beside it.
pub(super) fn context_params(window_tokens: usize, options: &LoadOptions) -> LlamaContextParams {
    let Tuning { read_threads, flash_attention, .. } = options.tuning;
    let threads = options.threads();
    let native = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let params = LlamaContextParams::default()
        .with_n_ctx(u32::try_from(window_tokens).ok().and_then(NonZeroU32::new))
        .with_n_seq_max(u32::try_from(OWN_SEQUENCES + options.lanes()).unwrap_or(u32::MAX))
        // All sequences share the cells: those beside the conversation take no more of them than they use.
        .with_kv_unified(true)
        .with_n_threads(native(threads))
        .with_n_threads_batch(native(read_threads.unwrap_or(threads)))
        .with_offload_kqv(options.device != Device::Cpu)
        .with_op_offload(options.device != Device::Cpu);
    if options.kv_q8 {
        // Values at 8 bits need flash attention.
        params
            .with_type_k(KvCacheType::Q8_0)
            .with_type_v(KvCacheType::Q8_0)
            .with_flash_attention_policy(llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_ENABLED)
    } else {
        params.with_flash_attention_policy(match flash_attention {
            None => llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_AUTO,
            Some(true) => llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_ENABLED,
            Some(false) => llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_DISABLED,
        })
    }
}

/// Layers to put on a GPU: as asked for, else as many as its free memory holds.
fn gpu_layers(path: &Path, options: &LoadOptions) -> Result<u32, Error> {
    if options.device == Device::Cpu || !backend()?.supports_gpu_offload() {
        return Ok(0);
    }
    if let Some(layers) = options.tuning.gpu_layers {
        return Ok(layers);
    }
    let is_gpu = |device: &LlamaBackendDevice| {
        matches!(device.device_type, LlamaBackendDeviceType::Gpu | LlamaBackendDeviceType::IntegratedGpu)
    };
    let free_bytes = list_llama_ggml_backend_devices()
        .iter()
        .filter(|device| is_gpu(device))
        .map(|device| device.memory_free as u64)
        .sum();
    Ok(fitting_layers(Gguf::open(path)?.info(), options.context_window, free_bytes))
}

/// How many layers fit into `free_bytes` with their part of the cache, of which some are left for the work itself; the
/// tensors beside the layers count as one more. [`ALL_LAYERS`] where all do.
fn fitting_layers(info: &GgufInfo, context_window: Option<usize>, free_bytes: u64) -> u32 {
    let Some(layers) = info.layers.filter(|layers| *layers > 0) else { return ALL_LAYERS };
    let window = context_window.unwrap_or(DEFAULT_WINDOW_TOKENS) + SIDE_CELLS;
    let cache_bytes = info.kv_bytes_per_token().unwrap_or_default().saturating_mul(window as u64);
    let layer_bytes = (info.file_bytes.saturating_add(cache_bytes) / (layers + 1)).max(1);
    let fitting = free_bytes.saturating_sub(GPU_WORK_BYTES) / layer_bytes;
    if fitting > layers { ALL_LAYERS } else { u32::try_from(fitting).unwrap_or(ALL_LAYERS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(file_bytes: u64) -> GgufInfo {
        GgufInfo {
            version: 3,
            architecture: "x".to_owned(),
            name: None,
            context_length_tokens: Some(32_768),
            layers: Some(28),
            heads: Some(12),
            kv_heads: Some(2),
            embedding_length: Some(1536),
            key_length: None,
            tokenizer_model: None,
            tokenizer_pre: None,
            vocab_tokens: 0,
            chat_template: None,
            file_type: None,
            tensor_count: 0,
            parameter_count: 0,
            data_end_bytes: 0,
            file_bytes,
        }
    }

    #[test]
    fn the_window_is_what_is_asked_for_or_what_memory_holds() {
        let gigabyte = 1 << 30;
        assert_eq!(info(0).kv_bytes_per_token(), Some(28 * 2 * 128 * 4));
        assert_eq!(window_tokens(Some(4096), &info(gigabyte), 32_768, 0), 4096);
        assert_eq!(window_tokens(Some(99_999), &info(gigabyte), 32_768, 0), 32_768);
        assert_eq!(window_tokens(None, &info(gigabyte), 32_768, 8 * gigabyte), 8192);
        // 1 GiB left, a quarter of it for 28 KiB a token: 9362, of which the side sequences take their part.
        let tight = window_tokens(None, &info(gigabyte), 32_768, 2 * gigabyte);
        assert_eq!(tight, 9362 - SIDE_CELLS);
        assert_eq!(window_tokens(None, &info(gigabyte), 32_768, 0), LEAST_WINDOW_TOKENS);
        assert_eq!(window_tokens(None, &info(gigabyte), 1024, 0), 1024);
    }

    #[test]
    fn a_gpu_gets_the_layers_that_its_free_memory_holds() {
        // 29 parts of a gigabyte and of 28 KiB for each token of the cache.
        let (gigabyte, window) = (1 << 30, Some(2048));
        let fitting = |free_bytes| fitting_layers(&info(gigabyte), window, free_bytes);
        assert_eq!(fitting(8 * gigabyte), ALL_LAYERS);
        assert_eq!(fitting(GPU_WORK_BYTES), 0);
        let part = (gigabyte + 28 * 1024 * (2048 + SIDE_CELLS as u64)) / 29;
        assert_eq!(fitting(GPU_WORK_BYTES + 10 * part), 10);
        assert_eq!(fitting(GPU_WORK_BYTES + 29 * part), ALL_LAYERS);
        assert_eq!(fitting_layers(&GgufInfo { layers: None, ..info(gigabyte) }, window, 0), ALL_LAYERS);
    }
}
