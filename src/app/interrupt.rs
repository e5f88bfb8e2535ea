//! Ctrl-C, as commands hear of it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Error;
use crate::types::Cancel;

/// A flag that Ctrl-C raises from now on.
///
/// # Errors
/// The system does not say when it is pressed.
pub(super) fn raised_by_ctrl_c() -> Result<Cancel, Error> {
    let cancel = Cancel::new();
    raise_on_ctrl_c(&cancel)?;
    Ok(cancel)
}

/// Ctrl-C raises this flag from now on.
///
/// # Errors
/// The system does not say when it is pressed.
#[cfg_attr(not(unix), allow(unused_variables))]
pub(super) fn raise_on_ctrl_c(cancel: &Cancel) -> Result<(), Error> {
    #[cfg(unix)]
    signal_hook::flag::register(signal_hook::consts::SIGINT, cancel.flag()).map_err(Error::Signals)?;
    Ok(())
}

/// While `leaves` is up, Ctrl-C ends the program. Where the same flag is to be raised, that is asked for afterwards: what is asked
/// first is done first.
///
/// # Errors
/// The system does not say when it is pressed.
#[cfg_attr(not(unix), allow(unused_variables))]
pub(super) fn leave_on_ctrl_c(leaves: &Arc<AtomicBool>) -> Result<(), Error> {
    #[cfg(unix)]
    signal_hook::flag::register_conditional_shutdown(
        signal_hook::consts::SIGINT,
        crate::cli::ExitCode::Interrupted as i32,
        Arc::clone(leaves),
    )
    .map_err(Error::Signals)?;
    Ok(())
}
