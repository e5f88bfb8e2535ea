//! The report as text: a table for the terminal, Markdown for a README, CSV.

use std::fmt::Write as _;

use super::report::{Figures, ModelReport, Paired, Report};
use super::statistics::Share;

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

impl Report {
    /// The figures for the terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = self.heading();
        for model in &self.models {
            let _ = write!(text, "\n\n{}", model.heading());
            let rows = model.rows();
            let width = |column: usize| {
                let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
                cells.chain(HEADS.get(column).map(|head| head.len())).max().unwrap_or_default()
            };
            let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
            let heads = HEADS.map(str::to_owned).to_vec();
            for row in [&heads].into_iter().chain(&rows) {
                text.push('\n');
                let mut line = String::new();
                for (cell, width) in row.iter().zip(&widths) {
                    let _ = write!(line, "{cell:width$}  ");
                }
                text.push_str(line.trim_end());
            }
        }
        text
    }

    /// The figures as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("{}\n", self.heading());
        for model in &self.models {
            let _ = write!(text, "\n**{}**\n\n| {} |\n|", model.heading(), HEADS.join(" | "));
            text.push_str(&"---|".repeat(HEADS.len()));
            for row in model.rows() {
                let _ = write!(text, "\n| {} |", row.join(" | "));
            }
            text.push('\n');
        }
        text
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

    /// The cells of the table.
    pub(super) fn rows(&self) -> Vec<Vec<String>> {
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

impl Report {
    /// Heads of the columns of [`ModelReport::rows`].
    pub(super) const fn heads() -> [&'static str; 10] {
        HEADS
    }
}

fn pair(paired: &Paired) -> String {
    format!("{}/{} ({:.3})", paired.gained, paired.lost, paired.p)
}

fn accuracy(figures: Option<&Figures>) -> String {
    figures.map_or("-".to_owned(), |figures| {
        let Share { share, low, high } = figures.accuracy;
        format!("{:.1} % ({:.1}-{:.1})", 100.0 * share, 100.0 * low, 100.0 * high)
    })
}
