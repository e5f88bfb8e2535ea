//! The embedder as the memory asks for it: found in the folder of the models, opened, passed on.

use std::path::Path;

use super::Error;
use crate::memory::Embed;
use crate::models::{Catalogue, ModelEntry, Store, default_models_dir};

/// The embedder of this machine; none where it is not installed or this build cannot run it. Its weights are read when
/// the first vector is asked for.
///
/// # Errors
/// Its files are damaged; [`Error::hint`] names the way to get them again.
pub fn open() -> Result<Option<Box<dyn Embed>>, Error> {
    open_in(&default_models_dir()?)
}

/// The same for the models in `folder`.
///
/// # Errors
/// As [`open`].
pub fn open_in(folder: &Path) -> Result<Option<Box<dyn Embed>>, Error> {
    let store = Store::new(folder.to_owned(), Catalogue::shipped()?);
    store.catalogue().embedder().map_or(Ok(None), |entry| open_entry(&store, entry))
}

/// Bytes of the embedder's weights; 0 where it is not installed.
///
/// # Errors
/// The platform names no data folder.
pub(super) fn weights_bytes() -> Result<u64, Error> {
    let store = super::models::store()?;
    let entry = store.catalogue().embedder().filter(|entry| store.installed(entry) == crate::models::Installed::Yes);
    Ok(entry.map_or(0, ModelEntry::size_bytes))
}

/// What a user is told who has no embedder although this build could run it.
///
/// # Errors
/// The platform names no data folder.
pub(super) fn words_only_notice() -> Result<Option<String>, Error> {
    use crate::models::Installed::{No, Partly};
    let store = super::models::store()?;
    let entry = store.catalogue().embedder().filter(|_| cfg!(feature = "candle"));
    let missing = entry.filter(|entry| matches!(store.installed(entry), No | Partly { .. }));
    Ok(missing.map(|entry| {
        let name = &entry.name;
        format!("Memories are found by their words only; by their meaning, too, after: mneme models pull {name}")
    }))
}

#[cfg(feature = "candle")]
fn open_entry(store: &Store, entry: &ModelEntry) -> Result<Option<Box<dyn Embed>>, Error> {
    use crate::inference::{self, Embedder};
    use crate::models::Installed;
    use crate::models::hardware::Hardware;

    let folder = store.dir().join(&entry.name);
    let damaged = |source| Error::CatalogueModel { name: entry.name.clone(), source };
    match store.installed(entry) {
        Installed::No | Installed::Partly { .. } => return Ok(None),
        Installed::Damaged => {
            let reason = "a file in it has a wrong size".to_owned();
            return Err(damaged(inference::Error::BadEmbedder { path: folder, reason }));
        }
        Installed::Yes => {}
    }
    let embedder = Embedder::open(&entry.name, &folder, Hardware::detect().physical_cores).map_err(damaged)?;
    Ok(Some(Box::new(Local(embedder))))
}

#[cfg(not(feature = "candle"))]
fn open_entry(_store: &Store, _entry: &ModelEntry) -> Result<Option<Box<dyn Embed>>, Error> {
    Ok(None)
}

#[cfg(feature = "candle")]
struct Local(crate::inference::Embedder);

#[cfg(feature = "candle")]
impl Embed for Local {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn dimensions(&self) -> usize {
        self.0.dimensions()
    }

    fn max_tokens(&self) -> usize {
        self.0.max_tokens()
    }

    fn token_count(&self, text: &str) -> usize {
        self.0.token_count(text)
    }

    fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, crate::memory::BoxError> {
        Ok(self.0.embed(texts)?)
    }
}
