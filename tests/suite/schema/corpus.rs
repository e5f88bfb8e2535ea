//! Real tool definitions (`tests/data/tool_schemas.jsonl`).

use mneme::grammar::schema::{Options, Whitespace};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::{compiler, grammar_of, options, validator, walk};

const TOOLS: &str = include_str!("../../data/tool_schemas.jsonl");

#[test]
fn every_tool_schema_compiles_and_what_its_grammar_writes_is_valid() {
    let compiler = compiler();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut tools = 0;
    for line in TOOLS.lines() {
        let tool: Value = serde_json::from_str(line).unwrap();
        let schema = &tool["parameters"];
        let validator = validator(schema);
        for options in [
            Options::default(),
            Options { undeclared_properties: false, ..Options::default() },
            options(Whitespace::Compact),
            options(Whitespace::Flexible),
        ] {
            let grammar = grammar_of(&compiler, schema, &options).unwrap_or_else(|error| panic!("{error}\n{tool}"));
            for wild in [0, 60, 400] {
                let text = walk(&grammar, wild, &mut rng);
                let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
                assert!(validator.is_valid(&value), "{schema}\n{text}");
            }
        }
        tools += 1;
    }
    assert!(tools >= 200, "{tools}");
}
