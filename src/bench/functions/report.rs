//! Figures: verdicts by category and overall with their intervals, what replies cost, and on against off.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::statistics::{Share, Tried, mcnemar, mean};
use super::{Case, Category, Constrained, Judged, Partings, Reply, Throughput, Verdict, Written};
use crate::bench::bfcl;

/// A case that was asked in one way, and the verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Id of the case.
    pub id: String,
    /// Its category.
    pub category: Category,
    /// How it was asked.
    pub constrained: Constrained,
    /// What was answered.
    pub reply: Reply,
    /// The verdict.
    pub judged: Judged,
    /// What it cost.
    pub written: Written,
}

impl Answer {
    /// Reads and judges what was written.
    #[must_use]
    pub fn new(case: &Case, constrained: Constrained, written: Written, judge: &super::Judge) -> Self {
        let reply = written.reply(case);
        let judged = judge.judge(case, &reply);
        Self { id: case.id.clone(), category: case.category, constrained, reply, judged, written }
    }

    fn is(&self, verdict: Verdict) -> bool {
        self.judged.verdict == verdict
    }

    const fn tokens(&self) -> u64 {
        self.written.tokens_sampled + self.written.tokens_forced
    }

    const fn ms(&self) -> u64 {
        self.written.read_ms + self.written.write_ms
    }

    /// The answer as a line that can be judged again.
    #[must_use]
    pub fn line(&self) -> Value {
        let result: Value = match &self.reply {
            Reply::Calls(calls) => json!(calls),
            Reply::Text(text) | Reply::Unreadable { text, .. } => text.as_str().into(),
        };
        let Judged { verdict, reason } = &self.judged;
        let (id, tokens, ms) = (&self.id, self.tokens(), self.ms());
        json!({"id": id, "result": result, "verdict": verdict, "reason": reason, "tokens": tokens, "ms": ms})
    }
}

/// What was measured with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    /// Day of the report, in UTC; replies that were kept from earlier runs may be older.
    #[serde(default)]
    pub date: String,
    /// Where it was made, in words.
    #[serde(default)]
    pub machine: String,
    /// What runs the models.
    #[serde(default)]
    pub engine: String,
    /// Name of the suite.
    pub suite: String,
    /// Call format.
    pub profile: String,
    /// Cases of each category, at most; none: all.
    pub count: Option<usize>,
    /// What they were drawn with.
    pub seed: u64,
}

/// What one model has answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// Name of the model.
    pub model: String,
    /// Its dialect.
    pub dialect: String,
    /// Window in tokens.
    pub context_window: usize,
    /// Cases that each category was to be asked; where it was stopped, there are fewer answers.
    pub chosen: HashMap<Category, usize>,
    /// All answers.
    pub answers: Vec<Answer>,
    /// How fast the new ones among them came; none where there are none.
    pub throughput: Option<Throughput>,
    /// What became otherwise because they were written together; none where that was not asked for.
    pub partings: Option<Partings>,
}

/// Figures of a category, or of several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Category or group.
    pub name: String,
    /// How they were asked.
    pub constrained: Constrained,
    /// Cases.
    pub cases: usize,
    /// What was asked.
    pub right: usize,
    /// Valid calls, but not the accepted ones.
    pub wrong: usize,
    /// Not to be read, or not what the schemas allow.
    pub invalid: usize,
    /// Text where a call was due.
    pub refused: usize,
    /// Calls where none was due.
    pub false_calls: usize,
    /// Replies that were ended for the model; see [`Written::is_closed`].
    #[serde(default)]
    pub closed: usize,
    /// Cases that were to be asked beside these, but for a stop.
    #[serde(default)]
    pub missing: usize,
    /// Right ones of all, with the 95 % interval; of a group as it is put together.
    pub accuracy: Share,
    /// Tokens of a prompt, on average.
    pub prompt_tokens: f64,
    /// Tokens of a reply, on average.
    pub tokens: f64,
    /// Those of them that the grammar forced, on average.
    pub tokens_forced: f64,
    /// Seconds a case, on average.
    pub seconds: f64,
}

/// On against off in the cases that were asked both ways.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// Category, or `all`.
    pub name: String,
    /// Cases.
    pub cases: usize,
    /// Right with the grammar alone.
    pub gained: usize,
    /// Right without it alone.
    pub lost: usize,
    /// McNemar's p value, exact and two-sided.
    pub p: f64,
}

/// All figures of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelReport {
    /// Its name.
    pub model: String,
    /// Its dialect.
    pub dialect: String,
    /// Window in tokens.
    pub context_window: usize,
    /// By category.
    pub categories: Vec<Figures>,
    /// By group, where all of its categories were measured.
    pub groups: Vec<Figures>,
    /// On against off.
    pub paired: Vec<Paired>,
    /// How fast replies came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<Throughput>,
    /// What became otherwise because they were written together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partings: Option<Partings>,
}

/// The whole report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was measured with.
    #[serde(flatten)]
    pub circumstances: Circumstances,
    /// Each model.
    pub models: Vec<ModelReport>,
    /// Questions about what an agent was told, as `mneme bench memory bfcl` has measured them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memory: Vec<bfcl::Summary>,
}

/// How a group's share is put together.
enum Weights {
    /// Each part counts the same.
    Equal,
    /// Each part counts as many as its category has cases in the suite.
    Cases,
}

/// A group: its name, and its parts, each one category or the equal mean of several.
type Group = (&'static str, &'static [&'static [Category]], Weights);

/// The groups of the leaderboard.
///
/// Source: `generate_leaderboard_csv` in `bfcl_eval/eval_checker/eval_runner_helper.py` of the wheel.
const GROUPS: [Group; 3] = [
    (
        "non-live",
        &[
            &[Category::SimplePython, Category::SimpleJava, Category::SimpleJavascript],
            &[Category::Multiple],
            &[Category::Parallel],
            &[Category::ParallelMultiple],
        ],
        Weights::Equal,
    ),
    (
        "live",
        &[
            &[Category::LiveSimple],
            &[Category::LiveMultiple],
            &[Category::LiveParallel],
            &[Category::LiveParallelMultiple],
        ],
        Weights::Cases,
    ),
    ("irrelevance (both)", &[&[Category::Irrelevance], &[Category::LiveIrrelevance]], Weights::Equal),
];

impl Report {
    /// Sums up what was answered. `size_of` gives the number of cases that a category has in the suite; `memory` is put
    /// beside it.
    #[must_use]
    pub fn new(
        circumstances: Circumstances,
        answered: &[Answered],
        size_of: &dyn Fn(Category) -> usize,
        memory: Vec<bfcl::Summary>,
    ) -> Self {
        let models = answered.iter().map(|answered| ModelReport::new(answered, size_of)).collect();
        Self { circumstances, models, memory }
    }
}

impl ModelReport {
    fn new(answered: &Answered, size_of: &dyn Fn(Category) -> usize) -> Self {
        let (mut categories, mut groups) = (Vec::new(), Vec::new());
        for constrained in [Constrained::On, Constrained::Off] {
            let of_way: Vec<&Answer> =
                answered.answers.iter().filter(|answer| answer.constrained == constrained).collect();
            let asked = |category: Category| of_way.iter().filter(|answer| answer.category == category).count();
            let chosen = |category: &Category| answered.chosen.get(category).copied().unwrap_or_default();
            let missing = |category: Category| chosen(&category).saturating_sub(asked(category));
            let of = |category: Category| {
                of_way.iter().copied().filter(|answer| answer.category == category).collect::<Vec<_>>()
            };
            for category in Category::ALL.into_iter().filter(|category| asked(*category) > 0) {
                let figures = Figures::of(category.as_str(), constrained, &of(category), None);
                categories.push(Figures { missing: missing(category), ..figures });
            }
            for (name, parts, weights) in &GROUPS {
                let all: Vec<Category> = parts.iter().copied().flatten().copied().collect();
                if all.iter().all(|category| asked(*category) > 0 && missing(*category) == 0) {
                    let share_of = |category: &Category| (1.0, tried(&of(*category)).share());
                    let part = |part: &&[Category]| {
                        let weight = match weights {
                            Weights::Equal => 1.0,
                            Weights::Cases => part.iter().map(|category| count(size_of(*category))).sum(),
                        };
                        Some((weight, mean(&part.iter().map(share_of).collect::<Vec<_>>())?))
                    };
                    let accuracy = mean(&parts.iter().filter_map(part).collect::<Vec<_>>());
                    let answers: Vec<&Answer> =
                        of_way.iter().copied().filter(|answer| all.contains(&answer.category)).collect();
                    groups.push(Figures::of(name, constrained, &answers, accuracy));
                }
            }
            if !of_way.is_empty() {
                let missing = answered.chosen.keys().map(|category| missing(*category)).sum();
                groups.push(Figures { missing, ..Figures::of("all cases", constrained, &of_way, None) });
            }
        }
        let paired = paired(&answered.answers);
        let Answered { model, dialect, context_window, throughput, partings, .. } = answered.clone();
        Self { model, dialect, context_window, categories, groups, paired, throughput, partings }
    }

    /// Figures of categories, then of groups, each name once with the two ways of asking.
    pub(super) fn by_name(&self) -> Vec<(&str, Option<&Figures>, Option<&Figures>)> {
        let mut names: Vec<(&str, Option<&Figures>, Option<&Figures>)> = Vec::new();
        for figures in self.categories.iter().chain(&self.groups) {
            let at = names.iter().position(|(name, ..)| *name == figures.name).unwrap_or_else(|| {
                names.push((&figures.name, None, None));
                names.len() - 1
            });
            if let Some((_, on, off)) = names.get_mut(at) {
                match figures.constrained {
                    Constrained::On => *on = Some(figures),
                    Constrained::Off => *off = Some(figures),
                }
            }
        }
        // A category that was measured one way only would stand behind the groups.
        let is_group = |name: &str| self.groups.iter().any(|group| group.name == name);
        names.sort_by_key(|(name, ..)| is_group(name));
        names
    }
}

impl Figures {
    fn of(name: &str, constrained: Constrained, answers: &[&Answer], accuracy: Option<Share>) -> Self {
        let verdicts = |verdict| answers.iter().filter(|answer| answer.is(verdict)).count();
        let mean = |of: fn(&Answer) -> u64| {
            let sum: u64 = answers.iter().map(|answer| of(answer)).sum();
            whole(sum) / count(answers.len()).max(1.0)
        };
        Self {
            name: name.to_owned(),
            constrained,
            cases: answers.len(),
            right: verdicts(Verdict::Right),
            wrong: verdicts(Verdict::Wrong),
            invalid: verdicts(Verdict::Invalid),
            refused: verdicts(Verdict::Refused),
            false_calls: verdicts(Verdict::FalseCall),
            closed: answers.iter().filter(|answer| answer.written.is_closed).count(),
            missing: 0,
            accuracy: accuracy.unwrap_or_else(|| tried(answers).share()),
            prompt_tokens: mean(|answer| answer.written.prompt_tokens),
            tokens: mean(Answer::tokens),
            tokens_forced: mean(|answer| answer.written.tokens_forced),
            seconds: mean(Answer::ms) / 1000.0,
        }
    }
}

fn tried(answers: &[&Answer]) -> Tried {
    Tried { right: answers.iter().filter(|answer| answer.is(Verdict::Right)).count(), all: answers.len() }
}

/// On against off, by category and for all cases together.
fn paired(answers: &[Answer]) -> Vec<Paired> {
    let pairs: Vec<(Category, bool, bool)> = answers
        .iter()
        .filter(|answer| answer.constrained == Constrained::On)
        .filter_map(|on| {
            let is_off = |answer: &&Answer| {
                answer.constrained == Constrained::Off && answer.category == on.category && answer.id == on.id
            };
            let off = answers.iter().find(is_off)?;
            Some((on.category, on.is(Verdict::Right), off.is(Verdict::Right)))
        })
        .collect();
    let of = |name: &str, category: Option<Category>| {
        let chosen = pairs.iter().filter(|(other, ..)| category.is_none_or(|category| category == *other));
        let (mut cases, mut gained, mut lost) = (0, 0, 0);
        for (_, on, off) in chosen {
            cases += 1;
            gained += usize::from(*on && !off);
            lost += usize::from(*off && !on);
        }
        Paired { name: name.to_owned(), cases, gained, lost, p: mcnemar(gained, lost) }
    };
    let categories = Category::ALL.into_iter().map(|category| of(category.as_str(), Some(category)));
    categories.chain([of("all cases", None)]).filter(|paired| paired.cases > 0).collect()
}

#[allow(clippy::cast_precision_loss)]
fn count(count: usize) -> f64 {
    count as f64
}

#[allow(clippy::cast_precision_loss)]
fn whole(sum: u64) -> f64 {
    sum as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(id: usize, category: Category, constrained: Constrained, verdict: Verdict) -> Answer {
        let written = Written {
            text: String::new(),
            is_complete: true,
            is_closed: false,
            prompt_tokens: 100,
            tokens_read: 100,
            tokens_sampled: 6,
            tokens_forced: 4,
            read_ms: 1500,
            write_ms: 500,
            failure: String::new(),
        };
        let judged = Judged { verdict, reason: String::new() };
        Answer { id: id.to_string(), category, constrained, reply: Reply::Text("x".to_owned()), judged, written }
    }

    fn report(answers: Vec<Answer>) -> ModelReport {
        let (model, dialect) = ("m".to_owned(), "d".to_owned());
        let mut chosen = HashMap::new();
        for answer in answers.iter().filter(|answer| answer.constrained == answers[0].constrained) {
            *chosen.entry(answer.category).or_default() += 1;
        }
        report_of(Answered { model, dialect, context_window: 10, chosen, answers, throughput: None, partings: None })
    }

    fn report_of(answered: Answered) -> ModelReport {
        ModelReport::new(&answered, &|category| if category == Category::LiveMultiple { 30 } else { 10 })
    }

    #[test]
    fn groups_are_the_means_of_the_leaderboard() {
        use Category::{Multiple, Parallel, ParallelMultiple, SimpleJava, SimpleJavascript, SimplePython};
        let mut answers = Vec::new();
        // The three simple ones together count as much as each of the others.
        for (category, right) in [
            (SimplePython, 4),
            (SimpleJava, 2),
            (SimpleJavascript, 0),
            (Multiple, 4),
            (Parallel, 0),
            (ParallelMultiple, 2),
        ] {
            for id in 0..4 {
                let verdict = if id < right { Verdict::Right } else { Verdict::Wrong };
                answers.push(answer(id, category, Constrained::On, verdict));
            }
        }
        let found = report(answers);
        let group = |name: &str| found.groups.iter().find(|group| group.name == name);
        assert!((group("non-live").unwrap().accuracy.share - 0.5).abs() < 1e-9);
        assert!(group("live").is_none());
        assert_eq!(group("all cases").unwrap().right, 12);
        let python = &found.categories[0];
        assert_eq!((python.cases, python.right, python.wrong), (4, 4, 0));
        assert!((python.seconds - 2.0).abs() < 1e-9 && (python.tokens - 10.0).abs() < 1e-9);
    }

    #[test]
    fn live_categories_count_as_many_as_they_have_cases() {
        use Category::{LiveMultiple, LiveParallel, LiveParallelMultiple, LiveSimple};
        let answers = [(LiveMultiple, true), (LiveSimple, false), (LiveParallel, false), (LiveParallelMultiple, false)];
        let answers = answers.map(|(category, is_right)| {
            answer(1, category, Constrained::Off, if is_right { Verdict::Right } else { Verdict::Invalid })
        });
        let found = report(answers.to_vec());
        let live = found.groups.iter().find(|group| group.name == "live").unwrap();
        assert!((live.accuracy.share - 0.5).abs() < 1e-9, "{live:?}");
    }

    #[test]
    fn a_category_that_was_stopped_is_told_and_makes_no_group() {
        use Category::{Irrelevance, LiveIrrelevance};
        let answers = [Irrelevance, LiveIrrelevance].map(|one| answer(1, one, Constrained::On, Verdict::Right));
        let mut answered = Answered {
            model: "m".to_owned(),
            dialect: "d".to_owned(),
            context_window: 10,
            chosen: [(Irrelevance, 1), (LiveIrrelevance, 1)].into(),
            answers: answers.to_vec(),
            throughput: None,
            partings: None,
        };
        let names = |report: ModelReport| report.groups.into_iter().map(|group| group.name).collect::<Vec<_>>();
        assert_eq!(names(report_of(answered.clone())), ["irrelevance (both)", "all cases"]);
        answered.chosen.insert(LiveIrrelevance, 3);
        let found = report_of(answered);
        assert_eq!(found.categories.iter().map(|figures| figures.missing).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(names(found), ["all cases"]);
    }

    #[test]
    fn cases_that_were_asked_both_ways_are_paired() {
        use Constrained::{Off, On};
        let category = Category::Multiple;
        let mut answers = Vec::new();
        for (id, on, off) in [(1, true, false), (2, true, true), (3, false, true), (4, true, false)] {
            for (way, is_right) in [(On, on), (Off, off)] {
                answers.push(answer(id, category, way, if is_right { Verdict::Right } else { Verdict::Refused }));
            }
        }
        answers.push(answer(5, category, On, Verdict::Right));
        let found = report(answers).paired;
        let all = Paired { name: "all cases".to_owned(), cases: 4, gained: 2, lost: 1, p: 1.0 };
        assert_eq!(found, [Paired { name: "multiple".to_owned(), ..all.clone() }, all]);
    }

    #[test]
    fn an_answer_can_be_judged_again_from_its_line() {
        let line = answer(7, Category::Multiple, Constrained::On, Verdict::FalseCall).line();
        let expected =
            json!({"id": "7", "result": "x", "verdict": "false_call", "reason": "", "tokens": 10, "ms": 2000});
        assert_eq!(line, expected);
    }
}
