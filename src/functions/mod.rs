//! The functions that the model may call: what they are (`table`) and what they do (`executor`).
//!
//! Not responsible for when they may be called (`kernel`), nor for how a call is spelled (`dialect`).

mod archiving;
mod evidence;
mod excerpt;
mod executor;
mod reading;
mod recollection;
mod table;

pub use archiving::{Archived, Prepared, archive, prepare};
pub(crate) use evidence::evidence;
pub(crate) use excerpt::excerpt;
pub use executor::{Context, Outcome, PAGE_SIZE, SideEffect, execute};
pub use recollection::{Recollection, recollect};
pub use table::{Function, MAX_PAUSE_MINUTES, TABLE, names, schemas};
