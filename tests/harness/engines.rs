//! The engines that run models: what one is held to, all are.

use std::path::Path;

use mneme::inference::{Engine, Error, LoadOptions};

/// Loads a model in one of them.
pub type Load = fn(&Path, &LoadOptions, &mut dyn FnMut(f32) -> bool) -> Result<Box<dyn Engine>, Error>;

#[cfg(feature = "llama-cpp")]
fn llama_cpp(path: &Path, with: &LoadOptions, progress: &mut dyn FnMut(f32) -> bool) -> Result<Box<dyn Engine>, Error> {
    Ok(Box::new(mneme::inference::LlamaCppEngine::load(path, with, progress)?))
}

#[cfg(feature = "candle")]
fn candle(path: &Path, with: &LoadOptions, progress: &mut dyn FnMut(f32) -> bool) -> Result<Box<dyn Engine>, Error> {
    Ok(Box::new(mneme::inference::CandleEngine::load(path, with, progress)?))
}

/// Those of this build, by name.
pub const NATIVE: &[(&str, Load)] = &[
    #[cfg(feature = "llama-cpp")]
    ("llama-cpp", llama_cpp),
    #[cfg(feature = "candle")]
    ("candle", candle),
];
