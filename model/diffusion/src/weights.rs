//! Weights by name, from safetensors in a directory (memory-mapped) or in the binary, with every lie of a header caught.

use crate::config::{Config, GenerationConfig};
use crate::error::LoadError;
use crate::safetensors_header::{Entry, read_header};
use half::{bf16, f16};
use memmap2::Mmap;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};

const CONFIG: &str = "config.json";
const GENERATION_CONFIG: &str = "generation_config.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Where a model's files are.
#[derive(Clone, Debug)]
pub enum ModelSource {
    /// A Hugging Face directory: `config.json`, `generation_config.json` (optional), `model.safetensors` or
    /// `model.safetensors.index.json` with its shards.
    Dir(PathBuf),
    /// The same files in memory.
    Embedded {
        /// `config.json`.
        config: &'static [u8],
        /// `generation_config.json`.
        generation_config: Option<&'static [u8]>,
        /// `model.safetensors`.
        weights: &'static [u8],
    },
}

impl ModelSource {
    /// What messages call it: the directory, or `built-in`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Dir(path) => path.display().to_string(),
            Self::Embedded { .. } => "built-in".to_owned(),
        }
    }

    /// What messages call one of its files: the path below the directory as it was given.
    pub(crate) fn file(&self, name: &str) -> String {
        match self {
            Self::Dir(dir) => dir.join(name).display().to_string(),
            Self::Embedded { .. } => name.to_owned(),
        }
    }

    /// `config.json`.
    ///
    /// # Errors
    /// [`LoadError::File`], [`LoadError::Json`], [`LoadError::Value`].
    pub fn config(&self) -> Result<Config, LoadError> {
        let json = match self {
            Self::Dir(dir) => Cow::Owned(read(&dir.join(CONFIG))?),
            Self::Embedded { config, .. } => Cow::Borrowed(*config),
        };
        Config::parse(&self.file(CONFIG), &json)
    }

    /// `generation_config.json`, or the reference's numbers where there is none; `vocab_size` bounds the token ids.
    ///
    /// # Errors
    /// As [`ModelSource::config`].
    pub fn generation_config(&self, vocab_size: usize) -> Result<GenerationConfig, LoadError> {
        let json = match self {
            Self::Dir(dir) => {
                let path = dir.join(GENERATION_CONFIG);
                if path.exists() { Some(Cow::Owned(read(&path)?)) } else { None }
            }
            Self::Embedded { generation_config, .. } => generation_config.map(Cow::Borrowed),
        };
        match json {
            Some(json) => GenerationConfig::parse(&self.file(GENERATION_CONFIG), &json, vocab_size),
            None => Ok(GenerationConfig::default()),
        }
    }
}

enum Bytes {
    Mapped(Mmap),
    Static(&'static [u8]),
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Static(bytes) => bytes,
        }
    }
}

/// All tensors of a model, not yet converted.
pub struct Weights {
    /// What messages call the files as a whole.
    files: String,
    /// Each with what messages call it.
    shards: Vec<(String, Bytes)>,
    entries: HashMap<String, (usize, Entry)>,
}

impl Weights {
    /// Opens the files of `source` and checks their headers; reads no weight yet.
    ///
    /// # Errors
    /// [`LoadError::File`], [`LoadError::Json`], [`LoadError::Damaged`].
    pub fn open(source: &ModelSource) -> Result<Self, LoadError> {
        let mut weights = Self { files: source.file(WEIGHTS), shards: Vec::new(), entries: HashMap::new() };
        match source {
            ModelSource::Embedded { weights: bytes, .. } => {
                weights.add(source.file(WEIGHTS), Bytes::Static(bytes))?;
            }
            ModelSource::Dir(dir) => {
                let shards = shard_names(dir)?;
                if shards.len() > 1 {
                    weights.files = source.file(INDEX);
                }
                for shard in shards {
                    weights.add(source.file(&shard), map(&dir.join(&shard))?)?;
                }
            }
        }
        Ok(weights)
    }

    fn add(&mut self, file: String, bytes: Bytes) -> Result<(), LoadError> {
        for (name, entry) in read_header(&file, bytes.get())?.entries {
            if self.entries.insert(name.clone(), (self.shards.len(), entry)).is_some() {
                return Err(LoadError::Damaged {
                    file,
                    reason: format!("tensor {name} stands in an earlier shard too"),
                });
            }
        }
        self.shards.push((file, bytes));
        Ok(())
    }

    /// Whether a tensor of that name exists.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// A tensor as f32, row-major, of exactly `shape`.
    ///
    /// # Errors
    /// [`LoadError::MissingTensor`], [`LoadError::Shape`], [`LoadError::Dtype`], [`LoadError::NotFinite`].
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        let stored = self.stored(name, shape)?;
        let values = stored.f32(0..shape.iter().product());
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(index) => {
                let file = self.file_of(name).to_owned();
                Err(LoadError::NotFinite { file, name: name.to_owned(), index, value: values[index] })
            }
        }
    }

    /// What messages call the file that holds a tensor.
    pub(crate) fn file_of(&self, name: &str) -> &str {
        self.entries.get(name).map_or(&self.files, |&(shard, _)| &self.shards[shard].0)
    }

    /// A tensor of exactly `shape` as the file holds it.
    ///
    /// # Errors
    /// As [`Weights::f32`], but for [`LoadError::NotFinite`].
    pub(crate) fn stored(&self, name: &str, shape: &[usize]) -> Result<Stored<'_>, LoadError> {
        let file = || self.file_of(name).to_owned();
        let Some((shard, entry)) = self.entries.get(name) else {
            let (name, expected) = (name.to_owned(), shape.to_vec());
            return Err(LoadError::MissingTensor { file: file(), name, expected });
        };
        if entry.shape != shape {
            return Err(LoadError::Shape {
                file: file(),
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: entry.shape.clone(),
            });
        }
        let bytes = self.shards[*shard].1.get().get(entry.range.clone()).unwrap_or_default();
        match entry.dtype.as_str() {
            "F32" => Ok(Stored::F32(bytes)),
            "F16" => Ok(Stored::F16(bytes)),
            "BF16" => Ok(Stored::Bf16(bytes)),
            other => Err(LoadError::Dtype { file: file(), name: name.to_owned(), found: other.to_owned() }),
        }
    }
}

/// A tensor's bytes, little-endian, by dtype.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stored<'a> {
    F32(&'a [u8]),
    F16(&'a [u8]),
    Bf16(&'a [u8]),
}

impl Stored<'_> {
    /// The values at `range`, widened.
    pub(crate) fn f32(self, range: std::ops::Range<usize>) -> Vec<f32> {
        match self {
            Self::F32(bytes) => convert(&bytes[4 * range.start..4 * range.end], f32::from_le_bytes),
            Self::F16(bytes) => {
                convert(&bytes[2 * range.start..2 * range.end], |two| f16::from_le_bytes(two).to_f32())
            }
            Self::Bf16(bytes) => {
                convert(&bytes[2 * range.start..2 * range.end], |two| bf16::from_le_bytes(two).to_f32())
            }
        }
    }
}

fn convert<const N: usize>(bytes: &[u8], element: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| element(chunk)).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    std::fs::read(path).map_err(|error| file_error(path, &error))
}

fn file_error(path: &Path, error: &std::io::Error) -> LoadError {
    LoadError::File { path: path.to_path_buf(), reason: error.to_string() }
}

fn map(path: &Path) -> Result<Bytes, LoadError> {
    let file = File::open(path).map_err(|error| file_error(path, &error))?;
    // SAFETY: the map is read-only and private to this process. Another process that truncates the file while it is
    // mapped could make reads fault; model files are replaced by rename, never edited in place, and every weight is
    // copied out of the map at load time, so the window is the load itself.
    #[expect(unsafe_code, reason = "memory-mapping is the one unsafe call outside the kernels")]
    let map = unsafe { Mmap::map(&file) };
    map.map(Bytes::Mapped).map_err(|error| file_error(path, &error))
}

/// The shards in the order of the index's names, or the single file.
fn shard_names(dir: &Path) -> Result<Vec<String>, LoadError> {
    let index = dir.join(INDEX);
    // A single file wins over an index that may be left from before, as in transformers.
    if !index.exists() || dir.join(WEIGHTS).exists() {
        return Ok(vec![WEIGHTS.to_owned()]);
    }
    let fault = |reason: String| LoadError::Json { file: index.display().to_string(), reason };
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let parsed: Index = serde_json::from_slice(&read(&index)?).map_err(|error| fault(error.to_string()))?;
    let mut names: Vec<String> = parsed.weight_map.into_values().collect();
    names.sort();
    names.dedup();
    if let Some(name) = names.iter().find(|name| !is_plain_file_name(name)) {
        return Err(fault(format!("weight_map: expected file names in the same directory, found {name:?}")));
    }
    Ok(names)
}

/// Whether a name stays in its directory: no separators, no `..`, no drive letters.
fn is_plain_file_name(name: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(safe)
}
