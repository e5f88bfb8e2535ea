//! The engine on llama.cpp, with SmolLM2-135M.

use std::path::PathBuf;

use mneme::inference::{Gguf, LlamaCppEngine, LoadOptions, Sequence, StateStore, bare_rates, our_rates, pass_costs};

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
fn a_restored_state_gives_the_logits_of_what_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let with_states = || session().with_states(StateStore::new(folder.path().to_owned()));
    let cancel = Cancel::new();
    let mut first = with_states();
    let tokens = tokenize_text(first.engine(), &long_text()).unwrap();
    let (fixed, whole) = (&tokens[..256], &tokens[..300]);
    assert_eq!(first.prepare_fixed(fixed, &cancel).unwrap().tokens_read, 256);
    first.prepare(whole, &cancel).unwrap();
    let saved = first.logits().unwrap().to_vec();
    drop(first);
    let mut second = with_states();
    // Into another sequence than the one that it was saved from.
    second.select(Sequence::Side);
    assert_eq!(second.prepare_fixed(fixed, &cancel).unwrap().tokens_read, 0);
    let report = second.prepare(whole, &cancel).unwrap();
    assert_eq!((report.tokens_reused, report.tokens_read), (256, 44));
    let restored = second.logits().unwrap().to_vec();
    // Both read the rest in the same batches, one of them in smaller ones: measured 0.7 at most, as above.
    assert!(difference(&saved, &restored) < 2.0, "{}", difference(&saved, &restored));
    second.select(Sequence::Main);
    assert_eq!(second.prepare_fixed(fixed, &cancel).unwrap().tokens_read, 0);
    second.prepare(whole, &cancel).unwrap();
    assert!(difference(&saved, second.logits().unwrap()) < 1e-3, "{}", difference(&saved, second.logits().unwrap()));
}

#[test]
fn a_state_of_other_bytes_is_refused_and_leaves_the_cache_empty() {
    let mut engine = engine();
    let tokens = tokenize_text(&engine, "one two three four five").unwrap();
    engine.read(&tokens, &Cancel::new()).unwrap();
    let state = engine.state().unwrap();
    engine.truncate(0).unwrap();
    assert!(engine.restore(&state[..state.len() / 2], tokens.len()).is_err());
    assert_eq!(engine.position_tokens(), 0);
    engine.restore(&state, tokens.len()).unwrap();
    assert_eq!(engine.position_tokens(), tokens.len());
}

#[test]
fn saved_states_name_the_llama_cpp_that_is_linked() {
    let lock = include_str!("../../../Cargo.lock");
    let package = lock.split("[[package]]").find(|package| package.contains("name = \"llama-cpp-sys-2\"")).unwrap();
    let version = package.lines().find_map(|line| line.strip_prefix("version = ")).unwrap().trim_matches('"');
    let key = engine().state_key().to_owned();
    assert!(key.starts_with(&format!("llama-cpp-sys-2 {version};")), "{key}");
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
    assert!(matches!(error, Error::ContextOverflow { needed_tokens, .. } if needed_tokens == window + 1), "{error}");
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
    let (options, mut ended) = (LoadOptions::default(), 0);
    let bare = bare_rates(&model_path(), &options, 64, 8, &mut || ended += 1).unwrap();
    let ours = our_rates(&model_path(), &options, 64, 8, &mut || ended += 1).unwrap();
    assert_eq!(ended, 2);
    for rate in [bare.read_tokens_per_s, bare.decode_tokens_per_s, ours.read_tokens_per_s, ours.decode_tokens_per_s] {
        assert!(rate.is_finite() && rate > 0.0, "{bare:?} {ours:?}");
    }
}

#[test]
fn what_passes_cost_is_measured_for_one_sequence_and_for_many() {
    let costs = pass_costs(&model_path(), &LoadOptions::default(), 32, &[1, 3], 1).unwrap();
    assert_eq!(costs.iter().map(|cost| cost.tokens).collect::<Vec<_>>(), [1, 3]);
    for cost in costs {
        assert!(cost.of_one_sequence_ms.is_finite() && cost.of_sequences_ms.is_finite(), "{cost:?}");
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
