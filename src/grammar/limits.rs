//! How much a grammar may cost.

/// Bounds on one grammar. Hitting one is an error: never a hang, never a token that was not checked.
///
/// What grows with use (states, parses, frames, masks) is held in graphs that the grammars of one compiler share. A full
/// graph ends no generation: what its matchers still need goes on in a fresh one, and the old one is dropped with its
/// last user. These limits thus bound each graph, and what a matcher needs at once: where it stands, and what one token
/// adds. A new grammar finds at least three quarters of its graph free.
///
/// Some bounds are the same for all grammars, because no use comes near them:
/// - 32 triggers of a lazy grammar, with 1,024 bytes of text in all; more are [`Error::Limit`](super::Error::Limit);
/// - 4,096 bytes in a token: a longer one is never let through as text, only where the grammar names it;
/// - 4,096 bytes of forced text in one answer; the rest is told once these were taken;
/// - 4 graphs filled by one mask; above that the matcher stops with an error;
/// - 8 texts, of up to 256 kB each, that [`Compiler::compile`](super::Compiler::compile) finds again without reading them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Length of the source in bytes. 4 MiB: grammars made from a whole set of tools stay below 200 kB, but a JSON Schema
    /// with all the values of an enumeration may be as large, and is to be read back once it was printed as a grammar.
    /// What costs more than to be read is above [`Limits::positions`] before.
    pub source_bytes: usize,
    /// Rules. 20,000: an enumeration of some thousand words written as rules still fits.
    pub rules: usize,
    /// Groups and repetitions within one another; a group and the repetition right behind it count once. 128: people
    /// write under 10; parser and compiler recurse.
    pub nesting: usize,
    /// Highest count in `{m,n}`. 100,000: counts cost nothing before they are reached.
    pub repetition: u32,
    /// Positions of the compiled automaton, ways on from them, and descriptions of those that go back to themselves in
    /// 32-bit words. 500,000 (25 MB with their index).
    pub positions: usize,
    /// States of one graph. 65,536: a state has up to 1 kB of transitions.
    pub states: usize,
    /// Parses that are followed at the same time. 20,000: an enumeration of some thousand words begins with as many.
    pub parses: usize,
    /// Parses kept over all states of one graph. 4,000,000 (32 MB).
    pub stored_parses: usize,
    /// Frames of all stacks of one graph. 1,000,000 (28 MB with their index).
    pub frames: usize,
    /// Memory of the token masks that one graph keeps, in bytes. 4 MiB: 220 masks at 151,936 tokens (19 kB each), and a
    /// long document under a large grammar asks for about 100 different ones. The latest is always kept.
    pub mask_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            source_bytes: 4 << 20,
            rules: 20_000,
            nesting: 128,
            repetition: 100_000,
            positions: 500_000,
            states: 65_536,
            parses: 20_000,
            stored_parses: 4_000_000,
            frames: 1_000_000,
            mask_bytes: 4 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::grammar::{graph, lazy, trie};

    #[test]
    fn the_bounds_that_are_named_are_those_that_hold() {
        assert_eq!((lazy::MOST, lazy::MOST_BYTES, trie::LONGEST_TOKEN_BYTES), (32, 1024, 4096));
        assert_eq!((trie::MOST_GRAPHS, graph::RECENT_SOURCES, graph::MAX_RECENT_BYTES), (4, 8, 256 << 10));
    }
}
