//! Engines, tokenising, sampling under constraints and prefix reuse, through the public face. Tests of the native
//! engine use SmolLM2-135M from `MNEME_MODELS`. Longer than 600 lines because scripted and native engine are held to the
//! same behaviour by helpers that stand between them.

use std::collections::{BTreeMap, BTreeSet};

use mneme::inference::{
    Engine, Error, GenerateOptions, Generation, Sampled, Sampler, SamplerOptions, Script, ScriptedEngine,
    ScriptedReply, Session, StopCause, TokenKind, generate, tokenize_template, tokenize_text,
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
    let options = GenerateOptions { max_tokens, jump_forward };
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

#[cfg(feature = "llama-cpp")]
mod native {
    use std::path::PathBuf;

    use mneme::inference::{Gguf, LlamaCppEngine, LoadOptions, bare_rates, our_rates};

    use super::*;

    fn model_path() -> PathBuf {
        crate::harness::weights::model_path("smollm2-135m-instruct-q4_1")
    }

    fn engine() -> LlamaCppEngine {
        let options = LoadOptions { context_window: Some(1024), ..LoadOptions::default() };
        LlamaCppEngine::load(&model_path(), &options, &mut |_| true).unwrap()
    }

    fn session() -> Session {
        Session::new(Box::new(engine())).unwrap()
    }

    /// A prompt of some hundred tokens.
    fn long_text() -> String {
        (0..80).map(|place| format!("Sentence {place} is about rivers and hills. ")).collect()
    }

    /// Largest difference of two sets of logits.
    fn difference(left: &[f32], right: &[f32]) -> f32 {
        left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn the_vocabulary_of_smollm_equals_the_native_one_and_is_described() {
        // Loading compares every text token with llama.cpp's and fails on a difference.
        let engine = engine();
        let vocab = engine.vocab();
        assert_eq!(vocab.len(), 49_152);
        assert_eq!(vocab.bytes(vocab.control("<|im_end|>").unwrap()), b"<|im_end|>");
        assert!(vocab.is_end_of_generation(vocab.control("<|im_end|>").unwrap()));
        let info = Gguf::open(&model_path()).unwrap().info().clone();
        assert_eq!((info.architecture.as_str(), info.quantisation()), ("llama", Some("Q4_1")));
        assert_eq!((info.layers, info.heads, info.kv_heads), (Some(30), Some(9), Some(3)));
        assert_eq!((info.context_length_tokens, info.data_end_bytes), (Some(8192), info.file_bytes));
        assert_eq!(engine.identity().chat_template, info.chat_template);
    }

    #[test]
    fn no_spelling_becomes_control_in_smollm() {
        let engine = engine();
        assert_no_spelling_becomes_control(&engine);
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(300)
        });
        runner
            .run(&mixed_text(), |text| {
                assert_plain(&engine, &text);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn a_reused_prefix_gives_the_logits_of_a_fresh_read() {
        let mut session = session();
        let text = long_text();
        let tokens = tokenize_text(session.engine(), &text).unwrap();
        assert!(tokens.len() > 300, "{}", tokens.len());
        let cancel = Cancel::new();
        session.prepare(&tokens, &cancel).unwrap();
        let fresh = session.logits().unwrap().to_vec();
        // Two cuts: at the end of a chunk of 128, where the rest is read in the same batches as at first, and not.
        // Batches of other sizes take other kernels, whose 8-bit activations round otherwise: measured 0.7 at most.
        for (keep, tolerance) in [(256, 1e-3), (tokens.len() - 50, 2.0)] {
            let mut other = tokens[..keep].to_vec();
            other.extend(tokenize_text(session.engine(), "? Nobody knows").unwrap());
            session.prepare(&other, &cancel).unwrap();
            assert!(difference(&fresh, session.logits().unwrap()) > 5.0, "another text has the same logits");
            let report = session.prepare(&tokens, &cancel).unwrap();
            assert_eq!((report.tokens_reused, report.tokens_read), (keep, tokens.len() - keep));
            let reused = session.logits().unwrap().to_vec();
            assert!(difference(&fresh, &reused) < tolerance, "{keep}: {}", difference(&fresh, &reused));
        }
        // The same prompt again: only its last token is read.
        let again = session.prepare(&tokens, &cancel).unwrap();
        assert_eq!((again.tokens_reused, again.tokens_read, again.forward_passes), (tokens.len() - 1, 1, 1));
    }

    #[test]
    fn a_cut_cache_has_no_logits_and_can_be_read_on() {
        let mut engine = engine();
        let tokens = tokenize_text(&engine, "one two three four five").unwrap();
        let cancel = Cancel::new();
        assert!(matches!(engine.logits(), Err(Error::NoLogits)));
        engine.read(&tokens, &cancel).unwrap();
        engine.truncate(2).unwrap();
        assert_eq!(engine.position_tokens(), 2);
        assert!(matches!(engine.logits(), Err(Error::NoLogits)));
        engine.read(&tokens[2..], &cancel).unwrap();
        assert_eq!(engine.position_tokens(), tokens.len());
        assert_eq!(engine.logits().unwrap().len(), engine.vocab().len());
    }

    #[test]
    fn greedy_generation_is_the_same_twice_and_makes_sense() {
        let prompt = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n";
        let mut session = session();
        let flags = session.vocab().text_flags().to_vec();
        let mut texts = Vec::new();
        for _ in 0..2 {
            prepare(&mut session, prompt);
            let generation = run(&mut session, &mut Unconstrained { is_text: &flags }, 12, true);
            assert_eq!(generation.stats.tokens_sampled, 12.min(generation.tokens.len() as u64));
            texts.push(String::from_utf8(bytes_of(session.engine(), &generation.tokens)).unwrap());
        }
        assert_eq!(texts[0], texts[1]);
        assert!(texts[0].contains("Paris"), "{texts:?}");
    }

    #[test]
    fn cancelling_in_the_middle_of_reading_leaves_a_usable_session() {
        let mut session = session();
        let tokens = tokenize_text(session.engine(), &long_text()).unwrap();
        let cancel = Cancel::new();
        let report = std::thread::scope(|scope| {
            let flag = cancel.clone();
            scope.spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(5));
                flag.raise();
            });
            session.prepare(&tokens, &cancel).unwrap()
        });
        assert!(!report.complete && report.tokens_read < tokens.len(), "read to the end before the flag: {report:?}");
        assert_eq!(session.cached(), &tokens[..report.tokens_read]);
        cancel.clear();
        let rest = session.prepare(&tokens, &cancel).unwrap();
        assert_eq!(rest.tokens_reused, report.tokens_read);
        assert!(rest.complete);
        let resumed = session.logits().unwrap().to_vec();
        session.prepare(&[], &cancel).unwrap();
        session.prepare(&tokens, &cancel).unwrap();
        // Stopped between chunks, so the batches were the same.
        assert!(difference(&resumed, session.logits().unwrap()) < 1e-3);
    }

    #[test]
    fn a_constraint_is_kept_by_a_real_model() {
        let texts = ["the answer is: blue", "the answer is: green\n"];
        for jump_forward in [false, true] {
            let engine = engine();
            let mut constraint = OneOf::new(&engine, &texts, None);
            let mut session = Session::new(Box::new(engine)).unwrap();
            prepare(&mut session, "<|im_start|>user\nWhich color has grass?<|im_end|>\n<|im_start|>assistant\n");
            let generation = run(&mut session, &mut constraint, 40, jump_forward);
            let text = String::from_utf8(bytes_of(session.engine(), &generation.tokens)).unwrap();
            assert!(texts.contains(&text.as_str()), "{text:?}");
            assert_eq!(generation.stop, StopCause::Complete);
            assert_eq!(generation.stats.tokens_forced > 0, jump_forward);
        }
    }

    #[test]
    fn more_tokens_than_the_window_are_refused_before_reading() {
        let mut engine = engine();
        let window = engine.context_window_tokens();
        let tokens = vec![TokenId(1000); window + 1];
        let error = engine.read(&tokens, &Cancel::new()).unwrap_err();
        assert!(
            matches!(error, Error::ContextOverflow { needed_tokens, .. } if needed_tokens == window + 1),
            "{error}"
        );
        assert_eq!(engine.position_tokens(), 0);
        let unknown = engine.read(&[TokenId(u32::MAX)], &Cancel::new());
        assert!(matches!(unknown, Err(Error::Native { .. })));
    }

    #[test]
    fn keys_and_values_at_eight_bits_give_nearly_the_same_logits() {
        let cancel = Cancel::new();
        let mut logits = Vec::new();
        for kv_q8 in [false, true] {
            let options = LoadOptions { context_window: Some(512), kv_q8, ..LoadOptions::default() };
            let mut engine = LlamaCppEngine::load(&model_path(), &options, &mut |_| true).unwrap();
            let tokens = tokenize_text(&engine, "The rivers and the hills of the north are").unwrap();
            engine.read(&tokens, &cancel).unwrap();
            logits.push(engine.logits().unwrap().to_vec());
        }
        let difference = difference(&logits[0], &logits[1]);
        // Not equal, or the option does nothing; far below the spread of the logits, about 30.
        assert!(difference > 0.0 && difference < 2.0, "{difference}");
    }

    #[test]
    fn bad_files_are_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let load = |path: &std::path::Path| {
            LlamaCppEngine::load(path, &LoadOptions::default(), &mut |_| true).map(|_| ()).unwrap_err()
        };
        let missing = load(&folder.path().join("none.gguf"));
        assert!(matches!(missing, Error::Unreadable { .. }), "{missing}");
        assert!(matches!(load(folder.path()), Error::BadModelFile { .. } | Error::Unreadable { .. }));
        let text = folder.path().join("text.gguf");
        std::fs::write(&text, "This is no model, it is a page that says so, and more.").unwrap();
        let error = load(&text);
        assert!(matches!(error, Error::BadModelFile { .. }), "{error}");
        let whole = std::fs::read(model_path()).unwrap();
        for length in [0, 3, 20, 1000, 500_000, whole.len() / 2, whole.len() - 1] {
            let cut = folder.path().join("cut.gguf");
            std::fs::write(&cut, &whole[..length]).unwrap();
            let error = load(&cut);
            assert!(matches!(error, Error::BadModelFile { .. }), "{length}: {error}");
        }
    }

    #[test]
    fn rates_are_measured_for_the_bare_library_and_for_ours() {
        let bare = bare_rates(&model_path(), 64, 8).unwrap();
        let ours = our_rates(&model_path(), 64, 8).unwrap();
        for rate in [bare.read_tokens_per_s, bare.decode_tokens_per_s, ours.read_tokens_per_s, ours.decode_tokens_per_s]
        {
            assert!(rate.is_finite() && rate > 1.0, "{bare:?} {ours:?}");
        }
    }

    #[test]
    fn loading_can_be_stopped_and_tells_how_far_it_is() {
        let mut seen = Vec::new();
        let options = LoadOptions { context_window: Some(256), ..LoadOptions::default() };
        LlamaCppEngine::load(&model_path(), &options, &mut |fraction| {
            seen.push(fraction);
            true
        })
        .unwrap();
        assert!(seen.last().is_some_and(|last| *last > 0.9), "{seen:?}");
        let error = LlamaCppEngine::load(&model_path(), &options, &mut |_| false).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::LoadCancelled { .. }), "{error}");
    }
}
