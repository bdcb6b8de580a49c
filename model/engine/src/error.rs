//! What can go wrong between a request and its candidates, in one line a user can act on.

use serde::{Deserialize, Serialize};

/// Why an engine did not answer. The text of each variant is shown to users as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum EngineError {
    /// The caller no longer wants the answer. Not a fault.
    #[error("cancelled")]
    Cancelled,
    /// The request breaks a limit or contradicts itself.
    #[error("the request cannot be run: {0}")]
    InvalidRequest(String),
    /// The model's files cannot do what was asked (no blank token, no FIM tokens, …).
    #[error("this model cannot do that: {0}")]
    Unsupported(String),
    /// The model's files are missing, damaged or contradict each other.
    #[error("{} cannot be used: {reason}", named(path))]
    Model {
        /// The directory or file, or `built-in`.
        path: String,
        /// Expected and found, and what to do about it.
        reason: String,
    },
    /// A defect or an exhausted machine: the computation itself failed.
    #[error("the engine failed while {while_doing}: {reason}")]
    Compute {
        /// The step that failed.
        while_doing: String,
        /// The underlying message.
        reason: String,
    },
    /// What the engine ran on is lost to it for good (a GPU after a fault, say): another one must be loaded, and may run elsewhere.
    #[error("the engine cannot go on: {0}")]
    Lost(String),
}

/// A model as a sentence begins with it.
fn named(path: &str) -> String {
    match path {
        "built-in" => "the built-in model".to_owned(),
        _ => format!("the model at {path}"),
    }
}
