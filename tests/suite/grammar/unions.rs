//! Unions of text and calls: at each step what they allow is what their sides allow together, so text stays reachable
//! as far as its own side says.

use mneme::grammar::{Compiler, Expr, Grammar, Limits, Matcher, RuleId, parse};
use mneme::inference::TokenKind;
use mneme::types::{Constraint, ConstraintError, TokenId};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::{CLOSE_TAG, OPEN_TAG, expression, grammar_of, vocab};
use crate::harness::grammars;

/// A grammar beside the grammars of the alternatives of one of its rules.
struct Union {
    whole: Matcher,
    /// None where what was written is nothing of that side.
    sides: Vec<Option<Matcher>>,
}

impl Union {
    /// The alternatives of the rule `split`.
    fn new(source: &str, split: &str) -> Self {
        let compiler = Compiler::new(vocab(), Limits::default());
        let ir = parse(source, &vocab(), &Limits::default()).unwrap();
        let at = ir.rules.iter().position(|rule| rule.name == split).unwrap();
        let Expr::Alternatives(items) = &ir.rules[at].body else { panic!("{split} has no alternatives") };
        let sides = items.iter().map(|item| {
            let mut side = ir.clone();
            side.rules[at].body = item.clone();
            compiler.forget().compile_ir(&side).unwrap()
        });
        Self::of(&compiler.compile(source).unwrap(), sides)
    }

    fn of(whole: &Grammar, sides: impl Iterator<Item = Grammar>) -> Self {
        let sides = sides.map(|side| Some(side.matcher().unwrap())).collect();
        Self { whole: whole.matcher().unwrap(), sides }
    }

    /// The tokens that may come; the mask, the ends and single checks are those of the sides together.
    fn look(&mut self) -> Result<Vec<TokenId>, ConstraintError> {
        let mask = self.whole.mask()?;
        let token_count = u32::try_from(vocab().len()).unwrap();
        let sides = self.sides.iter_mut().flatten();
        let sides =
            sides.map(|side| Ok((side.mask()?, side.may_end()))).collect::<Result<Vec<_>, ConstraintError>>()?;
        for token in (0..token_count).map(TokenId) {
            let expected = sides.iter().any(|(side, _)| side.contains(token));
            assert_eq!(mask.contains(token), expected, "{token:?}");
            assert_eq!(self.whole.allows(token)?, expected, "{token:?}");
        }
        assert_eq!(self.whole.may_end(), sides.iter().any(|(_, may_end)| *may_end));
        Ok(mask.tokens().collect())
    }

    fn commit(&mut self, token: TokenId) -> Result<(), ConstraintError> {
        self.whole.commit(token)?;
        for side in &mut self.sides {
            if let Some(matcher) = side.as_mut()
                && !matcher.allows(token)?
            {
                *side = None;
            }
            if let Some(matcher) = side {
                matcher.commit(token)?;
            }
        }
        Ok(())
    }

    /// Writes `tokens` as far as they may come; how many bytes that were.
    fn write(&mut self, tokens: &[TokenId]) -> usize {
        let mut bytes = 0;
        for token in tokens {
            if !self.look().unwrap().contains(token) {
                return bytes;
            }
            self.commit(*token).unwrap();
            bytes += vocab().bytes(*token).len();
        }
        self.look().unwrap();
        bytes
    }

    /// Sides that what was written can still become a text of.
    fn open(&self) -> Vec<bool> {
        self.sides.iter().map(Option::is_some).collect()
    }
}

fn bytewise(text: &str) -> Vec<TokenId> {
    text.bytes().map(|byte| TokenId(byte.into())).collect()
}

/// `text` as the longest text tokens.
fn longest(text: &str) -> Vec<TokenId> {
    let (vocab, mut rest, mut tokens) = (vocab(), text.as_bytes(), Vec::new());
    while !rest.is_empty() {
        let all = (0..u32::try_from(vocab.len()).unwrap()).map(TokenId);
        let fits = |token: &TokenId| vocab.kind(*token) == TokenKind::Text && rest.starts_with(vocab.bytes(*token));
        let token = all.filter(fits).max_by_key(|token| vocab.bytes(*token).len()).unwrap();
        rest = &rest[vocab.bytes(token).len()..];
        tokens.push(token);
    }
    tokens
}

/// Writes `text` in both ways; the bytes that came through and the sides that are open behind them.
fn written(source: &str, split: &str, text: &str) -> (usize, Vec<bool>) {
    let [first, second] = [bytewise(text), longest(text)].map(|tokens| {
        let mut union = Union::new(source, split);
        (union.write(&tokens), union.open(), union.whole.may_end())
    });
    if first.0 == text.len() {
        assert_eq!(first, second, "{text:?}");
    }
    (first.0, first.1)
}

#[test]
fn text_beside_native_calls_stays_reachable() {
    let source = grammars::source("functions-native");
    let texts = [
        "a < b and {x}",
        "tool_call>",
        "I would write {\"name\": \"note_keep\", \"arguments\": {\"content\": \"tea\"}}",
        "I would write <tool_call>\n{\"name\": \"note_keep\"",
        "😀 and 日本",
        "é",
    ];
    for text in texts {
        assert_eq!(written(&source, "root", text), (text.len(), vec![true, false]), "{text:?}");
    }
    // A reply that looks like a call from its first character on would be taken for one.
    for text in ["{\"name\"", "<b>", "<tool_call>", "`x`", " x"] {
        assert_eq!(written(&source, "root", text), (0, vec![true, true]), "{text:?}");
    }
    let mut union = Union::new(&source, "root");
    union.write(&[OPEN_TAG]);
    assert_eq!(union.open(), [false, true]);
    let call = "\n{\"name\": \"note_keep\", \"arguments\": {\"content\": \"a < 😀\"}}\n";
    assert_eq!(union.write(&longest(call)), call.len());
    union.write(&[CLOSE_TAG]);
    assert!(union.whole.must_end());
}

#[test]
fn any_message_of_a_classic_call_stays_reachable() {
    let source = grammars::source("functions-classic");
    let lead = "{\"inner_thoughts\": \"{ < 😀 \\\"send_message\\\"\", \"function\": \"";
    assert_eq!(written(&source, "call", lead), (lead.len(), vec![true; 3]));
    let messages = ["{", "<tool_call>", "\\\"params\\\": {", "😀 é", "note_keep\\\", \\\"params"];
    for message in messages {
        let text = format!("{lead}send_message\", \"params\": {{\"message\": \"{message}\"}}}}");
        assert_eq!(written(&source, "call", &text), (text.len(), vec![true, false, false]), "{text}");
    }
    let both = format!("{lead}note_");
    assert_eq!(written(&source, "call", &both), (both.len(), vec![false, true, true]));
}

#[test]
fn text_that_begins_like_a_call_stays_text() {
    let any_text = "root ::= text | call\ntext ::= [^\\x00-\\x08]{1,200}\ncall ::= \"<call>\" [a-z]+ \"</call>\"\n";
    for (text, sides) in [
        ("<", [true, true]),
        ("<call>ab</call", [true, true]),
        ("<call>ab</call>", [true, true]),
        ("<call>ab</call> and more", [true, false]),
        ("<call>7", [true, false]),
        ("<cat>", [true, false]),
        ("{\"a\": \"b\"}", [true, false]),
        ("😀<call>", [true, false]),
    ] {
        assert_eq!(written(any_text, "root", text), (text.len(), sides.to_vec()), "{text:?}");
    }
    // Text that may not hold the tag: it is reachable up to it, and from there on there is a call only at the beginning.
    let without_tag = "root ::= text | call\ntext ::= ([^<] | \"<\"+ ([^<c] | \"c\" [^<a]))+ \"<\"*\n\
                       call ::= \"<call>\" [a-z]+ \"</call>\"\n";
    for (text, bytes, sides) in [
        ("<c", 2, [true, true]),
        ("<call>x", 7, [false, true]),
        ("<call>7", 6, [false, true]),
        ("a <cold 😀 < b", 16, [true, false]),
        ("a <call>", 4, [true, false]),
        ("😀 <", 6, [true, false]),
    ] {
        assert_eq!(written(without_tag, "root", text), (bytes, sides.to_vec()), "{text:?}");
    }
}

#[test]
fn an_emoji_that_tokens_cut_keeps_both_sides_open_as_long_as_both_may_have_it() {
    let source = "root ::= text | call\ntext ::= [^😁]+\ncall ::= \"😀\" [a-z]+ | \"😂!\"\n";
    let half = |bytes: &[u8]| (0..).map(TokenId).find(|token| vocab().bytes(*token) == bytes).unwrap();
    let mut union = Union::new(source, "root");
    assert_eq!(union.write(&[half(b"\xF0\x9F")]), 2);
    assert_eq!(union.open(), [true, true]);
    assert_eq!(union.write(&[half(b"\x98\x80")]), 2);
    assert_eq!(union.open(), [true, true]);
    assert_eq!(union.write(&longest("ab")), 2);
    assert_eq!(union.write(&longest("😀")), 4);
    assert_eq!(union.open(), [true, false]);
    assert_eq!(written(source, "root", "😁"), (3, vec![true, true]));
    assert_eq!(written(source, "root", "😂?"), (5, vec![true, false]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, max_shrink_time: 8000, ..ProptestConfig::default() })]

    #[test]
    fn a_union_allows_what_its_sides_allow(bodies in prop::collection::vec(expression(2), 2), seed in any::<u64>()) {
        // Rule 0 is the union, the others are its sides; calls go to the sides only, so that these are grammars as well.
        let sides: Vec<Expr> = bodies.iter().map(|body| lifted(body, 1)).collect();
        let source = |root: Expr| grammar_of([vec![root], sides.clone()].concat());
        let side = |at: u32| Expr::Rule(RuleId(at));
        let compile = |root: Expr| Compiler::new(vocab(), Limits::default()).compile(&source(root));
        let (Ok(whole), Ok(first), Ok(second)) =
            (compile(Expr::Alternatives(vec![side(1), side(2)])), compile(side(1)), compile(side(2)))
        else {
            return Ok(());
        };
        let mut union = Union::of(&whole, [first, second].into_iter());
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..8 {
            // A very ambiguous grammar may hit a limit; then nothing is let through.
            let Ok(allowed) = union.look() else { break };
            let Some(token) = allowed.choose(&mut random) else { break };
            if union.commit(*token).is_err() {
                break;
            }
        }
    }
}

/// `expr` with the rules that it calls counted up by `by`.
fn lifted(expr: &Expr, by: u32) -> Expr {
    let all = |items: &[Expr]| items.iter().map(|item| lifted(item, by)).collect();
    match expr {
        Expr::Rule(rule) => Expr::Rule(RuleId(rule.0 + by)),
        Expr::Sequence(items) => Expr::Sequence(all(items)),
        Expr::Alternatives(items) => Expr::Alternatives(all(items)),
        Expr::Repeat { item, min, max } => Expr::Repeat { item: Box::new(lifted(item, by)), min: *min, max: *max },
        other => other.clone(),
    }
}
