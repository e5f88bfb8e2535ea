//! Measurements of the program: what they do and how their figures are told. Timed claims live here, never in tests.

pub mod agent;
pub mod agreement;
pub mod bfcl;
mod cpu_clock;
pub mod embed;
pub mod energy;
pub mod engine;
pub mod functions;
pub mod grammar;
mod html;
pub mod machine;
pub mod memory;
pub mod nested_kv;
pub mod recall;
pub mod turn;

pub use cpu_clock::CpuClock;
