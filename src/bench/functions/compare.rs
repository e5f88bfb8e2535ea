//! Earlier reports side by side: what changed from run to run.

use std::fmt::Write as _;

use super::Constrained;
use super::report::{Figures, Report};
use super::tables::percent;

/// One model of one report, asked in one way.
struct Column<'a> {
    title: String,
    figures: Vec<&'a Figures>,
}

/// A table with a column for each report, model and way of asking, and what each has more or less than the first, in
/// points. Reports have names.
#[must_use]
pub fn compare(reports: &[(String, Report)]) -> String {
    let mut columns: Vec<Column<'_>> = Vec::new();
    for (name, report) in reports {
        for model in &report.models {
            for way in [Constrained::On, Constrained::Off] {
                let of_way = |figures: &&Figures| figures.constrained == way;
                let figures: Vec<&Figures> = model.categories.iter().chain(&model.groups).filter(of_way).collect();
                if !figures.is_empty() {
                    let title = format!("{name}: {}, {}, {}", model.model, way.as_str(), report.heading());
                    columns.push(Column { title, figures });
                }
            }
        }
    }
    let mut text = String::new();
    for (at, column) in columns.iter().enumerate() {
        let _ = writeln!(text, "[{}] {}", at + 1, column.title);
    }
    let mut names: Vec<&str> = Vec::new();
    for figures in columns.iter().flat_map(|column| &column.figures) {
        if !names.contains(&figures.name.as_str()) {
            names.push(&figures.name);
        }
    }
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let _ = write!(text, "\n{:width$}", "");
    for at in 1..=columns.len() {
        let _ = write!(text, "  {:26}", format!("[{at}]"));
    }
    for name in names {
        let _ = write!(text, "\n{name:width$}");
        let of =
            |column: &Column<'_>| column.figures.iter().find(|figures| figures.name == name).map(|one| one.accuracy);
        let first = columns.first().and_then(of);
        for (at, column) in columns.iter().enumerate() {
            let cell = match (of(column), first) {
                (Some(found), Some(first)) if at > 0 => {
                    format!("{} {:+.1}", percent(found), 100.0 * (found.share - first.share))
                }
                (Some(found), _) => percent(found),
                (None, _) => "-".to_owned(),
            };
            let _ = write!(text, "  {cell:26}");
        }
    }
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
