//! Questions about the user, answered from what was said and noted in a prompt of their own.

mod answering;
mod grounding;
mod outdated;
mod prompt;

pub(super) use answering::{Lookup, only_searches};
