//! The local embedder: all-MiniLM-L6-v2 as `make test` fetches it, and a tiny model made here whose files are broken in
//! every way.

use std::fs;
use std::path::Path;

use jiff::tz::TimeZone;
use mneme::app::embedder::open_in;
use mneme::functions::{Context, archive, prepare};
use mneme::inference::{CONFIG_NAME, Embedder, Error, TOKENIZER_NAME, WEIGHTS_NAME};
use mneme::memory::{AgentMemory, ChunkLimits, Embed, NewAgent, NewDocument, Store, passages_for};
use mneme::types::{Piece, Place, Unit};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::weights::embedder_folder;

/// The embedder of the catalogue.
fn real() -> Box<dyn Embed> {
    open_in(embedder_folder().parent().unwrap()).unwrap().expect("the embedder is installed")
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

fn is_unit(vector: &[f32]) -> bool {
    // Rounding of 384 numbers.
    (dot(vector, vector) - 1.0).abs() < 1e-5
}

fn farthest(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
}

#[test]
fn sentences_are_as_alike_as_the_model_page_says() {
    let mut embedder = real();
    assert_eq!((embedder.name(), embedder.dimensions(), embedder.max_tokens()), ("all-minilm-l6-v2", 384, 254));
    let vectors = embedder
        .embed(&[
            "That is a happy person",
            "That is a happy dog",
            "That is a very happy person",
            "Today is a sunny day",
        ])
        .unwrap();
    for (vector, expected) in vectors[1..].iter().zip([0.6946, 0.9429, 0.2569]) {
        let found = dot(&vectors[0], vector);
        // The published figures have four digits.
        assert!((found - expected).abs() < 1e-3, "{found} instead of {expected}");
    }
}

#[test]
fn a_batch_gives_what_its_texts_give_one_by_one() {
    let mut embedder = real();
    let long = "A longer text goes on and on about rivers and boats. ".repeat(30);
    let middle = "The meeting is on Tuesday at nine, in the small room. ".repeat(4);
    let mut texts = vec!["", "cat", long.as_str(), "Γειά σου, κόσμε", middle.as_str(), "今日は天気がいい。", " \n "];
    texts.extend(["one more short text to fill the groups"; 30]);
    let together = embedder.embed(&texts).unwrap();
    assert_eq!(together.len(), texts.len());
    assert!(together.iter().all(|vector| vector.len() == 384 && is_unit(vector)));
    for (text, vector) in texts.iter().zip(&together).take(8) {
        let alone = embedder.embed(&[text]).unwrap().remove(0);
        // Sums of another order, nothing else: no text sees another.
        assert!(farthest(vector, &alone) < 1e-5, "{text:?} differs by {}", farthest(vector, &alone));
    }
    assert!(embedder.embed(&[]).unwrap().is_empty());
}

#[test]
fn of_a_long_text_the_beginning_counts() {
    let mut embedder = real();
    let beginning = "river ".repeat(embedder.max_tokens());
    assert_eq!(embedder.token_count(&beginning), embedder.max_tokens());
    let longer = beginning.clone() + "and something about cats";
    let endless = beginning.clone() + &"cat ".repeat(1_000_000);
    assert_eq!(embedder.token_count(&longer), embedder.max_tokens() + 4);
    let vectors = embedder.embed(&[&beginning, &longer, &endless, &"x".repeat(1_000_000)]).unwrap();
    assert!(farthest(&vectors[0], &vectors[1]) < 1e-5 && farthest(&vectors[0], &vectors[2]) < 1e-5);
    let shorter = embedder.embed(&[&"river ".repeat(embedder.max_tokens() - 50)]).unwrap().remove(0);
    assert!(farthest(&vectors[0], &shorter) > 1e-4, "all of the beginning counts");
}

#[test]
fn what_a_text_spells_is_no_control_token() {
    let mut embedder = real();
    assert_eq!(embedder.token_count(""), 0);
    assert_eq!(embedder.token_count("happy"), 1);
    assert_eq!(embedder.token_count("[SEP]"), 3, "a bracket, a word and a bracket");
    let vectors = embedder.embed(&["[CLS] [MASK] [PAD]", ""]).unwrap();
    assert!(farthest(&vectors[0], &vectors[1]) > 1e-3);
}

#[test]
fn passages_fit_the_embedder_and_hold_the_text() {
    let embedder = real();
    let text = "Dr. Vega came at nine. She asked for tea, and nobody minded. ".repeat(60) + &"天気がいい。".repeat(200);
    let passages = passages_for(&text, Some(&*embedder));
    let limits = ChunkLimits::for_embedder(&*embedder);
    assert_eq!((limits.target_tokens, limits.max_tokens), (200, 254));
    let mut covered = 0;
    for range in &passages {
        assert!(embedder.token_count(&text[range.clone()]) <= limits.max_tokens);
        assert!(text[covered..range.start].trim().is_empty());
        assert!(text[range.clone()].ends_with(['.', '。']), "{}", &text[range.clone()]);
        covered = range.end;
    }
    assert_eq!(covered, text.trim_end().len());
    let average = embedder.token_count(&text) / passages.len();
    assert!((150..=254).contains(&average), "{average} tokens");
}

/// Long texts of three kinds, each much longer than the embedder takes in; no part of them comes twice.
fn long_texts() -> [String; 3] {
    let english = "The international conference on hydrology, which Dr. Vega chairs, discusses sedimentation in the \
                   upper delta; nobody expected such unanimity. It rained.\n\n";
    let code = "    let mut xB7_q = fnCallMCP(&self.idx[k++], 0xDEADBEEF) ?? {k: v<<2, \"z\": [1,2,3]}; // TODO(jk)\n";
    let chinese = "今天天气很好，我们去公园散步。他说：「明天见！」";
    [(english, 40), (code, 60), (chinese, 60)]
        .map(|(text, times)| (0..times).map(|number| format!("{number} {text}")).collect())
}

fn bare(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[test]
fn passages_of_every_kind_fit_the_embedder_whether_it_was_there_to_count_or_not() {
    let embedder = real();
    for counting in [Some(&*embedder), None] {
        for text in long_texts() {
            let passages = passages_for(&text, counting);
            for range in &passages {
                let tokens = embedder.token_count(&text[range.clone()]);
                assert!(tokens <= embedder.max_tokens(), "{tokens} tokens: {}", &text[range.clone()]);
            }
            let joined: String = passages.iter().map(|range| &text[range.clone()]).collect();
            assert_eq!(bare(&joined), bare(&text));
        }
    }
}

#[test]
fn what_is_stored_fits_the_embedder_and_nothing_of_it_is_lost() {
    for text in long_texts() {
        let mut embedder = real();
        let mut memory = AgentMemory::create(Store::open_in_memory().unwrap(), &NewAgent::named("a", 0)).unwrap();
        let mut context = Context { embedder: Some(&mut *embedder), ..Context::without_embedder(TimeZone::UTC) };
        let prepared = prepare(&text, &mut context).unwrap();
        let mut step = memory.step(0).unwrap();
        archive(&prepared, None, &mut step).unwrap();
        step.commit().unwrap();
        let mut store = memory.into_store();
        let pieces = [Piece { place: Place::at(Unit::Page, 3), text: text.clone() }];
        let document = NewDocument { path: "/a", title: "a", size_bytes: 1, fingerprint: b"", pieces: &pieces };
        store.put_document("s", &document, Some(&*embedder), 0).unwrap();
        store.attach("a", "s", 0).unwrap();
        let mut passages = store.view("a").unwrap().passages(0, 10_000).unwrap().items;
        passages.sort_by_key(|hit| hit.id);
        for hit in &passages {
            assert!(embedder.token_count(&hit.text) <= embedder.max_tokens(), "{}", hit.text);
            assert!(hit.document.as_ref().is_none_or(|at| at.place.to_string() == "page 3"));
        }
        for is_document in [false, true] {
            let of = passages.iter().filter(|hit| hit.document.is_some() == is_document);
            assert_eq!(bare(&of.map(|hit| hit.text.as_str()).collect::<String>()), bare(&text));
        }
    }
}

/// Hidden size of the tiny model.
const HIDDEN: usize = 8;
const INNER: usize = 16;
const PLACES: usize = 12;
const WORDS: [&str; 8] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "cat", "##s", "."];

fn tiny_config() -> Value {
    json!({
        "model_type": "bert", "hidden_act": "gelu", "hidden_size": HIDDEN, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": INNER, "max_position_embeddings": PLACES,
        "vocab_size": WORDS.len(), "type_vocab_size": 2, "layer_norm_eps": 1e-12,
    })
}

fn tiny_tokenizer() -> Value {
    let vocab: serde_json::Map<String, Value> =
        WORDS.iter().enumerate().map(|(id, word)| ((*word).to_owned(), json!(id))).collect();
    json!({
        "version": "1.0", "truncation": {"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": null, "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocab},
    })
}

/// A safetensors file with numbers that are made up; `number` gives the next one.
fn tiny_weights(mut number: impl FnMut() -> f32) -> Vec<u8> {
    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        ("embeddings.word_embeddings.weight".into(), vec![WORDS.len(), HIDDEN]),
        ("embeddings.position_embeddings.weight".into(), vec![PLACES, HIDDEN]),
        ("embeddings.token_type_embeddings.weight".into(), vec![2, HIDDEN]),
    ];
    let layer = |part: &str| format!("encoder.layer.0.{part}");
    for (name, rows, columns) in [
        ("attention.self.query", HIDDEN, HIDDEN),
        ("attention.self.key", HIDDEN, HIDDEN),
        ("attention.self.value", HIDDEN, HIDDEN),
        ("attention.output.dense", HIDDEN, HIDDEN),
        ("intermediate.dense", INNER, HIDDEN),
        ("output.dense", HIDDEN, INNER),
    ] {
        shapes.push((layer(name) + ".weight", vec![rows, columns]));
        shapes.push((layer(name) + ".bias", vec![rows]));
    }
    for name in ["embeddings.LayerNorm".to_owned(), layer("attention.output.LayerNorm"), layer("output.LayerNorm")] {
        shapes.push((name.clone() + ".weight", vec![HIDDEN]));
        shapes.push((name + ".bias", vec![HIDDEN]));
    }
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape) in shapes {
        let start = data.len();
        for _ in 0..shape.iter().product() {
            data.extend(number().to_le_bytes());
        }
        header.insert(name, json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

fn made_up() -> Vec<u8> {
    let mut state = 1_u32;
    tiny_weights(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    })
}

/// A folder with the tiny model.
fn tiny() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(CONFIG_NAME), tiny_config().to_string()).unwrap();
    fs::write(folder.path().join(TOKENIZER_NAME), tiny_tokenizer().to_string()).unwrap();
    fs::write(folder.path().join(WEIGHTS_NAME), made_up()).unwrap();
    folder
}

fn use_it(folder: &Path) -> Result<Vec<Vec<f32>>, Error> {
    let mut embedder = Embedder::open("tiny", folder, 2)?;
    assert!(embedder.token_count("A cat.") > 0);
    embedder.embed(&["A cat. Cats!", "", "a a a a a a a a a a a a a a a a"])
}

#[test]
fn a_tiny_model_works_within_the_places_that_it_has() {
    let folder = tiny();
    let vectors = use_it(folder.path()).unwrap();
    assert!(vectors.iter().all(|vector| vector.len() == HIDDEN && is_unit(vector)), "{vectors:?}");
    let embedder = Embedder::open("tiny", folder.path(), 0).unwrap();
    assert_eq!(embedder.max_tokens(), PLACES - 2);
    assert_eq!(embedder.token_count("a a a a a a a a a a a a a a a a"), 16, "the file's own truncation does not count");
}

#[test]
fn files_that_are_missing_damaged_or_of_another_model_are_named() {
    let is_named = |name: &str, error: &Error| {
        let (Error::BadEmbedder { path, .. } | Error::Unreadable { path, .. }) = error else { panic!("{error:?}") };
        assert!(path.ends_with(name), "{error}");
        assert!(!error.hint().is_empty());
    };
    for name in [CONFIG_NAME, TOKENIZER_NAME, WEIGHTS_NAME] {
        let folder = tiny();
        fs::remove_file(folder.path().join(name)).unwrap();
        is_named(name, &use_it(folder.path()).unwrap_err());
        fs::create_dir(folder.path().join(name)).unwrap();
        is_named(name, &use_it(folder.path()).unwrap_err());
        for content in ["", "{}", "PK"] {
            let folder = tiny();
            fs::write(folder.path().join(name), content).unwrap();
            is_named(name, &use_it(folder.path()).unwrap_err());
        }
    }
    let folder = tiny();
    fs::File::create(folder.path().join(WEIGHTS_NAME)).unwrap().set_len(1 << 40).unwrap();
    let error = use_it(folder.path()).unwrap_err();
    assert!(error.to_string().contains("1099511627776 bytes, the limit is"), "{error}");

    let changed = |name: &str, value: Value| {
        let folder = tiny();
        fs::write(folder.path().join(name), value.to_string()).unwrap();
        let error = use_it(folder.path()).unwrap_err();
        is_named(if name == CONFIG_NAME { WEIGHTS_NAME } else { name }, &error);
        error.to_string()
    };
    let mut config = tiny_config();
    config["hidden_size"] = json!(4);
    assert!(changed(CONFIG_NAME, config).contains("instead of [8, 4]"));
    let mut tokenizer = tiny_tokenizer();
    tokenizer["model"]["vocab"]["dog"] = json!(8);
    assert!(changed(TOKENIZER_NAME, tokenizer).contains("9 tokens, and the model 8"));
}

#[test]
fn a_token_that_the_model_does_not_have_is_an_error_and_not_another_token() {
    let folder = tiny();
    let mut tokenizer = tiny_tokenizer();
    tokenizer["model"]["vocab"]["cat"] = json!(4_000_000);
    fs::write(folder.path().join(TOKENIZER_NAME), tokenizer.to_string()).unwrap();
    let error = use_it(folder.path()).unwrap_err();
    assert!(error.to_string().contains("4000000"), "{error}");
}

#[test]
fn a_model_that_gives_no_number_is_an_error() {
    let folder = tiny();
    fs::write(folder.path().join(WEIGHTS_NAME), tiny_weights(|| f32::NAN)).unwrap();
    let error = use_it(folder.path()).unwrap_err();
    assert!(error.to_string().contains("length NaN"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn files_with_any_bytes_changed_give_vectors_or_an_error(
        file in 0..3_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let folder = tiny();
        let path = folder.path().join([CONFIG_NAME, TOKENIZER_NAME, WEIGHTS_NAME][file]);
        let mut bytes = fs::read(&path).unwrap();
        for (place, byte) in changes {
            // Most of the weights' file is numbers, any of which is as good as another: the header is what is tried.
            let end = bytes.len().min(2000);
            bytes[place.index(end)] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        fs::write(&path, bytes).unwrap();
        if let Ok(vectors) = use_it(folder.path()) {
            prop_assert!(vectors.iter().all(|vector| is_unit(vector)), "{vectors:?}");
        }
    }
}

#[test]
fn what_is_not_installed_is_none_and_what_is_damaged_an_error_with_advice() {
    let models = tempfile::tempdir().unwrap();
    assert!(open_in(models.path()).unwrap().is_none());
    let folder = models.path().join("all-minilm-l6-v2");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("config.json.part"), "{").unwrap();
    assert!(open_in(models.path()).unwrap().is_none(), "a fetch that is not finished");
    fs::write(folder.join("config.json"), "{}").unwrap();
    let error = open_in(models.path()).err().unwrap();
    assert!(error.to_string().contains("wrong size"), "{error}");
    assert!(error.hint().contains("mneme models rm all-minilm-l6-v2"), "{}", error.hint());
}
