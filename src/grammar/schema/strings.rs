//! Strings: lengths, patterns, formats, and names that are none of the declared ones.

use super::compiler::{Compiler, SHORT_ESCAPES, Shared};
use super::dfa::{Dfa, TooLarge, classify};
use super::error::Error;
use super::pattern::Re;
use super::rules::difference;
use super::shape::{Pattern, Shape};
use super::terms::{class, either, literal, nothing, repeat, sequence};
use crate::grammar::ir::{CharSet, Expr};

/// Characters that must be escaped in a JSON string.
fn must_be_escaped() -> CharSet {
    CharSet::from_ranges(vec![(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)])
}

/// What follows a text that ends in some state; none where no text may end there.
type Ending = Result<Option<Expr>, Error>;

const fn is_escaped(character: char) -> bool {
    matches!(character, '\0'..='\x1F' | '"' | '\\')
}

/// Characters of `set` that must be escaped, in their shortest spelling.
pub(super) fn spelled_escapes(set: &CharSet) -> Expr {
    let letters: Vec<(u32, u32)> = (SHORT_ESCAPES.iter())
        .filter(|(character, _)| set.contains(*character))
        .map(|(_, letter)| (u32::from(*letter), u32::from(*letter)))
        .collect();
    let row = |first: u32| {
        let digits = (0..16_u32).filter_map(|digit| {
            let character = char::from_u32(first + digit)?;
            let is_short = SHORT_ESCAPES.iter().any(|(short, _)| *short == character);
            let digit = u32::from(char::from_digit(digit, 16)?);
            (set.contains(character) && !is_short).then_some((digit, digit))
        });
        class(CharSet::from_ranges(digits.collect()))
    };
    let rows = either([sequence([literal("0"), row(0)]), sequence([literal("1"), row(16)])]);
    sequence([literal("\\"), either([class(CharSet::from_ranges(letters)), sequence([literal("u00"), rows])])])
}

impl Compiler<'_> {
    /// The upper count as the grammar takes it.
    pub(super) fn upper(&self, max: Option<u64>) -> Option<u32> {
        let limit = self.options.limits.repetition;
        max.map(|max| u32::try_from(max).map_or(limit, |max| max.min(limit)))
    }

    /// The lower count, if the grammar takes it.
    pub(super) fn lower(&self, min: u64, pointer: &str) -> Result<u32, Error> {
        let limit = self.options.limits.repetition;
        u32::try_from(min).ok().filter(|min| *min <= limit).ok_or_else(|| Error::Limit {
            pointer: pointer.into(),
            what: "lower count",
            found: usize::try_from(min).unwrap_or(usize::MAX),
            limit: limit as usize,
        })
    }

    /// The strings of a shape, with their quotes.
    pub(super) fn string(&mut self, shape: &Shape<'_>, pointer: &str) -> Result<Expr, Error> {
        let strings = &shape.strings;
        let (min, max) = (self.lower(strings.min, pointer)?, self.upper(strings.max));
        let inside = match strings.patterns.as_slice() {
            [] if min == 0 && max.is_none() => return self.shared(Shared::String),
            [] => repeat(self.shared(Shared::Char)?, min, max),
            [only] => {
                let (fewest, most) = only.re.bounds();
                let is_long_enough = fewest >= u64::from(min);
                let is_short_enough = max.is_none_or(|max| most.is_some_and(|most| most <= u64::from(max)));
                if is_long_enough && is_short_enough {
                    self.spelled_re(&only.re, &only.pointer)?
                } else if let Some((set, low, high)) = only.re.as_run() {
                    let high = high.map_or(max, |high| Some(max.map_or(high, |max| max.min(high))));
                    repeat(self.spelled(set)?, low.max(min), high)
                } else {
                    self.several(&strings.patterns, min, max)?
                }
            }
            several => self.several(several, min, max)?,
        };
        Ok(sequence([literal("\""), inside, literal("\"")]))
    }

    /// Texts that fit all patterns and the length.
    fn several(&mut self, patterns: &[Pattern], min: u32, max: Option<u32>) -> Result<Expr, Error> {
        let length = Re::length(min, max);
        let mut res: Vec<&Re> = patterns.iter().map(|pattern| pattern.re.as_ref()).collect();
        if min > 0 || max.is_some() {
            res.push(&length);
        }
        let pointer = patterns.first().map_or("", |pattern| &pattern.pointer);
        let dfa = self.classified(&res, pointer)?;
        let all = (1_u32 << res.len()) - 1;
        if dfa.states.iter().all(|state| state.matched != all) {
            return Ok(nothing());
        }
        self.automaton(&dfa, "text", pointer, &mut |_, matched| Ok((matched == all).then(super::terms::empty)))
    }

    /// The automaton of several expressions.
    pub(super) fn classified(&mut self, res: &[&Re], pointer: &str) -> Result<Dfa, Error> {
        let limit = self.options.limits.string_states;
        let what = "number of states of its string keywords together";
        if res.len() > 31 {
            let what = "number of string keywords together";
            return Err(Error::Limit { pointer: pointer.into(), what, found: res.len(), limit: 31 });
        }
        match classify(res, limit, self.work_left()) {
            Ok(dfa) => {
                self.charge(dfa.work, |_| pointer.to_owned())?;
                Ok(dfa)
            }
            Err(TooLarge { work }) => {
                self.charge(work, |_| pointer.to_owned())?;
                Err(Error::Limit { pointer: pointer.into(), what, found: limit + 1, limit })
            }
        }
    }

    /// The texts along an automaton, each followed by what `end` says for the state that it ends in.
    pub(super) fn automaton(
        &mut self,
        dfa: &Dfa,
        name: &str,
        pointer: &str,
        end: &mut dyn FnMut(&mut Self, u32) -> Ending,
    ) -> Result<Expr, Error> {
        let mut ids = Vec::with_capacity(dfa.states.len());
        for _ in &dfa.states {
            ids.push(self.rules.reserve(name, pointer)?);
        }
        for (at, state) in dfa.states.iter().enumerate() {
            let end = end(self, state.matched)?;
            let mut parts = Vec::with_capacity(state.edges.len() + 1);
            let mut again = None;
            for (set, target) in &state.edges {
                let spelled = self.spelled(set)?;
                if *target == at && state.edges.len() == 1 {
                    again = Some(repeat(spelled, 0, None));
                } else if let Some(target) = ids.get(*target) {
                    parts.push(sequence([spelled, Expr::Rule(*target)]));
                }
            }
            let body = match again {
                Some(again) => end.map_or_else(nothing, |end| sequence([again, end])),
                None => {
                    parts.extend(end);
                    either(parts)
                }
            };
            if let Some(id) = ids.get(at) {
                self.rules.define(*id, body);
            }
        }
        Ok(ids.first().map_or_else(nothing, |first| Expr::Rule(*first)))
    }

    /// One character of `set` as it stands in a JSON string.
    pub(super) fn spelled(&mut self, set: &CharSet) -> Result<Expr, Error> {
        if let [(low, high)] = set.ranges()
            && low == high
            && let Some(character) = char::from_u32(*low).filter(|character| !is_escaped(*character))
        {
            return Ok(literal(character));
        }
        if *set == CharSet::all() {
            return self.shared(Shared::Char);
        }
        let special = must_be_escaped();
        let raw = class(difference(set, &special));
        let escapes = difference(&special, &difference(&special, set));
        let escapes = match escapes.ranges() {
            [] => nothing(),
            _ if escapes == special => self.shared(Shared::Escaped)?,
            _ => spelled_escapes(&escapes),
        };
        Ok(either([raw, escapes]))
    }

    /// The texts of `re` as they stand in a JSON string.
    fn spelled_re(&mut self, re: &Re, pointer: &str) -> Result<Expr, Error> {
        Ok(match re {
            Re::Class(set) => self.spelled(set)?,
            Re::Concat(items) => {
                let items = items.iter().map(|item| self.spelled_re(item, pointer));
                sequence(items.collect::<Result<Vec<_>, _>>()?)
            }
            Re::Alt(items) => {
                let items = items.iter().map(|item| self.spelled_re(item, pointer));
                either(items.collect::<Result<Vec<_>, _>>()?)
            }
            Re::Repeat { item, min, max } => {
                let min = self.lower(u64::from(*min), pointer)?;
                let max = self.upper(max.map(u64::from));
                repeat(self.spelled_re(item, pointer)?, min, max)
            }
            // Anchors are gone once a pattern is read.
            Re::Start | Re::End => super::terms::empty(),
        })
    }

    /// A name with its quotes that is none of `names`.
    pub(super) fn other_name(&mut self, names: &[&str], pointer: &str) -> Result<Expr, Error> {
        if names.is_empty() {
            return self.shared(Shared::String);
        }
        let mut trie = Trie::default();
        names.iter().for_each(|name| trie.insert(name));
        let quote = literal("\"");
        let [rest, longer, unusual] =
            [Shared::NameRest, Shared::NameLonger, Shared::NameUnusual].map(|which| self.shared(which));
        let (rest, longer, unusual) = (rest?, longer?, unusual?);
        // Nodes come before what is below them.
        let mut exprs: Vec<Expr> = vec![nothing(); trie.nodes.len()];
        for (at, node) in trie.nodes.iter().enumerate().rev() {
            let expr = if node.next.is_empty() {
                // A name ends here and no longer one goes on.
                longer.clone()
            } else {
                let known = node.next.iter().map(|(character, _)| (u32::from(*character), u32::from(*character)));
                let is_usual =
                    |(character, _): &(char, usize)| matches!(character, ' '..='~') && !is_escaped(*character);
                let mut parts = if node.next.iter().all(is_usual) {
                    let left_out = known.chain([(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C), (0x80, 0x10_FFFF)]);
                    let usual = CharSet::from_ranges(left_out.collect()).complement();
                    vec![sequence([class(usual), rest.clone()]), unusual.clone()]
                } else {
                    let others = CharSet::from_ranges(known.collect()).complement();
                    vec![sequence([self.spelled(&others)?, rest.clone()])]
                };
                for (character, below) in &node.next {
                    let set = CharSet::from_ranges(vec![((*character).into(), (*character).into())]);
                    let below = exprs.get(*below).cloned().unwrap_or_else(nothing);
                    parts.push(sequence([self.spelled(&set)?, below]));
                }
                if !node.is_name {
                    parts.push(quote.clone());
                }
                self.rules.add("name", pointer, either(parts))?
            };
            if let Some(slot) = exprs.get_mut(at) {
                *slot = expr;
            }
        }
        let first = exprs.first().cloned().unwrap_or_else(nothing);
        Ok(sequence([quote, first]))
    }
}

/// Names as a tree over their characters.
struct Trie {
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    next: Vec<(char, usize)>,
    is_name: bool,
}

impl Default for Trie {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Trie {
    fn insert(&mut self, name: &str) {
        let mut at = 0;
        for character in name.chars() {
            let known = self.nodes.get(at).and_then(|node| node.next.iter().find(|(other, _)| *other == character));
            at = match known {
                Some((_, below)) => *below,
                None => {
                    let fresh = self.nodes.len();
                    self.nodes.push(Node::default());
                    if let Some(node) = self.nodes.get_mut(at) {
                        node.next.push((character, fresh));
                    }
                    fresh
                }
            };
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.is_name = true;
        }
    }
}
