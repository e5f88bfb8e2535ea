//! Function calls and the schemas by which models, grammars and the executor know the functions.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Arguments by name, in the order in which the model wrote them.
pub type Argument = Map<String, Value>;

/// A function call as the model wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Name of the function.
    pub name: String,
    /// Arguments by name.
    pub arguments: Argument,
}

/// What the model is told about a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSchema {
    /// Name by which the model calls it.
    pub name: &'static str,
    /// One or two sentences for the model.
    pub description: &'static str,
    /// Parameters in the order in which a call spells them.
    pub parameters: &'static [Parameter],
}

/// A function that is not one of the agent's own, as its schema describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionDefinition {
    /// Name by which the model calls it.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of the arguments, an object.
    pub parameters: Value,
}

impl FunctionDefinition {
    /// As [`FunctionSchema::to_json`].
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Self { name, description, parameters } = self;
        json!({"type": "function", "function": {"name": name, "description": description, "parameters": parameters}})
    }
}

/// One parameter of a function; all are required, because a grammar spells them all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Key in the arguments object.
    pub name: &'static str,
    /// A phrase for the model; empty where the name says it all.
    pub description: &'static str,
    /// Type of the value.
    pub kind: ParameterKind,
}

/// Type of a parameter's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// Any text.
    Text,
    /// Label of a core-memory block (`persona` or `human`).
    Section,
    /// A day, `YYYY-MM-DD`.
    Date,
    /// A whole number from 0.
    Integer,
}

impl FunctionSchema {
    /// The JSON Schema object that chat templates expect in `tools`
    /// (`{"type":"function","function":{"name","description","parameters"}}`).
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut properties = Map::new();
        for parameter in self.parameters {
            let mut property = Map::new();
            property.insert(
                "type".into(),
                if parameter.kind == ParameterKind::Integer { "integer" } else { "string" }.into(),
            );
            if parameter.kind == ParameterKind::Section {
                property.insert("enum".into(), json!(["persona", "human"]));
            }
            if !parameter.description.is_empty() {
                property.insert("description".into(), parameter.description.into());
            }
            properties.insert(parameter.name.into(), property.into());
        }
        let required: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name).collect();
        json!({
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": {"type": "object", "properties": properties, "required": required},
            }
        })
    }
}
