//! Tokenising so that text never becomes control.
//!
//! Some tokenizers make the control token of its spelling even when asked for plain text (user-defined tokens such as
//! `<tool_call>`). So text is cut inside every spelled control token before the engine's tokenizer sees it, and the
//! outcome is checked: no control token, and the tokens' bytes are the text. No blank is put in front of text: what is
//! read is exactly what was written, also for SentencePiece models (DESIGN section 7).

use super::{Engine, Error, TokenKind, Vocab};
use crate::types::TokenId;

/// Tokens of text that may come from anywhere: never a control token, whatever it spells.
///
/// # Errors
/// [`Error::ControlTokenInText`] where the tokenizer makes a control token in spite of the cuts and the vocabulary has
/// no single bytes to fall back on; [`Error::Native`] where the tokens would not spell the text.
pub fn tokenize_text(engine: &dyn Engine, text: &str) -> Result<Vec<TokenId>, Error> {
    let vocab = engine.vocab();
    let mut tokens = Vec::new();
    let mut start = 0;
    for cut in cuts(vocab, text) {
        tokenize_piece(engine, &text[start..cut], &mut tokens)?;
        start = cut;
    }
    tokenize_piece(engine, &text[start..], &mut tokens)?;
    Ok(tokens)
}

/// Tokens of template text: spelled control tokens become control tokens (the longest at each place), the rest is
/// tokenised as text.
///
/// # Errors
/// As [`tokenize_text`].
pub fn tokenize_template(engine: &dyn Engine, text: &str) -> Result<Vec<TokenId>, Error> {
    let vocab = engine.vocab();
    let mut tokens = Vec::new();
    let mut start = 0;
    let mut position = 0;
    while position < text.len() {
        match vocab.longest_control_at(&text.as_bytes()[position..]) {
            Some((control, length)) => {
                tokens.extend(tokenize_text(engine, &text[start..position])?);
                tokens.push(control);
                position += length;
                start = position;
            }
            None => position = next_boundary(text, position),
        }
    }
    tokens.extend(tokenize_text(engine, &text[start..])?);
    Ok(tokens)
}

/// Places to cut `text` so that no piece holds a spelled control token of more than one character, ascending.
fn cuts(vocab: &Vocab, text: &str) -> Vec<usize> {
    let mut cuts: Vec<usize> = Vec::new();
    let mut position = 0;
    while position < text.len() {
        let next = next_boundary(text, position);
        // Cutting behind the first character breaks every name that begins here.
        if vocab.longest_control_at(&text.as_bytes()[position..]).is_some_and(|(_, length)| position + length > next) {
            cuts.push(next);
        }
        position = next;
    }
    cuts
}

/// The character boundary behind the character at `position`.
fn next_boundary(text: &str, position: usize) -> usize {
    text[position..].chars().next().map_or(text.len(), |character| position + character.len_utf8())
}

fn tokenize_piece(engine: &dyn Engine, piece: &str, tokens: &mut Vec<TokenId>) -> Result<(), Error> {
    if piece.is_empty() {
        return Ok(());
    }
    let vocab = engine.vocab();
    let raw = engine.tokenize_raw(piece)?;
    let control = raw.iter().find(|token| vocab.kind(**token) != TokenKind::Text);
    if let Some(control) = control {
        let spelled = vocab.spell_in_bytes(piece.as_bytes());
        tokens.extend(spelled.ok_or(Error::ControlTokenInText { token: control.0 })?);
        return Ok(());
    }
    if !raw.iter().flat_map(|token| vocab.bytes(*token)).eq(piece.as_bytes()) {
        return Err(Error::Native {
            operation: "tokenising",
            reason: format!("the {} tokens of {} bytes spell another text", raw.len(), piece.len()),
        });
    }
    tokens.extend(raw);
    Ok(())
}
