//! What the encoder spends its time in, as operations on candle's CPU tensors, and the same by candle's own operations
//! for other devices.
//!
//! candle's own would do on the CPU, too, and are what the tests compare with. These are faster: matrices are
//! multiplied onto bias and residual instead of adding them afterwards, attention reads queries, keys and values where
//! they stand, activation and softmax are vector code, and candle's asking for the number of cores before every product
//! (it reads `/proc/cpuinfo`) and its spinning threads are left out.
//!
//! The error function is approximated to about the accuracy of f32. Source: Abramowitz and Stegun, Handbook of Mathematical
//! Functions, formula 7.1.26 (error below 1.5e-7).

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, D, Layout, Result, Shape, Tensor, bail};
use candle_nn::ops::softmax_last_dim;
use gemm::Parallelism;

use super::super::arithmetic::{Block, Matrix, exp, floats, multiply, softmax};

/// A matrix and what is added behind it.
pub(super) struct Linear {
    /// Shape `(inputs, outputs)`.
    weight: Tensor,
    /// Shape `(outputs)`.
    bias: Tensor,
    bias_numbers: Vec<f32>,
}

impl Linear {
    /// Shapes: `(inputs, outputs)` and `(outputs)`, f32.
    pub(super) fn new(weight: &Tensor, bias: Tensor) -> Result<Self> {
        let bias_numbers = bias.to_vec1()?;
        Ok(Self { weight: weight.contiguous()?, bias, bias_numbers })
    }

    /// `(rows, inputs)` to `(rows, outputs)`; with `threads` over 1, several work on the product.
    pub(super) fn forward(&self, rows: &Tensor, threads: usize) -> Result<Tensor> {
        self.run(rows, threads, false)
    }

    /// The same with the activation `x * (1 + erf(x / sqrt 2)) / 2` behind it.
    pub(super) fn forward_gelu(&self, rows: &Tensor, threads: usize) -> Result<Tensor> {
        self.run(rows, threads, true)
    }

    fn run(&self, rows: &Tensor, threads: usize, activate: bool) -> Result<Tensor> {
        if rows.device().is_cpu() {
            return rows.apply_op2_no_bwd(&self.weight, &Product { linear: self, threads, activate });
        }
        let product = rows.matmul(&self.weight)?.broadcast_add(&self.bias)?;
        if activate { product.gelu_erf() } else { Ok(product) }
    }

    /// The same plus `residual`, `(rows, outputs)`.
    pub(super) fn forward_onto(&self, rows: &Tensor, residual: &Tensor, threads: usize) -> Result<Tensor> {
        if rows.device().is_cpu() {
            let product = Product { linear: self, threads, activate: false };
            return rows.apply_op3_no_bwd(&self.weight, residual, &product);
        }
        rows.matmul(&self.weight)?.broadcast_add(&self.bias)? + residual
    }
}

struct Product<'a> {
    linear: &'a Linear,
    threads: usize,
    activate: bool,
}

impl Product<'_> {
    fn run(&self, rows: (&CpuStorage, &Layout), weight: (&CpuStorage, &Layout), onto: Vec<f32>) -> Result<Output> {
        let ((row_count, inputs), (height, outputs)) = (rows.1.shape().dims2()?, weight.1.shape().dims2()?);
        let (rows, weight, mut out) = (floats(rows)?, floats(weight)?, onto);
        if inputs != height || out.len() != row_count * outputs {
            bail!("a product of {row_count} x {inputs} and {height} x {outputs} onto {} numbers", out.len());
        }
        multiply(
            &mut Block { numbers: &mut out, start: 0, stride: outputs, rows: row_count, columns: outputs },
            &Matrix { numbers: rows, start: 0, row_stride: inputs, column_stride: 1, columns: inputs },
            &Matrix { numbers: weight, start: 0, row_stride: outputs, column_stride: 1, columns: outputs },
            if self.threads > 1 { Parallelism::Rayon(self.threads) } else { Parallelism::None },
        )?;
        if self.activate {
            out.iter_mut().for_each(|number| *number = gelu(*number));
        }
        Ok((CpuStorage::F32(out), Shape::from((row_count, outputs))))
    }
}

type Output = (CpuStorage, Shape);

impl CustomOp2 for Product<'_> {
    fn name(&self) -> &'static str {
        "product onto bias"
    }

    fn cpu_fwd(&self, rows: &CpuStorage, rl: &Layout, weight: &CpuStorage, wl: &Layout) -> Result<Output> {
        let row_count = rl.shape().dims2()?.0;
        self.run((rows, rl), (weight, wl), self.linear.bias_numbers.repeat(row_count))
    }
}

impl CustomOp3 for Product<'_> {
    fn name(&self) -> &'static str {
        "product onto bias and residual"
    }

    fn cpu_fwd(
        &self,
        rows: &CpuStorage,
        rl: &Layout,
        weight: &CpuStorage,
        wl: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> Result<Output> {
        let bias = &self.linear.bias_numbers;
        let mut onto = floats((residual, residual_layout))?.to_vec();
        for row in onto.chunks_exact_mut(bias.len()) {
            row.iter_mut().zip(bias).for_each(|(number, bias)| *number += bias);
        }
        self.run((rows, rl), (weight, wl), onto)
    }
}

/// Attention of each text to itself.
///
/// Shapes: `(tokens of all texts, 3 * hidden)` f32, queries (already scaled), keys and values side by side, each head
/// by head; out `(tokens of all texts, hidden)`.
pub(super) fn attention(joined: &Tensor, lengths: &[usize], heads: usize) -> Result<Tensor> {
    if joined.device().is_cpu() {
        return joined.apply_op1_no_bwd(&Attention { lengths, heads });
    }
    attention_by_candle(joined, lengths, heads)
}

fn attention_by_candle(joined: &Tensor, lengths: &[usize], heads: usize) -> Result<Tensor> {
    let hidden = joined.dim(D::Minus1)? / 3;
    let mut start = 0;
    let mut texts = Vec::with_capacity(lengths.len());
    for &length in lengths {
        // (length, 3 * hidden) -> (3, heads, length, head size)
        let text = joined.narrow(0, start, length)?.reshape((length, 3, heads, hidden / heads))?;
        let text = text.permute((1, 2, 0, 3))?.contiguous()?;
        let (query, key, value) = (text.get(0)?, text.get(1)?, text.get(2)?);
        let weights = softmax_last_dim(&query.matmul(&key.t()?)?)?;
        texts.push(weights.matmul(&value)?.transpose(0, 1)?.contiguous()?.reshape((length, hidden))?);
        start += length;
    }
    Tensor::cat(&texts, 0)
}

struct Attention<'a> {
    lengths: &'a [usize],
    heads: usize,
}

impl CustomOp1 for Attention<'_> {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, joined: &CpuStorage, layout: &Layout) -> Result<Output> {
        let (tokens, width) = layout.shape().dims2()?;
        let numbers = floats((joined, layout))?;
        let (hidden, head_size) = (width / 3, width / 3 / self.heads);
        if self.lengths.iter().sum::<usize>() != tokens || head_size * self.heads * 3 != width {
            bail!("attention over {tokens} x {width} in {} heads", self.heads);
        }
        let mut out = vec![0.0; tokens * hidden];
        let longest = self.lengths.iter().max().copied().unwrap_or_default();
        let mut scores = vec![0.0; longest * longest];
        let mut first = 0;
        for &length in self.lengths {
            for head in 0..self.heads {
                let start = first * width + head * head_size;
                let part = |part: usize| Matrix {
                    numbers,
                    start: start + part * hidden,
                    row_stride: width,
                    column_stride: 1,
                    columns: head_size,
                };
                let scores = &mut scores[..length * length];
                scores.fill(0.0);
                let square = &mut Block { numbers: scores, start: 0, stride: length, rows: length, columns: length };
                multiply(square, &part(0), &part(1).transposed(length), Parallelism::None)?;
                scores.chunks_exact_mut(length).for_each(softmax);
                let weights =
                    Matrix { numbers: scores, start: 0, row_stride: length, column_stride: 1, columns: length };
                let start = first * hidden + head * head_size;
                let place = &mut Block { numbers: &mut out, start, stride: hidden, rows: length, columns: head_size };
                multiply(place, &weights, &part(2), Parallelism::None)?;
            }
            first += length;
        }
        Ok((CpuStorage::F32(out), Shape::from((tokens, hidden))))
    }
}

/// Sum of two tensors of one shape.
pub(super) fn sum(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    if left.device().is_cpu() { left.apply_op2_no_bwd(right, &Sum) } else { left + right }
}

struct Sum;

impl CustomOp2 for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn cpu_fwd(&self, left: &CpuStorage, ll: &Layout, right: &CpuStorage, rl: &Layout) -> Result<Output> {
        let (left, right) = (floats((left, ll))?, floats((right, rl))?);
        Ok((CpuStorage::F32(left.iter().zip(right).map(|(left, right)| left + right).collect()), ll.shape().clone()))
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    /// Numbers between -1 and 1.
    fn made_up(rows: usize, columns: usize, seed: u32) -> Tensor {
        let mut state = seed;
        let mut number = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        Tensor::from_vec((0..rows * columns).map(|_| number()).collect::<Vec<_>>(), (rows, columns), &Device::Cpu)
            .unwrap()
    }

    /// Sums of 48 and 16 products, in another order.
    fn assert_alike(ours: &Tensor, theirs: &Tensor) {
        assert_eq!(ours.dims(), theirs.dims());
        let numbers = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (our, their) in numbers(ours).into_iter().zip(numbers(theirs)) {
            assert!((our - their).abs() <= 2e-5 + their.abs() * 1e-6, "{our} and {their}");
        }
    }

    #[test]
    fn products_are_candles_own() {
        let (rows, weight, residual) = (made_up(37, 48, 1), made_up(48, 16, 2), made_up(37, 16, 3));
        let bias = made_up(1, 16, 4).squeeze(0).unwrap();
        let linear = Linear::new(&weight, bias.clone()).unwrap();
        let theirs = rows.matmul(&weight).unwrap().broadcast_add(&bias).unwrap();
        assert_alike(&linear.forward(&rows, 1).unwrap(), &theirs);
        assert_alike(&linear.forward(&rows, 3).unwrap(), &theirs);
        assert_alike(&linear.forward_gelu(&rows, 1).unwrap(), &theirs.gelu_erf().unwrap());
        assert_alike(&linear.forward_onto(&rows, &residual, 1).unwrap(), &(&theirs + &residual).unwrap());
        assert_alike(&sum(&theirs, &residual).unwrap(), &(&theirs + &residual).unwrap());
        assert!(linear.forward(&made_up(3, 47, 1), 1).is_err());
        assert!(linear.forward_onto(&rows, &made_up(36, 16, 1), 1).is_err());
        assert!(linear.forward(&made_up(48, 3, 1).t().unwrap(), 1).is_err());
    }

    #[test]
    fn attention_is_candles_own() {
        let joined = (made_up(30, 96, 5) * 4.0).unwrap();
        for lengths in [&[30][..], &[1, 2, 27], &[10, 10, 10]] {
            let ours = attention(&joined, lengths, 4).unwrap();
            assert_alike(&ours, &attention_by_candle(&joined, lengths, 4).unwrap());
        }
        assert!(attention(&joined, &[31], 4).is_err());
        assert!(attention(&joined, &[30], 5).is_err());
    }

    #[test]
    fn the_activation_is_candles_own_to_the_accuracy_of_the_approximation() {
        let numbers: Vec<f32> = (-4000..4000).map(|step| step as f32 / 250.0).chain([-200.0, 200.0, 1e-6]).collect();
        let theirs = Tensor::new(numbers.as_slice(), &Device::Cpu).unwrap().gelu_erf().unwrap();
        for (&x, their) in numbers.iter().zip(theirs.to_vec1::<f32>().unwrap()) {
            // 1.5e-7 from the formula, times x / 2, and two units in the last place.
            assert!((gelu(x) - their).abs() <= 2e-6 + their.abs() * 3e-7, "{} and {their} at {x}", gelu(x));
        }
        assert!(gelu(f32::NAN).is_nan());
    }

    #[test]
    fn no_numbers_and_numbers_of_another_kind_are_refused() {
        let linear = Linear::new(&made_up(4, 2, 1), Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap()).unwrap();
        assert!(linear.forward(&Tensor::zeros((3, 4), DType::F64, &Device::Cpu).unwrap(), 1).is_err());
        assert!(linear.forward(&Tensor::zeros((0, 4), DType::F32, &Device::Cpu).unwrap(), 1).is_err());
    }
}
