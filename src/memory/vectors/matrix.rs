//! The high bytes of all vectors that can be found, row by row in memory, and the scan over them.
//!
//! No graph, no clusters, no training: every row is looked at, so deletions and filters are exact and an answer never
//! depends on the order in which rows came in.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};

use super::codes::QueryCodes;

/// From here on two threads scan one half each; below, starting one takes as long as it saves.
const ROWS_FOR_TWO_THREADS: usize = 50_000;
/// Rows that are allocated together.
const BLOCK_ROWS: usize = 8192;

/// A row and how like the query it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scored {
    pub(super) id: i64,
    pub(super) similarity: f32,
}

impl Eq for Scored {}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The better row is the lesser one; of equals, the newer.
impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        other.similarity.total_cmp(&self.similarity).then_with(|| other.id.cmp(&self.id))
    }
}

/// The best rows that were offered.
pub(super) struct Best {
    at_most: usize,
    /// The worst of them on top.
    heap: BinaryHeap<Scored>,
    /// What a further row must exceed to be looked at.
    pub(super) floor: f32,
}

impl Best {
    pub(super) fn new(at_most: usize) -> Self {
        Self { at_most, heap: BinaryHeap::with_capacity(at_most + 1), floor: f32::NEG_INFINITY }
    }

    pub(super) fn offer(&mut self, scored: Scored) {
        if self.at_most == 0 {
            return;
        }
        self.heap.push(scored);
        if self.heap.len() > self.at_most {
            self.heap.pop();
            // Rows as good as the worst may still displace it by being newer.
            self.floor = self.heap.peek().map_or(f32::NEG_INFINITY, |worst| worst.similarity);
        }
    }

    /// Best first.
    pub(super) fn into_sorted(self) -> Vec<Scored> {
        self.heap.into_sorted_vec()
    }
}

/// Rows of equal length, in blocks, so that a matrix that grows is neither copied nor larger than it must be.
pub(super) struct Matrix {
    dimensions: usize,
    blocks: Vec<Block>,
}

/// At most [`BLOCK_ROWS`] rows; all blocks but the last are full.
#[derive(Default)]
struct Block {
    codes: Vec<i8>,
    scales: Vec<f32>,
    ids: Vec<i64>,
}

impl std::fmt::Debug for Matrix {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Matrix").field("rows", &self.rows()).finish_non_exhaustive()
    }
}

impl Matrix {
    pub(super) const fn new(dimensions: usize) -> Self {
        Self { dimensions, blocks: Vec::new() }
    }

    pub(super) fn rows(&self) -> usize {
        self.blocks.iter().map(|block| block.ids.len()).sum()
    }

    /// Memory that the rows take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let of = |block: &Block| {
            block.codes.capacity()
                + block.scales.capacity() * size_of::<f32>()
                + block.ids.capacity() * size_of::<i64>()
        };
        self.blocks.iter().map(of).sum()
    }

    /// Adds a row that is not there; one of another length is left out.
    pub(super) fn push(&mut self, id: i64, scale: f32, codes: impl ExactSizeIterator<Item = i8>) {
        if codes.len() != self.dimensions {
            return;
        }
        if self.blocks.last().is_none_or(|block| block.ids.len() == BLOCK_ROWS) {
            let mut block = Block::default();
            if !self.blocks.is_empty() {
                block.codes.reserve_exact(BLOCK_ROWS * self.dimensions);
                block.scales.reserve_exact(BLOCK_ROWS);
                block.ids.reserve_exact(BLOCK_ROWS);
            }
            self.blocks.push(block);
        }
        if let Some(block) = self.blocks.last_mut() {
            block.codes.extend(codes);
            block.scales.push(scale);
            block.ids.push(id);
        }
    }

    /// Takes rows out; the last ones take their places. Cost: one pass over the ids, however many go.
    pub(super) fn remove(&mut self, gone: &HashSet<i64>) {
        let (mut at, mut from) = (0, 0);
        while let Some(block) = self.blocks.get(at) {
            let rest = block.ids.get(from..).unwrap_or_default();
            let Some(row) = rest.iter().position(|id| gone.contains(id)).map(|further| from + further) else {
                (at, from) = (at + 1, 0);
                continue;
            };
            // What takes the row's place is looked at next: it may have to go as well.
            from = row;
            let Some((id, scale, codes)) = self.pop() else { return };
            let Some(block) = self.blocks.get_mut(at) else { continue };
            let place = row * self.dimensions..(row + 1) * self.dimensions;
            if let (Some(own_id), Some(own_scale), Some(own_codes)) =
                (block.ids.get_mut(row), block.scales.get_mut(row), block.codes.get_mut(place))
            {
                (*own_id, *own_scale) = (id, scale);
                own_codes.copy_from_slice(&codes);
            }
        }
    }

    /// Takes the last row out.
    fn pop(&mut self) -> Option<(i64, f32, Vec<i8>)> {
        let block = self.blocks.last_mut()?;
        let (id, scale) = (block.ids.pop()?, block.scales.pop()?);
        let codes = block.codes.split_off(block.ids.len() * self.dimensions);
        if block.ids.is_empty() {
            self.blocks.pop();
        }
        Some((id, scale, codes))
    }

    /// The rows most like `query` among those that `allows` lets through, best first.
    pub(super) fn scan(
        &self,
        query: &QueryCodes,
        at_most: usize,
        allows: &(dyn Fn(i64) -> bool + Sync),
    ) -> Vec<Scored> {
        let (first, second) = self.blocks.split_at(self.blocks.len() / 2);
        if self.rows() < ROWS_FOR_TWO_THREADS {
            return self.scan_blocks(&self.blocks, query, at_most, allows);
        }
        std::thread::scope(|scope| {
            let other = scope.spawn(|| self.scan_blocks(second, query, at_most, allows));
            let mut found = self.scan_blocks(first, query, at_most, allows);
            // A thread that panicked has scanned nothing: its half is scanned here.
            found.extend(other.join().unwrap_or_else(|_| self.scan_blocks(second, query, at_most, allows)));
            found.sort_unstable();
            found.truncate(at_most);
            found
        })
    }

    fn scan_blocks(
        &self,
        blocks: &[Block],
        query: &QueryCodes,
        at_most: usize,
        allows: &dyn Fn(i64) -> bool,
    ) -> Vec<Scored> {
        let mut best = Best::new(at_most);
        let scan_scale = query.scan_scale();
        for block in blocks {
            let rows = block.codes.chunks_exact(self.dimensions.max(1)).zip(&block.scales).zip(&block.ids);
            for ((codes, scale), id) in rows {
                #[allow(clippy::cast_precision_loss)]
                let similarity = query.scanned(codes) as f32 * (scale * scan_scale);
                if similarity >= best.floor && allows(*id) {
                    best.offer(Scored { id: *id, similarity });
                }
            }
        }
        best.into_sorted()
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::codes::Codes;
    use super::*;

    const DIMENSIONS: usize = 16;

    fn vector(generator: &mut ChaCha8Rng) -> Vec<f32> {
        (0..DIMENSIONS).map(|_| generator.random_range(-1.0..1.0)).collect()
    }

    fn filled(rows: i64, generator: &mut ChaCha8Rng) -> Matrix {
        let mut matrix = Matrix::new(DIMENSIONS);
        for id in 0..rows {
            let codes = Codes::of(&vector(generator));
            matrix.push(id, codes.scale, codes.high.into_iter());
        }
        matrix
    }

    #[test]
    fn two_threads_find_what_one_finds() {
        let mut generator = ChaCha8Rng::seed_from_u64(1);
        let matrix = filled(i64::try_from(ROWS_FOR_TWO_THREADS).unwrap() + 7, &mut generator);
        for _ in 0..5 {
            let query = QueryCodes::of(&vector(&mut generator));
            let odd = |id: i64| id % 2 == 1;
            let both = matrix.scan(&query, 20, &odd);
            assert_eq!(both, matrix.scan_blocks(&matrix.blocks, &query, 20, &odd));
            assert!(both.len() == 20 && both.iter().all(|scored| odd(scored.id)));
        }
    }

    #[test]
    fn of_equal_rows_the_newer_comes_first() {
        let mut matrix = Matrix::new(2);
        for id in 1..=9 {
            matrix.push(id, 1.0, [1, 0].into_iter());
        }
        let found = matrix.scan(&QueryCodes::of(&[1.0, 0.0]), 3, &|_| true);
        assert_eq!(found.iter().map(|scored| scored.id).collect::<Vec<_>>(), [9, 8, 7]);
    }

    #[test]
    fn rows_that_go_take_only_themselves_along() {
        let mut generator = ChaCha8Rng::seed_from_u64(2);
        let rows = i64::try_from(BLOCK_ROWS).unwrap() + 100;
        let mut matrix = filled(rows, &mut generator);
        let gone: HashSet<i64> = [0, 1, 50, rows - 2, rows - 1, rows + 5].into();
        let query = QueryCodes::of(&vector(&mut generator));
        let expected = matrix.scan(&query, 100, &|id| !gone.contains(&id));
        matrix.remove(&gone);
        assert_eq!(matrix.rows(), BLOCK_ROWS + 95);
        assert_eq!(matrix.scan(&query, 100, &|_| true), expected);
        matrix.remove(&(0..rows).collect());
        assert!(matrix.scan(&query, 100, &|_| true).is_empty());
    }

    #[test]
    fn all_rows_can_go_at_once_and_any_share_of_them_from_any_place() {
        let mut generator = ChaCha8Rng::seed_from_u64(3);
        let rows = i64::try_from(BLOCK_ROWS).unwrap() * 2 + 7;
        for keeps in [|_: i64| false, |id: i64| id % 3 == 0, |id: i64| id < 9, |id: i64| id > 8_500] {
            let mut matrix = filled(rows, &mut generator);
            matrix.remove(&(0..rows).filter(|id| !keeps(*id)).collect());
            let mut left: Vec<i64> = matrix.blocks.iter().flat_map(|block| block.ids.iter().copied()).collect();
            left.sort_unstable();
            assert_eq!(left, (0..rows).filter(|id| keeps(*id)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_row_of_another_length_is_left_out() {
        let mut matrix = Matrix::new(3);
        matrix.push(1, 1.0, [1, 2].into_iter());
        matrix.push(2, 1.0, [1, 2, 3].into_iter());
        assert_eq!(matrix.rows(), 1);
        assert!(matrix.bytes() >= 3 + 4 + 8);
    }
}
