//! The engines that run models: what one is held to, all are.

use std::path::Path;

use mneme::inference::{Engine, Error, LoadOptions};
use mneme::types::Device;

/// Loads a model in one of them.
pub type Load = fn(&Path, &LoadOptions, &mut dyn FnMut(f32) -> bool) -> Result<Box<dyn Engine>, Error>;

/// Where the tests run models that do not say where: `MNEME_TEST_DEVICE`, else wherever the engine likes.
pub fn test_device() -> Device {
    let asked = std::env::var("MNEME_TEST_DEVICE");
    asked.map_or(Device::Auto, |name| name.parse().unwrap_or_else(|error| panic!("MNEME_TEST_DEVICE: {error}")))
}

fn placed(with: &LoadOptions) -> LoadOptions {
    let device = if with.device == Device::Auto { test_device() } else { with.device };
    LoadOptions { device, ..with.clone() }
}

#[cfg(feature = "llama-cpp")]
fn llama_cpp(path: &Path, with: &LoadOptions, progress: &mut dyn FnMut(f32) -> bool) -> Result<Box<dyn Engine>, Error> {
    Ok(Box::new(mneme::inference::LlamaCppEngine::load(path, &placed(with), progress)?))
}

#[cfg(feature = "candle")]
fn candle(path: &Path, with: &LoadOptions, progress: &mut dyn FnMut(f32) -> bool) -> Result<Box<dyn Engine>, Error> {
    Ok(Box::new(mneme::inference::CandleEngine::load(path, &placed(with), progress)?))
}

/// Those of this build, by name.
pub const NATIVE: &[(&str, Load)] = &[
    #[cfg(feature = "llama-cpp")]
    ("llama-cpp", llama_cpp),
    #[cfg(feature = "candle")]
    ("candle", candle),
];

/// Largest difference of two sets of logits.
pub fn difference(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}

/// The token with the largest logit.
pub fn best(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|one, other| logits[*one].total_cmp(&logits[*other])).unwrap()
}
