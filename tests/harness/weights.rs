//! Weights that `make test` and `make test-long` fetch. A test that needs them fails where they are missing.

use std::path::PathBuf;

use mneme::models::default_models_dir;

/// The file of the catalogue model `name`, in `MNEME_MODELS` or the user's own folder of models.
pub fn model_path(name: &str) -> PathBuf {
    let path = default_models_dir().unwrap().join(format!("{name}.gguf"));
    assert!(path.is_file(), "{} is missing; fetch it with: mneme models pull {name}", path.display());
    path
}
