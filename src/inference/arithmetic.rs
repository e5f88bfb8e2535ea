//! Arithmetic on f32 on the CPU, where candle's own is slower: products of matrices that stand apart in larger ones, and
//! vector code for the exponential.
//!
//! Source: e^x from its Taylor series on half an octave either side of 0, to about the accuracy of f32.

use candle_core::{CpuStorage, Layout, Result, bail};
use gemm::Parallelism;

/// Below this, e^x is told as 0.
const LEAST_EXPONENT: f32 = -87.0;

/// The numbers of a tensor that lie in one piece.
pub(super) fn floats<'a>((storage, layout): (&'a CpuStorage, &Layout)) -> Result<&'a [f32]> {
    match (layout.contiguous_offsets(), storage) {
        (Some((start, end)), CpuStorage::F32(numbers)) => Ok(&numbers[start..end]),
        _ => bail!("f32 in one piece is wanted"),
    }
}

/// A matrix that is read.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) numbers: &'a [f32],
    pub(super) start: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
    pub(super) columns: usize,
}

impl Matrix<'_> {
    /// The same with rows as columns; `rows` is how many there are.
    pub(super) fn transposed(self, rows: usize) -> Self {
        Self { row_stride: self.column_stride, column_stride: self.row_stride, columns: rows, ..self }
    }

    /// Whether all of it lies within the numbers.
    fn holds(&self, rows: usize) -> bool {
        let (Some(row), Some(column)) = (rows.checked_sub(1), self.columns.checked_sub(1)) else { return false };
        self.start + row * self.row_stride + column * self.column_stride < self.numbers.len()
    }
}

/// A matrix that is written, row by row.
pub(super) struct Block<'a> {
    pub(super) numbers: &'a mut [f32],
    pub(super) start: usize,
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// `out += left * right`.
pub(super) fn multiply(
    out: &mut Block<'_>,
    left: &Matrix<'_>,
    right: &Matrix<'_>,
    parallelism: Parallelism,
) -> Result<()> {
    let inner = left.columns;
    let last = out.rows.checked_sub(1).map(|row| out.start + row * out.stride + out.columns);
    let is_inside = last.is_some_and(|end| end <= out.numbers.len()) && out.columns <= out.stride;
    if !is_inside || out.columns != right.columns || !left.holds(out.rows) || !right.holds(inner) {
        bail!("a product onto {} x {} over {inner} reaches outside of its matrices", out.rows, out.columns);
    }
    let stride = |stride: usize| isize::try_from(stride).map_err(candle_core::Error::wrap);
    let (out_stride, [left_rows, left_columns, right_rows, right_columns]) = (
        stride(out.stride)?,
        [
            stride(left.row_stride)?,
            stride(left.column_stride)?,
            stride(right.row_stride)?,
            stride(right.column_stride)?,
        ],
    );
    // SAFETY: the check above holds every element that the strides reach within its slice; `out` is borrowed for writing
    // and so apart from both others, and its rows do not overlap.
    unsafe {
        gemm::gemm(
            out.rows,
            out.columns,
            inner,
            out.numbers.as_mut_ptr().add(out.start),
            1,
            out_stride,
            true,
            left.numbers.as_ptr().add(left.start),
            left_columns,
            left_rows,
            right.numbers.as_ptr().add(right.start),
            right_columns,
            right_rows,
            1.0_f32,
            1.0_f32,
            false,
            false,
            false,
            parallelism,
        );
    }
    Ok(())
}

/// Makes weights of a row of scores.
pub(super) fn softmax(row: &mut [f32]) {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|number| *number = exp(*number - most));
    let whole: f32 = row.iter().sum();
    row.iter_mut().for_each(|number| *number /= whole);
}

/// e^x for x at most 0.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    /// 1.5 * 2^23: adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < LEAST_EXPONENT { LEAST_EXPONENT } else { x };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let octaves = rounded - ROUND;
    // ln 2 in two parts, so that the difference keeps its bits.
    let r = x - octaves * 0.693_359_4 + octaves * 2.121_944_4e-4;
    let series = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r / 720.0)))));
    let scale = f32::from_bits((rounded.to_bits().wrapping_shl(23)).wrapping_add(1.0_f32.to_bits()));
    series * scale
}
