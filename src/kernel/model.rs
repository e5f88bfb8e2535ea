//! The model as the kernel uses it: main context in, action out. Puts dialect, grammar, sampler and session together;
//! counts tokens and writes summaries for the queue manager.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use jiff::tz::TimeZone;

use crate::dialect::{Action, Dialect, Piece, PromptParts, Segment};
use crate::grammar::{Compiler, Limits, Matcher};
use crate::inference::{
    Engine, GenerateOptions, Generation, PrefixReport, Sampler, SamplerOptions, Sequence, Session, StateStore,
    StopCause, Warm, generate, tokenize_template, tokenize_text,
};
use crate::memory::{BoxError, CountTokens, Embed, MainContext, Summarize, passages_for};
use crate::types::{Body, Cancel, Constraint, FunctionSchema, Message, MessageId, StepPolicy, TokenId, Unconstrained};

use super::Error;
use super::cost::Cost;

/// A question that shares its first letter with none that is asked: behind what they have in common, prompts differ.
const OTHER_QUESTION: &str = "?";

/// Most tokens of an answer beside the conversation.
const MAX_ASIDE_TOKENS: usize = 256;

/// Most tokens of a short text beside the conversation: a line of core memory.
const MAX_SHORT_TOKENS: usize = 96;

/// Tokens that are read ahead between two looks at whether somebody waits.
const READ_AHEAD_TOKENS: usize = 32;

/// Most tokens of an answer that is written beside the conversation.
const MAX_TOLD_TOKENS: usize = 128;

/// Why a summary was not written.
const STOPPED: &str = "the user has stopped the summary";

/// A question beside the conversation: instructions, examples of question and answer, and the question.
pub(super) type AsidePrompt<'a> = (&'a str, &'a [(String, String)], &'a str);

/// A rendered prompt as tokens, with the beginning-of-sequence token where the model wants it.
///
/// # Errors
/// The engine's tokenizer failed.
pub fn prompt_tokens(engine: &dyn Engine, segments: &[Segment]) -> Result<Vec<TokenId>, crate::inference::Error> {
    let mut tokens = Vec::new();
    if engine.identity().add_bos {
        tokens.extend(engine.vocab().bos());
    }
    for segment in segments {
        tokens.extend(match segment {
            Segment::Template(text) => tokenize_template(engine, text)?,
            Segment::Content(text) => tokenize_text(engine, text)?,
        });
    }
    Ok(tokens)
}

/// A model with the way of talking to it.
pub(super) struct Model {
    session: Session,
    dialect: Box<dyn Dialect>,
    sampler: Sampler,
    /// Summaries and answers aside are written greedily: they should say what was said.
    aside_sampler: Sampler,
    compiler: Compiler,
    /// The functions that a prompt can describe, and those that prompts describe now.
    functions: Vec<FunctionSchema>,
    described: Vec<FunctionSchema>,
    zone: TimeZone,
    cancel: Cancel,
    /// What all prompts of a sequence have begun with so far, by [`Sequence::index`].
    fixed: [Vec<TokenId>; Sequence::COUNT],
    /// The conversation whose last state is kept for the next start.
    last: Option<Last>,
    /// What was spent since it was last taken.
    pub(super) cost: Cost,
}

/// A conversation whose state is kept from one start to the next.
struct Last {
    name: String,
    /// What was read since the state was saved.
    is_unsaved: bool,
    /// How long it took to take up what was kept; told with the first turn.
    restored_ms: u64,
}

/// What one generation gave.
#[derive(Debug)]
pub(super) struct Written {
    /// The action, or why there is none.
    pub(super) action: Result<Action, crate::dialect::Error>,
    /// Why it ends there.
    pub(super) stop: StopCause,
}

impl Model {
    pub(super) fn new(
        engine: Warm,
        dialect: Box<dyn Dialect>,
        sampler: SamplerOptions,
        functions: Vec<FunctionSchema>,
        zone: TimeZone,
        cancel: Cancel,
        states: Option<StateStore>,
    ) -> Result<Self, Error> {
        let session = Session::resume(engine)?;
        let session = match states {
            Some(states) => session.with_states(states),
            None => session,
        };
        let compiler = Compiler::new(Arc::clone(session.vocab()), Limits::default());
        Ok(Self {
            session,
            dialect,
            sampler: Sampler::new(sampler),
            aside_sampler: Sampler::new(SamplerOptions { temperature: 0.0, ..sampler }),
            compiler,
            described: functions.clone(),
            functions,
            zone,
            cancel,
            fixed: Default::default(),
            last: None,
            cost: Cost::default(),
        })
    }

    /// The model's name.
    pub(super) fn name(&self) -> &str {
        &self.session.engine().identity().name
    }

    /// Keeps the state of the conversation of the agent `id` from one start to the next, and takes up what the start before
    /// has kept; gives back what was noted with it.
    pub(super) fn keep_as(&mut self, id: i64) -> Option<String> {
        let name = format!("agent {id}");
        let restored = self.session.restore_last(&name);
        self.last = Some(Last { name, is_unsaved: false, restored_ms: restored.as_ref().map_or(0, |it| it.ms) });
        restored.map(|restored| restored.note)
    }

    /// Whether more of the conversation was read than was saved.
    pub(super) fn is_unsaved(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.is_unsaved)
    }

    /// Saves the state of the conversation with a note, where there is more of it than before.
    pub(super) fn save(&mut self, note: &str) {
        if let Some(last) = self.last.as_mut().filter(|last| last.is_unsaved) {
            last.is_unsaved = false;
            self.session.save_last(&last.name, note);
        }
    }

    /// Chooses tokens in this way from now on.
    pub(super) fn sample_as(&mut self, options: SamplerOptions) {
        self.sampler = Sampler::new(options);
    }

    /// Forgets every prompt, in the cache and in saved states; gives back how many states there were.
    pub(super) fn forget(&mut self) -> Result<usize, Error> {
        self.fixed = Default::default();
        Ok(self.session.forget()?)
    }

    pub(super) fn into_engine(self) -> Box<dyn Engine> {
        self.session.into_engine()
    }

    pub(super) fn into_warm(self) -> Warm {
        self.session.into_warm()
    }

    pub(super) fn window_tokens(&self) -> usize {
        self.session.engine().context_window_tokens()
    }

    /// Describes these functions from now on, some of those that the model was made with.
    pub(super) fn describe(&mut self, functions: Vec<FunctionSchema>) {
        self.described = functions;
    }

    /// The prompt as tokens: special tokens only where the template put them.
    pub(super) fn prompt(&self, context: &MainContext) -> Result<Vec<TokenId>, Error> {
        self.prompt_with(context, &self.described)
    }

    /// Tokens of the prompt once all functions are described.
    pub(super) fn most_prompt_tokens(&self, context: &MainContext) -> Result<usize, Error> {
        Ok(self.prompt_with(context, &self.functions)?.len())
    }

    fn prompt_with(&self, context: &MainContext, functions: &[FunctionSchema]) -> Result<Vec<TokenId>, Error> {
        let parts = PromptParts {
            instructions: &context.instructions,
            functions,
            core_memory: &context.core_memory,
            messages: &context.messages,
            zone: &self.zone,
        };
        self.tokens(&self.dialect.render(&parts)?)
    }

    fn tokens(&self, segments: &[Segment]) -> Result<Vec<TokenId>, Error> {
        Ok(prompt_tokens(self.session.engine(), segments)?)
    }

    /// Reads the prompt and lets the model write one action under `policy`. `on_piece` sees what can be shown at once.
    pub(super) fn write(
        &mut self,
        context: &MainContext,
        policy: &StepPolicy,
        max_tokens: usize,
        on_piece: &mut dyn FnMut(Piece),
    ) -> Result<Written, Error> {
        let prompt = self.prompt(context)?;
        let grammar = self.dialect.grammar(policy)?;
        tracing::debug!(prompt = %self.spell(&prompt), %grammar, "step");
        let compiling = Instant::now();
        let mut matcher = self.matcher(&grammar)?;
        self.cost.add_mask(compiling.elapsed());
        let fixed = self.fixed_part(Sequence::Main, &prompt, |model| {
            let (core_memory, messages) = (String::new(), Vec::new());
            model.prompt(&MainContext { instructions: context.instructions.clone(), core_memory, messages })
        })?;
        if let Some(last) = &mut self.last {
            last.is_unsaved = true;
            self.cost.add_restored_ms(std::mem::take(&mut last.restored_ms));
        }
        let cancel = self.cancel.clone();
        if !self.read(&prompt, fixed, &cancel)? {
            return Ok(Written { action: Ok(Action::Nothing), stop: StopCause::Cancelled });
        }
        let mut parser = self.dialect.reply_parser(policy);
        let options = GenerateOptions { max_tokens, stop_stuck: true, ..GenerateOptions::default() };
        let generation = generate(
            &mut self.session,
            &mut matcher,
            &mut self.sampler,
            &options,
            &self.cancel,
            &mut |token, bytes| parser.push(token, bytes).into_iter().for_each(&mut *on_piece),
        )?;
        self.cost.add_generation(&generation.stats);
        tracing::debug!(generated = %self.spell(&generation.tokens), stop = ?generation.stop, "step");
        let stop = generation.stop;
        Ok(Written { action: parser.finish(stop.is_whole()), stop })
    }

    /// Asks a question beside the conversation and gives back the answer under `grammar`; none when `cancel` was
    /// raised. An answer other than `nothing` must be `min_odds` times likelier than it, by its first token.
    pub(super) fn ask_aside(
        &mut self,
        prompt: AsidePrompt<'_>,
        grammar: &str,
        (nothing, min_odds): (&str, f32),
        cancel: &Cancel,
    ) -> Result<Option<String>, Error> {
        self.session.select(Sequence::Side);
        let answer = self.answer_aside(prompt, grammar, (nothing, min_odds), cancel);
        self.session.select(Sequence::Main);
        answer
    }

    /// Logits of each of `answers` to a question beside the conversation; `None` when cancelled. No two answers may
    /// begin alike: the first token of each is what is weighed.
    pub(super) fn weigh_aside<const N: usize>(
        &mut self,
        prompt: AsidePrompt<'_>,
        answers: [&str; N],
        cancel: &Cancel,
    ) -> Result<Option<[f32; N]>, Error> {
        self.session.select(Sequence::SecondSide);
        let weighed = self.first_logits(prompt, answers, cancel);
        self.session.select(Sequence::Main);
        weighed
    }

    /// Writes a short text beside the conversation under `grammar`, in the sequence of texts of this kind; none when
    /// `cancel` was raised or the text was cut off.
    pub(super) fn write_aside(
        &mut self,
        prompt: AsidePrompt<'_>,
        grammar: &str,
        cancel: &Cancel,
    ) -> Result<Option<String>, Error> {
        self.session.select(Sequence::ThirdSide);
        let written = self.short_text(prompt, grammar, cancel);
        self.session.select(Sequence::Main);
        written
    }

    /// Writes an answer to the user beside the conversation under `grammar`. `on_text` sees it as it grows, as soon as
    /// `can_be_shown` says so of all that was written.
    pub(super) fn tell_aside(
        &mut self,
        prompt: AsidePrompt<'_>,
        grammar: &str,
        can_be_shown: &dyn Fn(&str) -> bool,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<(String, StopCause), Error> {
        self.session.select(Sequence::FourthSide);
        let told = self.told(prompt, grammar, can_be_shown, on_text);
        self.session.select(Sequence::Main);
        told
    }

    /// Reads what all prompts of [`Self::tell_aside`] begin with, ahead of the first of them, and keeps it for later
    /// starts; in small steps, so that `preempt` is heeded soon. Does nothing where it was read.
    pub(super) fn read_ahead(
        &mut self,
        (instructions, examples): (&str, &[(String, String)]),
        preempt: &Cancel,
    ) -> Result<(), Error> {
        if self.fixed.get(Sequence::FourthSide.index()).is_none_or(|fixed| !fixed.is_empty()) {
            return Ok(());
        }
        self.session.select(Sequence::FourthSide);
        let read = self.read_fixed_ahead(instructions, examples, preempt);
        if !matches!(read, Ok(true))
            && let Some(fixed) = self.fixed.get_mut(Sequence::FourthSide.index())
        {
            // Another idle moment goes on with it.
            fixed.clear();
        }
        self.session.select(Sequence::Main);
        read.map(|_| ())
    }

    /// Whether it was read to its end.
    fn read_fixed_ahead(
        &mut self,
        instructions: &str,
        examples: &[(String, String)],
        preempt: &Cancel,
    ) -> Result<bool, Error> {
        let rendered =
            |model: &Self, question| model.tokens(&model.dialect.render_side(instructions, examples, question)?);
        let prompt = rendered(self, "Said:")?;
        let length = self.fixed_part(Sequence::FourthSide, &prompt, |model| rendered(model, OTHER_QUESTION))?;
        let fixed = prompt.get(..length).unwrap_or_default();
        // A state that an earlier start has saved makes all reading needless.
        if self.session.has_saved(fixed) {
            return self.read(fixed, length, preempt);
        }
        for end in (READ_AHEAD_TOKENS..length).step_by(READ_AHEAD_TOKENS) {
            let report = self.session.prepare(fixed.get(..end).unwrap_or_default(), preempt)?;
            self.cost.add_read(&report);
            if !report.complete || preempt.is_raised() {
                return Ok(false);
            }
        }
        self.read(fixed, length, preempt)
    }

    fn told(
        &mut self,
        prompt: AsidePrompt<'_>,
        grammar: &str,
        can_be_shown: &dyn Fn(&str) -> bool,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<(String, StopCause), Error> {
        let cancel = self.cancel.clone();
        let mut matcher = self.matcher(grammar)?;
        if !self.read_aside(prompt, MAX_TOLD_TOKENS, &cancel)? {
            return Ok((String::new(), StopCause::Cancelled));
        }
        let (mut written, mut shown) = (Vec::new(), 0);
        let options = GenerateOptions { max_tokens: MAX_TOLD_TOKENS, stop_stuck: true, ..GenerateOptions::default() };
        let generation =
            generate(&mut self.session, &mut matcher, &mut self.aside_sampler, &options, &cancel, &mut |_, bytes| {
                written.extend_from_slice(bytes);
                let whole = str::from_utf8(&written).map_or_else(|error| error.valid_up_to(), str::len);
                let text = written.get(..whole).and_then(|whole| str::from_utf8(whole).ok()).unwrap_or_default();
                if let Some(new) = text.get(shown..).filter(|new| !new.is_empty() && can_be_shown(text)) {
                    on_text(new);
                    shown = whole;
                }
            })?;
        self.cost.add_generation(&generation.stats);
        let text = String::from_utf8_lossy(&written).into_owned();
        tracing::debug!(question = prompt.2, answer = %text, "told");
        Ok((text, generation.stop))
    }

    fn first_logits<const N: usize>(
        &mut self,
        (instructions, examples, question): AsidePrompt<'_>,
        answers: [&str; N],
        cancel: &Cancel,
    ) -> Result<Option<[f32; N]>, Error> {
        if !self.read_aside((instructions, examples, question), 0, cancel)? {
            return Ok(None);
        }
        let mut logits = [f32::NEG_INFINITY; N];
        for (logit, answer) in logits.iter_mut().zip(answers) {
            let first = tokenize_text(self.session.engine(), answer)?.first().copied();
            let all = self.session.logits()?;
            *logit = first.and_then(|token| all.get(token.index()).copied()).unwrap_or(f32::NEG_INFINITY);
        }
        tracing::debug!(question, ?answers, ?logits, "weighed");
        Ok(Some(logits))
    }

    /// Reads a prompt behind which `answer_tokens` must fit; false when cancelled.
    fn read_aside(
        &mut self,
        (instructions, examples, question): AsidePrompt<'_>,
        answer_tokens: usize,
        cancel: &Cancel,
    ) -> Result<bool, Error> {
        let prompt = self.tokens(&self.dialect.render_side(instructions, examples, question)?)?;
        self.session.engine().require_window(prompt.len() + answer_tokens)?;
        let fixed = self.fixed_part(self.session.sequence(), &prompt, |model| {
            model.tokens(&model.dialect.render_side(instructions, examples, OTHER_QUESTION)?)
        })?;
        self.read(&prompt, fixed, cancel)
    }

    fn answer_aside(
        &mut self,
        prompt: AsidePrompt<'_>,
        grammar: &str,
        (nothing, min_odds): (&str, f32),
        cancel: &Cancel,
    ) -> Result<Option<String>, Error> {
        let mut matcher = self.matcher(grammar)?;
        if !self.read_aside(prompt, MAX_ASIDE_TOKENS, cancel)? {
            return Ok(None);
        }
        if !self.outweighs(&mut matcher, nothing, min_odds)? {
            return Ok(Some(nothing.to_owned()));
        }
        let (mut text, stop) = self.generate_aside(&mut matcher, MAX_ASIDE_TOKENS, cancel)?;
        if stop == StopCause::MaxTokens {
            // Half a line is worse than none.
            text.truncate(text.rfind('\n').unwrap_or_default());
        }
        tracing::debug!(question = prompt.2, answer = %text, "aside");
        Ok((stop != StopCause::Cancelled).then_some(text))
    }

    fn short_text(&mut self, prompt: AsidePrompt<'_>, grammar: &str, cancel: &Cancel) -> Result<Option<String>, Error> {
        let mut matcher = self.matcher(grammar)?;
        if !self.read_aside(prompt, MAX_SHORT_TOKENS, cancel)? {
            return Ok(None);
        }
        let (text, stop) = self.generate_aside(&mut matcher, MAX_SHORT_TOKENS, cancel)?;
        tracing::debug!(question = prompt.2, answer = %text, "aside");
        Ok(stop.is_whole().then_some(text))
    }

    fn matcher(&self, grammar: &str) -> Result<Matcher, Error> {
        Ok(self.compiler.compile(grammar)?.matcher().map_err(crate::inference::Error::from)?)
    }

    /// Writes behind what was read, greedily.
    fn generate_aside(
        &mut self,
        matcher: &mut Matcher,
        max_tokens: usize,
        cancel: &Cancel,
    ) -> Result<(String, StopCause), Error> {
        let mut written = Vec::new();
        let options = GenerateOptions { max_tokens, ..GenerateOptions::default() };
        let generation =
            generate(&mut self.session, matcher, &mut self.aside_sampler, &options, cancel, &mut |_, bytes| {
                written.extend_from_slice(bytes)
            })?;
        self.cost.add_generation(&generation.stats);
        Ok((String::from_utf8_lossy(&written).into_owned(), generation.stop))
    }

    /// Whether any legal first token but that of `nothing` is `min_odds` times likelier than it, or the first token does
    /// not tell: another answer can begin with it as well, and writing it out decides.
    fn outweighs(&mut self, matcher: &mut Matcher, nothing: &str, min_odds: f32) -> Result<bool, Error> {
        let Some(first) = tokenize_text(self.session.engine(), nothing)?.first().copied() else { return Ok(true) };
        let vocab = Arc::clone(self.session.vocab());
        let mut allowed = Vec::new();
        let mut ahead = matcher.clone();
        ahead.commit(first).map_err(crate::inference::Error::from)?;
        ahead.allowed_tokens(&mut allowed).map_err(crate::inference::Error::from)?;
        let rest = nothing.as_bytes().strip_prefix(vocab.bytes(first)).unwrap_or_default();
        let goes_on_with_nothing = |token: &TokenId| rest.starts_with(vocab.bytes(*token));
        if !rest.is_empty() && !allowed.iter().all(goes_on_with_nothing) {
            return Ok(true);
        }
        matcher.allowed_tokens(&mut allowed).map_err(crate::inference::Error::from)?;
        let logits = self.session.logits()?;
        let logit = |token: TokenId| logits.get(token.index()).copied().unwrap_or(f32::NEG_INFINITY);
        // A shorter token can begin `nothing` too; only what cannot counts against it.
        let begins_nothing = |token: &TokenId| nothing.as_bytes().starts_with(vocab.bytes(*token));
        let best =
            allowed.into_iter().filter(|token| !begins_nothing(token)).map(logit).fold(f32::NEG_INFINITY, f32::max);
        Ok(best - logit(first) > min_odds.ln())
    }

    /// How many tokens of `prompt` all prompts of this kind begin with: those that it shares with `other`, a prompt with
    /// nothing in common but the kind.
    fn fixed_part(
        &mut self,
        sequence: Sequence,
        prompt: &[TokenId],
        other: impl FnOnce(&Self) -> Result<Vec<TokenId>, Error>,
    ) -> Result<usize, Error> {
        let known = self.fixed.get(sequence.index()).filter(|known| !known.is_empty() && prompt.starts_with(known));
        if let Some(known) = known {
            return Ok(known.len());
        }
        let other = other(self)?;
        let common = prompt.iter().zip(&other).take_while(|(one, two)| one == two).count();
        if let Some(fixed) = self.fixed.get_mut(sequence.index()) {
            prompt.get(..common).unwrap_or_default().clone_into(fixed);
        }
        Ok(common)
    }

    /// Reads a prompt as far as it is not in the cache; its first `fixed` tokens are kept for the next start. False when
    /// cancelled.
    fn read(&mut self, prompt: &[TokenId], fixed: usize, cancel: &Cancel) -> Result<bool, Error> {
        let before = self.session.prepare_fixed(prompt.get(..fixed).unwrap_or_default(), cancel)?;
        self.cost.add_read(&before);
        if !before.complete {
            return Ok(false);
        }
        let report = self.session.prepare(prompt, cancel)?;
        // What was just read for it is no reuse.
        self.cost.add_read(&PrefixReport {
            tokens_reused: report.tokens_reused.saturating_sub(before.tokens_read),
            ..report
        });
        Ok(report.complete)
    }

    /// Tokens as text with control tokens spelled, for the log.
    fn spell(&self, tokens: &[TokenId]) -> String {
        let vocab = self.session.vocab();
        let bytes: Vec<u8> = tokens.iter().flat_map(|token| vocab.bytes(*token).iter().copied()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Counts tokens for the queue manager. The queue manager holds counter and summariser at once, hence the cell.
pub(super) struct Counter<'a, 'm> {
    pub(super) model: &'a RefCell<&'m mut Model>,
    /// Whose tokens passages are cut by.
    pub(super) embedder: Option<&'a dyn Embed>,
}

impl CountTokens for Counter<'_, '_> {
    fn prompt_tokens(&mut self, context: &MainContext) -> Result<usize, BoxError> {
        Ok(self.model.borrow().prompt(context)?.len())
    }

    fn text_tokens(&mut self, text: &str) -> usize {
        // Only plans are made of it; a text that cannot be tokenised is caught when the prompt is.
        tokenize_text(self.model.borrow().session.engine(), text).map_or(text.len(), |tokens| tokens.len())
    }

    fn passages(&self, text: &str) -> Vec<Range<usize>> {
        passages_for(text, self.embedder)
    }
}

/// Writes summaries for the queue manager. `instructions` and `core_memory` are those of the running prompt: a summary
/// prompt begins like it, so that the KV cache holds most of what is to be summarised already.
pub(super) struct Summarizer<'a, 'm> {
    pub(super) model: &'a RefCell<&'m mut Model>,
    pub(super) instructions: &'a str,
    pub(super) core_memory: &'a str,
    /// Most tokens of a summary.
    pub(super) max_tokens: usize,
    /// Whether the flag that stops the agent's work stops this as well.
    pub(super) can_be_stopped: bool,
    /// Called before the model is asked.
    pub(super) before: &'a mut dyn FnMut(),
}

impl Summarizer<'_, '_> {
    /// What the model sees: the summary before, the messages, and the request for a new summary.
    fn context(&self, previous: Option<&str>, evicted: &[Message], max_words: usize) -> MainContext {
        let at_ms = evicted.first().map_or(0, |message| message.at_ms);
        let mut messages: Vec<Message> = previous.map(|text| earlier_summary(text, at_ms)).into_iter().collect();
        messages.extend_from_slice(evicted);
        messages.push(summary_request(at_ms, max_words));
        let (instructions, core_memory) = (self.instructions.to_owned(), self.core_memory.to_owned());
        MainContext { instructions, core_memory, messages }
    }
}

impl Summarize for Summarizer<'_, '_> {
    fn summarize(&mut self, previous: Option<&str>, evicted: &[Message], max_words: usize) -> Result<String, BoxError> {
        (self.before)();
        let context = self.context(previous, evicted, max_words);
        let mut model = self.model.borrow_mut();
        let model = &mut **model;
        let prompt = model.prompt(&context)?;
        let cancel = if self.can_be_stopped { model.cancel.clone() } else { Cancel::new() };
        let report = model.session.prepare(&prompt, &cancel)?;
        model.cost.add_read(&report);
        if !report.complete {
            return Err(STOPPED.into());
        }
        let vocab = Arc::clone(model.session.vocab());
        let mut text = Vec::new();
        let options = GenerateOptions { max_tokens: self.max_tokens, stop_stuck: true, ..GenerateOptions::default() };
        let generation: Generation = generate(
            &mut model.session,
            &mut Unconstrained { is_text: vocab.text_flags() },
            &mut model.aside_sampler,
            &options,
            &cancel,
            &mut |_, bytes| text.extend_from_slice(bytes),
        )?;
        model.cost.add_generation(&generation.stats);
        if generation.stop == StopCause::Cancelled {
            // Half of a summary would stand for the messages for good.
            return Err(STOPPED.into());
        }
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        Ok(if generation.stop.is_whole() { text } else { whole_sentences(&text).to_owned() })
    }

    fn room_tokens(&mut self, previous: Option<&str>, max_words: usize) -> Option<usize> {
        let context = self.context(previous, &[], max_words);
        let model = self.model.borrow();
        // A prompt that cannot be made is found out when it is to be read.
        let prompt_tokens = model.prompt(&context).ok()?.len();
        Some(model.window_tokens().saturating_sub(prompt_tokens + self.max_tokens))
    }
}

/// `text` up to its last sentence that is whole; all of it where none is.
fn whole_sentences(text: &str) -> &str {
    text.rfind(['.', '!', '?', '。', '！', '？'])
        .and_then(|at| text.get(..at + text.get(at..)?.chars().next()?.len_utf8()))
        .unwrap_or(text)
}

/// The summary before, as the first message of a summary prompt. It is never stored.
fn earlier_summary(text: &str, at_ms: i64) -> Message {
    transient(at_ms, Body::Summary { text: text.to_owned(), hidden_message_count: 0 })
}

/// The request at the end of a summary prompt. It is never stored.
fn summary_request(at_ms: i64, max_words: usize) -> Message {
    let text = format!(
        "Stop here for a moment. The messages above will soon be out of your view. Write a summary of them for \
         yourself, in the first person, in plain sentences of at most {max_words} words in all: what the user told \
         you and asked for, what you answered, what is still open. Keep names, dates and numbers. If a summary stands \
         at the beginning, keep what matters of it. Write only the summary, no function call."
    );
    transient(at_ms, Body::User { text })
}

fn transient(at_ms: i64, body: Body) -> Message {
    Message { id: MessageId(i64::MAX), at_ms, body, interrupted: false, stub: None }
}
