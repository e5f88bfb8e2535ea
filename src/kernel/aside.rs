//! Questions to the model beside the conversation: each kind of prompt in a sequence of its own, so that what prompts of
//! a kind begin with stays in the cache.

use std::sync::Arc;

use crate::grammar::Matcher;
use crate::inference::{GenerateOptions, Sequence, StopCause, generate, tokenize_text};
use crate::types::{Cancel, Constraint, TokenId};

use super::Error;
use super::model::Model;
use super::replies::NotFirst;

/// A question that shares its first letter with none that is asked: behind what they have in common, prompts differ.
const OTHER_QUESTION: &str = "?";

/// Most tokens of an answer beside the conversation.
const MAX_ASIDE_TOKENS: usize = 256;

/// Most tokens of a short text beside the conversation: a line of core memory.
const MAX_SHORT_TOKENS: usize = 96;

/// Most tokens of an answer that is written beside the conversation.
const MAX_TOLD_TOKENS: usize = 128;

/// Words by which an answer would speak as the user.
const AS_THE_USER: [&str; 2] = ["I", "My"];

/// Texts that are weighed before an answer is written, and what makes an answer of the natural logarithms of their
/// probabilities, of which those below `least` are minus infinity.
pub(super) struct Weighing<'a, const N: usize> {
    pub(super) texts: [&'a str; N],
    pub(super) least: f32,
    pub(super) decide: &'a dyn Fn([f32; N]) -> Option<&'a str>,
}

/// A question beside the conversation: instructions, examples of question and answer, and the question.
pub(super) type AsidePrompt<'a> = (&'a str, &'a [(String, String)], &'a str);

impl Model {
    /// Does `work` in a sequence beside the conversation.
    fn beside<T>(&mut self, sequence: Sequence, work: impl FnOnce(&mut Self) -> T) -> T {
        self.session.select(sequence);
        let done = work(self);
        self.session.select(Sequence::Main);
        done
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
        self.beside(Sequence::Side, |model| model.answer_aside(prompt, grammar, (nothing, min_odds), cancel))
    }

    /// Logits of each of `answers` to a question beside the conversation; `None` when cancelled. No two answers may
    /// begin alike: the first token of each is what is weighed.
    pub(super) fn weigh_aside<const N: usize>(
        &mut self,
        prompt: AsidePrompt<'_>,
        answers: [&str; N],
        cancel: &Cancel,
    ) -> Result<Option<[f32; N]>, Error> {
        self.beside(Sequence::SecondSide, |model| model.first_logits(prompt, answers, cancel))
    }

    /// Writes a short text beside the conversation under `grammar`, in the sequence of texts of this kind; none when
    /// `cancel` was raised or the text was cut off.
    pub(super) fn write_aside(
        &mut self,
        prompt: AsidePrompt<'_>,
        grammar: &str,
        cancel: &Cancel,
    ) -> Result<Option<String>, Error> {
        self.beside(Sequence::ThirdSide, |model| model.short_text(prompt, grammar, cancel))
    }

    /// Writes an answer to the user beside the conversation under `grammar`, unless `weighing` decides it. `on_text` sees
    /// what is written as it grows, as soon as `can_be_shown` says so of all of it.
    pub(super) fn tell_aside<const N: usize>(
        &mut self,
        prompt: AsidePrompt<'_>,
        weighing: &Weighing<'_, N>,
        grammar: &str,
        can_be_shown: &dyn Fn(&str) -> bool,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<(String, StopCause), Error> {
        self.beside(Sequence::FourthSide, |model| model.told(prompt, weighing, grammar, can_be_shown, on_text))
    }

    /// Reads what all prompts of [`Self::tell_aside`] begin with, ahead of the first of them, and keeps it for later
    /// starts. Does nothing where it was read.
    pub(super) fn read_ahead(
        &mut self,
        (instructions, examples): (&str, &[(String, String)]),
        preempt: &Cancel,
    ) -> Result<(), Error> {
        if self.fixed.get(Sequence::FourthSide.index()).is_none_or(|fixed| !fixed.is_empty()) {
            return Ok(());
        }
        let read = self.beside(Sequence::FourthSide, |model| model.read_fixed_ahead(instructions, examples, preempt));
        if !matches!(read, Ok(true))
            && let Some(fixed) = self.fixed.get_mut(Sequence::FourthSide.index())
        {
            // Another idle moment goes on with it.
            fixed.clear();
        }
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
        self.read(fixed, length, preempt)
    }

    fn told<const N: usize>(
        &mut self,
        prompt: AsidePrompt<'_>,
        weighing: &Weighing<'_, N>,
        grammar: &str,
        can_be_shown: &dyn Fn(&str) -> bool,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<(String, StopCause), Error> {
        let cancel = self.cancel.clone();
        let mut matcher = self.matcher(grammar)?;
        let mut constraint = NotFirst::new(&mut matcher, Arc::clone(self.session.vocab()), &AS_THE_USER);
        if !self.read_aside(prompt, MAX_TOLD_TOKENS, &cancel)? {
            return Ok((String::new(), StopCause::Cancelled));
        }
        if let Some(decided) = self.weigh(weighing, &cancel)? {
            tracing::debug!(question = prompt.2, decided, "told");
            return Ok((decided.to_owned(), StopCause::Complete));
        }
        let (mut written, mut shown) = (Vec::new(), 0);
        let options = GenerateOptions { max_tokens: MAX_TOLD_TOKENS, stop_stuck: true, ..GenerateOptions::default() };
        let generation = generate(
            &mut self.session,
            &mut constraint,
            &mut self.aside_sampler,
            &options,
            &cancel,
            &mut |_, bytes| {
                written.extend_from_slice(bytes);
                let whole = str::from_utf8(&written).map_or_else(|error| error.valid_up_to(), str::len);
                let text = written.get(..whole).and_then(|whole| str::from_utf8(whole).ok()).unwrap_or_default();
                if let Some(new) = text.get(shown..).filter(|new| !new.is_empty() && can_be_shown(text)) {
                    on_text(new);
                    shown = whole;
                }
            },
        )?;
        self.cost.add_generation(&generation.stats);
        let text = String::from_utf8_lossy(&written).into_owned();
        tracing::debug!(question = prompt.2, answer = %text, "told");
        Ok((text, generation.stop))
    }

    /// Weighs texts behind what was read.
    fn weigh<'a, const N: usize>(
        &mut self,
        weighing: &Weighing<'a, N>,
        cancel: &Cancel,
    ) -> Result<Option<&'a str>, Error> {
        let mut found = [f32::NEG_INFINITY; N];
        for (likely, text) in found.iter_mut().zip(weighing.texts) {
            let tokens = tokenize_text(self.session.engine(), text)?;
            let (log_probability, report) = self.session.log_probability(&tokens, weighing.least, cancel)?;
            self.cost.add_read(&report);
            *likely = log_probability;
        }
        tracing::debug!(texts = ?weighing.texts, ?found, "weighed");
        Ok((weighing.decide)(found))
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
        let odds = self.odds_against(&mut matcher, nothing)?;
        tracing::debug!(question = prompt.2, odds, "aside");
        if odds.is_some_and(|odds| odds <= min_odds) {
            return Ok(Some(nothing.to_owned()));
        }
        // What does not outweigh it to the model, but by `min_odds`, is still to be written.
        let beginnings: Vec<&str> = match odds {
            Some(_) => (1..=nothing.len()).filter_map(|end| nothing.get(..end)).collect(),
            None => Vec::new(),
        };
        let mut constraint = NotFirst::new(&mut matcher, Arc::clone(self.session.vocab()), &beginnings);
        let (mut text, stop) = self.generate_aside(&mut constraint, MAX_ASIDE_TOKENS, cancel)?;
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

    /// Writes behind what was read, greedily.
    fn generate_aside(
        &mut self,
        constraint: &mut dyn Constraint,
        max_tokens: usize,
        cancel: &Cancel,
    ) -> Result<(String, StopCause), Error> {
        let mut written = Vec::new();
        let options = GenerateOptions { max_tokens, ..GenerateOptions::default() };
        let generation =
            generate(&mut self.session, constraint, &mut self.aside_sampler, &options, cancel, &mut |_, bytes| {
                written.extend_from_slice(bytes)
            })?;
        self.cost.add_generation(&generation.stats);
        Ok((String::from_utf8_lossy(&written).into_owned(), generation.stop))
    }

    /// How many times likelier than the first token of `nothing` the likeliest other one is; none where the first token does not
    /// tell: another answer can begin with it as well, and writing it out decides.
    fn odds_against(&mut self, matcher: &mut Matcher, nothing: &str) -> Result<Option<f32>, Error> {
        let Some(first) = tokenize_text(self.session.engine(), nothing)?.first().copied() else { return Ok(None) };
        let vocab = Arc::clone(self.session.vocab());
        let mut allowed = Vec::new();
        let mut ahead = matcher.clone();
        ahead.commit(first).map_err(crate::inference::Error::from)?;
        ahead.allowed_tokens(&mut allowed).map_err(crate::inference::Error::from)?;
        let rest = nothing.as_bytes().strip_prefix(vocab.bytes(first)).unwrap_or_default();
        let goes_on_with_nothing = |token: &TokenId| rest.starts_with(vocab.bytes(*token));
        if !rest.is_empty() && !allowed.iter().all(goes_on_with_nothing) {
            return Ok(None);
        }
        matcher.allowed_tokens(&mut allowed).map_err(crate::inference::Error::from)?;
        let logits = self.session.logits()?;
        let logit = |token: TokenId| logits.get(token.index()).copied().unwrap_or(f32::NEG_INFINITY);
        // A shorter token can begin `nothing` too; only what cannot counts against it.
        let begins_nothing = |token: &TokenId| nothing.as_bytes().starts_with(vocab.bytes(*token));
        let best =
            allowed.into_iter().filter(|token| !begins_nothing(token)).map(logit).fold(f32::NEG_INFINITY, f32::max);
        Ok(Some((best - logit(first)).exp()))
    }
}
