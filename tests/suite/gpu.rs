//! What needs a GPU: both engines have the logits there that they have on the CPU. `make test-gpu` runs these and the engine
//! suite with `MNEME_TEST_DEVICE` set; other targets leave them out.

use std::path::Path;

use mneme::inference::{Engine, LoadOptions, tokenize_text};
use mneme::types::{Cancel, Device};

use crate::harness::engines::{Load, NATIVE, best, difference, test_device};
use crate::harness::tiny_gguf::{FAMILIES, write_decoder};
use crate::harness::weights::model_path;

/// Quantised in different ways: Q4_1; Q5_0 and Q8_0; Q4_K and Q6_K.
const MODELS: [&str; 3] =
    ["smollm2-135m-instruct-q4_1", "qwen2.5-coder-0.5b-instruct-q4_k_m", "qwen2.5-coder-1.5b-instruct-q4_k_m"];
const TEXT: &str = "It was late in the year when the boats came home. The harbour lay still, and on the pier stood the \
    old keeper with his lamp, counting them one by one. Seven had left in spring; he had counted six.";

fn loaded(load: Load, path: &Path, device: Device) -> Box<dyn Engine> {
    let options = LoadOptions { context_window: Some(512), device, ..LoadOptions::default() };
    load(path, &options, &mut |_| true).unwrap()
}

/// The device, which must be named: without a name, tests on a machine without a GPU would compare the CPU with itself.
fn gpu() -> Device {
    let device = test_device();
    let names_gpu = matches!(device, Device::Cuda(_) | Device::Metal)
        || device == Device::Auto && cfg!(feature = "vulkan") && std::env::var_os("MNEME_TEST_DEVICE").is_some();
    assert!(names_gpu, "set MNEME_TEST_DEVICE to cuda or metal, or to auto in a build for vulkan");
    device
}

#[test]
#[ignore = "needs a GPU: make test-gpu"]
fn quantised_models_have_the_same_logits_on_the_gpu() {
    let (device, cancel) = (gpu(), Cancel::new());
    for (model, (name, load)) in MODELS.iter().flat_map(|model| NATIVE.iter().map(move |native| (*model, native))) {
        let path = model_path(model);
        let (mut on_cpu, mut on_gpu) = (loaded(*load, &path, Device::Cpu), loaded(*load, &path, device));
        let tokens = tokenize_text(&*on_cpu, TEXT).unwrap();
        let (mut same, mut furthest) = (0, 0.0_f32);
        let mut compare = |on_cpu: &mut dyn Engine, on_gpu: &mut dyn Engine| {
            let (one, other) = (on_cpu.logits().unwrap(), on_gpu.logits().unwrap());
            furthest = furthest.max(difference(one, other));
            best(one) == best(other)
        };
        for token in &tokens {
            on_cpu.read(&[*token], &cancel).unwrap();
            on_gpu.read(&[*token], &cancel).unwrap();
            same += usize::from(compare(&mut *on_cpu, &mut *on_gpu));
        }
        // Passes of many tokens take other kernels.
        for engine in [&mut on_cpu, &mut on_gpu] {
            engine.truncate(0).unwrap();
            engine.read(&tokens, &cancel).unwrap();
        }
        compare(&mut *on_cpu, &mut *on_gpu);
        let count = tokens.len();
        eprintln!("{model}, {name}: {same} of {count} most probable tokens the same, logits at most {furthest} apart");
        // The CPU rounds one side of its products to 8 bits, a GPU need not.
        assert!(same * 100 >= count * 90, "{model}, {name}: {same} of {count}");
        assert!(furthest < 3.0, "{model}, {name}: {furthest}");
    }
}

#[test]
#[ignore = "needs a GPU: make test-gpu"]
fn every_family_has_the_same_logits_on_the_gpu() {
    let (device, cancel) = (gpu(), Cancel::new());
    let folder = tempfile::tempdir().unwrap();
    for family in FAMILIES {
        let path = folder.path().join(format!("{family}.gguf"));
        write_decoder(family, &path);
        for (name, load) in NATIVE {
            let (mut on_cpu, mut on_gpu) = (loaded(*load, &path, Device::Cpu), loaded(*load, &path, device));
            let tokens = tokenize_text(&*on_cpu, TEXT).unwrap();
            on_cpu.read(&tokens, &cancel).unwrap();
            on_gpu.read(&tokens, &cancel).unwrap();
            let (one, other) = (on_cpu.logits().unwrap(), on_gpu.logits().unwrap());
            let spread = difference(one, &vec![0.0; one.len()]);
            let apart = difference(one, other);
            assert!(apart <= 0.02 * spread, "{name}, {family}: {apart} of {spread}");
        }
    }
}
