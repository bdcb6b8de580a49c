//! The engine against the reference implementation, on recordings of `fixtures/parity` (how they were made stands there).
//!
//! Whatever is discrete (accepted positions, argmax, the canvas, the stop flag) must be equal; logits and entropies may
//! differ by [`TOLERANCE`], because both sides compute in f32 and sum in different orders.
//!
//! `LACUNA_PARITY_DIR=<dir> cargo test -p lacuna-diffusion --test parity -- --ignored --nocapture` takes every recording under that
//! directory. The largest difference of each is printed (`--nocapture`).

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

use lacuna_diffusion::replay::replay;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

/// The committed recordings differ by up to 4e-5 (the reference from itself by up to 2e-5, see the fixtures' README). Five times
/// that leaves room for other instruction sets, and a mistake shows as differences of order 1.
const TOLERANCE: f32 = 2e-4;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/parity")
}

/// `<root>/<checkpoint>/<recording>.safetensors`, beside `<root>/<checkpoint>/model/`.
fn recordings(root: &Path) -> Vec<PathBuf> {
    let list = |dir: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let checkpoints = list(root).into_iter().filter(|path| path.join("model").is_dir());
    let mut found: Vec<PathBuf> = checkpoints
        .flat_map(|dir| list(&dir))
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .collect();
    found.sort();
    found
}

fn floats(tensors: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let (chunks, rest) = tensors.tensor(name).unwrap().data().as_chunks::<4>();
    assert!(rest.is_empty());
    chunks.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect()
}

/// Replays one recording and compares; returns the largest difference, or `None` where the reference is too uncertain
/// of itself to be a measure.
fn check(input: &Path) -> Option<f32> {
    let case = input.display();
    let dir = input.parent().unwrap();
    let name = format!("lacuna-parity-{}-{:x}.safetensors", std::process::id(), input.as_os_str().len());
    let output = std::env::temp_dir().join(format!("{}-{}-{name}", stem(dir), stem(input)));
    replay(&dir.join("model"), input, &output).unwrap_or_else(|error| panic!("{case}: {error}"));
    let (expected, found) = (std::fs::read(input).unwrap(), std::fs::read(&output).unwrap());
    std::fs::remove_file(&output).unwrap();
    let (_, header) = SafeTensors::read_metadata(&expected).unwrap();
    if let Some(spread) = header.metadata().as_ref().and_then(|metadata| metadata.get("reference_spread")) {
        let spread: f32 = spread.parse().unwrap();
        if spread > TOLERANCE / 5.0 {
            return None;
        }
    }
    let expected = SafeTensors::deserialize(&expected).unwrap();
    let found = SafeTensors::deserialize(&found).unwrap();
    for name in ["accepted", "argmax", "canvas", "stop", "logits", "causal_logits", "entropy"] {
        let (e, f) = (expected.tensor(name).unwrap(), found.tensor(name).unwrap());
        assert_eq!((e.dtype(), e.shape()), (f.dtype(), f.shape()), "{case}: {name}");
    }
    let mut largest = 0.0_f32;
    for name in ["causal_logits", "logits", "entropy"] {
        for (e, f) in floats(&expected, name).into_iter().zip(floats(&found, name)) {
            let difference = (e - f).abs();
            assert!(difference <= TOLERANCE, "{case}: {name}: expected {e}, found {f}");
            largest = largest.max(difference);
        }
    }
    for name in ["accepted", "argmax", "canvas", "stop"] {
        let (e, f) = (expected.tensor(name).unwrap(), found.tensor(name).unwrap());
        assert!(e.data() == f.data(), "{case}: {name} differs");
    }
    Some(largest)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

#[test]
fn every_committed_recording_is_reproduced() {
    let found = recordings(&fixtures());
    assert_eq!(found.len(), 6, "recordings of fixtures/parity");
    for input in found {
        let largest = check(&input);
        println!("{}: {largest:?}", input.display());
        assert!(largest.is_some(), "{}: the reference is uncertain of itself", input.display());
    }
}

#[test]
#[ignore = "needs recordings: LACUNA_PARITY_DIR"]
fn every_recording_of_the_given_directory_is_reproduced() {
    let root =
        std::env::var_os("LACUNA_PARITY_DIR").expect("LACUNA_PARITY_DIR names a directory of recordings");
    let found = recordings(Path::new(&root));
    assert!(!found.is_empty(), "LACUNA_PARITY_DIR holds no recording");
    let mut reproduced = 0;
    for input in &found {
        let largest = check(input);
        println!("{}: {largest:?}", input.display());
        reproduced += usize::from(largest.is_some());
    }
    println!("{reproduced} recordings reproduced, {} too uncertain to tell", found.len() - reproduced);
}
