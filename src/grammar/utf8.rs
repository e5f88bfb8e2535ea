//! Characters as byte sequences, and bytes as sets.

#![expect(clippy::indexing_slicing, reason = "a byte's upper two bits index the four words of a set")]

/// 256 bits, one a byte value.
pub(crate) type ByteSet = [u64; 4];

/// The bytes from `low` to `high`.
pub(crate) fn byte_range(low: u8, high: u8) -> ByteSet {
    let mut set = [0; 4];
    for byte in low..=high {
        set[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }
    set
}

/// Whether `set` holds `byte`.
pub(crate) fn holds(set: &ByteSet, byte: u8) -> bool {
    set[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
}

/// Adds the bytes of `more` to `set`.
pub(crate) fn unite(set: &mut ByteSet, more: &ByteSet) {
    set.iter_mut().zip(more).for_each(|(word, more)| *word |= more);
}

/// Appends byte-range sequences that together spell exactly the characters from `low` to `high`: no overlong forms, no
/// surrogates.
pub(crate) fn utf8_sequences(low: u32, high: u32, found: &mut Vec<Vec<(u8, u8)>>) {
    for last in [0x7F, 0x7FF, 0xFFFF] {
        if low <= last && last < high {
            utf8_sequences(low, last, found);
            return utf8_sequences(last + 1, high, found);
        }
    }
    let (Some(first), Some(last)) = (char::from_u32(low), char::from_u32(high)) else { return };
    for tail_bytes in 1..first.len_utf8() {
        let mask = (1_u32 << (6 * tail_bytes)) - 1;
        if low & !mask != high & !mask {
            let cut = if low & mask != 0 {
                low | mask
            } else if high & mask != mask {
                (high & !mask) - 1
            } else {
                continue;
            };
            utf8_sequences(low, cut, found);
            return utf8_sequences(cut + 1, high, found);
        }
    }
    let (mut first_bytes, mut last_bytes) = ([0; 4], [0; 4]);
    let lows = first.encode_utf8(&mut first_bytes).as_bytes();
    let highs = last.encode_utf8(&mut last_bytes).as_bytes();
    found.push(lows.iter().copied().zip(highs.iter().copied()).collect());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_spell_every_character_of_a_range_and_no_other() {
        for (low, high) in [(0, 0x7F), (0x41, 0x7FF), (0x7F0, 0x900), (0xE000, 0x1_0400), (0x20, 0x10_FFFF)] {
            // Surrogates are no characters; callers leave them out.
            for (low, high) in [(low, high.min(0xD7FF)), (low.max(0xE000), high)] {
                if low > high {
                    continue;
                }
                let mut sequences = Vec::new();
                utf8_sequences(low, high, &mut sequences);
                let characters: usize = (sequences.iter())
                    .map(|sequence| sequence.iter().map(|(a, b)| usize::from(b - a) + 1).product::<usize>())
                    .sum();
                assert_eq!(characters, (high - low + 1) as usize, "{low:x}-{high:x}");
                for sequence in &sequences {
                    let first: Vec<u8> = sequence.iter().map(|range| range.0).collect();
                    let last: Vec<u8> = sequence.iter().map(|range| range.1).collect();
                    for bytes in [first, last] {
                        let text = std::str::from_utf8(&bytes).unwrap();
                        assert!((low..=high).contains(&u32::from(text.chars().next().unwrap())));
                    }
                }
            }
        }
    }
}
