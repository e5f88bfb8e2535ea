//! How tokens that are to be read are split into passes.

use super::MAX_ROWS;
use crate::types::TokenId;

/// Passes of at most `most` tokens and how many of the last tokens of each need logits: none but in the last pass, which
/// has all of the last `rows`.
pub(super) fn passes(tokens: &[TokenId], rows: usize, most: usize) -> impl Iterator<Item = (&[TokenId], usize)> {
    // Logits of several tokens come from one pass.
    let rows = rows.clamp(1, MAX_ROWS.min(tokens.len()).max(1));
    let last = (tokens.len().saturating_sub(1) % most + 1).max(rows).min(tokens.len());
    let (before, last) = tokens.split_at(tokens.len() - last);
    before.chunks(most).map(|pass| (pass, 0)).chain((!last.is_empty()).then_some((last, rows)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tokens_are_read_once_and_the_last_pass_has_the_rows() {
        let tokens: Vec<TokenId> = (0..300).map(TokenId).collect();
        for (count, rows, most) in [(300, 1, 128), (256, 1, 128), (129, 5, 128), (3, 9, 128), (300, 16, 300), (0, 1, 7)]
        {
            let read: Vec<_> = passes(&tokens[..count], rows, most).collect();
            assert_eq!(read.iter().flat_map(|(pass, _)| *pass).count(), count);
            let wanted: Vec<usize> = read.iter().map(|(_, rows)| *rows).filter(|rows| *rows > 0).collect();
            assert_eq!(wanted, if count > 0 { vec![rows.min(count)] } else { Vec::new() });
            assert!(read.iter().all(|(pass, rows)| !pass.is_empty() && pass.len() <= most.max(*rows)));
        }
    }
}
