//! A slow GBNF matcher that knows nothing of the program's own: sets of positions, characters instead of tokens.

use std::collections::{BTreeMap, BTreeSet};

/// A grammar as rules over characters. The token item `<[n]>` matches the character
/// `U+E000 + n`.
pub(super) struct Gbnf {
    rules: BTreeMap<String, Item>,
}

#[derive(Debug, Clone)]
enum Item {
    Character { not: bool, ranges: Vec<(char, char)> },
    Sequence(Vec<Item>),
    Either(Vec<Item>),
    Repeat(Box<Item>, usize, usize),
    Rule(String),
}

impl Gbnf {
    pub(super) fn new(text: &str) -> Self {
        let rules = text.lines().map(|line| {
            let (name, body) = line.split_once(" ::= ").unwrap();
            let body: Vec<char> = body.chars().collect();
            let mut at = 0;
            let item = Self::either(&body, &mut at);
            assert_eq!(at, body.len(), "{line}");
            (name.to_string(), item)
        });
        let gbnf = Self { rules: rules.collect() };
        assert_eq!(gbnf.rules.len(), text.lines().count(), "a rule is defined twice");
        gbnf
    }

    fn either(body: &[char], at: &mut usize) -> Item {
        let mut alternatives = vec![];
        let mut sequence = vec![];
        while *at < body.len() && body[*at] != ')' {
            match body[*at] {
                ' ' => *at += 1,
                '|' => {
                    *at += 1;
                    alternatives.push(Item::Sequence(std::mem::take(&mut sequence)));
                }
                _ => sequence.push(Self::item(body, at)),
            }
        }
        alternatives.push(Item::Sequence(sequence));
        Item::Either(alternatives)
    }

    fn item(body: &[char], at: &mut usize) -> Item {
        let start = *at;
        *at += 1;
        let item = match body[start] {
            '(' => {
                let item = Self::either(body, at);
                *at += 1;
                item
            }
            '"' => {
                let mut characters = vec![];
                while body[*at] != '"' {
                    let character = Self::character(body, at);
                    characters.push(Item::Character { not: false, ranges: vec![(character, character)] });
                }
                *at += 1;
                Item::Sequence(characters)
            }
            '[' => {
                let not = body[*at] == '^';
                *at += usize::from(not);
                let mut ranges = vec![];
                while body[*at] != ']' {
                    let low = Self::character(body, at);
                    let is_range = body[*at] == '-';
                    *at += usize::from(is_range);
                    ranges.push((low, if is_range { Self::character(body, at) } else { low }));
                }
                *at += 1;
                Item::Character { not, ranges }
            }
            '<' => {
                let end = body[start..].iter().position(|character| *character == '>').unwrap() + start;
                let id: u32 = body[start + 2..end - 1].iter().collect::<String>().parse().unwrap();
                *at = end + 1;
                let tag = char::from_u32(0xE000 + id).unwrap();
                Item::Character { not: false, ranges: vec![(tag, tag)] }
            }
            _ => {
                while *at < body.len() && (body[*at].is_ascii_alphanumeric() || body[*at] == '-') {
                    *at += 1;
                }
                Item::Rule(body[start..*at].iter().collect())
            }
        };
        if body.get(*at) != Some(&'{') {
            return item;
        }
        let end = body[*at..].iter().position(|character| *character == '}').unwrap() + *at;
        let counts: String = body[*at + 1..end].iter().collect();
        let (min, max) = counts.split_once(',').unwrap();
        *at = end + 1;
        Item::Repeat(Box::new(item), min.parse().unwrap(), max.parse().unwrap())
    }

    fn character(body: &[char], at: &mut usize) -> char {
        let first = body[*at];
        *at += 1;
        if first != '\\' {
            return first;
        }
        let escape = body[*at];
        *at += 1;
        match escape {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'x' => {
                *at += 2;
                let digits: String = body[*at - 2..*at].iter().collect();
                char::from(u8::from_str_radix(&digits, 16).unwrap())
            }
            '"' | '\\' | '[' | ']' | '-' => escape,
            other => panic!("no such escape: {other}"),
        }
    }

    fn ends(&self, item: &Item, text: &[char], starts: BTreeSet<usize>) -> BTreeSet<usize> {
        if starts.is_empty() {
            return starts;
        }
        match item {
            Item::Character { not, ranges } => starts
                .into_iter()
                .filter(|at| {
                    text.get(*at).is_some_and(|character| {
                        let is_tag = ('\u{E000}'..'\u{F000}').contains(character);
                        ranges.iter().any(|(low, high)| (low..=high).contains(&character)) != *not && !(*not && is_tag)
                    })
                })
                .map(|at| at + 1)
                .collect(),
            Item::Sequence(items) => items.iter().fold(starts, |starts, item| self.ends(item, text, starts)),
            Item::Either(items) => items.iter().flat_map(|item| self.ends(item, text, starts.clone())).collect(),
            Item::Repeat(item, min, max) => {
                let mut all = BTreeSet::new();
                let mut now = starts;
                for count in 0..=*max {
                    if count >= *min {
                        all.extend(&now);
                    }
                    now = self.ends(item, text, now);
                    if now.is_empty() {
                        break;
                    }
                }
                all
            }
            Item::Rule(name) => self.ends(&self.rules[name], text, starts),
        }
    }

    pub(super) fn accepts(&self, text: &str) -> bool {
        let text: Vec<char> = text.replace("<T>", "\u{E002}").replace("</T>", "\u{E003}").chars().collect();
        self.ends(&self.rules["root"], &text, BTreeSet::from([0])).contains(&text.len())
    }
}
