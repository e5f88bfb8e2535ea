//! The schema compiler through its public face: keyword by keyword, with random schemas against an independent
//! validator in both directions, and over real tool definitions.

mod corpus;
mod keywords;
mod limits;
mod numbers;
pub mod portable;
mod random;

use std::sync::Arc;

use mneme::grammar::schema::{Error, Options, Whitespace, compile};
use mneme::grammar::{Compiler, Grammar, Ir, Limits, Matcher, Verdict, parse};
use mneme::inference::{TokenKind, Vocab};
use mneme::types::{Constraint as _, TokenId};
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// All single bytes, and an end.
fn vocab() -> Arc<Vocab> {
    let mut rows: Vec<(Vec<u8>, TokenKind)> = (0..=255).map(|byte| (vec![byte], TokenKind::Text)).collect();
    rows.push((b"<|im_end|>".to_vec(), TokenKind::Control));
    Arc::new(Vocab::new(rows, vec![TokenId(256)], None))
}

fn options(whitespace: Whitespace) -> Options {
    Options { whitespace, ..Options::default() }
}

fn compiler() -> Compiler {
    Compiler::new(vocab(), Limits::default())
}

/// The grammar of a schema that compiles. Checks on the way that its GBNF text is read back as the same grammar.
fn grammar_of(compiler: &Compiler, schema: &Value, options: &Options) -> Result<Grammar, Error> {
    let ir = compile(schema, options)?;
    assert_names(&ir);
    let text = ir.to_string();
    let again = parse(&text, &vocab(), &Limits::default()).unwrap_or_else(|error| panic!("{error}\n{schema}\n{text}"));
    assert_eq!(again.to_string(), text, "{schema}");
    assert!(again == ir || again.rules.len() > ir.rules.len(), "{schema}\n{text}");
    Ok(compiler.compile_ir(&ir).unwrap_or_else(|error| panic!("{error}\n{schema}\n{text}")))
}

/// llama.cpp takes letters, digits and dashes.
fn assert_names(ir: &Ir) {
    assert_eq!((ir.root.0, ir.rules[0].name.as_str()), (0, "root"));
    for rule in &ir.rules {
        assert!(rule.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{}", rule.name);
    }
}

fn accepts(grammar: &Grammar, text: &str) -> bool {
    grammar.judge(text.as_bytes()).unwrap() == Verdict::Accepted
}

/// A walk to a complete text; after `wild` bytes it takes the shortest way that it sees.
fn walk(grammar: &Grammar, wild: usize, rng: &mut ChaCha8Rng) -> String {
    let mut matcher = grammar.matcher().unwrap();
    let mut text = Vec::new();
    let (mut in_string, mut is_escaped) = (false, false);
    while !matcher.must_end() {
        let is_hasty = text.len() >= wild;
        if matcher.may_end() && (is_hasty || rng.random_bool(0.3)) {
            break;
        }
        let next = next_byte(&mut matcher, is_hasty, in_string, rng);
        matcher.commit(TokenId(u32::from(next))).unwrap();
        text.push(next);
        in_string ^= next == b'"' && !is_escaped;
        is_escaped = in_string && next == b'\\' && !is_escaped;
        assert!(text.len() < 50_000, "no end in sight: {}", String::from_utf8_lossy(&text[..2000]));
    }
    String::from_utf8(text).unwrap()
}

fn next_byte(matcher: &mut Matcher, is_hasty: bool, in_string: bool, rng: &mut ChaCha8Rng) -> u8 {
    let bytes = matcher.next_bytes().unwrap();
    let closes: &[u8] = if in_string { b"\"" } else { b"}]" };
    if let Some(close) = bytes.iter().find(|byte| closes.contains(byte))
        && rng.random_bool(if is_hasty { 1.0 } else { 0.15 })
    {
        return *close;
    }
    let opens: &[u8] = if in_string { b"\\" } else { b"{[, \t\n\r" };
    let calm: Vec<u8> = bytes.iter().copied().filter(|byte| !(is_hasty && opens.contains(byte))).collect();
    *calm.choose(rng).or_else(|| bytes.choose(rng)).expect("a state that is not final leads on")
}

/// A validator of the whole draft, formats included.
fn validator(schema: &Value) -> jsonschema::Validator {
    let built = jsonschema::draft202012::options().should_validate_formats(true).build(schema);
    built.unwrap_or_else(|error| panic!("{error}\n{schema}"))
}

/// `value` as `options` writes it; flexible white space is written as in templates.
fn written(value: &Value, whitespace: Whitespace) -> String {
    let (comma, colon) = if whitespace == Whitespace::Compact { (",", ":") } else { (", ", ": ") };
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| written(item, whitespace)).collect();
            format!("[{}]", items.join(comma))
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                format!("{}{colon}{}", Value::from(name.as_str()), written(value, whitespace))
            };
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(comma))
        }
        scalar => scalar.to_string(),
    }
}
