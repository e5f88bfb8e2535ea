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
/// Beside bounds with many digits, integer parts up to this one are still followed by some digits behind the point.
const SMALL_INT: u128 = 999_999_999;
/// Digits that a bound may have before or behind the point.
const BOUND_DIGITS: usize = 30;

/// An exact decimal number of any size: `0.d₁d₂… · 10^point`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    is_negative: bool,
    /// Neither the first nor the last is 0; none for 0.
    digits: Vec<u8>,
    /// Digits before the point; below 0 for as many zeros behind it.
    point: i32,
}

impl Decimal {
    fn new(is_negative: bool, mut digits: Vec<u8>, mut point: i32) -> Self {
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..zeros);
        point = point.saturating_sub(i32::try_from(zeros).unwrap_or(i32::MAX));
        while digits.last() == Some(&0) {
            digits.pop();
        }
        if digits.is_empty() {
            return Self { is_negative: false, digits, point: 0 };
        }
        Self { is_negative, digits, point }
    }

    pub(super) fn from_integer(value: i64) -> Self {
        let digits = value.unsigned_abs().to_string().bytes().map(|byte| byte - b'0').collect::<Vec<u8>>();
        let point = i32::try_from(digits.len()).unwrap_or(i32::MAX);
        Self::new(value < 0, digits, point)
    }

    /// The number as it is written in its shortest form.
    pub(super) fn from_number(number: &Number) -> Self {
        let text = number.to_string();
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
        let (is_negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
        let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = before.bytes().chain(behind.bytes()).map(|byte| byte.wrapping_sub(b'0')).collect();
        // Numbers are 64 bits wide: their exponents have three digits. One that did not fit would be that far out.
        let beyond = if exponent.starts_with('-') { i32::MIN / 2 } else { i32::MAX / 2 };
        let exponent = exponent.parse().unwrap_or(beyond);
        Self::new(is_negative, digits, i32::try_from(before.len()).unwrap_or(i32::MAX).saturating_add(exponent))
    }

    pub(super) fn is_positive(&self) -> bool {
        !self.is_negative && !self.digits.is_empty()
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (false, false) => self.point.cmp(&other.point).then_with(|| self.digits.cmp(&other.digits)),
            (is_zero, other_is_zero) => other_is_zero.cmp(&is_zero),
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
        }
    }

    /// Digits behind the point, the last not 0.
    fn places(&self) -> usize {
        usize::try_from(i64::try_from(self.digits.len()).unwrap_or(i64::MAX) - i64::from(self.point)).unwrap_or(0)
    }

    fn is_whole(&self) -> bool {
        self.places() == 0
    }

    /// Whether it is a whole multiple of `step`.
    fn is_multiple_of(&self, step: u64) -> bool {
        let zeros = usize::try_from(self.point).unwrap_or(0).saturating_sub(self.digits.len());
        let all = self.digits.iter().copied().chain(std::iter::repeat_n(0, zeros));
        let step = u128::from(step.max(1));
        self.is_whole() && all.fold(0, |rest: u128, digit| (rest * 10 + u128::from(digit)) % step) == 0
    }

    /// What stands before and behind the point; none where there are more digits than bounds may have.
    fn parts(&self) -> Option<(u128, Vec<u8>)> {
        let (before, places) = (usize::try_from(self.point).unwrap_or(0), self.places());
        if before > BOUND_DIGITS || places > BOUND_DIGITS {
            return None;
        }
        let at = |index: usize| self.digits.get(index).copied().unwrap_or(0);
        let int = (0..before).fold(0, |int: u128, index| int * 10 + u128::from(at(index)));
        let zeros = places.saturating_sub(self.digits.len().saturating_sub(before));
        let frac = std::iter::repeat_n(0, zeros).chain(self.digits.iter().skip(before).copied()).collect();
        Some((int, frac))
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
    Decimal::from_number(one) == Decimal::from_number(other)
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bound {
    value: Decimal,
    is_inclusive: bool,
    /// Digits of the magnitude before the point, as a number.
    int: u128,
    /// Digits behind the point, the last not 0.
    frac: Vec<u8>,
}

impl Bound {
    /// A bound; none where it has more digits than bounds may have.
    pub(super) fn at(value: Decimal, is_inclusive: bool) -> Option<Self> {
        let (int, frac) = value.parts()?;
        Some(Self { value, is_inclusive, int, frac })
    }

    /// The greatest integer that is not above it.
    fn floor(&self) -> i128 {
        // Bounds have at most 30 digits.
        let int = i128::try_from(self.int).unwrap_or(i128::MAX / 2);
        if self.value.is_negative { -int - i128::from(!self.frac.is_empty()) } else { int }
    }

    /// Whether `value` is on the inner side, which is the side of `order`.
    fn admits(&self, value: &Decimal, order: Ordering) -> bool {
        match value.compare(&self.value) {
            Ordering::Equal => self.is_inclusive,
            found => found == order,
        }
    }
}

/// What is said of a number.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Numbers {
    pub(super) is_integer: bool,
    min: Option<Bound>,
    max: Option<Bound>,
    /// It is a multiple of each of these, and so an integer. Ascending.
    steps: Vec<u64>,
    /// It has at most so many digits behind the point: `multipleOf` 1, 0.1, 0.01, ...
    places: Option<u32>,
}

/// Largest whole `multipleOf`.
pub(super) const LARGEST_STEP: u64 = 1_000_000_000;
/// A common multiple above every bound. It stands for all that are larger: of their multiples, only 0 is within bounds.
const BEYOND_BOUNDS: i128 = i128::MAX;

impl Numbers {
    pub(super) fn raise(&mut self, bound: Bound) {
        if self.min.as_ref().is_none_or(|min| min.admits(&bound.value, Ordering::Greater)) {
            self.min = Some(bound);
        }
    }

    pub(super) fn lower(&mut self, bound: Bound) {
        if self.max.as_ref().is_none_or(|max| max.admits(&bound.value, Ordering::Less)) {
            self.max = Some(bound);
        }
    }

    /// Adds a `multipleOf`.
    pub(super) fn divide(&mut self, step: &Decimal) -> Result<(), String> {
        let refused = || "`multipleOf` is supported for whole numbers up to 10^9 and for 0.1, 0.01, ...".to_owned();
        let Some((int, frac)) = step.parts() else { return Err(refused()) };
        if frac.is_empty() {
            let step = u64::try_from(int).ok().filter(|step| *step <= LARGEST_STEP).ok_or_else(refused)?;
            self.add_step(step);
            Ok(())
        } else if int == 0 && frac.iter().sum::<u8>() == 1 {
            let places = u32::try_from(frac.len()).unwrap_or(u32::MAX);
            self.places = Some(self.places.map_or(places, |known| known.min(places)));
            Ok(())
        } else {
            Err(refused())
        }
    }

    fn add_step(&mut self, step: u64) {
        if let Err(at) = self.steps.binary_search(&step) {
            self.steps.insert(at, step);
        }
    }

    /// The least number that is a multiple of all steps, or [`BEYOND_BOUNDS`]; 1 where there are none.
    pub(super) fn common_step(&self) -> i128 {
        let common = self.steps.iter().try_fold(1_i128, |common, step| {
            let (mut a, mut b) = (common, i128::from(*step));
            while b != 0 {
                (a, b) = (b, a % b);
            }
            (common / a).checked_mul(i128::from(*step))
        });
        common.unwrap_or(BEYOND_BOUNDS)
    }

    pub(super) fn intersect(&mut self, other: &Self) {
        self.is_integer |= other.is_integer;
        if let Some(min) = &other.min {
            self.raise(min.clone());
        }
        if let Some(max) = &other.max {
            self.lower(max.clone());
        }
        for step in &other.steps {
            self.add_step(*step);
        }
        if let Some(places) = other.places {
            self.places = Some(self.places.map_or(places, |known| known.min(places)));
        }
    }

    pub(super) const fn only_integers(&self) -> bool {
        self.is_integer || !self.steps.is_empty()
    }

    pub(super) const fn is_unbounded(&self) -> bool {
        self.min.is_none() && self.max.is_none()
    }

    /// The least and the greatest integer, where there are such bounds.
    pub(super) fn integer_bounds(&self) -> (Option<i128>, Option<i128>) {
        let low = self.min.as_ref().map(|min| {
            let floor = min.floor();
            if min.value.is_whole() && min.is_inclusive { floor } else { floor + 1 }
        });
        let high = self.max.as_ref().map(|max| {
            let floor = max.floor();
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
            let step = self.common_step();
            // Bounds are far below half the range: the product is at least `high - step`.
            if high.div_euclid(step) * step < low {
                let steps: Vec<String> = self.steps.iter().map(u64::to_string).collect();
                return Some(format!("there is no multiple of {} between the bounds", steps.join(" and ")));
            }
        }
        None
    }

    /// Whether `number` fits.
    pub(super) fn admits(&self, number: &Number) -> bool {
        let value = Decimal::from_number(number);
        let above = self.min.as_ref().is_none_or(|min| min.admits(&value, Ordering::Greater));
        let below = self.max.as_ref().is_none_or(|max| max.admits(&value, Ordering::Less));
        let is_multiple = self.steps.iter().all(|step| value.is_multiple_of(*step));
        let fits = self.places.is_none_or(|places| value.places() <= places as usize);
        above && below && is_multiple && fits && (!self.only_integers() || value.is_whole())
    }
}

/// One end of a stretch of magnitudes.
#[derive(Clone, Copy)]
struct End<'a> {
    int: u128,
    frac: &'a [u8],
    is_inclusive: bool,
    /// Digits behind the point of a number that begins as this one.
    places: u32,
}

const ZERO: End<'static> = End { int: 0, frac: &[], is_inclusive: true, places: free_places(0) };

impl<'a> End<'a> {
    /// The end at `bound`, numbers having at most `most` places.
    ///
    /// One digit more than the bound has, so that there is something next to it, as long as that is not more than
    /// decimals of which every two are different floats may have. Beyond, a bound that is admitted may be written as the
    /// schema writes it: no other number comes near.
    fn of(bound: &'a Bound, most: u32) -> Self {
        let length = u32::try_from(bound.frac.len()).unwrap_or(u32::MAX);
        let significant = if bound.int > 0 {
            decimal_digits(bound.int) + length
        } else {
            u32::try_from(bound.value.digits.len()).unwrap_or(u32::MAX)
        };
        let own = if significant < FLOAT_DIGITS {
            length + 1
        } else if bound.is_inclusive {
            length
        } else {
            0
        };
        let places = own.max(free_places(bound.int)).min(most);
        Self { int: bound.int, frac: &bound.frac, is_inclusive: bound.is_inclusive, places }
    }
}

/// Digits behind the point with which numbers of this integer part stay different as floats.
const fn free_places(int: u128) -> u32 {
    FLOAT_DIGITS.saturating_sub(decimal_digits(int))
}

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
        let most = numbers.places.unwrap_or(u32::MAX);
        let [min, max] = [&numbers.min, &numbers.max].map(|bound| bound.as_ref().map(|bound| End::of(bound, most)));
        let is_below_zero = |bound: &Option<Bound>| bound.as_ref().map(|bound| bound.value.is_negative);
        let mut parts = Vec::with_capacity(2);
        if is_below_zero(&numbers.min) != Some(false) {
            let near = max.filter(|_| is_below_zero(&numbers.max) == Some(true));
            let near = near.unwrap_or(End { is_inclusive: false, ..ZERO });
            parts.push(sequence([literal("-"), magnitudes(near, min, most)]));
        }
        if is_below_zero(&numbers.max) != Some(true) {
            let near = min.filter(|_| is_below_zero(&numbers.min) == Some(false)).unwrap_or(ZERO);
            parts.push(magnitudes(near, max, most));
        }
        Ok(either(parts))
    }
}

/// The largest integer part that is written where only `least` bounds it.
fn largest(least: u128) -> u128 {
    10_u128.pow(INTEGER_DIGITS.max(decimal_digits(least) + 1)) - 1
}

/// Numbers without sign between two ends, with at most `most` digits behind the point.
fn magnitudes(near: End<'_>, far: Option<End<'_>>, most: u32) -> Expr {
    let near_places = free_places(near.int).min(most);
    let mut first = near.int;
    let mut parts = Vec::with_capacity(4);
    if let Some(far) = far
        && far.int <= near.int
    {
        if far.int < near.int {
            return nothing();
        }
        return sequence([literal(near.int.to_string()), fraction(Some(near), Some(far), near_places)]);
    }
    if !near.frac.is_empty() || !near.is_inclusive {
        parts.push(sequence([literal(near.int.to_string()), fraction(Some(near), None, near_places)]));
        first += 1;
    }
    let last = far.map_or(largest(near.int), |far| far.int - 1);
    let places = free_places(far.map_or(near.int, |far| far.int)).min(most);
    let small_places = free_places(SMALL_INT).min(most);
    if first <= SMALL_INT && SMALL_INT < last && places < small_places {
        parts.push(sequence([unsigned_range(first, SMALL_INT), fraction(None, None, small_places)]));
        first = SMALL_INT + 1;
    }
    if first <= last {
        parts.push(sequence([unsigned_range(first, last), fraction(None, None, places)]));
    }
    if let Some(far) = far {
        let places = free_places(far.int).min(most);
        parts.push(sequence([literal(far.int.to_string()), fraction(None, Some(far), places)]));
    }
    either(parts)
}

/// The point and the digits behind it, or nothing, where the integer part is that of `low` and `high`. `free` digits
/// stand there where they begin like neither.
fn fraction(low: Option<End<'_>>, high: Option<End<'_>>, free: u32) -> Expr {
    let (may_end, more) = behind_point(0, low, high, free);
    let more = sequence([literal("."), more]);
    if may_end { optional(more) } else { more }
}

/// Whether the digits may end once there are `count`, and how they may go on. `low` and `high` are given as long as the
/// digits so far are theirs.
fn behind_point(count: u32, low: Option<End<'_>>, high: Option<End<'_>>, free: u32) -> (bool, Expr) {
    let at = count as usize;
    let low = low.filter(|low| at < low.frac.len() || !low.is_inclusive);
    let may_end = low.is_none() && high.is_none_or(|high| at < high.frac.len() || high.is_inclusive);
    let most = [low, high].iter().flatten().map(|end| end.places).max().unwrap_or(free);
    if count >= most {
        return (may_end, nothing());
    }
    if low.is_none() && high.is_none() {
        return (may_end, digits(1, free - count));
    }
    let rest = |low, high| {
        let (may_end, more) = behind_point(count + 1, low, high, free);
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
