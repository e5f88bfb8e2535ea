//! Vectors as whole numbers: 16 bits a component and one scale, the high byte apart from the low one.
//!
//! The high bytes alone are an 8-bit vector, which is what a search scans; both bytes together give similarities that
//! differ from those of `f32` by less than 1e-4 of the vectors' lengths ([`exact`]). Products are summed in `i32`, in
//! loops that the compiler turns into vector instructions of whatever processor it builds for; sums of whole numbers are
//! the same on all of them.

/// Greatest value of a 16-bit component whose high byte still fits `i8` after rounding.
const MAX_COMPONENT: f32 = 127.0 * 256.0;
/// Greatest component of a query for the scan: with [`MAX_DIMENSIONS`] products by 127 a sum stays below `i32::MAX`.
const MAX_QUERY_COMPONENT: f32 = 2047.0;
/// Most numbers in a vector that can be searched.
pub(crate) const MAX_DIMENSIONS: usize = 8192;

/// A vector as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Codes {
    /// What a component of 1 stands for.
    pub(super) scale: f32,
    /// High bytes, one for each dimension.
    pub(super) high: Vec<i8>,
    /// Low bytes, -128 to 127.
    pub(super) low: Vec<i8>,
}

impl Codes {
    /// The nearest vector of whole numbers.
    pub(super) fn of(vector: &[f32]) -> Self {
        let longest = vector.iter().fold(0.0_f32, |longest, component| longest.max(component.abs()));
        let scale = if longest > 0.0 { longest / MAX_COMPONENT } else { 1.0 };
        let (mut high, mut low) = (Vec::with_capacity(vector.len()), Vec::with_capacity(vector.len()));
        for component in vector {
            // In range by the choice of the scale.
            #[allow(clippy::cast_possible_truncation)]
            let whole = (component / scale).round() as i32;
            let upper = (whole + 128) >> 8;
            high.push(narrow(upper));
            low.push(narrow(whole - upper * 256));
        }
        Self { scale, high, low }
    }
}

/// `value`, which lies in the range of `i8`.
fn narrow(value: i32) -> i8 {
    i8::try_from(value).unwrap_or(if value < 0 { i8::MIN } else { i8::MAX })
}

/// A query, ready to be compared with stored vectors.
#[derive(Debug, Clone)]
pub(super) struct QueryCodes {
    scale: f32,
    components: Vec<i16>,
    exact: Vec<f32>,
}

impl QueryCodes {
    pub(super) fn of(vector: &[f32]) -> Self {
        let longest = vector.iter().fold(0.0_f32, |longest, component| longest.max(component.abs()));
        let scale = if longest > 0.0 { longest / MAX_QUERY_COMPONENT } else { 1.0 };
        #[allow(clippy::cast_possible_truncation)]
        let components = vector.iter().map(|component| (component / scale).round() as i16).collect();
        Self { scale, components, exact: vector.to_vec() }
    }

    /// What a stored vector's scale is multiplied by to make a similarity of [`scanned`].
    pub(super) fn scan_scale(&self) -> f32 {
        self.scale * 256.0
    }

    /// The sum that the scan compares rows by, before scales.
    #[inline]
    pub(super) fn scanned(&self, high: &[i8]) -> i32 {
        if cfg!(target_feature = "avx2") {
            product(&self.components, high)
        } else {
            product_by_pairs(&self.components, high)
        }
    }

    /// The similarity with both bytes: a sum of `f32` products in four parts, always in the same order.
    pub(super) fn exact(&self, scale: f32, high: &[i8], low: &[i8]) -> f32 {
        let mut sums = [0.0_f32; 4];
        for (at, ((query, high), low)) in self.exact.iter().zip(high).zip(low).enumerate() {
            let component = f32::from(i16::from(*high) * 256 + i16::from(*low));
            if let Some(sum) = sums.get_mut(at % 4) {
                *sum += query * component;
            }
        }
        sums.iter().sum::<f32>() * scale
    }
}

/// The plain sum of products, of which compilers make the best loop where vectors are long: 12 ns for 384 components
/// with AVX-512, but 54 ns with SSE2.
#[inline]
fn product(query: &[i16], codes: &[i8]) -> i32 {
    query.iter().zip(codes).map(|(query, code)| i32::from(*query) * i32::from(*code)).sum()
}

/// The same sum in the shape of the instruction that multiplies 16-bit numbers and adds neighbours, which SSE2 has, too:
/// 22 ns for 384 components with SSE2, 18 ns with AVX-512.
#[inline]
fn product_by_pairs(query: &[i16], codes: &[i8]) -> i32 {
    let (queries, rest_of_query) = query.as_chunks::<32>();
    let (blocks, rest_of_codes) = codes.as_chunks::<32>();
    let mut sum = product(rest_of_query, rest_of_codes);
    for (query, block) in queries.iter().zip(blocks) {
        let wide = block.map(i16::from);
        let (queries, _) = query.as_chunks::<2>();
        let (codes, _) = wide.as_chunks::<2>();
        let pairs = queries.iter().zip(codes);
        sum += pairs.map(|([a, b], [c, d])| i32::from(*a) * i32::from(*c) + i32::from(*b) * i32::from(*d)).sum::<i32>();
    }
    sum
}

/// Bytes of a blob as codes.
pub(super) fn signed(bytes: &[u8]) -> impl ExactSizeIterator<Item = i8> + '_ {
    bytes.iter().map(|byte| byte.cast_signed())
}

/// Codes as bytes of a blob.
pub(super) fn unsigned(codes: &[i8]) -> Vec<u8> {
    codes.iter().map(|code| code.cast_unsigned()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unit(mut vector: Vec<f32>) -> Vec<f32> {
        let length = vector.iter().map(|component| component * component).sum::<f32>().sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|component| *component /= length);
        }
        vector
    }

    proptest! {
        #[test]
        fn both_bytes_give_the_similarity_of_floats(
            vector in proptest::collection::vec(-1.0_f32..1.0, 32),
            query in proptest::collection::vec(-1.0_f32..1.0, 32),
        ) {
            let (vector, query) = (unit(vector), unit(query));
            let codes = Codes::of(&vector);
            let expected: f64 = vector.iter().zip(&query).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            let query = QueryCodes::of(&query);
            let exact = query.exact(codes.scale, &codes.high, &codes.low);
            // Half a step of 1/32512 for each of 32 components, each times at most 1.
            prop_assert!((f64::from(exact) - expected).abs() < 1e-4, "{exact} {expected}");
            #[allow(clippy::cast_precision_loss)]
            let scanned = query.scanned(&codes.high) as f32 * codes.scale * query.scan_scale();
            // Half a step of 1/127 for each component of the vector, 1/2047 for the query.
            prop_assert!((scanned - exact).abs() < 0.03, "{scanned} {exact}");
        }
    }

    #[test]
    fn a_vector_of_nothing_but_zeros_is_like_none() {
        let codes = Codes::of(&[0.0; 8]);
        assert_eq!(QueryCodes::of(&[0.5; 8]).exact(codes.scale, &codes.high, &codes.low), 0.0);
        assert_eq!(QueryCodes::of(&[0.0; 8]).scanned(&Codes::of(&[0.5; 8]).high), 0);
    }

    #[test]
    fn the_longest_vector_of_extremes_does_not_overflow() {
        let extreme = vec![1.0; MAX_DIMENSIONS];
        let sum = QueryCodes::of(&extreme).scanned(&Codes::of(&extreme).high);
        assert_eq!(i64::from(sum), 2047 * 127 * i64::try_from(MAX_DIMENSIONS).unwrap());
    }

    #[test]
    fn both_shapes_of_the_product_give_the_same_sum() {
        for length in [0, 1, 31, 32, 33, 384, 400] {
            let query: Vec<i16> = (0..length).map(|at| i16::try_from(at * 37 % 4095).unwrap() - 2047).collect();
            let codes: Vec<i8> = (0..length).map(|at| i8::try_from(at * 53 % 255 - 127).unwrap()).collect();
            assert_eq!(product(&query, &codes), product_by_pairs(&query, &codes), "{length}");
        }
    }

    #[test]
    fn bytes_survive_the_way_through_a_blob() {
        let codes: Vec<i8> = (i8::MIN..=i8::MAX).collect();
        assert_eq!(signed(&unsigned(&codes)).collect::<Vec<_>>(), codes);
    }
}
