//! The answer to "which tokens may come next": one bit a token id.

use crate::types::TokenId;

/// A set of token ids of one vocabulary. End-of-generation tokens are never in it: whether generation may end is asked
/// apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    words: Box<[u64]>,
}

impl Mask {
    /// The empty set over `tokens` ids.
    pub(crate) fn new(tokens: usize) -> Self {
        Self { words: vec![0; tokens.div_ceil(64)].into_boxed_slice() }
    }

    pub(crate) fn insert(&mut self, token: TokenId) {
        if let Some(word) = self.words.get_mut(token.index() / 64) {
            *word |= 1 << (token.index() % 64);
        }
    }

    /// Whether `token` may come next.
    #[must_use]
    pub fn contains(&self, token: TokenId) -> bool {
        self.words.get(token.index() / 64).is_some_and(|word| word >> (token.index() % 64) & 1 == 1)
    }

    /// Number of tokens in the set.
    #[must_use]
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The tokens, ascending.
    pub fn tokens(&self) -> impl Iterator<Item = TokenId> + '_ {
        (0_u32..).zip(&self.words).flat_map(|(block, &word)| {
            std::iter::successors((word != 0).then_some(word), |rest| {
                let rest = rest & (rest - 1);
                (rest != 0).then_some(rest)
            })
            .map(move |rest| TokenId(block * 64 + rest.trailing_zeros()))
        })
    }

    /// The bits: token `id` is bit `id % 64` of word `id / 64`.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_holds_what_was_put_in() {
        let mut mask = Mask::new(130);
        for id in [0, 63, 64, 129] {
            mask.insert(TokenId(id));
        }
        assert_eq!(mask.tokens().map(|token| token.0).collect::<Vec<_>>(), [0, 63, 64, 129]);
        assert_eq!(mask.count(), 4);
        assert!(mask.contains(TokenId(64)) && !mask.contains(TokenId(65)) && !mask.contains(TokenId(1 << 20)));
        assert_eq!(mask.words().len(), 3);
    }
}
