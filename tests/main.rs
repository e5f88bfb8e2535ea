//! One integration binary: each further one would link llama.cpp again.

/// Counts, for the test that holds the memory that is told to the memory that is taken.
#[cfg(not(feature = "bench-peers"))]
#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

mod harness;

mod suite {
    mod admin;
    mod answer_pass;
    mod architecture;
    mod bench_agent;
    mod bench_bfcl;
    mod bench_conversations;
    mod bench_functions;
    mod bench_recall;
    mod bench_turn;
    mod chat;
    mod clock;
    mod commands;
    mod conversation;
    mod dialect;
    mod documents;
    #[cfg(feature = "candle")]
    mod embedder;
    mod embedding;
    mod forget;
    mod gpu;
    mod grammar;
    mod grammar_cli;
    mod heartbeats;
    mod inference;
    mod long;
    mod memory;
    mod memory_pass;
    mod mishaps;
    mod models;
    mod nested_kv;
    #[cfg(feature = "llama-cpp")]
    mod oracle;
    mod recollection;
    mod safety;
    mod schema;
    #[cfg(unix)]
    mod setup;
    mod undo;
    mod working_ahead;
}
