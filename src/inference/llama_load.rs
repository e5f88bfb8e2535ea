//! How a model gets into llama.cpp: the native parameters made of what is asked for, and the layers that go onto a GPU. The
//! same for the engine and for the bare library beside it in benches.

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
use super::loading::{DEFAULT_WINDOW_TOKENS, READ_CHUNK_TOKENS, SIDE_CELLS, free_memory_bytes};
use super::{Error, GgufInfo, LoadOptions, Sequence, Tuning};
use crate::types::Device;

/// Sequences of an agent: the conversation and those beside it.
const OWN_SEQUENCES: usize = Sequence::COUNT - Sequence::LANES as usize;
/// More layers than any model has.
const ALL_LAYERS: u32 = 9999;
/// Memory of a GPU that is left for results in between.
const GPU_WORK_BYTES: u64 = 512 << 20;

impl LoadOptions {
    /// Cells of the cache beside those of the conversation.
    pub(super) fn side_cells(&self) -> usize {
        SIDE_CELLS + self.lanes() * self.lane_tokens
    }

    /// What is chosen for this machine, this build and the model in a file, in words; without one, what it depends on.
    ///
    /// # Errors
    /// llama.cpp cannot be initialised, or the file cannot be read.
    pub fn in_words(&self, model: Option<&Path>) -> Result<String, Error> {
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
                None => "as llama.cpp chooses",
                Some(true) => "on",
                Some(false) => "off",
            }
        ));
        words.push(format!("keys and values at {} bits", if self.kv_q8 { 8 } else { 16 }));
        let file_bytes = model.and_then(|path| path.metadata().ok()).map(|metadata| metadata.len());
        let is_mapped =
            file_bytes.map(|bytes| self.tuning.maps_weights(bytes, free_memory_bytes())).or(self.tuning.map_weights);
        words.push(
            match is_mapped {
                None => "weights mapped where memory is ample",
                Some(true) => "weights mapped",
                Some(false) => "weights read",
            }
            .to_owned(),
        );
        if lock_weights == Some(true) {
            words.push("and locked".to_owned());
        }
        words.push(match (gpu_layers, model) {
            _ if self.device == Device::Cpu || !backend()?.supports_gpu_offload() => "all on the CPU".to_owned(),
            (Some(layers), _) => format!("{layers} layers on the GPU"),
            (None, Some(path)) => format!("{} layers on the GPU", self::gpu_layers(path, self)?),
            (None, None) => "as many layers on the GPU as its memory holds".to_owned(),
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

/// Loads a model, telling `progress` how far it is (0 to 1); `progress` returns false to stop.
pub(super) fn load_model(
    path: &Path,
    options: &LoadOptions,
    progress: &mut dyn FnMut(f32) -> bool,
) -> Result<LlamaModel, Error> {
    let backend = backend()?;
    let gpu_layers = gpu_layers(path, options)?;
    let main_gpu = match options.device {
        Device::Cuda(number) => i32::try_from(number).unwrap_or(i32::MAX),
        Device::Auto | Device::Cpu | Device::Metal => 0,
    };
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
                .with_main_gpu(main_gpu)
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
        Ok(Err(error)) => Err(Error::LoadFailed { engine: "llama.cpp", path, reason: error.to_string() }),
        Err(_) => {
            Err(Error::LoadFailed { engine: "llama.cpp", path, reason: "the loading thread panicked".to_owned() })
        }
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
    if options.device == Device::Cpu {
        return Ok(0);
    }
    if !backend()?.supports_gpu_offload() {
        return match options.device {
            Device::Cuda(_) | Device::Metal => {
                let reason = "llama.cpp in this build runs on the CPU alone, or finds no GPU".to_owned();
                Err(Error::NoDevice { device: options.device, reason })
            }
            Device::Auto | Device::Cpu => Ok(0),
        };
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
    fn a_gpu_gets_the_layers_that_its_free_memory_holds() {
        assert_eq!(info(0).kv_bytes_per_token(), Some(28 * 2 * 128 * 4));
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
