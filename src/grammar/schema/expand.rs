//! Sets of schema places multiplied out to alternatives.

use std::collections::HashSet;
use std::rc::Rc;

use serde_json::Value;

use super::compiler::Compiler;
use super::error::Error;
use super::keywords::{self, Keywords};
use super::shape::Shape;
use super::source::{Loc, below};

impl<'a> Compiler<'a> {
    /// The alternatives of a value for which all of `places` hold, without those that nothing fits.
    pub(super) fn expand(&mut self, places: &[Loc]) -> Result<Vec<Shape<'a>>, Error> {
        let found = self.combined(places)?;
        let mut kept: Vec<Shape<'a>> = Vec::with_capacity(found.len());
        for shape in found {
            let Some(shape) = self.filtered(shape, places)? else { continue };
            let size = 1 + shape.objects.required.len() + shape.values.as_ref().map_or(0, Vec::len);
            self.charge(kept.len() * size, |compiler| compiler.pointer(places))?;
            if !kept.contains(&shape) {
                kept.push(shape);
            }
        }
        Ok(kept)
    }

    /// As [`Compiler::expand`], but the values that the alternatives list may contradict the rest of them.
    pub(super) fn combined(&mut self, places: &[Loc]) -> Result<Vec<Shape<'a>>, Error> {
        let mut found = vec![Shape::any()];
        for place in places {
            let alternatives = self.alternatives(*place)?;
            found = self.product(&found, &alternatives, *place)?;
        }
        Ok(found)
    }

    /// The keywords of the schema at `loc`, an object.
    pub(super) fn keywords(&mut self, loc: Loc) -> Result<Option<Rc<Keywords<'a>>>, Error> {
        if let Some(known) = self.read.get(&loc) {
            return Ok(Some(Rc::clone(known)));
        }
        match self.source.schema(loc) {
            Value::Object(members) => {
                let read = Rc::new(keywords::read(&mut self.source, self.options, loc, members)?);
                self.read.insert(loc, Rc::clone(&read));
                Ok(Some(read))
            }
            _ => Ok(None),
        }
    }

    fn alternatives(&mut self, loc: Loc) -> Result<Rc<[Shape<'a>]>, Error> {
        if let Some((known, contradiction)) = self.expanded.get(&loc) {
            if let Some(contradiction) = contradiction {
                self.contradiction = Some(contradiction.clone());
            }
            return Ok(Rc::clone(known));
        }
        let found: Rc<[Shape<'a>]> = self.new_alternatives(loc)?.into();
        let contradiction = if found.is_empty() { self.contradiction.clone() } else { None };
        self.expanded.insert(loc, (Rc::clone(&found), contradiction));
        Ok(found)
    }

    fn new_alternatives(&mut self, loc: Loc) -> Result<Vec<Shape<'a>>, Error> {
        let pointer = |compiler: &Self| compiler.source.pointer(loc).to_owned();
        let Some(keywords) = self.keywords(loc)? else {
            if *self.source.schema(loc) == Value::Bool(true) {
                return Ok(vec![Shape::any()]);
            }
            self.contradiction = Some((pointer(self), "the schema is `false`".into()));
            return Ok(Vec::new());
        };
        if self.path.contains(&loc) {
            return Err(Error::Circular { pointer: pointer(self) });
        }
        if self.path.len() >= self.options.limits.nesting {
            let (found, limit) = (self.path.len() + 1, self.options.limits.nesting);
            return Err(Error::Limit { pointer: pointer(self), what: "length of a chain of references", found, limit });
        }
        self.path.push(loc);
        let mut found = vec![keywords.shape.clone()];
        for other in &keywords.all {
            let others = self.alternatives(*other)?;
            found = self.product(&found, &others, loc)?;
        }
        if !keywords.any.is_empty() {
            let mut branches = Vec::new();
            for branch in &keywords.any {
                if self.includes(*branch, loc)? {
                    // What fits this branch fits the schema already: it adds no value.
                    let problem = "each branch of `anyOf` is the schema itself".into();
                    self.contradiction = Some((pointer(self), problem));
                    continue;
                }
                branches.extend(self.alternatives(*branch)?.iter().cloned());
            }
            found = self.product(&found, &branches, loc)?;
        }
        if !keywords.one.is_empty() {
            let mut branches = Vec::with_capacity(keywords.one.len());
            for branch in &keywords.one {
                let alternatives = self.alternatives(*branch)?;
                branches.push(self.product(&found, &alternatives, loc)?);
            }
            let pointer = below(self.source.pointer(loc), "oneOf");
            self.require_disjoint(&branches, &pointer)?;
            found = branches.into_iter().flatten().collect();
        }
        self.path.pop();
        Ok(found)
    }

    /// Whether the schema at `from` takes in the one at `to` by `$ref` and `allOf` alone: what fits it fits that as well.
    fn includes(&mut self, from: Loc, to: Loc) -> Result<bool, Error> {
        let mut seen = HashSet::from([from]);
        let mut pending = vec![from];
        while let Some(at) = pending.pop() {
            self.charge(1, |compiler| compiler.source.pointer(at).to_owned())?;
            if at == to {
                return Ok(true);
            }
            if let Some(keywords) = self.keywords(at)? {
                pending.extend(keywords.all.iter().filter(|other| seen.insert(**other)));
            }
        }
        Ok(false)
    }

    fn product(&mut self, one: &[Shape<'a>], other: &[Shape<'a>], at: Loc) -> Result<Vec<Shape<'a>>, Error> {
        let limit = self.options.limits.alternatives;
        let mut found = Vec::new();
        for one in one {
            for other in other {
                self.charge(one.cost_beside(other), |compiler| compiler.source.pointer(at).to_owned())?;
                match one.clone().and(other) {
                    Ok(both) => found.push(both),
                    Err(problem) => self.contradiction = Some((self.source.pointer(at).to_owned(), problem)),
                }
                if found.len() > limit {
                    let pointer = self.source.pointer(at).to_owned();
                    return Err(Error::Limit { pointer, what: "number of alternatives", found: found.len(), limit });
                }
            }
        }
        Ok(found)
    }

    /// The shape with those of its listed values that fit it; none where it has a list and none fits.
    pub(super) fn filtered(&mut self, shape: Shape<'a>, places: &[Loc]) -> Result<Option<Shape<'a>>, Error> {
        let mut shape = shape;
        let Some(values) = shape.values.take() else { return Ok(Some(shape)) };
        let mut kept = Vec::with_capacity(values.len());
        for value in values {
            if self.fits(&shape, value)? {
                kept.push(value);
            }
        }
        if kept.is_empty() {
            self.contradiction =
                Some((self.pointer(places), "none of the listed values fits the other keywords".into()));
            return Ok(None);
        }
        Ok(Some(Shape { values: Some(kept), types: super::shape::ALL, ..Shape::default() }))
    }
}
