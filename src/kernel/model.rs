//! The model as the kernel uses it: main context in, action out. Puts dialect, grammar, sampler and session together, and
//! counts tokens for the queue manager. Questions beside the conversation are in `aside`, summaries in `summarizer`.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use jiff::tz::TimeZone;

use crate::dialect::{Action, Dialect, Piece, PromptParts, Segment};
use crate::grammar::{Compiler, Limits, Matcher};
use crate::inference::{
    Engine, GenerateOptions, PrefixReport, Sampler, SamplerOptions, Sequence, Session, StateStore, StopCause, Warm,
    generate, tokenize_template, tokenize_text,
};
use crate::memory::{BoxError, CountTokens, Embed, MainContext, passages_for};
use crate::types::{Body, Cancel, Constraint, FunctionSchema, StepPolicy, TokenId};

use super::Error;
use super::cost::Cost;
use super::language::unsaid;
use super::replies::{
    NotFirst, OwnWords, Shown, is_enough, is_looked_at, is_misplaced, is_unasked, only_tells, user_names,
};

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

/// Tokens of how a reply would begin that are looked at ..
const MAX_OPENING_TOKENS: usize = 16;
/// .. and how many ways of beginning it are refused at most.
const MAX_MISPLACED: usize = 3;

/// A model with the way of talking to it.
pub(super) struct Model {
    pub(super) session: Session,
    pub(super) dialect: Box<dyn Dialect>,
    sampler: Sampler,
    /// Summaries and answers aside are written greedily: they should say what was said.
    pub(super) aside_sampler: Sampler,
    compiler: Compiler,
    /// The functions that a prompt can describe, and those that prompts describe now.
    functions: Vec<FunctionSchema>,
    described: Vec<FunctionSchema>,
    zone: TimeZone,
    pub(super) cancel: Cancel,
    /// What all prompts of a sequence have begun with so far, by [`Sequence::index`].
    pub(super) fixed: [Vec<TokenId>; Sequence::COUNT],
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

    pub(super) fn tokens(&self, segments: &[Segment]) -> Result<Vec<TokenId>, Error> {
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
        let fixed = self.fixed_part_of(context, &prompt)?;
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
        let message = answered(context);
        let refused = self.misplaced(message, &mut matcher, &cancel)?;
        let refused: Vec<&str> = refused.iter().map(String::as_str).collect();
        let mut constraint = NotFirst::new(&mut matcher, Arc::clone(self.session.vocab()), &refused);
        let names = user_names(said(context), &context.core_memory);
        // What was read of an offer has to be cut from the cache again.
        let ends_at_offer = self.session.engine().can_cut() && is_unasked(message);
        let mut constraint = OwnWords::new(&mut constraint, Arc::clone(self.session.vocab()), message, names)
            .without(unsaid(&context.core_memory).into_iter().chain(unsaid(message)).collect())
            .ending_at_offer(ends_at_offer);
        let mut shown = Shown::new(ends_at_offer);
        let generated = generate(
            &mut self.session,
            &mut constraint,
            &mut self.sampler,
            &options,
            &self.cancel,
            &mut |token, bytes| {
                shown.begin(bytes);
                for piece in parser.push(token, bytes) {
                    match piece {
                        Piece::Text(text) => show(shown.push(&text), on_piece),
                        thought @ Piece::Thought(_) => on_piece(thought),
                    }
                }
            },
        );
        let generation = match generated {
            Ok(generation) => generation,
            Err(error) => {
                show(shown.finish(false), on_piece);
                return Err(error.into());
            }
        };
        self.cost.add_generation(&generation.stats);
        tracing::debug!(generated = %self.spell(&generation.tokens), stop = ?generation.stop, "step");
        let stop = generation.stop;
        let mut action = parser.finish(stop.is_whole());
        let end = match &action {
            Ok(Action::Text { text, .. }) => shown.end(text),
            _ => None,
        };
        show(shown.finish(end.is_some()), on_piece);
        if let (Ok(Action::Text { text, .. }), Some(end)) = (&mut action, end) {
            text.truncate(end);
        }
        if matches!(action, Ok(Action::Call { .. })) {
            self.cost.add_call(&generation.stats);
        }
        Ok(Written { action, stop })
    }

    /// The words with which the reply to a message must not begin, see [`super::replies`]: those with which the model is about to
    /// begin it behind what was read. What it would write if there were no grammar does not count.
    fn misplaced(&mut self, message: &str, matcher: &mut Matcher, cancel: &Cancel) -> Result<Vec<String>, Error> {
        let mut refused = Vec::new();
        let vocab = Arc::clone(self.session.vocab());
        let spell = |tokens: &[TokenId]| -> String {
            let bytes: Vec<u8> = tokens.iter().flat_map(|token| vocab.bytes(*token)).copied().collect();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        if !only_tells(message) {
            return Ok(refused);
        }
        let mut allowed = Vec::new();
        matcher.allowed_tokens(&mut allowed).map_err(crate::inference::Error::from)?;
        while refused.len() < MAX_MISPLACED {
            let logits = self.session.logits()?;
            let logit = |token: &TokenId| logits.get(token.index()).copied().unwrap_or(f32::NEG_INFINITY);
            let Some(first) = allowed.iter().copied().max_by(|one, two| logit(one).total_cmp(&logit(two))) else {
                break;
            };
            let word = spell(&[first]);
            if !is_looked_at(&word, message) {
                break;
            }
            let enough = |tokens: &[TokenId]| is_enough(&spell(tokens));
            let (tokens, report) = self.session.would_write(first, MAX_OPENING_TOKENS, cancel, enough)?;
            self.cost.add_read(&report);
            let opening = spell(&tokens);
            let is_misplaced = is_misplaced(&opening, message);
            tracing::debug!(opening, is_misplaced, "how the reply would begin");
            if !is_misplaced {
                break;
            }
            allowed.retain(|token| vocab.bytes(*token) != vocab.bytes(first));
            refused.push(word);
        }
        Ok(refused)
    }

    /// Reads the first tokens of the prompt of a conversation, where they are not in the cache.
    pub(super) fn read_conversation_ahead(
        &mut self,
        context: &MainContext,
        prompt: &[TokenId],
        cancel: &Cancel,
    ) -> Result<(), Error> {
        if self.session.cached().starts_with(prompt) {
            return Ok(());
        }
        let fixed = self.fixed_part_of(context, prompt)?;
        if let Some(last) = &mut self.last {
            last.is_unsaved = true;
        }
        self.read(prompt, fixed, cancel).map(|_| ())
    }

    /// How many tokens of the prompt of a conversation all of them begin with.
    fn fixed_part_of(&mut self, context: &MainContext, prompt: &[TokenId]) -> Result<usize, Error> {
        self.fixed_part(Sequence::Main, prompt, |model| {
            let (core_memory, messages) = (String::new(), Vec::new());
            model.prompt(&MainContext { instructions: context.instructions.clone(), core_memory, messages })
        })
    }

    pub(super) fn matcher(&self, grammar: &str) -> Result<Matcher, Error> {
        Ok(self.compiler.compile(grammar)?.matcher().map_err(crate::inference::Error::from)?)
    }

    /// How many tokens of `prompt` all prompts of this kind begin with: those that it shares with `other`, a prompt with
    /// nothing in common but the kind.
    pub(super) fn fixed_part(
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
    pub(super) fn read(&mut self, prompt: &[TokenId], fixed: usize, cancel: &Cancel) -> Result<bool, Error> {
        let before = self.session.prepare_fixed(prompt, fixed, cancel)?;
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

fn show(text: String, on_piece: &mut dyn FnMut(Piece)) {
    if !text.is_empty() {
        on_piece(Piece::Text(text));
    }
}

/// The message to which the reply is the next thing that happens; empty where that is something else: a call, a login, a heartbeat.
fn answered(context: &MainContext) -> &str {
    match context.messages.last().map(|message| &message.body) {
        Some(Body::User { text }) => text,
        _ => "",
    }
}

/// What the user said, as far as it is in view, newest first.
fn said(context: &MainContext) -> impl Iterator<Item = &str> {
    context.messages.iter().rev().filter_map(|message| match &message.body {
        Body::User { text } => Some(text.as_str()),
        _ => None,
    })
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
