//! All conversations together: shares by kind and overall with their intervals, faults and costs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::costs::{Spread, spreads};
use super::interval::{Interval, share};
use super::row::FaultCounts;
use super::{Counted, Row};

/// What the figures depend on, beside the conversations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// Name of the model.
    pub model: String,
    /// Halves that were run.
    pub half: &'static str,
    /// Whether turns waited for idle work.
    pub idle: &'static str,
    /// Call format.
    pub profile: &'static str,
    /// Whether memory passes ran.
    pub memory_pass: bool,
    /// Temperature of the sampler.
    pub temperature: f32,
    /// Window in tokens.
    pub context_window: usize,
    /// Seed of the sample, of the first run's sampler and of the intervals.
    pub seed: u64,
    /// Runs of each conversation.
    pub seeds: u64,
}

/// Figures of the conversations of a kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KindFigures {
    /// Conversations, each counted once for each seed.
    pub conversations: usize,
    /// Checks.
    #[serde(flatten)]
    pub checks: Counted,
    /// Share of checks that passed; none where nothing was checked.
    pub share: Option<f64>,
    /// Its 95 % interval; none where fewer than two conversations have checks.
    pub interval: Option<Interval>,
}

/// Some of all, with its share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Part {
    /// Some.
    pub count: usize,
    /// All.
    pub total: usize,
    /// Some of all; none where there are none at all.
    pub share: Option<f64>,
}

impl Part {
    fn of((count, total): (usize, usize)) -> Self {
        Self { count, total, share: share((count, total)) }
    }
}

/// Figures of all conversations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Checks of all conversations.
    #[serde(flatten)]
    pub all: KindFigures,
    /// Whether all conversations that were chosen were run to their end.
    pub is_complete: bool,
    /// Checks by what is checked.
    pub by_check: BTreeMap<&'static str, Counted>,
    /// Faults.
    pub faults: FaultCounts,
    /// Turns of small talk in which core memory changed.
    pub small_talk_saved: Part,
    /// Turns that ask for what was never said in which something was invented.
    pub invented: Part,
    /// Asked replies that were right where much was said between.
    pub long_gap_replies: Part,
    /// Asked replies that were right in conversations with a restart.
    pub restart_replies: Part,
    /// Asked replies that were right after messages had left the window.
    pub eviction_replies: Part,
    /// What a turn cost.
    pub costs: BTreeMap<&'static str, Spread>,
    /// Wall time of all conversations, seconds.
    pub wall_s: f64,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Name of the bench.
    pub bench: &'static str,
    /// What the figures depend on.
    #[serde(flatten)]
    pub settings: Settings,
    /// Each conversation.
    pub rows: Vec<Row>,
    /// By kind; a conversation may be of several.
    pub kinds: BTreeMap<String, KindFigures>,
    /// All together.
    pub summary: Summary,
}

fn figures<'a>(rows: impl Iterator<Item = &'a Row> + Clone, seed: u64) -> KindFigures {
    let mut checks = Counted::default();
    rows.clone().for_each(|row| checks += row.checks);
    KindFigures {
        conversations: rows.clone().count(),
        checks,
        share: share(checks.tried()),
        interval: Interval::of(rows.map(|row| (row.name.as_str(), row.checks.tried())), seed),
    }
}

impl Summary {
    #[allow(clippy::cast_precision_loss)]
    fn of(rows: &[Row], seed: u64, is_complete: bool) -> Self {
        let of_kind = |kind: &'static str| rows.iter().filter(move |row| row.kinds.iter().any(|own| own == kind));
        let sum = |kind, of: fn(&Row) -> (usize, usize)| {
            Part::of(of_kind(kind).map(of).fold((0, 0), |sum, (count, total)| (sum.0 + count, sum.1 + total)))
        };
        let asked = |row: &Row| row.by_check.get("reply_any").copied().unwrap_or_default().tried();
        let (mut by_check, mut faults) = (BTreeMap::<_, Counted>::new(), FaultCounts::default());
        for row in rows {
            faults += row.faults;
            for (check, counted) in &row.by_check {
                *by_check.entry(*check).or_default() += *counted;
            }
        }
        let wall_ms: u64 = rows.iter().map(|row| row.wall_ms).sum();
        Self {
            all: figures(rows.iter(), seed),
            is_complete,
            by_check,
            faults,
            small_talk_saved: sum("small-talk", |row| (row.turns_with_changed_memory, row.faults.turns)),
            invented: sum("never-said", |row| (row.invented, row.never_said_turns)),
            long_gap_replies: sum("long-gap", asked),
            restart_replies: sum("restart", asked),
            eviction_replies: Part::of(rows.iter().fold((0, 0), |(passed, total), row| {
                (passed + row.asked_after_eviction.passed, total + row.asked_after_eviction.total)
            })),
            costs: spreads(rows.iter().flat_map(|row| &row.turn_costs)),
            wall_s: wall_ms as f64 / 1000.0,
        }
    }
}

impl Report {
    /// Sums the rows up; `is_complete` says whether all that were chosen are among them.
    #[must_use]
    pub fn new(settings: Settings, rows: Vec<Row>, is_complete: bool) -> Self {
        let seed = settings.seed;
        let mut names: Vec<&String> = rows.iter().flat_map(|row| &row.kinds).collect();
        names.sort_unstable();
        names.dedup();
        let of = |name: &String| figures(rows.iter().filter(move |row| row.kinds.contains(name)), seed);
        let kinds = names.into_iter().map(|name| (name.clone(), of(name))).collect();
        let summary = Summary::of(&rows, seed, is_complete);
        Self { bench: "agent", settings, rows, kinds, summary }
    }
}
