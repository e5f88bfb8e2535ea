//! Our grammars as text in llguidance's dialect of Lark, one character a lexeme.
//!
//! llguidance cuts text into lexemes, the longest first, before it parses them. Only where every lexeme is one
//! character long is the language of the Lark text that of the grammar; the price is a parse step a character.

use std::fmt::Write as _;

use crate::grammar::{CharSet, Expr, Ir};

/// `ir` as Lark text that means the same, but for `!<[id]>`, which there lets control tokens through as well.
#[must_use]
pub fn per_character(ir: &Ir) -> String {
    let mut out = format!("start: r{}\n", ir.root.0);
    for (id, rule) in ir.rules.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(out, "r{id}: ");
        print(&mut out, &rule.body);
        out.push('\n');
    }
    out
}

fn print(out: &mut String, expr: &Expr) {
    match expr {
        Expr::Literal(text) => {
            for (place, character) in text.chars().enumerate() {
                let point = u32::from(character);
                out.push_str(if place == 0 { "" } else { " " });
                print_class(out, &CharSet::from_ranges(vec![(point, point)]));
            }
        }
        Expr::Class(set) => print_class(out, set),
        Expr::Token { id, negated } => {
            let _ = write!(out, "<[{}{}]>", if *negated { "^" } else { "" }, id.0);
        }
        Expr::Rule(id) => {
            let _ = write!(out, "r{}", id.0);
        }
        Expr::Sequence(items) if items.is_empty() => out.push_str("\"\""),
        Expr::Sequence(items) => print_group(out, items, " "),
        Expr::Alternatives(items) => print_group(out, items, " | "),
        Expr::Repeat { max: Some(0), .. } => out.push_str("\"\""),
        Expr::Repeat { item, min, max } => {
            print_group(out, std::slice::from_ref(item), "");
            let _ = match max {
                Some(max) => write!(out, "{{{min},{max}}}"),
                None if *min == 0 => write!(out, "*"),
                None => write!(out, "{{{min},}}"),
            };
        }
    }
}

fn print_group(out: &mut String, items: &[Expr], between: &str) {
    out.push('(');
    for (place, item) in items.iter().enumerate() {
        out.push_str(if place == 0 { "" } else { between });
        print(out, item);
    }
    out.push(')');
}

fn print_class(out: &mut String, set: &CharSet) {
    out.push_str("/[");
    for (low, high) in set.ranges() {
        let _ = write!(out, "\\u{{{low:X}}}-\\u{{{high:X}}}");
    }
    out.push_str("]/");
}

#[cfg(test)]
mod tests {
    use super::per_character;
    use crate::grammar::{Limits, parse};
    use crate::inference::Vocab;

    #[test]
    fn every_lexeme_is_one_character() {
        let vocab = Vocab::new(Vec::new(), Vec::new(), None);
        let ir = parse("root ::= \"ab\" x{2,} | \"\"\nx ::= [a-c]?", &vocab, &Limits::default()).unwrap();
        let expected = "start: r0\n\
            r0: ((/[\\u{61}-\\u{61}]/ /[\\u{62}-\\u{62}]/ (r1){2,}) | \"\")\n\
            r1: (/[\\u{61}-\\u{63}]/){0,1}\n";
        assert_eq!(per_character(&ir), expected);
    }
}
