//! The schema as written: its places, their JSON pointers, and where references lead.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::Limits;
use super::error::Error;

/// Index of a place that holds a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Loc(u32);

struct Node<'a> {
    schema: &'a Value,
    pointer: String,
}

pub(super) struct Source<'a> {
    root: &'a Value,
    nodes: Vec<Node<'a>>,
    by_address: HashMap<usize, Loc>,
    anchors: Option<HashMap<&'a str, Loc>>,
}

/// `pointer` with one more token.
pub(super) fn below(pointer: &str, token: &str) -> String {
    if token.contains(['~', '/']) {
        return format!("{pointer}/{}", token.replace('~', "~0").replace('/', "~1"));
    }
    format!("{pointer}/{token}")
}

impl<'a> Source<'a> {
    /// Takes a schema in; measures it first, so that what follows may recurse over it.
    pub(super) fn new(root: &'a Value, limits: &Limits) -> Result<Self, Error> {
        if !root.is_object() && !root.is_boolean() {
            let problem = "a schema must be an object, true or false".into();
            return Err(Error::Invalid { pointer: String::new(), problem });
        }
        measure(root, limits)?;
        let mut source = Self { root, nodes: Vec::new(), by_address: HashMap::new(), anchors: None };
        source.place(root, String::new);
        Ok(source)
    }

    pub(super) const fn root() -> Loc {
        Loc(0)
    }

    /// The place of `schema`; the pointer is only asked for where it is new.
    pub(super) fn place(&mut self, schema: &'a Value, pointer: impl FnOnce() -> String) -> Loc {
        let nodes = &mut self.nodes;
        *self.by_address.entry(std::ptr::from_ref(schema).addr()).or_insert_with(|| {
            let loc = Loc(u32::try_from(nodes.len()).unwrap_or(u32::MAX));
            nodes.push(Node { schema, pointer: pointer() });
            loc
        })
    }

    pub(super) fn schema(&self, loc: Loc) -> &'a Value {
        self.nodes.get(loc.0 as usize).map_or(&Value::Null, |node| node.schema)
    }

    pub(super) fn pointer(&self, loc: Loc) -> &str {
        self.nodes.get(loc.0 as usize).map_or("", |node| &node.pointer)
    }

    /// The place that the `$ref` at `from` leads to.
    pub(super) fn resolve(&mut self, from: Loc, reference: &str) -> Result<Loc, Error> {
        let refuse = |source: &Self, problem: &str| {
            let pointer = below(source.pointer(from), "$ref");
            Err(Error::Reference { pointer, reference: reference.into(), problem: problem.into() })
        };
        if self.is_below_embedded_resource(from) {
            return refuse(self, "stands below a `$id` of its own, which is not supported");
        }
        let own_id = self.root.get("$id").and_then(Value::as_str).unwrap_or("");
        let local = reference.strip_prefix(own_id.trim_end_matches('#')).unwrap_or(reference);
        let Some(fragment) = local.strip_prefix('#') else {
            if local.is_empty() && !own_id.is_empty() {
                return Ok(Self::root());
            }
            return refuse(self, "leads out of the schema; only references within it are followed");
        };
        let Some(fragment) = percent_decoded(fragment) else {
            return refuse(self, "is not percent-encoded UTF-8");
        };
        if fragment.is_empty() {
            return Ok(Self::root());
        }
        if !fragment.starts_with('/') {
            let root = self.root;
            if self.anchors.is_none() {
                let found = anchors(root);
                let placed = found.into_iter().map(|(name, schema, pointer)| (name, self.place(schema, || pointer)));
                self.anchors = Some(placed.collect());
            }
            let known = self.anchors.as_ref().and_then(|anchors| anchors.get(fragment.as_str()));
            return known.copied().map_or_else(|| refuse(self, "names no `$anchor` of the schema"), Ok);
        }
        match self.root.pointer(&fragment) {
            Some(target @ (Value::Bool(_) | Value::Object(_))) => Ok(self.place(target, || fragment)),
            Some(_) => refuse(self, "leads to something that is no schema"),
            None => refuse(self, "leads to nothing"),
        }
    }

    fn is_below_embedded_resource(&self, loc: Loc) -> bool {
        let mut at = Some(self.root);
        self.pointer(loc).split('/').skip(1).any(|token| {
            let name = token.replace("~1", "/").replace("~0", "~");
            at = at.and_then(|value| match value {
                Value::Array(items) => name.parse().ok().and_then(|index: usize| items.get(index)),
                value => value.get(name),
            });
            at.is_some_and(|schema| schema.get("$id").is_some_and(Value::is_string))
        })
    }
}

/// Refuses schemas that are too large or nested too deep, without recursion.
fn measure(root: &Value, limits: &Limits) -> Result<(), Error> {
    let mut path: Vec<Box<dyn Iterator<Item = &Value> + '_>> = vec![Box::new(std::iter::once(root))];
    let mut values = 0;
    while let Some(level) = path.last_mut() {
        let Some(value) = level.next() else {
            path.pop();
            continue;
        };
        values += 1;
        match value {
            Value::Array(items) => path.push(Box::new(items.iter())),
            Value::Object(members) => path.push(Box::new(members.values())),
            _ => {}
        }
        let depth = path.len() - 1;
        for (what, found, limit) in
            [("nesting", depth, limits.nesting), ("number of values", values, limits.schema_values)]
        {
            if found > limit {
                return Err(Error::Limit { pointer: String::new(), what, found, limit });
            }
        }
    }
    Ok(())
}

fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Every `$anchor` with its schema and pointer. Data below `enum`, `const` and the like is not looked at.
fn anchors(root: &Value) -> Vec<(&str, &Value, String)> {
    let mut found = Vec::new();
    let mut pending = vec![(root, String::new())];
    while let Some((value, pointer)) = pending.pop() {
        match value {
            Value::Object(members) => {
                if let Some(name) = members.get("$anchor").and_then(Value::as_str) {
                    found.push((name, value, pointer.clone()));
                }
                let data = ["enum", "const", "default", "examples"];
                for (key, member) in members.iter().filter(|(key, _)| !data.contains(&key.as_str())) {
                    pending.push((member, below(&pointer, key)));
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let mut pointer = pointer.clone();
                    // Writing to a String cannot fail.
                    let _ = write!(pointer, "/{index}");
                    pending.push((item, pointer));
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_followed_through_escapes_anchors_and_the_own_id() {
        let schema = json!({
            "$id": "https://example.org/s",
            "$defs": {"a/b~c": {"type": "null"}, "ü": {"$anchor": "here"}},
        });
        let mut source = Source::new(&schema, &Limits::default()).unwrap();
        for (reference, pointer) in [
            ("#", ""),
            ("#/$defs/a~1b~0c", "/$defs/a~1b~0c"),
            ("#/%24defs/%C3%BC", "/$defs/ü"),
            ("#here", "/$defs/ü"),
            ("https://example.org/s#/$defs/ü", "/$defs/ü"),
            ("https://example.org/s", ""),
        ] {
            let loc = source.resolve(Source::root(), reference).unwrap();
            assert_eq!(source.pointer(loc), pointer, "{reference}");
        }
        for reference in ["#/nothing", "#there", "other.json#/a", "#/$id", "#/%zz"] {
            let error = source.resolve(Source::root(), reference).unwrap_err();
            assert_eq!(error.pointer(), "/$ref", "{reference}");
        }
    }
}
