//! The memory pass: what a message tells becomes notes in core memory, in idle time behind the reply.
//!
//! [`look`] asks the model what a message states, [`findings`] keeps what is sound of it, [`notes`] compares that with what is known,
//! [`renewal`] writes notes anew that a message has changed, and [`run`] has the agent do all of it.

mod findings;
mod look;
pub(super) mod noted;
mod notes;
mod related;
mod renewal;
mod run;

pub(super) use findings::noted_names;
pub(super) use related::Related;
pub(super) use run::NO_LONGER;
