//! The texts that the grammar bench walks: made in code, the same on every machine.

use serde_json::{Value, json};

const WORDS: [&str; 40] = [
    "harbour", "lantern", "seven", "quiet", "rope", "before", "morning", "the", "a", "of", "and", "under", "window",
    "letter", "salt", "keeper", "north", "wind", "paper", "boat", "slowly", "river", "stone", "who", "had", "been",
    "counted", "twice", "oranges", "clock", "bell", "green", "far", "ladder", "snow", "with", "answer", "fields",
    "never", "again",
];
const PLACES: [&str; 4] = ["Tromsø", "São Tomé", "大阪", "Cork"];
const SYLLABLES: [&str; 15] =
    ["ba", "cor", "del", "fi", "gran", "hu", "jo", "kel", "lim", "mor", "nu", "pas", "quil", "ren", "tos"];

/// A small generator of numbers (the multiplier is Knuth's for 64 bits), so that texts are lively and fixed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides.max(1)
    }

    fn word(&mut self) -> &'static str {
        WORDS.get(self.roll(WORDS.len())).copied().unwrap_or_default()
    }
}

/// At least `bytes` bytes of sentences without quotation marks.
pub(super) fn prose(bytes: usize, seed: u64) -> String {
    let mut dice = Dice(seed);
    let mut out = String::new();
    let mut left = 0;
    while out.len() < bytes {
        let word = dice.word();
        if left == 0 {
            left = 6 + dice.roll(9);
            let mut letters = word.chars();
            out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            out.push_str(letters.as_str());
        } else {
            out.push_str(word);
        }
        left -= 1;
        out.push_str(match (left, dice.roll(12)) {
            (0, _) => ". ",
            (_, 0) => ", ",
            (_, 1) => " – ",
            _ => " ",
        });
    }
    out
}

/// A JSON document of about 3 kB, indented, with all kinds of values.
pub(super) fn json_document() -> String {
    let mut dice = Dice(11);
    let entries: Vec<Value> = (0..9)
        .map(|number| {
            json!({
                "id": format!("entry-{number:03}"),
                "title": prose(24, number).trim_end_matches([' ', ',']),
                "weight": f64::from(u32::try_from(dice.roll(9000)).unwrap_or(0)) / 8.0 - 200.0,
                "open": dice.roll(2) == 1,
                "tags": (0..dice.roll(4)).map(|_| dice.word()).collect::<Vec<_>>(),
                "place": {"name": PLACES.get(dice.roll(4)),
                    "floor": dice.roll(40), "note": Value::Null},
            })
        })
        .collect();
    let document = json!({
        "kind": "inventory",
        "revision": 1208,
        "scale": 1.5e-7,
        "said": "She asked: \"which of them?\"\nNobody knew.\t\\o/",
        "nothing": {},
        "none": [],
        "entries": entries,
    });
    format!("{document:#}")
}

/// Arrays within one another, `depth` deep, with a number in each.
pub(super) fn nested(depth: usize) -> String {
    let opened: String = (0..depth).map(|level| format!("[{level}, ")).collect();
    format!("{opened}null{}", "]".repeat(depth))
}

/// `count` words that differ, at most 3,375.
pub(super) fn words(count: usize) -> Vec<String> {
    let syllable = |number: usize| SYLLABLES.get(number % SYLLABLES.len()).copied().unwrap_or_default();
    (0..count)
        .map(|number| format!("{}{}{}", syllable(number / 225), syllable(number / 15), syllable(number)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_what_the_cases_say() {
        let document = json_document();
        assert!((2_500..4_500).contains(&document.len()), "{} bytes", document.len());
        assert_eq!(document, json_document());
        assert!(prose(17_000, 1).len() >= 17_000 && !prose(17_000, 1).contains(['"', '\\', '\n']));
        let deep: Value = serde_json::from_str(&nested(100)).unwrap();
        assert_eq!(deep[1][1][0], 2);
        let mut words = words(3000);
        words.sort();
        words.dedup();
        assert_eq!(words.len(), 3000);
    }
}
