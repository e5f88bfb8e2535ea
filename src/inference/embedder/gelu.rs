//! The activation of BERT, `x * (1 + erf(x / sqrt 2)) / 2`, with the bias before it, in one pass over the numbers.
//!
//! Written without calls and branches so that the compiler makes vector code of it: candle's own takes the error
//! function number by number, a third of the time of a whole forward pass. Error function and exponential are
//! approximated to about the accuracy of f32. Source: Abramowitz and Stegun, Handbook of Mathematical Functions,
//! formula 7.1.26 (error below 1.5e-7); 2^x from the Taylor series of e^x on half an octave either side of 0.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

/// Below this, e^x is told as 0.
const LEAST_EXPONENT: f32 = -87.0;

/// The activation of each row of `rows` plus `bias`.
///
/// Shapes: `(rows, columns)` and `(columns)`, f32, both contiguous; out like the first.
pub(super) fn with_bias(rows: &Tensor, bias: &Tensor) -> Result<Tensor> {
    if rows.device().is_cpu() { rows.apply_op2_no_bwd(bias, &Gelu) } else { rows.broadcast_add(bias)?.gelu_erf() }
}

struct Gelu;

impl CustomOp2 for Gelu {
    fn name(&self) -> &'static str {
        "gelu with bias"
    }

    fn cpu_fwd(
        &self,
        rows: &CpuStorage,
        rows_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, bias) = (floats(rows, rows_layout)?, floats(bias, bias_layout)?);
        let mut out = Vec::with_capacity(rows.len());
        for row in rows.chunks_exact(bias.len()) {
            out.extend(row.iter().zip(bias).map(|(x, bias)| gelu(x + bias)));
        }
        Ok((CpuStorage::F32(out), rows_layout.shape().clone()))
    }
}

fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (Some((start, end)), CpuStorage::F32(numbers)) = (layout.contiguous_offsets(), storage) else {
        bail!("gelu with bias wants contiguous f32")
    };
    Ok(&numbers[start..end])
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let polynomial = t * (0.254_829_6 + t * (-0.284_496_74 + t * (1.421_413_8 + t * (-1.453_152 + t * 1.061_405_4))));
    // 1 - erf(|x| / sqrt 2)
    let rest = polynomial * exp(-z * z);
    let below = if x < 0.0 { rest } else { 2.0 - rest };
    0.5 * x * below
}

/// e^x for x at most 0.
#[inline(always)]
fn exp(x: f32) -> f32 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn it_is_candles_own_activation_to_the_accuracy_of_the_approximation() {
        let numbers: Vec<f32> =
            (-4000..4000).map(|step| step as f32 / 250.0).chain([-200.0, 200.0, 0.0, 1e-6]).collect();
        let count = numbers.len();
        let rows = Tensor::from_vec(numbers, (2, count / 2), &Device::Cpu).unwrap();
        let bias = Tensor::full(0.25_f32, count / 2, &Device::Cpu).unwrap();
        let ours: Vec<f32> = with_bias(&rows, &bias).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        let theirs = rows.broadcast_add(&bias).unwrap().gelu_erf().unwrap().flatten_all().unwrap();
        let theirs: Vec<f32> = theirs.to_vec1().unwrap();
        for (our, their) in ours.iter().zip(&theirs) {
            // 1.5e-7 from the formula, times x / 2, and two units in the last place.
            assert!((our - their).abs() <= 2e-6 + their.abs() * 3e-7, "{our} and {their}");
        }
    }

    #[test]
    fn what_does_not_lie_in_one_piece_is_refused() {
        let rows = Tensor::zeros((4, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
        let bias = Tensor::zeros(4, candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(with_bias(&rows.t().unwrap(), &bias).is_err());
    }
}
