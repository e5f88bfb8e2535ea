//! A model that is asked: the prompt in its own dialect, with or without the grammar of the functions at hand.
//!
//! Both ways have the same prompt, which is read once: what one way has written behind it is cut for the other. With the
//! grammar a reply is text or calls that the functions' schemas allow; nothing tells which of them a case demands, nor how
//! many. A call that comes to the most tokens of a reply, or repeats itself, is closed by the shortest end that the grammar
//! has, and a text ends after 64 tokens: it cannot become a call any more. Everything is greedy, so that a run can be repeated.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::bound::{Bound, READ_AT_ONCE};
use super::closing::{MAX_TEXT_TOKENS, ShortText, close};
use super::data::{Case, Speaker};
use super::parameters::{held, shown};
use super::{Error, Reply, read_reply};
use crate::dialect::{self, CallPrompt, Dialect, Profile};
use crate::grammar::{Compiler, Grammar, Limits, Matcher};
use crate::inference::{
    Engine, GenerateOptions, Generation, Job, Sampler, SamplerOptions, Sequence, Session, StopCause, Vocab, generate,
    generate_together,
};
use crate::kernel::prompt_tokens;
use crate::types::{CallOffer, Cancel, Constraint, FunctionDefinition, Hasher, TokenId, Unconstrained};

/// What every model is told, before what a case says itself. Chosen among five wordings on 16 cases of our own, none of the
/// leaderboard's: without the word of a list the 1.5B model of Qwen2.5-Coder makes one call where several are asked for.
const INSTRUCTIONS: &str = "You are a helpful assistant. A reply is either plain text, or all the function calls that the \
                            request needs, in a JSON list where there are several. Reply in plain text where no function \
                            does what is asked, or where something that it requires was not said.";
/// Most cases that can be asked together.
pub const MOST_TOGETHER: usize = Sequence::LANES as usize;
/// Most tokens of a reply: the longest accepted calls take a third.
pub const MAX_REPLY_TOKENS: usize = 512;
/// How replies are written: one after the other, drafts would be measured, not the model.
const OPTIONS: GenerateOptions =
    GenerateOptions { max_tokens: MAX_REPLY_TOKENS, jump_forward: true, stop_stuck: true, drafts: false };
/// Most calls of a reply under the grammar: twice as many as any case accepts.
const MOST_CALLS: usize = 16;
/// Bound for a line of text under the grammar, in characters: beyond what [`MAX_REPLY_TOKENS`] can hold.
const MAX_TEXT_CHARS: usize = 4000;
/// Bound for inner thoughts in the classic profile, in characters: about 50 words, as the prompt says.
const MAX_THOUGHT_CHARS: usize = 300;

/// Whether replies are held to the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constrained {
    /// They are.
    On,
    /// The model writes freely.
    Off,
}

impl Constrained {
    /// As the command line spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// A case as one model is asked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    prompt: Vec<TokenId>,
    grammar: Option<String>,
    /// Why it cannot be asked; empty where it can.
    failure: String,
    /// Hash of everything that the reply depends on, the model apart.
    pub key: String,
}

impl Question {
    /// A case that cannot be asked, for this reason.
    #[must_use]
    pub const fn failed(failure: String) -> Self {
        Self { prompt: Vec::new(), grammar: None, failure, key: String::new() }
    }
}

/// What a model has written, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The text, with control tokens spelled.
    pub text: String,
    /// Whether it came to its end.
    pub is_complete: bool,
    /// Whether that end was written for it: a call that came to the most tokens of a reply, or a text that was long enough.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_closed: bool,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Those of them that were read for this reply; the others were in the cache.
    pub tokens_read: u64,
    /// Tokens that the model chose.
    pub tokens_sampled: u64,
    /// Tokens that the grammar forced, or that closed a reply.
    pub tokens_forced: u64,
    /// Time for reading the prompt, milliseconds; also where it was read for the other way of asking.
    pub read_ms: u64,
    /// Time for writing, milliseconds.
    pub write_ms: u64,
    /// Why nothing could be written; empty where something could.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub failure: String,
}

impl Written {
    /// Nothing yet.
    fn behind(question: &Question) -> Self {
        Self {
            text: String::new(),
            is_complete: false,
            is_closed: false,
            prompt_tokens: question.prompt.len() as u64,
            tokens_read: 0,
            tokens_sampled: 0,
            tokens_forced: 0,
            read_ms: 0,
            write_ms: 0,
            failure: String::new(),
        }
    }

    /// Takes what was generated; a reply that was cut off under a grammar is closed.
    fn take(&mut self, generation: &Generation, matcher: Option<&mut Matcher>, vocab: &Vocab) {
        let mut bytes: Vec<u8> = generation.tokens.iter().flat_map(|token| vocab.bytes(*token)).copied().collect();
        self.is_complete = generation.stop.is_whole();
        self.tokens_sampled = generation.stats.tokens_sampled;
        self.tokens_forced = generation.stats.tokens_forced;
        if let Some(matcher) = matcher {
            if self.is_complete {
                self.is_closed = generation.stop == StopCause::Complete && !matcher.must_end();
            } else if let Some((tail, tokens)) = close(matcher, vocab, &bytes) {
                bytes.extend(tail);
                self.tokens_forced += tokens;
                self.is_complete = true;
                self.is_closed = true;
            }
        }
        self.text = String::from_utf8_lossy(&bytes).into_owned();
    }

    /// What the reply is.
    #[must_use]
    pub fn reply(&self, case: &Case) -> Reply {
        if !self.failure.is_empty() {
            return Reply::Unreadable { text: String::new(), reason: self.failure.clone() };
        }
        let names: Vec<String> =
            case.functions.iter().map(|function| super::parameters::shown_name(&function.name)).collect();
        read_reply(&self.text, &names, self.is_complete)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
const fn is_false(value: &bool) -> bool {
    !*value
}

/// A loaded model with the way of talking to it.
pub struct Caller {
    session: Session,
    dialect: Box<dyn Dialect>,
    compiler: Compiler,
    /// Tokens that a prompt and its reply have room for.
    window_tokens: usize,
    /// The prompt that was read last, and how long that took in milliseconds.
    last: (Vec<TokenId>, u64),
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Caller").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Caller {
    /// Takes a model; gives back as well what the user should know of its template.
    ///
    /// # Errors
    /// Its template is of no use, or the engine failed.
    pub fn new(engine: Box<dyn Engine>, profile: Profile) -> Result<(Self, Option<String>), Error> {
        let chosen = dialect::choose(engine.identity(), engine.vocab(), profile)?;
        let mut session = Session::new(engine)?;
        let mut window_tokens = session.engine().context_window_tokens();
        if session.engine().lanes() > 0 {
            // What is asked together must fit there, and alone no more is asked: the figures are of the same cases.
            session.select(Sequence::Lane(0));
            window_tokens = window_tokens.min(session.engine().context_window_tokens());
            session.select(Sequence::Main);
        }
        let compiler = Compiler::new(Arc::clone(session.vocab()), Limits::default());
        let caller = Self { session, dialect: chosen.dialect, compiler, window_tokens, last: Default::default() };
        Ok((caller, chosen.notice))
    }

    /// The model's dialect.
    #[must_use]
    pub fn dialect_name(&self) -> &'static str {
        self.dialect.name()
    }

    /// Window in tokens.
    #[must_use]
    pub const fn window_tokens(&self) -> usize {
        self.window_tokens
    }

    /// Puts a case into the model's words.
    ///
    /// # Errors
    /// The template failed, or a function's schema has no grammar.
    pub fn question(&self, case: &Case, constrained: Constrained) -> Result<Question, Error> {
        let functions = definitions(case);
        let mut instructions = INSTRUCTIONS.to_owned();
        let mut messages = Vec::with_capacity(case.question.len());
        for said in &case.question {
            match said.speaker {
                Speaker::System => instructions.extend(["\n\n", &said.content]),
                Speaker::User => messages.push((dialect::Speaker::User, said.content.as_str())),
                Speaker::Assistant => messages.push((dialect::Speaker::Assistant, said.content.as_str())),
            }
        }
        let prompt = CallPrompt { instructions: &instructions, functions: &functions, messages: &messages };
        let prompt = prompt_tokens(self.session.engine(), &self.dialect.render_calls(&prompt)?)?;
        let grammar = match constrained {
            Constrained::On => Some(self.dialect.calls_grammar(&offer(case))?),
            Constrained::Off => None,
        };
        let mut hasher = Hasher::default();
        prompt.iter().for_each(|token| hasher.update(&token.0.to_le_bytes()));
        hasher.update(grammar.as_deref().unwrap_or_default().as_bytes());
        hasher.update(format!("{OPTIONS:?} {MAX_TEXT_TOKENS}").as_bytes());
        Ok(Question { prompt, grammar, failure: String::new(), key: hasher.hex() })
    }

    /// How many questions can be asked together.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.session.engine().lanes()
    }

    /// How fast replies would come if the model had nothing to do but to read, and to decode `together` of them in each
    /// pass behind prompts of so many tokens.
    ///
    /// # Errors
    /// The engine failed.
    pub fn into_bound(mut self, prompt_tokens: usize, together: usize) -> Result<Bound, Error> {
        self.session.forget()?;
        let room = self.window_tokens.saturating_sub(READ_AT_ONCE);
        Ok(Bound::measure(&mut *self.session.into_engine(), prompt_tokens.min(room), together)?)
    }

    pub(super) fn engine(&self) -> &dyn Engine {
        self.session.engine()
    }

    /// Logits behind a question and the beginning of a reply; none where `cancel` was raised.
    pub(super) fn logits_behind(
        &mut self,
        question: &Question,
        reply: &[TokenId],
        cancel: &Cancel,
    ) -> Result<Option<Vec<f32>>, Error> {
        let tokens = [question.prompt.as_slice(), reply].concat();
        let is_read = self.session.prepare(&tokens, cancel)?.complete;
        Ok(if is_read { Some(self.session.logits()?.to_vec()) } else { None })
    }

    /// Lets the model write; none where `cancel` was raised.
    ///
    /// # Errors
    /// The engine failed, or a limit of the grammar was hit.
    pub fn ask(&mut self, question: &Question, cancel: &Cancel) -> Result<Option<Written>, Error> {
        let mut written = Written::behind(question);
        if let Some(failure) = self.failure(question) {
            return Ok(Some(Written { failure, ..written }));
        }
        let read = self.session.prepare(&question.prompt, cancel)?;
        if !read.complete {
            return Ok(None);
        }
        if self.last.0 != question.prompt {
            self.last = (question.prompt.clone(), read.read_ms);
        }
        written.read_ms = self.last.1;
        written.tokens_read = read.tokens_read as u64;
        let vocab = Arc::clone(self.session.vocab());
        let mut matcher = self.matcher(question)?;
        let flags = self.free_tokens(&vocab);
        let mut held = Held::new(matcher.as_mut(), &vocab, &flags);
        let mut sampler = Sampler::new(SamplerOptions::default());
        let generation =
            generate(&mut self.session, held.constraint(), &mut sampler, &OPTIONS, cancel, &mut |_, _| {})?;
        if generation.stop == StopCause::Cancelled {
            return Ok(None);
        }
        written.write_ms = generation.stats.decode_ms;
        written.take(&generation, matcher.as_mut(), &vocab);
        Ok(Some(written))
    }

    /// Lets the model write replies to several questions, at most [`Caller::lanes`], in passes over all of them; none where
    /// `cancel` was raised. The time of reading and writing is shared evenly among them, as the time of writing.
    ///
    /// # Errors
    /// As [`Caller::ask`].
    pub fn ask_together(&mut self, questions: &[Question], cancel: &Cancel) -> Result<Option<Vec<Written>>, Error> {
        let started = Instant::now();
        let vocab = Arc::clone(self.session.vocab());
        let flags = self.free_tokens(&vocab);
        let mut all: Vec<Written> = questions
            .iter()
            .map(|question| Written {
                failure: self.failure(question).unwrap_or_default(),
                ..Written::behind(question)
            })
            .collect();
        let mut matchers = Vec::with_capacity(questions.len());
        for question in questions {
            matchers.push(self.matcher(question)?);
        }
        let mut held: Vec<Held<'_>> =
            matchers.iter_mut().map(|matcher| Held::new(matcher.as_mut(), &vocab, &flags)).collect();
        let mut jobs: Vec<Job<'_>> = questions
            .iter()
            .zip(&mut held)
            .zip(&all)
            .filter(|(_, written)| written.failure.is_empty())
            .map(|((question, held), _)| Job {
                prompt: &question.prompt,
                constraint: held.constraint(),
                sampler: Sampler::new(SamplerOptions::default()),
            })
            .collect();
        let generations = generate_together(&mut self.session, &mut jobs, &OPTIONS, cancel)?;
        drop(jobs);
        drop(held);
        if generations.iter().any(|generation| generation.stop == StopCause::Cancelled) {
            return Ok(None);
        }
        let spent = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let asked = all.iter_mut().zip(&mut matchers).filter(|(written, _)| written.failure.is_empty());
        let share = spent / (generations.len() as u64).max(1);
        for ((written, matcher), generation) in asked.zip(&generations) {
            written.tokens_read = generation.stats.prompt_tokens_read;
            written.write_ms = share;
            written.take(generation, matcher.as_mut(), &vocab);
        }
        Ok(Some(all))
    }

    /// Why a question cannot be asked, or the window does not hold prompt and reply; none where it does.
    fn failure(&self, question: &Question) -> Option<String> {
        if !question.failure.is_empty() {
            return Some(question.failure.clone());
        }
        let (prompt, window) = (question.prompt.len(), self.window_tokens());
        (prompt + MAX_REPLY_TOKENS > window).then(|| format!("the prompt has {prompt} tokens, the window {window}"))
    }

    /// The question's grammar at its beginning; none where the model writes freely.
    fn matcher(&self, question: &Question) -> Result<Option<Matcher>, Error> {
        let grammar = question.grammar.as_deref().map(|grammar| self.compiler.compile(grammar)).transpose()?;
        let matcher = grammar.as_ref().map(Grammar::matcher).transpose();
        Ok(matcher.map_err(crate::inference::Error::from)?)
    }

    /// Which tokens may be written freely: text, and what the dialect opens and closes calls with.
    fn free_tokens(&self, vocab: &Vocab) -> Vec<bool> {
        let mut flags = vocab.text_flags().to_vec();
        for tag in self.dialect.call_tags() {
            if let Some(flag) = flags.get_mut(tag.0 as usize) {
                *flag = true;
            }
        }
        flags
    }
}

/// What a reply is held to.
enum Held<'a> {
    Grammar(ShortText<'a>),
    Free(Unconstrained<'a>),
}

impl<'a> Held<'a> {
    fn new(matcher: Option<&'a mut Matcher>, vocab: &'a Vocab, is_text: &'a [bool]) -> Self {
        match matcher {
            Some(matcher) => Self::Grammar(ShortText::new(matcher, vocab)),
            None => Self::Free(Unconstrained { is_text }),
        }
    }

    fn constraint(&mut self) -> &mut dyn Constraint {
        match self {
            Self::Grammar(short) => short,
            Self::Free(free) => free,
        }
    }
}

/// The functions of a case as the model sees them.
#[must_use]
pub fn definitions(case: &Case) -> Vec<FunctionDefinition> {
    case.functions.iter().map(|function| shown(function, case.category.language())).collect()
}

/// What a reply to a case may be under the grammar, whatever the case demands.
#[must_use]
pub fn offer(case: &Case) -> CallOffer {
    let held = |function: FunctionDefinition| FunctionDefinition { parameters: held(&function.parameters), ..function };
    CallOffer {
        functions: definitions(case).into_iter().map(held).collect(),
        most_calls: MOST_CALLS,
        max_text_chars: MAX_TEXT_CHARS,
        max_thought_chars: MAX_THOUGHT_CHARS,
    }
}
