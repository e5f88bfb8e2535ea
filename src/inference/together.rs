//! Several texts that are written together: one pass gives the next token of each.
//!
//! A pass over a few tokens takes hardly longer than one over a single token where memory is the limit, and nearly as much
//! longer as it has more tokens where arithmetic is: `mneme bench engine --settings` tells which. Each text has its own
//! constraint and sampler and is what it would be alone, but for the rounding of passes of another size.

use std::sync::Arc;
use std::time::Instant;

use super::generate::Run;
use super::{Error, GenerateOptions, GenerateStats, Generation, MAX_TOGETHER, Sampler, Sequence, Session, StopCause};
use crate::types::{Cancel, Constraint, TokenId};

/// A text to be written.
pub struct Job<'a> {
    /// What it is written behind.
    pub prompt: &'a [TokenId],
    /// What may be written.
    pub constraint: &'a mut dyn Constraint,
    /// How tokens are chosen.
    pub sampler: Sampler,
}

impl std::fmt::Debug for Job<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Job").field("prompt_tokens", &self.prompt.len()).finish_non_exhaustive()
    }
}

/// Writes all texts, each in a lane of its own, and gives them back in their order. What prompts have in common is read
/// once.
///
/// # Errors
/// More texts than the engine has lanes, an empty prompt, or failures as of [`super::generate`]: then of none of them.
pub fn generate_together(
    session: &mut Session,
    jobs: &mut [Job<'_>],
    options: &GenerateOptions,
    cancel: &Cancel,
) -> Result<Vec<Generation>, Error> {
    let started = Instant::now();
    let selected = session.sequence();
    let lanes: Vec<Sequence> = (0..jobs.len().min(session.engine().lanes())).filter_map(Sequence::lane).collect();
    if lanes.len() < jobs.len() || jobs.iter().any(|job| job.prompt.is_empty()) {
        let reason = format!("{} texts in {} lanes", jobs.len(), lanes.len());
        return Err(Error::Native { operation: "writing several texts", reason });
    }
    let written = write(session, jobs, &lanes, options, cancel);
    session.select(selected);
    let mut written = written?;
    let decode_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    written.iter_mut().for_each(|generation| generation.stats.decode_ms = decode_ms);
    Ok(written)
}

fn write(
    session: &mut Session,
    jobs: &mut [Job<'_>],
    lanes: &[Sequence],
    options: &GenerateOptions,
    cancel: &Cancel,
) -> Result<Vec<Generation>, Error> {
    let vocab = Arc::clone(session.vocab());
    let mut read = Vec::with_capacity(jobs.len());
    for (place, (job, lane)) in jobs.iter().zip(lanes).enumerate() {
        session.select(*lane);
        // The last token is read with those of the other texts: only then are its logits needed.
        let prompt = &job.prompt[..job.prompt.len() - 1];
        for earlier in &lanes[..place] {
            session.share(*earlier, prompt)?;
        }
        let Some(tokens_read) = session.hold(prompt, cancel)? else {
            return Ok(jobs.iter().map(|_| cancelled()).collect());
        };
        read.push(tokens_read as u64 + 1);
    }
    let mut silent: Vec<_> = jobs.iter().map(|_| |_: TokenId, _: &[u8]| {}).collect();
    let mut texts = Vec::with_capacity(jobs.len());
    for ((job, lane), on_token) in jobs.iter_mut().zip(lanes).zip(&mut silent) {
        let run = Run::new(job.prompt.len(), &mut *job.constraint, &vocab, on_token);
        texts.push(Text { run, sampler: &mut job.sampler, lane: *lane, tail: job.prompt.last().copied(), stop: None });
    }
    loop {
        let mut parts: Vec<(usize, Sequence, Vec<TokenId>)> = Vec::new();
        let mut room = MAX_TOGETHER;
        for (place, text) in texts.iter_mut().enumerate().filter(|(_, text)| text.stop.is_none()) {
            session.select(text.lane);
            let tokens = match text.tail {
                Some(last) => vec![last],
                None => {
                    text.stop = text.run.advance(session, text.sampler, options, cancel)?;
                    text.run.unread_tokens().to_vec()
                }
            };
            // What has no room is read with the next pass.
            if text.stop.is_none() && tokens.len() <= room {
                room -= tokens.len();
                parts.push((place, text.lane, tokens));
            }
        }
        if parts.is_empty() {
            break;
        }
        let together: Vec<_> = parts.iter().map(|(_, lane, tokens)| (*lane, tokens.as_slice())).collect();
        session.append_together(&together)?;
        for (part, (place, ..)) in parts.iter().enumerate() {
            let text = &mut texts[*place];
            text.tail = None;
            session.select(text.lane);
            text.stop = text.run.choose(session, part, text.sampler)?;
        }
    }
    let stopped = |(text, prompt_tokens_read): (Text<'_>, u64)| {
        let mut generation = text.run.into_generation(text.stop.unwrap_or(StopCause::Cancelled));
        generation.stats.prompt_tokens_read = prompt_tokens_read;
        generation
    };
    Ok(texts.into_iter().zip(read).map(stopped).collect())
}

/// One of the texts.
struct Text<'a> {
    run: Run<'a>,
    sampler: &'a mut Sampler,
    lane: Sequence,
    /// The last token of its prompt, until that is read.
    tail: Option<TokenId>,
    stop: Option<StopCause>,
}

fn cancelled() -> Generation {
    Generation { tokens: Vec::new(), stop: StopCause::Cancelled, stats: GenerateStats::default() }
}
