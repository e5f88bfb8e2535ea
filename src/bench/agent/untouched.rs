//! The log of runs over the untouched half: who looks at it often has tuned on it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::interval::share;
use super::{Half, Interval, Report};

/// Name of the log in the folder of the conversations.
pub const LOG_NAME: &str = "untouched-runs.jsonl";

/// One line of the log: the figures of the untouched half alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UntouchedRun {
    /// Day in UTC, `YYYY-MM-DD`.
    pub date: String,
    /// Version of the program.
    pub version: &'static str,
    /// Name of the model.
    pub model: String,
    /// Call format.
    pub profile: &'static str,
    /// Whether turns waited for idle work.
    pub idle: &'static str,
    /// Conversations that were run to their end.
    pub conversations: usize,
    /// Checks that passed.
    pub passed: usize,
    /// All checks.
    pub total: usize,
    /// Share of the checks that passed.
    pub score: f64,
    /// Its 95 % interval.
    pub interval: Option<Interval>,
    /// Whether all that were chosen were run.
    pub is_complete: bool,
}

impl UntouchedRun {
    /// The line of a report; none where it holds no conversation of the untouched half.
    #[must_use]
    pub fn of(report: &Report, date: String) -> Option<Self> {
        let rows: Vec<_> = report.rows.iter().filter(|row| row.half == Half::Untouched).collect();
        let checks = rows.iter().map(|row| (row.name.as_str(), row.checks.tried()));
        let (passed, total) = checks.clone().fold((0, 0), |sum, (_, (passed, total))| (sum.0 + passed, sum.1 + total));
        let settings = &report.settings;
        Some(Self {
            date,
            version: env!("CARGO_PKG_VERSION"),
            model: settings.model.clone(),
            profile: settings.profile,
            idle: settings.idle,
            conversations: rows.len(),
            passed,
            total,
            score: share((passed, total))?,
            interval: Interval::of(checks, settings.seed),
            is_complete: report.summary.is_complete,
        })
    }

    /// Appends the line to the log in `folder` and gives back the log's path.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn append(&self, folder: &Path) -> std::io::Result<PathBuf> {
        let path = folder.join(LOG_NAME);
        let line = serde_json::to_string(self)? + "\n";
        OpenOptions::new().append(true).create(true).open(&path)?.write_all(line.as_bytes())?;
        Ok(path)
    }
}
