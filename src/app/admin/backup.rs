//! `mneme backup` and `mneme restore`.

use std::path::{Path, PathBuf};

use indicatif::DecimalBytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::output::stdout;
use super::{Done, confirmed, home, open_store};
use crate::cli::ExitCode;
use crate::config::DATABASE_NAME;
use crate::memory;
use crate::types::{Clock, SystemClock};
use crate::ui::sanitize;

pub(super) fn backup(file: Option<PathBuf>) -> Done {
    let store = open_store(&home()?)?;
    let target = file.unwrap_or_else(default_name);
    let bytes = store.backup_to(&target)?;
    let agents = store.agents()?.len();
    let name = sanitize(&target.display().to_string());
    writeln!(
        stdout(),
        "{name}: {agents} agents, {}, checked. Personas and config.toml are files of the home and not in it.",
        DecimalBytes(bytes)
    )?;
    Ok(ExitCode::Ok)
}

fn default_name() -> PathBuf {
    let now = Timestamp::now().to_zoned(TimeZone::system());
    PathBuf::from(format!("mneme-{}.db", now.strftime("%Y-%m-%d-%H%M%S")))
}

pub(super) fn restore(file: &Path, yes: bool) -> Done {
    let database = home()?.join(DATABASE_NAME);
    if database.exists() && !confirmed("Put this backup into the place of the present database?", yes)? {
        return Ok(ExitCode::Failed);
    }
    let restored = memory::restore(&database, file, SystemClock.now_ms())?;
    let mut out = stdout();
    writeln!(out, "{} agents are restored.", restored.agent_count)?;
    if let Some(aside) = restored.put_aside {
        writeln!(out, "What was there before is in {}", sanitize(&aside.display().to_string()))?;
    }
    Ok(ExitCode::Ok)
}
