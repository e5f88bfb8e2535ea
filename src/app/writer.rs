//! A model that writes on from a prompt, with or without a grammar; no agent, no memory. For `mneme complete` and
//! `mneme grammar sample`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Error;
use super::interrupt::{leave_on_ctrl_c, raise_on_ctrl_c};
use super::output::{WholeCharacters, tell};
use crate::cli::{ModelArgs, WritingArgs};
use crate::config::{self, Config, ConfigFile, Overrides};
use crate::dialect::{self, Profile};
use crate::grammar::Grammar;
use crate::inference::{
    Engine, GenerateOptions, GenerateStats, PrefixReport, Sampler, SamplerOptions, Session, StopCause, generate,
    tokenize_template, tokenize_text,
};
use crate::kernel::prompt_tokens;
use crate::types::{Cancel, Constraint, TokenId, Unconstrained};

/// A loaded model with a prompt.
pub(super) struct Writer {
    session: Session,
    prompt: Vec<TokenId>,
    sampler: SamplerOptions,
    max_tokens: usize,
    cancel: Cancel,
}

/// What was written.
#[derive(Debug, Clone)]
pub(super) struct Written {
    /// The text; named control tokens are spelled.
    pub(super) text: String,
    /// Why it stopped.
    pub(super) stop: StopCause,
    /// Whether the grammar accepts the text as it stands; none without a grammar.
    pub(super) accepted: Option<bool>,
    /// Tokens of the text, forced ones included.
    pub(super) token_count: usize,
    /// Tokens of the prompt.
    pub(super) prompt_token_count: usize,
    /// Cost of reading the prompt.
    pub(super) read: PrefixReport,
    /// Cost of writing.
    pub(super) stats: GenerateStats,
}

impl Written {
    /// Whether the user stopped it.
    pub(super) fn is_cancelled(&self) -> bool {
        self.stop == StopCause::Cancelled
    }

    /// Why it stopped, in one word.
    pub(super) const fn stop_word(&self) -> &'static str {
        match self.stop {
            StopCause::End => "end",
            StopCause::Complete => "complete",
            StopCause::MaxTokens => "max_tokens",
            StopCause::WindowFull => "window_full",
            StopCause::Cancelled => "cancelled",
            StopCause::Stuck => "stuck",
        }
    }

    /// Why it stopped, with what to do about it.
    pub(super) fn stop_sentence(&self) -> String {
        match self.stop {
            StopCause::End => "the model ended it".to_owned(),
            StopCause::Complete => "nothing can follow".to_owned(),
            StopCause::MaxTokens => format!("cut off after {} tokens (see --max-tokens)", self.token_count),
            StopCause::WindowFull => {
                format!("cut off after {} tokens: the window is full (see --context-window)", self.token_count)
            }
            StopCause::Cancelled => "stopped by Ctrl-C".to_owned(),
            StopCause::Stuck => format!("stopped after {} tokens: it went on repeating itself", self.token_count),
        }
    }
}

impl Writer {
    /// Loads the model and puts the prompt into tokens. Ctrl-C leaves the program until then, and stops the writing
    /// from then on.
    ///
    /// # Errors
    /// A setting is out of range, the model cannot be loaded, or its chat template is of no use.
    pub(super) fn open(
        model: &ModelArgs,
        arguments: &WritingArgs,
        prompt: &str,
        default_temperature: f32,
    ) -> Result<Self, Error> {
        let home = config::home_from_environment()?;
        let overrides = Overrides {
            model: Some(model.model.clone()),
            context_window: arguments.context_window,
            temperature: Some(arguments.temperature.unwrap_or(default_temperature)),
            seed: Some(arguments.seed),
            device: arguments.device,
            ..Overrides::default()
        };
        let config = Config::new(home.clone(), ConfigFile::read(&home)?, overrides)?;
        let cancel = Cancel::new();
        let loading = Arc::new(AtomicBool::new(true));
        leave_on_ctrl_c(&loading)?;
        raise_on_ctrl_c(&cancel)?;
        let session = Session::new(super::engine::load(model.engine, &config, &cancel)?)?;
        let prompt = tokens_of(session.engine(), arguments, prompt)?;
        loading.store(false, std::sync::atomic::Ordering::SeqCst);
        Ok(Self { session, prompt, sampler: config.sampler, max_tokens: arguments.max_tokens, cancel })
    }

    /// Writes one text; `number` is added to the seed. `on_text` sees the text as it grows and may stop it with an
    /// error.
    ///
    /// # Errors
    /// The engine failed, a limit of the grammar was hit, or `on_text` failed.
    pub(super) fn write(
        &mut self,
        grammar: Option<&Grammar>,
        number: u64,
        on_text: &mut dyn FnMut(&str) -> Result<(), Error>,
    ) -> Result<Written, Error> {
        let vocab = Arc::clone(self.session.vocab());
        let mut matcher = grammar.map(Grammar::matcher).transpose()?;
        let mut unconstrained = Unconstrained { is_text: vocab.text_flags() };
        let read = self.session.prepare(&self.prompt, &self.cancel)?;
        let seed = self.sampler.seed.wrapping_add(number);
        let mut sampler = Sampler::new(SamplerOptions { seed, ..self.sampler });
        let options = GenerateOptions { max_tokens: self.max_tokens, ..GenerateOptions::default() };
        let mut text = String::new();
        let mut characters = WholeCharacters::default();
        let mut failure = None;
        let constraint: &mut dyn Constraint = match &mut matcher {
            Some(matcher) => matcher,
            None => &mut unconstrained,
        };
        let generation =
            generate(&mut self.session, constraint, &mut sampler, &options, &self.cancel, &mut |token, _| {
                let piece = characters.push(vocab.bytes(token));
                if let Err(error) = on_text(&piece) {
                    failure.get_or_insert(error);
                    self.cancel.raise();
                }
                text.push_str(&piece);
            })?;
        if let Some(error) = failure {
            return Err(error);
        }
        Ok(Written {
            text,
            stop: generation.stop,
            accepted: matcher.map(|matcher| generation.stop.is_whole() || matcher.may_end()),
            token_count: generation.tokens.len(),
            prompt_token_count: self.prompt.len(),
            read,
            stats: generation.stats,
        })
    }
}

/// The prompt as tokens, raw or through the chat template. A model has to read something: where there is no text, that
/// is the token that begins or separates texts.
fn tokens_of(engine: &dyn Engine, arguments: &WritingArgs, prompt: &str) -> Result<Vec<TokenId>, Error> {
    let (identity, vocab) = (engine.identity(), engine.vocab());
    if arguments.chat {
        let chosen = dialect::choose(identity, vocab, Profile::Native)?;
        if let Some(notice) = chosen.notice {
            tell(&format!("note: {notice}"));
        }
        return Ok(prompt_tokens(engine, &chosen.dialect.render_side(&arguments.system, &[], prompt)?)?);
    }
    let mut tokens = Vec::new();
    if identity.add_bos {
        tokens.extend(vocab.bos());
    }
    tokens.extend(if arguments.special { tokenize_template(engine, prompt)? } else { tokenize_text(engine, prompt)? });
    if tokens.is_empty() {
        tokens.extend(vocab.bos().or_else(|| vocab.end_of_generation().first().copied()));
    }
    Ok(tokens)
}
