//! Characters by how seldom grammars tell them apart.
//!
//! Most of a vocabulary is words, and most states of a grammar that let one word pass let all of them pass: inside a
//! string, or in free text. Tokens are grouped by the highest level of their characters, so that a mask takes such a
//! group whole, after a few steps of the automaton, instead of walking its tokens.

use super::automaton::{Automaton, DEAD, StateId, Stop};
use super::utf8::{ByteSet, byte_range, unite, utf8_sequences};

/// Number of groups; the last holds what is in no other.
pub(crate) const GROUPS: usize = 7;
/// Levels that hold whole characters.
pub(crate) const LEVELS: usize = GROUPS - 1;
/// The level of characters beyond ASCII.
const BEYOND_ASCII: usize = 3;
/// Tokens with more characters are in the last group.
pub(crate) const MAX_CHARS: usize = 32;

/// Lower-case letters; other letters, digits, the blank; punctuation without quotes; beyond ASCII; the characters that
/// string syntaxes escape; blank lines. No level: control characters.
const fn level(character: char) -> Option<usize> {
    Some(match character {
        'a'..='z' => 0,
        'A'..='Z' | '0'..='9' | ' ' => 1,
        '"' | '\\' => 4,
        '\t' | '\n' | '\r' => 5,
        '!'..='~' => 2,
        '\0'..='\u{7F}' => return None,
        _ => BEYOND_ASCII,
    })
}

/// The group of a token, and its length in characters; 0 characters in the last group.
pub(crate) fn group(bytes: &[u8]) -> (usize, usize) {
    let whole = std::str::from_utf8(bytes).ok().filter(|text| text.chars().count() <= MAX_CHARS);
    let found = whole.and_then(|text| {
        let highest = text.chars().try_fold(0, |highest, character| Some(level(character)?.max(highest)))?;
        Some((highest, text.chars().count()))
    });
    found.unwrap_or((LEVELS, 0))
}

/// What a state does with texts of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    /// Lets pass exactly those of at most so many characters.
    Chars(usize),
    /// Lets pass all of at most [`MAX_CHARS`].
    Endless,
}

/// First bytes of the characters up to each level.
pub(crate) fn first_bytes() -> [ByteSet; LEVELS] {
    let mut sets = [[0; 4]; LEVELS];
    for (at, set) in sets.iter_mut().enumerate() {
        for byte in (0..=0x7F_u8).filter(|byte| level(char::from(*byte)).is_some_and(|level| level <= at)) {
            unite(set, &byte_range(byte, byte));
        }
        if at >= BEYOND_ASCII {
            unite(set, &byte_range(0xC2, 0xF4));
        }
    }
    sets
}

/// Bytes that stand for all that a program tells apart.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    classes: usize,
    ascii: [Vec<u8>; LEVELS],
    /// Each element: the bytes of one place after the other.
    beyond_ascii: Vec<Vec<Vec<u8>>>,
    first_bytes: [ByteSet; LEVELS],
}

impl Samples {
    /// Makes the samples anew where the program has come to tell more bytes apart.
    pub(crate) fn refresh(&mut self, automaton: &Automaton) {
        if self.classes == automaton.class_count() {
            return;
        }
        self.classes = automaton.class_count();
        self.first_bytes = first_bytes();
        let distinct = |bytes: &mut dyn Iterator<Item = u8>| {
            let mut seen = [false; 256];
            let mut is_new = |byte: &u8| {
                let class = seen.get_mut(usize::from(automaton.class_of(*byte)));
                class.is_some_and(|class| !std::mem::replace(class, true))
            };
            bytes.filter(|byte| is_new(byte)).collect::<Vec<u8>>()
        };
        for (at, samples) in self.ascii.iter_mut().enumerate() {
            *samples = distinct(&mut (0..=0x7F_u8).filter(|byte| level(char::from(*byte)) == Some(at)));
        }
        let mut sequences = Vec::new();
        utf8_sequences(0x80, 0xD7FF, &mut sequences);
        utf8_sequences(0xE000, 0x10_FFFF, &mut sequences);
        self.beyond_ascii = (sequences.iter())
            .map(|places| places.iter().map(|(low, high)| distinct(&mut (*low..=*high))).collect())
            .collect();
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let of = |samples: &Vec<u8>| samples.capacity();
        let beyond =
            |places: &Vec<Vec<u8>>| size_of::<Vec<u8>>() * places.capacity() + places.iter().map(of).sum::<usize>();
        self.ascii.iter().map(of).sum::<usize>()
            + size_of::<Vec<Vec<u8>>>() * self.beyond_ascii.capacity()
            + self.beyond_ascii.iter().map(beyond).sum::<usize>()
    }

    /// What `state` does with all texts of characters up to `level`; none where it does not treat them alike.
    /// `bytes` is the length of the longest token.
    pub(crate) fn run(
        &self,
        automaton: &mut Automaton,
        state: StateId,
        level: usize,
        bytes: u32,
    ) -> Result<Option<Run>, Stop> {
        // Most states are told by the bytes that may come next.
        let Some(firsts) = self.first_bytes.get(level) else { return Ok(None) };
        let next = automaton.next_set(state);
        let shared = || firsts.iter().zip(&next).map(|(first, next)| first & next);
        if shared().all(|word| word == 0) {
            return Ok(Some(Run::Chars(0)));
        }
        if shared().zip(firsts).any(|(shared, first)| shared != *first) {
            return Ok(None);
        }
        let mut state = state;
        for chars in 0..MAX_CHARS {
            let Some(next) = self.common_target(automaton, state, level)? else { return Ok(None) };
            if next == DEAD {
                return Ok(Some(Run::Chars(chars)));
            }
            if automaton.standard_state(next, bytes)? == automaton.standard_state(state, bytes)? {
                return Ok(Some(Run::Endless));
            }
            state = next;
        }
        Ok(Some(Run::Endless))
    }

    /// The state that every character up to `level` leads to.
    fn common_target(&self, automaton: &mut Automaton, state: StateId, level: usize) -> Result<Option<StateId>, Stop> {
        let mut target = None;
        // The characters that grammars single out come first.
        for (at, samples) in self.ascii.iter().enumerate().take(level + 1).rev() {
            for &byte in samples {
                let next = automaton.step(state, byte)?;
                if automaton.is_lost(next) || *target.get_or_insert(next) != next {
                    return Ok(None);
                }
            }
            if at == BEYOND_ASCII && !self.leads_to(automaton, state, &mut target)? {
                return Ok(None);
            }
        }
        Ok(target)
    }

    /// Whether every character beyond ASCII leads to `target`, which is set where it was not.
    fn leads_to(&self, automaton: &mut Automaton, state: StateId, target: &mut Option<StateId>) -> Result<bool, Stop> {
        let mut ahead = Vec::new();
        for places in &self.beyond_ascii {
            let mut states = vec![state];
            for samples in places {
                ahead.clear();
                for &state in &states {
                    for &byte in samples {
                        ahead.push(automaton.step(state, byte)?);
                    }
                }
                ahead.sort_unstable();
                ahead.dedup();
                std::mem::swap(&mut states, &mut ahead);
            }
            for &next in &states {
                if automaton.is_lost(next) || *target.get_or_insert(next) != next {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::check::check;
    use crate::grammar::compile::compile;
    use crate::grammar::{Limits, parse};
    use crate::inference::Vocab;

    #[test]
    fn a_token_is_as_high_as_its_highest_character() {
        let cases: [(&[u8], (usize, usize)); 9] = [
            (b"word", (0, 4)),
            (b" Word", (1, 5)),
            (b"a,b", (2, 3)),
            ("café".as_bytes(), (3, 4)),
            (b"\",\"", (4, 3)),
            (b"}\n", (5, 2)),
            (b"\xC3", (LEVELS, 0)),
            (b"\x1B", (LEVELS, 0)),
            (&[b' '; MAX_CHARS + 1], (LEVELS, 0)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(group(bytes), expected, "{bytes:?}");
        }
    }

    /// What the state behind `text` does with texts of each level.
    fn runs(source: &str, text: &[u8]) -> [Option<Run>; LEVELS] {
        let vocab = Vocab::new(Vec::new(), Vec::new(), None);
        let ir = parse(source, &vocab, &Limits::default()).unwrap();
        let mut automaton = Automaton::new(Limits::default());
        let root = compile(&ir, &check(&ir, source).unwrap(), automaton.program_mut()).unwrap();
        automaton.widen_rows();
        let start = automaton.start(root).unwrap();
        let state = automaton.walk(start, text).unwrap();
        let mut samples = Samples::default();
        samples.refresh(&automaton);
        std::array::from_fn(|level| samples.run(&mut automaton, state, level, 64).unwrap())
    }

    #[test]
    fn inside_a_string_all_characters_that_are_not_escaped_pass() {
        let endless = Some(Run::Endless);
        let string = "root ::= \"'\" [^\"\\\\\\n]* \"'\"\n";
        // The quote that ends it is no letter, but a level above.
        assert_eq!(runs(string, b"'text"), [endless, endless, None, None, None, None]);
        let free = "root ::= [^\\x00-\\x08]*\n";
        assert_eq!(runs(free, b"any"), [endless; LEVELS]);
    }

    #[test]
    fn a_bound_that_is_near_is_a_number_of_characters() {
        let none = Some(Run::Chars(0));
        let nearly = "root ::= [^\"]{0,40} \"\\\"\"\n";
        assert_eq!(runs(nearly, &[b'a'; 33])[..3], [Some(Run::Chars(7)); 3]);
        assert_eq!(runs(nearly, &[b'a'; 40]), [none, none, none, none, None, None]);
        assert_eq!(runs("root ::= \"{}\"\n", b""), [none, none, None, None, None, None]);
    }

    #[test]
    fn a_level_of_which_one_character_differs_is_not_taken_whole() {
        // In the last, letters lead to two places.
        for source in ["root ::= [a-y]*\n", "root ::= [a-z\\u00E9]*\n", "root ::= ([a-m] | [n-z] \"!\")*\n"] {
            let found = runs(source, b"");
            let expected = (source == "root ::= [a-z\\u00E9]*\n").then_some(Run::Endless);
            assert_eq!(found[0], expected, "{source}");
            assert_eq!(found[BEYOND_ASCII], None, "{source}");
        }
    }
}
