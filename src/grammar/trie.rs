//! The text tokens of a vocabulary as a tree over their bytes, so that a mask is one walk over shared beginnings.

#![expect(clippy::indexing_slicing, reason = "node and token indexes are made together with the tables they index")]

use super::automaton::{Automaton, DEAD, StateId};
use super::mask::Mask;
use crate::inference::{TokenKind, Vocab};
use crate::types::{ConstraintError, TokenId};

/// One byte of some token, in depth-first order.
#[derive(Debug, Clone, Copy)]
struct Node {
    byte: u8,
    /// Number of bytes before this one.
    depth: u16,
    /// First node that is not below this one.
    after: u32,
    /// Where the tokens that end here begin in [`TokenTrie::tokens`]; they end where the next node's begin.
    tokens: u32,
}

/// A tree over all text tokens. Takes tens of milliseconds to build at 150,000 tokens: build it once a vocabulary.
#[derive(Debug)]
pub(crate) struct TokenTrie {
    nodes: Vec<Node>,
    tokens: Vec<TokenId>,
    longest_bytes: u32,
}

/// Tokens beyond this length are left out of text: no tokenizer has them, a damaged model file may.
const LONGEST_TOKEN_BYTES: usize = 4096;

impl TokenTrie {
    pub(crate) fn new(vocab: &Vocab) -> Self {
        let ids = (0..u32::try_from(vocab.len()).unwrap_or(u32::MAX)).map(TokenId);
        let mut sorted: Vec<(&[u8], TokenId)> = ids
            .filter(|id| vocab.kind(*id) == TokenKind::Text && !vocab.is_end_of_generation(*id))
            .map(|id| (vocab.bytes(id), id))
            .filter(|(bytes, _)| !bytes.is_empty() && bytes.len() <= LONGEST_TOKEN_BYTES)
            .collect();
        sorted.sort_unstable();
        let mut nodes: Vec<Node> = Vec::new();
        let mut path: Vec<usize> = Vec::new();
        let mut tokens = Vec::with_capacity(sorted.len());
        let mut longest_bytes = 0;
        let mut before: &[u8] = &[];
        for (bytes, id) in sorted {
            let shared = before.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            let end = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
            path.drain(shared..).for_each(|node: usize| nodes[node].after = end);
            for (depth, byte) in bytes.iter().enumerate().skip(shared) {
                path.push(nodes.len());
                let depth = u16::try_from(depth).unwrap_or(u16::MAX);
                let tokens = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
                nodes.push(Node { byte: *byte, depth, after: 0, tokens });
            }
            tokens.push(id);
            longest_bytes = longest_bytes.max(bytes.len());
            before = bytes;
        }
        let end = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        path.into_iter().for_each(|node| nodes[node].after = end);
        Self { nodes, tokens, longest_bytes: u32::try_from(longest_bytes).unwrap_or(u32::MAX) }
    }

    /// Length of the longest token.
    pub(crate) const fn longest_bytes(&self) -> u32 {
        self.longest_bytes
    }

    /// All text tokens whose bytes may come next in `state`.
    pub(crate) fn mask(
        &self,
        automaton: &mut Automaton,
        state: StateId,
        vocab_len: usize,
    ) -> Result<Mask, ConstraintError> {
        let mut mask = Mask::new(vocab_len);
        let mut states = vec![DEAD; self.longest_bytes as usize + 1];
        states[0] = state;
        let mut at = 0;
        while let Some(node) = self.nodes.get(at) {
            let depth = usize::from(node.depth);
            let next = automaton.step(states[depth], node.byte)?;
            if next == DEAD {
                at = node.after as usize;
                continue;
            }
            states[depth + 1] = next;
            at += 1;
            let end = self.nodes.get(at).map_or(self.tokens.len(), |node| node.tokens as usize);
            for token in &self.tokens[node.tokens as usize..end] {
                mask.insert(*token);
            }
        }
        Ok(mask)
    }
}
