//! What several suites share: the program as a child process, an agent in this process, a hub on loopback, the shipped
//! grammars.

pub mod agent;
pub mod documents;
pub mod embedder;
#[cfg(target_os = "linux")]
pub mod endurance;
pub mod engines;
pub mod grammars;
#[cfg(all(unix, feature = "download"))]
pub mod hub_server;
pub mod kill_model;
pub mod kills;
#[cfg(all(unix, feature = "download"))]
pub mod model_world;
pub mod program;
#[cfg(unix)]
pub mod screen;
pub mod soak;
pub mod tiny_gguf;
#[cfg(any(feature = "llama-cpp", feature = "candle"))]
pub mod weights;
pub mod world;
