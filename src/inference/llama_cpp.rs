//! The engine on llama.cpp, through `llama-cpp-2`.
//!
//! The file's metadata are checked by our own reader before native code sees the file, and our vocabulary is compared
//! with llama.cpp's, token by token, at load. A native `decode` cannot be aborted, so reading goes in chunks of
//! [`READ_CHUNK_TOKENS`] and the cancel flag is looked at between them. Native logs go to `tracing`.

use std::path::Path;
use std::sync::Arc;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::session::LlamaStateSeqFlags;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;

use super::gguf::Gguf;
use super::llama_load::{backend, context_params, load_model};
use super::loading::{READ_CHUNK_TOKENS, fingerprint, free_memory_bytes, window_tokens};
use super::passes::passes;
use super::vocab_gguf::vocab_from_gguf;
use super::{
    Engine, Error, LoadOptions, MAX_ROWS, MAX_TOGETHER, ModelIdentity, ReadReport, Sequence, TokenKind, Vocab,
};
use crate::types::{Cancel, TokenId};

/// The bindings, and with them the llama.cpp, that write saved states: they carry no version of their own.
const BINDINGS: &str = "llama-cpp-sys-2 0.1.161";
/// Put in front of text for SentencePiece tokenizers, which set a blank before the first word, and taken off again.
const SPM_GUARD: &str = "\n";

/// A model in llama.cpp with its sequences in one cache.
pub struct LlamaCppEngine {
    // Dropped in this order: the context before the model that it points into.
    context: LlamaContext<'static>,
    model: Arc<LlamaModel>,
    batch: LlamaBatch<'static>,
    /// Most tokens of a pass of the conversation.
    read_chunk: usize,
    options: LoadOptions,
    /// Places of the parts' last tokens in the last batch of several sequences.
    part_ends: Vec<usize>,
    identity: ModelIdentity,
    vocab: Arc<Vocab>,
    window_tokens: usize,
    sequence: Sequence,
    /// Tokens in the cache, by [`Sequence::index`].
    positions: [usize; Sequence::COUNT],
    logits: Vec<f32>,
    /// How many of the last tokens in the cache have their logits in the context.
    logits_rows: usize,
    /// Tokens of the last batch.
    batch_tokens: usize,
    can_cut: bool,
    draft_tokens: Option<usize>,
    /// Whether the tokenizer sets a blank before text.
    guards_blank: bool,
    state_key: String,
}

impl std::fmt::Debug for LlamaCppEngine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("LlamaCppEngine")
            .field("identity", &self.identity)
            .field("window_tokens", &self.window_tokens)
            .field("positions", &self.positions)
            .finish_non_exhaustive()
    }
}

/// A number of tokens or a position as the native type.
fn native(number: usize) -> Result<i32, Error> {
    i32::try_from(number)
        .map_err(|_| Error::Native { operation: "counting tokens", reason: format!("{number} is too large") })
}

impl LlamaCppEngine {
    /// Loads the GGUF file `path`. `progress` is told how far loading is, 0 to 1, and returns false to stop it.
    ///
    /// # Errors
    /// [`Error::Unreadable`] and [`Error::BadModelFile`] before native code sees the file; [`Error::LoadFailed`] where
    /// llama.cpp refuses it or its vocabulary differs from ours; [`Error::LoadCancelled`].
    pub fn load(path: &Path, options: &LoadOptions, progress: &mut dyn FnMut(f32) -> bool) -> Result<Self, Error> {
        let gguf = Gguf::open(path)?;
        let own = vocab_from_gguf(&gguf)?;
        let info = gguf.info().clone();
        drop(gguf);
        let failed = |reason: String| Error::LoadFailed { engine: "llama.cpp", path: path.to_path_buf(), reason };
        let model = load_model(path, options, progress)?;
        check_vocab(&model, &own.vocab).map_err(failed)?;
        let trained = usize::try_from(model.n_ctx_train()).unwrap_or(usize::MAX).max(1);
        let window_tokens = window_tokens(
            options.context_window,
            info.kv_bytes_per_token(),
            info.file_bytes,
            trained,
            free_memory_bytes(),
        );
        let model = Arc::new(model);
        let context = model
            .new_context(backend()?, context_params(window_tokens + options.side_cells(), options))
            .map_err(|error| failed(format!("a context of {window_tokens} tokens: {error}")))?;
        let read_chunk = options.tuning.read_batch_tokens.unwrap_or(READ_CHUNK_TOKENS);
        let read_chunk = read_chunk.clamp(1, usize::try_from(context.n_batch()).unwrap_or(READ_CHUNK_TOKENS));
        // SAFETY: the context points into the native model behind `model`. The engine owns an `Arc` of that model from
        // here to its own drop, gives neither context nor model away, and declares `context` before `model`, so the
        // context is dropped first; the lifetime can therefore be taken as unbounded inside the engine.
        let context = unsafe { std::mem::transmute::<LlamaContext<'_>, LlamaContext<'static>>(context) };
        let stem = || path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let add_bos = model.vocab().should_add_bos();
        let can_cut = !model.is_recurrent() && !model.is_hybrid();
        let vocab = own.vocab;
        let guards_blank = info.tokenizer_model.as_deref() == Some("llama");
        Ok(Self {
            context,
            batch: LlamaBatch::new(read_chunk.max(MAX_ROWS).max(if options.lanes > 0 { MAX_TOGETHER } else { 0 }), 1),
            read_chunk,
            options: options.clone(),
            part_ends: Vec::new(),
            identity: ModelIdentity {
                name: options.name.clone().unwrap_or_else(stem),
                engine: "llama-cpp",
                chat_template: info.chat_template,
                add_bos: add_bos && vocab.bos().is_some(),
                trained_context_tokens: trained,
            },
            logits: vec![0.0; vocab.len()],
            model,
            vocab,
            window_tokens,
            sequence: Sequence::Main,
            positions: [0; Sequence::COUNT],
            logits_rows: 0,
            batch_tokens: 0,
            can_cut,
            draft_tokens: if can_cut { options.tuning.draft_tokens } else { Some(0) },
            guards_blank,
            state_key: state_key(path, options)
                .map_err(|source| Error::Unreadable { path: path.to_path_buf(), source })?,
        })
    }

    fn window_of(&self, sequence: Sequence) -> usize {
        self.options.window_of(sequence, self.window_tokens)
    }

    const fn position(&self) -> usize {
        self.positions[self.sequence.index()]
    }

    fn native_tokens(&self, text: &str) -> Result<Vec<TokenId>, Error> {
        if i32::try_from(text.len()).is_err() {
            let reason = format!("a text of {} bytes", text.len());
            return Err(Error::Native { operation: "tokenising", reason });
        }
        self.model
            .vocab()
            .tokenize(text.as_bytes(), false, false)
            .into_iter()
            .map(|token| {
                u32::try_from(token.0)
                    .map(TokenId)
                    .map_err(|_| Error::Native { operation: "tokenising", reason: format!("token {}", token.0) })
            })
            .collect()
    }

    /// Reads one chunk; logits of its last `rows` tokens are computed.
    fn decode(&mut self, chunk: &[TokenId], rows: usize) -> Result<(), Error> {
        self.part_ends.clear();
        self.batch.clear();
        for (place, token) in chunk.iter().enumerate() {
            let wants_logits = place + rows >= chunk.len();
            self.batch
                .add(
                    LlamaToken(native(token.index())?),
                    native(self.position() + place)?,
                    &[native(self.sequence.index())?],
                    wants_logits,
                )
                .map_err(|error| Error::Native { operation: "filling a batch", reason: error.to_string() })?;
        }
        if let Err(error) = self.context.decode(&mut self.batch) {
            // Part of the chunk may be in the cache: take it out again.
            self.cut(self.position())?;
            return Err(Error::Native { operation: "reading tokens", reason: error.to_string() });
        }
        self.positions[self.sequence.index()] += chunk.len();
        (self.logits_rows, self.batch_tokens) = (rows, chunk.len());
        Ok(())
    }

    fn cut(&mut self, position: usize) -> Result<(), Error> {
        self.cut_sequence(self.sequence, position)
    }

    fn cut_sequence(&mut self, sequence: Sequence, position: usize) -> Result<(), Error> {
        // From the first token on is a whole sequence, which every kind of cache can drop.
        let from = u32::try_from(position).ok().filter(|from| *from > 0);
        match self.context.clear_kv_cache_seq(u32::try_from(sequence.index()).ok(), from, None) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let reason = format!("this model's cache cannot be cut to {position} tokens");
                Err(Error::Native { operation: "cutting the cache", reason })
            }
            Err(error) => Err(Error::Native { operation: "cutting the cache", reason: error.to_string() }),
        }
    }
}

impl Engine for LlamaCppEngine {
    fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    fn vocab(&self) -> &Arc<Vocab> {
        &self.vocab
    }

    fn select(&mut self, sequence: Sequence) {
        if sequence != self.sequence {
            self.sequence = sequence;
            self.logits_rows = 0;
        }
    }

    fn context_window_tokens(&self) -> usize {
        self.window_of(self.sequence)
    }

    fn tokenize_raw(&self, text: &str) -> Result<Vec<TokenId>, Error> {
        if self.guards_blank {
            without_blank(&self.vocab, text, |text| self.native_tokens(text))
        } else {
            self.native_tokens(text)
        }
    }

    fn position_tokens(&self) -> usize {
        self.position()
    }

    fn can_cut(&self) -> bool {
        self.can_cut
    }

    fn draft_tokens(&self) -> Option<usize> {
        self.draft_tokens
    }

    fn truncate(&mut self, position_tokens: usize) -> Result<(), Error> {
        if position_tokens >= self.position() {
            return Ok(());
        }
        self.cut(position_tokens)?;
        self.positions[self.sequence.index()] = position_tokens;
        self.logits_rows = 0;
        self.part_ends.clear();
        Ok(())
    }

    fn read_for(&mut self, tokens: &[TokenId], rows: usize, cancel: &Cancel) -> Result<ReadReport, Error> {
        self.require_window(self.position() + tokens.len())?;
        self.vocab.require("reading tokens", tokens)?;
        let mut report = ReadReport { tokens_read: 0, forward_passes: 0 };
        for (chunk, rows) in passes(tokens, rows, self.read_chunk) {
            if cancel.is_raised() {
                return Ok(report);
            }
            self.logits_rows = 0;
            self.decode(chunk, rows)?;
            report.tokens_read += chunk.len();
            report.forward_passes += 1;
        }
        Ok(report)
    }

    fn logits_behind(&mut self, back: usize) -> Result<&mut [f32], Error> {
        if back >= self.logits_rows {
            return Err(Error::NoLogits);
        }
        let place = native(self.batch_tokens - 1 - back)?;
        // A copy, since the native buffer may not be written to: 0.1 ms for 150 000 tokens.
        self.logits.copy_from_slice(self.context.get_logits_ith(place));
        Ok(&mut self.logits)
    }

    fn lanes(&self) -> usize {
        self.options.lanes()
    }

    fn read_together(&mut self, parts: &[(Sequence, &[TokenId])]) -> Result<(), Error> {
        let total: usize = parts.iter().map(|(_, tokens)| tokens.len()).sum();
        let failed = |reason: String| Error::Native { operation: "reading several sequences", reason };
        if total > MAX_TOGETHER || total == 0 || self.options.lanes() == 0 {
            return Err(failed(format!("{total} tokens, {} lanes", self.options.lanes())));
        }
        for (sequence, tokens) in parts {
            let (needed_tokens, window_tokens) =
                (self.positions[sequence.index()] + tokens.len(), self.window_of(*sequence));
            if needed_tokens > window_tokens {
                return Err(Error::ContextOverflow { needed_tokens, window_tokens });
            }
            self.vocab.require("reading several sequences", tokens)?;
        }
        (self.logits_rows, self.batch_tokens) = (0, 0);
        self.part_ends.clear();
        self.batch.clear();
        let mut ends = Vec::with_capacity(parts.len());
        for (sequence, tokens) in parts {
            let at = self.positions[sequence.index()];
            for (place, token) in tokens.iter().enumerate() {
                let (token, position) = (LlamaToken(native(token.index())?), native(at + place)?);
                let is_last = place + 1 == tokens.len();
                self.batch
                    .add(token, position, &[native(sequence.index())?], is_last)
                    .map_err(|error| failed(error.to_string()))?;
            }
            ends.push(usize::try_from(self.batch.n_tokens()).unwrap_or(0).saturating_sub(1));
        }
        if let Err(error) = self.context.decode(&mut self.batch) {
            for (sequence, _) in parts {
                self.cut_sequence(*sequence, self.positions[sequence.index()])?;
            }
            return Err(failed(error.to_string()));
        }
        for (sequence, tokens) in parts {
            self.positions[sequence.index()] += tokens.len();
        }
        self.part_ends = ends;
        Ok(())
    }

    fn logits_of(&mut self, part: usize) -> Result<&mut [f32], Error> {
        let place = native(*self.part_ends.get(part).ok_or(Error::NoLogits)?)?;
        self.logits.copy_from_slice(self.context.get_logits_ith(place));
        Ok(&mut self.logits)
    }

    fn copy(&mut self, from: Sequence, to: Sequence, tokens: usize) -> Result<(), Error> {
        let failed = |reason: String| Error::Native { operation: "copying a sequence", reason };
        let held = self.positions[from.index()];
        let window_tokens = self.window_of(to);
        if from == to || tokens > held {
            return Err(failed(format!("{tokens} of {held} tokens from {from:?} to {to:?}")));
        }
        if tokens > window_tokens {
            return Err(Error::ContextOverflow { needed_tokens: tokens, window_tokens });
        }
        (self.logits_rows, self.positions[to.index()]) = (0, 0);
        self.part_ends.clear();
        self.cut_sequence(to, 0)?;
        if tokens == 0 {
            return Ok(());
        }
        // A state that cannot be cut can be copied as a whole alone.
        let end = if tokens == held { None } else { u32::try_from(tokens).ok() };
        if end.is_some() && !self.can_cut {
            return Err(failed(format!("{tokens} of {held} tokens, whose state cannot be cut")));
        }
        self.context
            .copy_kv_cache_seq(native(from.index())?, native(to.index())?, None, end)
            .map_err(|error| failed(error.to_string()))?;
        self.positions[to.index()] = tokens;
        Ok(())
    }

    fn state_key(&self) -> &str {
        &self.state_key
    }

    fn state(&self) -> Result<Vec<u8>, Error> {
        let (sequence, whole) = (native(self.sequence.index())?, LlamaStateSeqFlags::empty());
        let mut state = vec![0; self.context.state_seq_get_size_ext(sequence, whole)];
        // SAFETY: `state` has exactly the bytes that the context says it will write for this sequence and these flags,
        // and nothing is read into the cache between the two calls.
        let written = unsafe { self.context.state_seq_get_data_ext(state.as_mut_ptr(), sequence, whole) };
        if written == state.len() && written > 0 {
            return Ok(state);
        }
        let reason = format!("{written} bytes of {}", state.len());
        Err(Error::Native { operation: "saving the cache", reason })
    }

    fn restore(&mut self, state: &[u8], position_tokens: usize) -> Result<(), Error> {
        let sequence = native(self.sequence.index())?;
        self.logits_rows = 0;
        // SAFETY: by the contract of `Engine::restore` the bytes are what `state` above wrote for an engine of the same
        // model, build and settings, so native code parses its own output; it checks sizes against what it is given.
        let taken = unsafe { self.context.state_seq_set_data_ext(state, sequence, LlamaStateSeqFlags::empty()) };
        if taken {
            self.positions[self.sequence.index()] = position_tokens;
            return Ok(());
        }
        self.positions[self.sequence.index()] = 0;
        self.cut(0)?;
        Err(Error::Native { operation: "restoring the cache", reason: format!("{} bytes were refused", state.len()) })
    }
}

/// Where saved states come from: the file, the llama.cpp that is linked, and the kind of cache.
fn state_key(path: &Path, options: &LoadOptions) -> std::io::Result<String> {
    Ok(format!(
        "{BINDINGS}; {}; keys and values at 8 bits {}; flash attention {:?}; device {:?}",
        fingerprint(path)?,
        options.kv_q8,
        options.tuning.flash_attention,
        options.device,
    ))
}

/// Compares our vocabulary with llama.cpp's: as many tokens, the same bytes for every text token, no text token that ends
/// a generation. The sets of end tokens themselves can differ in repository marks that text never holds: llama.cpp takes
/// the first of several names in the order of a hash table.
fn check_vocab(model: &LlamaModel, own: &Vocab) -> Result<(), String> {
    let native = model.vocab();
    let count = usize::try_from(native.n_tokens()).unwrap_or(0);
    if count != own.len() {
        return Err(format!("its vocabulary has {} tokens, llama.cpp counts {count}", own.len()));
    }
    let mut piece = Vec::new();
    for (id, token) in (0_u32..).map(TokenId).zip(native.tokens()) {
        if own.kind(id) != TokenKind::Text {
            continue;
        }
        if native.is_eog(token) {
            return Err(format!("token {} is text here and ends a generation in llama.cpp", id.0));
        }
        piece.clear();
        native.token_to_piece_into(token, &mut piece, false, None);
        if piece != own.bytes(id) {
            return Err(format!("token {} is {:?} here and {piece:?} in llama.cpp", id.0, own.bytes(id)));
        }
    }
    Ok(())
}

/// Tokens of `text` by a tokenizer that sets a blank before its input, without that blank: [`SPM_GUARD`] is put in
/// front, and the tokens that spell blank and guard are taken off.
fn without_blank(
    vocab: &Vocab,
    text: &str,
    tokenize: impl Fn(&str) -> Result<Vec<TokenId>, Error>,
) -> Result<Vec<TokenId>, Error> {
    let mut tokens = tokenize(&format!("{SPM_GUARD}{text}"))?;
    let mut spelled = Vec::new();
    for place in 0..tokens.len() {
        spelled.extend_from_slice(vocab.bytes(tokens[place]));
        if spelled == SPM_GUARD.as_bytes() || spelled == format!(" {SPM_GUARD}").as_bytes() {
            return Ok(tokens.split_off(place + 1));
        }
    }
    // The guard was merged with the text (which then begins with a line break): bytes spell it exactly.
    vocab.spell_in_bytes(text.as_bytes()).ok_or_else(|| Error::Native {
        operation: "tokenising",
        reason: format!("no tokens spell the {} bytes without a blank before them", text.len()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blank_that_sentencepiece_sets_is_taken_off() {
        let rows = [" ", "\n", "a", "b", " a", " \n", "\nb"];
        let rows = rows.iter().map(|text| (text.as_bytes().to_vec(), TokenKind::Text)).collect();
        let vocab = Vocab::new(rows, Vec::new(), None);
        let ids = |tokens: &[u32]| tokens.iter().copied().map(TokenId).collect::<Vec<_>>();
        let split = |_: &str| Ok(ids(&[0, 1, 2, 4]));
        assert_eq!(without_blank(&vocab, "a a", split).unwrap(), ids(&[2, 4]));
        let joined = |_: &str| Ok(ids(&[5, 2]));
        assert_eq!(without_blank(&vocab, "a", joined).unwrap(), ids(&[2]));
        let merged = |_: &str| Ok(ids(&[0, 6]));
        assert_eq!(without_blank(&vocab, "b", merged).unwrap(), ids(&[3]));
    }
}
