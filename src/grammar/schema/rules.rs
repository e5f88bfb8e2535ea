//! The rules of the grammar in the making, and its finished form.

use std::collections::HashMap;

use super::error::Error;
use super::terms::{class, either, is_nothing, literal, nothing, repeat, sequence};
use crate::grammar::ir::{CharSet, Expr, Ir, Rule, RuleId};

const ROOT: &str = "root";
/// Longest rule name made from a property's name, in characters.
const NAME_CHARS: usize = 40;

pub(super) struct Rules {
    rules: Vec<(String, Expr)>,
    /// Every name with the highest number that was put behind it.
    names: HashMap<String, u32>,
    limit: usize,
}

impl Rules {
    /// Rules with an undefined root.
    pub(super) fn new(limit: usize) -> Self {
        Self { rules: vec![(ROOT.into(), nothing())], names: HashMap::from([(ROOT.into(), 1)]), limit }
    }

    pub(super) const fn root() -> RuleId {
        RuleId(0)
    }

    /// A new rule; what it matches is said later. Its name is made from `wanted`.
    pub(super) fn reserve(&mut self, wanted: &str, pointer: &str) -> Result<RuleId, Error> {
        if self.rules.len() >= self.limit {
            let (found, limit) = (self.rules.len() + 1, self.limit);
            return Err(Error::Limit { pointer: pointer.into(), what: "number of rules", found, limit });
        }
        let id = RuleId(u32::try_from(self.rules.len()).unwrap_or(u32::MAX));
        let name = self.free_name(wanted);
        self.rules.push((name, nothing()));
        Ok(id)
    }

    pub(super) fn define(&mut self, id: RuleId, body: Expr) {
        if let Some(rule) = self.rules.get_mut(id.index()) {
            rule.1 = body;
        }
    }

    /// A new rule with its body.
    pub(super) fn add(&mut self, wanted: &str, pointer: &str, body: Expr) -> Result<Expr, Error> {
        let id = self.reserve(wanted, pointer)?;
        self.define(id, body);
        Ok(Expr::Rule(id))
    }

    fn free_name(&mut self, wanted: &str) -> String {
        let mut name = String::with_capacity(wanted.len());
        for character in wanted.chars().take(NAME_CHARS) {
            let dashed = name.ends_with('-');
            match character {
                'a'..='z' | 'A'..='Z' | '0'..='9' => name.push(character),
                _ if dashed || name.is_empty() => {}
                _ => name.push('-'),
            }
        }
        let name = name.trim_end_matches('-');
        let name = if name.is_empty() { "part" } else { name };
        let mut number = self.names.get(name).copied().unwrap_or(0);
        loop {
            number += 1;
            let candidate = if number == 1 { name.to_owned() } else { format!("{name}-{number}") };
            if number == 1 || !self.names.contains_key(&candidate) {
                self.names.insert(candidate.clone(), 1);
                self.names.insert(name.to_owned(), number);
                return candidate;
            }
        }
    }

    /// For every rule whether it matches any text.
    pub(super) fn productive(&self) -> Vec<bool> {
        let mut callers: Vec<Vec<usize>> = vec![Vec::new(); self.rules.len()];
        for (index, (_, body)) in self.rules.iter().enumerate() {
            body.each_call(&mut |id| {
                if let Some(callers) = callers.get_mut(id.index())
                    && callers.last() != Some(&index)
                {
                    callers.push(index);
                }
            });
        }
        let mut known = vec![false; self.rules.len()];
        let mut pending: Vec<usize> = (0..self.rules.len()).collect();
        while let Some(index) = pending.pop() {
            let holds = self.rules.get(index).is_some_and(|(_, body)| can_end(body, &known));
            if let Some(flag) = known.get_mut(index)
                && holds
                && !*flag
            {
                *flag = true;
                pending.extend(callers.get(index).into_iter().flatten());
            }
        }
        known
    }

    /// The grammar without what can match nothing and without what is not used, rules in the order of their first
    /// mention: the order in which the GBNF parser numbers them.
    pub(super) fn finish(mut self, productive: &[bool]) -> Ir {
        for (_, body) in &mut self.rules {
            let old = std::mem::replace(body, nothing());
            *body = pruned(old, productive);
        }
        let aliases: Vec<Option<RuleId>> =
            (self.rules.iter()).map(|(_, body)| if let Expr::Rule(id) = body { Some(*id) } else { None }).collect();
        let target = |id: RuleId| {
            let mut id = id;
            for _ in 0..aliases.len() {
                match aliases.get(id.index()) {
                    Some(Some(next)) => id = *next,
                    _ => break,
                }
            }
            id
        };
        let mut new_ids: HashMap<RuleId, RuleId> = HashMap::from([(Self::root(), RuleId(0))]);
        let mut order = vec![Self::root()];
        let mut at = 0;
        while let Some(old) = order.get(at).copied() {
            at += 1;
            let Some((_, body)) = self.rules.get_mut(old.index()) else { continue };
            body.each_call_mut(&mut |id| {
                let old = target(*id);
                *id = *new_ids.entry(old).or_insert_with(|| {
                    order.push(old);
                    RuleId(u32::try_from(order.len() - 1).unwrap_or(u32::MAX))
                });
            });
        }
        let mut taken: Vec<Option<(String, Expr)>> = self.rules.into_iter().map(Some).collect();
        let rules = (order.iter())
            .filter_map(|id| taken.get_mut(id.index()).and_then(Option::take))
            .map(|(name, body)| Rule { name, body, offset: 0 })
            .collect();
        Ir { rules, root: RuleId(0) }
    }
}

fn can_end(expr: &Expr, known: &[bool]) -> bool {
    match expr {
        Expr::Literal(_) | Expr::Class(_) | Expr::Token { .. } => true,
        Expr::Rule(id) => known.get(id.index()).copied().unwrap_or(false),
        Expr::Sequence(items) => items.iter().all(|item| can_end(item, known)),
        Expr::Alternatives(items) => items.iter().any(|item| can_end(item, known)),
        Expr::Repeat { item, min, .. } => *min == 0 || can_end(item, known),
    }
}

fn pruned(expr: Expr, productive: &[bool]) -> Expr {
    match expr {
        Expr::Rule(id) if productive.get(id.index()) != Some(&true) => nothing(),
        Expr::Sequence(items) => sequence(items.into_iter().map(|item| pruned(item, productive))),
        Expr::Alternatives(items) => {
            let kept = items.into_iter().map(|item| pruned(item, productive)).filter(|item| !is_nothing(item));
            either(kept.collect::<Vec<_>>())
        }
        Expr::Repeat { item, min, max } => repeat(pruned(*item, productive), min, max),
        Expr::Class(set) => class(set),
        Expr::Literal(text) => literal(text),
        other => other,
    }
}

/// The characters of `all` that are not in `without`.
pub(super) fn difference(all: &CharSet, without: &CharSet) -> CharSet {
    let outside = all.complement().ranges().iter().chain(without.ranges()).copied().collect();
    CharSet::from_ranges(outside).complement()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::schema::terms::optional;

    #[test]
    fn what_matches_nothing_and_what_is_unused_is_taken_out() {
        let mut rules = Rules::new(10);
        let endless = rules.reserve("endless", "").unwrap();
        rules.define(endless, sequence([literal("x"), Expr::Rule(endless)]));
        let word = rules.add("word!", "", literal("w")).unwrap();
        let alias = rules.add("alias", "", word.clone()).unwrap();
        rules.add("unused", "", literal("u")).unwrap();
        let body = sequence([literal("("), optional(Expr::Rule(endless)), alias, word, literal(")")]);
        rules.define(Rules::root(), body);
        let productive = rules.productive();
        assert_eq!(rules.finish(&productive).to_string(), "root ::= \"(\" word word \")\"\nword ::= \"w\"\n");
    }

    #[test]
    fn names_are_made_of_letters_digits_and_single_dashes_and_are_unique() {
        let mut rules = Rules::new(10);
        for (wanted, name) in [("user_id", "user-id"), ("__ü", "part"), ("root", "root-2"), ("user.id", "user-id-2")] {
            let id = rules.reserve(wanted, "").unwrap();
            assert_eq!(rules.rules[id.index()].0, name);
        }
    }
}
