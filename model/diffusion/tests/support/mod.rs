//! Temporary model directories, and safetensors files taken apart and put together again.

#![allow(dead_code, reason = "each test file uses its part of this")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use lacuna_diffusion::{DiffusionEngine, LoadOptions, PrecisionChoice, load};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A directory that goes away with its test.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name =
            format!("lacuna-diffusion-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A tensor outside any file.
#[derive(Clone, Debug)]
pub struct Loose {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Loose {
    pub fn f32(shape: &[usize], values: impl IntoIterator<Item = f32>) -> Self {
        let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
        Self { dtype: Dtype::F32, shape: shape.to_vec(), bytes }
    }

    pub fn values(&self) -> Vec<f32> {
        self.bytes.as_chunks::<4>().0.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect()
    }
}

pub type Tensors = BTreeMap<String, Loose>;

/// The checkpoint `fixtures/parity/<name>/model`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/parity").join(name).join("model")
}

pub fn read(path: &Path) -> Tensors {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let loose = |view: TensorView<'_>| Loose {
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        bytes: view.data().to_vec(),
    };
    file.tensors().into_iter().map(|(name, view)| (name, loose(view))).collect()
}

pub fn write(path: &Path, tensors: &Tensors) {
    let views = tensors
        .iter()
        .map(|(name, t)| (name.as_str(), TensorView::new(t.dtype, t.shape.clone(), &t.bytes).unwrap()));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// A model directory with the config of the `small` fixture and these weights.
pub fn model_with(tensors: &Tensors) -> TempDir {
    let dir = TempDir::new();
    std::fs::copy(fixture("small").join("config.json"), dir.path().join("config.json")).unwrap();
    write(&dir.path().join("model.safetensors"), tensors);
    dir
}

/// The shipped checkpoint with `changes` to the object `lacuna` of its config.json, on `threads` threads.
pub fn shipped_with(changes: Value, threads: usize) -> DiffusionEngine {
    let (folder, shipped) = (TempDir::new(), Path::new(env!("CARGO_MANIFEST_DIR")).join("../mini"));
    for name in ["generation_config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(shipped.join(name), folder.path().join(name)).unwrap();
    }
    let config = std::fs::read_to_string(shipped.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    merge(&mut config["lacuna"], &changes);
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let (model, precision) = (Some(folder.path().to_owned()), PrecisionChoice::F32);
    load(&LoadOptions { model, threads: Some(threads), precision, ..LoadOptions::default() }).unwrap()
}

/// Puts `changes` into the object `value`, key by key.
fn merge(value: &mut Value, changes: &Value) {
    for (key, change) in changes.as_object().unwrap() {
        value[key] = change.clone();
    }
}
