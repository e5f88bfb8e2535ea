//! One case with one engine: builds the tables, walks the documents, times every step.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cases::{TAGS, Work, work};
use super::engines::{ENGINES, Engine, Mneme, Walker};
use super::memory::{Gauge, Peak};
use super::report::Row;
#[cfg(feature = "llama-cpp")]
use crate::inference::NativeVocab;
use crate::inference::{Description, Error, Vocab};
use crate::types::TokenId;

/// Times that a walk is repeated: with three, the median of a step is free of one disturbance.
const ROUNDS: usize = 3;
/// After so long no further round is begun.
const ROUNDS_LIMIT: Duration = Duration::from_secs(40);
/// Masks that are applied to logits, spread evenly.
const APPLIED: usize = 50;

pub(super) fn read_vocab(model: &Path) -> Result<Arc<Vocab>, Error> {
    Ok(Description::read(model)?.vocab)
}

/// The model's own tokenizer where this build has one, else the longest token at each place.
struct Tokenizer {
    #[cfg(feature = "llama-cpp")]
    native: NativeVocab,
}

impl Tokenizer {
    fn open(model: &Path) -> Result<Self, Error> {
        #[cfg(not(feature = "llama-cpp"))]
        let _ = model;
        Ok(Self {
            #[cfg(feature = "llama-cpp")]
            native: NativeVocab::open(model)?,
        })
    }

    #[cfg(feature = "llama-cpp")]
    fn text(&self, vocab: &Vocab, text: &str) -> Result<Vec<TokenId>, String> {
        self.native.tokenize(vocab, text).map_err(|error| error.to_string())
    }

    #[cfg(not(feature = "llama-cpp"))]
    #[allow(clippy::unused_self)]
    fn text(&self, vocab: &Vocab, text: &str) -> Result<Vec<TokenId>, String> {
        let mut tokens = Vec::new();
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let spelled = |length: &usize| {
                let bytes = rest.get(..*length)?;
                let first = vocab.text_tokens_with_prefix(bytes).first().copied();
                first.filter(|token| vocab.bytes(*token) == bytes)
            };
            // Few tokens are longer.
            let longest = (1..=rest.len().min(32)).rev().find_map(|length| Some((spelled(&length)?, length)));
            let (token, length) = longest.ok_or("the vocabulary lacks a byte of the document")?;
            tokens.push(token);
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(tokens)
    }

    fn document(&self, vocab: &Vocab, document: &str) -> Result<Vec<TokenId>, String> {
        let mut tokens = Vec::new();
        let mut rest = document;
        loop {
            let next = TAGS.iter().filter_map(|tag| Some((rest.find(tag)?, *tag, vocab.control(tag)?))).min();
            let Some((place, tag, control)) = next else { break };
            let (text, behind) = rest.split_at_checked(place).ok_or("a tag within a character")?;
            if !text.is_empty() {
                tokens.extend(self.text(vocab, text)?);
            }
            tokens.push(control);
            rest = behind.strip_prefix(tag).unwrap_or_default();
        }
        if !rest.is_empty() {
            tokens.extend(self.text(vocab, rest)?);
        }
        Ok(tokens)
    }
}

/// A grammar and its documents in tokens.
struct Prepared {
    work: Work,
    documents: Vec<Vec<TokenId>>,
}

pub(super) fn measure(model: &Path, case: &str, engine: &str) -> Result<Row, Error> {
    let vocab = read_vocab(model)?;
    let tokenizer = Tokenizer::open(model)?;
    let mut row = Row { case: case.into(), engine: engine.into(), vocabulary: vocab.len(), ..Row::default() };
    if let Err(error) = fill(&mut row, &vocab, &tokenizer, case, engine) {
        row = Row::failed(case, engine, vocab.len(), error);
    }
    Ok(row)
}

fn fill(row: &mut Row, vocab: &Arc<Vocab>, tokenizer: &Tokenizer, case: &str, engine: &str) -> Result<(), String> {
    let prepared = prepare(vocab, tokenizer, case)?;
    let before = Gauge::for_engine(false).bytes();
    let started = Instant::now();
    let mut engine = open(engine, vocab, tokenizer)?;
    // llama.cpp's tables are those of its tokenizer, which is open already.
    if !engine.is_native() {
        row.tables_us = Some(microseconds(started.elapsed()));
        let after = Gauge::for_engine(false).bytes();
        row.tables_bytes = before.zip(after).map(|(before, after)| after.saturating_sub(before));
    }
    row.grammars = prepared.len();
    row.tokens = prepared.iter().flat_map(|prepared| &prepared.documents).map(Vec::len).sum();
    row.note = engine.note().map(str::to_owned);

    let stride = row.tokens.div_ceil(engine.most_masks()).max(1);
    let mut logits = vec![0.0_f32; vocab.len()];
    let mut peak = Peak::begin(Gauge::for_engine(engine.is_native()));
    let started = Instant::now();
    let mut rounds = Vec::new();
    while rounds.is_empty() || (rounds.len() < ROUNDS && started.elapsed() < ROUNDS_LIMIT) {
        engine.forget();
        rounds.push(round(&*engine, &prepared, stride, &mut logits, &mut peak)?);
    }
    row.bytes = peak.bytes();
    row.rounds = rounds.len();

    let steps = |pick: fn(&Round) -> &Vec<f64>| medians(&rounds.iter().map(pick).collect::<Vec<_>>());
    let (compiles, mut masks, checks) =
        (steps(|round| &round.compiles), steps(|round| &round.masks), steps(|round| &round.checks));
    let applied = steps(|round| &round.applied);
    row.masks = masks.len();
    if stride > 1 {
        let capped = format!("{} of {} masks, spread evenly", masks.len(), row.tokens);
        row.note = Some(row.note.take().map_or_else(|| capped.clone(), |note| format!("{note}; {capped}")));
    }
    masks.sort_by(f64::total_cmp);
    row.compile_us = mean(&compiles);
    row.compile_max_us = compiles.iter().copied().max_by(f64::total_cmp);
    row.mask_mean_us = mean(&masks);
    row.mask_p50_us = quantile(&masks, 50);
    row.mask_p99_us = quantile(&masks, 99);
    row.mask_max_us = masks.last().copied();
    row.check_us = mean(&checks);
    row.apply_us = mean(&applied);
    Ok(())
}

fn prepare(vocab: &Vocab, tokenizer: &Tokenizer, case: &str) -> Result<Vec<Prepared>, String> {
    work(case, vocab)?
        .into_iter()
        .map(|work| {
            let documents =
                work.documents.iter().map(|text| tokenizer.document(vocab, text)).collect::<Result<_, _>>()?;
            Ok(Prepared { work, documents })
        })
        .collect()
}

fn open<'a>(engine: &str, vocab: &'a Arc<Vocab>, tokenizer: &'a Tokenizer) -> Result<Box<dyn Engine + 'a>, String> {
    #[cfg(not(feature = "bench-peers"))]
    let _ = tokenizer;
    match engine {
        "mneme" => Ok(Box::new(Mneme::new(vocab))),
        #[cfg(feature = "bench-peers")]
        "llama.cpp" => {
            let end = vocab.end_of_generation().first().copied().ok_or("no token ends a generation")?;
            Ok(Box::new(super::peers::Llama { vocab: &tokenizer.native, end }))
        }
        #[cfg(feature = "bench-peers")]
        "llguidance-exact" => Ok(Box::new(super::peers::Llguidance::new(vocab, super::peers::Form::Exact)?)),
        #[cfg(feature = "bench-peers")]
        "llguidance-lexeme" => Ok(Box::new(super::peers::Llguidance::new(vocab, super::peers::Form::Lexemes)?)),
        _ => Err(format!("this build has no engine {engine}; it has {}", ENGINES.join(", "))),
    }
}

/// Times of one round in microseconds, in the order of the steps.
#[derive(Default)]
struct Round {
    compiles: Vec<f64>,
    masks: Vec<f64>,
    checks: Vec<f64>,
    applied: Vec<f64>,
}

fn round(
    engine: &dyn Engine,
    prepared: &[Prepared],
    stride: usize,
    logits: &mut [f32],
    peak: &mut Peak,
) -> Result<Round, String> {
    let mut round = Round::default();
    let total: usize = prepared.iter().flat_map(|prepared| &prepared.documents).map(Vec::len).sum();
    let apply_stride = total.div_ceil(APPLIED).next_multiple_of(stride).max(1);
    let mut step = 0_usize;
    for Prepared { work, documents } in prepared {
        let started = Instant::now();
        let mut walker = engine.compile(work)?;
        round.compiles.push(microseconds(started.elapsed()));
        for document in documents {
            walker.restart()?;
            for (place, token) in document.iter().enumerate() {
                if step.is_multiple_of(stride) {
                    mask(&mut *walker, &mut round, *token, place)?;
                }
                if step.is_multiple_of(apply_stride) {
                    let started = Instant::now();
                    if walker.apply(logits) {
                        round.applied.push(microseconds(started.elapsed()));
                    }
                }
                step += 1;
                let started = Instant::now();
                let taken = walker.take(*token)?;
                round.checks.push(microseconds(started.elapsed()));
                peak.look();
                if !taken {
                    return Err(format!("token {place} of a document ({}) was refused", token.0));
                }
            }
            if !walker.may_end() {
                return Err(format!("a document of {} tokens may not end", document.len()));
            }
        }
    }
    Ok(round)
}

fn mask(walker: &mut dyn Walker, round: &mut Round, token: TokenId, place: usize) -> Result<(), String> {
    walker.prepare();
    let started = Instant::now();
    walker.mask()?;
    round.masks.push(microseconds(started.elapsed()));
    if walker.has(token) { Ok(()) } else { Err(format!("the mask at token {place} lacks it ({})", token.0)) }
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The median of every step over the rounds (the lower one of two).
fn medians(rounds: &[&Vec<f64>]) -> Vec<f64> {
    let steps = rounds.iter().map(|round| round.len()).min().unwrap_or(0);
    (0..steps)
        .filter_map(|step| {
            let mut values: Vec<f64> = rounds.iter().filter_map(|round| round.get(step).copied()).collect();
            values.sort_by(f64::total_cmp);
            values.get((values.len() - 1) / 2).copied()
        })
        .collect()
}

#[allow(clippy::cast_precision_loss)]
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The value of ascending `sorted` that `percent` in a hundred do not exceed.
fn quantile(sorted: &[f64], percent: usize) -> Option<f64> {
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::{mean, medians, quantile};

    #[test]
    fn steps_count_with_their_median_over_rounds() {
        let rounds = [vec![1.0, 9.0], vec![2.0, 2.0], vec![50.0, 3.0]];
        assert_eq!(medians(&rounds.iter().collect::<Vec<_>>()), [2.0, 3.0]);
        assert_eq!(medians(&[&vec![4.0], &vec![1.0]]), [1.0]);
        assert!(medians(&[]).is_empty());
    }

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let sorted: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!((quantile(&sorted, 50), quantile(&sorted, 99)), (Some(100.0), Some(198.0)));
        assert_eq!((quantile(&[7.0], 99), quantile(&[], 50)), (Some(7.0), None));
        assert_eq!((mean(&[1.0, 2.0]), mean(&[])), (Some(1.5), None));
    }
}
