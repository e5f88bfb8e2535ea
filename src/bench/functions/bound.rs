//! How fast replies would come if there were nothing but reading and decoding: no grammar, no sampling, no waiting for the
//! longest of those that are written together.

use serde::{Deserialize, Serialize};

use super::Written;
use crate::inference::{Engine, Error, pass_costs};

/// Tokens of the pass by which reading is measured.
pub(super) const READ_AT_ONCE: usize = 256;
/// Times that each pass is run; the least counts.
const ROUNDS: usize = 5;

/// How fast replies came in a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// Replies that were written together.
    pub together: usize,
    /// Replies that this run has asked for; those of earlier runs are not among them.
    pub replies: usize,
    /// Replies a minute, all that is done about them included.
    pub per_minute: f64,
    /// As many as reading and decoding alone would allow, measured behind the run.
    pub bound_per_minute: f64,
    /// Energy that the processor took for a reply, joules; none where the machine does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joules_a_reply: Option<f64>,
}

impl std::fmt::Display for Throughput {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { together, replies, per_minute, bound_per_minute, joules_a_reply } = self;
        write!(
            formatter,
            "{replies} replies, {together} together: {per_minute:.1} a minute, {:.2} of the {bound_per_minute:.1} that reading \
             and decoding alone allow",
            per_minute / bound_per_minute.max(f64::MIN_POSITIVE)
        )?;
        joules_a_reply.map_or(Ok(()), |joules| write!(formatter, ", {joules:.1} J a reply"))
    }
}

/// What passes of the model cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// Milliseconds for a token of a prompt.
    read_ms: f64,
    /// Milliseconds for a token of a reply, among those that are written together.
    decode_ms: f64,
}

impl Bound {
    /// Runs passes behind so many tokens of a prompt, for `together` replies.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn measure(engine: &mut dyn Engine, prompt_tokens: usize, together: usize) -> Result<Self, Error> {
        let costs = pass_costs(engine, prompt_tokens, &[together, READ_AT_ONCE], ROUNDS)?;
        let of = |tokens: usize| costs.iter().find(|cost| cost.tokens == tokens);
        let read = of(READ_AT_ONCE).map_or(0.0, |cost| cost.of_a_prompt_ms);
        let decode = of(together).map_or(0.0, |cost| match together {
            1 => cost.of_a_prompt_ms,
            _ => cost.of_sequences_ms.unwrap_or(cost.of_a_prompt_ms),
        });
        Ok(Self { read_ms: read / READ_AT_ONCE as f64, decode_ms: decode / together as f64 })
    }

    /// How fast these replies came, written `together` in so many seconds and for so much energy.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn beside(&self, written: &[Written], together: usize, seconds: f64, joules: Option<f64>) -> Throughput {
        let per_minute = |seconds: f64| 60.0 * written.len() as f64 / seconds.max(f64::MIN_POSITIVE);
        let bound_per_minute = per_minute(self.seconds(written));
        let joules_a_reply = joules.map(|joules| joules / written.len().max(1) as f64);
        let (replies, per_minute) = (written.len(), per_minute(seconds));
        Throughput { together, replies, per_minute, bound_per_minute, joules_a_reply }
    }

    /// Seconds that these replies need: for the tokens of their prompts that no other had, and those that the model chose.
    #[allow(clippy::cast_precision_loss)]
    fn seconds(&self, written: &[Written]) -> f64 {
        let need = |one: &Written| one.tokens_read as f64 * self.read_ms + one.tokens_sampled as f64 * self.decode_ms;
        written.iter().map(need).sum::<f64>() / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_what_is_new_and_what_was_chosen() {
        let written = Written {
            text: String::new(),
            is_complete: true,
            is_closed: false,
            prompt_tokens: 400,
            tokens_read: 100,
            tokens_sampled: 10,
            tokens_forced: 30,
            read_ms: 1,
            write_ms: 1,
            failure: String::new(),
        };
        let bound = Bound { read_ms: 10.0, decode_ms: 50.0 };
        let found = bound.beside(&[written.clone(), written], 4, 4.0, Some(25.0));
        let expected = Throughput {
            together: 4,
            replies: 2,
            per_minute: 30.0,
            bound_per_minute: 40.0,
            joules_a_reply: Some(12.5),
        };
        assert_eq!(found, expected);
        assert_eq!(
            found.to_string(),
            "2 replies, 4 together: 30.0 a minute, 0.75 of the 40.0 that reading and decoding alone allow, 12.5 J a reply"
        );
    }
}
