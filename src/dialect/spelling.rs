//! GBNF text for what the dialects have in common: JSON arguments and text to the user. JSON strings are held to the
//! one spelling that `json` writes, so that a call rendered again is the call as it was generated.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::types::{AllowedCall, ArgumentRule, NamedRule};

use super::json;

/// In a forbidden beginning: any white space, or none.
pub(super) const ANY_SPACE: char = '\u{0}';

/// `text` as a GBNF literal.
pub(super) fn literal(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if character < ' ' => {
                let _ = write!(out, "\\x{:02X}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

/// `text` as a JSON string, as a GBNF literal.
pub(super) fn json_literal(text: &str) -> String {
    literal(&format!("\"{}\"", json::escape(text)))
}

/// A JSON string of so many characters; needs [`COMMON_RULES`].
pub(super) fn json_string(min_chars: usize, max_chars: usize) -> String {
    format!("\"\\\"\" json-char{{{},{max_chars}}} \"\\\"\"", min_chars.min(max_chars))
}

/// Rules that the others refer to.
pub(super) const COMMON_RULES: &str = concat!(
    "json-char ::= [^\"\\\\\\x00-\\x1F\\x7F] | \"\\\\\" [\"\\\\bfnrt]\n",
    "text-char ::= [^\\x00-\\x08\\x0B-\\x1F\\x7F]\n",
    "date ::= [0-9] [0-9] [0-9] [0-9] \"-\" date-in-year | leap-year \"-02-29\"\n",
    "date-in-year ::= (\"0\" [13578] | \"1\" [02]) \"-\" (day-28 | \"29\" | \"3\" [01])",
    " | (\"0\" [469] | \"11\") \"-\" (day-28 | \"29\" | \"30\") | \"02-\" day-28\n",
    "day-28 ::= \"0\" [1-9] | \"1\" [0-9] | \"2\" [0-8]\n",
    "leap-year ::= [0-9] [0-9] (\"0\" [48] | [2468] [048] | [13579] [26])",
    " | ([02468] [048] | [13579] [26]) \"00\"\n",
);

/// Adds the rules of a call's argument objects to `rules`: the object's name is `name`; `extra_tail`, GBNF for one
/// more member, follows the last argument.
pub(super) fn arguments_rule(rules: &mut String, name: &str, variants: &[Vec<NamedRule>], extra_tail: &str) {
    let variants: Vec<String> = variants
        .iter()
        .map(|variant| {
            let mut members: Vec<String> = variant
                .iter()
                .map(|argument| {
                    format!("{} {}", literal(&format!("\"{}\": ", json::escape(&argument.name))), value(&argument.rule))
                })
                .collect();
            if !extra_tail.is_empty() {
                members.push(extra_tail.into());
            }
            format!("\"{{\" {} \"}}\"", members.join(" \", \" "))
        })
        .collect();
    let _ = writeln!(rules, "{name} ::= {}", variants.join(" | "));
}

fn value(rule: &ArgumentRule) -> String {
    match rule {
        ArgumentRule::OneOf(texts) => {
            let literals: Vec<String> = texts.iter().map(|text| json_literal(text)).collect();
            format!("({})", literals.join(" | "))
        }
        ArgumentRule::Text { min_chars, max_chars } => json_string(*min_chars, *max_chars),
        ArgumentRule::Date => "\"\\\"\" date \"\\\"\"".into(),
        ArgumentRule::Integer { min, max } => format!("({})", integers(*min, *max).join(" | ")),
    }
}

/// Calls that can be written: each has a variant, and each variant's enumerations have a value.
pub(super) fn writable(calls: &[AllowedCall]) -> Vec<AllowedCall> {
    let possible = |argument: &NamedRule| match &argument.rule {
        ArgumentRule::OneOf(texts) => !texts.is_empty(),
        ArgumentRule::Text { min_chars, max_chars } => min_chars <= max_chars,
        ArgumentRule::Date => true,
        ArgumentRule::Integer { min, max } => min <= max,
    };
    let mut calls = calls.to_vec();
    for call in &mut calls {
        call.variants.retain(|variant| variant.iter().all(possible));
    }
    calls.retain(|call| !call.variants.is_empty());
    calls
}

/// The numbers from `min` to `max` as alternatives of digit patterns.
fn integers(min: u32, max: u32) -> Vec<String> {
    let mut patterns = Vec::new();
    let mut low = u64::from(min);
    let max = u64::from(max);
    while low <= max {
        // The longest stretch from `low` on whose last digits run from all zeros to all nines.
        let mut span = 1_u64;
        while low.is_multiple_of(span * 10) && low + span * 10 - 1 <= max && low >= span * 10 {
            span *= 10;
        }
        // How far the digit before those can climb.
        let digit = low / span % 10;
        let steps = (9 - digit).min((max + 1 - low) / span - 1);
        let head = low / span / 10;
        let head = if head == 0 { String::new() } else { format!("\"{head}\" ") };
        let tail = " [0-9]".repeat(span.to_string().len() - 1);
        patterns.push(format!("{head}[{digit}-{}]{tail}", digit + steps));
        low += (steps + 1) * span;
    }
    patterns
}

/// One step on the way along the forbidden beginnings.
#[derive(Default)]
struct Node {
    next: BTreeMap<char, Node>,
    /// A forbidden beginning is complete here.
    forbidden: bool,
    /// White space stays here.
    loops: bool,
}

/// Adds the rule `text` to `rules`: 1 to `max_chars` characters that begin with no white space and none of the
/// `forbidden` beginnings (which may hold [`ANY_SPACE`]). White space inside a beginning is not counted.
pub(super) fn text_rule(rules: &mut String, max_chars: usize, forbidden: &[String]) {
    let mut root = Node::default();
    for beginning in forbidden {
        let mut node = &mut root;
        for character in beginning.chars() {
            if character == ANY_SPACE {
                node.loops = true;
            } else {
                node = node.next.entry(character).or_default();
            }
        }
        node.forbidden = true;
    }
    let longest = forbidden.iter().map(|beginning| beginning.chars().count()).max().unwrap_or(0);
    let _ = writeln!(rules, "text-rest ::= text-char{{0,{}}}", max_chars.saturating_sub(longest.max(1)));
    text_node(rules, "text", &root, true);
}

fn text_node(rules: &mut String, name: &str, node: &Node, is_root: bool) {
    let mut alternatives = Vec::new();
    let mut excluded = String::new();
    let mut children = Vec::new();
    for (index, (character, child)) in node.next.iter().enumerate() {
        match character {
            '"' | '\\' | '[' | ']' | '-' => excluded.extend(['\\', *character]),
            '^' => excluded.push_str("\\x5E"),
            other => excluded.push(*other),
        }
        if !child.forbidden {
            let child_name = format!("{name}-{index}");
            alternatives.push(format!("{} {child_name}", literal(&character.to_string())));
            children.push((child_name, child));
        }
    }
    let spaces = if is_root || node.loops { "\\t\\n " } else { "" };
    // The characters of `text-char`, without those that have a way of their own.
    let controls = if spaces.is_empty() { "\\x00-\\x08\\x0B-\\x1F\\x7F" } else { "\\x00-\\x1F\\x7F" };
    alternatives.push(format!("[^{excluded}{spaces}{controls}] text-rest"));
    if node.loops && !is_root {
        alternatives.push(format!("[\\t\\n ] {name}"));
    }
    if !is_root {
        alternatives.push("\"\"".into());
    }
    let _ = writeln!(rules, "{name} ::= {}", alternatives.join(" | "));
    for (child_name, child) in children {
        text_node(rules, &child_name, child, false);
    }
}

/// Beginnings by which a text would pass for a call of one of `function_names`: the call object itself, in a list or
/// in a fence, and the spelled tag.
pub(super) fn fake_calls(function_names: &[String]) -> Vec<String> {
    let mut beginnings = vec!["<tool_call".to_string(), "<function".into()];
    for name in function_names {
        for opening in ["", "[\0", "```\0", "```json\0"] {
            beginnings.push(format!("{opening}{{\0\"name\"\0:\0\"{name}\""));
            beginnings.push(format!("{opening}{{\0\"{name}\""));
        }
        beginnings.push(format!("{name}("));
    }
    beginnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integer_patterns_cover_exactly_the_range() {
        for (min, max) in [(0, 0), (0, 9), (0, 12), (1, 100), (7, 3205), (99, 101), (250, 255), (0, 100)] {
            let patterns = integers(min, max);
            let mut count = 0_u64;
            for pattern in &patterns {
                count += pattern.split(' ').fold(1, |product, part| {
                    let range: Vec<u64> =
                        part.trim_matches(['[', ']']).split('-').filter_map(|end| end.parse().ok()).collect();
                    product * if range.len() == 2 { range[1] - range[0] + 1 } else { 1 }
                });
            }
            assert_eq!(count, u64::from(max - min) + 1, "{min}..={max}: {patterns:?}");
        }
        assert_eq!(integers(1, 100), ["[1-9]", "[1-9] [0-9]", "\"10\" [0-0]"]);
        assert_eq!(integers(0, u32::MAX).len(), 19);
    }

    #[test]
    fn a_text_rule_leaves_out_the_forbidden_beginnings() {
        let mut rules = String::new();
        text_rule(&mut rules, 10, &["{\0\"a".into(), "x".into()]);
        insta::assert_snapshot!(rules, @r###"
        text-rest ::= text-char{0,6}
        text ::= "{" text-1 | [^x{\t\n \x00-\x1F\x7F] text-rest
        text-1 ::= "\"" text-1-0 | [^\"\t\n \x00-\x1F\x7F] text-rest | [\t\n ] text-1 | ""
        text-1-0 ::= [^a\x00-\x08\x0B-\x1F\x7F] text-rest | ""
        "###);
    }

    #[test]
    fn arguments_are_spelled_in_order_with_the_tail_last() {
        let mut rules = String::new();
        let argument = |name: &str, rule| NamedRule { name: name.into(), rule };
        let variants = [
            vec![
                argument("section", ArgumentRule::OneOf(vec!["human".into(), "it's \"x\"\n".into()])),
                argument("content", ArgumentRule::Text { min_chars: 1, max_chars: 20 }),
            ],
            vec![],
        ];
        arguments_rule(&mut rules, "arguments-0", &variants, "\"tail\"");
        insta::assert_snapshot!(rules, @r##"arguments-0 ::= "{" "\"section\": " ("\"human\"" | "\"it's \\\"x\\\"\\n\"") ", " "\"content\": " "\"" json-char{1,20} "\"" ", " "tail" "}" | "{" "tail" "}""##);
    }
}
