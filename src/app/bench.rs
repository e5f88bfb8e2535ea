//! `mneme bench ..`: measurements that users can repeat.

use std::path::Path;

use super::Error;
use crate::bench;
use crate::cli::ExitCode;

/// Reading and decoding rates beside the bare library's.
///
/// # Errors
/// The model cannot be loaded, or the file cannot be written.
pub(super) fn engine(
    model: &str,
    read_tokens: usize,
    decode_tokens: usize,
    rounds: usize,
    json: Option<&Path>,
) -> Result<ExitCode, Error> {
    let (name, path) = super::models::resolve(model)?;
    let report = bench::engine::run(&name, &path, read_tokens, decode_tokens, rounds)?;
    anstream::println!("{}", report.table());
    if let Some(path) = json {
        let fail = |source| crate::config::Error::File { path: path.to_owned(), source };
        let text = serde_json::to_string_pretty(&report).map_err(std::io::Error::from)?;
        std::fs::write(path, text + "\n").map_err(fail)?;
    }
    Ok(ExitCode::Ok)
}
