//! The report as text: a table for the terminal, Markdown for a README, CSV.

use std::fmt::Write as _;

use super::report::{Figures, ModelReport, Paired, Report};
use super::statistics::Share;
use crate::bench::bfcl;

/// Heads of the columns of a model's table.
const HEADS: [&str; 10] = [
    "category",
    "cases",
    "on",
    "off",
    "invalid",
    "refused",
    "false calls",
    "closed",
    "gained/lost (p)",
    "tokens, forced, seconds",
];

/// Heads of the columns of the table of questions about what was told.
const MEMORY_HEADS: [&str; 6] = ["memory", "instruction", "questions", "right", "words (most)", "reciting"];

/// A part of the report: what it tells of, and its table.
pub(super) struct Section {
    pub(super) heading: String,
    pub(super) heads: &'static [&'static str],
    pub(super) rows: Vec<Vec<String>>,
    /// What is to be said of the figures; may be empty.
    pub(super) note: String,
}

impl Report {
    /// The figures for the terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = self.heading();
        for Section { heading, heads, rows, note } in self.sections() {
            let _ = write!(text, "\n\n{heading}");
            let width = |(column, head): (usize, &&str)| {
                let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
                cells.max().unwrap_or_default().max(head.len())
            };
            let widths: Vec<usize> = heads.iter().enumerate().map(width).collect();
            let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
            for row in [&heads].into_iter().chain(&rows) {
                text.push('\n');
                let mut line = String::new();
                for (cell, width) in row.iter().zip(&widths) {
                    let _ = write!(line, "{cell:width$}  ");
                }
                text.push_str(line.trim_end());
            }
            if !note.is_empty() {
                let _ = write!(text, "\n{note}");
            }
        }
        text
    }

    /// The figures as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("{}\n", self.heading());
        for Section { heading, heads, rows, note } in self.sections() {
            let _ = write!(text, "\n**{heading}**\n\n| {} |\n|", heads.join(" | "));
            text.push_str(&"---|".repeat(heads.len()));
            for row in rows {
                let _ = write!(text, "\n| {} |", row.join(" | "));
            }
            text.push('\n');
            if !note.is_empty() {
                let _ = writeln!(text, "\n{note}");
            }
        }
        text
    }

    /// A section for each model, and one for each agent that was asked about what it was told.
    fn sections(&self) -> impl Iterator<Item = Section> {
        self.models.iter().map(ModelReport::section).chain(self.memory.iter().map(memory_section))
    }

    /// One row for each model, category or group, and way of asking.
    ///
    /// # Errors
    /// The rows cannot be put together.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record([
            "model",
            "constrained",
            "category",
            "cases",
            "right",
            "wrong",
            "invalid",
            "refused",
            "false_calls",
            "closed",
            "missing",
            "accuracy",
            "low",
            "high",
            "prompt_tokens",
            "tokens",
            "tokens_forced",
            "seconds",
        ])?;
        for model in &self.models {
            for figures in model.categories.iter().chain(&model.groups) {
                let Figures {
                    name,
                    constrained,
                    cases,
                    right,
                    wrong,
                    invalid,
                    refused,
                    false_calls,
                    closed,
                    missing,
                    ..
                } = figures;
                let counts =
                    [cases, right, wrong, invalid, refused, false_calls, closed, missing].map(ToString::to_string);
                let Share { share, low, high } = figures.accuracy;
                let shares = [share, low, high].map(|share| format!("{share:.4}"));
                let costs = [figures.prompt_tokens, figures.tokens, figures.tokens_forced, figures.seconds];
                let costs = costs.map(|cost| format!("{cost:.2}"));
                let names = [model.model.clone(), constrained.as_str().to_owned(), name.clone()];
                writer.write_record(names.into_iter().chain(counts).chain(shares).chain(costs))?;
            }
        }
        for summary in &self.memory {
            for score in &summary.scores {
                let names =
                    [&summary.circumstances.model, "on", &format!("memory {}, {}", score.name, score.variant.as_str())];
                let wrong = score.questions - score.right.min(score.questions);
                let counts = [score.questions, score.right, wrong, 0, 0, 0, 0, 0].map(|count| count.to_string());
                let [low, high] = score.interval;
                let shares = [score.share, low, high].map(|share| format!("{share:.4}"));
                let costs = std::iter::repeat_n(String::new(), 4);
                writer.write_record(names.map(str::to_owned).into_iter().chain(counts).chain(shares).chain(costs))?;
            }
        }
        let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) fn heading(&self) -> String {
        let super::Circumstances { date, machine, engine, suite, profile, count, seed } = &self.circumstances;
        let cases = match count {
            Some(count) => format!("at most {count} cases a category, drawn with seed {seed}"),
            None => "all cases".to_owned(),
        };
        let told = [suite, &format!("{profile} profile"), &cases, engine, machine, date];
        let told: Vec<&str> = told.into_iter().map(String::as_str).filter(|one| !one.is_empty()).collect();
        format!("{} · shares with 95 % intervals", told.join(" · "))
    }
}

impl ModelReport {
    pub(super) fn heading(&self) -> String {
        format!("{} · dialect {} · window {} tokens", self.model, self.dialect, self.context_window)
    }

    pub(super) fn section(&self) -> Section {
        let throughput = self.throughput.map(|throughput| throughput.to_string());
        let partings = self.partings.as_ref().map(ToString::to_string);
        let note = throughput.into_iter().chain(partings).collect::<Vec<_>>().join("\n");
        Section { heading: self.heading(), heads: &HEADS, rows: self.rows(), note }
    }

    /// The cells of the table.
    fn rows(&self) -> Vec<Vec<String>> {
        let row = |(name, on, off): (&str, Option<&Figures>, Option<&Figures>)| {
            let cases = on.or(off).map_or_else(String::new, |Figures { cases, missing, .. }| match missing {
                0 => cases.to_string(),
                missing => format!("{cases} of {}", cases + missing),
            });
            let both = |of: fn(&Figures) -> usize| {
                let cell =
                    |figures: Option<&Figures>| figures.map_or("-".to_owned(), |figures| of(figures).to_string());
                format!("{}/{}", cell(on), cell(off))
            };
            let costs = |figures: Option<&Figures>| {
                figures.map_or("-".to_owned(), |figures| {
                    format!("{:.0}, {:.0}, {:.1}", figures.tokens, figures.tokens_forced, figures.seconds)
                })
            };
            vec![
                name.to_owned(),
                cases,
                accuracy(on),
                accuracy(off),
                both(|figures| figures.invalid),
                both(|figures| figures.refused),
                both(|figures| figures.false_calls),
                both(|figures| figures.closed),
                self.paired.iter().find(|paired| paired.name == name).map_or("-".to_owned(), pair),
                format!("{} / {}", costs(on), costs(off)),
            ]
        };
        self.by_name().into_iter().map(row).collect()
    }
}

pub(super) fn memory_section(summary: &bfcl::Summary) -> Section {
    let row = |score: &bfcl::Score| {
        let [low, high] = score.interval;
        vec![
            score.name.clone(),
            score.variant.as_str().to_owned(),
            score.questions.to_string(),
            percent(Share { share: score.share, low, high }),
            format!("{:.1} ({})", score.mean_words, score.max_words),
            format!("{} of {}", score.recited_right, score.questions),
        ]
    };
    let rows = summary.scores.iter().map(row).collect();
    Section { heading: summary.heading(), heads: &MEMORY_HEADS, rows, note: summary.note.clone() }
}

fn pair(paired: &Paired) -> String {
    format!("{}/{} ({:.3})", paired.gained, paired.lost, paired.p)
}

fn accuracy(figures: Option<&Figures>) -> String {
    figures.map_or("-".to_owned(), |figures| percent(figures.accuracy))
}

/// A share with its interval.
pub(super) fn percent(Share { share, low, high }: Share) -> String {
    format!("{:.1} % ({:.1}-{:.1})", 100.0 * share, 100.0 * low, 100.0 * high)
}
