//! When an edit of core memory reaches the beginning of the prompt.

use serde::{Deserialize, Serialize};

/// When core memory is rendered anew in the prompt. Whatever stands behind it has to be read again then, so that edits are
/// told where they happen instead: by the result of a call, or behind the reply. At an eviction and when the agent is opened
/// on another machine or model everything is read again anyway, and core memory is rendered as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CoreRefresh {
    /// At an eviction alone.
    Eviction,
    /// Also when the model has corrected a line by a call of its own, and when a memory pass has changed who the agent is.
    #[default]
    Correction,
    /// After every edit.
    Edit,
}

impl CoreRefresh {
    /// Whether it is due after an edit of core memory; `is_corrected`: a line of it is no longer true, or who the agent is.
    #[must_use]
    pub const fn is_due(self, is_corrected: bool) -> bool {
        match self {
            Self::Eviction => false,
            Self::Correction => is_corrected,
            Self::Edit => true,
        }
    }
}
