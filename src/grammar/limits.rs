//! How much a grammar may cost.

/// Bounds on one grammar. Hitting one is an error: never a hang, never a token that was not checked.
///
/// What grows with use is shared by the grammars of one compiler; a new grammar finds at least three quarters of it free,
/// or starts afresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Length of the source in bytes. 1 MiB: grammars made from a whole set of tools stay below 200 kB.
    pub source_bytes: usize,
    /// Rules. 20,000: an enumeration of some thousand words written as rules still fits.
    pub rules: usize,
    /// Groups and repetitions within one another. 128: people write under 10; parser and compiler recurse.
    pub nesting: usize,
    /// Highest count in `{m,n}`. 100,000: counts cost nothing before they are reached. A text in which more are counted
    /// than there are [`states`](Self::states) ends in an error.
    pub repetition: u32,
    /// Positions of the compiled automaton and branches between them. 500,000 (25 MB with their index).
    pub positions: usize,
    /// States of the matcher that are kept. 65,536: a state has up to 1 kB of transitions.
    pub states: usize,
    /// Parses that are followed at the same time. 20,000: an enumeration of some thousand words begins with as many.
    pub parses: usize,
    /// Parses kept over all states. 4,000,000 (32 MB).
    pub stored_parses: usize,
    /// Distinct stack frames. 1,000,000 (28 MB with their index).
    pub frames: usize,
    /// Token masks kept. 128: 19 kB each at 151,936 tokens.
    pub masks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            source_bytes: 1 << 20,
            rules: 20_000,
            nesting: 128,
            repetition: 100_000,
            positions: 500_000,
            states: 65_536,
            parses: 20_000,
            stored_parses: 4_000_000,
            frames: 1_000_000,
            masks: 128,
        }
    }
}
