//! What turns cost, added up for the `turn` event.

use std::time::Duration;

use crate::inference::{GenerateStats, PrefixReport};
use crate::types::{StopReason, TurnReport};

/// Sums since a turn began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cost {
    forward_passes: u64,
    tokens_read: u64,
    tokens_reused: u64,
    tokens_recalled: u64,
    tokens_sampled: u64,
    tokens_forced: u64,
    tokens_drafted: u64,
    tokens_accepted: u64,
    call_tokens: u64,
    call_tokens_forced: u64,
    restore_ms: u64,
    read_ms: u64,
    decode_ms: u64,
    mask_us: u64,
}

impl Cost {
    pub(super) fn add_read(&mut self, report: &PrefixReport) {
        self.forward_passes += report.forward_passes;
        self.tokens_read += report.tokens_read as u64;
        self.tokens_reused += report.tokens_reused as u64;
        self.read_ms += report.read_ms;
    }

    pub(super) const fn add_restored_ms(&mut self, ms: u64) {
        self.restore_ms += ms;
    }

    pub(super) fn add_generation(&mut self, stats: &GenerateStats) {
        self.forward_passes += stats.forward_passes;
        self.tokens_sampled += stats.tokens_sampled;
        self.tokens_forced += stats.tokens_forced;
        self.tokens_drafted += stats.tokens_drafted;
        self.tokens_accepted += stats.tokens_accepted;
        self.decode_ms += stats.decode_ms;
        self.mask_us += stats.mask_us;
    }

    /// The generation has become a call.
    pub(super) const fn add_call(&mut self, stats: &GenerateStats) {
        self.call_tokens += stats.tokens_sampled + stats.tokens_forced;
        self.call_tokens_forced += stats.tokens_forced;
    }

    pub(super) fn add_recalled(&mut self, tokens: usize) {
        self.tokens_recalled += tokens as u64;
    }

    pub(super) fn add_mask(&mut self, spent: Duration) {
        self.mask_us += u64::try_from(spent.as_micros()).unwrap_or(u64::MAX);
    }

    pub(super) fn report(self, stop_reason: StopReason, steps: u32, wall: Duration) -> TurnReport {
        TurnReport {
            stop_reason,
            steps,
            forward_passes: self.forward_passes,
            tokens_read: self.tokens_read,
            tokens_reused: self.tokens_reused,
            tokens_recalled: self.tokens_recalled,
            tokens_sampled: self.tokens_sampled,
            tokens_forced: self.tokens_forced,
            tokens_drafted: self.tokens_drafted,
            tokens_accepted: self.tokens_accepted,
            call_tokens: self.call_tokens,
            call_tokens_forced: self.call_tokens_forced,
            restore_ms: self.restore_ms,
            read_ms: self.read_ms,
            decode_ms: self.decode_ms,
            mask_us: self.mask_us,
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
            idle_passes: 0,
            idle_ms: 0,
        }
    }

    pub(super) const fn forward_passes(self) -> u64 {
        self.forward_passes
    }
}
