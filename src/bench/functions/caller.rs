//! A model that is asked: the prompt in its own dialect, with or without the grammar of the functions at hand.
//!
//! Both ways have the same prompt, which is read once: what one way has written behind it is cut for the other. With the
//! grammar a reply is text or calls that the functions' schemas allow; nothing tells which of them a case demands, nor how
//! many. A call that comes to the most tokens of a reply, or repeats itself, is closed by the shortest end that the grammar
//! has, and a text ends after 64 tokens: it cannot become a call any more. Everything is greedy, so that a run can be repeated.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::closing::{ShortText, close};
use super::data::{Case, Speaker};
use super::parameters::{held, shown};
use super::{Error, Reply, read_reply};
use crate::dialect::{self, CallPrompt, Dialect, Profile};
use crate::grammar::{Compiler, Grammar, Limits};
use crate::inference::{Engine, GenerateOptions, Sampler, SamplerOptions, Session, StopCause, Vocab, generate};
use crate::kernel::prompt_tokens;
use crate::types::{CallOffer, Cancel, Constraint, FunctionDefinition, Hasher, TokenId, Unconstrained};

/// What every model is told, before what a case says itself. Chosen among five wordings on 16 cases of our own, none of the
/// leaderboard's: without the word of a list the 1.5B model of Qwen2.5-Coder makes one call where several are asked for.
const INSTRUCTIONS: &str = "You are a helpful assistant. A reply is either plain text, or all the function calls that the \
                            request needs, in a JSON list where there are several. Reply in plain text where no function \
                            does what is asked, or where something that it requires was not said.";
/// Most tokens of a reply: the longest accepted calls take a third.
pub const MAX_REPLY_TOKENS: usize = 512;
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
    /// Hash of everything that the reply depends on, the model apart.
    pub key: String,
}

/// What a model has written, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The text, with control tokens spelled.
    pub text: String,
    /// Whether it came to its end.
    pub is_complete: bool,
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

/// A loaded model with the way of talking to it.
pub struct Caller {
    session: Session,
    dialect: Box<dyn Dialect>,
    compiler: Compiler,
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
        let session = Session::new(engine)?;
        let compiler = Compiler::new(Arc::clone(session.vocab()), Limits::default());
        let caller = Self { session, dialect: chosen.dialect, compiler, last: Default::default() };
        Ok((caller, chosen.notice))
    }

    /// The model's dialect.
    #[must_use]
    pub fn dialect_name(&self) -> &'static str {
        self.dialect.name()
    }

    /// Window in tokens.
    #[must_use]
    pub fn window_tokens(&self) -> usize {
        self.session.engine().context_window_tokens()
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
        hasher.update(&MAX_REPLY_TOKENS.to_le_bytes());
        Ok(Question { prompt, grammar, key: hasher.hex() })
    }

    /// Lets the model write; none where `cancel` was raised.
    ///
    /// # Errors
    /// The engine failed, or a limit of the grammar was hit.
    pub fn ask(&mut self, question: &Question, cancel: &Cancel) -> Result<Option<Written>, Error> {
        let vocab = Arc::clone(self.session.vocab());
        let mut written = Written {
            text: String::new(),
            is_complete: false,
            prompt_tokens: question.prompt.len() as u64,
            tokens_read: 0,
            tokens_sampled: 0,
            tokens_forced: 0,
            read_ms: 0,
            write_ms: 0,
            failure: String::new(),
        };
        let (prompt, window) = (question.prompt.len(), self.window_tokens());
        if prompt + MAX_REPLY_TOKENS > window {
            written.failure = format!("the prompt has {prompt} tokens, the window {window}");
            return Ok(Some(written));
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
        let grammar = question.grammar.as_deref().map(|grammar| self.compiler.compile(grammar)).transpose()?;
        let matcher = grammar.as_ref().map(Grammar::matcher).transpose();
        let mut matcher = matcher.map_err(crate::inference::Error::from)?;
        let flags = self.free_tokens(&vocab);
        let mut free = Unconstrained { is_text: &flags };
        let mut short = matcher.as_mut().map(|matcher| ShortText::new(matcher, &vocab));
        let constraint: &mut dyn Constraint = match &mut short {
            Some(short) => short,
            None => &mut free,
        };
        let options = GenerateOptions { max_tokens: MAX_REPLY_TOKENS, stop_stuck: true, ..GenerateOptions::default() };
        let mut sampler = Sampler::new(SamplerOptions::default());
        let mut bytes = Vec::new();
        let mut on_token = |token, _: &[u8]| bytes.extend_from_slice(vocab.bytes(token));
        let generation = generate(&mut self.session, constraint, &mut sampler, &options, cancel, &mut on_token)?;
        if generation.stop == StopCause::Cancelled {
            return Ok(None);
        }
        written.is_complete = generation.stop.is_whole();
        if let Some(matcher) = matcher.as_mut().filter(|_| !written.is_complete)
            && let Some((tail, tokens)) = close(matcher, &vocab, &bytes)
        {
            bytes.extend(tail);
            written.tokens_forced += tokens;
            written.is_complete = true;
        }
        written.text = String::from_utf8_lossy(&bytes).into_owned();
        written.tokens_sampled = generation.stats.tokens_sampled;
        written.tokens_forced += generation.stats.tokens_forced;
        written.write_ms = generation.stats.decode_ms;
        Ok(Some(written))
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
