//! How much a schema may cost.

/// Bounds on one schema. Hitting one is an error: never a hang, never a keyword that was not held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Depth of the schema, in arrays and objects within one another, and length of a chain of references. 128: tool
    /// definitions stay below 20; the compiler recurses.
    pub nesting: usize,
    /// Values in the schema. 200,000: whole tool collections stay below 20,000.
    pub schema_values: usize,
    /// Alternatives that one place comes to after `anyOf`, `oneOf` and `allOf` have been multiplied out. 512.
    pub alternatives: usize,
    /// Rules of the grammar. 20,000, what the grammar compiler takes.
    pub rules: usize,
    /// Highest count: a lower bound above it is an error, an upper one is lowered to it. 100,000, what the grammar
    /// compiler takes; no reply is as long. Printed, counts above 2,000 are rules of at most so many, which llama.cpp
    /// takes.
    pub repetition: u32,
    /// Steps of work for comparing, combining and checking alternatives, listed values and patterns. 10,000,000: about
    /// a second; tool schemas stay below 10,000.
    pub work: u64,
    /// States of an automaton that holds several string keywords at the same time. 4,096.
    pub string_states: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nesting: 128,
            schema_values: 200_000,
            alternatives: 512,
            rules: 20_000,
            repetition: 100_000,
            work: 10_000_000,
            string_states: 4096,
        }
    }
}
