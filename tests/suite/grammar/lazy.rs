//! Lazy grammars: what their triggers do, byte by byte and token by token, against a model that searches the text.

use std::sync::Arc;

use mneme::grammar::{Compiler, Error, Expr, Grammar, Limits, Matcher, Trigger, Verdict, parse};
use mneme::inference::{TokenKind, Vocab};
use mneme::types::{Constraint, ConstraintError, TokenId};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::{CLOSE_TAG, Known, Look, OPEN_TAG, ends, expression, feed, grammar_of, look, texts, vocab};

fn literals(texts: &[&str]) -> Vec<Trigger> {
    texts.iter().map(|text| Trigger::Literal((*text).to_owned())).collect()
}

fn lazy(source: &str, triggers: &[Trigger]) -> Grammar {
    let compiler = Compiler::new(vocab(), Limits::default());
    compiler.compile_lazy(source, triggers).unwrap_or_else(|error| panic!("{error}\n{source}"))
}

/// Where the trigger that is complete first begins in `text`, and where it ends; of those that end there, the longest.
fn found(text: &[u8], triggers: &[&str]) -> Option<(usize, usize)> {
    let ends_with = |end: usize| triggers.iter().filter(move |trigger| text[..end].ends_with(trigger.as_bytes()));
    (0..=text.len()).find_map(|end| Some((end - ends_with(end).map(|trigger| trigger.len()).max()?, end)))
}

/// Whether a trigger lies inside another one, off its ends.
fn contradict(triggers: &[&str]) -> bool {
    triggers.iter().any(|whole| {
        let inner = whole.as_bytes().get(1..whole.len() - 1).unwrap_or_default();
        triggers.iter().any(|part| inner.windows(part.len()).any(|window| window == part.as_bytes()))
    })
}

fn some_triggers() -> impl Strategy<Value = Vec<&'static str>> {
    let pool = vec!["a", "b", "ab", "ba", "aab", "aba", "é", "bé", "éa", "abab"];
    prop::collection::vec(prop::sample::select(pool), 1..4)
}

/// Random rules whose texts begin with one of the triggers, or with the tag.
fn grammar_behind(triggers: &[&str], mut bodies: Vec<Expr>) -> String {
    let rest = bodies.remove(0);
    let tag = Expr::Token { id: OPEN_TAG, negated: false };
    let leads = triggers.iter().map(|trigger| Expr::Literal((*trigger).to_owned())).chain([tag]);
    let led = leads.map(|lead| Expr::Sequence(vec![lead, rest.clone()]));
    grammar_of([vec![Expr::Alternatives(led.collect())], bodies].concat())
}

/// The eager and the lazy grammar; none where the random rules have no meaning.
fn pair(source: &str, triggers: &[Trigger], is_wrong: bool) -> Option<(Grammar, Grammar)> {
    let compiler = Compiler::new(vocab(), Limits::default());
    let eager = match compiler.compile(source) {
        Ok(grammar) => grammar,
        Err(Error::LeftRecursion { .. } | Error::NeverEnds { .. }) => return None,
        Err(other) => panic!("{other}\n{source}"),
    };
    match compiler.compile_lazy(source, triggers) {
        Ok(lazy) => {
            assert!(!is_wrong, "{triggers:?}");
            Some((eager, lazy))
        }
        Err(error @ Error::Trigger { .. }) => {
            assert!(is_wrong, "{error}: {triggers:?}\n{source}");
            None
        }
        Err(other) => panic!("{other}\n{source}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, max_shrink_time: 8000, ..ProptestConfig::default() })]

    #[test]
    fn a_text_is_free_without_a_trigger_and_else_held_from_the_first_on(
        triggers in some_triggers(),
        bodies in prop::collection::vec(expression(3), 3),
    ) {
        let source = grammar_behind(&triggers, bodies);
        let Some((eager, lazy)) = pair(&source, &literals(&triggers), contradict(&triggers)) else { return Ok(()) };
        // The naive recogniser knows no tokens, and no text spells one.
        let mut ir = parse(&source, &vocab(), &Limits::default()).unwrap();
        if let Expr::Alternatives(items) = &mut ir.rules[0].body {
            items.pop();
        }
        for text in texts(&['a', 'b', 'é'], 5) {
            let expected = match found(text.as_bytes(), &triggers) {
                None => Verdict::Accepted,
                Some((start, _)) => match eager.judge(&text.as_bytes()[start..]).unwrap() {
                    Verdict::Refused { at_byte } => Verdict::Refused { at_byte: start + at_byte },
                    verdict => {
                        let held: Vec<char> = text[start..].chars().collect();
                        let ends = ends(&ir, &ir.rules[0].body, &held, 0, &mut Known::new());
                        prop_assert_eq!(verdict == Verdict::Accepted, ends.contains(&held.len()));
                        verdict
                    }
                },
            };
            prop_assert_eq!(lazy.judge(text.as_bytes()).unwrap(), expected, "{:?} on {:?}\n{}", triggers, text, source);
        }
    }

    #[test]
    fn masks_and_ends_are_those_of_free_text_and_then_those_of_the_grammar(
        triggers in some_triggers(),
        with_tag in any::<bool>(),
        bodies in prop::collection::vec(expression(3), 3),
        seed in any::<u64>(),
    ) {
        let source = grammar_behind(&triggers, bodies);
        let mut all = literals(&triggers);
        all.extend(with_tag.then_some(Trigger::Token(OPEN_TAG)));
        let Some((eager, lazy)) = pair(&source, &all, contradict(&triggers)) else { return Ok(()) };
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut matcher = lazy.matcher().unwrap();
        let mut model = Model { vocab: vocab(), eager, triggers, with_tag, free: Vec::new(), held: None };
        let mut trail = Vec::new();
        for _ in 0..10 {
            // A very ambiguous grammar may hit a limit; then nothing is let through.
            let Ok(here) = look(&mut matcher) else { return Ok(()) };
            let Ok(expected) = model.look() else { return Ok(()) };
            prop_assert_eq!(&here, &expected, "{:?} behind {:?}\n{}", all, model.free, source);
            let next = here.0.choose(&mut random).copied();
            trail.push(here);
            let Some(token) = next else { break };
            matcher.commit(token).unwrap();
            model.commit(token);
        }
        for (kept, expected) in trail.into_iter().enumerate() {
            let mut copy = matcher.clone();
            copy.rollback(matcher.committed_tokens() - kept).unwrap();
            prop_assert_eq!(look(&mut copy), Ok(expected));
        }
    }
}

/// What a lazy grammar means, from its parts: a search in the text, and the same grammar without a trigger.
struct Model {
    vocab: Arc<Vocab>,
    eager: Grammar,
    triggers: Vec<&'static str>,
    with_tag: bool,
    /// The free text.
    free: Vec<u8>,
    /// The grammar, once it is in force.
    held: Option<Matcher>,
}

impl Model {
    /// The free text with `token` behind it, from the trigger on; none where there is no trigger in it.
    fn held_text(&self, token: TokenId) -> Option<Vec<u8>> {
        let text = [self.free.as_slice(), self.vocab.bytes(token)].concat();
        found(&text, &self.triggers).map(|(start, _)| text[start..].to_vec())
    }

    fn look(&mut self) -> Result<Look, ConstraintError> {
        if let Some(matcher) = &mut self.held {
            return look(matcher);
        }
        let all = (0..u32::try_from(self.vocab.len()).unwrap()).map(TokenId);
        let allowed = all.filter(|token| match self.vocab.kind(*token) {
            TokenKind::Unused => false,
            TokenKind::Control => self.with_tag && *token == OPEN_TAG,
            TokenKind::Text if self.vocab.bytes(*token).is_empty() => false,
            TokenKind::Text => self
                .held_text(*token)
                .is_none_or(|text| !matches!(self.eager.judge(&text).unwrap(), Verdict::Refused { .. })),
        });
        Ok((allowed.collect(), true, false, Vec::new()))
    }

    fn commit(&mut self, token: TokenId) {
        if let Some(matcher) = &mut self.held {
            matcher.commit(token).unwrap();
        } else if token == OPEN_TAG {
            let mut matcher = self.eager.matcher().unwrap();
            matcher.commit(OPEN_TAG).unwrap();
            self.held = Some(matcher);
        } else if let Some(text) = self.held_text(token) {
            let mut matcher = self.eager.matcher().unwrap();
            feed(&mut matcher, &text);
            self.held = Some(matcher);
        } else {
            self.free.extend_from_slice(self.vocab.bytes(token));
        }
    }
}

#[test]
fn a_lazy_grammar_is_free_until_its_trigger() {
    let source = "root ::= \"<call>\" [a-z]+ \"</call>\"\n";
    let compiler = Compiler::new(vocab(), Limits::default());
    let grammar = compiler.compile_lazy(source, &literals(&["<call>"])).unwrap();
    let verdict = |text: &str| grammar.judge(text.as_bytes()).unwrap();
    for text in ["", "anything", "a < b, <call", "<cal<callx", "say <call>abc</call>", "<<call>x</call>"] {
        assert_eq!(verdict(text), Verdict::Accepted, "{text}");
    }
    assert_eq!(verdict("so <call>ab"), Verdict::Incomplete);
    assert_eq!(verdict("so <call>ab7"), Verdict::Refused { at_byte: 11 });
    assert_eq!(verdict("<call>ab</call> more"), Verdict::Refused { at_byte: 15 });
    let mut matcher = grammar.matcher().unwrap();
    feed(&mut matcher, b"\xFF free <call");
    assert!(matcher.may_end() && !matcher.mask().unwrap().contains(OPEN_TAG));
    feed(&mut matcher, b">");
    assert!(!matcher.may_end() && !matcher.allows(TokenId(u32::from(b'<'))).unwrap());
}

#[test]
fn a_token_that_spells_more_than_the_trigger_must_agree_with_the_grammar() {
    let compiler = Compiler::new(vocab(), Limits::default());
    let grammar = compiler.compile_lazy("root ::= \"aab\" \"c\"\n", &literals(&["aa"])).unwrap();
    let mut matcher = grammar.matcher().unwrap();
    let mask = matcher.mask().unwrap();
    // The longer tokens of the vocabulary: "ab" holds no trigger, "aab" agrees, "aa" is the trigger.
    let id = |bytes: &[u8]| (260..).map(TokenId).find(|id| vocab().bytes(*id) == bytes).unwrap();
    for allowed in [b"ab".as_slice(), b"aab", b"aa", b"abab"] {
        assert!(mask.contains(id(allowed)), "{allowed:?}");
    }
    feed(&mut matcher, b"a");
    assert!(!matcher.allows(id(b"aab")).unwrap(), "aa, then a");
    assert!(matcher.allows(id(b"ab")).unwrap(), "aa, then b");
}

#[test]
fn a_lazy_grammar_can_wait_for_a_control_token() {
    let compiler = Compiler::new(vocab(), Limits::default());
    let source = format!("root ::= <[{}]> [0-9]+ <[{}]>\n", OPEN_TAG.0, CLOSE_TAG.0);
    let grammar = compiler.compile_lazy(&source, &[Trigger::Token(OPEN_TAG)]).unwrap();
    let mut matcher = grammar.matcher().unwrap();
    feed(&mut matcher, b"free <tool_call>");
    assert!(matcher.may_end() && matcher.allows(OPEN_TAG).unwrap() && !matcher.allows(CLOSE_TAG).unwrap());
    matcher.commit(OPEN_TAG).unwrap();
    assert!(!matcher.allows(TokenId(u32::from(b'x'))).unwrap());
    feed(&mut matcher, b"42");
    matcher.commit(CLOSE_TAG).unwrap();
    assert!(matcher.must_end());
}

#[test]
fn a_trigger_that_the_grammar_does_not_begin_with_is_refused() {
    let compiler = Compiler::new(vocab(), Limits::default());
    for trigger in [Trigger::Literal("x".into()), Trigger::Literal(String::new()), Trigger::Token(OPEN_TAG)] {
        assert!(
            matches!(
                compiler.compile_lazy("root ::= \"y\"\n", std::slice::from_ref(&trigger)),
                Err(Error::Trigger { .. })
            ),
            "{trigger:?}"
        );
    }
}

#[test]
fn a_text_token_is_no_trigger() {
    let compiler = Compiler::new(vocab(), Limits::default());
    let source = format!("root ::= <[{}]> \"x\"\n", u32::from(b'a'));
    let trigger = Trigger::Token(TokenId(u32::from(b'a')));
    assert!(matches!(compiler.compile_lazy(&source, std::slice::from_ref(&trigger)), Err(Error::Trigger { .. })));
}

#[test]
fn each_of_several_triggers_puts_the_grammar_into_force() {
    let source = format!("root ::= \"<a>\" [0-9]+ | \"<b>\" [x-z]+ | <[{}]> \"t\"\n", OPEN_TAG.0);
    let triggers = [literals(&["<a>", "<b>"]), vec![Trigger::Token(OPEN_TAG)]].concat();
    let grammar = lazy(&source, &triggers);
    let verdict = |text: &str| grammar.judge(text.as_bytes()).unwrap();
    for text in ["<", "<a <b", "<<a>1", "so <a>12", "so <b>xyz", "<c>"] {
        assert_eq!(verdict(text), Verdict::Accepted, "{text}");
    }
    assert_eq!(verdict("so <a>x"), Verdict::Refused { at_byte: 6 });
    assert_eq!(verdict("<b>x<a>"), Verdict::Refused { at_byte: 4 });
    let mut matcher = grammar.matcher().unwrap();
    // The token is one in the middle of a literal as well.
    feed(&mut matcher, b"so <a");
    matcher.commit(OPEN_TAG).unwrap();
    assert_eq!(matcher.forced_bytes(), b"t");
}

#[test]
fn of_triggers_that_are_complete_together_the_longest_counts() {
    let source = "root ::= \"ab\" \"long\" | \"b\" \"short\"\n";
    let grammar = lazy(source, &literals(&["b", "ab"]));
    let verdict = |text: &str| grammar.judge(text.as_bytes()).unwrap();
    assert_eq!([verdict("xablong"), verdict("xbshort")], [Verdict::Accepted; 2]);
    assert_eq!(verdict("xabshort"), Verdict::Refused { at_byte: 3 });
}

#[test]
fn a_trigger_that_another_one_always_precedes_is_refused_and_told() {
    let compiler = Compiler::new(vocab(), Limits::default());
    let source = "root ::= \"abc\" | \"b\"\n";
    let error = compiler.compile_lazy(source, &literals(&["abc", "b"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the trigger cannot be used: \"abc\" cannot be complete before \"b\", which is inside it"
    );
    let error = compiler.compile_lazy(source, &literals(&["b", "y"])).unwrap_err();
    assert_eq!(error.to_string(), "the trigger cannot be used: no text of the grammar begins with \"y\"");
}

#[test]
fn no_triggers_and_too_many_are_refused() {
    let compiler = Compiler::new(vocab(), Limits::default());
    let source = "root ::= [a-z]+\n";
    assert!(matches!(compiler.compile_lazy(source, &[]), Err(Error::Trigger { .. })));
    let many = vec![Trigger::Literal("a".into()); 33];
    assert!(matches!(compiler.compile_lazy(source, &many), Err(Error::Limit { what: "triggers", found: 33, .. })));
    assert!(compiler.compile_lazy(source, &many[..32]).is_ok(), "the same one twice is one");
    let long = [1000, 25].map(|length| Trigger::Literal("a".repeat(length)));
    assert!(matches!(
        compiler.compile_lazy(source, &long),
        Err(Error::Limit { what: "trigger bytes", found: 1025, .. })
    ));
    assert!(compiler.compile_lazy(source, &long[..1]).is_ok());
}

#[test]
fn text_that_spells_a_control_token_does_not_trigger_and_the_token_no_literal() {
    let source = format!("root ::= <[{}]> \"x\" | \"<tool_call>\" \"y\"\n", OPEN_TAG.0);
    let mut by_text = lazy(&source, &literals(&["<tool_call>"])).matcher().unwrap();
    assert!(!by_text.allows(OPEN_TAG).unwrap());
    feed(&mut by_text, b"<tool_call>");
    assert_eq!(by_text.forced_bytes(), b"y");
    let mut by_token = lazy(&source, &[Trigger::Token(OPEN_TAG)]).matcher().unwrap();
    feed(&mut by_token, b"<tool_call>z");
    by_token.commit(OPEN_TAG).unwrap();
    assert_eq!(by_token.forced_bytes(), b"x");
}
