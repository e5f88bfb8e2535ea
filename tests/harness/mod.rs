//! What the suites share: the program as a child process, and an agent in this process on the scripted engine.

pub mod program;
