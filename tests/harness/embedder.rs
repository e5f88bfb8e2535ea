//! An embedder that needs no weights: words and their character trigrams, hashed. The same text always has the same
//! vector, texts with words in common have vectors near each other, and a few words count as others of like meaning.

use mneme::memory::{BoxError, Embed};

/// Words that mean the same here.
const SYNONYMS: [(&str, &str); 4] =
    [("automobile", "car"), ("feline", "cat"), ("beverage", "drink"), ("melancholy", "sad")];

/// See the module.
pub struct HashEmbedder {
    /// Its name.
    pub name: String,
    /// Numbers in a vector.
    pub dimensions: usize,
    /// Texts that were embedded.
    pub embedded: usize,
    /// Fails once so many texts were embedded.
    pub fails_after: Option<usize>,
}

impl HashEmbedder {
    pub fn new() -> Self {
        Self::named("hash", 64)
    }

    pub fn named(name: &str, dimensions: usize) -> Self {
        Self { name: name.to_owned(), dimensions, embedded: 0, fails_after: None }
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0_f32; self.dimensions];
        let mut add = |feature: &str, weight: f32| {
            let hash = feature
                .bytes()
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
            let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let place = usize::try_from(hash % vector.len() as u64).unwrap();
            vector[place] += if hash >> 63 == 0 { weight } else { -weight };
        };
        let lower = text.to_lowercase();
        for word in lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            let word = SYNONYMS.iter().find(|(other, _)| *other == word).map_or(word, |(_, word)| *word);
            add(word, 1.0);
            let padded: Vec<char> = format!("^{word}$").chars().collect();
            padded.windows(3).for_each(|window| add(&window.iter().collect::<String>(), 0.3));
        }
        let length = vector.iter().map(|component| component * component).sum::<f32>().sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|component| *component /= length);
        } else {
            vector[0] = 1.0;
        }
        vector
    }
}

impl Embed for HashEmbedder {
    fn name(&self) -> &str {
        &self.name
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn max_tokens(&self) -> usize {
        256
    }

    fn token_count(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, BoxError> {
        if self.fails_after.is_some_and(|most| self.embedded + texts.len() > most) {
            return Err("out of numbers".into());
        }
        self.embedded += texts.len();
        Ok(texts.iter().map(|text| self.vector(text)).collect())
    }
}
