//! The same commands on SmolLM2-135M.

use mneme::inference::{Gguf, vocab_from_gguf};

use super::*;
use crate::harness::weights::model_path;

const MODEL: &str = "smollm2-135m-instruct-q4_1";

fn vocab() -> Arc<Vocab> {
    vocab_from_gguf(&Gguf::open(&model_path(MODEL)).unwrap()).unwrap().vocab
}

/// Runs a command on the user's own models.
fn run(arguments: &[&str]) -> Said {
    model_path(MODEL);
    let world = World::new();
    world.file("flag.json", "{\"type\": \"boolean\"}");
    said(world.command(arguments), b"")
}

#[track_caller]
fn assert_accepts(grammar: &str, text: &str) {
    let judge = Grammar::compile(&grammars::source(grammar), &vocab(), &Limits::default()).unwrap();
    assert_eq!(judge.judge(text.as_bytes()).unwrap(), Verdict::Accepted, "{text:?}");
}

#[test]
fn masks_are_exact_on_a_real_vocabulary() {
    for (name, prefix) in [("json", "{\"a\": "), ("chess", "1. e4 "), ("sql-select", "SELECT ")] {
        let said = run(&["grammar", "mask", name, "--model", MODEL, "--prefix", prefix]);
        let mask: Value = serde_json::from_str(&said.well()).unwrap();
        assert_mask(&mask, &judged_ids(&grammars::source(name), &vocab(), prefix));
    }
}

#[test]
fn samples_are_in_the_language_differ_and_can_be_repeated() {
    let sample = |seed: &str, count: &str| {
        let arguments = ["grammar", "sample", "date", "--model", MODEL, "-n", count, "--seed", seed];
        let lines = run(&arguments).well();
        lines.lines().map(|line| serde_json::from_str::<String>(line).unwrap()).collect::<Vec<_>>()
    };
    let texts = sample("7", "5");
    assert_eq!(texts.len(), 5);
    texts.iter().for_each(|text| assert_accepts("date", text));
    assert!(BTreeSet::from_iter(&texts).len() > 1, "{texts:?}");
    assert_eq!(sample("9", "1"), texts[2..3], "sample 2 of seed 7 is that of seed 9");
}

#[test]
fn a_completion_is_in_the_language_raw_and_through_the_template() {
    for chat in [&[][..], &["--chat"]] {
        let base = ["complete", "--model", MODEL, "--grammar", "date", "--prompt", "The Wall fell on the date "];
        assert_accepts("date", &run(&[&base[..], chat].concat()).well());
    }
    let said = run(&["complete", "--model", MODEL, "--prompt", "Once upon a", "--max-tokens", "4", "--json"]);
    let free: Value = serde_json::from_str(&said.well()).unwrap();
    assert_eq!((&free["tokens"], &free["tokens_forced"]), (&json!(4), &json!(0)));
    assert!(free["text"].as_str().unwrap().contains("time"), "{free}");
}

#[test]
fn a_completion_under_a_schema_is_json_of_it() {
    let said = run(&["complete", "--model", MODEL, "--schema", "flag.json", "--prompt", "Is water wet?", "--chat"]);
    assert!(serde_json::from_str::<Value>(&said.well()).unwrap().is_boolean());
}

#[test]
#[cfg(feature = "candle")]
fn either_engine_and_a_folder_of_safetensors_complete_a_text_alike() {
    model_path(MODEL);
    let world = World::new();
    let folder = world.path().join("smollm").display().to_string();
    let run = |arguments: &[&str]| said(world.command(arguments), b"");
    let convert = ["models", "convert", MODEL, "--to", "safetensors", "--out", &folder];
    assert!(run(&convert).well().contains(&folder));
    run(&convert).refused(FAILED, &["cannot write", "nothing of that name"]);
    let complete = |model: &str, engine: &str| {
        let prompt = "The capital of France is";
        run(&["complete", "--model", model, "--engine", engine, "--prompt", prompt, "--max-tokens", "4"])
    };
    let said = complete(MODEL, "candle").well();
    assert!(said.contains("Paris"), "{said}");
    assert_eq!(complete(&folder, "candle").well(), said);
    #[cfg(feature = "llama-cpp")]
    assert_eq!(complete(MODEL, "llama-cpp").well(), said);
    #[cfg(feature = "llama-cpp")]
    complete(&folder, "llama-cpp").refused(USAGE, &["a folder of safetensors files", "--engine candle"]);
    let told = run(&["models", "info", &folder]).well();
    assert!(told.contains("vocabulary      49152 tokens") && told.contains("trained window  8192 tokens"), "{told}");
    let lacking = run(&["complete", "--model", MODEL, "--engine", "candle", "--device", "cuda", "--prompt", "x"]);
    if !cfg!(feature = "cuda") {
        lacking.refused(USAGE, &["cuda cannot be used", "--device cpu"]);
    }
    assert_eq!(run(&["complete", "--model", MODEL, "--device", "gpu", "--prompt", "x"]).code, USAGE);
}
