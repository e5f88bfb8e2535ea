//! Why a schema has no grammar.

/// A schema that cannot be compiled. Every variant names the place as a JSON pointer into the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A keyword, or a use of one, that this compiler does not hold exactly.
    #[error("schema at `{pointer}`: {problem}")]
    Unsupported {
        /// The keyword.
        pointer: String,
        /// What about it is not supported.
        problem: String,
    },
    /// The schema breaks the rules of JSON Schema.
    #[error("schema at `{pointer}`: {problem}")]
    Invalid {
        /// The keyword.
        pointer: String,
        /// What is wrong.
        problem: String,
    },
    /// A `$ref` that leads nowhere.
    #[error("schema at `{pointer}`: the reference `{reference}` {problem}")]
    Reference {
        /// The `$ref`.
        pointer: String,
        /// Its text.
        reference: String,
        /// Why it cannot be followed.
        problem: String,
    },
    /// No JSON value fits.
    #[error("schema at `{pointer}` admits no value: {problem}")]
    Unsatisfiable {
        /// The schema or keyword.
        pointer: String,
        /// What contradicts what.
        problem: String,
    },
    /// Two branches of a `oneOf` that might both hold.
    #[error("schema at `{pointer}`: branches {first} and {second} of `oneOf` may both hold for one value")]
    Overlap {
        /// The `oneOf`.
        pointer: String,
        /// Index of one branch.
        first: usize,
        /// Index of the other.
        second: usize,
    },
    /// A schema that depends on itself for the same value.
    #[error("schema at `{pointer}` leads back to itself without an array or object between: that cannot be compiled")]
    Circular {
        /// The schema.
        pointer: String,
    },
    /// A schema whose values would have to hold another one of its values each.
    #[error("schema at `{pointer}` needs itself for every value: no value ever ends")]
    NeverEnds {
        /// The schema.
        pointer: String,
    },
    /// A limit of [`Limits`](super::Limits) was hit.
    #[error("schema at `{pointer}`: {what} came to {found}, the limit is {limit}")]
    Limit {
        /// Where.
        pointer: String,
        /// What was counted.
        what: &'static str,
        /// How many there were, or at least so many.
        found: usize,
        /// How many are allowed.
        limit: usize,
    },
}

impl Error {
    /// JSON pointer of the offending keyword or schema; empty for the schema as a whole.
    #[must_use]
    pub fn pointer(&self) -> &str {
        match self {
            Self::Unsupported { pointer, .. }
            | Self::Invalid { pointer, .. }
            | Self::Reference { pointer, .. }
            | Self::Unsatisfiable { pointer, .. }
            | Self::Overlap { pointer, .. }
            | Self::Circular { pointer }
            | Self::NeverEnds { pointer }
            | Self::Limit { pointer, .. } => pointer,
        }
    }

    /// What the user can do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Unsupported { .. } => "leave the keyword out or say the same with a supported one",
            Self::Invalid { .. } => "correct the schema; JSON Schema draft 2020-12 is expected",
            Self::Reference { .. } => "refer to a place in the same schema, as `#/$defs/name`",
            Self::Unsatisfiable { .. } => "loosen one of the keywords, or remove the property",
            Self::Overlap { .. } => {
                "use `anyOf`, or tell the branches apart by `type`, `const` or a required property with different values"
            }
            Self::Circular { .. } => "let the reference lead to a property or an item, or name what it adds",
            Self::NeverEnds { .. } => "make the property that leads back optional, or allow null beside it",
            Self::Limit { .. } => "write a smaller schema or raise the limit",
        }
    }
}
