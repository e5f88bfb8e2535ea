//! How a model is loaded, whatever the engine: what can be asked for, and what is chosen where nothing is (window, threads).

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::{Sequence, Tuning};
use crate::types::{Device, Hasher};

/// Tokens read between two looks at the cancel flag. Reading rate against one batch of 512 on SmolLM2-135M, best of 3
/// runs on a 2-core machine that was busy otherwise, so rough: 0.88 at 64, 1.00 at 128, 1.04 at 256.
pub(super) const READ_CHUNK_TOKENS: usize = 128;
/// Window where none is asked for and the model was trained for more.
pub(super) const DEFAULT_WINDOW_TOKENS: usize = 8192;
/// Smallest window that the memory bound leaves; below it no chat fits.
const LEAST_WINDOW_TOKENS: usize = 2048;
/// Share of the free memory, as 1/n, that the default window's KV cache may take.
const KV_MEMORY_SHARE: u64 = 4;
/// Window of the first side sequence, in tokens: a prompt of examples, and a piece of a message or what is looked at with a
/// question.
const SIDE_WINDOW_TOKENS: usize = 2048;
/// Window of each further side sequence, in tokens: a prompt of examples, a line of core memory, and another line or a
/// piece of a message.
const FURTHER_SIDE_WINDOW_TOKENS: usize = 1024;
/// Window of the fourth side sequence, in tokens: two dozen examples of answers, what bears on a question, an answer.
const ANSWER_WINDOW_TOKENS: usize = 3072;
/// Cells of the cache for the sequences beside the conversation.
pub(super) const SIDE_CELLS: usize = SIDE_WINDOW_TOKENS + 2 * FURTHER_SIDE_WINDOW_TOKENS + ANSWER_WINDOW_TOKENS;
/// Parts of a model file that tell it from another one of the same size and time, and their length.
const SAMPLES: u64 = 8;
const SAMPLE_BYTES: usize = 1 << 16;

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

    /// Most tokens of a sequence where the conversation has `window_tokens`.
    pub(super) fn window_of(&self, sequence: Sequence, window_tokens: usize) -> usize {
        match sequence {
            Sequence::Main => window_tokens,
            Sequence::Side => SIDE_WINDOW_TOKENS,
            Sequence::FourthSide => ANSWER_WINDOW_TOKENS,
            Sequence::SecondSide | Sequence::ThirdSide => FURTHER_SIDE_WINDOW_TOKENS,
            Sequence::Lane(lane) if usize::from(lane) < self.lanes() => self.lane_tokens,
            Sequence::Lane(_) => 0,
        }
    }

    /// Threads for passes of few tokens.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.tuning.threads.unwrap_or_else(default_threads)
    }
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
pub(super) fn window_tokens(
    asked: Option<usize>,
    kv_bytes_per_token: Option<u64>,
    weights_bytes: u64,
    trained: usize,
    free_bytes: u64,
) -> usize {
    if let Some(asked) = asked {
        return asked.clamp(1, trained);
    }
    let left = free_bytes.saturating_sub(weights_bytes) / KV_MEMORY_SHARE;
    let fitting = kv_bytes_per_token
        .filter(|bytes| *bytes > 0)
        .map_or(usize::MAX, |bytes| usize::try_from(left / bytes).unwrap_or(usize::MAX))
        // The side sequences have their cells in the same cache.
        .saturating_sub(SIDE_CELLS);
    DEFAULT_WINDOW_TOKENS.min(fitting.max(LEAST_WINDOW_TOKENS)).min(trained)
}

/// Whether `path` is a folder as published on the Hugging Face hub, or what is left of one.
#[must_use]
pub fn is_model_folder(path: &Path) -> bool {
    ["config.json", "model.safetensors", "model.safetensors.index.json"].iter().any(|name| path.join(name).is_file())
}

/// What tells a model file from another one: size, time and samples of its bytes; a hash of the whole would take seconds at
/// every start.
pub(super) fn fingerprint(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let metadata = file.metadata()?;
    let modified = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut hasher = Hasher::default();
    let mut sample = vec![0; SAMPLE_BYTES.min(usize::try_from(metadata.len()).unwrap_or(SAMPLE_BYTES))];
    for part in 0..SAMPLES {
        let last = metadata.len() - sample.len() as u64;
        file.seek(SeekFrom::Start(last / (SAMPLES - 1) * part))?;
        file.read_exact(&mut sample)?;
        hasher.update(&sample);
    }
    Ok(format!("{} bytes of {} ns; sha256 of samples {}", metadata.len(), modified.as_nanos(), hasher.hex()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_what_is_asked_for_or_what_memory_holds() {
        // 28 layers with 2 heads of 128 numbers.
        let (gigabyte, kv_bytes) = (1 << 30, Some(28 * 2 * 128 * 4));
        assert_eq!(window_tokens(Some(4096), kv_bytes, gigabyte, 32_768, 0), 4096);
        assert_eq!(window_tokens(Some(99_999), kv_bytes, gigabyte, 32_768, 0), 32_768);
        assert_eq!(window_tokens(None, kv_bytes, gigabyte, 32_768, 8 * gigabyte), 8192);
        // 1 GiB left, a quarter of it for 28 KiB a token: 9362, of which the side sequences take their part.
        assert_eq!(window_tokens(None, kv_bytes, gigabyte, 32_768, 2 * gigabyte), 9362 - SIDE_CELLS);
        assert_eq!(window_tokens(None, kv_bytes, gigabyte, 32_768, 0), LEAST_WINDOW_TOKENS);
        assert_eq!(window_tokens(None, kv_bytes, gigabyte, 1024, 0), 1024);
    }
}
