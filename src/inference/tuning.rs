//! Settings of an engine that change how fast it is and how much memory it takes, and what it computes only by rounding.
//!
//! Whatever is left out is chosen by the engine, for this machine and model.

use serde::{Deserialize, Serialize};

/// Memory is ample for a file where so many times its size is free.
const AMPLE: u64 = 3;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tuning {
    /// Threads for passes of few tokens, where memory is the limit; left out: physical cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Threads for reading, where arithmetic is the limit; left out: as many as `threads`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_threads: Option<usize>,
    /// Most tokens that are read in one pass, between two looks at whether to stop; left out: 128.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_batch_tokens: Option<usize>,
    /// Attention without a matrix of all scores; left out: where the device has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flash_attention: Option<bool>,
    /// Whether the file of the weights is mapped instead of read; left out: where memory is ample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map_weights: Option<bool>,
    /// Whether the weights are kept from being swapped out; left out: no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_weights: Option<bool>,
    /// Most tokens that are guessed from the prompt and read together with one that is due; 0: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft_tokens: Option<usize>,
    /// Layers on the GPU; left out: as many as its free memory holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_layers: Option<u32>,
}

impl Tuning {
    /// The name of the first setting that is 0 where something is counted that there must be.
    #[must_use]
    pub fn zero(&self) -> Option<&'static str> {
        [("threads", self.threads), ("read_threads", self.read_threads), ("read_batch_tokens", self.read_batch_tokens)]
            .into_iter()
            .find_map(|(name, value)| (value == Some(0)).then_some(name))
    }

    /// Whether a file of so many bytes is mapped where so many bytes of memory are free. What is mapped stays in memory beside
    /// the copy that is made of it in an order that suits the processor (1944 against 1326 MB with Qwen2.5-Coder-1.5B), but
    /// is loaded sooner (1.2 against 1.8 s), and the next start finds it in the system's cache.
    #[must_use]
    pub fn maps_weights(&self, file_bytes: u64, free_bytes: u64) -> bool {
        self.map_weights.unwrap_or(free_bytes / AMPLE >= file_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_mapped_where_memory_is_ample_or_the_settings_say_so() {
        let chosen = Tuning::default();
        assert!(chosen.maps_weights(1000, 3000) && !chosen.maps_weights(1000, 2999));
        assert!(Tuning { map_weights: Some(true), ..chosen }.maps_weights(1000, 0));
        assert!(!Tuning { map_weights: Some(false), ..chosen }.maps_weights(1000, u64::MAX));
    }

    #[test]
    fn what_is_counted_is_not_zero() {
        assert_eq!(Tuning::default().zero(), None);
        assert_eq!(Tuning { draft_tokens: Some(0), ..Tuning::default() }.zero(), None);
        assert_eq!(Tuning { read_threads: Some(0), ..Tuning::default() }.zero(), Some("read_threads"));
    }
}
