//! The report as one page of HTML that needs nothing from elsewhere: plots, tables, and the replies that were not right.
//!
//! Whatever comes from a model, a suite or the command line is escaped. The plots are SVG, which browsers scale to the
//! width of a phone.

use std::fmt::Write as _;

use super::super::html::{self, escaped};
use super::report::{Answer, Answered, Figures, ModelReport, Report};
use super::tables::{Section, memory_section};
use super::{Constrained, Reply, Verdict};

/// Replies that are shown for each model.
const SHOWN_REPLIES: usize = 200;
/// Characters of a reply that are shown.
const SHOWN_CHARS: usize = 600;
/// Width of the plots, in units of the drawing.
const WIDTH: f64 = 640.0;
/// Where the bars begin.
const LABELS: f64 = 190.0;
/// Height of a bar.
const BAR: f64 = 9.0;
/// Height of a category in the plot of bars.
const ROW: f64 = 26.0;
/// Height of the plot of accuracy against speed.
const PLOT: f64 = 300.0;

const STYLE: &str = ".on{fill:#1f6f8b}.off{fill:#c9832b}";

/// The page.
#[must_use]
pub fn page(report: &Report, answered: &[Answered]) -> String {
    let mut out = format!("<p>{}</p>\n", escaped(&report.heading()));
    out.push_str(
        "<p><svg viewBox=\"0 0 640 16\" role=\"img\" aria-label=\"legend\"><rect class=\"on\" x=\"0\" y=\"3\" width=\"12\" \
         height=\"10\"/><text x=\"18\" y=\"12\">held to the grammar</text><rect class=\"off\" x=\"150\" y=\"3\" width=\"12\" \
         height=\"10\"/><text x=\"168\" y=\"12\">written freely</text></svg></p>\n",
    );
    out.push_str(&speed_plot(&report.models));
    for (model, answered) in report.models.iter().zip(answered) {
        let _ = writeln!(out, "<h2>{}</h2>", escaped(&model.heading()));
        out.push_str(&bars(model));
        let Section { heads, rows, note, .. } = model.section();
        out.push_str(&html::table(heads, rows));
        let _ = writeln!(out, "<p>{}</p>", escaped(&note));
        out.push_str(&replies(&answered.answers));
    }
    for summary in &report.memory {
        let Section { heading, heads, rows, note } = memory_section(summary);
        let _ = writeln!(out, "<h2>{}</h2>", escaped(&heading));
        out.push_str(&html::table(heads, rows));
        let _ = writeln!(out, "<p>{}</p>", escaped(&note));
    }
    html::page("Function calls", STYLE, &out)
}

/// Accuracy by category, on above off.
fn bars(model: &ModelReport) -> String {
    let names = model.by_name();
    let wide = WIDTH - LABELS - 10.0;
    #[allow(clippy::cast_precision_loss)]
    let height = names.len() as f64 * ROW + 20.0;
    let mut out = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"accuracy by category\">\n");
    for tenth in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let x = LABELS + tenth * wide;
        let (bottom, percent) = (height - 16.0, tenth * 100.0);
        let _ = write!(out, "<line class=\"grid\" x1=\"{x:.1}\" y1=\"0\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>");
        let _ =
            writeln!(out, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{percent:.0} %</text>", height - 3.0);
    }
    let mut y = 3.0;
    for (name, on, off) in names {
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LABELS - 6.0,
            y + 12.0,
            escaped(name)
        );
        for (class, figures, top) in [("on", on, y), ("off", off, y + BAR + 1.0)] {
            let Some(Figures { accuracy, .. }) = figures else { continue };
            let end = |share: f64| LABELS + share * wide;
            let _ = write!(
                out,
                "<rect class=\"{class}\" x=\"{LABELS}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR}\"><title>{:.1} % \
                 ({:.1}-{:.1})</title></rect>",
                accuracy.share * wide,
                100.0 * accuracy.share,
                100.0 * accuracy.low,
                100.0 * accuracy.high,
            );
            let middle = top + BAR / 2.0;
            let (low, high) = (end(accuracy.low), end(accuracy.high));
            let _ = writeln!(
                out,
                "<line class=\"line\" x1=\"{low:.1}\" y1=\"{middle:.1}\" x2=\"{high:.1}\" y2=\"{middle:.1}\"/>"
            );
        }
        y += ROW;
    }
    out + "</svg>\n"
}

/// Accuracy of all cases against seconds a case, a point for each model and way of asking.
fn speed_plot(models: &[ModelReport]) -> String {
    let points: Vec<(&str, &Figures)> = models
        .iter()
        .flat_map(|model| model.groups.iter().map(|group| (model.model.as_str(), group)))
        .filter(|(_, group)| group.name == "all cases")
        .collect();
    let slowest = points.iter().map(|(_, figures)| figures.seconds).fold(0.1, f64::max) * 1.1;
    let (left, bottom) = (40.0, PLOT - 34.0);
    let (wide, high) = (WIDTH - left - 12.0, bottom - 12.0);
    let mut out = format!("<svg viewBox=\"0 0 {WIDTH} {PLOT}\" role=\"img\" aria-label=\"accuracy against speed\">\n");
    for quarter in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (x, y) = (left + quarter * wide, bottom - quarter * high);
        let _ =
            write!(out, "<line class=\"grid\" x1=\"{left}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/>", left + wide);
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.0} %</text>",
            left - 4.0,
            y + 4.0,
            quarter * 100.0
        );
        let seconds = quarter * slowest;
        let _ =
            writeln!(out, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{seconds:.1}</text>", bottom + 14.0);
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">seconds a case</text>",
        left + wide / 2.0,
        PLOT - 4.0
    );
    for (model, figures) in points {
        let x = left + figures.seconds / slowest * wide;
        let y = bottom - figures.accuracy.share * high;
        let class = figures.constrained.as_str();
        let anchor = if x > WIDTH / 2.0 { "end" } else { "start" };
        let beside = if x > WIDTH / 2.0 { x - 8.0 } else { x + 8.0 };
        let _ = write!(out, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"/>");
        let _ = writeln!(
            out,
            "<text x=\"{beside:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            y + 4.0,
            escaped(model)
        );
    }
    out + "</svg>\n"
}

/// The replies that were not right.
fn replies(answers: &[Answer]) -> String {
    let not_right: Vec<&Answer> = answers.iter().filter(|answer| answer.judged.verdict != Verdict::Right).collect();
    let (all, shown) = (not_right.len(), not_right.len().min(SHOWN_REPLIES));
    let mut out = format!("<details><summary>{all} replies that were not right, {shown} of them here</summary>\n");
    for answer in not_right.into_iter().take(SHOWN_REPLIES) {
        let text = match &answer.reply {
            Reply::Calls(_) => &answer.written.text,
            Reply::Text(text) | Reply::Unreadable { text, .. } => text,
        };
        let text: String = text.chars().take(SHOWN_CHARS).collect();
        let way = if answer.constrained == Constrained::On { "held to the grammar" } else { "written freely" };
        let _ = writeln!(
            out,
            "<p><b>{}</b>, {way}: {}</p><pre>{}</pre>",
            escaped(&answer.id),
            escaped(&answer.judged.reason),
            escaped(&text)
        );
    }
    out + "</details>\n"
}
