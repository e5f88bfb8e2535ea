//! The figures of the grammar bench: as JSON, and as a table.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::bench::machine::Machine;

/// One engine on one case. All times in microseconds; without a figure where there is none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Case.
    pub case: String,
    /// Engine.
    pub engine: String,
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// From the grammar's text to the first question; the mean where the case has several grammars.
    pub compile_us: Option<f64>,
    /// The longest of these.
    pub compile_max_us: Option<f64>,
    /// State to usable bitset.
    pub mask_mean_us: Option<f64>,
    /// Its median.
    pub mask_p50_us: Option<f64>,
    /// Reached by one in a hundred.
    pub mask_p99_us: Option<f64>,
    /// The longest.
    pub mask_max_us: Option<f64>,
    /// Checking one token and taking it, on average.
    pub check_us: Option<f64>,
    /// Striking what a mask leaves out from the logits; none where making the mask does that.
    pub apply_us: Option<f64>,
    /// Most memory that grammars and walks took, beyond the tables of the vocabulary.
    pub bytes: Option<u64>,
    /// Time to build the tables of the vocabulary, once a model.
    pub tables_us: Option<f64>,
    /// Memory that these tables take.
    pub tables_bytes: Option<u64>,
    /// Grammars of the case.
    pub grammars: usize,
    /// Tokens of all documents.
    pub tokens: usize,
    /// Masks that were timed, spread evenly over the tokens.
    pub masks: usize,
    /// Times that everything was repeated.
    pub rounds: usize,
    /// What about the row differs from the others: another language, fewer masks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(default)]
    pub note: Option<String>,
    /// Why the engine cannot do the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(default)]
    pub error: Option<String>,
}

impl Row {
    /// The row of an engine that could not do its case.
    #[must_use]
    pub fn failed(case: &str, engine: &str, vocabulary: usize, error: String) -> Self {
        Self { case: case.into(), engine: engine.into(), vocabulary, error: Some(error), ..Self::default() }
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// `grammar`.
    pub bench: &'static str,
    /// Where.
    pub machine: Machine,
    /// Whose vocabulary.
    pub model: String,
    /// Engines by cases.
    pub rows: Vec<Row>,
}

impl Report {
    /// A report of `rows` that were measured on this machine.
    #[must_use]
    pub fn new(model: String, rows: Vec<Row>) -> Self {
        Self { bench: "grammar", machine: Machine::detect(), model, rows }
    }

    /// The figures as a table for the terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let vocabulary = self.rows.first().map_or(0, |row| row.vocabulary);
        let mut out = format!(
            "{} · {vocabulary} tokens · {} · {} cores · times in µs, memory in MB\n{:14} {:17} {:>9} {:>9} {:>7} {:>9} \
             {:>9} {:>9} {:>7} {:>7} {:>7}",
            self.model,
            self.machine.cpu,
            self.machine.cores,
            "case",
            "engine",
            "compile",
            "mask mean",
            "ratio",
            "p50",
            "p99",
            "max",
            "check",
            "apply",
            "memory",
        );
        let mut notes = Vec::new();
        for row in &self.rows {
            let _ = write!(out, "\n{:14} {:17} ", row.case, row.engine);
            if let Some(error) = &row.error {
                let _ = write!(out, "{error}");
                continue;
            }
            let ours = self.rows.iter().find(|other| other.case == row.case && other.engine == "mneme");
            let ratio = row.mask_mean_us.zip(ours.and_then(|ours| ours.mask_mean_us)).map(|(row, ours)| row / ours);
            let _ = write!(
                out,
                "{:>9} {:>9} {:>7} {:>9} {:>9} {:>9} {:>7} {:>7} {:>7}",
                figure(row.compile_us),
                figure(row.mask_mean_us),
                figure(ratio),
                figure(row.mask_p50_us),
                figure(row.mask_p99_us),
                figure(row.mask_max_us),
                figure(row.check_us),
                figure(row.apply_us),
                figure(row.bytes.map(megabytes)),
            );
            let note = row.note.as_ref().map(|note| format!("{}, {}: {note}", row.case, row.engine));
            notes.extend(note.filter(|note| !notes.contains(note)));
        }
        for note in notes {
            let _ = write!(out, "\n  {note}");
        }
        out
    }
}

/// Three or more digits that say something.
fn figure(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[allow(clippy::cast_precision_loss)]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::{Report, Row};

    #[test]
    fn the_report_has_the_fields_that_scripts_read() {
        let row = Row { case: "x".into(), engine: "mneme".into(), mask_mean_us: Some(1.5), ..Row::default() };
        let broken = Row::failed("x", "peer", 3, "it hangs".into());
        let report = Report::new("model".into(), vec![row, broken]);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["bench"], "grammar");
        for field in "case engine vocabulary compile_us mask_mean_us mask_p50_us mask_p99_us mask_max_us check_us bytes"
            .split(' ')
        {
            assert!(json["rows"][0].get(field).is_some(), "{field}");
        }
        assert_eq!(json["rows"][1]["error"], "it hangs");
        assert!(json["machine"]["cores"].as_u64().unwrap() >= 1);
        assert!(report.table().contains("it hangs") && report.table().contains("1.50"));
    }
}
