//! The functions that the model may call: one descriptor each, from which the prompt, the grammar and the executor take
//! what they need.
//!
//! Names and meanings follow the paper (Packer et al. 2023, section 2) and its first implementation; what deviates is
//! said at the descriptor.

use crate::types::{FunctionSchema, Parameter, ParameterKind};

/// The functions, as an enum so that the executor matches exhaustively.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// Tells the user something (classic profile; in the native profile plain text does).
    SendMessage,
    /// Suspends timed heartbeats.
    PauseHeartbeats,
    /// Adds a line to a core-memory block.
    CoreMemoryAppend,
    /// Replaces a line of a core-memory block.
    CoreMemoryReplace,
    /// Finds messages of the conversation by words.
    ConversationSearch,
    /// Finds messages of the conversation by day.
    ConversationSearchDate,
    /// Stores a passage in archival storage.
    ArchivalMemoryInsert,
    /// Finds passages in archival storage.
    ArchivalMemorySearch,
}

/// Most minutes that heartbeats can be paused for at once.
pub const MAX_PAUSE_MINUTES: u32 = 360;

const SECTION: Parameter = Parameter {
    name: "section",
    description: "human: about the user; persona: about you",
    kind: ParameterKind::Section,
};
const PAGE: Parameter = Parameter { name: "page", description: "from 0", kind: ParameterKind::Integer };

const fn text(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, description, kind: ParameterKind::Text }
}

/// Every function with its schema, in the order in which prompts list them.
pub const TABLE: &[(Function, FunctionSchema)] = &[
    (
        Function::SendMessage,
        FunctionSchema {
            name: "send_message",
            description: "Says something to the user. Only this reaches the user.",
            parameters: &[text("message", "")],
        },
    ),
    (
        Function::CoreMemoryAppend,
        FunctionSchema {
            name: "core_memory_append",
            description: "Saves one new lasting fact as a line of core memory.",
            parameters: &[SECTION, text("content", "one short sentence")],
        },
    ),
    (
        Function::CoreMemoryReplace,
        FunctionSchema {
            name: "core_memory_replace",
            description: "Corrects a line of core memory that is no longer true.",
            parameters: &[
                SECTION,
                text("old_content", "the line as it stands"),
                text("new_content", "empty to delete the line"),
            ],
        },
    ),
    (
        Function::ConversationSearch,
        FunctionSchema {
            name: "conversation_search",
            description: "Finds earlier messages that are out of view.",
            parameters: &[text("query", ""), PAGE],
        },
    ),
    (
        Function::ConversationSearchDate,
        FunctionSchema {
            name: "conversation_search_date",
            description: "Finds earlier messages by day.",
            parameters: &[
                Parameter { name: "start_date", description: "YYYY-MM-DD", kind: ParameterKind::Date },
                Parameter { name: "end_date", description: "YYYY-MM-DD", kind: ParameterKind::Date },
                PAGE,
            ],
        },
    ),
    (
        Function::ArchivalMemoryInsert,
        FunctionSchema {
            name: "archival_memory_insert",
            description: "Stores a longer note outside core memory.",
            parameters: &[text("content", "")],
        },
    ),
    (
        Function::ArchivalMemorySearch,
        FunctionSchema {
            name: "archival_memory_search",
            description: "Finds stored notes.",
            parameters: &[text("query", ""), PAGE],
        },
    ),
    (
        Function::PauseHeartbeats,
        FunctionSchema {
            name: "pause_heartbeats",
            description: "Stops timed heartbeats for a while.",
            parameters: &[Parameter { name: "minutes", description: "1 to 360", kind: ParameterKind::Integer }],
        },
    ),
];

impl Function {
    /// The function called `name`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|(_, schema)| schema.name == name).map(|(function, _)| *function)
    }

    /// Whether it edits core memory.
    #[must_use]
    pub const fn edits_core_memory(self) -> bool {
        matches!(self, Self::CoreMemoryAppend | Self::CoreMemoryReplace)
    }

    /// Whether it puts something into core memory or archival storage.
    #[must_use]
    pub const fn saves(self) -> bool {
        self.edits_core_memory() || matches!(self, Self::ArchivalMemoryInsert)
    }

    /// Whether it looks something up.
    #[must_use]
    pub const fn searches(self) -> bool {
        matches!(self, Self::ConversationSearch | Self::ConversationSearchDate | Self::ArchivalMemorySearch)
    }

    /// Whether it edits core memory.
    #[must_use]
    pub const fn edits_core(self) -> bool {
        matches!(self, Self::CoreMemoryAppend | Self::CoreMemoryReplace)
    }

    /// The name by which the model calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        TABLE.iter().find(|(function, _)| *function == self).map_or("", |(_, schema)| schema.name)
    }
}

/// Names of all functions.
#[must_use]
pub fn names() -> Vec<String> {
    TABLE.iter().map(|(_, schema)| schema.name.to_owned()).collect()
}

/// Schemas of the functions that are `wanted`.
#[must_use]
pub fn schemas(wanted: impl Fn(Function) -> bool) -> Vec<FunctionSchema> {
    TABLE.iter().filter(|(function, _)| wanted(*function)).map(|(_, schema)| schema.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_found_by_its_own_name() {
        for (function, schema) in TABLE {
            assert_eq!(Function::by_name(schema.name), Some(*function));
            assert_eq!(function.name(), schema.name);
        }
        assert_eq!(Function::by_name("rm"), None);
    }

    #[test]
    fn the_json_schema_requires_every_parameter() {
        for schema in schemas(|_| true) {
            let json = schema.to_json();
            let parameters = &json["function"]["parameters"];
            assert_eq!(parameters["required"].as_array().unwrap().len(), schema.parameters.len());
            assert_eq!(parameters["properties"].as_object().unwrap().len(), schema.parameters.len());
        }
    }
}
