//! Numbers: exact bounds, and the decimal texts between them.

use std::cmp::Ordering;

use serde_json::Number;

use super::compiler::{Compiler, Shared};
use super::error::Error;
use super::integers::{INTEGER_DIGITS, unsigned_range};
use super::shape::Shape;
use super::terms::{digit, digits, either, literal, nothing, optional, sequence};
use crate::grammar::ir::Expr;

/// Digits behind the point of a number that begins with `0.`: every decimal of 15 digits survives the way through a
/// 64-bit float.
pub(super) const FLOAT_DIGITS: u32 = 15;
/// Digits that a bound may have before or behind the point.
const BOUND_DIGITS: usize = 30;

/// An exact decimal number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    is_negative: bool,
    int: u128,
    /// Digits behind the point, the last not 0.
    frac: Vec<u8>,
}

impl Decimal {
    pub(super) const fn from_integer(value: i64) -> Self {
        Self { is_negative: value < 0, int: value.unsigned_abs() as u128, frac: Vec::new() }
    }

    /// The number as it is written in its shortest form; none where it has more digits than bounds may have.
    pub(super) fn from_number(number: &Number) -> Option<Self> {
        let text = number.to_string();
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().ok()?;
        let (is_negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
        let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: Vec<u8> = before.bytes().chain(behind.bytes()).map(|byte| byte.wrapping_sub(b'0')).collect();
        let point = i32::try_from(before.len()).ok()?.checked_add(exponent)?;
        let mut int = 0_u128;
        let mut frac = Vec::new();
        let limit = i32::try_from(BOUND_DIGITS).ok()?;
        if all.iter().any(|digit| *digit != 0) {
            if point > limit + i32::try_from(all.len()).ok()? || point < -limit {
                return None;
            }
            let length = i32::try_from(all.len()).ok()?;
            for at in 0..point.max(0) {
                let digit = usize::try_from(at).ok().and_then(|at| all.get(at)).copied().unwrap_or(0);
                int = int.checked_mul(10)?.checked_add(u128::from(digit))?;
            }
            for at in point..length {
                frac.push(usize::try_from(at).ok().and_then(|at| all.get(at)).copied().unwrap_or(0));
            }
        }
        while frac.last() == Some(&0) {
            frac.pop();
        }
        let is_zero = int == 0 && frac.is_empty();
        let fits = frac.len() <= BOUND_DIGITS && decimal_digits(int) as usize <= BOUND_DIGITS;
        fits.then_some(Self { is_negative: is_negative && !is_zero, int, frac })
    }

    pub(super) fn is_positive(&self) -> bool {
        !self.is_negative && (self.int > 0 || !self.frac.is_empty())
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        self.int.cmp(&other.int).then_with(|| self.frac.cmp(&other.frac))
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
        }
    }

    /// The greatest integer that is not above it.
    fn floor(&self) -> i128 {
        // Bounds have at most 30 digits.
        let int = i128::try_from(self.int).unwrap_or(i128::MAX / 2);
        if self.is_negative { -int - i128::from(!self.frac.is_empty()) } else { int }
    }

    fn is_whole(&self) -> bool {
        self.frac.is_empty()
    }
}

/// Number of decimal digits; 1 for 0.
pub(super) const fn decimal_digits(value: u128) -> u32 {
    match value.checked_ilog10() {
        Some(power) => power + 1,
        None => 1,
    }
}

/// Equality by value.
pub(super) fn equal(one: &Number, other: &Number) -> bool {
    match (Decimal::from_number(one), Decimal::from_number(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bound {
    value: Decimal,
    is_inclusive: bool,
}

impl Bound {
    pub(super) const fn at(value: Decimal, is_inclusive: bool) -> Self {
        Self { value, is_inclusive }
    }
}

/// What is said of a number.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Numbers {
    pub(super) is_integer: bool,
    min: Option<Bound>,
    max: Option<Bound>,
    /// It is a multiple of this, and so an integer.
    pub(super) whole_step: Option<u64>,
    /// It has at most so many digits behind the point: `multipleOf` 1, 0.1, 0.01, ...
    places: Option<u32>,
}

/// Largest whole `multipleOf`.
const LARGEST_STEP: u64 = 1_000_000_000;

impl Numbers {
    pub(super) fn raise(&mut self, bound: Bound) {
        let is_tighter = self.min.as_ref().is_none_or(|min| match bound.value.compare(&min.value) {
            Ordering::Greater => true,
            Ordering::Equal => !bound.is_inclusive,
            Ordering::Less => false,
        });
        if is_tighter {
            self.min = Some(bound);
        }
    }

    pub(super) fn lower(&mut self, bound: Bound) {
        let is_tighter = self.max.as_ref().is_none_or(|max| match bound.value.compare(&max.value) {
            Ordering::Less => true,
            Ordering::Equal => !bound.is_inclusive,
            Ordering::Greater => false,
        });
        if is_tighter {
            self.max = Some(bound);
        }
    }

    /// Adds a `multipleOf`.
    pub(super) fn divide(&mut self, step: &Decimal) -> Result<(), String> {
        let refused = || "`multipleOf` is supported for whole numbers up to 10^9 and for 0.1, 0.01, ...".to_owned();
        if step.is_whole() {
            let step = u64::try_from(step.int).ok().filter(|step| *step <= LARGEST_STEP).ok_or_else(refused)?;
            self.step(step)
        } else if step.int == 0 && step.frac.iter().sum::<u8>() == 1 {
            let places = u32::try_from(step.frac.len()).unwrap_or(u32::MAX);
            self.places = Some(self.places.map_or(places, |known| known.min(places)));
            Ok(())
        } else {
            Err(refused())
        }
    }

    fn step(&mut self, step: u64) -> Result<(), String> {
        let (mut a, mut b) = (self.whole_step.unwrap_or(1), step);
        let product = u128::from(a) * u128::from(b);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let common = product / u128::from(a.max(1));
        let common = u64::try_from(common).ok().filter(|common| *common <= LARGEST_STEP);
        self.whole_step = Some(common.ok_or("the common multiple of all `multipleOf` is above 10^9")?);
        Ok(())
    }

    pub(super) fn intersect(&mut self, other: &Self) {
        self.is_integer |= other.is_integer;
        if let Some(min) = &other.min {
            self.raise(min.clone());
        }
        if let Some(max) = &other.max {
            self.lower(max.clone());
        }
        if let Some(step) = other.whole_step
            && self.step(step).is_err()
        {
            // A common multiple above 10^9 leaves 0 alone of what can be written in so many digits or is refused later.
            self.whole_step = Some(u64::MAX);
        }
        if let Some(places) = other.places {
            self.places = Some(self.places.map_or(places, |known| known.min(places)));
        }
    }

    pub(super) const fn only_integers(&self) -> bool {
        self.is_integer || self.whole_step.is_some()
    }

    pub(super) const fn is_unbounded(&self) -> bool {
        self.min.is_none() && self.max.is_none()
    }

    /// The least and the greatest integer, where there are such bounds.
    pub(super) fn integer_bounds(&self) -> (Option<i128>, Option<i128>) {
        let low = self.min.as_ref().map(|min| {
            let floor = min.value.floor();
            if min.value.is_whole() && min.is_inclusive { floor } else { floor + 1 }
        });
        let high = self.max.as_ref().map(|max| {
            let floor = max.value.floor();
            if max.value.is_whole() && !max.is_inclusive { floor - 1 } else { floor }
        });
        (low, high)
    }

    /// Why no number fits, if none does.
    pub(super) fn contradiction(&self) -> Option<String> {
        let (Some(min), Some(max)) = (&self.min, &self.max) else { return None };
        let is_open = !min.is_inclusive || !max.is_inclusive;
        match min.value.compare(&max.value) {
            Ordering::Greater => return Some("the least number is above the greatest".into()),
            Ordering::Equal if is_open => return Some("the bounds leave no number".into()),
            _ => {}
        }
        if self.only_integers()
            && let (Some(low), Some(high)) = self.integer_bounds()
        {
            if low > high {
                return Some("there is no integer between the bounds".into());
            }
            let step = i128::from(self.whole_step.unwrap_or(1));
            if high.div_euclid(step) * step < low {
                return Some(format!("there is no multiple of {step} between the bounds"));
            }
        }
        None
    }

    /// Whether `number` fits.
    pub(super) fn admits(&self, number: &Number) -> bool {
        let Some(value) = Decimal::from_number(number) else { return false };
        let above = self.min.as_ref().is_none_or(|min| match value.compare(&min.value) {
            Ordering::Greater => true,
            Ordering::Equal => min.is_inclusive,
            Ordering::Less => false,
        });
        let below = self.max.as_ref().is_none_or(|max| match value.compare(&max.value) {
            Ordering::Less => true,
            Ordering::Equal => max.is_inclusive,
            Ordering::Greater => false,
        });
        let is_multiple = self.whole_step.is_none_or(|step| value.int % u128::from(step) == 0);
        let fits = self.places.is_none_or(|places| value.frac.len() <= places as usize);
        above && below && is_multiple && fits && (!self.only_integers() || value.is_whole())
    }
}

/// One end of a stretch of magnitudes.
#[derive(Clone, Copy)]
struct End<'a> {
    int: u128,
    frac: &'a [u8],
    is_inclusive: bool,
}

impl<'a> End<'a> {
    fn of(bound: &'a Bound) -> Self {
        Self { int: bound.value.int, frac: &bound.value.frac, is_inclusive: bound.is_inclusive }
    }
}

const ZERO: End<'static> = End { int: 0, frac: &[], is_inclusive: true };

impl Compiler<'_> {
    /// The numbers of a shape.
    pub(super) fn number(&mut self, shape: &Shape<'_>, pointer: &str) -> Result<Expr, Error> {
        let numbers = &shape.numbers;
        if numbers.only_integers() {
            return self.integer(numbers, pointer);
        }
        if numbers.is_unbounded() {
            let Some(places) = numbers.places else { return self.shared(Shared::Number) };
            let int = unsigned_range(0, largest(0));
            return Ok(sequence([optional(literal("-")), int, fraction(None, None, places)]));
        }
        let ends = [&numbers.min, &numbers.max].map(|bound| bound.as_ref().map(End::of));
        let places = numbers.places.unwrap_or_else(|| {
            let known = ends.iter().flatten();
            let int_digits = known.clone().map(|end| decimal_digits(end.int)).max().unwrap_or(1);
            let frac_digits = known.map(|end| end.frac.len()).max().unwrap_or(0);
            // One digit more than the bounds have, so that there is something next to them.
            FLOAT_DIGITS.saturating_sub(int_digits).max(u32::try_from(frac_digits).unwrap_or(u32::MAX) + 1)
        });
        let [min, max] = ends;
        let is_below_zero = |bound: &Option<Bound>| bound.as_ref().map(|bound| bound.value.is_negative);
        let mut parts = Vec::with_capacity(2);
        if is_below_zero(&numbers.min) != Some(false) {
            let near = max.filter(|_| is_below_zero(&numbers.max) == Some(true));
            let near = near.unwrap_or(End { is_inclusive: false, ..ZERO });
            parts.push(sequence([literal("-"), magnitudes(near, min, places)]));
        }
        if is_below_zero(&numbers.max) != Some(true) {
            let near = min.filter(|_| is_below_zero(&numbers.min) == Some(false)).unwrap_or(ZERO);
            parts.push(magnitudes(near, max, places));
        }
        Ok(either(parts))
    }
}

/// The largest integer part that is written where only `least` bounds it.
fn largest(least: u128) -> u128 {
    10_u128.pow(INTEGER_DIGITS.max(decimal_digits(least) + 1)) - 1
}

/// Numbers without sign between two ends, with up to `places` digits behind the point.
fn magnitudes(near: End<'_>, far: Option<End<'_>>, places: u32) -> Expr {
    let mut first = near.int;
    let mut parts = Vec::with_capacity(3);
    if let Some(far) = far
        && far.int <= near.int
    {
        if far.int < near.int {
            return nothing();
        }
        return sequence([literal(near.int.to_string()), fraction(Some(near), Some(far), places)]);
    }
    if !near.frac.is_empty() || !near.is_inclusive {
        parts.push(sequence([literal(near.int.to_string()), fraction(Some(near), None, places)]));
        first += 1;
    }
    let last = far.map_or(largest(near.int), |far| far.int - 1);
    if first <= last {
        parts.push(sequence([unsigned_range(first, last), fraction(None, None, places)]));
    }
    if let Some(far) = far {
        parts.push(sequence([literal(far.int.to_string()), fraction(None, Some(far), places)]));
    }
    either(parts)
}

/// The point and the digits behind it, or nothing, where the integer part is that of `low` and `high`.
fn fraction(low: Option<End<'_>>, high: Option<End<'_>>, places: u32) -> Expr {
    let (may_end, more) = behind_point(0, low, high, places);
    let more = sequence([literal("."), more]);
    if may_end { optional(more) } else { more }
}

/// Whether the digits may end at `at`, and how they may go on. `low` and `high` are given as long as the digits so far
/// are theirs.
fn behind_point(at: usize, low: Option<End<'_>>, high: Option<End<'_>>, places: u32) -> (bool, Expr) {
    let low = low.filter(|low| at < low.frac.len() || !low.is_inclusive);
    let may_end = low.is_none() && high.is_none_or(|high| at < high.frac.len() || high.is_inclusive);
    let Some(left) = places.checked_sub(1) else { return (may_end, nothing()) };
    if low.is_none() && high.is_none() {
        return (may_end, digits(1, places));
    }
    let rest = |low, high| {
        let (may_end, more) = behind_point(at + 1, low, high, left);
        if may_end { optional(more) } else { more }
    };
    let lowest = low.map_or(0, |low| low.frac.get(at).copied().unwrap_or(0));
    let highest = high.map_or(9, |high| high.frac.get(at).copied().unwrap_or(0));
    let mut parts = Vec::with_capacity(3);
    let (mut first, mut last) = (lowest, highest + 1);
    if low.is_some() && high.is_some() && lowest == highest {
        parts.push(sequence([digit(lowest, lowest), rest(low, high)]));
        (first, last) = (1, 0);
    } else if lowest <= highest {
        if low.is_some() {
            parts.push(sequence([digit(lowest, lowest), rest(low, None)]));
            first += 1;
        }
        if high.is_some() {
            parts.push(sequence([digit(highest, highest), rest(None, high)]));
            last -= 1;
        }
    }
    if first < last {
        parts.push(sequence([digit(first, last - 1), rest(None, None)]));
    }
    (may_end, either(parts))
}
