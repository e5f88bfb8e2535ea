//! Any bytes as a model for the engine on candle: a file of GGUF, or configuration and header of a folder of safetensors. It
//! is loaded, or refused by a sentence, soon and without much memory. Tensors' data are zeros of the length that the file
//! promises, so that all that is asked for must be in what was read.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mneme::inference::{CandleEngine, Engine, Error, LoadOptions, tokenize_text};
use mneme::types::{Cancel, TokenId};
use mneme_fuzz::parts;
use serde_json::Value;
use tempfile::TempDir;

/// Most bytes of made-up data.
const MAX_DATA_BYTES: u64 = 1 << 18;
const TOKENIZER: &str = r#"{"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":null,"post_processor":null,
"decoder":null,"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"c":3},"merges":["a b"]}}"#;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let path = match first {
        b'G' => gguf(bytes),
        b'S' => folder(bytes),
        _ => None,
    };
    let Some(path) = path else { return };
    match load(&path) {
        // What was taken can be run.
        Ok(mut engine) => {
            drop(tokenize_text(&engine, "aab  c\n\n \ta"));
            drop(engine.read(&[TokenId(0); 40], &Cancel::new()));
        }
        Err(error) => assert!(!error.to_string().is_empty() && !error.hint().is_empty()),
    }
});

fn load(path: &Path) -> Result<CandleEngine, Error> {
    let options = LoadOptions { context_window: Some(64), ..LoadOptions::default() };
    CandleEngine::load(path, &options, &mut |_| true)
}

fn gguf(bytes: &[u8]) -> Option<std::path::PathBuf> {
    let path = FOLDER.path().join("model.gguf");
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len() + 16_384, 0);
    std::fs::write(&path, bytes).ok()?;
    Some(path)
}

/// What stands before the first line `=` is `config.json`, what stands behind it the header of `model.safetensors`.
fn folder(bytes: &[u8]) -> Option<std::path::PathBuf> {
    let (config, header) = parts(bytes)?;
    let path = FOLDER.path().join("model");
    std::fs::create_dir_all(&path).ok()?;
    std::fs::write(path.join("config.json"), config).ok()?;
    std::fs::write(path.join("tokenizer.json"), TOKENIZER).ok()?;
    let promised: Option<Value> = serde_json::from_slice(header).ok();
    let ends = promised.as_ref().and_then(Value::as_object).into_iter().flat_map(|tensors| tensors.values());
    let data_bytes = ends.filter_map(|tensor| tensor["data_offsets"][1].as_u64()).max().unwrap_or(0);
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.resize(file.len() + usize::try_from(data_bytes.min(MAX_DATA_BYTES)).ok()?, 0);
    std::fs::write(path.join("model.safetensors"), file).ok()?;
    Some(path)
}
