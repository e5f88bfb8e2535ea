//! Logs: warnings of the program and of llama.cpp go to a file in the home, with `--debug` everything does, prompts
//! included. Nothing is logged to the terminal, where it would tear the screen.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::Error;
use crate::config;
use crate::types::create_private_folder;

/// The log in the home.
pub(super) const FILE_NAME: &str = "logs/mneme.log";

/// A log larger than this is started anew.
const MAX_LOG_BYTES: u64 = 16 * 1024 * 1024;

/// Sends logs to `logs/mneme.log` of the home.
///
/// # Errors
/// The file cannot be opened.
pub(super) fn start(home: &Path, debug: bool) -> Result<(), Error> {
    let folder = home.join("logs");
    let file = open(&folder).map_err(|source| config::Error::File { path: folder.join("mneme.log"), source })?;
    let level = if debug { LevelFilter::DEBUG } else { LevelFilter::WARN };
    let targets = Targets::new()
        .with_target("mneme", level)
        .with_target("llama-cpp-2", LevelFilter::WARN)
        .with_default(LevelFilter::WARN);
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Mutex::new(file));
    // A second start in one process (tests) keeps the first log.
    let _ = tracing_subscriber::registry().with(targets).with(layer).try_init();
    Ok(())
}

fn open(folder: &Path) -> std::io::Result<File> {
    create_private_folder(folder)?;
    #[cfg(unix)]
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    let path = folder.join("mneme.log");
    let too_large = std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() > MAX_LOG_BYTES);
    let mut options = OpenOptions::new();
    // Always behind what is there: lines of it can be taken out while it is open.
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let file = options.open(&path)?;
    if too_large {
        file.set_len(0)?;
    }
    Ok(file)
}
