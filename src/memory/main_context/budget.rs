//! Shares of the context window: one struct with every threshold of the queue manager.

use serde::{Deserialize, Serialize};

use super::super::error::{Error, Result};

/// Thresholds of the queue manager. Tokens are those of the loaded model's own tokenizer; fractions are of the real
/// window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueLimits {
    /// Share of the window from which the model is warned, once per period. 0.7: the paper's value; what is left is
    /// time to save something before the eviction.
    pub warn_fraction: f64,
    /// The warning comes at the latest when the prompt has this share of the length above which messages are evicted:
    /// in small windows the reserves take more than `warn_fraction` leaves, and a message or two are to be saved in
    /// between.
    pub latest_warn_fraction: f64,
    /// Share of the queue's tokens that one eviction frees. 0.5: evicting seldom keeps the KV cache useful.
    pub evict_fraction: f64,
    /// Share of the window that is kept free for the answer, unless `answer_reserve_max_tokens` is less.
    pub answer_reserve_fraction: f64,
    /// Most tokens that are kept free for the answer.
    pub answer_reserve_max_tokens: usize,
    /// Share of the window that is kept free for one function result, unless `result_reserve_max_tokens` is less. It
    /// is given up before anything of the last exchange is paged out.
    pub result_reserve_fraction: f64,
    /// Most tokens that are kept free for one function result.
    pub result_reserve_max_tokens: usize,
    /// Messages at the end of the queue that an eviction never takes.
    pub keep_last_messages: usize,
    /// Least tokens of the queue that must fit beside the fixed part of the prompt, or an agent does not start: a short
    /// exchange with a call that saves a line, and its result.
    pub min_queue_tokens: usize,
    /// Upper bound for a summary, in words. A longer one is cut at a sentence.
    pub summary_max_words: usize,
    /// A summary of so few words is not shortened further where the window is tight.
    pub summary_min_words: usize,
    /// Most tokens that the model may write for a summary: its words, with room for languages of many tokens a word.
    pub summary_max_tokens: usize,
    /// Share of the window that the messages of one summary call may fill; more is summarised in several calls.
    pub summary_input_fraction: f64,
    /// Characters of a paged-out message that stay in its stub, half of its beginning and half of its end: what is
    /// asked about a pasted text stands at either.
    pub stub_chars: usize,
    /// Tokens that a message costs beyond its text (role, time, template). Only plans use it; whether a prompt fits is
    /// always counted on the whole prompt.
    pub message_overhead_tokens: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            warn_fraction: 0.7,
            latest_warn_fraction: 0.9,
            evict_fraction: 0.5,
            answer_reserve_fraction: 0.25,
            answer_reserve_max_tokens: 512,
            result_reserve_fraction: 0.1,
            result_reserve_max_tokens: 768,
            keep_last_messages: 3,
            min_queue_tokens: 320,
            summary_max_words: 120,
            summary_min_words: 16,
            summary_max_tokens: 320,
            summary_input_fraction: 0.5,
            stub_chars: 300,
            message_overhead_tokens: 12,
        }
    }
}

impl QueueLimits {
    /// Refuses values that could not work.
    ///
    /// # Errors
    /// The first value that contradicts its meaning or another.
    pub fn validate(&self) -> Result<()> {
        let fractions = [
            ("warn_fraction", self.warn_fraction),
            ("latest_warn_fraction", self.latest_warn_fraction),
            ("evict_fraction", self.evict_fraction),
            ("answer_reserve_fraction", self.answer_reserve_fraction),
            ("summary_input_fraction", self.summary_input_fraction),
        ];
        for (name, value) in fractions {
            if !(value > 0.0 && value <= 1.0) {
                return Err(Error::BadLimits { reason: format!("{name} is {value}; it must be over 0 and at most 1") });
            }
        }
        if !(self.result_reserve_fraction >= 0.0 && self.answer_reserve_fraction + self.result_reserve_fraction < 0.9) {
            return Err(Error::BadLimits {
                reason: format!(
                    "answer_reserve_fraction {} and result_reserve_fraction {} leave less than a tenth of the window",
                    self.answer_reserve_fraction, self.result_reserve_fraction
                ),
            });
        }
        let smallest = [
            ("answer_reserve_max_tokens", self.answer_reserve_max_tokens, 16),
            ("keep_last_messages", self.keep_last_messages, 3),
            ("summary_max_words", self.summary_max_words, 10),
            ("summary_max_tokens", self.summary_max_tokens, 32),
            ("stub_chars", self.stub_chars, 20),
        ];
        for (name, value, least) in smallest {
            if value < least {
                return Err(Error::BadLimits { reason: format!("{name} is {value}; it must be at least {least}") });
            }
        }
        Ok(())
    }

    /// Tokens kept free for the answer.
    #[must_use]
    pub fn answer_reserve_tokens(&self, window_tokens: usize) -> usize {
        share(window_tokens, self.answer_reserve_fraction).min(self.answer_reserve_max_tokens)
    }

    /// Tokens kept free for one function result, beyond the answer reserve.
    #[must_use]
    pub fn result_reserve_tokens(&self, window_tokens: usize) -> usize {
        share(window_tokens, self.result_reserve_fraction).min(self.result_reserve_max_tokens)
    }

    /// The longest prompt that leaves room for an answer.
    #[must_use]
    pub fn prompt_limit_tokens(&self, window_tokens: usize) -> usize {
        window_tokens.saturating_sub(self.answer_reserve_tokens(window_tokens))
    }

    /// The prompt length above which messages are evicted.
    #[must_use]
    pub fn evict_above_tokens(&self, window_tokens: usize) -> usize {
        self.prompt_limit_tokens(window_tokens).saturating_sub(self.result_reserve_tokens(window_tokens))
    }

    /// The prompt length from which the model is warned: clearly before the eviction, also in small windows, where the
    /// reserves take more than the warning leaves.
    #[must_use]
    pub fn warn_from_tokens(&self, window_tokens: usize) -> usize {
        share(window_tokens, self.warn_fraction)
            .min(share(self.evict_above_tokens(window_tokens), self.latest_warn_fraction))
    }

    /// Tokens that the messages of one summary call may have.
    #[must_use]
    pub fn summary_input_tokens(&self, window_tokens: usize) -> usize {
        share(window_tokens, self.summary_input_fraction).max(1)
    }

    /// Tokens that one eviction should free, of a queue of that many.
    #[must_use]
    pub fn evict_target_tokens(&self, queue_tokens: usize) -> usize {
        share(queue_tokens, self.evict_fraction).max(1)
    }
}

/// A share of a token count, rounded down. Counts are far below 2^52, so the detour over `f64` is exact enough.
fn share(tokens: usize, fraction: f64) -> usize {
    (tokens as f64 * fraction) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserves_are_shares_of_small_windows_and_constants_of_large_ones() {
        let limits = QueueLimits::default();
        assert_eq!(limits.answer_reserve_tokens(1024), 256);
        assert_eq!(limits.answer_reserve_tokens(32_768), 512);
        assert_eq!(limits.result_reserve_tokens(32_768), 768);
        assert_eq!(limits.prompt_limit_tokens(32_768), 32_256);
        assert_eq!(limits.warn_from_tokens(32_768), 22_937);
    }

    #[test]
    fn the_warning_comes_before_the_eviction() {
        let limits = QueueLimits::default();
        for window in [256, 1024, 2048, 4096, 131_072] {
            assert!(limits.warn_from_tokens(window) < limits.evict_above_tokens(window), "{window}");
        }
    }

    #[test]
    fn limits_that_cannot_work_are_refused() {
        assert!(QueueLimits::default().validate().is_ok());
        let broken = [
            QueueLimits { warn_fraction: 0.0, ..Default::default() },
            QueueLimits { evict_fraction: f64::NAN, ..Default::default() },
            QueueLimits { answer_reserve_fraction: 0.8, result_reserve_fraction: 0.3, ..Default::default() },
            QueueLimits { keep_last_messages: 2, ..Default::default() },
            QueueLimits { summary_max_words: 0, ..Default::default() },
        ];
        for limits in broken {
            assert!(limits.validate().is_err(), "{limits:?}");
        }
    }

    #[test]
    fn a_config_may_name_only_what_it_changes() {
        let limits: QueueLimits = serde_json::from_str(r#"{"warn_fraction": 0.6}"#).unwrap();
        assert_eq!(limits, QueueLimits { warn_fraction: 0.6, ..Default::default() });
        assert!(serde_json::from_str::<QueueLimits>(r#"{"warn_fractoin": 0.6}"#).is_err());
    }
}
