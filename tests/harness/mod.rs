//! What several suites share: the program as a child process, an agent in this process, a hub on loopback.

pub mod agent;
#[cfg(all(unix, feature = "download"))]
pub mod hub_server;
#[cfg(all(unix, feature = "download"))]
pub mod model_world;
pub mod program;
#[cfg(unix)]
pub mod screen;
pub mod soak;
#[cfg(feature = "llama-cpp")]
pub mod weights;
