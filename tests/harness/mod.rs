//! What several suites share: the program as a child process, an agent in this process, a hub on loopback.

#[cfg(all(unix, feature = "download"))]
pub mod hub_server;
pub mod agent;
pub mod program;
