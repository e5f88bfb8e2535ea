//! Rotary embedding: angles by position.
//!
//! Source: Su et al., RoFormer, arXiv 2104.09864; Peng et al., YaRN, arXiv 2309.00071.

use candle_core::{Device, Result, Tensor};

use super::shape::{Rope, Stretch};

/// By how much an angle grows from one position to the next, for each pair of numbers that is turned.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Angles {
    steps: Vec<f64>,
    /// Factor of sines and cosines.
    factor: f64,
}

/// Sines and cosines of some positions. Shape of each: `(positions, rope_size / 2)` f32.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    pub(super) cosines: Tensor,
    pub(super) sines: Tensor,
}

impl Angles {
    /// For `size` numbers of a head. Each angle is divided by its entry of `divisors`, where there are some.
    pub(super) fn new(
        rope: Rope,
        size: usize,
        divisors: Option<&[f32]>,
        factor: f32,
    ) -> std::result::Result<Self, String> {
        if divisors.is_some_and(|divisors| divisors.len() != size / 2) {
            return Err(format!("its factors of angles are not {}", size / 2));
        }
        let divisor = |pair: usize| divisors.and_then(|all| all.get(pair)).map_or(1.0, |divisor| f64::from(*divisor));
        let trained = |pair: usize| f64::from(rope.base).powf(-2.0 * pair as f64 / size as f64) / divisor(pair);
        let steps = (0..size / 2).map(|pair| match rope.stretch {
            Stretch::None => trained(pair),
            Stretch::Linear(factor) => trained(pair) / f64::from(factor),
            Stretch::Yarn { factor, original_tokens, fast, slow } => {
                let place = |turns: f32| {
                    let share = original_tokens as f64 / (f64::from(turns) * std::f64::consts::TAU);
                    size as f64 * share.ln() / (2.0 * f64::from(rope.base).ln())
                };
                let (first, last) = (place(fast).floor().max(0.0), place(slow).ceil().min(size as f64 - 1.0));
                let slowness = ((pair as f64 - first) / (last - first).max(0.001)).clamp(0.0, 1.0);
                trained(pair) * (1.0 - slowness) + trained(pair) / f64::from(factor) * slowness
            }
        });
        let steps: Vec<f64> = steps.collect();
        let factor = f64::from(factor) * rope.stretch.magnitude();
        if !factor.is_finite() || !steps.iter().all(|step| step.is_finite()) {
            return Err(format!("its angles grow by {steps:?}, times {factor}"));
        }
        Ok(Self { steps, factor })
    }

    /// Sines and cosines at `positions`.
    pub(super) fn at(&self, positions: &[usize], device: &Device) -> Result<Turns> {
        let mut cosines = Vec::with_capacity(positions.len() * self.steps.len());
        let mut sines = Vec::with_capacity(cosines.capacity());
        for position in positions {
            for step in &self.steps {
                let (sine, cosine) = (*position as f64 * step).sin_cos();
                cosines.push((cosine * self.factor) as f32);
                sines.push((sine * self.factor) as f32);
            }
        }
        let shape = (positions.len(), self.steps.len());
        Ok(Turns { cosines: Tensor::from_vec(cosines, shape, device)?, sines: Tensor::from_vec(sines, shape, device)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_angles_are_stretched_and_fast_ones_are_not() {
        let plain = Rope { base: 10_000.0, stretch: Stretch::None };
        let trained = Angles::new(plain, 64, None, 1.0).unwrap();
        let stretch = Stretch::Yarn { factor: 4.0, original_tokens: 4096, fast: 32.0, slow: 1.0 };
        let stretched = Angles::new(Rope { stretch, ..plain }, 64, None, 1.0).unwrap();
        let shares: Vec<f64> = stretched.steps.iter().zip(&trained.steps).map(|(one, other)| one / other).collect();
        assert_eq!((shares[0], shares[31]), (1.0, 0.25));
        assert!(shares.windows(2).all(|pair| pair[0] >= pair[1]));
        // Peng et al., section 3.4: 0.1 ln s + 1.
        assert!((stretched.factor - 1.138_629).abs() < 1e-6);
        let linear = Angles::new(Rope { stretch: Stretch::Linear(2.0), ..plain }, 64, None, 1.0).unwrap();
        assert!(linear.steps.iter().zip(&trained.steps).all(|(one, other)| *one == other / 2.0));
    }

    #[test]
    fn divisors_must_be_as_many_as_pairs() {
        let rope = Rope { base: 10_000.0, stretch: Stretch::None };
        let halved = Angles::new(rope, 4, Some(&[1.0, 2.0]), 1.0).unwrap();
        assert_eq!(halved.steps, [1.0, 0.005]);
        assert!(Angles::new(rope, 4, Some(&[1.0]), 1.0).is_err());
        assert!(Angles::new(rope, 4, Some(&[1.0, 0.0]), 1.0).is_err());
    }
}
