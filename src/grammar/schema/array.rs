//! Arrays: items, the first ones each with a schema of its own, and their number.

use super::compiler::{Compiler, Shared};
use super::constants::item_places;
use super::error::Error;
use super::shape::Shape;
use super::terms::{empty, optional, repeat, sequence};
use crate::grammar::ir::Expr;

impl Compiler<'_> {
    /// The arrays of a shape.
    pub(super) fn array(&mut self, shape: &Shape<'_>, pointer: &str) -> Result<Expr, Error> {
        let arrays = &shape.arrays;
        if arrays.parts.is_empty() && arrays.min == 0 && arrays.max.is_none() {
            return self.shared(Shared::Array);
        }
        let (min, max) = (self.lower(arrays.min, pointer)?, self.upper(arrays.max));
        let first = arrays.parts.iter().map(|part| part.prefix.len()).max().unwrap_or(0);
        let rest = item_places(shape, first);
        let rest = self.values_of(&rest)?;
        if max == Some(0) {
            return self.bracketed(("[", "]"), empty(), false);
        }
        if first == 0 {
            let items = self.list(rest, min.max(1), max)?;
            return self.bracketed(("[", "]"), items, min == 0);
        }
        let first = u32::try_from(first).unwrap_or(u32::MAX).min(max.unwrap_or(u32::MAX));
        let comma = self.comma()?;
        let following = sequence([comma.clone(), rest]);
        let mut tail = repeat(following, min.saturating_sub(first), max.map(|max| max - first));
        // What must stand there, up to the first item that may end the array.
        let needed = first.min(min.max(1));
        // From the last item that may be missing to the first: what may follow once `index` items stand there.
        for index in (needed..first).rev() {
            let with_item = sequence([comma.clone(), self.item(shape, index, pointer)?, tail]);
            tail = self.rules.add("items", pointer, optional(with_item))?;
        }
        let mut items = Vec::with_capacity(2 * needed as usize + 1);
        for index in 0..needed {
            if index > 0 {
                items.push(comma.clone());
            }
            items.push(self.item(shape, index, pointer)?);
        }
        items.push(tail);
        self.bracketed(("[", "]"), sequence(items), min == 0)
    }

    /// The item at `index`.
    fn item(&mut self, shape: &Shape<'_>, index: u32, pointer: &str) -> Result<Expr, Error> {
        self.charge(shape.arrays.parts.len(), |_| pointer.to_owned())?;
        let places = item_places(shape, index as usize);
        self.values_of(&places)
    }
}
