//! What stands between the products of a decoder block, on candle's tensors: norms, turning by position, the activation,
//! sums. On the CPU our own loops, which share one pool of threads with candle's products; elsewhere candle's operations,
//! with which the tests compare.

use std::sync::{Mutex, PoisonError};

use candle_core::{D, Device, Result, Storage, Tensor, bail};
use candle_nn::ops::{rms_norm as rms_norm_by_candle, silu};
use candle_nn::rotary_emb::rope_thd;

use super::super::arithmetic::{exp, floats};
use super::rope::Turns;
use super::shape::Activation;

/// Numbers from which work is shared among threads: a call of the pool takes some microseconds.
const SHARED_FROM: usize = 1 << 14;
/// Sums that are kept side by side, so that they become vector code.
const LANES: usize = 16;

/// Calls `work` with the numbers of a CPU tensor.
pub(super) fn with_floats<T>(tensor: &Tensor, work: impl FnOnce(&[f32]) -> Result<T>) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(cpu) => work(floats((cpu, layout))?),
        Storage::Cuda(_) | Storage::Metal(_) => bail!("numbers of a GPU cannot be looked at in place"),
    }
}

/// Calls `work` with the number and the numbers of each piece of `width` numbers, side by side where that pays.
pub(super) fn each_piece(numbers: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    if numbers.len() < SHARED_FROM || width == 0 {
        numbers.chunks_exact_mut(width.max(1)).enumerate().for_each(|(place, piece)| work(place, piece));
        return;
    }
    let pieces: Vec<Mutex<&mut [f32]>> = numbers.chunks_exact_mut(width).map(Mutex::new).collect();
    candle_core::utils::barrier_pool().execute_chunked(pieces.len(), |range| {
        for place in range {
            // Nobody else asks for this one.
            let mut piece = pieces[place].lock().unwrap_or_else(PoisonError::into_inner);
            work(place, &mut piece);
        }
    });
}

fn sum_of_squares(numbers: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (whole, rest) = numbers.as_chunks::<LANES>();
    for chunk in whole {
        sums.iter_mut().zip(chunk).for_each(|(sum, number)| *sum += number * number);
    }
    sums.iter().sum::<f32>() + rest.iter().map(|number| number * number).sum::<f32>()
}

/// Divides each row of the last dimension by the root of its mean square, and multiplies by `weight`.
pub(super) fn rms_norm(rows: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor> {
    if !rows.device().is_cpu() {
        return rms_norm_by_candle(&rows.contiguous()?, weight, epsilon);
    }
    let width = rows.dim(D::Minus1)?;
    let out = with_floats(rows, |source| {
        with_floats(weight, |weight| {
            if weight.len() != width {
                bail!("a norm of {} numbers for rows of {width}", weight.len());
            }
            let mut out = source.to_vec();
            each_piece(&mut out, width, |_, row| {
                let factor = (sum_of_squares(row) / width as f32 + epsilon).sqrt().recip();
                row.iter_mut().zip(weight).for_each(|(number, weight)| *number = *number * factor * weight);
            });
            Ok(out)
        })
    })?;
    Tensor::from_vec(out, rows.shape(), &Device::Cpu)
}

/// Turns the first numbers of each head by its position: pairs are half of them apart.
///
/// Shape of `heads`: `(tokens, heads, head_size)` f32.
pub(super) fn turn(heads: &Tensor, turns: &Turns) -> Result<Tensor> {
    let (tokens, count, size) = heads.dims3()?;
    let half = turns.cosines.dim(D::Minus1)?;
    if 2 * half > size || turns.cosines.dim(0)? != tokens {
        bail!("{half} angles for heads of {size} numbers");
    }
    if !heads.device().is_cpu() {
        let turned = heads.narrow(D::Minus1, 0, 2 * half)?.contiguous()?.unsqueeze(0)?;
        let turned = rope_thd(&turned, &turns.cosines, &turns.sines)?.squeeze(0)?;
        if 2 * half == size {
            return Ok(turned);
        }
        return Tensor::cat(&[turned, heads.narrow(D::Minus1, 2 * half, size - 2 * half)?], D::Minus1);
    }
    let mut out = with_floats(heads, |source| Ok(source.to_vec()))?;
    with_floats(&turns.cosines, |cosines| {
        with_floats(&turns.sines, |sines| {
            each_piece(&mut out, count * size, |token, heads| {
                let angles = token * half..(token + 1) * half;
                let (cosines, sines) = (&cosines[angles.clone()], &sines[angles]);
                for head in heads.chunks_exact_mut(size) {
                    let (first, second) = head[..2 * half].split_at_mut(half);
                    for (((first, second), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
                        (*first, *second) = (*first * cosine - *second * sine, *first * sine + *second * cosine);
                    }
                }
            });
            Ok(())
        })
    })?;
    Tensor::from_vec(out, (tokens, count, size), &Device::Cpu)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    // e^x is told for x up to 0 alone.
    let small = exp(-x.abs());
    let whole = 1.0 / (1.0 + small);
    if x >= 0.0 { whole } else { small * whole }
}

/// The activation of `gate`, times `up`.
pub(super) fn gated(gate: &Tensor, up: &Tensor, activation: Activation) -> Result<Tensor> {
    if !gate.device().is_cpu() {
        let active = match activation {
            Activation::Silu => silu(gate)?,
            Activation::GeluTanh => gate.gelu()?,
        };
        return active * up;
    }
    let width = gate.dim(D::Minus1)?;
    let mut out = with_floats(gate, |source| Ok(source.to_vec()))?;
    with_floats(up, |up| {
        if up.len() != out.len() {
            bail!("{} numbers for {} gates", up.len(), out.len());
        }
        // Pieces of rows, so that one row is shared, too.
        let piece = if width.is_multiple_of(64) { 64.max(width / 16 / 64 * 64) } else { width };
        let piece = if width.is_multiple_of(piece) { piece } else { width };
        each_piece(&mut out, piece, |place, gates| {
            let up = &up[place * piece..][..piece];
            match activation {
                Activation::Silu => gates.iter_mut().zip(up).for_each(|(gate, up)| *gate *= sigmoid(*gate) * up),
                Activation::GeluTanh => gates.iter_mut().zip(up).for_each(|(gate, up)| {
                    let inner = 0.797_884_6 * *gate * (1.0 + 0.044_715 * *gate * *gate);
                    // (1 + tanh z) / 2 is the sigmoid of 2 z.
                    *gate *= sigmoid(2.0 * inner) * up;
                }),
            }
        });
        Ok(())
    })?;
    Tensor::from_vec(out, gate.shape(), &Device::Cpu)
}

/// `left + factor * right`.
pub(super) fn add(left: &Tensor, right: &Tensor, factor: f32) -> Result<Tensor> {
    if !left.device().is_cpu() {
        return if factor == 1.0 { left + right } else { left + (right * f64::from(factor))? };
    }
    let out = with_floats(left, |left| {
        with_floats(right, |right| {
            if left.len() != right.len() {
                bail!("a sum of {} and {} numbers", left.len(), right.len());
            }
            Ok(left.iter().zip(right).map(|(left, right)| left + factor * right).collect::<Vec<_>>())
        })
    })?;
    Tensor::from_vec(out, left.shape(), &Device::Cpu)
}

/// `rows` plus `bias` in each.
pub(super) fn add_bias(rows: Tensor, bias: &Tensor) -> Result<Tensor> {
    if !rows.device().is_cpu() {
        return rows.broadcast_add(bias);
    }
    let width = rows.dim(D::Minus1)?;
    let mut out = with_floats(&rows, |source| Ok(source.to_vec()))?;
    with_floats(bias, |bias| {
        if bias.len() != width {
            bail!("a bias of {} numbers for rows of {width}", bias.len());
        }
        for row in out.chunks_exact_mut(width) {
            row.iter_mut().zip(bias).for_each(|(number, bias)| *number += bias);
        }
        Ok(())
    })?;
    Tensor::from_vec(out, rows.shape(), &Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between -2 and 2.
    fn made_up(shape: (usize, usize, usize), seed: u32) -> Tensor {
        let mut state = seed;
        let mut number = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 22) as f32 - 2.0
        };
        let numbers: Vec<f32> = (0..shape.0 * shape.1 * shape.2).map(|_| number()).collect();
        Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
    }

    fn assert_alike(ours: &Tensor, theirs: &Tensor) {
        assert_eq!(ours.dims(), theirs.dims());
        let numbers = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (our, their) in numbers(ours).into_iter().zip(numbers(theirs)) {
            assert!((our - their).abs() <= 1e-5 + their.abs() * 1e-5, "{our} and {their}");
        }
    }

    #[test]
    fn the_norm_is_candles_own_for_one_row_and_for_many() {
        for tokens in [1, 200] {
            let rows = made_up((tokens, 3, 100), 1);
            let weight = made_up((1, 1, 100), 2).flatten_all().unwrap();
            assert_alike(&rms_norm(&rows, &weight, 1e-6).unwrap(), &rms_norm_by_candle(&rows, &weight, 1e-6).unwrap());
        }
        assert!(rms_norm(&made_up((1, 1, 8), 1), &made_up((1, 1, 7), 1).flatten_all().unwrap(), 1e-6).is_err());
    }

    #[test]
    fn heads_are_turned_as_candle_turns_them() {
        let heads = made_up((150, 4, 32), 3);
        let half = |seed| made_up((150, 1, 16), seed).squeeze(1).unwrap();
        let turns = Turns { cosines: half(4), sines: half(5) };
        let theirs = rope_thd(&heads.unsqueeze(0).unwrap(), &turns.cosines, &turns.sines).unwrap();
        assert_alike(&turn(&heads, &turns).unwrap(), &theirs.squeeze(0).unwrap());
        // Only the first half of each head.
        let first = |tensor: &Tensor| tensor.narrow(1, 0, 8).unwrap().contiguous().unwrap();
        let turns = Turns { cosines: first(&turns.cosines), sines: first(&turns.sines) };
        let turned = heads.narrow(2, 0, 16).unwrap().contiguous().unwrap();
        let turned = rope_thd(&turned.unsqueeze(0).unwrap(), &turns.cosines, &turns.sines).unwrap();
        let theirs = Tensor::cat(&[turned.squeeze(0).unwrap(), heads.narrow(2, 16, 16).unwrap()], 2).unwrap();
        assert_alike(&turn(&heads, &turns).unwrap(), &theirs);
    }

    #[test]
    fn gates_and_sums_are_candles_own() {
        for shape in [(1, 1, 4864), (40, 1, 512), (3, 1, 50)] {
            let (gate, up) = ((made_up(shape, 6) * 10.0).unwrap(), made_up(shape, 7));
            let silu = (silu(&gate).unwrap() * &up).unwrap();
            assert_alike(&gated(&gate, &up, Activation::Silu).unwrap(), &silu);
            let gelu = (gate.gelu().unwrap() * &up).unwrap();
            assert_alike(&gated(&gate, &up, Activation::GeluTanh).unwrap(), &gelu);
            assert_alike(&add(&gate, &up, 0.5).unwrap(), &(&gate + (&up * 0.5).unwrap()).unwrap());
        }
        let (rows, bias) = (made_up((5, 1, 8), 8), made_up((1, 1, 8), 9).flatten_all().unwrap());
        assert_alike(&add_bias(rows.clone(), &bias).unwrap(), &rows.broadcast_add(&bias).unwrap());
        assert!(add_bias(rows.clone(), &made_up((1, 1, 7), 9).flatten_all().unwrap()).is_err());
        assert!(add(&rows, &bias, 1.0).is_err() && gated(&rows, &bias, Activation::Silu).is_err());
    }
}
