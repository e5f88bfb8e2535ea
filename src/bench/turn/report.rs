//! The figures of the turns, as JSON and as a table.

use std::time::Duration;

use serde::Serialize;

use crate::bench::machine::{Machine, median};
use crate::types::{TurnReport, counted};

/// What is in the memory of the process while a model answers, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Footprint {
    /// Most memory that the process had; 0 where the system does not tell.
    pub peak_rss_bytes: u64,
    /// Weights, those in an order that suits the processor included; none where the engine does not tell.
    pub weights_bytes: Option<u64>,
    /// Keys and values of all sequences; none as above.
    pub kv_bytes: Option<u64>,
    /// Results in between, and logits; none as above.
    pub compute_bytes: Option<u64>,
    /// Weights of the embedder; 0 where there is none.
    pub embedder_bytes: u64,
}

impl Footprint {
    /// What is in memory beyond all that is listed; none where system or engine do not tell.
    #[must_use]
    pub fn unlisted_bytes(&self) -> Option<u64> {
        let listed = self.weights_bytes? + self.kv_bytes? + self.compute_bytes? + self.embedder_bytes;
        (self.peak_rss_bytes > 0).then(|| self.peak_rss_bytes.saturating_sub(listed))
    }
}

/// What a turn and the idle time behind it have done with the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Happened {
    /// Whether older messages were summarised or cut off in the turn.
    pub evicted: bool,
    /// Whether they were in the idle time behind it.
    pub evicted_behind: bool,
    /// Edits of core memory and passages stored.
    pub edits: u32,
    /// Searches that were called for.
    pub searches: u32,
}

/// What one round has measured of a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// What the agent reports.
    pub turn: TurnReport,
    /// From the message to the first logits.
    pub first_token: Duration,
    /// Time in statements of the database.
    pub database: Duration,
    /// Those of them that stored a reply while it was written: they stand in the time of decoding as well.
    pub database_while_decoding: Duration,
    /// The library alone, reading the tokens that had to be read.
    pub bound: Duration,
    /// That part of it which comes before the first token.
    pub first_bound: Duration,
    /// Tokens that the engine has read, sampled ones included.
    pub engine_tokens: usize,
    /// Those of them that an earlier prompt of their sequence had held.
    pub known_tokens: usize,
    /// What happened in it and in the idle time behind it.
    pub happened: Happened,
    /// Tokens of a saved state that was taken up in it, or before it since the last turn.
    pub restored_tokens: usize,
    /// How long the library alone takes to read them again, and then what was new before the first token.
    pub reread: Duration,
}

/// A turn: what the agent reports of it, each time the median of the rounds, and what it takes at least.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its number, from 1.
    pub turn_number: usize,
    /// What the agent reports.
    #[serde(flatten)]
    pub turn: TurnReport,
    /// Lower bound of `wall_ms`.
    pub bound_ms: f64,
    /// From the message to the first logits.
    pub first_token_ms: f64,
    /// Time in statements of the database.
    pub database_ms: f64,
    /// Time in the grammar.
    pub mask_ms: f64,
    /// Time for decoding without the grammar.
    pub sample_ms: f64,
    /// What is left: searching by meaning, writing events, and all else.
    pub other_ms: f64,
    /// Tokens that the engine has read, sampled ones included.
    pub engine_tokens: usize,
    /// Those of them that an earlier prompt of their sequence had held: they were read twice.
    pub known_tokens: usize,
    /// What happened to the memory.
    #[serde(flatten)]
    pub happened: Happened,
}

/// The figures of all turns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// Mean time of a turn.
    pub mean_wall_ms: f64,
    /// Time of all turns by the lower bound of all turns; none beside an engine that needs no time.
    pub bound_ratio: Option<f64>,
    /// Share of the prompts' tokens that were in the cache.
    pub reused_share: f64,
    /// Share of the tokens in calls that the grammar left no choice about; none where no call was made.
    pub forced_share: Option<f64>,
    /// From the first message after the restart to the first token, taking up the saved state included.
    pub resume_ms: f64,
    /// What was new by then, read by the library alone.
    pub resume_bound_ms: f64,
    /// The same if all had to be read again, by the library alone.
    pub resume_reread_ms: f64,
    /// Taking up the saved state: reading, verifying and restoring it.
    pub restore_ms: f64,
    /// Tokens of that state.
    pub restored_tokens: usize,
    /// Memory.
    #[serde(flatten)]
    pub footprint: Footprint,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// `turn`.
    pub bench: &'static str,
    /// Name of the model.
    pub model: String,
    /// Where.
    pub machine: Machine,
    /// What the conversation is about.
    pub about: String,
    /// Times that it was held.
    pub rounds: usize,
    /// The program was started anew before this turn.
    pub restart_before: usize,
    /// Reading rate of the library alone over the new tokens of all passes of more than one token, tokens/s.
    pub read_rate: f64,
    /// Its rate over passes of one token, tokens/s.
    pub decode_rate: f64,
    /// By turn.
    pub turns: Vec<Row>,
    /// All of them.
    pub summary: Summary,
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// How many times the bound a time is; none where nothing bounds it.
fn ratio(ms: f64, bound_ms: f64) -> Option<f64> {
    (bound_ms > 0.0).then(|| ms / bound_ms)
}

#[allow(clippy::cast_precision_loss)]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / (whole as f64).max(1.0)
}

impl Row {
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn of(turn_number: usize, rounds: &[&Measured]) -> Option<Self> {
        let first = rounds.first()?;
        let of = |figure: &dyn Fn(&Measured) -> f64| median(&rounds.iter().map(|one| figure(one)).collect::<Vec<_>>());
        let whole = |figure: &dyn Fn(&TurnReport) -> u64| of(&|one| figure(&one.turn) as f64).round() as u64;
        let turn = TurnReport {
            restore_ms: whole(&|turn| turn.restore_ms),
            read_ms: whole(&|turn| turn.read_ms),
            decode_ms: whole(&|turn| turn.decode_ms),
            mask_us: whole(&|turn| turn.mask_us),
            wall_ms: whole(&|turn| turn.wall_ms),
            idle_ms: whole(&|turn| turn.idle_ms),
            ..first.turn.clone()
        };
        let mask_ms = turn.mask_us as f64 / 1000.0;
        let database_ms = of(&|one| ms(one.database));
        let stored_ms = of(&|one| ms(one.database_while_decoding));
        let sample_ms = (turn.decode_ms as f64 - mask_ms - stored_ms).max(0.0);
        let parts = turn.read_ms as f64 + sample_ms + mask_ms + database_ms;
        Some(Self {
            turn_number,
            other_ms: (turn.wall_ms as f64 - parts).max(0.0),
            turn,
            bound_ms: of(&|one| ms(one.bound)),
            first_token_ms: of(&|one| ms(one.first_token)),
            database_ms,
            mask_ms,
            sample_ms,
            engine_tokens: first.engine_tokens,
            known_tokens: first.known_tokens,
            happened: first.happened,
        })
    }

    /// What is worth a remark; `restarted` before it.
    pub(super) fn remark(&self, restarted: bool) -> String {
        let Happened { evicted, evicted_behind, edits, searches } = self.happened;
        let counts = [(edits, "edit", "edits"), (searches, "search", "searches")];
        let counts = counts.into_iter().filter(|(count, ..)| *count > 0);
        let told = [(restarted, "restarted"), (evicted, "summarised"), (evicted_behind, "summarised behind it")];
        let told = told.into_iter().filter(|(is_so, _)| *is_so).map(|(_, text)| text.to_owned());
        let counts = counts.map(|(count, one, many)| counted(u64::from(count), one, many));
        told.chain(counts).collect::<Vec<_>>().join(", ")
    }

    /// The parts of its time, in the order of [`PARTS`].
    pub(super) fn parts(&self) -> [f64; PARTS.len()] {
        #[allow(clippy::cast_precision_loss)]
        let read = self.turn.read_ms as f64;
        [read, self.sample_ms, self.mask_ms, self.database_ms, self.other_ms]
    }
}

/// What the time of a turn goes into.
pub(super) const PARTS: [&str; 5] = ["read", "sample", "mask", "database", "other"];

/// What was measured, round by round, each with as many turns as there are messages.
#[derive(Debug, Clone)]
pub struct Rounds<'a> {
    /// Name of the model.
    pub model: String,
    /// The conversation.
    pub conversation: &'a super::Conversation,
    /// By round and turn.
    pub measured: Vec<Vec<Measured>>,
    /// Reading and decoding of the library alone: tokens, and the time they took.
    pub read: (usize, Duration),
    /// See `read`.
    pub decoded: (usize, Duration),
    /// Memory, before the library alone was loaded.
    pub footprint: Footprint,
}

impl Report {
    /// Puts the rounds together.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn new(rounds: Rounds<'_>) -> Self {
        let Rounds { model, conversation, measured, read, decoded, footprint } = rounds;
        let turns: Vec<Row> = (0..conversation.messages.len())
            .filter_map(|turn| {
                let of_turn: Vec<&Measured> = measured.iter().filter_map(|round| round.get(turn)).collect();
                Row::of(turn + 1, &of_turn)
            })
            .collect();
        let sum = |figure: &dyn Fn(&Row) -> f64| turns.iter().map(figure).sum::<f64>();
        let count = |figure: &dyn Fn(&TurnReport) -> u64| turns.iter().map(|row| figure(&row.turn)).sum::<u64>();
        let resumed: Vec<&Measured> =
            measured.iter().filter_map(|round| round.get(conversation.restart_before - 1)).collect();
        let of_resumed =
            |figure: &dyn Fn(&Measured) -> f64| median(&resumed.iter().map(|one| figure(one)).collect::<Vec<_>>());
        let (reused, new) = (count(&|turn| turn.tokens_reused), count(&|turn| turn.tokens_read));
        let call_tokens = count(&|turn| turn.call_tokens);
        let restore_ms = of_resumed(&|one| one.turn.restore_ms as f64);
        let summary = Summary {
            mean_wall_ms: sum(&|row| row.turn.wall_ms as f64) / (turns.len() as f64).max(1.0),
            bound_ratio: ratio(sum(&|row| row.turn.wall_ms as f64), sum(&|row| row.bound_ms)),
            reused_share: share(reused, reused + new),
            forced_share: (call_tokens > 0).then(|| share(count(&|turn| turn.call_tokens_forced), call_tokens)),
            resume_ms: restore_ms + of_resumed(&|one| ms(one.first_token)),
            resume_bound_ms: of_resumed(&|one| ms(one.first_bound)),
            resume_reread_ms: of_resumed(&|one| ms(one.reread)),
            restore_ms,
            restored_tokens: resumed.first().map_or(0, |one| one.restored_tokens),
            footprint,
        };
        let rate = |(tokens, spent): (usize, Duration)| tokens as f64 / spent.as_secs_f64().max(1e-9);
        Self {
            bench: "turn",
            model,
            machine: Machine::detect(),
            about: conversation.about.clone(),
            rounds: measured.len(),
            restart_before: conversation.restart_before,
            read_rate: rate(read),
            decode_rate: rate(decoded),
            turns,
            summary,
        }
    }

    /// One line that says what was measured where.
    pub(super) fn heading(&self) -> String {
        format!(
            "{} · {} · {} cores · {} turns, {}; the library alone reads {:.1} and decodes {:.1} tokens/s",
            self.model,
            self.machine.cpu,
            self.machine.cores,
            self.turns.len(),
            counted(self.rounds as u64, "round", "rounds"),
            self.read_rate,
            self.decode_rate,
        )
    }

    /// The heads of the table.
    pub(super) const HEADS: [&'static str; 13] = [
        "turn",
        "wall, s",
        "bound, s",
        "ratio",
        "read",
        "reused",
        "twice",
        "sampled",
        "forced",
        "read, s",
        "sample, s",
        "rest, s",
        "",
    ];

    /// The cells of the table, row by row.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn cells(&self) -> impl Iterator<Item = [String; Self::HEADS.len()]> {
        let seconds = |ms: f64| format!("{:.2}", ms / 1000.0);
        self.turns.iter().map(move |row| {
            let turn = &row.turn;
            let wall = turn.wall_ms as f64;
            let remark = row.remark(row.turn_number == self.restart_before);
            [
                row.turn_number.to_string(),
                seconds(wall),
                seconds(row.bound_ms),
                ratio(wall, row.bound_ms).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
                turn.tokens_read.to_string(),
                turn.tokens_reused.to_string(),
                row.known_tokens.to_string(),
                turn.tokens_sampled.to_string(),
                turn.tokens_forced.to_string(),
                seconds(turn.read_ms as f64),
                seconds(row.sample_ms),
                seconds(row.mask_ms + row.database_ms + row.other_ms),
                remark,
            ]
        })
    }

    /// The summary in sentences.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn summary_lines(&self) -> Vec<String> {
        let Summary { footprint, .. } = self.summary;
        let megabytes = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
        let or_unknown = |bytes: Option<u64>| bytes.map_or_else(|| "unknown".to_owned(), megabytes);
        let forced = self.summary.forced_share.map_or_else(
            || "no call was made".to_owned(),
            |share| format!("{:.0} % of call tokens forced", share * 100.0),
        );
        let (drafted, accepted) = self.turns.iter().fold((0, 0), |(drafted, accepted), row| {
            (drafted + row.turn.tokens_drafted, accepted + row.turn.tokens_accepted)
        });
        let bound =
            self.summary.bound_ratio.map_or_else(String::new, |ratio| format!(", {ratio:.2} of the lower bound"));
        let drafts =
            if drafted == 0 { "no drafts".to_owned() } else { format!("{accepted} of {drafted} drafted tokens came") };
        vec![
            format!(
                "mean turn {:.2} s{bound}; {:.1} % of the prompts' tokens were in the cache; {forced}; {drafts}",
                self.summary.mean_wall_ms / 1000.0,
                self.summary.reused_share * 100.0,
            ),
            format!(
                "after the restart: {} tokens taken up in {:.0} ms, first token after {:.2} s, of which the library alone needs \
                 {:.2} s for what is new; reading all again takes it {:.2} s",
                self.summary.restored_tokens,
                self.summary.restore_ms,
                self.summary.resume_ms / 1000.0,
                self.summary.resume_bound_ms / 1000.0,
                self.summary.resume_reread_ms / 1000.0,
            ),
            format!(
                "memory at most {}: weights {}, keys and values {}, results in between {}, embedder {}, all else {}",
                megabytes(footprint.peak_rss_bytes),
                or_unknown(footprint.weights_bytes),
                or_unknown(footprint.kv_bytes),
                or_unknown(footprint.compute_bytes),
                megabytes(footprint.embedder_bytes),
                or_unknown(footprint.unlisted_bytes()),
            ),
        ]
    }

    /// The figures as a table for the terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let mut widths = Self::HEADS.map(str::len);
        let rows: Vec<_> = self.cells().collect();
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.len());
            }
        }
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
            cells.join("  ").trim_end().to_owned()
        };
        let heads = Self::HEADS.map(str::to_owned);
        let body = std::iter::once(line(&heads)).chain(rows.iter().map(|row| line(row)));
        let lines: Vec<String> = std::iter::once(self.heading()).chain(body).chain(self.summary_lines()).collect();
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::StopReason;

    fn measured(decode_ms: u64) -> Measured {
        let turn = TurnReport {
            stop_reason: StopReason::Answer,
            steps: 1,
            forward_passes: 9,
            tokens_read: 50,
            tokens_reused: 100,
            tokens_recalled: 0,
            tokens_sampled: 8,
            tokens_forced: 0,
            tokens_drafted: 0,
            tokens_accepted: 0,
            call_tokens: 0,
            call_tokens_forced: 0,
            restore_ms: 0,
            read_ms: 300,
            decode_ms,
            mask_us: 20_000,
            wall_ms: 700,
            idle_passes: 0,
            idle_ms: 0,
        };
        Measured {
            turn,
            first_token: Duration::from_millis(310),
            database: Duration::from_millis(30),
            database_while_decoding: Duration::from_millis(12),
            bound: Duration::from_millis(650),
            first_bound: Duration::from_millis(290),
            engine_tokens: 58,
            known_tokens: 0,
            happened: Happened { evicted_behind: true, edits: 2, ..Happened::default() },
            restored_tokens: 0,
            reread: Duration::ZERO,
        }
    }

    #[test]
    fn the_parts_of_a_turn_make_its_time() {
        let rounds = [measured(340), measured(360)];
        let row = Row::of(1, &rounds.iter().collect::<Vec<_>>()).unwrap();
        // What is stored while a reply is written is no part of sampling.
        assert!((row.sample_ms - (350.0 - 20.0 - 12.0)).abs() < 1e-6, "{}", row.sample_ms);
        assert!((row.parts().iter().sum::<f64>() - 700.0).abs() < 1e-6, "{:?}", row.parts());
        assert_eq!(row.remark(true), "restarted, summarised behind it, 2 edits");
    }

    #[test]
    fn what_is_not_listed_is_known_where_all_else_is() {
        let listed = Footprint {
            peak_rss_bytes: 100,
            weights_bytes: Some(50),
            kv_bytes: Some(20),
            compute_bytes: Some(10),
            embedder_bytes: 5,
        };
        assert_eq!(listed.unlisted_bytes(), Some(15));
        assert_eq!(Footprint { kv_bytes: None, ..listed }.unlisted_bytes(), None);
        assert_eq!(Footprint { peak_rss_bytes: 0, ..listed }.unlisted_bytes(), None);
    }
}
