//! A real engine without a model: it replays prepared replies and records every prompt (DESIGN D8).
//!
//! Prompt reading, cache cuts, tokens, grammars, sampling and the decode loop are the ones that models use; only the
//! logits come from a script. A generation starts when a read ends with `<|im_start|>assistant` and a line break: the
//! prompt is recorded and a reply is chosen. From then on the reply's next token has the highest logit. The reply is
//! compared by bytes, so text that the decode loop forces in other tokens still continues it. Like llama.cpp on Qwen
//! files, the tokenizer makes control tokens of a spelled `<tool_call>` even in plain text: text must go through
//! [`super::tokenize_text`].

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::scripted_words::{CHAT_TEMPLATE, CONTROLS, vocab_rows};
use super::{Engine, Error, ModelIdentity, ReadReport, Sequence, TokenKind, Vocab};
use crate::types::{Cancel, TokenId, irregular_file};

/// Longest script file in bytes.
const MAX_SCRIPT_BYTES: u64 = 16 << 20;
/// Window where the script names none, in tokens.
const DEFAULT_WINDOW_TOKENS: usize = 4096;
/// Tokens read between two looks at the cancel flag, as in the llama.cpp engine.
const READ_CHUNK_TOKENS: usize = 128;
/// Time between two looks at the cancel flag while a script pauses.
const PAUSE_STEP: Duration = Duration::from_millis(10);
/// Logit of the reply's next token; shorter tokens with the same beginning follow one below the other.
const NEXT_LOGIT: f32 = 100.0;
/// Logit of the end of generation where the reply has more to say, above all tokens that it does not name.
const END_LOGIT: f32 = 10.0;

/// One prepared reply.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedReply {
    /// Used only where this stands in what is new in the prompt: everything behind the model's last turn, or behind
    /// the system turn where the model has not spoken yet.
    #[serde(default)]
    pub when: Option<String>,
    /// What the model generates; spelled control tokens are control tokens, unless it is `plain`.
    pub reply: String,
    /// Spelled control tokens are spelled byte by byte, as a model can do where a grammar takes any text.
    #[serde(default)]
    pub plain: bool,
    /// Whether it can be used more than once.
    #[serde(default)]
    pub repeat: bool,
}

/// What a scripted engine does.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Window in tokens.
    #[serde(default = "default_window")]
    pub context_window: usize,
    /// Pause before each token, in milliseconds: time to interrupt.
    #[serde(default)]
    pub token_delay_ms: u64,
    /// Pause before each chunk of tokens that is read, in milliseconds; it ends where the reading is cancelled.
    #[serde(default)]
    pub read_delay_ms: u64,
    /// How long loading takes, in milliseconds; it ends where it is cancelled.
    #[serde(default)]
    pub load_delay_ms: u64,
    /// Most tokens of a draft.
    #[serde(default)]
    pub draft_tokens: usize,
    /// The first unused one whose `when` fits is taken.
    #[serde(default)]
    pub replies: Vec<ScriptedReply>,
    /// The reply where none fits; without it that is an error.
    #[serde(default)]
    pub otherwise: Option<String>,
}

const fn default_window() -> usize {
    DEFAULT_WINDOW_TOKENS
}

impl Default for Script {
    fn default() -> Self {
        Self {
            context_window: DEFAULT_WINDOW_TOKENS,
            token_delay_ms: 0,
            read_delay_ms: 0,
            load_delay_ms: 0,
            draft_tokens: 0,
            replies: Vec::new(),
            otherwise: None,
        }
    }
}

impl Script {
    /// A script of replies that are given one after the other.
    #[must_use]
    pub fn of<'a>(replies: impl IntoIterator<Item = &'a str>) -> Self {
        let reply = |text: &str| ScriptedReply { reply: text.to_owned(), ..ScriptedReply::default() };
        Self { replies: replies.into_iter().map(reply).collect(), ..Self::default() }
    }

    /// Reads a script file (JSON).
    ///
    /// # Errors
    /// [`Error::Unreadable`]; [`Error::BadScript`] for what is no regular file, too large, not JSON, or has unknown
    /// fields.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let unreadable = |source| Error::Unreadable { path: path.to_path_buf(), source };
        let bad = |reason: String| Error::BadScript { path: path.to_path_buf(), reason };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if let Some(found) = irregular_file(&metadata) {
            return Err(bad(format!("it is {found}")));
        }
        let length = metadata.len();
        if length > MAX_SCRIPT_BYTES {
            return Err(bad(format!("{length} bytes, at most {MAX_SCRIPT_BYTES} are accepted")));
        }
        let text = std::fs::read(path).map_err(unreadable)?;
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        let script: Self = serde_json::from_value(object.into()).map_err(|error| bad(error.to_string()))?;
        if script.context_window == 0 {
            return Err(bad("context_window is 0".to_owned()));
        }
        Ok(script)
    }

    /// Takes the time that loading takes, or less where it is cancelled.
    pub fn wait_to_load(&self, cancel: &Cancel) {
        pause(self.load_delay_ms, cancel);
    }
}

/// Waits so many milliseconds, or until it is cancelled.
fn pause(wait_ms: u64, cancel: &Cancel) {
    let until = Instant::now() + Duration::from_millis(wait_ms);
    while !cancel.is_raised() && Instant::now() < until {
        std::thread::sleep(PAUSE_STEP.min(until.saturating_duration_since(Instant::now())));
    }
}

/// One generation as the engine saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptedGeneration {
    /// The whole prompt.
    pub prompt: Vec<TokenId>,
    /// The prompt as text, control tokens spelled.
    pub text: String,
    /// Which of the script's replies was chosen; `None` for `otherwise` or where none fitted.
    pub reply: Option<usize>,
    /// Whether what was generated, when logits were last asked for, is not how the reply goes: the grammar refused its token.
    pub diverged: bool,
    /// Bytes of the reply (1 for a control token) that were to come when logits were last asked for. Above what one
    /// token spells, the generation was stopped, or the grammar did not let the reply go on.
    pub rest_bytes: usize,
}

/// What a scripted engine has recorded; clones look at the same record.
#[derive(Debug, Clone, Default)]
pub struct ScriptedLog(Arc<Mutex<Vec<ScriptedGeneration>>>);

impl ScriptedLog {
    /// All generations so far.
    #[must_use]
    pub fn generations(&self) -> Vec<ScriptedGeneration> {
        self.lock().clone()
    }

    /// The texts of all prompts so far.
    #[must_use]
    pub fn prompts(&self) -> Vec<String> {
        self.lock().iter().map(|generation| generation.text.clone()).collect()
    }

    /// All generations since the last call, which are no longer recorded then.
    #[must_use]
    pub fn take(&self) -> Vec<ScriptedGeneration> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ScriptedGeneration>> {
        // A panic elsewhere leaves the record as it was.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_last(&self, change: impl FnOnce(&mut ScriptedGeneration)) {
        if let Some(last) = self.lock().last_mut() {
            change(last);
        }
    }
}

/// A byte of a reply or a control token in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte(u8),
    Control(TokenId),
}

/// The engine.
#[derive(Debug)]
pub struct ScriptedEngine {
    script: Script,
    identity: ModelIdentity,
    vocab: Arc<Vocab>,
    by_bytes: HashMap<Box<[u8]>, TokenId>,
    longest_token_bytes: usize,
    sequence: Sequence,
    /// The selected sequence.
    cached: Vec<TokenId>,
    /// The others, by [`Sequence::index`].
    parked: [Vec<TokenId>; Sequence::COUNT],
    logits: Vec<f32>,
    /// How many of the last tokens in the cache have logits.
    logits_rows: usize,
    used: Vec<bool>,
    /// The reply that is being given, and where in the cache it begins.
    current: Option<(Vec<Unit>, usize)>,
    log: ScriptedLog,
}

impl ScriptedEngine {
    /// An engine that plays `script`.
    #[must_use]
    pub fn new(script: Script) -> Self {
        let rows = vocab_rows();
        let ends = (0_u32..)
            .zip(&rows)
            .filter(|(_, (name, _))| matches!(name.as_slice(), b"<|im_end|>" | b"<|endoftext|>"))
            .map(|(id, _)| TokenId(id))
            .collect();
        let by_bytes: HashMap<Box<[u8]>, TokenId> = (0_u32..)
            .zip(&rows)
            .filter(|(_, (_, kind))| *kind == TokenKind::Text)
            .map(|(id, (bytes, _))| (bytes.clone().into_boxed_slice(), TokenId(id)))
            .collect();
        let vocab = Arc::new(Vocab::new(rows, ends, None));
        Self {
            identity: ModelIdentity {
                name: "scripted".to_owned(),
                engine: "scripted",
                chat_template: Some(CHAT_TEMPLATE.to_owned()),
                add_bos: false,
                trained_context_tokens: script.context_window,
            },
            longest_token_bytes: by_bytes.keys().map(|bytes| bytes.len()).max().unwrap_or(1),
            logits: vec![0.0; vocab.len()],
            vocab,
            by_bytes,
            sequence: Sequence::Main,
            cached: Vec::new(),
            parked: Default::default(),
            logits_rows: 0,
            used: vec![false; script.replies.len()],
            current: None,
            log: ScriptedLog::default(),
            script,
        }
    }

    /// The record of prompts; stays readable when the engine has been given away.
    #[must_use]
    pub fn log(&self) -> ScriptedLog {
        self.log.clone()
    }

    /// Greedy longest match; the vocabulary has every byte, so it always succeeds.
    fn next_token(&self, bytes: &[u8]) -> Option<(TokenId, usize)> {
        (1..=bytes.len().min(self.longest_token_bytes))
            .rev()
            .find_map(|length| self.by_bytes.get(&bytes[..length]).map(|token| (*token, length)))
    }

    fn units(&self, tokens: &[TokenId]) -> Vec<Unit> {
        let mut units = Vec::new();
        for token in tokens {
            if self.vocab.kind(*token) == TokenKind::Control {
                units.push(Unit::Control(*token));
            } else {
                units.extend(self.vocab.bytes(*token).iter().copied().map(Unit::Byte));
            }
        }
        units
    }

    /// The units of a reply: spelled control tokens are control tokens.
    fn reply_units(&self, text: &str) -> Vec<Unit> {
        let bytes = text.as_bytes();
        let mut units = Vec::new();
        let mut position = 0;
        while position < bytes.len() {
            if let Some((control, length)) = self.vocab.longest_control_at(&bytes[position..]) {
                units.push(Unit::Control(control));
                position += length;
            } else {
                units.push(Unit::Byte(bytes[position]));
                position += 1;
            }
        }
        units
    }

    fn text(&self, tokens: &[TokenId]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|token| self.vocab.bytes(*token)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Where turns begin in the cache.
    fn turn_starts(&self) -> Vec<usize> {
        let start = self.vocab.control(CONTROLS[0]);
        let is_start = |token: &TokenId| Some(*token) == start;
        self.cached.iter().enumerate().filter(|(_, token)| is_start(token)).map(|(place, _)| place).collect()
    }

    /// Where the reply of the assistant's turn begins that is the last in the cache; none where that is another's.
    fn reply_start(&self) -> Option<usize> {
        let header = self.turn_starts().last()? + 1;
        let mut ends = header..=self.cached.len();
        ends.find(|end| self.text(&self.cached[header..*end]) == "assistant\n")
    }

    /// The text behind the last turn of system or assistant, without the open header at the end.
    fn new_text(&self) -> String {
        let starts = self.turn_starts();
        let Some((header, turns)) = starts.split_last() else { return String::new() };
        let mut from = 0;
        for (place, start) in turns.iter().enumerate() {
            let end = turns.get(place + 1).unwrap_or(header);
            let role = self.text(&self.cached[start + 1..(start + 16).min(*end)]);
            if role.starts_with("system") || role.starts_with("assistant") {
                from = *end;
            }
        }
        self.text(&self.cached[from..*header])
    }

    /// Records the prompt, the first `start` tokens of the cache, and chooses a reply.
    fn start_generation(&mut self, start: usize) {
        let new_text = self.new_text();
        let fits = |(place, reply): (usize, &ScriptedReply)| {
            let open = reply.repeat || !self.used[place];
            let matches = reply.when.as_ref().is_none_or(|when| new_text.contains(when));
            (open && matches).then_some(place)
        };
        let chosen = self.script.replies.iter().enumerate().find_map(fits);
        let units: Option<Vec<Unit>> = match chosen {
            Some(place) => {
                self.used[place] = true;
                let ScriptedReply { reply, plain, .. } = &self.script.replies[place];
                Some(if *plain { reply.bytes().map(Unit::Byte).collect() } else { self.reply_units(reply) })
            }
            None => self.script.otherwise.as_deref().map(|text| self.reply_units(text)),
        };
        self.current = units.map(|units| (units, start));
        // A record that nobody has asked for would only grow.
        if Arc::strong_count(&self.log.0) == 1 {
            self.log.lock().clear();
        }
        self.log.lock().push(ScriptedGeneration {
            prompt: self.cached[..start].to_vec(),
            text: self.text(&self.cached[..start]),
            reply: chosen,
            diverged: false,
            rest_bytes: self.current.as_ref().map_or(0, |(units, _)| units.len()),
        });
    }

    /// Logits behind the first `position` tokens of the cache.
    fn fill_logits(&mut self, position: usize) -> Result<(), Error> {
        let Some((reply, start)) = &self.current else {
            return Err(Error::BadScript {
                path: self.identity.name.clone().into(),
                reason: format!("no reply fits the prompt whose new part is {:?}", self.new_text()),
            });
        };
        let given = self.units(self.cached.get(*start..position).unwrap_or_default());
        // Unlikely tokens in the order of their ids.
        for (logit, id) in self.logits.iter_mut().zip(0_u16..) {
            *logit = -f32::from(id);
        }
        for end in self.vocab.end_of_generation() {
            self.logits[end.index()] = END_LOGIT;
        }
        let rest = reply.strip_prefix(given.as_slice());
        self.log.change_last(|last| last.diverged = rest.is_none());
        let Some(rest) = rest else { return Ok(()) };
        let rest_bytes = rest.len();
        match rest.first() {
            None => {
                if let Some(end) = self.vocab.control(CONTROLS[1]) {
                    self.logits[end.index()] = NEXT_LOGIT;
                }
            }
            Some(Unit::Control(control)) => self.logits[control.index()] = NEXT_LOGIT,
            Some(Unit::Byte(_)) => {
                let bytes: Vec<u8> = rest
                    .iter()
                    .take(self.longest_token_bytes)
                    .map_while(|unit| match unit {
                        Unit::Byte(byte) => Some(*byte),
                        Unit::Control(_) => None,
                    })
                    .collect();
                // A grammar may refuse the longest token where it takes a shorter one.
                let mut logit = NEXT_LOGIT;
                for length in (1..=bytes.len()).rev() {
                    if let Some(token) = self.by_bytes.get(&bytes[..length]) {
                        self.logits[token.index()] = logit;
                        logit -= 1.0;
                    }
                }
            }
        }
        self.log.change_last(|last| last.rest_bytes = rest_bytes);
        Ok(())
    }
}

impl Engine for ScriptedEngine {
    fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    fn vocab(&self) -> &Arc<Vocab> {
        &self.vocab
    }

    fn select(&mut self, sequence: Sequence) {
        if sequence != self.sequence {
            std::mem::swap(&mut self.cached, &mut self.parked[self.sequence.index()]);
            std::mem::swap(&mut self.cached, &mut self.parked[sequence.index()]);
            self.sequence = sequence;
            self.logits_rows = 0;
            self.current = None;
        }
    }

    fn context_window_tokens(&self) -> usize {
        self.script.context_window
    }

    fn tokenize_raw(&self, text: &str) -> Result<Vec<TokenId>, Error> {
        let bytes = text.as_bytes();
        let mut tokens = Vec::new();
        let mut position = 0;
        while position < bytes.len() {
            let user_defined = CONTROLS[3..].iter().find(|name| bytes[position..].starts_with(name.as_bytes()));
            let control = user_defined.and_then(|name| Some((self.vocab.control(name)?, name.len())));
            let Some((token, length)) = control.or_else(|| self.next_token(&bytes[position..])) else {
                return Err(Error::Native { operation: "tokenising", reason: format!("byte {}", bytes[position]) });
            };
            tokens.push(token);
            position += length;
        }
        Ok(tokens)
    }

    fn position_tokens(&self) -> usize {
        self.cached.len()
    }

    fn draft_tokens(&self) -> Option<usize> {
        Some(self.script.draft_tokens)
    }

    fn truncate(&mut self, position_tokens: usize) -> Result<(), Error> {
        if position_tokens < self.cached.len() {
            self.cached.truncate(position_tokens);
            self.logits_rows = 0;
            if self.current.as_ref().is_some_and(|(_, start)| *start > position_tokens) {
                self.current = None;
            }
        }
        Ok(())
    }

    fn read_for(&mut self, tokens: &[TokenId], rows: usize, cancel: &Cancel) -> Result<ReadReport, Error> {
        self.require_window(self.cached.len() + tokens.len())?;
        let mut report = ReadReport { tokens_read: 0, forward_passes: 0 };
        for chunk in tokens.chunks(READ_CHUNK_TOKENS) {
            pause(self.script.read_delay_ms, cancel);
            if cancel.is_raised() {
                return Ok(report);
            }
            self.cached.extend_from_slice(chunk);
            report.tokens_read += chunk.len();
            report.forward_passes += 1;
            let is_whole = report.tokens_read == tokens.len();
            self.logits_rows = if is_whole { rows.clamp(1, tokens.len()) } else { 0 };
        }
        Ok(report)
    }

    fn state_key(&self) -> &str {
        "scripted"
    }

    fn state(&self) -> Result<Vec<u8>, Error> {
        Ok(self.cached.iter().flat_map(|token| token.0.to_le_bytes()).collect())
    }

    fn restore(&mut self, state: &[u8], position_tokens: usize) -> Result<(), Error> {
        let (chunks, rest) = state.as_chunks::<4>();
        let tokens: Vec<TokenId> = chunks.iter().map(|bytes| TokenId(u32::from_le_bytes(*bytes))).collect();
        let is_known = tokens.iter().all(|token| token.index() < self.vocab.len());
        self.logits_rows = 0;
        self.cached.clear();
        if !rest.is_empty() || tokens.len() != position_tokens || !is_known {
            let reason = format!("{} bytes for {position_tokens} tokens", state.len());
            return Err(Error::Native { operation: "restoring the cache", reason });
        }
        self.cached = tokens;
        Ok(())
    }

    fn logits_behind(&mut self, back: usize) -> Result<&mut [f32], Error> {
        if back >= self.logits_rows {
            return Err(Error::NoLogits);
        }
        if self.script.token_delay_ms > 0 {
            std::thread::sleep(Duration::from_millis(self.script.token_delay_ms));
        }
        if let Some(start) = self.reply_start()
            && self.current.as_ref().is_none_or(|(_, of_current)| *of_current != start)
        {
            self.start_generation(start);
        }
        self.fill_logits(self.cached.len() - back)?;
        Ok(&mut self.logits)
    }
}
