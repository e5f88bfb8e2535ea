//! Proofs that no value fits two schemas: what `oneOf` needs to be an alternative.

use super::compiler::Compiler;
use super::constants::item_places;
use super::dfa::{TooLarge, classify};
use super::error::Error;
use super::pattern::Re;
use super::shape::{ARRAY, BOOLEAN, NULL, NUMBER, OBJECT, STRING, Shape};
use super::source::Loc;

/// Properties and items within one another that a proof looks into.
const DEPTH: usize = 8;

impl<'a> Compiler<'a> {
    /// An error where two branches are not proven to have no value in common.
    pub(super) fn require_disjoint(&mut self, branches: &[Vec<Shape<'a>>], pointer: &str) -> Result<(), Error> {
        for (second, others) in branches.iter().enumerate() {
            for (first, ones) in branches.iter().enumerate().take(second) {
                for one in ones {
                    for other in others {
                        if !self.are_disjoint(one, other, DEPTH)? {
                            return Err(Error::Overlap { pointer: pointer.into(), first, second });
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn are_disjoint(&mut self, one: &Shape<'a>, other: &Shape<'a>, depth: usize) -> Result<bool, Error> {
        self.charge(8 + one.cost_beside(other), |_| String::new())?;
        let Ok(both) = one.clone().and(other) else { return Ok(true) };
        let both = match self.unless_circular(|compiler| compiler.filtered(both, &[]))? {
            Some(Some(both)) => both,
            Some(None) => return Ok(true),
            None => return Ok(false),
        };
        if both.values.is_some() || both.types & (NULL | BOOLEAN | NUMBER) != 0 {
            return Ok(false);
        }
        if both.types & STRING != 0 && !self.has_no_string(&both)? {
            return Ok(false);
        }
        if both.types & ARRAY != 0 {
            let needed = usize::try_from(both.arrays.min).unwrap_or(usize::MAX).min(DEPTH);
            let items = (0..needed).map(|index| (item_places(one, index), item_places(other, index))).collect();
            if !self.any_disjoint(items, depth)? {
                return Ok(false);
            }
        }
        if both.types & OBJECT != 0 {
            let mut members = Vec::with_capacity(both.objects.required.len());
            for name in &both.objects.required {
                members.push((self.member_places(one, name)?, self.member_places(other, name)?));
            }
            if !self.any_disjoint(members, depth)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether for one of the pairs no value fits both sides.
    fn any_disjoint(&mut self, pairs: Vec<(Vec<Loc>, Vec<Loc>)>, depth: usize) -> Result<bool, Error> {
        let Some(depth) = depth.checked_sub(1) else { return Ok(false) };
        for (one, other) in pairs {
            if one == other && !one.iter().any(|loc| *self.source.schema(*loc) == serde_json::Value::Bool(false)) {
                continue;
            }
            let expanded = self.unless_circular(|compiler| Ok((compiler.expand(&one)?, compiler.expand(&other)?)));
            let Some((ones, others)) = expanded? else { continue };
            let mut all = true;
            for one in &ones {
                for other in &others {
                    all = all && self.are_disjoint(one, other, depth)?;
                }
            }
            if all {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What `work` finds; none where that depends on a schema whose `oneOf` is being proven: nothing is known of it yet.
    fn unless_circular<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<Option<T>, Error> {
        let depth = self.path.len();
        match work(self) {
            Ok(found) => Ok(Some(found)),
            Err(Error::Circular { .. }) => {
                self.path.truncate(depth);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn has_no_string(&mut self, shape: &Shape<'a>) -> Result<bool, Error> {
        let strings = &shape.strings;
        let bound = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let length = Re::length(bound(strings.min), strings.max.map(bound));
        let mut res: Vec<&Re> = strings.patterns.iter().map(|pattern| pattern.re.as_ref()).collect();
        if strings.patterns.is_empty() || res.len() > 30 {
            return Ok(false);
        }
        if strings.min > 0 || strings.max.is_some() {
            res.push(&length);
        }
        let all = (1_u32 << res.len()) - 1;
        let found = classify(&res, self.options.limits.string_states, self.work_left());
        let work = found.as_ref().map_or_else(|TooLarge { work }| *work, |dfa| dfa.work);
        self.charge(work, |_| String::new())?;
        let Ok(dfa) = found else { return Ok(false) };
        Ok(dfa.states.iter().all(|state| state.matched != all))
    }
}
