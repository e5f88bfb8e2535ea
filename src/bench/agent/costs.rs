//! What turns cost: the figures of one, and mean and ninetieth percentile of many.

use std::collections::BTreeMap;

use serde::Serialize;

/// Share of turns at or below the percentile that is told, in hundredths: what the slow ones are like.
const PERCENTILE: usize = 90;
const MS_PER_SECOND: f64 = 1000.0;

/// What one turn cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct TurnCost {
    /// Generations.
    pub steps: u64,
    /// Calls of the model's forward pass, those of idle work apart.
    pub forward_passes: u64,
    /// Prompt tokens read.
    pub tokens_read: u64,
    /// Prompt tokens that were in the cache already.
    pub tokens_reused: u64,
    /// Tokens sampled.
    pub tokens_sampled: u64,
    /// Tokens that the grammar left no choice about.
    pub tokens_forced: u64,
    /// From the message to the reply as the user sees it, milliseconds.
    pub reply_ms: u64,
    /// Forward passes of idle work.
    pub idle_passes: u64,
    /// Time of idle work, milliseconds.
    pub idle_ms: u64,
    /// Processor time of the turn and its idle work, milliseconds.
    pub cpu_ms: u64,
}

/// Mean and ninetieth percentile of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// Nine tenths of the turns are at or below it.
    pub p90: f64,
}

/// Names of the figures in the order in which they are told.
pub(super) const FIGURES: [&str; 10] = [
    "steps",
    "forward_passes",
    "tokens_read",
    "tokens_reused",
    "tokens_sampled",
    "tokens_forced",
    "reply_s",
    "idle_passes",
    "idle_ms",
    "cpu_s",
];

impl TurnCost {
    /// In the order of [`FIGURES`].
    #[allow(clippy::cast_precision_loss)]
    fn figures(&self) -> [f64; FIGURES.len()] {
        let Self { steps, forward_passes, tokens_read, tokens_reused, tokens_sampled, tokens_forced, .. } = *self;
        let Self { reply_ms, idle_passes, idle_ms, cpu_ms, .. } = *self;
        [
            steps as f64,
            forward_passes as f64,
            tokens_read as f64,
            tokens_reused as f64,
            tokens_sampled as f64,
            tokens_forced as f64,
            reply_ms as f64 / MS_PER_SECOND,
            idle_passes as f64,
            idle_ms as f64,
            cpu_ms as f64 / MS_PER_SECOND,
        ]
    }
}

/// The spread of each figure by its name; empty where there are no turns.
pub(super) fn spreads<'a>(turns: impl IntoIterator<Item = &'a TurnCost>) -> BTreeMap<&'static str, Spread> {
    let figures: Vec<_> = turns.into_iter().map(TurnCost::figures).collect();
    let spread = |(at, name)| {
        let mut values: Vec<f64> = figures.iter().filter_map(|turn| turn.get(at)).copied().collect();
        spread_of(&mut values).map(|spread| (name, spread))
    };
    FIGURES.into_iter().enumerate().filter_map(spread).collect()
}

/// The percentile is a value of a turn (nearest rank), not one between two.
#[allow(clippy::cast_precision_loss)]
fn spread_of(values: &mut [f64]) -> Option<Spread> {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * PERCENTILE).div_ceil(100);
    let p90 = values.get(rank.checked_sub(1)?).copied()?;
    Some(Spread { mean: values.iter().sum::<f64>() / values.len() as f64, p90 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_percentile_are_those_of_the_turns() {
        let turns: Vec<TurnCost> =
            (1..=20).map(|number| TurnCost { steps: number, reply_ms: 500, ..TurnCost::default() }).collect();
        let spreads = spreads(&turns);
        assert_eq!(spreads["steps"], Spread { mean: 10.5, p90: 18.0 });
        assert_eq!(spreads["reply_s"], Spread { mean: 0.5, p90: 0.5 });
        assert_eq!(spreads.len(), FIGURES.len());
        assert_eq!(spread_of(&mut [3.0]), Some(Spread { mean: 3.0, p90: 3.0 }));
        assert_eq!(spread_of(&mut []), None);
    }
}
