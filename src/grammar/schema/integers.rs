//! Integers between bounds, and multiples of an integer, digit by digit.

use super::compiler::{Compiler, Shared};
use super::error::Error;
use super::numbers::{LARGEST_STEP, Numbers, decimal_digits};
use super::terms::{digit, digits, either, empty, is_nothing, literal, nothing, sequence};
use crate::grammar::ir::{CharSet, Expr};

/// Digits of an integer that nothing bounds: every integer of 18 digits fits 64 bits.
pub(super) const INTEGER_DIGITS: u32 = 18;
/// So many multiples are listed; more are described by an automaton.
const LISTED: u128 = 48;

impl Compiler<'_> {
    /// Integers within the bounds and on the steps of `numbers`.
    pub(super) fn integer(&mut self, numbers: &Numbers, pointer: &str) -> Result<Expr, Error> {
        let step = numbers.common_step().unsigned_abs();
        if numbers.is_unbounded() && step == 1 {
            return self.shared(Shared::Integer);
        }
        let (low, high) = numbers.integer_bounds();
        if low.is_none() || high.is_none() {
            described(step, pointer)?;
        }
        let open = |bound: Option<i128>| {
            let known = bound.map_or(0, i128::unsigned_abs);
            10_i128.pow(INTEGER_DIGITS.max(decimal_digits(known) + 1)) - 1
        };
        let (low, high) = (low.unwrap_or(-open(high)), high.unwrap_or_else(|| open(low)));
        let mut parts = Vec::with_capacity(2);
        if low < 0 {
            let (near, far) = (high.min(-1).unsigned_abs(), low.unsigned_abs());
            parts.push(sequence([literal("-"), self.unsigned(near, far, step, pointer)?]));
        }
        if high >= 0 {
            parts.push(self.unsigned(low.max(0).unsigned_abs(), high.unsigned_abs(), step, pointer)?);
        }
        Ok(either(parts))
    }

    fn unsigned(&mut self, low: u128, high: u128, step: u128, pointer: &str) -> Result<Expr, Error> {
        if low > high {
            return Ok(nothing());
        }
        if step == 1 {
            return Ok(unsigned_range(low, high));
        }
        let (first, last) = (low.div_ceil(step), high / step);
        if first > last {
            return Ok(nothing());
        }
        if last - first < LISTED {
            return Ok(either((first..=last).map(|count| literal((count * step).to_string()))));
        }
        let step = described(step, pointer)?;
        let mut parts = Vec::new();
        let low = if low == 0 {
            parts.push(literal("0"));
            1
        } else {
            low
        };
        for (low, high) in by_length(low, high) {
            let ends = (decimal(low), decimal(high));
            parts.push(self.multiples((Some(&ends.0), Some(&ends.1)), ends.0.len(), 0, step, pointer)?);
        }
        Ok(either(parts))
    }

    /// `count` digits that complete a multiple of `step`. The digits so far count `sum` (their value with `count` zeros
    /// behind, modulo `step`); the bounds are given as long as the digits so far are theirs.
    fn multiples(
        &mut self,
        (low, high): (Option<&[u8]>, Option<&[u8]>),
        count: usize,
        sum: u64,
        step: u64,
        pointer: &str,
    ) -> Result<Expr, Error> {
        if count == 0 {
            return Ok(if sum == 0 { empty() } else { nothing() });
        }
        let is_free = low.is_none() && high.is_none();
        let missing = (step - sum) % step;
        if is_free && decimal_digits(missing.into()) as usize > count && missing != 0 {
            return Ok(nothing());
        }
        if is_free && let Some(known) = self.multiples.get(&(step, count, sum)) {
            return Ok(known.clone());
        }
        let place = power_modulo(count - 1, step);
        let lowest = low.and_then(|low| low.first()).copied().unwrap_or(0);
        let highest = high.and_then(|high| high.first()).copied().unwrap_or(9);
        let mut ways: Vec<(Vec<(u32, u32)>, Expr)> = Vec::new();
        for next in lowest..=highest {
            let low = low.filter(|_| next == lowest).and_then(|low| low.get(1..));
            let high = high.filter(|_| next == highest).and_then(|high| high.get(1..));
            // Both factors are below 10^9 + 1.
            let sum = (sum + u64::from(next) * place) % step;
            let rest = self.multiples((low, high), count - 1, sum, step, pointer)?;
            let character = u32::from(b'0' + next);
            match ways.iter_mut().find(|(_, known)| *known == rest) {
                Some((set, _)) => set.push((character, character)),
                None if is_nothing(&rest) => {}
                None => ways.push((vec![(character, character)], rest)),
            }
        }
        let ways = ways.into_iter().map(|(set, rest)| sequence([super::terms::class(CharSet::from_ranges(set)), rest]));
        let body = either(ways.collect::<Vec<_>>());
        if !is_free {
            return Ok(body);
        }
        let found = if count == 1 || is_nothing(&body) { body } else { self.rules.add("digits", pointer, body)? };
        self.multiples.insert((step, count, sum), found.clone());
        Ok(found)
    }
}

/// The step, if its multiples can be described and not only listed.
fn described(step: u128, pointer: &str) -> Result<u64, Error> {
    u64::try_from(step).ok().filter(|step| *step <= LARGEST_STEP).ok_or_else(|| {
        let problem = "the common multiple of all `multipleOf` is above 10^9".into();
        Error::Unsupported { pointer: pointer.into(), problem }
    })
}

fn power_modulo(power: usize, step: u64) -> u64 {
    (0..power).fold(1 % step, |value, _| value * 10 % step)
}

fn decimal(value: u128) -> Vec<u8> {
    value.to_string().bytes().map(|byte| byte - b'0').collect()
}

/// Cuts a stretch above 0 into stretches of equally long numbers.
fn by_length(low: u128, high: u128) -> Vec<(u128, u128)> {
    let mut found = Vec::new();
    let mut from = low;
    while from <= high {
        let to = high.min(10_u128.pow(decimal_digits(from)) - 1);
        found.push((from, to));
        from = to + 1;
    }
    found
}

/// Integers without sign from `low` to `high`.
pub(in crate::grammar) fn unsigned_range(low: u128, high: u128) -> Expr {
    let mut parts = Vec::new();
    let mut low = low;
    if low == 0 && high > 9 {
        parts.push(literal("0"));
        low = 1;
    }
    // Lengths of which every number fits become one part.
    let mut whole: Option<(u32, u32)> = None;
    let flush = |whole: &mut Option<(u32, u32)>, parts: &mut Vec<Expr>| {
        if let Some((shortest, longest)) = whole.take() {
            parts.push(sequence([digit(1, 9), digits(shortest - 1, longest - 1)]));
        }
    };
    for (from, to) in by_length(low, high) {
        let length = decimal_digits(from);
        if from == 10_u128.pow(length - 1) && to == 10_u128.pow(length) - 1 {
            whole = Some((whole.map_or(length, |(shortest, _)| shortest), length));
        } else {
            flush(&mut whole, &mut parts);
            parts.push(equally_long(&decimal(from), &decimal(to)));
        }
    }
    flush(&mut whole, &mut parts);
    either(parts)
}

/// Digits from `low` to `high`, which are equally many.
fn equally_long(low: &[u8], high: &[u8]) -> Expr {
    let (Some((first, low_rest)), Some((last, high_rest))) = (low.split_first(), high.split_first()) else {
        return empty();
    };
    let count = u32::try_from(low_rest.len()).unwrap_or(u32::MAX);
    if first == last {
        return sequence([digit(*first, *first), equally_long(low_rest, high_rest)]);
    }
    let (mut from, mut to) = (*first, *last);
    let (mut before, mut behind) = (nothing(), nothing());
    if low_rest.iter().any(|digit| *digit != 0) {
        before = sequence([digit(from, from), equally_long(low_rest, &vec![9; low_rest.len()])]);
        from += 1;
    }
    if high_rest.iter().any(|digit| *digit != 9) {
        behind = sequence([digit(to, to), equally_long(&vec![0; high_rest.len()], high_rest)]);
        to -= 1;
    }
    either([before, sequence([digit(from, to), digits(count, count)]), behind])
}
