//! Engines, tokenising, sampling under constraints and prefix reuse, through the public face. What scripted and native
//! engine are both held to stands here; `native` has the engines that run models on SmolLM2-135M from `MNEME_MODELS`.

#[cfg(all(feature = "llama-cpp", feature = "candle"))]
mod agreement;
pub mod calls;
mod drafts;
#[cfg(all(feature = "llama-cpp", feature = "candle"))]
mod folders;
mod kinds;
#[cfg(feature = "llama-cpp")]
mod llama_cpp;
mod native;
mod states;
mod together;

use std::collections::{BTreeMap, BTreeSet};

use mneme::inference::{
    Engine, Error, GenerateOptions, Generation, Sampled, Sampler, SamplerOptions, Script, ScriptedEngine,
    ScriptedReply, Sequence, Session, StopCause, TokenKind, generate, tokenize_template, tokenize_text,
};
use mneme::types::{Cancel, Constraint, ConstraintError, TokenId, Unconstrained};
use proptest::prelude::*;

/// Accepts one of some texts, byte by byte, and control tokens where the text has `\u{1}`; a naive stand-in for the
/// grammar engine.
struct OneOf {
    texts: Vec<Vec<u8>>,
    pieces: BTreeMap<TokenId, Vec<u8>>,
    done: Vec<u8>,
}

impl OneOf {
    /// `control` is what stands for `\u{1}` in the texts.
    fn new(engine: &dyn Engine, texts: &[&str], control: Option<TokenId>) -> Self {
        let vocab = engine.vocab();
        let mut pieces: BTreeMap<TokenId, Vec<u8>> = (0..u32::try_from(vocab.len()).unwrap())
            .map(TokenId)
            .filter(|token| vocab.kind(*token) == TokenKind::Text && !vocab.bytes(*token).contains(&1))
            .map(|token| (token, vocab.bytes(token).to_vec()))
            .collect();
        pieces.extend(control.map(|token| (token, vec![1])));
        Self { texts: texts.iter().map(|text| text.as_bytes().to_vec()).collect(), pieces, done: Vec::new() }
    }

    fn after(&self, token: TokenId) -> Option<Vec<u8>> {
        let bytes = self.pieces.get(&token)?;
        Some([self.done.as_slice(), bytes].concat())
    }

    fn nexts(&self) -> BTreeSet<u8> {
        let behind = self.texts.iter().filter(|text| text.starts_with(&self.done));
        behind.filter_map(|text| text.get(self.done.len()).copied()).collect()
    }
}

impl Constraint for OneOf {
    fn allows(&mut self, token: TokenId) -> Result<bool, ConstraintError> {
        Ok(self.after(token).is_some_and(|done| self.texts.iter().any(|text| text.starts_with(&done))))
    }

    fn commit(&mut self, token: TokenId) -> Result<(), ConstraintError> {
        if !self.allows(token)? {
            return Err(ConstraintError { reason: format!("token {} is not allowed", token.0) });
        }
        self.done = self.after(token).unwrap();
        Ok(())
    }

    fn may_end(&self) -> bool {
        self.texts.contains(&self.done)
    }

    fn must_end(&self) -> bool {
        self.may_end() && self.nexts().is_empty()
    }

    fn forced_bytes(&mut self) -> Vec<u8> {
        let start = self.done.clone();
        let mut forced = Vec::new();
        loop {
            let nexts = self.nexts();
            let only = nexts.iter().next().copied().filter(|byte| nexts.len() == 1 && *byte != 1);
            let Some(byte) = only.filter(|_| !self.may_end()) else { break };
            forced.push(byte);
            self.done.push(byte);
        }
        self.done = start;
        forced
    }

    fn forced_token(&mut self) -> Option<TokenId> {
        let only_control = self.nexts() == BTreeSet::from([1]) && !self.may_end();
        self.pieces.iter().find(|(_, bytes)| only_control && **bytes == [1]).map(|(token, _)| *token)
    }

    fn allowed_tokens(&mut self, allowed: &mut Vec<TokenId>) -> Result<(), ConstraintError> {
        let ids: Vec<TokenId> = self.pieces.keys().copied().collect();
        allowed.clear();
        for token in ids {
            if self.allows(token)? {
                allowed.push(token);
            }
        }
        Ok(())
    }
}

fn bytes_of(engine: &dyn Engine, tokens: &[TokenId]) -> Vec<u8> {
    tokens.iter().flat_map(|token| engine.vocab().bytes(*token)).copied().collect()
}

fn assert_plain(engine: &dyn Engine, text: &str) {
    let tokens = tokenize_text(engine, text).unwrap();
    let control = tokens.iter().find(|token| engine.vocab().kind(**token) != TokenKind::Text);
    assert_eq!(control, None, "{text:?}");
    assert_eq!(bytes_of(engine, &tokens), text.as_bytes(), "{text:?}");
}

/// Every control token's name, whole and in overlapping company.
fn assert_no_spelling_becomes_control(engine: &dyn Engine) {
    let names: Vec<String> =
        engine.vocab().controls().map(|(name, _)| String::from_utf8(name.to_vec()).unwrap()).collect();
    assert!(names.len() > 2);
    for name in &names {
        assert_plain(engine, name);
        assert_plain(engine, &format!("{name}{name} a {name}\n{}", &name[1..]));
        let template = tokenize_template(engine, &format!("say {name}user")).unwrap();
        let control = engine.vocab().control(name).unwrap();
        assert_eq!(template.iter().filter(|token| **token == control).count(), 1, "{name}");
        assert_eq!(bytes_of(engine, &template), format!("say {name}user").as_bytes());
    }
    assert_plain(engine, &names.concat());
    assert_plain(engine, "");
}

fn run(session: &mut Session, constraint: &mut dyn Constraint, max_tokens: usize, jump_forward: bool) -> Generation {
    let mut seen = Vec::new();
    let options = GenerateOptions { max_tokens, jump_forward, ..GenerateOptions::default() };
    let mut sampler = Sampler::new(SamplerOptions::default());
    let cancel = Cancel::new();
    let generation =
        generate(session, constraint, &mut sampler, &options, &cancel, &mut |token, _| seen.push(token)).unwrap();
    assert_eq!(seen, generation.tokens);
    generation
}

const QUESTION: &str = "<|im_start|>system\nYou are kind.<|im_end|>\n<|im_start|>user\nHello there!<|im_end|>\n\
    <|im_start|>assistant\n";

fn scripted(script: Script) -> Session {
    Session::new(Box::new(ScriptedEngine::new(script))).unwrap()
}

fn prepare(session: &mut Session, prompt: &str) -> mneme::inference::PrefixReport {
    let tokens = tokenize_template(session.engine(), prompt).unwrap();
    session.prepare(&tokens, &Cancel::new()).unwrap()
}

#[test]
fn the_scripted_engine_replays_replies_and_records_prompts() {
    let engine = ScriptedEngine::new(Script::of(["Hello you.", "And again."]));
    let log = engine.log();
    let mut session = Session::new(Box::new(engine)).unwrap();
    prepare(&mut session, QUESTION);
    let flags = session.vocab().text_flags().to_vec();
    let first = run(&mut session, &mut Unconstrained { is_text: &flags }, 100, true);
    assert_eq!(bytes_of(session.engine(), &first.tokens), b"Hello you.");
    assert_eq!(first.stop, StopCause::End);
    let longer = format!("{QUESTION}Hello you.<|im_end|>\n<|im_start|>user\nMore<|im_end|>\n<|im_start|>assistant\n");
    let report = prepare(&mut session, &longer);
    assert!(report.tokens_reused > 20 && report.tokens_read < 20, "{report:?}");
    let second = run(&mut session, &mut Unconstrained { is_text: &flags }, 100, true);
    assert_eq!(bytes_of(session.engine(), &second.tokens), b"And again.");
    assert_eq!(log.prompts(), vec![QUESTION.to_owned(), longer]);
    assert!(log.generations().iter().all(|generation| !generation.diverged));
}

#[test]
fn scripted_replies_are_chosen_by_what_is_new_in_the_prompt() {
    let reply = |when: &str, reply: &str, repeat| ScriptedReply {
        when: Some(when.to_owned()),
        reply: reply.to_owned(),
        repeat,
        plain: false,
    };
    let script = Script {
        replies: vec![reply("kind", "never", true), reply("Hello", "once", false), reply("Hello", "often", true)],
        otherwise: Some("else".to_owned()),
        ..Script::default()
    };
    let mut session = scripted(script);
    let flags = session.vocab().text_flags().to_vec();
    let mut answers = Vec::new();
    for prompt in [QUESTION, QUESTION, QUESTION, &QUESTION.replace("Hello", "Bye")] {
        prepare(&mut session, prompt);
        let generation = run(&mut session, &mut Unconstrained { is_text: &flags }, 100, true);
        answers.push(String::from_utf8(bytes_of(session.engine(), &generation.tokens)).unwrap());
    }
    assert_eq!(answers, ["once", "often", "often", "else"]);
}

#[test]
fn the_scripted_chat_template_writes_hermes_calls_and_results() {
    let engine = ScriptedEngine::new(Script::default());
    let template = engine.identity().chat_template.clone().unwrap();
    let values = serde_json::json!({
        "add_generation_prompt": true,
        "tools": [{"type": "function"}],
        "messages": [
            {"role": "system", "content": "S"},
            {"role": "user", "content": "U"},
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
            {"role": "tool", "content": "R"},
        ],
    });
    let environment = minijinja::Environment::new();
    let text = environment.render_str(&template, minijinja::value::Serde(&values)).unwrap();
    assert!(text.starts_with("<|im_start|>system\nS\n\n# Tools"), "{text}");
    let call =
        "<|im_start|>assistant\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call><|im_end|>\n";
    let result = "<|im_start|>user\n<tool_response>\nR\n</tool_response><|im_end|>\n<|im_start|>assistant\n";
    assert!(text.ends_with(&format!("<|im_start|>user\nU<|im_end|>\n{call}{result}")), "{text}");
}

#[test]
fn a_script_without_a_fitting_reply_is_an_error_that_shows_the_prompt() {
    let mut session = scripted(Script::default());
    prepare(&mut session, QUESTION);
    let error = session.logits().unwrap_err().to_string();
    assert!(error.contains("Hello there!") && !error.contains("kind"), "{error}");
}

#[test]
fn a_session_on_a_used_engine_finds_every_sequence_empty_or_goes_on_with_what_it_knows() {
    let mut session = scripted(Script::default());
    let whole = prepare(&mut session, QUESTION).tokens_read;
    session.select(Sequence::Side);
    prepare(&mut session, QUESTION);
    let mut session = Session::resume(session.into_warm()).unwrap();
    for sequence in [Sequence::Main, Sequence::Side] {
        session.select(sequence);
        assert_eq!(prepare(&mut session, QUESTION).tokens_reused, whole - 1, "{sequence:?}");
    }
    let mut session = Session::new(session.into_engine()).unwrap();
    for sequence in [Sequence::Main, Sequence::Side] {
        session.select(sequence);
        assert_eq!(session.engine().position_tokens(), 0, "{sequence:?}");
        assert_eq!(prepare(&mut session, QUESTION).tokens_read, whole, "{sequence:?}");
    }
}

#[test]
fn a_reply_that_the_grammar_refuses_is_recorded_as_diverged() {
    let engine = ScriptedEngine::new(Script::of(["no, never"]));
    let log = engine.log();
    let mut constraint = OneOf::new(&engine, &["yes it is", "you may be"], None);
    let mut session = Session::new(Box::new(engine)).unwrap();
    prepare(&mut session, QUESTION);
    let generation = run(&mut session, &mut constraint, 100, false);
    assert_eq!(generation.stop, StopCause::Complete);
    assert!(log.generations()[0].diverged);
}

#[test]
fn script_files_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script.json");
    std::fs::write(&path, r#"{"replies": [{"reply": "<tool_call>"}], "otherwise": "x", "token_delay_ms": 0}"#).unwrap();
    assert_eq!(Script::load(&path).unwrap().context_window, 4096);
    for bad in ["", "[]", r#"{"reply": []}"#, r#"{"context_window": 0}"#, r#"{"replies": [{}]}"#] {
        std::fs::write(&path, bad).unwrap();
        assert!(matches!(Script::load(&path), Err(Error::BadScript { .. })), "{bad}");
    }
    let missing = Script::load(&folder.path().join("none.json"));
    assert!(matches!(missing, Err(Error::Unreadable { .. })));
}

#[test]
fn scripted_prompts_cost_about_a_quarter_of_a_token_per_character() {
    let engine = ScriptedEngine::new(Script::default());
    let text = "You are a helpful assistant who keeps a memory of the conversation. The user may ask you to remember \
        something about the family, the work or the next weekend, and you should call the function that is needed. \
        Answer in a friendly voice, and do not repeat what was said before unless it is important.";
    let share = tokenize_text(&engine, text).unwrap().len() as f64 / text.len() as f64;
    assert!((0.2..0.32).contains(&share), "{share}");
}

#[test]
fn forced_text_is_taken_without_forward_passes_and_never_differs() {
    let call = "\u{1}\n{\"name\": \"archival_memory_search\", \"arguments\": {\"query\": \"tea\"}}\n";
    let other = "\u{1}\n{\"name\": \"archival_memory_search\", \"arguments\": {\"query\": \"rain\"}}\n";
    let spelled = call.replace('\u{1}', "<tool_call>");
    let mut passes = Vec::new();
    for jump_forward in [false, true] {
        let engine = ScriptedEngine::new(Script::of([spelled.as_str()]));
        let log = engine.log();
        let control = engine.vocab().control("<tool_call>");
        let mut constraint = OneOf::new(&engine, &[call, other], control);
        let mut session = Session::new(Box::new(engine)).unwrap();
        prepare(&mut session, QUESTION);
        let generation = run(&mut session, &mut constraint, 200, jump_forward);
        assert_eq!(bytes_of(session.engine(), &generation.tokens), spelled.as_bytes());
        assert_eq!(generation.stop, StopCause::Complete);
        assert!(!log.generations()[0].diverged);
        assert_eq!(generation.stats.tokens_forced > 0, jump_forward);
        passes.push(generation.stats.forward_passes);
    }
    assert!(passes[1] * 3 < passes[0], "{passes:?}");
}

#[test]
fn limits_and_cancelling_stop_a_generation() {
    let mut session =
        scripted(Script { context_window: 60, ..Script::of(["one two three four five six ".repeat(9).as_str()]) });
    let flags = session.vocab().text_flags().to_vec();
    let report = prepare(&mut session, QUESTION);
    let generation = run(&mut session, &mut Unconstrained { is_text: &flags }, 3, true);
    assert_eq!((generation.stop, generation.tokens.len()), (StopCause::MaxTokens, 3));
    let mut session = scripted(Script {
        context_window: report.tokens_read + 5,
        ..Script::of(["one two three four five six seven eight nine ten"])
    });
    prepare(&mut session, QUESTION);
    let generation = run(&mut session, &mut Unconstrained { is_text: &flags }, 30, true);
    assert_eq!((generation.stop, generation.tokens.len()), (StopCause::WindowFull, 5));
    let mut session = scripted(Script::of(["one two three four five six"]));
    prepare(&mut session, QUESTION);
    let cancel = Cancel::new();
    let mut sampler = Sampler::new(SamplerOptions::default());
    let mut count = 0;
    let mut constraint = Unconstrained { is_text: &flags };
    let generation =
        generate(&mut session, &mut constraint, &mut sampler, &GenerateOptions::default(), &cancel, &mut |_, _| {
            count += 1;
            if count == 2 {
                cancel.raise();
            }
        })
        .unwrap();
    assert_eq!((generation.stop, generation.tokens.len()), (StopCause::Cancelled, 2));
}

#[test]
fn a_prompt_above_the_window_is_refused_and_leaves_the_session_as_it_was() {
    let mut session = scripted(Script { context_window: 64, ..Script::of(["fine"]) });
    prepare(&mut session, QUESTION);
    let before = session.cached().to_vec();
    let long = tokenize_text(session.engine(), &"word ".repeat(200)).unwrap();
    let error = session.prepare(&long, &Cancel::new()).unwrap_err();
    assert!(matches!(error, Error::ContextOverflow { window_tokens: 64, .. }), "{error}");
    assert_eq!(session.cached(), before);
}

#[test]
fn no_spelling_becomes_control_in_the_scripted_engine() {
    let engine = ScriptedEngine::new(Script::default());
    // The trap is there: the raw tokenizer does make the control token.
    let raw = engine.tokenize_raw("<tool_call>").unwrap();
    assert_eq!(raw, vec![engine.vocab().control("<tool_call>").unwrap()]);
    assert_no_spelling_becomes_control(&engine);
}

/// Text of ordinary characters, control token names and parts of names.
fn mixed_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<|im_start|>".to_owned()),
        Just("<|im_end|>".to_owned()),
        Just("<|endoftext|>".to_owned()),
        Just("<tool_call>".to_owned()),
        Just("</tool_call>".to_owned()),
        Just("<|im_".to_owned()),
        Just("<|".to_owned()),
        Just("<".to_owned()),
        Just("<<tool_call>".to_owned()),
        "[ a-z<>|/\n]{0,12}",
        "\\PC{0,6}",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn text_is_never_control_and_spells_itself(text in mixed_text()) {
        assert_plain(&ScriptedEngine::new(Script::default()), &text);
    }

    #[test]
    fn sampling_never_leaves_the_constraint(seed in 0_u64..1000, temperature in 0.0_f32..2.0, top_k in 0_usize..5) {
        let engine = ScriptedEngine::new(Script::default());
        let vocab = engine.vocab().clone();
        let mut constraint = OneOf::new(&engine, &["yes it is", "you may be", "zebra"], None);
        let mut sampler = Sampler::new(SamplerOptions { temperature, top_k, seed, ..SamplerOptions::default() });
        let mut state = seed;
        while !constraint.must_end() {
            let mut logits: Vec<f32> = (0..vocab.len())
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 40) as f32 / 1_000_000.0
                })
                .collect();
            let Sampled::Token(token) = sampler.sample(&mut logits, &vocab, &mut constraint).unwrap() else {
                panic!("ended early");
            };
            constraint.commit(token).unwrap();
        }
    }
}
