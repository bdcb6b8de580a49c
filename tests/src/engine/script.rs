//! What the timed engine is told to do; crosses to the server's process as JSON in an environment variable.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The environment variable that holds the script.
pub const SCRIPT_VARIABLE: &str = "LACUNA_TEST_SCRIPT";

/// The behaviour of a timed engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Texts of the candidates, best first. `{last}` becomes the last word of the prefix, so that a test can tell which
    /// text the engine saw.
    pub candidates: Vec<String>,
    /// How probably right each of them is, by the engine's own account; missing ones state nothing.
    pub confidences: Vec<f32>,
    /// Denoising steps of every inference.
    pub steps: usize,
    /// Milliseconds of a step.
    pub step_ms: f64,
    /// Milliseconds that loading takes.
    pub load_ms: f64,
    /// Loading fails for this reason.
    pub load_error: Option<String>,
    /// Loading panics.
    pub load_panic: bool,
    /// A prefix that holds this makes the engine panic.
    pub panic_on: Option<String>,
    /// A prefix that holds this makes the engine fail.
    pub error_on: Option<String>,
    /// A prefix that holds this makes the engine say that it has lost what it ran on.
    pub lost_on: Option<String>,
    /// It follows instructions.
    pub instruct: bool,
    /// Where every inference is written down.
    pub record: Option<PathBuf>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            candidates: vec!["{last}".to_owned()],
            confidences: Vec::new(),
            steps: 1,
            step_ms: 0.0,
            load_ms: 0.0,
            load_error: None,
            load_panic: false,
            panic_on: None,
            error_on: None,
            lost_on: None,
            instruct: false,
            record: None,
        }
    }
}

impl Script {
    /// The texts answered after a prefix.
    #[must_use]
    pub fn answers(&self, prefix: &str) -> Vec<String> {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let last = prefix.rsplit(|c| !word(c)).find(|it| !it.is_empty()).unwrap_or_default();
        self.candidates.iter().map(|text| text.replace("{last}", last)).collect()
    }

    /// The script in the environment, else the default one.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    #[expect(clippy::panic, reason = "a test helper: failing loudly is its job")]
    pub fn from_environment() -> Self {
        let Ok(text) = std::env::var(SCRIPT_VARIABLE) else { return Self::default() };
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{SCRIPT_VARIABLE}: {error}: {text}"))
    }
}
