//! The engine against the reference implementation, on recordings of `fixtures/parity` (how they were made stands there).
//!
//! Logits and entropies may differ by [`TOLERANCE`]: both sides compute in f32 but sum in different orders, and a few
//! parts in a million grow through up to 13 layers, a softcap of 30 and a division by T = 0.4. Whatever is discrete
//! (accepted positions, argmax, the canvas, the stop flag) must be equal.
//!
//! `LACUNA_PARITY_DIR=<dir>` adds every recording under that directory.

use lacuna_diffusion::replay::replay;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

/// Measured over 30 random checkpoints the largest difference was below 2e-4; ten times that is still far from a mistake,
/// which shows as differences of order 1.
const TOLERANCE: f32 = 2e-3;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/parity")
}

fn recordings(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap_or_else(|error| panic!("{}: {error}", root.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("replay.safetensors").exists())
        .collect();
    found.sort();
    found
}

fn floats(tensors: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let (chunks, rest) = tensors.tensor(name).unwrap().data().as_chunks::<4>();
    assert!(rest.is_empty());
    chunks.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect()
}

/// Replays one recording and compares; returns the largest difference of a logit and of an entropy.
fn check(dir: &Path) -> (f32, f32) {
    let output = std::env::temp_dir().join(format!(
        "lacuna-parity-{}-{}.safetensors",
        std::process::id(),
        dir.file_name().unwrap().display()
    ));
    let input = dir.join("replay.safetensors");
    replay(&dir.join("model"), &input, &output).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let (expected, found) = (std::fs::read(&input).unwrap(), std::fs::read(&output).unwrap());
    std::fs::remove_file(&output).unwrap();
    let (expected, found) =
        (SafeTensors::deserialize(&expected).unwrap(), SafeTensors::deserialize(&found).unwrap());
    let mut largest = [0.0_f32; 3];
    for (name, largest) in ["logits", "causal_logits", "entropy"].into_iter().zip(&mut largest) {
        same_form(dir, name, &expected, &found);
        let pairs = floats(&expected, name).into_iter().zip(floats(&found, name));
        *largest = pairs.map(|(e, f)| (e - f).abs()).fold(0.0, |a, b| if b.is_nan() { f32::NAN } else { a.max(b) });
        assert!(*largest <= TOLERANCE, "{}: {name} differs by {largest}", dir.display());
    }
    for name in ["accepted", "argmax", "canvas", "stop"] {
        same_form(dir, name, &expected, &found);
        let (e, f) = (expected.tensor(name).unwrap(), found.tensor(name).unwrap());
        assert!(e.data() == f.data(), "{}: {name} differs", dir.display());
    }
    (largest[0].max(largest[1]), largest[2])
}

fn same_form(dir: &Path, name: &str, expected: &SafeTensors<'_>, found: &SafeTensors<'_>) {
    let (e, f) = (expected.tensor(name).unwrap(), found.tensor(name).unwrap());
    assert_eq!((e.dtype(), e.shape()), (f.dtype(), f.shape()), "{}: {name}", dir.display());
}

#[test]
fn every_committed_recording_is_reproduced() {
    let found = recordings(&fixtures());
    assert!(found.len() >= 4, "fixtures/parity holds {} recordings", found.len());
    for dir in found {
        check(&dir);
    }
}

#[test]
fn every_recording_of_the_given_directory_is_reproduced() {
    let Some(root) = std::env::var_os("LACUNA_PARITY_DIR") else { return };
    let found = recordings(Path::new(&root));
    assert!(!found.is_empty(), "LACUNA_PARITY_DIR holds no recording");
    for dir in &found {
        let (logits, entropy) = check(dir);
        println!("{}: logits {logits:.1e}, entropies {entropy:.1e}", dir.display());
    }
    println!("{} recordings reproduced", found.len());
}
