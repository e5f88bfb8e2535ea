//! `mneme bench memory recall`.

use super::{Error, bench::write_json};
use crate::bench::recall;
use crate::cli::{ExitCode, RecallBenchArgs};

/// What searches of the conversation find.
///
/// # Errors
/// A file cannot be read or understood, or the figures cannot be written.
pub(super) fn run(arguments: &RecallBenchArgs) -> Result<ExitCode, Error> {
    let mut embedder = super::embedder::open()?;
    let report = recall::run(&arguments.files, embedder.as_deref_mut(), &mut |next| {
        anstream::eprintln!("{}", crate::ui::sanitize(next))
    })?;
    anstream::println!("{}", report.table());
    write_json(&report, arguments.json.as_deref())?;
    Ok(ExitCode::Ok)
}
