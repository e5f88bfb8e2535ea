//! A model's tokenizer, rebuilt from the metadata of its GGUF file or read from its `tokenizer.json`.
//!
//! Vocabularies of the `gpt2` kind are split by the expressions that belong to their `tokenizer.ggml.pre` and merged by the
//! `tokenizers` library; those of the `llama` kind (SentencePiece with byte fallback) are merged here, best score first.
//! Both give the tokens that llama.cpp gives. A `tokenizer.json` is the library's own form. Nothing is normalised and no blank
//! is set in front: the tokens spell the text. Not responsible for control tokens: [`super::super::tokenize_text`] keeps text
//! from spelling them.
//!
//! Source: Sennrich et al., arXiv 1508.07909; Kudo and Richardson, SentencePiece, arXiv 1808.06226; the published
//! `tokenizer.json` of each family for its expressions.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use serde_json::{Value as Json, json};
use tokenizers::AddedToken;
use tokenizers::SplitDelimiterBehavior;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::models::bpe::{BPE, Vocab as BpeVocab};
use tokenizers::normalizers::replace::{Replace, ReplacePattern};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

use super::super::gguf::{Gguf, Value};
use crate::types::TokenId;

/// GGUF type of the token for what is in no other.
const UNKNOWN: i64 = 2;
/// GGUF type of a control token.
const CONTROL: i64 = 3;
/// GGUF type of a token that stands for itself wherever it is spelled.
const USER_DEFINED: i64 = 4;
/// GGUF type of a token for one byte.
const BYTE: i64 = 6;
/// SentencePiece's way to write a blank.
const BLANK: &str = "\u{2581}";

/// Words with the blank in front, numbers, other characters, blanks: the expression of GPT-2.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)";
/// Endings of English words in either case, first in the expressions of many families.
const ENDINGS: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";

/// How text is split before it is merged.
#[derive(Debug, PartialEq, Eq)]
struct Splitting {
    /// Expressions, each applied to the pieces that the one before has left.
    expressions: Vec<String>,
    /// Whether a piece that is a token itself is not merged.
    takes_whole_pieces: bool,
}

/// The splitting of a `tokenizer.ggml.pre`; none for one that is not known here.
fn splitting(pre: &str) -> Option<Splitting> {
    let words = |digits: &str| {
        format!(
            r"{ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    };
    // Small letters behind large ones; letters of neither kind count as both.
    let cased = |endings: &str, digits: &str| {
        let (large, small) = (r"(?:(?=\p{L})[^a-z])", r"(?:(?=\p{L})[^A-Z])");
        let mark = r"[^\r\n\p{L}\p{N}]?";
        format!(
            r"{mark}{large}*{small}+{endings}|{mark}{large}+{small}*{endings}|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    };
    let (expressions, takes_whole_pieces) = match pre {
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "pixtral" | "lfm2" => (vec![words(r"\p{N}{1,3}")], true),
        "dbrx" | "smaug-bpe" => (vec![words(r"\p{N}{1,3}")], false),
        "qwen2" | "deepseek-r1-qwen" | "stablelm2" | "megrez" => (vec![words(r"\p{N}")], false),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" | "minerva-7b" => {
            (vec![r"\p{N}".to_owned(), GPT2.to_owned()], false)
        }
        "gpt-2" | "phi-2" | "mpt" | "olmo" | "granite-docling" => (vec![GPT2.to_owned()], false),
        "gpt-4o" | "llama4" => (vec![cased(&format!("{ENDINGS}?"), r"\p{N}{1,3}")], false),
        "tekken" => (vec![cased("", r"\p{N}")], true),
        "default" => {
            let expressions = [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"];
            (expressions.map(str::to_owned).to_vec(), false)
        }
        _ => return None,
    };
    Some(Splitting { expressions, takes_whole_pieces })
}

/// The tokens of a model by id: their names, and their types as GGUF files number them.
pub(super) struct Pieces<'a> {
    pub(super) names: &'a [Box<[u8]>],
    pub(super) types: &'a [i64],
}

impl<'a> Pieces<'a> {
    fn of_gguf(gguf: &'a Gguf) -> Result<Self, String> {
        let Some(Value::Strings(names)) = gguf.value("tokenizer.ggml.tokens") else {
            return Err("it has no vocabulary".to_owned());
        };
        let types = match gguf.value("tokenizer.ggml.token_type") {
            Some(Value::Integers(types)) => types.as_slice(),
            _ => &[],
        };
        Ok(Self { names, types })
    }

    fn kind(&self, id: usize) -> i64 {
        self.types.get(id).copied().unwrap_or(1)
    }

    /// The tokens as text.
    fn texts(&self) -> Result<Vec<(&str, TokenId)>, String> {
        let mut texts = Vec::with_capacity(self.names.len());
        for (id, name) in (0_u32..).zip(self.names) {
            let text = std::str::from_utf8(name).map_err(|_| format!("token {id} is not UTF-8"))?;
            texts.push((text, TokenId(id)));
        }
        Ok(texts)
    }

    /// Runs of blanks that stand for themselves, the longest first.
    fn blanks(&self) -> Result<Vec<(String, TokenId)>, String> {
        let is_blank = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_whitespace());
        let mut blanks = self.texts()?;
        blanks.retain(|(text, id)| self.kind(id.index()) == USER_DEFINED && is_blank(text));
        blanks.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        Ok(blanks.into_iter().map(|(text, id)| (text.to_owned(), id)).collect())
    }
}

/// A tokenizer of any kind.
pub(super) struct Tokenizer {
    merging: Merging,
    /// Runs of blanks that stand for themselves, the longest first.
    blanks: Vec<(String, TokenId)>,
}

/// A part of a text.
#[derive(Debug, Clone, Copy)]
enum Piece<'a> {
    Text(&'a str),
    /// A run of blanks.
    Token(TokenId),
}

enum Merging {
    Library(Box<tokenizers::Tokenizer>),
    Scores(Scores),
}

impl Tokenizer {
    /// The tokenizer of `gguf`, which must have been read with merges and scores.
    pub(super) fn of_gguf(gguf: &Gguf) -> Result<Self, String> {
        let pieces = Pieces::of_gguf(gguf)?;
        let merging = match gguf.text("tokenizer.ggml.model") {
            Some("llama") => Merging::Scores(Scores::new(gguf, &pieces)?),
            Some("gpt2") => Merging::Library(Box::new(bytes_tokenizer(gguf, &pieces.texts()?)?)),
            other => return Err(format!("the tokenizer {other:?} is not supported, gpt2 and llama are")),
        };
        Ok(Self { merging, blanks: pieces.blanks()? })
    }

    /// The tokenizer of a `tokenizer.json`.
    pub(super) fn of_json(mut json: Json, pieces: &Pieces<'_>) -> Result<Self, String> {
        // Added tokens would be made of text that spells them; the others change what the text spells.
        for key in ["added_tokens", "post_processor", "truncation", "padding"] {
            json[key] = if key == "added_tokens" { json!([]) } else { Json::Null };
        }
        if let Some(normalizer) = json.get_mut("normalizer") {
            keep_spelling(normalizer);
        }
        if let Some(scheme) = json.pointer_mut("/pre_tokenizer/prepend_scheme") {
            *scheme = json!("never");
        }
        let text = json.to_string();
        drop(json);
        let library = text.parse::<tokenizers::Tokenizer>().map_err(|error| format!("tokenizer.json: {error}"))?;
        Ok(Self { merging: Merging::Library(Box::new(library)), blanks: pieces.blanks()? })
    }

    /// Tokens of ordinary text.
    pub(super) fn tokenize(&self, text: &str) -> Result<Vec<TokenId>, String> {
        let mut tokens = Vec::with_capacity(text.len() / 3);
        for piece in self.split_by_blanks(text) {
            match piece {
                Piece::Token(id) => tokens.push(id),
                Piece::Text(text) => self.merge(text, &mut tokens)?,
            }
        }
        Ok(tokens)
    }

    /// Takes out the runs of blanks that are tokens, the longest first wherever they stand.
    fn split_by_blanks<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        let mut pieces = vec![Piece::Text(text)];
        for (blank, id) in &self.blanks {
            if !text.contains(blank.as_str()) {
                continue;
            }
            let split = |piece| match piece {
                Piece::Text(text) if text.contains(blank.as_str()) => {
                    let parts = text.split(blank.as_str()).enumerate();
                    let with_blank = parts.flat_map(|(place, part)| {
                        [(place > 0).then_some(Piece::Token(*id)), (!part.is_empty()).then_some(Piece::Text(part))]
                    });
                    with_blank.flatten().collect()
                }
                piece => vec![piece],
            };
            pieces = pieces.into_iter().flat_map(split).collect();
        }
        pieces.retain(|piece| !matches!(piece, Piece::Text("")));
        pieces
    }

    fn merge(&self, text: &str, tokens: &mut Vec<TokenId>) -> Result<(), String> {
        match &self.merging {
            Merging::Scores(scores) => scores.merge(text, tokens),
            Merging::Library(tokenizer) => {
                let encoding = tokenizer.encode_fast(text, false).map_err(|error| error.to_string())?;
                tokens.extend(encoding.get_ids().iter().copied().map(TokenId));
            }
        }
        Ok(())
    }
}

/// The tokens of `gguf` as the library writes them into a `tokenizer.json`.
pub(super) fn written_tokens(gguf: &Gguf) -> Result<Json, String> {
    let pieces = Pieces::of_gguf(gguf)?;
    let texts = pieces.texts()?;
    let is_scored = gguf.text("tokenizer.ggml.model") == Some("llama");
    let mut library = if is_scored {
        scored_tokenizer(&Scores::new(gguf, &pieces)?, &texts)?
    } else {
        let mut library = bytes_tokenizer(gguf, &texts)?;
        library.with_decoder(Some(ByteLevel::new(false, false, false)));
        library
    };
    let failed = |error: tokenizers::Error| format!("its tokens cannot be written: {error}");
    for (text, id) in texts {
        let kind = pieces.kind(id.index());
        if matches!(kind, UNKNOWN | CONTROL | USER_DEFINED) {
            library.add_tokens([AddedToken::from(text, kind != USER_DEFINED)]).map_err(failed)?;
        }
    }
    let text = library.to_string(false).map_err(failed)?;
    serde_json::from_str(&text).map_err(|error| format!("its tokens cannot be written: {error}"))
}

/// Merging by scores as merges in the order of the scores, as published tokenizers of this kind have it.
fn scored_tokenizer(scores: &Scores, texts: &[(&str, TokenId)]) -> Result<tokenizers::Tokenizer, String> {
    let mut merges: Vec<(f32, (String, String))> = Vec::new();
    for (text, (_, score)) in &scores.pieces {
        for (middle, _) in text.char_indices().skip(1) {
            let (first, second) = text.split_at(middle);
            if scores.pieces.contains_key(first) && scores.pieces.contains_key(second) {
                merges.push((*score, (first.to_owned(), second.to_owned())));
            }
        }
    }
    merges.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    let failed = |error: tokenizers::Error| format!("its tokens cannot be written: {error}");
    let vocab: BpeVocab = texts.iter().map(|(text, id)| ((*text).to_owned(), id.0)).collect();
    let merges = merges.into_iter().map(|(_, merge)| merge).collect();
    let model = BPE::builder().vocab_and_merges(vocab, merges).byte_fallback(true).fuse_unk(true).build();
    let mut library = tokenizers::Tokenizer::new(model.map_err(failed)?);
    let blanks = |from: &str, to: &str| Replace::new(ReplacePattern::String(from.to_owned()), to).map_err(failed);
    library.with_normalizer(Some(blanks(" ", BLANK)?)).map_err(failed)?;
    let decoders = vec![blanks(BLANK, " ")?.into(), ByteFallback::new().into(), Fuse::new().into()];
    library.with_decoder(Some(tokenizers::decoders::sequence::Sequence::new(decoders)));
    Ok(library)
}

/// Of a normalizer, only what writes blanks otherwise stays.
fn keep_spelling(normalizer: &mut Json) {
    let is_spelling = |one: &Json| one.get("type").and_then(Json::as_str) == Some("Replace");
    if let Some(several) = normalizer.get_mut("normalizers").and_then(Json::as_array_mut) {
        several.retain(is_spelling);
    } else if !is_spelling(normalizer) {
        *normalizer = Json::Null;
    }
}

fn bytes_tokenizer(gguf: &Gguf, texts: &[(&str, TokenId)]) -> Result<tokenizers::Tokenizer, String> {
    let pre = gguf.text("tokenizer.ggml.pre").unwrap_or("default");
    let Splitting { expressions, takes_whole_pieces } = splitting(pre).ok_or_else(|| {
        format!("its text is split in a way ({pre:?}) that this engine does not know (--engine llama-cpp knows more)")
    })?;
    let Some(Value::Strings(merges)) = gguf.value("tokenizer.ggml.merges") else {
        return Err("its tokenizer has no merges".to_owned());
    };
    let merges = merges.iter().map(|merge| {
        let text = std::str::from_utf8(merge).ok()?;
        // A blank can stand at the beginning of the first part alone.
        let (middle, _) = text.char_indices().skip(1).find(|(_, character)| *character == ' ')?;
        Some((text[..middle].to_owned(), text[middle + 1..].to_owned()))
    });
    let merges = merges.collect::<Option<Vec<_>>>().ok_or("a merge of its tokenizer is not two parts")?;
    let vocab: BpeVocab = texts.iter().map(|(text, id)| ((*text).to_owned(), id.0)).collect();
    let failed = |error: tokenizers::Error| format!("its tokenizer cannot be built: {error}");
    let model =
        BPE::builder().vocab_and_merges(vocab, merges).ignore_merges(takes_whole_pieces).build().map_err(failed)?;
    let mut steps: Vec<PreTokenizerWrapper> = Vec::with_capacity(expressions.len() + 1);
    for expression in expressions {
        let split = Split::new(SplitPattern::Regex(expression), SplitDelimiterBehavior::Isolated, false);
        steps.push(split.map_err(failed)?.into());
    }
    steps.push(ByteLevel::new(false, false, false).into());
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
    Ok(tokenizer)
}

/// Merging by scores.
struct Scores {
    /// Pieces with their ids and scores.
    pieces: HashMap<String, (TokenId, f32)>,
    /// Tokens of single bytes.
    bytes: Vec<Option<TokenId>>,
}

/// Two neighbours that would make a piece.
struct Pair {
    score: f32,
    /// Places of the first and of the second.
    places: (usize, usize),
    /// Length of both together when they were found: either may have changed since.
    length: usize,
}

impl Ord for Pair {
    /// The higher score first, and of equal ones the one further left.
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.places.0.cmp(&self.places.0))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

/// A piece of text in the making: where it begins, how long it is, and its neighbours.
struct Symbol {
    start: usize,
    length: usize,
    before: Option<usize>,
    behind: Option<usize>,
}

impl Scores {
    fn new(gguf: &Gguf, of: &Pieces<'_>) -> Result<Self, String> {
        let texts = of.texts()?;
        let Some(Value::Floats(scores)) = gguf.value("tokenizer.ggml.scores") else {
            return Err("its tokenizer has no scores".to_owned());
        };
        if scores.len() != texts.len() {
            return Err(format!("{} tokens but {} scores", texts.len(), scores.len()));
        }
        let mut bytes = vec![None; 256];
        let mut pieces = HashMap::with_capacity(texts.len());
        for ((text, id), score) in texts.iter().zip(scores) {
            match of.kind(id.index()) {
                BYTE => {
                    let digits = text.strip_prefix("<0x").and_then(|text| text.strip_suffix('>')).unwrap_or_default();
                    if let Ok(byte) = u8::from_str_radix(digits, 16) {
                        bytes[usize::from(byte)] = Some(*id);
                    }
                }
                1 | USER_DEFINED => {
                    pieces.insert((*text).to_owned(), (*id, *score));
                }
                _ => {}
            }
        }
        Ok(Self { pieces, bytes })
    }

    fn merge(&self, text: &str, tokens: &mut Vec<TokenId>) {
        let text = text.replace(' ', BLANK);
        let mut symbols: Vec<Symbol> = Vec::with_capacity(text.len());
        for (start, character) in text.char_indices() {
            let place = symbols.len();
            symbols.push(Symbol {
                start,
                length: character.len_utf8(),
                before: place.checked_sub(1),
                behind: Some(place + 1),
            });
        }
        if let Some(last) = symbols.last_mut() {
            last.behind = None;
        }
        let mut pairs = BinaryHeap::new();
        for place in 1..symbols.len() {
            self.consider(&text, &symbols, (Some(place - 1), Some(place)), &mut pairs);
        }
        while let Some(Pair { places: (first, second), length, .. }) = pairs.pop() {
            let is_as_found = symbols[first].length > 0
                && symbols[second].length > 0
                && symbols[first].length + symbols[second].length == length;
            if !is_as_found {
                continue;
            }
            let behind = symbols[second].behind;
            symbols[second].length = 0;
            (symbols[first].length, symbols[first].behind) = (length, behind);
            if let Some(behind) = behind {
                symbols[behind].before = Some(first);
            }
            self.consider(&text, &symbols, (symbols[first].before, Some(first)), &mut pairs);
            self.consider(&text, &symbols, (Some(first), behind), &mut pairs);
        }
        for symbol in symbols.iter().filter(|symbol| symbol.length > 0) {
            let piece = &text[symbol.start..symbol.start + symbol.length];
            match self.pieces.get(piece) {
                Some((id, _)) => tokens.push(*id),
                None => tokens.extend(piece.bytes().filter_map(|byte| self.bytes[usize::from(byte)])),
            }
        }
    }

    fn consider(
        &self,
        text: &str,
        symbols: &[Symbol],
        places: (Option<usize>, Option<usize>),
        pairs: &mut BinaryHeap<Pair>,
    ) {
        let (Some(first), Some(second)) = places else { return };
        let length = symbols[first].length + symbols[second].length;
        let start = symbols[first].start;
        if let Some((_, score)) = self.pieces.get(&text[start..start + length]) {
            pairs.push(Pair { score: *score, places: (first, second), length });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(pieces: &[(&str, f32)]) -> Scores {
        let pieces = (0..).zip(pieces).map(|(id, (text, score))| ((*text).to_owned(), (TokenId(id), *score))).collect();
        Scores { pieces, bytes: (0..256).map(|byte| Some(TokenId(1000 + byte))).collect() }
    }

    fn merged(scores: &Scores, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        scores.merge(text, &mut tokens);
        tokens.into_iter().map(|token| token.0).collect()
    }

    #[test]
    fn the_best_score_is_merged_first_and_of_equal_ones_the_leftmost() {
        let scores = scores(&[("a", 0.0), ("b", 0.0), ("ab", -2.0), ("ba", -1.0), ("aba", -3.0), ("aa", -2.0)]);
        // "ba" is merged before "ab", and then "a" with it.
        assert_eq!(merged(&scores, "aba"), [4]);
        assert_eq!(merged(&scores, "abab"), [4, 1]);
        assert_eq!(merged(&scores, "aaa"), [5, 0]);
        assert_eq!(merged(&scores, ""), [] as [u32; 0]);
    }

    #[test]
    fn what_is_no_piece_is_spelled_in_bytes() {
        let scores = scores(&[("a", 0.0), (BLANK, 0.0), ("\u{2581}a", -1.0)]);
        assert_eq!(merged(&scores, " aé"), [2, 1000 + 0xC3, 1000 + 0xA9]);
    }

    #[test]
    fn splittings_are_known_by_the_names_of_their_families() {
        assert!(splitting("llama-bpe").unwrap().takes_whole_pieces);
        assert_eq!(splitting("smollm").unwrap().expressions.len(), 2);
        assert_eq!(splitting("kimi-k2"), None);
        for pre in ["llama3", "dbrx", "qwen2", "smollm", "gpt-2", "gpt-4o", "tekken", "default"] {
            for expression in splitting(pre).unwrap().expressions {
                assert!(fancy_regex::Regex::new(&expression).is_ok(), "{pre}: {expression}");
            }
        }
    }
}
