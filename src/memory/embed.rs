//! What the memory asks of an embedder: vectors by which texts of like meaning are found.

use super::error::BoxError;

/// Turns texts into vectors. The memory keeps them with [`Embed::name`]: those of another embedder are made anew.
pub trait Embed: Send {
    /// The model, told apart from every other that gives other vectors.
    fn name(&self) -> &str;

    /// Numbers in a vector.
    fn dimensions(&self) -> usize;

    /// Most tokens of a text that the vector takes in; what follows is not part of it.
    fn max_tokens(&self) -> usize;

    /// Tokens of a text, the marks at its ends apart.
    fn token_count(&self, text: &str) -> usize;

    /// A vector of length 1 for each text, in their order. An empty text gets one, too.
    ///
    /// # Errors
    /// The model failed.
    fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, BoxError>;
}

#[cfg(test)]
pub(super) mod doubles {
    //! Embedders for tests.

    use super::{BoxError, Embed};

    /// Texts about water have one direction, others another.
    pub(crate) struct Water;

    impl Embed for Water {
        fn name(&self) -> &str {
            "water"
        }
        fn dimensions(&self) -> usize {
            2
        }
        fn max_tokens(&self) -> usize {
            100
        }
        fn token_count(&self, text: &str) -> usize {
            text.len()
        }
        fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, BoxError> {
            let is_wet = |text: &&str| text.contains("lake") || text.contains("sail");
            Ok(texts.iter().map(|text| if is_wet(text) { vec![1.0, 0.0] } else { vec![0.0, 1.0] }).collect())
        }
    }
}
