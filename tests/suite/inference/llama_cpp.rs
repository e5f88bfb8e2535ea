//! What is of the engine on llama.cpp alone, with SmolLM2-135M.

use std::path::PathBuf;

use mneme::inference::{Engine, Gguf, LlamaCppEngine, LoadOptions, bare_rates, tokenize_text};
use mneme::types::Cancel;

use crate::harness::engines::difference;

fn model_path() -> PathBuf {
    crate::harness::weights::model_path("smollm2-135m-instruct-q4_1")
}

fn engine() -> LlamaCppEngine {
    let options = LoadOptions { context_window: Some(1024), ..LoadOptions::default() };
    LlamaCppEngine::load(&model_path(), &options, &mut |_| true).unwrap()
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
fn saved_states_name_the_llama_cpp_that_is_linked() {
    let lock = include_str!("../../../Cargo.lock");
    let package = lock.split("[[package]]").find(|package| package.contains("name = \"llama-cpp-sys-2\"")).unwrap();
    let version = package.lines().find_map(|line| line.strip_prefix("version = ")).unwrap().trim_matches('"');
    let key = engine().state_key().to_owned();
    assert!(key.starts_with(&format!("llama-cpp-sys-2 {version};")), "{key}");
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
fn rates_are_measured_for_the_bare_library() {
    let mut ended = 0;
    let rates = bare_rates(&model_path(), &LoadOptions::default(), 64, 8, &mut || ended += 1).unwrap();
    assert_eq!(ended, 1);
    for rate in [rates.read_tokens_per_s, rates.decode_tokens_per_s] {
        assert!(rate.is_finite() && rate > 0.0, "{rates:?}");
    }
}
