//! The engines that run models, with SmolLM2-135M: one suite for all of them, and what is of llama.cpp alone in `llama_cpp`.

use std::path::PathBuf;

use mneme::inference::{LoadOptions, Sequence, StateStore, our_rates, pass_costs};

use super::*;
use crate::harness::engines::{Load, NATIVE, difference};

fn model_path() -> PathBuf {
    crate::harness::weights::model_path("smollm2-135m-instruct-q4_1")
}

fn engine(load: Load) -> Box<dyn Engine> {
    let options = LoadOptions { context_window: Some(1024), ..LoadOptions::default() };
    load(&model_path(), &options, &mut |_| true).unwrap()
}

fn session(load: Load) -> Session {
    Session::new(engine(load)).unwrap()
}

/// A prompt of some hundred tokens.
fn long_text() -> String {
    (0..80).map(|place| format!("Sentence {place} is about rivers and hills. ")).collect()
}

#[test]
fn no_spelling_becomes_control_in_smollm() {
    for (name, load) in NATIVE {
        eprintln!("{name}");
        let engine = engine(*load);
        assert_no_spelling_becomes_control(&*engine);
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(300)
        });
        runner
            .run(&mixed_text(), |text| {
                assert_plain(&*engine, &text);
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn a_reused_prefix_gives_the_logits_of_a_fresh_read() {
    for (name, load) in NATIVE {
        eprintln!("{name}");
        let mut session = session(*load);
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
}

#[test]
fn a_restored_state_gives_the_logits_of_what_was_saved() {
    for (name, load) in NATIVE {
        eprintln!("{name}");
        let folder = tempfile::tempdir().unwrap();
        let with_states = || session(*load).with_states(StateStore::new(folder.path().to_owned()));
        let cancel = Cancel::new();
        let mut first = with_states();
        let tokens = tokenize_text(first.engine(), &long_text()).unwrap();
        let (fixed, whole) = (&tokens[..256], &tokens[..300]);
        assert_eq!(first.prepare_fixed(fixed, fixed.len(), &cancel).unwrap().tokens_read, 256);
        first.prepare(whole, &cancel).unwrap();
        let saved = first.logits().unwrap().to_vec();
        drop(first);
        let mut second = with_states();
        // Into another sequence than the one that it was saved from.
        second.select(Sequence::Side);
        assert_eq!(second.prepare_fixed(fixed, fixed.len(), &cancel).unwrap().tokens_read, 0);
        let report = second.prepare(whole, &cancel).unwrap();
        assert_eq!((report.tokens_reused, report.tokens_read), (256, 44));
        let restored = second.logits().unwrap().to_vec();
        // Both read the rest in the same batches, one of them in smaller ones: measured 0.7 at most, as above.
        assert!(difference(&saved, &restored) < 2.0, "{}", difference(&saved, &restored));
        second.select(Sequence::Main);
        assert_eq!(second.prepare_fixed(fixed, fixed.len(), &cancel).unwrap().tokens_read, 0);
        second.prepare(whole, &cancel).unwrap();
        assert!(
            difference(&saved, second.logits().unwrap()) < 1e-3,
            "{}",
            difference(&saved, second.logits().unwrap())
        );
    }
}

#[test]
fn a_state_of_other_bytes_is_refused_and_leaves_the_cache_empty() {
    for (name, load) in NATIVE {
        eprintln!("{name}");
        let mut engine = engine(*load);
        let tokens = tokenize_text(&*engine, "one two three four five").unwrap();
        engine.read(&tokens, &Cancel::new()).unwrap();
        let state = engine.state().unwrap();
        engine.truncate(0).unwrap();
        assert!(engine.restore(&state[..state.len() / 2], tokens.len()).is_err());
        assert_eq!(engine.position_tokens(), 0);
        engine.restore(&state, tokens.len()).unwrap();
        assert_eq!(engine.position_tokens(), tokens.len());
    }
}

#[test]
fn a_cut_cache_has_no_logits_and_can_be_read_on() {
    for (name, load) in NATIVE {
        eprintln!("{name}");
        let mut engine = engine(*load);
        let tokens = tokenize_text(&*engine, "one two three four five").unwrap();
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
}

#[test]
fn greedy_generation_is_the_same_twice_and_makes_sense() {
    for (name, load) in NATIVE {
        eprintln!("{name}");
        let prompt = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n";
        let mut session = session(*load);
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
}

#[test]
fn cancelling_in_the_middle_of_reading_leaves_a_usable_session() {
    for (name, load) in NATIVE {
        eprintln!("{name}");
        let mut session = session(*load);
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
}

#[test]
fn a_constraint_is_kept_by_a_real_model() {
    for (name, load) in NATIVE {
        eprintln!("{name}");
        let texts = ["the answer is: blue", "the answer is: green\n"];
        for jump_forward in [false, true] {
            let engine = engine(*load);
            let mut constraint = OneOf::new(&*engine, &texts, None);
            let mut session = Session::new(engine).unwrap();
            prepare(&mut session, "<|im_start|>user\nWhich color has grass?<|im_end|>\n<|im_start|>assistant\n");
            let generation = run(&mut session, &mut constraint, 40, jump_forward);
            let text = String::from_utf8(bytes_of(session.engine(), &generation.tokens)).unwrap();
            assert!(texts.contains(&text.as_str()), "{text:?}");
            assert_eq!(generation.stop, StopCause::Complete);
            assert_eq!(generation.stats.tokens_forced > 0, jump_forward);
        }
    }
}

#[test]
fn more_tokens_than_the_window_are_refused_before_reading() {
    for (name, load) in NATIVE {
        eprintln!("{name}");
        let mut engine = engine(*load);
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
}

#[test]
fn bad_files_are_refused_with_the_reason() {
    for (name, load) in NATIVE {
        eprintln!("{name}");
        let folder = tempfile::tempdir().unwrap();
        let failure =
            |path: &std::path::Path| load(path, &LoadOptions::default(), &mut |_| true).map(|_| ()).unwrap_err();
        let missing = failure(&folder.path().join("none.gguf"));
        assert!(matches!(missing, Error::Unreadable { .. }), "{missing}");
        assert!(matches!(failure(folder.path()), Error::BadModelFile { .. } | Error::Unreadable { .. }));
        let text = folder.path().join("text.gguf");
        std::fs::write(&text, "This is no model, it is a page that says so, and more.").unwrap();
        let error = failure(&text);
        assert!(matches!(error, Error::BadModelFile { .. }), "{error}");
        let whole = std::fs::read(model_path()).unwrap();
        for length in [0, 3, 20, 1000, 500_000, whole.len() / 2, whole.len() - 1] {
            let cut = folder.path().join("cut.gguf");
            std::fs::write(&cut, &whole[..length]).unwrap();
            let error = failure(&cut);
            assert!(matches!(error, Error::BadModelFile { .. }), "{length}: {error}");
        }
    }
}

#[test]
fn rates_are_measured() {
    for (name, load) in NATIVE {
        eprintln!("{name}");
        let mut ended = 0;
        let mut loaded = |window| {
            let options = LoadOptions { context_window: Some(window), ..LoadOptions::default() };
            load(&model_path(), &options, &mut |_| true)
        };
        let rates = our_rates(&mut loaded, 64, 8, &mut || ended += 1).unwrap();
        assert_eq!(ended, 1);
        for rate in [rates.read_tokens_per_s, rates.decode_tokens_per_s] {
            assert!(rate.is_finite() && rate > 0.0, "{name}: {rates:?}");
        }
    }
}

#[test]
fn loading_can_be_stopped_and_tells_how_far_it_is() {
    for (name, load) in NATIVE {
        eprintln!("{name}");
        let mut seen = Vec::new();
        let options = LoadOptions { context_window: Some(256), ..LoadOptions::default() };
        load(&model_path(), &options, &mut |fraction| {
            seen.push(fraction);
            true
        })
        .unwrap();
        assert!(seen.last().is_some_and(|last| *last > 0.9), "{seen:?}");
        let error = load(&model_path(), &options, &mut |_| false).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::LoadCancelled { .. }), "{error}");
    }
}

#[test]
fn calls_are_the_same_with_forcing_and_without_but_for_the_tokens_of_forced_text() {
    for (name, load) in NATIVE {
        let (with, without) = [true, false].map(|on| calls::written(*load, "smollm2-135m-instruct-q4_1", 4, on)).into();
        // Forced tokens are read together, so that a near-tie can go the other way.
        let alike = calls::compare(&with, &without);
        assert!(alike.otherwise <= 1, "{name}: {alike:?}");
    }
}

#[test]
fn what_passes_cost_is_measured_for_one_sequence_and_for_many() {
    for (name, load) in NATIVE {
        let options = LoadOptions { context_window: Some(128), lanes: 2, lane_tokens: 128, ..LoadOptions::default() };
        let mut engine = load(&model_path(), &options, &mut |_| true).unwrap();
        let costs = pass_costs(&mut *engine, 32, &[1, 2, 20], 1).unwrap();
        assert_eq!(costs.iter().map(|cost| cost.tokens).collect::<Vec<_>>(), [1, 2, 20], "{name}");
        let has = |measured: Option<f64>| measured.is_some_and(|ms| ms > 0.0);
        let told: Vec<_> = costs.iter().map(|cost| (has(cost.of_one_sequence_ms), has(cost.of_sequences_ms))).collect();
        assert_eq!(told, [(true, true), (true, true), (false, false)], "{name}: {costs:?}");
        assert!(costs.iter().all(|cost| cost.of_a_prompt_ms > 0.0), "{name}: {costs:?}");
    }
}
