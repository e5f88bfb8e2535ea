//! One integration binary: each further one would link llama.cpp again.

mod harness;

mod suite {
    mod architecture;
    mod chat;
    mod commands;
    mod conversation;
    mod dialect;
    mod grammar;
    mod grammar_cli;
    mod inference;
    mod long;
    mod memory;
    mod memory_pass;
    mod mishaps;
    mod models;
    #[cfg(feature = "llama-cpp")]
    mod oracle;
    mod safety;
    mod schema;
}
