//! Rows and figures of the benchmark: what was told and answered, right answers with their intervals, costs.

use std::fmt::Write as _;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::passages::{Bm25, passages};
use super::{Judge, NOT_COMPARABLE, Question, Scenario, ScenarioName};
use crate::types::TurnReport;

/// So many passages are recited.
const RECITED_PASSAGES: usize = 6;
/// 97.5 % of a normal distribution lie below so many standard deviations: both sides together leave 5 % out.
const Z: f64 = 1.959_964;
/// How questions are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// The question alone.
    Without,
    /// The official answer format stands behind the agent's system instructions.
    With,
    /// The official answer format stands behind the question, in the same message.
    Message,
}

impl Variant {
    /// As the command line spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Without => "without",
            Self::With => "with",
            Self::Message => "message",
        }
    }
}

/// What turns have cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Costs {
    /// Turns.
    pub turns: u64,
    /// Turns in which the user was told nothing.
    pub silent_turns: u64,
    /// Turns that ended in an error.
    pub failed_turns: u64,
    /// Function calls before the reply.
    pub calls: u64,
    /// Those that failed.
    pub failed_calls: u64,
    /// Generations.
    pub steps: u64,
    /// Forward passes of the turns.
    pub forward_passes: u64,
    /// Prompt tokens read.
    pub tokens_read: u64,
    /// Tokens sampled.
    pub tokens_sampled: u64,
    /// Time of the turns, milliseconds.
    pub wall_ms: u64,
    /// Forward passes of idle work.
    pub idle_passes: u64,
    /// Time of idle work, milliseconds.
    pub idle_ms: u64,
    /// Processor time of the turns and of idle work, milliseconds.
    pub cpu_ms: u64,
}

impl From<&TurnReport> for Costs {
    fn from(report: &TurnReport) -> Self {
        Self {
            turns: 1,
            steps: u64::from(report.steps),
            forward_passes: report.forward_passes,
            tokens_read: report.tokens_read,
            tokens_sampled: report.tokens_sampled,
            wall_ms: report.wall_ms,
            idle_passes: report.idle_passes,
            idle_ms: report.idle_ms,
            ..Self::default()
        }
    }
}

impl AddAssign for Costs {
    fn add_assign(&mut self, other: Self) {
        self.turns += other.turns;
        self.silent_turns += other.silent_turns;
        self.failed_turns += other.failed_turns;
        self.calls += other.calls;
        self.failed_calls += other.failed_calls;
        self.steps += other.steps;
        self.forward_passes += other.forward_passes;
        self.tokens_read += other.tokens_read;
        self.tokens_sampled += other.tokens_sampled;
        self.wall_ms += other.wall_ms;
        self.idle_passes += other.idle_passes;
        self.idle_ms += other.idle_ms;
        self.cpu_ms += other.cpu_ms;
    }
}

/// A session that was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Of which scenario.
    pub scenario: ScenarioName,
    /// Which, counted from 0.
    pub session: usize,
    /// Window in tokens.
    pub context_window: usize,
    /// What its turns cost, with the idle work behind them.
    pub costs: Costs,
}

/// A question that was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its id in the data.
    pub id: String,
    /// Of which scenario.
    pub scenario: ScenarioName,
    /// How it was asked.
    pub variant: Variant,
    /// What was asked.
    pub question: String,
    /// The accepted answers.
    pub accepted: Vec<String>,
    /// What the user was told at last; empty where that was nothing.
    pub reply: String,
    /// What failed; empty where nothing did.
    pub error: String,
    /// The judge's verdict on the reply.
    pub is_right: bool,
    /// The judge's verdict on the first six passages of BM25.
    pub recited_is_right: bool,
    /// What the turn cost; the agent is thrown away behind it, so that no idle work follows.
    pub costs: Costs,
}

impl Answer {
    fn words(&self) -> usize {
        self.reply.split_whitespace().count()
    }
}

/// Whether reciting the first six passages answers each question of a scenario, by plain BM25.
#[must_use]
pub fn recited(scenario: &Scenario, judge: &Judge) -> Vec<bool> {
    let cut = passages(scenario.messages());
    let ranks = Bm25::new(&cut);
    let recites = |question: &Question| {
        let first = ranks.rank(&question.text).into_iter().take(RECITED_PASSAGES);
        let texts: Vec<&str> = first.filter_map(|at| cut.get(at)).map(String::as_str).collect();
        judge.is_right(&texts.join("\n"), &question.accepted)
    };
    scenario.questions.iter().map(recites).collect()
}

/// What was measured with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    /// Name of the model.
    pub model: String,
    /// Call format.
    pub profile: String,
    /// Which of the agent's policies held.
    pub policy: String,
    /// Whether turns waited for idle work.
    pub idle: String,
    /// Name of the embedder; none where words were searched alone.
    pub embedder: Option<String>,
    /// Name of the data set.
    pub data: String,
}

/// Right answers of some questions asked in one way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Scenario or group.
    pub name: String,
    /// How they were asked.
    pub variant: Variant,
    /// Questions.
    pub questions: usize,
    /// Right answers.
    pub right: usize,
    /// Their share.
    pub share: f64,
    /// Wilson's interval at 95 %.
    pub interval: [f64; 2],
    /// Words of a reply on average.
    pub mean_words: f64,
    /// Words of the longest reply.
    pub max_words: usize,
    /// Questions that reciting the first six passages answers.
    pub recited_right: usize,
}

/// The figures, without what they are sums of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What was measured with.
    #[serde(flatten)]
    pub circumstances: Circumstances,
    /// Window in tokens.
    pub context_window: usize,
    /// What these figures cannot be compared with.
    pub note: String,
    /// Each way of asking: scenarios, then groups.
    pub scores: Vec<Score>,
    /// All turns of the sessions.
    pub telling: Costs,
    /// All turns in which questions were answered.
    pub answering: Costs,
}

/// The whole report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The figures.
    #[serde(flatten)]
    pub summary: Summary,
    /// Each session.
    pub told: Vec<Told>,
    /// Each question.
    pub answers: Vec<Answer>,
}

impl Report {
    /// Sums up what was told and answered.
    #[must_use]
    pub fn new(circumstances: Circumstances, told: Vec<Told>, answers: Vec<Answer>) -> Self {
        let mut variants: Vec<Variant> = answers.iter().map(|answer| answer.variant).collect();
        variants.sort_unstable();
        variants.dedup();
        let mut measured: Vec<ScenarioName> = answers.iter().map(|answer| answer.scenario).collect();
        measured.sort_unstable();
        measured.dedup();
        let single = measured.iter().map(|name| (name.as_str().to_owned(), vec![*name]));
        let rows: Vec<(String, Vec<ScenarioName>)> = single.chain(groups(&measured)).collect();
        let mut scores = Vec::with_capacity(variants.len() * rows.len());
        for variant in variants {
            scores.extend(rows.iter().map(|(name, of)| Score::of(name, variant, of, &answers)));
        }
        let sum = |costs: &mut dyn Iterator<Item = Costs>| {
            let mut sum = Costs::default();
            costs.for_each(|costs| sum += costs);
            sum
        };
        let context_window = told.last().map_or(0, |told| told.context_window);
        let telling = sum(&mut told.iter().map(|told| told.costs));
        let answering = sum(&mut answers.iter().map(|answer| answer.costs));
        let note = NOT_COMPARABLE.to_owned();
        let summary = Summary { circumstances, context_window, note, scores, telling, answering };
        Self { summary, told, answers }
    }
}

impl Summary {
    /// What was measured with, in a line.
    #[must_use]
    pub fn heading(&self) -> String {
        let Circumstances { model, profile, policy, idle, embedder, data } = &self.circumstances;
        let (embedder, window) = (embedder.as_deref().unwrap_or("no embedder"), self.context_window);
        format!(
            "{data} memory · {model} · {profile} profile · policy {policy} · idle {idle} · window {window} tokens · {embedder}"
        )
    }

    /// The figures as a table for the terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!(
            "{}\n{:28}{:12}{:>9}{:>7}{:>8}{:>16}{:>13}{:>10}",
            self.heading(),
            "",
            "instruction",
            "questions",
            "right",
            "share",
            "95 % interval",
            "words (max)",
            "reciting"
        );
        for score in &self.scores {
            let [low, high] = score.interval.map(|end| 100.0 * end);
            let _ = write!(
                text,
                "\n{:28}{:12}{:>9}{:>7}{:>7.1}%{:>16}{:>13}{:>9.1}%",
                score.name,
                score.variant.as_str(),
                score.questions,
                score.right,
                100.0 * score.share,
                format!("{low:.1}-{high:.1}"),
                format!("{:.1} ({})", score.mean_words, score.max_words),
                100.0 * share(score.recited_right, score.questions)
            );
        }
        let _ = write!(
            text,
            "\nreciting: the first {RECITED_PASSAGES} passages of three sentences by plain BM25, judged alike\n\
             {:12}{:>7}{:>7}{:>7}{:>8}{:>10}{:>10}{:>9}{:>8}{:>13}{:>8}{:>8}",
            "a turn of",
            "turns",
            "steps",
            "calls",
            "passes",
            "read",
            "sampled",
            "seconds",
            "silent",
            "idle passes",
            "idle s",
            "CPU s"
        );
        for (name, costs) in [("sessions", self.telling), ("questions", self.answering)] {
            let mean = |sum: u64| mean(sum, costs.turns);
            let _ = write!(
                text,
                "\n{name:12}{:>7}{:>7.2}{:>7.2}{:>8.1}{:>10.1}{:>10.1}{:>9.2}{:>8}{:>13.1}{:>8.2}{:>8.2}",
                costs.turns,
                mean(costs.steps),
                mean(costs.calls),
                mean(costs.forward_passes),
                mean(costs.tokens_read),
                mean(costs.tokens_sampled),
                mean(costs.wall_ms) / 1000.0,
                costs.silent_turns,
                mean(costs.idle_passes),
                mean(costs.idle_ms) / 1000.0,
                mean(costs.cpu_ms) / 1000.0
            );
        }
        let (failed_calls, failed_turns) = (
            self.telling.failed_calls + self.answering.failed_calls,
            self.telling.failed_turns + self.answering.failed_turns,
        );
        let _ =
            write!(text, "\nfailed calls {failed_calls} · turns that ended in an error {failed_turns}\n{}", self.note);
        text
    }
}

impl Score {
    fn of(name: &str, variant: Variant, of: &[ScenarioName], answers: &[Answer]) -> Self {
        let of = |answer: &&Answer| answer.variant == variant && of.contains(&answer.scenario);
        let rows: Vec<&Answer> = answers.iter().filter(of).collect();
        let questions = rows.len();
        let right = rows.iter().filter(|answer| answer.is_right).count();
        let words: Vec<usize> = rows.iter().map(|answer| answer.words()).collect();
        Self {
            name: name.to_owned(),
            variant,
            questions,
            right,
            share: share(right, questions),
            interval: wilson(right, questions),
            mean_words: share(words.iter().sum(), questions),
            max_words: words.into_iter().max().unwrap_or_default(),
            recited_right: rows.iter().filter(|answer| answer.recited_is_right).count(),
        }
    }
}

/// The groups that are told beside the scenarios that were measured: those that may be looked at while an agent is
/// tuned, and the others, each where all of it was measured; then all.
pub(super) fn groups(measured: &[ScenarioName]) -> Vec<(String, Vec<ScenarioName>)> {
    let (tuned, others): (Vec<_>, Vec<_>) =
        ScenarioName::ALL.iter().copied().partition(|name| ScenarioName::TUNED.contains(name));
    let name = |group: &[ScenarioName]| group.iter().map(|name| name.as_str()).collect::<Vec<_>>().join("+");
    let whole = [tuned, others].into_iter().filter(|group| group.iter().all(|name| measured.contains(name)));
    let mut groups: Vec<_> = whole.map(|group| (name(&group), group)).collect();
    if measured.len() > 1 && groups.iter().all(|(_, group)| group.len() < measured.len()) {
        groups.push((format!("all {}", measured.len()), measured.to_vec()));
    }
    groups
}

#[allow(clippy::cast_precision_loss)]
pub(super) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[allow(clippy::cast_precision_loss)]
fn mean(sum: u64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { sum as f64 / count as f64 }
}

/// Wilson's interval of a share at 95 %.
///
/// Source: E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22, 1927.
#[allow(clippy::cast_precision_loss)]
pub(in crate::bench) fn wilson(right: usize, questions: usize) -> [f64; 2] {
    if questions == 0 {
        return [0.0, 1.0];
    }
    let (count, share) = (questions as f64, share(right, questions));
    let spread = Z * Z / count;
    let middle = share + spread / 2.0;
    let half = Z * (share * (1.0 - share) / count + spread / (4.0 * count)).sqrt();
    [((middle - half) / (1.0 + spread)).max(0.0), ((middle + half) / (1.0 + spread)).min(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_wilsons() {
        // Values of statsmodels' proportion_confint(method="wilson"), to four digits.
        for (right, questions, low, high) in [(8, 10, 0.4902, 0.9433), (0, 5, 0.0, 0.4345), (50, 50, 0.9287, 1.0)] {
            let [found_low, found_high] = wilson(right, questions);
            assert!((found_low - low).abs() < 1e-4 && (found_high - high).abs() < 1e-4, "{right} of {questions}");
        }
        assert_eq!(wilson(0, 0), [0.0, 1.0]);
    }

    #[test]
    fn a_group_is_told_where_all_of_it_was_measured() {
        let names = |measured: &[ScenarioName]| groups(measured).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(&ScenarioName::ALL), ["customer+student", "finance+healthcare+notetaker", "all 5"]);
        assert_eq!(names(&ScenarioName::TUNED), ["customer+student"]);
        assert_eq!(names(&[ScenarioName::Customer, ScenarioName::Finance]), ["all 2"]);
        assert_eq!(names(&[ScenarioName::Customer]), Vec::<String>::new());
    }
}
