//! Products of rows and quantised matrices.
//!
//! candle multiplies quantised blocks, which is best for few rows. For many it has packed kernels for some encodings and
//! widths alone; for the others a group of the matrix's rows is widened to f32 and multiplied as such, each group on the
//! thread that takes it. Measured on 2 cores of an AVX-512 virtual machine, 2026-11-30: see `docs/speed.md`.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{D, Device, Error, Module, Result, Tensor};
use gemm::Parallelism;

use super::super::arithmetic::{Block, Matrix, multiply};
use super::ops::{add_bias, each_piece, with_floats};

/// Rows from which widening the matrix is cheaper than multiplying its blocks one row after the other.
const WIDEN_FROM: usize = 8;
/// Rows of the matrix that are widened together.
const GROUP: usize = 64;

/// A product with what is added behind it.
pub(super) struct Projection {
    weight: QMatMul,
    bias: Option<Tensor>,
}

/// A matrix as it is multiplied by: in its file's encoding, but for floats on a GPU, which has its own products for them.
pub(super) fn multipliable(weight: QTensor) -> Result<QMatMul> {
    if weight.device().is_cpu() { Ok(QMatMul::QTensor(Arc::new(weight))) } else { QMatMul::from_qtensor(weight) }
}

impl Projection {
    /// Shapes: `(outputs, inputs)` and `(outputs,)`.
    pub(super) fn new(weight: QTensor, bias: Option<Tensor>) -> Result<Self> {
        Ok(Self { weight: multipliable(weight)?, bias })
    }

    /// `(rows, inputs)` to `(rows, outputs)`.
    pub(super) fn forward(&self, rows: &Tensor) -> Result<Tensor> {
        self.finish(product(rows, &self.weight)?)
    }

    fn finish(&self, rows: Tensor) -> Result<Tensor> {
        match &self.bias {
            Some(bias) => add_bias(rows, bias),
            None => Ok(rows),
        }
    }
}

/// Several products of the same rows: in one go where candle can.
pub(super) fn forward_all<const N: usize>(rows: &Tensor, projections: [&Projection; N]) -> Result<[Tensor; N]> {
    let blocks = projections.iter().filter_map(|projection| match &projection.weight {
        QMatMul::QTensor(blocks) => Some(&**blocks),
        QMatMul::Tensor(_) | QMatMul::TensorF16(_) => None,
    });
    let blocks: Vec<&QTensor> = blocks.collect();
    let fused = if blocks.len() == N { QTensor::gemv_fused_shared_lhs(&blocks, rows)? } else { None };
    let products = match fused {
        Some(products) if products.len() == N => {
            projections.iter().zip(products).map(|(projection, product)| projection.finish(product)).collect()
        }
        _ => projections.iter().map(|projection| projection.forward(rows)).collect::<Result<Vec<_>>>(),
    };
    products?.try_into().map_err(|_| Error::Msg("a product was lost".to_owned()))
}

/// `(rows, inputs)` times the transpose of `(outputs, inputs)`.
pub(super) fn product(rows: &Tensor, weight: &QMatMul) -> Result<Tensor> {
    let QMatMul::QTensor(weight) = weight else { return weight.forward(rows) };
    let (count, inputs) = rows.dims2()?;
    // Alone as well: from 32 rows on candle would multiply Q4_K by the processor's matrix tiles (AMX), for which it packs the
    // matrix once more, and is not faster.
    if let Some(products) = QTensor::gemv_fused_shared_lhs(&[&**weight], rows)?
        && let Ok([product]) = <[Tensor; 1]>::try_from(products)
    {
        return Ok(product);
    }
    if count < WIDEN_FROM || !rows.device().is_cpu() || is_packed(weight.dtype(), inputs, weight.shape().dims2()?.0) {
        return rows.apply_op1_no_bwd(&**weight);
    }
    by_groups(rows, weight)
}

/// Whether candle has kernels for many rows.
const fn is_packed(kind: GgmlDType, inputs: usize, outputs: usize) -> bool {
    if cfg!(target_arch = "x86_64") {
        matches!(kind, GgmlDType::Q4K | GgmlDType::Q6K | GgmlDType::Q8_0)
            && inputs.is_multiple_of(256)
            && outputs.is_multiple_of(16)
    } else if cfg!(target_arch = "aarch64") {
        matches!(kind, GgmlDType::Q4_0 | GgmlDType::Q4K | GgmlDType::Q5K | GgmlDType::Q6K | GgmlDType::Q8_0)
    } else {
        false
    }
}

fn by_groups(rows: &Tensor, weight: &QTensor) -> Result<Tensor> {
    let (count, inputs) = rows.dims2()?;
    let outputs = weight.shape().dims2()?.0;
    let groups = outputs.div_ceil(GROUP);
    let group = |place: usize| place * GROUP..outputs.min((place + 1) * GROUP);
    let products: Vec<Mutex<Result<Vec<f32>>>> = (0..groups).map(|_| Mutex::new(Ok(Vec::new()))).collect();
    with_floats(rows, |numbers| {
        let rows = Matrix { numbers, start: 0, row_stride: inputs, column_stride: 1, columns: inputs };
        candle_core::utils::barrier_pool().execute_chunked(groups, |range| {
            for place in range {
                let outcome = widened(weight, group(place), |wide| {
                    let columns = group(place).len();
                    let wide =
                        Matrix { numbers: wide, start: 0, row_stride: inputs, column_stride: 1, columns: inputs };
                    let mut out = vec![0.0; count * columns];
                    let mut block = Block { numbers: &mut out, start: 0, stride: columns, rows: count, columns };
                    multiply(&mut block, &rows, &wide.transposed(columns), Parallelism::None)?;
                    Ok(out)
                });
                *products[place].lock().unwrap_or_else(PoisonError::into_inner) = outcome;
            }
        });
        Ok(())
    })?;
    let products = products
        .into_iter()
        .map(|product| product.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect::<Result<Vec<_>>>()?;
    let mut out = vec![0.0; count * outputs];
    each_piece(&mut out, outputs, |row, out| {
        for (place, product) in products.iter().enumerate() {
            let columns = group(place).len();
            out[group(place)].copy_from_slice(&product[row * columns..][..columns]);
        }
    });
    Tensor::from_vec(out, (count, outputs), &Device::Cpu)
}

/// Calls `work` with some rows of a matrix at 32 bits.
fn widened<T>(weight: &QTensor, rows: std::ops::Range<usize>, work: impl FnOnce(&[f32]) -> Result<T>) -> Result<T> {
    let ids = rows.map(|row| u32::try_from(row).map_err(Error::wrap)).collect::<Result<Vec<_>>>()?;
    let count = ids.len();
    let wide = weight.embedding(&Tensor::from_vec(ids, count, &Device::Cpu)?)?;
    debug_assert_eq!(wide.dim(D::Minus2)?, count);
    with_floats(&wide, work)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_up(rows: usize, columns: usize, seed: u32) -> Tensor {
        let mut state = seed;
        let mut number = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let numbers: Vec<f32> = (0..rows * columns).map(|_| number()).collect();
        Tensor::from_vec(numbers, (rows, columns), &Device::Cpu).unwrap()
    }

    #[test]
    fn products_are_those_of_the_widened_matrix_for_few_rows_and_many() {
        for kind in [GgmlDType::Q4_1, GgmlDType::Q5_0, GgmlDType::Q8_0, GgmlDType::Q4K, GgmlDType::F16] {
            let weight = QTensor::quantize(&made_up(150, 512, 1), kind).unwrap();
            let wide = weight.dequantize(&Device::Cpu).unwrap();
            for count in [1, 7, 40] {
                let rows = made_up(count, 512, 2);
                let exact = rows.matmul(&wide.t().unwrap()).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
                let ours =
                    product(&rows, &multipliable(QTensor::quantize(&made_up(150, 512, 1), kind).unwrap()).unwrap())
                        .unwrap()
                        .flatten_all()
                        .unwrap()
                        .to_vec1::<f32>()
                        .unwrap();
                // Sums of 512 products of up to 1, of which candle's kernels round one side to 8 bits.
                for (our, exact) in ours.iter().zip(&exact) {
                    assert!((our - exact).abs() < 0.15, "{kind:?}, {count} rows: {our} and {exact}");
                }
                let grouped = by_groups(&rows, &weight).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
                for (our, exact) in grouped.iter().zip(&exact) {
                    assert!((our - exact).abs() < 1e-3, "{kind:?}, {count} rows: {our} and {exact}");
                }
            }
        }
    }
}
