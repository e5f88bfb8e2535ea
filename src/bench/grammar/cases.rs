//! What the grammar bench measures: grammars with the documents that are walked under them.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use super::documents::{json_document, nested, prose, words};
use super::instance::{instance, written};
use crate::grammar::schema::{self, Options};
use crate::grammar::{Compiler, Ir, Limits, Verdict, parse};
use crate::inference::Vocab;

/// All cases.
pub const CASES: [&str; 7] =
    ["json-document", "function-call", "enum-3000", "optional-24", "nested-300", "string-17k", "bfcl-40"];

const JSON: &str = include_str!("../../../grammars/json.gbnf");
const NATIVE_CALL: &str = include_str!("../../../grammars/functions-native.gbnf");
const CLASSIC_CALL: &str = include_str!("../../../grammars/functions-classic.gbnf");

/// Schemas of functions, an object with `parameters` a line.
const TOOL_SCHEMAS: &str = include_str!("../../../tests/data/tool_schemas.jsonl");
/// Schemas that are measured, spread evenly over the file.
const SCHEMAS: usize = 40;

/// A grammar in the forms that engines take it in, and documents of its language.
#[derive(Debug, Clone)]
// Some forms are read by peers only.
#[cfg_attr(not(feature = "bench-peers"), allow(dead_code))]
pub(super) struct Work {
    /// What our compiler takes.
    pub source: Source,
    /// The same as GBNF text for llama.cpp.
    pub gbnf: String,
    /// The same as a data structure.
    pub ir: Ir,
    /// The form that suits llguidance best.
    pub lexemes: Lexemes,
    /// Texts; names of control tokens in them stand for these tokens where the grammar names them.
    pub documents: Vec<String>,
}

/// What a grammar is made of.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// GBNF text.
    Gbnf(String),
    /// A schema.
    Schema(Value),
}

/// llguidance's own form of a grammar.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "bench-peers"), allow(dead_code))]
pub(super) enum Lexemes {
    /// Lark text with regular expressions as terminals.
    Lark(String),
    /// A schema.
    Json(Value),
}

/// Names of the control tokens that documents may hold.
pub(super) const TAGS: [&str; 2] = ["<tool_call>", "</tool_call>"];

/// The grammars and documents of `case`.
///
/// # Errors
/// There is no such case, or one of its grammars cannot be made for this vocabulary.
pub(super) fn work(case: &str, vocab: &Vocab) -> Result<Vec<Work>, String> {
    let any_json = || Lexemes::Json(json!({}));
    match case {
        "json-document" => gbnf(vocab, JSON, any_json(), vec![json_document()]),
        "nested-300" => gbnf(vocab, JSON, any_json(), vec![nested(300)]),
        "string-17k" => gbnf(vocab, JSON, any_json(), vec![format!("\"{}\"", prose(17_000, 3))]),
        "function-call" if TAGS.iter().all(|name| vocab.control(name).is_some()) => {
            gbnf(vocab, NATIVE_CALL, Lexemes::Lark(native_lark(vocab)), native_documents())
        }
        "function-call" => gbnf(vocab, CLASSIC_CALL, Lexemes::Lark(classic_lark()), classic_documents()),
        "enum-3000" => enumeration(vocab),
        "optional-24" => {
            let letters: Vec<String> =
                ["abcdefghijklmnopqrstuvwx", "therewasawordthatwaslong", "xyz"].map(str::to_owned).into();
            let source = format!("root ::= {}", "[a-z]? ".repeat(24));
            gbnf(vocab, &source, Lexemes::Lark("start: /[a-z]{0,24}/\n".to_owned()), letters)
        }
        "bfcl-40" => schemas(),
        _ => Err(format!("there is no case {case}; there are {}", CASES.join(", "))),
    }
}

fn gbnf(vocab: &Vocab, source: &str, lexemes: Lexemes, documents: Vec<String>) -> Result<Vec<Work>, String> {
    let ir = parse(source, vocab, &Limits::default()).map_err(|error| error.to_string())?;
    let gbnf = ir.to_string();
    Ok(vec![Work { source: Source::Gbnf(source.to_owned()), gbnf, ir, lexemes, documents }])
}

fn enumeration(vocab: &Vocab) -> Result<Vec<Work>, String> {
    let words = words(3000);
    let list = |between: &str| {
        words.iter().fold(String::new(), |mut out, word| {
            let _ = write!(out, "{}\"\\\"{word}\\\"\"", if out.is_empty() { "" } else { between });
            out
        })
    };
    let source = format!("root ::= \"[\" word (\", \" word){{5}} \"]\"\nword ::= {}\n", list(" | "));
    let lark = format!("start: \"[\" WORD (\", \" WORD){{5}} \"]\"\nWORD: {}\n", list(" | "));
    let picked = |from: usize| {
        let six: Vec<String> = words.iter().skip(from).step_by(487).take(6).map(|word| format!("\"{word}\"")).collect();
        format!("[{}]", six.join(", "))
    };
    gbnf(vocab, &source, Lexemes::Lark(lark), vec![picked(3), picked(211), picked(350)])
}

fn schemas() -> Result<Vec<Work>, String> {
    let lines: Vec<&str> = TOOL_SCHEMAS.lines().collect();
    let group = lines.chunks(lines.len().div_ceil(SCHEMAS).max(1));
    // A few of the collected schemas admit nothing, enumerated strings under `integer` for instance.
    let work: Vec<Work> = group.filter_map(|lines| lines.iter().find_map(|line| of_function(line))).collect();
    if work.len() == SCHEMAS { Ok(work) } else { Err(format!("{} of {SCHEMAS} schemas can be used", work.len())) }
}

/// The schema of a line with a value that it admits; none where there is no such value or it is not found.
fn of_function(line: &str) -> Option<Work> {
    let mut schema = serde_json::from_str::<Value>(line).ok()?.get_mut("parameters")?.take();
    close(&mut schema);
    let ir = schema::compile(&schema, &Options::default()).ok()?;
    let document = written(&instance(&schema));
    let no_tokens = Arc::new(Vocab::new(Vec::new(), Vec::new(), None));
    let grammar = Compiler::new(no_tokens, Limits::default()).compile_ir(&ir).ok()?;
    if grammar.judge(document.as_bytes()) != Ok(Verdict::Accepted) {
        return None;
    }
    let mut lexemes = schema.clone();
    // The white space of our documents, and no other.
    let spacing = json!({"whitespace_flexible": false, "item_separator": ", ", "key_separator": ": "});
    lexemes.as_object_mut()?.insert("x-guidance".to_owned(), spacing);
    let gbnf = ir.to_string();
    Some(Work { source: Source::Schema(schema), gbnf, ir, lexemes: Lexemes::Json(lexemes), documents: vec![document] })
}

/// Says of every object with properties that it has no others, which is what calls want and what makes the engines'
/// languages the same.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            if fields.get("properties").is_some_and(Value::is_object) && fields.get("type").is_some() {
                fields.entry("additionalProperties").or_insert(Value::Bool(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn note() -> String {
    prose(220, 5).trim_end().to_owned()
}

fn native_documents() -> Vec<String> {
    vec![
        format!("<tool_call>\n{{\"name\": \"note_keep\", \"arguments\": {{\"content\": \"{}\"}}}}\n</tool_call>", note()),
        "<tool_call>\n{\"name\": \"note_search\", \"arguments\": {\"query\": \"where the \\\"green\\\" lantern hangs\", \
         \"page\": 12}}\n</tool_call>"
            .to_owned(),
        prose(400, 8).trim_end().to_owned(),
    ]
}

fn native_lark(vocab: &Vocab) -> String {
    let [open, close] = TAGS.map(|name| vocab.control(name).map_or(0, |token| token.0));
    format!(
        r#"start: REPLY | <[{open}]> "\n" call "\n" <[{close}]>
REPLY: /[^ \t\n{{`<\x00-\x1F][^\x00-\x08\x0B-\x1F]{{0,3999}}/
call: "{{\"name\": \"note_keep\", \"arguments\": {{\"content\": " STRING "}}}}"
    | "{{\"name\": \"note_search\", \"arguments\": {{\"query\": " STRING ", \"page\": " PAGE "}}}}"
{TERMINALS}"#
    )
}

fn classic_documents() -> Vec<String> {
    vec![
        format!(
            "{{\"inner_thoughts\": \"{}\", \"function\": \"note_keep\", \"params\": {{\"content\": \"{}\", \
             \"request_heartbeat\": true}}}}",
            prose(60, 4).trim_end(),
            note()
        ),
        "{\"inner_thoughts\": \"It asks for the lantern.\", \"function\": \"note_search\", \"params\": {\"query\": \
         \"green lantern\", \"page\": 12, \"request_heartbeat\": false}}"
            .to_owned(),
    ]
}

fn classic_lark() -> String {
    format!(
        r#"start: "{{\"inner_thoughts\": " STRING ", \"function\": " call "}}"
call: "\"send_message\", \"params\": {{\"message\": " STRING "}}"
    | "\"note_keep\", \"params\": {{\"content\": " STRING ", " heartbeat "}}"
    | "\"note_search\", \"params\": {{\"query\": " STRING ", \"page\": " PAGE ", " heartbeat "}}"
heartbeat: "\"request_heartbeat\": " ("true" | "false")
{TERMINALS}"#
    )
}

const TERMINALS: &str = r#"STRING: /"([^"\\\x00-\x1F]|\\["\\\/bfnrt]){1,500}"/
PAGE: /0|[1-9][0-9]?/
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::TokenKind;

    #[test]
    fn every_document_is_of_its_language() {
        let tags = TAGS.map(|name| (name.as_bytes().to_vec(), TokenKind::Control)).to_vec();
        for vocab in [Vocab::new(Vec::new(), Vec::new(), None), Vocab::new(tags, Vec::new(), None)] {
            let vocab = Arc::new(vocab);
            for case in CASES {
                for work in work(case, &vocab).unwrap() {
                    let grammar = Compiler::new(vocab.clone(), Limits::default()).compile_ir(&work.ir).unwrap();
                    for document in work.documents.iter().filter(|document| !document.contains(TAGS[0])) {
                        let verdict = grammar.judge(document.as_bytes()).unwrap();
                        assert_eq!(verdict, Verdict::Accepted, "{case}: {document}");
                    }
                }
            }
        }
        assert!(work("none", &Vocab::new(Vec::new(), Vec::new(), None)).is_err());
    }
}
