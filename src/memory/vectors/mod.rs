//! Vectors of passages and messages: how they are stored, kept in step with the rows they belong to, and searched.
//!
//! A search scans 8-bit vectors in memory ([`matrix`]) and rescores the best few with 16 bits from the database, which
//! finds what an exact search of floats finds. The index is read at the first search and holds only what its agent may
//! find; what changes afterwards, by whomever, is taken from a log that triggers write ([`index`]). Vectors are made by
//! whoever implements [`super::Embed`], in batches, whenever there is time ([`pending`]).
//!
//! Not responsible for what a hit means, nor for words (`archival`, `recall`, `fusion`).
//!
//! Cost: `benches/recall.rs` measures searches; the README has figures for up to a million passages.

mod codes;
mod index;
mod matrix;
mod pending;
mod rows;

use std::cell::RefCell;

pub use index::IndexSize;
pub(super) use index::Near;
pub use pending::Embedded;
pub(super) use pending::{Scope, embed_rows, pending_count};
pub(super) use rows::{embedded_count, write_one};

use self::index::Index;
use self::pending::Mark;
use super::View;
use super::embed::Embed;
use super::error::{Error, Result};
use crate::types::MessageId;

/// A text's vector, and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    embedder: String,
    values: Vec<f32>,
}

impl Embedding {
    /// The vector of `text`.
    ///
    /// # Errors
    /// The embedder failed, or gave something that is no vector of its own length.
    pub fn of(embedder: &mut dyn Embed, text: &str) -> Result<Self> {
        let mut vectors = embed_all(embedder, &[text])?;
        let values = vectors.pop().unwrap_or_default();
        Ok(Self { embedder: embedder.name().to_owned(), values })
    }

    /// Name of the embedder.
    #[must_use]
    pub fn embedder(&self) -> &str {
        &self.embedder
    }

    /// The vector's numbers.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

/// The vectors of `texts`, checked: as many as texts, each of the embedder's length, of finite numbers.
fn embed_all(embedder: &mut dyn Embed, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
    let (name, dimensions) = (embedder.name().to_owned(), embedder.dimensions());
    if dimensions == 0 || dimensions > codes::MAX_DIMENSIONS {
        let reason = format!("vectors of {dimensions} numbers cannot be searched; 1 to {} can", codes::MAX_DIMENSIONS);
        return Err(Error::BadVectors { embedder: name, reason });
    }
    let vectors = embedder.embed(texts).map_err(|source| Error::Embedder { embedder: name.clone(), source })?;
    let reason = if vectors.len() != texts.len() {
        format!("{} vectors for {} texts", vectors.len(), texts.len())
    } else if let Some(wrong) = vectors.iter().find(|vector| vector.len() != dimensions) {
        format!("a vector of {} numbers instead of {dimensions}", wrong.len())
    } else if vectors.iter().flatten().any(|component| !component.is_finite()) {
        "a vector with something that is not a number".to_owned()
    } else {
        return Ok(vectors);
    };
    Err(Error::BadVectors { embedder: name, reason })
}

/// The tables of one kind of vectors. All parts are constants of this program.
#[derive(Debug)]
pub(super) struct Tables {
    /// What has vectors.
    rows: &'static str,
    /// The text of a row `t` that its vector stands for, as an SQL expression; NULL where it has none.
    text: &'static str,
    /// Name of `text`: vectors of another rule are made anew.
    text_rule: &'static str,
    vectors: &'static str,
    remainders: &'static str,
    changes: &'static str,
    /// Condition for a row `t` that `:agent` may find, if it is not hidden.
    visible: &'static str,
    /// Ids of all such rows, from indexes alone.
    visible_ids: &'static str,
    /// Whether all rows are visible to `:agent`: one row, one column.
    all_visible: &'static str,
    /// Ids of all hidden rows, from an index alone.
    hidden_ids: &'static str,
}

/// Vectors of passages.
pub(super) const PASSAGES: Tables = Tables {
    rows: "passages",
    text: "t.text",
    text_rule: "passage",
    vectors: "passage_vectors",
    remainders: "passage_vector_remainders",
    changes: "passage_vector_changes",
    visible: super::archival::INDEX.visible,
    visible_ids: "SELECT id FROM passages WHERE agent_id = :agent
                  UNION ALL
                  SELECT p.id FROM attachments a JOIN documents d ON d.source_id = a.source_id
                  JOIN passages p ON p.document_id = d.id WHERE a.agent_id = :agent",
    all_visible: super::archival::INDEX.all_visible,
    hidden_ids: "SELECT id FROM passages WHERE hidden = 1",
};

/// Vectors of messages: of what was said, each by itself, with the name of who said it where there is one. On a dialogue
/// of two people with 150 questions, names raise hit@10 of the vectors alone from 0.26 to 0.54.
pub(super) const MESSAGES: Tables = Tables {
    rows: "messages",
    text: "coalesce(t.speaker || ': ', '') || t.searchable",
    text_rule: "speaker and message",
    vectors: "message_vectors",
    remainders: "message_vector_remainders",
    changes: "message_vector_changes",
    visible: super::recall::INDEX.visible,
    visible_ids: "SELECT id FROM messages WHERE agent_id = :agent AND searchable IS NOT NULL",
    all_visible: super::recall::INDEX.all_visible,
    hidden_ids: "SELECT id FROM messages WHERE hidden = 1",
};

/// What an open agent keeps in memory of one kind of vectors.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) tables: &'static Tables,
    index: RefCell<Option<Index>>,
    pub(super) mark: Option<Mark>,
}

/// What an open agent keeps in memory of its vectors.
#[derive(Debug)]
pub(super) struct Vectors {
    pub(super) passages: Kind,
    pub(super) messages: Kind,
}

impl Kind {
    pub(super) fn of(tables: &'static Tables) -> Self {
        Self { tables, index: RefCell::new(None), mark: None }
    }
}

impl Vectors {
    pub(super) fn new() -> Self {
        Self { passages: Kind::of(&PASSAGES), messages: Kind::of(&MESSAGES) }
    }

    /// The messages nearest to an embedding, best first, with their cosines.
    pub(super) fn nearest_messages(
        &self,
        view: &View<'_>,
        query: &Embedding,
        at_most: usize,
    ) -> Result<Vec<(MessageId, f32)>> {
        let near = self.messages.nearest(view, query, at_most, f32::NEG_INFINITY, &|_| true)?;
        Ok(near.into_iter().map(|near| (MessageId(near.id), near.similarity)).collect())
    }
}
