//! Objects: declared properties in their order, then all others.
//!
//! The rules grow linearly with the number of properties: one rule says what may follow a property, and an object begins
//! with any property up to the first required one.

use std::collections::{HashMap, HashSet};

use super::compiler::{Compiler, Shared};
use super::constants::quoted;
use super::error::Error;
use super::pattern::Re;
use super::shape::Shape;
use super::source::Loc;
use super::terms::{either, empty, is_nothing, literal, nothing, optional, repeat, sequence};
use crate::grammar::ir::Expr;

/// A declared property.
struct Member {
    expr: Expr,
    is_required: bool,
}

impl<'a> Compiler<'a> {
    /// The objects of a shape.
    pub(super) fn object(&mut self, shape: &Shape<'a>, pointer: &str) -> Result<Expr, Error> {
        let objects = &shape.objects;
        let is_free = objects.required.is_empty() && objects.min == 0 && objects.max.is_none();
        if objects.parts.is_empty() && is_free {
            return self.shared(Shared::Object);
        }
        let names = names(shape);
        let mut members = Vec::with_capacity(names.len());
        let is_required: HashSet<&str> = objects.required.iter().copied().collect();
        for name in &names {
            let places = self.member_places(shape, name)?;
            let value = self.values_of(&places)?;
            let expr = sequence([quoted(name), self.colon()?, value]);
            members.push(Member { expr, is_required: is_required.contains(name) });
        }
        let other = self.other_member(shape, &names, pointer)?;
        let required = objects.required.len() as u64;
        // Every object of the schema has that many members, whatever the keywords say.
        let min = if objects.min <= required { 0 } else { objects.min };
        let most = (names.len() as u64).checked_add(if is_nothing(&other) { 0 } else { u64::MAX });
        let max = objects.max.filter(|max| most.is_none_or(|most| *max < most));
        let inside = if min == 0 && max.is_none() {
            self.members(&members, &other, pointer)?
        } else {
            self.counted_members(&members, &other, (min, max), pointer)?
        };
        match inside {
            (may_be_empty, inside) if is_nothing(&inside) && may_be_empty => self.bracketed(("{", "}"), empty(), false),
            (may_be_empty, inside) => self.bracketed(("{", "}"), inside, may_be_empty),
        }
    }

    /// Members in their order; whether there may be none, and what there is otherwise.
    fn members(&mut self, members: &[Member], other: &Expr, pointer: &str) -> Result<(bool, Expr), Error> {
        let comma = self.comma()?;
        let others = repeat(sequence([comma.clone(), other.clone()]), 0, None);
        let first_required = members.iter().position(|member| member.is_required);
        let mut firsts = Vec::new();
        // What may follow, from the last member to the first; the parts themselves stand the other way round.
        let mut tail = vec![others.clone()];
        for (index, member) in members.iter().enumerate().rev() {
            let may_begin = first_required.is_none_or(|first| index <= first);
            if may_begin {
                let mut following = sequence(tail.drain(..).rev());
                // It stands behind the member as first and, one round later, within what follows the member before.
                if index > 0 && !matches!(following, Expr::Rule(_)) && following != empty() {
                    following = self.rules.add("more", pointer, following)?;
                }
                firsts.push(sequence([member.expr.clone(), following.clone()]));
                tail.push(following);
            }
            let with_comma = sequence([comma.clone(), member.expr.clone()]);
            tail.push(if member.is_required { with_comma } else { optional(with_comma) });
        }
        firsts.reverse();
        if first_required.is_none() {
            firsts.push(sequence([other.clone(), others]));
        }
        Ok((first_required.is_none(), either(firsts)))
    }

    /// As [`Compiler::members`], with bounds on the number of members: one rule for each place and count.
    fn counted_members(
        &mut self,
        members: &[Member],
        other: &Expr,
        (min, max): (u64, Option<u64>),
        pointer: &str,
    ) -> Result<(bool, Expr), Error> {
        let comma = self.comma()?;
        let mut known: HashMap<(usize, u64), Expr> = HashMap::new();
        // Above both bounds, counts are alike.
        let cap = max.map_or(min, |max| max.max(min) + 1);
        if cap > self.options.limits.rules as u64 {
            let found = usize::try_from(cap).unwrap_or(usize::MAX);
            let limit = self.options.limits.rules;
            return Err(Error::Limit { pointer: pointer.into(), what: "number of properties", found, limit });
        }
        let mut needs_names = false;
        // Counts behind the last member, and then behind each one before it.
        for at in (0..=members.len()).rev() {
            for count in 0..=cap.min(at as u64) {
                let separator = if count == 0 { empty() } else { comma.clone() };
                let expr = if max.is_some_and(|max| count > max) {
                    nothing()
                } else if let Some(member) = members.get(at) {
                    let next = (count + 1).min(cap);
                    let after = |count| known.get(&(at + 1, count)).cloned().unwrap_or_else(nothing);
                    let taken = sequence([separator, member.expr.clone(), after(next)]);
                    let body = if member.is_required { taken } else { either([taken, after(count)]) };
                    if is_nothing(&body) { body } else { self.rules.add("more", pointer, body)? }
                } else {
                    let missing = min.saturating_sub(count);
                    needs_names |= missing > 1 && !is_nothing(other);
                    let (low, high) = (self.lower(missing, pointer)?, self.upper(max.map(|max| max - count)));
                    let following = sequence([comma.clone(), other.clone()]);
                    if count > 0 {
                        repeat(following, low, high)
                    } else {
                        let one = sequence([
                            other.clone(),
                            repeat(following, low.saturating_sub(1), high.map(|high| high.saturating_sub(1))),
                        ]);
                        if high == Some(0) {
                            empty()
                        } else if low == 0 {
                            optional(one)
                        } else {
                            one
                        }
                    }
                };
                known.insert((at, count), expr);
            }
        }
        if needs_names {
            let problem = "`minProperties` with properties that are not declared would let one name count twice".into();
            return Err(Error::Unsupported { pointer: super::source::below(pointer, "minProperties"), problem });
        }
        let start = known.remove(&(0, 0)).unwrap_or_else(nothing);
        Ok((false, start))
    }

    /// A property that is not declared, with its value; nothing where there is none.
    fn other_member(&mut self, shape: &Shape<'a>, names: &[&str], pointer: &str) -> Result<Expr, Error> {
        let parts = &shape.objects.parts;
        let has_patterns = parts.iter().any(|part| !part.patterns.is_empty());
        if !has_patterns {
            let places: Vec<Loc> = parts.iter().filter_map(|part| part.rest).collect();
            if places.iter().any(|loc| *self.source.schema(*loc) == serde_json::Value::Bool(false)) {
                return Ok(nothing());
            }
            let name = self.other_name(names, pointer)?;
            let member = sequence([name, self.colon()?, self.values_of(&places)?]);
            return self.rules.add("other", pointer, member);
        }
        let declared = Re::Alt(names.iter().map(|name| Re::text(name)).collect());
        let parts = parts.clone();
        let patterns: Vec<(usize, &Re, Loc)> = (parts.iter().enumerate())
            .flat_map(|(part, found)| {
                found.patterns.iter().map(move |(pattern, loc)| (part, pattern.re.as_ref(), *loc))
            })
            .collect();
        let res: Vec<&Re> = [&declared].into_iter().chain(patterns.iter().map(|(_, re, _)| *re)).collect();
        let dfa = self.classified(&res, pointer)?;
        let colon = self.colon()?;
        let names = self.automaton(&dfa, "name", pointer, &mut |compiler, matched| {
            if matched & 1 != 0 {
                return Ok(None);
            }
            let mut places = Vec::new();
            for (index, part) in parts.iter().enumerate() {
                let before = places.len();
                for (bit, (of, _, loc)) in patterns.iter().enumerate() {
                    if *of == index && matched >> (bit + 1) & 1 == 1 {
                        places.push(*loc);
                    }
                }
                if places.len() == before {
                    places.extend(part.rest);
                }
            }
            Ok(Some(sequence([literal("\""), colon.clone(), compiler.values_of(&places)?])))
        })?;
        let member = sequence([literal("\""), names]);
        self.rules.add("other", pointer, member)
    }
}

/// Declared names in order, then the required ones that are not declared.
fn names<'a>(shape: &Shape<'a>) -> Vec<&'a str> {
    let objects = &shape.objects;
    let declared = objects.parts.iter().flat_map(|part| part.declared.iter().copied());
    let mut seen = HashSet::new();
    declared.chain(objects.required.iter().copied()).filter(|name| seen.insert(*name)).collect()
}
