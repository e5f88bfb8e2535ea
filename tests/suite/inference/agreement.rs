//! Both engines on the same files: the same tokens, and logits that agree.

use std::path::Path;

use mneme::inference::{CandleEngine, Engine, LlamaCppEngine, LoadOptions, tokenize_text};
use mneme::types::{Cancel, TokenId};

use crate::harness::engines::{best, difference};
use crate::harness::tiny_gguf::{FAMILIES, write_decoder};
use crate::harness::weights::model_path;

/// Texts in many languages and shapes.
pub const TEXTS: [&str; 12] = [
    "Once upon a time there was a small mouse, who lived behind the clock.",
    "Ich wohne in Köln; die Straße heißt „Am Römerturm“. Übermorgen fahre ich über 1000 km nach Zürich.",
    "L'été dernier, j'ai mangé des crêpes à l'œuf. N'est-ce pas qu'il fait 23,5 °C ?",
    "Привет, как дела? Сегодня 29.11.2026, и я иду домой.",
    "我住在北京，今天天气很好。東京タワーは高いです。한국어도 있어요.",
    "مرحبا بالعالم، كيف حالك؟ שלום עולם",
    "नमस्ते दुनिया, आप कैसे हैं? ไทยภาษา",
    "fn main() {\n    let x = vec![1, 2, 3];\n\tprintln!(\"{x:?}\");\r\n}\n\n\n// end",
    "{\"name\": \"archival_memory_insert\", \"arguments\": {\"content\": \"It's 12345678 o'clock\"}}",
    "👩‍👩‍👧‍👦 emoji 🦀🦀 and zero-width \u{200b}joiners, combining e\u{301}, NBSP\u{a0}here",
    "  leading   blanks\t\tand\n \n trailing   ",
    "THEY'RE WE'LL I'M it's he'd DON'T ... --- ??? !!! ___ $100.00 100% #tag @user a/b\\c",
];

fn options(window: usize) -> LoadOptions {
    LoadOptions { context_window: Some(window), ..LoadOptions::default() }
}

fn both(path: &Path, window: usize) -> (LlamaCppEngine, CandleEngine) {
    let options = options(window);
    (
        LlamaCppEngine::load(path, &options, &mut |_| true).unwrap(),
        CandleEngine::load(path, &options, &mut |_| true).unwrap(),
    )
}

/// Some bytes as tokens of the tiny models.
pub fn tokens(count: u32) -> Vec<TokenId> {
    (1..=count).map(|place| TokenId(3 + (place * 37 + place * place * 5) % 256)).collect()
}

#[test]
fn every_family_has_the_logits_of_llama_cpp() {
    let folder = tempfile::tempdir().unwrap();
    let cancel = Cancel::new();
    for family in FAMILIES {
        let path = folder.path().join(format!("{family}.gguf"));
        write_decoder(family, &path);
        let (mut llama, mut candle) = both(&path, 512);
        let text = tokens(150);
        for (from, to) in [(0, 1), (1, 20), (20, 120), (120, 121), (121, 150)] {
            llama.read(&text[from..to], &cancel).unwrap();
            candle.read(&text[from..to], &cancel).unwrap();
            let (theirs, ours) = (llama.logits().unwrap(), candle.logits().unwrap());
            let spread = theirs.iter().map(|logit| logit.abs()).fold(0.0, f32::max);
            let apart = difference(theirs, ours);
            assert!(apart < 0.01 * spread, "{family} at {to}: {apart} of {spread}");
        }
    }
}

#[test]
fn the_tokens_of_smollm_are_those_of_llama_cpp() {
    let (llama, candle) = both(&model_path("smollm2-135m-instruct-q4_1"), 64);
    for text in TEXTS {
        assert_eq!(tokenize_text(&candle, text).unwrap(), tokenize_text(&llama, text).unwrap(), "{text}");
    }
}

#[test]
fn the_logits_of_smollm_are_those_of_llama_cpp() {
    let (mut llama, mut candle) = both(&model_path("smollm2-135m-instruct-q4_1"), 512);
    let cancel = Cancel::new();
    let text: Vec<TokenId> = TEXTS.iter().flat_map(|text| tokenize_text(&llama, text).unwrap()).collect();
    let text = &text[..text.len().min(400)];
    let (mut alike, mut seen) = (0, 0);
    for piece in text.chunks(16) {
        llama.read_for(piece, piece.len(), &cancel).unwrap();
        candle.read_for(piece, piece.len(), &cancel).unwrap();
        for back in 0..piece.len() {
            let (theirs, ours) = (llama.logits_behind(back).unwrap(), candle.logits_behind(back).unwrap());
            alike += usize::from(best(theirs) == best(ours));
            seen += 1;
        }
    }
    assert!(alike * 100 >= seen * 95, "{alike} of {seen}");
}
