//! What several suites need.

#[cfg(all(unix, feature = "download"))]
pub mod hub_server;
#[cfg(all(unix, feature = "download"))]
pub mod model_world;
