//! The report as a page: where the time of each turn went, beside its lower bound.

use std::fmt::Write as _;

use super::report::{PARTS, Report};
use crate::bench::html;

/// Width of the chart, in units of the drawing.
const WIDTH: f64 = 640.0;
/// Where the bars begin.
const LABELS: f64 = 90.0;
/// Height of a turn in the chart.
const ROW: f64 = 20.0;
/// Height of a bar.
const BAR: f64 = 12.0;

/// Colours of the parts, in the order of [`PARTS`], and of the bound.
const STYLE: &str = ".p0{fill:#1f6f8b}.p1{fill:#c9832b}.p2{fill:#8e44ad}.p3{fill:#4c9a2a}.p4{fill:#999}\
.bound{stroke:currentColor;stroke-width:2}";

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut body = format!("<p>{}</p>\n<p>{}</p>\n", html::escaped(&report.heading()), html::escaped(&report.about));
    for line in report.summary_lines() {
        let _ = writeln!(body, "<p>{}</p>", html::escaped(&line));
    }
    body.push_str(&legend());
    body.push_str(&chart(report));
    body.push_str(&html::table(&Report::HEADS, report.cells()));
    html::page("Turns", STYLE, &body)
}

fn legend() -> String {
    let mut out = String::from("<p><svg viewBox=\"0 0 640 16\" role=\"img\" aria-label=\"legend\">");
    let mut x = 0.0;
    for (place, name) in PARTS.iter().enumerate() {
        let _ = write!(
            out,
            "<rect class=\"p{place}\" x=\"{x}\" y=\"3\" width=\"12\" height=\"10\"/><text x=\"{}\" y=\"12\">{name}</text>",
            x + 16.0
        );
        x += 90.0;
    }
    let _ = write!(
        out,
        "<line class=\"bound\" x1=\"{x}\" y1=\"2\" x2=\"{x}\" y2=\"14\"/><text x=\"{}\" y=\"12\">lower bound</text>",
        x + 8.0
    );
    out + "</svg></p>\n"
}

/// A bar a turn, its parts side by side, with a mark at the lower bound.
#[allow(clippy::cast_precision_loss)]
fn chart(report: &Report) -> String {
    let longest = report.turns.iter().map(|row| (row.turn.wall_ms as f64).max(row.bound_ms)).fold(1.0, f64::max);
    let wide = WIDTH - LABELS - 50.0;
    let bottom = report.turns.len() as f64 * ROW;
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"time of each turn by part\">\n",
        bottom + 20.0
    );
    for quarter in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let x = LABELS + quarter * wide;
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"0\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/><text x=\"{x:.1}\" \
             y=\"{:.1}\" text-anchor=\"middle\">{:.1} s</text>",
            bottom + 14.0,
            quarter * longest / 1000.0
        );
    }
    for (place, row) in report.turns.iter().enumerate() {
        let top = place as f64 * ROW + 4.0;
        let remark = if row.happened.evicted || row.happened.evicted_behind {
            " summed up"
        } else if row.turn_number == report.restart_before {
            " restart"
        } else {
            ""
        };
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}{remark}</text>",
            LABELS - 6.0,
            top + BAR - 2.0,
            row.turn_number
        );
        let mut x = LABELS;
        for (part, (ms, name)) in row.parts().into_iter().zip(PARTS).enumerate() {
            let width = ms / longest * wide;
            let _ = write!(
                out,
                "<rect class=\"p{part}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{BAR}\"><title>{name}: \
                 {ms:.0} ms</title></rect>"
            );
            x += width;
        }
        let bound = LABELS + row.bound_ms / longest * wide;
        let _ = write!(
            out,
            "<line class=\"bound\" x1=\"{bound:.1}\" y1=\"{:.1}\" x2=\"{bound:.1}\" y2=\"{:.1}\"/>",
            top - 2.0,
            top + BAR + 2.0
        );
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\">{:.2} s</text>",
            x.max(bound) + 6.0,
            top + BAR - 2.0,
            row.turn.wall_ms as f64 / 1000.0
        );
    }
    out + "</svg>\n"
}
