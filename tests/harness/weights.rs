//! Weights that `make test` and `make test-long` fetch. A test that needs them fails where they are missing.

use std::path::PathBuf;

use mneme::models::default_models_dir;

/// The folder of the catalogue's embedder.
#[cfg(feature = "candle")]
pub fn embedder_folder() -> PathBuf {
    let path = default_models_dir().unwrap().join("all-minilm-l6-v2");
    assert!(path.is_dir(), "{} is missing; fetch it with: mneme models pull all-minilm-l6-v2", path.display());
    path
}

/// The file of the catalogue model `name`, in `MNEME_MODELS` or the user's own folder of models.
#[cfg(feature = "llama-cpp")]
pub fn model_path(name: &str) -> PathBuf {
    let path = default_models_dir().unwrap().join(format!("{name}.gguf"));
    assert!(path.is_file(), "{} is missing; fetch it with: mneme models pull {name}", path.display());
    path
}
