//! Models as folders of safetensors: written from GGUF files, and what is wrong with damaged ones.

use std::path::{Path, PathBuf};

use mneme::inference::{CandleEngine, Engine, Error, LoadOptions, Numbers, convert, tokenize_text};
use mneme::types::{Cancel, TokenId};

use super::agreement::{TEXTS, tokens};
use crate::harness::engines::{best, difference};
use crate::harness::tiny_gguf::{FAMILIES, write_decoder};
use crate::harness::weights::model_path;

fn load(path: &Path) -> Result<CandleEngine, Error> {
    let options = LoadOptions { context_window: Some(512), ..LoadOptions::default() };
    CandleEngine::load(path, &options, &mut |_| true)
}

/// The tiny model of a family as a folder.
fn tiny(folder: &Path, family: &str) -> (PathBuf, PathBuf) {
    std::fs::create_dir_all(folder).unwrap();
    let (gguf, out) = (folder.join(format!("{family}.gguf")), folder.join(family));
    write_decoder(family, &gguf);
    convert(&gguf, &out, Numbers::F32, &mut |_| true).unwrap();
    (gguf, out)
}

#[test]
fn every_family_is_the_same_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let cancel = Cancel::new();
    for family in FAMILIES {
        let (gguf, out) = tiny(folder.path(), family);
        let (mut first, mut second) = (load(&gguf).unwrap(), load(&out).unwrap());
        assert_eq!(second.identity().name, family);
        assert_eq!(first.identity().add_bos, second.identity().add_bos, "{family}");
        let text = tokens(150);
        first.read(&text, &cancel).unwrap();
        second.read(&text, &cancel).unwrap();
        let apart = difference(first.logits().unwrap(), second.logits().unwrap());
        assert!(apart < 1e-3, "{family}: {apart}");
        let spelled = "aü\n";
        assert_eq!(tokenize_text(&first, spelled).unwrap(), tokenize_text(&second, spelled).unwrap(), "{family}");
        for id in 0..first.vocab().len() as u32 {
            assert_eq!(first.vocab().bytes(TokenId(id)), second.vocab().bytes(TokenId(id)), "{family}: {id}");
            assert_eq!(first.vocab().kind(TokenId(id)), second.vocab().kind(TokenId(id)), "{family}: {id}");
        }
    }
}

#[test]
fn smollm_is_the_same_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (gguf, out) = (model_path("smollm2-135m-instruct-q4_1"), folder.path().join("smollm"));
    let mut told = Vec::new();
    convert(&gguf, &out, Numbers::Bf16, &mut |share| {
        told.push(share);
        true
    })
    .unwrap();
    assert!(told.len() > 100 && told.windows(2).all(|pair| pair[0] <= pair[1]), "{told:?}");
    let (mut first, mut second) = (load(&gguf).unwrap(), load(&out).unwrap());
    assert_eq!(first.identity().chat_template, second.identity().chat_template);
    let ends = |engine: &CandleEngine| {
        let all = 0..engine.vocab().len() as u32;
        all.map(TokenId).filter(|token| engine.vocab().is_end_of_generation(*token)).collect::<Vec<_>>()
    };
    assert_eq!(ends(&first), ends(&second));
    let cancel = Cancel::new();
    let (mut alike, mut seen) = (0, 0);
    for text in TEXTS {
        let tokens = tokenize_text(&first, text).unwrap();
        assert_eq!(tokenize_text(&second, text).unwrap(), tokens, "{text}");
        first.truncate(0).unwrap();
        second.truncate(0).unwrap();
        for piece in tokens.chunks(16) {
            first.read_for(piece, piece.len(), &cancel).unwrap();
            second.read_for(piece, piece.len(), &cancel).unwrap();
            for back in 0..piece.len() {
                let (one, other) =
                    (best(first.logits_behind(back).unwrap()), best(second.logits_behind(back).unwrap()));
                alike += usize::from(one == other);
                seen += 1;
            }
        }
    }
    // Eight bits of fraction against the quantised blocks' own.
    assert!(alike * 100 >= seen * 95, "{alike} of {seen}");
}

#[test]
fn shards_are_read_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let (gguf, out) = tiny(folder.path(), "qwen2");
    // The same file under another name, which the table gives for every tensor.
    std::fs::rename(out.join("model.safetensors"), out.join("model-00001-of-00001.safetensors")).unwrap();
    let index = |name: &str| format!("{{\"weight_map\":{{\"model.norm.weight\":\"{name}\"}}}}");
    let missing = index("model-00001-of-00001.safetensors").replace("model.norm", "model.form");
    std::fs::write(out.join("model.safetensors.index.json"), missing).unwrap();
    let error = load(&out).unwrap_err().to_string();
    assert!(error.contains("model.form.weight is not in model-00001-of-00001.safetensors"), "{error}");
    std::fs::write(out.join("model.safetensors.index.json"), index("model-00001-of-00001.safetensors")).unwrap();
    let cancel = Cancel::new();
    let (mut first, mut second) = (load(&gguf).unwrap(), load(&out).unwrap());
    first.read(&tokens(40), &cancel).unwrap();
    second.read(&tokens(40), &cancel).unwrap();
    assert!(difference(first.logits().unwrap(), second.logits().unwrap()) < 1e-3);
    for (name, reason) in [("model-00002-of-00002.safetensors", "model-00002"), ("../x.safetensors", "../x")] {
        std::fs::write(out.join("model.safetensors.index.json"), index(name)).unwrap();
        let error = load(&out).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn what_cannot_be_run_is_told_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (_, out) = tiny(folder.path(), "llama");
    let config = std::fs::read_to_string(out.join("config.json")).unwrap();
    for (from, to, reason) in [
        ("\"llama\"", "\"mamba\"", "mamba"),
        ("\"hidden_size\": 32", "\"hidden_size\": 64", "shape"),
        ("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "multiple"),
        ("\"vocab_size\": 259", "\"vocab_size\": 99999999", "vocab_size"),
        ("\"hidden_size\": 32", "\"hidden_size\": 0", "width of a state"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "no tensor blk.2."),
        ("\"head_dim\": 8", "\"rope_scaling\": {\"type\": \"llama3\"}, \"head_dim\": 4000000000000", "width of a head"),
        ("\"rope_theta\"", "\"text_config\": {}, \"rope_theta\"", "text alone"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "model.layers.1."),
        ("\"hidden_act\": \"silu\"", "\"hidden_act\": \"relu\"", "relu"),
        ("\"rope_theta\"", "\"final_logit_softcapping\": 30.0, \"rope_theta\"", "capped"),
        ("\"rope_theta\"", "\"layer_types\": [\"full_attention\", \"sliding_attention\"], \"rope_theta\"", "layer 1"),
        ("\"rope_theta\"", "\"layer_types\": [\"full_attention\"], \"rope_theta\"", "1 layers"),
        ("\"num_attention_heads\": 4", "\"num_attention_heads\": 400000", "number of heads"),
        (
            "\"rope_theta\"",
            "\"rope_scaling\": {\"type\": \"linear\", \"rope_type\": \"linear\", \"factor\": -1}, \"rope_theta\"",
            "stretched -1",
        ),
    ] {
        assert!(config.contains(from), "{from}: {config}");
        std::fs::write(out.join("config.json"), config.replacen(from, to, 1)).unwrap();
        let error = load(&out).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains("candle"), "{to}: {error}");
    }
    // A window of nothing is none.
    std::fs::write(
        out.join("config.json"),
        config.replacen("\"rope_theta\"", "\"sliding_window\": 0, \"rope_theta\"", 1),
    )
    .unwrap();
    load(&out).unwrap().read(&tokens(3), &Cancel::new()).unwrap();
    std::fs::write(out.join("config.json"), &config).unwrap();
    let whole = std::fs::read(out.join("model.safetensors")).unwrap();
    for length in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(out.join("model.safetensors"), &whole[..length]).unwrap();
        let error = load(&out).unwrap_err().to_string();
        assert!(error.contains("model.safetensors"), "{length}: {error}");
    }
    // A header that claims to be longer than any.
    let mut long = whole.clone();
    long[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    std::fs::write(out.join("model.safetensors"), long).unwrap();
    assert!(load(&out).is_err());
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::write(out.join("model.safetensors"), &whole).unwrap();
        let kept = std::fs::read(out.join(name)).unwrap();
        std::fs::remove_file(out.join(name)).unwrap();
        let error = load(&out).unwrap_err().to_string();
        assert!(error.contains("model.safetensors") || error.contains(name), "{error}");
        std::fs::write(out.join(name), kept).unwrap();
    }
    load(&out).unwrap();
}

#[test]
fn a_family_without_what_it_needs_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (family, published, named) in [
        ("qwen2", "model.layers.1.self_attn.k_proj.bias", "blk.1.attn_k.bias"),
        ("qwen3", "model.layers.0.self_attn.q_norm.weight", "blk.0.attn_q_norm.weight"),
        ("gemma3", "model.layers.0.post_feedforward_layernorm.weight", "blk.0.post_ffw_norm.weight"),
    ] {
        let (_, out) = tiny(folder.path(), family);
        let path = out.join("model.safetensors");
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(published.len()).position(|part| part == published.as_bytes()).unwrap();
        // Another name of the same length.
        bytes[at] = b'n';
        std::fs::write(&path, bytes).unwrap();
        let error = load(&out).unwrap_err().to_string();
        assert!(error.contains(&format!("no tensor {named}")), "{family}: {error}");
    }
    let (_, out) = tiny(&folder.path().join("untied"), "gemma3");
    let config = std::fs::read_to_string(out.join("config.json")).unwrap();
    let untied = config.replace("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
    assert_ne!(untied, config);
    std::fs::write(out.join("config.json"), untied).unwrap();
    let error = load(&out).unwrap_err().to_string();
    assert!(error.contains("no tensor lm_head.weight"), "{error}");
}

#[test]
fn the_magnitude_of_stretched_angles_is_the_one_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (_, out) = tiny(folder.path(), "llama-yarn");
    let mut config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("config.json")).unwrap()).unwrap();
    let mut logits = |told: Option<f64>| {
        config["rope_scaling"]["attention_factor"] = told.into();
        std::fs::write(out.join("config.json"), config.to_string()).unwrap();
        let mut engine = load(&out).unwrap();
        engine.read(&tokens(40), &Cancel::new()).unwrap();
        engine.logits().unwrap().to_vec()
    };
    let usual = 1.0 + 0.1 * 8_f64.ln();
    let [by_default, told, other] = [None, Some(usual), Some(1.0)].map(&mut logits);
    assert!(difference(&by_default, &told) < 1e-4);
    assert!(difference(&by_default, &other) > 1e-3);
}

#[test]
fn any_changed_byte_gives_a_model_or_an_error_but_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let (_, out) = tiny(folder.path(), "qwen3");
    for (name, most) in [("config.json", usize::MAX), ("tokenizer.json", usize::MAX), ("model.safetensors", 3000)] {
        let whole = std::fs::read(out.join(name)).unwrap();
        for place in (0..whole.len().min(most)).step_by(11) {
            let mut changed = whole.clone();
            changed[place] = changed[place].wrapping_add(1 + (place % 7) as u8);
            std::fs::write(out.join(name), changed).unwrap();
            if let Err(error) = load(&out) {
                assert!(!error.to_string().is_empty());
            }
        }
        std::fs::write(out.join(name), whole).unwrap();
    }
}

#[test]
fn a_folder_that_is_there_is_not_written_over_and_a_stopped_one_is_not_left() {
    let folder = tempfile::tempdir().unwrap();
    let (gguf, out) = tiny(folder.path(), "llama");
    let error = convert(&gguf, &out, Numbers::F16, &mut |_| true).unwrap_err();
    assert!(matches!(error, Error::CannotWrite { .. }), "{error}");
    let other = folder.path().join("other");
    let error = convert(&gguf, &other, Numbers::F16, &mut |share| share < 0.5).unwrap_err();
    assert!(matches!(error, Error::LoadCancelled { .. }), "{error}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}
