//! Measurements of the memory, on made-up data that repeat with their seed.

pub mod archival;
