//! Models whose cache cannot be cut at any token, or whose layers look back a part of the way: what is read again after a
//! cut must be what a fresh read gives.

use std::path::Path;

use mneme::inference::{Engine, LoadOptions, Session, StateStore, Tuning};
use mneme::types::{Cancel, TokenId};

use crate::harness::engines::{Load, NATIVE, difference};
use crate::harness::tiny_gguf::{SLIDING_WINDOW, write_recurrent, write_sliding};

fn load(load: Load, path: &Path) -> Box<dyn Engine> {
    let tuning = Tuning { draft_tokens: Some(4), ..Tuning::default() };
    let options = LoadOptions { context_window: Some(512), tuning, ..LoadOptions::default() };
    load(path, &options, &mut |_| true).unwrap()
}

/// Some bytes as tokens, another text for each seed.
fn tokens(seed: u32, count: u32) -> Vec<TokenId> {
    (1..=count).map(|place| TokenId(3 + (place * 37 + place * place * seed) % 256)).collect()
}

fn assert_cuts_change_nothing(engine: Load, path: &Path, reuses: bool) {
    let cancel = Cancel::new();
    let common = 5 * SLIDING_WINDOW;
    let mut first = tokens(1, common);
    let mut second = first.clone();
    first.extend(tokens(2, 3 * SLIDING_WINDOW));
    second.extend(tokens(3, 4 * SLIDING_WINDOW));
    let mut fresh = Session::new(load(engine, path)).unwrap();
    // In the same passes as after the cut: those of another size round otherwise.
    fresh.prepare(&second[..if reuses { common as usize } else { 0 }], &cancel).unwrap();
    fresh.prepare(&second, &cancel).unwrap();
    let expected = fresh.logits().unwrap().to_vec();
    let mut session = Session::new(load(engine, path)).unwrap();
    session.prepare(&first, &cancel).unwrap();
    assert!(difference(session.logits().unwrap(), &expected) > 0.1, "another text has the same logits");
    let report = session.prepare(&second, &cancel).unwrap();
    assert_eq!(report.tokens_reused, if reuses { common as usize } else { 0 });
    let cut = difference(session.logits().unwrap(), &expected);
    assert!(cut < 1e-3, "{cut}");
}

#[test]
fn a_sliding_window_does_not_lose_what_stands_before_a_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sliding.gguf");
    write_sliding(&path);
    for (_, engine) in NATIVE {
        let loaded = load(*engine, &path);
        assert!(loaded.can_cut());
        assert_eq!(loaded.draft_tokens(), Some(4));
        drop(loaded);
        assert_cuts_change_nothing(*engine, &path, true);
    }
}

#[test]
#[cfg(feature = "llama-cpp")]
fn a_state_that_cannot_be_cut_is_read_anew_and_takes_no_drafts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recurrent.gguf");
    write_recurrent(&path);
    let (_, engine) = NATIVE[0];
    let loaded = load(engine, &path);
    assert!(!loaded.can_cut());
    assert_eq!(loaded.draft_tokens(), Some(0));
    drop(loaded);
    assert_cuts_change_nothing(engine, &path, false);
}

#[test]
#[cfg(feature = "llama-cpp")]
fn a_state_that_cannot_be_cut_goes_on_from_the_saved_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recurrent.gguf");
    write_recurrent(&path);
    let (_, engine) = NATIVE[0];
    let cancel = Cancel::new();
    let fixed = tokens(1, 100);
    let prompts = [2, 3].map(|seed| [fixed.clone(), tokens(seed, 20)].concat());
    let mut session =
        Session::new(load(engine, &path)).unwrap().with_states(StateStore::new(folder.path().join("states")));
    let mut read = |prompt: &[TokenId]| {
        let before = session.prepare_fixed(prompt, fixed.len(), &cancel).unwrap();
        let report = session.prepare(prompt, &cancel).unwrap();
        (before.tokens_read + report.tokens_read, session.logits().unwrap().to_vec())
    };
    assert_eq!(read(&prompts[0]).0, 120);
    // The state is written beside the work.
    let written = || {
        std::fs::read_dir(folder.path().join("states"))
            .into_iter()
            .flatten()
            .flatten()
            .any(|file| file.path().extension().is_some_and(|extension| extension == "kv"))
    };
    while !written() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let (count, logits) = read(&prompts[1]);
    assert_eq!(count, 20, "only what is behind the beginning");
    let mut fresh = Session::new(load(engine, &path)).unwrap();
    fresh.prepare(&fixed, &cancel).unwrap();
    fresh.prepare(&prompts[1], &cancel).unwrap();
    let apart = difference(fresh.logits().unwrap(), &logits);
    assert!(apart < 1e-3, "{apart}");
}

#[test]
#[cfg(feature = "candle")]
fn what_an_engine_cannot_run_is_told_before_its_weights_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recurrent.gguf");
    write_recurrent(&path);
    let error = mneme::inference::CandleEngine::load(&path, &LoadOptions::default(), &mut |_| true).unwrap_err();
    let told = error.to_string();
    assert!(told.contains("\"mamba\"") && told.contains("--engine llama-cpp"), "{told}");
}

#[test]
fn a_saved_state_of_either_kind_gives_the_logits_of_what_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let cancel = Cancel::new();
    for (engine_name, engine) in NATIVE {
        for (name, write) in [("sliding", write_sliding as fn(&Path)), ("recurrent", write_recurrent)] {
            if name == "recurrent" && *engine_name == "candle" {
                continue;
            }
            let path = folder.path().join(format!("{name}.gguf"));
            write(&path);
            let (text, last) = (tokens(1, 6 * SLIDING_WINDOW), TokenId(70));
            let mut saved = load(*engine, &path);
            saved.read(&text, &cancel).unwrap();
            let state = saved.state().unwrap();
            saved.read(&[last], &cancel).unwrap();
            let expected = saved.logits().unwrap().to_vec();
            let mut other = load(*engine, &path);
            other.restore(&state, text.len()).unwrap();
            other.read(&[last], &cancel).unwrap();
            let restored = difference(other.logits().unwrap(), &expected);
            assert!(restored < 1e-3, "{engine_name}, {name}: {restored}");
        }
    }
}
