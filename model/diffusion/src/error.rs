//! Why a model's files cannot be used: what was expected, what was found, where, and what to do about it.

use lacuna_engine::EngineError;
use std::path::PathBuf;

/// A model that cannot be loaded. Every message is one line that names the file or key at fault.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file is absent or unreadable.
    #[error("{path}: {reason}; a model directory holds config.json, tokenizer.json and model.safetensors")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A JSON file is not JSON, or not an object.
    #[error("{file}: not a JSON object: {reason}; fetch the file again")]
    Json {
        /// The file, with its directory as that was given.
        file: String,
        /// Where it breaks.
        reason: String,
    },
    /// A value of `config.json` or `generation_config.json` is absent, of the wrong kind or out of range.
    #[error("{file}: {key}: expected {expected}, found {found}; correct the file, or take another model")]
    Value {
        /// The file, with its directory as that was given.
        file: String,
        /// Dotted path of the key.
        key: String,
        /// What would be accepted.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A safetensors file whose header does not describe its bytes.
    #[error("{file}: damaged safetensors: {reason}; fetch the file again")]
    Damaged {
        /// The file, with its directory as that was given.
        file: String,
        /// What does not fit.
        reason: String,
    },
    /// A weight that the configuration asks for is in none of the files.
    #[error(
        "{file}: tensor {name}: missing (expected shape {expected:?}); fetch it anew, together with the config.json beside it"
    )]
    MissingTensor {
        /// The file, or the index of several.
        file: String,
        /// Name as in the reference.
        name: String,
        /// Shape by the configuration.
        expected: Vec<usize>,
    },
    /// A weight of another shape than the configuration says.
    #[error(
        "{file}: tensor {name}: expected shape {expected:?}, found {found:?}; fetch it anew, together with the config.json \
         beside it"
    )]
    Shape {
        /// The file, or the index of several.
        file: String,
        /// Name as in the reference.
        name: String,
        /// Shape by the configuration.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A weight of a type this engine does not read.
    #[error(
        "{file}: tensor {name}: expected dtype F32, F16 or BF16, found {found}; convert it, or take another model"
    )]
    Dtype {
        /// The file, or the index of several.
        file: String,
        /// Name as in the reference.
        name: String,
        /// As the file spells it.
        found: String,
    },
    /// A weight that holds an infinity or not-a-number.
    #[error(
        "{file}: tensor {name}: element {index} is {value}, weights must be finite; the file is damaged, fetch it again"
    )]
    NotFinite {
        /// The file, or the index of several.
        file: String,
        /// Name as in the reference.
        name: String,
        /// Flat index.
        index: usize,
        /// The value.
        value: f32,
    },
    /// The device that was asked for cannot be used, or not with this model: why, and what to do.
    #[error("{0}")]
    Device(String),
}

impl LoadError {
    /// The same, as the contract's error; `source` is the directory or `built-in`.
    #[must_use]
    pub fn into_engine(self, source: &str) -> EngineError {
        EngineError::Model { path: source.to_owned(), reason: self.to_string() }
    }
}
