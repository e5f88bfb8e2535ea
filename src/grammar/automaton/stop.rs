//! Why the automaton cannot go on.

use super::super::error::Error;
use crate::types::ConstraintError;

/// What kept an answer from being worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A table of the graph is full: one that holds less has room.
    Full { what: &'static str, found: usize, limit: usize },
    /// A single step follows too many parses, whatever else the graph holds.
    Wide { found: usize, limit: usize },
    /// One mask filled so many graphs.
    Long { graphs: usize },
    /// A state that is whole came to a cut.
    Cut,
    /// Another matcher panicked while it held the tables.
    Broken,
}

impl Stop {
    pub(crate) const fn is_full(self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// As an error of a grammar whose beginning cannot be worked out.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Full { what, found, limit } => Error::Limit { what, found, limit },
            Self::Wide { found, limit } => Error::Limit { what: "parses before the first character", found, limit },
            Self::Long { .. } | Self::Cut | Self::Broken => {
                Error::Invalid { problem: ConstraintError::from(self).reason }
            }
        }
    }
}

impl From<Stop> for ConstraintError {
    fn from(stop: Stop) -> Self {
        let reason = match stop {
            Stop::Full { what, found, limit } => format!("its {what} came to {found}, the limit is {limit}"),
            Stop::Wide { found, limit } => format!("its parses came to {found}, the limit is {limit}"),
            Stop::Long { graphs } => format!("one mask filled {graphs} graphs with its states"),
            Stop::Cut => "a state that is whole came to a cut".to_owned(),
            Stop::Broken => "another matcher of this grammar panicked".to_owned(),
        };
        Self { reason }
    }
}
