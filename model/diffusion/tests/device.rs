//! The network on a device against the reference's recordings and against the processor. The device is the emulated card:
//! the same kernels, compiled for the host. `benches/gpu/run.sh` runs the same replays on a real one.
#![cfg(feature = "emulated")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod support;

use lacuna_diffusion::{DeviceChoice, LoadOptions, PrecisionChoice, replay_on};
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};
use support::TempDir;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/parity")
}

fn floats(tensors: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    tensors
        .tensor(name)
        .unwrap()
        .data()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&four| f32::from_le_bytes(four))
        .collect()
}

fn words(tensors: &SafeTensors<'_>, name: &str) -> Vec<i64> {
    tensors
        .tensor(name)
        .unwrap()
        .data()
        .as_chunks::<8>()
        .0
        .iter()
        .map(|&word| i64::from_le_bytes(word))
        .collect()
}

/// Expected and found files of one recording.
fn replayed(case: &str, precision: PrecisionChoice) -> (Vec<u8>, Vec<u8>) {
    let input = fixtures().join(format!("{case}.safetensors"));
    let dir = TempDir::new();
    let output = dir.path().join("out.safetensors");
    let options = LoadOptions {
        model: Some(input.parent().unwrap().join("model")),
        precision,
        device: DeviceChoice::Emulated,
        ..LoadOptions::default()
    };
    replay_on(&options, &input, &output).unwrap_or_else(|error| panic!("{case}: {error}"));
    (std::fs::read(&input).unwrap(), std::fs::read(&output).unwrap())
}

/// In f32 a device agrees with the reference to 1e-2 in every logit and entropy, and in everything discrete.
fn check_f32(case: &str) {
    let (expected, found) = replayed(case, PrecisionChoice::F32);
    let expected = SafeTensors::deserialize(&expected).unwrap();
    let found = SafeTensors::deserialize(&found).unwrap();
    for name in ["causal_logits", "logits", "entropy"] {
        let (e, f) = (floats(&expected, name), floats(&found, name));
        assert_eq!(e.len(), f.len(), "{case}: {name}");
        let worst = e.iter().zip(&f).map(|(e, f)| (e - f).abs()).fold(0.0, f32::max);
        assert!(worst <= 1e-2, "{case}: {name} differs by {worst}");
        assert!(f.iter().all(|f| f.is_finite()), "{case}: {name}");
    }
    for name in ["accepted", "argmax", "canvas", "stop"] {
        let (e, f) = (expected.tensor(name).unwrap(), found.tensor(name).unwrap());
        assert!(e.data() == f.data(), "{case}: {name} differs");
    }
}

#[test]
fn the_reference_is_reproduced_small_plain() {
    check_f32("small/plain");
}

#[test]
fn the_reference_is_reproduced_small_clamped() {
    check_f32("small/clamped");
}

#[test]
fn the_reference_is_reproduced_wide_plain() {
    check_f32("wide/plain");
}

#[test]
fn the_reference_is_reproduced_wide_clamped() {
    check_f32("wide/clamped");
}

#[test]
fn the_reference_is_reproduced_deep_plain() {
    check_f32("deep/plain");
}

#[test]
fn the_reference_is_reproduced_deep_clamped() {
    check_f32("deep/clamped");
}
