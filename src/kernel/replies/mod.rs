//! How a reply is written and shown: what it may not begin with, where it ends, and what is told of it while it grows.

mod first_word;
mod offer_of_help;
mod opening;
mod own_words;
mod reply;

pub(super) use first_word::NotFirst;
pub(super) use offer_of_help::{Shown, is_unasked};
pub(super) use opening::{is_enough, is_looked_at, is_misplaced, only_tells};
pub(super) use own_words::{OwnWords, user_names};
pub(super) use reply::{Reply, Started};
