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
        // From the last item to the first: what may follow once `index` items stand there.
        let first = u32::try_from(first).unwrap_or(u32::MAX).min(max.unwrap_or(u32::MAX));
        let comma = self.comma()?;
        let following = sequence([comma.clone(), rest]);
        let mut tail = repeat(following, min.saturating_sub(first), max.map(|max| max - first));
        for index in (0..first).rev() {
            let places = item_places(shape, index as usize);
            let item = self.values_of(&places)?;
            let separator = if index == 0 { empty() } else { comma.clone() };
            let with_item = sequence([separator, item, tail]);
            tail = if index == 0 {
                return self.bracketed(("[", "]"), with_item, min == 0);
            } else if index < min {
                with_item
            } else {
                self.rules.add("items", pointer, optional(with_item))?
            };
        }
        Ok(tail)
    }
}
